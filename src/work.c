/*-------------------------------------------------------------------------
 *
 * work.c
 *	  Do one job: backfill, set NOT NULL, build an index, let a key, a column
 *	  or a constraint take its predecessor's place, validate, refresh.
 *
 * A job is a row of steps, each a transaction of its own that keeps its locks
 * short: one that cannot get a lock gives back all of them and is tried again
 * after a pause, for as long as it takes.  Whatever a step has done is either
 * in the job's row with the same commit, or can be seen in the catalogs; so a
 * job that ended in the middle is done from its beginning and finds its place.
 *
 * The statements run as the owner of the relation, in a security-restricted
 * operation, with search_path = pg_catalog, pg_temp.  CREATE INDEX
 * CONCURRENTLY has transactions of its own, through which only the user can
 * be kept; it restricts itself while it runs what users wrote.
 *
 * Backfill goes through a table by batches, a transaction each, and a batch by
 * slices of some blocks, a statement of about a millisecond each.  While
 * others write, slices are some rows of a block and far shorter than a
 * transaction of theirs, and it rests after each for some times as long as
 * that took: whoever needs the processor meanwhile waits for one slice at
 * most, which is what decides about the slowest of theirs.  A batch ends when
 * it has had its time, or when somebody waits for one of its rows, who
 * therefore does not wait for much longer than a block takes.  Standbys that
 * fall behind make it pause.  Users' triggers do not fire: the rows mean what
 * they meant before.  It commits asynchronously: a crash loses the last
 * batches with the position that says so.
 *
 * A row that was not filled yet, and that somebody updates, may move from a
 * block that is still to come to one that is done.  So a backfill that has a
 * condition looks at the end, in one snapshot, whether the condition still
 * holds anywhere, and if so goes through the table again.
 *
 * Partitions may be made, attached, renamed, detached and dropped while a job
 * is at work.  A backfill sees to it before each batch that its leaf is still a
 * part of the whole, and looks at all leaves in one snapshot at the end, so
 * that it finds the rows of a leaf that came, and those that have moved.  Of an
 * index, see tree.c, the partitions without one are looked for again until
 * there are none.
 *
 * Where a column has got a successor of another type, what is on the old one
 * stays in force until its like on the new one is ready, and gives it its name
 * in the very transaction that makes it.  What a version expects is completed
 * when a job is done, in the transaction that says so.
 *
 * The caller is in no transaction, and so is sv_work_run() when it returns.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/spin.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

#define LOCK_TIMEOUT		"50ms"
#define FIRST_PAUSE_MS		50
#define LONGEST_PAUSE_MS	5000
#define LOCK_PAUSE_MS		500
#define SLICE_MS			1
#define SHORT_SLICE_MS		0.2 /* while others write */
#define LARGEST_SLICE		1024	/* blocks */
#define SMALLEST_SLICE		(1.0 / MaxHeapTuplesPerPage)
#define LONGEST_REST_MS		50
#define LOOK_MS				1	/* for who waits, in a rest */
#define REMEMBERED_MS		1000	/* that others have written */
#define LAG_PAUSE_MS		100
#define MOST_PASSES			20
#define NOTICE_MS			5000

/* a table that a backfill goes through: the relation or a part of it */
typedef struct Leaf
{
	Oid			oid;
	char	   *name;			/* qualified and quoted */
	BlockNumber blocks;
	Oid			filenode;
	bool		gone;			/* dropped or detached since it was found */
} Leaf;

/* what a step that looks has found */
typedef enum Found
{
	FOUND_NOTHING,
	FOUND_BEGUN,				/* an invalid index, a check not validated */
	FOUND_VALIDATED,			/* a check that is */
	FOUND_DONE
} Found;

typedef struct Work Work;

/* what is done in a transaction of its own */
typedef void (*Step) (Work *work);

/* an index to be built, of the job's relation or of a partition */
typedef struct Build
{
	Oid			table;
	char	   *name;			/* of the index */
	bool		partitioned;
	const struct Build *whole;	/* that it is to be a part of, or NULL */
	Step		create;
} Build;

/* one run of one job */
struct Work
{
	MemoryContext context;		/* holds all of this */
	MemoryContext row;			/* holds the job */
	SvJob	   *job;			/* as last written or read */
	char	   *target;			/* the relation, qualified and quoted */
	Oid			owner;
	char		relkind;
	bool		stopped;		/* somebody has cancelled it */
	bool		gone;			/* the relation does not exist any more */
	bool		foreground;		/* progress as NOTICEs */
	TimestampTz clock;			/* busy is counted up to here */
	TimestampTz noticed;		/* when progress was last told */

	/* a step's own */
	const char *sql;			/* statement to run */
	const Build *build;			/* index to build */
	List	   *builds;			/* of Build: for partitions */
	const char *constraint;		/* to validate */
	Found		found;			/* what is there already */
	List	   *leaves;			/* of Leaf, by name */
	Leaf	   *leaf;			/* the one at work */

	/* backfill's own */
	BlockNumber position;		/* next block in it */
	BlockNumber next;			/* of the slice at work */
	OffsetNumber offset;		/* in it, 0 at its beginning */
	OffsetNumber pointers;		/* of rows in it, where it is cut */
	int			pass;			/* how many times through all leaves */
	char	   *type;			/* of the column */
	int64		done;			/* blocks done in all leaves */
	int64		total;
	double		slice;			/* blocks of the next one */
	BlockNumber limit;			/* the next batch ends before it */
	TransactionId others;		/* theirs that was found last */
	TimestampTz disturbed;		/* when it was found */
	ItemPointerData from;		/* the slice, or the row, at work */
	ItemPointerData to;
	char	   *key;			/* of the row that fails */
	const char *end_state;		/* what to leave in the row */
	char	   *end_error;
	XLogRecPtr	mark;			/* standbys were last known to lack this */
	TimestampTz marked;			/* written then */
};

static int	batch_time = 100;
static double batch_rest = 3;
static int	max_lag = 10000;

/* is this process within a job's DDL? */
static bool executing = false;

/*
 * Define the settings.
 */
void
sv_work_init(void)
{
	DefineCustomIntVariable("schemaver.batch_time",
							"How long a batch of a backfill may take.",
							"Batches get shorter while somebody waits for their rows.",
							&batch_time, 100, 1, 60000,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomRealVariable("schemaver.batch_rest",
							 "How long a backfill rests while others write, as a multiple of the time that it works.",
							 "0 lets it never rest.",
							 &batch_rest, 3, 0, 100,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("schemaver.max_lag",
							"How far standbys may fall behind before a backfill pauses.",
							"-1 lets it never pause.",
							&max_lag, 10000, -1, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

/*
 * Is this process within DDL of a job?  That is part of a migration, and not
 * done by hand.
 */
bool
sv_work_executing(void)
{
	return executing;
}

/*
 * The lock around reading a job's row in order to change it, until the
 * transaction ends.
 */
void
sv_work_lock_row(int32 id)
{
	LOCKTAG		tag;

	sv_work_set_tag(&tag, (uint32) id, SV_JOB_LOCK_ROW);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * The tag of one of the locks that schemaver.h lays down.
 */
void
sv_work_set_tag(LOCKTAG *tag, uint32 id, SvJobLock of)
{
	tag->locktag_field1 = MyDatabaseId;
	tag->locktag_field2 = id;
	tag->locktag_field3 = of;
	tag->locktag_field4 = SV_LOCK_JOB;
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

/*
 * The relation of a job now, InvalidOid if it is gone.  Puts the names right.
 */
Oid
sv_work_find_relation(SvJob *job)
{
	Oid			schema;

	if (OidIsValid(job->relid) &&
		SearchSysCacheExists1(RELOID, ObjectIdGetDatum(job->relid)))
	{
		job->relation = get_rel_name(job->relid);
		job->schema = get_namespace_name(get_rel_namespace(job->relid));
		return job->relid;
	}
	schema = get_namespace_oid(job->schema, true);
	job->relid = OidIsValid(schema) ?
		get_relname_relid(job->relation, schema) : InvalidOid;
	return job->relid;
}

/*
 * "backfill of public.person.full_name", "index person_key of public.person":
 * for messages.
 */
char *
sv_work_describe(const SvJob *job)
{
	char	   *relation = quote_qualified_identifier(job->schema,
													  job->relation);

	if (strcmp(job->kind, SV_JOB_BACKFILL) == 0 ||
		strcmp(job->kind, SV_JOB_NOTNULL) == 0 ||
		strcmp(job->kind, SV_JOB_RELAX) == 0)
		return psprintf("%s of %s.%s", job->kind, relation,
						quote_identifier(job->name));
	if (strcmp(job->kind, SV_JOB_REFRESH) == 0)
		return psprintf("%s of %s", job->kind, relation);
	return psprintf("%s %s of %s", job->kind,
					quote_identifier(strcmp(job->kind, SV_JOB_INDEX) == 0 &&
									 job->condition ? job->condition :
									 job->name),
					relation);
}

/*
 * Transactions
 */

/* let a setting hold until the transaction ends */
static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

static void
begin_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	set_local("search_path", "pg_catalog, pg_temp");
	set_local("lock_timeout", LOCK_TIMEOUT);
	set_local("statement_timeout", "0");
	set_local("row_security", "on");
}

/*
 * Do a step in a transaction of its own, with a snapshot: long texts of jobs
 * and contracts are stored out of line.  What builds an index concurrently
 * gives that up.  Returns NULL, or the error that the step ended with; then
 * the transaction is rolled back.
 */
static ErrorData *
try_step(Work *work, Step step)
{
	ErrorData  *volatile problem = NULL;
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	PG_TRY();
	{
		begin_transaction();
		PushActiveSnapshot(GetTransactionSnapshot());
		step(work);
		if (ActiveSnapshotSet())
			PopActiveSnapshot();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(work->context);
		problem = CopyErrorData();
		FlushErrorState();
		executing = false;
		AbortCurrentTransaction();
		SetUserIdAndSecContext(user, context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(work->context);
	return problem;
}

/*
 * May the same step, tried again, do better?  Commands beside which others may
 * run can meet in a row of a catalog; the server has no code for that.
 */
static bool
is_transient(const ErrorData *problem)
{
	return (problem->sqlerrcode == ERRCODE_INTERNAL_ERROR &&
			strcmp(problem->message, "tuple concurrently updated") == 0) ||
		problem->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		problem->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		problem->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

/* do a step until it has got its locks; other errors are thrown */
static void
run_step(Work *work, Step step)
{
	long		pause = FIRST_PAUSE_MS;
	ErrorData  *problem;

	while (!work->stopped && (problem = try_step(work, step)) != NULL)
	{
		if (!is_transient(problem))
			ReThrowError(problem);
		FreeErrorData(problem);
		sv_lock_pause(pause);
		pause = Min(pause * 2, LONGEST_PAUSE_MS);
	}
}

/* become the relation's owner; the transaction's end undoes it on error */
static void
become_relation_owner(const Work *work, SvIdentity *identity, int context)
{
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(work->owner, identity->context | context);
}

/*
 * The job's row
 */

/*
 * Read the job under its row's lock.  False if it is not to be run any more.
 */
static bool
read_row(Work *work)
{
	int32		id = work->job->id;
	MemoryContext row = AllocSetContextCreate(work->context,
											  "schemaver job's row",
											  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(row);

	sv_work_lock_row(id);
	work->job = sv_catalog_job(id);
	if (work->job == NULL)
		elog(ERROR, "job %d has vanished", id);
	(void) sv_work_find_relation(work->job);
	MemoryContextSwitchTo(oldcontext);
	if (work->row)
		MemoryContextDelete(work->row);
	work->row = row;
	work->stopped = strcmp(work->job->state, SV_JOB_RUNNING) != 0;
	return !work->stopped;
}

/* let it be cancelled while something takes long */
static void
unlock_row(const Work *work)
{
	LOCKTAG		tag;

	sv_work_set_tag(&tag, (uint32) work->job->id, SV_JOB_LOCK_ROW);
	LockRelease(&tag, ExclusiveLock, false);
}

static void
write_row(Work *work)
{
	TimestampTz now = GetCurrentTimestamp();

	work->job->busy += (now - work->clock) / 1000;
	work->clock = now;
	sv_catalog_update_job(work->job);
}

/* first step: say that it runs, and look at the relation */
static void
step_begin(Work *work)
{
	SvJob	   *job;
	HeapTuple	tuple;
	Form_pg_class form;

	(void) read_row(work);
	work->stopped = strcmp(work->job->state, SV_JOB_QUEUED) != 0 &&
		strcmp(work->job->state, SV_JOB_RUNNING) != 0;
	if (work->stopped)
		return;
	job = work->job;
	work->gone = !OidIsValid(job->relid);
	if (work->gone)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s does not exist any more",
						quote_qualified_identifier(job->schema,
												   job->relation))));
	job->state = SV_JOB_RUNNING;
	job->error = NULL;
	job->attempts++;
	if (job->started == 0)
		job->started = GetCurrentTimestamp();
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(job->relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", job->relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	work->owner = form->relowner;
	work->relkind = form->relkind;
	ReleaseSysCache(tuple);
	work->target = MemoryContextStrdup(work->context,
									   quote_qualified_identifier(job->schema,
																  job->relation));
	write_row(work);
}

/* is no job left without which a release is not ready? */
static bool
is_ready(const SvProduct *product, const SvRelease *release)
{
	ListCell   *lc;

	foreach(lc, sv_work_pending(product, release))
	{
		if (!((SvJob *) lfirst(lc))->late)
			return false;
	}
	return true;
}

/*
 * Does a job restore what its version's contract has had all along, and what
 * its instances can do without: after a rollback, or a retirement?
 */
bool
sv_work_restores(const SvJob *job)
{
	return job->late && (strcmp(job->kind, SV_JOB_VALIDATE) == 0 ||
						 strcmp(job->kind, SV_JOB_INDEX) == 0);
}

/* notify of a version that has become ready, and of those after it */
static void
announce_ready(const SvProduct *product, const SvJob *job)
{
	SvRelease  *mine = sv_catalog_release(product, job->release_id);
	ListCell   *lc;

	foreach(lc, job->late ? NIL : sv_catalog_releases(product, true))
	{
		SvRelease  *release = lfirst(lc);

		if (mine && sv_version_compare(release->version, mine->version) < 0)
			continue;
		if (!is_ready(product, release))
			break;
		sv_announce_event("ready", product->name, release->version, NULL);
	}
}

/*
 * The release that a job is for, and those after it that were built upon what
 * it was to make: a list of SvRelease.  Others are newer than the base schemas
 * are, which went back, and the job is of the way forward again.
 */
static List *
releases_since(const SvProduct *product, const SvJob *job)
{
	SvRelease  *since = sv_catalog_release(product, job->release_id);
	List	   *releases = NIL;
	ListCell   *lc;

	foreach(lc, since ? sv_catalog_releases(product, true) : NIL)
	{
		SvRelease  *release = lfirst(lc);

		if (release->id == since->id ||
			(sv_version_compare(release->version, since->version) > 0 &&
			 release->made > job->created))
			releases = lappend(releases, release);
	}
	return releases;
}

/* is it a constraint or index that the job makes, not a column's? */
static bool
makes_constraint(const SvJob *job)
{
	return strcmp(job->kind, SV_JOB_INDEX) == 0 ||
		strcmp(job->kind, SV_JOB_ATTACH) == 0 ||
		strcmp(job->kind, SV_JOB_REPLACE) == 0;
}

/*
 * What the job has made belongs to what its version expects, unless that was
 * complete without it, and all versions' contracts and views are to know where
 * things are now.
 */
static void
complete_contracts(const SvJob *job)
{
	SvProduct  *product = sv_catalog_product_by_id(job->product_id);
	List	   *releases = sv_catalog_releases(product, true);
	int			nestlevel;

	if (strcmp(job->kind, SV_JOB_BACKFILL) == 0 ||
		strcmp(job->kind, SV_JOB_REFRESH) == 0 || !OidIsValid(job->relid))
		return;
	nestlevel = sv_contract_enter();
	sv_contract_collect_begin();
	sv_contract_touch(RelationRelationId, job->relid);
	sv_contract_relink(releases, false);
	if (!job->late)
		sv_contract_complete(product, releases_since(product, job),
							 makes_constraint(job) ? job->name : NULL);
	(void) sv_compat_reconcile(product, sv_catalog_releases(product, true));
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
}

/* last step */
static void
step_finish(Work *work)
{
	if (!read_row(work))
		return;
	work->job->state = SV_JOB_DONE;
	work->job->finished = GetCurrentTimestamp();
	work->job->blocks_done = work->job->blocks;
	work->job->error = NULL;
	write_row(work);
	complete_contracts(work->job);
	announce_ready(sv_catalog_product_by_id(work->job->product_id),
				   work->job);
}

/*
 * The unfinished jobs of a release, and of the versions before it, but for
 * those that only restore: a list of SvJob by id.
 */
List *
sv_work_pending(const SvProduct *product, const SvRelease *release)
{
	List	   *pending = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_jobs())
	{
		SvJob	   *job = lfirst(lc);
		SvRelease  *needs;

		if (job->product_id != product->id || sv_work_restores(job))
			continue;
		needs = sv_catalog_release(product, job->release_id);
		if (needs && sv_version_compare(needs->version,
										release->version) <= 0)
			pending = lappend(pending, job);
	}
	return pending;
}

/*
 * Steps of all kinds but backfill
 */

/* run a command as the relation's owner, in a restricted operation */
static void
run_as_owner(const Work *work, const char *sql)
{
	SvIdentity	identity;

	become_relation_owner(work, &identity, SECURITY_RESTRICTED_OPERATION |
						  SECURITY_LOCAL_USERID_CHANGE |
						  SECURITY_NOFORCE_RLS);
	PushActiveSnapshot(GetTransactionSnapshot());
	executing = true;
	SPI_connect();
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "not a command of a job: %s", sql);
	SPI_finish();
	executing = false;
	PopActiveSnapshot();
	sv_catalog_become_caller(&identity);
}

/* run work->sql */
static void
step_sql(Work *work)
{
	if (!read_row(work))
		return;
	unlock_row(work);
	run_as_owner(work, work->sql);
}

static void
run_sql(Work *work, const char *sql)
{
	work->sql = sql;
	run_step(work, step_sql);
}

/*
 * Leaves
 */

static int
compare_leaves(const ListCell *a, const ListCell *b)
{
	return strcmp(((Leaf *) lfirst(a))->name, ((Leaf *) lfirst(b))->name);
}

/* find the tables that hold rows, and how large they are */
static void
step_find_leaves(Work *work)
{
	List	   *relations;
	MemoryContext oldcontext;
	ListCell   *lc;

	/* of the whole tree only what is below the root is locked by the search */
	LockRelationOid(work->job->relid, AccessShareLock);
	relations = find_all_inheritors(work->job->relid, AccessShareLock, NULL);
	work->leaves = NIL;
	work->total = 0;
	oldcontext = MemoryContextSwitchTo(work->context);
	foreach(lc, relations)
	{
		Relation	relation = table_open(lfirst_oid(lc), NoLock);
		Leaf	   *leaf;

		if (relation->rd_rel->relkind == RELKIND_RELATION)
		{
			leaf = palloc0(sizeof(Leaf));
			leaf->oid = RelationGetRelid(relation);
			leaf->name =
				quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
										   RelationGetRelationName(relation));
			leaf->blocks = RelationGetNumberOfBlocks(relation);
			leaf->filenode = relation->rd_node.relNode;
			work->total += leaf->blocks;
			work->leaves = lappend(work->leaves, leaf);
		}
		else if (relation->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a table",
							RelationGetRelationName(relation))));
		table_close(relation, NoLock);
	}
	list_sort(work->leaves, compare_leaves);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Is the leaf at work still a part of the relation?  Keeps it that, under the
 * name that is noted, for as long as the transaction lasts.
 */
static bool
is_leaf_there(Work *work)
{
	Leaf	   *leaf = work->leaf;
	char	   *name;

	LockRelationOid(leaf->oid, RowExclusiveLock);
	leaf->gone = !sv_tree_has(work->job->relid, leaf->oid);
	if (leaf->gone)
		return false;
	name = sv_catalog_relation_name(leaf->oid);
	if (strcmp(name, leaf->name) != 0)
		leaf->name = MemoryContextStrdup(work->context, name);
	return true;
}

/*
 * Constraints
 */

/* the constraint of a name on a relation; needs a transaction */
static bool
find_constraint(Oid relation, const char *name, bool *validated)
{
	Oid			oid = get_relation_constraint_oid(relation, name, true);
	HeapTuple	tuple;

	if (!OidIsValid(oid))
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return false;
	*validated = ((Form_pg_constraint) GETSTRUCT(tuple))->convalidated;
	ReleaseSysCache(tuple);
	return true;
}

/* the statement of a text that must be just one, of that kind */
static Node *
parse_one(const char *text, NodeTag tag)
{
	List	   *statements = raw_parser(text, RAW_PARSE_DEFAULT);
	Node	   *node = list_length(statements) == 1 ?
	linitial_node(RawStmt, statements)->stmt : NULL;

	if (node == NULL || nodeTag(node) != tag)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("not a command of a job: %s", text)));
	return node;
}

/* let one partition comply with work->constraint, if it does not yet */
static void
step_validate_leaf(Work *work)
{
	bool		validated;

	if (!read_row(work))
		return;
	unlock_row(work);
	if (is_leaf_there(work) &&
		find_constraint(work->leaf->oid, work->constraint, &validated) &&
		!validated)
		run_as_owner(work, psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s",
									work->leaf->name,
									quote_identifier(work->constraint)));
}

/*
 * Look at the rows that a constraint was not made for, of a partitioned table
 * in a transaction for each partition.
 */
static void
validate(Work *work, const char *constraint)
{
	ListCell   *lc;

	work->constraint = constraint;
	if (work->relkind == RELKIND_PARTITIONED_TABLE)
		run_step(work, step_find_leaves);
	foreach(lc, work->leaves)
	{
		work->leaf = lfirst(lc);
		run_step(work, step_validate_leaf);
	}
	run_sql(work, psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s",
						   work->target, quote_identifier(constraint)));
}

/* the name that the job's version has a constraint by may be another one now */
static void
step_find_constraint(Work *work)
{
	const SvJob *job = work->job;
	SvProduct  *product = sv_catalog_product_by_id(job->product_id);
	SvEntry    *entry =
	sv_catalog_entry_of(sv_catalog_release(product, job->release_id),
						job->relid);
	const char *name = NULL;
	bool		is_known = false;
	bool		validated;
	ListCell   *lc;

	foreach(lc, entry ? entry->constraints : NIL)
	{
		SvPart	   *part = lfirst(lc);

		if (strchr("cf", part->flavour) == NULL ||
			strcmp(part->name, job->name) != 0)
			continue;
		is_known = true;
		name = get_constraint_name(part->object);
	}
	if (name == NULL || !find_constraint(job->relid, name, &validated))
		name = !is_known || find_constraint(job->relid, job->name, &validated) ?
			job->name : NULL;
	work->constraint = name ? MemoryContextStrdup(work->context, name) : NULL;
}

/* one that a later version has dropped meanwhile needs no look at the rows */
static void
do_validate(Work *work)
{
	run_step(work, step_find_constraint);
	if (work->constraint)
		validate(work, work->constraint);
}

/* who reads it meanwhile waits, as beside any such command */
static void
do_refresh(Work *work)
{
	run_sql(work, psprintf("REFRESH MATERIALIZED VIEW %s", work->target));
}

/*
 * Successors
 */

/* note what a step is about to change, and let nobody see half of it */
static void
begin_change(const Work *work)
{
	LockRelationOid(work->job->relid, AccessExclusiveLock);
	(void) find_all_inheritors(work->job->relid, AccessExclusiveLock, NULL);
	sv_contract_collect_begin();
}

static void
end_change(void)
{
	sv_publish_settle(false);
	sv_contract_collect_end();
}

/* the relation's constraint, or else its index, of the job's name */
static bool
find_predecessor(const Work *work, ObjectAddress *object)
{
	Oid			relation = work->job->relid;
	Oid			oid = get_relation_constraint_oid(relation, work->job->name,
												  true);

	ObjectAddressSet(*object, ConstraintRelationId, oid);
	if (OidIsValid(oid))
		return true;
	oid = get_relname_relid(work->job->name, get_rel_namespace(relation));
	if (!OidIsValid(oid) ||
		(get_rel_relkind(oid) != RELKIND_INDEX &&
		 get_rel_relkind(oid) != RELKIND_PARTITIONED_INDEX) ||
		IndexGetRelation(oid, false) != relation)
		return false;
	ObjectAddressSet(*object, RelationRelationId, oid);
	return true;
}

/* put a key or index that has the job's name away; returns its comment */
static char *
put_predecessor_away(const Work *work)
{
	ObjectAddress old;
	char	   *comment;

	if (!find_predecessor(work, &old))
		return NULL;
	comment = GetComment(old.objectId, old.classId, 0);
	sv_retain_unique(old.classId, old.objectId);
	return comment;
}

static void
give_comment(const Work *work, char *comment)
{
	ObjectAddress made;

	if (comment && find_predecessor(work, &made))
		CreateComments(made.objectId, made.classId, 0, comment);
}

/* what an attach makes of an index */
static Constraint *
parse_key(const Work *work)
{
	AlterTableStmt *alter =
	castNode(AlterTableStmt,
			 parse_one(psprintf("ALTER TABLE %s ADD %s", work->target,
								work->job->text), T_AlterTableStmt));

	return castNode(Constraint,
					linitial_node(AlterTableCmd, alter->cmds)->def);
}

/*
 * Let the index that was built for it become a constraint, or an index of
 * that name.  Where there is none of the hidden name any more it has.
 */
static void
step_attach(Work *work)
{
	const SvJob *job;
	char	   *comment;
	Oid			index;

	if (!read_row(work))
		return;
	job = work->job;

	/* that the index is renamed is not worth telling */
	set_local("client_min_messages", "warning");
	begin_change(work);
	index = job->condition ?
		get_relname_relid(job->condition, get_rel_namespace(job->relid)) :
		InvalidOid;
	if (OidIsValid(index))
	{
		comment = put_predecessor_away(work);
		if (job->text == NULL || work->relkind == RELKIND_PARTITIONED_TABLE)
			RenameRelationInternal(index, job->name, true, true);
		CommandCounterIncrement();
		if (job->text && work->relkind == RELKIND_PARTITIONED_TABLE)
			sv_tree_make_key(index, parse_key(work));
		else if (job->text)
			run_as_owner(work, psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s",
										work->target,
										quote_identifier(job->name),
										job->text));
		else
			sv_tree_name_children(index);
		CommandCounterIncrement();
		give_comment(work, comment);
	}
	end_change();
}

/* is the constraint there already? */
static void
step_look_for_constraint(Work *work)
{
	bool		validated;

	work->found = find_constraint(work->job->relid, work->job->name,
								  &validated) ?
		FOUND_DONE : FOUND_NOTHING;
}

static void
do_attach(Work *work)
{
	if (work->job->condition)
	{
		run_step(work, step_attach);
		return;
	}
	run_step(work, step_look_for_constraint);
	if (work->found == FOUND_NOTHING)
		run_sql(work, psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s",
							   work->target,
							   quote_identifier(work->job->name),
							   work->job->text ? work->job->text : ""));
}

/* versions that have a constraint which the job has replaced are held to it */
static void
settle_constraints(const SvJob *job)
{
	SvProduct  *product = sv_catalog_product_by_id(job->product_id);
	int			nestlevel = sv_contract_enter();

	sv_contract_touch(RelationRelationId, job->relid);
	sv_contract_relink(sv_catalog_releases(product, true), false);
	(void) sv_refer_settle_all(product, false);
	sv_contract_leave(nestlevel);
}

/*
 * A CHECK or foreign key gives way to the one that it is to be.  Both can
 * look alike, so that the row tells whether it has.
 */
static void
step_replace(Work *work)
{
	SvJob	   *job;
	Oid			old;
	char	   *comment = NULL;

	if (!read_row(work) || work->job->position != 0)
		return;
	job = work->job;
	begin_change(work);
	old = get_relation_constraint_oid(job->relid, job->name, true);
	if (OidIsValid(old))
	{
		comment = GetComment(old, ConstraintRelationId, 0);
		sv_check_note_drop(old);
		sv_refer_note_drop(old);
		run_as_owner(work, psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
									work->target,
									quote_identifier(job->name)));
	}
	run_as_owner(work, psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s",
								work->target, quote_identifier(job->name),
								job->text));
	give_comment(work, comment);
	settle_constraints(job);
	end_change();
	job->position = 1;
	write_row(work);
}

static void
do_replace(Work *work)
{
	run_step(work, step_replace);
}

/* the number of the column that the job's column has succeeded, or 0 */
static AttrNumber
predecessor_of(const SvJob *job)
{
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(job->relid))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->new_column, job->name) == 0 &&
			pair->old_column[0] != '\0')
			return get_attnum(job->relid, pair->old_column);
	}
	return InvalidAttrNumber;
}

static char
identity_of(Oid relation, AttrNumber number)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation),
										Int16GetDatum(number));
	char		identity = ((Form_pg_attribute) GETSTRUCT(tuple))->attidentity;

	ReleaseSysCache(tuple);
	return identity;
}

/* a dump of the time between gives the sequence the old column's type */
static void
fit_identity(const Work *work)
{
	Oid			relation = work->job->relid;
	AttrNumber	number = get_attnum(relation, work->job->name);
	Oid			sequence = getIdentitySequence(relation, number, false);

	run_as_owner(work, psprintf("ALTER SEQUENCE %s AS %s",
								sv_catalog_relation_name(sequence),
								format_type_be_qualified(get_atttype(relation,
																	 number))));
}

/* a column's predecessor is only there for those who know it from now on */
static void
step_relax(Work *work)
{
	const SvJob *job;
	AttrNumber	old;
	char		identity;

	if (!read_row(work))
		return;
	job = work->job;
	begin_change(work);
	old = predecessor_of(job);
	identity = old == InvalidAttrNumber ? '\0' : identity_of(job->relid, old);
	if (identity)
	{
		/* its values were lent by a default until now */
		run_as_owner(work, psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT",
									work->target,
									quote_identifier(job->name)));
		sv_retype_move_sequences(job->relid, old,
								 get_attnum(job->relid, job->name), identity);
		fit_identity(work);
	}
	if (old != InvalidAttrNumber)
		sv_sync_relax(job->relid, old, NULL);
	end_change();
}

static void
do_relax(Work *work)
{
	run_step(work, step_relax);
}

/*
 * NOT NULL
 */

static char *
notnull_check_name(const Work *work)
{
	return work->job->text ? pstrdup(work->job->text) :
		psprintf(SV_JOB_NAME "_%d", work->job->id);
}

static void
step_look_for_notnull(Work *work)
{
	bool		validated = false;
	bool		found = find_constraint(work->job->relid,
										notnull_check_name(work), &validated);
	HeapTuple	tuple = SearchSysCacheAttName(work->job->relid,
											  work->job->name);

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist",
						work->job->name, work->target)));
	if (found)
		work->found = validated ? FOUND_VALIDATED : FOUND_BEGUN;
	else
		work->found = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull ?
			FOUND_DONE : FOUND_NOTHING;
	ReleaseSysCache(tuple);
}

/* a row that should not be there is told by its key */
static void
step_blame_null(Work *work)
{
	if (!read_row(work))
		return;
	unlock_row(work);
	PushActiveSnapshot(GetTransactionSnapshot());
	sv_blame_null(work->job->relid, work->job->name);
	PopActiveSnapshot();
}

static void
validate_not_null(Work *work)
{
	ErrorData  *volatile problem = NULL;

	PG_TRY();
	{
		validate(work, notnull_check_name(work));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(work->context);
		problem = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (problem == NULL)
		return;
	if (problem->sqlerrcode == ERRCODE_CHECK_VIOLATION)
		run_step(work, step_blame_null);
	ReThrowError(problem);
}

/* the check has done its work, and keys may be what they are to be */
static void
step_end_notnull(Work *work)
{
	char	   *check;
	bool		validated;

	if (!read_row(work))
		return;
	check = notnull_check_name(work);
	begin_change(work);
	if (find_constraint(work->job->relid, check, &validated))
		run_as_owner(work, psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
									work->target, quote_identifier(check)));
	PushActiveSnapshot(GetTransactionSnapshot());
	sv_require_promote_keys(sv_catalog_product_by_id(work->job->product_id),
							work->job->relid);
	PopActiveSnapshot();
	end_change();
}

/*
 * A check constraint is validated beside the application's traffic; SET NOT
 * NULL then believes it and needs its strong lock for a moment only.
 */
static void
do_notnull(Work *work)
{
	char	   *column = pstrdup(quote_identifier(work->job->name));
	char	   *check = pstrdup(quote_identifier(notnull_check_name(work)));

	run_step(work, step_look_for_notnull);
	if (work->found == FOUND_NOTHING)
		run_sql(work, psprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID",
							   work->target, check, column));
	if (work->found != FOUND_VALIDATED && work->found != FOUND_DONE)
		validate_not_null(work);
	if (work->found != FOUND_DONE)
		run_sql(work, psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
							   work->target, column));
	run_step(work, step_end_notnull);
}

/*
 * Indexes
 */

/*
 * Run a utility statement that may have transactions of its own, as the
 * relation's owner.
 */
static void
run_utility(Work *work, Node *statement, const char *text)
{
	PlannedStmt *planned = makeNode(PlannedStmt);
	SvIdentity	identity;

	planned->commandType = CMD_UTILITY;
	planned->canSetTag = true;
	planned->utilityStmt = statement;
	become_relation_owner(work, &identity, 0);
	executing = true;
	ProcessUtility(planned, text, false, PROCESS_UTILITY_TOPLEVEL, NULL, NULL,
				   None_Receiver, NULL);
	executing = false;
	SetUserIdAndSecContext(identity.user, identity.context);
}

static Oid
find_index(const Build *build)
{
	return get_relname_relid(build->name, get_rel_namespace(build->table));
}

/* a table under the name that it has now */
static RangeVar *
range_of(Oid table)
{
	char	   *schema = get_namespace_name(get_rel_namespace(table));
	char	   *name = get_rel_name(table);

	if (schema == NULL || name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist any more", table)));
	return makeRangeVar(schema, name, -1);
}

/*
 * Of a partitioned table only the index itself: those of its partitions are
 * attached to it.  Concurrently there is no lock_timeout, since what it waits
 * for is old transactions, not locks that others would queue behind.
 */
static void
step_create_index(Work *work)
{
	const Build *build = work->build;
	MemoryContext oldcontext;
	IndexStmt  *statement;

	if (!read_row(work))
		return;
	unlock_row(work);

	/* must outlive the transactions of the statement itself */
	oldcontext = MemoryContextSwitchTo(work->context);
	statement = (IndexStmt *) parse_one(work->job->text, T_IndexStmt);
	statement->relation = range_of(build->table);
	statement->relation->inh = !build->partitioned;
	statement->idxname = build->name;
	statement->concurrent = !build->partitioned;
	statement->if_not_exists = false;
	if (statement->concurrent)
		set_local("lock_timeout", "0");
	run_utility(work, (Node *) statement, work->job->text);
	MemoryContextSwitchTo(oldcontext);
}

static void
step_drop_leftover(Work *work)
{
	Oid			index = find_index(work->build);
	MemoryContext oldcontext;
	char	   *text;

	if (!read_row(work) || !OidIsValid(index))
		return;
	unlock_row(work);
	oldcontext = MemoryContextSwitchTo(work->context);
	text = psprintf("DROP INDEX CONCURRENTLY %s",
					sv_catalog_relation_name(index));
	set_local("lock_timeout", "0");
	run_utility(work, parse_one(text, T_DropStmt), text);
	MemoryContextSwitchTo(oldcontext);
}

/* is there an index of that name, and is it the one? */
static void
step_look_for_index(Work *work)
{
	const Build *build = work->build;
	Oid			index = find_index(build);
	HeapTuple	tuple;

	work->found = FOUND_NOTHING;
	if (!OidIsValid(index))
		return;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple) ||
		((Form_pg_index) GETSTRUCT(tuple))->indrelid != build->table)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", build->name),
				 errdetail("It is no index of \"%s\".",
						   get_rel_name(build->table))));
	work->found = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid ||
		build->partitioned ? FOUND_DONE : FOUND_BEGUN;
	ReleaseSysCache(tuple);
}

/*
 * Build the index of one table.  Whoever dies, or gives way to a deadlock,
 * leaves an invalid one, which goes first.
 */
static void
build_index(Work *work, const Build *build)
{
	ErrorData  *problem;

	work->build = build;
	for (;;)
	{
		run_step(work, step_look_for_index);
		if (work->stopped || work->found == FOUND_DONE)
			return;
		if (work->found == FOUND_BEGUN)
			run_step(work, step_drop_leftover);
		problem = try_step(work, build->create);
		if (problem && !is_transient(problem))
			ReThrowError(problem);
		if (problem)
			sv_lock_pause(LOCK_PAUSE_MS);
	}
}

/* until it is attached: told in errors, found again by a job that resumes */
static char *
partition_index_name(const Work *work, Oid partition)
{
	char	   *table = get_rel_name(partition);
	char	   *name = psprintf(SV_JOB_NAME "_%d_%s", work->job->id,
								table ? table : "");

	return strlen(name) < NAMEDATALEN ? name :
		psprintf(SV_JOB_NAME "_%d_%u", work->job->id, partition);
}

/*
 * work->builds becomes the indexes of those partitions of work->build that
 * have none attached to it.  A partition that was made since the index of the
 * whole is there has got one with it.
 */
static void
step_find_partitions(Work *work)
{
	const Build *whole = work->build;
	List	   *partitions = sv_tree_lacking(find_index(whole));
	MemoryContext oldcontext = MemoryContextSwitchTo(work->context);
	ListCell   *lc;

	work->builds = NIL;
	foreach(lc, partitions)
	{
		Oid			oid = lfirst_oid(lc);
		Build	   *build = palloc(sizeof(Build));

		build->table = oid;
		build->name = partition_index_name(work, oid);
		build->partitioned = get_rel_relkind(oid) ==
			RELKIND_PARTITIONED_TABLE;
		build->whole = whole;
		build->create = whole->create;
		work->builds = lappend(work->builds, build);
	}
	MemoryContextSwitchTo(oldcontext);
}

/* a partition's index is there: give it the name that the server would */
static void
step_attach_partition(Work *work)
{
	Oid			index;

	if (!read_row(work))
		return;
	unlock_row(work);
	(void) range_of(work->build->table);
	index = find_index(work->build);
	RenameRelationInternal(index, sv_tree_index_name(index), true, true);
	CommandCounterIncrement();
	run_as_owner(work, psprintf("ALTER INDEX %s ATTACH PARTITION %s",
								sv_catalog_relation_name(find_index(work->build->whole)),
								sv_catalog_relation_name(index)));
}

/* is work->build still wanted? */
static void
step_look_for_partition(Work *work)
{
	const Build *build = work->build;

	work->found =
		list_member_oid(sv_tree_lacking(find_index(build->whole)),
						build->table) ? FOUND_NOTHING : FOUND_DONE;
}

/* whoever has detached the partition meanwhile does not know of it */
static void
step_drop_unwanted(Work *work)
{
	Oid			index = find_index(work->build);

	if (OidIsValid(index))
		run_as_owner(work, psprintf("DROP INDEX %s",
									sv_catalog_relation_name(index)));
}

/* do all partitions have theirs, so that the whole is of use? */
static void
step_complete(Work *work)
{
	work->found = sv_tree_complete(find_index(work->build)) ? FOUND_DONE :
		FOUND_BEGUN;
}

static void build_tree(Work *work, const Build *build);

/*
 * A partition's index, attached to that of the whole.  If the partition is
 * dropped or detached meanwhile there is nothing to be done.
 */
static void
build_partition(Work *work, const Build *build)
{
	ErrorData  *volatile problem = NULL;

	PG_TRY();
	{
		build_tree(work, build);
		work->build = build;
		run_step(work, step_attach_partition);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(work->context);
		problem = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (problem == NULL)
		return;
	work->build = build;
	run_step(work, step_look_for_partition);
	if (work->stopped || work->found == FOUND_NOTHING)
		ReThrowError(problem);
	run_step(work, step_drop_unwanted);
}

/* an index; of a partitioned table first the whole, then each partition's */
static void
build_tree(Work *work, const Build *build)
{
	build_index(work, build);
	work->found = FOUND_BEGUN;
	while (build->partitioned && !work->stopped && work->found != FOUND_DONE)
	{
		List	   *partitions;
		ListCell   *lc;

		work->build = build;
		run_step(work, step_find_partitions);
		partitions = work->builds;
		foreach(lc, partitions)
			build_partition(work, lfirst(lc));
		work->build = build;
		run_step(work, step_complete);
	}
}

static void
do_index(Work *work)
{
	Build		build;

	build.table = work->job->relid;
	build.name = pstrdup(work->job->name);
	build.partitioned = work->relkind == RELKIND_PARTITIONED_TABLE;
	build.whole = NULL;
	build.create = step_create_index;
	build_tree(work, &build);
}

/*
 * Keys that do not hold for all, or are to do so again
 */

static bool
tightens(const Work *work)
{
	return strcmp(work->job->kind, SV_JOB_TIGHTEN) == 0;
}

/* the index that will take the key's place */
static char *
successor_name(const Work *work)
{
	return psprintf(SV_JOB_NAME "_%d", work->job->id);
}

/* the key, unless it has gone or was exchanged already */
static bool
find_key(const Work *work, ObjectAddress *key)
{
	return find_predecessor(work, key) &&
		sv_key_is_loose(key->classId, key->objectId) == tightens(work);
}

static void
step_look_for_key(Work *work)
{
	ObjectAddress key;

	work->found = find_key(work, &key) &&
		get_attnum(work->job->relid, work->job->text) > 0 ?
		FOUND_NOTHING : FOUND_DONE;
}

/* as step_create_index(), of a statement like the key's own */
static void
step_create_successor(Work *work)
{
	MemoryContext oldcontext;
	IndexStmt  *statement;
	ObjectAddress key;

	if (!read_row(work))
		return;
	unlock_row(work);
	LockRelationOid(work->job->relid, AccessShareLock);
	LockRelationOid(work->build->table, AccessShareLock);
	if (!find_key(work, &key))
		return;
	oldcontext = MemoryContextSwitchTo(work->context);
	statement = sv_key_statement(sv_key_index(key.classId, key.objectId),
								 work->build->table,
								 tightens(work) ? NULL : work->job->text);
	statement->idxname = work->build->name;
	statement->relation->inh = !work->build->partitioned;
	statement->concurrent = !work->build->partitioned;
	if (statement->concurrent)
		set_local("lock_timeout", "0");
	run_utility(work, (Node *) statement, "");
	MemoryContextSwitchTo(oldcontext);
}

/* as sessions do, the views on a relation before that */
static void
lock_views(const Work *work, List *releases, const SvProduct *product)
{
	ListCell   *lc;

	foreach(lc, sv_compat_views_on(product, releases, work->job->relid))
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
}

/* the current version may have it as its primary key */
static void
promote_key(const Work *work, const SvProduct *product, Oid object)
{
	SvRelease  *current = sv_catalog_release(product, product->current);
	SvEntry    *entry = current ?
	sv_catalog_entry_of(current, work->job->relid) : NULL;
	ListCell   *lc;

	foreach(lc, entry ? entry->constraints : NIL)
	{
		SvPart	   *part = lfirst(lc);

		if (part->object == object && part->flavour == CONSTRAINT_PRIMARY)
			sv_retain_return_unique(work->job->relid, part);
	}
}

/* views of older versions name the key by its index */
static void
step_exchange_key(Work *work)
{
	SvProduct  *product;
	List	   *releases;
	ObjectAddress key;
	Oid			index;
	Oid			made;

	if (!read_row(work))
		return;

	/* that the index is renamed is not worth telling */
	set_local("client_min_messages", "warning");
	product = sv_catalog_product_by_id(work->job->product_id);
	releases = sv_catalog_releases(product, true);
	lock_views(work, releases, product);
	begin_change(work);
	index = get_relname_relid(successor_name(work),
							  get_rel_namespace(work->job->relid));
	if (OidIsValid(index) && find_key(work, &key) &&
		sv_key_fits(key.classId, key.objectId, index))
	{
		made = sv_key_exchange(key.classId, key.objectId, index);
		if (tightens(work))
			promote_key(work, product, made);
		(void) sv_compat_reconcile(product, releases);
	}
	end_change();
}

/*
 * Build the index with the mark beside the one that holds for all, or the other
 * way round, which gives way to it.
 */
static void
do_exchange(Work *work)
{
	Build		build;

	run_step(work, step_look_for_key);
	if (work->stopped || work->found == FOUND_DONE)
		return;
	build.table = work->job->relid;
	build.name = successor_name(work);
	build.partitioned = work->relkind == RELKIND_PARTITIONED_TABLE;
	build.whole = NULL;
	build.create = step_create_successor;
	build_tree(work, &build);
	run_step(work, step_exchange_key);
}

/*
 * Backfill
 */

/* the column's type, for casts */
static void
step_find_type(Work *work)
{
	HeapTuple	tuple = SearchSysCacheAttName(work->job->relid,
											  work->job->name);
	Form_pg_attribute column;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation %s does not exist",
						work->job->name, work->target)));
	column = (Form_pg_attribute) GETSTRUCT(tuple);
	work->type =
		MemoryContextStrdup(work->context,
							format_type_extended(column->atttypid,
												 column->atttypmod,
												 FORMAT_TYPE_TYPEMOD_GIVEN |
												 FORMAT_TYPE_FORCE_QUALIFY));
	ReleaseSysCache(tuple);
}

/* where an earlier run was: the leaf; those before it are done */
static int
find_place(Work *work)
{
	const SvJob *job = work->job;
	ListCell   *lc;

	work->done = 0;
	foreach(lc, work->leaves)
	{
		Leaf	   *leaf = lfirst(lc);

		if (job->leaf && strcmp(leaf->name, job->leaf) == 0 &&
			leaf->filenode == job->filenode)
		{
			work->position = Min(job->position, leaf->blocks);
			work->done += work->position;
			return foreach_current_index(lc);
		}
		work->done += leaf->blocks;
	}
	work->position = 0;
	work->done = 0;
	return 0;
}

/*
 * The condition of rows that were missed.  Those for which the expression
 * gives what is there already, NULL perhaps, were not: any type has an image
 * to be compared by.
 */
static char *
missed_condition(const Work *work)
{
	const SvJob *job = work->job;

	if (job->text == NULL)
		return job->condition;
	return psprintf("(%s) AND CAST(ROW(%s) AS record) OPERATOR(pg_catalog.*<>) CAST(ROW(CAST((%s) AS %s)) AS record)",
					job->condition, quote_identifier(job->name), job->text,
					work->type);
}

/*
 * What the column is set to: the default is that of the whole, which may be an
 * identity that partitions have not, and not what one of them has instead.
 */
static char *
new_value(const Work *work)
{
	const SvJob *job = work->job;

	if (job->text)
		return psprintf("(%s)", job->text);
	if (work->leaf->oid == job->relid)
		return "DEFAULT";
	return sv_tree_default(job->relid, job->name);
}

/* "UPDATE ONLY t SET c = (...) WHERE ..." */
static char *
update_statement(const Work *work)
{
	const SvJob *job = work->job;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "UPDATE ONLY %s SET %s = %s WHERE ctid >= $1 AND ctid < $2",
					 work->leaf->name, quote_identifier(job->name),
					 new_value(work));
	if (job->condition)
		appendStringInfo(&sql, " AND (%s)", work->pass == 1 ?
						 job->condition : missed_condition(work));
	return sql.data;
}

/* settings and user for an UPDATE of the job */
static void
begin_update(const Work *work, SvIdentity *identity)
{
	set_local("session_replication_role", "replica");
	set_local("synchronous_commit", "off");
	become_relation_owner(work, identity, SECURITY_RESTRICTED_OPERATION |
						  SECURITY_LOCAL_USERID_CHANGE |
						  SECURITY_NOFORCE_RLS);
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
}

static void
end_update(const SvIdentity *identity)
{
	SPI_finish();
	PopActiveSnapshot();
	sv_catalog_become_caller(identity);
}

/*
 * Has somebody moved a row out of the way of the batches?  All partitions are
 * looked at in one snapshot, since a row may move from one to another.
 */
static void
step_look_for_missed(Work *work)
{
	SvIdentity	identity;

	begin_update(work, &identity);
	if (SPI_execute(psprintf("SELECT 1 FROM %s WHERE %s", work->target,
							 missed_condition(work)),
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for missed rows");
	work->found = SPI_processed > 0 ? FOUND_BEGUN : FOUND_DONE;
	end_update(&identity);
}

/* does anybody wait for a row of this transaction? */
static bool
others_wait(void)
{
	TransactionId xid = GetTopTransactionIdIfAny();
	LOCKTAG		tag;

	if (!TransactionIdIsValid(xid))
		return false;
	SET_LOCKTAG_TRANSACTION(tag, xid);
	return LockHasWaiters(&tag, ExclusiveLock, false);
}

static double
milliseconds_since(TimestampTz then)
{
	return (GetCurrentTimestamp() - then) / 1000.0;
}

/* the statement of update_slice(), to be freed with SPI's context */
static SPIPlanPtr
prepare_update(const Work *work)
{
	Oid			types[2] = {TIDOID, TIDOID};
	SPIPlanPtr	plan = SPI_prepare(update_statement(work), 2, types);

	if (plan == NULL)
		elog(ERROR, "could not prepare a backfill's statement");
	return plan;
}

/* update the rows of work->from to work->to, and return how many */
static int64
update_slice(Work *work, SPIPlanPtr plan)
{
	Datum		values[2] = {PointerGetDatum(&work->from),
	PointerGetDatum(&work->to)};

	if (SPI_execute_plan(plan, values, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "a backfill's statement is no UPDATE");
	return SPI_processed;
}

/* the size of the next slice, from the time that one has taken */
static void
adapt(Work *work, double ms, double wanted)
{
	double		factor = wanted / Max(ms, 0.01);

	factor = Min(Max(factor, 0.1), 2.0);
	work->slice = Min(Max(work->slice * factor, SMALLEST_SLICE),
					  LARGEST_SLICE);
}

/*
 * How many row pointers a block of the leaf has; 0 if it cannot be told, or if
 * the block is gone by now.  Keeps the lock that the UPDATE takes.
 */
static OffsetNumber
count_pointers(const Work *work, BlockNumber block)
{
	Relation	leaf = table_open(work->leaf->oid, RowExclusiveLock);
	OffsetNumber pointers = 0;

	if (leaf->rd_tableam == GetHeapamTableAmRoutine() &&
		block < RelationGetNumberOfBlocks(leaf))
	{
		Buffer		buffer = ReadBuffer(leaf, block);

		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		pointers = PageGetMaxOffsetNumber(BufferGetPage(buffer));
		UnlockReleaseBuffer(buffer);
	}
	table_close(leaf, NoLock);
	return pointers;
}

/*
 * Set work->from and work->to for the next slice, from work->next and
 * work->offset on: some blocks, or a part of one.
 */
static void
cut_slice(Work *work, BlockNumber end)
{
	BlockNumber blocks = (BlockNumber) Max(work->slice, 1);
	int			part;

	ItemPointerSet(&work->from, work->next, work->offset);
	ItemPointerSet(&work->to, work->next + Min(blocks, end - work->next), 0);
	if (work->slice >= 1)
		return;
	if (work->offset == 0)
		work->pointers = count_pointers(work, work->next);
	part = Max((int) (work->pointers * work->slice), 1);
	if (work->offset + part <= work->pointers)
		ItemPointerSet(&work->to, work->next, work->offset + part);
}

/*
 * Have others begun to write in the last second, in this database or another?
 */
static bool
others_write(Work *work)
{
	TransactionId next = ReadNextTransactionId();

	if (next != work->others)
	{
		/* the first look, and a transaction of the job's own, tell nothing */
		if (TransactionIdIsValid(work->others) &&
			!TransactionIdIsCurrentTransactionId(next - 1))
			work->disturbed = GetCurrentTimestamp();
		work->others = next;
	}
	return milliseconds_since(work->disturbed) < REMEMBERED_MS;
}

/*
 * Let those who write have the machine, as the last slice has had it for so
 * many milliseconds; not while they wait for that.
 */
static void
rest(double ms)
{
	double		left = Min(ms * batch_rest, LONGEST_REST_MS);

	for (; left > 0 && !others_wait(); left -= LOOK_MS)
		pg_usleep((long) (Min(left, LOOK_MS) * 1000));
}

/*
 * One slice, with what is to come after it.  Where it fails, work->next is
 * still the block that it began in.
 */
static int64
update_and_rest(Work *work, SPIPlanPtr plan, BlockNumber end)
{
	TimestampTz began = GetCurrentTimestamp();
	bool		disturbed;
	int64		rows;
	double		ms;

	cut_slice(work, end);
	rows = update_slice(work, plan);
	work->next = ItemPointerGetBlockNumberNoCheck(&work->to);
	work->offset = ItemPointerGetOffsetNumberNoCheck(&work->to);
	ms = milliseconds_since(began);
	disturbed = others_write(work);
	adapt(work, ms, disturbed ? SHORT_SLICE_MS : SLICE_MS);
	if (disturbed)
		rest(ms);
	return rows;
}

/*
 * Update slice after slice from work->next on until the batch has to end, and
 * a block with it; returns how many rows.
 */
static int64
update_batch(Work *work)
{
	TimestampTz began = GetCurrentTimestamp();
	BlockNumber end = Min(work->limit, work->leaf->blocks);
	int64		rows = 0;
	SvIdentity	identity;
	SPIPlanPtr	plan;

	begin_update(work, &identity);
	plan = prepare_update(work);
	work->offset = 0;
	do
	{
		CHECK_FOR_INTERRUPTS();
		rows += update_and_rest(work, plan, end);
	} while (work->offset > 0 ||
			 (work->next < end && !others_wait() &&
			  milliseconds_since(began) < batch_time));
	end_update(&identity);
	return rows;
}

/* one batch */
static void
step_batch(Work *work)
{
	SvJob	   *job;

	if (!read_row(work) || !is_leaf_there(work))
		return;
	job = work->job;
	job->rows += update_batch(work);
	job->position = work->next;
	job->blocks_done = work->pass > 1 ? work->total :
		work->done + (work->next - work->position);
	job->blocks = work->total;
	job->leaf = work->leaf->name;
	job->filenode = work->leaf->filenode;
	write_row(work);
}

/* a part of a slice that has failed, tried only; always to be rolled back */
static void
step_try_range(Work *work)
{
	SvIdentity	identity;

	begin_update(work, &identity);
	(void) update_slice(work, prepare_update(work));
	ereport(ERROR, (errcode(ERRCODE_SUCCESSFUL_COMPLETION),
					errmsg("rolled back")));
}

/* the key of the row at work->from, as "(id)=(4000000)" */
static void
step_find_key(Work *work)
{
	Relation	relation = table_open(work->leaf->oid, AccessShareLock);
	Bitmapset  *keys = RelationGetIndexAttrBitmap(relation,
												  INDEX_ATTR_BITMAP_PRIMARY_KEY);
	StringInfoData names;
	Oid			type = TIDOID;
	Datum		value = PointerGetDatum(&work->from);
	SvIdentity	identity;
	int			key = -1;

	initStringInfo(&names);
	while ((key = bms_next_member(keys, key)) >= 0)
	{
		AttrNumber	attnum = key + FirstLowInvalidHeapAttributeNumber;

		appendStringInfo(&names, "%s%s", names.len ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation),
																attnum - 1)->attname)));
	}
	table_close(relation, NoLock);
	if (names.len == 0)
		return;
	begin_update(work, &identity);
	if (SPI_execute_with_args(psprintf("SELECT pg_catalog.concat_ws(', ', %s) FROM ONLY %s WHERE ctid = $1",
									   names.data, work->leaf->name),
							  1, &type, &value, NULL, true, 1) ==
		SPI_OK_SELECT && SPI_processed == 1)
		work->key = MemoryContextStrdup(work->context,
										psprintf("(%s)=(%s)", names.data,
												 SPI_getvalue(SPI_tuptable->vals[0],
															  SPI_tuptable->tupdesc,
															  1)));
	end_update(&identity);
}

/*
 * Could a single row be to blame?  Not for what is wrong with the server, or
 * with the statement as a whole.
 */
static bool
is_of_row(const ErrorData *problem)
{
	switch (ERRCODE_TO_CATEGORY(problem->sqlerrcode))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION):
		case ERRCODE_TO_CATEGORY(ERRCODE_PLPGSQL_ERROR):
		case ERRCODE_TO_CATEGORY(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED):
			return true;
		default:
			return false;
	}
}

/* does a part of a slice fail on its own? */
static ErrorData *
range_fails(Work *work)
{
	ErrorData  *problem = try_step(work, step_try_range);

	while (is_transient(problem))
	{
		sv_lock_pause(FIRST_PAUSE_MS);
		problem = try_step(work, step_try_range);
	}
	if (problem->sqlerrcode == ERRCODE_SUCCESSFUL_COMPLETION)
		return NULL;
	if (!is_of_row(problem))
		ReThrowError(problem);
	return problem;
}

/*
 * A slice has failed: find the row, and throw the error with its key.  The
 * block first: of two halves the first if it fails, else the second.
 */
static void
report_row(Work *work, ErrorData *problem)
{
	BlockNumber low = ItemPointerGetBlockNumberNoCheck(&work->from);
	BlockNumber high = ItemPointerGetBlockNumberNoCheck(&work->to);
	ErrorData  *found = NULL;

	while (high - low > 1)
	{
		BlockNumber middle = low + (high - low) / 2;

		ItemPointerSet(&work->from, low, 0);
		ItemPointerSet(&work->to, middle, 0);
		if (range_fails(work))
			high = middle;
		else
			low = middle;
	}
	for (OffsetNumber offset = 1;
		 found == NULL && offset <= MaxHeapTuplesPerPage; offset++)
	{
		ItemPointerSet(&work->from, low, offset);
		ItemPointerSet(&work->to, low, offset + 1);
		found = range_fails(work);
	}
	if (found == NULL)
		ReThrowError(problem);
	work->key = NULL;
	(void) try_step(work, step_find_key);
	found->message = work->key ?
		psprintf("row with %s: %s", work->key, found->message) :
		psprintf("row at (%u,%u): %s", low,
				 ItemPointerGetOffsetNumberNoCheck(&work->from),
				 found->message);
	ReThrowError(found);
}

/* has every standby that streams replayed the WAL up to there? */
static bool
standbys_have(XLogRecPtr position)
{
	for (int i = 0; i < max_wal_senders; i++)
	{
		WalSnd	   *sender = &WalSndCtl->walsnds[i];
		bool		behind;

		SpinLockAcquire(&sender->mutex);
		behind = sender->pid != 0 && sender->state == WALSNDSTATE_STREAMING &&
			!XLogRecPtrIsInvalid(sender->apply) && sender->apply < position;
		SpinLockRelease(&sender->mutex);
		if (behind)
			return false;
	}
	return true;
}

/*
 * Pause while standbys are too far behind: something written max_lag ago has
 * not been replayed.  Their own idea of the lag stands still with them.
 */
static void
wait_for_standbys(Work *work)
{
	if (max_lag < 0)
		return;
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();

		if (standbys_have(work->mark))
		{
			work->mark = GetXLogInsertRecPtr();
			work->marked = now;
			return;
		}
		if (!TimestampDifferenceExceeds(work->marked, now, max_lag))
			return;
		sv_lock_pause(LAG_PAUSE_MS);
	}
}

/* tell a waiting client how far it is */
static void
tell_progress(Work *work)
{
	TimestampTz now = GetCurrentTimestamp();
	const SvJob *job = work->job;

	if (!work->foreground ||
		!TimestampDifferenceExceeds(work->noticed, now, NOTICE_MS))
		return;
	work->noticed = now;
	ereport(NOTICE,
			(errmsg("job %d: " INT64_FORMAT " of " INT64_FORMAT " blocks, "
					INT64_FORMAT " rows", job->id, job->blocks_done,
					job->blocks, job->rows)));
}

/*
 * Read the configuration again if that has been asked for: between statements
 * a session does that by itself, a worker has none.
 */
void
sv_work_reload_settings(void)
{
	if (!IsBackgroundWorker || !ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

/*
 * One batch with its pauses; errors of a row are thrown with its key.  When a
 * slice fails, what comes before it is done by itself, so that the slice is
 * tried again alone; where it could not get its locks, block by block.
 */
static void
run_batch(Work *work)
{
	ErrorData  *problem;

	sv_work_reload_settings();
	work->next = work->position;
	problem = try_step(work, step_batch);
	if (work->stopped || (problem == NULL && work->leaf->gone))
		return;
	if (problem == NULL)
	{
		work->done += work->next - work->position;
		work->position = work->next;
		work->limit = InvalidBlockNumber;
		tell_progress(work);
		wait_for_standbys(work);
		CHECK_FOR_INTERRUPTS();
		return;
	}
	if (is_transient(problem))
	{
		work->limit = Max(work->next, work->position + 1);
		sv_lock_pause(FIRST_PAUSE_MS);
		return;
	}
	if (is_of_row(problem))
	{
		if (work->next == work->position)
			report_row(work, problem);
		work->limit = work->next;
		return;
	}
	ReThrowError(problem);
}

/* from a place in the list of leaves to its end */
static void
run_pass(Work *work, int place)
{
	for (int i = place; i < list_length(work->leaves) && !work->stopped; i++)
	{
		work->leaf = list_nth(work->leaves, i);
		while (!work->stopped && !work->leaf->gone &&
			   work->position < work->leaf->blocks)
			run_batch(work);
		work->position = 0;
	}
}

/* is nothing left to be done?  Without a condition nobody can tell. */
static bool
is_filled(Work *work)
{
	if (work->job->condition == NULL)
		return true;
	run_step(work, step_look_for_missed);
	return work->stopped || work->found == FOUND_DONE;
}

static void
do_backfill(Work *work)
{
	run_step(work, step_find_type);
	run_step(work, step_find_leaves);
	work->slice = 1;
	work->limit = InvalidBlockNumber;
	work->pass = 1;
	run_pass(work, find_place(work));
	while (!work->stopped && !is_filled(work))
	{
		if (++work->pass > MOST_PASSES)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("there are still rows to fill after going through %s %d times",
							work->target, MOST_PASSES)));
		run_step(work, step_find_leaves);
		run_pass(work, 0);
	}
}

/*
 * One job
 */

static const struct
{
	const char *kind;
	void		(*work) (Work *work);
}			kinds[] =
{
	{SV_JOB_BACKFILL, do_backfill},
	{SV_JOB_NOTNULL, do_notnull},
	{SV_JOB_INDEX, do_index},
	{SV_JOB_ATTACH, do_attach},
	{SV_JOB_RELAX, do_relax},
	{SV_JOB_REPLACE, do_replace},
	{SV_JOB_LOOSEN, do_exchange},
	{SV_JOB_TIGHTEN, do_exchange},
	{SV_JOB_VALIDATE, do_validate},
	{SV_JOB_REFRESH, do_refresh}
};

static void
do_work(Work *work)
{
	run_step(work, step_begin);
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		if (!work->stopped && strcmp(kinds[i].kind, work->job->kind) == 0)
			kinds[i].work(work);
	}
	run_step(work, step_finish);
}

/* the error as the job's row keeps it */
static char *
error_text(const ErrorData *problem)
{
	if (problem->detail)
		return psprintf("%s\n%s", problem->message, problem->detail);
	return pstrdup(problem->message);
}

/* what a run has ended with, if not with its last step */
static void
step_end(Work *work)
{
	SvJob	   *job;

	if (!read_row(work) && !work->gone)
		return;
	job = work->job;
	job->state = work->end_state;
	job->error = work->end_error;
	if (strcmp(job->state, SV_JOB_CANCELLED) == 0)
		job->finished = GetCurrentTimestamp();
	write_row(work);
	if (strcmp(job->state, SV_JOB_FAILED) == 0)
	{
		SvProduct  *product = sv_catalog_product_by_id(job->product_id);
		SvRelease  *release = sv_catalog_release(product, job->release_id);

		if (release)
			sv_announce_event("failed", product->name, release->version,
							  NULL);
	}
}

/*
 * An error has ended the run.  Ctrl-C in the session that does the job only
 * interrupts it.  A worker that is sent one by cancel() finds the row saying
 * so; by anybody else, the job has failed, since a version must not count as
 * ready without what nobody has decided that it can do without.
 */
static void
end_with(Work *work, ErrorData *problem)
{
	bool		interrupt = problem->sqlerrcode == ERRCODE_QUERY_CANCELED;

	work->end_error = error_text(problem);
	if (interrupt && work->foreground)
	{
		work->end_state = SV_JOB_QUEUED;
		work->end_error = NULL;
	}
	else if (work->gone)
		work->end_state = SV_JOB_CANCELLED;
	else
		work->end_state = SV_JOB_FAILED;
	work->stopped = false;
	run_step(work, step_end);
	if (interrupt && work->foreground && !work->stopped)
		ReThrowError(problem);
	if (!interrupt || !work->stopped)
		ereport(work->foreground ? WARNING : LOG,
				(errmsg("job %d, %s, has failed: %s", work->job->id,
						sv_work_describe(work->job), work->end_error)));
}

/*
 * Do the job of that id, of which the session holds the locks; in the
 * foreground telling progress in NOTICEs.  Returns the state that it has left
 * the job in; the job's own errors end in its row.  Throws what interrupts a
 * session that does it in the foreground.
 */
const char *
sv_work_run(int32 id, bool foreground)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(PortalContext ?
												  PortalContext :
												  TopMemoryContext,
												  "schemaver job",
												  ALLOCSET_DEFAULT_SIZES);
	Work	   *work = MemoryContextAllocZero(context, sizeof(Work));
	ErrorData  *volatile problem = NULL;
	char	   *state;

	MemoryContextSwitchTo(context);
	work->context = context;
	work->foreground = foreground;
	work->clock = work->noticed = GetCurrentTimestamp();
	work->job = palloc0(sizeof(SvJob));
	work->job->id = id;
	PG_TRY();
	{
		do_work(work);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		problem = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (problem)
		end_with(work, problem);
	MemoryContextSwitchTo(caller);
	state = pstrdup(work->job->state);
	MemoryContextDelete(context);
	return state;
}
