--
-- rollback(), and forward again, where materialized views stand on columns
-- that have changed their type: each version has those of its contract, with
-- their rows, indexes and privileges
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_shift_matview;
\c sv_shift_matview
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
SET schemaver.job_workers = 0;
CREATE ROLE regress_reader;
CREATE ROLE regress_keeper;
CREATE ROLE regress_other;
CREATE SCHEMA look;

-- all that a materialized view is, but for its rows
CREATE FUNCTION look.at(schema text) RETURNS SETOF text LANGUAGE sql
SET search_path = pg_catalog AS $$
	SELECT format('%s of %s, %s%s %s %s', relname, relowner::regrole,
			string_agg(attname || ' ' || format_type(atttypid, atttypmod) ||
				coalesce(' (' || col_description(attrelid, attnum) || ')', ''),
				', ' ORDER BY attnum),
			CASE WHEN relispopulated THEN '' ELSE ' (empty)' END,
			relacl, reloptions) ||
		coalesce(': ' || obj_description(c.oid, 'pg_class'), '')
	FROM pg_class AS c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace = schema::regnamespace AND relkind = 'm'
	GROUP BY c.oid, relname, relowner, relispopulated, relacl::text, relacl,
		reloptions
	UNION ALL
	SELECT pg_get_indexdef(indexrelid) ||
		CASE WHEN indisclustered THEN ' CLUSTER' ELSE '' END
	FROM pg_index JOIN pg_class AS c ON c.oid = indrelid
	WHERE relnamespace = schema::regnamespace AND relkind = 'm'
	UNION ALL
	SELECT pg_get_statisticsobjdef(s.oid)
	FROM pg_statistic_ext AS s JOIN pg_class AS c ON c.oid = stxrelid
	WHERE relnamespace = schema::regnamespace AND relkind = 'm'
	ORDER BY 1;
$$;

-- the rows that a version sees
CREATE PROCEDURE look.through(version text) LANGUAGE plpgsql AS $$
DECLARE
	relation text;
	rows text;
BEGIN
	PERFORM schemaver.register(version::schemaver.version, 'shop');
	FOREACH relation IN ARRAY '{sale,low,per_sale,total,top,early,late}'::text[]
	LOOP
		BEGIN
			EXECUTE format('SELECT string_agg(t::text, '' '' ORDER BY t::text)
				FROM %I AS t', relation) INTO rows;
		EXCEPTION WHEN undefined_table THEN
			rows := 'none';
		END;
		RAISE INFO '%: % %', version, relation, rows;
	END LOOP;
	PERFORM schemaver.unregister();
	PERFORM set_config('search_path', 'public', false);
END $$;
CREATE PROCEDURE look.refresh(version text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM schemaver.register(version::schemaver.version, 'shop');
	EXECUTE 'REFRESH MATERIALIZED VIEW CONCURRENTLY per_sale';
	EXECUTE 'REFRESH MATERIALIZED VIEW total';
	PERFORM schemaver.unregister();
	PERFORM set_config('search_path', 'public', false);
END $$;

CREATE TABLE sale (id int PRIMARY KEY, amount int);
INSERT INTO sale SELECT i, i FROM generate_series(1, 3) AS i;
CREATE VIEW low AS SELECT id, amount FROM sale;
CREATE MATERIALIZED VIEW per_sale WITH (fillfactor = 50) AS
	SELECT id, amount, amount * 2 AS twice FROM low;
CREATE UNIQUE INDEX per_sale_id ON per_sale (id);
CREATE INDEX per_sale_amount ON per_sale (amount) WHERE amount > 0;
ALTER MATERIALIZED VIEW per_sale CLUSTER ON per_sale_id;
CREATE STATISTICS per_sale_st ON id, amount FROM per_sale;
COMMENT ON MATERIALIZED VIEW per_sale IS 'the old one';
COMMENT ON COLUMN per_sale.amount IS 'a number';
GRANT SELECT ON per_sale TO regress_reader, regress_keeper;
GRANT SELECT (id) ON per_sale TO PUBLIC;
CREATE MATERIALIZED VIEW total AS SELECT sum(amount) FROM per_sale;
ALTER MATERIALIZED VIEW total OWNER TO regress_keeper;
CREATE VIEW top AS SELECT * FROM total;
CREATE MATERIALIZED VIEW early AS SELECT amount FROM sale WITH NO DATA;
REFRESH MATERIALIZED VIEW early;
CREATE MATERIALIZED VIEW idle AS SELECT amount FROM sale WITH NO DATA;
CREATE MATERIALIZED VIEW same AS SELECT id FROM sale;
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
SET search_path = public;

-- under them the server does not change a type
SELECT schemaver.apply('ALTER TABLE sale ALTER amount TYPE text', '1.1.0');

SELECT $$
	DROP VIEW top;
	DROP MATERIALIZED VIEW total, per_sale, early, idle;
	DROP VIEW low;
	ALTER TABLE sale ALTER amount TYPE text;
	CREATE VIEW low AS SELECT id, amount FROM sale;
	CREATE MATERIALIZED VIEW per_sale AS
		SELECT id, amount, amount || 'x' AS twice FROM low;
	CREATE UNIQUE INDEX per_sale_id ON per_sale (id);
	CREATE INDEX per_sale_amount ON per_sale (amount);
	COMMENT ON MATERIALIZED VIEW per_sale IS 'the new one';
	GRANT SELECT ON per_sale TO regress_keeper;
	CREATE MATERIALIZED VIEW total AS
		SELECT string_agg(amount, ',' ORDER BY id) FROM per_sale;
	CREATE VIEW top AS SELECT * FROM total;
	CREATE MATERIALIZED VIEW idle AS SELECT amount FROM sale WITH NO DATA;
	CREATE MATERIALIZED VIEW late AS SELECT amount FROM sale;
$$ AS script \gset
SELECT schemaver.apply(:'script', '1.1.0');
INSERT INTO sale VALUES (4, '4');
CALL look.through('1.0.0');
CALL look.through('1.1.0');
SELECT look.at('public');

-- what somebody keeps by hand is in the way, and nothing has changed
CREATE MATERIALIZED VIEW look.by_hand AS SELECT amount FROM sale;
SELECT schemaver.rollback('1.0.0');
CREATE MATERIALIZED VIEW look.above AS SELECT * FROM total;
DROP MATERIALIZED VIEW look.by_hand;
SELECT schemaver.rollback('1.0.0');
DROP MATERIALIZED VIEW look.above;
CREATE MATERIALIZED VIEW look.beside AS SELECT id FROM sale;
SELECT current_version FROM schemaver.products;
SELECT look.at('public');

SELECT schemaver.rollback('1.0.0');
SELECT look.at('public');
SELECT look.at('look');
CALL look.through('1.0.0');
CALL look.through('1.1.0');
INSERT INTO sale VALUES (5, 5);
CALL look.refresh('1.0.0');
CALL look.through('1.0.0');
CALL look.through('1.1.0');
CALL look.refresh('1.1.0');
CALL look.through('1.1.0');
SELECT has_table_privilege('regress_reader', 'per_sale', 'SELECT') AS reader,
	has_column_privilege('regress_other', 'per_sale', 'id', 'SELECT') AS id,
	has_table_privilege('regress_other', 'per_sale', 'SELECT') AS other;
SELECT * FROM schemaver.verify('shop');

-- forward
SELECT schemaver.apply(:'script', '1.1.0');
SELECT look.at('public');
CALL look.through('1.0.0');
CALL look.through('1.1.0');
SELECT * FROM schemaver.verify('shop');

-- and once more back, for good
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.retire('1.1.0');
SELECT look.at('public');
SELECT look.at('schemaver_retained');
CALL look.through('1.0.0');
SELECT * FROM schemaver.verify('shop');

-- past a version between
SELECT schemaver.apply(:'script' || '-- again', '1.2.0');
SELECT schemaver.apply($$
	DROP MATERIALIZED VIEW late, idle;
	DROP MATERIALIZED VIEW per_sale CASCADE;
	DROP VIEW low;
	ALTER TABLE sale ALTER amount TYPE bigint USING amount::bigint;
	ALTER TABLE sale RENAME amount TO worth;
	CREATE MATERIALIZED VIEW late AS SELECT worth FROM sale;
	ALTER MATERIALIZED VIEW same RENAME TO other;
$$, '1.3.0');
CALL look.through('1.0.0');
CALL look.through('1.2.0');
CALL look.through('1.3.0');
SELECT schemaver.rollback('1.0.0');
SELECT look.at('public');
CALL look.through('1.0.0');
CALL look.through('1.2.0');
CALL look.through('1.3.0');
SELECT * FROM schemaver.verify('shop');
SELECT schemaver.retire('1.3.0');
SELECT look.at('schemaver_retained');
SELECT schemaver.retire('1.2.0');
SELECT look.at('schemaver_retained');

-- a column with both directives, and a materialized view made of the new one
SELECT schemaver.apply('DROP MATERIALIZED VIEW early, idle;
	DROP MATERIALIZED VIEW per_sale CASCADE; DROP VIEW low', '2.0.0');
SELECT schemaver.apply($$
	-- schemaver: up sale.amount = amount * 100
	-- schemaver: down sale.amount = amount / 100
	UPDATE sale SET amount = amount * 100;
	CREATE MATERIALIZED VIEW total AS SELECT sum(amount) FROM sale;
$$, '2.1.0');
SELECT schemaver.rollback('2.0.0');
CALL look.through('2.0.0');
CALL look.through('2.1.0');
SELECT * FROM schemaver.verify('shop');
SELECT schemaver.retire('2.1.0');

-- before a job has filled the column, and after
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('CREATE MATERIALIZED VIEW late AS SELECT amount FROM sale',
	'3.0.0');
SELECT $$
	DROP MATERIALIZED VIEW late;
	ALTER TABLE sale ALTER amount TYPE bigint;
	CREATE MATERIALIZED VIEW late AS SELECT amount FROM sale WITH NO DATA;
$$ AS script \gset
SELECT schemaver.apply(:'script', '3.1.0');
SELECT schemaver.rollback('3.0.0');
CALL look.through('3.0.0');
SELECT look.at('schemaver_retained');
SELECT schemaver.apply(:'script', '3.1.0');
CALL schemaver.run_jobs('shop');
REFRESH MATERIALIZED VIEW late;
SELECT schemaver.rollback('3.0.0');
SELECT look.at('public');
CALL look.through('3.0.0');
CALL look.through('3.1.0');
SELECT schemaver.apply(:'script', '3.1.0');
CALL schemaver.run_jobs('shop');
SELECT schemaver.retire('3.0.0');
SELECT look.at('public');
CALL look.through('3.1.0');
SELECT * FROM schemaver.verify('shop');

-- one that is made before a job has filled the column is filled once more
SELECT $$
	DROP MATERIALIZED VIEW late;
	ALTER TABLE sale ALTER amount TYPE text;
	CREATE VIEW low AS SELECT amount FROM sale;
	CREATE MATERIALIZED VIEW late AS SELECT amount FROM low;
	CREATE MATERIALIZED VIEW gone AS SELECT amount FROM late;
	CREATE MATERIALIZED VIEW idle AS SELECT amount FROM low WITH NO DATA;
	CREATE MATERIALIZED VIEW counted AS SELECT id FROM sale;
$$ AS script \gset
SET schemaver.plan_lock_limit = 0;
SELECT DISTINCT regexp_replace(job, ', .*', '') AS job
FROM schemaver.plan(:'script', '3.2.0'), unnest(jobs) AS job ORDER BY 1;
SELECT schemaver.apply(:'script', '3.2.0');
TABLE late;
SELECT schemaver.register('3.2.0');
-- nobody has to wait for it who wants to be rid of it
SELECT schemaver.apply('DROP MATERIALIZED VIEW gone', '3.3.0');
CALL schemaver.run_jobs('shop');
SELECT kind, state, relation, target, error FROM schemaver.jobs
WHERE state <> 'done' OR kind = 'refresh' ORDER BY job;
TABLE late;
SELECT relname, relispopulated FROM pg_class
WHERE relkind = 'm' AND relname IN ('idle', 'counted') ORDER BY 1;

\c :home
DROP DATABASE sv_shift_matview;
DROP ROLE regress_reader, regress_keeper, regress_other;
