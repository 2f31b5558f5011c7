//! `[http]`: where the server listens, and what its connections may take.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::fault::{Fault, Place};
use super::section::Section;
use super::setting::{Refusal, Setting};

/// Where the server listens, and who may read from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Addresses to listen on: at least one, and no two of them in each other's way.
    pub listen: Vec<SocketAddr>,
    /// With a certificate every listener speaks TLS, and HTTP/2 where the client asks for it.
    pub tls: Option<Tls>,
    /// Origins whose pages may read (CORS): `*` for all. They may change nothing.
    pub cors_origins: Vec<Origin>,
    /// A response ends when its client has taken no byte of it for this long.
    pub patience: Duration,
    /// Connections at once, over all listeners. 0: no limit.
    pub max_connections: usize,
    /// Connections at once from one address: one IPv4 address, or one /64 of IPv6. Loopback is exempt. 0: no limit.
    pub max_connections_per_address: usize,
    /// Names of this machine by which clients on it may publish and use the API without a token, besides `localhost` and loopback addresses.
    pub names: Vec<HostName>,
}

const PATIENCES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
const CONNECTIONS: RangeInclusive<usize> = 0..=1_000_000;

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the certificate chain, the server's own first.
    pub cert: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

/// A web origin, `https://player.example`, or `*` for any (Fetch, 3.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Every origin.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Whether it stands for every origin.
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// As it stands in an `Origin` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Setting for Origin {
    const EXPECTED: &'static str = "\"*\" or an origin without a path, such as \"https://player.example\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_host =
            |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        if text == "*" || host.is_some_and(is_host) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(Refusal::Value(None))
        }
    }
}

/// The name of a host, or its IPv4 address, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// Whether it is this one, whatever the case.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }
}

impl Setting for HostName {
    const EXPECTED: &'static str = "the name of a host without a port, such as \"studio.example\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let right = text.len() <= 253 && text.split('.').all(is_label);
        if right { Ok(Self(text.to_ascii_lowercase())) } else { Err(Refusal::Value(None)) }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080)],
            tls: None,
            cors_origins: vec![Origin::any()],
            patience: Duration::from_secs(30),
            max_connections: 10_000,
            max_connections_per_address: 1000,
            names: Vec::new(),
        }
    }
}

impl Http {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            listen: listeners(section).unwrap_or(default.listen),
            tls: section.optional_table("tls", Tls::read),
            cors_origins: match section.list("cors_origins") {
                Some(origins) => origins.into_iter().map(|(origin, _)| origin).collect(),
                None => default.cors_origins,
            },
            patience: section.within("patience", default.patience, PATIENCES),
            max_connections: section.within("max_connections", default.max_connections, CONNECTIONS),
            max_connections_per_address: section.within(
                "max_connections_per_address",
                default.max_connections_per_address,
                CONNECTIONS,
            ),
            names: match section.list("names") {
                Some(names) => names.into_iter().map(|(name, _)| name).collect(),
                None => default.names,
            },
        }
    }
}

impl Tls {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self { cert: section.required_path("cert"), key: section.required_path("key") }
    }
}

/// The first of some addresses that other machines can reach.
pub(super) fn first_open(listen: &[SocketAddr]) -> Option<SocketAddr> {
    listen.iter().find(|address| !address.ip().to_canonical().is_loopback()).copied()
}

/// The addresses under `listen`, where there are any.
pub(super) fn listeners(section: &mut Section<'_, '_>) -> Option<Vec<SocketAddr>> {
    let given: Vec<(SocketAddr, Place)> = section.list("listen")?;
    if given.is_empty() {
        section.refuse("listen", "at least one address".into(), false);
    }
    for (i, (address, place)) in given.iter().enumerate() {
        if let Some((other, first)) = given[..i].iter().find(|(other, _)| overlap(*address, *other)) {
            let first = if other == address { first.in_words() } else { format!("{other} ({})", first.in_words()) };
            let fault = Fault::Duplicate { what: "the address", value: address.to_string(), first };
            section.problem(fault, place.clone());
        }
    }
    Some(given.into_iter().map(|(address, _)| address).collect())
}

/// Whether the second of two listeners would find its port taken. Port 0 takes any free one. `[::]` also takes IPv4's, as it does by
/// default on Linux.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |whole: IpAddr, part: IpAddr| whole.is_unspecified() && (whole.is_ipv6() || part.is_ipv4());
    let (a_ip, b_ip) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() != 0 && a.port() == b.port() && (a_ip == b_ip || covers(a_ip, b_ip) || covers(b_ip, a_ip))
}
