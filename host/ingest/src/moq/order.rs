//! The objects of a track in their order, in whatever order its streams bring them.
//!
//! Groups are given one after the other, each from its object 0 on, without a hole: where an object is missing, and does not come
//! within the [patience](PATIENCE), the group is cut there and what is left of it dropped. A group that has not ended is waited for
//! as long once a later one has begun. What then still comes of it is late, and dropped.
//!
//! Only the first group of a track that was [joined](Start::Anywhere) may begin in its middle.
//!
//! A publisher may send a group in several streams, so that the end of one need not be the group's. Once some groups have each come whole
//! in one, the next are taken to do so as well, and their ends are [said](Step::End) when their streams end. A group that then comes in
//! several is given to its end all the same, and no end is said any more.
//!
//! Times are arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use millrace_media::Payload;

/// How long something that is missing is waited for: several retransmissions on a bad network, and less than players hold back.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);
/// How long the first group of a track that is joined is waited for: those who send the newest first may have older ones on their way.
const SETTLES: Duration = Duration::from_millis(100);
/// As many groups have come in one stream each before the end of a stream is taken for that of its group.
const TRUSTED: usize = 2;
/// What keeping an object takes beside its bytes, here and in `moq-transport`.
pub(super) const OVERHEAD: u64 = 256;

/// Something that a publisher sends.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) group: u64,
    pub(super) id: u64,
    pub(super) payload: Payload,
}

/// Where a track is begun to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Wherever it is.
    Anywhere,
    /// With the first object of a group.
    Group,
}

/// What comes next of a track.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// An object; `first` of its group.
    Object { first: bool, payload: Payload },
    /// Something is missing before what comes next.
    Cut,
    /// By all that is known of the publisher, what comes next is in another group. Only said before that has begun.
    End,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Order {
    groups: BTreeMap<u64, Group>,
    /// The group that is being given.
    current: Option<u64>,
    start: Start,
    /// How long the first group is waited for.
    settles: Duration,
    /// When the first object came.
    began: Option<Duration>,
    /// Bytes that wait for their turn.
    waiting: u64,
    max_waiting: u64,
    /// How many groups have come whole in one stream, of several objects each. None once the end of a stream was not that of its group.
    in_one_stream: Option<usize>,
}

#[derive(Debug)]
struct Group {
    /// The object that is due.
    next: u64,
    waiting: BTreeMap<u64, Payload>,
    /// Streams that have brought some of it.
    streams: usize,
    /// Objects of it that have been given, and whether the first of all was among them.
    given: usize,
    from_start: bool,
    /// Streams that may bring more of it.
    open: usize,
    /// Its end has been said.
    ended: bool,
    /// A stream of it broke off.
    broken: bool,
    /// The rest of it is dropped.
    cut: bool,
    began: Duration,
    /// When something of it came last.
    heard: Duration,
    /// Since when an object waits for one that is missing.
    stuck: Option<Duration>,
}

impl Group {
    /// All of it has been given.
    fn is_whole(&self) -> bool {
        self.open == 0 && self.waiting.is_empty() && !self.broken
    }

    /// Nothing more comes of it, and something is missing.
    fn is_broken(&self) -> bool {
        self.open == 0 && self.broken
    }

    /// It is not waited for.
    fn is_over(&self) -> bool {
        self.is_whole() || self.is_broken() || self.cut
    }
}

impl Order {
    /// For a track that is read from `start` on. At most `max_waiting` bytes wait for what is missing.
    pub(super) fn new(start: Start, max_waiting: u64) -> Self {
        let settles = if start == Start::Anywhere { SETTLES } else { Duration::ZERO };
        Self {
            groups: BTreeMap::new(),
            current: None,
            start,
            settles,
            began: None,
            waiting: 0,
            max_waiting,
            in_one_stream: Some(0),
        }
    }

    /// A stream of a group begins. False where the group is over.
    pub(super) fn open(&mut self, group: u64, now: Duration) -> bool {
        if self.is_over(group) {
            return false;
        }
        let group = self.group(group, now);
        group.streams += 1;
        group.open += 1;
        true
    }

    /// Takes an object. Says why where it is dropped.
    pub(super) fn push(&mut self, object: Object, now: Duration) -> Option<&'static str> {
        if self.is_over(object.group) {
            return Some("late");
        }
        self.began.get_or_insert(now);
        let group = self.group(object.group, now);
        if group.cut {
            return Some("after-loss");
        }
        if object.id < group.next || group.waiting.contains_key(&object.id) {
            return Some("duplicate");
        }
        if object.id > group.next {
            group.stuck.get_or_insert(now);
        }
        group.heard = now;
        let size = cost(&object.payload);
        group.waiting.insert(object.id, object.payload);
        self.waiting += size;
        None
    }

    /// A stream of a group has ended: as it should, or in the middle of something.
    pub(super) fn close(&mut self, group: u64, broken: bool) {
        let is_current = self.current == Some(group);
        if let Some(known) = self.groups.get_mut(&group) {
            known.open = known.open.saturating_sub(1);
            known.broken |= broken;
            if known.open == 0 && known.waiting.is_empty() && !is_current {
                self.groups.remove(&group);
            }
        }
    }

    /// What comes next, if it is there or will not come any more.
    pub(super) fn step(&mut self, now: Duration) -> Option<Step> {
        loop {
            let number = match self.current {
                Some(number) => number,
                None => self.begin(now)?,
            };
            let later = self.later(number);
            let overfull = self.waiting > self.max_waiting;
            let due = overfull || self.given_up(number).is_some_and(|given_up| now >= given_up);
            let group = self.groups.get_mut(&number)?;
            if let Some(payload) = group.waiting.remove(&group.next).filter(|_| !group.cut) {
                let first = group.next == 0;
                group.given += 1;
                group.from_start |= first;
                group.next = group.next.saturating_add(1);
                group.stuck = (!group.waiting.is_empty() && !group.waiting.contains_key(&group.next)).then_some(now);
                self.waiting -= cost(&payload);
                return Some(Step::Object { first, payload });
            }
            let given_up = due || group.is_broken();
            match later {
                Some(later) if group.is_over() || given_up => {
                    let lost = !group.is_whole() && !group.cut;
                    if !overfull && self.settled(number, later).is_some_and(|settled| now < settled) {
                        return None;
                    }
                    self.leave(number);
                    self.current = self.known_after(number);
                    if lost {
                        return Some(Step::Cut);
                    }
                }
                None if given_up && !group.cut => {
                    group.cut = true;
                    group.stuck = None;
                    let dropped: u64 = std::mem::take(&mut group.waiting).values().map(cost).sum();
                    self.waiting -= dropped;
                    return Some(Step::Cut);
                }
                None if group.is_whole() && !group.cut && !group.ended && group.streams == 1 => {
                    self.in_one_stream.filter(|groups| *groups >= TRUSTED)?;
                    group.ended = true;
                    return Some(Step::End);
                }
                _ => return None,
            }
        }
    }

    /// The publisher's groups are not those of its pictures: no end of theirs is [said](Step::End) any more.
    pub(super) fn distrust_ends(&mut self) {
        self.in_one_stream = None;
    }

    /// When to [step](Self::step) again though nothing has come.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let Some(number) = self.current else { return self.begins() };
        let group = self.groups.get(&number)?;
        let settled = self.later(number).and_then(|later| self.settled(number, later));
        let given_up = self.given_up(number);
        // What is over at once has nothing else to wait for.
        if group.is_over() {
            settled.or(given_up)
        } else {
            given_up.map(|given_up| settled.map_or(given_up, |settled| settled.max(given_up)))
        }
    }

    /// When what is missing of a group is no longer waited for.
    fn given_up(&self, number: u64) -> Option<Duration> {
        let group = self.groups.get(&number)?;
        let late = self.later(number).and_then(|later| self.groups.get(&later));
        let late = late.map(|later| group.heard.max(later.began) + PATIENCE);
        let stuck = group.stuck.map(|since| since + PATIENCE);
        late.into_iter().chain(stuck).min()
    }

    /// When no group is waited for any more that may come between these two; none where there can be none.
    fn settled(&self, number: u64, later: u64) -> Option<Duration> {
        let next = self.known_after(number)?;
        (next > number.saturating_add(1)).then(|| self.groups.get(&later).map(|later| later.began + self.settles))?
    }

    fn is_over(&self, group: u64) -> bool {
        self.current.is_some_and(|current| group < current)
    }

    fn group(&mut self, number: u64, now: Duration) -> &mut Group {
        self.groups.entry(number).or_insert_with(|| Group {
            next: 0,
            waiting: BTreeMap::new(),
            streams: 0,
            given: 0,
            from_start: false,
            open: 0,
            ended: false,
            broken: false,
            cut: false,
            began: now,
            heard: now,
            stuck: None,
        })
    }

    /// When the first group is begun.
    fn begins(&self) -> Option<Duration> {
        Some(self.began? + self.settles)
    }

    /// The first group of which something has come, once it is sure to be the first.
    fn begin(&mut self, now: Duration) -> Option<u64> {
        if self.waiting <= self.max_waiting && now < self.begins()? {
            return None;
        }
        let (number, group) = self.groups.iter_mut().find(|(_, group)| !group.waiting.is_empty())?;
        if self.start == Start::Anywhere
            && let Some(first) = group.waiting.keys().next()
        {
            (group.next, group.stuck) = (*first, None);
        }
        let number = *number;
        self.groups.retain(|known, _| *known >= number);
        self.current = Some(number);
        self.current
    }

    /// The group after this one of which something has come.
    fn later(&self, number: u64) -> Option<u64> {
        let after = number.checked_add(1)?;
        self.groups.range(after..).find(|(_, group)| !group.waiting.is_empty()).map(|(number, _)| *number)
    }

    /// The group after this one that has been heard of.
    fn known_after(&self, number: u64) -> Option<u64> {
        let after = number.checked_add(1)?;
        let heard_of = |group: &Group| group.open > 0 || !group.waiting.is_empty();
        self.groups.range(after..).find(|(_, group)| heard_of(group)).map(|(number, _)| *number)
    }

    fn leave(&mut self, number: u64) {
        if let Some(group) = self.groups.remove(&number) {
            if group.streams > 1 {
                self.in_one_stream = None;
            } else if let Some(groups) = &mut self.in_one_stream
                && group.from_start
                && group.given > 1
                && !group.cut
            {
                *groups += 1;
            }
            self.waiting -= group.waiting.values().map(cost).sum::<u64>();
        }
    }
}

fn cost(payload: &Payload) -> u64 {
    u64::from(payload.len()) + OVERHEAD
}

#[cfg(test)]
mod tests {
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
}
