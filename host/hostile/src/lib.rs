//! What tests with hostile input share. A crate that reads what strangers send has this one as a dev-dependency.
//!
//! Its allocator counts what a thread holds, so that a test can say how much memory an input may take: [`most_held`]. Its [`Numbers`]
//! look random and are the same in every run, and [`mutate`] changes real input with them. A test runs over [`seeds`]: a few by
//! default, and as many as the environment variable `MILLRACE_SEEDS` says.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Range;

/// Counts what each thread holds. It is the allocator of every program that uses this crate.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that this thread held at once while `work` ran, above what it held before.
pub fn most_held(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    work();
    (MOST.get() - before).unsigned_abs()
}

/// The seeds of a test that takes `few` of them: as many as `MILLRACE_SEEDS` says where it is set, for a run that takes its time.
///
/// # Panics
/// Where the variable is no number.
pub fn seeds(few: u64) -> Range<u64> {
    let count = std::env::var("MILLRACE_SEEDS").ok();
    1..1 + count.map_or(few, |count| count.parse().expect("MILLRACE_SEEDS is a number"))
}

/// Numbers that look random and are the same every time (SplitMix64).
#[derive(Debug, Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    /// The next number, below `end`.
    ///
    /// # Panics
    /// Where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// Changes one to four places of an input, each somewhere `near` one of the given positions, or anywhere where there are none: a byte
/// set, a bit turned, some bytes removed, filled with ones or with zeros.
pub fn mutate(bytes: &[u8], near: &[usize], numbers: &mut Numbers) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..=numbers.below(4) {
        if mutated.len() < 16 {
            break;
        }
        let at = match near {
            [] => numbers.below(mutated.len()),
            _ => near[numbers.below(near.len())].saturating_sub(4) + numbers.below(64),
        };
        let at = at.min(mutated.len() - 9);
        match numbers.below(5) {
            0 => mutated[at] = numbers.below(256) as u8,
            1 => mutated[at] ^= 1 << numbers.below(8),
            2 => mutated[at..at + 4].fill(0xff),
            3 => drop(mutated.drain(at..at + 1 + numbers.below(8))),
            _ => mutated[at..at + 4].fill(0),
        }
    }
    mutated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_once_is_counted_and_what_is_given_back_is_not() {
        let held = most_held(|| {
            drop(vec![1_u8; 1 << 20]);
            drop(vec![0_u8; 3 << 20]);
            let _grown: Vec<u8> = (0..=255).collect();
        });
        assert!((3 << 20..4 << 20).contains(&held), "{held}");
    }

    #[test]
    fn mutations_are_the_same_every_time() {
        let input = [7; 100];
        let (first, second) = (mutate(&input, &[], &mut Numbers(5)), mutate(&input, &[], &mut Numbers(5)));
        assert_eq!(first, second);
        assert!((0..100).any(|seed| mutate(&input, &[40], &mut Numbers(seed)) != input));
        assert_eq!(mutate(&[1, 2], &[], &mut Numbers(1)), [1, 2], "too short to be changed");
    }
}
