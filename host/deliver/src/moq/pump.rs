//! From a track of the bus to groups of objects, whichever stack takes them.

use std::sync::Arc;

use millrace_media::Fragment;
use millrace_media::calendar::Group;
use millrace_media::track::{Consumer, Event, Next, Start, Track, Viewer};

use super::meters::Meters;

/// Why an object was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its group holds as much as a group may. The rest of it is left out.
    Full,
    /// Nobody is left who takes anything.
    Closed,
}

/// Nobody is left who takes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// What takes the groups of a track. None of it waits.
pub(super) trait Sink {
    /// A group that objects can be added to.
    type Group;

    /// Begins a group with its first object, which is written next.
    fn begin(&mut self, first: &Fragment) -> Result<Self::Group, Closed>;

    /// Adds an object.
    fn write(&mut self, group: &mut Self::Group, object: &Fragment) -> Result<(), Refused>;

    /// The group is complete.
    fn finish(&mut self, group: Self::Group);

    /// The group ends before its end: what was added is its beginning, and nothing follows.
    fn cut(&mut self, group: Self::Group);
}

/// Reads a track from the beginning of its newest group, and is a viewer of it meanwhile.
pub(super) struct Pump<S: Sink> {
    consumer: Consumer,
    sink: S,
    meters: Arc<Meters>,
    open: Option<(Group, S::Group)>,
    /// The group whose rest is left out.
    left_out: Option<Group>,
    _viewer: Viewer,
}

impl<S: Sink> Pump<S> {
    pub(super) fn new(track: &Track, sink: S, meters: Arc<Meters>) -> Self {
        let (consumer, viewer) = (track.subscribe(Start::NewestGroup), track.view());
        Self { consumer, sink, meters, open: None, left_out: None, _viewer: viewer }
    }

    /// Takes everything that is there. True of a track that has ended.
    pub(super) fn catch_up(&mut self) -> Result<bool, Closed> {
        loop {
            match self.consumer.try_next() {
                Next::Ready(event) => self.take(event)?,
                Next::Pending => return Ok(false),
                Next::Ended => return Ok(true),
            }
        }
    }

    /// Waits for something, and takes it. True of a track that has ended. Losing the future loses nothing.
    pub(super) async fn step(&mut self) -> Result<bool, Closed> {
        match self.consumer.next().await {
            Some(event) => self.take(event).map(|()| false),
            None => Ok(true),
        }
    }

    /// The last group is as complete as it will be.
    pub(super) fn end(mut self) -> S {
        if let Some((_, group)) = self.open.take() {
            self.sink.finish(group);
        }
        self.sink
    }

    /// Nothing more may be given: the last group ends where it is.
    pub(super) fn abort(mut self) -> S {
        if let Some((_, group)) = self.open.take() {
            self.sink.cut(group);
        }
        self.sink
    }

    fn take(&mut self, event: Event) -> Result<(), Closed> {
        match event {
            Event::Fragment(fragment) => self.write(&fragment),
            Event::Gap { skipped, .. } => {
                tracing::debug!(track = %self.consumer.track().name(), skipped, "fragments were missed");
                if let Some((_, group)) = self.open.take() {
                    self.sink.cut(group);
                }
                Ok(())
            }
            Event::GroupEnd => {
                if let Some((_, group)) = self.open.take() {
                    self.sink.finish(group);
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, fragment: &Fragment) -> Result<(), Closed> {
        let number = fragment.place().group;
        if self.left_out == Some(number) {
            return Ok(());
        }
        self.left_out = None;
        let mut group = match self.open.take() {
            Some((open, group)) if open == number => group,
            before => {
                if let Some((_, group)) = before {
                    self.sink.finish(group);
                }
                self.sink.begin(fragment)?
            }
        };
        match self.sink.write(&mut group, fragment) {
            Ok(()) => {
                self.open = Some((number, group));
                self.meters.object(fragment.size());
                Ok(())
            }
            Err(Refused::Full) => {
                let track = self.consumer.track().name();
                tracing::warn!(%track, group = number.0, "a group is longer than can be served: its end is left out");
                self.sink.cut(group);
                self.left_out = Some(number);
                Ok(())
            }
            Err(Refused::Closed) => Err(Closed),
        }
    }
}
