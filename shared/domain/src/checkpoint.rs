//! Checkpoints: a Merkle tree of all events of a tenant in the order of their times, which grows and never changes.
//!
//! It is the tree of RFC 9162, section 2.1: whoever has all events computes the same root. So a checkpoint shows an event that is
//! missing, even the last one of a chain, or one of a record that is gone.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::hex;
use crate::tenant::RETENTION_DAYS;
use crate::time::Time;

/// A tree as far as it takes to add a leaf: the roots of its whole subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// How many leaves it has.
    pub size: u64,
    /// In hex.
    peaks: Vec<String>,
}

impl Tree {
    /// The tree of which these are the roots of the whole subtrees, the largest first; `None` if there is none.
    pub fn of(size: u64, peaks: Vec<String>) -> Option<Self> {
        Some(Self { size, peaks }).filter(|tree| u32::try_from(tree.peaks.len()) == Ok(size.count_ones()))
    }

    pub fn peaks(&self) -> &[String] {
        &self.peaks
    }

    /// Adds an event, by its hash in hex.
    pub fn push(&mut self, event: &str) {
        let mut node = leaf(event);
        // Each subtree that is whole now becomes half of a larger one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = inner(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root, in hex.
    pub fn root(&self) -> String {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => hex(&Sha256::digest([])),
            Some(last) => peaks.fold(last.clone(), |right, left| inner(left, &right)),
        }
    }
}

fn leaf(event: &str) -> String {
    hash(0, &[&bytes(event)])
}

fn inner(left: &str, right: &str) -> String {
    hash(1, &[&bytes(left), &bytes(right)])
}

fn hash(kind: u8, parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new_with_prefix([kind]);
    parts.iter().for_each(|part| hasher.update(part));
    hex(&hasher.finalize())
}

/// The bytes of a text in hex. A text that is none is taken as it is: no event has such a hash.
fn bytes(text: &str) -> Vec<u8> {
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    pairs.collect::<Option<Vec<u8>>>().unwrap_or_else(|| text.as_bytes().to_vec())
}

/// What a checkpoint says, and what its signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The deployment: the `iss` of its tokens.
    pub iss: String,
    /// The tenant, by its UUID.
    pub tenant: String,
    /// Checkpoints of a tenant are numbered from 1.
    pub number: u64,
    /// It covers all events of times before this one, and no others.
    pub until: Time,
    /// How many events that are, from the first one of the tenant.
    pub size: u64,
    /// The root of the tree of these events.
    pub root: String,
    /// Which of them are not in the record any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
}

/// The oldest events of a tenant, which it keeps no longer. Their tree goes on with those that are left, so that a checkpoint of later
/// times still shows whether one of these is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// All events of times before this one.
    pub until: Time,
    pub size: u64,
    /// The roots of the whole subtrees of their tree, in hex, the largest first.
    pub peaks: Vec<String>,
}

impl Removed {
    /// Whether a tenant can have it removed at a time: no retention is so short that younger events go.
    pub fn is_old_enough(&self, now: Time) -> bool {
        self.until.seconds() + i64::from(RETENTION_DAYS[0]) * 24 * 60 * 60 <= now.seconds()
    }

    pub fn tree(&self) -> Option<Tree> {
        Tree::of(self.size, self.peaks.clone())
    }
}

/// A checkpoint of a tenant's record, kept for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    #[serde(flatten)]
    pub says: Statement,
    /// The statement as a JWS (RFC 7515).
    pub signed: String,
}

/// How far the events of a tenant are in its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    pub tree: Tree,
    /// Behind which event it goes on: a place in the order of times. Empty before the first.
    pub place: String,
    /// How many checkpoints there are.
    pub number: u64,
    /// How many events the last one covers.
    pub signed: u64,
    /// The `kid` of the key that signed it.
    pub kid: String,
    /// All events of times before this one are in the tree, if the last piece has come to it.
    pub until: Option<Time>,
    /// The events that are too old for the tenant.
    #[serde(default)]
    pub old: Old,
    /// The same with later events, as long as some of them are missing. No checkpoint says anything of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing: Option<Old>,
    /// Those of which the last checkpoint says that they are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// Up to which time a job has begun to remove them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_until: Option<Time>,
    /// Raised with each change: of two workers one goes on.
    pub turn: u64,
}

/// The oldest events of a tenant, as a tree of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    pub tree: Tree,
    /// Behind which event it goes on. Empty before the first.
    pub place: String,
    /// The tree has events of times before this one only, and all of these if it does not grow any more.
    pub until: Option<Time>,
}

impl Covered {
    /// The tree that grows until it has all events before `target`, as far as it is; with `target`. `None` if these events are counted
    /// already, or if the tenant keeps all events.
    ///
    /// The tenant's setting can change while the tree grows. A tree that grew to a later time can have events that are kept now, so it
    /// begins anew.
    pub fn take_growing(&mut self, target: Option<Time>) -> Option<(Old, Time)> {
        let begun = self.growing.take().filter(|begun| begun.until <= target);
        let target = target.filter(|target| self.old.until < Some(*target))?;
        Some((Old { until: Some(target), ..begun.unwrap_or_else(|| self.old.clone()) }, target))
    }

    /// Whether there are events to remove of which no checkpoint says so.
    pub fn has_older(&self) -> bool {
        self.old.tree.size > self.removed.as_ref().map_or(0, |removed| removed.size)
    }

    /// The events that are removed once the next checkpoint says so.
    pub fn removing(&self) -> Option<Removed> {
        let Old { tree, until, .. } = &self.old;
        let older = until.filter(|_| self.has_older());
        let older = older.map(|until| Removed { until, size: tree.size, peaks: tree.peaks.clone() });
        older.or_else(|| self.removed.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the standard defines it.
    fn root_of(leaves: &[String]) -> String {
        match leaves {
            [] => hex(&Sha256::digest([])),
            [one] => leaf(one),
            more => {
                let half = more.len().next_power_of_two() / 2;
                inner(&root_of(&more[..half]), &root_of(&more[half..]))
            }
        }
    }

    #[test]
    fn the_tree_is_that_of_the_standard() {
        let mut tree = Tree::default();
        let leaves: Vec<String> = (0..100_u8).map(|number| hex(&Sha256::digest([number]))).collect();
        for (size, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), root_of(&leaves[..size]));
            tree.push(leaf);
            assert_eq!(tree.peaks.len() as u32, tree.size.count_ones());
        }
    }

    fn leaves() -> Vec<String> {
        (0..40_u8).map(|number| hex(&Sha256::digest([number]))).collect()
    }

    fn tree_of<'a>(mut tree: Tree, leaves: impl IntoIterator<Item = &'a String>) -> Tree {
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// What is left of a record, at every place where it can begin, has the root of the whole; and nothing else has.
    #[test]
    fn a_shortened_record_has_the_root_of_the_whole() {
        let leaves = leaves();
        let whole = tree_of(Tree::default(), &leaves).root();
        for begin in 0..=leaves.len() {
            let (gone, left) = leaves.split_at(begin);
            let gone = tree_of(Tree::default(), gone);
            let removed = Removed { until: Time::from_millis(1), size: gone.size, peaks: gone.peaks().to_vec() };
            let root_of = |left: &[String]| tree_of(removed.tree().unwrap(), left).root();
            assert_eq!(root_of(left), whole);
            for at in 0..left.len() {
                let mut edited = left.to_vec();
                edited[at] = hex(&Sha256::digest("edited"));
                assert_ne!(root_of(&edited), whole, "edited");
                assert_ne!(root_of(&[&left[..at], &left[at + 1..]].concat()), whole, "dropped");
                assert_ne!(root_of(&left[..at]), whole, "truncated");
                if at > 0 {
                    let mut swapped = left.to_vec();
                    swapped.swap(at - 1, at);
                    assert_ne!(root_of(&swapped), whole, "reordered");
                }
            }
            // Neither is it the record that begins elsewhere.
            for other in (0..leaves.len()).filter(|other| *other != begin) {
                assert_ne!(root_of(&leaves[other..]), whole);
            }
        }
    }

    #[test]
    fn what_is_removed_says_a_tree_or_none() {
        let tree = tree_of(Tree::default(), &leaves());
        assert_eq!(Tree::of(tree.size, tree.peaks().to_vec()), Some(tree.clone()));
        assert_eq!(Tree::of(0, Vec::new()), Some(Tree::default()));
        for size in [0, 1, 39] {
            assert_eq!(Tree::of(size, tree.peaks().to_vec()), None);
        }
    }

    #[test]
    fn only_what_is_older_than_before_is_removed() {
        let until = Time::from_millis(1_705_308_300_000);
        let mut covered = Covered::default();
        assert_eq!((covered.has_older(), covered.removing()), (false, None));
        covered.old = Old { tree: tree_of(Tree::default(), &leaves()), place: "p".to_owned(), until: Some(until) };
        let removing = covered.removing().unwrap();
        assert_eq!((removing.until, removing.tree()), (until, Some(covered.old.tree.clone())));
        covered.removed = Some(removing.clone());
        covered.old.until = Some(Time::from_millis(until.millis() + 1));
        assert_eq!((covered.has_older(), covered.removing()), (false, Some(removing)));
    }

    #[test]
    fn a_removal_that_grew_to_a_later_time_begins_anew() {
        let at = |day: i64| Some(Time::from_millis(day * 24 * 60 * 60 * 1_000));
        let old = Old { tree: tree_of(Tree::default(), &leaves()[..10]), place: "ten".to_owned(), until: at(10) };
        let more = Old { tree: tree_of(Tree::default(), &leaves()), place: "forty".to_owned(), until: at(50) };
        let covered = Covered { old: old.clone(), growing: Some(more.clone()), ..Covered::default() };
        assert_eq!(covered.removing().unwrap().size, 10, "no checkpoint says anything of what grows");
        let taken = |target| {
            let mut covered = covered.clone();
            let taken = covered.take_growing(target);
            assert_eq!(covered.growing, None);
            taken.map(|(old, until)| (old.tree, old.place, old.until, until))
        };
        for (target, from) in [(50, &more), (51, &more), (49, &old), (11, &old)] {
            let until = at(target);
            let expected = (from.tree.clone(), from.place.clone(), until, until.unwrap());
            assert_eq!(taken(until), Some(expected), "{target}");
        }
        for target in [None, at(10), at(9)] {
            assert_eq!(taken(target), None);
        }
    }

    /// The values that implementations of Certificate Transparency compare.
    #[test]
    fn known_roots() {
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        for (leaf, root) in leaves.iter().zip(roots) {
            tree.push(leaf);
            assert_eq!(tree.root(), root);
        }
    }
}
