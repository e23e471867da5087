//! Asks the machine's resolver for the texts of a DNS record.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

/// How long an answer may take, all in all.
const ANSWER: Duration = Duration::from_secs(5);

/// How many texts of a record are looked at, and how long one is, in bytes.
const TEXTS: usize = 50;
const LONGEST: usize = 255;

pub struct Resolver {
    /// The address of a resolver on a laptop, in place of the machine's own.
    pub local: Option<String>,
}

impl Resolver {
    fn new_resolver(&self) -> Result<TokioResolver, String> {
        let mut builder = match &self.local {
            None => TokioResolver::builder_tokio().map_err(|why| why.to_string())?,
            Some(text) => {
                let address: SocketAddr = text.parse().map_err(|_| "LOCAL_RESOLVER is no address")?;
                if !address.ip().is_loopback() {
                    return Err("LOCAL_RESOLVER is not on this machine".to_owned());
                }
                let mut server = NameServerConfig::udp_and_tcp(address.ip());
                server.connections.iter_mut().for_each(|connection| connection.port = address.port());
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        // Each run asks anew.
        (options.timeout, options.attempts, options.cache_size) = (Duration::from_secs(2), 2, 0);
        builder.build().map_err(|why| why.to_string())
    }

    /// The texts of the records of type TXT with this name; none if there are no such records.
    ///
    /// # Errors
    /// Why the DNS gives no answer.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let resolver = self.new_resolver()?;
        // With the dot at its end, nothing is put behind the name.
        let looked_up = tokio::time::timeout(ANSWER, resolver.txt_lookup(format!("{name}."))).await;
        let found = match looked_up {
            Err(_) => return Err("the DNS gives no answer in time".to_owned()),
            Ok(Err(why)) if why.is_no_records_found() => return Err("there is no such record".to_owned()),
            Ok(Err(_)) => return Err("the DNS gives no answer".to_owned()),
            Ok(Ok(found)) => found,
        };
        let text = |data: &RData| match data {
            RData::TXT(text) => {
                // A long text comes in parts (RFC 7208, section 3.3).
                let whole = text.txt_data.concat();
                String::from_utf8(whole).ok().filter(|text| text.len() <= LONGEST)
            }
            _ => None,
        };
        Ok(found.answers().iter().take(TEXTS).filter_map(|record| text(&record.data)).collect())
    }
}
