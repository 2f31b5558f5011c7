//! What plugins hold.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::series::{Series, Value};
use super::{Names, RaisedAlarm};
use crate::text::tidy;

/// A plugin's counter.
#[derive(Debug)]
pub struct Counter(pub(super) Arc<Series>);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.add(by);
    }
}

/// One handle's part in a gauge. It leaves the sum when it is dropped.
#[derive(Debug)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub(super) fn new(series: &Series) -> Self {
        let part = Arc::new(AtomicU64::new(f64::NAN.to_bits()));
        if let Value::Gauge(parts) = &series.value {
            let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
            parts.retain(|part| part.strong_count() > 0);
            parts.push(Arc::downgrade(&part));
        }
        Self(part)
    }

    pub(crate) fn set(&self, value: f64) {
        if value.is_finite() {
            self.0.store(value.to_bits(), Ordering::Relaxed);
        }
    }
}

/// A plugin's histogram.
#[derive(Debug)]
pub struct Histogram(pub(super) Arc<Series>);

impl Histogram {
    pub(crate) fn observe(&self, value: f64) {
        self.0.observe(value);
    }
}

/// A plugin's alarm. Cleared when it is dropped.
#[derive(Debug)]
pub struct Alarm(pub(super) Arc<Raised>);

#[derive(Debug)]
pub(super) struct Raised {
    name: String,
    names: Names,
    /// What it says, and since when it is raised.
    text: Mutex<Option<(String, SystemTime)>>,
}

impl Raised {
    pub(super) fn new(name: &str, names: &Names) -> Self {
        Self { name: name.to_owned(), names: names.clone(), text: Mutex::default() }
    }

    fn text(&self) -> MutexGuard<'_, Option<(String, SystemTime)>> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self, plugin: &str) -> Option<RaisedAlarm> {
        let (text, since) = self.text().clone()?;
        let Names { broadcast, track, rendition } = self.names.clone();
        Some(RaisedAlarm {
            plugin: plugin.to_owned(),
            name: self.name.clone(),
            text,
            broadcast,
            track,
            rendition,
            since,
        })
    }
}

impl Alarm {
    pub(crate) fn raise(&self, text: &str) {
        let mut raised = self.0.text();
        let since = raised.as_ref().map_or_else(SystemTime::now, |(_, since)| *since);
        *raised = Some((tidy(text), since));
    }

    pub(crate) fn clear(&self) {
        *self.0.text() = None;
    }
}
