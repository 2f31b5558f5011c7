//! CPU time.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use cpu_time::ProcessTime;

/// What all threads of this process take while `work` is done.
pub(crate) fn taken<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let before = ProcessTime::try_now()?;
    let done = work()?;
    Ok((done, before.try_elapsed()?))
}

/// What the living threads of another process have taken, as Linux counts it: to the nanosecond.
pub(crate) fn of_process(id: u32) -> anyhow::Result<Duration> {
    of_tasks(&format!("/proc/{id}/task"), |_| true)
}

/// What the living threads of this process that have this name have taken.
pub(crate) fn of_threads(name: &str) -> anyhow::Result<Duration> {
    of_tasks("/proc/self/task", |known| known == name)
}

fn of_tasks(folder: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(folder).context("the process has ended")? {
        let task = task?.path();
        if !wanted(fs::read_to_string(task.join("comm"))?.trim_end()) {
            continue;
        }
        let path = task.join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let first = text.split_whitespace().next().context("schedstat is empty")?;
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
