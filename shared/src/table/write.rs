//! Writing: all or nothing, in one transaction.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnConsumedCapacity, TransactWriteItem, Update,
};
use domain::Problem;
use futures_util::future::join_all;
use uuid::Uuid;

use super::fence::{FENCES, Fact};
use super::key::Key;
use super::{Condition, Failure, Item, Pause, Table, failure, internal, key_attributes};

/// The most items that DynamoDB takes in one transaction.
const MAX_ITEMS: usize = 100;

/// The outcome of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed {
    Yes,
    /// A condition did not hold: a fact of the request has changed, and nothing was written. With `in_doubt`, an earlier try of
    /// the same call got no answer, and may have written.
    Moved {
        in_doubt: bool,
    },
    /// Nothing was written, because the name belongs to another thing of this kind.
    Taken(&'static str),
}

/// The outcome of one try.
enum Tried {
    Done,
    /// The conditions at these places did not hold.
    Unmet(Vec<usize>),
}

impl Table<'_> {
    /// Writes all or nothing, in one round trip.
    ///
    /// A `ClientRequestToken` makes a try safe to repeat. While the outcome is unknown, the try is repeated with the same token,
    /// and DynamoDB answers with the outcome of the first try. If DynamoDB has forgotten the token (another engine took over),
    /// our own first write makes a condition false. Then [`Committed::Moved`] has `in_doubt`, and the caller looks for proof.
    pub async fn write(self, mut transaction: Transaction<'_>) -> Result<Committed, Problem> {
        let (mut token, mut in_doubt, mut detours) = (token(), false, 0);
        let mut pause = Pause::default();
        loop {
            let outcome = self.attempt("TransactWriteItems", self.transact(&transaction.items, &token)).await;
            let failure = match outcome {
                Ok(Tried::Done) => return Ok(Committed::Yes),
                Ok(Tried::Unmet(places)) => {
                    return Ok(match transaction.taken(&places) {
                        Some(what) if !in_doubt => Committed::Taken(what),
                        _ => Committed::Moved { in_doubt },
                    });
                }
                Err(failure) => failure,
            };
            if let (Failure::Conflict(_, places), false) = (&failure, in_doubt) {
                // Nothing was done, so the next try is a transaction of its own.
                if detours < FENCES && transaction.take_next_fences(places)? {
                    (token, detours) = (self::token(), detours + 1);
                    self.note("TransactWriteItems", failure);
                    continue;
                }
                if let Some(fact) = transaction.contended(places) {
                    self.note("TransactWriteItems", failure);
                    self.put_up_fences(fact).await?;
                    return Ok(Committed::Moved { in_doubt });
                }
            }
            in_doubt |= matches!(failure, Failure::Unknown(_));
            self.pause_after(failure, "TransactWriteItems", &mut pause).await?;
        }
    }

    /// One try.
    async fn transact(self, items: &[TransactWriteItem], token: &str) -> Result<Tried, Failure> {
        let request = self.client.transact_write_items().set_transact_items(Some(items.to_vec()));
        let request = request.client_request_token(token).return_consumed_capacity(ReturnConsumedCapacity::Total);
        match request.send().await {
            Ok(output) => {
                self.meter.wrote(output.consumed_capacity());
                Ok(Tried::Done)
            }
            Err(why) => match why.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons().iter();
                    cancelled_for(&reasons.map(|reason| reason.code().unwrap_or("None")).collect::<Vec<_>>())
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                    Err(Failure::Unknown("the transaction is still in progress".to_owned()))
                }
                _ => Err(failure(&why)),
            },
        }
    }

    /// Puts up the fences of a fact, unless another request has. See [`fence`](super::fence).
    async fn put_up_fences(self, fact: Fact) -> Result<(), Problem> {
        let condition = Condition::new("attribute_exists(PK) AND (attribute_not_exists(fences) OR fences = :none)");
        let condition = condition.with(":none", 0)?.with(":number", FENCES)?;
        self.set(&fact.item, "fences = :number", condition).await.map(drop)
    }

    /// Raises every fence of a fact to the fact's version, all at the same time. See [`fence`](super::fence).
    pub async fn raise_fences(self, fact: &Fact) -> Result<(), Problem> {
        let raise = async |number| {
            let condition = Condition::new("attribute_not_exists(version) OR version < :version");
            let condition = condition.with(":version", fact.version)?;
            self.set(&fact.item.fence(number), "version = :version", condition).await.map(drop)
        };
        join_all((0..fact.fences).map(raise)).await.into_iter().collect()
    }
}

/// The outcome that the codes of a cancelled transaction mean. There is one code for each item.
fn cancelled_for(codes: &[&str]) -> Result<Tried, Failure> {
    let places = |wanted| codes.iter().enumerate().filter(move |(_, code)| **code == wanted).map(|(place, _)| place);
    let unmet: Vec<usize> = places("ConditionalCheckFailed").collect();
    if !unmet.is_empty() {
        return Ok(Tried::Unmet(unmet));
    }
    let passing = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let why = format!("transaction cancelled: {}", codes.join(", "));
    if !codes.iter().all(|code| passing.contains(code)) {
        return Err(Failure::Fatal(why));
    }
    match places("TransactionConflict").collect::<Vec<_>>() {
        places if places.is_empty() => Err(Failure::Throttled(why)),
        places => Err(Failure::Conflict(why, places)),
    }
}

/// The items of one transaction.
pub struct Transaction<'a> {
    table: &'a str,
    items: Vec<TransactWriteItem>,
    /// The facts that it rests on, each with the place of its item, and the number of the fence to take if the fact has fences.
    facts: Vec<(usize, Fact, u32)>,
    /// The unique names that it takes: the places of their items, and the kinds of the named things.
    names: Vec<(usize, &'static str)>,
}

/// A new `ClientRequestToken`, of 36 characters.
fn token() -> String {
    Uuid::new_v4().to_string()
}

impl<'a> Transaction<'a> {
    pub fn new(table: Table<'a>) -> Self {
        Self { table: table.name, items: Vec::new(), facts: Vec::new(), names: Vec::new() }
    }

    /// The kind of the thing whose name is taken, if no other condition failed.
    fn taken(&self, unmet: &[usize]) -> Option<&'static str> {
        let mut names = unmet.iter().map(|place| self.names.iter().find(|(at, _)| at == place).map(|(_, what)| *what));
        names.next().flatten().filter(|_| names.all(|name| name.is_some()))
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// # Errors
    /// [`Problem::LimitReached`]: DynamoDB takes fewer items. A change of one record never has so many.
    pub fn fits(&self) -> Result<(), Problem> {
        let what = "items of the table in one change: ask for less at once";
        if self.items.len() > MAX_ITEMS { Err(Problem::LimitReached(what, MAX_ITEMS)) } else { Ok(()) }
    }

    /// Commits only if the fact is still at the version that was read. See [`fence`](super::fence).
    pub fn rest_on(&mut self, fact: Fact) -> Result<(), Problem> {
        let fence = fastrand::u32(..FENCES);
        let item = self.resting_on(&fact, fence)?;
        self.facts.push((self.items.len(), fact, fence));
        self.items.push(item);
        Ok(())
    }

    fn resting_on(&self, fact: &Fact, fence: u32) -> Result<TransactWriteItem, Problem> {
        let version = AttributeValue::N(fact.version.to_string());
        let item = TransactWriteItem::builder();
        Ok(match fact.fences {
            0 => {
                let check = ConditionCheck::builder().table_name(self.table);
                let check = check.set_key(Some(key_attributes(&fact.item).into()));
                let check = check.condition_expression("#version = :version");
                let check = check.expression_attribute_names("#version", fact.attribute);
                let check = check.expression_attribute_values(":version", version);
                item.condition_check(check.build().map_err(internal)?).build()
            }
            fences => {
                let update = Update::builder().table_name(self.table);
                let update = update.set_key(Some(key_attributes(&fact.item.fence(fence % fences)).into()));
                let update = update.update_expression("SET version = :version");
                let update = update.condition_expression("attribute_not_exists(version) OR version <= :version");
                let update = update.expression_attribute_values(":version", version);
                item.update(update.build().map_err(internal)?).build()
            }
        })
    }

    /// Takes the next fence in place of each fence that another transaction holds. Returns whether these were the only conflicts.
    fn take_next_fences(&mut self, conflicts: &[usize]) -> Result<bool, Problem> {
        let fenced = |place: &usize| self.facts.iter().any(|(at, fact, _)| at == place && fact.fences > 0);
        if conflicts.is_empty() || !conflicts.iter().all(fenced) {
            return Ok(false);
        }
        for index in 0..self.facts.len() {
            let (place, fact, fence) = &self.facts[index];
            if conflicts.contains(place) {
                let (place, next) = (*place, fence + 1);
                self.items[place] = self.resting_on(&fact.clone(), next)?;
                self.facts[index].2 = next;
            }
        }
        Ok(true)
    }

    /// A fact without fences whose item another transaction holds.
    fn contended(&self, conflicts: &[usize]) -> Option<Fact> {
        let mut contended = self.facts.iter().filter(|(place, fact, _)| fact.fences == 0 && conflicts.contains(place));
        contended.next().map(|(_, fact, _)| fact.clone())
    }

    /// Changes the item `from` into the item `to`. It writes only attributes that differ; attributes that neither mentions stay.
    pub fn change(&mut self, key: &Key, from: &Item, to: &Item, condition: Condition) -> Result<(), Problem> {
        self.update(key, Some((from, to)), Vec::new(), Vec::new(), condition)
    }

    /// The same, and sets further attributes of the item, and adds to numbers of it.
    pub fn update(
        &mut self,
        key: &Key,
        items: Option<(&Item, &Item)>,
        set: Vec<(&'static str, AttributeValue)>,
        add: Vec<(&'static str, i64)>,
        condition: Condition,
    ) -> Result<(), Problem> {
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let (mut sets, mut removed, mut added) = (Vec::new(), Vec::new(), Vec::new());
        let mut name = |name: &str| {
            let short = format!("#a{}", names.len());
            names.insert(short.clone(), name.to_owned());
            short
        };
        let mut value = |value: AttributeValue| {
            let short = format!(":a{}", values.len());
            values.insert(short.clone(), value);
            short
        };
        if let Some((from, to)) = items {
            let all: BTreeMap<_, _> = from.iter().chain(to).collect();
            for (attribute, _) in all.into_iter().filter(|(name, _)| from.get(*name) != to.get(*name)) {
                match to.get(attribute) {
                    Some(new) => sets.push(format!("{} = {}", name(attribute), value(new.clone()))),
                    None => removed.push(name(attribute)),
                }
            }
        }
        sets.extend(set.into_iter().map(|(attribute, new)| format!("{} = {}", name(attribute), value(new))));
        for (attribute, by) in add {
            added.push(format!("{} {}", name(attribute), value(AttributeValue::N(by.to_string()))));
        }
        let expression = clause("SET", sets) + &clause("REMOVE", removed) + &clause("ADD", added);
        self.push_update(key, expression, names, values, condition)
    }

    fn push_update(
        &mut self,
        key: &Key,
        expression: String,
        names: HashMap<String, String>,
        mut values: HashMap<String, AttributeValue>,
        condition: Condition,
    ) -> Result<(), Problem> {
        let update = Update::builder()
            .table_name(self.table)
            .set_key(Some(key_attributes(key).into()))
            .update_expression(expression)
            .set_expression_attribute_names(Some(names))
            .condition_expression(&condition.expression);
        values.extend(condition.named().unwrap_or_default());
        let update = update.set_expression_attribute_values(Some(values)).build().map_err(internal)?;
        self.items.push(TransactWriteItem::builder().update(update).build());
        Ok(())
    }

    pub fn put(&mut self, item: Item, condition: Option<Condition>) -> Result<(), Problem> {
        let mut put = Put::builder().table_name(self.table).set_item(Some(item));
        if let Some(condition) = condition {
            put = put.condition_expression(&condition.expression);
            put = put.set_expression_attribute_values(condition.named());
        }
        self.items.push(TransactWriteItem::builder().put(put.build().map_err(internal)?).build());
        Ok(())
    }

    /// Takes a unique name. `what` is the kind of the named thing, for the error if another thing has the name.
    pub fn take_name(&mut self, item: Item, what: &'static str) -> Result<(), Problem> {
        self.names.push((self.items.len(), what));
        self.put(item, Some(Condition::new("attribute_not_exists(PK)")))
    }

    pub fn delete(&mut self, key: &Key, condition: Option<Condition>) -> Result<(), Problem> {
        let mut delete = Delete::builder().table_name(self.table).set_key(Some(key_attributes(key).into()));
        if let Some(condition) = condition {
            delete = delete.condition_expression(&condition.expression);
            delete = delete.set_expression_attribute_values(condition.named());
        }
        self.items.push(TransactWriteItem::builder().delete(delete.build().map_err(internal)?).build());
        Ok(())
    }
}

/// A clause of an update expression; an empty text if the list is empty.
fn clause(verb: &str, parts: Vec<String>) -> String {
    if parts.is_empty() { String::new() } else { format!("{verb} {} ", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_told_apart_from_what_has_moved() {
        let names = vec![(2, "member with this address"), (3, "slug")];
        let transaction = Transaction { table: "t", items: Vec::new(), facts: Vec::new(), names };
        assert_eq!(transaction.taken(&[2]), Some("member with this address"));
        assert_eq!(transaction.taken(&[2, 3]), Some("member with this address"));
        // The request starts again, and may then find that the name is free or that it may not ask.
        assert_eq!(transaction.taken(&[0, 2]), None);
        assert_eq!(transaction.taken(&[1]), None);
        assert_eq!(transaction.taken(&[]), None);
    }

    #[test]
    fn a_cancelled_transaction_says_which_of_its_items_stood_in_the_way() {
        let unmet = |codes: &[&str]| match cancelled_for(codes) {
            Ok(Tried::Unmet(places)) => Some(places),
            _ => None,
        };
        assert_eq!(unmet(&["None", "ConditionalCheckFailed", "TransactionConflict"]), Some(vec![1]));
        assert_eq!(unmet(&["ConditionalCheckFailed", "None", "ConditionalCheckFailed"]), Some(vec![0, 2]));
        let conflict = cancelled_for(&["None", "TransactionConflict", "ThrottlingError"]);
        assert!(matches!(conflict, Err(Failure::Conflict(_, places)) if places == [1]));
        assert!(matches!(cancelled_for(&["ThrottlingError", "None"]), Err(Failure::Throttled(_))));
        assert!(matches!(cancelled_for(&["ValidationError"]), Err(Failure::Fatal(_))));
    }
}
