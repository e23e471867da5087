//! Each way to a right that one does not have, tried by each kind of caller. `escalation.txt` has the answers; `BLESS=1` records
//! them anew. Whatever the answer is, nobody has gained a right that the caller lacks.

mod ways;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use local::{issuer, store};
use serde_json::{Value, json};
use shared::credential::Kind as Credential;
use shared::domain::{ApiKey, Catalog, Entry, JoinRequest, Member, Meta, User, role};
use shared::id::{DomainId, GroupId, JoinRequestId, KeyId, Kind, MembershipId, RoleId, TenantId, UserId};
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::harness::{NewTenant, Product};
use local::token::Flaw;
use ways::{WAYS, Way};

/// Roles of the tenant's own, by number from 4 on: name, and what they grant. All have rank 1.
const ROLES: [(&str, &[&str]); 11] = [
    // Nobody but the owner holds what this one grants.
    ("prize", &["vault:open"]),
    ("plain", &[]),
    ("assigner", &["member:read", "member:assign-role"]),
    ("grouper", &["member:read", "member:set-groups", "member:update-profile"]),
    ("inviter", &["member:read", "member:invite", "member:assign-role", "member:set-status", "member:set-groups"]),
    ("role maker", &["member:read", "role:create", "role:update", "role:delete"]),
    ("group maker", &["member:read", "group:manage"]),
    (
        "steward",
        &[
            "member:read",
            "member:update-profile",
            "member:assign-role",
            "member:set-status",
            "member:set-groups",
            "member:set-identity",
            "member:set-metadata",
            "member:invite",
            "member:remove",
            "role:create",
            "role:update",
            "role:delete",
            "group:manage",
            "tenant:update",
        ],
    ),
    ("chief", &[]),
    ("supporter", &["member:read", "member:impersonate"]),
    ("key maker", &["member:read", "key:create", "key:manage"]),
];
const PRIZE: RoleId = RoleId::new(4);
const PLAIN: RoleId = RoleId::new(5);
const ASSIGNER: RoleId = RoleId::new(6);
const CHIEF: RoleId = RoleId::new(12);

/// The group that confers the prize, and the one that confers nothing.
const VAULT: GroupId = GroupId::new(1);
const TEAM: GroupId = GroupId::new(2);

/// The callers by their places among the members: the roles of each. The last one manages the group that confers nothing.
const CALLERS: [(&str, &[u32]); 11] = [
    ("admin", &[2]),
    ("user", &[3]),
    ("assigner", &[6]),
    ("grouper", &[7]),
    ("inviter", &[8]),
    ("role maker", &[9]),
    ("group maker", &[10]),
    ("steward", &[11]),
    ("supporter", &[13]),
    ("key maker", &[14]),
    ("manager of a group", &[3]),
];

/// The calls of somebody who acts as a member: for that member, for themselves, and for what would outlive the session.
const ACTED: [(&str, &str, &str); 6] = [
    ("PUT", "/v1/users/me/roles/<prize>", ""),
    ("PATCH", "/v1/users/<caller>", r#"{"roles": ["prize"]}"#),
    ("PUT", "/v1/users/<caller>/groups/<vault>", ""),
    ("POST", "/v1/api-keys", r#"{"name": "K", "roles": ["prize"]}"#),
    ("POST", "/v1/users", r#"{"email": "new@x.example", "roles": ["prize"]}"#),
    ("POST", "/v1/users/<target>/impersonate", r#"{"reason": "R"}"#),
];

/// Makes the calls of `ACTED` with this token. Returns the status of each.
async fn act(product: &Product, token: &str, tenant: TenantId, filled: impl Fn(&str) -> String) -> String {
    let mut statuses = String::new();
    for (method, path, body) in ACTED {
        let body = Some(body).filter(|body| !body.is_empty()).map(|body| serde_json::from_str(&filled(body)).unwrap());
        let reply = product.users(token, tenant, (method, &filled(path)), &[], body).await;
        write!(statuses, ", {}", reply.status).unwrap();
    }
    statuses
}

/// The lines of an import: somebody new, the target, and the caller.
const IMPORTED: &str = r#"{"email": "new@x.example", "roles": ["prize"]}
{"email": "m11@<slug>.example", "groups": [{"id": "<vault>"}]}
{"email": "<caller>", "roles": ["owner"]}
"#;

/// Adds lines to an import, starts it and lets it be done. Returns what became of each line.
async fn import(product: &Product, headers: &[(&str, &str)], made: &Value, lines: &str) -> String {
    let id = made["id"].as_str().unwrap();
    let mut of_lines = headers.to_vec();
    of_lines.retain(|(name, _)| *name != "content-type");
    of_lines.push(("content-type", "application/x-ndjson"));
    let part = product.call("PUT", &format!("/v1/users/import/{id}/parts/1"), &of_lines, lines.to_owned()).await;
    assert_eq!(part.status, 200, "{}", part.json());
    let started = product.call("POST", &format!("/v1/users/import/{id}/start"), headers, "").await;
    assert_eq!(started.status, 202, "{}", started.json());
    run_job(product, started.json()["subject"].as_str().unwrap()).await;
    let told = product.call("GET", &format!("/v1/jobs/{id}/parts/1"), headers, "").await.json();
    let told = told["data"].as_array().unwrap().iter();
    told.map(|line| format!(", {}", line["code"].as_str().or(line["outcome"].as_str()).unwrap())).collect()
}

/// Lets the first job of a tenant be done.
async fn run_job(product: &Product, tenant: &str) {
    let tenant = TenantId::from_uuid(tenant.parse().unwrap()).unwrap();
    let keys = json!({ "PK": { "S": format!("TENANT#{tenant}") }, "SK": { "S": "JOB#0000000001" } });
    let event = json!({ "Records": [{ "dynamodb": { "Keys": keys } }] });
    product.server.invoke("jobs-run", &event).await.unwrap();
}

/// A tenant with the callers, the target and the removed member, in this order behind the two of `new_tenant`.
async fn fill(product: &Product, slug: &str) -> (NewTenant, Vec<UserId>) {
    let tenant = product.new_tenant(slug, 2).await;
    let call = async |method: &str, path: &str, body: Value| {
        let made = product.users(&tenant.owner_token, tenant.id, (method, path), &[], Some(body)).await;
        assert!(made.status < 300, "{}", made.json());
    };
    for (name, permissions) in ROLES {
        let granted: Vec<Value> = permissions.iter().map(|name| json!({ "name": name })).collect();
        let rank = if name == "chief" { 2 } else { 1 };
        call("POST", "/v1/roles", json!({ "name": name, "rank": rank, "permissions": granted })).await;
    }
    call("POST", "/v1/groups", json!({ "name": "Vault", "confers": ["prize"] })).await;
    call("POST", "/v1/groups", json!({ "name": "Team" })).await;
    call("PATCH", &format!("/v1/roles/{}", PRIZE.uuid_in(tenant.id)), json!({ "is_default": true })).await;
    call("PATCH", "/v1/tenant", json!({ "settings": { "impersonation": true } })).await;
    call("POST", "/v1/api-keys", json!({ "name": "Owner's", "roles": ["owner"] })).await;
    let count = CALLERS.len() as u32 + 2;
    let first = product.store.allocate(Kind::User, count).await.unwrap();
    let memberships = product.store.allocate(Kind::Membership, count).await.unwrap();
    let now = shared::now();
    let (mut users, mut items) = (Vec::new(), Vec::new());
    for place in 0..count {
        let user = UserId::new(first + place);
        let email = format!("m{place}@{slug}.example");
        let mut member = Member::new(MembershipId::new(memberships + place), tenant.id, user, &email, now);
        match CALLERS.get(place as usize) {
            Some((name, roles)) => {
                member.roles = roles.iter().map(|role| RoleId::new(*role)).collect();
                if name.starts_with("manager") {
                    (member.groups, member.manages) = ([TEAM].into(), [TEAM].into());
                }
            }
            None if place + 1 < count => (member.roles, member.groups) = ([PLAIN].into(), [TEAM].into()),
            None => (member.roles, member.deleted_at) = ([PRIZE].into(), Some(now)),
        }
        items.extend(store::user_items(&User::new(user, &email, now)).unwrap());
        items.extend(store::record_items(tenant.id, &member, now).unwrap());
        users.push(user);
    }
    let request = JoinRequest {
        id: JoinRequestId::new(1),
        tenant: tenant.id,
        email: "new@x.example".to_owned(),
        issuer: issuer::ISS.to_owned(),
        subject: "new".to_owned(),
        domain: DomainId::new(1),
        refused_at: None,
        meta: Meta::new(now),
    };
    items.extend(store::record_items(tenant.id, &request, now).unwrap());
    product.server.import(items).unwrap();
    (tenant, users)
}

/// What each member may do, and each API key by its secrets, maker and number: their rank, and the names of their permissions.
async fn powers(product: &Product, tenant: &NewTenant) -> Vec<(String, u8, BTreeSet<String>)> {
    let keys = TenantKeys(tenant.id);
    let entries = product.store.query(&keys.catalog()).await.unwrap();
    let entries: Vec<Entry> = entries.into_iter().map(|item| decode(item).unwrap()).collect();
    let catalog = Catalog::new(1, entries);
    let members = product.store.query(&keys.members()).await.unwrap();
    let members = members.into_iter().map(|item| decode::<Member>(item).unwrap());
    let api_keys = product.store.query(&keys.api_keys()).await.unwrap();
    let api_keys = api_keys.into_iter().map(|item| decode::<ApiKey>(item).unwrap());
    let power = |of: String, held: BTreeSet<RoleId>| {
        let names = catalog.permissions(&held).into_iter().map(str::to_owned).collect();
        (of, if held.contains(&role::OWNER) { 3 } else { catalog.rank(&held) }, names)
    };
    let of_members = members.map(|member| power(member.user.to_string(), catalog.roles_of(&member)));
    // Whoever gets a secret has the key.
    let of_keys = api_keys.map(|key| power(format!("{:?} {:?} {}", key.secrets, key.maker, key.id), key.roles));
    of_members.chain(of_keys).collect()
}

/// The answer to a way, and whether it was a success: its status, and the rule that denies if the dialect names it.
async fn attempt(
    product: &Product,
    slug: &str,
    (tenant, users): &(NewTenant, Vec<UserId>),
    way: &Way,
    place: usize,
) -> (String, bool) {
    let (_, method, path, body) = way;
    let (target, gone) = (users[CALLERS.len()], users[CALLERS.len() + 1]);
    let texts = [
        ("<tenant>", tenant.id.uuid().to_string()),
        ("<slug>", slug.to_owned()),
        ("<target>", target.uuid().to_string()),
        ("<target number>", target.to_string()),
        ("<gone>", gone.uuid().to_string()),
        ("<prize>", PRIZE.uuid_in(tenant.id).to_string()),
        ("<plain>", PLAIN.uuid_in(tenant.id).to_string()),
        ("<assigner>", ASSIGNER.uuid_in(tenant.id).to_string()),
        ("<key>", KeyId::new(1).uuid_in(tenant.id).to_string()),
        ("<chief>", CHIEF.uuid_in(tenant.id).to_string()),
        ("<vault>", VAULT.uuid_in(tenant.id).to_string()),
        ("<team>", TEAM.uuid_in(tenant.id).to_string()),
        ("<request>", JoinRequestId::new(1).uuid_in(tenant.id).to_string()),
        ("<owner>", tenant.owner.uuid().to_string()),
        ("<admin>", tenant.admin.uuid().to_string()),
    ];
    let filled = |text: &str| texts.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let email = format!("m{place}@{slug}.example");
    let bearer = format!("Bearer {}", product.access(slug, &email).await);
    let session = product.token(slug, &email, Credential::Session, Flaw::None).await;
    let of_tenant = tenant.id.uuid().to_string();
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-session-token", &session),
        ("x-tenant-id", &of_tenant),
        ("content-type", "application/json"),
    ];

    let before = powers(product, tenant).await;
    let reply = product.call(method, &filled(path), &headers, filled(body)).await;
    if reply.status == 202 {
        run_job(product, &of_tenant).await;
    }
    let lines = match (*path, reply.status) {
        ("/v1/users/import", 201) => {
            let lines = filled(IMPORTED).replace("<caller>", &email);
            import(product, &headers, &reply.json(), &lines).await
        }
        (path, 200) if path.ends_with("/impersonate") => {
            let token = reply.json()["access_token"].as_str().unwrap().to_owned();
            let own = users[place].uuid().to_string();
            act(product, &token, tenant.id, |text| filled(text).replace("<caller>", &own)).await
        }
        _ => String::new(),
    };
    let after = powers(product, tenant).await;
    let caller = before.iter().find(|(user, ..)| *user == users[place].to_string()).unwrap();
    for (user, rank, names) in &after {
        let was = before.iter().find(|(other, ..)| other == user);
        let (had, held) = was.map_or((0, BTreeSet::new()), |(_, rank, names)| (*rank, names.clone()));
        let gained: BTreeSet<_> = names - &held;
        let context = format!("{way:?} by {}: {}", CALLERS[place].0, reply.json());
        assert!(gained.is_subset(&caller.2), "{user} gains {gained:?}: {context}");
        assert!(*rank <= had.max(caller.1), "{user} gets the rank {rank}: {context}");
    }
    assert!(product.tenant(tenant.id).await.owners >= 1);
    // So the next caller can try in the same tenant.
    assert!(reply.status < 300 || before == after, "refused, and something has changed");
    // A change of a batch that is made on its own has a status of its own.
    let body = reply.json();
    let (status, body) = match body["data"][0]["status"].as_u64() {
        Some(status) => (status, &body["data"][0]["body"]),
        None => (reply.status.into(), &body),
    };
    let rule = body["details"]["rule"].as_str().map(|rule| format!(" {rule}"));
    (format!("{status}{}{lines}", rule.unwrap_or_default()), status < 300)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_by_any_way_what_the_caller_lacks() {
    let mut text = String::from(
        "What each caller is answered who tries a way to a right that they lack. Made by local/tests/product/escalation.rs.\n",
    );
    for (number, way) in WAYS.iter().enumerate() {
        write!(text, "\n{}: {} {} {}\n", way.0, way.1, way.2, way.3).unwrap();
        // The engine reads the whole stream for each write, so a table should be young.
        let product = Product::start_with(|options| options.sources = false).await;
        let mut filled = None;
        for (place, (name, _)) in CALLERS.iter().enumerate() {
            let (slug, tenant) = match filled.take() {
                Some(filled) => filled,
                None => {
                    let slug = format!("way-{number}-{place}");
                    let tenant = fill(&product, &slug).await;
                    (slug, tenant)
                }
            };
            let (answer, is_done) = attempt(&product, &slug, &tenant, way, place).await;
            writeln!(text, "  {name:<20}{answer}").unwrap();
            filled = (!is_done).then_some((slug, tenant));
        }
        product.server.shutdown().await;
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/product/escalation.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap_or_default(), text, "review the change, then record it with BLESS=1");
}
