/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  plan(): what apply() would do, a row a statement.
 *
 * The migration is tried, by the very code of apply(), in a subtransaction
 * that is always rolled back, and what happens is written down: what is found
 * after each statement (contract.c), what is done instead of what it says
 * (observe.c), the locks that this process holds then, which tables were
 * read through or got another file, what the client would have been told.
 * What apply() would refuse, it refuses here too, in its words.
 *
 * Nobody is to be held up by that.  From the first lock on something that was
 * there before, all must be over within schemaver.plan_lock_limit; a timeout
 * ends it otherwise.  Locks are waited for no longer either.
 *
 * Nothing is to be left of it.  Statements that only change data run if they
 * are small, since what comes after may depend on them; otherwise they are
 * only planned.  Functions that do what no rollback undoes, such as drawing
 * from a sequence, are not called.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

PG_FUNCTION_INFO_V1(schemaver_plan);

#define TEXT_BYTES		200		/* of a statement, to be shown */
#define LARGEST_COST	1000.0	/* of a statement on data, to be run */
#define LOCK_TIMEOUT_MS	50
#define COLUMNS			13

static int	plan_lock_limit = 50;

/* one way in which a version would notice a statement */
typedef struct Change
{
	SvRelease	release;		/* a copy */
	SvSeverity	severity;
	char	   *change;
	char	   *reason;
	Oid			relation;
	bool		required;
	bool		remains;		/* when the script has run, too */
} Change;

/* one row of the result */
typedef struct Step
{
	const SvStatement *statement;
	char	   *outcome;		/* NULL: it ran */
	List	   *effects;		/* of char *, as the ones below */
	List	   *changes;		/* of Change */
	List	   *locks;			/* of SvNeededLock */
	const char *access;			/* "rewrite", "fill", "scan" or NULL */
	List	   *jobs;
	List	   *inferred;
	List	   *notices;
} Step;

/* a relation as it was before, or when it was seen first */
typedef struct Seen
{
	Oid			relation;
	char	   *name;			/* qualified and quoted */
	char	   *size;			/* "12 pages, about 200 rows" */
	bool		rewritten;
	int64		scans;			/* that were told of */
} Seen;

/* a relation that was there before the script */
typedef struct Before
{
	Oid			relation;		/* must be first */
	Oid			schema;
	char	   *name;			/* qualified and quoted, as it was called */
} Before;

/* one call of plan() */
typedef struct Rehearsed
{
	MemoryContext context;
	List	   *steps;
	Step	   *current;		/* NULL before the first and after the last */
	bool		begun;			/* locks are taken from here on */
	bool		ended;			/* the script has run */
	bool		holding;		/* a lock on what was there before */
	bool		careful;		/* call nothing that no rollback undoes */
	char	   *forbidden;		/* what was not called */
	Step	   *skipped;		/* the first that was not run */
	List	   *seen;			/* of Seen */
	HTAB	   *before;			/* of Before */
	List	   *late;			/* notices that came at the end */
	struct Rehearsed *first;	/* how it went the first time, or NULL */
} Rehearsed;

static Rehearsed *plan = NULL;		/* the one that is being made */
static TimeoutId deadline;
static bool has_deadline = false;
static volatile sig_atomic_t struck = false;

static emit_log_hook_type next_emit_log = NULL;
static object_access_hook_type next_object_access = NULL;

/*
 * The deadline
 */

static void
strike(void)
{
	struck = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

static void
start_deadline(void)
{
	if (plan_lock_limit == 0)
		return;
	if (!has_deadline)
		deadline = RegisterTimeout(USER_TIMEOUT, strike);
	has_deadline = true;
	disable_timeout(deadline, false);
	enable_timeout_after(deadline, plan_lock_limit);
}

/* whatever has come of it; a cancel that has come too late is none */
static void
stop_deadline(void)
{
	if (has_deadline)
		disable_timeout(deadline, false);
	if (struck)
		QueryCancelPending = false;
}

/*
 * Steps
 */

static void
add_step(const SvStatement *statement)
{
	Step	   *step = palloc0(sizeof(Step));

	step->statement = statement;
	plan->steps = lappend(plan->steps, step);
}

static Step *
step_of(const SvStatement *statement)
{
	return list_nth(plan->steps, statement->number - 1);
}

/* a string for a list, once */
static List *
add_text(List *list, const char *text)
{
	MemoryContext context;
	ListCell   *lc;

	foreach(lc, list)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return list;
	}
	context = MemoryContextSwitchTo(plan->context);
	list = lappend(list, pstrdup(text));
	MemoryContextSwitchTo(context);
	return list;
}

static bool
concerns(const Step *step, Oid relation)
{
	ListCell   *lc;

	foreach(lc, step->locks)
	{
		if (((SvNeededLock *) lfirst(lc))->relation == relation)
			return true;
	}
	foreach(lc, step->changes)
	{
		if (((Change *) lfirst(lc))->relation == relation)
			return true;
	}
	return false;
}

/* the step that runs; at the end the last one that has to do with a relation */
static Step *
step_for(Oid relation)
{
	if (plan->current)
		return plan->current;
	for (int i = list_length(plan->steps) - 1; i >= 0 && plan->ended; i--)
	{
		if (concerns(list_nth(plan->steps, i), relation))
			return list_nth(plan->steps, i);
	}
	return plan->ended ? llast(plan->steps) : linitial(plan->steps);
}

/* the step whose change a message names; NULL if it names none */
static Step *
step_named_in(const char *message)
{
	ListCell   *ls;
	ListCell   *lc;

	foreach(ls, plan->steps)
	{
		foreach(lc, ((Step *) lfirst(ls))->changes)
		{
			if (strstr(message, ((Change *) lfirst(lc))->change))
				return lfirst(ls);
		}
	}
	return NULL;
}

/*
 * Relations
 */

static char *
size_of(Relation relation)
{
	BlockNumber pages;

	if (!RELKIND_HAS_STORAGE(relation->rd_rel->relkind))
		return NULL;
	pages = RelationGetNumberOfBlocks(relation);
	if (pages > 0 && relation->rd_rel->reltuples < 0)
		return psprintf("%u pages", pages);
	return psprintf("%u pages, about %.0f rows", pages,
					pages ? relation->rd_rel->reltuples : 0);
}

static int64
scans_of(Oid relation)
{
	PgStat_TableStatus *status = find_tabstat_entry(relation);

	return status ? status->t_counts.t_numscans : 0;
}

static Seen *
find_seen(Oid relation)
{
	ListCell   *lc;

	foreach(lc, plan->seen)
	{
		if (((Seen *) lfirst(lc))->relation == relation)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * A relation that was there before the script, and that an application may
 * read; NULL for others.  The caller holds a lock on it, or nearly so.
 */
static Seen *
see(Oid relid)
{
	Seen	   *seen = find_seen(relid);
	Before	   *before = hash_search(plan->before, &relid, HASH_FIND, NULL);
	MemoryContext context;
	Relation	relation;

	if (seen || before == NULL ||
		sv_contract_is_version_schema(before->schema))
		return seen;
	context = MemoryContextSwitchTo(plan->context);
	seen = palloc0(sizeof(Seen));
	seen->relation = relid;
	seen->name = before->name;
	relation = RelationIdGetRelation(relid);
	if (relation)
	{
		seen->size = size_of(relation);
		seen->scans = scans_of(relid);
		RelationClose(relation);
	}
	plan->seen = lappend(plan->seen, seen);
	MemoryContextSwitchTo(context);
	return seen;
}

/* what a relation is called: the script may rename, move or drop it */
static void
note_before(Form_pg_class form)
{
	MemoryContext context;
	Before	   *before;
	char	   *schema = get_namespace_name(form->relnamespace);

	if (strchr("rmpvf", form->relkind) == NULL || schema == NULL ||
		strcmp(schema, SV_SCHEMA) == 0)
		return;
	before = hash_search(plan->before, &form->oid, HASH_ENTER, NULL);
	before->schema = form->relnamespace;
	context = MemoryContextSwitchTo(plan->context);
	before->name = quote_qualified_identifier(schema, NameStr(form->relname));
	MemoryContextSwitchTo(context);
}

/*
 * Note what is there before the script, and what was read of it in this
 * transaction or shortly before.
 */
static void
look_before(void)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0,
										  NULL);
	HASHCTL		control = {0};
	HeapTuple	tuple;

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(Before);
	control.hcxt = plan->context;
	plan->before = hash_create("schemaver plan", 256, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->oid < FirstNormalObjectId)
			continue;
		note_before(form);
		if (scans_of(form->oid) > 0)
			(void) see(form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_job(Step *step, const char *what, const Seen *seen)
{
	step->jobs = add_text(step->jobs,
						  psprintf("%s of %s%s%s", what, seen->name,
								   seen->size ? ": " : "",
								   seen->size ? seen->size : ""));
}

/* has the step read a table through, or given it another file? */
static void
note_access(Step *step, Seen *seen)
{
	Relation	relation = RelationIdGetRelation(seen->relation);
	bool		truncates = IsA(step->statement->raw->stmt, TruncateStmt);
	bool		scanned = scans_of(seen->relation) > seen->scans;

	seen->scans = scans_of(seen->relation);
	if (relation == NULL)
		return;
	if (relation->rd_firstRelfilenodeSubid != InvalidSubTransactionId &&
		!seen->rewritten)
	{
		seen->rewritten = true;
		if (!truncates)
		{
			step->access = "rewrite";
			add_job(step, "rewrite", seen);
		}
	}
	else if (scanned && step->access == NULL)
	{
		step->access = "scan";
		add_job(step, "scan", seen);
	}
	RelationClose(relation);
}

/* a step takes a lock that none before it has taken, or not as strong */
static void
note_lock(Step *step, Oid relation, LOCKMODE mode)
{
	MemoryContext context;
	SvNeededLock *lock;
	ListCell   *ls;
	ListCell   *lc;

	foreach(ls, plan->steps)
	{
		foreach(lc, ((Step *) lfirst(ls))->locks)
		{
			lock = lfirst(lc);
			if (lock->relation == relation && lock->mode >= mode)
				return;
		}
	}
	context = MemoryContextSwitchTo(plan->context);
	lock = palloc(sizeof(SvNeededLock));
	lock->relation = relation;
	lock->mode = mode;
	step->locks = lappend(step->locks, lock);
	MemoryContextSwitchTo(context);
}

/* the strongest mode of a mask */
static LOCKMODE
strongest(LOCKMASK held)
{
	LOCKMODE	mode = AccessExclusiveLock;

	while (mode > NoLock && !(held & LOCKBIT_ON(mode)))
		mode--;
	return mode;
}

/* what this process has locked; step NULL: only whether it holds anything up */
static void
look_at_locks(Step *step)
{
	LockData   *data = GetLockStatusData();

	for (int i = 0; i < data->nelements; i++)
	{
		LockInstanceData *lock = &data->locks[i];
		LOCKMODE	mode = strongest(lock->holdMask);
		Seen	   *seen;

		if (lock->pid != MyProcPid)
			continue;
		if (lock->locktag.locktag_type == LOCKTAG_USERLOCK &&
			lock->locktag.locktag_field4 == SV_LOCK_VERSION &&
			mode >= ExclusiveLock)
			plan->holding = true;
		if (lock->locktag.locktag_type != LOCKTAG_RELATION ||
			lock->locktag.locktag_field1 != MyDatabaseId)
			continue;
		seen = see(lock->locktag.locktag_field2);
		if (seen == NULL)
			continue;
		plan->holding |= mode >= RowExclusiveLock;
		if (step && mode > RowExclusiveLock)
			note_lock(step, seen->relation, mode);
		if (step)
			note_access(step, seen);
	}
	pfree(data->locks);
	pfree(data);
}

/*
 * What others tell
 */

/* jobs are told of at the end: the step that has made the job's object */
static Step *
step_of_job(Oid relation, const char *text)
{
	const char *name = strrchr(text, ' ');
	ListCell   *ls;
	ListCell   *lc;

	foreach(ls, name ? plan->steps : NIL)
	{
		foreach(lc, ((Step *) lfirst(ls))->changes)
		{
			Change	   *change = lfirst(lc);

			if (change->relation == relation && strstr(change->change, name))
				return lfirst(ls);
		}
	}
	return step_for(relation);
}

static void
observe(SvNoteKind kind, Oid relation, const char *text)
{
	Step	   *step = kind == SV_NOTE_JOB ? step_of_job(relation, text) :
	step_for(relation);
	Seen	   *seen = OidIsValid(relation) ? find_seen(relation) : NULL;

	switch (kind)
	{
		case SV_NOTE_EFFECT:
			step->effects = add_text(step->effects, text);
			break;
		case SV_NOTE_FILL:
			if (step->access == NULL || strcmp(step->access, "scan") == 0)
				step->access = "fill";
			/* FALLTHROUGH */
		case SV_NOTE_JOB:
			if (seen)
				add_job(step, text, seen);
			else
				step->jobs = add_text(step->jobs, text);
			break;
		case SV_NOTE_INFERRED:
			step->inferred = add_text(step->inferred, text);
			break;
		case SV_NOTE_NOTICE:
			step->notices = add_text(step->notices, text);
			break;
	}
}

/* what the client would be told becomes a part of the plan */
static void
emit_log(ErrorData *edata)
{
	if (plan && edata->elevel >= INFO && edata->elevel < ERROR)
	{
		if (edata->output_to_client && edata->elevel >= NOTICE)
		{
			char	   *text = psprintf("%s%s%s", edata->message,
										edata->detail ? ": " : "",
										edata->detail ? edata->detail : "");

			if (plan->current)
				plan->current->notices = add_text(plan->current->notices, text);
			else
				plan->late = add_text(plan->late, text);
		}
		edata->output_to_client = false;
		edata->output_to_server = false;
		return;
	}
	if (next_emit_log)
		next_emit_log(edata);
}

/*
 * Functions of the server, or written in C, that change something, but for
 * those that change nothing outside of the transaction.
 */
static bool
is_irrevocable(Oid function)
{
	static const char *const harmless[] = {
		"random", "clock_timestamp", "timeofday", "gen_random_uuid",
		"set_config", "pg_notify", "currval", "lastval", "pg_sleep"
	};
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	result = form->provolatile == PROVOLATILE_VOLATILE &&
		(form->prolang == INTERNALlanguageId ||
		 form->prolang == ClanguageId) &&
		form->pronamespace != get_namespace_oid(SV_SCHEMA, true);
	for (int i = 0; result && i < (int) lengthof(harmless); i++)
		result = form->pronamespace != PG_CATALOG_NAMESPACE ||
			strcmp(NameStr(form->proname), harmless[i]) != 0;
	ReleaseSysCache(tuple);
	return result;
}

static void
forbid(const char *what)
{
	plan->forbidden = MemoryContextStrdup(plan->context, what);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s cannot be undone, and the migration is only planned",
					what)));
}

static void
see_call(ObjectAccessType access, Oid class_id, Oid object, int sub_object,
		 void *arg)
{
	if (plan && plan->careful && access == OAT_FUNCTION_EXECUTE &&
		is_irrevocable(object))
		forbid(psprintf("a call of %s()", get_func_name(object)));
	if (next_object_access)
		next_object_access(access, class_id, object, sub_object, arg);
}

/*
 * Statements that only change data
 */

/* an identity column's value, or a foreign table: what no rollback undoes */
static bool
forbid_in_query(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr))
		forbid("the next value of an identity column");
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->resultRelation &&
			get_rel_relkind(rt_fetch(query->resultRelation,
									 query->rtable)->relid) ==
			RELKIND_FOREIGN_TABLE)
			forbid("a write into a foreign table");
		return query_tree_walker(query, forbid_in_query, context, 0);
	}
	return expression_tree_walker(node, forbid_in_query, context);
}

/* how much work a statement is, and how many rows it is about */
static Cost
cost_of(const SvStatement *statement, List *queries, double *rows)
{
	Cost		cost = 0;
	ListCell   *lc;

	*rows = 0;
	foreach(lc, pg_plan_queries(copyObject(queries), statement->text, 0,
								NULL))
	{
		PlannedStmt *planned = lfirst(lc);

		if (planned->utilityStmt)
			continue;
		cost += planned->planTree->total_cost;
		*rows += IsA(planned->planTree, ModifyTable) ?
			outerPlan(planned->planTree)->plan_rows :
			planned->planTree->plan_rows;
	}
	return cost;
}

static void
skip(Step *step, const char *why)
{
	step->effects = add_text(step->effects,
							 psprintf("is not run by plan(): %s", why));
	if (plan->skipped == NULL)
		plan->skipped = step;
}

/* analyze a statement; run it if it is small */
static void
run_query(Step *step)
{
	const SvStatement *statement = step->statement;
	List	   *queries = sv_expand_analyze(statement);
	double		rows;
	Cost		cost;

	PushActiveSnapshot(GetTransactionSnapshot());
	cost = cost_of(statement, queries, &rows);
	PopActiveSnapshot();
	if (!IsA(statement->raw->stmt, SelectStmt))
		step->effects = add_text(step->effects,
								 psprintf("changes data: about %.0f rows",
										  rows));
	if (plan_lock_limit && cost > LARGEST_COST)
	{
		skip(step, "it is too much work");
		return;
	}
	(void) forbid_in_query((Node *) queries, NULL);
	plan->holding |= !IsA(statement->raw->stmt, SelectStmt);
	sv_expand_run(statement, queries);
}

static void
run_step(void *argument)
{
	run_query(argument);
}

/* as run_query(), but nothing has happened if it comes to what is forbidden */
static void
try_query(Step *step)
{
	ErrorData  *problem;

	plan->careful = true;
	problem = sv_trial_attempt(run_step, step);
	plan->careful = false;
	if (problem && plan->forbidden == NULL)
		ReThrowError(problem);
	if (plan->forbidden)
		skip(step, psprintf("no rollback undoes %s", plan->forbidden));
	plan->forbidden = NULL;
}

/*
 * The rehearsal
 */

static void
foresee(void *state, const SvStatement *statement, List *needed)
{
	MemoryContext context = MemoryContextSwitchTo(plan->context);
	ListCell   *lc;

	(void) state;
	foreach(lc, needed)
	{
		SvNeededLock *lock = palloc(sizeof(SvNeededLock));

		*lock = *(SvNeededLock *) lfirst(lc);
		if (see(lock->relation))
			step_of(statement)->locks =
				lappend(step_of(statement)->locks, lock);
	}
	MemoryContextSwitchTo(context);
}

static void
begin(void *state)
{
	(void) state;
	plan->begun = true;
	start_deadline();
}

static bool
run(void *state, const SvStatement *statement)
{
	(void) state;
	if (plan->current == NULL)
		look_at_locks(NULL);
	plan->current = step_of(statement);
	if (!plan->holding)
		start_deadline();
	switch (nodeTag(statement->raw->stmt))
	{
		case T_SelectStmt:
			if (((SelectStmt *) statement->raw->stmt)->intoClause)
				break;
			/* FALLTHROUGH */
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			try_query(plan->current);
			return true;
		case T_CopyStmt:
			skip(plan->current, "to copy rows may take long");
			return true;
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_LoadStmt:
			skip(plan->current, "no rollback undoes it");
			return true;
		default:
			break;
	}
	plan->careful = IsA(statement->raw->stmt, DoStmt) ||
		IsA(statement->raw->stmt, CallStmt) ||
		IsA(statement->raw->stmt, SelectStmt) ||
		IsA(statement->raw->stmt, CreateTableAsStmt);
	return false;
}

static Change *
find_change(List *changes, const SvFinding *finding)
{
	ListCell   *lc;

	foreach(lc, changes)
	{
		Change	   *change = lfirst(lc);

		if (change->release.id == finding->release->id &&
			strcmp(change->change, finding->change) == 0)
			return change;
	}
	return NULL;
}

/* the findings until now: those that are new are the step's */
static void
note_findings(Step *step, List *findings)
{
	MemoryContext context = MemoryContextSwitchTo(plan->context);
	ListCell   *lf;
	ListCell   *ls;

	foreach(lf, findings)
	{
		SvFinding  *finding = lfirst(lf);
		Change	   *change = NULL;

		foreach(ls, plan->steps)
		{
			change = find_change(((Step *) lfirst(ls))->changes, finding);
			if (change)
				break;
		}
		if (change == NULL)
		{
			change = palloc0(sizeof(Change));
			change->release = *finding->release;
			change->release.label = pstrdup(finding->release->label);
			change->change = pstrdup(finding->change);
			change->relation = finding->entry->physical;
			change->required = finding->required != 0;
			step->changes = lappend(step->changes, change);
		}
		change->severity = finding->severity;
		change->reason = pstrdup(finding->reason ? finding->reason : "");
		change->remains = true;
	}
	MemoryContextSwitchTo(context);
}

static void
ran(void *state, const SvStatement *statement, List *findings)
{
	Step	   *step = step_of(statement);

	(void) state;
	plan->careful = false;

	/* the script has caught the error, and something else has happened */
	if (plan->forbidden)
		forbid(plan->forbidden);
	note_findings(step, findings);
	if (!IsA(statement->raw->stmt, SelectStmt) &&
		!IsA(statement->raw->stmt, InsertStmt) &&
		!IsA(statement->raw->stmt, UpdateStmt) &&
		!IsA(statement->raw->stmt, DeleteStmt) &&
		!IsA(statement->raw->stmt, MergeStmt))
		look_at_locks(step);
	if (statement->number == list_length(plan->steps))
	{
		plan->current = NULL;
		plan->ended = true;
	}
}

/* what counts in the end: what a later statement has undone does not */
static void
judged(void *state, List *findings)
{
	ListCell   *ls;
	ListCell   *lc;

	(void) state;
	foreach(ls, plan->steps)
	{
		foreach(lc, ((Step *) lfirst(ls))->changes)
			((Change *) lfirst(lc))->remains = false;
	}
	note_findings(llast(plan->steps), findings);
}

/* from the beginning, with nothing known of the steps */
static void
again(void *state)
{
	MemoryContext context = MemoryContextSwitchTo(plan->context);
	Rehearsed  *first = palloc(sizeof(Rehearsed));
	ListCell   *lc;

	(void) state;
	stop_deadline();
	*first = *plan;
	memset(plan, 0, sizeof(Rehearsed));
	plan->context = first->context;
	plan->first = first;
	foreach(lc, first->steps)
		add_step(((Step *) lfirst(lc))->statement);
	look_before();
	MemoryContextSwitchTo(context);
}

/* what the first time has shown is the plan after all */
static void
restore(void *state)
{
	(void) state;
	*plan = *plan->first;
}

static const SvRehearsal rehearsal = {
	NULL, foresee, begin, run, ran, judged, again, restore
};

/*
 * What came of it
 */

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Try the migration and roll it back.  Returns the error, NULL if there was
 * none.
 */
static ErrorData *
rehearse(SvScript *script, SvVersion *version, char *product,
		 char **label, const char **before)
{
	ResourceOwner owner = CurrentResourceOwner;
	ErrorContextCallback *callbacks = error_context_stack;
	SvObserver	observer = sv_observe_with(observe);
	ErrorData  *volatile problem = NULL;

	struck = false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(plan->context);
	PG_TRY();
	{
		/* others stand in line behind us meanwhile, as in apply() */
		set_local("lock_timeout",
				  psprintf("%d", plan_lock_limit ?
						   Min(plan_lock_limit, LOCK_TIMEOUT_MS) :
						   LOCK_TIMEOUT_MS));
		set_local("client_min_messages", "notice");
		set_local("log_min_messages", "notice");
		*label = sv_version_text(sv_apply_rehearse(script, version, product,
												   &rehearsal, before));
		if (*before == NULL)
			look_at_locks(llast(plan->steps));
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(plan->context);
		problem = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	stop_deadline();
	plan->careful = false;
	RollbackAndReleaseCurrentSubTransaction();
	(void) sv_observe_with(observer);
	error_context_stack = callbacks;
	MemoryContextSwitchTo(plan->context);
	CurrentResourceOwner = owner;
	return problem;
}

static char *
error_text(const ErrorData *problem)
{
	return psprintf("%s%s%s%s%s", problem->message,
					problem->detail ? "\nDETAIL: " : "",
					problem->detail ? problem->detail : "",
					problem->hint ? "\nHINT: " : "",
					problem->hint ? problem->hint : "");
}

/* it was not done in time: tell how large what its words lock is */
static void
note_unfinished(Step *step)
{
	ListCell   *lc;

	step->outcome = psprintf("not tried further: it takes longer than %d ms",
							 plan_lock_limit);
	foreach(lc, step->locks)
	{
		Seen	   *seen = find_seen(((SvNeededLock *) lfirst(lc))->relation);

		if (seen && seen->size)
			add_job(step, "work", seen);
	}
}

/* a lock was not to be had: it is the first step's that somebody obstructs */
static Step *
step_obstructed(char **holders)
{
	ListCell   *lc;

	foreach(lc, plan->steps)
	{
		*holders = sv_lock_holders(((Step *) lfirst(lc))->locks);
		if (*holders)
			return lfirst(lc);
	}
	return linitial(plan->steps);
}

/* the step that an error belongs to, with what came of it */
static Step *
blame(const ErrorData *problem)
{
	Step	   *step = plan->current ? plan->current : llast(plan->steps);
	int			category = ERRCODE_TO_CATEGORY(problem->sqlerrcode);
	char	   *holders = NULL;

	if (problem->sqlerrcode == ERRCODE_QUERY_CANCELED)
		note_unfinished(step);
	else if (problem->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
			 problem->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED)
	{
		step = plan->current ? plan->current : step_obstructed(&holders);
		if (holders == NULL)
			holders = sv_lock_holders(step->locks);
		if (!plan->begun)
			holders = "another migration of the product runs";
		step->outcome = psprintf("not tried: its locks are not to be had now%s%s",
								 holders ? ": " : "",
								 holders ? holders : "");
	}
	else if (plan->forbidden)
		step->outcome = psprintf("not tried: no rollback undoes %s",
								 plan->forbidden);
	else if (plan->current && plan->skipped &&
			 (category == ERRCODE_DATA_EXCEPTION ||
			  category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION))
		step->outcome = psprintf("not foretold: without what statement %d does it fails: %s",
								 plan->skipped->statement->number,
								 error_text(problem));
	else
	{
		if (plan->ended && step_named_in(problem->message))
			step = step_named_in(problem->message);
		step->outcome = psprintf("refused: %s", error_text(problem));
	}
	return step;
}

/* an error that tells nothing about the script */
static bool
is_foreign(const ErrorData *problem)
{
	if (problem->sqlerrcode == ERRCODE_QUERY_CANCELED)
		return !struck;
	return ERRCODE_TO_CATEGORY(problem->sqlerrcode) ==
		ERRCODE_INSUFFICIENT_RESOURCES ||
		ERRCODE_TO_CATEGORY(problem->sqlerrcode) ==
		ERRCODE_OPERATOR_INTERVENTION;
}

/* the error's place, and what was not reached because of it */
static void
take_error(ErrorData *problem)
{
	Step	   *step;
	ListCell   *lc;

	if (is_foreign(problem) ||
		(!plan->begun && problem->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE))
		ReThrowError(problem);
	step = blame(problem);
	foreach(lc, plan->steps)
	{
		Step	   *other = lfirst(lc);

		if (other != step && !plan->ended &&
			(plan->current == NULL ||
			 other->statement->number > plan->current->statement->number))
			other->outcome = "not reached";
	}
}

/* the last step that older versions would notice, else the last one */
static Step *
last_breaking(void)
{
	ListCell   *lc;

	for (int i = list_length(plan->steps) - 1; i >= 0; i--)
	{
		Step	   *step = list_nth(plan->steps, i);

		foreach(lc, step->changes)
		{
			Change	   *change = lfirst(lc);

			if (change->remains && change->severity >= SV_BREAKS)
				return step;
		}
	}
	return llast(plan->steps);
}

static void
place_late_notices(void)
{
	ListCell   *lc;

	foreach(lc, plan->late)
	{
		Step	   *step = step_named_in(lfirst(lc));

		if (step == NULL)
			step = last_breaking();
		step->notices = add_text(step->notices, lfirst(lc));
	}
}

/* client sessions of this database that have not registered, NULL if none */
static char *
unregistered_sessions(void)
{
	SvIdentity	identity;
	char	   *sessions = NULL;

	sv_catalog_become_owner(&identity);
	SPI_connect();
	if (SPI_execute("SELECT pg_catalog.count(*) OPERATOR(pg_catalog.||)"
					" ' client sessions that are not registered would notice: '"
					" OPERATOR(pg_catalog.||) pg_catalog.string_agg("
					"pg_catalog.format('%s (process %s)', application_name, pid), ', ' ORDER BY pid)"
					" FROM pg_catalog.pg_stat_activity"
					" WHERE backend_type OPERATOR(pg_catalog.=) 'client backend'"
					" AND datid OPERATOR(pg_catalog.=)"
					" (SELECT oid FROM pg_catalog.pg_database WHERE datname"
					" OPERATOR(pg_catalog.=) pg_catalog.current_database())"
					" AND pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()"
					" AND NOT EXISTS (SELECT FROM schemaver.instances AS i"
					" WHERE i.pid OPERATOR(pg_catalog.=) pg_stat_activity.pid)",
					true, 1) == SPI_OK_SELECT && SPI_processed == 1)
	{
		char	   *text = SPI_getvalue(SPI_tuptable->vals[0],
										SPI_tuptable->tupdesc, 1);

		if (text)
			sessions = MemoryContextStrdup(plan->context, text);
	}
	SPI_finish();
	sv_catalog_become_caller(&identity);
	return sessions;
}

/*
 * Rows
 */

static char *
join(List *texts, const char *separator)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, texts)
		appendStringInfo(&text, "%s%s", text.len ? separator : "",
						 (char *) lfirst(lc));
	return text.len ? text.data : NULL;
}

static char *
array_text(List *texts)
{
	Datum	   *values;
	int			n = 0;
	ListCell   *lc;

	if (texts == NIL)
		return NULL;
	values = palloc(sizeof(Datum) * list_length(texts));
	foreach(lc, texts)
		values[n++] = CStringGetTextDatum(lfirst(lc));
	return OidOutputFunctionCall(F_ARRAY_OUT,
								 PointerGetDatum(construct_array(values, n,
																 TEXTOID, -1,
																 false,
																 TYPALIGN_INT)));
}

/* how it comes that a version goes on after a change, or why it does not */
static const char *
prevention_of(const Change *change, bool used)
{
	switch (change->severity)
	{
		case SV_NOTICED:
			return "a view hides it from them";
		case SV_BREAKS:
			return "a view shows them what was there before";
		case SV_KEPT:
			return change->required ? "they get a value, or may leave it NULL" :
				"what was there before stays for them";
		case SV_CHECKED:
			return "they go on, but what they write is checked from now on";
		case SV_FATAL:
			return used ? psprintf("refused: %s", change->reason) :
				psprintf("nobody has registered under them, so they give way: %s",
						 change->reason);
		default:
			return "the old one stays for them";
	}
}

static char *
lock_text(const SvNeededLock *lock)
{
	const Seen *seen = find_seen(lock->relation);

	return psprintf("%s %s", seen ? seen->name : "",
					GetLockmodeName(DEFAULT_LOCKMETHOD, lock->mode));
}

/* which versions a step would break, which of them are live, and why not */
static void
put_changes(const Step *step, char **values)
{
	List	   *breaks = NIL;
	List	   *live = NIL;
	List	   *prevention = NIL;
	ListCell   *lc;

	foreach(lc, step->changes)
	{
		Change	   *change = lfirst(lc);
		bool		is_live = sv_registry_count(&change->release) > 0;

		if (!change->remains || change->severity <= SV_HIDDEN)
			continue;
		if (change->severity >= SV_BREAKS)
		{
			breaks = add_text(breaks, change->release.label);
			if (is_live)
				live = add_text(live, change->release.label);
		}
		prevention = add_text(prevention,
							  psprintf("%s: %s", change->change,
									   prevention_of(change, is_live ||
													 change->release.registered ||
													 sv_catalog_was_registered(&change->release))));
	}
	values[4] = array_text(breaks);
	values[5] = array_text(live);
	values[6] = join(prevention, "\n");
}

static void
put_step(ReturnSetInfo *result, AttInMetadata *meta, Step *step,
		 char *version, char *sessions)
{
	const SvStatement *statement = step->statement;
	char	   *values[COLUMNS] = {0};
	List	   *locks = NIL;
	ListCell   *lc;

	values[0] = psprintf("%d", statement->number);
	values[1] = psprintf("%d", statement->line);
	values[2] = pnstrdup(statement->text,
						 pg_mbcliplen(statement->text, strlen(statement->text),
									  TEXT_BYTES));
	values[3] = step->outcome ? step->outcome : join(step->effects, "; ");
	if (values[3] == NULL)
		values[3] = "runs as it is";
	put_changes(step, values);
	foreach(lc, step->locks)
		locks = add_text(locks, lock_text(lfirst(lc)));
	values[7] = array_text(locks);
	values[8] = unconstify(char *, step->access);
	values[9] = array_text(step->jobs);
	values[10] = array_text(step->inferred);
	if (values[4] && sessions)
		step->notices = add_text(step->notices, sessions);
	values[11] = array_text(step->notices);
	values[12] = version;
	tuplestore_puttuple(result->setResult,
						BuildTupleFromCStrings(meta, values));
}

/* the plan, in "plan" */
static void
make_plan(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	AttInMetadata *meta = TupleDescGetAttInMetadata(result->setDesc);
	SvScript   *script =
	sv_script_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	const char *before = NULL;
	char	   *version = NULL;
	char	   *sessions;
	ErrorData  *problem;
	ListCell   *lc;

	foreach(lc, script->statements)
		add_step(lfirst(lc));
	look_before();
	problem = rehearse(script,
					   PG_ARGISNULL(1) ? NULL : PG_GETARG_SVVERSION(1),
					   PG_ARGISNULL(2) ? NULL :
					   text_to_cstring(PG_GETARG_TEXT_PP(2)),
					   &version, &before);
	if (problem)
	{
		version = NULL;
		take_error(problem);
	}
	place_late_notices();
	sessions = unregistered_sessions();
	foreach(lc, plan->steps)
	{
		Step	   *step = lfirst(lc);

		if (before)
			step->outcome = pstrdup(before);
		put_step(result, meta, step, version, sessions);
	}
}

/*
 * schemaver.plan(script, version, product) returns setof schemaver.step
 */
Datum
schemaver_plan(PG_FUNCTION_ARGS)
{
	Rehearsed	state = {0};

	PreventCommandIfReadOnly("schemaver.plan()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("plan() needs a script")));
	if (plan || sv_contract_collecting())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("plan() cannot be called by a migration's script")));
	InitMaterializedSRF(fcinfo, 0);
	state.context = CurrentMemoryContext;
	plan = &state;
	PG_TRY();
	{
		make_plan(fcinfo);
	}
	PG_FINALLY();
	{
		plan = NULL;
	}
	PG_END_TRY();
	return (Datum) 0;
}

/*
 * Called once from _PG_init.
 */
void
sv_plan_init(void)
{
	DefineCustomIntVariable("schemaver.plan_lock_limit",
							"How long plan() may hold locks that could hold others up.",
							"0 for no limit: only where nobody else works.",
							&plan_lock_limit, 50, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	next_emit_log = emit_log_hook;
	emit_log_hook = emit_log;
	next_object_access = object_access_hook;
	object_access_hook = see_call;
}
