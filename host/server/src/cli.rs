//! The command line.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use millrace_plugin::CompileJob;

use crate::config::{self, Config, ConfigErrors, Flag, Overlay};
use crate::pipe::{PublishArgs, SubscribeArgs};

/// A live media server: HTTP and Media over QUIC in, Low-Latency HLS and Media over QUIC out, and WebAssembly plugins in between.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  millrace demo
      Serves a live test stream. Open http://127.0.0.1:8080/ and watch it.

  millrace serve --config millrace.toml
      Serves what publishers push, as the file says.

  ffmpeg -re -i film.mp4 -c:v libx264 -tune zerolatency -g 60 -c:a aac \\
      -movflags cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe -frag_duration 33000 \\
      -f mp4 -method POST http://127.0.0.1:8080/ingest/live/me/stream.mp4
      Pushes a film as a live stream: http://127.0.0.1:8080/hls/live/me/master.m3u8

  MILLRACE_LOG_LEVEL=debug MILLRACE_HLS_PART_TARGET=500ms millrace serve
      Keys of the file have variables, but those of its lists ([[ladder]], [[plugin]], [[moq.relay]]): MILLRACE_, the table and the name.

Every key is shown and explained in millrace.example.toml.";

const PUBLISH: &str = "\
Examples:
  millrace publish film.mp4 http://127.0.0.1:8080/live/me
      Publishes a film, as fast as it plays, to the server on this machine. It has to be fragmented MP4; ffmpeg makes it of any:
      ffmpeg -i any.mkv -c copy -f mp4 \\
          -movflags cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe film.mp4

  ffmpeg -re -i film.mkv -c:v libx264 -tune zerolatency -g 60 -c:a aac \\
      -movflags cmaf+delay_moov+separate_moof+default_base_moof+frag_keyframe -frag_duration 33000 -f mp4 - \\
      | millrace publish - 'https://media.example/live/me?token=TOKEN'
      Publishes what ffmpeg encodes, a picture at a time.

  millrace publish film.mp4 'https://relay.example/anon?jwt=JWT' --name me
      Publishes to a relay, below the root that its path names.

Without --retry it ends with an error as soon as the session is lost: a server that answers nothing for 10 s is gone. With --retry the input
is read on meanwhile, so that a pipe is not held up and a file plays on: what is read while there is no session is lost, and the server gets
the broadcast again from its newest keyframe. Where the input ends meanwhile, that is an error. A wrong token is never tried again.";

const SUBSCRIBE: &str = "\
The largest picture and the first sound are written, as one fragmented MP4 with a track of each; --track writes one alone. It begins with
the newest keyframe, and ends with the broadcast. What is written has the broadcast's times, which do not begin at zero.

Examples:
  millrace subscribe http://127.0.0.1:8080/live/demo | ffplay -
      Plays it.

  millrace subscribe https://media.example/live/me | ffmpeg -i - -c copy -t 60 minute.mp4
      Records a minute.

  millrace subscribe http://127.0.0.1:8080/live/demo --video 480p > 480p.mp4
      Writes one rung, with the sound.

Without --retry it ends with an error as soon as the session is lost: a server that answers nothing for 10 s is gone. With --retry the same
MP4 goes on from the newest keyframe, with a gap in its times; where times have begun anew, they are moved on by whole seconds. It ends with
an error where the broadcast comes back with other tracks, codecs or sizes, which cannot follow in the same file. A broadcast that has ended
is not waited for.";

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve what publishers push
    #[command(
        after_help = "Without --config: the defaults, on http://127.0.0.1:8080. SIGTERM ends playlists and stops. SIGHUP reads certificates and \
                      `jwt_key` again; what cannot be read stays as it was."
    )]
    Serve(ServeArgs),
    /// Serve, with a live test stream: a moving picture with a clock, and a tone
    #[command(after_help = "The stream is the broadcast `live/demo`. Publishers can push theirs beside it.")]
    Demo(ServeArgs),
    /// Publish a file or a pipe to a server, over Media over QUIC
    #[command(after_help = PUBLISH)]
    Publish(PublishArgs),
    /// Write a broadcast of a server to the standard output, over Media over QUIC
    #[command(after_help = SUBSCRIBE)]
    Subscribe(SubscribeArgs),
    /// Check a configuration file, without starting anything
    #[command(
        after_help = "Exits with 0 if the file will do, 1 if a file that it names cannot be read, 2 if it is wrong."
    )]
    CheckConfig {
        /// The TOML file
        file: PathBuf,
    },
    /// Compile one plugin within limits: what the server starts itself for
    #[command(hide = true)]
    CompilePlugin {
        /// What it says to itself
        job: CompileJob,
    },
}

/// Where a server's configuration comes from.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The TOML file; without it, every key has its default
    #[arg(long, value_name = "FILE", env = "MILLRACE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Listen here instead of where the configuration says; may be given more than once
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<SocketAddr>,
}

/// What the server does besides serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Serve,
    /// It publishes a live test stream.
    Demo,
}

impl ServeArgs {
    /// Reads the configuration: the defaults, under the file, under these variables, under the flags.
    ///
    /// # Errors
    /// As [`config::load`].
    pub fn load(&self, env: impl Iterator<Item = (String, String)>) -> Result<Config, ConfigErrors> {
        let listen: Vec<String> = self.listen.iter().map(ToString::to_string).collect();
        let flag = Flag { name: "--listen", key: "http.listen", value: listen.join(",") };
        let flags = if listen.is_empty() { Vec::new() } else { vec![flag] };
        config::load_with_flags(self.config.as_deref(), env, &flags)
    }
}

/// What `check-config` says, and the exit code it says it with.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// 0: it will do. 1: a file that it names cannot be read. 2: it is wrong.
    pub code: u8,
    /// For people.
    pub text: String,
}

/// Checks a configuration file under these variables, and that the files it names can be read.
pub fn check_config(file: &Path, env: impl Iterator<Item = (String, String)>) -> Verdict {
    let read = config::load(Some(file), env).and_then(|config| Ok((Overlay::of(&config)?, config)));
    let ((overlay, notes), config) = match read {
        Ok(read) => read,
        Err(errors) => {
            let count = errors.problems().len();
            let found = if count == 1 { "1 problem".into() } else { format!("{count} problems") };
            return Verdict {
                code: 2,
                text: format!("{errors}\n\n{}: {found}", errors.file().unwrap_or(file).display()),
            };
        }
    };
    let unreadable: Vec<String> = config
        .files()
        .into_iter()
        .filter_map(|named| {
            // Opening a directory succeeds; reading it does not.
            let error =
                std::fs::File::open(named).and_then(|mut file| std::io::Read::read(&mut file, &mut [0])).err()?;
            Some(format!("error: {} names {}, which cannot be read: {error}", file.display(), named.display()))
        })
        .collect();
    if !unreadable.is_empty() {
        return Verdict { code: 1, text: unreadable.join("\n") };
    }
    Verdict { code: 0, text: format!("OK\n{}", summary(&config, &overlay, &notes)) }
}

/// A few lines that let an operator see whether the file says what was meant.
fn summary(config: &Config, overlay: &Overlay, notes: &[String]) -> String {
    let mut text = String::new();
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    let listen: Vec<String> = config.http.listen.iter().map(|address| format!("{scheme}://{address}")).collect();
    let token = |asks: bool| if asks { "with a token" } else { "without a token, from this machine" };
    // Writing to a string does not fail.
    let _ = writeln!(text, "  listens on  {}", listen.join(", "));
    let _ = writeln!(text, "  publishing  {}", publishing(config));
    let _ = writeln!(text, "  MoQ         {}", moq(config));
    for relay in config.moq.relays.iter().filter(|_| config.moq.enabled) {
        let _ = writeln!(text, "  relay       {}", relay.url);
    }
    let _ = writeln!(text, "  API         {}", token(config.api.token.is_some()));
    for ladder in &overlay.apply(&config.ladders) {
        let patterns: Vec<String> = ladder.broadcasts.iter().map(ToString::to_string).collect();
        let rungs: Vec<&str> = ladder.renditions.iter().map(|rendition| rendition.name.as_str()).collect();
        let _ = writeln!(text, "  ladder      {}: {} for {}", ladder.name, rungs.join(", "), patterns.join(", "));
    }
    if let Some(file) = config.api.overlay.as_ref().filter(|_| !overlay.is_empty()) {
        let _ = writeln!(text, "  overlay     {}: the ladders are as changed there", file.display());
    }
    for note in notes {
        let _ = writeln!(text, "  overlay     {note}: passed over");
    }
    for plugin in &config.plugins {
        let note = if plugin.enabled { "" } else { " (not enabled)" };
        let _ = writeln!(text, "  plugin      {} from {}{note}", plugin.name, plugin.component);
    }
    if config.plugin_host.bundled {
        let condition = if config.plugins.is_empty() { "" } else { ", unless another has the hook transcoder" };
        let _ = writeln!(text, "  plugin      ladder (comes with Millrace{condition})");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Where Media over QUIC is spoken, and with which certificate.
fn moq(config: &Config) -> String {
    let listen: Vec<String> = config.moq_listen().iter().map(|address| format!("udp://{address}")).collect();
    if listen.is_empty() {
        return "not spoken".into();
    }
    let tls = config.moq.tls.as_ref().or(config.http.tls.as_ref());
    let certificate = tls.map_or("made at the start".into(), |tls| format!("from {}", tls.cert.display()));
    format!("{}; certificate {certificate}", listen.join(", "))
}

/// Who may publish, over every protocol.
fn publishing(config: &Config) -> &'static str {
    match (&config.ingest.publish_token, &config.ingest.jwt_key) {
        (Some(_), Some(_)) => "with a token or a JWT",
        (Some(_), None) => "with a token",
        (None, Some(_)) => "with a JWT",
        (None, None) => "without a token, from this machine",
    }
}

/// The variables of this process that are text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn checked(content: &str) -> Verdict {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("millrace.toml");
        std::fs::write(&file, content).unwrap();
        check_config(&file, std::iter::empty())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_server_says_to_itself_is_not_in_the_help() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("check-config") && !help.contains("compile-plugin"), "{help}");
        let error = Cli::try_parse_from(["millrace", "compile-plugin", "film.wasm"]).unwrap_err().to_string();
        assert!(error.contains("this command is for the server to start"), "{error}");
    }

    #[test]
    fn a_right_file_is_summed_up() {
        let verdict = checked("[http]\nlisten = \"127.0.0.1:9000\"\n[[ladder]]\nrenditions = [\"240p\"]\n");
        assert_eq!(verdict.code, 0);
        assert_eq!(
            verdict.text,
            "OK\n  listens on  http://127.0.0.1:9000\n  publishing  without a token, from this machine\n  \
             MoQ         udp://127.0.0.1:9000; certificate made at the start\n  \
             API         without a token, from this machine\n  \
             ladder      ladder-1: 240p for **\n  plugin      ladder (comes with Millrace)"
        );
    }

    #[test]
    fn media_over_quic_is_summed_up() {
        let line = |content: &str| {
            let verdict = checked(content);
            assert_eq!(verdict.code, 0, "{}", verdict.text);
            let lines = verdict.text.lines().filter(|line| line.contains("MoQ") || line.contains("relay"));
            lines.map(|line| line.trim_start().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(line("[moq]\nenabled = false\n[[moq.relay]]\nurl = \"https://a/\"\n"), ["MoQ         not spoken"]);
        let content = "[moq]\nlisten = \"[::]:443\"\n[ingest]\npublish_token = \"correct-horse\"\n[[moq.relay]]\nurl = \"https://a/?jwt=x\"\n";
        let expected = "MoQ         udp://[::]:443; certificate made at the start";
        assert_eq!(line(content), [expected, "relay       https://a/"]);
    }

    #[test]
    fn a_wrong_file_is_answered_with_2_and_every_error() {
        let verdict = checked("[http]\nlisen = 1\n[window]\nbytes = true\n");
        assert_eq!(verdict.code, 2);
        assert!(verdict.text.contains("did you mean `listen`?"), "{}", verdict.text);
        assert!(verdict.text.ends_with("millrace.toml: 2 problems"), "{}", verdict.text);
    }

    #[test]
    fn a_file_that_is_named_and_not_there_is_answered_with_1() {
        let verdict = checked("[[plugin]]\nname = \"captions\"\npath = \"captions.wasm\"\n");
        assert_eq!(verdict.code, 1);
        assert!(verdict.text.contains("captions.wasm, which cannot be read"), "{}", verdict.text);
        let off = checked("[[plugin]]\nname = \"captions\"\npath = \"captions.wasm\"\nenabled = false\n");
        assert_eq!(off.code, 0, "a plugin that is off needs no file: {}", off.text);
    }

    #[test]
    fn the_overlay_is_checked_with_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("millrace.toml");
        std::fs::write(&file, "[[ladder]]\nrenditions = [\"240p\"]\n").unwrap();
        let checked = |overlay: &str| {
            std::fs::write(directory.path().join("millrace.overlay.toml"), overlay).unwrap();
            check_config(&file, std::iter::empty())
        };
        let right = checked("removed = [\"gone\"]\n[[change]]\nladder = \"ladder-1\"\nadded = [\"480p\"]\n");
        assert_eq!(right.code, 0, "{}", right.text);
        assert!(right.text.contains("ladder-1: 240p, 480p for **"), "{}", right.text);
        assert!(right.text.contains("millrace.overlay.toml: the ladders are as changed there"), "{}", right.text);
        assert!(right.text.contains("`gone` was removed through the API, and is no longer in"), "{}", right.text);
        let wrong = checked("[[change]]\nladder = \"ladder-1\"\nadded = [\"1080p\"]\n");
        assert_eq!(wrong.code, 2, "{}", wrong.text);
        assert!(wrong.text.contains("millrace.overlay.toml:3:10"), "{}", wrong.text);
        assert!(wrong.text.ends_with("millrace.overlay.toml: 1 problem"), "{}", wrong.text);
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let cli = Cli::try_parse_from(["millrace", "serve", "--listen", "127.0.0.1:1", "--listen", "[::1]:2"]).unwrap();
        let Command::Serve(args) = cli.command else { panic!("not serve") };
        let env = [("MILLRACE_HTTP_LISTEN".to_owned(), "127.0.0.1:3".to_owned())];
        let config = args.load(env.into_iter()).unwrap();
        assert_eq!(config.http.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    }

    #[test]
    fn a_flag_that_opens_the_server_is_named_in_the_error() {
        let cli = Cli::try_parse_from(["millrace", "demo", "--listen", "0.0.0.0:8080"]).unwrap();
        let Command::Demo(args) = cli.command else { panic!("not demo") };
        let errors = args.load(std::iter::empty()).unwrap_err();
        assert!(errors.to_string().contains("--> command line flag --listen"), "{errors}");
    }
}
