-- What random walks through migrations, rollbacks and retirements have found:
-- see test/t/064_walk.pl.
SELECT current_database() AS home \gset
CREATE DATABASE sv_walk;
\c sv_walk
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
SET schemaver.job_workers = 0;
\set QUIET on

-- a foreign key that comes back after a retirement, to a key that holds for
-- some versions alone until then
CREATE TABLE person (id int PRIMARY KEY, n int);
CREATE TABLE pet (id int PRIMARY KEY, owner int REFERENCES person);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply(
	'ALTER TABLE person DROP CONSTRAINT person_pkey CASCADE', '2.0.0');
SELECT schemaver.register('2.0.0');
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.retire('2.0.0');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid IN ('person'::regclass, 'pet'::regclass) ORDER BY 1;

-- or goes on doing so, since there are duplicates
SELECT schemaver.apply(
	'DROP TABLE pet; ALTER TABLE person DROP CONSTRAINT person_pkey CASCADE',
	'3.0.0');
SELECT schemaver.register('3.0.0');
INSERT INTO person VALUES (1), (1);
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.retire('3.0.0');
SELECT severity, object, finding, detail FROM schemaver.verify();
DELETE FROM person;
SELECT schemaver.unregister();

-- keys of two versions over the same columns, neither of which holds for all
CREATE TABLE item (a int, b int, PRIMARY KEY (a, b));
INSERT INTO item VALUES (1, 1);
SELECT schemaver.apply('CREATE SEQUENCE number', '4.0.0');
SELECT schemaver.register('4.0.0');
SET schemaver.inline_pages = 0;
SELECT schemaver.apply($$
ALTER TABLE item DROP CONSTRAINT item_pkey;
ALTER TABLE item ADD CONSTRAINT item_pkey PRIMARY KEY (a, b);
$$, '5.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.register('5.0.0');
SET schemaver.inline_pages = DEFAULT;
SELECT schemaver.rollback('4.0.0');
SELECT schemaver.register('4.0.0');
INSERT INTO item VALUES (1, 1), (2, 2) ON CONFLICT (a, b) DO NOTHING RETURNING *;
SELECT schemaver.register('5.0.0');
INSERT INTO item VALUES (3, 3), (1, 1) ON CONFLICT (a, b) DO NOTHING RETURNING *;
SELECT schemaver.unregister();
SELECT schemaver.retire('5.0.0');

-- a key that is made again by a job, and a version that is made before that
SELECT $$
ALTER TABLE item DROP CONSTRAINT item_pkey;
ALTER TABLE item ADD CONSTRAINT item_pkey PRIMARY KEY (a, b);
$$ AS again \gset
SET schemaver.inline_pages = 0;
SELECT schemaver.apply(:'again', '6.0.0');
SELECT schemaver.rollback('4.0.0');
SELECT schemaver.apply(:'again', '6.0.0');
SELECT schemaver.apply('CREATE TABLE other ()', '7.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.retire('6.0.0');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'item'::regclass;

-- constraints that have another name, or are gone, before a job looks at them
SELECT schemaver.apply('ALTER TABLE item ADD CONSTRAINT one CHECK (a > 0),
	ADD CONSTRAINT two CHECK (b > 0)', '8.0.0');
SELECT schemaver.apply('ALTER TABLE item DROP CONSTRAINT two;
	ALTER TABLE item RENAME CONSTRAINT one TO two', '9.0.0');
CALL schemaver.run_jobs();
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'item'::regclass ORDER BY 1;
SET schemaver.inline_pages = DEFAULT;

-- a key of the version after the one that is made current again by the way
SELECT schemaver.register('9.0.0');
SELECT schemaver.apply('CREATE TABLE more ()', '10.0.0');
SELECT schemaver.register('10.0.0');
SELECT schemaver.apply('ALTER TABLE item ADD UNIQUE (a)', '11.0.0');
SELECT schemaver.register('11.0.0');
SELECT schemaver.rollback('9.0.0');
SELECT schemaver.apply('CREATE TABLE more ()', '10.0.0');
SELECT schemaver.register('10.0.0');
BEGIN;
INSERT INTO item VALUES (5, 5), (5, 6);
ROLLBACK;
SELECT schemaver.unregister();
SELECT schemaver.apply('ALTER TABLE item ADD UNIQUE (a)', '11.0.0');
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'item'::regclass ORDER BY 1;

-- NOT NULL that a default fills, cast to a length
SELECT schemaver.apply($$ALTER TABLE item DROP b;
	ALTER TABLE item ADD b varchar(30) NOT NULL DEFAULT '2'$$, '12.0.0');
SELECT schemaver.register('12.0.0');
SELECT schemaver.rollback('11.0.0');
SELECT schemaver.apply($$ALTER TABLE item DROP b;
	ALTER TABLE item ADD b varchar(30) NOT NULL DEFAULT '2'$$, '12.0.0');
SELECT attname, attnotnull FROM pg_attribute
WHERE attrelid = 'public.item'::regclass AND attname = 'b';
SELECT schemaver.unregister();
SELECT schemaver.retire('11.0.0');

-- versions after ones that were rolled back write what they know, like those
-- before; types of columns
CREATE TABLE thing (a int PRIMARY KEY, b int, c int UNIQUE);
INSERT INTO thing VALUES (1, 1, 1);
SELECT schemaver.apply('CREATE TABLE most ()', '13.0.0');
SELECT schemaver.register('13.0.0');
SELECT schemaver.apply('ALTER TABLE thing ALTER b TYPE text USING b::text;
	ALTER TABLE thing DROP CONSTRAINT thing_c_key', '14.0.0');
SELECT schemaver.register('14.0.0');
SELECT schemaver.rollback('13.0.0');
SELECT schemaver.apply('CREATE TABLE last ()', '15.0.0');
SELECT schemaver.register('15.0.0');
UPDATE thing SET b = 7;
SELECT schemaver.register('14.0.0');
SELECT * FROM thing;

-- and keys
SELECT schemaver.register('15.0.0');
INSERT INTO thing VALUES (2, 2, 1) ON CONFLICT (c) DO NOTHING;
SELECT schemaver.apply('ALTER TABLE thing ALTER b TYPE bigint;
	ALTER TABLE thing DROP CONSTRAINT thing_c_key', '16.0.0');
SELECT schemaver.register('16.0.0');
UPDATE thing SET b = 8;
INSERT INTO thing (a, b, c) VALUES (3, 3, 1);
SELECT schemaver.register('14.0.0');
SELECT * FROM thing ORDER BY a;
UPDATE thing SET b = '9' WHERE a = 1;
INSERT INTO thing (a, b, c) VALUES (4, '4', 1);
SELECT schemaver.register('15.0.0');
SELECT * FROM thing ORDER BY a;
INSERT INTO thing VALUES (5, 5, 1);
SELECT schemaver.register('16.0.0');
SELECT a, b, c FROM thing ORDER BY a;
SELECT severity, object, finding FROM schemaver.verify()
WHERE severity = 'error';
SELECT schemaver.unregister();
SELECT schemaver.rollback('14.0.0');
SELECT schemaver.register('16.0.0');
UPDATE thing SET b = 10 WHERE a = 1;
SELECT schemaver.register('13.0.0');
SELECT b FROM thing WHERE a = 1;
SELECT schemaver.unregister();

-- a column that means something else from a version on, and of which one that
-- was rolled back has had another type: either pair has expressions of its own
CREATE SCHEMA bank;
CREATE TABLE bank.account (id int PRIMARY KEY, amount int);
INSERT INTO bank.account VALUES (1, 1);
SELECT schemaver.create_product('till', ARRAY['bank']);
SELECT schemaver.baseline('1.0.0', 'till');
SELECT schemaver.apply('ALTER TABLE account ALTER amount TYPE text', '1.2.0',
	'till');
SELECT schemaver.register('1.2.0', 'till');
SELECT schemaver.rollback('1.0.0', 'till');
SELECT schemaver.register('1.0.0', 'till');
SELECT schemaver.apply('CREATE TABLE harmless ()', '2.0.0', 'till');
SELECT schemaver.register('2.0.0', 'till');
SELECT schemaver.apply($$
-- schemaver: up account.amount = amount * 100
-- schemaver: down account.amount = amount / 100
UPDATE account SET amount = amount * 100;
$$, '2.1.0', 'till');
CREATE FUNCTION pg_temp.seen() RETURNS TABLE (version text, rows text)
LANGUAGE plpgsql AS $$
BEGIN
	FOREACH version IN ARRAY ARRAY['1.0.0', '1.2.0', '2.0.0', '2.1.0'] LOOP
		PERFORM schemaver.register(version::schemaver.version, 'till');
		EXECUTE 'SELECT string_agg(id || '': '' || amount, '', '' ORDER BY id)
			FROM account' INTO rows;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT schemaver.register('1.0.0', 'till');
INSERT INTO account VALUES (2, 2);
SELECT * FROM pg_temp.seen();
SELECT schemaver.register('1.2.0', 'till');
INSERT INTO account VALUES (3, '3');
UPDATE account SET amount = '10' WHERE id = 1;
SELECT * FROM pg_temp.seen();
SELECT schemaver.register('2.0.0', 'till');
INSERT INTO account VALUES (4, 4);
UPDATE account SET amount = 20 WHERE id = 2;
SELECT * FROM pg_temp.seen();
SELECT schemaver.register('2.1.0', 'till');
INSERT INTO account VALUES (5, 500);
UPDATE account SET amount = 3000 WHERE id = 3;
SELECT * FROM pg_temp.seen();
SELECT severity, object, finding FROM schemaver.verify('till');

-- and so it has after a rollback, and when that version is gone
SELECT schemaver.rollback('2.0.0', 'till');
SELECT schemaver.register('2.1.0', 'till');
UPDATE account SET amount = 4000 WHERE id = 4;
SELECT schemaver.register('1.2.0', 'till');
UPDATE account SET amount = '50' WHERE id = 5;
SELECT * FROM pg_temp.seen();
SELECT schemaver.unregister();
SELECT schemaver.retire('2.1.0', 'till');
SELECT schemaver.register('1.2.0', 'till');
INSERT INTO account VALUES (6, '6');
SELECT schemaver.register('2.0.0', 'till');
INSERT INTO account VALUES (7, 7);
SELECT * FROM account ORDER BY id;
SELECT schemaver.register('1.2.0', 'till');
SELECT * FROM account ORDER BY id;
SELECT schemaver.unregister();

-- a column that goes when it has filled another one for older versions: the
-- version before writes both, and reads what it has written
SELECT schemaver.apply($$
-- schemaver: up account.cents = amount * 100
ALTER TABLE account ADD cents int;
$$, '3.0.0', 'till');
SELECT schemaver.register('3.0.0', 'till');
SELECT schemaver.apply($$
-- schemaver: down account.amount = cents / 100
ALTER TABLE account DROP amount;
$$, '4.0.0', 'till');
SELECT schemaver.register('2.0.0', 'till');
INSERT INTO account VALUES (8, 8);
SELECT schemaver.register('3.0.0', 'till');
INSERT INTO account VALUES (9, 9, 777);
UPDATE account SET cents = 222 WHERE id = 2;
SELECT schemaver.register('4.0.0', 'till');
INSERT INTO account VALUES (10, 1000);
SELECT id, cents FROM account WHERE id IN (2, 8, 9, 10) ORDER BY id;
SELECT schemaver.register('1.2.0', 'till');
SELECT * FROM account WHERE id IN (2, 8, 9, 10) ORDER BY id;
SELECT schemaver.register('3.0.0', 'till');
SELECT * FROM account WHERE id IN (2, 8, 9, 10) ORDER BY id;
SELECT schemaver.rollback('3.0.0', 'till');
SELECT schemaver.register('4.0.0', 'till');
INSERT INTO account VALUES (11, 1100);
SELECT schemaver.register('3.0.0', 'till');
INSERT INTO account VALUES (12, 12, 5);
SELECT * FROM account WHERE id > 10 ORDER BY id;
SELECT severity, object, finding FROM schemaver.verify('till');
SELECT schemaver.unregister();
SELECT schemaver.retire('4.0.0', 'till');
SELECT schemaver.retire('2.0.0', 'till');
SELECT attname FROM pg_attribute WHERE attrelid = 'bank.account'::regclass
AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

\c :home
DROP DATABASE sv_walk;
