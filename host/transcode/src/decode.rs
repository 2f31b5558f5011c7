//! One decoder for each source track, however many encoders are fed from it.
//!
//! Encoders say which fragments they want ([`SourceDecoder::submit`]). The first to want one drives the decoder there, through every
//! fragment in between, for decoding cannot skip. Pictures come out in presentation order into a ring that all encoders read, each
//! with a cursor of its own; one that wants a fragment later than others finds its pictures there. The ring is bounded: an encoder
//! that is too slow for it loses pictures, and nobody waits for it for longer than [`PATIENCE`] a picture.

mod ring;
mod worker;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use millrace_codec::{Colour, Picture};
use millrace_media::calendar::Group;
use millrace_media::track::{Consumer, Event, Next, Start, Track};
use millrace_media::{Fragment, Time};
use tokio::sync::Notify;

use ring::{Job, State};
pub(crate) use ring::{ReaderId, Taken};

use crate::encoder::EncodeError;

/// How long the decoder waits for an encoder that holds up the ring.
const PATIENCE: Duration = Duration::from_millis(200);
/// How much media may wait to be decoded before a submission waits.
const QUEUE: Time = Time::from_millis(1_000);
/// How many decoded pictures an encoder may have before it, of those it has asked for, before its next submission waits.
const AHEAD: usize = 24;

/// A decoded picture and where it stands in the source.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    /// The sequence number of its fragment.
    pub(crate) fragment: u64,
    pub(crate) group: Group,
    /// It is the random access point that begins its group.
    pub(crate) starts_group: bool,
    /// Its sample's, in the source's timescale.
    pub(crate) duration: Time,
    pub(crate) captured_at: Option<Duration>,
    /// When the fragment arrived that brought it out of the decoder, on the bus's monotonic clock. A source with B-frames that sends a
    /// segment at a time leaves its last pictures in the decoder until the next segment: no encoder is to blame for that.
    pub(crate) arrived: Duration,
}

/// The decoders that are at work, each shared by all encoders of its track.
#[derive(Default)]
pub(crate) struct Decoders {
    open: Mutex<Vec<(Track, Weak<SourceDecoder>)>>,
}

impl Decoders {
    /// The decoder of a track, made where there is none.
    ///
    /// # Errors
    /// As [`SourceDecoder::new`].
    pub(crate) fn get(&self, track: &Track) -> Result<Arc<SourceDecoder>, EncodeError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, decoder)| decoder.strong_count() > 0);
        if let Some(decoder) = open.iter().find(|(known, _)| known.is_same(track)).and_then(|(_, weak)| weak.upgrade())
        {
            return Ok(decoder);
        }
        let decoder = Arc::new(SourceDecoder::new(track)?);
        open.push((track.clone(), Arc::downgrade(&decoder)));
        Ok(decoder)
    }
}

/// The handle that encoders share. The decoder's thread ends when the last is dropped.
pub(crate) struct SourceDecoder {
    shared: Arc<Shared>,
    /// What the source's samples mean, where it says so: a rung of another size must say the same.
    colour: Option<Colour>,
    feed: Mutex<Feed>,
}

struct Feed {
    track: Track,
    /// Begins with the group of the first fragment that is wanted.
    consumer: Option<Consumer>,
    /// The sequence number of the last fragment given to the decoder.
    fed: Option<u64>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the decoder: there is a job, or room.
    work: Condvar,
    /// Wakes the encoders: there is a picture, a submission, or the end.
    pictures: Condvar,
    /// Wakes those who wait to submit.
    progress: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SourceDecoder {
    /// A decoder of `track`, which must be an H.264 track with its CMAF header.
    ///
    /// # Errors
    /// Where nothing here decodes the track, or no thread can be had.
    pub(crate) fn new(track: &Track) -> Result<Self, EncodeError> {
        let info = track.info().ok_or_else(|| EncodeError::Invalid("the source has no CMAF header yet".into()))?;
        // Opened once here so that a track nobody can decode is refused at once, with the reason.
        let decoder = worker::open(&info)?;
        let colour = decoder.colour();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            pictures: Condvar::new(),
            progress: Notify::new(),
        });
        let worker = worker::Worker::new(shared.clone(), info, decoder);
        std::thread::Builder::new()
            .name("decode".into())
            .spawn(move || worker.run())
            .map_err(|error| EncodeError::Overloaded(format!("no thread for the decoder: {error}")))?;
        Ok(Self { shared, colour, feed: Mutex::new(Feed { track: track.clone(), consumer: None, fed: None }) })
    }

    pub(crate) fn colour(&self) -> Option<Colour> {
        self.colour
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Adds an encoder.
    pub(crate) fn add_reader(&self) -> ReaderId {
        self.shared.state().add_reader()
    }

    /// The reader's encoder wants the pictures of `fragment`. Waits while too much is waiting already.
    ///
    /// # Errors
    /// Where the decoder has failed or ended.
    pub(crate) async fn submit(&self, reader: ReaderId, fragment: &Fragment) -> Result<(), EncodeError> {
        loop {
            let progress = self.shared.progress.notified();
            let mut progress = std::pin::pin!(progress);
            progress.as_mut().enable();
            // What the decoder has been given already costs no more: an encoder that comes after others must not wait for them, for they
            // may wait for it.
            let adds = self.feed().fed.is_none_or(|fed| fed < fragment.place().sequence);
            {
                let mut state = self.shared.state();
                if let Some(reason) = state.failure() {
                    return Err(EncodeError::Failed(reason.to_owned()));
                }
                if state.has_room_for(reader, adds) {
                    state.want(reader, fragment.place().sequence);
                    break;
                }
            }
            progress.await;
        }
        self.shared.pictures.notify_all();
        self.feed_to(fragment.place().sequence, Some(fragment.place().group));
        Ok(())
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the decoder everything up to the fragment of sequence number `to`, from `group` on where it has had nothing yet.
    fn feed_to(&self, to: u64, group: Option<Group>) {
        let mut feed = self.feed();
        let Feed { track, consumer, fed } = &mut *feed;
        if consumer.is_none() {
            *consumer = group.map(|group| track.subscribe(Start::Group(group)));
        }
        let Some(consumer) = consumer else { return };
        let mut jobs = Vec::new();
        while fed.is_none_or(|fed| fed < to) {
            match consumer.try_next() {
                Next::Ready(Event::Fragment(fragment)) => {
                    *fed = Some(fragment.place().sequence);
                    jobs.push(Job::Fragment(fragment));
                }
                Next::Ready(Event::Gap { .. }) => jobs.push(Job::Gap),
                Next::Pending | Next::Ended => break,
            }
        }
        if !jobs.is_empty() {
            self.shared.state().queue(jobs);
            self.shared.work.notify_one();
        }
    }

    /// The source has ended: pictures that the decoder holds back come out.
    pub(crate) fn finish(&self) {
        self.feed_to(u64::MAX, None);
        self.shared.state().queue([Job::End]);
        self.shared.work.notify_one();
    }

    /// The reader will want nothing more; it takes what is there, then its end.
    pub(crate) fn close_reader(&self, reader: ReaderId) {
        self.shared.state().close_reader(reader);
        self.shared.pictures.notify_all();
        self.shared.work.notify_one();
    }
}

impl Drop for SourceDecoder {
    fn drop(&mut self) {
        self.shared.state().stop();
        self.shared.work.notify_all();
        self.shared.pictures.notify_all();
        self.shared.progress.notify_waiters();
    }
}

impl Shared {
    /// Waits for the reader's next picture. To be called on its encoder's own thread.
    pub(crate) fn take(&self, reader: ReaderId) -> Taken {
        let mut state = self.state();
        loop {
            match state.take(reader) {
                Some(taken) => {
                    drop(state);
                    self.work.notify_one();
                    self.progress.notify_waiters();
                    return taken;
                }
                None => state = self.pictures.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The encoder of this reader is gone.
    pub(crate) fn remove_reader(&self, reader: ReaderId) {
        self.state().remove_reader(reader);
        self.work.notify_one();
        self.progress.notify_waiters();
    }
}
