--
-- Jobs: what a migration leaves to be done, in the session that runs them
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_jobs;
\c sv_jobs
CREATE EXTENSION schemaver;
SET schemaver.job_workers = 0;
CREATE SCHEMA jobs_base;
SET search_path = jobs_base, public;
SELECT schemaver.create_product('working', ARRAY['jobs_base']);
CREATE TABLE person (id int PRIMARY KEY, a int, b bigint, c text, n int);
INSERT INTO person SELECT i, i, NULL, 'c' || i, i FROM generate_series(1, 2000) i;
CREATE TABLE other (id int, person_id int);
INSERT INTO other SELECT i, i FROM generate_series(1, 10) i;
SELECT schemaver.baseline('1.0.0', 'working');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('CREATE TABLE extra (id int)', '1.1.0', 'working');
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('CREATE TABLE more (id int)', '1.2.0', 'working');
SELECT schemaver.unregister();

-- jobs as a migration to a version leaves them
CREATE FUNCTION leave(version text, kind text, relation text, name text,
	definition text DEFAULT NULL, condition text DEFAULT NULL)
RETURNS integer LANGUAGE sql AS $$
	INSERT INTO schemaver.db_job (product_id, version_id, kind, schema,
		relation, name, definition, condition)
	SELECT product_id, id, $2, 'jobs_base', $3, $4, $5, $6
	FROM schemaver.db_schema_version AS v WHERE v.version::text = $1
	RETURNING id
$$;
CREATE VIEW jobs AS
	SELECT version, job, kind, state, relation, target, blocks_done = blocks AS
		whole, rows, attempts, error, pid IS NOT NULL AS runs,
		started_on IS NOT NULL AS started, finished_on IS NOT NULL AS finished
	FROM schemaver.jobs ORDER BY job;

-- no jobs, nothing to do
CALL schemaver.run_jobs();
SELECT schemaver.wait_until_ready('1.1.0');
SELECT version, ready FROM schemaver.versions ORDER BY version;

-- one of each kind; user's triggers do not fire
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'a trigger has fired';
END $$;
CREATE TRIGGER shout BEFORE UPDATE ON person
	FOR EACH ROW EXECUTE FUNCTION shout();
ALTER TABLE other ADD CONSTRAINT other_person
	FOREIGN KEY (person_id) REFERENCES person NOT VALID;
SELECT leave('1.1.0', 'backfill', 'person', 'b', 'a::bigint', 'b IS NULL');
SELECT leave('1.1.0', 'index', 'person', 'person_b_key',
	'CREATE UNIQUE INDEX ON jobs_base.person (b) INCLUDE (c) WITH (fillfactor = 80)');
SELECT leave('1.1.0', 'notnull', 'person', 'b');
SELECT leave('1.1.0', 'attach', 'person', 'person_b_key',
	'UNIQUE USING INDEX person_b_key DEFERRABLE');
SELECT leave('1.1.0', 'validate', 'other', 'other_person');
SELECT * FROM jobs;

-- a version is not ready with them, nor are those after it
SELECT version, ready FROM schemaver.versions ORDER BY version;
SELECT schemaver.register('1.1.0');
SELECT schemaver.register('1.2.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
SELECT schemaver.wait_until_ready('1.1.0', timeout => '10 ms');
SELECT schemaver.wait_until_ready('1.0.0');
CALL schemaver.run_jobs('nobody');
BEGIN;
CALL schemaver.run_jobs();
ROLLBACK;
DO 'BEGIN CALL schemaver.run_jobs(); END';
CALL schemaver.run_jobs('working');
SELECT * FROM jobs;
SELECT count(*) FROM person WHERE b = a;
\d person
SELECT convalidated FROM pg_constraint WHERE conname = 'other_person';
SELECT version, ready FROM schemaver.versions ORDER BY version;
SELECT schemaver.register('1.2.0');
SELECT schemaver.unregister();
SHOW search_path;
SHOW session_replication_role;
SHOW lock_timeout;
SELECT count(*) FROM pg_locks
WHERE locktype = 'userlock' AND pid = pg_backend_pid();

-- done twice, as after a crash between the work and the row: finds it done
UPDATE schemaver.db_job SET state = 'running', finished_on = NULL;
CALL schemaver.run_jobs();
SELECT job, state, rows, attempts FROM jobs;

-- an error is kept with the row's key; what is behind it waits
SELECT leave('1.2.0', 'backfill', 'person', 'n', '10 / (a - 1234)');
SELECT leave('1.2.0', 'validate', 'person', 'nothing');
CALL schemaver.run_jobs();
SELECT job, state, error, runs, started, finished FROM jobs WHERE job > 5;
SELECT count(*) FROM person WHERE id >= 1234 AND n <> a;
SELECT schemaver.register('1.2.0');
SELECT schemaver.wait_until_ready('1.2.0');
CREATE ROLE regress_jobs_nobody;
SET ROLE regress_jobs_nobody;
SELECT job, error FROM schemaver.jobs WHERE state = 'failed';
SELECT schemaver.wait_until_ready('1.2.0');
SELECT schemaver.register('1.2.0');
SELECT * FROM schemaver.db_job;
SELECT schemaver.retry(6);
SELECT schemaver.cancel(6);
CALL schemaver.run_jobs();
RESET ROLE;
DROP ROLE regress_jobs_nobody;

-- retry goes on where it was
UPDATE person SET a = 0 WHERE id = 1234;
DROP TRIGGER shout ON person;
UPDATE person SET a = 0 WHERE id = 1234;
SELECT schemaver.retry(6);
SELECT schemaver.retry(6);
CALL schemaver.run_jobs();
SELECT job, state, attempts, error FROM jobs WHERE job > 5;
SELECT count(*) FROM person WHERE n = 10 / (a - 1234);

-- cancel: the version does without it
SELECT schemaver.cancel(7);
SELECT schemaver.cancel(7);
SELECT schemaver.cancel(99);
SELECT schemaver.retry(99);
SELECT job, state, finished FROM jobs WHERE job = 7;
SELECT schemaver.register('1.2.0');
SELECT schemaver.unregister();

-- other ways to fail: a table without a key, what does not parse, what is
-- not there, duplicates, a name that is taken, more than one statement
CREATE TABLE keyless (a int, b int);
INSERT INTO keyless SELECT i, i FROM generate_series(1, 500) i;
SELECT leave('1.2.0', 'backfill', 'keyless', 'b', '1 / (a - 77)');
CALL schemaver.run_jobs();
SELECT schemaver.cancel(8);
SELECT leave('1.2.0', 'backfill', 'keyless', 'b', 'a +');
SELECT leave('1.2.0', 'backfill', 'more', 'b', '1');
SELECT leave('1.2.0', 'index', 'person', 'person_twice',
	'CREATE UNIQUE INDEX x ON person (greatest(a, 2))');
SELECT leave('1.2.0', 'index', 'other', 'person',
	'CREATE INDEX x ON other (id)');
SELECT leave('1.2.0', 'index', 'extra', 'extra_id',
	'CREATE INDEX x ON extra (id); DROP TABLE extra');
SELECT leave('1.2.0', 'backfill', 'gone', 'b', '1');
CALL schemaver.run_jobs();
SELECT job, kind, state, error FROM jobs WHERE job > 8;

-- the invalid index that was left goes first
SELECT indisvalid FROM pg_index WHERE indexrelid = 'person_twice'::regclass;
UPDATE schemaver.db_job SET definition =
	'CREATE UNIQUE INDEX x ON person ((a % 10000)) WHERE a > 0'
WHERE id = 11;
SELECT schemaver.retry(11);
CALL schemaver.run_jobs();
SELECT indisvalid, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indexrelid = 'person_twice'::regclass;
SELECT count(schemaver.cancel(job)) FROM schemaver.jobs WHERE state = 'failed';

-- it is the owner who works, and can do nothing else
CREATE ROLE regress_jobs_owner;
GRANT USAGE, CREATE ON SCHEMA jobs_base TO regress_jobs_owner;
CREATE TABLE owned (a int, b text);
INSERT INTO owned VALUES (1, NULL);
ALTER TABLE owned OWNER TO regress_jobs_owner;
ALTER TABLE owned ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT leave('1.2.0', 'backfill', 'owned', 'b',
	$$current_user || ' ' || current_setting('search_path')$$);
SELECT leave('1.2.0', 'index', 'owned', 'owned_b', 'CREATE INDEX x ON owned (b)');
CALL schemaver.run_jobs();
SELECT * FROM owned;
SELECT leave('1.2.0', 'backfill', 'owned', 'b',
	$$set_config('role', 'none', false)$$);
CALL schemaver.run_jobs();
SELECT leave('1.2.0', 'validate', 'owned', 'x; SET ROLE postgres');
SELECT schemaver.cancel(17);
CALL schemaver.run_jobs();
SELECT schemaver.cancel(18);
DROP TABLE owned;
DROP OWNED BY regress_jobs_owner;
DROP ROLE regress_jobs_owner;

-- partitions, leaf by leaf, and the index of the whole; inheritance
CREATE TABLE parted (id int, a int, b int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200)
	PARTITION BY RANGE (id);
CREATE TABLE parted_2_1 PARTITION OF parted_2 FOR VALUES FROM (100) TO (150);
CREATE TABLE parted_2_2 PARTITION OF parted_2 FOR VALUES FROM (150) TO (200);
INSERT INTO parted SELECT i, i FROM generate_series(0, 199) i;
CREATE TABLE parent (a int, b int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (2);
SELECT leave('1.2.0', 'backfill', 'parted', 'b', 'a + 1');
SELECT leave('1.2.0', 'index', 'parted', 'parted_b', 'CREATE UNIQUE INDEX x ON parted (id, b)');
SELECT leave('1.2.0', 'notnull', 'parted', 'b');
SELECT leave('1.2.0', 'backfill', 'parent', 'b', 'a + 1');
CALL schemaver.run_jobs();
SELECT job, state, whole, rows, error FROM jobs WHERE job > 18;
SELECT count(*) FROM parted WHERE b = a + 1;
SELECT indexrelid::regclass, indisvalid, indisunique FROM pg_index
WHERE indrelid IN (SELECT relid FROM pg_partition_tree('parted')) ORDER BY 1;
SELECT attrelid::regclass, attnotnull FROM pg_attribute
WHERE attrelid IN (SELECT relid FROM pg_partition_tree('parted'))
	AND attname = 'b' ORDER BY 1;
SELECT conname FROM pg_constraint WHERE conname LIKE 'schemaver%';
SELECT * FROM parent ORDER BY a;

-- an empty table needs no batch, a renamed one is found, a dropped one not
CREATE TABLE empty (a int, b int);
SELECT leave('1.2.0', 'backfill', 'empty', 'b', 'a');
UPDATE schemaver.db_job SET relation_id = 'empty'::regclass WHERE id = 23;
ALTER TABLE empty RENAME TO still_empty;
CALL schemaver.run_jobs();
SELECT job, state, relation, whole, rows FROM jobs WHERE job = 23;

-- the history tells of no DDL by hand, for jobs are none
SELECT action, description FROM schemaver.history
WHERE description LIKE '%INDEX%' OR description LIKE '%VALIDATE%';

-- in a transaction that has changed something, or sees an old database
SELECT schemaver.wait_until_ready(NULL);
SELECT schemaver.wait_until_ready('7');
SELECT schemaver.wait_until_ready('1.2.0', timeout => '-1 s');
BEGIN;
CREATE TABLE change (id int);
SELECT schemaver.wait_until_ready('1.2.0');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT schemaver.wait_until_ready('1.2.0');
ROLLBACK;

\c :home
DROP DATABASE sv_jobs;
