--
-- CHECK and foreign keys on a table that is not small: they hold at once, and
-- a job looks at the rows that are there
--
CREATE DATABASE sv_defer;
\c sv_defer
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
RESET client_min_messages;
SET schemaver.inline_pages = 10;
CREATE SCHEMA tool;
CREATE FUNCTION tool.valid() RETURNS TABLE (name name, valid boolean) LANGUAGE sql AS $$
	SELECT conname, convalidated FROM pg_constraint
	WHERE contype IN ('c', 'f') AND conrelid = to_regclass('public.big') ORDER BY 1
$$;
SELECT schemaver.apply($$
	CREATE TABLE parent (id int PRIMARY KEY);
	INSERT INTO parent SELECT generate_series(0, 99);
	CREATE TABLE big (id int PRIMARY KEY, p int, pad text);
	INSERT INTO big SELECT i, i % 100, repeat('x', 100)
	FROM generate_series(1, 5000) AS i;
	CREATE TABLE small (id int)$$, '1.0.0', 'defer');
SELECT schemaver.register('1.0.0');
SET search_path = public;

-- in one transaction: no worker has begun, but new rows are checked
BEGIN;
SELECT schemaver.apply('ALTER TABLE big ADD CHECK (p >= 0),
	ADD FOREIGN KEY (p) REFERENCES parent, ADD q int CHECK (q > 0);
	ALTER TABLE small ADD CHECK (id > 0)');
SELECT * FROM tool.valid();
SELECT convalidated FROM pg_constraint WHERE conrelid = 'small'::regclass;
SAVEPOINT s;
INSERT INTO big VALUES (0, -1);
ROLLBACK TO s;
SELECT kind, relation, target FROM schemaver.jobs ORDER BY job;
COMMIT;
SELECT schemaver.wait_until_ready('1.1.0', timeout => '30 s');
SELECT * FROM tool.valid();
SELECT state, error FROM schemaver.jobs ORDER BY job;

-- rows that do not fit: the job fails and says so, the version is not ready
UPDATE big SET p = 7 WHERE id = 7;
SELECT schemaver.apply('ALTER TABLE big ADD CONSTRAINT wrong CHECK (p <> 7)');
SELECT schemaver.wait_until_ready('1.2.0', timeout => '30 s');
SELECT schemaver.register('1.2.0');
UPDATE big SET p = 8 WHERE p = 7;
SELECT schemaver.retry((SELECT job FROM schemaver.jobs WHERE state = 'failed'));
SELECT schemaver.wait_until_ready('1.2.0', timeout => '30 s');
SELECT schemaver.register('1.2.0');
SELECT * FROM tool.valid();
SELECT schemaver.unregister();

\c postgres
DROP DATABASE sv_defer WITH (FORCE);
