//! How machine code is made of components, for the process that compiles and for the one that runs what was compiled.

use std::hash::{Hash, Hasher};

use ring::digest;
use wasmtime::{Config, Engine};

/// Address space of one linear memory: all that a guest's 32-bit address can name, so that the code needs no checks of bounds.
pub(crate) const MEMORY_RESERVATION: u64 = 4 << 30;
/// Address space after each linear memory that is never mapped. It catches an address with a constant offset up to this size.
pub(crate) const MEMORY_GUARD: u64 = 32 << 20;

/// All that the code depends on. The process that runs it adds how instances are allocated; nothing else may differ.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_guard_size(MEMORY_GUARD);
    config
}

/// What distinguishes the engines whose code this engine does not run: the version of wasmtime, the settings and the processor, as a
/// SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EngineId(pub(crate) [u8; 32]);

impl EngineId {
    pub(crate) fn of(engine: &Engine) -> Self {
        let mut hasher = Sha256(digest::Context::new(&digest::SHA256));
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self(sha256(hasher.0))
    }
}

/// The digest of what a context was given.
pub(super) fn sha256(context: digest::Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// A hasher for what two processes are to agree on: the standard one's result may change from one release of Rust to the next, and has
/// 64 bits alone.
struct Sha256(digest::Context);

impl Hasher for Sha256 {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = sha256(self.0.clone());
        u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_other_settings_have_another_id() {
        let id = |config: &Config| EngineId::of(&Engine::new(config).unwrap());
        let one = id(&config());
        assert_eq!(one, id(&config()));
        assert_ne!(one, id(config().epoch_interruption(false)));
        assert_ne!(one, id(config().memory_reservation(1 << 30)));
    }
}
