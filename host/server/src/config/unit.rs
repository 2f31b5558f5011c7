//! Quantities with their units: lengths of time, sizes, bit rates.

use std::fmt;
use std::time::Duration;

use toml::de::DeValue;

use super::setting::{Bounded, Refusal, Setting, integer};

/// A number of bytes, written `"64MiB"` (powers of 1024), `"64MB"` (powers of 1000) or as a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// Bits per second, written `"2500k"`, `"2.5M"` (powers of 1000) or as a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitRate(u64);

/// Pixels per second, written `"500M"`, `"1.5G"` (powers of 1000) or as a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PixelRate(u64);

/// Processor cores, written `0.5`, `"0.5"` or `2`: thousandths are the smallest part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cores(u32);

const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];
const RATE_UNITS: &[(&str, u64)] = &[("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000), ("", 1)];

/// A decimal number and a unit; none where that is not a whole number of the smallest unit, or not a number.
fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // Nine decimals are as many as the largest decimal unit has.
    if fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let parts = fraction.parse::<u64>().ok()? as u128 * u128::from(scale);
    let divisor = 10u128.pow(fraction.len() as u32);
    let whole = u128::from(whole.parse::<u64>().ok()?) * u128::from(scale);
    if !parts.is_multiple_of(divisor) { None } else { u64::try_from(whole + parts / divisor).ok() }
}

/// In the largest unit that leaves a whole number.
fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |scale: &u64| value >= *scale && value.is_multiple_of(*scale);
    let (unit, scale) = units.iter().find(|(_, scale)| fits(scale)).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / scale)
}

macro_rules! with_unit {
    ($type:ty, $units:expr, $expected:literal, $in_words:literal) => {
        impl $type {
            #[doc = concat!("So many ", $in_words, ".")]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            #[doc = concat!("In ", $in_words, ".")]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&show(self.0, $units))
            }
        }

        impl Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Result<Self, Refusal> {
                quantity(text, $units).map(Self).ok_or(Refusal::Value(None))
            }

            fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
                match value {
                    DeValue::String(text) => Self::from_text(text),
                    _ => integer(value).map(Self),
                }
            }
        }

        impl Bounded for $type {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    };
}
with_unit!(ByteSize, SIZE_UNITS, "a size with its unit, such as \"64MiB\" (or KiB, GiB, kB, MB, GB)", "bytes");
with_unit!(BitRate, RATE_UNITS, "a bit rate, such as \"2500k\", \"2.5M\" or 2500000", "bits per second");
with_unit!(PixelRate, RATE_UNITS, "pixels per second, such as \"500M\" (or k, G) or 500000000", "pixels per second");

impl ByteSize {
    /// So many times 1024 × 1024 bytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }
}

impl BitRate {
    /// So many thousand bits per second.
    pub const fn kbps(kbps: u64) -> Self {
        Self(kbps * 1000)
    }
}

impl Cores {
    /// So many thousandths of a core.
    pub const fn milli(thousandths: u32) -> Self {
        Self(thousandths)
    }

    /// In cores.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl Setting for Cores {
    const EXPECTED: &'static str = "a number of processor cores, such as 0.5 or 2";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let milli = quantity(text, &[("", 1000)]).and_then(|milli| u32::try_from(milli).ok());
        milli.map(Self).ok_or(Refusal::Value(None))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
        match value {
            DeValue::String(text) => Self::from_text(text),
            DeValue::Float(number) => Self::from_text(number.as_str()),
            DeValue::Integer(number) => Self::from_text(number.as_str()),
            _ => Err(Refusal::Type),
        }
    }
}

impl Bounded for Cores {
    fn show(&self) -> String {
        self.get().to_string()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a length of time with its unit, such as \"2s\" or \"200ms\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        humantime::parse_duration(text).map_err(|_| Refusal::Value(None))
    }
}

impl Bounded for Duration {
    fn show(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Option<u64> {
        ByteSize::from_text(text).ok().map(ByteSize::get)
    }

    fn rate(text: &str) -> Option<u64> {
        BitRate::from_text(text).ok().map(BitRate::get)
    }

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("64 MiB"), Some(64 << 20));
        assert_eq!(size("1.5GiB"), Some(3 << 29));
        assert_eq!(size("10MB"), Some(10_000_000));
        assert_eq!(size("512"), Some(512));
        for bad in
            ["", "MiB", "64mib", "64M", "-1B", "1..5MiB", "1.MiB", ".5MiB", "0.1B", "99999999999GiB", "1e3", "64MiB "]
        {
            assert_eq!(size(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn rates_are_read_in_decimal_units() {
        assert_eq!(rate("2500k"), Some(2_500_000));
        assert_eq!(rate("2.5M"), Some(2_500_000));
        assert_eq!(rate("96000"), Some(96_000));
        for bad in ["2500K", "2500kbps", "0.0001k", "fast"] {
            assert_eq!(rate(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn cores_are_numbers() {
        let cores = |text: &str| Cores::from_text(text).ok().map(Cores::get);
        for (text, expected) in [("0.5", 0.5), ("2", 2.0), ("1.25", 1.25), ("0.001", 0.001)] {
            assert_eq!(cores(text), Some(expected));
        }
        for bad in ["", "-1", "half", "0.0001", "1e3", "inf", "9999999999"] {
            assert_eq!(cores(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for value in [0, 1, 1000, 1024, 1536, 2_500_000, 64 << 20, 3 << 29, u64::MAX] {
            assert_eq!(size(&ByteSize::new(value).to_string()), Some(value));
            assert_eq!(rate(&BitRate::new(value).to_string()), Some(value));
        }
        assert_eq!(ByteSize::mib(64).to_string(), "64MiB");
        assert_eq!(BitRate::kbps(2500).to_string(), "2500k");
    }
}
