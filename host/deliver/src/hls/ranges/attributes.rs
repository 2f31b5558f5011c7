//! Date ranges that an event spells out: its message is an attribute list (rfc8216bis, 4.2).
//!
//! `CLASS` and `CUE` (quoted), `PLANNED-DURATION` (seconds), `END-ON-NEXT=YES` and names that begin with `X-` (quoted, hexadecimal or
//! decimal) are taken. A message with anything else is ignored as a whole, as is one that is too long or badly quoted. An example, for an
//! interstitial: `CLASS="com.apple.hls.interstitial",X-ASSET-URI="https://ads.example/1.m3u8",X-RESTRICT="SKIP"`.

use std::time::Duration;

use millrace_cmaf::write::Event;

use super::Times;
use super::range::{Range, Seconds};

/// The longest list.
const LONGEST: usize = 4_096;
/// The most attributes.
const MOST: usize = 32;
/// The longest name.
const LONGEST_NAME: usize = 64;
/// What of an event's value goes into the `ID`.
const LONGEST_VALUE: usize = 64;

/// Takes an event. False where it says nothing new.
pub(super) fn take(ranges: &mut Vec<Range>, event: &Event, times: Times) -> bool {
    let Some(attributes) = read(&event.data) else { return false };
    let ends_on_next = attributes.iter().any(|(name, _)| *name == "END-ON-NEXT");
    let duration = event.duration.map(|duration| duration.to_duration()).filter(|_| !ends_on_next);
    let key = key(&event.value, event.id);
    if let Some(known) = ranges.iter_mut().rev().find(|range| range.key() == key) {
        return update(known, &attributes, duration);
    }
    let mut range = Range::new(key, times.start);
    update(&mut range, &attributes, duration);
    if ends_on_next {
        range.set_open();
    }
    let class = range.get("CLASS").map(str::to_owned);
    let start = range.start();
    // The next of its class ends one that says so.
    let before = ranges.iter_mut().filter(|before| {
        before.get("END-ON-NEXT").is_some() && before.get("CLASS") == class.as_deref() && before.start() < start
    });
    before.for_each(|before| {
        let length = start - before.start();
        if before.until() > start {
            before.set_length(length);
        }
    });
    ranges.push(range);
    true
}

fn update(range: &mut Range, attributes: &[(&str, &str)], duration: Option<Duration>) -> bool {
    let may_end = range.get("END-ON-NEXT").is_none();
    let mut changed = false;
    for (name, value) in attributes {
        if *name == "END-ON-NEXT" && range.get("DURATION").is_some() {
            continue;
        }
        changed |= range.add(name, (*value).to_owned());
    }
    let planned = range.get("PLANNED-DURATION").and_then(|value| value.parse().ok());
    if let Some(length) = planned.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        range.set_length(length);
    }
    if let Some(duration) = duration.filter(|_| may_end) {
        changed |= range.add("DURATION", Seconds(duration).to_string());
    }
    let known = range.get("DURATION").and_then(|value| value.parse().ok());
    if let Some(length) = known.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        range.set_length(length);
    }
    changed
}

/// Of what an event's scheme tells it by: two of the same value and id are the same.
fn key(value: &str, id: u32) -> String {
    let value = value.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' });
    let value: String = value.take(LONGEST_VALUE).collect();
    if value.is_empty() { format!("event-{id}") } else { format!("event-{value}-{id}") }
}

/// The attributes of a list. None of one that is not allowed.
pub(super) fn read(message: &[u8]) -> Option<Vec<(&str, &str)>> {
    let mut rest = std::str::from_utf8(message).ok().filter(|list| list.len() <= LONGEST && !list.is_empty())?;
    if rest.chars().any(char::is_control) {
        return None;
    }
    let mut attributes: Vec<(&str, &str)> = Vec::new();
    loop {
        let (name, after) = rest.split_once('=')?;
        let end = match after.strip_prefix('"') {
            Some(quoted) => quoted.find('"')? + 2,
            None => after.find(',').unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(end);
        if attributes.len() == MOST || attributes.iter().any(|(known, _)| *known == name) || !is_allowed(name, value) {
            return None;
        }
        attributes.push((name, value));
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix(',')?;
    }
    let has = |wanted: &str| attributes.iter().any(|(name, _)| *name == wanted);
    // Such a range needs a class (rfc8216bis, 4.4.5.1).
    (!has("END-ON-NEXT") || has("CLASS")).then_some(attributes)
}

fn is_allowed(name: &str, value: &str) -> bool {
    let quoted = value.starts_with('"');
    match name {
        "CLASS" | "CUE" => quoted,
        "PLANNED-DURATION" => is_decimal(value) && !value.starts_with('-'),
        "END-ON-NEXT" => value == "YES",
        _ => {
            let is_name = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'-';
            let is_own = name.len() > 2 && name.len() <= LONGEST_NAME && name.starts_with("X-");
            is_own && name.bytes().all(is_name) && (quoted || is_decimal(value) || is_hexadecimal(value))
        }
    }
}

/// A decimal integer or floating point number (rfc8216bis, 4.2).
fn is_decimal(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 20 && text.bytes().all(|c| c.is_ascii_digit());
    is_number(whole) && is_number(fraction)
}

/// A hexadecimal sequence: bytes in upper case.
fn is_hexadecimal(value: &str) -> bool {
    let digits = value.strip_prefix("0x").unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit() || (b'A'..=b'F').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_checked() {
        let list = r#"CLASS="com.example",X-ASSET-URI="https://a.example/1.m3u8?a=1,2",X-N=-1.5,X-H=0x0AFF"#;
        let read_as = read(list.as_bytes()).unwrap();
        assert_eq!(read_as.len(), 4);
        assert_eq!(read_as[1], ("X-ASSET-URI", "\"https://a.example/1.m3u8?a=1,2\""));
        assert!(read(br#"CLASS="a",END-ON-NEXT=YES"#).is_some());
        let long = format!("X-A=\"{}\"", "a".repeat(LONGEST));
        let many = (0..=MOST).map(|n| format!("X-A{n}=1")).collect::<Vec<_>>().join(",");
        for refused in [
            "",
            "X-A",
            "X-A=",
            "X-A=\"",
            "X-A=\"a\"b",
            "X-A=\"a\",",
            "X-A=\"a\nb\"",
            "X-A=1,X-A=2",
            "X-a=1",
            "X-=1",
            "X-A=yes",
            "X-A=0xaf",
            "ID=\"mine\"",
            "START-DATE=\"2026-01-01T00:00:00Z\"",
            "DURATION=5",
            "SCTE35-OUT=0xFC",
            "PLANNED-DURATION=-1",
            "PLANNED-DURATION=1e9",
            "CLASS=a",
            "END-ON-NEXT=YES",
            "CLASS=\"a\",END-ON-NEXT=NO",
            &long,
            &many,
        ] {
            assert_eq!(read(refused.as_bytes()), None, "{}", &refused[..refused.len().min(60)]);
        }
        assert_eq!(read(&[b'X', b'-', b'A', b'=', b'"', 0xff, b'"']), None);
    }
}
