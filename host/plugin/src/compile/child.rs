//! The child process that compiles, as its parent sees it.
//!
//! A compiler's time and memory grow with what it is given, and what it is given is a stranger's. In a process of its own it can be given
//! limits, and takes nothing with it when it exceeds them.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::codegen::EngineId;
use super::job::{CompileJob, OUT_OF_MEMORY, REFUSED};
use super::{Artifact, CompileError, CompileLimits, Compiler};
use crate::text::tidy;

/// The most that is read of what the child says went wrong, in bytes.
const MAX_MESSAGE: u64 = 4096;

/// Compiles a component in a child process. The child is killed when the future is dropped.
///
/// The thread that polls this first has to outlive the child: the kernel kills the child when that thread ends. The workers of a runtime do.
pub(super) async fn compile(compiler: &Compiler, engine: EngineId, component: &[u8]) -> Result<Artifact, CompileError> {
    let limits = &compiler.limits;
    let job = CompileJob {
        parent: std::process::id(),
        memory: limits.memory,
        processor_time: limits.processor_time.as_secs().max(1),
        component: component.len() as u64,
        engine,
    };
    let mut command = Command::new(&compiler.program);
    command.args(&compiler.args).arg(job.to_string()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(CompileError::Start)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else { unreachable!("all three are pipes") };
    let conversation = async {
        let feed = async {
            // A child that does not read to the end says why on the standard error, or by how it ends.
            let _ = stdin.write_all(component).await;
            drop(stdin);
        };
        let ((), artifact, message) =
            tokio::join!(feed, read(stdout, limits.artifact.saturating_add(1)), read(stderr, MAX_MESSAGE));
        let (artifact, message) = (artifact.map_err(CompileError::Child)?, message.map_err(CompileError::Child)?);
        if artifact.len() as u64 > limits.artifact {
            return Err(CompileError::LongArtifact(limits.artifact));
        }
        let status = child.wait().await.map_err(CompileError::Child)?;
        Ok((status, artifact, message))
    };
    let answer = tokio::time::timeout(limits.time, conversation).await;
    let (status, artifact, message) = answer.map_err(|_| CompileError::Time(limits.time))??;
    match judge(status, &String::from_utf8_lossy(&message), limits) {
        None => Ok(Artifact(artifact)),
        Some(error) => Err(error),
    }
}

/// What comes through a pipe, up to `most` bytes. The pipe is closed then, so that the child does not wait for somebody to read the rest.
async fn read(pipe: impl AsyncRead + Unpin, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Why a child that has ended has not compiled; none where it has.
fn judge(status: ExitStatus, message: &str, limits: &CompileLimits) -> Option<CompileError> {
    let message = tidy(message.trim());
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    // Where an allocation fails that cannot be answered with an error, the standard library says so and aborts.
    // The backtrace that follows may need memory as well.
    let starved = (is(Signal::ABORT) || is(Signal::SEGV)) && message.contains("memory allocation of");
    Some(match status.code() {
        Some(0) => return None,
        Some(code) if code == i32::from(OUT_OF_MEMORY) => CompileError::Memory(limits.memory),
        Some(code) if code == i32::from(REFUSED) => CompileError::Refused(message),
        None if starved => CompileError::Memory(limits.memory),
        None if is(Signal::XCPU) => CompileError::ProcessorTime(limits.processor_time),
        None if is(Signal::KILL) => CompileError::Killed,
        _ => CompileError::Crashed { status, message },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_child_ends_becomes_a_sentence() {
        let said = |status: i32, message: &str| {
            judge(ExitStatus::from_raw(status), message, &CompileLimits::default()).unwrap().to_string()
        };
        let signal = |signal: Signal| signal.as_raw();
        assert_eq!(said(signal(Signal::XCPU), ""), "takes more than 60 s of processor time to compile");
        let starved = said(signal(Signal::ABORT), "memory allocation of 4096 bytes failed");
        assert_eq!(starved, "takes more than 1 GiB of memory to compile");
        assert_eq!(said(i32::from(OUT_OF_MEMORY) << 8, "there is not enough memory"), starved);
        assert_eq!(said(i32::from(REFUSED) << 8, "type mismatch\n"), "cannot be compiled: type mismatch");
        assert!(said(signal(Signal::KILL), "").contains("the process that compiled it was killed"));
        let crashed = said(signal(Signal::ABORT), "thread 'main' has overflowed its stack");
        assert_eq!(
            crashed,
            "cannot be compiled: the process that compiles has crashed (signal: 6 (SIGABRT)): thread 'main' has overflowed its stack"
        );
    }
}
