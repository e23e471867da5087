//! Tokens of identity providers: the good ones, and all bad ones (RFC 8725; OpenID Connect Core, section 3.1.3.7; RFC 9068).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use shared::assertion::{MAX_TOKEN, Proved, Shown, Unverified};
use shared::domain::{Issuer, Meta, Time};
use shared::problem::{Grant, Problem};

const NOW: i64 = 1_800_000_000;
const ISS: &str = "https://id.example";

// The key of RFC 7515, appendix A.3.
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const P256_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

// The key and the signed text of RFC 7515, appendix A.2.
const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

fn ed25519() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn keys() -> Value {
    let x = BASE64.encode(ed25519().verifying_key().as_bytes());
    json!([
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x },
        { "kty": "EC", "crv": "P-256", "kid": "ec", "x": P256_X, "y": P256_Y, "alg": "ES256", "use": "sig" },
        { "kty": "RSA", "kid": "rsa", "n": RSA_N, "e": "AQAB" },
        { "kty": "RSA", "kid": "rsa-for-encryption", "n": RSA_N, "e": "AQAB", "use": "enc" },
        { "kty": "oct", "kid": "secret", "k": "c2VjcmV0" },
        { "kty": "OKP", "crv": "X25519", "kid": "unknown", "x": x },
    ])
}

fn issuer() -> Issuer {
    let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Issuer {
        number: 0,
        iss: ISS.to_owned(),
        audiences: set(&["rolecall", "rolecall-mobile"]),
        clients: set(&[]),
        algorithms: set(&["RS256", "PS256", "ES256", "EdDSA"]),
        domains: set(&["acme.example"]),
        refresh_tokens: true,
        refused_keys: set(&[]),
        of_deployment: true,
        meta: Meta::new(Time::from_millis(0)),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISS, "aud": "rolecall", "sub": "248289761001", "iat": NOW - 5, "exp": NOW + 300,
        "email": "ann@acme.example", "email_verified": true, "auth_time": NOW - 60, "acr": "2", "amr": ["pwd", "otp"],
    })
}

fn part(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn signed(header: &Value, claims: &Value) -> String {
    with_signature(&format!("{}.{}", part(header), part(claims)))
}

fn with_signature(text: &str) -> String {
    format!("{text}.{}", BASE64.encode(ed25519().sign(text.as_bytes()).to_bytes()))
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "ed", "typ": "JWT" })
}

fn merged(mut value: Value, patch: &Value) -> Value {
    for (name, new) in patch.as_object().unwrap() {
        match new {
            Value::Null => drop(value.as_object_mut().unwrap().remove(name)),
            new => value[name] = new.clone(),
        }
    }
    value
}

fn verify_by(
    token: &str,
    shown: Shown,
    issuer: &Issuer,
    keys: &Value,
    nonce: Option<&str>,
) -> Result<Proved, &'static str> {
    let proved = Unverified::read(token, shown)
        .and_then(|token| token.verify(issuer, &json!({ "keys": keys }).to_string(), nonce, NOW));
    proved.map_err(|why| match why {
        Problem::Grant(Grant::InvalidToken, why) => why,
        other => panic!("every refusal is the same: {other:?}"),
    })
}

fn verify(token: &str) -> Result<Proved, &'static str> {
    verify_by(token, Shown::IdToken, &issuer(), &keys(), None)
}

fn with_claims(patch: Value) -> Result<Proved, &'static str> {
    verify(&signed(&header(), &merged(claims(), &patch)))
}

fn with_header(patch: Value) -> Result<Proved, &'static str> {
    verify(&signed(&merged(header(), &patch), &claims()))
}

#[test]
fn a_good_token_proves_a_person() {
    let proved = verify(&signed(&header(), &claims())).unwrap();
    assert_eq!((proved.sign_in.issuer.as_str(), proved.sign_in.subject.as_str()), (ISS, "248289761001"));
    assert_eq!((proved.sign_in.auth_time, proved.sign_in.acr.as_deref()), (Some(NOW - 60), Some("2")));
    assert_eq!(proved.sign_in.amr, ["pwd", "otp"]);
    assert_eq!((proved.email.as_deref(), proved.client.as_str()), (Some("ann@acme.example"), "rolecall"));
    assert_eq!((proved.expires, proved.hash.len()), (NOW + 300, 64));
    assert!(with_header(json!({ "typ": null })).is_ok());
    assert!(with_claims(json!({ "aud": ["rolecall"], "exp": NOW as f64 + 0.5 })).is_ok());
}

#[test]
fn es256_and_rsa_are_verified_too() {
    let point = [&[4], BASE64.decode(P256_X).unwrap().as_slice(), &BASE64.decode(P256_Y).unwrap()].concat();
    let (secret, random) = (BASE64.decode(P256_D).unwrap(), SystemRandom::new());
    let by = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_private_key_and_public_key(by, &secret, &point, &random).unwrap();
    let text = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "ec" })), part(&claims()));
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    assert!(verify(&format!("{text}.{}", BASE64.encode(signature))).is_ok());

    // The token of RFC 7515, appendix A.2, is good in all but its claims: its signature is seen to be right.
    let rfc = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let one = json!([{ "kty": "RSA", "n": RSA_N, "e": "AQAB" }]);
    let joe = Issuer { iss: "joe".to_owned(), ..issuer() };
    let refused = |token: &str| verify_by(token, Shown::IdToken, &joe, &one, None).unwrap_err();
    assert_eq!(refused(rfc), "a token without `aud`");
    let (text, _) = rfc.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{text}.{}", BASE64.encode([1; 256]))), "a token with a wrong signature");
    // A key that names PS256 signs no RS256.
    let other = json!([{ "kty": "RSA", "n": RSA_N, "e": "AQAB", "alg": "PS256" }]);
    assert_eq!(verify_by(rfc, Shown::IdToken, &joe, &other, None).unwrap_err(), "a token of an unknown key");
}

#[test]
fn the_algorithm_is_the_issuers_and_belongs_to_the_key() {
    for (alg, why) in [
        ("none", "a token with an algorithm that its issuer may not use"),
        ("HS256", "a token with an algorithm that its issuer may not use"),
        ("ES384", "a token with an algorithm that its issuer may not use"),
        ("eddsa", "a token with an algorithm that its issuer may not use"),
        ("ES256", "a token of an unknown key"),
        ("RS256", "a token of an unknown key"),
    ] {
        assert_eq!(with_header(json!({ "alg": alg })).unwrap_err(), why, "{alg}");
    }
    let narrow = Issuer { algorithms: ["ES256".to_owned()].into(), ..issuer() };
    let refused = verify_by(&signed(&header(), &claims()), Shown::IdToken, &narrow, &keys(), None).unwrap_err();
    assert_eq!(refused, "a token with an algorithm that its issuer may not use");
    // No signature at all.
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims()));
    assert!(verify(&unsigned).is_err());
}

#[test]
fn the_key_is_the_issuers_own() {
    for kid in ["rsa", "ec", "secret", "unknown", "rsa-for-encryption", "ED", ""] {
        assert_eq!(with_header(json!({ "kid": kid })).unwrap_err(), "a token of an unknown key", "{kid}");
    }
    // Without `kid`, only if there is one key.
    let token = signed(&json!({ "alg": "EdDSA" }), &claims());
    assert_eq!(verify(&token).unwrap_err(), "a token of an unknown key");
    // A key that the tenant refuses, named or not.
    let refuses = Issuer { refused_keys: ["ed".to_owned()].into(), ..issuer() };
    let only = json!([keys()[0]]);
    for header in [header(), json!({ "alg": "EdDSA" })] {
        let verify = |issuer| verify_by(&signed(&header, &claims()), Shown::IdToken, issuer, &only, None);
        assert_eq!(verify(&refuses).unwrap_err(), "a key of the issuer that the tenant refuses");
        assert!(verify(&issuer()).is_ok());
    }
    let one = json!([keys()[0], keys()[3]]);
    assert!(
        verify_by(&token, Shown::IdToken, &issuer(), &one, None).is_ok(),
        "one for encryption beside it does not count"
    );
    // A key in the header is ignored.
    let own = json!({ "jwk": keys()[0], "jku": "https://evil.example/keys", "kid": "mine" });
    assert_eq!(with_header(own).unwrap_err(), "a token of an unknown key");
    let forged = signed(&header(), &claims());
    let (text, _) = forged.rsplit_once('.').unwrap();
    let other = SigningKey::from_bytes(&[8; 32]).sign(text.as_bytes());
    let forged = format!("{text}.{}", BASE64.encode(other.to_bytes()));
    assert_eq!(verify(&forged).unwrap_err(), "a token with a wrong signature");
}

#[test]
fn the_claims_must_be_there_and_be_right() {
    for (patch, why) in [
        (json!({ "iss": "https://other.example" }), "a token of another issuer"),
        (json!({ "iss": "https://id.example/" }), "a token of another issuer"),
        (json!({ "iss": null }), "a token without `iss`"),
        (json!({ "iss": ["https://id.example"] }), "a token without `iss`"),
        (json!({ "sub": null }), "a token without `sub`"),
        (json!({ "sub": "" }), "a token without `sub`"),
        (json!({ "sub": 7 }), "a token without `sub`"),
        (json!({ "sub": "x".repeat(256) }), "a token without `sub`"),
        (json!({ "aud": null }), "a token without `aud`"),
        (json!({ "aud": ["rolecall", 7] }), "a token without `aud`"),
        (json!({ "aud": "other" }), "a token for another audience"),
        (json!({ "aud": [] }), "a token for another audience"),
        (json!({ "aud": ["rolecall", "other"] }), "a token for several audiences without `azp`"),
        (json!({ "aud": ["rolecall", "other"], "azp": "other" }), "a token that another client got"),
        (json!({ "azp": "evil" }), "a token that another client got"),
        (json!({ "exp": null }), "a token without `exp`"),
        (json!({ "exp": "soon" }), "a token without `exp`"),
        (json!({ "exp": NOW - 60 }), "an expired token"),
        (json!({ "iat": null }), "a token without `iat`"),
        (json!({ "iat": NOW + 61 }), "a token that is not valid yet"),
        (json!({ "nbf": NOW + 61 }), "a token that is not valid yet"),
        (json!({ "nbf": "now" }), "a token whose `nbf` is no number"),
        (json!({ "iat": NOW - 661 }), "a token that is too old"),
        (json!({ "events": {} }), "a token of another type than the named one"),
    ] {
        assert_eq!(with_claims(patch.clone()).unwrap_err(), why, "{patch}");
    }
    for patch in [
        json!({ "exp": NOW - 59 }),
        json!({ "iat": NOW + 60 }),
        json!({ "iat": NOW - 660 }),
        json!({ "aud": ["rolecall", "other"], "azp": "rolecall-mobile" }),
        json!({ "nbf": NOW - 5 }),
    ] {
        assert!(with_claims(patch.clone()).is_ok(), "{patch}");
    }
}

#[test]
fn an_address_counts_only_if_it_is_verified() {
    let email = |patch: Value| with_claims(patch).unwrap().email;
    assert_eq!(email(json!({ "email_verified": "true" })).as_deref(), Some("ann@acme.example"));
    for verified in [json!(null), json!(false), json!("false"), json!(1), json!("yes")] {
        assert_eq!(email(json!({ "email_verified": verified })), None, "{verified}");
    }
}

#[test]
fn the_nonce_is_the_one_that_was_given() {
    let token = |nonce: Value| signed(&header(), &merged(claims(), &json!({ "nonce": nonce })));
    let with = |token: &str, nonce| verify_by(token, Shown::IdToken, &issuer(), &keys(), nonce).map(drop);
    assert_eq!(with(&token(json!("n-1")), Some("n-1")), Ok(()));
    assert_eq!(with(&token(json!("n-1")), None), Ok(()));
    for wrong in [json!("n-2"), json!(null), json!(1)] {
        assert_eq!(with(&token(wrong), Some("n-1")), Err("a token with another `nonce`"));
    }
}

#[test]
fn a_token_is_of_the_type_that_the_caller_names() {
    let shown = |typ: Value, shown| {
        let token =
            signed(&merged(header(), &json!({ "typ": typ })), &merged(claims(), &json!({ "client_id": "app" })));
        verify_by(&token, shown, &issuer(), &keys(), None).map(|proved| proved.client)
    };
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        assert_eq!(shown(json!(typ), Shown::AccessToken).as_deref(), Ok("app"), "{typ}");
        assert!(shown(json!(typ), Shown::IdToken).is_err() && shown(json!(typ), Shown::Jwt).is_err(), "{typ}");
    }
    for typ in [json!(null), json!("JWT"), json!("jwt")] {
        assert!(shown(typ.clone(), Shown::AccessToken).is_err(), "{typ}");
        assert!(shown(typ.clone(), Shown::IdToken).is_ok() && shown(typ.clone(), Shown::Jwt).is_ok(), "{typ}");
    }
    for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "x"] {
        for kind in [Shown::IdToken, Shown::AccessToken, Shown::Jwt] {
            assert!(shown(json!(typ), kind).is_err(), "{typ}");
        }
    }
    // Only these clients.
    let narrow = Issuer { clients: ["app".to_owned()].into(), ..issuer() };
    let access = |client: Value| {
        let claims = merged(claims(), &json!({ "client_id": client }));
        let token = signed(&json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" }), &claims);
        verify_by(&token, Shown::AccessToken, &narrow, &keys(), None).map(drop)
    };
    assert_eq!(access(json!("app")), Ok(()));
    assert_eq!(access(json!("evil")), Err("a token that another client got"));
    assert_eq!(access(json!(null)), Err("a token that names no client"));
    let urn = |kind: &str| Shown::parse(&format!("urn:ietf:params:oauth:token-type:{kind}"));
    assert_eq!([urn("id_token"), urn("access_token"), urn("jwt")].map(|it| it.is_some()), [true; 3]);
    assert_eq!([urn("saml2"), urn("refresh_token"), Shown::parse("id_token")].map(|it| it.is_some()), [false; 3]);
}

#[test]
fn what_is_no_token_is_refused() {
    let good = signed(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let twice = BASE64.encode(r#"{"alg":"EdDSA","kid":"ed","kid":"ed"}"#);
    let twice_claims = BASE64.encode(claims().to_string().replacen('{', r#"{"sub":"victim","#, 1));
    for (token, why) in [
        (String::new(), "a token that has not three parts"),
        ("a.b".to_owned(), "a token that has not three parts"),
        (format!("{good}.x"), "a token that has not three parts"),
        (format!("!.{}.{}", parts[1], parts[2]), "a malformed or repeated member in the token's header"),
        (format!("{twice}.{}.{}", parts[1], parts[2]), "a malformed or repeated member in the token's header"),
        (with_signature(&format!("{}.{twice_claims}", parts[0])), "malformed or repeated claims"),
        (with_signature(&format!("{}.{}", parts[0], BASE64.encode("[]"))), "malformed or repeated claims"),
        (signed(&merged(header(), &json!({ "crit": ["exp"] })), &claims()), "a token with `crit`"),
        (format!("{good}{}", "A".repeat(MAX_TOKEN)), "a token that is too long"),
    ] {
        assert_eq!(verify(&token).unwrap_err(), why, "{token:.80}");
    }
}
