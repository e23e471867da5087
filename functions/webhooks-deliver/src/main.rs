use std::sync::OnceLock;
use std::time::Duration;

use outbound::Outbound;

/// How long a receiver may take to begin its answer. Only the status counts.
const ANSWER: Duration = Duration::from_secs(5);

/// Made at the start.
static OUTBOUND: OnceLock<Outbound> = OnceLock::new();

/// Delivers changes to the webhooks of tenants. A redirect is no success, and nothing follows it.
fn main() -> Result<(), lambda_http::Error> {
    // Only `cargo run` sets it.
    let is_laptop = std::env::var("LOCAL_WEBHOOKS").is_ok_and(|text| !text.is_empty());
    let outbound = Outbound::new(is_laptop)?;
    OUTBOUND.get_or_init(|| outbound);
    shared::serve_product(|app, work| {
        app.deliver(work, &|request| {
            Box::pin(async move {
                let outbound = OUTBOUND.get().ok_or("no client")?;
                outbound.status(request, ANSWER).await
            })
        })
    })
}
