//! The command `invoke`: one function on one event.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use local::{
    Options, Result, Server, Template,
    cases::{self, Cases},
    demo, dynamodb, server,
    store::Store,
    token,
};
use serde_json::Value;

use crate::{Build, DYNAMODB, PORT, load};

/// The longest event that Lambda takes, in bytes.
const MAX_EVENT: u64 = 6 * 1024 * 1024;

#[derive(Args)]
pub struct Invoke {
    /// Name of the function, as in `functions/`
    function: String,
    #[command(flatten)]
    event: Event,
    /// Use this DynamoDB (http://…); otherwise the one on port 8000 if there is one, else an empty
    /// one
    #[arg(long, value_name = "URL", value_parser = server::check_url)]
    dynamodb: Option<String>,
    /// Print the event instead of running the function
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    build: Build,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Event {
    /// File of the event, - for standard input
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Name of a recorded event: `success`, or a case of `events/FUNCTION/cases.json`
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
}

pub async fn run(options: Invoke) -> Result<()> {
    let (root, mut template) = load()?;
    // Events name the origin of `cargo run`, but this gateway is at another port.
    server::for_this_machine(&mut template, PORT, &[]);
    let name = &options.function;
    if template.function(name).is_none() {
        return Err(format!("no function `{name}` in template.yaml; `routes` lists them").into());
    }
    let (event, from) = match (&options.event.event, &options.event.case) {
        (Some(file), _) => (read_event(file)?, format!("--event {}", file.display())),
        (None, case) => {
            let case = case.as_deref().unwrap_or(cases::SUCCESS);
            let found = Cases::load(&root, name).and_then(|cases| cases.get(case));
            (found.map_err(|why| format!("--case: {why}"))?.event, format!("--case {case}"))
        }
    };
    let dynamodb = match options.dynamodb {
        Some(url) => Some(url),
        None => dynamodb::reach(DYNAMODB).await.is_ok().then(|| DYNAMODB.to_owned()),
    };
    let bin_dir = match options.print {
        true => PathBuf::new(),
        false => options.build.run([name.as_str()])?,
    };
    let (server, store) = start(&template, bin_dir, dynamodb).await?;
    let event = token::fill(&store, &token::expected(&template)?, event, shared::now()).await;
    let event = event.map_err(|why| format!("{from}: {why}"))?;
    if options.print {
        println!("{event:#}");
        return Ok(());
    }
    let answer = server.invoke(name, &event).await;
    server.shutdown().await;
    // The log has given the reason.
    let answer = answer.map_err(|_| format!("`{name}` has not answered"))?;
    println!("{answer:#}");
    Ok(())
}

/// Starts what a function needs on this machine. Without the URL of a DynamoDB, its table is an empty one. An empty table gets the
/// demo tenants.
async fn start(template: &Template, bin_dir: PathBuf, dynamodb: Option<String>) -> Result<(Server, Store)> {
    let server = Server::start(Options { dynamodb, ..Options::new(template.clone(), bin_dir) }).await?;
    let store = Store::new(&server.dynamodb_url(), template.table_name())?;
    demo::fill(&store, shared::now()).await?;
    Ok((server, store))
}

/// Reads the event in a file, and checks its form. The function checks the rest.
pub fn read_event(file: &Path) -> Result<Value> {
    let wrong = |why: String| format!("--event {}: {why}", file.display());
    let mut text = String::new();
    let most = MAX_EVENT + 1;
    let read = match file.to_str() {
        Some("-") => io::stdin().take(most).read_to_string(&mut text),
        _ => fs::File::open(file).and_then(|file| file.take(most).read_to_string(&mut text)),
    };
    match read {
        Ok(bytes) if bytes as u64 == most => return Err(wrong(format!("more than {MAX_EVENT} bytes")).into()),
        Ok(_) => {}
        Err(error) => return Err(wrong(error.to_string()).into()),
    }
    let event: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("not JSON: {error}")))?;
    if event.is_object() { Ok(event) } else { Err(wrong("not an event: no JSON object".to_owned()).into()) }
}
