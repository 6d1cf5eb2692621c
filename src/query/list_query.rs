//! The page of records that a client asks for.

use super::filter::Filter;
use super::page::Cursor;
use super::parameter::{Parameter, ParameterError, set_once};
use super::stats_query::whole_number;
use super::time::Time;

/// The default `limit`.
pub(crate) const LIMIT: usize = 50;
/// The largest `limit`; more is capped.
pub(crate) const LIMIT_MAX: usize = 1000;

/// A page, newest first, or with `after` oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ListQuery {
    pub filter: Filter,
    pub cursor: Cursor,
    /// From 1 to [`LIMIT_MAX`].
    pub limit: usize,
}

impl ListQuery {
    /// The parameters besides the filter's.
    pub const PARAMETERS: [Parameter; 3] = [
        Parameter {
            name: "limit",
            help: "How many requests a page has at most: 50 by default. More than 1000 are 1000.",
            pattern: Some("^0*[1-9][0-9]*$"),
            is_repeatable: false,
        },
        Parameter {
            name: "before",
            help: "Requests with an id below this one: next_before of the page before.",
            pattern: Some("^-?[0-9]{1,18}$"),
            is_repeatable: false,
        },
        Parameter {
            name: "after",
            help: "Requests with an id above this one, oldest first: next_after of the page before. Not with before.",
            pattern: Some("^-?[0-9]{1,18}$"),
            is_repeatable: false,
        },
    ];

    /// Reads pairs of name and value.
    pub fn parse<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Time,
    ) -> Result<Self, ParameterError> {
        let (mut cursor, mut limit) = (None, None);
        let filter = Filter::parse_beside(&Self::PARAMETERS, parameters, now, |name, value| {
            let wrong = |instead: &str| ParameterError::new(name, value, instead);
            let id = || value.parse().map_err(|_| wrong("use the id of a request"));
            let found = match name {
                "limit" => {
                    let found = whole_number(value).filter(|limit| *limit > 0);
                    let found = found.ok_or_else(|| wrong("use a number from 1 to 1000"))?;
                    set_once(name, &mut limit, found.min(LIMIT_MAX))?;
                    return Ok(true);
                }
                "before" => Cursor::Before(id()?),
                "after" => Cursor::After(id()?),
                _ => return Ok(false),
            };
            match (cursor, found) {
                (Some(Cursor::Before(_)), Cursor::After(_))
                | (Some(Cursor::After(_)), Cursor::Before(_)) => {
                    Err(wrong("use either before or after"))
                }
                _ => set_once(name, &mut cursor, found).map(|()| true),
            }
        })?;
        Ok(Self {
            filter,
            cursor: cursor.unwrap_or(Cursor::Before(i64::MAX)),
            limit: limit.unwrap_or(LIMIT),
        })
    }
}
