//! How far it has come, for whoever sits at the terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How often it is told.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tells once a second, on the standard error, what `count` gives, fragments and bytes: for ever, and only to a terminal. Whoever runs it
/// ends it by dropping the future.
pub(super) async fn tell(what: &str, count: impl Fn() -> (u64, u64)) {
    if !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let (fragments, bytes) = count();
        let mut terminal = std::io::stderr();
        // A terminal that is gone need not be told.
        let _ = write!(terminal, "{what} {}\r", line(fragments, bytes)).and_then(|()| terminal.flush());
    }
}

fn line(fragments: u64, bytes: u64) -> String {
    // What is left of a longer line is written over.
    format!("{fragments} fragments, {:.1} MB   ", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_in_fragments_and_megabytes() {
        assert_eq!(line(7, 1_260_000), "7 fragments, 1.3 MB   ");
    }
}
