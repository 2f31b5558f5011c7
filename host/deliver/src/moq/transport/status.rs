//! TRACK_STATUS: how far a track is.

use moq_transport::coding::Location;
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::{ServeError, Subgroup, SubgroupsWriter, Track};
use moq_transport::session::TrackStatusRequested;
use tokio::sync::OwnedSemaphorePermit;

use super::Session;
use crate::moq::registry::Source;

/// Answers with the newest object's location. Holds a place meanwhile.
pub(super) async fn serve(session: Session, request: TrackStatusRequested, _place: OwnedSemaphorePermit) {
    let (namespace, name) = (request.request_msg.track_namespace.clone(), request.request_msg.track_name.clone());
    let admitted = match session.admit(&namespace).await {
        Ok(admitted) => admitted,
        Err(denied) => return refuse(request, RequestErrorCode::Unauthorized, &denied.reason),
    };
    let Some(source) = session.source(&admitted.name, &name) else {
        return refuse(request, RequestErrorCode::DoesNotExist, "there is no such track");
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

/// Answers with an error.
pub(super) fn refuse(mut request: TrackStatusRequested, code: RequestErrorCode, reason: &str) {
    // A session that has ended needs no answer.
    let _ = request.respond_error(code.into(), reason);
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
