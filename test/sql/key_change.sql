--
-- Tables with keys that a script has dropped: partitions come and go, triggers
-- change what is written
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_key_change;
ALTER DATABASE sv_key_change SET schemaver.job_workers = 0;
\c sv_key_change
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA app;
SET search_path = app;
SELECT schemaver.create_product('app', ARRAY['app']);
\pset format unaligned
\pset tuples_only on

CREATE TABLE event (id int, at int, v text,
	CONSTRAINT event_key UNIQUE NULLS NOT DISTINCT (at, id)) PARTITION BY RANGE (at);
CREATE UNIQUE INDEX event_v ON event (at, lower(v)) WHERE v <> 'free';
CREATE UNIQUE INDEX event_n ON event (at, (v::int)) WHERE v ~ '^[0-9]';
CREATE TABLE event_0 PARTITION OF event FOR VALUES FROM (0) TO (10);
CREATE TABLE event_1 (v text, at int, id int) PARTITION BY LIST (at);
CREATE TABLE event_10 PARTITION OF event_1 FOR VALUES IN (10);
ALTER TABLE event ATTACH PARTITION event_1 FOR VALUES FROM (10) TO (20);
CREATE VIEW public.names AS SELECT relname FROM pg_class
	WHERE relkind IN ('i', 'I') AND relnamespace = 'app'::regnamespace
	AND relname ~ 'event_[0-9n]' ORDER BY 1;

-- what a trigger makes of a row is held to the keys of the version that writes
CREATE TABLE mail (id int, address text CONSTRAINT mail_address UNIQUE,
	n int CONSTRAINT mail_n UNIQUE DEFERRABLE);
CREATE FUNCTION mail_fold() RETURNS trigger LANGUAGE plpgsql
	AS 'BEGIN NEW.address := lower(NEW.address); RETURN NEW; END';
CREATE TRIGGER fold BEFORE INSERT OR UPDATE ON mail
	FOR EACH ROW EXECUTE FUNCTION mail_fold();
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
SELECT schemaver.apply($$
	ALTER TABLE event DROP CONSTRAINT event_key;
	DROP INDEX event_v, event_n;
	ALTER TABLE mail DROP CONSTRAINT mail_address, DROP CONSTRAINT mail_n;
$$, '2.0.0');
SELECT schemaver.register('2.0.0');
INSERT INTO mail VALUES (1, 'Ada'), (2, 'ADA'), (3, 'bob');
SELECT schemaver.register('1.0.0');
INSERT INTO mail VALUES (4, 'aDA');
INSERT INTO mail VALUES (4, 'aDA') ON CONFLICT (address) DO UPDATE SET id = 40 RETURNING id, address;
UPDATE mail SET address = 'Bob' WHERE id = 40;
-- an error that tells of a hidden key only in passing
DO $$
DECLARE
	name text;
BEGIN
	INSERT INTO mail VALUES (5, 'eve', 1) ON CONFLICT ON CONSTRAINT mail_n DO NOTHING;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
	RAISE WARNING 'constraint %', name;
END $$;
-- keys that are checked later are none for ON CONFLICT, loosened or not
INSERT INTO mail VALUES (6, 'fay', 1) ON CONFLICT (n) DO NOTHING;
SELECT schemaver.unregister();
SET search_path = app;
ALTER TABLE mail ADD CONSTRAINT mail_id UNIQUE (id) DEFERRABLE;
INSERT INTO mail VALUES (40) ON CONFLICT (id) DO NOTHING;
ALTER TABLE mail DROP CONSTRAINT mail_id;

-- an index that is not complete does not hide the key of an older version
CREATE UNIQUE INDEX CONCURRENTLY mail_address_again ON mail (address);
SELECT schemaver.register('1.0.0');
INSERT INTO mail VALUES (5, 'BOB') ON CONFLICT (address) DO UPDATE SET n = 5 RETURNING id, n;
SELECT schemaver.unregister();
SET search_path = app;
DROP INDEX mail_address_again;

-- partitions with rows come: the first ones are marked
SET search_path = app;
CREATE TABLE event_2 (at int, v text, id int);
INSERT INTO event_2 VALUES (20, 'v', 1), (20, 'V', 1), (20, 'free', 2), (20, 'free', 2), (20, '7x', NULL);
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (20) TO (30);
SELECT schemaver.apply($$
	CREATE TABLE event_11 (id int, v text, at int);
	INSERT INTO event_11 VALUES (1, '1', 11), (1, '01', 11), (NULL, '1', 11);
	ALTER TABLE event_1 ATTACH PARTITION event_11 FOR VALUES IN (11);
	CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (30) TO (40);
$$, '2.1.0');
SELECT at, id, v, schemaver_retained_event_key = 0 AS key,
	schemaver_retained_event_v AS v, schemaver_retained_event_n AS n
	FROM app.event ORDER BY 1, 2, v COLLATE "C";
SELECT schemaver.register('2.1.0');
INSERT INTO event VALUES (1, 20, 'v'), (1, 11, '1'), (3, 30, '1'), (3, 30, '1');
SELECT schemaver.register('1.0.0');
INSERT INTO event VALUES (1, 20, 'x') ON CONFLICT (id, at) DO NOTHING RETURNING id;
INSERT INTO event VALUES (1, 20, 'x');
INSERT INTO event VALUES (9, 20, 'V');
INSERT INTO event VALUES (9, 11, '001');
INSERT INTO event VALUES (NULL, 11, 'x');
INSERT INTO event VALUES (3, 30, 'x');
SELECT schemaver.unregister();
SELECT (v).finding, (v).detail FROM schemaver.verify(deep => true) AS v
	WHERE (v).finding <> 'changed by hand';

-- one that goes has no key that no version has
ALTER TABLE app.event DETACH PARTITION app.event_2;
ALTER TABLE app.event DETACH PARTITION app.event_1;
SELECT schemaver.register('2.1.0');
INSERT INTO event_2 (id, at, v) VALUES (1, 20, 'v'), (1, 20, 'v');
SELECT schemaver.unregister();
-- and comes back
ALTER TABLE app.event ATTACH PARTITION app.event_2 FOR VALUES FROM (20) TO (30);
ALTER TABLE app.event ATTACH PARTITION app.event_1 FOR VALUES FROM (10) TO (20);
SELECT schemaver.register('1.0.0');
INSERT INTO event VALUES (1, 20, 'x');
SELECT schemaver.unregister();

-- names of their keys are those that PostgreSQL gives them without the mark
DELETE FROM app.event;
DELETE FROM app.mail;
SELECT schemaver.rollback('1.0.0');
CREATE TABLE app.event_4 PARTITION OF app.event FOR VALUES FROM (40) TO (50);
SELECT schemaver.retire('2.1.0');
SELECT schemaver.retire('2.0.0');
TABLE public.names;
SELECT attrelid::regclass, attname FROM pg_attribute
	WHERE attname ~ 'schemaver_' AND attrelid IN (SELECT oid FROM pg_class
	WHERE relnamespace = 'app'::regnamespace);

-- an UPDATE of the newest version that moves values on from row to row, as it
-- may, leaves each of them in one row: that is the first
CREATE TABLE app.item (id int PRIMARY KEY, list int, n int, d jsonb, CONSTRAINT item_n UNIQUE (list, n),
	CONSTRAINT item_id UNIQUE NULLS NOT DISTINCT (n, d), CONSTRAINT item_x EXCLUDE USING btree (n WITH =));
CREATE UNIQUE INDEX item_d ON app.item (((d->>'n')::int)) WHERE 100 / n > 0;
CREATE TABLE app.log (what text);
CREATE FUNCTION app.item_log() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN INSERT INTO app.log VALUES (TG_WHEN || ' ' || NEW.id); RETURN NEW; END $$;
CREATE TRIGGER first BEFORE UPDATE ON app.item FOR EACH ROW EXECUTE FUNCTION app.item_log();
CREATE TRIGGER last AFTER UPDATE ON app.item FOR EACH ROW EXECUTE FUNCTION app.item_log();
INSERT INTO app.item SELECT i, 1, i, jsonb_build_object('n', i) FROM generate_series(1, 4) AS i;
SELECT schemaver.apply('SELECT 3', '3.0.0');
SELECT schemaver.register('3.0.0');
SELECT schemaver.apply('ALTER TABLE item DROP CONSTRAINT item_n, DROP CONSTRAINT item_id, DROP CONSTRAINT item_x; DROP INDEX item_d', '4.0.0');
SELECT schemaver.register('4.0.0');
UPDATE item SET n = n + 1, d = jsonb_build_object('n', n + 1);
SELECT id, n, schemaver_retained_item_n AS m, schemaver_retained_item_id AS i,
	schemaver_retained_item_x AS x, schemaver_retained_item_d AS d FROM app.item ORDER BY 1;
SELECT * FROM log;
-- also where there are two of one at the end, or none
BEGIN;
UPDATE item SET n = CASE id WHEN 4 THEN 4 ELSE n + 1 END;
UPDATE item SET d = '{"n": "a"}', n = n + 1 WHERE id = 1;
ROLLBACK;
WITH changed AS (UPDATE item SET n = CASE id WHEN 4 THEN 4 ELSE n + 1 END RETURNING id)
	SELECT count(*) FROM changed;
SELECT id, n, schemaver_retained_item_n AS m, schemaver_retained_item_x AS x FROM app.item ORDER BY 1;
SELECT schemaver.register('3.0.0');
INSERT INTO item VALUES (9, 1, 3) ON CONFLICT (list, n) DO UPDATE SET id = 10 RETURNING id;
INSERT INTO item VALUES (9, 1, 4);
SELECT schemaver.unregister();
SELECT (v).finding, (v).detail FROM schemaver.verify(deep => true) AS v
	WHERE (v).finding <> 'changed by hand';

-- a job of a version that was rolled back and retired is not tried again
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('ALTER TABLE app.item DROP CONSTRAINT item_pkey', '5.0.0');
SELECT schemaver.rollback('4.0.0');
SELECT schemaver.retire('5.0.0');
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE version::text = '5.0.0';
\c :home
DROP DATABASE sv_key_change;
