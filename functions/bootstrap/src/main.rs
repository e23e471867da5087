/// Makes the first tenant with its owner and its issuer, a new owner of a tenant that has lost its owners, or an issuer that all tenants
/// trust. It has no route: only who may invoke it in the cloud's account can ask for that.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve_product(|app, work| app.bootstrap(work))
}
