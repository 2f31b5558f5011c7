//! What one session publishes: each broadcast is followed by a task of its own, for as long as it is announced.

use std::collections::HashMap;
use std::sync::Arc;

use moq_transport::coding::TrackNamespace;
use moq_transport::serve::ServeError;
use moq_transport::session::{PublishReceived, PublishedNamespace, Subscriber};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::broadcast::GivenUp;
use super::ietf::Namespace;
use super::refusal::Refusal;
use super::remote::Remote;
use super::{May, Published, Shared, broadcast};

/// Tracks that are pushed, for each that a catalog may have: catalogs and headers are tracks too.
const PUSHED: usize = 2;

/// Takes what a session of `moq-transport` announces and pushes, until it ends.
pub(super) async fn receive(shared: Arc<Shared>, subscriber: Subscriber, may: May) {
    let (mut announced, mut pushed) = (subscriber.clone(), subscriber.clone());
    let mut session = Ietf { shared, subscriber, may, known: HashMap::new(), tasks: JoinSet::new() };
    loop {
        tokio::select! {
            namespace = announced.published_namespace() => match namespace {
                Some(namespace) => session.announce(namespace).await,
                None => return,
            },
            track = pushed.publish_received() => match track {
                Some(track) => session.push(track).await,
                None => return,
            },
            Some(ended) = session.tasks.join_next(), if !session.tasks.is_empty() => {
                if matches!(ended, Ok(Course::Hostile)) {
                    return;
                }
                session.known.retain(|_, known| !known.task.is_finished());
            }
        }
    }
}

struct Ietf {
    shared: Arc<Shared>,
    subscriber: Subscriber,
    may: May,
    known: HashMap<TrackNamespace, Known>,
    tasks: JoinSet<Course>,
}

/// How a broadcast came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// It was given up, or its publisher has gone.
    Over,
    /// Its publisher does not stop sending: nothing but the session's end helps.
    Hostile,
}

struct Known {
    namespace: Arc<Namespace>,
    task: AbortHandle,
    /// Comes when the broadcast's name is free again.
    free: oneshot::Receiver<()>,
}

impl Ietf {
    async fn announce(&mut self, announced: PublishedNamespace) {
        let name = announced.info.namespace.clone();
        match self.namespace(&name).await {
            Ok(namespace) => namespace.announce(announced),
            Err(refusal) => {
                refused(&name.to_utf8_path(), &refusal);
                // The session may be over by now.
                let _ = announced.reject(refusal.code() as u64, &refusal.to_string());
            }
        }
    }

    async fn push(&mut self, received: PublishReceived) {
        let name = received.namespace().clone();
        let most = PUSHED * self.shared.settings.limits.max_tracks;
        match self.namespace(&name).await {
            Ok(namespace) => namespace.push(received, most),
            Err(refusal) => {
                refused(&name.to_utf8_path(), &refusal);
                received.close(ServeError::Closed(refusal.code() as u64));
            }
        }
    }

    /// The namespace of which something is said, and whose broadcast is published from here on.
    async fn namespace(&mut self, name: &TrackNamespace) -> Result<Arc<Namespace>, Refusal> {
        if let Some(known) = self.known.get(name).filter(|known| known.namespace.expect()) {
            return Ok(known.namespace.clone());
        }
        if let Some(known) = self.known.remove(name) {
            // It comes in any case: by the task's end.
            let _ = known.free.await;
        }
        room(&self.shared, self.tasks.len())?;
        let elements = name.fields.iter().map(|field| std::str::from_utf8(&field.value));
        let elements: Vec<&str> = elements.collect::<Result<_, _>>().map_err(|_| Refusal::NotText)?;
        let published = self.shared.publish(&elements.join("/"), &self.may).await?;
        let namespace = Arc::new(Namespace::new(self.subscriber.clone(), name.clone()));
        let (remote, followed) = (Remote::Ietf(namespace.clone()), namespace.clone());
        let (freed, free) = oneshot::channel();
        let task = self.tasks.spawn(async move {
            let course = tokio::select! {
                course = follow_one(remote, published) => course,
                () = followed.gone() => Course::Over,
            };
            followed.give_up();
            drop(freed);
            course
        });
        self.known.insert(name.clone(), Known { namespace: namespace.clone(), task, free });
        Ok(namespace)
    }
}

/// Takes what a session of `moq-net` announces, until it ends.
pub(super) async fn follow(shared: Arc<Shared>, origin: moq_net::origin::Consumer, may: May) {
    let mut announced = origin.announced();
    let mut known: HashMap<String, AbortHandle> = HashMap::new();
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            update = announced.next() => {
                let Some(update) = update else { return };
                let path = update.prefix.to_string();
                if !update.kind.is_active() {
                    if let Some(task) = known.remove(&path) {
                        task.abort();
                        // Its name is free for what is announced next only when it has ended.
                        while !task.is_finished() && tasks.join_next().await.is_some() {}
                    }
                } else if known.get(&path).is_none_or(AbortHandle::is_finished) {
                    match room(&shared, tasks.len()) {
                        Ok(()) => {
                            let work = follow_announced(shared.clone(), origin.clone(), path.clone(), may.clone());
                            known.insert(path, tasks.spawn(work));
                        }
                        Err(refusal) => refused(&path, &refusal),
                    }
                }
            }
            // What became of it is logged where it happened.
            Some(_) = tasks.join_next(), if !tasks.is_empty() => known.retain(|_, task| !task.is_finished()),
        }
    }
}

/// Follows what is announced under a path, and what takes its place there.
async fn follow_announced(shared: Arc<Shared>, origin: moq_net::origin::Consumer, path: String, may: May) {
    // Nothing of it is asked for before it is known whether it may be published.
    let mut published = match shared.publish(&path, &may).await {
        Ok(published) => Some(published),
        Err(refusal) => return refused(&path, &refusal),
    };
    loop {
        let broadcast = match origin.routed_broadcast(path.as_str()).await {
            Ok(broadcast) => broadcast,
            Err(error) => {
                tracing::warn!(path, %error, "what is announced cannot be read");
                return;
            }
        };
        let published = match published.take() {
            Some(published) => published,
            None => match shared.publish(&path, &may).await {
                Ok(published) => published,
                Err(refusal) => return refused(&path, &refusal),
            },
        };
        tokio::select! {
            _ = follow_one(Remote::Net(broadcast.clone()), published) => return,
            _ = broadcast.closed() => {}
        }
    }
}

fn room(shared: &Shared, published: usize) -> Result<(), Refusal> {
    let most = shared.settings.max_broadcasts;
    if published >= most { Err(Refusal::TooMany(most)) } else { Ok(()) }
}

async fn follow_one(remote: Remote, mut published: Published) -> Course {
    let source = published.source.clone();
    let settings = published.shared.settings.clone();
    let why = tokio::select! {
        why = broadcast::follow(remote, source, settings) => why,
        denied = published.admission.revoked() => GivenUp::Denied(denied),
    };
    tracing::warn!(broadcast = %published.source.name, %why, "the broadcast is given up");
    if matches!(why, GivenUp::Unstoppable(_)) { Course::Hostile } else { Course::Over }
}

fn refused(path: &str, refusal: &Refusal) {
    tracing::warn!(path, %refusal, "what a publisher announces is not taken");
    metrics::counter!("millrace_ingest_refused_total", "protocol" => super::PROTOCOL).increment(1);
}
