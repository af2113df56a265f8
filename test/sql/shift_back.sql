--
-- What a rollback has to relax comes back when the version that it was for is
-- retired, though another migration of the table has come meanwhile: the
-- schema is then what plain SQL makes of the scripts that count.
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_shift_back;
\c sv_shift_back
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE SCHEMA look;

-- the scripts: of 2.0.0, which is rolled back, and of the version after that
CREATE TABLE look.two (name text, script text);
INSERT INTO look.two VALUES
	('drop columns', 'ALTER TABLE t DROP a, DROP b, DROP g'),
	('drop checks', 'ALTER TABLE t DROP CONSTRAINT g_pos, DROP CONSTRAINT a_or_c'),
	('drop key', 'ALTER TABLE t DROP id CASCADE; ALTER TABLE t ADD PRIMARY KEY (w)'),
	('drop tables', 'DROP TABLE r; DROP TABLE t'),
	('drop references', 'ALTER TABLE r DROP CONSTRAINT r_t_fkey'),
	('drop not null', 'ALTER TABLE t ALTER a DROP NOT NULL'),
	('types', 'ALTER TABLE t ALTER b TYPE text; ALTER TABLE t ALTER g TYPE bigint'),
	('not null', 'ALTER TABLE t ALTER c SET NOT NULL'),
	('new not null', 'ALTER TABLE t ADD n text; UPDATE t SET n = a; ALTER TABLE t ALTER n SET NOT NULL');
CREATE TABLE look.three (name text, script text);
INSERT INTO look.three VALUES
	('add', 'ALTER TABLE t ADD k int NOT NULL DEFAULT 3'),
	('rename', 'ALTER TABLE t RENAME a TO a3; ALTER TABLE t RENAME g TO g3; ALTER TABLE t RENAME id TO number'),
	('rename table', 'ALTER TABLE t RENAME TO t3'),
	('drop', 'ALTER TABLE t DROP a, DROP w'),
	('types', 'ALTER TABLE t ALTER b TYPE text; ALTER TABLE t ALTER g TYPE bigint; ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE r ALTER t TYPE bigint'),
	('drop checks', 'ALTER TABLE t DROP CONSTRAINT g_pos'),
	('rename checks', 'ALTER TABLE t RENAME CONSTRAINT g_pos TO positive; ALTER TABLE t VALIDATE CONSTRAINT a_or_c'),
	('other', 'CREATE TABLE o (id int PRIMARY KEY, t int)');

-- the tables in a schema
CREATE FUNCTION look.make(schema text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE SCHEMA %I', schema);
	PERFORM set_config('search_path', schema || ', public', true);
	CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL,
		b int NOT NULL DEFAULT 1, c text,
		g int NOT NULL CONSTRAINT g_pos CHECK (g > 0), w int NOT NULL,
		CONSTRAINT a_or_c CHECK (a <> '' OR c <> ''));
	CREATE TABLE r (id int PRIMARY KEY,
		t int NOT NULL REFERENCES t ON DELETE CASCADE DEFERRABLE);
	INSERT INTO t SELECT i, 'a' || i, i, 'c' || i, i, i
	FROM generate_series(1, 3) AS i;
	INSERT INTO r SELECT i, i FROM generate_series(1, 3) AS i;
END $$;

-- what is in a schema
CREATE FUNCTION look.shape(schema text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT replace(line, schema || '.', '') FROM (
		SELECT c.relname || '.' || attname || ' '
			|| format_type(atttypid, atttypmod)
			|| CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
			|| coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
		FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
			LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE c.relnamespace = schema::regnamespace AND c.relkind = 'r'
			AND attnum > 0 AND NOT attisdropped
		UNION ALL
		SELECT conrelid::regclass || ' ' || conname || ' '
			|| pg_get_constraintdef(oid)
		FROM pg_constraint WHERE connamespace = schema::regnamespace
		UNION ALL
		SELECT tgrelid::regclass || ' ' || tgname
		FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
		WHERE c.relnamespace = schema::regnamespace AND NOT tgisinternal
		UNION ALL
		SELECT pg_get_indexdef(indexrelid)
		FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
		WHERE c.relnamespace = schema::regnamespace) AS all_of_it (line)
$$;

-- one after another, then these versions retired: what differs
CREATE TABLE look.found (number int, what text);
CREATE PROCEDURE look.try(number int, two text, three text, third text,
						  VARIADIC retired text[]) LANGUAGE plpgsql AS $$
DECLARE
	product text := 'p' || number;
	plain text := 'plain' || number;
	v text;
BEGIN
	PERFORM look.make(product);
	PERFORM look.make(plain);
	EXECUTE three;
	COMMIT;
	PERFORM schemaver.create_product(product, ARRAY[product]);
	PERFORM schemaver.baseline('1.0.0', product);
	PERFORM schemaver.register('1.0.0', product);
	PERFORM schemaver.apply(two, '2.0.0', product);
	PERFORM schemaver.register('2.0.0', product);
	PERFORM schemaver.rollback('1.0.0', product);
	PERFORM schemaver.apply(three, third::schemaver.version, product);
	PERFORM schemaver.register(third::schemaver.version, product);
	PERFORM schemaver.unregister();
	COMMIT;
	FOREACH v IN ARRAY retired LOOP
		PERFORM schemaver.retire(v::schemaver.version, product);
	END LOOP;
	PERFORM set_config('search_path', 'pg_catalog', true);
	INSERT INTO look.found SELECT number, what FROM (
		(SELECT '- ' || s FROM look.shape(plain) AS s
		EXCEPT SELECT '- ' || s FROM look.shape(product) AS s)
		UNION ALL (SELECT '+ ' || s FROM look.shape(product) AS s
		EXCEPT SELECT '+ ' || s FROM look.shape(plain) AS s)
		UNION ALL SELECT object || ': ' || finding || ', ' || detail
		FROM schemaver.verify(product)) AS all_of_it (what);
	COMMIT;
END $$;

SET schemaver.on_missing_value = nullable;
CREATE TABLE look.scenario AS
	SELECT row_number() OVER (ORDER BY two.ctid, three.ctid)::int AS number,
		two.name AS two, three.name AS three,
		two.script AS s2, three.script AS s3
	FROM look.two, look.three;
SELECT count(*) FROM look.scenario;
SET client_min_messages = error;
DO $$
DECLARE
	s look.scenario;
BEGIN
	FOR s IN SELECT * FROM look.scenario WHERE number % 3 = 2 ORDER BY number
	LOOP
		CALL look.try(s.number, s.s2, s.s3, '3.0.0', '1.0.0', '2.0.0');
	END LOOP;
	FOR s IN SELECT * FROM look.scenario WHERE number % 3 = 0 ORDER BY number
	LOOP
		CALL look.try(s.number + 100, s.s2, s.s3, '1.5.0', '2.0.0', '1.0.0');
	END LOOP;
	FOR s IN SELECT * FROM look.scenario WHERE number % 3 = 1 ORDER BY number
	LOOP
		CALL look.try(s.number + 200, s.s2, s.s3, '3.0.0', '2.0.0');
	END LOOP;
END $$;
SELECT f.number, two, three, what
FROM look.found AS f JOIN look.scenario AS s ON s.number = f.number % 100
ORDER BY 1, what;

-- meanwhile NOT NULL holds for all but the version that leaves the column out
RESET client_min_messages;
CREATE SCHEMA last;
CREATE TABLE last.t (id int PRIMARY KEY, a text NOT NULL);
INSERT INTO last.t VALUES (1, 'a');
SELECT schemaver.create_product('last', ARRAY['last']);
SELECT schemaver.baseline('1.0.0', 'last');
SELECT schemaver.register('1.0.0', 'last');
SELECT schemaver.apply('ALTER TABLE t DROP a', '2.0.0', 'last');
SELECT schemaver.rollback('1.0.0', 'last');
SELECT schemaver.register('2.0.0', 'last');
INSERT INTO t VALUES (2);
SELECT schemaver.register('1.0.0', 'last');
INSERT INTO t VALUES (3, NULL);
INSERT INTO t VALUES (3, 'c');
UPDATE t SET id = 22 WHERE id = 2 RETURNING *;
SELECT version, finding, detail FROM schemaver.verify('last');
-- what the next version drops it does not have to write
SELECT schemaver.apply('ALTER TABLE t DROP a', '3.0.0', 'last');
SELECT schemaver.register('3.0.0', 'last');
INSERT INTO t VALUES (4);
SELECT schemaver.rollback('1.0.0', 'last');
INSERT INTO t VALUES (5);
-- rows without a value stay, and say so
SELECT schemaver.unregister();
SELECT schemaver.retire('2.0.0', 'last');
SELECT version, finding, detail FROM schemaver.verify('last');
INSERT INTO last.t VALUES (6, NULL);
\c :home
DROP DATABASE sv_shift_back;
