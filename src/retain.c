/*-------------------------------------------------------------------------
 *
 * retain.c
 *	  What a script drops and a supported version still needs: put away,
 *	  and freed when nobody needs it any more.
 *
 * A relation moves to the schema of retained relations.  A column, a trigger
 * and a unique constraint or index stay in their table under a hidden name,
 * which nothing else may have.  Functions, types and sequences, for which no
 * view can stand in, move into the version schema of the newest version that
 * needs them.  All of them stay the objects that they were, with their OIDs,
 * so that plans, defaults and other objects find them, and nothing is copied:
 * to retain a thing of any size takes as long as to rename it.
 *
 * Rules kept here:
 *
 * - The newest version is never held back.  NOT NULL on a hidden column goes,
 *	 unless its default fills it; a primary key over one turns into a unique
 *	 constraint; NULL is no conflict in a key over one, and a default that
 *	 would repeat itself there goes; a hidden trigger fires for the older
 *	 versions only; a retained table's foreign keys go, unless deleting or
 *	 updating the parent carries the change on without fail; a retained table
 *	 leaves the parents in which its rows would still be found.  What older
 *	 versions are held to instead is seen to by hold.c, check.c and refer.c.
 * - What is retained never stands in the way of a later DROP: all that it
 *	 depends on it depends on automatically, other retained things included,
 *	 since these may stand on what is not retained.  Whoever drops something
 *	 asks first what would go along, see expand.c.
 * - No names are lost: what is put away frees its name, and those of its
 *	 indexes.
 *
 * Callers hold ACCESS EXCLUSIVE locks on the tables, or get them here; they
 * have checked that the user may drop what is put away.  Event triggers do
 * not see what is done here: it is told to contract.c directly.
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
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/alter.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "commands/typecmds.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/readfuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/*
 * The schema of retained relations.
 */
Oid
sv_retain_schema(void)
{
	return get_namespace_oid(SV_RETAINED_SCHEMA, false);
}

/*
 * Dependencies
 */

static bool
is_among(Oid class_id, Oid object, List *addresses)
{
	ListCell   *lc;

	foreach(lc, addresses)
	{
		ObjectAddress *address = lfirst(lc);

		if (address->objectId == object && address->classId == class_id)
			return true;
	}
	return false;
}

/*
 * Does a hard dependency lead to something else than what it is a part of?  A
 * trigger depends in that way on columns of its own table, too, and so does
 * what a column is generated from.
 */
static bool
is_to_soften(Form_pg_depend form, const ObjectAddress *object, Oid whole)
{
	return form->deptype == DEPENDENCY_NORMAL &&
		(object->objectSubId == 0 || form->objsubid == object->objectSubId) &&
		form->refclassid != NamespaceRelationId &&
		!(form->refclassid == ProcedureRelationId &&
		  object->classId == AttrDefaultRelationId &&
		  sv_tolerate_is_function(form->refobjid)) &&
		!(form->refclassid == RelationRelationId && form->refobjid == whole &&
		  object->classId != TriggerRelationId &&
		  object->classId != AttrDefaultRelationId);
}

/* a rule never goes without its view, which must depend on the same itself */
static void
let_view_follow(Form_pg_depend rule)
{
	ObjectAddress view;
	ObjectAddress referenced;

	ObjectAddressSet(view, RelationRelationId,
					 sv_contract_owning_relation(RewriteRelationId,
												 rule->objid));
	ObjectAddressSubSet(referenced, rule->refclassid, rule->refobjid,
						rule->refobjsubid);
	if (get_rel_relkind(view.objectId) == RELKIND_VIEW ||
		get_rel_relkind(view.objectId) == RELKIND_MATVIEW)
		recordDependencyOn(&view, &referenced, DEPENDENCY_AUTO);
}

/* is a default the expression that a column is generated by? */
static bool
is_generation(Oid expression, ObjectAddress *column)
{
	*column = GetAttrDefaultColumnAddress(expression);
	return OidIsValid(column->objectId) &&
		get_attgenerated(column->objectId, column->objectSubId) != '\0';
}

/* that never goes without its column, which must depend on the same itself */
static void
let_column_follow(Form_pg_depend expression)
{
	ObjectAddress column;
	ObjectAddress referenced;

	ObjectAddressSubSet(referenced, expression->refclassid,
						expression->refobjid, expression->refobjsubid);
	if (is_generation(expression->objid, &column))
		recordDependencyOn(&column, &referenced, DEPENDENCY_AUTO);
}

/* an index never goes without its constraint */
static void
let_constraint_follow(Form_pg_depend of_index)
{
	char		relkind = get_rel_relkind(of_index->objid);
	Oid			constraint = relkind == RELKIND_INDEX ||
	relkind == RELKIND_PARTITIONED_INDEX ?
	get_index_constraint(of_index->objid) : InvalidOid;
	ObjectAddress follower;
	ObjectAddress referenced;

	if (!OidIsValid(constraint))
		return;
	ObjectAddressSet(follower, ConstraintRelationId, constraint);
	ObjectAddressSubSet(referenced, of_index->refclassid, of_index->refobjid,
						of_index->refobjsubid);
	recordDependencyOn(&follower, &referenced, DEPENDENCY_AUTO);
}

/*
 * The type that a dependency is to have, or zero if it is to go.
 */
typedef char (*JudgeDependency) (Form_pg_depend form, const void *argument);

/* change the types of what an object depends on */
static void
change_dependencies(Oid class_id, Oid object, JudgeDependency judge,
					const void *argument)
{
	Relation	catalog = table_open(DependRelationId, RowExclusiveLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(class_id));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL,
							  2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		char		deptype = judge(form, argument);

		if (deptype == '\0')
			CatalogTupleDelete(catalog, &tuple->t_self);
		else if (deptype != form->deptype)
		{
			tuple = heap_copytuple(tuple);
			((Form_pg_depend) GETSTRUCT(tuple))->deptype = deptype;
			CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		}
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* an object that is put away */
typedef struct Softened
{
	const ObjectAddress *object;
	Oid			whole;			/* the relation that it is a part of */
} Softened;

static char
soften_one(Form_pg_depend form, const void *argument)
{
	const Softened *softened = argument;

	if (!is_to_soften(form, softened->object, softened->whole))
		return form->deptype;
	if (form->classid == RewriteRelationId)
		let_view_follow(form);
	if (form->classid == AttrDefaultRelationId)
		let_column_follow(form);
	if (form->classid == RelationRelationId)
		let_constraint_follow(form);
	return DEPENDENCY_AUTO;
}

/*
 * Make the dependencies of some objects, a list of ObjectAddress *, automatic,
 * so that they do not stand in the way of dropping what they depend on.
 */
void
sv_retain_soften(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		ObjectAddress *object = lfirst(lc);
		Softened	softened = {object,
		sv_contract_owning_relation(object->classId, object->objectId)};

		change_dependencies(object->classId, object->objectId, soften_one,
							&softened);
	}
}

/* columns that nothing is to depend on */
typedef struct Loosened
{
	Oid			relation;
	AttrNumber	number;			/* 0 for all of them */
} Loosened;

static char
loosen_one(Form_pg_depend form, const void *argument)
{
	const Loosened *loosened = argument;

	return form->refclassid == RelationRelationId &&
		form->refobjid == loosened->relation && form->refobjsubid != 0 &&
		(loosened->number == 0 || form->refobjsubid == loosened->number) ?
		'\0' : form->deptype;
}

/*
 * Let an object depend on a column of a relation no more, on none of them if
 * the number is 0.
 */
void
sv_retain_loosen(Oid class_id, Oid object, Oid relation, AttrNumber number)
{
	Loosened	loosened = {relation, number};

	change_dependencies(class_id, object, loosen_one, &loosened);
}

/*
 * Names
 */

/*
 * Is the name free for a relation, and for the row type that it may have?
 */
bool
sv_retain_is_free_name(const char *name, Oid schema)
{
	return !OidIsValid(get_relname_relid(name, schema)) &&
		!SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name),
							   ObjectIdGetDatum(schema));
}

/* a name like the old one that no relation in the schema has */
static char *
free_relation_name(const char *name, Oid schema)
{
	char	   *result = pstrdup(name);

	for (int i = 1; !sv_retain_is_free_name(result, schema); i++)
		result = makeObjectName(name, NULL, psprintf("%d", i));
	return result;
}

/*
 * A name like that, which no relation in the schema of retained ones has.
 */
char *
sv_retain_free_name(const char *name)
{
	return free_relation_name(name, sv_retain_schema());
}

/* the name for something that stays in its schema, but hidden */
static char *
hidden_relation_name(const char *name, Oid schema)
{
	return free_relation_name(makeObjectName(SV_HIDDEN_NAME, name, NULL),
							  schema);
}

/*
 * The name for a hidden column, free in the relation and all its heirs; in the
 * caller's memory context.
 */
char *
sv_retain_hidden_column(Oid relation, const char *column)
{
	char	   *hidden = makeObjectName(SV_HIDDEN_NAME, column, NULL);
	List	   *heirs = find_all_inheritors(relation, NoLock, NULL);
	ListCell   *lc;
	int			i = 0;

	for (;;)
	{
		foreach(lc, heirs)
		{
			if (get_attnum(lfirst_oid(lc), hidden) != InvalidAttrNumber)
				break;
		}
		if (lc == NULL)
			return hidden;
		hidden = makeObjectName(SV_HIDDEN_NAME, column, psprintf("%d", ++i));
	}
}

/* run a statement's tree as if it was a part of the one that runs */
static void
run_utility(Node *statement, const char *text)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->canSetTag = false;
	wrapper->utilityStmt = statement;
	wrapper->stmt_location = 0;
	wrapper->stmt_len = 0;
	standard_ProcessUtility(wrapper, text, false, PROCESS_UTILITY_SUBCOMMAND,
							NULL, NULL, None_Receiver, NULL);
	CommandCounterIncrement();
}

/*
 * Run a utility statement that was made here, in which every name is quoted,
 * as a part of the one that runs: what watches over statements does not see
 * it.  With the rights of the current user.
 */
void
sv_retain_run(const char *text)
{
	run_utility(linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT))->stmt,
				text);
}

static RangeVar *
range_of(Oid relation)
{
	return makeRangeVar(get_namespace_name(get_rel_namespace(relation)),
						get_rel_name(relation), -1);
}

/*
 * Drop a constraint that nothing depends on, whoever owns its table.  No
 * dependency leads from a CHECK to those of heirs, as from keys.  Contracts
 * are not told.
 */
void
sv_retain_drop_constraint(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	char	   *text = NULL;
	ObjectAddress address;
	SvIdentity	identity;

	if (form->contype == CONSTRAINT_CHECK && OidIsValid(form->conrelid))
		text = psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
						sv_catalog_relation_name(form->conrelid),
						quote_identifier(NameStr(form->conname)));
	ReleaseSysCache(tuple);
	if (text)
	{
		sv_catalog_become_owner(&identity);
		sv_retain_run(text);
		sv_catalog_become_caller(&identity);
		return;
	}
	ObjectAddressSet(address, ConstraintRelationId, constraint);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/*
 * Unique constraints and indexes
 */

/* the constraints on partitions that a constraint has brought with it: OIDs */
static List *
child_constraints(Oid constraint)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *children = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conparentid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(constraint));
	scan = systable_beginscan(catalog, ConstraintParentIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		children = lappend_oid(children,
							   ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return children;
}

/* what an index was called before it was hidden; its own name if it was not */
static char *
name_before(Oid index)
{
	char	   *name = get_rel_name(index);
	char	   *former;

	if (!sv_is_hidden(name))
		return name;
	former = sv_catalog_former_name(get_namespace_name(get_rel_namespace(index)),
									name);
	return former ? former : name + strlen(SV_HIDDEN_PREFIX);
}

/*
 * Turn a primary key into a unique constraint, or that back.  The one demands
 * NOT NULL, which is the caller's business; the other does not.  A loosened key
 * is no primary one.  Returns whether it was changed.
 */
bool
sv_retain_change_key(Oid constraint, bool primary)
{
	Relation	catalog;
	HeapTuple	tuple = SearchSysCacheCopy1(CONSTROID,
											ObjectIdGetDatum(constraint));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	Relation	indexes;
	HeapTuple	index;
	ListCell   *lc;

	if (form->contype != (primary ? CONSTRAINT_UNIQUE : CONSTRAINT_PRIMARY) ||
		(primary && sv_contract_mark_of(form->conindid) != InvalidAttrNumber))
		return false;
	if (!primary)
		sv_publish_lose_key(form->conindid, name_before(form->conindid));
	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	form->contype = primary ? CONSTRAINT_PRIMARY : CONSTRAINT_UNIQUE;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	indexes = table_open(IndexRelationId, RowExclusiveLock);
	index = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(form->conindid));
	((Form_pg_index) GETSTRUCT(index))->indisprimary = primary;
	CatalogTupleUpdate(indexes, &index->t_self, index);
	table_close(indexes, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(form->conrelid);
	CommandCounterIncrement();
	foreach(lc, child_constraints(constraint))
		(void) sv_retain_change_key(lfirst_oid(lc), primary);
	return true;
}

/* another name for an index, which may become its own again one day */
static void
rename_index(Oid index, const char *new_name)
{
	char	   *schema = get_namespace_name(get_rel_namespace(index));

	sv_catalog_note_rename(schema, get_rel_name(index), schema, new_name);
	RenameRelationInternal(index, new_name, true, true);
	CommandCounterIncrement();
}

/*
 * Hide the index of a partition, which is to come back under a name.  What the
 * prefix alone tells is not noted, since there may be many.  Contracts, which
 * know none of them, are not told.  The caller has locked the index in ACCESS
 * EXCLUSIVE mode.
 */
void
sv_retain_hide_child(Oid index, const char *name)
{
	char	   *schema = get_namespace_name(get_rel_namespace(index));
	char	   *hidden = hidden_relation_name(name, get_rel_namespace(index));
	char	   *former = sv_catalog_former_name(schema, hidden);

	sv_publish_lose_key(index, name);
	if (strcmp(former ? former : hidden + strlen(SV_HIDDEN_PREFIX), name) != 0)
		sv_catalog_note_rename(schema, name, schema, hidden);
	RenameRelationInternal(index, hidden, true, true);
	CommandCounterIncrement();
}

/* so that the indexes of a successor of the whole find their names free */
static void
hide_children(Oid index)
{
	ListCell   *lc;

	foreach(lc, find_inheritance_children(index, AccessExclusiveLock))
	{
		char	   *name = get_rel_name(lfirst_oid(lc));

		if (!sv_is_hidden(name))
			sv_retain_hide_child(lfirst_oid(lc), name);
		hide_children(lfirst_oid(lc));
	}
}

/* the indexes of partitions come back along with that of the whole */
static void
return_children(Oid index)
{
	ListCell   *lc;

	foreach(lc, find_inheritance_children(index, AccessExclusiveLock))
	{
		Oid			child = lfirst_oid(lc);

		if (sv_is_hidden(get_rel_name(child)))
		{
			RenameRelationInternal(child,
								   free_relation_name(name_before(child),
													  get_rel_namespace(child)),
								   true, true);
			CommandCounterIncrement();
		}
		return_children(child);
	}
}

/*
 * Put a constraint with an index, or an index, under a hidden name, and those
 * of partitions with it.  Primary keys become unique constraints.
 */
void
sv_retain_unique(Oid class_id, Oid object)
{
	Oid			index = object;
	char	   *name;

	if (class_id == ConstraintRelationId)
	{
		(void) sv_retain_change_key(object, false);
		index = get_constraint_index(object);
	}
	name = get_rel_name(index);
	if (sv_is_hidden(name))
		return;
	sv_publish_lose_key(index, name);
	rename_index(index, hidden_relation_name(name, get_rel_namespace(index)));
	hide_children(index);
	sv_contract_touch(RelationRelationId, IndexGetRelation(index, false));
}

/*
 * Columns
 */

/*
 * A default that is a value, or the next one of a sequence, is never NULL, nor
 * is a cast of it; one to a length has more arguments.
 */
static bool
is_never_null(Node *expression)
{
	if (expression && IsA(expression, FuncExpr) &&
		((FuncExpr *) expression)->funcformat != COERCE_EXPLICIT_CALL &&
		((FuncExpr *) expression)->args != NIL)
		return is_never_null(linitial(((FuncExpr *) expression)->args));
	if (expression && IsA(expression, RelabelType))
		return is_never_null((Node *) ((RelabelType *) expression)->arg);
	if (expression && IsA(expression, CoerceViaIO))
		return is_never_null((Node *) ((CoerceViaIO *) expression)->arg);
	return expression &&
		((IsA(expression, Const) && !((Const *) expression)->constisnull) ||
		 IsA(expression, NextValueExpr) ||
		 (IsA(expression, FuncExpr) &&
		  ((FuncExpr *) expression)->funcid == F_NEXTVAL));
}

/*
 * Does the default of a column give every row that leaves it out a value?  What
 * a column is generated from may be null one day, or take its expression to
 * fail.
 */
bool
sv_retain_is_filled(Oid relation, AttrNumber number)
{
	Relation	table = relation_open(relation, AccessShareLock);
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(table), number - 1);
	Node	   *expression = build_column_default(table, number);
	bool		filled = attribute->attidentity != '\0' ||
		(attribute->attgenerated == '\0' && is_never_null(expression));

	relation_close(table, AccessShareLock);
	return filled;
}

/* would rows that leave the column out all get the same value? */
static bool
has_repeating_default(Oid relation, AttrNumber number)
{
	Relation	table = relation_open(relation, AccessShareLock);
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(table), number - 1);
	Node	   *expression = attribute->attgenerated ? NULL :
	build_column_default(table, number);

	relation_close(table, AccessShareLock);
	return expression && !contain_volatile_functions(expression);
}

/*
 * Does a unique index take nulls for equal?
 */
bool
sv_retain_has_equal_nulls(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		result = ((Form_pg_index) GETSTRUCT(tuple))->indnullsnotdistinct;

	ReleaseSysCache(tuple);
	return result;
}

/*
 * Let a unique index take nulls for equal, or not.  What it has is not looked
 * at.  The caller has locked its table in ACCESS EXCLUSIVE mode.
 */
void
sv_retain_set_nulls(Oid index, bool equal)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID,
											ObjectIdGetDatum(index));
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

	if (form->indnullsnotdistinct != equal)
	{
		form->indnullsnotdistinct = equal;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		CacheInvalidateRelcacheByRelid(form->indrelid);
		CommandCounterIncrement();
	}
	table_close(catalog, RowExclusiveLock);
}

/* is it a key of columns that are never null, all among those of another? */
static bool
is_within(Form_pg_index form, Form_pg_index other, AttrNumber but_for,
		  TupleDesc desc)
{
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	number = form->indkey.values[i];
		bool		found = false;

		for (int j = 0; j < other->indnkeyatts; j++)
			found |= other->indkey.values[j] == number;
		if (!found || number <= 0 || number == but_for ||
			!TupleDescAttr(desc, number - 1)->attnotnull)
			return false;
	}
	return true;
}

/*
 * Are rows kept apart anyway by a smaller unique key, so that what the column
 * says in this one is no matter?
 */
static bool
is_kept_apart(Relation table, Form_pg_index key, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, key->indisexclusion ? NIL : RelationGetIndexList(table))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID,
											ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		bool		apart = form->indisunique && form->indisvalid &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
			is_within(form, key, number, RelationGetDescr(table));

		ReleaseSysCache(tuple);
		if (apart)
			return true;
	}
	return false;
}

/*
 * Relax the unique and exclusion keys over a column, but loosened ones; true
 * if there are any.  What is computed is null where others write null, which
 * have a key of their own for that.
 */
static bool
relax_keys(Oid relation, AttrNumber number, bool computed)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *indexes = list_copy(RelationGetIndexList(table));
	bool		found = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID,
											ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		bool		over = false;

		for (int i = 0; i < form->indnkeyatts; i++)
			over |= form->indkey.values[i] == number &&
				(form->indisunique || form->indisexclusion);
		over = over && !is_kept_apart(table, form, number) &&
			sv_contract_mark_of(lfirst_oid(lc)) == InvalidAttrNumber;
		ReleaseSysCache(tuple);
		if (over && !computed)
			sv_retain_set_nulls(lfirst_oid(lc), false);
		found |= over;
	}
	relation_close(table, NoLock);
	return found;
}

static void
alter_column(Oid relation, const char *column, AlterTableType what)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = what;
	command->name = pstrdup(column);
	command->behavior = DROP_RESTRICT;
	AlterTableInternal(relation, list_make1(command), true);
	CommandCounterIncrement();
}

/*
 * Have rows that leave the column out violate nothing: they get the default,
 * or NULL if that would be a conflict of keys.  It is not NOT NULL any more
 * unless its default fills it, or something else does, as "filled" says; but
 * the versions that have it as NOT NULL are held to that.  "computed" says
 * whether a pair of sync.c gives it a value, NULL or not.  Needs the table in
 * ACCESS EXCLUSIVE mode.
 */
void
sv_retain_relax_column(Oid relation, AttrNumber number, bool filled,
					   bool computed)
{
	char	   *column = get_attname(relation, number, false);
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation),
										Int16GetDatum(number));
	bool		notnull = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	bool		in_key = false;
	ListCell   *lc;

	ReleaseSysCache(tuple);
	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
		in_key |= relax_keys(lfirst_oid(lc),
							 get_attnum(lfirst_oid(lc), column), computed);
	if (in_key && has_repeating_default(relation, number))
		alter_column(relation, column, AT_ColumnDefault);
	if (notnull && !filled && !sv_retain_is_filled(relation, number))
	{
		alter_column(relation, column, AT_DropNotNull);
		sv_hold_column(relation, number);
	}
}

/*
 * Put a column under a hidden name, and with it those of all heirs of the
 * table, and leave it otherwise as it is: rows that leave it out, and its
 * constraints, are the caller's business.
 */
void
sv_retain_hide_column(Oid relation, AttrNumber number)
{
	char	   *column = get_attname(relation, number, false);
	RenameStmt *rename = makeNode(RenameStmt);
	SvIdentity	identity;

	rename->renameType = OBJECT_COLUMN;
	rename->relationType = OBJECT_TABLE;
	rename->relation = range_of(relation);
	rename->subname = column;
	rename->newname = sv_retain_hidden_column(relation, column);
	rename->behavior = DROP_RESTRICT;

	/* whoever may drop the column, by CASCADE, need not own the table */
	sv_catalog_become_owner(&identity);
	(void) renameatt(rename);
	sv_catalog_become_caller(&identity);
	CommandCounterIncrement();
	sv_hold_rename(relation, column, rename->newname);
	sv_tolerate_column(relation, rename->newname);
	sv_contract_touch(RelationRelationId, relation);
}

/* by what a column is generated, with tolerate() if that is there */
static char *
generation_text(Relation relation, AttrNumber number)
{
	int			nestlevel = sv_contract_enter();
	char	   *text =
	sv_contract_expression_text(build_column_default(relation, number),
								RelationGetRelid(relation));

	sv_contract_leave(nestlevel);
	return text;
}

/* the text of ADD COLUMN for a column like that of another table */
static char *
add_column_text(Relation from, Form_pg_attribute attribute)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, " ADD COLUMN %s %s",
					 quote_identifier(NameStr(attribute->attname)),
					 sv_contract_type_text(attribute->atttypid,
										   attribute->atttypmod,
										   attribute->attcollation));
	if (attribute->attgenerated)
		appendStringInfo(&text, " GENERATED ALWAYS AS (%s) STORED",
						 generation_text(from, attribute->attnum));
	else if (attribute->atthasdef)
		appendStringInfo(&text, " DEFAULT %s",
						 sv_contract_default_text(GetAttrDefaultOid(RelationGetRelid(from),
																	attribute->attnum)));
	return text.data;
}

/*
 * A table is to be a child or partition of another: give it the hidden
 * columns that the parent has and it lacks.  Returns their names, of char *,
 * for the caller to fill before sv_retain_demand_heir().
 */
List *
sv_retain_prepare_heir(Oid parent, Oid child)
{
	Relation	relation = relation_open(parent, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	StringInfoData text;
	List	   *added = NIL;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "ALTER TABLE %s",
					 sv_catalog_relation_name(child));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		char	   *name = NameStr(attribute->attname);
		AttrNumber	number = get_attnum(child, name);

		if (attribute->attisdropped || !sv_is_hidden(name) ||
			(number != InvalidAttrNumber &&
			 get_attgenerated(child, number) == attribute->attgenerated))
			continue;

		/* LIKE may have made a plain column of one that is generated */
		if (number != InvalidAttrNumber)
			appendStringInfo(&text, "%s DROP COLUMN %s", added ? "," : "",
							 quote_identifier(name));
		appendStringInfo(&text, "%s%s",
						 added || number != InvalidAttrNumber ? "," : "",
						 add_column_text(relation, attribute));
		added = lappend(added, pstrdup(name));
	}
	relation_close(relation, NoLock);
	if (added)
		sv_retain_run(text.data);
	CommandCounterIncrement();
	foreach(lc, added)
		sv_tolerate_like(parent, child, lfirst(lc));
	return added;
}

/* a CHECK as ADD CONSTRAINT has it, for all rows */
static char *
check_clause(Oid check)
{
	int			nestlevel = sv_contract_enter();
	Datum		datum = DirectFunctionCall1(pg_get_constraintdef,
											ObjectIdGetDatum(check));
	char	   *clause = TextDatumGetCString(datum);

	sv_contract_leave(nestlevel);
	if (sv_contract_is_not_valid(clause))
		clause[strlen(clause) - strlen(" NOT VALID")] = '\0';
	return clause;
}

/* is a CHECK hidden, or about what is? */
static bool
is_hidden_check(const ConstrCheck *check, TupleDesc desc)
{
	Bitmapset  *numbers = NULL;
	int			number = -1;

	pull_varattnos(stringToNode(check->ccbin), 1, &numbers);
	while ((number = bms_next_member(numbers, number)) >= 0)
	{
		AttrNumber	column = number + FirstLowInvalidHeapAttributeNumber;

		if (column > 0 &&
			sv_is_hidden(NameStr(TupleDescAttr(desc, column - 1)->attname)))
			return true;
	}
	return sv_is_hidden(check->ccname);
}

/*
 * The hidden columns of a table that is to be a child or partition are filled:
 * let it demand of them, and by hidden CHECKs, what the parent does, which the
 * server would refuse it for otherwise.  True if there was anything.
 */
bool
sv_retain_demand_heir(Oid parent, Oid child)
{
	Relation	relation = relation_open(parent, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		char	   *name = NameStr(attribute->attname);
		AttrNumber	number = sv_is_hidden(name) && attribute->attnotnull ?
		get_attnum(child, name) : InvalidAttrNumber;

		if (number != InvalidAttrNumber &&
			!sv_catalog_is_not_null(child, number))
			appendStringInfo(&text, "%s ALTER COLUMN %s SET NOT NULL",
							 text.len ? "," : "", quote_identifier(name));
	}
	for (int i = 0; desc->constr && i < desc->constr->num_check; i++)
	{
		char	   *name = desc->constr->check[i].ccname;

		if (is_hidden_check(&desc->constr->check[i], desc) &&
			!OidIsValid(get_relation_constraint_oid(child, name, true)))
			appendStringInfo(&text, "%s ADD CONSTRAINT %s %s",
							 text.len ? "," : "", quote_identifier(name),
							 check_clause(get_relation_constraint_oid(parent,
																	  name,
																	  false)));
	}
	relation_close(relation, NoLock);
	if (text.len == 0)
		return false;
	sv_retain_run(psprintf("ALTER TABLE %s%s", sv_catalog_relation_name(child),
						   text.data));
	return true;
}

/*
 * Triggers
 */

/* the versions of the releases that have a trigger, as an array */
static Const *
versions_with(Oid trigger, List *releases, Oid version_type)
{
	Datum	   *versions = palloc(sizeof(Datum) * list_length(releases));
	int			n = 0;
	ListCell   *lr;
	ListCell   *le;

	foreach(lr, releases)
	{
		SvRelease  *release = lfirst(lr);

		foreach(le, sv_catalog_entries_with(trigger))
		{
			if (sv_catalog_has_entry(release, lfirst_int(le)))
				break;
		}
		if (le != NULL)
			versions[n++] = SvVersionGetDatum(release->version);
	}
	return makeConst(get_array_type(version_type), -1, InvalidOid, -1,
					 PointerGetDatum(construct_array(versions, n, version_type,
													 -1, false, TYPALIGN_INT)),
					 false, false);
}

static Oid
version_type(void)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum("version"),
						   ObjectIdGetDatum(get_namespace_oid(SV_SCHEMA,
															  false)));
}

/* schemaver.writes_as(text, schemaver.version[]) */
static Oid
writes_as_function(void)
{
	Oid			types[2] = {TEXTOID, get_array_type(version_type())};

	return LookupFuncName(list_make2(makeString(SV_SCHEMA),
									 makeString("writes_as")),
						  2, types, false);
}

/* a call of it */
static Node *
writes_as(const SvProduct *product, Oid trigger, List *releases)
{
	return (Node *)
		makeFuncExpr(writes_as_function(), BOOLOID,
					 list_make2(makeConst(TEXTOID, -1, get_typcollation(TEXTOID),
										  -1, CStringGetTextDatum(product->name),
										  false, false),
								versions_with(trigger, releases,
											  version_type())),
					 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/* a trigger and the clones of it on partitions: OIDs, the trigger first */
static List *
trigger_family(Oid trigger)
{
	List	   *family = list_make1_oid(trigger);
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	Oid			root = sv_contract_owning_relation(TriggerRelationId, trigger);
	ListCell   *lr;

	/* parents come before their heirs */
	foreach(lr, find_all_inheritors(root, AccessExclusiveLock, NULL))
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(lfirst_oid(lr)));
		scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL,
								  1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

			if (OidIsValid(form->tgparentid) &&
				list_member_oid(family, form->tgparentid))
				family = lappend_oid(family, form->oid);
		}
		systable_endscan(scan);
	}
	table_close(catalog, AccessShareLock);
	return family;
}

/* the condition as it was, and a condition before it */
static Node *
add_condition(Node *condition, Node *qual)
{
	if (qual == NULL)
		return condition;
	return (Node *) makeBoolExpr(AND_EXPR, list_make2(condition, qual), -1);
}

/* undo add_condition() */
static Node *
remove_condition(Node *qual)
{
	BoolExpr   *both = (BoolExpr *) qual;

	return qual && IsA(qual, BoolExpr) && both->boolop == AND_EXPR ?
		(Node *) lsecond(both->args) : NULL;
}

/* the constraint that a constraint trigger is has the trigger's name */
static void
rename_constraint_of(Oid constraint, const char *new_name)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	bool		rename;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	rename = form->contype == CONSTRAINT_TRIGGER &&
		strcmp(NameStr(form->conname), new_name) != 0;
	ReleaseSysCache(tuple);
	if (rename)
	{
		RenameConstraintById(constraint, new_name);
		CommandCounterIncrement();
	}
}

/*
 * Rename a trigger, and give it the condition if there is one, or else take
 * from it the one it got before.  Returns the old name.
 */
static char *
change_trigger(Oid trigger, const char *new_name, Node *condition)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Form_pg_trigger form;
	Datum		values[Natts_pg_trigger] = {0};
	bool		nulls[Natts_pg_trigger] = {0};
	bool		replace[Natts_pg_trigger] = {0};
	NameData	name;
	char	   *old_name;
	Oid			constraint;
	Node	   *qual;
	Datum		datum;
	bool		isnull;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find trigger %u", trigger);
	form = (Form_pg_trigger) GETSTRUCT(tuple);
	old_name = pstrdup(NameStr(form->tgname));
	datum = heap_getattr(tuple, Anum_pg_trigger_tgqual, desc, &isnull);
	qual = isnull ? NULL : stringToNode(TextDatumGetCString(datum));
	qual = condition ? add_condition(condition, qual) : remove_condition(qual);
	namestrcpy(&name, new_name);
	values[Anum_pg_trigger_tgname - 1] = NameGetDatum(&name);
	replace[Anum_pg_trigger_tgname - 1] = true;
	replace[Anum_pg_trigger_tgqual - 1] = true;
	nulls[Anum_pg_trigger_tgqual - 1] = qual == NULL;
	if (qual)
		values[Anum_pg_trigger_tgqual - 1] =
			CStringGetTextDatum(nodeToString(qual));
	tuple = heap_modify_tuple(tuple, desc, values, nulls, replace);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	CacheInvalidateRelcacheByRelid(form->tgrelid);
	constraint = form->tgconstraint;
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
	rename_constraint_of(constraint, new_name);
	return old_name;
}

static char *
trigger_name(Oid trigger)
{
	char	   *name = NULL;
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find trigger %u", trigger);
	name = pstrdup(NameStr(((Form_pg_trigger) GETSTRUCT(tuple))->tgname));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return name;
}

/*
 * Put a trigger under a hidden name, and let it fire only for sessions that
 * are registered under one of these releases that have it.  Returns the name
 * that it had, NULL if it was hidden already.
 */
char *
sv_retain_trigger(Oid trigger, const SvProduct *product, List *releases)
{
	Oid			relation = sv_contract_owning_relation(TriggerRelationId,
													   trigger);
	Node	   *condition = writes_as(product, trigger, releases);
	char	   *old_name = trigger_name(trigger);
	char	   *hidden = makeObjectName(SV_HIDDEN_NAME, old_name, NULL);
	ObjectAddress function;
	ListCell   *lc;

	if (sv_is_hidden(old_name))
		return NULL;
	for (int i = 1; OidIsValid(get_trigger_oid(relation, hidden, true)); i++)
		hidden = makeObjectName(SV_HIDDEN_NAME, old_name, psprintf("%d", i));
	ObjectAddressSet(function, ProcedureRelationId,
					 castNode(FuncExpr, condition)->funcid);
	foreach(lc, trigger_family(trigger))
	{
		ObjectAddress depender;

		(void) change_trigger(lfirst_oid(lc), hidden, condition);
		ObjectAddressSet(depender, TriggerRelationId, lfirst_oid(lc));
		recordDependencyOn(&depender, &function, DEPENDENCY_AUTO);
	}
	sv_contract_touch(RelationRelationId, relation);
	CommandCounterIncrement();
	return old_name;
}

/* has a trigger a hidden name? */
bool
sv_retain_is_hidden_trigger(Oid trigger)
{
	return sv_is_hidden(trigger_name(trigger));
}

/* is a trigger one of check.c's, or of refer.c's? */
bool
sv_retain_is_check_trigger(Oid trigger)
{
	char	   *name = trigger_name(trigger);

	return sv_is_check_trigger(name) || sv_is_refer_trigger(name);
}

/*
 * Let the hidden triggers that call a function call another one instead, which
 * is what the function was when they were dropped.
 */
void
sv_retain_retarget_triggers(Oid function, Oid other)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgfoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(function));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form;

		if (!sv_is_hidden(NameStr(((Form_pg_trigger) GETSTRUCT(tuple))->tgname)))
			continue;
		tuple = heap_copytuple(tuple);
		form = (Form_pg_trigger) GETSTRUCT(tuple);
		form->tgfoid = other;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		(void) changeDependencyFor(TriggerRelationId, form->oid,
								   ProcedureRelationId, function, other);
		CacheInvalidateRelcacheByRelid(form->tgrelid);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Relations
 */

/* is the change of a parent's row carried on to its child's? */
static bool
is_carried_on(char action)
{
	return action == FKCONSTR_ACTION_CASCADE ||
		action == FKCONSTR_ACTION_SETNULL;
}

/* all foreign keys of a table, or those that refer to it; copies of rows */
static List *
foreign_keys(Oid relation, bool referring)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *keys = NIL;

	ScanKeyInit(&key, referring ? Anum_pg_constraint_confrelid :
				Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId,
							  !referring, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype ==
			CONSTRAINT_FOREIGN)
			keys = lappend(keys, heap_copytuple(tuple));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return keys;
}

/* may a column be set to anything that the parent has, or to null? */
static bool
is_free_column(Oid relation, AttrNumber number)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(table);
	bool		is_free = !TupleDescAttr(desc, number - 1)->attnotnull;

	for (int i = 0; desc->constr && i < desc->constr->num_check; i++)
	{
		Bitmapset  *columns = NULL;

		pull_varattnos(stringToNode(desc->constr->check[i].ccbin), 1,
					   &columns);
		is_free &= !bms_is_member(number - FirstLowInvalidHeapAttributeNumber,
								  columns);
	}
	relation_close(table, NoLock);
	return is_free;
}

/* may all the columns of a foreign key be set? */
static bool
has_free_columns(HeapTuple tuple)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	int			n;
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	parents[INDEX_MAX_KEYS];

	DeconstructFkConstraintRow(tuple, &n, columns, parents, NULL, NULL,
							   NULL, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		if (!is_free_column(form->conrelid, columns[i]))
			return false;
	}
	return true;
}

/*
 * Can a foreign key of a retained table stay, since it carries every change
 * of the parent on without fail?  Not if what refers to the child in turn
 * may object.
 */
static bool
can_stay(HeapTuple tuple)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	ListCell   *lc;

	if (!is_carried_on(form->confdeltype) || OidIsValid(form->conparentid) ||
		get_rel_relkind(form->conrelid) == RELKIND_PARTITIONED_TABLE ||
		!has_free_columns(tuple))
		return false;
	foreach(lc, foreign_keys(form->conrelid, true))
	{
		Form_pg_constraint referring =
			(Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc));

		if (referring->conrelid == form->conrelid ||
			!is_carried_on(referring->confupdtype) || !can_stay(lfirst(lc)))
			return false;
	}
	return true;
}

/* the statement that makes a foreign key again, as it may stay */
static AlterTableStmt *
relaxed_foreign_key(Oid key, char **text)
{
	AlterTableStmt *statement;
	Constraint *constraint;

	*text = pg_get_constraintdef_command(key);
	statement = castNode(AlterTableStmt,
						 linitial_node(RawStmt,
									   raw_parser(*text,
												  RAW_PARSE_DEFAULT))->stmt);
	constraint = castNode(Constraint,
						  linitial_node(AlterTableCmd, statement->cmds)->def);
	constraint->fk_upd_action = FKCONSTR_ACTION_CASCADE;
	constraint->skip_validation = true;
	constraint->initially_valid = false;
	return statement;
}

/*
 * Let go of the foreign keys by which a retained table would hold back those
 * who change the tables that it refers to, unless these are retained as well.
 */
static void
relax_foreign_keys(Oid relation, List *kept)
{
	ListCell   *lc;

	foreach(lc, foreign_keys(relation, false))
	{
		Form_pg_constraint form =
			(Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc));
		bool		stays;
		char	   *text;
		AlterTableStmt *relaxed = NULL;

		if (OidIsValid(form->conparentid) ||
			is_among(RelationRelationId, form->confrelid, kept) ||
			get_rel_namespace(form->confrelid) == sv_retain_schema())
			continue;
		stays = can_stay(lfirst(lc));
		if (stays && is_carried_on(form->confupdtype))
			continue;
		if (stays)
			relaxed = relaxed_foreign_key(form->oid, &text);
		sv_retain_drop_constraint(form->oid);
		if (relaxed)
			run_utility((Node *) relaxed, text);
	}
}

/* what the session's version calls a table */
static const char *
name_for_session(Oid relation)
{
	const SvEntry *entry = sv_hold_entry(relation);

	return entry ? entry->name : get_rel_name(relation);
}

/* the server's own error, in the names of the version */
static void
refuse_truncate(Oid relation, Oid referring)
{
	const char *name = name_for_session(referring);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot truncate a table referenced in a foreign key constraint"),
			 errdetail("Table \"%s\" references \"%s\".", name,
					   name_for_session(relation)),
			 errhint("Truncate table \"%s\" at the same time, or use TRUNCATE ... CASCADE.",
					 name)));
}

/*
 * Let go of all foreign keys by which retained tables refer to some others,
 * which are to be truncated: the server would refuse that, or take the
 * retained rows along.  "seen" are OIDs of retained tables that the session
 * knows of, whose keys count: they are taken along if the statement says
 * CASCADE, or else are an error.
 */
void
sv_retain_let_truncate(List *relations, List *seen, bool cascade)
{
	SvIdentity	identity;
	ListCell   *lr;
	ListCell   *lk;

	sv_catalog_become_owner(&identity);
	foreach(lr, relations)
	{
		foreach(lk, foreign_keys(lfirst_oid(lr), true))
		{
			Form_pg_constraint form =
				(Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lk));

			if (get_rel_namespace(form->conrelid) != sv_retain_schema() ||
				list_member_oid(relations, form->conrelid) ||
				OidIsValid(form->conparentid))
				continue;
			if (list_member_oid(seen, form->conrelid))
			{
				if (!cascade)
					refuse_truncate(lfirst_oid(lr), form->conrelid);
				continue;
			}
			LockRelationOid(form->conrelid, AccessExclusiveLock);
			sv_retain_drop_constraint(form->oid);
		}
	}
	sv_catalog_become_caller(&identity);
}

/* what moves along with a relation, and its name where they go */
typedef struct Follower
{
	Oid			oid;
	char	   *name;
	bool		is_index;
} Follower;

/*
 * A name that nothing has in any schema, for something on its way.
 */
char *
sv_retain_passing_name(Oid object)
{
	return psprintf("schemaver shift %u", object);
}

/*
 * The name for an index in another schema: what it was called first, if that
 * is free there, unless it is one to be hidden.
 */
static char *
following_name(Oid index, Oid schema)
{
	char	   *name = get_rel_name(index);
	char	   *here = get_namespace_name(get_rel_namespace(index));
	char	   *former = sv_is_hidden(name) ? NULL :
	sv_catalog_former_name(here, name);
	char	   *new_name = free_relation_name(former ? former : name, schema);

	sv_catalog_note_rename(here, name, get_namespace_name(schema), new_name);
	return new_name;
}

/* have something that moves along take another name, now or on its arrival */
static List *
add_follower(List *followers, Oid oid, char *name, bool is_index)
{
	Follower   *follower;

	if (strcmp(get_rel_name(oid), name) == 0)
		return followers;
	RenameRelationInternal(oid, sv_retain_passing_name(oid), true, is_index);
	CommandCounterIncrement();
	follower = palloc(sizeof(Follower));
	follower->oid = oid;
	follower->name = name;
	follower->is_index = is_index;
	return lappend(followers, follower);
}

/*
 * Free the names of what is about to move along with a relation; returns what
 * name_followers() takes when all have arrived.
 */
static List *
free_followers(Oid relation, Oid schema)
{
	Relation	table = relation_open(relation, AccessExclusiveLock);
	List	   *indexes = list_copy(RelationGetIndexList(table));
	List	   *followers = NIL;
	ListCell   *lc;

	relation_close(table, NoLock);
	foreach(lc, indexes)
		followers = add_follower(followers, lfirst_oid(lc),
								 following_name(lfirst_oid(lc), schema), true);
	foreach(lc, getOwnedSequences(relation))
		followers = add_follower(followers, lfirst_oid(lc),
								 free_relation_name(get_rel_name(lfirst_oid(lc)),
													schema), false);
	return followers;
}

static void
name_followers(List *followers)
{
	ListCell   *lc;

	foreach(lc, followers)
	{
		Follower   *follower = lfirst(lc);

		RenameRelationInternal(follower->oid, follower->name, true,
							   follower->is_index);
		CommandCounterIncrement();
	}
}

/*
 * Take a table that is put away out of a parent that stays: the newest
 * version must not find its rows there.
 */
void
sv_retain_disinherit(Oid relation, Oid parent)
{
	char	   *text =
	psprintf("ALTER TABLE %s NO INHERIT %s",
			 sv_catalog_relation_name(relation),
			 sv_catalog_relation_name(parent));
	SvIdentity	identity;

	sv_catalog_become_owner(&identity);
	sv_retain_run(text);
	sv_catalog_become_caller(&identity);
}

/*
 * A sequence that a column owns must be in its table's schema.  One that is
 * put away depends on the column all the same, in a way that is no ownership
 * but lets it come back.
 */
static char
judge_ownership(Form_pg_depend form, const void *argument)
{
	const char *types = argument;

	return form->refclassid == RelationRelationId && form->refobjsubid != 0 &&
		form->deptype == types[0] ? types[1] : form->deptype;
}

static void
set_ownership(Oid sequence, char from, char to)
{
	char		types[2] = {from, to};

	change_dependencies(RelationRelationId, sequence, judge_ownership, types);
}

/*
 * Move a table to another schema, and what goes along with it: but not the
 * sequences that were put away by themselves.
 */
static void
move_table(Relation table, Oid schema)
{
	Oid			from = RelationGetNamespace(table);
	ObjectAddresses *moved = new_object_addresses();
	List	   *staying = NIL;
	ListCell   *lc;

	foreach(lc, getOwnedSequences(RelationGetRelid(table)))
	{
		if (get_rel_namespace(lfirst_oid(lc)) != from)
			staying = lappend_oid(staying, lfirst_oid(lc));
	}
	foreach(lc, staying)
		set_ownership(lfirst_oid(lc), DEPENDENCY_AUTO, DEPENDENCY_NORMAL);
	AlterTableNamespaceInternal(table, from, schema, moved);
	CommandCounterIncrement();
	foreach(lc, staying)
		set_ownership(lfirst_oid(lc), DEPENDENCY_NORMAL, DEPENDENCY_AUTO);
	free_object_addresses(moved);
}

/*
 * Move a relation to the schema of retained relations, where it gets another
 * name if its own is taken.  "kept" is a list of ObjectAddress * that says
 * what else is retained.
 */
void
sv_retain_relation(Oid relation, List *kept)
{
	Oid			schema = sv_retain_schema();
	List	   *followers = NIL;
	Relation	table;
	char	   *name;
	char	   *free_name;

	LockRelationOid(relation, AccessExclusiveLock);
	if (get_rel_namespace(relation) == schema)
		return;
	name = get_rel_name(relation);
	free_name = free_relation_name(name, schema);
	if (get_rel_relkind(relation) != RELKIND_VIEW)
	{
		relax_foreign_keys(relation, kept);
		followers = free_followers(relation, schema);
	}
	if (strcmp(name, free_name) != 0)
	{
		RenameRelationInternal(relation, free_name, true, false);
		CommandCounterIncrement();
	}
	table = relation_open(relation, AccessExclusiveLock);
	move_table(table, schema);
	relation_close(table, NoLock);
	name_followers(followers);
	sv_contract_touch(RelationRelationId, relation);
}

/*
 * Functions, types, sequences
 */

static void
move_sequence(Oid sequence, Oid schema, ObjectAddresses *moved)
{
	Relation	catalog = table_open(RelationRelationId, RowExclusiveLock);

	set_ownership(sequence, DEPENDENCY_AUTO, DEPENDENCY_NORMAL);
	LockRelationOid(sequence, AccessExclusiveLock);
	AlterRelationNamespaceInternal(catalog, sequence,
								   get_rel_namespace(sequence), schema, true,
								   moved);
	table_close(catalog, RowExclusiveLock);
}

/*
 * Hide the sequence of an identity column, which must stay with its table.
 */
void
sv_retain_hide_sequence(Oid sequence)
{
	char	   *name = get_rel_name(sequence);
	Oid			schema = get_rel_namespace(sequence);

	if (sv_is_hidden(name) || schema == sv_retain_schema())
		return;
	RenameRelationInternal(sequence, hidden_relation_name(name, schema), true,
						   false);
	CommandCounterIncrement();
	sv_contract_touch(RelationRelationId, sequence);
}

/*
 * Let a column be an identity of a kind, of none if that is '\0'.  Changes the
 * catalog alone; the table must be locked.
 */
void
sv_retain_set_identity(Oid relation, AttrNumber number, char identity)
{
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relation),
											Int16GetDatum(number));

	((Form_pg_attribute) GETSTRUCT(tuple))->attidentity = identity;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Let a column be no identity any more, but own its sequence still.
 */
void
sv_retain_end_identity(Oid relation, AttrNumber number, Oid sequence)
{
	LockRelationOid(relation, AccessExclusiveLock);
	sv_retain_set_identity(relation, number, '\0');
	set_ownership(sequence, DEPENDENCY_INTERNAL, DEPENDENCY_AUTO);
	sv_contract_touch(RelationRelationId, relation);
}

/*
 * Make a column an identity again, whose sequence it still owns.
 */
void
sv_retain_return_identity(Oid relation, AttrNumber number, Oid sequence,
						  char identity)
{
	LockRelationOid(relation, AccessExclusiveLock);
	sv_retain_set_identity(relation, number, identity);
	set_ownership(sequence, DEPENDENCY_AUTO, DEPENDENCY_INTERNAL);
	sv_contract_touch(RelationRelationId, relation);
}

/*
 * The type that a function was made with, as those that make a range are;
 * InvalidOid if there is none.
 */
Oid
sv_retain_type_of(Oid function)
{
	Oid			type = InvalidOid;
	ListCell   *lc;

	foreach(lc, sv_catalog_references(ProcedureRelationId, function))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->deptype == DEPENDENCY_INTERNAL &&
			form->refclassid == TypeRelationId)
			type = form->refobjid;
	}
	return type;
}

/* a type moves with what was made together with it: a range with functions */
static void
move_type(Oid type, Oid schema, ObjectAddresses *moved)
{
	ObjectAddress address;
	ListCell   *lc;

	(void) AlterTypeNamespaceInternal(type, schema, false, true, moved);
	ObjectAddressSet(address, TypeRelationId, type);
	foreach(lc, sv_retain_parts_of(&address))
	{
		ObjectAddress *part = lfirst(lc);

		if (part->classId != ProcedureRelationId ||
			sv_retain_type_of(part->objectId) != type ||
			get_func_namespace(part->objectId) == schema)
			continue;
		(void) AlterObjectNamespace_oid(part->classId, part->objectId, schema,
										moved);
		sv_contract_touch(part->classId, part->objectId);
	}
	if (OidIsValid(get_range_multirange(type)))
		move_type(get_range_multirange(type), schema, moved);
}

/*
 * Move a function, type, sequence or another object that belongs to a schema
 * into a version schema.
 */
void
sv_retain_home(Oid class_id, Oid object, Oid schema)
{
	ObjectAddresses *moved = new_object_addresses();
	SvIdentity	identity;

	sv_catalog_become_owner(&identity);
	if (class_id == RelationRelationId)
		move_sequence(object, schema, moved);
	else if (class_id == TypeRelationId)
		move_type(object, schema, moved);
	else
		(void) AlterObjectNamespace_oid(class_id, object, schema, moved);
	sv_catalog_become_caller(&identity);
	free_object_addresses(moved);
	CommandCounterIncrement();

	/* a function holds no data: DROP EXTENSION may take it along */
	if (class_id == ProcedureRelationId &&
		sv_contract_is_version_schema(schema))
		sv_catalog_depend_on_extension(class_id, object);
	else
		deleteDependencyRecordsForSpecific(class_id, object,
										   DEPENDENCY_AUTO_EXTENSION,
										   ExtensionRelationId,
										   sv_catalog_extension(false));
	CommandCounterIncrement();
	sv_contract_touch(class_id, object);
}

/*
 * Freeing what nobody needs any more
 */

/* the entries that some releases have on a relation */
static List *
entries_of(Oid relation, List *releases)
{
	List	   *entries = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(relation))
	{
		if (sv_catalog_any_has_entry(releases, lfirst_int(lc)))
			entries = lappend(entries, sv_catalog_entry(lfirst_int(lc)));
	}
	return entries;
}

/* does one of the entries have that column? */
static bool
is_column_needed(Oid relation, AttrNumber number, List *releases)
{
	ListCell   *le;
	ListCell   *lp;

	foreach(le, entries_of(relation, releases))
	{
		foreach(lp, ((SvEntry *) lfirst(le))->columns)
		{
			if (((SvPart *) lfirst(lp))->number == number)
				return true;
		}
	}
	return false;
}

/* is a trigger, constraint or index a part of a needed entry? */
static bool
is_part_needed(Oid object, List *releases)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_with(object))
	{
		if (sv_catalog_any_has_entry(releases, lfirst_int(lc)))
			return true;
	}
	return false;
}

static List *
add_address(List *objects, Oid class_id, Oid object, int32 sub_object)
{
	return lappend(objects, sv_catalog_address(class_id, object, sub_object));
}

/* begin to look for all that has a hidden name in a catalog */
static SysScanDesc
begin_hidden(Relation catalog, Oid index, AttrNumber column)
{
	ScanKeyData keys[2];

	/* the prefix ends with an underscore; a grave accent is the next byte */
	ScanKeyInit(&keys[0], column, BTGreaterEqualStrategyNumber, F_NAMEGE,
				DirectFunctionCall1(namein,
									CStringGetDatum(SV_HIDDEN_PREFIX)));
	ScanKeyInit(&keys[1], column, BTLessStrategyNumber, F_NAMELT,
				DirectFunctionCall1(namein,
									CStringGetDatum(SV_HIDDEN_NAME "`")));
	return systable_beginscan(catalog, index, OidIsValid(index), NULL, 2,
							  keys);
}

static bool
is_in_base_schema(Oid relation, const SvProduct *product)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));

	return schema && sv_catalog_is_base_schema(product, schema);
}

static bool
is_unique_index(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		is_unique = ((Form_pg_index) GETSTRUCT(tuple))->indisunique;

	ReleaseSysCache(tuple);
	return is_unique;
}

/* the hidden columns of its table that an index is over, or mentions */
static List *
hidden_columns_of(Oid index, Oid relation)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_references(RelationRelationId, index))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refclassid == RelationRelationId &&
			form->refobjid == relation && form->refobjsubid > 0 &&
			sv_is_hidden(get_attname(relation, form->refobjsubid, false)))
			columns = lappend_int(columns, form->refobjsubid);
	}
	return columns;
}

/* is a job building it, or about to make it what it is to be? */
static bool
is_left_to_job(Oid index)
{
	const char *name = get_rel_name(index);
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);
		char	   *own = psprintf(SV_JOB_NAME "_%d_", job->id);

		/* of a partition while it is built, see work.c */
		if (strncmp(name, own, strlen(own)) == 0 ||
			(strcmp(job->kind, SV_JOB_INDEX) == 0 &&
			 strcmp(job->name, name) == 0) ||
			(strcmp(job->kind, SV_JOB_ATTACH) == 0 && job->condition &&
			 strcmp(job->condition, name) == 0) ||
			((strcmp(job->kind, SV_JOB_LOOSEN) == 0 ||
			  strcmp(job->kind, SV_JOB_TIGHTEN) == 0) &&
			 strcmp(psprintf(SV_JOB_NAME "_%d", job->id), name) == 0))
			return true;
	}
	return false;
}

/* is there a job that will add a mark of that name to a key? */
static bool
is_mark_of_job(const char *name)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (strcmp(job->kind, SV_JOB_LOOSEN) == 0 &&
			strcmp(job->text, name) == 0)
			return true;
	}
	return false;
}

/* does a version find rows of a hidden column by the index? */
static bool
serves_needed_column(Oid index, List *releases)
{
	Oid			relation = IndexGetRelation(index, false);
	ListCell   *lc;

	foreach(lc, hidden_columns_of(index, relation))
	{
		if (is_column_needed(relation, lfirst_int(lc), releases))
			return true;
	}
	return false;
}

static List *
add_unused_indexes(List *objects, const SvProduct *product, List *releases)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = begin_hidden(catalog, ClassNameNspIndexId,
									Anum_pg_class_relname);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		ObjectAddress *key;

		if ((form->relkind != RELKIND_INDEX &&
			 form->relkind != RELKIND_PARTITIONED_INDEX) ||
			form->relispartition || !is_in_base_schema(form->oid, product))
			continue;
		key = sv_contract_key_address(form->oid);
		if (is_left_to_job(form->oid) ||
			is_part_needed(key->objectId, releases) ||
			(key->classId == RelationRelationId &&
			 !is_unique_index(form->oid) &&
			 serves_needed_column(form->oid, releases)))
			continue;
		objects = lappend(objects, key);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return objects;
}

static List *
add_unused_triggers(List *objects, const SvProduct *product, List *releases)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = begin_hidden(catalog, InvalidOid,
									Anum_pg_trigger_tgname);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (!OidIsValid(form->tgparentid) &&
			is_in_base_schema(form->tgrelid, product) &&
			!is_part_needed(form->oid, releases))
			objects = add_address(objects, TriggerRelationId, form->oid, 0);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return objects;
}

/* is a column the mark of a unique key that a version needs? */
static bool
is_mark_needed(Oid relation, AttrNumber number, List *releases)
{
	Relation	table;
	bool		needed = false;
	ListCell   *lc;

	if (!sv_contract_is_mark(relation, number))
		return false;
	if (is_mark_of_job(get_attname(relation, number, false)))
		return true;
	table = relation_open(relation, AccessShareLock);
	foreach(lc, RelationGetIndexList(table))
	{
		Oid			index = lfirst_oid(lc);

		needed |= sv_contract_mark_of(index) == number &&
			is_part_needed(sv_contract_key_address(index)->objectId,
						   releases);
	}
	relation_close(table, AccessShareLock);
	return needed;
}

static List *
add_unused_columns(List *objects, const SvProduct *product, List *releases)
{
	Relation	catalog = table_open(AttributeRelationId, AccessShareLock);
	SysScanDesc scan = begin_hidden(catalog, InvalidOid,
									Anum_pg_attribute_attname);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);

		/* an index names its columns after those of the table */
		if (!form->attisdropped && form->attinhcount == 0 &&
			sv_contract_is_table(get_rel_relkind(form->attrelid)) &&
			is_in_base_schema(form->attrelid, product) &&
			!is_column_needed(form->attrelid, form->attnum, releases) &&
			!is_mark_needed(form->attrelid, form->attnum, releases))
			objects = add_address(objects, RelationRelationId,
								  form->attrelid, form->attnum);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return objects;
}

/* sequences of identities that are none any more; others go with the column */
static List *
add_unused_sequences(List *objects, const SvProduct *product, List *releases)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	SysScanDesc scan = begin_hidden(catalog, ClassNameNspIndexId,
									Anum_pg_class_relname);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		Oid			table;
		int32		column;

		if (form->relkind == RELKIND_SEQUENCE &&
			is_in_base_schema(form->oid, product) &&
			!sequenceIsOwned(form->oid, DEPENDENCY_INTERNAL, &table,
							 &column) &&
			sv_catalog_entries_on(form->oid) != NIL &&
			entries_of(form->oid, releases) == NIL)
			objects = add_address(objects, RelationRelationId, form->oid, 0);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return objects;
}

static bool
is_release_among(const SvRelease *release, List *releases)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (((SvRelease *) lfirst(lc))->id == release->id)
			return true;
	}
	return false;
}

/*
 * Supported releases of whatever product, without those that retire: what one
 * gives up another may need.
 */
static List *
all_supported(List *retiring)
{
	List	   *releases = NIL;
	ListCell   *lp;
	ListCell   *lr;

	foreach(lp, sv_catalog_products())
	{
		foreach(lr, sv_catalog_releases(lfirst(lp), true))
		{
			if (!is_release_among(lfirst(lr), retiring))
				releases = lappend(releases, lfirst(lr));
		}
	}
	return releases;
}

/*
 * What is retained for a product and no supported release needs, but for some
 * that are about to retire: a list of ObjectAddress *, relations and the
 * hidden parts of tables that stay, the parts first.
 */
List *
sv_retain_unused(const SvProduct *product, List *retiring)
{
	List	   *releases = all_supported(retiring);
	List	   *objects = NIL;
	ListCell   *lc;

	objects = add_unused_triggers(objects, product, releases);
	objects = add_unused_indexes(objects, product, releases);
	objects = add_unused_columns(objects, product, releases);
	objects = add_unused_sequences(objects, product, releases);
	foreach(lc, sv_catalog_objects_of_schema(sv_retain_schema(),
											 RelationRelationId))
	{
		Oid			relation = lfirst_oid(lc);

		/* partitions go along; what nobody ever knew is not ours to drop */
		if (!get_rel_relispartition(relation) &&
			sv_catalog_entries_on(relation) != NIL &&
			entries_of(relation, releases) == NIL)
			objects = add_address(objects, RelationRelationId, relation, 0);
	}
	return objects;
}

/*
 * The relation that something retained is, or is a part of.
 */
Oid
sv_retain_relation_of(const ObjectAddress *object)
{
	char		relkind;

	if (object->classId != RelationRelationId)
		return sv_contract_owning_relation(object->classId, object->objectId);
	relkind = get_rel_relkind(object->objectId);
	return relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX ?
		IndexGetRelation(object->objectId, false) : object->objectId;
}

/* the columns of an UPDATE OF without one of them, in the catalog */
static void
shorten_trigger(const Trigger *trigger, AttrNumber number)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int16	   *left = palloc(sizeof(int16) * trigger->tgnattr);
	int			nleft = 0;
	Datum		values[Natts_pg_trigger] = {0};
	bool		nulls[Natts_pg_trigger] = {0};
	bool		replace[Natts_pg_trigger] = {0};

	for (int i = 0; i < trigger->tgnattr; i++)
	{
		if (trigger->tgattr[i] != number)
			left[nleft++] = trigger->tgattr[i];
	}
	values[Anum_pg_trigger_tgattr - 1] =
		PointerGetDatum(buildint2vector(left, nleft));
	replace[Anum_pg_trigger_tgattr - 1] = true;
	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger->tgoid));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = heap_modify_tuple(systable_getnext(scan),
							  RelationGetDescr(catalog), values, nulls,
							  replace);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
}

/*
 * A column is about to go: triggers for an update of it or of another column
 * stay for that one.
 */
static void
leave_triggers(Oid relation, AttrNumber number)
{
	Relation	table = relation_open(relation, AccessExclusiveLock);
	TriggerDesc *triggers = CopyTriggerDesc(table->trigdesc);

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		int			n;

		for (n = 0; n < trigger->tgnattr; n++)
		{
			if (trigger->tgattr[n] == number)
				break;
		}
		if (n == trigger->tgnattr || trigger->tgnattr == 1)
			continue;
		shorten_trigger(trigger, number);
		sv_retain_loosen(TriggerRelationId, trigger->tgoid, relation, number);
		CacheInvalidateRelcache(table);
	}
	relation_close(table, NoLock);
	CommandCounterIncrement();
}

/* a column goes from all heirs of its table */
static void
add_column(ObjectAddresses *addresses, Oid relation, AttrNumber number)
{
	char	   *name = get_attname(relation, number, false);
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, AccessExclusiveLock, NULL))
	{
		ObjectAddress column;

		ObjectAddressSubSet(column, RelationRelationId, lfirst_oid(lc),
							get_attnum(lfirst_oid(lc), name));
		leave_triggers(column.objectId, column.objectSubId);
		add_exact_object_address(&column, addresses);
	}
}

/*
 * Add what sv_retain_unused() has told to what is to be dropped, and lock it.
 * The caller has locked the compatibility views on it.
 */
void
sv_retain_add_unused(List *unused, ObjectAddresses *addresses)
{
	ListCell   *lc;

	foreach(lc, unused)
	{
		ObjectAddress *object = lfirst(lc);
		Oid			relation = sv_retain_relation_of(object);

		LockRelationOid(relation, AccessExclusiveLock);
		sv_contract_touch(RelationRelationId, relation);
		if (object->objectSubId)
			add_column(addresses, object->objectId, object->objectSubId);
		else
			add_exact_object_address(object, addresses);
	}
}

/*
 * Bringing back
 */

/*
 * What belongs to a relation, objects that depend on it or its columns: a
 * list of ObjectAddress *, each once.
 */
List *
sv_retain_parts_of(const ObjectAddress *whole)
{
	List	   *parts = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(whole->classId, whole->objectId, -1))
	{
		Form_pg_depend form = lfirst(lc);

		if (whole->classId == RelationRelationId &&
			(form->classid == RelationRelationId ?
			 get_rel_relkind(form->objid) == RELKIND_VIEW :
			 sv_contract_owning_relation(form->classid, form->objid) !=
			 whole->objectId))
			continue;
		if ((form->deptype == DEPENDENCY_AUTO ||
			 form->deptype == DEPENDENCY_INTERNAL) &&
			!is_among(form->classid, form->objid, parts))
			parts = add_address(parts, form->classid, form->objid, 0);
	}
	return parts;
}

/* is an automatic dependency just that of a part on its whole? */
static bool
is_of_part(Form_pg_depend form, const ObjectAddress *object,
		   const ObjectAddress *whole)
{
	ObjectAddress column;

	/* a column's own dependency on others of its table, see is_repeated() */
	if (object->classId == RelationRelationId && form->objsubid != 0)
		return false;
	if (object->classId == AttrDefaultRelationId &&
		is_generation(object->objectId, &column))
		return false;
	if (object->classId == TriggerRelationId)
		return form->refclassid == RelationRelationId &&
			form->refobjsubid == 0;
	return form->refclassid == whole->classId &&
		form->refobjid == whole->objectId;
}

/* is a dependency of a relation there for its rule, or a generated column? */
static bool
is_repeated(Form_pg_depend form)
{
	if (get_rel_relkind(form->objid) == RELKIND_VIEW)
		return true;
	return form->objsubid != 0 && form->refclassid != TypeRelationId &&
		form->refclassid != CollationRelationId;
}

/* an object that comes back */
typedef struct Hardened
{
	const ObjectAddress *object;
	const ObjectAddress *whole; /* that it is a part of, or itself */
} Hardened;

static char
harden_one(Form_pg_depend form, const void *argument)
{
	const Hardened *hardened = argument;

	if (form->deptype != DEPENDENCY_AUTO ||
		is_of_part(form, hardened->object, hardened->whole))
		return form->deptype;
	return form->classid == RelationRelationId && is_repeated(form) ? '\0' :
		DEPENDENCY_NORMAL;
}

/* undo sv_retain_soften() for one object; a part of "whole" */
static void
harden_object(const ObjectAddress *object, const ObjectAddress *whole)
{
	Hardened	hardened = {object, whole};

	change_dependencies(object->classId, object->objectId, harden_one,
						&hardened);
}

/*
 * What has come back stands in the way of dropping what it depends on again.
 */
static void
harden(Oid class_id, Oid object)
{
	ObjectAddress whole;
	ListCell   *lc;

	ObjectAddressSet(whole, class_id, object);
	harden_object(&whole, &whole);
	foreach(lc, class_id == RelationRelationId ?
			sv_retain_parts_of(&whole) : NIL)
	{
		/* one may be listed twice, by two of its columns */
		harden_object(lfirst(lc), &whole);
	}
}

/* a trigger depends on writes_as() no more, be it softly or not */
static void
forget_condition(Oid trigger)
{
	Oid			function = writes_as_function();

	deleteDependencyRecordsForSpecific(TriggerRelationId, trigger,
									   DEPENDENCY_AUTO, ProcedureRelationId,
									   function);
	deleteDependencyRecordsForSpecific(TriggerRelationId, trigger,
									   DEPENDENCY_NORMAL, ProcedureRelationId,
									   function);
	CommandCounterIncrement();
}

/*
 * Give a hidden trigger the name that a contract says, let it fire for
 * everybody again, and stand in the way of dropping what it needs.
 */
void
sv_retain_return_trigger(Oid trigger, const char *name)
{
	Oid			relation = sv_contract_owning_relation(TriggerRelationId,
													   trigger);
	ListCell   *lc;

	foreach(lc, trigger_family(trigger))
	{
		(void) change_trigger(lfirst_oid(lc), name, NULL);
		forget_condition(lfirst_oid(lc));
		harden(TriggerRelationId, lfirst_oid(lc));
	}
	sv_contract_touch(RelationRelationId, relation);
	CommandCounterIncrement();
}

/* the names of indexes and sequences that had to give way come back as well */
static void
rename_index_back(const SvPart *part)
{
	Oid			index = part->flavour == 'i' ? part->object :
	get_constraint_index(part->object);

	if (!OidIsValid(index) || strcmp(get_rel_name(index), part->name) == 0)
		return;
	RenameRelationInternal(index, part->name, true, true);
	CommandCounterIncrement();
	return_children(index);
}

/* are all columns of a key NOT NULL, as a primary key demands? */
static bool
is_not_null(Oid relation, List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (!sv_catalog_is_not_null(relation, lfirst_int(lc)))
			return false;
	}
	return true;
}

/*
 * A key has come back: what it depends on besides its table it keeps.  That a
 * constraint depends on the same as its index was for the hidden one alone.
 */
static char
harden_key_one(Form_pg_depend form, const void *argument)
{
	(void) argument;
	if (form->deptype != DEPENDENCY_AUTO ||
		form->refclassid == RelationRelationId)
		return form->deptype;
	return form->classid == ConstraintRelationId ? '\0' : DEPENDENCY_NORMAL;
}

static void
harden_key(Oid class_id, Oid object)
{
	Oid			index = class_id == ConstraintRelationId ?
	get_constraint_index(object) : object;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(index, NoLock, NULL))
	{
		Oid			constraint = get_index_constraint(lfirst_oid(lc));

		change_dependencies(RelationRelationId, lfirst_oid(lc),
							harden_key_one, NULL);
		if (OidIsValid(constraint))
			change_dependencies(ConstraintRelationId, constraint,
								harden_key_one, NULL);
	}
}

/*
 * Give a unique constraint or index of a relation the name that a contract
 * says, and make it a primary key again if it was one and its columns allow
 * it.
 */
void
sv_retain_return_unique(Oid relation, const SvPart *part)
{
	rename_index_back(part);
	harden_key(sv_contract_key_class(part), part->object);
	if (part->flavour == CONSTRAINT_PRIMARY &&
		is_not_null(relation, part->columns))
		(void) sv_retain_change_key(part->object, true);
	sv_contract_touch(RelationRelationId, relation);
}

/*
 * Give the plain indexes of a table whose columns are all visible again the
 * names that they had.
 */
void
sv_retain_return_indexes(Oid relation)
{
	Relation	table = relation_open(relation, AccessExclusiveLock);
	List	   *indexes = list_copy(RelationGetIndexList(table));
	ListCell   *lc;

	relation_close(table, NoLock);
	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);
		char	   *former;

		if (!sv_is_hidden(get_rel_name(index)) || is_left_to_job(index) ||
			is_unique_index(index) ||
			OidIsValid(get_index_constraint(index)) ||
			hidden_columns_of(index, relation) != NIL)
			continue;
		former = name_before(index);
		if (!sv_retain_is_free_name(former, get_rel_namespace(index)))
			continue;
		rename_index(index, former);
		return_children(index);
		sv_contract_touch(RelationRelationId, relation);
	}
}

/*
 * Give a hidden column of a table, and of its heirs, the name that a contract
 * says.
 */
void
sv_retain_return_column(Oid relation, AttrNumber number, const char *name)
{
	RenameStmt *rename = makeNode(RenameStmt);
	ListCell   *lc;

	if (sv_catalog_is_inherited(relation, number))
		return;
	rename->renameType = OBJECT_COLUMN;
	rename->relationType = OBJECT_TABLE;
	rename->relation = range_of(relation);
	rename->subname = get_attname(relation, number, false);
	rename->newname = pstrdup(name);
	rename->behavior = DROP_RESTRICT;
	(void) renameatt(rename);
	CommandCounterIncrement();
	sv_hold_rename(relation, rename->subname, name);
	sv_tolerate_no_more(relation, name);
	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		Oid			heir = lfirst_oid(lc);

		/* what was softened there is what its column is made by */
		if (heir == relation ||
			OidIsValid(GetAttrDefaultOid(heir, get_attnum(heir, name))))
			harden(RelationRelationId, heir);
	}
	sv_contract_touch(RelationRelationId, relation);
}

/* move a relation back into a schema; a partition goes by any free name */
static void
move_back(Oid relation, Oid schema, const char *name)
{
	List	   *followers = NIL;
	Relation	table;

	LockRelationOid(relation, AccessExclusiveLock);
	if (get_rel_relkind(relation) != RELKIND_VIEW)
		followers = free_followers(relation, schema);
	if (strcmp(get_rel_name(relation), name) != 0)
	{
		/* by way of a name that neither schema has */
		RenameRelationInternal(relation, sv_retain_passing_name(relation),
							   true, false);
		CommandCounterIncrement();
	}
	table = relation_open(relation, AccessExclusiveLock);
	if (RelationGetNamespace(table) != schema)
		move_table(table, schema);
	relation_close(table, NoLock);
	if (strcmp(get_rel_name(relation), name) != 0)
	{
		RenameRelationInternal(relation, name, true, false);
		CommandCounterIncrement();
	}
	name_followers(followers);
	harden(RelationRelationId, relation);
	sv_contract_touch(RelationRelationId, relation);
}

/*
 * Move a retained relation back into a schema, under a name, and its
 * partitions with it.
 */
void
sv_retain_return_relation(Oid relation, Oid schema, const char *name)
{
	ListCell   *lc;

	move_back(relation, schema, name);
	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, find_all_inheritors(relation, AccessExclusiveLock, NULL))
	{
		Oid			partition = lfirst_oid(lc);

		if (get_rel_namespace(partition) == sv_retain_schema())
			move_back(partition, schema,
					  free_relation_name(get_rel_name(partition), schema));
	}
}

/*
 * Give a hidden sequence of an identity column the name that a contract says.
 */
void
sv_retain_return_sequence(Oid sequence, const char *name)
{
	RenameRelationInternal(sequence, name, true, false);
	CommandCounterIncrement();
	sv_contract_touch(RelationRelationId, sequence);
}

static char *
name_of(Oid class_id, Oid object)
{
	HeapTuple	tuple;
	char	   *name;

	if (class_id == RelationRelationId)
		return get_rel_name(object);
	if (class_id == ProcedureRelationId)
		return get_func_name(object);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(object));
	name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return name;
}

/* give a function, type or sequence another name */
static void
rename_home(Oid class_id, Oid object, const char *name)
{
	Relation	catalog;
	HeapTuple	tuple;

	if (class_id == RelationRelationId)
		RenameRelationInternal(object, name, true, false);
	else if (class_id == TypeRelationId)
		RenameTypeInternal(object, name,
						   GetSysCacheOid1(TYPEOID, Anum_pg_type_typnamespace,
										   ObjectIdGetDatum(object)));
	else
	{
		catalog = table_open(ProcedureRelationId, RowExclusiveLock);
		tuple = SearchSysCacheCopy1(PROCOID, ObjectIdGetDatum(object));
		namestrcpy(&((Form_pg_proc) GETSTRUCT(tuple))->proname, name);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		table_close(catalog, RowExclusiveLock);
	}
	CommandCounterIncrement();
}

/*
 * Move a function, type or sequence from a version schema back into a base
 * schema, under a name that is free there, NULL for the one that it has.  If
 * it was put away under another, it goes by way of one that neither has.
 */
void
sv_retain_return_home(Oid class_id, Oid object, Oid schema, const char *name)
{
	bool		is_renamed = name && strcmp(name_of(class_id, object), name) != 0;

	if (is_renamed)
		rename_home(class_id, object, psprintf("schemaver shift %u", object));
	sv_retain_home(class_id, object, schema);
	if (is_renamed)
		rename_home(class_id, object, name);
	if (class_id == RelationRelationId)
		set_ownership(object, DEPENDENCY_NORMAL, DEPENDENCY_AUTO);
	else
		harden(class_id, object);
}
