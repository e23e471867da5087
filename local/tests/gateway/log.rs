//! The lines that `cargo run` prints for the person who started it.

use std::io::{PipeReader, pipe, read_to_string};

use futures_util::future::join_all;
use local::log::{Format, Writer};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::*;
use crate::ports::{Serving, address, raw};

/// A server with the short log, and its output.
async fn start_short(change: impl FnOnce(&mut Options)) -> (Server, Writer, PipeReader) {
    let (reader, screen) = pipe().unwrap();
    let writer = Writer::start(Format::Short, false, screen).unwrap();
    let (server, _) = start(|options| {
        options.log = writer.sink();
        change(options);
    })
    .await;
    (server, writer, reader)
}

/// The whole log without the parts that differ each time: the time of the day and the milliseconds.
async fn end(server: Server, writer: Writer, reader: PipeReader) -> Vec<String> {
    server.shutdown().await;
    drop(writer);
    let told = read_to_string(reader).unwrap();
    let steady = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.iter().position(|field| *field == "ms") {
            Some(at) => [&fields[1..at - 1], &fields[at + 1..]].concat().join(" "),
            None => line.to_owned(),
        }
    };
    told.lines().map(steady).collect()
}

#[tokio::test]
async fn a_request_is_one_line_and_its_failure_another() {
    let (server, writer, reader) = start_short(|options| options.template = panics()).await;
    assert_eq!(post(&server, "/panics/1?token=secret", "secret").await.status, 200);
    assert_eq!(post(&server, "/panics/panic", "").await.status, 502);
    let mut told = end(server, writer, reader).await;
    // The function has no IAM actions, so it could not read the keys.
    let warned =
        told.extract_if(.., |line| line.starts_with("[panics] WARN the keys could not be read at init, cause: "));
    assert_eq!(warned.count(), 1);
    told.retain(|line| !line.starts_with("[dynamodb] "));
    assert_eq!(told[..2], ["POST /panics/1 200 0 trips panics", "POST /panics/panic 502 0 trips panics"], "{told:#?}");
    assert!(told[2].starts_with("         internal: panicked at local/examples/panics.rs:"), "{told:#?}");
    assert!(told[3].starts_with("         a defect, or a wrong deployment"), "{told:#?}");
    // The gateway logs what it got in place of an answer.
    assert!(told[4].starts_with("[panics] function error: "), "{told:#?}");
    assert_eq!(told.len(), 5, "{told:#?}");
}

#[tokio::test]
async fn what_the_gateway_answers_itself_has_its_cause() {
    let (server, writer, reader) = start_short(|options| {
        options.template.functions[0].timeout = Duration::from_millis(300);
        options.max_processes = 1;
    })
    .await;
    post(&server, "/nothing?token=secret", "secret").await;
    post(&server, "/probe/1?sleep-ms=60000", "").await;
    post(&server, "/probe/1?fail", "").await;
    post(&server, "/probe/1?malformed", "").await;
    let held =
        |query: &str| Request::post(server.url() + "/probe/held" + query).body(Full::<Bytes>::default()).unwrap();
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let mut both = [client.request(held("?sleep-ms=200")), client.request(held("?sleep-ms=200"))].map(Box::pin);
    join_all(&mut both).await;
    post(&server, "/probe/big", vec![b'x'; 10 * 1024 * 1024 + 1]).await;
    let host = address(&server.url());
    let request =
        |host: &str, more: &str| format!("OPTIONS /a HTTP/1.1\r\nhost: {host}\r\n{more}connection: close\r\n\r\n");
    raw(host, &request("evil.example", "")).await;
    raw(host, &request(&host.to_string(), &format!("x-long: {}\r\n", "secret".repeat(2000)))).await;
    raw(host, &request(&host.to_string(), "")).await;
    let dynamodb = address(&server.dynamodb_url());
    raw(dynamodb, &request(&dynamodb.to_string(), "origin: https://evil.example\r\n")).await;
    raw(dynamodb, &request("evil.example", "")).await;
    let misdirected = |port| {
        format!(
            "call this server as 127.0.0.1:{port} or localhost:{port}, or start it with `--host NAME` to have it answer to NAME"
        )
    };
    let mut told = end(server, writer, reader).await;
    let failed = told.iter().position(|line| line.contains("as the test wants")).unwrap();
    assert!(told[failed].starts_with("         function error: {"), "{told:#?}");
    told[failed] = "         function error".into();
    // The process that does not err logs its own line. Either of the two that came at once may be the first.
    told.retain(|line| !line.starts_with("[probe]") && *line != "POST /probe/held 200 - probe");
    let expected = [
        "POST /nothing 404 - -",
        "         the template has no such route; `routes` lists all",
        "POST /probe/1 504 - probe",
        "         task timed out after 0.30 seconds",
        "POST /probe/1 502 - probe",
        "         function error",
        "POST /probe/1 502 - probe",
        "         malformed answer: statusCode \"many\" is not a status",
        "POST /probe/held 503 - probe",
        "         rate exceeded: all its processes are busy",
        "POST /probe/big 413 - -",
        "         its body has more than 10485760 bytes, API Gateway's limit",
        "OPTIONS /a 421 - -",
        &format!("         {}", misdirected(host.port())),
        "OPTIONS /a 431 - -",
        "         its first line and its headers have more than 10240 bytes, API Gateway's limit",
        "OPTIONS /a 204 - -",
        "[dynamodb] no web page may call this DynamoDB",
        &format!("[dynamodb] {}", misdirected(dynamodb.port())),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_caller_who_does_not_wait_is_told_of() {
    let (server, writer, reader) = start_short(|_| {}).await;
    let host = address(&server.url());
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request =
        format!("POST /probe/1?sleep-ms=1000&log=begun HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    eventually(|| !server.pids("probe").is_empty()).await;
    drop(stream);
    let told = end(server, writer, reader).await;
    let gone = told.iter().position(|line| line == "POST /probe/1 gone - probe").unwrap_or_else(|| panic!("{told:#?}"));
    assert_eq!(told[gone + 1], "         the connection has ended before there was an answer");
}

#[tokio::test]
async fn no_path_forges_a_line() {
    let (server, writer, reader) = start_short(|_| {}).await;
    let host = address(&server.url());
    for path in ["/%0A14:40:17%20PUT", "/\u{9b}31m\u{202e}\u{85}", &format!("/{}", "a".repeat(200))] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert_eq!(raw(host, &request).await.0, 404);
    }
    let told = end(server, writer, reader).await;
    let rows: Vec<_> = told.iter().step_by(2).map(String::as_str).collect();
    let long = format!("GET /{}… 404 - -", "a".repeat(118));
    assert_eq!(rows, ["GET /%0A14:40:17%20PUT 404 - -", "GET /%C2%9B31m%E2%80%AE%C2%85 404 - -", &long]);
}

/// Nobody reads the pipe, and a pipe holds only 64 KiB.
#[tokio::test]
async fn a_terminal_that_takes_nothing_slows_no_answer() {
    let (server, writer, reader) = start_short(|_| {}).await;
    let path = format!("/{}", "a".repeat(70));
    let callers = (0..16).map(async |_| {
        for _ in 0..40 {
            assert_eq!(post(&server, &path, "").await.status, 404);
        }
    });
    let all = tokio::time::timeout(Duration::from_secs(60), join_all(callers)).await;
    all.expect("an answer waits for the terminal");
    let reading = tokio::task::spawn_blocking(|| read_to_string(reader).unwrap());
    server.shutdown().await;
    tokio::task::spawn_blocking(|| drop(writer)).await.unwrap();
    let told = reading.await.unwrap();
    assert!(told.len() > 64 * 1024, "the pipe was full");
    assert_eq!(told.matches(" 404 ").count(), 640, "all are told when it takes more");
}

#[tokio::test]
async fn json_is_what_the_functions_have_written() {
    let mut serving = Serving::start_with(|command| {
        command.args(["--log", "json"]);
    })
    .await;
    let line = r#"{"level":"INFO","message":"request","request_id":"a"}"#;
    let query = percent_encoding::utf8_percent_encode(line, percent_encoding::NON_ALPHANUMERIC);
    let request = Request::post(format!("{}/probe/1?log={query}", serving.api)).body(Full::default());
    assert_eq!(send(request.unwrap()).await.status, 200);
    let request = Request::post(format!("{}/probe/1?malformed", serving.api)).body(Full::default());
    assert_eq!(send(request.unwrap()).await.status, 502);
    let mut lines = [serving.line().await.unwrap(), serving.line().await.unwrap(), serving.line().await.unwrap()];
    lines.sort();
    let malformed = "[probe] malformed answer: statusCode \"many\" is not a status";
    assert_eq!(lines, [malformed, &format!("err {line}"), &format!("out {line}")]);
    serving.signal("-INT");
    assert_eq!(serving.line().await, None, "nothing of requests");
}

/// The output of `rolecall` on a terminal for one request.
async fn on_a_terminal(no_color: &str) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = std::fs::File::options().write(true).open(name).unwrap();
    let serving = Serving::start_with(|command| {
        command.env("NO_COLOR", no_color).stderr(screen);
    })
    .await;
    let request = Request::post(format!("{}/nothing", serving.api)).body(Full::default());
    assert_eq!(send(request.unwrap()).await.status, 404);
    let (mut terminal, mut told) = (tokio::fs::File::from_std(std::fs::File::from(terminal)), vec![0; 4096]);
    let read = tokio::time::timeout(Duration::from_secs(10), terminal.read(&mut told)).await.unwrap().unwrap();
    String::from_utf8(told[..read].to_vec()).unwrap()
}

#[tokio::test]
async fn colours_are_for_terminals_whose_owner_wants_them() {
    let told = on_a_terminal("").await;
    assert!(told.contains("\x1b[33m 404\x1b[0m"), "{told:?}");
    let told = on_a_terminal("1").await;
    assert!(told.contains("  404 ") && !told.contains('\x1b'), "{told:?}");
    let mut serving = Serving::start_with(|command| {
        command.env("NO_COLOR", "");
    })
    .await;
    let request = Request::post(format!("{}/nothing", serving.api)).body(Full::default());
    assert_eq!(send(request.unwrap()).await.status, 404);
    let told = serving.line().await.unwrap();
    assert!(told.contains("  404 ") && !told.contains('\x1b'), "{told:?}");
}
