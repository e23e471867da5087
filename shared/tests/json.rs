//! Reading a body: what is no JSON, what each type takes, and that all that is wrong is told with its place.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::Problem;
use shared::id::Uuid;
use shared::json::{
    self, Clearable, Faults, Field, MAX_SAFE_INTEGER, Must, Optional, Patch, Required, Text, TextOrEmpty, Wire,
};
use shared::problem::{Fault, Step, Wrong, dotted};

/// A body with one field.
#[derive(Deserialize)]
#[serde(bound = "T: Wire")]
struct Body<T, P = Must> {
    #[serde(default)]
    it: Field<T, P>,
}

/// What a body is refused for.
fn refused(body: impl AsRef<[u8]>) -> Problem {
    match json::read::<Body<Text<9>>>(body.as_ref()) {
        Ok(_) => panic!("`{}` was read", String::from_utf8_lossy(body.as_ref())),
        Err(problem) => problem,
    }
}

fn read<T: Wire>(value: &Value) -> Result<T, Vec<(String, Wrong)>> {
    let body: Body<T> = json::read(json!({ "it": value }).to_string().as_bytes()).unwrap();
    let mut faults = Faults::default();
    let read = faults.required("it", body.it);
    match faults.check() {
        Ok(()) => Ok(read.unwrap()),
        Err(problem) => Err(placed(problem)),
    }
}

/// Where in a body what is wrong.
fn placed(problem: Problem) -> Vec<(String, Wrong)> {
    let Problem::Invalid(faults) = problem else { panic!("{problem}") };
    let place = |fault: Fault| {
        assert_eq!(fault.place.first(), Some(&Step::from("body")));
        (dotted(&fault.place), fault.wrong)
    };
    faults.into_iter().map(place).collect()
}

fn wrong<T>(wrong: Wrong) -> Result<T, Vec<(String, Wrong)>> {
    Err(vec![("it".to_owned(), wrong)])
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
    // The spaces that JSON knows may stand around it.
    assert!(json::read::<Body<Text<9>>>(b" \t\r\n{ } \n").is_ok());
}

/// Whose values a proxy and this reader would take differently.
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
    // In another object it is another key.
    assert!(json::read::<Body<Text<9>>>(br#"{"a":{"b":1},"b":[{"b":1},{"b":1}],"B":1}"#).is_ok());
}

#[test]
fn the_reason_quotes_nothing_of_the_body() {
    for (body, why) in [
        (r#"{"it": secret}"#, "a syntax error at line 1 column 8"),
        ("{\n \"it\": \"secret", "it ends too early at line 2 column 14"),
        (r#"{"secret":1,"secret":1}"#, "a key is repeated at line 1 column 23"),
        // Nor does reading numbers move a place.
        (r#"{"a": [1e400, -0, 100000000000000000000], "it": secret}"#, "a syntax error at line 1 column 49"),
    ] {
        let Problem::InvalidJson(told) = refused(body) else { panic!("{body}") };
        assert_eq!(told, why);
    }
}

#[test]
fn nesting_ends_somewhere() {
    let nested = |depth: usize| format!("{{\"other\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(json::read::<Body<Text<9>>>(nested(100).as_bytes()).is_ok());
    assert!(matches!(refused(nested(200)), Problem::InvalidJson(_)));
    assert!(matches!(refused("[".repeat(64 * 1024)), Problem::InvalidJson(_)));
}

#[test]
fn a_body_is_an_object() {
    for body in ["null", "true", "1", "\"{}\"", "[]", "[{}]"] {
        assert_eq!(placed(refused(body)), [("body".to_owned(), Wrong::Type("an object"))], "{body}");
    }
    assert!(json::read::<Body<Text<9>>>(b"{}").is_ok());
    assert!(json::read::<Body<Text<9>>>(br#"{"nobody asked":[1.5,null]}"#).is_ok());
}

// ---- Absent, null and a value

#[test]
fn absent_null_and_a_value_are_three_things() {
    fn field<P>(body: &str) -> Field<i64, P> {
        json::read::<Body<i64, P>>(body.as_bytes()).unwrap().it
    }
    let (absent, null, value, bad) = (r#"{"IT":1}"#, r#"{"it":null}"#, r#"{"it":7}"#, r#"{"it":"7"}"#);
    let is_bad = vec![("it".to_owned(), Wrong::Type("an integer"))];

    let required = |body| {
        let mut faults = Faults::default();
        let it = faults.required("it", field(body));
        faults.check().map(|()| it).map_err(placed)
    };
    assert_eq!(required(absent), wrong(Wrong::Missing));
    assert_eq!(required(null), wrong(Wrong::Null));
    assert_eq!(required(value), Ok(Some(7)));
    assert_eq!(required(bad), Err(is_bad.clone()));

    let optional = |body| {
        let mut faults = Faults::default();
        let it = faults.optional("it", field(body));
        faults.check().map(|()| it).map_err(placed)
    };
    assert_eq!(optional(absent), Ok(None));
    assert_eq!(optional(null), wrong(Wrong::Null));
    assert_eq!(optional(value), Ok(Some(7)));
    assert_eq!(optional(bad), Err(is_bad.clone()));

    let clearable = |body| {
        let mut faults = Faults::default();
        let it = faults.clearable("it", field(body));
        faults.check().map(|()| it).map_err(placed)
    };
    assert_eq!(clearable(absent), Ok(Patch::Keep));
    assert_eq!(clearable(null), Ok(Patch::Clear));
    assert_eq!(clearable(value), Ok(Patch::Set(7)));
    assert_eq!(clearable(bad), Err(is_bad));
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

/// An object in a body, read as the functions do.
#[derive(Debug, PartialEq)]
struct Inner {
    id: i64,
    labels: Option<Vec<Text<3>>>,
}

impl Wire for Inner {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object {
            id: Required<i64>,
            labels: Optional<Vec<Text<3>>>,
        }
        let Object { id, labels } = json::object(value)?;
        let mut faults = Faults::default();
        let (id, labels) = (faults.required("id", id), faults.optional("labels", labels));
        match id {
            Some(id) if faults.0.is_empty() => Ok(Inner { id, labels }),
            _ => Err(faults.nested()),
        }
    }
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Whole {
        name: Required<Text<3>>,
        number: Optional<i64>,
        missing: Required<Uuid>,
        fine: Required<Uuid>,
        inner: Clearable<Inner>,
        list: Optional<Vec<Inner>>,
        table: Clearable<Vec<Vec<i64>>>,
    }
    let body = json!({
        "name": "four",
        "number": null,
        "fine": "726f6c65-6361-8002-8000-00000000002a",
        "inner": { "labels": ["ok", 7, null] },
        "list": [{ "id": 1 }, null, {}, { "id": "x", "labels": "y" }, []],
        "table": [[1, 2], [3, "4", null], 5],
    });
    let whole: Whole = json::read(body.to_string().as_bytes()).unwrap();
    let mut faults = Faults::default();
    faults.required("name", whole.name);
    faults.optional("number", whole.number);
    faults.required("missing", whole.missing);
    assert!(faults.required("fine", whole.fine).is_some());
    faults.clearable("inner", whole.inner);
    faults.optional("list", whole.list);
    faults.clearable("table", whole.table);
    faults.add(["path", "id"], Wrong::Uuid);
    faults.add(["body"], Wrong::NothingOf("`a` and `b`"));

    let Err(Problem::Invalid(faults)) = faults.check() else { panic!("nothing was wrong") };
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
        ]
    );
    let whole_place: Vec<Step> = vec!["body".into(), "list".into(), Step::Index(3), "labels".into()];
    assert_eq!(faults[9].place, whole_place);
}

#[test]
fn what_is_right_is_read() {
    assert_eq!(read::<Vec<i64>>(&json!([])), Ok(vec![]));
    assert_eq!(read::<Vec<Vec<i64>>>(&json!([[1], [], [2, 2]])), Ok(vec![vec![1], vec![], vec![2, 2]]));
    let inner = json!({ "id": 7, "labels": ["a"], "nobody asked": {} });
    assert_eq!(read::<Inner>(&inner), Ok(Inner { id: 7, labels: Some(vec![Text("a".to_owned())]) }));
    assert_eq!(read::<Inner>(&json!({ "id": 7 })), Ok(Inner { id: 7, labels: None }));
}

// ---- The types

#[test]
fn text_is_trimmed_and_normalised() {
    let text = |value: &str| read::<Text<4>>(&json!(value)).map(|text| text.0);
    assert_eq!(text("Ann").as_deref(), Ok("Ann"));
    assert_eq!(text("  Ann\t\r\n").as_deref(), Ok("Ann"));
    assert_eq!(text("\u{a0}\u{2003}Ann\u{3000}\u{2028}").as_deref(), Ok("Ann"));
    assert_eq!(text("A  n").as_deref(), Ok("A  n"));
    // Å as A with a ring, as the letter, and as the sign of the ångström.
    for spelling in ["A\u{30a}", "\u{c5}", "\u{212b}"] {
        assert_eq!(text(spelling).as_deref(), Ok("\u{c5}"));
    }
    // Compatible is not the same: what looks alike stays apart.
    assert_eq!(text("ﬁ²").as_deref(), Ok("ﬁ²"));
    assert_eq!(text("日本").as_deref(), Ok("日本"));
}

#[test]
fn text_has_characters_and_not_too_many() {
    let text = |value: &str| read::<Text<4>>(&json!(value)).map(|text| text.0);
    for empty in ["", " ", "\t\n", "\u{a0}\u{2003}"] {
        assert_eq!(text(empty), wrong(Wrong::Empty), "{empty:?}");
    }
    // Characters of Unicode count, not bytes and not UTF-16's halves, and after normalising: nine are four here.
    assert_eq!(text("ΩΩΩΩ").as_deref(), Ok("ΩΩΩΩ"));
    assert_eq!(text("😀😀😀😀").as_deref(), Ok("😀😀😀😀"));
    assert_eq!(text(" A\u{30a}A\u{30a}A\u{30a}A\u{30a}").as_deref(), Ok("ÅÅÅÅ"));
    assert_eq!(text("ABCDE"), wrong(Wrong::TooLong(4)));
    assert_eq!(text("😀😀😀😀😀"), wrong(Wrong::TooLong(4)));
    // A family is seven: four people and what joins them.
    assert_eq!(text("👨‍👩‍👧‍👦"), wrong(Wrong::TooLong(4)));
    assert_eq!(read::<Text<7>>(&json!("👨‍👩‍👧‍👦")).map(|text| text.0).as_deref(), Ok("👨‍👩‍👧‍👦"));
    // Normalising can lengthen, too: this one letter becomes three, and is still measured afterwards.
    assert_eq!(read::<Text<2>>(&json!("\u{fb2c}")), wrong(Wrong::TooLong(2)));
}

#[test]
fn text_has_no_control_characters() {
    let controls = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
    for control in controls {
        assert_eq!(read::<Text<9>>(&json!(format!("a{control}b"))), wrong(Wrong::ControlCharacter), "{control:?}");
    }
    // Those that turn the direction of text up to their end: what follows `Ann` here reads as `admin`.
    for control in "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
        let text = format!("Ann {control}nimda");
        assert_eq!(read::<Text<99>>(&json!(text)), wrong(Wrong::ControlCharacter), "{control:?}");
        assert_eq!(read::<TextOrEmpty<99>>(&json!(control)), wrong(Wrong::ControlCharacter), "{control:?}");
    }
    // It is told before the length: what it does to a log is worse.
    assert_eq!(read::<Text<2>>(&json!("abc\0")), wrong(Wrong::ControlCharacter));
}

/// What scripts and emoji are written with, in the middle of a word or at its end.
#[test]
fn text_keeps_what_joins_and_marks() {
    for text in [
        // Persian, with a non-joiner; Malayalam, with a joiner at the end; Mongolian, with a selector.
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
        "\u{d05}\u{d35}\u{d28}\u{d4d}\u{200d}",
        "\u{1820}\u{180b}",
        // Marks of direction beside a point and a number.
        "\u{5d0}\u{5d1}\u{200f}.\u{200e} (3)\u{61c}",
        // A red heart, an astronaut, the flag of Scotland.
        "\u{2764}\u{fe0f}",
        "\u{1f469}\u{200d}\u{1f680}",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        // A soft hyphen, and a space without a width.
        "Ann\u{ad}Lee \u{200b}x",
    ] {
        assert_eq!(read::<Text<99>>(&json!(text)).map(|text| text.0).as_deref(), Ok(text), "{text:?}");
    }
}

#[test]
fn text_of_nothing_that_is_visible_is_empty() {
    for text in [
        "\u{200b}",
        "\u{200c}\u{200d}\u{2060}\u{feff}",
        "\u{200e}\u{200f}\u{61c}",
        "\u{ad}\u{34f}\u{180e}\u{fe0f}",
        // Fillers of Hangul, selectors and tags.
        "\u{3164}\u{115f}\u{1160}\u{ffa0}",
        "\u{e0100}\u{e0067}\u{e007f}\u{1d173}",
        " \u{200b} \u{a0}\u{2063} ",
    ] {
        assert_eq!(read::<Text<99>>(&json!(text)), wrong(Wrong::Empty), "{text:?}");
        assert_eq!(read::<TextOrEmpty<99>>(&json!(text)), Ok(TextOrEmpty(None)), "{text:?}");
    }
}

#[test]
fn an_empty_text_can_be_none() {
    let text = |value: &str| read::<TextOrEmpty<4>>(&json!(value)).map(|text| text.0);
    for empty in ["", " ", "\t\u{a0}\u{2003}\n"] {
        assert_eq!(text(empty), Ok(None), "{empty:?}");
    }
    assert_eq!(text(" Ann "), Ok(Some("Ann".to_owned())));
    assert_eq!(text("ABCDE"), wrong(Wrong::TooLong(4)));
    assert_eq!(text(" \0 "), wrong(Wrong::ControlCharacter));
    assert_eq!(read::<TextOrEmpty<4>>(&json!(7)), wrong(Wrong::Type("a string")));
    assert_eq!(read::<TextOrEmpty<4>>(&json!([])), wrong(Wrong::Type("a string")));
}

#[test]
fn text_is_a_string() {
    for value in [json!(1), json!(true), json!(["a"]), json!({ "a": "b" })] {
        assert_eq!(read::<Text<9>>(&value), wrong(Wrong::Type("a string")), "{value}");
    }
    assert_eq!(read::<Text<9>>(&Value::Null), wrong(Wrong::Null));
}

/// Reads a number as it is written.
fn integer(text: &str) -> Result<i64, Vec<(String, Wrong)>> {
    // Around it is what a number of which something was changed could be taken for.
    let body = format!(r#"{{"1.5":[2.50,1e1,"\"-0"],"it":{text},"\\":-0.0}}"#);
    let body: Body<i64> = json::read(body.as_bytes()).unwrap();
    let mut faults = Faults::default();
    let it = faults.required("it", body.it);
    faults.check().map(|()| it.unwrap()).map_err(placed)
}

/// To JSON Schema, and so to `openapi.json`, it is the value that counts, and not how it is written.
#[test]
fn a_number_without_a_fraction_is_an_integer_however_it_is_written() {
    for (text, number) in [
        ("1.0", 1),
        ("1e0", 1),
        ("1E+0", 1),
        ("10e-1", 1),
        ("0.1e1", 1),
        ("1.000000000000000000000000000000000000000000000000000000000000000", 1),
        ("100000000000000000000e-20", 1),
        ("0.000000000000000000000000000000001e33", 1),
        ("1e00000000000000000000000000000000000", 1),
        ("-1.50e2", -150),
        ("1e3", 1000),
        // Nothing is nothing, whatever its sign and its power.
        ("-0", 0),
        ("-0.0", 0),
        ("0e999999999999999999999999", 0),
        ("0.000e-5", 0),
        ("9007199254740991.0", MAX_SAFE_INTEGER),
        ("-9.007199254740991e15", -MAX_SAFE_INTEGER),
    ] {
        assert_eq!(integer(text), Ok(number), "{text}");
    }
    // These would be integers, were they rounded to a float.
    for text in [
        "1.0000000000000000001",
        "0.99999999999999999999",
        "9007199254740990.9999999999",
        "4503599627370497.50000000000000000001",
        "1e-400",
        "1e-99999999999999999999999",
        "1.5",
        "15e-1",
        "-0.5",
    ] {
        assert_eq!(integer(text), wrong(Wrong::Type("an integer")), "{text}");
    }
    for text in [
        "9007199254740993.0",
        "9007199254740992.0",
        "9.007199254740992e15",
        "1e16",
        "1e30",
        "1e400",
        "-1e400",
        "1e99999999999999999999999",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "18446744073709551616.0",
        &"9".repeat(400),
        &format!("-{}.0", "9".repeat(400)),
    ] {
        assert_eq!(integer(text), wrong(Wrong::OutOfRange(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)), "{text}");
    }
    // What no field reads may be any number.
    assert!(json::read::<Body<Text<9>>>(br#"{"other":[1e400,-1e-400,1.5,-0]}"#).is_ok());
}

#[test]
fn an_integer_is_one_that_everybody_can_hold() {
    assert_eq!(MAX_SAFE_INTEGER, 9_007_199_254_740_991);
    for (text, number) in
        [("0", 0), ("-1", -1), ("9007199254740991", MAX_SAFE_INTEGER), ("-9007199254740991", -MAX_SAFE_INTEGER)]
    {
        assert_eq!(integer(text), Ok(number));
    }
    for text in
        ["9007199254740992", "-9007199254740992", "9223372036854775807", "-9223372036854775808", "18446744073709551615"]
    {
        assert_eq!(integer(text), wrong(Wrong::OutOfRange(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)), "{text}");
    }
    for text in ["\"1\"", "true", "[1]", "{}"] {
        assert_eq!(integer(text), wrong(Wrong::Type("an integer")), "{text}");
    }
}

#[test]
fn a_uuid_has_one_form_in_any_case() {
    let id = Uuid::from_u128(0x726f_6c65_6361_8002_8000_0000_0000_002a);
    for text in [
        "726f6c65-6361-8002-8000-00000000002a",
        "726F6C65-6361-8002-8000-00000000002A",
        " 726f6c65-6361-8002-8000-00000000002a\n",
    ] {
        assert_eq!(read::<Uuid>(&json!(text)), Ok(id), "{text}");
    }
    // Whose it is, if it is anybody's, is not asked here.
    assert!(read::<Uuid>(&json!("00000000-0000-0000-0000-000000000000")).is_ok());
    for text in [
        "",
        "42",
        "726f6c65636180028000000000000002a",
        "726f6c6563618002800000000000002a",
        "{726f6c65-6361-8002-8000-00000000002a}",
        "urn:uuid:726f6c65-6361-8002-8000-00000000002a",
        "726f6c65-6361-8002-8000-00000000002",
        "726f6c65-6361-8002-8000-00000000002g",
        "726f6c656-361-8002-8000-00000000002a",
        "726f6c65_6361_8002_8000_00000000002a",
        "726f6c65-6361-8002-8000-0000000000２",
    ] {
        assert_eq!(read::<Uuid>(&json!(text)), wrong(Wrong::Uuid), "{text}");
    }
    assert_eq!(read::<Uuid>(&json!(42)), wrong(Wrong::Type("a string")));
}
