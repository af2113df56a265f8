--
-- retire.c: what older versions could leave NULL is NOT NULL again, by a job
-- where the table is large
--
-- Every table counts as large, and jobs run when they are called.
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_retire_large;
\c regression_retire_large
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
RESET client_min_messages;
ALTER DATABASE regression_retire_large SET schemaver.job_workers = 0;
ALTER DATABASE regression_retire_large SET schemaver.inline_pages = 0;
ALTER DATABASE regression_retire_large SET schemaver.on_missing_value = nullable;
\c regression_retire_large
\set VERBOSITY terse

CREATE VIEW queue AS
	SELECT version, job, kind, state, relation, target FROM schemaver.jobs
	ORDER BY job;
CREATE FUNCTION shape(relation regclass)
RETURNS TABLE (part text, definition text) LANGUAGE sql AS $$
	SELECT attname::text, CASE WHEN attnotnull THEN 'NOT NULL' ELSE 'NULL' END
	FROM pg_attribute
	WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
	UNION ALL
	SELECT conname::text, pg_get_constraintdef(oid)
	FROM pg_constraint WHERE conrelid = relation
	ORDER BY 1, 2
$$;

CREATE TABLE person (id int PRIMARY KEY, nick text, town text);
CREATE TABLE part (a int, b int, c text) PARTITION BY LIST (a);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
INSERT INTO person SELECT g, 'n' || g, 't' FROM generate_series(1, 100) AS g;
INSERT INTO part VALUES (1, 1, 'x');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
-- as an older version leaves the tables, with nothing for jobs to do
SET schemaver.inline_pages = 1000;
SET client_min_messages = error;
SELECT schemaver.apply('ALTER TABLE person ALTER nick SET NOT NULL,
	ALTER town SET NOT NULL, DROP CONSTRAINT person_pkey,
	ADD PRIMARY KEY (id, nick);
ALTER TABLE part ADD PRIMARY KEY (a, b)', '1.1.0');
RESET client_min_messages;
RESET schemaver.inline_pages;
INSERT INTO person VALUES (101, NULL, NULL);
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('ALTER TABLE person ADD age int', '1.2.0');
SELECT schemaver.register('1.2.0');
SELECT * FROM shape('public.person') UNION ALL SELECT * FROM shape('public.part');

-- rows without a value stay in the way, of their column alone
UPDATE person SET nick = 'n101', town = NULL WHERE id = 101;
SELECT schemaver.register('1.0.0');
UPDATE person SET nick = 'n101' WHERE id = 101;
SELECT schemaver.unregister();
BEGIN;
SELECT schemaver.retire('1.0.0');
SELECT * FROM shape('public.person');
SELECT * FROM queue;
ROLLBACK;
UPDATE person SET town = 't' WHERE town IS NULL;

-- a table is read once for each column, before it is locked
BEGIN;
SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'person' \gset
SELECT schemaver.retire('1.0.0');
SELECT seq_scan - :seq_scan AS read FROM pg_stat_xact_user_tables
WHERE relname = 'person';
COMMIT;

-- new rows are held to it; the versions that stay are ready all the time
SELECT * FROM queue;
SELECT * FROM shape('public.person') UNION ALL SELECT * FROM shape('public.part');
SELECT version, status, ready FROM schemaver.versions;
SELECT schemaver.register('1.2.0');
INSERT INTO person VALUES (102, NULL, 't');
INSERT INTO person VALUES (102, 'n102', 't');
SELECT schemaver.register('1.1.0');
INSERT INTO person VALUES (103, NULL, 't');
SELECT schemaver.unregister();
INSERT INTO person VALUES (103, NULL, 't');
SELECT severity, version, object, finding, detail FROM schemaver.verify();
SELECT line FROM schemaver.status() AS line WHERE line ~ 'Job|Not ready';
SELECT schemaver.wait_until_ready('1.2.0', timeout => '10 ms');
-- a script that would be in its way has to wait
SELECT schemaver.apply('ALTER TABLE person DROP town', '1.3.0');
SELECT schemaver.apply('ALTER TABLE person ADD note text', '1.3.0');
SELECT version, ready FROM schemaver.versions WHERE version::text = '1.3.0';
-- as far back as one can: it is demanded there as well, and the jobs go on
SELECT schemaver.rollback('1.1.0');
SELECT schemaver.register('1.1.0');
INSERT INTO person VALUES (103, NULL, 't');
SELECT schemaver.unregister();
LISTEN schemaver;
CALL schemaver.run_jobs();
UNLISTEN schemaver;
SELECT * FROM queue;
SELECT schemaver.wait_until_ready('1.1.0', timeout => '10 ms');
SELECT * FROM shape('public.person') UNION ALL SELECT * FROM shape('public.part')
UNION ALL SELECT * FROM shape('public.part1');
SELECT severity, version, object, finding, detail FROM schemaver.verify();
SELECT schemaver.apply('ALTER TABLE person ADD age int', '1.2.0');
SELECT schemaver.apply('ALTER TABLE person ADD note text', '1.3.0');
SELECT * FROM shape('public.person');
SELECT severity, version, object, finding, detail FROM schemaver.verify();

--
-- what a version that was rolled back left out is NOT NULL again
--
CREATE SCHEMA back;
CREATE TABLE back.t (id int PRIMARY KEY, b int NOT NULL, c int NOT NULL);
INSERT INTO back.t VALUES (1, 1, 1);
SELECT schemaver.create_product('back', '{back}');
SELECT schemaver.baseline('1.0.0', 'back');
SELECT schemaver.register('1.0.0', 'back');
SELECT schemaver.apply('ALTER TABLE t ADD d int', '1.1.0', 'back');
SELECT schemaver.register('1.1.0', 'back');
SELECT schemaver.apply('ALTER TABLE t DROP b, DROP c', '2.0.0', 'back');
SELECT schemaver.register('2.0.0', 'back');
INSERT INTO t VALUES (2);
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.1.0', 'back');
UPDATE back.t SET b = 2 WHERE id = 2;
BEGIN;
SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'back.t'::regclass \gset
SELECT schemaver.retire('2.0.0', 'back');
SELECT seq_scan - :seq_scan AS read FROM pg_stat_xact_user_tables
WHERE relid = 'back.t'::regclass;
COMMIT;
SELECT version, kind, state, target FROM queue WHERE state <> 'done';
SELECT * FROM shape('back.t');
SELECT tgname, encode(tgargs, 'escape') FROM pg_trigger WHERE NOT tgisinternal;
SELECT severity, version, object, finding, detail FROM schemaver.verify('back');
SELECT version, ready FROM schemaver.versions WHERE product = 'back';
CALL schemaver.run_jobs('back');
SELECT * FROM shape('back.t');
SELECT severity, version, object, finding, detail FROM schemaver.verify('back');

\c :home
DROP DATABASE regression_retire_large;
