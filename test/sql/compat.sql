--
-- Version schemas and their views: what reconcile makes, mends and leaves
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_compat;
\c sv_compat
CREATE EXTENSION schemaver;
CREATE ROLE regress_compat_app;

CREATE SCHEMA c;
CREATE SCHEMA app;
CREATE TABLE c.item (
	id		int PRIMARY KEY,
	name	text UNIQUE,
	size	int,
	place	int UNIQUE DEFERRABLE,
	CONSTRAINT two UNIQUE (name, size) INCLUDE (place)
);
CREATE UNIQUE INDEX item_lower ON c.item (lower(name)) WHERE size > 0;
CREATE TABLE c.child (id int PRIMARY KEY, item int REFERENCES c.item ON DELETE CASCADE);
CREATE TABLE c.same (id int PRIMARY KEY);
SELECT schemaver.create_product('c', '{c}');
SELECT schemaver.baseline('1.0', 'c');
SELECT schemaver.register('1.0', 'c');
SELECT schemaver.apply('ALTER TABLE item RENAME name TO title;
	ALTER TABLE item RENAME CONSTRAINT two TO pair;
	ALTER TABLE item ADD COLUMN extra int UNIQUE;
	ALTER TABLE child RENAME item TO item_id', product => 'c');

-- only what differs, with the keys of the base under their old names
SELECT relname FROM pg_class WHERE relnamespace = 'c_1_0'::regnamespace ORDER BY 1;
SELECT conrelid::regclass AS view, conname, condeferrable, conkey,
	conindid::regclass AS index, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'c_1_0'::regnamespace ORDER BY 1, 2;
INSERT INTO item VALUES (1, 'a', 1, 1) ON CONFLICT ON CONSTRAINT two DO NOTHING;
INSERT INTO item VALUES (1, 'b', 1, 2) ON CONFLICT (id) DO UPDATE SET size = 2 RETURNING *;
INSERT INTO item VALUES (2, 'a', 2, 3) ON CONFLICT (name, size) DO UPDATE SET size = 3 RETURNING *;
INSERT INTO item VALUES (2, 'A', 3, 3) ON CONFLICT (lower(name)) WHERE size > 0
	DO UPDATE SET size = 4 RETURNING *;
INSERT INTO child VALUES (1, 1);
DELETE FROM item WHERE id = 1;
SELECT count(*) FROM child;
SELECT name, size FROM item GROUP BY id;
SELECT name, size FROM item GROUP BY name;

-- reconcile mends whatever was done to the views, once
SET schemaver.guard = off;
DROP VIEW c_1_0.child;
ALTER VIEW c_1_0.item RENAME COLUMN name TO x;
ALTER VIEW c_1_0.item ALTER size SET DEFAULT 7;
RESET schemaver.guard;
SELECT schemaver.reconcile('c'), schemaver.reconcile('c');
SET schemaver.guard = off;
ALTER VIEW c_1_0.item RESET (security_invoker);
GRANT ALL ON c_1_0.item TO regress_compat_app;
RESET schemaver.guard;
SELECT schemaver.reconcile('c'), schemaver.reconcile('c');
INSERT INTO item (id, name) VALUES (3, 'c') RETURNING *;
SELECT has_table_privilege('regress_compat_app', 'c_1_0.item', 'SELECT');

-- objects that somebody has made of a view are not dropped with it
CREATE VIEW app.mine AS SELECT id, name FROM c_1_0.item;
SELECT schemaver.apply('ALTER TABLE item DROP COLUMN extra;
	ALTER TABLE item RENAME title TO name;
	ALTER TABLE item RENAME CONSTRAINT pair TO two', product => 'c');
SELECT * FROM app.mine;
DROP VIEW app.mine;

-- nor is what somebody has made in a version schema
SET schemaver.guard = off;
CREATE TABLE c_1_0.same (precious int);
RESET schemaver.guard;
SELECT schemaver.reconcile('c');
ALTER TABLE c_1_0.same SET SCHEMA app;
SELECT schemaver.reconcile('c');
SET schemaver.guard = off;
CREATE TABLE c_1_1_0.alien (precious int);
RESET schemaver.guard;
SELECT schemaver.apply('CREATE TABLE more (id int)', product => 'c');
SELECT schemaver.apply('CREATE TABLE even_more (id int)', product => 'c');
ALTER TABLE c_1_1_0.alien SET SCHEMA app;
SELECT schemaver.apply('CREATE TABLE even_more (id int)', product => 'c');
SELECT schemaver.unregister();

-- A default is read as the owner of its table: to read one may be to run the
-- checks of a domain.
CREATE SCHEMA sly AUTHORIZATION regress_compat_app;
SET ROLE regress_compat_app;
CREATE FUNCTION sly.who(int) RETURNS boolean LANGUAGE plpgsql AS
	$$ BEGIN
		IF current_user <> 'regress_compat_app' THEN
			RAISE 'run as somebody else';
		END IF;
		RETURN true;
	END $$;
CREATE DOMAIN sly.checked AS int CHECK (sly.who(VALUE));
CREATE TYPE sly.pair AS (a sly.checked, b int);
CREATE TABLE sly.t (
	id		int PRIMARY KEY,
	list	sly.checked[] DEFAULT '{1}'::sly.checked[],
	pair	sly.pair DEFAULT '(1,2)'::sly.pair
);
RESET ROLE;
SELECT schemaver.create_product('sly', '{sly}');
SELECT schemaver.baseline('1.0', 'sly');
SELECT schemaver.register('1.0', 'sly');
SELECT schemaver.apply('ALTER TABLE t RENAME id TO nr', product => 'sly');
SET ROLE regress_compat_app;
INSERT INTO t (id) VALUES (1) RETURNING *;
ALTER TABLE sly.t ALTER list DROP DEFAULT;
RESET ROLE;
SET schemaver.guard = off;
DROP VIEW sly_1_0.t;
RESET schemaver.guard;
SELECT schemaver.reconcile('sly');
SET ROLE regress_compat_app;
INSERT INTO t (id) VALUES (2) RETURNING *;
RESET ROLE;
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_compat;
DROP ROLE regress_compat_app;
