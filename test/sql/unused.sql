--
-- Where the script fails for the sake of a version that nobody has ever
-- registered under, that version gives way
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_unused;
\c sv_unused
CREATE EXTENSION schemaver;
\pset format unaligned
\pset tuples_only on
SET schemaver.plan_lock_limit = 0;
CREATE TYPE "State" AS ENUM ('a', 'b');
CREATE TABLE job (id int PRIMARY KEY, state "State" NOT NULL DEFAULT 'a', n int);
INSERT INTO job VALUES (1, 'a', 7);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');

-- a label that the script has just made
\set rebuild 'BEGIN; CREATE TYPE "State_new" AS ENUM (''a'', ''c''); ALTER TABLE job ALTER state DROP DEFAULT; ALTER TABLE job ALTER COLUMN state TYPE "State_new" USING (state::text::"State_new"); ALTER TYPE "State" RENAME TO "State_old"; ALTER TYPE "State_new" RENAME TO "State"; DROP TYPE "State_old"; COMMIT;'
\set update :rebuild ' UPDATE job SET state = ''c'';'
\set insert :rebuild ' ALTER TABLE job ALTER state SET DEFAULT ''c''; INSERT INTO job VALUES (2);'
SELECT statement, effect, notices, version FROM schemaver.plan(:'update');
SELECT notices, version FROM schemaver.plan(:'insert') WHERE notices <> '{}';
TABLE job;
BEGIN;
SELECT schemaver.apply(:'update');
TABLE job;
SELECT version, status FROM schemaver.versions ORDER BY version;
ROLLBACK;
SELECT schemaver.apply(:'insert');
TABLE job;
\d job
SELECT * FROM schemaver.verify();

-- what fails by itself, or for the author's words, fails; what is told is what
-- would remain
SELECT schemaver.apply('ALTER TABLE job ALTER n TYPE bigint;
	UPDATE job SET n = 3000000000; SELECT 1 / 0');
SELECT effect FROM schemaver.plan('ALTER TABLE job ALTER n TYPE bigint;
	UPDATE job SET n = 3000000000; SELECT 1 / 0');
SELECT schemaver.apply('-- schemaver: down job.n = lower(n)
	ALTER TABLE job ALTER n TYPE bigint');
SELECT effect FROM schemaver.plan('-- schemaver: down job.n = lower(n)
	ALTER TABLE job ALTER n TYPE bigint');
SELECT schemaver.apply('ALTER TABLE job ALTER m TYPE bigint');

-- what stops it the second time may be over soon, and is what is told then
CREATE SEQUENCE tries;
SELECT schemaver.apply('DO $$BEGIN IF nextval(''tries'') = 2 THEN RAISE ''not now'' USING ERRCODE = ''query_canceled''; END IF; END$$;
	ALTER TABLE job ALTER n TYPE bigint; UPDATE job SET n = 3000000000');
DROP SEQUENCE tries;

-- a value that is too large
SELECT schemaver.apply('ALTER TABLE job ALTER n TYPE bigint;
	UPDATE job SET n = 3000000000');
TABLE job ORDER BY id;

-- where an instance has registered it is an error: under the current version,
SELECT version FROM schemaver.versions WHERE status = 'current' \gset
SELECT schemaver.register(:'version');
SELECT schemaver.unregister();
UPDATE job SET state = 'a';
\set rebuild 'CREATE TYPE "State_new" AS ENUM (''a'', ''d''); ALTER TABLE job ALTER state DROP DEFAULT; ALTER TABLE job ALTER COLUMN state TYPE "State_new" USING (state::text::"State_new"); ALTER TYPE "State" RENAME TO "State_old"; ALTER TYPE "State_new" RENAME TO "State"; DROP TYPE "State_old";'
\set update :rebuild ' UPDATE job SET state = ''d'';'
SELECT schemaver.apply(:'update');
SELECT effect FROM schemaver.plan(:'update') WHERE statement = 7;
SELECT schemaver.apply('CREATE TABLE other (id int)');
-- or under one before
SELECT schemaver.apply(:'update');
SELECT effect FROM schemaver.plan(:'update') WHERE statement = 7;
SELECT status, registered IS NOT NULL FROM schemaver.versions
	WHERE status <> 'retired' ORDER BY version;

\c :home
DROP DATABASE sv_unused;
