-- A script of many statements that change the types of many columns: what
-- follows the names of these needs no more memory for each statement
SELECT current_database() AS home \gset
CREATE DATABASE sv_long;
\c sv_long
CREATE EXTENSION schemaver;
\set VERBOSITY terse
DO $$
BEGIN
	FOR i IN 1 .. 60 LOOP
		EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int)', i);
	END LOOP;
END $$;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE person (id int PRIMARY KEY, mood text);
INSERT INTO person VALUES (1, 'sad');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT string_agg(format('ALTER TABLE t%s ALTER a TYPE bigint;', i), E'\n')
	AS script FROM generate_series(1, 60) AS i \gset
SELECT schemaver.apply(:'script' || $$
	CREATE TABLE needed AS SELECT sum(total_bytes) AS bytes
	FROM pg_backend_memory_contexts WHERE name ~ '^schemaver';
$$, '1.1.0');
SELECT bytes < 8 * 1024 * 1024 AS fits FROM needed;

-- names that change after that are followed all the same
SELECT schemaver.apply($$
	ALTER TABLE person ALTER mood TYPE mood USING mood::mood;
	ALTER TABLE t1 RENAME a TO b;
	ALTER TABLE t2 RENAME TO u2;
	ALTER TYPE mood RENAME TO feeling;
$$, '1.2.0');
SELECT schemaver.register('1.0.0');
INSERT INTO t1 VALUES (1, 2);
INSERT INTO t2 VALUES (1, 2);
UPDATE person SET mood = 'happy';
SELECT schemaver.register('1.2.0');
SELECT t1.b, u2.a, mood FROM t1, u2, person;
SELECT * FROM schemaver.verify(deep => true);
\c :home
DROP DATABASE sv_long;
