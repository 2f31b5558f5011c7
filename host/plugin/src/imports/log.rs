//! `interface log`.

use std::time::Instant;

use tracing::{debug, error, info, warn};

use crate::bindings::millrace::plugin::log::{Host, Level};
use crate::rate::Allowance;
use crate::state::State;
use crate::text::tidy;

/// Lets so many lines through, and counts the others.
#[derive(Debug)]
pub(crate) struct LogLines {
    allowance: Allowance,
    dropped: u64,
}

impl LogLines {
    /// So many lines a second, and twice as many at once.
    pub(crate) fn new(per_second: u64) -> Self {
        Self { allowance: Allowance::new(per_second, per_second.saturating_mul(2)), dropped: 0 }
    }

    /// How many lines may be written now.
    pub(crate) fn room(&mut self, now: Instant) -> usize {
        self.allowance.room(now)
    }

    /// So many lines were not even looked at.
    pub(crate) fn dropped(&mut self, lines: u64) {
        self.dropped += lines;
    }

    /// The line as it is to be written, or none where it is dropped.
    fn pass(&mut self, message: &str, now: Instant) -> Option<String> {
        if !self.allowance.try_take(now) {
            self.dropped += 1;
            return None;
        }
        let mut line = tidy(message);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            line.push_str(&format!(" ({dropped} lines before this one were dropped)"));
        }
        Some(line)
    }
}

impl Host for State {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.log_line(level, &message);
        Ok(())
    }
}

impl State {
    /// Writes a line for the plugin.
    pub(crate) fn log_line(&mut self, level: Level, message: &str) {
        let Some(line) = self.log.pass(message, Instant::now()) else { return };
        let plugin = self.plugin.name.as_str();
        let names = self.names();
        let broadcast = names.broadcast.as_ref().map(|name| name.as_str());
        let track = names.track.as_ref().map(|name| name.as_str());
        let rendition = names.rendition.as_deref();
        let hook = self.hook();
        match level {
            Level::Error => error!(plugin, hook, broadcast, track, rendition, "{line}"),
            Level::Warn => warn!(plugin, hook, broadcast, track, rendition, "{line}"),
            Level::Info => info!(plugin, hook, broadcast, track, rendition, "{line}"),
            Level::Debug => debug!(plugin, hook, broadcast, track, rendition, "{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_lines_is_counted_and_not_written() {
        let start = Instant::now();
        let mut log = LogLines::new(10);
        let written = (0..1000).filter(|_| log.pass("again", start).is_some()).count();
        assert_eq!(written, 20);
        let next = log.pass("again", start + Duration::from_millis(100)).unwrap();
        assert_eq!(next, "again (980 lines before this one were dropped)");
    }
}
