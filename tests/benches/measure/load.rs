//! What a server does under load: wrk for HTTP/1.1, h2load for HTTP/2. One thread, 32 connections, a request at a time on each.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::program::{Program, find};

/// How long the load lasts each time, in seconds.
const LENGTH: u32 = 5;

/// How a load asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Plain,
    Tls,
    Http2,
}

impl Protocol {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Http2];

    /// As it stands in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "HTTP/1.1",
            Self::Tls => "HTTP/1.1 over TLS",
            Self::Http2 => "HTTP/2 over TLS",
        }
    }

    pub(crate) const fn is_secure(self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// The address of a path.
    pub(crate) fn url(self, server: &Program, path: &str) -> String {
        format!("{}://{}{path}", if self.is_secure() { "https" } else { "http" }, server.address())
    }
}

/// What a server did under load.
pub(crate) struct Load {
    /// Requests.
    pub(crate) per_second: f64,
    /// Of the server, for a request.
    pub(crate) cpu_micros: f64,
}

impl Load {
    /// Asks for a path, over and over.
    pub(crate) fn put(server: &Program, protocol: Protocol, path: &str) -> anyhow::Result<Self> {
        let url = protocol.url(server, path);
        let length = LENGTH.to_string();
        let mut command = match protocol {
            Protocol::Plain | Protocol::Tls => {
                let mut wrk = Command::new(find("wrk", "wrk")?);
                wrk.args(["-t1", "-c32", &format!("-d{length}s"), &url]);
                wrk
            }
            Protocol::Http2 => {
                let mut h2load = Command::new(find("h2load", "nghttp2-client")?);
                h2load.args(["-t1", "-c32", "-m1", "-D", &length, &url]);
                h2load
            }
        };
        let before = server.cpu_time()?;
        let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
        let cpu = server.cpu_time()? - before;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let (per_second, total) = match protocol {
            Protocol::Plain | Protocol::Tls => wrk(&said),
            Protocol::Http2 => h2load(&said),
        }
        .with_context(|| format!("not every request went well, or nothing was said:\n{said}"))?;
        Ok(Self { per_second, cpu_micros: cpu.as_secs_f64() * 1e6 / total })
    }
}

/// Requests a second, and all of them.
fn wrk(said: &str) -> Option<(f64, f64)> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    let per_second = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"))?;
    let (total, _) = said.lines().find_map(|line| line.trim().split_once(" requests in "))?;
    Some((per_second.trim().parse().ok()?, total.parse().ok()?))
}

/// The same.
fn h2load(said: &str) -> Option<(f64, f64)> {
    let count = |line: &str, what: &str| -> Option<f64> {
        let words: Vec<_> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        words.windows(2).find(|pair| pair[1] == what)?[0].parse().ok()
    };
    let requests = said.lines().find(|line| line.starts_with("requests:"))?;
    let statuses = said.lines().find(|line| line.starts_with("status codes:"))?;
    let (done, bad) = (count(requests, "done")?, count(requests, "failed")? + count(requests, "errored")?);
    let per_second = said.lines().find_map(|line| line.strip_prefix("finished in "))?;
    let per_second = per_second.split(", ").find_map(|word| word.strip_suffix(" req/s"))?.parse().ok()?;
    (bad == 0.0 && count(statuses, "2xx")? >= done).then_some((per_second, done))
}
