//! Builds the plugins that the tests load, as `make plugins` does, and in the same place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The component of the plugin of this name: one of the tests' own, or one of those in `plugins/`. Built for WASI where the name ends with
/// `-wasip2`.
pub(crate) fn component(name: &str) -> Vec<u8> {
    static BUILT: Mutex<Option<HashMap<String, Vec<u8>>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.get_or_insert_default().entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> Vec<u8> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plugins = here.join("../../plugins");
    let (name, target) = match name.strip_suffix("-wasip2") {
        Some(name) => (name, "wasm32-wasip2"),
        None => (name, "wasm32-unknown-unknown"),
    };
    let guest = here.join("tests/guests").join(name);
    let guest = if guest.exists() { guest } else { plugins.join(name) };
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = scratch.with_file_name("guests");
    run(cargo("build", &guest, &directory).args(["--release", "--target", target]));
    let built = directory.join(target).join("release").join(format!("{}.wasm", name.replace('-', "_")));
    // The linker of WASI's target makes a component by itself.
    if target == "wasm32-wasip2" {
        return std::fs::read(built).unwrap();
    }
    let component: PathBuf = scratch.join(format!("{name}.wasm"));
    run(cargo("run", &plugins.join("componentize"), &directory).arg("--").args([&built, &component]));
    std::fs::read(component).unwrap()
}

fn cargo(what: &str, package: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg(what).arg("--quiet").arg("--manifest-path").arg(package.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target);
    cargo
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
