use shared::dialect::OAUTH;

/// `POST /oauth/introspect`: says whether a token of ours is good now, and what for (RFC 7662).
///
/// It reads the session, so a token is good no more once its session has ended. It takes an access token, a session token, a refresh token
/// or an API key of the caller's tenant, as a form or as JSON. The answer about any other text is `{"active":false}`.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&OAUTH, |app, call| app.introspect(call))
}

#[test]
fn description() {
    openapi::Operation::new(&OAUTH).introspection().describe();
}
