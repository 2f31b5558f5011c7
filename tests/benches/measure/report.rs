//! The table of what was measured.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

/// A figure with its unit.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) const fn new(value: f64, unit: &'static str) -> Self {
        Self { value, unit }
    }

    fn text(&self) -> String {
        let decimals = match self.value.abs() {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            _ => 2,
        };
        format!("{:.decimals$} {}", self.value, self.unit)
    }
}

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Of the figure, in its unit.
    AtMost(f64),
    /// Of the figure divided by the one beside it.
    RatioAtMost(f64),
    /// Of the figure divided by the one beside it.
    RatioAtLeast(f64),
    /// Of the figure divided by the one beside it, or of what it is more, in its unit: whichever allows more.
    RatioOrMore(f64, f64),
}

/// One thing that was measured, and what it was measured beside.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    measured: Figure,
    beside: Option<(String, Figure)>,
    goal: Option<Goal>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, measured: Figure) -> Self {
        Self { what: what.into(), measured, beside: None, goal: None }
    }

    /// Sets it beside another figure of this run, in the same unit.
    pub(crate) fn beside(mut self, what: impl Into<String>, figure: Figure) -> Self {
        self.beside = Some((what.into(), figure));
        self
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.beside.as_ref().map(|(_, beside)| self.measured.value / beside.value)
    }

    /// Whether the goal is met, where there is one.
    fn met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::AtMost(bound) => self.measured.value <= bound,
            Goal::RatioAtMost(bound) => self.ratio()? <= bound,
            Goal::RatioAtLeast(bound) => self.ratio()? >= bound,
            Goal::RatioOrMore(ratio, more) => {
                let beside = self.beside.as_ref()?.1.value;
                self.measured.value <= (beside * ratio).max(beside + more)
            }
        })
    }

    /// The cells of the table.
    fn cells(&self) -> [String; 6] {
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtMost(bound)) => format!("≤ {bound} {}", self.measured.unit),
            Some(Goal::RatioAtMost(bound)) => format!("ratio ≤ {bound}"),
            Some(Goal::RatioAtLeast(bound)) => format!("ratio ≥ {bound}"),
            Some(Goal::RatioOrMore(ratio, more)) => format!("ratio ≤ {ratio}, or {more} {} more", self.measured.unit),
        };
        let verdict = match self.met() {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        [
            self.what.clone(),
            self.measured.text(),
            self.beside.as_ref().map_or(String::new(), |(what, figure)| format!("{} ({what})", figure.text())),
            self.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}")),
            goal,
            verdict.to_owned(),
        ]
    }

    /// All of it in one line.
    pub(crate) fn line(&self) -> String {
        let [what, measured, beside, ratio, goal, verdict] = self.cells();
        let mut line = format!("{what}: {measured}");
        for (before, cell) in [(" beside ", beside), (", ratio ", ratio), (", goal ", goal), (": ", verdict)] {
            if !cell.is_empty() {
                line.push_str(before);
                line.push_str(&cell);
            }
        }
        line
    }

    fn json(&self) -> Value {
        let [what, .., goal, verdict] = self.cells();
        let beside = self.beside.as_ref();
        json!({
            "what": what,
            "value": self.measured.value,
            "unit": self.measured.unit,
            "beside": beside.map(|(what, figure)| json!({ "what": what, "value": figure.value, "unit": figure.unit })),
            "ratio": self.ratio(),
            "goal": self.goal.map(|_| goal),
            "met": self.goal.map(|_| verdict == "met"),
        })
    }
}

/// All that was measured in a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    sections: Vec<(&'static str, Vec<Row>)>,
}

const HEADINGS: [&str; 6] = ["what", "measured", "beside", "ratio", "goal", "verdict"];

impl Report {
    pub(crate) fn add(&mut self, about: &'static str, rows: Vec<Row>) {
        self.sections.push((about, rows));
    }

    /// A table that people read as it is, and Markdown too.
    pub(crate) fn text(&self) -> String {
        let headings = HEADINGS.map(str::to_owned);
        let table: Vec<_> = self.sections.iter().map(|(about, rows)| (about, rows.iter().map(Row::cells))).collect();
        let mut widths = headings.clone().map(|heading| heading.chars().count());
        for cells in table.iter().flat_map(|(_, rows)| rows.clone()) {
            widths.iter_mut().zip(&cells).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
        }
        let mut text = String::from("# Measured\n");
        for (about, rows) in table {
            let rules = widths.map(|width| "-".repeat(width));
            let _ = writeln!(text, "\n## {about}\n");
            for cells in [headings.clone(), rules].into_iter().chain(rows) {
                let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
                let _ = writeln!(text, "| {} |", padded.collect::<Vec<_>>().join(" | "));
            }
        }
        text
    }

    /// Writes it to `target/bench/`, and gives the folder.
    pub(crate) fn save(&self) -> anyhow::Result<PathBuf> {
        let folder = millrace_tests::root().canonicalize()?.join("target/bench");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let sections = self.sections.iter();
        let json: Vec<_> = sections
            .map(|(about, rows)| json!({ "about": about, "rows": rows.iter().map(Row::json).collect::<Vec<_>>() }))
            .collect();
        std::fs::write(folder.join("report.md"), self.text())?;
        std::fs::write(folder.join("report.json"), serde_json::to_string_pretty(&json)? + "\n")?;
        Ok(folder)
    }
}
