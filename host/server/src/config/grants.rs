//! `grants` of `[[plugin]]`: what a plugin may reach beyond its own media.

use millrace_plugin::{Grants, HostPattern, MAX_STORE};

use super::fault::Fault;
use super::section::{Element, Section};
use super::setting::{Refusal, Setting};
use super::unit::ByteSize;

/// The most hosts of one plugin.
const MAX_HOSTS: usize = 64;
/// The smallest store that is of any use.
const MIN_STORE: ByteSize = ByteSize::new(1 << 10);

impl Setting for HostPattern {
    const EXPECTED: &'static str =
        "[http:// or https://]HOST[:PORT], such as \"api.example\", \"*.api.example\" or \"http://192.0.2.1:8080\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Value(None))
    }
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Grants {
    Grants {
        http: hosts(section),
        timers: section.value("timers", false),
        clock: section.value("clock", false),
        random: section.value("random", false),
        store: section.optional_within("store", MIN_STORE..=ByteSize::new(MAX_STORE)).map(ByteSize::get),
    }
}

/// Hosts, as text or as tables.
fn hosts(section: &mut Section<'_, '_>) -> Vec<HostPattern> {
    const EXPECTED: &str = "a list of hosts, such as [\"api.example\", { host = \"hooks.local\", private = true }]";
    let hosts = section.elements("http", EXPECTED, |element| match element {
        Element::Name(text) => HostPattern::from_text(text).map(Some).map_err(|_| Fault::Invalid {
            key: "http".into(),
            given: format!("{text:?}"),
            expected: HostPattern::EXPECTED.into(),
        }),
        Element::Table(mut section) => {
            if !section.has("host") {
                section.missing("`host`");
            }
            let host: Option<HostPattern> = section.optional("host");
            let private = section.value("private", false);
            section.finish();
            Ok(host.map(|host| if private { host.private() } else { host }))
        }
    });
    let hosts: Vec<_> = hosts.unwrap_or_default().into_iter().filter_map(|(host, _)| host).collect();
    if hosts.len() > MAX_HOSTS {
        section.conflict("http", format!("there are {} hosts, expected at most {MAX_HOSTS}", hosts.len()));
    }
    hosts
}
