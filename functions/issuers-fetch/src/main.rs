mod fetch;

use std::sync::OnceLock;

use fetch::Fetcher;
use outbound::Outbound;

/// Made at the first fetch.
static FETCHER: OnceLock<Fetcher> = OnceLock::new();

/// Fetches the keys of the identity providers that tenants trust.
fn main() -> Result<(), lambda_http::Error> {
    // Only `cargo run` sets it.
    let is_laptop = std::env::var("LOCAL_ISSUERS").is_ok_and(|text| !text.is_empty());
    let fetcher = Fetcher(Outbound::new(is_laptop)?);
    FETCHER.get_or_init(|| fetcher);
    shared::serve_product(|app, work| {
        app.fetch(work, &|iss| {
            let iss = iss.to_owned();
            Box::pin(async move {
                let fetcher = FETCHER.get().ok_or("no fetcher")?;
                fetcher.keys(&iss).await
            })
        })
    })
}
