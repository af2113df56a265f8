/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  Event trigger functions: judge DDL against the contracts of the live
 *	  versions.
 *
 * The guard judges results.  After a command it looks at what the command
 * has touched, directly or by CASCADE, and compares that with the contracts;
 * which words the command was written in does not matter, nor whether it ran
 * in a DO block or a function.  While apply() runs a script the same triggers
 * only tell contract.c what the script touches.
 *
 * Blocking does not race with registering: a version that the command breaks
 * has its lock taken exclusively, without waiting, until the transaction
 * ends.  Who gets it knows that no instance is live and that none will
 * register before the end; who does not get it knows that one is live.
 *
 * Before a command that will drop compatibility views along with what they
 * stand on, these are locked: sessions lock a view before its table, and who
 * does it the other way round ends in a deadlock with them.
 *
 * What passes is written into the history.  A product whose contracts come
 * from another database, through pg_dump, is left alone until it wakes, so
 * that a restore can do its work.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(schemaver_guard_ddl);
PG_FUNCTION_INFO_V1(schemaver_guard_drop);

typedef enum GuardMode
{
	GUARD_OFF,
	GUARD_WARN,
	GUARD_MIXED,
	GUARD_STRICT
} GuardMode;

static const struct config_enum_entry guard_modes[] = {
	{"off", GUARD_OFF, false},
	{"warn", GUARD_WARN, false},
	{"mixed", GUARD_MIXED, false},
	{"strict", GUARD_STRICT, false},
	{NULL, 0, false}
};

static int	guard_mode = GUARD_MIXED;

/* one object that a command has created, altered or dropped */
typedef struct Affected
{
	Oid			class_id;
	Oid			object;
	char	   *schema;			/* NULL if it stands in none */
	char	   *name;			/* of what was dropped, else NULL */
	bool		extension;		/* done by an extension's script */
	bool		named;			/* not just dropped along with another */
} Affected;

/* what an event trigger was called for */
typedef struct Event
{
	bool		drop;
	const char *command;		/* command tag */
	List	   *affected;
	List	   *products;		/* awake ones */
} Event;

static ProcessUtility_hook_type next_ProcessUtility = NULL;

static List *awake_products(void);

/* a relation that a command names, with its heirs */
static List *
named_relations(RangeVar *range)
{
	Oid			relation = RangeVarGetRelid(range, NoLock, true);

	return OidIsValid(relation) ?
		find_all_inheritors(relation, NoLock, NULL) : NIL;
}

/*
 * ALTER TABLE that drops a column takes its compatibility views along, and
 * they follow the table's owner and keep the defaults that it gives up: so
 * they are locked before the table, as sessions do.  To change a column's type
 * is what the server refuses beside any view: they give way before.  Who sets a
 * replica identity knows what it is to be.
 */
static void
prepare_alter(const AlterTableStmt *statement)
{
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype == AT_AlterColumnType)
		{
			foreach(lr, named_relations(statement->relation))
				sv_compat_drop_views_on(lfirst_oid(lr));
			continue;
		}
		if (command->subtype == AT_ReplicaIdentity)
			sv_catalog_forget_identity(RangeVarGetRelid(statement->relation,
														NoLock, true));

		/* apply() has taken its locks, and waits only shortly for more */
		if (sv_contract_collecting())
			continue;
		if (command->subtype == AT_DropColumn &&
			command->behavior == DROP_CASCADE)
			sv_compat_lock_views(InvalidOid);
		else if (command->subtype == AT_DropColumn ||
				 command->subtype == AT_ColumnDefault ||
				 command->subtype == AT_ChangeOwner)
		{
			foreach(lr, named_relations(statement->relation))
				sv_compat_lock_views(lfirst_oid(lr));
		}
	}
}

/* the same for DROP: CASCADE may reach any relation */
static void
prepare_drop(const DropStmt *statement)
{
	ListCell   *lc;
	ListCell   *lr;

	/* apply() has taken its locks, and waits only shortly for more */
	if (sv_contract_collecting())
		return;
	if (statement->behavior == DROP_CASCADE)
	{
		sv_compat_lock_views(InvalidOid);
		return;
	}
	if (statement->removeType != OBJECT_TABLE &&
		statement->removeType != OBJECT_VIEW &&
		statement->removeType != OBJECT_MATVIEW &&
		statement->removeType != OBJECT_FOREIGN_TABLE)
		return;
	foreach(lc, statement->objects)
	{
		foreach(lr, named_relations(makeRangeVarFromNameList(lfirst(lc))))
			sv_compat_lock_views(lfirst_oid(lr));
	}
}

/* does ALTER TABLE do anything that prepare_alter() is there for? */
static bool
needs_preparation(const AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		switch (lfirst_node(AlterTableCmd, lc)->subtype)
		{
			case AT_DropColumn:
			case AT_ChangeOwner:
			case AT_ColumnDefault:
			case AT_AlterColumnType:
			case AT_ReplicaIdentity:
				return true;
			default:
				break;
		}
	}
	return false;
}

/*
 * What must be done before a command takes its own locks.  What comes of the
 * command the guard or apply() judges after it.
 */
static void
prepare_command(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			if (!needs_preparation((AlterTableStmt *) statement))
				return;
			break;
		case T_DropStmt:
		case T_DropOwnedStmt:
			break;
		default:
			return;
	}
	if (creating_extension || IsBinaryUpgrade ||
		!sv_catalog_is_installed() || awake_products() == NIL)
		return;
	if (IsA(statement, AlterTableStmt))
		prepare_alter((AlterTableStmt *) statement);
	else if (IsA(statement, DropStmt))
		prepare_drop((DropStmt *) statement);
	else
		sv_compat_lock_views(InvalidOid);
}

static bool
drops_column(const AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		if (lfirst_node(AlterTableCmd, lc)->subtype == AT_DropColumn)
			return true;
	}
	return false;
}

/*
 * May a command rename or drop a column, or what a column is computed by?  If
 * the columns are those of one table, it is told.
 */
static bool
may_rename(Node *statement, RangeVar **table)
{
	RenameStmt *rename = (RenameStmt *) statement;

	*table = NULL;
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			*table = ((AlterTableStmt *) statement)->relation;
			return drops_column((AlterTableStmt *) statement);
		case T_RenameStmt:
			if (rename->renameType == OBJECT_COLUMN)
				*table = rename->relation;
			return rename->relation == NULL || *table != NULL;
		case T_AlterObjectSchemaStmt:
			return ((AlterObjectSchemaStmt *) statement)->relation == NULL;
		case T_DropStmt:
			return ((DropStmt *) statement)->behavior == DROP_CASCADE;
		case T_DropOwnedStmt:
			return true;
		default:
			return false;
	}
}

typedef struct Freezing
{
	Oid			table;
	SvSyncFrozen *frozen;
} Freezing;

static void
run_freezing(void *argument)
{
	Freezing   *freezing = argument;

	freezing->frozen = sv_sync_freeze(freezing->table);
}

/*
 * What the columns of a table are computed from, unless somebody has already
 * seen to it that this cannot be told: it may be what the command mends.
 */
static SvSyncFrozen *
freeze_table(Oid table)
{
	Freezing	freezing = {table, NULL};

	return sv_trial_attempt(run_freezing, &freezing) ? NULL : freezing.frozen;
}

/*
 * Columns that are kept in step, and the expressions for them, are known to
 * the row trigger by name.  A command by hand that changes names is followed,
 * or no version could write any more: a list of SvSyncFrozen.
 */
static List *
freeze_for(Node *statement)
{
	RangeVar   *range;
	List	   *named = NIL;
	List	   *frozen = NIL;
	ListCell   *lc;

	if (!may_rename(statement, &range) || creating_extension ||
		IsBinaryUpgrade || !sv_catalog_is_installed() ||
		sv_contract_collecting() || awake_products() == NIL)
		return NIL;
	if (range)
		named = named_relations(range);
	foreach(lc, sv_sync_tables())
	{
		if ((range && !list_member_oid(named, lfirst_oid(lc))) ||
			!pg_class_ownercheck(lfirst_oid(lc), GetUserId()))
			continue;

		/* as the command will, instead of a weaker one first */
		if (range)
			LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		frozen = lappend(frozen, freeze_table(lfirst_oid(lc)));
	}
	return frozen;
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool readonly_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	List	   *frozen;
	ListCell   *lc;

	prepare_command(pstmt->utilityStmt);
	frozen = freeze_for(pstmt->utilityStmt);
	if (next_ProcessUtility)
		next_ProcessUtility(pstmt, query, readonly_tree, context, params,
							environment, receiver, completion);
	else
		standard_ProcessUtility(pstmt, query, readonly_tree, context, params,
								environment, receiver, completion);
	foreach(lc, frozen)
		sv_sync_thaw(lfirst(lc));
}

/*
 * Define the guard's settings, and get in front of commands.
 */
void
sv_guard_init(void)
{
	next_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	DefineCustomEnumVariable("schemaver.guard",
							 "What happens to DDL that would break a live version.",
							 "off; warn; mixed blocks it while several versions are live; strict always.",
							 &guard_mode, GUARD_MIXED, guard_modes,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

/*
 * Reading what a command has done
 */

static char *
cell_text(HeapTuple row, TupleDesc desc, int column)
{
	return SPI_getvalue(row, desc, column);
}

static Oid
cell_oid(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(row, desc, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

/* the server knows no schema of triggers, rules and policies: the table's */
static char *
schema_of_part(const Affected *object)
{
	Oid			relation = sv_contract_owning_relation(object->class_id,
													   object->object);

	return OidIsValid(relation) ?
		get_namespace_name(get_rel_namespace(relation)) : NULL;
}

/* the server's list of a command's objects; the plans are kept */
static List *
read_affected(bool drop)
{
	static SPIPlanPtr plans[2] = {NULL, NULL};
	static const char *const queries[2] = {
		"SELECT classid, objid, schema_name, NULL, in_extension,"
		" true FROM pg_catalog.pg_event_trigger_ddl_commands()",
		"SELECT classid, objid,"
		" CASE WHEN object_type OPERATOR(pg_catalog.=)"
		" ANY ('{trigger,rule,policy}'::pg_catalog.text[])"
		" THEN address_names[1] ELSE schema_name END,"
		" object_name, false, original"
		" FROM pg_catalog.pg_event_trigger_dropped_objects()"
		" WHERE NOT is_temporary"
	};
	MemoryContext context = CurrentMemoryContext;
	List	   *affected = NIL;

	SPI_connect();
	if (plans[drop] == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(queries[drop], 0, NULL);

		if (plan == NULL)
			elog(ERROR, "could not plan the guard's query");
		SPI_keepplan(plan);
		plans[drop] = plan;
	}
	if (SPI_execute_plan(plans[drop], NULL, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what the command has done");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext spi_context = MemoryContextSwitchTo(context);
		Affected   *object = palloc0(sizeof(Affected));
		bool		isnull;

		object->class_id = cell_oid(row, desc, 1);
		object->object = cell_oid(row, desc, 2);
		object->schema = cell_text(row, desc, 3);
		object->name = cell_text(row, desc, 4);
		object->extension = DatumGetBool(SPI_getbinval(row, desc, 5, &isnull));
		object->named = DatumGetBool(SPI_getbinval(row, desc, 6, &isnull));
		if (object->schema == NULL && !drop)
			object->schema = schema_of_part(object);
		affected = lappend(affected, object);
		MemoryContextSwitchTo(spi_context);
	}
	SPI_finish();
	return affected;
}

static List *
awake_products(void)
{
	List	   *awake = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_products())
	{
		if (((SvProduct *) lfirst(lc))->awake)
			awake = lappend(awake, lfirst(lc));
	}
	return awake;
}

/* hand everything over to contract.c */
static void
touch_affected(const Event *event)
{
	ListCell   *lc;

	foreach(lc, event->affected)
	{
		Affected   *object = lfirst(lc);

		if (object->extension || !OidIsValid(object->object))
			continue;
		if (event->drop)
			sv_contract_touch_dropped(object->class_id, object->object);
		else
			sv_contract_touch(object->class_id, object->object);
	}
}

/* may the command have changed owners or privileges? */
static bool
changes_rights(const Event *event)
{
	return strcmp(event->command, "GRANT") == 0 ||
		strcmp(event->command, "REVOKE") == 0 ||
		strcmp(event->command, "DROP OWNED") == 0 ||
		strcmp(event->command, "ALTER SCHEMA") == 0;
}

/*
 * What is schemaver's alone
 */

/* is that a base schema of one of the products?  Most DDL is there. */
static bool
is_any_base_schema(List *products, const char *name)
{
	ListCell   *lc;

	foreach(lc, products)
	{
		if (sv_catalog_is_base_schema(lfirst(lc), name))
			return true;
	}
	return false;
}

/*
 * Is it a version schema or a compatibility view under another name, or moved
 * to another schema?  They alone go along with the extension by themselves.
 */
static bool
is_own(const Event *event, const Affected *object)
{
	if (event->drop || strncmp(event->command, "ALTER", 5) != 0)
		return false;
	if (object->class_id != NamespaceRelationId &&
		(object->class_id != RelationRelationId ||
		 get_rel_relkind(object->object) != RELKIND_VIEW))
		return false;
	return list_member_oid(getAutoExtensionsOfObject(object->class_id,
													 object->object),
						   sv_catalog_extension(false));
}

/* what a command has done to it, now that it stands in that schema */
static const char *
what_of_own(const Event *event, const Affected *object, const char *schema)
{
	if (sv_catalog_is_version_schema(event->products, schema))
		return "change the version schema";
	return object->class_id == NamespaceRelationId ?
		"rename a version schema to" :
		"move a compatibility view to the schema";
}

/* "what" ends with a schema's name */
static void
refuse_own(const Event *event, const char *what, const char *schema)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s must not %s \"%s\"", event->command, what, schema),
			 errdetail("Its views are made and dropped by schemaver alone."),
			 errhint("Change the table in its base schema with schemaver.apply(); schemaver.reconcile() makes the views again.")));
}

/* refuse what changes version schemas or the extension's objects by hand */
static void
protect_own(const Event *event)
{
	const char *last = NULL;
	ListCell   *lc;

	foreach(lc, event->affected)
	{
		Affected   *object = lfirst(lc);
		const char *schema = object->schema;

		/* views may go along with their table, and with all of a role */
		if (object->extension || !object->named ||
			strcmp(event->command, "DROP OWNED") == 0)
			continue;
		if (object->class_id == NamespaceRelationId)
			schema = object->name ? object->name :
				get_namespace_name(object->object);
		if (is_own(event, object))
			refuse_own(event, what_of_own(event, object, schema), schema);
		if (schema == NULL || (last && strcmp(last, schema) == 0))
			continue;
		last = schema;
		if (is_any_base_schema(event->products, schema))
			continue;
		if (strcmp(schema, SV_SCHEMA) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("%s must not change the schema \"%s\"",
							event->command, SV_SCHEMA),
					 errdetail("It belongs to the extension."),
					 errhint("Use the functions of the extension.")));
		if (strcmp(schema, SV_RETAINED_SCHEMA) == 0 &&
			strcmp(event->command, "REINDEX") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("%s must not change the schema \"%s\"",
							event->command, SV_RETAINED_SCHEMA),
					 errdetail("It holds what older versions still need."),
					 errhint("schemaver.retire() drops it when they are retired.")));
		if (sv_catalog_is_version_schema(event->products, schema))
			refuse_own(event, "change the version schema", schema);
	}
}

/*
 * Judging
 */

/*
 * Does a finding count?  Behind a view only what no view can help does: the
 * rest is what the view is there for.
 */
static bool
counts(const SvProduct *product, const SvFinding *finding)
{
	if (finding->severity >= SV_CHECKED)
		return true;
	if (finding->severity == SV_KEPT)
		return false;
	return finding->severity >= (product->exact ? SV_NOTICED : SV_BREAKS) &&
		!sv_compat_has_view(product, finding->release, finding->entry);
}

/* a table says more than the sequence or type that went with it */
static int
weight(const SvFinding *finding)
{
	return finding->severity * 2 +
		(finding->entry->kind == RELKIND_RELATION ? 1 : 0);
}

/* the finding against a release that weighs most, NULL if none counts */
static SvFinding *
worst_finding(const SvProduct *product, List *findings,
			  const SvRelease *release)
{
	SvFinding  *worst = NULL;
	ListCell   *lc;

	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->release->id != release->id || !counts(product, finding))
			continue;
		if (worst == NULL || weight(finding) > weight(worst))
			worst = finding;
	}
	return worst;
}

/*
 * Is there a live version among those that the command leaves whole?  Those
 * that are not live are locked, so that none can become it meanwhile.
 */
static bool
others_live(List *releases, List *broken)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (!list_member_ptr(broken, lfirst(lc)) &&
			!sv_registry_lock_release(lfirst(lc)))
			return true;
	}
	return false;
}

/* what to call instead */
static char *
way_out(const SvProduct *product, const SvFinding *finding)
{
	if (finding->severity < SV_CHECKED)
		return "Run the statement as a migration, SELECT schemaver.apply(...), which keeps older versions working; schemaver.status() shows who is live.";
	if (finding->release->id == product->current)
		return "Wait until none is live; SELECT schemaver.status() shows who is.";
	return psprintf("Stop them, SELECT schemaver.status() shows whose they are; then call schemaver.retire(%s) and try again.",
					quote_literal_cstr(finding->release->label));
}

static void
complain(int elevel, const Event *event, const SvProduct *product,
		 const SvFinding *finding)
{
	int			count = sv_registry_count(finding->release);

	ereport(elevel,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s would break version %s of product \"%s\": %s",
					event->command, finding->release->label, product->name,
					finding->change),
			 errdetail_plural("%d instance of version %s is live. %s",
							  "%d instances of version %s are live. %s",
							  count, count, finding->release->label,
							  finding->reason),
			 errhint("%s", way_out(product, finding))));
}

/* block or report what breaks a live version, as the mode says */
static void
judge_product(const Event *event, const SvProduct *product, List *releases,
			  List *findings)
{
	List	   *broken = NIL;
	SvFinding  *blocking = NULL;
	int			live = 0;
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvFinding  *finding = worst_finding(product, findings, lfirst(lc));

		if (finding == NULL)
			continue;
		broken = lappend(broken, lfirst(lc));
		if (sv_registry_lock_release(lfirst(lc)))
			continue;
		live++;
		if (blocking == NULL)
			blocking = finding;
	}
	if (blocking == NULL)
		return;
	if (guard_mode == GUARD_STRICT ||
		(guard_mode == GUARD_MIXED &&
		 (live > 1 || others_live(releases, broken))))
		complain(ERROR, event, product, blocking);
	if (guard_mode == GUARD_WARN)
		complain(WARNING, event, product, blocking);
}

/*
 * What passed may still have changed what a version sees: keep the links,
 * and give the versions that somebody uses the views that mend it.
 */
static void
follow_up(const SvProduct *product, List *releases)
{
	List	   *used = NIL;
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (((SvRelease *) lfirst(lc))->registered)
			used = lappend(used, lfirst(lc));
	}
	sv_contract_relink(releases, false);
	(void) sv_compat_reconcile(product, used);
}

/* a trigger or partition more: ours still are the first and the last */
static void
place_triggers(const Event *event)
{
	ListCell   *lc;

	foreach(lc, event->drop ? NIL : event->affected)
	{
		Affected   *object = lfirst(lc);
		Oid			relation = object->class_id == RelationRelationId ?
		object->object : object->class_id == TriggerRelationId ?
		sv_contract_owning_relation(TriggerRelationId, object->object) :
		InvalidOid;

		if (OidIsValid(relation))
			sv_sync_place(relation);
	}
}

/* write what was done by hand to a product's schemas into its history */
static void
record_by_hand(const Event *event, const SvProduct *product)
{
	SvHistory	history = {0};
	SvRelease  *current = sv_catalog_release(product, product->current);
	ListCell   *lc;

	foreach(lc, event->affected)
	{
		Affected   *object = lfirst(lc);

		if (!object->extension && object->schema &&
			sv_catalog_is_base_schema(product, object->schema))
			break;
	}
	if (lc == NULL)
		return;
	history.product_id = product->id;
	history.product_name = product->name;
	history.action = "ddl";
	history.from = current ? current->version : NULL;
	history.to = history.from;
	history.description = event->command;
	history.script = debug_query_string;
	history.statements = 1;
	history.started = GetCurrentStatementStartTimestamp();
	history.outcome = guard_mode == GUARD_OFF ?
		"by hand, with the guard off" : "by hand";
	sv_catalog_record(&history);
}

/* a command outside of apply() */
static void
handle_by_hand(Event *event)
{
	int			nestlevel;
	ListCell   *lc;

	if (guard_mode != GUARD_OFF)
		protect_own(event);
	nestlevel = sv_contract_enter();
	if (guard_mode != GUARD_OFF && event->affected != NIL)
	{
		sv_contract_collect_begin();
		touch_affected(event);
		foreach(lc, event->products)
		{
			List	   *releases = sv_catalog_releases(lfirst(lc), true);
			List	   *findings = sv_contract_judge(releases);

			if (findings == NIL)
				continue;
			judge_product(event, lfirst(lc), releases, findings);
			follow_up(lfirst(lc), releases);
		}
		sv_contract_collect_end();
	}
	place_triggers(event);
	if (changes_rights(event))
		sv_compat_sync_rights(InvalidOid);
	foreach(lc, event->affected)
	{
		Affected   *object = lfirst(lc);

		if (!event->drop && object->class_id == RelationRelationId &&
			strcmp(event->command, "ALTER TABLE") == 0)
			sv_compat_sync_rights(object->object);
	}

	/* DROP is told by its own event, everything else at the command's end */
	if (event->drop == (strncmp(event->command, "DROP", 4) == 0))
	{
		foreach(lc, event->products)
			record_by_hand(event, lfirst(lc));
	}
	sv_contract_leave(nestlevel);
}

static Datum
handle_event(FunctionCallInfo fcinfo, bool drop)
{
	Event		event = {0};

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by an event trigger")));
	if (creating_extension || IsBinaryUpgrade || sv_work_executing())
		PG_RETURN_VOID();
	event.drop = drop;
	event.products = awake_products();
	event.command =
		GetCommandTagName(((EventTriggerData *) fcinfo->context)->tag);
	if (event.products == NIL ||
		strcmp(event.command, "REFRESH MATERIALIZED VIEW") == 0)
		PG_RETURN_VOID();
	event.affected = read_affected(drop);
	if (!sv_contract_collecting())
	{
		handle_by_hand(&event);
		PG_RETURN_VOID();
	}
	protect_own(&event);
	touch_affected(&event);
	if (changes_rights(&event))
		sv_contract_touch_rights();
	PG_RETURN_VOID();
}

/*
 * Event trigger on ddl_command_end
 */
Datum
schemaver_guard_ddl(PG_FUNCTION_ARGS)
{
	return handle_event(fcinfo, false);
}

/*
 * Event trigger on sql_drop, which is what sees CASCADE
 */
Datum
schemaver_guard_drop(PG_FUNCTION_ARGS)
{
	return handle_event(fcinfo, true);
}
