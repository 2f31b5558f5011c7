//! `millrace subscribe`: a broadcast of a server, written to the standard output as fragmented MP4.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use hang::catalog::Catalog;
use millrace_media::BroadcastName;
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Session, Stack};
use moq_net::broadcast::Consumer;
use moq_net::track::Subscription;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::LAST_WORD;
use super::choose::{Choice, Chosen, Offer, is_complete, offers};
use super::progress;
use super::recording::{Fragment, Recording};
use super::retry::{Problem, Retry, RetryArgs};
use super::server::{Connected, ServerArgs, Target, close};
use crate::moq::dial;

/// How long a broadcast may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a catalog of pictures alone, or of sound alone, is waited on for the other.
const OTHER_HALF: Duration = Duration::from_secs(1);
/// A group that is behind by more is given up.
const LATEST: Duration = Duration::from_secs(10);
/// Fragments that wait to be written. Once there are so many, no more is read, and what the server cannot hold back is lost.
const WAITING: usize = 64;

/// What is subscribed to, and where.
#[derive(Args, Clone, Debug)]
pub struct SubscribeArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments of it are documented")]
    pub server: ServerArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments of it are documented")]
    pub retry: RetryArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments of it are documented")]
    pub choice: Choice,
}

/// Writes a broadcast to the standard output, until it ends or nobody reads any more.
///
/// # Errors
/// Where the server cannot be reached, the broadcast or a track is not there, or the session ends before the broadcast does: for good,
/// where that is to be tried again. Where what comes after that cannot stand in the same file.
pub async fn subscribe(args: &SubscribeArgs) -> anyhow::Result<()> {
    let target = args.server.target()?;
    let mut retry = Retry::new(&args.retry);
    let mut recording = Recording::new(super::stream(std::io::stdout())?);
    let work = async {
        loop {
            let written = recording.written();
            let Err(problem) = once(args, &target, &mut recording).await else { return Ok(()) };
            if recording.written() > written {
                retry.worked();
            }
            tokio::time::sleep(retry.after(problem, Instant::now())?).await;
        }
    };
    tokio::select! {
        done = work => done,
        interrupted = super::interrupted() => Ok(interrupted?),
    }
}

/// One session, to the end of the broadcast.
async fn once(
    args: &SubscribeArgs,
    target: &Target,
    recording: &mut Recording<tokio::fs::File>,
) -> Result<(), Problem> {
    let Connected { session, url, client } = args.server.connect(target, Protocol::all_net().collect()).await?;
    let is_refused = session.refusal();
    let played = run(args, &target.broadcast, session, &url, recording).await;
    close(&client).await;
    played.map_err(|problem| if is_refused() { Problem::Final(problem.into_error()) } else { problem })
}

async fn run(
    args: &SubscribeArgs,
    name: &BroadcastName,
    session: Session,
    url: &Url,
    recording: &mut Recording<tokio::fs::File>,
) -> Result<(), Problem> {
    eprintln!("subscribing to {name} at {} over {}", session.remote, session.protocol.name());
    let (origin, driver) = moq_net::origin::Producer::new(moq_net::origin::Config::default());
    let consumer = origin.consume();
    let transport = match session {
        Session { stack: Stack::Net(transport), .. } => transport,
        Session { protocol, .. } => return Err(Problem::Final(anyhow!("{} was not offered", protocol.name()))),
    };
    let mut client = moq_net::Client::new().with_subscriber(origin);
    if transport.request().is_none() {
        client = client.with_path(dial::path_and_query(url));
    }
    let connected = tokio::time::timeout(dial::SET_UP, client.connect(Instant::now(), transport.clone())).await;
    let connected = connected.with_context(|| format!("no session with the server in {:?}", dial::SET_UP))?;
    let (_session, session) = connected.context("no session with the server")?;
    let play = async {
        let broadcast = tokio::time::timeout(PATIENCE, consumer.routed_broadcast(name.as_str())).await;
        let broadcast = broadcast.ok().with_context(|| absent(url, name))?.context("the broadcast cannot be read")?;
        play(&broadcast, &args.choice, recording).await
    };
    let (mut play, mut running) = (pin!(play), pin!(moq_net::time::run(session)));
    let lost = |ended| Problem::Lost(anyhow!("the session has ended: {}", dial::reason(&transport, &ended)));
    tokio::select! {
        biased;
        played = &mut play => match played {
            // What ends with the session is explained by how the session has ended.
            Err(Problem::Lost(error)) => match tokio::time::timeout(LAST_WORD, running).await {
                Ok(ended) => Err(lost(ended)),
                Err(_) => Err(Problem::Lost(error)),
            },
            other => other,
        },
        ended = &mut running => Err(lost(ended)),
        ended = moq_net::time::run(driver) => Err(anyhow!("the session's broadcasts have ended: {ended}").into()),
    }
}

fn absent(url: &Url, name: &BroadcastName) -> String {
    let host = url.host_str().unwrap_or_default();
    format!(
        "{host} has not announced `{name}` in {PATIENCE:?}: is it live? /api/v1/broadcasts of a Millrace server lists what is"
    )
}

/// Writes the tracks that are chosen of a broadcast, until they end or nobody reads any more.
async fn play(
    broadcast: &Consumer,
    choice: &Choice,
    recording: &mut Recording<impl AsyncWrite + Unpin>,
) -> Result<(), Problem> {
    let known = offered(broadcast).await?;
    let chosen = choice.of(&known).map_err(|error| {
        // A rung that was there before is there again soon.
        if recording.written() > 0 { Problem::Lost(error) } else { Problem::Final(error) }
    })?;
    let names: Vec<&str> = chosen.iter().map(|track| track.name.as_str()).collect();
    eprintln!("writing {}", names.join(" and "));
    let counted = recording.counted();
    let telling = progress::tell("received", || *counted.borrow());
    tokio::select! {
        played = write(broadcast, &chosen, recording) => match played {
            // Whoever read it has had enough.
            Err(Problem::Final(error)) if is_broken_pipe(&error) => Ok(()),
            other => other,
        },
        () = telling => Ok(()),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Reads the catalog until what is wanted is in it.
async fn offered(broadcast: &Consumer) -> anyhow::Result<Vec<Offer>> {
    let catalogs = Catalog::<()>::subscribe(broadcast);
    let catalogs = tokio::time::timeout(PATIENCE, catalogs).await.context("the catalog does not come")?;
    let mut catalogs = catalogs.context("the broadcast has no catalog `catalog.json`, expected hang's")?;
    let (mut known, mut deadline) = (Vec::new(), tokio::time::Instant::now() + PATIENCE);
    loop {
        match tokio::time::timeout_at(deadline, catalogs.next()).await {
            Ok(Ok(Some(catalog))) => {
                let is_first = known.is_empty();
                known = offers(&catalog);
                if is_complete(&known) {
                    break;
                }
                if is_first && !known.is_empty() {
                    deadline = tokio::time::Instant::now() + OTHER_HALF;
                }
            }
            Ok(Err(error)) => return Err(error).context("the catalog cannot be read"),
            // It has ended, or nothing more comes.
            Ok(Ok(None)) | Err(_) => break,
        }
    }
    Ok(known)
}

async fn write(
    broadcast: &Consumer,
    chosen: &[Chosen],
    recording: &mut Recording<impl AsyncWrite + Unpin>,
) -> Result<(), Problem> {
    let (send, mut receive) = mpsc::channel(WAITING);
    let mut reading = JoinSet::new();
    for (track, Chosen { name, .. }) in chosen.iter().enumerate() {
        let subscription = Subscription::default().with_max_age(LATEST);
        let subscribed = broadcast.track(name)?.subscribe(subscription);
        let subscribed = tokio::time::timeout(PATIENCE, subscribed).await;
        let subscribed = subscribed.ok().with_context(|| format!("track `{name}` does not answer"))??;
        reading.spawn(read(track, subscribed.ordered(), send.clone()));
    }
    drop(send);
    let inits: Vec<Bytes> = chosen.iter().map(|track| track.init.clone()).collect();
    recording.begin(&inits).await.map_err(Problem::Final)?;
    while let Some(fragment) = receive.recv().await {
        recording.write(&fragment).await.map_err(Problem::Final)?;
    }
    // A track that was broken off says why.
    while let Some(read) = reading.join_next().await {
        read??;
    }
    Ok(())
}

/// Reads the groups of a track, in order, to its end.
async fn read(
    number: usize,
    mut track: moq_net::track::Ordered,
    send: mpsc::Sender<Fragment>,
) -> Result<(), moq_net::Error> {
    while let Some(mut group) = track.next_group().await? {
        loop {
            match group.read_frame().await {
                Ok(Some(frame)) => {
                    let fragment = Fragment { track: number, group: group.sequence, bytes: frame.payload };
                    if send.send(fragment).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(None) => break,
                // The rest of the group is lost, and the next one stands for itself.
                Err(error) => {
                    tracing::warn!(track = track.name(), group = group.sequence, %error, "the end of a group is lost");
                    break;
                }
            }
        }
    }
    Ok(())
}
