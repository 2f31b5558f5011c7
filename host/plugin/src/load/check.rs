//! What is looked at before a plugin is let in.

use super::LoadFault;
use crate::compile::World;
use crate::engine::EngineSettings;
use crate::factory::Descriptor;
use crate::imports::Described;
use crate::settings::Limits;
use crate::text::tidy;

/// The package of the contract, and this host's version of it.
const PACKAGE: &str = "millrace:plugin/";
const OURS: &str = "0.2.0";
/// What a plugin exports.
const EXPORTS: [&str; 2] = ["about", "transcoder"];
/// What a plugin may import of the contract.
const IMPORTS: [&str; 7] = ["types", "log", "metrics", "state", "media", "output", "codec"];
/// What a plugin may import of WASI, version 0.2: packages that are answered whole.
const WASI: [&str; 7] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:http/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Imports and exports by name. Whether their types fit is the linker's to say.
pub(super) fn world(world: &World) -> Result<(), LoadFault> {
    names(&world.imports, &world.exports)
}

/// Whether these may be the imports and exports of a plugin.
fn names(imports: &[String], exports: &[String]) -> Result<(), LoadFault> {
    imports.iter().try_for_each(|name| import(name))?;
    for hook in EXPORTS {
        let ours = |name: &String| {
            let exported = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@'));
            exported.is_some_and(|(interface, version)| interface == hook && age(version) == Age::Ours)
        };
        if !exports.iter().any(ours) {
            let listed: Vec<_> = exports.iter().map(|name| format!("`{}`", tidy(name))).collect();
            let exports = if listed.is_empty() { "nothing".into() } else { listed.join(", ") };
            return Err(LoadFault::WrongWorld { missing: format!("{PACKAGE}{hook}@{OURS}"), exports: tidy(&exports) });
        }
    }
    Ok(())
}

fn import(name: &str) -> Result<(), LoadFault> {
    let refused = || LoadFault::Import(tidy(name));
    let (path, version) = name.split_once('@').ok_or_else(refused)?;
    let Some(interface) = path.strip_prefix(PACKAGE) else {
        let given = WASI.iter().any(|package| path.starts_with(package)) && version.starts_with("0.2.");
        return if given { Ok(()) } else { Err(refused()) };
    };
    let of = |age, advice| LoadFault::Version { name: tidy(name), age, ours: OURS, advice };
    match age(version) {
        Age::Ours if IMPORTS.contains(&interface) => Ok(()),
        Age::Ours => Err(refused()),
        Age::Newer => Err(of("newer", "update Millrace, or build the plugin against this version")),
        Age::Older => Err(of("older", "build the plugin against this version")),
        Age::None => Err(refused()),
    }
}

/// How a version of the contract compares with this host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// This host runs it.
    Ours,
    Newer,
    Older,
    /// It is not a version.
    None,
}

fn age(version: &str) -> Age {
    let parse = |version: &str| {
        let mut parts = version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Some((major, minor, patch)),
            _ => None,
        }
    };
    let Some(given) = parse(version) else { return Age::None };
    let ours = parse(OURS).expect("a version");
    if given > ours {
        Age::Newer
    } else if (given.0, given.1) == (ours.0, ours.1) {
        Age::Ours
    } else {
        Age::Older
    }
}

pub(super) fn limits(limits: &Limits, engine: &EngineSettings) -> Result<(), LoadFault> {
    let within = |what, given, most| if given <= most { Ok(()) } else { Err(LoadFault::Limit { what, given, most }) };
    within("bytes of memory", limits.memory, engine.memory)?;
    within("table elements", limits.table_elements, engine.table_elements)?;
    let share = limits.cpu;
    if share.is_finite() && share > 0.0 { Ok(()) } else { Err(LoadFault::Share(share)) }
}

/// What the plugin says about itself.
pub(super) fn described(given: Described) -> Result<Descriptor, LoadFault> {
    let Described { summary, mut kinds, scope } = given;
    if kinds.is_empty() {
        return Err(LoadFault::NoKinds);
    }
    kinds.sort();
    Ok(Descriptor { summary, kinds, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(imports: &[&str], exports: &[&str]) -> String {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        names(&owned(imports), &owned(exports)).unwrap_err().to_string()
    }

    const HOOKS: [&str; 2] = ["millrace:plugin/about@0.2.0", "millrace:plugin/transcoder@0.2.0"];

    #[test]
    fn what_a_plugin_may_import_is_known_by_its_name_and_version() {
        for good in ["millrace:plugin/media@0.2.0", "wasi:io/poll@0.2.12", "wasi:http/types@0.2.6"] {
            assert!(import(good).is_ok(), "{good}");
        }
        for bad in ["wasi:io/poll@0.3.0", "wasi:nn/tensor@0.2.0", "a:b/c@0.2.0", "media", "millrace:plugin/media@x"] {
            assert!(matches!(import(bad), Err(LoadFault::Import(_))), "{bad}");
        }
        assert_eq!(
            message(&["millrace:plugin/media@0.2.1"], &HOOKS),
            "asks for `millrace:plugin/media@0.2.1`, which is newer than the contract of this host, 0.2.0: update Millrace, or build the \
             plugin against this version"
        );
        assert!(message(&["millrace:plugin/media@0.1.0"], &HOOKS).contains("which is older than the contract"));
        assert!(message(&["millrace:plugin/http@0.2.0"], &HOOKS).contains("does not give"));
    }

    #[test]
    fn what_is_no_plugin_is_told_what_it_would_have_to_export() {
        let text = message(&[], &["a:b/c"]);
        assert_eq!(text, "is no plugin: it does not export `millrace:plugin/about@0.2.0` (it exports `a:b/c`)");
        let text = message(&[], &HOOKS[..1]);
        assert!(text.contains("does not export `millrace:plugin/transcoder@0.2.0`"), "{text}");
    }

    #[test]
    fn kinds_are_in_their_order_and_must_be_there() {
        use millrace_media::track::Kind;
        let given = Described { kinds: vec![Kind::Audio, Kind::Video], ..Described::default() };
        assert_eq!(described(given).unwrap().kinds, [Kind::Video, Kind::Audio]);
        assert!(matches!(described(Described::default()), Err(LoadFault::NoKinds)));
    }
}
