//! What a component imports.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use wit_component::DecodedWasm;

/// Prints the names of a component's imports, one a line.
pub fn print(component: &Path) -> anyhow::Result<()> {
    let mut output = io::stdout().lock();
    for name in list(component)? {
        writeln!(output, "{name}")?;
    }
    Ok(())
}

/// The names of a component's imports with their versions, sorted.
fn list(component: &Path) -> anyhow::Result<Vec<String>> {
    let bytes = fs::read(component).with_context(|| format!("cannot read {}", component.display()))?;
    let decoded = wit_component::decode(&bytes).with_context(|| format!("cannot read {}", component.display()))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("{} is a package in WIT, and not a component", component.display());
    };
    let mut names: Vec<_> = resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    //! The examples as they were built last: `make plugins-examples` comes before.

    use super::list;

    /// The imports of an example, the contract's own apart from those of WASI.
    fn imports(example: &str) -> (Vec<String>, Vec<String>) {
        let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/examples");
        let component = std::path::PathBuf::from(format!("{dist}/gop-stats-{example}.wasm"));
        let names = list(&component).expect("`make plugins-examples-all` has built it");
        let (own, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name.starts_with("millrace:plugin/"));
        assert!(own.contains(&"millrace:plugin/metrics@0.2.1".into()), "{example}: {own:?}");
        (own, others)
    }

    fn imports_nothing_but_the_contract(example: &str) {
        let (own, others) = imports(example);
        assert!(own.iter().all(|name| name.ends_with("@0.2.1")), "{example}: {own:?}");
        assert!(others.is_empty(), "{example}: {others:?}");
    }

    /// The host answers for WASI 0.2, whatever its third number.
    fn imports_the_contract_and_wasi(example: &str) {
        let (own, others) = imports(example);
        assert!(own.iter().all(|name| name.ends_with("@0.2.1")), "{example}: {own:?}");
        assert!(!others.is_empty(), "{example} needs nothing of WASI");
        assert!(others.iter().all(|name| name.starts_with("wasi:") && name.contains("@0.2.")), "{example}: {others:?}");
    }

    #[test]
    fn rust_needs_no_wasi() {
        imports_nothing_but_the_contract("rust");
    }

    #[test]
    fn c_needs_no_wasi() {
        imports_nothing_but_the_contract("c");
    }

    #[test]
    fn rust_for_wasip2_needs_wasi_0_2_only() {
        imports_the_contract_and_wasi("wasip2");
    }

    #[test]
    #[ignore = "needs `make plugins-examples-all`"]
    fn javascript_needs_wasi_0_2_only() {
        imports_the_contract_and_wasi("javascript");
    }

    #[test]
    #[ignore = "needs `make plugins-examples-all`"]
    fn javascript_without_features_needs_no_wasi() {
        imports_nothing_but_the_contract("javascript-bare");
    }

    #[test]
    #[ignore = "needs `make plugins-examples-all`"]
    fn python_needs_wasi_0_2_only() {
        imports_the_contract_and_wasi("python");
    }
}
