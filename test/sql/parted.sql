--
-- Jobs of partitioned tables: what users see of them.  CALL run_jobs() does
-- them, so that it is known how far they are.
--
CREATE DATABASE sv_parted;
ALTER DATABASE sv_parted SET schemaver.inline_pages = 0;
ALTER DATABASE sv_parted SET schemaver.job_workers = 0;
\c sv_parted
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
\set VERBOSITY terse
SET datestyle = 'ISO';
SET schemaver.plan_lock_limit = 0;

-- tables, then indexes and keys with their places in the tree
CREATE SCHEMA tool;
CREATE VIEW tool.jobs AS
	SELECT kind, target, state, rows FROM schemaver.jobs ORDER BY job;
CREATE TABLE m (id int, at date, v int NOT NULL DEFAULT 3 CHECK (v > 0), w int,
	PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')
	PARTITION BY RANGE (at);
CREATE TABLE m2a PARTITION OF m2 FOR VALUES FROM ('2024-02-01') TO ('2024-02-15');
CREATE TABLE m2b (w int, gone int, at date NOT NULL,
	v int NOT NULL DEFAULT 5 CONSTRAINT m_v_check CHECK (v > 0), id int NOT NULL);
ALTER TABLE m2b DROP gone;
ALTER TABLE m2 ATTACH PARTITION m2b FOR VALUES FROM ('2024-02-15') TO ('2024-03-01');
CREATE INDEX m_w ON m (w);
CREATE FUNCTION tool.indexes(OUT index text, OUT on_table regclass, OUT valid boolean,
	OUT key "char", OUT of_key text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT c.relname, i.indrelid::regclass, i.indisvalid, k.contype, p.conname
	FROM pg_partition_tree('public.m') AS t JOIN pg_index AS i
			ON i.indrelid = t.relid
		JOIN pg_class AS c ON c.oid = i.indexrelid
		LEFT JOIN pg_constraint AS k ON k.conindid = c.oid
			AND k.conrelid = t.relid
		LEFT JOIN pg_constraint AS p ON p.oid = k.conparentid
	ORDER BY 2, 1
$$;
INSERT INTO m SELECT g, '2024-01-01'::date + g % 60, g, g
FROM generate_series(1, 600) AS g;
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
\set script 'ALTER TABLE m ALTER w TYPE text, ALTER id TYPE bigint'

-- nothing is filled within the migration, as the plan says
SELECT regexp_replace(unnest(jobs), 'job_\d+', 'job_N') AS job
FROM schemaver.plan(:'script', '2.0.0');
SELECT schemaver.apply(:'script', '2.0.0');
SELECT * FROM tool.jobs;
SELECT id, w FROM public.m WHERE v = 7;
SELECT id, w FROM m WHERE v = 7;

-- both versions see what is written meanwhile, and who moves to where
INSERT INTO m VALUES (601, '2024-01-01', 1, 1);
INSERT INTO public.m (id, at, v, w) VALUES (602, '2024-02-20', 2, '2');
UPDATE public.m SET at = '2024-01-02' WHERE v = 50;
UPDATE m SET at = '2024-02-28' WHERE v = 1 AND id = 1;
SELECT * FROM m WHERE id > 600 ORDER BY id;
SELECT v, w, id FROM public.m WHERE id > 600 ORDER BY id;
SELECT object, finding, detail FROM schemaver.verify(deep => true);

-- partitions made meanwhile, and attached with rows that know the new columns
CREATE TABLE m3 PARTITION OF public.m FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
CREATE TABLE m4 (at date NOT NULL, w text, v int NOT NULL
	CONSTRAINT m_v_check CHECK (v > 0), id bigint NOT NULL);
INSERT INTO m4 VALUES ('2024-04-04', '44', 4, 604);
ALTER TABLE public.m ATTACH PARTITION m4 FOR VALUES FROM ('2024-04-01') TO ('2024-05-01');
SELECT * FROM m WHERE id > 600 ORDER BY id;
SELECT attname, attnotnull FROM pg_attribute
WHERE attrelid = 'm4'::regclass AND attnum > 0 ORDER BY attnum;

-- gone back in the middle, and on again
SELECT schemaver.rollback('1.0.0');
INSERT INTO m VALUES (605, '2024-01-01', 5, 5);
SELECT count(*), count(w), count(id) FROM m;
SELECT object, finding, detail FROM schemaver.verify(deep => true)
WHERE finding <> 'changed by hand';
SELECT schemaver.apply(:'script', '2.0.0');
CALL schemaver.run_jobs();
SELECT * FROM tool.jobs;
SELECT * FROM tool.indexes();
SELECT object, finding, detail FROM schemaver.verify(deep => true)
WHERE finding <> 'changed by hand';
SELECT count(*) FROM public.m
WHERE id <> schemaver_retained_id OR w IS DISTINCT FROM schemaver_retained_w::text;
SELECT schemaver.unregister();
SELECT schemaver.retire('1.0.0');
SELECT * FROM tool.indexes();
\d m
\d m2b

-- columns with values of their own: the default is that of the whole, and so
-- is the identity; NOT NULL with a value; keys
SELECT schemaver.apply($$
	ALTER TABLE m ADD n uuid NOT NULL DEFAULT gen_random_uuid();
	ALTER TABLE m ADD s bigint GENERATED ALWAYS AS IDENTITY;
	ALTER TABLE m ADD CONSTRAINT m_n UNIQUE (n, at) DEFERRABLE;
	CREATE INDEX CONCURRENTLY ON m (lower(w)) INCLUDE (s);
	-- schemaver: up m.w = 'none'
	ALTER TABLE m ALTER w SET NOT NULL;
$$, '3.0.0');
SELECT * FROM tool.jobs WHERE state = 'queued';
INSERT INTO m (id, at, v, w) VALUES (606, '2024-02-28', 6, '6');
CALL schemaver.run_jobs();
SELECT count(*), count(n), count(DISTINCT n), count(DISTINCT s), min(s) > 0 FROM m;
SELECT * FROM tool.indexes() WHERE index ~ 'lower|_n';
SELECT condeferrable, conislocal, coninhcount FROM pg_constraint
WHERE conname IN ('m_n', 'm1_n_at_key') ORDER BY conname;
BEGIN;
SET CONSTRAINTS m_n DEFERRED;
INSERT INTO m (id, at, v, w, n) SELECT 607, at, 7, '7', n FROM m WHERE id = 606;
COMMIT;

-- an index that cannot be built in one of the partitions: the others keep
-- theirs, and it goes on there
SELECT schemaver.apply('ALTER TABLE m ADD CONSTRAINT m_v UNIQUE (v, at)', '3.1.0');
INSERT INTO m (id, at, v, w) VALUES (608, '2024-02-28', 6, '6');
CALL schemaver.run_jobs();
SELECT target, state, error FROM schemaver.jobs WHERE state = 'failed';
SELECT * FROM tool.indexes() WHERE index ~ 'job|m_v|v_at';
SELECT object, finding FROM schemaver.verify() WHERE finding <> 'changed by hand';
DELETE FROM m WHERE id = 608;
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'failed';
CALL schemaver.run_jobs();
SELECT * FROM tool.indexes() WHERE index ~ 'job|m_v|v_at';

-- a primary key, and a partition that is dropped while its index is built, and
-- was the last one without
SELECT schemaver.apply('ALTER TABLE m DROP CONSTRAINT m_pkey', '4.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.retire('3.1.0');
SELECT schemaver.apply('ALTER TABLE m ADD PRIMARY KEY (s, at)', '4.1.0');
INSERT INTO m (id, at, v, w, s) OVERRIDING SYSTEM VALUE
SELECT 609, at, 9, '9', s FROM m WHERE id = 604;
CALL schemaver.run_jobs();
SELECT target, state, error FROM schemaver.jobs WHERE state = 'failed';
DROP TABLE m4;
SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'failed';
CALL schemaver.run_jobs();
SELECT * FROM tool.indexes() WHERE index ~ 'pkey';
INSERT INTO m (id, at, v, w, s) OVERRIDING SYSTEM VALUE
SELECT 610, at, 10, '10', s FROM m WHERE id = 606;

-- what the server does not have or does at once: ONLY, foreign keys
SELECT jobs FROM schemaver.plan('CREATE INDEX m_only ON ONLY m (v)', '5.0.0');
SELECT schemaver.apply('CREATE TABLE o (id int PRIMARY KEY);
	INSERT INTO o SELECT DISTINCT v FROM m; ALTER TABLE m ADD FOREIGN KEY (v) REFERENCES o', '5.0.0');
SELECT conname, convalidated FROM pg_constraint WHERE conname = 'm_v_fkey'
	AND conrelid = 'm'::regclass;

-- what is held to NOT NULL until a job has looked: a partition attached as well
SELECT schemaver.apply('ALTER TABLE m ADD x int DEFAULT 5', '5.1.0');
SELECT schemaver.apply('ALTER TABLE m ALTER x SET NOT NULL', '5.2.0');
SELECT * FROM tool.jobs WHERE state = 'queued';
CREATE TABLE m5 (LIKE m);
ALTER TABLE m5 ADD CONSTRAINT m_v_check CHECK (v > 0);
INSERT INTO m5 (at, v, w, id, n, s, x)
VALUES ('2024-05-05', 5, '5', 611, gen_random_uuid(), 5, NULL);
ALTER TABLE m ATTACH PARTITION m5 FOR VALUES FROM ('2024-05-01') TO ('2024-06-01');
UPDATE m5 SET x = 6;
ALTER TABLE m ATTACH PARTITION m5 FOR VALUES FROM ('2024-05-01') TO ('2024-06-01');
CALL schemaver.run_jobs();
SELECT attrelid::regclass, attnotnull FROM pg_attribute
WHERE attrelid IN (SELECT relid FROM pg_partition_tree('m')) AND attname = 'x'
ORDER BY 1;
SELECT conrelid::regclass, conname FROM pg_constraint
WHERE conname LIKE 'schemaver%' AND contype = 'c';

-- both directives for a column, and a check; a later statement that needs what
-- a job would make has it made at once
SELECT schemaver.apply($$
	-- schemaver: up   m.x = x * 100
	-- schemaver: down m.x = x / 100
	UPDATE m SET x = x * 100;
	ALTER TABLE m ADD CONSTRAINT m_x CHECK (x >= 100);
$$, '5.3.0');
SELECT * FROM tool.jobs WHERE state = 'queued';
CALL schemaver.run_jobs();
SELECT DISTINCT x, schemaver_retained_x FROM m;
SELECT conrelid::regclass, convalidated FROM pg_constraint WHERE conname = 'm_x'
ORDER BY 1;
SELECT regexp_replace(unnest(jobs), ' of .*', '') AS job FROM schemaver.plan($$
	ALTER TABLE m ADD CONSTRAINT m_id UNIQUE (id, at);
	INSERT INTO m1 (id, at, v, w) VALUES (1, '2024-01-02', 1, '1')
	ON CONFLICT (id, at) DO NOTHING;
$$, '5.4.0');

-- partitions of several owners are left to the migration
CREATE ROLE sv_parted_owner;
ALTER TABLE m1 OWNER TO sv_parted_owner;
SELECT regexp_replace(unnest(jobs), ' of .*', '') AS job
FROM schemaver.plan('CREATE INDEX ON m (w)', '6.0.0');
SELECT object, finding, detail FROM schemaver.verify(deep => true)
WHERE finding <> 'changed by hand';

\c postgres
DROP DATABASE sv_parted WITH (FORCE);
DROP ROLE sv_parted_owner;

-- a partition that comes late: each column of a chain follows from the next
CREATE DATABASE sv_parted;
\c sv_parted
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE TABLE t (id int, amount int) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100);
INSERT INTO t VALUES (1, 1);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('ALTER TABLE t ALTER amount TYPE text', '2.0.0');
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply('ALTER TABLE t ALTER amount TYPE numeric
	USING amount::numeric', '3.0.0');
SELECT schemaver.register('3.0.0');
CREATE TABLE t2 (id int, amount numeric);
INSERT INTO t2 VALUES (101, 101);
SELECT schemaver.apply('ALTER TABLE t ATTACH PARTITION t2
	FOR VALUES FROM (100) TO (200)', '3.0.1');
SELECT schemaver.register('1.0.0');
SELECT * FROM t ORDER BY id;
SELECT schemaver.register('2.0.0');
SELECT * FROM t ORDER BY id;
SELECT schemaver.verify(deep => true);
\c postgres
DROP DATABASE sv_parted WITH (FORCE);
