/*-------------------------------------------------------------------------
 *
 * drain.c
 *	  Wait until nobody is live under old versions.
 *
 * The waiter stands in line for the lock of one instance after the other,
 * until none is left.  So whatever ends an instance wakes it, a crash of the
 * client too; it can be cancelled like any wait for a lock, pg_locks and
 * pg_blocking_pids() tell whom it waits for, and deadlocks are found.
 * registry.c sees to it that nobody who registers stands behind it.
 *
 * A transaction that has changed something may hold locks that the very
 * instances need to come to their end, so it is refused.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(schemaver_wait_for_drain);

/* one call of wait_for_drain() */
typedef struct Drain
{
	SvProduct  *product;
	SvRelease  *release;		/* the newest that is to drain */
	List	   *releases;		/* it and the older ones */
	Interval   *timeout;		/* or NULL */
	TimestampTz give_up;		/* when the timeout is over */
} Drain;

/* the releases that are to drain; this session must not be among them */
static List *
draining_releases(const Drain *drain)
{
	List	   *releases = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(drain->product, true))
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version,
							   drain->release->version) > 0)
			continue;
		if (sv_registry_is_mine(release))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("this session itself is registered under version %s of product \"%s\"",
							release->label, drain->product->name),
					 errhint("Call schemaver.unregister() first, or wait in a session that is not registered.")));
		releases = lappend(releases, release);
	}
	return releases;
}

/* "version 1.0.0 (process 12), version 1.1.0 (processes 7, 9)" */
static char *
live_sessions(const Drain *drain)
{
	StringInfoData list;
	ListCell   *lc;
	ListCell   *lp;

	initStringInfo(&list);
	foreach(lc, drain->releases)
	{
		SvRelease  *release = lfirst(lc);
		List	   *processes = sv_registry_processes(release);

		foreach(lp, processes)
		{
			if (foreach_current_index(lp) > 0)
				appendStringInfoString(&list, ", ");
			else
				appendStringInfo(&list, "%sversion %s (%s ",
								 list.len ? ", " : "", release->label,
								 list_length(processes) > 1 ? "processes" :
								 "process");
			appendStringInfo(&list, "%d", lfirst_int(lp));
		}
		if (processes != NIL)
			appendStringInfoChar(&list, ')');
	}
	return list.data;
}

static void
report_timeout(const Drain *drain)
{
	char	   *live = live_sessions(drain);

	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("version %s of product \"%s\" has not drained after %s",
					drain->release->label, drain->product->name,
					DatumGetCString(DirectFunctionCall1(interval_out,
														IntervalPGetDatum(drain->timeout)))),
			 live[0] ? errdetail("Still live: %s.", live) : 0,
			 errhint("Stop these instances, SELECT * FROM schemaver.instances tells whose they are; then call schemaver.wait_for_drain() again.")));
}

/*
 * Let the next wait for a lock end with the timeout, not with the session's
 * lock_timeout.  What is longer than that can be, 24 days, is no limit.
 */
static void
limit_wait(long ms)
{
	char		value[32];

	snprintf(value, sizeof(value), "%ld", ms > INT_MAX ? 0 : ms);
	(void) set_config_option("lock_timeout", value, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* wait for one instance after the other; false if the time is over */
static bool
wait_for_instances(const Drain *drain)
{
	int			nestlevel = NewGUCNestLevel();
	LOCKTAG		instance;

	while (sv_registry_find_live(drain->releases, &instance))
	{
		long		remaining = 0;

		if (drain->timeout)
		{
			remaining = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														drain->give_up);
			if (remaining == 0)
				return false;
		}
		limit_wait(remaining);
		sv_registry_wait_for(&instance);
	}
	AtEOXact_GUC(false, nestlevel);
	return true;
}

/* the same, with an error of our own where the time is over */
static void
wait_until_drained(const Drain *drain)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool drained = false;

	PG_TRY();
	{
		drained = wait_for_instances(drain);
	}
	PG_CATCH();
	{
		ErrorData  *problem;

		MemoryContextSwitchTo(context);
		problem = CopyErrorData();
		FlushErrorState();
		if (drain->timeout == NULL ||
			problem->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(problem);
	}
	PG_END_TRY();
	if (!drained)
		report_timeout(drain);
}

/* when to give up; fills in the timeout */
static void
set_timeout(Drain *drain, Interval *timeout)
{
	TimestampTz now = GetCurrentTimestamp();

	drain->timeout = timeout;
	drain->give_up =
		DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												TimestampTzGetDatum(now),
												IntervalPGetDatum(timeout)));
	if (drain->give_up < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative"),
				 errhint("Leave it out to wait as long as it takes.")));
}

/*
 * schemaver.wait_for_drain(version, product, timeout)
 */
Datum
schemaver_wait_for_drain(PG_FUNCTION_ARGS)
{
	Drain		drain = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("wait_for_drain() needs a version")));
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("wait_for_drain() cannot be called in a transaction that has changed something"),
				 errdetail("The instances that it waits for may need what the transaction has locked."),
				 errhint("Commit first.")));
	sv_jobs_resume();
	if (!PG_ARGISNULL(2))
		set_timeout(&drain, PG_GETARG_INTERVAL_P(2));
	drain.product = sv_catalog_product(PG_ARGISNULL(1) ? NULL :
									   text_to_cstring(PG_GETARG_TEXT_PP(1)),
									   false);
	drain.release = sv_catalog_release_of(drain.product,
										  PG_GETARG_SVVERSION(0));
	drain.releases = draining_releases(&drain);
	wait_until_drained(&drain);
	PG_RETURN_VOID();
}
