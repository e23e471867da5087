//! The command `bootstrap`: it asks the function of that name for the first tenant and its owner, for a further tenant, for a new owner,
//! or for a way out of a tenant's policies. The function runs on this machine or in a stack on AWS, where `sam` invokes it with the
//! operator's credentials.

use std::{
    io::{ErrorKind, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use clap::Args;
use local::{Error, Options, Result, Server, demo, functions::InvokeError, server, template};
use serde_json::{Value, json};

use crate::{Build, DYNAMODB, check_address, invoke, load, store_at};

/// The function that makes the keys which sign tokens, and the one that makes the tenant. A new table has no keys yet; where there are
/// some, the first function does nothing before its time.
const FUNCTIONS: [&str; 2] = ["keys-rotate", "bootstrap"];

/// The longest name of a stack that CloudFormation takes.
const MAX_STACK: usize = 128;

#[derive(Args)]
pub struct Bootstrap {
    /// Slug of the tenant
    #[arg(long, value_name = "SLUG", value_parser = demo::check_slug, required_unless_present = "event")]
    tenant: Option<String>,
    /// Name of the tenant
    #[arg(long, required_unless_present_any = ["event", "recover", "disable_policies"])]
    name: Option<String>,
    /// Address of the owner
    #[arg(long, value_parser = check_address, required_unless_present_any = ["event", "disable_policies"])]
    email: Option<String>,
    /// The `sub` under which the issuer knows the owner. Without it, the answer has the secret of an invitation
    #[arg(long, value_name = "SUB", requires = "issuer")]
    subject: Option<String>,
    /// The `iss` of the identity provider. With --audience, all tenants will trust it; else it is the one that knows the --subject
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// A value of `aud` that is ours, in tokens of the issuer; may be repeated. The first tenant needs one
    #[arg(long = "audience", value_name = "AUD", requires = "issuer")]
    audiences: Vec<String>,
    /// A domain whose addresses the issuer knows; may be repeated
    #[arg(long = "domain", value_name = "DOMAIN", requires = "audiences")]
    domains: Vec<String>,
    /// Make a new owner of a tenant that has lost its owners
    #[arg(long, conflicts_with_all = ["name", "audiences", "domains"])]
    recover: bool,
    /// Take all policies of a tenant out of force: they keep even its owners from changing them
    #[arg(long, conflicts_with_all = ["name", "email", "subject", "issuer", "audiences", "domains", "recover"])]
    disable_policies: bool,
    /// File of the whole request in JSON, - for standard input: for what has no option here
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tenant", "name", "email", "subject", "issuer", "audiences", "domains", "recover", "disable_policies"])]
    event: Option<PathBuf>,
    /// Ask the function of this stack on AWS, by `sam remote invoke`
    #[arg(long, value_name = "NAME", value_parser = check_stack, conflicts_with_all = ["dynamodb", "release", "bin_dir"])]
    stack: Option<String>,
    /// The DynamoDB of the server that gets the tenant
    #[arg(long, value_name = "URL", default_value = DYNAMODB, value_parser = server::check_url)]
    dynamodb: String,
    #[command(flatten)]
    build: Build,
}

pub async fn run(options: Bootstrap) -> Result<()> {
    let request = options.request()?;
    let answer = match &options.stack {
        Some(stack) => in_stack(stack, &request)?,
        None => on_this_machine(options.build, options.dynamodb, &request).await?,
    };
    if let Some(message) = answer["errorMessage"].as_str() {
        let kind = answer["errorType"].as_str().unwrap_or("an error");
        return Err(format!("`bootstrap` answers {kind}: {message}").into());
    }
    // It may have the secret of an invitation, so nothing else gets it.
    println!("{answer:#}");
    Ok(())
}

impl Bootstrap {
    /// The request in the form that the function takes. Its members may be absent, but not `null`.
    fn request(&self) -> Result<Value> {
        if let Some(file) = &self.event {
            return invoke::read_event(file);
        }
        if self.disable_policies {
            return Ok(json!({ "recover": { "tenant": self.tenant, "disable_policies": true } }));
        }
        let mut owner = json!({ "email": self.email });
        if let Some(subject) = &self.subject {
            owner["subject"] = subject.as_str().into();
        }
        let tenant = json!({ "slug": self.tenant, "name": self.name });
        if !self.audiences.is_empty() {
            let issuer = json!({ "iss": self.issuer, "audiences": self.audiences, "domains": self.domains });
            return Ok(json!({ "tenant": tenant, "owner": owner, "issuer": issuer }));
        }
        match (&self.issuer, &self.subject) {
            (Some(_), None) => return Err("--issuer: without --audience it needs --subject".to_owned().into()),
            (Some(issuer), _) => owner["issuer"] = issuer.as_str().into(),
            (None, _) => {}
        }
        Ok(match self.recover {
            true => json!({ "recover": { "tenant": self.tenant, "owner": owner } }),
            false => json!({ "tenant": tenant, "owner": owner }),
        })
    }
}

/// Gives the request to the function on this machine, and returns its answer, which may be an error. A server must have the table: a
/// tenant in a table of this process would be gone at once.
async fn on_this_machine(build: Build, dynamodb: String, request: &Value) -> Result<Value> {
    let (_, template) = load()?;
    let bin_dir = build.run(FUNCTIONS)?;
    store_at(&dynamodb, &template).await?;
    let server = Server::start(Options { dynamodb: Some(dynamodb), ..Options::new(template, bin_dir) }).await?;
    let [keys, function] = FUNCTIONS;
    let answer = match by_server(&server, keys, &json!({})).await {
        Ok(answer) if answer["errorMessage"].is_null() => by_server(&server, function, request).await,
        other => other,
    };
    server.shutdown().await;
    answer
}

/// Has a server give an event to a function, and returns the answer.
async fn by_server(server: &Server, function: &str, event: &Value) -> Result<Value> {
    match server.invoke(function, event).await {
        Err(InvokeError::Failed(error)) => serde_json::from_str(&error).map_err(|_| Error::from(error)),
        answer => answer.map_err(|why| format!("`{function}` has not answered: {why}").into()),
    }
}

/// Gives the request to the function of a stack, and returns its answer, which may be an error.
fn in_stack(stack: &str, request: &Value) -> Result<Value> {
    let keys = by_sam(stack, "KeysRotateFunction", &json!({}))?;
    if keys["errorMessage"].is_string() { Ok(keys) } else { by_sam(stack, "BootstrapFunction", request) }
}

/// Has sam give an event to a function of a stack, and returns the answer.
fn by_sam(stack: &str, function: &str, event: &Value) -> Result<Value> {
    // Other users of the machine can see a command line. So the event goes by standard input.
    let mut sam = Command::new("sam")
        .args(["remote", "invoke", function, "--stack-name", stack, "--event-file", "-", "--output", "text"])
        // The folder of samconfig.toml: `sam deploy --guided` writes the region there.
        .current_dir(template::find_root()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "--stack: no `sam` in the path; `pip install aws-sam-cli` installs it".to_owned(),
            _ => format!("--stack: cannot run sam: {error}"),
        })?;
    if let Some(mut input) = sam.stdin.take() {
        // This fails only if sam has ended already. Then sam has said why.
        let _ = input.write_all(event.to_string().as_bytes());
    }
    let output = sam.wait_with_output().map_err(|error| format!("--stack: cannot run sam: {error}"))?;
    if !output.status.success() {
        return Err(format!("--stack: sam failed: {}", output.status).into());
    }
    // The error does not quote the output, because it may have a secret.
    serde_json::from_slice(&output.stdout).map_err(|_| "--stack: the output of sam is not JSON".to_owned().into())
}

/// Checks the form of a stack's name. Only AWS can say whether it exists.
fn check_stack(name: &str) -> std::result::Result<String, String> {
    let is_plain = name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
    match is_plain && name.starts_with(|it: char| it.is_ascii_alphabetic()) && name.len() <= MAX_STACK {
        true => Ok(name.to_owned()),
        false => Err(format!("no name of a stack: a letter, then letters, digits and `-`, at most {MAX_STACK} in all")),
    }
}
