//! What the other side publishes, whichever stack speaks to it: broadcasts whose tracks are read object by object.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use millrace_media::Payload;
use tokio::time::Instant;

use super::order::{OVERHEAD, Object, Order, Start, Step};
use super::{PROTOCOL, ietf, net};
use crate::lane;

/// How long the other side may take to stop when it is asked to.
const STOPS: Duration = Duration::from_secs(5);

/// What a track's objects may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The longest object, in bytes.
    pub(super) object: u32,
    /// The most that its open streams may have brought, in bytes: `moq-transport` keeps all that a stream brings until it ends,
    /// objects of no bytes too.
    pub(super) open: u64,
}

/// A broadcast of the other side. Cheap to clone.
#[derive(Clone)]
pub(super) enum Remote {
    /// Spoken by `moq-net`.
    Net(moq_net::broadcast::Consumer),
    /// Spoken by `moq-transport`.
    Ietf(std::sync::Arc<ietf::Namespace>),
}

impl Remote {
    /// Begins to read a track. Waits until the other side has agreed.
    ///
    /// # Errors
    /// With what the other side says where it has no such track.
    pub(super) async fn open(&self, track: &str, start: Start, bounds: Bounds) -> Result<Reading, String> {
        let mut reading = Reading::new(start, bounds);
        match self {
            Self::Net(broadcast) => reading.groups = Some(Groups::Net(Box::new(net::open(broadcast, track).await?))),
            Self::Ietf(namespace) => {
                let (groups, earlier) = namespace.open(track, start, bounds).await?;
                reading.groups = Some(Groups::Ietf(Box::new(groups)));
                if let Some(earlier) = earlier {
                    reading.streams.push(Box::pin(async { Heard::Earlier(earlier.await) }));
                }
            }
        }
        Ok(reading)
    }
}

/// The streams of a track as they come.
pub(super) enum Groups {
    Net(Box<moq_net::track::Subscriber>),
    Ietf(Box<ietf::Groups>),
}

impl Groups {
    /// The next one; none once the track is over.
    async fn next(&mut self) -> Option<Stream> {
        match self {
            Self::Net(track) => net::next(track).await.map(|group| Stream::Net(Box::new(group))),
            Self::Ietf(groups) => groups.next().await.map(Stream::Ietf),
        }
    }
}

/// Objects of one group, in rising order.
pub(super) enum Stream {
    Net(Box<moq_net::group::Consumer>),
    Ietf(moq_transport::serve::SubgroupReader),
}

/// Why a stream cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It ended in the middle of something.
    #[error("it broke off: {0}")]
    Off(String),
    /// An object is too large.
    #[error("an object of {size} bytes is longer than the limit of {limit}")]
    TooLarge { size: u64, limit: u32 },
}

/// What a stream brought.
pub(super) struct Found {
    /// An object with its number; none where it is only said that there is none.
    pub(super) object: Option<(u64, Payload)>,
    /// What the stack keeps of it until the stream ends, in bytes.
    pub(super) kept: u64,
}

impl Stream {
    fn group(&self) -> u64 {
        match self {
            Self::Net(group) => group.sequence,
            Self::Ietf(subgroup) => subgroup.group_id,
        }
    }

    async fn next(&mut self, limit: u32) -> Result<Option<Found>, Broken> {
        match self {
            Self::Net(group) => net::object(group, limit).await,
            Self::Ietf(subgroup) => ietf::object(subgroup, limit).await,
        }
    }
}

/// What was heard of a track.
enum Heard {
    /// Of a stream, of which so many bytes are kept.
    Stream { stream: Stream, bytes: u64, found: Result<Option<Found>, Broken> },
    /// What came before the track was begun to be read.
    Earlier(Vec<Object>),
}

fn listen(mut stream: Stream, bytes: u64, limit: u32) -> BoxFuture<'static, Heard> {
    Box::pin(async move {
        let found = stream.next(limit).await;
        Heard::Stream { stream, bytes, found }
    })
}

/// Why nothing more comes of a track.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    /// The other side says so, or is gone.
    #[error("it has ended")]
    Over,
    /// A group does not end.
    #[error("groups that have not ended are longer than the limit of {0} bytes together")]
    Endless(u64),
    /// An object is too large.
    #[error("{0}")]
    TooLarge(Broken),
}

/// A track that is being read: all of its streams at once, of which a connection may have only so many open.
pub(super) struct Reading {
    groups: Option<Groups>,
    streams: FuturesUnordered<BoxFuture<'static, Heard>>,
    /// What the open streams have brought, in bytes.
    open: u64,
    order: Order,
    bounds: Bounds,
    began: Instant,
}

impl Reading {
    fn new(start: Start, bounds: Bounds) -> Self {
        let order = Order::new(start, bounds.open);
        Self { groups: None, streams: FuturesUnordered::new(), open: 0, order, bounds, began: Instant::now() }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What comes next.
    ///
    /// # Errors
    /// Where nothing more does; or where an object is too large: it is passed over, and what comes after it can be read.
    pub(super) async fn next(&mut self) -> Result<Step, End> {
        loop {
            if let Some(step) = self.order.step(self.now()) {
                return Ok(step);
            }
            if self.open > self.bounds.open {
                return Err(End::Endless(self.bounds.open));
            }
            let deadline = self.order.deadline().map(|deadline| self.began + deadline);
            if self.groups.is_none() && self.streams.is_empty() && deadline.is_none() {
                return Err(End::Over);
            }
            tokio::select! {
                stream = next_of(&mut self.groups), if self.groups.is_some() => match stream {
                    Some(stream) => self.take_up(stream),
                    None => self.groups = None,
                },
                Some(heard) = self.streams.next(), if !self.streams.is_empty() => self.hear(heard)?,
                () = until(deadline), if deadline.is_some() => {}
            }
        }
    }

    /// The publisher's groups are not those of its pictures.
    pub(super) fn distrust_ends(&mut self) {
        self.order.distrust_ends();
    }

    /// Ends the subscription, and waits until the other side has stopped sending. False where it does not.
    pub(super) async fn stop(mut self) -> bool {
        let keeps = matches!(self.groups, Some(Groups::Ietf(_)));
        self.groups = None;
        if !keeps {
            return true;
        }
        let (mut left, limit) = (self.bounds.open, self.bounds.object);
        let drained = async {
            while let Some(heard) = self.streams.next().await {
                let Heard::Stream { stream, bytes, found } = heard else { continue };
                let size = match &found {
                    Ok(Some(found)) => found.kept,
                    Err(Broken::TooLarge { size, .. }) => size.saturating_add(OVERHEAD),
                    Ok(None) | Err(Broken::Off(_)) => continue,
                };
                let Some(rest) = left.checked_sub(size) else { return false };
                left = rest;
                self.streams.push(listen(stream, bytes, limit));
            }
            true
        };
        tokio::time::timeout(STOPS, drained).await.unwrap_or(false)
    }

    /// Reads what still comes of a track that is no longer wanted, until the other side has stopped sending. False where that is
    /// more than may be kept.
    pub(super) async fn leave(mut self) -> bool {
        match &self.groups {
            Some(Groups::Net(_)) => return true,
            Some(Groups::Ietf(groups)) if groups.is_pushed() => {}
            _ => self.groups = None,
        }
        loop {
            match self.next().await {
                Ok(_) | Err(End::TooLarge(_)) => {}
                Err(End::Over) => return true,
                Err(End::Endless(_)) => return false,
            }
        }
    }

    fn take_up(&mut self, stream: Stream) {
        // One that comes too late is read too, so that what it takes is known.
        let now = self.now();
        self.order.open(stream.group(), now);
        self.streams.push(listen(stream, 0, self.bounds.object));
    }

    fn hear(&mut self, heard: Heard) -> Result<(), End> {
        match heard {
            Heard::Stream { stream, bytes, found: Ok(Some(Found { object, kept })) } => {
                self.open = self.open.saturating_add(kept);
                let bytes = bytes.saturating_add(kept);
                if let Some((id, payload)) = object {
                    self.push(Object { group: stream.group(), id, payload });
                }
                self.streams.push(listen(stream, bytes, self.bounds.object));
            }
            Heard::Stream { stream, bytes, found: Ok(None) } => {
                self.open = self.open.saturating_sub(bytes);
                self.order.close(stream.group(), false);
            }
            Heard::Stream { stream, bytes, found: Err(error @ Broken::Off(_)) } => {
                tracing::debug!(%error, group = stream.group(), "a stream cannot be read on");
                self.open = self.open.saturating_sub(bytes);
                self.order.close(stream.group(), true);
            }
            Heard::Stream { stream, bytes, found: Err(error @ Broken::TooLarge { size, .. }) } => {
                // The stack keeps it all the same.
                let kept = size.saturating_add(OVERHEAD);
                self.open = self.open.saturating_add(kept);
                self.streams.push(listen(stream, bytes.saturating_add(kept), self.bounds.object));
                return Err(End::TooLarge(error));
            }
            Heard::Earlier(objects) => objects.into_iter().for_each(|object| self.push(object)),
        }
        Ok(())
    }

    fn push(&mut self, object: Object) {
        let now = self.now();
        if let Some(reason) = self.order.push(object, now) {
            lane::dropped(PROTOCOL, reason);
        }
    }
}

async fn next_of(groups: &mut Option<Groups>) -> Option<Stream> {
    match groups {
        Some(groups) => groups.next().await,
        None => None,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use moq_transport::coding::TrackNamespace;
    use moq_transport::data::{ExtensionHeaders, ObjectStatus};
    use moq_transport::serve::{SubgroupInfo, SubgroupWriter, Track};

    use super::*;

    const OBJECTS: u64 = 100;
    const BOUNDS: Bounds = Bounds { object: 1 << 20, open: OBJECTS * OVERHEAD };

    /// How a track ends of which one stream has been written, and is still open.
    async fn end(write: impl Fn(&mut SubgroupWriter, u64)) -> End {
        let track = Arc::new(Track::new(TrackNamespace::from_utf8_path("live/me"), "v"));
        let (mut writer, reader) = SubgroupInfo { track, group_id: 0, subgroup_id: 0, priority: 127 }.produce();
        (0..=OBJECTS).for_each(|id| write(&mut writer, id));
        let mut reading = Reading::new(Start::Anywhere, BOUNDS);
        reading.take_up(Stream::Ietf(reader));
        loop {
            if let Err(end) = reading.next().await {
                return end;
            }
        }
    }

    #[tokio::test]
    async fn objects_of_no_bytes_count_towards_what_is_kept() {
        let empty = end(|writer, _| writer.write(Bytes::new()).unwrap()).await;
        assert_eq!(empty, End::Endless(BOUNDS.open));
        let missing = end(|writer, id| {
            drop(writer.create_with_id_and_status(id, 0, ObjectStatus::EndOfGroup, None).unwrap());
        });
        assert_eq!(missing.await, End::Endless(BOUNDS.open));
    }

    #[tokio::test]
    async fn properties_count_towards_what_is_kept() {
        let mut properties = ExtensionHeaders::new();
        properties.set_bytesvalue(1, vec![0; BOUNDS.open as usize]);
        let write = |writer: &mut SubgroupWriter, id| {
            let properties = (id == 0).then(|| properties.clone());
            drop(writer.create_with_id(2 * id, 0, properties).unwrap());
        };
        assert_eq!(end(write).await, End::Endless(BOUNDS.open));
    }
}
