--
-- publish.c: published tables can be written by all versions when the key that
-- is their replica identity goes, changes or comes back
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_publish;
\c regression_publish
SET client_min_messages = error;
CREATE EXTENSION schemaver;
RESET client_min_messages;
\set VERBOSITY terse

-- the identity of each table: its kind, the index if it is one, who is held
CREATE VIEW identities AS
	SELECT c.relname, c.relreplident AS is,
		(SELECT indexrelid::regclass FROM pg_index
			WHERE indrelid = c.oid AND indisreplident) AS chosen,
		(SELECT string_agg(indexrelid::regclass::text
				|| CASE WHEN indisprimary THEN ' pk' ELSE '' END, ', '
				ORDER BY indexrelid::regclass::text)
			FROM pg_index WHERE indrelid = c.oid) AS keys
	FROM pg_class AS c
	WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
	ORDER BY relname;
-- UPDATE and DELETE of a row of each as a version
CREATE PROCEDURE write(version text) LANGUAGE plpgsql AS $$
DECLARE
	relation text;
BEGIN
	PERFORM schemaver.register(version::schemaver.version);
	FOREACH relation IN ARRAY ARRAY['chosen', 'gone', 'prime', 'primegone',
		'wider', 'widened', 'parted', 'filtered', 'listed', 'own']
	LOOP
		BEGIN
			EXECUTE format('UPDATE %I SET note = %L WHERE note <> %2$L',
				relation, version);
			EXECUTE format('DELETE FROM %I WHERE note IS NULL', relation);
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			RAISE NOTICE '%: %', relation, SQLERRM;
		WHEN OTHERS THEN
			RAISE NOTICE '%: % %', relation, SQLSTATE, SQLERRM;
		END;
	END LOOP;
	PERFORM schemaver.unregister();
END $$;

CREATE TABLE chosen (id int PRIMARY KEY, code text NOT NULL, note text);
CREATE UNIQUE INDEX chosen_code ON chosen (code);
ALTER TABLE chosen REPLICA IDENTITY USING INDEX chosen_code;
CREATE TABLE gone (id int, code text NOT NULL, note text,
	CONSTRAINT gone_code UNIQUE (code));
ALTER TABLE gone REPLICA IDENTITY USING INDEX gone_code;
CREATE TABLE prime (id int PRIMARY KEY, code text, note text);
CREATE TABLE primegone (id int PRIMARY KEY, code text, note text);
CREATE TABLE wider (id int PRIMARY KEY, code text, note text);
CREATE TABLE widened (id int PRIMARY KEY, code int NOT NULL, note text);
CREATE UNIQUE INDEX widened_code ON widened (code);
ALTER TABLE widened REPLICA IDENTITY USING INDEX widened_code;
CREATE TABLE parted (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 PARTITION OF parted FOR VALUES FROM (10) TO (20);
CREATE TABLE filtered (id int PRIMARY KEY, code int NOT NULL, note text);
CREATE UNIQUE INDEX filtered_code ON filtered (code);
ALTER TABLE filtered REPLICA IDENTITY USING INDEX filtered_code;
CREATE TABLE listed (id int PRIMARY KEY, code int, note text NOT NULL);
CREATE TABLE own (id int PRIMARY KEY, code text, note text);
CREATE TABLE hand (id int PRIMARY KEY, code text, note text);
CREATE TABLE secret (id int PRIMARY KEY, code text, note text);
CREATE TABLE inserted (id int PRIMARY KEY, code text, note text);
SET client_min_messages = error;
CREATE PUBLICATION most FOR TABLE chosen, gone, prime, primegone, wider,
	widened, parted, own, hand;
CREATE PUBLICATION few FOR TABLE filtered WHERE (code > 5),
	listed (id, note);
CREATE PUBLICATION inserts FOR TABLE inserted WITH (publish = 'insert');
RESET client_min_messages;
INSERT INTO chosen SELECT i, i, i FROM generate_series(1, 15) AS i;
INSERT INTO gone TABLE chosen;
INSERT INTO prime TABLE chosen;
INSERT INTO primegone TABLE chosen;
INSERT INTO wider TABLE chosen;
INSERT INTO widened SELECT id, id, note FROM chosen;
INSERT INTO parted SELECT id, note FROM chosen;
INSERT INTO filtered TABLE widened;
INSERT INTO listed TABLE widened;
INSERT INTO own TABLE chosen;

SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
CALL write('1');
TABLE identities;
SELECT schemaver.register('1');
SELECT schemaver.unregister();
CREATE SCHEMA other;
CREATE FUNCTION other.script() RETURNS text LANGUAGE sql AS $$ SELECT '
	DROP INDEX chosen_code;
	ALTER TABLE gone DROP code;
	ALTER TABLE prime DROP CONSTRAINT prime_pkey;
	ALTER TABLE primegone DROP id;
	ALTER TABLE wider ALTER id TYPE bigint;
	ALTER TABLE widened ALTER code TYPE bigint;
	ALTER TABLE parted DROP CONSTRAINT parted_pkey;
	DROP INDEX filtered_code;
	ALTER TABLE own DROP CONSTRAINT own_pkey;
	ALTER TABLE own REPLICA IDENTITY FULL;
	ALTER TABLE hand DROP CONSTRAINT hand_pkey;
	ALTER TABLE secret DROP CONSTRAINT secret_pkey;
	ALTER TABLE inserted DROP CONSTRAINT inserted_pkey' $$;
SELECT schemaver.apply(other.script(), '2');
TABLE identities;
\set VERBOSITY default
SELECT schemaver.apply('ALTER TABLE listed DROP CONSTRAINT listed_pkey', '2.1');
BEGIN;
SELECT schemaver.apply('ALTER TABLE listed DROP CONSTRAINT listed_pkey,
	ADD CONSTRAINT again PRIMARY KEY (id, note)', '2.1');
SELECT * FROM identities WHERE relname = 'listed';
ROLLBACK;
BEGIN;
SELECT schemaver.apply('ALTER TABLE wider DROP CONSTRAINT wider_pkey', '2.1');
ROLLBACK;
\set VERBOSITY terse
CALL write('1');
CALL write('2');
-- the newest version is not held to the key
INSERT INTO chosen VALUES (100, '1', 'x');
INSERT INTO gone (id, note) VALUES (100, 'x'), (101, 'x');
DELETE FROM chosen WHERE id = 100;
DELETE FROM gone WHERE id > 99;
SELECT relation, index_name, lost, given FROM schemaver.db_replica_identity
ORDER BY relation;

-- back: the keys hold for all again when the newer version has gone
SELECT schemaver.rollback('1');
CALL write('1');
CALL write('2');
SELECT schemaver.retire('2');
CALL write('1');
TABLE identities;
SELECT relation, index_name, lost, given FROM schemaver.db_replica_identity
ORDER BY relation;

-- forward, back and forward again
SELECT schemaver.apply(other.script(), '3');
CALL write('1');
SELECT schemaver.rollback('1');
CALL write('3');
SELECT schemaver.apply(other.script(), '3');
CALL write('1');
CALL write('3');
SELECT schemaver.register('3');
SELECT schemaver.unregister();

-- what is set by hand is left alone; another table may get the name of one
ALTER TABLE hand REPLICA IDENTITY FULL;
SELECT schemaver.apply('ALTER TABLE prime RENAME TO first;
	CREATE TABLE prime (id int PRIMARY KEY, note text)', '4');
SELECT relation, index_name, lost, given FROM schemaver.db_replica_identity
ORDER BY relation;
SELECT * FROM identities WHERE relname IN ('prime', 'first', 'hand');
CALL write('1');

-- a new key for the newest version is one for all
SELECT schemaver.register('4');
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE first ADD PRIMARY KEY (id)', '5');
SELECT * FROM identities WHERE relname IN ('first');
CALL write('1');
SELECT schemaver.rollback('4');
SELECT * FROM identities WHERE relname IN ('first');
CALL write('1');

-- the last that knew the keys is gone: what is left is what the server leaves
SELECT schemaver.retire('5');
SELECT schemaver.retire('3');
TABLE identities;
SELECT * FROM schemaver.db_replica_identity;
UPDATE chosen SET note = 'end' WHERE id = 1;
UPDATE first SET note = 'end' WHERE id = 1;
UPDATE wider SET note = 'end' WHERE id = 1;
SELECT finding, object FROM schemaver.verify()
WHERE finding <> 'changed by hand';

\c :home
DROP DATABASE regression_publish;
