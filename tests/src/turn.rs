//! One test at a time: latency and continuity are measured, and a second test would be measured with them.

use std::fs::File;

/// Holds the machine until it is dropped. Works between threads and between processes.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Turn {
    /// Waits for the others.
    pub(crate) fn take() -> Self {
        let path = crate::exhibits().join("turn.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(file)
    }
}
