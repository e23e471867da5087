//! Claims that are false, each a bit more than what is true. A prover that proves one of them proves nothing.

use super::*;

/// Each with a kind of request in which it fails.
const FALSE: [(&str, &str); 18] = [
    ("forbid (principal, action, resource);", "Member tenant:enter Tenant"),
    // Across tenants.
    ("forbid (principal, action, resource) when { principal in principal.tenant };", "Member member:read Member"),
    (
        r#"permit (principal, action == Action::"tenant:enter", resource) when { principal.status == "active" };"#,
        "Member tenant:enter Tenant",
    ),
    // Ranks and permissions.
    (
        r#"forbid (principal, action == Action::"member:assign-role", resource) when { context.rank >= principal.rank };"#,
        "Member member:assign-role Member",
    ),
    (
        r#"forbid (principal, action == Action::"role:create", resource) unless { principal.holds.containsAll(resource.grants) };"#,
        "ApiKey role:create Role",
    ),
    (
        r#"forbid (principal, action == Action::"member:assign-role", resource) when { !context.gains.isEmpty() };"#,
        "ApiKey member:assign-role Member",
    ),
    (
        r#"forbid (principal, action == Action::"key:rotate", resource) unless { principal.holds.contains("key:manage") };"#,
        "Member key:rotate ApiKey",
    ),
    // Who acts as another member.
    (
        r#"forbid (principal, action == Action::"member:impersonate", resource) when { principal.rank <= resource.rank };"#,
        "Member member:impersonate Member",
    ),
    (
        r#"forbid (principal is Member, action == Action::"member:update-profile", resource) when { principal has impersonator && principal == resource };"#,
        "Member member:update-profile Member",
    ),
    // Owners.
    (
        r#"forbid (principal, action == Action::"member:update-profile", resource) when { resource.roles.contains("owner") };"#,
        "Member member:update-profile Member",
    ),
    (
        r#"forbid (principal, action == Action::"member:read", resource) when { resource.roles.contains("owner") } unless { principal.roles.contains("owner") };"#,
        "Member member:read Member",
    ),
    (
        r#"forbid (principal, action == Action::"key:end", resource) when { resource.roles.contains("owner") } unless { principal.roles.contains("owner") };"#,
        "Member key:end ApiKey",
    ),
    // Callers who are not active.
    (r#"forbid (principal, action, resource) when { principal.status == "active" };"#, "ApiKey tenant:enter Tenant"),
    (
        r#"permit (principal, action == Action::"member:read", resource) when { principal == resource };"#,
        "Member member:read Member",
    ),
    // One's own profile.
    (
        r#"permit (principal, action == Action::"member:update-profile", resource) when { principal == resource && principal.status == "active" };"#,
        "Member member:update-profile Member",
    ),
    (
        r#"permit (principal, action == Action::"member:set-identity", resource) when { principal == resource && principal.status == "active" };"#,
        "Member member:set-identity Member",
    ),
    (
        r#"permit (principal, action == Action::"member:update-profile", resource) when { principal.holds.contains("member:update-profile") && principal.status == "active" };"#,
        "Member member:update-profile Member",
    ),
    (
        r#"permit (principal, action == Action::"issuer:manage", resource) when { principal.roles.contains("owner") && principal.status == "active" };"#,
        "Member issuer:manage Tenant",
    ),
];

#[test]
fn what_is_false_is_not_proved() {
    let requests = Requests::of_product();
    let base = policies(&format!("{BASE}\n{FACTS}"));
    let proved = each(&FALSE, |prover, (claim, kind)| {
        let [property] = &Property::all(&format!("\n@id(\"false\")\n{claim}\n"), FACTS)[..] else { panic!("{claim}") };
        let at = requests.kinds.iter().position(|it| name(it).replace("Action::", "").replace('"', "") == *kind);
        let at = at.unwrap_or_else(|| panic!("{kind}"));
        let about = property.compile_for(&requests, at).unwrap_or_else(|| panic!("{claim} does not concern {kind}"));
        property.holds(prover, &requests.compile(&base, at), &about).unwrap().then_some(*claim)
    });
    assert_eq!(proved.into_iter().flatten().collect::<Vec<_>>(), Vec::<&str>::new());
}

/// The same claims in another order of words: the solver must not find a difference where there is none.
#[test]
fn what_is_true_in_other_words_is_proved() {
    let requests = Requests::of_product();
    let base = base(&requests);
    let words = r#"
@id("lower and higher")
forbid (principal, action == Action::"member:remove", resource)
unless { resource.rank <= principal.rank };

@id("a sum of reasons")
forbid (principal, action == Action::"member:invite", resource)
when { !(principal.holds.contains("member:invite") && principal.status == "active") };
"#;
    let properties = Property::all(words, FACTS);
    assert_eq!(properties.len(), 2);
    let failed = each(&properties, |prover, it| failures(prover, &requests, &base, it).collect::<Vec<_>>());
    assert_eq!(failed.concat(), Vec::<String>::new());
}
