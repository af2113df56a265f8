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

CREATE TYPE schemaver.version;

CREATE FUNCTION schemaver.version_in(cstring) RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_version_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_out(schemaver.version) RETURNS cstring
AS 'MODULE_PATHNAME', 'schemaver_version_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_recv(internal) RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_version_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_send(schemaver.version) RETURNS bytea
AS 'MODULE_PATHNAME', 'schemaver_version_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE schemaver.version (
	INPUT = schemaver.version_in,
	OUTPUT = schemaver.version_out,
	RECEIVE = schemaver.version_recv,
	SEND = schemaver.version_send,
	LIKE = pg_catalog.text
);

COMMENT ON TYPE schemaver.version IS
	'version of a schema: 1.0.2, 3, 2023-06-04, 20230404095503, 1.2.0-rc.1';

CREATE FUNCTION schemaver.version_lt(schemaver.version, schemaver.version)
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_version_lt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_le(schemaver.version, schemaver.version)
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_version_le'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_eq(schemaver.version, schemaver.version)
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_version_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_ne(schemaver.version, schemaver.version)
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_version_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_ge(schemaver.version, schemaver.version)
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_version_ge'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_gt(schemaver.version, schemaver.version)
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_version_gt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_cmp(schemaver.version, schemaver.version)
RETURNS integer
AS 'MODULE_PATHNAME', 'schemaver_version_cmp'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_hash(schemaver.version)
RETURNS integer
AS 'MODULE_PATHNAME', 'schemaver_version_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_hash_extended(schemaver.version, bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'schemaver_version_hash_extended'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_larger(schemaver.version, schemaver.version)
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_version_larger'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE FUNCTION schemaver.version_smaller(schemaver.version, schemaver.version)
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_version_smaller'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR schemaver.< (
	FUNCTION = schemaver.version_lt,
	LEFTARG = schemaver.version, RIGHTARG = schemaver.version,
	COMMUTATOR = OPERATOR(schemaver.>), NEGATOR = OPERATOR(schemaver.>=),
	RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel
);

CREATE OPERATOR schemaver.<= (
	FUNCTION = schemaver.version_le,
	LEFTARG = schemaver.version, RIGHTARG = schemaver.version,
	COMMUTATOR = OPERATOR(schemaver.>=), NEGATOR = OPERATOR(schemaver.>),
	RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel
);

CREATE OPERATOR schemaver.= (
	FUNCTION = schemaver.version_eq,
	LEFTARG = schemaver.version, RIGHTARG = schemaver.version,
	COMMUTATOR = OPERATOR(schemaver.=), NEGATOR = OPERATOR(schemaver.<>),
	RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel,
	HASHES, MERGES
);

CREATE OPERATOR schemaver.<> (
	FUNCTION = schemaver.version_ne,
	LEFTARG = schemaver.version, RIGHTARG = schemaver.version,
	COMMUTATOR = OPERATOR(schemaver.<>), NEGATOR = OPERATOR(schemaver.=),
	RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel
);

CREATE OPERATOR schemaver.>= (
	FUNCTION = schemaver.version_ge,
	LEFTARG = schemaver.version, RIGHTARG = schemaver.version,
	COMMUTATOR = OPERATOR(schemaver.<=), NEGATOR = OPERATOR(schemaver.<),
	RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel
);

CREATE OPERATOR schemaver.> (
	FUNCTION = schemaver.version_gt,
	LEFTARG = schemaver.version, RIGHTARG = schemaver.version,
	COMMUTATOR = OPERATOR(schemaver.<), NEGATOR = OPERATOR(schemaver.<=),
	RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel
);

-- equal versions may be spelled differently: no equalimage function
CREATE OPERATOR CLASS schemaver.version_ops
DEFAULT FOR TYPE schemaver.version USING btree AS
	OPERATOR 1 schemaver.<,
	OPERATOR 2 schemaver.<=,
	OPERATOR 3 schemaver.=,
	OPERATOR 4 schemaver.>=,
	OPERATOR 5 schemaver.>,
	FUNCTION 1 schemaver.version_cmp(schemaver.version, schemaver.version);

CREATE OPERATOR CLASS schemaver.version_ops
DEFAULT FOR TYPE schemaver.version USING hash AS
	OPERATOR 1 schemaver.=,
	FUNCTION 1 schemaver.version_hash(schemaver.version),
	FUNCTION 2 schemaver.version_hash_extended(schemaver.version, bigint);

CREATE AGGREGATE schemaver.max(schemaver.version) (
	SFUNC = schemaver.version_larger,
	STYPE = schemaver.version,
	COMBINEFUNC = schemaver.version_larger,
	SORTOP = OPERATOR(schemaver.>),
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE schemaver.max(schemaver.version) IS
	'newest of all versions';

CREATE AGGREGATE schemaver.min(schemaver.version) (
	SFUNC = schemaver.version_smaller,
	STYPE = schemaver.version,
	COMBINEFUNC = schemaver.version_smaller,
	SORTOP = OPERATOR(schemaver.<),
	PARALLEL = SAFE
);

COMMENT ON AGGREGATE schemaver.min(schemaver.version) IS
	'oldest of all versions';

CREATE FUNCTION schemaver.next(version schemaver.version,
							   kind text DEFAULT 'revision')
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_version_next'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION schemaver.next(schemaver.version, text) IS
	'the version after a version; kind is revision, minor or major';

--
-- catalog.c: the tables
--
-- They are read and written by catalog.c alone.  Names in contracts are what
-- survives pg_dump; OIDs and column numbers beside them are links that hold
-- in one database, and db_product tells which: where this table has that
-- OID, in the cluster of that identifier.  New clusters hand out the same OIDs.
--
-- No foreign keys: pg_restore --jobs would load a table before the one that
-- it refers to.
--

CREATE SEQUENCE schemaver.db_product_id_seq AS integer;
CREATE SEQUENCE schemaver.db_schema_version_id_seq AS integer;
CREATE SEQUENCE schemaver.db_version_history_id_seq;
CREATE SEQUENCE schemaver.db_contract_entry_id_seq AS integer;
CREATE SEQUENCE schemaver.db_job_id_seq AS integer;

CREATE TABLE schemaver.db_product (
	id			integer PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_product_id_seq'),
	name		text NOT NULL UNIQUE CHECK (name <> ''),
	schemas		text[] NOT NULL,
	exact		boolean NOT NULL,
	complete	boolean NOT NULL,
	current		integer,
	incarnation	oid NOT NULL,
	system_identifier bigint NOT NULL
				DEFAULT (pg_catalog.pg_control_system()).system_identifier,
	created_on	timestamptz NOT NULL,
	created_by	text NOT NULL
);

CREATE TABLE schemaver.db_schema_version (
	id			integer PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_schema_version_id_seq'),
	product_id	integer NOT NULL,
	version		schemaver.version NOT NULL,
	description	text,
	update_on	timestamptz NOT NULL,
	update_by	text NOT NULL,
	schemas		text[] NOT NULL,
	retired_on	timestamptz,
	contract	integer[] NOT NULL,
	UNIQUE (product_id, version)
);

-- finds the few that are not retired among the many that are
CREATE INDEX db_schema_version_supported
	ON schemaver.db_schema_version (product_id, retired_on);

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
	outcome		text NOT NULL,
	lsn			pg_lsn NOT NULL,
	restore_point text
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

-- A relation, and a partition of it, is known by its name after a restore, and
-- a position in one counts only within the file of that number.
CREATE TABLE schemaver.db_job (
	id			integer PRIMARY KEY
				DEFAULT pg_catalog.nextval('schemaver.db_job_id_seq'),
	product_id	integer NOT NULL,
	version_id	integer NOT NULL,
	kind		text NOT NULL CHECK (kind IN
				('backfill', 'notnull', 'index', 'attach', 'relax', 'replace',
				 'loosen', 'tighten', 'validate', 'refresh')),
	state		text NOT NULL DEFAULT 'queued' CHECK (state IN
				('queued', 'running', 'done', 'failed', 'cancelled')),
	schema		text NOT NULL,
	relation	text NOT NULL,
	relation_id	oid NOT NULL DEFAULT 0,
	name		text NOT NULL,
	definition	text,
	condition	text,
	late		boolean NOT NULL DEFAULT false,
	leaf		text,
	filenode	oid NOT NULL DEFAULT 0,
	position	bigint NOT NULL DEFAULT 0,
	blocks_done	bigint NOT NULL DEFAULT 0,
	blocks		bigint NOT NULL DEFAULT 0,
	rows		bigint NOT NULL DEFAULT 0,
	busy		bigint NOT NULL DEFAULT 0,
	attempts	integer NOT NULL DEFAULT 0,
	error		text,
	created_on	timestamptz NOT NULL DEFAULT pg_catalog.now(),
	started_on	timestamptz,
	finished_on	timestamptz
);

-- finds the few that are not finished among the many that are
CREATE INDEX db_job_unfinished ON schemaver.db_job (finished_on);

-- What the row trigger of a table was last told, which is how verify() knows
-- that somebody has taken it away.  Not dumped: the trigger itself is, and who
-- wakes a product after a restore notes it anew.
CREATE TABLE schemaver.db_sync (
	relation_id	oid PRIMARY KEY,
	arguments	text[] NOT NULL
);

-- the same of the trigger that holds older versions to NOT NULL
CREATE TABLE schemaver.db_hold (
	relation_id	oid PRIMARY KEY,
	arguments	text[] NOT NULL
);

-- What an index was called that goes by another name for a while, where no
-- contract tells: a plain one.
CREATE TABLE schemaver.db_former_name (
	schema		text NOT NULL,
	name		text NOT NULL,
	former		text NOT NULL,
	PRIMARY KEY (schema, name)
);

-- Indexes that the script of a version has dropped, and that no contract tells
-- of: plain ones.  "columns" are the names that the table's columns had.
CREATE TABLE schemaver.db_dropped_index (
	version_id	integer NOT NULL,
	relation_id	oid NOT NULL,
	schema		text NOT NULL,
	relation	text NOT NULL,
	name		text NOT NULL,
	definition	text NOT NULL,
	columns		text[] NOT NULL
);

-- Tables that have another replica identity ("given") since a key was put away
-- that was theirs: by default ("lost" is d) or by choice (i).
CREATE TABLE schemaver.db_replica_identity (
	relation_id	oid NOT NULL,
	schema		text NOT NULL,
	relation	text NOT NULL,
	index_name	text NOT NULL,
	lost		text NOT NULL,
	given		text NOT NULL
);

SELECT pg_catalog.pg_extension_config_dump('schemaver.db_product_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_schema_version_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_version_history_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_contract_entry_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_product', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_schema_version', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_registration', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_version_history', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_contract_entry', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_contract_part', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_job', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_former_name', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_dropped_index', '');
SELECT pg_catalog.pg_extension_config_dump('schemaver.db_replica_identity', '');

GRANT SELECT ON ALL TABLES IN SCHEMA schemaver TO PUBLIC;

-- Scripts may hold what is not for everybody, and errors a row's values; the
-- views "history" and "jobs" are.
REVOKE SELECT ON schemaver.db_version_history, schemaver.db_job FROM PUBLIC;

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

CREATE FUNCTION schemaver.writes_as(
	product text, versions schemaver.version[])
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_writes_as'
LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;

COMMENT ON FUNCTION schemaver.writes_as(text, schemaver.version[]) IS
	'whether this session is registered under one of these versions of the product, or replicates; the condition of triggers that only they still have';

CREATE FUNCTION schemaver.relabel(value anyelement, target anycompatible)
RETURNS anycompatible
AS 'MODULE_PATHNAME', 'schemaver_relabel'
LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION schemaver.relabel(anyelement, anycompatible) IS
	'the value of the second one''s enum that stands at the same place as a value of another enum; also for arrays. Columns are kept in step by it where a label was renamed';

CREATE FUNCTION schemaver.sequence(name regclass)
RETURNS regclass
AS 'MODULE_PATHNAME', 'schemaver_sequence'
LANGUAGE C STABLE STRICT PARALLEL SAFE;

COMMENT ON FUNCTION schemaver.sequence(regclass) IS
	'the sequence that a view of a version stands for, anything else as it is; nextval() and the like go by it in registered sessions';

--
-- retain.c: where dropped relations stay for the versions that need them
--

CREATE SCHEMA schemaver_retained;

COMMENT ON SCHEMA schemaver_retained IS
	'relations that a migration has dropped and a supported version still needs';

--
-- hold.c: older versions' NOT NULL of columns that the newest leaves out
--

CREATE FUNCTION schemaver.hold()
RETURNS trigger
AS 'MODULE_PATHNAME', 'schemaver_hold'
LANGUAGE C;

COMMENT ON FUNCTION schemaver.hold() IS
	'the trigger that holds older versions to NOT NULL; its arguments are the product, then two for each column: its name, and the versions';

--
-- check.c: older versions' CHECKs that the newest is not held to
--

CREATE FUNCTION schemaver.hold_check()
RETURNS trigger
AS 'MODULE_PATHNAME', 'schemaver_hold_check'
LANGUAGE C;

COMMENT ON FUNCTION schemaver.hold_check() IS
	'the trigger that holds older versions to a CHECK, which is in its condition; its arguments are the product, then two for each name of the CHECK: that, and the versions';

--
-- refcheck.c: what a writer's version is held to by a lost foreign key
--

CREATE FUNCTION schemaver.hold_reference()
RETURNS trigger
AS 'MODULE_PATHNAME', 'schemaver_hold_reference'
LANGUAGE C;

COMMENT ON FUNCTION schemaver.hold_reference() IS
	'the trigger that holds older versions to a foreign key of the table; its arguments are the product, match type, actions on update and on delete, then seven for each way in which versions call it: name, versions, table, columns, the table that is referred to, its columns, those that are set on delete';

CREATE FUNCTION schemaver.hold_referenced()
RETURNS trigger
AS 'MODULE_PATHNAME', 'schemaver_hold_referenced'
LANGUAGE C;

COMMENT ON FUNCTION schemaver.hold_referenced() IS
	'the trigger that holds older versions to a foreign key that refers to the table; its arguments are those of hold_reference()';

--
-- tolerate.c: hidden generated columns fail for those only who know them
--

CREATE FUNCTION schemaver.tolerate_support(internal)
RETURNS internal
AS 'MODULE_PATHNAME', 'schemaver_tolerate_support'
LANGUAGE C IMMUTABLE STRICT;

COMMENT ON FUNCTION schemaver.tolerate_support(internal) IS
	'plans calls of tolerate()';

CREATE FUNCTION schemaver.tolerate(expression anyelement, relation oid, column_name text)
RETURNS anyelement
AS 'MODULE_PATHNAME', 'schemaver_tolerate'
LANGUAGE C IMMUTABLE
SUPPORT schemaver.tolerate_support;

COMMENT ON FUNCTION schemaver.tolerate(anyelement, oid, text) IS
	'in what a hidden column is generated by: the expression''s value, or null where it fails for a version that does not have the column';

--
-- sync.c: the row trigger that keeps pairs of columns in step
--

CREATE FUNCTION schemaver.sync()
RETURNS trigger
AS 'MODULE_PATHNAME', 'schemaver_sync'
LANGUAGE C;

COMMENT ON FUNCTION schemaver.sync() IS
	'the trigger that computes the columns that the writer''s version does not write; its arguments are seven for each pair of columns: old column, new column, up, down, product, version, new or old';

--
-- key.c and first.c: unique keys that only older versions still have
--

CREATE DOMAIN schemaver.first AS boolean;

COMMENT ON DOMAIN schemaver.first IS
	'the mark at the end of a unique key that the newest version has dropped: true in the first row with its values, null in others';

CREATE DOMAIN schemaver.place AS bigint;

COMMENT ON DOMAIN schemaver.place IS
	'the mark at the end of a unique key that takes nulls for equal and that the newest version has dropped: 0 in the first row with its values, a number of their own in others';

CREATE FUNCTION schemaver.is_first(VARIADIC "any")
RETURNS boolean
AS 'MODULE_PATHNAME', 'schemaver_is_first'
LANGUAGE C STABLE PARALLEL RESTRICTED;

COMMENT ON FUNCTION schemaver.is_first("any") IS
	'within schemaver.sync(): true if no row has these values of a unique key yet, or the writer is held to the key, else null; rows are marked by it';

CREATE FUNCTION schemaver.place_apart()
RETURNS bigint
AS 'MODULE_PATHNAME', 'schemaver_place_apart'
LANGUAGE C STABLE PARALLEL RESTRICTED;

COMMENT ON FUNCTION schemaver.place_apart() IS
	'within schemaver.sync(): a number that no other row has, by all odds; a row that is not the first one with its values is marked by it';

-- called in triggers' conditions and in columns' expressions by whoever writes
GRANT EXECUTE ON FUNCTION
	schemaver.writes_as(text, schemaver.version[]),
	schemaver.relabel(anyelement, anycompatible),
	schemaver.sequence(regclass),
	schemaver.tolerate(anyelement, oid, text),
	schemaver.is_first("any"),
	schemaver.place_apart()
	TO PUBLIC;

--
-- archive.c: where retire() keeps what would be lost, if it shall
--
-- Everybody may look into the schema: who may read a table there is told by
-- the table, which nobody but its owner is granted anything on.
--

CREATE SCHEMA schemaver_archive;
GRANT USAGE ON SCHEMA schemaver_archive TO PUBLIC;

COMMENT ON SCHEMA schemaver_archive IS
	'what retired versions alone had, kept by retire(archive => true); yours to read, move or drop';

--
-- drain.c: wait_for_drain
--

CREATE FUNCTION schemaver.wait_for_drain(
	version schemaver.version,
	product text DEFAULT NULL,
	timeout interval DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'schemaver_wait_for_drain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.wait_for_drain(schemaver.version, text, interval) IS
	'returns when no instance of that version or an older one is live; an error if that takes longer than the timeout';

--
-- mend.c: reconcile
--

CREATE FUNCTION schemaver.reconcile(product text DEFAULT NULL)
RETURNS integer
AS 'MODULE_PATHNAME', 'schemaver_reconcile'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.reconcile(text) IS
	'makes the version schemas hold exactly the views they must; returns how many had to be created, changed or dropped';

REVOKE ALL ON FUNCTION schemaver.reconcile(text) FROM PUBLIC;

--
-- verify.c: verify
--

CREATE TYPE schemaver.finding AS (
	product		text,
	version		schemaver.version,
	severity	text,
	object		text,
	finding		text,
	detail		text,
	hint		text
);

COMMENT ON TYPE schemaver.finding IS
	'one row of verify()';
COMMENT ON COLUMN schemaver.finding.product IS
	'name of the product; NULL for what concerns the whole database';
COMMENT ON COLUMN schemaver.finding.version IS
	'the version that is not as it should be; NULL for what concerns no version alone';
COMMENT ON COLUMN schemaver.finding.severity IS
	'error: a version does not work as it must, or nobody guards it; warning: somebody should know';
COMMENT ON COLUMN schemaver.finding.object IS
	'what the finding is about; what a contract speaks of by the name that the version gives it';
COMMENT ON COLUMN schemaver.finding.finding IS
	'what was found, one of a few fixed texts';
COMMENT ON COLUMN schemaver.finding.detail IS
	'more about it, a sentence';
COMMENT ON COLUMN schemaver.finding.hint IS
	'what to do about it';

CREATE FUNCTION schemaver.verify(product text DEFAULT NULL,
								 deep boolean DEFAULT false)
RETURNS SETOF schemaver.finding
AS 'MODULE_PATHNAME', 'schemaver_verify'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.verify(text, boolean) IS
	'checks what supported versions expect against the catalogs, deep: against all rows of columns that are kept in step, too; a row a finding, none if all is well; changes nothing';

REVOKE ALL ON FUNCTION schemaver.verify(text, boolean) FROM PUBLIC;

--
-- apply.c: create_product, baseline, apply
--

CREATE FUNCTION schemaver.create_product(
	product text,
	schemas text[] DEFAULT ARRAY['public'],
	exact boolean DEFAULT true,
	complete boolean DEFAULT false)
RETURNS void
AS 'MODULE_PATHNAME', 'schemaver_create_product'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.create_product(text, text[], boolean, boolean) IS
	'makes a product, the owner of these base schemas; exact: older versions do not see added columns; complete: version schemas hold a view of every relation';

CREATE FUNCTION schemaver.baseline(
	version schemaver.version,
	product text DEFAULT NULL)
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_baseline'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.baseline(schemaver.version, text) IS
	'takes the schema of a product as it stands as its first version';

CREATE FUNCTION schemaver.apply(
	script text,
	version schemaver.version DEFAULT NULL,
	product text DEFAULT NULL,
	description text DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_apply'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.apply(text, schemaver.version, text, text, text) IS
	'runs a migration and keeps the supported older versions working; returns the new version';

--
-- plan.c: plan
--

CREATE TYPE schemaver.step AS (
	statement integer,
	line integer,
	text text,
	effect text,
	breaks schemaver.version[],
	live schemaver.version[],
	prevention text,
	locks text[],
	access text,
	jobs text[],
	inferred text[],
	notices text[],
	version schemaver.version);

COMMENT ON TYPE schemaver.step IS
	'what apply() would do with one statement of a script: see plan()';
COMMENT ON COLUMN schemaver.step.statement IS
	'the statement''s number in the script, from 1';
COMMENT ON COLUMN schemaver.step.line IS
	'the line that it begins in, from 1';
COMMENT ON COLUMN schemaver.step.text IS
	'its first 200 bytes';
COMMENT ON COLUMN schemaver.step.effect IS
	'what is done: "runs as it is", or what is done instead; "refused: ..." if apply() would fail with that error; "not ..." if it was not tried';
COMMENT ON COLUMN schemaver.step.breaks IS
	'supported versions that it would break if it stood alone; NULL if none';
COMMENT ON COLUMN schemaver.step.live IS
	'those of them that are live; NULL if none';
COMMENT ON COLUMN schemaver.step.prevention IS
	'how each of these changes is kept from them, or why it is refused, a line each';
COMMENT ON COLUMN schemaver.step.locks IS
	'relations that it locks more strongly than ROW EXCLUSIVE, with the mode as pg_locks has it; what is locked so already is not told again, but for what its words tell of';
COMMENT ON COLUMN schemaver.step.access IS
	'rewrite: a table is written anew; fill: all rows are updated; scan: a table is read through; NULL: none of these';
COMMENT ON COLUMN schemaver.step.jobs IS
	'the work that this is, with the table and its size';
COMMENT ON COLUMN schemaver.step.inferred IS
	'how values are computed for either version, and from where that is known';
COMMENT ON COLUMN schemaver.step.notices IS
	'what the caller of apply() would be told, and who is not protected';
COMMENT ON COLUMN schemaver.step.version IS
	'version that apply() would return; NULL if it is refused or not known';

CREATE FUNCTION schemaver.plan(
	script text,
	version schemaver.version DEFAULT NULL,
	product text DEFAULT NULL)
RETURNS SETOF schemaver.step
AS 'MODULE_PATHNAME', 'schemaver_plan'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.plan(text, schemaver.version, text) IS
	'what apply() would do, a row a statement; changes nothing';

REVOKE ALL ON FUNCTION
	schemaver.create_product(text, text[], boolean, boolean),
	schemaver.baseline(schemaver.version, text),
	schemaver.apply(text, schemaver.version, text, text, text),
	schemaver.plan(text, schemaver.version, text)
FROM PUBLIC;

--
-- retire.c: retire
--

CREATE FUNCTION schemaver.retire(
	version schemaver.version,
	product text DEFAULT NULL,
	archive boolean DEFAULT false)
RETURNS integer
AS 'MODULE_PATHNAME', 'schemaver_retire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.retire(schemaver.version, text, boolean) IS
	'retires that version and all older ones, or all newer ones if it was rolled back, none of which may be live; archive: keeps in schemaver_archive what would be lost; returns how many there were';

REVOKE ALL ON FUNCTION schemaver.retire(schemaver.version, text, boolean)
FROM PUBLIC;

CREATE FUNCTION schemaver.rollback(
	version schemaver.version,
	product text DEFAULT NULL,
	reason text DEFAULT NULL)
RETURNS schemaver.version
AS 'MODULE_PATHNAME', 'schemaver_rollback'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.rollback(schemaver.version, text, text) IS
	'makes an older supported version the current one again; the newer one stays supported, and no data are lost';

REVOKE ALL ON FUNCTION schemaver.rollback(schemaver.version, text, text)
FROM PUBLIC;

--
-- jobs.c: background work
--

CREATE FUNCTION schemaver.wait_until_ready(
	version schemaver.version,
	product text DEFAULT NULL,
	timeout interval DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'schemaver_wait_until_ready'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.wait_until_ready(schemaver.version, text, interval) IS
	'returns when the jobs that the version needs are done; an error if one has failed, or if that takes longer than the timeout';

CREATE FUNCTION schemaver.retry(job integer)
RETURNS void
AS 'MODULE_PATHNAME', 'schemaver_retry'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.retry(integer) IS
	'queues a job again that has failed or was cancelled; it goes on where it was';

CREATE FUNCTION schemaver.cancel(job integer)
RETURNS void
AS 'MODULE_PATHNAME', 'schemaver_cancel'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;

COMMENT ON FUNCTION schemaver.cancel(integer) IS
	'ends a job that is not done; its version counts as ready without it';

CREATE PROCEDURE schemaver.run_jobs(product text DEFAULT NULL)
AS 'MODULE_PATHNAME', 'schemaver_run_jobs'
LANGUAGE C;

COMMENT ON PROCEDURE schemaver.run_jobs(text) IS
	'does the jobs in this session, and tells how far it is';

REVOKE ALL ON FUNCTION schemaver.retry(integer), schemaver.cancel(integer)
FROM PUBLIC;
REVOKE ALL ON PROCEDURE schemaver.run_jobs(text) FROM PUBLIC;

--
-- guard.c: event triggers
--
-- ALWAYS, since session_replication_role = replica hides others.
--

CREATE FUNCTION schemaver.guard_ddl() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'schemaver_guard_ddl'
LANGUAGE C;

CREATE FUNCTION schemaver.guard_drop() RETURNS event_trigger
AS 'MODULE_PATHNAME', 'schemaver_guard_drop'
LANGUAGE C;

COMMENT ON FUNCTION schemaver.guard_ddl() IS
	'judges DDL against the contracts of the live versions';
COMMENT ON FUNCTION schemaver.guard_drop() IS
	'judges what DDL has dropped against the contracts of the live versions';

CREATE EVENT TRIGGER schemaver_guard_ddl ON ddl_command_end
	EXECUTE FUNCTION schemaver.guard_ddl();
CREATE EVENT TRIGGER schemaver_guard_drop ON sql_drop
	EXECUTE FUNCTION schemaver.guard_drop();
ALTER EVENT TRIGGER schemaver_guard_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER schemaver_guard_drop ENABLE ALWAYS;

--
-- status.c: views and status()
--
-- The views belong to the extension's owner, but what pg_stat_activity shows
-- of other roles' sessions depends on who asks, in a view too.
--

CREATE FUNCTION schemaver.full_schema(
	version schemaver.version, product text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'schemaver_full_schema'
LANGUAGE C STABLE;

COMMENT ON FUNCTION schemaver.full_schema(schemaver.version, text) IS
	'what a version expects of the schema, written as SQL';

CREATE VIEW schemaver.products AS
	SELECT p.name AS product,
		p.schemas,
		c.version AS current_version,
		(SELECT pg_catalog.count(*)
		 FROM schemaver.db_schema_version AS v
		 WHERE v.product_id = p.id AND v.retired_on IS NULL
			AND v.id IS DISTINCT FROM p.current) AS supported_versions,
		p.exact,
		p.complete,
		p.created_on,
		p.created_by
	FROM schemaver.db_product AS p
		LEFT JOIN schemaver.db_schema_version AS c ON c.id = p.current;

COMMENT ON VIEW schemaver.products IS
	'applications whose schema is versioned in this database';
COMMENT ON COLUMN schemaver.products.product IS
	'name of the product';
COMMENT ON COLUMN schemaver.products.schemas IS
	'base schemas, where its real tables stand';
COMMENT ON COLUMN schemaver.products.current_version IS
	'the version that the base schemas are at; NULL before the first one';
COMMENT ON COLUMN schemaver.products.supported_versions IS
	'number of versions beside the current one whose contracts are kept';
COMMENT ON COLUMN schemaver.products.exact IS
	'whether SELECT * of an older version hides what was added since';
COMMENT ON COLUMN schemaver.products.complete IS
	'whether version schemas hold a view of every relation';
COMMENT ON COLUMN schemaver.products.created_on IS
	'when the product was created';
COMMENT ON COLUMN schemaver.products.created_by IS
	'who created the product';

-- An instance holds two locks: its version's, and its own, counted here,
-- which tells since when in seconds since 2000-01-01.
CREATE VIEW schemaver.instances AS
	SELECT p.name AS product,
		v.version,
		l.pid,
		a.usename AS role,
		a.application_name,
		a.client_addr,
		'2000-01-01 00:00:00+00'::timestamptz
			+ l.objid::bigint * '1 second'::interval AS registered_on,
		a.backend_start,
		a.state
	FROM pg_catalog.pg_locks AS l
		JOIN schemaver.db_schema_version AS v ON v.id::oid = l.classid
		JOIN schemaver.db_product AS p ON p.id = v.product_id
		LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
	WHERE l.locktype = 'userlock'
		AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
			WHERE d.datname = pg_catalog.current_database())
		AND l.objsubid = 21334
		AND l.objid <> 0::oid
		AND l.mode = 'ShareLock'
		AND l.granted;

COMMENT ON VIEW schemaver.instances IS
	'sessions that are registered under a version now';
COMMENT ON COLUMN schemaver.instances.product IS
	'name of the product';
COMMENT ON COLUMN schemaver.instances.version IS
	'version that the session is registered under';
COMMENT ON COLUMN schemaver.instances.pid IS
	'process ID of the session''s server process';
COMMENT ON COLUMN schemaver.instances.role IS
	'role that the session logged in as';
COMMENT ON COLUMN schemaver.instances.application_name IS
	'application_name of the session';
COMMENT ON COLUMN schemaver.instances.client_addr IS
	'client''s IP address; NULL on a Unix socket, or if it may not be seen';
COMMENT ON COLUMN schemaver.instances.registered_on IS
	'when the session registered, to the second';
COMMENT ON COLUMN schemaver.instances.backend_start IS
	'when the session began; NULL if it may not be seen';
COMMENT ON COLUMN schemaver.instances.state IS
	'state as in pg_stat_activity; NULL if it may not be seen';

CREATE VIEW schemaver.versions AS
	SELECT p.name AS product,
		v.version,
		CASE WHEN v.id = p.current THEN 'current'
			WHEN v.retired_on IS NOT NULL THEN 'retired'
			ELSE 'supported' END AS status,
		coalesce(v.retired_on IS NULL
			AND v.version OPERATOR(schemaver.>) c.version, false)
			AS rolled_back,
		v.description,
		v.update_on,
		v.update_by,
		v.schemas,
		(SELECT pg_catalog.min(r.registered_on)
		 FROM schemaver.db_registration AS r
		 WHERE r.version_id = v.id) AS registered,
		v.retired_on,
		coalesce(i.instances, 0) AS instances,
		NOT EXISTS (SELECT
			FROM schemaver.db_job AS j
				JOIN schemaver.db_schema_version AS n ON n.id = j.version_id
			WHERE j.finished_on IS NULL AND NOT j.late
				AND j.product_id = v.product_id
				AND n.version <= v.version) AS ready,
		schemaver.full_schema(v.version, p.name) AS full_schema
	FROM schemaver.db_schema_version AS v
		JOIN schemaver.db_product AS p ON p.id = v.product_id
		LEFT JOIN schemaver.db_schema_version AS c ON c.id = p.current
		LEFT JOIN (SELECT n.product, n.version,
				pg_catalog.count(*) AS instances
			FROM schemaver.instances AS n
			GROUP BY n.product, n.version) AS i
			ON i.product = p.name AND i.version = v.version;

COMMENT ON VIEW schemaver.versions IS
	'versions of each product, the retired ones included';
COMMENT ON COLUMN schemaver.versions.product IS
	'name of the product';
COMMENT ON COLUMN schemaver.versions.version IS
	'the version';
COMMENT ON COLUMN schemaver.versions.status IS
	'current, supported or retired';
COMMENT ON COLUMN schemaver.versions.rolled_back IS
	'whether it is supported and newer than the current version, to which it was rolled back';
COMMENT ON COLUMN schemaver.versions.description IS
	'what the version is about';
COMMENT ON COLUMN schemaver.versions.update_on IS
	'when the version was reached';
COMMENT ON COLUMN schemaver.versions.update_by IS
	'who brought the database to it';
COMMENT ON COLUMN schemaver.versions.schemas IS
	'version schemas, one for each base schema, in their order';
COMMENT ON COLUMN schemaver.versions.registered IS
	'when an instance first registered under it; NULL if none ever has';
COMMENT ON COLUMN schemaver.versions.retired_on IS
	'when it was retired; NULL if it is not';
COMMENT ON COLUMN schemaver.versions.instances IS
	'number of live instances';
COMMENT ON COLUMN schemaver.versions.ready IS
	'whether all jobs that it needs are finished; what retire() has left is not needed';
COMMENT ON COLUMN schemaver.versions.full_schema IS
	'what the version expects of the schema, written as SQL';

CREATE VIEW schemaver.history AS
	SELECT h.id,
		h.product_name AS product,
		h.action,
		h.from_version,
		h.version,
		h.update_on,
		h.update_by,
		h.description,
		h.reason,
		CASE WHEN h.update_by = current_user
				OR pg_catalog.pg_has_role('pg_read_all_data', 'USAGE')
			THEN h.script
		END AS script,
		h.checksum,
		h.statements,
		h.duration,
		h.outcome,
		h.lsn,
		h.restore_point
	FROM schemaver.db_version_history AS h;

COMMENT ON VIEW schemaver.history IS
	'every change of a product''s schema';
COMMENT ON COLUMN schemaver.history.id IS
	'number of the line, growing';
COMMENT ON COLUMN schemaver.history.product IS
	'name of the product';
COMMENT ON COLUMN schemaver.history.action IS
	'what was done';
COMMENT ON COLUMN schemaver.history.from_version IS
	'version before the change';
COMMENT ON COLUMN schemaver.history.version IS
	'version after the change';
COMMENT ON COLUMN schemaver.history.update_on IS
	'when it was done';
COMMENT ON COLUMN schemaver.history.update_by IS
	'who did it';
COMMENT ON COLUMN schemaver.history.description IS
	'what the change is about';
COMMENT ON COLUMN schemaver.history.reason IS
	'why it was done';
COMMENT ON COLUMN schemaver.history.script IS
	'the script or statement, as it was given';
COMMENT ON COLUMN schemaver.history.checksum IS
	'SHA-256 of the script, hexadecimal';
COMMENT ON COLUMN schemaver.history.statements IS
	'number of statements executed';
COMMENT ON COLUMN schemaver.history.duration IS
	'how long it took';
COMMENT ON COLUMN schemaver.history.outcome IS
	'what came of it';
COMMENT ON COLUMN schemaver.history.lsn IS
	'position in the WAL before it was committed: recovery to there gives the state before';
COMMENT ON COLUMN schemaver.history.restore_point IS
	'name of the restore point there; NULL where there is none';

-- What stands where retain.c puts things away and a contract speaks of, with
-- the supported versions whose contracts do.  A part of a table that is itself
-- retained, and a sequence that a column owns, share their table's fate.
CREATE VIEW schemaver.retained AS
	WITH product AS (
		SELECT p.id, p.name, v.version AS current
		FROM schemaver.db_product AS p
			JOIN schemaver.db_schema_version AS v ON v.id = p.current
		WHERE p.incarnation = 'schemaver.db_product'::regclass::oid
			AND p.system_identifier =
				(pg_catalog.pg_control_system()).system_identifier
	), needed AS (
		SELECT v.version, n.entry_id
		FROM schemaver.db_schema_version AS v,
			unnest(v.contract) AS n(entry_id)
		WHERE v.retired_on IS NULL
	), version_schema AS (
		SELECT n.oid, n.nspname
		FROM schemaver.db_schema_version AS v,
			unnest(v.schemas) AS s(name)
			JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.name
		WHERE v.retired_on IS NULL
	), entry AS (
		SELECT e.*,
			CASE WHEN e.schema = 'public' THEN ''
				ELSE pg_catalog.quote_ident(e.schema) || '.' END
				|| pg_catalog.quote_ident(e.name) AS shown
		FROM schemaver.db_contract_entry AS e
	), kept_table AS (
		SELECT e.id, e.shown, c.oid, c.reltuples, c.relkind, n.nspname,
			c.relname
		FROM entry AS e
			JOIN pg_catalog.pg_class AS c ON c.oid = e.physical
			JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE e.kind IN ('r', 'p', 'f', 'm')
			AND n.nspname <> 'schemaver_retained'
	), piece AS (
		SELECT e.id AS entry_id,
			CASE c.relkind WHEN 'v' THEN 'view'
				WHEN 'm' THEN 'materialized view'
				WHEN 'f' THEN 'foreign table'
				WHEN 'S' THEN 'sequence'
				ELSE 'table' END AS kind,
			e.shown AS object,
			pg_catalog.format('%I.%I', n.nspname, c.relname) AS physical,
			CASE WHEN c.relkind = 'p' THEN
					(SELECT pg_catalog.sum(
						pg_catalog.pg_total_relation_size(t.relid))
					 FROM pg_catalog.pg_partition_tree(c.oid) AS t)::bigint
				WHEN c.relkind IN ('r', 'm', 'S') THEN
					pg_catalog.pg_total_relation_size(c.oid)
				END AS bytes,
			false AS estimated
		FROM entry AS e
			JOIN pg_catalog.pg_class AS c ON c.oid = e.physical
			JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		WHERE e.kind NOT IN ('F', 'T')
			AND (n.nspname = 'schemaver_retained'
				OR e.kind = 'S'
					AND (n.oid IN (SELECT s.oid FROM version_schema AS s)
						OR pg_catalog.starts_with(c.relname,
							'schemaver_retained_')))
			AND NOT EXISTS (
				SELECT FROM pg_catalog.pg_depend AS d
				WHERE e.kind = 'S'
					AND d.classid = 'pg_catalog.pg_class'::regclass
					AND d.objid = c.oid
					AND d.refclassid = 'pg_catalog.pg_class'::regclass
					AND (d.deptype = 'i' OR d.deptype = 'a'
						AND NOT pg_catalog.starts_with(c.relname,
							'schemaver_retained_'))
					AND d.refobjsubid > 0)
		UNION ALL
		SELECT e.id, 'function', e.shown || '(' || e.args || ')',
			s.nspname || '.' || pg_catalog.quote_ident(p.proname)
				|| '(' || e.args || ')', NULL, false
		FROM entry AS e
			JOIN pg_catalog.pg_proc AS p ON p.oid = e.physical
			JOIN version_schema AS s ON s.oid = p.pronamespace
		WHERE e.kind = 'F'
		UNION ALL
		SELECT e.id, 'type', e.shown,
			pg_catalog.format('%I.%I', s.nspname, t.typname), NULL, false
		FROM entry AS e
			JOIN pg_catalog.pg_type AS t ON t.oid = e.physical
			JOIN version_schema AS s ON s.oid = t.typnamespace
		WHERE e.kind = 'T'
		UNION ALL
		SELECT t.id, 'column',
			t.shown || '.' || pg_catalog.quote_ident(p.name),
			pg_catalog.format('%I.%I.%I', t.nspname, t.relname, a.attname),
			(SELECT greatest(t.reltuples, 0)
				* (1 - s.null_frac) * s.avg_width
			 FROM pg_catalog.pg_stats AS s
			 WHERE s.schemaname = t.nspname AND s.tablename = t.relname
				AND s.attname = a.attname
				AND s.inherited = (t.relkind = 'p'))::bigint, true
		FROM kept_table AS t
			JOIN schemaver.db_contract_part AS p ON p.entry_id = t.id
			JOIN pg_catalog.pg_attribute AS a
				ON a.attrelid = t.oid AND a.attnum = p.number
		WHERE p.kind = 'c' AND NOT a.attisdropped
			AND pg_catalog.starts_with(a.attname, 'schemaver_retained_')
		UNION ALL
		SELECT t.id, 'trigger',
			pg_catalog.quote_ident(p.name) || ' on ' || t.shown,
			pg_catalog.format('%I.%I.%I', t.nspname, t.relname, g.tgname),
			NULL, false
		FROM kept_table AS t
			JOIN schemaver.db_contract_part AS p ON p.entry_id = t.id
			JOIN pg_catalog.pg_trigger AS g
				ON g.oid = p.object AND g.tgrelid = t.oid
		WHERE p.kind = 't'
			AND pg_catalog.starts_with(g.tgname, 'schemaver_retained_')
		UNION ALL
		SELECT t.id,
			CASE WHEN p.flavour = 'i' THEN 'index' ELSE 'constraint' END,
			pg_catalog.quote_ident(p.name) || ' on ' || t.shown,
			pg_catalog.format('%I.%I', t.nspname, c.relname),
			CASE WHEN c.relkind = 'I' THEN
					(SELECT pg_catalog.sum(
						pg_catalog.pg_relation_size(i.relid))
					 FROM pg_catalog.pg_partition_tree(c.oid) AS i)::bigint
				ELSE pg_catalog.pg_relation_size(c.oid) END, false
		FROM kept_table AS t
			JOIN schemaver.db_contract_part AS p ON p.entry_id = t.id
			LEFT JOIN pg_catalog.pg_constraint AS k
				ON p.flavour <> 'i' AND k.oid = p.object
					AND k.conrelid = t.oid
			JOIN pg_catalog.pg_class AS c
				ON c.oid = CASE WHEN p.flavour = 'i' THEN p.object
					ELSE k.conindid END
		WHERE p.kind = 'k' AND p.flavour IN ('p', 'u', 'x', 'i')
			AND c.relkind IN ('i', 'I')
			AND pg_catalog.starts_with(c.relname, 'schemaver_retained_')
	), thing AS (
		SELECT e.product_id, i.kind, i.physical, i.bytes, i.estimated,
			(pg_catalog.array_agg(i.object
				ORDER BY n.version DESC NULLS LAST))[1] AS object,
			coalesce(pg_catalog.array_agg(n.version ORDER BY n.version)
				FILTER (WHERE n.version IS NOT NULL), '{}') AS needed_by
		FROM piece AS i
			JOIN schemaver.db_contract_entry AS e ON e.id = i.entry_id
			LEFT JOIN needed AS n ON n.entry_id = i.entry_id
		GROUP BY e.product_id, i.kind, i.physical, i.bytes, i.estimated
	)
	SELECT p.name AS product,
		t.kind,
		t.object,
		t.physical COLLATE pg_catalog."default" AS physical,
		t.needed_by,
		t.bytes,
		t.estimated,
		(SELECT pg_catalog.string_agg(
				pg_catalog.format('SELECT schemaver.retire(%L, %L)', r.version,
					p.name), '; ' ORDER BY r.version)
		 FROM (SELECT schemaver.max(n.version) AS version
			FROM unnest(t.needed_by) AS n(version)
			WHERE n.version OPERATOR(schemaver.<) p.current
			UNION ALL
			SELECT schemaver.min(n.version)
			FROM unnest(t.needed_by) AS n(version)
			WHERE n.version OPERATOR(schemaver.>) p.current) AS r
		 WHERE r.version IS NOT NULL) AS freed_by
	FROM thing AS t
		JOIN product AS p ON p.id = t.product_id;

COMMENT ON VIEW schemaver.retained IS
	'what migrations have dropped and older versions, or ones that were rolled back, still need';
COMMENT ON COLUMN schemaver.retained.product IS
	'name of the product';
COMMENT ON COLUMN schemaver.retained.kind IS
	'table, view, materialized view, foreign table, sequence, function, type, column, trigger, constraint or index';
COMMENT ON COLUMN schemaver.retained.object IS
	'what the newest of the versions that need it calls it';
COMMENT ON COLUMN schemaver.retained.physical IS
	'where it is now';
COMMENT ON COLUMN schemaver.retained.needed_by IS
	'supported versions that need it, ascending; empty if none does any more';
COMMENT ON COLUMN schemaver.retained.bytes IS
	'its size; NULL where it has none, or nobody knows without reading it';
COMMENT ON COLUMN schemaver.retained.estimated IS
	'whether bytes is an estimate, made of what ANALYZE found';
COMMENT ON COLUMN schemaver.retained.freed_by IS
	'the call that drops it; NULL if no version needs it';

GRANT SELECT ON schemaver.products, schemaver.versions, schemaver.history,
	schemaver.instances, schemaver.retained TO PUBLIC;
CREATE VIEW schemaver.jobs AS
	SELECT p.name AS product,
		v.version,
		j.id AS job,
		j.kind,
		j.state,
		pg_catalog.format('%I.%I', j.schema, j.relation) AS relation,
		CASE WHEN j.kind = 'index' THEN coalesce(j.condition, j.name)
			ELSE j.name
		END AS target,
		j.blocks_done,
		j.blocks,
		j.rows,
		pg_catalog.round(j.rows * 1000.0 / nullif(j.busy, 0))
			AS rows_per_second,
		CASE WHEN j.state = 'running' AND j.blocks_done > 0
			THEN pg_catalog.now() + (j.blocks - j.blocks_done)
				* (j.busy / j.blocks_done::double precision)
				* '1 ms'::interval
		END AS estimated_end,
		j.attempts,
		CASE WHEN pg_catalog.pg_has_role('pg_read_all_data', 'USAGE')
				OR pg_catalog.has_table_privilege(j.relation_id, 'SELECT')
			THEN j.error
		END AS error,
		(SELECT l.pid FROM pg_catalog.pg_locks AS l
		 WHERE l.locktype = 'userlock'
			AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
				WHERE d.datname = pg_catalog.current_database())
			AND l.classid = j.id::oid AND l.objid = 1::oid
			AND l.objsubid = 21336 AND l.mode = 'ExclusiveLock'
			AND l.granted) AS pid,
		j.created_on,
		j.started_on,
		j.finished_on
	FROM schemaver.db_job AS j
		LEFT JOIN schemaver.db_product AS p ON p.id = j.product_id
		LEFT JOIN schemaver.db_schema_version AS v ON v.id = j.version_id;

COMMENT ON VIEW schemaver.jobs IS
	'background work that migrations and retire() have left, what is done included';
COMMENT ON COLUMN schemaver.jobs.product IS
	'name of the product';
COMMENT ON COLUMN schemaver.jobs.version IS
	'version that needs it, as do all later ones';
COMMENT ON COLUMN schemaver.jobs.job IS
	'number of the job; those of one relation are done in its order';
COMMENT ON COLUMN schemaver.jobs.kind IS
	'backfill, notnull, index, attach, relax, replace or validate';
COMMENT ON COLUMN schemaver.jobs.state IS
	'queued, running, done, failed or cancelled';
COMMENT ON COLUMN schemaver.jobs.relation IS
	'table that it works on';
COMMENT ON COLUMN schemaver.jobs.target IS
	'name of the column, constraint or index';
COMMENT ON COLUMN schemaver.jobs.blocks_done IS
	'pages of the table that a backfill has been through';
COMMENT ON COLUMN schemaver.jobs.blocks IS
	'pages of the table when the backfill began; 0 before, and for other kinds';
COMMENT ON COLUMN schemaver.jobs.rows IS
	'rows that a backfill has updated';
COMMENT ON COLUMN schemaver.jobs.rows_per_second IS
	'rows for each second of work, pauses included';
COMMENT ON COLUMN schemaver.jobs.estimated_end IS
	'when a running backfill will be done if it goes on like this';
COMMENT ON COLUMN schemaver.jobs.attempts IS
	'how many times it was begun or taken up again';
COMMENT ON COLUMN schemaver.jobs.error IS
	'what has ended it; NULL for who may not read the table';
COMMENT ON COLUMN schemaver.jobs.pid IS
	'process ID of who does it; NULL if nobody does now';
COMMENT ON COLUMN schemaver.jobs.created_on IS
	'when the migration, or retire(), left it';
COMMENT ON COLUMN schemaver.jobs.started_on IS
	'when it was first begun';
COMMENT ON COLUMN schemaver.jobs.finished_on IS
	'when it was done or cancelled';

GRANT SELECT ON schemaver.jobs TO PUBLIC;

CREATE FUNCTION schemaver.status(
	product text DEFAULT NULL, format text DEFAULT 'text')
RETURNS SETOF text
AS 'MODULE_PATHNAME', 'schemaver_status'
LANGUAGE C VOLATILE
SET search_path = pg_catalog, pg_temp;

COMMENT ON FUNCTION schemaver.status(text, text) IS
	'products, versions, who is live under which, and what was done last';
