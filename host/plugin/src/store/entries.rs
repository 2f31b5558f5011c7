//! What a store holds, and how much of it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::Refused;

/// The longest key, in bytes.
pub(super) const MAX_KEY: usize = 256;
/// The longest value, in bytes.
pub(super) const MAX_VALUE: usize = 64 << 10;
/// The most keys.
pub(super) const MAX_KEYS: usize = 10_000;
/// What a key and its value take beside their bytes: of memory, and of the quota.
const OVERHEAD: u64 = 64;

/// Keys and values. Clones share the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    map: BTreeMap<Arc<str>, Bytes>,
    size: u64,
}

fn size(key: &str, value: &Bytes) -> u64 {
    (key.len() + value.len()) as u64 + OVERHEAD
}

/// Whether a text can be a key.
pub(super) fn check_key(key: &str) -> Result<(), Refused> {
    if (1..=MAX_KEY).contains(&key.len()) {
        return Ok(());
    }
    Err(Refused::Invalid(format!("a key of {} bytes (expected 1 to {MAX_KEY})", key.len())))
}

impl Entries {
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.map.get(key).cloned()
    }

    /// Whether anything has changed.
    pub(super) fn set(&mut self, key: &str, value: Bytes, quota: u64) -> Result<bool, Refused> {
        check_key(key)?;
        if value.len() > MAX_VALUE {
            return Err(Refused::Invalid(format!("a value of {} bytes (expected at most {MAX_VALUE})", value.len())));
        }
        let before = self.map.get(key);
        if before == Some(&value) {
            return Ok(false);
        }
        if before.is_none() && self.map.len() >= MAX_KEYS {
            return Err(Refused::Full(format!("the store has {MAX_KEYS} keys, as many as it may")));
        }
        let before = before.map_or(0, |before| size(key, before));
        let after = self.size - before + size(key, &value);
        // What makes the store smaller is taken also where it is too large.
        if after > quota && after > self.size {
            return Err(Refused::Full(format!(
                "the store would take {after} bytes, {OVERHEAD} for each key beside its own, where {quota} are granted"
            )));
        }
        self.size = after;
        self.map.insert(key.into(), value);
        Ok(true)
    }

    /// Whether anything has changed.
    pub(super) fn delete(&mut self, key: &str) -> bool {
        let removed = self.map.remove(key);
        if let Some(value) = &removed {
            self.size -= size(key, value);
        }
        removed.is_some()
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let from = self.map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).map(|(key, _)| key);
        from.take_while(|key| key.starts_with(prefix)).map(|key| key.to_string()).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.map.iter().map(|(key, value)| (&**key, value))
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_counted_against_the_quota() {
        let mut entries = Entries::default();
        let quota = 3 * (OVERHEAD + 1 + 9);
        for key in ["a", "b", "c"] {
            assert_eq!(entries.set(key, Bytes::from_static(&[0; 9]), quota), Ok(true));
        }
        assert!(matches!(entries.set("d", Bytes::new(), quota), Err(Refused::Full(_))));
        assert!(matches!(entries.set("a", Bytes::from_static(&[0; 10]), quota), Err(Refused::Full(_))));
        assert_eq!(entries.set("a", Bytes::from_static(&[1; 9]), quota), Ok(true));
        assert_eq!(entries.set("a", Bytes::from_static(&[1; 9]), quota), Ok(false));
        assert!(entries.delete("b") && !entries.delete("b"));
        assert_eq!(entries.set("d", Bytes::from_static(&[0; 9]), quota), Ok(true));
        assert_eq!(entries.size(), quota);
        ["a", "c", "d"].iter().for_each(|key| assert!(entries.delete(key)));
        assert_eq!(entries.size(), 0);
    }

    #[test]
    fn a_store_whose_quota_was_lowered_can_be_emptied() {
        let mut entries = Entries::default();
        entries.set("a", Bytes::from_static(&[0; 100]), 1000).unwrap();
        assert!(entries.set("b", Bytes::new(), 10).is_err());
        assert_eq!(entries.set("a", Bytes::from_static(&[0; 50]), 10), Ok(true));
        assert!(entries.delete("a"));
    }

    #[test]
    fn keys_are_listed_by_their_beginning() {
        let mut entries = Entries::default();
        for key in ["b", "a/2", "a/1", "a", "a0", "ä"] {
            entries.set(key, Bytes::new(), 10_000).unwrap();
        }
        assert_eq!(entries.keys("a/"), ["a/1", "a/2"]);
        assert_eq!(entries.keys(""), ["a", "a/1", "a/2", "a0", "b", "ä"]);
        assert!(entries.keys("c").is_empty());
    }

    #[test]
    fn what_is_too_long_or_too_many_is_refused() {
        let mut entries = Entries::default();
        let quota = 16 << 20;
        assert!(matches!(entries.set("", Bytes::new(), quota), Err(Refused::Invalid(_))));
        assert!(matches!(entries.set(&"k".repeat(257), Bytes::new(), quota), Err(Refused::Invalid(_))));
        assert!(matches!(entries.set("k", vec![0; MAX_VALUE + 1].into(), quota), Err(Refused::Invalid(_))));
        for key in 0..MAX_KEYS {
            entries.set(&format!("{key:0>200}"), vec![0; 1000].into(), quota).unwrap();
        }
        assert!(matches!(entries.set("one more", Bytes::new(), quota), Err(Refused::Full(_))));
        assert_eq!(entries.set(&format!("{:0>200}", 7), Bytes::new(), quota), Ok(true));
    }
}
