use super::*;
use crate::catalog::{Entry, Names};
use crate::id::{MembershipId, UserId};
use crate::role::{self, Role};
use crate::tenant::Tenant;

fn edited(member: &Member, catalog: &Catalog, roles: Roles) -> (Result<(), Problem>, BTreeSet<RoleId>) {
    let mut after = member.clone();
    let edit = MemberEdit { roles: Some(roles), ..MemberEdit::default() };
    let tenant = Tenant::new(member.tenant, "acme", "Acme", "", Time::from_millis(0));
    let known = Known { tenant: &tenant, catalog, names: &Names::default() };
    (after.apply(&edit, &known), after.roles)
}

#[test]
fn one_role_is_given_and_taken() {
    let now = Time::from_millis(0);
    let role = |number: u32| Role::new(RoleId::new(number), &format!("role {number}"), now);
    let retiring = Role { retiring: true, ..role(99) };
    let catalog = Catalog::new(1, (10..80).map(role).chain([retiring]).map(Box::new).map(Entry::Role));
    let id = |number: u32| Some(RoleId::new(number));
    let (member, tenant, user) = (MembershipId::new(1), TenantId::new(1), UserId::new(1));
    let mut member = Member::new(member, tenant, user, "ann@acme.example", now);
    member.roles = [role::USER].into();

    let (given, roles) = edited(&member, &catalog, Roles::With(id(10)));
    assert!(given.is_ok() && roles == [role::USER, RoleId::new(10)].into());
    let (again, roles) = edited(&member, &catalog, Roles::With(Some(role::USER)));
    assert!(again.is_ok() && roles == member.roles);
    let (not_held, roles) = edited(&member, &catalog, Roles::Without(id(10)));
    assert!(not_held.is_ok() && roles == member.roles);
    for unknown in [None, id(98)] {
        assert!(matches!(edited(&member, &catalog, Roles::With(unknown)).0, Err(Problem::NotFound("role"))));
        assert!(matches!(edited(&member, &catalog, Roles::Without(unknown)).0, Err(Problem::NotFound("role"))));
    }
    assert!(matches!(edited(&member, &catalog, Roles::With(id(99))).0, Err(Problem::NotFound("role"))));
    let (last, _) = edited(&member, &catalog, Roles::Without(Some(role::USER)));
    assert!(matches!(last, Err(Problem::InvalidReference { kind: Reference::Role, values, .. }) if values.is_empty()));

    member.roles = (10..10 + MAX_ROLES as u32).map(RoleId::new).collect();
    let (full, _) = edited(&member, &catalog, Roles::With(id(70)));
    assert!(matches!(full, Err(Problem::LimitReached(_, MAX_ROLES))));
    assert!(edited(&member, &catalog, Roles::With(id(10))).0.is_ok());
    assert!(edited(&member, &catalog, Roles::Without(id(10))).0.is_ok());
}
