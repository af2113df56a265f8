/* schemaver--0.1.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION schemaver" to load this file. \quit

-- Everybody may look and register; who may migrate is granted by hand.
GRANT USAGE ON SCHEMA schemaver TO PUBLIC;

COMMENT ON SCHEMA schemaver IS
	'versions of applications and what each of them expects of the schema';

--
-- version.c: the type
--

--
-- catalog.c: the tables
--
-- They are read and written by catalog.c alone.  Names in contracts are what
-- survives pg_dump; OIDs and column numbers beside them are links that hold
-- in one database, and db_product.extension tells which.
--

CREATE SEQUENCE schemaver.db_product_id_seq AS integer;
CREATE SEQUENCE schemaver.db_schema_version_id_seq AS integer;
CREATE SEQUENCE schemaver.db_version_history_id_seq;
CREATE SEQUENCE schemaver.db_contract_entry_id_seq AS integer;

CREATE TABLE schemaver.db_product (
	id			integer PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_product_id_seq'),
	name		text NOT NULL UNIQUE CHECK (name <> ''),
	schemas		text[] NOT NULL,
	exact		boolean NOT NULL,
	complete	boolean NOT NULL,
	current		integer,
	extension	oid NOT NULL,
	created_on	timestamptz NOT NULL,
	created_by	text NOT NULL
);

CREATE TABLE schemaver.db_schema_version (
	id			integer PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_schema_version_id_seq'),
	product_id	integer NOT NULL REFERENCES schemaver.db_product,
	version		schemaver.version NOT NULL,
	description	text,
	update_on	timestamptz NOT NULL,
	update_by	text NOT NULL,
	schemas		text[] NOT NULL,
	retired_on	timestamptz,
	contract	integer[] NOT NULL,
	UNIQUE (product_id, version)
);

-- One row or more for a version that an instance has ever registered under:
-- appended to, never updated, so that no registration waits for another.
CREATE TABLE schemaver.db_registration (
	version_id	integer NOT NULL,
	registered_on timestamptz NOT NULL,
	registered_by text NOT NULL
);
CREATE INDEX db_registration_version ON schemaver.db_registration (version_id);

CREATE TABLE schemaver.db_version_history (
	id			bigint PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_version_history_id_seq'),
	product_id	integer NOT NULL,
	product_name text NOT NULL,
	action		text NOT NULL,
	from_version schemaver.version,
	version		schemaver.version,
	update_on	timestamptz NOT NULL,
	update_by	text NOT NULL,
	description	text,
	reason		text,
	script		text,
	checksum	text,
	statements	integer NOT NULL,
	duration	interval NOT NULL,
	outcome		text NOT NULL
);
CREATE INDEX db_version_history_product
	ON schemaver.db_version_history (product_id, id);
CREATE INDEX db_version_history_checksum
	ON schemaver.db_version_history (checksum);

CREATE TABLE schemaver.db_contract_entry (
	id			integer PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_contract_entry_id_seq'),
	product_id	integer NOT NULL,
	kind		"char" NOT NULL,
	schema		text NOT NULL,
	name		text NOT NULL,
	args		text NOT NULL,
	physical_schema text NOT NULL,
	physical_name text NOT NULL,
	physical	oid NOT NULL,
	rowsecurity	boolean NOT NULL,
	definition	text
);
CREATE INDEX db_contract_entry_physical
	ON schemaver.db_contract_entry (physical);

CREATE TABLE schemaver.db_contract_part (
	entry_id	integer NOT NULL,
	kind		"char" NOT NULL,
	position	integer NOT NULL,
	name		text NOT NULL,
	physical_name text NOT NULL,
	number		smallint NOT NULL,
	object		oid NOT NULL,
	type		text,
	"notnull"	boolean NOT NULL,
	flavour		"char" NOT NULL,
	identity	"char" NOT NULL,
	generated	"char" NOT NULL,
	expression	text,
	columns		smallint[],
	PRIMARY KEY (entry_id, kind, position)
);
CREATE INDEX db_contract_part_object
	ON schemaver.db_contract_part (object);

SELECT pg_catalog.pg_extension_config_dump(x, '')
FROM pg_catalog.unnest(ARRAY[
	'schemaver.db_product_id_seq', 'schemaver.db_schema_version_id_seq',
	'schemaver.db_version_history_id_seq',
	'schemaver.db_contract_entry_id_seq',
	'schemaver.db_product', 'schemaver.db_schema_version',
	'schemaver.db_registration', 'schemaver.db_version_history',
	'schemaver.db_contract_entry', 'schemaver.db_contract_part'
	]::pg_catalog.regclass[]) AS x;

GRANT SELECT ON ALL TABLES IN SCHEMA schemaver TO PUBLIC;

--
-- registry.c: register, unregister
--

CREATE FUNCTION schemaver.register(version schemaver.version,
								   product text DEFAULT NULL)
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_register'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.register(schemaver.version, text) IS
	'register this session under a version of a product; returns the schema version that it stands for';

CREATE FUNCTION schemaver.unregister()
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_unregister'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.unregister() IS
	'end this session''s registration; false if it had none';

--
-- compat.c: reconcile
--

--
-- apply.c: create_product, baseline, apply
--

--
-- guard.c: event triggers
--

--
-- status.c: views and status()
--
