/*-------------------------------------------------------------------------
 *
 * first.c
 *	  Loosened keys while rows are written: which row is the first one with
 *	  its values, and which key ON CONFLICT means.
 *
 * What such a key is, and how it comes to be, is key.c's business.
 *
 * Rules kept here:
 *
 * - Who is not held to a key is not held up by it either.  Between the look
 *	 whether a row is the first and its entry into the index another session
 *	 may write the same values, and then one of them would be told of a
 *	 duplicate.  So a row's values are claimed, by a lock of their own, until
 *	 the session goes on to the next row or the statement ends.
 * - Nobody waits long for a claim, so no deadlock comes of it: who does not
 *	 get one marks no row, for the other one is the first.
 * - An UPDATE may give a row the values of another one that it moves away only
 *	 later.  So when it has passed all rows, those that it has left without a
 *	 mark are looked at once more.
 * - When a marked row is deleted, or gets other values, one of those that have
 *	 the same is marked, at the end of the statement.  Nobody waits for that: one
 *	 that another transaction has locked is passed over.  An index that has
 *	 marked rows alone does not tell which these are.
 * - Versions that are held to a key claim as well.  The row that they write is
 *	 marked.  One that lost its mark, since it was a duplicate, and gets other
 *	 values is marked if it is the first with these: a foreign key may carry
 *	 all of them along.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/skey.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

/* how often a claim is tried for, with a millisecond between */
#define CLAIM_TRIES		20

/*
 * What is looked for in the index of a key, but for the values: hangs on the
 * FmgrInfo of a call, and lasts as long.  The query has the table locked, so
 * nobody changes its keys meanwhile.
 */
typedef struct Search
{
	Oid			relation;
	AttrNumber	mark;
	Oid			index;			/* InvalidOid if the table has no such key */
	bool		excludes;
	bool		nulls_equal;
	int			nvalues;
	int			nkeys;
	ScanKeyData keys[INDEX_MAX_KEYS];
	FmgrInfo   *hash[INDEX_MAX_KEYS];	/* of values, NULL if they have none */

	/* of one row */
	Relation	heap;
	Relation	key;
	uint32		value;			/* hash of the values, 0 where they have none */
	ItemPointerData self;		/* the row itself, or invalid */
	bool		waits;			/* for those who have the same in hand */
	EState	   *reading;		/* holds values that were computed */
} Search;

/* the values that the last row written has claimed of an index */
typedef struct Claim
{
	Oid			index;
	int			depth;			/* of the query that writes it */
	LOCKTAG		tag;
} Claim;

/*
 * A row that an UPDATE has left without a mark, or one that has had it and was
 * deleted or got other values; as it was before.
 */
typedef struct Doubt
{
	Oid			table;
	AttrNumber	mark;
	bool		is_gone;
	int			depth;			/* of the query that changes it */
	ItemPointerData row;
} Doubt;

static List *claims = NIL;		/* of Claim, each index once */
static List *doubts = NIL;		/* of Doubt, in TopTransactionContext */

/* how many queries are running within each other */
static int	depth = 0;

static planner_hook_type next_planner = NULL;
static ExecutorRun_hook_type next_run = NULL;
static ExecutorFinish_hook_type next_finish = NULL;
static ProcessUtility_hook_type next_utility = NULL;

PG_FUNCTION_INFO_V1(schemaver_is_first);
PG_FUNCTION_INFO_V1(schemaver_place_apart);

/*
 * Claims
 */

static void
release(Claim *claim)
{
	/* pg_advisory_unlock_all() may have been quicker */
	if (sv_lock_held(&claim->tag, ExclusiveLock))
		(void) LockRelease(&claim->tag, ExclusiveLock, true);
	pfree(claim);
}

/* by queries that are at least as deep */
static void
release_all(int least)
{
	List	   *held = claims;
	ListCell   *lc;

	foreach(lc, held)
	{
		Claim	   *claim = lfirst(lc);

		if (claim->depth < least)
			continue;
		held = claims = foreach_delete_current(held, lc);
		release(claim);
	}
}

/* the row before has been written */
static void
release_of(Oid index)
{
	ListCell   *lc;

	foreach(lc, claims)
	{
		Claim	   *claim = lfirst(lc);

		if (claim->index == index)
		{
			claims = foreach_delete_current(claims, lc);
			release(claim);
		}
	}
}

static bool
try_to_claim(const Search *search)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	Claim	   *claim = palloc(sizeof(Claim));
	LOCKTAG    *tag = &claim->tag;
	bool		taken;

	claims = lappend(claims, claim);
	MemoryContextSwitchTo(oldcontext);
	claim->index = search->index;
	claim->depth = depth;
	tag->locktag_field1 = MyDatabaseId;
	tag->locktag_field2 = claim->index;
	tag->locktag_field3 = search->value;
	tag->locktag_field4 = SV_LOCK_CLAIM;
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
	taken = LockAcquire(tag, ExclusiveLock, true, true) !=
		LOCKACQUIRE_NOT_AVAIL;
	if (!taken)
	{
		claims = list_delete_last(claims);
		pfree(claim);
	}
	return taken;
}

/*
 * Looking
 */

/* the key of a table with that mark, InvalidOid if there is none */
static Oid
find_key(Relation table, AttrNumber mark)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), NoLock);
		bool		found = sv_contract_index_mark(index) == mark;

		index_close(index, NoLock);
		if (found)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* what a column's values hash to, if equal ones do to the same by their type */
static FmgrInfo *
find_hash(Relation index, int column)
{
	Oid			type = index->rd_opcintype[column];
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR |
											  TYPECACHE_HASH_PROC_FINFO);

	return OidIsValid(entry->hash_proc) &&
		get_opfamily_member(index->rd_opfamily[column], type, type,
							BTEqualStrategyNumber) == entry->eq_opr ?
		&entry->hash_proc_finfo : NULL;
}

static void
add_key(Search *search, Relation index, StrategyNumber strategy, Oid procedure,
		Datum value)
{
	int			column = search->nkeys++;

	ScanKeyEntryInitialize(&search->keys[column], 0, column + 1, strategy,
						   InvalidOid, index->rd_indcollation[column],
						   procedure, value);
}

/* rows that are equal, and marked */
static void
look_for_equals(Search *search, Relation index)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		Oid			type = index->rd_opcintype[i];
		Oid			operator = get_opfamily_member(index->rd_opfamily[i],
												   type, type,
												   BTEqualStrategyNumber);

		add_key(search, index, BTEqualStrategyNumber, get_opcode(operator),
				type == BOOLOID ? BoolGetDatum(true) : Int64GetDatum(0));
		search->hash[i] = find_hash(index, i);
	}
}

/* rows that an exclusion constraint excludes, all of which are marked */
static void
look_for_excluded(Search *search, Relation index)
{
	Oid		   *operators;
	Oid		   *procedures;
	uint16	   *strategies;

	RelationGetExclusionInfo(index, &operators, &procedures, &strategies);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		add_key(search, index, strategies[i], procedures[i], (Datum) 0);
}

static Search *
make_search(Relation table, AttrNumber mark)
{
	Search	   *search = palloc0(sizeof(Search));
	Relation	index;

	search->relation = RelationGetRelid(table);
	search->mark = mark;
	search->index = find_key(table, mark);
	if (!OidIsValid(search->index))
		return search;
	index = index_open(search->index, NoLock);
	search->excludes = index->rd_index->indisexclusion;
	search->nulls_equal = index->rd_index->indnullsnotdistinct;
	search->nvalues = index->rd_index->indnkeyatts -
		(sv_contract_mark_column(index) ? 1 : 0);
	if (search->excludes)
		look_for_excluded(search, index);
	else
		look_for_equals(search, index);
	index_close(index, NoLock);
	return search;
}

static Search *
begin_search(FunctionCallInfo fcinfo, Relation table, AttrNumber mark)
{
	MemoryContext oldcontext =
		MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	Search	   *search = make_search(table, mark);

	search->waits = true;
	MemoryContextSwitchTo(oldcontext);
	fcinfo->flinfo->fn_extra = search;
	return search;
}

/* false if no other row can stand against these values */
static bool
set_values(Search *search, const NullableDatum *values, int nvalues)
{
	bool		hashes = true;

	if (nvalues != search->nvalues)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schemaver.is_first() has %d values for the %d columns of key \"%s\"",
						nvalues, search->nvalues,
						get_rel_name(search->index))));
	search->value = 0;
	for (int i = 0; i < search->nvalues; i++)
	{
		ScanKey		key = &search->keys[i];
		bool		isnull = values[i].isnull;

		if (isnull && (search->excludes || !search->nulls_equal))
			return false;
		key->sk_flags = isnull ? SK_ISNULL | SK_SEARCHNULL : 0;
		key->sk_argument = values[i].value;
		hashes = hashes && (isnull || search->hash[i]);
		if (hashes && !isnull)
			search->value =
				hash_combine(search->value,
							 DatumGetUInt32(FunctionCall1Coll(search->hash[i],
															  key->sk_collation,
															  key->sk_argument)));
	}
	if (!hashes)
		search->value = 0;
	return true;
}

/* the values that an index is over, in the memory context of the state */
static void
read_values(Relation index, TupleTableSlot *slot, EState *estate,
			NullableDatum *read)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	MemoryContext oldcontext =
	MemoryContextSwitchTo(GetPerTupleMemoryContext(estate));

	GetPerTupleExprContext(estate)->ecxt_scantuple = slot;
	FormIndexDatum(BuildIndexInfo(index), slot, estate, values, isnull);
	MemoryContextSwitchTo(oldcontext);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		read[i].value = values[i];
		read[i].isnull = isnull[i];
	}
}

/* where the index cannot tell by itself: do the values conflict? */
static bool
is_conflict(const Search *search, TupleTableSlot *slot)
{
	EState	   *estate = CreateExecutorState();
	NullableDatum values[INDEX_MAX_KEYS];
	bool		conflict = true;

	read_values(search->key, slot, estate, values);
	for (int i = 0; conflict && i < search->nkeys; i++)
	{
		ScanKey		key = unconstify(ScanKeyData *, &search->keys[i]);

		conflict = !values[i].isnull &&
			DatumGetBool(FunctionCall2Coll(&key->sk_func, key->sk_collation,
										   values[i].value,
										   key->sk_argument));
	}
	FreeExecutorState(estate);
	return conflict;
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
 * Is there a row like that, but the row itself?  A transaction that is about to
 * make or delete one is waited for, as an insertion into a unique index does,
 * or taken to have done so.
 */
static bool
is_there(Search *search)
{
	TupleTableSlot *slot = table_slot_create(search->heap, NULL);
	SnapshotData dirty;
	IndexScanDesc scan;
	bool		found = false;

	InitDirtySnapshot(dirty);
	scan = index_beginscan(search->heap, search->key, &dirty, search->nkeys,
						   0);
	index_rescan(scan, search->keys, search->nkeys, NULL, 0);
	while (!found && index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		TransactionId other = TransactionIdIsValid(dirty.xmin) ? dirty.xmin :
			dirty.xmax;

		if ((ItemPointerIsValid(&search->self) &&
			 ItemPointerEquals(&search->self, &slot->tts_tid)) ||
			(scan->xs_recheck && !is_conflict(search, slot)))
			continue;
		found = !TransactionIdIsValid(other) || !search->waits;
		if (!found)
		{
			ItemPointerData tid = slot->tts_tid;

			ExecClearTuple(slot);
			wait_for_other(search->heap, &dirty, other, &tid);
			index_rescan(scan, search->keys, search->nkeys, NULL, 0);
		}
	}
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

/*
 * Is the row to be marked?  One of a version that is held to the key is in any
 * case.  What an exclusion constraint compares has no hash, so all rows share
 * a claim there: another one's says nothing of the values.
 */
static bool
is_to_be_marked(Search *search, bool held)
{
	release_of(search->index);
	for (int tries = 1; !try_to_claim(search); tries++)
	{
		if (!held && is_there(search))
			return false;
		if (tries == CLAIM_TRIES)
			return held || search->excludes;
		sv_lock_pause(1);
	}
	if (held || !is_there(search))
		return true;
	release_of(search->index);
	return false;
}

static void
add_doubt(Oid table, AttrNumber mark, const ItemPointerData *row, bool is_gone)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(TopTransactionContext);
	Doubt	   *doubt = palloc(sizeof(Doubt));

	doubt->table = table;
	doubt->mark = mark;
	doubt->is_gone = is_gone;
	doubt->depth = depth;
	doubt->row = *row;
	doubts = lappend(doubts, doubt);
	MemoryContextSwitchTo(oldcontext);
}

static void
note_gone(Oid table, AttrNumber mark, ItemPointer row)
{
	add_doubt(table, mark, row, true);
}

/* an UPDATE may yet move the row away that this one comes after */
static void
add_doubts(const Search *search, bool marked)
{
	if (search->key && !search->excludes && search->nvalues < search->nkeys)
		add_doubt(search->relation, search->mark, &search->self, true);
	if (!marked)
		add_doubt(search->relation, search->mark, &search->self, false);
}

/*
 * schemaver.is_first(VARIADIC "any") returns boolean
 *
 * For the mark that schemaver.sync() computes: true if the row is the first
 * one with these values of the key, or its writer is held to the key, else
 * NULL.
 */
Datum
schemaver_is_first(PG_FUNCTION_ARGS)
{
	const SvSyncComputing *computing = sv_sync_computing();
	Search	   *search = fcinfo->flinfo->fn_extra;
	bool		marked;

	if (computing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("schemaver.is_first() must be called by the trigger schemaver.sync()")));
	marked = search && !OidIsValid(search->index);
	if (!marked)
	{
		Relation	table = table_open(computing->relation, NoLock);

		if (search == NULL || search->relation != computing->relation ||
			search->mark != computing->column)
			search = begin_search(fcinfo, table, computing->column);
		search->self = computing->row;
		search->heap = table;
		search->key = OidIsValid(search->index) ?
			index_open(search->index, NoLock) : NULL;
		marked = search->key == NULL ||
			!set_values(search, fcinfo->args, PG_NARGS()) ||
			is_to_be_marked(search, computing->held);
		if (ItemPointerIsValid(&search->self))
			add_doubts(search, marked);
		if (search->key)
			index_close(search->key, NoLock);
		table_close(table, NoLock);
	}
	if (marked)
		PG_RETURN_BOOL(true);
	PG_RETURN_NULL();
}

/*
 * schemaver.place_apart() returns bigint
 *
 * For a key that takes nulls for equal: in the place of a mark that is null, a
 * number that no other row has, by all odds.
 */
Datum
schemaver_place_apart(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_INT64((int64) (pg_prng_uint64(&pg_global_prng_state) >> 1 | 1));
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

/*
 * Is the index over these columns and expressions, of that relation's rows?
 * ON CONFLICT means none that is still being built.
 */
static bool
is_over(Relation index, List *columns, List *expressions, int varno)
{
	List	   *own;

	if (!index->rd_index->indisunique || !index->rd_index->indisvalid ||
		!equal(columns, sv_contract_index_columns(index)))
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
	AttrNumber	mark;
	List	   *own = sv_contract_conditions(index, &mark);

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
 * there is none, or another key that it may mean; and whether it is a column of
 * the key or a condition of what that is over.  Versions may have keys over
 * the same columns, each of its own.
 */
static AttrNumber
find_mark(Relation table, const OnConflictExpr *conflict, int varno,
		  bool *is_column)
{
	AttrNumber	found = InvalidAttrNumber;
	List	   *expressions;
	List	   *columns = conflict_columns(conflict, &expressions);
	List	   *condition = conflict_condition(conflict);
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		fits = is_over(index, columns, expressions, varno) &&
		has_all_of(index, condition, varno);
		AttrNumber	mark = fits ? sv_contract_index_mark(index) :
		InvalidAttrNumber;
		bool		immediate = index->rd_index->indimmediate;
		bool		has_column = sv_contract_mark_column(index);

		index_close(index, NoLock);
		if (fits && mark == InvalidAttrNumber && immediate)
			return InvalidAttrNumber;
		if (mark == InvalidAttrNumber || !knows_mark(table, mark))
			continue;
		found = mark;
		*is_column = has_column;
	}
	return found;
}

/* the columns that ON CONFLICT is over, or its condition, with the mark */
static void
name_mark(OnConflictExpr *conflict, Var *mark, bool is_column)
{
	InferenceElem *element;

	if (is_column)
	{
		element = makeNode(InferenceElem);
		element->expr = (Node *) mark;
		conflict->arbiterElems = lappend(conflict->arbiterElems, element);
	}
	else
		conflict->arbiterWhere =
			make_and_qual((Node *) makeRelabelType((Expr *) mark, BOOLOID, -1,
												   InvalidOid,
												   COERCE_IMPLICIT_CAST),
						  conflict->arbiterWhere);
}

/* add the mark to what ON CONFLICT is over */
static void
add_mark(Query *query)
{
	OnConflictExpr *conflict = query->onConflict;
	RangeTblEntry *target;
	Relation	table;
	AttrNumber	mark = InvalidAttrNumber;
	bool		is_column;

	if (query->commandType != CMD_INSERT || conflict == NULL ||
		conflict->arbiterElems == NIL)
		return;
	target = rt_fetch(query->resultRelation, query->rtable);
	table = table_open(target->relid, NoLock);
	if (table->trigdesc && table->trigdesc->trig_insert_before_row)
		mark = find_mark(table, conflict, query->resultRelation, &is_column);
	if (mark)
		name_mark(conflict, makeVar(query->resultRelation, mark,
									get_atttype(target->relid, mark), -1,
									InvalidOid, 0), is_column);
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
 * The end of a statement
 */

/*
 * Rows that are written once more, without triggers, would not be looked at
 * when a constraint of theirs is checked at the transaction's end.
 */
static bool
has_deferrable(Relation table)
{
	for (int i = 0; table->trigdesc && i < table->trigdesc->numtriggers; i++)
	{
		if (table->trigdesc->triggers[i].tgdeferrable)
			return true;
	}
	return false;
}

/* the values of a row by which it may be the first one */
typedef struct Reading
{
	Relation	index;
	TupleTableSlot *slot;
	EState	   *estate;
	NullableDatum *values;
	bool		covered;		/* is the key over the row? */
} Reading;

static void
read_row(void *argument)
{
	Reading    *reading = argument;
	AttrNumber	mark;
	List	   *conditions = sv_contract_conditions(reading->index, &mark);

	GetPerTupleExprContext(reading->estate)->ecxt_scantuple = reading->slot;
	reading->covered = ExecQual(ExecPrepareQual(conditions, reading->estate),
								GetPerTupleExprContext(reading->estate));
	if (reading->covered)
		read_values(reading->index, reading->slot, reading->estate,
					reading->values);
}

/* false too where what the key computes fails for the row */
static bool
try_to_read(Reading *reading)
{
	ErrorData  *problem = NULL;

	if (RelationGetIndexExpressions(reading->index) == NIL &&
		RelationGetIndexPredicate(reading->index) == NIL)
		read_row(reading);
	else
		problem = sv_trial_attempt(read_row, reading);
	if (problem && !sv_tolerate_is_about_value(problem->sqlerrcode))
		ReThrowError(problem);
	return problem == NULL && reading->covered;
}

static bool
has_mark(const Search *search, TupleTableSlot *slot)
{
	bool		is_null;
	Datum		mark = slot_getattr(slot, search->mark, &is_null);

	return !is_null &&
		(!sv_contract_mark_is_number(search->relation, search->mark) ||
		 DatumGetInt64(mark) == 0);
}

/* read the values of a row; false if no other can stand against them */
static bool
take_values(Search *search, TupleTableSlot *slot)
{
	NullableDatum values[INDEX_MAX_KEYS];
	Reading		reading = {search->key, slot, CreateExecutorState(), values,
	false};
	bool		taken = try_to_read(&reading) &&
	set_values(search, values, search->nvalues);

	/* what the values point at is in the slot, or made by an expression */
	search->reading = reading.estate;
	return taken;
}

static void
forget_values(Search *search)
{
	FreeExecutorState(search->reading);
	search->reading = NULL;
}

/* has nobody marked a row with the same values?  Then they are claimed. */
static bool
is_free(Search *search, TupleTableSlot *slot)
{
	bool		is_free = false;

	if (has_mark(search, slot))
		return false;
	is_free = take_values(search, slot) && try_to_claim(search) &&
		!is_there(search);
	forget_values(search);
	return is_free;
}

/* write the row once more, and nothing but its mark is another */
static void
set_mark(Search *search, TupleTableSlot *slot, Snapshot snapshot)
{
	AttrNumber	mark = search->mark;
	TupleTableSlot *marked = MakeSingleTupleTableSlot(RelationGetDescr(search->heap),
													  &TTSOpsVirtual);
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	bool		update_indexes;

	InitResultRelInfo(result, search->heap, 1, NULL, 0);
	ExecOpenIndices(result, false);
	ExecCopySlot(marked, slot);
	marked->tts_values[mark - 1] =
		sv_contract_mark_is_number(search->relation, mark) ?
		Int64GetDatum(0) : BoolGetDatum(true);
	marked->tts_isnull[mark - 1] = false;
	simple_table_tuple_update(search->heap, &search->self, marked, snapshot,
							  &update_indexes);
	if (update_indexes)
		list_free(ExecInsertIndexTuples(result, marked, estate, false, false,
										NULL, NIL));
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	ExecDropSingleTupleTableSlot(marked);
}

/* mark the row as it is now, if it is the first one after all */
static void
settle_row(Search *search)
{
	TupleTableSlot *slot = table_slot_create(search->heap, NULL);
	Snapshot	snapshot;
	TableScanDesc scan;

	CommandCounterIncrement();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan_tid(search->heap, snapshot);
	table_tuple_get_latest_tid(scan, &search->self);
	if (table_tuple_fetch_row_version(search->heap, &search->self, snapshot,
									  slot) && is_free(search, slot))
		set_mark(search, slot, snapshot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Lock a row that has been found, unless somebody else has it or has changed
 * it; then it is in "slot".
 */
static bool
try_to_lock(Search *search, TupleTableSlot *slot, Snapshot snapshot)
{
	TM_FailureData failure;
	ItemPointerData tid = slot->tts_tid;

	return table_tuple_lock(search->heap, &tid, snapshot, slot,
							GetCurrentCommandId(true),
							LockTupleNoKeyExclusive, LockWaitSkip, 0,
							&failure) == TM_Ok;
}

/* what is used for one row after the other that has gone from a table */
typedef struct Following
{
	Search	   *search;			/* NULL: not begun */
	TupleTableSlot *gone;
	TupleTableSlot *other;
	Snapshot	snapshot;
	IndexScanDesc scan;
} Following;

static void
begin_following(Following *following, const Doubt *doubt)
{
	Relation	table = try_table_open(doubt->table, RowExclusiveLock);
	Search	   *search = table ? make_search(table, doubt->mark) : NULL;

	if (table == NULL)
		return;
	if (!OidIsValid(search->index) || search->excludes ||
		search->nvalues == search->nkeys || has_deferrable(table))
	{
		table_close(table, NoLock);
		return;
	}
	search->heap = table;
	search->key = index_open(search->index, NoLock);
	following->search = search;
	following->gone = table_slot_create(table, NULL);
	following->other = table_slot_create(table, NULL);
	following->snapshot = RegisterSnapshot(GetLatestSnapshot());
	following->scan = index_beginscan(table, search->key, following->snapshot,
									  search->nvalues, 0);
}

static void
end_following(Following *following)
{
	if (following->search == NULL)
		return;
	index_endscan(following->scan);
	UnregisterSnapshot(following->snapshot);
	ExecDropSingleTupleTableSlot(following->gone);
	ExecDropSingleTupleTableSlot(following->other);
	index_close(following->search->key, NoLock);
	table_close(following->search->heap, NoLock);
	following->search = NULL;
}

/*
 * Mark one of the rows that have the values that are looked for.  What this
 * statement has marked before shows as it was, and cannot be locked.
 */
static void
mark_another(Following *following)
{
	Search	   *search = following->search;
	TupleTableSlot *slot = following->other;
	bool		done = false;

	index_rescan(following->scan, search->keys, search->nvalues, NULL, 0);
	while (!done && index_getnext_slot(following->scan, ForwardScanDirection,
									   slot))
	{
		done = has_mark(search, slot);
		if (done || !try_to_lock(search, slot, following->snapshot))
			continue;
		search->self = slot->tts_tid;
		if (try_to_claim(search) && !is_there(search))
			set_mark(search, slot, following->snapshot);
		done = true;
	}
	ExecClearTuple(slot);
}

/* a row that was marked has gone, or has other values by now */
static void
settle_gone(Following *following, ItemPointer row)
{
	Search	   *search = following->search;

	if (!table_tuple_fetch_row_version(search->heap, row, SnapshotAny,
									   following->gone) ||
		!has_mark(search, following->gone))
		return;
	if (take_values(search, following->gone))
		mark_another(following);
	forget_values(search);
	ExecClearTuple(following->gone);
}

/* "doubts" is a list of Doubt */
static void
settle_all_gone(List *doubts)
{
	Following	following = {0};
	const Doubt *last = NULL;
	ListCell   *lc;

	CommandCounterIncrement();
	foreach(lc, doubts)
	{
		Doubt	   *doubt = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (last == NULL || last->table != doubt->table ||
			last->mark != doubt->mark)
		{
			end_following(&following);
			begin_following(&following, doubt);
		}
		if (following.search)
			settle_gone(&following, &doubt->row);
		release_all(depth);
		last = doubt;
	}
	end_following(&following);
}

/* "last" is the search for the row before, or NULL */
static Search *
settle(const Doubt *doubt, Search *last)
{
	Relation	table = try_table_open(doubt->table, RowExclusiveLock);
	Search	   *search = last;

	if (table == NULL)
		return last;
	if (last == NULL || last->relation != doubt->table ||
		last->mark != doubt->mark)
		search = make_search(table, doubt->mark);
	search->heap = table;
	search->self = doubt->row;
	if (OidIsValid(search->index) && !has_deferrable(table))
	{
		search->key = index_open(search->index, NoLock);
		settle_row(search);
		index_close(search->key, NoLock);
	}
	table_close(table, NoLock);
	return search;
}

/*
 * An UPDATE has passed all its rows.  Those that it gave the values of others
 * which it has moved away since, as SET n = n + 1 does, are the first ones.
 * Then others may follow those that have gone.
 */
static void
settle_doubts(void)
{
	List	   *unmarked = NIL;
	List	   *gone = NIL;
	List	   *left = NIL;
	Search	   *search = NULL;
	MemoryContext oldcontext;
	ListCell   *lc;

	if (doubts == NIL)
		return;
	oldcontext = MemoryContextSwitchTo(TopTransactionContext);
	foreach(lc, doubts)
	{
		Doubt	   *doubt = lfirst(lc);

		if (doubt->depth <= depth)
			left = lappend(left, doubt);
		else if (doubt->is_gone)
			gone = lappend(gone, doubt);
		else
			unmarked = lappend(unmarked, doubt);
	}
	list_free(doubts);
	doubts = left;
	MemoryContextSwitchTo(oldcontext);
	foreach(lc, unmarked)
	{
		CHECK_FOR_INTERRUPTS();
		search = settle(lfirst(lc), search);
		release_all(depth);
	}
	if (gone != NIL)
		settle_all_gone(gone);
	if (unmarked != NIL || gone != NIL)
		CommandCounterIncrement();
	list_free_deep(unmarked);
	list_free_deep(gone);
}

static void
run_query(QueryDesc *queryDesc, ScanDirection direction, uint64 count,
		  bool execute_once)
{
	depth++;
	PG_TRY();
	{
		if (next_run)
			next_run(queryDesc, direction, count, execute_once);
		else
			standard_ExecutorRun(queryDesc, direction, count, execute_once);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

/* what was claimed has been written */
static void
finish_query(QueryDesc *queryDesc)
{
	if (next_finish)
		next_finish(queryDesc);
	else
		standard_ExecutorFinish(queryDesc);
	release_all(depth + 1);
	settle_doubts();
}

/* COPY writes without a query */
static void
run_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
			ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	ProcessUtility_hook_type next = next_utility ? next_utility :
	standard_ProcessUtility;
	bool		copies = IsA(pstmt->utilityStmt, CopyStmt);

	next(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc);
	if (copies)
		release_all(depth);
}

static void
end_transaction(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
	{
		release_all(0);
		doubts = NIL;
	}
}

/* what an UPDATE that has failed was about is as it was */
static void
end_subtransaction(SubXactEvent event, SubTransactionId mine,
				   SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	(void) mine;
	(void) parent;
	(void) arg;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, doubts)
	{
		if (((Doubt *) lfirst(lc))->depth > depth)
			doubts = foreach_delete_current(doubts, lc);
	}
}

/*
 * Have ON CONFLICT find loosened keys, and claims end with what they are for.
 */
void
sv_first_init(void)
{
	sv_sync_gone_hook = note_gone;
	next_planner = planner_hook;
	planner_hook = plan_query;
	next_run = ExecutorRun_hook;
	ExecutorRun_hook = run_query;
	next_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_query;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = run_utility;
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
}
