//! The reads of `tenant`, `directory` and `membership`: each list has each member once and in order, and costs the same
//! in a tenant of any size; a page that has a number is whole or refused; `actionsInfo` says what a request would get.

use local::token::Flaw;
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::{Member, Status, role};
use shared::id::{GroupId, UserId};
use shared::table::key::TenantKeys;

use crate::harness::{ACME, Product, Reply, turn};

/// The list of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Tenant,
    Directory,
    Membership,
}

impl List {
    const ALL: [Self; 3] = [Self::Tenant, Self::Directory, Self::Membership];

    fn path(self, slug: &str) -> String {
        match self {
            List::Tenant => format!("/api/v1/tenant/{slug}/user"),
            List::Directory => format!("/api/{slug}/v1/users"),
            List::Membership => "/main/users-organizations/v1/rs/users".to_owned(),
        }
    }

    fn limit(self, limit: usize) -> String {
        format!("{}={limit}", if self == List::Directory { "take" } else { "limit" })
    }

    fn next(self) -> &'static str {
        if self == List::Directory { "next_cursor" } else { "nextCursor" }
    }

    fn user(self, item: &Value) -> UserId {
        let id = &item[if self == List::Directory { "id" } else { "userId" }];
        UserId::parse(id.as_str().unwrap_or(&id.to_string())).unwrap_or_else(|| panic!("{item}"))
    }
}

/// A caller of the three dialects.
struct Reader<'a> {
    product: &'a Product,
    slug: &'a str,
    access: String,
    session: String,
}

impl<'a> Reader<'a> {
    async fn new(product: &'a Product, slug: &'a str, email: &str) -> Self {
        let access = product.access(slug, email).await;
        let session = product.token(slug, email, Kind::Session, Flaw::None).await;
        Self { product, slug, access, session }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        let (bearer, tenant) = (format!("Bearer {}", self.access), ACME.uuid().to_string());
        let mut all = vec![("authorization", bearer.as_str()), ("x-session-token", self.session.as_str())];
        all.extend(path.starts_with("/v1/").then_some(("x-tenant-id", tenant.as_str())));
        all.extend(body.as_ref().map(|_| ("content-type", "application/json")));
        all.extend(headers);
        self.product.call(method, path, &all, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    async fn page(&self, list: List, query: &str) -> Reply {
        self.send("GET", &format!("{}?{query}", list.path(self.slug)), &[], None).await
    }

    /// The users of a page.
    async fn users(&self, list: List, query: &str) -> Vec<UserId> {
        let reply = self.page(list, query).await;
        assert_eq!(reply.status, 200, "{list:?} {query}: {}", reply.json());
        reply.json()["data"].as_array().unwrap().iter().map(|item| list.user(item)).collect()
    }

    /// The users of all pages that follow each other by their cursors.
    async fn all(&self, list: List, query: &str, limit: usize) -> Vec<UserId> {
        let (mut users, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("{query}&{}{cursor}", list.limit(limit));
            let reply = self.page(list, &query).await;
            assert_eq!(reply.status, 200, "{list:?} {query}: {}", reply.json());
            let data = reply.json()["data"].as_array().unwrap().clone();
            assert!(data.len() <= limit, "{list:?} {query}");
            users.extend(data.iter().map(|item| list.user(item)));
            match &reply.json()[list.next()] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                last => {
                    assert_eq!(*last, Value::Null, "{list:?} {query}");
                    return users;
                }
            }
        }
    }
}

fn users<'m>(members: impl IntoIterator<Item = &'m Member>) -> Vec<UserId> {
    members.into_iter().map(|member| member.user).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_of_three_dialects_have_each_member_once_and_in_order() {
    let _turn = turn().await;
    let product = Product::start().await;
    let tenant = product.new_tenant("reads", 45).await;
    let [first, second] = [1, 2].map(GroupId::new);
    for place in 0..45 {
        let change = |it: &mut Member| {
            if place % 5 == 0 && place > 1 {
                it.status = Status::Deactivated;
            }
            it.groups.extend((place % 3 == 0).then_some(first));
            it.groups.extend((place % 4 == 0).then_some(second));
            // An owner who is an admin, too, reads as an owner; a member with the tenant's own roles only reads as a
            // user.
            it.roles.extend([0, 7].contains(&place).then_some(role::ADMIN));
        };
        product.set(tenant.id, tenant.member(place), change).await;
    }
    let members = product.members(&tenant, 45).await;
    let mut by_name: Vec<&Member> = members.iter().collect();
    by_name.sort_by_key(|member| TenantKeys(tenant.id).listed(&member.label(), member.user).sk);
    let mut by_email: Vec<&Member> = members.iter().collect();
    by_email.sort_by_key(|member| member.email.clone());
    let reader = Reader::new(&product, "reads", "member1@reads.example").await;

    for list in List::ALL {
        let (id, email, turned) = match list {
            List::Directory => ("sort_by_key=id", "sort_by_key=email", "sort_by_key=full_name&sort_order=desc"),
            _ => ("sort=id", "sort=email", "sort=-name"),
        };
        let status = if list == List::Directory { "filters=status:eq:2" } else { "status=deactivated" };
        let admins = if list == List::Directory { "filters=role:eq:ADMIN" } else { "role=admin" };
        let group = if list == List::Directory { "filters=group:eq:1" } else { "group=1" };
        let is_admin = |member: &&Member| match list {
            List::Directory => member.built_in_role() == role::ADMIN,
            _ => member.roles.contains(&role::ADMIN),
        };
        for limit in [1, 7, 200] {
            assert_eq!(reader.all(list, "", limit).await, users(by_name.clone()), "{list:?} {limit}");
            assert_eq!(reader.all(list, id, limit).await, users(&members), "{list:?} {limit}");
            assert_eq!(reader.all(list, email, limit).await, users(by_email.clone()), "{list:?} {limit}");
            assert_eq!(reader.all(list, turned, limit).await, users(by_name.iter().rev().copied()), "{list:?} {limit}");
            let deactivated = users(by_name.iter().filter(|it| it.status == Status::Deactivated).copied());
            assert_eq!(reader.all(list, status, limit).await, deactivated, "{list:?} {limit}");
            assert_eq!(
                reader.all(list, admins, limit).await,
                users(members.iter().filter(is_admin)),
                "{list:?} {limit}"
            );
            let of_group = users(members.iter().filter(|it| it.groups.contains(&first)));
            assert_eq!(reader.all(list, group, limit).await, of_group, "{list:?} {limit}");
        }
    }

    // Several values of a filter: each member once, in order, in both directions.
    let of_groups = users(members.iter().filter(|it| it.groups.contains(&first) || it.groups.contains(&second)));
    let is_manager = |it: &&Member| it.built_in_role() != role::USER;
    for limit in [1, 2, 7, 200] {
        let some = |filters: &'static str| reader.all(List::Directory, filters, limit);
        assert_eq!(some("filters=group:in:1|2|3").await, of_groups, "{limit}");
        let turned: Vec<UserId> = of_groups.iter().rev().copied().collect();
        assert_eq!(some("filters=group:in:2|1&sort_by_key=id&sort_order=desc").await, turned, "{limit}");
        assert_eq!(some("filters=role:in:1|2").await, users(members.iter().filter(is_manager)), "{limit}");
        let active = members.iter().filter(|it| it.built_in_role() == role::USER && it.status == Status::Active);
        assert_eq!(some("filters=role:eq:3&filters=status:in:0|1").await, users(active), "{limit}");
    }
    product.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_has_a_number_is_whole_or_refused() {
    let _turn = turn().await;
    let product = Product::start().await;
    product.fill_with_present(1_300).await;
    // The two last by id of more than a thousand.
    for number in [2_292, 2_293] {
        product.set(ACME, UserId::new(number), |it| it.status = Status::Deactivated).await;
    }
    let reader = Reader::new(&product, "acme", "admin@acme.example").await;
    let all = reader.all(List::Directory, "sort_by_key=id", 200).await;
    for (take, page) in [(200, 1), (200, 5), (7, 142), (1, 1_000), (333, 1)] {
        let users = reader.page(List::Directory, &format!("sort_by_key=id&take={take}&page={page}")).await;
        match take <= 200 {
            true => assert_eq!(users.json()["data"].as_array().unwrap().len(), take, "{take} {page}"),
            false => assert_eq!(users.status, 400, "{take} {page}"),
        }
    }
    let mut counted = Vec::new();
    for page in 1..=5 {
        counted.extend(reader.users(List::Directory, &format!("sort_by_key=id&take=200&page={page}")).await);
    }
    assert_eq!(counted, all[..1_000]);
    // The cursor of a page that has a number leads on.
    let fifth = reader.page(List::Directory, "sort_by_key=id&take=200&page=5").await.json();
    let query = format!("sort_by_key=id&take=7&cursor={}", fifth["next_cursor"].as_str().unwrap());
    assert_eq!(reader.users(List::Directory, &query).await, all[1_000..1_007]);

    // Filters count, too: page 2 begins behind the last one of page 1. The demo has three with another group or none.
    let of_group = reader.all(List::Directory, "filters=group:eq:1", 200).await;
    let second = reader.users(List::Directory, "filters=group:eq:1&take=150&page=2").await;
    assert_eq!(second, of_group[150..300]);

    // One of them is among the first thousand by id, and the others are not: a page of them is refused, whatever its
    // number. A client that takes cursors finds all three.
    let refusal = "`page` must be a page within the first 1000 members: use `cursor` for later pages";
    for query in [
        "take=200&page=6".to_owned(),
        "page=2147483647".to_owned(),
        "filters=status:eq:2&sort_by_key=id&page=1&take=2".to_owned(),
        "filters=status:eq:2&sort_by_key=id&page=2&take=1".to_owned(),
        "filters=status:eq:2&sort_by_key=id&page=1&take=200".to_owned(),
    ] {
        let refused = reader.page(List::Directory, &query).await;
        assert_eq!((refused.status, &refused.json()["errors"]), (400, &json!([refusal])), "{query}");
    }
    let found = reader.users(List::Directory, "filters=status:eq:2&sort_by_key=id&page=1&take=1").await;
    assert_eq!(found, [UserId::new(5)]);
    let found = reader.all(List::Directory, "filters=status:eq:2&sort_by_key=id", 50).await;
    assert_eq!(found, [5, 2_292, 2_293].map(UserId::new));
    let behind = reader.users(List::Directory, "filters=group:eq:2&take=10&page=7").await;
    assert_eq!(behind, []);
    product.server.shutdown().await;
}

/// The requests and the read units of each kind of page are the same in a tenant of 2,000 and in one of 6,000.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_the_three_dialects_costs_what_it_returns() {
    let _turn = turn().await;
    let mut costs = Vec::new();
    for members in [2_000, 6_000] {
        let product = Product::start().await;
        product.fill_with_present(members).await;
        let reader = Reader::new(&product, "acme", "owner@acme.example").await;
        let mut measured = Vec::new();
        for (list, query) in [
            (List::Tenant, "limit=50"),
            (List::Tenant, "group=1&limit=50"),
            (List::Tenant, "email=member1007%40acme.example"),
            (List::Membership, "limit=50&extend=actions-info"),
            (List::Membership, "role=user&limit=50"),
            (List::Directory, "take=50"),
            (List::Directory, "filters=role:in:1|2|3&take=50"),
            (List::Directory, "filters=group:in:1|2&take=50"),
            (List::Directory, "filters=group:in:1|2&take=50&page=3"),
            (List::Directory, "sort_by_key=id&take=50&page=1"),
            (List::Directory, "sort_by_key=id&take=50&page=20"),
            (List::Directory, "filters=status:eq:0&take=10"),
            (List::Directory, "filters=status:eq:0&take=10&page=1"),
        ] {
            // The first call reads the rules and the names, too.
            reader.page(list, query).await;
            product.records();
            let reply = reader.page(list, query).await;
            let records = product.records();
            let operations: Vec<_> = records.iter().map(|record| record.operation.clone()).collect();
            let units: f64 = records.iter().map(|record| record.read_units).sum();
            measured.push((list, query, reply.status, operations.join(" "), units));
        }
        costs.push(measured);
        product.server.shutdown().await;
    }
    assert_eq!(costs[0], costs[1]);
    let edges = "BatchGetItem Query BatchGetItem";
    let expected = [
        "BatchGetItem Query",
        edges,
        "BatchGetItem BatchGetItem",
        // What the caller may do costs nothing more.
        "BatchGetItem Query",
        edges,
        "BatchGetItem Query",
        // Nearly all are users: no key leads to them.
        "BatchGetItem Query",
        "BatchGetItem Query Query BatchGetItem",
        // 151 members of both groups, in two reads at once.
        "BatchGetItem Query Query BatchGetItem BatchGetItem",
        "BatchGetItem Query",
        "BatchGetItem Query",
        // Nobody is invited: four pages' worth of items, and no more.
        "BatchGetItem Query Query Query Query",
        // The same, but up to a thousand, each read twice as large as the one before.
        "BatchGetItem Query Query Query Query Query Query Query",
    ];
    for ((list, query, status, operations, _), expected) in costs[0].iter().zip(expected) {
        assert_eq!(operations, expected, "{list:?} {query}");
        assert_eq!(*status, if query.ends_with("filters=status:eq:0&take=10&page=1") { 400 } else { 200 }, "{query}");
    }
    let units = |at: usize| costs[0][at].4;
    // A page by its number costs the pages before it.
    assert!(units(10) > 10.0 * units(9), "{costs:?}");
}

/// A request with a version that nobody has is refused last: 412 says that everything else is allowed. So nothing
/// changes.
#[tokio::test(flavor = "multi_thread")]
async fn actions_info_says_what_a_request_would_get() {
    let product = Product::start().await;
    // A second owner: then either may step down.
    let mut seen = 0;
    for has_second_owner in [false, true] {
        if has_second_owner {
            product.set(ACME, UserId::new(8), |it| it.roles = [role::OWNER].into()).await;
            let mut tenant = product.tenant(ACME).await;
            tenant.owners = 2;
            let item = shared::table::encode(&TenantKeys(ACME).tenant(), None, &tenant).unwrap();
            product.store.put(item).await.unwrap();
        }
        for email in ["owner", "admin", "user", "billing", "manager"] {
            let caller = Reader::new(&product, "acme", &format!("{email}@acme.example")).await;
            let listed = caller.page(List::Membership, "extend=actions-info").await.json();
            for number in [1, 2, 3, 4, 5, 8] {
                let path = format!("/main/users-organizations/v1/rs/users/{number}");
                let got = caller.send("GET", &format!("{path}?extend=actions-info"), &[], None).await;
                if got.status == 403 {
                    continue;
                }
                let data = got.json()["data"].clone();
                if let Some(users) = listed["data"].as_array() {
                    let same = users.iter().find(|user| user["userId"] == number).unwrap_or_else(|| panic!("{listed}"));
                    assert_eq!(*same, data, "{email} {number}");
                }
                let ours = format!("/v1/users/{}", UserId::new(number).uuid());
                let would = async |method: &str, path: &str, body: Option<Value>| {
                    let reply = caller.send(method, path, &[("if-match", "\"99\"")], body.clone()).await;
                    let is_refused = [403, 409, 422].contains(&reply.status);
                    assert!(reply.status == 412 || is_refused, "{email} {number} {method} {path} {body:?}: {reply:?}");
                    !is_refused
                };
                let mut scopes = Vec::new();
                for scope in [1, 2] {
                    if would("PATCH", &path, Some(json!({ "scope": scope }))).await {
                        scopes.push(scope);
                    }
                }
                let expected = json!({
                    "updateProfile": would("PATCH", &path, Some(json!({ "firstName": "Ann" }))).await,
                    "scopes": scopes,
                    "changePermissions": would("PATCH", &path, Some(json!({ "permissions": {} }))).await,
                    "activate": would("PATCH", &ours, Some(json!({ "status": "active" }))).await,
                    "deactivate": would("PATCH", &ours, Some(json!({ "status": "deactivated" }))).await,
                    "remove": would("DELETE", &ours, None).await,
                });
                assert_eq!(data["actionsInfo"], expected, "{email} about {number}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
    product.server.shutdown().await;
}
