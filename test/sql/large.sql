--
-- Large tables: jobs that are cancelled and tried again, versions that are
-- left and come back before their jobs have ended.
--

CREATE DATABASE sv_large;
\c sv_large
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
SET schemaver.inline_pages = 0;
SET schemaver.job_workers = 0;
\set VERBOSITY terse

CREATE VIEW jobs AS
	SELECT version, kind, relation, target, state, error FROM schemaver.jobs
	WHERE state <> 'done';

CREATE FUNCTION job(of_kind text, of_target text) RETURNS integer
	LANGUAGE sql AS
	$$SELECT max(job) FROM schemaver.jobs
	  WHERE kind = of_kind AND target = of_target$$;

-- a key that a foreign key refers to, of a table whose work is done at once
CREATE SCHEMA part;
CREATE TABLE part.item (id int, day int, PRIMARY KEY (id, day))
	PARTITION BY RANGE (day);
CREATE TABLE part.item_1 PARTITION OF part.item FOR VALUES FROM (0) TO (10);
CREATE TABLE part.use (item int, day int,
	FOREIGN KEY (item, day) REFERENCES part.item);
INSERT INTO part.item VALUES (1, 1);
INSERT INTO part.use VALUES (1, 1);
SELECT schemaver.create_product('part', '{part}');
SELECT schemaver.baseline('1.0.0', 'part');
SELECT schemaver.apply('ALTER TABLE part.item ALTER id TYPE bigint',
	'1.1.0', 'part');
CALL schemaver.run_jobs('part');
SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid)
FROM pg_constraint
WHERE connamespace = 'part'::regnamespace AND conparentid = 0
ORDER BY conname;

-- and an index by which the table is clustered
CREATE SCHEMA heap;
CREATE TABLE heap.item (id int PRIMARY KEY, code int);
CREATE UNIQUE INDEX item_code ON heap.item (code);
ALTER TABLE heap.item CLUSTER ON item_code;
INSERT INTO heap.item VALUES (1, 1);
SELECT schemaver.create_product('heap', '{heap}');
SELECT schemaver.baseline('1.0.0', 'heap');
SELECT schemaver.apply('ALTER TABLE heap.item ALTER code TYPE bigint',
	'1.1.0', 'heap');
CALL schemaver.run_jobs('heap');
SELECT indexrelid::regclass, indisunique, indisclustered FROM pg_index
WHERE indrelid = 'heap.item'::regclass AND indisclustered;

-- an index that is built after all gets its name
CREATE SCHEMA shop;
CREATE TABLE shop.person (id int PRIMARY KEY, age int);
CREATE INDEX person_age ON shop.person (age);
INSERT INTO shop.person SELECT i, i FROM generate_series(1, 5) AS i;
SELECT schemaver.create_product('shop', '{shop}');
SELECT schemaver.baseline('1.0.0', 'shop');
SELECT schemaver.register('1.0.0', 'shop');
SELECT schemaver.apply('ALTER TABLE shop.person ALTER age TYPE bigint',
	'1.1.0', 'shop');
SELECT schemaver.cancel(job('index', 'person_age'));
CALL schemaver.run_jobs('shop');
SELECT * FROM jobs;
SELECT schemaver.retry(job('index', 'person_age'));
SELECT * FROM jobs;
CALL schemaver.run_jobs('shop');
SELECT pg_get_indexdef('shop.person_age'::regclass);
SELECT severity, object, finding, detail
FROM schemaver.verify('shop', deep => true);

-- what a version does without is not demanded when it comes back
SELECT schemaver.apply('ALTER TABLE shop.person ALTER id TYPE bigint',
	'1.2.0', 'shop');
SELECT schemaver.rollback('1.1.0', 'shop');
SELECT schemaver.cancel(job('notnull', 'id'));
SELECT schemaver.apply('ALTER TABLE shop.person ALTER id TYPE bigint',
	'1.2.0', 'shop');
SELECT kind, target, state FROM jobs WHERE target = 'id';
UPDATE shop_1_0_0.person SET age = age + 1;
CALL schemaver.run_jobs('shop');
SELECT schemaver.retry(job('notnull', 'id'));
CALL schemaver.run_jobs('shop');
SELECT * FROM jobs;
SELECT severity, object, finding, detail
FROM schemaver.verify('shop', deep => true);

-- nor do versions leave jobs behind that have nothing to work on any more
CREATE SCHEMA book;
CREATE TABLE book.person (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO book.person SELECT i, 'a' || i || ' b' FROM generate_series(1, 5) AS i;
SELECT schemaver.create_product('book', '{book}');
SELECT schemaver.baseline('1.0.0', 'book');
SELECT schemaver.unregister();
SELECT schemaver.register('1.0.0', 'book');
\set up `printf '%s\n' "-- schemaver: up book.person.first = split_part(name, ' ', 1)" "-- schemaver: down book.person.name = first || ' b'" "ALTER TABLE book.person ADD first text NOT NULL, DROP name"`
\set on `printf '%s\n' "-- schemaver: up book.person.name = first || ' b'" "-- schemaver: down book.person.first = split_part(name, ' ', 1)" "ALTER TABLE book.person ADD name text NOT NULL, DROP first"`
SELECT schemaver.apply(:'up', '2.0.0', 'book');
SELECT schemaver.cancel(job('notnull', 'first'));
CALL schemaver.run_jobs('book');
SELECT schemaver.unregister();
SELECT schemaver.register('2.0.0', 'book');
SELECT schemaver.apply(:'on', '3.0.0', 'book');
CALL schemaver.run_jobs('book');
SELECT schemaver.retry(job('notnull', 'first'));
SELECT schemaver.rollback('2.0.0', 'book');
SELECT schemaver.retry(job('notnull', 'first'));
SELECT schemaver.apply(:'on', '3.0.0', 'book');
CALL schemaver.run_jobs('book');
SELECT schemaver.apply(:'on', '3.0.0', 'book');
SELECT * FROM jobs;
SELECT severity, object, finding, detail
FROM schemaver.verify('book', deep => true);

SELECT schemaver.unregister();

-- nor is a job tried again that is for columns which are gone
CREATE SCHEMA gone;
CREATE TABLE gone.person (id int PRIMARY KEY, a int, b int, c int,
	CONSTRAINT person_c CHECK (c > 0), d int);
INSERT INTO gone.person VALUES (1, 1, 1, 1, 1);
SELECT schemaver.create_product('gone', '{gone}');
SELECT schemaver.baseline('1.0.0', 'gone');
SELECT schemaver.register('1.0.0', 'gone');
SELECT schemaver.apply('CREATE INDEX person_a ON gone.person ((id + 1)) WHERE a > 0;
	CREATE INDEX person_d ON gone.person (id) INCLUDE (d);
	ALTER TABLE gone.person ADD CONSTRAINT person_b UNIQUE (b);
	ALTER TABLE gone.person ADD CONSTRAINT person_d CHECK (d > 0);
	ALTER TABLE gone.person ALTER c TYPE bigint', '1.1.0', 'gone');
CREATE FUNCTION public.again(of_kind text, of_target text) RETURNS text
	LANGUAGE plpgsql AS $$
BEGIN
	PERFORM schemaver.retry(max(job)) FROM schemaver.jobs
	WHERE relation = 'gone.person' AND kind = of_kind AND target ~ of_target;
	RETURN 'is tried again';
EXCEPTION WHEN OTHERS THEN
	DECLARE d text; BEGIN
		GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL;
		RETURN concat_ws(': ', sqlstate, regexp_replace(sqlerrm, '\d+', 'N'), d);
	END;
END $$;
SELECT kind, target, schemaver.cancel(job) FROM schemaver.jobs
WHERE relation = 'gone.person'
	AND (kind IN ('index', 'replace', 'validate') OR target = 'person_b')
ORDER BY job;
CALL schemaver.run_jobs('gone');
SELECT schemaver.unregister();
SELECT schemaver.register('1.1.0', 'gone');
SELECT schemaver.apply(
	'ALTER TABLE gone.person DROP a, DROP b, DROP c, DROP d', '1.2.0', 'gone');
SELECT public.again('index', 'person_a');
SELECT public.again('index', 'person_d');
SELECT public.again('index', 'person_b');
SELECT public.again('attach', 'person_b');
SELECT public.again('replace', 'person_c');
SELECT public.again('validate', 'person_d');
CALL schemaver.run_jobs('gone');
SELECT kind, target, state, error FROM schemaver.jobs
WHERE relation = 'gone.person' AND (state <> 'done' OR kind = 'validate')
ORDER BY job;
SELECT schemaver.rollback('1.1.0', 'gone');
SELECT public.again('index', 'person_a');
SELECT public.again('attach', 'person_b');
SELECT public.again('replace', 'person_c');
CALL schemaver.run_jobs('gone');
SELECT schemaver.unregister();

\c postgres
DROP DATABASE sv_large WITH (FORCE);
