-- What a job makes on the way forward again is the version's that the job is
-- for, and not that of a newer one, which has done without it.
SELECT current_database() AS home \gset
CREATE DATABASE sv_forward;
\c sv_forward
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
SET schemaver.inline_pages = 0;
SET schemaver.job_workers = 0;
\set QUIET on
CREATE TABLE item (id serial PRIMARY KEY,
	code integer CONSTRAINT item_code UNIQUE, a integer, b integer);
CREATE TABLE price (id serial PRIMARY KEY, price integer);
INSERT INTO item (code) SELECT generate_series(1, 50);
INSERT INTO price (price) SELECT generate_series(1, 50);

SELECT $$
-- schemaver: up price.price = coalesce(price, 0)
ALTER TABLE price ALTER price SET NOT NULL;
ALTER TABLE item DROP CONSTRAINT item_code;
ALTER TABLE item ADD CONSTRAINT item_code UNIQUE (code, a);
$$ AS two, $$
ALTER TABLE price ALTER price DROP NOT NULL;
ALTER TABLE item DROP CONSTRAINT item_code;
ALTER TABLE item ADD CONSTRAINT item_code UNIQUE (code, b);
$$ AS three \gset

SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.apply(:'two', '2.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.register('2.0.0');
SELECT schemaver.apply(:'three', '3.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.register('3.0.0');

-- one mark for each key, though views name the key as well
PREPARE keys AS
SELECT version, pg_get_constraintdef(object) AS key
FROM schemaver.db_schema_version AS v
JOIN schemaver.db_contract_entry AS e ON e.id = ANY (contract)
JOIN schemaver.db_contract_part AS p ON p.entry_id = e.id
WHERE e.name = 'item' AND p.name = 'item_code' ORDER BY v.version, p.object;
EXECUTE keys;
SELECT attname FROM pg_attribute
WHERE attrelid = 'public.item'::regclass AND attname LIKE 'schemaver%' ORDER BY 1;

-- to the first and forward again, by way of the second
SELECT schemaver.rollback('1.0.0');
CALL schemaver.run_jobs();
SELECT schemaver.apply(:'two', '2.0.0');
CALL schemaver.run_jobs();
SELECT attnotnull FROM pg_attribute
WHERE attrelid = 'public.price'::regclass AND attname = 'price';
EXECUTE keys;
SELECT schemaver.apply(:'three', '3.0.0');
CALL schemaver.run_jobs();
EXECUTE keys;
SELECT attnotnull FROM pg_attribute
WHERE attrelid = 'public.price'::regclass AND attname = 'price';
INSERT INTO price (price) VALUES (NULL);
INSERT INTO item (code, a, b) VALUES (1, 1, 1), (1, 1, 2);
SELECT severity, object, finding FROM schemaver.verify()
WHERE severity = 'error';

SELECT schemaver.unregister();
SELECT schemaver.retire('2.0.0');
SELECT schemaver.reconcile();
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = 'public.item'::regclass ORDER BY 1;
\c :home
DROP DATABASE sv_forward;

-- One that was rolled back and that nobody ever registered under goes with the
-- next migration; what it could not live with comes back.
CREATE DATABASE sv_forward;
\c sv_forward
SET client_min_messages = warning;
CREATE EXTENSION schemaver;
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (id integer PRIMARY KEY, parent integer REFERENCES parent,
	amount integer CHECK (amount > 0), name text NOT NULL);
SELECT schemaver.create_product('shop');
SELECT schemaver.baseline('1.0.0');
SELECT schemaver.register('1.0.0');
SELECT schemaver.unregister();
SELECT schemaver.apply($$
ALTER TABLE child DROP CONSTRAINT child_parent_fkey;
ALTER TABLE child DROP CONSTRAINT child_amount_check;
ALTER TABLE child ALTER name DROP NOT NULL;
$$, '2.0.0');
SELECT schemaver.rollback('1.0.0');
SELECT schemaver.apply($$
ALTER TABLE child ADD extra integer;
$$, '3.0.0');
SELECT version, status FROM schemaver.versions;
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE conrelid = 'child'::regclass ORDER BY 1;
SELECT attnotnull FROM pg_attribute
WHERE attrelid = 'child'::regclass AND attname = 'name';
SELECT * FROM schemaver.verify();
\c :home
DROP DATABASE sv_forward;
