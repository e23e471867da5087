//! A tenant keeps an owner, whatever its owners do: all chains of three allowed calls by either of two owners, over themselves and each
//! other, in several dialects.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::domain::{Member, Status};
use shared::id::RoleId;

use crate::harness::{NewTenant, Product, without_stream};

const LENGTH: usize = 3;

/// Method, path and body of what somebody does to `<user>`. In `directory` a user has a number.
const CALLS: [(&str, &str, &str); 17] = [
    ("PATCH", "/v1/users/<user>", r#"{"roles": ["user"]}"#),
    ("PATCH", "/v1/users/<user>", r#"{"roles": ["owner"]}"#),
    ("PATCH", "/v1/users/<user>", r#"{"status": "deactivated"}"#),
    ("PATCH", "/v1/users/<user>", r#"{"status": "active"}"#),
    ("PATCH", "/v1/users/<user>", r#"{"status": "invited"}"#),
    ("PUT", "/v1/users/<user>/roles/<admin>", ""),
    ("DELETE", "/v1/users/<user>/roles/<owner>", ""),
    ("DELETE", "/v1/users/<user>", ""),
    ("DELETE", "/v1/users/<user>?erase=true", ""),
    ("POST", "/v1/users/<user>/restore", ""),
    ("POST", "/v1/tenant/transfer-ownership", r#"{"to": "<user>"}"#),
    ("POST", "/v1/tenant/leave", ""),
    ("POST", "/v1/users/batch", r#"{"atomic": true, "changes": [{"method": "remove", "id": "<user>"}]}"#),
    ("PATCH", "/api/v1/tenant/<tenant>/user/<user>", r#"{"roleId": "user"}"#),
    ("PUT", "/api/<slug>/v1/users/<number>", r#"{"role": "USER"}"#),
    ("PUT", "/api/<slug>/v1/users/<number>", r#"{"status": 2}"#),
    ("DELETE", "/api/v1/organizations/<tenant>/users/<user>", ""),
];

/// Who calls, whom it is about, and what it is, by their places.
type Step = (usize, usize, usize);

/// What counts of each of the two: their roles and status, and whether they are removed or erased.
type State = [(BTreeSet<RoleId>, Status, bool, bool); 2];

/// A tenant with two owners.
struct World<'a> {
    product: &'a Product,
    slug: String,
    tenant: NewTenant,
}

impl<'a> World<'a> {
    /// A new one, after these calls.
    async fn after(product: &'a Product, slug: String, steps: &[Step]) -> Self {
        let tenant = product.new_tenant(&slug, 2).await;
        let world = Self { product, slug, tenant };
        assert!(world.makes((0, 1, 1)).await, "a second owner");
        for step in steps {
            assert!(world.makes(*step).await, "{steps:?}");
        }
        world
    }

    /// Makes a call. Returns whether it was done.
    async fn makes(&self, (who, whom, what): Step) -> bool {
        let (method, path, body) = CALLS[what];
        let user = [self.tenant.owner, self.tenant.admin][whom];
        let texts = [
            ("<user>", user.uuid().to_string()),
            ("<number>", user.to_string()),
            ("<tenant>", self.tenant.id.uuid().to_string()),
            ("<slug>", self.slug.clone()),
            ("<owner>", "726f6c65-6361-8004-8000-000000000001".to_owned()),
            ("<admin>", "726f6c65-6361-8004-8000-000000000002".to_owned()),
        ];
        let filled = |text: &str| texts.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        let token = [&self.tenant.owner_token, &self.tenant.admin_token][who];
        let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_str(&filled(body)).unwrap());
        let reply = self.product.users(token, self.tenant.id, (method, &filled(path)), &[], body).await;
        assert!(reply.status < 500, "{reply:?}");
        reply.status < 300
    }

    async fn members(&self) -> [Member; 2] {
        let NewTenant { id, owner, admin, .. } = self.tenant;
        [self.product.member(id, owner).await, self.product.member(id, admin).await]
    }

    /// What is so now. The tenant has an owner who can act, and counts right.
    async fn state(&self, steps: &[Step]) -> State {
        let members = self.members().await;
        let owners = members.iter().filter(|member| member.is_acting_owner()).count() as u32;
        assert!(owners >= 1, "no owner is left: {steps:?}");
        assert_eq!(self.product.tenant(self.tenant.id).await.owners, owners, "{steps:?}");
        let what = |it: Member| (it.roles, it.status, it.deleted_at.is_some(), it.erasure.is_some());
        members.map(what)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_three_calls_of_owners_leave_none() {
    let product = Product::start_with(without_stream).await;
    let (mut known, mut ends) = (Vec::new(), vec![Vec::new()]);
    let (mut tried, mut done) = (0, 0);
    for length in 1..=LENGTH {
        for steps in std::mem::take(&mut ends) {
            let mut world = World::after(&product, format!("start-{tried}"), &steps).await;
            let start = world.state(&steps).await;
            if length == 1 {
                known.push(start.clone());
            }
            for (who, whom) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                for what in 0..CALLS.len() {
                    let mut steps: Vec<Step> = steps.clone();
                    steps.push((who, whom, what));
                    let is_done = world.makes((who, whom, what)).await;
                    let state = world.state(&steps).await;
                    assert!(is_done || state == start, "refused, and something has changed: {steps:?}");
                    (tried, done) = (tried + 1, done + usize::from(is_done));
                    if state == start {
                        continue;
                    }
                    world = World::after(&product, format!("world-{tried}"), &steps[..length - 1]).await;
                    // They are as good as each other.
                    let [one, other] = state;
                    if !known.contains(&[one.clone(), other.clone()]) && !known.contains(&[other.clone(), one.clone()])
                    {
                        known.push([one, other]);
                        ends.push(steps);
                    }
                }
            }
        }
    }
    product.server.shutdown().await;
    println!("{} states, {done} of {tried} calls", known.len());
    assert!(known.len() > 10 && done > 100 && tried > 2 * done, "{} states, {done} of {tried} calls", known.len());
}
