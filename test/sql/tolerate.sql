--
-- tolerate.c: a generated column that the newest version has dropped fails for
-- those only who know it
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_tolerate;
\c regression_tolerate
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
RESET client_min_messages;
\set VERBOSITY terse

CREATE FUNCTION generated(relation regclass)
RETURNS TABLE (name text, demanded boolean, expression text) LANGUAGE sql AS $$
	SELECT attname::text, attnotnull, pg_get_expr(adbin, adrelid)
	FROM pg_attribute JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE attrelid = relation AND attgenerated = 's'
	ORDER BY attnum
$$;
CREATE FUNCTION size(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF $1 = 'no' THEN
		RAISE 'no size';
	END IF;
	RETURN length($1);
END $$;
CREATE FUNCTION next(text) RETURNS int LANGUAGE sql IMMUTABLE
	AS 'SELECT $1::int + 1';
CREATE DOMAIN short AS varchar(2);

--
-- one table, two migrations
--
CREATE TABLE item (id int PRIMARY KEY, code text, part int DEFAULT 1,
	number int GENERATED ALWAYS AS (code::int) STORED NOT NULL
		CHECK (number > 0),
	label varchar(3) GENERATED ALWAYS AS (code) STORED,
	tag short GENERATED ALWAYS AS (code) STORED,
	size int GENERATED ALWAYS AS (size(code)) STORED,
	next int GENERATED ALWAYS AS (next(code)) STORED,
	shown text GENERATED ALWAYS AS (lower(code || '!')) STORED,
	rate int GENERATED ALWAYS AS (100 / part) STORED);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
INSERT INTO item (id, code) VALUES (1, '12');
PREPARE add (int, text) AS INSERT INTO item (id, code) VALUES ($1, $2);
EXECUTE add(2, 'x');
SELECT schemaver.apply('ALTER TABLE item DROP number, DROP label, DROP tag,
	DROP size, DROP next, DROP shown', '1.1.0');
SELECT schemaver.apply('ALTER TABLE item DROP rate', '1.2.0');
SELECT * FROM generated('public.item');

-- the newest version writes what it likes, registered or not
SELECT schemaver.unregister();
INSERT INTO item (id, code) VALUES (2, 'x'), (3, 'no'), (4, 'long'), (5, NULL),
	(6, '-7');
COPY item (id, code, part) FROM stdin;
7	2147483647	0
\.
UPDATE item SET code = 'twelve' WHERE id = 1;
SELECT schemaver.register('1.2.0');
INSERT INTO item VALUES (8, 'y', 0) ON CONFLICT (id) DO UPDATE SET code = 'z';
INSERT INTO item VALUES (8, 'y', 0) ON CONFLICT (id) DO UPDATE SET code = 'z';
SELECT * FROM item ORDER BY id;
-- one that has some of the columns
SELECT schemaver.register('1.1.0');
INSERT INTO item VALUES (9, 'y', 4);
INSERT INTO item VALUES (10, 'y', 0);
UPDATE item SET part = 0 WHERE id = 9;
SELECT * FROM item ORDER BY id;
-- one that has them all is held to what they say, as before
SELECT schemaver.register('1.0.0');
SELECT * FROM item ORDER BY id;
EXECUTE add(20, 'x');
EXECUTE add(20, 'no');
EXECUTE add(20, '1234');
EXECUTE add(20, '123');
EXECUTE add(20, NULL);
EXECUTE add(20, '-1');
EXECUTE add(20, '20');
INSERT INTO item (id, code, part) VALUES (21, '21', 0);
INSERT INTO item (id, code, number) VALUES (21, '21', 21);
UPDATE item SET code = 'x' WHERE id = 20;
UPDATE item SET part = 3 WHERE id = 2;
UPDATE item SET code = '3' WHERE id = 3;
SELECT * FROM item WHERE id IN (2, 3, 20) ORDER BY id;
SELECT version, finding, detail FROM schemaver.verify();

-- and back: what failed stays NULL until it is computed again
SELECT schemaver.unregister();
SET client_min_messages = error;
SELECT schemaver.rollback('1.1.0');
SELECT * FROM generated('public.item');
INSERT INTO item (id, code) VALUES (30, 'x');
INSERT INTO item (id, code, part) VALUES (31, 'x', 0);
SELECT schemaver.rollback('1.0.0');
SELECT * FROM generated('public.item');
SELECT * FROM item ORDER BY id;
INSERT INTO item (id, code) VALUES (31, 'x');
INSERT INTO item (id, code) VALUES (31, 'long');
SELECT version, severity, finding, detail, hint FROM schemaver.verify();
UPDATE public.item SET code = id WHERE number IS NULL OR number < 0;
SELECT count(*) FROM item WHERE number IS NULL;
SELECT schemaver.apply('ALTER TABLE item DROP number, DROP label, DROP tag,
	DROP size, DROP next, DROP shown', '1.1.0');
INSERT INTO item (id, code) VALUES (32, 'x');
SELECT * FROM generated('public.item');
SELECT schemaver.retire('1.0.0');
SELECT * FROM generated('public.item');
SELECT refobjid::regprocedure FROM pg_depend
WHERE refobjid = 'schemaver.tolerate'::regproc;
RESET client_min_messages;

--
-- what only a newer version has is in nobody's way after a rollback
--
SELECT schemaver.apply('ALTER TABLE item ADD half int
	GENERATED ALWAYS AS (10 / (part - 7)) STORED NOT NULL', '1.3.0');
SELECT schemaver.register('1.3.0');
SELECT schemaver.rollback('1.1.0');
SELECT schemaver.unregister();
INSERT INTO item (id, part) VALUES (40, 7), (41, 8), (42, NULL);
SELECT schemaver.register('1.3.0');
INSERT INTO item (id, part) VALUES (43, 7);
INSERT INTO item (id, part) VALUES (43, NULL);
INSERT INTO item (id, part) VALUES (43, 9);
SELECT id, part, half FROM item WHERE id >= 40 ORDER BY id;
SELECT schemaver.unregister();
-- forward again
SELECT schemaver.apply('ALTER TABLE item ADD half int
	GENERATED ALWAYS AS (10 / (part - 7)) STORED NOT NULL', '1.3.0');
SELECT * FROM generated('public.item');
SELECT version, severity, finding, detail FROM schemaver.verify();
INSERT INTO item (id, part) VALUES (44, NULL);

--
-- partitions, whose columns have other numbers
--
CREATE SCHEMA parted;
SELECT schemaver.create_product('parted', '{parted}');
CREATE TABLE parted.t (id int, code text,
	number int GENERATED ALWAYS AS (code::int) STORED,
	tag short GENERATED ALWAYS AS (code) STORED) PARTITION BY RANGE (id);
CREATE TABLE parted.a PARTITION OF parted.t FOR VALUES FROM (0) TO (10);
CREATE TABLE parted.b (gone int, tag short GENERATED ALWAYS AS (code) STORED,
	number int GENERATED ALWAYS AS (code::int) STORED, code text, id int);
ALTER TABLE parted.b DROP gone;
ALTER TABLE parted.t ATTACH PARTITION parted.b FOR VALUES FROM (10) TO (20);
SELECT schemaver.baseline('1.0.0', 'parted');
SELECT schemaver.register('1.0.0', 'parted');
SELECT schemaver.apply('ALTER TABLE parted.t DROP number, DROP tag', '1.1.0',
	'parted');
INSERT INTO t VALUES (1, 'x');
INSERT INTO t VALUES (11, 'x');
INSERT INTO t VALUES (1, '1'), (11, '11');
SELECT schemaver.unregister();
SET client_min_messages = error;
CREATE TABLE parted.c (id int, code text);
INSERT INTO parted.c VALUES (21, 'long');
ALTER TABLE parted.t ATTACH PARTITION parted.c FOR VALUES FROM (20) TO (30);
CREATE TABLE parted.d PARTITION OF parted.t DEFAULT;
RESET client_min_messages;
INSERT INTO parted.t VALUES (2, 'x'), (12, 'xyz'), (22, 'x'), (32, 'xyz');
UPDATE parted.t SET id = id + 10 WHERE code LIKE 'x%';
UPDATE parted.t SET code = 'yy' WHERE id = 1;
SELECT tableoid::regclass AS part, id, code, schemaver_retained_number AS number,
	schemaver_retained_tag AS tag
FROM parted.t ORDER BY id, code;
SELECT relid, g.* FROM pg_partition_tree('parted.t'), generated(relid) AS g;
SELECT schemaver.register('1.0.0', 'parted');
UPDATE t SET code = 'x' WHERE id = 11;
UPDATE t SET code = 'x' WHERE id = 32;
SELECT schemaver.unregister();
SELECT schemaver.rollback('1.0.0', 'parted');
SELECT relid, g.* FROM pg_partition_tree('parted.t'), generated(relid) AS g;

--
-- a child table, and a function that stands in the way of nobody meanwhile
--
CREATE SCHEMA heir;
SELECT schemaver.create_product('heir', '{heir}');
CREATE FUNCTION heir.number(text) RETURNS int LANGUAGE sql IMMUTABLE
	AS 'SELECT $1::int';
CREATE TABLE heir.t (id int, code text,
	number int GENERATED ALWAYS AS (heir.number(code)) STORED);
CREATE TABLE heir.c (more int) INHERITS (heir.t);
CREATE VIEW needs AS SELECT classid::regclass AS class, deptype, count(*)
FROM pg_depend JOIN pg_proc AS p ON refclassid = 'pg_proc'::regclass
	AND refobjid = p.oid
WHERE proname IN ('number', 'tolerate') GROUP BY 1, 2;
SELECT schemaver.baseline('1.0.0', 'heir');
SELECT schemaver.register('1.0.0', 'heir');
SELECT schemaver.apply('ALTER TABLE heir.t DROP number;
DROP FUNCTION heir.number(text)', '1.1.0', 'heir');
INSERT INTO c (id, code) VALUES (1, 'x');
SELECT schemaver.unregister();
INSERT INTO heir.t VALUES (1, 'x');
INSERT INTO heir.c (id, code) VALUES (2, 'x'), (3, '3');
SELECT tableoid::regclass, * FROM heir.t ORDER BY id;
SELECT * FROM needs ORDER BY 1, 2;
SELECT schemaver.rollback('1.0.0', 'heir');
SELECT * FROM needs ORDER BY 1, 2;

--
-- what it is made of changes, goes, or has others made of it
--
CREATE SCHEMA made;
SELECT schemaver.create_product('made', '{made}');
CREATE TABLE made.t (id int PRIMARY KEY, code varchar(10),
	number int GENERATED ALWAYS AS (code::int) STORED,
	size int GENERATED ALWAYS AS (100 / public.size(code)) STORED, note text);
SELECT schemaver.baseline('1.0.0', 'made');
SELECT schemaver.register('1.0.0', 'made');
SELECT schemaver.apply('-- schemaver: down t.note = ''number '' || number
ALTER TABLE made.t DROP note', '1.1.0', 'made');
SELECT schemaver.register('1.1.0', 'made');
SELECT schemaver.apply('ALTER TABLE made.t DROP number, DROP size', '1.2.0',
	'made');
SELECT schemaver.register('1.2.0', 'made');
INSERT INTO t (id, code) VALUES (1, 'x'), (2, '2'), (3, '');
SELECT schemaver.apply('ALTER TABLE made.t ALTER code TYPE varchar(20)',
	'1.3.0', 'made');
SELECT schemaver.register('1.3.0', 'made');
SELECT schemaver.apply('
-- schemaver: down t.code = repeat(''z'', code)
ALTER TABLE made.t ALTER code TYPE int USING length(code)', '1.4.0', 'made');
SELECT schemaver.register('1.4.0', 'made');
INSERT INTO t (id, code) VALUES (4, 0), (5, 1), (6, NULL);
SELECT schemaver.apply('ALTER TABLE made.t DROP code', '1.5.0', 'made');
SELECT schemaver.register('1.5.0', 'made');
INSERT INTO t VALUES (7);
SELECT schemaver.register('1.0.0', 'made');
SELECT * FROM t ORDER BY id;
INSERT INTO t (id, code) VALUES (8, 'x');
INSERT INTO t (id, code) VALUES (8, '8');
SELECT schemaver.unregister();
SET client_min_messages = error;
SELECT schemaver.rollback('1.2.0', 'made');
SELECT * FROM generated('made.t');
INSERT INTO made.t (id, code) VALUES (9, 'x');
SELECT schemaver.rollback('1.0.0', 'made');
SELECT * FROM generated('made.t');
RESET client_min_messages;
SELECT id, code, number, size, note
FROM made.t ORDER BY id;

--
-- the function by itself is of no use
--
SELECT schemaver.tolerate(1, 0, 'n'), schemaver.tolerate(NULL::text, 0, 'n');
SELECT schemaver.tolerate(10 / part, 0, 'n') FROM item WHERE part IN (0, 3)
GROUP BY part ORDER BY part;
SELECT schemaver.tolerate(max(part), 0, NULL) > 0 FROM item;
SELECT schemaver.tolerate(10 / (part - part), 0, NULL) FROM item;

\c :home
DROP DATABASE regression_tolerate;
