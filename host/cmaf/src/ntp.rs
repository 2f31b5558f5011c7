//! NTP timestamps (RFC 5905, 6): seconds since 1900 in 32.32 fixed point.

use std::time::Duration;

/// Seconds from 1900 to 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;
/// An era of the 32-bit seconds. Era 1 begins in 2036; a time that would lie before 1970 in era 0 is one of era 1.
const ERA: u64 = 1 << 32;

/// Since the Unix epoch, to the nearest nanosecond below.
pub(crate) fn to_unix(ntp: u64) -> Duration {
    let (seconds, fraction) = (ntp >> 32, ntp & 0xffff_ffff);
    let seconds = seconds.checked_sub(UNIX_EPOCH).unwrap_or(seconds + ERA - UNIX_EPOCH);
    let nanos = (fraction * 1_000_000_000) >> 32;
    Duration::new(seconds, u32::try_from(nanos).unwrap_or(0))
}

/// From a time since the Unix epoch; the era is dropped.
pub(crate) fn from_unix(time: Duration) -> u64 {
    let seconds = time.as_secs().wrapping_add(UNIX_EPOCH) % ERA;
    // Rounded up, so that the nanoseconds come back the same.
    let fraction = (u64::from(time.subsec_nanos()) << 32).div_ceil(1_000_000_000);
    seconds << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_in_both_eras() {
        for secs in [0, 1, 1_790_000_000, 2_085_978_495, 2_085_978_496, 3_000_000_000] {
            for nanos in [0, 1, 500_000_000, 999_999_999] {
                let time = Duration::new(secs, nanos);
                assert_eq!(to_unix(from_unix(time)), time);
            }
        }
    }

    #[test]
    fn the_epoch_as_rfc_5905_gives_it() {
        assert_eq!(from_unix(Duration::ZERO) >> 32, 2_208_988_800);
    }
}
