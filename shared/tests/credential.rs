//! Tokens, key sets, and the headers that carry tokens: the good ones, and all bad ones.
//!
//! Long, since its tests share the making of keys and of tokens with every flaw.

#[path = "samples/claims.rs"]
mod samples;

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use samples::{NOW, claims};
use serde_json::{Value, json};
use shared::Problem;
use shared::credential::{
    self, Credential, Expected, Holder, Keys, Kind, LEEWAY, MAX_SESSION_ID, MAX_TOKEN, MAX_VERIFIED, bearer, cookie,
    verify,
};
use shared::domain::Time;
use shared::domain::session::Impersonator;
use shared::id::{KeyId, MembershipId, TenantId, UserId};

// The key of RFC 7515, appendix A.3.
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const P256_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

fn ed25519() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn p256() -> EcdsaKeyPair {
    let point = [&[4], BASE64.decode(P256_X).unwrap().as_slice(), &BASE64.decode(P256_Y).unwrap()].concat();
    let secret = BASE64.decode(P256_D).unwrap();
    let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
    EcdsaKeyPair::from_private_key_and_public_key(by, &secret, &point, &SystemRandom::new()).unwrap()
}

fn ed25519_jwk(kid: &str, x: &[u8]) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": BASE64.encode(x) })
}

fn p256_jwk(kid: &str) -> Value {
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": P256_X, "y": P256_Y })
}

fn key_set(keys: &[Value]) -> Result<Keys, String> {
    Keys::parse(&json!({ "keys": keys }).to_string())
}

static KEYS: LazyLock<Keys> =
    LazyLock::new(|| key_set(&[ed25519_jwk("ed", ed25519().verifying_key().as_bytes()), p256_jwk("ec")]).unwrap());

fn expected() -> Expected {
    Expected { issuer: "https://rolecall.example".to_owned(), audience: "rolecall".to_owned() }
}

fn check(token: &str, kind: Kind) -> Result<Credential, Problem> {
    verify(token, kind, &KEYS, &expected(), Time::from_millis(NOW * 1000))
}

/// The reason to refuse an access token. It is for the log; here it tells one case from another.
#[track_caller]
fn refused(token: &str) -> &'static str {
    match check(token, Kind::Access) {
        Ok(credential) => panic!("{token} is good for {credential:?}"),
        Err(Problem::Unauthenticated(why)) => why,
        Err(problem) => panic!("{token}: {problem}"),
    }
}

const UNVERIFIED: &str = "a token whose signature, issuer or audience is wrong";
const CLAIMS: &str = "a token with a missing, repeated or malformed claim";
const HEADER: &str = "a malformed token header";
const EXTENDED: &str = "a token header with `crit` or a foreign `typ`";
const UNKNOWN: &str = "a token of an unknown key";
const EXPIRED: &str = "an expired token";
const EARLY: &str = "a token that is not valid yet";
const OTHER_KIND: &str = "a token of the other kind";
const NOBODY: &str = "a token with a malformed `sub` or `tid`";
const NO_SLUG: &str = "a token with a malformed `slug`";
const NO_SESSION: &str = "a token whose `sid` is empty, too long, or not of visible ASCII";
const LONG: &str = "a token that is too long";

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "JWT", "kid": "ed" })
}

/// Signs any text as header and claims, with the key that the name says.
fn sign(key: &str, header: &str, claims: &str) -> String {
    signed(key, &format!("{}.{}", BASE64.encode(header), BASE64.encode(claims)))
}

fn signed(key: &str, input: &str) -> String {
    let signature = match key {
        "ed" => BASE64.encode(ed25519().sign(input.as_bytes()).to_bytes()),
        "ec" => BASE64.encode(p256().sign(&SystemRandom::new(), input.as_bytes()).unwrap()),
        _ => BASE64.encode(SigningKey::from_bytes(&[8; 32]).sign(input.as_bytes()).to_bytes()),
    };
    format!("{input}.{signature}")
}

/// A token with these claims, otherwise good.
fn token(claims: &Value) -> String {
    sign("ed", &header().to_string(), &claims.to_string())
}

/// A token with this header, otherwise good.
fn headed(header: &Value) -> String {
    sign("ed", &header.to_string(), &claims().to_string())
}

// ---- Good ones

#[test]
fn good_tokens_say_who_calls() {
    let credential = Credential {
        holder: Holder::Member(UserId::new(42)),
        tenant: TenantId::new(1),
        slug: "acme".to_owned(),
        session: "session-1".to_owned(),
        issued: NOW - 60,
        impersonator: None,
        kind: Kind::Access,
        claims: serde_json::from_value(claims()).map(Arc::new).unwrap(),
    };
    assert_eq!(check(&token(&claims()), Kind::Access).unwrap(), credential);
    let es256 = sign("ec", r#"{"alg":"ES256","kid":"ec"}"#, &claims().to_string());
    assert_eq!(check(&es256, Kind::Access).unwrap(), credential);
    let claims = with(claims(), "typ", "session");
    let session = Credential {
        kind: Kind::Session,
        claims: serde_json::from_value(claims.clone()).map(Arc::new).unwrap(),
        ..credential
    };
    assert_eq!(check(&token(&claims), Kind::Session).unwrap(), session);
    assert_eq!(credential::kid(&es256).unwrap(), "ec");
}

#[test]
fn a_token_says_who_acts_as_the_member() {
    let act = json!({ "sub": UserId::new(7).uuid(), "sid": "session-7" });
    let acted = with(with(claims(), "started", NOW - 90), "act", act.clone());
    let by = check(&token(&acted), Kind::Access).unwrap();
    assert_eq!((by.holder, by.session.as_str()), (Holder::Member(UserId::new(42)), "session-1"));
    let expected = Impersonator { member: UserId::new(7), session: "session-7".to_owned(), since: NOW - 90 };
    assert_eq!(by.impersonator, Some(expected));
    for wrong in [
        json!({ "sub": UserId::new(7).uuid() }),
        json!({ "sid": "session-7" }),
        with(act.clone(), "sub", "7"),
        with(act.clone(), "sid", ""),
        with(act.clone(), "sid", "s 7"),
        json!("7"),
        json!([]),
    ] {
        assert!(check(&token(&with(claims(), "act", wrong.clone())), Kind::Access).is_err(), "{wrong}");
    }
    // Nobody acts as an API key.
    let key = with(claims(), "sub", KeyId::new(3).uuid_in(TenantId::new(1)).to_string());
    let key = with(key, "sid", shared::api_key::name(KeyId::new(3), None));
    assert!(check(&token(&key), Kind::Access).is_ok());
    assert!(check(&token(&with(key, "act", act)), Kind::Access).is_err());
}

#[test]
fn what_is_not_ours_to_judge_is_ignored() {
    for claims in [
        with(claims(), "roles", json!(["owner"])),
        with(claims(), "azp", "somebody"),
        with(claims(), "sub", UserId::new(42).uuid().to_string().to_uppercase()),
        with(claims(), "exp", i64::MAX),
    ] {
        assert_eq!(check(&token(&claims), Kind::Access).unwrap().holder, Holder::Member(UserId::new(42)), "{claims}");
    }
    for header in [
        json!({ "alg": "EdDSA", "kid": "ed" }),
        with(header(), "typ", "jwt"),
        with(header(), "cty", "text"),
        // Places to get a key from are not looked at.
        with(header(), "jku", "https://evil.example/keys"),
        with(header(), "x5u", "https://evil.example/keys"),
        with(header(), "jwk", ed25519_jwk("ed", &[9; 32])),
    ] {
        assert!(check(&headed(&header), Kind::Access).is_ok(), "{header}");
    }
}

// ---- Claims

#[test]
fn every_claim_is_there_once_and_of_its_type() {
    let good = claims();
    let times = ["exp", "iat", "nbf"];
    for name in good.as_object().unwrap().keys() {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(name);
        let why = refused(&token(&without));
        assert!(why == CLAIMS || why == UNVERIFIED, "{name}: {why}");

        let mut others = vec![json!(null), json!(true), json!([]), json!({}), json!([good[name]]), json!(1.5)];
        match times.contains(&name.as_str()) {
            true => others.extend([
                json!(good[name].to_string()),
                json!(good[name].as_f64().unwrap()),
                json!(1e300),
                json!(u64::MAX),
            ]),
            false => others.extend([json!(7), json!("\u{0}")]),
        }
        for other in others {
            let why = refused(&token(&with(good.clone(), name, other.clone())));
            let known = [CLAIMS, UNVERIFIED, NOBODY, NO_SLUG, NO_SESSION].contains(&why);
            assert!(known, "{name} {other}: {why}");
        }

        // A repeated claim is refused, even if both values are the same.
        let text = good.to_string();
        let twice = format!("{},{}:{}}}", text.strip_suffix('}').unwrap(), json!(name), good[name]);
        // The library reads some claims first, and refuses those itself.
        assert!([CLAIMS, UNVERIFIED].contains(&refused(&sign("ed", &header().to_string(), &twice))), "{name}");
    }
    // Claims must be an object, not an array of their values.
    let row: Value = ["iss", "aud", "sub", "tid", "slug", "sid", "exp", "iat", "nbf", "typ"]
        .iter()
        .map(|name| good[name].clone())
        .collect();
    for other in [row, json!(null), json!("access"), json!([good])] {
        let why = refused(&sign("ed", &header().to_string(), &other.to_string()));
        assert!([CLAIMS, UNVERIFIED].contains(&why), "{other}: {why}");
    }
    let deep = with(good, "other", json!({ "a": 0 })).to_string().replace(r#"{"a":0}"#, r#"{"a":0,"a":0}"#);
    assert_eq!(refused(&sign("ed", &header().to_string(), &deep)), CLAIMS);
}

#[test]
fn only_our_issuer_and_audience_count() {
    for issuer in
        ["", "rolecall.example", "https://rolecall.example/", "HTTPS://rolecall.example", "https://evil.example"]
    {
        assert_eq!(refused(&token(&with(claims(), "iss", issuer))), UNVERIFIED, "{issuer}");
    }
    for audience in ["", "Rolecall", "rolecall ", "other"] {
        assert_eq!(refused(&token(&with(claims(), "aud", audience))), UNVERIFIED, "{audience}");
    }
    // RFC 7519 lets `aud` and others be lists. Our tokens are for one audience: a list is refused even with ours in it.
    assert_eq!(refused(&token(&with(claims(), "aud", json!(["rolecall"])))), CLAIMS);
    assert_eq!(refused(&token(&with(claims(), "aud", json!(["other", "rolecall"])))), CLAIMS);
    assert_eq!(refused(&token(&with(claims(), "aud", json!(["other"])))), UNVERIFIED);
    assert!(check(&token(&with(claims(), "iss", json!(["https://rolecall.example"]))), Kind::Access).is_err());
}

#[test]
fn clocks_may_differ_by_five_seconds() {
    assert_eq!(LEEWAY, 5);
    for (name, good, bad, why) in [
        // A token is good until the second before the end of the leeway.
        ("exp", NOW - 4, NOW - 5, EXPIRED),
        ("nbf", NOW + 5, NOW + 6, EARLY),
        ("iat", NOW + 5, NOW + 6, EARLY),
    ] {
        assert!(check(&token(&with(claims(), name, good)), Kind::Access).is_ok(), "{name}");
        assert_eq!(refused(&token(&with(claims(), name, bad))), why, "{name}");
    }
    for (name, extreme, why) in [
        ("exp", 0, EXPIRED),
        ("exp", -1, EXPIRED),
        ("exp", i64::MIN, EXPIRED),
        ("nbf", i64::MAX, EARLY),
        ("iat", i64::MAX, EARLY),
    ] {
        let why_not = refused(&token(&with(claims(), name, extreme)));
        // The library takes no negative number as a time, either.
        assert!(why_not == why || extreme < 0 && why_not == UNVERIFIED, "{name} {extreme}: {why_not}");
    }
}

#[test]
fn one_kind_is_not_the_other() {
    let (access, session) = (token(&claims()), token(&with(claims(), "typ", "session")));
    assert_eq!(refused(&session), OTHER_KIND);
    assert!(matches!(check(&access, Kind::Session), Err(Problem::Unauthenticated(why)) if why == OTHER_KIND));
    for other in ["Access", "ACCESS", "refresh", ""] {
        assert_eq!(refused(&token(&with(claims(), "typ", other))), CLAIMS, "{other}");
    }
}

#[test]
fn ids_are_uuids_of_their_kind() {
    let user = UserId::new(42).uuid().to_string();
    let foreign = [
        "".to_owned(),
        "42".to_owned(),
        "me".to_owned(),
        user.replace('-', ""),
        format!("{{{user}}}"),
        format!(" {user}"),
        MembershipId::new(42).uuid().to_string(),
        "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0".to_owned(),
        "726f6c65-6361-8002-8000-000000000000".to_owned(),
        "726f6c65-6361-8002-8000-0000ffffffff".to_owned(),
    ];
    for id in &foreign {
        assert_eq!(refused(&token(&with(claims(), "sub", id.as_str()))), NOBODY, "{id}");
        assert_eq!(refused(&token(&with(claims(), "tid", id.as_str()))), NOBODY, "{id}");
    }
    assert_eq!(refused(&token(&with(claims(), "sub", TenantId::new(42).uuid().to_string()))), NOBODY);
    assert_eq!(refused(&token(&with(claims(), "tid", user))), NOBODY);
}

/// The ids that are looked up in the table have a limit.
#[test]
fn a_session_is_1_to_128_visible_ascii_characters() {
    assert_eq!(MAX_SESSION_ID, 128);
    for session in ["s", "#", "726f6c65-6361-4002-8000-00000000002a", &"s".repeat(128)] {
        let credential = check(&token(&with(claims(), "sid", session)), Kind::Access).unwrap();
        assert_eq!(credential.session, session);
    }
    for session in ["", " ", "a b", "a\0", "s\u{e9}ance", &"s".repeat(129), &"s".repeat(1400)] {
        assert_eq!(refused(&token(&with(claims(), "sid", session))), NO_SESSION, "{session}");
    }
}

#[test]
fn a_slug_is_one_that_a_tenant_can_have() {
    for slug in ["", "a", "42", "Acme", "ac me", "acme/", "acme\n", &"a".repeat(64), &"a".repeat(1400)] {
        assert_eq!(refused(&token(&with(claims(), "slug", slug))), NO_SLUG, "{slug}");
    }
}

// ---- Headers

#[test]
fn the_key_says_the_algorithm() {
    let text = claims().to_string();
    // The algorithm `none`, in any spelling, with and without a signature.
    for none in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": none, "kid": "ed" }).to_string();
        assert_eq!(refused(&sign("ed", &header, &text)), UNVERIFIED, "{none}");
        let unsigned = format!("{}.{}.", BASE64.encode(&header), BASE64.encode(&text));
        assert_eq!(refused(&unsigned), UNVERIFIED, "{none}");
    }
    // A public key is no secret for HMAC: its bytes, its text, and the document that it was read from.
    let public = ed25519().verifying_key();
    let secrets = [
        public.as_bytes().to_vec(),
        BASE64.encode(public.as_bytes()).into_bytes(),
        ed25519_jwk("ed", public.as_bytes()).to_string().into_bytes(),
        Vec::new(),
    ];
    for secret in secrets {
        let input = format!("{}.{}", BASE64.encode(r#"{"alg":"HS256","kid":"ed"}"#), BASE64.encode(&text));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let signature = BASE64.encode(ring::hmac::sign(&key, input.as_bytes()));
        assert_eq!(refused(&format!("{input}.{signature}")), UNVERIFIED);
    }
    // One key's algorithm under the other's name.
    for (key, header) in [
        ("ec", r#"{"alg":"ES256","kid":"ed"}"#),
        ("ec", r#"{"alg":"EdDSA","kid":"ed"}"#),
        ("ec", r#"{"alg":"EdDSA","kid":"ec"}"#),
        ("ed", r#"{"alg":"EdDSA","kid":"ec"}"#),
        ("ed", r#"{"alg":"ES256","kid":"ec"}"#),
        ("ed", r#"{"alg":"ES256","kid":"ed"}"#),
        ("ed", r#"{"alg":"RS256","kid":"ed"}"#),
        ("ed", r#"{"alg":"eddsa","kid":"ed"}"#),
        ("ed", r#"{"alg":["EdDSA"],"kid":"ed"}"#),
        ("ed", r#"{"alg":null,"kid":"ed"}"#),
        ("ed", r#"{"kid":"ed"}"#),
    ] {
        assert_eq!(refused(&sign(key, header, &text)), UNVERIFIED, "{header} by {key}");
    }
}

#[test]
fn only_known_keys_count() {
    let text = claims().to_string();
    for kid in ["", "ED", "ed ", "other", "../ed", "ed\u{0}"] {
        assert_eq!(refused(&headed(&with(header(), "kid", kid))), UNKNOWN, "{kid}");
    }
    for kid in [json!(null), json!(7), json!(["ed"]), json!({})] {
        assert_eq!(refused(&headed(&with(header(), "kid", kid.clone()))), HEADER, "{kid}");
    }
    assert_eq!(refused(&headed(&json!({ "alg": "EdDSA" }))), HEADER);
    // A stranger's key does not count, whatever the header says about it.
    let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key();
    for header in [
        header(),
        with(header(), "jwk", ed25519_jwk("ed", stranger.as_bytes())),
        with(header(), "jku", "https://evil.example/keys"),
    ] {
        assert_eq!(refused(&sign("stranger", &header.to_string(), &text)), UNVERIFIED, "{header}");
    }
    let offered = with(with(header(), "kid", "new"), "jwk", ed25519_jwk("new", stranger.as_bytes()));
    assert_eq!(refused(&sign("stranger", &offered.to_string(), &text)), UNKNOWN);
}

#[test]
fn headers_say_nothing_else() {
    for crit in [json!([]), json!(["exp"]), json!(["b64"]), json!("exp"), json!(false)] {
        assert_eq!(refused(&headed(&with(header(), "crit", crit.clone()))), EXTENDED, "{crit}");
    }
    for typ in ["", "application/at+jwt", "application/jwt", "dpop+jwt", "JOSE", "JWT "] {
        assert_eq!(refused(&headed(&with(header(), "typ", typ))), EXTENDED, "{typ}");
    }
    // Only an access token may say that it is one (RFC 9068).
    for typ in ["at+jwt", "AT+JWT"] {
        let header = with(header(), "typ", typ);
        assert!(check(&headed(&header), Kind::Access).is_ok(), "{typ}");
        let session = sign("ed", &header.to_string(), &with(claims(), "typ", "session").to_string());
        for kind in [Kind::Session, Kind::Access] {
            assert!(matches!(check(&session, kind), Err(Problem::Unauthenticated(EXTENDED))), "{typ} as {kind:?}");
        }
    }
    for typ in [json!(7), json!(["JWT"])] {
        assert_eq!(refused(&headed(&with(header(), "typ", typ.clone()))), HEADER, "{typ}");
    }
    for text in [
        r#"{"alg":"EdDSA","kid":"ed","kid":"ed"}"#,
        r#"{"alg":"EdDSA","alg":"none","kid":"ed"}"#,
        r#"{"alg":"EdDSA","kid":"ed"} {}"#,
        r#"["EdDSA"]"#,
        r#""ed""#,
        "null",
        "",
        "\u{0}",
    ] {
        assert_eq!(refused(&sign("ed", text, &claims().to_string())), HEADER, "{text}");
    }
}

// ---- The text of a token

#[test]
fn a_token_has_three_parts() {
    let good = token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("{good}") };
    for text in [
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}..{signature}"),
        format!("{good}.{signature}"),
        format!("{good}."),
        format!("{head}.{body}.{signature}.{body}.{signature}"),
        format!("{head}.{head}.{body}.{signature}"),
        head.to_owned(),
    ] {
        assert!([UNVERIFIED, CLAIMS].contains(&refused(&text)), "{text}");
    }
    for text in [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b.c",
        "null",
        "{}",
        "\u{0}",
        "é.é.é",
        &format!(".{good}"),
        &format!("Bearer {good}"),
    ] {
        assert_eq!(refused(text), HEADER, "{text}");
    }
    assert_eq!(refused(&format!(".{body}.{signature}")), HEADER);
}

#[test]
fn every_character_of_a_token_counts() {
    let good = token(&claims());
    // The keys remember this token, and no similar one.
    assert!(check(&good, Kind::Access).is_ok() && KEYS.verified(&good).is_some());
    let signature = good.rfind('.').unwrap() + 1;
    // Each character of the signature, and every ninth of the signed ones.
    for at in (0..signature).step_by(9).chain(signature..good.len()) {
        let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
        let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
        assert!(check(&changed, Kind::Access).is_err(), "{changed}");
    }
}

#[test]
fn a_remembered_token_is_looked_at_anew() {
    let keys = key_set(&[ed25519_jwk("ed", ed25519().verifying_key().as_bytes())]).unwrap();
    let good = token(&claims());
    let at = |seconds, kind, expected: &Expected| match verify(
        &good,
        kind,
        &keys,
        expected,
        Time::from_millis(seconds * 1000),
    ) {
        Ok(_) => "good",
        Err(Problem::Unauthenticated(why)) => why,
        Err(problem) => panic!("{problem}"),
    };
    assert!(keys.verified(&good).is_none());
    for _ in 0..2 {
        assert_eq!(at(NOW, Kind::Access, &expected()), "good");
        assert!(keys.verified(&good).is_some());
        assert_eq!(at(NOW + 64, Kind::Access, &expected()), "good");
        assert_eq!(at(NOW + 65, Kind::Access, &expected()), EXPIRED);
        assert_eq!(at(NOW - 66, Kind::Access, &expected()), EARLY);
        assert_eq!(at(NOW, Kind::Session, &expected()), OTHER_KIND);
        assert_eq!(at(NOW, Kind::Access, &Expected { issuer: "other".to_owned(), ..expected() }), UNVERIFIED);
        assert_eq!(at(NOW, Kind::Access, &Expected { audience: "other".to_owned(), ..expected() }), UNVERIFIED);
    }
}

#[test]
fn a_token_is_forgotten_with_the_keys_that_verified_it() {
    let ours = ed25519_jwk("ed", ed25519().verifying_key().as_bytes());
    let good = token(&claims());
    let why = |keys: &Keys| match verify(&good, Kind::Access, keys, &expected(), Time::from_millis(NOW * 1000)) {
        Ok(_) => "good",
        Err(Problem::Unauthenticated(why)) => why,
        Err(problem) => panic!("{problem}"),
    };
    let keys = key_set(&[ours.clone(), p256_jwk("ec")]).unwrap();
    assert_eq!([why(&keys), why(&keys)], ["good"; 2]);
    assert!(keys.verified(&good).is_some());
    // The key is removed, or another has its name.
    let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key();
    assert_eq!(why(&key_set(&[p256_jwk("ec")]).unwrap()), UNKNOWN);
    assert_eq!(why(&key_set(&[ed25519_jwk("ed", stranger.as_bytes())]).unwrap()), UNVERIFIED);
    assert_eq!(why(&key_set(&[ours]).unwrap()), "good");
}

#[test]
fn keys_remember_256_tokens() {
    let keys = key_set(&[ed25519_jwk("ed", ed25519().verifying_key().as_bytes())]).unwrap();
    let tokens: Vec<String> = (0..=MAX_VERIFIED).map(|at| token(&with(claims(), "sid", at.to_string()))).collect();
    let remembered = || tokens.iter().filter(|token| keys.verified(token).is_some()).count();
    for (at, token) in tokens.iter().enumerate() {
        let credential = verify(token, Kind::Access, &keys, &expected(), Time::from_millis(NOW * 1000)).unwrap();
        assert_eq!(credential.session, at.to_string());
        assert_eq!(remembered(), if at < MAX_VERIFIED { at + 1 } else { 1 });
    }
    assert_eq!(MAX_VERIFIED, 256);
    // A token that they did not sign is not remembered.
    let forged = sign("stranger", &header().to_string(), &claims().to_string());
    assert!(verify(&forged, Kind::Access, &keys, &expected(), Time::from_millis(NOW * 1000)).is_err());
    assert!(keys.verified(&forged).is_none());
}

#[test]
fn base64_has_one_spelling() {
    let good = token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    for at in 0..3 {
        for (spoil, name) in [
            ((|part| format!("{part}=")) as fn(&str) -> String, "padding"),
            (|part| format!("{part}=="), "more padding"),
            (|part| format!("{part}\n"), "a line break"),
            (|part| format!(" {part}"), "a space"),
            (|part| format!("{part}A"), "a character more"),
        ] {
            let mut spoilt: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            spoilt[at] = spoil(&spoilt[at]);
            assert!(check(&spoilt.join("."), Kind::Access).is_err(), "{name} in part {at}");
            if at < 2 {
                // Even if it was signed in this form.
                assert!(check(&signed("ed", &spoilt[..2].join(".")), Kind::Access).is_err(), "{name} in part {at}");
            }
        }
    }
    // The last character holds bits that decode to nothing: there they must be zero. A signature has 86 characters.
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = alphabet.find(last).unwrap();
    assert_eq!((parts[2].len(), value % 16), (86, 0));
    for bits in 1..16 {
        let other = format!("{}{}", &good[..good.len() - 1], &alphabet[value + bits..][..1]);
        assert_eq!(refused(&other), UNVERIFIED);
    }
    // The alphabet is that of URLs. The test looks for a signature with one of its two special characters, and spells it wrong.
    let spelled = (0..).map(|at| token(&with(claims(), "n", at))).find(|token| token.contains(['-', '_'])).unwrap();
    assert!(check(&spelled, Kind::Access).is_ok());
    assert!(check(&spelled.replace('-', "+").replace('_', "/"), Kind::Access).is_err());
}

#[test]
fn the_longest_token_is_4_kib() {
    let of_length = |padding: usize| token(&with(claims(), "padding", "x".repeat(padding)));
    // Three bytes are four characters.
    let short = of_length(0).len();
    let most = (MAX_TOKEN - short) / 4 * 3;
    let longest = (most - 8..most + 8).map(of_length).filter(|token| token.len() <= MAX_TOKEN).max_by_key(String::len);
    let longest = longest.unwrap();
    assert!(longest.len() > MAX_TOKEN - 3);
    assert!(check(&longest, Kind::Access).is_ok());
    let longer = (most - 8..most + 8).map(of_length).find(|token| token.len() > MAX_TOKEN).unwrap();
    assert!(longer.len() < MAX_TOKEN + 4);
    assert_eq!(refused(&longer), LONG);
    assert!(matches!(credential::kid(&longer), Err(Problem::Unauthenticated(why)) if why == LONG));
    assert_eq!(refused(&"a".repeat(10_000_000)), LONG);
}

// ---- Key sets

/// The reason to refuse a key set.
#[track_caller]
fn rejected(keys: &[Value]) -> String {
    key_set(keys).err().unwrap_or_else(|| panic!("{keys:?} were read"))
}

#[test]
fn key_sets_are_read() {
    assert!(!key_set(&[]).unwrap().has("ed"));
    let key = ed25519().verifying_key();
    for jwk in [
        ed25519_jwk("k", key.as_bytes()),
        with(ed25519_jwk("k", key.as_bytes()), "alg", "EdDSA"),
        with(ed25519_jwk("k", key.as_bytes()), "use", "sig"),
        with(ed25519_jwk("k", key.as_bytes()), "key_ops", json!(["verify"])),
        with(ed25519_jwk("k", key.as_bytes()), "created", 7),
        p256_jwk("k"),
        with(p256_jwk("k"), "alg", "ES256"),
    ] {
        let keys = key_set(std::slice::from_ref(&jwk)).unwrap();
        assert!(keys.has("k") && !keys.has("K") && !keys.has(""), "{jwk}");
    }
    assert!(Keys::parse(r#"{"keys":[],"issued":"today"}"#).is_ok());
}

#[test]
fn a_key_set_is_a_key_set() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":[]} {}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[{}]}"#,
    ] {
        assert!(Keys::parse(text).is_err(), "{text}");
    }
    let text = json!({ "keys": [p256_jwk("k")] }).to_string();
    assert!(Keys::parse(&text).is_ok());
    assert!(Keys::parse(&text.replace(r#""kid":"k""#, r#""kid":"k","kid":"k""#)).is_err());
}

#[test]
fn keys_have_names_of_their_own() {
    let key = ed25519().verifying_key();
    let good = ed25519_jwk("k", key.as_bytes());
    assert_eq!(rejected(&[good.clone(), good.clone()]), "key `k` is there twice");
    assert_eq!(rejected(&[good.clone(), p256_jwk("k")]), "key `k` is there twice");
    assert_eq!(rejected(&[with(good.clone(), "kid", "")]), "a key without `kid`");
    let mut nameless = good.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    assert_eq!(rejected(&[good, nameless]), "a key without `kid`");
}

#[test]
fn keys_verify_and_nothing_else() {
    let good = [ed25519_jwk("k", ed25519().verifying_key().as_bytes()), p256_jwk("k")];
    let why = "key `k`: its `alg`, `use` or `key_ops` is not for verifying with it";
    for jwk in good {
        let other = if jwk["kty"] == "EC" { "EdDSA" } else { "ES256" };
        for alg in [other, "none", "HS256", "RS256", "ES384", "Ed448", ""] {
            assert_eq!(rejected(&[with(jwk.clone(), "alg", alg)]), why, "{alg}");
        }
        for usage in ["enc", "", "SIG"] {
            assert_eq!(rejected(&[with(jwk.clone(), "use", usage)]), why, "{usage}");
        }
        for operations in [json!([]), json!(["sign"]), json!(["encrypt", "deriveKey"])] {
            assert_eq!(rejected(&[with(jwk.clone(), "key_ops", operations.clone())]), why, "{operations}");
        }
        for malformed in [
            with(jwk.clone(), "alg", 7),
            with(jwk.clone(), "use", json!(["sig"])),
            with(jwk.clone(), "key_ops", "verify"),
        ] {
            rejected(&[malformed]);
        }
    }
}

#[test]
fn other_kinds_of_keys_are_refused() {
    let why = "key `k`: neither Ed25519 nor P-256";
    let n = BASE64.encode([0xab; 256]);
    let x = BASE64.encode(ed25519().verifying_key().as_bytes());
    for jwk in [
        json!({ "kty": "RSA", "kid": "k", "n": n, "e": "AQAB" }),
        json!({ "kty": "oct", "kid": "k", "k": BASE64.encode([7; 32]) }),
        json!({ "kty": "oct", "kid": "k", "k": "" }),
        json!({ "kty": "EC", "crv": "P-384", "kid": "k", "x": P256_X, "y": P256_Y }),
        json!({ "kty": "EC", "crv": "Ed25519", "kid": "k", "x": x, "y": x }),
        json!({ "kty": "EC", "crv": "secp256k1", "kid": "k", "x": P256_X, "y": P256_Y }),
        json!({ "kty": "OKP", "crv": "P-256", "kid": "k", "x": x }),
        json!({ "kty": "OKP", "crv": "X25519", "kid": "k", "x": x }),
        json!({ "kty": "OKP", "crv": "Ed448", "kid": "k", "x": x }),
        json!({ "kty": "AKP", "kid": "k", "pub": x }),
        json!({ "kty": "okp", "crv": "Ed25519", "kid": "k", "x": x }),
        json!({ "kid": "k", "crv": "Ed25519", "x": x }),
    ] {
        assert_eq!(rejected(std::slice::from_ref(&jwk)), why, "{jwk}");
        // One bad key spoils the set.
        assert_eq!(rejected(&[p256_jwk("good"), jwk]), why);
    }
}

#[test]
fn weak_and_malformed_keys_are_refused() {
    // The points of small order, in all spellings: with them, a signature can be made without a private key.
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];
    for hex in weak {
        let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap()).collect();
        let why = rejected(&[ed25519_jwk("k", &bytes)]);
        assert!(why.starts_with("key `k`: "), "{why}");
    }
    assert_eq!(rejected(&[ed25519_jwk("k", &[0; 32])]), "key `k`: a weak key");

    let key = ed25519().verifying_key();
    for bytes in [&key.as_bytes()[..31], &[&key.as_bytes()[..], &[0]].concat(), &[]] {
        assert_eq!(rejected(&[ed25519_jwk("k", bytes)]), "key `k`: an Ed25519 key has 32 bytes");
    }
    // Two is the y of no point.
    let mut two = [0; 32];
    two[0] = 2;
    rejected(&[ed25519_jwk("k", &two)]);

    let x = BASE64.encode(key.as_bytes());
    for x in [format!("{x}="), format!("{x}\n"), format!("{}+", &x[1..]), String::new(), "?".to_owned()] {
        rejected(&[with(ed25519_jwk("k", key.as_bytes()), "x", x)]);
    }
    // A point beside the curve, a coordinate too short, one too long, none, and no Base64.
    let y = BASE64.decode(P256_Y).unwrap();
    let mut beside = y.clone();
    beside[31] ^= 1;
    for y in [
        BASE64.encode(beside),
        BASE64.encode(&y[1..]),
        BASE64.encode([&[0], &y[..]].concat()),
        String::new(),
        format!("{P256_Y}="),
    ] {
        rejected(&[with(p256_jwk("k"), "y", y)]);
    }
    rejected(&[with(with(p256_jwk("k"), "x", BASE64.encode([0; 32])), "y", BASE64.encode([0; 32]))]);
}

// ---- Where tokens are

#[test]
fn a_bearer_is_one_token() {
    for header in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "Bearer   a.b.c", "  Bearer a.b.c  "] {
        assert_eq!(bearer(header), Some("a.b.c"), "{header}");
    }
    for header in [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "a.b.c",
        "Bearera.b.c",
        "Bearer: a.b.c",
        "Basic a.b.c",
        "DPoP a.b.c",
        "Token Bearer a.b.c",
        // How a proxy joins two headers.
        "Bearer a.b.c, Bearer d.e.f",
        "Bearer a.b.c,d.e.f",
        "Bearer a.b.c,",
        "Bearer a.b.c d.e.f",
    ] {
        assert_eq!(bearer(header), None, "{header}");
    }
}

#[test]
fn a_cookie_is_there_once() {
    for header in [
        "session=a.b.c",
        " session=a.b.c ",
        "theme=dark; session=a.b.c; lang=sv",
        "theme=dark;session=a.b.c;lang=sv",
        "theme; session=a.b.c;; =; ;",
        "xsession=1; session=a.b.c; session2=2; Session=3; SESSION=4",
        "other=session=1; session=a.b.c",
        "theme=dunkelgr\u{fc}n; session=a.b.c; \u{fffd}=\u{1f36a}",
    ] {
        assert_eq!(cookie([header], "session"), Some("a.b.c"), "{header}");
    }
    for header in [
        "",
        "session",
        "Session=a.b.c",
        "theme=dark",
        "other=session=a.b.c",
        "__Host-session=a.b.c",
        // A person who can set a cookie for a parent domain could add one, so neither counts.
        "session=a.b.c; session=d.e.f",
        "session=a.b.c; theme=dark; session=a.b.c",
        "session=; session=a.b.c",
    ] {
        assert_eq!(cookie([header], "session"), None, "{header}");
    }
    // Several headers are one.
    assert_eq!(cookie(["theme=dark", "lang=sv; session=a.b.c"], "session"), Some("a.b.c"));
    assert_eq!(cookie(["session=a.b.c", "lang=sv; session=a.b.c"], "session"), None);
    assert_eq!(cookie([], "session"), None);
    // Only the verifier judges a value: none of these is a token.
    for (header, value) in
        [("session=", ""), ("session=\"a.b.c\"", "\"a.b.c\""), ("session=a=b==", "a=b=="), ("session=a b", "a b")]
    {
        assert_eq!(cookie([header], "session"), Some(value));
        assert!(check(value, Kind::Session).is_err());
    }
}

#[test]
fn a_token_of_an_api_key_says_which_key_and_who_made_it() {
    let (id, tenant) = (KeyId::new(7), TenantId::new(1));
    let of_key = |sid: &str| with(with(claims(), "sub", id.uuid_in(tenant).to_string()), "sid", sid);
    let shown = |sid: &str| check(&token(&of_key(sid)), Kind::Access).unwrap();
    assert_eq!(shown("7m3").holder, Holder::Key(id, Some(UserId::new(3))));
    assert_eq!(shown("7").holder, Holder::Key(id, None));
    assert_eq!(shown("7").session(), None);
    // The name of another key, none at all, a key of another tenant, and a session token.
    for sid in ["8m3", "session-1", "7m", "m3", "7m0"] {
        assert!(check(&token(&of_key(sid)), Kind::Access).is_err(), "{sid}");
    }
    let foreign = with(of_key("7m3"), "sub", id.uuid_in(TenantId::new(2)).to_string());
    assert!(check(&token(&foreign), Kind::Access).is_err());
    assert!(check(&token(&with(of_key("7m3"), "typ", "session")), Kind::Session).is_err());
}
