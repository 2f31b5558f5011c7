//! The API: what is live, what works on it, and the ladders, which can be changed. `openapi.json` describes it, and everything else that the
//! server answers over HTTP.

mod access;
mod alarms;
mod body;
mod broadcasts;
mod filters;
mod guard;
mod ladders;
mod moq;
mod others;
mod plugins;
mod refusal;
#[cfg(test)]
mod tests;
mod transcoders;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::header::{self, HeaderName};
use axum::routing::get;
use axum::{Json, Router, middleware};
use millrace_deliver::hls::Hls;
use millrace_media::{Access, Bus};
use millrace_plugin::{Filters, Plugin, Plugins};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::guard::guard;
use crate::access::Operators;
pub(crate) use crate::access::Reach;
use crate::ladders::Ladders;
use crate::moq::Status;

/// Below what all of it stands.
const PREFIX: &str = "/api/v1";

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) bus: Bus,
    pub(crate) hls: Arc<Hls>,
    pub(crate) ladders: Arc<Ladders>,
    /// None where Media over QUIC is not spoken.
    pub(crate) moq: Option<Arc<Status>>,
    /// None where there is no plugin.
    pub(crate) plugins: Option<Plugins>,
    /// None where no plugin is a filter.
    pub(crate) filters: Option<Filters>,
    /// The plugins, in the order of the configuration.
    pub(crate) loaded: Arc<[Arc<Plugin>]>,
    /// Those of them that decide who may publish and play.
    pub(crate) access: Access,
}

/// The routes. What is not for viewers is for operators alone.
pub(crate) fn router(shared: Shared, operators: Operators) -> Router {
    let (router, description) = described(operators);
    let description = Arc::new(description);
    let describe = move || async move { answer(description.as_ref().clone()) };
    router.route(&format!("{PREFIX}/openapi.json"), get(describe)).with_state(shared)
}

/// Every route and its description, from one place.
fn described(operators: Operators) -> (Router<Shared>, OpenApi) {
    let guarded = OpenApiRouter::new()
        .routes(routes!(transcoders::list))
        .routes(routes!(filters::list))
        .routes(routes!(alarms::list))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::send))
        .routes(routes!(access::list))
        .routes(routes!(moq::relays))
        .routes(routes!(ladders::list, ladders::add))
        .routes(routes!(ladders::show, ladders::remove))
        .routes(routes!(ladders::add_rendition))
        .routes(routes!(ladders::remove_rendition))
        .layer(DefaultBodyLimit::max(body::MAX_BODY))
        .route_layer(middleware::from_fn_with_state(operators, guard));
    let open = OpenApiRouter::new().routes(routes!(broadcasts::list)).routes(routes!(moq::show));
    OpenApiRouter::with_openapi(description()).nest(PREFIX, open.merge(guarded)).split_for_parts()
}

/// What the description says besides the routes.
fn description() -> OpenApi {
    let mut info = Info::new("Millrace", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "What is live, HLS, and where Media over QUIC is spoken, is open to every viewer. The rest of the API asks for the token of `[api]`, and \
         publishing for the token or a JSON Web Token of `[ingest]`. Where none is configured, both are for clients on the server's own machine, and \
         for no pages of other origins. A broadcast's name has slashes in it, which stand in paths as they are."
            .into(),
    );
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let token = SecurityScheme::Http(
        HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("`token` of `[api]`")).build(),
    );
    let mut components = Components::new();
    components.add_security_scheme("token", token);
    let publish = "`publish_token` of `[ingest]`, or a JSON Web Token that is signed for its `jwt_key`";
    let publish = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(publish)).build();
    components.add_security_scheme(others::PUBLISH, SecurityScheme::Http(publish));
    OpenApiBuilder::new().info(info).components(Some(components)).paths(others::paths()).build()
}

/// JSON that is true now and not later.
type Answer<T> = ([(HeaderName, &'static str); 1], Json<T>);

fn answer<T>(value: T) -> Answer<T> {
    ([(header::CACHE_CONTROL, "no-store")], Json(value))
}
