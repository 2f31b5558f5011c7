//! What a plugin has asked for and was denied, kept for the operator.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tracing::warn;

use super::{Grant, Grants};
use crate::text::tidy;

/// Something that a plugin has asked for without having the grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The grant that is missing.
    pub grant: Grant,
    /// Of `http`: the scheme, host and port, or what it stands for where there were too many. Empty for the others.
    pub detail: String,
    /// How many times.
    pub count: u64,
}

/// So many hosts are kept apart. What comes after them is counted together.
const MAX_DETAILS: usize = 32;
/// What is said of the hosts that are counted together.
const OTHERS: &str = "other hosts";

/// What one plugin was denied, over all its instances.
#[derive(Debug)]
pub(crate) struct Denials {
    plugin: String,
    counts: Mutex<BTreeMap<(Grant, String), u64>>,
}

impl Denials {
    pub(crate) fn new(plugin: impl Into<String>) -> Self {
        Self { plugin: plugin.into(), counts: Mutex::default() }
    }

    /// Passes where a grant is given. Else counts that it is not, and says so in words for the plugin.
    pub(crate) fn check(&self, grants: &Grants, grant: Grant) -> Result<(), String> {
        if grants.has(grant) {
            return Ok(());
        }
        Err(self.deny(grant, ""))
    }

    /// Counts that a plugin was denied something, logs it the first time, and says it in words for the plugin.
    pub(crate) fn deny(&self, grant: Grant, detail: &str) -> String {
        let mut detail = tidy(detail);
        let first = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            if !counts.contains_key(&(grant, detail.clone())) && counts.len() >= MAX_DETAILS {
                OTHERS.clone_into(&mut detail);
            }
            let count = counts.entry((grant, detail.clone())).or_default();
            *count = count.saturating_add(1);
            *count == 1
        };
        let (plugin, name) = (self.plugin.as_str(), grant.as_str());
        metrics::counter!("millrace_plugin_denied_total", "plugin" => self.plugin.clone(), "grant" => name)
            .increment(1);
        if first {
            let to = Some(detail.as_str()).filter(|detail| !detail.is_empty());
            warn!(plugin, grant = name, to, "a plugin asks for what it is not granted: it is denied");
        }
        if detail.is_empty() {
            format!("`{name}` is not granted to the plugin")
        } else {
            format!("`{name}` is not granted to the plugin for {detail}")
        }
    }

    /// All of them, by grant.
    pub(crate) fn list(&self) -> Vec<Denial> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let denial = |((grant, detail), count): (&(Grant, String), &u64)| Denial {
            grant: *grant,
            detail: detail.clone(),
            count: *count,
        };
        counts.iter().map(denial).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_granted_is_counted_and_said() {
        let denials = Denials::new("x");
        let grants = Grants { clock: true, ..Grants::default() };
        assert_eq!(denials.check(&grants, Grant::Clock), Ok(()));
        let said = denials.check(&grants, Grant::Timers);
        assert_eq!(said.unwrap_err(), "`timers` is not granted to the plugin");
        assert!(denials.check(&grants, Grant::Timers).is_err());
        assert_eq!(
            denials.deny(Grant::Http, "https://evil.example"),
            "`http` is not granted to the plugin for https://evil.example"
        );
        let list = denials.list();
        let list: Vec<_> = list.iter().map(|denial| (denial.grant, denial.detail.as_str(), denial.count)).collect();
        assert_eq!(list, [(Grant::Http, "https://evil.example", 1), (Grant::Timers, "", 2)]);
    }

    #[test]
    fn a_plugin_that_tries_every_host_takes_no_more_memory() {
        let denials = Denials::new("x");
        for host in 0..10_000 {
            denials.deny(Grant::Http, &format!("https://{host}.example"));
        }
        let list = denials.list();
        assert!(list.len() <= MAX_DETAILS + 1, "{}", list.len());
        assert_eq!(list.iter().map(|denial| denial.count).sum::<u64>(), 10_000);
    }
}
