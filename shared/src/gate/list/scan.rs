//! Reads the members of one page from their sources.

use std::collections::HashMap;

use domain::id::UserId;
use domain::{Member, Problem};

use super::{Filters, PAGES, Source, lost, sort_key};
use crate::table::key::{Key, TenantKeys};
use crate::table::stored::Reference;
use crate::table::{Item, Table, decode};

/// The search for the members of one page.
pub(super) struct Scan<'a> {
    pub(super) table: Table<'a>,
    pub(super) keys: TenantKeys,
    pub(super) filters: &'a Filters<'a>,
    pub(super) limit: usize,
}

impl Scan<'_> {
    /// Adds the members of a page to `found`. Returns the place of the last item, if there may be more behind it. A place is the
    /// index of a source, and a sort key in it.
    pub(super) async fn page(
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
        let mut left = self.limit * PAGES;
        while let Some(from) = sources.get(source) {
            // One more than a page has: that one tells whether there is a next page. If a filter leaves out some, the next read is
            // as large, so that a page takes few reads.
            let most = (self.limit + 1).min(left);
            let (items, more) = self.read(from, after.as_deref(), most).await?;
            let more = more && !items.is_empty();
            left -= items.len().min(left);
            for (sk, member) in items {
                if let Some(member) = member.filter(|it| {
                    self.filters.match_member(it) && !self.filters.is_repeated(it, source) && is_visible(it)
                }) {
                    if found.len() == self.limit {
                        return Ok(Some(format!("{source}:{}", after.unwrap_or_default())));
                    }
                    found.push(member);
                }
                after = Some(sk);
            }
            if !more {
                (source, after) = (source + 1, None);
            }
            if left == 0 && source < sources.len() {
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
        let (range, is_edge) = match source {
            Source::One(user) => return Ok((self.follow(vec![(String::new(), *user)]).await?, false)),
            Source::Members(range) => (range, false),
            Source::Edges(range) => (range, true),
        };
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
        if is_edge {
            let users = items.into_iter().map(|item| {
                let sk = sort_key(&item, name)?;
                let user = match TenantKeys::number_of(&sk) {
                    Some(user) => user,
                    None => decode::<Reference<_>>(item)?.number,
                };
                Ok((sk, user))
            });
            return Ok((self.follow(users.collect::<Result<_, Problem>>()?).await?, more));
        }
        let read = items.into_iter().map(|item| Ok((sort_key(&item, name)?, Some(decode(item)?))));
        Ok((read.collect::<Result<_, Problem>>()?, more))
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
