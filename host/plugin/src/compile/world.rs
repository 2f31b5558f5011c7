//! What a component says of itself, read from its bytes without compiling any of them.
//!
//! The bytes are a stranger's. Each section is looked at where it lies, and nothing is taken apart that is nested in others of its kind
//! (the types are), so that neither the stack nor the memory that reading takes grows with what the bytes claim. What wasm allows is
//! for the compiler to check, in a process of its own.

mod about;

use wasmparser::{Parser, Payload};

pub use about::{About, Producer};

/// The longest name of an import or export that is read, in bytes.
const MAX_NAME: usize = 1024;

/// How large a component may be.
///
/// The defaults leave at least a factor of three over the largest that toolchains make, those of componentize-py 0.25. Its figures stand
/// beside the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldLimits {
    /// Bytes of the whole. Python: 18.5 MB.
    pub bytes: usize,
    /// Imports, and likewise exports, of the component itself. Python: 30.
    pub names: u32,
    /// Components within components. Python: 1.
    pub nesting: usize,
    /// Core modules, over all nested components. Python: 14.
    pub modules: u32,
    /// Functions of all core modules together. Python: 13,450.
    pub functions: u32,
    /// Bytes of the code of one function. Python: 426,843.
    pub function_bytes: usize,
}

impl Default for WorldLimits {
    fn default() -> Self {
        Self { bytes: 64 << 20, names: 1_000, nesting: 16, modules: 100, functions: 200_000, function_bytes: 4 << 20 }
    }
}

/// Why a component cannot be read. Each sentence goes on after the name of the plugin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// The bytes are something else.
    #[error("is not a WebAssembly component")]
    NotAComponent,
    /// The bytes are a core module.
    #[error("is a core WebAssembly module and not a component: `componentize IN.wasm OUT.wasm` makes one of it")]
    CoreModule,
    /// It ends too early, or holds what cannot be.
    #[error("is damaged at byte {offset}: {reason}")]
    Damaged {
        /// From the beginning of the file.
        offset: usize,
        /// In the words of the parser.
        reason: String,
    },
    /// There is too much of something.
    #[error("has at least {found} {what}, and the limit is {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// As much was seen before the reading ended.
        found: u64,
        /// The most there may be.
        limit: u64,
    },
}

impl WorldError {
    /// Of a file that has so many bytes, or more.
    pub(crate) fn too_long(found: usize, limit: usize) -> Self {
        Self::TooMuch { what: "bytes", found: found as u64, limit: limit as u64 }
    }
}

/// What a component says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// The names of what it imports, in its own order.
    pub imports: Vec<String>,
    /// The names of what it exports, in its own order.
    pub exports: Vec<String>,
    /// Who made it, and with what.
    pub about: About,
    /// Core modules in it.
    pub modules: u32,
    /// Functions of those modules together.
    pub functions: u32,
    /// Bytes of the code of the longest of those functions.
    pub longest_function: usize,
    /// Components within components, at the deepest.
    pub nesting: usize,
}

impl World {
    /// Reads the bytes of a component.
    ///
    /// # Errors
    /// Where they are no component, end too early, hold what cannot be, or exceed a limit.
    pub fn read(bytes: &[u8], limits: &WorldLimits) -> Result<Self, WorldError> {
        if bytes.len() > limits.bytes {
            return Err(WorldError::too_long(bytes.len(), limits.bytes));
        }
        if Parser::is_core_wasm(bytes) {
            return Err(WorldError::CoreModule);
        }
        if !Parser::is_component(bytes) {
            return Err(WorldError::NotAComponent);
        }
        let mut world = Self::default();
        // Whether each enclosing part is a component. The parser keeps its own stack on the heap as well.
        let mut enclosing: Vec<bool> = Vec::new();
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::ModuleSection { .. } => {
                    enclosing.push(false);
                    world.modules = counted("core modules", world.modules, 1, limits.modules)?;
                }
                Payload::ComponentSection { .. } => {
                    enclosing.push(true);
                    let depth = enclosing.len();
                    within("components nested in each other", depth as u64, limits.nesting as u64)?;
                    world.nesting = world.nesting.max(depth);
                }
                Payload::End(_) => {
                    // Of the component itself at the last.
                    enclosing.pop();
                }
                Payload::CodeSectionStart { count, .. } => {
                    world.functions =
                        counted("functions in its core modules", world.functions, count, limits.functions)?;
                }
                Payload::CodeSectionEntry(body) => {
                    let length = body.range().len();
                    within("bytes of code in one function", length as u64, limits.function_bytes as u64)?;
                    world.longest_function = world.longest_function.max(length);
                }
                Payload::ComponentImportSection(section) if enclosing.is_empty() => {
                    counted("imports", length(&world.imports), section.count(), limits.names)?;
                    for import in section {
                        world.imports.push(name(import.map_err(damaged)?.name.name)?);
                    }
                }
                Payload::ComponentExportSection(section) if enclosing.is_empty() => {
                    counted("exports", length(&world.exports), section.count(), limits.names)?;
                    for export in section {
                        world.exports.push(name(export.map_err(damaged)?.name.name)?);
                    }
                }
                Payload::CustomSection(section) if enclosing.is_empty() => world.about.learn(&section),
                _ => {}
            }
        }
        Ok(world)
    }
}

fn damaged(error: wasmparser::Error) -> WorldError {
    WorldError::Damaged { offset: error.offset(), reason: crate::text::tidy(error.message()) }
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), WorldError> {
    if found > limit { Err(WorldError::TooMuch { what, found, limit }) } else { Ok(()) }
}

/// The count with `more` added, if that is within the limit.
fn counted(what: &'static str, count: u32, more: u32, limit: u32) -> Result<u32, WorldError> {
    let found = u64::from(count) + u64::from(more);
    within(what, found, limit.into())?;
    Ok(u32::try_from(found).expect("it is within a limit of 32 bits"))
}

/// The number of names so far, which a limit of 32 bits holds down.
fn length(names: &[String]) -> u32 {
    u32::try_from(names.len()).unwrap_or(u32::MAX)
}

fn name(name: &str) -> Result<String, WorldError> {
    within("bytes in the name of an import or export", name.len() as u64, MAX_NAME as u64)?;
    Ok(name.to_owned())
}
