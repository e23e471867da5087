//! Several changes in one request: all in one transaction, or each in one of its own.

use std::collections::HashSet;

use domain::Problem;
use domain::problem::{Fault, Wrong};

use super::facts::Facts;
use super::plan::{Plan, Step};
use super::{Idempotency, IfMatch};
use crate::answer::Answer;
use crate::table::key::Key;

/// A change that touches what another one of the same transaction touches, such as the same member or the same address.
const TWICE: Wrong = Wrong::Syntax("a change that shares no user or address with another one");

impl Plan<'_> {
    /// Plans one of several changes that are made all or none. What refuses it names its place. The others are planned, too: a caller
    /// who may not do one of them learns only that.
    pub fn one_of(
        &mut self,
        place: usize,
        if_match: Option<&IfMatch>,
        change: impl FnOnce(&mut Self) -> Result<Answer, Problem>,
    ) -> Option<Answer> {
        let (first, denied, refused) = (self.first.take(), self.denied.take(), self.refused.take());
        let written = self.written.len();
        let planned = change(self);
        let answer = planned.map_err(|why| self.refuse(why)).ok();
        match (if_match, self.first) {
            (Some(_), Some((kind, None))) => self.refuse(Problem::NothingToMatch(kind)),
            (Some(tags), Some((kind, Some(version)))) if !tags.matches(version) => {
                self.refuse(Problem::VersionMismatch(kind));
            }
            _ => {}
        }
        let (before, now) = self.written.split_at(written);
        let taken: HashSet<&Key> = before.iter().flat_map(|written| written.touched()).collect();
        if now.iter().flat_map(|written| written.touched()).any(|key| taken.contains(key)) {
            self.refuse(vec![Fault::here(TWICE)].into());
        }
        let of_change = |why: Problem| Problem::OfChange(place, Box::new(why));
        self.first = first.or(self.first);
        self.denied = denied.or(self.denied.take().map(of_change));
        self.refused = refused.or(self.refused.take().map(of_change));
        answer
    }

    /// Plans no change: only the refusal of one of several changes goes on record, so that a repetition gets it again, whatever was changed
    /// since. If a twin of the request has made the change meanwhile, its answer is on record already, and counts.
    pub fn refused_for_good(&mut self, refusal: Answer) -> Step {
        self.first = Some(("change", None));
        Step::Answer(refusal)
    }
}

impl Idempotency {
    /// The part of it that one of several changes has, each of which is made on its own. No client can send such a key.
    #[must_use]
    pub fn of_change(&self, place: usize) -> Self {
        Self { key: format!("{} {place}", self.key), ..self.clone() }
    }

    /// The keys of a request and of its changes.
    pub(super) fn with_changes(&self, count: usize) -> Vec<String> {
        let of_changes = (0..count).map(|place| self.of_change(place).key);
        [self.key.clone()].into_iter().chain(of_changes).collect()
    }
}

impl Facts {
    /// Whether the answers on record that [`Reads::repeated`](super::Reads::repeated) named are all to this request.
    ///
    /// # Errors
    /// [`Problem::IdempotencyMismatch`]
    pub fn are_of(&self, idempotency: Option<&Idempotency>) -> Result<(), Problem> {
        let is_other = |asked: &Idempotency| self.repeated.iter().any(|it| it.fingerprint != asked.fingerprint);
        if idempotency.is_some_and(is_other) { Err(Problem::IdempotencyMismatch) } else { Ok(()) }
    }
}
