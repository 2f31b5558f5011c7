//! Requests where not everybody may play: each belongs to a [session](crate::hls::sessions), or begins one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use millrace_media::access::{Action, Admission, Client, Denied, TooLong};
use millrace_media::{BroadcastName, TrackName};

use super::{Request, Shown, finish, no_such};
use crate::hls::delivery::{self, Refusal, What};
use crate::hls::path::{Resource, TrackPath};
use crate::hls::registry::Hls;
use crate::hls::sessions::{NoEntry, NoSession, Sessions, Token};

/// The address of a client whose connection is not known.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Forbidden(denied.reason)
    }
}

impl From<TooLong> for Refusal {
    fn from(error: TooLong) -> Self {
        Self::HeadTooLarge(error.to_string())
    }
}

impl From<NoEntry> for Refusal {
    fn from(error: NoEntry) -> Self {
        Self::Forbidden(error.to_string())
    }
}

impl From<NoSession> for Refusal {
    fn from(error: NoSession) -> Self {
        Self::Unavailable(error.to_string())
    }
}

pub(super) async fn serve(
    State(hls): State<Arc<Hls>>,
    Path(path): Path<String>,
    request: axum::extract::Request,
) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let (what, answer) = match (Resource::parse(&path), hls.sessions()) {
        (Some(resource), Some(sessions)) => {
            let gate = Gate { hls: &hls, sessions, parts: &parts };
            (resource.what(), gate.answer(resource).await)
        }
        _ => (What::Unknown, Err(Refusal::no_file(&path))),
    };
    finish(&hls, &parts.headers, what, answer)
}

struct Gate<'a> {
    hls: &'a Hls,
    sessions: &'a Sessions,
    parts: &'a Parts,
}

impl Gate<'_> {
    async fn answer(&self, resource: Resource<'_>) -> Result<Response<Body>, Refusal> {
        if let Some((broadcast, token)) = Token::split(resource.broadcast()) {
            let viewer = self.sessions.enter(broadcast, token).await?;
            let request = Request { viewer: Some(&viewer), ..self.request() };
            let mut answer = request.answer(resource.of(viewer.broadcast().as_str())).await?;
            delivery::make_private(answer.headers_mut());
            return Ok(answer);
        }
        match resource {
            Resource::Master { name } => self.master(name).await,
            Resource::Playlist { track } => self.playlist(track).await,
            Resource::Init { .. } | Resource::Segment { .. } | Resource::Part { .. } => {
                let text = "files are served below a viewer's token: begin with the multivariant playlist";
                Err(Refusal::Forbidden(text.to_owned()))
            }
        }
    }

    fn request(&self) -> Request<'_> {
        let query = self.parts.uri.query().unwrap_or_default();
        Request { hls: self.hls, query, headers: &self.parts.headers, viewer: None }
    }

    /// The first playlist of a viewer.
    async fn master(&self, name: &str) -> Result<Response<Body>, Refusal> {
        // A rendition is played by whoever may play its broadcast. Nothing is said of what there is before that is known.
        let (broadcast, view) = match self.hls.shown(name) {
            Some(Shown { entry, view: Some(view) }) => (entry.broadcast.name().clone(), Some(view)),
            _ => (BroadcastName::new(name).map_err(|_| no_such(name))?, None),
        };
        let admission = self.admit(&broadcast).await?;
        let entry = self.hls.entry(admission.allowed()).ok_or_else(|| no_such(name))?;
        let shown = Shown { entry, view };
        let request = self.request();
        let (rungs, base) = request.variants(&shown).await?.ok_or_else(|| no_such(name))?;
        let token = self.sessions.begin(admission)?;
        let mut answer = request.master(&shown.entry, &rungs, &format!("{base}{token}/"));
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    /// A media playlist that a viewer begins with, or comes back to.
    async fn playlist(&self, path: TrackPath<'_>) -> Result<Response<Body>, Refusal> {
        let no_such =
            || Refusal::NotFound(format!("there is no track {:?} of a broadcast {:?}", path.track, path.broadcast));
        let broadcast = BroadcastName::new(path.broadcast).map_err(|_| no_such())?;
        let track = TrackName::new(path.track).map_err(|_| no_such())?;
        let admission = self.admit(&broadcast).await?;
        self.hls.feed(admission.allowed().as_str(), track.as_str()).ok_or_else(no_such)?;
        let token = self.sessions.begin(admission)?;
        let query = self.parts.uri.query().map_or(String::new(), |query| format!("?{query}"));
        delivery::redirect(&format!("../{token}/{track}/playlist.m3u8{query}")).ok_or_else(no_such)
    }

    async fn admit(&self, broadcast: &BroadcastName) -> Result<Admission, Refusal> {
        let Parts { uri, headers, extensions, .. } = self.parts;
        let address = extensions.get::<ConnectInfo<SocketAddr>>().map_or(UNKNOWN, |info| info.0.ip());
        let client = Arc::new(Client::of_request("hls", address, uri, headers)?);
        Ok(self.sessions.access().admit(&client, Action::Play, broadcast).await?)
    }
}
