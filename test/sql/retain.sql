--
-- What a script drops stays for the versions that need it
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_retain;
\c sv_retain
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE EXTENSION file_fdw;
RESET client_min_messages;

-- the application of version 1.0.0
CREATE TABLE person (
	id		serial PRIMARY KEY,
	name	text NOT NULL,
	email	text NOT NULL UNIQUE,
	age		int CHECK (age >= 0),
	state	text NOT NULL DEFAULT 'new',
	note	text DEFAULT 'n');
CREATE INDEX person_name ON person (name);
CREATE TABLE pet (
	id		int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner	int NOT NULL REFERENCES person,
	keeper	int REFERENCES person ON DELETE SET NULL,
	name	text UNIQUE);
CREATE TABLE visit (pet int REFERENCES pet ON DELETE CASCADE, day date,
	PRIMARY KEY (pet, day));
CREATE VIEW adults AS SELECT id, name, age FROM person WHERE age > 17;
CREATE VIEW names AS SELECT name FROM adults;
CREATE MATERIALIZED VIEW ages AS SELECT age, count(*) FROM person GROUP BY age;
CREATE UNIQUE INDEX ages_age ON ages (age);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.note := coalesce(NEW.note, '') || TG_ARGV[0];
	RETURN NEW;
END $$;
CREATE TRIGGER shout BEFORE INSERT ON person
	FOR EACH ROW EXECUTE FUNCTION shout('!');
INSERT INTO person (name, email, age) VALUES ('Ann', 'ann@', 20), ('Bob', 'bob@', 3);
INSERT INTO pet (owner, keeper, name) VALUES (1, 2, 'Rex');
INSERT INTO visit VALUES (1, '2020-01-01');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');

-- an old session plans its statements before anything changes; what apply()
-- does is none of its business, so it may well be the same session
SELECT schemaver.register('1.0.0') AS version \gset
PREPARE all_persons AS SELECT * FROM person ORDER BY id;
PREPARE add_person AS INSERT INTO person (name, email, age) VALUES ($1, $2, $3)
	ON CONFLICT (email) DO UPDATE SET name = excluded.name RETURNING *;
PREPARE all_pets AS SELECT * FROM pet ORDER BY id;
PREPARE add_pet AS INSERT INTO pet (owner, name) VALUES ($1, $2)
	ON CONFLICT ON CONSTRAINT pet_name_key DO UPDATE SET owner = excluded.owner
	RETURNING *;
PREPARE all_ages AS SELECT * FROM ages ORDER BY age;
PREPARE all_adults AS SELECT a.*, n.name AS again
	FROM adults a JOIN names n USING (name) ORDER BY id;
EXECUTE all_persons;
EXECUTE all_pets;

-- what the server refuses is refused in its words
SELECT schemaver.apply('ALTER TABLE person DROP COLUMN age');
SELECT schemaver.apply('DROP TABLE person');
SELECT schemaver.apply('DROP VIEW adults');
SELECT schemaver.apply('DROP INDEX person_pkey');
SELECT schemaver.apply('ALTER TABLE person DROP CONSTRAINT person_pkey');
SELECT schemaver.apply('DROP FUNCTION shout()');
SELECT schemaver.apply('ALTER TABLE person DROP COLUMN nothing');
SELECT schemaver.apply('DROP TABLE nothing');
SELECT schemaver.apply('DROP VIEW person');
SELECT schemaver.apply('DROP TRIGGER nothing ON person');

-- 1.1.0: a column with all that depends on it, a table, a matview, a trigger
SELECT schemaver.apply($$
	DROP MATERIALIZED VIEW ages;
	ALTER TABLE person DROP COLUMN IF EXISTS nothing, DROP COLUMN age CASCADE,
		ADD COLUMN born date;
	DROP TABLE IF EXISTS nothing, visit;
	DROP TRIGGER shout ON person;
	DROP INDEX person_name;
$$);
EXECUTE all_persons;
EXECUTE add_person('Cid', 'cid@', 30);
EXECUTE add_person('Cyd', 'cid@', 31);
EXECUTE all_adults;
EXECUTE all_ages;
REFRESH MATERIALIZED VIEW CONCURRENTLY ages;
EXECUTE all_ages;
INSERT INTO visit VALUES (1, '2020-01-01'), (1, '2020-01-02')
	ON CONFLICT (pet, day) DO NOTHING RETURNING *;
SELECT p.*, count(*) FROM person p GROUP BY p.id ORDER BY id;
COPY person TO STDOUT;
COPY person (name, email, age) FROM STDIN;
Dan	dan@	44
\.
UPDATE person SET age = DEFAULT, note = DEFAULT, state = DEFAULT
	WHERE name = 'Dan' RETURNING *;
-- what the newest sees
SELECT schemaver.register('1.1.0') AS version \gset
PREPARE newer AS SELECT * FROM person ORDER BY id;
EXECUTE newer;
INSERT INTO person VALUES (DEFAULT, 'Eve', 'eve@', DEFAULT, 'x', '2000-01-01')
	RETURNING *;
SELECT count(*) FROM ages;
SELECT count(*) FROM visit;
SELECT count(*) FROM adults;
-- it is not held back by what it does not see
DELETE FROM pet WHERE id = 1 RETURNING *;
INSERT INTO pet (owner, name) VALUES (1, 'Tom');
TRUNCATE pet;
INSERT INTO pet (owner, keeper, name) VALUES (1, 2, 'Kit');

SELECT schemaver.unregister();
-- keys, foreign keys, defaults: nothing hidden holds the newest back
CREATE TABLE node (id int PRIMARY KEY, x int);
CREATE TABLE leaf (
	id		int PRIMARY KEY,
	a		int REFERENCES node,
	b		int REFERENCES node ON DELETE CASCADE,
	c		int REFERENCES node ON DELETE SET NULL ON UPDATE CASCADE,
	d		int NOT NULL REFERENCES node ON DELETE SET NULL,
	e		int REFERENCES node ON DELETE SET NULL CHECK (e IS NOT NULL));
CREATE TABLE twig (leaf int REFERENCES leaf);
CREATE TABLE keys (
	id		int PRIMARY KEY,
	a		int,
	b		text,
	state	text NOT NULL DEFAULT 'new',
	UNIQUE NULLS NOT DISTINCT (b),
	UNIQUE (a, state),
	EXCLUDE USING btree (state WITH =) WHERE (a > 100));
CREATE TABLE pair (a int, b int, c int, PRIMARY KEY (a, b), UNIQUE (b, c));
CREATE TABLE of_pair (a int, b int, FOREIGN KEY (a, b) REFERENCES pair);
CREATE STATISTICS pair_stats ON a, b FROM pair;
INSERT INTO node SELECT i, i FROM generate_series(1, 9) AS i;
INSERT INTO leaf VALUES (1, 1, 2, 3, 4, 5);
INSERT INTO pair VALUES (1, 1, 1), (1, 2, 1);
SELECT schemaver.apply('SELECT 1', '2.0.0');
SELECT schemaver.register('2.0.0') AS version \gset
SELECT schemaver.unregister();
SELECT schemaver.apply('DROP TABLE leaf CASCADE', '2.1.0');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'schemaver_retained.leaf'::regclass ORDER BY 1;
DELETE FROM node WHERE id IN (1, 4, 5);
UPDATE node SET id = 33 WHERE id = 3;
SELECT * FROM shop_2_0_0.leaf;
DELETE FROM node WHERE id = 33;
SELECT * FROM shop_2_0_0.leaf;
TRUNCATE node;
SELECT * FROM shop_2_0_0.leaf;
SELECT schemaver.apply('ALTER TABLE keys DROP b, DROP state', '2.2.0');
INSERT INTO keys (id, a) VALUES (1, 1), (2, 1), (3, 101), (4, 101);
INSERT INTO shop_2_0_0.keys (id, a, b) VALUES (5, 1, 'x') RETURNING *;
INSERT INTO shop_2_0_0.keys (id, a, b) VALUES (6, 1, 'y')
	ON CONFLICT (a, state) DO UPDATE SET b = 'yy' RETURNING *;
SELECT schemaver.apply('ALTER TABLE pair DROP b', '2.3.0');
SELECT schemaver.apply('ALTER TABLE pair DROP b CASCADE', '2.3.0');
\d pair
INSERT INTO pair (a) VALUES (1), (1);
INSERT INTO shop_2_0_0.pair VALUES (1, 2, 3) ON CONFLICT (a, b) DO UPDATE SET c = 9 RETURNING *;
INSERT INTO shop_2_0_0.pair VALUES (1, 2, 3)
	ON CONFLICT ON CONSTRAINT pair_pkey DO UPDATE SET c = 10 RETURNING *;
SELECT p.*, count(*) FROM shop_2_0_0.pair p WHERE b = 1 GROUP BY a, b;
-- a unique key alone goes on holding for those that know it
SELECT schemaver.apply('ALTER TABLE keys DROP CONSTRAINT keys_pkey', '2.4.0');
SELECT schemaver.register('2.0.0');
INSERT INTO shop_2_0_0.keys (id, a, b) VALUES (1, 9, 'z')
	ON CONFLICT (id) DO UPDATE SET b = 'zz' RETURNING *;
SELECT schemaver.unregister();
INSERT INTO keys VALUES (1, 9);
-- copies do not get what is hidden, nor its indexes
SELECT schemaver.apply($$
	CREATE TABLE copied (LIKE keys INCLUDING ALL);
	CREATE TABLE copied_as AS SELECT * FROM keys WHERE false;
	DO 'BEGIN CREATE TABLE copied_in_do AS SELECT k.* FROM keys k WHERE false;
		CREATE TABLE liked_in_do (LIKE pair INCLUDING ALL); END';
$$, '2.5.0');
\d copied
\d copied_as
\d copied_in_do
\d liked_in_do
-- what is hidden does not exist for a script, and nobody may take such names
SELECT schemaver.apply('ALTER TABLE pair DROP COLUMN schemaver_retained_b');
SELECT schemaver.apply('ALTER TABLE pair RENAME schemaver_retained_b TO b');
SELECT schemaver.apply('ALTER TABLE pair RENAME c TO schemaver_retained_x');
SELECT schemaver.apply('CREATE TABLE t (schemaver_retained_x int)');
SELECT schemaver.apply('CREATE INDEX schemaver_retained_x ON pair (c)');
ALTER TABLE pair ADD schemaver_retained_x int;
DO 'BEGIN CREATE TABLE t (schemaver_retained_x int); END';
SELECT schemaver.apply($$DO 'BEGIN INSERT INTO pair VALUES (99, 8); END'$$);
\d pair
-- an heir that is put away leaves its parent
SELECT schemaver.unregister();
CREATE TABLE parent (id int PRIMARY KEY, a int, b int);
CREATE TABLE own_child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1, 2, 3);
INSERT INTO own_child VALUES (11, 12, 13);
SELECT schemaver.apply('SELECT 31', '3.0.0');
SELECT schemaver.register('3.0.0') AS version \gset
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE parent DROP COLUMN b', '3.1.0');
SELECT schemaver.apply('DROP TABLE own_child; ALTER TABLE parent DROP COLUMN b', '3.1.0');
SELECT * FROM parent;
SELECT * FROM shop_3_0_0.parent;
SELECT * FROM shop_3_0_0.own_child;
-- what becomes a partition or an heir gets the hidden columns of its parent
SELECT schemaver.unregister();
CREATE TABLE part (id int, k int, v text, w text NOT NULL DEFAULT 'w',
	g int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE mother (id int PRIMARY KEY, a int, b int);
CREATE TABLE child (c int) INHERITS (mother);
INSERT INTO part VALUES (1, 1, 'a', 'b');
INSERT INTO child VALUES (1, 2, 3, 4);
SELECT schemaver.apply('SELECT 3', '4.0.0');
SELECT schemaver.register('4.0.0') AS version \gset
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE part DROP COLUMN w, DROP COLUMN g;
	ALTER TABLE mother DROP COLUMN b', '4.1.0');
SELECT schemaver.apply('CREATE TABLE part_3 (k int NOT NULL, v text, id int NOT NULL);
	INSERT INTO part_3 VALUES (3, ''x'', 3);
	ALTER TABLE part ATTACH PARTITION part_3 FOR VALUES IN (3);
	CREATE TABLE part_4 PARTITION OF part FOR VALUES IN (4);
	INSERT INTO part_4 VALUES (4, 4, ''y''); INSERT INTO part_1 VALUES (5, 1, ''z'');
	CREATE TABLE loner (a int, id int NOT NULL); ALTER TABLE loner INHERIT mother;
	INSERT INTO loner VALUES (2, 1); CREATE TABLE late (x int) INHERITS (mother);
	INSERT INTO late VALUES (7, 8, 9); ALTER TABLE child NO INHERIT mother', '4.2.0');
CREATE TABLE part_5 (LIKE part_1);
ALTER TABLE part ATTACH PARTITION part_5 FOR VALUES IN (5);
CREATE TABLE part_6 (id int NOT NULL, k int NOT NULL, v text);
ALTER TABLE part ATTACH PARTITION part_6 FOR VALUES IN (6);
INSERT INTO shop_4_0_0.part VALUES (1, 6, 'v', 'w6') RETURNING *;
SELECT * FROM shop_4_0_0.part ORDER BY k, id;
SELECT * FROM shop_4_0_0.mother ORDER BY 1, 2;
SELECT * FROM shop_4_0_0.child;
SELECT * FROM shop_4_2_0.late;
\d part_6

-- a domain that allows no nulls cannot be relaxed
CREATE DOMAIN filled AS text NOT NULL;
CREATE TABLE strict (id int PRIMARY KEY, a filled, b filled DEFAULT 'b');
SELECT schemaver.apply('SELECT 7', '8.0.0');
SELECT schemaver.register('8.0.0') AS version \gset
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE strict DROP a', '8.1.0');
SELECT schemaver.apply('ALTER TABLE strict DROP b', '8.1.0');
SELECT schemaver.apply('INSERT INTO strict VALUES (1, ''a'')', '8.2.0');
SELECT * FROM shop_8_0_0.strict;


-- a generated column that is put away does not keep what it is made of
CREATE FUNCTION plain_spelling(text) RETURNS text LANGUAGE sql IMMUTABLE
	AS 'SELECT lower($1)';
CREATE TABLE sheet (id int PRIMARY KEY, name text,
	plain text GENERATED ALWAYS AS (plain_spelling(name)) STORED);
CREATE VIEW sheet_needs AS
	SELECT classid::regclass, objsubid, refclassid::regclass, refobjsubid, deptype
	FROM pg_depend WHERE objid = 'public.sheet'::regclass OR objid IN
		(SELECT oid FROM pg_attrdef WHERE adrelid = 'public.sheet'::regclass);
CREATE TABLE before AS TABLE sheet_needs;
SELECT schemaver.apply('SELECT 8', '9.0.0');
SELECT schemaver.register('9.0.0') AS version \gset
INSERT INTO sheet VALUES (1, 'Ant');
SELECT schemaver.apply('ALTER TABLE sheet DROP plain;
	DROP FUNCTION plain_spelling; ALTER TABLE sheet DROP name', '10.0.0');
INSERT INTO sheet VALUES (2, 'BEE') RETURNING *;
SELECT schemaver.register('10.0.0') AS version \gset
INSERT INTO sheet VALUES (3) RETURNING *;
SELECT schemaver.rollback('9.0.0');
SELECT schemaver.register('9.0.0') AS version \gset
SELECT * FROM sheet ORDER BY id;
SELECT count(*) FROM ((TABLE before EXCEPT ALL TABLE sheet_needs)
	UNION ALL (TABLE sheet_needs EXCEPT ALL TABLE before)) AS difference;
SELECT schemaver.unregister();
SET schemaver.guard = off;
DROP FUNCTION plain_spelling;
ALTER TABLE sheet DROP name;
RESET schemaver.guard;
SELECT schemaver.apply('ALTER TABLE sheet DROP plain;
	DROP FUNCTION plain_spelling; ALTER TABLE sheet DROP name', '11.0.0');
SELECT schemaver.retire('10.0.0');
SELECT attname FROM pg_attribute
WHERE attrelid = 'sheet'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT count(*) FROM pg_proc WHERE proname = 'plain_spelling';

\c :home
DROP DATABASE sv_retain;
