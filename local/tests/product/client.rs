//! The Rust client that services ask with: `clients/check/check.rs`.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rolecall_check::{Checker, Entity, Error, OnFailure, Options, Question};
use serde_json::json;
use shared::id::UserId;
use tokio::net::TcpListener;

use crate::harness::{ACME, Product};

/// A member with the role `billing-manager`, and one without it.
const BILL: UserId = UserId::new(4);
const UMA: UserId = UserId::new(3);

fn may_write(user: UserId) -> Question {
    Question::new(&user.uuid().to_string(), "write", Entity::new("billing", "inv-7"))
}

fn checker(options: Options, token: &str) -> Checker {
    let token = token.to_owned();
    Checker::new(options, move || std::future::ready(Ok::<_, Error>(token.clone())))
}

/// How many requests the function has had.
fn requests(product: &Product) -> usize {
    let lines = product.lines.lock().unwrap();
    lines
        .iter()
        .filter(|line| line.contains(r#""message":"request","service":"rolecall","function":"authzen-evaluate""#))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_asked_together_go_together_and_no_answer_is_kept() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let checker = checker(Options::new(&product.server.url()), &owner);
    let asked = (0..250).map(|place| if place % 2 == 0 { may_write(UMA) } else { may_write(BILL) });
    let asked: Vec<Question> = asked.collect();
    let answers = join_all(asked.iter().map(|question| checker.allowed(question))).await;
    assert!(answers.iter().enumerate().all(|(place, may)| *may == Ok(place % 2 == 1)), "{answers:?}");
    assert_eq!(requests(&product), 3);

    let denied = checker.ask(&may_write(UMA)).await.unwrap();
    assert_eq!((denied.allowed, denied.rule.as_deref(), denied.failure), (false, Some("not-permitted"), None));
    let mut explained = may_write(BILL);
    explained.context.insert("explain".to_owned(), true.into());
    let explained = checker.ask(&explained).await.unwrap();
    assert!(explained.allowed && explained.explanation.is_some(), "{explained:?}");

    // The body of a request is limited.
    let mut long = may_write(BILL);
    long.context.insert("text".to_owned(), "x".repeat(4_000).into());
    let answers = join_all((0..40).map(|_| checker.allowed(&long))).await;
    assert!(answers.iter().all(|may| *may == Ok(true)), "{answers:?}");

    let path = format!("/v1/users/{}", UMA.uuid());
    for (roles, may) in [(json!(["user", "billing-manager"]), true), (json!(["user"]), false)] {
        let given = product.users(&owner, ACME, ("PATCH", &path), &[], Some(json!({ "roles": roles }))).await;
        assert_eq!(given.status, 200, "{given:?}");
        assert_eq!(checker.allowed(&may_write(UMA)).await, Ok(may));
    }
    // Who asked first may go away: the others are sent without them.
    let (first, second) = (may_write(BILL), may_write(BILL));
    let mut first = Box::pin(checker.ask(&first));
    let mut second = Box::pin(checker.allowed(&second));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    assert_eq!(second.await, Ok(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_an_error_whatever_counts_after_a_failure() {
    let product = Product::start().await;
    let (url, owner) = (product.server.url(), product.access("acme", "owner@acme.example").await);
    for on_failure in [OnFailure::Closed, OnFailure::Open, OnFailure::Error] {
        let options = || Options { on_failure, timeout: Duration::from_secs(10), ..Options::new(&url) };
        let checker_of = |token: &str| checker(options(), token);
        let checker = checker_of(&owner);
        let mut faulty = may_write(BILL);
        // An id has 1,000 characters.
        faulty.resource.id = "x".repeat(1_001);
        let (good, good_question) = (checker.clone(), may_write(BILL));
        let (good, faulty) = futures_util::future::join(good.allowed(&good_question), checker.allowed(&faulty)).await;
        assert_eq!(good, Ok(true));
        assert!(matches!(faulty, Err(Error::Refused { status: 400, .. })), "{faulty:?}");
        let stranger = checker_of("x").allowed(&may_write(BILL)).await;
        assert!(matches!(stranger, Err(Error::Refused { status: 401, .. })), "{stranger:?}");
        let without = Checker::new(options(), || std::future::ready(Err::<String, _>("none")));
        assert_eq!(without.allowed(&may_write(BILL)).await, Err(Error::NoToken("none".to_owned())));
    }
}

/// The URL of a server that answers everything like that, or not at all.
async fn server(answer: Option<(u16, &'static str)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(move |_: Request<Incoming>| async move {
                let Some((status, body)) = answer else { return std::future::pending().await };
                let answer = Response::builder().status(status).header("location", "/elsewhere");
                Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).unwrap())
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn if_nobody_can_be_asked_that_counts_which_was_chosen() {
    let answers = [
        None,
        Some((500, "no")),
        Some((429, "no")),
        Some((302, "no")),
        Some((200, "<html>")),
        Some((200, r#"{"evaluations":[]}"#)),
        Some((200, r#"{"evaluations":[{"decision":"true"}]}"#)),
    ];
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut urls = vec![("nobody listens".to_owned(), format!("http://{closed}"))];
    for answer in answers {
        urls.push((format!("{answer:?}"), server(answer).await));
    }
    for (name, url) in urls {
        for (on_failure, allowed) in
            [(OnFailure::Closed, Some(false)), (OnFailure::Open, Some(true)), (OnFailure::Error, None)]
        {
            let timeout = Duration::from_millis(300);
            let checker = checker(Options { on_failure, timeout, ..Options::new(&url) }, "x");
            let answer = checker.ask(&may_write(BILL)).await;
            match allowed {
                Some(allowed) => {
                    let answer = answer.unwrap();
                    assert!(answer.allowed == allowed && answer.failure.is_some(), "{name}: {answer:?}");
                }
                None => assert!(matches!(answer, Err(Error::Failed(_))), "{name}: {answer:?}"),
            }
        }
    }
}
