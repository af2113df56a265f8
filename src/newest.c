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
 * returns.  Functions that were put away for an older version stand in a
 * version schema and keep that version's path.
 *
 * The path is made once in a statement of the client's.
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
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

static needs_fmgr_hook_type next_needs_hook = NULL;
static fmgr_hook_type next_hook = NULL;

/* the path of the current version, and the statement that it was made for */
static char *newest_path = NULL;
static TimestampTz made_for = 0;

/* what the next hook keeps for a call, and our level of settings, 0 if none */
typedef struct Call
{
	Datum		next;
	int			nestlevel;
} Call;

/* the session's path without any version schema but the current version's */
static char *
make_path(const SvProduct *product)
{
	SvRelease  *current = sv_catalog_release(product, product->current);
	List	   *products = list_make1(unconstify(SvProduct *, product));
	List	   *names = NIL;
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, current ? current->schemas : NIL)
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
	char	   *path;

	if (newest_path && made_for == GetCurrentStatementStartTimestamp())
		return newest_path;
	if (!sv_registry_session(&name, &version))
		return NULL;
	product = sv_catalog_product(name, true);
	if (product == NULL)
		return NULL;
	path = make_path(product);
	if (newest_path)
		pfree(newest_path);
	newest_path = MemoryContextStrdup(TopMemoryContext, path);
	made_for = GetCurrentStatementStartTimestamp();
	return newest_path;
}

/*
 * Is it a trigger function, written in a language that looks names up?  Tells
 * its schema, and whether it has settings of its own, a search_path even.
 */
static bool
is_trigger_function(Oid function, Oid *schema, bool *has_settings,
					bool *has_path)
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
	*has_settings = !isnull;
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
	bool		has_settings;
	bool		has_path;

	if (next_needs_hook && next_needs_hook(function))
		return true;
	return function >= FirstNormalObjectId &&
		sv_registry_session(&product, &version) &&
		is_trigger_function(function, &schema, &has_settings, &has_path);
}

/*
 * Set the path if the function is one of the newest version's, and this
 * session is of any.  Settings of the function's own are one more level
 * already, which ends with it.
 */
static void
begin_call(FmgrInfo *flinfo, Call *call)
{
	const char *product;
	const SvVersion *version;
	Oid			schema;
	bool		has_settings;
	bool		has_path;
	const char *path;

	if (flinfo->fn_oid < FirstNormalObjectId ||
		!sv_registry_session(&product, &version) ||
		!is_trigger_function(flinfo->fn_oid, &schema, &has_settings,
							 &has_path) ||
		has_path || sv_contract_is_version_schema(schema))
		return;
	path = path_of_newest();
	if (path == NULL || strcmp(path, namespace_search_path) == 0)
		return;
	if (!has_settings)
		call->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Around every call that needs it.  An error undoes the setting with the
 * (sub)transaction; what is kept for a call is as old as its FmgrInfo.
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
	if (event == FHET_START)
		call->nestlevel = 0;
	if (event == FHET_START)
		begin_call(flinfo, call);
	else if (event == FHET_END && call->nestlevel > 0)
		AtEOXact_GUC(true, call->nestlevel);
	if (next_hook)
		next_hook(event, flinfo, &call->next);
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
