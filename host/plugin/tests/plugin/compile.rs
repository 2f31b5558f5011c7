//! Compiling happens in a process of its own, within limits, and once.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use millrace_plugin::{
    CacheSettings, CompileError, CompileLimits, Compiler, LoadError, LoadFault, Plugin, PluginSettings,
};

use crate::bombs;
use crate::guests::component;
use crate::host::{compiler, engine_with, until};

async fn load(compiler: Compiler, bytes: Vec<u8>) -> Result<Arc<Plugin>, LoadError> {
    engine_with(compiler).load_bytes(PluginSettings::new("bad", "bad.wasm"), bytes).await
}

async fn refusal(compiler: Compiler, bytes: Vec<u8>) -> String {
    load(compiler, bytes).await.expect_err("it was loaded").fault.to_string()
}

/// A compiler that cannot be started: what is loaded by it was compiled before.
fn no_compiler() -> Compiler {
    Compiler::new("/nowhere/compiler")
}

fn keeping(compiler: Compiler, directory: &Path) -> Compiler {
    Compiler { cache: Some(CacheSettings::new(directory)), ..compiler }
}

/// Whether a plugin is loaded without compiling it.
async fn is_kept(directory: &Path) -> bool {
    match load(keeping(no_compiler(), directory), component("passthrough")).await {
        Ok(_) => true,
        Err(LoadError { fault: LoadFault::Compile(CompileError::Start(_)), .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// A directory with a plugin that was compiled, and its file.
async fn kept() -> (tempfile::TempDir, PathBuf) {
    let cache = tempfile::tempdir().unwrap();
    let directory = cache.path().join("made/by/the/host");
    load(keeping(compiler(), &directory), component("passthrough")).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(is_kept(&directory).await);
    (cache, files[0].clone())
}

#[tokio::test]
async fn a_plugin_is_compiled_once() {
    let (_cache, file) = kept().await;
    let directory = file.parent().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(directory), mode(&file)), (0o700, 0o600));
    let other = load(keeping(no_compiler(), directory), component("ladder")).await;
    assert!(matches!(other.unwrap_err().fault, LoadFault::Compile(CompileError::Start(_))), "it was never compiled");
}

#[tokio::test]
async fn what_is_damaged_is_compiled_again() {
    let (_cache, file) = kept().await;
    let directory = file.parent().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [&whole[..], &[0]].concat();
    let cut = |length: usize| whole[..length].to_vec();
    for damaged in [flipped(0), flipped(20), flipped(whole.len() - 1), cut(whole.len() - 1), cut(10), cut(0), longer] {
        std::fs::write(&file, &damaged).unwrap();
        assert!(!is_kept(directory).await, "it was loaded with {} bytes", damaged.len());
        assert!(!file.exists());
        load(keeping(compiler(), directory), component("passthrough")).await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
}

#[tokio::test]
async fn what_others_can_write_is_not_run() {
    let (_cache, file) = kept().await;
    let directory = file.parent().unwrap();
    let chmod = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    for (path, right, wrong) in [(&*file, 0o600, [0o620, 0o602]), (directory, 0o700, [0o770, 0o707])] {
        for mode in wrong {
            chmod(path, mode);
            assert!(!is_kept(directory).await, "{} with the mode {mode:o}", path.display());
            load(keeping(compiler(), directory), component("passthrough")).await.unwrap();
            assert!(!is_kept(directory).await, "it was put where others can write");
        }
        chmod(path, right);
        assert!(is_kept(directory).await);
    }
    let target = directory.with_file_name("elsewhere");
    std::fs::rename(&file, &target).unwrap();
    std::os::unix::fs::symlink(&target, &file).unwrap();
    assert!(!is_kept(directory).await, "a link was followed");
}

#[tokio::test]
async fn a_cache_that_cannot_be_made_costs_nothing_but_time() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for directory in [file.path().to_owned(), file.path().join("below")] {
        load(keeping(compiler(), &directory), component("passthrough")).await.unwrap();
    }
}

#[tokio::test]
async fn what_exceeds_a_limit_is_refused_with_it() {
    let limited = |limits: CompileLimits| Compiler { limits, ..compiler() };
    let plugin = || component("passthrough");
    let time = Duration::ZERO;
    let error = refusal(limited(CompileLimits { time, ..CompileLimits::default() }), plugin()).await;
    assert_eq!(error, "was not compiled within 0 s: the machine may be too busy");
    let error = refusal(limited(CompileLimits { artifact: 10 << 10, ..CompileLimits::default() }), plugin()).await;
    assert_eq!(error, "takes more than 10 KiB when compiled");
    let error = refusal(limited(CompileLimits { memory: 2 << 20, ..CompileLimits::default() }), plugin()).await;
    assert_eq!(error, "takes more than 2 MiB of memory to compile");
}

#[tokio::test]
async fn a_component_that_breaks_the_compiler_breaks_no_more() {
    let error = refusal(compiler(), bombs::nested_types(300_000)).await;
    assert!(error.starts_with("cannot be compiled: "), "{error}");
}

#[tokio::test]
async fn one_plugin_is_compiled_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    // It notes when another is at work, and takes long enough for that.
    let script = "mkdir \"$0/turn\" || touch \"$0/overlap\"; sleep 0.05; rmdir \"$0/turn\"; echo no >&2; exit 2";
    let args = ["-c".into(), script.into(), folder.path().into()];
    let plugins = engine_with(Compiler { args: args.into(), ..Compiler::new("sh") });
    let loads = (0..4).map(|_| {
        let plugins = plugins.clone();
        tokio::spawn(async move {
            plugins.load_bytes(PluginSettings::new("bad", "bad.wasm"), component("passthrough")).await
        })
    });
    for load in loads.collect::<Vec<_>>() {
        assert_eq!(load.await.unwrap().unwrap_err().fault.to_string(), "cannot be compiled: no");
    }
    assert!(!folder.path().join("overlap").exists());
}

#[tokio::test]
async fn a_load_that_is_given_up_ends_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let noted = folder.path().join("pid");
    let script = "echo $$ >\"$0.new\"; mv \"$0.new\" \"$0\"; exec sleep 600";
    let args = ["-c".into(), script.into(), noted.clone().into()];
    let plugins = engine_with(Compiler { args: args.into(), ..Compiler::new("sh") });
    let load = tokio::spawn(async move {
        plugins.load_bytes(PluginSettings::new("slow", "slow.wasm"), component("passthrough")).await.map(drop)
    });
    until("the process runs", || noted.exists()).await;
    let pid: u32 = std::fs::read_to_string(&noted).unwrap().trim().parse().unwrap();
    assert!(is_running(pid));
    load.abort();
    until("the process has ended", || !is_running(pid)).await;
}

/// A process that starts the compiler, tells its id, and waits.
fn parent(parent: &str) -> Child {
    let script = "exec 3<&0; \"$0\" \"$1:1073741824:60:1000:$2\" <&3 & echo $!; wait $!; exit $?";
    let mut shell = Command::new("sh");
    let parent = if parent.is_empty() { "$$" } else { parent };
    shell.args(["-c", &script.replace("$1", parent)]).arg(compiler().program).args(["", &"00".repeat(32)]);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_ends_with_the_server_however_that_ends() {
    use std::io::BufRead;
    let mut server = parent("");
    let mut line = String::new();
    std::io::BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pid: u32 = line.trim().parse().unwrap();
    // It limits itself, after it has tied itself to its parent; then it reads, for as long as nobody writes.
    let limits = || std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    until("it has limited itself", || limits().contains("Max core file size        0  ")).await;
    let is_limited = |name: &str| limits().lines().any(|line| line.starts_with(name) && !line.contains("unlimited"));
    until("all limits are there", || is_limited("Max address space") && is_limited("Max cpu time")).await;
    assert!(is_running(pid));
    server.kill().unwrap();
    server.wait().unwrap();
    until("it has ended", || !is_running(pid)).await;
}

#[test]
fn the_process_compiles_for_nobody_but_its_parent() {
    let output = parent("1").wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(message, "the process that compiles cannot limit itself: its parent has ended");
}

/// Whether a process is there and not merely waited for.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
