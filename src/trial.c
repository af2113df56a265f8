/*-------------------------------------------------------------------------
 *
 * trial.c
 *	  Something is done in a subtransaction, and what it ended with is told.
 *
 * The memory context and the resource owner are the caller's while it runs and
 * after it.  Whoever goes on after an error has to decide which ones are his
 * business: a query that was cancelled is nobody's.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/xact.h"
#include "utils/resowner.h"

static ErrorData *
run(SvTrialWork work, void *argument, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			level = GetCurrentTransactionNestLevel();
	ErrorData  *volatile problem = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(argument);
		if (keep)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		problem = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();

	/* it may have begun others, and have failed in there */
	while (GetCurrentTransactionNestLevel() > level)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return problem;
}

/*
 * Do something in a subtransaction.  Returns NULL, or the error that it ended
 * with, in the caller's memory context; then nothing of it is left.
 */
ErrorData *
sv_trial_attempt(SvTrialWork work, void *argument)
{
	return run(work, argument, true);
}

/*
 * Do something in a subtransaction and undo it.  Returns NULL, or the error
 * that it ended with, in the caller's memory context.
 */
ErrorData *
sv_trial_undo(SvTrialWork work, void *argument)
{
	return run(work, argument, false);
}
