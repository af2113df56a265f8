/*-------------------------------------------------------------------------
 *
 * redirect.c
 *	  What works on a table but not on the view that an older version finds
 *	  in its place reaches the base schemas.
 *
 * A compatibility view is updatable, so queries need no help.  Utility
 * statements do: COPY, TRUNCATE, VACUUM and ANALYZE refuse a view, CREATE with
 * an unqualified name would put the new object into the version schema, which
 * stands first in the search path of a registered session, and SET CONSTRAINTS
 * would find there what stands for a constraint of the table.  All of them
 * are turned at ProcessUtility into what the session would have said if the
 * schema had never changed, and then go the server's usual way: rights,
 * triggers and defaults are those of the base relation.
 *
 * Rules kept here:
 *
 * - The caller's tree is never written to, plan caches run it again: what
 *	 changes is a copy.
 * - A view is locked before its table, as queries do, and before it is looked
 *	 at: a statement that waited for a migration is redirected by what the
 *	 migration left behind.
 * - Nobody locks what the server would not have let him lock.
 * - Every other kind of statement costs a switch over its node tag.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* a compatibility view that a statement names */
typedef struct CompatView
{
	Oid			view;
	Oid			base;			/* the relation under it */
	List	   *columns;		/* per view column, its attnum in base */
} CompatView;

/* what a CREATE statement makes in the first schema of the search path */
typedef struct Creation
{
	RangeVar   *relation;		/* its name: either this */
	List	  **names;			/* or this */
	bool		is_type;		/* names is that of a type */
	bool		if_not_exists;
} Creation;

/* what the walk over COPY's WHERE needs */
typedef struct WhereContext
{
	const CompatView *view;
	ParseState *pstate;
} WhereContext;

static ProcessUtility_hook_type prev_ProcessUtility = NULL;
static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;

/*
 * Is the relation, found as the server would find it, a compatibility view?
 *
 * Locks it until the end of the transaction in the given mode, so that no
 * migration moves the base away between here and the statement itself.
 */
static bool
find_view(const RangeVar *name, LOCKMODE lockmode, CompatView *found)
{
	found->view = RangeVarGetRelid(name, lockmode, true);
	return OidIsValid(found->view) &&
		sv_contract_describe_view(found->view, &found->base, &found->columns);
}

/*
 * The same for TRUNCATE, which locks a table too strongly to let those do it
 * who may not truncate it: they get the server's error.  A view is only kept
 * from going away, so that no weaker lock on it ever grows into this one.
 */
static bool
find_view_to_truncate(const RangeVar *name, CompatView *found)
{
	Oid			relation = RangeVarGetRelid(name, NoLock, true);
	bool		is_missing = false;

	if (!OidIsValid(relation))
		return false;
	if (get_rel_relkind(relation) == RELKIND_VIEW)
		return find_view(name, AccessShareLock, found);

	return pg_class_aclcheck_ext(relation, GetUserId(), ACL_TRUNCATE,
								 &is_missing) == ACLCHECK_OK &&
		find_view(name, AccessExclusiveLock, found);
}

/* Make a statement's name mean the relation under the view. */
static void
point_at_base(RangeVar *name, const CompatView *view)
{
	name->catalogname = NULL;
	name->schemaname = get_namespace_name(get_rel_namespace(view->base));
	name->relname = get_rel_name(view->base);
}

/* What the base calls one of the view's columns; NULL if it has none such. */
static char *
physical_column(const CompatView *view, const char *name)
{
	AttrNumber	number = get_attnum(view->view, name);

	if (number <= 0 || number > list_length(view->columns))
		return NULL;
	number = list_nth_int(view->columns, number - 1);
	return get_attname(view->base, number, true);
}

/*
 * Translate a list of column names.  One that is not the view's is an error
 * here, since it might well be one of the base's; so is one that is there
 * twice, which the server would tell by the base's name.
 */
static List *
physical_columns(const CompatView *view, const List *names)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = strVal(lfirst(lc));
		char	   *physical = physical_column(view, name);

		if (physical == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							name, get_rel_name(view->view))));
		if (list_member(result, makeString(physical)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" specified more than once",
							name)));
		result = lappend(result, makeString(physical));
	}
	return result;
}

/*
 * The view's columns that COPY means when it lists none: it leaves out those
 * that are generated, and so do we.
 */
static List *
copied_columns(const CompatView *view)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, view->columns)
	{
		AttrNumber	number = lfirst_int(lc);
		AttrNumber	here = foreach_current_index(lc) + 1;

		/* nor does it take the system columns that a view can show */
		if (number < 0 ||
			(number > 0 && get_attgenerated(view->base, number) != '\0'))
			continue;
		result = lappend(result,
						 makeString(get_attname(view->view, here, false)));
	}
	return result;
}

/* COPY takes no generated columns; an error in the names of the view */
static void
check_generated(const CompatView *view, const List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = strVal(lfirst(lc));
		char	   *physical = physical_column(view, name);

		if (physical &&
			get_attgenerated(view->base, get_attnum(view->base,
													physical)) != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("column \"%s\" is a generated column", name),
					 errdetail("Generated columns cannot be used in COPY.")));
	}
}

/*
 * Rename one reference to a column in COPY's WHERE, in place.
 *
 * There is one relation and no subquery in it, so that a column needs no
 * qualification; a reference to the whole row does, since the relation goes by
 * another name now.
 */
static void
translate_reference(ColumnRef *ref, const WhereContext *context)
{
	const CompatView *view = context->view;
	int			nfields = list_length(ref->fields);
	Node	   *last = llast(ref->fields);
	char	   *view_name = get_rel_name(view->view);
	char	   *name;
	char	   *physical;

	if (nfields > 1 &&
		strcmp(strVal(list_nth(ref->fields, nfields - 2)), view_name) != 0)
		return;

	name = IsA(last, String) ? strVal(last) : NULL;
	physical = name ? physical_column(view, name) : NULL;

	if (physical != NULL)
		ref->fields = list_make1(makeString(physical));
	else if (name != NULL && get_attnum(view->base, name) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" does not exist", name),
				 parser_errposition(context->pstate, ref->location)));
	else if (nfields > 1)
		ref->fields = list_make2(makeString(get_rel_name(view->base)), last);
	else if (name != NULL && strcmp(name, view_name) == 0)
		ref->fields = list_make1(makeString(get_rel_name(view->base)));
}

static bool
translate_where(Node *node, WhereContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		translate_reference((ColumnRef *) node, context);
		return false;
	}
	return raw_expression_tree_walker(node, translate_where, context);
}

/* COPY view FROM: COPY base FROM, under the base's names */
static void
copy_into_base(CopyStmt *stmt, const CompatView *view,
			   const char *queryString)
{
	ListCell   *lc;
	WhereContext context;

	point_at_base(stmt->relation, view);
	stmt->attlist = physical_columns(view, stmt->attlist);

	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "force_not_null") != 0 &&
			strcmp(option->defname, "force_null") != 0)
			continue;
		if (option->arg && IsA(option->arg, List))
			option->arg = (Node *) physical_columns(view,
													(List *) option->arg);
	}

	context.view = view;
	context.pstate = make_parsestate(NULL);
	context.pstate->p_sourcetext = queryString;
	(void) translate_where(stmt->whereClause, &context);
	free_parsestate(context.pstate);
}

/*
 * COPY view TO: COPY (SELECT columns FROM view) TO
 *
 * The names stay the view's, which is what HEADER prints and FORCE_QUOTE
 * takes.  COPY of a table leaves out what inherits from it, and a view cannot:
 * there the query reads the table itself.
 */
static void
copy_from_query(CopyStmt *stmt, const CompatView *view)
{
	SelectStmt *select = makeNode(SelectStmt);
	RangeVar   *source = stmt->relation;
	List	   *names = stmt->attlist;
	List	   *columns = physical_columns(view, names);
	ListCell   *name;
	ListCell   *column;

	if (get_rel_relkind(view->base) == RELKIND_RELATION &&
		has_subclass(view->base))
	{
		point_at_base(source, view);
		source->inh = false;
	}
	else
		columns = names;

	forboth(name, names, column, columns)
	{
		ColumnRef  *ref = makeNode(ColumnRef);
		ResTarget  *target = makeNode(ResTarget);

		ref->fields = list_make1(lfirst(column));
		ref->location = -1;
		target->name = pstrdup(strVal(lfirst(name)));
		target->val = (Node *) ref;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	select->fromClause = list_make1(source);

	stmt->relation = NULL;
	stmt->attlist = NIL;
	stmt->query = (Node *) select;
}

/* with the view in *view; its OID is invalid if there is none */
static PlannedStmt *
redirect_copy(PlannedStmt *pstmt, const char *queryString, CompatView *view)
{
	CopyStmt   *stmt = castNode(CopyStmt, pstmt->utilityStmt);
	LOCKMODE	lockmode = stmt->is_from ? RowExclusiveLock : AccessShareLock;

	if (stmt->relation == NULL ||
		!find_view(stmt->relation, lockmode, view))
	{
		view->view = InvalidOid;
		return pstmt;
	}

	pstmt = copyObject(pstmt);
	stmt = castNode(CopyStmt, pstmt->utilityStmt);
	if (stmt->is_from)
		check_generated(view, stmt->attlist);
	if (stmt->attlist == NIL)
		stmt->attlist = copied_columns(view);
	if (stmt->is_from)
		copy_into_base(stmt, view, queryString);
	else
		copy_from_query(stmt, view);
	return pstmt;
}

/* the view's column at the beginning of a text, in the base's name; or NULL */
static char *
column_at(const CompatView *view, const char *text, size_t *length)
{
	ListCell   *lc;

	foreach(lc, view->columns)
	{
		AttrNumber	number = lfirst_int(lc);
		AttrNumber	here = foreach_current_index(lc) + 1;
		char	   *physical = get_attname(view->base, number, true);

		*length = physical ? strlen(physical) : 0;
		if (physical && strncmp(text, physical, *length) == 0 &&
			(text[*length] == ':' || text[*length] == ','))
			return get_attname(view->view, here, true);
	}
	return NULL;
}

/*
 * Where COPY says in what line and column an error is, let it say so in the
 * names of the view: "COPY person, line 1, column name: ..."
 */
static char *
name_context(const CompatView *view, char *context)
{
	static const char *const before = ", column ";
	char	   *start = psprintf("COPY %s, line ", get_rel_name(view->base));
	StringInfoData text;
	char	   *rest;
	size_t		length = 0;
	char	   *column;

	if (context == NULL || strncmp(context, start, strlen(start)) != 0)
		return context;
	rest = context + strlen(start);
	initStringInfo(&text);
	appendStringInfo(&text, "COPY %s, line ", get_rel_name(view->view));
	while (*rest >= '0' && *rest <= '9')
		appendStringInfoChar(&text, *rest++);
	column = strncmp(rest, before, strlen(before)) != 0 ? NULL :
		column_at(view, rest + strlen(before), &length);
	if (column)
	{
		appendStringInfo(&text, "%s%s", before, column);
		rest += strlen(before) + length;
	}
	appendStringInfoString(&text, rest);
	return text.data;
}

static PlannedStmt *
redirect_truncate(PlannedStmt *pstmt)
{
	TruncateStmt *stmt = castNode(TruncateStmt, pstmt->utilityStmt);
	TruncateStmt *copy = NULL;
	ListCell   *lc;

	/* the server refuses it, before it locks anything */
	if (XactReadOnly)
		return pstmt;

	foreach(lc, stmt->relations)
	{
		CompatView	view;

		if (!find_view_to_truncate(lfirst_node(RangeVar, lc), &view))
			continue;
		if (copy == NULL)
		{
			pstmt = copyObject(pstmt);
			copy = castNode(TruncateStmt, pstmt->utilityStmt);
		}
		point_at_base(list_nth_node(RangeVar, copy->relations,
									foreach_current_index(lc)), &view);
	}
	return pstmt;
}

/*
 * REFRESH MATERIALIZED VIEW of one that has another name now.  No lock here:
 * two sessions that upgraded it would deadlock.
 */
static PlannedStmt *
redirect_refresh(PlannedStmt *pstmt)
{
	RefreshMatViewStmt *stmt = castNode(RefreshMatViewStmt,
										pstmt->utilityStmt);
	CompatView	view;

	if (!find_view(stmt->relation, NoLock, &view))
		return pstmt;
	pstmt = copyObject(pstmt);
	stmt = castNode(RefreshMatViewStmt, pstmt->utilityStmt);
	point_at_base(stmt->relation, &view);
	return pstmt;
}

/*
 * VACUUM and ANALYZE, whose lock would not outlive the transactions that they
 * begin by themselves: one that a migration overtakes skips the relation with
 * the server's warning.
 */
static PlannedStmt *
redirect_vacuum(PlannedStmt *pstmt)
{
	VacuumStmt *stmt = castNode(VacuumStmt, pstmt->utilityStmt);
	VacuumStmt *copy = NULL;
	ListCell   *lc;

	foreach(lc, stmt->rels)
	{
		VacuumRelation *target = lfirst_node(VacuumRelation, lc);
		CompatView	view;

		if (target->relation == NULL ||
			!find_view(target->relation, NoLock, &view))
			continue;
		if (copy == NULL)
		{
			pstmt = copyObject(pstmt);
			copy = castNode(VacuumStmt, pstmt->utilityStmt);
		}
		target = list_nth_node(VacuumRelation, copy->rels,
							   foreach_current_index(lc));
		point_at_base(target->relation, &view);
		target->va_cols = physical_columns(&view, target->va_cols);
	}
	return pstmt;
}

/* ALTER SEQUENCE, such as to restart it. */
static PlannedStmt *
redirect_sequence(PlannedStmt *pstmt)
{
	AlterSeqStmt *stmt = castNode(AlterSeqStmt, pstmt->utilityStmt);
	CompatView	view;

	if (!find_view(stmt->sequence, AccessShareLock, &view) ||
		get_rel_relkind(view.base) != RELKIND_SEQUENCE)
		return pstmt;
	pstmt = copyObject(pstmt);
	point_at_base(castNode(AlterSeqStmt, pstmt->utilityStmt)->sequence, &view);
	return pstmt;
}

/* is there a constraint of that name in a schema? */
static bool
is_constraint_of(Oid schema, const char *name)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	bool		result;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(catalog, ConstraintNameNspIndexId, true, NULL, 2,
							  keys);
	result = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/* does a schema in front of those of the session's version have one? */
static bool
is_constraint_in_front(const char *name)
{
	List	   *ours = sv_registry_schemas();
	ListCell   *lc;

	foreach(lc, fetch_search_path(true))
	{
		if (list_member_oid(ours, lfirst_oid(lc)))
			return false;
		if (is_constraint_of(lfirst_oid(lc), name))
			return true;
	}
	return false;
}

/* what constraints that a version knows by a name are called now */
static List *
names_of_constraint(const SvRelease *release, const char *name)
{
	List	   *names = NIL;
	ListCell   *lc;

	for (int i = 0; i < release->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry(release->entries[i]);

		foreach(lc, entry->constraints)
		{
			SvPart	   *part = lfirst(lc);
			HeapTuple	tuple = strcmp(part->name, name) == 0 ?
			SearchSysCache1(CONSTROID, ObjectIdGetDatum(part->object)) : NULL;
			Form_pg_constraint form;

			if (!HeapTupleIsValid(tuple))
				continue;
			form = (Form_pg_constraint) GETSTRUCT(tuple);
			names = lappend(names,
							makeRangeVar(get_namespace_name(form->connamespace),
										 pstrdup(NameStr(form->conname)), -1));
			ReleaseSysCache(tuple);
		}
	}
	return names;
}

/*
 * SET CONSTRAINTS: a name is that of a constraint of a table, which may have
 * another one by now, not of what stands for it on the table's view.
 */
static PlannedStmt *
redirect_constraints(PlannedStmt *pstmt)
{
	ConstraintsSetStmt *stmt = castNode(ConstraintsSetStmt,
										pstmt->utilityStmt);
	SvRelease  *release = stmt->constraints && IsTransactionState() ?
	sv_registry_session_release() : NULL;
	List	   *constraints = NIL;
	ListCell   *lc;

	if (release == NULL)
		return pstmt;
	foreach(lc, stmt->constraints)
	{
		RangeVar   *name = lfirst_node(RangeVar, lc);
		List	   *names = name->schemaname ||
		is_constraint_in_front(name->relname) ? NIL :
		names_of_constraint(release, name->relname);

		constraints = list_concat(constraints,
								  names ? names : list_make1(name));
	}
	pstmt = copyObject(pstmt);
	castNode(ConstraintsSetStmt, pstmt->utilityStmt)->constraints =
		constraints;
	return pstmt;
}

/*
 * Where an unqualified CREATE of this session belongs, or NULL if that is
 * where the server puts it anyway; otherwise also the version schema that
 * stands in front.
 *
 * The result is allocated in the current memory context.
 */
static char *
creation_schema(Oid *version_schema)
{
	List	   *ours = sv_registry_schemas();
	ListCell   *lc;

	if (ours == NIL)
		return NULL;

	*version_schema = InvalidOid;
	foreach(lc, fetch_search_path(false))
	{
		Oid			schema = lfirst_oid(lc);
		char	   *name;

		if (list_member_oid(ours, schema))
		{
			if (!OidIsValid(*version_schema))
				*version_schema = schema;
			continue;
		}
		if (!OidIsValid(*version_schema))
			return NULL;
		name = get_namespace_name(schema);
		if (name != NULL)		/* not dropped meanwhile */
			return name;
	}
	if (!OidIsValid(*version_schema))
		return NULL;

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_SCHEMA),
			 errmsg("no schema has been selected to create in"),
			 errdetail("The search path has no schema but those that hold the compatibility views of the session's version."),
			 errhint("Qualify the name with the schema to create it in.")));
	return NULL;				/* keep compiler quiet */
}

/*
 * Does the statement create something under an unqualified name?  Temporary
 * relations have a schema of their own.
 */
static bool
describe_creation(Node *stmt, Creation *made)
{
	memset(made, 0, sizeof(Creation));
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			made->relation = ((CreateStmt *) stmt)->relation;
			made->if_not_exists = ((CreateStmt *) stmt)->if_not_exists;
			break;
		case T_CreateTableAsStmt:
			made->relation = ((CreateTableAsStmt *) stmt)->into->rel;
			made->if_not_exists = ((CreateTableAsStmt *) stmt)->if_not_exists;
			break;
		case T_ViewStmt:
			made->relation = ((ViewStmt *) stmt)->view;
			break;
		case T_CreateSeqStmt:
			made->relation = ((CreateSeqStmt *) stmt)->sequence;
			made->if_not_exists = ((CreateSeqStmt *) stmt)->if_not_exists;
			break;
		case T_CompositeTypeStmt:
			made->relation = ((CompositeTypeStmt *) stmt)->typevar;
			break;
		case T_CreateEnumStmt:
			made->names = &((CreateEnumStmt *) stmt)->typeName;
			made->is_type = true;
			break;
		case T_CreateRangeStmt:
			made->names = &((CreateRangeStmt *) stmt)->typeName;
			made->is_type = true;
			break;
		case T_CreateDomainStmt:
			made->names = &((CreateDomainStmt *) stmt)->domainname;
			made->is_type = true;
			break;
		case T_DefineStmt:
			made->names = &((DefineStmt *) stmt)->defnames;
			made->is_type = ((DefineStmt *) stmt)->kind == OBJECT_TYPE;
			break;
		case T_CreateFunctionStmt:
			made->names = &((CreateFunctionStmt *) stmt)->funcname;
			break;
		case T_CreateStatsStmt:
			made->names = &((CreateStatsStmt *) stmt)->defnames;
			break;
		case T_CreateConversionStmt:
			made->names = &((CreateConversionStmt *) stmt)->conversion_name;
			break;
		case T_CreateOpClassStmt:
			made->names = &((CreateOpClassStmt *) stmt)->opclassname;
			break;
		case T_CreateOpFamilyStmt:
			made->names = &((CreateOpFamilyStmt *) stmt)->opfamilyname;
			break;
		default:
			return false;
	}

	if (made->relation != NULL)
		return made->relation->schemaname == NULL &&
			made->relation->relpersistence != RELPERSISTENCE_TEMP;
	return list_length(*made->names) == 1;
}

/*
 * Will the server make the view a temporary one, because it reads something
 * temporary?  Only analysis tells: names of tables and of WITH look alike.
 */
static bool
becomes_temporary(const PlannedStmt *pstmt, const char *queryString)
{
	ViewStmt   *stmt;
	RawStmt    *raw;
	Oid			temp_schema;
	Oid			temp_toast;

	if (!IsA(pstmt->utilityStmt, ViewStmt))
		return false;
	GetTempNamespaceState(&temp_schema, &temp_toast);
	if (!OidIsValid(temp_schema))
		return false;

	stmt = castNode(ViewStmt, pstmt->utilityStmt);
	raw = makeNode(RawStmt);
	raw->stmt = copyObject(stmt->query);
	raw->stmt_location = pstmt->stmt_location;
	raw->stmt_len = pstmt->stmt_len;
	return isQueryUsingTempRelation(parse_analyze_fixedparams(raw, queryString,
															  NULL, 0, NULL));
}

/*
 * Report that the session's version already has something of that name,
 * wherever the base schemas keep it.  True if there is nothing to do then.
 */
static bool
creation_exists(const Creation *made, Oid version_schema)
{
	const char *name;

	if (made->relation != NULL)
	{
		name = made->relation->relname;
		if (!OidIsValid(get_relname_relid(name, version_schema)))
			return false;
		ereport(made->if_not_exists ? NOTICE : ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 made->if_not_exists ?
				 errmsg("relation \"%s\" already exists, skipping", name) :
				 errmsg("relation \"%s\" already exists", name)));
		return true;
	}

	name = strVal(linitial(*made->names));
	if (made->is_type &&
		SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name),
							  ObjectIdGetDatum(version_schema)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("type \"%s\" already exists", name)));
	return false;
}

/*
 * Qualify what an unqualified CREATE makes, and nothing else in it: the rest
 * of the statement goes on to resolve through the whole search path.  NULL if
 * the statement has nothing left to do.
 */
static PlannedStmt *
redirect_create(PlannedStmt *pstmt, const char *queryString)
{
	Creation	made;
	Oid			version_schema;
	char	   *schema;

	/* in a read-only transaction, the server refuses it */
	if (!describe_creation(pstmt->utilityStmt, &made) || XactReadOnly)
		return pstmt;
	schema = creation_schema(&version_schema);
	if (schema == NULL || becomes_temporary(pstmt, queryString))
		return pstmt;
	if (creation_exists(&made, version_schema))
		return NULL;

	pstmt = copyObject(pstmt);
	(void) describe_creation(pstmt->utilityStmt, &made);
	if (made.relation != NULL)
		made.relation->schemaname = schema;
	else
		*made.names = lcons(makeString(schema), *made.names);
	return pstmt;
}

/*
 * Let CREATE EXTENSION choose its schema as if the version schemas were not
 * there.  Its option SCHEMA would be an error where the extension brings a
 * schema of its own, so it is the search path that is changed, until the
 * caller ends the GUC nest level that this returns.  0 if nothing was changed.
 */
static int
begin_extension(const CreateExtensionStmt *stmt)
{
	StringInfoData path;
	Oid			version_schema;
	char	   *schema;
	ListCell   *lc;
	int			nestlevel;

	foreach(lc, stmt->options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, "schema") == 0)
			return 0;
	}
	if (XactReadOnly || (schema = creation_schema(&version_schema)) == NULL)
		return 0;

	/* the script of the extension gets a search path of its own anyway */
	initStringInfo(&path);
	appendStringInfoString(&path, quote_identifier(schema));
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", path.data, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

/* go on with the statement, a COPY of a view or any other */
static void
call_next(const CompatView *copied, PlannedStmt *pstmt,
		  const char *queryString, bool readOnlyTree,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	ProcessUtility_hook_type next = prev_ProcessUtility ?
	prev_ProcessUtility : standard_ProcessUtility;
	MemoryContext oldcontext = CurrentMemoryContext;

	if (!OidIsValid(copied->view))
	{
		next(pstmt, queryString, readOnlyTree, context, params, queryEnv,
			 dest, qc);
		return;
	}
	PG_TRY();
	{
		next(pstmt, queryString, readOnlyTree, context, params, queryEnv,
			 dest, qc);
	}
	PG_CATCH();
	{
		ErrorData  *problem;

		MemoryContextSwitchTo(oldcontext);
		problem = CopyErrorData();
		FlushErrorState();
		problem->context = name_context(copied, problem->context);
		ReThrowError(problem);
	}
	PG_END_TRY();
}

static void
redirect_utility(PlannedStmt *pstmt, const char *queryString,
				 bool readOnlyTree, ProcessUtilityContext context,
				 ParamListInfo params, QueryEnvironment *queryEnv,
				 DestReceiver *dest, QueryCompletion *qc)
{
	CompatView	copied = {0};
	int			nestlevel = 0;

	switch (nodeTag(pstmt->utilityStmt))
	{
		case T_CopyStmt:
			pstmt = redirect_copy(pstmt, queryString, &copied);
			break;
		case T_TruncateStmt:
			pstmt = redirect_truncate(pstmt);
			break;
		case T_VacuumStmt:
			pstmt = redirect_vacuum(pstmt);
			break;
		case T_RefreshMatViewStmt:
			pstmt = redirect_refresh(pstmt);
			break;
		case T_AlterSeqStmt:
			pstmt = redirect_sequence(pstmt);
			break;
		case T_ConstraintsSetStmt:
			pstmt = redirect_constraints(pstmt);
			break;
		case T_CreateExtensionStmt:
			nestlevel = begin_extension((CreateExtensionStmt *)
										pstmt->utilityStmt);
			break;
		default:
			pstmt = redirect_create(pstmt, queryString);
			if (pstmt == NULL)
				return;
			break;
	}

	call_next(&copied, pstmt, queryString, readOnlyTree, context, params,
			  queryEnv, dest, qc);

	if (nestlevel > 0)
		AtEOXact_GUC(true, nestlevel);
}

/*
 * Types
 */

/*
 * A domain that stands in a version schema in place of a type; one in place of
 * another domain checks what that does.
 */
static bool
is_standin_type(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form = (Form_pg_type) GETSTRUCT(tuple);
	Oid			schema = form->typnamespace;
	bool		is_plain = form->typtype == TYPTYPE_DOMAIN &&
	get_typtype(form->typbasetype) != TYPTYPE_DOMAIN;

	ReleaseSysCache(tuple);
	return is_plain && list_member_oid(sv_registry_schemas(), schema);
}

/*
 * What a statement returns of a type under its old name is of the type itself,
 * as it was before: a statement that was prepared then must not change the
 * types of its result.  What the statement sorts or groups by is left alone.
 */
static void
return_types(List *targets)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		TargetEntry *target = lfirst(lc);
		CoerceToDomain *domain = (CoerceToDomain *) target->expr;

		if (IsA(domain, CoerceToDomain) && target->ressortgroupref == 0 &&
			is_standin_type(domain->resulttype))
			target->expr = domain->arg;
	}
}

/* only a registered session finds domains in place of types */
static void
redirect_query(ParseState *pstate, Query *query, JumbleState *jumble)
{
	const char *product;
	const SvVersion *version;

	if (prev_post_parse_analyze)
		prev_post_parse_analyze(pstate, query, jumble);
	if (!sv_registry_session(&product, &version))
		return;
	if (query->commandType == CMD_SELECT && query->setOperations == NULL)
		return_types(query->targetList);
	return_types(query->returningList);
}

/*
 * Install the hooks.  Called once, from _PG_init.
 */
void
sv_redirect_init(void)
{
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = redirect_utility;
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = redirect_query;
}
