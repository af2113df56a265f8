--
-- Corners where two features meet
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_corner;
\c sv_corner
CREATE EXTENSION schemaver;
CREATE SCHEMA corner_base;
SET search_path = corner_base, public;
SELECT schemaver.create_product('corner', ARRAY['corner_base']);
CREATE TABLE song (id int PRIMARY KEY, title text CONSTRAINT sung CHECK (title <> ''));
SELECT schemaver.baseline('1.0.0-rc.1', 'corner');

-- a pre-release promises nothing, so its release may break it
SELECT schemaver.apply('ALTER TABLE song RENAME title TO caption', '1.0.0',
	'corner');

-- an older version's full schema speaks in its own names throughout
SELECT schemaver.full_schema('1.0.0-rc.1', 'corner');

-- DDL by hand that nobody was there to see: the first who comes sees the
-- schema of his version all the same
ALTER TABLE song RENAME caption TO heading;
SELECT schemaver.register('1.0.0', 'corner');
SELECT id, caption FROM song;
SELECT schemaver.register('1.0.0-rc.1', 'corner');
SELECT id, title FROM song;
SELECT schemaver.unregister();
SELECT schemaver.reconcile('corner');

-- a script cannot register the session that applies it
SELECT schemaver.apply($$SELECT schemaver.register('1.0.0', 'corner')$$,
	product => 'corner');

-- a materialized view is refreshed under its old name too
SELECT schemaver.apply('CREATE MATERIALIZED VIEW hits AS SELECT id FROM song',
	product => 'corner');
SELECT schemaver.register('1.0.1', 'corner');
SELECT schemaver.apply('ALTER MATERIALIZED VIEW hits RENAME TO charts',
	product => 'corner');
INSERT INTO song VALUES (1, 'one');
REFRESH MATERIALIZED VIEW hits;
TABLE hits;
SELECT schemaver.unregister();

-- a constraint of a partition alone stops who writes through its root
SELECT schemaver.apply('
	CREATE TABLE measure (day int, v int) PARTITION BY RANGE (day);
	CREATE TABLE measure_1 PARTITION OF measure FOR VALUES FROM (0) TO (10)',
	product => 'corner');
SELECT schemaver.register('1.1.1', 'corner');
SET schemaver.guard = strict;
ALTER TABLE measure_1 ADD CHECK (v > 0);
CREATE UNIQUE INDEX ON measure_1 (v);
SELECT schemaver.apply('ALTER TABLE measure_1 ADD CHECK (v < 7)',
	product => 'corner');
CREATE INDEX ON measure_1 (v);
CREATE TABLE measure_2 PARTITION OF measure (CHECK (v > 0))
	FOR VALUES FROM (10) TO (20);
SELECT schemaver.apply('ALTER TABLE measure ADD CHECK (day >= 0)',
	product => 'corner');
SELECT schemaver.apply('ALTER TABLE measure RENAME v TO value',
	product => 'corner');
INSERT INTO measure VALUES (1, 1), (11, 1) RETURNING *;
RESET schemaver.guard;
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_corner;
