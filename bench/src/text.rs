//! Prints numbers and tables.

use std::fs;
use std::process::Command;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use local::{Result, template};

use crate::subjects::{self, Subject};

/// Returns a quantile by nearest rank: at least the share `q` of the values is not above it.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Writes the median, and the range of the middle eight in ten.
pub fn spread(values: &[f64]) -> String {
    let [p10, p50, p90] = [0.1, 0.5, 0.9].map(|q| number(quantile(values, q)));
    format!("{p50} ({p10}–{p90})")
}

pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Writes a number to three digits or to the hundredth, whichever is shorter.
pub fn number(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub fn ratio(value: f64, base: f64) -> String {
    format!("{}×", number(value / base))
}

/// Writes a count with separators.
pub fn count(value: u32) -> String {
    indicatif::HumanCount(value.into()).to_string()
}

pub fn table<const N: usize>(title: &str, columns: [&str; N], rows: &[[String; N]]) {
    println!("\n### {title}\n\n| {} |\n|{}", columns.join(" | "), " --- |".repeat(N));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

pub fn note(text: &str) {
    println!("\n{text}");
}

/// Shows progress to the person who waits.
pub fn bar(what: &str, steps: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:40} {wide_bar} {pos}/{len}, {elapsed} gone, {eta} to go");
    let style = style.map_err(|error| error.to_string())?;
    Ok(ProgressBar::new(steps as u64).with_style(style).with_message(what.to_owned()))
}

/// Prints the date, commit, machine and command of a measurement.
pub fn heading(subjects: &[Subject]) -> Result<()> {
    let root = template::find_root()?;
    let git = |arguments: &[&str]| subjects::output(Command::new("git").current_dir(&root).args(arguments));
    let changed = match git(&["status", "--porcelain"])?.is_empty() {
        true => "",
        false => ", with changes",
    };
    let read = |file: &str| fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let processors = read("/proc/cpuinfo")?;
    let named =
        |line: &str| line.strip_prefix("model name").map(|name| name.trim_start_matches([' ', '\t', ':']).to_owned());
    let processor = processors.lines().find_map(named).unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_err(|error| error.to_string())?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();

    println!("- Date: {}", shared::now());
    println!("- Commit: {}{changed}", git(&["rev-parse", "--short=12", "HEAD"])?);
    println!(
        "- Command: `{}`",
        format!("cargo run --release -p bench -- {}", arguments.join(" ")).trim_end_matches(" -- ")
    );
    println!("- Machine: {processor}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease")?.trim());
    let rust = subjects::output(Command::new("rustc").arg("--version"))?;
    let versions = subjects.iter().filter_map(|subject| subject.version.clone());
    println!("- Versions: {}", [rust].into_iter().chain(versions).collect::<Vec<_>>().join("; "));
    for subject in subjects {
        println!("- {}: {}", subject.name, subject.does);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.1, 0.5, 0.99, 1.0].map(|q| quantile(&values, q)), [1.0, 10.0, 50.0, 99.0, 100.0]);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn numbers_have_three_digits_or_two_decimals() {
        assert_eq!([0.004, 2.345, 23.45, 2345.6].map(number), ["0.00", "2.35", "23.4", "2346"]);
        assert_eq!(ratio(30.0, 2.0), "15.0×");
    }
}
