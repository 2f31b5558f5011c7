//! What the child does: it limits itself, compiles one component, and ends.

use std::fmt;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::str::FromStr;

use rustix::process::{Resource, Rlimit};
use wasmtime::Engine;

use super::codegen::{self, EngineId};

/// The child's exit code where the component cannot be compiled; why stands on the standard error.
pub(super) const REFUSED: u8 = 2;
/// The child's exit code where the memory it may take was not enough.
pub(super) const OUT_OF_MEMORY: u8 = 3;

/// One component to be compiled: the argument that the child is given, and what it does.
///
/// A program whose `main` [reads](FromStr) this from its last argument and [runs](CompileJob::run) it can be the `program` of a
/// [`Compiler`](crate::Compiler).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileJob {
    /// The process that has started the child.
    pub(super) parent: u32,
    /// Bytes of address space that the child may take for the work.
    pub(super) memory: u64,
    /// Seconds of processor time that it may take.
    pub(super) processor_time: u64,
    /// The longest component it is given, in bytes.
    pub(super) component: u64,
    /// The engine that is to run what it makes.
    pub(super) engine: EngineId,
}

/// An argument that is not a job.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this command is for the server to start")]
pub struct NotAJob;

impl fmt::Display for CompileJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, memory, processor_time, component, engine } = self;
        write!(f, "{parent}:{memory}:{processor_time}:{component}:")?;
        engine.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for CompileJob {
    type Err = NotAJob;

    fn from_str(text: &str) -> Result<Self, NotAJob> {
        let mut fields = text.split(':');
        let mut field = || fields.next().ok_or(NotAJob);
        let number = |text: &str| text.parse::<u64>().map_err(|_| NotAJob);
        let parent = field()?.parse().map_err(|_| NotAJob)?;
        let (memory, processor_time, component) = (number(field()?)?, number(field()?)?, number(field()?)?);
        let digits = field()?;
        let mut engine = [0; 32];
        if fields.next().is_some() || digits.len() != 2 * engine.len() || !digits.is_ascii() {
            return Err(NotAJob);
        }
        for (byte, at) in engine.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| NotAJob)?;
        }
        Ok(Self { parent, memory, processor_time, component, engine: EngineId(engine) })
    }
}

/// Why nothing was compiled.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the process that compiles cannot limit itself: {0}")]
    Limits(#[source] io::Error),
    #[error("the process that compiles is of another version than the server: start the server anew")]
    OtherEngine,
    #[error("the component cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("{0}")]
    Compile(String),
    #[error("there is not enough memory")]
    Memory,
    #[error("what was compiled cannot be handed over: {0}")]
    Write(#[source] io::Error),
}

impl CompileJob {
    /// Compiles the component that comes from the standard input, and writes what came of it to the standard output. Before it reads
    /// anything, it limits what this process may take, for good: a process that has run a job does nothing else.
    ///
    /// The exit code is for [`Plugins`](crate::Plugins), which started the process.
    pub fn run(self) -> ExitCode {
        match self.compile() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                // The parent may be gone.
                let _ = write!(io::stderr(), "{failure}");
                ExitCode::from(if matches!(failure, Failure::Memory) { OUT_OF_MEMORY } else { REFUSED })
            }
        }
    }

    fn compile(self) -> Result<(), Failure> {
        self.limit().map_err(Failure::Limits)?;
        let mut component = Vec::new();
        io::stdin().lock().take(self.component).read_to_end(&mut component).map_err(Failure::Read)?;
        let engine = Engine::new(&codegen::config()).map_err(|error| Failure::Compile(format!("{error:#}")))?;
        if EngineId::of(&engine) != self.engine {
            return Err(Failure::OtherEngine);
        }
        let artifact = engine.precompile_component(&component).map_err(|error| {
            if error.is::<wasmtime::OutOfMemory>() { Failure::Memory } else { Failure::Compile(format!("{error:#}")) }
        })?;
        io::stdout().lock().write_all(&artifact).map_err(Failure::Write)
    }

    /// Takes the limits on, and ties this process to its parent's life.
    fn limit(self) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // A parent that ended before was not waited for by the kernel.
        if rustix::process::getppid().is_none_or(|pid| pid.as_raw_nonzero().get().unsigned_abs() != self.parent) {
            return Err(io::Error::other("its parent has ended"));
        }
        let at_most = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
        rustix::process::setrlimit(Resource::Core, at_most(0))?;
        // The kernel sends SIGXCPU at the first, and SIGKILL at the second.
        let time = Rlimit { current: Some(self.processor_time), maximum: Some(self.processor_time.saturating_add(1)) };
        rustix::process::setrlimit(Resource::Cpu, time)?;
        let mapped = mapped()?;
        rustix::process::setrlimit(Resource::As, at_most(self.memory.saturating_add(mapped)))?;
        rustix::process::setpriority_process(None, 19)?;
        Ok(())
    }
}

/// The address space that the program and its libraries take before any work, in bytes.
fn mapped() -> io::Result<u64> {
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return Ok(0);
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = size.and_then(|size| size.parse().ok());
    kilobytes.map(|size| size << 10).ok_or_else(|| io::Error::other("/proc/self/status does not say VmSize"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_read_from_what_it_is_written_as() {
        let engine = EngineId(std::array::from_fn(|i| i as u8 * 8));
        let job = CompileJob { parent: 7, memory: 1 << 30, processor_time: 60, component: 64 << 20, engine };
        let written = job.to_string();
        assert_eq!(written.parse(), Ok(job));
        let (numbers, digits) = written.rsplit_once(':').unwrap();
        for other in
            ["", "1:2:3", numbers, &format!("{numbers}:00"), &format!("{written}:1"), &format!("-1:1:1:1:{digits}")]
        {
            assert_eq!(other.parse::<CompileJob>(), Err(NotAJob), "{other}");
        }
        let foreign = format!("{numbers}:{}", "é".repeat(32));
        assert_eq!(foreign.parse::<CompileJob>(), Err(NotAJob));
    }
}
