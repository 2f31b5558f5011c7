//! `millrace publish`: a file or a pipe, published to a server.
//!
//! What is read goes the way of a publisher over HTTP, onto a bus of its own, and from there over Media over QUIC as a server's broadcasts
//! do: announced, and served to who subscribes. Reading goes on while there is no session: the server that comes back gets the newest group,
//! and a file is where it would be if the session had not been lost.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::body::Body;
use axum::http::Request;
use bytes::{Bytes, BytesMut};
use clap::Args;
use futures::Stream;
use millrace_ingest::http::{Ingest, Settings};
use millrace_media::clock::Clock;
use millrace_media::{BroadcastName, Bus, bus};
use tokio::io::{AsyncRead, AsyncReadExt};
use tower::ServiceExt;

use super::pace::Pace;
use super::progress;
use super::retry::{Retry, RetryArgs};
use super::server::ServerArgs;
use super::uplink::{UNTAKEN, Uplink};

/// What to do about an input that is none.
const EXPECTED: &str = "expected fragmented MP4: ffmpeg makes it of a film with \
                        -c copy -f mp4 -movflags cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe";

/// The standard input, where a file is asked for.
const STANDARD_INPUT: &str = "-";
/// Read at once, bytes. As little as leaves the pace of a file even, and as much as a pipe holds.
const PACED: usize = 4 << 10;
const UNPACED: usize = 64 << 10;
/// A pipe may be silent for so long: whoever writes to it knows when it ends.
const SILENCE: Duration = Duration::from_secs(24 * 3600);

/// What is published, and where.
#[derive(Args, Clone, Debug)]
pub struct PublishArgs {
    /// Fragmented MP4 (CMAF): a file, which is sent as fast as it plays; or `-`, the standard input, which is sent as it comes
    #[arg(value_name = "FILE")]
    pub input: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments of it are documented")]
    pub server: ServerArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "the arguments of it are documented")]
    pub retry: RetryArgs,
    /// Send the standard input, too, no faster than it plays
    #[arg(long, conflicts_with = "no_pace")]
    pub pace: bool,
    /// Send a file as fast as it can be read: for named pipes
    #[arg(long)]
    pub no_pace: bool,
}

/// Publishes until the input ends.
///
/// # Errors
/// Where the input cannot be read, is not fragmented MP4, or the server cannot be reached or ends the session: for good, where that is to
/// be tried again.
pub async fn publish(args: &PublishArgs) -> anyhow::Result<()> {
    let target = args.server.target()?;
    let is_pipe = args.input == Path::new(STANDARD_INPUT);
    let input: Box<dyn AsyncRead + Send + Unpin> = if is_pipe {
        Box::new(super::stream(std::io::stdin())?)
    } else {
        let file = tokio::fs::File::open(&args.input).await;
        Box::new(file.with_context(|| format!("{} cannot be opened", args.input.display()))?)
    };
    let pace = (args.pace || !is_pipe && !args.no_pace).then(Pace::new);
    let bus = Bus::new(bus::Settings::default(), Arc::new(Clock::system()));
    let ingest = Ingest::new(bus.clone(), Settings { idle_timeout: SILENCE, ..Settings::default() });
    let name = &target.broadcast;
    let uplink = Uplink::new(&args.server, &target, bus.clone());
    let mut publishing = pin!(uplink.keep(Retry::new(&args.retry)));
    let feeding = async {
        // What is read before anybody could take it is lost.
        uplink.begun().await;
        feed(&ingest, name, input, pace).await
    };
    tokio::select! {
        fed = feeding => fed?,
        ended = &mut publishing => return ended,
        // Told to end, it ends as at the end of its input.
        interrupted = super::interrupted() => interrupted?,
        () = progress::tell("published", || sent(&bus, name)) => {}
    }
    let (fragments, bytes) = sent(&bus, name);
    if !uplink.has_begun() {
        bail!("told to end before there was a session with the server");
    }
    if fragments == 0 {
        bail!("{} has no fragment in it, {EXPECTED}", args.input.display());
    }
    ingest.stop();
    // Where the input has ended, its broadcast waits for a publisher that does not return.
    bus.broadcasts().iter().for_each(|broadcast| broadcast.close());
    uplink.end();
    publishing.await?;
    if !uplink.is_taken() {
        eprintln!("{UNTAKEN}");
    }
    eprintln!("published {fragments} fragments, {bytes} bytes");
    Ok(())
}

/// Fragments and bytes of a broadcast so far.
fn sent(bus: &Bus, name: &BroadcastName) -> (u64, u64) {
    let tracks = bus.broadcast(name).map(|broadcast| broadcast.tracks()).unwrap_or_default();
    let stats = tracks.iter().map(|track| track.stats());
    stats.fold((0, 0), |(fragments, bytes), stats| (fragments + stats.fragments, bytes + stats.bytes))
}

/// Publishes an input to a bus, to its end.
async fn feed(
    ingest: &Arc<Ingest>,
    name: &BroadcastName,
    input: Box<dyn AsyncRead + Send + Unpin>,
    pace: Option<Pace>,
) -> anyhow::Result<()> {
    let request = Request::post(format!("/{name}/stream.mp4")).body(Body::from_stream(read(input, pace)))?;
    // Errors of its own it has none.
    let Ok(answer) = millrace_ingest::http::router(ingest.clone()).oneshot(request).await;
    let status = answer.status();
    if !status.is_success() {
        let text = axum::body::to_bytes(answer.into_body(), UNPACED).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        bail!("the input cannot be published: {}; {EXPECTED}", text.trim().trim_end_matches('.'));
    }
    Ok(())
}

struct Reading {
    input: Box<dyn AsyncRead + Send + Unpin>,
    pace: Option<Pace>,
    began: Instant,
}

/// What is in an input, as fast as it is to be sent.
fn read(
    input: Box<dyn AsyncRead + Send + Unpin>,
    pace: Option<Pace>,
) -> impl Stream<Item = anyhow::Result<Bytes>> + Send + 'static {
    let reading = Reading { input, pace, began: Instant::now() };
    futures::stream::try_unfold(reading, |mut reading| async move {
        let mut bytes = BytesMut::with_capacity(if reading.pace.is_some() { PACED } else { UNPACED });
        if reading.input.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let bytes = bytes.freeze();
        if let Some(pace) = &mut reading.pace {
            // What cannot be read is refused by who takes it, in better words.
            let due = pace.due(bytes.clone()).unwrap_or_default();
            tokio::time::sleep_until((reading.began + due).into()).await;
        }
        Ok(Some((bytes, reading)))
    })
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;
    use crate::pipe::mux::tests::film;

    fn input(bytes: Vec<u8>) -> Box<dyn AsyncRead + Send + Unpin> {
        Box::new(std::io::Cursor::new(bytes))
    }

    fn bytes(fragments: u8) -> Vec<u8> {
        let film = film(1, fragments);
        film.fragments.iter().fold(film.init.to_vec(), |all, fragment| [&all, &fragment[..]].concat())
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_takes_as_long_as_it_plays() {
        let (film, began) = (bytes(100), tokio::time::Instant::now());
        let sent: Vec<Bytes> = read(input(film.clone()), Some(Pace::new())).try_collect().await.unwrap();
        assert_eq!(sent.concat(), film);
        let took = began.elapsed();
        assert!((Duration::from_millis(3900)..Duration::from_millis(4000)).contains(&took), "{took:?}");
    }

    #[tokio::test]
    async fn what_is_read_comes_onto_a_bus() {
        let bus = Bus::new(bus::Settings::default(), Arc::new(Clock::system()));
        let ingest = Ingest::new(bus.clone(), Settings::default());
        let name = BroadcastName::new("live/me").unwrap();
        feed(&ingest, &name, input(bytes(5)), None).await.unwrap();
        ingest.stop();
        let (fragments, sent) = sent(&bus, &name);
        assert!(fragments > 0 && sent > 5, "{fragments} fragments, {sent} bytes");
        let error = feed(&ingest, &name, input(b"this is no film".to_vec()), None).await.unwrap_err();
        assert!(error.to_string().starts_with("the input cannot be published: "), "{error}");
    }
}
