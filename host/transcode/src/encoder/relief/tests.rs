//! Ladders that are too much for a made-up machine.

use super::*;

const SPF: Duration = Duration::from_millis(40);

fn economy(steps: &[Relief]) -> Arc<Economy> {
    Arc::new(Economy { idle_timeout: None, on_overload: steps.to_vec() })
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sample(lag: u64, cost: u64) -> Sample {
    Sample { lag: ms(lag), cost: Some(ms(cost)), picture: SPF }
}

/// Lets rungs report so every 40 ms over a time; what changed, and when.
fn run(
    controller: &mut Controller,
    from: u64,
    to: u64,
    mut fares: impl FnMut(u64, &Controller) -> Vec<(RungId, Sample)>,
) -> Vec<(u64, Change)> {
    let mut changes = Vec::new();
    for now in (from..to).step_by(40) {
        for (rung, sample) in fares(now, controller) {
            let change = match controller.is_given_up(rung) {
                true => controller.evaluate(ms(now)),
                false => controller.observe(rung, ms(now), sample),
            };
            changes.extend(change.map(|change| (now, change)));
        }
    }
    changes
}

fn reliefs(changes: &[(u64, Change)]) -> Vec<Relief> {
    changes.iter().map(|(_, change)| change.relief).collect()
}

const ALL: [Relief; 3] = [Relief::SkipNonReference, Relief::HalveFrameRate, Relief::DropRung];

#[test]
fn steps_follow_each_other_in_order_while_nothing_helps_and_the_last_rung_stays() {
    let mut controller = Controller::default();
    let economy = economy(&ALL);
    let high = controller.join(economy.clone(), 0);
    let dear = controller.join(economy.clone(), 0);
    let valued = controller.join(economy, 5);
    let fares = |_, _: &Controller| vec![(high, sample(800, 20)), (dear, sample(800, 50)), (valued, sample(800, 90))];
    let changes = run(&mut controller, 0, 60_000, fares);
    assert_eq!(reliefs(&changes), [ALL[0], ALL[1], ALL[2], ALL[2]]);
    assert!(changes.iter().all(|(_, change)| change.taken));
    assert_eq!((changes[2].1.rung, changes[3].1.rung), (Some(dear), Some(high)), "the dearest of the lowest priority");
    assert!(changes[0].0 >= 1_000, "not before it is sustained: {changes:?}");
    assert!(changes.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 2_000), "each has time to help: {changes:?}");
    assert!(controller.in_force(dear).contains(Relief::DropRung));
    let left = controller.in_force(valued);
    assert_eq!(left.iter().collect::<Vec<_>>(), [Relief::SkipNonReference, Relief::HalveFrameRate]);
}

#[test]
fn a_hiccup_and_a_rung_that_catches_up_change_nothing() {
    let mut controller = Controller::default();
    let rung = controller.join(economy(&ALL), 0);
    let hiccup = |now, _: &Controller| vec![(rung, sample(if now % 3_000 < 900 { 900 } else { 10 }, 20))];
    assert!(run(&mut controller, 0, 30_000, hiccup).is_empty());
    let catches_up = |now: u64, _: &Controller| vec![(rung, sample(2_000 - (now - 30_000) / 4, 20))];
    assert!(run(&mut controller, 30_000, 36_000, catches_up).is_empty());
}

#[test]
fn lost_pictures_are_an_overload_at_once() {
    let mut controller = Controller::default();
    controller.join(economy(&ALL), 0);
    let change = controller.lost(ms(5_000)).expect("a step");
    assert_eq!((change.relief, change.taken), (Relief::SkipNonReference, true));
    assert_eq!(controller.lost(ms(5_100)), None, "it has had no time to help");
    assert!(controller.lost(ms(7_100)).is_some());
}

#[test]
fn without_steps_nothing_is_done() {
    let mut controller = Controller::default();
    let rung = controller.join(economy(&[]), 0);
    let changes = run(&mut controller, 0, 20_000, |_, _| vec![(rung, sample(3_000, 90))]);
    assert!(changes.is_empty() && controller.lost(ms(21_000)).is_none());
    assert!(controller.in_force(rung).is_empty());
}

#[test]
fn steps_are_taken_back_one_by_one_when_there_is_headroom() {
    let mut controller = Controller::default();
    let (a, b) = {
        let economy = economy(&[Relief::HalveFrameRate, Relief::DropRung]);
        (controller.join(economy.clone(), 1), controller.join(economy, 0))
    };
    run(&mut controller, 0, 5_000, |_, _| vec![(a, sample(800, 30)), (b, sample(800, 30))]);
    assert!(controller.in_force(b).contains(Relief::DropRung));
    let changes = run(&mut controller, 5_000, 40_000, |_, _| vec![(a, sample(20, 10)), (b, sample(20, 10))]);
    assert_eq!(reliefs(&changes), [Relief::DropRung, Relief::HalveFrameRate], "the last first");
    assert!(changes.iter().all(|(_, change)| !change.taken) && changes[1].0 - changes[0].0 >= 10_000);

    // A rung that is well only because it gets every second picture is not given them all.
    run(&mut controller, 40_000, 42_000, |_, _| vec![(a, sample(800, 39)), (b, sample(20, 10))]);
    assert!(controller.in_force(a).contains(Relief::HalveFrameRate));
    let changes = run(&mut controller, 42_000, 200_000, |_, _| vec![(a, sample(20, 39)), (b, sample(20, 10))]);
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn what_had_to_be_taken_again_is_taken_back_with_growing_patience() {
    let mut controller = Controller::default();
    let (a, b) = {
        let economy = economy(&[Relief::DropRung]);
        (controller.join(economy.clone(), 1), controller.join(economy, 0))
    };
    // The machine carries one of the two.
    let changes = run(&mut controller, 0, 1_200_000, |_, controller| {
        let lag = if controller.is_given_up(b) { 10 } else { 900 };
        vec![(a, sample(lag, 20)), (b, sample(lag, 20))]
    });
    let back: Vec<_> = changes.iter().filter(|(_, change)| !change.taken).map(|(at, _)| *at).collect();
    let waits: Vec<_> = back.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.windows(2).take(4).all(|pair| pair[1] > pair[0]), "{waits:?}");
    assert!(back.len() < 10 && *waits.last().unwrap() >= 300_000, "{waits:?}");
}

#[test]
fn who_sleeps_or_leaves_does_not_count() {
    let mut controller = Controller::default();
    let economy = economy(&[Relief::DropRung]);
    let (a, b) = (controller.join(economy.clone(), 0), controller.join(economy.clone(), 1));
    controller.observe(b, ms(0), sample(900, 20));
    controller.rest(b);
    let changes = run(&mut controller, 0, 10_000, |_, _| vec![(a, sample(900, 20))]);
    assert!(changes.is_empty(), "the last one that is awake: {changes:?}");
    let c = controller.join(economy, 2);
    let changes = run(&mut controller, 10_000, 12_000, |_, _| vec![(a, sample(900, 20)), (c, sample(10, 20))]);
    assert_eq!(changes.len(), 1);
    assert!(controller.is_given_up(a));
    controller.leave(a);
    assert!(controller.in_force(a).is_empty() && controller.in_force(c).is_empty());
    // Asleep are all who are left; one that is given up finds its way back even so.
    let d = controller.join(self::economy(&[Relief::DropRung]), 0);
    run(&mut controller, 20_000, 24_000, |_, _| vec![(d, sample(900, 20)), (c, sample(900, 20))]);
    assert!(controller.is_given_up(d));
    controller.rest(c);
    assert_eq!(run(&mut controller, 30_000, 60_000, |_, _| vec![(d, sample(0, 0))]).len(), 1);
    assert!(!controller.is_given_up(d));
}
