//! Time on a track's timeline: signed ticks with their timescale.
//!
//! Media time is never a bare integer here. A [`Time`] knows how many of its ticks make a second, so that times of tracks with
//! different timescales compare exactly, and a conversion says how it rounds.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, Neg, Sub};
use std::time::Duration;

/// Ticks per second of a timeline. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// One tick a microsecond.
    pub const MICROS: Self = Self(NonZeroU32::new(1_000_000).unwrap());
    /// One tick a millisecond.
    pub const MILLIS: Self = Self(NonZeroU32::new(1_000).unwrap());

    /// A timescale of `ticks_per_second`, or none where that is zero.
    pub const fn new(ticks_per_second: u32) -> Option<Self> {
        match NonZeroU32::new(ticks_per_second) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// Ticks per second.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Debug for Timescale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Hz", self.0)
    }
}

/// A point on a timeline, or a length of time: a signed number of ticks and the timescale they are counted in.
///
/// Two times of different timescales are equal when they mean the same instant. Adding and subtracting keep the timescale of the
/// left-hand side; the right-hand side is converted to it, rounding to the nearest tick, halves away from zero. Arithmetic saturates
/// at the ends of `i64`: a hostile timestamp gives a nonsensical time, never a panic.
#[derive(Clone, Copy)]
pub struct Time {
    ticks: i64,
    scale: Timescale,
}

impl Time {
    /// `ticks` of `scale`.
    pub const fn new(ticks: i64, scale: Timescale) -> Self {
        Self { ticks, scale }
    }

    /// Zero, counted in `scale`.
    pub const fn zero(scale: Timescale) -> Self {
        Self { ticks: 0, scale }
    }

    /// Whole seconds, exact in every timescale.
    pub fn from_secs(seconds: i64, scale: Timescale) -> Self {
        Self { ticks: seconds.saturating_mul(i64::from(scale.get())), scale }
    }

    /// Whole milliseconds, counted in milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self { ticks: millis, scale: Timescale::MILLIS }
    }

    /// Whole microseconds, counted in microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self { ticks: micros, scale: Timescale::MICROS }
    }

    /// Ticks, counted in [`Time::scale`].
    pub const fn ticks(self) -> i64 {
        self.ticks
    }

    /// The timescale the ticks are counted in.
    pub const fn scale(self) -> Timescale {
        self.scale
    }

    /// The same time counted in `scale`, rounded to the nearest tick, halves away from zero.
    pub fn rescale(self, scale: Timescale) -> Self {
        if scale == self.scale {
            return self;
        }
        let numerator = i128::from(self.ticks) * i128::from(scale.get());
        let denominator = i128::from(self.scale.get());
        let half = denominator / 2;
        let rounded = if numerator < 0 { (numerator - half) / denominator } else { (numerator + half) / denominator };
        Self { ticks: saturate(rounded), scale }
    }

    /// The same time in microseconds, rounded to the nearest.
    pub fn micros(self) -> i64 {
        self.rescale(Timescale::MICROS).ticks
    }

    /// The same time in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 / f64::from(self.scale.get())
    }

    /// As an unsigned length of time; a negative one is zero.
    pub fn to_duration(self) -> Duration {
        Duration::from_micros(self.micros().max(0).unsigned_abs())
    }

    /// True below zero.
    pub const fn is_negative(self) -> bool {
        self.ticks < 0
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl From<Duration> for Time {
    /// In microseconds, rounded down.
    fn from(duration: Duration) -> Self {
        Self::from_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
    }
}

impl Add for Time {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { ticks: self.ticks.saturating_add(other.rescale(self.scale).ticks), scale: self.scale }
    }
}

impl Sub for Time {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { ticks: self.ticks.saturating_sub(other.rescale(self.scale).ticks), scale: self.scale }
    }
}

impl Neg for Time {
    type Output = Self;
    fn neg(self) -> Self {
        Self { ticks: self.ticks.saturating_neg(), scale: self.scale }
    }
}

impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = i128::from(self.ticks) * i128::from(other.scale.get());
        let right = i128::from(other.ticks) * i128::from(self.scale.get());
        left.cmp(&right)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ticks, self.scale.get())
    }
}

impl fmt::Display for Time {
    /// Seconds with microseconds: `1.066667 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} s", self.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ticks: i64, scale: u32) -> Time {
        Time::new(ticks, Timescale::new(scale).unwrap())
    }

    #[test]
    fn times_of_different_timescales_compare_exactly() {
        assert_eq!(at(1, 3), at(2, 6));
        assert!(at(1, 3) < at(33_334, 100_000));
        assert!(at(-1, 90_000) < at(0, 1));
    }

    #[test]
    fn rescaling_rounds_to_the_nearest_tick_away_from_zero() {
        let thousand = Timescale::new(1000).unwrap();
        assert_eq!(at(1, 3).rescale(thousand).ticks(), 333);
        assert_eq!(at(2, 3).rescale(thousand).ticks(), 667);
        assert_eq!(at(-2, 3).rescale(thousand).ticks(), -667);
        assert_eq!(at(-1, 2000).rescale(thousand).ticks(), -1);
    }

    #[test]
    fn whole_seconds_are_exact_in_every_timescale() {
        for scale in [1, 44_100, 48_000, 90_000, 10_000_000, u32::MAX] {
            let scale = Timescale::new(scale).unwrap();
            assert_eq!(Time::from_secs(10, scale).rescale(Timescale::MILLIS).ticks(), 10_000);
        }
    }

    #[test]
    fn hostile_values_saturate() {
        let end = at(i64::MAX, 1);
        assert_eq!((end + end).ticks(), i64::MAX);
        assert_eq!(end.rescale(Timescale::MICROS).ticks(), i64::MAX);
        assert_eq!((-at(i64::MIN, 1)).ticks(), i64::MAX);
    }
}
