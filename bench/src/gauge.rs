//! What a process has used.

use std::fs;
use std::time::Duration;

use local::Result;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// The CPU time of a process, user and system, of all threads that it has or had.
pub fn cpu(pid: u32) -> Result<Duration> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read the CPU clock of process {pid}: {error}");
    let id = i32::try_from(pid).map_err(|error| cannot(&error))?;
    let now = clock_getcpuclockid(Pid::from_raw(id)).and_then(|clock| clock.now());
    Ok(now.map_err(|error| cannot(&error))?.into())
}

/// The resident memory of a process, now and at its peak, in MB of 10^6 bytes.
pub fn memory(pid: u32) -> Result<[f64; 2]> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let megabytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kilobytes: Option<f64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kilobytes.map(|it| it * 1024.0 / 1e6).ok_or_else(|| format!("{file}: no {name}"))
    };
    Ok([megabytes("VmRSS")?, megabytes("VmHWM")?])
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::process;

    use super::*;

    #[test]
    fn work_shows() {
        let before = cpu(process::id()).unwrap();
        let sum: u64 = (0..1_000_000).map(black_box).sum();
        assert!(cpu(process::id()).unwrap() > before, "{sum}");
        let [now, peak] = memory(process::id()).unwrap();
        assert!(0.1 < now && now <= peak, "{now} of {peak} MB");
    }

    #[test]
    fn a_process_that_has_ended_has_no_clock() {
        let mut child = process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(cpu(child.id()).is_err());
        assert!(memory(child.id()).is_err());
    }
}
