//! What is looked at before a plugin is let in.

use super::LoadFault;
use crate::compile::World;
use crate::engine::EngineSettings;
use crate::hook::{Hook, Hooks};
use crate::imports::Described;
use crate::settings::Limits;
use crate::text::tidy;

/// The package of the contract, and this host's version of it.
const PACKAGE: &str = "millrace:plugin/";
const OURS: &str = "0.2.1";
/// What a plugin may import of the contract.
const IMPORTS: [&str; 11] =
    ["types", "log", "metrics", "state", "media", "output", "codec", "timers", "clock", "http", "store"];
/// What a plugin may import of WASI, version 0.2: packages that are answered whole.
const WASI: [&str; 7] =
    ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:http/", "wasi:io/", "wasi:random/", "wasi:sockets/"];

/// Imports and exports by name. Whether their types fit is the linker's to say.
pub(super) fn world(world: &World) -> Result<Hooks, LoadFault> {
    names(&world.imports, &world.exports)
}

/// Whether these may be the imports and exports of a plugin.
fn names(imports: &[String], exports: &[String]) -> Result<Hooks, LoadFault> {
    imports.iter().try_for_each(|name| import(name))?;
    let has = |interface: &str| {
        exports.iter().any(|name| {
            let exported = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@'));
            exported.is_some_and(|(exported, version)| exported == interface && age(version) == Age::Ours)
        })
    };
    let hooks: Vec<Hook> = Hook::ALL.into_iter().filter(|hook| has(hook.as_str())).collect();
    let missing = |what: &str| {
        let listed: Vec<_> = exports.iter().map(|name| format!("`{}`", tidy(name))).collect();
        let exports = if listed.is_empty() { "nothing".into() } else { listed.join(", ") };
        LoadFault::WrongWorld { missing: what.to_owned(), exports: tidy(&exports) }
    };
    if !has("about") {
        return Err(missing(&format!("`{PACKAGE}about@{OURS}`")));
    }
    if hooks.is_empty() {
        let known: Vec<_> = Hook::ALL.into_iter().map(Hook::as_str).collect();
        return Err(missing(&format!("a hook of `{PACKAGE}` ({})", known.join(", "))));
    }
    Ok(Hooks { hooks, wake: has("wake"), messages: has("messages") })
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

/// What the plugin says about itself: each hook that has tracks wants some.
pub(super) fn described(given: &Described, hooks: &Hooks) -> Result<(), LoadFault> {
    let wishes = [(Hook::Transcoder, &given.transcoder), (Hook::Filter, &given.filter)];
    match wishes.into_iter().find(|(hook, wishes)| hooks.has(*hook) && wishes.kinds.is_empty()) {
        Some((hook, _)) => Err(LoadFault::NoKinds(hook.as_str())),
        None => Ok(()),
    }
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
            message(&["millrace:plugin/media@0.2.2"], &HOOKS),
            "asks for `millrace:plugin/media@0.2.2`, which is newer than the contract of this host, 0.2.1: update Millrace, or build the \
             plugin against this version"
        );
        assert!(message(&["millrace:plugin/media@0.1.0"], &HOOKS).contains("which is older than the contract"));
        assert!(message(&["millrace:plugin/files@0.2.0"], &HOOKS).contains("does not give"));
    }

    #[test]
    fn what_is_no_plugin_is_told_what_it_would_have_to_export() {
        let text = message(&[], &["a:b/c"]);
        assert_eq!(text, "is no plugin: it does not export `millrace:plugin/about@0.2.1` (it exports `a:b/c`)");
        let text = message(&[], &HOOKS[..1]);
        assert!(text.contains("does not export a hook of `millrace:plugin/` (transcoder, filter, access)"), "{text}");
    }

    #[test]
    fn the_hooks_are_those_that_are_exported() {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let exports =
            ["about@0.2.0", "filter@0.2.1", "wake@0.2.1", "transcoder@0.1.0"].map(|name| format!("{PACKAGE}{name}"));
        let hooks = names(&owned(&[]), &exports).unwrap();
        assert_eq!(hooks, Hooks { hooks: vec![Hook::Filter], wake: true, messages: false });
    }

    #[test]
    fn a_hook_that_has_tracks_says_which_it_wants() {
        use millrace_media::track::Kind;

        use crate::imports::Wishes;
        let hooks = |hooks: &[Hook]| Hooks { hooks: hooks.to_vec(), ..Hooks::default() };
        let video = Wishes { kinds: vec![Kind::Video], ..Wishes::default() };
        let given = Described { transcoder: video, ..Described::default() };
        assert!(described(&given, &hooks(&[Hook::Transcoder, Hook::Access])).is_ok());
        assert!(matches!(
            described(&given, &hooks(&[Hook::Transcoder, Hook::Filter])),
            Err(LoadFault::NoKinds("filter"))
        ));
    }
}
