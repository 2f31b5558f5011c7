//! The `millrace` binary: the command line, the log, and the server.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use millrace::cli::{Cli, Command, Mode, ServeArgs, check_config, environment};
use millrace::config::{Log, LogFilter, LogFormat, Overlay};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve(&args, Mode::Serve),
        Command::Demo(args) => serve(&args, Mode::Demo),
        Command::Publish(args) => pipe(millrace::pipe::publish(&args)),
        Command::Subscribe(args) => pipe(millrace::pipe::subscribe(&args)),
        Command::CheckConfig { file } => {
            let verdict = check_config(&file, environment());
            if verdict.code == 0 {
                println!("{}", verdict.text);
            } else {
                eprintln!("{}", verdict.text);
            }
            ExitCode::from(verdict.code)
        }
        Command::CompilePlugin { job } => job.run(),
    }
}

fn serve(args: &ServeArgs, mode: Mode) -> ExitCode {
    let config = match args.load(environment()) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    let (overlay, notes) = match Overlay::of(&config) {
        Ok(overlay) => overlay,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(2);
        }
    };
    log_to_stderr(&config.log);
    notes.iter().for_each(|note| tracing::warn!("{note}: passed over"));
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(millrace::run(config, overlay, mode)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what stands in a pipe: the standard output is its own, and warnings are told on the standard error.
fn pipe(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(LogFilter::of_commands().to_filter()).with_writer(std::io::stderr);
    subscriber.with_ansi(std::io::stderr().is_terminal()).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(work);
        // A read of the standard input cannot be called off.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr(log: &Log) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(log.level.to_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
