//! Measures what the design sets goals for, always beside something else in the same run, so that the machine's speed cancels out.
//!
//! `cargo bench -p millrace-tests --bench measure -- parts ladder` measures these two only. The table is printed, and written with the
//! same figures as JSON to `target/bench/`.

mod access;
mod arrival;
mod beside;
mod capture;
mod cpu;
mod curl;
mod fanout;
mod film;
mod filters;
mod glass;
mod hostile;
mod ladder;
mod languages;
mod load;
mod memory;
mod parts;
mod plugin;
mod program;
mod push;
mod report;
mod rungs;
mod spread;
mod wire;

use std::time::Instant;

use film::Film;
use report::{Report, Row};

/// Something that is measured.
struct Measurement {
    name: &'static str,
    about: &'static str,
    run: fn(&mut Setting) -> anyhow::Result<Vec<Row>>,
}

const MEASUREMENTS: [Measurement; 13] = [
    Measurement { name: "plugin", about: "a plugin's pass on a fragment", run: |_| plugin::measure() },
    Measurement { name: "filters", about: "filters in the path of a fragment", run: |_| filters::measure() },
    Measurement {
        name: "languages",
        about: "plugins by the language they are written in",
        run: |_| languages::measure(),
    },
    Measurement { name: "access", about: "decisions about who may publish and play", run: |_| access::measure() },
    Measurement { name: "hostile", about: "streams beside plugins that misbehave", run: |_| hostile::measure() },
    Measurement { name: "parts", about: "HLS parts from memory, beside nginx", run: |all| parts::measure(all.film()?) },
    Measurement {
        name: "arrival",
        about: "from a fragment's last byte to its part",
        run: |all| arrival::measure(all.film()?),
    },
    Measurement {
        name: "capture",
        about: "from a picture's capture to its part, of the source and of rungs",
        run: |_| capture::measure(),
    },
    Measurement { name: "ladder", about: "the ladder's CPU time", run: |all| ladder::measure(all.film()?) },
    Measurement { name: "fanout", about: "Media over QUIC to many, beside relays", run: |_| fanout::measure() },
    Measurement { name: "memory", about: "the memory of live broadcasts", run: |_| memory::measure() },
    Measurement { name: "glass", about: "from paint to screen, over QUIC and over HLS", run: |_| glass::measure() },
    Measurement { name: "beside", about: "the ladder beside ffmpeg", run: |all| beside::measure(all.film()?) },
];

/// What measurements share.
#[derive(Default)]
struct Setting {
    film: Option<Film>,
}

impl Setting {
    /// The film, made when it is first asked for.
    fn film(&mut self) -> anyhow::Result<&Film> {
        if self.film.is_none() {
            eprintln!("  making a film");
            self.film = Some(Film::make()?);
        }
        Ok(self.film.as_ref().expect("it was just made"))
    }
}

fn main() -> anyhow::Result<()> {
    // Cargo adds flags of its own.
    let asked: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let known = |name: &String| MEASUREMENTS.iter().any(|measurement| measurement.name == name);
    if let Some(unknown) = asked.iter().find(|name| !known(name)) {
        let names: Vec<_> = MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
        anyhow::bail!("there is no measurement {unknown:?}: there are {}", names.join(", "));
    }
    let (begun, mut setting, mut report) = (Instant::now(), Setting::default(), Report::default());
    let mut failed = Vec::new();
    for measurement in MEASUREMENTS.iter().filter(|m| asked.is_empty() || asked.iter().any(|name| name == m.name)) {
        eprintln!("{} ({})", measurement.about, measurement.name);
        match (measurement.run)(&mut setting) {
            Ok(rows) => {
                rows.iter().for_each(|row| eprintln!("  {}", row.line()));
                report.add(measurement.about, rows);
            }
            // The others are worth having without it.
            Err(error) => {
                eprintln!("  failed: {error:#}");
                failed.push(measurement.name);
            }
        }
    }
    let folder = report.save()?;
    println!("\n{}", report.text());
    eprintln!("{:.0} s; written to {}", begun.elapsed().as_secs_f64(), folder.display());
    anyhow::ensure!(failed.is_empty(), "could not be measured: {}", failed.join(", "));
    Ok(())
}
