//! SUBSCRIBE_NAMESPACE: which broadcasts and views there are, as they come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_media::BroadcastName;
use moq_transport::coding::TrackNamespace;
use moq_transport::serve::ServeError;
use moq_transport::session::SubscribedNamespace;
use tokio::sync::OwnedSemaphorePermit;

use super::Session;
use super::names::namespace;

/// How often it is looked at which names a client may play.
const LOOK: Duration = Duration::from_secs(30);

/// Tells of every name below the prefix until the subscriber ends it. Holds a place meanwhile.
pub(super) async fn serve(session: Session, mut request: SubscribedNamespace, _place: OwnedSemaphorePermit) {
    let mut changes = session.shared.name_changes();
    if request.ok().is_err() {
        return;
    }
    let mut told = BTreeMap::new();
    let is_guarded = !session.guard.is_open();
    loop {
        changes.mark_unchanged();
        let live = tokio::select! {
            live = names(&session, &request) => live,
            _ = request.closed() => return,
        };
        if tell(&mut request, live, &mut told).is_err() {
            return;
        }
        tokio::select! {
            _ = request.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK), if is_guarded => {}
        }
    }
}

/// The names below the prefix that the client may play. One is asked about at a time.
async fn names(session: &Session, request: &SubscribedNamespace) -> BTreeMap<BroadcastName, TrackNamespace> {
    let prefix = request.info.namespace_prefix.clone();
    let names = session.shared.names().into_iter().filter_map(|name| Some((namespace(&name)?, name)));
    let below = names.filter(|(namespace, _)| prefix.is_prefix_of(namespace));
    let mut live = BTreeMap::new();
    for (namespace, name) in below {
        if session.guard.is_open() || session.shared.admit(&session.guard, &name).await.is_ok() {
            live.insert(name, namespace);
        }
    }
    live
}

fn tell(
    request: &mut SubscribedNamespace,
    live: BTreeMap<BroadcastName, TrackNamespace>,
    told: &mut BTreeMap<BroadcastName, TrackNamespace>,
) -> Result<(), ServeError> {
    let without = |a: &BTreeMap<_, _>, b: &BTreeMap<_, _>| -> Vec<TrackNamespace> {
        let left = a.iter().filter(|(name, _)| !b.contains_key(*name));
        left.map(|(_, namespace): (&BroadcastName, &TrackNamespace)| namespace.clone()).collect()
    };
    without(told, &live).iter().try_for_each(|gone| request.namespace_done(gone))?;
    without(&live, told).iter().try_for_each(|come| request.namespace(come))?;
    *told = live;
    Ok(())
}
