--
-- Triggers of the user beside the one that keeps columns in step
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_beside;
\c sv_beside
CREATE EXTENSION schemaver;
\set VERBOSITY default
CREATE FUNCTION triggers(relation regclass) RETURNS TABLE (name text, relation regclass)
LANGUAGE sql AS $$
	SELECT tgname, tgrelid FROM pg_trigger
	WHERE tgrelid = $1 AND NOT tgisinternal ORDER BY tgname COLLATE "C"
$$;

-- they see what the newest version would write, whoever does
CREATE TABLE doc (id int PRIMARY KEY, title varchar(20), words tsvector,
	n int, note text);
CREATE FUNCTION find_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.words := to_tsvector('simple', NEW.title);
	RETURN NEW;
END $$;
CREATE TRIGGER find_words BEFORE INSERT OR UPDATE ON doc
	FOR EACH ROW EXECUTE FUNCTION find_words();
INSERT INTO doc (id, title) VALUES (1, 'one');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.apply('ALTER TABLE doc ALTER title TYPE text, ALTER n TYPE numeric', '2');
SELECT * FROM triggers('public.doc');
INSERT INTO doc (id, title) VALUES (2, 'two');
UPDATE doc SET title = 'uno' WHERE id = 1;
SELECT id, title, words FROM doc ORDER BY id;
SELECT schemaver.register('2');
INSERT INTO doc (id, title) VALUES (3, 'three');
UPDATE doc SET title = 'due' WHERE id = 2;
SELECT id, title, words FROM doc ORDER BY id;

-- what they change reaches the older version, and is computed from there
CREATE FUNCTION add_half() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.n := NEW.n + 0.25;
	RETURN NEW;
END $$;
CREATE TRIGGER add_half BEFORE INSERT OR UPDATE OF note ON public.doc
	FOR EACH ROW EXECUTE FUNCTION add_half();
SELECT schemaver.register('1');
INSERT INTO doc (id, n) VALUES (4, 10);
UPDATE doc SET note = 'old' WHERE id = 4;
SELECT id, n FROM doc WHERE id = 4;
SELECT schemaver.register('2');
SELECT id, n FROM doc WHERE id = 4;
UPDATE doc SET note = 'new' WHERE id = 4;
UPDATE doc SET n = 7.75 WHERE id = 4;
SELECT id, n FROM doc WHERE id = 4;
SELECT schemaver.register('1');
SELECT id, n FROM doc WHERE id = 4;

-- one that drops the row, one that writes to the table itself
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.title = 'drop' THEN
		RETURN NULL;
	ELSIF NEW.title = 'twice' THEN
		INSERT INTO doc (id, title, n) VALUES (NEW.id + 100, 'once', 1.75);
		NEW.title := 'more';
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON public.doc
	FOR EACH ROW EXECUTE FUNCTION meddle();
INSERT INTO doc (id, title) VALUES (5, 'drop'), (6, 'twice'), (7, 'drop'), (8, 'kept');
SELECT id, title, n, words FROM doc WHERE id > 4 ORDER BY id;
SELECT schemaver.register('2');
SELECT id, title, n, words FROM doc WHERE id > 4 ORDER BY id;
SELECT schemaver.unregister();
DROP TRIGGER meddle ON doc;

-- names that would come behind ours
CREATE TRIGGER "über" BEFORE INSERT ON doc
	FOR EACH ROW EXECUTE FUNCTION add_half();
DROP TRIGGER add_half ON doc;
SELECT * FROM triggers('public.doc');
INSERT INTO doc (id, title, n) VALUES (9, 'behind', 1.5);
SELECT id, n FROM doc WHERE id = 9;
SELECT schemaver.register('1');
SELECT id, n FROM doc WHERE id = 9;
SELECT schemaver.unregister();
ALTER TRIGGER "über" ON doc RENAME TO "über allen anderen, und dahinter noch etwas mehr";
SELECT * FROM triggers('public.doc');
ALTER TRIGGER "über allen anderen, und dahinter noch etwas mehr" ON doc
	RENAME TO "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüü";
CREATE TRIGGER "üüüüüüüüüüüüüüüüüüüüüüüüüüüüüü" AFTER INSERT ON doc
	FOR EACH ROW EXECUTE FUNCTION add_half();
-- with the table, and the guard, as they are
SELECT object, finding FROM schemaver.verify();
-- a migration makes or drops them as well
SELECT schemaver.register('2');
SELECT schemaver.apply('DROP TRIGGER "über allen anderen, und dahinter noch etwas mehr" ON doc; DROP TRIGGER find_words ON doc', '3');
SELECT schemaver.unregister();
SELECT * FROM triggers('public.doc');
SELECT schemaver.apply('CREATE TRIGGER a BEFORE INSERT ON doc
	FOR EACH ROW EXECUTE FUNCTION find_words()', '4');
SELECT * FROM triggers('public.doc');
SELECT schemaver.retire('3');
SELECT * FROM triggers('public.doc');

-- partitions: a trigger of one of them, and a row that moves is not rounded
CREATE SCHEMA parts;
CREATE TABLE parts.event (region text, id int, n int, seen int DEFAULT 0)
	PARTITION BY LIST (region);
CREATE TABLE parts.de PARTITION OF parts.event FOR VALUES IN ('de');
CREATE TABLE parts.fr PARTITION OF parts.event FOR VALUES IN ('fr');
SELECT schemaver.create_product('parts', '{parts}');
SELECT schemaver.baseline('1', 'parts');
SELECT schemaver.register('1', 'parts');
SELECT schemaver.apply('ALTER TABLE event ALTER n TYPE numeric', '2', 'parts');
SELECT schemaver.register('2', 'parts');
INSERT INTO event (region, id, n) VALUES ('de', 1, 1.25), ('fr', 2, 2.25);
SELECT schemaver.unregister();
CREATE FUNCTION parts.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.seen := NEW.seen + 1;
	RETURN NEW;
END $$;
CREATE TRIGGER see BEFORE INSERT OR UPDATE ON parts.fr
	FOR EACH ROW EXECUTE FUNCTION parts.see();
SELECT * FROM triggers('parts.event') UNION ALL SELECT * FROM triggers('parts.fr');
CREATE TABLE parts.it (seen int, n numeric, id int, region text);
CREATE TRIGGER "~~" BEFORE UPDATE ON parts.it
	FOR EACH ROW EXECUTE FUNCTION parts.see();
ALTER TABLE parts.event ATTACH PARTITION parts.it FOR VALUES IN ('it');
SELECT * FROM triggers('parts.it');
SELECT schemaver.register('1', 'parts');
UPDATE event SET region = CASE region WHEN 'de' THEN 'fr' ELSE 'de' END;
UPDATE event SET region = 'it' WHERE id = 1;
UPDATE event SET seen = seen + 10;
SELECT tableoid::regclass, * FROM parts.event ORDER BY id;
SELECT object, finding FROM schemaver.verify('parts');

\c :home
DROP DATABASE sv_beside;
