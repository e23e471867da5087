//! Exports: each member once, whichever of two workers is quicker; for the caller who asked, as long as they may.

use shared::table::encode;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_each_member_once_and_can_be_imported() {
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("export", 700).await;
    let (owner, admin) = (product.caller(&tenant, &tenant.owner_token), product.caller(&tenant, &tenant.admin_token));
    let path = |place: u32| format!("/v1/users/{}", tenant.member(place).uuid());
    let odd = json!({ "first_name": "=cmd", "last_name": "say \"hi\", you", "metadata": { "phone": "+49" } });
    assert_eq!(owner.call("PATCH", &path(5), Some(odd)).await.status, 200);
    assert_eq!(owner.call("DELETE", &path(6), None).await.status, 204);
    // Names that a cell would show as several roles, or as a formula.
    let names = ["user;owner", "=sum"];
    for name in names {
        assert_eq!(owner.call("POST", "/v1/roles", Some(json!({ "name": name }))).await.status, 201, "{name}");
    }
    assert_eq!(owner.call("PATCH", &path(7), Some(json!({ "roles": names }))).await.status, 200);
    let mut exported = Vec::new();
    for (format, number) in [("jsonl", 1), ("csv", 2)] {
        let started = owner.call("POST", "/v1/users/export", Some(json!({ "format": format }))).await;
        assert_eq!(started.status, 202, "{}", started.json());
        product.run_job(tenant.id, number).await;
        let done = product.job(tenant.id, number).await;
        assert_eq!((done.state, done.progress.done), (State::Done, 699));
        let id = done.id.uuid_in(tenant.id);
        assert_eq!(admin.call("GET", &format!("/v1/jobs/{id}/parts/1"), None).await.status, 403);
        let mut parts = Vec::new();
        for part in 1..=done.progress.results {
            let reply = owner.call("GET", &format!("/v1/jobs/{id}/parts/{part}"), None).await;
            assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
            parts.push(String::from_utf8(reply.bytes.to_vec()).unwrap());
        }
        let next = format!("/v1/jobs/{id}/parts/{}", done.progress.results + 1);
        assert_eq!(owner.call("GET", &next, None).await.status, 404);
        assert!(parts.len() >= 2);
        exported.push(parts);
    }
    let users: Vec<Value> =
        exported[0].iter().flat_map(|part| part.lines()).map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: BTreeSet<UserId> =
        users.iter().map(|it| UserId::from_uuid(it["id"].as_str().unwrap().parse().unwrap()).unwrap()).collect();
    let present = (0..700).filter(|place| *place != 6).map(|place| tenant.member(place)).collect();
    assert_eq!((users.len(), ids), (699, present));
    let csv = exported[1].concat();
    assert!(csv.contains(",'=cmd,\"say \"\"hi\"\", you\","), "no cell is a formula");
    assert!(csv.contains("\"{\"\"phone\"\":\"\"+49\"\"}\"") && !csv.contains("user;owner"));

    // The same users once more change nobody.
    let versions =
        async || -> Vec<u64> { product.everybody(tenant.id).await.iter().map(|member| member.meta.version).collect() };
    let before = versions().await;
    for (number, content_type, parts) in [(3, JSONL, &exported[0]), (4, CSV, &exported[1])] {
        owner.import(json!({ "on_existing": "update" }), content_type, parts).await;
        product.run_job(tenant.id, number).await;
        assert_eq!(outcomes(&product.job(tenant.id, number).await), [0, 699, 0, 0]);
        assert_eq!(versions().await, before);
    }

    // Who may not list members any more gets no part, and a job of theirs ends.
    let started = admin.call("POST", "/v1/users/export", None).await;
    assert_eq!(started.status, 202);
    // Nobody has two exports under way. Another caller has one of their own.
    assert_eq!(admin.call("POST", "/v1/users/export", None).await.status, 409);
    assert_eq!(admin.call("PATCH", &path(1), Some(json!({ "status": "deactivated" }))).await.status, 200);
    product.run_job(tenant.id, 5).await;
    let ended = product.job(tenant.id, 5).await;
    assert_eq!((ended.state, ended.progress.results, ended.progress.error.is_some()), (State::Done, 0, true));

    // Who may not list members exports none.
    let user_token = product.access("export", "member9@export.example").await;
    let nobody = json!({ "permissions": [{ "name": "member:read", "access": false }], "name": "blind" });
    assert_eq!(owner.call("POST", "/v1/roles", Some(nobody)).await.status, 201);
    assert_eq!(owner.call("PATCH", &path(8), Some(json!({ "roles": ["blind"] }))).await.status, 200);
    let blind = product.caller(&tenant, &user_token).call("POST", "/v1/users/export", None).await;
    assert_eq!(blind.status, 403, "{}", blind.json());
}

/// Another worker has done the piece, and writes down what comes behind it. If the part got fewer users now, there would be a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_too_slow_writes_no_part_again() {
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("slow", 4).await;
    let owner = product.caller(&tenant, &tenant.owner_token);
    assert_eq!(owner.call("POST", "/v1/users/export", Some(json!({ "format": "csv" }))).await.status, 202);
    let (keys, id) = (TenantKeys(tenant.id), JobId::new(1));
    let tries = Arc::new(AtomicU32::new(0));
    let hook = Arc::clone(&tries);
    product.server.set_fault(Some(Arc::new(move |request| {
        if request.function.as_deref() != Some("jobs-run") || !request.body.to_string().contains("RESULTS#") {
            return Fault::None;
        }
        hook.fetch_add(1, Ordering::SeqCst);
        Fault::throttled()
    })));
    let quicker = async {
        eventually(|| tries.load(Ordering::SeqCst) > 0).await;
        let mut job = product.job(tenant.id, 1).await;
        job.progress.turn += 1;
        (job.progress.done, job.progress.results) = (4, 1);
        job.progress.piece = vec![tenant.member(3)];
        let part = json!({ "text": "of the quicker one", "expires_at": shared::now().seconds() + 60 });
        let listed = keys.unfinished(id, job.meta.created_at);
        product.store.put(encode(&keys.results(id, 1), None, &part).unwrap()).await.unwrap();
        product.store.put(encode(&keys.job(id), Some(&listed), &job).unwrap()).await.unwrap();
        product.server.set_fault(None);
    };
    tokio::join!(product.run_job(tenant.id, 1), quicker);
    let done = product.job(tenant.id, 1).await;
    assert_eq!((done.state, done.progress.done, done.progress.results), (State::Done, 4, 1));
    let part = owner.call("GET", &format!("/v1/jobs/{}/parts/1", id.uuid_in(tenant.id)), None).await;
    assert_eq!((part.status, &part.bytes[..]), (200, &b"of the quicker one"[..]));
}
