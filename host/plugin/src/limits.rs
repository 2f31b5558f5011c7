//! What a guest may take of memory, tables and handles.

use wasmtime::ResourceLimiter;

use crate::settings::Limits;

/// Answers the guest's wish to grow. A wish refused is a failed allocation to it; what it makes of that is its affair, and the refusal is
/// remembered, to explain the trap that mostly follows.
#[derive(Debug)]
pub(crate) struct Growth {
    memory: Quota,
    tables: Quota,
}

#[derive(Debug)]
struct Quota {
    what: &'static str,
    used: usize,
    limit: usize,
    refused: Option<usize>,
}

impl Quota {
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let wanted = self.used.saturating_sub(current).saturating_add(desired);
        let granted = wanted <= self.limit;
        if granted {
            self.used = wanted;
        } else {
            self.refused = Some(wanted);
        }
        granted
    }

    fn refusal(&self) -> Option<String> {
        let Self { what, limit, .. } = self;
        self.refused.map(|wanted| format!("it was refused {wanted} {what} where its limit is {limit}"))
    }
}

impl Growth {
    pub(crate) fn new(limits: &Limits) -> Self {
        let quota = |what, limit| Quota { what, used: 0, limit, refused: None };
        Self { memory: quota("bytes of memory", limits.memory), tables: quota("table elements", limits.table_elements) }
    }

    /// What was refused, in words.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.memory.refusal().or_else(|| self.tables.refusal())
    }

    /// Forgets refusals of earlier calls.
    pub(crate) fn begin(&mut self) {
        self.memory.refused = None;
        self.tables.refused = None;
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.memory.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.tables.grow(current, desired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_over_all_memories_together() {
        let mut growth = Growth::new(&Limits { memory: 100, ..Limits::default() });
        assert!(growth.memory_growing(0, 60, None).unwrap());
        assert!(growth.memory_growing(0, 40, None).unwrap());
        assert!(!growth.memory_growing(40, 41, None).unwrap());
        assert_eq!(growth.refusal().as_deref(), Some("it was refused 101 bytes of memory where its limit is 100"));
        growth.begin();
        assert_eq!(growth.refusal(), None);
    }

    #[test]
    fn a_size_beyond_all_bounds_is_refused() {
        let mut growth = Growth::new(&Limits::default());
        assert!(!growth.memory_growing(0, usize::MAX, None).unwrap());
        assert!(!growth.table_growing(usize::MAX, usize::MAX, None).unwrap());
    }
}
