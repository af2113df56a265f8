--
-- Directives that are wrong, and expressions that fail for some row
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_fault;
\c sv_fault
CREATE EXTENSION schemaver;
\set VERBOSITY default
CREATE TABLE "My.Tab""le" ("I.d" int PRIMARY KEY, "a.b""c" int, name text,
	"Ä" varchar(10));
INSERT INTO "My.Tab""le" VALUES (1, 10, 'x', 'q'), (2, 0, 'y', 'r');
CREATE TABLE nokey (a int, b int);
INSERT INTO nokey VALUES (1, 1), (0, 0);
CREATE TABLE parted (a int, b int, c int, PRIMARY KEY (b, a)) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE p2 (c int, b int NOT NULL, a int NOT NULL);
ALTER TABLE parted ATTACH PARTITION p2 FOR VALUES IN (2);
INSERT INTO parted VALUES (1, 1, 1), (2, 1, 1), (2, 2, 0);
CREATE TABLE other (a int);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');

-- what does not exist
SELECT schemaver.apply('-- schemaver: up nosuch.a = b
ALTER TABLE nokey ADD c int');
SELECT schemaver.apply('-- schemaver: down nosuch.a = b
ALTER TABLE nokey ADD c int');
SELECT schemaver.apply('-- schemaver: up nokey.c = b
ALTER TABLE nokey ADD d int');
SELECT schemaver.apply('-- schemaver: down nokey.c = b
ALTER TABLE nokey ADD c int');
SELECT schemaver.apply('-- schemaver: up nokey.c = other.a
ALTER TABLE nokey ADD c int');
SELECT schemaver.apply('-- schemaver: up nokey.c = c
ALTER TABLE nokey ADD c int');

-- what is no expression over the row
CREATE PROCEDURE try(expression text) LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM schemaver.apply(format('-- schemaver: up nokey.b = %s
-- schemaver: down nokey.b = b
UPDATE nokey SET b = 1', expression), product => 'shop');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RAISE NOTICE '%: %', SQLSTATE, concat_ws(' / ', SQLERRM, nullif(detail, ''));
END $$;
CALL try('b +');
CALL try('b, a');
CALL try('b FROM nokey');
CALL try('b * random()');
CALL try('(SELECT max(b) FROM nokey)');
CALL try('max(b)');
CALL try('row_number() OVER ()');
CALL try('generate_series(1, b)');
CALL try('$1');
CALL try('nokey');
CALL try('xmin::text::int');
CALL try('''x''::text');
CALL try('DEFAULT');

-- what fails for a row: it is named, and nothing is left
SELECT schemaver.apply('-- schemaver: up nokey.c = 100 / b
ALTER TABLE nokey ADD c int');
SELECT schemaver.apply('-- schemaver: up "My.Tab""le".c = 100 / "a.b""c"
ALTER TABLE "My.Tab""le" ADD c int');
SELECT schemaver.apply('-- schemaver: down "My.Tab""le"."a.b""c" = 2
ALTER TABLE "My.Tab""le" ALTER "a.b""c" TYPE bigint USING 100 / "a.b""c"');
SELECT schemaver.apply('-- schemaver: down "My.Tab""le"."I.d" = 2
ALTER TABLE "My.Tab""le" ALTER "I.d" TYPE bigint USING 100 / ("I.d" - 2)');
SELECT schemaver.apply('ALTER TABLE "My.Tab""le" ALTER name TYPE int USING name::int');
SELECT schemaver.apply('-- schemaver: up parted.d = 100 / c
ALTER TABLE parted ADD d int');
SELECT schemaver.apply('-- schemaver: up "My.Tab""le"."Ä" = (1 / "a.b""c")::text
-- schemaver: down "My.Tab""le"."Ä" = "Ä"
ALTER TABLE "My.Tab""le" ALTER "Ä" TYPE text');
SELECT relname, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
	WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p')
	ORDER BY relname, attnum;
SELECT object, finding FROM schemaver.verify() WHERE finding <> 'changed by hand';

-- names that must be quoted; "up" is what fills a column of another type
SELECT schemaver.apply('-- schemaver: up "My.Tab""le"."a.b""c" = "a.b""c" * 10
-- schemaver: down public."My.Tab""le"."a.b""c" = "a.b""c" / 10
-- schemaver: up public."My.Tab""le"."Ä" = upper("Ä")
-- schemaver: down "My.Tab""le"."Ä" = lower("Ä")
UPDATE "My.Tab""le" SET "a.b""c" = "a.b""c" * 10;
ALTER TABLE "My.Tab""le" ALTER "Ä" TYPE text', '1.1.0');
TABLE "My.Tab""le" ORDER BY 1;
INSERT INTO "My.Tab""le" VALUES (3, 3, 'z', 'ü');
SELECT schemaver.register('1.1.0');
TABLE "My.Tab""le" ORDER BY "I.d";
INSERT INTO "My.Tab""le" ("I.d", "a.b""c") VALUES (4, 40);
UPDATE "My.Tab""le" SET "Ä" = 'TOO LONG FOR IT' WHERE "I.d" = 4;
SELECT schemaver.apply('ALTER TABLE "My.Tab""le" ALTER "a.b""c" TYPE bigint, ALTER "I.d" TYPE bigint', '1.2.0');
SELECT schemaver.register('1.2.0');
INSERT INTO "My.Tab""le" ("I.d", "a.b""c") VALUES (5, 10000000000);
INSERT INTO "My.Tab""le" ("I.d", "a.b""c") VALUES (50000000000, 10000);
INSERT INTO "My.Tab""le" ("I.d", "a.b""c") VALUES (6, 10000);
SELECT schemaver.register('1.0.0');
TABLE "My.Tab""le" ORDER BY 1;
SELECT schemaver.unregister();
SELECT object, finding FROM schemaver.verify() WHERE finding <> 'changed by hand';
SELECT schemaver.rollback('1.0.0');
TABLE "My.Tab""le" ORDER BY 1;

-- a chain of four versions, and what is left of it
CREATE SCHEMA chain;
SELECT schemaver.create_product('chain', '{chain}');
CREATE TABLE chain.c (v smallint, note text);
SELECT schemaver.baseline('1.0.0', 'chain');
SELECT schemaver.register('1.0.0', 'chain');
INSERT INTO c VALUES (1, 'a'), (2, 'b');
SELECT schemaver.apply('ALTER TABLE c ALTER v TYPE int', '1.1.0', 'chain');
SELECT schemaver.register('1.1.0', 'chain');
SELECT schemaver.apply('ALTER TABLE c ALTER v TYPE bigint', '1.2.0', 'chain');
SELECT schemaver.register('1.2.0', 'chain');
SELECT schemaver.apply('ALTER TABLE c ALTER v TYPE numeric(12,3)', '1.3.0', 'chain');
SELECT schemaver.register('1.3.0', 'chain');
UPDATE c SET v = 1.234 WHERE note = 'a';
UPDATE c SET v = 40000 WHERE note = 'b';
SELECT schemaver.register('1.1.0', 'chain');
UPDATE c SET note = 'A' WHERE note = 'a';
UPDATE c SET v = 30000 WHERE note = 'b';
UPDATE c SET v = 40000 WHERE note = 'b';
SELECT schemaver.register('1.0.0', 'chain');
SELECT * FROM c ORDER BY v;
SELECT schemaver.register('1.3.0', 'chain');
SELECT * FROM c ORDER BY v;
SELECT schemaver.retire('1.1.0', 'chain');
SELECT schemaver.register('1.2.0', 'chain');
UPDATE c SET v = 3000000000 WHERE note = 'b';
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_fault;
