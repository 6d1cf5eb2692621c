//! An event as a line of text, with colours.

use anstyle::{AnsiColor, Style};

use crate::admin::stream::{Event, Gap};
use crate::cli::text::{count, duration, printable};
use crate::query::Time;
use crate::store::StoredRecord;

const DIM: Style = Style::new().dimmed();
/// As long as a time.
const NO_TIME: &str = "                       ";

/// The line without its end.
pub(super) fn text(event: &Event) -> String {
    match event {
        Event::Request(record) => request(record),
        Event::Outcome {
            id,
            status,
            duration_us,
        } => format!(
            "{NO_TIME}  {}  {DIM}the outcome of #{id}{DIM:#}",
            outcome(*status, *duration_us)
        ),
        Event::Gap(Gap {
            from_id,
            to_id,
            count: left_out,
        }) => {
            format!(
                "{DIM}{} requests are not shown: #{from_id} to #{to_id}{DIM:#}",
                count(*left_out)
            )
        }
    }
}

fn request(record: &StoredRecord) -> String {
    let time = match record.timestamp.and_then(Time::from_seconds) {
        Some(time) => time.to_string()[..NO_TIME.len()].replace('T', " "),
        None => NO_TIME.to_owned(),
    };
    let address = record.remote_addr.as_deref().unwrap_or("-");
    format!(
        "{DIM}{time}{DIM:#}  {}  {:<6} {}  {DIM}{} #{}{DIM:#}",
        outcome(record.status, record.duration_us),
        printable(&record.method),
        printable(&record.path),
        printable(address),
        record.id
    )
}

/// Status and duration; dots where they are not known.
fn outcome(status: Option<i64>, duration_us: Option<i64>) -> String {
    let colour = match status {
        Some(200..300) => AnsiColor::Green,
        Some(300..400) => AnsiColor::Cyan,
        Some(400..500) => AnsiColor::Yellow,
        Some(500..) => AnsiColor::Red,
        _ => AnsiColor::White,
    };
    let colour = colour.on_default();
    let status = status.map_or_else(|| "...".to_owned(), |status| status.to_string());
    let duration = duration_us.map_or_else(|| "...".to_owned(), duration);
    format!("{colour}{status:>3}{colour:#} {duration:>8}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_an_operator_looks_for_and_nothing_that_a_terminal_obeys() {
        let record = StoredRecord {
            id: 7,
            timestamp: Some(1_700_000_000.25),
            method: "GET".to_owned(),
            path: "/a\u{1b}[31m".to_owned(),
            content_length: 0,
            remote_addr: None,
            status: Some(404),
            duration_us: Some(1_500),
        };
        let line = text(&Event::Request(record));
        assert_eq!(
            anstream::adapter::strip_str(&line).to_string(),
            "2023-11-14 22:13:20.250  404   1.5 ms  GET    /a\u{fffd}[31m  - #7"
        );
    }

    #[test]
    fn the_class_of_a_status_has_a_colour() {
        for (status, colour) in [
            (101, AnsiColor::White),
            (204, AnsiColor::Green),
            (304, AnsiColor::Cyan),
            (404, AnsiColor::Yellow),
            (500, AnsiColor::Red),
        ] {
            let colour = colour.on_default();
            let line = outcome(Some(status), None);
            assert_eq!(line, format!("{colour}{status}{colour:#}      ..."));
        }
    }
}
