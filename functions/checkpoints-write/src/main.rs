/// Signs a checkpoint of each tenant's record, once a day.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve_product(|app, work| app.checkpoint(work))
}
