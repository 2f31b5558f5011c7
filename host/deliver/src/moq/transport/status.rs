//! TRACK_STATUS: how far a track is.

use moq_transport::coding::Location;
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::{ServeError, Subgroup, SubgroupsWriter, Track};
use moq_transport::session::TrackStatusRequested;

use super::Session;
use crate::moq::registry::Source;

/// Answers with the newest object's location.
pub(super) fn answer(session: &Session, mut request: TrackStatusRequested) {
    let (namespace, name) = (request.request_msg.track_namespace.clone(), request.request_msg.track_name.clone());
    let Some(source) = session.source(&namespace, &name) else {
        // A session that has ended needs no answer.
        let _ = request.respond_error(RequestErrorCode::DoesNotExist.into(), "there is no such track");
        return;
    };
    let largest = largest(&source);
    let (writer, reader) = Track::new(namespace, name).produce();
    // The library reads the location off a track.
    let written = writer.subgroups().and_then(|subgroups| largest.map_or(Ok(()), |at| reach(subgroups, at)));
    if written.is_ok() {
        // A session that has ended needs no answer.
        let _ = request.respond_ok(&reader);
    }
}

/// The newest object of a track.
pub(super) fn largest(source: &Source) -> Option<Location> {
    match source {
        Source::Media(track, _) => {
            let place = track.newest()?.place();
            Some(Location::new(place.group.0, place.object))
        }
        Source::Catalog(_, editions) => Some(Location::new(editions.borrow().newest().group, 0)),
    }
}

fn reach(mut subgroups: SubgroupsWriter, at: Location) -> Result<(), ServeError> {
    let mut group = subgroups.create(Subgroup { group_id: at.group_id, subgroup_id: 0, priority: 0 })?;
    group.create_with_id(at.object_id, 0, None).map(drop)
}
