/*-------------------------------------------------------------------------
 *
 * observe.c
 *	  What a migration does beyond its words, told to whoever listens.
 *
 * Modules that turn a statement into something else, or find a value by
 * themselves, say so here.  Nobody listens but plan(), while it has a
 * migration tried; otherwise this is a test of a pointer.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "lib/stringinfo.h"

static SvObserver observer = NULL;

/*
 * From now on tell this one, NULL for nobody.  Returns who was told before.
 */
SvObserver
sv_observe_with(SvObserver new_observer)
{
	SvObserver	before = observer;

	observer = new_observer;
	return before;
}

/*
 * Tell something about a relation, or about none.  Throws nothing.
 */
void
sv_observe_note(SvNoteKind kind, Oid relation, const char *format,...)
{
	StringInfoData text;

	if (observer == NULL)
		return;
	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	observer(kind, relation, text.data);
	pfree(text.data);
}
