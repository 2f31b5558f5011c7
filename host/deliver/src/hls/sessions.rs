//! Viewers' sessions, where somebody is asked who may play.
//!
//! HLS has no sessions of its own, and a viewer sends several requests a second: to ask for each would cost more than to answer it. A
//! viewer is asked for once, with its multivariant playlist, and gets a *token*: an element of the path below which that playlist lists
//! the others. All that they list is relative to them, so that every request of the viewer comes below the token, whatever player it is,
//! and nothing is written for it alone but the first playlist. With a token a request costs one look-up.
//!
//! **Life.** While the viewer goes on, a task of the session's asks again whenever the decision ends. A session that nobody has used
//! since the last decision *rests*: nobody is asked until the next request comes, which waits for the answer. Once denied, a session
//! stays denied, with the reason, and requests that wait in it end.
//!
//! **Bounds.** There are at most [`MOST_SESSIONS`]. Where there are as many, those go that rest, are denied, or have not been used for a
//! while, the longest unused first; where none is such, no viewer more is let in.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millrace_media::access::{Admission, Denied};
use millrace_media::{Access, BroadcastName};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// The most sessions: some thousands of bytes each.
pub(super) const MOST_SESSIONS: usize = 20_000;
/// Of as many at a time room is made, so that it is not looked for with every viewer that comes.
const ROOM: usize = MOST_SESSIONS / 16;
/// A session that was not used for so long makes room for others, though it may be allowed for much longer.
const IDLE: Duration = Duration::from_secs(60);
/// One that was never used does so much sooner: players use theirs at once, and who only asks for sessions is to keep nobody out.
const UNUSED: Duration = Duration::from_secs(5);
/// What a token begins with in a path. No more is needed to tell it from an element of a name: only where all fits it is one.
const MARK: char = '~';

/// The secret that a viewer is known by: 128 bits at random.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token([u8; 16]);

impl Token {
    fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Splits the path of a broadcast that ends in a token.
    pub(super) fn split(path: &str) -> Option<(&str, Self)> {
        let (broadcast, last) = path.rsplit_once('/')?;
        let mut bytes = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(last.strip_prefix(MARK)?, &mut bytes).ok()?;
        (length == bytes.len()).then_some((broadcast, Self(bytes)))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// How a session stands.
#[derive(Clone, Debug)]
enum State {
    Allowed,
    /// Nobody has used it since the last decision, which has ended.
    Resting,
    /// It rested, and is used again: the answer is awaited.
    Waking,
    Denied(Arc<Denied>),
}

/// One viewer's.
pub(super) struct Session {
    asked: BroadcastName,
    allowed: BroadcastName,
    state: watch::Sender<State>,
    /// When it was used last, in milliseconds since the sessions began. At first when it began itself.
    used: AtomicU64,
    /// A request has come in it.
    entered: AtomicBool,
    /// Requests in progress.
    requests: AtomicUsize,
    /// While it rests.
    admission: Mutex<Option<Admission>>,
    task: OnceLock<AbortHandle>,
}

/// A request of a session's, in progress until it is dropped.
pub(super) struct Viewer(Arc<Session>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Viewer {
    /// The broadcast that is played.
    pub(super) fn broadcast(&self) -> &BroadcastName {
        &self.0.allowed
    }

    /// Waits until the session is denied.
    pub(super) async fn denied(&self) -> Arc<Denied> {
        let mut changes = self.0.state.subscribe();
        let state = changes.wait_for(|state| matches!(state, State::Denied(_))).await.map(|state| state.clone());
        match state {
            Ok(State::Denied(denied)) => denied,
            // The session, which the viewer holds, holds the sender.
            _ => std::future::pending().await,
        }
    }
}

/// There are as many sessions as there may be, and all are used; or the system has no random numbers.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSession {
    #[error("{MOST_SESSIONS} viewers are watching, and may not be more")]
    Full,
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// Why a token lets nobody in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoEntry {
    #[error("there is no such session, or no longer: begin again with the multivariant playlist")]
    Unknown,
    #[error("{0}")]
    Denied(Arc<Denied>),
}

/// All sessions. When it is dropped, their tasks end.
pub(super) struct Sessions {
    access: Access,
    began: Instant,
    known: Mutex<HashMap<Token, Arc<Session>>>,
    tasks: Mutex<JoinSet<()>>,
    most: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    pub(super) fn new(access: Access) -> Self {
        Self::of(access, MOST_SESSIONS)
    }

    fn of(access: Access, most: usize) -> Self {
        Self { access, began: Instant::now(), known: Mutex::default(), tasks: Mutex::default(), most }
    }

    /// Who is asked.
    pub(super) const fn access(&self) -> &Access {
        &self.access
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        lock(&self.known).len()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Begins a session.
    pub(super) fn begin(&self, admission: Admission) -> Result<Token, NoSession> {
        let token = Token::random().map_err(NoSession::Random)?;
        let session = Arc::new(Session {
            asked: admission.asked().clone(),
            allowed: admission.allowed().clone(),
            state: watch::Sender::new(State::Allowed),
            used: AtomicU64::new(self.now()),
            entered: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            admission: Mutex::default(),
            task: OnceLock::new(),
        });
        {
            let mut known = lock(&self.known);
            if known.len() >= self.most {
                self.make_room(&mut known);
            }
            if known.len() >= self.most {
                return Err(NoSession::Full);
            }
            known.insert(token, session.clone());
        }
        self.keep(session, admission, false);
        metrics::gauge!("millrace_hls_sessions").set(self.len() as f64);
        Ok(token)
    }

    /// Lets go of sessions that nobody uses.
    fn make_room(&self, known: &mut HashMap<Token, Arc<Session>>) {
        let now = self.now();
        let unused = |session: &Session| {
            let used = session.used.load(Ordering::Relaxed);
            let patience = if session.entered.load(Ordering::Relaxed) { IDLE } else { UNUSED };
            let is_idle = Duration::from_millis(now.saturating_sub(used)) >= patience;
            let is_free = session.requests.load(Ordering::Relaxed) == 0
                && (is_idle || matches!(*session.state.borrow(), State::Resting | State::Denied(_)));
            is_free.then_some(used)
        };
        let mut unused: Vec<_> = known.iter().filter_map(|(token, session)| Some((unused(session)?, *token))).collect();
        let room = ROOM.min(self.most).max(1);
        if unused.len() > room {
            unused.select_nth_unstable_by_key(room, |(used, _)| *used);
        }
        for (_, token) in unused.into_iter().take(room) {
            if let Some(task) = known.remove(&token).as_ref().and_then(|session| session.task.get()) {
                task.abort();
            }
        }
    }

    /// Lets a request in that shows a token, below the broadcast that it is for. Waits where the session has rested.
    pub(super) async fn enter(&self, broadcast: &str, token: Token) -> Result<Viewer, NoEntry> {
        let session = lock(&self.known).get(&token).cloned().filter(|session| session.asked.as_str() == broadcast);
        let session = session.ok_or(NoEntry::Unknown)?;
        session.used.store(self.now(), Ordering::Relaxed);
        session.entered.store(true, Ordering::Relaxed);
        session.requests.fetch_add(1, Ordering::Relaxed);
        let viewer = Viewer(session);
        let session = &viewer.0;
        if matches!(*session.state.borrow(), State::Allowed) {
            return Ok(viewer);
        }
        if let Some(admission) = lock(&session.admission).take() {
            session.state.send_replace(State::Waking);
            self.keep(session.clone(), admission, true);
        }
        let mut changes = session.state.subscribe();
        let state = changes.wait_for(|state| matches!(state, State::Allowed | State::Denied(_))).await;
        match state.map(|state| state.clone()) {
            Ok(State::Denied(denied)) => Err(NoEntry::Denied(denied)),
            Ok(_) => Ok(viewer),
            // The viewer holds the session, and the session the sender.
            Err(_) => Err(NoEntry::Unknown),
        }
    }

    /// Keeps a session until it rests, or is denied.
    fn keep(&self, session: Arc<Session>, admission: Admission, waking: bool) {
        let Some(until) = admission.until() else { return };
        let (began, kept) = (self.began, session.clone());
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        let task = tasks.spawn(keep(kept, admission, began, (!waking).then_some(until)));
        // One that has rested has another task than at first: it is short, and ends by itself when the session rests again.
        let _ = session.task.set(task);
    }
}

/// Asks again whenever the decision ends, which it has where `until` is none.
async fn keep(session: Arc<Session>, mut admission: Admission, began: Instant, mut until: Option<Instant>) {
    loop {
        if let Some(until) = until {
            let decided = Instant::now();
            tokio::time::sleep_until(until).await;
            let used = began + Duration::from_millis(session.used.load(Ordering::Relaxed));
            // A millisecond for the rounding.
            let is_used = session.requests.load(Ordering::Relaxed) > 0 || used + Duration::from_millis(1) > decided;
            if !is_used {
                *lock(&session.admission) = Some(admission);
                session.state.send_replace(State::Resting);
                return;
            }
        }
        if let Err(denied) = admission.renew().await {
            tracing::info!(broadcast = %session.asked, %denied, "a viewer may no longer play");
            session.state.send_replace(State::Denied(Arc::new(denied)));
            return;
        }
        session.state.send_if_modified(|state| {
            let woke = !matches!(state, State::Allowed);
            *state = State::Allowed;
            woke
        });
        until = admission.until();
        if until.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use millrace_media::access::{Action, Answer, Attempt, Authorizer, Client, NoAnswer, Verdict};

    use super::*;

    struct Everybody;

    #[async_trait]
    impl Authorizer for Everybody {
        fn name(&self) -> &str {
            "everybody"
        }

        fn limit(&self) -> Duration {
            Duration::from_secs(5)
        }

        fn concerns(&self, _: &BroadcastName) -> bool {
            true
        }

        async fn authorize(&self, _: Arc<Attempt>) -> Result<Answer, NoAnswer> {
            Ok(Answer { verdict: Verdict::Allow, expiry: Some(Duration::from_secs(300)) })
        }
    }

    async fn admitted(access: &Access) -> Admission {
        let client = Client::new("hls", [192, 0, 2, 1].into(), "", std::iter::empty()).unwrap();
        access.admit(&Arc::new(client), Action::Play, &BroadcastName::new("live/a").unwrap()).await.unwrap()
    }

    #[test]
    fn tokens_are_elements_of_a_path() {
        let token = Token::random().unwrap();
        let path = format!("live/a/{token}");
        assert!(Token::split(&path).is_some_and(|(broadcast, split)| broadcast == "live/a" && split == token));
        for other in [
            "live/a",
            "live/~a",
            "~AAAAAAAAAAAAAAAAAAAAAA",
            "live/AAAAAAAAAAAAAAAAAAAAAA",
            "live/~AAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(Token::split(other).is_none(), "{other}");
        }
        assert_ne!(Token::random().unwrap().0, token.0);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_were_never_used_keep_nobody_out() {
        let access = Access::new(vec![Arc::new(Everybody)]);
        let sessions = Sessions::of(access.clone(), 4);
        let used = sessions.begin(admitted(&access).await).unwrap();
        drop(sessions.enter("live/a", used).await.unwrap());
        for _ in 0..3 {
            sessions.begin(admitted(&access).await).unwrap();
        }
        assert!(matches!(sessions.begin(admitted(&access).await), Err(NoSession::Full)));
        tokio::time::advance(UNUSED).await;
        for _ in 0..3 {
            sessions.begin(admitted(&access).await).unwrap();
        }
        assert!(sessions.enter("live/a", used).await.is_ok(), "it is a viewer's");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_another_viewer_where_one_has_gone() {
        let access = Access::new(vec![Arc::new(Everybody)]);
        let sessions = Sessions::of(access.clone(), 4);
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(sessions.begin(admitted(&access).await).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(matches!(sessions.begin(admitted(&access).await), Err(NoSession::Full)));
        assert_eq!(sessions.len(), 4);
        // One waits in a request for as long as that takes; the others come back, but for one.
        let waiting = sessions.enter("live/a", tokens[0]).await.unwrap();
        tokio::time::advance(IDLE).await;
        for token in &tokens[2..] {
            drop(sessions.enter("live/a", *token).await.unwrap());
        }
        let new = sessions.begin(admitted(&access).await).unwrap();
        assert_eq!(sessions.enter("live/a", tokens[1]).await.err(), Some(NoEntry::Unknown));
        for token in [tokens[0], tokens[2], tokens[3], new] {
            assert!(sessions.enter("live/a", token).await.is_ok());
        }
        drop(waiting);
        assert!(matches!(sessions.begin(admitted(&access).await), Err(NoSession::Full)), "it was used a moment ago");
        assert_eq!(sessions.len(), 4);
    }
}
