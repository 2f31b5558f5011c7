//! What the files on disk are good for.

use std::time::{Duration, SystemTime};

use super::*;

fn cache(directory: &Path, bytes: u64) -> Cache {
    Cache::new(CacheSettings { bytes, ..CacheSettings::new(directory) }, 1 << 20)
}

fn key(component: &[u8]) -> Key {
    Key::of(EngineId([1; 32]), component)
}

/// What is kept under a key.
fn kept(cache: &Cache, key: Key) -> Option<Vec<u8>> {
    match cache.get(key) {
        Kept::Artifact(artifact) => Some(artifact.0),
        Kept::Nothing(_) => None,
        Kept::Untrusted => panic!("it is not trusted"),
    }
}

#[test]
fn what_is_put_is_got_by_its_component_and_engine_alone() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 20);
    cache.put(&key(b"a"), &Artifact(vec![7; 100]));
    assert_eq!(kept(&cache, key(b"a")), Some(vec![7; 100]));
    assert_eq!(kept(&cache, key(b"b")), None);
    assert_eq!(kept(&cache, Key::of(EngineId([2; 32]), b"a")), None, "another engine would run it");
}

#[test]
fn a_file_under_the_name_of_another_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 20);
    cache.put(&key(b"a"), &Artifact(vec![7; 100]));
    let path = |component: &[u8]| folder.path().join(key(component).file_name());
    fs::rename(path(b"a"), path(b"b")).unwrap();
    assert_eq!(kept(&cache, key(b"b")), None);
    assert!(!path(b"b").exists());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let length = 100 + HEADER as u64;
    let cache = cache(folder.path(), 3 * length);
    let used = |component: &[u8], minutes: u64| {
        let file = File::open(folder.path().join(key(component).file_name())).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60 * minutes)).unwrap();
    };
    for (component, minutes) in [(b"a", 9), (b"b", 8), (b"c", 7)] {
        cache.put(&key(component), &Artifact(vec![7; 100]));
        used(component, minutes);
    }
    assert!(kept(&cache, key(b"a")).is_some(), "it is used now");
    cache.put(&key(b"d"), &Artifact(vec![7; 100]));
    let there = [b"a", b"b", b"c", b"d"].map(|component| kept(&cache, key(component)).is_some());
    assert_eq!(there, [true, false, true, true]);
    cache.put(&key(b"e"), &Artifact(vec![7; 1000]));
    assert!(kept(&cache, key(b"e")).is_none() && kept(&cache, key(b"d")).is_some(), "it has no room for so much");
}

#[test]
fn what_a_server_left_half_written_is_removed_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 20);
    let (old, new, other) =
        (folder.path().join(".unfinished-1"), folder.path().join(".unfinished-2"), folder.path().join("x"));
    [&old, &new, &other].iter().for_each(|path| fs::write(path, "half").unwrap());
    for path in [&old, &other] {
        File::open(path).unwrap().set_modified(SystemTime::now() - 2 * LEFT).unwrap();
    }
    cache.put(&key(b"a"), &Artifact(vec![7; 100]));
    assert!(!old.exists() && new.exists() && other.exists());
}

#[test]
fn a_directory_of_another_user_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    // Only root can give a directory away; to everybody else, that of root is another's.
    let directory = if geteuid().is_root() {
        std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
        folder.path()
    } else {
        Path::new("/usr")
    };
    let cache = cache(directory, 1 << 20);
    assert!(matches!(cache.get(key(b"a")), Kept::Untrusted));
    cache.put(&key(b"a"), &Artifact(vec![7; 100]));
    assert!(!directory.join(key(b"a").file_name()).exists());
    let reason = cache.directory().unwrap_err().to_string();
    assert!(reason.starts_with("it belongs to the user ") && reason.contains(", and this server runs as "), "{reason}");
}

#[test]
fn a_file_of_another_user_is_not_used() {
    if !geteuid().is_root() {
        // Nobody else can give a file away. That the owner is looked at is seen with the directory above.
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path(), 1 << 20);
    cache.put(&key(b"a"), &Artifact(vec![7; 100]));
    std::os::unix::fs::chown(folder.path().join(key(b"a").file_name()), Some(12_345), None).unwrap();
    assert!(matches!(cache.get(key(b"a")), Kept::Untrusted));
}
