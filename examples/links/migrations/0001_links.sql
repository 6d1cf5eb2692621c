create table links (
    id integer primary key,
    url text not null unique,
    visits integer not null default 0
);
