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
mod tests;
