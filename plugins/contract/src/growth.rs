//! Whether one version of the contract may follow another: what is published never changes, and what is exported never grows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use wit_bindgen_core::wit_parser::{Case, PackageId, Resolve, Type, TypeDefKind, WorldItem};

use crate::{read, signature};

/// Checks that every component of the contract in `old` runs on a host of that in `new`.
pub fn check(old: &Path, new: &Path) -> anyhow::Result<()> {
    let (old, new) = (Contract::read(old)?, Contract::read(new)?);
    let problems = old.problems(&new);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("the contract has changed where it may only grow:\n  {}", problems.join("\n  "))
}

/// What a version of the contract consists of.
#[derive(Debug, Default)]
struct Contract {
    /// By interface: each type and function, and what it is.
    interfaces: BTreeMap<String, BTreeMap<String, String>>,
    /// By world: what it imports and exports.
    worlds: BTreeMap<String, [BTreeSet<String>; 2]>,
}

impl Contract {
    fn read(wit: &Path) -> anyhow::Result<Self> {
        let (resolve, package) = read(wit)?;
        Self::of(&resolve, package)
    }

    fn of(resolve: &Resolve, package: PackageId) -> anyhow::Result<Self> {
        let mut contract = Self::default();
        for (name, id) in &resolve.packages[package].interfaces {
            let interface = &resolve.interfaces[*id];
            let mut items = BTreeMap::new();
            for (name, id) in &interface.types {
                items.insert(format!("type {name}"), definition(resolve, &resolve.types[*id].kind)?);
            }
            for (name, function) in &interface.functions {
                items.insert(format!("function {name}"), signature::function(resolve, function)?);
            }
            contract.interfaces.insert(name.clone(), items);
        }
        for (name, id) in &resolve.packages[package].worlds {
            let world = &resolve.worlds[*id];
            let interfaces = |items: &mut dyn Iterator<Item = &WorldItem>| {
                let names = items.filter_map(|item| match item {
                    WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone(),
                    _ => None,
                });
                names.collect::<BTreeSet<_>>()
            };
            let (imports, exports) = (interfaces(&mut world.imports.values()), interfaces(&mut world.exports.values()));
            contract.worlds.insert(name.clone(), [imports, exports]);
        }
        Ok(contract)
    }

    /// What a component of this contract would miss on a host of `new`.
    fn problems(&self, new: &Self) -> Vec<String> {
        let mut problems = Vec::new();
        let exported: BTreeSet<_> = self.worlds.values().flat_map(|[_, exports]| exports).collect();
        for (interface, items) in &self.interfaces {
            let Some(now) = new.interfaces.get(interface) else {
                problems.push(format!("the interface {interface} is gone"));
                continue;
            };
            for (item, before) in items {
                match now.get(item) {
                    None => problems.push(format!("{interface}: the {item} is gone")),
                    Some(now) if now != before => {
                        problems.push(format!("{interface}: the {item} was `{before}` and is `{now}`"));
                    }
                    Some(_) => {}
                }
            }
            let added = now.keys().filter(|item| !items.contains_key(*item));
            if exported.contains(interface) {
                problems.extend(added.map(|item| format!("{interface}, which plugins export: the {item} is new")));
            }
        }
        for (world, [imports, exports]) in &self.worlds {
            match new.worlds.get(world) {
                None => problems.push(format!("the world {world} is gone")),
                Some([more, same]) if !imports.is_subset(more) || exports != same => {
                    problems.push(format!("the world {world} imports less than it did, or exports something else"));
                }
                Some(_) => {}
            }
        }
        problems
    }
}

/// What a type is, in one line.
fn definition(resolve: &Resolve, kind: &TypeDefKind) -> anyhow::Result<String> {
    let name = |ty: &Type| signature::type_name(resolve, ty);
    Ok(match kind {
        TypeDefKind::Record(record) => {
            let fields: Result<Vec<_>, _> = record
                .fields
                .iter()
                .map(|field| Ok::<_, anyhow::Error>(format!("{}: {}", field.name, name(&field.ty)?)))
                .collect();
            format!("record {{ {} }}", fields?.join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let case = |case: &Case| match &case.ty {
                Some(ty) => Ok::<_, anyhow::Error>(format!("{}({})", case.name, name(ty)?)),
                None => Ok(case.name.clone()),
            };
            let cases: Result<Vec<_>, _> = variant.cases.iter().map(case).collect();
            format!("variant {{ {} }}", cases?.join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<_> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Flags(flags) => {
            let flags: Vec<_> = flags.flags.iter().map(|flag| flag.name.as_str()).collect();
            format!("flags {{ {} }}", flags.join(", "))
        }
        TypeDefKind::Type(ty) => name(ty)?,
        TypeDefKind::Resource => "resource".to_owned(),
        other => format!("{other:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every version that was published, and the contract as it is.
    #[test]
    fn the_contract_has_only_grown() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let mut versions = 0;
        for version in std::fs::read_dir(format!("{root}/tests/museum")).unwrap() {
            let wit = version.unwrap().path().join("wit");
            if wit.is_dir() {
                check(&wit, Path::new(&format!("{root}/wit"))).unwrap();
                versions += 1;
            }
        }
        assert!(versions > 0, "no version was published");
    }

    fn contract(interface: &str) -> Contract {
        let text = format!(
            "package a:b@0.2.0; interface i {{ {interface} }} interface e {{ run: func(); }} world w {{ import i; export e; }}"
        );
        let mut resolve = Resolve::default();
        let package = resolve.push_str("a.wit", &text).unwrap();
        Contract::of(&resolve, package).unwrap()
    }

    #[test]
    fn what_may_not_change_is_found() {
        let before = contract("record r { a: u32 } enum k { x } resource h { m: func(); } f: func(r: r);");
        for (now, problem) in [
            ("record r { a: u32, b: u32 } enum k { x } resource h { m: func(); } f: func(r: r);", "the type r was"),
            ("record r { a: u32 } enum k { x, y } resource h { m: func(); } f: func(r: r);", "the type k was"),
            ("record r { a: u32 } enum k { x } resource h {} f: func(r: r);", "the function [method]h.m is gone"),
            ("record r { a: u32 } enum k { x } resource h { m: func(); } f: func(r: r) -> u8;", "the function f was"),
        ] {
            let problems = before.problems(&contract(now));
            assert!(problems.len() == 1 && problems[0].contains(problem), "{problems:?}");
        }
        let more = "record r { a: u32 } enum k { x } resource h { m: func(); n: func(); } f: func(r: r); g: func();";
        assert_eq!(before.problems(&contract(more)), [""; 0]);
    }

    #[test]
    fn what_plugins_export_may_not_grow() {
        let mut more = contract("f: func();");
        let before = contract("f: func();");
        more.interfaces.get_mut("e").unwrap().insert("function stop".into(), "func()".into());
        assert_eq!(before.problems(&more), ["e, which plugins export: the function stop is new"]);
    }
}
