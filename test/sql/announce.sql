--
-- Restore points and the history
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_announce TEMPLATE template0 ENCODING 'UTF8';
\c sv_announce
CREATE EXTENSION schemaver;
CREATE ROLE regress_announce_deployer;
GRANT EXECUTE ON FUNCTION
	schemaver.apply(text, schemaver.version, text, text, text),
	schemaver.retire(schemaver.version, text, boolean)
TO regress_announce_deployer;
CREATE SCHEMA a;
GRANT ALL ON SCHEMA a TO regress_announce_deployer;
SET search_path = a, public;

-- what the history says from a line on; the WAL position only as true or not
SELECT pg_current_wal_insert_lsn() AS start \gset
PREPARE positions(pg_lsn) AS
	SELECT action, version, restore_point, outcome,
		lsn > $1 AND lsn < pg_current_wal_insert_lsn()
			AND lsn > lag(lsn, 1, $1) OVER (ORDER BY id) AS grows
	FROM schemaver.history WHERE lsn > $1 ORDER BY id;

SELECT schemaver.create_product('shop', '{a}');
CREATE TABLE person (id int PRIMARY KEY, last_name text);
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.apply('ALTER TABLE person RENAME last_name TO surname');
SELECT schemaver.apply('ALTER TABLE person RENAME surname TO name', 'v2-beta');
ALTER TABLE person ADD COLUMN by_hand int;
SELECT schemaver.retire('1.1.0');
EXECUTE positions(:'start');

-- one that is a no-op, or fails, leaves none in the history
SELECT count(*) AS before FROM schemaver.history \gset
SELECT schemaver.retire('1.1.0');
SELECT schemaver.apply('ALTER TABLE person RENAME surname TO name', 'v2-beta');
SELECT schemaver.apply('ALTER TABLE person RENAME nothing TO name');
SELECT count(*) - :before AS more FROM schemaver.history;

-- a role that may not make any; then it may
SELECT pg_current_wal_insert_lsn() AS start \gset
SET ROLE regress_announce_deployer;
SELECT schemaver.apply('CREATE TABLE place (id int)', '2.0.0');
SELECT schemaver.apply('CREATE TABLE place2 (id int)');
SELECT schemaver.retire('2.0.0');
RESET ROLE;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text)
	TO regress_announce_deployer;
SET ROLE regress_announce_deployer;
SELECT schemaver.apply('CREATE TABLE place3 (id int)');
RESET ROLE;
EXECUTE positions(:'start');

-- names that do not fit are cut off in the product, between characters
CREATE SCHEMA b;
CREATE SCHEMA c;
SELECT pg_current_wal_insert_lsn() AS start \gset
SELECT schemaver.create_product(repeat('é', 31), '{b}');
SELECT schemaver.create_product('p', '{c}');
SELECT schemaver.apply('CREATE TABLE b.x ()', '1.0.0', repeat('é', 31));
SELECT schemaver.apply('CREATE TABLE b.y ()', '1.10.0', repeat('é', 31));
SELECT schemaver.apply('CREATE TABLE c.x ()',
	('1.0.0-' || repeat('long', 12))::schemaver.version, 'p');
EXECUTE positions(:'start');
SELECT version, octet_length(restore_point), length(restore_point)
FROM schemaver.history WHERE lsn > :'start' ORDER BY id;

\c :home
DROP DATABASE sv_announce;
DROP ROLE regress_announce_deployer;
