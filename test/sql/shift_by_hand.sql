--
-- rollback(), and forward again, where things that no version knows stand on a
-- column of two types: views follow it, and so do constraint triggers
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_shift_by_hand;
\c sv_shift_by_hand
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
\set VERBOSITY default
CREATE ROLE regress_reader;
CREATE ROLE regress_keeper;
CREATE SCHEMA look;
GRANT CREATE, USAGE ON SCHEMA look TO regress_keeper;

-- all that a view is
CREATE FUNCTION look.at() RETURNS SETOF text LANGUAGE sql
SET search_path = pg_catalog AS $$
	SELECT format('%s of %s %s %s: %s', c.oid::regclass, relowner::regrole,
			relacl, reloptions, obj_description(c.oid, 'pg_class')) || E'\n' ||
		(SELECT string_agg(format('  %s %s %s %s %s', attname,
				format_type(atttypid, atttypmod), attacl,
				pg_get_expr(adbin, adrelid),
				col_description(attrelid, attnum)), E'\n' ORDER BY attnum)
		FROM pg_attribute LEFT JOIN pg_attrdef
			ON adrelid = attrelid AND adnum = attnum
		WHERE attrelid = c.oid AND attnum > 0) || E'\n' ||
		pg_get_viewdef(c.oid) ||
		coalesce((SELECT string_agg(E'\n  ' || pg_get_triggerdef(oid), '' ORDER BY tgname)
			FROM pg_trigger WHERE tgrelid = c.oid), '')
	FROM pg_class AS c
	WHERE relnamespace = 'look'::regnamespace AND relkind = 'v'
	ORDER BY relname;
$$;
CREATE FUNCTION look.instead() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RAISE INFO ''%'', NEW; RETURN NEW; END';

CREATE TABLE sale (id int PRIMARY KEY, amount int, buyer int);
CREATE TABLE buyer (id int PRIMARY KEY, limits int);
INSERT INTO buyer VALUES (1, 10), (2, 20);
INSERT INTO sale SELECT i, i * 10, i FROM generate_series(1, 2) AS i;
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
SET search_path = public;
SELECT $$
	ALTER TABLE sale RENAME amount TO worth;
	ALTER TABLE sale ALTER worth TYPE bigint;
	ALTER TABLE sale ADD note text;
	ALTER TABLE sale RENAME TO deal;
	ALTER TABLE buyer ALTER limits TYPE bigint;
	CREATE TABLE later (id int);
$$ AS script \gset
SELECT schemaver.apply(:'script', '1.1.0');

-- views by hand, and views of these
CREATE VIEW look.deals WITH (security_barrier, check_option = local) AS
	SELECT id, worth, worth * 2 AS twice, 7 AS seven FROM deal WHERE worth > 5;
ALTER VIEW look.deals ALTER worth SET DEFAULT 12;
COMMENT ON VIEW look.deals IS 'by hand';
COMMENT ON COLUMN look.deals.twice IS 'two times';
GRANT SELECT ON look.deals TO regress_reader;
GRANT SELECT (id) ON look.deals TO PUBLIC;
CREATE VIEW look.above AS
	WITH sums AS (SELECT max(worth) AS most FROM look.deals)
	SELECT d.id, d.worth, b.limits, (SELECT most FROM sums) AS most,
		(SELECT count(*) FROM deal AS o WHERE o.worth <= d.worth) AS rank
	FROM look.deals AS d LEFT JOIN buyer AS b ON b.limits = d.worth;
ALTER VIEW look.above OWNER TO regress_keeper;
GRANT SELECT ON look.deals, deal, buyer TO regress_keeper;
CREATE TRIGGER instead INSTEAD OF INSERT ON look.above
	FOR EACH ROW EXECUTE FUNCTION look.instead();
COMMENT ON TRIGGER instead ON look.above IS 'a trigger';
CREATE VIEW look.joined AS
	SELECT worth, id FROM deal JOIN (SELECT limits AS worth FROM buyer) AS b USING (worth);
CREATE VIEW look.beside AS SELECT id FROM deal;
SELECT look.at();

-- and a constraint trigger
CREATE FUNCTION look.checked() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RAISE INFO ''checked''; RETURN NULL; END';
CREATE CONSTRAINT TRIGGER checked AFTER UPDATE OF limits ON buyer
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.limits <> NEW.limits)
	EXECUTE FUNCTION look.checked();
COMMENT ON TRIGGER checked ON buyer IS 'late';
ALTER TABLE buyer ENABLE ALWAYS TRIGGER checked;
CREATE VIEW look.triggers AS
	SELECT pg_get_triggerdef(oid), tgenabled, obj_description(oid, 'pg_trigger')
	FROM pg_trigger WHERE tgname = 'checked';

SELECT schemaver.rollback('1.0.0');
SELECT look.at();
TABLE look.deals;
TABLE look.above ORDER BY id;
INSERT INTO look.above VALUES (1, 2, 3);
TABLE look.joined ORDER BY id;
SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgname = 'instead';
TABLE look.triggers;
BEGIN;
UPDATE buyer SET limits = 30 WHERE id = 2;
SELECT 'not yet' AS deferred;
COMMIT;

-- forward, and back again
SELECT schemaver.apply(:'script', '1.1.0');
SELECT look.at();
TABLE look.triggers;
SELECT schemaver.rollback('1.0.0');
SELECT look.at();
SELECT object, finding FROM schemaver.verify('shop');
SELECT schemaver.apply(:'script', '1.1.0');

-- what cannot follow is refused, and nothing has changed
CREATE VIEW look.noted AS SELECT note FROM deal;
SELECT schemaver.rollback('1.0.0');
DROP VIEW look.noted;
CREATE VIEW look.counted AS SELECT count(*) FROM later;
SELECT schemaver.rollback('1.0.0');
DROP VIEW look.counted;
CREATE VIEW look.ruled AS SELECT worth FROM deal;
CREATE RULE nothing AS ON DELETE TO look.ruled DO INSTEAD NOTHING;
SELECT schemaver.rollback('1.0.0');
DROP VIEW look.ruled;
CREATE FUNCTION look.sum(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1';
CREATE VIEW look.typed AS SELECT look.sum(worth), worth::text || 'x' AS x FROM deal;
CREATE FUNCTION look.all_typed() RETURNS SETOF look.typed LANGUAGE sql AS
	'TABLE look.typed';
SELECT schemaver.rollback('1.0.0');
DROP FUNCTION look.all_typed();
SELECT schemaver.rollback('1.0.0');
SELECT * FROM look.typed ORDER BY x;
SELECT schemaver.apply(:'script', '1.1.0');
DROP VIEW look.deals, look.above, look.joined, look.typed;

-- a constraint trigger that a script drops, and makes anew, stays for others
SELECT schemaver.apply($$
	DROP TRIGGER checked ON buyer;
	CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON buyer
		FOR EACH ROW EXECUTE FUNCTION look.checked();
$$, '1.1.1');
TABLE look.triggers;
SELECT schemaver.apply('ALTER TABLE deal ALTER worth TYPE text', '1.2.0');
CREATE VIEW look.text AS SELECT id, upper(worth) FROM deal;
SELECT schemaver.rollback('1.0.0');
SELECT current_version FROM schemaver.products;
SELECT * FROM look.text ORDER BY id;
DROP VIEW look.text;
CREATE MATERIALIZED VIEW look.rows AS SELECT worth FROM deal;
SELECT schemaver.rollback('1.0.0');
DROP MATERIALIZED VIEW look.rows;
CREATE VIEW look.last AS SELECT worth::int + 1 AS more FROM deal;
SELECT schemaver.rollback('1.0.0');
SELECT pg_get_viewdef('look.last');

\c :home
DROP DATABASE sv_shift_by_hand;
DROP ROLE regress_reader, regress_keeper;
