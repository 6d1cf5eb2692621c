//! The progress bar on a terminal, and the last line.

use std::io::{IsTerminal, Stderr, Write, stderr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::pages::Page;
use crate::cli::text::count;
use crate::telemetry::print_error;

const REDRAW_INTERVAL: Duration = Duration::from_millis(200);
const BAR_CHARS: usize = 20;
/// To the beginning of the line, and erase it.
const ERASE: &str = "\r\x1b[K";

/// Counts ids: how many records a filter wants is not known before.
pub(super) struct Progress {
    /// None if standard error is no terminal.
    terminal: Option<Stderr>,
    begun: Instant,
    drawn: Option<Instant>,
    begin: i64,
    ids: f64,
    records: u64,
    last: i64,
}

impl Progress {
    pub fn new(after: i64, ids: RangeInclusive<i64>) -> Self {
        let begin = after.max(ids.start().saturating_sub(1));
        Self {
            terminal: Some(stderr()).filter(IsTerminal::is_terminal),
            begun: Instant::now(),
            drawn: None,
            begin,
            ids: ids.end().saturating_sub(begin).max(1) as f64,
            records: 0,
            last: after,
        }
    }

    pub fn add(&mut self, page: &Page) {
        self.records += page.records.len() as u64;
        if let Some(record) = page.records.last() {
            self.last = record.id;
        }
        let is_due = (self.drawn).is_none_or(|drawn| drawn.elapsed() >= REDRAW_INTERVAL);
        if self.terminal.is_some() && is_due {
            self.drawn = Some(Instant::now());
            let line = self.line(page.reached, self.begun.elapsed());
            self.draw(&line);
        }
    }

    /// Such as `[#####               ]  25 %  2,500 records  1,000/s  8s left`.
    fn line(&self, reached: i64, elapsed: Duration) -> String {
        let done = reached.saturating_sub(self.begin) as f64;
        let share = (done / self.ids).clamp(0.0, 1.0);
        let bar = "#".repeat((share * BAR_CHARS as f64) as usize);
        let seconds = elapsed.as_secs_f64();
        let left = Duration::from_secs((seconds * (self.ids - done) / done.max(1.0)) as u64);
        format!(
            "[{bar:<BAR_CHARS$}] {:>3.0} %  {} records  {}/s  {} left",
            share * 100.0,
            count(self.records),
            count((self.records as f64 / seconds) as u64),
            humantime::format_duration(left),
        )
    }

    /// A terminal that cannot be written to costs no export.
    fn draw(&mut self, line: &str) {
        if let Some(terminal) = &mut self.terminal {
            let _ = write!(terminal, "{ERASE}{line}");
        }
    }

    pub fn finish(mut self) {
        self.draw("");
        print_error(&match self.records {
            0 => "0 records".to_owned(),
            records => format!("{} records; the last id is {}", count(records), self.last),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_rate_and_time_left() {
        let mut progress = Progress::new(0, 1001..=11_000);
        progress.records = 2500;
        assert_eq!(
            progress.line(3500, Duration::from_millis(2500)),
            "[#####               ]  25 %  2,500 records  1,000/s  7s left"
        );
        assert_eq!(
            progress.line(11_000, Duration::from_secs(10)),
            "[####################] 100 %  2,500 records  250/s  0s left"
        );
    }
}
