//! A request around its body: all that a client sends is text, and no text fails a function.

#[path = "samples/event.rs"]
mod samples;

use lambda_http::{Context, LambdaEvent};
use samples::event;
use serde_json::{Value, json};
use shared::call::{MAX_BODY, Request};
use shared::dialect::USERS;
use shared::dialect::users;
use shared::gate::IfMatch;
use shared::id::{TenantId, UserId};
use shared::trace::is_trace;
use shared::{Call, Problem};

/// The event as a function gets it.
fn call(event: Value) -> Call {
    let request: Request = serde_json::from_str(&event.to_string()).unwrap_or_else(|why| panic!("{why}: {event}"));
    Call::new(&USERS, LambdaEvent::new(request, Context::default()))
}

/// An event with another value at a place.
fn with(pointer: &str, value: impl Into<Value>) -> Value {
    let mut event = event();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[name] = value.into();
    event
}

/// Reads the body and the conditions of a write, as the functions do. Gives the member `it`.
fn write(call: &Call) -> Result<i64, Problem> {
    let (body, _) = (call.body(MAX_BODY)?, call.conditions()?);
    Ok(body.all(|body| body.required("it"))?)
}

#[test]
fn nothing_around_the_body_can_fail_a_function() {
    let odd = [
        "",
        " ",
        "/",
        "//",
        ":",
        "a:99999",
        "a:-1",
        "a:b",
        "a:443:443",
        "a b",
        "[::1",
        "[",
        "]",
        "[::1]:99999",
        "..",
        ".",
        "-",
        "user:pass@host",
        "@",
        "#",
        "?",
        "%",
        "%zz",
        "%00",
        "a%20b",
        "<script>",
        "{}",
        "\\",
        "\\\\host\\share",
        "a\tb",
        "a\r\nx-other: b",
        "\0",
        "\u{7f}",
        "\u{fffd}",
        "gr\u{fc}n",
        "xn--",
        "xn--a",
        "\u{202e}moc",
        "\u{1f469}\u{200d}\u{1f680}",
        "999.999.999.999",
        "0x7f.1",
        "1http",
        "javascript",
        "http://a/b",
        &"a".repeat(20_000),
        &"a.".repeat(5_000),
    ];
    let places = [
        "/rawPath",
        "/rawQueryString",
        "/headers/host",
        "/headers/x-forwarded-proto",
        "/headers/x-forwarded-port",
        "/headers/x-forwarded-for",
        "/headers/x-amzn-trace-id",
        "/headers/content-length",
        "/headers/transfer-encoding",
        "/headers/user-agent",
        "/headers/x odd",
        "/headers/x-\u{fc}",
        "/requestContext/domainName",
        "/requestContext/domainPrefix",
        "/requestContext/stage",
        "/requestContext/http/method",
        "/requestContext/http/path",
        "/requestContext/http/sourceIp",
        "/queryStringParameters",
        "/stageVariables",
        "/routeKey",
    ];
    for place in places {
        for text in odd {
            let call = call(with(place, text));
            let read = (call.path("id"), call.header("x-tenant-id"), call.request_id.as_str());
            assert_eq!(read, ("7", Some("8"), "request-1"), "{place} {text:?}");
            assert!(write(&call).is_ok_and(|it| it == 1), "{place} {text:?}");
        }
    }
    for text in odd {
        assert_eq!(call(with("/pathParameters/id", text)).path("id"), text);
        assert_eq!(call(with("/headers/x-tenant-id", text)).header("x-tenant-id"), Some(text));
        for name in ["authorization", "content-type", "content-encoding", "if-match", "idempotency-key", "cookie"] {
            // The answer may be a problem of the dialect.
            let _: Result<_, Problem> = write(&call(with(&format!("/headers/{name}"), text)));
        }
        let cookies = call(with("/cookies", json!([text, "session=a.b.c", text])));
        assert_eq!(cookies.cookie("session"), Some("a.b.c"), "{text:?}");
    }
}

#[test]
fn what_an_event_lacks_is_empty() {
    let minimal = json!({ "requestContext": { "http": { "method": "GET" } } });
    let nulls = json!({
        "requestContext": { "http": { "method": "GET" }, "requestId": null },
        "rawPath": null, "rawQueryString": null, "headers": null, "cookies": null, "pathParameters": null, "body": null,
    });
    for event in [minimal, nulls] {
        let call = call(event);
        assert_eq!((call.path("id"), call.header("host"), call.query.as_str()), ("", None, ""));
        assert!(matches!(write(&call), Err(Problem::UnsupportedMediaType(_))));
    }
    // No gateway sends this.
    assert!(serde_json::from_str::<Request>("{}").is_err());
}

#[test]
fn headers_have_names_in_any_case() {
    let mut event = event();
    event["headers"] = json!({ "Content-Type": "application/json", "X-Tenant-ID": "8" });
    let call = call(event);
    assert_eq!(call.header("x-tenant-id"), Some("8"));
    assert!(call.is_json());
}

#[test]
fn a_body_is_text_or_base64() {
    let mut event = with("/isBase64Encoded", true);
    event["body"] = "eyJpdCI6Mn0=".into();
    assert!(write(&call(event.clone())).is_ok_and(|it| it == 2));
    for body in ["{\"it\":1}", "eyJpdCI6Mn0", "eyJpdCI6Mn0=\n", "\u{fc}"] {
        event["body"] = body.into();
        assert!(matches!(write(&call(event.clone())), Err(Problem::InvalidJson(_))), "{body}");
        // A write that reads no body does not take this one for an empty body.
        assert!(matches!(call(event.clone()).conditions(), Err(Problem::InvalidJson(_))), "{body}");
    }
}

#[test]
fn a_body_has_the_limit_of_its_endpoint() {
    for most in [MAX_BODY, 256 * 1024] {
        let of_bytes = |bytes: usize| {
            let mut event = event();
            event["body"] = format!("{{\"it\":1{}}}", " ".repeat(bytes - 8)).into();
            event
        };
        assert!(call(of_bytes(most)).body(most).is_ok());
        // The size comes first.
        let mut large = of_bytes(most + 1);
        large["headers"] = json!({ "content-encoding": "gzip" });
        let problem = call(large).body(most).unwrap_err();
        assert_eq!(
            (problem.status(), problem.to_string()),
            (413, format!("the body must not be larger than {most} bytes"))
        );
    }
}

// ---- Conditions

#[test]
fn a_write_has_conditions_with_or_without_a_body() {
    let mut event = event();
    for (method, body) in [("PUT", json!("{}")), ("DELETE", Value::Null)] {
        event["requestContext"]["http"]["method"] = method.into();
        event["body"] = body;
        event["headers"] = json!({});
        let none = call(event.clone()).conditions().unwrap();
        assert!(none.if_match.is_none() && none.idempotency.is_none(), "{method}");

        event["headers"] = json!({ "if-match": "\"7\"", "idempotency-key": "key-1" });
        let both = call(event.clone()).conditions().unwrap();
        assert_eq!(both.if_match, Some(IfMatch::OneOf(vec!["7".to_owned()])), "{method}");
        assert_eq!(both.idempotency.unwrap().key, "key-1", "{method}");

        event["headers"] = json!({ "if-match": "7", "idempotency-key": "" });
        let told = call(event.clone()).conditions().unwrap_err().to_string();
        let (tags, key) = ("`if-match` must be `*` or a list of quoted entity tags", "visible ASCII characters");
        assert_eq!(told, format!("{tags}; `idempotency-key` must be {key}"), "{method}");
    }
}

#[test]
fn an_idempotency_key_is_for_one_method_path_query_and_body() {
    let fingerprint = |change: &dyn Fn(&mut Value)| {
        let mut event = with("/headers/idempotency-key", "key-1");
        change(&mut event);
        call(event).conditions().unwrap().idempotency.unwrap().fingerprint
    };
    let first = fingerprint(&|_| ());
    assert_eq!(fingerprint(&|event| event["headers"]["user-agent"] = "other".into()), first);
    assert_eq!(fingerprint(&|event| event["requestContext"]["requestId"] = "request-2".into()), first);
    for change in [
        |event: &mut Value| event["requestContext"]["http"]["method"] = "PATCH".into(),
        |event: &mut Value| event["rawPath"] = "/main/v1/users/8".into(),
        |event: &mut Value| event["rawQueryString"] = "a=2".into(),
        |event: &mut Value| event["rawQueryString"] = Value::Null,
        |event: &mut Value| event["body"] = "{\"it\":2}".into(),
        // The same bytes, divided at another place.
        |event: &mut Value| (event["rawPath"], event["rawQueryString"]) = ("/main/v1/users/7a".into(), "=1".into()),
    ] {
        assert_ne!(fingerprint(&change), first);
    }
}

// ---- Cookies

#[test]
fn cookies_are_a_list_or_a_header() {
    let session = |event| call(event).cookie("session").map(str::to_owned);
    assert_eq!(session(event()), None);
    for cookies in [
        json!(["session=a.b.c"]),
        json!(["theme=dark", "session=a.b.c", "other=session"]),
        json!(["theme=dark; lang=sv", "other=1; session=a.b.c"]),
        json!(["theme=dunkelgr\u{fc}n", "session=a.b.c", "\u{fffd}"]),
    ] {
        assert_eq!(session(with("/cookies", cookies.clone())).as_deref(), Some("a.b.c"), "{cookies}");
    }
    let header = "theme=dunkelgr\u{fc}n; session=a.b.c";
    assert_eq!(session(with("/headers/cookie", header)).as_deref(), Some("a.b.c"));
    // The list alone counts.
    let mut both = with("/headers/cookie", header);
    both["cookies"] = json!(["session=a.b.c"]);
    assert_eq!(session(both).as_deref(), Some("a.b.c"));
    assert_eq!(session(with("/cookies", json!(["session=a.b.c", "session=a.b.c"]))), None);
}

// ---- Content codings

#[test]
fn a_body_in_a_content_coding_is_refused() {
    for coding in ["", " ", "identity", "Identity", " IDENTITY ", "identity, identity", ","] {
        assert!(write(&call(with("/headers/content-encoding", coding))).is_ok(), "{coding}");
    }
    for coding in
        ["gzip", "br", "deflate", "zstd", "x-gzip", "aws-chunked", "identity, gzip", "gzip,identity", "*", "\u{fc}"]
    {
        let refused = write(&call(with("/headers/content-encoding", coding)));
        assert!(matches!(refused, Err(Problem::UnsupportedContentCoding)), "{coding}");
    }
    let answer = USERS.problem(&Problem::UnsupportedContentCoding);
    assert_eq!(answer.status, 415);
    assert!(answer.headers.contains(&("accept-encoding".to_owned(), "identity".to_owned())));
}

// ---- Ids

#[test]
fn an_integer_in_a_path_has_one_spelling() {
    let read = |text: &str| {
        let call = call(with("/pathParameters/id", text));
        call.path_digits("id").map(str::to_owned).map_err(|fault| fault.to_string())
    };
    for text in ["0", "7", "-7", "2147483648", "99999999999999999999", "-99999999999999999999"] {
        assert_eq!(read(text).as_deref(), Ok(text));
    }
    for text in ["", "-", "+7", "08", "003", "00", "-0", "-07", "7.0", "7e0", " 7", "7 ", "0x7", "\u{667}", "--7"] {
        assert_eq!(read(text), Err("`id` must be an integer".to_owned()), "{text}");
    }
    for text in ["08", "003", "0000000007"] {
        assert_eq!(UserId::parse(text), None, "{text}");
    }
}

#[test]
fn an_id_of_the_users_dialect_is_a_uuid() {
    const TENANT: &str = "726f6c65-6361-8001-8000-000000000008";
    let path = |text: &str| call(with("/pathParameters/id", text)).path_uuid("id").map_err(|fault| fault.to_string());
    let header = |event| users::tenant(&call(event)).map_err(|fault| fault.to_string());
    let tenant = |text: &str| header(with("/headers/x-tenant-id", text));
    assert_eq!(path(TENANT), Ok(TenantId::new(8).uuid()));
    assert_eq!(tenant(TENANT), Ok(Some(TenantId::new(8))));
    // This is a user's.
    assert_eq!(tenant("726f6c65-6361-8002-8000-000000000008"), Ok(None));
    for text in ["", "7", "me"] {
        assert_eq!(path(text), Err("`id` must be a UUID".to_owned()));
        assert_eq!(tenant(text), Err("`X-Tenant-ID` must be a UUID".to_owned()));
    }
    let mut without = event();
    without["headers"] = json!({});
    assert_eq!(header(without), Err("`X-Tenant-ID` is required".to_owned()));
}

// ---- Traces

#[test]
fn a_trace_is_one_of_x_ray() {
    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
    let traced = |trace: &str| {
        let request: Request = serde_json::from_value(event()).unwrap();
        let mut context = Context::default();
        context.xray_trace_id = Some(trace.to_owned());
        Call::new(&USERS, LambdaEvent::new(request, context)).trace
    };
    for rest in [
        "",
        ";Sampled=0",
        ";Sampled=?",
        ";Parent=53995c3f42cd8ad8;Sampled=1",
        ";Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1|68fd508a:5|c512fbe3:2",
        ";Self=1-67891234-12456789abcdef0123456789",
    ] {
        let trace = format!("{ROOT}{rest}");
        assert_eq!(traced(&trace).as_deref(), Some(trace.as_str()));
    }
    assert!(is_trace(&format!("Self=1-67891234-12456789abcdef0123456789;{ROOT}")));
    let long = format!("{ROOT};Lineage={}", "a".repeat(256));
    for trace in [
        "",
        "Root=",
        "Root=1-0-0",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e98g-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a9942727930",
        "Root=1-5759e988-bd862e3fe1be46a994272793-1",
        "1-5759e988-bd862e3fe1be46a994272793",
        "Parent=53995c3f42cd8ad8;Sampled=1",
        "root=1-5759e988-bd862e3fe1be46a994272793",
        &format!("{ROOT};"),
        &format!("{ROOT};{ROOT}"),
        &format!("{ROOT};Sampled=1;Sampled=1"),
        &format!("{ROOT};Sampled=yes"),
        &format!("{ROOT};Parent=53995c3f42cd8ad"),
        &format!("{ROOT};Lineage="),
        &format!("{ROOT};Lineage=secret of a client"),
        &format!("{ROOT};Own=ann@acme.example"),
        &format!("{ROOT}\n{{\"level\":\"ERROR\"}}"),
        &format!("{ROOT};Self=\u{1f36a}"),
        &long,
    ] {
        assert_eq!(traced(trace), None, "{trace}");
    }
}
