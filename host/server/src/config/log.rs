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

/// Libraries that tell what a client does, so that any client could fill the log, and what of it is told all the same. To
/// `moq-transport` it is an error where a publisher breaks off.
const TALKATIVE: [(&str, &str); 3] = [("moq_net", "error"), ("moq_transport", "off"), ("web_transport_quinn", "error")];

impl LogFilter {
    /// Warnings alone, but for those of refused input: for a command whose own answer that is.
    pub fn of_commands() -> Self {
        Self("warn,millrace_ingest=error".into())
    }

    /// The filter, ready for a subscriber. At `error`, `warn` and `info`, libraries that talk much tell errors at the most, unless they are
    /// named.
    pub fn to_filter(&self) -> EnvFilter {
        let directives = || self.0.split(',').map(str::trim);
        let is_terse = directives().any(|word| matches!(&*word.to_ascii_lowercase(), "info" | "warn" | "error"));
        let is_named = |target: &str| directives().any(|word| word.starts_with(target));
        let quiet = TALKATIVE.iter().filter(|(target, _)| is_terse && !is_named(target));
        EnvFilter::new(quiet.fold(self.0.clone(), |filter, (target, level)| filter + &format!(",{target}={level}")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_could_fill_the_log_with_is_not_told() {
        let filter = |text: &str| LogFilter(text.into()).to_filter().to_string();
        for text in ["info", "WARN", "error", "warn,millrace_plugin=debug"] {
            assert!(filter(text).contains("moq_net=error"), "{text}: {}", filter(text));
            assert!(filter(text).contains("moq_transport=off"), "{text}: {}", filter(text));
        }
        for text in ["debug", "off", "info,moq_net=info", "millrace_moq=debug"] {
            assert!(!filter(text).contains("moq_net=error"), "{text}: {}", filter(text));
        }
    }
}
