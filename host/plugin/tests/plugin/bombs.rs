//! Components that are made to be expensive.

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentImportSection, ComponentSectionId, ComponentTypeRef,
    ComponentTypeSection, Function, FunctionSection, InstanceType, Module, ModuleSection, NestedComponentSection,
    RawSection, TypeSection, ValType,
};

use crate::guests::component;

/// The bytes of a component without what every component begins with, to be appended to another's.
fn sections(component: Component) -> Vec<u8> {
    component.finish().split_off(8)
}

/// A plugin of the right world that also has this core module, which is compiled with it.
fn with_module(module: &Module) -> Vec<u8> {
    let mut bytes = component("passthrough");
    let mut extra = Component::new();
    extra.section(&ModuleSection(module));
    bytes.extend(sections(extra));
    bytes
}

/// A module of `count` functions, each with this body.
fn functions(count: u32, body: &Function) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
    for _ in 0..count {
        functions.function(0);
        code.function(body);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}

/// `steps` instructions that depend on each other, none of which can be left out.
fn busy(steps: usize) -> Function {
    let mut body = Function::new([]);
    let mut instructions = body.instructions();
    for step in 0..steps {
        instructions.local_get(0).i32_const(step as i32 | 1).i32_mul().local_get(0).i32_rotl().local_set(0);
    }
    instructions.local_get(0).end();
    body
}

/// A plugin with `count` functions that do next to nothing, of ten bytes each.
pub(crate) fn tiny_functions(count: u32) -> Vec<u8> {
    let mut body = Function::new([]);
    body.instructions().nop().nop().nop().nop().local_get(0).end();
    with_module(&functions(count, &body))
}

/// A plugin with one function of about `steps` times 11 bytes.
pub(crate) fn long_function(steps: usize) -> Vec<u8> {
    with_module(&functions(1, &busy(steps)))
}

/// A plugin with `count` functions, each of a thousand loops within each other that all change the same locals: what is alive where takes a
/// compiler long to find out.
pub(crate) fn nested_loops(count: u32) -> Vec<u8> {
    const LOCALS: u32 = 60;
    let mut body = Function::new([(LOCALS, ValType::I32)]);
    let mut instructions = body.instructions();
    for _ in 0..1_000 {
        instructions.loop_(BlockType::Empty);
    }
    for i in 0..1_000 {
        let (one, other) = (1 + i % LOCALS, 1 + i * 7 % LOCALS);
        instructions.local_get(one).local_get(other).i32_add().local_tee(one).br_if(0).end();
    }
    instructions.local_get(0);
    for local in 1..=LOCALS {
        instructions.local_get(local).i32_add();
    }
    instructions.end();
    with_module(&functions(count, &body))
}

/// A plugin with an import for each of `count` names.
pub(crate) fn imports(count: usize) -> Vec<u8> {
    let (mut types, mut imports) = (ComponentTypeSection::new(), ComponentImportSection::new());
    types.instance(&InstanceType::new());
    for i in 0..count {
        imports.import(format!("import{i}"), ComponentTypeRef::Instance(0));
    }
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

/// Components within components, `depth` of them within the outermost.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    (0..depth)
        .fold(Component::new(), |inner, _| {
            let mut outer = Component::new();
            outer.section(&NestedComponentSection(&inner));
            outer
        })
        .finish()
}

/// A plugin with an instance type that has an instance type in it, and so on.
pub(crate) fn nested_types(depth: usize) -> Vec<u8> {
    let mut types = Vec::new();
    // One type; each is an instance of one declaration, which is a type; the innermost has none.
    types.push(1);
    (0..depth).for_each(|_| types.extend([0x42, 1, 1]));
    types.extend([0x42, 0]);
    let mut bytes = component("passthrough");
    let mut extra = Component::new();
    extra.section(&RawSection { id: ComponentSectionId::Type.into(), data: &types });
    bytes.extend(sections(extra));
    bytes
}
