--
-- What a script may hold: everything here is refused before it runs
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS schemaver;
RESET client_min_messages;

-- nothing to do
SELECT schemaver.apply('');
SELECT schemaver.apply(E' \n\t\n');
SELECT schemaver.apply($$-- a comment, /* no more than that */$$);
SELECT schemaver.apply($$/* a comment /* in a comment */ ; */ ;; $$);
SELECT schemaver.apply($$-- schemaver: version 1.0$$);
SELECT schemaver.apply($$BEGIN; COMMIT;$$);
SELECT schemaver.apply(E'\uFEFF');

-- directives
SELECT schemaver.apply($$
-- schemaver: product shop
-- schemaver: verison 1.0
CREATE TABLE never ();
$$);
SELECT schemaver.apply($$-- schemaver:
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: product
CREATE TABLE never ()$$);
SELECT schemaver.apply($$--schemaver:product   ""
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- SchemaVer: PRODUCT "shop" too
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: product "shop
CREATE TABLE never ()$$);
SELECT schemaver.apply($$
-- schemaver: product shop
CREATE TABLE never ();
	-- schemaver: product shop
$$);
SELECT schemaver.apply($$-- schemaver: description
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: description one
-- schemaver: description two
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: version
CREATE TABLE never ()$$);
SELECT schemaver.apply($$
-- schemaver: version one
CREATE TABLE never ()$$);
SELECT schemaver.apply($$
-- schemaver: version 1.0 -> next
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: version 1.0 ->
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: version -> 1.0
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: version 1.0
-- schemaver: version 1.0
CREATE TABLE never ()$$);

-- each end of line that there is counts once
SELECT schemaver.apply(E'SELECT 1;\r\n\r\n-- schemaver: line 3\r\n');
SELECT schemaver.apply(E'SELECT 1;\r\r-- schemaver: line 3\r');
SELECT schemaver.apply(E'SELECT \'\n\n\' /* \n */;\n-- schemaver: line 5\n');

-- expressions of columns
SELECT schemaver.apply($$-- schemaver: up
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up name = 'x'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: down a.b.c.d = 'x'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person."" = 'x'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.1st = 'x'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name 'x'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name =
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name = -- to be done
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name = 'x', 'y'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name = first_name FROM pg_authid
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name = first_name AS name
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name = 'x'; DROP TABLE person
CREATE TABLE never ()$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: up person.name = upper(first_name
$$);
SELECT schemaver.apply($$-- schemaver: up person.name = 'x
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: up person.name = 'x'
-- schemaver: up "person" . NAME = 'y'
CREATE TABLE never ()$$);
SELECT schemaver.apply($$-- schemaver: down shop.person.name = 'x'
-- schemaver: down shop."person"."name" = 'y'
CREATE TABLE never ()$$);

-- the rollback section
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback now
DROP TABLE never$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
DROP TABLE never;
-- schemaver: rollback
DROP TABLE never;$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
DROP TABLE never;
-- schemaver: version 1.0$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
DROP TABLE;$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
DROP TABLE never;
VACUUM;$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
BEGIN;
DROP TABLE never;$$);
SELECT schemaver.apply($$-- schemaver: rollback
DROP TABLE never;$$);

-- syntax errors
SELECT schemaver.apply($$CREATE TABLE never ();

ALTR TABLE never ADD COLUMN a int;
CREATE TABLE never ();$$);
SELECT schemaver.apply($$CREATE TABLE never ();
ALTER TABLE never ADD COLUMN$$);
SELECT schemaver.apply($$CREATE TABLE never ();
SELECT 'never ending;
$$);
SELECT schemaver.apply($$CREATE TABLE never ();
SELECT "never ending;
$$);
SELECT schemaver.apply($$CREATE TABLE never ();
/* never /* ending */
$$);
SELECT schemaver.apply($s$CREATE TABLE never ();
DO $$ never ending $;
$s$);
SELECT schemaver.apply($$SELECT :variable;$$);
-- far down in a script, and before a lot of it
SELECT schemaver.apply(repeat(E'SELECT 1;\n', 1000) || 'SELEKT 1;');
SELECT schemaver.apply(repeat(E'\n', 1000) || $$SELECT '$$ || repeat('x', 1000));

-- backslash commands
SELECT schemaver.apply($$CREATE TABLE never ();

  \d never
$$);
SELECT schemaver.apply($$SELECT 1 \gset prefix_
$$);
SELECT schemaver.apply($$\$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
\i undo.sql
$$);

-- what has the client's connection as its other end
SELECT schemaver.apply($$CREATE TABLE never ();
COPY never (a, "from") FROM STDIN (FORMAT csv);
it's no SQL at all	\N
\.
CREATE TABLE never ();$$);
SELECT schemaver.apply($$COPY never FROM STDIN$$);
SELECT schemaver.apply($$CREATE TABLE never ();
-- schemaver: rollback
COPY never FROM STDIN;
"
\.
$$);
SELECT schemaver.apply($$COPY (SELECT 1 FROM stdin) TO STDOUT$$);

-- transactions
SELECT schemaver.apply($$CREATE TABLE never (); BEGIN; CREATE TABLE never ();$$);
SELECT schemaver.apply($$CREATE TABLE never ();
COMMIT;$$);
SELECT schemaver.apply($$BEGIN; CREATE TABLE never (); END;
END;$$);
SELECT schemaver.apply($$BEGIN;
START TRANSACTION;
CREATE TABLE never ();
COMMIT;$$);
SELECT schemaver.apply($$START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY;
CREATE TABLE never ();
COMMIT;$$);
SELECT schemaver.apply($$BEGIN; CREATE TABLE never (); COMMIT AND CHAIN;$$);
SELECT schemaver.apply($$BEGIN; CREATE TABLE never (); ROLLBACK;$$);
SELECT schemaver.apply($$BEGIN; CREATE TABLE never (); ABORT AND CHAIN;$$);
SELECT schemaver.apply($$SAVEPOINT a;$$);
SELECT schemaver.apply($$RELEASE a;$$);
SELECT schemaver.apply($$ROLLBACK TO a;$$);
SELECT schemaver.apply($$PREPARE TRANSACTION 'a';$$);
SELECT schemaver.apply($$COMMIT PREPARED 'a';$$);
SELECT schemaver.apply($$ROLLBACK PREPARED 'a';$$);
SELECT schemaver.apply($$BEGIN; SET TRANSACTION READ ONLY; CREATE TABLE never (); COMMIT;$$);
SELECT schemaver.apply($$SET TRANSACTION SNAPSHOT '00000003-0000001B-1';$$);

-- what cannot run inside a transaction
SELECT schemaver.apply($$
BEGIN;
CREATE TABLE never ();
ANALYZE;

/* at last */ VACUUM (ANALYZE) never;
COMMIT;$$);
SELECT schemaver.apply($$ALTER SYSTEM SET work_mem = '1MB'$$);
SELECT schemaver.apply($$CREATE DATABASE never$$);
SELECT schemaver.apply($$DROP DATABASE never$$);
SELECT schemaver.apply($$ALTER DATABASE never SET TABLESPACE pg_default$$);
SELECT schemaver.apply($$CREATE TABLESPACE never LOCATION '/never'$$);
SELECT schemaver.apply($$DROP TABLESPACE never$$);
SELECT schemaver.apply($$REINDEX TABLE CONCURRENTLY never$$);
SELECT schemaver.apply($$REINDEX (CONCURRENTLY) INDEX never$$);
SELECT schemaver.apply($$REINDEX SCHEMA never$$);
SELECT schemaver.apply($$REINDEX DATABASE never$$);
SELECT schemaver.apply($$REINDEX SYSTEM never$$);
SELECT schemaver.apply($$ALTER TABLE never DETACH PARTITION part CONCURRENTLY$$);
SELECT schemaver.apply($$CLUSTER$$);
SELECT schemaver.apply($$CREATE SUBSCRIPTION never CONNECTION '' PUBLICATION p$$);
SELECT schemaver.apply($$CREATE SUBSCRIPTION never CONNECTION '' PUBLICATION p WITH (create_slot = maybe)$$);
SELECT schemaver.apply($$DROP SUBSCRIPTION never$$);
SELECT schemaver.apply($$ALTER SUBSCRIPTION never REFRESH PUBLICATION$$);
SELECT schemaver.apply($$ALTER SUBSCRIPTION never SET PUBLICATION p$$);
SELECT schemaver.apply($$DISCARD ALL$$);

-- what would concern the caller's session
SELECT schemaver.apply($$LISTEN never$$);
SELECT schemaver.apply($$UNLISTEN *$$);

SELECT to_regclass('never') AS nothing_ran;

-- the isolation level that a script asks for is the caller's to have
SELECT current_database() AS home \gset
CREATE DATABASE sv_script;
\c sv_script
CREATE EXTENSION schemaver;
SELECT schemaver.create_product('app');
SELECT schemaver.baseline('1.0.0');
\set serializable 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE; CREATE TABLE t (id int); COMMIT'
\set repeatable 'BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE; CREATE TABLE t (id int); COMMIT'
\set committed 'BEGIN ISOLATION LEVEL READ UNCOMMITTED, DEFERRABLE; SET TRANSACTION ISOLATION LEVEL READ COMMITTED, NOT DEFERRABLE; CREATE TABLE seen AS SELECT current_setting(''transaction_isolation''); COMMIT'
SELECT schemaver.apply(:'repeatable');
SELECT schemaver.plan(:'repeatable');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SAVEPOINT s;
SELECT schemaver.apply(:'serializable', '2.0.0');
ROLLBACK TO s;
SELECT statement, text, effect FROM schemaver.plan(:'repeatable');
SELECT schemaver.apply(:'repeatable', '2.0.0');
SELECT schemaver.apply(:'committed', '2.0.1');
TABLE seen;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT schemaver.apply(:'serializable', '2.0.0');
SELECT schemaver.apply('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; DROP TABLE t', '2.1.0');
COMMIT;
SELECT schemaver.apply(:'committed', '3.0.0');
TABLE seen;
-- applied is applied, and rolled back as well
SELECT schemaver.apply(:'serializable', '2.0.0');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT schemaver.apply('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; UPDATE seen SET current_setting = 1;
-- schemaver: rollback
SET TRANSACTION READ WRITE; UPDATE seen SET current_setting = 0', '3.1.0');
COMMIT;
SELECT schemaver.rollback('3.0.0');
TABLE seen;
-- going forward again runs it again
SELECT schemaver.apply('SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; UPDATE seen SET current_setting = 1;
-- schemaver: rollback
SET TRANSACTION READ WRITE; UPDATE seen SET current_setting = 0', '3.1.0');
-- rollback() promises no level
SELECT schemaver.apply('CREATE TABLE q (id int);
-- schemaver: rollback
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; DROP TABLE q', '4.0.0');
\c :home
DROP DATABASE sv_script;
