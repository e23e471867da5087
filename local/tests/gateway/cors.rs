//! The gateway and pages of other origins.

use super::*;

/// The CORS headers of an answer.
fn cors(reply: &Reply) -> BTreeMap<&str, &str> {
    let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let headers = headers.filter_map(|(name, value)| Some((name.strip_prefix("access-control-")?, value)));
    headers.collect()
}

#[tokio::test]
async fn the_gateway_answers_preflights_itself() {
    let (server, _) = start(|_| {}).await;
    let preflight = async |path: &str, headers: &[(&str, &str)]| {
        let request = Request::options(server.url() + path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let reply = send(request.body(Full::default()).unwrap()).await;
        assert_eq!((reply.status, &reply.body, reply.headers.get("content-type")), (204, &json!(""), None), "{path}");
        reply
    };
    let method = ("access-control-request-method", "POST");
    for path in ["/main/probe/1", "/no-route"] {
        let reply = preflight(path, &[("origin", "https://app.example"), method]).await;
        let expected = [
            ("allow-credentials", "true"),
            ("allow-headers", "authorization,if-match"),
            ("allow-methods", "GET,POST"),
            ("allow-origin", "https://app.example"),
            ("max-age", "60"),
        ];
        assert_eq!(cors(&reply), BTreeMap::from(expected));
    }
    for headers in [
        &[("origin", "https://foreign.example"), method][..],
        &[("origin", "https://app.example.foreign.example"), method],
        &[("origin", "null"), method],
        &[("origin", "https://app.example")],
        &[method],
    ] {
        assert_eq!(cors(&preflight("/probe/1", headers).await), BTreeMap::new(), "{headers:?}");
    }
    assert!(server.pids("probe").is_empty());
    server.shutdown().await;

    let (server, _) = start(|options| options.template.cors = None).await;
    let request = Request::options(server.url() + "/probe/1").header("origin", "https://app.example");
    assert_eq!(send(request.body(Full::default()).unwrap()).await.status, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_what_functions_answer() {
    let (server, _) = start(|_| {}).await;
    let from = async |origin: &str, path: &str| {
        let request = Request::post(server.url() + path).header("origin", origin);
        send(request.body(Full::default()).unwrap()).await
    };
    let expected = BTreeMap::from([
        ("allow-credentials", "true"),
        ("allow-origin", "https://other.example"),
        ("expose-headers", "etag,x-request-id"),
    ]);
    // The function's own CORS headers do not count.
    for path in ["/probe/1", "/probe/1?cors"] {
        let reply = from("https://other.example", path).await;
        assert_eq!((reply.status, cors(&reply)), (200, expected.clone()), "{path}");
        let reply = from("https://foreign.example", path).await;
        assert_eq!((reply.status, cors(&reply)), (200, BTreeMap::new()), "{path}");
    }
    let reply = from("https://other.example", "/nothing").await;
    assert_eq!((reply.status, cors(&reply)), (404, BTreeMap::new()), "the gateway's own answers are not shared");
    server.shutdown().await;
}

#[tokio::test]
async fn the_gateway_and_its_functions_let_the_gateways_own_pages_in_and_agree_on_others() {
    let text = TEMPLATE.replace("ISSUER:", "ALLOWED_ORIGINS: 'https://app.example,https://other.example', ISSUER:");
    let (server, _) = start(|options| options.template = Template::parse(&text).unwrap()).await;
    let port = server.url().rsplit_once(':').unwrap().1.to_owned();
    let told = post(&server, "/probe/1", "").await.body["environment"]["ALLOWED_ORIGINS"].as_str().unwrap().to_owned();
    let told: Vec<_> = told.split(',').collect();
    let own = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("http://{host}:{port}"));
    assert!(own.iter().all(|origin| told.contains(&origin.as_str())), "{told:?}");
    let foreign = [format!("https://127.0.0.1:{port}"), "http://localhost:1".to_owned(), "http://localhost".to_owned()];
    for origin in told.iter().copied().chain(foreign.iter().map(String::as_str)) {
        let request = Request::options(server.url() + "/probe/1");
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let reply = send(request.body(Full::default()).unwrap()).await;
        let allowed = told.contains(&origin).then_some(origin);
        assert_eq!(cors(&reply).get("allow-origin").copied(), allowed, "{origin}");
    }
    server.shutdown().await;
}
