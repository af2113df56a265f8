--
-- Types that a script builds anew: what older versions hold is computed both
-- ways
--
SELECT current_database() AS home \gset
CREATE DATABASE sv_enum;
\c sv_enum
CREATE EXTENSION schemaver;
\set VERBOSITY terse
CREATE TYPE visibility AS ENUM ('Public', 'LocalOnly', 'Private');
CREATE TABLE community (id int PRIMARY KEY, visibility visibility NOT NULL DEFAULT 'Public');
INSERT INTO community VALUES (1, 'LocalOnly'), (2, 'Private');
CREATE TABLE account (id int PRIMARY KEY, sort smallint NOT NULL DEFAULT 0, pending boolean NOT NULL DEFAULT false,
	votes boolean NOT NULL DEFAULT true, level text, note text NOT NULL);
INSERT INTO account VALUES (1, 0, true, true, 'low', ''), (2, 1, false, false, 'high', ''), (3, 42, false, true, NULL, '');
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1');
SELECT schemaver.register('1');
SELECT schemaver.apply('ALTER TABLE community ADD x int', '1.1');
SELECT schemaver.register('1.1');

-- renamed, made anew and dropped, with a default that goes and comes
SELECT schemaver.apply($$
	ALTER TYPE visibility RENAME TO visibility__;
	CREATE TYPE visibility AS ENUM ('Public', 'LocalOnly', 'Private', 'Unlisted');
	ALTER TABLE community ALTER COLUMN visibility DROP DEFAULT;
	ALTER TABLE community ALTER COLUMN visibility TYPE visibility USING visibility::text::visibility;
	ALTER TABLE community ALTER COLUMN visibility SET DEFAULT 'Unlisted';
	DROP TYPE visibility__ CASCADE;
$$, '1.2');
INSERT INTO community (id) VALUES (3) RETURNING *;
INSERT INTO community VALUES (4, 'LocalOnly') RETURNING *;
UPDATE community SET visibility = DEFAULT WHERE id = 4 RETURNING *;
SELECT schemaver.register('1.2');
TABLE community;

-- USING says more than a cast
SET schemaver.plan_lock_limit = 0;
CREATE VIEW inferred AS SELECT statement, unnest(inferred) AS inferred FROM schemaver.plan($$
	ALTER TABLE account ALTER votes DROP DEFAULT;
	ALTER TABLE account ALTER votes TYPE text USING CASE votes WHEN false THEN 'Hide' ELSE 'Show' END;
$$);
TABLE inferred;
DROP VIEW inferred;
SELECT schemaver.apply($$
	CREATE TYPE sort AS ENUM ('Active', 'Hot', 'New');
	CREATE TYPE state AS ENUM ('Accepted', 'Pending', 'Required');
	CREATE TYPE votes AS ENUM ('Show', 'ShowForOthers', 'Hide');
	CREATE FUNCTION state_of(b boolean) RETURNS state LANGUAGE sql IMMUTABLE AS
		$f$SELECT CASE WHEN b THEN 'Pending'::state ELSE 'Accepted'::state END$f$;
	ALTER TABLE account
		ALTER sort DROP DEFAULT, ALTER pending DROP DEFAULT, ALTER votes DROP DEFAULT;
	ALTER TABLE account ALTER sort TYPE sort USING
		CASE sort WHEN 0 THEN 'Active' WHEN 1 THEN 'Hot' WHEN 2 THEN 'New' ELSE 'Active' END::sort;
	ALTER TABLE account ALTER pending TYPE state USING state_of(pending);
	DROP FUNCTION state_of;
	ALTER TABLE account RENAME pending TO state;
	ALTER TABLE account ALTER votes TYPE votes USING
		CASE votes WHEN false THEN 'Hide' ELSE 'Show' END::votes;
	ALTER TABLE account ALTER level TYPE int USING CASE level WHEN 'low' THEN 1 WHEN 'high' THEN 9 END;
	ALTER TABLE account ALTER votes SET DEFAULT 'ShowForOthers', ALTER sort SET DEFAULT 'New',
		ALTER state SET DEFAULT 'Required';
$$, '2');
TABLE account ORDER BY id;
SELECT schemaver.register('2');
INSERT INTO account (id, note) VALUES (4, '') RETURNING *;
INSERT INTO account (id, sort, state, votes, level, note)
	VALUES (5, 'Hot', 'Pending', 'Hide', 9, ''), (6, 'New', 'Required', 'ShowForOthers', 5, '');
SELECT schemaver.register('1.2');
TABLE account ORDER BY id;
INSERT INTO account (id, note) VALUES (7, '') RETURNING *;
INSERT INTO account VALUES (8, 2, true, false, 'high', ''), (9, 77, false, true, 'none', '') RETURNING *;
UPDATE account SET note = 'x' WHERE id IN (3, 6) RETURNING *;
UPDATE account SET sort = 1, pending = true, votes = false WHERE id = 6 RETURNING *;
SELECT schemaver.register('2');
TABLE account ORDER BY id;
-- no way back is known
SELECT schemaver.apply('ALTER TABLE account ALTER note TYPE varchar(9) USING lower(note)', '3');
SELECT schemaver.apply($$ALTER TABLE account ALTER note TYPE int USING CASE note WHEN 'a' THEN 1 ELSE 2 END$$, '3');
SELECT schemaver.apply($$ALTER TABLE account ALTER note TYPE int USING CASE WHEN note = 'a' THEN id ELSE 2 END$$, '3');

-- a statement that was prepared before a type is renamed gives what it gave
SELECT schemaver.register('2');
PREPARE sorts AS SELECT 'Hot'::sort, id FROM account WHERE id < 3 ORDER BY id;
PREPARE ordered AS SELECT DISTINCT 'Hot'::sort FROM account;
PREPARE changed AS UPDATE account SET sort = 'New' WHERE id = 1 RETURNING 'New'::sort, sort;
EXECUTE sorts;
EXECUTE changed;
SELECT schemaver.apply('ALTER TYPE sort RENAME TO sorting', '2.1');
EXECUTE sorts;
EXECUTE changed;
EXECUTE ordered;
SELECT 'Hot'::sort, 'New'::sort > 'Hot'::sort, pg_typeof('Hot'::sort);
SELECT 'Hot'::sort UNION SELECT 'New';
SELECT s, count(*) FROM (SELECT 'Hot'::sort AS s FROM account) AS a GROUP BY s;

-- a label gets another name
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
COMMENT ON TYPE mood IS 'how it is';
REVOKE USAGE ON TYPE mood FROM PUBLIC;
CREATE TABLE diary (day int PRIMARY KEY, mood mood NOT NULL DEFAULT 'ok', best mood);
CREATE INDEX ON diary (mood);
INSERT INTO diary VALUES (1, 'sad', 'happy'), (2, 'ok', NULL);
SELECT schemaver.apply('SELECT 1', '2.1.1');
SELECT schemaver.register('2.1.1');
PREPARE moods AS SELECT *, mood = 'ok' AS is_ok FROM diary ORDER BY day;
EXECUTE moods;
SELECT schemaver.apply($$
	ALTER TYPE mood RENAME VALUE 'ok' TO 'fine';
	ALTER TYPE mood RENAME VALUE 'sad' TO 'Sad';
$$, '2.2');
EXECUTE moods;
INSERT INTO diary VALUES (3) RETURNING *;
INSERT INTO diary VALUES (4, 'sad', 'ok');
SELECT 'ok'::mood, mood FROM diary WHERE mood > 'sad' ORDER BY day;
SELECT schemaver.register('2.2');
TABLE diary ORDER BY day;
INSERT INTO diary (day, mood) VALUES (5, DEFAULT), (6, 'Sad') RETURNING *;
INSERT INTO diary (day, mood) VALUES (7, 'ok');
\dT+ mood
SELECT schemaver.register('2.1.1');
EXECUTE moods;
-- what cannot be done, and what is no matter
SELECT schemaver.register('2.2');
SELECT schemaver.apply($$ALTER TYPE mood RENAME VALUE 'good' TO 'better'$$, '2.3');
SELECT schemaver.apply($$ALTER TYPE mood RENAME VALUE 'Sad' TO 'fine'$$, '2.3');
CREATE FUNCTION cheer(mood) RETURNS mood LANGUAGE sql AS $$SELECT 'happy'::mood$$;
SELECT schemaver.apply($$ALTER TYPE mood RENAME VALUE 'Sad' TO 'blue'$$, '2.3');
DROP FUNCTION cheer;
SELECT schemaver.apply($$ALTER TYPE mood RENAME VALUE 'Sad' TO 'blue'$$, '2.3');
SELECT schemaver.rollback('2.1.1');
SELECT schemaver.register('2.1.1');
EXECUTE moods;
SELECT schemaver.register('2.3');
TABLE diary ORDER BY day;
SELECT schemaver.unregister();

-- a script that writes a label which it has just made says what older versions
-- see of that; what they have seen its UPDATE leaves alone
\set VERBOSITY default
CREATE TYPE size AS ENUM ('small', 'large');
CREATE TABLE shirt (id int PRIMARY KEY, size size NOT NULL);
INSERT INTO shirt VALUES (1, 'small');
SELECT schemaver.apply('SELECT 1', '3.0');
SELECT schemaver.register('3.0');
SELECT schemaver.unregister();
\set huge 'ALTER TYPE size RENAME TO size_old; CREATE TYPE size AS ENUM (''small'', ''large'', ''huge''); ALTER TABLE shirt ALTER size TYPE size USING size::text::size; DROP TYPE size_old; UPDATE shirt SET size = ''huge'''
SELECT schemaver.apply(:'huge', '3.1');
SELECT schemaver.apply($$
-- schemaver: down shirt.size = (CASE WHEN size = 'huge' THEN 'large' ELSE size::text END)::shop_3_0.size
$$ || :'huge', '3.1');
TABLE shirt;
TABLE shop_3_0.shirt;
INSERT INTO shirt (id, size) VALUES (2, 'huge');
TABLE shop_3_0.shirt;

\c :home
DROP DATABASE sv_enum;
