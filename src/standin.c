/*-------------------------------------------------------------------------
 *
 * standin.c
 *	  Stand-ins: functions and types in a version schema for what no view can
 *	  show.
 *
 * A version finds a function or a type under the name that its contract has.
 * Where the base schema has none such any more, because it was renamed,
 * moved, dropped or replaced, the version schema holds it: the object itself
 * in the schema of the newest version that needs it, once it was put away,
 * and in all others a stand-in.
 *
 * For a function that is one of the same definition, owner and privileges: a
 * copy of rows of the catalogs and not made by a statement, so it runs
 * nothing, validates nothing, and is what the original is whatever that calls
 * by name has become.  It runs with its caller's search_path like any
 * function, so that it finds the views of the version that calls it.
 *
 * For a type it is a domain over it.  The server takes a domain for its type
 * in all but what is declared for any enum or any array: so operators and
 * functions stand beside it that are declared for the type itself, and that
 * the planner replaces by the server's own.
 *
 * What a stand-in depends on it depends on automatically: it never stands in
 * the way of a DROP.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/typecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/readfuncs.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * Reading functions
 */

/* what a function depends on, but for its schema and extensions */
static List *
read_references(Oid function)
{
	List	   *references = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_references(ProcedureRelationId, function))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refclassid == NamespaceRelationId ||
			form->refclassid == ExtensionRelationId)
			continue;
		references = lappend(references,
							 sv_catalog_address(form->refclassid,
												form->refobjid,
												form->refobjsubid));
	}
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
	sv_catalog_depend_on_extension(ProcedureRelationId, function->objectId);
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
 * Let a function become what another one is, but for its name, its owner and
 * its privileges; both have the same arguments and result.
 */
void
sv_standin_become_function(Oid function, const SvFunction *model)
{
	Relation	catalog = table_open(ProcedureRelationId, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	HeapTuple	tuple = SearchSysCacheCopy1(PROCOID,
											ObjectIdGetDatum(function));
	Datum		values[Natts_pg_proc];
	bool		nulls[Natts_pg_proc];
	bool		replace[Natts_pg_proc];
	ObjectAddress address;
	ObjectAddress schema;
	ListCell   *lc;

	heap_deform_tuple(model->proc, desc, values, nulls);
	memset(replace, true, sizeof(replace));
	replace[Anum_pg_proc_oid - 1] = false;
	replace[Anum_pg_proc_proname - 1] = false;
	replace[Anum_pg_proc_pronamespace - 1] = false;
	replace[Anum_pg_proc_proowner - 1] = false;
	replace[Anum_pg_proc_proacl - 1] = false;
	ObjectAddressSet(schema, NamespaceRelationId,
					 ((Form_pg_proc) GETSTRUCT(tuple))->pronamespace);
	tuple = heap_modify_tuple(tuple, desc, values, nulls, replace);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	ObjectAddressSet(address, ProcedureRelationId, function);
	deleteDependencyRecordsFor(ProcedureRelationId, function, true);
	recordDependencyOn(&address, &schema, DEPENDENCY_NORMAL);
	foreach(lc, model->references)
		recordDependencyOn(&address, lfirst(lc), DEPENDENCY_NORMAL);
	CommandCounterIncrement();
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
 * Types
 */

/* what the server has for any enum, and for any array; a domain has not */
typedef struct Operator
{
	const char *name;
	const char *restriction;
	const char *join;
} Operator;

static const Operator enum_operators[] = {
	{"=", "eqsel", "eqjoinsel"},
	{"<>", "neqsel", "neqjoinsel"},
	{"<", "scalarltsel", "scalarltjoinsel"},
	{"<=", "scalarlesel", "scalarlejoinsel"},
	{">", "scalargtsel", "scalargtjoinsel"},
	{">=", "scalargesel", "scalargejoinsel"}
};

static const Operator array_operators[] = {
	{"=", "eqsel", "eqjoinsel"},
	{"<>", "neqsel", "neqjoinsel"},
	{"@>", "arraycontsel", "arraycontjoinsel"},
	{"<@", "arraycontsel", "arraycontjoinsel"},
	{"&&", "arraycontsel", "arraycontjoinsel"}
};

/* name, number of arguments, does it return an array? */
static const struct
{
	const char *name;
	int			nargs;
	bool		array;
}			enum_functions[] = {
	{"enum_first", 1, false},
	{"enum_last", 1, false},
	{"enum_range", 1, true},
	{"enum_range", 2, true}
};

#define OPERATOR_FUNCTION	SV_SCHEMA "_operator"

/* run a statement of our own making */
static void
run(const char *text)
{
	RawStmt    *raw = linitial_node(RawStmt,
									raw_parser(text, RAW_PARSE_DEFAULT));
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->canSetTag = false;
	wrapper->utilityStmt = raw->stmt;
	wrapper->stmt_location = raw->stmt_location;
	wrapper->stmt_len = raw->stmt_len;
	EventTriggerInhibitCommandCollection();
	PG_TRY();
	{
		standard_ProcessUtility(wrapper, text, false,
								PROCESS_UTILITY_SUBCOMMAND, NULL, NULL,
								None_Receiver, NULL);
	}
	PG_FINALLY();
	{
		EventTriggerUndoInhibitCommandCollection();
	}
	PG_END_TRY();
	CommandCounterIncrement();
}

/* what was just made never stands in the way of dropping its type */
static void
finish_part(Oid class_id, Oid object)
{
	ObjectAddress address;

	ObjectAddressSet(address, class_id, object);
	sv_retain_soften(list_make1(&address));
	sv_catalog_depend_on_extension(class_id, object);
}

static Oid
find_helper(const char *name, int nargs, Oid type, Oid schema)
{
	Oid			types[2] = {type, type};

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(types, nargs)),
						   ObjectIdGetDatum(schema));
}

/* the name of the function behind one of the operators */
static char *
operator_function(int number)
{
	return psprintf("%s_%d", OPERATOR_FUNCTION, number + 1);
}

static void
make_operator(const Operator *operator, int number, Oid type, Oid schema)
{
	char	   *type_name = format_type_be_qualified(type);
	const char *schema_name = quote_identifier(get_namespace_name(schema));
	char	   *function = operator_function(number);

	run(psprintf("CREATE FUNCTION %s.%s(%s, %s) RETURNS pg_catalog.bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT $1 OPERATOR(pg_catalog.%s) $2'",
				 schema_name, function, type_name, type_name,
				 operator->name));
	finish_part(ProcedureRelationId, find_helper(function, 2, type, schema));
	run(psprintf("CREATE OPERATOR %s.%s (FUNCTION = %s.%s, LEFTARG = %s, RIGHTARG = %s, RESTRICT = pg_catalog.%s, JOIN = pg_catalog.%s)",
				 schema_name, operator->name, schema_name, function,
				 type_name, type_name, operator->restriction,
				 operator->join));
	finish_part(OperatorRelationId,
				GetSysCacheOid4(OPERNAMENSP, Anum_pg_operator_oid,
								CStringGetDatum(operator->name),
								ObjectIdGetDatum(type),
								ObjectIdGetDatum(type),
								ObjectIdGetDatum(schema)));
}

static void
make_enum_functions(Oid type, Oid schema)
{
	char	   *type_name = format_type_be_qualified(type);

	for (int i = 0; i < (int) lengthof(enum_functions); i++)
	{
		bool		pair = enum_functions[i].nargs == 2;

		run(psprintf("CREATE FUNCTION %s.%s(%s%s%s) RETURNS %s%s LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT pg_catalog.%s($1%s)'",
					 quote_identifier(get_namespace_name(schema)),
					 enum_functions[i].name, type_name, pair ? ", " : "",
					 pair ? type_name : "", type_name,
					 enum_functions[i].array ? "[]" : "",
					 enum_functions[i].name, pair ? ", $2" : ""));
		finish_part(ProcedureRelationId,
					find_helper(enum_functions[i].name,
								enum_functions[i].nargs, type, schema));
	}
}

/* operators and functions beside a domain that stands in for a type */
static void
make_helpers(Oid type, Oid schema)
{
	Oid			array = get_array_type(type);

	if (type_is_enum(type))
	{
		for (int i = 0; i < (int) lengthof(enum_operators); i++)
			make_operator(&enum_operators[i], i, type, schema);
		make_enum_functions(type, schema);
	}
	for (int i = 0; OidIsValid(array) &&
		 i < (int) lengthof(array_operators); i++)
		make_operator(&array_operators[i], i, array, schema);
}

static void
drop_helper(const char *name, int nargs, Oid type, Oid schema)
{
	Oid			function = find_helper(name, nargs, type, schema);

	if (OidIsValid(function))
		drop_standin(ProcedureRelationId, function);
}

/* the operators go along with their functions */
static void
drop_helpers(Oid type, Oid schema)
{
	for (int i = 0; i < (int) lengthof(enum_operators); i++)
		drop_helper(operator_function(i), 2, type, schema);
	for (int i = 0; i < (int) lengthof(array_operators); i++)
		drop_helper(operator_function(i), 2, get_array_type(type), schema);
	for (int i = 0; i < (int) lengthof(enum_functions); i++)
		drop_helper(enum_functions[i].name, enum_functions[i].nargs, type,
					schema);
}

/*
 * Copy an ACL from a column of one row of a catalog to that of another, which
 * has none, with its dependencies on roles.
 */
void
sv_standin_copy_acl(Oid catalog_id, HeapTuple from, HeapTuple to,
					AttrNumber column, const ObjectAddress *object, Oid owner)
{
	Relation	catalog = table_open(catalog_id, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc0(desc->natts * sizeof(bool));
	bool	   *replace = palloc0(desc->natts * sizeof(bool));
	bool		isnull;
	Datum		acl = heap_getattr(from, column, desc, &isnull);

	if (!isnull)
	{
		values[column - 1] = acl;
		replace[column - 1] = true;
		to = heap_modify_tuple(to, desc, values, nulls, replace);
		CatalogTupleUpdate(catalog, &to->t_self, to);
		recordDependencyOnNewAcl(object->classId, object->objectId,
								 object->objectSubId, owner,
								 DatumGetAclPCopy(acl));
		CommandCounterIncrement();
	}
	table_close(catalog, RowExclusiveLock);
}

/* who may use the type may use the domain */
static void
copy_type_rights(Oid type, Oid domain)
{
	HeapTuple	from = SearchSysCacheCopy1(TYPEOID, ObjectIdGetDatum(type));
	Oid			owner = ((Form_pg_type) GETSTRUCT(from))->typowner;
	ObjectAddress address;

	AlterTypeOwnerInternal(domain, owner);
	CommandCounterIncrement();
	ObjectAddressSet(address, TypeRelationId, domain);
	sv_standin_copy_acl(TypeRelationId, from,
						SearchSysCacheCopy1(TYPEOID, ObjectIdGetDatum(domain)),
						Anum_pg_type_typacl, &address, owner);
}

static Oid
find_type(const char *name, Oid schema)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum(name), ObjectIdGetDatum(schema));
}

static void
make_domain(const char *name, Oid type, Oid schema)
{
	Oid			domain;

	run(psprintf("CREATE DOMAIN %s AS %s",
				 quote_qualified_identifier(get_namespace_name(schema), name),
				 format_type_be_qualified(type)));
	domain = find_type(name, schema);
	finish_part(TypeRelationId, domain);
	copy_type_rights(type, domain);
	make_helpers(type, schema);
}

/* the type that a domain is directly over, InvalidOid if it is none */
static Oid
type_of_domain(Oid domain)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	Oid			type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;

	ReleaseSysCache(tuple);
	return type;
}

static void
drop_domain(Oid domain, Oid schema)
{
	Oid			type = type_of_domain(domain);

	drop_standin(TypeRelationId, domain);
	drop_helpers(type, schema);
}

static bool
sync_type(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	Oid			have = find_type(entry->name, schema);
	bool		wanted = !is_in_place(entry, now);

	if (have == now->physical ||
		(OidIsValid(have) && (get_typtype(have) != TYPTYPE_DOMAIN ||
							  sv_catalog_entries_on(have) != NIL)))
		return false;
	if (OidIsValid(have))
	{
		if (wanted && type_of_domain(have) == now->physical)
			return false;
		drop_domain(have, schema);
	}
	if (!wanted)
		return OidIsValid(have);

	/* it was put away here, under a name that it had got just before */
	if (get_namespace_oid(now->schema, true) == schema)
	{
		RenameTypeInternal(now->physical, entry->name, schema);
		CommandCounterIncrement();
		sv_contract_touch(TypeRelationId, now->physical);
	}
	else
		make_domain(entry->name, now->physical, schema);
	return true;
}

/*
 * All kinds
 */

/*
 * What a version schema holds for an entry in place of the object of now, or
 * the object itself if it is there; InvalidOid if nothing.
 */
Oid
sv_standin_find(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	SvFunction *original;

	if (now == NULL)
		return InvalidOid;
	switch (entry->kind)
	{
		case SV_ENTRY_FUNCTION:
			original = sv_standin_read_function(now->physical);
			return original ? find_function(original, entry->name, schema) :
				InvalidOid;
		case SV_ENTRY_TYPE:
			return find_type(entry->name, schema);
		default:
			return InvalidOid;
	}
}

/*
 * Drop what stands in a version schema in place of an entry's object.
 */
void
sv_standin_drop(const SvEntry *entry, const SvEntry *now, Oid schema)
{
	Oid			have = sv_standin_find(entry, now, schema);

	if (!OidIsValid(have) || have == now->physical)
		return;
	if (entry->kind == SV_ENTRY_TYPE)
		drop_domain(have, schema);
	else
		drop_standin(ProcedureRelationId, have);
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
		case SV_ENTRY_TYPE:
			return sync_type(entry, now, schema);
		default:
			return false;
	}
}
