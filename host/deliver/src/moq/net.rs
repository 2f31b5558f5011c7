//! `moq-net`: what is served under a name as a broadcast of an origin that all its sessions share.
//!
//! A track is made when somebody asks for it, read from the bus once for everybody, and given up when nobody is left.

mod fetch;
mod groups;
pub(super) mod guarded;

use std::sync::Arc;

use millrace_media::BroadcastName;
use millrace_media::track::Track;
use moq_net::{Error, broadcast, origin, track};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::catalog::{Editions, Form};
use super::meters::{Active, Meters};
use super::priority;
use super::pump::Pump;
use super::registry::{Source, gone};
use super::view::View;
use groups::Groups;

/// Serves a view until it is gone, and its tracks to their ends.
pub(super) async fn publish(
    origin: origin::Producer,
    name: BroadcastName,
    view: View,
    mut editions: watch::Receiver<Editions>,
    meters: Arc<Meters>,
) {
    let reader = editions.clone();
    let (broadcast, mut requests) = match announce(&origin, &name) {
        Ok(announced) => announced,
        Err(error) => {
            tracing::warn!(%name, %error, "it cannot be announced over moq-net");
            return;
        }
    };
    let mut pumps = JoinSet::new();
    loop {
        tokio::select! {
            request = requests.requested_track() => match request {
                Ok(request) => answer(request, &view, &reader, &meters, &mut pumps),
                Err(_) => break,
            },
            Some(_) = pumps.join_next() => {}
            () = gone(&mut editions) => break,
        }
    }
    broadcast.close();
    while pumps.join_next().await.is_some() {}
}

fn announce(
    origin: &origin::Producer,
    name: &BroadcastName,
) -> Result<(broadcast::Producer, broadcast::Dynamic), Error> {
    let broadcast = origin.create_broadcast(name.as_str())?;
    let requests = broadcast.dynamic();
    broadcast.announce(origin::Route::default())?;
    Ok((broadcast, requests))
}

fn answer(
    request: track::Request,
    view: &View,
    editions: &watch::Receiver<Editions>,
    meters: &Arc<Meters>,
    pumps: &mut JoinSet<()>,
) {
    let source = Source::find(view, editions, request.name());
    match source {
        Some(Source::Catalog(form, editions)) => drop(pumps.spawn(catalog(request, form, editions, meters.clone()))),
        Some(Source::Media(track, editions)) => drop(pumps.spawn(media(request, track, editions, meters.clone()))),
        None => {
            meters.refused();
            request.reject(Error::NotFound);
        }
    }
}

/// Ends a track that nobody reads. Somebody may have come at the last moment: then it is given back.
fn end_unused(track: track::Producer) -> Option<track::Producer> {
    track.abort_unused(Error::Cancel).err()
}

async fn catalog(request: track::Request, form: Form, mut editions: watch::Receiver<Editions>, meters: Arc<Meters>) {
    let _active: Active = meters.began();
    let mut track = request.accept(track::Info::default().with_priority(priority::CATALOG));
    let mut sent = None;
    loop {
        let edition = editions.borrow_and_update().newest().clone();
        let text = edition.text(form);
        // An edition may be new in another form alone.
        if sent.as_ref() != Some(text) {
            if groups::write_whole(&track, edition.group, text.clone()).is_err() {
                return;
            }
            meters.object(text.len() as u64);
            sent = Some(text.clone());
        }
        // Until there is another one.
        loop {
            tokio::select! {
                changed = editions.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => {
                        groups::finish(&track);
                        return;
                    }
                },
                _ = track.unused() => match end_unused(track) {
                    Some(used) => track = used,
                    None => return,
                },
            }
        }
    }
}

async fn media(request: track::Request, source: Track, mut editions: watch::Receiver<Editions>, meters: Arc<Meters>) {
    let Some(info) = source.info() else {
        request.reject(Error::NotFound);
        return;
    };
    let _active: Active = meters.began();
    let mut track = request.accept(groups::info(&info));
    let fetches = track.dynamic();
    let mut pump = Pump::new(&source, Groups::new(track.clone()), meters);
    loop {
        tokio::select! {
            ended = pump.step() => match ended {
                Ok(false) => continue,
                Ok(true) => break,
                Err(_) => return,
            },
            request = fetches.requested_group() => match request {
                Ok(request) => fetch::answer(request, &source),
                Err(_) => return,
            },
            _ = track.unused() => match end_unused(track) {
                Some(used) => track = used,
                None => return,
            },
            () = gone(&mut editions) => match pump.catch_up() {
                Ok(_) => break,
                Err(_) => return,
            },
        }
    }
    pump.end().finish();
}
