//! Fan-out: one publisher, many subscribers, beside the relays of others. Publisher and subscribers are the same for all, of draft 18, and
//! each server has the machine to itself while it is measured.

mod audience;
mod publisher;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use millrace_tests::moq::Relay;
use millrace_tests::resident;
use tokio::runtime::Runtime;

use self::audience::Audience;
use self::publisher::Publisher;
use crate::cpu;
use crate::film::{Film, Track};
use crate::program::Program;
use crate::report::{Figure, Goal, Row};
use crate::spread::{median, percentile};

/// What everybody subscribes to.
const BROADCAST: &str = "bench/fanout";
const TRACK: &str = "video";
/// Subscribers at first, and those who come then.
const FIRST: usize = 10;
const MORE: usize = 40;
/// How long nobody comes before that, which shows what the server grows by on its own account.
const ALONE: Duration = Duration::from_secs(6);
/// How long is measured, with all of them there.
const WINDOW: Duration = Duration::from_secs(8);
const ROUNDS: usize = 3;
/// Threads of the server's own, as many as on a small machine.
const THREADS: usize = 2;
const CONFIG: &str =
    "ladder = []\n[log]\nlevel = \"error\"\n[ingest]\nidle_timeout = \"10m\"\n[plugin_host]\nbundled = false\n";

/// A server under measurement.
enum Contender {
    Millrace(Program),
    Other(Relay),
}

impl Contender {
    fn url(&self) -> String {
        match self {
            Self::Millrace(program) => url(program.address()),
            Self::Other(relay) => relay.url(),
        }
    }

    fn process(&self) -> u32 {
        match self {
            Self::Millrace(program) => program.id(),
            Self::Other(relay) => relay.id(),
        }
    }
}

fn url(address: SocketAddr) -> String {
    format!("https://{address}")
}

/// What a server did in a round.
struct Round {
    /// Megabits that reached subscribers, for each second of the server's CPU time.
    megabits_per_core: f64,
    /// From the publisher's handing an object over to a subscriber's having all of it, in milliseconds.
    delays: Vec<f64>,
    /// What a subscriber adds to its memory, in kilobytes.
    memory: f64,
}

pub(crate) fn measure() -> anyhow::Result<Vec<Row>> {
    let film = Film::immediate()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let millrace = || Program::millrace(THREADS, CONFIG).map(Contender::Millrace);
    let contenders: [(&str, &dyn Fn() -> anyhow::Result<Contender>); 3] = [
        ("millrace", &millrace),
        ("moq-relay", &|| Ok(Contender::Other(Relay::moq_relay_released()))),
        ("moq-relay-ietf", &|| Ok(Contender::Other(Relay::moq_relay_ietf_released()))),
    ];
    let mut rounds: [Vec<Round>; 3] = Default::default();
    for number in 1..=ROUNDS {
        for ((name, start), of_it) in contenders.iter().zip(&mut rounds) {
            eprintln!("  {name}, round {number} of {ROUNDS}");
            of_it.push(hold(&start()?, &film, &runtime).with_context(|| (*name).to_owned())?);
        }
    }
    let [ours, dev, ietf] = &rounds;
    let subscribers = FIRST + MORE;
    let compared = [
        Compared {
            what: format!("{subscribers} subscribers: Mb/s for a core of the server's"),
            of: |round| round.megabits_per_core,
            unit: "Mb/s",
            goal: Goal::RatioAtLeast(1.0),
        },
        Compared {
            what: format!("{subscribers} subscribers: delivery of an object, median"),
            of: |round| median(&round.delays),
            unit: "ms",
            goal: Goal::RatioAtMost(1.0),
        },
        Compared {
            what: format!("{subscribers} subscribers: delivery of an object, p99"),
            of: |round| percentile(&round.delays, 0.99),
            unit: "ms",
            goal: Goal::RatioAtMost(1.0),
        },
        Compared {
            what: "memory for each added subscriber".to_owned(),
            of: |round| round.memory,
            unit: "kB",
            goal: Goal::RatioAtMost(1.0),
        },
    ];
    let mut rows = Vec::new();
    for compared in compared {
        for (name, theirs) in [("moq-relay", dev), ("moq-relay-ietf", ietf)] {
            let row = Row::new(compared.what.as_str(), compared.middle(ours));
            rows.push(row.beside(name, compared.middle(theirs)).goal(compared.goal));
        }
    }
    Ok(rows)
}

/// One figure of a round, beside those of others.
struct Compared {
    what: String,
    of: fn(&Round) -> f64,
    unit: &'static str,
    goal: Goal,
}

impl Compared {
    /// The middle one of all rounds.
    fn middle(&self, rounds: &[Round]) -> Figure {
        Figure::new(median(&rounds.iter().map(self.of).collect::<Vec<_>>()), self.unit)
    }
}

/// Publishes through a server to some subscribers, and to more, and measures while all are there.
///
/// Servers keep media, and have not filled what they keep it in when the film is over. So what one grows by without joins, for as long
/// as the rest takes, is taken from what it grows by with them: subscribers are charged with what is theirs.
fn hold(server: &Contender, film: &Track, runtime: &Runtime) -> anyhow::Result<Round> {
    let url = server.url();
    let publisher = Publisher::start(runtime, &url, film)?;
    let mut audience = Audience::new(runtime, publisher.sent());
    audience.join(&url, FIRST)?;
    let alone = Growth::begin(server.process())?;
    std::thread::sleep(ALONE);
    let media = alone.bytes()? / alone.seconds();
    let together = Growth::begin(server.process())?;
    audience.join(&url, MORE)?;
    let (cpu, begun) = (cpu::of_process(server.process())?, Instant::now());
    let heard = audience.listen(WINDOW);
    let cpu = (cpu::of_process(server.process())? - cpu).as_secs_f64();
    let added = together.bytes()? - media * together.seconds();
    eprintln!(
        "    {:.0} Mb/s in {:.1} s, with {cpu:.2} s of CPU time",
        heard.bytes as f64 * 8e-6 / begun.elapsed().as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    audience.expect_well()?;
    publisher.expect_well()?;
    anyhow::ensure!(!heard.delays.is_empty(), "no object came");
    Ok(Round {
        megabits_per_core: heard.bytes as f64 * 8e-6 / cpu,
        delays: heard.delays,
        memory: added / 1e3 / MORE as f64,
    })
}

/// How the memory of a process grows.
struct Growth {
    process: u32,
    from: f64,
    since: Instant,
}

impl Growth {
    fn begin(process: u32) -> anyhow::Result<Self> {
        Ok(Self { process, from: resident(process)? as f64, since: Instant::now() })
    }

    fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64()
    }

    /// By how many bytes so far; below zero where it has shrunk.
    fn bytes(&self) -> anyhow::Result<f64> {
        Ok(resident(self.process)? as f64 - self.from)
    }
}
