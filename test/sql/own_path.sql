-- Functions with a search_path of their own find the names of the version
-- whose code they are, and none of what is retained
SELECT current_database() AS home \gset
CREATE DATABASE sv_own_path;
\c sv_own_path
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
\set VERBOSITY terse
\set QUIET on
\pset format unaligned
\pset tuples_only on
CREATE TABLE account (id int PRIMARY KEY, owner text, amount int);
INSERT INTO account VALUES (1, 'ann', 10);
CREATE FUNCTION upper(text) RETURNS text LANGUAGE sql AS $$SELECT 'shadow'$$;
CREATE FUNCTION total() RETURNS text LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, public, pg_temp AS
	$$SELECT upper('sum ') || sum(amount) FROM account$$;
CREATE FUNCTION put(int, text, int) RETURNS void LANGUAGE plpgsql
	SECURITY DEFINER SET search_path = public, pg_temp AS
	$$ BEGIN INSERT INTO account VALUES ($1, $2, $3); END $$;
CREATE FUNCTION everything() RETURNS SETOF record LANGUAGE sql
	SET search_path = public AS 'SELECT * FROM account';
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql
	SET search_path = public AS
	$$ BEGIN RAISE WARNING '%', (SELECT count(*) FROM account); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON account EXECUTE FUNCTION note();
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT $$
	ALTER TABLE account RENAME amount TO sum;
	ALTER TABLE account DROP owner;
	DROP FUNCTION public.upper(text);
	CREATE OR REPLACE FUNCTION total() RETURNS text LANGUAGE sql
		SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
		'SELECT upper(''new '') || sum(sum) FROM account';
	DROP FUNCTION put(int, text, int);
	CREATE FUNCTION put(int, int) RETURNS void LANGUAGE plpgsql
		SECURITY DEFINER SET search_path = public, pg_temp AS
		'BEGIN INSERT INTO account VALUES ($1, $2); END';
$$ AS script \gset
SELECT schemaver.apply(:'script', '1.1.0');
SHOW search_path;
SELECT total(), put(2, 'bob', 20);
SELECT * FROM everything() AS (id int, owner text, amount int);
SELECT public.total();
SELECT schemaver.register('1.1.0');
SELECT total(), put(3, 30);
SELECT * FROM everything() AS (id int, sum int);

-- and the other way round, when the older version is the current one again
SELECT schemaver.rollback('1.0.0');
SELECT total(), put(4, 40);
SELECT * FROM everything() AS (id int, sum int);
SELECT schemaver.register('1.0.0');
SELECT total(), put(5, 'eve', 50);
SELECT * FROM everything() AS (id int, owner text, amount int);

-- who is not registered sees the tables
SELECT schemaver.unregister();
SELECT total();

-- FROM CURRENT keeps the caller's path, as it does outside of a script; without
-- version schemas, and with base schemas that the path does not begin with
CREATE SCHEMA aside;
\set seen 'SELECT * INTO seen FROM (SELECT current_setting(''search_path''), current_schemas(true)) AS s;'
\set make 'CREATE FUNCTION a() RETURNS int LANGUAGE sql SET search_path FROM CURRENT RETURN 1; CREATE FUNCTION b() RETURNS int LANGUAGE sql RETURN 1; ALTER FUNCTION b SET search_path FROM CURRENT; CREATE PROCEDURE c() LANGUAGE sql SET search_path FROM CURRENT AS ''SELECT 1''; SET search_path = aside, public; CREATE FUNCTION d() RETURNS int LANGUAGE sql SET search_path FROM CURRENT RETURN 1'
\set look 'SELECT s.*, proname, proconfig FROM public.seen AS s, pg_proc WHERE proname IN (''a'', ''b'', ''c'', ''d'') ORDER BY proname'
SHOW search_path;
BEGIN;
SELECT schemaver.apply(:'seen' || :'make', '2.0.0');
:look;
ROLLBACK;
BEGIN;
:seen
:make;
:look;
ROLLBACK;
SELECT schemaver.register('1.0.0');
SHOW search_path;
BEGIN;
SELECT schemaver.apply(:'seen' || :'make', '2.0.0');
:look;
ROLLBACK;
SELECT schemaver.unregister();
SET search_path = missing, aside, "$user", public;
BEGIN;
SELECT schemaver.apply(:'seen' || :'make', '2.0.0');
:look;
ROLLBACK;

-- nor does a base schema come before pg_catalog where that is to be the first
\set make 'CREATE TABLE made AS SELECT upper(''a''), current_setting(''search_path'')'
SET search_path = pg_catalog, public;
BEGIN;
SELECT schemaver.apply(:'make', '2.0.0');
TABLE public.made;
ROLLBACK;
SET search_path = aside, pg_catalog;
BEGIN;
SELECT schemaver.apply(:'make', '2.0.0');
TABLE public.made;
ROLLBACK;
SET search_path = public, pg_catalog;
BEGIN;
SELECT schemaver.apply(:'make', '2.0.0');
TABLE public.made;
ROLLBACK;
RESET search_path;
\c :home
DROP DATABASE sv_own_path;
