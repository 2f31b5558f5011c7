//! Who asks: what a client has shown with its request, or at the beginning of its session.

use std::fmt;
use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, Uri};
use sha2::{Digest as _, Sha256};

/// The most that is kept of a client, in bytes: its query and headers. More than any browser sends.
pub const MAX_CLIENT: usize = 8 << 10;

/// A client: its protocol, its address, and the query and headers of its request. Values are copies, so that nothing of a
/// connection's memory is held.
pub struct Client {
    protocol: &'static str,
    address: IpAddr,
    /// Without the question mark, still encoded.
    query: Box<str>,
    /// Names in small letters.
    headers: Box<[(Box<str>, Box<str>)]>,
    /// Of all that it shows.
    fingerprint: [u8; 32],
}

/// A client shows more than is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query and the headers have {0} bytes where at most {MAX_CLIENT} are allowed")]
pub struct TooLong(pub usize);

impl Client {
    /// A client of `protocol` (`http`, `hls`, `moq`).
    ///
    /// # Errors
    /// Where query and headers are longer than [`MAX_CLIENT`].
    pub fn new<'a>(
        protocol: &'static str,
        address: IpAddr,
        query: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, TooLong> {
        let mut length = query.len();
        let mut kept: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in headers {
            length = length.saturating_add(name.len()).saturating_add(value.len());
            if length <= MAX_CLIENT {
                kept.push((name.to_ascii_lowercase().into(), value.into()));
            }
        }
        if length > MAX_CLIENT {
            return Err(TooLong(length));
        }
        let mut shown = Sha256::new();
        let texts = kept.iter().flat_map(|(name, value)| [name.as_ref(), value.as_ref()]);
        for text in std::iter::once(query).chain(texts) {
            shown.update((text.len() as u64).to_le_bytes());
            shown.update(text);
        }
        let fingerprint = shown.finalize().into();
        Ok(Self { protocol, address: address.to_canonical(), query: query.into(), headers: kept.into(), fingerprint })
    }

    /// Who sends a request over HTTP. The host that it is addressed to counts as its header `host`, also with HTTP/2. Headers that are no
    /// text are left out.
    ///
    /// # Errors
    /// As of [`Client::new`].
    pub fn of_request(
        protocol: &'static str,
        address: IpAddr,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Self, TooLong> {
        let authority =
            uri.authority().filter(|_| !headers.contains_key(HOST)).map(|authority| ("host", authority.as_str()));
        let shown = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        Self::new(protocol, address, uri.query().unwrap_or_default(), authority.into_iter().chain(shown))
    }

    /// The protocol: `http`, `hls` or `moq`.
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// The address that it comes from, without a port.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The first value of a key of the query, decoded.
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    }

    /// The first value of a header, whose name is in small letters.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(known, _)| known.as_ref() == name).map(|(_, value)| value.to_string())
    }

    /// Tells it from clients that show anything else.
    pub(super) const fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }
}

impl fmt::Debug for Client {
    /// Without what it shows: that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("protocol", &self.protocol)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
