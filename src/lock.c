/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  Short locks, tried again and again.
 *
 * Who waits for an exclusive lock on a busy table makes everybody behind
 * wait.  So a piece of work that needs such locks runs in a subtransaction
 * with a lock_timeout of LOCK_TIMEOUT.  A lock that is not to be had by then
 * rolls it back, all locks are given back, the application's queue drains,
 * and after a pause, each twice as long as the one before, it is tried again.
 *
 * The timeout is below deadlock_timeout, so a deadlock with a session that
 * takes the same locks in another order ends here, never in that session.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/sinvaladt.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define LOCK_TIMEOUT		"50ms"
#define FIRST_PAUSE_MS		50
#define LONGEST_PAUSE_MS	1000

static int	lock_retry_for = 60000;

/*
 * Define the settings.
 */
void
sv_lock_init(void)
{
	DefineCustomIntVariable("schemaver.lock_retry_for",
							"How long a migration goes on trying to get its locks.",
							"Each try waits 50 ms; between the tries all locks are given back.",
							&lock_retry_for, 60000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
}

/*
 * Add a relation to a list of needed locks, if it is the caller's; on others
 * the work itself will fail for want of rights.  Returns the list.
 */
List *
sv_lock_need(List *needed, Oid relation, LOCKMODE mode)
{
	SvNeededLock *lock;
	ListCell   *lc;

	if (!OidIsValid(relation) ||
		!pg_class_ownercheck(relation, GetUserId()))
		return needed;
	foreach(lc, needed)
	{
		lock = lfirst(lc);
		if (lock->relation == relation)
		{
			lock->mode = Max(lock->mode, mode);
			return needed;
		}
	}
	lock = palloc(sizeof(SvNeededLock));
	lock->relation = relation;
	lock->mode = mode;
	return lappend(needed, lock);
}

static int
compare_needed(const ListCell *a, const ListCell *b)
{
	Oid			first = ((SvNeededLock *) lfirst(a))->relation;
	Oid			second = ((SvNeededLock *) lfirst(b))->relation;

	return first < second ? -1 : first > second;
}

/*
 * Take locks: the views, a list of OIDs, in ACCESS EXCLUSIVE mode, then the
 * needed ones, each group in the order of its OIDs.  Sorts both lists.
 */
void
sv_lock_take(List *views, List *needed)
{
	ListCell   *lc;

	list_sort(views, list_oid_cmp);
	list_sort(needed, compare_needed);
	foreach(lc, views)
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	foreach(lc, needed)
		LockRelationOid(((SvNeededLock *) lfirst(lc))->relation,
						((SvNeededLock *) lfirst(lc))->mode);
}

/*
 * Who stands in the way of locks, for a message; NULL if nobody does.
 */
char *
sv_lock_holders(List *needed)
{
	StringInfoData holders;
	ListCell   *lc;

	initStringInfo(&holders);
	foreach(lc, needed)
	{
		SvNeededLock *lock = lfirst(lc);
		LOCKTAG		tag;
		VirtualTransactionId *others;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, lock->relation);
		others = GetLockConflicts(&tag, lock->mode, NULL);
		for (; VirtualTransactionIdIsValid(*others); others++)
		{
			PGPROC	   *process = BackendIdGetProc(others->backendId);
			char	   *name = get_rel_name(lock->relation);

			if (process && name)
				appendStringInfo(&holders,
								 "%sprocess %d holds a lock on \"%s\"",
								 holders.len ? ", " : "", process->pid, name);
		}
	}
	return holders.len ? holders.data : NULL;
}

/* work that is to wait for locks for a moment only */
typedef struct TimedWork
{
	SvTrialWork work;
	void	   *argument;
} TimedWork;

static void
work_with_timeout(void *argument)
{
	TimedWork  *timed = argument;
	int			nestlevel = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
	timed->work(timed->argument);
	AtEOXact_GUC(false, nestlevel);
}

/*
 * Do the work once in a subtransaction.  Returns NULL, or the error that it
 * ended with.
 */
static ErrorData *
try_once(SvTrialWork work, void *argument)
{
	TimedWork	timed = {work, argument};

	return sv_trial_attempt(work_with_timeout, &timed);
}

/* an error that says that a lock was not to be had for now */
static bool
is_passing(const ErrorData *problem)
{
	return problem->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		problem->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/*
 * Sleep for some milliseconds, or until the latch is set.  Throws if the
 * query is cancelled meanwhile.
 */
void
sv_lock_pause(long ms)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Do a piece of work that needs locks, in a subtransaction, until it has got
 * them or schemaver.lock_retry_for is up; then an error that names who holds
 * those of *needed, of which the work keeps the list.  "what" says in that
 * error what the work is.  The work is done from its beginning at each try.
 * Returns NULL, or any other error that the work ended with, in the caller's
 * memory context; then nothing of it is left.
 */
ErrorData *
sv_lock_attempt(const char *what, SvTrialWork work, void *argument,
				List **needed)
{
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  lock_retry_for);
	long		pause = FIRST_PAUSE_MS;
	int			tries = 1;
	ErrorData  *problem;

	while ((problem = try_once(work, argument)) != NULL && is_passing(problem))
	{
		char	   *holders;

		if (GetCurrentTimestamp() < give_up)
		{
			sv_lock_pause(pause);
			pause = Min(pause * 2, LONGEST_PAUSE_MS);
			tries++;
			continue;
		}
		holders = sv_lock_holders(*needed);
		ereport(ERROR,
				(errcode(problem->sqlerrcode),
				 errmsg("%s could not get its locks: %s", what,
						problem->message),
				 holders ? errdetail("After %d tries, %s.", tries, holders) :
				 errdetail("It was tried %d times.", tries),
				 errhint("End the transactions that hold them, or raise schemaver.lock_retry_for."),
				 problem->context ? errcontext("%s", problem->context) : 0));
	}
	return problem;
}

/*
 * The same, but the error is thrown.
 */
void
sv_lock_retry(const char *what, SvTrialWork work, void *argument,
			  List **needed)
{
	ErrorData  *problem = sv_lock_attempt(what, work, argument, needed);

	if (problem)
		ReThrowError(problem);
}
