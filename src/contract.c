/*-------------------------------------------------------------------------
 *
 * contract.c
 *	  Contracts: take them, store them, compare them with the catalogs.
 *
 * A contract is a set of entries, one for each object that a version
 * expects.  An entry that did not change from one version to the next is
 * shared by both.  It is linked to the object that holds the data now by OIDs
 * and column numbers, which a rename does not change; the names beside them
 * follow at the end of each migration, and are what the links are found by
 * again in a restored database.
 *
 * Only what DDL has touched is compared.  The guard's event triggers tell
 * what that is, for a migration and for DDL by hand alike; a migration on a
 * schema that was changed by hand compares everything.
 *
 * Texts of defaults, constraints, views and functions are costly to make, so
 * an entry that is read from the catalogs has none until it is stored; equal
 * OIDs mean equal texts.
 *
 * Everything here must run between sv_contract_enter() and
 * sv_contract_leave(): names in texts are then qualified unless they are the
 * server's own, and the catalogs are seen as they are at this command.
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
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/readfuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * What was touched: relations, functions and types, each once.  What is read
 * of one while everything is judged and reconciled is kept beside it.
 */
typedef struct TouchedKey
{
	Oid			class_id;
	Oid			object;
} TouchedKey;

typedef struct Touched
{
	TouchedKey	key;
	bool		is_read;		/* "now" is known */
	SvEntry    *now;			/* as read_once() returns it */
	bool		is_searched;	/* "entry_ids" is known */
	List	   *entry_ids;		/* as sv_catalog_entries_on() returns it */
} Touched;

/* an entry of a contract, read once in a collection */
typedef struct Loaded
{
	int32		id;
	SvEntry    *entry;
	bool		is_judged;		/* "findings" is known */
	List	   *findings;
} Loaded;

static List *touched_objects(void);

/* a default that the script has changed */
typedef struct LostDefault
{
	Oid			attrdef;
	Node	   *expression;
} LostDefault;

/* what the script makes of an identity, where the column has another for now */
typedef struct ToldIdentity
{
	Oid			relation;
	AttrNumber	number;
	char		identity;
} ToldIdentity;

static bool collecting = false;
static List *lost_defaults = NIL;
static List *told_identities = NIL;
static List *replacing_keys = NIL;	/* unique ones for primary ones: OIDs */
static SubTransactionId collecting_in = InvalidSubTransactionId;
static bool touched_all = false;
static bool touched_rights = false;
static HTAB *touched = NULL;
static HTAB *loaded = NULL;

SvPendingHook sv_contract_pending_hook = NULL;
SvLostHook	sv_contract_lost_hook = NULL;
SvSameHook	sv_contract_same_hook = NULL;
SvFilledHook sv_contract_filled_hook = NULL;

/* everything that is kept of a collection lives here */
static MemoryContext collection = NULL;

/*
 * Make the names of texts come out qualified, and push a snapshot that sees
 * this command's catalogs.  Returns what sv_contract_leave() wants.
 */
int
sv_contract_enter(void)
{
	int			nestlevel = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	return nestlevel;
}

/*
 * Undo sv_contract_enter().
 */
void
sv_contract_leave(int nestlevel)
{
	PopActiveSnapshot();
	AtEOXact_GUC(true, nestlevel);
}

/*
 * Is an entry's kind that of a table, one with foreign rows included?
 */
bool
sv_contract_is_table(char kind)
{
	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE ||
		kind == RELKIND_FOREIGN_TABLE;
}

/*
 * Is an entry's kind that of a relation: nothing but functions and types is
 * not?
 */
bool
sv_contract_is_relation(char kind)
{
	return kind != SV_ENTRY_FUNCTION && kind != SV_ENTRY_TYPE;
}

/*
 * Collecting what DDL touches
 */

/*
 * Stop collecting; what was collected is forgotten, with every entry that was
 * got from here meanwhile.  An abort of the
 * (sub)transaction in which the collection began does that by itself.
 */
void
sv_contract_collect_end(void)
{
	collecting = false;
	touched_all = false;
	touched_rights = false;
	touched = NULL;
	loaded = NULL;
	lost_defaults = NIL;
	told_identities = NIL;
	replacing_keys = NIL;
	if (collection)
		MemoryContextDelete(collection);
	collection = NULL;
}

static void
end_transaction(XactEvent event, void *arg)
{
	(void) event;
	(void) arg;
	sv_contract_collect_end();
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId mine,
				   SubTransactionId parent, void *arg)
{
	(void) parent;
	(void) arg;
	if (collecting && event == SUBXACT_EVENT_ABORT_SUB &&
		mine == collecting_in)
		sv_contract_collect_end();
}

/*
 * Watch the ends of transactions.
 */
void
sv_contract_init(void)
{
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
}

/*
 * Begin to collect, with nothing collected.
 */
void
sv_contract_collect_begin(void)
{
	HASHCTL		info = {0};

	if (collecting)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("this cannot be done while a migration runs")));
	info.keysize = sizeof(TouchedKey);
	info.entrysize = sizeof(Touched);
	collection = AllocSetContextCreate(TopTransactionContext,
									   "schemaver collection",
									   ALLOCSET_DEFAULT_SIZES);
	info.hcxt = collection;
	touched = hash_create("schemaver touched objects", 64, &info,
						  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	info.keysize = sizeof(int32);
	info.entrysize = sizeof(Loaded);
	loaded = hash_create("schemaver contract entries", 64, &info,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	touched_all = false;
	touched_rights = false;
	collecting_in = GetCurrentSubTransactionId();
	collecting = true;
}

/*
 * What was read of touched objects and of entries may have changed since:
 * read and judge all of it anew.  Entries got before stay in memory.
 */
void
sv_contract_look_again(void)
{
	HASH_SEQ_STATUS status;
	Touched    *object;
	Loaded	   *entry;

	hash_seq_init(&status, touched);
	while ((object = hash_seq_search(&status)) != NULL)
		object->is_read = object->is_searched = false;
	hash_seq_init(&status, loaded);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		entry->entry = NULL;
		entry->is_judged = false;
	}
}

bool
sv_contract_collecting(void)
{
	return collecting;
}

/*
 * Owners or privileges have changed somewhere.
 */
void
sv_contract_touch_rights(void)
{
	touched_rights = true;
}

bool
sv_contract_touched_rights(void)
{
	return touched_rights;
}

/*
 * Compare everything: somebody changed what has no object of its own.
 */
void
sv_contract_touch_all(void)
{
	touched_all = true;
}

/* note an object; true if it is new */
static bool
remember(Oid class_id, Oid object)
{
	TouchedKey	key = {class_id, object};
	bool		found;
	Touched    *entry = hash_search(touched, &key, HASH_ENTER, &found);

	entry->is_read = false;
	entry->is_searched = false;
	return !found;
}

static Touched *
find_touched(Oid class_id, Oid object)
{
	TouchedKey	key = {class_id, object};

	return collecting ? hash_search(touched, &key, HASH_FIND, NULL) : NULL;
}

/* an entry with what is known of it; read once in a collection */
static Loaded *
load_entry(int32 id)
{
	bool		found;
	Loaded	   *entry = hash_search(loaded, &id, HASH_ENTER, &found);

	if (!found)
	{
		entry->entry = NULL;
		entry->is_judged = false;
	}
	if (entry->entry == NULL)
	{
		MemoryContext context = MemoryContextSwitchTo(collection);

		entry->entry = sv_catalog_entry(id);
		MemoryContextSwitchTo(context);
	}
	return entry;
}

/* ids of the entries on a touched object, of whatever versions */
static List *
entry_ids_on(Touched *object)
{
	if (!object->is_searched)
	{
		MemoryContext context = MemoryContextSwitchTo(collection);

		object->entry_ids = sv_catalog_entries_on(object->key.object);
		object->is_searched = true;
		MemoryContextSwitchTo(context);
	}
	return object->entry_ids;
}

/*
 * a relation, with its heirs, the table that it is a partition of, and the
 * sequences that move along with it
 */
static void
touch_relation(Oid relation)
{
	char		relkind = get_rel_relkind(relation);
	bool		is_new;
	ListCell   *lc;

	if (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX)
	{
		relation = IndexGetRelation(relation, true);
		relkind = get_rel_relkind(relation);
	}
	else if (relkind == RELKIND_COMPOSITE_TYPE)
	{
		sv_contract_touch(TypeRelationId, get_rel_type_id(relation));
		return;
	}
	is_new = remember(RelationRelationId, relation);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_FOREIGN_TABLE)
		return;
	foreach(lc, has_subclass(relation) ?
			find_all_inheritors(relation, NoLock, NULL) : NIL)
		(void) remember(RelationRelationId, lfirst_oid(lc));
	if (!is_new)
		return;
	if (get_rel_relispartition(relation))
		(void) remember(RelationRelationId,
						llast_oid(get_partition_ancestors(relation)));
	foreach(lc, getOwnedSequences(relation))
		(void) remember(RelationRelationId, lfirst_oid(lc));
}

/*
 * The relation that an object is a part of, by a row in one of the catalogs
 * of parts: triggers, rules, policies, constraints, defaults.  InvalidOid for
 * anything else.
 */
Oid
sv_contract_owning_relation(Oid class_id, Oid object)
{
	Oid			catalog_index;
	AttrNumber	key_column;
	AttrNumber	owner_column;
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;
	bool		isnull;

	switch (class_id)
	{
		case TriggerRelationId:
			catalog_index = TriggerOidIndexId;
			key_column = Anum_pg_trigger_oid;
			owner_column = Anum_pg_trigger_tgrelid;
			break;
		case ConstraintRelationId:
			catalog_index = ConstraintOidIndexId;
			key_column = Anum_pg_constraint_oid;
			owner_column = Anum_pg_constraint_conrelid;
			break;
		case AttrDefaultRelationId:
			catalog_index = AttrDefaultOidIndexId;
			key_column = Anum_pg_attrdef_oid;
			owner_column = Anum_pg_attrdef_adrelid;
			break;
		case RewriteRelationId:
			catalog_index = RewriteOidIndexId;
			key_column = Anum_pg_rewrite_oid;
			owner_column = Anum_pg_rewrite_ev_class;
			break;
		case PolicyRelationId:
			catalog_index = PolicyOidIndexId;
			key_column = Anum_pg_policy_oid;
			owner_column = Anum_pg_policy_polrelid;
			break;
		default:
			return InvalidOid;
	}
	catalog = table_open(class_id, AccessShareLock);
	ScanKeyInit(&key, key_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, catalog_index, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = DatumGetObjectId(heap_getattr(tuple, owner_column,
											  RelationGetDescr(catalog),
											  &isnull));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return owner;
}

/* what a trigger's function does may be what a version gets by with */
static void
touch_triggered(Oid function)
{
	ListCell   *lc;

	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)) ||
		get_func_rettype(function) != TRIGGEROID)
		return;
	foreach(lc, sv_catalog_dependents(ProcedureRelationId, function, -1))
	{
		Form_pg_depend form = lfirst(lc);
		Oid			relation = form->classid == TriggerRelationId ?
		sv_contract_owning_relation(TriggerRelationId, form->objid) :
		InvalidOid;

		if (OidIsValid(relation))
			touch_relation(relation);
	}
}

/*
 * An object was created or altered.  What is part of a relation counts as
 * the relation, and so does what its triggers do; what no contract speaks of
 * is ignored.
 */
void
sv_contract_touch(Oid class_id, Oid object)
{
	Oid			relation;

	switch (class_id)
	{
		case RelationRelationId:
			touch_relation(object);
			break;
		case ProcedureRelationId:
			(void) remember(class_id, object);
			touch_triggered(object);
			break;
		case TypeRelationId:
			(void) remember(class_id, object);
			break;
		case NamespaceRelationId:
			sv_contract_touch_all();
			break;
		default:
			relation = sv_contract_owning_relation(class_id, object);
			if (OidIsValid(relation))
				touch_relation(relation);
			break;
	}
}

/*
 * An object is gone.  Of a relation's part nothing is left but its OID, by
 * which the contracts know it.
 */
void
sv_contract_touch_dropped(Oid class_id, Oid object)
{
	ListCell   *lc;

	switch (class_id)
	{
		case ProcedureRelationId:
		case TypeRelationId:
			(void) remember(class_id, object);
			return;
		case RelationRelationId:
			(void) remember(class_id, object);
			break;
		case TriggerRelationId:
		case ConstraintRelationId:
		case AttrDefaultRelationId:
			break;
		default:
			return;
	}
	foreach(lc, sv_catalog_entries_with(object))
	{
		SvEntry    *entry = load_entry(lfirst_int(lc))->entry;

		(void) remember(entry->kind == SV_ENTRY_TYPE ? TypeRelationId :
						RelationRelationId, entry->physical);
	}
}

/* the catalog that an entry's object is in */
static Oid
entry_class(const SvEntry *entry)
{
	if (entry->kind == SV_ENTRY_FUNCTION)
		return ProcedureRelationId;
	if (entry->kind == SV_ENTRY_TYPE)
		return TypeRelationId;
	return RelationRelationId;
}

/*
 * What versions expect of an object another one gives them from now on: all
 * entries are linked to that.  Both count as touched.
 */
void
sv_contract_move(Oid class_id, Oid from, Oid to)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(from))
	{
		SvEntry    *entry = sv_catalog_entry(lfirst_int(lc));
		Loaded	   *known;

		if (entry_class(entry) != class_id)
			continue;
		entry->physical = to;
		sv_catalog_relink_entry(entry);
		known = hash_search(loaded, &entry->id, HASH_FIND, NULL);
		if (known)
		{
			known->entry = NULL;
			known->is_judged = false;
		}
	}
	sv_contract_touch(class_id, from);
	sv_contract_touch(class_id, to);
}

/* link one kind of parts of all entries to another object */
static void
move_parts(char kind, Oid from, Oid to, const char *name)
{
	ListCell   *lc;
	ListCell   *lp;

	foreach(lc, sv_catalog_entries_with(from))
	{
		SvEntry    *entry = sv_catalog_entry(lfirst_int(lc));
		Loaded	   *known;

		foreach(lp, kind == SV_PART_TRIGGER ? entry->triggers :
				entry->constraints)
		{
			SvPart	   *part = lfirst(lp);

			if (part->object != from)
				continue;
			part->object = to;
			part->physical_name = pstrdup(name);
		}
		sv_catalog_relink_entry(entry);
		known = loaded ?
			hash_search(loaded, &entry->id, HASH_FIND, NULL) : NULL;
		if (known)
		{
			known->entry = NULL;
			known->is_judged = false;
		}
	}
}

/*
 * Let contracts that know a trigger know another one of the same table
 * instead, which does its work from now on.
 */
void
sv_contract_move_trigger(Oid from, Oid to, const char *name)
{
	move_parts(SV_PART_TRIGGER, from, to, name);
}

/*
 * Let contracts that know a constraint, or a unique index without one, know
 * another one of the same table instead.
 */
void
sv_contract_move_constraint(Oid from, Oid to)
{
	char	   *name = get_constraint_name(to);

	move_parts(SV_PART_CONSTRAINT, from, to, name ? name : get_rel_name(to));
}

/*
 * Reading an object's entry from the catalogs
 */

/* what a function of ruleutils says, NULL if it has nothing to say */
static char *
describe(PGFunction function, Datum first, Datum second, int nargs)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, nargs, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = first;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = second;
	fcinfo->args[1].isnull = false;
	result = function(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(result);
}

static char *
describe_oid(PGFunction function, Oid object)
{
	return describe(function, ObjectIdGetDatum(object), (Datum) 0, 1);
}

/*
 * A type as contracts write it: with its modifier, and its collation if that
 * is not the type's own.
 */
char *
sv_contract_type_text(Oid type, int32 typmod, Oid collation)
{
	char	   *text = format_type_with_typemod(type, typmod);

	if (OidIsValid(collation) && collation != get_typcollation(type))
		text = psprintf("%s COLLATE %s", text,
						generate_collation_name(collation));
	return text;
}

/* is it varchar(value, 7, false), or the like: what assignments do? */
static bool
is_assignment(const FuncExpr *call)
{
	Const	   *is_explicit = list_length(call->args) == 3 ?
	lthird(call->args) : NULL;
	Oid			function;

	return is_explicit && IsA(is_explicit, Const) &&
		is_explicit->consttype == BOOLOID && !is_explicit->constisnull &&
		!DatumGetBool(is_explicit->constvalue) &&
		find_typmod_coercion_function(call->funcresulttype, &function) ==
		COERCION_PATH_FUNC && function == call->funcid;
}

/*
 * An assignment to a type of limited length is shown as a cast, which cuts off
 * what is too long; as a call it is read as what it is.  Turns it into that,
 * or back, in a copy of an expression.
 */
Node *
sv_contract_assign(Node *expression, bool as_call)
{
	Node	   *copy = copyObject(expression);
	Node	   *node = copy;

	while (IsA(node, CoerceToDomain))
		node = (Node *) ((CoerceToDomain *) node)->arg;
	if (IsA(node, FuncExpr) && is_assignment((FuncExpr *) node))
		((FuncExpr *) node)->funcformat = as_call ? COERCE_EXPLICIT_CALL :
			COERCE_IMPLICIT_CAST;
	return copy;
}

/*
 * What a hidden column is generated by, as the versions know it that have it:
 * without the call of tolerate() around it, see tolerate.c.  A dump may have
 * brought a cast to the column's length around that.  Any other expression is
 * returned as it is.
 */
Node *
sv_contract_generation(Node *expression)
{
	Node	   *node = expression;

	while (IsA(node, CoerceToDomain))
		node = (Node *) ((CoerceToDomain *) node)->arg;
	while (IsA(node, FuncExpr) && ((FuncExpr *) node)->args != NIL)
	{
		FuncExpr   *call = (FuncExpr *) node;

		node = linitial(call->args);
		if (call->funcformat != COERCE_EXPLICIT_CALL)
			continue;
		if (list_length(call->args) == 3 &&
			strcmp(get_func_name(call->funcid), "tolerate") == 0 &&
			sv_catalog_is_own_function(call->funcid))
			return sv_contract_assign(node, false);
		break;
	}
	return expression;
}

/* the text of a default, by its pg_attrdef OID; its node tree if asked for */
static char *
default_text(Oid attrdef, Node **node)
{
	Relation	catalog = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *result = NULL;

	ScanKeyInit(&key, Anum_pg_attrdef_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(attrdef));
	scan = systable_beginscan(catalog, AttrDefaultOidIndexId, true, NULL,
							  1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		bin = heap_getattr(tuple, Anum_pg_attrdef_adbin,
									   RelationGetDescr(catalog), &isnull);
		Oid			relation = ((Form_pg_attrdef) GETSTRUCT(tuple))->adrelid;
		Node	   *stored = stringToNode(TextDatumGetCString(bin));
		Node	   *known = sv_contract_generation(stored);

		if (known != stored)
			bin = CStringGetTextDatum(nodeToString(known));
		result = describe(pg_get_expr, bin, ObjectIdGetDatum(relation), 2);
		if (node)
			*node = known;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static SvPart *
make_part(char kind, List *siblings, const char *name)
{
	SvPart	   *part = palloc0(sizeof(SvPart));

	part->kind = kind;
	part->position = list_length(siblings) + 1;
	part->name = pstrdup(name);
	part->physical_name = part->name;
	part->flavour = ' ';
	part->identity = ' ';
	part->generated = ' ';
	return part;
}

/*
 * What a hidden CHECK says, NULL if it is none that stands for NOT NULL:
 * column IS NOT NULL OR schemaver.writes_as(product, versions), with IS NOT
 * NULL behind that if it is but a record.
 */
static SvRequired *
read_required(const ConstrCheck *check)
{
	BoolExpr   *either;
	NullTest   *test;
	FuncExpr   *call;
	bool		noted;
	SvRequired *required;

	if (strncmp(check->ccname, SV_REQUIRED_NAME,
				sizeof(SV_REQUIRED_NAME) - 1) != 0)
		return NULL;
	either = stringToNode(check->ccbin);
	if (!IsA(either, BoolExpr) || list_length(either->args) != 2)
		return NULL;
	test = linitial(either->args);
	call = lsecond(either->args);
	noted = IsA(call, NullTest);
	if (noted)
		call = (FuncExpr *) ((NullTest *) call)->arg;
	if (!IsA(test, NullTest) || !IsA(test->arg, Var) ||
		!IsA(call, FuncExpr) || list_length(call->args) != 2 ||
		!IsA(linitial(call->args), Const) || !IsA(lsecond(call->args), Const))
		return NULL;
	required = palloc(sizeof(SvRequired));
	required->name = pstrdup(check->ccname);
	required->noted = noted;
	required->column = ((Var *) test->arg)->varattno;
	required->product =
		TextDatumGetCString(linitial_node(Const, call->args)->constvalue);
	required->versions =
		DatumGetArrayTypeP(lsecond_node(Const, call->args)->constvalue);
	return required;
}

/*
 * The columns of a relation that are NOT NULL for all but some versions: a
 * list of SvRequired.
 */
List *
sv_contract_required(Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;
	List	   *result = NIL;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		SvRequired *required = read_required(&constr->check[i]);

		if (required)
			result = lappend(result, required);
	}
	return result;
}

/*
 * The column that a CHECK whose name begins so holds to NOT NULL, 0 if it is
 * none such.
 */
static AttrNumber
read_null_check(const ConstrCheck *check, const char *prefix)
{
	NullTest   *test;

	if (strncmp(check->ccname, prefix, strlen(prefix)) != 0)
		return InvalidAttrNumber;
	test = stringToNode(check->ccbin);
	return IsA(test, NullTest) && test->nulltesttype == IS_NOT_NULL &&
		IsA(test->arg, Var) ?
		((Var *) test->arg)->varattno : InvalidAttrNumber;
}

/* one that holds it to that until a job has made it NOT NULL */
static AttrNumber
read_pending(const ConstrCheck *check)
{
	return read_null_check(check, SV_PENDING_NAME);
}

/*
 * The name of the hidden CHECK that holds a column to NOT NULL until a job has
 * made it that, NULL if there is none.
 */
char *
sv_contract_pending_check(Oid relation, AttrNumber column)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TupleConstr *constr = RelationGetDescr(table)->constr;
	char	   *name = NULL;

	for (int i = 0; constr && i < constr->num_check && name == NULL; i++)
	{
		if (read_pending(&constr->check[i]) == column)
			name = pstrdup(constr->check[i].ccname);
	}
	relation_close(table, AccessShareLock);
	return name;
}

/*
 * The column that the hidden CHECK of that name holds to NOT NULL until a job
 * has made it that, or while one is at it; InvalidAttrNumber if there is none.
 */
AttrNumber
sv_contract_checked_column(Relation relation, const char *check)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;
	AttrNumber	column = InvalidAttrNumber;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		if (strcmp(constr->check[i].ccname, check) != 0)
			continue;
		column = read_pending(&constr->check[i]);
		if (column == InvalidAttrNumber)
			column = read_null_check(&constr->check[i], SV_JOB_NAME "_");
	}
	return column;
}

static void
demand(SvEntry *entry, AttrNumber number)
{
	SvPart	   *column = sv_contract_column_at(entry, number);

	if (column)
		column->notnull = true;
}

/*
 * As the newest version has it, NOT NULL for all but some is NOT NULL, and so
 * is what a job has yet to make that.
 */
static void
demand_required(SvEntry *entry, Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;
	ListCell   *lc;

	foreach(lc, sv_contract_required(relation))
		demand(entry, ((SvRequired *) lfirst(lc))->column);
	for (int i = 0; constr && i < constr->num_check; i++)
		demand(entry, read_pending(&constr->check[i]));
	foreach(lc, sv_contract_pending_hook ? entry->columns : NIL)
	{
		SvPart	   *column = lfirst(lc);

		column->notnull |= sv_contract_pending_hook(RelationGetRelid(relation),
													column->number);
	}
}

static void
read_columns(SvEntry *entry, Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		SvPart	   *part;

		if (attribute->attisdropped)
			continue;
		part = make_part(SV_PART_COLUMN, entry->columns,
						 NameStr(attribute->attname));
		part->number = attribute->attnum;
		part->type = sv_contract_type_text(attribute->atttypid, attribute->atttypmod,
							   attribute->attcollation);
		part->type_oid = attribute->atttypid;
		part->typmod = attribute->atttypmod;
		part->notnull = attribute->attnotnull;
		if (attribute->attidentity)
			part->identity = attribute->attidentity;
		if (attribute->attgenerated)
			part->generated = attribute->attgenerated;
		if (attribute->atthasdef)
			part->object = GetAttrDefaultOid(RelationGetRelid(relation),
											 attribute->attnum);
		entry->columns = lappend(entry->columns, part);
	}
	demand_required(entry, relation);
}

/*
 * The tables that have a trigger of one of the extension's functions, but for
 * partitions, which do as their parent says: OIDs.
 */
List *
sv_contract_triggered_tables(const char *function_name)
{
	Oid			function =
	LookupFuncName(list_make2(makeString(SV_SCHEMA),
							  makeString(pstrdup(function_name))),
				   0, NULL, false);
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(ProcedureRelationId, function, -1))
	{
		Form_pg_depend form = lfirst(lc);
		Oid			table = form->classid == TriggerRelationId ?
		sv_contract_owning_relation(TriggerRelationId, form->objid) :
		InvalidOid;

		if (OidIsValid(table) && !get_rel_relispartition(table))
			tables = list_append_unique_oid(tables, table);
	}
	return tables;
}

/* the types of marks, by which they are known */
#define NMARK_TYPES 2
static const char *const mark_types[NMARK_TYPES] = {"first", "place"};

static Oid
mark_type(const char *name)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
						   CStringGetDatum(name),
						   ObjectIdGetDatum(get_namespace_oid(SV_SCHEMA,
															  true)));
}

/*
 * Is a column the mark that key.c adds to a unique key?
 */
bool
sv_contract_is_mark(Oid relation, AttrNumber number)
{
	char	   *name = get_attname(relation, number, true);
	Oid			type;

	if (name == NULL || !sv_is_hidden(name))
		return false;
	type = get_atttype(relation, number);
	for (int i = 0; i < NMARK_TYPES; i++)
	{
		if (type == mark_type(mark_types[i]))
			return true;
	}
	return false;
}

/* the mark that a condition is, InvalidAttrNumber if it is another one */
static AttrNumber
mark_of_condition(Node *condition, Oid relation)
{
	if (condition && IsA(condition, RelabelType))
		condition = (Node *) ((RelabelType *) condition)->arg;
	return condition && IsA(condition, Var) &&
		sv_contract_is_mark(relation, ((Var *) condition)->varattno) ?
		((Var *) condition)->varattno : InvalidAttrNumber;
}

/*
 * The conditions of the rows that an index is over, but the one that they are
 * marked: a list as the relcache has it.  *mark is that mark, InvalidAttrNumber
 * if they need not be.
 */
List *
sv_contract_conditions(Relation index, AttrNumber *mark)
{
	List	   *conditions = NIL;
	ListCell   *lc;

	*mark = InvalidAttrNumber;
	foreach(lc, RelationGetIndexPredicate(index))
	{
		AttrNumber	number = mark_of_condition(lfirst(lc),
											   index->rd_index->indrelid);

		if (number != InvalidAttrNumber)
			*mark = number;
		else
			conditions = lappend(conditions, lfirst(lc));
	}
	return conditions;
}

/*
 * The mark of a loosened key that is the last one of its columns,
 * InvalidAttrNumber if it has none there.
 */
AttrNumber
sv_contract_mark_column(Relation index)
{
	Form_pg_index form = index->rd_index;
	AttrNumber	last = form->indkey.values[form->indnkeyatts - 1];

	return form->indisunique && form->indnkeyatts > 1 && last > 0 &&
		sv_contract_is_mark(form->indrelid, last) ? last :
		InvalidAttrNumber;
}

/*
 * The mark of a loosened key by its index, as its last column or as a condition
 * of the rows that it is over; InvalidAttrNumber if it is not loosened.
 */
AttrNumber
sv_contract_index_mark(Relation index)
{
	AttrNumber	mark = sv_contract_mark_column(index);

	if (mark == InvalidAttrNumber &&
		(index->rd_index->indisunique || index->rd_index->indisexclusion))
		(void) sv_contract_conditions(index, &mark);
	return mark;
}

/*
 * The same, by the OID of the index.
 */
AttrNumber
sv_contract_mark_of(Oid oid)
{
	Relation	index = relation_open(oid, AccessShareLock);
	AttrNumber	mark = sv_contract_index_mark(index);

	relation_close(index, NoLock);
	return mark;
}

/*
 * Is a mark a number, 0 in the first row, or else true there?
 */
bool
sv_contract_mark_is_number(Oid relation, AttrNumber mark)
{
	return getBaseType(get_atttype(relation, mark)) != BOOLOID;
}

/*
 * The columns of a key, sorted: without its mark, and without expressions.
 */
List *
sv_contract_index_columns(Relation index)
{
	Form_pg_index form = index->rd_index;
	int			nkeys = form->indnkeyatts;
	List	   *columns = NIL;

	if (sv_contract_mark_column(index))
		nkeys--;
	for (int i = 0; i < nkeys; i++)
	{
		if (form->indkey.values[i] != 0)
			columns = list_append_unique_int(columns, form->indkey.values[i]);
	}
	list_sort(columns, list_int_cmp);
	return columns;
}

/*
 * Is a constraint or index a key that can be loosened, see key.c?
 */
bool
sv_contract_is_key(const SvPart *part)
{
	return strchr("puix", part->flavour) != NULL;
}

/*
 * The catalog in which a unique key is an object: a constraint, or else an
 * index.
 */
Oid
sv_contract_key_class(const SvPart *key)
{
	return key->flavour == 'i' ? RelationRelationId : ConstraintRelationId;
}

/*
 * The same by its index: the constraint that this is of, or else the index, in
 * the current memory context.
 */
ObjectAddress *
sv_contract_key_address(Oid index)
{
	Oid			constraint = get_index_constraint(index);

	return OidIsValid(constraint) ?
		sv_catalog_address(ConstraintRelationId, constraint, 0) :
		sv_catalog_address(RelationRelationId, index, 0);
}

/*
 * The tables that have such a column: OIDs, each once.
 */
List *
sv_contract_marked_tables(void)
{
	List	   *tables = NIL;
	ListCell   *lc;

	for (int i = 0; i < NMARK_TYPES; i++)
	{
		foreach(lc, sv_catalog_dependents(TypeRelationId,
										  mark_type(mark_types[i]), -1))
		{
			Form_pg_depend form = lfirst(lc);

			if (form->classid == RelationRelationId &&
				!get_rel_relispartition(form->objid) &&
				sv_contract_is_mark(form->objid, form->objsubid))
				tables = list_append_unique_oid(tables, form->objid);
		}
	}
	return tables;
}

/* the columns of a unique key as those know it that do not know its mark */
static List *
without_mark(Oid relation, List *columns)
{
	if (list_length(columns) > 1 &&
		sv_contract_is_mark(relation, llast_int(columns)))
		return list_delete_last(columns);
	return columns;
}

/*
 * conkey or confkey of a row of pg_constraint, as a list.
 */
List *
sv_contract_constraint_columns(HeapTuple tuple, AttrNumber attribute)
{
	bool		isnull;
	Datum		keys = SysCacheGetAttr(CONSTROID, tuple, attribute, &isnull);
	List	   *columns = NIL;
	ArrayType  *array;

	if (isnull)
		return NIL;
	array = DatumGetArrayTypeP(keys);
	for (int i = 0; i < ARR_DIMS(array)[0]; i++)
		columns = lappend_int(columns, ((int16 *) ARR_DATA_PTR(array))[i]);
	return columns;
}

/* the constraints of a relation or of a domain, in order of their names */
static void
read_constraints(SvEntry *entry, Oid relation, Oid domain)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[1], Anum_pg_constraint_contypid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		SvPart	   *part;

		/* what a foreign key has for each partition that it refers to */
		if (strchr("cfpux", form->contype) == NULL ||
			(form->contype == CONSTRAINT_FOREIGN &&
			 OidIsValid(form->conparentid)))
			continue;
		part = make_part(SV_PART_CONSTRAINT, entry->constraints,
						 NameStr(form->conname));
		part->object = form->oid;
		part->flavour = form->contype;
		part->columns = sv_contract_constraint_columns(tuple,
														Anum_pg_constraint_conkey);
		if (form->contype == CONSTRAINT_UNIQUE)
			part->columns = without_mark(relation, part->columns);
		entry->constraints = lappend(entry->constraints, part);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* but that rows are marked */
static bool
has_conditions(Oid oid)
{
	Relation	index = index_open(oid, AccessShareLock);
	AttrNumber	mark;
	bool		result = sv_contract_conditions(index, &mark) != NIL;

	index_close(index, NoLock);
	return result;
}

/* unique indexes that are no constraint's: ON CONFLICT may rely on them */
static void
read_unique_indexes(SvEntry *entry, Relation relation)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		Oid			index = lfirst_oid(lc);
		HeapTuple	tuple = SearchSysCache1(INDEXRELID,
											ObjectIdGetDatum(index));
		Form_pg_index form;

		if (!HeapTupleIsValid(tuple))
			continue;
		form = (Form_pg_index) GETSTRUCT(tuple);
		if (form->indisunique && form->indisvalid &&
			!OidIsValid(get_index_constraint(index)))
		{
			SvPart	   *part = make_part(SV_PART_CONSTRAINT,
										 entry->constraints,
										 get_rel_name(index));

			part->object = index;
			part->flavour = 'i';
			for (int i = 0; i < form->indnkeyatts; i++)
				part->columns = lappend_int(part->columns,
											form->indkey.values[i]);
			part->columns = without_mark(RelationGetRelid(relation),
										 part->columns);
			/* zero stands for an expression, and here for a predicate */
			if (!heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
				has_conditions(index))
				part->columns = lappend_int(part->columns, 0);
			entry->constraints = lappend(entry->constraints, part);
		}
		ReleaseSysCache(tuple);
	}
}

static void
read_triggers(SvEntry *entry, Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		SvPart	   *part;

		if (trigger->tgisinternal || sv_is_own_trigger(trigger->tgname))
			continue;
		part = make_part(SV_PART_TRIGGER, entry->triggers, trigger->tgname);
		part->object = trigger->tgoid;
		entry->triggers = lappend(entry->triggers, part);
	}
}

static SvEntry *
make_entry(char kind, Oid schema, const char *name, Oid physical)
{
	SvEntry    *entry = palloc0(sizeof(SvEntry));

	entry->kind = kind;
	entry->schema = get_namespace_name(schema);
	entry->name = pstrdup(name);
	entry->args = "";
	entry->physical_schema = entry->schema;
	entry->physical_name = entry->name;
	entry->physical = physical;
	return entry;
}

static SvEntry *
read_relation(Oid relid)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	SvEntry    *entry;
	char		relkind;

	if (relation == NULL)
		return NULL;
	relkind = relation->rd_rel->relkind;
	if (strchr("rpvmfS", relkind) == NULL || relation->rd_rel->relispartition ||
		relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
	{
		relation_close(relation, NoLock);
		return NULL;
	}
	entry = make_entry(relkind, RelationGetNamespace(relation),
					   RelationGetRelationName(relation), relid);
	read_columns(entry, relation);
	read_triggers(entry, relation);
	if (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE ||
		relkind == RELKIND_FOREIGN_TABLE)
	{
		entry->rowsecurity = relation->rd_rel->relrowsecurity;
		read_constraints(entry, relid, InvalidOid);
	}
	if (relkind != RELKIND_SEQUENCE && relkind != RELKIND_VIEW &&
		relkind != RELKIND_FOREIGN_TABLE)
		read_unique_indexes(entry, relation);
	relation_close(relation, NoLock);
	return entry;
}

static SvEntry *
read_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	SvEntry    *entry;
	SvPart	   *result;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	entry = make_entry(SV_ENTRY_FUNCTION, form->pronamespace,
					   NameStr(form->proname), function);
	entry->args = describe_oid(pg_get_function_identity_arguments, function);
	result = make_part(SV_PART_COLUMN, NIL, "result");
	result->type = describe_oid(pg_get_function_result, function);
	if (result->type == NULL)
		result->type = "procedure";
	result->flavour = form->prokind;
	entry->columns = list_make1(result);
	ReleaseSysCache(tuple);
	return entry;
}

static void
read_labels(SvEntry *entry, Oid type)
{
	Relation	catalog = table_open(EnumRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Relation	index = index_open(EnumTypIdSortOrderIndexId,
								   AccessShareLock);

	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan_ordered(catalog, index, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 ForwardScanDirection)))
	{
		Form_pg_enum form = (Form_pg_enum) GETSTRUCT(tuple);
		SvPart	   *part = make_part(SV_PART_LABEL, entry->labels,
									 NameStr(form->enumlabel));

		part->object = form->oid;
		entry->labels = lappend(entry->labels, part);
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(catalog, AccessShareLock);
}

/* enums, domains, ranges and free-standing composite types */
static SvEntry *
read_type(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	SvEntry    *entry = NULL;
	bool		composite;
	bool		isnull;
	Datum		datum;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_type) GETSTRUCT(tuple);
	composite = form->typtype == TYPTYPE_COMPOSITE &&
		get_rel_relkind(form->typrelid) == RELKIND_COMPOSITE_TYPE;
	if (composite || form->typtype == TYPTYPE_ENUM ||
		form->typtype == TYPTYPE_DOMAIN || form->typtype == TYPTYPE_RANGE)
		entry = make_entry(SV_ENTRY_TYPE, form->typnamespace,
						   NameStr(form->typname), type);
	if (composite)
	{
		Relation	relation = relation_open(form->typrelid, AccessShareLock);

		read_columns(entry, relation);
		relation_close(relation, NoLock);
	}
	else if (form->typtype == TYPTYPE_ENUM)
		read_labels(entry, type);
	else if (form->typtype == TYPTYPE_DOMAIN)
	{
		SvPart	   *base = make_part(SV_PART_COLUMN, NIL, "value");

		base->type = sv_contract_type_text(form->typbasetype, form->typtypmod,
							   form->typcollation);
		base->type_oid = form->typbasetype;
		base->typmod = form->typtypmod;
		base->notnull = form->typnotnull;
		datum = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefault,
								&isnull);
		if (!isnull)
			base->expression = TextDatumGetCString(datum);
		entry->columns = list_make1(base);
		read_constraints(entry, InvalidOid, type);
	}
	ReleaseSysCache(tuple);
	return entry;
}

static SvEntry *
read_object(Oid class_id, Oid object)
{
	switch (class_id)
	{
		case RelationRelationId:
			return read_relation(object);
		case ProcedureRelationId:
			return read_function(object);
		case TypeRelationId:
			return read_type(object);
	}
	return NULL;
}

/*
 * The text of a default, by its pg_attrdef OID.
 */
char *
sv_contract_default_text(Oid attrdef)
{
	return default_text(attrdef, NULL);
}

/*
 * What an object is now, under its names of now; without the texts.  NULL if
 * it is gone, or nothing that a contract speaks of.  Locks a relation in
 * ACCESS SHARE until the transaction ends.
 */
static SvEntry *
read_once(Oid class_id, Oid object)
{
	Touched    *known = find_touched(class_id, object);

	if (known == NULL)
		return read_object(class_id, object);
	if (!known->is_read)
	{
		MemoryContext context = MemoryContextSwitchTo(collection);

		known->now = read_object(class_id, object);
		known->is_read = true;
		MemoryContextSwitchTo(context);
	}
	return known->now;
}

/* find a function by its schema, name and identity arguments */
static Oid
find_function(Oid schema, const char *name, const char *args)
{
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP,
										   CStringGetDatum(name));
	Oid			found = InvalidOid;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc form =
			(Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (form->pronamespace == schema &&
			strcmp(describe_oid(pg_get_function_identity_arguments,
								form->oid), args) == 0)
			found = form->oid;
	}
	ReleaseSysCacheList(list);
	return found;
}

/*
 * The object that an entry's physical names lead to, as it is now, or NULL.
 */
static SvEntry *
read_by_name(const SvEntry *entry)
{
	Oid			schema = get_namespace_oid(entry->physical_schema, true);
	Oid			object;
	SvEntry    *now;

	if (!OidIsValid(schema))
		return NULL;
	if (entry->kind == SV_ENTRY_FUNCTION)
		object = find_function(schema, entry->physical_name, entry->args);
	else if (entry->kind == SV_ENTRY_TYPE)
		object = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								 CStringGetDatum(entry->physical_name),
								 ObjectIdGetDatum(schema));
	else
		object = get_relname_relid(entry->physical_name, schema);
	if (!OidIsValid(object))
		return NULL;
	now = read_once(entry_class(entry), object);
	return now && now->kind == entry->kind ? now : NULL;
}

/*
 * A function whose arguments' types were renamed or put away has other
 * arguments by their names than its contract says: if it is alone under its
 * own name in its schema, it is the one.
 */
static SvEntry *
read_lone_function(const SvEntry *entry)
{
	Oid			schema = get_namespace_oid(entry->physical_schema, true);
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP,
										   CStringGetDatum(entry->physical_name));
	Oid			function = InvalidOid;
	int			count = 0;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc form =
			(Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (form->pronamespace == schema)
		{
			function = form->oid;
			count++;
		}
	}
	ReleaseSysCacheList(list);
	return count == 1 ? read_once(ProcedureRelationId, function) : NULL;
}

/* what an entry's names lead to in a database that knows none of its OIDs */
static SvEntry *
find_by_name(const SvEntry *entry)
{
	SvEntry    *now = read_by_name(entry);

	return now == NULL && entry->kind == SV_ENTRY_FUNCTION ?
		read_lone_function(entry) : now;
}

/*
 * What stands behind an entry now: the object itself, or what has replaced
 * it under the same name if it holds no data of its own.  NULL if gone.
 */
SvEntry *
sv_contract_resolve(const SvEntry *entry)
{
	SvEntry    *now = read_once(entry_class(entry), entry->physical);

	if (now == NULL && strchr("rpfS", entry->kind) == NULL)
		now = read_by_name(entry);
	return now;
}

/*
 * Texts, made when an entry is stored or when OIDs differ
 */

static char *
constraint_text(const SvPart *part)
{
	if (part->flavour == 'i')
		return describe_oid(pg_get_indexdef, part->object);
	return describe_oid(pg_get_constraintdef, part->object);
}

static char *
sequence_text(Oid sequence)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID,
										ObjectIdGetDatum(sequence));
	Form_pg_sequence form;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_sequence) GETSTRUCT(tuple);
	text = psprintf("AS %s INCREMENT BY " INT64_FORMAT " MINVALUE " INT64_FORMAT
					" MAXVALUE " INT64_FORMAT " START WITH " INT64_FORMAT
					" CACHE " INT64_FORMAT "%s",
					format_type_be(form->seqtypid), form->seqincrement,
					form->seqmin, form->seqmax, form->seqstart,
					form->seqcache, form->seqcycle ? " CYCLE" : "");
	ReleaseSysCache(tuple);
	return text;
}

/* CREATE TYPE or CREATE DOMAIN; NULL for what cannot be told in a few words */
static char *
type_definition(const SvEntry *entry)
{
	StringInfoData text;
	char	   *name = quote_qualified_identifier(entry->schema, entry->name);
	SvPart	   *base;
	ListCell   *lc;

	initStringInfo(&text);
	switch (get_typtype(entry->physical))
	{
		case TYPTYPE_ENUM:
			appendStringInfo(&text, "CREATE TYPE %s AS ENUM (", name);
			foreach(lc, entry->labels)
				appendStringInfo(&text, "%s%s",
								 foreach_current_index(lc) ? ", " : "",
								 quote_literal_cstr(((SvPart *) lfirst(lc))->name));
			appendStringInfoChar(&text, ')');
			break;
		case TYPTYPE_COMPOSITE:
			appendStringInfo(&text, "CREATE TYPE %s AS (", name);
			foreach(lc, entry->columns)
			{
				SvPart	   *column = lfirst(lc);

				appendStringInfo(&text, "%s%s %s",
								 foreach_current_index(lc) ? ", " : "",
								 quote_identifier(column->name), column->type);
			}
			appendStringInfoChar(&text, ')');
			break;
		case TYPTYPE_DOMAIN:
			base = linitial(entry->columns);
			appendStringInfo(&text, "CREATE DOMAIN %s AS %s", name,
							 base->type);
			if (base->expression)
				appendStringInfo(&text, " DEFAULT %s", base->expression);
			if (base->notnull)
				appendStringInfoString(&text, " NOT NULL");
			foreach(lc, entry->constraints)
				appendStringInfo(&text, " CONSTRAINT %s %s",
								 quote_identifier(((SvPart *) lfirst(lc))->name),
								 constraint_text(lfirst(lc)));
			break;
		default:
			return NULL;
	}
	return text.data;
}

static char *
definition_text(const SvEntry *entry)
{
	switch (entry->kind)
	{
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
			return describe_oid(pg_get_viewdef, entry->physical);
		case RELKIND_SEQUENCE:
			return sequence_text(entry->physical);
		case SV_ENTRY_TYPE:
			return type_definition(entry);
		case SV_ENTRY_FUNCTION:
			if (((SvPart *) linitial(entry->columns))->flavour ==
				PROKIND_AGGREGATE)
				return NULL;
			return describe_oid(pg_get_functiondef, entry->physical);
	}
	return NULL;
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* the default of a part just read; made when first asked for */
static char *
now_default(SvPart *now)
{
	MemoryContext context = MemoryContextSwitchTo(collection);

	if (now->expression == NULL && OidIsValid(now->object))
		now->expression = default_text(now->object, NULL);
	MemoryContextSwitchTo(context);
	return now->expression;
}

static char *
now_constraint(SvPart *now)
{
	MemoryContext context = MemoryContextSwitchTo(collection);

	if (now->expression == NULL)
		now->expression = constraint_text(now);
	MemoryContextSwitchTo(context);
	return now->expression;
}

/* give an entry that was just read all its texts */
static void
complete_entry(SvEntry *entry)
{
	ListCell   *lc;

	foreach(lc, entry->columns)
		(void) now_default(lfirst(lc));
	foreach(lc, entry->constraints)
	{
		SvPart	   *constraint = lfirst(lc);

		constraint->type = now_constraint(constraint);
	}
	foreach(lc, entry->triggers)
	{
		SvPart	   *trigger = lfirst(lc);

		trigger->expression = describe_oid(pg_get_triggerdef,
										   trigger->object);
		trigger->type = trigger->expression;
	}
	entry->definition = definition_text(entry);
}

static bool
same_default(const SvPart *then, SvPart *now)
{
	if (then->object == now->object &&
		(OidIsValid(now->object) || then->expression == NULL))
		return true;
	return same_text(then->expression, now_default(now));
}

/*
 * Finding the parts of an entry in what stands behind it now
 */

static SvPart *
part_by_name(List *parts, const char *name)
{
	ListCell   *lc;

	foreach(lc, parts)
	{
		if (strcmp(((SvPart *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

static SvPart *
part_by_object(List *parts, Oid object)
{
	ListCell   *lc;

	foreach(lc, parts)
	{
		if (((SvPart *) lfirst(lc))->object == object)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * The column of an entry that has this number, NULL if none has, or if there
 * is no entry.  It is the entry's own, not a copy.
 */
SvPart *
sv_contract_column_at(const SvEntry *entry, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, entry ? entry->columns : NIL)
	{
		if (((SvPart *) lfirst(lc))->number == number)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * The name and the columns of a table as an entry knows them, or as they are
 * called now if there is none, to parse an expression with.  What it does not
 * know, and what is hidden, has a name that cannot be written; dropped columns
 * have none at all, as the parser wants it.
 */
Alias *
sv_contract_alias(const SvEntry *entry, Relation table)
{
	TupleDesc	desc = RelationGetDescr(table);
	List	   *names = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		const SvPart *column = sv_contract_column_at(entry, i + 1);
		char	   *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		if (entry)
			name = column ? column->name : "";
		else if (sv_is_hidden(name))
			name = "";
		names = lappend(names, makeString(pstrdup(name)));
	}
	return makeAlias(entry ? entry->name : RelationGetRelationName(table),
					 names);
}

/*
 * The column of what stands behind an entry now that a contract's column is:
 * by number in the same relation, by name in one that has replaced it.  NULL
 * if it is gone.
 */
SvPart *
sv_contract_find_column(const SvEntry *entry, const SvPart *then, const SvEntry *now)
{
	if (entry->physical == now->physical)
		return sv_contract_column_at(now, then->number);
	return part_by_name(now->columns, then->physical_name);
}

/* has a release an entry on an object? */
static bool
is_known(const SvRelease *release, Oid object)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(object))
	{
		if (sv_catalog_has_entry(release, lfirst_int(lc)))
			return true;
	}
	return false;
}

/*
 * The sequence that has numbered the rows by a column that is no identity any
 * more, and does so for the versions that rely on it: the column owns it, and
 * it is hidden.  With a release, one that this knows.  InvalidOid if there is
 * none.
 */
Oid
sv_contract_kept_identity(Oid relation, AttrNumber number,
						  const SvRelease *release)
{
	ListCell   *lc;

	foreach(lc, getOwnedSequences(relation))
	{
		Oid			table;
		int32		column;

		if (sequenceIsOwned(lfirst_oid(lc), DEPENDENCY_AUTO, &table,
							&column) &&
			column == number && sv_is_hidden(get_rel_name(lfirst_oid(lc))) &&
			(release == NULL || is_known(release, lfirst_oid(lc))))
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/* is it unique over columns alone, without expression or predicate? */
static bool
is_plain_unique(const SvPart *part)
{
	return strchr("pui", part->flavour) != NULL && part->columns != NIL &&
		!list_member_int(part->columns, 0);
}

static bool
is_unique(const SvPart *part)
{
	return strchr("pui", part->flavour) != NULL;
}

static bool
all_in(List *some, List *others)
{
	return list_difference_int(some, others) == NIL;
}

/* does a text say the same as another, validated or not? */
static bool
same_but_valid(const char *text, const char *now)
{
	static const char mark[] = " NOT VALID";
	size_t		length = text ? strlen(text) : 0;
	size_t		now_length = now ? strlen(now) : 0;

	if (now_length >= sizeof(mark) - 1 &&
		strcmp(now + now_length - (sizeof(mark) - 1), mark) == 0)
		now_length -= sizeof(mark) - 1;
	if (length >= sizeof(mark) - 1 &&
		strcmp(text + length - (sizeof(mark) - 1), mark) == 0)
		length -= sizeof(mark) - 1;
	return length == now_length && strncmp(text, now, length) == 0;
}

/*
 * Has a constraint been made again as the contract has known it?  It has the
 * name that the version gave it, if that version was made current again.
 */
static bool
is_made_again(const SvPart *then, SvPart *now)
{
	if (then->flavour != now->flavour ||
		(strcmp(then->physical_name, now->name) != 0 &&
		 strcmp(then->name, now->name) != 0))
		return false;
	return same_but_valid(then->expression, now_constraint(now)) ||
		same_but_valid(then->type, now_constraint(now));
}

static bool
same_columns(const SvPart *some, const SvPart *others)
{
	return all_in(some->columns, others->columns) &&
		all_in(others->columns, some->columns);
}

/* does a constraint stand where another one of the contract stood? */
static bool
is_of_another(const SvEntry *entry, const SvPart *then, const SvPart *now)
{
	ListCell   *lc;

	foreach(lc, entry->constraints)
	{
		const SvPart *other = lfirst(lc);

		if (other != then &&
			(other->object == now->object ||
			 strcmp(other->physical_name, now->name) == 0 ||
			 strcmp(other->name, now->name) == 0))
			return true;
	}
	return false;
}

/* what the text of a constraint is now, in the names of today */
static bool
says_the_same(const SvEntry *entry, const SvPart *then, const SvEntry *now,
			  SvPart *found)
{
	SvPart		today = *found;

	today.type = now_constraint(found);
	return sv_contract_same_hook(NULL, entry, then, now, &today);
}

/*
 * The CHECK or foreign key that another version's being the current one has
 * left where one of the contract stood.  That is over the same columns, though
 * it may have got another name meanwhile, as they may have; failing that it is
 * the same over columns that have taken their place, if it has the name.
 */
static SvPart *
find_restored(const SvEntry *entry, const SvPart *then, const SvEntry *now)
{
	SvPart	   *successor = NULL;
	ListCell   *lc;

	foreach(lc, now->constraints)
	{
		SvPart	   *found = lfirst(lc);

		if (!is_made_again(then, found))
			continue;
		if (same_columns(then, found))
			return found;
		if (successor == NULL)
			successor = found;
	}
	foreach(lc, now->constraints)
	{
		SvPart	   *found = lfirst(lc);

		if (found->flavour == then->flavour && same_columns(then, found) &&
			!is_of_another(entry, then, found) &&
			says_the_same(entry, then, now, found))
			return found;
	}
	return successor;
}

/*
 * The constraint that stands where one of the contract stood: the same one,
 * one of the same name and text, or for a unique one any that is unique over
 * the same columns.
 */
static SvPart *
find_constraint(const SvEntry *entry, const SvPart *then, const SvEntry *now)
{
	SvPart	   *found = part_by_object(now->constraints, then->object);
	ListCell   *lc;

	if (found)
		return found;
	if (strchr("cf", then->flavour))
		return find_restored(entry, then, now);
	foreach(lc, now->constraints)
	{
		if (is_made_again(then, lfirst(lc)))
			return lfirst(lc);
	}
	if (!is_plain_unique(then))
		return NULL;
	foreach(lc, now->constraints)
	{
		found = lfirst(lc);
		if (is_plain_unique(found) && same_columns(found, then))
			return found;
	}
	return NULL;
}

static SvPart *
find_trigger(const SvPart *then, const SvEntry *now)
{
	SvPart	   *found = part_by_object(now->triggers, then->object);

	return found ? found : part_by_name(now->triggers, then->physical_name);
}

static SvPart *
find_label(const SvPart *then, const SvEntry *now)
{
	SvPart	   *found = part_by_object(now->labels, then->object);

	return found ? found : part_by_name(now->labels, then->physical_name);
}

/* is any of these columns hidden? */
static bool
has_hidden_column(const SvEntry *now, List *numbers)
{
	ListCell   *lc;

	foreach(lc, numbers)
	{
		SvPart	   *column = sv_contract_column_at(now, lfirst_int(lc));

		if (column && sv_is_hidden(column->name))
			return true;
	}
	return false;
}

/* does a foreign key refer to a hidden column, of whatever table? */
static bool
refers_to_hidden(const SvPart *constraint)
{
	HeapTuple	tuple = constraint->flavour == CONSTRAINT_FOREIGN ?
	SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint->object)) : NULL;
	bool		result = false;
	int			n = 0;
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];

	if (!HeapTupleIsValid(tuple))
		return false;
	DeconstructFkConstraintRow(tuple, &n, columns, referenced, NULL, NULL,
							   NULL, NULL, NULL);
	for (int i = 0; i < n; i++)
		result |= sv_is_hidden(get_attname(((Form_pg_constraint) GETSTRUCT(tuple))->confrelid,
										   referenced[i], false));
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Judging: how do the catalogs differ from an entry?
 */

/* findings of one entry, with the entry's name as they show it */
typedef struct Verdict
{
	const SvEntry *entry;
	const SvEntry *now;
	char	   *shown;			/* "person", or "billing.person" */
	bool		lost;			/* a column is lost, so no view can be made */
	List	   *findings;
} Verdict;

static SvFinding *
add_finding(Verdict *verdict, SvSeverity severity, char *change, char *reason)
{
	SvFinding  *finding = palloc0(sizeof(SvFinding));

	finding->severity = severity;
	finding->change = change;
	finding->reason = reason;
	verdict->findings = lappend(verdict->findings, finding);
	return finding;
}

/* the version leaves a column NULL, or out: is there a value for it? */
static void
add_required(Verdict *verdict, const SvPart *now, char *change, char *reason)
{
	bool		filled = verdict->entry->kind != SV_ENTRY_TYPE &&
	sv_contract_filled_hook &&
	sv_contract_filled_hook(verdict->now->physical, now->number,
							sv_contract_column_at(verdict->entry,
												  now->number) != NULL);
	SvFinding  *finding = add_finding(verdict, filled ? SV_KEPT : SV_FATAL,
									  change, reason);

	if (sv_contract_is_table(verdict->entry->kind))
		finding->required = now->number;
}

static const char *
kind_name(char kind)
{
	switch (kind)
	{
		case RELKIND_VIEW:
			return "VIEW";
		case RELKIND_MATVIEW:
			return "MATERIALIZED VIEW";
		case RELKIND_SEQUENCE:
			return "SEQUENCE";
		case RELKIND_FOREIGN_TABLE:
			return "FOREIGN TABLE";
		case SV_ENTRY_FUNCTION:
			return "FUNCTION";
		case SV_ENTRY_TYPE:
			return "TYPE";
	}
	return "TABLE";
}

/* may a version schema's view stand in for an object of this kind? */
static bool
is_viewable(char kind)
{
	return strchr("rpvmfS", kind) != NULL;
}

/*
 * Was the object put away?  Relations in the schema for it, sequences that
 * stay with a hidden column under a hidden name, all others in the schema of
 * a version.
 */
static bool
is_put_away(const SvEntry *entry, const SvEntry *now)
{
	Oid			schema;

	if (sv_is_hidden(now->name) && !sv_is_hidden(entry->name))
		return true;
	if (strcmp(entry->schema, now->schema) == 0)
		return false;
	if (strcmp(now->schema, SV_RETAINED_SCHEMA) == 0)
		return true;
	schema = get_namespace_oid(now->schema, true);
	return OidIsValid(schema) && sv_contract_is_version_schema(schema);
}

/*
 * Is the type the one that a contract speaks of, though it is found elsewhere
 * now, since it was put away or renamed?
 */
static bool
is_same_type(const SvPart *then, const SvPart *now)
{
	Oid			type = now->type_oid;
	Oid			element = OidIsValid(type) ? get_element_type(type) :
	InvalidOid;
	char	   *name;
	ListCell   *lc;

	if (same_text(then->type, now->type))
		return true;
	if (!OidIsValid(type))
		return false;
	if (OidIsValid(element))
		type = element;
	name = format_type_be(type);
	if (strncmp(now->type, name, strlen(name)) != 0)
		return false;
	foreach(lc, sv_catalog_entries_on(type))
	{
		SvEntry    *entry = load_entry(lfirst_int(lc))->entry;
		char	   *known = psprintf("%s%s",
									 quote_qualified_identifier(entry->schema,
																entry->name),
									 now->type + strlen(name));

		if (entry->kind == SV_ENTRY_TYPE && same_text(then->type, known))
			return true;
	}
	return false;
}

/* does a type modifier allow all that another one does? */
static bool
is_wider_typmod(Oid type, int32 then, int32 now)
{
	if (now == -1 || now == then)
		return true;
	if (then == -1)
		return false;
	if (type == VARCHAROID)
		return now > then;

	/* numeric: precision in the upper half, scale in the lower */
	if (type == NUMERICOID)
		return ((now - VARHDRSZ) & 0xffff) == ((then - VARHDRSZ) & 0xffff) &&
			now > then;
	return false;
}

/*
 * Is the type that a contract's column has now one that stores the same values
 * in the same way, and allows all that the old one did?  A migration changes
 * it in place only if nobody has prepared anything that would notice.
 */
static bool
is_wider(const SvPart *then, const SvPart *now)
{
	Oid			type;
	int32		typmod;

	if (!OidIsValid(now->type_oid) ||
		strstr(then->type, " COLLATE ") || strstr(now->type, " COLLATE "))
		return false;
	parseTypeString(then->type, &type, &typmod, true);
	if (!OidIsValid(type))
		return false;
	if (type == now->type_oid)
		return is_wider_typmod(type, typmod, now->typmod);
	return type == VARCHAROID && now->type_oid == TEXTOID;
}

/* a column that was put away, dropped or replaced by one of another type */
static void
judge_hidden_column(Verdict *verdict, const SvPart *then, char *column)
{
	SvPart	   *other = part_by_name(verdict->now->columns,
									 then->physical_name);

	if (other && sv_is_hidden(other->name))
		other = part_by_name(verdict->now->columns, then->name);
	if (other && other->type_oid != InvalidOid &&
		!same_text(other->type, then->type))
		add_finding(verdict, SV_BREAKS,
					psprintf("ALTER COLUMN %s TYPE %s", column, other->type),
					psprintf("It expects %s.", then->type));
	else
		add_finding(verdict, SV_BREAKS, psprintf("DROP COLUMN %s", column),
					"It reads or writes that column.");
}

/* what stands under an entry's own name now, though it is another object */
static SvEntry *
find_successor(const SvEntry *entry)
{
	SvEntry		named = *entry;

	named.physical_schema = entry->schema;
	named.physical_name = entry->name;
	return read_by_name(&named);
}

/* does a successor offer all that its predecessor did, and in its order? */
static bool
offers_the_same(const SvEntry *entry, const SvEntry *successor)
{
	ListCell   *lt;
	ListCell   *ln;

	if (list_length(successor->columns) < list_length(entry->columns) ||
		list_length(successor->triggers) < list_length(entry->triggers))
		return false;
	forboth(lt, entry->columns, ln, successor->columns)
	{
		SvPart	   *then = lfirst(lt);
		SvPart	   *now = lfirst(ln);

		if (strcmp(then->name, now->name) != 0 || !is_same_type(then, now) ||
			then->flavour != now->flavour)
			return false;
	}
	return true;
}

/* what was put away was dropped, or something else has taken its place */
static void
judge_put_away(Verdict *verdict)
{
	const SvEntry *entry = verdict->entry;
	SvSeverity	severity = is_viewable(entry->kind) ? SV_BREAKS : SV_KEPT;
	SvEntry    *successor = strchr("vmF", entry->kind) ?
	find_successor(entry) : NULL;

	if (successor == NULL)
		add_finding(verdict, severity,
					psprintf("DROP %s %s", kind_name(entry->kind),
							 verdict->shown),
					"It uses the object.");
	else
		add_finding(verdict, offers_the_same(entry, successor) ?
					SV_DEFAULTS : severity,
					psprintf("replacing %s %s", kind_name(entry->kind),
							 verdict->shown),
					"It expects the old definition.");
}

static void
judge_name(Verdict *verdict)
{
	const SvEntry *entry = verdict->entry;
	const SvEntry *now = verdict->now;

	if (is_put_away(entry, now))
	{
		judge_put_away(verdict);
		return;
	}
	if (strcmp(entry->name, now->name) != 0)
		add_finding(verdict, SV_BREAKS,
					psprintf("RENAME %s %s TO %s", kind_name(entry->kind),
							 verdict->shown, quote_identifier(now->name)),
					"It uses the old name.");
	if (strcmp(entry->schema, now->schema) != 0)
		add_finding(verdict, SV_BREAKS,
					psprintf("ALTER %s %s SET SCHEMA %s",
							 kind_name(entry->kind), verdict->shown,
							 quote_identifier(now->schema)),
					"It looks for the object in the old schema.");
}

/*
 * Is a column, or a function's result, of the type that the contract has?
 * No function changes its result, but the types in it may be renamed.
 */
static bool
is_same_result(const Verdict *verdict, const SvPart *then, const SvPart *now)
{
	return (verdict->entry->kind == SV_ENTRY_FUNCTION &&
			verdict->entry->physical == verdict->now->physical) ||
		is_same_type(then, now);
}

/* what the script makes of a column's identity, '\0' if it does not say */
static char
told_identity(Oid relation, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, told_identities)
	{
		ToldIdentity *told = lfirst(lc);

		if (told->relation == relation && told->number == number)
			return told->identity;
	}
	return '\0';
}

/* does the column number rows by itself, as far as the version relies on it? */
static void
judge_identity(Verdict *verdict, const SvPart *then, const SvPart *now,
			   const char *column)
{
	bool		is_kept;

	/* one that is to be ALWAYS waits until the version is retired */
	if (now->identity == 'd' && then->identity != 'a' &&
		told_identity(verdict->now->physical, now->number) == 'a')
		add_finding(verdict, SV_KEPT,
					psprintf("SET GENERATED ALWAYS AS IDENTITY %s", column),
					"It may write values of its own.");
	if (now->identity == 'd' && then->identity == ' ' &&
		then->generated == ' ' && then->expression == NULL)
		add_finding(verdict, SV_DEFAULTS,
					psprintf("ADD IDENTITY %s", column),
					"It expects no value but its own.");
	if (then->identity == now->identity || now->identity == 'd' ||
		sv_is_hidden(now->name))
		return;
	if (now->identity == 'a')
	{
		add_finding(verdict, SV_FATAL,
					psprintf("SET GENERATED ALWAYS AS IDENTITY %s", column),
					"It may write values of its own.");
		return;
	}
	is_kept = OidIsValid(now->object) ||
		OidIsValid(sv_contract_kept_identity(verdict->now->physical,
											 now->number, NULL));
	add_finding(verdict, is_kept ? SV_BREAKS : SV_FATAL,
				psprintf("DROP IDENTITY %s", column),
				"It may rely on the generated values.");
}

/* a column of the contract that is still there */
static void
judge_column(Verdict *verdict, const SvPart *then, SvPart *now)
{
	char	   *column = psprintf("%s.%s", verdict->shown,
								  quote_identifier(then->name));

	if (sv_is_hidden(now->name) && !sv_is_hidden(then->name))
		judge_hidden_column(verdict, then, column);
	else if (strcmp(then->name, now->name) != 0)
		add_finding(verdict, is_viewable(verdict->entry->kind) ?
					SV_BREAKS : SV_FATAL,
					psprintf("RENAME COLUMN %s TO %s", column,
							 quote_identifier(now->name)),
					"It uses the old name.");
	if (!is_same_result(verdict, then, now))
		add_finding(verdict, is_wider(then, now) ? SV_CHECKED : SV_FATAL,
					verdict->entry->kind == SV_ENTRY_FUNCTION ?
					psprintf("another result of FUNCTION %s: %s",
							 verdict->shown, now->type) :
					psprintf("ALTER COLUMN %s TYPE %s", column, now->type),
					psprintf("It expects %s.", then->type));
	if (!then->notnull && now->notnull)
		add_required(verdict, now, psprintf("SET NOT NULL %s", column),
					 "It may write nulls.");
	judge_identity(verdict, then, now, column);
	if (then->generated != now->generated)
		add_finding(verdict, SV_FATAL,
					psprintf("DROP EXPRESSION %s", column),
					"It relies on the generated values.");
	else if (then->generated == ' ' && !same_default(then, now))
		add_finding(verdict, now->notnull && !OidIsValid(now->object) &&
					now->identity == ' ' ? SV_BREAKS : SV_DEFAULTS,
					psprintf("%s DEFAULT %s",
							 OidIsValid(now->object) ? "SET" : "DROP", column),
					"It expects the old default.");
}

/* a column that the contract does not know */
static void
judge_new_column(Verdict *verdict, const SvPart *now)
{
	char	   *column = psprintf("%s.%s", verdict->shown,
								  quote_identifier(now->name));

	if (sv_is_hidden(now->name))
	{
		add_finding(verdict, SV_HIDDEN,
					psprintf("retaining %s", column),
					"Its SELECT * would show a column that was dropped.");
		return;
	}
	if (verdict->entry->kind == SV_ENTRY_TYPE)
	{
		add_finding(verdict, SV_FATAL, psprintf("ADD ATTRIBUTE %s", column),
					"It expects values of the type as it was.");
		return;
	}
	if (now->notnull && !OidIsValid(now->object) && now->identity == ' ' &&
		now->generated == ' ' && sv_contract_is_table(verdict->entry->kind))
		add_required(verdict, now,
					 psprintf("ADD COLUMN %s NOT NULL without a default",
							  column),
					 "It inserts rows without a value for it.");
	if (!verdict->lost)
		add_finding(verdict, SV_NOTICED, psprintf("ADD COLUMN %s", column),
					"Its SELECT * would show one column more.");
}

/*
 * Was the column dropped by hand before?  What is lost is lost, and no reason
 * to hold up later changes; only a relation's columns have numbers.
 */
static bool
is_lost(const SvEntry *entry, const SvPart *then)
{
	return then->number == 0 && is_viewable(entry->kind);
}

static void
judge_columns(Verdict *verdict)
{
	List	   *seen = NIL;
	AttrNumber	last = 0;
	ListCell   *lc;

	foreach(lc, verdict->entry->columns)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *now = sv_contract_find_column(verdict->entry, then, verdict->now);

		if (now == NULL && is_lost(verdict->entry, then))
		{
			verdict->lost = true;
			continue;
		}
		if (now == NULL)
		{
			add_finding(verdict, SV_FATAL,
						psprintf("DROP COLUMN %s.%s", verdict->shown,
								 quote_identifier(then->name)),
						"It reads or writes that column.");
			continue;
		}
		judge_column(verdict, then, now);
		if (now->position < last)
			add_finding(verdict, SV_NOTICED,
						psprintf("reordering the columns of %s",
								 verdict->shown),
						"Its SELECT * would show another order.");
		last = now->position;
		seen = lappend(seen, now);
	}
	if (verdict->entry->kind == SV_ENTRY_FUNCTION)
		return;
	foreach(lc, verdict->now->columns)
	{
		if (!list_member_ptr(seen, lfirst(lc)))
			judge_new_column(verdict, lfirst(lc));
	}
}

/* does every row that leaves the column out get the same value in it? */
static bool
has_constant_default(SvPart *column)
{
	Node	   *node = NULL;

	if (!OidIsValid(column->object) || column->generated != ' ')
		return false;
	(void) default_text(column->object, &node);
	if (node == NULL || contain_volatile_functions(node))
		return false;
	return !(IsA(node, Const) && ((Const *) node)->constisnull);
}

/*
 * Does a key take the place of one that was put away under its name, over
 * columns of which the version knows no others?  It is about the same values
 * then, some of them kept in step in columns of another type.
 */
static bool
is_made_for_columns(Verdict *verdict, const SvPart *added, SvPart *then)
{
	SvPart	   *now = find_constraint(verdict->entry, then, verdict->now);
	ListCell   *lc;

	if (now == NULL || !sv_is_hidden(now->name) || !is_unique(added) ||
		!is_unique(then) || strcmp(then->name, added->name) != 0 ||
		list_length(then->columns) != list_length(added->columns))
		return false;
	foreach(lc, added->columns)
	{
		if (sv_contract_column_at(verdict->entry, lfirst_int(lc)) &&
			!list_member_int(then->columns, lfirst_int(lc)))
			return false;
	}
	return true;
}

/*
 * Can a constraint that the contract does not know never reject what the
 * version writes?  It cannot if something stricter was unique already, nor
 * if it speaks only of columns that the version leaves alone, unless the
 * same default would then have to be unique.  One that another version's
 * contract knows is no news: whoever wrote beside that version kept to it, put
 * away or not.
 */
static bool
is_harmless(Verdict *verdict, const SvPart *added)
{
	const SvEntry *entry = verdict->entry;
	ListCell   *lc;

	if (strchr("puxi", added->flavour) &&
		sv_catalog_entries_with(added->object) != NIL)
		return true;
	if (added->columns == NIL || list_member_int(added->columns, 0))
		return false;
	foreach(lc, entry->constraints)
	{
		SvPart	   *then = lfirst(lc);

		if (is_plain_unique(added) && is_plain_unique(then) &&
			all_in(then->columns, added->columns) &&
			find_constraint(verdict->entry, then, verdict->now))
			return true;
		if (is_made_for_columns(verdict, added, then))
			return true;
	}
	foreach(lc, added->columns)
	{
		if (sv_contract_column_at(entry, lfirst_int(lc)))
			return false;
	}
	if (!is_unique(added))
		return true;
	foreach(lc, added->columns)
	{
		SvPart	   *column = sv_contract_column_at(verdict->now,
												   lfirst_int(lc));

		if (column && !has_constant_default(column))
			return true;
	}
	return false;
}

/*
 * A constraint that the contract does not know checks what the version
 * writes.  One that lets it write a single row is another matter; if another
 * contract has it, a migration has made it, and said what follows.
 */
static SvSeverity
severity_of_added(const SvEntry *entry, const SvPart *added)
{
	ListCell   *lc;

	if (sv_catalog_entries_with(added->object) != NIL)
		return SV_KEPT;
	foreach(lc, added->columns)
	{
		if (lfirst_int(lc) == 0 ||
			sv_contract_column_at(entry, lfirst_int(lc)))
			return SV_CHECKED;
	}
	return added->columns == NIL ? SV_CHECKED : SV_FATAL;
}

static void
judge_added(Verdict *verdict, const SvPart *added)
{
	SvFinding  *finding;

	/* what is left on a hidden column is there until a job replaces it */
	if (sv_is_hidden(added->name) || is_harmless(verdict, added) ||
		is_put_away(verdict->entry, verdict->now) ||
		has_hidden_column(verdict->now, added->columns) ||
		refers_to_hidden(added))
		return;
	finding = add_finding(verdict, severity_of_added(verdict->entry, added),
						  psprintf("ADD %s %s ON %s", added->flavour == 'i' ?
								   "UNIQUE INDEX" : "CONSTRAINT",
								   quote_identifier(added->name),
								   verdict->shown),
						  "What it writes may violate that.");
	finding->object = added->object;
}

static void
judge_constraints(Verdict *verdict)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, verdict->entry->constraints)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *now = find_constraint(verdict->entry, then, verdict->now);

		if (now == NULL && is_unique(then) && OidIsValid(then->object))
			add_finding(verdict, SV_FATAL,
						psprintf("DROP %s %s ON %s", then->flavour == 'i' ?
								 "INDEX" : "CONSTRAINT",
								 quote_identifier(then->name), verdict->shown),
						"Its ON CONFLICT may rely on that uniqueness.");
		else if (now && is_unique(then) && sv_is_hidden(now->name))
			add_finding(verdict, then->flavour == 'i' ? SV_KEPT : SV_BREAKS,
						psprintf("DROP %s %s ON %s", then->flavour == 'i' ?
								 "INDEX" : "CONSTRAINT",
								 quote_identifier(then->name), verdict->shown),
						"Its ON CONFLICT may rely on that uniqueness.");
		else if (now && strchr("pux", then->flavour) &&
				 strcmp(then->name, now->name) != 0)
			add_finding(verdict, SV_BREAKS,
						psprintf("RENAME CONSTRAINT %s ON %s TO %s",
								 quote_identifier(then->name), verdict->shown,
								 quote_identifier(now->name)),
						"Its ON CONFLICT ON CONSTRAINT may use the old name.");
		if (now)
			seen = lappend(seen, now);
	}
	foreach(lc, verdict->now->constraints)
	{
		if (!list_member_ptr(seen, lfirst(lc)))
			judge_added(verdict, lfirst(lc));
	}
}

static void
judge_rest(Verdict *verdict)
{
	ListCell   *lc;

	foreach(lc, verdict->entry->triggers)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *now = find_trigger(then, verdict->now);

		if ((now == NULL && OidIsValid(then->object)) ||
			(now && sv_is_hidden(now->name)))
			add_finding(verdict, now ? SV_KEPT : SV_FATAL,
						psprintf("DROP TRIGGER %s ON %s",
								 quote_identifier(then->name), verdict->shown),
						"What it writes relies on that trigger.");
	}
	foreach(lc, verdict->entry->labels)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *now = find_label(then, verdict->now);

		if (now == NULL || strcmp(then->name, now->name) != 0)
			add_finding(verdict, SV_FATAL,
						psprintf("%s VALUE %s OF TYPE %s",
								 now ? "RENAME" : "DROP",
								 quote_literal_cstr(then->name),
								 verdict->shown),
						"It may use that label.");
	}
	if (verdict->now->rowsecurity && !verdict->entry->rowsecurity)
		add_finding(verdict, SV_FATAL,
					psprintf("ENABLE ROW LEVEL SECURITY ON %s",
							 verdict->shown),
					"It would silently see fewer rows.");
}

/*
 * How people are told of an entry: with its schema unless that is public, a
 * function with its arguments.
 */
char *
sv_contract_shown_name(const SvEntry *entry)
{
	const char *name = quote_identifier(entry->name);

	if (strcmp(entry->schema, "public") != 0)
		name = quote_qualified_identifier(entry->schema, entry->name);
	if (entry->kind == SV_ENTRY_FUNCTION)
		name = psprintf("%s(%s)", name, entry->args);
	return pstrdup(name);
}

/* findings of one entry, without a release */
static List *
judge_anew(const SvEntry *entry)
{
	Verdict		verdict = {entry, sv_contract_resolve(entry),
	sv_contract_shown_name(entry), false, NIL};

	if (verdict.now == NULL && !OidIsValid(entry->physical))
		return NIL;
	if (verdict.now == NULL)
	{
		add_finding(&verdict, SV_FATAL,
					psprintf("DROP %s %s", kind_name(entry->kind),
							 verdict.shown),
					"It uses the object.");
		return verdict.findings;
	}
	judge_name(&verdict);
	judge_columns(&verdict);
	judge_constraints(&verdict);
	judge_rest(&verdict);
	return verdict.findings;
}

static List *
judge_entry(const SvEntry *entry)
{
	Loaded	   *known = load_entry(entry->id);

	if (!known->is_judged)
	{
		MemoryContext context = MemoryContextSwitchTo(collection);

		known->findings = judge_anew(entry);
		known->is_judged = true;
		MemoryContextSwitchTo(context);
	}
	return known->findings;
}

/*
 * Must a version schema hold a view for the entry, so that its version sees
 * what it expects?
 */
bool
sv_contract_needs_view(const SvProduct *product, const SvEntry *entry)
{
	ListCell   *lc;

	if (!is_viewable(entry->kind))
		return false;
	if (product->complete && entry->kind != RELKIND_SEQUENCE)
		return true;
	foreach(lc, judge_entry(entry))
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->severity < SV_KEPT &&
			(finding->severity != SV_NOTICED || product->exact))
			return true;
	}
	return false;
}

static int
compare_entries(const ListCell *a, const ListCell *b)
{
	int32		first = ((SvEntry *) lfirst(a))->id;
	int32		second = ((SvEntry *) lfirst(b))->id;

	return first < second ? -1 : first > second;
}

/* add to the list what is not in it yet */
static List *
add_entry(List *entries, int32 id)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		if (((SvEntry *) lfirst(lc))->id == id)
			return entries;
	}
	return lappend(entries, load_entry(id)->entry);
}

/* all entries of some releases, each once */
static List *
all_entries(List *releases)
{
	List	   *ids = NIL;
	List	   *entries = NIL;
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		for (int i = 0; i < release->nentries; i++)
			ids = lappend_oid(ids, (Oid) release->entries[i]);
	}
	list_sort(ids, list_oid_cmp);
	list_deduplicate_oid(ids);
	foreach(lc, ids)
		entries = lappend(entries,
						  load_entry((int32) lfirst_oid(lc))->entry);
	return entries;
}

/* the entries of some releases that stand on something touched */
static List *
touched_entries(List *releases)
{
	HASH_SEQ_STATUS status;
	Touched    *object;
	List	   *entries = NIL;

	if (touched_all)
		return all_entries(releases);
	hash_seq_init(&status, touched);
	while ((object = hash_seq_search(&status)) != NULL)
	{
		ListCell   *lc;

		foreach(lc, entry_ids_on(object))
		{
			if (sv_catalog_any_has_entry(releases, lfirst_int(lc)))
				entries = add_entry(entries, lfirst_int(lc));
		}
	}
	list_sort(entries, compare_entries);
	return entries;
}

/*
 * Partitions are served through their root, and no contract speaks of them.
 * But a constraint or unique index of a partition alone holds for the rows
 * that a version writes through the root; one that this transaction has made
 * on a partition that was there before is news.
 */

static bool
is_made_now(HeapTuple tuple)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

/* was the relation itself made by this transaction?  Its row type tells. */
static bool
is_new_relation(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID,
										ObjectIdGetDatum(get_rel_type_id(relation)));
	bool		is_new = HeapTupleIsValid(tuple) && is_made_now(tuple);

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return is_new;
}

/* is a constraint or index of a partition its own, and made just now? */
static bool
is_new_and_local(const SvPart *part)
{
	bool		is_index = part->flavour == 'i';
	HeapTuple	tuple = SearchSysCache1(is_index ? INDEXRELID : CONSTROID,
										ObjectIdGetDatum(part->object));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = is_made_now(tuple);
	if (is_index)
		result = result && !get_rel_relispartition(part->object);
	else
		result = result &&
			!OidIsValid(((Form_pg_constraint) GETSTRUCT(tuple))->conparentid) &&
			((Form_pg_constraint) GETSTRUCT(tuple))->coninhcount == 0;
	ReleaseSysCache(tuple);
	return result;
}

/* findings of a touched partition, against an entry of its root */
static List *
judge_partition(Oid partition, const SvEntry *root)
{
	Verdict		verdict = {root, NULL, sv_contract_shown_name(root), false, NIL};
	SvEntry    *own;
	Relation	relation;
	ListCell   *lc;

	relation = relation_open(partition, AccessShareLock);
	own = make_entry(relation->rd_rel->relkind, RelationGetNamespace(relation),
					 RelationGetRelationName(relation), partition);
	read_constraints(own, partition, InvalidOid);
	if (relation->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		read_unique_indexes(own, relation);
	relation_close(relation, NoLock);
	foreach(lc, own->constraints)
	{
		SvPart	   *part = lfirst(lc);

		if (!is_new_and_local(part))
			continue;
		add_finding(&verdict, SV_CHECKED,
					psprintf("ADD %s %s ON %s, a partition of %s",
							 part->flavour == 'i' ? "UNIQUE INDEX" :
							 "CONSTRAINT", quote_identifier(part->name),
							 sv_contract_shown_name(own), verdict.shown),
					"What it writes may violate that.")->object = part->object;
	}
	return verdict.findings;
}

/* add the findings of one entry to those of the releases that have it */
static List *
attribute_findings(List *findings, const SvEntry *entry, List *verdict,
				   List *releases)
{
	ListCell   *lr;
	ListCell   *lf;

	foreach(lr, releases)
	{
		if (!sv_catalog_has_entry(lfirst(lr), entry->id))
			continue;
		foreach(lf, verdict)
		{
			SvFinding  *finding = palloc(sizeof(SvFinding));

			*finding = *(SvFinding *) lfirst(lf);
			finding->release = lfirst(lr);
			finding->entry = entry;
			finding->change = pstrdup(finding->change);
			finding->reason = pstrdup(finding->reason);
			findings = lappend(findings, finding);
		}
	}
	return findings;
}

static List *
judge_partitions(List *findings, List *releases)
{
	HASH_SEQ_STATUS status;
	Touched    *object;
	List	   *partitions = NIL;
	ListCell   *lc;
	ListCell   *le;

	hash_seq_init(&status, touched);
	while ((object = hash_seq_search(&status)) != NULL)
	{
		if (object->key.class_id == RelationRelationId &&
			get_rel_relispartition(object->key.object))
			partitions = lappend_oid(partitions, object->key.object);
	}
	list_sort(partitions, list_oid_cmp);
	foreach(lc, partitions)
	{
		Oid			partition = lfirst_oid(lc);

		if (is_new_relation(partition))
			continue;
		foreach(le, sv_catalog_entries_on(llast_oid(get_partition_ancestors(partition))))
		{
			SvEntry    *root;

			if (!sv_catalog_any_has_entry(releases, lfirst_int(le)))
				continue;
			root = load_entry(lfirst_int(le))->entry;
			findings = attribute_findings(findings, root,
										  judge_partition(partition, root),
										  releases);
		}
	}
	return findings;
}

/*
 * How the catalogs differ from the contracts of some releases in what was
 * touched: a list of SvFinding, empty if they all are fulfilled to the letter.
 */
List *
sv_contract_judge(List *releases)
{
	List	   *findings = NIL;
	ListCell   *lc;

	foreach(lc, touched_entries(releases))
		findings = attribute_findings(findings, lfirst(lc),
									  judge_entry(lfirst(lc)), releases);
	return judge_partitions(findings, releases);
}

/*
 * As sv_contract_judge(), but only what the DDL itself has touched, even if
 * everything is to be compared.
 */
List *
sv_contract_judge_named(List *releases)
{
	bool		all = touched_all;
	List	   *findings;

	touched_all = false;
	findings = sv_contract_judge(releases);
	touched_all = all;
	return findings;
}

/*
 * Does anything touched hold hidden columns, so that even the newest version
 * needs a view of it?
 */
bool
sv_contract_touched_hidden(void)
{
	ListCell   *lo;
	ListCell   *lc;

	foreach(lo, touched_objects())
	{
		Touched    *object = lfirst(lo);
		SvEntry    *now = object->key.class_id == RelationRelationId ?
		read_once(RelationRelationId, object->key.object) : NULL;

		foreach(lc, now ? now->columns : NIL)
		{
			if (sv_is_hidden(((SvPart *) lfirst(lc))->name))
				return true;
		}
	}
	return false;
}

/*
 * The relations that were touched and are there: a list of OIDs, ascending.
 */
List *
sv_contract_touched_relations(void)
{
	List	   *relations = NIL;
	ListCell   *lo;

	foreach(lo, touched_objects())
	{
		TouchedKey *key = &((Touched *) lfirst(lo))->key;

		if (key->class_id == RelationRelationId &&
			get_rel_relkind(key->object) != '\0')
			relations = lappend_oid(relations, key->object);
	}
	list_sort(relations, list_oid_cmp);
	return relations;
}

/*
 * The touched entries of one release, a list of SvEntry.
 */
List *
sv_contract_touched_entries(SvRelease *release)
{
	return touched_entries(list_make1(release));
}

/*
 * Linking entries to the catalogs again
 */

/* take over where a part is now; true if that is news */
static bool
relink_part(SvPart *then, const SvPart *now, char *expression)
{
	bool		news = strcmp(then->physical_name, now->name) != 0 ||
		then->number != now->number || then->object != now->object ||
		!same_text(then->expression, expression);

	then->physical_name = now->name;
	then->number = now->number;
	then->object = now->object;
	then->expression = expression;
	return news;
}

/* what was dropped by hand is linked to nothing; true if that is news */
static bool
lose_part(SvPart *then)
{
	bool		news = then->number != 0 || OidIsValid(then->object);

	then->number = 0;
	then->object = InvalidOid;
	return news;
}

/*
 * Remember the default of a column that is about to be changed: in text it
 * would not follow what else the script renames.
 */
void
sv_contract_remember_default(Oid attrdef)
{
	MemoryContext context;
	LostDefault *lost;
	ListCell   *lc;

	if (!collecting || !OidIsValid(attrdef))
		return;
	foreach(lc, lost_defaults)
	{
		if (((LostDefault *) lfirst(lc))->attrdef == attrdef)
			return;
	}
	context = MemoryContextSwitchTo(collection);
	lost = palloc0(sizeof(LostDefault));
	lost->attrdef = attrdef;
	(void) default_text(attrdef, &lost->expression);
	if (lost->expression)
		lost_defaults = lappend(lost_defaults, lost);
	MemoryContextSwitchTo(context);
}

/*
 * The text of an expression over a relation's row (Vars of varno 1), as the
 * columns are called now.  What the search path finds is not qualified: see
 * sv_contract_enter().
 */
char *
sv_contract_expression_text(Node *expression, Oid relation)
{
	return deparse_expression(expression,
							  deparse_context_for(get_rel_name(relation),
												  relation),
							  false, false);
}

/* a remembered default in today's names, or the text as it was */
static char *
lost_default(const SvPart *then, Oid relation)
{
	ListCell   *lc;

	foreach(lc, OidIsValid(then->object) ? lost_defaults : NIL)
	{
		LostDefault *lost = lfirst(lc);

		if (lost->attrdef == then->object)
			return sv_contract_expression_text(lost->expression, relation);
	}
	return then->expression;
}

/* a default that the base has changed is kept as text, without a link */
static bool
relink_column(SvPart *then, SvPart *now, Oid relation)
{
	SvPart		link = *now;

	if (same_default(then, now))
		return relink_part(then, now, now_default(now));
	link.object = InvalidOid;
	return relink_part(then, &link, lost_default(then, relation));
}

/*
 * A unique constraint that stands where a version had a primary key is another
 * one, which the script has made: where ours is one for now it is the same.
 */
static void
note_replacing_key(const SvPart *then, const SvPart *now)
{
	MemoryContext context;

	if (!collecting || then->flavour != CONSTRAINT_PRIMARY ||
		now->flavour != CONSTRAINT_UNIQUE || !OidIsValid(then->object) ||
		then->object == now->object)
		return;
	context = MemoryContextSwitchTo(collection);
	replacing_keys = list_append_unique_oid(replacing_keys, now->object);
	MemoryContextSwitchTo(context);
}

/* some stand for one over columns that others have taken the place of */
static bool
relink_constraint(SvPart *then, SvPart *now, bool by_name)
{
	bool		news;

	note_replacing_key(then, now);
	news = relink_part(then, now, now_constraint(now));
	if (!equal(then->columns, now->columns) &&
		(by_name || strchr("cf", then->flavour) == NULL))
	{
		then->columns = now->columns;
		news = true;
	}
	return news;
}

static bool
relink_parts(SvEntry *entry, SvEntry *now, bool by_name)
{
	bool		news = false;
	ListCell   *lc;
	SvPart	   *found;

	foreach(lc, entry->columns)
	{
		SvPart	   *then = lfirst(lc);

		found = by_name ? part_by_name(now->columns, then->physical_name) :
			sv_contract_find_column(entry, then, now);
		news |= found ? relink_column(then, found, now->physical) :
			lose_part(then);
	}
	foreach(lc, entry->constraints)
	{
		SvPart	   *then = lfirst(lc);

		found = by_name ? part_by_name(now->constraints, then->physical_name) :
			find_constraint(entry, then, now);
		news |= found ? relink_constraint(then, found, by_name) :
			lose_part(then);
	}
	foreach(lc, entry->triggers)
	{
		SvPart	   *then = lfirst(lc);

		found = by_name ? part_by_name(now->triggers, then->physical_name) :
			find_trigger(then, now);
		news |= found ? relink_part(then, found, then->expression) :
			lose_part(then);
	}
	foreach(lc, entry->labels)
	{
		SvPart	   *then = lfirst(lc);

		found = by_name ? part_by_name(now->labels, then->physical_name) :
			find_label(then, now);
		if (found)
			news |= relink_part(then, found, NULL);
	}
	return news;
}

/* has anything that an entry speaks of got another name? */
static bool
is_renamed(const SvEntry *entry, const SvEntry *now)
{
	ListCell   *lc;

	if (entry->physical != now->physical ||
		strcmp(entry->physical_name, now->name) != 0 ||
		strcmp(entry->physical_schema, now->schema) != 0)
		return true;
	foreach(lc, entry->columns)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *found = sv_contract_find_column(entry, then, now);

		if (found && strcmp(then->physical_name, found->name) != 0)
			return true;
	}
	return false;
}

/*
 * Does a constraint's text say that it is NOT VALID?  NULL does not.
 */
bool
sv_contract_is_not_valid(const char *text)
{
	static const char mark[] = " NOT VALID";
	size_t		length = text ? strlen(text) : 0;

	return length >= sizeof(mark) - 1 &&
		strcmp(text + length - (sizeof(mark) - 1), mark) == 0;
}

static void
adopt_texts(List *then_parts, List *now_parts)
{
	ListCell   *lc;

	foreach(lc, now_parts)
	{
		SvPart	   *now = lfirst(lc);
		SvPart	   *then = OidIsValid(now->object) ?
		part_by_object(then_parts, now->object) : NULL;

		if (then && now->expression == NULL &&
			!sv_contract_is_not_valid(then->expression))
			now->expression = then->expression;
	}
}

/*
 * Texts of defaults and constraints are costly to make.  Where nothing at all
 * was renamed, those of the same objects are still right, unless a constraint
 * was validated.
 */
static void
spare_texts(List *entries)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		SvEntry    *entry = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(entry);

		if (now && is_renamed(entry, now))
			return;
	}
	foreach(lc, entries)
	{
		SvEntry    *entry = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(entry);

		if (now == NULL)
			continue;
		adopt_texts(entry->columns, now->columns);
		adopt_texts(entry->constraints, now->constraints);
	}
}

/*
 * Write down where the touched entries of some releases are now: physical
 * names, OIDs and numbers.  by_name finds them by the names that were written
 * down last, in a restored database where no OID holds.
 */
void
sv_contract_relink(List *releases, bool by_name)
{
	List	   *entries = touched_entries(releases);
	ListCell   *lc;

	if (!by_name)
		spare_texts(entries);
	foreach(lc, entries)
	{
		SvEntry    *entry = lfirst(lc);
		SvEntry    *now = by_name ? find_by_name(entry) :
		sv_contract_resolve(entry);
		bool		news;

		if (now == NULL)
		{
			/* gone for good: no link, so that it is judged only once */
			if (OidIsValid(entry->physical))
			{
				entry->physical = InvalidOid;
				sv_catalog_relink_entry(entry);
			}
			continue;
		}
		news = relink_parts(entry, now, by_name);
		if (news || entry->physical != now->physical ||
			strcmp(entry->physical_name, now->name) != 0 ||
			strcmp(entry->physical_schema, now->schema) != 0)
		{
			entry->physical = now->physical;
			entry->physical_name = now->name;
			entry->physical_schema = now->schema;
			sv_catalog_relink_entry(entry);
		}
	}
}

/*
 * Taking the contract of a new version
 */

static bool
same_parts(List *then, List *now)
{
	ListCell   *lt;
	ListCell   *ln;

	if (list_length(then) != list_length(now))
		return false;
	forboth(lt, then, ln, now)
	{
		SvPart	   *a = lfirst(lt);
		SvPart	   *b = lfirst(ln);

		if (strcmp(a->name, b->name) != 0 || a->object != b->object ||
			a->number != b->number || a->notnull != b->notnull ||
			a->identity != b->identity || a->generated != b->generated ||
			(a->kind == SV_PART_COLUMN && !same_text(a->type, b->type)))
			return false;

		/* a constraint that is away for now is but its text */
		if (a->kind == SV_PART_CONSTRAINT && !OidIsValid(a->object) &&
			!same_text(a->type, b->type))
			return false;

		/* a primary key that the script has made a unique one of that name */
		if (a->kind == SV_PART_CONSTRAINT && a->flavour != b->flavour &&
			list_member_oid(replacing_keys, b->object))
			return false;

		/* a default that was dropped has no object on either side */
		if (a->kind == SV_PART_COLUMN && !same_default(a, b))
			return false;
	}
	return true;
}

/* does an entry of an older contract say the same as one just read? */
static bool
same_entry(const SvEntry *then, SvEntry *now)
{
	if (then->kind != now->kind || then->physical != now->physical ||
		strcmp(then->schema, now->schema) != 0 ||
		strcmp(then->name, now->name) != 0 ||
		strcmp(then->args, now->args) != 0 ||
		then->rowsecurity != now->rowsecurity ||
		!same_parts(then->columns, now->columns) ||
		!same_parts(then->constraints, now->constraints) ||
		!same_parts(then->triggers, now->triggers) ||
		!same_parts(then->labels, now->labels))
		return false;
	return then->definition == NULL ||
		same_text(then->definition, definition_text(now));
}

/* parts of that list that are not hidden, in new positions */
static List *
visible_parts(List *parts)
{
	List	   *visible = NIL;
	ListCell   *lc;

	foreach(lc, parts)
	{
		SvPart	   *part = lfirst(lc);

		if (sv_is_hidden(part->name))
			continue;
		if (part->position != list_length(visible) + 1)
		{
			SvPart	   *copy = palloc(sizeof(SvPart));

			*copy = *part;
			copy->position = list_length(visible) + 1;
			part = copy;
		}
		visible = lappend(visible, part);
	}
	return visible;
}

/*
 * Constraints without those that stay on a hidden column, or refer to one,
 * until jobs have made the same on the one that has replaced it.
 */
static List *
visible_constraints(const SvEntry *now)
{
	List	   *constraints = NIL;
	ListCell   *lc;

	foreach(lc, now->constraints)
	{
		SvPart	   *constraint = lfirst(lc);

		if (!has_hidden_column(now, constraint->columns) &&
			!refers_to_hidden(constraint))
			constraints = lappend(constraints, constraint);
	}
	return visible_parts(constraints);
}

/* an object as a new version expects it: without what is retained in it */
static SvEntry *
visible_entry(const SvEntry *now)
{
	SvEntry    *entry = palloc(sizeof(SvEntry));

	*entry = *now;
	entry->columns = visible_parts(now->columns);
	entry->constraints = visible_constraints(now);
	entry->triggers = visible_parts(now->triggers);
	return entry;
}

/* is a constraint over columns of the same names as one was before? */
static bool
has_same_columns(const SvEntry *then, const SvPart *known, const SvEntry *now,
				 const SvPart *part)
{
	ListCell   *lt;
	ListCell   *ln;

	if (list_length(known->columns) != list_length(part->columns))
		return false;
	forboth(lt, known->columns, ln, part->columns)
	{
		SvPart	   *old_column = sv_contract_column_at(then, lfirst_int(lt));
		SvPart	   *column = sv_contract_column_at(now, lfirst_int(ln));

		if (old_column == NULL || column == NULL ||
			strcmp(old_column->name, column->name) != 0)
			return false;
	}
	return true;
}

/*
 * The key that a unique constraint was: the same object, or one of that name
 * whose columns have been replaced by others when their types were changed.
 */
static SvPart *
former_key(const SvEntry *then, const SvEntry *now, const SvPart *part)
{
	SvPart	   *known = part_by_object(then->constraints, part->object);

	if (known)
		return known;
	known = part_by_name(then->constraints, part->name);
	return known && !equal(known->columns, part->columns) &&
		has_same_columns(then, known, now, part) ? known : NULL;
}

/*
 * A primary key that has to be a unique constraint, for as long as older
 * versions may leave its columns NULL, is a primary key all the same, unless
 * another one has taken its place, or the script has made it a unique one.
 */
static void
keep_primary_key(const SvEntry *then, SvEntry *now)
{
	ListCell   *lc;

	foreach(lc, now->constraints)
	{
		if (((SvPart *) lfirst(lc))->flavour == CONSTRAINT_PRIMARY)
			return;
	}
	foreach(lc, now->constraints)
	{
		SvPart	   *part = lfirst(lc);
		SvPart	   *known = part->flavour == CONSTRAINT_UNIQUE ?
		former_key(then, now, part) : NULL;

		if (known && known->flavour == CONSTRAINT_PRIMARY &&
			!list_member_oid(replacing_keys, part->object))
		{
			lfirst(lc) = memcpy(palloc(sizeof(SvPart)), part, sizeof(SvPart));
			((SvPart *) lfirst(lc))->flavour = CONSTRAINT_PRIMARY;
		}
	}
}

/*
 * The script wants a column to be generated ALWAYS ('a') or not ('d'), whatever
 * the catalogs say for now.
 */
void
sv_contract_tell_identity(Oid relation, AttrNumber number, char identity)
{
	MemoryContext context;
	ToldIdentity *told;

	if (!collecting)
		return;
	context = MemoryContextSwitchTo(collection);
	told = palloc(sizeof(ToldIdentity));
	told->relation = relation;
	told->number = number;
	told->identity = identity;
	told_identities = lcons(told, told_identities);
	MemoryContextSwitchTo(context);
}

/* shall a column be generated ALWAYS? "then" is the version before, or NULL */
static bool
is_always(const SvEntry *then, Oid relation, AttrNumber number)
{
	SvPart	   *known = sv_contract_column_at(then, number);
	char		told = told_identity(relation, number);

	return told ? told == 'a' : known && known->identity == 'a';
}

/*
 * An identity that has to be BY DEFAULT, for as long as older versions may
 * write values of their own, is ALWAYS all the same.
 */
static void
keep_always(const SvEntry *then, SvEntry *now)
{
	ListCell   *lc;

	if (!sv_contract_is_table(now->kind))
		return;
	foreach(lc, now->columns)
	{
		SvPart	   *part = lfirst(lc);

		if (part->identity == 'd' &&
			is_always(then, now->physical, part->number))
		{
			lfirst(lc) = memcpy(palloc(sizeof(SvPart)), part, sizeof(SvPart));
			((SvPart *) lfirst(lc))->identity = 'a';
		}
	}
}

/*
 * What the table has lost for the sake of other versions is in the new
 * contract all the same; in the order in which it would be read.
 */
static void
keep_lost(const SvProduct *product, const SvEntry *then, SvEntry *now)
{
	List	   *lost = sv_contract_lost_hook(product, then, now);
	ListCell   *ll;
	ListCell   *lc;

	foreach(ll, lost)
	{
		SvPart	   *part = lfirst(ll);
		int			place = 0;

		foreach(lc, now->constraints)
		{
			SvPart	   *other = lfirst(lc);

			if (other->flavour != 'i' && strcmp(other->name, part->name) < 0)
				place++;
		}
		now->constraints = list_insert_nth(now->constraints, place, part);
	}
	foreach(lc, lost ? now->constraints : NIL)
	{
		lfirst(lc) = memcpy(palloc(sizeof(SvPart)), lfirst(lc),
							sizeof(SvPart));
		((SvPart *) lfirst(lc))->position = foreach_current_index(lc) + 1;
	}
}

/* the entry of an object in the new contract: the old one, a new one, or 0 */
static int32
advance_object(const SvProduct *product, const SvRelease *from,
			   Oid class_id, Oid object)
{
	SvEntry    *now = read_once(class_id, object);
	ListCell   *lc;

	if (now == NULL || !sv_catalog_is_base_schema(product, now->schema) ||
		sv_is_hidden(now->name) ||
		OidIsValid(getExtensionOfObject(class_id, object)))
		return 0;
	now = visible_entry(now);
	foreach(lc, from ? sv_catalog_entries_on(object) : NIL)
	{
		int32		id = lfirst_int(lc);

		if (!sv_catalog_has_entry(from, id))
			continue;
		keep_always(load_entry(id)->entry, now);
		keep_lost(product, load_entry(id)->entry, now);
		if (same_entry(load_entry(id)->entry, now))
			return id;
		keep_primary_key(load_entry(id)->entry, now);
	}
	complete_entry(now);
	sv_catalog_store_entry(product, now);
	return now->id;
}

static List *
advance_all(const SvProduct *product, const SvRelease *from)
{
	static const Oid classes[] = {RelationRelationId, TypeRelationId,
	ProcedureRelationId};
	List	   *ids = NIL;
	ListCell   *lc;
	ListCell   *lo;

	foreach(lc, product->schemas)
	{
		Oid			schema = get_namespace_oid(lfirst(lc), true);

		for (int i = 0; OidIsValid(schema) && i < (int) lengthof(classes); i++)
		{
			foreach(lo, sv_catalog_objects_of_schema(schema, classes[i]))
			{
				int32		id = advance_object(product, from, classes[i],
												lfirst_oid(lo));

				if (id)
					ids = lappend_int(ids, id);
			}
		}
	}
	return ids;
}

/* relations first, then in the order in which they were made */
static int
compare_touched(const ListCell *a, const ListCell *b)
{
	const TouchedKey *first = &((Touched *) lfirst(a))->key;
	const TouchedKey *second = &((Touched *) lfirst(b))->key;

	if (first->class_id != second->class_id)
		return first->class_id > second->class_id ? -1 : 1;
	return first->object < second->object ? -1 : first->object > second->object;
}

/* in a fixed order, so that messages do not depend on that of a hash table */
static List *
touched_objects(void)
{
	HASH_SEQ_STATUS status;
	Touched    *object;
	List	   *objects = NIL;

	hash_seq_init(&status, touched);
	while ((object = hash_seq_search(&status)) != NULL)
		objects = lappend(objects, object);
	list_sort(objects, compare_touched);
	return objects;
}

/* has anything that a version has another name now, or is it gone? */
static bool
is_called_otherwise(const SvEntry *entry, const SvEntry *now)
{
	ListCell   *lc;

	if (now == NULL || strcmp(entry->name, now->name) != 0 ||
		strcmp(entry->schema, now->schema) != 0)
		return true;
	foreach(lc, entry->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *found = sv_contract_column_at(now, column->number);

		if (found == NULL || strcmp(column->name, found->name) != 0)
			return true;
	}
	return false;
}

static bool
any_called_otherwise(const SvRelease *from)
{
	ListCell   *lo;
	ListCell   *lc;

	foreach(lo, touched_objects())
	{
		Touched    *object = lfirst(lo);
		SvEntry    *now = object->key.class_id == RelationRelationId ?
		read_once(object->key.class_id, object->key.object) : NULL;

		foreach(lc, object->key.class_id == RelationRelationId ?
				entry_ids_on(object) : NIL)
		{
			if (sv_catalog_has_entry(from, lfirst_int(lc)) &&
				is_called_otherwise(load_entry(lfirst_int(lc))->entry, now))
				return true;
		}
	}
	return false;
}

/*
 * Foreign keys that a version has and the catalogs have not are but texts:
 * those that may speak of what is called otherwise now are to be written anew.
 */
static void
touch_lost(const SvRelease *from)
{
	if (!any_called_otherwise(from))
		return;
	for (int i = 0; i < from->nentries; i++)
	{
		SvEntry    *entry = load_entry(from->entries[i])->entry;
		ListCell   *lc;

		foreach(lc, sv_contract_is_table(entry->kind) ?
				entry->constraints : NIL)
		{
			SvPart	   *part = lfirst(lc);

			if (part->flavour == CONSTRAINT_FOREIGN &&
				!OidIsValid(part->object))
				sv_contract_touch(RelationRelationId, entry->physical);
		}
	}
}

static List *
advance_touched(const SvProduct *product, const SvRelease *from)
{
	List	   *ids = NIL;
	ListCell   *lo;

	for (int i = 0; i < from->nentries; i++)
		ids = lappend_int(ids, from->entries[i]);
	touch_lost(from);
	foreach(lo, touched_objects())
	{
		Touched    *object = lfirst(lo);
		int32		id;
		ListCell   *lc;

		foreach(lc, entry_ids_on(object))
			ids = list_delete_int(ids, lfirst_int(lc));
		id = advance_object(product, from, object->key.class_id,
							object->key.object);
		if (id)
			ids = lappend_int(ids, id);
		object->is_searched = false;
	}
	return ids;
}

/*
 * Take the contract of the version that the base schemas are at now, given
 * the one before and what was touched since.  Returns the ids of its
 * entries, ascending; stores those that are new.
 */
int32 *
sv_contract_advance(const SvProduct *product, const SvRelease *from,
					int *nentries)
{
	List	   *ids = from == NULL || touched_all ?
	advance_all(product, from) : advance_touched(product, from);
	int32	   *entries = palloc(sizeof(int32) * Max(list_length(ids), 1));
	int			n = 0;
	ListCell   *lc;

	list_sort(ids, list_int_cmp);
	foreach(lc, ids)
		entries[n++] = lfirst_int(lc);
	*nentries = n;
	return entries;
}

/*
 * Completing the contract of a version whose jobs are done
 */

static bool
knows_columns(const SvEntry *entry, List *numbers)
{
	ListCell   *lc;

	foreach(lc, numbers)
	{
		if (lfirst_int(lc) != 0 &&
			sv_contract_column_at(entry, lfirst_int(lc)) == NULL)
			return false;
	}
	return true;
}

/* a column that is NOT NULL or an identity now; true if that is news */
static bool
complete_column(SvPart *column, SvPart *now)
{
	bool		news = column->notnull != now->notnull ||
	column->identity != now->identity;

	column->notnull = now->notnull;
	if (column->identity != now->identity)
	{
		column->identity = now->identity;
		column->object = now->object;
		column->expression = now_default(now);
	}
	return news;
}

/* copies of constraints, told from then on to be valid if they are by now */
static List *
complete_constraints(List *constraints, const SvEntry *now, bool *news)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, constraints)
	{
		SvPart	   *part = memcpy(palloc(sizeof(SvPart)), lfirst(lc),
								  sizeof(SvPart));
		SvPart	   *found = OidIsValid(part->object) ?
		part_by_object(now->constraints, part->object) : NULL;

		if (found && part->type &&
			strlen(now_constraint(found)) < strlen(part->type) &&
			same_but_valid(part->type, now_constraint(found)))
		{
			part->type = now_constraint(found);
			*news = true;
		}
		result = lappend(result, part);
	}
	return result;
}

/*
 * The parts of an entry with what a job has made since, a constraint of that
 * name if it is one; NULL if there is nothing.  Other constraints may be those
 * of a version that the base schemas went back to.
 */
static SvEntry *
completed_entry(const SvEntry *then, const SvEntry *now, const char *name)
{
	SvEntry    *entry = memcpy(palloc(sizeof(SvEntry)), then, sizeof(SvEntry));
	bool		news = false;
	SvPart	   *made;
	SvPart	   *lost;
	ListCell   *lc;

	entry->columns = NIL;
	foreach(lc, then->columns)
	{
		SvPart	   *column = memcpy(palloc(sizeof(SvPart)), lfirst(lc),
									sizeof(SvPart));
		SvPart	   *found = sv_contract_column_at(now, column->number);

		if (found)
			news |= complete_column(column, found);
		entry->columns = lappend(entry->columns, column);
	}
	entry->constraints = complete_constraints(then->constraints, now, &news);
	made = name ? part_by_name(now->constraints, name) : NULL;
	lost = name ? part_by_name(entry->constraints, name) : NULL;
	if (made && !part_by_object(then->constraints, made->object) &&
		knows_columns(then, made->columns) &&
		(lost == NULL || !OidIsValid(lost->object)))
	{
		entry->constraints = list_delete_ptr(entry->constraints, lost);
		made = memcpy(palloc(sizeof(SvPart)), made, sizeof(SvPart));
		made->type = now_constraint(made);
		entry->constraints = lappend(entry->constraints, made);
		news = true;
	}
	foreach(lc, entry->constraints)
	{
		lfirst(lc) = memcpy(palloc(sizeof(SvPart)), lfirst(lc),
							sizeof(SvPart));
		((SvPart *) lfirst(lc))->position = foreach_current_index(lc) + 1;
	}
	return news ? entry : NULL;
}

/*
 * A job has made what a release and those after it, a list of SvRelease,
 * expect of the touched relations: NOT NULL, an identity, that constraints are
 * valid, or the constraint or unique index of that name, if it is not NULL.
 * Writes it into their contracts.
 */
void
sv_contract_complete(const SvProduct *product, List *releases,
					 const char *name)
{
	ListCell   *lo;
	ListCell   *le;
	ListCell   *lr;

	foreach(lo, touched_objects())
	{
		Touched    *object = lfirst(lo);
		SvEntry    *now = object->key.class_id == RelationRelationId ?
		read_once(object->key.class_id, object->key.object) : NULL;

		foreach(le, now ? entry_ids_on(object) : NIL)
		{
			int32		id = lfirst_int(le);
			SvEntry    *entry = sv_catalog_any_has_entry(releases, id) ?
			completed_entry(load_entry(id)->entry, visible_entry(now), name) :
				NULL;

			if (entry == NULL)
				continue;
			sv_catalog_store_entry(product, entry);
			foreach(lr, releases)
			{
				if (sv_catalog_has_entry(lfirst(lr), id))
					sv_catalog_replace_entry(lfirst(lr), id, entry->id);
			}
		}
		object->is_searched = false;
	}
}

/*
 * Compatibility views
 */

/*
 * Is that schema the version schema of a version that is not retired?
 */
bool
sv_contract_is_version_schema(Oid schema)
{
	char	   *name = get_namespace_name(schema);

	return name && sv_catalog_is_installed() &&
		sv_catalog_is_version_schema(sv_catalog_products(), name);
}

/*
 * The relation that a view in a version schema stands on, and for each of
 * the view's columns in order the number of its column there.  False if it
 * is no view.  The caller holds a lock on it.
 */
bool
sv_contract_read_view(Oid view, Oid *base, List **columns)
{
	Relation	relation;
	Query	   *query;
	ListCell   *lc;

	*base = InvalidOid;
	*columns = NIL;
	if (get_rel_relkind(view) != RELKIND_VIEW)
		return false;
	relation = relation_open(view, AccessShareLock);
	query = get_view_query(relation);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		/* a view's own OLD and NEW stand first in the range table */
		if (rte->rtekind == RTE_RELATION && rte->relid != view)
			*base = rte->relid;
	}
	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst(lc);

		*columns = lappend_int(*columns, IsA(target->expr, Var) ?
							   ((Var *) target->expr)->varattno : 0);
	}
	relation_close(relation, NoLock);
	return OidIsValid(*base);
}

/*
 * Is the relation a compatibility view?  Then what it stands on, as
 * sv_contract_read_view() tells it.
 */
bool
sv_contract_describe_view(Oid view, Oid *base, List **columns)
{
	return get_rel_relkind(view) == RELKIND_VIEW &&
		sv_contract_is_version_schema(get_rel_namespace(view)) &&
		sv_contract_read_view(view, base, columns);
}
