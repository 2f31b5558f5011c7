//! `interface metrics`.

use wasmtime::component::Resource;

use super::Outcome;
use crate::bindings::millrace::plugin::metrics::{Host, HostAlarm, HostCounter, HostGauge, HostHistogram, Labels};
use crate::bindings::millrace::plugin::types::{Entry, Error};
use crate::metrics::{Alarm, By, Counter, Gauge, Histogram, MetricError, Opener};
use crate::state::State;

impl Host for State {}

impl State {
    fn opener(&self) -> Opener<'_> {
        let broadcast = self.purpose().broadcast_life();
        Opener { names: self.names(), life: self.life(), broadcast }
    }
}

fn entries(more: Vec<Entry>) -> Vec<(String, String)> {
    more.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

impl HostCounter for State {
    fn open(&mut self, name: String, by: Labels, more: Vec<Entry>) -> Outcome<Resource<Counter>> {
        let opened = self.plugin.metrics.counter(&self.opener(), &name, by.into(), &entries(more));
        Ok(opened.map_err(Error::from).and_then(|counter| self.push(counter)))
    }

    fn add(&mut self, counter: Resource<Counter>, by: u64) -> wasmtime::Result<()> {
        self.table.get(&counter)?.add(by);
        Ok(())
    }

    fn drop(&mut self, counter: Resource<Counter>) -> wasmtime::Result<()> {
        self.table.delete(counter)?;
        Ok(())
    }
}

impl HostGauge for State {
    fn open(&mut self, name: String, by: Labels, more: Vec<Entry>) -> Outcome<Resource<Gauge>> {
        let opened = self.plugin.metrics.gauge(&self.opener(), &name, by.into(), &entries(more));
        Ok(opened.map_err(Error::from).and_then(|gauge| self.push(gauge)))
    }

    fn set(&mut self, gauge: Resource<Gauge>, value: f64) -> wasmtime::Result<()> {
        self.table.get(&gauge)?.set(value);
        Ok(())
    }

    fn drop(&mut self, gauge: Resource<Gauge>) -> wasmtime::Result<()> {
        self.table.delete(gauge)?;
        Ok(())
    }
}

impl HostHistogram for State {
    fn open(&mut self, name: String, by: Labels, more: Vec<Entry>, buckets: Vec<f64>) -> Outcome<Resource<Histogram>> {
        let opened = self.plugin.metrics.histogram(&self.opener(), &name, by.into(), &entries(more), &buckets);
        Ok(opened.map_err(Error::from).and_then(|histogram| self.push(histogram)))
    }

    fn observe(&mut self, histogram: Resource<Histogram>, value: f64) -> wasmtime::Result<()> {
        self.table.get(&histogram)?.observe(value);
        Ok(())
    }

    fn drop(&mut self, histogram: Resource<Histogram>) -> wasmtime::Result<()> {
        self.table.delete(histogram)?;
        Ok(())
    }
}

impl HostAlarm for State {
    fn open(&mut self, name: String) -> Outcome<Resource<Alarm>> {
        let opened = self.plugin.metrics.alarm(self.names(), &name);
        Ok(opened.map_err(Error::from).and_then(|alarm| self.push(alarm)))
    }

    fn raise(&mut self, alarm: Resource<Alarm>, text: String) -> wasmtime::Result<()> {
        self.table.get(&alarm)?.raise(&text);
        Ok(())
    }

    fn clear(&mut self, alarm: Resource<Alarm>) -> wasmtime::Result<()> {
        self.table.get(&alarm)?.clear();
        Ok(())
    }

    fn drop(&mut self, alarm: Resource<Alarm>) -> wasmtime::Result<()> {
        self.table.delete(alarm)?;
        Ok(())
    }
}

impl From<Labels> for By {
    fn from(labels: Labels) -> Self {
        Self {
            broadcast: labels.contains(Labels::BROADCAST),
            track: labels.contains(Labels::TRACK),
            rendition: labels.contains(Labels::RENDITION),
        }
    }
}

impl From<MetricError> for Error {
    fn from(error: MetricError) -> Self {
        match error {
            MetricError::Invalid(text) => Self::Invalid(text),
            MetricError::TooMany(_) => Self::Overloaded(error.to_string()),
        }
    }
}
