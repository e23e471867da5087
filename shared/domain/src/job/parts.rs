//! The parts of an import.

use super::Job;

impl Job {
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
    pub(super) fn set_part(&mut self, number: u32, lines: usize) {
        self.parts.insert(format!("{number:04}"), lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;
    use crate::id::{JobId, UserId};
    use crate::job::{OnExisting, Starter, Task};

    #[test]
    fn a_line_of_the_whole_is_found_in_its_part() {
        let by = Starter { member: Some(UserId::new(1)), key: None, address: None };
        let task = Task::ImportUsers { by, on_existing: OnExisting::Fail, dry_run: false };
        let mut job = Job::new(JobId::new(1), task, Time::from_millis(0));
        assert_eq!((job.lines(), job.place(0)), (0, None));
        for (number, lines) in [(10, 2), (2, 3), (7, 1), (2, 4)] {
            job.set_part(number, lines);
        }
        assert_eq!(job.lines(), 7);
        let places: Vec<_> = (0..8).map(|line| job.place(line)).collect();
        let wanted = [(2, 0), (2, 1), (2, 2), (2, 3), (7, 0), (10, 0), (10, 1)];
        assert_eq!(places, wanted.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
    }
}
