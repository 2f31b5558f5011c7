//! Signatures in WIT, as Markdown in which the names of types are links.

use anyhow::{Context, bail};
use wit_bindgen_core::wit_parser::{Function, FunctionKind, Handle, Resolve, Type, TypeDefKind, TypeId, TypeOwner};

/// A function as `name: func(name: type) -> type`.
pub fn function(resolve: &Resolve, function: &Function) -> anyhow::Result<String> {
    let (keyword, itself) = match function.kind {
        FunctionKind::Freestanding => ("func", 0),
        FunctionKind::Method(_) => ("func", 1),
        FunctionKind::Static(_) => ("static func", 0),
        _ => bail!("`{}` is a kind of function that the reference does not know", function.name),
    };
    // A method's first parameter is its resource, which WIT leaves out.
    let parameters = function.params.iter().skip(itself);
    let parameters: Vec<_> = parameters
        .map(|parameter| Ok(format!("{}: {}", parameter.name, type_name(resolve, &parameter.ty)?)))
        .collect::<anyhow::Result<_>>()?;
    let name = function.item_name();
    let result = match &function.result {
        Some(result) => format!(" -&gt; {}", type_name(resolve, result)?),
        None => String::new(),
    };
    Ok(format!("**{name}**: {keyword}({}){result}", parameters.join(", ")))
}

/// A type, as WIT writes it.
pub fn type_name(resolve: &Resolve, ty: &Type) -> anyhow::Result<String> {
    let plain = match ty {
        Type::Id(id) => return named(resolve, *id),
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
    };
    Ok(plain.into())
}

fn named(resolve: &Resolve, id: TypeId) -> anyhow::Result<String> {
    let definition = &resolve.types[id];
    if let Some(name) = &definition.name {
        // `use` makes a type of its own of each name. The link goes to where it is defined.
        return match &definition.kind {
            TypeDefKind::Type(Type::Id(original)) => named(resolve, *original),
            _ => Ok(format!("[{name}](#{})", anchor(resolve, id, None)?)),
        };
    }
    Ok(match &definition.kind {
        TypeDefKind::Handle(Handle::Own(resource)) => named(resolve, *resource)?,
        TypeDefKind::Handle(Handle::Borrow(resource)) => format!("borrow&lt;{}&gt;", named(resolve, *resource)?),
        TypeDefKind::Option(inner) => format!("option&lt;{}&gt;", type_name(resolve, inner)?),
        TypeDefKind::List(inner) => format!("list&lt;{}&gt;", type_name(resolve, inner)?),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<_> = tuple.types.iter().map(|ty| type_name(resolve, ty)).collect::<anyhow::Result<_>>()?;
            format!("tuple&lt;{}&gt;", types.join(", "))
        }
        TypeDefKind::Result(result) => match (&result.ok, &result.err) {
            (None, None) => "result".into(),
            (Some(ok), None) => format!("result&lt;{}&gt;", type_name(resolve, ok)?),
            (ok, Some(error)) => {
                let ok = ok.as_ref().map_or(Ok("\\_".into()), |ok| type_name(resolve, ok))?;
                format!("result&lt;{ok}, {}&gt;", type_name(resolve, error)?)
            }
        },
        other => bail!("{other:?} is a kind of type that the reference does not know"),
    })
}

/// The name of the place of a type, or of a part of it, in the page.
pub fn anchor(resolve: &Resolve, id: TypeId, part: Option<&str>) -> anyhow::Result<String> {
    let definition = &resolve.types[id];
    let TypeOwner::Interface(interface) = definition.owner else {
        bail!("a type outside all interfaces: {definition:?}")
    };
    let interface = resolve.interfaces[interface].name.as_deref().context("an interface without a name")?;
    let name = definition.name.as_deref().context("a type without a name")?;
    Ok(match part {
        Some(part) => format!("{interface}.{name}.{part}"),
        None => format!("{interface}.{name}"),
    })
}
