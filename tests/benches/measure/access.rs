//! What a decision about who may publish and play costs: one that is known, and one that an access plugin is asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use millrace_media::access::{Action, Answer, Attempt, Authorizer, Client, NoAnswer, Verdict};
use millrace_media::{Access, BroadcastName};
use millrace_plugin::{Compiler, EngineSettings, Limits, PluginSettings, Plugins};
use millrace_tests::Server;

use crate::report::{Figure, Row};
use crate::spread::median;

/// Decisions of a round.
const DECISIONS: u32 = 20_000;
/// Attempts that are open at a time, where several are: fewer than there may be.
const AT_A_TIME: u32 = 64;
/// Taking turns, so that a slow moment of the machine hits all alike.
const ROUNDS: usize = 5;

/// Native code that allows what has a key.
struct Native;

#[async_trait]
impl Authorizer for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn concerns(&self, _: &BroadcastName) -> bool {
        true
    }

    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Answer, NoAnswer> {
        let key = attempt.query("do");
        attempt.query("n");
        Ok(Answer::new(if key.is_some() { Verdict::Allow } else { Verdict::Deny("no key".to_owned()) }))
    }
}

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let compiler = Compiler { args: vec!["compile-plugin".into()], ..Compiler::new(Server::binary()) };
    let plugins = Plugins::new(EngineSettings { threads: 1, ..EngineSettings::new(compiler) })?;
    let limits = Limits { cpu: 1000.0, ..Limits::default() };
    let mut settings = PluginSettings { limits, ..PluginSettings::new("gate", millrace_tests::gate()) };
    settings.grants.timers = true;
    let plugin = runtime.block_on(plugins.load(settings))?;
    let plugin = Access::new(vec![runtime.block_on(async { plugin.access() }).context("it decides nothing")?]);
    let native = Access::new(vec![Arc::new(Native)]);
    let mut rates: [[Vec<f64>; 3]; 2] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("  round {round} of {ROUNDS}");
        for (access, rates) in [&plugin, &native].into_iter().zip(&mut rates) {
            // Each round asks for what no other has.
            let base = u32::try_from(round)? * 10 * DECISIONS;
            let [known, one, many] = rates;
            runtime.block_on(decide(access, 1, |_| 0))?;
            known.push(runtime.block_on(decide(access, 1, |_| 0))?);
            one.push(runtime.block_on(decide(access, 1, |n| base + n))?);
            many.push(runtime.block_on(decide(access, AT_A_TIME, |n| base + 5 * DECISIONS + n))?);
        }
    }
    let figures = rates.map(|of_one| of_one.map(|rates| Figure::new(median(&rates), "/s")));
    let [[known, one, many], natives] = figures;
    let [native_known, native_one, native_many] = natives;
    Ok(vec![
        Row::new("decisions that are known", known).beside("of native code", native_known),
        Row::new("decisions asked for, one after the other", one).beside("of native code", native_one),
        Row::new(format!("decisions asked for, {AT_A_TIME} at a time"), many).beside("of native code", native_many),
    ])
}

/// So many decisions a second, by as many clients at a time; `number` says what each shows.
async fn decide(access: &Access, at_a_time: u32, number: impl Fn(u32) -> u32) -> anyhow::Result<f64> {
    let broadcast = BroadcastName::new("live/bench")?;
    let clients: Vec<_> = (0..DECISIONS)
        .map(|n| {
            let query = format!("do=allow&n={}", number(n));
            Ok(Arc::new(Client::new("hls", [192, 0, 2, 1].into(), &query, std::iter::empty())?))
        })
        .collect::<anyhow::Result<_>>()?;
    let began = Instant::now();
    let shares = clients.chunks(clients.len().div_ceil(at_a_time as usize));
    let mut tasks = tokio::task::JoinSet::new();
    for share in shares {
        let (access, broadcast, share) = (access.clone(), broadcast.clone(), share.to_vec());
        tasks.spawn(async move {
            for client in share {
                access.admit(&client, Action::Play, &broadcast).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(f64::from(DECISIONS) / began.elapsed().as_secs_f64())
}
