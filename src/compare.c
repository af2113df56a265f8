/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Do columns that are kept in step hold what they must?
 *
 * A row is written from one of two sides.  Who writes the old one has the
 * trigger (sync.c) compute "up" as soon as a column changes that it mentions;
 * who writes the new one, "down".  Whatever has been written since, the one
 * that was computed last gives what is there.  So of an "up" and a "down"
 * that compute each other's input, one must hold in every row, though nobody
 * knows which, and a lossy one need not hold where the other does.
 *
 * That is so as long as nothing else changes what they compute from.  No more
 * is demanded, and nothing at all, where
 *
 * - a column that one of them mentions is written by versions on both sides,
 *	 or computed from something else than the other one;
 * - one depends on settings of who writes, such as his time zone;
 * - a job has yet to fill the column.  Nothing is wrong then, and nothing is
 *	 told as long as the job has not failed.
 *
 * Two values are the same if their images are, or else if they look the same
 * to a client: what a dump has brought back may be stored otherwise, 1.0 and
 * 1.00 are not the same.
 *
 * An expression that cannot be evaluated for a row does not hold there.  To
 * go on after its error, rows are looked at in a subtransaction, but read in
 * the surrounding one, to which the scan belongs.
 *
 * What users wrote runs as the owner of the table, who could have written
 * there himself, in a security-restricted operation.  Tables are locked in
 * AccessShareLock, and nothing is written: a standby can do it as well.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* one way to compute a column, in the table being read */
typedef struct Side
{
	SvSyncDirection *direction;
	ExprState  *state;
	enum
	{
		SIDE_UNKNOWN, SIDE_HOLDS, SIDE_DIFFERS
	}			row;			/* in the row at hand */
} Side;

/* an "up" and a "down" of which one must hold */
typedef struct Link
{
	int			up;				/* which of the sides */
	int			down;
	SvStray    *stray;			/* what becomes of it */
} Link;

/* a column as a version has it, retired ones included */
typedef struct Usage
{
	AttrNumber	number;
	char	   *name;			/* that it has for that version */
	SvVersion  *version;
	int32		release_id;		/* the version's */
} Usage;

typedef struct Comparison
{
	Oid			relation;
	List	   *usages;			/* of Usage */
	List	   *links;			/* of Link */
	int			nsides;
	Side	   *sides;

	/* of the table being read */
	Relation	table;
	TupleTableSlot *slot;
	MemoryContext states;		/* holds what an error may leave unusable */
	ExprContext *econtext;
	ResourceOwner owner;		/* of the scan */
} Comparison;

/*
 * What can be demanded
 */

/* who writes a column: sets *older and *newer, on which side of a pair */
static void
find_writers(const Comparison *comparison, AttrNumber number,
			 const SvSyncPair *pair, bool *older, bool *newer)
{
	ListCell   *lc;

	*older = *newer = false;
	foreach(lc, comparison->usages)
	{
		Usage	   *usage = lfirst(lc);

		if (usage->number != number)
			continue;
		if (sv_sync_is_old(pair, usage->version))
			*older = true;
		else
			*newer = true;
	}
}

/* does the text form of a type depend on settings? */
static bool
has_unstable_text(Oid type)
{
	Oid			element = get_element_type(type);
	Oid			function;
	bool		is_varlena;
	Oid			parameter;

	if (OidIsValid(element))
		return has_unstable_text(element);
	type = getBaseType(type);
	if (type_is_enum(type))
		return false;
	getTypeOutputInfo(type, &function, &is_varlena);
	if (func_volatile(function) != PROVOLATILE_IMMUTABLE)
		return true;
	getTypeInputInfo(type, &function, &parameter);
	return func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

static bool
is_mutable_function(Oid function, void *context)
{
	(void) context;
	return func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

/*
 * May an expression give another value under other settings?  As
 * contain_mutable_functions(), but the labels of an enum are no setting.
 */
static bool
is_unstable(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction) || IsA(node, NextValueExpr))
		return true;
	if (IsA(node, CoerceViaIO))
	{
		CoerceViaIO *cast = (CoerceViaIO *) node;

		if (has_unstable_text(exprType((Node *) cast->arg)) ||
			has_unstable_text(cast->resulttype))
			return true;
	}
	else if (check_functions_in_node(node, is_mutable_function, context))
		return true;
	return expression_tree_walker(node, is_unstable, context);
}

static const char *
word_of(const SvSyncDirection *direction)
{
	return direction->is_up ? "up" : "down";
}

/* the column as SQL has it */
static const char *
column_name(const Comparison *comparison, AttrNumber number)
{
	return quote_identifier(get_attname(comparison->relation, number, false));
}

/*
 * Why the inputs of one side of a link may have changed without anything
 * being computed, or NULL.
 */
static char *
why_inputs_change(const Comparison *comparison, const SvSyncDirection *one,
				  const SvSyncDirection *other)
{
	int			number = -1;

	while ((number = bms_next_member(one->inputs, number)) >= 0)
	{
		bool		older;
		bool		newer;

		find_writers(comparison, number, one->pair, &older, &newer);
		if (one->is_up ? newer : older)
			return psprintf("Versions on both sides write column %s, which \"%s\" mentions.",
							column_name(comparison, number), word_of(one));
		for (int i = 0; i < comparison->nsides; i++)
		{
			const SvSyncDirection *third = comparison->sides[i].direction;

			/* along a chain of pairs, "up" follows "up" in the same write */
			if (third->target == number && third != one &&
				third->is_up != one->is_up &&
				!bms_is_subset(third->inputs, other->inputs))
				return psprintf("Column %s, which \"%s\" mentions, is computed from others than \"%s\" mentions.",
								column_name(comparison, number), word_of(one),
								word_of(other));
		}
	}
	return NULL;
}

/*
 * Is a job for a column of the table?  Its name is the one of the version
 * that the job is for, and need not be there while that one is rolled back.
 */
static bool
fills(const Comparison *comparison, SvJob *job, AttrNumber number)
{
	ListCell   *lc;

	if (strcmp(job->kind, SV_JOB_BACKFILL) != 0 ||
		sv_work_find_relation(job) != comparison->relation)
		return false;
	if (strcmp(job->name,
			   get_attname(comparison->relation, number, false)) == 0)
		return true;
	foreach(lc, comparison->usages)
	{
		Usage	   *usage = lfirst(lc);

		if (usage->number == number && usage->release_id == job->release_id &&
			strcmp(usage->name, job->name) == 0)
			return true;
	}
	return false;
}

/* the job that is still to fill a column or has failed to, or NULL */
static SvJob *
find_filler(const Comparison *comparison, const SvSyncDirection *one)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_jobs())
	{
		if (fills(comparison, lfirst(lc), one->target))
			return lfirst(lc);
	}
	return NULL;
}

/* is there a job that will fill the column unless it fails? */
static bool
is_being_filled(const Comparison *comparison, const SvSyncDirection *one)
{
	SvJob	   *job = find_filler(comparison, one);

	return job && strcmp(job->state, SV_JOB_FAILED) != 0;
}

/* that a job has failed to fill the column, or NULL */
static char *
why_not_filled(const Comparison *comparison, const SvSyncDirection *one)
{
	SvJob	   *job = find_filler(comparison, one);

	return job ? psprintf("Job %d has failed to fill column %s.", job->id,
						  column_name(comparison, one->target)) : NULL;
}

/* why nothing can be demanded of a link, NULL if it can */
static char *
why_not(const Comparison *comparison, const SvSyncDirection *up,
		const SvSyncDirection *down)
{
	char	   *reason;

	if (!bms_is_member(up->target, down->inputs) ||
		!bms_is_member(down->target, up->inputs))
		return "One of both is not computed from the other.";
	if (is_unstable(up->expression, NULL))
		return "What \"up\" gives depends on settings of who writes.";
	if (is_unstable(down->expression, NULL))
		return "What \"down\" gives depends on settings of who writes.";
	reason = why_inputs_change(comparison, up, down);
	if (reason == NULL)
		reason = why_inputs_change(comparison, down, up);
	if (reason == NULL)
		reason = why_not_filled(comparison, up);
	return reason ? reason : why_not_filled(comparison, down);
}

static bool
has_default(const Comparison *comparison, AttrNumber number)
{
	return TupleDescAttr(RelationGetDescr(comparison->table),
						 number - 1)->atthasdef;
}

/*
 * Do an "up" and a "down" belong together?  Those of one pair do.  Of two
 * pairs they do if each computes what the other mentions, and no default
 * takes the place of what is computed.
 */
static bool
are_linked(const Comparison *comparison, const SvSyncDirection *up,
		   const SvSyncDirection *down)
{
	if (!up->is_up || down->is_up)
		return false;
	if (up->pair == down->pair)
		return true;
	return strcmp(up->pair->label, down->pair->label) == 0 &&
		strcmp(up->pair->product, down->pair->product) == 0 &&
		bms_is_member(up->target, down->inputs) &&
		bms_is_member(down->target, up->inputs) &&
		!has_default(comparison, up->target) &&
		!has_default(comparison, down->target);
}

static void
add_link(Comparison *comparison, int up, int down)
{
	const SvSyncDirection *upward = comparison->sides[up].direction;
	const SvSyncDirection *downward = comparison->sides[down].direction;
	Link	   *link = palloc0(sizeof(Link));

	link->up = up;
	link->down = down;
	link->stray = palloc0(sizeof(SvStray));
	link->stray->old_column = pstrdup(column_name(comparison,
												  downward->target));
	link->stray->new_column = pstrdup(column_name(comparison,
												  upward->target));
	link->stray->up = upward->pair->up;
	link->stray->down = downward->pair->down;
	link->stray->label = sv_sync_label(upward->pair);
	link->stray->why_not = why_not(comparison, upward, downward);
	comparison->links = lappend(comparison->links, link);
}

static void
make_links(Comparison *comparison)
{
	for (int i = 0; i < comparison->nsides; i++)
	{
		for (int j = 0; j < comparison->nsides; j++)
		{
			const SvSyncDirection *up = comparison->sides[i].direction;
			const SvSyncDirection *down = comparison->sides[j].direction;

			if (are_linked(comparison, up, down) &&
				!is_being_filled(comparison, up) &&
				!is_being_filled(comparison, down))
				add_link(comparison, i, j);
		}
	}
}

/* which versions, retired ones included, have which columns of the table */
static void
read_usages(Comparison *comparison)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(comparison->relation);
	MemoryContext context = CurrentMemoryContext;

	SPI_connect();
	if (SPI_execute_with_args("SELECT DISTINCT p.number, v.version::text,"
							  "  p.name, v.id "
							  "FROM schemaver.db_contract_entry AS e"
							  "  JOIN schemaver.db_contract_part AS p"
							  "    ON p.entry_id = e.id AND p.kind = 'c'"
							  "  JOIN schemaver.db_schema_version AS v"
							  "    ON v.product_id = e.product_id"
							  "    AND e.id = ANY (v.contract) "
							  "WHERE e.physical = $1 AND p.number > 0",
							  1, &type, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not query the contracts");
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[row];
		MemoryContext oldcontext;
		Usage	   *usage;
		bool		isnull;

		oldcontext = MemoryContextSwitchTo(context);
		usage = palloc(sizeof(Usage));
		usage->number = DatumGetInt16(SPI_getbinval(tuple,
													SPI_tuptable->tupdesc, 1,
													&isnull));
		usage->version =
			sv_version_parse(SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2));
		usage->name = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 3);
		usage->release_id = DatumGetInt32(SPI_getbinval(tuple,
														SPI_tuptable->tupdesc,
														4, &isnull));
		comparison->usages = lappend(comparison->usages, usage);
		MemoryContextSwitchTo(oldcontext);
	}
	SPI_finish();
}

/*
 * Rows
 */

/* make ready what evaluates, again after an error */
static void
make_states(Comparison *comparison)
{
	MemoryContext oldcontext;

	if (comparison->econtext)
		FreeExprContext(comparison->econtext, false);
	MemoryContextReset(comparison->states);
	oldcontext = MemoryContextSwitchTo(comparison->states);
	comparison->econtext = CreateStandaloneExprContext();
	comparison->econtext->ecxt_scantuple = comparison->slot;
	for (int i = 0; i < comparison->nsides; i++)
		comparison->sides[i].state =
			ExecInitExpr((Expr *) comparison->sides[i].direction->expression,
						 NULL);
	MemoryContextSwitchTo(oldcontext);
}

/* begin the subtransaction in which expressions run, in the same context */
static void
begin_looking(void)
{
	MemoryContext context = CurrentMemoryContext;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
}

static void
end_looking(Comparison *comparison, bool failed)
{
	MemoryContext context = CurrentMemoryContext;

	if (failed)
		RollbackAndReleaseCurrentSubTransaction();
	else
		ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = comparison->owner;
}

/* is it what a client would not tell apart? */
static bool
is_same(Form_pg_attribute column, Datum a, bool a_null, Datum b, bool b_null)
{
	Oid			output;
	bool		is_varlena;

	if (a_null || b_null)
		return a_null && b_null;
	if (datum_image_eq(a, b, column->attbyval, column->attlen))
		return true;
	getTypeOutputInfo(column->atttypid, &output, &is_varlena);
	return strcmp(OidOutputFunctionCall(output, a),
				  OidOutputFunctionCall(output, b)) == 0;
}

/* evaluate one side for the row at hand */
static bool
gives_what_is_there(Comparison *comparison, Side *side)
{
	AttrNumber	target = side->direction->target;
	ExprContext *econtext = comparison->econtext;
	MemoryContext oldcontext =
	MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	bool		there_null;
	bool		isnull;
	Datum		there = slot_getattr(comparison->slot, target, &there_null);
	Datum		value = ExecEvalExpr(side->state, econtext, &isnull);
	bool		same =
	is_same(TupleDescAttr(comparison->slot->tts_tupleDescriptor, target - 1),
			value, isnull, there, there_null);

	MemoryContextSwitchTo(oldcontext);
	return same;
}

/* the same, once for each row; an error in it means that it does not hold */
static bool
holds(Comparison *comparison, Side *side)
{
	MemoryContext context = CurrentMemoryContext;

	if (side->row != SIDE_UNKNOWN)
		return side->row == SIDE_HOLDS;
	PG_TRY();
	{
		side->row = gives_what_is_there(comparison, side) ?
			SIDE_HOLDS : SIDE_DIFFERS;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!sv_sync_is_about_data(error->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
		end_looking(comparison, true);
		begin_looking();
		make_states(comparison);
		side->row = SIDE_DIFFERS;
	}
	PG_END_TRY();
	return side->row == SIDE_HOLDS;
}

/* "(id)=(7)", or where the row is if it has no key */
static char *
row_key(Comparison *comparison)
{
	TupleDesc	desc = comparison->slot->tts_tupleDescriptor;
	ItemPointer tid = &comparison->slot->tts_tid;
	StringInfoData names;
	StringInfoData values;
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, sv_catalog_key(comparison->table))
	{
		Form_pg_attribute column = TupleDescAttr(desc, lfirst_int(lc) - 1);
		const char *comma = names.len ? ", " : "";
		Oid			output;
		bool		is_varlena;
		bool		isnull;
		Datum		value = slot_getattr(comparison->slot, lfirst_int(lc),
										 &isnull);

		getTypeOutputInfo(column->atttypid, &output, &is_varlena);
		appendStringInfo(&names, "%s%s", comma,
						 quote_identifier(NameStr(column->attname)));
		appendStringInfo(&values, "%s%s", comma,
						 isnull ? "null" :
						 OidOutputFunctionCall(output, value));
	}
	if (names.len == 0)
		return psprintf("at (%u,%u)", ItemPointerGetBlockNumber(tid),
						ItemPointerGetOffsetNumber(tid));
	return psprintf("with (%s)=(%s)", names.data, values.data);
}

static void
look_at_row(Comparison *comparison)
{
	ListCell   *lc;

	for (int i = 0; i < comparison->nsides; i++)
		comparison->sides[i].row = SIDE_UNKNOWN;
	foreach(lc, comparison->links)
	{
		Link	   *link = lfirst(lc);

		if (link->stray->why_not ||
			holds(comparison, &comparison->sides[link->up]) ||
			holds(comparison, &comparison->sides[link->down]))
			continue;
		if (link->stray->rows++ == 0)
			link->stray->key = row_key(comparison);
	}
	ResetExprContext(comparison->econtext);
}

/* a scan's pins belong to the owner that is current while it goes on */
static bool
next_row(Comparison *comparison, TableScanDesc scan)
{
	ResourceOwner looking = CurrentResourceOwner;
	bool		found;

	CHECK_FOR_INTERRUPTS();
	CurrentResourceOwner = comparison->owner;
	found = table_scan_getnextslot(scan, ForwardScanDirection,
								   comparison->slot);
	CurrentResourceOwner = looking;
	return found;
}

static void
read_rows(Comparison *comparison)
{
	TableScanDesc scan = table_beginscan(comparison->table,
										 GetActiveSnapshot(), 0, NULL);

	comparison->slot = table_slot_create(comparison->table, NULL);
	comparison->states = AllocSetContextCreate(CurrentMemoryContext,
											   "schemaver compare",
											   ALLOCSET_DEFAULT_SIZES);
	comparison->econtext = NULL;
	comparison->owner = CurrentResourceOwner;
	begin_looking();
	make_states(comparison);
	while (next_row(comparison, scan))
		look_at_row(comparison);
	end_looking(comparison, false);
	FreeExprContext(comparison->econtext, false);
	MemoryContextDelete(comparison->states);
	ExecDropSingleTupleTableSlot(comparison->slot);
	table_endscan(scan);
}

/* the directions over the row of the open table, ready to be evaluated */
static void
read_sides(Comparison *comparison, List *pairs)
{
	List	   *directions = sv_sync_directions(comparison->table, pairs);
	ListCell   *lc;

	comparison->nsides = list_length(directions);
	comparison->sides = palloc0(sizeof(Side) * comparison->nsides);
	foreach(lc, directions)
		comparison->sides[foreach_current_index(lc)].direction = lfirst(lc);
}

/* one table of those that a trigger is for: itself, or a partition */
static void
compare_part(Comparison *comparison, List *pairs, Oid part)
{
	comparison->table = table_open(part, AccessShareLock);
	if (comparison->table->rd_rel->relkind == RELKIND_RELATION)
	{
		read_sides(comparison, pairs);
		for (int i = 0; i < comparison->nsides; i++)
		{
			SvSyncDirection *direction = comparison->sides[i].direction;

			direction->expression = (Node *)
				expression_planner((Expr *) direction->expression);
		}
		read_rows(comparison);
	}
	table_close(comparison->table, NoLock);
}

static bool
is_any_demanded(const Comparison *comparison)
{
	ListCell   *lc;

	foreach(lc, comparison->links)
	{
		if (((Link *) lfirst(lc))->stray->why_not == NULL)
			return true;
	}
	return false;
}

/*
 * Look at all rows of a table, its partitions included but not its heirs,
 * which have a trigger of their own; foreign ones are left out.  Returns a
 * list of SvStray, one for each "up" and "down" that belong together unless a
 * job is about to fill one, in the caller's memory context.  Rows are read by
 * the latest snapshot.
 *
 * Runs what users wrote, as the table's owner.  Locks in AccessShareLock
 * until the transaction ends.  May throw whatever the expressions do that is
 * not about data; then a subtransaction may still be open, so that the caller
 * has to roll back to where he was.
 */
List *
sv_compare_rows(Oid relation)
{
	Comparison	comparison = {0};
	List	   *pairs = sv_sync_noted_pairs(relation);
	List	   *result = NIL;
	SvIdentity	identity;
	ListCell   *lc;

	comparison.relation = relation;
	read_usages(&comparison);
	GetUserIdAndSecContext(&identity.user, &identity.context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(relation),
						   identity.context | SECURITY_RESTRICTED_OPERATION);
	comparison.table = table_open(relation, AccessShareLock);
	read_sides(&comparison, pairs);
	make_links(&comparison);
	table_close(comparison.table, NoLock);
	if (is_any_demanded(&comparison))
	{
		List	   *parts = get_rel_relkind(relation) ==
		RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(relation, AccessShareLock, NULL) :
		list_make1_oid(relation);

		/* to see what jobs have filled that were found done */
		PushActiveSnapshot(GetLatestSnapshot());
		foreach(lc, parts)
			compare_part(&comparison, pairs, lfirst_oid(lc));
		PopActiveSnapshot();
	}
	sv_catalog_become_caller(&identity);
	foreach(lc, comparison.links)
		result = lappend(result, ((Link *) lfirst(lc))->stray);
	return result;
}
