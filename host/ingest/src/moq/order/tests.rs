use bytes::Bytes;

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn object(group: u64, id: u64) -> Object {
    Object { group, id, payload: Bytes::from(format!("{group}.{id}")).into() }
}

fn order(start: Start) -> Order {
    Order { settles: Duration::ZERO, ..Order::new(start, 1 << 20) }
}

/// What comes by a time, as text.
fn steps(order: &mut Order, now: Duration) -> Vec<String> {
    let text = |step| match step {
        Step::Object { payload, .. } => String::from_utf8(payload.slices().concat()).unwrap(),
        Step::Cut => "cut".to_owned(),
        Step::End => "end".to_owned(),
    };
    std::iter::from_fn(|| order.step(now)).map(text).collect()
}

fn push(order: &mut Order, ids: &[(u64, u64)]) {
    for (group, id) in ids {
        assert_eq!(order.push(object(*group, *id), NOW), None, "{group}.{id}");
    }
}

#[test]
fn streams_may_overtake_each_other() {
    let mut order = order(Start::Anywhere);
    assert!(order.open(4, NOW));
    push(&mut order, &[(4, 0)]);
    assert_eq!(steps(&mut order, NOW), ["4.0"]);
    assert!(order.open(5, NOW));
    push(&mut order, &[(5, 0), (5, 1)]);
    assert!(steps(&mut order, NOW).is_empty(), "the group before may go on");
    push(&mut order, &[(4, 1)]);
    order.close(4, false);
    assert_eq!(steps(&mut order, NOW), ["4.1", "5.0", "5.1"]);
    assert!(!order.open(4, NOW));
    assert_eq!(order.push(object(4, 2), NOW), Some("late"));
}

#[test]
fn objects_in_streams_of_their_own_are_put_in_order() {
    let mut order = order(Start::Group);
    for id in [2, 0, 3, 1] {
        order.open(0, NOW);
        push(&mut order, &[(0, id)]);
        order.close(0, false);
    }
    assert_eq!(steps(&mut order, NOW), ["0.0", "0.1", "0.2", "0.3"]);
}

/// Brings a group of two objects in one stream.
fn whole(order: &mut Order, group: u64) -> Vec<String> {
    order.open(group, NOW);
    push(order, &[(group, 0), (group, 1)]);
    order.close(group, false);
    steps(order, NOW)
}

#[test]
fn the_end_of_a_stream_is_that_of_its_group_once_others_have_come_in_one() {
    let mut order = order(Start::Group);
    for group in 0..TRUSTED as u64 {
        assert_eq!(whole(&mut order, group).len(), 2, "more of it may come in another stream");
    }
    // The last of them is known to be whole when the next begins.
    assert_eq!(whole(&mut order, 2), ["2.0", "2.1", "end"]);
    assert_eq!(steps(&mut order, NOW), [""; 0]);
    order.open(2, NOW);
    push(&mut order, &[(2, 2)]);
    order.close(2, false);
    assert_eq!(steps(&mut order, NOW), ["2.2"]);
    assert_eq!(whole(&mut order, 3), ["3.0", "3.1"], "from then on it is not relied on");
    assert_eq!(whole(&mut order, 4), ["4.0", "4.1"]);
}

#[test]
fn groups_of_single_objects_say_nothing_of_streams() {
    let mut order = order(Start::Group);
    for group in 0..10 {
        order.open(group, NOW);
        push(&mut order, &[(group, 0)]);
        order.close(group, false);
        assert_eq!(steps(&mut order, NOW), [format!("{group}.0")]);
    }
}

#[test]
fn ends_are_not_said_of_a_publisher_whose_groups_are_not_those_of_its_pictures() {
    let mut order = order(Start::Group);
    (0..TRUSTED as u64).for_each(|group| drop(whole(&mut order, group)));
    order.distrust_ends();
    assert_eq!(whole(&mut order, 2), ["2.0", "2.1"]);
    assert_eq!(whole(&mut order, 3), ["3.0", "3.1"]);
}

#[test]
fn a_group_is_cut_where_an_object_is_missing() {
    let mut order = order(Start::Anywhere);
    order.open(0, NOW);
    push(&mut order, &[(0, 0), (0, 2), (0, 3)]);
    assert_eq!(steps(&mut order, NOW), ["0.0"]);
    assert_eq!(order.deadline(), Some(NOW + PATIENCE));
    assert_eq!(steps(&mut order, NOW + PATIENCE), ["cut"]);
    assert_eq!(order.push(object(0, 4), NOW), Some("after-loss"));
    push(&mut order, &[(1, 0)]);
    assert_eq!(steps(&mut order, NOW + PATIENCE), ["1.0"]);
    assert_eq!(order.waiting, 0);
}

#[test]
fn a_group_that_broke_off_is_cut_at_once() {
    let mut order = order(Start::Anywhere);
    order.open(0, NOW);
    push(&mut order, &[(0, 0)]);
    order.close(0, true);
    assert_eq!(steps(&mut order, NOW), ["0.0", "cut"]);
    push(&mut order, &[(1, 0)]);
    assert_eq!(steps(&mut order, NOW), ["1.0"]);
}

#[test]
fn a_group_that_does_not_end_is_waited_for_as_long_as_it_goes_on() {
    let mut order = order(Start::Anywhere);
    order.open(0, NOW);
    push(&mut order, &[(0, 0), (1, 0)]);
    assert_eq!(steps(&mut order, NOW), ["0.0"]);
    let later = NOW + PATIENCE / 2;
    assert_eq!(order.push(object(0, 1), later), None);
    assert_eq!(steps(&mut order, NOW + PATIENCE), ["0.1"]);
    assert_eq!(steps(&mut order, later + PATIENCE), ["cut", "1.0"]);
}

#[test]
fn duplicates_are_dropped() {
    let mut order = order(Start::Anywhere);
    push(&mut order, &[(0, 0), (0, 2)]);
    assert_eq!(order.push(object(0, 2), NOW), Some("duplicate"));
    assert_eq!(steps(&mut order, NOW), ["0.0"]);
    assert_eq!(order.push(object(0, 0), NOW), Some("duplicate"));
}

#[test]
fn only_what_is_joined_begins_in_the_middle() {
    let mut joined = order(Start::Anywhere);
    push(&mut joined, &[(7, 3), (7, 4)]);
    assert_eq!(steps(&mut joined, NOW), ["7.3", "7.4"]);
    let mut whole = order(Start::Group);
    push(&mut whole, &[(7, 3)]);
    assert!(steps(&mut whole, NOW).is_empty());
    push(&mut whole, &[(7, 0), (7, 1), (7, 2)]);
    assert_eq!(steps(&mut whole, NOW), ["7.0", "7.1", "7.2", "7.3"]);
}

#[test]
fn the_first_group_may_be_overtaken() {
    let mut order = Order::new(Start::Anywhere, 1 << 20);
    push(&mut order, &[(9, 0)]);
    assert!(steps(&mut order, NOW).is_empty());
    push(&mut order, &[(8, 2), (8, 3)]);
    assert_eq!(order.deadline(), Some(NOW + SETTLES));
    assert_eq!(steps(&mut order, NOW + SETTLES), ["8.2", "8.3", "9.0"]);
}

#[test]
fn a_group_may_be_overtaken_as_a_whole() {
    let mut order = Order::new(Start::Anywhere, 1 << 20);
    push(&mut order, &[(0, 0)]);
    assert_eq!(steps(&mut order, NOW + SETTLES), ["0.0"]);
    push(&mut order, &[(2, 0)]);
    assert!(steps(&mut order, NOW).is_empty(), "group 1 may still come");
    order.open(1, NOW);
    assert!(steps(&mut order, NOW).is_empty(), "and it does");
    push(&mut order, &[(1, 0)]);
    order.close(1, false);
    assert_eq!(steps(&mut order, NOW), ["1.0", "2.0"]);
    push(&mut order, &[(9, 0)]);
    assert_eq!(order.deadline(), Some(NOW + SETTLES));
    assert_eq!(steps(&mut order, NOW + SETTLES), ["9.0"]);
}

#[test]
fn there_is_nothing_to_do_before_the_deadline() {
    let mut order = Order::new(Start::Anywhere, 1 << 20);
    order.open(0, NOW);
    push(&mut order, &[(0, 0), (0, 2)]);
    assert_eq!(steps(&mut order, NOW + SETTLES), ["0.0"]);
    // Object 1 is given up when group 1 may still come.
    let stuck = NOW + SETTLES + PATIENCE;
    let begins = stuck - SETTLES / 2;
    assert_eq!(order.push(object(2, 0), begins), None);
    assert!(steps(&mut order, stuck).is_empty());
    assert_eq!(order.deadline(), Some(begins + SETTLES));
    assert_eq!(steps(&mut order, begins + SETTLES), ["cut", "2.0"]);
}

#[test]
fn a_group_is_waited_for_though_none_comes_between_it_and_the_next() {
    let mut order = Order::new(Start::Anywhere, 1 << 20);
    order.open(0, NOW);
    push(&mut order, &[(0, 0)]);
    assert_eq!(steps(&mut order, NOW + SETTLES), ["0.0"]);
    push(&mut order, &[(2, 0)]);
    assert!(steps(&mut order, NOW + SETTLES).is_empty());
    assert_eq!(order.deadline(), Some(NOW + PATIENCE));
    assert_eq!(order.push(object(0, 1), NOW + SETTLES), None);
    assert_eq!(steps(&mut order, NOW + SETTLES), ["0.1"]);
}

#[test]
fn what_waits_is_bounded() {
    let mut order = Order { max_waiting: 4 * OVERHEAD, ..order(Start::Anywhere) };
    push(&mut order, &[(0, 0)]);
    assert_eq!(steps(&mut order, NOW), ["0.0"]);
    push(&mut order, &[(0, 2), (0, 3), (0, 4), (0, 5)]);
    assert_eq!(steps(&mut order, NOW), ["cut"]);
    assert_eq!(order.waiting, 0);
}

#[test]
fn empty_groups_leave_nothing() {
    let mut order = order(Start::Anywhere);
    for group in 0..100 {
        order.open(group, NOW);
        order.close(group, false);
    }
    assert!(order.groups.is_empty());
}
