//! The sample table of a fragment.

use std::ops::Deref;
use std::sync::Arc;

use super::Sample;

/// The samples of a fragment, in decode order. Cheap to clone.
///
/// Most fragments of live video have one sample, which needs no allocation.
#[derive(Clone, Debug)]
pub struct Samples(Table);

#[derive(Clone, Debug)]
enum Table {
    One(Sample),
    Many(Arc<[Sample]>),
}

impl Samples {
    /// What they take beside the table itself, in bytes.
    pub(crate) fn list_size(&self) -> u64 {
        match &self.0 {
            Table::One(_) => 0,
            Table::Many(samples) => (size_of_val::<[Sample]>(samples) + 2 * size_of::<usize>()) as u64,
        }
    }
}

impl Deref for Samples {
    type Target = [Sample];
    fn deref(&self) -> &[Sample] {
        match &self.0 {
            Table::One(sample) => std::slice::from_ref(sample),
            Table::Many(samples) => samples,
        }
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Samples {}

impl FromIterator<Sample> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample>>(samples: I) -> Self {
        let mut samples = samples.into_iter();
        match (samples.next(), samples.next()) {
            (Some(sample), None) => Self(Table::One(sample)),
            (first, second) => Self(Table::Many(first.into_iter().chain(second).chain(samples).collect())),
        }
    }
}

impl From<Vec<Sample>> for Samples {
    fn from(samples: Vec<Sample>) -> Self {
        match samples.as_slice() {
            [sample] => Self(Table::One(*sample)),
            _ => Self(Table::Many(samples.into())),
        }
    }
}

impl From<Sample> for Samples {
    fn from(sample: Sample) -> Self {
        Self(Table::One(sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment::Marks;

    #[test]
    fn a_table_is_the_samples_it_was_made_of() {
        let sample = |size| Sample { offset: 0, size, duration: 1, composition_offset: 0, marks: Marks::default() };
        for count in 0..4 {
            let samples: Vec<_> = (0..count).map(sample).collect();
            let table: Samples = samples.iter().copied().collect();
            assert_eq!(*table, *samples);
            assert_eq!(table, Samples::from(samples));
            assert_eq!(table.list_size() == 0, count == 1);
        }
        assert_eq!(*Samples::from(sample(7)), [sample(7)]);
    }
}
