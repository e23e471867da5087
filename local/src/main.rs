//! `rolecall`: the API on a laptop. `cargo run -- --help` lists its commands and options.

mod bootstrap;
mod invoke;

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    process::{self, ExitCode},
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use local::{
    Host, Options, Result, Server, Template, demo, dynamodb,
    front::Latency,
    functions, issuer, log, seed, server,
    store::Store,
    template,
    token::{self, Flaw},
    verify,
};
use serde_json::json;
use shared::credential;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The default port of the API of `serve`.
const PORT: u16 = 3000;
/// The default port of the DynamoDB of `serve`.
const DYNAMODB_PORT: u16 = 8000;
/// The URL at which other commands reach that DynamoDB.
const DYNAMODB: &str = "http://127.0.0.1:8000";
/// The time that calls under way have to finish after Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most bytes of a JWK Set.
const MAX_KEYS: u64 = 1024 * 1024;

/// The longest address: RFC 5321, section 4.5.3.1.
const MAX_ADDRESS: usize = 320;

/// Rolecall on this machine: its functions behind an API Gateway and a DynamoDB of their own, as
/// template.yaml says.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serve every route of the template (what happens without a command, too)
    Serve(Serve),
    /// List the routes: method, path, function, what it does
    Routes,
    /// Run one function on one event and print its answer
    Invoke(invoke::Invoke),
    /// Make the first tenant and its owner, on this machine or in a stack on AWS
    Bootstrap(bootstrap::Bootstrap),
    /// Print a token for a member, of a new session
    Token(Token),
    /// Add a tenant with many members
    Seed(Seed),
    /// Check an export of a tenant's record: hashes, chains and checkpoints
    Verify(Verify),
}

#[derive(Args)]
struct Verify {
    /// JSON lines: events with sealed=true, checkpoints, or pages of them
    export: PathBuf,
    /// The deployment's public keys, as GET /.well-known/jwks.json shows them
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
}

#[derive(Args)]
struct Serve {
    /// Port of the API; 0 takes any
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Keep the table in this folder instead of in memory
    #[arg(long, value_name = "DIR", conflicts_with = "dynamodb")]
    data: Option<PathBuf>,
    /// Use this DynamoDB (http://…) instead of the embedded one
    #[arg(long, value_name = "URL", value_parser = server::check_url)]
    dynamodb: Option<String>,
    /// Port of DynamoDB; 0 takes any
    #[arg(long, default_value_t = DYNAMODB_PORT)]
    dynamodb_port: u16,
    /// Answer to this name, too, on both ports, with or without the port that is called; NAME:PORT is that one only
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<Host>,
    /// Have DynamoDB take these milliseconds for each read and each write, as it does elsewhere
    #[arg(long, value_name = "READ,WRITE")]
    latency: Option<Latency>,
    /// Make no demo tenants: `bootstrap` makes the first one
    #[arg(long)]
    without_demo: bool,
    /// How to tell what happens, on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = log::Format::Short)]
    log: log::Format,
    #[command(flatten)]
    build: Build,
}

#[derive(Args)]
struct Token {
    /// Slug of the tenant
    #[arg(long, value_parser = demo::check_slug)]
    tenant: String,
    /// Address of the user
    #[arg(long, value_name = "EMAIL", value_parser = check_address)]
    user: String,
    /// What for: the Authorization header; the cookie and the x-session-token header; or, from the demo's identity provider, POST /v1/sessions
    #[arg(long, value_enum, default_value_t = Kind::Access)]
    kind: Kind,
    /// How long the token is good for
    #[arg(long, value_name = "SECONDS", default_value_t = token::TTL, value_parser = clap::value_parser!(i64).range(1..=token::MAX_TTL))]
    ttl: i64,
    /// The DynamoDB of the server that the token is for
    #[arg(long, value_name = "URL", default_value = DYNAMODB, value_parser = server::check_url)]
    dynamodb: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Access,
    Session,
    IdToken,
}

#[derive(Args)]
struct Seed {
    /// Slug of the new tenant; member1@SLUG.example is its owner, member2@SLUG.example an admin
    #[arg(long, value_parser = demo::check_slug)]
    tenant: String,
    /// How many members it shall have
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    members: u32,
    /// The DynamoDB of the server that gets the tenant
    #[arg(long, value_name = "URL", default_value = DYNAMODB, value_parser = server::check_url)]
    dynamodb: String,
    /// Put it into the table in this folder, which no server uses: faster
    #[arg(long, value_name = "DIR", conflicts_with = "dynamodb")]
    data: Option<PathBuf>,
}

#[derive(Args)]
struct Build {
    /// Build the functions in the release profile
    #[arg(long)]
    release: bool,
    /// Build nothing, take the functions' binaries from this folder
    #[arg(long, value_name = "DIR", conflicts_with = "release")]
    bin_dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(options) => serve(options).await,
        Command::Routes => routes(),
        Command::Invoke(options) => invoke::run(options).await,
        Command::Bootstrap(options) => bootstrap::run(options).await,
        Command::Token(options) => print_token(options).await,
        Command::Seed(options) => seed(options).await,
        Command::Verify(options) => verify(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load() -> Result<(PathBuf, Template)> {
    let root = template::find_root()?;
    let template = Template::load(&root.join("template.yaml"))?;
    Ok((root, template))
}

impl Build {
    fn run<'a>(self, functions: impl IntoIterator<Item = &'a str>) -> Result<PathBuf> {
        match self.bin_dir {
            Some(folder) => {
                let wrong = |why: String| Err(format!("--bin-dir {}: {why}", folder.display()).into());
                match folder.canonicalize() {
                    Ok(found) if !found.is_dir() => wrong("not a folder".to_owned()),
                    Ok(found) => match functions.into_iter().find(|name| !found.join(name).is_file()) {
                        Some(name) => wrong(format!("no binary `{name}` in it")),
                        None => Ok(found),
                    },
                    Err(error) => wrong(error.to_string()),
                }
            }
            None => functions::build(&load()?.0, functions, self.release),
        }
    }
}

async fn serve(options: Serve) -> Result<()> {
    let (_, template) = load()?;
    let bin_dir = options.build.run(template.functions.iter().map(|function| function.name.as_str()))?;
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let log = log::Writer::start(options.log, log::wants_colours(), io::stderr());
    let log = log.map_err(|error| format!("cannot start: {error}"))?;
    let start = async {
        let server = Server::start(Options {
            port: options.port,
            dynamodb_port: options.dynamodb_port,
            data: options.data,
            dynamodb: options.dynamodb,
            hosts: options.hosts,
            latency: options.latency.unwrap_or_default(),
            log: log.sink(),
            ..Options::new(template.clone(), bin_dir)
        })
        .await?;
        let store = Store::new(&server.dynamodb_url(), template.table_name())?;
        if !options.without_demo {
            demo::fill(&store, shared::now()).await?;
        }
        let credentials = demo::Credentials::issue(&store, &template).await;
        Ok::<_, local::Error>((server, credentials))
    };
    let (server, credentials) = tokio::select! {
        started = start => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    if let Ok(credentials) = &credentials {
        server.set_variable(demo::IN_REFERENCE, &credentials.for_reference());
    }
    print_routes(&template);
    println!("\nAPI        {}", server.url());
    println!("Reference  {}/docs", server.url());
    println!("DynamoDB   {}", server.dynamodb_url());
    match credentials {
        Ok(credentials) => println!("\nTry it:\n\n{}", demo::calls(&credentials, &server.url())),
        Err(error) => println!("\nNo calls to try: {error}"),
    }
    let patience = tokio::select! {
        _ = interrupt.recv() => PATIENCE,
        // The timeouts of the functions limit this wait.
        _ = terminate.recv() => Duration::MAX,
    };
    let has_ended = tokio::select! {
        ended = tokio::time::timeout(patience, server.shutdown()) => ended.is_ok(),
        _ = interrupt.recv() => false,
    };
    drop(log);
    if !has_ended {
        // The functions end with this process. 130 is the exit status that a shell gives for SIGINT.
        process::exit(130);
    }
    Ok(())
}

fn on(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(|error| format!("cannot listen for signals: {error}").into())
}

fn routes() -> Result<()> {
    print_routes(&load()?.1);
    Ok(())
}

fn print_routes(template: &Template) {
    let rows: Vec<[&str; 4]> = template
        .functions
        .iter()
        .flat_map(|function| function.routes.iter().map(move |route| (route, function)))
        .map(|(route, function)| {
            [&route.method, &route.path, &function.name, &function.description].map(String::as_str)
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (m, p, n) = (width(0), width(1), width(2));
    for [method, path, name, description] in rows {
        let row = format!("{method:m$}  {path:p$}  {name:n$}  {description}");
        println!("{}", row.trim_end());
    }
}

async fn print_token(options: Token) -> Result<()> {
    let (_, template) = load()?;
    let (store, now) = (store_at(&options.dynamodb, &template).await?, shared::now());
    let kind = match options.kind {
        Kind::Access => credential::Kind::Access,
        Kind::Session => credential::Kind::Session,
        Kind::IdToken => {
            let end = json!({ "exp": now.seconds() + options.ttl });
            println!("{}", issuer::id_token(&store, &options.user, &end, now).await?);
            return Ok(());
        }
    };
    let expected = token::expected(&template)?;
    let member = (options.tenant.as_str(), options.user.as_str());
    println!("{}", token::issue(&store, &expected, member, kind, options.ttl, Flaw::None, now).await?);
    Ok(())
}

async fn seed(options: Seed) -> Result<()> {
    let (_, template) = load()?;
    let (bar, now) = (seed::bar(), shared::now());
    let seed = seed::Seed { slug: &options.tenant, members: options.members, first: 1, lifelike: true };
    match options.data {
        None => {
            let store = store_at(&options.dynamodb, &template).await?;
            seed.fill(&store, now, &bar, async |items| store.put_all(items).await).await?;
        }
        Some(data) => seed.fill_folder(data, &template, now, &bar).await?,
    }
    bar.finish();
    println!("tenant `{}` has {} members", options.tenant, options.members);
    Ok(())
}

fn verify(options: &Verify) -> Result<()> {
    let wrong = |why: &dyn std::fmt::Display| format!("--keys {}: {why}", options.keys.display());
    let mut keys = String::new();
    let file = fs::File::open(&options.keys).map_err(|why| wrong(&why))?;
    file.take(MAX_KEYS).read_to_string(&mut keys).map_err(|why| wrong(&why))?;
    let keys = verify::Keys::parse(&keys).map_err(|why| wrong(&why))?;
    let export = fs::read_to_string(&options.export).map_err(|why| format!("{}: {why}", options.export.display()))?;
    println!("{}", verify::verify(export.lines(), &keys)?);
    Ok(())
}

/// Returns the table at a DynamoDB, if that answers.
async fn store_at(url: &str, template: &Template) -> Result<Store> {
    dynamodb::reach(url).await.map_err(|why| format!("{why}; `cargo run` starts one"))?;
    Store::new(url, template.table_name())
}

/// Checks the form of an address. Only the table can say whether it exists.
fn check_address(text: &str) -> std::result::Result<String, String> {
    let parts = text.split_once('@').filter(|(user, host)| !user.is_empty() && !host.is_empty());
    let is_plain = !text.chars().any(|it| it.is_control() || it.is_whitespace());
    match parts {
        Some(_) if is_plain && text.len() <= MAX_ADDRESS => Ok(text.to_owned()),
        _ => Err(format!("not an address such as `ann@acme.example`, of at most {MAX_ADDRESS} bytes")),
    }
}
