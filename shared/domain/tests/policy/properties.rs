//! What a service says of a question, as the tenant's own policies see it.

use domain::Metadata;
use domain::policy::properties::{Properties, Tags};
use serde_json::json;

use super::own::{own, readme, rule};
use super::*;

/// The rest of the fixture of AuthZEN's certification, beside the policy of README's *Asking for a decision*; and a number.
const FIXTURE: [&str; 2] = [
    r#"@notice("Delete softly.")
    forbid (principal, action == Action::"permission:use", resource)
    when { context.permission == "record:delete" }
    unless { context.action.hasTag("soft") && context.action.getTag("soft").contains("true") };"#,
    r#"@notice("Large records are for others.")
    forbid (principal, action == Action::"permission:use", resource)
    when {
      resource.type == "record" && context.numbers.resource.hasTag("size.bytes") &&
      context.numbers.resource.getTag("size.bytes") > 1000
    };"#,
];

#[test]
fn policies_see_what_a_service_says_of_a_question() {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    let validator = Validator::new(schema);
    let texts = [readme("\n## Asking for a decision\n"), FIXTURE[0], FIXTURE[1]];
    for text in texts {
        let valid = validator.validate(&PolicySet::from_str(text).unwrap(), ValidationMode::Strict);
        assert!(valid.validation_passed(), "{text}: {valid}");
    }
    let permissions = [("record:read", true), ("record:write", true), ("record:delete", true)];
    let writer = Entry::Role(Box::new(custom(RoleId::new(10), "writer", 1, &permissions)));
    let catalog = Rules::new(1, [writer].into_iter().chain(own(&texts).into_iter().map(Entry::Policy)));
    let cedar = cedar::Texts::new(&texts.map(str::to_owned));
    let (alice, tenant) = (member(1, [RoleId::new(10)]), TenantId::new(1));
    let tags = |json: &serde_json::Value| Tags::read(json.as_object().unwrap()).unwrap();
    let may = |permission: &str, [subject, action, resource]: [serde_json::Value; 3], known: &Metadata| {
        let properties = Properties::new([tags(&subject), tags(&action), tags(&resource), Tags::default()]);
        let properties = properties.with_subject(known.iter());
        let thing = Thing::OfProduct { kind: "record", id: "record-1", properties: &properties };
        let ours = catalog.may(around("authzen"), (&policy::member(&alice, &catalog), tenant), permission, thing);
        let (action, thing) =
            (Action::Use(permission, &properties), policy::question::of_product(tenant, "record", "record-1"));
        assert_eq!(ours, cedar.decide("authzen", &policy::member(&alice, &catalog), &action, &thing));
        rule(ours)
    };
    let (none, unknown) = (|| json!({}), Metadata::new());
    let archived = || json!({ "status": "archived", "size": { "bytes": 10 } });
    assert_eq!(may("record:write", [none(), none(), none()], &unknown), "allow");
    assert_eq!(may("record:write", [none(), none(), json!({ "status": "active" })], &unknown), "allow");
    assert_eq!(may("record:write", [none(), none(), archived()], &unknown), "tenant-policy-1-0");
    assert_eq!(may("record:write", [json!({ "role": ["user", "admin"] }), none(), archived()], &unknown), "allow");
    // What the table knows of the member wins over what the service claims.
    let known = Metadata::from([("role".to_owned(), "user".to_owned())]);
    assert_eq!(may("record:write", [json!({ "role": "admin" }), none(), archived()], &known), "tenant-policy-1-0");
    let known = Metadata::from([("role".to_owned(), "admin".to_owned())]);
    assert_eq!(may("record:write", [none(), none(), archived()], &known), "allow");
    assert_eq!(may("record:delete", [none(), json!({ "soft": true }), none()], &unknown), "allow");
    assert_eq!(may("record:delete", [none(), json!({ "soft": false }), none()], &unknown), "tenant-policy-2-0");
    assert_eq!(may("record:delete", [none(), json!({ "soft": null }), none()], &unknown), "tenant-policy-2-0");
    assert_eq!(
        may("record:read", [none(), none(), json!({ "size": { "bytes": 1001 } })], &unknown),
        "tenant-policy-3-0"
    );
    assert_eq!(may("record:read", [none(), none(), json!({ "size": { "bytes": "1001" } })], &unknown), "allow");
    // Odd properties change nothing.
    assert_eq!(
        may("record:read", [none(), none(), json!({ "size": [[1], { "bytes": 2000 }], "x": 0.5 })], &unknown),
        "allow"
    );
}
