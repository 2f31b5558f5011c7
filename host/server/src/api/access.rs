//! What access plugins have decided.

use axum::extract::State;
use millrace_media::access::Tally;
use serde::Serialize;
use utoipa::ToSchema;

use super::refusal::Guarded;
use super::{Answer, Shared, answer};

#[derive(Serialize, ToSchema)]
pub(super) struct Deciders {
    /// In the order in which they are asked.
    access: Vec<Decider>,
}

/// A plugin that decides who may publish and play.
#[derive(Serialize, ToSchema)]
pub(super) struct Decider {
    #[schema(example = "jwt-access")]
    plugin: String,
    /// How many times it was asked.
    attempts: u64,
    /// How many times it allowed, under the name asked for or another.
    allowed: u64,
    /// How many times it denied.
    denied: u64,
    /// How many attempts were denied without its answer: it failed, took too long, or had 256 others to decide.
    failed: u64,
    /// How many attempts were decided by an answer that it had given to one that is alike.
    reused: u64,
    /// Attempts that it is deciding now.
    open: u64,
    /// Answers that hold now.
    cached: u64,
}

/// What each access plugin has decided
#[utoipa::path(
    get,
    path = "/access",
    tag = "plugins",
    security((), ("token" = [])),
    responses(
        (status = 200, description = "All of them. Empty where no plugin has the hook `access`", body = Deciders),
        Guarded,
    )
)]
pub(super) async fn list(State(shared): State<Shared>) -> Answer<Deciders> {
    let access = shared.access.tallies().into_iter().map(Decider::from).collect();
    answer(Deciders { access })
}

impl From<(String, Tally)> for Decider {
    fn from((plugin, tally): (String, Tally)) -> Self {
        let Tally { attempts, allowed, denied, failed, reused, open, cached } = tally;
        Self { plugin, attempts, allowed, denied, failed, reused, open: open as u64, cached: cached as u64 }
    }
}
