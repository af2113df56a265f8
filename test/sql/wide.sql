--
-- Tables of as many columns as there can be, foreign and unlogged ones
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_wide;
\c regression_wide
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE EXTENSION file_fdw;
\set VERBOSITY terse
SELECT 'CREATE TABLE wide (' || string_agg('c' || g || ' int', ', ') || ')'
FROM generate_series(1, 1600) AS g \gexec
INSERT INTO wide (c1, c1600) VALUES (1, 2);
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE far (id int, v text) SERVER files
	OPTIONS (program $$printf '1,a\n2,b\n'$$, format 'csv');
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, v text);
INSERT INTO unlogged VALUES (1, 'x');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
PREPARE wide AS SELECT c1, c2, c1600 FROM wide ORDER BY c1;
PREPARE far AS SELECT * FROM far;
PREPARE unlogged AS SELECT * FROM unlogged ORDER BY id;

SELECT schemaver.apply($$
	ALTER TABLE wide DROP COLUMN c2, DROP COLUMN c3;
	ALTER TABLE wide RENAME c1600 TO last;
	ALTER FOREIGN TABLE far DROP COLUMN v;
	ALTER TABLE unlogged DROP COLUMN v, ADD COLUMN w int DEFAULT 7;
$$, '1.1.0');
INSERT INTO wide (c1, c2, c1600) VALUES (3, 4, 5);
INSERT INTO unlogged VALUES (2, 'y');
EXECUTE wide;
EXECUTE far;
EXECUTE unlogged;
SELECT schemaver.register('1.1.0');
SELECT c1, last FROM wide ORDER BY c1;
SELECT * FROM unlogged ORDER BY id;
INSERT INTO unlogged VALUES (3);

-- a table that is dropped comes back as it was before its last change
-- there is no room for a column of another type beside the old one
SELECT schemaver.apply('ALTER TABLE wide ALTER c1 TYPE bigint', '1.2.0');
SELECT schemaver.apply('DROP FOREIGN TABLE far; DROP TABLE unlogged, wide', '1.2.0');
SELECT schemaver.register('1.0.0');
EXECUTE wide;
EXECUTE far;
EXECUTE unlogged;
SELECT schemaver.rollback('1.0.0');
EXECUTE wide;
EXECUTE far;
EXECUTE unlogged;
SELECT schemaver.verify();
SELECT relname, relkind, relpersistence FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'f')
ORDER BY 1;
SELECT schemaver.apply($$
	ALTER TABLE wide DROP COLUMN c2, DROP COLUMN c3;
	ALTER TABLE wide RENAME c1600 TO last;
	ALTER FOREIGN TABLE far DROP COLUMN v;
	ALTER TABLE unlogged DROP COLUMN v, ADD COLUMN w int DEFAULT 7;
$$, '1.1.0');
SELECT schemaver.register('1.1.0');
SELECT * FROM unlogged ORDER BY id;
SELECT schemaver.unregister();
SELECT schemaver.retire('1.2.0');
SELECT schemaver.retire('1.0.0');
SELECT attrelid::regclass::text, count(*) FROM pg_attribute
WHERE attrelid IN ('wide'::regclass, 'far'::regclass, 'unlogged'::regclass)
	AND NOT attisdropped AND attnum > 0
GROUP BY 1 ORDER BY 1;
SELECT schemaver.verify();

\c :home
DROP DATABASE regression_wide;
