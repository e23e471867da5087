/// Goes on with the jobs that records of the table's stream are about, piece by piece.
fn main() -> Result<(), lambda_http::Error> {
    shared::serve_product(|app, work| app.work(work))
}
