//! The task that takes out of a broadcast's queue, asks the chain, and writes to the tracks.

use std::sync::Arc;

use super::gate::{Entry, Gate, Opened, Taken};
use super::lane::{Attached, Lane};
use super::{Chain, Missing, Outcome, TrackEnd, Verdict};
use crate::broadcast::Weak;
use crate::calendar::NoPlace;
use crate::fragment::{Fragment, Media};
use crate::track::{Producer, WriteError};

/// See the [module](self). It ends with the broadcast.
pub(crate) struct Work {
    gate: Arc<Gate>,
    broadcast: Weak,
    chain: Box<dyn Chain>,
    lanes: Vec<Lane>,
    next_id: u32,
}

impl Work {
    pub(crate) fn new(gate: Arc<Gate>, broadcast: Weak, chain: Box<dyn Chain>) -> Self {
        Self { gate, broadcast, chain, lanes: Vec::new(), next_id: 0 }
    }

    pub(crate) async fn run(mut self) {
        let ends = Ends { gate: self.gate.clone(), broadcast: self.broadcast.clone() };
        while let Some(Taken { entry, hurried }) = self.next().await {
            self.handle(entry, hurried).await;
            self.gate.handled();
        }
        for lane in self.lanes.drain(..) {
            self.chain.track_end(lane.id, TrackEnd::Ended);
        }
        self.gate.die();
        self.chain.stop().await;
        drop(ends);
    }

    async fn next(&mut self) -> Option<Taken> {
        if !self.gate.is_waiting() {
            // The chain has the time until something comes.
            tokio::select! {
                biased;
                taken = self.gate.next() => return taken,
                () = self.chain.idle() => {}
            }
        }
        self.gate.next().await
    }

    async fn handle(&mut self, entry: Entry, hurried: bool) {
        match entry {
            Entry::Fragment(writer, media) => return self.fragment(writer, *media, hurried).await,
            Entry::EndGroup(writer) => {
                if let Some(attached) = self.attached(writer) {
                    attached.producer.end_group();
                }
                return;
            }
            Entry::Report(writer, report) => {
                if let Some(attached) = self.attached(writer) {
                    attached.report = Some(report);
                }
                return;
            }
            Entry::Lost(writer, fragments) => {
                if let Some(lane) = self.lanes.iter().find(|lane| lane.is_written_by(writer)) {
                    self.chain.missing(lane.id, fragments, Missing::Source);
                }
                return;
            }
            Entry::Close(writer) => {
                if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.is_written_by(writer)) {
                    lane.writer = None;
                }
                return;
            }
            Entry::Open(writer, opened) => self.open(writer, *opened),
            Entry::EndTrack(writer) => {
                if let Some(attached) = self.attached(writer) {
                    attached.producer.end();
                }
                self.sweep();
            }
            Entry::Sweep => self.sweep(),
        }
        if !hurried {
            tokio::select! {
                biased;
                () = self.gate.hurried() => {}
                () = self.chain.settle() => {}
            }
        }
    }

    fn attached(&mut self, writer: u32) -> Option<&mut Attached> {
        self.lanes.iter_mut().find(|lane| lane.is_written_by(writer))?.writer.as_mut()
    }

    /// A writer comes: for a track that is new, or goes on, or is another from now on.
    fn open(&mut self, writer: u32, Opened { producer, epoch }: Opened) {
        self.sweep();
        let track = producer.track().clone();
        let Some(info) = track.info() else { return };
        let attached = Some(Attached { id: writer, producer, report: None });
        if let Some(at) = self.lanes.iter().position(|lane| lane.track.is_same(&track)) {
            let lane = &mut self.lanes[at];
            let same_epoch = lane.epoch == epoch;
            if same_epoch && *lane.info == *info {
                lane.writer = attached;
                return;
            }
            let why = if same_epoch { TrackEnd::Changed } else { TrackEnd::PublisherLost };
            let lane = self.lanes.remove(at);
            self.chain.track_end(lane.id, why);
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.chain.track(id, &track, &info);
        self.lanes.push(Lane { id, track, info, epoch, writer: attached, dropping: None });
    }

    /// Forgets the tracks that have ended.
    fn sweep(&mut self) {
        let chain = &mut self.chain;
        self.lanes.retain(|lane| {
            let ended = lane.track.is_ended();
            if ended {
                chain.track_end(lane.id, TrackEnd::Ended);
            }
            !ended
        });
    }

    async fn fragment(&mut self, writer: u32, media: Media, hurried: bool) {
        let Some(lane) = self.lanes.iter_mut().find(|lane| lane.is_written_by(writer)) else { return };
        let bytes = media.size();
        if let Some(why) = lane.dropping.filter(|_| !media.marks.keyframe) {
            self.chain.missing(lane.id, 1, why);
            let outcome = match why {
                Missing::Source => Outcome::AfterRefused,
                Missing::Discarded => Outcome::Discarded,
            };
            return lane.report(bytes, outcome);
        }
        lane.dropping = None;
        let Some(Attached { producer, .. }) = &lane.writer else { return };
        let fragment = match producer.preview(media) {
            Ok(fragment) => fragment,
            Err(error) => {
                self.chain.missing(lane.id, 1, Missing::Source);
                return refused(lane, bytes, &error);
            }
        };
        let verdict = if hurried {
            self.chain.decide(lane.id, &fragment)
        } else {
            let decided = tokio::select! {
                biased;
                verdict = self.chain.fragment(lane.id, &fragment) => Some(verdict),
                () = self.gate.hurried() => None,
            };
            decided.unwrap_or_else(|| self.chain.decide(lane.id, &fragment))
        };
        let discardable = fragment.marks.discardable;
        let Some(Attached { producer, .. }) = &mut lane.writer else { return };
        match written(producer, fragment, verdict) {
            Done::Written(Ok(_)) => lane.report(bytes, Outcome::Written),
            Done::Written(Err(error)) => refused(lane, bytes, &error),
            Done::Discarded => {
                if !discardable {
                    lane.drop_group(Missing::Discarded);
                }
                lane.report(bytes, Outcome::Discarded);
            }
            Done::Failed => {
                lane.report(bytes, Outcome::Discarded);
                self.broadcast.close();
            }
        }
    }
}

enum Done {
    Written(Result<Fragment, WriteError>),
    Discarded,
    Failed,
}

fn written(producer: &mut Producer, fragment: Fragment, verdict: Verdict) -> Done {
    match verdict {
        Verdict::Pass => Done::Written(producer.write(fragment.into_media())),
        Verdict::Replace(media) => Done::Written(producer.write(media)),
        Verdict::Discard => Done::Discarded,
        Verdict::Fail => Done::Failed,
    }
}

fn refused(lane: &mut Lane, bytes: u64, error: &WriteError) {
    // What comes before the first keyframe is refused by itself.
    if !matches!(error, WriteError::NoPlace(NoPlace::BeforeKeyframe)) {
        lane.drop_group(Missing::Source);
    }
    lane.report(bytes, Outcome::Refused(error));
}

/// Whatever ends the task, nobody waits for it.
struct Ends {
    gate: Arc<Gate>,
    broadcast: Weak,
}

impl Drop for Ends {
    fn drop(&mut self) {
        // It has failed, or the threads have ended: fragments that nobody decides about go nowhere.
        if self.broadcast.is_live() {
            self.broadcast.close();
        }
        self.gate.die();
    }
}
