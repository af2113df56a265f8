--
-- Unique keys that scripts drop, and how they come back: an index that goes
-- with its column's type, and foreign keys that wait for a key
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_key_return;
ALTER DATABASE sv_key_return SET schemaver.job_workers = 0;
\c sv_key_return
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA app;
SET search_path = app;
SELECT schemaver.create_product('shop', ARRAY['app']);
\pset format unaligned
\pset tuples_only on
CREATE VIEW public.keys AS
	SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
	FROM pg_constraint WHERE contype IN ('f', 'u')
	AND conrelid IN (SELECT oid FROM pg_class
		WHERE relnamespace = 'app'::regnamespace AND relkind = 'r')
	ORDER BY 1, 2;
CREATE VIEW public.told AS SELECT (v).object, (v).finding, (v).detail, (v).hint
	FROM schemaver.verify(deep => true) AS v;
CREATE VIEW public.queue AS SELECT kind, state, relation, target
	FROM schemaver.jobs WHERE state <> 'done' ORDER BY job;

-- a large table's column changes its type, and its indexes go
CREATE TABLE tall (id int PRIMARY KEY, a int, b int);
CREATE UNIQUE INDEX tall_a ON tall (a);
CREATE INDEX tall_b ON tall (b);
CREATE VIEW public.indexes AS SELECT pg_get_indexdef(indexrelid)
	FROM pg_index WHERE indrelid = 'app.tall'::regclass
	ORDER BY indexrelid::regclass::text;
INSERT INTO tall SELECT i, i, i FROM generate_series(1, 3000) AS i;
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
PREPARE tall(int, int) AS INSERT INTO tall VALUES ($1, $2, 1)
	ON CONFLICT (a) DO UPDATE SET b = tall.b + 10000 RETURNING *;
EXECUTE tall(9000, 1);
SET schemaver.inline_pages = 0;
\set two 'ALTER TABLE tall ALTER a TYPE bigint, ALTER b TYPE text; DROP INDEX tall_a; DROP INDEX app.tall_b'
SELECT schemaver.apply(:'two', '2.0.0');
TABLE public.queue;
EXECUTE tall(9000, 2);
CALL schemaver.run_jobs();
TABLE public.indexes;
EXECUTE tall(9000, 3);
INSERT INTO tall VALUES (9000, 3, 3);
SELECT schemaver.register('2.0.0');
INSERT INTO tall VALUES (9001, 3, 3), (9002, 9002, 4) RETURNING *;
SELECT schemaver.register('1.0.0');
EXECUTE tall(9000, 3);
EXECUTE tall(9000, 9002);
SELECT schemaver.unregister();
TABLE public.told;
-- back and forward
DELETE FROM tall WHERE id = 9001;
SELECT schemaver.rollback('1.0.0');
CALL schemaver.run_jobs();
TABLE public.indexes;
SELECT schemaver.register('1.0.0');
EXECUTE tall(9000, 9002);
SELECT schemaver.unregister();
SELECT schemaver.apply(:'two', '2.0.0');
CALL schemaver.run_jobs();
TABLE public.indexes;
SELECT schemaver.register('1.0.0');
EXECUTE tall(9000, 9002);
SELECT schemaver.unregister();
SELECT schemaver.retire('1.0.0');
CALL schemaver.run_jobs();
TABLE public.indexes;
TABLE public.told;
-- the newer one is retired
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply('CREATE UNIQUE INDEX tall_a ON tall (a)', '2.1.0');
CALL schemaver.run_jobs();
SELECT schemaver.register('2.1.0');
SELECT schemaver.apply('ALTER TABLE tall ALTER a TYPE int; DROP INDEX tall_a', '3.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.register('3.0.0');
INSERT INTO tall VALUES (9003, 3, 3);
SELECT schemaver.unregister();
SELECT schemaver.rollback('2.1.0');
SELECT schemaver.retire('3.0.0');
DELETE FROM tall WHERE id = 9003;
SELECT schemaver.reconcile() > 0;
TABLE public.indexes;
TABLE public.told;
RESET schemaver.inline_pages;

-- foreign keys come back with the key that they refer to
CREATE TABLE item (id int PRIMARY KEY, code int CONSTRAINT item_code UNIQUE,
	tag int CONSTRAINT item_tag UNIQUE);
CREATE TABLE box (id int PRIMARY KEY,
	code int CONSTRAINT box_code REFERENCES item (code) ON DELETE SET NULL,
	tag int CONSTRAINT box_tag REFERENCES item (tag));
CREATE TABLE bag (item int CONSTRAINT bag_item REFERENCES item);
INSERT INTO item SELECT i, i, i FROM generate_series(1, 10) AS i;
INSERT INTO box SELECT i, i, i FROM generate_series(1, 10) AS i;
SELECT schemaver.apply('SELECT 4', '4.0.0');
SELECT schemaver.register('4.0.0');
\set five 'ALTER TABLE box DROP CONSTRAINT box_code, DROP CONSTRAINT box_tag; ALTER TABLE item DROP CONSTRAINT item_code; ALTER TABLE bag DROP CONSTRAINT bag_item'
SELECT schemaver.apply(:'five', '5.0.0');
SELECT schemaver.register('5.0.0');
INSERT INTO item VALUES (11, 1, 11);
SELECT schemaver.unregister();
SELECT schemaver.rollback('4.0.0');
TABLE public.told;
SELECT schemaver.retire('5.0.0');
TABLE public.keys;
TABLE public.told;
SELECT schemaver.reconcile();
TABLE public.told;
DELETE FROM item WHERE id = 11;
-- what somebody has dropped by hand stays dropped
SET schemaver.guard = off;
ALTER TABLE bag DROP CONSTRAINT bag_item;
RESET schemaver.guard;
SELECT schemaver.reconcile() > 0;
TABLE public.keys;
TABLE public.told;
INSERT INTO item VALUES (12, 1, 12);
INSERT INTO box VALUES (12, 12, 1);
SELECT schemaver.reconcile();
SET schemaver.guard = off;
ALTER TABLE bag ADD CONSTRAINT bag_item FOREIGN KEY (item) REFERENCES item;
RESET schemaver.guard;

-- a migration that comes meanwhile hands them on; large tables by jobs
SELECT schemaver.apply(:'five', '6.0.0');
SELECT schemaver.register('6.0.0');
INSERT INTO item VALUES (11, 1, 11);
INSERT INTO box VALUES (13, 13, 1);
SELECT schemaver.unregister();
SELECT schemaver.rollback('4.0.0');
SELECT schemaver.retire('6.0.0');
SELECT schemaver.apply('ALTER TABLE box ADD z int', '7.0.0');
TABLE public.told;
DELETE FROM item WHERE id = 11;
SET schemaver.inline_pages = 0;
SELECT schemaver.reconcile() > 0;
RESET schemaver.inline_pages;
TABLE public.queue;
TABLE public.keys;
INSERT INTO box VALUES (14, 14, 1);
-- a row stands against it
SET client_min_messages = error;
CALL schemaver.run_jobs();
SET client_min_messages = warning;
TABLE public.queue;
DELETE FROM box WHERE id = 13;
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'failed';
CALL schemaver.run_jobs();
TABLE public.told;

-- on either side a column has got another name meanwhile, or the table
CREATE SCHEMA mart;
SET search_path = mart;
SELECT schemaver.create_product('mart', ARRAY['mart']);
CREATE TABLE item (id int PRIMARY KEY, code int CONSTRAINT item_code UNIQUE);
CREATE TABLE box (id int, code int CONSTRAINT box_code REFERENCES item (code));
INSERT INTO item VALUES (1, 1);
INSERT INTO box VALUES (1, 1);
SELECT schemaver.baseline('1.0.0', 'mart');
SELECT schemaver.register('1.0.0', 'mart');
SELECT schemaver.apply('ALTER TABLE box DROP CONSTRAINT box_code;
ALTER TABLE item DROP CONSTRAINT item_code', '2.0.0', 'mart');
SELECT schemaver.register('2.0.0', 'mart');
INSERT INTO item VALUES (2, 1);
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0', 'mart');
SELECT schemaver.retire('2.0.0', 'mart');
SELECT schemaver.apply('ALTER TABLE item RENAME code TO number;
ALTER TABLE item RENAME TO thing; ALTER TABLE box RENAME code TO thing',
	'3.0.0', 'mart');
DELETE FROM thing WHERE id = 2;
SELECT schemaver.reconcile('mart') > 0;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
	FROM pg_constraint
	WHERE connamespace = 'mart'::regnamespace AND contype = 'f';
SELECT schemaver.verify('mart');
\c :home
DROP DATABASE sv_key_return;
