create table users (id integer primary key, name text not null unique);
create table sessions (
    token_sha256 blob primary key,
    user_id integer not null references users (id),
    expires_at integer not null  -- Unix seconds
) without rowid;
create table notes (id integer primary key, text text not null);
create table uploads (id integer primary key, name text not null, bytes integer not null);
create table payments (
    idempotency_key text primary key,
    response text not null
) without rowid;
create table calls (
    user_id integer not null,
    minute integer not null,  -- Unix seconds / 60
    count integer not null,
    primary key (user_id, minute)
) without rowid;
create table outbox (
    id integer primary key,
    recipient text not null,
    text text not null,
    attempts integer not null default 0,
    next_attempt_at integer not null default 0  -- Unix seconds
);
