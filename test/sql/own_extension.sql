--
-- A script about the extension that runs it: refused, and nothing has changed
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_own_extension;
\c sv_own_extension
CREATE ROLE regress_boss SUPERUSER;
GRANT ALL ON SCHEMA public TO PUBLIC;
SET ROLE regress_boss;
CREATE EXTENSION schemaver;
CREATE TABLE t (id int PRIMARY KEY, c int, d int);
CREATE EXTENSION IF NOT EXISTS plpgsql;

-- with and without a product
\set VERBOSITY default
SELECT schemaver.apply('DROP EXTENSION schemaver');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.apply('DROP EXTENSION schemaver');
SELECT schemaver.apply('ALTER TABLE t ALTER c TYPE text');
SELECT schemaver.apply('DROP EXTENSION schemaver');
SELECT schemaver.apply('CREATE TABLE gone (a int);
DROP EXTENSION schemaver CASCADE;');
SELECT schemaver.apply('DO $$BEGIN DROP EXTENSION IF EXISTS schemaver; END$$');
SELECT schemaver.apply('DO $$BEGIN DROP EXTENSION schemaver CASCADE; END$$');
SET schemaver.plan_lock_limit = 0;
SELECT effect FROM schemaver.plan('DROP EXTENSION schemaver');

-- by other words
\set VERBOSITY terse
SELECT schemaver.apply('DROP SCHEMA schemaver');
SELECT schemaver.apply('DROP SCHEMA schemaver CASCADE');
SELECT schemaver.apply('DO $$BEGIN DROP SCHEMA schemaver CASCADE; END$$');
SELECT schemaver.apply('DROP SCHEMA IF EXISTS nosuch, schemaver CASCADE');
SELECT schemaver.apply('DROP EXTENSION IF EXISTS nosuch, schemaver');
SELECT schemaver.apply('DROP SCHEMA schemaver_retained CASCADE');
SELECT schemaver.apply('DROP TABLE schemaver.db_product CASCADE');
SELECT schemaver.apply('DROP OWNED BY regress_boss CASCADE');
SELECT schemaver.apply('DROP TABLE t;
-- schemaver: rollback
DROP EXTENSION schemaver CASCADE;');
SELECT schemaver.rollback('1.1.0');

-- a change of it
SELECT schemaver.apply('ALTER EXTENSION schemaver UPDATE');
SELECT schemaver.apply('DO $$BEGIN ALTER EXTENSION schemaver UPDATE TO ''9''; END$$');
SELECT schemaver.apply('ALTER EXTENSION schemaver SET SCHEMA public');
SELECT schemaver.apply('ALTER EXTENSION schemaver ADD TABLE t');
SELECT schemaver.apply('ALTER EXTENSION schemaver DROP TABLE schemaver.db_product');
SELECT schemaver.apply('ALTER SCHEMA schemaver RENAME TO mine');
SELECT schemaver.apply('ALTER SCHEMA schemaver_retained RENAME TO mine');

-- what is caught has changed nothing either; nor is what is another's refused
SELECT schemaver.apply('DO $$BEGIN
	DROP EXTENSION schemaver CASCADE;
EXCEPTION WHEN feature_not_supported THEN
	RAISE WARNING ''%'', sqlerrm;
END$$');
SELECT schemaver.apply('CREATE EXTENSION IF NOT EXISTS schemaver;
CREATE SCHEMA other; ALTER SCHEMA other RENAME TO another; DROP SCHEMA another');
SELECT action, version, outcome FROM schemaver.history ORDER BY id;
SELECT * FROM schemaver.verify();

-- by itself it goes
SET client_min_messages = warning;
DROP EXTENSION schemaver CASCADE;
RESET ROLE;
DROP OWNED BY regress_boss CASCADE;
DROP ROLE regress_boss;
\c :home
DROP DATABASE sv_own_extension;
