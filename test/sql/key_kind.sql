--
-- Keys of every kind that a script drops hold for those alone who know them:
-- exclusion constraints, NULLS NOT DISTINCT, with a predicate, on partitioned
-- tables and on those with heirs, over columns that go along with them
--
-- In a database of its own, since a product cannot be dropped.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_key_kind;
ALTER DATABASE sv_key_kind SET schemaver.job_workers = 0;
\c sv_key_kind
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE EXTENSION btree_gist;
CREATE SCHEMA kind;
CREATE VIEW public.keys AS SELECT indrelid::regclass AS relation,
	indexrelid::regclass AS key, pg_get_indexdef(indexrelid) AS definition
	FROM pg_index JOIN pg_class c ON c.oid = indrelid
	WHERE relnamespace = 'kind'::regnamespace AND NOT indisprimary ORDER BY 1, 2;
CREATE VIEW public.hidden AS SELECT attrelid::regclass AS relation, attname,
	atttypid::regtype FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
	WHERE relnamespace = 'kind'::regnamespace AND relkind IN ('r', 'p')
	AND attname ~ '^schemaver_' ORDER BY 1, 2;
SET search_path = kind;
SELECT schemaver.create_product('kind', ARRAY['kind']);
\pset format unaligned
\pset tuples_only on

CREATE TABLE room (id int PRIMARY KEY, n int, at int4range,
	CONSTRAINT room_once EXCLUDE USING gist (n WITH =, at WITH &&) WHERE (n > 0),
	CONSTRAINT room_late EXCLUDE USING gist (at WITH =, n WITH =) DEFERRABLE,
	CONSTRAINT room_circle EXCLUDE USING gist (circle(point(n, lower(at)), 0.4) WITH &&));
CREATE TABLE word (id int PRIMARY KEY, a int, b text,
	CONSTRAINT word_ab UNIQUE NULLS NOT DISTINCT (a, b));
CREATE UNIQUE INDEX word_b ON word (b) NULLS NOT DISTINCT WHERE a > 100;
CREATE TABLE event (id int, at int, v text, CONSTRAINT event_key UNIQUE (at, id))
	PARTITION BY RANGE (at);
CREATE TABLE event_0 PARTITION OF event FOR VALUES FROM (0) TO (10);
CREATE TABLE event_1 (v text, at int, id int);
ALTER TABLE event ATTACH PARTITION event_1 FOR VALUES FROM (10) TO (20);
CREATE UNIQUE INDEX event_v ON event (at, lower(v));
CREATE TABLE parent (id int PRIMARY KEY, c text CONSTRAINT parent_c UNIQUE);
CREATE TABLE heir (x int) INHERITS (parent);
CREATE TABLE mail (id int PRIMARY KEY, address text, gone bool NOT NULL DEFAULT false);
CREATE UNIQUE INDEX mail_address ON mail (address) WHERE NOT gone;
CREATE UNIQUE INDEX mail_id ON mail ((id + CASE WHEN gone THEN 1000 ELSE 0 END));
CREATE TABLE pair (id int PRIMARY KEY, a int, b text DEFAULT 'x',
	CONSTRAINT pair_ab UNIQUE NULLS NOT DISTINCT (a, b));
INSERT INTO room VALUES (1, 1, '[1,5)'), (2, 2, '[1,5)');
INSERT INTO word VALUES (1, 1, 'x'), (2, NULL, 'x'), (3, NULL, NULL);
INSERT INTO event VALUES (1, 1, 'x'), (1, 11, 'x');
INSERT INTO parent VALUES (1, 'x');
INSERT INTO heir VALUES (2, 'x');
INSERT INTO mail VALUES (1, 'x', false), (2, 'y', true);
INSERT INTO pair VALUES (1, 1, NULL);
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
\set script 'ALTER TABLE room DROP CONSTRAINT room_once, DROP CONSTRAINT room_late, DROP CONSTRAINT room_circle; ALTER TABLE word DROP CONSTRAINT word_ab; DROP INDEX word_b; ALTER TABLE event DROP CONSTRAINT event_key; DROP INDEX event_v; ALTER TABLE parent DROP CONSTRAINT parent_c; ALTER TABLE mail DROP gone; ALTER TABLE pair DROP b'
SELECT schemaver.apply(:'script');
TABLE public.keys;
TABLE public.hidden;

-- the newest version is not held to them
SELECT schemaver.register('1.1.0');
INSERT INTO room VALUES (3, 1, '[2,6)'), (4, 3, '[1,2)'), (5, 3, '[1,2)');
INSERT INTO word VALUES (4, 1, 'x'), (5, NULL, 'x'), (6, NULL, NULL), (7, NULL, NULL),
	(8, 200, 'q'), (9, 201, 'q'), (10, 1, 'q'), (11, 2, 'q');
UPDATE word SET a = 300 WHERE b = 'q';
INSERT INTO event VALUES (1, 1, 'X'), (2, 2, 'z'), (2, 2, 'Z'), (1, 11, 'x');
UPDATE event SET at = 11 WHERE at = 1;
INSERT INTO parent VALUES (3, 'x');
INSERT INTO heir VALUES (4, 'x');
INSERT INTO mail VALUES (3, 'x'), (4, 'y'), (5, 'y'), (1002, 'z');
INSERT INTO pair VALUES (2, 1), (3, NULL), (4, NULL);
COPY word (id, a, b) FROM stdin;
12	1	x
13	1	x
\.
SELECT id, schemaver_retained_word_ab = 0, schemaver_retained_word_b FROM kind.word ORDER BY id;
SELECT id, at, v, schemaver_retained_event_key, schemaver_retained_event_v FROM kind.event ORDER BY 2, 1, 3, 4, 5;
SELECT id, address, schemaver_retained_mail_address FROM kind.mail ORDER BY id;
SELECT schemaver.verify(deep => true);

-- the older one is, and names them
SELECT schemaver.register('1.0.0');
INSERT INTO room VALUES (6, 3, '[1,2)');
INSERT INTO room VALUES (6, 3, '[1,3)') ON CONFLICT DO NOTHING;
INSERT INTO room VALUES (6, 3, '[1,3)') ON CONFLICT ON CONSTRAINT room_once DO NOTHING;
INSERT INTO room VALUES (6, 3, '[1,3)') ON CONFLICT ON CONSTRAINT room_circle DO NOTHING;
UPDATE room SET n = 7 WHERE id = 5;
INSERT INTO room VALUES (6, 7, '[1,9)');
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO room VALUES (7, -1, '[1,9)');
INSERT INTO room VALUES (8, -1, '[1,9)') ON CONFLICT ON CONSTRAINT room_circle DO NOTHING;
UPDATE room SET n = -2, at = '[1,9)' WHERE id = 2;
UPDATE room SET n = 8, at = '[1,9)' WHERE id = 7;
COMMIT;
INSERT INTO word VALUES (20, NULL, 'x');
INSERT INTO word VALUES (20, NULL, 'x') ON CONFLICT (a, b) DO UPDATE SET id = 20 RETURNING *;
INSERT INTO word VALUES (21, NULL, NULL) ON CONFLICT ON CONSTRAINT word_ab DO UPDATE SET id = 21 RETURNING *;
INSERT INTO word VALUES (22, 400, 'q') ON CONFLICT (b) WHERE a > 100 DO UPDATE SET a = 202 RETURNING a, b;
UPDATE word SET b = 'new' WHERE id = 13;
INSERT INTO word VALUES (23, 1, 'new');
INSERT INTO event VALUES (2, 2, 'zz') ON CONFLICT (id, at) DO UPDATE SET v = 'zzz' RETURNING *;
INSERT INTO event VALUES (1, 11, 'zz');
INSERT INTO event VALUES (3, 11, 'x') ON CONFLICT (at, lower(v)) DO NOTHING;
UPDATE event SET at = 12, id = 12, v = '12' WHERE id = 2 AND v = 'Z';
INSERT INTO event VALUES (12, 12);
INSERT INTO parent VALUES (5, 'x') ON CONFLICT (c) DO NOTHING;
INSERT INTO parent VALUES (5, 'x');
INSERT INTO mail VALUES (6, 'x');
INSERT INTO mail VALUES (6, 'y') ON CONFLICT (address) WHERE NOT gone DO NOTHING;
INSERT INTO mail VALUES (7, 'x', true), (8, 'y', true);
UPDATE mail SET gone = false WHERE id = 7;
INSERT INTO pair VALUES (5, 1, NULL);
INSERT INTO pair VALUES (5, NULL, NULL) ON CONFLICT (a, b) DO NOTHING;
SELECT schemaver.unregister();

-- back, and on again
SELECT schemaver.rollback('1.0.0');
TABLE public.keys;
INSERT INTO kind.word VALUES (30, NULL, 'x');
SELECT (v).object, (v).detail, (v).hint FROM schemaver.verify() AS v;
DELETE FROM room WHERE id > 2;
DELETE FROM word WHERE id > 3;
DELETE FROM event;
DELETE FROM parent;
DELETE FROM mail;
DELETE FROM pair;
SELECT schemaver.apply(:'script', '1.1.0');
SELECT schemaver.register('1.1.0');
INSERT INTO room VALUES (3, 1, '[2,6)'), (4, 3, '[1,2)'), (5, 3, '[1,2)');
INSERT INTO event VALUES (1, 1, 'X'), (2, 2, 'z'), (2, 2, 'Z');
INSERT INTO pair VALUES (2, 1), (3, 1);
SELECT schemaver.register('1.0.0');
INSERT INTO room VALUES (6, 3, '[1,2)');
INSERT INTO event VALUES (2, 2, 'y');
INSERT INTO pair VALUES (4, 1, NULL);
SELECT schemaver.unregister();
DELETE FROM room;
DELETE FROM event;
DELETE FROM pair;

-- given up, all is as it was
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.retire('1.1.0');
TABLE public.keys;
TABLE public.hidden;

-- what only the newer version has does not hold those who went back
\set script 'ALTER TABLE mail ADD act bool NOT NULL DEFAULT true; CREATE UNIQUE INDEX mail_act ON mail (address) WHERE act; ALTER TABLE room ADD CONSTRAINT room_id EXCLUDE USING gist (n WITH =); ALTER TABLE event ADD CONSTRAINT event_at UNIQUE (at)'
SELECT schemaver.apply(:'script', '2.0.0');
SELECT schemaver.register('2.0.0');
INSERT INTO mail VALUES (1, 'x');
INSERT INTO room VALUES (1, 1, '[1,2)');
INSERT INTO event VALUES (1, 1, '1');
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.register('1.0.0');
INSERT INTO mail VALUES (2, 'x', true);
INSERT INTO room VALUES (2, 1, '[2,3)');
INSERT INTO event VALUES (2, 1, '2');
SELECT schemaver.register('2.0.0');
INSERT INTO mail VALUES (3, 'x', true);
INSERT INTO room VALUES (3, 1, '[3,4)');
INSERT INTO event VALUES (3, 1, '3');
SELECT schemaver.unregister();
SELECT schemaver.apply(:'script', '2.0.0');
DELETE FROM mail WHERE id = 2;
DELETE FROM room WHERE id = 2;
DELETE FROM event WHERE id = 2;
SELECT schemaver.apply(:'script', '2.0.0');
SELECT * FROM public.keys WHERE key::text ~ 'act|room_id|event_at|_at_key';
SELECT schemaver.retire('1.0.0');

-- large tables: jobs build the indexes, and what stays held until then is said
SET schemaver.inline_pages = 0;
SELECT schemaver.apply('ALTER TABLE room DROP CONSTRAINT room_once, DROP CONSTRAINT room_late, DROP CONSTRAINT room_id; DROP INDEX word_b; ALTER TABLE event DROP CONSTRAINT event_key; ALTER TABLE parent DROP CONSTRAINT parent_c', '3.0.0');
SELECT kind, target FROM schemaver.jobs WHERE state = 'queued';
INSERT INTO room VALUES (10, 1, '[0,9)');
CALL schemaver.run_jobs();
SELECT * FROM public.keys WHERE key::text ~ 'schemaver';
SELECT condeferrable, conname FROM pg_constraint WHERE conname ~ 'room_late' ORDER BY 2;
SELECT schemaver.register('3.0.0');
INSERT INTO room VALUES (11, 10, '[1,20)'), (12, 10, '[5,20)') RETURNING id;
DELETE FROM room WHERE id > 2;
SELECT schemaver.unregister();
SELECT schemaver.verify(deep => true);
SELECT schemaver.retire('2.0.0');
TABLE public.keys;
TABLE public.hidden;
-- what a key computes, or asks of rows, may fail for what the newest writes
RESET schemaver.inline_pages;
SELECT schemaver.apply($$
	CREATE TABLE doc (id int PRIMARY KEY, d jsonb, code text,
		n int GENERATED ALWAYS AS (code::int) STORED CONSTRAINT doc_n UNIQUE);
	CREATE UNIQUE INDEX doc_x ON doc (((d->>'x')::int));
	CREATE UNIQUE INDEX doc_y ON doc (((d->>'y')::int)) NULLS NOT DISTINCT
		WHERE 100 / (d->>'z')::int > 1;
	CREATE UNIQUE INDEX doc_1 ON doc ((n + 1)) WHERE n > 5;
$$, '4.0.0');
SELECT schemaver.retire('3.0.0');
INSERT INTO doc VALUES (1, '{"x": "1", "y": "1", "z": "1"}', '1');
SELECT schemaver.register('4.0.0');
SELECT schemaver.apply('DROP INDEX doc_x, doc_y; ALTER TABLE doc DROP n', '5.0.0');
SELECT * FROM public.keys WHERE relation = 'kind.doc'::regclass;
SELECT schemaver.register('5.0.0');
INSERT INTO doc SELECT i, '{"x": "a", "y": "b"}', 'c' FROM generate_series(11, 13) AS i;
INSERT INTO doc SELECT i, '{"x": "1", "y": "2", "z": "2"}', '7' FROM generate_series(21, 22) AS i;
INSERT INTO doc SELECT i, '{"x": "7", "y": "9", "z": "0"}', '2147483647' FROM generate_series(31, 32) AS i;
UPDATE doc SET d = '{"x": "b"}' WHERE id = 13;
SELECT id, schemaver_retained_doc_x AS x, schemaver_retained_doc_y AS y,
	schemaver_retained_doc_n AS n, schemaver_retained_doc_1 AS n1 FROM kind.doc ORDER BY id;
SELECT schemaver.register('4.0.0');
INSERT INTO doc VALUES (50, '{"x": "7"}');
INSERT INTO doc VALUES (50, '{"x": "7"}') ON CONFLICT (((d->>'x')::int)) DO UPDATE SET id = 77 RETURNING id;
INSERT INTO doc VALUES (50, '{"x": "k"}');
INSERT INTO doc VALUES (50, '{"x": "8", "y": "2", "z": "3"}');
INSERT INTO doc VALUES (50, '{"x": "8", "y": "2", "z": "3"}')
	ON CONFLICT (((d->>'y')::int)) WHERE 100 / (d->>'z')::int > 1 DO UPDATE SET id = 78 RETURNING id;
INSERT INTO doc VALUES (50, NULL, '7') ON CONFLICT (n) DO NOTHING;
INSERT INTO doc VALUES (50, NULL, '7');
INSERT INTO doc VALUES (50, NULL, 'k');
SELECT schemaver.unregister();
SELECT schemaver.rollback('4.0.0');
DELETE FROM doc;
SELECT schemaver.retire('5.0.0');
SELECT * FROM public.keys WHERE relation = 'kind.doc'::regclass;
SELECT (v).finding, (v).detail FROM schemaver.verify(deep => true) AS v;

-- of two values a directive may make the same, for older keys
SELECT schemaver.apply($$
	CREATE TABLE lot (id int PRIMARY KEY, n int CONSTRAINT lot_n UNIQUE,
		s text CONSTRAINT lot_s UNIQUE, m int,
		CONSTRAINT lot_mn UNIQUE NULLS NOT DISTINCT (m, n), big int UNIQUE);
	CREATE UNIQUE INDEX lot_m ON lot (m, id);
$$, '6.0.0');
SELECT schemaver.retire('4.0.0');
INSERT INTO lot VALUES (1, 1, 'one', NULL, 1);
SELECT schemaver.register('6.0.0');
SELECT schemaver.apply($$
	-- schemaver: down lot.s = lower(s)
	-- schemaver: up lot.s = s
	-- schemaver: down lot.n = trunc(n)::int
	ALTER TABLE lot ALTER n TYPE numeric, ALTER m TYPE bigint, ALTER big TYPE bigint;
$$, '7.0.0');
SELECT * FROM public.keys WHERE relation = 'kind.lot'::regclass;
SELECT schemaver.register('7.0.0');
INSERT INTO lot (id, n, s, m, big) VALUES (2, 2.1, 'Two', 2, 2), (3, 2.2, 'two', 3, 3), (4, 2.3, 'TWO', 4, 4);
INSERT INTO lot (id, n, s) VALUES (5, 2.1, 'five');
INSERT INTO lot (id, n, s, m) VALUES (5, NULL, NULL, NULL), (6, NULL, NULL, NULL);
SELECT schemaver.register('6.0.0');
SELECT id, n, s, m FROM lot ORDER BY id;
INSERT INTO lot VALUES (7, 2, 'seven', 7, 7);
INSERT INTO lot VALUES (7, 7, 'two', 7, 7) ON CONFLICT (s) DO UPDATE SET m = 70 RETURNING id, n, s, m;
INSERT INTO lot VALUES (8, 1, 'eight', NULL, 8);
INSERT INTO lot VALUES (8, 8, 'eight', NULL, 8) RETURNING id;
SELECT schemaver.unregister();
SELECT schemaver.verify();
SELECT schemaver.rollback('6.0.0');
DELETE FROM lot;
SELECT schemaver.retire('7.0.0');
SELECT * FROM public.keys WHERE relation = 'kind.lot'::regclass;
SELECT (v).finding, (v).detail FROM schemaver.verify(deep => true) AS v;

-- a foreign key carries all duplicates along, for who has the key as well
SELECT schemaver.apply($$
	CREATE TABLE post (id int PRIMARY KEY);
	CREATE TABLE note (post int REFERENCES post ON UPDATE CASCADE, who int,
		CONSTRAINT note_once UNIQUE (post, who),
		CONSTRAINT note_null UNIQUE NULLS NOT DISTINCT (who, post));
$$, '8.0.0');
SELECT schemaver.retire('6.0.0');
SELECT schemaver.register('8.0.0');
INSERT INTO post VALUES (1), (2);
INSERT INTO note VALUES (1, 1), (2, 1);
SELECT schemaver.apply($$
	ALTER TABLE note DROP CONSTRAINT note_once, DROP CONSTRAINT note_null;
	INSERT INTO note VALUES (1, 1), (1, 1);
$$, '9.0.0');
UPDATE post SET id = 9 WHERE id = 1;
SELECT post, who, schemaver_retained_note_once, schemaver_retained_note_null = 0 FROM kind.note ORDER BY 1, 2, 3;
INSERT INTO note VALUES (9, 1);
DELETE FROM note WHERE post = 9;
INSERT INTO note VALUES (9, 1);
SELECT schemaver.unregister();
\c :home
DROP DATABASE sv_key_kind;
