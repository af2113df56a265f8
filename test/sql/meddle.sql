--
-- rollback() over what somebody has changed by hand: it works for both
-- versions, or says what is in the way and has changed nothing
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_meddle;
\c sv_meddle
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE ROLE meddler;
CREATE SCHEMA elsewhere;
CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE TABLE person (id serial PRIMARY KEY, first text NOT NULL, last text,
	age int CHECK (age > 0), email text UNIQUE, mood mood DEFAULT 'ok');
CREATE TABLE pet (id serial PRIMARY KEY,
	person int REFERENCES person ON DELETE CASCADE, name text);
CREATE FUNCTION greet(text) RETURNS text LANGUAGE sql AS
	$$SELECT 'hello ' || $1$$;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN NEW.last := upper(NEW.last); RETURN NEW; END';
CREATE TRIGGER shout BEFORE INSERT ON pet FOR EACH ROW WHEN (false)
	EXECUTE FUNCTION shout();
INSERT INTO person (first, last, age, email) VALUES ('Ada', 'Lovelace', 36, 'a');
INSERT INTO pet (person, name) VALUES (1, 'Puff');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply($$
	-- schemaver: up person.full_name = first || ' ' || last
	-- schemaver: down person.first = split_part(full_name, ' ', 1)
	-- schemaver: down person.last = split_part(full_name, ' ', 2)
	ALTER TABLE person ADD full_name text;
	UPDATE person SET full_name = first || ' ' || last;
	ALTER TABLE person DROP first, DROP last, DROP email,
		ALTER age TYPE bigint;
	ALTER TYPE mood RENAME TO feeling;
	DROP TABLE pet;
	CREATE TABLE toy (id int PRIMARY KEY);
	CREATE OR REPLACE FUNCTION greet(text) RETURNS text LANGUAGE sql AS
		$g$SELECT 'hi ' || $1$g$;
$$, '2.0.0');
SELECT schemaver.register('2.0.0');
SELECT schemaver.unregister();
SET search_path = public;

-- what both versions do
CREATE PROCEDURE elsewhere.work() LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	PERFORM schemaver.register('1.0.0');
	EXECUTE $q$INSERT INTO person (first, last, age, email)
		VALUES ('Bob', 'Babbage', 40, 'b')$q$;
	EXECUTE $q$INSERT INTO person (first, last, age, email)
		VALUES ('Bob', 'B', 41, 'b') ON CONFLICT (email)
		DO UPDATE SET age = excluded.age$q$;
	EXECUTE $q$INSERT INTO pet (person, name) VALUES (1, 'Rex')$q$;
	EXECUTE $q$UPDATE person SET mood = 'sad'::mood WHERE id = 1$q$;
	PERFORM schemaver.register('2.0.0');
	EXECUTE $q$INSERT INTO person (full_name, age)
		VALUES ('Charles X', 50)$q$;
	EXECUTE $q$UPDATE person SET age = age + 1 WHERE full_name ~ 'Ada'$q$;
	EXECUTE $q$INSERT INTO toy VALUES (1)$q$;
	PERFORM schemaver.unregister();
END $$;

-- what both versions see
CREATE FUNCTION elsewhere.seen(version text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	part text;
BEGIN
	PERFORM schemaver.register(version::schemaver.version);
	EXECUTE $q$SELECT string_agg(p::text, ' ' ORDER BY id) || ' ' || greet('x')
		FROM person p$q$ INTO result;
	EXECUTE CASE version WHEN '1.0.0' THEN
		$q$SELECT string_agg(p::text, ' ' ORDER BY id) FROM pet p$q$
		ELSE 'SELECT count(*) FROM toy' END INTO part;
	PERFORM schemaver.unregister();
	RETURN version || ': ' || concat_ws(' ', result, part);
END $$;

-- change something by hand, roll back, and undo all of it
CREATE FUNCTION elsewhere.meddle(change text) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = public AS $$
DECLARE
	old text;
	new text;
	found text;
	problem text;
	detail text;
BEGIN
	BEGIN
		EXECUTE change;
		PERFORM schemaver.rollback('1.0.0');
		CALL elsewhere.work();
		old := elsewhere.seen('1.0.0');
		new := elsewhere.seen('2.0.0');
		found := (SELECT string_agg(concat_ws(' ', version, object, finding),
			', ' ORDER BY version, object) FROM schemaver.verify()
			WHERE severity = 'error');
		RAISE EXCEPTION 'done';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL;
	END;
	IF problem <> 'done' THEN
		RETURN NEXT 'ERROR: ' || problem;
		RETURN NEXT 'DETAIL: ' || detail;
	ELSE
		RETURN NEXT old;
		RETURN NEXT new;
		IF found IS NOT NULL THEN
			RETURN NEXT 'verify: ' || found;
		END IF;
	END IF;
END $$;

SET schemaver.guard = off;
SET search_path = elsewhere, public;
\pset format unaligned
\pset tuples_only on
SELECT meddle('');
-- columns that the newest version sees
SELECT meddle('ALTER TABLE person DROP age');
SELECT meddle('ALTER TABLE person DROP full_name');
SELECT meddle('ALTER TABLE person RENAME full_name TO whole_name');
SELECT meddle('ALTER TABLE person ALTER full_name SET NOT NULL');
SELECT meddle('ALTER TABLE person ALTER age TYPE numeric');
SELECT meddle('ALTER TABLE person ADD CHECK (age > 40) NOT VALID');
-- columns that it does not
SELECT meddle('ALTER TABLE person DROP schemaver_retained_age');
SELECT meddle('ALTER TABLE person RENAME schemaver_retained_age TO older');
SELECT meddle('ALTER TABLE person ADD email text');
SELECT meddle('ALTER TABLE person ADD first text, ADD last text');
SELECT meddle('ALTER TABLE person DROP CONSTRAINT schemaver_retained_person_email_key');
-- relations
SELECT meddle('DROP TABLE person CASCADE');
SELECT meddle('ALTER TABLE person RENAME TO human');
SELECT meddle('ALTER TABLE person SET SCHEMA elsewhere');
SELECT meddle('CREATE TABLE pet (id int)');
SELECT meddle('DROP TABLE schemaver_retained.pet');
SELECT meddle('ALTER TABLE schemaver_retained.pet RENAME TO dog');
SELECT meddle('ALTER TABLE schemaver_retained.pet SET SCHEMA public');
SELECT meddle('ALTER TABLE schemaver_retained.pet DROP name');
SELECT meddle('DROP TABLE toy');
SELECT meddle('ALTER TABLE person OWNER TO meddler');
-- functions and types
SELECT meddle('DROP FUNCTION greet(text)');
SELECT meddle('DROP FUNCTION shop_1_0_0.greet(text)');
SELECT meddle('CREATE OR REPLACE FUNCTION greet(text) RETURNS text
	LANGUAGE sql AS $g$SELECT ''good day '' || $1$g$');
SELECT meddle('ALTER TYPE feeling RENAME TO sense');
SELECT meddle('CREATE TYPE mood AS ENUM ()');
SELECT meddle('DROP DOMAIN shop_1_0_0.mood CASCADE');
-- what keeps both in step, and what they find
SELECT meddle('ALTER TABLE person DISABLE TRIGGER "~schemaver_sync"');
SELECT meddle('DROP VIEW shop_1_0_0.person CASCADE');
SELECT meddle('DROP SCHEMA shop_1_0_0 CASCADE');
SELECT meddle('CREATE TABLE shop_1_0_0.toy (id int)');
-- nothing of all that has stayed
SELECT meddle('');

-- columns that are kept in step are followed by hand as well: all go on writing
SET search_path = public;
ALTER TABLE person RENAME age TO years;
ALTER TABLE person RENAME schemaver_retained_first TO first_one;
INSERT INTO person (full_name, years) VALUES ('Grace Hopper', 30);
SELECT schemaver.register('1.0.0');
INSERT INTO person (first, last, age) VALUES ('Jean', 'Bartik', 31);
SELECT schemaver.register('2.0.0');
INSERT INTO person (full_name, age) VALUES ('Kay McNulty', 32);
SELECT schemaver.unregister();
SET search_path = public;
ALTER TABLE person RENAME years TO age;
SELECT first_one, schemaver_retained_last, full_name, schemaver_retained_age, age
FROM person WHERE id > 1 ORDER BY age;
-- and what is dropped is kept in step with nothing
ALTER TABLE person DROP first_one;
INSERT INTO person (full_name, age) VALUES ('Betty Holberton', 33);
SELECT schemaver_retained_last, age FROM person WHERE age = 33;

\c :home
DROP DATABASE sv_meddle;
DROP ROLE meddler;
