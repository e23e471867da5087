//! Reads the members of one page from their sources.

use std::cmp::Ordering;
use std::collections::HashMap;

use domain::id::UserId;
use domain::problem::{Fault, Wrong};
use domain::{Member, Problem};
use futures_util::future::join_all;

use super::{Filters, MAX_COUNTED, NOT_COUNTED, PAGES, Page, Source, lost, sort_key};
use crate::table::key::{Key, Range, TenantKeys};
use crate::table::stored::Reference;
use crate::table::{Item, Table, decode};

/// The search for the members of one page.
pub(in crate::gate) struct Scan<'a> {
    pub(in crate::gate) table: Table<'a>,
    pub(in crate::gate) keys: TenantKeys,
    pub(in crate::gate) filters: &'a Filters<'a>,
    pub(in crate::gate) page: &'a Page,
}

impl Scan<'_> {
    /// Adds the members of a page to `found`. Returns the place of the last item, if there may be more behind it. A place is the
    /// index of a source, and a sort key in it.
    pub(in crate::gate) async fn page(
        &self,
        sources: &[Source],
        start: Option<String>,
        mut is_visible: impl FnMut(&Member) -> bool,
        found: &mut Vec<Member>,
    ) -> Result<Option<String>, Problem> {
        let (mut source, mut after) = match &start {
            None => (0, None),
            Some(place) => {
                let (source, sk) = place.split_once(':').ok_or_else(lost)?;
                (source.parse().map_err(|_| lost())?, Some(sk.to_owned()).filter(|sk| !sk.is_empty()))
            }
        };
        let Page { limit, number, .. } = *self.page;
        let mut before = number.map_or(0, |number| (number - 1) * limit);
        let mut left = if number.is_some() { MAX_COUNTED } else { limit * PAGES };
        // One more than wanted: that one tells whether there is a next page.
        let mut most = before + limit + 1;
        while let Some(from) = sources.get(source) {
            let (items, more) = self.read(from, after.as_deref(), most.min(left)).await?;
            let more = more && !items.is_empty();
            // If a filter leaves out some, the next read is as large or larger, so that a page takes few reads.
            most *= if number.is_some() { 2 } else { 1 };
            left -= items.len().min(left);
            for (sk, member) in items {
                if let Some(member) = member.filter(|it| {
                    self.filters.match_member(it) && !self.filters.is_repeated(it, source) && is_visible(it)
                }) {
                    if before > 0 {
                        before -= 1;
                    } else if found.len() == limit {
                        return Ok(Some(format!("{source}:{}", after.unwrap_or_default())));
                    } else {
                        found.push(member);
                    }
                }
                after = Some(sk);
            }
            if !more {
                (source, after) = (source + 1, None);
            }
            if left == 0 && source < sources.len() {
                if number.is_some() && found.len() < limit {
                    return Err(vec![Fault::here(Wrong::Syntax(NOT_COUNTED)).within("page").within("query")].into());
                }
                return Ok(Some(format!("{source}:{}", after.unwrap_or_default())));
            }
        }
        Ok(None)
    }

    /// Reads at most `most` items of a source, each with its sort key and its member, if there is one; and whether there may be
    /// more.
    async fn read(
        &self,
        source: &Source,
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<(String, Option<Member>)>, bool), Problem> {
        match source {
            Source::One(user) => Ok((self.follow(vec![(String::new(), *user)]).await?, false)),
            Source::Members(range) => {
                let (items, more) = self.items(range, after, most).await?;
                let read = items.into_iter().map(|(sk, item)| Ok((sk, Some(decode(item)?))));
                Ok((read.collect::<Result<_, Problem>>()?, more))
            }
            Source::Edges(ranges) => {
                let (edges, more) = self.edges(ranges, after, most).await?;
                Ok((self.follow(edges).await?, more))
            }
        }
    }

    /// Reads at most `most` items of a range, each with its sort key; and whether there may be more.
    async fn items(
        &self,
        range: &Range,
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<(String, Item)>, bool), Problem> {
        let listed = after.map(|sk| range.at(sk));
        let start = match (&listed, range.in_index) {
            (Some(listed), true) => {
                let user = TenantKeys::number_listed(&listed.sk).ok_or_else(lost)?;
                Some((self.keys.member(user), Some(listed)))
            }
            (Some(key), false) => Some((key.clone(), None)),
            (None, _) => None,
        };
        let start = start.as_ref().map(|(key, listed)| (key, *listed));
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let (items, more) = self.table.page(range, start, most).await?;
        let name = if range.in_index { "GSI1SK" } else { "SK" };
        let items = items.into_iter().map(|item| Ok((sort_key(&item, name)?, item)));
        Ok((items.collect::<Result<_, Problem>>()?, more))
    }

    /// Reads at most `most` edges of all ranges together, in their order, and of several to a member one; and whether
    /// there may be more.
    async fn edges(
        &self,
        ranges: &[Range],
        after: Option<&str>,
        most: usize,
    ) -> Result<(Vec<(String, UserId)>, bool), Problem> {
        let mut edges = Vec::new();
        // Behind this one a range may have more.
        let mut end: Option<String> = None;
        let order = |one: &str, other: &str| if ranges[0].descending { other.cmp(one) } else { one.cmp(other) };
        for read in join_all(ranges.iter().map(|range| self.items(range, after, most))).await {
            let (items, more) = read?;
            let last = items.last().filter(|_| more).map(|(sk, _)| sk.clone());
            if let Some(last) = last {
                end = Some(end.filter(|end| order(end, &last) == Ordering::Less).unwrap_or(last));
            }
            for (sk, item) in items {
                let user = match TenantKeys::number_of(&sk) {
                    Some(user) => user,
                    None => decode::<Reference<_>>(item)?.number,
                };
                edges.push((sk, user));
            }
        }
        edges.sort_by(|(one, _), (other, _)| order(one, other));
        edges.dedup();
        edges.retain(|(sk, _)| end.as_ref().is_none_or(|end| order(sk, end) != Ordering::Greater));
        let more = end.is_some() || edges.len() > most;
        edges.truncate(most);
        Ok((edges, more))
    }

    /// Reads the members to whom edges or addresses lead, in their order.
    async fn follow(&self, users: Vec<(String, UserId)>) -> Result<Vec<(String, Option<Member>)>, Problem> {
        let mut members: HashMap<Key, Item> = match users.is_empty() {
            true => HashMap::new(),
            false => self.table.get(users.iter().map(|(_, user)| self.keys.member(*user))).await?,
        };
        let read = users
            .into_iter()
            .map(|(sk, user)| Ok((sk, members.remove(&self.keys.member(user)).map(decode).transpose()?)));
        read.collect()
    }
}
