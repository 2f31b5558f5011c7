//! `moq-transport`: what the other side of a session asks, answered from the bus.

mod announce;
mod fetch;
mod groups;
mod names;
mod namespaces;
mod status;
mod subscription;

use std::sync::Arc;

use millrace_media::BroadcastName;
use millrace_media::access::{Admission, Denied, Guard};
use moq_transport::coding::{TrackName, TrackNamespace};
use moq_transport::message::RequestErrorCode;
use moq_transport::serve::ServeError;
use moq_transport::session::{
    FetchRequested, Publisher, Subscribed, SubscribedNamespace, SubscribedTracks, TrackStatusRequested,
};
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
    /// Who is asked what the client may play.
    guard: Guard,
}

impl Session {
    fn new(shared: Arc<Shared>, guard: Guard) -> Self {
        let places = Arc::new(Semaphore::new(shared.settings.max_subscriptions.min(Semaphore::MAX_PERMITS)));
        Self { shared, places, guard }
    }

    /// A place for something that stays open; none where there are as many as there may be.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.shared.transport.refused();
        }
        place
    }

    /// What the client gets where it asks for a namespace.
    ///
    /// # Errors
    /// Where it may not play that.
    async fn admit(&self, namespace: &TrackNamespace) -> Result<Admitted, Denied> {
        let name = names::name(namespace).unwrap_or_default();
        if self.guard.is_open() {
            return Ok(Admitted { name, admission: None });
        }
        // No broadcast has such a name: there is nothing to be asked.
        let Ok(asked) = BroadcastName::new(&name) else { return Ok(Admitted { name, admission: None }) };
        let (name, admission) = self.shared.admit(&self.guard, &asked).await.inspect_err(|denied| {
            tracing::info!(name, %denied, "a subscriber may not play");
            self.shared.transport.refused();
        })?;
        Ok(Admitted { name: name.to_string(), admission: Some(admission) })
    }

    /// What a track of a broadcast or a view stands for.
    fn source(&self, name: &str, track: &TrackName) -> Option<Source> {
        let source = self.found(name, track);
        if source.is_none() {
            self.shared.transport.refused();
        }
        source
    }

    fn found(&self, name: &str, track: &TrackName) -> Option<Source> {
        self.shared.source(name, std::str::from_utf8(track.as_ref()).ok()?)
    }

    /// Waits until a track of a broadcast or a view stands for something.
    async fn appeared(&self, name: &str, track: &TrackName) -> Source {
        let mut changes = self.shared.changes();
        loop {
            changes.mark_unchanged();
            if let Some(source) = self.found(name, track) {
                return source;
            }
            if changes.changed().await.is_err() {
                // The server stops.
                return std::future::pending().await;
            }
        }
    }

    fn status(&self, request: TrackStatusRequested, tasks: &mut JoinSet<()>) {
        match self.place() {
            Some(place) => drop(tasks.spawn(status::serve(self.clone(), request, place))),
            None => status::refuse(request, RequestErrorCode::ExcessiveLoad, TOO_MANY),
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

/// What a client may play.
struct Admitted {
    /// The broadcast or view.
    name: String,
    /// None where nobody was asked.
    admission: Option<Admission>,
}

impl Admitted {
    /// Waits until the client may no longer play it.
    async fn revoked(&mut self) -> Denied {
        match &mut self.admission {
            Some(admission) => admission.revoked().await,
            None => std::future::pending().await,
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
pub(super) async fn serve(shared: Arc<Shared>, publisher: Publisher, guard: Guard) {
    answer(Session::new(shared, guard), publisher).await;
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
            Some(request) = statuses.track_status_requested() => session.status(request, &mut tasks),
            Some(_) = tasks.join_next() => {}
            // Nothing can be asked any more.
            else => return,
        }
    }
}
