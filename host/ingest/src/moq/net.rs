//! Tracks as `moq-net` reads them.

use std::time::Duration;

use millrace_media::Payload;
use moq_net::track::Subscription;
use moq_net::{broadcast, cache, group, origin, track};

use super::order::OVERHEAD;
use super::remote::{Broken, Found};

/// How far a group may lie behind the newest and still be asked for: a network's hiccup, and the beginning of a group that others
/// have followed already.
const REACH: Duration = Duration::from_secs(5);

/// How many of the longest groups the tracks of a session may keep together, beside those that come: more than a few broadcasts
/// bring in the [reach](REACH).
const KEPT: u64 = 4;

/// What keeps the media of a session for as long as it can be asked for, where a group may be `longest` bytes long.
pub(super) fn origin(longest: u32) -> origin::Config {
    let capacity = KEPT * u64::from(longest);
    let pool = cache::Pool::new(cache::Config::default().with_capacity(capacity).with_expiry(REACH));
    let mut config = origin::Config::default();
    (config.pool, config.cache_duration) = (pool, REACH);
    config
}

/// Subscribes to a track.
pub(super) async fn open(broadcast: &broadcast::Consumer, name: &str) -> Result<track::Subscriber, String> {
    let track = broadcast.track(name).map_err(|error| error.to_string())?;
    let subscription = Subscription::default().with_max_age(REACH);
    track.subscribe(subscription).await.map_err(|error| error.to_string())
}

/// The next group; none once the track is over.
pub(super) async fn next(track: &mut track::Subscriber) -> Option<group::Consumer> {
    match track.recv_group().await {
        Ok(group) => group,
        Err(error) => {
            tracing::debug!(%error, track = track.name(), "a track has ended");
            None
        }
    }
}

/// The next object of a group.
pub(super) async fn object(group: &mut group::Consumer, limit: u32) -> Result<Option<Found>, Broken> {
    let broke = |error: moq_net::Error| Broken::Off(error.to_string());
    let id = group.index();
    let Some(mut frame) = group.next_frame().await.map_err(broke)? else { return Ok(None) };
    if frame.size > u64::from(limit) {
        return Err(Broken::TooLarge { size: frame.size, limit });
    }
    let payload = Payload::from(frame.read_all().await.map_err(broke)?);
    let kept = u64::from(payload.len()) + OVERHEAD;
    Ok(Some(Found { object: Some((id, payload)), kept }))
}
