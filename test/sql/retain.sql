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

\c :home
DROP DATABASE sv_retain;
