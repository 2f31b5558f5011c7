//! SUBSCRIBE: a track from the beginning of its newest group on.
//!
//! Each subscription has a track of its own in `moq-transport`, which keeps nothing for those who come later. The filter that the
//! subscriber has asked for is applied there: one who wants what comes next alone has the group's beginning by a joining FETCH.
//!
//! One who comes before the track does may have the subscription wait for it (RENDEZVOUS_TIMEOUT, draft-ietf-moq-transport-18, 10.2.6).

use std::time::Duration;

use millrace_media::track::Track;
use moq_transport::coding::Location;
use moq_transport::message::{PublishDoneCode, RequestErrorCode};
use moq_transport::serve::{self, ServeError, Subgroup, SubgroupsWriter, TrackReader};
use moq_transport::session::Subscribed;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::groups::Groups;
use super::{Admitted, Session, refuse};
use crate::moq::catalog::{Editions, Form};
use crate::moq::priority;
use crate::moq::pump::Pump;
use crate::moq::registry::{Source, gone};

/// The longest that a subscription waits for its track.
const LONGEST: Duration = Duration::from_secs(60);

/// How long one that is no longer allowed has to hear that.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Serves a subscription until the subscriber or the track ends it. Holds a place meanwhile.
pub(super) async fn serve(session: Session, subscribed: Subscribed, _place: OwnedSemaphorePermit) {
    let (namespace, name) = (subscribed.info.track_namespace.clone(), subscribed.info.track_name.clone());
    let mut admitted = match session.admit(&namespace).await {
        Ok(admitted) => admitted,
        // The answer has a code, and no place for the reason.
        Err(_) => return refuse(subscribed, ServeError::Closed(RequestErrorCode::Unauthorized.into())),
    };
    let source = match wait(&subscribed) {
        None => session.source(&admitted.name, &name).ok_or(ServeError::NotFound),
        Some(wait) => tokio::select! {
            source = tokio::time::timeout(wait, session.appeared(&admitted.name, &name)) => {
                source.map_err(|_| {
                    session.shared.transport.refused();
                    ServeError::Timeout
                })
            }
            _ = subscribed.closed() => return,
        },
    };
    let source = match source {
        Ok(source) => source,
        Err(error) => return refuse(subscribed, error),
    };
    let (writer, reader) = serve::Track::new(namespace, name).produce();
    let Ok(subgroups) = writer.subgroups() else { return };
    let _active = session.shared.transport.began();
    match source {
        Source::Media(track, editions) => {
            media(&session, &mut admitted, subscribed, (reader, subgroups), track, editions).await;
        }
        Source::Catalog(form, editions) => {
            catalog(&session, &mut admitted, subscribed, (reader, subgroups), form, editions).await;
        }
    }
}

/// How long a subscription may wait for its track, where it may.
fn wait(subscribed: &Subscribed) -> Option<Duration> {
    // What cannot be read has been refused before.
    let millis = subscribed.info.params.rendezvous_timeout().ok()??;
    (millis > 0).then(|| Duration::from_millis(millis).min(LONGEST))
}

async fn media(
    session: &Session,
    admitted: &mut Admitted,
    subscribed: Subscribed,
    (reader, subgroups): (TrackReader, SubgroupsWriter),
    track: Track,
    mut editions: watch::Receiver<Editions>,
) {
    let Some(info) = track.info() else {
        refuse(subscribed, ServeError::NotFound);
        return;
    };
    let groups = Groups::new(subgroups, track.clone(), priority::lower_first(priority::of(info.kind())));
    let mut pump = Pump::new(&track, groups, session.shared.transport.clone());
    // What is there stands written before the subscriber is told how far that is.
    let Ok(mut ended) = pump.catch_up() else { return };
    let largest = reader.largest_location();
    let mut served = std::pin::pin!(subscribed.serve_with_largest_location(reader, largest));
    let name = admitted.name.clone();
    let mut revoked = std::pin::pin!(admitted.revoked());
    while !ended {
        let step = tokio::select! {
            _ = &mut served => return,
            step = pump.step() => step,
            denied = &mut revoked => {
                tracing::info!(name, %denied, "a subscriber may no longer play");
                pump.abort().deny();
                // It is told, if it reads at all.
                let _ = tokio::time::timeout(LAST_WORD, served).await;
                return;
            }
            () = gone(&mut editions) => pump.catch_up().map(|_| true),
        };
        let Ok(through) = step else { return };
        ended = through;
    }
    // The writer's end is the track's.
    drop(pump.end());
    // Whether all of it arrived is the subscriber's affair.
    let _ = served.await;
}

async fn catalog(
    session: &Session,
    admitted: &mut Admitted,
    subscribed: Subscribed,
    (reader, mut subgroups): (TrackReader, SubgroupsWriter),
    form: Form,
    mut editions: watch::Receiver<Editions>,
) {
    let mut sent = None;
    let mut publish = |editions: &mut watch::Receiver<Editions>| -> Result<Location, ServeError> {
        let edition = editions.borrow_and_update().newest().clone();
        let text = edition.text(form).clone();
        // An edition may be new in another form alone.
        if sent.as_ref() == Some(&text) {
            return Ok(Location::new(edition.group, 0));
        }
        sent = Some(text.clone());
        let priority = priority::lower_first(priority::CATALOG);
        let mut group = subgroups.create(Subgroup { group_id: edition.group, subgroup_id: 0, priority })?;
        session.shared.transport.object(text.len() as u64);
        group.write(text)?;
        group.finish()?;
        Ok(Location::new(edition.group, 0))
    };
    let Ok(largest) = publish(&mut editions) else { return };
    let mut served = std::pin::pin!(subscribed.serve_with_largest_location(reader, Some(largest)));
    let name = admitted.name.clone();
    let mut revoked = std::pin::pin!(admitted.revoked());
    loop {
        tokio::select! {
            _ = &mut served => return,
            changed = editions.changed() => match changed {
                Ok(()) => if publish(&mut editions).is_err() { return },
                Err(_) => break,
            },
            denied = &mut revoked => {
                tracing::info!(name, %denied, "a subscriber may no longer play");
                // One that was closed from the other side needs no end.
                let _ = subgroups.close(ServeError::Closed(PublishDoneCode::Unauthorized.into()));
                let _ = tokio::time::timeout(LAST_WORD, served).await;
                return;
            }
        }
    }
    // The writer's end is the track's.
    drop(subgroups);
    // Whether all of it arrived is the subscriber's affair.
    let _ = served.await;
}
