--
-- values that the newest version requires and older ones do not write
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_require;
\c sv_require
CREATE EXTENSION schemaver;
\set VERBOSITY default

-- what plain psql shows of a column, and the constraints and triggers
CREATE FUNCTION shape(relation regclass)
RETURNS TABLE (part text, definition text) LANGUAGE sql AS $$
	SELECT attname::text, format_type(atttypid, atttypmod) ||
		CASE WHEN attnotnull THEN ' not null' ELSE '' END ||
		coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
	FROM pg_attribute LEFT JOIN pg_attrdef
		ON adrelid = attrelid AND adnum = attnum
	WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
	UNION ALL
	SELECT * FROM (
		SELECT conname::text, pg_get_constraintdef(oid)
		FROM pg_constraint WHERE conrelid = relation ORDER BY conname) c
	UNION ALL
	SELECT tgname::text, pg_get_triggerdef(oid)
	FROM pg_trigger WHERE tgrelid = relation AND NOT tgisinternal
$$;

--
-- schemaver.on_missing_value
--
SHOW schemaver.on_missing_value;
SET schemaver.on_missing_value = ignore;
CREATE TABLE person (id int PRIMARY KEY, name text, nick text, age int, city text);
INSERT INTO person VALUES (1, 'Ann', 'a', 30, 'Oslo');
SELECT schemaver.create_product('shop', '{public}');
SELECT schemaver.baseline('1.0.0');

-- with nobody registered the old version gives way, as to anything
BEGIN;
SELECT schemaver.apply('ALTER TABLE person ALTER nick SET NOT NULL');
ROLLBACK;
SELECT schemaver.register('1.0.0');
-- no value is known
SELECT schemaver.apply('ALTER TABLE person ALTER nick SET NOT NULL');
SELECT schemaver.apply('ALTER TABLE person ADD PRIMARY KEY (nick)');
SELECT schemaver.apply('ALTER TABLE person DROP CONSTRAINT person_pkey, ADD PRIMARY KEY (nick)');
CREATE TABLE empty (id int);
SELECT schemaver.apply('ALTER TABLE person ADD must int NOT NULL');
-- existing rows are the server's business
INSERT INTO person (id) VALUES (2);
SELECT schemaver.apply('UPDATE person SET nick = name; ALTER TABLE person ALTER nick SET NOT NULL');
DELETE FROM person WHERE id = 2;

--
-- older versions may leave NULL
--
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('ALTER TABLE person ALTER nick SET NOT NULL', '1.0.1');
SELECT schemaver.apply('ALTER TABLE person ALTER nick SET NOT NULL', '1.1.0');
SELECT * FROM shape('public.person');
INSERT INTO person (id, name) VALUES (2, 'Bob');
UPDATE person SET nick = NULL WHERE id = 1;
SELECT schemaver.register('1.1.0');
INSERT INTO person (id, name) VALUES (3, 'Cid');
UPDATE person SET nick = NULL WHERE id = 1;
INSERT INTO person (id, name, nick) VALUES (3, 'Cid', 'c');
SELECT schemaver.unregister();
INSERT INTO person (id, name) VALUES (4, 'Dan');
-- one version on: NOT NULL for the newer two
SELECT schemaver.apply('ALTER TABLE person ADD email text', '1.1.1');
SELECT schemaver.register('1.1.1');
INSERT INTO person (id, name) VALUES (4, 'Dan');
SELECT schemaver.register('1.0.0');
INSERT INTO person (id, name) VALUES (4, 'Dan') RETURNING *;
-- rows without a value stay in the way
SELECT schemaver.unregister();
BEGIN;
SELECT schemaver.retire('1.0.0');
SELECT * FROM shape('public.person');
ROLLBACK;
UPDATE person SET nick = lower(name) WHERE nick IS NULL;
SELECT schemaver.retire('1.0.0');
SELECT * FROM shape('public.person');
SELECT count(*) FROM person WHERE nick IS NULL;

--
-- the newest version may change its mind
--
UPDATE person SET city = '' WHERE city IS NULL;
SELECT schemaver.register('1.1.1');
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('ALTER TABLE person ALTER city SET NOT NULL', '1.2.0');
SELECT * FROM shape('public.person') WHERE part ~ 'city';
SELECT schemaver.apply('ALTER TABLE person ALTER city DROP NOT NULL', '1.2.1');
SELECT * FROM shape('public.person') WHERE part ~ 'city';
SELECT schemaver.unregister();

--
-- values: a directive
--
UPDATE person SET email = '';
SELECT schemaver.register('1.2.1');
RESET schemaver.on_missing_value;
SELECT schemaver.apply('-- schemaver: up person.email = name ||
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.email = no_such
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.no_such = name
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up no_such.email = name
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.email = (SELECT name)
UPDATE person SET email = '''';
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.email = random()::text
UPDATE person SET email = '''';
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.email = xmin::text
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.email = person::text
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.email = max(name)
ALTER TABLE person ALTER email SET NOT NULL');
SELECT schemaver.apply('-- schemaver: up person.age = name
UPDATE person SET age = 1;
ALTER TABLE person ALTER age SET NOT NULL');
-- in the names of the version before
SELECT schemaver.apply('-- schemaver: up person.email = lower(name) || ''@example.com''
ALTER TABLE person RENAME name TO full_name;
UPDATE person SET email = full_name;
ALTER TABLE person ALTER email SET NOT NULL', '1.3.0');
SELECT * FROM shape('public.person');
INSERT INTO person (id, name, nick) VALUES (10, 'Eve', 'e') RETURNING *;
INSERT INTO person (id, name, nick, email) VALUES (11, 'Fay', 'f', 'own') RETURNING *;
UPDATE person SET name = 'Gil' WHERE id = 10 RETURNING *;
UPDATE person SET email = NULL WHERE id = 11 RETURNING *;
SELECT schemaver.register('1.3.0');
INSERT INTO person (id, full_name, nick) VALUES (12, 'Hal', 'h');
INSERT INTO person (id, full_name, nick, email) VALUES (12, 'Hal', 'h', '') RETURNING *;

--
-- values: a default that the script itself used
--
SELECT schemaver.apply('ALTER TABLE person ADD rank int NOT NULL DEFAULT 5;
ALTER TABLE person ALTER rank DROP DEFAULT', '1.4.0');
SELECT * FROM shape('public.person');
INSERT INTO person (id, full_name, nick, email) VALUES (13, 'Ida', 'i', '');
SELECT schemaver.register('1.4.0');
SELECT id, rank FROM person WHERE id >= 12 ORDER BY id;
INSERT INTO person (id, full_name, nick, email) VALUES (14, 'Jon', 'j', '');
SELECT schemaver.register('1.2.1');
COPY person (id, name, nick) FROM stdin;
14	Jon	j
\.
TABLE person;

--
-- values: the script's own UPDATE, in a DO block as well
--
SELECT schemaver.register('1.4.0');
SELECT schemaver.apply('ALTER TABLE person ADD slug text, ADD size text;
DO $$ BEGIN
	UPDATE person SET slug = lower(full_name), size = ''small'' WHERE age < 10;
	UPDATE person SET slug = lower(full_name) WHERE slug IS NULL;
	UPDATE person SET size = ''large'' WHERE age >= 10;
	UPDATE person SET size = coalesce(size, ''unknown'');
	EXECUTE ''ALTER TABLE person ALTER slug SET NOT NULL, ALTER size SET NOT NULL'';
END $$', '1.5.0');
INSERT INTO person (id, full_name, nick, email, rank, age) VALUES (15, 'Kim', 'k', '', 1, 4);
INSERT INTO person (id, full_name, nick, email, rank, age) VALUES (16, 'Lea', 'l', '', 1, 40);
INSERT INTO person (id, full_name, nick, email, rank) VALUES (17, 'Max', 'm', '', 1);
SELECT schemaver.register('1.5.0');
SELECT id, slug, size FROM person WHERE id >= 15 ORDER BY id;
INSERT INTO person (id, full_name, nick, email, rank) VALUES (18, 'Ned', 'n', '', 1);
-- not from other tables, nor from what is never run
SELECT schemaver.apply('UPDATE person SET city = (SELECT ''x'');
CREATE FUNCTION f() RETURNS void LANGUAGE sql AS ''UPDATE person SET city = ''''y'''''';
ALTER TABLE person ALTER city SET NOT NULL');
SELECT schemaver.apply('UPDATE person p SET city = ''x'' FROM empty;
UPDATE person SET city = ''x'' || random();
ALTER TABLE person ALTER city SET NOT NULL');
-- what may be null
BEGIN;
SELECT schemaver.apply('UPDATE person SET age = 1, city = upper(city) || nick;
UPDATE person SET city = age::text;
ALTER TABLE person ALTER city SET NOT NULL', '1.6.0');
ROLLBACK;
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('UPDATE person SET age = 1;
UPDATE person SET city = age::text;
ALTER TABLE person ALTER city SET NOT NULL', '1.6.0');
INSERT INTO person (id, full_name, nick, email, rank, slug, size, age) VALUES (18, 'Ned', 'n', '', 1, '', '', 7) RETURNING city;
INSERT INTO person (id, full_name, nick, email, rank, slug, size) VALUES (19, 'Ole', 'o', '', 1, '', '') RETURNING city;
SELECT * FROM shape('public.person');
UPDATE person SET city = '' WHERE city IS NULL;
SELECT schemaver.unregister();
SELECT schemaver.retire('1.5.0');
SELECT * FROM shape('public.person');

--
-- primary keys
--
CREATE SCHEMA keys;
CREATE TABLE keys.t (a int, b int, c text);
CREATE TABLE keys.p (a int, b int) PARTITION BY LIST (a);
CREATE TABLE keys.p1 PARTITION OF keys.p FOR VALUES IN (1);
SELECT schemaver.create_product('keys', '{keys}');
SELECT schemaver.baseline('1.0', 'keys');
SELECT schemaver.register('1.0', 'keys');
SELECT schemaver.apply('ALTER TABLE t ADD PRIMARY KEY (a);
ALTER TABLE p ADD PRIMARY KEY (a, b)', product => 'keys');
SELECT * FROM shape('keys.t') UNION ALL SELECT * FROM shape('keys.p') UNION ALL SELECT * FROM shape('keys.p1');
INSERT INTO t (c) VALUES ('x'), ('y');
INSERT INTO p VALUES (1, NULL);
SELECT schemaver.register('1.1', 'keys');
INSERT INTO t (c) VALUES ('z');
SELECT schemaver.apply('ALTER TABLE t ADD d int', product => 'keys');
SELECT schemaver.unregister();
UPDATE keys.t SET a = ascii(c);
UPDATE keys.p SET b = 0;
SELECT schemaver.retire('1.0', 'keys');
SELECT * FROM shape('keys.t') UNION ALL SELECT * FROM shape('keys.p') UNION ALL SELECT * FROM shape('keys.p1');

--
-- back and forth
--
CREATE SCHEMA shift;
CREATE TABLE shift.t (id int PRIMARY KEY, a text, b text);
INSERT INTO shift.t VALUES (1, 'x', 'y');
SELECT schemaver.create_product('shift', '{shift}');
SELECT schemaver.baseline('1.0.0', 'shift');
SELECT schemaver.register('1.0.0', 'shift');
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply('ALTER TABLE t ALTER a SET NOT NULL', '1.1.0', 'shift');
SELECT schemaver.apply('-- schemaver: up t.b = coalesce(a, id::text)
ALTER TABLE t ALTER b SET NOT NULL;
ALTER TABLE t ADD c int NOT NULL DEFAULT 1;
ALTER TABLE t ALTER c DROP DEFAULT', '1.2.0', 'shift');
SELECT schemaver.apply('ALTER TABLE t ADD CHECK (id > 0), ADD UNIQUE (b)', '1.3.0', 'shift');
SELECT schemaver.register('1.3.0', 'shift');
SELECT schemaver.unregister();
SET search_path = shift, public;
SELECT schemaver.rollback('1.0.0', 'shift');
SELECT * FROM shape('shift.t');
INSERT INTO t VALUES (2), (3);
SELECT schemaver.register('1.3.0', 'shift');
INSERT INTO t (id, a, b, c) VALUES (4, 'x', 'z', 1);
TABLE t;
SELECT schemaver.unregister();
-- the newer versions may go: nothing is demanded any more
BEGIN;
SELECT schemaver.retire('1.2.0', 'shift');
SELECT * FROM shape('shift.t');
ROLLBACK;
SELECT schemaver.apply('ALTER TABLE t ADD CHECK (id > 0), ADD UNIQUE (b)', '1.3.0', 'shift');
SELECT * FROM shape('shift.t');
INSERT INTO t VALUES (5);
SELECT schemaver.register('1.0.0', 'shift');
INSERT INTO t VALUES (5);
INSERT INTO t VALUES (-5);
SELECT schemaver.register('1.3.0', 'shift');
TABLE t;
SELECT schemaver.unregister();
UPDATE t SET a = '' WHERE a IS NULL;
SELECT schemaver.retire('1.2.0', 'shift');
SELECT * FROM shape('shift.t');

--
-- a column that older versions have left NULL changes its type, or goes
--
CREATE SCHEMA chain;
CREATE TABLE chain.t (gone int, id int PRIMARY KEY, name text, long_before int);
ALTER TABLE chain.t DROP gone;
CREATE INDEX an_index_whose_name_is_longer_than_what_a_hidden_one_can_hold
	ON chain.t (long_before);
SELECT schemaver.create_product('chain', '{chain}');
SELECT schemaver.baseline('1.0.0', 'chain');
SELECT schemaver.register('1.0.0', 'chain');
SELECT schemaver.apply('ALTER TABLE t ADD phone int, ADD fax int;
ALTER TABLE t ALTER phone SET NOT NULL, ALTER fax SET NOT NULL', '2.0.0', 'chain');
INSERT INTO t VALUES (1, 'old');
SELECT schemaver.register('2.0.0', 'chain');
-- the rows that are there are filled, whatever else they lack
SELECT schemaver.apply('-- schemaver: up t.caps = upper(name)
-- schemaver: down t.name = lower(caps)
ALTER TABLE t ADD caps text;
ALTER TABLE t ALTER phone TYPE bigint, DROP name, ALTER long_before TYPE bigint;
ALTER TABLE t DROP fax', '3.0.0', 'chain');
SELECT * FROM shape('chain.t');
-- what is required of the newest stays so, and what it does not know is not
SELECT schemaver.register('3.0.0', 'chain');
INSERT INTO t (id, caps) VALUES (2, 'NEW');
INSERT INTO t (id, caps, phone) VALUES (2, 'NEW', 3);
SELECT schemaver.register('1.0.0', 'chain');
INSERT INTO t VALUES (3, 'old');
TABLE chain.t;
SELECT schemaver.unregister();
-- indexes go away and come back by their names, however long
SELECT schemaver.rollback('2.0.0', 'chain');
SELECT schemaver.register('2.0.0', 'chain');
-- a second change of what was changed before, in one statement
SELECT schemaver.rollback('1.0.0', 'chain');
SELECT schemaver.apply('-- schemaver: up t.caps = upper(name)
-- schemaver: down t.name = lower(caps)
ALTER TABLE t ADD caps text;
ALTER TABLE t ALTER phone TYPE bigint, DROP name, ALTER long_before TYPE bigint;
ALTER TABLE t DROP fax', '3.0.0', 'chain');
SELECT schemaver.apply('ALTER TABLE t DROP caps, ALTER phone TYPE numeric,
	ALTER long_before TYPE numeric', '4.0.0', 'chain');
SELECT indexname FROM pg_indexes WHERE schemaname = 'chain' ORDER BY 1;
SELECT schemaver.unregister();
UPDATE chain.t SET phone = 0 WHERE phone IS NULL;
SELECT schemaver.retire('3.0.0', 'chain');
SELECT * FROM shape('chain.t');
SELECT indexname FROM pg_indexes WHERE schemaname = 'chain' ORDER BY 1;

--
-- what the script sets a column to refers to rows that it makes
--
CREATE SCHEMA stock;
SET search_path = stock;
CREATE TABLE team (id int PRIMARY KEY);
CREATE TABLE item (id int PRIMARY KEY, team int NOT NULL REFERENCES team);
INSERT INTO team VALUES (1);
INSERT INTO item VALUES (1, 1);
SELECT schemaver.create_product('stock', '{stock}');
SELECT schemaver.baseline('1.0.0', 'stock');
SELECT schemaver.register('1.0.0', 'stock');
RESET schemaver.on_missing_value;
-- where there surely is one, since the row itself or another column leads to it
-- or the script names it
SELECT schemaver.apply('CREATE TABLE kind (name varchar(20) PRIMARY KEY);
INSERT INTO kind VALUES (''few''), (''many'');
ALTER TABLE item ADD owner int REFERENCES team, ADD first int REFERENCES item,
	ADD kind varchar(20) REFERENCES kind;
UPDATE item SET owner = team, first = coalesce(first, id),
	kind = CASE WHEN id < 10 THEN ''few'' ELSE ''many'' END;
ALTER TABLE item ALTER owner SET NOT NULL, ALTER first SET NOT NULL,
	ALTER kind SET NOT NULL', '1.1.0', 'stock');
INSERT INTO item VALUES (10, 1);
TABLE stock.item;
-- where there need not be one, no value is known
SELECT 'CREATE TABLE shelf (name text PRIMARY KEY);
INSERT INTO shelf SELECT ''s'' || id FROM item;
ALTER TABLE item ADD shelf text REFERENCES shelf;
UPDATE item SET shelf = ''s'' || id;
ALTER TABLE item ALTER shelf SET NOT NULL' AS shelf \gset
SELECT schemaver.apply(:'shelf', '1.2.0', 'stock');
BEGIN;
SELECT schemaver.apply('CREATE TABLE depot (id int PRIMARY KEY);
INSERT INTO depot VALUES (1);
ALTER TABLE item ADD depot int REFERENCES depot;
UPDATE item SET depot = coalesce(depot, CASE WHEN id < 10 THEN 1 ELSE team END);
ALTER TABLE item ALTER depot SET NOT NULL', '1.2.0', 'stock');
ROLLBACK;
SET schemaver.on_missing_value = nullable;
SELECT schemaver.apply(:'shelf', '1.2.0', 'stock');
INSERT INTO item VALUES (11, 1);
SELECT * FROM stock.item ORDER BY id;
SELECT schemaver.register('1.2.0', 'stock');
INSERT INTO item VALUES (12, 1, 1, 1, 'few', 's12');
INSERT INTO item VALUES (12, 1, 1, 1, 'few');
SELECT schemaver.unregister();
UPDATE stock.item SET shelf = 's10' WHERE shelf IS NULL;
SELECT schemaver.retire('1.1.0', 'stock');
SELECT * FROM public.shape('stock.item');

-- a default that only the script's path lets be understood
CREATE SEQUENCE stock.code_seq;
CREATE FUNCTION stock.code() RETURNS text LANGUAGE sql AS
	$$SELECT 'code ' || nextval('code_seq')$$;
SET search_path = stock, public;
SELECT schemaver.apply('ALTER TABLE item ADD old_code varchar(20) DEFAULT ''old'', ADD code varchar(20)', '1.3.0', 'stock');
SELECT schemaver.register('1.3.0', 'stock');
SELECT schemaver.apply($$
	UPDATE item SET code = old_code WHERE code IS NULL;
	ALTER TABLE item DROP old_code, ALTER code SET NOT NULL, ALTER code SET DEFAULT code();
	ALTER TABLE item RENAME code TO old_code;
$$, '1.4.0', 'stock');
INSERT INTO item VALUES (13, 1, 1, 1, 'few', 's10');
SELECT id, old_code, code FROM item WHERE id = 13;
SELECT schemaver.unregister();
SELECT id, old_code FROM stock.item WHERE id = 13;
RESET search_path;

\c :home
DROP DATABASE sv_require;
