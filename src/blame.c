/*-------------------------------------------------------------------------
 *
 * blame.c
 *	  Which row of a table an expression fails for.
 *
 * An UPDATE of all rows tells what is wrong, and not where.  After it has
 * failed and was rolled back, the expression is computed for one row after
 * another until it fails again, and the row's key is what people can look
 * for.  Nothing is written.
 *
 * Runs in a subtransaction of its own, under the locks that the caller holds.
 *
 * A row without a value is looked for in the same way.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

typedef struct Search
{
	Oid			relation;		/* of the row that is tried */
	TupleTableSlot *row;
	HeapTuple	tuple;			/* the one that is to blame */
} Search;

/* may people know rows by it?  The primary key may have been put away. */
static bool
is_key(Relation index, bool primary)
{
	return index->rd_index->indisunique && index->rd_index->indisvalid &&
		(index->rd_index->indisprimary || !primary) &&
		RelationGetIndexExpressions(index) == NIL &&
		RelationGetIndexPredicate(index) == NIL;
}

/* the columns by which people know a row: attnums, NIL if there are none */
static List *
key_of(Relation relation, bool primary)
{
	List	   *key = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		for (int i = 0; is_key(index, primary) &&
			 i < index->rd_index->indnkeyatts; i++)
		{
			AttrNumber	number = index->rd_index->indkey.values[i];

			if (!sv_contract_is_mark(RelationGetRelid(relation), number))
				key = lappend_int(key, number);
		}
		index_close(index, AccessShareLock);
		if (key != NIL)
			return key;
	}
	return primary ? key_of(relation, false) : NIL;
}

/* "row with (id)=(4)", or its place in the table if it has no key */
static char *
name_row(const Search *search)
{
	Relation	relation = table_open(search->relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	ItemPointer place = &search->tuple->t_self;
	StringInfoData names;
	StringInfoData values;
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, key_of(relation, true))
	{
		Form_pg_attribute column = TupleDescAttr(desc, lfirst_int(lc) - 1);
		char	   *name = NameStr(column->attname);
		char	   *value = SPI_getvalue(search->tuple, desc, column->attnum);

		if (sv_is_hidden(name))
			name += strlen(SV_HIDDEN_PREFIX);
		appendStringInfo(&names, "%s%s", names.len ? ", " : "",
						 quote_identifier(name));
		appendStringInfo(&values, "%s%s", values.len ? ", " : "",
						 value ? value : "null");
	}
	table_close(relation, NoLock);
	if (names.len == 0)
		return psprintf("row at (%u,%u)", ItemPointerGetBlockNumber(place),
						ItemPointerGetOffsetNumber(place));
	return psprintf("row with (%s)=(%s)", names.data, values.data);
}

/* compute the expression for all rows of a table, until it fails */
static void
try_table(Search *search, Oid oid, const char *column, const char *expression)
{
	Relation	relation = table_open(oid, AccessShareLock);
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(relation), get_attnum(oid, column) - 1);
	EState	   *estate = CreateExecutorState();
	ExprContext *econtext = GetPerTupleExprContext(estate);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	TupleTableSlot *row = table_slot_create(relation, NULL);
	Node	   *node = sv_sync_expression(relation, expression,
										  attribute->atttypid,
										  attribute->atttypmod);
	ExprState  *state = ExecPrepareExpr((Expr *) node, estate);

	search->relation = oid;
	search->row = row;
	econtext->ecxt_scantuple = row;
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		(void) ExecEvalExprSwitchContext(state, econtext, &isnull);
		ResetExprContext(econtext);
	}
	search->row = NULL;
	ExecDropSingleTupleTableSlot(row);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, NoLock);
}

static void
try_tables(Search *search, Oid relation, const char *column,
		   const char *expression)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, AccessShareLock, NULL))
	{
		if (RELKIND_HAS_TABLE_AM(get_rel_relkind(lfirst_oid(lc))))
			try_table(search, lfirst_oid(lc), column, expression);
	}
}

/*
 * Throw an error that setting a column of a table to an expression has raised,
 * with the key of the row that it is about in front of its message, if that
 * can be told.  What has failed was rolled back.
 */
void
sv_blame_row(Oid relation, const char *column, const char *expression,
			 ErrorData *problem)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Search	   *search = palloc0(sizeof(Search));

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		try_tables(search, relation, column, expression);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		if (search->row && !TTS_EMPTY(search->row))
			search->tuple = ExecCopySlotHeapTuple(search->row);
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	CHECK_FOR_INTERRUPTS();
	if (search->tuple)
		problem->message = psprintf("%s: %s", name_row(search),
									problem->message);
	ReThrowError(problem);
}

/* the first row of a table without a value in a column */
static bool
find_null(Search *search, Oid oid, const char *column)
{
	Relation	relation = table_open(oid, AccessShareLock);
	AttrNumber	number = get_attnum(oid, column);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);
	TupleTableSlot *row = table_slot_create(relation, NULL);

	search->relation = oid;
	while (search->tuple == NULL &&
		   table_scan_getnextslot(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		if (slot_attisnull(row, number))
			search->tuple = ExecCopySlotHeapTuple(row);
	}
	ExecDropSingleTupleTableSlot(row);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(relation, NoLock);
	return search->tuple != NULL;
}

/*
 * An error that names the first row of a table, or of its heirs, that has no
 * value in a column; returns if there is none.  Takes ACCESS SHARE locks.
 */
void
sv_blame_null(Oid relation, const char *column)
{
	Search		search = {0};
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, AccessShareLock, NULL))
	{
		if (RELKIND_HAS_TABLE_AM(get_rel_relkind(lfirst_oid(lc))) &&
			find_null(&search, lfirst_oid(lc), column))
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("%s: column \"%s\" of relation \"%s\" contains null values",
							name_row(&search), column,
							get_rel_name(relation))));
	}
}
