//! Makes of the contract in `wit/` what authors of plugins include and read, and says what a component imports.

mod bindings;
mod growth;
mod imports;
mod reference;
mod signature;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use wit_bindgen_core::wit_parser::{PackageId, Resolve};

const USAGE: &str = "\
usage: contract c WIT FOLDER [WORLD]           writes the C bindings of WORLD (transcoder-plugin by default) into FOLDER
       contract reference WIT FILE [--check]   writes the reference of the contract into FILE, or checks that FILE is up to date
       contract imports COMPONENT              lists what a component imports
       contract grows OLD NEW                  checks that components of the contract in OLD run on hosts of that in NEW";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["c", wit, folder] => bindings::write(Path::new(wit), Path::new(folder), "transcoder-plugin"),
        ["c", wit, folder, world] => bindings::write(Path::new(wit), Path::new(folder), world),
        ["reference", wit, file] => reference::write(Path::new(wit), Path::new(file)),
        ["reference", wit, file, "--check"] => reference::check(Path::new(wit), Path::new(file)),
        ["grows", old, new] => growth::check(Path::new(old), Path::new(new)),
        ["imports", component] => imports::print(Path::new(component)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("contract: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the package in a folder of WIT files.
fn read(wit: &Path) -> anyhow::Result<(Resolve, PackageId)> {
    let mut resolve = Resolve::default();
    let (package, _) =
        resolve.push_dir(wit).with_context(|| format!("cannot read the contract in {}", wit.display()))?;
    Ok((resolve, package))
}
