--
-- Migrations as people write them: through apply, rollback, forward again and
-- retire
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_habit;
\c regression_habit
SET client_min_messages = error;
CREATE EXTENSION schemaver;
\set VERBOSITY terse
\a
\t on

-- a key that a column is added for, and a reference to it
CREATE TABLE country (code text, name text);
CREATE TABLE city (id int PRIMARY KEY, code text);
INSERT INTO country VALUES ('at', 'Austria');
INSERT INTO city VALUES (1, 'at');
-- a primary key that becomes a plain key beside a new one
CREATE TABLE line (a int, b int, note text, PRIMARY KEY (a, b));
INSERT INTO line VALUES (1, 1, 'x');
-- a column made of two, of which one changes its type and one goes
CREATE TABLE person (id int PRIMARY KEY, first text, last text);
INSERT INTO person VALUES (1, 'Ada', 'Lovelace');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
\set script 'ALTER TABLE country ADD id serial PRIMARY KEY; ALTER TABLE city ADD country int REFERENCES country (id); UPDATE city SET country = (SELECT c.id FROM country AS c WHERE c.code = city.code); ALTER TABLE line DROP CONSTRAINT line_pkey; ALTER TABLE line ADD id serial PRIMARY KEY, ADD UNIQUE (a, b); ALTER TABLE person ADD full_name text; UPDATE person SET full_name = first || last; ALTER TABLE person ALTER full_name SET NOT NULL, DROP first; ALTER TABLE person ALTER last TYPE varchar(20)'
SELECT schemaver.apply(:'script', '2.0.0');
INSERT INTO country VALUES ('ch', 'Switzerland');
INSERT INTO city VALUES (2, 'ch');
INSERT INTO line VALUES (1, 1, 'y') ON CONFLICT (a, b) DO UPDATE SET note = 'z';
INSERT INTO line VALUES (2, 1, 'y');
INSERT INTO person VALUES (2, 'Bob', 'Babbage');
SELECT object, finding FROM schemaver.verify(deep => true);
SELECT schemaver.rollback('1.0.0');
INSERT INTO country VALUES ('de', 'Germany');
INSERT INTO line VALUES (2, 1, 'y');
INSERT INTO line VALUES (3, 1, 'y');
INSERT INTO person VALUES (3, 'Eve', 'Jones');
SELECT schemaver.apply(:'script', '2.0.0');
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE connamespace = 'public'::regnamespace AND conname !~ 'retained'
	ORDER BY conrelid::regclass::text, conname;
SELECT schemaver.unregister();
SELECT schemaver.retire('1.0.0');
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE connamespace = 'public'::regnamespace
	ORDER BY conrelid::regclass::text, conname;
SELECT attrelid::regclass, attname FROM pg_attribute WHERE attname ~ 'retained'
	AND attrelid = ANY ('{country, city, line, person}'::regclass[]);
INSERT INTO person (id, last, full_name) VALUES (4, 'Smith', 'Ann Smith');
TABLE person ORDER BY id;
TABLE line ORDER BY id;
SELECT object, finding FROM schemaver.verify(deep => true);

-- a value that is missing is told of by the name that the writer knows
CREATE TABLE item (id int PRIMARY KEY, price int NOT NULL);
SELECT schemaver.apply('SELECT 1', '2.1.0');
SELECT schemaver.register('2.1.0');
SELECT schemaver.apply('ALTER TABLE item ALTER price TYPE bigint;
	ALTER TABLE item RENAME price TO cost', '3.0.0');
INSERT INTO item VALUES (1, 1);
INSERT INTO item (id) VALUES (2);
UPDATE item SET price = NULL;
SELECT schemaver.unregister();
INSERT INTO item (id) VALUES (2);
DO $$ DECLARE name text; BEGIN UPDATE public.item SET cost = NULL;
EXCEPTION WHEN not_null_violation THEN
	GET STACKED DIAGNOSTICS name = COLUMN_NAME; RAISE '%', name; END $$;

-- a primary key that is to be a unique key from now on, under another name and
-- under its own
CREATE TABLE shelf (id int PRIMARY KEY, note text);
CREATE TABLE box (id int PRIMARY KEY);
SELECT schemaver.apply('SELECT 1', '3.1.0');
SELECT schemaver.register('3.1.0');
\set script 'ALTER TABLE shelf DROP CONSTRAINT shelf_pkey, ADD CONSTRAINT shelf_key UNIQUE (id); ALTER TABLE box DROP CONSTRAINT box_pkey, ADD CONSTRAINT box_pkey UNIQUE (id)'
\set keys 'SELECT conrelid::regclass, conname, pg_get_constraintdef(c.oid), indisprimary FROM pg_constraint AS c JOIN pg_index ON indexrelid = conindid WHERE conrelid IN (\'public.shelf\'::regclass, \'public.box\'::regclass) ORDER BY conname'
SELECT schemaver.apply(:'script', '5.0.0');
INSERT INTO shelf VALUES (1, 'a') ON CONFLICT (id) DO NOTHING;
INSERT INTO shelf VALUES (1, 'b') ON CONFLICT ON CONSTRAINT shelf_pkey
	DO UPDATE SET note = excluded.note RETURNING note;
INSERT INTO shelf VALUES (1, 'c');
SELECT schemaver.rollback('3.1.0');
:keys;
SELECT schemaver.apply(:'script', '5.0.0');
SELECT schemaver.apply('ALTER TABLE shelf ADD place text; ALTER TABLE box ADD place text', '5.1.0');
SELECT schemaver.unregister();
SELECT schemaver.retire('5.0.0');
:keys;
SELECT object, finding FROM schemaver.verify();

-- one that waits for NOT NULL and gets another name stays a primary key
CREATE TABLE lid (id int);
SELECT schemaver.apply('SELECT 1', '5.2.0');
SELECT schemaver.register('5.2.0');
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('ALTER TABLE lid ADD CONSTRAINT lid_pkey PRIMARY KEY (id)', '6.0.0');
SELECT schemaver.apply('ALTER TABLE lid DROP CONSTRAINT lid_pkey, ADD CONSTRAINT lid_key PRIMARY KEY (id)', '7.0.0');
RESET schemaver.on_missing_value;
INSERT INTO lid VALUES (NULL);
DELETE FROM lid;
SELECT schemaver.unregister();
SELECT schemaver.retire('6.0.0');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid = 'lid'::regclass;

\c :home
DROP DATABASE regression_habit WITH (FORCE);
