-- What is written on a version's behalf under another version's names: by the
-- functions of triggers, and by what foreign keys carry on
SELECT current_database() AS home \gset
CREATE DATABASE sv_across;
\c sv_across
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
\set VERBOSITY terse
\set QUIET on
\pset format unaligned
\pset tuples_only on
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY,
	parent int REFERENCES parent ON UPDATE CASCADE ON DELETE SET NULL);
CREATE TABLE part (id int, parent int REFERENCES parent ON UPDATE CASCADE)
	PARTITION BY LIST (id);
CREATE TABLE part_1 (junk int, parent int, id int);
ALTER TABLE part_1 DROP junk;
ALTER TABLE part ATTACH PARTITION part_1 DEFAULT;
CREATE TABLE same (parent int REFERENCES parent ON UPDATE CASCADE);
CREATE TABLE total (id int PRIMARY KEY, sum int DEFAULT 0);
CREATE TABLE payment (id int PRIMARY KEY, amount int);
CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE total SET sum = sum + NEW.amount;
	INSERT INTO total VALUES (NEW.id, NEW.amount);
	RETURN NULL;
END $$;
CREATE TRIGGER add AFTER INSERT ON payment FOR EACH ROW
	EXECUTE FUNCTION add();
CREATE VIEW offer AS SELECT id, sum FROM total;
CREATE FUNCTION through() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO total VALUES (NEW.id, NEW.sum); RETURN NEW; END $$;
CREATE TRIGGER through INSTEAD OF INSERT ON offer FOR EACH ROW
	EXECUTE FUNCTION through();
INSERT INTO parent SELECT generate_series(1, 6);
INSERT INTO child SELECT i, i FROM generate_series(1, 6) AS i;
INSERT INTO part SELECT i, i FROM generate_series(1, 6) AS i;
INSERT INTO same VALUES (1), (6);
INSERT INTO total VALUES (0, 0);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply($$
	DROP VIEW offer;
	ALTER TABLE parent ALTER id TYPE bigint;
	ALTER TABLE child ALTER parent TYPE bigint;
	ALTER TABLE part ALTER parent TYPE bigint;
	ALTER TABLE total ALTER sum TYPE bigint, ADD note text DEFAULT 'none';
$$, '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('ALTER TABLE child ALTER parent TYPE int; ALTER TABLE child ADD more text', '1.2.0');
SELECT schemaver.register('1.2.0');

-- foreign keys, by each version; each reads the same
\set children 'SELECT id, parent FROM child ORDER BY id;'
\set parts 'SELECT id, parent FROM part ORDER BY id;'
SELECT schemaver.register('1.0.0');
UPDATE part SET parent = NULL WHERE id = 2;
UPDATE parent SET id = 101 WHERE id = 1;
DELETE FROM parent WHERE id = 2;
:children
:parts
SELECT schemaver.register('1.1.0');
:children
UPDATE parent SET id = 103 WHERE id = 3;
SELECT schemaver.register('1.2.0');
:children
:parts
UPDATE parent SET id = 104 WHERE id = 4;
SELECT schemaver.register('1.0.0');
:children
:parts

-- a trigger's function is the newest version's code
INSERT INTO payment VALUES (1, 10);
SELECT * FROM total ORDER BY id;
SELECT schemaver.register('1.2.0');
INSERT INTO payment VALUES (2, 20);
SELECT * FROM total ORDER BY id;

-- but that of one on what only older versions have is theirs
SELECT schemaver.register('1.0.0');
INSERT INTO offer VALUES (3, 30);
SELECT * FROM total ORDER BY id;
SELECT severity, object, finding FROM schemaver.verify(deep => true)
WHERE severity = 'error';

-- and all of it the other way round
SELECT schemaver.rollback('1.0.0');
UPDATE parent SET id = 105 WHERE id = 5;
INSERT INTO payment VALUES (4, 40);
SELECT schemaver.register('1.2.0');
UPDATE parent SET id = 106 WHERE id = 6;
INSERT INTO payment VALUES (5, 50);
SELECT id, sum FROM total ORDER BY id;
:children
:parts
SELECT schemaver.register('1.0.0');
SELECT * FROM total ORDER BY id;
:children
:parts
TABLE same;

-- foreign keys that were made anew are validated, also those from elsewhere
SELECT severity, object, finding FROM schemaver.verify(deep => true);
\c :home
DROP DATABASE sv_across;
