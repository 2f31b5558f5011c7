//! `interface host`: the log and the metrics.

use std::time::Instant;

use metrics::{Counter, Gauge};
use tracing::{debug, error, info, warn};
use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::host::{Host, HostCounter, HostGauge, Level};
use crate::rate::Allowance;
use crate::state::State;
use crate::text::tidy;

/// A plugin's counter.
pub struct CounterHandle(Counter);

/// One instance's part in a plugin's gauge. Taken out again when dropped.
pub struct GaugeHandle {
    gauge: Gauge,
    part: f64,
}

impl Drop for GaugeHandle {
    fn drop(&mut self) {
        self.gauge.decrement(self.part);
    }
}

/// Lets so many lines through, and counts the others.
#[derive(Debug)]
pub(crate) struct LogLine {
    allowance: Allowance,
    left_out: u64,
}

impl LogLine {
    pub(crate) fn new(per_second: u64, burst: u64) -> Self {
        Self { allowance: Allowance::new(per_second, burst), left_out: 0 }
    }

    /// The line as it is to be written, or none where it is left out.
    fn pass(&mut self, message: &str, now: Instant) -> Option<String> {
        if !self.allowance.try_take(now) {
            self.left_out += 1;
            return None;
        }
        let mut line = tidy(message);
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            line.push_str(&format!(" ({left_out} lines before this one were left out)"));
        }
        Some(line)
    }
}

impl Host for State {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.off_clock(|state| {
            let Some(line) = state.log.pass(&message, Instant::now()) else { return };
            let plugin = state.plugin.name.as_str();
            let context = state.context();
            let broadcast = context.map(|context| context.broadcast.as_str());
            let track = context.map(|context| context.track.as_str());
            let rendition = context.and_then(|context| context.rendition.as_ref()).map(|rendition| &*rendition.name);
            match level {
                Level::Error => error!(plugin, broadcast, track, rendition, "{line}"),
                Level::Warn => warn!(plugin, broadcast, track, rendition, "{line}"),
                Level::Info => info!(plugin, broadcast, track, rendition, "{line}"),
                Level::Debug => debug!(plugin, broadcast, track, rendition, "{line}"),
            }
        });
        Ok(())
    }
}

impl HostCounter for State {
    fn open(&mut self, name: String) -> Outcome<Resource<CounterHandle>> {
        let counter = self.plugin.metrics.counter(&name);
        Ok(counter.and_then(|counter| self.push(CounterHandle(counter))))
    }

    fn add(&mut self, counter: Resource<CounterHandle>, by: u64) -> wasmtime::Result<()> {
        self.table.get(&counter)?.0.increment(by);
        Ok(())
    }

    fn drop(&mut self, counter: Resource<CounterHandle>) -> wasmtime::Result<()> {
        self.table.delete(counter)?;
        Ok(())
    }
}

impl HostGauge for State {
    fn open(&mut self, name: String) -> Outcome<Resource<GaugeHandle>> {
        let gauge = self.plugin.metrics.gauge(&name);
        Ok(gauge.and_then(|gauge| self.push(GaugeHandle { gauge, part: 0.0 })))
    }

    fn set(&mut self, gauge: Resource<GaugeHandle>, value: f64) -> wasmtime::Result<()> {
        let handle = self.table.get_mut(&gauge)?;
        if value.is_finite() {
            handle.gauge.increment(value - handle.part);
            handle.part = value;
        }
        Ok(())
    }

    fn drop(&mut self, gauge: Resource<GaugeHandle>) -> wasmtime::Result<()> {
        self.table.delete(gauge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_lines_is_counted_and_not_written() {
        let start = Instant::now();
        let mut log = LogLine::new(10, 20);
        let written = (0..1000).filter(|_| log.pass("again", start).is_some()).count();
        assert_eq!(written, 20);
        let next = log.pass("again", start + Duration::from_millis(100)).unwrap();
        assert_eq!(next, "again (980 lines before this one were left out)");
    }
}
