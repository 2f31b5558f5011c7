//! Access plugins: what they answer is done, and whatever they do instead denies, and harms nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_media::access::{Action, Client, Denied};
use millrace_media::{Access, BroadcastName};
use millrace_plugin::{Limits, PluginSettings, Plugins};

use crate::guests::component;
use crate::host::{engine, until};

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Gate {
    access: Access,
    _plugins: Plugins,
}

impl Gate {
    async fn new() -> Self {
        Self::with(Limits { cpu: 1000.0, ..Limits::default() }).await
    }

    async fn with(limits: Limits) -> Self {
        let plugins = engine();
        let mut settings = PluginSettings::new("gate", "gate.wasm");
        settings.limits = limits;
        settings.grants.timers = true;
        settings.broadcasts = Arc::new(|name| name.as_str() != "live/free");
        let plugin = plugins.load_bytes(settings, component("gate")).await.unwrap();
        assert!(plugin.transcoder().is_none());
        let access = Access::new(vec![plugin.access().expect("it has the hook")]);
        Self { access, _plugins: plugins }
    }

    /// Asks for `live/a`, with a query.
    async fn ask(&self, query: &str) -> Result<String, String> {
        ask(&self.access, query).await
    }

    /// How many attempts it has failed.
    fn failed(&self) -> u64 {
        self.access.tallies()[0].1.failed
    }
}

async fn ask(access: &Access, query: &str) -> Result<String, String> {
    let headers = [("x-key", "header")].into_iter();
    let client = Arc::new(Client::new("hls", [192, 0, 2, 1].into(), query, headers).unwrap());
    let broadcast = BroadcastName::new("live/a").unwrap();
    let admitted = access.admit(&client, Action::Play, &broadcast);
    let admitted = tokio::time::timeout(PATIENCE, admitted).await.expect("it takes too long");
    admitted.map(|admission| admission.allowed().to_string()).map_err(|Denied { reason }| reason)
}

#[tokio::test]
async fn what_it_answers_is_done() {
    let gate = Gate::new().await;
    let allowed = || Ok("live/a".to_owned());
    assert_eq!(gate.ask("do=allow").await, allowed());
    assert_eq!(gate.ask("do=deny").await, Err("it says no".to_owned()), "on one line");
    assert_eq!(gate.ask("do=deny-at-length").await.unwrap_err(), "ä".repeat(100));
    assert_eq!(gate.ask("do=as").await, Ok("live/other".to_owned()));
    assert_eq!(gate.ask("do=twice").await, allowed(), "the first word holds");
    assert_eq!(gate.ask("do=late").await, allowed());
    let told = gate.ask("do=tell&key=a%20b").await.unwrap_err();
    assert_eq!(told, "play live/a over hls from 192.0.2.1 with Some(\"a b\") and Some(\"header\")");
    let tally = gate.access.tallies()[0].1;
    assert_eq!((tally.allowed, tally.denied, tally.failed, tally.open), (4, 3, 0, 0));
    let client = Arc::new(Client::new("hls", [192, 0, 2, 1].into(), "do=deny", std::iter::empty()).unwrap());
    let free = gate.access.admit(&client, Action::Play, &BroadcastName::new("live/free").unwrap()).await;
    assert!(free.is_ok(), "it is not asked about what does not concern it");
}

#[tokio::test]
async fn an_answer_holds_for_as_long_as_it_says() {
    let gate = Gate::new().await;
    let asked = || gate.access.tallies()[0].1.attempts;
    gate.ask("do=briefly&x=1").await.unwrap();
    gate.ask("do=briefly&x=2").await.unwrap();
    assert_eq!(asked(), 1, "what it has not read does not matter");
    gate.ask("do=allow").await.unwrap();
    let began = Instant::now();
    while asked() == 2 {
        gate.ask("do=briefly").await.unwrap();
    }
    assert!(began.elapsed() <= PATIENCE);
    gate.ask("do=allow").await.unwrap();
    assert_eq!(asked(), 3, "the other one still holds");
}

#[tokio::test]
async fn whatever_else_it_does_denies_and_the_next_is_answered() {
    let gate = Gate::new().await;
    for (what, reason) in [
        ("drop", "the plugin gate has given no answer"),
        ("fail", "the plugin gate has failed"),
        ("as-nothing", "the plugin gate has failed"),
        ("trap", "the plugin gate has failed"),
        ("loop", "the plugin gate has failed"),
    ] {
        let before = gate.failed();
        assert_eq!(gate.ask(&format!("do={what}")).await, Err(reason.to_owned()), "{what}");
        assert_eq!(gate.failed(), before + 1);
        // Another one that it has not answered before.
        assert_eq!(gate.ask(&format!("do=late&n={what}")).await, Ok("live/a".to_owned()), "after {what}");
    }
}

#[tokio::test]
async fn one_that_never_answers_denies_in_time_and_others_do_not_wait() {
    let gate = Gate::with(Limits { decision: Duration::from_millis(300), cpu: 1000.0, ..Limits::default() }).await;
    let access = gate.access.clone();
    let never = tokio::spawn(async move { ask(&access, "do=never").await });
    until("it is asked", || gate.access.tallies()[0].1.open == 1).await;
    assert_eq!(gate.ask("do=allow").await, Ok("live/a".to_owned()));
    assert!(!never.is_finished());
    assert_eq!(never.await.unwrap(), Err("the plugin gate has not decided within 0.3 s".to_owned()));
    assert_eq!(gate.access.tallies()[0].1.open, 0);
}

#[tokio::test]
async fn attempts_that_wait_for_an_instance_that_is_lost_are_told_so() {
    let gate = Gate::with(Limits { decision: PATIENCE, cpu: 1000.0, ..Limits::default() }).await;
    let access = gate.access.clone();
    let waiting = tokio::spawn(async move { ask(&access, "do=never").await });
    until("it is asked", || gate.access.tallies()[0].1.open == 1).await;
    // It is given after the first, on the same instance.
    assert_eq!(gate.ask("do=trap").await, Err("the plugin gate has failed".to_owned()));
    assert_eq!(waiting.await.unwrap(), Err("the plugin gate has failed, and starts anew: try again".to_owned()));
    assert_eq!(gate.ask("do=allow").await, Ok("live/a".to_owned()));
}

#[tokio::test]
async fn a_flood_is_denied_beyond_what_may_be_open_and_leaves_nothing() {
    let gate = Gate::with(Limits { decision: Duration::from_secs(2), cpu: 1000.0, ..Limits::default() }).await;
    // Twice as many as an instance may hold handles for: it is replaced when it is full.
    for round in 0..3 {
        let asking: Vec<_> = (0..300)
            .map(|n| {
                let access = gate.access.clone();
                // The gate reads `n`: each is asked about.
                tokio::spawn(async move { ask(&access, &format!("do=never&n={n}")).await })
            })
            .collect();
        let mut overloaded = 0;
        for one in asking {
            let reason = one.await.unwrap().unwrap_err();
            overloaded += usize::from(reason.contains("try again later"));
        }
        // Later, an instance that is full has failed them before.
        assert!(round > 0 || overloaded >= 300 - 256, "{overloaded}");
        assert_eq!(gate.access.tallies()[0].1.open, 0);
    }
    // The instance goes on, or another one does.
    let began = Instant::now();
    while gate.ask("do=late&n=last").await.is_err() {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(gate.access.tallies()[0].1.cached, 1);
}
