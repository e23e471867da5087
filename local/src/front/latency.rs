//! The time that DynamoDB takes when it is not on this machine.

use std::{str::FromStr, time::Duration};

use super::{COUNTED, READS};

/// The most milliseconds of a [`Latency`].
const MAX_LATENCY: u64 = 1000;

/// The time that requests take in addition to the engine's own time. On AWS they do, because DynamoDB is on another machine. A
/// transaction is under way for that long. The default is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    pub read: Duration,
    pub write: Duration,
}

impl Latency {
    pub(super) async fn wait(self, operation: &str) {
        let is_read = READS.contains(&operation) || !COUNTED.contains(&operation);
        let wait = if is_read { self.read } else { self.write };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

impl FromStr for Latency {
    type Err = String;

    /// Reads `5,10`: the milliseconds of reads and of writes.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let millis = |text: &str| text.parse().ok().filter(|millis| *millis <= MAX_LATENCY).map(Duration::from_millis);
        let parts = text.split_once(',').and_then(|(read, write)| Some((millis(read)?, millis(write)?)));
        let (read, write) =
            parts.ok_or(format!("two numbers of milliseconds from 0 to {MAX_LATENCY}, such as `5,10`"))?;
        Ok(Self { read, write })
    }
}
