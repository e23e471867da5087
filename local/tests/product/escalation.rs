//! Each way to a right that one does not have, tried by each kind of caller. `escalation.txt` has the answers; `BLESS=1` records
//! them anew. Whatever the answer is, nobody has gained a right that the caller lacks.

mod joining;
mod routes;
mod ways;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use local::{issuer, store};
use serde_json::{Value, json};
use shared::credential::Kind as Credential;
use shared::domain::{ApiKey, Catalog, ClaimedDomain, Entry, JoinRequest, Member, Meta, User, role};
use shared::id::{
    DomainId, GroupId, JoinRequestId, KeyId, Kind, MembershipId, PolicyId, RoleId, TenantId, UserId, WebhookId,
    issuer_uuid,
};
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::harness::{NewTenant, Product, without_stream};
use local::token::Flaw;
use ways::{WAYS, Way};

/// Roles of the tenant's own, by number from 4 on: name, and what they grant, or deny behind a `!`. All have rank 1.
const ROLES: [(&str, &[&str]); 12] = [
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
    ("barred", &["!vault:open"]),
];
const PRIZE: RoleId = RoleId::new(4);
const PLAIN: RoleId = RoleId::new(5);
const ASSIGNER: RoleId = RoleId::new(6);
const CHIEF: RoleId = RoleId::new(12);
const BARRED: RoleId = RoleId::new(15);

/// The group that confers the prize, the one that confers nothing, and the one that confers what denies the prize.
const VAULT: GroupId = GroupId::new(1);
const TEAM: GroupId = GroupId::new(2);
const SILENCE: GroupId = GroupId::new(3);

/// By it people ask to join. The request of one of them is past the numbers of the tenant.
const DOMAIN: DomainId = DomainId::new(1);
const REQUEST: JoinRequestId = JoinRequestId::new(7);

/// The issuer of the tenant's own.
const OWN_ISSUER: &str = "https://id.own.example";

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

/// A tenant, and in the order of their places the callers, the target, the removed member, and two who hold the prize and are
/// denied it: by a role, and by a group.
struct Filled {
    slug: String,
    tenant: NewTenant,
    users: Vec<UserId>,
    /// Of somebody who is to get the prize: what its sender was answered.
    invitation: Value,
    powers: Vec<Power>,
}

/// What a member or an API key may do: their rank, and the names of their permissions.
type Power = (String, u8, BTreeSet<String>);

async fn fill(product: &Product, slug: &str) -> Filled {
    let tenant = product.new_tenant(slug, 2).await;
    let call = async |method: &str, path: &str, body: Value| {
        let made = product.users(&tenant.owner_token, tenant.id, (method, path), &[], Some(body)).await;
        assert!(made.status < 300, "{path}: {}", made.json());
        made.json()
    };
    for (name, permissions) in ROLES {
        let permission =
            |name: &&str| json!({ "name": name.trim_start_matches('!'), "access": !name.starts_with('!') });
        let permissions: Vec<Value> = permissions.iter().map(permission).collect();
        let rank = if name == "chief" { 2 } else { 1 };
        call("POST", "/v1/roles", json!({ "name": name, "rank": rank, "permissions": permissions })).await;
    }
    call("POST", "/v1/groups", json!({ "name": "Vault", "confers": ["prize"] })).await;
    call("POST", "/v1/groups", json!({ "name": "Team" })).await;
    call("POST", "/v1/groups", json!({ "name": "Silence", "confers": ["barred"] })).await;
    call("PATCH", &format!("/v1/roles/{}", PRIZE.uuid_in(tenant.id)), json!({ "is_default": true })).await;
    call("PATCH", "/v1/tenant", json!({ "settings": { "impersonation": true } })).await;
    call("POST", "/v1/api-keys", json!({ "name": "Owner's", "roles": ["owner"] })).await;
    call("POST", "/v1/issuers", json!({ "iss": OWN_ISSUER, "audiences": ["app"] })).await;
    let webhook = json!({ "name": "Owner's", "url": "https://hooks.example", "status": "disabled" });
    call("POST", "/v1/webhooks", webhook).await;
    let text = r#"forbid (principal, action == Action::"label:manage", resource);"#;
    call("POST", "/v1/policies", json!({ "name": "Owner's", "text": text, "enabled": false })).await;
    let domain = json!({ "domain": format!("{slug}.example"), "join": "on_approval" });
    call("POST", "/v1/domains", domain).await;
    let invited = json!({ "emails": ["invited@x.example"], "roles": ["prize"] });
    let invitation = call("POST", "/v1/invitations", invited).await["data"][0].clone();
    let users = put_people(product, &tenant, slug).await;
    let powers = powers(product, &tenant).await;
    Filled { slug: slug.to_owned(), tenant, users, invitation, powers }
}

/// Puts the members into the table, and somebody who asks to join. From now on the domain is verified.
async fn put_people(product: &Product, tenant: &NewTenant, slug: &str) -> Vec<UserId> {
    let count = CALLERS.len() as u32 + 4;
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
            None => match count - place {
                4 => (member.roles, member.groups) = ([PLAIN].into(), [TEAM].into()),
                3 => (member.roles, member.deleted_at) = ([PRIZE].into(), Some(now)),
                2 => member.roles = [PRIZE, BARRED].into(),
                _ => (member.roles, member.groups) = ([PRIZE].into(), [SILENCE].into()),
            },
        }
        items.extend(store::user_items(&User::new(user, &email, now)).unwrap());
        items.extend(store::record_items(tenant.id, &member, now).unwrap());
        users.push(user);
    }
    let request = JoinRequest {
        id: REQUEST,
        tenant: tenant.id,
        email: "new@x.example".to_owned(),
        issuer: issuer::ISS.to_owned(),
        subject: "new".to_owned(),
        domain: DOMAIN,
        refused_at: None,
        meta: Meta::new(now),
    };
    items.extend(store::record_items(tenant.id, &request, now).unwrap());
    let claimed = product.store.get(&TenantKeys(tenant.id).domain(DOMAIN)).await.unwrap().unwrap();
    // One whose addresses the demo's identity provider may prove.
    let name = "corp.example".to_owned();
    let domain = ClaimedDomain { name, verified_at: Some(now), meta: Meta::new(now), ..decode(claimed).unwrap() };
    items.extend(store::record_items(tenant.id, &domain, now).unwrap());
    product.server.import(items).unwrap();
    users
}

/// What each member may do, and each API key by its secrets, maker and number.
async fn powers(product: &Product, tenant: &NewTenant) -> Vec<Power> {
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
async fn attempt(product: &Product, filled: &Filled, way: &Way, place: usize) -> (String, bool) {
    let Filled { slug, tenant, users, invitation, powers: before } = filled;
    let (_, method, path, body) = way;
    let [target, gone, muted, quiet] = users[CALLERS.len()..] else { panic!("{users:?}") };
    let email = format!("m{place}@{slug}.example");
    // To sign one takes longer than most calls.
    let id_token = async |name: &str, email: &str| match body.contains(name) {
        true => issuer::id_token(&product.store, email, &json!({}), shared::now()).await.unwrap(),
        false => String::new(),
    };
    let invited = |name: &str| invitation.pointer(name).unwrap().as_str().unwrap().to_owned();
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
        ("<request>", REQUEST.uuid_in(tenant.id).to_string()),
        ("<owner>", tenant.owner.uuid().to_string()),
        ("<admin>", tenant.admin.uuid().to_string()),
        ("<muted>", muted.uuid().to_string()),
        ("<quiet>", quiet.uuid().to_string()),
        ("<barred>", BARRED.uuid_in(tenant.id).to_string()),
        ("<silence>", SILENCE.uuid_in(tenant.id).to_string()),
        ("<domain>", DOMAIN.uuid_in(tenant.id).to_string()),
        ("<webhook>", WebhookId::new(1).uuid_in(tenant.id).to_string()),
        ("<policy>", PolicyId::new(1).uuid_in(tenant.id).to_string()),
        ("<issuer>", issuer_uuid(OWN_ISSUER).to_string()),
        ("<invited>", invited("/invitation/id")),
        ("<secret>", invited("/secret")),
        ("<own token>", id_token("<own token>", &email).await),
        ("<outsider token>", id_token("<outsider token>", "out@corp.example").await),
    ];
    let filled = |text: &str| texts.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let bearer = format!("Bearer {}", product.access(slug, &email).await);
    let session = product.token(slug, &email, Credential::Session, Flaw::None).await;
    let of_tenant = tenant.id.uuid().to_string();
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-session-token", &session),
        ("x-tenant-id", &of_tenant),
        ("content-type", "application/json"),
    ];

    let reply = product.call(method, &filled(path), &headers, filled(body)).await;
    if reply.status == 202 && reply.json()["kind"].is_string() {
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
        ("/v1/approvals", 200) => {
            let token = product.access(slug, &format!("m{}@{slug}.example", CALLERS.len())).await;
            let (approval, path) = (reply.json()["approval"].clone(), filled("/v1/users/<admin>/roles/<prize>"));
            let headers = [("x-approval", approval.as_str().unwrap())];
            format!(", {}", product.users(&token, tenant.id, ("PUT", &path), &headers, None).await.status)
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
    assert!(reply.status < 300 || *before == after, "refused, and something has changed");
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
    let product = Product::start_with(without_stream).await;
    // The tenant that the last attempt has left as it was.
    let mut kept: Option<Filled> = None;
    for (number, way) in WAYS.iter().enumerate() {
        write!(text, "\n{}: {} {} {}\n", way.0, way.1, way.2, way.3).unwrap();
        for (place, (name, _)) in CALLERS.iter().enumerate() {
            let filled = match kept.take() {
                Some(filled) => filled,
                None => fill(&product, &format!("way-{number}-{place}")).await,
            };
            let (answer, is_done) = attempt(&product, &filled, way, place).await;
            writeln!(text, "  {name:<20}{answer}").unwrap();
            kept = (!is_done).then_some(filled);
        }
    }
    product.server.shutdown().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/product/escalation.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(file, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap_or_default(), text, "review the change, then record it with BLESS=1");
}
