/// Makes, publishes and retires the keys that sign tokens, as far as that is due. With the event `{"rotate": "now"}` it makes a new key
/// in place of all others at once.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve_product(|app, work| app.rotate(work))
}
