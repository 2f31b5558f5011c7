//! One track of a publisher, from what is read to what the bus takes.

use millrace_cmaf::{Chunk, TrackHeader};
use millrace_media::calendar::NoPlace;
use millrace_media::track::{Kind, Producer, WriteError};
use millrace_media::{Media, Publisher, Time, TrackName};

use super::refusal::Refusal;
use crate::pieces::{Lengths, Pieces};

/// Media time that goes on by more than this has not gone on but been set anew.
pub(super) const JUMP: Time = Time::from_millis(10_000);
/// Pictures that are further apart than this have something missing between them: a group has no holes.
const HOLE: Time = Time::from_millis(1_000);

/// A track that is being written.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) track_id: u32,
    kind: Kind,
    producer: Producer,
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
    pub(super) fn new(track: &TrackHeader, producer: Producer, lengths: Lengths, before: Option<Time>) -> Self {
        let kind = track.info.kind();
        Self {
            track_id: track.track_id,
            kind,
            producer,
            pieces: Pieces::new(kind, lengths),
            offset: None,
            lead: None,
            last: None,
            wants_keyframe: false,
            before,
        }
    }

    pub(super) fn name(&self) -> &TrackName {
        self.producer.track().name()
    }

    /// The decode time of the last chunk, on the source's timeline.
    pub(super) fn last(&self) -> Option<Time> {
        self.last.map(|(last, _)| last)
    }

    /// Where the last chunk ended, on the source's timeline.
    pub(super) fn end(&self) -> Option<Time> {
        self.last.map(|(_, end)| end)
    }

    /// True of a chunk that comes before all others since the source began anew at `begun`, and lies nearer to what came before that.
    pub(super) fn is_left_over(&self, chunk: &Chunk, begun: Time) -> bool {
        let given = chunk.decode_time();
        let far = |from: Time| if given < from { from - given } else { given - from };
        self.last.is_none() && self.before.is_some_and(|before| far(before) < far(begun))
    }

    /// True of a chunk that lies before the last one, or is the last one again. ffmpeg gives some frames no duration and the next
    /// the same time.
    pub(super) fn has_seen(&self, chunk: &Chunk) -> bool {
        let given = chunk.decode_time();
        self.last.is_some_and(|(last, end)| given < last || (given == last && end > last))
    }

    /// True if time would jump ahead with this chunk.
    pub(super) fn jumps(&self, chunk: &Chunk) -> bool {
        self.last.is_some_and(|(_, end)| chunk.decode_time() - end > JUMP)
    }

    /// Writes a chunk whose time does not go back.
    pub(super) fn write(&mut self, publisher: &Publisher, chunk: &Chunk) -> Result<(), Refusal> {
        let (start, end) = (chunk.decode_time(), chunk.decode_time() + chunk.duration());
        let hole = self.last.is_some_and(|(_, last_end)| start - last_end > HOLE);
        self.last = Some((start, end));
        if self.kind == Kind::Video {
            self.wants_keyframe |= hole;
            if self.wants_keyframe && !chunk.marks().keyframe {
                dropped("after-loss");
                return Ok(());
            }
            self.wants_keyframe = false;
        }
        let lead = self.lead(chunk);
        let earlier = (lead.ticks() > 0).then(|| chunk.decoded_earlier(lead));
        let chunk = earlier.as_ref().unwrap_or(chunk);
        let offset = *self.offset.get_or_insert_with(|| publisher.offset(chunk.presentation_time()));
        let media = match chunk.place(Time::from_secs(offset, start.scale())) {
            Ok(media) => media,
            Err(error) => {
                tracing::debug!(%error, track = %self.name(), "a fragment is dropped");
                dropped("before-zero");
                self.wants_keyframe = true;
                return Ok(());
            }
        };
        let ready = self.pieces.push(media)?;
        ready.into_iter().try_for_each(|piece| self.send(piece))
    }

    /// Some publishers, of Smooth Streaming above all, have pictures decoded after they are presented. Players that find that out one
    /// fragment at a time move what they have shown (ffmpeg does). So everything is decoded as much earlier as the first chunk needs. Such
    /// publishers send a whole group of pictures in it; what a later group needs beyond that stays as it was sent.
    fn lead(&mut self, chunk: &Chunk) -> Time {
        *self.lead.get_or_insert_with(|| chunk.lateness())
    }

    /// Writes what was kept back.
    pub(super) fn flush(&mut self) {
        let sent = match self.pieces.flush() {
            Ok(Some(piece)) => self.send(piece),
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, track = %self.name(), "the end of a track is lost");
        }
    }

    fn send(&mut self, piece: Media) -> Result<(), Refusal> {
        let size = piece.size();
        match self.producer.write(piece) {
            Ok(_) => {
                metrics::counter!("millrace_ingest_fragments_total", "protocol" => "http").increment(1);
                metrics::counter!("millrace_ingest_bytes_total", "protocol" => "http").increment(size);
            }
            Err(WriteError::NoPlace(NoPlace::BeforeKeyframe)) => dropped("before-keyframe"),
            Err(error) => {
                tracing::debug!(%error, track = %self.name(), "a fragment is dropped");
                dropped("no-place");
                self.wants_keyframe = true;
            }
        }
        Ok(())
    }
}

pub(super) fn dropped(reason: &'static str) {
    metrics::counter!("millrace_ingest_dropped_total", "protocol" => "http", "reason" => reason).increment(1);
}
