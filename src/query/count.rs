//! Counts rows into buckets, and their values.

use std::ops::Range;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode, Rows, params_from_iter};

use super::stats::Tops;
use super::stats_query::StatsQuery;
use super::tally::{ROW_COLUMNS, Tally, TallyRow};
use super::time::Time;
use super::top::{Top, bytes};
use crate::store::{StoredRecord, select_sql};

/// The most frequent values come from so many rows at most.
const SAMPLE_ROWS: u64 = 200_000;
/// A sample is so many stretches of neighbours, evenly spread: to find a row costs more than to read the next one.
const STRETCHES: u64 = 200;

/// Ids that the first statement looks at, and a later one at most: 20 ms.
const FIRST_STEP: i64 = 4096;
const STEP_MAX: i64 = 65_536;

pub(super) struct Count<'a> {
    connection: &'a Connection,
    query: &'a StatsQuery,
    deadline: Instant,
    /// One for each bucket.
    pub tallies: Vec<Tally>,
    paths: Top,
    methods: Top,
    addresses: Top,
    /// How many rows the three have.
    sampled_rows: u64,
    is_sample: bool,
}

impl<'a> Count<'a> {
    pub fn new(connection: &'a Connection, query: &'a StatsQuery, deadline: Instant) -> Self {
        let buckets = query.until.steps_since(query.since, query.bucket.seconds());
        Self {
            connection,
            query,
            deadline,
            tallies: vec![Tally::default(); usize::try_from(buckets).unwrap_or(0)],
            paths: Top::default(),
            methods: Top::default(),
            addresses: Top::default(),
            sampled_rows: 0,
            is_sample: false,
        }
    }

    /// Adds what `daybook_minutes` has; returns the first id that it does not have.
    pub fn add_minutes(&mut self) -> rusqlite::Result<i64> {
        // The command line also reads the database of an older version.
        let sql = "select count(*) from sqlite_schema where name = 'daybook_minutes_progress'";
        let mut tables = self.connection.prepare_cached(sql)?;
        if tables.query_row([], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(i64::MIN);
        }
        let minute = |time: Time| time.steps_since(Time::EPOCH, 60);
        let (query, tallies) = (self.query, &mut self.tallies);
        Tally::read_minutes(
            self.connection,
            minute(query.since),
            minute(query.until),
            |minute, tally| {
                if let Some(index) = query.index(Time::EPOCH.add(minute * 60)) {
                    tallies[index].merge(tally);
                }
            },
        )?;
        let sql = "select next_id from daybook_minutes_progress";
        self.connection
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0))
    }

    /// Adds the rows with these ids, newest first. Returns the time of the first row that it had no time for.
    pub fn add_rows(&mut self, ids: Range<i64>) -> rusqlite::Result<Option<Time>> {
        let (mut step, mut position) = (FIRST_STEP, ids.end);
        while let Some((id, time)) = self.next_row(position)?.filter(|(id, _)| ids.contains(id)) {
            let time = time.unwrap_or(self.query.until);
            if step > FIRST_STEP && Instant::now() >= self.deadline {
                return Ok(Some(time));
            }
            let first = id.saturating_sub(step - 1).max(ids.start);
            match self.add_step(first, id) {
                Err(error) if is_interrupted(&error) => return Ok(Some(time)),
                result => result?,
            }
            position = first;
            step = (step * 4).min(STEP_MAX);
        }
        Ok(None)
    }

    /// The newest row before the position: there may be gaps of any size.
    fn next_row(&self, position: i64) -> rusqlite::Result<Option<(i64, Option<Time>)>> {
        let sql = format!(
            "select {ROW_COLUMNS} from requests not indexed where id < ? order by id desc limit 1"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query_map([position], TallyRow::read)?;
        rows.next()
            .transpose()
            .map(|row| row.map(|row| (row.id, row.time)))
    }

    fn add_step(&mut self, first: i64, last: i64) -> rusqlite::Result<()> {
        let filter = &self.query.filter;
        if filter.is_time_only() {
            let sql = format!(
                "select {ROW_COLUMNS} from requests not indexed where id >= ? and id <= ? order by id desc"
            );
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut rows = statement.query((first, last))?;
            while let Some(row) = rows.next()? {
                self.add_row(&TallyRow::read(row)?);
            }
            return Ok(());
        }
        let (condition, mut values) = filter.condition();
        values.extend([first.into(), last.into()]);
        let sql = select_sql(&format!(
            "{condition} and id >= ? and id <= ? order by id desc"
        ));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let record = StoredRecord::read(row)?;
            if filter.matches(&record) {
                self.add_row(&TallyRow::of(&record));
                let (path, method) = (record.path.as_bytes(), record.method.as_bytes());
                let address = record.remote_addr.as_deref().map(str::as_bytes);
                self.add_values(record.id, Some(path), Some(method), address);
            }
        }
        Ok(())
    }

    fn add_row(&mut self, row: &TallyRow) {
        if let Some(index) = row.time.and_then(|time| self.query.index(time)) {
            self.tallies[index].add(row);
        }
    }

    fn add_values(
        &mut self,
        id: i64,
        path: Option<&[u8]>,
        method: Option<&[u8]>,
        address: Option<&[u8]>,
    ) {
        if self.query.top == 0 {
            return;
        }
        if self.sampled_rows == SAMPLE_ROWS {
            self.is_sample = true;
            return;
        }
        self.sampled_rows += 1;
        self.paths.add(id, path);
        self.methods.add(id, method);
        self.addresses.add(id, address);
    }

    /// Counts the values of rows that are spread evenly over these ids.
    pub fn sample(&mut self, ids: Range<i64>) -> rusqlite::Result<()> {
        if self.query.top == 0 {
            return Ok(());
        }
        let span = ids.end.abs_diff(ids.start.min(ids.end));
        let width = span.div_ceil(STRETCHES);
        let rows = (SAMPLE_ROWS / STRETCHES) as i64;
        self.is_sample = span > SAMPLE_ROWS;
        let connection = self.connection;
        let mut statement = connection.prepare_cached(
            "select id, timestamp, path, method, remote_addr from requests not indexed where id >= ? and id < ? order by id limit ?",
        )?;
        let mut first = ids.start;
        while first < ids.end {
            let end = first.saturating_add_unsigned(width).min(ids.end);
            let mut stretch = statement.query((first, end, rows))?;
            let is_cut = match self.add_stretch(&mut stretch) {
                Err(error) if is_interrupted(&error) => true,
                result => result.map(|()| end < ids.end && Instant::now() >= self.deadline)?,
            };
            if is_cut {
                self.is_sample = true;
                break;
            }
            first = end;
        }
        Ok(())
    }

    fn add_stretch(&mut self, rows: &mut Rows<'_>) -> rusqlite::Result<()> {
        while let Some(row) = rows.next()? {
            let time = row.get_ref(1)?.as_f64().ok().and_then(Time::from_seconds);
            if time.is_some_and(|time| self.query.index(time).is_some()) {
                let value = |column| row.get_ref(column).map(bytes);
                self.add_values(row.get(0)?, value(2)?, value(3)?, value(4)?);
            }
        }
        Ok(())
    }

    /// The most frequent values. `is_cut`: rows were left out.
    pub fn tops(self, is_cut: bool) -> rusqlite::Result<Tops> {
        let (connection, limit) = (self.connection, self.query.top);
        Ok(Tops {
            sampled: self.is_sample || is_cut,
            requests: self.sampled_rows,
            paths: self.paths.values(connection, "path", limit)?,
            methods: self.methods.values(connection, "method", limit)?,
            remote_addrs: self.addresses.values(connection, "remote_addr", limit)?,
        })
    }
}

/// Whether the read pool has stopped the statement.
fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}
