//! Components of every contract that was published run here, and those of this one run on a host of the next.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::GzDecoder;
use millrace_media::access::{Action, Client};
use millrace_media::bus::Settings;
use millrace_media::clock::Clock;
use millrace_media::{Access, BroadcastName, Bus};
use millrace_plugin::{Filters, PluginSettings};
use millrace_transcode::Runner;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceAny, ResourceType, Val};
use wasmtime::{AsContextMut, Config, Engine, Store, StoreContextMut};

use crate::host::{Observed, cached, stats, until};
use crate::source::{GROUP, Source, bus};

fn museum() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/museum")
}

/// The plugins of all versions, by version and name.
fn exhibits() -> BTreeMap<String, Vec<u8>> {
    let versions = std::fs::read_dir(museum()).unwrap().map(|version| version.unwrap().path());
    let files = versions.filter(|path| path.is_dir()).flat_map(|version| std::fs::read_dir(version).unwrap());
    let packed = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "gz"));
    let unpack = |path: PathBuf| {
        let mut component = Vec::new();
        GzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut component).unwrap();
        (path.strip_prefix(museum()).unwrap().display().to_string(), component)
    };
    packed.map(unpack).collect()
}

/// Has a plugin do what it is for. A large one takes its time to compile: the cache of the tests keeps it.
async fn works(name: &str, component: Vec<u8>) {
    let (_, plugin) = name.split_once('/').expect("versions are folders");
    match plugin.split('.').next().expect("it has a name") {
        plugin if plugin.starts_with("gop-stats") => measures(name, component).await,
        plugin if plugin.starts_with("keyframes") => filters(name, component).await,
        plugin if plugin.starts_with("webhook-access") => decides(name, component).await,
        plugin if plugin.starts_with("stalls") => is_called(name, component).await,
        other => panic!("nothing is known of {other}"),
    }
}

async fn filters(name: &str, component: Vec<u8>) {
    let plugin = cached().load_bytes(PluginSettings::new("keyframes", name), component).await.unwrap();
    let filters = Filters::new(&[plugin], 1).unwrap().expect("it is a filter");
    let clock = Arc::new(Clock::manual(Duration::from_secs(1_800_000_000)));
    let bus = Bus::with_stage(Settings::default(), clock, Arc::new(filters.clone()));
    let mut source = Source::of_size(&bus, 1_000);
    source.send(3 * GROUP as usize);
    let decided =
        || filters.stats().iter().map(|(_, stats)| stats.passed + stats.discarded + stats.missed).sum::<u64>();
    until(&format!("{name} has decided"), || decided() == 3 * u64::from(GROUP)).await;
    let held = source.track().held();
    assert!(held.len() == 3 && held.iter().all(|fragment| fragment.marks.keyframe), "{name}: {held:?}");
}

/// Nothing is granted to it, so that it cannot ask, and denies.
async fn decides(name: &str, component: Vec<u8>) {
    let settings = PluginSettings {
        settings: serde_json::json!({ "url": "https://auth.example/decide" }),
        ..PluginSettings::new("webhook", name)
    };
    let plugins = cached();
    let plugin = plugins.load_bytes(settings, component).await.unwrap();
    let access = Access::new(vec![plugin.access().expect("it has the hook")]);
    let client = Arc::new(Client::new("hls", [192, 0, 2, 1].into(), "token=x", std::iter::empty()).unwrap());
    let denied = access.admit(&client, Action::Play, &BroadcastName::new("live/a").unwrap()).await.unwrap_err();
    assert!(denied.reason.contains("cannot be asked"), "{name}: {denied}");
}

/// It asks for calls at a time, and answers messages.
async fn is_called(name: &str, component: Vec<u8>) {
    let mut settings = PluginSettings::new("stalls", name);
    settings.settings = serde_json::json!({ "stall_ms": 100 });
    settings.grants.timers = true;
    let plugins = cached();
    let plugin = plugins.load_bytes(settings, component).await.unwrap();
    let observed = Observed::new(plugin.transcoder().expect("it has the hook"));
    let bus = bus();
    let runner = Runner::start(&bus, vec![observed.clone()], vec![]);
    let mut source = Source::of_size(&bus, 1_000);
    source.write(10);
    until(&format!("{name} notices that nothing comes"), || !plugins.alarms().is_empty()).await;
    assert_eq!(observed.faults(), vec![], "{name}");
    runner.shutdown().await;
}

async fn measures(name: &str, component: Vec<u8>) {
    let plugins = cached();
    let settings = PluginSettings {
        settings: serde_json::json!({ "max_gop_seconds": 0.1 }),
        ..PluginSettings::new("gop-stats", name)
    };
    let plugin = Observed::new(plugins.load_bytes(settings, component).await.unwrap().transcoder().unwrap());
    let bus = bus();
    let runner = Runner::start(&bus, vec![plugin.clone()], vec![]);
    let mut source = Source::of_size(&bus, 5_000);
    source.write(35);
    until(&format!("{name} has worked"), || stats(&runner, "gop-stats").fragments == 35).await;
    let metrics = plugins.metrics();
    let groups =
        "millrace_plugin_metric_gop_stats_groups_total{plugin=\"gop-stats\",broadcast=\"live/test\",track=\"video\"} 3";
    assert!(metrics.contains(groups), "{name}:\n{metrics}");
    let alarms: Vec<_> = plugins.alarms().into_iter().map(|alarm| alarm.name).collect();
    assert_eq!((alarms, plugin.faults()), (vec!["long_gop".to_owned()], vec![]), "{name}");
    runner.shutdown().await;
}

#[tokio::test]
async fn components_of_every_published_contract_work() {
    let exhibits = exhibits();
    let small: Vec<_> = exhibits.into_iter().filter(|(_, component)| component.len() < 1 << 20).collect();
    assert!(small.iter().any(|(name, _)| name.contains("rust")) && small.iter().any(|(name, _)| name.contains("-c.")));
    for (name, component) in small {
        works(&name, component).await;
    }
}

#[tokio::test]
async fn those_in_javascript_work_too() {
    let (name, component) = exhibits().into_iter().find(|(name, _)| name.contains("javascript")).expect("there is one");
    works(&name, component).await;
}

/// What the next host knows of its plugins.
#[derive(Default)]
struct Next {
    called: Arc<Mutex<Vec<String>>>,
}

/// A resource of the next host.
struct Thing;

/// An answer of a type, as plain as can be.
fn plain(mut store: StoreContextMut<'_, Next>, ty: &Type) -> Val {
    match ty {
        Type::Bool => Val::Bool(false),
        Type::U8 => Val::U8(1),
        Type::U16 => Val::U16(1),
        Type::U32 => Val::U32(1),
        Type::U64 => Val::U64(1),
        Type::S32 => Val::S32(1),
        Type::S64 => Val::S64(1),
        Type::Float64 => Val::Float64(1.0),
        Type::String => Val::String("{\"max_gop_seconds\": 4}".into()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Enum(cases) => Val::Enum(cases.names().next().unwrap().to_owned()),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Result(result) => Val::Result(Ok(result.ok().map(|ty| Box::new(plain(store, &ty))))),
        Type::Record(record) => {
            let fields: Vec<_> = record.fields().map(|field| (field.name.to_owned(), field.ty.clone())).collect();
            let fields = fields.into_iter().map(|(name, ty)| (name, plain(store.as_context_mut(), &ty)));
            Val::Record(fields.collect())
        }
        Type::Own(_) | Type::Borrow(_) => {
            Val::Resource(ResourceAny::try_from_resource(Resource::<Thing>::new_own(1), store).unwrap())
        }
        other => panic!("an answer of the type {other:?}"),
    }
}

/// Answers a function of the contract, and remembers that it was called.
fn answer(linker: &mut LinkerInstance<'_, Next>, name: &str, function: ComponentFunc) {
    let called = name.to_owned();
    let results: Vec<Type> = function.results().collect();
    let define = linker.func_new(name, move |mut store: StoreContextMut<'_, Next>, _, given, answers| {
        store.data().called.lock().unwrap().push(called.clone());
        for lent in given {
            if let Val::Resource(lent) = lent {
                lent.resource_drop(store.as_context_mut())?;
            }
        }
        for (answer, ty) in answers.iter_mut().zip(&results) {
            *answer = plain(store.as_context_mut(), ty);
        }
        Ok(())
    });
    define.unwrap();
}

/// A host of contract 0.2.1: all of 0.2.0 under the new version, and a function and an interface more.
#[test]
fn components_run_on_a_host_of_the_next_contract() {
    let engine = Engine::new(Config::new().wasm_component_model(true)).unwrap();
    let component = exhibits().into_iter().find(|(name, _)| name == "0.2.0/gop-stats-rust.wasm.gz").unwrap().1;
    let component = Component::new(&engine, component).unwrap();
    let mut linker = Linker::<Next>::new(&engine);
    for (name, item) in component.component_type().imports(&engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { panic!("{name} is no interface") };
        let next = name.replace("@0.2.0", "@0.2.1");
        assert_ne!(name, next);
        let mut linked = linker.instance(&next).unwrap();
        for (item, kind) in interface.exports(&engine) {
            match kind.ty {
                ComponentItem::ComponentFunc(function) => answer(&mut linked, item, function),
                ComponentItem::Resource(_) => {
                    linked.resource(item, ResourceType::host::<Thing>(), |_, _| Ok(())).unwrap();
                }
                _ => {}
            }
        }
        linked.func_wrap("what-comes-next", |_, (): ()| Ok(())).unwrap();
    }
    linker.instance("millrace:plugin/news@0.2.1").unwrap().func_wrap("read", |_, (): ()| Ok(("news",))).unwrap();

    let mut store = Store::new(&engine, Next::default());
    let called = store.data().called.clone();
    let instance = linker.instantiate(&mut store, &component).unwrap();
    let thing = |store: &mut Store<Next>| {
        Val::Resource(ResourceAny::try_from_resource(Resource::<Thing>::new_own(1), store).unwrap())
    };
    let mut call = |interface: &str, function: &str, arguments: &mut dyn FnMut(&mut Store<Next>) -> Vec<Val>| {
        let interface =
            instance.get_export_index(&mut store, None, &format!("millrace:plugin/{interface}@0.2.1")).unwrap();
        let function = instance.get_export_index(&mut store, Some(&interface), function).unwrap();
        let function = instance.get_func(&mut store, function).unwrap();
        let arguments = arguments(&mut store);
        let mut answer = [Val::Bool(false)];
        function.call(&mut store, &arguments, &mut answer).unwrap();
        assert!(matches!(answer[0], Val::Result(Ok(_))), "{answer:?}");
    };
    let settings = Val::String("{\"max_gop_seconds\": 4}".into());
    call("about", "describe", &mut |store| vec![settings.clone(), thing(store)]);
    call("transcoder", "start", &mut |store| vec![thing(store)]);
    call("transcoder", "on-track", &mut |store| vec![thing(store)]);
    call("transcoder", "on-fragment", &mut |store| vec![thing(store)]);
    call("transcoder", "stop", &mut |_| vec![Val::String("ended".into())]);
    let called = called.lock().unwrap();
    for function in ["[method]description.want", "[static]counter.open", "[method]fragment.info"] {
        assert!(called.iter().any(|name| name == function), "{function} was not called: {called:?}");
    }
}
