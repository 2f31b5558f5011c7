//! What is to be done about a chunk: what it says of its publisher's time, and whether it is the publisher's at all.

use std::time::Duration;

use millrace_cmaf::Chunk;
use millrace_media::Time;

use super::{Claim, JUMP, State};

/// For how long after a source began anew what is left over from before is told from what comes after.
const LEFT_OVER: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Course {
    /// It goes on where the last one ended.
    Write,
    /// It is dropped, and counted under this reason.
    Drop(&'static str),
    /// Another request is still writing what comes before it.
    Wait,
    /// The publisher's time was set anew, and all its tracks begin an epoch with it.
    BeginAnew,
    /// The publisher's time was set anew in one request while others go on.
    TimeWentBack { track_id: u32, last: Time, given: Time },
    /// It is somebody else's.
    Taken(&'static str),
    /// Its source is no more.
    Over,
}

impl State {
    /// What to do about a chunk. `stream` is true of a request that brought its own header.
    pub(super) fn course(&mut self, claim: &Claim, source: u64, stream: bool, chunk: &Chunk, now: Duration) -> Course {
        let alone = self.sources.len() == 1;
        let begun = self.begun.filter(|(_, since)| now.saturating_sub(*since) < LEFT_OVER).map(|(at, _)| at);
        let Some(source) = self.sources.iter_mut().find(|known| known.id == source) else { return Course::Over };
        let (mine, free) = (source.writer == Some(claim.upload), source.writer.is_none());
        let is_publishers = source.peer.may_be(&claim.peer);
        let Some(lane) = source.lane(chunk) else { return Course::Drop("not-taken") };
        if begun.is_some_and(|begun| lane.is_left_over(&chunk, begun)) {
            return Course::Drop("left-over");
        }
        if let Some(last) = lane.last() {
            let (given, back, ahead) = (chunk.decode_time(), lane.has_seen(&chunk), lane.jumps(&chunk));
            if back && (!stream || !mine) {
                // A retransmission, which a source may send after it was away for less than three segments.
                return if last - given > JUMP {
                    Course::Taken("its media is further on by more than 10 s")
                } else {
                    Course::Drop("seen-before")
                };
            }
            if (back || ahead) && (mine || free) {
                return match stream {
                    true if !alone => Course::TimeWentBack { track_id: chunk.track_id(), last, given },
                    false if !is_publishers => Course::Taken("its media is further back by more than 10 s"),
                    _ => Course::BeginAnew,
                };
            }
        }
        if mine || free { Course::Write } else { Course::Wait }
    }
}
