--
-- drop.c: views that go together leave nothing behind, and what stands on one
-- or was made a part of it by hand is left to the server
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_lone;
\c regression_lone
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE ROLE regress_lone;
RESET client_min_messages;
\set VERBOSITY terse

-- rows of the catalogs about objects that are not there
CREATE VIEW orphan AS
	SELECT 'pg_depend' AS catalog, classid, objid FROM pg_depend
	UNION ALL SELECT 'pg_depend', refclassid, refobjid FROM pg_depend
	UNION ALL SELECT 'pg_description', classoid, objoid FROM pg_description
	UNION ALL SELECT 'pg_shdepend', classid, objid FROM pg_shdepend
		WHERE dbid = (SELECT oid FROM pg_database
			WHERE datname = current_database())
	UNION ALL SELECT 'pg_rewrite', 'pg_class'::regclass, ev_class
		FROM pg_rewrite
	UNION ALL SELECT 'pg_constraint', 'pg_class'::regclass, conrelid
		FROM pg_constraint WHERE conrelid <> 0
	UNION ALL SELECT 'pg_attrdef', 'pg_class'::regclass, adrelid
		FROM pg_attrdef
	UNION ALL SELECT 'pg_attribute', 'pg_class'::regclass, attrelid
		FROM pg_attribute
	UNION ALL SELECT 'pg_trigger', 'pg_class'::regclass, tgrelid
		FROM pg_trigger
	UNION ALL SELECT 'pg_type', 'pg_class'::regclass, typrelid
		FROM pg_type WHERE typrelid <> 0
	UNION ALL SELECT 'pg_type', 'pg_type'::regclass, typelem
		FROM pg_type WHERE typelem <> 0;
CREATE VIEW orphans AS
	SELECT catalog, classid::regclass, count(*) FROM orphan
	WHERE objid >= 16384
		AND NOT EXISTS (SELECT FROM pg_class WHERE oid = objid
			AND classid = 'pg_class'::regclass)
		AND NOT EXISTS (SELECT FROM pg_type WHERE oid = objid
			AND classid = 'pg_type'::regclass)
		AND NOT EXISTS (SELECT FROM pg_rewrite WHERE oid = objid
			AND classid = 'pg_rewrite'::regclass)
		AND NOT EXISTS (SELECT FROM pg_constraint WHERE oid = objid
			AND classid = 'pg_constraint'::regclass)
		AND NOT EXISTS (SELECT FROM pg_attrdef WHERE oid = objid
			AND classid = 'pg_attrdef'::regclass)
		AND (classid::regclass::text IN ('pg_class', 'pg_type', 'pg_rewrite',
			'pg_constraint', 'pg_attrdef'))
	GROUP BY 1, 2 ORDER BY 1, 2;
-- how many of each kind are in version schemas
CREATE VIEW left_over AS
	SELECT (SELECT count(*) FROM pg_class
			WHERE relnamespace::regnamespace::text LIKE 'shop%') AS relations,
		(SELECT count(*) FROM pg_type
			WHERE typnamespace::regnamespace::text LIKE 'shop%') AS types,
		(SELECT count(*) FROM pg_namespace
			WHERE nspname LIKE 'shop%') AS schemas;

CREATE TABLE person (id serial PRIMARY KEY, "Nick" text DEFAULT 'x' NOT NULL,
	age int CHECK (age > 0), gone int UNIQUE);
CREATE TABLE note (id int PRIMARY KEY, person int REFERENCES person, gone int);
GRANT SELECT, INSERT ON person TO regress_lone;
INSERT INTO person VALUES (1, 'n', 2, 3);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.unregister();
SELECT schemaver.apply('SELECT 1', '2');
SELECT schemaver.register('2');
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE person DROP gone;
	ALTER TABLE note DROP gone', '3');
SELECT * FROM left_over;
SELECT * FROM orphans;

-- all that can be said of a view and of its parts
SET schemaver.guard = off;
COMMENT ON VIEW shop_1.person IS 'a view';
COMMENT ON COLUMN shop_1.person."Nick" IS 'a column';
COMMENT ON TYPE shop_1.person IS 'a type';
COMMENT ON RULE "_RETURN" ON shop_1.person IS 'a rule';
GRANT USAGE ON TYPE shop_1.person TO regress_lone;
GRANT SELECT ON shop_1.note TO regress_lone;
GRANT UPDATE (person) ON shop_1.note TO regress_lone;
ALTER VIEW shop_1.note ALTER person SET DEFAULT nextval('person_id_seq');
-- parts that are not known to be one
CREATE RULE quiet AS ON DELETE TO shop_1.note DO ALSO SELECT 1;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN OLD; END';
CREATE TRIGGER instead INSTEAD OF DELETE ON shop_2.note
	FOR EACH ROW EXECUTE FUNCTION nothing();
-- one version's view on another's
CREATE VIEW shop_2.both AS SELECT a.id FROM shop_2.person AS a
	JOIN shop_1.person AS b USING (id);
RESET schemaver.guard;

-- what stands on one keeps it, and the retirement with it
CREATE VIEW mine AS SELECT id FROM shop_1.person;
SELECT schemaver.retire('2');
DROP VIEW mine;
CREATE TABLE mine (rows shop_2.person[]);
SELECT schemaver.retire('2');
DROP TABLE mine;
CREATE FUNCTION mine(shop_1.note) RETURNS int LANGUAGE sql AS 'SELECT $1.id';
SELECT schemaver.retire('2');
DROP FUNCTION mine(shop_1.note);
SELECT * FROM left_over;
SELECT * FROM orphans;

BEGIN;
SELECT schemaver.retire('2');
SELECT * FROM left_over;
SELECT * FROM orphans;
ROLLBACK;
SELECT * FROM left_over;
SELECT obj_description('shop_1.person'::regclass),
	obj_description('shop_1.person'::regtype);
-- the older first, then the other
SELECT schemaver.retire('1');
SELECT * FROM left_over;
SELECT * FROM orphans;
SELECT schemaver.retire('2');
SELECT * FROM left_over;
SELECT * FROM orphans;
SELECT * FROM person;
SELECT * FROM schemaver.verify();

\c :home
DROP DATABASE regression_lone;
DROP ROLE regress_lone;
