//! The metrics of a plugin: what it counts itself, and how many instances it has.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, Gauge, counter, gauge};

use crate::bindings::millrace::plugin::types::Error;

/// The most metrics one plugin may have, and the longest name of one.
const MAX: usize = 64;

/// The names a plugin has taken, over all its instances.
#[derive(Debug)]
pub(crate) struct Metrics {
    plugin: String,
    names: Mutex<BTreeSet<String>>,
}

impl Metrics {
    pub(crate) fn new(plugin: &str) -> Self {
        Self { plugin: plugin.to_owned(), names: Mutex::default() }
    }

    /// How many instances there are.
    pub(crate) fn instances(&self) -> Gauge {
        gauge!("millrace_plugin_instances", "plugin" => self.plugin.clone())
    }

    pub(crate) fn counter(&self, name: &str) -> Result<Counter, Error> {
        self.take(name)?;
        Ok(counter!("millrace_plugin_count_total", "plugin" => self.plugin.clone(), "name" => name.to_owned()))
    }

    pub(crate) fn gauge(&self, name: &str) -> Result<Gauge, Error> {
        self.take(name)?;
        Ok(gauge!("millrace_plugin_value", "plugin" => self.plugin.clone(), "name" => name.to_owned()))
    }

    fn take(&self, name: &str) -> Result<(), Error> {
        let fit = name.len() <= MAX
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fit {
            let name = crate::text::tidy(name);
            return Err(Error::Invalid(format!(
                "invalid metric name {name:?} (expected one to {MAX} letters, digits and '_', not beginning with a digit)"
            )));
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains(name) {
            if names.len() >= MAX {
                return Err(Error::Overloaded(format!("the plugin has {MAX} metrics already, and may have no more")));
            }
            names.insert(name.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_counted() {
        let metrics = Metrics::new("test");
        for bad in ["", "1st", "a-b", "a b", "ä", &"a".repeat(65)] {
            assert!(matches!(metrics.counter(bad), Err(Error::Invalid(_))), "{bad:?} was taken");
        }
        for i in 0..MAX {
            assert!(metrics.counter(&format!("c{i}")).is_ok());
        }
        assert!(metrics.gauge("c1").is_ok());
        assert!(matches!(metrics.gauge("another"), Err(Error::Overloaded(_))));
    }
}
