--
-- Errors of constraints, in the names of the version that writes
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_names;
ALTER DATABASE sv_names SET schemaver.job_workers = 0;
\c sv_names
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA shop;
CREATE SCHEMA side;
SET search_path = shop;
\pset format unaligned
\pset tuples_only on
SELECT schemaver.create_product('shop', ARRAY['shop']);

-- what an application can see of an error
CREATE FUNCTION side.try(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	message text; detail text; s text; t text; c text; k text;
BEGIN
	EXECUTE statement;
	SET CONSTRAINTS ALL IMMEDIATE;
	RETURN NEXT 'no error';
EXCEPTION WHEN integrity_constraint_violation THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, s = SCHEMA_NAME, t = TABLE_NAME,
		c = COLUMN_NAME, k = CONSTRAINT_NAME;
	RETURN NEXT concat(sqlstate, ' ', message);
	RETURN NEXT concat('  ', detail);
	RETURN NEXT concat('  ', concat_ws('.', s, t, nullif(c, ''), nullif(k, '')));
END
$$;

CREATE TABLE town (id int PRIMARY KEY, name text NOT NULL,
	CONSTRAINT town_name UNIQUE (name));
CREATE TABLE person (id int PRIMARY KEY, email varchar(20) NOT NULL,
	town int, "Nick name" text, age int,
	CONSTRAINT person_email UNIQUE (email),
	CONSTRAINT person_age CHECK (age > 0),
	CONSTRAINT person_town FOREIGN KEY (town) REFERENCES town);
CREATE UNIQUE INDEX person_nick ON person (lower("Nick name"), (town + 0));
CREATE TABLE seat (room int, number int, guest int, period int4range,
	CONSTRAINT seat_key UNIQUE (room, number),
	CONSTRAINT seat_guest UNIQUE (guest) DEFERRABLE INITIALLY DEFERRED,
	CONSTRAINT seat_period EXCLUDE USING gist (period WITH &&),
	CONSTRAINT seat_person FOREIGN KEY (guest) REFERENCES person (id)
		DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE old (a int CONSTRAINT old_a UNIQUE, b int NOT NULL,
	CONSTRAINT old_b CHECK (b > 0));
CREATE TABLE pet (id int, name varchar(70) NOT NULL,
	age int CONSTRAINT pet_age CHECK (age > 0));
CREATE TABLE code (tag varchar(9), n int);
CREATE UNIQUE INDEX code_tag ON code (lower(tag), (n + 1));
CREATE TABLE pair (a int, b int, CONSTRAINT pair_key UNIQUE (a, b),
	CONSTRAINT pair_self FOREIGN KEY (a, b) REFERENCES pair (a, b) MATCH FULL);
CREATE TABLE sale (day int NOT NULL, item int, amount int CONSTRAINT sale_amount CHECK (amount > 0),
	CONSTRAINT sale_key UNIQUE (day, item)) PARTITION BY RANGE (day);
CREATE TABLE sale_1 PARTITION OF sale FOR VALUES FROM (0) TO (10);
INSERT INTO town VALUES (1, 'Ulm'), (2, 'Linz');
INSERT INTO person VALUES (1, '1', 1, 'A', 1), (2, '2', 2, 'B', 2);
INSERT INTO seat VALUES (1, 1, 1, '[1,2)'), (2, 2, 2, '[3,4)');
INSERT INTO old VALUES (1, 1);
INSERT INTO sale VALUES (1, 1, 1);
INSERT INTO code VALUES ('A', 1);
SELECT schemaver.baseline('1.0.0');

CREATE FUNCTION side.try_all() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT t FROM unnest(ARRAY[
		$q$INSERT INTO town VALUES (1, 'Bonn')$q$,
		$q$INSERT INTO town VALUES (3, 'Ulm')$q$,
		$q$INSERT INTO town VALUES (3, NULL)$q$,
		$q$DELETE FROM town WHERE id = 1$q$,
		$q$INSERT INTO person VALUES (1, '3')$q$,
		$q$INSERT INTO person VALUES (3, '1')$q$,
		$q$INSERT INTO person VALUES (3, NULL)$q$,
		$q$INSERT INTO person VALUES (3, '3', 7)$q$,
		$q$INSERT INTO person VALUES (3, '3', 1, 'a')$q$,
		$q$INSERT INTO person VALUES (3, '3', 1, 'C', 0)$q$,
		$q$UPDATE person SET email = '1' WHERE id = 2$q$,
		$q$DELETE FROM person WHERE id = 1$q$,
		$q$INSERT INTO seat VALUES (1, 1, NULL, NULL)$q$,
		$q$INSERT INTO seat VALUES (1, 3, 1, NULL)$q$,
		$q$INSERT INTO seat VALUES (1, 3, 9, NULL)$q$,
		$q$INSERT INTO seat VALUES (1, 3, NULL, '[3,9)')$q$,
		$q$INSERT INTO old VALUES (1, 2)$q$,
		$q$INSERT INTO old VALUES (2, NULL)$q$,
		$q$INSERT INTO old VALUES (2, 0)$q$,
		$q$INSERT INTO pet VALUES (1, NULL, 1)$q$,
		$q$INSERT INTO pet VALUES (1, repeat('x', 70), 0)$q$,
		$q$INSERT INTO code VALUES ('a', 1)$q$,
		$q$INSERT INTO pair VALUES (1, NULL)$q$,
		$q$INSERT INTO sale VALUES (1, 1, 2)$q$,
		$q$INSERT INTO sale VALUES (1, 2, 0)$q$,
		$q$INSERT INTO sale VALUES (11, 2, 1)$q$]) AS q,
		side.try(q) AS t
$$;
SELECT schemaver.register('1.0.0');
CREATE TABLE side.before AS SELECT * FROM side.try_all() WITH ORDINALITY AS t(line, n);
SELECT line FROM side.before ORDER BY n;

-- it goes on through a migration that changes every name
SELECT schemaver.apply($$
	ALTER TABLE town RENAME TO city;
	ALTER TABLE city RENAME name TO label;
	ALTER TABLE city RENAME CONSTRAINT town_pkey TO city_pkey;
	ALTER TABLE city RENAME CONSTRAINT town_name TO city_label;
	ALTER TABLE person RENAME TO people;
	ALTER TABLE people RENAME "Nick name" TO nick;
	ALTER TABLE people RENAME town TO city;
	ALTER TABLE people RENAME age TO years;
	ALTER TABLE people RENAME CONSTRAINT person_town TO people_city;
	ALTER TABLE people RENAME CONSTRAINT person_age TO people_years;
	ALTER INDEX person_nick RENAME TO people_nick;
	ALTER TABLE people ALTER email TYPE int USING email::int;
	ALTER TABLE seat DROP CONSTRAINT seat_key;
	ALTER TABLE seat RENAME guest TO who;
	ALTER TABLE seat RENAME period TO span;
	ALTER TABLE seat RENAME CONSTRAINT seat_guest TO seat_who;
	ALTER TABLE seat RENAME CONSTRAINT seat_period TO seat_span;
	ALTER TABLE seat RENAME CONSTRAINT seat_person TO seat_people;
	DROP TABLE old;
	ALTER TABLE pet DROP name, DROP age;
	ALTER TABLE code ALTER tag TYPE char(9);
	ALTER TABLE code RENAME n TO number;
	ALTER TABLE pair RENAME TO two;
	ALTER TABLE two RENAME CONSTRAINT pair_self TO two_self;
	ALTER TABLE sale RENAME TO deal;
	ALTER TABLE deal RENAME item TO thing;
	ALTER TABLE deal RENAME day TO date;
	ALTER TABLE deal RENAME amount TO sum;
	ALTER TABLE deal RENAME CONSTRAINT sale_amount TO deal_sum;
$$, '2.0.0');
SELECT b.line AS before, a.line AS after FROM side.before b
	FULL JOIN side.try_all() WITH ORDINALITY AS a(line, n) USING (n)
	WHERE b.line IS DISTINCT FROM a.line ORDER BY n;

-- an error that is caught, and those of COMMIT, in whatever transaction
BEGIN;
INSERT INTO seat VALUES (7, 7, 1, NULL);
COMMIT;
INSERT INTO seat VALUES (7, 7, 9, NULL);
PREPARE late AS INSERT INTO seat VALUES (7, 7, $1, NULL);
PREPARE now AS INSERT INTO person VALUES (4, $1);
EXECUTE late(9);
EXECUTE now('1');
BEGIN;
EXECUTE now('1');
EXECUTE now('1');
ROLLBACK;
EXECUTE late(1);
BEGIN;
SAVEPOINT s;
EXECUTE late(1);
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK TO s;
EXECUTE late(1);
COMMIT;
CREATE PROCEDURE side.commit_it() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO seat VALUES (7, 7, 1, NULL);
	COMMIT;
END
$$;
CALL side.commit_it();
DO $$ BEGIN
	INSERT INTO town VALUES (1, 'Bonn');
EXCEPTION WHEN unique_violation THEN
	RAISE NOTICE 'caught: %', sqlerrm;
END $$;
COPY person FROM stdin;
9	1	\N	\N	\N
\.

-- whoever has no right to see the values is not told them
CREATE ROLE sv_names_app;
GRANT USAGE ON SCHEMA shop, side TO sv_names_app;
GRANT INSERT ON ALL TABLES IN SCHEMA shop TO sv_names_app;
GRANT INSERT ON ALL TABLES IN SCHEMA shop_1_0_0 TO sv_names_app;
SET ROLE sv_names_app;
SELECT side.try($$INSERT INTO person VALUES (3, '1')$$);
SELECT side.try($$INSERT INTO person VALUES (3, '3', 1, NULL, 0)$$);
SELECT side.try($$INSERT INTO person VALUES (3, '3', 9)$$);
RESET ROLE;

-- the newest version, and who is in none, are not told what is hidden
CREATE FUNCTION side.try_new() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT t FROM unnest(ARRAY[
		$q$INSERT INTO people (id, email) VALUES (3, 1)$q$,
		$q$INSERT INTO people (id, email) VALUES (3, NULL)$q$,
		$q$INSERT INTO people (id, email, years) VALUES (3, 3, 0)$q$,
		$q$INSERT INTO people (id, email, nick, years) VALUES (3, 3, 'a, b', 0)$q$,
		$q$INSERT INTO people (id, email, nick, city) VALUES (3, 3, 'a', 1)$q$,
		$q$INSERT INTO seat VALUES (1, 3, 1, NULL)$q$,
		$q$INSERT INTO code (tag, number) VALUES ('a', 1)$q$,
		$q$INSERT INTO deal VALUES (1, 1, 2)$q$,
		$q$INSERT INTO sale_1 VALUES (11, 1, 2)$q$]) AS q,
		side.try(q) AS t
$$;
SELECT schemaver.register('2.0.0');
SELECT side.try_new();
SELECT schemaver.unregister();
SET search_path = shop;
SELECT side.try_new();

-- types change once more: the chain of columns is followed
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply($$
	ALTER TABLE people ALTER email TYPE bigint;
	ALTER TABLE people RENAME email TO mail;
	ALTER TABLE people RENAME CONSTRAINT person_email TO people_mail;
$$, '3.0.0');
SELECT side.try($$INSERT INTO people (id, email) VALUES (3, 1)$$);
SELECT schemaver.register('1.0.0');
SELECT side.try($$INSERT INTO person VALUES (3, '1')$$);
SELECT schemaver.unregister();
SET search_path = shop;
SELECT side.try($$INSERT INTO people (id, mail) VALUES (3, 1)$$);

-- NOT NULL that an older version is not held to
SET schemaver.on_missing_value = nullable;
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('ALTER TABLE people ALTER nick SET NOT NULL', '4.0.0');
SELECT side.try($$INSERT INTO person VALUES (3, '3', 1, NULL, 3)$$);
SELECT schemaver.register('4.0.0');
SELECT side.try($$INSERT INTO people (id, mail) VALUES (4, 4)$$);
-- who may see two columns of three: names and values are as many as these
CREATE TABLE three (a int, b int NOT NULL, c int);
GRANT INSERT ON three TO sv_names_app;
GRANT USAGE ON SCHEMA shop TO sv_names_app;
SELECT schemaver.apply('SELECT 1', '5.0.0');
SELECT schemaver.register('5.0.0');
SELECT schemaver.apply('ALTER TABLE three RENAME c TO d', '6.0.0');
SET ROLE sv_names_app;
SELECT side.try('INSERT INTO three (b, c) VALUES (NULL, 10)');
RESET ROLE;

-- NOT NULL that a job is at, which has stopped at a row without a value
RESET schemaver.on_missing_value;
SET schemaver.inline_pages = 0;
CREATE TABLE four (id int PRIMARY KEY, a text, b text);
INSERT INTO four VALUES (1, 'x');
SELECT schemaver.apply('SELECT 1', '7.0.0');
SELECT schemaver.register('7.0.0');
\set first `printf '%s\n' "-- schemaver: up four.b = nullif(a, 'x')" "ALTER TABLE four ALTER b SET NOT NULL"`
SELECT schemaver.apply(:'first', '8.0.0');
CALL schemaver.run_jobs();
SELECT kind, state FROM schemaver.jobs ORDER BY job DESC LIMIT 3;
SELECT conname LIKE 'schemaver_retained_job_%' FROM pg_constraint
WHERE conrelid = 'four'::regclass AND contype = 'c';
SELECT side.try($$INSERT INTO four VALUES (2, 'x')$$);
SELECT schemaver.unregister();
SET search_path = shop;
SELECT side.try($$INSERT INTO four VALUES (2, 'x')$$);
SELECT schemaver.cancel(job) FROM schemaver.jobs WHERE state = 'failed';
UPDATE four SET a = 'y', b = 'y';
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'cancelled';
CALL schemaver.run_jobs();
SELECT side.try($$INSERT INTO four VALUES (2, 'x')$$);

\c :home
DROP DATABASE sv_names;
DROP ROLE sv_names_app;
