//! The C bindings of the contract.

use std::fs;
use std::path::Path;

use anyhow::Context;
use wit_bindgen_core::Files;

/// Writes the C bindings of a world into a folder: a header, its source, and an object file with the types of the world, which goes into the
/// module for `componentize` to find.
pub fn write(wit: &Path, folder: &Path, world: &str) -> anyhow::Result<()> {
    let (mut resolve, package) = crate::read(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .context("no C bindings can be made of the contract")?;
    for (name, contents) in files.iter() {
        let file = folder.join(name);
        fs::write(&file, contents).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
