//! One decoder for each source track, however many encoders are fed from it.
//!
//! Encoders say which fragments they want ([`SourceDecoder::submit`]). The first to want one drives the decoder there, through every
//! fragment in between, for decoding cannot skip within a group. Pictures come out in presentation order into a ring that all encoders
//! read, each with a cursor of its own; one that wants a fragment later than others finds its pictures there, and one that wants the
//! size of another finds that ([`Decoded::scaled`]). The ring is bounded, scaled pictures included: an encoder that is too slow for it
//! loses pictures, and nobody waits for it for longer than [`PATIENCE`] a group.
//!
//! An encoder may [rest](SourceDecoder::rest). Once all do, nothing is decoded; the decoder then goes on with the group that is wanted
//! next, and never with what nobody wanted in between.
//!
//! What goes wrong with a source stays with its decoder:
//!
//! | what comes | what happens |
//! | --- | --- |
//! | a damaged access unit, or one whose references are missing | its picture is left out, and those that depend on it; decoding goes on with the next that it can begin at |
//! | a lost fragment | the same |
//! | another CMAF header (size, codec) | what was decoded comes out, then a decoder for the new header takes over |
//! | a header that nothing here decodes | submissions say so until another header comes; rungs and their tracks stay |
//! | pictures that change their size without a header | left out as damaged, until they have the header's size again |
//! | a time that jumps ahead | pictures keep their times, and a picture before the jump the length of its sample |
//! | a time that goes back | never comes here: the bus refuses the fragment, and an ingest begins a new epoch |
//! | no random access point for long | one long group, decoded and encoded as such |
//! | a sample that is not one access unit | refused before it is decoded; goes on as after damage |
//! | frames larger than [`Decoding::max_frame`], in the header or in mid-stream | as a header that nothing decodes, or as damage |
//! | more luma samples a second than [`Decoding::max_rate`] | what exceeds it is dropped, with what depends on it, and counted |
//! | a publisher that goes, with much left to decode | a second is spent on decoding, and the rest is dropped |
//! | a failing library | it is opened anew at the next group, [`worker::STRIKES`] times without a picture, then as a header nothing decodes |

mod disposable;
mod lengths;
mod limits;
mod past;
mod ring;
mod scaled;
mod source;
mod tally;
mod worker;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use millrace_codec::{Colour, Picture, ScaleError, Scaler, Size};
use millrace_media::calendar::{Epoch, Group};
use millrace_media::track::{Consumer, Event, Info, Next, Start, Track};
use millrace_media::{Broadcast, Fragment, Time};
use tokio::sync::Notify;

pub use limits::Decoding;
pub(crate) use limits::{Bucket, LastWork};
use past::Past;
use ring::{Job, State};
pub(crate) use ring::{ReaderId, Taken};
pub(crate) use source::Source;
pub(crate) use tally::Dropped;
use tally::Tally;

use crate::encoder::{EncodeError, Load};
use crate::threads::Spawner;

/// How long the decoder waits for an encoder that holds up the ring.
const PATIENCE: Duration = Duration::from_millis(200);
/// How much media may wait to be decoded before a submission waits.
const QUEUE: Time = Time::from_millis(1_000);
/// How many fragments may, however short they are.
const QUEUE_FRAGMENTS: usize = 256;
/// A submission this far ahead of what was decoded last goes there at once, whoever is still in between: who is so far behind has lost
/// its group anyway.
const CATCH_UP: Time = Time::from_millis(2_000);
/// How many decoded pictures an encoder may have before it, of those it has asked for, before its next submission waits.
const AHEAD: usize = 24;

/// A decoded picture and where it stands in the source.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) picture: Picture,
    /// The sequence number of its fragment.
    pub(crate) fragment: u64,
    /// Its fragment's. A picture presented before the one that starts the group belongs to the group before.
    pub(crate) group: Group,
    pub(crate) epoch: Epoch,
    /// It is the random access point that begins its group.
    pub(crate) starts_group: bool,
    /// No other picture refers to it.
    pub(crate) discardable: bool,
    /// Until the next picture is presented, in the source's timescale.
    pub(crate) duration: Time,
    pub(crate) captured_at: Option<Duration>,
    /// When the fragment arrived that brought it out of the decoder, on the bus's monotonic clock. A source with B-frames that sends a
    /// segment at a time leaves its last pictures in the decoder until the next segment: no encoder is to blame for that.
    pub(crate) arrived: Duration,
    sizes: scaled::Sizes,
}

impl Decoded {
    /// The picture in the scaler's size, and whether this call made it: it is made once, whoever asks.
    ///
    /// # Errors
    /// As [`Scaler::scale`].
    pub(crate) fn scaled(&self, scaler: &mut Scaler) -> Result<(Picture, bool), ScaleError> {
        self.sizes.get(&self.picture, scaler)
    }
}

/// The decoders that are at work, each shared by all encoders of its track.
pub(crate) struct Decoders {
    decoding: Decoding,
    open: Mutex<Open>,
    past: Arc<Past>,
    threads: Spawner,
}

impl Default for Decoders {
    fn default() -> Self {
        Self::new(Decoding::default())
    }
}

/// Nothing here keeps a broadcast: it would keep its media after its end.
#[derive(Default)]
struct Open {
    decoders: Vec<Weak<SourceDecoder>>,
    /// What is counted of sound, which has no decoders that are shared.
    sounds: Vec<Weak<Watched>>,
    /// When decoding is to stop, on the bus's monotonic clock.
    deadline: Option<Duration>,
}

/// What is counted of a source's sound by one of its encoders.
pub(crate) struct Watched {
    pub(crate) source: Source,
    pub(crate) tally: Tally,
    past: Arc<Past>,
}

impl Watched {
    fn notes(&self) -> Vec<String> {
        self.tally.notes(self.source.track.name().as_str(), crate::sound::LIMIT)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.past.keep(&self.source.broadcast, self.notes());
    }
}

impl Decoders {
    /// Decoders of sources that may ask for so much. Their threads, and those of the encoders, have the priority of the calling thread.
    pub(crate) fn new(decoding: Decoding) -> Self {
        Self { decoding, open: Mutex::default(), past: Arc::default(), threads: Spawner::new() }
    }

    /// Makes the threads of decoders and encoders.
    pub(crate) fn threads(&self) -> &Spawner {
        &self.threads
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The decoder of a track, made where there is none.
    ///
    /// # Errors
    /// As [`SourceDecoder::new`].
    pub(crate) fn get(&self, source: &Source) -> Result<Arc<SourceDecoder>, EncodeError> {
        let mut open = self.open();
        open.decoders.retain(|decoder| decoder.strong_count() > 0);
        let mut known = open.decoders.iter().filter_map(Weak::upgrade);
        if let Some(decoder) = known.find(|decoder| decoder.source.track.is_same(&source.track)) {
            return Ok(decoder);
        }
        let opened = SourceDecoder::new(source, self.decoding, self.past.clone(), &self.threads);
        self.past.refuse(source, opened.as_ref().err().map(ToString::to_string));
        let decoder = Arc::new(opened?);
        if let Some(deadline) = open.deadline {
            decoder.stop_by(deadline);
        }
        open.decoders.push(Arc::downgrade(&decoder));
        Ok(decoder)
    }

    /// From this time on, on the bus's monotonic clock, nothing more is decoded.
    pub(crate) fn stop_by(&self, deadline: Duration) {
        let mut open = self.open();
        open.deadline = Some(deadline);
        open.decoders.iter().filter_map(Weak::upgrade).for_each(|decoder| decoder.stop_by(deadline));
    }

    /// True from that time on.
    pub(crate) fn is_stopped(&self, now: Duration) -> bool {
        self.open().deadline.is_some_and(|deadline| now >= deadline)
    }

    /// What an encoder of sound drops of a source is counted here.
    pub(crate) fn watch(&self, source: Source) -> Arc<Watched> {
        let watched = Arc::new(Watched { source, tally: Tally::new(), past: self.past.clone() });
        let mut open = self.open();
        open.sounds.retain(|watched| watched.strong_count() > 0);
        open.sounds.push(Arc::downgrade(&watched));
        watched
    }

    /// Sentences for the operator about what is not decoded of a broadcast.
    pub(crate) fn notes(&self, broadcast: &Broadcast) -> Vec<String> {
        let mut notes = self.past.of(broadcast);
        let (decoders, sounds): (Vec<_>, Vec<_>) = {
            let open = self.open();
            (
                open.decoders.iter().filter_map(Weak::upgrade).collect(),
                open.sounds.iter().filter_map(Weak::upgrade).collect(),
            )
        };
        let decoders = decoders.iter().filter(|decoder| decoder.source.broadcast.is_same(broadcast));
        notes.extend(decoders.flat_map(|decoder| decoder.notes()));
        let sounds = sounds.iter().filter(|watched| watched.source.broadcast.is_same(broadcast));
        notes.extend(sounds.flat_map(|watched| watched.notes()));
        notes
    }
}

/// The handle that encoders share. The decoder's thread ends when the last is dropped.
pub(crate) struct SourceDecoder {
    shared: Arc<Shared>,
    source: Source,
    past: Arc<Past>,
    /// How well the machine carries the rungs of this source.
    load: Arc<Load>,
    decoding: Decoding,
    feed: Mutex<Feed>,
    described: Mutex<Described>,
}

/// What the samples of pictures mean that come with a CMAF header, where the stream says it.
struct Described {
    init: Bytes,
    colour: Option<Colour>,
}

struct Feed {
    track: Track,
    /// Begins with the group of the first fragment that is wanted.
    consumer: Option<Consumer>,
    /// The last fragment given to the decoder.
    fed: Option<Fed>,
}

#[derive(Clone, Copy)]
struct Fed {
    sequence: u64,
    group: Group,
    at: Time,
}

impl From<&Fragment> for Fed {
    fn from(fragment: &Fragment) -> Self {
        let place = fragment.place();
        Self { sequence: place.sequence, group: place.group, at: fragment.decode_time }
    }
}

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Wakes the decoder: there is a job, or room.
    work: Condvar,
    /// Wakes the encoders: there is a picture, a submission, or the end.
    pictures: Condvar,
    /// Wakes those who wait to submit.
    progress: Notify,
    tally: Tally,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SourceDecoder {
    /// A decoder of a source's track, which must be a video track with its CMAF header.
    ///
    /// # Errors
    /// Where nothing here decodes the track, or no thread can be had.
    fn new(source: &Source, decoding: Decoding, past: Arc<Past>, threads: &Spawner) -> Result<Self, EncodeError> {
        let track = &source.track;
        let info = track.info().ok_or_else(|| EncodeError::Invalid("the source has no CMAF header yet".into()))?;
        let no_thread = |error| EncodeError::Overloaded(format!("no thread for the decoder: {error}"));
        // Opened once here so that a track nobody can decode is refused at once, with the reason.
        let describes = info.clone();
        let opened = threads.run("open decoder", move || worker::open(&describes, decoding)).map_err(no_thread)??;
        let described = Described { init: info.init.clone(), colour: opened.decoder.colour() };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            pictures: Condvar::new(),
            progress: Notify::new(),
            tally: Tally::new(),
        });
        let worker = worker::Worker::new(shared.clone(), source.clone(), decoding, info, opened);
        threads.spawn("decode".into(), move || worker.run()).map_err(no_thread)?;
        let feed = Feed { track: track.clone(), consumer: None, fed: None };
        let load = Arc::new(Load::new(track));
        let (feed, described) = (Mutex::new(feed), Mutex::new(described));
        Ok(Self { shared, source: source.clone(), past, load, decoding, feed, described })
    }

    /// Sentences for the operator about what was not decoded.
    fn notes(&self) -> Vec<String> {
        let millions = self.decoding.max_rate as f64 / 1e6;
        let limit =
            format!("they are more than {millions} million pixels a second, the limit of `transcode.max_decode`");
        self.shared.tally.notes(self.source.track.name().as_str(), &limit)
    }

    fn stop_by(&self, deadline: Duration) {
        self.shared.state().stop_by(deadline);
        self.shared.work.notify_one();
    }

    /// What the samples of the source mean, described by `info`: a rung of another size must say the same.
    ///
    /// # Errors
    /// Where nothing here decodes what it describes.
    pub(crate) fn colour(&self, info: &Info) -> Result<Option<Colour>, EncodeError> {
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        if described.init != info.init {
            *described =
                Described { init: info.init.clone(), colour: worker::open(info, self.decoding)?.decoder.colour() };
        }
        Ok(described.colour)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// How many pictures have been decoded.
    #[cfg(test)]
    pub(crate) fn decoded(&self) -> u64 {
        self.shared.state().pushed()
    }

    /// Adds an encoder that scales to `size`.
    pub(crate) fn add_reader(&self, size: Size) -> ReaderId {
        self.shared.state().add_reader(size)
    }

    /// The reader's encoder wants the pictures of `fragment`. Waits while too much is waiting already.
    ///
    /// # Errors
    /// Where the decoder cannot decode it.
    pub(crate) async fn submit(&self, reader: ReaderId, fragment: &Fragment) -> Result<(), EncodeError> {
        let sequence = fragment.place().sequence;
        loop {
            let progress = self.shared.progress.notified();
            let mut progress = std::pin::pin!(progress);
            progress.as_mut().enable();
            // What the decoder has been given already costs no more: an encoder that comes after others must not wait for them, for they
            // may wait for it.
            let adds = self.feed().fed.is_none_or(|fed| fed.sequence < sequence);
            {
                let mut state = self.shared.state();
                if let Some(reason) = state.failure(&fragment.info().init) {
                    return Err(EncodeError::Failed(reason.to_owned()));
                }
                if state.has_room_for(reader, adds) {
                    state.want(reader, sequence, fragment.starts_group());
                    break;
                }
            }
            progress.await;
        }
        self.shared.pictures.notify_all();
        self.feed_for(reader, fragment);
        Ok(())
    }

    /// The reader's encoder wants nothing until it submits again, which is to be the first fragment of a group. It takes what it has
    /// asked for, then it is told that it rests.
    pub(crate) fn rest(&self, reader: ReaderId, now: Duration) {
        let mut state = self.shared.state();
        if state.rest(reader) {
            // Pictures held back for reordering come out: nothing will push them.
            state.queue([Job::Gap(Some(now))]);
        }
        drop(state);
        self.shared.pictures.notify_all();
        self.shared.work.notify_one();
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the decoder everything up to this fragment, from its group on where the decoder has had nothing yet, or where nobody
    /// wants what lies between.
    fn feed_for(&self, reader: ReaderId, fragment: &Fragment) {
        let mut feed = self.feed();
        let (to, group) = (fragment.place().sequence, fragment.place().group);
        let mut jobs = Vec::new();
        let leaps = feed.fed.is_some_and(|fed| {
            let wanted = || self.shared.state().is_read_beside(reader);
            fed.group < group && fed.sequence + 1 < to && (fragment.decode_time - fed.at > CATCH_UP || !wanted())
        });
        if leaps {
            jobs.push(Job::Gap(Some(fragment.arrived())));
        }
        if leaps || feed.consumer.is_none() {
            feed.consumer = Some(feed.track.subscribe(Start::Group(group)));
        }
        self.feed_to(&mut feed, to, jobs);
    }

    fn feed_to(&self, feed: &mut Feed, to: u64, mut jobs: Vec<Job>) {
        let Some(consumer) = &mut feed.consumer else { return };
        while feed.fed.is_none_or(|fed| fed.sequence < to) {
            match consumer.try_next() {
                Next::Ready(Event::Fragment(fragment)) => {
                    feed.fed = Some(Fed::from(&fragment));
                    jobs.push(Job::Fragment(fragment));
                }
                Next::Ready(Event::Gap { .. }) => jobs.push(Job::Gap(None)),
                Next::Ready(Event::GroupEnd) => {}
                Next::Pending | Next::Ended => break,
            }
        }
        if !jobs.is_empty() {
            self.shared.state().queue(jobs);
            self.shared.work.notify_one();
        }
    }

    /// The source has ended, and the reader has asked for all it wants: pictures that the decoder holds back come out.
    pub(crate) fn finish(&self, reader: ReaderId, now: Duration) {
        // Others may have yet to ask for the last fragments, and nothing can be decoded after what is held back has come out.
        if self.shared.state().is_read_beside(reader) {
            self.feed_to(&mut self.feed(), u64::MAX, Vec::new());
        }
        self.shared.state().queue([Job::Gap(Some(now))]);
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
        self.past.keep(&self.source.broadcast, self.notes());
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

    /// The reader scales to another size from now on.
    pub(crate) fn set_size(&self, reader: ReaderId, size: Size) {
        self.state().set_size(reader, size);
    }

    /// The encoder of this reader is gone.
    pub(crate) fn remove_reader(&self, reader: ReaderId) {
        self.state().remove_reader(reader);
        self.work.notify_one();
        self.progress.notify_waiters();
    }
}
