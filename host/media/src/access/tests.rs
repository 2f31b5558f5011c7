//! The chain and its caches, with authorizers written here. Time is Tokio's, and stands still.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::*;

type Rule = Box<dyn Fn(&Attempt) -> Result<Answer, NoAnswer> + Send + Sync>;

/// Decides by a rule, and counts how often it is asked. Where it is held, it answers when it is let go.
struct Native {
    name: &'static str,
    rule: Rule,
    asked: AtomicUsize,
    held: Option<Notify>,
    concerned: &'static str,
}

impl Native {
    fn new(rule: impl Fn(&Attempt) -> Result<Answer, NoAnswer> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { name: "gate", rule: Box::new(rule), asked: AtomicUsize::new(0), held: None, concerned: "" })
    }

    fn held(rule: impl Fn(&Attempt) -> Result<Answer, NoAnswer> + Send + Sync + 'static) -> Arc<Self> {
        let native = Arc::into_inner(Self::new(rule)).unwrap();
        Arc::new(Self { held: Some(Notify::new()), ..native })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn release(&self) {
        self.held.as_ref().unwrap().notify_waiters();
    }
}

#[async_trait]
impl Authorizer for Native {
    fn name(&self) -> &str {
        self.name
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn concerns(&self, broadcast: &BroadcastName) -> bool {
        broadcast.as_str().starts_with(self.concerned)
    }

    async fn authorize(&self, attempt: Arc<Attempt>) -> Result<Answer, NoAnswer> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = (self.rule)(&attempt);
        if let Some(held) = &self.held {
            held.notified().await;
        }
        answer
    }
}

fn allow() -> Result<Answer, NoAnswer> {
    Ok(Answer::new(Verdict::Allow))
}

fn deny(text: &str) -> Result<Answer, NoAnswer> {
    Ok(Answer::new(Verdict::Deny(text.to_owned())))
}

fn name(name: &str) -> BroadcastName {
    BroadcastName::new(name).unwrap()
}

fn client(query: &str, headers: &[(&str, &str)]) -> Arc<Client> {
    from("192.0.2.1", query, headers)
}

fn from(address: &str, query: &str, headers: &[(&str, &str)]) -> Arc<Client> {
    let headers = headers.iter().copied();
    Arc::new(Client::new("hls", address.parse().unwrap(), query, headers).unwrap())
}

async fn play(access: &Access, client: &Arc<Client>, broadcast: &str) -> Result<String, String> {
    let admitted = access.admit(client, Action::Play, &name(broadcast)).await;
    admitted.map(|admission| admission.allowed().to_string()).map_err(|denied| denied.reason)
}

fn token_rule(attempt: &Attempt) -> Result<Answer, NoAnswer> {
    match attempt.query("token").as_deref() {
        Some("right") => allow(),
        Some(_) => deny("the token is wrong"),
        None => deny("no token"),
    }
}

#[tokio::test(start_paused = true)]
async fn without_authorizers_everything_is_allowed_for_ever() {
    let access = Access::default();
    assert!(access.is_open() && Access::new(Vec::new()).is_open());
    let mut admission = access.admit(&client("", &[]), Action::Publish, &name("live/me")).await.unwrap();
    assert_eq!((admission.allowed().as_str(), admission.until()), ("live/me", None));
    assert!(tokio::time::timeout(Duration::from_secs(1 << 20), admission.revoked()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_holds_for_whoever_shows_what_was_read() {
    let gate = Native::new(token_rule);
    let access = Access::new(vec![gate.clone()]);
    assert_eq!(play(&access, &client("token=right&_HLS_msn=1", &[]), "live/a").await, Ok("live/a".into()));
    assert_eq!(
        play(&access, &client("x=y&token=right", &[("user-agent", "mpv")]), "live/a").await,
        Ok("live/a".into())
    );
    assert_eq!(gate.asked(), 1, "what was not read does not matter");
    assert_eq!(play(&access, &client("token=wrong", &[]), "live/a").await, Err("the token is wrong".into()));
    assert_eq!(play(&access, &client("", &[]), "live/a").await, Err("no token".into()));
    assert_eq!(play(&access, &client("token=", &[]), "live/a").await, Err("the token is wrong".into()));
    assert_eq!(gate.asked(), 4, "an empty value is a value");
    play(&access, &client("token=right", &[]), "live/b").await.unwrap();
    play(&access, &from("192.0.2.2", "token=right", &[]), "live/a").await.unwrap();
    access.admit(&client("token=right", &[]), Action::Publish, &name("live/a")).await.unwrap();
    let moq = Arc::new(Client::new("moq", "192.0.2.1".parse().unwrap(), "token=right", std::iter::empty()).unwrap());
    play(&access, &moq, "live/a").await.unwrap();
    assert_eq!(gate.asked(), 8, "broadcast, address, action and protocol matter");
}

#[tokio::test(start_paused = true)]
async fn fields_of_one_name_are_not_mistaken_for_each_other() {
    let gate = Native::new(|attempt: &Attempt| match (attempt.query("key"), attempt.header("Key")) {
        (Some(_), None) => allow(),
        _ => deny("not in the query"),
    });
    let access = Access::new(vec![gate.clone()]);
    play(&access, &client("key=1", &[]), "live/a").await.unwrap();
    play(&access, &client("", &[("KEY", "1")]), "live/a").await.unwrap_err();
    play(&access, &client("", &[("key", "1")]), "live/a").await.unwrap_err();
    assert_eq!(gate.asked(), 2, "names of headers are the same in capitals");
}

#[tokio::test(start_paused = true)]
async fn what_is_read_only_sometimes_is_kept_apart() {
    let gate = Native::new(|attempt: &Attempt| match attempt.header("authorization") {
        Some(_) => allow(),
        None => token_rule(attempt),
    });
    let access = Access::new(vec![gate.clone()]);
    for _ in 0..2 {
        play(&access, &client("token=wrong", &[("authorization", "a")]), "live/a").await.unwrap();
        play(&access, &client("token=other", &[("authorization", "a")]), "live/a").await.unwrap();
        play(&access, &client("token=wrong", &[]), "live/a").await.unwrap_err();
        play(&access, &client("token=right", &[]), "live/a").await.unwrap();
    }
    assert_eq!(gate.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_end() {
    let gate = Native::new(|attempt: &Attempt| {
        let expiry = attempt.query("for").map(|text| Duration::from_secs(text.parse().unwrap()));
        let verdict = if attempt.query("deny").is_some() { Verdict::Deny("no".into()) } else { Verdict::Allow };
        Ok(Answer { verdict, expiry })
    });
    let access = Access::new(vec![gate.clone()]);
    for (query, seconds) in [("", 30), ("deny=", 5), ("for=100", 100), ("deny=&for=70", 70), ("for=0", 1)] {
        let asked = gate.asked();
        let client = client(query, &[]);
        for (wait, more) in [(0, 1), (seconds * 1000 - 1, 1), (1, 2)] {
            tokio::time::advance(Duration::from_millis(wait)).await;
            let _ = play(&access, &client, "live/a").await;
            assert_eq!(gate.asked() - asked, more, "{query:?} after {wait} ms");
        }
    }
    let always = Native::new(|_: &Attempt| Ok(Answer { verdict: Verdict::Allow, expiry: Some(Duration::MAX) }));
    play(&Access::new(vec![always]), &client("", &[]), "live/a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_authorizer_must_allow_and_sees_the_name_that_is_played() {
    let first = Native::new(|attempt: &Attempt| match attempt.broadcast().as_str() {
        "key/1" => Ok(Answer::new(Verdict::AllowAs(name("secret/a")))),
        _ => allow(),
    });
    let second = Native::new(|attempt: &Attempt| match attempt.broadcast().as_str() {
        "secret/a" => deny("secret"),
        _ => Ok(Answer { verdict: Verdict::Allow, expiry: Some(Duration::from_secs(7)) }),
    });
    let access = Access::new(vec![first, second.clone()]);
    assert_eq!(play(&access, &client("", &[]), "key/1").await, Err("secret".into()));
    assert_eq!(play(&access, &client("", &[]), "live/a").await, Ok("live/a".into()));
    let admission = access.admit(&client("", &[]), Action::Play, &name("live/a")).await.unwrap();
    assert_eq!(admission.until(), Some(Instant::now() + Duration::from_secs(7)), "the first that ends");
    let renaming = Native::new(|_: &Attempt| Ok(Answer::new(Verdict::AllowAs(name("live/b")))));
    let access = Access::new(vec![renaming]);
    assert_eq!(play(&access, &client("", &[]), "key/1").await, Ok("live/b".into()));
    assert_eq!(play(&access, &client("", &[]), "key/1").await, Ok("live/b".into()), "from the cache too");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_concerned_is_not_asked() {
    let gate = Arc::into_inner(Native::new(|_: &Attempt| deny("no"))).unwrap();
    let gate = Arc::new(Native { concerned: "paid/", ..gate });
    let access = Access::new(vec![gate.clone()]);
    play(&access, &client("", &[]), "live/a").await.unwrap();
    assert_eq!(gate.asked(), 0);
    play(&access, &client("", &[]), "paid/a").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn identical_attempts_at_one_time_ask_once() {
    let gate = Native::held(token_rule);
    let access = Access::new(vec![gate.clone()]);
    let ask = |query: &'static str| {
        let access = access.clone();
        tokio::spawn(async move { play(&access, &client(query, &[]), "live/a").await })
    };
    let same: Vec<_> = (0..10).map(|_| ask("token=right")).collect();
    let other = ask("token=wrong");
    while gate.asked() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(access.tallies()[0].1.open, 2);
    gate.release();
    for one in same {
        one.await.unwrap().unwrap();
    }
    other.await.unwrap().unwrap_err();
    assert_eq!(gate.asked(), 2);
    let tally = access.tallies()[0].1;
    assert_eq!((tally.attempts, tally.allowed, tally.denied, tally.reused), (2, 1, 1, 9));
    assert_eq!((tally.open, tally.cached), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_asks_where_the_first_gives_up() {
    let gate = Native::held(token_rule);
    let access = Access::new(vec![gate.clone()]);
    let ask = || {
        let access = access.clone();
        tokio::spawn(async move { play(&access, &client("token=right", &[]), "live/a").await })
    };
    let first = ask();
    while gate.asked() < 1 {
        tokio::task::yield_now().await;
    }
    let second = ask();
    tokio::task::yield_now().await;
    assert_eq!(gate.asked(), 1);
    first.abort();
    while gate.asked() < 2 {
        tokio::task::yield_now().await;
    }
    gate.release();
    second.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn attempts_of_different_values_do_not_share_an_answer_given_at_one_time() {
    // Nothing is known yet of what it reads: the two differ in a header that it does read.
    let gate = Native::held(|attempt: &Attempt| match attempt.header("key").as_deref() {
        Some("right") => allow(),
        _ => deny("no"),
    });
    let access = Access::new(vec![gate.clone()]);
    let ask = |key: &'static str| {
        let access = access.clone();
        tokio::spawn(async move { play(&access, &client("", &[("key", key)]), "live/a").await })
    };
    let (right, wrong) = (ask("right"), ask("wrong"));
    while gate.asked() < 2 {
        tokio::task::yield_now().await;
    }
    gate.release();
    right.await.unwrap().unwrap();
    wrong.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn late_and_failed_are_denied_and_not_kept() {
    let late = Native::held(|_: &Attempt| allow());
    let access = Access::new(vec![late.clone()]);
    let before = Instant::now();
    let denied = play(&access, &client("", &[]), "live/a").await.unwrap_err();
    assert_eq!(denied, "the plugin gate has not decided within 5 s");
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    let failing = Native::new(|_: &Attempt| Err(NoAnswer("it has failed".into())));
    let access = Access::new(vec![failing.clone()]);
    for asked in 1..3 {
        assert_eq!(play(&access, &client("", &[]), "live/a").await, Err("it has failed".into()));
        assert_eq!(failing.asked(), asked);
    }
    assert_eq!(access.tallies()[0].1.failed, 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_are_open_than_may_be() {
    let gate = Native::held(|attempt: &Attempt| {
        attempt.query("n");
        allow()
    });
    let access = Access::new(vec![gate.clone()]);
    let mut asking = Vec::new();
    for n in 0..256 {
        let access = access.clone();
        asking.push(tokio::spawn(async move { play(&access, &client(&format!("n={n}"), &[]), "live/a").await }));
    }
    while gate.asked() < 256 {
        tokio::task::yield_now().await;
    }
    let denied = play(&access, &client("n=more", &[]), "live/a").await.unwrap_err();
    assert_eq!(denied, "256 attempts wait for the plugin gate: try again later");
    assert_eq!(gate.asked(), 256);
    gate.release();
    for one in asking {
        one.await.unwrap().unwrap();
    }
    assert_eq!(access.tallies()[0].1.open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_goes_on_until_it_may_not() {
    let answers = Arc::new(Mutex::new(vec!["deny", "allow", "allow"]));
    let given = answers.clone();
    let gate = Native::new(move |_: &Attempt| match given.lock().unwrap().pop() {
        Some("allow") => Ok(Answer { verdict: Verdict::Allow, expiry: Some(Duration::from_secs(10)) }),
        _ => deny("it is over"),
    });
    let access = Access::new(vec![gate.clone()]);
    let begun = Instant::now();
    let mut admission = access.admit(&client("", &[]), Action::Publish, &name("live/a")).await.unwrap();
    assert_eq!(admission.revoked().await.reason, "it is over");
    assert_eq!((begun.elapsed(), gate.asked()), (Duration::from_secs(20), 3));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_on_is_not_ended_by_one_failure() {
    let answers = Arc::new(Mutex::new(vec!["", "", "", "allow", "", "", "allow"]));
    let given = answers.clone();
    let gate = Native::new(move |_: &Attempt| match given.lock().unwrap().pop() {
        Some("allow") => Ok(Answer { verdict: Verdict::Allow, expiry: Some(Duration::from_secs(10)) }),
        _ => Err(NoAnswer("it has failed".into())),
    });
    let access = Access::new(vec![gate.clone()]);
    let begun = Instant::now();
    let mut admission = access.admit(&client("", &[]), Action::Publish, &name("live/a")).await.unwrap();
    assert_eq!(admission.revoked().await.reason, "it has failed");
    assert_eq!((begun.elapsed(), gate.asked()), (Duration::from_secs(10 + 2 + 10 + 2), 7));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_allowed_under_another_name_later_is_not_moved() {
    let gate = Native::new(|_: &Attempt| allow());
    let moved = Native::new({
        let count = AtomicUsize::new(0);
        move |_: &Attempt| match count.fetch_add(1, Ordering::SeqCst) {
            0 => allow(),
            _ => Ok(Answer::new(Verdict::AllowAs(name("live/b")))),
        }
    });
    let access = Access::new(vec![gate, moved]);
    let mut admission = access.admit(&client("", &[]), Action::Play, &name("live/a")).await.unwrap();
    assert_eq!(admission.revoked().await.reason, "live/a stands for another broadcast now");
}

#[tokio::test(start_paused = true)]
async fn the_cache_is_bounded_and_what_ends_first_goes_first() {
    let gate = Native::new(|attempt: &Attempt| {
        let expiry = if attempt.query("n").as_deref() == Some("first") { 100 } else { 200 };
        Ok(Answer { verdict: Verdict::Allow, expiry: Some(Duration::from_secs(expiry)) })
    });
    let access = Access::new(vec![gate.clone()]);
    let ask = async |n: &str| play(&access, &client(&format!("n={n}"), &[]), "live/a").await.unwrap();
    ask("first").await;
    for n in 0..cache::MOST_ANSWERS {
        ask(&n.to_string()).await;
    }
    assert_eq!(access.tallies()[0].1.cached, cache::MOST_ANSWERS);
    let asked = gate.asked();
    ask("0").await;
    assert_eq!(gate.asked(), asked);
    ask("first").await;
    assert_eq!(gate.asked(), asked + 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_depends_on_too_much_is_not_kept() {
    let gate = Native::new(|attempt: &Attempt| {
        (0..65).for_each(|n| drop(attempt.query(&n.to_string())));
        allow()
    });
    let access = Access::new(vec![gate.clone()]);
    play(&access, &client("", &[]), "live/a").await.unwrap();
    play(&access, &client("", &[]), "live/a").await.unwrap();
    assert_eq!(gate.asked(), 2);
    // Fields that change with every attempt: the cache begins anew before it has more shapes than it may.
    let count = AtomicUsize::new(0);
    let fickle = Native::new(move |attempt: &Attempt| {
        attempt.query(&count.fetch_add(1, Ordering::SeqCst).to_string());
        allow()
    });
    let access = Access::new(vec![fickle.clone()]);
    for n in 0..100 {
        play(&access, &client("", &[]), &format!("live/{n}")).await.unwrap();
    }
    assert!(access.tallies()[0].1.cached <= 16);
}

#[test]
fn a_client_is_copied_within_a_bound() {
    let shows = |length: usize| {
        let value = "v".repeat(length);
        Client::new("http", [127, 0, 0, 1].into(), "q=1", [("name", value.as_str())].into_iter())
    };
    assert!(shows(MAX_CLIENT - 7).is_ok());
    assert_eq!(shows(MAX_CLIENT - 6).unwrap_err().to_string().split(' ').nth(6), Some("8193"));
    let client = client("a=1&a=2&b=%2f+x", &[("X-A", "1"), ("x-a", "2")]);
    let attempt = Attempt::new(client, Action::Play, name("live/a"));
    assert_eq!(attempt.query("a").as_deref(), Some("1"));
    assert_eq!(attempt.query("b").as_deref(), Some("/ x"));
    assert_eq!(attempt.header("X-a").as_deref(), Some("1"));
    assert_eq!(attempt.header("x-b"), None);
    let mapped = Client::new("hls", "::ffff:192.0.2.1".parse().unwrap(), "", std::iter::empty()).unwrap();
    assert_eq!(mapped.address().to_string(), "192.0.2.1");
    assert!(!format!("{mapped:?}").contains("query"));
}

#[test]
fn reasons_are_one_line_of_bounded_length() {
    assert_eq!(reason("no\r\nSet-Cookie: a\u{0}b\u{85}"), "no Set-Cookie: a b");
    let long = "ä".repeat(150);
    assert_eq!(reason(&long).len(), MAX_REASON);
    assert_eq!(reason(&format!("a{long}")).len(), MAX_REASON - 1);
}
