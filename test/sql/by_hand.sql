\set QUIET on
-- What somebody has made by hand of a version's view stays where it is,
-- whatever happens to the table: it is not in the way, and not taken along.
SELECT current_database() AS home \gset
CREATE DATABASE sv_by_hand;
\c sv_by_hand
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
SELECT schemaver.create_product('shop');
CREATE TABLE item (id int PRIMARY KEY, qty int, "Note" varchar(20) COLLATE "C",
	spare int);
INSERT INTO item VALUES (1, 2, 'three', 4);
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.apply('ALTER TABLE item RENAME qty TO quantity', '2');
RESET client_min_messages;

-- of version 1, of version 2, and what stands on these
CREATE SCHEMA report;
CREATE VIEW report.one AS SELECT id, qty, "Note" FROM item;
COMMENT ON VIEW report.one IS 'by hand';
CREATE VIEW report.over AS SELECT max(qty) AS most FROM report.one;
CREATE TABLE report.copy (whole item);
CREATE FUNCTION report.shown() RETURNS text BEGIN ATOMIC
	SELECT string_agg(item::text, ' ') FROM shop_1.item;
END;

CREATE FUNCTION report.state(OUT object text, OUT definition text, OUT content text)
RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	FOR object, definition IN
		SELECT c.oid::regclass, pg_get_viewdef(c.oid)
		FROM pg_class AS c
		WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'
		ORDER BY 1
	LOOP
		EXECUTE format('SELECT string_agg(v::text, '' '') FROM %s AS v',
			object) INTO content;
		RETURN NEXT;
	END LOOP;
	SELECT 'shown()', 'function', report.shown() INTO object, definition,
		content;
	RETURN NEXT;
END $$;
SELECT object, content FROM report.state();

-- a column is dropped, with and without CASCADE, retyped, and comes back
SELECT schemaver.register('2');
SELECT schemaver.apply('ALTER TABLE item DROP COLUMN spare', '3');
CREATE VIEW report.two AS SELECT id, quantity FROM item;
SELECT object, content FROM report.state();
SELECT schemaver.register('3');
SELECT schemaver.apply('ALTER TABLE item DROP COLUMN "Note" CASCADE', '4');
SELECT schemaver.register('4');
SELECT schemaver.apply('ALTER TABLE item ALTER quantity TYPE bigint', '5');
SELECT object, content FROM report.state();
SELECT schemaver.rollback('4');
SELECT object, content FROM report.state();
SELECT schemaver.rollback('1');
SELECT * FROM report.state();
SELECT obj_description('report.one'::regclass);
SELECT object, finding FROM schemaver.verify();
SELECT schemaver.apply('ALTER TABLE item RENAME qty TO quantity', '2');
SELECT object, content FROM report.state();

-- the table itself is dropped, and comes back
SELECT schemaver.register('2');
SELECT schemaver.apply('DROP TABLE item CASCADE', '6');
SELECT object, content FROM report.state();
SELECT schemaver.rollback('2');
SELECT object, content FROM report.state();

-- a version whose view somebody uses cannot be retired
SELECT schemaver.retire('1');
DROP FUNCTION report.state;
DROP FUNCTION report.shown;
DROP TABLE report.copy;
DROP VIEW report.over, report.one;
SELECT schemaver.retire('1');
SELECT object, finding FROM schemaver.verify();
\c :home
DROP DATABASE sv_by_hand WITH (FORCE);
