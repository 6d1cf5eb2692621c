//! The progress bar on a terminal, and the last line.

use std::ops::RangeInclusive;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use super::pages::Page;
use crate::telemetry::print_error;

const TEMPLATE: &str = "{bar:30} {percent:>3} %  {msg} records  {per_sec} looked at  {eta} left";

/// Counts ids: how many records a filter wants is not known before.
pub(super) struct Progress {
    bar: ProgressBar,
    begin: i64,
    records: u64,
    last: i64,
}

impl Progress {
    /// indicatif shows nothing if standard error is no terminal.
    pub fn new(after: i64, ids: RangeInclusive<i64>) -> Self {
        let begin = after.max(ids.start().saturating_sub(1));
        let bar = ProgressBar::new(u64::try_from(ids.end() - begin).unwrap_or(0));
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
        bar.set_style(style);
        Self {
            bar,
            begin,
            records: 0,
            last: after,
        }
    }

    pub fn add(&mut self, page: &Page) {
        self.records += page.records.len() as u64;
        if let Some(record) = page.records.last() {
            self.last = record.id;
        }
        self.bar.set_message(HumanCount(self.records).to_string());
        let looked_at = page.reached.saturating_sub(self.begin);
        self.bar.set_position(u64::try_from(looked_at).unwrap_or(0));
    }

    pub fn finish(self) {
        self.bar.finish_and_clear();
        let Self { records, last, .. } = self;
        print_error(&match records {
            0 => "0 records".to_owned(),
            _ => format!("{} records; the last id is {last}", HumanCount(records)),
        });
    }
}
