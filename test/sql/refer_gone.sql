--
-- What a table refers to that was dropped may be dropped as well, by a later
-- migration: whoever wrote that has no such table any more
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_refer_gone;
ALTER DATABASE sv_refer_gone SET schemaver.job_workers = 0;
\c sv_refer_gone
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA app;
SET search_path = app;
SELECT schemaver.create_product('app', ARRAY['app']);
\pset format unaligned
\pset tuples_only on
\set QUIET on

-- a pair of tables for each way
CREATE FUNCTION public.each(text) RETURNS SETOF text LANGUAGE sql AS
	$$SELECT replace($1, '%', way) FROM unnest(ARRAY['column', 'table', 'type', 'key', 'index']) AS way$$;
SELECT public.each('CREATE TABLE parent_% (id int PRIMARY KEY, v text, u int)') \gexec
SELECT public.each('CREATE UNIQUE INDEX u_% ON parent_% (u)') \gexec
SELECT public.each('CREATE TABLE child_% (id int PRIMARY KEY, p int REFERENCES parent_% ON DELETE CASCADE, u int REFERENCES parent_% (u) ON DELETE SET NULL)') \gexec
SELECT public.each('INSERT INTO parent_% VALUES (1, ''x'', 1), (2, ''y'', 2)') \gexec
SELECT public.each('INSERT INTO child_% VALUES (1, 1, 1), (2, 2, 2), (3, 1, 2)') \gexec
CREATE VIEW public.keys AS SELECT conrelid::regclass AS relation, conname,
	pg_get_constraintdef(oid) FROM pg_constraint
	WHERE contype = 'f' AND connamespace::regnamespace::text ~ 'app|schemaver_retained'
	AND conparentid = 0 ORDER BY 1, 2;
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('DROP TABLE child_column, child_table, child_type, child_key, child_index', '2.0.0');
SELECT schemaver.register('2.0.0');
TABLE public.keys;

SELECT schemaver.apply($$
	ALTER TABLE parent_column DROP id;
	DROP TABLE parent_table;
	ALTER TABLE parent_type ALTER id TYPE bigint;
	ALTER TABLE parent_key DROP CONSTRAINT parent_key_pkey;
	DROP INDEX u_index;
$$, '3.0.0');
TABLE public.keys;
SELECT schemaver.register('3.0.0');
INSERT INTO parent_key VALUES (1, 'again', 11), (1, 'and again', 12);
INSERT INTO parent_index VALUES (11, 'again', 1), (12, 'and again', 1);

-- to the version that has them all is as it was
SELECT schemaver.register('1.0.0');
SELECT public.each('INSERT INTO child_% VALUES (4, 9, 1)') \gexec
SELECT public.each('INSERT INTO child_% VALUES (4, 1, 9)') \gexec
SELECT public.each('INSERT INTO parent_% VALUES (3, ''z'', 3), (4, ''w'', 4)') \gexec
SELECT public.each('INSERT INTO child_% VALUES (5, 3, 4), (6, 4, 3)') \gexec
SELECT public.each('DELETE FROM parent_% WHERE id = 3') \gexec
SELECT public.each('SELECT ''%'', * FROM child_% WHERE id > 3') \gexec

-- and to the one between nothing refers to them
SELECT schemaver.register('2.0.0');
SELECT public.each('DELETE FROM parent_% WHERE id = 4') \gexec
SELECT schemaver.unregister();
SELECT schemaver.verify();

-- back, with what has lost its parent gone
SELECT schemaver.rollback('1.0.0');
SELECT public.each('DELETE FROM child_% WHERE id > 3') \gexec
DELETE FROM parent_key WHERE v ~ 'again';
DELETE FROM parent_index WHERE v ~ 'again';
SELECT schemaver.retire('3.0.0');
TABLE public.keys;
SELECT schemaver.verify(deep => true);
\c :home
DROP DATABASE sv_refer_gone;
