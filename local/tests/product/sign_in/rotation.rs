//! The keys that sign tokens change while callers call.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use local::secrets;
use local::token::{self, Flaw};
use shared::credential::Kind;
use shared::http::signing::rotation::LEASE;
use shared::table::key;
use tokio::time::{Instant, sleep};

use super::*;

/// How long functions may trust keys that they have read, and room for a call that is under way.
const TRUSTED: Duration = Duration::from_secs(33);

/// What the callers know: the token of the first session, the last one that was given, and since when the first must be refused.
struct Known {
    old: String,
    forged: String,
    latest: Mutex<String>,
    /// The emergency has begun: from then on the old token may be refused.
    may_be_refused: AtomicBool,
    removed: Mutex<Option<Instant>>,
    calls: AtomicUsize,
}

impl Known {
    /// Calls with each of the tokens, and checks each answer. Once a key is removed, its tokens are refreshed.
    async fn call(&self, product: &Product) {
        let latest = self.latest.lock().unwrap().clone();
        if latest != self.old {
            assert_eq!(me(product, &latest).await.status, 200, "a token of the key that signs now");
        }
        assert_eq!(me(product, &self.forged).await.status, 401, "a token of no key of ours");
        let removed = *self.removed.lock().unwrap();
        let is_over = removed.is_some_and(|at| at.elapsed() > TRUSTED);
        let status = me(product, &self.old).await.status;
        let may_be_refused = self.may_be_refused.load(Ordering::SeqCst);
        match status {
            200 => assert!(!is_over, "a key counts for 30 s after it is removed"),
            401 => assert!(may_be_refused, "a token was refused before the emergency"),
            other => panic!("{other}"),
        }
        self.calls.fetch_add(2, Ordering::Relaxed);
    }
}

/// A rotation that is due, and then one in an emergency. `ROTATION_CALLS=100000` makes so many calls, as fast as the machine can; else
/// a few callers go on until the removed key is refused.
#[tokio::test(flavor = "multi_thread")]
async fn rotations_refuse_no_token_that_they_should_not_and_accept_none() {
    let wanted: Option<usize> = std::env::var("ROTATION_CALLS").ok().map(|calls| calls.parse().unwrap());
    let product = Product::start().await;
    let tokens = sign_in(&product, "user@acme.example", "acme").await;
    let old = text(&tokens, "access_token").to_owned();
    let forged = product.token("acme", "user@acme.example", Kind::Access, Flaw::Forged).await;
    let known = Known {
        latest: Mutex::new(old.clone()),
        old,
        forged,
        may_be_refused: AtomicBool::new(false),
        removed: Mutex::new(None),
        calls: AtomicUsize::new(0),
    };
    let is_enough = || {
        let is_over = known.removed.lock().unwrap().is_some_and(|at| at.elapsed() > TRUSTED + Duration::from_secs(1));
        is_over && known.calls.load(Ordering::Relaxed) >= wanted.unwrap_or_default()
    };
    let caller = async || {
        while !is_enough() {
            known.call(&product).await;
            if wanted.is_none() {
                // Other tests need the cores.
                sleep(Duration::from_millis(100)).await;
            }
        }
    };
    let reached = async |part: usize| {
        while known.calls.load(Ordering::Relaxed) < wanted.unwrap_or_default() / 3 * part {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let rotations = async {
        reached(1).await;
        // The next key is published now, and signs later.
        let_a_rotation_be_due(&product).await;
        let rotated = product.server.invoke("keys-rotate", &json!({})).await.unwrap();
        assert_eq!(rotated["rotated"], true);
        let keys = async || product.call("GET", "/.well-known/jwks.json", &[], "").await.json()["keys"].clone();
        let published = keys().await.as_array().unwrap().len();
        assert!(published >= 2, "{published}");

        reached(2).await;
        known.may_be_refused.store(true, Ordering::SeqCst);
        let rotated = product.server.invoke("keys-rotate", &json!({ "rotate": "now" })).await.unwrap();
        assert_eq!(rotated["rotated"], true);
        *known.removed.lock().unwrap() = Some(Instant::now());
        // A refresh token is no JWT, so nobody signs in again; the new token counts at once.
        let new = refresh(&product, text(&tokens, "refresh_token")).await.json();
        let new = text(&new, "access_token").to_owned();
        assert_ne!(new.split('.').next(), known.old.split('.').next(), "another `kid`");
        *known.latest.lock().unwrap() = new;
        assert_eq!(keys().await.as_array().unwrap().len(), 1);
    };
    let callers = if wanted.is_some() { 16 } else { 4 };
    let began = Instant::now();
    tokio::join!(rotations, join_all((0..callers).map(|_| caller())));
    let calls = known.calls.load(Ordering::Relaxed);
    println!("{calls} calls in {} s", began.elapsed().as_secs());
    assert!(calls >= wanted.unwrap_or(300), "{calls}");
    assert_eq!(me(&product, &known.old).await.status, 401);
}

#[test]
fn a_rotation_has_ended_before_its_lease() {
    let rotates = the_template().functions.into_iter().find(|function| function.name == "keys-rotate").unwrap();
    assert!(rotates.timeout.as_secs() < u64::try_from(LEASE).unwrap());
}

/// A key has signed for more than a month: the next rotation makes another one.
async fn let_a_rotation_be_due(product: &Product) {
    let arn = secrets::arn(token::SECRET);
    let mut secret: Value = serde_json::from_str(&product.store.secret(&arn).await.unwrap().unwrap()).unwrap();
    secret["keys"][0]["signs_from"] = json!(shared::now().seconds() - 31 * 24 * 60 * 60);
    product.store.put_secret(&arn, &secret.to_string()).await.unwrap();
}

/// The hourly run would write the secret as it was before an emergency. A rotation that died holds up the others for a minute.
#[tokio::test(flavor = "multi_thread")]
async fn no_rotation_begins_while_another_one_is_under_way() {
    let product = Product::start().await;
    let_a_rotation_be_due(&product).await;
    let published = async || product.store.get(&key::jwks()).await.unwrap().unwrap();
    let is_busy_for = async |seconds: i64| {
        let mut keys = published().await;
        keys.insert("busy_until".to_owned(), AttributeValue::N((shared::now().seconds() + seconds).to_string()));
        product.store.put(keys).await.unwrap();
    };
    let rotate = async |event: Value| product.server.invoke("keys-rotate", &event).await;
    is_busy_for(60).await;
    let before = published().await;
    assert_eq!(rotate(json!({})).await.unwrap(), json!({ "rotated": false }));
    let emergency = rotate(json!({ "rotate": "now" })).await.unwrap_err();
    assert!(format!("{emergency:?}").contains("unavailable"), "{emergency:?}");
    assert_eq!(published().await, before);

    is_busy_for(0).await;
    assert_eq!(rotate(json!({})).await.unwrap()["rotated"], true);
    assert_eq!(published().await["busy_until"], AttributeValue::N("0".to_owned()));
    assert_eq!(rotate(json!({})).await.unwrap()["rotated"], false);
}
