//! Reading a body: bodies that are no JSON, and the rules for members. One answer lists all faults, with their places.

use serde_json::{Value, json};
use shared::Problem;
use shared::domain::Patch;
use shared::id::Uuid;
use shared::json::{Faulty, Object, Text, Wire};
use shared::problem::{Fault, Step, Wrong, dotted};

fn object(body: impl AsRef<[u8]>) -> Object {
    Object::of_body(body.as_ref()).unwrap_or_else(|why| panic!("{}: {why}", String::from_utf8_lossy(body.as_ref())))
}

/// The reason to refuse a body.
fn refused(body: impl AsRef<[u8]>) -> Problem {
    match Object::of_body(body.as_ref()) {
        Ok(_) => panic!("`{}` was read", String::from_utf8_lossy(body.as_ref())),
        Err(problem) => problem,
    }
}

/// The places in the body, with their faults.
fn placed(faults: Vec<Fault>) -> Vec<(String, Wrong)> {
    let place = |fault: Fault| {
        assert_eq!(fault.place.first(), Some(&Step::from("body")));
        (dotted(&fault.place), fault.wrong)
    };
    faults.into_iter().map(place).collect()
}

// ---- The body as a whole

#[test]
fn what_is_no_json_is_refused() {
    for body in [
        "",
        " ",
        "{",
        "{\"it\":}",
        "{'it':1}",
        "{it:1}",
        "{\"it\":1,}",
        "{\"it\":01}",
        "{\"it\":NaN}",
        "{\"it\":Infinity}",
        "{\"it\":-}",
        "{\"it\":-01}",
        "{\"it\":1.}",
        "{\"it\":.5}",
        "{\"it\":1e}",
        "{\"it\":1e+}",
        "{\"it\":1e1.5}",
        "{\"it\":1e5e5}",
        "{\"it\":+1.0}",
        "{\"it\":--1.0}",
        "{\"it\":01.0}",
        "{\"it\":\"\n\"}",
        "{\"it\":\"\\x\"}",
        "{\"it\":\"\\ud800\"}",
        "\u{feff}{}",
        "{}{}",
        "{} 1",
        "{}x",
        "{}\0",
        "// {}\n{}",
        "nul",
    ] {
        let problem = refused(body);
        assert!(matches!(problem, Problem::InvalidJson(_)), "{body}: {problem}");
    }
    for body in [
        &b"{\"it\":\"\xff\"}"[..],
        b"{\"it\":\"\xc3\x28\"}",
        b"{\"it\":\"\xed\xa0\x80\"}",
        b"\xff\xfe{\0}\0",
        b"{\"\xff\":1}",
    ] {
        assert!(matches!(refused(body), Problem::InvalidJson(_)), "{body:?}");
    }
    // Spaces of JSON may stand around it.
    assert!(Object::of_body(b" \t\r\n{ } \n").is_ok());
}

/// A proxy and this reader could take different values for it.
#[test]
fn a_repeated_key_is_refused_at_any_depth() {
    for body in [
        r#"{"it":1,"it":1}"#,
        r#"{"it":1,"other":2,"it":null}"#,
        r#"{"it":1,"\u0069t":1}"#,
        r#"{"other":{"a":1,"a":2}}"#,
        r#"{"other":[[{"a":{"b":1,"b":1}}]]}"#,
    ] {
        let Problem::InvalidJson(why) = refused(body) else { panic!("{body}") };
        assert!(why.starts_with("a key is repeated at line 1 column "), "{why}");
    }
    // A key may stand in several objects.
    assert!(Object::of_body(br#"{"a":{"b":1},"b":[{"b":1},{"b":1}],"B":1}"#).is_ok());
}

#[test]
fn the_reason_quotes_nothing_of_the_body() {
    for (body, why) in [
        (r#"{"it": secret}"#, "a syntax error at line 1 column 8"),
        ("{\n \"it\": \"secret", "it ends too early at line 2 column 14"),
        (r#"{"secret":1,"secret":1}"#, "a key is repeated at line 1 column 23"),
        // Exact reading of numbers moves no place.
        (r#"{"a": [1e400, -0, 100000000000000000000], "it": secret}"#, "a syntax error at line 1 column 49"),
    ] {
        let Problem::InvalidJson(told) = refused(body) else { panic!("{body}") };
        assert_eq!(told, why);
    }
}

#[test]
fn nesting_ends_somewhere() {
    let nested = |depth: usize| format!("{{\"other\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(Object::of_body(nested(100).as_bytes()).is_ok());
    assert!(matches!(refused(nested(200)), Problem::InvalidJson(_)));
    assert!(matches!(refused("[".repeat(64 * 1024)), Problem::InvalidJson(_)));
}

#[test]
fn a_body_is_an_object() {
    for body in ["null", "true", "1", "\"{}\"", "[]", "[{}]"] {
        let Problem::Invalid(faults) = refused(body) else { panic!("{body}") };
        assert_eq!(placed(faults), [("body".to_owned(), Wrong::Type("an object"))], "{body}");
    }
    assert!(Object::of_body(b"{}").is_ok());
    assert!(Object::of_body(br#"{"nobody asked":[1.5,null]}"#).is_ok());
}

// ---- Members

#[test]
fn absent_null_and_a_value_are_three_things() {
    let (absent, null, value, bad) = (r#"{"IT":1}"#, r#"{"it":null}"#, r#"{"it":7}"#, r#"{"it":"7"}"#);
    let wrong = |wrong| vec![("it".to_owned(), wrong)];
    let is_bad = wrong(Wrong::Type("an integer"));

    let required = |body: &str| object(body).all(|it| it.required::<i64>("it")).map_err(placed);
    assert_eq!(required(absent), Err(wrong(Wrong::Missing)));
    assert_eq!(required(null), Err(wrong(Wrong::Null)));
    assert_eq!(required(value), Ok(7));
    assert_eq!(required(bad), Err(is_bad.clone()));

    let optional = |body: &str| object(body).all(|it| Ok(it.optional::<i64>("it"))).map_err(placed);
    assert_eq!(optional(absent), Ok(None));
    assert_eq!(optional(null), Err(wrong(Wrong::Null)));
    assert_eq!(optional(value), Ok(Some(7)));
    assert_eq!(optional(bad), Err(is_bad.clone()));

    let clearable = |body: &str| object(body).all(|it| Ok(it.clearable::<i64>("it"))).map_err(placed);
    assert_eq!(clearable(absent), Ok(Patch::Keep));
    assert_eq!(clearable(null), Ok(Patch::Clear));
    assert_eq!(clearable(value), Ok(Patch::Set(7)));
    assert_eq!(clearable(bad), Err(is_bad));
}

/// A reader that makes a value in spite of a fault gets an error.
#[test]
fn a_faulty_object_gives_no_value() {
    let ignoring = |read: fn(&mut Object) -> bool| object(r#"{"it":"7"}"#).all(|it| Ok(read(it))).map_err(placed);
    assert_eq!(ignoring(|it| it.is_sound()), Ok(true));
    let is_bad = [("it".to_owned(), Wrong::Type("an integer"))];
    assert_eq!(ignoring(|it| it.optional::<i64>("it").is_none()).unwrap_err(), is_bad);
    assert_eq!(ignoring(|it| it.clearable::<i64>("it").is_keep()).unwrap_err(), is_bad);
    assert_eq!(ignoring(|it| it.required::<i64>("it").is_err()).unwrap_err(), is_bad);
    let refuse = |it: &mut Object| {
        it.refuse(Fault::here(Wrong::Empty));
        it.is_sound()
    };
    assert_eq!(ignoring(refuse).unwrap_err(), [("body".to_owned(), Wrong::Empty)]);
    let elsewhere = object("{}").all(|it| it.join::<i64>(Err(Fault::here(Wrong::Uuid).within("path"))));
    assert_eq!(elsewhere, Err(vec![Fault::here(Wrong::Uuid).within("path")]));
}

#[test]
fn a_patch_of_a_list() {
    assert_eq!(Patch::<Vec<i64>>::Keep.value_or_default(), None);
    assert_eq!(Patch::<Vec<i64>>::Clear.value_or_default(), Some(Vec::new()));
    assert_eq!(Patch::Set(vec![1]).value_or_default(), Some(vec![1]));
    assert_eq!(Patch::Set(1).map(|it| it + 1), Patch::Set(2));
    assert_eq!(Patch::<i64>::Clear.map(|it| it + 1), Patch::Clear);
    assert_eq!(Patch::<Option<i64>>::Keep.flatten(), Patch::Keep);
    assert_eq!(Patch::<Option<i64>>::Clear.flatten(), Patch::Clear);
    assert_eq!(Patch::<Option<i64>>::Set(None).flatten(), Patch::Clear);
    assert_eq!(Patch::Set(Some(1)).flatten(), Patch::Set(1));
    assert!(Patch::<i64>::Keep.is_keep() && !Patch::<i64>::Clear.is_keep() && !Patch::Set(1).is_keep());
}

/// An object in a body.
#[derive(Debug, PartialEq)]
struct Inner {
    id: i64,
    labels: Option<Vec<Text<3>>>,
}

impl Wire for Inner {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|inner| {
            let (id, labels) = (inner.required("id"), inner.optional("labels"));
            Ok(Inner { id: id?, labels })
        })
    }
}

/// A body with members of each kind.
#[derive(Debug, PartialEq)]
struct Whole {
    name: Text<3>,
    number: Option<i64>,
    missing: Uuid,
    fine: Uuid,
    inner: Patch<Inner>,
    list: Option<Vec<Inner>>,
    table: Patch<Vec<Vec<i64>>>,
}

impl Whole {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (name, number, missing) = (body.required("name"), body.optional("number"), body.required("missing"));
        let (fine, inner, list) = (body.required("fine"), body.clearable("inner"), body.optional("list"));
        let table = body.clearable("table");
        Ok(Self { name: name?, number, missing: missing?, fine: fine?, inner, list, table })
    }
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let body = json!({
        "name": "four",
        "number": null,
        "fine": "726f6c65-6361-8002-8000-00000000002a",
        "inner": { "labels": ["ok", 7, null] },
        "list": [{ "id": 1 }, null, {}, { "id": "x", "labels": "y" }, []],
        "table": [[1, 2], [3, "4", null], 5],
    });
    let read = object(body.to_string()).all(|body| {
        assert!(body.is_sound());
        let read = Whole::read(body);
        assert!(!body.is_sound());
        let id = body.join::<i64>(Err(Fault::here(Wrong::Uuid).within("id").within("path")));
        body.refuse(Fault::here(Wrong::NothingOf("`a` and `b`")));
        body.refuse(Fault::here(Wrong::TooLong(50)).within("list"));
        Ok((read?, id?))
    });

    let faults = read.unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`name` must not be longer than 3",
            "`number` must not be null",
            "`missing` is required",
            "`inner.id` is required",
            "`inner.labels[1]` must be a string",
            "`inner.labels[2]` must not be null",
            "`list[1]` must not be null",
            "`list[2].id` is required",
            "`list[3].id` must be an integer",
            "`list[3].labels` must be an array",
            "`list[4]` must be an object",
            "`table[1][1]` must be an integer",
            "`table[1][2]` must not be null",
            "`table[2]` must be an array",
            "`id` must be a UUID",
            "the body must have at least one of `a` and `b`",
            "`list` must not be longer than 50",
        ]
    );
    let whole_place: Vec<Step> = vec!["body".into(), "list".into(), Step::Index(3), "labels".into()];
    assert_eq!(faults[9].place, whole_place);
}

#[test]
fn what_is_right_is_read() {
    fn read<T: Wire>(value: &Value) -> Result<T, Vec<(String, Wrong)>> {
        object(json!({ "it": value }).to_string()).all(|it| it.required("it")).map_err(placed)
    }
    assert_eq!(read::<Vec<i64>>(&json!([])), Ok(vec![]));
    assert_eq!(read::<Vec<Vec<i64>>>(&json!([[1], [], [2, 2]])), Ok(vec![vec![1], vec![], vec![2, 2]]));
    let inner = json!({ "id": 7, "labels": ["a"], "nobody asked": {} });
    assert_eq!(read::<Inner>(&inner), Ok(Inner { id: 7, labels: Some(vec![Text("a".to_owned())]) }));
    assert_eq!(read::<Inner>(&json!({ "id": 7 })), Ok(Inner { id: 7, labels: None }));
}
