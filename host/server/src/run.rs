//! From a configuration to a running server, and to its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use millrace_deliver::hls::Hls;
use millrace_ingest::http::Ingest;
use millrace_media::Bus;
use millrace_media::clock::Clock;
use millrace_plugin::{Filters, Plugins};
use millrace_supervise::restart;
use millrace_transcode::Runner;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::access::{Local, Operators, Publishers};
use crate::certificates::Shown;
use crate::cli::Mode;
use crate::config::{Config, Overlay};
use crate::demo::{self, Demo};
use crate::ladders::Ladders;
use crate::listen::{self, Listeners};
use crate::reload::Reload;
use crate::{api, moq, pages, plugins, settings, telemetry, upkeep};

/// How long players have, once playlists have ended, to see that and to fetch what they lack of the last segment.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How long transcoders may take to finish, and then how long answers under way may take, when the server stops.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// Runs the server until it is told to stop, by SIGTERM or SIGINT: then broadcasts end in order, and players are told. SIGHUP has it read
/// certificates and keys again. `overlay` is what the API has changed before.
///
/// # Errors
/// Where an address cannot be listened on, a plugin cannot be loaded, or a certificate or a key cannot be read.
pub async fn run(config: Config, overlay: Overlay, mode: Mode) -> anyhow::Result<()> {
    let (mut stop, mut reload) = (StopSignals::new()?, Reload::new()?);
    listen::raise_descriptors();
    // Addresses first: the commonest reason that a server cannot start.
    let shown = Shown::of(&config)?;
    let listeners = Listeners::bind(&config.http, shown.http.as_ref())?;
    let moq = match &shown.moq {
        Some(certificates) => Some(moq::Listeners::bind(&config, certificates, &listeners.addresses()?)?),
        None => None,
    };
    let local = Arc::new(Local::new(&config));
    let publishers = Arc::new(Publishers::new(&config, local.clone())?);
    shown.reload_with(&mut reload);
    if config.ingest.jwt_key.is_some() {
        let publishers = publishers.clone();
        reload.add("`jwt_key` of [ingest]", move || Ok(publishers.reload()?));
    }
    let telemetry = telemetry::install()?;
    millrace_supervise::report_panics();
    let loaded = plugins::load(&config).await?;
    let filters = loaded.filters(&config)?;
    let (factories, access, plugins) = (loaded.factories(), loaded.access(), loaded.plugins);
    let (bus, clock) = (settings::bus(&config), Arc::new(Clock::system()));
    let bus = match &filters {
        Some(filters) => Bus::with_stage(bus, clock, Arc::new(filters.clone())),
        None => Bus::new(bus, clock),
    };
    let loaded: Arc<[_]> = loaded.list.into();
    let ladders = overlay.apply(&config.ladders).iter().map(settings::ladder).collect();
    let runner = Arc::new(Runner::start_within(&bus, factories, ladders, settings::decoding(&config)));
    if let Some(filters) = &filters {
        let runner = Arc::downgrade(&runner);
        filters.follow_ladders(move |broadcast| {
            runner.upgrade().map(|runner| runner.renditions(broadcast)).unwrap_or_default()
        });
    }
    let ladders = Arc::new(Ladders::new(&config, overlay, runner.clone()));
    let hls = Hls::with_access(bus.clone(), settings::hls(&config), access.clone());
    let ingest = Ingest::new(bus.clone(), settings::ingest(&config, publishers.clone(), access.clone()));
    let moq = moq.map(|moq| moq.serve(&config, &bus, publishers, access.clone())).transpose()?;
    let status = moq.as_ref().map(|moq| moq.status().clone());
    let ports = status.as_ref().map(|status| status.ports.clone()).unwrap_or_default();
    let shared = api::Shared {
        bus: bus.clone(),
        hls: hls.clone(),
        ladders,
        moq: status.clone(),
        plugins: plugins.clone(),
        filters: filters.clone(),
        loaded,
        access: access.clone(),
    };
    let app = Router::new()
        .merge(millrace_deliver::hls::router("/hls", hls.clone()))
        .nest("/ingest", millrace_ingest::http::router(ingest.clone()))
        .merge(telemetry::router(telemetry.clone(), bus.clone(), plugins.clone(), access))
        .merge(moq::router(status))
        .merge(pages::router(&ports));
    let operators = |reach| Operators { token: config.api.token.clone(), reach, local: local.clone() };
    let app = |reach| app.clone().merge(api::router(shared.clone(), operators(reach)));
    let mut tasks = JoinSet::new();
    let (kept, watching, counted) = (bus.clone(), ingest.clone(), telemetry.clone());
    tasks.spawn(restart("upkeep", move || upkeep::run(kept.clone(), counted.clone())));
    tasks.spawn(restart("watching publishers", move || watching.clone().watch()));
    tasks.spawn(restart("keeping certificates", move || shown.clone().keep()));
    tasks.spawn(reload.keep());
    let demo = match mode {
        Mode::Demo => Some(Demo::start(&bus).context("the demo source cannot start")?),
        Mode::Serve => None,
    };
    let serving = listeners.serve(app);
    for url in serving.urls() {
        match mode {
            Mode::Demo => println!("Watch {} at {url}/#{}", demo::BROADCAST, demo::BROADCAST),
            Mode::Serve => println!("Listening on {url}/"),
        }
    }
    stop.wait().await;
    tracing::info!("stopping");
    if let Some(filters) = &filters {
        filters.announce_shutdown();
    }
    ingest.stop();
    if let Some(moq) = &moq {
        moq.stop_ingest();
    }
    end(&bus, &runner, filters.as_ref(), demo).await;
    if !bus.broadcasts().is_empty() {
        tokio::time::sleep(LAST_LOOK).await;
    }
    if let Some(moq) = moq {
        moq.stop(LAST_MOMENTS).await;
    }
    serving.stop(LAST_MOMENTS).await;
    tasks.shutdown().await;
    save_stores(plugins).await;
    tracing::info!("stopped");
    Ok(())
}

/// Ends every broadcast, and waits until what is derived from them has ended as well.
async fn end(bus: &Bus, runner: &Runner, filters: Option<&Filters>, demo: Option<Demo>) {
    runner.announce_shutdown();
    if let Some(demo) = demo {
        // It waits for a thread.
        let stopped = tokio::task::spawn_blocking(move || demo.stop()).await;
        if let Err(error) = stopped {
            tracing::error!(%error, "the demo source did not stop well");
        }
    }
    // What no publisher was at: broadcasts that wait for theirs.
    bus.broadcasts().iter().for_each(|broadcast| broadcast.close());
    if let Some(filters) = filters
        && tokio::time::timeout(LAST_MOMENTS, filters.shutdown()).await.is_err()
    {
        tracing::warn!("some filters did not stop in time");
    }
    if tokio::time::timeout(LAST_MOMENTS, runner.shutdown()).await.is_err() {
        tracing::warn!("some transcoders did not finish in time");
    }
}

/// Waits until what plugins have stored is on disk.
async fn save_stores(plugins: Option<Plugins>) {
    let Some(plugins) = plugins else { return };
    let saved = tokio::task::spawn_blocking(move || plugins.save_stores(LAST_MOMENTS)).await;
    if !saved.unwrap_or(false) {
        tracing::warn!("what plugins have stored last is not on disk");
    }
}

/// Listened for from the start, so that a signal that comes while plugins are compiled is not lost.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
