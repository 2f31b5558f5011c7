//! What is let in without a credential: clients on this machine, and the server's own pages.
//!
//! A browser on this machine runs pages of others. They reach every port of it, and a name of theirs can be pointed here (DNS rebinding),
//! so that their page is taken for one of this server's. A request has to be addressed to this machine by a name that only this machine
//! can have, and must not come from a page of another origin. Another port of this machine is another origin. Programs that are no
//! browsers send no origin.

use axum::http::{HeaderMap, Uri, header};
use url::{Host, Url};

use crate::config::{Config, HostName};

/// Where the connections of a listener can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine alone.
    Loopback,
    /// Other machines too.
    Network,
}

/// Headers by which a proxy says that it has forwarded a request.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Why a client is not let in without a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    /// Other machines can reach the listener.
    #[error("this address can be reached from other machines")]
    Network,
    /// A proxy has forwarded the request.
    #[error("a proxy has forwarded the request (it has the header `{0}`)")]
    Forwarded(&'static str),
    /// The request is addressed to a name that is not this machine's alone.
    #[error("the request is addressed to {0:?}, expected localhost, 127.0.0.1, [::1] or a name in `names` of [http]")]
    Host(String),
    /// A page of another origin sends the request.
    #[error("a page of another origin sends the request ({0})")]
    Page(String),
}

/// What a request, or a session, says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Caller<'a> {
    /// Each name that it is addressed to, with or without a port. Empty where it names none.
    pub(crate) hosts: Vec<&'a str>,
    /// The origin of the page behind it (RFC 6454, 7).
    pub(crate) origin: Option<&'a str>,
    /// How that page stands to the server (Fetch Metadata, `Sec-Fetch-Site`).
    pub(crate) site: Option<&'a str>,
    /// The header by which a proxy says that it has forwarded it.
    pub(crate) forwarded: Option<&'static str>,
    /// Which ports the server's own pages are on.
    pub(crate) pages: Addressed<'a>,
}

/// Which ports the server's own pages are on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Addressed<'a> {
    /// The port that the request is addressed to.
    Same,
    /// These.
    Ports(&'a [u16]),
}

impl<'a> Caller<'a> {
    /// Who sends a request over HTTP.
    pub(crate) fn of(uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        // Text that is not ASCII is neither a name of this machine nor an origin of its pages.
        let text = |value: &'a header::HeaderValue| value.to_str().unwrap_or("?");
        let authority = uri.authority().map(|authority| authority.as_str());
        Self {
            // `:authority` of HTTP/2 is in the URI. Where a request has both, both are checked.
            hosts: authority.into_iter().chain(headers.get_all(header::HOST).iter().map(text)).collect(),
            origin: headers.get(header::ORIGIN).map(text),
            site: headers.get("sec-fetch-site").map(text),
            forwarded: FORWARDED.into_iter().find(|name| headers.contains_key(*name)),
            pages: Addressed::Same,
        }
    }

    /// Who begins a session of Media over QUIC: `authority` and `origin` are those of its WebTransport request, where there is one.
    pub(crate) fn of_session(authority: Option<&'a str>, origin: Option<&'a str>, pages: &'a [u16]) -> Self {
        let hosts = authority.into_iter().collect();
        Self { hosts, origin, site: None, forwarded: None, pages: Addressed::Ports(pages) }
    }
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Local {
    /// Of the server's own pages: `http`, or `https` where it has a certificate.
    scheme: &'static str,
    names: Vec<HostName>,
}

impl Local {
    /// As the configuration says.
    pub(crate) fn new(config: &Config) -> Self {
        let scheme = if config.http.tls.is_some() { "https" } else { "http" };
        Self { scheme, names: config.http.names.clone() }
    }

    /// Checks that a request comes from this machine, before it reads or changes what is for this machine alone.
    ///
    /// # Errors
    /// Where it does not, or may not.
    pub(crate) fn check_host(&self, caller: &Caller<'_>) -> Result<(), Foreign> {
        if let Some(header) = caller.forwarded {
            return Err(Foreign::Forwarded(header));
        }
        match caller.hosts.iter().find(|host| !self.is_ours(host)) {
            Some(host) => Err(Foreign::Host((*host).to_owned())),
            None => Ok(()),
        }
    }

    /// Checks that a request may change something: it comes from this machine, and no page of another origin is behind it.
    ///
    /// # Errors
    /// Where it may not.
    pub(crate) fn check_change(&self, caller: &Caller<'_>) -> Result<(), Foreign> {
        self.check_host(caller)?;
        match (caller.origin, caller.site) {
            (Some(origin), _) if self.is_own_page(origin, caller) => Ok(()),
            (Some(origin), _) => Err(Foreign::Page(format!("Origin: {origin}"))),
            // The browser itself says that the page is the server's own, or that a user has typed the address.
            (None, None | Some("same-origin" | "none")) => Ok(()),
            (None, Some(site)) => Err(Foreign::Page(format!("Sec-Fetch-Site: {site}"))),
        }
    }

    /// Whether a host, with its port or without, is this machine by a name that only this machine can have.
    fn is_ours(&self, host: &str) -> bool {
        let Some((host, _)) = addressed(host) else { return false };
        match host {
            Host::Ipv4(address) => address.is_loopback() || self.names.iter().any(|name| name.is(&address.to_string())),
            Host::Ipv6(address) => std::net::IpAddr::from(address).to_canonical().is_loopback(),
            Host::Domain(name) => {
                let name = name.trim_end_matches('.');
                // Nobody can have a name below `localhost` but this machine (RFC 6761, 6.3).
                name == "localhost" || name.ends_with(".localhost") || self.names.iter().any(|known| known.is(name))
            }
        }
    }

    /// Whether an origin is that of this server's own pages, by the name that the request is addressed to.
    fn is_own_page(&self, origin: &str, caller: &Caller<'_>) -> bool {
        let Some(origin) = Url::parse(origin).ok().filter(|url| url.scheme() == self.scheme) else { return false };
        let port = origin.port_or_known_default();
        caller.hosts.first().and_then(|host| addressed(host)).is_some_and(|(host, addressed)| {
            let is_port = match caller.pages {
                // The default port is left out.
                Addressed::Same => addressed.or(if self.scheme == "https" { Some(443) } else { Some(80) }) == port,
                Addressed::Ports(ports) => port.is_some_and(|port| ports.contains(&port)),
            };
            is_port && origin.host().is_some_and(|found| found.to_owned() == host)
        })
    }
}

/// The host and the port, where it has one, of an authority without a user (RFC 3986, 3.2); none where it is no such thing.
pub(crate) fn addressed(authority: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    // A user, a path and whatever else a URL may have are no part of a host.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    host.bytes().all(is_plain).then(|| Host::parse(host).ok()).flatten().map(|host| (host, port))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use axum::http::request::Builder;

    use super::*;
    use crate::config::load;

    fn local(variables: &[(&str, &str)]) -> Local {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Local::new(&load(None, variables).unwrap())
    }

    fn change(local: &Local, request: Builder) -> Result<(), Foreign> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        local.check_change(&Caller::of(&parts.uri, &parts.headers))
    }

    fn to(host: &str) -> Builder {
        Request::post("/ingest/live/me/stream.mp4").header("host", host)
    }

    #[test]
    fn a_request_is_addressed_to_this_machine() {
        let local = local(&[("MILLRACE_HTTP_NAMES", "Studio.example,192.0.2.1")]);
        for (host, ours) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("localhost.", true),
            ("studio.localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("studio.EXAMPLE:8080", true),
            ("192.0.2.1:80", true),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:8080", false),
            ("notlocalhost", false),
            ("a.studio.example", false),
            ("192.0.2.7:8080", false),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("[::1].evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("localhost:evil", false),
            ("", false),
        ] {
            let refused = change(&local, to(host)).is_err();
            assert_eq!(refused, !ours, "{host:?}");
        }
        assert_eq!(change(&local, Request::post("/")), Ok(()), "HTTP/1.0 need not say");
    }

    #[test]
    fn a_target_and_a_header_have_to_be_right_both() {
        let local = local(&[]);
        let both = |target: &str, host: &str| change(&local, Request::post(target).header("host", host)).is_ok();
        assert!(both("http://127.0.0.1:8080/x", "127.0.0.1:8080"));
        assert!(!both("http://evil.example/x", "127.0.0.1:8080"));
        assert!(!both("http://127.0.0.1:8080/x", "evil.example"));
        assert!(change(&local, to("localhost").header("host", "evil.example")).is_err(), "two headers");
        assert!(change(&local, Request::post("https://evil.example/x")).is_err(), "as of HTTP/2");
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let local = local(&[]);
        for (name, value, allowed) in [
            ("origin", "http://127.0.0.1:8080", true),
            ("origin", "http://127.0.0.1:9000", false),
            ("origin", "http://127.0.0.1", false),
            ("origin", "https://127.0.0.1:8080", false),
            ("origin", "http://localhost:8080", false),
            ("origin", "https://evil.example", false),
            ("origin", "null", false),
            ("origin", "", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "who knows", false),
        ] {
            let checked = change(&local, to("127.0.0.1:8080").header(name, value));
            assert_eq!(checked.is_ok(), allowed, "{name}: {value}: {checked:?}");
        }
        let both = to("127.0.0.1:8080").header("sec-fetch-site", "same-origin").header("origin", "http://evil.example");
        assert!(change(&local, both).is_err());
        let own = to("127.0.0.1:8080").header("sec-fetch-site", "same-site").header("origin", "http://127.0.0.1:8080");
        assert_eq!(change(&local, own), Ok(()));
        assert_eq!(change(&local, to("localhost").header("origin", "http://localhost")), Ok(()), "the default port");
        assert!(change(&local, to("localhost").header("origin", "https://localhost")).is_err());
        assert!(change(&local, Request::post("/").header("origin", "http://127.0.0.1")).is_err(), "of no host");
        // Reading is harmless: the page is not shown the answer.
        let (parts, ()) = to("127.0.0.1:8080").header("origin", "http://evil.example").body(()).unwrap().into_parts();
        assert_eq!(local.check_host(&Caller::of(&parts.uri, &parts.headers)), Ok(()));
    }

    #[test]
    fn with_a_certificate_pages_are_https() {
        let local =
            local(&[("MILLRACE_HTTP_TLS_CERT", "/nowhere/cert.pem"), ("MILLRACE_HTTP_TLS_KEY", "/nowhere/key.pem")]);
        let from = |origin: &str| change(&local, Request::post("https://localhost:8443/x").header("origin", origin));
        assert_eq!(from("https://localhost:8443"), Ok(()));
        assert!(from("http://localhost:8443").is_err());
        assert!(from("https://localhost").is_err());
    }

    #[test]
    fn what_a_proxy_forwards_comes_from_somewhere_else() {
        for name in FORWARDED {
            let checked = change(&local(&[]), to("127.0.0.1:8080").header(name, "192.0.2.7"));
            assert_eq!(checked, Err(Foreign::Forwarded(name)));
        }
    }

    #[test]
    fn a_session_is_of_the_page_on_an_http_port_of_the_same_name() {
        let local = local(&[]);
        let check = |authority: Option<&str>, origin: Option<&str>| {
            local.check_change(&Caller::of_session(authority, origin, &[8080, 9090])).is_ok()
        };
        assert!(check(None, None), "raw QUIC");
        assert!(check(Some("127.0.0.1:4443"), None), "no browser");
        assert!(check(Some("127.0.0.1:4443"), Some("http://127.0.0.1:8080")));
        assert!(check(Some("localhost:4443"), Some("http://localhost:9090")));
        assert!(!check(Some("localhost:4443"), Some("http://localhost:5173")), "another server's page");
        assert!(!check(Some("localhost:4443"), Some("http://127.0.0.1:8080")));
        assert!(!check(Some("evil.example:4443"), None));
        assert!(!check(Some("evil.example:4443"), Some("http://evil.example:8080")), "DNS rebinding");
        assert!(!check(Some("localhost:4443"), Some("null")));
    }
}
