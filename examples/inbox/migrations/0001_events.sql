create table events (
    delivery text primary key,  -- the sender's id: a repeated delivery is stored once
    request_id integer not null,  -- its row in `requests`
    headers text not null,
    body blob not null
) without rowid;
