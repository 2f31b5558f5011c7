//! The memory there is, and the memory that the server has.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is assumed where the system does not say how much memory there is.
const UNKNOWN: u64 = 1 << 30;

/// Half of the memory that this process may have, in bytes.
pub(crate) fn half() -> u64 {
    available(Path::new("/")).unwrap_or(UNKNOWN) / 2
}

/// The memory that the process has now, in bytes; none where the system does not say.
pub(crate) fn resident() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Gives memory that is free back to the system, and says how long that took. The C library keeps it otherwise, unless it lies at the
/// end of a heap. Whoever allocates meanwhile may have to wait: it takes a millisecond where little was freed, and about as long for
/// each 4 MB that were.
pub(crate) fn give_back() -> Duration {
    let begun = Instant::now();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
    begun.elapsed()
}

/// The machine's memory, or the limit of the cgroup or of one above it, whichever is least. `root` is where `/proc` and `/sys` are.
fn available(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| kilobytes(&text, "MemTotal:"));
    let cgroups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = cgroups.lines().filter_map(|line| cgroup_limit(root, line));
    machine.into_iter().chain(limits).min()
}

/// The least limit on the way from a process's cgroup, as a line of `/proc/self/cgroup` names it, to the root of its hierarchy.
fn cgroup_limit(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    // Version 2 has one hierarchy and names no controllers; of version 1, it is that of the memory.
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        named if named.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return None,
    };
    let path = PathBuf::from(path.trim_start_matches('/'));
    let limit = |folder: &Path| -> Option<u64> {
        // "max" where there is none.
        fs::read_to_string(root.join(mount).join(folder).join(file)).ok()?.trim().parse().ok()
    };
    // In a container the path may be that of the host: then only the root of the hierarchy is there.
    path.ancestors().filter_map(limit).min()
}

/// The number of kilobytes behind `name`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A machine of 8 GiB with these files.
    fn machine(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemFree: 1 kB\nMemTotal:        8388608 kB\n");
        for (path, text) in files.iter().chain([&meminfo]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        available(root.path())
    }

    #[test]
    fn without_a_cgroup_it_is_the_machines_memory() {
        assert_eq!(machine(&[]), Some(8 * GIB));
        assert!(half() > 0 && resident().unwrap() > 0);
    }

    #[test]
    fn a_cgroup_or_one_above_it_limits_it() {
        let path = ("proc/self/cgroup", "0::/system.slice/millrace.service\n");
        let own = ("sys/fs/cgroup/system.slice/millrace.service/memory.max", "max\n");
        let above = ("sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
        assert_eq!(machine(&[path, own, above]), Some(2 * GIB));
        assert_eq!(machine(&[path, own]), Some(8 * GIB));
        let large = ("sys/fs/cgroup/system.slice/memory.max", "99999999999999\n");
        assert_eq!(machine(&[path, large]), Some(8 * GIB));
    }

    #[test]
    fn the_first_version_of_cgroups_is_read_too() {
        let path = ("proc/self/cgroup", "3:cpu,cpuacct:/docker/1\n2:memory:/docker/1\n");
        // In the container itself the host's path is not there.
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
        assert_eq!(machine(&[path, limit]), Some(GIB));
        let none = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(machine(&[path, none]), Some(8 * GIB));
    }
}
