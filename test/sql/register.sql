--
-- schemaver.register() and schemaver.unregister()
--
-- The versions are rows made by hand: registering is tested apart from what
-- makes versions, and one that is retired or newer than the current one is
-- had for the asking.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS schemaver;
RESET client_min_messages;

-- what this session holds: one lock of the version, one of the instance
CREATE VIEW held AS
	SELECT v.version, l.objid <> 0 AS instance, l.mode
	FROM pg_locks l JOIN schemaver.db_schema_version v ON v.id = l.classid
	WHERE l.locktype = 'userlock' AND l.objsubid = 21334
		AND l.pid = pg_backend_pid()
	ORDER BY 1, 2;

CREATE FUNCTION make_version(product text, version schemaver.version,
							 retired boolean DEFAULT false,
							 current boolean DEFAULT true)
RETURNS void LANGUAGE sql AS $$
	INSERT INTO schemaver.db_schema_version
		(product_id, version, update_on, update_by, schemas, retired_on,
		 contract)
	SELECT id, $2, now(), 'test',
		ARRAY[$1 || '_' || translate($2::text, '.', '_')],
		CASE WHEN $3 THEN now() END, '{}'
	FROM schemaver.db_product WHERE name = $1;
	UPDATE schemaver.db_product p SET current = v.id
	FROM schemaver.db_schema_version v
	WHERE p.name = $1 AND v.product_id = p.id AND v.version::text = $2::text
		AND $4
$$;

CREATE FUNCTION make_product(product text, schemas text[])
RETURNS void LANGUAGE sql AS $$
	INSERT INTO schemaver.db_product
		(name, schemas, exact, complete, incarnation, created_on, created_by)
	SELECT $1, $2, true, false, 'schemaver.db_product'::regclass, now(), 'test'
$$;

-- nothing to register under
SELECT schemaver.register('1.0.0');
SELECT schemaver.register('1.0.0', 'shop');
SELECT make_product('shop', '{public}');
SELECT schemaver.register('1.0.0');

SELECT make_version('shop', '1.0.0', retired => true);
SELECT make_version('shop', '1.0.2');
SELECT make_version('shop', '1.1.0');

--
-- which version an application's version stands for
--
SHOW search_path;
SELECT schemaver.register('1.1.0');
SHOW search_path;
SELECT * FROM held;
SELECT schemaver.register('v1.0.5', 'shop');
SHOW search_path;
SELECT * FROM held;
SELECT schemaver.register('1.1');

-- each way not to be let in; nothing changes
SELECT schemaver.register('1.1.1');
SELECT schemaver.register('1.0.0');
SELECT schemaver.register('1.0.1');
SELECT schemaver.register('0.9');
SELECT schemaver.register('1.1.0', 'crm');
SELECT schemaver.register('1.x');
SELECT schemaver.register(NULL);
SHOW search_path;
SELECT * FROM held;

-- the first registration of a version is remembered, once
SELECT v.version, count(*)
FROM schemaver.db_registration r
	JOIN schemaver.db_schema_version v ON v.id = r.version_id
GROUP BY 1 ORDER BY 1;

SELECT schemaver.unregister(), schemaver.unregister();
SHOW search_path;
SELECT * FROM held;

-- after a rollback of the database a newer version than the current one is
-- still known, and an application may be of either
UPDATE schemaver.db_product SET current =
	(SELECT id FROM schemaver.db_schema_version WHERE version::text = '1.0.2');
SELECT schemaver.register('1.1.0');
SELECT schemaver.register('1.0.7');
SELECT schemaver.register('1.1.1');
SELECT schemaver.unregister();
UPDATE schemaver.db_product SET current =
	(SELECT id FROM schemaver.db_schema_version WHERE version::text = '1.1.0');

--
-- registering is part of its transaction
--
BEGIN;
SELECT schemaver.register('1.0.2');
SELECT version, instance FROM held;
ROLLBACK;
SHOW search_path;
SELECT version, instance FROM held;

BEGIN;
SELECT schemaver.register('1.0.2');
COMMIT;
-- the old version is held until the new one is certain
BEGIN;
SELECT schemaver.register('1.1.0');
SELECT version, instance FROM held;
ROLLBACK;
SHOW search_path;
SELECT version, instance FROM held;
BEGIN;
SELECT schemaver.unregister();
SHOW search_path;
SELECT version, instance FROM held;
ROLLBACK;
SHOW search_path;
SELECT version, instance FROM held;

BEGIN;
SAVEPOINT a;
SELECT schemaver.register('1.1.0');
SAVEPOINT b;
SELECT schemaver.unregister();
SAVEPOINT c;
SELECT schemaver.register('1.1.0');
RELEASE c;
ROLLBACK TO b;
SHOW search_path;
SELECT schemaver.unregister();
RELEASE b;
SELECT schemaver.register('1.1.0');
SELECT version, instance FROM held;
ROLLBACK TO a;
SHOW search_path;
SELECT version, instance FROM held;
SELECT schemaver.register('1.1.0');
RELEASE a;
COMMIT;
SHOW search_path;
SELECT version, instance FROM held;

DO $$
BEGIN
	PERFORM schemaver.unregister();
	PERFORM schemaver.register('1.0.2');
	PERFORM schemaver.register('9');
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RAISE NOTICE 'caught: %', SQLERRM;
END $$;
SHOW search_path;
SELECT version, instance FROM held;

-- twice in one transaction, under the same version
BEGIN;
SELECT schemaver.unregister();
SELECT schemaver.register('1.1.0');
SELECT schemaver.register('1.1.0');
COMMIT;
SELECT version, instance FROM held;
SELECT schemaver.unregister();
SELECT version, instance FROM held;

-- in any kind of transaction
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM schemaver.db_product;
SELECT schemaver.register('1.0.2');
COMMIT;
SELECT version, instance FROM held;
SELECT schemaver.unregister();

--
-- search_path
--
CREATE SCHEMA "My Schema";
SET search_path = "My Schema", shop_1_0_2, "$user", shop_1_0_0, public, pg_temp;
SELECT schemaver.register('1.1.0');
SHOW search_path;
SELECT schemaver.register('1.0.2');
SHOW search_path;
SELECT schemaver.unregister();
SHOW search_path;
SET search_path = '';
SELECT schemaver.register('1.1.0');
SHOW search_path;
-- one that the session has set itself is not put back, and registering
-- again puts the version schema in front
SET search_path = "My Schema";
SELECT schemaver.unregister();
SHOW search_path;
SELECT schemaver.register('1.1.0');
SET search_path = "My Schema";
SELECT schemaver.register('1.1.0');
SHOW search_path;
SELECT schemaver.unregister();
SHOW search_path;
RESET search_path;

-- called from functions with a path of their own
CREATE FUNCTION start_up(version schemaver.version)
RETURNS schemaver.version
LANGUAGE sql SET search_path = pg_catalog
AS 'SELECT schemaver.register($1)';
CREATE FUNCTION shut_down() RETURNS boolean
LANGUAGE sql SET search_path = pg_catalog
AS 'SELECT schemaver.unregister()';
SELECT start_up('1.0.2');
SHOW search_path;
SELECT start_up('1.1.0');
SHOW search_path;
SELECT shut_down();
SHOW search_path;

--
-- the locks released by hand: the registration has ended
--
SELECT schemaver.register('1.1.0');
SELECT pg_advisory_unlock_all();
SELECT schemaver.unregister();
SHOW search_path;
SELECT version, instance FROM held;

SELECT schemaver.register('1.1.0');
SELECT pg_advisory_unlock_all();
CREATE TABLE made_without (id int);
SHOW search_path;
DROP TABLE made_without;

-- in the middle of a function with a path of its own: at the next statement
CREATE FUNCTION unlock() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
	PERFORM pg_advisory_unlock_all();
	RETURN (SELECT count(*) FROM pg_class WHERE relname = 'person');
END $$;
SELECT schemaver.register('1.1.0');
SELECT unlock();
SELECT 1;
SHOW search_path;

-- in a transaction that aborts; between two registrations of one version
SELECT schemaver.register('1.1.0');
BEGIN;
SELECT pg_advisory_unlock_all();
SELECT 1;
ROLLBACK;
SELECT version, instance FROM held;
SHOW search_path;
SELECT schemaver.register('1.1.0');
BEGIN;
SELECT schemaver.unregister();
SELECT pg_advisory_unlock_all();
SELECT schemaver.register('1.1.0');
COMMIT;
SELECT version, instance FROM held;
BEGIN;
SELECT schemaver.unregister();
SELECT pg_advisory_unlock_all();
SELECT schemaver.register('1.1.0');
ROLLBACK;
SELECT version, instance FROM held;
SHOW search_path;

SELECT schemaver.register('1.1.0');
DISCARD ALL;
SHOW search_path;
SELECT version, instance FROM held;
SELECT schemaver.unregister();

-- DISCARD of anything else and RESET ALL leave the registration alone; the
-- path follows RESET ALL, being a setting
SELECT schemaver.register('1.1.0');
DISCARD PLANS;
DISCARD TEMP;
SHOW search_path;
RESET ALL;
SHOW search_path;
SELECT version, instance FROM held;
SELECT schemaver.unregister();
SHOW search_path;

--
-- several products
--
CREATE SCHEMA crm_app;
SELECT make_product('C r"m/2', '{crm_app,public}');
SELECT make_version('C r"m/2', '2023-06-04');
SELECT schemaver.register('1.1.0');
SELECT schemaver.register('1.1.0', 'shop');
SELECT schemaver.register('2023-06-05', 'C r"m/2');
SELECT schemaver.register('2023-06-04', 'C r"m/2');
SHOW search_path;
SELECT version, instance FROM held;
SELECT schemaver.register('1.1.0', 'shop');
SHOW search_path;
SELECT schemaver.unregister();
SHOW search_path;

--
-- rights
--
CREATE ROLE regress_schemaver_app;
SET ROLE regress_schemaver_app;
SELECT schemaver.register('1.1.0', 'shop');
SELECT schemaver.unregister();
RESET ROLE;
-- nobody is made to register by something that he maintains
CREATE MATERIALIZED VIEW trap AS SELECT schemaver.register('1.1.0', 'shop')::text;
CREATE MATERIALIZED VIEW trap AS SELECT schemaver.unregister();
SELECT schemaver.register('1.1.0', 'shop');
REFRESH MATERIALIZED VIEW trap;
SELECT schemaver.unregister();

--
-- schemaver.app is for the connection
--
SHOW schemaver.app;
SET schemaver.app = 'shop/1.1.0';
BEGIN;
SET LOCAL schemaver.app = 'shop/1.1.0';
ROLLBACK;
SELECT set_config('schemaver.app', 'shop/1.1.0', false);
RESET schemaver.app;
CREATE FUNCTION sets_app() RETURNS int
LANGUAGE sql SET schemaver.app = 'shop/1.1.0' AS 'SELECT 1';
ALTER ROLE regress_schemaver_app SET schemaver.app = 'shop/1.1.0';
ALTER ROLE regress_schemaver_app SET schemaver.app = 'a/b/3';
ALTER ROLE regress_schemaver_app SET schemaver.app = '';
ALTER ROLE regress_schemaver_app SET schemaver.app = 'shop/';
ALTER ROLE regress_schemaver_app SET schemaver.app = '/1.1.0';
ALTER ROLE regress_schemaver_app SET schemaver.app = 'shop';
ALTER ROLE regress_schemaver_app SET schemaver.nonsense = 'shop';
SHOW schemaver.app;

DROP MATERIALIZED VIEW trap;
DROP ROLE regress_schemaver_app;
DROP FUNCTION unlock(), start_up, shut_down;
DROP FUNCTION make_version, make_product;
DROP VIEW held;
DROP SCHEMA "My Schema", crm_app;
DELETE FROM schemaver.db_registration;
DELETE FROM schemaver.db_schema_version;
DELETE FROM schemaver.db_product;
