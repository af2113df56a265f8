/*-------------------------------------------------------------------------
 *
 * jobs.c
 *	  Background work that a migration leaves: the queue, and who works on it.
 *
 * A job is a row of db_job, written by the migration; work.c does it.  Jobs of
 * one relation run one after the other, in the order of their ids, and behind
 * a failed one the others wait; jobs of several relations run beside each
 * other, but what replaces a constraint, which may refer to another relation,
 * waits for all that was to be done before.  Who does a job holds the
 * relation's lock and the job's.  A job that "runs" and whose lock nobody
 * holds was interrupted, and is taken up again.
 *
 * The jobs of a version that was rolled back rest: the columns that they speak
 * of are put away.  They go on when it is the current one again.
 *
 * The workers are dynamic background workers.  They are launched when the
 * migration has committed, take whatever is to be done, and end when nothing
 * is.  They die with the server, and at times by themselves; so whoever calls
 * a function of schemaver launches new ones if there is something that nobody
 * does.  A server that preloads the library has a launcher besides, which
 * looks into each database when the server starts.
 *
 * schemaver.run_jobs() does the same in the caller's session.  It ends the
 * caller's transaction, as VACUUM does, hence it must not be within another
 * one, nor in a procedural language, which would lose its own surroundings.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/heapam.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define MOMENT_MS			100
#define RELAUNCH_MS			1000
#define MOST_WORKERS		64
#define LAUNCHER_RESTART_S	60

PG_FUNCTION_INFO_V1(schemaver_retry);
PG_FUNCTION_INFO_V1(schemaver_cancel);
PG_FUNCTION_INFO_V1(schemaver_run_jobs);
PG_FUNCTION_INFO_V1(schemaver_wait_until_ready);

extern PGDLLEXPORT void sv_jobs_worker_main(Datum database);
extern PGDLLEXPORT void sv_jobs_scout_main(Datum database);
extern PGDLLEXPORT void sv_jobs_launcher_main(Datum argument);

static int	job_workers = 2;

/* how many workers to launch when the transaction commits */
static int	launch_at_commit = 0;

/* when this process last launched any without being told to */
static TimestampTz last_launch = 0;

/*
 * Locks
 */

static bool
try_lock(uint32 id, SvJobLock of)
{
	LOCKTAG		tag;

	sv_work_set_tag(&tag, id, of);
	return LockAcquire(&tag, ExclusiveLock, true, true) !=
		LOCKACQUIRE_NOT_AVAIL;
}

static void
unlock(uint32 id, SvJobLock of)
{
	LOCKTAG		tag;

	sv_work_set_tag(&tag, id, of);
	LockRelease(&tag, ExclusiveLock, true);
}

/* the process that holds such a lock, 0 if nobody does */
static int
holder_of(const LockData *data, uint32 id, SvJobLock of)
{
	for (int i = 0; i < data->nelements; i++)
	{
		const LockInstanceData *lock = &data->locks[i];

		if (lock->locktag.locktag_type == LOCKTAG_USERLOCK &&
			lock->locktag.locktag_field1 == MyDatabaseId &&
			lock->locktag.locktag_field2 == id &&
			lock->locktag.locktag_field3 == (uint32) of &&
			lock->locktag.locktag_field4 == SV_LOCK_JOB &&
			(lock->holdMask & LOCKBIT_ON(ExclusiveLock)) != 0)
			return lock->pid;
	}
	return 0;
}

/*
 * What there is to do
 */

static const SvProduct *
product_of(List *products, const SvJob *job)
{
	ListCell   *lc;

	foreach(lc, products)
	{
		if (((SvProduct *) lfirst(lc))->id == job->product_id)
			return lfirst(lc);
	}
	return NULL;
}

/* does a job rest, since its version was rolled back? */
static bool
is_resting(const SvProduct *product, const SvJob *job)
{
	const SvRelease *release = sv_catalog_release(product, job->release_id);
	const SvRelease *current = sv_catalog_release(product, product->current);

	return release && current &&
		sv_version_compare(release->version, current->version) > 0;
}

/* is the product's data where its contracts say, as after a restore not? */
static bool
is_ripe(List *products, const SvJob *job)
{
	const SvProduct *product = product_of(products, job);

	return product && product->awake;
}

/* is it to wait for another relation's jobs? */
static bool
waits_for(const SvJob *job, const SvJob *earlier)
{
	return (strcmp(job->kind, SV_JOB_REPLACE) == 0 ||
			strcmp(job->kind, SV_JOB_REFRESH) == 0) &&
		job->product_id == earlier->product_id;
}

/* jobs of a relation that is gone have each other to wait for */
static uint32
relation_key(SvJob *job)
{
	return (uint32) sv_work_find_relation(job);
}

static bool
is_failed(const SvJob *job)
{
	return strcmp(job->state, SV_JOB_FAILED) == 0;
}

/* unfinished jobs but those that rest, which nothing waits for */
static List *
waking_jobs(List *products)
{
	List	   *jobs = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_jobs())
	{
		const SvProduct *product = product_of(products, lfirst(lc));

		if (product == NULL || !is_resting(product, lfirst(lc)))
			jobs = lappend(jobs, lfirst(lc));
	}
	return jobs;
}

/*
 * The first unfinished job of each relation, unless it has failed: a list of
 * SvJob.  With product_id 0 of all products.
 */
static List *
runnable_jobs(int32 product_id)
{
	List	   *products = sv_catalog_products();
	List	   *jobs = waking_jobs(products);
	List	   *seen = NIL;
	List	   *runnable = NIL;
	ListCell   *lc;

	foreach(lc, jobs)
	{
		SvJob	   *job = lfirst(lc);
		Oid			key = relation_key(job);
		bool		waits = list_member_oid(seen, key);

		/* what nobody waits for holds nothing up for ever */
		if (is_failed(job) && sv_work_restores(job))
			continue;

		for (int i = 0; !waits && i < foreach_current_index(lc); i++)
			waits = !(is_failed(list_nth(jobs, i)) &&
					  sv_work_restores(list_nth(jobs, i))) &&
				waits_for(job, list_nth(jobs, i));
		seen = lappend_oid(seen, key);
		if (!waits && !is_failed(job) && is_ripe(products, job) &&
			(product_id == 0 || job->product_id == product_id))
			runnable = lappend(runnable, job);
	}
	return runnable;
}

/* is a job still to be done, and the first of its relation? */
static bool
still_runnable(const SvJob *job, int32 product_id)
{
	ListCell   *lc;

	foreach(lc, runnable_jobs(product_id))
	{
		if (((SvJob *) lfirst(lc))->id == job->id)
			return true;
	}
	return false;
}

static void
give_up(uint32 relation, uint32 job)
{
	unlock(job, SV_JOB_LOCK_JOB);
	unlock(relation, SV_JOB_LOCK_RELATION);
}

/* take the locks of a job; false if somebody else does it or its relation's */
static bool
try_take(int32 id, uint32 relation)
{
	if (!try_lock(relation, SV_JOB_LOCK_RELATION))
		return false;
	if (try_lock((uint32) id, SV_JOB_LOCK_JOB))
		return true;
	unlock(relation, SV_JOB_LOCK_RELATION);
	return false;
}

/*
 * Take a job that can be done and that nobody does, with its locks, and set
 * *relation to what to unlock with it.  Returns its id, 0 if there is none;
 * then *other is a job that somebody else does, or 0.
 *
 * Who did it may have ended between the look and the lock: then look again.
 */
static int32
take_job(int32 product_id, uint32 *relation, int32 *other)
{
	bool		changed = true;
	ListCell   *lc;

	while (changed)
	{
		changed = false;
		*other = 0;
		foreach(lc, runnable_jobs(product_id))
		{
			SvJob	   *job = lfirst(lc);

			*relation = relation_key(job);
			if (!try_take(job->id, *relation))
			{
				*other = job->id;
				continue;
			}
			if (still_runnable(job, product_id))
				return job->id;
			give_up(*relation, (uint32) job->id);
			changed = true;
		}
	}
	return 0;
}

/*
 * Launching workers
 */

static void
describe_worker(BackgroundWorker *worker, const char *function, Oid database,
				const char *what)
{
	memset(worker, 0, sizeof(BackgroundWorker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, SV_SCHEMA, BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker->bgw_type, what, BGW_MAXLEN);
	snprintf(worker->bgw_name, BGW_MAXLEN, "%s, database %u", what, database);
	worker->bgw_main_arg = ObjectIdGetDatum(database);
}

/* never fails; what could not be launched is launched another time */
static void
launch_workers(int n)
{
	BackgroundWorker worker;

	describe_worker(&worker, "sv_jobs_worker_main", MyDatabaseId,
					"schemaver jobs");
	memcpy(worker.bgw_extra, &job_workers, sizeof(job_workers));
	for (int i = 0; i < n; i++)
	{
		if (RegisterDynamicBackgroundWorker(&worker, NULL))
			continue;
		ereport(LOG,
				(errmsg("no background worker is free for the jobs of database %u",
						MyDatabaseId),
				 errhint("Raise max_worker_processes, or run CALL schemaver.run_jobs().")));
		break;
	}
}

/* how many jobs could be done and nobody does */
static int
count_idle(const LockData *data)
{
	int			idle = 0;
	ListCell   *lc;

	foreach(lc, runnable_jobs(0))
	{
		if (holder_of(data, relation_key(lfirst(lc)),
					  SV_JOB_LOCK_RELATION) == 0)
			idle++;
	}
	return idle;
}

/*
 * Launch workers if there are jobs that nobody does.  Costs one look into an
 * index where there are none.  Needs a transaction.
 */
void
sv_jobs_resume(void)
{
	TimestampTz now = GetCurrentTimestamp();
	LockData   *data;
	int			idle;
	int			busy = 0;

	if (job_workers == 0 || RecoveryInProgress() || IsInParallelMode() ||
		!TimestampDifferenceExceeds(last_launch, now, RELAUNCH_MS) ||
		!sv_catalog_has_jobs())
		return;
	data = GetLockStatusData();
	idle = count_idle(data);
	for (int i = 1; i <= job_workers; i++)
		busy += holder_of(data, i, SV_JOB_LOCK_WORKER) != 0;
	if (idle == 0 || busy >= job_workers)
		return;
	last_launch = now;
	launch_workers(Min(idle, job_workers - busy));
}

/* interrupt who does a job; a worker ends, a session goes on without it */
static void
interrupt(int pid)
{
	PGPROC	   *process = BackendPidGetProc(pid);

	if (process && pid != MyProcPid)
		(void) kill(pid, process->isBackgroundWorker ? SIGTERM : SIGINT);
}

/*
 * See to it that somebody looks for jobs when the transaction has committed.
 */
void
sv_jobs_look_again(void)
{
	if (sv_catalog_has_jobs())
		launch_at_commit = job_workers;
}

static void
stop(SvJob *job)
{
	LOCKTAG		tag;

	interrupt(holder_of(GetLockStatusData(), (uint32) job->id,
						SV_JOB_LOCK_JOB));
	sv_work_set_tag(&tag, relation_key(job), SV_JOB_LOCK_RELATION);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/*
 * Have nobody work on the jobs of a product until the transaction ends: who
 * does is interrupted, and the job stays where it is.
 */
void
sv_jobs_stop(const SvProduct *product)
{
	ListCell   *lc;

	sv_jobs_look_again();
	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		if (((SvJob *) lfirst(lc))->product_id == product->id)
			stop(lfirst(lc));
	}
}

/*
 * The first job still to be done, of a version after a release, that needs
 * what the release has; NULL if there is none.
 */
SvJob *
sv_jobs_needing(const SvProduct *product, const SvRelease *release)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);
		SvRelease  *later = job->product_id == product->id ?
		sv_catalog_release(product, job->release_id) : NULL;

		if (later && !job->late && strcmp(job->kind, SV_JOB_VALIDATE) != 0 &&
			strcmp(job->kind, SV_JOB_REFRESH) != 0 &&
			sv_version_compare(later->version, release->version) > 0)
			return job;
	}
	return NULL;
}

/*
 * Leave a job behind the transaction: store it, which sets its id, and launch
 * a worker if the transaction commits.  The caller fills in product, release,
 * kind, relid, name, and what else the kind has.
 */
static void
add_job(SvJob *job)
{
	if (!OidIsValid(sv_work_find_relation(job)))
		elog(ERROR, "a job's relation does not exist");
	job->state = SV_JOB_QUEUED;
	sv_catalog_create_job(job);
	launch_at_commit = Min(launch_at_commit + 1, job_workers);
}

/*
 * Leave what the migration has deferred as jobs of a release, which is ready
 * without them if they are late.
 */
void
sv_jobs_add_deferred(const SvProduct *product, const SvRelease *release,
					 bool late)
{
	ListCell   *lc;

	foreach(lc, sv_defer_jobs())
	{
		SvJob	   *job = lfirst(lc);

		job->product_id = product->id;
		job->release_id = release->id;
		job->late |= late;
		add_job(job);
	}
}

static void
cancel(SvJob *job)
{
	job->state = SV_JOB_CANCELLED;
	job->finished = GetCurrentTimestamp();
	sv_catalog_update_job(job);
}

/*
 * A release that was rolled back is retired: nobody waits for its jobs any
 * more.
 */
void
sv_jobs_forget(const SvProduct *product, const SvRelease *release)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (job->product_id == product->id && job->release_id == release->id)
			cancel(job);
	}
}

/*
 * Another version becomes the current one: what was to be restored for the
 * one before need not be there any more.  Who works on that is interrupted.
 * Returns these jobs: a list of SvJob.
 */
List *
sv_jobs_forget_restoring(const SvProduct *product)
{
	List	   *forgotten = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (job->product_id != product->id || !sv_work_restores(job))
			continue;
		stop(job);
		cancel(job);
		forgotten = lappend(forgotten, job);
	}
	return forgotten;
}

static void
end_transaction(XactEvent event, void *arg)
{
	int			n = launch_at_commit;

	(void) arg;
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	launch_at_commit = 0;
	if (event == XACT_EVENT_COMMIT && n > 0)
		launch_workers(n);
}

/*
 * Readiness
 */

/* the product of a release, by way of the jobs that there are */
static List *
pending_jobs(int32 release_id)
{
	ListCell   *lc;

	if (!sv_catalog_has_jobs())
		return NIL;
	foreach(lc, sv_catalog_products())
	{
		SvProduct  *product = lfirst(lc);
		SvRelease  *release = sv_catalog_release(product, release_id);

		if (release)
			return sv_work_pending(product, release);
	}
	return NIL;
}

/* may the user see what is in a relation, and so what an error tells of it? */
static bool
may_read(SvJob *job)
{
	Oid			relation = sv_work_find_relation(job);

	return OidIsValid(relation) &&
		pg_class_aclcheck(relation, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

/* "job 3, backfill of public.person, has failed: row with ..." */
static char *
failed_text(List *jobs)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		SvJob	   *job = lfirst(lc);
		bool		readable;

		if (!is_failed(job))
			continue;
		readable = job->error && may_read(job);
		return psprintf("Job %d, %s, has failed%s%s.", job->id,
						sv_work_describe(job), readable ? ": " : "",
						readable ? job->error : "");
	}
	return NULL;
}

/*
 * The jobs of a release, and of versions before it, that are not finished and
 * without which it is not ready.  Cheap where there is none at all.
 */
static List *
needed_jobs(int32 release_id)
{
	List	   *needed = NIL;
	ListCell   *lc;

	foreach(lc, pending_jobs(release_id))
	{
		if (!((SvJob *) lfirst(lc))->late)
			needed = lappend(needed, lfirst(lc));
	}
	return needed;
}

static void
report_resting(const SvProduct *product, const SvRelease *release)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %s of product \"%s\" is not ready",
					release->label, product->name),
			 errdetail("It was rolled back before its jobs were done."),
			 errhint("Apply its script again with schemaver.apply(): they go on from where they were.")));
}

/*
 * An error if a release is not ready; sees to it that it will be.
 */
void
sv_jobs_check_ready(const SvProduct *product, const SvRelease *release)
{
	List	   *jobs;
	char	   *failed;

	if (!sv_catalog_has_jobs())
		return;
	sv_jobs_resume();
	jobs = needed_jobs(release->id);
	if (jobs == NIL)
		return;
	if (is_resting(product, linitial(jobs)))
		report_resting(product, release);
	failed = failed_text(jobs);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %s of product \"%s\" is not ready",
					release->label, product->name),
			 failed ? errdetail("%s", failed) :
			 errdetail("Jobs that it needs are not done; the view schemaver.jobs tells how far they are."),
			 failed ? errhint("Mend what it says, and call schemaver.retry() with the job's number.") :
			 errhint("Wait with SELECT schemaver.wait_until_ready(%s, %s).",
					 quote_literal_cstr(release->label),
					 quote_literal_cstr(product->name))));
}

/* one call of wait_until_ready() */
typedef struct Wait
{
	SvProduct  *product;
	SvRelease  *release;
	Interval   *timeout;		/* or NULL */
	TimestampTz give_up;		/* when the timeout is over */
} Wait;

/* milliseconds that are left; -1: no limit */
static long
remaining(const Wait *wait)
{
	if (wait->timeout == NULL)
		return -1;
	return TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
										   wait->give_up);
}

/* is the version ready, but for what jobs have yet to do? */
static bool
are_late(List *jobs)
{
	ListCell   *lc;

	foreach(lc, jobs)
	{
		if (!((SvJob *) lfirst(lc))->late)
			return false;
	}
	return true;
}

static void
report_timeout(const Wait *wait, List *jobs)
{
	SvJob	   *job = linitial(jobs);

	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg(are_late(jobs) ?
					"jobs of version %s of product \"%s\" are not done after %s" :
					"version %s of product \"%s\" is not ready after %s",
					wait->release->label, wait->product->name,
					DatumGetCString(DirectFunctionCall1(interval_out,
														IntervalPGetDatum(wait->timeout)))),
			 errdetail_plural("%d job is not done: job %d, %s, is %s.",
							  "%d jobs are not done, first of them job %d, %s, which is %s.",
							  list_length(jobs), list_length(jobs), job->id,
							  sv_work_describe(job), job->state),
			 errhint("Call schemaver.wait_until_ready() again, or run the jobs in this session with CALL schemaver.run_jobs().")));
}

/* does somebody wait for the end of this transaction? */
static bool
is_waited_for(const LockData *data, const VirtualTransactionId *mine, int pid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_VIRTUALTRANSACTION(tag, *mine);
	for (int i = 0; i < data->nelements; i++)
	{
		const LockInstanceData *lock = &data->locks[i];

		if (lock->pid == pid && lock->waitLockMode != NoLock &&
			memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0)
			return true;
	}
	return false;
}

/*
 * Who builds an index for the job may have looked for older snapshots before
 * be_waited_for() said to leave this one out.  He waits for the transaction's
 * end then, and this waits for his.  The call is all that there is of the
 * transaction, and reads no table but the extension's own: so the end is
 * feigned, for those who wait now.
 */
static void
let_pass(const LockData *data, int pid)
{
	VirtualTransactionId mine;

	GET_VXID_FROM_PGPROC(mine, *MyProc);
	if (IsTransactionBlock() || IsSubTransaction() ||
		!is_waited_for(data, &mine, pid))
		return;
	VirtualXactLockTableCleanup();
	VirtualXactLockTableInsert(mine);
}

/*
 * Wait for the end of a job that somebody does, at most that long; false if
 * nobody does it.
 */
static bool
wait_for_job(int32 id, long ms)
{
	LockData   *data = GetLockStatusData();
	int			holder = holder_of(data, (uint32) id, SV_JOB_LOCK_JOB);
	int			nestlevel;
	LOCKTAG		tag;
	char		value[32];

	if (holder == 0)
		return false;
	let_pass(data, holder);
	nestlevel = NewGUCNestLevel();
	snprintf(value, sizeof(value), "%ld",
			 ms < 0 || ms > INT_MAX ? 0 : Max(ms, 1));
	(void) set_config_option("lock_timeout", value, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	sv_work_set_tag(&tag, (uint32) id, SV_JOB_LOCK_JOB);
	(void) LockAcquire(&tag, ShareLock, false, false);
	LockRelease(&tag, ShareLock, false);
	AtEOXact_GUC(false, nestlevel);
	return true;
}

/* one wait; false if it ended by the timeout */
static bool
wait_a_turn(const Wait *wait, const SvJob *job)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool in_time = true;
	long		ms = remaining(wait);

	PG_TRY();
	{
		if (!wait_for_job(job->id, ms))
		{
			sv_jobs_resume();
			sv_lock_pause(ms < 0 ? MOMENT_MS : Min(ms, MOMENT_MS));
		}
	}
	PG_CATCH();
	{
		ErrorData  *problem;

		MemoryContextSwitchTo(context);
		problem = CopyErrorData();
		FlushErrorState();
		if (wait->timeout == NULL ||
			problem->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(problem);
		in_time = false;
	}
	PG_END_TRY();
	return in_time;
}

/*
 * CREATE INDEX CONCURRENTLY waits for every transaction with an older
 * snapshot, hence for who waits for it.  This one uses no index that is not
 * there yet, as one that builds an index itself: so it says the same.
 */
static void
be_waited_for(bool on)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	if (on)
		MyProc->statusFlags |= PROC_IN_SAFE_IC;
	else
		MyProc->statusFlags &= ~PROC_IN_SAFE_IC;
	ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
	LWLockRelease(ProcArrayLock);
}

static void
wait_until_ready(const Wait *wait)
{
	List	   *jobs;

	while ((jobs = sv_work_pending(wait->product, wait->release)) != NIL)
	{
		char	   *failed = failed_text(jobs);

		if (is_resting(wait->product, linitial(jobs)))
			report_resting(wait->product, wait->release);
		if (failed)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg(are_late(jobs) ?
							"not all jobs of version %s of product \"%s\" can be done" :
							"version %s of product \"%s\" does not become ready",
							wait->release->label, wait->product->name),
					 errdetail("%s", failed),
					 errhint("Mend what it says, and call schemaver.retry() with the job's number.")));
		if (remaining(wait) == 0 || !wait_a_turn(wait, linitial(jobs)))
			report_timeout(wait, jobs);
	}
}

/* when to give up; fills in the timeout */
static void
set_timeout(Wait *wait, Interval *timeout)
{
	TimestampTz now = GetCurrentTimestamp();

	wait->timeout = timeout;
	wait->give_up =
		DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												TimestampTzGetDatum(now),
												IntervalPGetDatum(timeout)));
	if (wait->give_up < now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative"),
				 errhint("Leave it out to wait as long as it takes.")));
}

/* a transaction that jobs might wait for, or that sees an old database */
static void
check_wait(void)
{
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("wait_until_ready() cannot be called in a transaction that has changed something"),
				 errdetail("The jobs that it waits for may need what the transaction has locked."),
				 errhint("Commit first.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("wait_until_ready() cannot be called in a transaction of isolation level REPEATABLE READ or SERIALIZABLE"),
				 errdetail("The jobs that it waits for may wait for the end of the transaction."),
				 errhint("Use READ COMMITTED.")));
}

/*
 * schemaver.wait_until_ready(version, product, timeout)
 */
Datum
schemaver_wait_until_ready(PG_FUNCTION_ARGS)
{
	Wait		wait = {0};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("wait_until_ready() needs a version")));
	check_wait();
	if (!PG_ARGISNULL(2))
		set_timeout(&wait, PG_GETARG_INTERVAL_P(2));
	wait.product = sv_catalog_product(PG_ARGISNULL(1) ? NULL :
									  text_to_cstring(PG_GETARG_TEXT_PP(1)),
									  false);
	wait.release = sv_catalog_release_of(wait.product,
										 PG_GETARG_SVVERSION(0));
	be_waited_for(true);
	PG_TRY();
	{
		wait_until_ready(&wait);
	}
	PG_FINALLY();
	{
		be_waited_for(false);
	}
	PG_END_TRY();
	PG_RETURN_VOID();
}

/*
 * retry and cancel
 */

/* the job of a call, its row locked until the transaction ends */
static SvJob *
open_job(int32 id)
{
	SvJob	   *job;

	sv_work_lock_row(id);
	job = sv_catalog_job(id);
	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job %d does not exist", id),
				 errhint("SELECT job, state FROM schemaver.jobs lists them.")));
	return job;
}

static void
queue_again(SvJob *job)
{
	job->state = SV_JOB_QUEUED;
	job->error = NULL;
	job->finished = 0;
	sv_catalog_update_job(job);
}

/* append the names of the columns that a text of a job speaks of */
static bool
note_columns(Node *node, List **names)
{
	if (node == NULL)
		return false;
	if (IsA(node, IndexElem) && ((IndexElem *) node)->name)
		*names = lappend(*names, makeString(((IndexElem *) node)->name));
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		if (IsA(last, String))
			*names = lappend(*names, last);
		return false;
	}
	return raw_expression_tree_walker(node, note_columns, names);
}

static List *
columns_of_index(const char *text)
{
	IndexStmt  *statement =
	castNode(IndexStmt, linitial_node(RawStmt,
									  raw_parser(text,
												 RAW_PARSE_DEFAULT))->stmt);
	List	   *names = NIL;

	(void) note_columns((Node *) statement->indexParams, &names);
	(void) note_columns((Node *) statement->indexIncludingParams, &names);
	(void) note_columns(statement->whereClause, &names);
	return names;
}

static List *
columns_of_constraint(const char *text)
{
	List	   *raw = raw_parser(psprintf("ALTER TABLE t ADD %s", text),
								 RAW_PARSE_DEFAULT);
	AlterTableStmt *alter =
	castNode(AlterTableStmt, linitial_node(RawStmt, raw)->stmt);
	Constraint *constraint =
	castNode(Constraint, linitial_node(AlterTableCmd, alter->cmds)->def);
	List	   *names = list_concat(list_copy(constraint->keys),
									constraint->fk_attrs);
	ListCell   *lc;

	(void) note_columns(constraint->raw_expr, &names);
	(void) note_columns(constraint->where_clause, &names);
	foreach(lc, constraint->exclusions)
		(void) note_columns(linitial(lfirst(lc)), &names);
	return names;
}

/* the job that was to build the index which another one gives its name */
static SvJob *
builder_of(const SvJob *attach)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_all_jobs())
	{
		SvJob	   *job = lfirst(lc);

		if (job->product_id == attach->product_id &&
			job->release_id == attach->release_id &&
			strcmp(job->kind, SV_JOB_INDEX) == 0 &&
			strcmp(job->name, attach->condition) == 0)
			return job;
	}
	return NULL;
}

/* what a job calls the columns that it is for: String */
static List *
target_columns(const SvJob *job)
{
	SvJob	   *builder;

	if (strcmp(job->kind, SV_JOB_BACKFILL) == 0 ||
		strcmp(job->kind, SV_JOB_NOTNULL) == 0 ||
		strcmp(job->kind, SV_JOB_RELAX) == 0)
		return list_make1(makeString(job->name));
	if (strcmp(job->kind, SV_JOB_INDEX) == 0)
		return columns_of_index(job->text);
	if (strcmp(job->kind, SV_JOB_ATTACH) == 0 && job->condition)
	{
		builder = builder_of(job);
		return builder ? columns_of_index(builder->text) : NIL;
	}
	if ((strcmp(job->kind, SV_JOB_ATTACH) == 0 ||
		 strcmp(job->kind, SV_JOB_REPLACE) == 0) && job->text)
		return columns_of_constraint(job->text);
	return NIL;
}

/*
 * The columns that a job is for must not have been put away since.  What of
 * their constraints has gone a job that validates finds out itself.
 */
static void
check_target(SvJob *job)
{
	Oid			relation = sv_work_find_relation(job);
	ListCell   *lc;

	foreach(lc, OidIsValid(relation) ? target_columns(job) : NIL)
	{
		char	   *column = strVal(lfirst(lc));
		AttrNumber	number = sv_defer_column_of(job, relation, column);
		char	   *name = number == InvalidAttrNumber ? column :
		get_attname(relation, number, true);

		if (name && strcmp(name, column) == 0)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %d, %s, cannot be tried again", job->id,
						sv_work_describe(job)),
				 errdetail("The current version does not have the column \"%s\" any more.",
						   column)));
	}
}

/* what a version that was rolled back and retired needed nobody does */
static void
check_release(const SvJob *job)
{
	SvProduct  *product = sv_catalog_product_by_id(job->product_id);
	SvRelease  *release = sv_catalog_release(product, job->release_id);
	SvRelease  *current = sv_catalog_release(product, product->current);

	if (release == NULL || !release->retired || current == NULL ||
		sv_version_compare(release->version, current->version) <= 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("job %d, %s, cannot be tried again", job->id,
					sv_work_describe(job)),
			 errdetail("Version %s, which it is for, was rolled back and retired.",
					   release->label)));
}

/*
 * What was to give an index its name has found none, and is done: it is to be
 * done again when the index is built after all.
 */
static void
queue_attach(const SvJob *index)
{
	ListCell   *lc;

	foreach(lc, index->condition && strcmp(index->kind, SV_JOB_INDEX) == 0 ?
			sv_catalog_all_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (job->finished == 0 || job->product_id != index->product_id ||
			job->release_id != index->release_id ||
			strcmp(job->kind, SV_JOB_ATTACH) != 0 ||
			job->condition == NULL ||
			strcmp(job->condition, index->name) != 0)
			continue;
		sv_work_lock_row(job->id);
		queue_again(job);
	}
}

/*
 * schemaver.retry(job): run a job again that has failed or was cancelled
 */
Datum
schemaver_retry(PG_FUNCTION_ARGS)
{
	SvJob	   *job;

	PreventCommandIfReadOnly("schemaver.retry()");
	job = open_job(PG_GETARG_INT32(0));
	if (!is_failed(job) && strcmp(job->state, SV_JOB_CANCELLED) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %d is %s", job->id, job->state),
				 errdetail("Only a job that has failed or was cancelled can be tried again.")));
	check_release(job);
	check_target(job);
	queue_again(job);
	queue_attach(job);
	launch_at_commit = Min(launch_at_commit + 1, job_workers);
	PG_RETURN_VOID();
}

/*
 * schemaver.cancel(job): the version can do without it.  Who does it is
 * interrupted, and finds out why when this transaction has ended.
 */
Datum
schemaver_cancel(PG_FUNCTION_ARGS)
{
	SvJob	   *job;
	int			pid;

	PreventCommandIfReadOnly("schemaver.cancel()");
	job = open_job(PG_GETARG_INT32(0));
	if (job->finished != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %d is %s already", job->id, job->state)));
	pid = holder_of(GetLockStatusData(), (uint32) job->id, SV_JOB_LOCK_JOB);
	job->state = SV_JOB_CANCELLED;
	job->finished = GetCurrentTimestamp();
	sv_catalog_update_job(job);
	if (pid != 0 && pid != MyProcPid)
		kill(pid, SIGINT);
	PG_RETURN_VOID();
}

/*
 * run_jobs
 */

/* one round of run_jobs(), in a transaction of its own */
static int32
next_job(int32 product_id, uint32 *relation, int32 *other, char **what)
{
	MemoryContext context = CurrentMemoryContext;
	int32		id;

	StartTransactionCommand();
	id = take_job(product_id, relation, other);
	*what = id == 0 ? NULL :
		MemoryContextStrdup(context, sv_work_describe(sv_catalog_job(id)));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return id;
}

/* do a job whose locks are held, and give them back whatever happens */
static void
run_one(int32 id, uint32 relation, const char *what)
{
	ereport(NOTICE, (errmsg("job %d: %s", id, what)));
	PG_TRY();
	{
		const char *state = sv_work_run(id, true);

		ereport(NOTICE, (errmsg("job %d is %s", id, state)));
	}
	PG_FINALLY();
	{
		give_up(relation, (uint32) id);
	}
	PG_END_TRY();
}

/* run what can be run, until nothing can */
static void
run_all(int32 product_id)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		relation;
	int32		other;
	int32		told = 0;
	char	   *what;

	for (;;)
	{
		int32		id = next_job(product_id, &relation, &other, &what);

		CHECK_FOR_INTERRUPTS();
		if (id != 0)
			run_one(id, relation, what);
		else if (other == 0)
			return;
		else
		{
			if (other != told)
				ereport(NOTICE, (errmsg("waiting for a worker that does job %d",
										other)));
			told = other;
			StartTransactionCommand();
			if (!wait_for_job(other, -1))
				sv_lock_pause(MOMENT_MS);
			CommitTransactionCommand();
			MemoryContextSwitchTo(context);
		}
	}
}

/* the failed jobs that are left, an error */
static void
complain_of_failed(int32 product_id)
{
	int			n = 0;
	SvJob	   *first = NULL;
	ListCell   *lc;

	foreach(lc, sv_catalog_jobs())
	{
		SvJob	   *job = lfirst(lc);

		if (!is_failed(job) ||
			(product_id != 0 && job->product_id != product_id))
			continue;
		first = first ? first : job;
		n++;
	}
	if (n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_plural("%d job has failed", "%d jobs have failed",
							   n, n),
				 errdetail("Job %d, %s: %s", first->id,
						   sv_work_describe(first),
						   first->error ? first->error : ""),
				 errhint("Mend what it says, and call schemaver.retry(%d).",
						 first->id)));
}

/*
 * CALL schemaver.run_jobs(product)
 */
Datum
schemaver_run_jobs(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	int32		product_id = 0;
	CallContext *call = (CallContext *) fcinfo->context;

	PreventCommandIfReadOnly("schemaver.run_jobs()");
	if (call == NULL || !IsA(call, CallContext) || call->atomic ||
		SPI_inside_nonatomic_context())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("run_jobs() cannot run within a transaction block, a function or another procedure"),
				 errhint("Run CALL schemaver.run_jobs() by itself.")));
	(void) sv_catalog_extension(false);
	if (!PG_ARGISNULL(0))
		product_id =
			sv_compat_open_product(text_to_cstring(PG_GETARG_TEXT_PP(0)))->id;
	else
	{
		ListCell   *lc;

		foreach(lc, sv_catalog_products())
		{
			if (!((SvProduct *) lfirst(lc))->awake)
				sv_compat_wake(lfirst(lc));
		}
	}

	context = MemoryContextSwitchTo(PortalContext);
	HoldPinnedPortals();
	ForgetPortalSnapshots();
	CommitTransactionCommand();
	MemoryContextSwitchTo(PortalContext);
	run_all(product_id);
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	complain_of_failed(product_id);
	PG_RETURN_VOID();
}

/*
 * The workers
 */

static void
begin_worker(Oid database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, StatementCancelHandler);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);

	/* what the database sets for its sessions is not meant for this */
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET,
					PGC_S_OVERRIDE);
}

/* is the extension there, in a form that has jobs? */
static bool
has_extension(void)
{
	return OidIsValid(sv_catalog_extension(true)) && sv_catalog_is_installed();
}

/* take one of the numbers that a worker may have; 0 if there is none */
static uint32
take_number(int most)
{
	for (int i = 1; i <= Min(most, MOST_WORKERS); i++)
	{
		if (try_lock(i, SV_JOB_LOCK_WORKER))
			return i;
	}
	return 0;
}

/* do one job, or find that there is none: false */
static bool
work_once(void)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		relation;
	int32		other;
	int32		id = 0;
	const char *state;

	StartTransactionCommand();
	if (has_extension())
		id = take_job(0, &relation, &other);
	if (id != 0)
		pgstat_report_activity(STATE_RUNNING,
							   sv_work_describe(sv_catalog_job(id)));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (id == 0)
		return false;

	/* a signal may have been meant for the job before */
	QueryCancelPending = false;
	state = sv_work_run(id, false);
	give_up(relation, (uint32) id);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	if (strcmp(state, SV_JOB_QUEUED) == 0 ||
		strcmp(state, SV_JOB_RUNNING) == 0)
		elog(ERROR, "job %d could not be begun", id);
	return true;
}

/* is there something that a worker should do? */
static bool
has_idle(void)
{
	bool		idle;

	StartTransactionCommand();
	idle = has_extension() && count_idle(GetLockStatusData()) > 0;
	CommitTransactionCommand();
	return idle;
}

/*
 * A dynamic worker.  It gives back its number before it looks for the last
 * time: a worker that was launched for a job added since may have found none
 * free.
 */
void
sv_jobs_worker_main(Datum database)
{
	int			most;
	uint32		number;

	memcpy(&most, MyBgworkerEntry->bgw_extra, sizeof(most));
	begin_worker(DatumGetObjectId(database));
	while ((number = take_number(most)) != 0)
	{
		while (work_once())
			sv_work_reload_settings();
		unlock(number, SV_JOB_LOCK_WORKER);
		if (!has_idle())
			break;
	}
	proc_exit(0);
}

/*
 * A dynamic worker that only looks whether a database has jobs.
 */
void
sv_jobs_scout_main(Datum database)
{
	begin_worker(DatumGetObjectId(database));
	StartTransactionCommand();
	if (has_extension())
		sv_jobs_resume();
	CommitTransactionCommand();
	proc_exit(0);
}

/* the databases that one can connect to */
static List *
find_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	tuple;
	List	   *databases = NIL;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext oldcontext;

		if (!form->datallowconn || form->datistemplate)
			continue;
		oldcontext = MemoryContextSwitchTo(context);
		databases = lappend_oid(databases, form->oid);
		MemoryContextSwitchTo(oldcontext);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return databases;
}

/*
 * The launcher of a server that preloads the library: looks into each
 * database once, one after the other, then sleeps for as long as the server
 * runs.  After a crash the server starts it anew.
 */
void
sv_jobs_launcher_main(Datum argument)
{
	ListCell   *lc;

	(void) argument;
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	foreach(lc, find_databases())
	{
		BackgroundWorker worker;
		BackgroundWorkerHandle *handle;

		describe_worker(&worker, "sv_jobs_scout_main", lfirst_oid(lc),
						"schemaver scout");
		worker.bgw_notify_pid = MyProcPid;
		if (RegisterDynamicBackgroundWorker(&worker, &handle))
			(void) WaitForBackgroundWorkerShutdown(handle);
		CHECK_FOR_INTERRUPTS();
	}
	for (;;)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
register_launcher(void)
{
	BackgroundWorker worker;

	describe_worker(&worker, "sv_jobs_launcher_main", InvalidOid,
					"schemaver launcher");
	strlcpy(worker.bgw_name, "schemaver launcher", BGW_MAXLEN);
	worker.bgw_restart_time = LAUNCHER_RESTART_S;
	RegisterBackgroundWorker(&worker);
}

/*
 * Called once from _PG_init: the settings, the callback, the launcher.
 */
void
sv_jobs_init(void)
{
	DefineCustomIntVariable("schemaver.job_workers",
							"How many background workers may do the jobs of one database.",
							"With 0 only schemaver.run_jobs() does them.",
							&job_workers, 2, 0, MOST_WORKERS,
							PGC_SUSET, 0, NULL, NULL, NULL);
	RegisterXactCallback(end_transaction, NULL);
	if (process_shared_preload_libraries_in_progress)
		register_launcher();
}
