//! Coming back to a server whose session is lost.

use std::time::{Duration, Instant};

use clap::Args;

use crate::moq::backoff::{self, Backoff};

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// How long attempts go on without a session, by default.
const DEFAULT_LIMIT: &str = "5m";

/// Whether to come back.
#[derive(Args, Clone, Debug, Default)]
pub struct RetryArgs {
    /// Come back where the server cannot be reached or the session is lost (no answer for 10 s), and end only after so much without one:
    /// --retry=30s; --retry alone: 5m. Attempts come after 1 s at first, then after up to 8 s
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_LIMIT, value_parser = limit)]
    pub retry: Option<Duration>,
}

fn limit(text: &str) -> Result<Duration, String> {
    let limit = humantime::parse_duration(text).ok().filter(|limit| !limit.is_zero());
    limit.ok_or_else(|| "expected a length of time with its unit, such as 30s or 5m".into())
}

/// Why there is no session, or no longer.
#[derive(Debug)]
pub(super) enum Problem {
    /// The next attempt may succeed.
    Lost(anyhow::Error),
    /// Another attempt would fail in the same way.
    Final(anyhow::Error),
}

impl Problem {
    pub(super) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Lost(error) | Self::Final(error) => error,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Lost(error.into())
    }
}

/// When to try again.
#[derive(Debug)]
pub(super) struct Retry {
    limit: Option<Duration>,
    backoff: Backoff,
    /// Since when there is no session.
    since: Option<Instant>,
}

impl Retry {
    pub(super) fn new(args: &RetryArgs) -> Self {
        Self { limit: args.retry, backoff: Backoff::up_to(LONGEST_WAIT), since: None }
    }

    /// It has worked.
    pub(super) fn worked(&mut self) {
        self.backoff.reset();
        self.since = None;
    }

    /// How long to wait after a problem.
    ///
    /// # Errors
    /// Where it is not to be tried again, with the reason.
    pub(super) fn after(&mut self, problem: Problem, now: Instant) -> anyhow::Result<Duration> {
        let (Some(limit), Problem::Lost(error)) = (self.limit, &problem) else { return Err(problem.into_error()) };
        let since = *self.since.get_or_insert(now);
        let wait = self.backoff.wait(backoff::random());
        if now.saturating_duration_since(since) + wait > limit {
            return Err(problem.into_error().context(format!("not tried again after {limit:?} without a session")));
        }
        eprintln!("{error:#}; trying again in {:.1} s", wait.as_secs_f32());
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn retry(limit: Option<&str>) -> Retry {
        Retry::new(&RetryArgs { retry: limit.map(|text| super::limit(text).unwrap()) })
    }

    fn lost() -> Problem {
        Problem::Lost(anyhow!("gone"))
    }

    #[test]
    fn it_is_tried_until_the_limit_and_anew_once_it_has_worked() {
        let (mut retry, mut now) = (retry(Some("20s")), Instant::now());
        for round in 0..2 {
            let mut tried = Duration::ZERO;
            loop {
                match retry.after(lost(), now) {
                    Ok(wait) => {
                        assert!(wait <= LONGEST_WAIT, "{wait:?}");
                        (tried, now) = (tried + wait, now + wait);
                    }
                    Err(error) => {
                        assert_eq!(error.to_string(), "not tried again after 20s without a session");
                        break;
                    }
                }
            }
            assert!((Duration::from_secs(12)..=Duration::from_secs(20)).contains(&tried), "round {round}: {tried:?}");
            retry.worked();
        }
    }

    #[test]
    fn what_would_end_the_same_way_is_not_tried_again() {
        assert_eq!(retry(None).after(lost(), Instant::now()).unwrap_err().to_string(), "gone");
        let error = retry(Some("1m")).after(Problem::Final(anyhow!("refused")), Instant::now()).unwrap_err();
        assert_eq!(error.to_string(), "refused");
        assert!(limit("0s").is_err() && limit("5").is_err());
    }
}
