--
-- verify(deep => true): columns that are kept in step, row by row; the trigger
-- that keeps them; rows without a value; jobs.  And what status() says of it.
--
\pset format unaligned
\pset tuples_only on
SELECT current_database() AS home \gset
CREATE DATABASE sv_compare;
\c sv_compare
SET client_min_messages = warning;
SET schemaver.job_workers = 0;
CREATE EXTENSION schemaver;
CREATE SCHEMA tool;
CREATE VIEW tool.deep AS
	SELECT coalesce(version::text, '-') || ' ' || severity || ', ' || object
			|| ': ' || finding || E'\n    ' || detail
			|| coalesce(E'\n    -> ' || hint, '') AS finding
	FROM schemaver.verify(deep => true)
	WHERE finding <> 'changed by hand';
CREATE VIEW tool.shallow AS
	SELECT severity || ', ' || object || ': ' || finding
			|| E'\n    -> ' || hint AS finding
	FROM schemaver.verify()
	WHERE finding <> 'changed by hand';

CREATE TYPE role AS ENUM ('USER', 'ADMIN');
CREATE TABLE person (id int PRIMARY KEY, first_name text, last_name text);
CREATE TABLE item (id int PRIMARY KEY, price numeric, amount numeric,
	at timestamp);
CREATE TABLE account (id int PRIMARY KEY, role role DEFAULT 'USER',
	roles role[], n text);
CREATE TABLE keyless (n int);
CREATE TABLE part (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part2 (v int, junk int, id int NOT NULL);
ALTER TABLE part2 DROP junk;
ALTER TABLE part ATTACH PARTITION part2 FOR VALUES FROM (100) TO (200);
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO person SELECT i, 'F' || i, 'L' || i FROM generate_series(1, 3) AS i;
INSERT INTO item SELECT i, 1.55, 1.55, '2026-01-01' FROM generate_series(1, 3) AS i;
INSERT INTO account SELECT i, 'ADMIN', '{USER,ADMIN}', i FROM generate_series(1, 3) AS i;
INSERT INTO keyless VALUES (1), (NULL);
INSERT INTO part SELECT i, i FROM generate_series(98, 102) AS i;
INSERT INTO parent VALUES (1, 1);
INSERT INTO heir VALUES (2, 2);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
TABLE tool.deep;

-- two made one, another unit, a lossy one, types of all sorts; keyless has
-- directives alone, though another table's column of that name changes its
-- type, and its rows are filled as they say
SELECT schemaver.apply($$
	-- schemaver: up   person.full_name = first_name || ' ' || last_name
	-- schemaver: down person.first_name = split_part(full_name, ' ', 1)
	-- schemaver: down person.last_name = split_part(full_name, ' ', 2)
	-- schemaver: up   item.price = price * 100
	-- schemaver: down item.price = price / 100
	-- schemaver: down item.amount = amount
	-- schemaver: up   keyless.n = n / 2
	-- schemaver: down keyless.n = 100 / n
	ALTER TABLE person ADD full_name text;
	UPDATE person SET full_name = first_name || ' ' || last_name;
	ALTER TABLE person DROP first_name, DROP last_name;
	UPDATE item SET price = price * 100;
	ALTER TABLE item ALTER amount TYPE int USING round(amount);
	ALTER TABLE part ALTER v TYPE bigint;
	ALTER TABLE parent ALTER v TYPE bigint;
	CREATE TYPE "Role_new" AS ENUM ('USER', 'ADMIN', 'GUEST');
	ALTER TABLE account ALTER role DROP DEFAULT,
		ALTER role TYPE "Role_new" USING role::text::"Role_new",
		ALTER roles TYPE "Role_new"[] USING roles::text[]::"Role_new"[],
		ALTER n TYPE int USING n::int;
$$, '2.0.0');
TABLE keyless;
SELECT schemaver.register('2.0.0');
TABLE keyless;
TABLE tool.deep;

-- both sides write, and neither way back is without loss
SELECT schemaver.register('1.0.0');
INSERT INTO person VALUES (4, 'Mary Ann', 'von und zu');
UPDATE person SET last_name = 'of two words' WHERE id = 3;
INSERT INTO item (id, price, amount) VALUES (4, 2.555, 2.55);
INSERT INTO account (id, n) VALUES (4, '0007');
INSERT INTO keyless VALUES (7);
INSERT INTO part VALUES (5, 5), (105, NULL);
SELECT schemaver.register('2.0.0');
INSERT INTO person VALUES (5, 'Mary Ann of two words'), (6, NULL);
UPDATE person SET full_name = full_name || ' the third' WHERE id = 1;
INSERT INTO item (id, price, amount) VALUES (5, 1, 3);
UPDATE item SET amount = 7 WHERE id = 2;
INSERT INTO account (id, n, role) VALUES (5, 8, 'USER');
INSERT INTO keyless VALUES (7);
UPDATE part SET v = 6 WHERE id = 5;
UPDATE parent SET v = v + 1;
TABLE tool.deep;

-- what nobody has computed is found, with the first row's key; a side that
-- cannot be computed does not hold
SELECT schemaver.unregister();
SET session_replication_role = replica;
UPDATE person SET full_name = 'x' WHERE id IN (2, 4);
UPDATE item SET price = 155.0 WHERE id = 1;
UPDATE item SET price = 156 WHERE id = 2;
UPDATE account SET role = 'GUEST', roles = '{GUEST}',
	schemaver_retained_n = 'nine' WHERE id > 3;
UPDATE keyless SET n = 0;
UPDATE part SET v = -5 WHERE id >= 99;
UPDATE heir SET schemaver_retained_v = NULL;
RESET session_replication_role;
TABLE tool.deep;
-- the values alone are wrong: nothing else is
TABLE tool.shallow;
-- as the hint says
SET session_replication_role = replica;
UPDATE public.person SET full_name = ((schemaver_retained_first_name || ' '::text)
	|| schemaver_retained_last_name);
UPDATE public.item SET price = (schemaver_retained_price * 100);
UPDATE public.account SET role = 'USER', schemaver_retained_role = 'USER',
	roles = NULL, schemaver_retained_roles = NULL, schemaver_retained_n = n;
DELETE FROM keyless;
UPDATE public.part SET schemaver_retained_v = v;
UPDATE public.heir SET schemaver_retained_v = v;
RESET session_replication_role;
TABLE tool.deep;

-- numbers that are equal but look different are not the same
SET session_replication_role = replica;
UPDATE item SET price = price + 0.0000 WHERE id = 3;
SELECT count(*) FROM tool.deep;
UPDATE item SET price = schemaver_retained_price * 100 WHERE id = 3;
RESET session_replication_role;

-- a chain of three versions, and a rollback
SELECT schemaver.apply('ALTER TABLE part ALTER v TYPE numeric', '3.0.0');
SELECT schemaver.register('1.0.0');
INSERT INTO part VALUES (10, 10);
SELECT schemaver.register('2.0.0');
UPDATE part SET v = 11 WHERE id = 10;
INSERT INTO part VALUES (11, 11);
SELECT schemaver.register('3.0.0');
INSERT INTO part VALUES (12, 12.4), (112, 112);
UPDATE part SET v = 13 WHERE id = 11;
SELECT schemaver.unregister();
TABLE tool.deep;
SELECT schemaver.rollback('2.0.0');
SELECT schemaver.register('2.0.0');
UPDATE part SET v = 14 WHERE id = 12;
SELECT schemaver.unregister();
TABLE tool.deep;
SET session_replication_role = replica;
UPDATE part SET schemaver_retained_v = 99 WHERE id = 112;
RESET session_replication_role;
TABLE tool.deep;
UPDATE part SET schemaver_retained_v = 112 WHERE id = 112;
SELECT schemaver.retire('3.0.0');
TABLE tool.deep;

-- what cannot be demanded is said: another time zone gives another value, a
-- column that both sides write, one that is not computed from the other
SELECT schemaver.apply($$
	-- schemaver: up   item.amount = amount + id
	-- schemaver: down item.amount = amount - id
	-- schemaver: up   account.n = n + 1
	-- schemaver: down account.n = 0
	ALTER TABLE item ALTER at TYPE timestamptz;
$$, '3.1.0');
SELECT finding FROM tool.deep WHERE finding ~ 'not compared';

-- the trigger: missing, disabled, altered, in one partition too
SET schemaver.guard = off;
DROP TRIGGER "~schemaver_sync" ON person;
ALTER TABLE part2 DISABLE TRIGGER ALL;
ALTER TABLE account ENABLE ALWAYS TRIGGER "~schemaver_sync";
CREATE OR REPLACE TRIGGER "~schemaver_sync" BEFORE INSERT OR UPDATE ON keyless
	FOR EACH ROW EXECUTE FUNCTION schemaver.sync(
		'schemaver_retained_n', 'n', 'schemaver_retained_n', 'n', 'shop',
		'1.0.0', 'new');
CREATE OR REPLACE TRIGGER "~schemaver_sync" BEFORE INSERT ON heir
	FOR EACH ROW EXECUTE FUNCTION schemaver.sync(
		'schemaver_retained_v', 'v', 'schemaver_retained_v', 'v', 'shop',
		'1.0.0', 'new');
TABLE tool.shallow;
SELECT line FROM schemaver.status() AS s (line) WHERE line ~ 'In step|its trigger';
INSERT INTO person (id, full_name) VALUES (20, 'not kept');
SELECT schemaver.reconcile();
SELECT schemaver.reconcile();
TABLE tool.shallow;
SELECT finding FROM tool.deep WHERE finding !~ 'not compared';
DELETE FROM person WHERE id = 20;

-- a trigger that is there and that fails every write, since a column got
-- another name behind its back
SET allow_system_table_mods = on;
UPDATE pg_attribute SET attname = 'w'
WHERE attrelid IN ('parent'::regclass, 'heir'::regclass) AND attname = 'v';
TABLE tool.shallow;
SELECT finding FROM tool.deep WHERE finding !~ 'not compared';
UPDATE parent SET w = 1;
UPDATE pg_attribute SET attname = 'v'
WHERE attrelid IN ('parent'::regclass, 'heir'::regclass) AND attname = 'w';
RESET allow_system_table_mods;
RESET schemaver.guard;
TABLE tool.shallow;

-- expressions run as the table's owner, restricted, under no lock but ACCESS
-- SHARE; keys are for who may read the table
CREATE ROLE regress_sv_owner;
CREATE ROLE regress_sv_monitor;
GRANT CREATE, USAGE ON SCHEMA public TO regress_sv_owner;
GRANT EXECUTE ON FUNCTION schemaver.verify(text, boolean) TO regress_sv_monitor;
CREATE TABLE owned (id int PRIMARY KEY, n int);
ALTER TABLE owned OWNER TO regress_sv_owner;
CREATE FUNCTION public.told(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	modes text := (SELECT string_agg(DISTINCT mode, ', ') FROM pg_locks
		WHERE pid = pg_backend_pid() AND locktype = 'relation'
			AND relation::regclass::text !~ '^(pg_|schemaver\.)');
	became text := 'became another';
BEGIN
	BEGIN
		PERFORM set_config('role', 'regress_sv_monitor', false);
	EXCEPTION WHEN OTHERS THEN
		became := SQLERRM;
	END;
	RAISE WARNING '%, %, %, %', current_user, became, modes,
		current_setting('search_path');
	RETURN n;
END $$;
ALTER FUNCTION public.told(int) OWNER TO regress_sv_owner;
SELECT schemaver.apply('SELECT 1', '3.2.0');
SELECT schemaver.register('3.2.0');
SELECT schemaver.apply($$
	-- schemaver: up   owned.n = public.told(n)
	-- schemaver: down owned.n = n
	SELECT 2
$$, '3.3.0');
SELECT schemaver.unregister();
INSERT INTO owned (id, n) VALUES (1, 1);
SET session_replication_role = replica;
UPDATE owned SET n = 2;
RESET session_replication_role;
SELECT finding FROM tool.deep WHERE finding ~ 'owned';
SET ROLE regress_sv_monitor;
SELECT detail FROM schemaver.verify(deep => true) WHERE object ~ 'owned';
RESET ROLE;
GRANT SELECT ON owned TO regress_sv_monitor;
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sv_monitor;
SELECT detail FROM schemaver.verify(deep => true) WHERE object ~ 'owned';
RESET ROLE;
ALTER TABLE owned DISABLE ROW LEVEL SECURITY;
-- a function that the owner may not call any more
REVOKE EXECUTE ON FUNCTION public.told(int) FROM PUBLIC;
ALTER FUNCTION public.told(int) OWNER TO CURRENT_USER;
SELECT finding FROM tool.deep WHERE finding ~ 'owned';
GRANT EXECUTE ON FUNCTION public.told(int) TO PUBLIC;
CREATE OR REPLACE FUNCTION public.told(n int) RETURNS int LANGUAGE sql
	IMMUTABLE AS 'SELECT n';
UPDATE owned SET n = 3;
-- a standby can do no less: nothing is written
BEGIN READ ONLY;
SELECT count(*) FROM tool.deep WHERE finding !~ 'not compared';
COMMIT;

-- rows that an older version leaves without what the newest requires
CREATE TABLE paid (id int PRIMARY KEY, amount int);
CREATE TABLE unkeyed (amount int);
SELECT schemaver.apply('SELECT 3', '4.0.0');
SELECT schemaver.register('4.0.0');
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('ALTER TABLE paid ALTER amount SET NOT NULL;
	ALTER TABLE unkeyed ALTER amount SET NOT NULL', '4.1.0');
RESET schemaver.on_missing_value;
INSERT INTO paid SELECT i FROM generate_series(1, 7) AS i;
INSERT INTO unkeyed VALUES (NULL);
SELECT detail FROM schemaver.verify() WHERE finding = 'value missing';
SELECT detail FROM schemaver.verify(deep => true) WHERE finding = 'value missing';
SET ROLE regress_sv_monitor;
SELECT detail FROM schemaver.verify(deep => true) WHERE finding = 'value missing';
RESET ROLE;
UPDATE paid SET amount = 1;
UPDATE unkeyed SET amount = 1;
SELECT schemaver.unregister();

-- jobs that a supported version needs; an index that one is to build is not
-- left behind
CREATE VIEW tool.jobs AS
	SELECT severity || ', ' || version || ', ' || object || ': ' || finding
			|| E'\n    ' || detail || E'\n    -> ' || hint AS finding
	FROM schemaver.verify() WHERE finding ~ 'job|index';
CREATE VIEW tool.status AS
	SELECT line FROM schemaver.status() AS s (line)
	WHERE line ~ 'Job|Goes on|ready';
INSERT INTO schemaver.db_job (product_id, version_id, kind, schema, relation,
	relation_id, name, definition, blocks, blocks_done, rows, state, error)
SELECT p.id, v.id, j.kind, 'public', 'paid', 'paid'::regclass, j.name, j.text,
	j.blocks, j.blocks / 2, j.blocks * 10, 'failed', j.error
FROM schemaver.db_product AS p
	JOIN schemaver.db_schema_version AS v ON v.id = p.current,
	(VALUES ('backfill', 'amount', '1', 40, 'row with (id)=(3): division by zero'),
		('index', 'paid_amount', 'CREATE INDEX paid_amount ON public.paid (amount)', 0,
		 'out of shared memory')) AS j (kind, name, text, blocks, error);
TABLE tool.jobs;
TABLE tool.status;
SELECT schemaver.status(format => 'json')::jsonb #> '{products,0,jobs,0}';
SELECT schemaver.status(format => 'json')::jsonb #> '{products,0,in_step,0}';
REVOKE ALL ON paid FROM PUBLIC;
SET ROLE regress_sv_monitor;
SELECT detail FROM schemaver.verify() WHERE finding ~ 'job';
RESET ROLE;
SELECT schemaver.cancel(1);
CREATE INDEX paid_amount ON paid (amount);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'paid_amount'::regclass;
SELECT finding, object FROM schemaver.verify() WHERE finding ~ 'job|index';
UPDATE schemaver.db_job SET state = 'running' WHERE id = 2;
SELECT finding, object FROM schemaver.verify() WHERE finding ~ 'job|index';
TABLE tool.status;
SELECT schemaver.cancel(2);
TABLE tool.jobs;
TABLE tool.status;

-- while jobs are still to fill a column, nothing is demanded of it, and
-- nothing told; nor while they rest, and the column has no name
CREATE TABLE large (id int PRIMARY KEY, n int NOT NULL, a text, b text);
INSERT INTO large SELECT i, i, 'a', 'b' FROM generate_series(1, 100) AS i;
SELECT schemaver.apply('SELECT 4', '5.0.0');
SELECT schemaver.register('5.0.0');
SET schemaver.inline_pages = 0;
SELECT schemaver.apply($$
	-- schemaver: up large.ab = a || ' ' || b
	-- schemaver: down large.a = split_part(ab, ' ', 1)
	-- schemaver: down large.b = split_part(ab, ' ', 2)
	ALTER TABLE large ALTER n TYPE bigint, ADD ab text;
	ALTER TABLE large DROP a, DROP b;
$$, '5.1.0');
RESET schemaver.inline_pages;
CREATE VIEW tool.large AS
	SELECT finding, detail FROM schemaver.verify(deep => true)
	WHERE object ~ 'large';
TABLE tool.large;
TABLE tool.status;
SELECT schemaver.rollback('5.0.0');
TABLE tool.large;
SELECT schemaver.apply($$
	-- schemaver: up large.ab = a || ' ' || b
	-- schemaver: down large.a = split_part(ab, ' ', 1)
	-- schemaver: down large.b = split_part(ab, ' ', 2)
	ALTER TABLE large ALTER n TYPE bigint, ADD ab text;
	ALTER TABLE large DROP a, DROP b;
$$, '5.1.0');

-- of one that has failed or was cancelled it is
UPDATE schemaver.db_job SET state = 'running'
	WHERE kind = 'backfill' AND name = 'ab';
TABLE tool.large;
UPDATE schemaver.db_job SET state = 'failed'
	WHERE kind = 'backfill' AND name = 'ab';
TABLE tool.large;
SELECT schemaver.cancel(job) FROM schemaver.jobs WHERE target = 'ab';
TABLE tool.large;
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE target = 'ab';
TABLE tool.large;
SET client_min_messages = error;
CALL schemaver.run_jobs();
RESET client_min_messages;
TABLE tool.large;
UPDATE large SET n = 7 WHERE id = 2;
TABLE tool.large;

\c :home
DROP DATABASE sv_compare WITH (FORCE);
DROP ROLE regress_sv_owner, regress_sv_monitor;
