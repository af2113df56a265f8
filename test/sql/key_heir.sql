--
-- key.c: keys of tables that inherit from others, whose pairs they have as well
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_key_heir;
\c regression_key_heir
SET client_min_messages = error;
CREATE EXTENSION schemaver;
\set VERBOSITY terse

CREATE TABLE parent (id int PRIMARY KEY, c text, gone int);
CREATE TABLE heir (x text, CONSTRAINT heir_x UNIQUE (x),
	CONSTRAINT heir_c UNIQUE (c, id)) INHERITS (parent);
CREATE TABLE grandheir (y int, CONSTRAINT grand_x UNIQUE (x)) INHERITS (heir);
INSERT INTO heir VALUES (1, 'c', 1, 'x');
INSERT INTO grandheir VALUES (2, 'c', 1, 'x', 1);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.unregister();

CREATE SCHEMA other;
CREATE VIEW other.triggers AS
	SELECT tgrelid::regclass AS relation,
		regexp_replace(pg_get_triggerdef(oid), '.*schemaver.sync', '') AS pairs
	FROM pg_trigger WHERE tgname = '~schemaver_sync'
	ORDER BY tgrelid::regclass::text;
CREATE VIEW other.shape AS
	SELECT attrelid::regclass AS relation, attname, attinhcount AS inherited,
		format_type(atttypid, atttypmod) AS type
	FROM pg_attribute WHERE attrelid IN ('public.parent'::regclass,
		'public.heir'::regclass, 'public.grandheir'::regclass)
		AND attnum > 0 AND NOT attisdropped
	UNION ALL SELECT conrelid::regclass, conname, NULL,
		pg_get_constraintdef(oid) FROM pg_constraint
	WHERE conrelid IN ('public.parent'::regclass,
		'public.heir'::regclass, 'public.grandheir'::regclass)
	ORDER BY 1, 2;
-- what each version can write, taken back
CREATE PROCEDURE other.try(version text) LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	PERFORM schemaver.register(version::schemaver.version);
	FOREACH statement IN ARRAY ARRAY[
		$s$INSERT INTO heir (id, c, x) VALUES (11, 'd', 'x')$s$,
		$s$INSERT INTO heir (id, c, x) VALUES (1, 'c', 'z')$s$,
		$s$INSERT INTO grandheir (id, c, x) VALUES (12, 'd', 'x')$s$,
		$s$INSERT INTO heir (id, c, x) VALUES (13, 'd', 'x')
			ON CONFLICT (x) DO UPDATE SET c = heir.c || '+'$s$,
		$s$UPDATE parent SET c = 'c' WHERE id < 3$s$,
		$s$UPDATE heir SET x = 'v' WHERE id = 1$s$]
	LOOP
		BEGIN
			EXECUTE statement;
			RAISE EXCEPTION 'done' USING ERRCODE = 'ZZ000';
		EXCEPTION WHEN OTHERS THEN
			RAISE NOTICE '% %: %', version, split_part(statement, E'\n', 1),
				CASE SQLSTATE WHEN 'ZZ000' THEN 'done' ELSE SQLERRM END;
		END;
	END LOOP;
	PERFORM schemaver.unregister();
END $$;
SET client_min_messages = notice;

CALL other.try('1');
SELECT schemaver.apply('ALTER TABLE heir DROP CONSTRAINT heir_x,
	DROP CONSTRAINT heir_c; ALTER TABLE grandheir DROP CONSTRAINT grand_x', '2');
TABLE other.triggers;
CALL other.try('1');
CALL other.try('2');

-- the parents' columns are kept in step as well, before and after
SELECT schemaver.register('2');
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE parent ALTER id TYPE bigint;
	ALTER TABLE parent DROP gone; ALTER TABLE heir ADD z int DEFAULT 1', '3');
TABLE other.triggers;
CALL other.try('1');
CALL other.try('2');
CALL other.try('3');
SELECT * FROM schemaver.verify(deep => true);
SELECT schemaver.rollback('2');
CALL other.try('1');
CALL other.try('2');
CALL other.try('3');
SELECT schemaver.rollback('1');
CALL other.try('1');
CALL other.try('3');
SELECT * FROM schemaver.verify(deep => true);
SELECT schemaver.apply('ALTER TABLE heir DROP CONSTRAINT heir_x,
	DROP CONSTRAINT heir_c; ALTER TABLE grandheir DROP CONSTRAINT grand_x', '2');
SELECT schemaver.apply('ALTER TABLE parent ALTER id TYPE bigint;
	ALTER TABLE parent DROP gone; ALTER TABLE heir ADD z int DEFAULT 1', '3');
CALL other.try('1');
CALL other.try('3');

-- the first row goes
SELECT schemaver.register('3');
INSERT INTO heir (id, c, x) VALUES (21, 'q', 'q'), (22, 'q', 'q');
DELETE FROM parent WHERE id = 21;
SELECT schemaver.register('1');
INSERT INTO heir (id, c, x) VALUES (23, 'q', 'q');
SELECT schemaver.unregister();

-- and nothing is left in the end
SELECT schemaver.retire('2');
TABLE other.triggers;
TABLE other.shape;
SELECT * FROM schemaver.verify(deep => true);

\c :home
DROP DATABASE regression_key_heir;
