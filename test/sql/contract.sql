--
-- Contracts: what a version expects stays what it was, whatever comes later
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_contract;
\c sv_contract
CREATE EXTENSION schemaver;

CREATE SCHEMA c;
SET search_path = c, public;
CREATE EXTENSION hstore SCHEMA c;
CREATE TYPE mood AS ENUM ('sad', 'it''s fine');
CREATE TYPE pair AS (a int, "B" text COLLATE "C");
CREATE DOMAIN small AS int DEFAULT 3 NOT NULL CHECK (VALUE < 100);
CREATE TYPE span AS RANGE (subtype = int);
CREATE SEQUENCE seq START 5 INCREMENT BY 2;
CREATE FUNCTION f(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE agg (int) (sfunc = int4pl, stype = int);
CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE t (
	id		int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	"Name"	varchar(20) COLLATE "C" NOT NULL DEFAULT 'it''s',
	mood	mood DEFAULT 'sad',
	pair	pair,
	small	small,
	kv		hstore,
	ser		serial,
	twice	int GENERATED ALWAYS AS (ser * 2) STORED,
	CONSTRAINT "Uni" UNIQUE ("Name", ser),
	CHECK (ser > 0)
);
CREATE UNIQUE INDEX t_lower ON t (lower("Name")) WHERE ser > 1;
CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION trg();
CREATE TABLE ref (t int REFERENCES t);
CREATE TABLE part (id int, x int DEFAULT 1) PARTITION BY LIST (id);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE UNLOGGED TABLE unlogged (id int);
CREATE VIEW v AS SELECT id, "Name" FROM t;
CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
CREATE TEMP TABLE temporary (id int);
CREATE TABLE public.outside (id int);
RESET search_path;
SELECT schemaver.create_product('c', '{c}');
SELECT schemaver.baseline('1.0', 'c');
-- objects of the extension, partitions and temporary objects are no part of it
SELECT schemaver.full_schema('1.0', 'c');
SELECT schemaver.full_schema('1.0', 'c') AS before \gset
SELECT schemaver.register('1.0', 'c');

-- what did not change is shared with the next version
SELECT schemaver.apply('ALTER TABLE unlogged ADD x int', product => 'c');
SELECT b.version, cardinality(a.contract) - (SELECT count(*)
	FROM unnest(a.contract) x WHERE x = ANY (b.contract)) AS changed
FROM schemaver.db_schema_version a, schemaver.db_schema_version b
WHERE b.id > a.id;
SELECT schemaver.full_schema('1.0', 'c') = :'before' AS unchanged;
SELECT schemaver.full_schema('1.0.1', 'c') = :'before' AS unchanged;

SELECT schemaver.apply('ALTER TABLE t RENAME "Name" TO label;
	ALTER TABLE t RENAME TO thing;
	ALTER TABLE thing RENAME CONSTRAINT "Uni" TO uni;
	ALTER INDEX t_lower RENAME TO thing_lower;
	ALTER TABLE thing ALTER label SET DEFAULT ''other'', ALTER mood DROP DEFAULT;
	ALTER TABLE ref RENAME t TO thing;
	ALTER TABLE part ADD y int, ALTER x SET DEFAULT 2;
	ALTER VIEW v RENAME "Name" TO label;
	ALTER TYPE mood ADD VALUE ''happy'';
	CREATE OR REPLACE FUNCTION f(a int, b text DEFAULT ''y'') RETURNS int LANGUAGE sql AS ''SELECT 2'';
	ALTER SEQUENCE seq INCREMENT BY 3;
	CREATE TABLE brand_new (id int);
	ALTER TRIGGER trg ON thing RENAME TO trigger', product => 'c');
SELECT * FROM t;
INSERT INTO t DEFAULT VALUES RETURNING *;
SELECT schemaver.reconcile('c');

-- a version is found whatever it is called; one that is not is an error
SELECT schemaver.full_schema('1.0.0', 'c') = schemaver.full_schema('1.0', 'c') AS same;
SELECT schemaver.full_schema('9.0', 'c');
SELECT schemaver.full_schema('1.0', 'd');
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_contract;
