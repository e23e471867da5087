use shared::dialect::OAUTH;

/// `GET /.well-known/jwks.json`: the keys that verify our tokens (RFC 7517).
///
/// `GET /.well-known/oauth-authorization-server`: where tokens come from, for clients of OAuth 2.0 (RFC 8414).
///
/// `GET /.well-known/openid-configuration`: the same, for clients that look only here. Rolecall is no OpenID provider.
///
/// `GET /.well-known/authzen-configuration`: where questions of what somebody may do are answered (OpenID AuthZEN).
fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&OAUTH, |app, call| match call.route.as_str() {
        "GET /.well-known/jwks.json" => app.jwks(call),
        "GET /.well-known/authzen-configuration" => Box::pin(std::future::ready(Ok(app.decision_point()))),
        _ => Box::pin(std::future::ready(Ok(app.metadata()))),
    })
}

#[test]
fn description() {
    use openapi::Operation;
    use shared::dialect::authzen::discovery::Configuration;
    use shared::dialect::oauth::{Jwks, Metadata};
    Operation::new(&OAUTH).route("GET /.well-known/jwks.json").document::<Jwks>().describe();
    for route in ["GET /.well-known/oauth-authorization-server", "GET /.well-known/openid-configuration"] {
        Operation::new(&OAUTH).route(route).document::<Metadata>().describe();
    }
    Operation::new(&OAUTH).route("GET /.well-known/authzen-configuration").document::<Configuration>().describe();
}
