mod resolver;

use std::sync::OnceLock;

use resolver::Resolver;

/// Made at the first look.
static RESOLVER: OnceLock<Resolver> = OnceLock::new();

/// Looks for the DNS records of the domains that tenants claim. No other function asks the DNS for them.
fn main() -> Result<(), lambda_http::Error> {
    // Only `cargo run` sets it.
    let local = std::env::var("LOCAL_RESOLVER").ok().filter(|text| !text.is_empty());
    RESOLVER.get_or_init(|| Resolver { local });
    shared::serve_product(|app, work| {
        app.look_for_domains(work, &|name| {
            let name = name.to_owned();
            Box::pin(async move { RESOLVER.get().ok_or("no resolver")?.texts(&name).await })
        })
    })
}
