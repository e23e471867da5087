//! Builds the functions.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;

use crate::{Error, Result};

/// Returns a command for the cargo that runs this program, or for the one in the path.
///
/// The command lacks the variables that tell this program about its package. With them some build scripts (`ring`'s) would run
/// again, and everything above them would be built again.
pub fn cargo() -> std::process::Command {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| told.iter().any(|prefix| name.starts_with(prefix))) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// The variable that names a folder of functions in the release profile. CI sets it, so that the tests run what is deployed.
pub const BUILT: &str = "BUILT_FUNCTIONS";

/// Builds the binaries of `functions` with cargo, which shows its progress, and returns their folder. If [`BUILT`] is set, those in the
/// release profile are there already.
///
/// # Errors
///
/// Cargo cannot be run, or it fails; then it has said why.
pub fn build<'a>(root: &Path, functions: impl IntoIterator<Item = &'a str>, release: bool) -> Result<PathBuf> {
    if let Some(built) = std::env::var_os(BUILT).filter(|_| release) {
        return Ok(built.into());
    }
    let run = |command: &mut std::process::Command| {
        let output = command.current_dir(root).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot run cargo: {error}"))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Error::from(format!("cargo failed: {}", output.status))),
        }
    };
    let metadata = run(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let target =
        metadata["target_directory"].as_str().ok_or_else(|| "cargo metadata: no target_directory".to_string())?;
    // In the dev profile, cargo gets only the names of the binaries and takes the workspace's default members, as `cargo run`
    // itself does. With fewer or more packages the dependencies would have other features and would be built again. In the
    // release profile nothing is built yet.
    let (profile, by) = if release { (Some("--release"), "-p") } else { (None, "--bin") };
    run(cargo().arg("build").args(profile).args(functions.into_iter().flat_map(|name| [by, name])))?;
    Ok(Path::new(target).join(if release { "release" } else { "debug" }))
}
