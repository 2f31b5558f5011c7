//! The hosts of the grant `http`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// Which host HTTP requests may go to.
///
/// Written as `[SCHEME://]HOST[:PORT]`: a name (`api.example`), every name below one (`*.api.example`), or an IP address
/// (`192.0.2.1`, `[2001:db8::1]`). Without a scheme it is `https`; plain HTTP is granted by `http://HOST` alone. Without a port it is the
/// scheme's. A name may only lead to addresses of the public Internet unless it is marked as [private](Self::private); an IP address is
/// its own mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Scheme,
    name: Name,
    port: u16,
    private: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Https,
    Http,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// This one.
    Exact(String),
    /// All below this one, at any depth.
    Below(String),
    /// An IPv4 address written in IPv6 is that IPv4 address.
    Address(IpAddr),
}

/// Why a text does not name a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given:?} does not name a host: {reason} (expected [http:// or https://]HOST[:PORT], such as \"api.example\", \"*.api.example\" or \"http://192.0.2.1:8080\")"
)]
pub struct HostPatternError {
    given: String,
    reason: &'static str,
}

/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 300;

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl HostPattern {
    /// The same host, which may be at a loopback, private, link-local or other address that is not of the public Internet.
    #[must_use]
    pub fn private(self) -> Self {
        Self { private: true, ..self }
    }

    /// Whether the host may be at an address that is not of the public Internet.
    pub fn is_private(&self) -> bool {
        self.private || matches!(self.name, Name::Address(_))
    }

    /// Whether it is the scheme, the host and the port of this URL.
    pub(crate) fn matches(&self, url: &Url) -> bool {
        if url.scheme() != self.scheme.as_str() || url.port_or_known_default() != Some(self.port) {
            return false;
        }
        match (&self.name, url.host()) {
            (Name::Address(address), Some(Host::Ipv4(given))) => *address == IpAddr::V4(given),
            (Name::Address(address), Some(Host::Ipv6(given))) => *address == IpAddr::V6(given).to_canonical(),
            (_, Some(Host::Domain(given))) => self.matches_name(given),
            _ => false,
        }
    }

    /// Whether it is this name, whatever the scheme and the port.
    pub(crate) fn matches_name(&self, given: &str) -> bool {
        match &self.name {
            Name::Exact(name) => name.eq_ignore_ascii_case(given),
            Name::Below(name) => {
                let start = given.len().checked_sub(name.len() + 1);
                let below = start.filter(|start| *start > 0).and_then(|start| given.get(start..));
                below.and_then(|below| below.strip_prefix('.')).is_some_and(|below| name.eq_ignore_ascii_case(below))
            }
            Name::Address(_) => false,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| HostPatternError { given: text.chars().take(MAX_TEXT).collect(), reason };
        if text.len() > MAX_TEXT {
            return Err(wrong("it is too long"));
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Https, text),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(_) => return Err(wrong("its scheme is neither http nor https")),
        };
        if rest.contains(['/', '\\', '?', '#', '@']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong("there is more in it than a host and a port"));
        }
        let (below, host) = match rest.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, rest),
        };
        if host.contains('*') {
            return Err(wrong("`*` may only stand for what comes before the first dot"));
        }
        if host.ends_with(':') {
            return Err(wrong("its port is missing"));
        }
        let url = Url::parse(&format!("{}://{host}/", scheme.as_str())).map_err(|_| wrong("it cannot be read"))?;
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or_else(|| wrong("its port is 0"))?;
        let name = match url.host().ok_or_else(|| wrong("there is no host in it"))? {
            Host::Domain(name) if name.ends_with('.') => return Err(wrong("it ends with a dot")),
            Host::Domain(name) if below && !name.contains('.') => {
                return Err(wrong("`*` has to stand before two labels or more"));
            }
            Host::Domain(name) if below => Name::Below(name.to_owned()),
            Host::Domain(name) => Name::Exact(name.to_owned()),
            _ if below => return Err(wrong("`*` cannot stand before an IP address")),
            Host::Ipv4(address) => Name::Address(address.into()),
            Host::Ipv6(address) => Name::Address(IpAddr::V6(address).to_canonical()),
        };
        Ok(Self { scheme, name, port, private: false })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Http {
            f.write_str("http://")?;
        }
        match &self.name {
            Name::Exact(name) => f.write_str(name)?,
            Name::Below(name) => write!(f, "*.{name}")?,
            Name::Address(IpAddr::V4(address)) => write!(f, "{address}")?,
            Name::Address(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        if self.port == self.scheme.port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn matches(text: &str, url: &str) -> bool {
        pattern(text).matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_name_is_that_name_over_https_on_its_port() {
        for url in ["https://api.example/", "https://API.example:443/a?b#c", "https://api.example"] {
            assert!(matches("api.example", url), "{url}");
        }
        for url in [
            "http://api.example/",
            "https://api.example:8443/",
            "https://api.example.evil/",
            "https://evil-api.example/",
            "https://a.api.example/",
            "https://api.example./",
            "https://api.example@evil/",
            "wss://api.example/",
        ] {
            assert!(!matches("api.example", url), "{url}");
        }
        assert!(matches("api.example:8443", "https://api.example:8443/"));
        assert!(!matches("api.example:8443", "https://api.example/"));
    }

    #[test]
    fn plain_http_is_granted_where_it_is_written() {
        assert!(matches("http://api.example", "http://api.example/"));
        assert!(!matches("http://api.example", "https://api.example/"));
        assert!(!matches("http://api.example", "http://api.example:8080/"));
        assert!(matches("http://api.example:8080", "http://api.example:8080/"));
    }

    #[test]
    fn a_star_is_every_name_below() {
        assert!(matches("*.api.example", "https://a.api.example/"));
        assert!(matches("*.api.example", "https://a.b.api.example/"));
        for url in ["https://api.example/", "https://xapi.example/", "https://.api.example/", "https://192.0.2.1/"] {
            assert!(!Url::parse(url).is_ok_and(|url| pattern("*.api.example").matches(&url)), "{url}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_every_notation() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(matches("http://127.0.0.1", url), "{url}");
            assert!(!matches("http://localhost", url), "{url}");
        }
        assert!(matches("http://2130706433", "http://127.0.0.1/"));
        assert!(matches("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]/"));
        assert!(matches("http://[::ffff:7f00:1]", "http://127.0.0.1/"));
        assert!(pattern("127.0.0.1").is_private() && !pattern("api.example").is_private());
        assert!(pattern("api.example").private().is_private());
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in [
            "api.example",
            "*.api.example:8443",
            "http://api.example",
            "http://[::1]:8080",
            "127.0.0.1",
            "[2001:db8::1]",
        ] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("https://BÜCHER.example:443").to_string(), "xn--bcher-kva.example");
        assert_eq!(pattern("0x7f.1").to_string(), "127.0.0.1");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            "*.com",
            "a.*.example",
            "*.*.example",
            "**.example",
            "*.127.0.0.1",
            "api.example/",
            "api.example/path",
            "https://api.example?x",
            "user@api.example",
            "ftp://api.example",
            "api.example:",
            "api.example:0",
            "api.example:65536",
            "api.example.",
            "api example",
            "http://",
            "999.1.1.1",
            "[::1",
            "[fe80::1%eth0]",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?} was taken");
        }
        assert!("a".repeat(400).parse::<HostPattern>().unwrap_err().to_string().len() < 600);
    }
}
