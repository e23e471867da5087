/// Tells of each change: a message for each webhook that hears of it, and an entry on the event bus.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve_product(|app, work| app.publish(work))
}
