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
 * - Where its columns have changed their type before, the keys over those that
 *	 they were are loosened with it.
 * - Rows have a mark by its default, so older versions are held to the key
 *	 among all marked rows, as ever.  For what the newest version writes a pair
 *	 of sync.c computes the mark, by schemaver.is_first().
 * - The planner is told that ON CONFLICT (a, b) means (a, b, mark) where no
 *	 other key is over these columns, in sessions of versions that know the key.
 * - The server cannot add a column to an index, so this makes another one,
 *	 and contracts are linked to that.  For a large table a job does it beside
 *	 the application's traffic; the key is as it was until then.  It stays so
 *	 where more stands on it, or rows are in several tables.
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
#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "parser/parse_utilcmd.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

static planner_hook_type next_planner = NULL;

PG_FUNCTION_INFO_V1(schemaver_is_first);

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
 * The mark of a loosened key by its index, InvalidAttrNumber if it is none.
 */
AttrNumber
sv_key_mark(Relation index)
{
	Form_pg_index form = index->rd_index;
	AttrNumber	last = form->indkey.values[form->indnkeyatts - 1];

	return form->indisunique && form->indnkeyatts > 1 && last > 0 &&
		sv_contract_is_mark(form->indrelid, last) ? last :
		InvalidAttrNumber;
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
	loose = sv_key_mark(index) != InvalidAttrNumber;
	relation_close(index, AccessShareLock);
	return loose;
}

/* the columns of an index, without its mark and without expressions */
static List *
index_columns(Relation index, AttrNumber mark)
{
	Form_pg_index form = index->rd_index;
	List	   *columns = NIL;

	for (int i = 0; i < form->indnkeyatts - (mark ? 1 : 0); i++)
	{
		if (form->indkey.values[i] != 0)
			columns = list_append_unique_int(columns, form->indkey.values[i]);
	}
	list_sort(columns, list_int_cmp);
	return columns;
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

/* a plain table that inherits nothing and has no heirs */
static bool
stands_alone(Oid relation)
{
	return get_rel_relkind(relation) == RELKIND_RELATION &&
		!get_rel_relispartition(relation) && !has_superclass(relation) &&
		list_length(find_all_inheritors(relation, NoLock, NULL)) == 1;
}

/* does an expression or predicate of an index mention a hidden column? */
static bool
speaks_of_hidden(Relation index)
{
	ListCell   *lc;

	if (RelationGetIndexExpressions(index) == NIL &&
		RelationGetIndexPredicate(index) == NIL)
		return false;
	foreach(lc, sv_catalog_references(RelationRelationId,
									  RelationGetRelid(index)))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refclassid == RelationRelationId &&
			form->refobjid == index->rd_index->indrelid &&
			form->refobjsubid > 0 &&
			sv_is_hidden(get_attname(form->refobjid, form->refobjsubid,
									 false)))
			return true;
	}
	return false;
}

/* is a hidden column computed from what the newest version writes? */
static bool
is_followed(Oid relation, const char *column)
{
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->old_column, column) == 0 &&
			pair->new_column[0] != '\0' && pair->down[0] != '\0')
			return true;
	}
	return false;
}

/*
 * A hidden column that nothing follows is NULL in what the newest writes;
 * others may be in the key only if the caller can do with that.
 */
static bool
can_loosen(Relation index, Oid class_id, Oid object, bool may_follow)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || form->indisprimary ||
		form->indisexclusion || form->indisreplident ||
		form->indnullsnotdistinct || form->indnkeyatts >= INDEX_MAX_KEYS ||
		index->rd_rel->relam != BTREE_AM_OID || !stands_alone(form->indrelid))
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	number = form->indkey.values[i];
		char	   *name = number > 0 ?
		get_attname(form->indrelid, number, false) : NULL;

		if (name && sv_is_hidden(name) &&
			!(may_follow && is_followed(form->indrelid, name)))
			return false;
	}
	return !speaks_of_hidden(index) && !is_stood_on(class_id, object) &&
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

static void
append_mark(IndexStmt *statement, const char *mark)
{
	IndexElem  *element = makeNode(IndexElem);

	element->name = pstrdup(mark);
	statement->indexParams = lappend(statement->indexParams, element);
}

/*
 * The statement that makes an index like that with a mark at its end, of which
 * no constraint is made, for the caller to complete.  In the current memory
 * context; locks the index in AccessShareLock until the transaction ends, the
 * caller its table.
 */
IndexStmt *
sv_key_statement(Oid index_id, const char *mark)
{
	Relation	index = relation_open(index_id, AccessShareLock);
	IndexStmt  *statement = clone_statement(index);

	statement->isconstraint = false;
	statement->deferrable = statement->initdeferred = false;
	statement->relation =
		makeRangeVar(get_namespace_name(RelationGetNamespace(index)),
					 get_rel_name(index->rd_index->indrelid), -1);
	append_mark(statement, mark);
	relation_close(index, NoLock);
	return statement;
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
make_key(Oid relation, IndexStmt *statement, Oid class_id, Oid former)
{
	ObjectAddress made;
	Oid			object;

	made = DefineIndex(relation, statement, InvalidOid, InvalidOid,
					   InvalidOid, false, false, false, false, true);
	CommandCounterIncrement();
	object = class_id == ConstraintRelationId ?
		get_index_constraint(made.objectId) : made.objectId;
	sv_contract_move_constraint(former, object);
	sv_contract_touch(RelationRelationId, relation);
	return object;
}

/*
 * Was an index built for that key?  Another one may have got its name since.
 */
bool
sv_key_fits(Oid class_id, Oid object, Oid index_id)
{
	Relation	key = relation_open(sv_key_index(class_id, object),
									AccessShareLock);
	Relation	index = relation_open(index_id, AccessShareLock);
	int			nkeys = key->rd_index->indnkeyatts;
	bool		fits = index->rd_index->indnkeyatts == nkeys + 1 &&
		index->rd_index->indrelid == key->rd_index->indrelid;

	for (int i = 0; fits && i < nkeys; i++)
		fits = index->rd_index->indkey.values[i] ==
			key->rd_index->indkey.values[i];
	relation_close(index, NoLock);
	relation_close(key, NoLock);
	return fits;
}

/* what is said of when a constraint is checked */
static const char *
deferring_text(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	const char *text;

	if (!HeapTupleIsValid(tuple))
		return "";
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	text = form->condeferred ? " DEFERRABLE INITIALLY DEFERRED" :
		form->condeferrable ? " DEFERRABLE" : "";
	ReleaseSysCache(tuple);
	return text;
}

/*
 * Let an index that was built for it take the place of a unique constraint or
 * index.  Returns the new one.  The caller has locked the table in
 * AccessExclusiveLock, and contracts are collecting.
 */
Oid
sv_key_exchange(Oid class_id, Oid object, Oid index)
{
	Oid			relation = IndexGetRelation(index, false);
	char	   *name = get_rel_name(sv_key_index(class_id, object));
	const char *deferring = class_id == ConstraintRelationId ?
	deferring_text(object) : "";
	SvIdentity	identity;
	Oid			made = index;

	sv_catalog_become_owner(&identity);
	drop_key(class_id, object);
	if (class_id == ConstraintRelationId)
		sv_retain_run(psprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE USING INDEX %s%s",
							   sv_catalog_relation_name(relation),
							   quote_identifier(name),
							   quote_identifier(get_rel_name(index)),
							   deferring));
	else
		RenameRelationInternal(index, name, true, true);
	CommandCounterIncrement();
	if (class_id == ConstraintRelationId)
		made = get_relation_constraint_oid(relation, name, false);
	sv_catalog_become_caller(&identity);
	sv_contract_move_constraint(object, made);
	sv_contract_touch(RelationRelationId, relation);
	return made;
}

/* what computes the mark of rows by versions that do not know the key */
static SvSyncPair *
make_pair(const SvProduct *product, const SvRelease *current,
		  const SvRelease *last, bool is_newer, Relation index,
		  const char *mark)
{
	SvSyncPair *pair = palloc0(sizeof(SvSyncPair));
	Oid			relation = index->rd_index->indrelid;
	int			nestlevel = sv_contract_enter();
	char	   *columns =
		pg_get_indexdef_columns_extended(RelationGetRelid(index),
										 RULE_INDEXDEF_KEYS_ONLY);
	char	   *text = psprintf("%s.is_first(%s)", SV_SCHEMA, columns);

	sv_contract_leave(nestlevel);
	text = sv_sync_check(relation, text,
						 get_atttype(relation, get_attnum(relation, mark)),
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

/* does an index have the column that a pair computes for older versions? */
static bool
is_over_old(Relation index, const SvSyncPair *pair)
{
	AttrNumber	number = pair->new_column[0] == '\0' ? InvalidAttrNumber :
	get_attnum(index->rd_index->indrelid, pair->old_column);

	for (int i = 0; number > 0 && i < index->rd_index->indnkeyatts; i++)
	{
		if (index->rd_index->indkey.values[i] == number)
			return true;
	}
	return false;
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
	return false;
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

	sv_retain_run(psprintf("ALTER TABLE %s ADD COLUMN %s %s.first DEFAULT true",
						   sv_catalog_relation_name(relation),
						   quote_identifier(mark), SV_SCHEMA));
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
	char	   *mark = get_attname(relation, sv_key_mark(index), false);
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
 * Loosen a unique constraint or index: it holds for the supported versions up
 * to "last", or else for those after it, and does not hold back the others.
 * "current" is the version that the base schemas are to be at, NULL if that is
 * a new one.  *object becomes the one that has taken its place, unless a job will do
 * that.  Returns whether the table has got another column; if not, the key has
 * to stay as it is.  The caller has locked the table in AccessExclusiveLock,
 * and contracts are collecting; all is done as the extension's owner.
 */
bool
sv_key_loosen(const SvProduct *product, const SvRelease *current,
			  const SvRelease *last, bool is_newer, Oid class_id, Oid *object)
{
	Relation	index = relation_open(sv_key_index(class_id, *object),
									  AccessExclusiveLock);
	Oid			relation = index->rd_index->indrelid;
	char	   *name = pstrdup(RelationGetRelationName(index));
	bool		at_once = sv_defer_is_inline(relation);
	SvIdentity	identity;
	IndexStmt  *statement;
	char	   *mark;

	if (sv_key_mark(index) && current == NULL && !is_newer)
		exempt_newest(index);
	if (sv_key_mark(index) ||
		!can_loosen(index, class_id, *object, current == NULL && !is_newer) ||
		(!at_once && (is_newer || !sv_defer_is_left(relation) ||
					  has_job(relation, name))))
	{
		relation_close(index, NoLock);
		return false;
	}
	sv_catalog_become_owner(&identity);
	mark = add_mark_column(product, current, last, is_newer, index);
	statement = at_once ? clone_statement(index) : NULL;
	relation_close(index, NoLock);
	if (statement)
	{
		append_mark(statement, mark);
		drop_key(class_id, *object);
		*object = make_key(relation, statement, class_id, *object);
	}
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
		columns = index_columns(index, sv_key_mark(index));
	relation_close(index, AccessShareLock);
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
		Oid			constraint = get_index_constraint(lfirst_oid(lc));

		holds |= sv_key_mark(index) == InvalidAttrNumber &&
			!sv_is_hidden(RelationGetRelationName(index)) &&
			equal(sv_key_columns(lfirst_oid(lc)), columns);
		if (is_twin(index, columns))
			twins = lappend(twins, OidIsValid(constraint) ?
							sv_catalog_address(ConstraintRelationId,
											   constraint, 0) :
							sv_catalog_address(RelationRelationId,
											   lfirst_oid(lc), 0));
		index_close(index, NoLock);
	}
	relation_close(table, NoLock);
	return holds ? NIL : twins;
}

/* nothing computes the mark any more, and it goes; the key goes with it */
static void
drop_mark(Oid relation, AttrNumber number)
{
	char	   *mark = get_attname(relation, number, false);
	List	   *left = NIL;
	ObjectAddress address;
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->old_column, mark) != 0 &&
			strcmp(pair->new_column, mark) != 0)
			left = lappend(left, pair);
	}
	sv_sync_set(relation, left);
	ObjectAddressSubSet(address, RelationRelationId, relation, number);
	performDeletion(&address, DROP_CASCADE, PERFORM_DELETION_INTERNAL |
					PERFORM_DELETION_QUIETLY);
	CommandCounterIncrement();
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
	AttrNumber	mark = sv_key_mark(index);
	SvIdentity	identity;

	relation_close(index, NoLock);
	sv_catalog_become_owner(&identity);
	if (mark)
		drop_mark(relation, mark);
	else
		drop_key(class_id, object);
	sv_catalog_become_caller(&identity);
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

	statement->indexParams = list_delete_last(statement->indexParams);
	relation_close(index, NoLock);
	drop_mark(remade->relation, remade->mark);
	remade->object = make_key(remade->relation, statement, remade->class_id,
							  remade->object);
}

/* nothing is done if rows stand against it */
static void
try_to_remake_key(Remade *remade)
{
	ErrorData  *problem = sv_trial_attempt(remake_key, remade);

	if (problem && problem->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
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
		!stands_alone(relation))
		return object;
	LockRelationOid(relation, AccessExclusiveLock);
	index = relation_open(index_id, AccessExclusiveLock);
	remade.mark = sv_key_mark(index);
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
	AttrNumber	mark = index ? sv_key_mark(index) : InvalidAttrNumber;
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
	char	   *mark = get_attname(relation, sv_key_mark(index), false);
	SvIdentity	identity;
	bool		found;

	relation_close(index, AccessShareLock);
	sv_catalog_become_owner(&identity);
	SPI_connect();
	if (SPI_execute(psprintf("SELECT FROM ONLY %s WHERE %s IS NULL LIMIT 1",
							 sv_catalog_relation_name(relation),
							 quote_identifier(mark)), false, 1) !=
		SPI_OK_SELECT)
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

			if (strchr("pui", key->flavour) &&
				sv_key_is_loose(class_id, key->object) &&
				sv_key_has_duplicates(class_id, key->object))
				return key->name;
		}
	}
	return NULL;
}

/*
 * Make all keys hold for all again that the current version knows, whose rows
 * allow it, and that none of the supported releases needs loosened; those of
 * large tables if any size will do.  Returns the OIDs of the indexes that
 * were made for them.  Locks their tables in AccessExclusiveLock.
 */
List *
sv_key_tighten_all(const SvRelease *current, List *supported, bool any_size)
{
	List	   *tightened = NIL;
	ListCell   *lt;
	ListCell   *lc;

	foreach(lt, sv_contract_marked_tables())
	{
		SvEntry    *entry = any_size || sv_defer_is_inline(lfirst_oid(lt)) ?
		sv_catalog_entry_of(current, lfirst_oid(lt)) : NULL;

		foreach(lc, entry ? entry->constraints : NIL)
		{
			SvPart	   *key = lfirst(lc);
			Oid			class_id = sv_contract_key_class(key);

			Oid			object;
			bool		is_newer;

			if (strchr("pui", key->flavour) == NULL ||
				sv_key_exempts(class_id, key->object, supported, &is_newer))
				continue;
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

/*
 * Is it the first one?
 */

/* the key of a table with that mark, NULL if there is none */
static Relation
open_key(Relation table, AttrNumber mark)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (sv_key_mark(index) == mark)
			return index;
		index_close(index, AccessShareLock);
	}
	return NULL;
}

static void
set_scan_key(ScanKey key, Relation index, int column, Datum value)
{
	Oid			type = index->rd_opcintype[column];
	Oid			operator = get_opfamily_member(index->rd_opfamily[column],
											   type, type,
											   BTEqualStrategyNumber);

	ScanKeyEntryInitialize(key, 0, column + 1, BTEqualStrategyNumber,
						   InvalidOid, index->rd_indcollation[column],
						   get_opcode(operator), value);
}

/* wait for whoever has not ended yet what the scan has found */
static void
wait_for_other(Relation table, const SnapshotData *dirty, TransactionId other,
			   ItemPointer tid)
{
	if (dirty->speculativeToken)
		SpeculativeInsertionWait(dirty->xmin, dirty->speculativeToken);
	else
		XactLockTableWait(other, table, tid, XLTW_InsertIndex);
}

/*
 * Is there a row with these values and the mark, but the one at "self"?  Waits
 * for the end of a transaction that is about to make or delete one, as an
 * insertion into a unique index does.
 */
static bool
is_there(Relation table, Relation index, ScanKey keys, int nkeys,
		 ItemPointer self)
{
	TupleTableSlot *slot = table_slot_create(table, NULL);
	SnapshotData dirty;
	IndexScanDesc scan;
	bool		found = false;

	InitDirtySnapshot(dirty);
	scan = index_beginscan(table, index, &dirty, nkeys, 0);
	index_rescan(scan, keys, nkeys, NULL, 0);
	while (!found && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		TransactionId other = TransactionIdIsValid(dirty.xmin) ? dirty.xmin :
			dirty.xmax;

		if (ItemPointerIsValid(self) &&
			ItemPointerEquals(self, &slot->tts_tid))
			continue;
		found = !TransactionIdIsValid(other);
		if (!found)
		{
			ItemPointerData tid = slot->tts_tid;

			ExecClearTuple(slot);
			wait_for_other(table, &dirty, other, &tid);
			index_rescan(scan, keys, nkeys, NULL, 0);
		}
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/* the values of a key, and the mark; false if one is null */
static bool
set_scan_keys(ScanKey keys, Relation index, FunctionCallInfo fcinfo)
{
	int			nvalues = index->rd_index->indnkeyatts - 1;

	if (PG_NARGS() != nvalues)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schemaver.is_first() has %d values for the %d columns of key \"%s\"",
						PG_NARGS(), nvalues,
						RelationGetRelationName(index))));
	for (int i = 0; i < nvalues; i++)
	{
		if (PG_ARGISNULL(i))
			return false;
		set_scan_key(&keys[i], index, i, PG_GETARG_DATUM(i));
	}
	set_scan_key(&keys[nvalues], index, nvalues, BoolGetDatum(true));
	return true;
}

/*
 * schemaver.is_first(VARIADIC "any") returns boolean
 *
 * For the mark that schemaver.sync() computes: true if the row is the first
 * one with these values of the key, NULL if there is one already.
 */
Datum
schemaver_is_first(PG_FUNCTION_ARGS)
{
	const SvSyncComputing *computing = sv_sync_computing();
	ScanKeyData keys[INDEX_MAX_KEYS];
	ItemPointerData self;
	Relation	table;
	Relation	index;
	bool		taken;

	if (computing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schemaver.is_first() must be called by the trigger schemaver.sync()")));
	self = computing->row;
	table = table_open(computing->relation, NoLock);
	index = open_key(table, computing->column);
	taken = index && set_scan_keys(keys, index, fcinfo) &&
		is_there(table, index, keys, PG_NARGS() + 1, &self);
	if (index)
		index_close(index, AccessShareLock);
	table_close(table, NoLock);
	if (taken)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(true);
}

/*
 * Planning
 */

/* the columns that ON CONFLICT is over, and the expressions, as planned */
static List *
conflict_columns(const OnConflictExpr *conflict, List **expressions)
{
	List	   *columns = NIL;
	ListCell   *lc;

	*expressions = NIL;
	foreach(lc, conflict->arbiterElems)
	{
		Node	   *node = ((InferenceElem *) lfirst(lc))->expr;

		if (IsA(node, Var))
			columns = list_append_unique_int(columns, ((Var *) node)->varattno);
		else
		{
			node = eval_const_expressions(NULL, copyObject(node));
			fix_opfuncids(node);
			*expressions = lappend(*expressions, node);
		}
	}
	list_sort(columns, list_int_cmp);
	return columns;
}

/* the condition behind what ON CONFLICT is over, as planned */
static List *
conflict_condition(const OnConflictExpr *conflict)
{
	Node	   *node = eval_const_expressions(NULL,
											  copyObject(conflict->arbiterWhere));

	fix_opfuncids(node);
	return make_ands_implicit(canonicalize_qual((Expr *) node, false));
}

/* is the index over these columns and expressions, of that relation's rows? */
static bool
is_over(Relation index, AttrNumber mark, List *columns, List *expressions,
		int varno)
{
	List	   *own;

	if (!index->rd_index->indisunique ||
		!equal(columns, index_columns(index, mark)))
		return false;
	own = RelationGetIndexExpressions(index);
	ChangeVarNodes((Node *) own, 1, varno, 0);
	return list_difference(own, expressions) == NIL &&
		list_difference(expressions, own) == NIL;
}

/* has the index all rows that the condition is true of? */
static bool
has_all_of(Relation index, List *condition, int varno)
{
	List	   *own = RelationGetIndexPredicate(index);

	ChangeVarNodes((Node *) own, 1, varno, 0);
	return predicate_implied_by(own, condition, false);
}

/* is the mark of a key the session's own, so that it knows the key? */
static bool
knows_mark(Relation table, AttrNumber mark)
{
	Oid			relation = RelationGetRelid(table);

	return !sv_sync_is_computed(relation, get_attname(relation, mark, false));
}

/*
 * The mark of the loosened key that ON CONFLICT means, InvalidAttrNumber if
 * there is none, or another key that it may mean.  Versions may have keys over
 * the same columns, each of its own.
 */
static AttrNumber
find_mark(Relation table, const OnConflictExpr *conflict, int varno)
{
	AttrNumber	found = InvalidAttrNumber;
	List	   *expressions;
	List	   *columns = conflict_columns(conflict, &expressions);
	List	   *condition = conflict_condition(conflict);
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber	mark = sv_key_mark(index);
		bool		fits = is_over(index, mark, columns, expressions, varno) &&
		has_all_of(index, condition, varno);
		bool		immediate = index->rd_index->indimmediate;

		index_close(index, NoLock);
		if (fits && mark == InvalidAttrNumber && immediate)
			return InvalidAttrNumber;
		if (fits && knows_mark(table, mark))
			found = mark;
	}
	return found;
}

/* add the mark to what ON CONFLICT is over */
static void
add_mark(Query *query)
{
	OnConflictExpr *conflict = query->onConflict;
	RangeTblEntry *target;
	Relation	table;
	AttrNumber	mark = InvalidAttrNumber;

	if (query->commandType != CMD_INSERT || conflict == NULL ||
		conflict->arbiterElems == NIL)
		return;
	target = rt_fetch(query->resultRelation, query->rtable);
	table = table_open(target->relid, NoLock);
	if (table->trigdesc && table->trigdesc->trig_insert_before_row)
		mark = find_mark(table, conflict, query->resultRelation);

	if (mark)
	{
		InferenceElem *element = makeNode(InferenceElem);

		element->expr = (Node *)
			makeVar(query->resultRelation, mark,
					get_atttype(target->relid, mark), -1, InvalidOid, 0);
		conflict->arbiterElems = lappend(conflict->arbiterElems, element);
	}
	table_close(table, NoLock);
}

static PlannedStmt *
plan_query(Query *query, const char *text, int options, ParamListInfo params)
{
	ListCell   *lc;

	add_mark(query);
	foreach(lc, query->cteList)
		add_mark(castNode(Query,
						  ((CommonTableExpr *) lfirst(lc))->ctequery));
	return next_planner ? next_planner(query, text, options, params) :
		standard_planner(query, text, options, params);
}

/*
 * Have ON CONFLICT find loosened keys.
 */
void
sv_key_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan_query;
}
