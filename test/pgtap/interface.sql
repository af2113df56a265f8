-- The interface as it is documented: what is listed here exists just so, and
-- nothing else does.

BEGIN;
CREATE EXTENSION schemaver;
SELECT plan(78);

-- Functions: how they are called, what they give, who may call them
PREPARE functions AS
	SELECT proname || '(' || pg_get_function_arguments(p.oid) || ')' AS call,
		pg_get_function_result(p.oid) AS result,
		provolatile::text || CASE WHEN proisstrict THEN ' strict' ELSE '' END
			AS volatility,
		proparallel::text,
		has_function_privilege('public', p.oid, 'EXECUTE') AS public,
		prosecdef
	FROM pg_proc AS p
	WHERE pronamespace = 'schemaver'::regnamespace
		AND proname !~ '^version_' AND prokind = 'f';
SELECT bag_eq('functions', $$ VALUES
	('next(version schemaver.version, kind text DEFAULT ''revision''::text)',
	 'schemaver.version', 's strict', 's', true, false),
	('create_product(product text, schemas text[] DEFAULT ARRAY[''public''::text], exact boolean DEFAULT true, complete boolean DEFAULT false)',
	 'void', 'v', 'u', false, false),
	('baseline(version schemaver.version, product text DEFAULT NULL::text)',
	 'schemaver.version', 'v', 'u', false, false),
	('apply(script text, version schemaver.version DEFAULT NULL::schemaver.version, product text DEFAULT NULL::text, description text DEFAULT NULL::text, reason text DEFAULT NULL::text)',
	 'schemaver.version', 'v', 'u', false, false),
	('plan(script text, version schemaver.version DEFAULT NULL::schemaver.version, product text DEFAULT NULL::text)',
	 'SETOF schemaver.step', 'v', 'u', false, false),
	('reconcile(product text DEFAULT NULL::text)',
	 'integer', 'v', 'u', false, false),
	('retire(version schemaver.version, product text DEFAULT NULL::text, archive boolean DEFAULT false)',
	 'integer', 'v', 'u', false, false),
	('rollback(version schemaver.version, product text DEFAULT NULL::text, reason text DEFAULT NULL::text)',
	 'schemaver.version', 'v', 'u', false, false),
	('verify(product text DEFAULT NULL::text, deep boolean DEFAULT false)',
	 'SETOF schemaver.finding', 'v', 'u', false, false),
	('writes_as(product text, versions schemaver.version[])',
	 'boolean', 's strict', 'r', true, false),
	('is_first(VARIADIC "any")', 'boolean', 's', 'r', true, false),
	('place_apart()', 'bigint', 's', 'r', true, false),
	('tolerate(expression anyelement, relation oid, column_name text)',
	 'anyelement', 'i', 'u', true, false),
	('tolerate_support(internal)', 'internal', 'i strict', 'u', true, false),
	('relabel(value anyelement, target anycompatible)', 'anycompatible', 's',
	 's', true, false),
	('sequence(name regclass)', 'regclass', 's strict', 's', true, false),
	('register(version schemaver.version, product text DEFAULT NULL::text)',
	 'schemaver.version', 'v', 'u', true, false),
	('unregister()', 'boolean', 'v', 'u', true, false),
	('wait_until_ready(version schemaver.version, product text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval)',
	 'void', 'v', 'u', true, false),
	('retry(job integer)', 'void', 'v strict', 'u', false, false),
	('cancel(job integer)', 'void', 'v strict', 'u', false, false),
	('wait_for_drain(version schemaver.version, product text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval)',
	 'void', 'v', 'u', true, false),
	('status(product text DEFAULT NULL::text, format text DEFAULT ''text''::text)',
	 'SETOF text', 'v', 'u', true, false),
	('full_schema(version schemaver.version, product text DEFAULT NULL::text)',
	 'text', 's', 'u', true, false),
	('hold()', 'trigger', 'v', 'u', true, false),
	('hold_check()', 'trigger', 'v', 'u', true, false),
	('hold_reference()', 'trigger', 'v', 'u', true, false),
	('hold_referenced()', 'trigger', 'v', 'u', true, false),
	('sync()', 'trigger', 'v', 'u', true, false),
	('guard_ddl()', 'event_trigger', 'v', 'u', true, false),
	('guard_drop()', 'event_trigger', 'v', 'u', true, false)
$$, 'functions');
SELECT is_empty($$
	SELECT p.oid::regprocedure FROM pg_proc AS p
	WHERE pronamespace = 'schemaver'::regnamespace
		AND proname !~ '^version_' AND obj_description(oid, 'pg_proc') IS NULL
$$, 'every function has a comment');
SELECT throws_ok('SELECT schemaver.guard_ddl()', '39P03', NULL,
	'guard_ddl() is for event triggers');
SELECT throws_ok('SELECT schemaver.guard_drop()', '39P03', NULL,
	'guard_drop() is for event triggers');
SELECT throws_ok('SELECT schemaver.sync()', '39P01', NULL,
	'sync() is for triggers');
SELECT throws_ok('SELECT schemaver.hold()', '39P01', NULL,
	'hold() is for triggers');
SELECT throws_ok('SELECT schemaver.hold_check()', '39P01', NULL,
	'hold_check() is for triggers');
SELECT throws_ok('SELECT schemaver.hold_reference()', '39P01', NULL,
	'hold_reference() is for triggers');
SELECT throws_ok('SELECT schemaver.hold_referenced()', '39P01', NULL,
	'hold_referenced() is for triggers');

-- The procedure
SELECT bag_eq($$
	SELECT p.oid::regprocedure::text,
		has_function_privilege('public', p.oid, 'EXECUTE'),
		obj_description(oid, 'pg_proc') IS NOT NULL
	FROM pg_proc AS p
	WHERE pronamespace = 'schemaver'::regnamespace AND prokind = 'p'
$$, $$ VALUES ('schemaver.run_jobs(text)', false, true) $$, 'procedures');

-- Aggregates
SELECT bag_eq($$
	SELECT p.oid::regprocedure::text FROM pg_proc AS p
	WHERE pronamespace = 'schemaver'::regnamespace AND prokind = 'a'
$$, $$ VALUES
	('schemaver.max(schemaver.version)'), ('schemaver.min(schemaver.version)')
$$, 'aggregates');

-- The type, its operators and operator classes
SELECT bag_eq($$
	SELECT typname::text FROM pg_type
	WHERE typnamespace = 'schemaver'::regnamespace AND typelem = 0
		AND typtype <> 'c'
$$, $$ VALUES ('version'), ('first'), ('place') $$, 'the only types that are no rows');
SELECT is((
	SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', '
		ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'schemaver.finding'::regclass),
	'product text, version schemaver.version, severity text, object text, finding text, detail text, hint text',
	'type finding');
SELECT is_empty($$
	SELECT attname FROM pg_attribute
	WHERE attrelid = 'schemaver.finding'::regclass
		AND (col_description(attrelid, attnum) IS NULL OR
			obj_description('schemaver.finding'::regtype, 'pg_type') IS NULL)
$$, 'type finding and each of its columns has a comment');
SELECT is((
	SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', '
		ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'schemaver.step'::regclass),
	'statement integer, line integer, text text, effect text, breaks schemaver.version[], live schemaver.version[], prevention text, locks text[], access text, jobs text[], inferred text[], notices text[], version schemaver.version',
	'type step');
SELECT is_empty($$
	SELECT attname FROM pg_attribute
	WHERE attrelid = 'schemaver.step'::regclass
		AND (col_description(attrelid, attnum) IS NULL OR
			obj_description('schemaver.step'::regtype, 'pg_type') IS NULL)
$$, 'type step and each of its columns has a comment');
SELECT isnt(obj_description('schemaver.version'::regtype, 'pg_type'), NULL,
	'type version has a comment');
SELECT bag_eq($$
	SELECT oprname::text, oprleft::regtype::text AS l,
		oprright::regtype::text AS r, oprresult::regtype::text, oprcanhash, oprcanmerge
	FROM pg_operator WHERE oprnamespace = 'schemaver'::regnamespace
$$, $$
	SELECT o, v AS l, v AS r, 'boolean', o = '=' AS hashes, o = '=' AS merges
	FROM unnest('{<,<=,=,<>,>=,>}'::text[]) AS o,
		(VALUES ('schemaver.version')) AS t(v)
$$, 'operators');
SELECT bag_eq($$
	SELECT amname::text, opcname::text, opcdefault
	FROM pg_opclass JOIN pg_am a ON a.oid = opcmethod
	WHERE opcnamespace = 'schemaver'::regnamespace
$$, $$ VALUES ('btree', 'version_ops', true), ('hash', 'version_ops', true) $$,
	'operator classes');
SELECT is_empty($$
	SELECT oid::regprocedure FROM pg_proc
	WHERE pronamespace = 'schemaver'::regnamespace AND proname ~ '^version_'
		AND (provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's')
$$, 'functions of the type are immutable, strict and parallel safe');

-- Views, their columns and comments
PREPARE columns AS
	SELECT relname::text,
		string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', '
			ORDER BY attnum)
	FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace = 'schemaver'::regnamespace AND relkind = 'v'
	GROUP BY relname;
SELECT bag_eq('columns', $$ VALUES
	('products', 'product text, schemas text[], current_version schemaver.version, supported_versions bigint, exact boolean, complete boolean, created_on timestamp with time zone, created_by text'),
	('versions', 'product text, version schemaver.version, status text, rolled_back boolean, description text, update_on timestamp with time zone, update_by text, schemas text[], registered timestamp with time zone, retired_on timestamp with time zone, instances bigint, ready boolean, full_schema text'),
	('jobs', 'product text, version schemaver.version, job integer, kind text, state text, relation text, target text, blocks_done bigint, blocks bigint, rows bigint, rows_per_second numeric, estimated_end timestamp with time zone, attempts integer, error text, pid integer, created_on timestamp with time zone, started_on timestamp with time zone, finished_on timestamp with time zone'),
	('instances', 'product text, version schemaver.version, pid integer, role name, application_name text, client_addr inet, registered_on timestamp with time zone, backend_start timestamp with time zone, state text'),
	('history', 'id bigint, product text, action text, from_version schemaver.version, version schemaver.version, update_on timestamp with time zone, update_by text, description text, reason text, script text, checksum text, statements integer, duration interval, outcome text, lsn pg_lsn, restore_point text'),
	('retained', 'product text, kind text, object text, physical text, needed_by schemaver.version[], bytes bigint, estimated boolean, freed_by text')
$$, 'views');
SELECT is_empty($$
	SELECT c.oid::regclass, attname
	FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace = 'schemaver'::regnamespace AND relkind = 'v'
		AND (obj_description(c.oid, 'pg_class') IS NULL
			OR col_description(c.oid, attnum) IS NULL)
$$, 'every view and each of its columns has a comment');
SELECT isnt(obj_description('schemaver'::regnamespace, 'pg_namespace'), NULL,
	'the schema has a comment');
SELECT isnt(obj_description(oid, 'pg_extension'), NULL,
	'the extension has a comment')
FROM pg_extension WHERE extname = 'schemaver';

-- Who may do what: everybody looks, nobody writes
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE relnamespace = 'schemaver'::regnamespace AND relkind = 'v'
		AND NOT has_table_privilege('public', c.oid, 'SELECT')
$$, 'everybody may read the views');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE relnamespace = 'schemaver'::regnamespace
		AND relkind IN ('r', 'v')
		AND has_table_privilege('public', c.oid,
			'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
$$, 'nobody may write to a table or view');
SELECT is_empty($$
	SELECT seqrelid::regclass
	FROM pg_sequence JOIN pg_class AS c ON c.oid = seqrelid
	WHERE relnamespace = 'schemaver'::regnamespace
		AND has_sequence_privilege('public', seqrelid, 'USAGE, UPDATE')
$$, 'nobody may draw from a sequence');
SELECT ok(NOT has_table_privilege('public', 'schemaver.db_version_history',
	'SELECT'), 'scripts are not for everybody');
SELECT ok(NOT has_table_privilege('public', 'schemaver.db_job', 'SELECT'),
	'errors of jobs are not for everybody');
SELECT ok(has_schema_privilege('public', 'schemaver', 'USAGE')
	AND NOT has_schema_privilege('public', 'schemaver', 'CREATE'),
	'everybody may use the schema, nobody create in it');

-- Schemas for what was dropped and what was retired
SELECT ok(NOT has_schema_privilege('public', 'schemaver_retained',
	'USAGE, CREATE'), 'nobody has business with what is retained');
SELECT ok(has_schema_privilege('public', 'schemaver_archive', 'USAGE')
	AND NOT has_schema_privilege('public', 'schemaver_archive', 'CREATE'),
	'archives tell themselves who may read them');
SELECT is_empty($$
	SELECT nspname FROM pg_namespace
	WHERE nspname IN ('schemaver_retained', 'schemaver_archive')
		AND (obj_description(oid, 'pg_namespace') IS NULL OR NOT EXISTS (
			SELECT FROM pg_depend
			WHERE classid = 'pg_namespace'::regclass
				AND objid = pg_namespace.oid AND deptype = 'e'))
$$, 'both are the extension''s, and have comments');

-- Everything is part of the extension, and of a dump what must be: db_sync
-- and db_hold hold nothing but numbers that mean nothing in another database
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE relnamespace = 'schemaver'::regnamespace AND relkind NOT IN ('i', 'c')
		AND NOT EXISTS (
			SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
				AND objid = c.oid AND deptype = 'e')
$$, 'relations belong to the extension');
SELECT is_empty($$
	SELECT c.oid::regclass FROM pg_class AS c
	WHERE relnamespace = 'schemaver'::regnamespace AND relkind IN ('r', 'S')
		AND relname NOT IN ('db_sync', 'db_hold') AND NOT EXISTS (
			SELECT FROM pg_extension
			WHERE extname = 'schemaver' AND c.oid = ANY (extconfig))
$$, 'tables and sequences are dumped');
SELECT is_empty($$
	SELECT conname FROM pg_constraint
	WHERE connamespace = 'schemaver'::regnamespace AND contype = 'f'
$$, 'no foreign key makes a parallel restore depend on the order of data');
SELECT bag_eq($$
	SELECT evtname::text, evtevent::text, evtfoid::regprocedure::text,
		evtenabled::text, evttags::text
	FROM pg_event_trigger WHERE evtname ~ 'schemaver'
$$, $$ VALUES
	('schemaver_guard_ddl', 'ddl_command_end', 'schemaver.guard_ddl()', 'A',
	 NULL),
	('schemaver_guard_drop', 'sql_drop', 'schemaver.guard_drop()', 'A', NULL)
$$, 'event triggers');
SELECT is(extrelocatable, false, 'the extension stays in its schema')
FROM pg_extension WHERE extname = 'schemaver';
SELECT is(extversion, default_version, 'the default version')
FROM pg_extension JOIN pg_available_extensions ON name = extname
WHERE extname = 'schemaver';

-- Settings
LOAD 'schemaver';
SELECT bag_eq($$
	SELECT name, vartype, context, boot_val, unit, enumvals::text
	FROM pg_settings WHERE name LIKE 'schemaver.%'
$$, $$ VALUES
	('schemaver.app', 'string', 'user', '', NULL, NULL),
	('schemaver.guard', 'enum', 'superuser', 'mixed', NULL,
	 '{off,warn,mixed,strict}'),
	('schemaver.batch_time', 'integer', 'superuser', '100', 'ms', NULL),
	('schemaver.batch_rest', 'real', 'superuser', '3', NULL, NULL),
	('schemaver.inline_pages', 'integer', 'user', '1000', '8kB', NULL),
	('schemaver.job_workers', 'integer', 'superuser', '2', NULL, NULL),
	('schemaver.lock_retry_for', 'integer', 'user', '60000', 'ms', NULL),
	('schemaver.max_lag', 'integer', 'superuser', '10000', 'ms', NULL),
	('schemaver.plan_lock_limit', 'integer', 'user', '50', 'ms', NULL),
	('schemaver.on_missing_value', 'enum', 'user', 'refuse', NULL,
	 '{refuse,nullable}')
$$, 'settings');
SELECT is_empty($$
	SELECT name FROM pg_settings
	WHERE name LIKE 'schemaver.%' AND coalesce(short_desc, '') = ''
$$, 'every setting has a description');
SELECT throws_ok($$ SET schemaver.app = 'shop/1.0' $$, '55P02', NULL,
	'schemaver.app cannot be set within a session');
SELECT throws_ok($$ SET schemaver.guard = 'loud' $$, '22023', NULL,
	'schemaver.guard takes its four values only');
SELECT throws_ok($$ SET schemaver.lock_retry_for = -1 $$, '22023', NULL,
	'schemaver.lock_retry_for is no negative time');
SELECT throws_ok($$ SET schemaver.no_such_setting = 1 $$, '42602', NULL,
	'there is no other setting');

-- Arguments by name and by default, as documented
SELECT lives_ok($$
	SELECT schemaver.create_product(product => 'shop', schemas => '{public}',
		exact => true, complete => false)
$$, 'create_product() by names');
SELECT lives_ok($$
	SELECT schemaver.baseline(version => '1.0.0', product => 'shop')
$$, 'baseline() by names');
SELECT results_eq($$
	SELECT statement, effect, version::text
	FROM schemaver.plan(script => 'SELECT 1', version => '1.0.1', product => 'shop')
$$, $$ VALUES (1, 'runs as it is', '1.0.1') $$, 'plan() by names');
SELECT is(schemaver.apply(script => 'SELECT 1', version => '1.0.1',
	product => 'shop', description => 'd', reason => 'r')::text, '1.0.1',
	'apply() by names');
SELECT throws_ok($$
	SELECT schemaver.wait_for_drain(version => '1.0.0', product => 'shop',
		timeout => '0')
$$, '25001', NULL, 'wait_for_drain() by names, not in a transaction like this');
SELECT throws_ok($$
	SELECT schemaver.wait_until_ready(version => '1.0.0', product => 'shop',
		timeout => '0')
$$, '25001', NULL,
	'wait_until_ready() by names, not in a transaction like this');
SELECT throws_ok($$ SELECT schemaver.retry(job => 1) $$, '42704', NULL,
	'retry() by name');
SELECT throws_ok($$ SELECT schemaver.cancel(job => 1) $$, '42704', NULL,
	'cancel() by name');
SELECT throws_ok($$ CALL schemaver.run_jobs(product => 'shop') $$, '25001',
	NULL, 'run_jobs() by name, not in a transaction');
SELECT results_eq($$
	SELECT action, from_version::text, version::text, description, reason,
		statements, outcome, lsn < pg_current_wal_insert_lsn(), restore_point
	FROM schemaver.history ORDER BY id DESC LIMIT 1
$$, $$ VALUES ('apply', '1.0.0', '1.0.1', 'd', 'r', 1, 'applied', true,
	'schemaver shop 1.0.1') $$,
	'history of it');

-- What a version needs is retained once an instance has been there.  One that
-- registered in this transaction would be live until its end.
PREPARE visited AS
	INSERT INTO schemaver.db_registration
	SELECT id, now(), current_user FROM schemaver.db_schema_version
	WHERE retired_on IS NULL;
CREATE TABLE person (id int PRIMARY KEY, name text, nick text);
INSERT INTO person VALUES (1, 'Ada', 'Countess');
SELECT is(schemaver.apply('SELECT 2', '1.1.0')::text, '1.1.0', 'apply() again');
EXECUTE visited;
SELECT is(schemaver.apply($$
	ALTER TABLE person DROP COLUMN nick;
	UPDATE person SET name = upper(name);
	-- schemaver: rollback
	UPDATE person SET name = initcap(name);
$$, '1.2.0')::text, '1.2.0', 'a script that drops, with a rollback section');
SELECT results_eq($$
	SELECT product, kind, object, physical, needed_by::text, estimated, freed_by
	FROM schemaver.retained
$$, $$ VALUES ('shop', 'column', 'person.nick',
	'public.person.schemaver_retained_nick', '{1.1.0}', true,
	'SELECT schemaver.retire(''1.1.0'', ''shop'')') $$, 'retained');
SELECT is_empty('SELECT schemaver.verify(product => ''shop'')',
	'verify() by name: all is well');
SELECT is(schemaver.rollback(version => '1.1.0', product => 'shop',
	reason => 'because')::text, '1.1.0', 'rollback() by names');
SELECT is((SELECT ROW(name, nick)::text FROM public.person),
	'(Ada,Countess)',
	'the older version''s columns and the data that the section has undone');
SELECT results_eq($$
	SELECT action, from_version::text, version::text, reason, outcome
	FROM schemaver.history ORDER BY id DESC LIMIT 1
$$, $$ VALUES ('rollback', '1.2.0', '1.1.0', 'because',
	'rolled back, 1.2.0 stays supported') $$, 'history of it');
SELECT results_eq($$
	SELECT version::text, status, rolled_back FROM schemaver.versions
	WHERE status <> 'retired' ORDER BY versions.version
$$, $$ VALUES ('1.0.1', 'supported', false), ('1.1.0', 'current', false),
	('1.2.0', 'supported', true) $$, 'versions after it');
SELECT is_empty('SELECT schemaver.verify()', 'all is well after it');
SELECT throws_ok($$ SELECT schemaver.rollback('1.2.0') $$, '55000', NULL,
	'rollback() does not go forward');
SELECT throws_ok($$ SELECT schemaver.rollback('1.0.0') $$, '55000', NULL,
	'rollback() to what is retired');
SELECT throws_ok($$ SELECT schemaver.rollback('7') $$, '42704', NULL,
	'rollback() to an unknown version');
SELECT throws_ok($$ SELECT schemaver.rollback(NULL) $$, '22004', NULL,
	'rollback() to none');
SET client_min_messages = warning;
SELECT is(schemaver.rollback('1.1.0')::text, '1.1.0',
	'rollback() to the current version does nothing');
RESET client_min_messages;
SELECT is(schemaver.apply($$
	ALTER TABLE person DROP COLUMN nick;
	UPDATE person SET name = upper(name);
	-- schemaver: rollback
	UPDATE person SET name = initcap(name);
$$, '1.2.0')::text, '1.2.0', 'forward again by the same script');
SELECT is((SELECT name FROM public.person), 'ADA',
	'the data that it changes are changed again');
SELECT is(schemaver.retire(version => '1.1.0', product => 'shop',
	archive => true), 2, 'retire() by names');
SELECT is((SELECT a::text FROM schemaver_archive.person_nick_1_1_0 AS a),
	'(1,Countess)', 'the archive');
SELECT is((SELECT outcome FROM schemaver.history ORDER BY id DESC LIMIT 1),
	'retired with all older, 2 in all; archived schemaver_archive.person_nick_1_1_0 (1 row)',
	'the history tells of it');
SELECT is_empty('SELECT * FROM schemaver.retained', 'nothing is retained');

-- Who writes
SELECT ok(NOT schemaver.writes_as(product => 'shop', versions => '{1.0.0}'),
	'writes_as(): nobody is registered');
SELECT lives_ok($$
	SELECT schemaver.register(version => '1.2.0', product => 'shop')
$$, 'register() by names');
SELECT is(ARRAY[schemaver.writes_as('shop', '{1.2.0}'),
	schemaver.writes_as('shop', '{1.0.0,v1.2.0}'),
	schemaver.writes_as('shop', '{1.0.0}'), schemaver.writes_as('shop', '{}'),
	schemaver.writes_as('crm', '{1.2.0}'), schemaver.writes_as(NULL, '{1}'),
	schemaver.writes_as('shop', NULL)],
	'{t,t,f,f,f,NULL,NULL}', 'writes_as(): this version, in any spelling');

SELECT * FROM finish();
ROLLBACK;
