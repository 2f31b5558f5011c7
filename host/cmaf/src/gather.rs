//! Picking samples out of a payload that is shared with others.

use millrace_media::{Payload, Sample, Samples};

/// The bytes of `samples`, one after the other, sharing the buffers of `payload`; and the samples where they then lie. None where
/// one does not lie in the payload, or the whole is longer than `u32::MAX`.
///
/// Samples that lie side by side stay in one slice. The work grows with slices plus samples, not with their product.
pub(crate) fn gather(payload: &Payload, samples: &[Sample]) -> Option<(Payload, Samples)> {
    let mut at = 0u32;
    let moved: Samples = samples
        .iter()
        .map(|sample| {
            let offset = at;
            at = at.checked_add(sample.size)?;
            Some(Sample { offset, ..*sample })
        })
        .collect::<Option<_>>()?;

    let starts = starts(payload);
    let mut gathered = Payload::default();
    let mut run = 0..0u32;
    for sample in samples {
        let end = sample.offset.checked_add(sample.size)?;
        if sample.offset != run.end {
            append(&mut gathered, payload, &starts, run)?;
            run = sample.offset..end;
        } else {
            run.end = end;
        }
    }
    append(&mut gathered, payload, &starts, run)?;
    Some((gathered, moved))
}

fn starts(payload: &Payload) -> Vec<u32> {
    let next = |at: &mut u32, slice: &bytes::Bytes| {
        let start = *at;
        *at += slice.len() as u32;
        Some(start)
    };
    payload.slices().iter().scan(0, next).collect()
}

fn append(to: &mut Payload, from: &Payload, starts: &[u32], range: std::ops::Range<u32>) -> Option<()> {
    if range.end > from.len() {
        return None;
    }
    let first = starts.partition_point(|start| *start <= range.start).saturating_sub(1);
    for (slice, start) in from.slices().iter().zip(starts).skip(first) {
        if *start >= range.end {
            break;
        }
        let begin = range.start.saturating_sub(*start) as usize;
        let end = ((range.end - start) as usize).min(slice.len());
        if begin < end && !to.push(slice.slice(begin..end)) {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use millrace_media::fragment::Marks;

    use super::*;

    fn sample(offset: u32, size: u32) -> Sample {
        Sample { offset, size, duration: 1, composition_offset: 0, marks: Marks::default() }
    }

    #[test]
    fn samples_are_gathered_without_a_copy() {
        let mut payload = Payload::default();
        for slice in ["abcd", "efgh", "ij"] {
            assert!(payload.push(Bytes::from_static(slice.as_bytes())));
        }
        let (gathered, samples) = gather(&payload, &[sample(1, 1), sample(2, 4), sample(8, 0), sample(7, 3)]).unwrap();
        assert_eq!(gathered.slices().concat(), b"bcdefhij");
        assert_eq!(gathered.slices()[0].as_ptr(), payload.slices()[0][1..].as_ptr());
        assert_eq!(samples.iter().map(|s| s.offset).collect::<Vec<_>>(), [0, 1, 5, 5]);
        assert_eq!(gathered.slices().len(), 4);
    }

    #[test]
    fn a_sample_outside_is_refused() {
        let payload = Payload::from(Bytes::from_static(b"abcd"));
        assert!(gather(&payload, &[sample(3, 2)]).is_none());
        assert!(gather(&payload, &[sample(u32::MAX, 2)]).is_none());
        assert!(gather(&payload, &[sample(4, 0)]).is_some());
    }
}
