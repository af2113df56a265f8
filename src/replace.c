/*-------------------------------------------------------------------------
 *
 * replace.c
 *	  What a script replaces: old bodies and definitions stay for the versions
 *	  that had them.
 *
 * CREATE OR REPLACE, and ALTER FUNCTION, give an object another body under
 * the same OID, by which views, triggers, defaults and other functions know
 * it; so the new body must stand there.  What the object was before is kept
 * beside it: expand.c has everything read that a statement may replace before
 * it runs, and what a supported version needs and the statement has changed
 * is made anew from what was read, a function in the schema of the newest
 * version that had it, a view in the schema of retained relations.  The
 * contracts are then linked to that.  Triggers call the new body, but for those
 * that only older versions still have.
 *
 * All of it is copied as the catalogs have it: nothing is parsed, so that
 * nothing can run or come to mean something else.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/readfuncs.h"
#include "parser/parser.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteSupport.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* a rule of a view, _RETURN included */
typedef struct OldRule
{
	char	   *name;
	CmdType		event;
	bool		instead;
	Node	   *condition;		/* or NULL */
	List	   *actions;		/* of Query */
} OldRule;

/* a view as it was */
typedef struct OldView
{
	Oid			view;
	TupleDesc	columns;		/* with defaults */
	List	   *rules;			/* of OldRule */
	Datum		options;		/* reloptions, 0 for none */
} OldView;

/* something that a statement may replace; one of both is NULL */
typedef struct Watched
{
	SvFunction *function;
	OldView    *view;
} Watched;

/*
 * What is to be watched
 */

static bool
is_needed(Oid object, List *releases)
{
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, sv_catalog_entries_on(object))
	{
		foreach(lr, releases)
		{
			if (sv_catalog_has_entry(lfirst(lr), lfirst_int(lc)))
				return true;
		}
	}
	return false;
}

/* needed functions of that name: which one is meant is for the server to say */
static List *
watch_functions(List *name, List *releases)
{
	CatCList   *list = SearchSysCacheList1(PROCNAMEARGSNSP,
										   CStringGetDatum(strVal(llast(name))));
	List	   *watched = NIL;

	for (int i = 0; i < list->n_members; i++)
	{
		Oid			oid =
		((Form_pg_proc) GETSTRUCT(&list->members[i]->tuple))->oid;
		SvFunction *function = is_needed(oid, releases) ?
		sv_standin_read_function(oid) : NULL;
		Watched    *entry;

		if (function == NULL)
			continue;
		entry = palloc0(sizeof(Watched));
		entry->function = function;
		watched = lappend(watched, entry);
	}
	ReleaseSysCacheList(list);
	return watched;
}

static Node *
read_tree(HeapTuple tuple, AttrNumber column, TupleDesc desc)
{
	bool		isnull;
	Datum		tree = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(tree));
}

static List *
read_rules(Oid view)
{
	Relation	catalog = table_open(RewriteRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *rules = NIL;

	ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(view));
	scan = systable_beginscan(catalog, RewriteRelRulenameIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_rewrite form = (Form_pg_rewrite) GETSTRUCT(tuple);
		OldRule    *rule = palloc(sizeof(OldRule));

		rule->name = pstrdup(NameStr(form->rulename));
		rule->event = form->ev_type - '0';
		rule->instead = form->is_instead;
		rule->condition = read_tree(tuple, Anum_pg_rewrite_ev_qual, desc);
		rule->actions = (List *) read_tree(tuple, Anum_pg_rewrite_ev_action,
										   desc);
		rules = lappend(rules, rule);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return rules;
}

static OldView *
read_view(Oid view)
{
	OldView    *result = palloc(sizeof(OldView));
	Relation	relation = relation_open(view, AccessShareLock);

	result->view = view;
	result->columns = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	relation_close(relation, NoLock);
	result->rules = read_rules(view);
	result->options = sv_catalog_relation_options(view);
	return result;
}

static List *
watch_view(const RangeVar *range, List *releases)
{
	Oid			view = RangeVarGetRelid(range, NoLock, true);
	Watched    *entry;

	if (!OidIsValid(view) || get_rel_relkind(view) != RELKIND_VIEW ||
		!is_needed(view, releases))
		return NIL;

	/* the statement takes the same lock in a moment, or fails */
	LockRelationOid(view, AccessShareLock);
	entry = palloc0(sizeof(Watched));
	entry->view = read_view(view);
	return list_make1(entry);
}

/*
 * Read what a statement may replace, as far as one of the releases needs it.
 * Returns what sv_replace_keep() wants after the statement, NIL if nothing.
 */
List *
sv_replace_watch(Node *statement, List *releases)
{
	switch (nodeTag(statement))
	{
		case T_CreateFunctionStmt:
			return ((CreateFunctionStmt *) statement)->replace ?
				watch_functions(((CreateFunctionStmt *) statement)->funcname,
								releases) : NIL;
		case T_AlterFunctionStmt:
			return watch_functions(((AlterFunctionStmt *) statement)->func->objname,
								   releases);
		case T_DefineStmt:
			return ((DefineStmt *) statement)->kind == OBJECT_AGGREGATE &&
				((DefineStmt *) statement)->replace ?
				watch_functions(((DefineStmt *) statement)->defnames,
								releases) : NIL;
		case T_ViewStmt:
			return ((ViewStmt *) statement)->replace ?
				watch_view(((ViewStmt *) statement)->view, releases) : NIL;
		default:
			return NIL;
	}
}

/*
 * Keeping views
 */

static bool
same_options(Datum a, Datum b)
{
	if (a == (Datum) 0 || b == (Datum) 0)
		return a == b;
	return datumIsEqual(a, b, false, -1);
}

static OldRule *
find_rule(List *rules, const char *name)
{
	ListCell   *lc;

	foreach(lc, rules)
	{
		if (strcmp(((OldRule *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/* does a view show the same in the same way?  It may show more. */
static bool
same_view(const OldView *then, const OldView *now)
{
	OldRule    *old_rule = find_rule(then->rules, ViewSelectRuleName);
	OldRule    *new_rule = find_rule(now->rules, ViewSelectRuleName);

	return then->columns->natts == now->columns->natts &&
		same_options(then->options, now->options) &&
		equal(old_rule->actions, new_rule->actions);
}

/* what a tree is to have in place of what */
typedef struct Exchange
{
	Oid			from;
	Oid			to;
} Exchange;

static bool
exchange_relation(Node *node, Exchange *exchange)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *entry = (RangeTblEntry *) node;

		if (entry->rtekind == RTE_RELATION && entry->relid == exchange->from)
			entry->relid = exchange->to;
		return false;
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		return query_tree_walker(query, exchange_relation, exchange,
								 QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, exchange_relation, exchange);
}

/* the stored tree has the names that the columns had when it was made */
static void
name_columns(Query *query, TupleDesc columns)
{
	ListCell   *lc;
	int			i = 0;

	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst(lc);

		if (!target->resjunk)
			target->resname =
				pstrdup(NameStr(TupleDescAttr(columns, i++)->attname));
	}
}

static Oid
make_relation(const OldView *old, const char *name)
{
	CreateStmt *statement = makeNode(CreateStmt);
	ObjectAddress address;

	for (int i = 0; i < old->columns->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(old->columns, i);

		statement->tableElts =
			lappend(statement->tableElts,
					makeColumnDef(NameStr(attribute->attname),
								  attribute->atttypid, attribute->atttypmod,
								  attribute->attcollation));
	}
	statement->relation = makeRangeVar(SV_RETAINED_SCHEMA, pstrdup(name), -1);
	statement->options = untransformRelOptions(old->options);
	statement->oncommit = ONCOMMIT_NOOP;
	address = DefineRelation(statement, RELKIND_VIEW, InvalidOid, NULL, NULL);
	CommandCounterIncrement();
	return address.objectId;
}

static void
copy_rules(const OldView *old, Oid view)
{
	Exchange	exchange = {old->view, view};
	ListCell   *lc;

	foreach(lc, old->rules)
	{
		OldRule    *rule = lfirst(lc);
		ListCell   *la;

		foreach(la, rule->actions)
			(void) exchange_relation(lfirst(la), &exchange);
		if (rule->event == CMD_SELECT)
			name_columns(linitial(rule->actions), old->columns);
		(void) DefineQueryRewrite(rule->name, view, rule->condition,
								  rule->event, rule->instead, false,
								  rule->actions);
		CommandCounterIncrement();
	}
}

static void
copy_defaults(const OldView *old, Oid view)
{
	TupleConstr *constraints = old->columns->constr;
	Relation	relation;

	if (constraints == NULL || constraints->num_defval == 0)
		return;
	relation = relation_open(view, AccessExclusiveLock);
	for (int i = 0; i < constraints->num_defval; i++)
		(void) StoreAttrDefault(relation, constraints->defval[i].adnum,
								stringToNode(constraints->defval[i].adbin),
								true, false);
	relation_close(relation, NoLock);
	CommandCounterIncrement();
}

/* INSTEAD OF triggers, which have no conditions */
static void
copy_triggers(const OldView *old, Oid view)
{
	Relation	relation = relation_open(old->view, AccessShareLock);
	TriggerDesc *triggers = relation->trigdesc ?
	CopyTriggerDesc(relation->trigdesc) : NULL;

	relation_close(relation, NoLock);
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		Datum		result = DirectFunctionCall1(pg_get_triggerdef,
										   ObjectIdGetDatum(trigger->tgoid));
		char	   *definition = TextDatumGetCString(result);
		RawStmt    *raw = linitial_node(RawStmt,
										raw_parser(definition,
												   RAW_PARSE_DEFAULT));

		(void) CreateTrigger(castNode(CreateTrigStmt, raw->stmt), definition,
							 view, InvalidOid, InvalidOid, InvalidOid,
							 trigger->tgfoid, InvalidOid, NULL, false, false);
		CommandCounterIncrement();
	}
}

static void
copy_rights(const OldView *old, Oid view)
{
	HeapTuple	from = SearchSysCacheCopy1(RELOID,
										   ObjectIdGetDatum(old->view));
	Oid			owner = ((Form_pg_class) GETSTRUCT(from))->relowner;
	ObjectAddress address;

	ATExecChangeOwner(view, owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
	ObjectAddressSet(address, RelationRelationId, view);
	sv_standin_copy_acl(RelationRelationId, from,
						SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(view)),
						Anum_pg_class_relacl, &address, owner);
	for (int i = 1; i <= old->columns->natts; i++)
	{
		address.objectSubId = i;
		sv_standin_copy_acl(AttributeRelationId,
							SearchSysCacheCopy2(ATTNUM,
												ObjectIdGetDatum(old->view),
												Int16GetDatum(i)),
							SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(view),
												Int16GetDatum(i)),
							Anum_pg_attribute_attacl, &address, owner);
	}
}

/* the view, its rules and its triggers stand in nobody's way */
static void
soften(const OldView *old, Oid view)
{
	List	   *parts = list_make1(sv_catalog_address(RelationRelationId,
														view, 0));
	Relation	relation = relation_open(view, AccessShareLock);
	TriggerDesc *triggers = relation->trigdesc;
	ListCell   *lc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
		parts = lappend(parts,
						sv_catalog_address(TriggerRelationId,
										   triggers->triggers[i].tgoid, 0));
	relation_close(relation, NoLock);
	foreach(lc, old->rules)
	{
		OldRule    *rule = lfirst(lc);

		parts = lappend(parts,
						sv_catalog_address(RewriteRelationId,
										   get_rewrite_oid(view, rule->name,
														   false), 0));
	}
	sv_retain_soften(parts);
}

/* make a view as it was; returns its OID */
static Oid
keep_view(const OldView *old)
{
	SvIdentity	identity;
	Oid			view;

	sv_catalog_become_owner(&identity);
	view = make_relation(old, sv_retain_free_name(get_rel_name(old->view)));
	copy_rules(old, view);
	copy_defaults(old, view);
	copy_triggers(old, view);
	copy_rights(old, view);
	soften(old, view);
	sv_catalog_become_caller(&identity);
	return view;
}

/*
 * Keeping what was replaced
 */

static SvPutAway *
note(Oid class_id, Oid object, Oid schema, const char *name)
{
	SvPutAway  *put_away = palloc(sizeof(SvPutAway));

	put_away->class_id = class_id;
	put_away->object = object;
	put_away->schema = schema;
	put_away->name = pstrdup(name);
	return put_away;
}

/* what a release calls an object, NULL if it does not know it */
static SvEntry *
entry_of(const SvRelease *release, Oid object)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(object))
	{
		SvEntry    *entry = sv_catalog_has_entry(release, lfirst_int(lc)) ?
		sv_catalog_entry_alone(lfirst_int(lc)) : NULL;

		if (entry && entry->kind == SV_ENTRY_FUNCTION)
			return entry;
	}
	return NULL;
}

/* keep what a function was, and link the contracts to that */
static SvPutAway *
keep_function(const SvFunction *old, const SvProduct *product,
			  const SvRelease *from)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(old->proc);
	const char *name = NameStr(form->proname);
	const char *schema_name = get_namespace_name(form->pronamespace);
	SvEntry    *entry;
	SvIdentity	identity;
	Oid			schema;
	Oid			kept;

	/* the script may have renamed it before */
	entry = entry_of(from, old->oid);
	if (entry)
	{
		name = entry->name;
		schema_name = entry->schema;
	}
	schema = sv_compat_schema_for(product, from, schema_name);
	if (!OidIsValid(schema))
		return NULL;
	sv_catalog_become_owner(&identity);
	kept = sv_standin_make_function(old, name, schema);
	if (sv_standin_is_trigger(old))
		sv_retain_retarget_triggers(old->oid, kept);
	sv_catalog_become_caller(&identity);
	sv_contract_move(ProcedureRelationId, old->oid, kept);
	return note(ProcedureRelationId, kept, form->pronamespace,
				NameStr(form->proname));
}

static SvPutAway *
keep_linked_view(const OldView *old)
{
	Oid			kept = keep_view(old);

	sv_contract_move(RelationRelationId, old->view, kept);
	return note(RelationRelationId, kept, get_rel_namespace(old->view),
				get_rel_name(old->view));
}

/* what stands on other views is to stand on what was kept of these */
static void
exchange_views(OldView *old, List *exchanges)
{
	ListCell   *le;
	ListCell   *lr;

	foreach(le, exchanges)
	{
		foreach(lr, old->rules)
		{
			OldRule    *rule = lfirst(lr);

			(void) exchange_relation((Node *) rule->actions, lfirst(le));
			(void) exchange_relation(rule->condition, lfirst(le));
		}
	}
}

/*
 * Views, a list of OIDs, are about to show something else: keep them as they
 * are for the versions that have them, the lowest first, so that each stands
 * on what was kept of the others.
 */
void
sv_replace_keep_views(List *views)
{
	List	   *exchanges = NIL;
	ListCell   *lc;

	foreach(lc, views)
	{
		Exchange   *exchange = palloc(sizeof(Exchange));
		OldView    *old;

		if (sv_catalog_entries_on(lfirst_oid(lc)) == NIL)
			continue;
		old = read_view(lfirst_oid(lc));
		exchange_views(old, exchanges);
		exchange->from = lfirst_oid(lc);
		exchange->to = keep_linked_view(old)->object;
		exchanges = lappend(exchanges, exchange);
	}
}

/* has the statement changed what was read before it? */
static bool
is_replaced(const Watched *watched)
{
	SvFunction *now;

	if (watched->view)
		return get_rel_relkind(watched->view->view) == RELKIND_VIEW &&
			!same_view(watched->view, read_view(watched->view->view));
	now = sv_standin_read_function(watched->function->oid);
	return now && !sv_standin_same_function(watched->function, now);
}

/*
 * A statement has run: keep what it has replaced of what was read before it,
 * and link the contracts to that.  Returns what was kept, of SvPutAway.
 */
List *
sv_replace_keep(List *watched, const SvProduct *product,
				const SvRelease *from)
{
	List	   *kept = NIL;
	ListCell   *lc;

	if (watched != NIL)
		CommandCounterIncrement();
	foreach(lc, watched)
	{
		Watched    *entry = lfirst(lc);
		SvPutAway  *put_away;

		if (!is_replaced(entry))
			continue;
		put_away = entry->function ?
			keep_function(entry->function, product, from) :
			keep_linked_view(entry->view);
		if (put_away)
			kept = lappend(kept, put_away);
	}
	return kept;
}

/*
 * Taking back what was replaced
 */

/* may the rows of a function take on what another one is? */
static bool
can_become_function(Oid function, Oid model)
{
	SvFunction *now = sv_standin_read_function(function);
	SvFunction *then = sv_standin_read_function(model);
	Form_pg_proc a;
	Form_pg_proc b;

	if (now == NULL || then == NULL)
		return false;
	a = (Form_pg_proc) GETSTRUCT(now->proc);
	b = (Form_pg_proc) GETSTRUCT(then->proc);
	return a->prokind == b->prokind && a->prokind != PROKIND_AGGREGATE &&
		a->prorettype == b->prorettype && a->proretset == b->proretset &&
		a->proargtypes.dim1 == b->proargtypes.dim1 &&
		memcmp(a->proargtypes.values, b->proargtypes.values,
			   a->proargtypes.dim1 * sizeof(Oid)) == 0;
}

/* may a view take on the definition of another one? */
static bool
can_become_view(Oid view, Oid model)
{
	OldView    *now;
	OldView    *then;

	if (get_rel_relkind(view) != RELKIND_VIEW ||
		get_rel_relkind(model) != RELKIND_VIEW)
		return false;
	now = read_view(view);
	then = read_view(model);
	if (now->columns->natts != then->columns->natts)
		return false;
	for (int i = 0; i < now->columns->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(now->columns, i);
		Form_pg_attribute b = TupleDescAttr(then->columns, i);

		if (strcmp(NameStr(a->attname), NameStr(b->attname)) != 0 ||
			a->atttypid != b->atttypid || a->atttypmod != b->atttypmod ||
			a->attcollation != b->attcollation)
			return false;
	}
	return true;
}

/*
 * Can an object become again what was kept of it, as CREATE OR REPLACE would
 * do it, so that what depends on it stays?
 */
bool
sv_replace_can_become(Oid class_id, Oid object, Oid model)
{
	if (class_id == ProcedureRelationId)
		return can_become_function(object, model);
	return class_id == RelationRelationId && can_become_view(object, model);
}

static void
become_view(Oid view, Oid model)
{
	OldView    *then = read_view(model);
	Exchange	exchange = {model, view};
	OldRule    *rule = find_rule(then->rules, ViewSelectRuleName);
	AlterTableCmd *command = makeNode(AlterTableCmd);

	(void) exchange_relation(linitial(rule->actions), &exchange);
	name_columns(linitial(rule->actions), then->columns);
	(void) DefineQueryRewrite(rule->name, view, NULL, CMD_SELECT, true, true,
							  rule->actions);
	CommandCounterIncrement();
	command->subtype = AT_ReplaceRelOptions;
	command->def = (Node *) untransformRelOptions(then->options);
	EventTriggerInhibitCommandCollection();
	PG_TRY();
	{
		AlterTableInternal(view, list_make1(command), false);
	}
	PG_FINALLY();
	{
		EventTriggerUndoInhibitCommandCollection();
	}
	PG_END_TRY();
	CommandCounterIncrement();
}

/*
 * Let an object become again what was kept of it, which goes, and keep what
 * it is now for the release that has it.  sv_replace_can_become() has said
 * yes, and nothing depends on what was kept.
 */
void
sv_replace_become(Oid class_id, Oid object, Oid model,
				  const SvProduct *product, const SvRelease *from)
{
	ObjectAddress address;
	SvIdentity	identity;

	if (class_id == ProcedureRelationId)
		(void) keep_function(sv_standin_read_function(object), product, from);
	else
		(void) keep_linked_view(read_view(object));
	sv_catalog_become_owner(&identity);
	if (class_id == ProcedureRelationId)
	{
		sv_standin_become_function(object, sv_standin_read_function(model));
		sv_retain_retarget_triggers(model, object);
	}
	else
		become_view(object, model);
	sv_contract_move(class_id, model, object);
	ObjectAddressSet(address, class_id, model);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	sv_catalog_become_caller(&identity);
}
