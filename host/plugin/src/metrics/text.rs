//! Prometheus' text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::series::{Kind, Series, Value, sum};
use super::{Metrics, RaisedAlarm};

/// What stands before the name of every plugin's metric.
const PREFIX: &str = "millrace_plugin_metric";

/// A name with what Prometheus does not allow replaced by `_`.
pub(crate) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// One series with its plugin and labels.
struct Line<'a> {
    plugin: &'a str,
    labels: Vec<(String, String)>,
    series: Arc<Series>,
}

/// The lines of all metrics of one name.
struct Group<'a> {
    kind: Kind,
    lines: Vec<Line<'a>>,
}

pub(super) fn render(plugins: &[Arc<Metrics>]) -> String {
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    for plugin in plugins {
        let mut held = plugin.held();
        held.tidy();
        for (name, family) in &held.families {
            let suffix = if family.kind == Kind::Counter { "_total" } else { "" };
            let full = format!("{PREFIX}_{}_{name}{suffix}", sanitized(&plugin.plugin));
            let kind = family.kind.clone();
            // `a` with `b_c` and `a_b` with `c` come out alike: the label tells them apart, and the first says what they are.
            let group = groups.entry(full).or_insert_with(|| Group { kind, lines: Vec::new() });
            if std::mem::discriminant(&group.kind) == std::mem::discriminant(&family.kind) {
                let line = |(labels, series): (&Vec<_>, &Arc<Series>)| Line {
                    plugin: &plugin.plugin,
                    labels: labels.clone(),
                    series: series.clone(),
                };
                group.lines.extend(family.series.iter().map(line));
            }
        }
    }
    let mut text = String::new();
    for (name, group) in &groups {
        let kind = match group.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let _ = writeln!(text, "# TYPE {name} {kind}");
        group.lines.iter().for_each(|line| line.render(name, &mut text));
    }
    render_alarms(plugins, &mut text);
    text
}

impl Line<'_> {
    fn render(&self, name: &str, text: &mut String) {
        let labels = labelled(self.plugin, &self.labels);
        match &self.series.value {
            Value::Counter(count) => {
                let _ = writeln!(text, "{name}{{{labels}}} {}", count.load(Ordering::Relaxed));
            }
            Value::Gauge(parts) => {
                if let Some(sum) = sum(parts) {
                    let _ = writeln!(text, "{name}{{{labels}}} {}", number(sum));
                }
            }
            Value::Histogram(distribution) => {
                let distribution = distribution.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut count = 0;
                for (bound, in_bucket) in distribution.bounds.iter().zip(&distribution.counts) {
                    count += in_bucket;
                    let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
                }
                let count: u64 = distribution.counts.iter().sum();
                let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
                let _ = writeln!(text, "{name}_sum{{{labels}}} {}", number(distribution.sum));
                let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
            }
        }
    }
}

fn render_alarms(plugins: &[Arc<Metrics>], text: &mut String) {
    let alarms: Vec<RaisedAlarm> = plugins.iter().flat_map(|plugin| plugin.alarms()).collect();
    if alarms.is_empty() {
        return;
    }
    let mut lines = BTreeMap::<String, u64>::new();
    for alarm in &alarms {
        let mut labels = vec![("alarm".to_owned(), alarm.name.clone())];
        let mut push = |key: &str, value: Option<String>| labels.extend(value.map(|value| (key.to_owned(), value)));
        push("broadcast", alarm.broadcast.as_ref().map(ToString::to_string));
        push("track", alarm.track.as_ref().map(ToString::to_string));
        push("rendition", alarm.rendition.as_ref().map(ToString::to_string));
        *lines.entry(labelled(&alarm.plugin, &labels)).or_default() += 1;
    }
    let _ = writeln!(text, "# TYPE millrace_plugin_alarms gauge");
    for (labels, count) in lines {
        let _ = writeln!(text, "millrace_plugin_alarms{{{labels}}} {count}");
    }
}

fn labelled(plugin: &str, labels: &[(String, String)]) -> String {
    let mut text = format!("plugin=\"{}\"", escaped(plugin));
    for (key, value) in labels {
        let _ = write!(text, ",{key}=\"{}\"", escaped(value));
    }
    text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Infinities as Prometheus writes them.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".into()
    } else if value == f64::NEG_INFINITY {
        "-Inf".into()
    } else {
        value.to_string()
    }
}
