//! The addresses of a name, without those that are not public.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use domain::address::is_public;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// Looks names up, and leaves out the addresses that are not public.
#[derive(Clone, Copy)]
pub struct Resolver {
    /// Whether addresses of this machine count, too.
    pub is_laptop: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { is_laptop } = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let may = |address: &SocketAddr| is_public(address.ip()) || is_laptop && address.ip().is_loopback();
            let public: Vec<SocketAddr> = found.filter(may).collect();
            match public.is_empty() {
                true => Err(io::Error::other("the name has no public address")),
                false => Ok(public.into_iter()),
            }
        })
    }
}
