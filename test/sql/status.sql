--
-- status(), full_schema() and the views: what people and monitors are told
--
-- Times and durations are masked.  Other sessions are dblink connections;
-- a database of its own keeps away what other tests leave behind.
--
\pset format unaligned
\pset tuples_only on
SELECT current_database() AS home \gset
CREATE DATABASE sv_status;
\c sv_status
CREATE EXTENSION schemaver;
CREATE SCHEMA tool;
CREATE EXTENSION dblink SCHEMA tool;

CREATE FUNCTION tool.masked(product text DEFAULT NULL) RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(line,
			'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[-+][\d:]+', 'TIME'),
		'TIME \S+: (.*), [\d.]+ m?s,', 'TIME WHO: \1, DURATION,')
	FROM schemaver.status(product) AS line
$$;

CREATE FUNCTION tool.connect(name text, application text, database text,
	login text DEFAULT current_user)
RETURNS text LANGUAGE sql AS $$
	SELECT tool.dblink_connect(name, format(
		'host=%s port=%s dbname=%s user=%s application_name=%s',
		quote_literal(split_part(current_setting('unix_socket_directories'),
			',', 1)), current_setting('port'), database, login,
		quote_literal(application)))
$$;

-- an instance of the application, which stays until it is told to leave
CREATE FUNCTION tool.start(name text, version text, application text,
	login text DEFAULT current_user)
RETURNS text LANGUAGE sql AS $$
	SELECT tool.connect(name, application, current_database(), login);
	SELECT version FROM tool.dblink(name, format(
		'SELECT schemaver.register(%L, %L)', version, 'shop')) AS t (version text)
$$;
CREATE FUNCTION tool.leave(name text) RETURNS boolean LANGUAGE sql AS $$
	SELECT gone FROM tool.dblink(name, 'SELECT schemaver.unregister()')
		AS t (gone boolean)
$$;

-- nothing there yet
SELECT tool.masked();
SELECT schemaver.status(format => 'json');
SELECT schemaver.status('shop');
SELECT schemaver.status(format => 'yaml');
\echo :LAST_ERROR_SQLSTATE
SELECT schemaver.full_schema('1.0.0');
SELECT * FROM schemaver.products;

-- a product without a version
CREATE SCHEMA "Bil""ling";
SELECT schemaver.create_product('shop', ARRAY['public', 'Bil"ling']);
SELECT tool.masked();

-- one version, nobody there
CREATE TABLE person (id bigint PRIMARY KEY, first_name text, last_name text);
CREATE TABLE "Bil""ling".invoice (id bigint PRIMARY KEY, due date);
SELECT schemaver.baseline('1.0.0');
SELECT tool.masked();

-- a canary
SELECT tool.start('old' || n, '1.0.0', 'shop web') FROM generate_series(1, 3) AS n;
SELECT schemaver.apply('ALTER TABLE person RENAME COLUMN last_name TO surname',
	'1.1.0', reason => E'the register office asked for it\nin March',
	description => 'say surname');
SELECT tool.start('new1', '1.1.0', '');
SELECT tool.masked();
SELECT product, schemas, current_version, supported_versions, exact, complete,
	created_on <= now(), created_by = current_user
FROM schemaver.products;
SELECT product, version, status, description, update_on <= now(),
	update_by = current_user, schemas, registered <= now(), retired_on, instances
FROM schemaver.versions ORDER BY version;
SELECT product, version, role = current_user, application_name, client_addr,
	registered_on BETWEEN now() - interval '1 hour' AND now(),
	registered_on >= date_trunc('second', backend_start), state, count(*)
FROM schemaver.instances GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY version;
SELECT product, action, from_version, version, update_on <= now(),
	update_by = current_user, description, reason, script,
	checksum = encode(sha256(convert_to(script, 'UTF8')), 'hex'), statements,
	duration >= '0', outcome
FROM schemaver.history ORDER BY id;

-- the same facts for machines, times in ISO 8601 whatever DateStyle says
SET DateStyle = 'German, DMY';
SET timezone = 'Asia/Kathmandu';
SELECT count(*) FROM schemaver.status(format => 'json');
SELECT status::jsonb AS document FROM schemaver.status('shop', 'JSON') \gset
SELECT jsonb_pretty((:'document'::jsonb #- '{products,0,versions}')
	#- '{products,0,history}');
SELECT jsonb_pretty((v - 'oldest_registration') - 'first_registration')
FROM jsonb_array_elements(:'document'::jsonb #> '{products,0,versions}') AS v;
SELECT v ->> 'oldest_registration' ~ '^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+05:45$',
	v ->> 'first_registration' ~ '^20\d\d-\d\d-\d\dT[\d:.]+\+05:45$'
FROM jsonb_array_elements(:'document'::jsonb #> '{products,0,versions}') AS v;
SELECT jsonb_pretty((h - 'when') - 'milliseconds' - 'who')
FROM jsonb_array_elements(:'document'::jsonb #> '{products,0,history}') AS h;
SELECT count(*) FROM schemaver.status() AS line
WHERE line ~ 'since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+05:45$';
RESET DateStyle;
RESET timezone;

-- shares sum to 100; whoever may not see addresses sees those of his own
CREATE ROLE regress_sv_status LOGIN;
SELECT tool.leave('old' || n) FROM generate_series(2, 3) AS n;
SELECT schemaver.apply('ALTER TABLE person ADD COLUMN born date', '1.2.0');
SELECT tool.start('newest', '1.2.0', 'shop batch', 'regress_sv_status');
SELECT tool.masked();
GRANT USAGE ON SCHEMA tool TO regress_sv_status;
SET ROLE regress_sv_status;
SELECT tool.masked();
SELECT version, client_addr, backend_start IS NULL AS hidden, state
FROM schemaver.instances ORDER BY version;
RESET ROLE;

-- what keeps a version from being retired, once nobody is live
SELECT tool.leave(n) FROM unnest(ARRAY['old1', 'new1', 'newest']) AS n;
SELECT tool.masked();

-- more names than a line shows
SELECT tool.start('a' || n, '1.2.0', 'app' || n % 7) FROM generate_series(1, 15) AS n;
SELECT line FROM tool.masked() AS line WHERE line ~ 'Applications';
SELECT tool.leave('a' || n) FROM generate_series(1, 15) AS n;

-- versions that nobody ever registered under are summed up, history is cut
SELECT schemaver.apply(format('ALTER TABLE person ADD COLUMN c%s text', n))
FROM generate_series(1, 4) AS n;
SELECT tool.masked();

-- what hampers the guard and registration
ALTER EVENT TRIGGER schemaver_guard_ddl DISABLE;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE;
SET schemaver.guard = off;
ALTER DATABASE sv_status SET session_preload_libraries = 'schemaver';
SELECT line FROM tool.masked() AS line WHERE line !~ '^ ';
\c
SELECT line FROM tool.masked() AS line WHERE line !~ '^ ';
SELECT line::jsonb -> 'guard_triggers', line::jsonb -> 'registration_on_connect'
FROM schemaver.status(format => 'json') AS line;
ALTER EVENT TRIGGER schemaver_guard_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE ALWAYS;

-- what is retained for whom, how large it is, and what frees it
SELECT line FROM tool.masked('shop') AS line WHERE line ~ 'Retained|Freed';
SELECT * FROM schemaver.retained;
CREATE TYPE size AS ENUM ('small', 'large');
CREATE TABLE pet (id serial PRIMARY KEY, size size, name text UNIQUE);
CREATE TABLE "Bil""ling".measured (at int PRIMARY KEY) PARTITION BY RANGE (at);
CREATE TABLE "Bil""ling".measured_1 PARTITION OF "Bil""ling".measured
	FOR VALUES FROM (0) TO (10);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN NEW; END';
CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
CREATE TRIGGER stamped BEFORE INSERT ON pet
	FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE UNIQUE INDEX pet_size ON pet (id, size);
CREATE SEQUENCE tickets;
CREATE VIEW owners AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW counted AS SELECT 1 AS n;
INSERT INTO pet (size, name) SELECT 'small', repeat('x', 20) || n
FROM generate_series(1, 100) AS n;
INSERT INTO "Bil""ling".measured VALUES (1);
ANALYZE pet;
SELECT schemaver.apply('SELECT 1', '2.0.0', 'shop');
SELECT schemaver.register('2.0.0', 'shop');
SELECT schemaver.apply('ALTER TABLE pet DROP name; DROP TRIGGER stamped ON pet;
	DROP INDEX pet_size; DROP FUNCTION stamp(), twice(integer); DROP SEQUENCE tickets',
	'2.1.0', 'shop');
SELECT schemaver.register('2.1.0', 'shop');
SELECT schemaver.apply('DROP TABLE pet, "Bil""ling".measured; DROP TYPE size;
	DROP VIEW owners; DROP MATERIALIZED VIEW counted; CREATE TABLE newer (a int)',
	'2.2.0', 'shop');
SELECT schemaver.register('2.2.0', 'shop');
SELECT schemaver.unregister();
SELECT kind, object, physical, needed_by, bytes > 0 AS sized, estimated, freed_by
FROM schemaver.retained ORDER BY needed_by, kind, object;
SELECT line FROM tool.masked('shop') AS line WHERE line ~ 'Retained|Freed';
SELECT schemaver.rollback('2.1.0', 'shop');
ANALYZE pet;
SELECT line FROM tool.masked('shop') AS line
WHERE line ~ '^  2|Retained|Freed|Kept';
SELECT version, status, rolled_back FROM schemaver.versions
WHERE product = 'shop' ORDER BY version;
SELECT jsonb_pretty(p -> 'retained'), p #> '{versions,0,rolled_back}'
FROM schemaver.status('shop', 'json') AS line,
	jsonb_array_elements(line::jsonb -> 'products') AS p;
SET ROLE regress_sv_status;
SELECT kind, object, bytes IS NULL AS hidden FROM schemaver.retained
WHERE kind IN ('table', 'column') ORDER BY kind, object;
RESET ROLE;
SELECT freed_by AS call FROM schemaver.retained WHERE kind = 'table' \gset
:call;
SELECT line FROM tool.masked('shop') AS line WHERE line ~ 'Retained|Freed';

-- as after a restore, until it is woken
UPDATE schemaver.db_product SET incarnation = 0;
SELECT line FROM tool.masked() AS line WHERE line ~ 'Asleep';
SELECT count(*) FROM schemaver.retained;
SELECT schemaver.reconcile();
SELECT line FROM tool.masked() AS line WHERE line ~ 'Asleep';

-- several products; one is asked for
CREATE SCHEMA crm;
SELECT schemaver.create_product('the "CRM"', ARRAY['crm']);
SELECT line FROM tool.masked() AS line WHERE line !~ '^  ';
SELECT tool.masked('the "CRM"');
SELECT schemaver.status('nobody''s');
SELECT schemaver.full_schema('1.0.0');

-- a caller's search_path changes nothing
CREATE SCHEMA trap;
CREATE FUNCTION trap.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE FUNCTION trap.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS
	$$ BEGIN RAISE EXCEPTION 'trapped'; END $$;
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.equal);
SET search_path = trap, pg_catalog;
SELECT count(*) FROM schemaver.status('the "CRM"');
SELECT count(*) FROM schemaver.versions;
RESET search_path;

-- full_schema(): the versions' own ideas of the table
SELECT schemaver.full_schema('1.0', 'shop');
SELECT full_schema FROM schemaver.versions
WHERE product = 'shop' AND version::text = '1.1.0';
SELECT schemaver.full_schema('0.9', 'shop');
\echo :LAST_ERROR_SQLSTATE
SELECT schemaver.full_schema(NULL) IS NULL;

-- full_schema() is SQL that makes the same schema again
CREATE DATABASE sv_status_again;
\c sv_status_again
DROP SCHEMA public;
CREATE EXTENSION schemaver;
\c sv_status
CREATE TYPE crm.mood AS ENUM ('good', 'it''s bad');
CREATE TYPE crm.pair AS (a integer, "B" numeric(10,2));
CREATE DOMAIN crm.email AS text COLLATE "C"
	CONSTRAINT has_at CHECK (VALUE ~ '@');
CREATE SEQUENCE crm.numbers AS integer INCREMENT BY 5 START WITH 10 CYCLE;
CREATE TABLE crm.item (
	id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	number integer NOT NULL DEFAULT nextval('crm.numbers'),
	"Select" character varying(20) COLLATE "C" DEFAULT 'it''s',
	upper text GENERATED ALWAYS AS (upper("Select")) STORED,
	mood crm.mood DEFAULT 'good',
	parent integer CONSTRAINT parent_fk REFERENCES crm.item ON DELETE CASCADE,
	CONSTRAINT "a check" CHECK (number > 0),
	CONSTRAINT number_key UNIQUE (number) DEFERRABLE);
CREATE UNIQUE INDEX item_lower ON crm.item (lower("Select")) WHERE number > 7;
CREATE TABLE crm."Early" (item integer REFERENCES crm.item, at timestamptz);
ALTER TABLE crm."Early" ENABLE ROW LEVEL SECURITY;
CREATE VIEW crm.items AS SELECT id, "Select" AS "From" FROM crm.item;
CREATE MATERIALIZED VIEW crm.counts AS
	SELECT mood, count(*) AS n FROM crm.item GROUP BY mood;
CREATE UNIQUE INDEX counts_mood ON crm.counts (mood);
CREATE FUNCTION crm.touch() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION crm.find(crm.mood, n integer DEFAULT 3) RETURNS SETOF crm.item
LANGUAGE sql STABLE AS 'SELECT * FROM crm.item WHERE mood = $1 LIMIT n';
CREATE TRIGGER touched BEFORE UPDATE OF number ON crm.item
	FOR EACH ROW WHEN (NEW.number > 1) EXECUTE FUNCTION crm.touch();
SELECT schemaver.baseline('2023-06-04', 'the "CRM"');
SELECT schemaver.full_schema('2023-06-04', 'the "CRM"') AS crm \gset
\echo :crm
SELECT tool.connect('again', 'again', 'sv_status_again');
SELECT tool.dblink_exec('again', 'CREATE SCHEMA crm');
SELECT tool.dblink_exec('again', :'crm');
SELECT tool.dblink_exec('again', $$
	DO 'BEGIN PERFORM schemaver.create_product(''crm'', ''{crm}'');
	PERFORM schemaver.baseline(''1''); END'$$);
SELECT again = :'crm' FROM tool.dblink('again',
	$$SELECT schemaver.full_schema('1')$$) AS t (again text);

-- everything is explained
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'schemaver'::regnamespace AND c.relkind = 'v'
	AND a.attnum >= 0 AND col_description(c.oid, a.attnum) IS NULL;
SELECT c.relname, obj_description(c.oid, 'pg_class') IS NOT NULL,
	has_table_privilege('regress_sv_status', c.oid, 'SELECT')
FROM pg_class c
WHERE c.relnamespace = 'schemaver'::regnamespace AND c.relkind = 'v'
ORDER BY c.relname;

\c :home
DROP DATABASE sv_status WITH (FORCE);
DROP DATABASE sv_status_again WITH (FORCE);
DROP ROLE regress_sv_status;
