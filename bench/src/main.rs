//! The benchmark. It measures the cost of a call, cold and warm, beside three peers; the growth of the cost with the size of a
//! tenant; and the number of calls that a machine serves. It prints tables in Markdown on stdout, and progress on stderr.
//!
//! - [`subjects`] builds and starts the subjects: our function and three peers (`bench/peers`).
//! - [`bed`] is the DynamoDB that they all use, behind TLS ([`tls`]), with a tenant and its tokens.
//! - [`cold`], [`scale`], [`directory`], [`check`], [`throughput`] and [`docs`] measure. [`gauge`] reads the CPU clock and memory of a process. [`text`]
//!   prints.

mod bed;
mod check;
mod cold;
mod directory;
mod docs;
mod gauge;
mod scale;
mod subjects;
mod text;
mod throughput;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use local::Result;
use local::front::Latency;

use crate::bed::Tail;

#[derive(Parser)]
struct Cli {
    /// The parts to measure; everything if none is named
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// `cold` and `docs`: the number of processes of each that are started
    #[arg(long, value_name = "N", default_value_t = 31, value_parser = clap::value_parser!(u32).range(1..))]
    cold: u32,
    /// `cold`, `scale`, `directory` and `check`: the number of calls that a warm process of each takes
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    warm: u32,
    /// `cold`: another build of our function, for example of the commit before; may be repeated
    #[arg(long, value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// `cold`: leaves out the Rust peer, whose build takes minutes
    #[arg(long)]
    without_rust: bool,
    /// `scale`, `directory` and `check`: the sizes of the tenants
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [10, 1_000, 100_000, 1_000_000],
        value_parser = clap::value_parser!(u32).range(3..=10_000_000))]
    members: Vec<u32>,
    /// `throughput`: the numbers of callers that call at once
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 2, 4, 8, 16, 32, 64],
        value_parser = clap::value_parser!(u32).range(1..=64))]
    callers: Vec<u32>,
    /// `throughput`: the seconds for which each number of callers calls
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// `throughput`: the milliseconds that DynamoDB takes for each read and each write
    #[arg(long, value_name = "READ,WRITE", default_value = "0,0")]
    latency: Latency,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Cold starts, warm calls, memory, size and capacity, beside the peers
    Cold,
    /// Warm calls and capacity in tenants of several sizes
    Scale,
    /// Lists, lookups, writes and decisions in tenants of several sizes: the smallest and the largest
    Directory,
    /// A decision in tenants of several sizes, the smallest and the largest, beside Cerbos
    Check,
    /// Calls a second through the gateway
    Throughput,
    /// Cold starts of the API reference
    Docs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let log = Tail::default();
    let cli = Cli::parse();
    let result = tokio::select! {
        result = run(cli, &log) => result,
        interrupt = tokio::signal::ctrl_c() => Err(interrupt.map_or_else(|error| error.to_string(), |()| "interrupted".to_owned()).into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{log}error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, log: &Tail) -> Result<()> {
    let wants = |part| cli.parts.is_empty() || cli.parts.contains(&part);
    let ours = subjects::ours(subjects::UPDATE)?;
    if wants(Part::Cold) {
        let subjects = subjects::all(&ours, &cli.beside, cli.without_rust)?;
        text::heading(&subjects)?;
        cold::run(&ours, &subjects, cli.cold, cli.warm, log).await?;
    } else {
        text::heading(&[])?;
    }
    if wants(Part::Scale) {
        scale::run(&ours, &cli.members, cli.warm, log).await?;
    }
    if wants(Part::Directory) {
        directory::run(&ours, &cli.members, cli.warm, log).await?;
    }
    if wants(Part::Check) {
        check::run(&cli.members, cli.warm, log).await?;
    }
    if wants(Part::Docs) {
        docs::run(cli.cold, log).await?;
    }
    if wants(Part::Throughput) {
        throughput::run(&ours, &cli.callers, cli.seconds, cli.latency, log).await?;
    }
    Ok(())
}
