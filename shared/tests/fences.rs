//! A model of fences (`shared/src/table/fence.rs`). It walks through every interleaving of three requests that rest on a fact, one
//! that changes it and may die on the way, one that repeats the change, and one that puts up the fences. DynamoDB carries out each
//! step whole.

use std::collections::HashSet;

const FENCES: usize = 2;

/// The fact's item and its fences, in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Table {
    version: u8,
    fences: usize,
    fence: [Option<u8>; FENCES],
}

/// A request that rests on the fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    New,
    /// It has read this version and the number of fences.
    Read(u8, usize),
    Done,
}

/// A request that changes the fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Change {
    New,
    Read(u8, usize),
    /// It has committed or found this version, and has raised so many of so many fences.
    Raising {
        version: u8,
        raised: usize,
        of: usize,
    },
    Answered(u8),
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    table: Table,
    requests: [Request; 3],
    change: Change,
    /// The same change again. The first request is dead, so its caller got no answer.
    repeat: Change,
    put_up: bool,
}

/// The parts that the protocol leaves out, for controls.
#[derive(Clone, Copy, Default)]
struct Without {
    raising: bool,
    raising_again: bool,
    number_of_fences: bool,
}

impl State {
    fn start(fences: usize) -> Self {
        let table = Table { version: 1, fences, fence: [None; FENCES] };
        Self { table, requests: [Request::New; 3], change: Change::New, repeat: Change::New, put_up: false }
    }

    /// The version that an answer has called in force.
    fn told(&self) -> u8 {
        let told = |change: Change| if let Change::Answered(version) = change { version } else { 0 };
        told(self.change).max(told(self.repeat))
    }

    /// The states after one step of any request, or the error in it.
    fn next(&self, without: Without) -> Result<Vec<Self>, String> {
        let mut next = Vec::new();
        for (at, request) in self.requests.iter().enumerate() {
            let mut with = |table, request| {
                let mut state = Self { table, ..*self };
                state.requests[at] = request;
                next.push(state);
            };
            match *request {
                Request::New => with(self.table, Request::Read(self.table.version, self.table.fences)),
                Request::Read(version, fences) => {
                    // Without fences it checks the item; else it takes any one.
                    let mut tables = Vec::new();
                    if fences == 0 && self.table.version == version {
                        tables.push(self.table);
                    }
                    for fence in (0..fences).filter(|fence| self.table.fence[*fence].is_none_or(|held| held <= version))
                    {
                        let mut table = self.table;
                        table.fence[fence] = Some(version);
                        tables.push(table);
                    }
                    if !tables.is_empty() && version < self.told() {
                        return Err(format!("commits on version {version}: {self:?}"));
                    }
                    tables.into_iter().for_each(|table| with(table, Request::Done));
                    // A request that does not commit starts again, like any of the other requests.
                    with(self.table, Request::Done);
                }
                Request::Done => {}
            }
        }
        for (table, change) in self.steps(self.change, false, without) {
            next.push(Self { table, change, ..*self });
        }
        if self.change == Change::Dead {
            for (table, repeat) in self.steps(self.repeat, true, without) {
                next.push(Self { table, repeat, ..*self });
            }
        } else if matches!(self.change, Change::Raising { .. }) {
            next.push(Self { change: Change::Dead, ..*self });
        }
        if !self.put_up {
            next.push(Self { table: Table { fences: FENCES, ..self.table }, put_up: true, ..*self });
        }
        Ok(next)
    }

    fn steps(&self, change: Change, again: bool, without: Without) -> Vec<(Table, Change)> {
        let table = self.table;
        match change {
            Change::New => vec![(table, Change::Read(table.version, table.fences))],
            // The change is there already.
            Change::Read(version, of) if version > 1 => {
                let of = if again && without.raising_again { 0 } else { of };
                vec![(table, Change::Raising { version, raised: 0, of })]
            }
            Change::Read(version, of) => {
                let same = table.version == version && (without.number_of_fences || table.fences == of);
                match same {
                    true => {
                        let of = if without.raising { 0 } else { of };
                        let changed = Table { version: version + 1, ..table };
                        vec![(changed, Change::Raising { version: version + 1, raised: 0, of })]
                    }
                    false => vec![(table, Change::New)],
                }
            }
            Change::Raising { version, raised, of } if raised == of => vec![(table, Change::Answered(version))],
            Change::Raising { version, raised, of } => {
                let mut table = table;
                table.fence[raised] = Some(table.fence[raised].unwrap_or(0).max(version));
                vec![(table, Change::Raising { version, raised: raised + 1, of })]
            }
            Change::Answered(_) | Change::Dead => Vec::new(),
        }
    }
}

/// Walks through all states. Returns their number, or the first in which a request commits on an older fact.
fn walk(without: Without) -> Result<usize, String> {
    let mut known = HashSet::new();
    let mut open = vec![State::start(0), State::start(FENCES)];
    while let Some(state) = open.pop() {
        if known.insert(state) {
            open.extend(state.next(without)?);
        }
    }
    Ok(known.len())
}

#[test]
fn nothing_commits_on_a_fact_after_its_change_was_answered() {
    let states = walk(Without::default()).unwrap();
    assert!(states > 1_000, "{states}");
}

/// The walk can fail: it does if any one part of the protocol is left out.
#[test]
fn each_part_of_the_protocol_is_needed() {
    for without in [
        Without { raising: true, ..Without::default() },
        Without { raising_again: true, ..Without::default() },
        Without { number_of_fences: true, ..Without::default() },
    ] {
        assert!(walk(without).is_err());
    }
}
