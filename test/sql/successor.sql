--
-- first.c: the first row with its values goes, and another takes its place
--
SELECT current_database() AS home \gset
CREATE DATABASE regression_successor;
\c regression_successor
SET client_min_messages = error;
CREATE EXTENSION schemaver;
\set VERBOSITY terse

CREATE TABLE owner (id int PRIMARY KEY);
CREATE TABLE mail (id int PRIMARY KEY, owner int REFERENCES owner ON DELETE
	CASCADE, address text, n int DEFAULT 0,
	CONSTRAINT mail_key UNIQUE (address));
CREATE TABLE pair (id int PRIMARY KEY, a int, b int,
	CONSTRAINT pair_key UNIQUE NULLS NOT DISTINCT (a, b));
CREATE TABLE part (region int, id int, code int, UNIQUE (region, code))
	PARTITION BY LIST (region);
CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2);
INSERT INTO owner VALUES (1), (2);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.apply('ALTER TABLE mail DROP CONSTRAINT mail_key;
	ALTER TABLE pair DROP CONSTRAINT pair_key;
	ALTER TABLE part DROP CONSTRAINT part_region_code_key', '2');
CREATE VIEW marks AS
	SELECT 'mail' AS "table", id, schemaver_retained_mail_key::text AS mark
	FROM public.mail
	UNION ALL SELECT 'pair', count(*), count(*)
		FILTER (WHERE schemaver_retained_pair_key = 0) || ' marked'
		FROM public.pair GROUP BY a, b
	UNION ALL SELECT tableoid::regclass::text, id,
		schemaver_retained_part_region_code_key::text FROM public.part
	ORDER BY 1, 2;

-- the newest version writes the same several times
SELECT schemaver.register('2');
INSERT INTO mail SELECT i, 1 + i % 2, 'a' FROM generate_series(1, 6) AS i;
INSERT INTO pair SELECT i, NULL, 1 FROM generate_series(1, 4) AS i;
INSERT INTO part SELECT 1, i, 1 FROM generate_series(1, 4) AS i;
TABLE public.marks;

-- it is deleted by either version, changed, or goes along with a parent
DELETE FROM mail WHERE id = 1;
DELETE FROM pair WHERE id = 1;
DELETE FROM part WHERE id = 1;
TABLE public.marks;
UPDATE mail SET address = 'b' WHERE id = 2;
UPDATE public.pair SET b = 2 WHERE schemaver_retained_pair_key = 0;
UPDATE part SET region = 2 WHERE id = 2;
TABLE public.marks;
SELECT schemaver.register('1');
INSERT INTO mail VALUES (10, 1, 'a');
INSERT INTO pair VALUES (10, NULL, 1);
INSERT INTO part VALUES (1, 10, 1);
INSERT INTO mail VALUES (10, 1, 'a') ON CONFLICT (address)
	DO UPDATE SET n = mail.n + 1 RETURNING id, n;
INSERT INTO part VALUES (1, 10, 1) ON CONFLICT (region, code) DO NOTHING;
DELETE FROM owner WHERE id = 2;
TABLE public.marks;
INSERT INTO mail VALUES (10, 1, 'a') ON CONFLICT (address)
	DO UPDATE SET n = mail.n + 1 RETURNING id, n;
DELETE FROM mail WHERE address = 'a';
INSERT INTO mail VALUES (10, 1, 'a') RETURNING id;

-- all at once, and what nothing has to follow
SELECT schemaver.register('2');
INSERT INTO mail VALUES (11, 1, 'a'), (12, 1, 'a'), (13, 1, NULL);
UPDATE mail SET address = address || 'x';
TABLE public.marks;
DELETE FROM mail WHERE id IN (10, 11);
TABLE public.marks;
MERGE INTO public.mail USING (VALUES (12)) AS v (x) ON id = x
	WHEN MATCHED THEN DELETE;
DELETE FROM mail;
DELETE FROM pair;
DELETE FROM part;
TABLE public.marks;

-- what is taken back
INSERT INTO mail VALUES (1, 1, 'a'), (2, 1, 'a');
BEGIN;
SAVEPOINT s;
DELETE FROM mail WHERE id = 1;
SELECT * FROM public.marks;
ROLLBACK TO s;
SELECT * FROM public.marks;
UPDATE mail SET id = 3 WHERE id = 1;
SELECT * FROM public.marks;
COMMIT;

-- a trigger of the application keeps the row
CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN RETURN NULL; END';
SET schemaver.guard = off;
CREATE TRIGGER keep BEFORE DELETE ON public.mail
	FOR EACH ROW EXECUTE FUNCTION public.keep();
DELETE FROM mail WHERE id = 3;
SELECT * FROM public.marks;
DROP TRIGGER keep ON public.mail;
RESET schemaver.guard;

-- the trigger for it is checked, and goes with the key
SELECT tgname, pg_get_triggerdef(oid) ~ 'DELETE' AS sees_deletions
FROM pg_trigger WHERE tgrelid = 'public.mail'::regclass AND NOT tgisinternal;
SELECT object, finding FROM schemaver.verify()
WHERE finding <> 'changed by hand';
DELETE FROM mail;
SELECT schemaver.unregister();
SET client_min_messages = error;
DROP VIEW public.marks;
SELECT schemaver.retire('1');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'public.mail'::regclass
	AND NOT tgisinternal;

\c :home
DROP DATABASE regression_successor;
