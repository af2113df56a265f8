/*-------------------------------------------------------------------------
 *
 * newest.c
 *	  Functions whose names do not depend on the caller see those of the version
 *	  whose code they are: trigger functions, and what has a search_path.
 *
 * A session that is registered under an older version finds that version's
 * views first.  The function of a trigger is the newest version's code all
 * the same, as far as it stands in a base schema, and runs for every writer:
 * what it says without a schema must mean what it means to the newest.  So it
 * runs with the search_path of a session of the current version, until it
 * returns.
 *
 * What only older versions still have, a function that was put away into a
 * version schema or any that a hidden trigger calls, is the code of the newest
 * of them that has the trigger: the function was replaced for all as long as
 * the trigger was there.  It has that version's path, in front of one of its
 * own too, and sees its rows: see recast.c.
 *
 * Any other function that has a search_path of its own, as SECURITY DEFINER
 * asks for, would find no views in it: neither an older version's, nor those
 * of the newest that hide what is retained.  So the version schemas come
 * before the first base schema there: the session's for a function that its
 * version knows as it is, those of the current version for a later one.  What
 * the path names before that stays before it, so that nothing is found in the
 * place of pg_catalog's.
 *
 * What the newest version's code writes in a session of another version stands
 * in the newest version's columns: sync.c is told.
 *
 * The server says when a function is about to be called, but not with what.
 * So what is called then is our own function, which has the call before it.
 *
 * The path of the newest is made once in a statement of the client's.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

static needs_fmgr_hook_type next_needs_hook = NULL;
static fmgr_hook_type next_hook = NULL;

/*
 * The path of the current version, the statement that it was made for, and
 * whether the session is one of another version.
 */
static char *newest_path = NULL;
static TimestampTz made_for = 0;
static bool is_other = false;

/* what is kept for the calls of a FmgrInfo */
typedef struct Call
{
	Datum		next;			/* what the next hook keeps */
	PGFunction	function;		/* what the server would have called */
	Oid			schema;
	bool		is_trigger;
	bool		has_path;		/* a search_path of its own */
	char	   *path;			/* what that becomes, or NULL */
	bool		is_foreign;		/* not the code of the session's version */
	TimestampTz path_for;		/* the statement that it was made for */
	List	   *schemas;		/* of whose rows the trigger sees: OIDs */
	SvRecast   *recast;
} Call;

/* the call that was announced last, for as long as it takes to begin it */
static Call *announced = NULL;

static void
append_names(StringInfo path, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
		appendStringInfo(path, "%s%s", path->len ? ", " : "",
						 quote_identifier(lfirst(lc)));
}

/* all version schemas of a product, names */
static List *
version_schemas(const SvProduct *product)
{
	List	   *schemas = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(product, true))
		schemas = list_concat(schemas, ((SvRelease *) lfirst(lc))->schemas);
	return schemas;
}

/*
 * The path of the moment with these for the version schemas in it, before the
 * first base schema.  Where it has none they stand in front of it, or it is
 * left as it is, and the result is NULL.
 */
static char *
make_path(const SvProduct *product, List *schemas, bool always)
{
	List	   *others = version_schemas(product);
	List	   *names = NIL;
	List	   *before = NIL;
	List	   *from = NIL;
	StringInfoData path;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(namespace_search_path), ',', &names))
		names = product->schemas;
	foreach(lc, names)
	{
		if (sv_catalog_has_text(others, lfirst(lc)))
			continue;
		if (from != NIL || sv_catalog_is_base_schema(product, lfirst(lc)))
			from = lappend(from, lfirst(lc));
		else
			before = lappend(before, lfirst(lc));
	}
	if (from == NIL && !always)
		return NULL;
	initStringInfo(&path);
	if (from != NIL)
		append_names(&path, before);
	append_names(&path, schemas);
	append_names(&path, from != NIL ? from : before);
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

/*
 * The version schemas of the current version of the session's product, and is
 * the session one of another version?
 */
static List *
newest_schemas(SvProduct **product, bool *other)
{
	const char *name;
	const SvVersion *version;
	int32		id = sv_registry_session(&name, &version);
	SvRelease  *current;

	*product = id ? sv_catalog_product(name, true) : NULL;
	if (*product == NULL)
		return NIL;
	*other = (*product)->current != id;
	current = sv_catalog_release(*product, (*product)->current);
	return current ? current->schemas : NIL;
}

static const char *
path_of_newest(void)
{
	SvProduct  *product;
	List	   *schemas;
	char	   *path;

	if (newest_path && made_for == GetCurrentStatementStartTimestamp())
		return newest_path;
	schemas = newest_schemas(&product, &is_other);
	if (product == NULL)
		return NULL;
	path = make_path(product, schemas, true);
	if (newest_path)
		pfree(newest_path);
	newest_path = MemoryContextStrdup(TopMemoryContext, path);
	made_for = GetCurrentStatementStartTimestamp();
	return newest_path;
}

/*
 * Is it a function whose path matters: that of a trigger, or one with a
 * search_path of its own?  Written in a language that looks names up.
 */
static bool
is_concerned(Oid function, Call *call)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		looks_up;
	bool		isnull;
	Datum		settings;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	looks_up = form->prolang != ClanguageId &&
		form->prolang != INTERNALlanguageId;
	call->schema = form->pronamespace;
	call->is_trigger = form->prorettype == TRIGGEROID;
	settings = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig,
							   &isnull);
	call->has_path = looks_up && !isnull &&
		has_setting(DatumGetArrayTypeP(settings), "search_path");
	ReleaseSysCache(tuple);
	return looks_up && (call->is_trigger || call->has_path);
}

/* asked whenever any function is looked up */
static bool
needs_hook(Oid function)
{
	const char *product;
	const SvVersion *version;
	Call		call;

	if (next_needs_hook && next_needs_hook(function))
		return true;
	return function >= FirstNormalObjectId &&
		sv_registry_session(&product, &version) &&
		is_concerned(function, &call);
}

/*
 * The path of the session's version, whoever calls, and where the function has
 * one of its own: the version's schemas stand in that.
 */
static char *
path_of_version(bool always)
{
	const char *name;
	const SvVersion *version;
	SvProduct  *product;
	StringInfoData start;
	List	   *schemas = NIL;
	ListCell   *lc;

	initStringInfo(&start);
	foreach(lc, sv_registry_schemas())
		schemas = lappend(schemas, get_namespace_name(lfirst_oid(lc)));
	append_names(&start, schemas);
	if (strncmp(namespace_search_path, start.data, start.len) == 0)
		return NULL;
	product = sv_registry_session(&name, &version) ?
		sv_catalog_product(name, true) : NULL;
	return product ? make_path(product, schemas, always) : NULL;
}

/* does the session's version know the function as it is? */
static bool
is_of_version(Oid function)
{
	SvRelease  *release = sv_registry_session_release();
	ListCell   *lc;

	foreach(lc, release ? sv_catalog_entries_on(function) : NIL)
	{
		if (sv_catalog_has_entry(release, lfirst_int(lc)))
			return true;
	}
	return false;
}

/* what becomes of the function's own path, NULL if nothing */
static const char *
path_within(FmgrInfo *flinfo, Call *call)
{
	SvProduct  *product;
	List	   *schemas;
	char	   *path;

	if (call->path_for == GetCurrentStatementStartTimestamp())
		return call->path;
	call->is_foreign = false;
	if (sv_contract_is_version_schema(call->schema) ||
		(!call->is_trigger && is_of_version(flinfo->fn_oid)))
		path = path_of_version(false);
	else
	{
		schemas = newest_schemas(&product, &call->is_foreign);
		path = product ? make_path(product, schemas, false) : NULL;
	}
	if (call->path)
		pfree(call->path);
	call->path = path ? MemoryContextStrdup(flinfo->fn_mcxt, path) : NULL;
	call->path_for = GetCurrentStatementStartTimestamp();
	return call->path;
}

/* the trigger of the topmost table that one of a partition is a clone of */
static Oid
original_trigger(Oid trigger)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	Oid			parent = trigger;

	while (OidIsValid(parent))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		trigger = parent;
		ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(trigger));
		scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1,
								  &key);
		tuple = systable_getnext(scan);
		parent = HeapTupleIsValid(tuple) ?
			((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid : InvalidOid;
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return trigger;
}

/* the newest version that has a trigger, NULL if none has */
static SvRelease *
newest_with_trigger(const SvProduct *product, Oid trigger)
{
	List	   *entries = sv_catalog_entries_with(original_trigger(trigger));
	List	   *releases = entries ? sv_catalog_releases(product, true) : NIL;

	for (int i = list_length(releases) - 1; i >= 0; i--)
	{
		ListCell   *lc;

		foreach(lc, entries)
		{
			if (sv_catalog_has_entry(list_nth(releases, i), lfirst_int(lc)))
				return list_nth(releases, i);
		}
	}
	return NULL;
}

/* the OIDs of schemas, as far as they exist, in the context */
static List *
schema_oids(List *names, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		Oid			oid = get_namespace_oid(lfirst(lc), true);

		if (OidIsValid(oid))
			oids = lappend_oid(oids, oid);
	}
	MemoryContextSwitchTo(caller);
	return oids;
}

/*
 * The path for a trigger that only older versions have, NULL if it is the one
 * that is set; and call->schemas.
 */
static const char *
path_of_trigger(FunctionCallInfo fcinfo, Call *call, bool always)
{
	const Trigger *trigger = ((TriggerData *) fcinfo->context)->tg_trigger;
	SvRelease  *own;
	SvRelease  *release;
	SvProduct  *product;
	const char *name;
	const SvVersion *version;
	int32		id;
	char	   *path = NULL;

	if (call->path_for == GetCurrentStatementStartTimestamp())
		return call->path ? call->path : path_of_version(always);
	id = sv_registry_session(&name, &version);
	product = id ? sv_catalog_product(name, true) : NULL;
	own = product ? sv_catalog_release(product, id) : NULL;
	release = product ? newest_with_trigger(product, trigger->tgoid) : NULL;
	if (release && own && release->id != own->id)
		path = make_path(product, release->schemas, always);
	else
		release = own;
	if (call->path)
		pfree(call->path);
	call->path = path ? MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, path) :
		NULL;
	call->schemas = schema_oids(release ? release->schemas : NIL,
								fcinfo->flinfo->fn_mcxt);
	call->path_for = GetCurrentStatementStartTimestamp();
	return call->path ? call->path : path_of_version(always);
}

static Datum
call_original(FunctionCallInfo fcinfo, Call *call, bool is_old)
{
	return is_old ? sv_recast_call(call->function, fcinfo, call->schemas,
								   &call->recast) :
		call->function(fcinfo);
}

/*
 * Call the function with another search_path, NULL for the one that is set.
 * An error undoes the setting with the (sub)transaction.
 */
static Datum
call_with_path(FunctionCallInfo fcinfo, Call *call, const char *path,
			   bool is_old)
{
	int			nestlevel;
	Datum		result;

	if (path == NULL || strcmp(path, namespace_search_path) == 0)
		return call_original(fcinfo, call, is_old);
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	result = call_original(fcinfo, call, is_old);
	AtEOXact_GUC(true, nestlevel);
	return result;
}

/* the same for the newest version's code in a session of another version */
static Datum
call_foreign(FunctionCallInfo fcinfo, Call *call, const char *path)
{
	bool		before = sv_registry_set_newest_code(true);
	volatile Datum result = (Datum) 0;

	PG_TRY();
	{
		result = call_with_path(fcinfo, call, path, false);
	}
	PG_FINALLY();
	{
		(void) sv_registry_set_newest_code(before);
	}
	PG_END_TRY();
	return result;
}

/* does the trigger of the call stand on what only older versions have? */
static bool
is_on_retained(const TriggerData *trigger)
{
	Oid			schema = get_namespace_oid(SV_RETAINED_SCHEMA, true);

	return OidIsValid(schema) &&
		RelationGetNamespace(trigger->tg_relation) == schema;
}

static Datum
call_trigger_function(FunctionCallInfo fcinfo, Call *call)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const char *path;

	if (sv_is_hidden(trigger->tg_trigger->tgname) ||
		sv_contract_is_version_schema(call->schema))
		return call_with_path(fcinfo, call,
							  path_of_trigger(fcinfo, call, true), true);
	if (is_on_retained(trigger))
		return call_with_path(fcinfo, call,
							  path_of_trigger(fcinfo, call, !call->has_path),
							  false);
	path = call->has_path ? path_within(fcinfo->flinfo, call) :
		path_of_newest();
	if (call->has_path ? call->is_foreign : is_other)
		return call_foreign(fcinfo, call, path);
	return call_with_path(fcinfo, call, path, false);
}

/*
 * In place of a function of a registered session.
 */
static Datum
call_function(PG_FUNCTION_ARGS)
{
	Call	   *call = announced;
	const char *path;

	if (CALLED_AS_TRIGGER(fcinfo))
		return call_trigger_function(fcinfo, call);
	if (!call->has_path)
		return call->function(fcinfo);
	path = path_within(fcinfo->flinfo, call);
	return call->is_foreign ? call_foreign(fcinfo, call, path) :
		call_with_path(fcinfo, call, path, false);
}

/* see to it that what is called is ours, if it is to be */
static void
begin_call(FmgrInfo *flinfo, Call *call)
{
	const char *product;
	const SvVersion *version;

	if (flinfo->fn_addr != call_function)
	{
		if (flinfo->fn_oid < FirstNormalObjectId ||
			!sv_registry_session(&product, &version) ||
			!is_concerned(flinfo->fn_oid, call))
			return;
		call->function = flinfo->fn_addr;
		flinfo->fn_addr = call_function;
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
