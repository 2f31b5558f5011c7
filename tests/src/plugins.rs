//! Plugins: the shipped ones, and one that misbehaves.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::root;

/// A plugin that `make plugins` has built.
///
/// # Panics
/// Where it has not.
pub fn shipped(name: &str) -> PathBuf {
    let path = root().join("plugins/dist").join(format!("{name}.wasm"));
    assert!(path.exists(), "there is no {}: run `make plugins` first", path.display());
    path.canonicalize().expect("it exists")
}

/// Builds the plugin that does what its settings say, mostly what a plugin should not.
pub fn misbehaving() -> PathBuf {
    guest("misbehave")
}

/// Builds the filter that does what its settings say.
pub fn filtering() -> PathBuf {
    guest("filter")
}

/// Builds the access plugin that decides as the key `do` of a client's query says.
pub fn gate() -> PathBuf {
    guest("gate")
}

/// Builds a plugin of the tests.
fn guest(name: &str) -> PathBuf {
    let guest = root().join("host/plugin/tests/guests").join(name);
    let (target, component) = (root().join("target/guests"), crate::exhibits().join(format!("{name}.wasm")));
    cargo("build", &guest, &target, &["--release", "--target", "wasm32-unknown-unknown"]);
    let module = target.join(format!("wasm32-unknown-unknown/release/{name}.wasm"));
    let paths = [&module, &component].map(|path| path.to_str().expect("the path is text"));
    cargo("run", &root().join("plugins/componentize"), &target, &["--", paths[0], paths[1]]);
    component.canonicalize().expect("it was written")
}

fn cargo(what: &str, package: &Path, target: &Path, more: &[&str]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([what, "--quiet", "--manifest-path"]).arg(package.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target).args(more);
    let output = cargo.output().expect("there is a cargo");
    assert!(output.status.success(), "{cargo:?}: {}", String::from_utf8_lossy(&output.stderr));
}
