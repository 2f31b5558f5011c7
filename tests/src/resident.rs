//! What memory a process has.

use std::io::{Error, Result};

/// The resident memory of a process, in bytes.
///
/// # Errors
/// Where there is no such process.
pub fn resident(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().map_err(Error::other)?;
    Ok(kilobytes * 1024)
}
