//! One request that sends media: its body is read as it comes, and each fragment written as soon as it is whole.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::StreamExt;
use millrace_cmaf::{Chunk, Header, Item, Reader};
use millrace_media::access::Admission;

use super::Ingest;
use super::arrivals::Arrival;
use super::refusal::Refusal;
use super::session::{Claim, Session, Step};

/// How long a segment waits for its header, or for the end of the segment before it, where those are on their way on other
/// connections: more than a connection's start takes, less than a segment.
const OVERTAKEN: Duration = Duration::from_secs(2);

/// See the [module](self).
pub(super) struct Upload {
    ingest: Arc<Ingest>,
    claim: Claim,
    session: Option<(Arc<Session>, u64)>,
    /// The header that the request itself brought.
    header: Option<Header>,
    chunks: u64,
    /// A segment of the brand `lmsg` has begun.
    is_last: bool,
}

impl Upload {
    pub(super) fn new(ingest: Arc<Ingest>, claim: Claim) -> Self {
        Self { ingest, claim, session: None, header: None, chunks: 0, is_last: false }
    }

    /// Reads the body to its end, or until its sender may no longer publish.
    pub(super) async fn run(mut self, body: Body, admission: Option<Admission>) -> Result<(), Refusal> {
        let result = match admission {
            None => self.read(body).await,
            Some(mut admission) => tokio::select! {
                result = self.read(body) => result,
                denied = admission.revoked() => Err(Refusal::Revoked(denied)),
            },
        };
        let lost = result.as_ref().is_err_and(Refusal::is_loss);
        let session = self.leave(lost);
        if let (Some((session, _)), Err(Refusal::Revoked(_))) = (&session, &result) {
            self.ingest.close(session, false);
        }
        if let Some((session, source)) = session
            && self.is_last
            && result.is_ok()
            && session.end_source(|id, _| id == source)
        {
            self.ingest.finish(&session).await;
        }
        result
    }

    /// Gives up the writer's place. The end of a whole stream is the publisher's, where it sends no other.
    fn leave(&mut self, lost: bool) -> Option<(Arc<Session>, u64)> {
        let (session, source) = self.session.take()?;
        let is_stream = self.header.is_some() && self.chunks > 0 && !self.is_last;
        if session.leave(self.claim.upload, lost, is_stream) && is_stream {
            self.ingest.close(&session, false);
        }
        Some((session, source))
    }

    async fn read(&mut self, body: Body) -> Result<(), Refusal> {
        let idle = self.ingest.settings.idle_timeout;
        let ingest = self.ingest.clone();
        let mut arrival = ingest.arrivals.announce(self.claim.upload, &self.claim.target);
        let mut stream = body.into_data_stream();
        let mut reader = None;
        loop {
            let next = tokio::time::timeout(idle, stream.next()).await.map_err(|_| Refusal::Silent(idle))?;
            let Some(bytes) = next.transpose().map_err(Refusal::Body)? else { break };
            if bytes.is_empty() {
                continue;
            }
            let reader = match &mut reader {
                Some(reader) => reader,
                None => reader.insert(self.reader(&arrival).await),
            };
            reader.push(bytes);
            while let Some(item) = reader.next()? {
                match item {
                    Item::Header(header) => {
                        self.declare(header)?;
                        arrival.header_came();
                    }
                    Item::SegmentType(styp) => self.is_last |= styp.has(b"lmsg"),
                    Item::Chunk(chunk) => self.write(&chunk).await?,
                    Item::Skipped(_) => {}
                }
            }
        }
        // An empty request asks whether there would be a way.
        match reader {
            Some(reader) => Ok(reader.finish()?),
            None => Ok(()),
        }
    }

    /// A reader that knows the header of what comes, if that was sent before.
    async fn reader(&mut self, arrival: &Arrival<'_>) -> Reader {
        let limits = self.ingest.settings.limits;
        let deadline = tokio::time::Instant::now() + OVERTAKEN;
        let mut changes = self.ingest.arrivals.changes();
        loop {
            let session = self.ingest.session(&self.claim.target.broadcast);
            let found = session.as_ref().and_then(|session| session.header_of(&self.claim.target.resource));
            let sure = found.as_ref().is_some_and(|(_, _, sure)| *sure);
            let waits =
                !sure && !arrival.is_header() && self.ingest.arrivals.expects_header(&self.claim.target.broadcast);
            if waits && tokio::time::timeout_at(deadline, changes.changed()).await.is_ok_and(|changed| changed.is_ok())
            {
                continue;
            }
            return match (session, found) {
                (Some(session), Some((source, header, _))) => {
                    self.session = Some((session, source));
                    Reader::with_header(limits, header)
                }
                _ => Reader::new(limits),
            };
        }
    }

    fn declare(&mut self, header: Header) -> Result<(), Refusal> {
        self.session = Some(self.ingest.declare(&self.claim, &header)?);
        self.header = Some(header);
        Ok(())
    }

    async fn write(&mut self, chunk: &Chunk) -> Result<(), Refusal> {
        let mut waited = None;
        loop {
            let Some((session, source)) = &self.session else {
                return Err(Refusal::Over(self.claim.target.broadcast.clone()));
            };
            let (session, source) = (session.clone(), *source);
            let mut changes = session.changes();
            let stream = self.header.is_some();
            match session.write(&self.claim, source, stream, chunk, self.ingest.now())? {
                Step::Done => {
                    self.chunks += 1;
                    return Ok(());
                }
                Step::Wait => {
                    let (deadline, heard) = *waited.get_or_insert_with(|| {
                        (tokio::time::Instant::now() + OVERTAKEN, session.heard(source).unwrap_or_default())
                    });
                    if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                        session.take_over(source, heard)?;
                    }
                }
            }
        }
    }
}

impl Drop for Upload {
    /// Where the request was not read to its end, because the server stops.
    fn drop(&mut self) {
        self.leave(true);
    }
}
