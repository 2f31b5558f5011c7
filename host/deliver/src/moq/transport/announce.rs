//! PUBLISH_NAMESPACE: every broadcast and view announced to a relay, and what comes back served.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_media::BroadcastName;
use millrace_media::access::Guard;
use moq_transport::session::Publisher;
use tokio::task::JoinSet;

use super::names::namespace;
use super::{Session, answer};
use crate::moq::registry::Shared;

/// Announces everything, and answers everything, until it is dropped. What it has begun ends with it.
pub(in crate::moq) async fn announce(shared: Arc<Shared>, publisher: Publisher) {
    // Who plays from a relay is the relay's affair.
    let session = Session::new(shared, Guard::default());
    tokio::select! {
        () = answer(session.clone(), publisher.clone()) => {}
        () = all(session, publisher) => {}
    }
}

async fn all(session: Session, publisher: Publisher) {
    let mut changes = session.shared.name_changes();
    let (mut announced, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let mut tasks = JoinSet::new();
    loop {
        changes.mark_unchanged();
        let live = session.shared.names();
        // What was refused is not asked for again until it has gone and come back.
        refused.retain(|name| live.contains(name));
        for name in live.into_iter().filter(|name| !refused.contains(name)) {
            if announced.insert(name.clone()) {
                tasks.spawn(one(session.clone(), publisher.clone(), name));
            }
        }
        tokio::select! {
            Some(ended) = tasks.join_next() => match ended {
                Ok(Ended::Gone(name)) => drop(announced.remove(&name)),
                Ok(Ended::Refused(name)) => {
                    announced.remove(&name);
                    refused.insert(name);
                }
                Err(_) => {}
            },
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

/// Why a name is announced no longer.
enum Ended {
    /// It is not served any more.
    Gone(BroadcastName),
    /// The relay does not want it.
    Refused(BroadcastName),
}

async fn one(session: Session, mut publisher: Publisher, name: BroadcastName) -> Ended {
    let mut changes = session.shared.name_changes();
    let Some(namespace) = namespace(&name) else { return Ended::Refused(name) };
    let announced = match publisher.publish_namespace_start(namespace).await {
        Ok(announced) => announced,
        Err(error) => {
            tracing::warn!(%name, %error, "it cannot be announced to the relay");
            return Ended::Refused(name);
        }
    };
    let mut tasks = JoinSet::new();
    let refused = loop {
        if !session.shared.has(&name) {
            break false;
        }
        tokio::select! {
            subscribed = announced.subscribed() => match subscribed {
                Ok(Some(subscribed)) => session.subscribed(subscribed, &mut tasks),
                Ok(None) | Err(_) => break true,
            },
            request = announced.track_status_requested() => match request {
                Ok(Some(request)) => session.status(request, &mut tasks),
                Ok(None) | Err(_) => break true,
            },
            Some(_) = tasks.join_next() => {}
            changed = changes.changed() => if changed.is_err() { break false },
        }
    };
    drop(announced);
    // To the ends of its tracks.
    while tasks.join_next().await.is_some() {}
    if refused {
        tracing::warn!(%name, "the relay does not take it");
        return Ended::Refused(name);
    }
    Ended::Gone(name)
}
