//! The items of a range, page by page: nobody knows how many there are, and a function has little memory.

use domain::Problem;

use super::{PIECE, Worker};
use crate::table::key::{Key, Range};
use crate::table::{Item, Table, key_of};

pub(super) struct Pages<'a> {
    table: Table<'a>,
    range: Range,
    after: Option<Key>,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// The items of the table whose sort keys begin with that of `prefix`.
    pub fn of(worker: &Worker<'a>, prefix: Key) -> Self {
        Self { table: worker.asked.table, range: Range::of(prefix), after: None, is_over: false }
    }

    /// The next items; `None` behind the last ones.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn following(&mut self) -> Result<Option<Vec<Item>>, Problem> {
        if self.is_over {
            return Ok(None);
        }
        let after = self.after.as_ref().map(|key| (key, None));
        let (items, more) = self.table.page(&self.range, after, PIECE).await?;
        let last = items.last().map(key_of).transpose()?;
        (self.is_over, self.after) = (!more, last.or(self.after.take()));
        Ok(Some(items))
    }
}
