--
-- check.c: older versions are held to CHECKs that the newest is not held to
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_check;
\c regression_check
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
RESET client_min_messages;
\set VERBOSITY terse

CREATE FUNCTION shape(relation regclass)
RETURNS TABLE (part text, definition text) LANGUAGE sql AS $$
	SELECT conname::text, pg_get_constraintdef(oid)
	FROM pg_constraint WHERE conrelid = relation AND contype = 'c'
	UNION ALL
	SELECT tgname::text, regexp_replace(pg_get_triggerdef(oid), '^.* WHEN ', '')
	FROM pg_trigger WHERE tgrelid = relation AND tgname ~ 'hold'
	ORDER BY 1
$$;

--
-- drops, under names that versions differ in
--
CREATE FUNCTION big(int) RETURNS bool IMMUTABLE
	LANGUAGE sql AS 'SELECT $1 > 10';
CREATE TABLE item (id int PRIMARY KEY, a int, b int, c int, d int DEFAULT 1,
	CONSTRAINT many CHECK (a > 0 AND b > 0),
	CONSTRAINT low CHECK (b < 100),
	CONSTRAINT fun CHECK (big(b + 10)),
	CONSTRAINT seen CHECK (c < 10));
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('ALTER TABLE item RENAME CONSTRAINT low TO lower;
ALTER TABLE item RENAME a TO first', '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('ALTER TABLE item DROP b, DROP CONSTRAINT seen;
ALTER FUNCTION big(int) RENAME TO huge', '1.2.0');
SELECT * FROM shape('public.item');

-- each version in its own names, and no other one
INSERT INTO item (id, first, b) VALUES (1, 0, 1);
INSERT INTO item (id, first, b) VALUES (1, 1, 100);
INSERT INTO item (id, first, b) VALUES (1, 1, 1), (2, 2, NULL), (3, -1, NULL);
INSERT INTO item (id, first, b) VALUES (1, 1, 1), (2, 2, NULL) RETURNING *;
UPDATE item SET b = 100;
INSERT INTO item (id, first) VALUES (1, 1)
	ON CONFLICT (id) DO UPDATE SET first = -1;
COPY item (id, first, b) FROM stdin;
3	-1	1
\.
SELECT schemaver.register('1.0.0');
INSERT INTO item (id, a, b) VALUES (3, 1, 100);
DO $$
DECLARE
	s text; t text; c text;
BEGIN
	UPDATE item SET b = 100;
EXCEPTION WHEN check_violation THEN
	GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME,
		c = CONSTRAINT_NAME;
	RAISE NOTICE '% % % %', SQLSTATE, s, t, c;
END $$;
-- what was dropped by itself is relaxed for all
UPDATE item SET c = 11 WHERE id = 2;
SELECT schemaver.register('1.2.0');
INSERT INTO item VALUES (3, -1), (4, -1);
UPDATE item SET first = -1 WHERE id = 2;
SELECT schemaver.unregister();
INSERT INTO item VALUES (5, -1);

-- what the newest has left like that is not the older one's fault
SELECT schemaver.register('1.0.0');
UPDATE item SET d = 2;
UPDATE item SET a = -2 WHERE id = 3;
UPDATE item SET a = 2 WHERE id = 3;
UPDATE item SET a = -2 WHERE id = 3;
UPDATE item SET b = 1 WHERE id = 3;
UPDATE item SET a = -2 WHERE id = 3;
SELECT schemaver.unregister();
SELECT severity, object, finding FROM schemaver.verify(deep => true);

-- the triggers are in nobody's way, and nobody is told of them
SET schemaver.plan_lock_limit = 0;
SELECT effect FROM schemaver.plan('ALTER TABLE item DROP first');
SELECT effect FROM schemaver.plan('DROP FUNCTION huge(int)');
SET client_min_messages = error;
SELECT schemaver.apply('ALTER TABLE item RENAME first TO one', '1.3.0');
SELECT schemaver.register('1.3.0');
SELECT schemaver.apply('ALTER TABLE item ALTER one TYPE text', '1.4.0');
SELECT schemaver.register('1.4.0');
SELECT schemaver.apply('ALTER TABLE item DROP one;
DROP FUNCTION huge(int)', '1.5.0');
RESET client_min_messages;
SELECT * FROM shape('public.item');
INSERT INTO item (id) VALUES (6);
SELECT schemaver.register('1.0.0');
INSERT INTO item (id, a, b) VALUES (7, 0, 1);
INSERT INTO item (id, a, b) VALUES (7, 1, 0);
INSERT INTO item (id, a, b) VALUES (7, 1, 2);
SELECT schemaver.unregister();
DELETE FROM item WHERE id <> 7;

-- back, and forward again
SELECT schemaver.rollback('1.2.0');
SELECT * FROM shape('item');
SELECT schemaver.rollback('1.0.0');
SELECT * FROM shape('item');
SELECT schemaver.register('1.1.0');
INSERT INTO item (id, first, b) VALUES (8, -1, 1);
SELECT schemaver.register('1.2.0');
INSERT INTO item (id, first) VALUES (8, -1);
SELECT schemaver.unregister();
DELETE FROM item;
SELECT schemaver.apply('ALTER TABLE item RENAME CONSTRAINT low TO lower;
ALTER TABLE item RENAME a TO first', '1.1.0');
SELECT schemaver.apply('ALTER TABLE item DROP b, DROP CONSTRAINT seen;
ALTER FUNCTION big(int) RENAME TO huge', '1.2.0');
SELECT * FROM shape('item');

-- retired, one after the other
SELECT schemaver.retire('1.0.0');
SELECT * FROM shape('item');
SELECT schemaver.retire('1.1.0');
SELECT * FROM shape('item');

--
-- CHECKs of a version that is rolled back, and those of one that comes then
--
CREATE SCHEMA back;
CREATE TABLE back.t (id int PRIMARY KEY, a int, b int CHECK (b > 0));
SELECT schemaver.create_product('back', ARRAY['back']);
SELECT schemaver.baseline('1.0.0', 'back');
SELECT schemaver.register('1.0.0', 'back');
SET client_min_messages = error;
SELECT schemaver.apply('ALTER TABLE t DROP b;
ALTER TABLE t ADD c int, ADD CONSTRAINT ac CHECK (a > 0), ADD CHECK (c > 0)',
	'1.1.0', 'back');
RESET client_min_messages;
SELECT schemaver.register('1.1.0', 'back');
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0', 'back');
SELECT * FROM shape('back.t');
SELECT schemaver.register('1.1.0', 'back');
INSERT INTO t VALUES (1, 0, 1);
INSERT INTO t VALUES (1, 1, 0);
SELECT schemaver.register('1.0.0', 'back');
INSERT INTO t VALUES (1, 0, 1);
INSERT INTO t VALUES (2, 1, 0);
SELECT schemaver.apply('ALTER TABLE t RENAME b TO bb', '1.2.0', 'back');
SELECT * FROM shape('back.t');
SELECT schemaver.register('1.2.0', 'back');
INSERT INTO t VALUES (2, 1, 0);
SELECT schemaver.unregister();
SELECT schemaver.retire('1.1.0', 'back');
SELECT * FROM shape('back.t');

--
-- partitions and heirs
--
CREATE SCHEMA tree;
CREATE TABLE tree.p (id int, a int, b int, CONSTRAINT ab CHECK (a < b))
	PARTITION BY LIST (a);
CREATE TABLE tree.p1 PARTITION OF tree.p FOR VALUES IN (1);
CREATE TABLE tree.p2 (b int, gone int, a int, id int,
	CONSTRAINT ab CHECK (a < b));
ALTER TABLE tree.p2 DROP gone;
ALTER TABLE tree.p ATTACH PARTITION tree.p2 FOR VALUES IN (2);
CREATE TABLE tree.h (id int, b int CHECK (b > 0), f text);
CREATE TABLE tree.h1 (c int, CHECK (b + c < 100)) INHERITS (tree.h);
SELECT schemaver.create_product('tree', ARRAY['tree']);
SELECT schemaver.baseline('1.0.0', 'tree');
SELECT schemaver.register('1.0.0', 'tree');
SELECT schemaver.apply('ALTER TABLE p DROP b; ALTER TABLE h DROP b', '1.1.0',
	'tree');
CREATE TABLE tree.p3 PARTITION OF tree.p FOR VALUES IN (3);
-- meddled with, and mended
CREATE FUNCTION told() RETURNS TABLE (severity text, object text, finding text)
LANGUAGE sql AS $$
	SELECT severity, object, finding FROM schemaver.verify('tree')
	WHERE finding !~ 'by hand'
$$;
SELECT * FROM told();
DROP TRIGGER "!schemaver_hold_h_b_check_insert" ON tree.h;
ALTER TABLE tree.h1 DISABLE TRIGGER "!schemaver_hold_h_b_check_update";
ALTER TABLE tree.p3 DISABLE TRIGGER "!schemaver_hold_ab_insert";
SELECT * FROM told();
SELECT schemaver.reconcile('tree');
SELECT * FROM told();
CREATE OR REPLACE TRIGGER "!schemaver_hold_h_b_check_insert"
	AFTER INSERT ON tree.h FOR EACH ROW
	EXECUTE FUNCTION schemaver.hold_check('tree', 'h_b_check', '{"1.0.0"}');
CREATE TRIGGER "!schemaver_hold_mine" AFTER INSERT ON tree.h1
	FOR EACH ROW EXECUTE FUNCTION schemaver.hold_check();
SELECT * FROM told();
SELECT schemaver.reconcile('tree');
SELECT * FROM told();
SELECT tgrelid::regclass, tgname FROM pg_trigger
WHERE tgname ~ 'hold' ORDER BY 1, 2;
SELECT schemaver.register('1.1.0', 'tree');
INSERT INTO p VALUES (1, 1), (2, 2), (3, 3);
SELECT schemaver.register('1.0.0', 'tree');
INSERT INTO p VALUES (4, 1, 1);
INSERT INTO p VALUES (4, 2, 1);
INSERT INTO p VALUES (4, 3, 1);
INSERT INTO p VALUES (4, 1, 4);
SELECT schemaver.unregister();
UPDATE tree.p SET schemaver_retained_b = 0 WHERE id < 4;
SELECT schemaver.register('1.0.0', 'tree');
UPDATE p SET a = a % 3 + 1;
UPDATE p SET b = 0;
UPDATE p SET a = a % 3 + 1, b = 0 WHERE id = 4;
UPDATE p SET a = a % 3 + 1, b = 0;
UPDATE p SET a = a % 3 + 1, b = 9;
UPDATE p SET a = a % 3 + 1, b = 0 WHERE id = 1;
INSERT INTO h VALUES (2, 0);
INSERT INTO h1 VALUES (2, 0);
INSERT INTO h1 VALUES (2, 1, 'x', 99);
INSERT INTO h1 VALUES (2, 1, 'x', 98);
UPDATE h SET b = 2;
SELECT schemaver.unregister();
SELECT object, finding FROM schemaver.verify('tree')
WHERE finding <> 'changed by hand';
SELECT schemaver.retire('1.0.0', 'tree');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ 'hold';

--
-- columns of another type, within the migration and by jobs
--
CREATE SCHEMA pair;
CREATE TABLE pair.t (id int PRIMARY KEY,
	size int CONSTRAINT positive CHECK (size > 0),
	name varchar(10) CONSTRAINT long CHECK (length(name) > 2));
SELECT schemaver.create_product('pair', ARRAY['pair']);
SELECT schemaver.baseline('1.0.0', 'pair');
SELECT schemaver.register('1.0.0', 'pair');
\set script '-- schemaver: up t.size = greatest(size, 1) || '' cm'' \n-- schemaver: down t.size = split_part(size, '' '', 1)::integer \n-- schemaver: up t.name = name || ''--'' \n-- schemaver: down t.name = left(name, -2) \nALTER TABLE t DROP CONSTRAINT positive; ALTER TABLE t ALTER size TYPE text, ALTER name TYPE text'
SELECT schemaver.apply(:'script', '1.1.0', 'pair');
SELECT * FROM shape('pair.t');
INSERT INTO t VALUES (1, 0, 'abc');
INSERT INTO t VALUES (1, 1, 'ab');
INSERT INTO t VALUES (1, 1, 'abc');
SELECT schemaver.register('1.1.0', 'pair');
INSERT INTO t (id, size, name) VALUES (2, '-1 cm', 'ab');
INSERT INTO t (id, size, name) VALUES (2, '-1 cm', 'abc');
SELECT schemaver.register('1.0.0', 'pair');
UPDATE t SET id = id + 2;
UPDATE t SET size = 0;
UPDATE t SET size = 0 WHERE id = 4;
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0', 'pair');
SELECT * FROM shape('pair.t');
DELETE FROM pair.t;
SELECT schemaver.retire('1.1.0', 'pair');
SELECT * FROM shape('pair.t');
SET schemaver.inline_pages = 0;
INSERT INTO pair.t VALUES (1, 1, 'abc');
SELECT schemaver.register('1.0.0', 'pair');
SELECT schemaver.apply(:'script', '1.2.0', 'pair');
SET client_min_messages = warning;
CALL schemaver.run_jobs();
RESET client_min_messages;
SELECT * FROM shape('pair.t');
INSERT INTO t VALUES (2, 0, 'abc');
INSERT INTO t VALUES (2, 1, 'ab');
INSERT INTO t VALUES (2, 2, 'abc');
SELECT schemaver.unregister();
RESET schemaver.inline_pages;
SELECT object, finding FROM schemaver.verify('pair');

--
-- a trigger function is the newest version's code, whoever makes it fire
--
CREATE SCHEMA log;
CREATE TABLE log.t (id int PRIMARY KEY);
CREATE TABLE log.log (id int, what text DEFAULT '', who text CHECK (who <> what));
CREATE FUNCTION log.log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log VALUES (NEW.id, 'written', 'me');
	RETURN NULL;
END $$;
CREATE TRIGGER log AFTER INSERT ON log.t FOR EACH ROW EXECUTE FUNCTION log.log();
SELECT schemaver.create_product('log', ARRAY['log']);
SELECT schemaver.baseline('1.0.0', 'log');
SELECT schemaver.register('1.0.0', 'log');
SELECT schemaver.apply($$
	ALTER TABLE log DROP what;
	CREATE OR REPLACE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		INSERT INTO log (id, who) VALUES (NEW.id, '');
		RETURN NULL;
	END $f$;
$$, '1.1.0', 'log');
INSERT INTO t VALUES (1);
INSERT INTO log (id, who) VALUES (2, '');
TABLE log;
SELECT schemaver.unregister();

--
-- by others
--
CREATE TABLE other (a int);
CREATE TRIGGER t BEFORE INSERT ON other
	FOR EACH ROW EXECUTE FUNCTION schemaver.hold_check();
INSERT INTO other VALUES (1);
SELECT schemaver.hold_check();

\c :home
DROP DATABASE regression_check;
