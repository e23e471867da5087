//! Sentences of the contracts about owners, roles, groups, pictures and the states of members.

use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::future::join_all;
use local::store;
use serde_json::json;
use shared::domain::{Entry, Group, Permission, Role, Status, Tenant, role};
use shared::gate::MAX_PICTURE;
use shared::id::{GroupId, RoleId, UserId};
use shared::table::encode;
use shared::table::key::TenantKeys;

use crate::contract::{admin, put};
use crate::dialects::{Dialects, FUNCTIONS};
use crate::harness::{ACME, Product, USER};

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_can_leave_when_there_is_another() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let leave = async || product.patch_role(&owner, ACME, UserId::new(1), role::USER).await;
    let alone = leave().await;
    assert_eq!((alone.status, alone.json()["error"].as_str()), (409, Some("Conflict")), "{alone:?}");
    assert_eq!(product.patch_role(&owner, ACME, UserId::new(2), role::OWNER).await.status, 200);
    assert_eq!(product.tenant(ACME).await.owners, 2);
    assert_eq!(leave().await.status, 200);
    assert_eq!(product.tenant(ACME).await.owners, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_is_deactivated_counts_no_more() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let authorization = format!("Bearer {owner}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let status = async |user: u32, status: &str| {
        let body = json!({ "status": status }).to_string();
        product.call("PUT", &format!("/api/acme/v1/users/{user}"), &headers, body).await.status
    };
    assert_eq!(status(1, "DEACTIVE").await, 400, "the last owner stays active");
    assert_eq!(product.patch_role(&owner, ACME, UserId::new(2), role::OWNER).await.status, 200);
    assert_eq!(status(2, "deactive").await, 200);
    assert_eq!(product.tenant(ACME).await.owners, 1);
    assert_eq!(status(1, "DEACTIVE").await, 400);
    assert_eq!(status(2, "Active").await, 200);
    assert_eq!(product.tenant(ACME).await.owners, 2);
}

/// `DTO_user` and the users of JITSudo have a picture, as large as it may be. It is in no event, and goes with the member.
#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_256_kib_come_with_the_dialects_that_show_them() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let (authorization, tenant) = (format!("Bearer {token}"), ACME.uuid().to_string());
    let call = async |method: &str, path: &str, more: (&str, &str), body: Vec<u8>| {
        let headers = [("authorization", authorization.as_str()), ("x-tenant-id", &tenant), more];
        product.call(method, &format!("/v1/users/{}{path}", USER.uuid()), &headers, body).await
    };
    let content = [&b"\xff\xd8\xff"[..], &vec![7; MAX_PICTURE - 3]].concat();
    let picture = format!("data:image/jpeg;base64,{}", BASE64_STANDARD.encode(&content));
    let image = ("content-type", "image/png");
    let too_large = [&content[..], b"!"].concat();
    assert_eq!(call("PUT", "/picture", image, too_large).await.status, 413);
    let put = call("PUT", "/picture", image, content.clone()).await;
    assert_eq!((put.status, put.header("etag")), (200, Some("\"2\"")), "{}", put.json()["message"]);
    assert_eq!(put.json()["picture"], picture.as_str());

    let calls = Dialects::new(&product).await;
    let key = [("idempotency-key", "with-a-picture")];
    let user = calls.set_role_with("users-update", role::ADMIN, &key).await;
    assert_eq!(user.json()["picture"], picture.as_str(), "{}", user.status);
    let again = calls.set_role_with("users-update", role::ADMIN, &key).await;
    assert_eq!((again.bytes, again.status), (user.bytes, 200));
    let user = calls.set_role("directory-update-user", role::USER).await;
    assert_eq!(user.json()["data"]["profile_pic"], picture.as_str());

    // A read of one user shows it, too. In a list, each one could cost 64 read units.
    let bearer = format!("Bearer {}", product.access("acme", "admin@acme.example").await);
    let read = async |path| product.call("GET", path, &[("authorization", bearer.as_str())], "").await.json();
    assert_eq!(read("/api/acme/v1/users/3").await["data"]["profile_pic"], picture.as_str());
    let listed = read("/api/acme/v1/users?filters=email:eq:user@acme.example").await;
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["profile_pic"]), (&json!(3), &json!(null)));

    let got = call("GET", "/picture", ("accept", "image/*"), Vec::new()).await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("image/jpeg")));
    assert!(got.bytes == content, "the same bytes");
    let tag = got.header("etag").unwrap();
    let kept = call("GET", "/picture", ("if-none-match", tag), Vec::new()).await;
    assert_eq!((kept.status, kept.header("etag"), kept.bytes.len()), (304, Some(tag), 0));

    let events = product.events(ACME, USER).await;
    let told = &events[1].changes["picture"].to;
    assert_eq!((&told["size"], &told["media_type"]), (&json!(MAX_PICTURE), &json!("image/jpeg")));
    assert_eq!(format!("\"{}\"", told["sha256"].as_str().unwrap()), tag);
    assert!(events.iter().all(|event| json!(event).to_string().len() < 2_000));

    let key = TenantKeys(ACME).picture(USER);
    assert!(product.store.get(&key).await.unwrap().is_some());
    assert_eq!(call("DELETE", "", ("accept", "*/*"), Vec::new()).await.status, 204);
    assert!(product.store.get(&key).await.unwrap().is_none(), "it goes with the member");
    let restored = call("POST", "/restore", ("accept", "*/*"), Vec::new()).await;
    assert_eq!((restored.status, &restored.json()["picture"]), (200, &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_is_deleted_or_invited_is_shown_so() {
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    let mut member = product.member(ACME, USER).await;
    member.status = Status::Invited;
    member.meta.created_by = Some((&product.member(ACME, UserId::new(1)).await).into());
    member.last_seen = Some(member.meta.created_at);
    put(&product, &member).await;
    let user = calls.set_role("directory-update-user", role::USER).await.json();
    assert_eq!(user["data"]["tenant_user"]["status"], 0);
    assert_eq!(user["data"]["tenant_user"]["last_seen"], json!(member.meta.created_at));
    let creator = json!({ "profile_pic": null, "email": "owner@acme.example", "id": 1, "label": "Olivia Owner" });
    assert_eq!(user["data"]["created_by"], creator);
    assert_eq!(calls.set_role("users-update", role::USER).await.json()["status"], "invited");

    member.deleted_at = Some(member.meta.created_at);
    put(&product, &member).await;
    for function in FUNCTIONS {
        assert_eq!(calls.set_role(function, role::USER).await.status, 404, "{}", function);
    }
    // And may do nothing any more.
    let token = product.access("acme", "user@acme.example").await;
    let reply = product.put_user(&token, ACME, USER, &[], json!({ "name": "Ghost" })).await;
    assert_eq!((reply.status, reply.json()["details"]["rule"].as_str()), (403, Some("active-member")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_ended_only_by_the_person_or_by_a_member_who_may_invite() {
    let product = Product::start().await;
    let mut invited = product.member(ACME, USER).await;
    invited.status = Status::Invited;
    put(&product, &invited).await;
    deny(&product, UserId::new(2), "member:invite").await;
    let set_status = async |email: &str, status: u8| {
        let authorization = format!("Bearer {}", product.access("acme", email).await);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        product.call("PUT", "/api/acme/v1/users/3", &headers, json!({ "status": status }).to_string()).await.status
    };
    for status in [1, 2] {
        assert_eq!(set_status("admin@acme.example", status).await, 403, "{status}");
    }
    assert_eq!(product.member(ACME, USER).await, invited);
    assert_eq!(set_status("owner@acme.example", 1).await, 200);
    assert_eq!(product.member(ACME, USER).await.status, Status::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sheds_a_denial_to_edit_the_members_of_their_group() {
    let product = Product::start().await;
    let manager = UserId::new(8);
    let denying = deny(&product, manager, "member:update-profile").await;
    let token = product.access("acme", "manager@acme.example").await;
    let rename = async || product.put_user(&token, ACME, USER, &[], json!({ "name": "Renamed" })).await.status;
    assert_eq!(rename().await, 403);
    let shed = product.put_user(&token, ACME, manager, &[], json!({ "roles": ["user"] })).await;
    assert_eq!((shed.status, shed.json()["details"]["rule"].as_str()), (403, Some("permission-not-held")));
    assert_eq!(rename().await, 403);
    assert!(product.member(ACME, manager).await.roles.contains(&denying));
}

/// Gives a member a new role of the tenant's own that denies one permission.
async fn deny(product: &Product, user: UserId, permission: &str) -> RoleId {
    let id = RoleId::new(77);
    let denied = Permission { name: permission.to_owned(), description: None, access: false };
    let role = Role { permissions: vec![denied], ..Role::new(id, "denied", shared::now()) };
    let keys = TenantKeys(ACME);
    product.store.put(encode(&keys.role(id), None, &Entry::Role(Box::new(role))).unwrap()).await.unwrap();
    let tenant = product.tenant(ACME).await;
    let moved = Tenant { catalog_version: tenant.catalog_version + 1, ..tenant };
    product.store.put(encode(&keys.tenant(), None, &moved).unwrap()).await.unwrap();
    let mut member = product.member(ACME, user).await;
    member.roles.insert(id);
    put(product, &member).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_groups_can_be_found_by_their_holders() {
    let product = Product::start().await;
    let holders = async |role| {
        let items = product.store.query(&TenantKeys(ACME).holder(role, USER)).await.unwrap();
        items.len()
    };
    let token = admin(&product).await;
    assert_eq!((holders(role::USER).await, holders(role::ADMIN).await), (1, 0));
    assert_eq!(product.patch_role(&token, ACME, USER, role::ADMIN).await.status, 200);
    assert_eq!((holders(role::USER).await, holders(role::ADMIN).await), (0, 1));
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let groups = json!({ "groups": [{ "id": 2 }] }).to_string();
    assert_eq!(product.call("PUT", "/api/acme/v1/users/3", &headers, groups).await.status, 200);
    for (group, members) in [(1, 0), (2, 1)] {
        let edge = TenantKeys(ACME).in_group(GroupId::new(group), USER);
        assert_eq!(product.store.query(&edge).await.unwrap().len(), members, "group {group}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_roles_and_groups_than_a_transaction_holds_are_refused() {
    let product = Product::start().await;
    let groups = (100..200).map(|number| {
        let group = Group::new(GroupId::new(number), &format!("Group {number}"), shared::now());
        store::record_items(ACME, &group, shared::now()).unwrap()
    });
    product.store.put_all(groups.flatten().collect()).await.unwrap();
    let authorization = format!("Bearer {}", admin(&product).await);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let put = async |last: u32| {
        let groups: Vec<_> = (100..last).map(|id| json!({ "id": id })).collect();
        product.call("PUT", "/api/acme/v1/users/5", &headers, json!({ "groups": groups }).to_string()).await
    };
    let refused = put(190).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.json()["errors"][0].as_str().unwrap().contains("89"), "{refused:?}");
    assert_eq!(put(189).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_cannot_be_taken_the_role_that_makes_them_owner() {
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let role = async |method, role: RoleId| {
        let path = format!("/v1/users/me/roles/{}", role.uuid_in(ACME));
        product.users(&token, ACME, (method, &path), &[], None).await
    };
    assert_eq!(role("PUT", role::USER).await.status, 200);
    let refused = role("DELETE", role::OWNER).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("last_owner")), "{refused:?}");
    assert_eq!(product.tenant(ACME).await.owners, 1);
    assert_eq!(role("DELETE", role::USER).await.status, 200);
    product.server.shutdown().await;
}

/// A client that replaced all roles would undo what another client gave at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn roles_that_many_callers_give_and_take_at_once_are_all_given_and_taken() {
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let mut roles = Vec::new();
    for number in 0..8 {
        let body = json!({ "name": format!("duty {number}"), "permissions": [{ "name": "member:read" }] });
        let made = product.users(&token, ACME, ("POST", "/v1/roles"), &[], Some(body)).await;
        assert_eq!(made.status, 201, "{made:?}");
        roles.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    let before = product.member(ACME, USER).await.roles;
    for (method, count) in [("PUT", 8), ("DELETE", 0)] {
        let paths: Vec<_> = roles.iter().map(|role| format!("/v1/users/{}/roles/{role}", USER.uuid())).collect();
        let calls = paths.iter().map(|path| product.users(&token, ACME, (method, path), &[], None));
        for reply in join_all(calls).await {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        assert_eq!(product.member(ACME, USER).await.roles.len(), before.len() + count, "{method}");
    }
    assert_eq!(product.member(ACME, USER).await.roles, before);
    // The chain of the member's events holds, and has one event for each call.
    assert_eq!(product.events(ACME, USER).await.len(), 1 + 16);
    product.server.shutdown().await;
}
