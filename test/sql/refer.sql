--
-- refer.c: older versions are held to foreign keys that the newest is not
-- held to
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_refer;
\c regression_refer
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
SET schemaver.job_workers = 0;
\pset format unaligned
\pset tuples_only on
\set QUIET on
CREATE VIEW triggers AS SELECT tgrelid::regclass, tgname, tgdeferrable
	FROM pg_trigger WHERE tgname ~ 'schemaver' AND tgparentid = 0
	ORDER BY tgrelid::regclass::text, 2;
CREATE VIEW keys AS SELECT conrelid::regclass, conname,
	pg_get_constraintdef(oid) FROM pg_constraint
	WHERE contype = 'f' AND conparentid = 0 ORDER BY 1::text, 2;
CREATE VIEW told AS SELECT v.severity, v.object, v.finding, v.detail, v.hint
	FROM schemaver.verify(deep => true) AS v;
-- an error with all its fields
CREATE FUNCTION fails(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m text; d text; s text; t text; c text;
BEGIN
	EXECUTE statement;
	SET CONSTRAINTS ALL IMMEDIATE;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL,
		s = SCHEMA_NAME, t = TABLE_NAME, c = CONSTRAINT_NAME;
	RETURN concat_ws(' | ', SQLSTATE, m, d, s, t, c);
END $$;

--
-- a column and a table that a script drops, under names that versions differ in
--
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (id int PRIMARY KEY,
	p int CONSTRAINT child_parent REFERENCES parent, note text);
CREATE TABLE toy (id int PRIMARY KEY, c int DEFAULT 7
	CONSTRAINT toy_child REFERENCES child ON DELETE CASCADE ON UPDATE CASCADE,
	p int DEFAULT 8 CONSTRAINT toy_parent REFERENCES parent
	ON DELETE SET DEFAULT ON UPDATE SET NULL CHECK (p > 0));
INSERT INTO parent SELECT generate_series(1, 9);
INSERT INTO child SELECT i, i FROM generate_series(1, 5) AS i;
INSERT INTO toy SELECT i, i, i FROM generate_series(1, 5) AS i;
CREATE ROLE regress_refer;
GRANT INSERT ON child TO regress_refer;
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('ALTER TABLE parent RENAME TO guardian;
ALTER TABLE guardian RENAME id TO key;
ALTER TABLE child RENAME p TO q;
ALTER TABLE child RENAME CONSTRAINT child_parent TO child_guardian', '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('ALTER TABLE child DROP q; DROP TABLE toy', '1.2.0');
TABLE triggers;
-- rows that come, in the names of each version
SELECT schemaver.register('1.0.0');
SELECT fails('INSERT INTO child VALUES (6, 6), (7, 99)');
SELECT fails('UPDATE child SET p = 99 WHERE id = 1');
SELECT fails('INSERT INTO toy VALUES (6, 99, 1)');
SELECT schemaver.register('1.1.0');
SELECT fails('INSERT INTO child VALUES (6, 6), (7, 99)');
SELECT fails('INSERT INTO toy VALUES (6, 1, 99)');
SELECT fails('INSERT INTO child VALUES (6, 6), (7, NULL); UPDATE child SET q = id WHERE id = 7');
PREPARE come(int, int) AS INSERT INTO child VALUES ($1, $2);
EXECUTE come(20, 9);
EXECUTE come(21, 99);
-- parents that go
SELECT fails('DELETE FROM guardian WHERE key = 6');
SELECT fails('UPDATE guardian SET key = 66 WHERE key = 6');
SELECT fails('UPDATE guardian SET v = 1');
-- the newest version is not held; what it leaves is in nobody's way
SELECT schemaver.register('1.2.0');
INSERT INTO child VALUES (8);
DELETE FROM guardian WHERE key = 6;
SELECT schemaver.register('1.0.0');
SELECT fails('UPDATE child SET note = ''x'' WHERE p = 6');
SELECT fails('UPDATE child SET p = 6 WHERE p = 6');
SELECT fails('UPDATE child SET p = 6 WHERE id = 1');
SELECT fails('INSERT INTO child VALUES (9, 6)');
-- nor may it truncate what is referred to, unless it takes that along
SELECT fails('TRUNCATE parent');
SELECT schemaver.register('1.1.0');
SELECT fails('TRUNCATE guardian, child');
-- CASCADE, which would leave what refers to it as it is, is not advised
TRUNCATE guardian;
BEGIN;
TRUNCATE guardian, toy, child;
SELECT (SELECT count(*) FROM guardian), (SELECT count(*) FROM toy);
ROLLBACK;
BEGIN;
TRUNCATE guardian CASCADE;
ROLLBACK;
SELECT schemaver.register('1.2.0');
BEGIN;
TRUNCATE guardian;
ROLLBACK;
SELECT schemaver.unregister();
BEGIN;
TRUNCATE guardian;
ROLLBACK;
-- as well where the key of a table that was dropped is there still
SELECT schemaver.register('1.1.0');
SELECT fails('TRUNCATE child');
SELECT fails('TRUNCATE child, guardian');
BEGIN;
TRUNCATE child, toy;
SELECT (SELECT count(*) FROM child), (SELECT count(*) FROM toy);
ROLLBACK;
BEGIN;
TRUNCATE child CASCADE;
SELECT (SELECT count(*) FROM child), (SELECT count(*) FROM toy);
ROLLBACK;
SELECT schemaver.register('1.2.0');
BEGIN;
TRUNCATE child;
SELECT count(*) FROM schemaver_retained.toy;
ROLLBACK;
SELECT schemaver.register('1.0.0');
-- actions
UPDATE child SET id = 22 WHERE id = 2;
DELETE FROM child WHERE id = 4;
UPDATE child SET p = 7 WHERE id IN (3, 5, 20);
UPDATE parent SET id = 33 WHERE id = 3;
DELETE FROM parent WHERE id = 5;
SELECT * FROM toy ORDER BY id;
DELETE FROM child WHERE id = 1;
SELECT fails('DELETE FROM parent WHERE id = 8');
SELECT schemaver.register('1.2.0');
DELETE FROM guardian WHERE key = 8;
DELETE FROM child WHERE id = 3;
SELECT schemaver.register('1.0.0');
SELECT * FROM toy ORDER BY id;
SELECT fails('UPDATE toy SET id = id + 10');
-- who may not read the table is not told its rows
SET ROLE regress_refer;
SELECT public.fails('INSERT INTO child (id, p) VALUES (10, 98)');
RESET ROLE;
SELECT schemaver.unregister();
TABLE told;

-- by hand
SET schemaver.guard = off;
ALTER TABLE child DISABLE TRIGGER "!schemaver_refer_child_parent_write";
DROP TRIGGER "!schemaver_refer_child_parent_delete" ON guardian;
SELECT severity, object, finding, detail FROM told WHERE finding ~ 'trigger';
SELECT schemaver.reconcile();
SELECT severity, object, finding, detail FROM told WHERE finding ~ 'trigger';
RESET schemaver.guard;
SELECT schemaver.reconcile();

-- a rollback: who is held, and what comes back when the newer one is retired
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT fails('INSERT INTO child VALUES (9, 99)');
SELECT schemaver.register('1.2.0');
INSERT INTO child VALUES (9);
SELECT schemaver.unregister();
DELETE FROM child;
DELETE FROM toy;
SELECT schemaver.retire('1.2.0');
SELECT schemaver.retire('1.1.0');
TABLE keys;
TABLE triggers;
SELECT schemaver.apply('ALTER TABLE child DROP p; DROP TABLE toy', '1.3.0');
SELECT schemaver.register('1.3.0');
SELECT schemaver.retire('1.0.0');
TABLE triggers;

--
-- the version in whose names a key was written down has been retired; the owner
-- of the tables is nobody special, and does not reach what is retained
--
CREATE TABLE nest (id int PRIMARY KEY);
CREATE TABLE egg (id int, nest int CONSTRAINT egg_nest REFERENCES nest
	ON UPDATE CASCADE ON DELETE SET DEFAULT);
ALTER TABLE nest OWNER TO regress_refer;
ALTER TABLE egg OWNER TO regress_refer;
INSERT INTO nest VALUES (1), (2);
INSERT INTO egg VALUES (1, 1), (2, 2);
SELECT schemaver.apply('SELECT 1', '1.4.0');
SELECT schemaver.register('1.4.0');
SELECT schemaver.apply('ALTER TABLE nest RENAME TO hole', '1.5.0');
SELECT schemaver.register('1.5.0');
SELECT schemaver.retire('1.4.0');
SELECT schemaver.apply('DROP TABLE egg', '1.6.0');
TABLE triggers;
SELECT schemaver.register('1.5.0');
SET ROLE regress_refer;
SELECT public.fails('INSERT INTO egg VALUES (3, 3)');
INSERT INTO egg VALUES (3, 2);
UPDATE hole SET id = 11 WHERE id = 1;
DELETE FROM hole WHERE id = 2;
SELECT * FROM egg ORDER BY id;
RESET ROLE;
SELECT schemaver.register('1.6.0');
SELECT schemaver.retire('1.5.0');
TABLE triggers;

--
-- the table that is referred to goes, or its column
--
CREATE TABLE brand (id int PRIMARY KEY, code varchar(9) UNIQUE, tag int UNIQUE);
CREATE TABLE item (id int PRIMARY KEY, brand int REFERENCES brand,
	CODE text REFERENCES brand (code) ON UPDATE CASCADE, tag bigint);
ALTER TABLE item ADD CONSTRAINT item_tag FOREIGN KEY (tag)
	REFERENCES brand (tag) NOT VALID;
CREATE TABLE note (item int REFERENCES item);
INSERT INTO brand VALUES (1, 'a', 10), (2, 'b', 20);
INSERT INTO item VALUES (1, 1, 'a', 10);
SELECT schemaver.apply('SELECT 1', '2.0.0');
SELECT schemaver.register('2.0.0');
SELECT schemaver.retire('1.6.0');
SELECT schemaver.apply('ALTER TABLE brand DROP code CASCADE', '2.1.0');
SELECT schemaver.register('2.1.0');
SELECT schemaver.apply('DROP TABLE brand CASCADE;
ALTER TABLE note DROP CONSTRAINT note_item_fkey', '2.2.0');
TABLE triggers;
SELECT schemaver.register('2.0.0');
SELECT fails('INSERT INTO item VALUES (2, 3)');
SELECT fails('INSERT INTO item (id, code) VALUES (2, ''c'')');
SELECT fails('INSERT INTO item (id, tag) VALUES (2, 30)');
SELECT fails('INSERT INTO item VALUES (2, 2, ''b'', 20)');
SELECT fails('DELETE FROM brand WHERE id = 1');
SELECT fails('UPDATE brand SET code = ''z'' WHERE id = 1');
SELECT * FROM item ORDER BY id;
-- what was dropped by itself is relaxed for all
SELECT fails('INSERT INTO note VALUES (99)');
SELECT schemaver.register('2.1.0');
SELECT fails('INSERT INTO item VALUES (3, 3)');
INSERT INTO item VALUES (3, 1, 'nothing', 10);
SELECT schemaver.register('2.2.0');
INSERT INTO item VALUES (4, 4, 'd', 40);
SELECT schemaver.unregister();
DROP TABLE item, note CASCADE;
TABLE triggers;

--
-- several columns, keys that can wait, and a table that refers to itself
--
\c -
SET client_min_messages = warning;
SET schemaver.job_workers = 0;
\pset format unaligned
\pset tuples_only on
\set QUIET on
CREATE TABLE place (x int, y numeric, PRIMARY KEY (x, y));
CREATE TABLE pin (id int PRIMARY KEY, x int, y int,
	up int CONSTRAINT pin_up REFERENCES pin DEFERRABLE,
	late int CONSTRAINT pin_late REFERENCES pin
	ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	CONSTRAINT pin_place FOREIGN KEY (x, y) REFERENCES place MATCH FULL
	ON DELETE SET NULL);
CREATE TABLE flag (id int PRIMARY KEY, x int, y numeric, FOREIGN KEY (x, y)
	REFERENCES place ON DELETE SET NULL (y));
INSERT INTO place VALUES (1, 1.0), (1, 2), (2, 2);
INSERT INTO pin VALUES (1, 1, 1, 1, 1);
INSERT INTO flag VALUES (1, 1, 2);
SELECT schemaver.apply('SELECT 1', '3.0.0');
SELECT schemaver.register('3.0.0');
SELECT schemaver.retire('2.2.0');
SELECT schemaver.apply('ALTER TABLE pin DROP x, DROP up, DROP late;
ALTER TABLE flag DROP y, DROP x', '3.1.0');
SELECT schemaver.register('3.1.0');
TABLE triggers;
SELECT schemaver.register('3.0.0');
SELECT fails('INSERT INTO pin VALUES (2, 1, 3)');
SELECT fails('INSERT INTO pin VALUES (2, 1, NULL)');
SELECT fails('INSERT INTO pin VALUES (2, 1, 2), (3, NULL, NULL)');
SELECT fails('INSERT INTO flag VALUES (2, 1, 3)');
SELECT fails('INSERT INTO flag VALUES (2, 1, NULL), (3, NULL, 3), (4, 1, 2.00)');
DELETE FROM place WHERE y = 2;
SELECT * FROM pin ORDER BY id;
SELECT * FROM flag ORDER BY id;
-- each row at once, or all in the end
SELECT fails('INSERT INTO pin VALUES (4, NULL, NULL, 5, NULL)');
SELECT fails('INSERT INTO pin VALUES (4, NULL, NULL, 5, NULL), (5, NULL, NULL, 4, NULL)');
SELECT fails('INSERT INTO pin VALUES (6, NULL, NULL, 6, 7)');
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO pin VALUES (6, NULL, NULL, 7, 7);
INSERT INTO pin VALUES (8, NULL, NULL, 99, 99);
UPDATE pin SET up = 7, late = 7 WHERE id = 8;
INSERT INTO pin VALUES (9, NULL, NULL, 99, 99);
DELETE FROM pin WHERE id = 9;
INSERT INTO pin VALUES (7, NULL, NULL, 6, 6);
COMMIT;
BEGIN;
INSERT INTO pin VALUES (10, NULL, NULL, 6, 99);
UPDATE pin SET y = NULL WHERE id = 10;
COMMIT;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM pin WHERE id = 5;
DELETE FROM pin WHERE id = 4;
COMMIT;
-- as the version that has written, whatever the session is in the end
BEGIN;
INSERT INTO pin VALUES (20, NULL, NULL, NULL, 99);
SELECT schemaver.unregister();
COMMIT;
BEGIN;
INSERT INTO pin VALUES (20, NULL, NULL, NULL, 99);
SELECT schemaver.register('3.1.0');
INSERT INTO pin VALUES (21);
COMMIT;
SELECT schemaver.register('3.0.0');
BEGIN;
INSERT INTO pin VALUES (20, NULL, NULL, NULL, 21);
SELECT schemaver.unregister();
INSERT INTO pin VALUES (21);
UPDATE pin SET id = 22 WHERE id = 21;
SELECT schemaver.register('3.0.0');
UPDATE pin SET id = 21 WHERE id = 22;
COMMIT;
SELECT id, late FROM pin WHERE id >= 20 ORDER BY id;
BEGIN;
UPDATE pin SET late = 98 WHERE id = 20;
SAVEPOINT a;
SELECT schemaver.unregister();
ROLLBACK TO a;
UPDATE pin SET late = 97 WHERE id = 20;
SELECT schemaver.register('3.1.0');
COMMIT;
BEGIN;
SELECT schemaver.unregister();
UPDATE pin SET schemaver_retained_late = 98 WHERE id = 20;
SELECT schemaver.register('3.0.0');
COMMIT;
-- the parent too
UPDATE pin SET late = 21, up = 21 WHERE id = 20;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
UPDATE pin SET id = 23 WHERE id = 21;
SELECT schemaver.unregister();
COMMIT;
SELECT schemaver.register('3.0.0');
DELETE FROM pin WHERE id IN (20, 21);
SELECT fails('DELETE FROM pin WHERE id = 6');
SELECT id, up, late FROM pin ORDER BY id;
SELECT schemaver.unregister();
DROP TABLE pin, place, flag CASCADE;

--
-- partitions
--
CREATE TABLE home (id int, part int, PRIMARY KEY (id, part))
	PARTITION BY LIST (part);
CREATE TABLE home_1 PARTITION OF home FOR VALUES IN (1);
CREATE TABLE home_2 PARTITION OF home FOR VALUES IN (2, 3);
CREATE TABLE flat (id int PRIMARY KEY);
CREATE TABLE cat (id int, part int, home int, hp int, old int REFERENCES
	flat, FOREIGN KEY (home, hp) REFERENCES home ON DELETE CASCADE)
	PARTITION BY LIST (part);
CREATE TABLE cat_1 PARTITION OF cat FOR VALUES IN (1);
CREATE TABLE cat_2 (gone int, old int, hp int, home int, part int, id int);
ALTER TABLE cat_2 DROP gone;
ALTER TABLE cat ATTACH PARTITION cat_2 FOR VALUES IN (2);
INSERT INTO home VALUES (1, 1), (2, 2), (4, 3);
INSERT INTO flat VALUES (1), (2), (3);
INSERT INTO cat VALUES (1, 1, 1, 1, 1), (2, 2, 2, 2, 2);
SELECT schemaver.apply('SELECT 1', '4.0.0');
SELECT schemaver.register('4.0.0');
SELECT schemaver.retire('3.1.0');
SELECT schemaver.apply('ALTER TABLE cat DROP home, DROP old', '4.1.0');
SELECT schemaver.register('4.1.0');
TABLE triggers;
SELECT schemaver.apply('CREATE TABLE cat_3 PARTITION OF cat FOR VALUES IN (3)',
	'4.2.0');
SELECT schemaver.register('4.2.0');
DELETE FROM flat WHERE id = 1;
SELECT schemaver.register('4.0.0');
SELECT fails('INSERT INTO cat VALUES (3, 1, 1, 2)');
SELECT fails('INSERT INTO cat VALUES (3, 2, 1, 1, 9)');
SELECT fails('INSERT INTO cat VALUES (3, 3, 1, 1, 9)');
SELECT fails('UPDATE cat SET part = 2 WHERE id = 1');
SELECT fails('UPDATE cat SET part = 1, old = 9 WHERE id = 1');
SELECT fails('UPDATE cat SET part = 3 - part');
SELECT fails('UPDATE home SET part = 3 WHERE id = 1');
UPDATE home SET id = 22 WHERE id = 2;
SELECT fails('UPDATE home SET id = 23 WHERE id = 22');
SELECT * FROM cat ORDER BY id;
DELETE FROM home WHERE id = 1;
UPDATE home SET part = 1 WHERE part = 3;
SELECT * FROM cat ORDER BY id;
SELECT fails('DELETE FROM flat WHERE id = 2');
SELECT schemaver.unregister();
SELECT finding FROM told;
ALTER TABLE cat_2 DISABLE TRIGGER "!schemaver_refer_cat_old_fkey_write";
SELECT object, finding FROM told WHERE finding ~ 'trigger';
SELECT schemaver.reconcile();
SELECT object, finding FROM told WHERE finding ~ 'trigger';

--
-- many rows that go from partitions, one that moves before its deferred check,
-- and code that comes back to a key while that is being seen to
--
DROP TABLE home, cat, flat CASCADE;
CREATE TABLE den (id int PRIMARY KEY);
CREATE TABLE fox (id int, part int, den int CONSTRAINT fox_den REFERENCES den
	DEFERRABLE) PARTITION BY LIST (part);
CREATE TABLE fox_1 PARTITION OF fox FOR VALUES IN (1);
CREATE TABLE fox_2 PARTITION OF fox FOR VALUES IN (2);
CREATE TABLE cub (id int PRIMARY KEY,
	den int CONSTRAINT cub_den REFERENCES den ON DELETE CASCADE);
CREATE FUNCTION go_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'shop_4_3_0, public', true);
	ANALYZE public.den;
	DELETE FROM den WHERE den.id = OLD.id + 1;
	RETURN OLD;
END $$;
CREATE TRIGGER go_on BEFORE DELETE ON cub FOR EACH ROW
	EXECUTE FUNCTION go_on();
INSERT INTO den SELECT generate_series(1, 20000);
INSERT INTO cub SELECT i, i FROM generate_series(1, 4) AS i;
SELECT schemaver.apply('SELECT 1', '4.3.0');
SELECT schemaver.register('4.3.0');
SELECT schemaver.retire('4.2.0');
SET client_min_messages = error;
SELECT schemaver.apply('ALTER TABLE fox DROP den; ALTER TABLE cub DROP den',
	'4.4.0');
SET client_min_messages = warning;
INSERT INTO fox SELECT i, 1, i FROM generate_series(1, 20000) AS i;
SET statement_timeout = '8s';
DELETE FROM fox;
RESET statement_timeout;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO fox VALUES (1, 1, 20001);
UPDATE fox SET part = 2;
COMMIT;
BEGIN;
DELETE FROM den WHERE id = 1;
SELECT count(*), min(id) FROM den;
TABLE cub;
COMMIT;
SELECT schemaver.unregister();

--
-- columns that change their type have a foreign key that all are held to
--
DROP TABLE den, fox, cub CASCADE;
DROP FUNCTION go_on();
CREATE TABLE big (id int PRIMARY KEY);
CREATE TABLE small (big int REFERENCES big);
INSERT INTO big VALUES (1);
SELECT schemaver.apply('SELECT 1', '5.0.0');
SELECT schemaver.register('5.0.0');
SELECT schemaver.retire('4.4.0');
SELECT schemaver.apply('ALTER TABLE big ALTER id TYPE bigint;
ALTER TABLE small ALTER big TYPE bigint', '5.1.0');
SELECT tgname FROM triggers WHERE tgname ~ 'refer';
SELECT schemaver.register('5.0.0');
SELECT fails('INSERT INTO small VALUES (2)');
SELECT schemaver.unregister();
DROP TABLE big, small CASCADE;

--
-- a table that a migration makes, and that is rolled back
--
CREATE TABLE person (id int PRIMARY KEY, boss int);
INSERT INTO person VALUES (1), (2), (3);
SELECT schemaver.apply('SELECT 1', '6.0.0');
SELECT schemaver.register('6.0.0');
SELECT schemaver.retire('5.1.0');
\set script 'CREATE TABLE pet (id int PRIMARY KEY, owner int REFERENCES person); ALTER TABLE person ADD friend int REFERENCES person; ALTER TABLE person ADD FOREIGN KEY (boss) REFERENCES person'
SELECT schemaver.apply(:'script', '6.1.0');
SELECT schemaver.register('6.1.0');
INSERT INTO pet VALUES (1, 1), (2, 2);
SELECT schemaver.rollback('6.0.0');
TABLE keys;
SELECT tgname FROM triggers WHERE tgname ~ 'refer';
-- the newer version is held to it still, the older one is not
SELECT fails('INSERT INTO pet VALUES (3, 99)');
SELECT fails('UPDATE person SET friend = 99');
SELECT fails('DELETE FROM person WHERE id = 2');
SELECT schemaver.register('6.0.0');
DELETE FROM person WHERE id = 1;
UPDATE person SET boss = 99 WHERE id = 3;
SELECT schemaver.unregister();
UPDATE person SET boss = NULL;
-- rows that the older version does not see are no error
SELECT schemaver.apply(:'script', '6.1.0');
TABLE keys;
TABLE told;
SELECT tgname FROM triggers WHERE tgname ~ 'refer';
DELETE FROM pet WHERE owner = 1;
ALTER TABLE pet VALIDATE CONSTRAINT pet_owner_fkey;
TABLE told;
-- back and forward with nothing astray; large tables by a job
SELECT schemaver.rollback('6.0.0');
SET schemaver.inline_pages = 0;
SELECT schemaver.apply(:'script', '6.1.0');
SELECT kind, relation, target, state FROM schemaver.jobs
	WHERE state <> 'done' ORDER BY 3;
CALL schemaver.run_jobs();
RESET schemaver.inline_pages;
TABLE keys;
TABLE told;

-- two products, one of which refers to the other
CREATE SCHEMA one;
CREATE SCHEMA two;
SELECT schemaver.create_product('one', ARRAY['one']);
SELECT schemaver.create_product('two', ARRAY['two']);
CREATE TABLE one.t (id int PRIMARY KEY);
CREATE TABLE one.r (t int CONSTRAINT r_t REFERENCES one.t);
CREATE TABLE two.r (t int CONSTRAINT r_t REFERENCES one.t ON DELETE CASCADE);
SELECT schemaver.baseline('1', 'one');
SELECT schemaver.baseline('1', 'two');
SELECT schemaver.register('1', 'two');
SELECT schemaver.register('1', 'one');
SELECT schemaver.apply('ALTER TABLE one.r DROP t', '2', 'one');
SELECT schemaver.apply('ALTER TABLE two.r DROP t', '2', 'two');
SELECT schemaver.apply('CREATE TABLE one.u ()', '3', 'one');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ 'refer'
	ORDER BY 2;
INSERT INTO t VALUES (1), (2);
SELECT fails('INSERT INTO r VALUES (3)');
INSERT INTO r VALUES (1);
SELECT fails('DELETE FROM t WHERE id = 1');
SELECT schemaver.register('1', 'two');
SELECT fails('INSERT INTO r VALUES (3)');
INSERT INTO r VALUES (2);
DELETE FROM one.t;
-- what a session knows of keys that are gone it forgets for others
SELECT count(*) FROM pg_backend_memory_contexts
	WHERE name = 'schemaver reference';
SELECT * FROM r;
SELECT schemaver.unregister();
SELECT schemaver.retire('1', 'two');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname ~ 'refer'
	ORDER BY 2;

-- one version has the key over what the column was before its type changed
SET schemaver.inline_pages = 0;
CREATE SCHEMA three;
SELECT schemaver.create_product('three', ARRAY['three']);
CREATE TABLE three.t (id int PRIMARY KEY, b int NOT NULL);
CREATE TABLE three.r (x int REFERENCES three.t, y int);
SELECT schemaver.baseline('1', 'three');
SELECT schemaver.register('1', 'three'), schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE r DROP CONSTRAINT r_x_fkey;
	ALTER TABLE t DROP CONSTRAINT t_pkey;
	ALTER TABLE t ADD PRIMARY KEY (b)', '2', 'three');
CALL schemaver.run_jobs('three');
SELECT schemaver.register('2', 'three'), schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE r ADD FOREIGN KEY (y) REFERENCES t', '3',
	'three');
CALL schemaver.run_jobs('three');
SELECT schemaver.register('3', 'three'), schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE t ALTER b TYPE bigint;
	ALTER TABLE t RENAME b TO c', '4', 'three');
CALL schemaver.run_jobs('three');
SELECT schemaver.register('4', 'three'), schemaver.unregister();
SELECT schemaver.rollback('1', 'three');
SELECT object, finding FROM schemaver.verify('three') ORDER BY 1;
SELECT schemaver.register('3', 'three');
SELECT fails('INSERT INTO r (y) VALUES (7)');
SELECT schemaver.register('4', 'three');
SELECT fails('INSERT INTO r (y) VALUES (7)');
SELECT schemaver.unregister();

\c :home
DROP DATABASE regression_refer;
DROP ROLE regress_refer;
