//! Budgets: how often a client without a session may ask for tokens.
//!
//! A budget is for a minute. It belongs to the address of the request, or to the very credential that the request shows. Nobody else
//! can spend the budget of a credential, because nobody else has it: so no attack locks a person or a session out.

use std::net::IpAddr;

use domain::Problem;
use futures_util::future::try_join;

use super::Asked;
use crate::table::Condition;
use crate::table::key;

/// How long a budget lasts, in seconds.
const WINDOW: i64 = 60;

/// How often a credential may be shown in that time.
pub const CALLS_PER_CREDENTIAL: u32 = 100;

/// Spends one call of both budgets. `credential` is the SHA-256 of the credential that is shown, in hex.
///
/// # Errors
/// [`Problem::TooManyRequests`], until the next window.
pub async fn spend(asked: &Asked<'_>, address: &str, per_address: u32, credential: &str) -> Result<(), Problem> {
    let now = (asked.clock)().seconds();
    let window = now - now.rem_euclid(WINDOW);
    let spend = async |kind, of: &str, most: u32| {
        let condition = Condition::new("attribute_not_exists(used) OR used < :most").with(":most", most)?;
        let condition = condition.with(":one", 1)?.with(":end", window + 2 * WINDOW)?;
        asked.table.set(&key::budget(kind, of, window), "expires_at = :end ADD used :one", condition).await
    };
    let subscriber = subscriber(address);
    let address = spend("ADDRESS", &subscriber, per_address);
    match try_join(address, spend("CREDENTIAL", credential, CALLS_PER_CREDENTIAL)).await? {
        (true, true) => Ok(()),
        _ => Err(Problem::TooManyRequests((window + WINDOW - now).max(1) as u32)),
    }
}

/// The addresses that one subscriber has: one of IPv4, and a network of 64 bits of IPv6 (RFC 6177 gives a site no less).
fn subscriber(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(address) => address.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::subscriber;

    #[test]
    fn a_subscriber_is_an_address_of_ipv4_or_a_network_of_ipv6() {
        assert_eq!(subscriber("192.0.2.1"), "192.0.2.1");
        assert_eq!(subscriber("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(subscriber("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(subscriber("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
        assert_ne!(subscriber("2001:db8:1:3::1"), "2001:db8:1:2::/64");
        assert_eq!(subscriber("not an address"), "unknown");
    }
}
