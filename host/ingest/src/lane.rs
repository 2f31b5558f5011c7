//! One track of a publisher, from what is read to what the bus takes.

use std::sync::Arc;

use millrace_cmaf::{Chunk, WriteError as Unwritable};
use millrace_media::calendar::NoPlace;
use millrace_media::stage::{Outcome, Report, Writer};
use millrace_media::track::{Kind, WriteError};
use millrace_media::{Media, Publisher, Time, TrackName};

use crate::pieces::{Lengths, PieceError, Pieces};

/// Media time that goes on by more than this has not gone on but been set anew.
pub(crate) const JUMP: Time = Time::from_millis(10_000);
/// Pictures that are further apart than this have something missing between them: a group has no holes.
const HOLE: Time = Time::from_millis(1_000);

/// Media on its publisher's timeline.
pub(crate) trait Incoming {
    /// Of the first sample. May be below zero.
    fn decode_time(&self) -> Time;

    /// Of the sample that is presented first. May be below zero.
    fn presentation_time(&self) -> Time;

    /// The samples' durations added up.
    fn duration(&self) -> Time;

    /// Decoding can begin with its first sample.
    fn is_keyframe(&self) -> bool;

    /// By how much a sample of it is decoded after it is presented, at the most; zero where none is.
    fn lateness(&self) -> Time;

    /// The same on a timeline on which the publisher's begins at `offset`, presented as it says and decoded `lead` earlier, which is
    /// counted in the track's timescale.
    ///
    /// # Errors
    /// Where it would be decoded before zero.
    fn place(self, offset: Time, lead: Time) -> Result<Media, Unwritable>;
}

impl Incoming for &Chunk {
    fn decode_time(&self) -> Time {
        Chunk::decode_time(self)
    }

    fn presentation_time(&self) -> Time {
        Chunk::presentation_time(self)
    }

    fn duration(&self) -> Time {
        Chunk::duration(self)
    }

    fn is_keyframe(&self) -> bool {
        self.marks().keyframe
    }

    fn lateness(&self) -> Time {
        Chunk::lateness(self)
    }

    fn place(self, offset: Time, lead: Time) -> Result<Media, Unwritable> {
        let earlier = (lead.ticks() > 0).then(|| self.decoded_earlier(lead));
        Ok(earlier.as_ref().unwrap_or(self).place(offset)?)
    }
}

/// A track that is being written.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Under which its fragments are counted.
    protocol: &'static str,
    kind: Kind,
    writer: Writer,
    pieces: Pieces,
    /// Whole seconds from the source's timeline to the broadcast's, once it is known.
    offset: Option<i64>,
    /// How much earlier than it says everything is decoded, once it is known: see [`Lane::lead`].
    lead: Option<Time>,
    /// The decode time of the last chunk, and where it ended, on the source's timeline.
    last: Option<(Time, Time)>,
    /// Something is missing: nothing more until a keyframe.
    wants_keyframe: bool,
    /// Where the last chunk ended, on the timeline that the source had before it began anew.
    before: Option<Time>,
}

impl Lane {
    /// For a track of a kind. `before` is the [end](Self::end) of the lane that it follows, where its source began anew.
    pub(crate) fn new(
        protocol: &'static str,
        kind: Kind,
        writer: Writer,
        lengths: Lengths,
        before: Option<Time>,
    ) -> Self {
        let report = Arc::new(Counted { protocol, track: writer.track().name().clone() });
        Self {
            protocol,
            kind,
            writer: writer.with_report(report),
            pieces: Pieces::new(kind, lengths),
            offset: None,
            lead: None,
            last: None,
            wants_keyframe: false,
            before,
        }
    }

    pub(crate) fn name(&self) -> &TrackName {
        self.writer.track().name()
    }

    /// The decode time of the last chunk, on the source's timeline.
    pub(crate) fn last(&self) -> Option<Time> {
        self.last.map(|(last, _)| last)
    }

    /// Where the last chunk ended, on the source's timeline.
    pub(crate) fn end(&self) -> Option<Time> {
        self.last.map(|(_, end)| end)
    }

    /// True of a chunk that comes before all others since the source began anew at `begun`, and lies nearer to what came before that.
    pub(crate) fn is_left_over(&self, chunk: &impl Incoming, begun: Time) -> bool {
        let given = chunk.decode_time();
        let far = |from: Time| if given < from { from - given } else { given - from };
        self.last.is_none() && self.before.is_some_and(|before| far(before) < far(begun))
    }

    /// True of a chunk that lies before the last one, or is the last one again. ffmpeg gives some frames no duration and the next
    /// the same time.
    pub(crate) fn has_seen(&self, chunk: &impl Incoming) -> bool {
        let given = chunk.decode_time();
        self.last.is_some_and(|(last, end)| given < last || (given == last && end > last))
    }

    /// True if time would jump ahead with this chunk.
    pub(crate) fn jumps(&self, chunk: &impl Incoming) -> bool {
        self.last.is_some_and(|(_, end)| chunk.decode_time() - end > JUMP)
    }

    /// Something that should have come is missing: video goes on with the next keyframe.
    pub(crate) fn lost(&mut self) {
        self.wants_keyframe = true;
    }

    /// Writes a chunk whose time does not go back.
    pub(crate) fn write(&mut self, publisher: &Publisher, chunk: impl Incoming) -> Result<(), PieceError> {
        let (start, end) = (chunk.decode_time(), chunk.decode_time() + chunk.duration());
        let hole = self.last.is_some_and(|(_, last_end)| start - last_end > HOLE);
        self.last = Some((start, end));
        if self.kind == Kind::Video {
            self.wants_keyframe |= hole;
            if self.wants_keyframe && !chunk.is_keyframe() {
                dropped(self.protocol, "after-loss");
                self.writer.lost(1);
                return Ok(());
            }
            self.wants_keyframe = false;
        }
        let lead = self.lead(&chunk);
        let offset = *self.offset.get_or_insert_with(|| publisher.offset(chunk.presentation_time()));
        let media = match chunk.place(Time::from_secs(offset, start.scale()), lead) {
            Ok(media) => media,
            Err(error) => {
                tracing::debug!(%error, track = %self.name(), "a fragment is dropped");
                dropped(self.protocol, "before-zero");
                self.wants_keyframe = true;
                return Ok(());
            }
        };
        let ready = self.pieces.push(media)?;
        ready.into_iter().for_each(|piece| self.send(piece));
        Ok(())
    }

    /// Some publishers, of Smooth Streaming above all, have pictures decoded after they are presented. Players that find that out one
    /// fragment at a time move what they have shown (ffmpeg does). So everything is decoded as much earlier as the first chunk needs. Such
    /// publishers send a whole group of pictures in it; what a later group needs beyond that stays as it was sent.
    fn lead(&mut self, chunk: &impl Incoming) -> Time {
        *self.lead.get_or_insert_with(|| chunk.lateness())
    }

    /// Writes what was kept back.
    pub(crate) fn flush(&mut self) {
        match self.pieces.flush() {
            Ok(Some(piece)) => self.send(piece),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, track = %self.name(), "the end of a track is lost"),
        }
    }

    /// Nothing more comes of the group that is being written.
    pub(crate) fn end_group(&mut self) {
        // Groups of sound begin where those of pictures do, whatever the publisher's are.
        if self.kind == Kind::Video {
            self.writer.end_group();
        }
    }

    /// Ends the track: nothing more comes of it.
    pub(crate) fn finish(mut self) {
        self.flush();
        self.writer.end();
    }

    fn send(&mut self, piece: Media) {
        let size = piece.size();
        match self.writer.write(piece) {
            Ok(Some(_)) => written(self.protocol, size),
            // It is counted once it is decided.
            Ok(None) => {}
            Err(error) => self.wants_keyframe |= refused(self.protocol, self.name(), &error),
        }
    }
}

/// Counts what becomes of fragments that wait to be decided.
struct Counted {
    protocol: &'static str,
    track: TrackName,
}

impl Report for Counted {
    fn settled(&self, bytes: u64, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Written => written(self.protocol, bytes),
            Outcome::Discarded => dropped(self.protocol, "filter"),
            Outcome::AfterRefused => dropped(self.protocol, "after-loss"),
            Outcome::Refused(error) => drop(refused(self.protocol, &self.track, error)),
        }
    }
}

/// Counts a fragment that was written.
fn written(protocol: &'static str, bytes: u64) {
    metrics::counter!("millrace_ingest_fragments_total", "protocol" => protocol).increment(1);
    metrics::counter!("millrace_ingest_bytes_total", "protocol" => protocol).increment(bytes);
}

/// Counts a fragment that the track has refused. True where those that follow depend on it.
fn refused(protocol: &'static str, track: &TrackName, error: &WriteError) -> bool {
    if let WriteError::NoPlace(NoPlace::BeforeKeyframe) = error {
        dropped(protocol, "before-keyframe");
        return false;
    }
    tracing::debug!(%error, %track, "a fragment is dropped");
    dropped(protocol, "no-place");
    true
}

/// Counts something that a publisher sent and that is not passed on.
pub(crate) fn dropped(protocol: &'static str, reason: &'static str) {
    metrics::counter!("millrace_ingest_dropped_total", "protocol" => protocol, "reason" => reason).increment(1);
}
