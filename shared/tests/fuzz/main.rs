//! Fuzz tests of what callers send as text: tokens, API keys, the parameters of lists, and bodies. Long, since each has inputs of its own.

#[path = "../samples/claims.rs"]
mod claims;
#[path = "../samples/event.rs"]
mod event;
#[path = "../../domain/tests/common/fuzz.rs"]
mod fuzz;
mod lines;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use claims::{NOW, claims};
use ed25519_dalek::{Signer, SigningKey};
use event::event;
use fuzz::fuzz;
use lambda_http::{Context, LambdaEvent};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shared::api_key::{self, ShownKey};
use shared::call::{MAX_BODY, Request};
use shared::credential::{Expected, Keys, Kind, LEEWAY, bearer, cookie, verify};
use shared::dialect::{DIRECTORY, USERS, directory, members};
use shared::domain::{Status, Time, role};
use shared::gate::MemberList;
use shared::id::{GroupId, KeyId, RoleId, TenantId, UserId};
use shared::json::{Digits, MAX_SAFE_INTEGER};
use shared::problem::{Problem, Wrong};
use shared::{Call, Dialect};

// ---- Texts that are a little wrong

type Edit = (Index, Index, String, u8);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let other = prop_oneof!["[A-Za-z0-9_.=-]{1,2}", "\\PC{1,2}"];
    vec((any::<Index>(), any::<Index>(), other, 0..4_u8), 0..4)
}

/// The place in a text that is the nearest to a share of it.
fn place(text: &str, at: Index) -> usize {
    (0..=at.index(text.len() + 1)).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// Removes a part of a text, inserts another, replaces a character, or puts the end first.
fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text = text.to_owned();
    for (from, to, other, kind) in edits {
        let (from, to) = (place(&text, *from), place(&text, *to));
        let (from, to) = (from.min(to), from.max(to));
        match kind {
            0 => text.replace_range(from..to, ""),
            1 => text.insert_str(from, other),
            2 => {
                let width = text[from..].chars().next().map_or(0, char::len_utf8);
                text.replace_range(from..from + width, other);
            }
            _ => text = text[from..].to_owned() + &text[..from],
        }
    }
    text
}

// ---- Tokens

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Signs any text as header and claims.
fn signed(header: &str, claims: &str) -> String {
    let input = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let signature = BASE64.encode(key().sign(input.as_bytes()).to_bytes());
    format!("{input}.{signature}")
}

/// Any JSON, and values that mean something in claims.
fn odd() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "access",
        "session",
        "rolecall",
        "https://rolecall.example",
        "acme",
        "7m3",
        "726f6c65-6361-8002-8000-00000000002a",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-100..100_i64).prop_map(|by| Value::from(NOW + by)),
        any::<f64>().prop_map(Value::from),
        select(texts.to_vec()).prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec(("[a-z]{0,3}", inner), 0..3).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A header and claims with some members of other values, or of none.
fn odd_parts() -> impl Strategy<Value = (String, String)> {
    let names = ["iss", "aud", "sub", "tid", "slug", "sid", "exp", "iat", "nbf", "typ", "started", "other"];
    let changes = vec((select(names.to_vec()), proptest::option::weighted(0.8, odd())), 0..4);
    let heads = vec((select(vec!["alg", "typ", "kid", "crit", "jwk"]), proptest::option::weighted(0.8, odd())), 0..2);
    (heads, changes).prop_map(|(heads, changes)| {
        let change = |mut value: Value, changes: Vec<(&str, Option<Value>)>| {
            for (name, other) in changes {
                match other {
                    Some(other) => value[name] = other,
                    None => drop(value.as_object_mut().map(|members| members.remove(name))),
                }
            }
            value.to_string()
        };
        (change(json!({ "alg": "EdDSA", "typ": "JWT", "kid": "ed" }), heads), change(claims(), changes))
    })
}

/// A token that nobody has signed is no token, and one that was signed says who calls and until when.
#[test]
fn fuzz_tokens() {
    let jwk =
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": BASE64.encode(key().verifying_key().as_bytes()) });
    let document = json!({ "keys": [jwk] }).to_string();
    let expected = Expected { issuer: "https://rolecall.example".to_owned(), audience: "rolecall".to_owned() };
    let good = signed(r#"{"alg":"EdDSA","typ":"JWT","kid":"ed"}"#, &claims().to_string());
    fuzz(&(edits(), odd_parts(), edits(), any::<bool>()), |(edits, (header, claims), again, is_access)| {
        // A new one each time, because it remembers the tokens that it has verified.
        let keys = Keys::parse(&document).unwrap();
        let kind = if is_access { Kind::Access } else { Kind::Session };
        let check = |token: &str| verify(token, kind, &keys, &expected, Time::from_millis(NOW * 1000));
        let forged = edited(&good, &edits);
        assert!(check(&forged).is_err() || forged == good && is_access, "{forged}");
        let token = signed(&header, &edited(&claims, &again));
        if let Ok(credential) = check(&token) {
            let claims = &credential.claims;
            assert_eq!(
                (claims.iss.as_str(), claims.aud.as_str(), claims.typ),
                ("https://rolecall.example", "rolecall", kind)
            );
            assert!(
                claims.exp > NOW - LEEWAY && claims.nbf <= NOW + LEEWAY && claims.iat <= NOW + LEEWAY,
                "{claims:?}"
            );
            assert_eq!(credential.tenant.uuid().to_string(), claims.tid.to_lowercase());
        }
        if let Some(token) = bearer(&forged) {
            assert!(!token.is_empty() && forged.contains(token) && !token.contains([' ', ',']), "{forged}");
        }
        if let Some(value) = cookie([forged.as_str(), &header], "a") {
            assert!(forged.contains(&format!("a={value}")) || header.contains(&format!("a={value}")), "{forged}");
        }
    });
}

/// A key that was not copied whole is no key, and what is one says what it was made of.
#[test]
fn fuzz_api_keys() {
    let environment = prop_oneof![4 => "[a-z0-9]{1,16}", 1 => "\\PC{0,3}"];
    let slug = prop_oneof![4 => Just("acme".to_owned()), 4 => "[a-z][a-z0-9-]{2,8}", 1 => "\\PC{0,3}"];
    let secret = prop_oneof![4 => "[A-Za-z0-9]{43}", 1 => "\\PC{0,43}"];
    let numbers = (1..2_147_483_647_u32, 1..2_147_483_647_u32, proptest::option::of(1..2_147_483_647_u32));
    fuzz(&(environment, slug, secret, numbers, edits()), |(environment, slug, secret, (tenant, id, maker), edits)| {
        let (tenant, id, maker) = (TenantId::new(tenant), KeyId::new(id), maker.map(UserId::new));
        let text = api_key::text(&environment, (tenant, &slug), (id, maker), &secret);
        let read = |text: &str| ShownKey::read(text).map(|it| (it.tenant, it.slug, it.id, it.maker));
        let is_word = |text: &str, other: fn(&u8) -> bool| text.bytes().all(|it| it.is_ascii_digit() || other(&it));
        let is_sound = is_word(&environment, u8::is_ascii_lowercase)
            && is_word(&secret, u8::is_ascii_alphabetic)
            && (1..=16).contains(&environment.len())
            && secret.len() == 43;
        match read(&text) {
            Some(shown) => assert_eq!(shown, (tenant, slug, id, maker), "{text}"),
            None => assert!(!(is_sound && slug == "acme"), "{text}"),
        }
        let other = edited(&text, &edits);
        assert!(other == text || read(&other).is_none(), "{text} {other}");
        assert!(read(&text).is_none() || ShownKey::is_meant(&text));
    });
}

// ---- Parameters of lists

/// A request with these parameters and this body.
fn call(dialect: &'static Dialect, query: &str, body: &str) -> Call {
    call_with(dialect, query, ("application/json", body))
}

fn call_with(dialect: &'static Dialect, query: &str, (content_type, body): (&str, &str)) -> Call {
    let mut event = event();
    event["rawQueryString"] = query.into();
    event["headers"] = json!({ "content-type": content_type });
    event["body"] = body.into();
    let request: Request = serde_json::from_str(&event.to_string()).unwrap();
    Call::new(dialect, LambdaEvent::new(request, Context::default()))
}

/// A query, with names that lists know, values that some of them take, and parts that are not well written.
fn query() -> impl Strategy<Value = String> {
    let names = [
        "limit",
        "cursor",
        "role",
        "status",
        "group",
        "sort",
        "q",
        "email",
        "filters",
        "search",
        "sort_by_key",
        "sort_order",
        "page",
    ];
    let values = [
        "1",
        "200",
        "201",
        "active",
        "INVITED",
        "deactivated",
        "-name",
        "id",
        "desc",
        "1%7C2",
        "%00",
        "%ff",
        "%",
        "+",
        "0",
        "-1",
    ];
    let known = (select(vec!["role", "status", "group", "email"]), vec(select(vec!["0", "1", "2", "1", "2"]), 1..15))
        .prop_map(|(field, values)| format!("{field}:in:{}", values.join("|")));
    let filter = prop_oneof![
        known,
        ("role|status|group|email|[a-z]{0,4}", "eq|in|[a-z]{0,3}", "[0-3]?[A-Z]{0,6}(\\|[0-3]?[A-Z]{0,6}){0,3}")
            .prop_map(|(field, operator, values)| format!("{field}:{operator}:{values}")),
    ];
    let value = prop_oneof![
        3 => select(values.to_vec()).prop_map(str::to_owned),
        3 => filter,
        1 => "\\PC{0,12}",
        1 => "[a-z|:]{0,600}",
    ];
    let name = prop_oneof![6 => select(names.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,4}"];
    vec((name, value), 0..6).prop_map(|pairs| {
        pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    })
}

/// What every list must be, whoever has asked for it.
fn is_sound(list: &MemberList) {
    assert!(list.statuses.len() <= 10 && list.groups.len() <= 10 && list.built_in.len() <= 10);
    for text in [&list.role, &list.email, &list.beginning].into_iter().flatten() {
        assert!(!text.is_empty() && text.trim() == text && !text.contains('\0'), "{text:?}");
    }
}

/// A faulty parameter is named, and a good one leads to a list with bounds.
#[test]
fn fuzz_list_parameters() {
    fuzz(&query(), |query| {
        let call = call(&USERS, &query, "");
        let read = call.parameters().all(|query| {
            let group = |group: Digits| group.id();
            Ok((members::wanted(query, group), call.page(query)))
        });
        match read {
            Ok((list, page)) => {
                is_sound(&list);
                assert!((1..=200).contains(&page.limit), "{query}");
            }
            Err(faults) => assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.place.is_empty()), "{query}"),
        }
    });
}

/// The filters of `directory` are read as they are written: written anew, they are the same.
#[test]
fn fuzz_directory_filters() {
    let read = |query: &str| {
        let call = call(&DIRECTORY, query, "");
        call.parameters_with_several("filters").all(|query| Ok(directory::wanted(query)))
    };
    let written = |list: &MemberList| {
        let role = |id: &RoleId| role::BUILT_IN.iter().position(|it| it == id).map_or(0, |at| at + 1).to_string();
        let status = |status: &Status| match status {
            Status::Invited => "UNKNOWN".to_owned(),
            Status::Active => "ACTIVE".to_owned(),
            Status::Deactivated => "DEACTIVE".to_owned(),
        };
        let group = |group: &Option<GroupId>| group.map_or("0".to_owned(), |it| it.to_string());
        let filters = [
            ("role", list.built_in.iter().map(role).collect::<Vec<_>>()),
            ("status", list.statuses.iter().map(status).collect()),
            ("group", list.groups.iter().map(group).collect()),
        ];
        let filters = filters.into_iter().filter(|(_, values)| !values.is_empty());
        filters
            .map(|(field, values)| format!("filters={field}:in:{}", values.join("%7C")))
            .collect::<Vec<_>>()
            .join("&")
    };
    fuzz(&query(), |query| match read(&query) {
        Ok(list) => {
            is_sound(&list);
            let again = read(&written(&list)).unwrap_or_else(|why| panic!("{query}: {why:?}"));
            let filters = |list: &MemberList| (list.built_in.clone(), list.statuses.clone(), list.groups.clone());
            assert_eq!(filters(&again), filters(&list), "{query}");
        }
        Err(faults) => assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.place.is_empty()), "{query}"),
    });
}

// ---- Bodies

/// A body is read as JSON is, but for what is refused: repeated names, and values that are no object.
#[test]
fn fuzz_json_bodies() {
    let odd = prop_oneof![
        odd().prop_map(|it| it.to_string()),
        select(vec!["1e400", "-0", "01", "\"\\ud800\"", "NaN", "1.", "{\"a\":1,\"a\":2}", "\u{feff}1", "\"\t\""])
            .prop_map(str::to_owned),
        (select(vec![("[", "]"), ("{\"a\":", "}")]), 0..300_usize).prop_map(|((open, close), times)| format!(
            "{}1{}",
            open.repeat(times),
            close.repeat(times)
        )),
    ];
    let members = vec(("[a-c]{1,2}", odd), 0..4);
    let body = (members, edits()).prop_map(|(members, edits)| {
        let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        edited(&format!("{{{}}}", members.join(",")), &edits)
    });
    fuzz(&body, |body| {
        let is_json = serde_json::from_str::<IgnoredAny>(&body).is_ok();
        let call = call(&USERS, "", &body);
        match call.body(MAX_BODY) {
            Ok(object) => {
                assert!(is_json && body.trim_start().starts_with('{'), "{body}");
                let read = object.all(|object| Ok((object.optional::<i64>("a"), object.optional::<Vec<bool>>("b"))));
                let faults = read.err().unwrap_or_default();
                assert!(faults.iter().all(|fault| !fault.place.is_empty()), "{body}: {faults:?}");
            }
            Err(why) => {
                // What is written as it is read has no name twice.
                let written = serde_json::from_str(&body).ok().filter(Value::is_object).map(|value| value.to_string());
                assert_ne!(written, Some(body.clone()), "{why}");
            }
        }
    });
}

/// An integer is the number that is written, however it is written.
#[test]
fn fuzz_integers() {
    let number = ("-?", "0|[1-9][0-9]{0,9}", "(\\.[0-9]{1,6})?", proptest::option::of(-12..12_i32));
    fuzz(&number, |(sign, whole, fraction, exponent)| {
        let digits = fraction.trim_start_matches('.');
        let shift = exponent.unwrap_or(0) - i32::try_from(digits.len()).unwrap();
        let all: i128 = format!("{whole}{digits}").parse().unwrap();
        let scale = 10_i128.pow(shift.unsigned_abs());
        let (value, rest) = if shift < 0 { (all / scale, all % scale) } else { (all * scale, 0) };
        let value = if sign.is_empty() { value } else { -value };
        let expected = match i64::try_from(value) {
            _ if rest != 0 => Err(Wrong::Type("an integer")),
            Ok(value) if value.abs() <= MAX_SAFE_INTEGER => Ok(value),
            _ => Err(Wrong::OutOfRange(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)),
        };
        let exponent = exponent.map_or(String::new(), |it| format!("e{it}"));
        let body = format!("{{\"it\":{sign}{whole}{fraction}{exponent}}}");
        let object = call(&USERS, "", &body).body(MAX_BODY).unwrap();
        let read = object.all(|object| object.required::<i64>("it")).map_err(|faults| faults[0].wrong.clone());
        assert_eq!(read, expected, "{body}");
    });
}
