//! What is looked at before a plugin is let in.

use super::LoadFault;
use crate::bindings::exports::millrace::plugin::transcoder;
use crate::compile::World;
use crate::engine::EngineSettings;
use crate::factory::Descriptor;
use crate::settings::Limits;
use crate::text::tidy;
use millrace_transcode::factory::Scope;

/// What a plugin exports.
const EXPORT: &str = "millrace:plugin/transcoder@0.1.0";
/// What a plugin may import.
const IMPORTS: [&str; 5] = [
    "millrace:plugin/types@0.1.0",
    "millrace:plugin/media@0.1.0",
    "millrace:plugin/output@0.1.0",
    "millrace:plugin/codec@0.1.0",
    "millrace:plugin/host@0.1.0",
];
/// The longest name or version of a plugin, in bytes.
const MAX_NAME: usize = 64;
/// The longest summary of a plugin, in bytes.
const MAX_SUMMARY: usize = 200;

/// Imports and exports by name. Whether their types fit is the linker's to say.
pub(super) fn world(world: &World) -> Result<(), LoadFault> {
    if let Some(name) = world.imports.iter().find(|name| !IMPORTS.contains(&name.as_str())) {
        return Err(LoadFault::Import(tidy(name)));
    }
    if !world.exports.iter().any(|name| name == EXPORT) {
        let exports: Vec<String> = world.exports.iter().map(|name| format!("`{}`", tidy(name))).collect();
        let exports = if exports.is_empty() { "nothing".into() } else { exports.join(", ") };
        return Err(LoadFault::WrongWorld { missing: EXPORT.into(), exports: tidy(&exports) });
    }
    Ok(())
}

pub(super) fn limits(limits: &Limits, engine: &EngineSettings) -> Result<(), LoadFault> {
    let within = |what, given, most| if given <= most { Ok(()) } else { Err(LoadFault::Limit { what, given, most }) };
    within("bytes of memory", limits.memory, engine.memory)?;
    within("table elements", limits.table_elements, engine.table_elements)
}

/// What the plugin says of itself.
pub(super) fn descriptor(given: transcoder::Descriptor) -> Result<Descriptor, LoadFault> {
    let word = |what, value: &str, extra: &str, expected| {
        let fit = (1..=MAX_NAME).contains(&value.len())
            && value.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
        if fit { Ok(()) } else { Err(LoadFault::Descriptor { what, value: tidy(value), expected }) }
    };
    word("name", &given.name, "-_.~", "one to 64 letters, digits and '-', '_', '.', '~'")?;
    word("version", &given.version, "-_.+", "one to 64 letters, digits and '-', '_', '.', '+'")?;
    if given.summary.len() > MAX_SUMMARY || given.summary.contains(char::is_control) {
        let expected = "at most 200 bytes on one line";
        return Err(LoadFault::Descriptor { what: "summary", value: tidy(&given.summary), expected });
    }
    if given.kinds.is_empty() {
        return Err(LoadFault::Descriptor {
            what: "list of kinds",
            value: String::new(),
            expected: "at least one kind",
        });
    }
    let mut kinds: Vec<_> = given.kinds.into_iter().map(millrace_media::track::Kind::from).collect();
    kinds.sort();
    kinds.dedup();
    Ok(Descriptor {
        name: given.name,
        version: given.version,
        summary: given.summary,
        kinds,
        scope: match given.scope {
            transcoder::Scope::PerTrack => Scope::PerTrack,
            transcoder::Scope::PerRendition => Scope::PerRendition,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::millrace::plugin::types::TrackKind;

    fn given() -> transcoder::Descriptor {
        transcoder::Descriptor {
            name: "ladder".into(),
            version: "1.0.0-rc.1+7".into(),
            summary: "Does things".into(),
            kinds: vec![TrackKind::Audio, TrackKind::Video, TrackKind::Audio],
            scope: transcoder::Scope::PerTrack,
        }
    }

    #[test]
    fn a_plugin_that_describes_itself_badly_is_told_what_is_expected() {
        let message = |given| descriptor(given).unwrap_err().to_string();
        assert_eq!(
            message(transcoder::Descriptor { name: "a b".into(), ..given() }),
            "describes itself with an invalid name \"a b\" (expected one to 64 letters, digits and '-', '_', '.', '~')"
        );
        assert!(message(transcoder::Descriptor { version: String::new(), ..given() }).contains("version"));
        assert!(message(transcoder::Descriptor { summary: "a\nb".into(), ..given() }).contains("summary"));
        assert!(message(transcoder::Descriptor { kinds: vec![], ..given() }).contains("kinds"));
    }

    #[test]
    fn kinds_are_taken_once_each() {
        use millrace_media::track::Kind;
        assert_eq!(descriptor(given()).unwrap().kinds, [Kind::Video, Kind::Audio]);
    }
}
