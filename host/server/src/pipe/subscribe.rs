//! `millrace subscribe`: a broadcast of a server, written to the standard output as fragmented MP4.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use hang::catalog::Catalog;
use millrace_media::BroadcastName;
use millrace_moq::negotiate::Protocol;
use millrace_moq::{Session, Stack};
use moq_net::broadcast::Consumer;
use moq_net::track::Subscription;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

use super::choose::{Choice, Chosen, is_complete, offers};
use super::server::{Connected, ServerArgs, close};
use super::{mux, progress};
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
    pub choice: Choice,
}

/// Writes a broadcast to the standard output, until it ends or nobody reads any more.
///
/// # Errors
/// Where the server cannot be reached, the broadcast or a track is not there, or the session ends before the broadcast does.
pub async fn subscribe(args: &SubscribeArgs) -> anyhow::Result<()> {
    let target = args.server.target()?;
    let Connected { session, url, client } = args.server.connect(&target, Protocol::all_net().collect()).await?;
    let subscribed = run(args, &target.broadcast, session, &url).await;
    close(&client).await;
    subscribed
}

async fn run(args: &SubscribeArgs, name: &BroadcastName, session: Session, url: &Url) -> anyhow::Result<()> {
    eprintln!("subscribing to {name} at {} over {}", session.remote, session.protocol.name());
    let (origin, driver) = moq_net::origin::Producer::new(moq_net::origin::Config::default());
    let consumer = origin.consume();
    let transport = match session {
        Session { stack: Stack::Net(transport), .. } => transport,
        Session { protocol, .. } => bail!("{} was not offered", protocol.name()),
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
        let broadcast = broadcast.ok().with_context(|| absent(url, name))??;
        play(&broadcast, &args.choice, super::stream(std::io::stdout())?).await
    };
    tokio::select! {
        played = play => played,
        interrupted = super::interrupted() => Ok(interrupted?),
        ended = moq_net::time::run(session) => bail!("the session has ended: {}", dial::reason(&transport, &ended)),
        ended = moq_net::time::run(driver) => bail!("the session's broadcasts have ended: {ended}"),
    }
}

fn absent(url: &Url, name: &BroadcastName) -> String {
    let host = url.host_str().unwrap_or_default();
    format!(
        "{host} has not announced `{name}` in {PATIENCE:?}: is it live? /api/v1/broadcasts of a Millrace server lists what is"
    )
}

/// Writes the tracks that are chosen of a broadcast, until they end or nobody reads any more.
async fn play(broadcast: &Consumer, choice: &Choice, mut out: impl AsyncWrite + Unpin) -> anyhow::Result<()> {
    let chosen = choose(broadcast, choice).await?;
    let names: Vec<&str> = chosen.iter().map(|track| track.name.as_str()).collect();
    eprintln!("writing {}", names.join(" and "));
    let inits: Vec<Bytes> = chosen.iter().map(|track| track.init.clone()).collect();
    let written = tokio::sync::watch::Sender::new((0u64, 0u64));
    let telling = progress::tell("received", || *written.borrow());
    tokio::select! {
        played = write(broadcast, &chosen, &inits, &written, &mut out) => match played {
            // Whoever read it has had enough.
            Err(error) if is_broken_pipe(&error) => Ok(()),
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
async fn choose(broadcast: &Consumer, choice: &Choice) -> anyhow::Result<Vec<Chosen>> {
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
    choice.of(&known)
}

async fn write(
    broadcast: &Consumer,
    chosen: &[Chosen],
    inits: &[Bytes],
    written: &tokio::sync::watch::Sender<(u64, u64)>,
    out: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let (send, mut receive) = mpsc::channel(WAITING);
    let mut reading = JoinSet::new();
    for (track_id, track) in (1u32..).zip(chosen) {
        let subscription = Subscription::default().with_max_age(LATEST);
        let subscribed = broadcast.track(&track.name)?.subscribe(subscription);
        let subscribed = tokio::time::timeout(PATIENCE, subscribed).await;
        let subscribed = subscribed.ok().with_context(|| format!("track `{}` does not answer", track.name))??;
        reading.spawn(read(track_id, subscribed.ordered(), send.clone()));
    }
    drop(send);
    out.write_all(&mux::header(inits)?).await?;
    out.flush().await?;
    let mut sequence = 0;
    while let Some((track_id, bytes)) = receive.recv().await {
        let length = bytes.len() as u64;
        for part in mux::fragment(&bytes, track_id, &mut sequence)? {
            out.write_all(&part).await?;
        }
        out.flush().await?;
        written.send_modify(|(fragments, bytes)| (*fragments, *bytes) = (*fragments + 1, *bytes + length));
    }
    // A track that was broken off says why.
    while let Some(read) = reading.join_next().await {
        read??;
    }
    Ok(())
}

/// Reads the groups of a track, in order, to its end.
async fn read(
    track_id: u32,
    mut track: moq_net::track::Ordered,
    send: mpsc::Sender<(u32, Bytes)>,
) -> Result<(), moq_net::Error> {
    while let Some(mut group) = track.next_group().await? {
        loop {
            match group.read_frame().await {
                Ok(Some(frame)) => {
                    if send.send((track_id, frame.payload)).await.is_err() {
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
