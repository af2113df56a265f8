--
-- Unique keys that a script drops: they hold for the versions that know them,
-- and do not hold back those that do not
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_key;
ALTER DATABASE sv_key SET schemaver.job_workers = 0;
\c sv_key
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA key;
SET search_path = key;
SELECT schemaver.create_product('key', ARRAY['key']);
CREATE ROLE sv_key_app;
GRANT USAGE ON SCHEMA key TO sv_key_app;
\pset format unaligned
\pset tuples_only on

CREATE TABLE reply (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	"to" int NOT NULL, comment int, n int NOT NULL DEFAULT 0,
	CONSTRAINT reply_key UNIQUE ("to", comment) INCLUDE (n) WITH (fillfactor = 70));
CREATE TABLE word (w text PRIMARY KEY, lang text, n int DEFAULT 1);
CREATE UNIQUE INDEX word_lower ON word (lower(w), (lang || '')) WHERE n > 0;
CREATE UNIQUE INDEX ON word ((w || 'x'), (lang || 'x')) WHERE n < 0;
COMMENT ON INDEX word_lower IS 'no word twice';
GRANT SELECT, INSERT, UPDATE, DELETE ON reply, word TO sv_key_app;
INSERT INTO reply ("to", comment) VALUES (1, 1), (1, 2), (1, NULL);
INSERT INTO word VALUES ('a', 'x'), ('b', 'x');
SELECT schemaver.baseline('1.0.0');
CREATE VIEW public.keys AS SELECT conname, pg_get_constraintdef(oid)
	FROM pg_constraint
	WHERE conrelid::regclass::text IN ('key.reply', 'key.word')
	UNION ALL SELECT relname, pg_get_indexdef(oid) FROM pg_class
	WHERE relname LIKE '%word_lower%';
CREATE VIEW public.columns AS SELECT attrelid::regclass AS relation, attname,
	atttypid::regtype::text AS type FROM pg_attribute
	WHERE attrelid IN (SELECT oid FROM pg_class WHERE relkind = 'r'
	AND relnamespace = 'key'::regnamespace) AND attnum > 0 AND NOT attisdropped
	AND (attname ~ '^schemaver_' OR atttypid::regtype::text ~ 'schemaver');
SELECT schemaver.apply('SELECT 1', '1.0.1');

-- a session of the version before goes on through it
SELECT schemaver.register('1.0.1');
PREPARE up AS INSERT INTO reply ("to", comment) VALUES ($1, $2)
	ON CONFLICT ("to", comment) DO UPDATE SET n = reply.n + 1
	RETURNING "to", comment, n;
PREPARE named AS INSERT INTO reply ("to", comment) VALUES ($1, $2)
	ON CONFLICT ON CONSTRAINT reply_key DO UPDATE SET n = reply.n + 10
	RETURNING "to", comment, n;
PREPARE cte AS WITH new AS (INSERT INTO reply ("to", comment) VALUES ($1, $2)
	ON CONFLICT (comment, "to") DO NOTHING RETURNING "to", comment)
	SELECT count(*) FROM new;
PREPARE word AS INSERT INTO word VALUES ($1, $2)
	ON CONFLICT (lower(w), (lang || '')) WHERE n > 0 DO UPDATE SET n = word.n + 1
	RETURNING *;
EXECUTE up(1, 1);
EXECUTE named(1, 1);
EXECUTE cte(1, 1);
EXECUTE word('A', 'x');
-- its session may run the script: what that writes is the newest version's
SELECT schemaver.apply($$
	ALTER TABLE reply DROP CONSTRAINT reply_key;
	INSERT INTO reply ("to", comment) VALUES (1, 1), (2, 2), (2, 2), (3, NULL), (3, NULL);
	DROP INDEX word_lower;
	ALTER TABLE word DROP CONSTRAINT word_pkey;
	INSERT INTO word VALUES ('B', 'x'), ('b', 'y'), ('b', 'y'), ('c', NULL);
$$);
TABLE public.keys;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid IN ('key_1_0_1.reply'::regclass, 'key_1_0_1.word'::regclass) ORDER BY 1, 2;
EXECUTE up(1, 1);
EXECUTE named(1, 1);
EXECUTE cte(1, 1);
EXECUTE up(2, 2);
EXECUTE up(3, NULL);
EXECUTE up(4, 4);
EXECUTE word('A', 'x');
EXECUTE word('B', 'y');
INSERT INTO reply ("to", comment) VALUES (2, 2);
UPDATE reply SET comment = 4, "to" = 4 WHERE comment = 2 AND n = 1;
INSERT INTO word VALUES ('a');
SELECT "to", comment, count(*) FROM reply GROUP BY 1, 2 ORDER BY 1, 2;
SELECT schemaver.unregister();

-- the newest version, by an ordinary role
SELECT schemaver.register('1.1.0');
SET ROLE sv_key_app;
INSERT INTO reply ("to", comment) VALUES (4, 4), (4, 4), (5, 5) RETURNING "to", comment, n;
INSERT INTO reply ("to", comment) SELECT 6, 6 FROM generate_series(1, 3);
UPDATE reply SET comment = 5, "to" = 5 WHERE comment = 6;
COPY reply ("to", comment) FROM stdin;
7	7
7	7
\.
MERGE INTO reply r USING (VALUES (8, 8), (8, 8)) AS s (a, b) ON r."to" = s.a
	WHEN NOT MATCHED THEN INSERT ("to", comment) VALUES (a, b);
INSERT INTO reply ("to", comment) VALUES (7, 7) ON CONFLICT DO NOTHING RETURNING "to";
INSERT INTO reply ("to", comment) VALUES (7, 7) ON CONFLICT ("to", comment) DO NOTHING;
RESET ROLE;
SELECT * FROM reply WHERE "to" = 5;
SELECT schemaver.unregister();
SELECT schemaver.is_first(1);
SELECT regexp_replace(line, '[0-9]+ kB', 'n kB', 'g') FROM schemaver.status() AS line
	WHERE line ~ 'Retained|In step|word|reply';
SELECT schemaver.verify(deep => true);

-- the first one goes: another one may be the first
DELETE FROM reply WHERE comment = 8;
SELECT schemaver.register('1.0.1');
SET ROLE sv_key_app;
EXECUTE up(8, 8);
EXECUTE up(8, 8);
EXECUTE up(7, 7);
RESET ROLE;
SELECT schemaver.unregister();

-- later migrations: names of the columns follow
SELECT schemaver.apply('ALTER TABLE reply RENAME "to" TO recipient; ALTER TABLE reply ALTER comment TYPE bigint', '1.2.0');
SELECT schemaver.register('1.0.1');
EXECUTE up(8, 8);
EXECUTE named(9, 9);
EXECUTE named(9, 9);
SELECT schemaver.unregister();
INSERT INTO reply (recipient, comment) VALUES (9, 9), (9, 9);
SELECT schemaver.register('1.1.0');
INSERT INTO reply ("to", comment) VALUES (9, 9);
SELECT schemaver.unregister();
SELECT schemaver.verify(deep => true);

-- back: what was written may stand against the keys
SELECT schemaver.rollback('1.0.1');
SELECT schemaver.register('1.0.1');
EXECUTE up(9, 9);
EXECUTE named(9, 9);
INSERT INTO reply ("to", comment) VALUES (9, 9);
SELECT schemaver.unregister();
INSERT INTO reply ("to", comment) VALUES (9, 9);
SELECT (v).finding, (v).detail FROM schemaver.verify() AS v;
SELECT schemaver.reconcile();
DELETE FROM reply a USING reply b WHERE a.comment = b.comment AND a."to" = b."to" AND a.id > b.id;
DELETE FROM word a USING word b WHERE lower(a.w) = lower(b.w) AND a.ctid > b.ctid;
SELECT schemaver.reconcile() > 0;
TABLE public.keys;
SELECT (v).finding, (v).detail FROM schemaver.verify() AS v;
SELECT schemaver.apply(script, version) FROM schemaver.history
	WHERE version::text = '1.1.0' AND action = 'apply';
SELECT schemaver.apply(script, version) FROM schemaver.history
	WHERE version::text = '1.2.0' AND action = 'apply';
SELECT schemaver.register('1.0.1');
EXECUTE up(9, 9);
SELECT schemaver.unregister();
INSERT INTO reply (recipient, comment) VALUES (9, 9);
SELECT schemaver.retire('1.1.0');
TABLE public.keys;
SELECT * FROM public.columns ORDER BY 1, 2;
SELECT tgname FROM pg_trigger WHERE tgrelid IN ('reply'::regclass, 'word'::regclass) AND NOT tgisinternal;
SELECT schemaver.verify(deep => true);

-- a key that the newer version has brought does not hold back the older one
TRUNCATE reply, word;
SELECT schemaver.apply('ALTER TABLE word ADD UNIQUE (w), ADD PRIMARY KEY (n); CREATE UNIQUE INDEX ON reply (recipient, n)', '2.0.0');
SELECT schemaver.register('2.0.0');
INSERT INTO word VALUES ('a', 'b', 1);
INSERT INTO reply (recipient) VALUES (1);
PREPARE two AS INSERT INTO word VALUES ($1, NULL, $2) ON CONFLICT (w) DO UPDATE SET lang = 'two' RETURNING *;
EXECUTE two('a', 2);
SELECT schemaver.rollback('1.2.0');
EXECUTE two('a', 2);
INSERT INTO word VALUES ('z', 'b', 1) ON CONFLICT (n) DO UPDATE SET lang = 'n' RETURNING *;
SELECT schemaver.unregister();
INSERT INTO word VALUES ('a', 'b', 1), ('a', 'b', NULL);
INSERT INTO reply (recipient) VALUES (1), (1);
SELECT schemaver.register('2.0.0');
EXECUTE two('a', 2);
INSERT INTO word VALUES ('a', 'b', 7);
SELECT schemaver.unregister();
SELECT (v).finding, (v).detail FROM schemaver.verify(deep => true) AS v;
SELECT schemaver.apply(script, version) FROM schemaver.history
	WHERE version::text = '2.0.0' AND action = 'apply';
DELETE FROM word WHERE lang = 'b';
DELETE FROM reply;
SELECT schemaver.apply(script, version) FROM schemaver.history
	WHERE version::text = '2.0.0' AND action = 'apply';
SELECT indexdef FROM pg_indexes WHERE schemaname = 'key' ORDER BY indexname;
SELECT schemaver.retire('1.2.0');
SELECT schemaver.verify(deep => true);

-- made again in the same script; on a table too large for it; names of 63 bytes
CREATE TABLE large (id int UNIQUE, a int);
INSERT INTO large SELECT i, i FROM generate_series(1, 3000) AS i;
CREATE TABLE "A ""long"" name of a table that has nearly all of 63 bytes, or so"
	("The ""column"" with a name that is as long as it can be: 63 bytes" int
	CONSTRAINT "A ""constraint"" that has a name as long as it can be: 63 bytes" UNIQUE);
SELECT schemaver.apply('SELECT 2', '2.1.0');
SELECT schemaver.register('2.1.0');
SELECT schemaver.unregister();
SELECT schemaver.apply($$
	ALTER TABLE word DROP CONSTRAINT word_w_key;
	ALTER TABLE word ADD CONSTRAINT word_w_key UNIQUE (w);
	ALTER TABLE word DROP CONSTRAINT word_pkey, ADD PRIMARY KEY (w, n);
	DROP INDEX reply_recipient_n_idx;
	ALTER TABLE "A ""long"" name of a table that has nearly all of 63 bytes, or so"
		DROP CONSTRAINT "A ""constraint"" that has a name as long as it can be: 63 bytes";
$$, '2.2.0');
SELECT * FROM public.columns ORDER BY 1, 2;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'key' ORDER BY indexname;
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('ALTER TABLE large DROP CONSTRAINT large_id_key', '2.3.0');
RESET schemaver.inline_pages;
INSERT INTO large VALUES (1);
SELECT schemaver.verify(deep => true);
CALL schemaver.run_jobs();
INSERT INTO large VALUES (1);
SELECT schemaver.verify(deep => true);
DELETE FROM large WHERE a IS NULL;
SELECT schemaver.rollback('2.1.0');
SELECT schemaver.verify(deep => true);
SELECT schemaver.retire('2.3.0');
SELECT schemaver.retire('2.2.0');
SELECT * FROM public.columns ORDER BY 1, 2;
SELECT indexdef FROM pg_indexes WHERE schemaname = 'key' ORDER BY indexname;
SELECT schemaver.verify(deep => true);

-- keys that are deferrable: as they were for the versions that know them
CREATE TABLE late (id int PRIMARY KEY,
	a int CONSTRAINT late_a UNIQUE DEFERRABLE INITIALLY DEFERRED,
	b int CONSTRAINT late_b UNIQUE DEFERRABLE);
INSERT INTO late VALUES (1, 1, 1), (2, 2, 2);
CREATE TABLE later (id int, a int CONSTRAINT later_a UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO later SELECT i, i FROM generate_series(1, 3000) AS i;
SELECT schemaver.apply('SELECT 4', '2.4.0');
SELECT schemaver.register('2.4.0');
SELECT schemaver.apply('ALTER TABLE late DROP CONSTRAINT late_a, DROP CONSTRAINT late_b', '2.5.0');
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('ALTER TABLE later DROP CONSTRAINT later_a', '2.6.0');
RESET schemaver.inline_pages;
CALL schemaver.run_jobs();
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid IN ('key.late'::regclass, 'key.later'::regclass) ORDER BY 1;
BEGIN;
UPDATE late SET b = 3 - b;
UPDATE late SET a = 2 WHERE id = 1;
UPDATE late SET a = 1 WHERE id = 2;
UPDATE later SET a = 3001 - a;
COMMIT;
BEGIN;
UPDATE late SET a = 1 WHERE id = 1;
COMMIT;
UPDATE late SET b = 1 WHERE id = 1;
INSERT INTO later VALUES (0, 1);
INSERT INTO late VALUES (3, 1) ON CONFLICT (a) DO NOTHING;
SELECT schemaver.register('2.6.0');
INSERT INTO late VALUES (3, 1, 1), (4, 1, 1);
INSERT INTO later VALUES (0, 1);
SELECT schemaver.unregister();
DELETE FROM late WHERE id > 2;
DELETE FROM later WHERE id = 0;
SELECT schemaver.rollback('2.4.0');
SELECT schemaver.retire('2.6.0');
SELECT schemaver.retire('2.5.0');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid IN ('key.late'::regclass, 'key.later'::regclass) ORDER BY 1;

-- keys over columns that have changed their type before, or in the same script
CREATE TABLE typed (id int PRIMARY KEY, a varchar(9), b int, c int,
	n int DEFAULT 0, CONSTRAINT typed_ab UNIQUE (a, b));
CREATE UNIQUE INDEX typed_c ON typed (c);
CREATE VIEW public.typed AS SELECT pg_get_indexdef(indexrelid)
	FROM pg_index WHERE indrelid = 'key.typed'::regclass AND NOT indisprimary
	ORDER BY indexrelid::regclass::text;
INSERT INTO typed SELECT i, i, 1, i FROM generate_series(1, 3) AS i;
SELECT schemaver.apply('SELECT 5', '2.7.0');
SELECT schemaver.register('2.7.0');
PREPARE ab(int) AS INSERT INTO typed VALUES ($1, $1::text, 1, $1)
	ON CONFLICT (b, a) DO UPDATE SET n = typed.n + 1 RETURNING *;
PREPARE c(int) AS INSERT INTO typed VALUES ($1, $1::text, 1, $1)
	ON CONFLICT (c) DO UPDATE SET n = typed.n + 10 RETURNING *;
SELECT schemaver.apply('ALTER TABLE typed ALTER a TYPE text', '2.8.0');
SELECT schemaver.register('2.8.0');
SELECT schemaver.apply('ALTER TABLE typed ALTER b TYPE bigint', '2.9.0');
SELECT schemaver.register('2.9.0');
SELECT schemaver.apply('ALTER TABLE typed ALTER c TYPE text; DROP INDEX typed_c;
ALTER TABLE typed DROP CONSTRAINT typed_ab', '2.10.0');
TABLE public.typed;
SELECT schemaver.register('2.10.0');
INSERT INTO typed (id, a, b, c) VALUES (4, '1', 1, '1'), (5, '5', 1, '5'),
	(6, '5', 1, '5') RETURNING *;
SELECT schemaver.register('2.7.0');
EXECUTE ab(1);
EXECUTE ab(5);
EXECUTE c(5);
EXECUTE c(7);
INSERT INTO typed VALUES (8, '5', 1, 8);
INSERT INTO typed VALUES (8, '8', 1, 5);
SELECT schemaver.register('2.8.0');
INSERT INTO typed (id, a, b, c) VALUES (8, '5', 1, 8);
INSERT INTO typed (id, a, b, c) VALUES (8, '8', 1, 8)
	ON CONFLICT (a, b) DO NOTHING RETURNING *;
SELECT schemaver.register('2.9.0');
INSERT INTO typed (id, a, b, c) VALUES (9, '8', 1, 9)
	ON CONFLICT (a, b) DO UPDATE SET n = 9 RETURNING *;
SELECT schemaver.unregister();
SELECT schemaver.verify(deep => true);
-- back and forward
SELECT schemaver.rollback('2.9.0');
TABLE public.typed;
SELECT schemaver.rollback('2.7.0');
TABLE public.typed;
SELECT schemaver.register('2.7.0');
EXECUTE ab(5);
EXECUTE c(5);
SELECT schemaver.register('2.10.0');
INSERT INTO typed (id, a, b, c) VALUES (20, '5', 1, '5');
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE typed ALTER a TYPE text', '2.8.0');
SELECT schemaver.apply('ALTER TABLE typed ALTER b TYPE bigint', '2.9.0');
SELECT schemaver.apply('ALTER TABLE typed ALTER c TYPE text; DROP INDEX typed_c;
ALTER TABLE typed DROP CONSTRAINT typed_ab', '2.10.0');
TABLE public.typed;
SELECT schemaver.register('2.7.0');
EXECUTE ab(5);
EXECUTE c(5);
SELECT schemaver.register('2.10.0');
INSERT INTO typed (id, a, b, c) VALUES (21, '5', 1, '5');
SELECT schemaver.unregister();
SELECT schemaver.retire('2.7.0');
TABLE public.typed;
SELECT schemaver.retire('2.9.0');
SELECT * FROM public.columns WHERE relation = 'typed'::regclass;
-- by jobs; and one whose column is dropped, while "down" gives it a value
CREATE TABLE wide (id int PRIMARY KEY, a int CONSTRAINT wide_a UNIQUE,
	b int CONSTRAINT wide_b UNIQUE);
INSERT INTO wide SELECT i, i, i FROM generate_series(1, 3000) AS i;
SELECT schemaver.apply('SELECT 6', '2.11.0');
SELECT schemaver.register('2.11.0');
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('-- schemaver: up wide.b = b
-- schemaver: down wide.b = coalesce(b::int, 0)
ALTER TABLE wide ALTER a TYPE bigint, ALTER b TYPE bigint', '2.12.0');
CALL schemaver.run_jobs();
SELECT schemaver.apply('ALTER TABLE wide DROP CONSTRAINT wide_a; ALTER TABLE wide DROP b', '2.13.0');
CALL schemaver.run_jobs();
RESET schemaver.inline_pages;
SELECT pg_get_indexdef(indexrelid) FROM pg_index
	WHERE indrelid = 'key.wide'::regclass AND NOT indisprimary
	ORDER BY indexrelid::regclass::text;
SELECT schemaver.register('2.13.0');
INSERT INTO wide VALUES (3001, 1), (3002, 1);
SELECT schemaver.register('2.11.0');
INSERT INTO wide VALUES (3003, 1, 3003) ON CONFLICT (a) DO UPDATE SET a = -1 RETURNING *;
INSERT INTO wide VALUES (3003, 3003, 0) ON CONFLICT (b) DO UPDATE SET a = -2 RETURNING *;
INSERT INTO wide VALUES (3004, 2, 3004);
INSERT INTO wide VALUES (3004, 3004, 2);
SELECT schemaver.unregister();
SELECT schemaver.verify(deep => true);
SELECT schemaver.retire('2.11.0');
SELECT * FROM public.columns WHERE relation = 'wide'::regclass;
DROP VIEW public.typed;

-- a new key where older versions may leave what it does not allow
CREATE TABLE site (id serial PRIMARY KEY, site int NOT NULL, n int);
CREATE TABLE part (site int, n int);
INSERT INTO site (site) VALUES (1), (2);
INSERT INTO word VALUES ('x', 'x', 11);
SELECT schemaver.apply('SELECT 3', '3.0.0');
SELECT schemaver.register('3.0.0');
SET schemaver.on_missing_value = nullable;
RESET client_min_messages;
SELECT schemaver.apply($$
	ALTER TABLE site DROP COLUMN id, ADD PRIMARY KEY (site);
	CREATE UNIQUE INDEX site_n ON site (n);
	ALTER TABLE part ADD UNIQUE (site), ADD CHECK (site > 0);
	ALTER TABLE word ADD UNIQUE (lang);
	ALTER TABLE part ADD w text REFERENCES word (lang);
$$, '3.1.0');
RESET schemaver.on_missing_value;
SET client_min_messages = warning;
SELECT * FROM public.columns ORDER BY 1, 2;
SELECT schemaver.verify();
INSERT INTO site (site, n) VALUES (1, 3), (1, 3) RETURNING *;
INSERT INTO part VALUES (1), (1);
TABLE part;
INSERT INTO word VALUES ('y', 'x', 12);
SELECT schemaver.register('3.1.0');
INSERT INTO site (site) VALUES (1);
INSERT INTO site (site) VALUES (1) ON CONFLICT (site) DO UPDATE SET n = 7 RETURNING *;
INSERT INTO site (site) VALUES (2) ON CONFLICT ON CONSTRAINT site_pkey DO UPDATE SET n = 8 RETURNING *;
SELECT site, n FROM site ORDER BY 1, 2;
SELECT schemaver.unregister();
SELECT (v).object, (v).finding, (v).detail FROM schemaver.verify(deep => true) AS v;
SELECT schemaver.retire('3.0.0');
SELECT (v).object, (v).finding, (v).hint FROM schemaver.verify(deep => true) AS v;
DELETE FROM site a USING site b WHERE a.site = b.site AND a.ctid > b.ctid;
DELETE FROM part;
SELECT schemaver.reconcile();
SELECT schemaver.verify(deep => true);
SELECT * FROM public.columns ORDER BY 1, 2;
SELECT indexdef FROM pg_indexes WHERE tablename IN ('site', 'part') ORDER BY indexname;
SELECT conname, contype FROM pg_constraint WHERE conrelid IN ('site'::regclass, 'part'::regclass) ORDER BY 1;

-- A script that deletes duplicates tells that older versions write them.
SELECT schemaver.apply('CREATE TABLE seen (person int NOT NULL, post int NOT NULL, at int)', '4.0.0');
INSERT INTO seen VALUES (1, 1, 1), (1, 2, 1), (1, 2, 2);
SELECT schemaver.register('4.0.0');
SELECT schemaver.apply($$
	DELETE FROM seen AS a USING (SELECT max(at) AS at, person, post FROM seen GROUP BY 2, 3) AS b
	WHERE a.person = b.person AND a.post = b.post AND a.at < b.at;
	ALTER TABLE seen ADD PRIMARY KEY (person, post);
$$, '5.0.0');
SET schemaver.plan_lock_limit = 0;
SELECT statement, effect FROM schemaver.plan($$
	DO $do$ BEGIN DELETE FROM seen AS a WHERE EXISTS (SELECT FROM seen AS b
		WHERE a.person = b.person AND a.post = b.post AND a.at < b.at); END $do$;
	CREATE UNIQUE INDEX ON seen (post, lower(person::text));
$$, '5.0.0');
SET schemaver.inline_pages = 0;
SELECT schemaver.apply($$
	WITH b AS (SELECT max(at) AS at, person, post FROM seen GROUP BY 2, 3)
	DELETE FROM seen AS a USING b WHERE a.person = b.person AND a.post = b.post AND a.at < b.at;
	ALTER TABLE seen ADD UNIQUE (person, post);
$$, '5.0.0');
RESET schemaver.inline_pages;
-- other rows that go tell nothing of the kind; nor do duplicates elsewhere
SELECT schemaver.apply($$
	DELETE FROM seen WHERE at = 1;
	DELETE FROM site AS a USING site AS b WHERE a.site = b.site AND a.ctid > b.ctid;
	ALTER TABLE seen ADD UNIQUE (person, post);
$$, '5.0.0');
INSERT INTO seen VALUES (1, 2, 3);
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply($$
	ALTER TABLE seen DROP CONSTRAINT seen_person_post_key;
	DELETE FROM seen AS a USING seen AS b WHERE a.person = b.person AND a.at < b.at;
	CREATE UNIQUE INDEX ON seen (person);
$$, '6.0.0');
INSERT INTO seen VALUES (1, 7, 4);
SELECT * FROM seen ORDER BY at;
SELECT schemaver.register('6.0.0');
INSERT INTO seen VALUES (1, 8, 5);

-- a key over a function that nobody has declared to be immutable, but is: its
-- body stands in its place, though not in messages
SET search_path = key;
SELECT schemaver.apply($$
	CREATE FUNCTION plain_spelling(text) RETURNS text LANGUAGE sql
		AS 'SELECT lower($1)';
	CREATE TABLE term (id int, spelling text);
	CREATE UNIQUE INDEX term_plain ON term (plain_spelling(spelling));
$$, '7.0.0');
SELECT schemaver.register('7.0.0');
INSERT INTO term VALUES (1, 'Ant');
SELECT schemaver.apply('DROP INDEX term_plain', '8.0.0');
INSERT INTO term VALUES (2, 'ANT')
	ON CONFLICT (plain_spelling(spelling)) DO UPDATE SET id = 3 RETURNING id;
INSERT INTO term VALUES (2, 'ANT');
SELECT schemaver.register('8.0.0');
INSERT INTO term VALUES (2, 'ANT');
SELECT schemaver.apply($$
	DELETE FROM term WHERE id = 2;
	CREATE UNIQUE INDEX term_plain ON term (plain_spelling(spelling));
$$, '9.0.0');
SELECT pg_get_indexdef('key.term_plain'::regclass);
SELECT schemaver.apply($$
	-- schemaver: up term.id = id + random()::int
	ALTER TABLE term ALTER id TYPE bigint;
$$, '10.0.0');
\c :home
DROP DATABASE sv_key;
DROP ROLE sv_key_app;
