create table messages (
    id integer primary key,
    author text not null,
    text text not null
);
