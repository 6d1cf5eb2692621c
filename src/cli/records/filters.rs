//! The filters of the read API, as flags.

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Failure;
use crate::query::{Filter, Time};

#[derive(Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// Requests that arrived at this time or later: 2030-01-31T10:00:00Z, Unix seconds, or an age such as 15m or 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Requests that arrived before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Requests with this method; may be repeated
    #[arg(long)]
    method: Vec<String>,
    /// Requests whose path begins with this
    #[arg(long, value_name = "PATH")]
    path_prefix: Option<String>,
    /// Requests with this status: 500, 5xx, or none; may be repeated
    #[arg(long)]
    status: Vec<String>,
    /// Requests of this client: an address, or a network such as 10.0.0.0/8
    #[arg(long, value_name = "ADDRESS")]
    remote_addr: Option<String>,
    /// Requests whose path contains this text
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
}

/// The filter, and its parameters for a URL.
pub(crate) struct ParsedFilter {
    pub filter: Filter,
    /// `status=5xx&method=GET`.
    pub query: String,
}

impl FilterArgs {
    pub fn parse(&self) -> Result<ParsedFilter, Failure> {
        let Self {
            since,
            until,
            method,
            path_prefix,
            status,
            remote_addr,
            q,
        } = self;
        let once = [
            ("since", since),
            ("until", until),
            ("path_prefix", path_prefix),
            ("remote_addr", remote_addr),
            ("q", q),
        ];
        let once = once
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let method = method.iter().map(|value| ("method", value));
        let status = status.iter().map(|value| ("status", value));
        let now = Time::now();
        let mut filter = Filter::default();
        let mut query = Vec::new();
        for (name, value) in once.chain(method).chain(status) {
            let is_known = filter.set(name, value, now).map_err(Failure::usage)?;
            debug_assert!(is_known, "{name}");
            // An age counts from the start of the command, for each page.
            let time = match name {
                "since" | "until" => Time::parse(value, now),
                _ => None,
            };
            let value = time.map_or_else(|| value.clone(), |time| time.to_string());
            let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
            query.push(format!("{name}={value}"));
        }
        Ok(ParsedFilter {
            filter,
            query: query.join("&"),
        })
    }
}
