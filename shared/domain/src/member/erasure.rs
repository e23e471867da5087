//! The erasure of what names a removed member.

use super::change::Presence;
use super::{Erasure, Member};
use crate::id::JobId;
use crate::meta::Meta;
use crate::problem::Problem;
use crate::time::Time;

/// What the refusal of a person says who is being erased.
const UNDER_WAY: &str = "removed member with this address whose data are being erased";

impl Member {
    /// Whether nothing is left that names the person.
    pub fn is_erased(&self) -> bool {
        self.erasure.is_some_and(|erasure| erasure.done_at.is_some())
    }

    /// Removes the member, if that is not done, and lets a job erase them.
    pub(super) fn begin_erasure(&mut self, at: Time, job: JobId) {
        (self.deleted_at, self.picture) = (self.deleted_at.or(Some(at)), None);
        self.erasure = Some(Erasure { job, done_at: None });
    }

    /// Leaves nothing that names the person. Numbers stay: those of their roles and groups are in the record, too.
    pub(super) fn erase(&mut self, at: Time) {
        *self = Self {
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            manages: self.manages.clone(),
            primary_group: self.primary_group,
            status: self.status,
            deleted_at: self.deleted_at,
            authority: self.authority,
            fences: self.fences,
            erasure: self.erasure.map(|erasure| Erasure { done_at: Some(at), ..erasure }),
            meta: Meta { created_by: None, updated_by: None, ..self.meta.clone() },
            ..Self::new(self.id, self.tenant, self.user, "", at)
        };
    }

    /// Whether a removed person can be a member again.
    ///
    /// # Errors
    /// They are being erased, or nothing is left that could be restored.
    pub(super) fn may_return(&self, presence: Presence, email: Option<&String>) -> Result<(), Problem> {
        match (self.erasure, presence) {
            (None, _) => Ok(()),
            (Some(Erasure { done_at: None, .. }), Presence::Added) => Err(Problem::Exists(UNDER_WAY)),
            (Some(_), Presence::Added) if email.is_some() => Ok(()),
            (Some(_), _) => Err(Problem::NotFound("removed user")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupId, MembershipId, TenantId, UserId};
    use crate::role;

    #[test]
    fn an_erased_member_is_a_number_and_does_not_come_back_by_itself() {
        let at = Time::from_millis(1_000);
        let named = Member {
            first_name: Some("Ann".to_owned()),
            last_name: Some("Lee".to_owned()),
            language: Some("en".to_owned()),
            auth_provider: "google".to_owned(),
            metadata: [("phone".to_owned(), "+49".to_owned())].into(),
            external_id: Some("hr-1".to_owned()),
            roles: [role::USER].into(),
            groups: [GroupId::new(1)].into(),
            secret: Some("hash".to_owned()),
            last_seen: Some(at),
            ..Member::new(MembershipId::new(1), TenantId::new(1), UserId::new(7), "ann@acme.example", at)
        };
        let mut member = named.clone();
        member.begin_erasure(at, JobId::new(3));
        let began = member.clone();
        member.begin_erasure(Time::from_millis(2_000), JobId::new(3));
        assert_eq!(member, began, "they are removed once");
        assert!(!member.is_present() && !member.is_erased());
        let email = Some(&named.email);
        assert!(matches!(member.may_return(Presence::Added, email), Err(Problem::Exists(_))));
        assert!(matches!(member.may_return(Presence::Restored, None), Err(Problem::NotFound(_))));
        member.erase(Time::from_millis(3_000));
        assert!(member.is_erased());
        let text = serde_json::to_string(&member).unwrap();
        for personal in ["Ann", "Lee", "\"en\"", "google", "+49", "hr-1", "ann@acme.example", "hash"] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
        assert_eq!((member.roles.len(), member.groups.len(), member.deleted_at), (1, 1, began.deleted_at));
        assert!(matches!(member.may_return(Presence::Restored, None), Err(Problem::NotFound(_))));
        assert!(matches!(member.may_return(Presence::Added, None), Err(Problem::NotFound(_))));
        assert!(member.may_return(Presence::Added, email).is_ok(), "who is added is a new member");
        assert!(named.may_return(Presence::Restored, None).is_ok());
    }
}
