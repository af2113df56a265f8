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
\c :home
DROP DATABASE sv_own_path;
