use shared::dialect::OAUTH;

/// `POST /v1/sessions`: exchanges a token of an identity provider for a session in one tenant (RFC 8693), or a refresh token for new
/// tokens.
///
/// It takes a form, too, with the same members. A session token of ours as `subject_token` prolongs its session, or begins one in another
/// tenant of the same person.
///
/// `POST /oauth/token`: the same, where clients of OAuth 2.0 look for it; as a form, or as JSON.
///
/// `POST /oauth/revoke`: ends the session of an access token, a session token or a refresh token (RFC 7009). From the next request on, all
/// its tokens are refused. The answer is the same for a token that is none.
///
/// `POST /v1/invitations/accept`: accepts an invitation by its secret, and signs the person in. The secret is good once. The member who
/// sent it must be able to give at this moment all that the person gets. If the tenant's setting `acceptance` is `address`, the identity
/// provider must have verified the address that was invited, and a session token of ours does not do.
///
/// `POST /v1/join-requests`: asks to join a tenant, by an address that an identity provider of the tenant has verified. It begins no
/// session.
///
/// Whoever may invite people in the tenant answers the request. A person who asks again gets the same request. The answer is 409 for
/// somebody who can sign in at once: an active member, or a person at a domain whose people join at once. It is 403 for everybody else, as
/// at a sign-in: where nobody may ask, or where the person was refused.
///
/// `POST /v1/users/{id}/impersonate`: begins a session of a member in which you act as them, for support.
///
/// `member:impersonate` allows it, if the tenant's setting `impersonation` does. Nobody acts as an owner, or as a member who outranks them
/// or has a permission that they do not have. You may then do what both of you may, until the session ends: at its time, with your own
/// session, or with your right to act as the member. The member may end it, too.
///
/// `POST /v1/approvals`: approves a change that another member makes, for a policy of the tenant that asks for two people.
///
/// Nothing is written. The other member sends the approval in the header `X-Approval` of exactly that request, once. Both of you must be
/// allowed to make the change at that moment, and your session must not have ended. The record names both.
///
/// Needs `member:read` of the other member.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&OAUTH, |app, call| match call.route.as_str() {
        "POST /oauth/revoke" => app.revoke(call),
        "POST /v1/invitations/accept" => app.accept_invitation(call),
        "POST /v1/join-requests" => app.ask_to_join(call),
        "POST /v1/users/{id}/impersonate" => app.impersonate(call),
        "POST /v1/approvals" => app.give_approval(call),
        _ => app.tokens(call),
    })
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    use shared::dialect::oauth::{Approval, Impersonation, JoinWish};
    Operation::new(&OAUTH).route("POST /v1/sessions").tokens(openapi::JSON).describe();
    Operation::new(&OAUTH).route("POST /oauth/token").tokens(openapi::FORM).describe();
    Operation::new(&OAUTH).route("POST /oauth/revoke").revocation().describe();
    Operation::new(&OAUTH).route("POST /v1/invitations/accept").acceptance().describe();
    Operation::new(&OAUTH).route("POST /v1/join-requests").join_wish(JoinWish::read).describe();
    let impersonate = Operation::new(&OAUTH).route("POST /v1/users/{id}/impersonate");
    let impersonate = impersonate.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header());
    let impersonate = impersonate.path("id", "The member's UUID.", schema_of::<shared::id::Uuid>());
    impersonate.impersonation(Impersonation::read).describe();
    let approve = Operation::new(&OAUTH).route("POST /v1/approvals");
    let approve = approve.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header());
    approve.approval(Approval::read).describe();
}
