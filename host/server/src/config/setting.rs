//! How one value is read: from TOML, where it has a type, and from the environment or a flag, where all is text.

use std::net::SocketAddr;
use std::path::PathBuf;

use millrace_media::TrackName;
use toml::de::DeValue;

/// Why a value was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is of another type.
    Type,
    /// It is of the right type; what would have done, where that is more than the type's own words.
    Value(Option<String>),
}

/// A value that a key can have.
pub(super) trait Setting: Sized {
    /// What is taken, to stand after "expected".
    const EXPECTED: &'static str;
    /// Never shown in errors or logs.
    const SECRET: bool = false;

    /// From the environment or a flag.
    fn from_text(text: &str) -> Result<Self, Refusal>;

    /// From the file. A string is read as text unless a type says otherwise.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
        value.as_str().map_or(Err(Refusal::Type), Self::from_text)
    }
}

/// A setting with an order and a way to write it, so that it can be held within bounds.
pub(super) trait Bounded: Setting + PartialOrd {
    /// As it is written in the file.
    fn show(&self) -> String;
}

/// The name of a value's type, to stand after "is".
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Value(None))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
        value.as_bool().ok_or(Refusal::Type)
    }
}

/// A TOML integer, of any radix.
pub(super) fn integer<T: TryFrom<i128>>(value: &DeValue<'_>) -> Result<T, Refusal> {
    let integer = value.as_integer().ok_or(Refusal::Type)?;
    let number = i128::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| Refusal::Value(None))?;
    T::try_from(number).map_err(|_| Refusal::Value(None))
}

macro_rules! whole_number {
    ($($number:ty)*) => {$(
        impl Setting for $number {
            const EXPECTED: &'static str = "a whole number";

            fn from_text(text: &str) -> Result<Self, Refusal> {
                text.parse().map_err(|_| Refusal::Value(None))
            }

            fn from_toml(value: &DeValue<'_>) -> Result<Self, Refusal> {
                integer(value)
            }
        }

        impl Bounded for $number {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_number!(u16 u32 usize);

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::Value(None))
    }
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "the path of a file";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text.is_empty() { Err(Refusal::Value(None)) } else { Ok(text.into()) }
    }
}

impl Setting for TrackName {
    const EXPECTED: &'static str =
        "a name of letters, digits, '-', '_', '.' and '~', at most 64 of them and not dots alone";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Self::new(text).map_err(|_| Refusal::Value(None))
    }
}

/// A setting that is one word of a few.
pub(super) trait Word {
    /// As it is written in the file.
    fn word(&self) -> &'static str;
}

/// Makes an enum a setting: each variant is one word in the file.
macro_rules! words {
    ($type:ty, $expected:literal, $($word:literal => $variant:ident),+ $(,)?) => {
        impl $crate::config::setting::Setting for $type {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Result<Self, $crate::config::setting::Refusal> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::config::setting::Refusal::Value(None)),
                }
            }
        }

        impl $crate::config::setting::Word for $type {
            fn word(&self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}
pub(super) use words;
