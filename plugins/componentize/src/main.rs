//! `componentize IN.wasm OUT.wasm`: makes a component of a core module that was built with wit-bindgen, in Rust for
//! `wasm32-unknown-unknown` or in C without imports of WASI. Such a component imports what its world imports and nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, bail};
use wit_component::ComponentEncoder;

/// The first eight bytes of a core module, version 1 (WebAssembly core specification, 5.5.16).
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn main() -> ExitCode {
    let files: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, component] = files.as_slice() else {
        eprintln!("usage: componentize IN.wasm OUT.wasm");
        return ExitCode::from(2);
    };
    match componentize(module, component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("componentize: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn componentize(module: &Path, component: &Path) -> anyhow::Result<()> {
    let core = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    if !core.starts_with(CORE_MODULE) {
        bail!("{} is not a core WebAssembly module (a component already?)", module.display());
    }
    let encoded = ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|encoder| encoder.encode())
        .with_context(|| format!("no component can be made of {}", module.display()))?;
    // One that is the same stays, so that what is built of it is not built again.
    if fs::read(component).is_ok_and(|found| found == encoded) {
        return Ok(());
    }
    // Renamed into place, so that whoever reads it never finds half of it, also where several of these run at once.
    let mut unfinished = component.as_os_str().to_owned();
    unfinished.push(format!(".{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    fs::write(&unfinished, encoded).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, component).with_context(|| format!("cannot write {}", component.display()))
}
