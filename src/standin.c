/*-------------------------------------------------------------------------
 *
 * standin.c
 *	  Stand-ins: functions in a version schema for what no view can show.
 *
 * A version finds a function under the name and the arguments that its
 * contract has.  Where the base schema has none such any more, because the
 * function was renamed, moved, dropped or replaced, the version schema holds
 * it: the object itself in the schema of the newest version that needs it,
 * and in those of older versions a stand-in, a function of the same
 * definition, owner and privileges.
 *
 * A stand-in is a copy of rows of the catalogs and not made by a statement,
 * so it runs nothing, validates nothing, and is what the original is whatever
 * that calls by name has become.  It runs with its caller's search_path like
 * any function, so that it finds the views of the version that calls it.
 *
 * What a stand-in depends on it depends on automatically: it never stands in
 * the way of a DROP.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/readfuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * Have DROP EXTENSION take an object along.
 */
void
sv_standin_depend_on_extension(Oid class_id, Oid object)
{
	ObjectAddress depender;
	ObjectAddress extension;
	Oid			extension_id = sv_catalog_extension(false);

	if (list_member_oid(getAutoExtensionsOfObject(class_id, object),
						extension_id))
		return;
	ObjectAddressSet(depender, class_id, object);
	ObjectAddressSet(extension, ExtensionRelationId, extension_id);
	recordDependencyOn(&depender, &extension, DEPENDENCY_AUTO_EXTENSION);
}

/*
 * Reading functions
 */

/* what a function depends on, but for its schema and extensions */
static List *
read_references(Oid function)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *references = NIL;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ProcedureRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(function));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL,
							  2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *reference;

		if (form->refclassid == NamespaceRelationId ||
			form->refclassid == ExtensionRelationId)
			continue;
		reference = palloc(sizeof(ObjectAddress));
		ObjectAddressSubSet(*reference, form->refclassid, form->refobjid,
							form->refobjsubid);
		references = lappend(references, reference);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return references;
}

/*
 * All that makes a function what it is, as it is now; NULL if it is gone.
 */
SvFunction *
sv_standin_read_function(Oid function)
{
	SvFunction *result = palloc0(sizeof(SvFunction));

	result->oid = function;
	result->proc = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(result->proc))
		return NULL;
	if (((Form_pg_proc) GETSTRUCT(result->proc))->prokind == PROKIND_AGGREGATE)
		result->aggregate = SearchSysCacheCopy1(AGGFNOID,
												ObjectIdGetDatum(function));
	result->references = read_references(function);
	return result;
}

/* is it called by triggers alone, of whatever kind? */
bool
sv_standin_is_trigger(const SvFunction *function)
{
	Oid			result = ((Form_pg_proc) GETSTRUCT(function->proc))->prorettype;

	return result == TRIGGEROID || result == EVENT_TRIGGEROID;
}

/* the columns of pg_proc that make a function what its callers know */
static const AttrNumber significant[] = {
	Anum_pg_proc_proowner, Anum_pg_proc_prolang, Anum_pg_proc_provariadic,
	Anum_pg_proc_prokind, Anum_pg_proc_prosecdef, Anum_pg_proc_proisstrict,
	Anum_pg_proc_proretset, Anum_pg_proc_provolatile, Anum_pg_proc_prorettype,
	Anum_pg_proc_proargtypes, Anum_pg_proc_proallargtypes,
	Anum_pg_proc_proargmodes, Anum_pg_proc_proargnames,
	Anum_pg_proc_proargdefaults, Anum_pg_proc_prosrc, Anum_pg_proc_probin,
	Anum_pg_proc_prosqlbody, Anum_pg_proc_proconfig, Anum_pg_proc_proacl
};

/* do two rows of a catalog agree in a column? */
static bool
same_attribute(HeapTuple a, HeapTuple b, TupleDesc desc, AttrNumber number)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, number - 1);
	bool		a_null;
	bool		b_null;
	Datum		first = heap_getattr(a, number, desc, &a_null);
	Datum		second = heap_getattr(b, number, desc, &b_null);

	if (a_null || b_null)
		return a_null && b_null;

	/* trees also tell where in a statement they stood: that means nothing */
	if (attribute->atttypid == PG_NODE_TREEOID)
		return equal(stringToNode(TextDatumGetCString(first)),
					 stringToNode(TextDatumGetCString(second)));
	if (attribute->attlen == -1)
	{
		first = PointerGetDatum(PG_DETOAST_DATUM(first));
		second = PointerGetDatum(PG_DETOAST_DATUM(second));
	}
	return datumIsEqual(first, second, attribute->attbyval,
						attribute->attlen);
}

static bool
same_aggregate(HeapTuple a, HeapTuple b)
{
	Relation	catalog;
	bool		same = true;

	if (a == NULL || b == NULL)
		return a == b;
	catalog = table_open(AggregateRelationId, AccessShareLock);
	for (AttrNumber i = 1; same && i <= Natts_pg_aggregate; i++)
		same = i == Anum_pg_aggregate_aggfnoid ||
			same_attribute(a, b, RelationGetDescr(catalog), i);
	table_close(catalog, AccessShareLock);
	return same;
}

/*
 * Do two functions do the same, for the same callers?  Their names and
 * schemas do not count, nor what only the planner wants to know.
 */
bool
sv_standin_same_function(const SvFunction *a, const SvFunction *b)
{
	Relation	catalog;
	bool		same = same_aggregate(a->aggregate, b->aggregate);

	catalog = table_open(ProcedureRelationId, AccessShareLock);
	for (int i = 0; same && i < (int) lengthof(significant); i++)
		same = same_attribute(a->proc, b->proc, RelationGetDescr(catalog),
							  significant[i]);
	table_close(catalog, AccessShareLock);
	return same;
}

/*
 * Making functions
 */

static void
make_aggregate(HeapTuple original, Oid function)
{
	Relation	catalog = table_open(AggregateRelationId, RowExclusiveLock);
	Datum		values[Natts_pg_aggregate] = {0};
	bool		nulls[Natts_pg_aggregate] = {0};
	bool		replace[Natts_pg_aggregate] = {0};

	values[Anum_pg_aggregate_aggfnoid - 1] = ObjectIdGetDatum(function);
	replace[Anum_pg_aggregate_aggfnoid - 1] = true;
	CatalogTupleInsert(catalog,
					   heap_modify_tuple(original, RelationGetDescr(catalog),
										 values, nulls, replace));
	table_close(catalog, RowExclusiveLock);
}

static HeapTuple
make_proc(HeapTuple original, const char *name, Oid schema)
{
	Relation	catalog = table_open(ProcedureRelationId, RowExclusiveLock);
	Datum		values[Natts_pg_proc] = {0};
	bool		nulls[Natts_pg_proc] = {0};
	bool		replace[Natts_pg_proc] = {0};
	NameData	new_name;
	HeapTuple	tuple;

	namestrcpy(&new_name, name);
	values[Anum_pg_proc_oid - 1] =
		ObjectIdGetDatum(GetNewOidWithIndex(catalog, ProcedureOidIndexId,
											Anum_pg_proc_oid));
	values[Anum_pg_proc_proname - 1] = NameGetDatum(&new_name);
	values[Anum_pg_proc_pronamespace - 1] = ObjectIdGetDatum(schema);
	replace[Anum_pg_proc_oid - 1] = true;
	replace[Anum_pg_proc_proname - 1] = true;
	replace[Anum_pg_proc_pronamespace - 1] = true;
	tuple = heap_modify_tuple(original, RelationGetDescr(catalog), values,
							  nulls, replace);
	CatalogTupleInsert(catalog, tuple);
	table_close(catalog, RowExclusiveLock);
	return tuple;
}

static void
depend(const ObjectAddress *function, const SvFunction *original, Oid schema)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(original->proc);
	ObjectAddress reference;
	Datum		acl;
	bool		isnull;
	ListCell   *lc;

	ObjectAddressSet(reference, NamespaceRelationId, schema);
	recordDependencyOn(function, &reference, DEPENDENCY_NORMAL);
	foreach(lc, original->references)
		recordDependencyOn(function, lfirst(lc), DEPENDENCY_AUTO);
	recordDependencyOnOwner(ProcedureRelationId, function->objectId,
							form->proowner);
	acl = SysCacheGetAttr(PROCOID, original->proc, Anum_pg_proc_proacl,
						  &isnull);
	recordDependencyOnNewAcl(ProcedureRelationId, function->objectId, 0,
							 form->proowner,
							 isnull ? NULL : DatumGetAclPCopy(acl));
	sv_standin_depend_on_extension(ProcedureRelationId, function->objectId);
}

/*
 * Make a function that does what another does or did, under that name in a
 * version schema.  Returns its OID.
 */
Oid
sv_standin_make_function(const SvFunction *original, const char *name,
						 Oid schema)
{
	HeapTuple	tuple = make_proc(original->proc, name, schema);
	ObjectAddress function;

	ObjectAddressSet(function, ProcedureRelationId,
					 ((Form_pg_proc) GETSTRUCT(tuple))->oid);
	if (original->aggregate)
		make_aggregate(original->aggregate, function.objectId);
	depend(&function, original, schema);
	CommandCounterIncrement();
	return function.objectId;
}

/*
 * Stand-ins
 */

/* has the object the name that its version knows, in its base schema? */
static bool
is_in_place(const SvEntry *entry, const SvEntry *now)
{
	return strcmp(entry->schema, now->schema) == 0 &&
		strcmp(entry->name, now->name) == 0;
}

static void
drop_standin(Oid class_id, Oid object)
{
	ObjectAddress address;

	ObjectAddressSet(address, class_id, object);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/* what a version schema has under a function's name and arguments */
static Oid
find_function(const SvFunction *original, const char *name, Oid schema)
{
	bool		isnull;

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   SysCacheGetAttr(PROCOID, original->proc,
										   Anum_pg_proc_proargtypes, &isnull),
						   ObjectIdGetDatum(schema));
}

/*
 * What a version schema holds for an entry in place of the object of now, or
 * the object itself if it is there; InvalidOid if nothing.
 */
Oid
sv_standin_find(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	SvFunction *original;

	if (now == NULL || entry->kind != SV_ENTRY_FUNCTION)
		return InvalidOid;
	original = sv_standin_read_function(now->physical);
	return original ? find_function(original, entry->name, schema) :
		InvalidOid;
}

/*
 * Drop what stands in a version schema in place of an entry's object.
 */
void
sv_standin_drop(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	Oid			have = sv_standin_find(entry, now, schema);

	if (OidIsValid(have) && have != now->physical)
		drop_standin(ProcedureRelationId, have);
}

static bool
sync_function(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	SvFunction *original = sv_standin_read_function(now->physical);
	bool		wanted = !is_in_place(entry, now) &&
	!sv_standin_is_trigger(original);
	Oid			have = find_function(original, entry->name, schema);

	if (have == now->physical)
		return false;
	if (OidIsValid(have))
	{
		if (sv_catalog_entries_on(have) != NIL ||
			(wanted &&
			 sv_standin_same_function(sv_standin_read_function(have),
									  original)))
			return false;
		drop_standin(ProcedureRelationId, have);
	}
	if (wanted)
		(void) sv_standin_make_function(original, entry->name, schema);
	return wanted || OidIsValid(have);
}

/*
 * Have a version schema hold a stand-in for the entry if its version needs
 * one, and none if not.  "now" is what stands behind the entry, or NULL if
 * that is gone.  True if something had to be done.
 */
bool
sv_standin_sync(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	if (now == NULL || !OidIsValid(schema))
		return false;
	switch (entry->kind)
	{
		case SV_ENTRY_FUNCTION:
			return sync_function(entry, now, schema);
		default:
			return false;
	}
}
