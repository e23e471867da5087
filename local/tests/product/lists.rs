//! Lists: each member once, in order, whatever the filter; the same cost in a tenant of any size; cursors that open nowhere else.

mod dialects;

use local::store;
use serde_json::Value;
use shared::domain::{Member, Status, role};
use shared::id::{GroupId, TenantId, UserId};
use shared::table::key::{TenantKeys, folded};

use crate::cost::fill;
use crate::harness::{ACME, NewTenant, Product, Reply, turn};

const GLOBEX: TenantId = TenantId::new(2);

impl Product {
    async fn list(&self, token: &str, tenant: TenantId, query: &str) -> Reply {
        self.users(token, tenant, ("GET", &format!("/v1/users?{query}")), &[], None).await
    }

    /// All pages of a list, each of `limit` members.
    async fn all_pages(&self, token: &str, tenant: TenantId, query: &str, limit: usize) -> Vec<Vec<Value>> {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = self.list(token, tenant, &format!("{query}&limit={limit}{cursor}")).await;
            assert_eq!(reply.status, 200, "{query}: {}", reply.json());
            let data = reply.json()["data"].as_array().unwrap().clone();
            assert!(data.len() <= limit, "{query}");
            pages.push(data);
            match &reply.json()["next_cursor"] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                last => {
                    assert_eq!(*last, Value::Null);
                    return pages;
                }
            }
        }
    }

    async fn members(&self, tenant: &NewTenant, count: u32) -> Vec<Member> {
        let mut members = Vec::new();
        for place in 0..count {
            members.push(self.member(tenant.id, tenant.member(place)).await);
        }
        members
    }

    /// Further users of acme, beside those of the demo data. The one who was removed is back: where a page comes upon a
    /// removed member, it takes one more read.
    async fn fill_with_present(&self, members: u32) {
        fill(self, members).await;
        self.set(ACME, UserId::new(9), |it| it.deleted_at = None).await;
    }

    /// Changes a member behind the product's back.
    async fn set(&self, tenant: TenantId, user: UserId, change: impl FnOnce(&mut Member)) {
        let mut member = self.member(tenant, user).await;
        change(&mut member);
        self.store.put_all(store::record_items(tenant, &member, shared::now()).unwrap()).await.unwrap();
    }
}

fn emails(members: &[Value]) -> Vec<String> {
    members.iter().map(|member| member["email"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_has_each_member_once_and_in_order() {
    let _turn = turn().await;
    let product = Product::start().await;
    let tenant = product.new_tenant("lists", 45).await;
    let names = ["Åsa Lindström", "asa berg", "Ann", "ann lee", "Annie", "Émile Zola", "emile", "李小龍", "🦀 Ferris"];
    for (place, name) in names.iter().enumerate() {
        product.set(tenant.id, tenant.member(10 + place as u32), |it| it.first_name = Some((*name).to_owned())).await;
    }
    for place in [3, 20, 33] {
        product.set(tenant.id, tenant.member(place), |it| it.status = Status::Deactivated).await;
    }
    let members = product.members(&tenant, 45).await;
    let token = &tenant.owner_token;

    let listed = |member: &Member| TenantKeys(tenant.id).listed(&member.label(), member.user).sk;
    // Those whose name matches come first.
    let by_name = |member: &Member, text: &str| match folded(&member.label()).starts_with(text) {
        true => (0, listed(member)),
        false => (1, member.email.clone()),
    };
    let is_named = |text: &'static str| {
        move |member: &&Member| folded(&member.label()).starts_with(text) || member.email.starts_with(text)
    };
    type Keep<'a> = Box<dyn Fn(&&Member) -> bool + 'a>;
    let everybody = || -> Keep { Box::new(|_| true) };
    let holds = |id| -> Keep { Box::new(move |member| member.roles.contains(&id)) };
    let cases: Vec<(&str, Keep)> = vec![
        ("sort=name", everybody()),
        ("sort=email", everybody()),
        ("sort=id", everybody()),
        ("status=deactivated", Box::new(|member| member.status == Status::Deactivated)),
        ("status=active&sort=email", Box::new(|member| member.status == Status::Active)),
        ("role=user", holds(role::USER)),
        ("role=user&sort=name", holds(role::USER)),
        ("role=owner&sort=email", holds(role::OWNER)),
        ("role=nobody", Box::new(|_| false)),
        ("q=an", Box::new(is_named("an"))),
        ("q=%C3%89MI&sort=id", Box::new(is_named("emi"))),
        ("q=member1&sort=email", Box::new(is_named("member1"))),
        ("q=member2&status=active", Box::new(move |it| it.status == Status::Active && is_named("member2")(it))),
        ("email=MEMBER7%40lists.example", Box::new(|member| member.email == "member7@lists.example")),
    ];
    for (query, keep) in &cases {
        let mut expected: Vec<&Member> = members.iter().filter(|member| keep(member)).collect();
        match query {
            _ if query.contains("sort=email") => expected.sort_by_key(|member| member.email.clone()),
            _ if query.contains("sort=id") || query.contains("role=") && !query.contains("sort=name") => {}
            _ => {
                let text = ["an", "member2"].into_iter().find(|text| query.contains(&format!("q={text}")));
                expected.sort_by_key(|member| by_name(member, text.unwrap_or_default()));
            }
        }
        let expected: Vec<String> = expected.into_iter().map(|member| member.email.clone()).collect();
        for limit in [1, 7, 200] {
            let pages = product.all_pages(token, tenant.id, query, limit).await;
            assert_eq!(emails(&pages.concat()), expected, "{query}, pages of {limit}");
            let is_filtered = !query.starts_with("sort=");
            if !is_filtered {
                let full = pages.iter().rev().skip(1).all(|page| page.len() == limit);
                assert!(full && !pages.last().unwrap().is_empty(), "{query}, pages of {limit}");
            }
        }
        if let Some(sort) = ["name", "email", "id"].into_iter().find(|sort| query.contains(&format!("sort={sort}"))) {
            let turned = query.replace(&format!("sort={sort}"), &format!("sort=-{sort}"));
            let pages = product.all_pages(token, tenant.id, &turned, 7).await;
            let reversed: Vec<String> = expected.into_iter().rev().collect();
            assert_eq!(emails(&pages.concat()), reversed, "{turned}");
        }
    }
    product.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_opens_only_its_own_list() {
    let _turn = turn().await;
    let product = Product::start().await;
    let acme = product.access("acme", "owner@acme.example").await;
    let globex = product.access("globex", "owner@globex.example").await;
    let first = product.list(&acme, ACME, "limit=1&sort=email").await;
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    // Another limit is another page of the same list.
    let next = product.list(&acme, ACME, &format!("limit=2&sort=email&cursor={cursor}")).await;
    assert_eq!((next.status, next.json()["data"].as_array().unwrap().len()), (200, 2), "{}", next.json());

    let role = product.users(&acme, ACME, ("GET", "/v1/roles?limit=1"), &[], None).await;
    let of_roles = role.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = product.users(&acme, ACME, ("GET", &format!("/v1/roles?limit=1&cursor={of_roles}")), &[], None).await;
    assert_eq!(second.json()["data"][0]["name"], "admin", "{}", second.json());
    for (token, tenant, path) in [
        (&acme, ACME, format!("/v1/users?sort=-email&cursor={cursor}")),
        (&acme, ACME, format!("/v1/users?sort=name&cursor={cursor}")),
        (&acme, ACME, format!("/v1/users?sort=email&status=active&cursor={cursor}")),
        (&acme, ACME, format!("/v1/users?sort=email&cursor={cursor}A")),
        (&acme, ACME, format!("/v1/users?sort=email&cursor={of_roles}")),
        (&acme, ACME, format!("/v1/roles?cursor={cursor}")),
        (&acme, ACME, format!("/v1/permissions?cursor={of_roles}")),
        (&globex, GLOBEX, format!("/v1/users?sort=email&cursor={cursor}")),
    ] {
        let reply = product.users(token, tenant, ("GET", &path), &[], None).await;
        assert_eq!(reply.status, 400, "{path}: {}", reply.json());
        let fault = "must be the `next_cursor` of a page of this list";
        assert_eq!(reply.json()["details"]["fields"]["cursor"], fault, "{path}");
    }
    product.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_leaves_out_whom_a_policy_of_the_tenant_hides() {
    let product = Product::start().await;
    let text = r#"forbid (principal, action == Action::"member:read", resource) when { resource.rank == 3 };"#;
    product.put_policies(ACME, &[text]).await;
    let token = product.access("acme", "admin@acme.example").await;
    for query in ["sort=name", "sort=-email", "sort=id"] {
        let shown = emails(&product.all_pages(&token, ACME, query, 1).await.concat());
        assert_eq!(shown.len(), 5, "{query}: {shown:?}");
        assert!(!shown.contains(&"owner@acme.example".to_owned()), "{query}");
    }
    let one = product.list(&token, ACME, "email=owner%40acme.example").await;
    assert_eq!(one.json()["data"], Value::Array(Vec::new()), "{}", one.json());
    product.server.shutdown().await;
}

/// In another order the gate would read other members, too, and the number of pages would tell how many there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_may_not_read_members_lists_their_group_by_id_only() {
    let product = Product::start().await;
    let billing = UserId::new(4);
    product
        .set(ACME, billing, |it| (it.groups, it.manages) = ([GroupId::new(1)].into(), [GroupId::new(1)].into()))
        .await;
    let token = product.access("acme", "billing@acme.example").await;
    let [managed, other] = [1, 2].map(|number| format!("group={}", GroupId::new(number).uuid_in(ACME)));
    for query in [managed.clone(), format!("{managed}&sort=-id"), format!("{managed}&status=active&q=a")] {
        let listed = product.list(&token, ACME, &query).await;
        assert_eq!(listed.status, 200, "{query}: {}", listed.json());
        assert!(!listed.json()["data"].as_array().unwrap().is_empty(), "{query}");
    }
    for query in [
        String::new(),
        other,
        format!("{managed}&sort=name"),
        format!("{managed}&sort=-email&q=a"),
        format!("{managed}&email=admin%40acme.example"),
    ] {
        let refused = product.list(&token, ACME, &query).await;
        assert_eq!(refused.status, 403, "{query}: {}", refused.json());
        assert_eq!(refused.json()["details"]["action"], "tenant:list-members", "{query}");
    }
    product.server.shutdown().await;
}

/// The requests and the read units of each kind of page are the same in a tenant of 300 and in one of 6,000.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_costs_what_it_returns() {
    let _turn = turn().await;
    let mut costs = Vec::new();
    for members in [300, 6_000] {
        let product = Product::start().await;
        product.fill_with_present(members).await;
        let token = product.access("acme", "owner@acme.example").await;
        let mut measured = Vec::new();
        for query in [
            "sort=name&limit=50",
            "sort=id&limit=50",
            "sort=email&limit=50",
            "role=user&limit=50",
            "group=726f6c65-6361-8005-8000-000080000001&limit=50",
            "q=member1&limit=10",
            "email=member1007%40acme.example",
            "sort=-name&status=deactivated&limit=10",
            "group=726f6c65-6361-8005-8000-000100000001",
            "role=admin&sort=name&limit=1",
        ] {
            // The first call reads the rules, too.
            product.list(&token, ACME, query).await;
            product.records();
            let reply = product.list(&token, ACME, query).await;
            assert_eq!(reply.status, 200, "{query}: {}", reply.json());
            let records = product.records();
            let operations: Vec<_> = records.iter().map(|record| record.operation.clone()).collect();
            let units: f64 = records.iter().map(|record| record.read_units).sum();
            measured.push((query, operations.join(" "), units));
        }
        costs.push(measured);
        product.server.shutdown().await;
    }
    assert_eq!(costs[0], costs[1]);
    let operations = |at: usize| costs[0][at].1.as_str();
    let edges = "BatchGetItem Query BatchGetItem";
    let expected = [
        ("by name", "BatchGetItem Query"),
        ("by id", "BatchGetItem Query"),
        ("by address", edges),
        ("by role", edges),
        ("by group", edges),
        // Nobody's name begins like that.
        ("by a beginning", "BatchGetItem Query Query BatchGetItem"),
        ("one address", "BatchGetItem BatchGetItem"),
        // Nobody among the last by name is deactivated: four pages' worth of items, and no more.
        ("a filter without an index", "BatchGetItem Query Query Query Query"),
        ("a group of another tenant", "BatchGetItem"),
        // The first by name matches. Two reads of two items look for a second one.
        ("a full page", "BatchGetItem Query Query"),
    ];
    for (at, (name, expected)) in expected.into_iter().enumerate() {
        assert_eq!(operations(at), expected, "{name}");
    }
}
