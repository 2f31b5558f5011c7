//! What stands for many measurements of one thing.

/// The middle one.
///
/// # Panics
/// Where there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The least one that this share of them, from 0 to 1, does not exceed.
///
/// # Panics
/// Where there is none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}
