//! The callers that each port accepts, and how `serve` ends open connections.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStderr},
};

use local::dynamodb::Client;

use super::*;

/// The headers of a person's request to DynamoDB.
const SIGNED: &str = "content-type: application/x-amz-json-1.0\r\nx-amz-date: 20260101T000000Z\r\n\
                      authorization: AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                      SignedHeaders=host, Signature=0\r\n";

pub(super) fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

/// Sends bytes as they are and reads until the server closes: the status, the headers in lower case, the body.
pub(super) async fn raw(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut reply)).await;
    read.expect("an answer in time").unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {reply:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
}

/// A request for `operation` with these headers.
fn to_dynamodb(headers: &str, operation: &str, input: &Value) -> String {
    let (input, target) = (input.to_string(), format!("x-amz-target: DynamoDB_20120810.{operation}\r\n"));
    let length = input.len();
    format!("POST / HTTP/1.1\r\n{headers}{SIGNED}{target}content-length: {length}\r\nconnection: close\r\n\r\n{input}")
}

fn item() -> Value {
    json!({ "TableName": "rolecall", "Item": { "PK": { "S": "a" }, "SK": { "S": "s" } } })
}

#[tokio::test]
async fn web_pages_get_nothing_of_dynamodb() {
    let (server, _) = start(|options| options.record = true).await;
    let dynamodb = address(&server.dynamodb_url());
    for origin in ["https://evil.example", "null", &server.dynamodb_url(), "http://localhost:3000", ""] {
        let from = format!("host: {dynamodb}\r\norigin: {origin}\r\n");
        let preflight = format!(
            "OPTIONS / HTTP/1.1\r\n{from}access-control-request-method: POST\r\n\
             access-control-request-headers: x-amz-target\r\nconnection: close\r\n\r\n"
        );
        let get = format!("GET / HTTP/1.1\r\n{from}connection: close\r\n\r\n");
        for request in [preflight, get, to_dynamodb(&from, "PutItem", &item())] {
            let (status, headers, body) = raw(dynamodb, &request).await;
            assert_eq!(status, 403, "{request}{body}");
            assert!(!headers.contains("access-control-"), "{request}{headers}");
            assert!(body.contains("web page"), "{body}");
        }
    }
    let scan = json!({ "TableName": "rolecall" });
    let scanned = Client::new(&server.dynamodb_url()).call("Scan", &scan).await.unwrap();
    assert_eq!(scanned["Count"], 0, "{scanned}");
    let operations: Vec<_> = server.take_records().into_iter().map(|record| record.operation).collect();
    assert_eq!(operations, ["Scan"]);
    server.shutdown().await;
}

#[tokio::test]
async fn only_the_names_of_this_machine_are_answered() {
    let more = ["proxy.example", "tunnel.example:443", "[fe80::1]"].map(|name| name.parse().unwrap());
    let (server, _) = start(|options| options.hosts = more.into()).await;
    for url in [server.url(), server.dynamodb_url()] {
        let address = address(&url);
        let port = address.port();
        let ask = async |target: &str, headers: &str| {
            let request = match url == server.url() {
                true => {
                    format!("POST {target}/probe/1 HTTP/1.1\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n")
                }
                false => to_dynamodb(headers, "ListTables", &json!({})).replacen('/', &format!("{target}/"), 1),
            };
            raw(address, &request).await
        };
        for name in ["127.0.0.1", "localhost", "LocalHost", "[::1]", "proxy.example", "[fe80::1]"] {
            let (status, _, body) = ask("", &format!("host: {name}:{port}\r\n")).await;
            assert_eq!(status, 200, "{name}: {body}");
            let (status, _, body) = ask(&format!("http://{name}:{port}"), &format!("host: {name}:{port}\r\n")).await;
            assert_eq!(status, 200, "{name}: {body}");
        }
        for name in ["proxy.example", "[fe80::1]", "tunnel.example:443"] {
            assert_eq!(ask("", &format!("host: {name}\r\n")).await.0, 200, "{name}");
        }
        let good = format!("host: 127.0.0.1:{port}\r\n");
        for (target, headers) in [
            ("", String::new()),
            ("", "host:\r\n".to_owned()),
            ("", format!("host: evil.example:{port}\r\n")),
            ("", "host: evil.example\r\n".to_owned()),
            ("", "host: 127.0.0.1\r\n".to_owned()),
            ("", format!("host: 127.0.0.1:{}\r\n", port - 1)),
            ("", format!("host: 127.0.0.1:0{port}\r\n")),
            ("", format!("host: 127.0.0.1:{port}.evil.example\r\n")),
            ("", format!("host: 127.0.0.1.evil.example:{port}\r\n")),
            ("", format!("host: localhost.:{port}\r\n")),
            ("", format!("host: evil@127.0.0.1:{port}\r\n")),
            ("", format!("host: 0.0.0.0:{port}\r\n")),
            ("", format!("host: tunnel.example:{port}\r\n")),
            ("", "host: tunnel.example\r\n".to_owned()),
            ("", "host: proxy.example:443\r\n".to_owned()),
            ("", format!("{good}host: evil.example:{port}\r\n")),
            ("", format!("host: evil.example:{port}\r\n{good}")),
            ("http://evil.example", good.clone()),
            (&format!("http://evil.example:{port}"), good.clone()),
            (&format!("http://127.0.0.1:{port}"), format!("host: evil.example:{port}\r\n")),
            (&format!("http://127.0.0.1:{port}"), String::new()),
        ] {
            let (status, _, body) = ask(target, &headers).await;
            assert_eq!(status, 421, "{target} {headers}{body}");
            assert!(body.contains("--host NAME"), "{body}");
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn only_the_process_that_was_started_gets_work() {
    let (server, _) = start(|_| {}).await;
    let reply = post(&server, "/probe/1", "").await;
    let told = reply.body["environment"]["AWS_LAMBDA_RUNTIME_API"].as_str().unwrap().to_owned();
    let authority = told.trim_start_matches("http://").split('/').next().unwrap();
    let api: SocketAddr = authority.parse().unwrap();
    for prefix in ["", "/", "/00000000000000000000000000000000"] {
        for (method, path) in [
            ("GET", "invocation/next"),
            ("POST", "invocation/1/response"),
            ("POST", "invocation/1/error"),
            ("POST", "init/error"),
        ] {
            let path = format!("{prefix}/2018-06-01/runtime/{path}");
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: {api}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let (status, _, body) = raw(api, &request).await;
            assert_eq!(status, 403, "{path}: {body}");
        }
    }
    let again = post(&server, "/probe/1", "").await;
    assert_eq!((again.status, &again.body["pid"]), (200, &reply.body["pid"]));
    server.shutdown().await;
}

/// `rolecall` on a template of its own, started as a person does.
pub(super) struct Serving {
    child: Child,
    /// Its output there, unless that goes elsewhere.
    errors: Option<Lines<BufReader<ChildStderr>>>,
    pub(super) api: String,
    dynamodb: String,
    _folder: tempfile::TempDir,
}

impl Serving {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut tokio::process::Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("template.yaml"), TEMPLATE.replace("Timeout: 2", "Timeout: 60")).unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rolecall"));
        command.args(["--port", "0", "--dynamodb-port", "0", "--bin-dir"]).arg(bin_dir()).current_dir(folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let errors = child.stderr.take().map(|errors| BufReader::new(errors).lines());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut found = async |name: &str| loop {
            let line = lines.next_line().await.unwrap().expect("a line that begins so");
            if let Some(url) = line.strip_prefix(name) {
                return url.trim().to_owned();
            }
        };
        let (api, dynamodb) = (found("API").await, found("DynamoDB").await);
        // The rest is read, too, as a terminal does.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, errors, api, dynamodb, _folder: folder }
    }

    /// Has a function begin a call that takes so long. Returns the future answer, and the function's process.
    async fn call(&mut self, milliseconds: u32) -> (tokio::task::JoinHandle<Option<u16>>, u32) {
        let client = HttpClient::builder(TokioExecutor::new()).build_http();
        let post = |query: String| Request::post(format!("{}/probe/1{query}", self.api)).body(Full::<Bytes>::default());
        let reply = send(post(String::new()).unwrap()).await;
        let call = client.request(post(format!("?log=begun&sleep-ms={milliseconds}")).unwrap());
        let answer = tokio::spawn(async move { call.await.ok().map(|reply| reply.status().as_u16()) });
        self.logs("[probe] err begun").await;
        (answer, reply.body["pid"].as_u64().unwrap() as u32)
    }

    /// Connections on both ports without a request to answer: one sends nothing, one has sent half a head, one has sent half a
    /// body, and one has its answer and stays.
    async fn connect(&self) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for address in [address(&self.api), address(&self.dynamodb)] {
            let whole = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n");
            let half_body = format!("POST /probe/1 HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9\r\n\r\nhalf");
            for sent in ["", &whole[..20], &half_body, &whole] {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(sent.as_bytes()).await.unwrap();
                if sent == whole {
                    assert!(stream.read(&mut [0; 9]).await.unwrap() > 0);
                }
                streams.push(stream);
            }
        }
        // They have been accepted in turn.
        raw(address(&self.api), &format!("GET / HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", &self.api[7..]))
            .await;
        raw(
            address(&self.dynamodb),
            &to_dynamodb(&format!("host: {}\r\n", &self.dynamodb[7..]), "ListTables", &json!({})),
        )
        .await;
        streams
    }

    /// The next line of its log.
    pub(super) async fn line(&mut self) -> Option<String> {
        self.errors.as_mut().unwrap().next_line().await.unwrap()
    }

    /// Waits for a line of its log.
    pub(super) async fn logs(&mut self, line: &str) {
        while self.line().await.expect("more of its log") != line {}
    }

    pub(super) fn signal(&self, signal: &str) {
        assert!(kill(self.child.id().unwrap(), signal));
    }

    /// Its exit code; `None` if a signal has ended it. Fails if the process does not end in time.
    async fn ends_within(&mut self, limit: Duration) -> Option<i32> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it has not ended within {limit:?}")).unwrap().code()
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nobody_but_the_front_reaches_the_engine() {
    let serving = Serving::start().await;
    let folder = PathBuf::from(format!("/proc/{}", serving.child.id().unwrap()));
    let opened = std::fs::read_dir(folder.join("fd")).unwrap();
    let opened = opened.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let opened: Vec<String> = opened.map(|target| target.to_string_lossy().into_owned()).collect();
    let mut listening = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        for line in std::fs::read_to_string(folder.join(table)).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A: it listens.
            if fields[3] == "0A" && opened.contains(&format!("socket:[{}]", fields[9])) {
                listening.push(u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap());
            }
        }
    }
    let mut expected = [address(&serving.api).port(), address(&serving.dynamodb).port()];
    expected.sort_unstable();
    listening.sort_unstable();
    assert_eq!(listening, expected);
    // There is no socket with a name, either.
    let unix = std::fs::read_to_string(folder.join("net/unix")).unwrap();
    let named = unix.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let named = named.filter(|fields| fields.len() > 7 && opened.contains(&format!("socket:[{}]", fields[6])));
    assert_eq!(named.collect::<Vec<_>>(), Vec::<Vec<&str>>::new());
}

#[tokio::test]
async fn ctrl_c_ends_it_whoever_is_connected() {
    let mut serving = Serving::start().await;
    let (call, function) = serving.call(0).await;
    assert_eq!(call.await.unwrap(), Some(200));
    let streams = serving.connect().await;
    serving.signal("-INT");
    assert_eq!(serving.ends_within(Duration::from_secs(2)).await, Some(0));
    assert!(!is_alive(function));
    drop(streams);

    // It does not wait for a call, either.
    let mut serving = Serving::start().await;
    let (call, function) = serving.call(60_000).await;
    let streams = serving.connect().await;
    serving.signal("-INT");
    assert_eq!(serving.ends_within(Duration::from_secs(2)).await, Some(130));
    // The function can die before the connection ends.
    let answered = call.await.unwrap();
    assert!(matches!(answered, None | Some(502)), "{answered:?}");
    ends_within(Duration::from_secs(1), function).await;
    drop(streams);
}

#[tokio::test]
async fn ctrl_c_ends_it_while_it_starts() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", silent.local_addr().unwrap()));
    std::fs::write(folder.path().join("template.yaml"), TEMPLATE).unwrap();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_rolecall"))
        .args(["--port", "0", "--dynamodb-port", "0", "--dynamodb", &url, "--bin-dir"])
        .arg(bin_dir())
        .current_dir(folder.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let _never_answered = silent.accept().await.unwrap();
    assert!(kill(child.id().unwrap(), "-INT"));
    let ended = tokio::time::timeout(Duration::from_secs(2), child.wait()).await;
    assert_eq!(ended.expect("it has not ended within 2 s").unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_second_ctrl_c_ends_it_at_once() {
    for first in ["-TERM", "-INT"] {
        let mut serving = Serving::start().await;
        let (_call, function) = serving.call(60_000).await;
        let _streams = serving.connect().await;
        serving.signal(first);
        // It is ending: it does not listen any more.
        eventually(|| std::net::TcpStream::connect(address(&serving.api)).is_err()).await;
        let interrupted = Instant::now();
        serving.signal("-INT");
        assert_eq!(serving.ends_within(Duration::from_secs(2)).await, Some(130), "after {first}");
        // A first one waits for a second.
        assert!(interrupted.elapsed() < Duration::from_millis(800), "{:?} after {first}", interrupted.elapsed());
        ends_within(Duration::from_secs(1), function).await;
    }
}

#[tokio::test]
async fn sigterm_lets_calls_in_flight_finish_and_nothing_else() {
    let mut serving = Serving::start().await;
    let (call, function) = serving.call(3_000).await;
    // If a client goes away, its call goes on.
    let mut gone = TcpStream::connect(address(&serving.api)).await.unwrap();
    let host = &serving.api[7..];
    let path = "/probe/1?log=gone&sleep-ms=2000&dynamodb=PutItem";
    let request = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
    gone.write_all(request.as_bytes()).await.unwrap();
    serving.logs("[probe] err gone").await;
    drop(gone);
    let streams = serving.connect().await;
    serving.signal("-TERM");
    eventually(|| std::net::TcpStream::connect(address(&serving.api)).is_err()).await;
    assert!(is_alive(function));
    assert_eq!(call.await.unwrap(), Some(200));
    // The open streams did not keep it from ending.
    assert_eq!(serving.ends_within(Duration::from_secs(2)).await, Some(0));
    assert!(!is_alive(function));
    let mut refused = false;
    while let Some(line) = serving.line().await {
        refused |= line.contains("no identity-based policy allows the dynamodb:PutItem action");
    }
    assert!(refused, "the call without a client has come to DynamoDB");
    drop(streams);
}

#[tokio::test]
async fn functions_end_with_a_killed_gateway() {
    for sleep in [0, 60_000] {
        let mut serving = Serving::start().await;
        let (_call, function) = serving.call(sleep).await;
        assert!(is_alive(function));
        serving.signal("-KILL");
        assert_eq!(serving.ends_within(Duration::from_secs(2)).await, None);
        ends_within(Duration::from_secs(1), function).await;
    }
}

/// Waits for the end of a process that is no child of this one.
async fn ends_within(limit: Duration, pid: u32) {
    let ended = tokio::time::timeout(limit, eventually(|| !is_alive(pid))).await;
    ended.unwrap_or_else(|_| panic!("process {pid} has not ended within {limit:?}"));
}
