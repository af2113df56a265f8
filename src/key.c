/*-------------------------------------------------------------------------
 *
 * key.c
 *	  A unique key that only older versions still have does not hold the
 *	  newest one back.
 *
 * An older version's ON CONFLICT needs an index that is unique over its
 * columns, and goes on finding by it what is there.  The newest version has
 * dropped the key and may write the same values again.  So a key that was put
 * away is made anew, loosened: with one more column at its end, the mark.  It
 * is true in the row that was the first one with its values, and in others
 * null, which is distinct from everything.
 *
 * Rules kept here:
 *
 * - An exclusion constraint has the mark as a condition: an operator class for
 *	 it would have to be installed.  So has an index with expressions or other
 *	 conditions, which may fail for what the newest version writes; then the
 *	 row has no mark.
 * - Where a constraint takes nulls for equal, so that a mark of null would be a
 *	 duplicate as well, marks are numbers: 0 in the first row, and one of its
 *	 own in others.
 * - Where its columns have changed their type before, the keys over those that
 *	 they were are loosened with it.
 * - Rows have a mark by its default, so older versions are held to the key
 *	 among all marked rows, as ever.  For what the newest version writes a pair
 *	 of sync.c computes the mark, by schemaver.is_first(): see first.c, which
 *	 also tells the planner that ON CONFLICT (a, b) means (a, b, mark).
 * - The server cannot add a column to an index, so this makes another one,
 *	 and contracts are linked to that.  For a large table a job does it beside
 *	 the application's traffic; the key is as it was until then.  It stays so
 *	 where more stands on it.
 * - On a partitioned table each partition's index is made anew with it, and
 *	 takes the name of the one before.
 * - The way back is the same: where no supported version writes what the key
 *	 would reject, and no row is without its mark, the key is made anew without
 *	 it.  Otherwise it stays loosened, under its name if the current version
 *	 has it.
 * - A key that a script adds is loosened likewise for older versions, if these
 *	 may leave behind what the newest one does not allow.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/attmap.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_utilcmd.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* an index of a table or of one of its partitions, by its name */
typedef struct Named
{
	Oid			table;
	char	   *name;
} Named;

/*
 * Keys
 */

/*
 * The index of a unique constraint, or the index itself.
 */
Oid
sv_key_index(Oid class_id, Oid object)
{
	return class_id == ConstraintRelationId ? get_constraint_index(object) :
		object;
}

/*
 * Is a unique constraint or index loosened?
 */
bool
sv_key_is_loose(Oid class_id, Oid object)
{
	Relation	index = try_relation_open(sv_key_index(class_id, object),
										  AccessShareLock);
	bool		loose;

	if (index == NULL)
		return false;
	loose = sv_contract_index_mark(index) != InvalidAttrNumber;
	relation_close(index, AccessShareLock);
	return loose;
}

/* does anything but a part of it, or what goes along, depend on it? */
static bool
is_stood_on(Oid class_id, Oid object)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(class_id, object, -1))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->deptype == DEPENDENCY_NORMAL)
			return true;
	}
	return false;
}

/*
 * Can a table have a mark?  Its partitions and heirs get it along with it; a
 * foreign table's other end would not, and a partition has no column that the
 * whole has not.
 */
static bool
can_be_marked(Oid relation)
{
	char		relkind = get_rel_relkind(relation);
	ListCell   *lc;

	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		get_rel_relispartition(relation))
		return false;
	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			return false;
	}
	return true;
}

/* is a hidden column computed from what other versions write? */
static bool
is_followed(Oid relation, const char *column, bool by_newest)
{
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (pair->new_column[0] == '\0' || pair->old_column[0] == '\0')
			continue;
		if (((!by_newest || pair->newest_is_new) && pair->down[0] != '\0' &&
			 strcmp(pair->old_column, column) == 0) ||
			((!by_newest || !pair->newest_is_new) && pair->up[0] != '\0' &&
			 strcmp(pair->new_column, column) == 0))
			return true;
	}
	return false;
}

/* what the generated columns among those of an index are computed by */
static List *
generation_expressions(Relation index)
{
	Form_pg_index form = index->rd_index;
	Relation	table = relation_open(form->indrelid, NoLock);
	List	   *expressions = NIL;

	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	number = form->indkey.values[i];

		if (number > 0 &&
			get_attgenerated(form->indrelid, number) != '\0')
			expressions = lappend(expressions,
								  build_column_default(table, number));
	}
	relation_close(table, NoLock);
	return expressions;
}

/*
 * The columns that an index mentions in expressions, in its predicate, and by
 * the generated columns that it is over.
 */
static List *
mentioned_columns(Relation index)
{
	List	   *trees = list_concat(generation_expressions(index),
									RelationGetIndexExpressions(index));
	AttrNumber	mark;
	List	   *columns = NIL;
	ListCell   *lc;

	trees = list_concat(trees, sv_contract_conditions(index, &mark));
	foreach(lc, pull_var_clause((Node *) trees, 0))
	{
		AttrNumber	number = ((Var *) lfirst(lc))->varattno;

		if (number > 0)
			columns = list_append_unique_int(columns, number);
	}
	return columns;
}

/* the newest column that a column has become */
static AttrNumber
successor_of(Oid relation, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (pair->new_column[0] != '\0' && pair->old_column[0] != '\0' &&
			get_attnum(relation, pair->old_column) == number)
			return successor_of(relation,
								get_attnum(relation, pair->new_column));
	}
	return number;
}

static List *
successors_of(Oid relation, List *columns)
{
	List	   *successors = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		successors = list_append_unique_int(successors,
											successor_of(relation,
														 lfirst_int(lc)));
	list_sort(successors, list_int_cmp);
	return successors;
}

/*
 * Does a release have a key, by its object?
 */
bool
sv_key_is_known(const SvRelease *release, Oid relation, Oid key)
{
	SvEntry    *entry = sv_catalog_entry_of(release, relation);
	ListCell   *lc;

	foreach(lc, entry ? entry->constraints : NIL)
	{
		if (((SvPart *) lfirst(lc))->object == key)
			return true;
	}
	return false;
}

/* what a key is made of, by the newest columns that its own have become */
static List *
footprint(Relation index)
{
	Form_pg_index form = index->rd_index;
	List	   *columns = mentioned_columns(index);
	ListCell   *lc;

	foreach(lc, sv_contract_index_columns(index))
	{
		if (get_attgenerated(form->indrelid, lfirst_int(lc)) == '\0')
			columns = list_append_unique_int(columns, lfirst_int(lc));
	}
	return successors_of(form->indrelid, columns);
}

/* do two keys of a table say the same of what is computed from each other? */
static bool
are_counterparts(Relation key, Relation other)
{
	AttrNumber	mark;

	return other->rd_index->indisvalid &&
		other->rd_index->indisunique == key->rd_index->indisunique &&
		other->rd_index->indisexclusion == key->rd_index->indisexclusion &&
		(sv_contract_conditions(other, &mark) == NIL) ==
		(sv_contract_conditions(key, &mark) == NIL) &&
		equal(footprint(other), footprint(key));
}

/*
 * Has a release a key that says the same?  Then it is held to nothing more by
 * that of another version.
 */
static bool
has_counterpart(Relation key, const SvRelease *release)
{
	Relation	table = relation_open(key->rd_index->indrelid, NoLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	other;

		if (lfirst_oid(lc) == RelationGetRelid(key) ||
			!sv_key_is_known(release, RelationGetRelid(table),
							 sv_contract_key_address(lfirst_oid(lc))->objectId))
			continue;
		other = index_open(lfirst_oid(lc), AccessShareLock);
		found |= are_counterparts(key, other);
		index_close(other, NoLock);
	}
	relation_close(table, NoLock);
	return found;
}

/*
 * Is a column of a key NULL in all that others write, who are not held by it
 * then?  That is a hidden one that nothing computes.
 */
static bool
is_null_to_others(Relation index, bool to_newest)
{
	Form_pg_index form = index->rd_index;

	for (int i = 0; i < form->indnkeyatts && !form->indnullsnotdistinct; i++)
	{
		AttrNumber	number = form->indkey.values[i];
		char	   *name = number > 0 ?
		get_attname(form->indrelid, number, false) : NULL;

		if (name && sv_is_hidden(name) &&
			get_attgenerated(form->indrelid, number) == '\0' &&
			!is_followed(form->indrelid, name, to_newest))
			return true;
	}
	return false;
}

/* "current" is as for sv_key_loosen() */
static bool
can_loosen(Relation index, Oid class_id, Oid object, const SvRelease *current)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisvalid || form->indisprimary || form->indisreplident ||
		!can_be_marked(form->indrelid) ||
		is_null_to_others(index, current == NULL) ||
		(current && has_counterpart(index, current)))
		return false;
	if (!form->indisexclusion &&
		(!form->indisunique || index->rd_rel->relam != BTREE_AM_OID ||
		 form->indnkeyatts >= INDEX_MAX_KEYS))
		return false;
	return !is_stood_on(class_id, object) &&
		!is_stood_on(RelationRelationId, RelationGetRelid(index));
}

/*
 * Making one anew
 */

/* the statement that makes an index like that, with its constraint */
static IndexStmt *
clone_statement(Relation index)
{
	Relation	table = relation_open(index->rd_index->indrelid, NoLock);
	AttrMap    *same = make_attrmap(RelationGetDescr(table)->natts);
	Oid			constraint;
	IndexStmt  *statement;

	for (int i = 0; i < same->maplen; i++)
		same->attnums[i] = i + 1;
	statement = generateClonedIndexStmt(NULL, index, same, &constraint);
	statement->idxname = pstrdup(RelationGetRelationName(index));
	relation_close(table, NoLock);
	return statement;
}

/* the index of a table in the tree that begins with that of the whole */
static Oid
index_in_tree(Oid root, Oid table)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(root, AccessShareLock, NULL))
	{
		if (IndexGetRelation(lfirst_oid(lc), true) == table)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* the mark as a condition */
static Node *
mark_condition(Oid relation, const char *mark)
{
	AttrNumber	number = get_attnum(relation, mark);

	return (Node *) makeRelabelType((Expr *) makeVar(1, number,
													 get_atttype(relation, number),
													 -1, InvalidOid, 0),
									BOOLOID, -1, InvalidOid,
									COERCE_IMPLICIT_CAST);
}

/* is the mark of a key a condition of what it is over, or a column of it? */
static bool
marks_by_condition(Relation index)
{
	if (index->rd_index->indisexclusion)
		return true;
	return !OidIsValid(get_index_constraint(RelationGetRelid(index))) &&
		(RelationGetIndexExpressions(index) != NIL ||
		 RelationGetIndexPredicate(index) != NIL);
}

/* are marks numbers, since null is no other value than null? */
static bool
marks_by_number(Relation index)
{
	return index->rd_index->indnullsnotdistinct && !marks_by_condition(index);
}

/* a column more at the end, or a condition more, for one like that index */
static void
add_mark(IndexStmt *statement, Relation index, Oid table, const char *mark)
{
	IndexElem  *element = makeNode(IndexElem);

	if (marks_by_condition(index))
	{
		statement->whereClause =
			make_and_qual(mark_condition(table, mark),
						  statement->whereClause);
		return;
	}
	element->name = pstrdup(mark);
	statement->indexParams = lappend(statement->indexParams, element);
}

static void
remove_mark(IndexStmt *statement, Relation index)
{
	AttrNumber	mark;
	List	   *conditions;

	if (sv_contract_mark_column(index))
	{
		statement->indexParams = list_delete_last(statement->indexParams);
		return;
	}
	conditions = sv_contract_conditions(index, &mark);
	statement->whereClause = conditions == NIL ? NULL :
		(Node *) make_ands_explicit(conditions);
}

/*
 * The statement that makes an index like that of a key, or of the partition
 * "table" in its tree, with a mark, or with NULL without the one that it has.
 * No constraint is made of it; the caller completes it.  In the current memory
 * context; locks the index in AccessShareLock until the transaction ends, the
 * caller its table.
 */
IndexStmt *
sv_key_statement(Oid index_id, Oid table, const char *mark)
{
	Relation	index = relation_open(index_in_tree(index_id, table),
									  AccessShareLock);
	IndexStmt  *statement = clone_statement(index);

	statement->relation = makeRangeVar(get_namespace_name(get_rel_namespace(table)),
									   get_rel_name(table), -1);
	if (mark)
		add_mark(statement, index, table, mark);
	else
		remove_mark(statement, index);
	statement->isconstraint = false;
	statement->deferrable = statement->initdeferred = false;
	statement->excludeOpNames = NIL;
	relation_close(index, NoLock);
	return statement;
}

/* the names of an index and of those of partitions: a list of Named */
static List *
names_in_tree(Oid root)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(root, AccessExclusiveLock, NULL))
	{
		Named	   *named = palloc(sizeof(Named));

		named->table = IndexGetRelation(lfirst_oid(lc), false);
		named->name = get_rel_name(lfirst_oid(lc));
		names = lappend(names, named);
	}
	return names;
}

/* the successors of indexes take their names */
static void
name_tree(Oid root, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		Named	   *named = lfirst(lc);
		Oid			index = index_in_tree(root, named->table);

		if (OidIsValid(index) && strcmp(get_rel_name(index), named->name) != 0)
		{
			RenameRelationInternal(index, named->name, true, true);
			CommandCounterIncrement();
		}
	}
}

/* is it a view or its rule that depends? */
static bool
is_of_view(Form_pg_depend form)
{
	char		relkind = form->classid == RelationRelationId ?
	get_rel_relkind(form->objid) : '\0';

	return form->classid == RewriteRelationId || relkind == RELKIND_VIEW ||
		relkind == RELKIND_MATVIEW;
}

/*
 * Views that were put away may rely on a key, as one does that groups by it,
 * and would go with it: let them depend on it no more.  Returns what has been
 * taken away, for give_views().
 */
static List *
take_views(Oid class_id, Oid object)
{
	List	   *taken = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(class_id, object, -1))
	{
		Form_pg_depend form = lfirst(lc);

		if (is_of_view(form))
			taken = lappend(taken, form);
	}
	foreach(lc, taken)
	{
		Form_pg_depend form = lfirst(lc);

		(void) deleteDependencyRecordsForSpecific(form->classid, form->objid,
												  form->deptype, class_id,
												  object);
	}
	CommandCounterIncrement();
	return taken;
}

/* let views rely on the key that has taken the place */
static void
give_views(List *taken, Oid class_id, Oid object)
{
	ListCell   *lc;

	foreach(lc, taken)
	{
		Form_pg_depend form = lfirst(lc);
		ObjectAddress dependent;
		ObjectAddress key;

		ObjectAddressSet(dependent, form->classid, form->objid);
		ObjectAddressSet(key, class_id, object);
		recordDependencyOn(&dependent, &key, form->deptype);
	}
}

/* a key that is hidden does not keep what it is computed by */
static void
soften_if_hidden(Oid class_id, Oid object)
{
	List	   *parts = class_id == ConstraintRelationId ?
	list_make1(sv_catalog_address(class_id, object, 0)) : NIL;
	Oid			index = sv_key_index(class_id, object);
	ListCell   *lc;

	if (!sv_is_hidden(get_rel_name(index)))
		return;
	foreach(lc, find_all_inheritors(index, NoLock, NULL))
		parts = lappend(parts, sv_catalog_address(RelationRelationId,
												  lfirst_oid(lc), 0));
	sv_retain_soften(parts);
}

/* drop a key whose place another one takes at once */
static void
drop_key(Oid class_id, Oid object)
{
	ObjectAddress address;

	ObjectAddressSet(address, class_id, object);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL |
					PERFORM_DELETION_QUIETLY);
	CommandCounterIncrement();
}

/* make the key in the place of another one that contracts know */
static Oid
make_key(Oid relation, IndexStmt *statement, List *names, Oid class_id,
		 Oid former)
{
	ObjectAddress made;
	Oid			object;
	List	   *views = take_views(class_id, former);

	drop_key(class_id, former);
	made = DefineIndex(relation, statement, InvalidOid, InvalidOid,
					   InvalidOid, false, false, false, false, true);
	CommandCounterIncrement();
	name_tree(made.objectId, names);
	object = class_id == ConstraintRelationId ?
		get_index_constraint(made.objectId) : made.objectId;
	give_views(views, class_id, object);
	soften_if_hidden(class_id, object);
	sv_contract_move_constraint(former, object);
	sv_contract_touch(RelationRelationId, relation);
	return object;
}

/*
 * Was an index built for that key, to loosen or to tighten it?  Another one may
 * have got its name since.
 */
bool
sv_key_fits(Oid class_id, Oid object, Oid index_id)
{
	Relation	key = relation_open(sv_key_index(class_id, object),
									AccessShareLock);
	Relation	index = relation_open(index_id, AccessShareLock);
	int			nkeys = key->rd_index->indnkeyatts;
	int			nmarks = sv_contract_mark_column(key) ? -1 :
	sv_contract_mark_column(index) ? 1 : 0;
	bool		fits = index->rd_index->indnkeyatts == nkeys + nmarks &&
		index->rd_index->indrelid == key->rd_index->indrelid;

	for (int i = 0; fits && i < Min(nkeys, nkeys + nmarks); i++)
		fits = index->rd_index->indkey.values[i] ==
			key->rd_index->indkey.values[i];
	relation_close(index, NoLock);
	relation_close(key, NoLock);
	return fits;
}

/* what a unique or exclusion constraint is, but for its columns */
static Constraint *
read_constraint(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	Constraint *key = makeNode(Constraint);

	key->contype = form->contype == CONSTRAINT_EXCLUSION ? CONSTR_EXCLUSION :
		CONSTR_UNIQUE;
	key->deferrable = form->condeferrable;
	key->initdeferred = form->condeferred;
	ReleaseSysCache(tuple);
	return key;
}

/* a plain index is from now on that of an exclusion constraint */
static void
exclude_by(Oid index)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID,
											ObjectIdGetDatum(index));
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

	form->indisexclusion = true;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	CacheInvalidateRelcacheByRelid(form->indrelid);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * Make an exclusion constraint of an index, which the server does with none
 * that is there.  All rows keep to it, since the one before has held for them
 * until now; "model" is what that said.
 */
static void
make_exclusion(Oid index_id, const Constraint *key, const IndexInfo *model)
{
	Relation	index = index_open(index_id, AccessExclusiveLock);
	Relation	table = relation_open(index->rd_index->indrelid, NoLock);
	IndexInfo  *info = BuildIndexInfo(index);
	bits16		flags = INDEX_CONSTR_CREATE_UPDATE_INDEX |
	(key->deferrable ? INDEX_CONSTR_CREATE_DEFERRABLE : 0) |
	(key->initdeferred ? INDEX_CONSTR_CREATE_INIT_DEFERRED : 0);

	info->ii_ExclusionOps = model->ii_ExclusionOps;
	info->ii_ExclusionProcs = model->ii_ExclusionProcs;
	info->ii_ExclusionStrats = model->ii_ExclusionStrats;
	(void) index_constraint_create(table, index_id, InvalidOid, info,
								   RelationGetRelationName(index),
								   CONSTRAINT_EXCLUSION, flags, false, false);
	relation_close(table, NoLock);
	index_close(index, NoLock);
	CommandCounterIncrement();
	exclude_by(index_id);
}

/* make the constraint of an index that has its name already */
static void
make_constraint(Oid index, const Constraint *key, const IndexInfo *model)
{
	Oid			relation = IndexGetRelation(index, false);
	const char *name = quote_identifier(get_rel_name(index));

	if (key->contype == CONSTR_EXCLUSION)
		make_exclusion(index, key, model);
	else if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		sv_tree_make_key(index, key);
	else
		sv_retain_run(psprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s%s",
							   sv_catalog_relation_name(relation), name, name,
							   key->initdeferred ? " DEFERRABLE INITIALLY DEFERRED" :
							   key->deferrable ? " DEFERRABLE" : ""));
	CommandCounterIncrement();
}

/* nothing computes the mark any more, and it goes; the key has gone before */
static void
drop_mark(Oid relation, AttrNumber number)
{
	char	   *mark = get_attname(relation, number, false);
	List	   *left = NIL;
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->old_column, mark) != 0 &&
			strcmp(pair->new_column, mark) != 0)
			left = lappend(left, pair);
	}
	sv_sync_set(relation, left);
	sv_retain_run(psprintf("ALTER TABLE %s DROP COLUMN %s",
						   sv_catalog_relation_name(relation),
						   quote_identifier(mark)));
}

static IndexInfo *
describe_index(Oid index_id)
{
	Relation	index = index_open(index_id, AccessShareLock);
	IndexInfo  *info = BuildIndexInfo(index);

	index_close(index, NoLock);
	return info;
}

/*
 * Let an index that was built for it take the place of a key, whose mark goes
 * if it has one.  Returns the new one.  The caller has locked the table, and
 * its partitions, in AccessExclusiveLock, and contracts are collecting.
 */
Oid
sv_key_exchange(Oid class_id, Oid object, Oid index)
{
	bool		is_constraint = class_id == ConstraintRelationId;
	Oid			former = sv_key_index(class_id, object);
	List	   *names = names_in_tree(former);
	IndexInfo  *model = describe_index(former);
	Constraint *key = is_constraint ? read_constraint(object) : NULL;
	Oid			relation = IndexGetRelation(index, false);
	AttrNumber	mark = sv_contract_mark_of(former);
	List	   *views;
	Oid			made;
	SvIdentity	identity;

	sv_catalog_become_owner(&identity);
	views = take_views(class_id, object);
	drop_key(class_id, object);
	RenameRelationInternal(index, ((Named *) linitial(names))->name, true,
						   true);
	CommandCounterIncrement();
	if (is_constraint)
		make_constraint(index, key, model);
	name_tree(index, names);
	if (mark)
		drop_mark(relation, mark);
	sv_catalog_become_caller(&identity);
	made = is_constraint ? get_index_constraint(index) : index;
	give_views(views, class_id, made);
	soften_if_hidden(class_id, made);
	sv_contract_move_constraint(object, made);
	sv_contract_touch(RelationRelationId, relation);
	return made;
}

/*
 * The expression for a mark: of rows that the key is not over all are first.
 * Marks of keys that take nulls for equal are numbers, 0 in the first row.
 */
static char *
mark_text(Relation index)
{
	int			nestlevel = sv_contract_enter();
	List	   *predicate = RelationGetIndexPredicate(index);
	char	   *text = psprintf("%s.is_first(%s)", SV_SCHEMA,
								pg_get_indexdef_columns_extended(RelationGetRelid(index),
																 RULE_INDEXDEF_KEYS_ONLY));

	if (predicate != NIL)
		text = psprintf("CASE WHEN (%s) IS TRUE THEN %s ELSE true END",
						sv_contract_expression_text((Node *) make_ands_explicit(predicate),
													index->rd_index->indrelid),
						text);
	if (marks_by_number(index))
		text = psprintf("CASE WHEN %s THEN 0 ELSE %s.place_apart() END", text,
						SV_SCHEMA);
	sv_contract_leave(nestlevel);
	return text;
}

/* what computes the mark of rows by versions that do not know the key */
static SvSyncPair *
make_pair(const SvProduct *product, const SvRelease *current,
		  const SvRelease *last, bool is_newer, Relation index,
		  const char *mark)
{
	SvSyncPair *pair = palloc0(sizeof(SvSyncPair));
	Oid			relation = index->rd_index->indrelid;
	char	   *text = sv_sync_check(relation, mark_text(index),
									 get_atttype(relation,
												 get_attnum(relation, mark)),
									 -1, NULL);

	pair->old_column = is_newer ? "" : pstrdup(mark);
	pair->new_column = is_newer ? pstrdup(mark) : "";
	pair->up = is_newer ? text : "";
	pair->down = is_newer ? "" : text;
	pair->product = product->name;
	pair->label = last->label;
	pair->newest_is_new = current == NULL ||
		sv_version_compare(current->version, last->version) > 0;
	return pair;
}

/* does a key mention the column that a pair computes for older versions? */
static bool
is_over_old(Relation index, const SvSyncPair *pair)
{
	AttrNumber	number = pair->new_column[0] == '\0' ? InvalidAttrNumber :
	get_attnum(index->rd_index->indrelid, pair->old_column);

	if (number <= 0)
		return false;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		if (index->rd_index->indkey.values[i] == number)
			return true;
	}
	return list_member_int(mentioned_columns(index), number);
}

/*
 * Add a pair where it computes the mark after all else that the mark depends
 * on: pairs run in this order for those that write the old side, and the other
 * way round for the others, whom nothing older concerns but columns of the key
 * that follow newer ones.
 */
static List *
add_pair(List *pairs, SvSyncPair *pair, Relation index)
{
	SvVersion  *last = sv_version_parse(sv_sync_label(pair));
	int			position = 0;
	ListCell   *lc;

	if (pair->up[0] != '\0')
		return lappend(pairs, pair);
	foreach(lc, pairs)
	{
		SvSyncPair *other = lfirst(lc);

		if (is_over_old(index, other))
			break;
		if (sv_version_compare(sv_version_parse(sv_sync_label(other)),
							   last) < 0)
			position = foreach_current_index(lc) + 1;
	}
	return list_insert_nth(pairs, position, pair);
}

/* does a job see to it already? */
static bool
has_job(Oid relation, const char *key)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (strcmp(job->kind, SV_JOB_LOOSEN) == 0 && job->relid == relation &&
			strcmp(job->name, key) == 0)
			return true;
	}
	return sv_defer_has(SV_JOB_LOOSEN, relation, key);
}

/* give the table the mark of a key, and what computes it; its name */
static char *
add_mark_column(const SvProduct *product, const SvRelease *current,
				const SvRelease *last, bool is_newer, Relation index)
{
	Oid			relation = index->rd_index->indrelid;
	char	   *name = RelationGetRelationName(index);
	char	   *mark =
	sv_retain_hidden_column(relation, sv_is_hidden(name) ?
							name + strlen(SV_HIDDEN_PREFIX) : name);

	sv_retain_run(psprintf("ALTER TABLE %s ADD COLUMN %s %s.%s",
						   sv_catalog_relation_name(relation),
						   quote_identifier(mark), SV_SCHEMA,
						   marks_by_number(index) ?
						   "place DEFAULT 0" : "first DEFAULT true"));
	sv_sync_set(relation, add_pair(sv_sync_pairs(relation),
								   make_pair(product, current, last, is_newer,
											 index, mark), index));
	sv_contract_touch(RelationRelationId, relation);
	return mark;
}

/* one that was loosened for others does not hold for a new version either */
static void
exempt_newest(Relation index)
{
	Oid			relation = index->rd_index->indrelid;
	char	   *mark = get_attname(relation, sv_contract_index_mark(index),
								   false);
	List	   *pairs = sv_sync_pairs(relation);
	ListCell   *lc;

	foreach(lc, pairs)
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->old_column, mark) == 0 && !pair->newest_is_new)
		{
			pair->newest_is_new = true;
			sv_sync_set(relation, pairs);
			return;
		}
	}
}

/*
 * On the way back to an older release: the newest below the oldest of those
 * from there on that know a key, so that it holds for those after it.
 */
const SvRelease *
sv_key_last_without(const SvProduct *product, const SvRelease *from,
					const SvRelease *to, Oid relation, Oid key)
{
	List	   *releases = sv_catalog_releases(product, true);
	const SvRelease *first = from;
	const SvRelease *last = to;
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (sv_key_is_known(release, relation, key) &&
			sv_version_compare(release->version, last->version) > 0 &&
			sv_version_compare(release->version, first->version) < 0)
			first = release;
	}
	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version, last->version) > 0 &&
			sv_version_compare(release->version, first->version) < 0)
			last = release;
	}
	return last;
}

/*
 * Loosen a unique constraint or index: it holds for the supported versions up
 * to "last", or else for those after it, and does not hold back the others.
 * "current" is the version that the base schemas are to be at, NULL if that is
 * a new one.  *object becomes the one that has taken its place, unless a job
 * will do that.  Returns whether the table has got another column; if not, the
 * key has to stay as it is.  The caller has locked the table in
 * AccessExclusiveLock, and contracts are collecting; all is done as the
 * extension's owner.
 */
bool
sv_key_loosen(const SvProduct *product, const SvRelease *current,
			  const SvRelease *last, bool is_newer, Oid class_id, Oid *object)
{
	Relation	index = relation_open(sv_key_index(class_id, *object),
									  AccessExclusiveLock);
	Oid			relation = index->rd_index->indrelid;
	char	   *name = pstrdup(RelationGetRelationName(index));
	bool		at_once = sv_defer_is_done_now(relation);
	SvIdentity	identity;
	IndexStmt  *statement;
	List	   *names;
	char	   *mark;

	if (sv_contract_index_mark(index) && current == NULL && !is_newer)
		exempt_newest(index);
	if (sv_contract_index_mark(index) ||
		!can_loosen(index, class_id, *object, current) ||
		(!at_once && ((is_newer && current == NULL) ||
					  has_job(relation, name))))
	{
		relation_close(index, NoLock);
		return false;
	}
	sv_catalog_become_owner(&identity);
	mark = add_mark_column(product, current, last, is_newer, index);
	statement = at_once ? clone_statement(index) : NULL;
	names = names_in_tree(RelationGetRelid(index));
	if (statement)
		add_mark(statement, index, relation, mark);
	relation_close(index, NoLock);
	if (statement)
		*object = make_key(relation, statement, names, class_id, *object);
	else
		sv_defer_add(SV_JOB_LOOSEN, relation, name, mark, NULL);
	sv_catalog_become_caller(&identity);
	sv_observe_note(SV_NOTE_EFFECT, relation,
					"lets other versions write duplicates: column %s marks the first rows",
					mark);
	return true;
}

/*
 * The columns of a unique key, numbers; NIL if it is over anything else, or
 * there is no such index.
 */
List *
sv_key_columns(Oid index_id)
{
	Relation	index = try_relation_open(index_id, AccessShareLock);
	List	   *columns = NIL;

	if (index == NULL)
		return NIL;
	if (index->rd_index->indisunique &&
		RelationGetIndexExpressions(index) == NIL &&
		RelationGetIndexPredicate(index) == NIL)
		columns = sv_contract_index_columns(index);
	relation_close(index, AccessShareLock);
	return columns;
}

/* is a key over what these columns were? */
static bool
is_twin(Relation index, List *columns)
{
	List	   *own = sv_key_columns(RelationGetRelid(index));

	return own != NIL && !equal(own, columns) &&
		equal(successors_of(index->rd_index->indrelid, own), columns);
}

/*
 * A unique key over these columns of a table does not hold for the newest
 * version any more.  Those of older versions over columns that were the same
 * before they changed their type: a list of ObjectAddress *; NIL if there is
 * another key over the columns.
 */
List *
sv_key_twins(Oid relation, List *columns)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *twins = NIL;
	bool		holds = false;
	ListCell   *lc;

	columns = successors_of(relation, columns);
	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		holds |= index->rd_index->indisvalid &&
			sv_contract_index_mark(index) == InvalidAttrNumber &&
			!sv_is_hidden(RelationGetRelationName(index)) &&
			equal(sv_key_columns(lfirst_oid(lc)), columns);
		if (is_twin(index, columns))
			twins = lappend(twins, sv_contract_key_address(lfirst_oid(lc)));
		index_close(index, NoLock);
	}
	relation_close(table, NoLock);
	return holds ? NIL : twins;
}

/*
 * Drop a unique constraint or index, and its mark if it is loosened.  The
 * caller has locked the table in AccessExclusiveLock.
 */
void
sv_key_drop(Oid class_id, Oid object)
{
	Oid			index_id = sv_key_index(class_id, object);
	Relation	index = relation_open(index_id, AccessExclusiveLock);
	Oid			relation = index->rd_index->indrelid;
	AttrNumber	mark = sv_contract_index_mark(index);
	SvIdentity	identity;

	relation_close(index, NoLock);
	sv_catalog_become_owner(&identity);
	drop_key(class_id, object);
	if (mark)
		drop_mark(relation, mark);
	sv_catalog_become_caller(&identity);
}

/* rows but the first of each that a loosened index takes for equal */
static char *
duplicates_text(Relation index, Oid table)
{
	int			nestlevel = sv_contract_enter();
	char	   *columns = pg_get_indexdef_columns_extended(RelationGetRelid(index),
														   RULE_INDEXDEF_KEYS_ONLY);
	AttrNumber	mark;
	List	   *conditions = sv_contract_conditions(index, &mark);
	char	   *text = psprintf("SELECT tableoid, ctid, row_number() OVER (PARTITION BY %s) FROM %s",
								columns, sv_catalog_relation_name(table));

	if (conditions != NIL)
		text = psprintf("%s WHERE (%s)", text,
						sv_contract_expression_text((Node *) make_ands_explicit(conditions),
													index->rd_index->indrelid));
	if (!index->rd_index->indnullsnotdistinct)
		text = psprintf("%s %s ROW(%s) IS NOT NULL", text,
						conditions == NIL ? "WHERE" : "AND", columns);
	sv_contract_leave(nestlevel);
	return text;
}

/* rows that are to have no mark */
typedef struct Unmarking
{
	Oid			relation;
	char	   *assignment;
} Unmarking;

static void
unmark(void *argument)
{
	Unmarking  *unmarking = argument;

	sv_fill_rows(unmarking->relation, false, unmarking->assignment);
}

static void
unmark_duplicates(Oid table, Relation index, const char *mark)
{
	const char *column = quote_identifier(mark);
	const char *none =
	sv_contract_mark_is_number(table, get_attnum(table, mark)) ?
	SV_SCHEMA ".place_apart()" : "NULL";
	Unmarking	unmarking = {table, NULL};
	ErrorData  *problem;

	unmarking.assignment =
		psprintf("%s = %s FROM (%s) AS twin (place, row, number) WHERE twin.number > 1 AND tableoid = twin.place AND ctid = twin.row",
				 column, none, duplicates_text(index, table));
	problem = sv_trial_attempt(unmark, &unmarking);
	if (problem == NULL)
		return;
	if (!sv_tolerate_is_about_value(problem->sqlerrcode))
		ReThrowError(problem);
	sv_fill_column(table, mark, none, false);
}

/*
 * A table is to be a partition of another: of its rows those that are not the
 * first ones by the loosened keys of that have no mark.  Where the expressions
 * of a key fail for some row, none has.  The caller has given it the columns,
 * and locked it in AccessExclusiveLock.
 */
void
sv_key_mark_partition(Oid whole, Oid partition)
{
	Relation	relation = relation_open(whole, AccessShareLock);
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber	mark = sv_contract_index_mark(index);

		if (mark != InvalidAttrNumber)
			unmark_duplicates(partition, index, get_attname(whole, mark, false));
		index_close(index, NoLock);
	}
	relation_close(relation, NoLock);
}

/*
 * A table is no partition any more, so that no version has the loosened keys
 * that it got as one: drop them.  Locks it in AccessExclusiveLock.
 */
void
sv_key_leave_whole(Oid table)
{
	Relation	relation = relation_open(table, AccessExclusiveLock);
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *lc;

	relation_close(relation, NoLock);
	foreach(lc, indexes)
	{
		ObjectAddress *key = sv_contract_key_address(lfirst_oid(lc));

		if (!sv_key_is_loose(key->classId, key->objectId))
			continue;
		sv_key_drop(key->classId, key->objectId);
		CommandCounterIncrement();
	}
}

/* a key that is made anew without its mark */
typedef struct Remade
{
	Oid			relation;
	AttrNumber	mark;
	Oid			class_id;
	Oid			object;			/* then the new one */
} Remade;

/* an error if rows stand against it */
static void
remake_key(void *argument)
{
	Remade	   *remade = argument;
	Relation	index = relation_open(sv_key_index(remade->class_id,
												   remade->object),
									  AccessExclusiveLock);
	IndexStmt  *statement = clone_statement(index);
	List	   *names = names_in_tree(RelationGetRelid(index));

	remove_mark(statement, index);
	relation_close(index, NoLock);
	remade->object = make_key(remade->relation, statement, names,
							  remade->class_id, remade->object);
	drop_mark(remade->relation, remade->mark);
}

/* nothing is done if rows stand against it */
static void
try_to_remake_key(Remade *remade)
{
	ErrorData  *problem = sv_trial_attempt(remake_key, remade);

	if (problem && problem->sqlerrcode != ERRCODE_UNIQUE_VIOLATION &&
		problem->sqlerrcode != ERRCODE_EXCLUSION_VIOLATION)
		ReThrowError(problem);
}

/*
 * Make a loosened unique constraint or index hold for all again.  Where rows
 * stand against it nothing is done, or with "force" they are an error.  All
 * rows are read under the lock, and an index is built.
 * Returns the one that has taken its place, the same object if there was
 * nothing to do or nothing that can be done.  Locks the table in
 * AccessExclusiveLock if there is; contracts must be collecting.
 */
Oid
sv_key_tighten(Oid class_id, Oid object, bool force)
{
	Oid			index_id = sv_key_index(class_id, object);
	Oid			relation = IndexGetRelation(index_id, true);
	Remade		remade = {relation, InvalidAttrNumber, class_id, object};
	Relation	index;
	SvIdentity	identity;

	if (!OidIsValid(relation) || !sv_key_is_loose(class_id, object) ||
		!can_be_marked(relation))
		return object;
	LockRelationOid(relation, AccessExclusiveLock);
	index = relation_open(index_id, AccessExclusiveLock);
	remade.mark = sv_contract_index_mark(index);
	relation_close(index, NoLock);
	sv_catalog_become_owner(&identity);
	if (force)
		remake_key(&remade);
	else
		try_to_remake_key(&remade);
	sv_catalog_become_caller(&identity);
	return remade.object;
}

/* the pair that computes a mark, NULL if nothing does any more */
static SvSyncPair *
pair_of(Oid relation, AttrNumber number)
{
	char	   *mark = get_attname(relation, number, false);
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->old_column, mark) == 0 ||
			strcmp(pair->new_column, mark) == 0)
			return pair;
	}
	return NULL;
}

/*
 * Is a unique constraint or index loosened, and does it have to be so for one
 * of these releases?  Sets whether it is newer versions that it holds for.
 */
bool
sv_key_exempts(Oid class_id, Oid object, List *releases, bool *is_newer)
{
	Relation	index = try_relation_open(sv_key_index(class_id, object),
										  AccessShareLock);
	AttrNumber	mark = index ? sv_contract_index_mark(index) :
	InvalidAttrNumber;
	SvSyncPair *pair = mark ? pair_of(index->rd_index->indrelid, mark) : NULL;
	ListCell   *lc;

	*is_newer = pair && pair->up[0] != '\0';
	if (index)
		relation_close(index, AccessShareLock);
	foreach(lc, pair ? releases : NIL)
	{
		if (sv_sync_is_old(pair, ((SvRelease *) lfirst(lc))->version) ==
			*is_newer)
			return true;
	}
	return false;
}

/*
 * Is there a row without the mark of a loosened unique constraint or index, as
 * it has been a duplicate once?  Reads all rows of the table if there is none.
 */
bool
sv_key_has_duplicates(Oid class_id, Oid object)
{
	Relation	index = relation_open(sv_key_index(class_id, object),
									  AccessShareLock);
	Oid			relation = index->rd_index->indrelid;
	AttrNumber	mark = sv_contract_index_mark(index);
	SvIdentity	identity;
	bool		found;

	relation_close(index, AccessShareLock);
	sv_catalog_become_owner(&identity);
	SPI_connect();
	if (SPI_execute(psprintf("SELECT FROM %s WHERE %s IS DISTINCT FROM %s LIMIT 1",
							 sv_catalog_relation_name(relation),
							 quote_identifier(get_attname(relation, mark,
														  false)),
							 sv_contract_mark_is_number(relation, mark) ?
							 "0" : "true"), false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for duplicates");
	found = SPI_processed > 0;
	SPI_finish();
	sv_catalog_become_caller(&identity);
	return found;
}

/*
 * The name of a key that is to hold for all when a release is made current
 * again, while a row may stand against it; NULL if there is none.  Reads
 * tables whose keys are loosened for its sake.
 */
char *
sv_key_violated(const SvRelease *release)
{
	ListCell   *lt;
	ListCell   *lc;

	foreach(lt, sv_contract_marked_tables())
	{
		SvEntry    *entry = sv_catalog_entry_of(release, lfirst_oid(lt));

		foreach(lc, entry ? entry->constraints : NIL)
		{
			SvPart	   *key = lfirst(lc);
			Oid			class_id = sv_contract_key_class(key);

			if (sv_contract_is_key(key) &&
				sv_key_is_loose(class_id, key->object) &&
				sv_key_has_duplicates(class_id, key->object))
				return key->name;
		}
	}
	return NULL;
}

/*
 * Leave it to a job to make a loosened key hold for all again.  Rows may stand
 * against it, and then the job fails, so nobody waits for it.
 */
void
sv_key_leave(Oid class_id, Oid object)
{
	Oid			index = sv_key_index(class_id, object);
	Oid			relation = IndexGetRelation(index, false);

	sv_defer_add_late(SV_JOB_TIGHTEN, relation, get_rel_name(index),
					  get_attname(relation, sv_contract_mark_of(index), false));
}

/*
 * Make all keys hold for all again that the current version knows, whose rows
 * allow it, and that none of the supported releases needs loosened.  Returns
 * the OIDs of the indexes that were made for them.  Those of large tables are
 * made if any size will do; else *left, if it is not NULL, gets them, SvPart,
 * as far as jobs can do it.  Locks tables in AccessExclusiveLock.
 */
List *
sv_key_tighten_all(const SvRelease *current, List *supported, bool any_size,
				   List **left)
{
	List	   *tightened = NIL;
	ListCell   *lt;
	ListCell   *lc;

	foreach(lt, sv_contract_marked_tables())
	{
		bool		now = any_size || sv_defer_is_inline(lfirst_oid(lt));
		SvEntry    *entry = sv_catalog_entry_of(current, lfirst_oid(lt));

		foreach(lc, entry ? entry->constraints : NIL)
		{
			SvPart	   *key = lfirst(lc);
			Oid			class_id = sv_contract_key_class(key);
			Oid			object;
			bool		is_newer;

			if (!sv_contract_is_key(key) ||
				!sv_key_is_loose(class_id, key->object) ||
				sv_key_exempts(class_id, key->object, supported, &is_newer))
				continue;
			if (!now)
			{
				if (left && key->flavour != CONSTRAINT_EXCLUSION)
					*left = lappend(*left, key);
				continue;
			}
			object = sv_key_tighten(class_id, key->object, false);
			if (object == key->object)
				continue;
			key->object = object;
			if (key->flavour == CONSTRAINT_PRIMARY)
				sv_retain_return_unique(lfirst_oid(lt), key);
			tightened = lappend_oid(tightened, sv_key_index(class_id, object));
		}
	}
	return tightened;
}
