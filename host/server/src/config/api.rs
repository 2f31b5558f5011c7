//! `[api]`: who may change ladders, and where the changes are kept.

use std::path::PathBuf;

use super::ingest::Token;
use super::section::Section;

/// Who may change ladders, and where the changes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Api {
    /// What a client has to show. Without it the guarded part of the API is for this machine alone.
    pub token: Option<Token>,
    /// The file that keeps changes made through the API. Without it they are gone when the server stops.
    pub overlay: Option<PathBuf>,
}

impl Api {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = section.file().map(|file| file.with_extension("overlay.toml"));
        Self { token: section.optional("token"), overlay: section.optional_path("overlay").or(default) }
    }
}
