//! FETCH, standalone and joining: what was, out of the bus's window.
//!
//! A reader that is slow holds nothing but the object it reads. What leaves the window before it is read ends the answer.

use std::time::Duration;

use bytes::Bytes;
use millrace_media::Fragment;
use millrace_media::calendar::Group;
use millrace_media::track::{Event, Next, Start, Track};
use moq_transport::coding::{KeyValuePairs, Location};
use moq_transport::data::{DataStreamResetCode, ExtensionHeaders, FetchRecord, FetchRecordObject};
use moq_transport::message::{GroupOrder, RequestErrorCode, StandaloneFetch, TrackExtensions};
use moq_transport::serve::ServeError;
use moq_transport::session::{FetchOkInfo, FetchRequested, FetchWriter, SessionError};
use tokio::sync::OwnedSemaphorePermit;

use super::{Session, status};
use crate::moq::priority;
use crate::moq::registry::Source;

/// How long a joining FETCH may wait for its subscription.
const PATIENCE: Duration = Duration::from_secs(10);

/// The objects that are asked for, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: Location,
    last: Location,
}

impl Range {
    /// An end whose object is 0 stands for the whole group, any other for the object before it (draft-ietf-moq-transport-18, 10.12.1).
    fn of(request: &StandaloneFetch) -> Self {
        let end = request.end_location;
        let object = end.object_id.checked_sub(1).unwrap_or(u64::MAX);
        Self { first: request.start_location, last: Location::new(end.group_id, object) }
    }

    fn has(&self, at: Location) -> bool {
        self.first <= at && at <= self.last
    }
}

/// Answers a FETCH. Holds a place meanwhile.
pub(super) async fn serve(session: Session, request: FetchRequested, _place: OwnedSemaphorePermit) {
    let resolved = tokio::time::timeout(PATIENCE, request.resolve()).await;
    let fetch = match resolved {
        Ok(Ok(Some(fetch))) => fetch,
        // It has been answered.
        Ok(Ok(None)) => return,
        Ok(Err(_)) | Err(_) => {
            return reject(request, RequestErrorCode::Timeout, "the subscription was not accepted in time");
        }
    };
    let mut admitted = match session.admit(&fetch.track_namespace).await {
        Ok(admitted) => admitted,
        Err(denied) => return reject(request, RequestErrorCode::Unauthorized, &denied.reason),
    };
    let Some(source) = session.source(&admitted.name, &fetch.track_name) else {
        return reject(request, RequestErrorCode::DoesNotExist, "there is no such track");
    };
    let range = Range::of(&fetch);
    let largest = status::largest(&source).filter(|largest| range.first <= *largest);
    let Some(largest) = largest else {
        return reject(request, RequestErrorCode::InvalidRange, "nothing of the range is there yet");
    };
    let mut groups = groups(&source, range);
    if groups.is_empty() {
        return reject(request, RequestErrorCode::InvalidRange, "nothing of the range is there any more");
    }
    if request.group_order() == Some(GroupOrder::Descending) {
        groups.reverse();
    }
    let end_location = if range.last <= largest { fetch.end_location } else { after(largest) };
    let is_over = matches!(&source, Source::Media(track, _) if track.is_ended());
    let info = FetchOkInfo {
        end_of_track: is_over && range.last >= largest,
        end_location,
        params: KeyValuePairs::default(),
        track_extensions: TrackExtensions::default(),
    };
    let Ok(mut writer) = request.respond(info).await else { return };
    let range = Range { last: range.last.min(largest), ..range };
    let written = tokio::select! {
        written = write(&mut writer, &source, range, &groups) => written,
        denied = admitted.revoked() => {
            tracing::info!(name = admitted.name, %denied, "a subscriber may no longer play");
            Err(Unfinished::Revoked)
        }
    };
    match written {
        // A stream that was stopped needs no end.
        Ok(()) => drop(writer.finish().await),
        Err(Unfinished::Stopped) => {}
        Err(Unfinished::Revoked) => writer.reset(DataStreamResetCode::Cancelled),
        Err(Unfinished::LetGo) => writer.reset(DataStreamResetCode::TooFarBehind),
    }
}

fn reject(request: FetchRequested, code: RequestErrorCode, reason: &str) {
    // A request that was cancelled needs no answer.
    let _ = request.reject(code, reason);
}

/// The end that a range has whose last object is this one.
fn after(last: Location) -> Location {
    Location::new(last.group_id, last.object_id.saturating_add(1))
}

/// The groups that have objects in the range, in rising order.
fn groups(source: &Source, range: Range) -> Vec<u64> {
    let mut groups: Vec<_> = match source {
        Source::Media(track, _) => {
            let places = track.held().into_iter().map(|fragment| location(&fragment));
            places.filter(|at| range.has(*at)).map(|at| at.group_id).collect()
        }
        Source::Catalog(_, editions) => {
            let editions = editions.borrow();
            editions.kept().map(|edition| edition.group).filter(|group| range.has(Location::new(*group, 0))).collect()
        }
    };
    groups.dedup();
    groups
}

fn location(fragment: &Fragment) -> Location {
    Location::new(fragment.place().group.0, fragment.place().object)
}

/// Why an answer ends before its end.
enum Unfinished {
    /// Nobody reads it any more.
    Stopped,
    /// The client may no longer have it.
    Revoked,
    /// The bus has let go what comes next.
    LetGo,
}

impl From<SessionError> for Unfinished {
    fn from(_: SessionError) -> Self {
        Self::Stopped
    }
}

impl From<ServeError> for Unfinished {
    fn from(_: ServeError) -> Self {
        Self::Stopped
    }
}

async fn write(writer: &mut FetchWriter, source: &Source, range: Range, groups: &[u64]) -> Result<(), Unfinished> {
    for group in groups {
        match source {
            Source::Media(track, _) => write_group(writer, track, range, Group(*group)).await?,
            Source::Catalog(form, editions) => {
                let text = {
                    let editions = editions.borrow();
                    editions.kept().find(|edition| edition.group == *group).map(|edition| edition.text(*form).clone())
                };
                write_catalog(writer, Location::new(*group, 0), text.ok_or(Unfinished::LetGo)?).await?;
            }
        }
    }
    Ok(())
}

async fn write_group(writer: &mut FetchWriter, track: &Track, range: Range, group: Group) -> Result<(), Unfinished> {
    let mut consumer = track.subscribe(Start::Group(group));
    let mut begun = false;
    loop {
        let fragment = match consumer.try_next() {
            Next::Ready(Event::Fragment(fragment)) if fragment.place().group == group => fragment,
            Next::Ready(Event::Gap { .. }) => return Err(Unfinished::LetGo),
            // The next group, or the end of what there is.
            _ if begun => return Ok(()),
            _ => return Err(Unfinished::LetGo),
        };
        begun = true;
        let at = location(&fragment);
        if !range.has(at) {
            continue;
        }
        let priority = priority::of(fragment.info().kind());
        writer.write_record(&record(at, priority, fragment.size())).await?;
        writer.write_payload(&fragment.head).await?;
        for slice in fragment.payload.slices() {
            writer.write_payload(slice).await?;
        }
    }
}

async fn write_catalog(writer: &mut FetchWriter, at: Location, text: Bytes) -> Result<(), Unfinished> {
    writer.write_record(&record(at, priority::CATALOG, text.len() as u64)).await?;
    Ok(writer.write_payload(&text).await?)
}

fn record(at: Location, priority: u8, payload_length: u64) -> FetchRecord {
    FetchRecord::Object(FetchRecordObject {
        group_id: at.group_id,
        subgroup_id: Some(0),
        object_id: at.object_id,
        publisher_priority: priority::lower_first(priority),
        extension_headers: ExtensionHeaders::default(),
        payload_length,
    })
}
