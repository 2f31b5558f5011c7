//! `[log]`: what is logged, and how.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::section::Section;
use super::setting::{Refusal, Setting, words};

/// What is logged, and how. Logs go to the standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// From which level on, as a whole and for single parts.
    pub level: LogFilter,
    /// For people or for machines.
    pub format: LogFormat,
}

/// A filter of `tracing-subscriber`: a level, or levels for targets, `info,millrace_plugin=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter, ready for a subscriber.
    pub fn to_filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".into())
    }
}

impl Setting for LogFilter {
    const EXPECTED: &'static str =
        "error, warn, info, debug, trace or off, or such levels by target, \"info,millrace_plugin=debug\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        // A word alone is taken by the filter for a target's name, so that "inof" would silence everything.
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        let directives = || text.split(',').map(str::trim);
        let right = directives().all(|word| is_level(word) || word.contains('=')) && EnvFilter::try_new(text).is_ok();
        if right { Ok(Self(text.into())) } else { Err(Refusal::Value(None)) }
    }
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

words!(LogFormat, "\"text\" or \"json\"", "text" => Text, "json" => Json);

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self { level: section.value("level", default.level), format: section.value("format", default.format) }
    }
}
