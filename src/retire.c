/*-------------------------------------------------------------------------
 *
 * retire.c
 *	  Retire versions: take away what only they needed.
 *
 * A version is retired under its lock, taken exclusively and without waiting:
 * no instance of it is live then, and none can register until the transaction
 * has ended and it is told that the version is retired.  All older versions
 * go along, in one transaction, so that no version is left supported that
 * older ones stand between.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(schemaver_retire);
PG_FUNCTION_INFO_V1(schemaver_rollback);

/* one call of rollback() */
typedef struct Rollback
{
	SvProduct  *product;
	SvRelease  *from;
	SvRelease  *to;
	char	   *reason;
	TimestampTz started;
	List	   *needed;			/* of SvNeededLock, of the last attempt */
} Rollback;

/* one call of retire() */
typedef struct Retirement
{
	SvProduct  *product;
	SvRelease  *release;		/* the one that was named */
	SvRelease  *current;
	TimestampTz started;
	int			count;			/* how many went */
	bool		archive;		/* shall be kept what would be lost? */
	SvArchive	archived;		/* what was before the first try */
	List	   *gaps;			/* of SvGap */
	List	   *needed;			/* locks, of SvNeededLock */
} Retirement;

/* the sessions that keep a version from being retired */
static char *
live_processes(const SvRelease *release)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, sv_registry_processes(release))
		appendStringInfo(&list, "%s%d", list.len ? ", " : "", lfirst_int(lc));
	return list.data;
}

/* nobody may be using it, nor begin to */
static void
lock_release(const Retirement *retirement, const SvRelease *release)
{
	if (!sv_registry_lock_release(release))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("version %s of product \"%s\" cannot be retired, instances of it are live",
						release->label, retirement->product->name),
				 errdetail("Live are the sessions of the processes %s.",
						   live_processes(release)),
				 errhint("Stop these instances; SELECT * FROM schemaver.instances tells whose they are.")));
}

static void
record(const Retirement *retirement, const char *archived)
{
	SvHistory	history = {0};

	history.product_id = retirement->product->id;
	history.product_name = retirement->product->name;
	history.action = "retire";
	history.to = retirement->release->version;
	history.started = retirement->started;
	history.outcome = psprintf("retired with all %s, %d in all%s%s",
							   sv_version_compare(retirement->release->version,
												  retirement->current->version) < 0 ?
							   "older" : "newer", retirement->count,
							   archived[0] ? "; archived " : "", archived);
	history.restorable = true;
	sv_catalog_record(&history);
}

/*
 * All older versions go along with one below the current; all newer ones with
 * one above it, which was rolled back.
 */
static bool
is_to_retire(const Retirement *retirement, const SvRelease *release)
{
	int			side = sv_version_compare(retirement->release->version,
										  retirement->current->version);
	int			order = sv_version_compare(release->version,
										   retirement->release->version);

	return side < 0 ? order <= 0 : order >= 0;
}

/*
 * Jobs of versions that stay fill their columns from what the older ones have.
 */
static void
check_jobs(const Retirement *retirement, const SvRelease *retiring)
{
	SvJob	   *job = sv_jobs_needing(retirement->product, retiring);
	SvRelease  *release = job ?
	sv_catalog_release(retirement->product, job->release_id) : NULL;

	if (release == NULL || is_to_retire(retirement, release))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %s of product \"%s\" cannot be retired, version %s is not ready",
					retiring->label, retirement->product->name,
					release->label),
			 errdetail("Job %d, %s, needs what older versions have.",
					   job->id, sv_work_describe(job)),
			 errhint("Wait with SELECT schemaver.wait_until_ready(%s, %s).",
					 quote_literal_cstr(release->label),
					 quote_literal_cstr(retirement->product->name))));
}

/* the releases to retire, locked; the others are added to *staying */
static List *
lock_releases(const Retirement *retirement, List **staying)
{
	List	   *retiring = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(retirement->product, true))
	{
		SvRelease  *release = lfirst(lc);

		if (!is_to_retire(retirement, release))
			*staying = lappend(*staying, release);
		else
		{
			lock_release(retirement, release);
			check_jobs(retirement, release);
			retiring = lappend(retiring, release);
		}
	}
	return retiring;
}

/* the releases that go, or those that stay, locked or not */
static List *
releases_of(const Retirement *retirement, bool going)
{
	List	   *releases = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(retirement->product, true))
	{
		if (is_to_retire(retirement, lfirst(lc)) == going)
			releases = lappend(releases, lfirst(lc));
	}
	return releases;
}

/*
 * What can be done without a lock that anybody would notice, which may take
 * long: copies for the archive, looking for rows without a value.  Done once,
 * however often the rest has to be tried.
 */
static void
prepare(Retirement *retirement)
{
	List	   *staying = releases_of(retirement, false);
	List	   *retiring = releases_of(retirement, true);

	initStringInfo(&retirement->archived.report);
	retirement->gaps =
		list_concat(sv_require_gaps(retirement->product, staying),
					sv_shift_gaps(retirement->product, retirement->current,
								  retiring, staying));
	if (!retirement->archive && retirement->gaps == NIL)
		return;
	staying = NIL;
	retiring = lock_releases(retirement, &staying);
	if (retirement->archive)
		sv_archive_columns(retirement->product, retiring,
						   &retirement->archived);
	sv_require_look(retirement->gaps);
}

/*
 * Has a release all the columns that jobs are to make NOT NULL, as that?  What
 * else they validate matters to the current one alone.
 */
static bool
demands_all(const SvRelease *release, List *jobs)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		const SvJob *job = lfirst(lc);
		const SvEntry *entry;
		const SvPart *part;

		if (strcmp(job->kind, SV_JOB_NOTNULL) != 0)
			continue;
		entry = sv_catalog_entry_of(release, job->relid);
		part = entry ?
			sv_contract_column_at(entry, get_attnum(job->relid, job->name)) :
			NULL;
		if (part == NULL || !part->notnull)
			return false;
	}
	return true;
}

/*
 * What is left to jobs is of the oldest version that demands it: then they do
 * not rest when the product is rolled back to one that does.
 */
static void
leave_jobs(const Retirement *retirement, List *staying)
{
	const SvRelease *oldest = retirement->current;
	List	   *jobs = sv_defer_jobs();
	ListCell   *lc;

	foreach(lc, staying)
	{
		const SvRelease *release = lfirst(lc);

		if (sv_version_compare(release->version, oldest->version) < 0 &&
			demands_all(release, jobs))
			oldest = release;
	}
	sv_jobs_add_deferred(retirement->product, oldest, true);
}

/*
 * Jobs of versions that were rolled back rest for ever now; what those of older
 * ones make the newer ones have as well.
 */
static void
forget_jobs(const Retirement *retirement, List *retiring)
{
	ListCell   *lc;

	foreach(lc, retiring)
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version,
							   retirement->current->version) > 0)
			sv_jobs_forget(retirement->product, release);
	}
}

/* one try, in a subtransaction of its own */
static void
attempt(void *argument)
{
	Retirement *retirement = argument;
	List	   *staying = NIL;
	List	   *retiring = lock_releases(retirement, &staying);
	SvArchive	archived;
	int			nestlevel;

	archived.relations = list_copy(retirement->archived.relations);
	initStringInfo(&archived.report);
	appendStringInfoString(&archived.report,
						   retirement->archived.report.data);
	retirement->count = list_length(retiring);
	nestlevel = sv_contract_enter();
	sv_contract_collect_begin();
	sv_defer_begin(retirement->product, NULL);
	forget_jobs(retirement, retiring);
	sv_compat_retire(retirement->product, retiring, staying,
					 retirement->gaps,
					 retirement->archive ? &archived : NULL,
					 &retirement->needed);
	sv_shift_restore(retirement->product, retirement->current, retiring,
					 staying, retirement->gaps);
	sv_hold_settle(retirement->product);
	sv_plain_forget(retirement->product, NULL);
	sv_contract_relink(staying, false);
	leave_jobs(retirement, staying);
	(void) sv_refer_settle_all(retirement->product, false);
	(void) sv_compat_reconcile(retirement->product, staying);
	sv_publish_settle(false);
	sv_defer_end();
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
	record(retirement, archived.report.data);
}

/*
 * schemaver.retire(version, product, archive) returns integer
 */
Datum
schemaver_retire(PG_FUNCTION_ARGS)
{
	Retirement	retirement = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("retire() needs a version")));
	sv_jobs_resume();
	retirement.started = GetCurrentTimestamp();
	retirement.product =
		sv_compat_open_product(PG_ARGISNULL(1) ? NULL :
							   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	retirement.release = sv_catalog_release_of(retirement.product,
											   PG_GETARG_SVVERSION(0));
	retirement.current = sv_catalog_release(retirement.product,
											retirement.product->current);
	if (retirement.release->id == retirement.current->id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" is the current version",
						retirement.release->label, retirement.product->name),
				 errhint("Only versions that another one has replaced can be retired.")));
	if (retirement.release->retired)
	{
		ereport(NOTICE,
				(errmsg("version %s of product \"%s\" is retired already, skipping",
						retirement.release->label,
						retirement.product->name)));
		PG_RETURN_INT32(0);
	}
	retirement.archive = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	prepare(&retirement);
	sv_lock_retry(psprintf("retirement of version %s of product \"%s\"",
						   retirement.release->label,
						   retirement.product->name),
				  attempt, &retirement, &retirement.needed);
	PG_RETURN_INT32(retirement.count);
}

/*
 * Rollback
 */

static int
compare_newest_first(const ListCell *a, const ListCell *b)
{
	return sv_version_compare(((SvRelease *) lfirst(b))->version,
							  ((SvRelease *) lfirst(a))->version);
}

/* undo what scripts have done to the data, then leave a release for another */
static void
step_back(Rollback *rollback, SvRelease *from, SvRelease *to, List *undoing,
		  List *scripts)
{
	ListCell   *lr;
	ListCell   *ls;

	sv_shift_begin(rollback->product, from, to, &rollback->needed);
	forboth(lr, undoing, ls, scripts)
		sv_apply_undo(rollback->product, lfirst(lr), lfirst(ls));
	sv_shift_to(rollback->product, from, to);
	sv_shift_end(rollback->product, from, to);
}

static void
record_rollback(const Rollback *rollback)
{
	SvHistory	history = {0};

	history.product_id = rollback->product->id;
	history.product_name = rollback->product->name;
	history.action = "rollback";
	history.from = rollback->from->version;
	history.to = rollback->to->version;
	history.reason = rollback->reason;
	history.started = rollback->started;
	history.restorable = true;
	history.event = "rolled_back";
	history.outcome = psprintf("rolled back, %s stays supported",
							   rollback->from->label);
	sv_catalog_record(&history);
}

/*
 * One try, in a subtransaction of its own.  What is between here and there is
 * stopped at only where its script's rollback section is to be run, newest
 * first: it speaks of the schema that it has led to.
 */
static void
attempt_rollback(void *argument)
{
	Rollback   *rollback = argument;
	List	   *releases = sv_catalog_releases(rollback->product, false);
	SvRelease  *current = rollback->from;
	List	   *undoing = NIL;
	List	   *scripts = NIL;
	ListCell   *lc;

	rollback->product->current = current->id;
	list_sort(releases, compare_newest_first);
	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);
		SvScript   *script;

		/* one that was made after the current is rolled back already */
		if (release->id > rollback->from->id ||
			sv_version_compare(release->version,
							   rollback->from->version) > 0 ||
			sv_version_compare(release->version, rollback->to->version) <= 0)
			continue;
		script = sv_apply_undoable(rollback->product, release);
		if (script == NULL)
			continue;
		if (!release->retired && release->id != current->id)
		{
			step_back(rollback, current, release, undoing, scripts);
			undoing = scripts = NIL;
			current = release;
		}
		undoing = lappend(undoing, release);
		scripts = lappend(scripts, script);
	}
	step_back(rollback, current, rollback->to, undoing, scripts);
	record_rollback(rollback);
}

/* only a supported version that is older can become the current one */
static void
check_rollback(const Rollback *rollback)
{
	if (rollback->to->retired)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" is retired",
						rollback->to->label, rollback->product->name),
				 errdetail("What only it needed is gone."),
				 errhint("SELECT version, status FROM schemaver.versions tells which are supported.")));
	if (sv_version_compare(rollback->to->version,
						   rollback->from->version) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" is above the current version %s",
						rollback->to->label, rollback->product->name,
						rollback->from->label),
				 errhint("Apply its script again with schemaver.apply().")));
}

/*
 * schemaver.rollback(version, product, reason) returns version
 */
Datum
schemaver_rollback(PG_FUNCTION_ARGS)
{
	Rollback	rollback = {0};

	PreventCommandIfReadOnly("schemaver.rollback()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rollback() needs a version")));
	if (sv_contract_collecting())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("rollback() cannot be called by a migration's script")));
	sv_jobs_resume();
	rollback.started = GetCurrentTimestamp();
	rollback.product =
		sv_compat_open_product(PG_ARGISNULL(1) ? NULL :
							   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (!PG_ARGISNULL(2))
		rollback.reason = text_to_cstring(PG_GETARG_TEXT_PP(2));
	rollback.to = sv_catalog_release_of(rollback.product,
										PG_GETARG_SVVERSION(0));
	rollback.from = sv_catalog_release(rollback.product,
									   rollback.product->current);
	if (rollback.to->id == rollback.from->id)
	{
		ereport(NOTICE,
				(errmsg("version %s of product \"%s\" is the current version already, skipping",
						rollback.to->label, rollback.product->name)));
		PG_RETURN_DATUM(SvVersionGetDatum(rollback.to->version));
	}
	check_rollback(&rollback);
	sv_jobs_stop(rollback.product);
	sv_lock_retry(psprintf("rollback of product \"%s\" to version %s",
						   rollback.product->name, rollback.to->label),
				  attempt_rollback, &rollback, &rollback.needed);
	PG_RETURN_DATUM(SvVersionGetDatum(rollback.to->version));
}
