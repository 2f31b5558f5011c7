//! File descriptors: each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one. Programs keep the soft limit low for the sake of `select(2)`, which nothing
/// here uses.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // None is no limit at all.
    let Some(soft) = current else { return };
    if maximum.is_some_and(|hard| hard <= soft) {
        tracing::debug!(limit = soft, "open files");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(from = soft, to = ?maximum, "the limit of open files is raised"),
        Err(error) => tracing::debug!(limit = soft, %error, "the limit of open files cannot be raised"),
    }
}
