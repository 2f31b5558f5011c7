//! The numbers and alarms of plugins (`interface metrics`).
//!
//! They are kept here and not with the server's own, because they come and go with what they are labelled with, and because a plugin may
//! only have so many.

#![allow(unreachable_pub, reason = "the generated bindings export the types of handles again")]

mod handles;
mod series;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millrace_media::{BroadcastName, TrackName, broadcast};

pub use handles::{Alarm, Counter, Gauge, Histogram};
use series::{Family, Kind, Life, Series};
pub(crate) use text::sanitized;

/// The longest name of a metric, an alarm or a label, in bytes.
const MAX_NAME: usize = 64;
/// The most labels of a plugin's own, and the longest value of one in bytes.
const MAX_LABELS: (usize, usize) = (8, 128);
/// The most buckets of a histogram.
const MAX_BUCKETS: usize = 32;
/// The labels that the host and Prometheus give.
const RESERVED: [&str; 6] = ["plugin", "broadcast", "track", "rendition", "le", "quantile"];
/// How names end that Prometheus' text format makes of other names.
const SUFFIXES: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// Why a metric was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetricError {
    /// It cannot be.
    #[error("{0}")]
    Invalid(String),
    /// The plugin has as many as it may.
    #[error("the plugin has {0} series already, as many as it may")]
    TooMany(usize),
}

/// What an instance is made for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) broadcast: Option<BroadcastName>,
    pub(crate) track: Option<TrackName>,
    pub(crate) rendition: Option<Arc<str>>,
}

/// By which of an instance's names a series is told apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct By {
    pub(crate) broadcast: bool,
    pub(crate) track: bool,
    pub(crate) rendition: bool,
}

/// Who opens a metric.
#[derive(Clone, Debug)]
pub(crate) struct Opener<'a> {
    pub(crate) names: &'a Names,
    /// Lives as long as what the instance is made for.
    pub(crate) life: &'a Weak<()>,
    pub(crate) broadcast: Option<&'a broadcast::Weak>,
}

/// An alarm that is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaisedAlarm {
    /// The plugin, as the operator named it.
    pub plugin: String,
    /// The alarm's name.
    pub name: String,
    /// What the plugin says about it.
    pub text: String,
    /// What the instance is made for.
    pub broadcast: Option<BroadcastName>,
    /// What the instance is made for.
    pub track: Option<TrackName>,
    /// What the instance is made for.
    pub rendition: Option<Arc<str>>,
    /// Since when, on the wall clock.
    pub since: std::time::SystemTime,
}

/// The numbers of all plugins of an engine.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<BTreeMap<String, Weak<Metrics>>>);

impl Registry {
    fn all(&self) -> Vec<Arc<Metrics>> {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.retain(|_, plugin| plugin.strong_count() > 0);
        plugins.values().filter_map(Weak::upgrade).collect()
    }

    /// The numbers of one more plugin.
    ///
    /// # Errors
    /// The name of another plugin that becomes the same in Prometheus.
    pub(crate) fn add(&self, plugin: &str, limit: usize) -> Result<Arc<Metrics>, String> {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.retain(|_, plugin| plugin.strong_count() > 0);
        let name = sanitized(plugin);
        if let Some(other) = plugins.get(&name).and_then(Weak::upgrade) {
            return Err(other.plugin.clone());
        }
        let metrics = Arc::new(Metrics {
            plugin: plugin.to_owned(),
            limit,
            held: Mutex::default(),
            instances: metrics::gauge!("millrace_plugin_instances", "plugin" => plugin.to_owned()),
        });
        plugins.insert(name, Arc::downgrade(&metrics));
        Ok(metrics)
    }

    /// All that is to be read, in Prometheus' text format (version 0.0.4).
    pub(crate) fn render(&self) -> String {
        text::render(&self.all())
    }

    /// The alarms that are raised, by plugin and name.
    pub(crate) fn alarms(&self) -> Vec<RaisedAlarm> {
        self.all().iter().flat_map(|plugin| plugin.alarms()).collect()
    }
}

/// The numbers of one plugin, over all its instances.
#[derive(Debug)]
pub(crate) struct Metrics {
    plugin: String,
    /// Of series and alarms together.
    limit: usize,
    held: Mutex<Held>,
    /// How many instances there are.
    pub(crate) instances: metrics::Gauge,
}

#[derive(Debug, Default)]
struct Held {
    families: BTreeMap<String, Family>,
    alarms: Vec<Weak<handles::Raised>>,
}

impl Held {
    /// Forgets what has ended.
    fn tidy(&mut self) {
        self.families.retain(|_, family| {
            family.series.retain(|_, series| series.is_alive());
            !family.series.is_empty()
        });
        self.alarms.retain(|alarm| alarm.strong_count() > 0);
    }

    fn len(&self) -> usize {
        self.families.values().map(|family| family.series.len() * family.kind.lines()).sum::<usize>()
            + self.alarms.len()
    }
}

impl Metrics {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counter(
        &self,
        opener: &Opener<'_>,
        name: &str,
        by: By,
        more: &[(String, String)],
    ) -> Result<Counter, MetricError> {
        self.open(opener, name, by, more, Kind::Counter).map(Counter)
    }

    pub(crate) fn gauge(
        &self,
        opener: &Opener<'_>,
        name: &str,
        by: By,
        more: &[(String, String)],
    ) -> Result<Gauge, MetricError> {
        self.open(opener, name, by, more, Kind::Gauge).map(|series| Gauge::new(&series))
    }

    pub(crate) fn histogram(
        &self,
        opener: &Opener<'_>,
        name: &str,
        by: By,
        more: &[(String, String)],
        buckets: &[f64],
    ) -> Result<Histogram, MetricError> {
        let rising = buckets.windows(2).all(|pair| pair[0] < pair[1]);
        if buckets.is_empty()
            || buckets.len() > MAX_BUCKETS
            || !rising
            || !buckets.iter().all(|bound| bound.is_finite())
        {
            return Err(MetricError::Invalid(format!(
                "{} buckets that are not as they must be (expected 1 to {MAX_BUCKETS} finite bounds, rising)",
                buckets.len()
            )));
        }
        self.open(opener, name, by, more, Kind::Histogram(buckets.into())).map(Histogram)
    }

    pub(crate) fn alarm(&self, names: &Names, name: &str) -> Result<Alarm, MetricError> {
        check_name("alarm", name)?;
        let mut held = self.held();
        held.tidy();
        if held.len() >= self.limit {
            return Err(MetricError::TooMany(self.limit));
        }
        let raised = Arc::new(handles::Raised::new(name, names));
        held.alarms.push(Arc::downgrade(&raised));
        Ok(Alarm(raised))
    }

    fn open(
        &self,
        opener: &Opener<'_>,
        name: &str,
        by: By,
        more: &[(String, String)],
        kind: Kind,
    ) -> Result<Arc<Series>, MetricError> {
        check_name("metric", name)?;
        if let Some(suffix) = SUFFIXES.iter().find(|suffix| name.ends_with(**suffix)) {
            return Err(MetricError::Invalid(format!(
                "the metric name {name:?} ends with {suffix}, which the host adds"
            )));
        }
        let labels = labels(opener.names, by, more)?;
        let life = match by {
            By { track: true, .. } | By { rendition: true, .. } => Some(Life::Instance(opener.life.clone())),
            By { broadcast: true, .. } => opener.broadcast.cloned().map(Life::Broadcast),
            _ => None,
        };
        let mut held = self.held();
        if let Some(family) = held.families.get(name)
            && family.kind != kind
        {
            // Series that have ended do not hold a name.
            held.tidy();
            if let Some(family) = held.families.get(name).filter(|family| family.kind != kind) {
                return Err(MetricError::Invalid(format!("the metric {name:?} is open as {}", family.kind)));
            }
        }
        let known = held.families.get(name).and_then(|family| family.series.get(&labels)).cloned();
        let series = match known {
            Some(series) => series,
            None => {
                held.tidy();
                if held.len() + kind.lines() > self.limit {
                    return Err(MetricError::TooMany(self.limit));
                }
                let series = Arc::new(Series::new(&kind, life.is_none()));
                let family =
                    held.families.entry(name.to_owned()).or_insert_with(|| Family { kind, series: BTreeMap::new() });
                family.series.insert(labels, series.clone());
                series
            }
        };
        life.into_iter().for_each(|life| series.keep(life));
        Ok(series)
    }

    fn alarms(&self) -> Vec<RaisedAlarm> {
        let mut alarms: Vec<_> = self
            .held()
            .alarms
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|raised| raised.read(&self.plugin))
            .collect();
        alarms.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.broadcast.cmp(&b.broadcast)));
        alarms
    }
}

fn check_name(what: &str, name: &str) -> Result<(), MetricError> {
    let fit = (1..=MAX_NAME).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if fit {
        return Ok(());
    }
    let name = crate::text::tidy(name);
    Err(MetricError::Invalid(format!(
        "invalid {what} name {name:?} (expected one to {MAX_NAME} letters, digits and '_', not beginning with a digit)"
    )))
}

/// The labels of a series, in their order: the host's, then the plugin's own by key.
fn labels(names: &Names, by: By, more: &[(String, String)]) -> Result<Vec<(String, String)>, MetricError> {
    let mut labels = Vec::new();
    let mut host = |wanted: bool, key: &str, value: Option<String>| {
        if wanted {
            let value = value.ok_or_else(|| {
                MetricError::Invalid(format!("the label {key} where the instance is not made for a {key}"))
            })?;
            labels.push((key.to_owned(), value));
        }
        Ok(())
    };
    host(by.broadcast, "broadcast", names.broadcast.as_ref().map(ToString::to_string))?;
    host(by.track, "track", names.track.as_ref().map(ToString::to_string))?;
    host(by.rendition, "rendition", names.rendition.as_ref().map(ToString::to_string))?;
    let (most, longest) = MAX_LABELS;
    if more.len() > most {
        return Err(MetricError::Invalid(format!("{} labels (expected at most {most})", more.len())));
    }
    let mut seen = BTreeSet::new();
    let mut own = more.to_vec();
    own.sort();
    for (key, value) in &own {
        check_name("label", key)?;
        if RESERVED.contains(&key.as_str()) || key.starts_with("__") || !seen.insert(key) {
            return Err(MetricError::Invalid(format!("the label {key:?} has a meaning of its own, or is there twice")));
        }
        if value.contains(char::is_control) {
            return Err(MetricError::Invalid(format!("control characters in the label {key:?}")));
        }
        if value.len() > longest {
            let len = value.len();
            return Err(MetricError::Invalid(format!("{len} bytes of label {key:?} (expected at most {longest})")));
        }
    }
    labels.extend(own);
    Ok(labels)
}

#[cfg(test)]
mod tests;
