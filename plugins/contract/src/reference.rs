//! The reference of the contract: a page in Markdown with every interface, type and function of `wit/`, and what is written there of each.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use wit_bindgen_core::wit_parser::{
    Docs, Function, FunctionKind, Interface, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId, World,
    WorldItem, WorldKey,
};

use crate::signature::{anchor, function as signature, type_name};

/// Writes the page.
pub fn write(wit: &Path, file: &Path) -> anyhow::Result<()> {
    fs::write(file, render(wit)?).with_context(|| format!("cannot write {}", file.display()))
}

/// Fails where the page is not what the contract gives.
pub fn check(wit: &Path, file: &Path) -> anyhow::Result<()> {
    let found = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if found != render(wit)? {
        bail!("{} is not what {} gives: `make plugins-reference` writes it", file.display(), wit.display());
    }
    Ok(())
}

fn render(wit: &Path) -> anyhow::Result<String> {
    let (resolve, package) = crate::read(wit)?;
    let mut page = Page { resolve: &resolve, text: String::new() };
    page.package(package)?;
    // Paragraphs are parted by one empty line, and the page ends with a line.
    Ok(format!("{}\n", page.text.trim_end()))
}

struct Page<'a> {
    resolve: &'a Resolve,
    text: String,
}

impl Page<'_> {
    fn package(&mut self, id: PackageId) -> anyhow::Result<()> {
        let package = &self.resolve.packages[id];
        self.paragraph(&format!("# Reference of `{}`", package.name));
        self.paragraph("<!-- Made of wit/ by `make plugins-reference`. Changes belong there. -->");
        self.paragraph("The [guide](README.md) says how to begin. This page has every interface, type and function of the contract.");
        self.docs(&package.docs, "");

        let worlds: Vec<_> = package.worlds.values().map(|world| &self.resolve.worlds[*world]).collect();
        let exports = interfaces(worlds.iter().flat_map(|world| &world.exports));
        let imports = interfaces(worlds.iter().flat_map(|world| &world.imports));
        self.table("A plugin exports", &exports)?;
        self.table("A plugin may import", &imports)?;
        self.paragraph("## Worlds");
        for world in worlds {
            self.world(world)?;
        }
        for interface in exports.into_iter().chain(imports) {
            self.interface(&self.resolve.interfaces[interface])?;
        }
        Ok(())
    }

    /// The contents: each interface with the first sentence written of it.
    fn table(&mut self, title: &str, interfaces: &[InterfaceId]) -> anyhow::Result<()> {
        let mut table = format!("| {title} | |\n| --- | --- |\n");
        for interface in interfaces {
            let interface = &self.resolve.interfaces[*interface];
            let name = name(interface)?;
            let docs = interface.docs.contents.as_deref().unwrap_or_default().replace('\n', " ");
            let first = docs.find(". ").map_or(docs.as_str(), |end| &docs[..=end]);
            writeln!(table, "| [`{name}`](#{name}) | {first} |")?;
        }
        self.paragraph(&table);
        Ok(())
    }

    fn world(&mut self, world: &World) -> anyhow::Result<()> {
        self.paragraph(&format!("### World `{}`", world.name));
        self.docs(&world.docs, "");
        for (what, items) in [("Exports", &world.exports), ("Imports", &world.imports)] {
            let links: Vec<_> = interfaces(items)
                .into_iter()
                .map(|interface| Ok(format!("[`{0}`](#{0})", name(&self.resolve.interfaces[interface])?)))
                .collect::<anyhow::Result<_>>()?;
            self.paragraph(&format!("{what}: {}.", links.join(", ")));
        }
        Ok(())
    }

    fn interface(&mut self, interface: &Interface) -> anyhow::Result<()> {
        let name = name(interface)?;
        self.paragraph(&format!("## <a id=\"{name}\"></a>Interface `{name}`"));
        self.docs(&interface.docs, "");
        for id in interface.types.values() {
            self.type_definition(interface, *id)?;
        }
        for function in interface.functions.values() {
            if function.kind == FunctionKind::Freestanding {
                self.paragraph(&format!("### <a id=\"{name}.{0}\"></a>`{0}`", function.name));
                let signature = signature(self.resolve, function)?;
                self.paragraph(&format!("<code>{signature}</code>"));
                self.docs(&function.docs, "");
            }
        }
        Ok(())
    }

    fn type_definition(&mut self, interface: &Interface, id: TypeId) -> anyhow::Result<()> {
        let definition = &self.resolve.types[id];
        let what = match &definition.kind {
            // Of another interface, and named here for `use`.
            TypeDefKind::Type(Type::Id(_)) => return Ok(()),
            TypeDefKind::Type(_) => "type",
            kind => kind.as_str(),
        };
        let name = definition.name.as_deref().context("a type without a name")?;
        self.paragraph(&format!("### <a id=\"{}\"></a>{what} `{name}`", anchor(self.resolve, id, None)?));
        if let TypeDefKind::Type(same) = &definition.kind {
            self.paragraph(&format!("<code>type **{name}** = {}</code>", type_name(self.resolve, same)?));
        }
        self.docs(&definition.docs, "");
        match &definition.kind {
            TypeDefKind::Type(_) => {}
            TypeDefKind::Resource => {
                for function in interface.functions.values().filter(|function| function.kind.resource() == Some(id)) {
                    self.method(id, function)?;
                }
            }
            TypeDefKind::Record(record) => {
                for field in &record.fields {
                    let ty = type_name(self.resolve, &field.ty)?;
                    self.item(id, &field.name, &format!("**{}**: {ty}", field.name), &field.docs)?;
                }
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    let value = match &case.ty {
                        Some(ty) => format!("({})", type_name(self.resolve, ty)?),
                        None => String::new(),
                    };
                    self.item(id, &case.name, &format!("**{}**{value}", case.name), &case.docs)?;
                }
            }
            TypeDefKind::Enum(cases) => {
                for case in &cases.cases {
                    self.item(id, &case.name, &format!("**{}**", case.name), &case.docs)?;
                }
            }
            TypeDefKind::Flags(flags) => {
                for flag in &flags.flags {
                    self.item(id, &flag.name, &format!("**{}**", flag.name), &flag.docs)?;
                }
            }
            other => bail!("{other:?} is a kind of type that the reference does not know"),
        }
        Ok(())
    }

    fn method(&mut self, resource: TypeId, function: &Function) -> anyhow::Result<()> {
        self.item(resource, function.item_name(), &signature(self.resolve, function)?, &function.docs)
    }

    /// A part of a type, as an item of a list.
    fn item(&mut self, owner: TypeId, name: &str, code: &str, docs: &Docs) -> anyhow::Result<()> {
        let anchor = anchor(self.resolve, owner, Some(name))?;
        self.paragraph(&format!("- <a id=\"{anchor}\"></a><code>{code}</code>"));
        self.docs(docs, "  ");
        Ok(())
    }

    fn docs(&mut self, docs: &Docs, indent: &str) {
        let docs = docs.contents.as_deref().unwrap_or_default();
        let lines = docs.lines().map(|line| if line.is_empty() { String::new() } else { format!("{indent}{line}") });
        self.paragraph(&lines.collect::<Vec<_>>().join("\n"));
    }

    fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.push_str(text.trim_end());
            self.text.push_str("\n\n");
        }
    }
}

/// The interfaces among the items of worlds, each once, in their order.
fn interfaces<'a>(items: impl IntoIterator<Item = (&'a WorldKey, &'a WorldItem)>) -> Vec<InterfaceId> {
    let mut found = Vec::new();
    for (_, item) in items {
        if let WorldItem::Interface { id, .. } = item
            && !found.contains(id)
        {
            found.push(*id);
        }
    }
    found
}

fn name(interface: &Interface) -> anyhow::Result<&str> {
    interface.name.as_deref().context("an interface without a name")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check, render};

    const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");

    #[test]
    fn every_link_leads_to_a_place_in_the_page() {
        let page = render(Path::new(WIT)).unwrap();
        let links: Vec<_> = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(links.len() > 100, "{} links", links.len());
        for link in links {
            assert!(page.contains(&format!("<a id=\"{link}\">")), "no place for {link}");
        }
    }

    #[test]
    fn shows_signatures_as_in_wit() {
        let page = render(Path::new(WIT)).unwrap();
        for signature in [
            "**on-track-end**: func(track: u32, why: string) -&gt; result&lt;\\_, [error](#types.error)&gt;",
            "**of**: static func(rendition: borrow&lt;[rendition](#media.rendition)&gt;, track: borrow&lt;[track](#media.track)&gt;) \
             -&gt; option&lt;[video-settings](#codec.video-settings)&gt;",
            "**captured-at**: option&lt;u64&gt;",
            "**invalid**(string)",
            "type **ticks** = s64",
        ] {
            assert!(page.contains(&format!("<code>{signature}</code>")), "{signature}");
        }
    }

    #[test]
    fn a_page_that_differs_is_found() {
        let file = std::env::temp_dir().join(format!("reference-{}.md", std::process::id()));
        let page = render(Path::new(WIT)).unwrap();
        std::fs::write(&file, &page).unwrap();
        check(Path::new(WIT), &file).unwrap();
        std::fs::write(&file, page.replacen("fragment", "chunk", 1)).unwrap();
        let refused = check(Path::new(WIT), &file).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(refused.contains("make plugins-reference"), "{refused}");
    }
}
