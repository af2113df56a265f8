/*-------------------------------------------------------------------------
 *
 * relabel.c
 *	  A label of an enum gets another name: the newest version gets a type of
 *	  its own.
 *
 * A value of an enum is the OID of its label, whose name is the same for all.
 * So a type that a supported version knows is put away before one of its
 * labels is renamed, and another one with the same labels takes its place,
 * which the statement then changes.  Columns change from the one type to the
 * other as by ALTER COLUMN TYPE (retype.c): the older versions keep theirs,
 * the row trigger keeps both in step.  What else speaks of the labels in a
 * table, defaults, checks, indexes, is taken down as text while the old type
 * has the name, and made again when the new one has it.
 *
 * schemaver.relabel() turns a value of one type into that of another which
 * stands at the same place.  A label that is added later is added to both.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "commands/typecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/readfuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteSupport.h"
#include "storage/lmgr.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(schemaver_relabel);

/* how expressions begin that turn one type into the other */
#define RELABEL			SV_SCHEMA ".relabel("

/* one label, and the one at its place in another type */
typedef struct Twin
{
	Oid			from;
	Oid			to;
} Twin;

/* what a call of relabel() remembers */
typedef struct RelabelCache
{
	Oid			from;			/* types */
	Oid			to;
	int			count;
	Twin	   *twins;			/* by "from" */
} RelabelCache;

/* something that speaks of the type, to be made again over the new one */
typedef struct Remade
{
	Oid			relation;
	char	   *column;			/* of a default, or NULL */
	char	   *statement;
} Remade;

/* a change of labels */
typedef struct Relabel
{
	const SvProduct *product;
	const SvRelease *from;
	List	   *releases;		/* those whose needs count */
	Oid			type;
	Oid			fresh;			/* the type that takes its place */
	List	   *columns;		/* of ObjectAddress: of tables, to be changed */
	List	   *remade;			/* of Remade */
	List	   *tables;			/* OIDs of those whose columns are kept in step */
} Relabel;

/*
 * Labels
 */

/* the labels of an enum in their order: OIDs */
static List *
labels_of(Oid type)
{
	Relation	catalog = table_open(EnumRelationId, AccessShareLock);
	Relation	index = index_open(EnumTypIdSortOrderIndexId,
								   AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *labels = NIL;

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan_ordered(catalog, index, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 ForwardScanDirection)))
		labels = lappend_oid(labels, ((Form_pg_enum) GETSTRUCT(tuple))->oid);
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(catalog, AccessShareLock);
	return labels;
}

static char *
label_text(Oid label)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for enum label %u", label);
	text = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	return text;
}

static int
compare_twins(const void *a, const void *b)
{
	Oid			first = ((const Twin *) a)->from;
	Oid			second = ((const Twin *) b)->from;

	return first < second ? -1 : first > second;
}

static void
fill_cache(RelabelCache *cache, MemoryContext context)
{
	List	   *from = labels_of(cache->from);
	List	   *to = labels_of(cache->to);
	ListCell   *lf;
	ListCell   *lt;

	cache->twins = MemoryContextAlloc(context,
									  sizeof(Twin) * (list_length(from) + 1));
	cache->count = 0;
	forboth(lf, from, lt, to)
	{
		cache->twins[cache->count].from = lfirst_oid(lf);
		cache->twins[cache->count++].to = lfirst_oid(lt);
	}
	qsort(cache->twins, cache->count, sizeof(Twin), compare_twins);
}

static Oid
find_twin(RelabelCache *cache, Oid label, MemoryContext context)
{
	Twin		key = {label, InvalidOid};
	Twin	   *twin = bsearch(&key, cache->twins, cache->count, sizeof(Twin),
							   compare_twins);

	/* it may have been added meanwhile */
	if (twin == NULL)
	{
		fill_cache(cache, context);
		twin = bsearch(&key, cache->twins, cache->count, sizeof(Twin),
					   compare_twins);
	}
	if (twin == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("label \"%s\" has no counterpart in type %s",
						label_text(label), format_type_be(cache->to))));
	return twin->to;
}

static Datum
relabel_array(Datum value, RelabelCache *cache, MemoryContext context)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	if (ARR_NDIM(array) == 0)
		return PointerGetDatum(construct_empty_array(cache->to));
	deconstruct_array(array, cache->from, sizeof(Oid), true, TYPALIGN_INT,
					  &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (!nulls[i])
			elements[i] =
				ObjectIdGetDatum(find_twin(cache,
										   DatumGetObjectId(elements[i]),
										   context));
	}
	return PointerGetDatum(construct_md_array(elements, nulls,
											  ARR_NDIM(array),
											  ARR_DIMS(array),
											  ARR_LBOUND(array), cache->to,
											  sizeof(Oid), true,
											  TYPALIGN_INT));
}

/*
 * schemaver.relabel(value anyelement, target anycompatible)
 *		returns anycompatible
 */
Datum
schemaver_relabel(PG_FUNCTION_ARGS)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	RelabelCache *cache = fcinfo->flinfo->fn_extra;
	Oid			from = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 0));
	Oid			to = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1));
	bool		is_array = OidIsValid(get_element_type(from));

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (is_array)
	{
		from = get_element_type(from);
		to = get_element_type(to);
	}
	if (!OidIsValid(to) || !type_is_enum(from) || !type_is_enum(to))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("schemaver.relabel() is for enums, and for arrays of them")));
	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(context, sizeof(RelabelCache));
		cache->from = from;
		cache->to = to;
		fill_cache(cache, context);
		fcinfo->flinfo->fn_extra = cache;
	}
	if (is_array)
		PG_RETURN_DATUM(relabel_array(PG_GETARG_DATUM(0), cache, context));
	PG_RETURN_OID(find_twin(cache, PG_GETARG_OID(0), context));
}

/*
 * The type that takes the place
 */

/* run a statement of our own making, as whoever we are */
static void
run(const char *text)
{
	RawStmt    *raw = linitial_node(RawStmt,
									raw_parser(text, RAW_PARSE_DEFAULT));
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt = raw->stmt;
	wrapper->stmt_location = raw->stmt_location;
	wrapper->stmt_len = raw->stmt_len;
	standard_ProcessUtility(wrapper, text, false, PROCESS_UTILITY_SUBCOMMAND,
							NULL, NULL, None_Receiver, NULL);
	CommandCounterIncrement();
}

/* does one of the releases know an object? */
static bool
is_known(List *releases, Oid object)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(object))
	{
		if (sv_catalog_any_has_entry(releases, lfirst_int(lc)))
			return true;
	}
	return false;
}

/* does one of the releases know a column? */
static bool
is_column_known(List *releases, const ObjectAddress *column)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(column->objectId))
	{
		if (sv_catalog_any_has_entry(releases, lfirst_int(lc)) &&
			sv_contract_column_at(sv_catalog_entry(lfirst_int(lc)),
								  column->objectSubId))
			return true;
	}
	return false;
}

static Form_pg_type
type_form(Oid type)
{
	return (Form_pg_type) GETSTRUCT(SearchSysCacheCopy1(TYPEOID,
														ObjectIdGetDatum(type)));
}

/* a type with the same labels, owner and privileges, by a passing name */
static void
make_type(Relabel *relabel)
{
	HeapTuple	from = SearchSysCacheCopy1(TYPEOID,
										   ObjectIdGetDatum(relabel->type));
	Form_pg_type form = (Form_pg_type) GETSTRUCT(from);
	char	   *name = psprintf("schemaver relabel %u", relabel->type);
	char	   *comment = GetComment(relabel->type, TypeRelationId, 0);
	ObjectAddress address;
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE TYPE %s AS ENUM (",
					 quote_qualified_identifier(get_namespace_name(form->typnamespace),
												name));
	foreach(lc, labels_of(relabel->type))
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(label_text(lfirst_oid(lc))));
	appendStringInfoChar(&text, ')');
	run(text.data);
	relabel->fresh = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
									 CStringGetDatum(name),
									 ObjectIdGetDatum(form->typnamespace));
	AlterTypeOwnerInternal(relabel->fresh, form->typowner);
	CommandCounterIncrement();
	ObjectAddressSet(address, TypeRelationId, relabel->fresh);
	sv_standin_copy_acl(TypeRelationId, from,
						SearchSysCacheCopy1(TYPEOID,
											ObjectIdGetDatum(relabel->fresh)),
						Anum_pg_type_typacl, &address, form->typowner);
	if (comment)
		CreateComments(relabel->fresh, TypeRelationId, 0, comment);
	sv_contract_touch(TypeRelationId, relabel->fresh);
}

/*
 * The old type goes where older versions find it, the new one takes its name.
 * Expressions by which columns are in step already go on with the old one.
 */
static void
change_places(const Relabel *relabel)
{
	Form_pg_type form = type_form(relabel->type);
	Oid			schema = form->typnamespace;
	Oid			home = sv_compat_schema_for(relabel->product, relabel->from,
											get_namespace_name(schema));
	List	   *frozen = NIL;
	ListCell   *lc;

	foreach(lc, sv_sync_tables())
	{
		SvSyncFrozen *pairs = sv_sync_freeze(lfirst_oid(lc));

		if (pairs)
			frozen = lappend(frozen, pairs);
	}
	sv_retain_home(TypeRelationId, relabel->type, home);
	RenameTypeInternal(relabel->fresh, NameStr(form->typname), schema);
	CommandCounterIncrement();
	foreach(lc, frozen)
		sv_sync_thaw(lfirst(lc));
}

/*
 * What is made of the type
 */

static void
refuse(const Relabel *relabel, const ObjectAddress *object)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a label of type %s cannot be renamed beside %s while supported versions of product \"%s\" need the old one",
					format_type_be(relabel->type),
					getObjectDescription(object, false),
					relabel->product->name),
			 errdetail("The newest version gets a type of its own, and this would go on with the old one."),
			 errhint("Drop it before and make it again after, in the same script; or rename the label when schemaver.retire() has retired the versions up to %s.",
					 relabel->from->label)));
}

/* the objects that depend on a type, as a list of ObjectAddress * */
static List *
dependents_of(Oid type)
{
	List	   *found = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(TypeRelationId, type, -1))
	{
		Form_pg_depend form = lfirst(lc);

		/* what is put away stands in nobody's way and stays with the type */
		if (form->deptype == DEPENDENCY_AUTO ||
			form->deptype == DEPENDENCY_INTERNAL)
			continue;
		found = lappend(found, sv_catalog_address(form->classid, form->objid,
												  form->objsubid));
	}
	return found;
}

static void
remake(Relabel *relabel, Oid relation, char *column, char *statement)
{
	Remade	   *remade = palloc(sizeof(Remade));

	remade->relation = relation;
	remade->column = column;
	remade->statement = statement;
	relabel->remade = lappend(relabel->remade, remade);
}

static void
drop_object(const ObjectAddress *object)
{
	sv_contract_touch(object->classId, object->objectId);
	if (object->classId == ConstraintRelationId)
		sv_retain_drop_constraint(object->objectId);
	else
		performDeletion(object, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/* an index that says something of a label; a unique one serves who has it */
static void
note_index(Relabel *relabel, const ObjectAddress *index)
{
	Oid			relation = IndexGetRelation(index->objectId, false);
	Oid			constraint = get_index_constraint(index->objectId);
	Relation	opened;
	bool		is_unique;

	if (sv_is_hidden(get_rel_name(index->objectId)))
		return;
	if (OidIsValid(constraint) || get_rel_relispartition(index->objectId))
		refuse(relabel, index);
	remake(relabel, relation, NULL, pg_get_indexdef_string(index->objectId));
	opened = index_open(index->objectId, AccessExclusiveLock);
	is_unique = opened->rd_index->indisunique;
	index_close(opened, NoLock);
	if (is_unique && is_known(relabel->releases, relation))
		sv_retain_unique(RelationRelationId, index->objectId);
	else
		drop_object(index);
}

static void
note_constraint(Relabel *relabel, const ObjectAddress *constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint->objectId));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	Oid			relation = form->conrelid;
	bool		is_check = form->contype == CONSTRAINT_CHECK &&
	OidIsValid(form->conrelid);
	bool		is_hidden = sv_is_hidden(NameStr(form->conname));
	bool		is_inherited = form->coninhcount > 0;

	ReleaseSysCache(tuple);
	if (is_hidden || is_inherited)
		return;
	if (!is_check)
		refuse(relabel, constraint);
	remake(relabel, relation, NULL,
		   pg_get_constraintdef_command(constraint->objectId));
	drop_object(constraint);
}

/* a default is said again when its column has the new type */
static void
note_default(Relabel *relabel, const ObjectAddress *attrdef)
{
	ObjectAddress column = GetAttrDefaultColumnAddress(attrdef->objectId);
	char	   *name = get_attname(column.objectId, column.objectSubId, false);
	char		relkind = get_rel_relkind(column.objectId);

	if (sv_is_hidden(name) ||
		sv_contract_is_version_schema(get_rel_namespace(column.objectId)))
		return;
	if (get_attgenerated(column.objectId, column.objectSubId) ||
		relkind == RELKIND_VIEW)
		refuse(relabel, attrdef);
	remake(relabel, column.objectId, name,
		   sv_contract_default_text(attrdef->objectId));
	sv_contract_remember_default(attrdef->objectId);
	drop_object(attrdef);
}

static void
note_column(Relabel *relabel, ObjectAddress *column)
{
	char		relkind = get_rel_relkind(column->objectId);

	if (sv_contract_is_version_schema(get_rel_namespace(column->objectId)) ||
		get_rel_namespace(column->objectId) == sv_retain_schema() ||
		sv_is_hidden(get_attname(column->objectId, column->objectSubId, false)))
		return;
	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		get_attgenerated(column->objectId, column->objectSubId))
		refuse(relabel, column);
	relabel->columns = lappend(relabel->columns, column);
}

/* take down what is to be made again, refuse what cannot be */
static void
note_dependent(Relabel *relabel, ObjectAddress *object)
{
	Oid			relation;

	switch (object->classId)
	{
		case RelationRelationId:
			if (object->objectSubId > 0)
				note_column(relabel, object);
			else
				note_index(relabel, object);
			break;
		case ConstraintRelationId:
			note_constraint(relabel, object);
			break;
		case AttrDefaultRelationId:
			note_default(relabel, object);
			break;
		case ProcedureRelationId:
			if (!sv_contract_is_version_schema(get_func_namespace(object->objectId)))
				refuse(relabel, object);
			break;
		case StatisticExtRelationId:
			break;
		default:
			relation = sv_contract_owning_relation(object->classId,
												   object->objectId);
			if (!OidIsValid(relation) ||
				(get_rel_namespace(relation) != sv_retain_schema() &&
				 !sv_contract_is_version_schema(get_rel_namespace(relation))))
				refuse(relabel, object);
			break;
	}
}

/*
 * Changing columns
 */

static char *
call_relabel(const char *value, Oid target)
{
	return psprintf(RELABEL "%s, NULL::%s)",
					quote_identifier(value), format_type_be_qualified(target));
}

/* the one command of an ALTER TABLE */
static AlterTableCmd *
parse_command(const char *text)
{
	RawStmt    *raw = linitial_node(RawStmt,
									raw_parser(text, RAW_PARSE_DEFAULT));

	return linitial_node(AlterTableCmd,
						 castNode(AlterTableStmt, raw->stmt)->cmds);
}

static void
change_column(Relabel *relabel, const ObjectAddress *column)
{
	Oid			old = get_atttype(column->objectId, column->objectSubId);
	Oid			type = old == relabel->type ? relabel->fresh :
	get_array_type(relabel->fresh);
	char	   *name = get_attname(column->objectId, column->objectSubId,
								   false);
	char	   *text;

	/* a column of a parent follows it by itself */
	if (sv_catalog_is_inherited(column->objectId, column->objectSubId))
		return;
	text = psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s",
					sv_catalog_relation_name(column->objectId),
					quote_identifier(name), format_type_be_qualified(type),
					call_relabel(name, type));
	if (is_column_known(relabel->releases, column) &&
		sv_retype_column(relabel->product, relabel->from, column->objectId,
						 parse_command(text), NULL, call_relabel(name, old),
						 true))
		relabel->tables = list_append_unique_oid(relabel->tables,
												 column->objectId);
	else
		run(text);
	CommandCounterIncrement();
}

/* defaults, checks and indexes are as they were, over the new type */
static void
remake_all(const Relabel *relabel)
{
	ListCell   *lc;

	foreach(lc, relabel->remade)
	{
		Remade	   *remade = lfirst(lc);

		run(remade->column == NULL ? remade->statement :
			psprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
					 sv_catalog_relation_name(remade->relation),
					 quote_identifier(remade->column), remade->statement));
		sv_contract_touch(RelationRelationId, remade->relation);
	}
}

/*
 * Adding labels
 */

/* the enum of a column, or of an array column; InvalidOid for others */
static Oid
enum_of(Oid relation, const char *column)
{
	AttrNumber	number = get_attnum(relation, column);
	Oid			type = number > 0 ? get_atttype(relation, number) : InvalidOid;
	Oid			element = OidIsValid(type) ? get_element_type(type) :
	InvalidOid;

	if (OidIsValid(element))
		type = element;
	return OidIsValid(type) && type_is_enum(type) ? type : InvalidOid;
}

/* enums that older versions have for the type: OIDs, theirs included */
static List *
older_types(Oid type)
{
	List	   *types = list_make1_oid(type);
	List	   *tables = sv_sync_tables();
	ListCell   *lt;
	ListCell   *lc;
	ListCell   *lp;

	/* the list grows while it is gone through */
	foreach(lt, types)
	{
		foreach(lc, tables)
		{
			foreach(lp, sv_sync_pairs(lfirst_oid(lc)))
			{
				SvSyncPair *pair = lfirst(lp);

				if (strncmp(pair->up, RELABEL, strlen(RELABEL)) == 0 &&
					enum_of(lfirst_oid(lc), pair->new_column) == lfirst_oid(lt))
					types = list_append_unique_oid(types,
												   enum_of(lfirst_oid(lc),
														   pair->old_column));
			}
		}
	}
	return list_delete_first(types);
}

/* the label of a type at the place that another one has in another type */
static const char *
label_beside(const char *label, Oid type, Oid other)
{
	ListCell   *lc;
	ListCell   *lo;

	forboth(lc, labels_of(type), lo, labels_of(other))
	{
		if (label && strcmp(label_text(lfirst_oid(lc)), label) == 0)
			return label_text(lfirst_oid(lo));
	}
	return NULL;
}

static bool
has_label(Oid type, const char *label)
{
	return SearchSysCacheExists2(ENUMTYPOIDNAME, ObjectIdGetDatum(type),
								 CStringGetDatum(label));
}

/*
 * ALTER TYPE ... ADD VALUE is about to run: add the label at the same place to
 * the types that older versions have for this one, so that they can show what
 * the newest writes.  They get it by another name if they have that one.
 */
void
sv_relabel_add(const AlterEnumStmt *statement)
{
	Oid			type = LookupTypeNameOid(NULL,
										 makeTypeNameFromNameList(statement->typeName),
										 true);
	ListCell   *lc;

	if (statement->oldVal || !OidIsValid(type) || !type_is_enum(type) ||
		!pg_type_ownercheck(type, GetUserId()) ||
		has_label(type, statement->newVal) ||
		(statement->newValNeighbor &&
		 !has_label(type, statement->newValNeighbor)))
		return;
	foreach(lc, older_types(type))
	{
		Oid			older = lfirst_oid(lc);
		char	   *label = statement->newVal;

		for (int i = 1; has_label(older, label); i++)
			label = makeObjectName(statement->newVal, NULL,
								   psprintf("%d", i));
		AddEnumLabel(older, label,
					 label_beside(statement->newValNeighbor, type, older),
					 statement->newValIsAfter, false);
		CommandCounterIncrement();
		if (sv_contract_collecting())
			sv_contract_touch(TypeRelationId, older);
	}
}

/*
 * Renaming labels
 */

/* the enum that a statement renames a label of; InvalidOid if it will fail */
static Oid
renamed_type(const AlterEnumStmt *statement)
{
	Oid			type = statement->oldVal ?
	LookupTypeNameOid(NULL, makeTypeNameFromNameList(statement->typeName),
					  true) : InvalidOid;

	if (!OidIsValid(type) || !type_is_enum(type) ||
		!pg_type_ownercheck(type, GetUserId()) ||
		!has_label(type, statement->oldVal) ||
		has_label(type, statement->newVal))
		return InvalidOid;
	return type;
}

/*
 * The tables that have columns of the enum that a statement renames a label
 * of, or of arrays of it: OIDs, without any lock.
 */
List *
sv_relabel_tables(const AlterEnumStmt *statement)
{
	Oid			type = renamed_type(statement);
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, OidIsValid(type) ?
			list_concat(dependents_of(type),
						dependents_of(get_array_type(type))) : NIL)
	{
		ObjectAddress *object = lfirst(lc);
		char		relkind = object->classId == RelationRelationId ?
		get_rel_relkind(object->objectId) : '\0';

		if (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE)
			tables = list_append_unique_oid(tables, object->objectId);
	}
	return tables;
}

/*
 * ALTER TYPE ... RENAME VALUE is about to run: if one of the releases in use
 * knows the type, put another one in its place, for the statement to change.
 * Returns the tables whose columns are kept in step from now on.  Runs as the
 * user, who must own the tables; takes ACCESS EXCLUSIVE locks on them.
 */
List *
sv_relabel_replace(const AlterEnumStmt *statement, const SvProduct *product,
				   const SvRelease *from, List *releases, List *used)
{
	Relabel		relabel = {0};
	List	   *dependents;
	int			nestlevel;
	ListCell   *lc;

	relabel.product = product;
	relabel.from = from;
	relabel.releases = releases;
	relabel.type = renamed_type(statement);
	if (!OidIsValid(relabel.type) || !is_known(used, relabel.type))
		return NIL;
	dependents = list_concat(dependents_of(relabel.type),
							 dependents_of(get_array_type(relabel.type)));
	make_type(&relabel);
	nestlevel = sv_contract_enter();
	foreach(lc, dependents)
		note_dependent(&relabel, lfirst(lc));
	sv_contract_leave(nestlevel);
	change_places(&relabel);
	foreach(lc, relabel.columns)
		change_column(&relabel, lfirst(lc));
	remake_all(&relabel);
	return relabel.tables;
}
