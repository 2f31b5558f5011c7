//! What is put in comes out, in time and in turn.

use std::pin::pin;

use super::*;

fn calls(cores: f64) -> (Calls, Arc<Inbox>, Arc<Share>) {
    let share = Arc::new(Share::new(cores, Instant::now()));
    let inbox = Arc::new(Inbox::new(Hook::Transcoder, Names::default()));
    (Calls::new(share.clone(), inbox.clone()), inbox, share)
}

fn message(text: &'static str) -> (Message, oneshot::Receiver<Reply>) {
    let (reply, replied) = oneshot::channel();
    (Message { bytes: Bytes::from_static(text.as_bytes()), reply }, replied)
}

fn shown(call: &Call) -> String {
    match call {
        Call::Wake(ticket) => format!("wake {ticket}"),
        Call::Message(message) => String::from_utf8_lossy(&message.bytes).into_owned(),
    }
}

#[tokio::test]
async fn whoever_waits_is_woken_by_what_is_put() {
    let (mut calls, inbox, _) = calls(1.0);
    let ticket = inbox.ticket();
    {
        let mut next = pin!(calls.next());
        assert!(futures::poll!(next.as_mut()).is_pending());
        inbox.answered(ticket);
        assert_eq!(shown(&next.await), format!("wake {ticket}"));
    }
    let (sent, _replied) = message("hello");
    let mut next = pin!(calls.next());
    assert!(futures::poll!(next.as_mut()).is_pending());
    inbox.send(sent).unwrap();
    assert_eq!(shown(&next.await), "hello");
}

#[tokio::test]
async fn timers_come_at_their_times_and_one_that_is_set_earlier_comes_first() {
    let (mut calls, inbox, _) = calls(1.0);
    let now = Instant::now();
    let late = inbox.set_timer(now, Duration::from_millis(60)).unwrap();
    {
        let mut next = pin!(calls.next());
        assert!(futures::poll!(next.as_mut()).is_pending());
        let early = inbox.set_timer(now, Duration::from_millis(10)).unwrap();
        let never = inbox.set_timer(now, Duration::from_millis(30)).unwrap();
        inbox.cancel_timer(never);
        assert_ne!(early, late);
        assert_eq!(shown(&next.await), format!("wake {early}"));
        assert!(now.elapsed() >= Duration::from_millis(10));
    }
    assert_eq!(shown(&calls.next().await), format!("wake {late}"));
    assert!(now.elapsed() >= Duration::from_millis(60));
    assert!(futures::poll!(pin!(calls.next())).is_pending());
}

#[tokio::test]
async fn messages_and_wakes_take_turns() {
    let (mut calls, inbox, _) = calls(1.0);
    let _replied: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|text| {
            let (message, replied) = message(text);
            inbox.send(message).unwrap();
            replied
        })
        .collect();
    for ticket in [1, 2] {
        inbox.answered(ticket);
    }
    let mut order = Vec::new();
    while let Some(call) = calls.take() {
        order.push(shown(&call));
    }
    assert_eq!(order, ["a", "wake 1", "b", "wake 2", "c"]);
}

#[tokio::test]
async fn only_so_many_messages_wait_and_none_that_nobody_waits_for() {
    let (mut calls, inbox, _) = calls(1.0);
    let mut replied = Vec::new();
    for _ in 0..MAX_MESSAGES {
        let (message, reply) = message("x");
        inbox.send(message).unwrap();
        replied.push(reply);
    }
    assert_eq!(inbox.send(message("y").0).unwrap_err(), Full);
    replied.truncate(1);
    let (last, _reply) = message("y");
    inbox.send(last).unwrap();
    assert_eq!(shown(&calls.take().unwrap()), "x");
    assert_eq!(shown(&calls.take().unwrap()), "y");
    assert!(calls.take().is_none());
}

#[tokio::test]
async fn a_request_that_was_dropped_wakes_nobody() {
    let (mut calls, inbox, _) = calls(1.0);
    let ticket = inbox.ticket();
    inbox.answered(ticket);
    inbox.forget(ticket);
    assert!(futures::poll!(pin!(calls.next())).is_pending());
}

#[tokio::test]
async fn calls_wait_where_the_plugin_uses_much_of_its_share() {
    let (mut calls, inbox, share) = calls(1.0);
    // What calls may use ahead, one second, and 50 ms more.
    let now = Instant::now();
    share.charge(Duration::from_millis(1050), now);
    inbox.answered(1);
    assert!(calls.take().is_none());
    assert_eq!(shown(&calls.next().await), "wake 1");
    assert!(now.elapsed() >= Duration::from_millis(50), "{:?}", now.elapsed());
}

#[tokio::test]
async fn senders_learn_that_the_instance_has_ended() {
    let (calls, inbox, _) = calls(1.0);
    let (sent, replied) = message("x");
    inbox.send(sent).unwrap();
    let inboxes = Inboxes::default();
    inboxes.add(&inbox);
    assert_eq!(inboxes.list().len(), 1);
    drop((calls, inbox));
    assert!(replied.await.is_err());
    assert!(inboxes.list().is_empty());
}
