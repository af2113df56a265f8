--
-- schemaver.wait_for_drain(), as far as one session can tell
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_drain;
\c sv_drain
CREATE EXTENSION schemaver;
CREATE SCHEMA drain_base;
SET search_path = drain_base, public;
SELECT schemaver.create_product('draining', ARRAY['drain_base']);
SELECT schemaver.wait_for_drain('1.0.0', 'draining');
CREATE TABLE person (id int PRIMARY KEY, last_name text);
SELECT schemaver.baseline('1.0.0', 'draining');
SELECT schemaver.apply('ALTER TABLE person RENAME last_name TO surname',
	product => 'draining');

-- nobody is live: it returns at once, for the current version too
SELECT schemaver.wait_for_drain('1.0.0', 'draining');
SELECT schemaver.wait_for_drain('v1.1', 'draining', '1 hour');
SELECT schemaver.wait_for_drain('1.1.0', 'draining', '0');

-- what it refuses
SELECT schemaver.wait_for_drain(NULL, 'draining');
SELECT schemaver.wait_for_drain('1.0.5', 'draining');
SELECT schemaver.wait_for_drain('1.0.0', 'nobody');
SELECT schemaver.wait_for_drain('1.0.0', 'draining', '-1 ms');
SELECT schemaver.wait_for_drain('1.0.0', 'draining', '300000 years');
BEGIN;
CREATE TABLE change (id int);
SELECT schemaver.wait_for_drain('1.0.0', 'draining');
ROLLBACK;

-- a session does not wait for itself, until it is certain that it goes
SELECT schemaver.register('1.0.0', 'draining');
SELECT schemaver.wait_for_drain('1.0.0', 'draining');
SELECT schemaver.wait_for_drain('1.1.0', 'draining', '0');
BEGIN;
SELECT schemaver.unregister();
SELECT schemaver.wait_for_drain('1.0.0', 'draining');
ROLLBACK;
SELECT schemaver.register('1.1.0', 'draining');
SELECT schemaver.wait_for_drain('1.0.0', 'draining');
SELECT schemaver.wait_for_drain('1.1.0', 'draining');
SELECT schemaver.unregister();
SELECT schemaver.wait_for_drain('1.1.0', 'draining');

-- nobody can be live under what is retired
SELECT schemaver.retire('1.0.0', 'draining');
SELECT schemaver.wait_for_drain('1.0.0', 'draining');

-- everybody may wait
CREATE ROLE regress_drain_nobody;
SET ROLE regress_drain_nobody;
SELECT schemaver.wait_for_drain('1.1.0', 'draining');
RESET ROLE;
DROP ROLE regress_drain_nobody;

-- it leaves no setting and no lock behind
SHOW lock_timeout;
BEGIN;
SELECT schemaver.wait_for_drain('1.1.0', 'draining');
SELECT count(*) FROM pg_locks
WHERE locktype = 'userlock' AND pid = pg_backend_pid();
COMMIT;

\c :home
DROP DATABASE sv_drain;
