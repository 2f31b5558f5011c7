//! WASI, for the runtimes of languages that insist on it.
//!
//! Environment, arguments and directories are empty. Clocks stand still and random numbers are the same in every instance, unless they are
//! granted. Polls return at once. Standard output and standard error go to the log. Sockets and HTTP answer that they are not allowed.

mod output;

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::grants::Grants;
use crate::state::State;
pub(crate) use output::Output;

/// Handles to what WASI knows: streams, pollables, headers.
const HANDLES: usize = 1024;
/// The most random bytes asked for at once.
const RANDOM: u64 = 1 << 20;
/// The most bytes that the headers of one HTTP message may take.
const FIELDS: usize = 64 << 10;
/// What HTTP's types are called in the linker.
const HTTP_TYPES: &str = "wasi:http/types@0.2.12";
/// Where the random numbers of every instance start that is not granted any.
const SEED: u64 = 0;

/// What WASI keeps for one instance.
pub(crate) struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    refuse: Refuse,
    table: ResourceTable,
    /// What was written to standard output, and to standard error.
    pub(crate) outputs: [Output; 2],
}

impl Wasi {
    pub(crate) fn new(grants: &Grants) -> Self {
        let outputs = [Output::default(), Output::default()];
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS);
        let mut context = WasiCtx::builder();
        context
            .stdout(outputs[0].clone())
            .stderr(outputs[1].clone())
            .max_random_size(RANDOM)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        // Those of the machine are the builder's own.
        if !grants.clock {
            context.wall_clock(StandingStill).monotonic_clock(StandingStill);
        }
        if !grants.random {
            context
                .secure_random(StdRng::seed_from_u64(SEED))
                .insecure_random(StdRng::seed_from_u64(SEED))
                .insecure_random_seed(SEED.into());
        }
        let context = context.build();
        Self { context, http, refuse: Refuse, table, outputs }
    }
}

/// Adds all of WASI 0.2 that is given.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<State, AtOnce>(linker, |state| Polls(&mut state.wasi().table))?;
    // A body that nobody reads would be waited for.
    let mut http = linker.instance(HTTP_TYPES)?;
    http.func_wrap("[method]outgoing-request.body", |_, _: (Resource<HostOutgoingRequest>,)| Ok((no_body(),)))?;
    http.func_wrap("[method]outgoing-response.body", |_, _: (Resource<HostOutgoingResponse>,)| Ok((no_body(),)))?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What a message answers that is asked for its body a second time.
fn no_body() -> Result<Resource<HostOutgoingBody>, ()> {
    Err(())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Wasi { http, refuse, table, .. } = self.wasi();
        WasiHttpCtxView { hooks: refuse, table, ctx: http }
    }
}

/// A clock that always says the same.
struct StandingStill;

impl HostWallClock for StandingStill {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for StandingStill {
    fn resolution(&self) -> u64 {
        1_000_000
    }
    fn now(&self) -> u64 {
        0
    }
}

/// Polls that return at once: everything is ready, also a time that never comes.
struct AtOnce;

struct Polls<'a>(&'a mut ResourceTable);

impl HasData for AtOnce {
    type Data<'a> = Polls<'a>;
}

impl poll::Host for Polls<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        Ok((0..).take(pollables.len()).collect())
    }
}

impl poll::HostPollable for Polls<'_> {
    async fn ready(&mut self, _: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Ok(true)
    }
    async fn block(&mut self, _: Resource<DynPollable>) -> wasmtime::Result<()> {
        Ok(())
    }
    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.0, pollable)
    }
}

/// Answers every HTTP request that it is denied.
struct Refuse;

impl WasiHttpHooks for Refuse {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<
        dyn Future<
                Output = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>,
            > + Send,
    > {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
