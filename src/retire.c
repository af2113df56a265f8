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

#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(schemaver_retire);

/* one call of retire() */
typedef struct Retirement
{
	SvProduct  *product;
	SvRelease  *release;		/* the newest that is to go */
	TimestampTz started;
	int			count;			/* how many went */
} Retirement;

/* the release of exactly that version, of whatever spelling */
static SvRelease *
find_release(const SvProduct *product, const SvVersion *version)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(product, false))
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version, version) == 0)
			return release;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("version %s of product \"%s\" does not exist",
					sv_version_text(version), product->name),
			 errhint("SELECT version, status FROM schemaver.versions tells which there are.")));
}

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
record(const Retirement *retirement)
{
	SvHistory	history = {0};

	history.product_id = retirement->product->id;
	history.product_name = retirement->product->name;
	history.action = "retire";
	history.to = retirement->release->version;
	history.started = retirement->started;
	history.outcome = psprintf("retired with all older, %d in all",
							   retirement->count);
	sv_catalog_record(&history);
}

/* one try, in a subtransaction of its own */
static void
attempt(void *argument)
{
	Retirement *retirement = argument;
	List	   *retiring = NIL;
	List	   *staying = NIL;
	int			nestlevel;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(retirement->product, true))
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version,
							   retirement->release->version) > 0)
			staying = lappend(staying, release);
		else
		{
			lock_release(retirement, release);
			retiring = lappend(retiring, release);
		}
	}
	retirement->count = list_length(retiring);
	nestlevel = sv_contract_enter();
	sv_contract_collect_begin();
	sv_compat_retire(retirement->product, retiring, staying);
	sv_contract_relink(staying, false);
	(void) sv_compat_reconcile(retirement->product, staying);
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
	record(retirement);
}

/*
 * schemaver.retire(version, product) returns integer
 */
Datum
schemaver_retire(PG_FUNCTION_ARGS)
{
	Retirement	retirement = {0};
	SvRelease  *current;
	List	   *needed = NIL;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("retire() needs a version")));
	retirement.started = GetCurrentTimestamp();
	retirement.product =
		sv_compat_open_product(PG_ARGISNULL(1) ? NULL :
							   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	retirement.release = find_release(retirement.product,
									  PG_GETARG_SVVERSION(0));
	current = sv_catalog_release(retirement.product,
								 retirement.product->current);
	if (sv_version_compare(retirement.release->version,
						   current->version) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" is not below the current version %s",
						retirement.release->label, retirement.product->name,
						current->label),
				 errhint("Only versions that a newer one has replaced can be retired.")));
	if (retirement.release->retired)
	{
		ereport(NOTICE,
				(errmsg("version %s of product \"%s\" is retired already, skipping",
						retirement.release->label,
						retirement.product->name)));
		PG_RETURN_INT32(0);
	}
	sv_lock_retry(psprintf("retirement of version %s of product \"%s\"",
						   retirement.release->label,
						   retirement.product->name),
				  attempt, &retirement, &needed);
	PG_RETURN_INT32(retirement.count);
}
