--
-- A required column that a trigger gives its value, whoever writes
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_assign;
\c sv_assign
CREATE EXTENSION schemaver;
\pset format unaligned
\pset tuples_only on
SET schemaver.plan_lock_limit = 0;
CREATE TABLE crate (id int PRIMARY KEY, num text, tsv tsvector, known int);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');

-- what is taken for an assignment that every INSERT comes to
CREATE SCHEMA tool;
CREATE FUNCTION tool.told(body text, clause text DEFAULT '', declared text DEFAULT '') RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN bool_or(effect LIKE 'refused: %') THEN 'refused' ELSE string_agg(array_to_string(inferred, ', '), '') END
	FROM schemaver.plan(format('ALTER TABLE crate ADD ord int;
		CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS %L;
		CREATE TRIGGER fill BEFORE INSERT ON crate FOR EACH ROW %s EXECUTE FUNCTION f();
		ALTER TABLE crate ALTER ord SET NOT NULL', declared || ' ' || body, clause)) $$;
SELECT tool.told('BEGIN NEW.ord := length(NEW.num); RETURN NEW; END');
SELECT tool.told('<<outer>> DECLARE i int := CASE WHEN true THEN 1 ELSE 2 END;
	begin /* new.num */ i = 1; <<inner>> FOR n IN 1 .. 3 LOOP i := i + n; EXIT inner WHEN n > 2; END LOOP inner;
	new."ord" = CASE new.num WHEN $b$BEGIN$b$ THEN 1 ELSE 2 END; IF i > 1 THEN RETURN new; END IF; return new; end outer;');
SELECT tool.told('BEGIN IF NEW.ord IS NULL THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF (NEW.ord IS NULL) THEN NEW.ord = 1; ELSE RETURN NEW; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; RETURN NEW; END', 'WHEN (NEW.ord IS NULL)');
SELECT tool.told('BEGIN IF TG_OP = ''INSERT'' THEN NEW.ord = 1; RETURN NEW; ELSIF NEW.num = '''' THEN RETURN OLD; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF (TG_OP = ''DELETE'') THEN RETURN OLD; ELSIF (TG_OP = ''INSERT'') THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF TG_OP = ''UPDATE'' THEN RETURN OLD; ELSE NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF NEW.num = ''x'' THEN RETURN NULL; END IF; NEW.ord = 1; RETURN NEW; END');
SELECT tool.told('BEGIN BEGIN NEW.num := 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; NEW.ord = 1; RETURN NEW; END');
-- what is not
SELECT tool.told('BEGIN RETURN NEW; END');
SELECT tool.told('BEGIN NEW.num := ''NEW.ord := 1; ''; /* NEW.ord := 1; */ RETURN NEW; END');
SELECT tool.told('BEGIN IF NEW.num = ''x'' THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF NEW.num = ''x'' THEN RETURN NEW; END IF; NEW.ord = 1; RETURN NEW; END');
SELECT tool.told('BEGIN IF NEW.ord IS NULL AND NEW.num = ''x'' THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF TG_OP = ''UPDATE'' THEN NEW.ord = 1; ELSE RETURN NEW; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF TG_OP = ''INSERT'' AND NEW.num = ''x'' THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN CASE NEW.num WHEN ''x'' THEN NEW.ord = 1; ELSE NULL; END CASE; RETURN NEW; END');
SELECT tool.told('BEGIN FOR i IN 1 .. 0 LOOP NEW.ord = 1; END LOOP; RETURN NEW; END');
SELECT tool.told('BEGIN BEGIN NEW.num := 1 / 0; NEW.ord = 1; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; RETURN NEW; EXCEPTION WHEN OTHERS THEN RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; SELECT * INTO NEW FROM crate LIMIT 1; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; NEW := NULL; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; RETURN row(1, NULL, NULL, NULL, NULL); END');
SELECT tool.told('BEGIN NEW.num := (SELECT 1 FROM crate AS c WHERE c.id = NEW.id AND NEW.ord = 1); RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; RETURN NEW; END', 'WHEN (NEW.num IS NULL)');
SELECT tool.told('BEGIN NEW.ord = 1; RETURN NEW; END', 'WHEN (NEW.id > 1)');
-- what a keyword is the name of ends and opens nothing
ALTER TABLE crate ADD "end" int;
SELECT tool.told('BEGIN IF NEW.end > 5 THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF NEW.num = ''x'' THEN PERFORM 1 AS end; NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN IF NEW.end > 5 THEN NEW.end := (SELECT 1 AS case); END IF; NEW.ord = 1; RETURN NEW; END');
ALTER TABLE public.crate DROP "end";
-- what is taken away again
SELECT tool.told('BEGIN NEW.ord = NULL; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; IF NEW.num IS NULL THEN NEW.ord := NULL; END IF; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = NULL; NEW.ord = 1; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; SELECT * INTO STRICT NEW FROM crate LIMIT 1; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; SELECT ''a'', NULL INTO NEW.num, NEW.ord; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; SELECT ''a'' INTO NEW.num; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; "new" := NULL; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; f.new.ord = NULL; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; FOR new IN SELECT * FROM crate LOOP RETURN new; END LOOP; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; CALL p(NEW.ord); RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; RETURN NEW #= hstore(''ord'', NULL); END');
SELECT tool.told('BEGIN NEW.ord = 1; IF NEW.ord IS NULL THEN NULL; ELSE RETURN row(1); END IF; RETURN NEW; END');
-- what is made of the column is NULL where that is
SELECT tool.told('BEGIN NEW.ord = NEW.ord; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = abs(NEW.ord) + 1; RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = (coalesce(NEW.ord, 1)); RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = (NULL); RETURN NEW; END');
SELECT tool.told('BEGIN NEW.ord = 1; NEW.ord = CASE WHEN true THEN NEW.ord ELSE .5 END; RETURN NEW; END');
-- other variables under these names
SELECT tool.told('BEGIN NEW.ord = 1; DECLARE new crate; BEGIN RETURN new; END; END');
SELECT tool.told('DECLARE i int; new crate; BEGIN NEW.ord = 1; RETURN new; END');
SELECT tool.told('DECLARE r ALIAS FOR new; BEGIN NEW.ord = 1; r := NULL; RETURN NEW; END');
SELECT tool.told('DECLARE tg_op text := ''UPDATE''; BEGIN IF TG_OP = ''INSERT'' THEN NEW.ord = 1; END IF; RETURN NEW; END');
SELECT tool.told('DECLARE n text := NEW.num; o text := TG_OP; BEGIN NEW.ord = 1; RETURN NEW; END');
SET check_function_bodies = off;
SELECT tool.told('BEGIN NEW.ord = 1; RETURN ''NEW; END');
RESET check_function_bodies;
SELECT bool_or(effect LIKE 'refused: %') FROM schemaver.plan('ALTER TABLE crate ADD ord int;
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.ord = 1; RETURN NEW; END$$;
	CREATE TRIGGER late AFTER INSERT ON crate FOR EACH ROW EXECUTE FUNCTION f();
	CREATE TRIGGER once BEFORE INSERT ON crate EXECUTE FUNCTION f();
	CREATE TRIGGER other BEFORE UPDATE ON crate FOR EACH ROW EXECUTE FUNCTION f();
	CREATE TRIGGER off BEFORE INSERT ON crate FOR EACH ROW EXECUTE FUNCTION f();
	ALTER TABLE crate DISABLE TRIGGER off;
	ALTER TABLE crate ALTER ord SET NOT NULL');

-- a trigger that fires later may take the value away, or give another
CREATE FUNCTION tool.told_with(name text, body text) RETURNS boolean LANGUAGE sql AS $$
	SELECT bool_or(effect LIKE 'refused: %') FROM schemaver.plan(format('ALTER TABLE crate ADD ord int;
		CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN NEW.ord = 1; RETURN NEW; END'';
		CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS %L;
		CREATE TRIGGER fill BEFORE INSERT ON crate FOR EACH ROW EXECUTE FUNCTION f();
		CREATE TRIGGER %I BEFORE INSERT ON crate FOR EACH ROW WHEN (NEW.num IS NULL) EXECUTE FUNCTION g();
		ALTER TABLE crate ALTER ord SET NOT NULL', body, name)) $$;
SELECT tool.told_with('later', 'BEGIN NEW.ord = NULL; RETURN NEW; END');
SELECT tool.told_with('later', 'BEGIN NEW := NULL; RETURN NEW; END');
SELECT tool.told_with('later', 'DECLARE r crate; BEGIN RETURN r; END');
SELECT tool.told_with('later', 'DECLARE r ALIAS FOR new; BEGIN r.ord = NULL; RETURN NEW; END');
SELECT tool.told_with('earlier', 'BEGIN NEW.ord = NULL; RETURN NEW; END');
SELECT tool.told_with('later', 'BEGIN NEW.ord = NEW.ord + 1; RETURN NEW; END');
SELECT tool.told_with('later', 'BEGIN NEW.num = ''x''; RETURN COALESCE(NEW, OLD); END');

-- a directive, a default and an UPDATE come first
SELECT DISTINCT unnest(inferred) FROM schemaver.plan('-- schemaver: up crate.ord = 7
	ALTER TABLE crate ADD ord int;
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.ord = 1; RETURN NEW; END$$;
	CREATE TRIGGER fill BEFORE INSERT ON crate FOR EACH ROW EXECUTE FUNCTION f();
	ALTER TABLE crate ALTER ord SET NOT NULL');
SELECT DISTINCT unnest(inferred) FROM schemaver.plan('ALTER TABLE crate ADD ord int;
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.ord = 1; RETURN NEW; END$$;
	CREATE TRIGGER fill BEFORE INSERT ON crate FOR EACH ROW EXECUTE FUNCTION f();
	UPDATE crate SET ord = id;
	ALTER TABLE crate ALTER ord SET NOT NULL');
SET schemaver.on_missing_value = nullable;
SELECT tool.told('BEGIN NEW.ord := length(NEW.num); RETURN NEW; END');
RESET schemaver.on_missing_value;

-- it is told once
SELECT schemaver.apply('ALTER TABLE crate ADD ord int;
	CREATE FUNCTION set_ord() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.ord = length(NEW.num); RETURN NEW; END$$;
	CREATE TRIGGER set_ord BEFORE INSERT ON crate FOR EACH ROW EXECUTE FUNCTION set_ord();
	ALTER TABLE crate ALTER ord SET NOT NULL', '1.1.0');
INSERT INTO crate VALUES (1, 'one');
INSERT INTO crate VALUES (2, NULL);
SELECT schemaver.register('1.1.0');
TABLE crate;
SELECT schemaver.apply('ALTER TABLE crate ADD later int', '1.2.0');
SELECT * FROM schemaver.verify();

-- a column that older versions know, by a trigger that is there
SELECT schemaver.apply('CREATE FUNCTION set_known() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		NEW.known = 1; RETURN NEW; END$$;
	CREATE TRIGGER set_known BEFORE INSERT ON crate FOR EACH ROW EXECUTE FUNCTION set_known();
	CREATE TRIGGER set_tsv BEFORE INSERT OR UPDATE ON crate FOR EACH ROW
		EXECUTE FUNCTION tsvector_update_trigger(tsv, ''pg_catalog.english'', num)', '1.3.0');
UPDATE crate SET known = 2, tsv = '';
SELECT schemaver.apply('ALTER TABLE crate ALTER known SET NOT NULL, ALTER tsv SET NOT NULL', '2.0.0');
SELECT schemaver.register('1.0.0');
INSERT INTO crate VALUES (3, 'three') RETURNING *;
UPDATE crate SET known = NULL WHERE id = 3;

-- the column gets another type: the function speaks of the newer one
BEGIN;
SELECT schemaver.apply('ALTER TABLE crate ALTER ord TYPE bigint', '2.1.0');
INSERT INTO crate VALUES (10, 'ten') RETURNING *;
SELECT schemaver.register('1.1.0');
INSERT INTO crate (id, num) VALUES (11, 'eleven') RETURNING ord, pg_typeof(ord);
SELECT schemaver.apply('ALTER TABLE crate RENAME ord TO "order"; CREATE OR REPLACE FUNCTION set_ord() RETURNS trigger
	LANGUAGE plpgsql AS $$BEGIN NEW."order" = length(NEW.num) + 1; RETURN NEW; END$$', '2.2.0');
INSERT INTO crate (id, num) VALUES (12, 'twelve') RETURNING ord;
SELECT schemaver.register('1.0.0');
INSERT INTO crate VALUES (13, 'thirteen') RETURNING *;
SELECT schemaver.register('2.2.0');
SELECT id, "order", pg_typeof("order") FROM crate ORDER BY id;
SELECT * FROM schemaver.verify();
ROLLBACK;

-- what takes the trigger away, from it or from those who live by it
SET schemaver.guard = strict;
DROP TRIGGER set_ord ON public.crate;
ALTER TABLE public.crate DISABLE TRIGGER set_ord;
CREATE OR REPLACE FUNCTION public.set_ord() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
SELECT schemaver.apply('DROP TRIGGER set_ord ON crate', '2.1.0');
SELECT schemaver.apply('CREATE OR REPLACE FUNCTION set_ord() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NEW; END''', '2.1.0');
-- even where something else was done by hand before
SET schemaver.guard = off;
ALTER TABLE public.crate ADD by_hand int;
SET schemaver.guard = strict;
SELECT schemaver.apply('DROP TRIGGER set_ord ON crate', '2.1.0');
INSERT INTO crate VALUES (4, 'four') RETURNING *;
-- another value takes its place
SELECT schemaver.apply('DROP TRIGGER set_ord ON crate; ALTER TABLE crate ALTER ord SET DEFAULT 9', '2.1.0');
INSERT INTO crate VALUES (5, 'five');

-- back
SELECT schemaver.rollback('2.0.0');
INSERT INTO crate VALUES (6, 'six');
INSERT INTO crate (id, num) VALUES (7, 'seven');
SELECT schemaver.register('1.1.0');
INSERT INTO crate (id, num) VALUES (8, 'eight');
SELECT schemaver.register('2.0.0');
SELECT id, num, ord FROM crate ORDER BY id;
SELECT * FROM schemaver.verify();

-- of a partitioned table each partition must have such a trigger
CREATE SCHEMA parted;
CREATE TABLE parted.t (id int, num text) PARTITION BY LIST (id);
CREATE TABLE parted.t1 PARTITION OF parted.t FOR VALUES IN (1);
CREATE TABLE parted.t2 PARTITION OF parted.t FOR VALUES IN (2);
CREATE FUNCTION parted.one() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.ord = 1; RETURN NEW; END';
CREATE FUNCTION parted.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.ord = NULL; RETURN NEW; END';
SELECT schemaver.create_product('parted', '{parted}');
SELECT schemaver.baseline('1.0.0', 'parted');
SELECT schemaver.register('1.0.0', 'parted');
\set required 'ALTER TABLE t ADD ord int; CREATE TRIGGER fill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION one(); ALTER TABLE t ALTER ord SET NOT NULL'
SELECT schemaver.apply(:'required' || '; ALTER TABLE t2 DISABLE TRIGGER fill', '1.1.0', 'parted');
SELECT schemaver.apply(:'required' || '; CREATE TRIGGER late BEFORE INSERT ON t2 FOR EACH ROW EXECUTE FUNCTION no()', '1.1.0', 'parted');
SELECT schemaver.apply(:'required', '1.1.0', 'parted');
INSERT INTO t VALUES (1, 'one'), (2, 'two');
SELECT schemaver.apply('ALTER TABLE t2 DISABLE TRIGGER fill', '1.1.1', 'parted');
ALTER TABLE parted.t2 DISABLE TRIGGER fill;
CREATE TRIGGER late BEFORE INSERT ON parted.t2 FOR EACH ROW EXECUTE FUNCTION parted.no();
INSERT INTO t VALUES (2, 'two');

\c :home
DROP DATABASE sv_assign;
