//! Runs a target of the fuzz tests for a while.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};

/// Checks generated inputs for as many seconds as `FUZZ_SECONDS` says, else for one second. An input that fails is made smaller and
/// shown.
pub fn fuzz<S: Strategy>(inputs: &S, check: impl Fn(S::Value)) {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(1, |seconds| seconds.parse().expect("a number of seconds"));
    let until = Instant::now() + Duration::from_secs(seconds);
    let config = Config { cases: 64, failure_persistence: None, max_shrink_time: 30_000, ..Config::default() };
    let checked = Cell::new(0_u64);
    while checked.get() == 0 || Instant::now() < until {
        let checks = |input| {
            checked.set(checked.get() + 1);
            check(input);
            Ok(())
        };
        // A new one each time: a runner that has passed runs nothing more.
        TestRunner::new(config.clone()).run(inputs, checks).unwrap_or_else(|why| panic!("{why}"));
    }
    println!("{} inputs", checked.get());
}
