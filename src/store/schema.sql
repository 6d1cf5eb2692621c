-- The seed's table, unchanged, so that the seed's own application can run beside daybook on the same file.
create table if not exists requests (
    id integer primary key autoincrement,
    timestamp real not null,
    method text not null,
    path text not null,
    content_length integer not null,
    remote_addr text
);
