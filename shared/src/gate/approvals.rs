//! Approvals: another member has agreed to a change before it is asked for. An approval is good for one request.

use std::collections::HashMap;

use domain::id::{UserId, sha256};
use domain::problem::{Fault, Wrong};
use domain::{Problem, Tenant, Time};
use serde::{Deserialize, Serialize};

use super::{Facts, Proof, Who};
use crate::table::key::Key;
use crate::table::{Condition, Item, Transaction, decode, encode};

/// How long an approval that was used is remembered after its end, in seconds: a request that has shown it in time can go on meanwhile.
const MARGIN: i64 = 60;

/// Who has approved a change, and how that is proven.
#[derive(Clone, Debug)]
pub(crate) struct Approver {
    pub member: UserId,
    pub proof: Proof,
    /// When the approval expires, in seconds since the epoch.
    pub expires: i64,
}

/// What is wrong with an approval that does not count.
pub(crate) fn not_approved() -> Problem {
    let wrong = "a valid and unused approval of exactly this request, given to you by another member";
    vec![Fault::here(Wrong::Syntax(wrong)).within("x-approval").within("header")].into()
}

/// Which request has used an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    /// The id of the request.
    used_by: String,
    /// When the approval expires and a while longer, in seconds since the epoch; the table's TTL attribute.
    expires_at: i64,
}

/// The approval of a request.
pub(super) struct Approval {
    key: Key,
    expires: i64,
    used: Option<Used>,
}

impl Approval {
    /// The key of the item that says which request has used it.
    pub fn key(who: &Who<'_>) -> Option<Key> {
        who.approver().map(|approver| who.keys().used_approval(&sha256(&approver.proof.token)))
    }

    /// # Errors
    /// The approver's session is older than the tenant allows.
    pub fn of(
        who: &Who<'_>,
        found: &mut HashMap<Key, Item>,
        tenant: &Tenant,
        now: Time,
    ) -> Result<Option<Self>, Problem> {
        let (Some(approver), Some(key)) = (who.approver(), Self::key(who)) else { return Ok(None) };
        if tenant.is_session_too_old(approver.proof.issued, now) {
            return Err(not_approved());
        }
        let used = found.remove(&key).map(decode).transpose()?;
        Ok(Some(Self { key, expires: approver.expires, used }))
    }
}

impl Facts {
    /// # Errors
    /// Another request has used the approval of this one.
    pub(super) fn is_approval_unused(&self) -> Result<(), Problem> {
        let used = self.approval.as_ref().and_then(|approval| approval.used.as_ref());
        if used.is_none_or(|used| used.used_by == self.stamp().request) { Ok(()) } else { Err(not_approved()) }
    }

    /// From now on no other request can use the approval of this one.
    pub(super) fn use_approval(&self, transaction: &mut Transaction<'_>) -> Result<(), Problem> {
        let Some(approval) = self.approval.as_ref().filter(|approval| approval.used.is_none()) else { return Ok(()) };
        let used = Used { used_by: self.stamp().request.clone(), expires_at: approval.expires + MARGIN };
        // Some requests are several transactions.
        let own = Condition::new("attribute_not_exists(PK) OR used_by = :own").with(":own", &used.used_by)?;
        transaction.put(encode(&approval.key, None, &used)?, Some(own))
    }
}
