--
-- Constraints and plain indexes after a rollback
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_plain;
\c sv_plain
CREATE EXTENSION schemaver;
CREATE TABLE t (id int PRIMARY KEY, a text, b int,
	d int CONSTRAINT d_pos CHECK (d > 0), "e f" text);
CREATE TABLE u (id int PRIMARY KEY, d int CONSTRAINT u_pos CHECK (d > 0));
CREATE TABLE parted (id int, a text) PARTITION BY LIST (id);
CREATE TABLE part PARTITION OF parted FOR VALUES IN (1);
CREATE INDEX t_a ON t (a);
CREATE INDEX t_expression ON t (lower("e f" || a) DESC, b) INCLUDE (d)
	WHERE b > 0 AND a <> 'b';
CREATE INDEX t_brin ON t USING brin (b) WITH (pages_per_range = 4);
CREATE INDEX t_gone ON t (b, a);
CREATE INDEX parted_a ON parted (a);
INSERT INTO t SELECT i, i, i, i, i FROM generate_series(1, 9) AS i;
INSERT INTO u VALUES (1, 1);
SELECT schemaver.create_product('shop');
CREATE SCHEMA look;
CREATE VIEW look.shape AS
	SELECT c.relname AS name, indisvalid AS valid,
		pg_get_indexdef(indexrelid) AS definition
	FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
	WHERE relnamespace = 'public'::regnamespace AND c.relname !~ '^part_'
	UNION ALL
	SELECT conname, convalidated, pg_get_constraintdef(oid)
	FROM pg_constraint
	WHERE contype = 'c' AND connamespace = 'public'::regnamespace;
SELECT schemaver.baseline('1.0.0');
CREATE TABLE look.was AS TABLE look.shape;
SELECT schemaver.register('1.0.0');

-- what a script drops comes back
\set two '-- schemaver: down u.d = -1\nDROP INDEX t_a, t_brin; ALTER TABLE t RENAME b TO c; DROP INDEX t_expression; ALTER TABLE t DROP d; ALTER TABLE t RENAME TO thing; DROP INDEX CONCURRENTLY t_gone; CREATE INDEX passing ON thing (a); DROP INDEX passing; ALTER TABLE u DROP d; DROP INDEX parted_a'
SELECT schemaver.apply(:'two', '2.0.0');
TABLE look.shape ORDER BY name;
SELECT version_id, name, definition FROM schemaver.db_dropped_index ORDER BY name;
SELECT schemaver.rollback('1.0.0');
TABLE look.shape EXCEPT TABLE look.was;
TABLE look.was EXCEPT TABLE look.shape;

-- and goes again
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply(:'two', '2.0.0');
TABLE look.shape ORDER BY name;

-- rows that a constraint does not allow leave it as it is
INSERT INTO u VALUES (2);
SELECT schemaver.rollback('1.0.0');
TABLE look.shape EXCEPT TABLE look.was;
SELECT finding, detail FROM schemaver.verify();

-- a name that something else has, and columns of two types
SELECT schemaver.unregister();
SELECT schemaver.retire('2.0.0');
SELECT count(*) FROM schemaver.db_dropped_index;
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('DROP INDEX t_a; ALTER TABLE t ADD z int', '3.0.0');
SELECT schemaver.register('3.0.0');
SELECT schemaver.apply('DROP INDEX t_gone; DROP INDEX t_expression;
	ALTER TABLE t ALTER b TYPE bigint; DROP INDEX t_brin', '4.0.0');
CREATE SEQUENCE public.t_a;
SELECT schemaver.rollback('1.0.0');
TABLE look.was EXCEPT TABLE look.shape;

-- none are remembered of versions that cannot be gone back from
SELECT schemaver.unregister();
SELECT schemaver.retire('3.0.0');
SELECT count(*) FROM schemaver.db_dropped_index;
\c :home
DROP DATABASE sv_plain;
