--
-- Columns of partitions and heirs: retained, brought back, and dropped again
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_heir;
\c sv_heir
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA heir_base;
SET search_path = heir_base;
SELECT schemaver.create_product('heirs', '{heir_base}');
CREATE TABLE part (id int PRIMARY KEY, x text NOT NULL DEFAULT 'new',
	UNIQUE (id, x)) PARTITION BY HASH (id);
CREATE TABLE part0 PARTITION OF part
	FOR VALUES WITH (MODULUS 1, REMAINDER 0) PARTITION BY HASH (id);
CREATE TABLE part00 PARTITION OF part0
	FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE parent (id int, x text);
CREATE TABLE heir (own int) INHERITS (parent);
CREATE SCHEMA heir_else;
CREATE TABLE heir_else.other () INHERITS (parent);
INSERT INTO part VALUES (1, 'in a partition');
INSERT INTO heir VALUES (1, 'in an heir', 7);
INSERT INTO heir_else.other VALUES (2, 'in another schema');
SELECT schemaver.baseline('1.0.0', 'heirs');
SELECT schemaver.register('1.0.0', 'heirs');
\set script 'ALTER TABLE part DROP x; ALTER TABLE parent DROP x; ALTER TABLE parent ADD y int; ALTER TABLE parent RENAME id TO number'
SELECT schemaver.apply(:'script', '2.0.0', 'heirs');
SELECT * FROM part;
SELECT * FROM parent ORDER BY id;
SELECT * FROM heir;
INSERT INTO part VALUES (2, DEFAULT);
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attrelid IN ('heir_base.part00'::regclass, 'heir_base.heir'::regclass,
	'heir_else.other'::regclass) AND attnum > 0
ORDER BY attrelid::regclass::text, attnum;

SELECT schemaver.register('2.0.0', 'heirs');
INSERT INTO part VALUES (3);
SELECT * FROM part ORDER BY id;
SELECT * FROM parent ORDER BY number;
SELECT * FROM heir;
INSERT INTO heir (number, y, own) VALUES (3, 33, 333);
SELECT finding, detail FROM schemaver.verify('heirs') WHERE product = 'heirs';

SELECT schemaver.rollback('1.0.0', 'heirs');
SELECT * FROM heir ORDER BY number;
SELECT schemaver.register('1.0.0', 'heirs');
SELECT * FROM part ORDER BY id;
SELECT * FROM parent ORDER BY id;
SELECT * FROM heir ORDER BY id;
\d heir_base.part00
\d heir_else.other
SELECT finding, detail FROM schemaver.verify('heirs') WHERE product = 'heirs';

SELECT schemaver.apply(:'script', '2.0.0', 'heirs');
SELECT * FROM part ORDER BY id;
SELECT * FROM heir ORDER BY id;
SELECT schemaver.unregister();
SELECT schemaver.retire('1.0.0', 'heirs', archive => true);
SELECT outcome FROM schemaver.history WHERE product = 'heirs'
ORDER BY id DESC LIMIT 1;
SELECT * FROM heir ORDER BY number;
TABLE schemaver_archive.part_x_1_0_0;
TABLE schemaver_archive.parent_x_1_0_0 ORDER BY 1;
SELECT finding, detail FROM schemaver.verify('heirs') WHERE product = 'heirs';

\c :home
DROP DATABASE sv_heir WITH (FORCE);
