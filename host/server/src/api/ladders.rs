//! Ladders: what there is, and changing it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use millrace_media::BroadcastName;
use millrace_transcode::stats::{Key, Stats};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::{Document, NewLadder, NewRendition};
use super::refusal::{BadBody, Guarded, Refusal, Unwritten};
use super::transcoders::Transcoder;
use super::{Answer, Shared, answer};
use crate::config::{self, ChangeError, LadderForm, Overlay, RenditionForm, ladder_from_json, rendition_from_json};
use crate::ladders::{Ladders as Book, NotChanged};

#[derive(Serialize, ToSchema)]
pub(super) struct Ladders {
    /// The file that keeps what is changed here. Without it, it is gone when the server stops.
    #[schema(example = "/etc/millrace/millrace.overlay.toml")]
    overlay: Option<String>,
    /// In their order: the first that is for a broadcast is its only one.
    ladders: Vec<Ladder>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Ladder {
    #[serde(flatten)]
    form: LadderForm,
    /// Where it is from: `config` or `api`.
    source: Source,
    /// From the top down.
    renditions: Vec<Rendition>,
    /// Sentences for the operator.
    notes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Rendition {
    #[serde(flatten)]
    form: RenditionForm,
    /// Where it is from: `config` or `api`.
    source: Source,
    /// Those that make it now.
    transcoders: Vec<Transcoder>,
}

/// Where something comes from.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Source {
    /// The configuration.
    Config,
    /// A request.
    Api,
}

/// A change that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// The ladder as it is now; one that was removed, as it was.
    ladder: Ladder,
    /// Whether the change outlives the server.
    kept: bool,
}

/// The ladders, and the transcoders at work for each of their renditions
#[utoipa::path(
    get,
    path = "/ladders",
    tag = "ladders",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "All of them, in their order", body = Ladders),
        Guarded,
    )
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Ladders> {
    let view = View::of(&shared.ladders);
    let ladders = view.ladders.iter().map(|ladder| view.ladder(ladder)).collect();
    answer(Ladders { overlay: shared.ladders.file().map(|file| file.display().to_string()), ladders })
}

/// One ladder
#[utoipa::path(
    get,
    path = "/ladders/{ladder}",
    tag = "ladders",
    params(("ladder" = String, Path, description = "Its name")),
    security((), ("token" = [])),
    responses(
        (status = 200, description = "The ladder", body = Ladder),
        Guarded,
        (status = 404, description = "No such ladder", body = Refusal, content_type = "application/problem+json"),
    )
)]
pub(super) async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer<Ladder>, Refusal> {
    let view = View::of(&shared.ladders);
    let ladder = view.ladders.iter().find(|ladder| ladder.name.as_str() == name);
    Ok(answer(view.ladder(ladder.ok_or(NotChanged::Change(ChangeError::NoLadder(name)))?)))
}

/// Adds a ladder behind the others
///
/// Live broadcasts that no other ladder is for take it up with their next group.
#[utoipa::path(
    post,
    path = "/ladders",
    tag = "ladders",
    request_body = NewLadder,
    security((), ("token" = [])),
    responses(
        (status = 201, description = "Added", body = Changed, headers(("Location" = String, description = "Its address"))),
        BadBody,
        Guarded,
        (status = 409, description = "There is a ladder of this name", body = Refusal, content_type = "application/problem+json"),
        Unwritten,
    )
)]
pub(super) async fn add(State(shared): State<Shared>, Document(body): Document) -> Result<Created, Refusal> {
    let ladder = ladder_from_json(&body)?;
    created(change(&shared.ladders, move |ladders| ladders.add(ladder)).await?)
}

/// Removes a ladder
///
/// Its renditions end. Broadcasts that another ladder is for as well get that one's with their next group.
#[utoipa::path(
    delete,
    path = "/ladders/{ladder}",
    tag = "ladders",
    params(("ladder" = String, Path, description = "Its name")),
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Removed", body = Changed),
        Guarded,
        (status = 404, description = "No such ladder", body = Refusal, content_type = "application/problem+json"),
        Unwritten,
    )
)]
pub(super) async fn remove(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer<Changed>, Refusal> {
    Ok(answer(change(&shared.ladders, move |ladders| ladders.remove(&name)).await?))
}

/// Adds a rendition to a ladder
///
/// Live broadcasts take it up with their next group.
#[utoipa::path(
    post,
    path = "/ladders/{ladder}/renditions",
    tag = "ladders",
    params(("ladder" = String, Path, description = "The ladder's name")),
    request_body = NewRendition,
    security((), ("token" = [])),
    responses(
        (status = 201, description = "Added", body = Changed, headers(("Location" = String, description = "The ladder's address"))),
        BadBody,
        Guarded,
        (status = 404, description = "No such ladder", body = Refusal, content_type = "application/problem+json"),
        (status = 409, description = "The ladder has a rendition of this name", body = Refusal, content_type = "application/problem+json"),
        Unwritten,
    )
)]
pub(super) async fn add_rendition(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Document(body): Document,
) -> Result<Created, Refusal> {
    let rendition = rendition_from_json(&body)?;
    created(change(&shared.ladders, move |ladders| ladders.add_rendition(&name, &rendition)).await?)
}

/// Removes a rendition of a ladder
///
/// Its rungs end; the others go on.
#[utoipa::path(
    delete,
    path = "/ladders/{ladder}/renditions/{rendition}",
    tag = "ladders",
    params(
        ("ladder" = String, Path, description = "The ladder's name"),
        ("rendition" = String, Path, description = "The rendition's name"),
    ),
    security((), ("token" = [])),
    responses(
        (status = 200, description = "Removed", body = Changed),
        Guarded,
        (status = 404, description = "No such ladder, or no such rendition in it", body = Refusal, content_type = "application/problem+json"),
        Unwritten,
    )
)]
pub(super) async fn remove_rendition(
    State(shared): State<Shared>,
    Path((name, rendition)): Path<(String, String)>,
) -> Result<Answer<Changed>, Refusal> {
    Ok(answer(change(&shared.ladders, move |ladders| ladders.remove_rendition(&name, &rendition)).await?))
}

/// 201, with the address of the ladder.
type Created = (StatusCode, [(header::HeaderName, String); 1], Answer<Changed>);

fn created(changed: Changed) -> Result<Created, Refusal> {
    let location = format!("{}/ladders/{}", super::PREFIX, changed.ladder.form.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], answer(changed)))
}

/// How long is waited for rungs that were removed to end.
const SETTLE: Duration = Duration::from_secs(3);

/// Makes a change off the threads that serve: the disk is waited for.
async fn change(
    ladders: &Arc<Book>,
    change: impl FnOnce(&Book) -> Result<config::Ladder, NotChanged> + Send + 'static,
) -> Result<Changed, Refusal> {
    let book = ladders.clone();
    let made = tokio::task::spawn_blocking(move || change(&book)).await.map_err(|error| Refusal::internal(&error))?;
    let ladder = made?;
    // So that playlists have dropped what was removed when the answer comes. An encoder that hangs does not hold it up for ever.
    if tokio::time::timeout(SETTLE, ladders.runner().settled()).await.is_err() {
        tracing::warn!(ladder = %ladder.name, "transcoders of what was removed have not ended yet");
    }
    let kept = ladders.file().is_some();
    if !kept {
        tracing::warn!(ladder = %ladder.name, "changed until the server stops: no `overlay` of [api] is set to keep it");
    } else {
        tracing::info!(ladder = %ladder.name, "changed");
    }
    Ok(Changed { ladder: View::of(ladders).ladder(&ladder), kept })
}

/// The ladders at one moment, with who works for them.
struct View {
    ladders: Vec<config::Ladder>,
    overlay: Overlay,
    stats: Vec<(Key, Stats)>,
}

impl View {
    fn of(book: &Book) -> Self {
        let (ladders, overlay) = book.now();
        Self { ladders, overlay, stats: book.runner().stats() }
    }

    fn ladder(&self, ladder: &config::Ladder) -> Ladder {
        let source = |added| if added { Source::Api } else { Source::Config };
        let rendition = |rendition: &config::Rendition| Rendition {
            form: RenditionForm::from(rendition),
            source: source(self.overlay.has_added_rendition(&ladder.name, &rendition.name)),
            transcoders: self.transcoders(ladder, rendition),
        };
        Ladder {
            form: LadderForm::from(ladder),
            source: source(self.overlay.has_added(&ladder.name)),
            renditions: ladder.renditions.iter().map(rendition).collect(),
            notes: self.notes(ladder),
        }
    }

    /// Those that make a rendition for the broadcasts whose ladder it is.
    fn transcoders(&self, ladder: &config::Ladder, rendition: &config::Rendition) -> Vec<Transcoder> {
        let is_for = |broadcast: &BroadcastName| {
            self.ladders.iter().find(|known| known.is_for(broadcast)).is_some_and(|first| first.name == ladder.name)
        };
        let works = |key: &Key| key.rendition.as_deref() == Some(rendition.name.as_str()) && is_for(&key.broadcast);
        self.stats.iter().filter(|(key, _)| works(key)).map(|(key, stats)| Transcoder::new(key, stats)).collect()
    }

    fn notes(&self, ladder: &config::Ladder) -> Vec<String> {
        let before = self.ladders.iter().take_while(|known| known.name != ladder.name);
        let taken = before.filter(|known| known.covers(ladder));
        taken
            .map(|known| format!("it is for none: `{}` stands before it and is for the same broadcasts", known.name))
            .collect()
    }
}
