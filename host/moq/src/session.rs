//! A session that has been set up.

use std::fmt;
use std::net::SocketAddr;

use moq_transport::session as ietf;
use web_transport_quinn::{SessionError, WebTransportError};

use crate::negotiate::Protocol;

/// What a client asked for: the path and the query of its URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// Without slashes at either end; empty for the root, and where the client named none.
    pub path: String,
    /// Without the question mark.
    pub query: Option<String>,
}

impl Address {
    pub(crate) fn of(url: &url::Url) -> Self {
        Self { path: url.path().trim_matches('/').to_owned(), query: url.query().map(str::to_owned) }
    }

    /// Reads what stands in a session's SETUP: a path, and perhaps a query behind it.
    pub fn parse(path_and_query: &str) -> Self {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path_and_query, None),
        };
        Self { path: path.trim_matches('/').to_owned(), query }
    }

    /// The value of a key of the query, percent-decoded.
    pub fn parameter(&self, key: &str) -> Option<String> {
        let query = self.query.as_deref()?;
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    }
}

/// A session of Media over QUIC.
pub struct Session {
    /// The other side.
    pub remote: SocketAddr,
    /// What the client asked for.
    pub address: Address,
    /// What is spoken.
    pub protocol: Protocol,
    /// Host and port that a WebTransport request is addressed to (`:authority`); none over raw QUIC.
    pub authority: Option<String>,
    /// The origin of the page that a browser says is behind it (RFC 6454, 7); none of a client that is no browser.
    pub origin: Option<String>,
    /// Who speaks it.
    pub stack: Stack,
    pub(crate) transport: web_transport_quinn::Session,
}

/// UNAUTHORIZED and PROTOCOL_VIOLATION, of the codes that end a session (draft-ietf-moq-transport-18, 3.6).
const UNAUTHORIZED: u32 = 0x2;
const PROTOCOL_VIOLATION: u32 = 0x3;

impl Session {
    /// Ends it before anything is said in it, because the other side may not have it.
    pub fn refuse(self, reason: &str) {
        self.transport.close(UNAUTHORIZED, reason.as_bytes());
    }

    /// What tells, once it has ended, whether the other side has refused it: UNAUTHORIZED.
    pub fn refusal(&self) -> impl Fn() -> bool + Send + use<> {
        let transport = self.transport.clone();
        move || match transport.close_reason() {
            Some(SessionError::WebTransportError(WebTransportError::Closed(code, _))) => code == UNAUTHORIZED,
            // As raw QUIC has it.
            Some(SessionError::ConnectionError(quinn::ConnectionError::ApplicationClosed(close))) => {
                close.error_code == UNAUTHORIZED.into()
            }
            _ => false,
        }
    }

    /// What ends it once it is under way, because the other side does what it may not.
    pub fn ender(&self) -> impl FnOnce(&str) + Send + use<> {
        let transport = self.transport.clone();
        move |reason| transport.close(PROTOCOL_VIOLATION, reason.as_bytes())
    }
}

/// The stack that speaks in a session.
pub enum Stack {
    /// `moq-transport`: the session, which has to be run, and its two roles.
    Transport {
        /// Does the work; ends with the session.
        session: Box<ietf::Session>,
        /// Answers subscriptions, and announces.
        publisher: ietf::Publisher,
        /// Hears of what is published, and subscribes to it.
        subscriber: ietf::Subscriber,
    },
    /// `moq-net`: a connection on which its `Server` accepts, or its `Client` connects.
    Net(web_transport_quinn::Session),
}

/// An address as people know it: of IPv4, also where it came by a socket of IPv6 (RFC 4291, 2.5.5.2).
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("remote", &self.remote)
            .field("address", &self.address)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_and_a_query() {
        let address = Address::of(&"https://example.com:4443/live/me/?x=1&token=s3cret%2F%2b".parse().unwrap());
        assert_eq!(address.path, "live/me");
        assert_eq!(address.parameter("token").as_deref(), Some("s3cret/+"));
        assert_eq!(address.parameter("jwt"), None);
        assert_eq!(Address::of(&"https://example.com".parse().unwrap()), Address::default());
        assert_eq!(Address::parse("/live/me/?x=1&token=s3cret%2F%2b"), address);
        assert_eq!(Address::parse("/"), Address::default());
    }
}
