--
-- hold.c: older versions are held to NOT NULL of columns that the newest
-- version leaves out
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_hold;
\c regression_hold
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
RESET client_min_messages;
\set VERBOSITY terse

CREATE FUNCTION shape(relation regclass)
RETURNS TABLE (part text, definition text) LANGUAGE sql AS $$
	SELECT * FROM (
		SELECT attname::text, CASE WHEN attnotnull THEN 'NOT NULL'
			ELSE 'NULL' END
		FROM pg_attribute
		WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
		ORDER BY 1) AS c
	UNION ALL
	SELECT tgname::text, pg_get_triggerdef(oid)
	FROM pg_trigger WHERE tgrelid = relation AND NOT tgisinternal
$$;

CREATE TABLE item (id int PRIMARY KEY, name text, code text NOT NULL,
	at timestamptz NOT NULL DEFAULT '2000-01-01', kind text NOT NULL);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SET client_min_messages = error;
-- name is NOT NULL from here on, and code is called label
SELECT schemaver.apply('-- schemaver: up item.name = coalesce(name, ''-'')
ALTER TABLE item ALTER name SET NOT NULL;
ALTER TABLE item RENAME code TO label', '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('ALTER TABLE item DROP name, DROP label, DROP at', '1.2.0');
RESET client_min_messages;
SELECT * FROM shape('public.item');

-- each version in its own names, and no other one
INSERT INTO item (id, name, kind) VALUES (1, 'n', 'k');
INSERT INTO item (id, name, label, kind) VALUES (1, NULL, 'l', 'k');
INSERT INTO item (id, name, label, at, kind) VALUES (1, 'n', 'l', NULL, 'k');
INSERT INTO item (id, name, label, kind) VALUES (1, 'n', 'l', 'k') RETURNING *;
UPDATE item SET label = NULL;
UPDATE item SET label = 'll', name = 'nn' RETURNING *;
INSERT INTO item (id, name, label, kind) VALUES (1, 'n', NULL, 'k')
	ON CONFLICT (id) DO UPDATE SET label = NULL;
COPY item (id, name, kind) FROM stdin;
2	n	k
\.
SELECT schemaver.register('1.0.0');
INSERT INTO item (id, name, kind) VALUES (2, 'n', 'k');
INSERT INTO item (id, code, kind) VALUES (2, 'c', 'k') RETURNING *;
DO $$
DECLARE
	s text; t text; c text;
BEGIN
	UPDATE item SET code = NULL WHERE id = 2;
EXCEPTION WHEN not_null_violation THEN
	GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME;
	RAISE NOTICE '% % % %', SQLSTATE, s, t, c;
END $$;
SELECT schemaver.register('1.2.0');
INSERT INTO item VALUES (3, 'k') RETURNING *;
UPDATE item SET kind = 'kk' WHERE id = 3;
SELECT schemaver.unregister();
INSERT INTO item (id, kind) VALUES (4, 'k');
SET session_replication_role = replica;
SELECT schemaver.register('1.0.0');
INSERT INTO item (id, kind) VALUES (5, 'k');
RESET session_replication_role;
-- what the newest has left NULL is not the older one's fault
UPDATE item SET kind = 'k', name = 'n' WHERE id IN (3, 5);
UPDATE item SET code = NULL, kind = 'k3' WHERE id = 3;
UPDATE item SET code = 'c' WHERE id = 3;
UPDATE item SET code = NULL WHERE id = 3;
SELECT severity, object, finding FROM schemaver.verify(deep => true);

-- back, and forward again
SELECT schemaver.unregister();
UPDATE item SET schemaver_retained_label = 'l', schemaver_retained_at = now()
	WHERE schemaver_retained_label IS NULL;
SELECT schemaver.rollback('1.0.0');
SELECT * FROM shape('item');
SELECT schemaver.register('1.0.0');
INSERT INTO item (id, kind) VALUES (6, 'k');
INSERT INTO item (id, code, kind) VALUES (6, 'c', 'k');
SELECT schemaver.register('1.1.0');
INSERT INTO item (id, kind) VALUES (7, 'k');
SELECT schemaver.register('1.2.0');
INSERT INTO item (id, kind) VALUES (7, 'k') RETURNING *;
SELECT schemaver.unregister();
SET client_min_messages = error;
SELECT schemaver.apply('-- schemaver: up item.name = coalesce(name, ''-'')
ALTER TABLE item ALTER name SET NOT NULL;
ALTER TABLE item RENAME code TO label', '1.1.0');
SELECT schemaver.apply('ALTER TABLE item DROP name, DROP label, DROP at', '1.2.0');
RESET client_min_messages;
SELECT * FROM shape('item');
SELECT schemaver.register('1.1.0');
INSERT INTO item (id, name, kind) VALUES (8, 'n', 'k');
SELECT schemaver.unregister();
-- NOT NULL is back when nobody leaves the column out
BEGIN;
DELETE FROM item WHERE id = 7;
SELECT schemaver.rollback('1.1.0');
SELECT schemaver.retire('1.2.0');
SELECT * FROM shape('item');
ROLLBACK;
-- retired, one after the other
SELECT schemaver.retire('1.0.0');
SELECT * FROM shape('item');
SELECT schemaver.retire('1.1.0');
SELECT * FROM shape('item');

--
-- partitions and heirs
--
CREATE SCHEMA tree;
CREATE TABLE tree.p (id int, a int, b int NOT NULL) PARTITION BY LIST (a);
CREATE TABLE tree.p1 PARTITION OF tree.p FOR VALUES IN (1);
CREATE TABLE tree.p2 (b int NOT NULL, gone int, a int, id int);
ALTER TABLE tree.p2 DROP gone;
ALTER TABLE tree.p ATTACH PARTITION tree.p2 FOR VALUES IN (2);
CREATE TABLE tree.h (id int, b int NOT NULL);
CREATE TABLE tree.h1 (c int) INHERITS (tree.h);
INSERT INTO tree.h1 VALUES (1, 1, 1);
SELECT schemaver.create_product('tree', ARRAY['tree']);
SELECT schemaver.baseline('1.0.0', 'tree');
SELECT schemaver.register('1.0.0', 'tree');
SELECT schemaver.apply('ALTER TABLE p DROP b; ALTER TABLE h DROP b', '1.1.0', 'tree');
CREATE TABLE tree.p3 PARTITION OF tree.p FOR VALUES IN (3);
SELECT schemaver.register('1.1.0', 'tree');
INSERT INTO p VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO h VALUES (2);
SELECT schemaver.register('1.0.0', 'tree');
INSERT INTO p VALUES (4, 1, NULL);
INSERT INTO p VALUES (4, 2, NULL);
INSERT INTO p VALUES (4, 3, NULL);
INSERT INTO p VALUES (4, 1, 4);
UPDATE p SET a = 2 WHERE id = 1;
UPDATE p SET a = a % 3 + 1;
UPDATE p SET a = a % 3 + 1, b = NULL;
UPDATE p SET a = a % 3 + 1, b = CASE WHEN id = 4 THEN 4 END;
DELETE FROM p WHERE id = 3;
INSERT INTO p VALUES (3, 1, NULL);
SELECT tableoid::regclass, * FROM tree.p ORDER BY id;
INSERT INTO h VALUES (2, NULL);
UPDATE h SET b = NULL;
INSERT INTO h1 VALUES (2, NULL, 2);
UPDATE h SET id = 3;
SELECT schemaver.unregister();
SELECT * FROM schemaver.verify('tree');
SELECT schemaver.retire('1.0.0', 'tree');
SELECT tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal;

--
-- a column that has another one in its place, which may not have a value for it
--
CREATE SCHEMA pair;
CREATE TABLE pair.t (id int PRIMARY KEY, size int NOT NULL);
INSERT INTO pair.t VALUES (1, 1);
SELECT schemaver.create_product('pair', ARRAY['pair']);
SELECT schemaver.baseline('1.0.0', 'pair');
SELECT schemaver.register('1.0.0', 'pair');
SELECT schemaver.apply('-- schemaver: up t.size = size || '' cm''
-- schemaver: down t.size = nullif(split_part(size, '' '', 1), '''')::integer
ALTER TABLE t ALTER size TYPE text', '1.1.0', 'pair');
SELECT * FROM shape('pair.t');
INSERT INTO t VALUES (2, NULL);
INSERT INTO t VALUES (2, 2);
SELECT schemaver.register('1.1.0', 'pair');
INSERT INTO t VALUES (3, ' cm');
SELECT schemaver.register('1.0.0', 'pair');
TABLE t;
UPDATE t SET id = 4 WHERE id = 3;
UPDATE t SET size = NULL WHERE id = 2;
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0', 'pair');
SELECT * FROM shape('pair.t');
DELETE FROM pair.t WHERE id = 4;
SELECT schemaver.retire('1.1.0', 'pair');
SELECT * FROM shape('pair.t');

--
-- a trigger function is the newest version's code, whoever makes it fire
--
CREATE SCHEMA log;
CREATE TABLE log.t (id int PRIMARY KEY);
CREATE TABLE log.log (id int, what text NOT NULL, who text NOT NULL);
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
		INSERT INTO log (id, who) VALUES (NEW.id, 'me');
		RETURN NULL;
	END $f$;
$$, '1.1.0', 'log');
INSERT INTO t VALUES (1);
INSERT INTO log (id, who) VALUES (2, 'me');
TABLE log;
SELECT schemaver.unregister();

--
-- a version that comes after a rollback is held as well, under other names
--
CREATE SCHEMA back;
CREATE TABLE back.t (id int PRIMARY KEY, code text NOT NULL);
CREATE TABLE back.p (id int, a int, b int NOT NULL) PARTITION BY LIST (a);
CREATE TABLE back.p1 PARTITION OF back.p FOR VALUES IN (1);
SELECT schemaver.create_product('back', ARRAY['back']);
SELECT schemaver.baseline('1.0.0', 'back');
SELECT schemaver.register('1.0.0', 'back');
SELECT schemaver.apply('ALTER TABLE t DROP code; ALTER TABLE p DROP b', '1.1.0', 'back');
SELECT schemaver.register('1.1.0', 'back');
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0', 'back');
SELECT schemaver.apply('ALTER TABLE t RENAME code TO label', '1.2.0', 'back');
SELECT schemaver.register('1.2.0', 'back');
INSERT INTO t VALUES (1, NULL);
SELECT schemaver.register('1.0.0', 'back');
INSERT INTO t VALUES (1, NULL);
SELECT schemaver.unregister();
ALTER TABLE back.t RENAME label TO word;

--
-- the trigger was meddled with
--
CREATE FUNCTION told() RETURNS TABLE (severity text, object text, finding text)
LANGUAGE sql AS $$
	SELECT severity, object, finding FROM schemaver.verify('back')
	WHERE finding !~ 'by hand|relaxed|may be null'
$$;
SELECT * FROM shape('back.t');
SELECT * FROM told();
DROP TRIGGER "!schemaver_hold" ON back.t;
ALTER TABLE back.p1 DISABLE TRIGGER "!schemaver_hold";
SELECT * FROM told();
SELECT schemaver.reconcile('back');
SELECT * FROM told();
CREATE OR REPLACE TRIGGER "!schemaver_hold" AFTER INSERT OR UPDATE ON back.t
	FOR EACH ROW WHEN (schemaver.writes_as('back', '{1.0.0}'))
	EXECUTE FUNCTION schemaver.hold('back', 'word', '{"1.0.0","1.2.0"}');
SELECT * FROM told();
CREATE OR REPLACE TRIGGER "!schemaver_hold" AFTER INSERT OR UPDATE ON back.t
	FOR EACH ROW WHEN (schemaver.writes_as('back', '{1.0.0,1.2.0}'))
	EXECUTE FUNCTION schemaver.hold('back', 'id', '{"1.0.0","1.2.0"}');
SELECT * FROM told();
DROP TRIGGER "!schemaver_hold" ON back.t;
-- what comes next goes by what it must be
SELECT schemaver.retire('1.1.0', 'back');
SELECT * FROM shape('back.t');
SELECT * FROM told();

--
-- by others
--
CREATE TABLE other (a int);
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION schemaver.hold();
INSERT INTO other VALUES (1);
SELECT schemaver.hold();

\c :home
DROP DATABASE regression_hold;
