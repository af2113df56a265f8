/*-------------------------------------------------------------------------
 *
 * newest.c
 *	  Trigger functions of the base schemas see the newest names, whoever
 *	  writes.
 *
 * A session that is registered under an older version finds that version's
 * views first.  The function of a trigger is the newest version's code all
 * the same, as far as it stands in a base schema, and runs for every writer:
 * what it says without a schema must mean what it means to the newest.  So it
 * runs with the search_path of a session of the current version, until it
 * returns.
 *
 * What only older versions still have, a function that was put away into a
 * version schema or any that a hidden trigger calls, is those versions' code.
 * It keeps their path, in front of one of its own too, and sees their rows:
 * see recast.c.
 *
 * The server says when a function is about to be called, but not with what.
 * So what is called then is our own function, which has the call before it.
 *
 * The path of the newest is made once in a statement of the client's.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

static needs_fmgr_hook_type next_needs_hook = NULL;
static fmgr_hook_type next_hook = NULL;

/* the path of the current version, and the statement that it was made for */
static char *newest_path = NULL;
static TimestampTz made_for = 0;

/* what is kept for the calls of a FmgrInfo */
typedef struct Call
{
	Datum		next;			/* what the next hook keeps */
	PGFunction	function;		/* what the server would have called */
	Oid			schema;
	bool		has_path;		/* a search_path of its own */
	SvRecast   *recast;
} Call;

/* the call that was announced last, for as long as it takes to begin it */
static Call *announced = NULL;

/* the path of the moment with these for the version schemas in it */
static char *
make_path(const SvProduct *product, List *schemas)
{
	List	   *products = list_make1(unconstify(SvProduct *, product));
	List	   *names = NIL;
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, schemas)
		appendStringInfo(&path, "%s%s", path.len ? ", " : "",
						 quote_identifier(lfirst(lc)));
	if (!SplitIdentifierString(pstrdup(namespace_search_path), ',', &names))
		names = product->schemas;
	foreach(lc, names)
	{
		if (!sv_catalog_is_version_schema(products, lfirst(lc)))
			appendStringInfo(&path, "%s%s", path.len ? ", " : "",
							 quote_identifier(lfirst(lc)));
	}
	return path.data;
}

/* does a function's list of settings have that one? */
static bool
has_setting(ArrayType *settings, const char *name)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_text_list(settings))
	{
		if (strncmp(lfirst(lc), name, strlen(name)) == 0 &&
			((char *) lfirst(lc))[strlen(name)] == '=')
			return true;
	}
	return false;
}

static const char *
path_of_newest(void)
{
	const char *name;
	const SvVersion *version;
	SvProduct  *product;
	SvRelease  *current;
	char	   *path;

	if (newest_path && made_for == GetCurrentStatementStartTimestamp())
		return newest_path;
	if (!sv_registry_session(&name, &version))
		return NULL;
	product = sv_catalog_product(name, true);
	if (product == NULL)
		return NULL;
	current = sv_catalog_release(product, product->current);
	path = make_path(product, current ? current->schemas : NIL);
	if (newest_path)
		pfree(newest_path);
	newest_path = MemoryContextStrdup(TopMemoryContext, path);
	made_for = GetCurrentStatementStartTimestamp();
	return newest_path;
}

/*
 * Is it a trigger function, written in a language that looks names up?  Tells
 * its schema, and whether it has a search_path of its own.
 */
static bool
is_trigger_function(Oid function, Oid *schema, bool *has_path)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		result;
	bool		isnull;
	Datum		settings;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	result = form->prorettype == TRIGGEROID && form->prolang != ClanguageId &&
		form->prolang != INTERNALlanguageId;
	*schema = form->pronamespace;
	settings = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig,
							   &isnull);
	*has_path = result && !isnull &&
		has_setting(DatumGetArrayTypeP(settings), "search_path");
	ReleaseSysCache(tuple);
	return result;
}

/* asked whenever any function is looked up */
static bool
needs_hook(Oid function)
{
	const char *product;
	const SvVersion *version;
	Oid			schema;
	bool		has_path;

	if (next_needs_hook && next_needs_hook(function))
		return true;
	return function >= FirstNormalObjectId &&
		sv_registry_session(&product, &version) &&
		is_trigger_function(function, &schema, &has_path);
}

/*
 * The path of the session's version, whoever calls, and where the function has
 * one of its own: the version's schemas stand first.
 */
static const char *
path_of_version(void)
{
	const char *name;
	const SvVersion *version;
	SvProduct  *product;
	StringInfoData start;
	List	   *schemas = NIL;
	ListCell   *lc;

	initStringInfo(&start);
	foreach(lc, sv_registry_schemas())
	{
		schemas = lappend(schemas, get_namespace_name(lfirst_oid(lc)));
		appendStringInfo(&start, "%s%s", start.len ? ", " : "",
						 quote_identifier(llast(schemas)));
	}
	if (strncmp(namespace_search_path, start.data, start.len) == 0)
		return NULL;
	(void) sv_registry_session(&name, &version);
	product = sv_catalog_product(name, true);
	return product ? make_path(product, schemas) : NULL;
}

/*
 * In place of a trigger function of a registered session.  An error undoes
 * the setting with the (sub)transaction.
 */
static Datum
call_trigger_function(PG_FUNCTION_ARGS)
{
	Call	   *call = announced;
	bool		is_old;
	const char *path;
	int			nestlevel;
	Datum		result;

	if (!CALLED_AS_TRIGGER(fcinfo))
		return call->function(fcinfo);
	is_old = sv_contract_is_version_schema(call->schema) ||
		sv_is_hidden(((TriggerData *) fcinfo->context)->tg_trigger->tgname);
	if (is_old)
		path = path_of_version();
	else
		path = call->has_path ? NULL : path_of_newest();
	if (path && strcmp(path, namespace_search_path) == 0)
		path = NULL;
	if (path == NULL)
		return is_old ? sv_recast_call(call->function, fcinfo, &call->recast) :
			call->function(fcinfo);
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	result = is_old ?
		sv_recast_call(call->function, fcinfo, &call->recast) :
		call->function(fcinfo);
	AtEOXact_GUC(true, nestlevel);
	return result;
}

/* see to it that what is called is ours, if it is to be */
static void
begin_call(FmgrInfo *flinfo, Call *call)
{
	const char *product;
	const SvVersion *version;

	if (flinfo->fn_addr != call_trigger_function)
	{
		if (flinfo->fn_oid < FirstNormalObjectId ||
			!sv_registry_session(&product, &version) ||
			!is_trigger_function(flinfo->fn_oid, &call->schema,
								 &call->has_path))
			return;
		call->function = flinfo->fn_addr;
		flinfo->fn_addr = call_trigger_function;
	}
	announced = call;
}

/*
 * Around every call that needs it.  What is kept for a call is as old as its
 * FmgrInfo.
 */
static void
around_call(FmgrHookEventType event, FmgrInfo *flinfo, Datum *private)
{
	Call	   *call = (Call *) DatumGetPointer(*private);

	if (call == NULL)
	{
		call = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Call));
		*private = PointerGetDatum(call);
	}
	if (next_hook)
		next_hook(event, flinfo, &call->next);
	if (event == FHET_START)
		begin_call(flinfo, call);
}

/*
 * Get around calls of functions.
 */
void
sv_newest_init(void)
{
	next_needs_hook = needs_fmgr_hook;
	needs_fmgr_hook = needs_hook;
	next_hook = fmgr_hook;
	fmgr_hook = around_call;
}
