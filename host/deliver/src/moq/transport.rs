//! `moq-transport`: what the other side of a session asks, answered from the bus.

mod announce;
mod fetch;
mod groups;
mod names;
mod namespaces;
mod status;
mod subscription;

use std::sync::Arc;

use moq_transport::coding::{TrackName, TrackNamespace};
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::ServeError;
use moq_transport::session::{FetchRequested, Publisher, Subscribed, SubscribedNamespace, SubscribedTracks};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::registry::{Shared, Source};
pub(super) use announce::announce;

/// One session, as seen by those who answer in it. Cheap to clone.
#[derive(Clone)]
struct Session {
    shared: Arc<Shared>,
    /// What may still be asked for.
    places: Arc<Semaphore>,
}

impl Session {
    fn new(shared: Arc<Shared>) -> Self {
        let places = Arc::new(Semaphore::new(shared.settings.max_subscriptions.min(Semaphore::MAX_PERMITS)));
        Self { shared, places }
    }

    /// A place for something that stays open; none where there are as many as there may be.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.shared.transport.refused();
        }
        place
    }

    /// What a track of a namespace stands for.
    fn source(&self, namespace: &TrackNamespace, track: &TrackName) -> Option<Source> {
        let source = self.found(namespace, track);
        if source.is_none() {
            self.shared.transport.refused();
        }
        source
    }

    fn found(&self, namespace: &TrackNamespace, track: &TrackName) -> Option<Source> {
        let (name, track) = (names::name(namespace)?, std::str::from_utf8(track.as_ref()).ok()?);
        self.shared.source(&name, track)
    }

    /// Waits until a track of a namespace stands for something.
    async fn appeared(&self, namespace: &TrackNamespace, track: &TrackName) -> Source {
        let mut changes = self.shared.changes();
        loop {
            changes.mark_unchanged();
            if let Some(source) = self.found(namespace, track) {
                return source;
            }
            if changes.changed().await.is_err() {
                // The server stops.
                return std::future::pending().await;
            }
        }
    }

    fn subscribed(&self, subscribed: Subscribed, tasks: &mut JoinSet<()>) {
        match self.place() {
            Some(place) => drop(tasks.spawn(subscription::serve(self.clone(), subscribed, place))),
            None => refuse(subscribed, ServeError::Closed(RequestErrorCode::ExcessiveLoad.into())),
        }
    }

    fn fetch(&self, request: FetchRequested, tasks: &mut JoinSet<()>) {
        match self.place() {
            Some(place) => drop(tasks.spawn(fetch::serve(self.clone(), request, place))),
            // A request that was cancelled needs no answer.
            None => drop(request.reject(RequestErrorCode::ExcessiveLoad, TOO_MANY)),
        }
    }

    fn namespaces(&self, request: SubscribedNamespace, tasks: &mut JoinSet<()>) {
        match self.place() {
            Some(place) => drop(tasks.spawn(namespaces::serve(self.clone(), request, place))),
            // A request that was cancelled needs no answer.
            None => drop(request.reject(RequestErrorCode::ExcessiveLoad.into(), TOO_MANY)),
        }
    }
}

/// What one who asks for more than there may be is told.
const TOO_MANY: &str = "there are as many subscriptions and fetches as there may be";

fn refuse(subscribed: Subscribed, error: ServeError) {
    // A request that was cancelled needs no answer.
    let _ = subscribed.close(error);
}

/// Nobody is answered with a track for each PUBLISH: what there is stands in the catalog.
fn refuse_tracks(request: SubscribedTracks) {
    // A request that was cancelled needs no answer.
    let _ = request.reject(RequestErrorCode::NotSupported.into(), "tracks are not pushed: subscribe to the catalog");
}

/// Answers everything until it is dropped. What it has begun ends with it.
pub(super) async fn serve(shared: Arc<Shared>, publisher: Publisher) {
    answer(Session::new(shared), publisher).await;
}

async fn answer(session: Session, publisher: Publisher) {
    publisher.accept_fetch();
    let (mut subscriptions, mut fetches) = (publisher.clone(), publisher.clone());
    let (mut namespaces, mut tracks, mut statuses) = (publisher.clone(), publisher.clone(), publisher);
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            Some(subscribed) = subscriptions.subscribed() => session.subscribed(subscribed, &mut tasks),
            Some(request) = fetches.fetch_requested() => session.fetch(request, &mut tasks),
            Some(request) = namespaces.subscribed_namespace() => session.namespaces(request, &mut tasks),
            Some(request) = tracks.subscribed_tracks() => refuse_tracks(request),
            Some(request) = statuses.track_status_requested() => status::answer(&session, request),
            Some(_) = tasks.join_next() => {}
            // Nothing can be asked any more.
            else => return,
        }
    }
}
