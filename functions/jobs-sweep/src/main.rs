/// Lets jobs run again that wait after a failure, or that have stalled.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve_product(|app, work| app.sweep(work))
}
