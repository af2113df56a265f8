--
-- The trigger that keeps two columns in step, made by hand
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS schemaver;
RESET client_min_messages;
CREATE SCHEMA sync_base;
CREATE SCHEMA sync_data;
SET search_path = sync_base, public;
SELECT schemaver.create_product('syncing', ARRAY['sync_base']);
SELECT schemaver.baseline('1', 'syncing');
SELECT schemaver.register('1', 'syncing');
SELECT schemaver.apply('CREATE TABLE two (id int)', '2', 'syncing');
SELECT schemaver.register('2', 'syncing');
SELECT schemaver.apply('CREATE TABLE three (id int)', '3', 'syncing');
SELECT schemaver.unregister();
SET search_path = sync_data, public;

-- a session of each version, one after the other, and the tables still there
CREATE FUNCTION as_version(version schemaver.version) RETURNS schemaver.version
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM schemaver.register(version, 'syncing');
	PERFORM set_config('search_path', 'sync_data, public', false);
	RETURN version;
END $$;

-- a trigger of these pairs
CREATE PROCEDURE keep_in_step(relation regclass, VARIADIC args text[])
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE TRIGGER "~schemaver_sync"
		BEFORE INSERT OR UPDATE ON %s FOR EACH ROW
		EXECUTE FUNCTION schemaver.sync(%s)', relation,
		(SELECT string_agg(quote_literal(a), ', ' ORDER BY n)
		 FROM unnest(args) WITH ORDINALITY AS u (a, n)));
END $$;

-- a chain of three versions
CREATE TABLE person (id int PRIMARY KEY, a int, b text, c bigint, note text);
CALL keep_in_step('person',
	'a', 'b', 'a::text', 'b::int', 'syncing', '1', 'new',
	'b', 'c', 'b::bigint', 'c::text', 'syncing', '2', 'new');
SELECT as_version('1');
INSERT INTO person (id, a) VALUES (1, 11), (2, NULL);
SELECT as_version('2');
INSERT INTO person (id, b) VALUES (3, '33'), (4, NULL);
SELECT as_version('3');
INSERT INTO person (id, c) VALUES (5, 55), (6, NULL);
SELECT schemaver.unregister();
SHOW search_path;
INSERT INTO person (id, c) VALUES (7, 77);
TABLE person ORDER BY id;
SELECT as_version('1');
UPDATE person SET a = id * 100;
TABLE person ORDER BY id;
SELECT as_version('2');
UPDATE person SET b = id * 200 WHERE id > 1;
TABLE person ORDER BY id;
SELECT as_version('3');
UPDATE person SET c = id * 300 WHERE id > 2;
TABLE person ORDER BY id;
UPDATE person SET c = NULL WHERE id = 7;
SELECT as_version('2');
UPDATE person SET b = NULL WHERE id = 6;
SELECT as_version('1');
UPDATE person SET a = NULL WHERE id = 5;
TABLE person ORDER BY id;

-- who writes decides row by row, in one statement too
SELECT schemaver.unregister();
INSERT INTO person (id, a, c)
	SELECT i, 1, 3 FROM generate_series(11, 13) AS i,
		LATERAL (SELECT CASE i WHEN 12 THEN as_version('1') END) AS r;
SELECT * FROM person WHERE id > 10 ORDER BY id;

-- after a rollback everybody else writes the old side; so do other products
CALL keep_in_step('person',
	'a', 'b', 'a::text', 'b::int', 'syncing', '1', 'new',
	'b', 'c', 'b::bigint', 'c::text', 'syncing', '2', 'old');
SELECT schemaver.unregister();
INSERT INTO person (id, b) VALUES (21, '21');
SELECT as_version('3');
INSERT INTO person (id, c) VALUES (22, 22);
CALL keep_in_step('person',
	'a', 'b', 'a::text', 'b::int', 'other', '1', 'old',
	'b', 'c', 'b::bigint', 'c::text', 'other', '2', 'old');
INSERT INTO person (id, a) VALUES (23, 23);
SELECT * FROM person WHERE id > 20 ORDER BY id;

-- an update of something else rounds, resets and overwrites nothing
SELECT schemaver.unregister();
SET search_path = sync_data, public;
CREATE TABLE price (id int PRIMARY KEY, cents int, amount numeric, note text);
CALL keep_in_step('price', 'cents', 'amount', 'cents / 100.0',
	'round(amount * 100)::int', 'syncing', '1', 'new');
INSERT INTO price (id, amount) VALUES (1, 1.23456), (2, 2.34567);
SELECT as_version('1');
TABLE price ORDER BY id;
UPDATE price SET note = 'old';
UPDATE price SET cents = cents, note = 'same';
TABLE price ORDER BY id;
UPDATE price SET cents = 235 WHERE id = 2;
SELECT as_version('2');
UPDATE price SET note = 'new';
TABLE price ORDER BY id;
UPDATE price SET amount = 2.3501 WHERE id = 2;
TABLE price ORDER BY id;

-- what the writer left out and the other side's default filled in, where that
-- must not be null
CREATE TABLE demanded (id int, old_one int, new_one text NOT NULL DEFAULT '7');
CALL keep_in_step('demanded', 'old_one', 'new_one', 'old_one::text',
	'new_one::int', 'syncing', '1', 'new');
SELECT as_version('1');
INSERT INTO demanded (id) VALUES (1);
INSERT INTO demanded VALUES (2, NULL);
TABLE demanded;
-- and where it may be
CREATE TABLE filled (id int, old_one int, new_one text DEFAULT '7',
	kept int DEFAULT 9);
CALL keep_in_step('filled', 'old_one', 'new_one', 'old_one::text',
	'new_one::int', 'syncing', '1', 'new',
	'kept', 'new_one', '', 'nullif(new_one, ''no'')::int', 'syncing', '1', 'new');
SELECT as_version('1');
INSERT INTO filled (id) VALUES (1);
INSERT INTO filled (id, old_one) VALUES (2, 2);
SELECT as_version('2');
INSERT INTO filled (id) VALUES (3);
-- NULL in spite of a default is what the writer has written
INSERT INTO filled (id, new_one) VALUES (4, NULL);
ALTER TABLE filled ALTER old_one SET DEFAULT 8;
INSERT INTO filled (id, new_one) VALUES (5, NULL);
TABLE filled ORDER BY id;

-- through a chain, too
CREATE TABLE links (id int, a int, b int NOT NULL, c int NOT NULL DEFAULT 5);
CALL keep_in_step('links',
	'a', 'b', 'a + 1', 'b - 1', 'syncing', '1', 'new',
	'b', 'c', 'b + 1', 'c - 1', 'syncing', '2', 'new');
SELECT as_version('1');
INSERT INTO links (id) VALUES (1);
INSERT INTO links (id, a) VALUES (2, 10);
TABLE links ORDER BY id;

-- a side without a column, several inputs, one direction only
CREATE TABLE named (id int, first_name text, last_name text, full_name text);
CALL keep_in_step('named',
	'first_name', 'full_name', 'first_name || '' '' || last_name',
	'split_part(full_name, '' '', 1)', 'syncing', '1', 'new',
	'last_name', '', '', 'split_part(full_name, '' '', 2)', 'syncing', '1', 'new');
SELECT as_version('1');
INSERT INTO named VALUES (1, 'Ada', 'Lovelace');
UPDATE named SET last_name = 'Byron' WHERE id = 1;
SELECT as_version('2');
INSERT INTO named (id, full_name) VALUES (2, 'Grace Hopper');
UPDATE named SET full_name = 'Grace Murray' WHERE id = 2;
TABLE named ORDER BY id;
CREATE TABLE required (id int, kind text NOT NULL);
CALL keep_in_step('required', '', 'kind', '''none''', '', 'syncing', '1', 'new');
SELECT as_version('1');
INSERT INTO required (id) VALUES (1);
SELECT as_version('2');
INSERT INTO required (id) VALUES (2);
UPDATE required SET kind = 'some';
SELECT as_version('1');
UPDATE required SET id = 3;
TABLE required;

-- ON CONFLICT, MERGE, COPY
SELECT as_version('1');
TRUNCATE person;
CALL keep_in_step('person',
	'a', 'b', 'a::text', 'b::int', 'syncing', '1', 'new',
	'b', 'c', 'b::bigint', 'c::text', 'syncing', '2', 'new');
INSERT INTO person (id, a) VALUES (1, 1), (2, 2);
INSERT INTO person (id, a) VALUES (1, 3), (2, 4), (3, 5)
	ON CONFLICT (id) DO UPDATE SET a = excluded.a + person.a
	WHERE person.id = 1
	RETURNING *;
CREATE UNIQUE INDEX person_c ON person (c);
INSERT INTO person (id, a) VALUES (4, 4) ON CONFLICT (c) DO NOTHING;
INSERT INTO person (id, a) VALUES (5, 4)
	ON CONFLICT (c) DO UPDATE SET note = 'found' RETURNING *;
MERGE INTO person AS p
	USING (VALUES (1, 100), (7, 107)) AS v (id, a) ON p.id = v.id
	WHEN MATCHED THEN UPDATE SET a = v.a
	WHEN NOT MATCHED THEN INSERT (id, a) VALUES (v.id, v.a);
COPY person (id, a) FROM STDIN;
8	108
9	\N
\.
SELECT as_version('3');
COPY person (id, c) FROM STDIN;
10	110
\.
TABLE person ORDER BY id;
DROP INDEX person_c;

-- it is the last of the triggers, and sees what they have done
CREATE FUNCTION double_c() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.c := NEW.c * 2;
	RETURN NEW;
END $$;
CREATE TRIGGER z_double BEFORE INSERT OR UPDATE ON person
	FOR EACH ROW EXECUTE FUNCTION double_c();
INSERT INTO person (id, c) VALUES (11, 11);
SELECT * FROM person WHERE id = 11;
DROP TRIGGER z_double ON person;

-- neither replication nor a restore runs it again
SET session_replication_role = replica;
INSERT INTO person (id, a, b, c) VALUES (12, 1, '2', 3);
RESET session_replication_role;
SELECT * FROM person WHERE id = 12;

-- a value that the other version cannot keep
INSERT INTO person (id, c) VALUES (13, 3000000000);
UPDATE person SET c = 3000000000 WHERE id = 11;
SELECT as_version('2');
INSERT INTO person (id, b) VALUES (13, 'thirteen');
CREATE TABLE long_one (old_id int, id bigint);
UPDATE pg_attribute SET attname = 'schemaver_retained_id'
WHERE attrelid = 'long_one'::regclass AND attname = 'old_id';
CALL keep_in_step('long_one', 'schemaver_retained_id', 'id', 'schemaver_retained_id',
	'id::int', 'syncing', '1.0.0', 'new');
INSERT INTO long_one (id) VALUES (3000000000);
\set VERBOSITY sqlstate
INSERT INTO long_one (id) VALUES (3000000000);
\set VERBOSITY default
CREATE TABLE word (old_word varchar(3), new_word text);
CALL keep_in_step('word', 'old_word', 'new_word', 'old_word', 'new_word',
	'syncing', '1', 'new');
INSERT INTO word (new_word) VALUES ('abc');
INSERT INTO word (new_word) VALUES (repeat('ä', 70));
-- who may not see a value is not shown it
CREATE ROLE sync_writer;
CREATE TABLE secret (id int, salary bigint, raise int, small int);
CALL keep_in_step('secret', 'small', 'salary', '', '(salary + raise)::int',
	'syncing', '1', 'new');
INSERT INTO secret (id, salary, raise) VALUES (1, 2000000000, 1);
GRANT USAGE ON SCHEMA sync_data TO sync_writer;
GRANT SELECT (id), UPDATE (raise) ON secret TO sync_writer;
SET ROLE sync_writer;
UPDATE secret SET raise = 1000000000 WHERE id = 1;
RESET ROLE;
UPDATE secret SET raise = 1000000000 WHERE id = 1;
-- a function that the expression calls: run as whoever writes
CREATE FUNCTION half(n bigint) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF n % 2 = 1 THEN
		RAISE 'odd' USING DETAIL = 'Not even.';
	END IF;
	RETURN n / 2;
END $$;
CALL keep_in_step('secret', 'small', 'salary', '', 'sync_data.half(salary)',
	'syncing', '1', 'new');
INSERT INTO secret (salary) VALUES (4);
INSERT INTO secret (salary) VALUES (5);
REVOKE EXECUTE ON FUNCTION half FROM PUBLIC;
GRANT INSERT ON secret TO sync_writer;
INSERT INTO secret (salary) VALUES (6);
SET ROLE sync_writer;
INSERT INTO secret (salary) VALUES (6);
RESET ROLE;
SELECT salary, small FROM secret ORDER BY 1;
-- one that is replaced is used as it is now
CREATE OR REPLACE FUNCTION half(n bigint) RETURNS int LANGUAGE sql STABLE
	AS 'SELECT (n / 2)::int';
INSERT INTO secret (salary) VALUES (10);
CREATE OR REPLACE FUNCTION half(n bigint) RETURNS int LANGUAGE sql STABLE
	AS 'SELECT -(n / 2)::int';
INSERT INTO secret (salary) VALUES (12);
SELECT salary, small FROM secret WHERE salary BETWEEN 10 AND 12 ORDER BY 1;

-- partitions whose columns have other numbers
SELECT as_version('1');
CREATE TABLE event (id int, region text, a int, b bigint)
	PARTITION BY LIST (region);
CREATE TABLE event_de PARTITION OF event FOR VALUES IN ('de');
CREATE TABLE event_fr (b bigint, gone int, region text, gone2 text, a int, id int);
ALTER TABLE event_fr DROP gone, DROP gone2;
ALTER TABLE event ATTACH PARTITION event_fr FOR VALUES IN ('fr');
CREATE TABLE event_rest PARTITION OF event DEFAULT PARTITION BY RANGE (b);
CREATE TABLE event_rest_low PARTITION OF event_rest FOR VALUES FROM (0) TO (100);
CREATE TABLE event_rest_high PARTITION OF event_rest FOR VALUES FROM (100) TO (1000);
CALL keep_in_step('event', 'a', 'b', '(a / 10) * 10', 'b', 'syncing', '1', 'new');
INSERT INTO event (id, region, a, b) VALUES (1, 'de', 11, NULL), (2, 'fr', 22, NULL),
	(3, 'uk', 33, 33);
SELECT tableoid::regclass, id, region, a, b FROM event ORDER BY id;
SELECT as_version('2');
UPDATE event SET b = b + 1;
SELECT tableoid::regclass, id, region, a, b FROM event ORDER BY id;
-- a row that moves is not computed anew
SELECT as_version('1');
UPDATE event SET region = CASE region WHEN 'de' THEN 'fr' ELSE 'de' END
	WHERE id < 3;
UPDATE event SET region = 'de' WHERE id = 3;
SELECT tableoid::regclass, id, region, a, b FROM event ORDER BY id;
-- and if the same statement changes it, computed once
UPDATE event SET region = 'fr', a = 49 WHERE id = 3;
SELECT tableoid::regclass, id, region, a, b FROM event ORDER BY id;
-- another row is
INSERT INTO event (id, region, a, b) VALUES (4, 'de', 49, NULL);
BEGIN;
UPDATE event SET region = 'de' WHERE id = 3;
INSERT INTO event (id, region, a, b) VALUES (5, 'fr', 59, NULL);
COMMIT;
SELECT tableoid::regclass, id, region, a, b FROM event ORDER BY id;
SELECT as_version('2');
INSERT INTO event_fr (id, region, b) VALUES (6, 'fr', 9999999999);

-- columns that are dropped and added
CREATE TABLE torn (x int, a int, y int, b text);
ALTER TABLE torn DROP x;
CALL keep_in_step('torn', 'a', 'b', 'a::text', 'b::int', 'syncing', '1', 'new');
SELECT as_version('1');
INSERT INTO torn (a) VALUES (1);
ALTER TABLE torn DROP y, ADD z int DEFAULT 3;
INSERT INTO torn (a) VALUES (2);
UPDATE torn SET a = a + 10 WHERE a = 1;
TABLE torn ORDER BY a;
-- the trigger says names: it follows those that change
ALTER TABLE torn RENAME a TO aa;
INSERT INTO torn (aa) VALUES (4);
ALTER TABLE torn RENAME aa TO a;
INSERT INTO torn (a) VALUES (4);
SELECT b FROM torn WHERE a = 4;

-- generated columns: as they are going to be
CREATE TABLE made (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b int,
	thrice int GENERATED ALWAYS AS (b * 3) STORED);
CALL keep_in_step('made', 'a', 'b', 'twice + 1', '', 'syncing', '1', 'new');
INSERT INTO made (a) VALUES (1), (2);
UPDATE made SET a = 5 WHERE a = 2;
TABLE made ORDER BY a;

-- toasted values, stored out of line once and not looked at without need
CREATE TABLE big (id int, a text, b text);
ALTER TABLE big ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
CALL keep_in_step('big', 'a', 'b', 'a', 'b', 'syncing', '1', 'new');
INSERT INTO big (id, a) VALUES (1, repeat('x', 100000));
UPDATE big SET id = 2;
UPDATE big SET a = a || 'y';
SELECT id, length(a), a = b AS same FROM big;
UPDATE big SET a = a;
SELECT id, length(a), a = b AS same FROM big;

-- domains, arrays, enums, composites, ranges
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE point3 AS (x int, y int, z int);
CREATE TABLE typed (id int, n int, d positive, list int[], words text[],
	m mood, feeling text, p point3, x int, r int4range, low int);
CALL keep_in_step('typed',
	'n', 'd', 'n', 'd', 'syncing', '1', 'new',
	'list', 'words', 'list::text[]', 'words::int[]', 'syncing', '1', 'new',
	'feeling', 'm', 'feeling::sync_data.mood', 'm::text', 'syncing', '1', 'new',
	'x', 'p', 'row(x, 0, 0)::sync_data.point3', '(p).x', 'syncing', '1', 'new',
	'low', 'r', 'int4range(low, low + 10)', 'lower(r)', 'syncing', '1', 'new');
INSERT INTO typed (id, n, list, feeling, x, low)
	VALUES (1, 1, '{1,2,3}', 'sad', 4, 5);
INSERT INTO typed (id, n) VALUES (2, 0);
INSERT INTO typed (id, feeling) VALUES (2, 'bored');
UPDATE typed SET list = list || 4, x = 5;
SELECT as_version('2');
INSERT INTO typed (id, d, words, m, p, r)
	VALUES (2, 2, '{4,5}', 'happy', (7, 8, 9), '[3,5)');
UPDATE typed SET words[1] = '9', p.y = 10 WHERE id = 1;
TABLE typed ORDER BY id;

-- a statement within a statement, and the table changed meanwhile
CREATE TABLE nested (id int, a int, b int);
CREATE FUNCTION nest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.a > 1 THEN
		COMMENT ON COLUMN sync_data.nested.a IS 'not much';
		INSERT INTO sync_data.nested (id, a) VALUES (NEW.id, NEW.a - 1);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER nest BEFORE INSERT ON nested FOR EACH ROW
	EXECUTE FUNCTION nest();
CALL keep_in_step('nested', 'a', 'b', '-a', '', 'syncing', '1', 'new');
SELECT as_version('1');
INSERT INTO nested (id, a) VALUES (1, 3), (2, 4);
TABLE nested ORDER BY id, a;
CREATE FUNCTION restless(n int) RETURNS int LANGUAGE sql
	AS 'SELECT n + (0 * random())::int';
CALL keep_in_step('nested', 'a', 'b', 'sync_data.restless(a)', '', 'syncing',
	'1', 'new');
INSERT INTO nested (id, a) VALUES (5, 5);

-- malformed triggers
CREATE TABLE wrong (a int, b text);
CREATE TRIGGER "~schemaver_sync" BEFORE INSERT ON wrong FOR EACH ROW
	EXECUTE FUNCTION schemaver.sync();
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'a', 'b', 'syncing', '1', 'newest');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'a', 'b', 'syncing', 'no version', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', '', 'a', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'a +', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'a, a', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'a FROM pg_class', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', '(SELECT 1)', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'max(a)', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'generate_series(1, a)', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'wrong', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'other.a', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', 'a / 0', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
CALL keep_in_step('wrong', 'a', 'b', '', 'b', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
SELECT schemaver.sync();
DROP TRIGGER "~schemaver_sync" ON wrong;
CREATE TRIGGER late AFTER INSERT ON wrong FOR EACH ROW
	EXECUTE FUNCTION schemaver.sync('a', 'b', '', '', 'syncing', '1', 'new');
INSERT INTO wrong VALUES (1);
DROP TABLE wrong;

-- the trigger is no part of a contract
SELECT schemaver.unregister();
SET search_path = sync_base, public;
CREATE TABLE kept (a int, b text);
CREATE TRIGGER mine BEFORE INSERT ON kept FOR EACH ROW
	EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE TRIGGER "~schemaver_sync" BEFORE INSERT OR UPDATE ON kept
	FOR EACH ROW EXECUTE FUNCTION schemaver.sync(
		'a', 'b', 'a::text', 'b::int', 'syncing', '1', 'new');
SELECT p.name FROM schemaver.db_contract_part AS p
	JOIN schemaver.db_contract_entry AS e ON e.id = p.entry_id
	WHERE e.name = 'kept' AND p.kind = 't';

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA sync_data CASCADE;
DROP ROLE sync_writer;
