//! The results page.

use std::fmt::Write as _;

use measure::contest::Spread;

/// The goal for a figure.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// At least this value.
    AtLeast(f64),
    /// At most this value.
    AtMost(f64),
    /// No goal.
    None,
}

/// A results page under construction.
#[derive(Default)]
pub struct Report {
    goals: Vec<(String, String, Goal, Spread)>,
    sections: String,
}

impl Report {
    /// Adds a figure to the table of goals.
    pub fn goal(
        &mut self,
        work: impl Into<String>,
        what: impl Into<String>,
        goal: Goal,
        got: Spread,
    ) {
        let (work, what) = (work.into(), what.into());
        eprintln!("{work} | {what} | {goal:?} | {:.3} {:.3} {:.3}", got.min, got.median, got.max);
        self.goals.push((work, what, goal, got));
    }

    /// Adds a heading and a table of figures without goals.
    pub fn table(&mut self, heading: &str, columns: &[&str], rows: &[Vec<String>]) {
        let page = &mut self.sections;
        let _ = writeln!(page, "\n## {heading}\n\n| {} |", columns.join(" | "));
        let _ = writeln!(page, "|{}", "---|".repeat(columns.len()));
        for row in rows {
            let _ = writeln!(page, "| {} |", row.join(" | "));
        }
        eprintln!("{heading}: {rows:?}");
    }

    /// Returns the number of goals missed and the whole page.
    #[must_use]
    pub fn finish(self, head: &str) -> (usize, String) {
        let mut page = format!(
            "{head}\n## Goals\n\n| work | figure | goal | min | median | max | |\n\
             |---|---|---|---|---|---|---|\n"
        );
        let mut missed = 0;
        for (work, what, goal, got) in self.goals {
            let (goal, met) = match goal {
                Goal::AtLeast(least) => (format!(">= {least}"), got.median >= least),
                Goal::AtMost(most) => (format!("<= {most}"), got.median <= most),
                Goal::None => (String::new(), true),
            };
            missed += usize::from(!met);
            let [min, median, max] = [got.min, got.median, got.max].map(figure);
            let verdict = if met { "" } else { "**missed**" };
            let _ = writeln!(
                page,
                "| {work} | {what} | {goal} | {min} | {median} | {max} | {verdict} |"
            );
        }
        page.push_str(&self.sections);
        (missed, page)
    }
}

/// Formats a figure to about three significant digits.
#[must_use]
pub fn figure(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
