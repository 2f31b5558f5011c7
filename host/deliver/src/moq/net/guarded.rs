//! `moq-net`, where not everybody may play: each session has an origin of its own, in which it finds what its client may play.
//!
//! A name that comes on the shared origin is asked about, and offered in the session's origin if the client may play it. Whoever asks for
//! it there is given the shared broadcast itself: it is read from the bus once for everybody all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millrace_media::BroadcastName;
use millrace_media::access::{Denied, Guard};
use moq_net::{Error, origin};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::moq::registry::Shared;

/// How many names are asked about at a time, for one session.
const ASKED_AT_A_TIME: usize = 4;
/// How long a name that the client may not play is let be before it is asked about again.
const AGAIN: Duration = Duration::from_secs(30);

/// An origin of a session's own, and the work of filling it. See [`Moq::guarded_origin`](crate::moq::Moq::guarded_origin).
pub(in crate::moq) fn origin(
    shared: Arc<Shared>,
    guard: Guard,
    root: String,
) -> (origin::Consumer, impl Future<Output = Denied> + Send) {
    let (origin, driver) = origin::Producer::new(origin::Config::default());
    let consumer = origin.consume();
    let work = async move {
        tokio::select! {
            error = moq_net::time::run(driver) => {
                tracing::debug!(%error, "a session's origin has ended");
                // The session has as well.
                std::future::pending().await
            }
            denied = fill(shared, origin, guard, root) => denied,
        }
    };
    (consumer, work)
}

/// A name that is on the shared origin.
struct Known {
    /// None between two times that it is asked about.
    task: Option<AbortHandle>,
    /// When it is asked about again.
    again: Instant,
}

async fn fill(shared: Arc<Shared>, origin: origin::Producer, guard: Guard, root: String) -> Denied {
    let mut announced = shared.origin.consume().announced();
    let turns = Arc::new(Semaphore::new(ASKED_AT_A_TIME));
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let mut tasks: JoinSet<(String, Option<Denied>)> = JoinSet::new();
    loop {
        let again = known.values().filter(|known| known.task.is_none()).map(|known| known.again).min();
        tokio::select! {
            update = announced.next() => {
                let Some(update) = update else { return std::future::pending().await };
                let name = update.prefix.to_string();
                if !is_below(&name, &root) {
                    continue;
                }
                if !update.kind.is_active() {
                    if let Some(task) = known.remove(&name).and_then(|known| known.task) {
                        task.abort();
                    }
                } else {
                    known.entry(name).or_insert_with(|| Known { task: None, again: Instant::now() });
                }
            }
            Some(ended) = tasks.join_next() => match ended {
                Ok((_, Some(denied))) => return denied,
                Ok((name, None)) => {
                    // Another one of the name may have come meanwhile.
                    let is_over = |known: &Known| known.task.as_ref().is_some_and(AbortHandle::is_finished);
                    if let Some(known) = known.get_mut(&name).filter(|known| is_over(known)) {
                        *known = Known { task: None, again: Instant::now() + AGAIN };
                    }
                }
                // It was aborted, because the name has gone.
                Err(_) => {}
            },
            () = tokio::time::sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {}
        }
        let now = Instant::now();
        for (name, known) in known.iter_mut().filter(|(_, known)| known.task.is_none() && known.again <= now) {
            let (shared, origin, guard, turns) = (shared.clone(), origin.clone(), guard.clone(), turns.clone());
            let name = name.clone();
            known.task = Some(tasks.spawn(async move {
                let ended = offer(&shared, &origin, &guard, &turns, &name).await;
                (name, ended)
            }));
        }
    }
}

/// Offers a name for as long as the client may play it. Gives the reason where it may not play on what it plays.
async fn offer(
    shared: &Shared,
    origin: &origin::Producer,
    guard: &Guard,
    turns: &Semaphore,
    name: &str,
) -> Option<Denied> {
    let asked = BroadcastName::new(name).ok()?;
    let admitted = {
        // It is never closed.
        let _turn = turns.acquire().await.ok()?;
        shared.admit(guard, &asked).await
    };
    let (allowed, mut admission) = match admitted {
        Ok(admitted) => admitted,
        Err(denied) => {
            tracing::debug!(name, %denied, "a client may not play");
            return None;
        }
    };
    let requests = match origin.dynamic(name, origin::Route::default()) {
        Ok(requests) => requests,
        Err(error) => {
            tracing::warn!(name, %error, "it cannot be offered over moq-net");
            return None;
        }
    };
    let mut plays = false;
    // Kept over all requests, so that none interrupts a question.
    let mut revoked = std::pin::pin!(admission.revoked());
    loop {
        tokio::select! {
            request = requests.requested_broadcast() => {
                let request = request.ok()?;
                // What lies below a name has a name of its own.
                if request.path().as_str() != name {
                    request.reject(Error::NotFound);
                    continue;
                }
                // It is read from the bus once for everybody.
                match shared.origin.consume().request_broadcast(allowed.as_str()).await {
                    Ok(broadcast) => {
                        plays = true;
                        request.accept(broadcast);
                    }
                    Err(error) => request.reject(error),
                }
            }
            denied = &mut revoked => {
                tracing::info!(name, %denied, "a client may no longer play");
                return Some(denied).filter(|_| plays);
            }
        }
    }
}

/// True of a name that a session can see whose names begin with a path.
fn is_below(name: &str, root: &str) -> bool {
    root.is_empty() || name.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
