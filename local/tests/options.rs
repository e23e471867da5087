//! What a person gets to see who gives an option nonsense: one line that names the option, soon, and never a panic.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the program may take to refuse. Nothing that it could wait for is there.
const SOON: Duration = Duration::from_secs(20);

/// What an option does not take.
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
    texts
}

/// Each option of each command, and what else the command needs.
const OPTIONS: [(&str, &[&str]); 19] = [
    ("--port", &["--bin-dir", "{folder}"]),
    ("--dynamodb-port", &["--bin-dir", "{folder}"]),
    ("--host", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--latency", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--data", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--dynamodb", &["--bin-dir", "{folder}", "--port", "0", "--dynamodb-port", "0"]),
    ("--bin-dir", &["--port", "0", "--dynamodb-port", "0"]),
    ("--bin-dir", &["serve", "--port", "0", "--dynamodb-port", "0"]),
    ("--event", &["invoke", "users-update", "--bin-dir", "{folder}", "--dynamodb", "http://127.0.0.1:9"]),
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
];

#[test]
fn nonsense_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("file"), "not JSON").unwrap();
    fs::write(folder.join("event.json"), "{}").unwrap();
    for (option, command) in OPTIONS {
        let command: Vec<_> = command.iter().map(|word| word.replace("{folder}", folder.to_str().unwrap())).collect();
        for text in nonsense(option, folder) {
            let mut value = OsString::from(format!("{option}="));
            value.push(&text);
            let shown = format!("{command:?} {option}={:.80}", text.display());
            let said = refused(&command, value, &shown);
            // What stands in the way may be a file, which is then named; of what is no text, no part can be.
            let names = [option, folder.to_str().unwrap(), "invalid UTF-8"].iter().any(|name| said.contains(name));
            assert!(names, "{shown}: {said}");
        }
    }
}

/// What the program says on standard error, when it must refuse.
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
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{shown}: is taken");
    assert!(!said.contains("panicked"), "{shown}: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{shown}: {said}");
    said
}
