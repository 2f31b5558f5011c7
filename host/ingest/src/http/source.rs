//! A header and the tracks it describes: what a publisher sends under one name.

use std::net::SocketAddr;
use std::time::Duration;

use millrace_cmaf::{Chunk, Header, Track};
use millrace_media::track::Kind;
use millrace_media::{Publisher, TrackName};

use super::PROTOCOL;
use super::refusal::Refusal;
use crate::lane::Lane;
use crate::pieces::Lengths;

/// One request that sends media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UploadId(pub(super) u64);

/// Who sends a request, as far as can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peer {
    /// One connection has one; none where the server does not say.
    pub(super) address: Option<SocketAddr>,
    /// `User-Agent`.
    pub(super) agent: Option<String>,
}

impl Peer {
    /// False of two that cannot be the same program.
    pub(super) fn may_be(&self, other: &Self) -> bool {
        let ip = |peer: &Self| peer.address.map(|address| address.ip());
        ip(self) == ip(other) && self.agent == other.agent
    }

    /// True of two requests that came over the same connection.
    pub(super) fn is_connection(&self, other: Option<SocketAddr>) -> bool {
        self.address.is_some() && self.address == other
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: u64,
    /// The path of the header, relative to the broadcast.
    pub(super) resource: String,
    pub(super) header: Header,
    /// With their `track_ID`s.
    pub(super) lanes: Vec<(u32, Lane)>,
    /// The request that writes now.
    pub(super) writer: Option<UploadId>,
    /// Who wrote last.
    pub(super) peer: Peer,
    /// When media came last, or the header.
    pub(super) heard: Duration,
    /// Media has come.
    pub(super) written: bool,
    /// The last request broke off.
    pub(super) broken: bool,
    /// The publisher has said that nothing more comes.
    pub(super) ended: bool,
}

impl Source {
    /// Makes the tracks of a header. `name` chooses a name for a track of a kind.
    pub(super) fn new(
        id: u64,
        resource: &str,
        header: Header,
        publisher: &Publisher,
        lengths: Lengths,
        mut name: impl FnMut(u32, Kind) -> TrackName,
    ) -> Result<Self, Refusal> {
        if header.known().next().is_none() {
            return Err(Refusal::Unsupported(reasons(&header)));
        }
        let mut lanes = Vec::new();
        for track in header.tracks() {
            match track {
                Track::Known(track) => {
                    let name = name(track.track_id, track.info.kind());
                    let writer = publisher.write_track(name, track.info.clone())?;
                    let lane = Lane::new(PROTOCOL, track.info.kind(), writer, lengths, None);
                    lanes.push((track.track_id, lane));
                }
                Track::Unsupported { track_id, reason, .. } => {
                    tracing::warn!(broadcast = %publisher.broadcast().name(), track_id, reason, "a track is left out");
                }
            }
        }
        Ok(Self {
            id,
            resource: resource.to_owned(),
            header,
            lanes,
            writer: None,
            peer: Peer::default(),
            heard: Duration::ZERO,
            written: false,
            broken: false,
            ended: false,
        })
    }

    /// Makes the tracks anew, for another epoch. What was kept back has been [flushed](Self::flush).
    pub(super) fn begin_anew(&mut self, publisher: &Publisher, lengths: Lengths) -> Result<(), Refusal> {
        for (track_id, old) in std::mem::take(&mut self.lanes) {
            let Some(Track::Known(track)) = self.header.track(track_id) else { continue };
            let (name, end) = (old.name().clone(), old.end());
            // A track has one writer at a time.
            drop(old);
            let writer = publisher.write_track(name, track.info.clone())?;
            self.lanes.push((track_id, Lane::new(PROTOCOL, track.info.kind(), writer, lengths, end)));
        }
        Ok(())
    }

    /// The lane of a chunk.
    pub(super) fn lane(&mut self, chunk: &Chunk) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|(track_id, _)| *track_id == chunk.track_id()).map(|(_, lane)| lane)
    }

    /// Writes what was kept back.
    pub(super) fn flush(&mut self) {
        self.lanes.iter_mut().for_each(|(_, lane)| lane.flush());
    }
}

fn reasons(header: &Header) -> String {
    let reason = |track: &Track| match track {
        Track::Unsupported { track_id, reason, .. } => Some(format!("track {track_id}: {reason}")),
        Track::Known(_) => None,
    };
    header.tracks().iter().filter_map(reason).collect::<Vec<_>>().join("; ")
}
