//! Reads the CPU time and memory of a process, and keeps other processes of the benchmark off its core.

use std::fs;
use std::time::Duration;

use local::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// Reads the CPU time of a process, user and system, of all threads that it has or had.
pub fn cpu(pid: u32) -> Result<Duration> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read the CPU clock of process {pid}: {error}");
    let id = i32::try_from(pid).map_err(|error| cannot(&error))?;
    let now = clock_getcpuclockid(Pid::from_raw(id)).and_then(|clock| clock.now());
    Ok(now.map_err(|error| cannot(&error))?.into())
}

/// The last core is for the subject. The other cores are for this process and its engine: on the same core they would empty the
/// caches between two calls, which does not happen in the cloud. A machine with one core cannot separate them.
pub struct Apart {
    all: CpuSet,
    last: Option<CpuSet>,
}

impl Apart {
    /// Moves this process off the last core, until this value is dropped.
    pub fn new() -> Result<Self> {
        let cannot = |error| format!("cannot choose cores: {error}");
        let all = sched_getaffinity(Pid::from_raw(0)).map_err(cannot)?;
        let cores: Vec<usize> = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap_or_default()).collect();
        let (mut others, mut last) = (all, CpuSet::new());
        match cores.as_slice() {
            [_, .., core] => {
                others.unset(*core).and_then(|()| last.set(*core)).map_err(cannot)?;
                threads(&others)?;
                Ok(Self { all, last: Some(last) })
            }
            _ => Ok(Self { all, last: None }),
        }
    }

    /// Puts a process that has just been started on the last core.
    pub fn put(&self, pid: u32) -> Result<()> {
        let Some(last) = &self.last else { return Ok(()) };
        let id = i32::try_from(pid).map_err(|error| error.to_string())?;
        Ok(sched_setaffinity(Pid::from_raw(id), last).map_err(|error| format!("process {pid} stays: {error}"))?)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Err(error) = threads(&self.all) {
            eprintln!("{error}");
        }
    }
}

/// Sets the cores of each thread of this process. Later threads inherit them.
fn threads(cores: &CpuSet) -> Result<()> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot choose cores: {error}");
    for thread in fs::read_dir("/proc/self/task").map_err(|error| cannot(&error))? {
        let name = thread.map_err(|error| cannot(&error))?.file_name();
        let id = name.to_string_lossy().parse().map_err(|error| cannot(&error))?;
        // A thread may have ended meanwhile.
        match sched_setaffinity(Pid::from_raw(id), cores) {
            Ok(()) | Err(nix::Error::ESRCH) => {}
            Err(error) => return Err(cannot(&error).into()),
        }
    }
    Ok(())
}

/// Reads the resident memory of a process, now and at its peak, in MB of 10^6 bytes.
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
