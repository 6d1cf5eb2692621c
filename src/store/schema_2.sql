-- The status that the client was sent, and how long the handler took. Null in the rows of the seed's application and of daybook 0.1, which may
-- write beside this version, and where it is not known.
alter table requests add column status integer;
alter table requests add column duration_us integer;
-- The requests of each minute of arrival, added up, so that figures of months need no row of `requests`. `durations` is a histogram:
-- src/query/histogram.rs. Retention deletes nothing here.
create table if not exists daybook_minutes (
    minute integer primary key,
    requests integer not null,
    bytes integer not null,
    no_status integer not null,
    status_1xx integer not null,
    status_2xx integer not null,
    status_3xx integer not null,
    status_4xx integer not null,
    status_5xx integer not null,
    durations blob not null
);
-- One row. Requests below `next_id` are in daybook_minutes; `seen_id` was the newest at `seen_at`.
create table if not exists daybook_minutes_progress (
    next_id integer not null,
    seen_id integer not null,
    seen_at real not null
);
insert into daybook_minutes_progress select 0, 0, 0 where not exists (select 1 from daybook_minutes_progress);
