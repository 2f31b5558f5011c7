//! The configuration: one TOML file, every key with a default, checked as a whole before anything starts.
//!
//! Four layers, each over the one before: the defaults, the file, the environment, the command line. A variable's name is the key's path
//! in capitals with `_` for every dot: `hls.part_target` is `MILLRACE_HLS_PART_TARGET`, and a list is words between commas. No two keys
//! share a variable. Ladders, plugins and relays are set in the file alone.
//!
//! `millrace.example.toml` shows and explains every key.

mod api;
mod fault;
mod form;
mod grants;
mod hls;
mod http;
mod ingest;
mod ladder;
mod log;
mod moq;
mod nearest;
mod overlay;
mod pattern;
mod plugin;
mod reader;
mod rendition;
mod request;
mod section;
mod setting;
mod transcode;
mod unit;
mod window;

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

use millrace_media::BroadcastName;
use toml::de::DeTable;

pub use api::Api;
pub use fault::{ConfigErrors, Excerpt, Fault, Place, Problem};
pub use form::{LadderForm, RenditionForm};
pub use hls::Hls;
pub use http::{HostName, Http, Origin, Tls};
pub use ingest::{Ingest, Token};
pub use ladder::Ladder;
pub use log::{Log, LogFilter, LogFormat};
pub use moq::{Jwt, Moq, Relay, RelayTrust, RelayUrl};
pub use overlay::{ChangeError, Overlay};
pub use pattern::BroadcastPattern;
pub use plugin::{BundledPlugin, Component, OnFault, Plugin, PluginCache, PluginHost, PluginLimits};
pub use rendition::{Audio, Rendition};
pub use request::{ladder_from_json, rendition_from_json};
pub use transcode::{FrameSize, Transcode};
pub use unit::{BitRate, ByteSize, PixelRate};
pub use window::Window;

use reader::{PREFIX, Reader, Source};
use section::Section;

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the server listens.
    pub http: Http,
    /// What is logged, and how.
    pub log: Log,
    /// Who may change ladders, and where the changes are kept.
    pub api: Api,
    /// Who may publish, and how much.
    pub ingest: Ingest,
    /// How much of each track is kept.
    pub window: Window,
    /// How broadcasts are cut for HLS.
    pub hls: Hls,
    /// Media over QUIC, in and out.
    pub moq: Moq,
    /// How much decoding a source may ask for.
    pub transcode: Transcode,
    /// Which renditions broadcasts are offered in. Empty, nothing is transcoded.
    pub ladders: Vec<Ladder>,
    /// The plugins to load.
    pub plugins: Vec<Plugin>,
    /// What runs them.
    pub plugin_host: PluginHost,
}

/// A flag of the command line that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As the user wrote it, `--listen`.
    pub name: &'static str,
    /// The path of the key it sets, `http.listen`.
    pub key: &'static str,
    /// The value, as a variable would have it.
    pub value: String,
}

/// The longest configuration file that is read, bytes.
const MAX_FILE: u64 = 1 << 20;

impl Default for Config {
    fn default() -> Self {
        Self {
            http: Http::default(),
            log: Log::default(),
            api: Api::default(),
            ingest: Ingest::default(),
            window: Window::default(),
            hls: Hls::default(),
            moq: Moq::default(),
            transcode: Transcode::default(),
            ladders: vec![Ladder::default()],
            plugins: Vec::new(),
            plugin_host: PluginHost::default(),
        }
    }
}

impl Config {
    /// The rungs of a broadcast, from the top down: those of the first ladder that is for it.
    pub fn renditions(&self, broadcast: &BroadcastName) -> &[Rendition] {
        self.ladders.iter().find(|ladder| ladder.is_for(broadcast)).map_or(&[], |ladder| &ladder.renditions)
    }

    /// The files that the configuration names: certificates, the key of tokens, authorities, and the components of enabled plugins.
    pub fn files(&self) -> Vec<&Path> {
        let moq = Some(&self.moq).filter(|moq| moq.enabled);
        let tls = self.http.tls.iter().chain(moq.and_then(|moq| moq.tls.as_ref()));
        let tls = tls.flat_map(|tls| [tls.cert.as_path(), tls.key.as_path()]);
        let jwt_key = self.ingest.jwt_key.as_deref();
        let plugins =
            self.plugins.iter().filter(|plugin| plugin.enabled).filter_map(|plugin| match &plugin.component {
                Component::File(path) => Some(path.as_path()),
                Component::Bundled(_) => None,
            });
        tls.chain(jwt_key).chain(self.plugin_host.ca.as_deref()).chain(plugins).collect()
    }

    /// The UDP addresses that Media over QUIC is configured to listen on: none where it is not spoken.
    pub fn moq_listen(&self) -> &[SocketAddr] {
        match &self.moq {
            Moq { enabled: false, .. } => &[],
            Moq { listen: Some(listen), .. } => listen,
            Moq { listen: None, .. } => &self.http.listen,
        }
    }

    fn read(root: &mut Section<'_, '_>) -> Self {
        let config = Self {
            http: root.table("http", Http::read),
            log: root.table("log", Log::read),
            api: root.table("api", Api::read),
            ingest: root.table("ingest", Ingest::read),
            window: root.table("window", Window::read),
            hls: root.table("hls", Hls::read),
            moq: root.table("moq", Moq::read),
            transcode: root.table("transcode", Transcode::read),
            ladders: match Ladder::read_all(root) {
                Some(ladders) => ladders.into_iter().map(|(ladder, _)| ladder).collect(),
                None => vec![Ladder::default()],
            },
            plugins: Plugin::read_all(root),
            plugin_host: root.table("plugin_host", PluginHost::read),
        };
        root.finish();
        config.check_across(root);
        config
    }

    /// What no section can check by itself.
    fn check_across(&self, root: &mut Section<'_, '_>) {
        let is_open = self.ingest.publish_token.is_none() && self.ingest.jwt_key.is_none();
        // A token that is wrong is a problem of its own.
        if is_open && ["publish_token", "jwt_key"].iter().all(|key| root.locate(&["ingest", *key]).is_none()) {
            let moq = self.moq.listen.as_deref().filter(|_| self.moq.enabled);
            for (section, listen) in [("http", Some(&self.http.listen[..])), ("moq", moq)] {
                let Some(open) = listen.and_then(http::first_open) else { continue };
                root.conflict_at(
                    &[section, "listen"],
                    format!(
                        "{open} can be reached from other machines, and neither `ingest.publish_token` nor `ingest.jwt_key` is set"
                    ),
                    "set one of them in [ingest] (or MILLRACE_INGEST_PUBLISH_TOKEN), or listen on a loopback address alone",
                );
            }
        }
        if self.hls.playlist_window > self.window.duration {
            use setting::Bounded;
            let (listed, kept) = (self.hls.playlist_window.show(), self.window.duration.show());
            root.conflict_at(
                &["window", "duration"],
                format!("`window.duration` ({kept}) is shorter than `hls.playlist_window` ({listed}), expected at least as long"),
                "what a playlist lists has to be kept",
            );
        }
    }
}

/// Reads the configuration: the defaults, under the file if there is one, under the variables that start with `MILLRACE_`.
///
/// # Errors
/// All that is wrong: a file that cannot be read or is not TOML, unknown keys and variables, values of the wrong type or out of range,
/// two of what may be there once, keys that do not go together.
pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigErrors> {
    load_with_flags(path, env, &[])
}

/// As [`load`], under the flags of the command line.
///
/// # Errors
/// As [`load`].
pub fn load_with_flags(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Config, ConfigErrors> {
    let text = match path {
        Some(path) => read_file(path)?,
        None => String::new(),
    };
    parse(path, &text, env, flags)
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let problem = |fault, place| ConfigErrors::new(Some(path), vec![Problem { fault, place, help: None }]);
    let unreadable = |error: std::io::Error| problem(Fault::Unreadable(error.to_string()), Place::Whole);
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let length = file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)? as u64;
    if length > MAX_FILE {
        return Err(problem(Fault::TooLong { limit: MAX_FILE }, Place::Whole));
    }
    String::from_utf8(bytes).map_err(|error| {
        let lossy = String::from_utf8_lossy(error.as_bytes());
        let start = error.utf8_error().valid_up_to();
        problem(Fault::Encoding, Place::File(Excerpt::of(&lossy, start..start + 1)))
    })
}

fn parse(
    path: Option<&Path>,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Config, ConfigErrors> {
    // An editor's byte order mark would be taken for a key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = parse_toml(path, text)?;
    let variables = env
        .filter(|(name, _)| name.starts_with(PREFIX) && !is_foreign(name))
        .map(|(name, value)| (name.clone(), Place::Variable(name), value));
    let flags = flags.iter().map(|flag| (reader::variable(flag.key), Place::Flag(flag.name), flag.value.clone()));
    let mut reader = Reader::new(text, Source::File(path), variables.chain(flags));
    let config = Config::read(&mut reader.root(table.get_ref()));
    let (problems, _) = reader.finish();
    if problems.is_empty() { Ok(config) } else { Err(ConfigErrors::new(path, problems)) }
}

fn parse_toml<'d>(path: Option<&Path>, text: &'d str) -> Result<toml::Spanned<DeTable<'d>>, ConfigErrors> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table);
    }
    let problems = errors.iter().map(|error| Problem {
        fault: Fault::Syntax(error.message().to_owned()),
        place: error.span().map_or(Place::Whole, |span| Place::File(Excerpt::of(text, span))),
        help: None,
    });
    Err(ConfigErrors::new(path, problems.collect()))
}

/// Variables that start like ours and are not keys: the command line's own, and those that Kubernetes sets in every container beside a
/// service called `millrace`.
fn is_foreign(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    rest == "CONFIG" || rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::keys;
