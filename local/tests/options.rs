//! A person who gives a wrong option soon sees one line that names the option, and never a panic.

#[path = "options/bootstrap.rs"]
mod bootstrap;

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::{ffi::OsStringExt, fs::PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use local::cases::Cases;
use local::{Options, Server, Template, template};
use serde_json::Value;

/// The time in which the program must refuse. There is nothing that it could wait for.
const SOON: Duration = Duration::from_secs(20);

/// Values that an option refuses.
fn nonsense(option: &str, folder: &Path) -> Vec<OsString> {
    let mut texts: Vec<OsString> = [
        "",
        " ",
        "-1",
        "9223372036854775807",
        "18446744073709551616",
        "1e+9",
        "\0x",
        "://",
        "http://",
        "ftp://127.0.0.1",
        "http://127.0.0.1:99999",
        "../..",
        "\u{202e}",
    ]
    .into_iter()
    .map(|text| text.replace('\0', "\u{1}").into())
    .collect();
    texts.push("x".repeat(10_000).into());
    texts.push(OsString::from_vec(vec![b'a', 0xff, 0xfe]));
    // A folder may be called almost anything.
    texts.retain(|text| match option {
        "--data" => text.is_empty() || text.len() > 255,
        "--bin-dir" => text != "../..",
        _ => true,
    });
    texts.push(folder.join("file").into());
    texts.push(folder.join("file/inside").into());
    texts.extend(match option {
        "--keys" => vec!["/dev/zero".into(), folder.into(), folder.join("array.json").into()],
        "--event" => vec!["/dev/zero".into(), folder.into(), folder.join("array.json").into()],
        "--bin-dir" => vec![folder.join("empty").into()],
        // Other users may use it.
        "--data" => vec![folder.join("empty").into()],
        _ => vec![],
    });
    texts
}

/// Each option of each command, and the other arguments that the command needs.
const OPTIONS: [(&str, &[&str]); 28] = [
    ("--port", &["--bin-dir", "{folder}"]),
    ("--dynamodb-port", &["--bin-dir", "{folder}"]),
    ("--host", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--latency", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--data", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--dynamodb", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--bin-dir", &["--port", "0", "--dynamodb-port", "0"]),
    ("--bin-dir", &["serve", "--port", "0", "--dynamodb-port", "0"]),
    ("--event", &["invoke", "users-update", "--bin-dir", "{folder}", "--dynamodb", "http://127.0.0.1:9"]),
    ("--case", &["invoke", "users-update", "--bin-dir", "{folder}", "--dynamodb", "http://127.0.0.1:9"]),
    ("--dynamodb", &["invoke", "users-update", "--bin-dir", "{folder}", "--event", "{folder}/event.json"]),
    ("--bin-dir", &["invoke", "users-update", "--event", "{folder}/event.json", "--dynamodb", "http://127.0.0.1:9"]),
    ("--tenant", &["token", "--user", "admin@acme.example", "--dynamodb", "http://127.0.0.1:9"]),
    ("--user", &["token", "--tenant", "acme", "--dynamodb", "http://127.0.0.1:9"]),
    ("--kind", &["token", "--tenant", "acme", "--user", "admin@acme.example"]),
    ("--ttl", &["token", "--tenant", "acme", "--user", "admin@acme.example", "--dynamodb", "http://127.0.0.1:9"]),
    ("--dynamodb", &["token", "--tenant", "acme", "--user", "admin@acme.example"]),
    ("--tenant", &["seed", "--members", "2", "--dynamodb", "http://127.0.0.1:9"]),
    ("--members", &["seed", "--tenant", "big", "--dynamodb", "http://127.0.0.1:9"]),
    ("--dynamodb", &["seed", "--tenant", "big", "--members", "2"]),
    ("--data", &["seed", "--tenant", "big", "--members", "2"]),
    ("--keys", &["verify", "{folder}/event.json"]),
    ("--tenant", &["bootstrap", "--recover", "--email", "ann@acme.example", "--dynamodb", "http://127.0.0.1:9"]),
    ("--email", &["bootstrap", "--recover", "--tenant", "acme", "--dynamodb", "http://127.0.0.1:9"]),
    ("--event", &["bootstrap", "--bin-dir", "{folder}", "--dynamodb", "http://127.0.0.1:9"]),
    ("--stack", &["bootstrap", "--event", "{folder}/event.json"]),
    ("--dynamodb", &["bootstrap", "--bin-dir", "{folder}", "--event", "{folder}/event.json"]),
    ("--bin-dir", &["bootstrap", "--event", "{folder}/event.json", "--dynamodb", "http://127.0.0.1:9"]),
];

/// A folder with the files that commands need, and with another one.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let template = Template::load(&template::find_root().unwrap().join("template.yaml")).unwrap();
    for function in template.functions {
        fs::write(folder.path().join(function.name), "").unwrap();
    }
    for (name, text) in [("file", "not JSON"), ("event.json", "{}"), ("array.json", "[]")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let rights = fs::Permissions::from_mode(0o755);
    fs::DirBuilder::new().create(folder.path().join("empty")).unwrap();
    fs::set_permissions(folder.path().join("empty"), rights).unwrap();
    folder
}

fn in_folder(command: &[&str], folder: &Path) -> Vec<String> {
    command.iter().map(|word| word.replace("{folder}", folder.to_str().unwrap())).collect()
}

#[test]
fn nonsense_is_refused_in_one_line() {
    let folder = folder();
    for (option, command) in OPTIONS {
        let command = in_folder(command, folder.path());
        for text in nonsense(option, folder.path()) {
            let mut value = OsString::from(format!("{option}="));
            value.push(&text);
            let shown = format!("{command:?} {option}={:.80}", text.display());
            let said = refused(&command, value, &shown);
            // For a value that is no text, the error does not name the option.
            let names = said.contains(option) || text.to_str().is_none() && said.contains("invalid UTF-8");
            assert!(names, "{shown}: {said}");
        }
    }
}

#[test]
fn what_never_answers_is_not_waited_for() {
    let folder = folder();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let value = format!("--dynamodb=http://{}", silent.local_addr().unwrap());
    thread::scope(|scope| {
        for (_, command) in OPTIONS.iter().filter(|(option, _)| *option == "--dynamodb") {
            let (command, value) = (in_folder(command, folder.path()), value.clone());
            scope.spawn(move || {
                let said = refused(&command, value.into(), &format!("{command:?}"));
                assert!(said.contains("--dynamodb: no answer from http://127.0.0.1:"), "{said}");
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_is_printed_as_a_whole_event() {
    let root = template::find_root().unwrap();
    let template = Template::load(&root.join("template.yaml")).unwrap();
    let server = Server::start(Options::new(template, "".into())).await.unwrap();
    let url = server.dynamodb_url();
    let print = ["invoke", "users-update", "--print", "--dynamodb", &url, "--case", "tenant-in-upper-case"];
    let output = Command::new(env!("CARGO_BIN_EXE_rolecall")).args(print).output().unwrap();
    server.shutdown().await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut event = Cases::load(&root, "users-update").unwrap().get("tenant-in-upper-case").unwrap().event;
    // `{{access acme admin@acme.example}}` has become a token.
    let [filled, placeholder] = [&mut printed, &mut event].map(|it| it["headers"]["authorization"].take());
    assert!(filled.as_str().unwrap().starts_with("Bearer eyJ") && placeholder.as_str().unwrap().contains("{{"));
    assert_eq!(printed, event);
}

/// The program's standard error, when it must refuse.
fn refused(command: &[String], value: OsString, shown: &str) -> String {
    let mut process = Command::new(env!("CARGO_BIN_EXE_rolecall"))
        .args(command)
        .arg(value)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("{shown}: {why}"));
    let began = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if began.elapsed() > SOON {
            process.kill().unwrap();
            panic!("{shown}: does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{shown}: is taken");
    assert!(!said.contains("panicked"), "{shown}: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{shown}: {said}");
    said
}
