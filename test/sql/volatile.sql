--
-- A default that gives another value each time fills in what older versions
-- leave out
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_volatile;
\c sv_volatile
CREATE EXTENSION schemaver;
\set VERBOSITY terse
CREATE SEQUENCE number;
CREATE FUNCTION unique_text() RETURNS text LANGUAGE sql AS $$SELECT 'u' || nextval('number')$$;
CREATE TABLE person (id int PRIMARY KEY, inbox varchar(20) NOT NULL, shared varchar(20));
INSERT INTO person VALUES (1, 'one', NULL), (2, 'two', 'all');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.apply($$
	UPDATE person SET shared = inbox WHERE shared IS NULL;
	ALTER TABLE person DROP COLUMN inbox, ALTER COLUMN shared SET NOT NULL,
		ALTER COLUMN shared SET DEFAULT unique_text();
	ALTER TABLE person RENAME COLUMN shared TO inbox;
	ALTER TABLE person ADD COLUMN code text NOT NULL DEFAULT unique_text();
	ALTER TABLE person ALTER COLUMN code DROP DEFAULT;
$$, '2');
TABLE person ORDER BY id;
INSERT INTO person VALUES (3, 'three', NULL), (4, 'four', 'mine') RETURNING *;
INSERT INTO person (id, inbox) VALUES (5, 'five') RETURNING *;
UPDATE person SET inbox = 'vier' WHERE id = 4 RETURNING *;
UPDATE person SET shared = NULL WHERE id = 4 RETURNING *;
SELECT schemaver.register('2');
TABLE person ORDER BY id;
INSERT INTO person (id, code) VALUES (6, 'c') RETURNING *;
INSERT INTO person (id) VALUES (7);
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_volatile;
