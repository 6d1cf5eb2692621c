-- The status that the client was sent, and how long the handler took. Null in the rows of the seed's application and of daybook 0.1, which may
-- write beside this version, and where it is not known.
alter table requests add column status integer;
alter table requests add column duration_us integer;
