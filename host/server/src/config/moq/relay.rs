//! `[[moq.relay]]`: relays that broadcasts are announced to.

use std::fmt;

use millrace_moq::certificate::{self, Hash};
use url::Url;

use crate::config::fault::{Fault, Place};
use crate::config::section::{Element, Section};
use crate::config::setting::{Refusal, Setting};

/// The most relays.
const MAX_RELAYS: usize = 32;
const EXPECTED: &str = "tables, each under `[[moq.relay]]`";

/// A relay that broadcasts are announced to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Where it is; no two have one.
    pub url: RelayUrl,
    /// What it is shown, as `?jwt=`.
    pub jwt: Option<Jwt>,
    /// Whether it is the one it says it is.
    pub trust: RelayTrust,
}

/// By what a relay is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayTrust {
    /// The system's authorities vouch for its certificate.
    System,
    /// Its certificate has one of these hashes (SHA-256).
    Hashes(Vec<Hash>),
    /// It is not asked.
    Anyone,
}

/// Where a relay is: `https://…` (WebTransport) or `moqt://…` (QUIC). Its query may be a secret, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayUrl(Url);

impl RelayUrl {
    /// The whole of it, its query included.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_query(None);
        shown.fmt(f)
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Setting for RelayUrl {
    const EXPECTED: &'static str =
        "https://HOST[:PORT]/[PATH] or moqt://HOST[:PORT]/[PATH], such as \"https://relay.example/live\"";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let url = Url::parse(text).map_err(|_| Refusal::Value(None))?;
        let is_known = matches!(url.scheme(), "https" | "moqt");
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if is_known && has_host && is_plain { Ok(Self(url)) } else { Err(Refusal::Value(None)) }
    }
}

/// A JSON Web Token, or another that a relay understands. Its debug form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Jwt(String);

impl Jwt {
    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt(…)")
    }
}

impl Setting for Jwt {
    const EXPECTED: &'static str = "up to 8192 characters of visible ASCII, none of them a space";
    const SECRET: bool = true;

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let right = (1..=8192).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if right { Ok(Self(text.into())) } else { Err(Refusal::Value(None)) }
    }
}

/// The hash of a certificate.
struct CertificateHash(Hash);

impl Setting for CertificateHash {
    const EXPECTED: &'static str = "the SHA-256 of a certificate: 64 hexadecimal digits";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        certificate::from_hex(text).map(Self).ok_or(Refusal::Value(None))
    }
}

impl Relay {
    pub(super) fn read_all(section: &mut Section<'_, '_>) -> Vec<Self> {
        let relays = section.elements("relay", EXPECTED, |element| match element {
            Element::Name(_) => {
                Err(Fault::WrongType { key: "relay".into(), found: "a string", expected: EXPECTED.into() })
            }
            Element::Table(mut section) => {
                let relay = Self::read(&mut section);
                // Its line may hold a secret.
                let place = section.place_of("url").hidden();
                section.finish();
                Ok((relay, place))
            }
        });
        // Without its URL, which is reported, there is nothing to be said of a relay.
        let known = relays.unwrap_or_default().into_iter().filter_map(|((relay, place), _)| Some((relay?, place)));
        let relays: Vec<(Self, Place)> = known.collect();
        if relays.len() > MAX_RELAYS {
            section.conflict("relay", format!("there are {} relays, expected at most {MAX_RELAYS}", relays.len()));
        }
        for (i, (relay, place)) in relays.iter().enumerate() {
            if let Some((_, first)) = relays[..i].iter().find(|(other, _)| other.url == relay.url) {
                let (value, first) = (format!("`{}`", relay.url), first.in_words());
                section.problem(Fault::Duplicate { what: "the relay", value, first }, place.clone());
            }
        }
        relays.into_iter().map(|(relay, _)| relay).collect()
    }

    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        if !section.has("url") {
            section.missing("`url`");
        }
        let url = section.optional("url");
        let jwt: Option<Jwt> = section.optional("jwt");
        let hashes = section.list::<CertificateHash>("certificate_hashes");
        let insecure = section.value("insecure", false);
        if insecure && hashes.is_some() {
            let sentence =
                "`insecure` trusts every certificate, and `certificate_hashes` says which: expected one of them";
            section.conflict("insecure", sentence.into());
        }
        let trust = match hashes {
            _ if insecure => RelayTrust::Anyone,
            Some(hashes) => RelayTrust::Hashes(hashes.into_iter().map(|(hash, _)| hash.0).collect()),
            None => RelayTrust::System,
        };
        let url: RelayUrl = url?;
        if jwt.is_some() && url.expose().query_pairs().any(|(name, _)| name == "jwt") {
            let place = section.place_of("jwt").hidden();
            section.problem(Fault::Conflict("`jwt` stands in `url` already, expected it once".into()), place);
        }
        Some(Self { url, jwt, trust })
    }
}
