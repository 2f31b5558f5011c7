//! Compiles one component for a plugin host that is no program of its own to start: for tests and for programs that embed the host. The
//! server starts itself.

use std::process::ExitCode;

use millrace_plugin::CompileJob;

fn main() -> ExitCode {
    match std::env::args().next_back().unwrap_or_default().parse::<CompileJob>() {
        Ok(job) => job.run(),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
