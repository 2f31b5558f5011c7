//! SUBSCRIBE_NAMESPACE: which broadcasts and views there are, as they come and go.

use std::collections::BTreeMap;

use millrace_media::BroadcastName;
use moq_transport::coding::TrackNamespace;
use moq_transport::serve::ServeError;
use moq_transport::session::SubscribedNamespace;
use tokio::sync::OwnedSemaphorePermit;

use super::Session;
use super::names::namespace;

/// Tells of every name below the prefix until the subscriber ends it. Holds a place meanwhile.
pub(super) async fn serve(session: Session, mut request: SubscribedNamespace, _place: OwnedSemaphorePermit) {
    let mut changes = session.shared.name_changes();
    if request.ok().is_err() {
        return;
    }
    let mut told = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        if tell(&session, &mut request, &mut told).is_err() {
            return;
        }
        tokio::select! {
            _ = request.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

fn tell(
    session: &Session,
    request: &mut SubscribedNamespace,
    told: &mut BTreeMap<BroadcastName, TrackNamespace>,
) -> Result<(), ServeError> {
    let prefix = request.info.namespace_prefix.clone();
    let names = session.shared.names().into_iter().filter_map(|name| Some((namespace(&name)?, name)));
    let below = names.filter(|(namespace, _)| prefix.is_prefix_of(namespace));
    let live: BTreeMap<_, _> = below.map(|(namespace, name)| (name, namespace)).collect();
    let without = |a: &BTreeMap<_, _>, b: &BTreeMap<_, _>| -> Vec<TrackNamespace> {
        let left = a.iter().filter(|(name, _)| !b.contains_key(*name));
        left.map(|(_, namespace): (&BroadcastName, &TrackNamespace)| namespace.clone()).collect()
    };
    without(told, &live).iter().try_for_each(|gone| request.namespace_done(gone))?;
    without(&live, told).iter().try_for_each(|come| request.namespace(come))?;
    *told = live;
    Ok(())
}
