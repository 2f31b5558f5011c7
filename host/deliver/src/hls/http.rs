//! HTTP: requests to playlists and files.

mod gate;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response};
use axum::routing::options;
use millrace_media::{BroadcastName, TrackName};
use tokio::time::Instant;

use super::cors;
use super::delivery::{self, File, Refusal, What};
use super::feed::{Feed, Text};
use super::master::{self, Rung};
use super::path::{Resource, TrackPath, decimal};
use super::playlist::{Answer, MediaPlaylist, Stored, Wanted};
use super::registry::{Entry, Hls};
use super::sessions::Viewer;

/// The most requests that wait at a time: several for each of thousands of viewers, and some hundred megabytes of sockets and tasks
/// at the very most.
const MOST_BLOCKED: usize = 20_000;
/// Nothing waits longer than this many target durations (rfc8216bis, 6.2.5.2).
const PATIENCE: u32 = 3;
/// Media and blocking answers can be cached for this many target durations (rfc8216bis, B.1).
const CACHED: u32 = 6;

/// Answers requests below `prefix`, for example `/hls`. The prefix is part of the routes: to nest a router would rewrite the path of every
/// request for a part.
pub fn router(prefix: &str, hls: Arc<Hls>) -> Router {
    let preflight = options(|| async {}).layer(cors::preflight(&hls.settings().cors_origins));
    // Where everybody may play, nothing is looked at that only matters where not.
    let answers = if hls.sessions().is_some() { preflight.get(gate::serve) } else { preflight.get(serve) };
    Router::new().route(&format!("{prefix}/{{*path}}"), answers).with_state(hls)
}

async fn serve(
    State(hls): State<Arc<Hls>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response<Body> {
    let request = Request { hls: &hls, query: query.as_deref().unwrap_or_default(), headers: &headers, viewer: None };
    let (what, answer) = match Resource::parse(&path) {
        Some(resource) => (resource.what(), request.answer(resource).await),
        None => (What::Unknown, Err(Refusal::no_file(&path))),
    };
    finish(&hls, &headers, what, answer)
}

/// Says who may read the answer, and counts it.
fn finish(hls: &Hls, headers: &HeaderMap, what: What, answer: Result<Response<Body>, Refusal>) -> Response<Body> {
    let mut answer = answer.unwrap_or_else(Refusal::answer);
    hls.cors().allow(headers, answer.headers_mut());
    hls.meters().answered(what, answer.status().as_u16());
    answer
}

/// A request that waits, counted.
struct Blocked<'a>(&'a AtomicUsize);

impl<'a> Blocked<'a> {
    fn new(count: &'a AtomicUsize) -> Result<Self, Refusal> {
        if count.fetch_add(1, Ordering::Relaxed) >= MOST_BLOCKED {
            count.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::Unavailable(format!("{MOST_BLOCKED} requests are waiting, and may not be more")));
        }
        metrics::gauge!("millrace_hls_blocked_requests").increment(1.0);
        Ok(Self(count))
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("millrace_hls_blocked_requests").decrement(1.0);
    }
}

struct Request<'a> {
    hls: &'a Hls,
    query: &'a str,
    headers: &'a HeaderMap,
    /// Whose session it is in, where there are sessions. It waits for no longer than the viewer may play.
    viewer: Option<&'a Viewer>,
}

/// What a multivariant playlist is of.
struct Shown<'a> {
    entry: Arc<Entry>,
    /// The rendition that it is of alone.
    view: Option<&'a str>,
}

impl Hls {
    /// The broadcast of that name, or the rendition of one.
    fn shown<'a>(&self, name: &'a str) -> Option<Shown<'a>> {
        let entry = |name: &str| BroadcastName::new(name).ok().and_then(|name| self.entry(&name));
        if let Some(entry) = entry(name) {
            return Some(Shown { entry, view: None });
        }
        let (broadcast, view) = name.rsplit_once('/')?;
        TrackName::new(view).ok()?;
        Some(Shown { entry: entry(broadcast)?, view: Some(view) })
    }
}

fn no_such(name: &str) -> Refusal {
    Refusal::NotFound(format!("there is no broadcast {name:?}, nor a rendition of that name"))
}

impl Request<'_> {
    async fn answer(&self, resource: Resource<'_>) -> Result<Response<Body>, Refusal> {
        match resource {
            Resource::Master { name } => {
                let shown = self.hls.shown(name).ok_or_else(|| no_such(name))?;
                let (rungs, base) = self.variants(&shown).await?.ok_or_else(|| no_such(name))?;
                Ok(self.master(&shown.entry, &rungs, base))
            }
            Resource::Playlist { track } => self.playlist(track).await,
            Resource::Init { track, directory, number } => self.init(track, directory, number),
            Resource::Segment { track, directory, number } => {
                let look = |playlist: &MediaPlaylist| playlist.segment(directory, number);
                self.media(What::Segment, track, look).await
            }
            Resource::Part { track, directory, number, part } => {
                let look = |playlist: &MediaPlaylist| playlist.part(directory, number, part);
                self.media(What::Part, track, look).await
            }
        }
    }

    /// What a multivariant playlist lists, and what leads from it to the broadcast's tracks. None where the broadcast has no such
    /// rendition.
    async fn variants(&self, shown: &Shown<'_>) -> Result<Option<(Vec<Rung>, &'static str)>, Refusal> {
        let rungs = self.rungs(&shown.entry).await?;
        Ok(match shown.view {
            None => Some((rungs, "")),
            Some(view) => master::view(&rungs, view).map(|rungs| (rungs, "../")),
        })
    }

    fn master(&self, entry: &Entry, rungs: &[Rung], base: &str) -> Response<Body> {
        let independent = entry.broadcast.forced_cuts() == 0;
        let mut text = Text::new(master::text(rungs, base, independent));
        let gzip = delivery::takes_gzip(self.headers);
        let bytes = if gzip { text.gzip() } else { text.plain };
        let max_age = entry.broadcast.target_duration().unwrap_or(1) / 2;
        delivery::playlist(bytes, gzip, max_age, self.hls.meters().bytes(What::Master))
    }

    /// What can be played. Players read this playlist once, so a track that is about to be ready is waited for.
    async fn rungs(&self, entry: &Entry) -> Result<Vec<Rung>, Refusal> {
        let mut changes = entry.renditions.subscribe();
        let deadline = Instant::now() + self.hls.longest_segment() * PATIENCE;
        let mut blocked = None;
        loop {
            changes.mark_unchanged();
            let feeds = entry.live();
            let rungs: Vec<_> = feeds.iter().filter_map(rung).collect();
            let target = entry.broadcast.target_duration().map(|target| Duration::from_secs(target.into()));
            let patience = target.unwrap_or(self.hls.longest_segment()) * PATIENCE;
            let is_to_come = |feed: &&Arc<Feed>| {
                feed.track.listing().listed && feed.with(|playlist| !playlist.is_ready() && !playlist.is_ended())
            };
            let to_come = feeds.iter().filter(is_to_come);
            let until = to_come.map(|feed| feed.since + patience).filter(|until| *until > Instant::now()).max();
            let until = match until {
                None if !rungs.is_empty() => return Ok(rungs),
                until => until.unwrap_or(deadline).min(deadline),
            };
            if blocked.is_none() {
                blocked = Some(Blocked::new(self.hls.blocked())?);
            }
            let changed = tokio::time::timeout_at(until, changes.changed()).await;
            if changed.is_err() && until >= deadline {
                return match feeds.iter().filter_map(rung).collect::<Vec<_>>() {
                    rungs if rungs.is_empty() => {
                        Err(Refusal::Unavailable("the broadcast has nothing to be played yet".into()))
                    }
                    rungs => Ok(rungs),
                };
            }
        }
    }

    async fn playlist(&self, path: TrackPath<'_>) -> Result<Response<Body>, Refusal> {
        let directives = Directives::parse(self.query)?;
        let (entry, feed) = self.feed(path)?;
        self.wait(&feed, |playlist| match directives.wanted {
            None => playlist.is_ready().then_some(Ok(())),
            Some(wanted) => match playlist.ask(wanted) {
                Answer::Ready => Some(Ok(())),
                Answer::Wait => None,
                Answer::TooFar { last } => {
                    let last = last.map_or("none".into(), |last| last.to_string());
                    let text = format!("segment {} is too far ahead: the last is {last}", wanted.segment);
                    Some(Err(Refusal::BadRequest(text)))
                }
            },
        })
        .await??;
        // Players that are told of the end stop there; those that are refused go on with another rung.
        if feed.track.is_ended() && !entry.is_over() {
            return Err(Refusal::Gone("the track has been removed; the broadcast goes on without it".into()));
        }
        let gzip = delivery::takes_gzip(self.headers);
        let text = feed.text(&entry.surroundings(&feed), directives.skip, gzip);
        let text = text.ok_or_else(|| Refusal::NotFound("the track has ended without media".into()))?;
        let target = feed.with(MediaPlaylist::target_duration).unwrap_or(1);
        let max_age = if directives.wanted.is_some() { target * CACHED } else { target / 2 };
        Ok(delivery::playlist(text, gzip, max_age, self.hls.meters().bytes(What::Playlist)))
    }

    fn init(&self, path: TrackPath<'_>, directory: &str, number: u32) -> Result<Response<Body>, Refusal> {
        let (_, feed) = self.feed(path)?;
        let bytes = feed.with(|playlist| playlist.init(directory, number));
        let bytes = bytes.ok_or_else(|| Refusal::NotFound("there is no such header, or no longer".into()))?;
        Ok(delivery::bytes(&self.file(What::Init, &feed), bytes, self.headers))
    }

    async fn media(
        &self,
        what: What,
        path: TrackPath<'_>,
        look: impl Fn(&MediaPlaylist) -> Stored,
    ) -> Result<Response<Body>, Refusal> {
        let (_, feed) = self.feed(path)?;
        let runs = self
            .wait(&feed, |playlist| match look(playlist) {
                Stored::Here(runs) => Some(Some(runs)),
                Stored::Missing => Some(None),
                Stored::Soon => None,
            })
            .await?;
        let missing = || Refusal::NotFound(format!("there is no such {}, or no longer", what.as_str()));
        Ok(delivery::fragments(&self.file(what, &feed), runs.ok_or_else(missing)?, self.headers))
    }

    fn feed(&self, path: TrackPath<'_>) -> Result<(Arc<Entry>, Arc<Feed>), Refusal> {
        let TrackPath { broadcast, track } = path;
        let found = self.hls.feed(broadcast, track);
        let found = found
            .ok_or_else(|| Refusal::NotFound(format!("there is no track {track:?} of a broadcast {broadcast:?}")))?;
        // A rung that rests is woken by whoever asks for anything of it.
        found.1.track.viewed();
        Ok(found)
    }

    fn file(&self, what: What, feed: &Feed) -> File<'_> {
        let kind = feed.track.info().map_or(millrace_media::track::Kind::Video, |info| info.kind());
        let target = feed.with(MediaPlaylist::target_duration).unwrap_or(1);
        File { kind, max_age: target * CACHED, served: self.hls.meters().bytes(what) }
    }

    async fn wait<T>(&self, feed: &Feed, look: impl FnMut(&MediaPlaylist) -> Option<T>) -> Result<T, Refusal> {
        let waiting = feed.wait(self.patience(feed), || Blocked::new(self.hls.blocked()), look);
        match self.viewer {
            None => waiting.await,
            Some(viewer) => tokio::select! {
                biased;
                found = waiting => found,
                denied = viewer.denied() => Err(Refusal::Forbidden(denied.reason.clone())),
            },
        }
    }

    /// How long a request for something of this track waits.
    fn patience(&self, feed: &Feed) -> Duration {
        let known = feed.with(|playlist| playlist.target_duration().filter(|_| playlist.is_ready()));
        known.map_or(self.hls.longest_segment(), |target| Duration::from_secs(target.into())) * PATIENCE
    }
}

fn rung(feed: &Arc<Feed>) -> Option<Rung> {
    let measured = feed.with(MediaPlaylist::measure)?;
    Some(Rung::new(&feed.track, measured))
}

/// The delivery directives of a request (rfc8216bis, 6.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Directives {
    wanted: Option<Wanted>,
    skip: bool,
}

impl Directives {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let number = |name: &str, value: &str| {
            decimal(value).ok_or_else(|| Refusal::BadRequest(format!("{name} is {value:?}, and should be a number")))
        };
        let (mut segment, mut part, mut skip) = (None, None, false);
        for (name, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            match name {
                "_HLS_msn" => segment = Some(number(name, value)?),
                "_HLS_part" => part = Some(number(name, value)?),
                "_HLS_skip" => skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        let wanted = match (segment, part) {
            (Some(segment), part) => Some(Wanted { segment, part }),
            (None, None) => None,
            (None, Some(_)) => return Err(Refusal::BadRequest("_HLS_part without _HLS_msn says nothing".into())),
        };
        Ok(Self { wanted, skip })
    }
}
