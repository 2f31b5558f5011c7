//! What the pool of instances costs where none is used. A program of its own, since what another test takes would be counted.

#![cfg(target_os = "linux")]

use millrace_plugin::{Compiler, EngineSettings, Plugins};

/// The memory that this process has, in kilobytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    size.unwrap().parse().unwrap()
}

#[test]
fn places_that_nobody_takes_cost_nothing() {
    let settings = |max_instances| EngineSettings {
        max_instances,
        threads: 1,
        ..EngineSettings::new(Compiler::new("/nowhere/compiler"))
    };
    // What any engine takes, and what the first one sets up for all.
    let _small = Plugins::new(settings(1)).unwrap();
    let before = resident();
    let _large = Plugins::new(settings(300)).unwrap();
    let grown = resident().saturating_sub(before);
    assert!(grown < 4 << 10, "300 places take {grown} kB");
    // Where there is no address space for four memories in each place, there are fewer.
    Plugins::new(settings(10_000)).unwrap();
}
