--
-- Triggers that a script drops go on as they were for the versions that had
-- them: with rows, names and functions of then
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_trigger;
\c sv_trigger
CREATE EXTENSION schemaver;
\set VERBOSITY terse
CREATE TABLE post (id int PRIMARY KEY, title text, sticky boolean DEFAULT false, len int);
CREATE TABLE tally (post_id int PRIMARY KEY, sticky boolean, n int DEFAULT 0);
CREATE TABLE log (line text);
-- before: it changes the row; after: it writes elsewhere; and one per statement
CREATE FUNCTION measure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.title = 'none' THEN RETURN NULL; END IF;
	IF NEW.sticky THEN NEW.len := length(NEW.title); NEW.title := upper(NEW.title); END IF;
	RETURN NEW;
END $$;
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE tally AS t SET sticky = NEW.sticky, n = t.n + 1 WHERE t.post_id = NEW.id;
	RETURN NULL;
END $$;
CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log SELECT format('%s %s.%s %s: %s', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME,
		TG_ARGV[0], string_agg(format('%s %s', o, n), ' ' ORDER BY n.id))
		FROM old_post AS o JOIN new_post AS n USING (id) WHERE n.sticky IS NOT NULL;
	RETURN NULL;
END $$;
CREATE FUNCTION fixed() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	INSERT INTO log SELECT format('%s %s', OLD.sticky, count(sticky)) FROM post;
	RETURN OLD;
END $$;
CREATE TRIGGER measure BEFORE INSERT OR UPDATE ON post FOR EACH ROW
	EXECUTE FUNCTION measure();
CREATE TRIGGER follow AFTER UPDATE ON post FOR EACH ROW
	WHEN (OLD.sticky IS DISTINCT FROM NEW.sticky) EXECUTE FUNCTION follow();
CREATE TRIGGER write_down AFTER UPDATE ON post
	REFERENCING OLD TABLE AS old_post NEW TABLE AS new_post
	FOR EACH STATEMENT EXECUTE FUNCTION write_down('post');
CREATE TRIGGER fixed BEFORE DELETE ON post FOR EACH ROW EXECUTE FUNCTION fixed();
INSERT INTO post VALUES (1, 'one', true), (2, 'two', false);
INSERT INTO tally VALUES (1, true), (2, false);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
PREPARE set_sticky AS UPDATE post SET sticky = NOT sticky WHERE id = 1 RETURNING *;
EXECUTE set_sticky;
TABLE log;

SELECT schemaver.apply($$
	DROP TRIGGER measure ON post;
	DROP TRIGGER follow ON post;
	DROP TRIGGER write_down ON post;
	DROP TRIGGER fixed ON post;
	DROP FUNCTION measure, follow, write_down;
	ALTER TABLE post DROP COLUMN sticky;
	ALTER TABLE post RENAME title TO heading;
	ALTER TABLE post RENAME TO article;
	ALTER TABLE article ADD COLUMN stamp text DEFAULT 'new';
	ALTER TABLE tally DROP COLUMN sticky;
	ALTER TABLE tally RENAME TO article_tally;
$$, '2');
EXECUTE set_sticky;
UPDATE post SET sticky = true WHERE id = 2 RETURNING *;
UPDATE post SET sticky = sticky WHERE id = 2 RETURNING *;
INSERT INTO post VALUES (3, 'three', true), (4, 'none', true) RETURNING *;
INSERT INTO post (id, title) VALUES (5, 'five') RETURNING *;
DELETE FROM post WHERE id = 5;
TABLE tally ORDER BY 1;
TABLE log;
-- the newest version has none of them
SELECT schemaver.register('2');
INSERT INTO article (id, heading) VALUES (6, 'none'), (7, 'seven');
UPDATE article SET heading = 'Seven', stamp = 'changed' WHERE id = 7;
DELETE FROM article WHERE id = 6;
TABLE article ORDER BY 1;
TABLE article_tally ORDER BY 1;
SELECT count(*) FROM log;

-- a function that was replaced, before or after its trigger was dropped, or
-- that stays as it is
SELECT schemaver.apply($$
	CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.heading := NEW.heading || ''!''; RETURN NEW; END';
	CREATE FUNCTION ask() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.heading := NEW.heading || ''?''; RETURN NEW; END';
	CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.heading := NEW.heading || ''.''; RETURN NEW; END';
	CREATE TRIGGER a_shout BEFORE INSERT ON article FOR EACH ROW EXECUTE FUNCTION shout();
	CREATE TRIGGER b_ask BEFORE INSERT ON article FOR EACH ROW EXECUTE FUNCTION ask();
	CREATE TRIGGER c_stop BEFORE INSERT ON article FOR EACH ROW EXECUTE FUNCTION stop();
	CREATE TRIGGER d_stop BEFORE INSERT ON article_tally FOR EACH ROW
		WHEN (NEW.n < 0) EXECUTE FUNCTION stop();
$$, '3');
SELECT schemaver.register('3');
INSERT INTO article (id, heading) VALUES (8, 'eight') RETURNING *;
SELECT schemaver.apply($$
	CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.topic := 1; RETURN NEW; END';
	DROP TRIGGER a_shout ON article;
	DROP TRIGGER b_ask ON article;
	CREATE OR REPLACE FUNCTION ask() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.topic := 2; RETURN NEW; END';
	DROP TRIGGER c_stop ON article;
	ALTER TABLE article RENAME heading TO topic;
$$, '4');
INSERT INTO article (id, heading) VALUES (9, 'nine') RETURNING *;
SELECT schemaver.apply('DROP FUNCTION shout(), ask(); DROP TRIGGER d_stop ON article_tally;
	CREATE OR REPLACE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
		''BEGIN RETURN NULL; END''', '5');
INSERT INTO article (id, heading) VALUES (10, 'ten') RETURNING *;
SELECT schemaver.register('1');
INSERT INTO post VALUES (11, 'eleven', true) RETURNING *;
SELECT schemaver.rollback('3');
SELECT schemaver.register('3');
INSERT INTO article (id, heading) VALUES (12, 'twelve') RETURNING *;
SELECT tgname, tgfoid::regprocedure FROM pg_trigger
	WHERE tgrelid IN ('public.article'::regclass, 'public.article_tally'::regclass) AND NOT tgisinternal ORDER BY 1;
SELECT schemaver.register('4');
INSERT INTO article (id, topic) VALUES (13, 'thirteen') RETURNING *;
SELECT schemaver.rollback('1');
SELECT schemaver.register('1');
INSERT INTO post VALUES (14, 'fourteen', true) RETURNING *;
UPDATE post SET sticky = false WHERE id = 1 RETURNING *;
SELECT schemaver.register('3');
INSERT INTO article (id, heading) VALUES (15, 'fifteen') RETURNING *;

SELECT schemaver.unregister();
SET client_min_messages = warning;
DROP EXTENSION schemaver CASCADE;
DROP TABLE post, tally, log CASCADE;
DROP FUNCTION measure, follow, write_down, fixed CASCADE;

-- what takes over the work of a trigger takes its place for all
CREATE EXTENSION schemaver;
RESET client_min_messages;
CREATE TABLE person (id int PRIMARY KEY, name text, old_note text);
CREATE TABLE person_sum (person_id int PRIMARY KEY);
CREATE FUNCTION sum_up() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO person_sum VALUES (NEW.id); RETURN NULL; END';
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN NEW.old_note := ''noted''; RETURN NEW; END';
CREATE TRIGGER sum_up AFTER INSERT ON person FOR EACH ROW EXECUTE FUNCTION sum_up();
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON person FOR EACH ROW EXECUTE FUNCTION note();
SELECT schemaver.create_product('crm');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.apply($$
	ALTER TABLE person_sum RENAME TO human_sum;
	ALTER TABLE person DROP COLUMN old_note;
	DROP TRIGGER sum_up ON person;
	DROP TRIGGER note ON person;
	DROP FUNCTION sum_up(), note();
	CREATE FUNCTION sum_up_human() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN INSERT INTO human_sum VALUES (NEW.id); RETURN NULL; END';
	CREATE TRIGGER sum_up_human AFTER INSERT OR DELETE ON person FOR EACH ROW
		EXECUTE FUNCTION sum_up_human();
	CREATE FUNCTION trim_name() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.name := trim(NEW.name); RETURN NEW; END';
	CREATE TRIGGER trim_name BEFORE INSERT OR UPDATE ON person FOR EACH ROW
		EXECUTE FUNCTION trim_name();
$$, '2');
INSERT INTO person (id, name) VALUES (1, ' Ann ') RETURNING *;
TABLE person_sum;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.person'::regclass ORDER BY 1;
SELECT schemaver.unregister();

\c :home
DROP DATABASE sv_trigger;
