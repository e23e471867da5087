//! The parts of an import.

use super::{Job, MAX_LINES, MAX_PARTS, OPEN_HOURS, OPEN_SECONDS, State};
use crate::problem::Problem;
use crate::time::Time;

/// What the refusal of an import says that was made too long ago.
const CLOSED: &str = "hours between the making of an import and its parts or its start: make a new import";

impl Job {
    /// Checks that an import takes parts at this time, and can be started.
    ///
    /// # Errors
    /// [`Problem::NotFound`]: it was started. [`Problem::LimitReached`]: it was made too long ago.
    pub(super) fn is_open(&self, at: Time) -> Result<(), Problem> {
        if self.state != State::Open {
            return Err(Problem::NotFound("import that is not started"));
        }
        let is_late = at.seconds() >= self.meta.created_at.seconds() + OPEN_SECONDS;
        if is_late { Err(Problem::LimitReached(CLOSED, OPEN_HOURS)) } else { Ok(()) }
    }

    /// The parts of an import and their lines, in the order of their numbers.
    pub fn parts(&self) -> impl Iterator<Item = (u32, usize)> {
        self.parts.iter().filter_map(|(number, lines)| Some((number.parse().ok()?, *lines)))
    }

    /// The part in which a line of the whole import is, and the line's place there.
    pub fn place(&self, line: usize) -> Option<(u32, usize)> {
        let mut before = 0;
        for (part, lines) in self.parts() {
            if line < before + lines {
                return Some((part, line - before));
            }
            before += lines;
        }
        None
    }

    /// How many lines an import has.
    pub fn lines(&self) -> usize {
        self.parts().map(|(_, lines)| lines).sum()
    }

    /// Numbers are padded so that they sort.
    pub(super) fn set_part(&mut self, number: u32, lines: usize) -> Result<(), Problem> {
        self.parts.insert(format!("{number:04}"), lines);
        if self.parts.len() > MAX_PARTS as usize {
            return Err(Problem::LimitReached("parts of an import", MAX_PARTS as usize));
        }
        match self.lines() > MAX_LINES {
            true => Err(Problem::LimitReached("lines of an import", MAX_LINES)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{JobId, UserId};
    use crate::job::{OnExisting, Starter, Task};

    fn import() -> Job {
        let by = Starter { member: Some(UserId::new(1)), key: None };
        let task = Task::ImportUsers { by, on_existing: OnExisting::Fail, dry_run: false };
        Job::new(JobId::new(1), task, Time::from_millis(0))
    }

    #[test]
    fn a_line_of_the_whole_is_found_in_its_part() {
        let mut job = import();
        assert_eq!((job.lines(), job.place(0)), (0, None));
        for (number, lines) in [(10, 2), (2, 3), (7, 1), (2, 4)] {
            job.set_part(number, lines).unwrap();
        }
        assert_eq!(job.lines(), 7);
        let places: Vec<_> = (0..8).map(|line| job.place(line)).collect();
        let wanted = [(2, 0), (2, 1), (2, 2), (2, 3), (7, 0), (10, 0), (10, 1)];
        assert_eq!(places, wanted.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
    }

    #[test]
    fn an_import_has_so_many_parts_and_lines() {
        let mut job = import();
        (0..MAX_PARTS).for_each(|number| job.set_part(number, MAX_LINES / MAX_PARTS as usize).unwrap());
        assert_eq!(job.lines(), MAX_LINES);
        job.set_part(3, 1).unwrap();
        assert!(matches!(job.set_part(4, 200), Err(Problem::LimitReached("lines of an import", MAX_LINES))));
        job.set_part(4, 1).unwrap();
        assert!(matches!(job.set_part(MAX_PARTS, 1), Err(Problem::LimitReached("parts of an import", _))));
    }

    #[test]
    fn an_import_is_open_for_a_day() {
        let mut job = import();
        assert!(job.is_open(Time::from_millis(OPEN_SECONDS * 1_000 - 1)).is_ok());
        let late = job.is_open(Time::from_millis(OPEN_SECONDS * 1_000)).unwrap_err();
        assert!(late.to_string().starts_with("there can be at most 24 hours between"), "{late}");
        job.state = State::Running;
        assert!(matches!(job.is_open(Time::from_millis(0)), Err(Problem::NotFound(_))));
    }
}
