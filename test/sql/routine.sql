--
-- Functions and triggers that a migration's renames leave behind
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_routine;
\c sv_routine
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA routine_base;
CREATE SCHEMA "routine More";
SELECT schemaver.create_product('routine', ARRAY['routine_base', 'routine More']);

-- Try a script, look what a query says after it, and undo it.
CREATE FUNCTION pg_temp.try(script text, query text DEFAULT 'SELECT ''applied''')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	detail text;
	hint text;
BEGIN
	PERFORM schemaver.apply(script, product => 'routine');
	EXECUTE query INTO result;
	RAISE SQLSTATE 'UNDO0';
EXCEPTION
	WHEN SQLSTATE 'UNDO0' THEN
		RETURN result;
	WHEN dependent_objects_still_exist THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		RETURN concat_ws(E'\n', 'refused', detail);
END $$;
\pset format unaligned
\pset tuples_only on

-- the first version: nothing was renamed
SELECT schemaver.apply($s$
	CREATE TABLE person (
		id int PRIMARY KEY,
		first_name text,
		last_name text,
		tsv tsvector
	);
	CREATE TABLE pet (id int PRIMARY KEY, last_name text, owner int);
	CREATE TABLE log (line text);
	INSERT INTO person VALUES (1, 'Ada', 'Lovelace');
$s$, product => 'routine');

--
-- Trigger functions
--
CREATE FUNCTION routine_base.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	New."last_name" := upper(new . Last_Name);
	RETURN NEW;
END $$;
CREATE TRIGGER person_touch BEFORE INSERT OR UPDATE ON routine_base.person
	FOR EACH ROW EXECUTE FUNCTION routine_base.touch();

-- every write would fail
SELECT schemaver.apply($s$ALTER TABLE person RENAME last_name TO surname$s$,
	product => 'routine');
INSERT INTO routine_base.person VALUES (2, 'Charles', 'Babbage') RETURNING *;

-- another change fails nothing
SELECT pg_temp.try($s$
	ALTER TABLE person ADD COLUMN born date;
	ALTER TABLE person RENAME first_name TO name;
$s$);

-- neither does this one with the function replaced
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME last_name TO surname;
	CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		/* was NEW.last_name /* OLD.last_name */ */
		-- NEW.last_name
		RAISE DEBUG 'NEW.last_name %', $q$ OLD.last_name $q$;
		NEW.surname := upper(NEW.surname);
		RETURN NEW;
	END $$;
$s$, $q$INSERT INTO routine_base.person VALUES (3, 'Alan', 'Turing') RETURNING surname$q$);
SELECT pg_temp.try($s$
	CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.surname := upper(NEW.surname); RETURN NEW; END';
	DO 'BEGIN EXECUTE ''ALTER TABLE person RENAME last_name TO surname''; END';
$s$);

-- with a new column of the old name
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME last_name TO surname;
	ALTER TABLE person ADD COLUMN last_name text;
$s$, $q$INSERT INTO routine_base.person (id, last_name) VALUES (3, 'Turing') RETURNING last_name$q$);

-- or without the trigger
SELECT pg_temp.try($s$
	DROP TRIGGER person_touch ON person;
	ALTER TABLE person RENAME last_name TO surname;
$s$);

-- a disabled trigger fails when somebody enables it
ALTER TABLE routine_base.person DISABLE TRIGGER person_touch;
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);
ALTER TABLE routine_base.person ENABLE ALWAYS TRIGGER person_touch;

-- a function of several tables: a branch of it may be for those that have the
-- column, which is more than can be known
CREATE TRIGGER pet_touch BEFORE INSERT ON routine_base.pet
	FOR EACH ROW EXECUTE FUNCTION routine_base.touch();
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME last_name TO surname;
	ALTER TABLE pet RENAME last_name TO surname;
$s$);
DROP TRIGGER pet_touch ON routine_base.pet;
DROP TRIGGER person_touch ON routine_base.person;
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);
DROP FUNCTION routine_base.touch();

-- a trigger's condition and columns follow by themselves
CREATE FUNCTION routine_base.noop() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN NEW; END';
CREATE TRIGGER pet_noop BEFORE UPDATE OF last_name ON routine_base.pet
	FOR EACH ROW WHEN (NEW.last_name IS DISTINCT FROM OLD.last_name)
	EXECUTE FUNCTION routine_base.noop();
SELECT pg_temp.try($s$ALTER TABLE pet RENAME last_name TO surname$s$,
	$q$SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'pet_noop'$q$);

-- its arguments do not
CREATE TRIGGER "Search" BEFORE INSERT ON routine_base.person FOR EACH ROW
	EXECUTE FUNCTION tsvector_update_trigger('tsv', 'pg_catalog.simple', 'last_name');
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);
DROP TRIGGER "Search" ON routine_base.person;
CREATE TRIGGER other BEFORE INSERT ON routine_base.person FOR EACH ROW
	EXECUTE FUNCTION routine_base.noop('tsv', 'last_name');
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);
DROP TRIGGER other ON routine_base.person;

-- triggers of heirs and partitions, functions from another schema
CREATE SCHEMA routine_other;
CREATE FUNCTION routine_other.heir() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO routine_base.log VALUES (OLD."Last Name");
	RETURN NULL;
END $$;
CREATE FUNCTION routine_other.part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN NEW.amount > 0 THEN NEW END;
END $$;
SELECT schemaver.apply($s$
	CREATE TABLE parent (id int, "Last Name" text);
	CREATE TABLE child (note text) INHERITS (parent);
	CREATE TRIGGER log AFTER DELETE ON child
		FOR EACH ROW EXECUTE FUNCTION routine_other.heir();
	CREATE TABLE sale (day date, amount int) PARTITION BY RANGE (day);
	CREATE TABLE sale_1 PARTITION OF sale
		FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
	CREATE TRIGGER positive BEFORE INSERT ON sale_1
		FOR EACH ROW EXECUTE FUNCTION routine_other.part();
$s$, product => 'routine');
SELECT schemaver.apply($s$
	ALTER TABLE parent RENAME "Last Name" TO surname;
	ALTER TABLE sale RENAME amount TO "Amount";
$s$, product => 'routine');

-- views have triggers, too
SELECT schemaver.apply($s$
	CREATE VIEW person_view AS SELECT id, last_name FROM person;
	CREATE FUNCTION through() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO routine_base.person (id) VALUES (NEW.id);
		RAISE DEBUG '%', NEW.last_name;
		RETURN NEW;
	END $$;
	CREATE TRIGGER through INSTEAD OF INSERT ON person_view
		FOR EACH ROW EXECUTE FUNCTION through();
$s$, product => 'routine');
SELECT pg_temp.try($s$ALTER VIEW person_view RENAME last_name TO surname$s$);
-- whose columns keep their names when a table's column is renamed
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);

--
-- SQL functions
--
CREATE FUNCTION routine_base.surname_of(int) RETURNS text LANGUAGE sql AS
	'SELECT p.last_name FROM routine_base.person p WHERE id = $1';
CREATE FUNCTION routine_base.by_path() RETURNS SETOF text LANGUAGE sql
	SET search_path = routine_base AS
	'SELECT last_name FROM person';
SET search_path = routine_base;
CREATE FUNCTION no_path(out bigint) LANGUAGE sql AS
	'SELECT count(last_name) FROM person';
RESET search_path;
CREATE FUNCTION routine_base.field_of(routine_base.person) RETURNS text
LANGUAGE sql AS 'SELECT last_name($1) || ($1).last_name';
CREATE PROCEDURE routine_base.clear(int) LANGUAGE sql AS
	'UPDATE routine_base.person SET last_name = NULL WHERE id = $1';
-- these do not mind
CREATE FUNCTION routine_base.pets() RETURNS SETOF text LANGUAGE sql AS
	'SELECT last_name FROM routine_base.pet';
CREATE FUNCTION routine_base.literal() RETURNS text LANGUAGE sql AS
	$$SELECT 'last_name person' /* last_name */$$;
CREATE FUNCTION routine_base.standard() RETURNS text LANGUAGE sql
	BEGIN ATOMIC SELECT last_name FROM routine_base.person WHERE id = 1; END;
SELECT schemaver.apply($s$ALTER TABLE person RENAME last_name TO surname$s$,
	product => 'routine');
-- a table, and its row type with it
SELECT pg_temp.try($s$ALTER TABLE person RENAME TO people$s$);
SELECT pg_temp.try($s$ALTER TABLE person SET SCHEMA "routine More"$s$);
-- replaced by the script
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME last_name TO surname;
	CREATE OR REPLACE FUNCTION surname_of(int) RETURNS text LANGUAGE sql AS
		'SELECT p.surname FROM routine_base.person p WHERE id = $1';
	CREATE OR REPLACE FUNCTION by_path() RETURNS SETOF text LANGUAGE sql
		SET search_path = routine_base AS 'SELECT surname FROM person';
	CREATE OR REPLACE FUNCTION no_path(out bigint) LANGUAGE sql AS
		'SELECT count(surname) FROM person';
	CREATE OR REPLACE FUNCTION field_of(person) RETURNS text LANGUAGE sql AS
		'SELECT surname($1)';
	CREATE OR REPLACE PROCEDURE clear(int) LANGUAGE sql AS
		'UPDATE person SET surname = NULL WHERE id = $1';
$s$, 'SELECT routine_base.standard()');
-- the old name given to a view
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME TO person_data;
	CREATE VIEW person AS SELECT * FROM person_data;
$s$);
DROP FUNCTION routine_base.surname_of(int), routine_base.by_path(),
	routine_base.no_path(), routine_base.field_of(routine_base.person),
	routine_base.pets(), routine_base.literal(), routine_base.standard();
DROP PROCEDURE routine_base.clear(int);

-- the new name may be one too many
CREATE FUNCTION routine_base.labels() RETURNS SETOF int LANGUAGE sql AS
	'SELECT label FROM routine_base.person, (VALUES (1)) AS v (label)';
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO label$s$);
DROP FUNCTION routine_base.labels();

-- invalid all along: no reason to refuse, but to look
SET check_function_bodies = off;
CREATE FUNCTION routine_base.draft() RETURNS text LANGUAGE sql AS
	'SELECT last_name FROM not_yet';
CREATE FUNCTION routine_base.no_tokens() RETURNS text LANGUAGE sql AS
	$$SELECT last_name || ' FROM not_yet$$;
CREATE FUNCTION routine_base.unrelated() RETURNS text LANGUAGE sql AS
	'SELECT nothing FROM not_yet';
RESET check_function_bodies;
-- what nobody checks, or means something else all of a sudden
CREATE FUNCTION routine_base.poly(anyelement) RETURNS text LANGUAGE sql AS
	'SELECT min(last_name) FROM routine_base.person';
CREATE FUNCTION routine_base.find(last_name text)
RETURNS SETOF routine_base.person LANGUAGE sql AS
	'SELECT * FROM routine_base.person WHERE last_name = $1';
CREATE FUNCTION routine_base.pet_name(OUT last_name text) LANGUAGE sql AS
	'SELECT last_name FROM routine_base.pet';
SELECT pg_temp.try($s$ALTER TABLE person RENAME last_name TO surname$s$);
-- nothing to tell of what the script itself has written
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME last_name TO surname;
	DROP FUNCTION draft(), no_tokens(), poly(anyelement);
	CREATE OR REPLACE FUNCTION find(last_name text) RETURNS SETOF person
	LANGUAGE sql AS 'SELECT * FROM person WHERE surname = last_name';
$s$);
DROP FUNCTION routine_base.draft(), routine_base.no_tokens(),
	routine_base.unrelated(), routine_base.poly(anyelement),
	routine_base.find(text), routine_base.pet_name();

-- validated as its owner, who sees what the caller may not
CREATE ROLE regress_routine_owner;
CREATE ROLE regress_routine_deployer;
CREATE SCHEMA routine_hidden AUTHORIZATION regress_routine_owner;
GRANT USAGE, CREATE ON SCHEMA routine_base
	TO regress_routine_owner, regress_routine_deployer;
GRANT USAGE ON SCHEMA schemaver TO regress_routine_deployer;
GRANT EXECUTE ON FUNCTION
	schemaver.apply(text, schemaver.version, text, text, text)
	TO regress_routine_deployer;
ALTER TABLE routine_base.person OWNER TO regress_routine_deployer;
SET ROLE regress_routine_owner;
CREATE TABLE routine_hidden.person (last_name text);
CREATE FUNCTION routine_base.hidden() RETURNS SETOF text LANGUAGE sql
	SET search_path = routine_hidden AS 'SELECT last_name FROM person';
REVOKE ALL ON FUNCTION routine_base.hidden() FROM PUBLIC;
RESET ROLE;
BEGIN;
SET LOCAL ROLE regress_routine_deployer;
SELECT schemaver.apply($s$ALTER TABLE person RENAME last_name TO surname$s$,
	product => 'routine') IS NOT NULL AS applied;
SELECT current_user, current_setting('search_path'),
	current_setting('client_min_messages');
ROLLBACK;
DROP FUNCTION routine_base.hidden();

-- a temporary table does not stand in for the real one
SET search_path = routine_base;
CREATE FUNCTION names() RETURNS SETOF text LANGUAGE sql AS
	'SELECT last_name FROM person';
RESET search_path;
CREATE TEMP TABLE person (last_name text);
SELECT pg_temp.try($s$ALTER TABLE routine_base.person RENAME last_name TO surname$s$);
DROP TABLE pg_temp.person;
DROP FUNCTION routine_base.names();

--
-- Others, of which only the source is known
--
CREATE FUNCTION routine_base.greet(who int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	r routine_base.PERSON;
BEGIN
	SELECT * INTO r FROM routine_base.person WHERE id = who;
	RETURN r.last_name;
END $$;
CREATE FUNCTION routine_base.greet(p routine_base.person) RETURNS text
LANGUAGE plpgsql AS 'BEGIN RETURN p.last_name; END';
CREATE FUNCTION routine_base.own_path() RETURNS bigint
LANGUAGE plpgsql SET search_path = routine_base, pg_temp AS
	'BEGIN RETURN (SELECT count(*) FROM person); END';
CREATE FUNCTION routine_base.no_path() RETURNS bigint
LANGUAGE plpgsql AS
	'BEGIN RETURN (SELECT count(*) FROM person); END';
CREATE FUNCTION routine_base.silent() RETURNS text LANGUAGE plpgsql AS
	$$BEGIN RETURN 'last_name'; /* person.last_name */ END$$;
CREATE PROCEDURE routine_base.work() LANGUAGE plpgsql AS
	$$BEGIN PERFORM last_name FROM routine_base.pet; END$$;
CREATE FUNCTION routine_base.own_field() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN NEW.last_name := ''; RETURN NEW; END$$;
CREATE TRIGGER own_field BEFORE INSERT ON routine_base.pet
	FOR EACH ROW EXECUTE FUNCTION routine_base.own_field();
CREATE FUNCTION routine_base.find_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.owner := (SELECT id FROM routine_base.person WHERE last_name = NEW.last_name);
	RETURN NEW;
END $$;
CREATE TRIGGER find_owner BEFORE INSERT ON routine_base.pet
	FOR EACH ROW EXECUTE FUNCTION routine_base.find_owner();
SET check_function_bodies = off;
CREATE FUNCTION routine_base.no_tokens() RETURNS text LANGUAGE plpgsql AS
	$$BEGIN RETURN 'last_name; END$$;
CREATE FUNCTION routine_other.elsewhere() RETURNS text LANGUAGE plpgsql AS
	$$BEGIN RETURN (SELECT max(last_name) FROM routine_base.person); END$$;
RESET check_function_bodies;
BEGIN;
SELECT schemaver.apply($s$ALTER TABLE person RENAME last_name TO surname$s$,
	product => 'routine') IS NOT NULL AS applied;
ROLLBACK;
SELECT pg_temp.try($s$ALTER TABLE person RENAME TO people$s$);
-- moved to where an application finds it without a schema
SELECT pg_temp.try($s$ALTER TABLE person SET SCHEMA "routine More"$s$);
-- and to where it does not
SELECT pg_temp.try($s$ALTER TABLE person SET SCHEMA routine_other$s$);
-- all at once
SELECT pg_temp.try($s$
	ALTER TABLE person RENAME last_name TO "Last Name";
	ALTER TABLE person RENAME TO "Person";
	ALTER TABLE pet RENAME owner TO "Owner";
	CREATE OR REPLACE FUNCTION find_owner() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN RETURN NEW; END';
$s$);

-- several migrations in a row: each answers for its own renames
DROP FUNCTION routine_base.greet(int), routine_base.greet(routine_base.person),
	routine_base.own_path(), routine_base.no_tokens(),
	routine_base.find_owner() CASCADE;
DROP PROCEDURE routine_base.work();
SELECT schemaver.apply($s$ALTER TABLE person RENAME last_name TO surname$s$,
	product => 'routine') IS NOT NULL AS applied;
CREATE FUNCTION routine_base.late() RETURNS text LANGUAGE plpgsql AS
	'DECLARE last_name text; surname text; BEGIN RETURN last_name; END';
SELECT schemaver.apply($s$ALTER TABLE person RENAME surname TO family_name$s$,
	product => 'routine') IS NOT NULL AS applied;
SELECT schemaver.apply($s$ALTER TABLE person ADD COLUMN x int$s$,
	product => 'routine') IS NOT NULL AS applied;

-- leave nothing that belongs to the cluster
ALTER TABLE routine_base.person OWNER TO CURRENT_USER;
DROP OWNED BY regress_routine_owner, regress_routine_deployer CASCADE;
\c :home
DROP DATABASE sv_routine;
DROP ROLE regress_routine_owner, regress_routine_deployer;
