//! The publisher: pictures of a film as objects, in real time, and when each was handed over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Client, Limits, Stack, Trust};
use moq_transport::coding::TrackNamespace;
use moq_transport::serve::{Subgroup, Tracks, TracksReader, TracksWriter};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::{BROADCAST, TRACK};
use crate::film::{FRAME_RATE, Track};

/// Pictures in a group.
const GROUP: usize = 2 * FRAME_RATE as usize;
/// The middle one of MoQ Transport's 256.
const PRIORITY: u8 = 128;
/// By which an object is known again, whoever has carried it: how its media ends.
const TAIL: usize = 24;

/// When objects were handed over.
pub(super) type Sent = Arc<Mutex<HashMap<[u8; TAIL], Instant>>>;

/// How an object ends.
pub(super) fn tail(object: &[u8]) -> Option<[u8; TAIL]> {
    object.last_chunk::<TAIL>().copied()
}

/// A publisher at work. It leaves when it is dropped.
pub(super) struct Publisher {
    task: JoinHandle<anyhow::Result<()>>,
    sent: Sent,
    runtime: tokio::runtime::Handle,
}

impl Publisher {
    /// Publishes a film to a server.
    pub(super) fn start(runtime: &Runtime, url: &str, film: &Track) -> anyhow::Result<Self> {
        let sent = Sent::default();
        let (writer, _, reader) = Tracks::new(TrackNamespace::from_utf8_path(BROADCAST)).produce();
        let (url, noted, film) = (url.to_owned(), sent.clone(), film.clone());
        let task = runtime.spawn(async move {
            tokio::select! {
                end = session(&url, reader) => end,
                end = pictures(writer, &film, &noted) => end,
            }
        });
        Ok(Self { task, sent, runtime: runtime.handle().clone() })
    }

    /// When objects were handed over.
    pub(super) fn sent(&self) -> Sent {
        self.sent.clone()
    }

    /// Nothing has gone wrong so far.
    pub(super) fn expect_well(mut self) -> anyhow::Result<()> {
        if self.task.is_finished() {
            let end = self.runtime.block_on(&mut self.task).context("the publisher panicked")?;
            return end.context("the publisher has ended");
        }
        Ok(())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn session(url: &str, tracks: TracksReader) -> anyhow::Result<()> {
    let client = Client::new(Trust::Anyone, Limits::default())?.speaking(vec![Protocol::Transport]);
    let Stack::Transport { session, mut publisher, .. } = client.connect(&url.parse()?).await?.stack else {
        bail!("another protocol was chosen than the one that was offered");
    };
    tokio::select! {
        end = session.run() => end?,
        end = publisher.publish_namespace(tracks) => end?,
    }
    Ok(())
}

/// Writes the catalog, and the film in real time.
async fn pictures(mut tracks: TracksWriter, film: &Track, sent: &Sent) -> anyhow::Result<()> {
    let mut catalogs = tracks.create("catalog").context("nobody is there")?.subgroups()?;
    let mut media = tracks.create(TRACK).context("nobody is there")?.subgroups()?;
    let mut catalog = catalogs.create(Subgroup { group_id: 0, subgroup_id: 0, priority: PRIORITY })?;
    catalog.write(Bytes::from(self::catalog(film)))?;
    let mut clock = interval(Duration::from_secs(1) / FRAME_RATE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for (number, pictures) in film.chunks.chunks(GROUP).enumerate() {
        let subgroup = Subgroup { group_id: number as u64, subgroup_id: 0, priority: PRIORITY };
        let mut group = media.create(subgroup)?;
        for picture in pictures {
            clock.tick().await;
            let key = tail(picture).context("a picture is larger than its tail")?;
            sent.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Instant::now());
            group.write(picture.clone())?;
        }
        group.finish()?;
    }
    bail!("the film is over")
}

/// An MSF catalog with the film's picture.
fn catalog(film: &Track) -> String {
    json!({
        "version": 1,
        "tracks": [{
            "name": TRACK, "packaging": "cmaf", "isLive": true, "role": "video", "renderGroup": 1, "codec": "avc1.64001f",
            "width": 1280, "height": 720, "framerate": FRAME_RATE, "bitrate": 2_400_000, "initRef": TRACK,
        }],
        "initDataList": [{ "id": TRACK, "type": "inline", "data": STANDARD.encode(&film.header) }],
    })
    .to_string()
}
