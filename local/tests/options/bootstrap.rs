//! The command `bootstrap`: which options go together, and what it does with a stack. AWS is not here, so its `sam` is a stand-in.

use std::env;
use std::ffi::OsStr;

use serde_json::json;

use super::*;

/// Keeps its arguments and its input, and prints an answer; without one, it fails.
const SAM: &str = r#"#!/bin/sh
echo "$*" >> "$0.arguments"
cat > "$0.input"
cat "$0.answer"
"#;

/// The options for a first tenant whose owner the issuer knows.
const FIRST: [&str; 14] = [
    "--tenant",
    "acme",
    "--name",
    "Acme Ltd",
    "--email",
    "ann@acme.example",
    "--subject",
    "123",
    "--issuer",
    "https://id.example",
    "--audience",
    "our-client",
    "--domain",
    "acme.example",
];

/// Runs the command for a stack, with programs from `path`; returns its exit status, its output and its errors.
fn in_stack(path: &OsStr, options: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    command.args(["bootstrap", "--stack", "our-stack"]).args(options);
    let output = command.env("PATH", path).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn options_that_do_not_go_together_are_named() {
    let folder = folder();
    let owner = ["--tenant", "acme", "--email", "ann@acme.example"];
    let with = |more: &[&'static str]| [&owner, more].concat();
    let cases = [
        ("--tenant", vec!["--recover", "--email", "ann@acme.example"]),
        ("--email", vec!["--recover", "--tenant", "acme"]),
        ("--name", with(&["--issuer", "https://id.example", "--audience", "app"])),
        ("--issuer", with(&["--name", "Acme", "--audience", "app"])),
        ("--audience", with(&["--name", "Acme", "--issuer", "https://id.example"])),
        // An owner by `sub` alone is nobody, and an issuer alone names nobody.
        ("--issuer", with(&["--recover", "--subject", "123"])),
        ("--issuer", with(&["--recover", "--issuer", "https://id.example"])),
        ("--name", with(&["--recover", "--name", "Acme"])),
        ("--audience", with(&["--recover", "--audience", "app"])),
        ("--domain", with(&["--recover", "--domain", "acme.example"])),
        ("--event", with(&["--recover", "--event", "{folder}/event.json"])),
        ("--dynamodb", with(&["--recover", "--stack", "our-stack", "--dynamodb", "http://127.0.0.1:9"])),
        ("--release", with(&["--recover", "--stack", "our-stack", "--release"])),
        ("--bin-dir", with(&["--recover", "--stack", "our-stack", "--bin-dir", "{folder}"])),
    ];
    for (option, options) in cases {
        let mut command = in_folder(&[&["bootstrap"], &options[..]].concat(), folder.path());
        let shown = format!("{command:?}");
        let last = command.pop().unwrap();
        let said = refused(&command, last.into(), &shown);
        assert!(said.contains(option), "{shown}: {said}");
    }
}

#[test]
fn sam_asks_a_stack() {
    let folder = tempfile::tempdir().unwrap();
    let sam = folder.path().join("sam");
    fs::write(&sam, SAM).unwrap();
    fs::set_permissions(&sam, fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::var_os("PATH").unwrap();
    let path = env::join_paths([folder.path().to_owned()].into_iter().chain(env::split_paths(&path))).unwrap();
    let file = |name: &str| folder.path().join(format!("sam.{name}"));
    let asked = || serde_json::from_slice::<Value>(&fs::read(file("input")).unwrap()).unwrap();

    // The secret goes to the output alone, and no part of the request is on the command line of sam.
    let made = json!({ "tenant": { "slug": "acme" }, "invitation": { "secret": "inv_1", "expires_in": 86400 } });
    fs::write(file("answer"), made.to_string()).unwrap();
    let (status, output, errors) = in_stack(&path, &FIRST);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap(), made);
    let arguments = fs::read_to_string(file("arguments")).unwrap();
    let invoke =
        |function: &str| format!("remote invoke {function} --stack-name our-stack --event-file - --output text");
    assert_eq!(arguments.lines().collect::<Vec<_>>(), ["KeysRotateFunction", "BootstrapFunction"].map(invoke));
    let first = json!({
        "tenant": { "slug": "acme", "name": "Acme Ltd" },
        "owner": { "email": "ann@acme.example", "subject": "123" },
        "issuer": { "iss": "https://id.example", "audiences": ["our-client"], "domains": ["acme.example"] },
    });
    assert_eq!(asked(), first);

    let mut owner = json!({ "email": "ann@acme.example" });
    let mut recovery = vec!["--recover", "--tenant", "acme", "--email", "ann@acme.example"];
    assert_eq!(in_stack(&path, &recovery).0, Some(0));
    assert_eq!(asked(), json!({ "recover": { "tenant": "acme", "owner": owner } }));
    recovery.extend(["--subject", "123", "--issuer", "https://id.example"]);
    (owner["subject"], owner["issuer"]) = ("123".into(), "https://id.example".into());
    assert_eq!(in_stack(&path, &recovery).0, Some(0));
    assert_eq!(asked(), json!({ "recover": { "tenant": "acme", "owner": owner } }));

    // A further tenant names an issuer only if it knows the owner.
    let mut further = vec!["--tenant", "globex", "--name", "Globex", "--email", "ann@acme.example"];
    let tenant = json!({ "slug": "globex", "name": "Globex" });
    assert_eq!(in_stack(&path, &further).0, Some(0));
    assert_eq!(asked(), json!({ "tenant": tenant, "owner": { "email": "ann@acme.example" } }));
    further.extend(["--subject", "123", "--issuer", "https://id.example"]);
    assert_eq!(in_stack(&path, &further).0, Some(0));
    assert_eq!(asked(), json!({ "tenant": tenant, "owner": owner }));

    let issuer = json!({ "issuer": { "iss": "https://id.example", "audiences": ["other"] } });
    fs::write(file("json"), issuer.to_string()).unwrap();
    assert_eq!(in_stack(&path, &["--event", file("json").to_str().unwrap()]).0, Some(0));
    assert_eq!(asked(), issuer);

    let refusal = json!({ "errorType": "already_exists", "errorMessage": "a first tenant exists already" });
    let said = "error: `bootstrap` answers already_exists: a first tenant exists already\n";
    fs::write(file("answer"), refusal.to_string()).unwrap();
    assert_eq!(in_stack(&path, &FIRST), (Some(1), String::new(), said.to_owned()));

    fs::write(file("answer"), "inv_1").unwrap();
    let said = "error: --stack: the output of sam is not JSON\n";
    assert_eq!(in_stack(&path, &FIRST), (Some(1), String::new(), said.to_owned()));

    fs::remove_file(file("answer")).unwrap();
    let (status, output, errors) = in_stack(&path, &FIRST);
    assert_eq!((status, output.as_str()), (Some(1), ""));
    assert!(errors.ends_with("error: --stack: sam failed: exit status: 1\n"), "{errors}");
}

#[test]
fn who_has_no_sam_learns_how_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    let said = "error: --stack: no `sam` in the path; `pip install aws-sam-cli` installs it\n";
    assert_eq!(in_stack(empty.path().as_os_str(), &FIRST), (Some(1), String::new(), said.to_owned()));
}
