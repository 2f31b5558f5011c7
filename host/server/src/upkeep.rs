//! What has to be done from time to time.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use millrace_media::Bus;
use tokio::time::Instant;

use crate::memory;

/// How often broadcasts are looked at that wait for their publisher or have ended.
const EXPIRE: Duration = Duration::from_millis(500);
/// How often what histograms have recorded is added up, whether anybody reads the metrics or not: until then every value is kept.
const ADD_UP: Duration = Duration::from_secs(5);
/// How often free memory is given back to the system, at the most; and so many times longer than it took is the time until the next.
const GIVE_BACK: Duration = Duration::from_secs(1);
const PAUSE: u32 = 200;
/// How often it is logged, at the most, that windows are shortened.
const LOG_SHORTENED: Duration = Duration::from_secs(30);

/// Does it for ever. Whoever runs it ends it by dropping the future.
pub(crate) async fn run(bus: Bus, metrics: PrometheusHandle) {
    let mut ticks = tokio::time::interval(EXPIRE);
    let (mut added_up, mut give_back) = (Instant::now(), Instant::now() + GIVE_BACK);
    let mut shortened = Shortened::default();
    loop {
        let now = ticks.tick().await;
        bus.expire();
        if let Some(fragments) = shortened.next_to_log(bus.memory().given_up, now) {
            let limit = bus.memory().limit;
            tracing::warn!(
                fragments,
                limit,
                "windows are shortened: all tracks together hold what `window.total` allows"
            );
        }
        if now.duration_since(added_up) >= ADD_UP {
            metrics.run_upkeep();
            added_up = now;
        }
        if now >= give_back {
            // It fails when the server stops.
            let took = tokio::task::spawn_blocking(memory::give_back).await.unwrap_or_default();
            give_back = Instant::now() + GIVE_BACK.max(took * PAUSE);
        }
    }
}

/// What was logged of windows that are shortened.
#[derive(Debug, Default)]
struct Shortened {
    logged: u64,
    at: Option<Instant>,
}

impl Shortened {
    /// How many more fragments were given up than was logged, where there are more and the last time is long enough ago.
    fn next_to_log(&mut self, given_up: u64, now: Instant) -> Option<u64> {
        let more = given_up.checked_sub(self.logged).filter(|more| *more > 0)?;
        if self.at.is_some_and(|at| now.duration_since(at) < LOG_SHORTENED) {
            return None;
        }
        (self.logged, self.at) = (given_up, Some(now));
        Some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortened_windows_are_logged_now_and_then() {
        let (mut shortened, begin) = (Shortened::default(), Instant::now());
        assert_eq!(shortened.next_to_log(0, begin), None);
        assert_eq!(shortened.next_to_log(3, begin), Some(3));
        assert_eq!(shortened.next_to_log(9, begin + LOG_SHORTENED / 2), None);
        assert_eq!(shortened.next_to_log(10, begin + LOG_SHORTENED), Some(7));
        assert_eq!(shortened.next_to_log(10, begin + LOG_SHORTENED * 2), None);
    }
}
