//! Figures as text.

use std::fmt::Write;

use anstyle::Style;
use serde_json::Value;

use crate::cli::text::{count, duration, printable};

const BOLD: Style = Style::new().bold();
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The figures of `/api/stats`, for a person.
pub(in crate::cli) fn text(stats: &Value) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let total = &stats["total"];
    let requests = number(&total["requests"]);
    line(format!(
        "{BOLD}{} requests{BOLD:#} from {} to {}",
        count(requests),
        time(&stats["since"]),
        time(&stats["until"])
    ));
    if stats["complete"] == false {
        line("Not all are counted: ask for less time, or for longer buckets.".into());
    }
    line(format!(
        "{} bytes of bodies",
        count(number(&total["bytes"]))
    ));
    let mut classes = String::new();
    for class in CLASSES {
        let found = number(&total["status"][class]);
        if found > 0 {
            let share = found as f64 * 100.0 / requests as f64;
            let _ = write!(classes, "{class} {} ({share:.2} %)  ", count(found));
        }
    }
    line(format!("status    {classes}"));
    if let Some(quantiles) = total["duration_us"].as_object() {
        let quantile = |name: &str| format!("{name} {}  ", duration(signed(&quantiles[name])));
        line(format!(
            "duration  {}",
            ["p50", "p90", "p99"].map(quantile).concat()
        ));
    }
    let buckets = stats["buckets"].as_array().into_iter().flatten();
    let mut buckets = buckets
        .filter(|bucket| number(&bucket["requests"]) > 0)
        .peekable();
    if buckets.peek().is_some() {
        line(String::new());
        let head = format!(
            "{:<19} {:>12} {:>10} {:>10} {:>10} {:>10}",
            "time", "requests", "4xx", "5xx", "p50", "p99"
        );
        line(format!("{BOLD}{head}{BOLD:#}"));
    }
    for bucket in buckets {
        let quantile = |name: &str| match bucket["duration_us"][name].as_i64() {
            Some(us) => duration(us),
            None => "-".to_owned(),
        };
        line(format!(
            "{:<19} {:>12} {:>10} {:>10} {:>10} {:>10}",
            time(&bucket["start"]),
            count(number(&bucket["requests"])),
            count(number(&bucket["status"]["4xx"])),
            count(number(&bucket["status"]["5xx"])),
            quantile("p50"),
            quantile("p99")
        ));
    }
    let top = &stats["top"];
    let sample = match top["sampled"] == true {
        true => format!(" (of {} requests)", count(number(&top["requests"]))),
        false => String::new(),
    };
    for (title, list) in [
        ("paths", &top["paths"]),
        ("methods", &top["methods"]),
        ("clients", &top["remote_addrs"]),
    ] {
        let Some(list) = list.as_array().filter(|list| !list.is_empty()) else {
            continue;
        };
        line(String::new());
        line(format!("{BOLD}{title}{BOLD:#}{sample}"));
        for value in list {
            let name = value["value"].as_str().map_or("-".into(), printable);
            line(format!("{:>12}  {name}", count(number(&value["requests"]))));
        }
    }
    text
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn signed(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// To the second.
fn time(value: &Value) -> String {
    let time = value.as_str().unwrap_or_default();
    time.get(..19).unwrap_or(time).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_a_summary_a_table_and_the_most_frequent_values() {
        let figures = |requests: u64, failed: u64| {
            serde_json::json!({
                "start": "2026-01-02T03:04:00.000000Z", "requests": requests, "bytes": 1_048_576,
                "status": {"1xx": 0, "2xx": requests - failed, "3xx": 0, "4xx": 0, "5xx": failed, "none": 0},
                "duration_us": {"p50": 900, "p90": 1_500, "p99": 2_000_000},
            })
        };
        let stats = serde_json::json!({
            "since": "2026-01-02T03:00:00.000000Z", "until": "2026-01-02T04:00:00.000000Z", "complete": false,
            "total": figures(4000, 1), "buckets": [figures(4000, 1), figures(0, 0)],
            "top": {"sampled": true, "requests": 2000, "paths": [{"value": "/a\u{1b}", "requests": 1999}],
                "methods": [], "remote_addrs": [{"value": null, "requests": 1}]},
        });
        let text = anstream::adapter::strip_str(&text(&stats)).to_string();
        let expected = "\
4,000 requests from 2026-01-02 03:00:00 to 2026-01-02 04:00:00
Not all are counted: ask for less time, or for longer buckets.
1,048,576 bytes of bodies
status    2xx 3,999 (99.97 %)  5xx 1 (0.03 %)
duration  p50 900 us  p90 1.5 ms  p99 2.00 s

time                    requests        4xx        5xx        p50        p99
2026-01-02 03:04:00        4,000          0          1     900 us     2.00 s

paths (of 2,000 requests)
       1,999  /a\u{fffd}

clients (of 2,000 requests)
           1  -
";
        assert_eq!(text, expected);
    }
}
