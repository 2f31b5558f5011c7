//! Publishing to another server: to a relay, or from the command line.

use std::pin::pin;
use std::time::{Duration, Instant};

use millrace_deliver::moq::Moq;
use millrace_moq::{Session, Stack};
use url::Url;

/// How long setting up a session of `moq-net` may take.
pub(crate) const SET_UP: Duration = Duration::from_secs(10);
/// How long subscribers have, at the end, to fetch what they lack.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The path and the query of a URL, as a session's SETUP has them over raw QUIC, where there is no request that would.
pub(crate) fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// Why a session of `moq-net` has ended: what the other side has said, which the library does not pass on, or else what that says.
pub(crate) fn reason(transport: &web_transport_quinn::Session, error: &moq_net::Error) -> String {
    transport.close_reason().map_or_else(|| error.to_string(), |reason| reason.to_string())
}

/// Announces everything, and serves what is subscribed to, until the session ends; or until `end`, and a little longer, so that what is
/// under way arrives. `begun` is called once it is set up. Gives what it ended with.
pub(crate) async fn publish(
    session: Session,
    url: &Url,
    deliver: &Moq,
    begun: impl FnOnce(),
    end: impl Future<Output = ()>,
) -> String {
    let mut end = pin!(end);
    match session.stack {
        Stack::Transport { session, publisher, .. } => {
            begun();
            let mut running = pin!(async {
                let work = async {
                    deliver.announce(publisher).await;
                    // The session says itself when it is over.
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    ended = session.run() => ended.err().map_or("it was closed".into(), |error| error.to_string()),
                    () = work => "it was closed".into(),
                }
            });
            tokio::select! {
                ended = &mut running => return ended,
                () = &mut end => {}
            }
            // It closes without waiting.
            tokio::time::timeout(LAST_LOOK, running).await.unwrap_or_else(|_| "it was closed".into())
        }
        Stack::Net(transport) => {
            let mut client = moq_net::Client::new().with_publisher(deliver.origin());
            if transport.request().is_none() {
                client = client.with_path(path_and_query(url));
            }
            let connecting = tokio::time::timeout(SET_UP, client.connect(Instant::now(), transport.clone()));
            let connected = tokio::select! {
                connected = connecting => connected,
                () = &mut end => return "it was closed".into(),
            };
            let (session, driver) = match connected {
                Ok(Ok(connected)) => connected,
                Ok(Err(error)) => return reason(&transport, &error),
                Err(_) => return format!("it has not been set up in {SET_UP:?}"),
            };
            begun();
            let mut running = pin!(moq_net::time::run(driver));
            tokio::select! {
                ended = &mut running => return reason(&transport, &ended),
                () = &mut end => {}
            }
            // It waits itself, until tracks that have ended have arrived, for a second at most.
            let (_, ended) = tokio::join!(session.close(), running);
            ended.to_string()
        }
    }
}
