//! Names to addresses, where only those are given that may be connected to.
//!
//! What is given here is what the connection is made to: there is no second look-up that could answer otherwise.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::{BoxError, Service, ServiceExt};

use super::address::is_public;
use crate::grants::Grants;

/// The addresses of a name, or why there are none.
type Found = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, BoxError>> + Send>>;

/// Asks for the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(Name) -> Found + Send + Sync>;

/// A name leads only to addresses that the operator has not opened to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {address}, which is not an address of the public Internet, and the operator has not granted it as `private`"
)]
pub(crate) struct PrivateAddress {
    pub(super) host: String,
    pub(super) address: IpAddr,
}

/// The resolver of one plugin.
#[derive(Clone)]
pub(super) struct Resolver {
    lookup: Lookup,
    grants: Arc<Grants>,
}

impl Resolver {
    pub(super) fn new(lookup: Lookup, grants: Arc<Grants>) -> Self {
        Self { lookup, grants }
    }
}

/// Asks the system: its hosts file and its name servers.
pub(super) fn system() -> Lookup {
    let resolver = GaiResolver::new();
    Arc::new(move |name| {
        let resolver = resolver.clone();
        Box::pin(async move { Ok(resolver.oneshot(name).await?.collect()) })
    })
}

/// The addresses that may be connected to.
fn allowed(grants: &Grants, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, BoxError> {
    let first = found.first().copied();
    let private = grants.may_be_private(host);
    let allowed: Vec<_> = found.into_iter().filter(|address| private || is_public(address.ip())).collect();
    match first {
        Some(first) if allowed.is_empty() => Err(PrivateAddress { host: host.to_owned(), address: first.ip() }.into()),
        None => Err(format!("{host} has no address").into()),
        Some(_) => Ok(allowed),
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let (found, grants) = ((self.lookup)(name), self.grants.clone());
        Box::pin(async move { Ok(allowed(&grants, &host, found.await?)?.into_iter()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn private_addresses_are_left_out_unless_the_name_is_marked() {
        let grants = Grants {
            http: vec!["api.example".parse().unwrap(), "hooks.local".parse::<crate::HostPattern>().unwrap().private()],
            ..Grants::default()
        };
        let both = addresses(&["10.0.0.1", "1.1.1.1", "::1"]);
        assert_eq!(allowed(&grants, "api.example", both.clone()).unwrap(), addresses(&["1.1.1.1"]));
        assert_eq!(allowed(&grants, "hooks.local", both.clone()).unwrap(), both);
        let error = allowed(&grants, "api.example", addresses(&["::ffff:169.254.169.254"])).unwrap_err();
        assert_eq!(error.downcast_ref::<PrivateAddress>().unwrap().host, "api.example");
        assert!(allowed(&grants, "api.example", Vec::new()).is_err());
    }
}
