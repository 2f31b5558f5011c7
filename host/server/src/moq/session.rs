//! One client's session, from its connection to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_deliver::moq::Moq;
use millrace_ingest::moq::{Grant, Ingest};
use millrace_media::Access;
use millrace_media::access::{self, Denied, Guard, TooLong};
use millrace_moq::{AcceptError, Address, Incoming, Session, Stack};
use moq_net::{Error, Pattern, Patterns};

use crate::access::{Client, Publishers, Refused};

/// What a client is told that does not stop sending what it was asked to stop.
const ENDLESS: &str = "it does not stop sending a track whose groups do not end";
/// UNAUTHORIZED, of the codes that end a session (draft-ietf-moq-transport-18, 3.6; moq-lite has the same).
const UNAUTHORIZED: u32 = 0x2;
/// How long a session has to say why it ended, once nothing more is received.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What sessions share.
pub(super) struct Shared {
    pub(super) deliver: Arc<Moq>,
    pub(super) ingest: Arc<Ingest>,
    /// Who may publish.
    pub(super) publishers: Arc<Publishers>,
    /// Who is asked about every broadcast that is published or played.
    pub(super) access: Access,
    /// The ports of the server's own pages.
    pub(super) pages: Vec<u16>,
    /// How long a session's set-up may take.
    pub(super) setup_timeout: Duration,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    /// As the stack says.
    #[error("{0}")]
    Ended(String),
    /// What the client showed will not do.
    #[error("refused: {0}")]
    Refused(#[from] Refused),
    /// What the client played it may no longer play.
    #[error("{0}")]
    Revoked(#[from] Denied),
    /// What the client shows is longer than is looked at.
    #[error("refused: {0}")]
    TooLong(#[from] TooLong),
    /// The session was not set up.
    #[error("its set-up failed: {0}")]
    SetUp(#[from] Error),
    /// The session was not set up in time.
    #[error("it was not set up in time")]
    Late,
    /// The client does not stop sending what it was asked to stop.
    #[error("{ENDLESS}")]
    Endless,
}

/// Makes a connection a session, and sees it through.
pub(super) async fn meet(incoming: Incoming, shared: Arc<Shared>) {
    let remote = incoming.remote();
    let (session, _held) = match incoming.session().await {
        Ok(met) => met,
        Err(error) => {
            let reason = reason(&error);
            metrics::counter!("millrace_moq_sessions_refused_total", "reason" => reason).increment(1);
            tracing::debug!(%remote, %error, "a connection did not become a session");
            return;
        }
    };
    let protocol = session.protocol.name();
    let path = session.address.path.clone();
    tracing::info!(%remote, protocol, path, "a session has begun");
    let began = Instant::now();
    let _counted = Counted::new(protocol);
    let end = run(session, &shared).await;
    let seconds = began.elapsed().as_secs();
    let refused = |reason| metrics::counter!("millrace_moq_sessions_refused_total", "reason" => reason).increment(1);
    match end {
        End::SetUp(_) => refused("set-up"),
        End::Late => refused("late"),
        End::Refused(_) => refused("token"),
        End::TooLong(_) => refused("set-up"),
        End::Ended(_) | End::Revoked(_) | End::Endless => {}
    }
    match end {
        End::Refused(_) | End::Endless => tracing::warn!(%remote, protocol, seconds, %end, "a session has ended"),
        _ => tracing::info!(%remote, protocol, seconds, %end, "a session has ended"),
    }
}

fn reason(error: &AcceptError) -> &'static str {
    match error {
        AcceptError::Busy => "busy",
        AcceptError::Unknown { .. } => "version",
        AcceptError::Late => "late",
        AcceptError::Handshake(_) | AcceptError::Request(_) | AcceptError::Setup(_) | AcceptError::Roles => "set-up",
    }
}

async fn run(session: Session, shared: &Shared) -> End {
    let grant = match shared.publishers.grant_session(&Client::of(&session), &shared.pages) {
        Ok(grant) => grant,
        Err(refused) => {
            session.refuse(&refused.to_string());
            return refused.into();
        }
    };
    let guard = match guard(shared, &Client::of(&session), session.remote) {
        Ok(guard) => guard,
        Err(too_long) => {
            session.refuse(&too_long.to_string());
            return too_long.into();
        }
    };
    let (end, remote) = (session.ender(), session.remote);
    match session.stack {
        Stack::Transport { session, publisher, subscriber } => {
            let receive = async {
                shared.ingest.receive(subscriber, grant, guard.clone()).await;
                // A session that is over says so itself.
                tokio::time::sleep(LAST_WORD).await;
            };
            let serve = async {
                shared.deliver.serve(publisher, guard.clone()).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = session.run() => End::Ended(ended.err().map_or("closed".into(), |error| error.to_string())),
                () = receive => {
                    end(ENDLESS);
                    End::Endless
                }
                () = serve => End::Ended("closed".into()),
            }
        }
        Stack::Net(transport) => match run_net(transport, remote, session.address, (grant, guard), shared).await {
            Ok(end) | Err(end) => end,
        },
    }
}

/// Who is asked about what a client publishes and plays.
fn guard(shared: &Shared, client: &Client<'_>, remote: SocketAddr) -> Result<Guard, TooLong> {
    if shared.access.is_open() {
        return Ok(Guard::default());
    }
    let shown = [("host", client.authority), ("origin", client.origin)];
    let shown = shown.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let query = client.address.query.as_deref().unwrap_or_default();
    let client = access::Client::new("moq", remote.ip(), query, shown)?;
    Ok(Guard::new(shared.access.clone(), Arc::new(client)))
}

/// A session of `moq-net`. Names in it are relative to the path of its URL, as its clients have it.
async fn run_net(
    transport: web_transport_quinn::Session,
    remote: SocketAddr,
    address: Address,
    (grant, guard): (Grant, Guard),
    shared: &Shared,
) -> Result<End, End> {
    let closing = transport.clone();
    let is_raw = transport.request().is_none();
    let request = moq_net::Server::new();
    let request = request.accept_request(Instant::now(), transport);
    let request = tokio::time::timeout(shared.setup_timeout, request).await.map_err(|_| End::Late)??;
    // Over raw QUIC the path comes in the session's SETUP, and a token with it.
    let (address, grant, guard) = if is_raw {
        let address = Address::parse(request.path());
        let client = Client { address: &address, authority: None, origin: None };
        match shared.publishers.grant_session(&client, &shared.pages) {
            Ok(grant) => {
                let guard = self::guard(shared, &client, remote)?;
                (address, grant, guard)
            }
            Err(refused) => {
                request.close(moq_net::SessionError::Unauthorized.into());
                return Err(refused.into());
            }
        }
    } else {
        (address, grant, guard)
    };
    let all = Patterns::from(Pattern::all());
    let (origin, guarding) = if guard.is_open() {
        (shared.deliver.origin(), None)
    } else {
        let (origin, guarding) = shared.deliver.guarded_origin(guard.clone(), &address.path);
        (origin, Some(guarding))
    };
    let request = request.with_publisher(&origin.scope(address.path.as_str(), &all)?);
    let (request, ingesting) = if grant == Grant::Nothing {
        (request, None)
    } else {
        let (origin, ingesting) = shared.ingest.session(grant, guard);
        (request.with_subscriber(origin.scope(address.path.as_str(), &all)?), Some(ingesting))
    };
    let accepted = tokio::time::timeout(shared.setup_timeout, request.ok()).await.map_err(|_| End::Late)?;
    // The session ends when its handle is dropped.
    let (_session, driver) = accepted?;
    let work = async {
        if let Some(ingesting) = ingesting {
            ingesting.await;
        }
        std::future::pending::<()>().await;
    };
    let guarding = async {
        match guarding {
            Some(guarding) => guarding.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        denied = guarding => {
            closing.close(UNAUTHORIZED, denied.reason.as_bytes());
            Err(denied.into())
        }
        ended = moq_net::time::run(driver) => Ok(End::Ended(ended.to_string())),
        () = work => Ok(End::Ended("closed".into())),
    }
}

/// One of the sessions that there are now.
struct Counted(metrics::Gauge);

impl Counted {
    fn new(protocol: &'static str) -> Self {
        let gauge = metrics::gauge!("millrace_moq_sessions", "protocol" => protocol);
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
