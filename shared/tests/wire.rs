//! The types of values in a body: the texts, numbers and UUIDs that each of them takes.

use serde_json::{Value, json};
use shared::id::Uuid;
use shared::json::{MAX_SAFE_INTEGER, Object, Text, TextOrEmpty, Wire};
use shared::problem::Wrong;

fn read<T: Wire>(value: &Value) -> Result<T, Wrong> {
    read_in(json!({ "it": value }).to_string())
}

/// Reads the member `it` of a body, or returns its one fault.
fn read_in<T: Wire>(body: String) -> Result<T, Wrong> {
    let read =
        Object::of_body(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}")).all(|it| it.required("it"));
    read.map_err(|faults| match &faults[..] {
        [fault] if fault.to_string().starts_with("`it` ") => fault.wrong.clone(),
        _ => panic!("{body}: {faults:?}"),
    })
}

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
    // Characters that are only compatible stay apart.
    assert_eq!(text("ﬁ²").as_deref(), Ok("ﬁ²"));
    assert_eq!(text("日本").as_deref(), Ok("日本"));
}

#[test]
fn text_has_characters_and_not_too_many() {
    let text = |value: &str| read::<Text<4>>(&json!(value)).map(|text| text.0);
    for empty in ["", " ", "\t\n", "\u{a0}\u{2003}"] {
        assert_eq!(text(empty), Err(Wrong::Empty), "{empty:?}");
    }
    // The limit counts characters of Unicode after normalising, not bytes or halves of UTF-16: nine are four here.
    assert_eq!(text("ΩΩΩΩ").as_deref(), Ok("ΩΩΩΩ"));
    assert_eq!(text("😀😀😀😀").as_deref(), Ok("😀😀😀😀"));
    assert_eq!(text(" A\u{30a}A\u{30a}A\u{30a}A\u{30a}").as_deref(), Ok("ÅÅÅÅ"));
    assert_eq!(text("ABCDE"), Err(Wrong::TooLong(4)));
    assert_eq!(text("😀😀😀😀😀"), Err(Wrong::TooLong(4)));
    // A family is seven characters: four people and three joiners.
    assert_eq!(text("👨‍👩‍👧‍👦"), Err(Wrong::TooLong(4)));
    assert_eq!(read::<Text<7>>(&json!("👨‍👩‍👧‍👦")).map(|text| text.0).as_deref(), Ok("👨‍👩‍👧‍👦"));
    // Normalising can lengthen, too: this letter becomes three.
    assert_eq!(read::<Text<2>>(&json!("\u{fb2c}")), Err(Wrong::TooLong(2)));
}

#[test]
fn text_has_no_control_characters() {
    let controls = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
    for control in controls {
        assert_eq!(read::<Text<9>>(&json!(format!("a{control}b"))), Err(Wrong::ControlCharacter), "{control:?}");
    }
    // These turn the direction of the text up to their end: the text after `Ann` reads as `admin`.
    for control in "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars() {
        let text = format!("Ann {control}nimda");
        assert_eq!(read::<Text<99>>(&json!(text)), Err(Wrong::ControlCharacter), "{control:?}");
        assert_eq!(read::<TextOrEmpty<99>>(&json!(control)), Err(Wrong::ControlCharacter), "{control:?}");
    }
    // The control character comes first: it does more harm to a log than the length.
    assert_eq!(read::<Text<2>>(&json!("abc\0")), Err(Wrong::ControlCharacter));
}

/// Scripts and emoji need these characters, in the middle of a word or at its end.
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
    ] {
        assert_eq!(read::<Text<99>>(&json!(text)).map(|text| text.0).as_deref(), Ok(text), "{text:?}");
    }
    // A soft hyphen, and a space without a width.
    for text in ["Ann\u{ad}Lee", "Ann \u{200b}x"] {
        assert_eq!(read::<Text<99>>(&json!(text)), Err(Wrong::HiddenCharacter), "{text:?}");
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
        assert_eq!(read::<Text<99>>(&json!(text)), Err(Wrong::Empty), "{text:?}");
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
    assert_eq!(text("ABCDE"), Err(Wrong::TooLong(4)));
    assert_eq!(text(" \0 "), Err(Wrong::ControlCharacter));
    assert_eq!(read::<TextOrEmpty<4>>(&json!(7)), Err(Wrong::Type("a string")));
    assert_eq!(read::<TextOrEmpty<4>>(&json!([])), Err(Wrong::Type("a string")));
}

#[test]
fn text_is_a_string() {
    for value in [json!(1), json!(true), json!(["a"]), json!({ "a": "b" })] {
        assert_eq!(read::<Text<9>>(&value), Err(Wrong::Type("a string")), "{value}");
    }
    assert_eq!(read::<Text<9>>(&Value::Null), Err(Wrong::Null));
}

/// Reads a number from its text.
fn integer(text: &str) -> Result<i64, Wrong> {
    // A reader that mixes up numbers would take one of the others.
    read_in(format!(r#"{{"1.5":[2.50,1e1,"\"-0"],"it":{text},"\\":-0.0}}"#))
}

/// JSON Schema, and so `openapi.json`, asks for the value and not for the spelling.
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
        // Zero is zero, with any sign and any exponent.
        ("-0", 0),
        ("-0.0", 0),
        ("0e999999999999999999999999", 0),
        ("0.000e-5", 0),
        ("9007199254740991.0", MAX_SAFE_INTEGER),
        ("-9.007199254740991e15", -MAX_SAFE_INTEGER),
    ] {
        assert_eq!(integer(text), Ok(number), "{text}");
    }
    // A float would round these to integers.
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
        assert_eq!(integer(text), Err(Wrong::Type("an integer")), "{text}");
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
        assert_eq!(integer(text), Err(Wrong::OutOfRange(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)), "{text}");
    }
    // A member that nobody reads may be any number.
    assert!(Object::of_body(br#"{"other":[1e400,-1e-400,1.5,-0]}"#).is_ok());
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
        assert_eq!(integer(text), Err(Wrong::OutOfRange(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)), "{text}");
    }
    for text in ["\"1\"", "true", "[1]", "{}"] {
        assert_eq!(integer(text), Err(Wrong::Type("an integer")), "{text}");
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
    // A UUID need not be an id of ours.
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
        assert_eq!(read::<Uuid>(&json!(text)), Err(Wrong::Uuid), "{text}");
    }
    assert_eq!(read::<Uuid>(&json!(42)), Err(Wrong::Type("a string")));
}
