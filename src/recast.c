/*-------------------------------------------------------------------------
 *
 * recast.c
 *	  Let a trigger function that only older versions still have see rows as
 *	  the version knows them whose code it is.
 *
 * What a script has dropped of triggers and their functions goes on running
 * for the versions that had them.  Its text says NEW.name and OLD.name, in the
 * names of then, and the table may have other names by now, or keep a column
 * under a hidden one.  But the version has a view on the table, whose columns
 * are those that it knows.  So the function is called as if it was a trigger
 * of that view: with rows of the view's type, made from those of the table.
 * What a BEFORE trigger returns is taken back into a row of the table, in
 * which all that the version does not know is as it was.
 *
 * Where the version finds the table itself there is no view, and nothing is
 * done.  What is found of a view lasts as long as the FmgrInfo of the call,
 * which is a query's, and the table is locked for so long.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

/* how a session sees a table; InvalidOid for a view: just as it is */
struct SvRecast
{
	Oid			relation;
	bool		is_partition;	/* the view is that of the topmost ancestor */
	Oid			view;
	int			natts;			/* of the view */
	AttrNumber *numbers;		/* for each of its columns that of the table */
};

/* one call of a trigger */
typedef struct Call
{
	const SvRecast *recast;
	TupleDesc	table;
	TupleDesc	view;
} Call;

/* the view of a relation in a version's first schema that was found last */
typedef struct FoundKey
{
	Oid			relation;
	Oid			schema;
} FoundKey;

typedef struct FoundView
{
	FoundKey	key;			/* hash key */
	Oid			view;
} FoundView;

/*
 * Views
 */

/* is it a view on the relation in one of the schemas? */
static bool
is_seen_view(Oid view, Oid relation, List *schemas, List **columns)
{
	Oid			base;

	return get_rel_relkind(view) == RELKIND_VIEW &&
		list_member_oid(schemas, get_rel_namespace(view)) &&
		sv_contract_read_view(view, &base, columns) && base == relation;
}

/*
 * A session's functions ask for the same views again and again, and many may
 * stand on a table: those that were found, which are looked at once more.
 */
static FoundView *
found_view(Oid relation, List *schemas)
{
	static HTAB *all = NULL;
	FoundKey	key = {relation,
	schemas ? linitial_oid(schemas) : InvalidOid};
	FoundView  *view;
	bool		found;

	if (all == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(FoundKey);
		control.entrysize = sizeof(FoundView);
		control.hcxt = CacheMemoryContext;
		all = hash_create("schemaver views of functions", 16, &control,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	view = hash_search(all, &key, HASH_ENTER, &found);
	if (!found)
		view->view = InvalidOid;
	return view;
}

/* look for the view in these schemas of a relation */
static Oid
look_for_view(Oid relation, List *schemas, List **columns)
{
	Oid			last = InvalidOid;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(RelationRelationId, relation, -1))
	{
		Form_pg_depend form = lfirst(lc);

		/* a view depends on each of its columns */
		if (form->classid != RelationRelationId || form->objid == last)
			continue;
		last = form->objid;
		if (is_seen_view(form->objid, relation, schemas, columns))
			return form->objid;
	}
	return InvalidOid;
}

/* the view in these schemas of a relation, InvalidOid if there is none */
static Oid
find_view(Oid relation, List *schemas, List **columns)
{
	FoundView  *found = found_view(relation, schemas);

	if (OidIsValid(found->view) &&
		is_seen_view(found->view, relation, schemas, columns))
		return found->view;
	found->view = look_for_view(relation, schemas, columns);
	return found->view;
}

static SvRecast *
make_recast(Oid relation, List *schemas, MemoryContext context)
{
	SvRecast   *recast = MemoryContextAllocZero(context, sizeof(SvRecast));
	Oid			root = get_rel_relispartition(relation) ?
	llast_oid(get_partition_ancestors(relation)) : relation;
	List	   *columns = NIL;
	ListCell   *lc;

	recast->relation = relation;
	recast->is_partition = root != relation;
	recast->view = find_view(root, schemas, &columns);
	if (!OidIsValid(recast->view))
		return recast;
	recast->natts = list_length(columns);
	recast->numbers = MemoryContextAlloc(context,
										 sizeof(AttrNumber) * recast->natts);
	foreach(lc, columns)
	{
		AttrNumber	number = lfirst_int(lc);

		if (number > 0 && recast->is_partition)
			number = get_attnum(relation, get_attname(root, number, false));
		recast->numbers[foreach_current_index(lc)] = number;
	}
	return recast;
}

/*
 * Rows
 */

static HeapTuple
finish_tuple(HeapTuple tuple, HeapTuple model)
{
	tuple->t_self = model->t_self;
	tuple->t_tableOid = model->t_tableOid;
	return tuple;
}

/* the table's row as the version sees it */
static HeapTuple
to_view(const Call *call, HeapTuple tuple)
{
	Datum	   *values = palloc(sizeof(Datum) * call->recast->natts);
	bool	   *nulls = palloc(sizeof(bool) * call->recast->natts);

	if (tuple == NULL)
		return NULL;
	for (int i = 0; i < call->recast->natts; i++)
		values[i] = heap_getattr(tuple, call->recast->numbers[i], call->table,
								 &nulls[i]);
	return finish_tuple(heap_form_tuple(call->view, values, nulls), tuple);
}

/* what a function has made of a row, in the table's row that it was */
static HeapTuple
from_view(const Call *call, HeapTuple tuple, HeapTuple row)
{
	Datum	   *values = palloc(sizeof(Datum) * call->table->natts);
	bool	   *nulls = palloc(sizeof(bool) * call->table->natts);

	heap_deform_tuple(row, call->table, values, nulls);
	for (int i = 0; i < call->recast->natts; i++)
	{
		AttrNumber	number = call->recast->numbers[i];

		if (number > 0)
			values[number - 1] = heap_getattr(tuple, i + 1, call->view,
											  &nulls[number - 1]);
	}
	return finish_tuple(heap_form_tuple(call->table, values, nulls), row);
}

/* a transition table as the version sees it; lasts as long as the call */
static Tuplestorestate *
recast_store(const Call *call, Tuplestorestate *store)
{
	Tuplestorestate *result;
	TupleTableSlot *slot;
	Datum	   *values = palloc(sizeof(Datum) * call->recast->natts);
	bool	   *nulls = palloc(sizeof(bool) * call->recast->natts);

	if (store == NULL)
		return NULL;
	result = tuplestore_begin_heap(false, false, work_mem);
	slot = MakeSingleTupleTableSlot(call->table, &TTSOpsMinimalTuple);
	tuplestore_select_read_pointer(store,
								   tuplestore_alloc_read_pointer(store,
																 EXEC_FLAG_REWIND));
	tuplestore_rescan(store);
	while (tuplestore_gettupleslot(store, true, false, slot))
	{
		for (int i = 0; i < call->recast->natts; i++)
			values[i] = slot_getattr(slot, call->recast->numbers[i], &nulls[i]);
		tuplestore_putvalues(result, call->view, values, nulls);
	}
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/* columns that an UPDATE has set */
static Bitmapset *
recast_columns(const Call *call, const Bitmapset *columns)
{
	Bitmapset  *result = NULL;

	for (int i = 0; i < call->recast->natts; i++)
	{
		int			number = call->recast->numbers[i] -
		FirstLowInvalidHeapAttributeNumber;

		if (bms_is_member(number, columns))
			result = bms_add_member(result, i + 1 -
									FirstLowInvalidHeapAttributeNumber);
	}
	return result;
}

/*
 * Calls
 */

/* what a trigger has returned, as a row of the table */
static HeapTuple
take_back(const Call *call, const TriggerData *trigger,
		  const TriggerData *recast, HeapTuple result)
{
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
	trigger->tg_newtuple : trigger->tg_trigtuple;

	if (result == NULL || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_AFTER(trigger->tg_event))
		return result;
	if (result == recast->tg_trigtuple)
		return trigger->tg_trigtuple;
	if (result == recast->tg_newtuple)
		return trigger->tg_newtuple;
	return from_view(call, result, row);
}

/*
 * Call it as a trigger of the view, which has the name that it knows; but the
 * schema is that of the table, and of a partition the name as well.
 */
static Datum
call_recast(PGFunction function, FunctionCallInfo fcinfo, Call *call,
			Relation view)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TriggerData recast = *trigger;
	RelationData relation = *view;
	FormData_pg_class form = *view->rd_rel;
	HeapTuple	result;

	form.relnamespace = RelationGetNamespace(trigger->tg_relation);
	if (call->recast->is_partition)
		form.relname = trigger->tg_relation->rd_rel->relname;
	relation.rd_rel = &form;
	call->table = RelationGetDescr(trigger->tg_relation);
	call->view = RelationGetDescr(view);
	recast.tg_relation = &relation;
	recast.tg_trigtuple = to_view(call, trigger->tg_trigtuple);
	recast.tg_newtuple = to_view(call, trigger->tg_newtuple);
	recast.tg_trigslot = NULL;
	recast.tg_newslot = NULL;
	recast.tg_oldtable = recast_store(call, trigger->tg_oldtable);
	recast.tg_newtable = recast_store(call, trigger->tg_newtable);
	recast.tg_updatedcols = recast_columns(call, trigger->tg_updatedcols);
	fcinfo->context = (Node *) &recast;
	result = (HeapTuple) DatumGetPointer(function(fcinfo));
	fcinfo->context = (Node *) trigger;
	if (recast.tg_oldtable)
		tuplestore_end(recast.tg_oldtable);
	if (recast.tg_newtable)
		tuplestore_end(recast.tg_newtable);
	return PointerGetDatum(take_back(call, trigger, &recast, result));
}

/*
 * Call a function as the trigger that it is called as, with rows as the
 * version knows them whose version schemas these are, a list of OIDs.  *recast
 * is what was found of that before, NULL at first; it is kept in the context
 * of the FmgrInfo.
 */
Datum
sv_recast_call(PGFunction function, FunctionCallInfo fcinfo, List *schemas,
			   SvRecast **recast)
{
	Oid			relation =
	RelationGetRelid(((TriggerData *) fcinfo->context)->tg_relation);
	Call		call = {0};
	Relation	view;
	Datum		result;

	if (*recast == NULL || (*recast)->relation != relation)
		*recast = make_recast(relation, schemas,
							  fcinfo->flinfo->fn_mcxt);
	if (!OidIsValid((*recast)->view))
		return function(fcinfo);
	call.recast = *recast;
	view = relation_open((*recast)->view, AccessShareLock);
	result = call_recast(function, fcinfo, &call, view);
	relation_close(view, NoLock);
	return result;
}
