//! The commands of `rolecall`, and ports that are taken.

use super::*;

#[tokio::test]
async fn a_taken_port_is_named() {
    let (server, _) = start(|_| {}).await;
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let mut options = Options::new(template(), bin_dir());
    options.port = port;
    let error = Server::start(options).await.err().unwrap().to_string();
    assert_eq!(error, format!("port {port} is taken, choose another with --port"));
    server.shutdown().await;
}

/// Runs `rolecall` with the test's template; returns whether it succeeded, its output and its
/// errors.
fn rolecall(arguments: &[&str]) -> (bool, String, String) {
    let folder = std::env::temp_dir().join(format!("rolecall-{}-{}", arguments[0], std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("template.yaml"), TEMPLATE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rolecall")).args(arguments).current_dir(&folder).output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn routes_lists_the_template() {
    let expected = (true, "POST  /probe/{id}  probe  Answer with the event\n".into(), String::new());
    assert_eq!(rolecall(&["routes"]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_runs_one_function_on_one_event() {
    let (server, _) = start(|_| {}).await;
    let event = std::env::temp_dir().join(format!("rolecall-event-{}.json", std::process::id()));
    let template = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/event.json")).unwrap();
    let (url, bin_dir) = (server.dynamodb_url(), bin_dir());
    let invoke = |query: &str, more: &[&str]| {
        std::fs::write(&event, template.replace("{query}", query)).unwrap();
        let (event, bin_dir) = (event.to_str().unwrap(), bin_dir.to_str().unwrap());
        let arguments = ["invoke", "probe", "--event", event, "--bin-dir", bin_dir, "--dynamodb", &url];
        rolecall(&[&arguments, more].concat())
    };
    let (succeeded, output, errors) = invoke("log=hello", &[]);
    assert!(succeeded, "{errors}");
    let answer: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(answer["statusCode"], 200);
    assert!(errors.contains("[probe] out hello"), "{errors}");

    let (succeeded, output, errors) = invoke("exit", &[]);
    assert_eq!((succeeded, output.as_str()), (false, ""));
    assert!(errors.ends_with("error: `probe` has not answered\n"), "{errors}");

    let (succeeded, output, _) = invoke("exit", &["--print"]);
    let printed: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((succeeded, &printed["rawQueryString"]), (true, &json!("exit")));
    server.shutdown().await;
    std::fs::remove_file(event).unwrap();
}
