//! The parameters of the read API, as flags of the same names.

use std::marker::PhantomData;

use clap::builder::{Arg, ArgAction, Command};
use clap::error::Error;
use clap::{ArgMatches, Args, FromArgMatches};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Failure;
use crate::query::{Filter, Parameter, StatsQuery, Time};

/// A list of parameters.
pub(crate) trait Parameters {
    const ALL: &'static [Parameter];
    const HEADING: Option<&'static str>;
}

impl Parameters for Filter {
    const ALL: &'static [Parameter] = &Filter::PARAMETERS;
    const HEADING: Option<&'static str> = Some("Filters");
}

impl Parameters for StatsQuery {
    const ALL: &'static [Parameter] = &StatsQuery::PARAMETERS;
    const HEADING: Option<&'static str> = None;
}

/// The flags of a list that were given.
#[derive(Clone, Debug)]
pub(crate) struct Flags<T> {
    pairs: Vec<(&'static str, String)>,
    parameters: PhantomData<T>,
}

impl<T> Flags<T> {
    /// Names and values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// As the query of a URL: `status=5xx&method=GET`. An age counts from now, not from each request.
    pub fn query(&self) -> String {
        let now = Time::now();
        let encoded = self.pairs().map(|(name, value)| {
            let time = match name {
                "since" | "until" => Time::parse(value, now),
                _ => None,
            };
            let value = time.map_or_else(|| value.to_owned(), |time| time.to_string());
            format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC))
        });
        encoded.collect::<Vec<_>>().join("&")
    }
}

impl Flags<Filter> {
    pub fn filter(&self) -> Result<Filter, Failure> {
        Filter::parse(self.pairs(), Time::now()).map_err(Failure::usage)
    }
}

impl<T: Parameters> Args for Flags<T> {
    fn augment_args(command: Command) -> Command {
        let flags = T::ALL.iter().map(flag);
        command.args(flags.map(|flag| flag.help_heading(T::HEADING)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Parameters> FromArgMatches for Flags<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let pairs = |parameter: &'static Parameter| {
            let values = matches.get_many::<String>(parameter.name);
            let pair = |value: &String| (parameter.name, value.clone());
            values.into_iter().flatten().map(pair)
        };
        Ok(Self {
            pairs: T::ALL.iter().flat_map(pairs).collect(),
            parameters: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `path_prefix` is `--path-prefix`.
fn flag(parameter: &Parameter) -> Arg {
    let (help, action) = match parameter.is_repeatable {
        true => (" May be repeated.", ArgAction::Append),
        false => ("", ArgAction::Set),
    };
    Arg::new(parameter.name)
        .long(parameter.name.replace('_', "-"))
        .value_name(parameter.name.to_uppercase())
        .help(format!("{}{help}", parameter.help))
        .action(action)
}
