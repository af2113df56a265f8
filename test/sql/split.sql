--
-- A column with both directives, and what stands on it
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_split;
\c sv_split
CREATE EXTENSION schemaver;
\set VERBOSITY default
CREATE TABLE item (id int PRIMARY KEY, price int NOT NULL CHECK (price > 0),
	gross int GENERATED ALWAYS AS (price * 2) STORED, name text, told int);
ALTER TABLE item ALTER name SET STORAGE EXTERNAL;
CREATE INDEX ON item (price);
CREATE UNIQUE INDEX ON item (gross);
CREATE STATISTICS stats ON price, id FROM item;
CREATE VIEW cheap AS SELECT id, price, price * 3 AS thrice FROM item WHERE price < 100;
CREATE VIEW cheaper WITH (security_barrier) AS SELECT * FROM cheap WHERE price < 50;
CREATE VIEW joined AS SELECT a.gross, c.id FROM item a JOIN cheaper c USING (id);
CREATE FUNCTION total() RETURNS bigint LANGUAGE sql
	BEGIN ATOMIC SELECT sum(price) FROM item; END;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.told := NEW.price;
	RETURN NEW;
END $$;
CREATE TRIGGER tell BEFORE INSERT OR UPDATE OF price ON item
	FOR EACH ROW WHEN (NEW.price > 1) EXECUTE FUNCTION tell();
CREATE TABLE log (id int, price int);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log VALUES (NEW.id, NEW.price);
	RETURN NULL;
END $$;
CREATE TRIGGER log AFTER UPDATE OF price ON item
	FOR EACH ROW EXECUTE FUNCTION log();
ALTER TABLE item DISABLE TRIGGER log;
CREATE POLICY modest ON item USING (price < 1000000);
CREATE RULE never AS ON UPDATE TO item WHERE NEW.price = 77 DO INSTEAD NOTHING;
CREATE PUBLICATION shown FOR TABLE item (id, price) WHERE (id > 3);
INSERT INTO item (id, price) VALUES (1, 10), (2, 20);
CREATE FUNCTION standing() RETURNS TABLE (what text) LANGUAGE sql
SET search_path = pg_catalog AS $$
	SELECT * FROM (SELECT attname || ' ' || format_type(atttypid, atttypmod) ||
			CASE WHEN attnotnull THEN ' not null' ELSE '' END ||
			coalesce(' as ' || pg_get_expr(adbin, adrelid), '') || ' ' || attstorage::text
		FROM pg_attribute LEFT JOIN pg_attrdef
			ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = 'public.item'::regclass AND attnum > 0 AND NOT attisdropped
		ORDER BY attname COLLATE "C") a
	UNION ALL SELECT * FROM (SELECT pg_get_indexdef(indexrelid) FROM pg_index
		WHERE indrelid = 'public.item'::regclass ORDER BY 1) i
	UNION ALL SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext
	UNION ALL SELECT pg_get_expr(polqual, polrelid) FROM pg_policy
	UNION ALL SELECT * FROM (SELECT pg_get_triggerdef(oid) FROM pg_trigger
		WHERE NOT tgisinternal AND tgfoid::regproc::text !~ 'schemaver'
		ORDER BY tgname) t
	UNION ALL SELECT pg_get_ruledef(r.oid) FROM pg_rewrite r
		WHERE ev_class = 'public.item'::regclass
	UNION ALL SELECT concat_ws(' ', attnames, rowfilter) FROM pg_publication_tables
	UNION ALL SELECT pg_get_viewdef('public.cheap'::regclass)
$$;
SELECT * FROM standing();

SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply('-- schemaver: up item.price = price * 100
-- schemaver: down item.price = price / 100
UPDATE item SET price = price * 100;
ALTER TABLE item ENABLE TRIGGER log', '1.1.0');
SELECT * FROM standing();
SELECT * FROM schemaver.verify();

-- an index as a restored dump has it: its column has the hidden name
BEGIN;
CREATE INDEX restored ON public.item (schemaver_retained_price);
SELECT object, finding FROM schemaver.verify();
ROLLBACK;

-- the older version sees and does what it did
TABLE item ORDER BY id;
TABLE cheap ORDER BY id;
TABLE cheaper ORDER BY id;
TABLE joined ORDER BY id;
SELECT total();
INSERT INTO item (id, price) VALUES (3, 30);
UPDATE item SET price = 11 WHERE id = 1;
UPDATE item SET name = 'two' WHERE id = 2;
TABLE item ORDER BY id;
TABLE log;
-- and the newest what a new database would show
SELECT schemaver.register('1.1.0');
TABLE item ORDER BY id;
TABLE cheap ORDER BY id;
TABLE cheaper ORDER BY id;
SELECT total();
UPDATE item SET price = 80 WHERE id = 3;
TABLE cheap ORDER BY id;
TABLE joined ORDER BY id;
SELECT schemaver.unregister();

-- back, forward, and the old one goes
SELECT schemaver.rollback('1.0.0');
SELECT * FROM standing();
TABLE cheap ORDER BY id;
TABLE joined ORDER BY id;
SELECT total();
UPDATE item SET price = 12 WHERE id = 1;
SELECT schemaver.register('1.1.0');
TABLE cheap ORDER BY id;
SELECT total();
UPDATE item SET price = 1300 WHERE id = 1;
TABLE log;
SELECT schemaver.unregister();
SELECT schemaver.apply('-- schemaver: up item.price = price * 100
-- schemaver: down item.price = price / 100
UPDATE item SET price = price * 100;
ALTER TABLE item ENABLE TRIGGER log', '1.1.0');
SELECT * FROM standing();
SELECT * FROM schemaver.verify();
SELECT schemaver.retire('1.0.0');
SELECT * FROM standing();
SELECT * FROM schemaver.verify();
SELECT relname FROM pg_class WHERE relname ~ 'schemaver_retained';
SELECT relname FROM pg_class WHERE relnamespace = 'schemaver_retained'::regnamespace;
TABLE item ORDER BY id;
TABLE joined ORDER BY id;

-- a second time, beside a third version, and two columns at once
SELECT schemaver.register('1.1.0');
SELECT schemaver.apply('-- schemaver: up item.price = price * 10
-- schemaver: down item.price = price / 10
UPDATE item SET price = price * 10', '1.2.0');
SELECT schemaver.register('1.2.0');
SELECT schemaver.apply('-- schemaver: up item.price = price / 5
-- schemaver: down item.price = price * 5
-- schemaver: up item.name = upper(name)
-- schemaver: down item.name = lower(name)
UPDATE item SET price = price / 5, name = upper(name)', '1.3.0');
SELECT id, price, gross, name FROM item ORDER BY id;
SELECT schemaver.register('1.1.0');
SELECT id, price, gross, name FROM item ORDER BY id;
TABLE joined ORDER BY id;
UPDATE item SET price = 5000 WHERE id = 2;
UPDATE item SET name = 'Three' WHERE id = 3;
SELECT schemaver.register('1.3.0');
SELECT id, price, gross, name FROM item ORDER BY id;
TABLE joined ORDER BY id;
SELECT * FROM standing();
SELECT schemaver.retire('1.1.0');
SELECT schemaver.unregister();
SELECT schemaver.retire('1.2.0');
SELECT * FROM standing();
SELECT * FROM schemaver.verify();

-- a column that was dropped once is no hindrance
SELECT schemaver.apply('CREATE TABLE gone (a int, b int, c int);
ALTER TABLE gone DROP b;
INSERT INTO gone VALUES (1, 2);
CREATE TABLE parts (k int, v int) PARTITION BY LIST (k)', '1.3.1');
SELECT schemaver.register('1.3.1');
SELECT schemaver.apply('-- schemaver: up gone.c = c * 10
-- schemaver: down gone.c = c / 10
UPDATE gone SET c = c * 10', '1.4.0');
TABLE gone;

-- a constraint trigger is about the new column, and fires for both
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RAISE INFO ''late: %'', NEW.a; RETURN NULL; END';
CREATE CONSTRAINT TRIGGER late AFTER UPDATE OF a ON public.gone
	DEFERRABLE FOR EACH ROW EXECUTE FUNCTION late();
SELECT schemaver.apply('-- schemaver: up gone.a = a * 10
-- schemaver: down gone.a = a / 10
UPDATE gone SET a = a * 10', '1.5.0');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'late';
UPDATE gone SET a = 2;
UPDATE public.gone SET a = 30;

-- what cannot follow
CREATE MATERIALIZED VIEW sums AS SELECT sum(a) FROM public.gone;
SELECT schemaver.apply('-- schemaver: up gone.a = a * 10
-- schemaver: down gone.a = a / 10
UPDATE gone SET a = a * 10 WHERE true');
DROP MATERIALIZED VIEW sums;
SELECT schemaver.apply('-- schemaver: up parts.k = k * 10
-- schemaver: down parts.k = k / 10
UPDATE parts SET k = k * 10');

\c :home
DROP DATABASE sv_split;
