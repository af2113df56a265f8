--
-- build.c, defer.c: what needs to look at all rows is left to jobs where the
-- table is large
--
-- Every table counts as large, and jobs run when they are called.
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_build;
\c regression_build
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
RESET client_min_messages;
ALTER DATABASE regression_build SET schemaver.job_workers = 0;
ALTER DATABASE regression_build SET schemaver.inline_pages = 0;
\c regression_build
\set VERBOSITY terse

CREATE VIEW queue AS
	SELECT job, kind, state, relation, target FROM schemaver.jobs
	WHERE state <> 'done';
CREATE FUNCTION shape(relation regclass)
RETURNS TABLE (kind text, name text, definition text)
LANGUAGE sql AS $$
	SELECT 'column', attname::text, format_type(atttypid, atttypmod)
		|| CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
		|| CASE WHEN attidentity <> '' THEN ' IDENTITY' ELSE '' END
	FROM pg_attribute
	WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
	UNION ALL
	SELECT 'constraint', conname::text, pg_get_constraintdef(oid)
	FROM pg_constraint WHERE conrelid = relation
	UNION ALL
	SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
	FROM pg_index WHERE indrelid = relation
	ORDER BY 1, 2
$$;
CREATE SCHEMA app;
SET search_path = app, public;
CREATE TABLE app.item (a int, b text, c int, "Odd Name" text);
INSERT INTO app.item SELECT g, 'b' || g, g, 'x' || g
FROM generate_series(1, 500) AS g;
SELECT schemaver.create_product('shop', ARRAY['app']);
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');

--
-- Indexes, keys, checks
--

-- older versions notice a unique key: the number must not promise otherwise
SELECT schemaver.apply('ALTER TABLE item ADD UNIQUE (b)', '1.0.1');
-- what the server has against an index it says at once
SELECT schemaver.apply('CREATE INDEX ON item (no_such)');
SELECT schemaver.apply('CREATE INDEX item ON item (a)');
SELECT schemaver.apply('ALTER TABLE item ADD UNIQUE (no_such)');
SELECT schemaver.apply('ALTER TABLE item ALTER no_such SET NOT NULL');
SELECT * FROM queue;

SELECT schemaver.apply($$
	-- schemaver: up item.a = coalesce(c, 0)
	CREATE INDEX CONCURRENTLY ON item (lower(b)) WHERE a > 3;
	CREATE UNIQUE INDEX odd ON item ("Odd Name" text_pattern_ops DESC)
		INCLUDE (c) WITH (fillfactor = 70);
	CREATE INDEX IF NOT EXISTS odd_too ON item ("Odd Name");
	ALTER TABLE item ADD PRIMARY KEY (a),
		ADD CONSTRAINT b_once UNIQUE (b) DEFERRABLE INITIALLY DEFERRED,
		ADD CHECK (c > 0);
$$);
SELECT * FROM queue ORDER BY job;
SELECT * FROM shape('app.item');
-- the older version goes on, and gets its value
INSERT INTO item (b, c) VALUES ('new', 1001) RETURNING a;
UPDATE item SET b = 'newer' WHERE c = 1001;
-- nobody is to use the newest version yet
SELECT schemaver.register('1.1.0');
CALL schemaver.run_jobs();
SELECT * FROM queue;
SELECT * FROM shape('app.item');
SELECT schemaver.register('1.1.0');
-- what the jobs have made is a part of what the version expects
SET schemaver.guard = strict;
ALTER TABLE app.item DROP CONSTRAINT b_once;
DROP INDEX app.odd;
RESET schemaver.guard;
SELECT * FROM schemaver.verify();

-- one key is enough
SELECT schemaver.apply('ALTER TABLE item ADD PRIMARY KEY (c)');

--
-- Values for rows that are there
--
SELECT schemaver.apply($$
	-- schemaver: up item.n = b || '!'
	-- schemaver: up item."Odd Name" = 'odd' || a
	ALTER TABLE item ADD u uuid DEFAULT gen_random_uuid() NOT NULL,
		ADD s serial, ADD i bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
		ADD n text NOT NULL, ADD rank int NOT NULL DEFAULT 5;
	ALTER TABLE item ALTER "Odd Name" SET NOT NULL;
$$, '1.2.0');
SELECT * FROM queue ORDER BY job;
INSERT INTO item (a, b, c) VALUES (1002, 'mid', 1002);
CALL schemaver.run_jobs();
SELECT * FROM queue;
SELECT * FROM shape('app.item');
SELECT schemaver.register('1.2.0');
SELECT count(*), count(DISTINCT u), count(DISTINCT s), count(DISTINCT i),
	count(n), count(*) FILTER (WHERE n = b || '!'), min(rank), max(rank),
	count(*) FILTER (WHERE "Odd Name" = 'odd' || a)
FROM item;
SELECT * FROM schemaver.verify();

--
-- Jobs that fail, and what must not be done before they are done
--
SELECT schemaver.apply('ALTER TABLE item ADD note text');
SELECT schemaver.register('1.2.1');
INSERT INTO item (a, b, c, "Odd Name", n, note) VALUES
	(2001, 'x', 2001, 'p', 'n', 'twice'), (2002, 'y', 2002, 'q', 'n', 'twice');
SELECT schemaver.apply('ALTER TABLE item ADD UNIQUE (note)', '1.3.0');
CALL schemaver.run_jobs();
SELECT state, error FROM schemaver.jobs WHERE state = 'failed';
SELECT schemaver.wait_until_ready('1.3.0');
SELECT schemaver.apply('ALTER TABLE item DROP COLUMN note', '1.4.0');
SELECT schemaver.apply('CREATE TABLE other (note text REFERENCES item (note))', '1.4.0');
SELECT schemaver.apply('ALTER TABLE item RENAME COLUMN b TO c2', '1.4.0');
SELECT schemaver.apply('INSERT INTO item (a) VALUES (1) ON CONFLICT (note) DO NOTHING', '1.4.0');
-- what is not in the way of the jobs can be applied
SELECT schemaver.apply('ALTER TABLE item ADD remark text', '1.4.0');
UPDATE item SET note = 'once' WHERE a = 2002;
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'failed';
CALL schemaver.run_jobs();
SELECT * FROM queue;
SELECT schemaver.wait_until_ready('1.4.0');
SELECT * FROM schemaver.verify();

-- where a later statement builds upon the work it is done at once
SELECT schemaver.apply($$
	ALTER TABLE item ADD code text;
	ALTER TABLE item ADD CONSTRAINT item_code UNIQUE (code);
	CREATE TABLE part (code text REFERENCES item (code));
$$, '1.5.0');
SELECT * FROM queue;
SELECT conname FROM pg_constraint WHERE conname ~ '^(item|part)_code' ORDER BY 1;
-- so is an index that the script names again
SELECT schemaver.apply($$
	CREATE INDEX named_1 ON item (code); DROP INDEX named_1;
	CREATE INDEX ON item (code, a); DROP INDEX app.item_code_a_idx;
	CREATE INDEX named_2 ON item (code); ALTER INDEX named_2 RENAME TO named_3;
	CREATE INDEX named_4 ON item (code); COMMENT ON INDEX named_4 IS 'code';
	CREATE INDEX named_5 ON item (code); ALTER INDEX named_5 SET (fillfactor = 50);
	CREATE UNIQUE INDEX CONCURRENTLY named_6 ON item (code);
	ALTER TABLE item ADD CONSTRAINT named_7 UNIQUE USING INDEX named_6;
	CREATE INDEX named_8 ON item (code); REINDEX INDEX named_8;
	CREATE INDEX named_9 ON item (code);
	COMMENT ON TABLE item IS 'named_9';
$$, '1.5.1');
SELECT * FROM queue;
CALL schemaver.run_jobs();
SELECT name, definition FROM shape('app.item') WHERE name ~ 'named|code_a' ORDER BY 1, 2;
DROP INDEX app.named_3, app.named_4, app.named_5, app.named_8, app.named_9;

-- a job whose version is retired is not to be done
SELECT schemaver.register('1.5.0');
SELECT schemaver.apply('CREATE INDEX late ON item (remark)', '1.6.0');
SELECT schemaver.rollback('1.5.0');
CALL schemaver.run_jobs();
SELECT state, target FROM schemaver.jobs WHERE target = 'late';
SELECT schemaver.register('1.6.0');
SELECT schemaver.wait_until_ready('1.6.0');
SELECT schemaver.apply('CREATE INDEX late ON item (remark)', '1.6.0');
CALL schemaver.run_jobs();
SELECT state, target FROM schemaver.jobs WHERE target = 'late';
SELECT schemaver.apply('CREATE INDEX later ON item (remark, b)', '1.7.0');
SELECT schemaver.rollback('1.6.0');
SELECT schemaver.retire('1.7.0');
SELECT state, target FROM schemaver.jobs WHERE target = 'later';
SELECT * FROM schemaver.verify();

-- what was to be NOT NULL is not demanded of older versions after a rollback
UPDATE app.item SET note = a::text WHERE note IS NULL;
SELECT schemaver.apply('ALTER TABLE item ALTER note SET DEFAULT ''-'',
	ALTER note SET NOT NULL', '1.8.0');
SELECT conname FROM pg_constraint WHERE conname ~ 'pending';
SELECT schemaver.rollback('1.6.0');
SELECT conname FROM pg_constraint WHERE conname ~ 'pending';
SELECT schemaver.retire('1.8.0');
INSERT INTO app.item (a, b, c, "Odd Name", n) VALUES (3001, 'z', 3001, 'z', 'n')
	RETURNING note;
SELECT * FROM schemaver.verify();

\c :home
DROP DATABASE regression_build;
