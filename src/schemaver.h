/*-------------------------------------------------------------------------
 *
 * schemaver.h
 *	  Private header of schemaver, in sections by file: the index of the
 *	  architecture.
 *
 * Sections stand in the order of dependency, lowest first: a module calls
 * what stands above its own section in this file, never what stands below.
 * Every symbol that crosses files is sv_<module>_<verb>, since the server
 * loads libraries with global visibility.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SCHEMAVER_H
#define SCHEMAVER_H

#include "postgres.h"

#include "access/xlogdefs.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "fmgr.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"
#include "storage/itemptr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"

/*-------------------------------------------------------------------------
 * Differences between server versions: here and nowhere else
 *-------------------------------------------------------------------------
 */
#if PG_VERSION_NUM < 150000
#error "schemaver needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM >= 170000
#define sv_lock_held(tag, mode)		LockHeldByMe(tag, mode, false)
#else
#define sv_lock_held(tag, mode)		LockHeldByMe(tag, mode)
#endif

/* the schemas of the extension: its own objects, what it retains, archives */
#define SV_SCHEMA			"schemaver"
#define SV_RETAINED_SCHEMA	"schemaver_retained"
#define SV_ARCHIVE_SCHEMA	"schemaver_archive"

/*
 * What is retained inside a table, where a schema cannot hide it: columns,
 * triggers, unique constraints and indexes, has a name that begins with this.
 */
#define SV_HIDDEN_NAME		"schemaver_retained"
#define SV_HIDDEN_PREFIX	SV_HIDDEN_NAME "_"
#define sv_is_hidden(name) \
	(strncmp((name), SV_HIDDEN_PREFIX, sizeof(SV_HIDDEN_PREFIX) - 1) == 0)

/*
 * sync.c's triggers: the last one of a table, with the name of another trigger
 * in front where that would come behind it, and the first one.
 */
#define SV_SYNC_TRIGGER			"~schemaver_sync"
#define SV_SYNC_FIRST_TRIGGER	"!schemaver_sync"

static inline bool
sv_sync_is_trigger(const char *name)
{
	size_t		length = strlen(name);
	size_t		own = sizeof(SV_SYNC_TRIGGER) - 1;

	return strcmp(name, SV_SYNC_FIRST_TRIGGER) == 0 ||
		(length >= own && strcmp(name + length - own, SV_SYNC_TRIGGER) == 0);
}

/*
 * hold.c's trigger, and how the names of check.c's begin: before the AFTER
 * triggers of others
 */
#define SV_HOLD_TRIGGER			"!schemaver_hold"
#define SV_CHECK_TRIGGER		SV_HOLD_TRIGGER "_"
#define sv_is_check_trigger(name) \
	(strncmp((name), SV_CHECK_TRIGGER, sizeof(SV_CHECK_TRIGGER) - 1) == 0)

/* how the names of refer.c's begin: before the server's own of foreign keys */
#define SV_REFER_TRIGGER		"!schemaver_refer_"
#define sv_is_refer_trigger(name) \
	(strncmp((name), SV_REFER_TRIGGER, sizeof(SV_REFER_TRIGGER) - 1) == 0)

/* is it the name of a trigger that no version knows? */
static inline bool
sv_is_own_trigger(const char *name)
{
	return sv_sync_is_trigger(name) || strcmp(name, SV_HOLD_TRIGGER) == 0 ||
		sv_is_check_trigger(name) || sv_is_refer_trigger(name);
}

/* hidden CHECKs that hold a column to NOT NULL for all but older versions */
#define SV_REQUIRED_NAME	SV_HIDDEN_PREFIX "required"

/* hidden CHECKs that hold a column to NOT NULL until a job has made it that */
#define SV_PENDING_NAME		SV_HIDDEN_PREFIX "pending"

/* what a job builds, or checks with, until it has its name */
#define SV_JOB_NAME			SV_HIDDEN_PREFIX "job"

/*-------------------------------------------------------------------------
 * version.c: the type schemaver.version; pure
 *-------------------------------------------------------------------------
 */

/*
 * A version is a varlena: header, then the text as typed without a leading
 * "v" and without a terminating zero.  "1.10" stays "1.10" on output though
 * it equals "1.10.0".
 */
typedef struct varlena SvVersion;

#define DatumGetSvVersion(d)		((SvVersion *) PG_DETOAST_DATUM_PACKED(d))
#define PG_GETARG_SVVERSION(n)		DatumGetSvVersion(PG_GETARG_DATUM(n))
#define SvVersionGetDatum(v)		PointerGetDatum(v)

/* what a step from one version to a later one promises */
typedef enum SvStep
{
	SV_STEP_NONE,				/* plain numbers and dates promise nothing */
	SV_STEP_REVISION,			/* no older version notices */
	SV_STEP_MINOR,
	SV_STEP_MAJOR
} SvStep;

extern SvVersion *sv_version_parse(const char *text);
extern char *sv_version_text(const SvVersion *version);
extern int	sv_version_compare(const SvVersion *a, const SvVersion *b);
extern SvStep sv_version_step(const SvVersion *from, const SvVersion *to);
extern SvVersion *sv_version_next(const SvVersion *version, SvStep step);

/*-------------------------------------------------------------------------
 * script.c: a script's text to directives and statements; pure
 *-------------------------------------------------------------------------
 */

/* one "up" or "down" directive */
typedef struct SvDirective
{
	int			line;			/* 1-based line in the script */
	char	   *relation;		/* as written, schema included if given */
	char	   *column;
	char	   *expression;
} SvDirective;

/* one statement */
typedef struct SvStatement
{
	int			number;			/* 1-based, counts what is executed */
	int			line;			/* 1-based line of its first token */
	RawStmt    *raw;
	const char *tag;			/* command tag, "ALTER TABLE" */
	char	   *text;			/* its source text, without the semicolon */
} SvStatement;

typedef struct SvScript
{
	char	   *text;			/* the whole script */
	char		checksum[65];	/* SHA-256 of the text, hexadecimal */
	char	   *product;		/* directives; NULL where there was none */
	SvVersion  *from;
	SvVersion  *to;
	char	   *description;
	List	   *up;				/* of SvDirective */
	List	   *down;
	char	   *rollback;		/* text after the directive "rollback" */
	List	   *statements;		/* of SvStatement, without BEGIN and COMMIT */
	int			isolation;		/* above READ COMMITTED that it asks for, or 0 */
	const SvStatement *isolating;	/* where */
} SvScript;

extern SvScript *sv_script_parse(const char *text);
extern void sv_script_check_level(const SvScript *script);

/*-------------------------------------------------------------------------
 * trial.c: something in a subtransaction, and what it ended with
 *-------------------------------------------------------------------------
 */
typedef void (*SvTrialWork) (void *argument);

extern ErrorData *sv_trial_attempt(SvTrialWork work, void *argument);
extern ErrorData *sv_trial_undo(SvTrialWork work, void *argument);

/*-------------------------------------------------------------------------
 * observe.c: what a migration does beyond its words, told to plan()
 *-------------------------------------------------------------------------
 */
typedef enum SvNoteKind
{
	SV_NOTE_EFFECT,				/* what is done instead of what is said */
	SV_NOTE_FILL,				/* rows that are filled now */
	SV_NOTE_JOB,				/* work that is left for later */
	SV_NOTE_INFERRED,			/* how a value is computed, and says who */
	SV_NOTE_NOTICE				/* what the caller is told */
} SvNoteKind;

typedef void (*SvObserver) (SvNoteKind kind, Oid relation, const char *text);

extern SvObserver sv_observe_with(SvObserver observer);
extern void sv_observe_note(SvNoteKind kind, Oid relation,
							const char *format,...) pg_attribute_printf(3, 4);

/*-------------------------------------------------------------------------
 * announce.c: restore points and notifications
 *-------------------------------------------------------------------------
 */
extern char *sv_announce_restore_point(const char *action,
									   const char *product,
									   const SvVersion *version,
									   XLogRecPtr *lsn);
extern void sv_announce_event(const char *event, const char *product,
							  const SvVersion *version,
							  const SvVersion *from);

/*-------------------------------------------------------------------------
 * catalog.c: the only place that reads and writes schemaver's own tables
 *-------------------------------------------------------------------------
 */

typedef struct SvProduct
{
	int32		id;
	char	   *name;
	List	   *schemas;		/* base schemas, of char * */
	bool		exact;			/* an older SELECT * does not see additions */
	bool		complete;		/* version schemas hold every relation */
	int32		current;		/* id of the current version, 0 if none yet */
	bool		awake;			/* OIDs in the contracts are this database's */
} SvProduct;

typedef struct SvRelease
{
	int32		id;
	int32		product_id;
	SvVersion  *version;
	char	   *label;			/* the version as text */
	List	   *schemas;		/* version schemas, one for each base schema */
	bool		retired;
	bool		registered;		/* an instance has ever registered under it */
	TimestampTz made;			/* when it was first applied */
	int			nentries;		/* its contract: ids of entries, ascending */
	int32	   *entries;
} SvRelease;

/* kinds of parts of a contract entry */
#define SV_PART_COLUMN		'c'
#define SV_PART_CONSTRAINT	'k'
#define SV_PART_TRIGGER		't'
#define SV_PART_LABEL		'l'

/*
 * A part of an entry: a column, a constraint or unique index, a trigger, an
 * enum label.  "name" is what the version calls it, "physical_name" what it
 * is called now; number and object link it to the catalogs of this database.
 */
typedef struct SvPart
{
	char		kind;
	int			position;		/* 1-based within its kind */
	char	   *name;
	char	   *physical_name;
	AttrNumber	number;			/* column: its attnum */
	Oid			object;			/* pg_attrdef, pg_constraint, index, trigger */
	Oid			type_oid;		/* column just read from the catalogs */
	int32		typmod;			/* as well */
	char	   *type;			/* column: its type, qualified, with typmod;
								 * others: the definition as the version has
								 * known it, for people */
	bool		notnull;
	char		flavour;		/* constraint: contype, 'i' a unique index */
	char		identity;		/* column: attidentity, or ' ' */
	char		generated;		/* column: attgenerated, or ' ' */
	char	   *expression;		/* default or constraint definition, or NULL */
	List	   *columns;		/* constraint: attnums, as integers */
} SvPart;

/* kinds of entries: relkind for relations, and these two */
#define SV_ENTRY_FUNCTION	'F'
#define SV_ENTRY_TYPE		'T'

/* what a version expects of one object */
typedef struct SvEntry
{
	int32		id;				/* 0 while only in memory */
	char		kind;
	char	   *schema;			/* what the version calls it */
	char	   *name;
	char	   *args;			/* function: identity arguments, else "" */
	char	   *physical_schema;	/* what it is called now */
	char	   *physical_name;
	Oid			physical;
	bool		rowsecurity;
	char	   *definition;		/* view, sequence, function, type, or NULL */
	List	   *columns;		/* of SvPart, by position; function: result */
	List	   *constraints;
	List	   *triggers;
	List	   *labels;
} SvEntry;

/* one line of the history */
typedef struct SvHistory
{
	int32		product_id;
	const char *product_name;
	const char *action;			/* baseline, apply, ddl, ... */
	SvVersion  *from;			/* or NULL */
	SvVersion  *to;				/* or NULL */
	const char *description;	/* these may be NULL */
	const char *reason;
	const char *script;
	const char *checksum;
	int			statements;
	TimestampTz started;
	const char *outcome;		/* "applied", "baseline taken", ... */
	bool		restorable;		/* worth a restore point */
	const char *event;			/* to notify of, or NULL */
} SvHistory;

/* kinds of jobs, in the order in which those of a migration are done */
#define SV_JOB_BACKFILL		"backfill"
#define SV_JOB_NOTNULL		"notnull"
#define SV_JOB_INDEX		"index"
#define SV_JOB_ATTACH		"attach"
#define SV_JOB_RELAX		"relax"
#define SV_JOB_LOOSEN		"loosen"
#define SV_JOB_TIGHTEN		"tighten"
#define SV_JOB_REPLACE		"replace"
#define SV_JOB_VALIDATE		"validate"
#define SV_JOB_REFRESH		"refresh"	/* a materialized view */

/* states of jobs; a done or cancelled one is finished */
#define SV_JOB_QUEUED		"queued"
#define SV_JOB_RUNNING		"running"
#define SV_JOB_DONE			"done"
#define SV_JOB_FAILED		"failed"
#define SV_JOB_CANCELLED	"cancelled"

/*
 * Background work that a migration has left.  What "name" and "text" are:
 *
 *	backfill	column, expression for it, or nothing: its default; rows only
 *				where "condition" holds,
 *				which is to say that the row is still to be filled.  Without
 *				one every write meanwhile must fill the row, since a row that
 *				is moved by an update can be missed.
 *	notnull		column, the CHECK that holds it to that meanwhile, or nothing;
 *				keys over it that are to be primary become that
 *	index		index, the CREATE INDEX statement; "condition" is the name that
 *				an attach will give it, or nothing
 *	attach		constraint, what follows its name in ADD CONSTRAINT:
 *				"UNIQUE USING INDEX person_name_key"; nothing if an index is
 *				to have that name.  "condition" is the index that a job has
 *				built for it, under a hidden name; what has the name until
 *				then, for the column's predecessor, is put away.
 *	relax		column that is the newer one of a pair: nothing holds rows
 *				that leave its predecessor out back any more, and an identity
 *				is handed over
 *	replace		constraint, what follows its name in ADD CONSTRAINT: what has
 *				the name until then, over the columns' predecessors, goes
 *	validate	constraint, nothing
 *
 * All texts are read with search_path = pg_catalog, pg_temp.
 */
typedef struct SvJob
{
	int32		id;				/* 0 until it is added */
	int32		product_id;
	int32		release_id;		/* the version that needs it, and all later */
	const char *kind;
	const char *state;
	char	   *schema;			/* the relation, which relid is in this */
	char	   *relation;		/* database */
	Oid			relid;
	char	   *name;
	char	   *text;			/* or NULL */
	char	   *condition;		/* or NULL */
	bool		late;			/* its version is ready without it */
	char	   *leaf;			/* backfill: partition at work, quoted, or NULL */
	Oid			filenode;		/* of the file that position is in */
	int64		position;		/* next block there */
	int64		blocks_done;	/* of all partitions */
	int64		blocks;			/* 0 until it has begun */
	int64		rows;			/* updated so far */
	int64		busy;			/* ms that it has worked, pauses included */
	int			attempts;
	char	   *error;			/* or NULL */
	TimestampTz created;
	TimestampTz started;		/* 0: not yet */
	TimestampTz finished;		/* 0: not yet, or failed */
} SvJob;

/* a plain index that a script has dropped */
typedef struct SvDroppedIndex
{
	int32		release_id;		/* the version that the script led to */
	SvVersion  *version;		/* its number */
	Oid			relation;
	char	   *schema;			/* as it was called then */
	char	   *table;
	char	   *name;
	char	   *definition;		/* the statement that makes it */
	List	   *columns;		/* what columns were called, by number: char * */
} SvDroppedIndex;

/* a table that was given another replica identity, see publish.c */
typedef struct SvIdentityNote
{
	Oid			relation;
	const char *index;			/* the key that it was */
	char		lost;			/* in what way, as in pg_class */
	char		given;			/* what it has been given, likewise */
	bool		fresh;			/* since this transaction? */
} SvIdentityNote;

/* who we were before becoming the extension's owner */
typedef struct SvIdentity
{
	Oid			user;
	int			context;
} SvIdentity;

extern void sv_catalog_become_owner(SvIdentity *identity);
extern void sv_catalog_become_caller(const SvIdentity *identity);
extern Oid	sv_catalog_extension(bool missing_ok);
extern void sv_catalog_depend_on_extension(Oid class_id, Oid object);
extern bool sv_catalog_is_installed(void);
extern Oid	sv_catalog_owner(void);
extern List *sv_catalog_products(void);
extern SvProduct *sv_catalog_product(const char *name, bool missing_ok);
extern SvProduct *sv_catalog_product_by_id(int32 id);
extern SvProduct *sv_catalog_create_product(const char *name, List *schemas,
											bool exact, bool complete);
extern void sv_catalog_set_current(SvProduct *product, int32 release_id);
extern void sv_catalog_wake(SvProduct *product);
extern List *sv_catalog_releases(const SvProduct *product,
								 bool supported_only);
extern SvRelease *sv_catalog_release(const SvProduct *product, int32 id);
extern SvRelease *sv_catalog_release_at(const SvProduct *product,
										const SvVersion *version);
extern SvRelease *sv_catalog_release_of(const SvProduct *product,
										const SvVersion *version);
extern SvRelease *sv_catalog_create_release(const SvProduct *product,
											SvVersion *version,
											const char *description,
											List *schemas,
											int nentries, int32 *entries);
extern void sv_catalog_replace_entry(SvRelease *release, int32 old_id,
									 int32 new_id);
extern void sv_catalog_retire(SvRelease *release);
extern void sv_catalog_mark_registered(SvRelease *release);
extern bool sv_catalog_was_registered(const SvRelease *release);
extern bool sv_catalog_has_entry(const SvRelease *release, int32 entry_id);
extern bool sv_catalog_any_has_entry(List *releases, int32 entry_id);
extern SvEntry *sv_catalog_entry_alone(int32 id);
extern SvEntry *sv_catalog_entry(int32 id);
extern List *sv_catalog_entries_on(Oid physical);
extern SvEntry *sv_catalog_entry_of(const SvRelease *release, Oid physical);
extern List *sv_catalog_entries_with(Oid object);
extern void sv_catalog_store_entry(const SvProduct *product, SvEntry *entry);
extern void sv_catalog_relink_entry(const SvEntry *entry);
extern void sv_catalog_record(const SvHistory *history);
extern bool sv_catalog_drifted(const SvProduct *product);
extern char *sv_catalog_checksum_of(const SvProduct *product,
									SvVersion *version);
extern char *sv_catalog_script_of(const SvProduct *product,
								  SvVersion *version);
extern SvVersion *sv_catalog_version_of(const SvProduct *product,
										const char *checksum);
extern bool sv_catalog_has_jobs(void);
extern List *sv_catalog_jobs(void);
extern List *sv_catalog_all_jobs(void);
extern SvJob *sv_catalog_job(int32 id);
extern void sv_catalog_create_job(SvJob *job);
extern void sv_catalog_update_job(const SvJob *job);
extern char *sv_catalog_former_name(const char *schema, const char *name);
extern void sv_catalog_note_rename(const char *schema, const char *name,
								   const char *new_schema,
								   const char *new_name);
extern List *sv_catalog_dropped_indexes(const SvProduct *product);
extern void sv_catalog_store_index(const SvDroppedIndex *dropped);
extern void sv_catalog_forget_index(int32 release_id);
extern Oid	sv_catalog_index_of(Oid table, const char *name);
extern bool sv_catalog_has_primary_key(Oid relation);
extern char sv_catalog_replica_identity(Oid table);
extern List *sv_catalog_identity_notes(void);
extern SvIdentityNote *sv_catalog_identity_note(Oid relation);
extern void sv_catalog_forget_identity(Oid relation);
extern void sv_catalog_note_identity(const SvIdentityNote *note);
extern bool sv_catalog_is_base_schema(const SvProduct *product,
									  const char *schema);
extern ObjectAddress *sv_catalog_address(Oid class_id, Oid object,
										 int32 sub_object);
extern bool sv_catalog_is_own_function(Oid function);
extern List *sv_catalog_references(Oid class_id, Oid object);
extern List *sv_catalog_dependents(Oid class_id, Oid object,
								   int32 sub_object);
extern Oid	sv_catalog_referenced_table(Oid constraint);
extern List *sv_catalog_objects_of_schema(Oid schema, Oid class_id);
extern List *sv_catalog_schemas_of(List *releases);
extern bool sv_catalog_is_version_schema(List *products, const char *name);
extern List *sv_catalog_text_list(ArrayType *array);
extern bool sv_catalog_has_text(List *strings, const char *string);
extern List *sv_catalog_add_texts(List *strings, List *others);
extern bool sv_catalog_same_texts(List *a, List *b);
extern void sv_catalog_note_synced(Oid relation, List *arguments,
								   const char *product);
extern List *sv_catalog_synced(Oid relation);
extern List *sv_catalog_synced_tables(void);
extern void sv_catalog_note_held(Oid relation, List *arguments,
								 const char *product);
extern List *sv_catalog_held(Oid relation);
extern List *sv_catalog_held_tables(void);
extern List *sv_catalog_key(Relation table);
extern Oid	sv_catalog_relation_owner(Oid relation);
extern char *sv_catalog_relation_name(Oid relation);
extern Datum sv_catalog_relation_options(Oid relation);
extern bool sv_catalog_is_not_null(Oid relation, AttrNumber number);
extern bool sv_catalog_is_inherited(Oid relation, AttrNumber number);

/*-------------------------------------------------------------------------
 * contract.c: contracts: take, store, compare with the catalogs
 *-------------------------------------------------------------------------
 */

/* how badly a change would hurt a version if it stood alone */
typedef enum SvSeverity
{
	SV_HIDDEN,					/* holds what is retained: a view hides it */
	SV_DEFAULTS,				/* another default or body: the old one stays */
	SV_NOTICED,					/* SELECT * sees an addition: a view hides it */
	SV_BREAKS,					/* would break it; a view prevents that */
	SV_KEPT,					/* would break it, but what is retained stays */
	SV_CHECKED,					/* it goes on, but by hand it is not to be done */
	SV_FATAL					/* would break it, and no view can help */
} SvSeverity;

/* one way in which the catalogs do not fulfil a contract */
typedef struct SvFinding
{
	SvRelease  *release;
	const SvEntry *entry;
	SvSeverity	severity;
	char	   *change;			/* "DROP COLUMN person.last_name" */
	char	   *reason;			/* why that hurts, a sentence */
	Oid			object;			/* a constraint or index that is new, or 0 */
	AttrNumber	required;		/* a column that it may leave NULL, or 0 */
} SvFinding;

/* a column that is NOT NULL for all but some versions, by a hidden CHECK */
typedef struct SvRequired
{
	char	   *name;			/* the CHECK's */
	AttrNumber	column;
	char	   *product;
	ArrayType  *versions;		/* those that may leave it NULL */
	bool		noted;			/* the CHECK is but a record */
} SvRequired;

/*
 * set by _PG_init: do versions that leave a column NULL, or do not even know
 * it, get by with that?
 */
typedef bool (*SvFilledHook) (Oid relation, AttrNumber column, bool known);
extern SvFilledHook sv_contract_filled_hook;

/* set by _PG_init: will a job of the migration that runs make it NOT NULL? */
typedef bool (*SvPendingHook) (Oid relation, AttrNumber column);
extern SvPendingHook sv_contract_pending_hook;

/*
 * set by _PG_init: what a new version's contract of a table takes over from
 * the one before though the catalogs do not have it, a list of SvPart
 */
typedef List *(*SvLostHook) (const SvProduct *product, const SvEntry *then,
							 const SvEntry *now);
extern SvLostHook sv_contract_lost_hook;

/*
 * set by _PG_init: do CHECKs or foreign keys of a table say the same, each in
 * the names of its own entry?  The product may be left out.
 */
typedef bool (*SvSameHook) (const SvProduct *product, const SvEntry *entry,
							const SvPart *constraint,
							const SvEntry *other_entry, const SvPart *other);
extern SvSameHook sv_contract_same_hook;

extern int	sv_contract_enter(void);
extern void sv_contract_leave(int nestlevel);
extern bool sv_contract_is_table(char kind);
extern bool sv_contract_is_relation(char kind);

/*
 * What the DDL of this transaction has touched, told by the guard's event
 * triggers.  While apply() collects, the guard itself keeps quiet.
 */
extern void sv_contract_init(void);
extern void sv_contract_collect_begin(void);
extern void sv_contract_collect_end(void);
extern bool sv_contract_collecting(void);
extern void sv_contract_look_again(void);
extern Oid	sv_contract_owning_relation(Oid class_id, Oid object);
extern void sv_contract_touch(Oid class_id, Oid object);
extern void sv_contract_touch_dropped(Oid class_id, Oid object);
extern void sv_contract_touch_all(void);
extern void sv_contract_touch_rights(void);
extern void sv_contract_move(Oid class_id, Oid from, Oid to);
extern void sv_contract_move_trigger(Oid from, Oid to, const char *name);
extern void sv_contract_move_constraint(Oid from, Oid to);
extern List *sv_contract_triggered_tables(const char *function_name);
extern bool sv_contract_is_mark(Oid relation, AttrNumber number);
extern List *sv_contract_conditions(Relation index, AttrNumber *mark);
extern AttrNumber sv_contract_mark_column(Relation index);
extern AttrNumber sv_contract_index_mark(Relation index);
extern AttrNumber sv_contract_mark_of(Oid oid);
extern bool sv_contract_mark_is_number(Oid relation, AttrNumber mark);
extern List *sv_contract_index_columns(Relation index);
extern bool sv_contract_is_key(const SvPart *part);
extern List *sv_contract_constraint_columns(HeapTuple tuple,
											AttrNumber attribute);
extern List *sv_contract_marked_tables(void);
extern Oid	sv_contract_key_class(const SvPart *key);
extern ObjectAddress *sv_contract_key_address(Oid index);
extern bool sv_contract_touched_rights(void);

extern List *sv_contract_required(Relation relation);
extern char *sv_contract_pending_check(Oid relation, AttrNumber column);
extern AttrNumber sv_contract_checked_column(Relation relation,
											 const char *check);
extern char *sv_contract_expression_text(Node *expression, Oid relation);
extern bool sv_contract_is_not_valid(const char *text);
extern Node *sv_contract_assign(Node *expression, bool as_call);
extern Node *sv_contract_generation(Node *expression);
extern char *sv_contract_default_text(Oid attrdef);
extern void sv_contract_remember_default(Oid attrdef);
extern char *sv_contract_type_text(Oid type, int32 typmod, Oid collation);
extern SvEntry *sv_contract_resolve(const SvEntry *entry);
extern char *sv_contract_shown_name(const SvEntry *entry);
extern SvPart *sv_contract_column_at(const SvEntry *entry, AttrNumber number);
extern Alias *sv_contract_alias(const SvEntry *entry, Relation table);
extern SvPart *sv_contract_find_column(const SvEntry *entry,
									   const SvPart *then,
									   const SvEntry *now);
extern Oid	sv_contract_kept_identity(Oid relation, AttrNumber number,
									  const SvRelease *release);
extern void sv_contract_tell_identity(Oid relation, AttrNumber number,
									  char identity);
extern List *sv_contract_judge(List *releases);
extern List *sv_contract_judge_named(List *releases);
extern void sv_contract_relink(List *releases, bool by_name);
extern bool sv_contract_needs_view(const SvProduct *product,
								   const SvEntry *entry);
extern int32 *sv_contract_advance(const SvProduct *product,
								  const SvRelease *from, int *nentries);
extern void sv_contract_complete(const SvProduct *product, List *releases,
								 const char *name);
extern bool sv_contract_touched_hidden(void);
extern List *sv_contract_touched_relations(void);
extern List *sv_contract_touched_entries(SvRelease *release);
extern bool sv_contract_is_version_schema(Oid schema);

/* a compatibility view: its relation, and per view column the attnum there */
extern bool sv_contract_read_view(Oid view, Oid *base, List **columns);
extern bool sv_contract_describe_view(Oid view, Oid *base, List **columns);

/*-------------------------------------------------------------------------
 * registry.c: who is live
 *-------------------------------------------------------------------------
 */

/*
 * Locks of USER_LOCKMETHOD on LOCKTAG_USERLOCK tags, which only this module
 * makes.  Fields: database, version or product, seconds, kind.
 *
 * A version's lock (seconds 0): every session registered under it holds it
 * in ShareLock at session level; who breaks or retires the version takes it
 * in ExclusiveLock, without waiting, until its transaction ends.
 *
 * An instance's lock: the same kind and version, but seconds since
 * 2000-01-01 of the registration; held in ShareLock beside the version's, so
 * that pg_locks tells since when.  Who waits for the instance to end waits
 * for ExclusiveLock on it.  Who registers never waits for it: if somebody
 * stands in line there, he takes the next second's.
 *
 * A version's lock of DEFAULT_LOCKMETHOD, the same tag otherwise: held in
 * ShareLock at transaction level during DISCARD ALL, which gives up the
 * registration and takes it again, so that the session is live meanwhile.
 *
 * A product's lock: ExclusiveLock at transaction level for as long as a
 * migration of it runs; waited for.
 */
#define SV_LOCK_VERSION		0x5356
#define SV_LOCK_PRODUCT		0x5357

extern void sv_registry_init(void);
extern void sv_registry_connect(void);
extern bool sv_registry_lock_release(const SvRelease *release);
extern bool sv_registry_is_mine(const SvRelease *release);
extern bool sv_registry_find_live(List *releases, LOCKTAG *instance);
extern void sv_registry_wait_for(const LOCKTAG *instance);
extern List *sv_registry_processes(const SvRelease *release);
extern int	sv_registry_count(const SvRelease *release);
extern List *sv_registry_schemas(void);
extern int32 sv_registry_session(const char **product,
								 const SvVersion **version);
extern bool sv_registry_has_changed(void);
extern int32 sv_registry_session_at(CommandId command, const char **product);
extern SvRelease *sv_registry_session_release(void);
extern bool sv_registry_set_aside(bool aside);
extern bool sv_registry_is_set_aside(void);
extern bool sv_registry_set_newest_code(bool newest);
extern bool sv_registry_is_newest_code(void);
extern void sv_registry_lock_product(int32 product_id);

/* set by _PG_init: mends a product after a restore, or DDL by hand */
typedef void (*SvWakeHook) (SvProduct *product);
extern SvWakeHook sv_registry_wake_hook;

/* set by _PG_init: an error if the version is not ready */
typedef void (*SvReadyHook) (const SvProduct *product,
							 const SvRelease *release);
extern SvReadyHook sv_registry_ready_hook;

/*-------------------------------------------------------------------------
 * lock.c: short locks, tried again and again
 *-------------------------------------------------------------------------
 */

/* a relation that a piece of work will lock */
typedef struct SvNeededLock
{
	Oid			relation;
	LOCKMODE	mode;
} SvNeededLock;

extern void sv_lock_init(void);
extern List *sv_lock_need(List *needed, Oid relation, LOCKMODE mode);
extern char *sv_lock_holders(List *needed);
extern void sv_lock_pause(long ms);
extern void sv_lock_take(List *views, List *needed);
extern ErrorData *sv_lock_attempt(const char *what, SvTrialWork work,
								  void *argument, List **needed);
extern void sv_lock_retry(const char *what, SvTrialWork work, void *argument,
						  List **needed);

/*-------------------------------------------------------------------------
 * recast.c: what only older versions still fire sees rows as they know them
 *-------------------------------------------------------------------------
 */

/* how a session sees a table */
typedef struct SvRecast SvRecast;

extern Datum sv_recast_call(PGFunction function, FunctionCallInfo fcinfo,
							List *schemas, SvRecast **recast);

/*-------------------------------------------------------------------------
 * newest.c: trigger functions see the newest names, whoever writes
 *-------------------------------------------------------------------------
 */
extern void sv_newest_init(void);

/*-------------------------------------------------------------------------
 * redirect.c: COPY, TRUNCATE and CREATE reach the base schemas
 *-------------------------------------------------------------------------
 */
extern void sv_redirect_init(void);

/*-------------------------------------------------------------------------
 * sequence.c: nextval() and the like reach the sequence behind a view
 *-------------------------------------------------------------------------
 */
extern void sv_sequence_init(void);

/*-------------------------------------------------------------------------
 * hold.c: older versions' NOT NULL of columns that the newest leaves out
 *-------------------------------------------------------------------------
 */
/* what has become of a table's trigger since a migration has set it */
typedef enum SvTriggerState
{
	SV_TRIGGER_SET,				/* it is as it was left */
	SV_TRIGGER_MISSING,
	SV_TRIGGER_DISABLED,
	SV_TRIGGER_ALTERED
} SvTriggerState;

extern void sv_hold_column(Oid relation, AttrNumber number);
extern void sv_hold_rename(Oid relation, const char *from, const char *to);
extern void sv_hold_settle(const SvProduct *product);
extern void sv_hold_note_all(const SvProduct *product);
extern List *sv_hold_tables(const SvProduct *product);
extern SvTriggerState sv_hold_state(Oid relation, Oid *culprit);
extern bool sv_hold_is_own_table(Oid relation);
extern bool sv_hold_has_arguments(const Trigger *trigger, List *arguments);
extern bool sv_hold_has_condition(const Trigger *trigger, const char *product,
								  List *versions);
extern void sv_hold_restore(Oid relation);
extern List *sv_hold_versions(const char *text);
extern char *sv_hold_versions_text(List *versions);
extern int32 sv_hold_session(const char *product);
extern bool sv_hold_concerns(const char *product, const char *versions);
extern Oid	sv_hold_table(Relation relation);
extern const SvEntry *sv_hold_entry(Oid table);
extern const SvPart *sv_hold_known(Oid table, const char *column,
								   const SvEntry **entry);
extern const char *sv_hold_shown_name(Relation relation,
									  const SvEntry *entry);
extern bool sv_hold_may_read(Oid relation);
extern char *sv_hold_row(Relation relation, const Datum *values,
						 const bool *isnull, const SvEntry *entry);
extern void sv_hold_note_taken_out(Oid root, const char *what);
extern bool sv_hold_was_taken_out(Oid root, const char *what);

/*-------------------------------------------------------------------------
 * tolerate.c: hidden generated columns fail for those only who know them
 *-------------------------------------------------------------------------
 */
extern bool sv_tolerate_is_function(Oid function);
extern bool sv_tolerate_may_fail(Node *expression);
extern bool sv_tolerate_is_about_value(int sqlerrcode);
extern void sv_tolerate_column(Oid relation, const char *column);
extern void sv_tolerate_like(Oid parent, Oid child, const char *column);
extern void sv_tolerate_no_more(Oid relation, const char *column);

/*-------------------------------------------------------------------------
 * publish.c: tables that publications send changes of
 *-------------------------------------------------------------------------
 */
extern void sv_publish_lose_key(Oid index, const char *name);
extern bool sv_publish_finds_by(Oid relation, AttrNumber number);
extern void sv_publish_settle(bool refuse);
extern void sv_publish_report(void);
extern void sv_publish_report_own(void);

/*-------------------------------------------------------------------------
 * retain.c: what a script drops and a version still needs
 *-------------------------------------------------------------------------
 */
extern Oid	sv_retain_schema(void);
extern bool sv_retain_is_free_name(const char *name, Oid schema);
extern char *sv_retain_free_name(const char *name);
extern char *sv_retain_hidden_column(Oid relation, const char *column);
extern char *sv_retain_passing_name(Oid object);
extern void sv_retain_run(const char *text);
extern void sv_retain_drop_constraint(Oid constraint);
extern void sv_retain_soften(List *objects);
extern void sv_retain_loosen(Oid class_id, Oid object, Oid relation,
							 AttrNumber number);
extern bool sv_retain_is_filled(Oid relation, AttrNumber number);
extern bool sv_retain_has_equal_nulls(Oid index);
extern void sv_retain_set_nulls(Oid index, bool equal);
extern void sv_retain_hide_column(Oid relation, AttrNumber number);
extern void sv_retain_relax_column(Oid relation, AttrNumber number,
								   bool filled, bool computed);
extern List *sv_retain_prepare_heir(Oid parent, Oid child);
extern bool sv_retain_demand_heir(Oid parent, Oid child);
extern bool sv_retain_change_key(Oid constraint, bool primary);
extern void sv_retain_hide_child(Oid index, const char *name);
extern void sv_retain_unique(Oid class_id, Oid object);
extern char *sv_retain_trigger(Oid trigger, const SvProduct *product,
							   List *releases);
extern bool sv_retain_is_hidden_trigger(Oid trigger);
extern bool sv_retain_is_check_trigger(Oid trigger);
extern void sv_retain_retarget_triggers(Oid function, Oid other);
extern void sv_retain_hide_sequence(Oid sequence);
extern void sv_retain_set_identity(Oid relation, AttrNumber number,
								   char identity);
extern void sv_retain_end_identity(Oid relation, AttrNumber number,
								   Oid sequence);
extern void sv_retain_return_identity(Oid relation, AttrNumber number,
									  Oid sequence, char identity);
extern void sv_retain_disinherit(Oid relation, Oid parent);
extern void sv_retain_relation(Oid relation, List *kept);
extern void sv_retain_let_truncate(List *relations, List *seen,
								   bool cascade);
extern void sv_retain_home(Oid class_id, Oid object, Oid schema);
extern void sv_retain_return_unique(Oid relation, const SvPart *part);
extern void sv_retain_return_indexes(Oid relation);
extern void sv_retain_return_column(Oid relation, AttrNumber number,
									const char *name);
extern void sv_retain_return_trigger(Oid trigger, const char *name);
extern void sv_retain_return_relation(Oid relation, Oid schema,
									  const char *name);
extern void sv_retain_return_sequence(Oid sequence, const char *name);
extern void sv_retain_return_home(Oid class_id, Oid object, Oid schema,
								  const char *name);
extern List *sv_retain_unused(const SvProduct *product, List *retiring);
extern List *sv_retain_parts_of(const ObjectAddress *whole);
extern Oid	sv_retain_type_of(Oid function);
extern Oid	sv_retain_relation_of(const ObjectAddress *object);
extern void sv_retain_add_unused(List *unused, ObjectAddresses *addresses);

/*-------------------------------------------------------------------------
 * sync.c: the row trigger that keeps pairs of columns in step
 *-------------------------------------------------------------------------
 */

/*
 * Two columns of a table that hold the same for different versions.  Names
 * and expressions are of the physical columns as they are called now.
 */
typedef struct SvSyncPair
{
	char	   *old_column;		/* "" where one side has no column */
	char	   *new_column;
	char	   *up;				/* computes the new column; "": nothing does */
	char	   *down;			/* computes the old column; "": nothing does */
	char	   *product;
	char	   *label;			/* who writes the old column: sv_sync_is_old() */
	bool		newest_is_new;	/* which one everybody else writes */
} SvSyncPair;

/* the pairs of a table by column numbers, expressions as node trees */
typedef struct SvSyncFrozen SvSyncFrozen;

/* one way to compute a column of a pair, over the row of one table */
typedef struct SvSyncDirection
{
	SvSyncPair *pair;
	bool		is_up;
	AttrNumber	target;			/* the column that it computes */
	Node	   *expression;		/* generated columns replaced by their own */
	Bitmapset  *inputs;			/* numbers of the columns that it mentions */
} SvSyncDirection;

/* which column of which row the trigger is computing */
typedef struct SvSyncComputing
{
	Oid			relation;
	AttrNumber	column;
	ItemPointerData row;		/* where an UPDATE has found it, or invalid */
	bool		held;			/* a mark, by who is held to its key */
} SvSyncComputing;

extern List *sv_sync_tables(void);
extern bool sv_sync_is_old(const SvSyncPair *pair, const SvVersion *version);
extern char *sv_sync_label(const SvSyncPair *pair);
extern void sv_sync_take_sides(const SvProduct *product, List *releases,
							   const SvRelease *from,
							   const SvRelease *newest);
extern bool sv_sync_is_whole(Oid relation, const SvSyncPair *pair);
extern List *sv_sync_pairs(Oid relation);
extern char *sv_sync_visible(Oid relation, const char *column);
extern List *sv_sync_directions(Relation relation, List *pairs);
extern List *sv_sync_noted_pairs(Oid relation);
extern SvTriggerState sv_sync_state(Oid relation, Oid *culprit);
extern void sv_sync_set(Oid relation, List *pairs);
extern void sv_sync_restore(Oid relation);
extern void sv_sync_note_all(const SvProduct *product);
extern void sv_sync_place(Oid relation);
extern Node *sv_sync_parse(const char *text);
extern Node *sv_sync_expression(Relation relation, const char *text, Oid type,
								int32 typmod);
extern bool sv_sync_is_computed(Oid relation, const char *column);
extern bool sv_sync_fills(Oid relation, AttrNumber number,
						  const SvVersion *version);
extern void sv_sync_relax(Oid relation, AttrNumber number,
						  const SvVersion *version);
extern void sv_sync_ease(Oid relation, AttrNumber number,
						 const SvVersion *version);
extern char *sv_sync_check(Oid relation, const char *expression, Oid type,
						   int32 typmod, const char *what);
extern bool sv_sync_is_about_data(int sqlerrcode);
/* a row that is marked in a column of a table is about to be deleted */
typedef void (*SvGoneHook) (Oid table, AttrNumber mark, ItemPointer row);

extern SvGoneHook sv_sync_gone_hook;
extern const SvSyncComputing *sv_sync_computing(void);
extern bool sv_sync_gives_value(Oid relation, const char *expression,
								const char *column, List **inputs);
extern SvSyncFrozen *sv_sync_freeze(Oid relation);
extern bool sv_sync_is_plain(const SvSyncFrozen *frozen);
extern void sv_sync_thaw(SvSyncFrozen *frozen);

/*-------------------------------------------------------------------------
 * check.c: older versions' CHECKs that the newest is not held to
 *-------------------------------------------------------------------------
 */
extern void sv_check_note_drop(Oid constraint);
extern int	sv_check_settle(const SvProduct *product, bool strict);
extern List *sv_check_astray(const SvProduct *product);
extern bool sv_check_is_off_in_partition(Relation table, const char *prefix);

/*-------------------------------------------------------------------------
 * standin.c: what stands in a version schema for what no view can show
 *-------------------------------------------------------------------------
 */

/* all that makes a function what it is */
typedef struct SvFunction
{
	Oid			oid;
	HeapTuple	proc;			/* its row in pg_proc */
	HeapTuple	aggregate;		/* in pg_aggregate, or NULL */
	List	   *references;		/* what it depends on, ObjectAddress * */
} SvFunction;

extern SvFunction *sv_standin_read_function(Oid function);
extern bool sv_standin_is_trigger(const SvFunction *function);
extern bool sv_standin_same_function(const SvFunction *a,
									 const SvFunction *b);
extern Oid	sv_standin_make_function(const SvFunction *original,
									 const char *name, Oid schema);
extern void sv_standin_become_function(Oid function,
									   const SvFunction *model);
extern void sv_standin_copy_acl(Oid catalog_id, HeapTuple from, HeapTuple to,
								AttrNumber column,
								const ObjectAddress *object, Oid owner);
extern Oid	sv_standin_find(const SvEntry *entry, const SvEntry *now,
							Oid schema);
extern void sv_standin_drop(const SvEntry *entry, const SvEntry *now,
							Oid schema);
extern bool sv_standin_sync(const SvEntry *entry, const SvEntry *now,
							Oid schema);

/*-------------------------------------------------------------------------
 * defer.c: what a migration leaves to jobs
 *-------------------------------------------------------------------------
 */
/* a unique key that a job has yet to make */
typedef struct SvDeferredCheck
{
	Oid			relation;
	char	   *change;
	char	   *columns;
} SvDeferredCheck;

extern void sv_defer_init(void);
extern void sv_defer_begin(const SvProduct *product, const SvScript *script);
extern void sv_defer_at(const SvStatement *statement);
extern bool sv_defer_set_at_once(bool at_once);
extern void sv_defer_end(void);
extern void sv_defer_forget(void);
extern bool sv_defer_is_inline(Oid relation);
extern bool sv_defer_is_left(Oid relation);
extern bool sv_defer_is_done_now(Oid relation);
extern bool sv_defer_can(Oid relation, const char *column);
extern bool sv_defer_needs_index(Oid relation, const char *name);
extern bool sv_defer_conflicts(Node *statement, Oid relation, bool pending);
extern void sv_defer_add(const char *kind, Oid relation, const char *name,
						 const char *text, const char *condition);
extern void sv_defer_add_late(const char *kind, Oid relation,
							  const char *name, const char *text);
extern bool sv_defer_has(const char *kind, Oid relation, const char *name);
extern char *sv_defer_unfilled(const char *column, const char *value);
extern void sv_defer_note_check(Oid relation, List *elements,
								const char *change);
extern List *sv_defer_checks(void);
extern const char *sv_defer_remove(const char *kind, Oid relation,
								   const char *name);
extern List *sv_defer_jobs(void);
extern AttrNumber sv_defer_column_of(const SvJob *job, Oid relation,
									 const char *name);

/*-------------------------------------------------------------------------
 * blame.c: which row of a table an expression fails for
 *-------------------------------------------------------------------------
 */
extern void sv_blame_row(Oid relation, const char *column,
						 const char *expression,
						 ErrorData *problem) pg_attribute_noreturn();
extern void sv_blame_null(Oid relation, const char *column);

/*-------------------------------------------------------------------------
 * fill.c: add columns with volatile defaults without a rewrite
 *-------------------------------------------------------------------------
 */
extern bool sv_fill_is_running(void);
extern void sv_fill_rows(Oid relation, bool only, const char *assignments);
extern void sv_fill_column(Oid relation, const char *column,
						   const char *expression, bool only_nulls);
extern PlannedStmt *sv_fill_turn(PlannedStmt *pstmt, const char *query,
								 ParamListInfo params);

/*-------------------------------------------------------------------------
 * assign.c: triggers that give a column of each new row its value
 *-------------------------------------------------------------------------
 */
extern char *sv_assign_trigger(Oid relation, AttrNumber column);

/*-------------------------------------------------------------------------
 * require.c: columns that the newest version requires and older ones do not
 *-------------------------------------------------------------------------
 */

/* a column that is NOT NULL for all when versions are retired */
typedef struct SvGap
{
	Oid			relation;
	AttrNumber	column;
	bool		has_nulls;		/* is there a row without a value? */
} SvGap;

extern void sv_require_init(void);
extern void sv_require_begin(void);
extern void sv_require_end(void);
extern void sv_require_note_default(Oid attrdef);
extern void sv_require_note_query(Query *query);
extern bool sv_require_is_updated(Oid relation, AttrNumber column);
extern bool sv_require_is_deduplicated(Oid relation);
extern bool sv_require_is_nullable(void);
extern void sv_require_settle(const SvProduct *product, const SvRelease *from,
							  const SvScript *script, List *findings);
extern void sv_require_relax(const SvProduct *product);
extern void sv_require_forget(Oid relation, const char *column);
extern void sv_require_move(const SvProduct *product, Oid relation,
							AttrNumber from, AttrNumber to);
extern bool sv_require_is_filled(Oid relation, AttrNumber column,
								 bool known);
extern void sv_require_shift(const SvProduct *product, const SvRelease *from,
							 const SvRelease *to, Oid relation);
extern bool sv_require_demand(Oid relation, AttrNumber number);
extern char *sv_require_hold(const SvProduct *product, Oid relation,
							 AttrNumber column, bool strict);
extern List *sv_require_unneeded(const SvProduct *product);
extern List *sv_require_gaps(const SvProduct *product, List *staying);
extern void sv_require_look(List *gaps);
extern const SvGap *sv_require_find_gap(List *gaps, Oid relation,
										AttrNumber column);
extern bool sv_require_is_left(Oid relation, const SvPart *column);
extern void sv_require_leave(Oid relation, const char *column);
extern void sv_require_promote_keys(const SvProduct *product, Oid relation);
extern void sv_require_free(const SvProduct *product, Oid relation,
							List *gaps);

/*-------------------------------------------------------------------------
 * tree.c: partitioned tables and their indexes, as jobs build them
 *-------------------------------------------------------------------------
 */
extern bool sv_tree_has(Oid relation, Oid table);
extern char *sv_tree_default(Oid relation, const char *column);
extern List *sv_tree_lacking(Oid index);
extern bool sv_tree_complete(Oid index);
extern char *sv_tree_index_name(Oid index);
extern void sv_tree_name_children(Oid index);
extern void sv_tree_name_heir(Oid partition);
extern void sv_tree_make_key(Oid index, const Constraint *key);

/*-------------------------------------------------------------------------
 * first.c: loosened keys while rows are written
 *-------------------------------------------------------------------------
 */

/*
 * A claim: ExclusiveLock of USER_LOCKMETHOD at session level on a
 * LOCKTAG_USERLOCK tag with the fields database, index, hash of the values,
 * SV_LOCK_CLAIM, until the row is written.
 */
#define SV_LOCK_CLAIM		0x5359

extern void sv_first_init(void);

/*-------------------------------------------------------------------------
 * key.c: unique keys that only older versions still have
 *-------------------------------------------------------------------------
 */
extern Oid	sv_key_index(Oid class_id, Oid object);
extern bool sv_key_is_loose(Oid class_id, Oid object);
extern bool sv_key_is_known(const SvRelease *release, Oid relation, Oid key);
extern bool sv_key_loosen(const SvProduct *product, const SvRelease *current,
						  const SvRelease *last, bool is_newer,
						  Oid class_id, Oid *object);
extern const SvRelease *sv_key_last_without(const SvProduct *product,
											const SvRelease *from,
											const SvRelease *to,
											Oid relation, Oid key);
extern List *sv_key_columns(Oid index_id);
extern List *sv_key_twins(Oid relation, List *columns);
extern char *sv_key_violated(const SvRelease *release);
extern bool sv_key_has_duplicates(Oid class_id, Oid object);
extern IndexStmt *sv_key_statement(Oid index, Oid table, const char *mark);
extern bool sv_key_fits(Oid class_id, Oid object, Oid index_id);
extern void sv_key_leave(Oid class_id, Oid object);
extern Oid	sv_key_exchange(Oid class_id, Oid object, Oid index);
extern Oid	sv_key_tighten(Oid class_id, Oid object, bool force);
extern bool sv_key_exempts(Oid class_id, Oid object, List *releases,
						   bool *is_newer);
extern List *sv_key_tighten_all(const SvRelease *current, List *supported,
								bool any_size, List **left);
extern void sv_key_drop(Oid class_id, Oid object);
extern void sv_key_mark_partition(Oid whole, Oid partition);
extern void sv_key_leave_whole(Oid table);

/*-------------------------------------------------------------------------
 * blur.c: unique keys over columns that are computed from newer ones
 *-------------------------------------------------------------------------
 */
extern bool sv_blur_loosen_keys(const SvProduct *product, SvRelease *from,
								List *releases);

/*-------------------------------------------------------------------------
 * names.c: errors of constraints, in the names of the version that writes
 *-------------------------------------------------------------------------
 */
extern void sv_names_init(void);

/*-------------------------------------------------------------------------
 * lost.c: constraints that a contract has and the table for now has not
 *-------------------------------------------------------------------------
 */
/* a foreign key by the numbers of columns; actions as in pg_constraint */
typedef struct SvForeignKey
{
	Oid			relation;
	List	   *columns;
	Oid			referenced;
	List	   *referenced_columns;
	List	   *set_columns;	/* ON DELETE SET ... of these alone, or NIL */
	char		match;
	char		on_update;
	char		on_delete;
	bool		deferrable;
	bool		deferred;
} SvForeignKey;

extern void sv_lost_init(void);
extern void sv_lost_begin(void);
extern void sv_lost_move(Oid relation, AttrNumber from, AttrNumber to);
extern void sv_lost_note_drop(const SvProduct *product,
							  const SvRelease *from, Oid constraint);
extern PlannedStmt *sv_lost_turn(PlannedStmt *pstmt, const SvRelease *from);
extern char *sv_lost_text(const SvProduct *product, const SvEntry *entry,
						  const SvPart *constraint);
extern bool sv_lost_is_same(const SvProduct *product, const SvEntry *entry,
							const SvPart *constraint,
							const SvEntry *other_entry, const SvPart *other);
extern bool sv_lost_awaits(const SvProduct *product, const SvEntry *entry,
						   const SvPart *constraint, Oid index);
extern bool sv_lost_read_key(const SvProduct *product, const SvEntry *entry,
							 const SvPart *constraint, SvForeignKey *key);

/*-------------------------------------------------------------------------
 * refcheck.c: what a writer's version is held to by a lost foreign key
 *-------------------------------------------------------------------------
 */

/* a foreign key in the names of the versions that know it so */
typedef struct SvKeyName
{
	char	   *name;
	List	   *versions;		/* all lists of char * */
	List	   *table;			/* schema and name */
	List	   *columns;
	List	   *referenced;		/* schema and name */
	List	   *referenced_columns;
	List	   *set_columns;
} SvKeyName;

extern List *sv_refcheck_arguments(const char *product,
								   const SvForeignKey *key, List *names);
extern List *sv_refcheck_names(const Trigger *trigger, SvForeignKey *key);
extern bool sv_refcheck_resolve(const SvRelease *release,
								const SvKeyName *name, SvForeignKey *key);
extern void sv_refcheck_truncate(List *relations);

/*-------------------------------------------------------------------------
 * refer.c: older versions' foreign keys that the newest is not held to
 *-------------------------------------------------------------------------
 */
extern void sv_refer_note_drop(Oid constraint);
extern int	sv_refer_settle_all(const SvProduct *product, bool strict);
extern List *sv_refer_astray(const SvProduct *product);
extern List *sv_refer_tables(const SvProduct *product, List *releases);
extern List *sv_refer_ends(const SvProduct *product,
						   const SvRelease *release, List *relations);

/*-------------------------------------------------------------------------
 * archive.c: keep what would be lost with retired versions
 *-------------------------------------------------------------------------
 */

/* what one call of retire() keeps */
typedef struct SvArchive
{
	List	   *relations;		/* OIDs of the tables that were made or moved */
	StringInfoData report;		/* their names, for the history */
} SvArchive;

extern void sv_archive_columns(const SvProduct *product, List *retiring,
							   SvArchive *archive);
extern List *sv_archive_tables(const SvProduct *product, List *retiring,
							   List *unused, SvArchive *archive);

/*-------------------------------------------------------------------------
 * drop.c: drop many compatibility views
 *-------------------------------------------------------------------------
 */
extern List *sv_drop_lone_views(List *views);

/*-------------------------------------------------------------------------
 * compat.c: reconcile: version schemas and their views
 *-------------------------------------------------------------------------
 */
extern List *sv_compat_schema_names(const SvProduct *product,
									const SvVersion *version);
extern Oid	sv_compat_schema_for(const SvProduct *product,
								 const SvRelease *release,
								 const char *base_schema);
extern void sv_compat_create_schemas(const SvProduct *product,
									 const SvRelease *release);
extern void sv_compat_retire(const SvProduct *product, List *retiring,
							 List *staying, List *gaps,
							 SvArchive *archive, List **needed);
extern int	sv_compat_reconcile(const SvProduct *product, List *releases);
extern int	sv_compat_reconcile_all(SvProduct *product, bool strict);
extern void sv_compat_sync_rights(Oid base);
extern bool sv_compat_has_view(const SvProduct *product,
							   const SvRelease *release,
							   const SvEntry *entry);
extern void sv_compat_lock_views(Oid base);
extern bool sv_compat_park_views(const SvProduct *product);
extern void sv_compat_drop_views_on(Oid base);
extern List *sv_compat_views_on(const SvProduct *product, List *releases,
								Oid base);

/* one way in which a version schema is not what reconcile would make it */
typedef struct SvMismatch
{
	const SvRelease *release;
	const SvEntry *entry;		/* NULL for a schema as a whole */
	char	   *object;			/* the view or the schema, quoted */
	const char *finding;		/* "view missing" */
	const char *detail;			/* a sentence, or NULL */
	bool		mendable;		/* by reconcile() */
} SvMismatch;

extern List *sv_compat_compare(const SvProduct *product, List *releases);
extern void sv_compat_wake(SvProduct *product);
extern SvProduct *sv_compat_open_product(const char *name);

/*-------------------------------------------------------------------------
 * routine.c: functions and triggers that a rename leaves behind
 *-------------------------------------------------------------------------
 */
extern void sv_routine_check(const SvProduct *product, SvRelease *from);
extern bool sv_routine_mentions(Oid function, const char *name);

/*-------------------------------------------------------------------------
 * invert.c: the way back of an expression; pure
 *-------------------------------------------------------------------------
 */
extern Node *sv_invert_expression(Node **up, AttrNumber number, Oid old_type,
								  Var *target, Node *otherwise);
extern Node *sv_invert_call(Node *up, AttrNumber number, Oid old_type,
							Var *target);

/*-------------------------------------------------------------------------
 * retype.c: a column changes its type
 *-------------------------------------------------------------------------
 */
extern bool sv_retype_column(const SvProduct *product, const SvRelease *from,
							 Oid table, const AlterTableCmd *command,
							 const char *up, const char *down, bool in_use);
extern void sv_retype_split(const SvProduct *product, const SvRelease *from,
							Oid table, const char *column);
extern void sv_retype_fit_sequences(Oid relation, AttrNumber from,
									AttrNumber to);
extern void sv_retype_move_sequences(Oid relation, AttrNumber from,
									 AttrNumber to, char identity);

/*-------------------------------------------------------------------------
 * replace.c: what a script replaces
 *-------------------------------------------------------------------------
 */

/* what was put away, and what it was called before */
typedef struct SvPutAway
{
	Oid			class_id;
	Oid			object;
	Oid			schema;
	char	   *name;
} SvPutAway;

extern List *sv_replace_watch(Node *statement, List *releases);
extern List *sv_replace_keep(List *watched, const SvProduct *product,
							 const SvRelease *from);
extern void sv_replace_keep_views(List *views);
extern bool sv_replace_can_become(Oid class_id, Oid object, Oid model);
extern void sv_replace_become(Oid class_id, Oid object, Oid model,
							  const SvProduct *product,
							  const SvRelease *from);

/*-------------------------------------------------------------------------
 * settle.c: what a script drops and makes again just as it was
 *-------------------------------------------------------------------------
 */
extern void sv_settle_put_away(List *put_away);
extern bool sv_settle_is_in_use(Oid class_id, Oid object);

/*-------------------------------------------------------------------------
 * relabel.c: a label of an enum gets another name
 *-------------------------------------------------------------------------
 */
extern List *sv_relabel_replace(const AlterEnumStmt *statement,
								const SvProduct *product,
								const SvRelease *from, List *releases,
								List *used);
extern void sv_relabel_add(const AlterEnumStmt *statement);
extern List *sv_relabel_tables(const AlterEnumStmt *statement);

/*-------------------------------------------------------------------------
 * split.c: what stands on a column that gets another one in its place
 *-------------------------------------------------------------------------
 */
typedef struct SvStanding SvStanding;

extern SvStanding *sv_split_read(Oid relation, AttrNumber number);
extern List *sv_split_views(const SvStanding *all);
extern List *sv_split_views_on(Oid relation);
extern void sv_split_check(const SvStanding *all);
extern void sv_split_loosen(const SvStanding *all);
extern void sv_split_remake(SvStanding *all);
extern void sv_split_return(SvStanding *all);

/*-------------------------------------------------------------------------
 * follow.c: views made by hand follow a column of two types
 *-------------------------------------------------------------------------
 */

/* a column of a relation that another one is to replace; "to" 0: none is */
typedef struct SvSuccession
{
	Oid			relation;
	AttrNumber	from;
	AttrNumber	to;
} SvSuccession;

typedef struct SvFollowing SvFollowing;

extern SvFollowing *sv_follow_take(List *views, List *successions,
								   const char *refusal);
extern void sv_follow_make(SvFollowing *following);

/*-------------------------------------------------------------------------
 * directive.c: "up" and "down"
 *-------------------------------------------------------------------------
 */
extern List *sv_directive_split(const SvProduct *product,
								const SvRelease *from, const SvScript *script);
extern bool sv_directive_has_down(const SvProduct *product,
								  const SvRelease *from,
								  const SvScript *script, Oid relation,
								  const char *column);
extern char *sv_directive_value(const SvProduct *product,
								const SvRelease *from, const SvScript *script,
								Oid relation, const char *column);
extern bool sv_directive_names(const SvDirective *directive,
							   const char *table);
extern void sv_directive_settle(const SvProduct *product,
								const SvRelease *from, SvScript *script);

/*-------------------------------------------------------------------------
 * build.c: indexes, keys, NOT NULL and validated constraints
 *-------------------------------------------------------------------------
 */

/* what of an ALTER TABLE is left to jobs; relation 0: nothing */
typedef struct SvBuild
{
	Oid			relation;
	List	   *required;		/* columns to be NOT NULL, char * */
	List	   *keys;			/* of Constraint */
	bool		validates;		/* CHECKs or foreign keys are made NOT VALID */
} SvBuild;

extern void sv_build_rehearse(List *jobs);
extern char *sv_build_index_text(Oid relation, IndexStmt *statement,
								 const char *query);
extern bool sv_build_index(IndexStmt *statement, Oid relation,
						   const char *query);
extern PlannedStmt *sv_build_turn(PlannedStmt *pstmt, SvBuild *build);
extern void sv_build_finish(const SvBuild *build, const char *query);
extern void sv_build_fill(const AlterTableStmt *alter,
						  const SvProduct *product, const SvRelease *from,
						  const SvScript *script);
extern PlannedStmt *sv_build_split(PlannedStmt *pstmt, const SvScript *script,
								   const char *query, ParamListInfo params);

/*-------------------------------------------------------------------------
 * plain.c: plain indexes that scripts drop
 *-------------------------------------------------------------------------
 */
extern void sv_plain_begin(void);
extern void sv_plain_note_drop(const SvProduct *product,
							   const SvRelease *from, Oid index);
extern void sv_plain_forget(const SvProduct *product, const SvRelease *from);
extern void sv_plain_store(const SvProduct *product, const SvRelease *from,
						   const SvRelease *to);
extern void sv_plain_build(const SvProduct *product, const SvRelease *to);
extern void sv_plain_drop(const SvProduct *product, const SvRelease *from,
						  const SvRelease *to);
extern List *sv_plain_tables(const SvProduct *product, const SvRelease *from,
							 const SvRelease *to);

/*-------------------------------------------------------------------------
 * work.c: do one job
 *-------------------------------------------------------------------------
 */

/*
 * Locks of USER_LOCKMETHOD on LOCKTAG_USERLOCK tags.  Fields: database, id,
 * what the id is of (SvJobLock), SV_LOCK_JOB.
 *
 * A relation's, a job's: ExclusiveLock at session level while the job runs;
 * who waits for it waits for the job's in ShareLock.
 *
 * A job row's: ExclusiveLock at transaction level around reading the row in
 * order to change it; waited for.
 *
 * A worker's: ExclusiveLock at session level, by its number in the database.
 */
#define SV_LOCK_JOB			0x5358

typedef enum SvJobLock
{
	SV_JOB_LOCK_RELATION,
	SV_JOB_LOCK_JOB,
	SV_JOB_LOCK_ROW,
	SV_JOB_LOCK_WORKER
} SvJobLock;

extern void sv_work_init(void);
extern bool sv_work_executing(void);
extern void sv_work_set_tag(LOCKTAG *tag, uint32 id, SvJobLock of);
extern void sv_work_lock_row(int32 id);
extern Oid	sv_work_find_relation(SvJob *job);
extern char *sv_work_describe(const SvJob *job);
extern bool sv_work_restores(const SvJob *job);
extern List *sv_work_pending(const SvProduct *product,
							 const SvRelease *release);
extern void sv_work_reload_settings(void);
extern const char *sv_work_run(int32 id, bool foreground);

/*-------------------------------------------------------------------------
 * jobs.c: background work that a migration leaves
 *-------------------------------------------------------------------------
 */
extern void sv_jobs_init(void);
extern void sv_jobs_add_deferred(const SvProduct *product,
								 const SvRelease *release, bool late);
extern List *sv_jobs_forget_restoring(const SvProduct *product);
extern void sv_jobs_forget(const SvProduct *product,
						   const SvRelease *release);
extern void sv_jobs_look_again(void);
extern void sv_jobs_stop(const SvProduct *product);
extern SvJob *sv_jobs_needing(const SvProduct *product,
							  const SvRelease *release);
extern void sv_jobs_resume(void);
extern void sv_jobs_check_ready(const SvProduct *product,
								const SvRelease *release);

/*-------------------------------------------------------------------------
 * compare.c: do columns that are kept in step hold what they must
 *-------------------------------------------------------------------------
 */

/* an "up" and a "down" that belong together, and rows where neither holds */
typedef struct SvStray
{
	char	   *old_column;		/* quoted: what "down" computes */
	char	   *new_column;		/* what "up" computes */
	char	   *up;
	char	   *down;
	char	   *label;			/* the last version that writes the old one */
	char	   *why_not;		/* a sentence: nothing can be demanded; or NULL */
	uint64		rows;
	char	   *key;			/* of the first one, "with (id)=(7)", or NULL */
} SvStray;

extern List *sv_compare_rows(Oid relation);

/*-------------------------------------------------------------------------
 * expand.c: turn what drops into what retains, while apply() runs
 *-------------------------------------------------------------------------
 */
extern void sv_expand_init(void);
extern void sv_expand_begin(const SvProduct *product, const SvRelease *from,
							const SvRelease *to, List *releases,
							const SvScript *script);
extern void sv_expand_freeze(Oid relation);
extern void sv_expand_follow_names(void);
extern void sv_expand_end(void);
extern void sv_expand_settle(void);
extern bool sv_expand_execute(const SvStatement *statement);
extern List *sv_expand_analyze(const SvStatement *statement);
extern void sv_expand_run(const SvStatement *statement, List *queries);

/*-------------------------------------------------------------------------
 * swap.c: what follows when two columns kept in step change places
 *-------------------------------------------------------------------------
 */
extern List *sv_swap_pending(const SvProduct *product,
							 const SvRelease *release);
extern bool sv_swap_is_left(List *pending, Oid relation, const char *kind,
							const char *name);
extern List *sv_swap_referring(List *relations);
extern List *sv_swap_note_keys(const SvRelease *to, List *relations);
extern void sv_swap_return_keys(List *keys, List *pending, bool forward);
extern List *sv_swap_note_statistics(List *relations);
extern void sv_swap_return_statistics(List *noted);
extern void sv_swap_hide_index(Oid class_id, Oid object);
extern void sv_swap_put_aside(Oid relation, AttrNumber number,
							  const char *successor, const SvRelease *to,
							  List *pending);

/*-------------------------------------------------------------------------
 * shift.c: make another supported version the current one
 *-------------------------------------------------------------------------
 */
extern void sv_shift_begin(SvProduct *product, SvRelease *from,
						   SvRelease *to, List **needed);
extern void sv_shift_end(SvProduct *product, SvRelease *from, SvRelease *to);
extern void sv_shift_to(const SvProduct *product, const SvRelease *from,
						const SvRelease *to);
extern List *sv_shift_gaps(const SvProduct *product,
						   const SvRelease *current, List *retired,
						   List *staying);
extern void sv_shift_restore(const SvProduct *product,
							 const SvRelease *current, List *retired,
							 List *staying, List *gaps);
extern int	sv_shift_restore_references(const SvProduct *product,
										const SvRelease *current,
										List *indexes);

/*-------------------------------------------------------------------------
 * apply.c: run a migration
 *-------------------------------------------------------------------------
 */
extern SvScript *sv_apply_undoable(const SvProduct *product,
								   const SvRelease *release);
/* who is told how a migration goes that is only tried */
typedef struct SvRehearsal
{
	void	   *state;
	/* the locks that a statement's words tell of, before any is taken */
	void		(*foresee) (void *state, const SvStatement *statement,
							List *needed);
	/* locks are about to be taken */
	void		(*begin) (void *state);
	/* a statement's turn has come; true if it was seen to */
	bool		(*run) (void *state, const SvStatement *statement);
	/* it has run; all findings until now */
	void		(*ran) (void *state, const SvStatement *statement,
						List *findings);
	/* the script has run; these are the findings that count */
	void		(*judged) (void *state, List *findings);
	/* it has failed: all from the beginning, without versions nobody uses */
	void		(*again) (void *state);
	/* that was no better: the first time counts */
	void		(*restore) (void *state);
} SvRehearsal;

extern SvVersion *sv_apply_rehearse(SvScript *script, SvVersion *version,
									char *product,
									const SvRehearsal *rehearsal,
									const char **before);
extern void sv_apply_undo(SvProduct *product, const SvRelease *release,
						  const SvScript *script);

/*-------------------------------------------------------------------------
 * plan.c: what apply() would do
 *-------------------------------------------------------------------------
 */
extern void sv_plan_init(void);

/*-------------------------------------------------------------------------
 * guard.c: judge DDL by hand against the contracts of the live versions
 *-------------------------------------------------------------------------
 */
extern void sv_guard_init(void);

#endif							/* SCHEMAVER_H */
