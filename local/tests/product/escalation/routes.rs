//! Each route that writes is a way that is tried, or says why nobody gets a right by it.

use super::ways::WAYS;
use crate::directory::is_of;
use crate::harness::the_template;

const TAKES: &str = "it takes rights away, and gives none";
const ENDS: &str = "it ends sessions";
const READS: &str = "it changes nothing";
const NAMES: &str = "no right depends on it";
const TELLS: &str = "it has to do with who is told of changes, and a webhook decides nothing";

/// The routes that are no ways: method, path and reason.
const NO_WAYS: [(&str, &str, &str); 35] = [
    ("PUT", "/v1/users/import/{id}/parts/{n}", "it is tried with the import"),
    ("POST", "/v1/users/import/{id}/start", "it is tried with the import"),
    ("PUT", "/v1/users/{id}/picture", NAMES),
    ("DELETE", "/v1/users/{id}/picture", NAMES),
    ("POST", "/v1/labels", NAMES),
    ("PATCH", "/v1/labels/{id}", NAMES),
    ("DELETE", "/v1/labels/{id}", NAMES),
    ("POST", "/v1/events", NAMES),
    ("POST", "/access/v1/evaluation", READS),
    ("POST", "/access/v1/evaluations", READS),
    ("POST", "/access/v1/search/subject", READS),
    ("POST", "/access/v1/search/action", READS),
    ("POST", "/v1/check", READS),
    ("POST", "/oauth/introspect", READS),
    ("POST", "/v1/sessions", "who proves to be a member gets a session of that member, and nothing else"),
    ("POST", "/oauth/token", "who proves to be a member gets a session of that member, and nothing else"),
    ("POST", "/oauth/revoke", ENDS),
    ("DELETE", "/v1/sessions/{id}", ENDS),
    ("DELETE", "/v1/users/{id}/sessions", ENDS),
    ("POST", "/v1/tenants", "it gives rights in a new tenant alone, in which nobody else is"),
    ("POST", "/v1/tenant/leave", TAKES),
    ("DELETE", "/v1/tenant", TAKES),
    ("POST", "/v1/tenant/restore", "everybody has what they had before the tenant's end"),
    ("PUT", "/api/v1/organizations/{organization_id}/users/remove", TAKES),
    ("DELETE", "/api/v1/organizations/{organization_id}/users/{user_id}", TAKES),
    ("DELETE", "/v1/issuers/{id}", TAKES),
    ("DELETE", "/v1/issuers/{id}/keys/{kid}", TAKES),
    ("DELETE", "/v1/api-keys/{id}", TAKES),
    ("DELETE", "/v1/invitations/{id}", TAKES),
    ("DELETE", "/v1/domains/{id}", TAKES),
    ("POST", "/v1/join-requests/{id}/refuse", TAKES),
    ("DELETE", "/v1/webhooks/{id}", TELLS),
    ("POST", "/v1/webhooks/{id}/rotate", TELLS),
    ("POST", "/v1/webhooks/{id}/test", TELLS),
    ("POST", "/v1/webhooks/{id}/replay", TELLS),
];

#[test]
fn each_route_that_writes_is_a_way_or_has_a_reason() {
    let template = the_template();
    let writing = || template.functions.iter().flat_map(|it| &it.routes).filter(|route| route.method != "GET");
    for route in writing() {
        let ways = WAYS.iter().map(|(_, method, path, _)| (*method, path.strip_prefix("/main").unwrap_or(path)));
        let is_way = ways.into_iter().any(|call| is_of(call, &route.method, &route.path));
        let is_named = NO_WAYS.iter().any(|(method, path, _)| (*method, *path) == (&*route.method, &*route.path));
        assert!(is_way != is_named, "{} {}: a way {is_way}, with a reason {is_named}", route.method, route.path);
    }
    for (method, path, why) in NO_WAYS {
        let is_route = writing().any(|route| (&*route.method, &*route.path) == (method, path));
        assert!(is_route, "{method} {path}: {why}");
    }
    for (name, method, path, _) in WAYS {
        let call = (method, path.strip_prefix("/main").unwrap_or(path));
        assert!(writing().any(|route| is_of(call, &route.method, &route.path)), "{name}: no route {method} {path}");
    }
}
