/*-------------------------------------------------------------------------
 *
 * expand.c
 *	  Turn what a script drops into what is retained, at ProcessUtility, while
 *	  apply() runs.
 *
 * A statement that drops is first tried, in a subtransaction that is always
 * rolled back: so whatever the server would refuse is refused, in its words,
 * and what would go along, by CASCADE or otherwise, is known to the last
 * object.  If a supported version needs none of it, the statement runs as it
 * is.  Otherwise what is needed is put away (retain.c), and the rest of it is
 * dropped.  What the trial tells does not depend on the words of the
 * statement, nor on whether a DO block or a function has said it.
 *
 * A "unit" is what is put away or dropped as a whole: a relation, a column, a
 * function, a type, a trigger, a constraint, an index.  What belongs to a
 * relation that goes, such as its indexes, shares its fate.  A unit is needed
 * if it is in the contract of a supported version, if it is a part of
 * something retained, or if what is needed depends on it.
 *
 * A script must not see what is hidden in a table either.  Where it leaves
 * out the names of columns, in SELECT * or in INSERT without a list, hidden
 * columns are declared dropped while the statement is analyzed, and only
 * then: what runs finds them in place.
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
#include "catalog/indexing.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parse_type.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* an object that the statement would drop */
typedef struct Doomed
{
	ObjectAddress object;		/* the key */
	ObjectAddress unit;
	bool		needed;			/* of the unit's own entry only */
	bool		done;
} Doomed;

/* a trigger that was put away, to be dropped if it is made anew */
typedef struct HiddenTrigger
{
	Oid			trigger;
	Oid			relation;
	char	   *name;			/* the one it had */
} HiddenTrigger;

/* a table whose columns are kept in step by expressions over their names */
typedef struct Synced
{
	Oid			relation;
	SvSyncFrozen *frozen;
	MemoryContext context;		/* of "frozen" */
	bool		changed;		/* the table was, since then */
} Synced;

/* a unique key that the newest version has no more */
typedef struct GivenUp
{
	Oid			relation;
	List	   *columns;		/* numbers */
} GivenUp;

/* the migration that runs, NULL product if none */
static struct
{
	const SvProduct *product;
	const SvRelease *from;
	const SvRelease *to;		/* where a rollback leads, NULL for a script */
	const SvScript *script;		/* NULL if none runs but a rollback */
	List	   *releases;		/* those whose needs count */
	List	   *triggers;		/* of HiddenTrigger */
	List	   *hiding;			/* OIDs of tables that may hide columns */
	List	   *synced;			/* of Synced */
	List	   *put_away;		/* of SvPutAway: what may come again */
	List	   *given_up;		/* of GivenUp */
	bool		dropping;		/* what the script says, and nothing else */
	bool		unused_views;	/* nothing by hand stands on a version's */
	bool		ended;			/* the script has run */
	bool		creating;		/* a function: its queries are not executed */
	MemoryContext context;
	SubTransactionId subid;
}			migration;

/* what a trial collects: what was dropped, and what was said about it */
static List *trial = NIL;
static List *trial_notices = NIL;
static bool in_trial = false;

static ProcessUtility_hook_type next_ProcessUtility = NULL;
static object_access_hook_type next_object_access = NULL;
static post_parse_analyze_hook_type next_post_parse_analyze = NULL;
static emit_log_hook_type next_emit_log = NULL;

static bool is_running(void);
static bool is_expanding(void);
static bool is_index(Oid relation);

/*
 * The extension itself
 */

/* a script that takes the ground from under itself could not be recorded */
static void
refuse_own_extension(const char *verb)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a migration cannot %s extension \"%s\", which runs it",
					verb, SV_SCHEMA),
			 errhint("Take the statement out of the script, and run it by itself, outside of a migration.")));
}

/* whatever the words are: CASCADE and DROP OWNED lead here as well */
static void
check_own_drop(Oid class_id, Oid object)
{
	Oid			extension = sv_catalog_extension(true);

	if (OidIsValid(extension) &&
		((class_id == ExtensionRelationId && object == extension) ||
		 getExtensionOfObject(class_id, object) == extension))
		refuse_own_extension("drop");
}

static bool
drops_own_extension(const DropStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->removeType == OBJECT_EXTENSION ||
			statement->removeType == OBJECT_SCHEMA ? statement->objects : NIL)
	{
		if (strcmp(strVal(lfirst(lc)), SV_SCHEMA) == 0)
			return true;
	}
	return false;
}

/* said at once where the words tell: some of it the server would let pass */
static void
check_own_extension(Node *statement)
{
	const char *changed = NULL;

	switch (nodeTag(statement))
	{
		case T_DropStmt:
			if (drops_own_extension((DropStmt *) statement))
				refuse_own_extension("drop");
			break;
		case T_AlterExtensionStmt:
			changed = ((AlterExtensionStmt *) statement)->extname;
			break;
		case T_AlterExtensionContentsStmt:
			changed = ((AlterExtensionContentsStmt *) statement)->extname;
			break;
		case T_AlterObjectSchemaStmt:
			if (((AlterObjectSchemaStmt *) statement)->objectType ==
				OBJECT_EXTENSION)
				changed = strVal(((AlterObjectSchemaStmt *) statement)->object);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->renameType == OBJECT_SCHEMA)
				changed = ((RenameStmt *) statement)->subname;
			if (changed && strcmp(changed, SV_RETAINED_SCHEMA) == 0)
				changed = SV_SCHEMA;
			break;
		default:
			break;
	}
	if (changed && strcmp(changed, SV_SCHEMA) == 0)
		refuse_own_extension("change");
}

/*
 * The trial
 */

/* keys over what were the same columns will have to be looked at */
static void
note_given_up(Oid index)
{
	MemoryContext context = MemoryContextSwitchTo(migration.context);
	List	   *columns = sv_key_columns(index);
	GivenUp    *given_up;

	if (columns != NIL)
	{
		given_up = palloc(sizeof(GivenUp));
		given_up->relation = IndexGetRelation(index, false);
		given_up->columns = columns;
		migration.given_up = lappend(migration.given_up, given_up);
	}
	MemoryContextSwitchTo(context);
}

static void
see_drop(ObjectAccessType access, Oid class_id, Oid object, int sub_object,
		 void *arg)
{
	if (access == OAT_DROP && sub_object == 0 && is_running())
		check_own_drop(class_id, object);
	if (access == OAT_DROP && class_id == AttrDefaultRelationId &&
		is_expanding())
		sv_require_note_default(object);
	if (access == OAT_DROP && class_id == ConstraintRelationId &&
		is_expanding() && !in_trial)
	{
		if (migration.script)
			sv_lost_note_drop(migration.product, migration.from, object);
		sv_check_note_drop(object);
		sv_refer_note_drop(object);
	}
	if (access == OAT_DROP && class_id == RelationRelationId &&
		sub_object == 0 && is_expanding() && !in_trial && migration.script)
	{
		sv_plain_note_drop(migration.product, migration.from, object);
		if (migration.dropping && is_index(object))
			note_given_up(object);
	}
	if (in_trial && access == OAT_DROP)
	{
		MemoryContext context = MemoryContextSwitchTo(migration.context);

		trial = lappend(trial, sv_catalog_address(class_id, object,
												  sub_object));
		MemoryContextSwitchTo(context);
	}
	if (next_object_access)
		next_object_access(access, class_id, object, sub_object, arg);
}

/* keep what a trial has to say, and keep it out of the log */
static void
hear_notice(ErrorData *message)
{
	if (in_trial &&
		(message->elevel == NOTICE || message->elevel == WARNING))
	{
		MemoryContext context = MemoryContextSwitchTo(migration.context);

		trial_notices = lappend(trial_notices, CopyErrorData());
		MemoryContextSwitchTo(context);
		message->output_to_server = false;
	}
	if (next_emit_log)
		next_emit_log(message);
}

/* say what the statement would have said, now that it is not to be run */
static void
repeat_notices(void)
{
	ListCell   *lc;

	foreach(lc, trial_notices)
	{
		ErrorData  *message = lfirst(lc);

		/* where it comes from is told once more when it is said again */
		message->context = NULL;
		ThrowErrorData(message);
	}
}

/* what the statement has to say goes to hear_notice() alone */
static void
hush(void)
{
	(void) set_config_option("client_min_messages", "error", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	(void) set_config_option("log_min_messages", "notice", PGC_SUSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/* what the relations that were put away have that is not to be in the way */
typedef struct InTheWay
{
	List	   *keys;			/* OIDs of foreign keys */
	List	   *partitioned;	/* OIDs of tables */
} InTheWay;

/* a statement that is tried */
typedef struct Trial
{
	PlannedStmt *pstmt;
	const char *query;
	ParamListInfo params;
	InTheWay	way;
} Trial;

static void
add_keys(InTheWay *way, Oid table)
{
	Relation	relation = relation_open(table, AccessShareLock);
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(relation))
		way->keys = lappend_oid(way->keys,
								((ForeignKeyCacheInfo *) lfirst(lc))->conoid);
	relation_close(relation, NoLock);
}

/* there may be many of them, most of which have nothing like that */
static InTheWay
look_at_retained(void)
{
	Oid			schema = get_namespace_oid(SV_RETAINED_SCHEMA, true);
	InTheWay	way = {NIL, NIL};
	ListCell   *lc;

	foreach(lc, OidIsValid(schema) ?
			sv_catalog_dependents(NamespaceRelationId, schema, 0) : NIL)
	{
		Form_pg_depend form = lfirst(lc);
		HeapTuple	tuple = form->classid == RelationRelationId ?
		SearchSysCache1(RELOID, ObjectIdGetDatum(form->objid)) : NULL;
		char		relkind;
		bool		has_triggers;

		if (!HeapTupleIsValid(tuple))
			continue;
		relkind = ((Form_pg_class) GETSTRUCT(tuple))->relkind;
		has_triggers = ((Form_pg_class) GETSTRUCT(tuple))->relhastriggers;
		ReleaseSysCache(tuple);
		if (relkind == RELKIND_PARTITIONED_TABLE)
			way.partitioned = lappend_oid(way.partitioned, form->objid);
		if (has_triggers)
			add_keys(&way, form->objid);
	}
	return way;
}

/*
 * Nobody who has written the script knows of tables that were put away: their
 * foreign keys, and what they are partitioned by, stand in nobody's way.
 */
static void
forget_references(const InTheWay *way)
{
	ListCell   *lc;

	/* a column that a table is partitioned by would take it along */
	foreach(lc, way->partitioned)
		(void) deleteDependencyRecordsForSpecific(RelationRelationId,
												  lfirst_oid(lc),
												  DEPENDENCY_INTERNAL,
												  RelationRelationId,
												  lfirst_oid(lc));
	foreach(lc, way->keys)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID,
											ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		(void) deleteDependencyRecordsForSpecific(ConstraintRelationId,
												  form->oid, DEPENDENCY_NORMAL,
												  RelationRelationId,
												  form->confrelid);
		(void) deleteDependencyRecordsForSpecific(ConstraintRelationId,
												  form->oid, DEPENDENCY_NORMAL,
												  RelationRelationId,
												  form->conindid);
		ReleaseSysCache(tuple);
	}
	CommandCounterIncrement();
}

static void
run_trial(void *argument)
{
	Trial	   *tried = argument;

	hush();
	if (!migration.unused_views)
		migration.unused_views = !sv_compat_park_views(migration.product);
	forget_references(&tried->way);
	standard_ProcessUtility(copyObject(tried->pstmt), tried->query, false,
							PROCESS_UTILITY_SUBCOMMAND, tried->params, NULL,
							None_Receiver, NULL);
}

/*
 * Run a statement, roll it back, and return what it has dropped, a list of
 * ObjectAddress *.  Errors of the statement are thrown; what else it says is
 * in trial_notices.
 */
static List *
try_statement(PlannedStmt *pstmt, const char *query, ParamListInfo params,
			  const InTheWay *way)
{
	Trial		tried = {pstmt, query, params, *way};
	ErrorData  *problem;
	List	   *result;

	trial = NIL;
	trial_notices = NIL;
	in_trial = true;
	problem = sv_trial_undo(run_trial, &tried);
	in_trial = false;
	if (problem)
		ReThrowError(problem);
	result = trial;
	trial = NIL;
	return result;
}

/*
 * Units
 */

static char
constraint_type(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	char		contype = '\0';

	if (HeapTupleIsValid(tuple))
	{
		contype = ((Form_pg_constraint) GETSTRUCT(tuple))->contype;
		ReleaseSysCache(tuple);
	}
	return contype;
}

static HTAB *
make_doomed(List *objects)
{
	HASHCTL		info = {0};
	HTAB	   *doomed;
	ListCell   *lc;

	info.keysize = sizeof(ObjectAddress);
	info.entrysize = sizeof(Doomed);
	info.hcxt = migration.context;
	doomed = hash_create("schemaver doomed objects", 64, &info,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, objects)
	{
		Doomed	   *entry = hash_search(doomed, lfirst(lc), HASH_ENTER, NULL);

		entry->unit = entry->object;
		entry->needed = false;
		entry->done = false;
	}
	return doomed;
}

static Doomed *
find_doomed(HTAB *doomed, Oid class_id, Oid object, int32 sub_object)
{
	ObjectAddress key;

	ObjectAddressSubSet(key, class_id, object, sub_object);
	return hash_search(doomed, &key, HASH_FIND, NULL);
}

/* columns of a row of a catalog that is read by OID */
static bool
read_oids(Oid catalog_id, Oid index_id, AttrNumber key_column, Oid object,
		  int n, const AttrNumber *columns, Oid *values)
{
	Relation	catalog = table_open(catalog_id, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	ScanKeyInit(&key, key_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, index_id, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	for (int i = 0; HeapTupleIsValid(tuple) && i < n; i++)
		values[i] = DatumGetObjectId(heap_getattr(tuple, columns[i],
												  RelationGetDescr(catalog),
												  &isnull));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* what an index is a part of: a constraint, or its table */
static ObjectAddress
owner_of_index(HTAB *doomed, Oid index)
{
	Oid			constraint = get_index_constraint(index);
	ObjectAddress owner;

	if (OidIsValid(constraint) &&
		find_doomed(doomed, ConstraintRelationId, constraint, 0))
		ObjectAddressSet(owner, ConstraintRelationId, constraint);
	else
		ObjectAddressSet(owner, RelationRelationId,
						 IndexGetRelation(index, true));
	return owner;
}

/* the table that a TOAST table belongs to */
static ObjectAddress
owner_of_toast(HTAB *doomed, Oid toast)
{
	HASH_SEQ_STATUS status;
	Doomed	   *entry;
	ObjectAddress owner;

	ObjectAddressSet(owner, InvalidOid, InvalidOid);
	hash_seq_init(&status, doomed);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		HeapTuple	tuple;

		if (entry->object.classId != RelationRelationId ||
			entry->object.objectSubId != 0)
			continue;
		tuple = SearchSysCache1(RELOID,
								ObjectIdGetDatum(entry->object.objectId));
		if (!HeapTupleIsValid(tuple))
			continue;
		if (((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid == toast)
			owner = entry->object;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static ObjectAddress
owner_of_relation(HTAB *doomed, Oid relation)
{
	ObjectAddress owner;

	ObjectAddressSet(owner, InvalidOid, InvalidOid);
	switch (get_rel_relkind(relation))
	{
		case RELKIND_TOASTVALUE:
			return owner_of_toast(doomed, relation);
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return owner_of_index(doomed, relation);
		case RELKIND_COMPOSITE_TYPE:
			ObjectAddressSet(owner, TypeRelationId,
							 get_rel_type_id(relation));
			break;
		default:
			break;
	}
	return owner;
}

/* a row type belongs to its relation, an array type to its element's */
static ObjectAddress
owner_of_type(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	ObjectAddress owner;
	Oid			range;

	ObjectAddressSet(owner, InvalidOid, InvalidOid);
	if (!HeapTupleIsValid(tuple))
		return owner;
	form = (Form_pg_type) GETSTRUCT(tuple);
	if (form->typtype == TYPTYPE_COMPOSITE &&
		get_rel_relkind(form->typrelid) != RELKIND_COMPOSITE_TYPE)
		ObjectAddressSet(owner, RelationRelationId, form->typrelid);
	else if (OidIsValid(form->typelem) &&
			 get_array_type(form->typelem) == type)
		ObjectAddressSet(owner, TypeRelationId, form->typelem);
	else if (form->typtype == TYPTYPE_MULTIRANGE &&
			 OidIsValid(range = get_multirange_range(type)))
		ObjectAddressSet(owner, TypeRelationId, range);
	ReleaseSysCache(tuple);
	return owner;
}

static ObjectAddress
owner_of_trigger(Oid trigger)
{
	static const AttrNumber columns[] = {Anum_pg_trigger_tgrelid,
		Anum_pg_trigger_tgparentid,
	Anum_pg_trigger_tgconstraint};
	Oid			values[3] = {InvalidOid, InvalidOid, InvalidOid};
	ObjectAddress owner;

	(void) read_oids(TriggerRelationId, TriggerOidIndexId,
					 Anum_pg_trigger_oid, trigger, 3, columns, values);
	if (OidIsValid(values[1]))
		ObjectAddressSet(owner, TriggerRelationId, values[1]);
	else if (OidIsValid(values[2]) &&
			 constraint_type(values[2]) != CONSTRAINT_TRIGGER)
		ObjectAddressSet(owner, ConstraintRelationId, values[2]);
	else
		ObjectAddressSet(owner, RelationRelationId, values[0]);
	return owner;
}

/* what an object was made together with, such as casts and makers of ranges */
static ObjectAddress
owner_by_dependency(HTAB *doomed, const ObjectAddress *object)
{
	ObjectAddress owner;
	ListCell   *lc;

	ObjectAddressSet(owner, InvalidOid, InvalidOid);
	foreach(lc, sv_catalog_references(object->classId, object->objectId))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->deptype == DEPENDENCY_INTERNAL &&
			find_doomed(doomed, form->refclassid, form->refobjid, 0))
			ObjectAddressSet(owner, form->refclassid, form->refobjid);
	}
	return owner;
}

/* that of a constraint trigger is a part of it */
static ObjectAddress
owner_of_constraint(HTAB *doomed, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	ObjectAddress owner;

	ObjectAddressSet(owner, InvalidOid, InvalidOid);
	if (!HeapTupleIsValid(tuple))
		return owner;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == CONSTRAINT_TRIGGER)
	{
		ObjectAddressSet(owner, ConstraintRelationId, constraint);
		owner = owner_by_dependency(doomed, &owner);
	}
	else if (OidIsValid(form->conparentid) &&
		find_doomed(doomed, ConstraintRelationId, form->conparentid, 0))
		ObjectAddressSet(owner, ConstraintRelationId, form->conparentid);
	else if (OidIsValid(form->conrelid))
		ObjectAddressSet(owner, RelationRelationId, form->conrelid);
	else if (OidIsValid(form->contypid))
		ObjectAddressSet(owner, TypeRelationId, form->contypid);
	ReleaseSysCache(tuple);
	return owner;
}

/* a default shares the fate of its column, where that goes */
static ObjectAddress
owner_of_default(HTAB *doomed, Oid attrdef)
{
	ObjectAddress column = GetAttrDefaultColumnAddress(attrdef);

	if (!find_doomed(doomed, RelationRelationId, column.objectId,
					 column.objectSubId))
		column.objectSubId = 0;
	return column;
}

/* what an object is a part of, InvalidOid if of nothing */
static ObjectAddress
owner_of(HTAB *doomed, const ObjectAddress *object)
{
	static const AttrNumber statistics[] = {Anum_pg_statistic_ext_stxrelid};
	ObjectAddress owner;
	Oid			value = InvalidOid;

	switch (object->classId)
	{
		case RelationRelationId:
			if (object->objectSubId == 0)
				return owner_of_relation(doomed, object->objectId);
			ObjectAddressSet(owner, RelationRelationId, object->objectId);
			return owner;
		case TypeRelationId:
			return owner_of_type(object->objectId);
		case TriggerRelationId:
			return owner_of_trigger(object->objectId);
		case ConstraintRelationId:
			return owner_of_constraint(doomed, object->objectId);
		case AttrDefaultRelationId:
			return owner_of_default(doomed, object->objectId);
		case CastRelationId:
		case ProcedureRelationId:
			return owner_by_dependency(doomed, object);
		case StatisticExtRelationId:
			(void) read_oids(StatisticExtRelationId, StatisticExtOidIndexId,
							 Anum_pg_statistic_ext_oid, object->objectId, 1,
							 statistics, &value);
			ObjectAddressSet(owner, RelationRelationId, value);
			return owner;
		default:
			ObjectAddressSet(owner, RelationRelationId,
							 sv_contract_owning_relation(object->classId,
														 object->objectId));
			return owner;
	}
}

/* climb from part to whole for as long as the whole goes as well */
static ObjectAddress
unit_of(HTAB *doomed, const ObjectAddress *object)
{
	ObjectAddress unit = *object;

	for (;;)
	{
		ObjectAddress owner = owner_of(doomed, &unit);

		if (!OidIsValid(owner.objectId) ||
			!find_doomed(doomed, owner.classId, owner.objectId,
						 owner.objectSubId))
			return unit;
		unit = owner;
	}
}

static bool
same_object(const ObjectAddress *a, const ObjectAddress *b)
{
	return a->objectId == b->objectId && a->classId == b->classId &&
		a->objectSubId == b->objectSubId;
}

static Doomed *
unit_entry(HTAB *doomed, const Doomed *part)
{
	return hash_search(doomed, &part->unit, HASH_FIND, NULL);
}

/*
 * Who needs what
 */

static bool
is_object_needed(Oid object)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(object))
	{
		if (sv_catalog_any_has_entry(migration.releases, lfirst_int(lc)))
			return true;
	}
	return false;
}

static bool
is_column_needed(Oid relation, AttrNumber number)
{
	ListCell   *lc;
	ListCell   *lp;

	foreach(lc, sv_catalog_entries_on(relation))
	{
		if (!sv_catalog_any_has_entry(migration.releases, lfirst_int(lc)))
			continue;
		foreach(lp, sv_catalog_entry(lfirst_int(lc))->columns)
		{
			if (((SvPart *) lfirst(lp))->number == number)
				return true;
		}
	}
	return false;
}

/* a trigger, or what ON CONFLICT may rely on */
static bool
is_part_needed(char kind, Oid object)
{
	ListCell   *lc;
	ListCell   *lp;

	foreach(lc, sv_catalog_entries_with(object))
	{
		SvEntry    *entry;

		if (!sv_catalog_any_has_entry(migration.releases, lfirst_int(lc)))
			continue;
		entry = sv_catalog_entry(lfirst_int(lc));
		if (kind == SV_PART_TRIGGER)
			return true;
		foreach(lp, entry->constraints)
		{
			SvPart	   *part = lfirst(lp);

			if (part->object == object && strchr("puxi", part->flavour))
				return true;
		}
	}
	return false;
}

static bool
is_index(Oid relation)
{
	char		relkind = get_rel_relkind(relation);

	return relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX;
}

/* is that schema of the extension's making? */
static bool
is_own_schema(Oid schema)
{
	return schema == sv_retain_schema() ||
		sv_contract_is_version_schema(schema);
}

/* does an object belong to something that was put away before? */
static bool
is_part_of_retained(const ObjectAddress *object)
{
	Oid			relation = object->classId == RelationRelationId ?
	object->objectId :
	sv_contract_owning_relation(object->classId, object->objectId);

	if (!OidIsValid(relation))
		return false;
	if (object->classId == TriggerRelationId &&
		sv_retain_is_check_trigger(object->objectId))
		return true;
	if (object->classId == AttrDefaultRelationId)
	{
		ObjectAddress column = GetAttrDefaultColumnAddress(object->objectId);

		if (sv_is_hidden(get_attname(column.objectId, column.objectSubId,
									 false)))
			return true;
	}
	if (object->classId == RelationRelationId && object->objectSubId == 0 &&
		!is_index(relation))
		return false;
	return is_own_schema(get_rel_namespace(relation));
}

static bool
is_needed(const ObjectAddress *unit)
{
	switch (unit->classId)
	{
		case RelationRelationId:
			if (unit->objectSubId)
				return is_column_needed(unit->objectId, unit->objectSubId);
			return is_object_needed(unit->objectId) ||
				is_part_needed(SV_PART_CONSTRAINT, unit->objectId);
		case ProcedureRelationId:
		case TypeRelationId:
			return is_object_needed(unit->objectId);
		case ConstraintRelationId:
			return is_part_needed(SV_PART_CONSTRAINT, unit->objectId);
		case TriggerRelationId:
			return is_part_needed(SV_PART_TRIGGER, unit->objectId);
		default:
			return false;
	}
}

/* the schema of what has one and is no relation, InvalidOid for others */
static Oid
schema_of_other(const ObjectAddress *object)
{
	static const AttrNumber proc[] = {Anum_pg_proc_pronamespace};
	static const AttrNumber type[] = {Anum_pg_type_typnamespace};
	static const AttrNumber operator[] = {Anum_pg_operator_oprnamespace};
	Oid			schema = InvalidOid;

	if (object->classId == ProcedureRelationId)
		(void) read_oids(ProcedureRelationId, ProcedureOidIndexId,
						 Anum_pg_proc_oid, object->objectId, 1, proc,
						 &schema);
	else if (object->classId == TypeRelationId)
		(void) read_oids(TypeRelationId, TypeOidIndexId, Anum_pg_type_oid,
						 object->objectId, 1, type, &schema);
	else if (object->classId == OperatorRelationId)
		(void) read_oids(OperatorRelationId, OperatorOidIndexId,
						 Anum_pg_operator_oid, object->objectId, 1, operator,
						 &schema);
	return schema;
}

/*
 * A view of a version schema, or another thing that stands in there: reconcile
 * makes and drops those.
 */
static bool
is_standin(const ObjectAddress *unit)
{
	Oid			schema = schema_of_other(unit);

	if (OidIsValid(schema))
		return sv_contract_is_version_schema(schema) &&
			sv_catalog_entries_on(unit->objectId) == NIL;
	return unit->classId == RelationRelationId && unit->objectSubId == 0 &&
		get_rel_relkind(unit->objectId) == RELKIND_VIEW &&
		sv_contract_is_version_schema(get_rel_namespace(unit->objectId));
}

/* note that a unit is needed; true if that is news */
static bool
mark_needed(HTAB *doomed, Oid class_id, Oid object, int32 sub_object)
{
	Doomed	   *entry = find_doomed(doomed, class_id, object, sub_object);

	if (entry == NULL && sub_object)
		entry = find_doomed(doomed, class_id, object, 0);
	if (entry)
		entry = unit_entry(doomed, entry);
	if (entry == NULL || entry->needed)
		return false;
	entry->needed = true;
	return true;
}

/* what an object depends on is needed as it is; true if that is news */
static bool
mark_referenced(HTAB *doomed, const ObjectAddress *object)
{
	bool		news = false;
	ListCell   *lc;

	foreach(lc, sv_catalog_references(object->classId, object->objectId))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refclassid != NamespaceRelationId &&
			(object->objectSubId == 0 ||
			 form->objsubid == object->objectSubId))
			news |= mark_needed(doomed, form->refclassid, form->refobjid,
								form->refobjsubid);
	}
	return news;
}

/* the tables that a table inherits from, or is a partition of */
static List *
parents_of(Oid relation)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *parents = NIL;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, InheritsRelidSeqnoIndexId, true, NULL,
							  1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents,
							  ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return parents;
}

/* is it a partition of a table that is needed? */
static bool
is_partition_of_needed(HTAB *doomed, Oid relation)
{
	Doomed	   *parent;

	if (!get_rel_relispartition(relation))
		return false;
	parent = find_doomed(doomed, RelationRelationId,
						 get_partition_parent(relation, true), 0);
	return parent && parent->needed;
}

/* does it inherit a column that is needed, as those of partitions do? */
static bool
inherits_needed(HTAB *doomed, const ObjectAddress *column)
{
	char	   *name = get_attname(column->objectId, column->objectSubId,
								   false);
	ListCell   *lc;

	foreach(lc, parents_of(column->objectId))
	{
		AttrNumber	number = get_attnum(lfirst_oid(lc), name);
		Doomed	   *parent = number == InvalidAttrNumber ? NULL :
		find_doomed(doomed, RelationRelationId, lfirst_oid(lc), number);

		if (parent && unit_entry(doomed, parent)->needed)
			return true;
	}
	return false;
}

/* an index or constraint of a hidden column goes on serving those who see it */
static bool
serves_needed_column(HTAB *doomed, const ObjectAddress *unit)
{
	ListCell   *lc;

	if (unit->classId == ConstraintRelationId ?
		strchr("pux", constraint_type(unit->objectId)) == NULL :
		unit->classId != RelationRelationId || unit->objectSubId != 0 ||
		!is_index(unit->objectId))
		return false;
	foreach(lc, sv_catalog_references(unit->classId, unit->objectId))
	{
		Form_pg_depend form = lfirst(lc);
		Doomed	   *column = find_doomed(doomed, form->refclassid,
										 form->refobjid, form->refobjsubid);

		if (form->refobjsubid && column && column->needed)
			return true;
	}
	return false;
}

/* an object as a unit's part is told from the list of all */
static Doomed **
list_doomed(HTAB *doomed, int *count)
{
	Doomed	  **list = palloc(sizeof(Doomed *) *
							  hash_get_num_entries(doomed));
	HASH_SEQ_STATUS status;
	Doomed	   *entry;

	*count = 0;
	hash_seq_init(&status, doomed);
	while ((entry = hash_seq_search(&status)) != NULL)
		list[(*count)++] = entry;
	return list;
}

static bool
is_foreign_key(const ObjectAddress *object)
{
	return object->classId == ConstraintRelationId &&
		constraint_type(object->objectId) == CONSTRAINT_FOREIGN;
}

/* does the unit of something share the fate of what is needed? */
static bool
follows_needed(HTAB *doomed, const ObjectAddress *unit)
{
	if (unit->classId == RelationRelationId && unit->objectSubId == 0 &&
		is_partition_of_needed(doomed, unit->objectId))
		return true;
	if (unit->classId == RelationRelationId && unit->objectSubId)
		return inherits_needed(doomed, unit);
	return serves_needed_column(doomed, unit);
}

/*
 * Decide which units are needed: those of the contracts, and all that they
 * depend on.  True if there are any.
 */
static bool
decide(HTAB *doomed)
{
	int			count;
	Doomed	  **list = list_doomed(doomed, &count);
	bool		any = false;
	bool		news;

	for (int i = 0; i < count; i++)
		list[i]->unit = unit_of(doomed, &list[i]->object);
	for (int i = 0; i < count; i++)
	{
		if (same_object(&list[i]->object, &list[i]->unit) &&
			(is_needed(&list[i]->unit) ||
			 is_part_of_retained(&list[i]->unit)))
			list[i]->needed = any = true;
	}
	if (!any)
		return false;
	do
	{
		news = false;
		for (int i = 0; i < count; i++)
		{
			Doomed	   *unit = unit_entry(doomed, list[i]);

			if (!unit->needed && follows_needed(doomed, &unit->object))
				unit->needed = news = true;
			if (unit->needed &&
				!is_foreign_key(&list[i]->object))
				news |= mark_referenced(doomed, &list[i]->object);
		}
	} while (news);
	return true;
}

/*
 * Putting away
 */

/* the schema of the current version that stands in front of another */
static Oid
home_schema(Oid schema)
{
	char	   *name = get_namespace_name(schema);
	Oid			home = name ? sv_compat_schema_for(migration.product,
												   migration.from, name) :
	InvalidOid;

	return OidIsValid(home) ? home :
		get_namespace_oid(linitial(migration.from->schemas), false);
}

static void
refuse_unit(const ObjectAddress *unit, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s cannot be dropped while supported versions of product \"%s\" need it",
					getObjectDescription(unit, false),
					migration.product->name),
			 errdetail("%s", reason),
			 errhint("Drop it in a later migration, when schemaver.retire() has retired the versions before %s.",
					 migration.from->label)));
}

/* note what was put away, or what is about to be, with its name */
static void
note_put_away(Oid class_id, Oid object, Oid schema, const char *name)
{
	MemoryContext context = MemoryContextSwitchTo(migration.context);
	SvPutAway  *put_away = palloc(sizeof(SvPutAway));

	put_away->class_id = class_id;
	put_away->object = object;
	put_away->schema = schema;
	put_away->name = pstrdup(name);
	migration.put_away = lappend(migration.put_away, put_away);
	MemoryContextSwitchTo(context);
}

/* note that a table hides columns */
static void
add_hiding(Oid relation)
{
	MemoryContext context = MemoryContextSwitchTo(migration.context);

	migration.hiding = list_append_unique_oid(migration.hiding, relation);
	MemoryContextSwitchTo(context);
}

/* would rows that leave the column out violate its domain's NOT NULL? */
static bool
needs_value(Oid relation, AttrNumber number)
{
	Relation	table = relation_open(relation, AccessShareLock);
	Oid			type = TupleDescAttr(RelationGetDescr(table),
									 number - 1)->atttypid;
	bool		has_default = build_column_default(table, number) != NULL;
	bool		notnull = false;

	relation_close(table, NoLock);
	while (!notnull && get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

		notnull = ((Form_pg_type) GETSTRUCT(tuple))->typnotnull;
		type = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
	}
	return notnull && !has_default;
}

/* heirs follow their parent's column; those that keep theirs cannot */
static void
retain_column(HTAB *doomed, const ObjectAddress *column)
{
	char	   *name = get_attname(column->objectId, column->objectSubId,
								   false);
	HeapTuple	tuple;
	int			inherited;
	ListCell   *lc;

	if (sv_is_hidden(name))
		return;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(column->objectId),
							Int16GetDatum(column->objectSubId));
	inherited = ((Form_pg_attribute) GETSTRUCT(tuple))->attinhcount;
	ReleaseSysCache(tuple);
	foreach(lc, find_all_inheritors(column->objectId, NoLock, NULL))
	{
		AttrNumber	number = get_attnum(lfirst_oid(lc), name);

		if (!is_own_schema(get_rel_namespace(lfirst_oid(lc))) &&
			!find_doomed(doomed, RelationRelationId, lfirst_oid(lc), number) &&
			!find_doomed(doomed, RelationRelationId, lfirst_oid(lc), 0))
			refuse_unit(column,
						psprintf("Table \"%s\" inherits the column and would keep it as its own.",
								 get_rel_name(lfirst_oid(lc))));
	}
	if (needs_value(column->objectId, column->objectSubId))
		refuse_unit(column, "Its domain allows no nulls, so no newer row could leave it out.");
	if (inherited == 0)
	{
		sv_sync_relax(column->objectId, column->objectSubId,
					  migration.to ? migration.to->version : NULL);
		sv_retain_hide_column(column->objectId, column->objectSubId);
		sv_expand_follow_names();
	}
	add_hiding(column->objectId);
}

/* a trigger's function; as it was, where the script has replaced it before */
static void
call_replaced_function(Oid trigger)
{
	static const AttrNumber column[] = {Anum_pg_trigger_tgfoid};
	Oid			function = InvalidOid;
	HeapTuple	tuple;
	Form_pg_proc form;
	Oid			then;

	(void) read_oids(TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid,
					 trigger, 1, column, &function);
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	form = (Form_pg_proc) GETSTRUCT(tuple);
	then = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   NameGetDatum(&form->proname),
						   PointerGetDatum(&form->proargtypes),
						   ObjectIdGetDatum(home_schema(form->pronamespace)));
	ReleaseSysCache(tuple);
	if (OidIsValid(then) && then != function && is_object_needed(then))
		sv_retain_retarget_triggers(function, then);
}

static void
retain_trigger(const ObjectAddress *trigger)
{
	Oid			relation = sv_contract_owning_relation(TriggerRelationId,
													   trigger->objectId);
	HiddenTrigger *hidden;
	char	   *name;
	MemoryContext context;

	if (get_rel_relkind(relation) == RELKIND_VIEW)
		refuse_unit(trigger, "It serves writes through a view.");
	name = sv_retain_trigger(trigger->objectId, migration.product,
							 migration.releases);
	if (name == NULL)
		return;
	call_replaced_function(trigger->objectId);
	context = MemoryContextSwitchTo(migration.context);
	hidden = palloc(sizeof(HiddenTrigger));
	hidden->trigger = trigger->objectId;
	hidden->relation = relation;
	hidden->name = pstrdup(name);
	migration.triggers = lappend(migration.triggers, hidden);
	MemoryContextSwitchTo(context);
}

/* a sequence that is hidden with its column stays with that */
static void
retain_sequence(HTAB *doomed, Oid sequence)
{
	Oid			table;
	int32		column;
	Doomed	   *owner;

	if (sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, &table, &column))
	{
		sv_retain_hide_sequence(sequence);
		return;
	}
	owner = sv_is_hidden(get_rel_name(sequence)) &&
		sequenceIsOwned(sequence, DEPENDENCY_AUTO, &table, &column) ?
		find_doomed(doomed, RelationRelationId, table, column) : NULL;
	if (owner == NULL || !unit_entry(doomed, owner)->needed)
		sv_retain_home(RelationRelationId, sequence,
					   home_schema(get_rel_namespace(sequence)));
}

/* leave the parents that are not put away as well */
static void
disinherit(Oid relation, List *kept)
{
	ListCell   *lp;
	ListCell   *lc;

	foreach(lp, get_rel_relispartition(relation) ? NIL : parents_of(relation))
	{
		bool		stays = !is_own_schema(get_rel_namespace(lfirst_oid(lp)));

		foreach(lc, kept)
		{
			ObjectAddress *unit = lfirst(lc);

			if (unit->classId == RelationRelationId &&
				unit->objectSubId == 0 && unit->objectId == lfirst_oid(lp))
				stays = false;
		}
		if (stays)
			sv_retain_disinherit(relation, lfirst_oid(lp));
	}
}

static void
retain_relation(HTAB *doomed, Oid relation, List *kept)
{
	switch (get_rel_relkind(relation))
	{
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			sv_retain_unique(RelationRelationId, relation);
			break;
		case RELKIND_SEQUENCE:
			retain_sequence(doomed, relation);
			break;
		default:
			disinherit(relation, kept);
			sv_retain_relation(relation, kept);
			break;
	}
}

/* note what may be made again just as it was */
static void
note_unit(const ObjectAddress *unit)
{
	if (unit->objectSubId)
		return;
	if (unit->classId == RelationRelationId)
		note_put_away(unit->classId, unit->objectId,
					  get_rel_namespace(unit->objectId),
					  get_rel_name(unit->objectId));
	else if (unit->classId == ProcedureRelationId)
		note_put_away(unit->classId, unit->objectId,
					  get_func_namespace(unit->objectId),
					  get_func_name(unit->objectId));
	else if (unit->classId == ConstraintRelationId)
		note_put_away(unit->classId, unit->objectId, InvalidOid, "");
}

/*
 * A type that was renamed before it was dropped gets the name again that the
 * version before has for it, at once: what is told of it from now on, such as
 * defaults, is told in that name.
 */
static void
return_type_name(Oid type, Oid schema)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(type))
	{
		SvEntry    *entry = sv_catalog_entry_alone(lfirst_int(lc));

		if (!sv_catalog_has_entry(migration.from, lfirst_int(lc)) ||
			SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(entry->name),
								  ObjectIdGetDatum(schema)))
			continue;
		RenameTypeInternal(type, entry->name, schema);
		CommandCounterIncrement();
		sv_contract_touch(TypeRelationId, type);
		return;
	}
}

/* put one unit away; what is there already stays */
static void
retain_unit(HTAB *doomed, const ObjectAddress *unit, List *kept)
{
	Oid			schema;

	if (is_part_of_retained(unit))
		return;
	if (OidIsValid(getExtensionOfObject(unit->classId, unit->objectId)))
		refuse_unit(unit, "It is a part of an extension.");
	note_unit(unit);
	switch (unit->classId)
	{
		case RelationRelationId:
			if (unit->objectSubId)
				retain_column(doomed, unit);
			else if (!is_own_schema(get_rel_namespace(unit->objectId)))
				retain_relation(doomed, unit->objectId, kept);
			break;
		case ConstraintRelationId:
			if (OidIsValid(get_constraint_index(unit->objectId)))
				sv_retain_unique(ConstraintRelationId, unit->objectId);
			break;
		case TriggerRelationId:
			retain_trigger(unit);
			break;
		case TypeRelationId:
		case ProcedureRelationId:
			schema = schema_of_other(unit);
			if (!is_own_schema(schema))
			{
				sv_retain_home(unit->classId, unit->objectId,
							   home_schema(schema));
				if (unit->classId == TypeRelationId)
					return_type_name(unit->objectId, home_schema(schema));
			}
			break;
		default:
			refuse_unit(unit, "It is not of a kind that can be kept for them.");
	}
}

/* rank by which units are put away: keys before their columns */
static int
rank_of(const ObjectAddress *unit)
{
	if (unit->classId == ConstraintRelationId)
		return 0;
	if (unit->classId == RelationRelationId && unit->objectSubId == 0)
	{
		if (is_index(unit->objectId))
			return 1;
		return get_rel_relkind(unit->objectId) == RELKIND_SEQUENCE ? 4 : 3;
	}
	return unit->classId == RelationRelationId ? 2 : 5;
}

static int
compare_units(const ListCell *a, const ListCell *b)
{
	const ObjectAddress *first = lfirst(a);
	const ObjectAddress *second = lfirst(b);
	int			ranks = rank_of(first) - rank_of(second);

	if (ranks)
		return ranks;
	if (first->objectId != second->objectId)
		return first->objectId < second->objectId ? -1 : 1;
	return first->objectSubId - second->objectSubId;
}

/* drop what nobody needs among what the statement drops */
static void
drop_others(List *others)
{
	ObjectAddresses *addresses = new_object_addresses();
	ListCell   *lc;

	foreach(lc, others)
	{
		ObjectAddress *unit = lfirst(lc);

		sv_contract_touch(unit->classId, unit->objectId);
		if (unit->classId == AttrDefaultRelationId)
			sv_contract_remember_default(unit->objectId);
		add_exact_object_address(unit, addresses);
	}
	performMultipleDeletions(addresses, DROP_RESTRICT,
							 PERFORM_DELETION_INTERNAL |
							 PERFORM_DELETION_QUIETLY);
	free_object_addresses(addresses);
	CommandCounterIncrement();
	foreach(lc, others)
		sv_contract_touch_dropped(((ObjectAddress *) lfirst(lc))->classId,
								  ((ObjectAddress *) lfirst(lc))->objectId);
}

/* the relation that an object is, or is a column of */
static Oid
relation_of(const ObjectAddress *object)
{
	return object->classId == RelationRelationId ? object->objectId :
		InvalidOid;
}

/* tell what an object is called now that it is put away */
static void
note_kept(const char *description, const ObjectAddress *unit)
{
	char	   *now = getObjectDescription(unit, false);

	if (unit->classId == TriggerRelationId &&
		sv_retain_is_check_trigger(unit->objectId))
		return;
	if (strcmp(now, description) == 0)
		sv_observe_note(SV_NOTE_EFFECT, relation_of(unit), "keeps %s",
						description);
	else
		sv_observe_note(SV_NOTE_EFFECT, relation_of(unit), "keeps %s as %s",
						description, now);
}

/* what was noted to be put away has become another object */
static void
note_replaced(Oid class_id, Oid from, Oid to)
{
	ListCell   *lc;

	foreach(lc, migration.put_away)
	{
		SvPutAway  *put_away = lfirst(lc);

		if (put_away->class_id == class_id && put_away->object == from)
			put_away->object = to;
	}
}

/*
 * The table of a unique constraint or index, InvalidOid if it is neither: nor
 * is the key's copy on a view, which names the same index.
 */
static Oid
table_of_key(const ObjectAddress *unit)
{
	Oid			index = InvalidOid;
	Oid			table;

	if (unit->classId == ConstraintRelationId)
		index = get_constraint_index(unit->objectId);
	else if (unit->classId == RelationRelationId && unit->objectSubId == 0 &&
			 is_index(unit->objectId))
		index = unit->objectId;
	table = OidIsValid(index) ? IndexGetRelation(index, true) : InvalidOid;
	if (unit->classId == ConstraintRelationId &&
		sv_contract_owning_relation(unit->classId, unit->objectId) != table)
		return InvalidOid;
	return table;
}

/* let a unique key hold alone for versions that have it; false if it cannot */
static bool
loosen_key(const ObjectAddress *key, Oid table)
{
	const SvRelease *from = migration.from;
	const SvRelease *to = migration.to;
	bool		back = to && sv_version_compare(to->version, from->version) < 0;
	Oid			object = key->objectId;

	sv_expand_follow_names();
	if (!sv_key_loosen(migration.product, to, back ?
					   sv_key_last_without(migration.product, from, to, table,
										   object) : from,
					   back, key->classId, &object))
		return false;
	note_replaced(key->classId, key->objectId, object);
	add_hiding(table);
	sv_expand_freeze(table);
	return true;
}

/* the indexes of keys among objects that take nulls for equal: OIDs */
static List *
find_equal_nulls(List *objects)
{
	List	   *indexes = NIL;
	ListCell   *lc;

	foreach(lc, objects)
	{
		ObjectAddress *unit = lfirst(lc);
		Oid			index = OidIsValid(table_of_key(unit)) ?
		sv_key_index(unit->classId, unit->objectId) : InvalidOid;

		if (OidIsValid(index) && sv_retain_has_equal_nulls(index))
			indexes = lappend_oid(indexes, index);
	}
	return indexes;
}

/*
 * Unique keys that were put away do not hold the newest version back.  Nulls
 * that a key took for equal are distinct if a column of it has been put away,
 * which is not needed where it is loosened.
 */
static void
loosen_keys(List *kept, List *equal_nulls)
{
	ListCell   *lc;

	foreach(lc, kept)
	{
		ObjectAddress *unit = lfirst(lc);
		Oid			table = table_of_key(unit);
		Oid			index;
		bool		is_equal;

		if (!OidIsValid(table))
			continue;
		index = sv_key_index(unit->classId, unit->objectId);
		is_equal = sv_retain_has_equal_nulls(index);
		note_given_up(index);
		sv_retain_set_nulls(index, list_member_oid(equal_nulls, index));
		if (!loosen_key(unit, table))
			sv_retain_set_nulls(index, is_equal);
	}
}

/* nor do those over columns that have become others since */
static void
loosen_twins(void)
{
	List	   *given_up = migration.given_up;
	ListCell   *lg;
	ListCell   *lc;

	migration.given_up = NIL;
	foreach(lg, migration.script && migration.from ? given_up : NIL)
	{
		GivenUp    *key = lfirst(lg);

		if (get_rel_name(key->relation) == NULL)
			continue;
		foreach(lc, sv_key_twins(key->relation, key->columns))
			(void) loosen_key(lfirst(lc), key->relation);
	}
	migration.given_up = NIL;
}

/* put away what is needed, drop the rest of what the statement would drop */
static void
replace_drop(HTAB *doomed)
{
	int			count;
	Doomed	  **list = list_doomed(doomed, &count);
	List	   *kept = NIL;
	List	   *others = NIL;
	List	   *foreign_keys = NIL;
	List	   *parts = NIL;
	List	   *equal_nulls;
	ListCell   *lc;

	for (int i = 0; i < count; i++)
	{
		Doomed	   *unit = unit_entry(doomed, list[i]);

		if (unit->needed &&
			list[i]->object.classId != PublicationRelRelationId)
			parts = lappend(parts, &list[i]->object);
		else if (list[i] == unit && is_foreign_key(&unit->object))
			foreign_keys = lappend(foreign_keys, &unit->object);
		else if (list[i] == unit && !is_standin(&unit->object))
			others = lappend(others, &unit->object);
		if (list[i] == unit && unit->needed)
			kept = lappend(kept, &unit->object);
	}
	list_sort(kept, compare_units);
	list_sort(others, compare_units);
	equal_nulls = find_equal_nulls(kept);

	/* what does not refer to a retained table any more cannot hold it back */
	drop_others(foreign_keys);
	foreach(lc, kept)
	{
		char	   *description = getObjectDescription(lfirst(lc), false);

		retain_unit(doomed, lfirst(lc), kept);
		note_kept(description, lfirst(lc));
	}
	sv_retain_soften(parts);
	foreach(lc, others)
		sv_observe_note(SV_NOTE_EFFECT,
						relation_of(lfirst(lc)), "drops %s",
						getObjectDescription(lfirst(lc), false));
	migration.dropping = true;
	drop_others(others);
	migration.dropping = false;
	loosen_keys(kept, equal_nulls);
}

/*
 * Hiding columns from a script
 */

/* what is hidden in a relation: attribute numbers */
static List *
hidden_columns(Oid relation)
{
	Relation	rel = relation_open(relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped &&
			sv_is_hidden(NameStr(attribute->attname)))
			columns = lappend_int(columns, attribute->attnum);
	}
	relation_close(rel, NoLock);
	return columns;
}

/* declare columns dropped, or not: seen by this transaction only */
static void
set_dropped(Oid relation, List *columns, bool dropped)
{
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	ListCell   *lc;

	foreach(lc, columns)
	{
		HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM,
												ObjectIdGetDatum(relation),
												Int16GetDatum(lfirst_int(lc)));

		((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped = dropped;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	table_close(catalog, RowExclusiveLock);
}

/* what find_relations() is after */
typedef struct Mentions
{
	List	   *relations;		/* OIDs */
	List	   *columns;		/* for each, a list of attribute numbers */
} Mentions;

static void
mention(Mentions *mentions, const RangeVar *range)
{
	Oid			relation = RangeVarGetRelid(range, NoLock, true);
	List	   *columns;

	if (!OidIsValid(relation) || migration.hiding == NIL ||
		list_member_oid(mentions->relations, relation))
		return;
	LockRelationOid(relation, AccessShareLock);
	columns = hidden_columns(relation);
	if (columns == NIL)
		return;
	mentions->relations = lappend_oid(mentions->relations, relation);
	mentions->columns = lappend(mentions->columns, columns);
}

static bool
find_relations(Node *node, Mentions *mentions)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		mention(mentions, (RangeVar *) node);
		return false;
	}
	return raw_expression_tree_walker(node, find_relations, mentions);
}

/* the relations that a statement may mean all columns of */
static void
find_in_statement(Node *statement, Mentions *mentions)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_CreateTableAsStmt:
			if (!IsA(((CreateTableAsStmt *) statement)->query, ExecuteStmt))
				find_in_statement(((CreateTableAsStmt *) statement)->query,
								  mentions);
			break;
		case T_ViewStmt:
			find_in_statement(((ViewStmt *) statement)->query, mentions);
			break;
		case T_ExplainStmt:
			find_in_statement(((ExplainStmt *) statement)->query, mentions);
			break;
		case T_CreateStmt:
			foreach(lc, ((CreateStmt *) statement)->tableElts)
			{
				if (IsA(lfirst(lc), TableLikeClause))
					mention(mentions,
							lfirst_node(TableLikeClause, lc)->relation);
			}
			break;
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			(void) find_relations(statement, mentions);
			break;
		default:
			break;
	}
}

/* is an index hidden, or over hidden columns? */
static bool
is_hidden_index(Form_pg_index form, List *columns)
{
	bool		hidden = sv_is_hidden(get_rel_name(form->indexrelid));

	for (int i = 0; i < form->indnatts; i++)
		hidden |= list_member_int(columns, form->indkey.values[i]);
	return hidden;
}

/*
 * Declare hidden indexes not live, or live again: LIKE copies those that are.
 * The caller sees to it that the table itself is read anew.
 */
static void
set_live(Oid relation, List *columns, bool live)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!is_hidden_index((Form_pg_index) GETSTRUCT(tuple), columns))
			continue;
		tuple = heap_copytuple(tuple);
		((Form_pg_index) GETSTRUCT(tuple))->indislive = live;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relation);
}

static void
hide(const Mentions *mentions, bool hidden, bool indexes)
{
	ListCell   *lr;
	ListCell   *lc;

	forboth(lr, mentions->relations, lc, mentions->columns)
	{
		set_dropped(lfirst_oid(lr), lfirst(lc), hidden);
		if (indexes)
			set_live(lfirst_oid(lr), lfirst(lc), !hidden);
	}
	CommandCounterIncrement();
}

/*
 * Statements
 */

static bool
is_drop_command(const AlterTableCmd *command)
{
	return command->subtype == AT_DropColumn ||
		command->subtype == AT_DropConstraint ||
		command->subtype == AT_DropIdentity;
}

/* the part of ALTER TABLE that drops, or the part that does not; may be NULL */
static AlterTableStmt *
part_of_alter(AlterTableStmt *statement, bool drops)
{
	AlterTableStmt *part = copyObject(statement);
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, part->cmds)
	{
		if (is_drop_command(lfirst(lc)) == drops)
			commands = lappend(commands, lfirst(lc));
	}
	part->cmds = commands;
	return commands ? part : NULL;
}

/* the part of a statement that drops something; NULL if none does */
static Node *
dropping_part(Node *statement)
{
	AlterTableStmt *alter = (AlterTableStmt *) statement;

	switch (nodeTag(statement))
	{
		case T_DropStmt:
			return statement;
		case T_DropOwnedStmt:
			return statement;
		case T_AlterTableStmt:
			return alter->objtype == OBJECT_TYPE ? NULL :
				(Node *) part_of_alter(alter, true);
		default:
			return NULL;
	}
}

/*
 * Columns are no identities any more.  Sequences that are needed are hidden
 * before that, as those of identities are, all others dropped after it.
 */
static void
end_identities(Node *statement, HTAB *doomed, bool needed)
{
	AlterTableStmt *alter = (AlterTableStmt *) statement;
	Oid			relation;
	ListCell   *lc;

	if (!IsA(statement, AlterTableStmt))
		return;
	relation = RangeVarGetRelid(alter->relation, NoLock, true);
	foreach(lc, OidIsValid(relation) ? alter->cmds : NIL)
	{
		AlterTableCmd *command = lfirst(lc);
		AttrNumber	number = command->subtype == AT_DropIdentity ?
		get_attnum(relation, command->name) : 0;
		Oid			sequence = number > 0 ?
		getIdentitySequence(relation, number, true) : InvalidOid;
		Doomed	   *entry = OidIsValid(sequence) ?
		find_doomed(doomed, RelationRelationId, sequence, 0) : NULL;

		if (entry && unit_entry(doomed, entry)->needed == needed)
			sv_retain_end_identity(relation, number, sequence);
	}
}

/* does a foreign key refer to one of these objects, or to a part of it? */
static bool
refers_to_doomed(HTAB *doomed, Oid key)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_references(ConstraintRelationId, key))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->deptype == DEPENDENCY_NORMAL &&
			(find_doomed(doomed, form->refclassid, form->refobjid,
						 form->refobjsubid) ||
			 find_doomed(doomed, form->refclassid, form->refobjid, 0)))
			return true;
	}
	return false;
}

/*
 * What is dropped or put away is referred to by none of the tables that were
 * put away before: their foreign keys go, and the versions that have them are
 * held to them by triggers.
 */
static void
drop_references(HTAB *doomed, const InTheWay *way)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, way->keys)
	{
		if (refers_to_doomed(doomed, lfirst_oid(lc)))
			keys = lappend(keys, sv_catalog_address(ConstraintRelationId,
													lfirst_oid(lc), 0));
	}
	if (keys != NIL)
		drop_others(keys);
}

/*
 * Turn a statement that drops.  Returns what is left of it to run: all of it
 * if no supported version needs what it drops, NULL if nothing.
 */
static PlannedStmt *
turn_drop(PlannedStmt *pstmt, const char *query, ParamListInfo params)
{
	Node	   *dropping = dropping_part(pstmt->utilityStmt);
	PlannedStmt *tried;
	AlterTableStmt *rest;
	InTheWay	way;
	HTAB	   *doomed;

	if (dropping == NULL)
		return pstmt;
	tried = copyObject(pstmt);
	tried->utilityStmt = dropping;
	way = look_at_retained();
	doomed = make_doomed(try_statement(tried, query, params, &way));
	drop_references(doomed, &way);
	if (!decide(doomed))
		return pstmt;
	repeat_notices();
	end_identities(dropping, doomed, false);
	replace_drop(doomed);
	end_identities(dropping, doomed, true);
	rest = IsA(pstmt->utilityStmt, AlterTableStmt) ?
		part_of_alter((AlterTableStmt *) pstmt->utilityStmt, false) : NULL;
	if (rest == NULL)
		return NULL;

	/* the rest may change the type of a column that is kept in step */
	sv_expand_follow_names();
	pstmt = copyObject(pstmt);
	pstmt->utilityStmt = (Node *) rest;
	return pstmt;
}

/*
 * Types of columns
 */

static Synced *
find_synced(Oid relation)
{
	ListCell   *lc;

	foreach(lc, migration.synced)
	{
		if (((Synced *) lfirst(lc))->relation == relation)
			return lfirst(lc);
	}
	return NULL;
}

/* a table has changed: so may names have that its columns go by */
static void
see_change(Datum arg, Oid relation)
{
	ListCell   *lc;

	(void) arg;
	foreach(lc, migration.synced)
	{
		Synced	   *synced = lfirst(lc);

		if (!OidIsValid(relation) || synced->relation == relation)
			synced->changed = true;
	}
}

/*
 * Remember what the columns of a table are computed from, by their numbers.
 */
void
sv_expand_freeze(Oid relation)
{
	MemoryContext caller = MemoryContextSwitchTo(migration.context);
	MemoryContext context =
	AllocSetContextCreate(migration.context, "schemaver columns in step",
						  ALLOCSET_SMALL_SIZES);
	Synced	   *synced = find_synced(relation);

	if (synced == NULL)
	{
		synced = palloc0(sizeof(Synced));
		synced->relation = relation;
		migration.synced = lappend(migration.synced, synced);
	}
	else
		MemoryContextDelete(synced->context);
	synced->context = context;
	synced->changed = false;
	MemoryContextSwitchTo(context);
	synced->frozen = sv_sync_freeze(relation);
	MemoryContextSwitchTo(caller);
}

/*
 * Names of columns or types may have changed: let the expressions by which
 * columns are kept in step say the new ones.  A script may have thousands of
 * statements and as many such tables, so those that nothing has happened to
 * are passed over.
 */
void
sv_expand_follow_names(void)
{
	MemoryContext context =
	AllocSetContextCreate(CurrentMemoryContext, "schemaver names",
						  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ListCell   *lc;

	foreach(lc, migration.synced)
	{
		Synced	   *synced = lfirst(lc);

		if (synced->frozen == NULL ||
			(!synced->changed && sv_sync_is_plain(synced->frozen)) ||
			get_rel_name(synced->relation) == NULL)
			continue;
		sv_sync_thaw(synced->frozen);
		sv_expand_freeze(synced->relation);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static bool
may_rename(Node *statement)
{
	return IsA(statement, RenameStmt) || IsA(statement, AlterTableStmt) ||
		IsA(statement, AlterObjectSchemaStmt) || IsA(statement, DropStmt) ||
		IsA(statement, AlterEnumStmt);
}

/* keep the defaults that a statement is about to change */
static void
remember_defaults(AlterTableStmt *alter)
{
	Oid			relation = RangeVarGetRelid(alter->relation, NoLock, true);
	ListCell   *lc;

	foreach(lc, OidIsValid(relation) ? alter->cmds : NIL)
	{
		AlterTableCmd *command = lfirst(lc);
		AttrNumber	number = command->subtype == AT_ColumnDefault ?
		get_attnum(relation, command->name) : 0;

		if (number > 0)
			sv_contract_remember_default(GetAttrDefaultOid(relation, number));
	}
}

/* those of some releases that an instance has ever registered under */
static List *
used_releases(List *releases)
{
	List	   *used = NIL;
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (release->registered || sv_catalog_was_registered(release))
			used = lappend(used, release);
	}
	return used;
}

/* would any version that is in use be left without the column as it was? */
static bool
is_column_in_use(Oid relation, AttrNumber number)
{
	List	   *all = migration.releases;
	bool		result;

	migration.releases = used_releases(all);
	result = is_column_needed(relation, number);
	migration.releases = all;
	return result;
}

static bool
changes_type(const AlterTableCmd *command)
{
	return command->subtype == AT_AlterColumnType;
}

/* what the server does before it changes types */
static bool
goes_before_types(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_ColumnDefault:
			return command->def == NULL;
		case AT_DropColumn:
		case AT_DropConstraint:
		case AT_DropNotNull:
		case AT_DropIdentity:
		case AT_DropExpression:
			return true;
		default:
			return false;
	}
}

static bool
goes_after_types(const AlterTableCmd *command)
{
	return !changes_type(command) && !goes_before_types(command);
}

/* a statement with those commands of ALTER TABLE only, NULL if none */
static PlannedStmt *
with_commands(PlannedStmt *pstmt, List *commands)
{
	if (commands == NIL)
		return NULL;
	pstmt = copyObject(pstmt);
	((AlterTableStmt *) pstmt->utilityStmt)->cmds = copyObject(commands);
	return pstmt;
}

static List *
pick_commands(PlannedStmt *pstmt, bool (*test) (const AlterTableCmd *))
{
	List	   *picked = NIL;
	ListCell   *lc;

	foreach(lc, ((AlterTableStmt *) pstmt->utilityStmt)->cmds)
	{
		if (test(lfirst(lc)))
			picked = lappend(picked, lfirst(lc));
	}
	return picked;
}

/* views that were put away and stand on a column: OIDs */
static List *
retained_views_on(Oid relation, AttrNumber number)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(RelationRelationId, relation, number))
	{
		Form_pg_depend form = lfirst(lc);
		Oid			view = form->classid == RewriteRelationId ?
		sv_contract_owning_relation(form->classid, form->objid) : InvalidOid;

		if (OidIsValid(view) && get_rel_namespace(view) == sv_retain_schema())
			views = list_append_unique_oid(views, view);
	}
	return views;
}

/*
 * The server changes no type beside a view.  Where nobody has ever used a
 * version that would notice, those that were put away for it go, and the
 * version gives way.
 */
static void
drop_unused_views(Oid relation, AttrNumber number)
{
	List	   *all = migration.releases;
	ListCell   *lc;

	foreach(lc, retained_views_on(relation, number))
	{
		ObjectAddress view;
		bool		needed;

		migration.releases = used_releases(all);
		needed = is_object_needed(lfirst_oid(lc));
		migration.releases = all;
		if (needed || get_rel_name(lfirst_oid(lc)) == NULL)
			continue;
		ObjectAddressSet(view, RelationRelationId, lfirst_oid(lc));
		performDeletion(&view, DROP_CASCADE, PERFORM_DELETION_INTERNAL |
						PERFORM_DELETION_QUIETLY);
		CommandCounterIncrement();
		sv_contract_touch_dropped(RelationRelationId, lfirst_oid(lc));
	}
}

/* give the newest version columns of its own; returns what is left to do */
static List *
turn_type_commands(Oid relation, List *commands)
{
	List	   *left = NIL;
	ListCell   *lc;

	foreach(lc, commands)
	{
		AlterTableCmd *command = lfirst(lc);
		AttrNumber	number = get_attnum(relation, command->name);

		if (number > 0 && is_column_needed(relation, number) &&
			sv_retype_column(migration.product, migration.from, relation,
							 command, NULL,
							 sv_directive_has_down(migration.product,
												   migration.from,
												   migration.script, relation,
												   command->name) ? "" : NULL,
							 is_column_in_use(relation, number)))
		{
			add_hiding(relation);
			sv_expand_freeze(relation);
		}
		else
		{
			left = lappend(left, command);
			if (number > 0)
				drop_unused_views(relation, number);
		}
	}
	return left;
}

/* does a version that is in use write values of its own into the column? */
static bool
is_written_freely(Oid relation, AttrNumber number)
{
	List	   *used = used_releases(migration.releases);
	ListCell   *lc;

	foreach(lc, sv_catalog_entries_on(relation))
	{
		SvPart	   *column;

		if (!sv_catalog_any_has_entry(used, lfirst_int(lc)))
			continue;
		column = sv_contract_column_at(sv_catalog_entry(lfirst_int(lc)),
									   number);
		if (column && column->identity != 'a')
			return true;
	}
	return false;
}

/* where a command says ALWAYS or BY DEFAULT of an identity, NULL if nowhere */
static DefElem *
find_generated(const AlterTableCmd *command)
{
	ListCell   *lc;

	if (command->subtype != AT_SetIdentity)
		return NULL;
	foreach(lc, (List *) command->def)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, "generated") == 0)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * An identity that is to be ALWAYS, though versions in use write values of
 * their own, is BY DEFAULT until they are retired; the new version's contract
 * knows better.  The command is changed.
 */
static void
defer_always(AlterTableCmd *command, Oid relation)
{
	AttrNumber	number = get_attnum(relation, command->name);
	DefElem    *generated = find_generated(command);
	Constraint *constraint = command->subtype == AT_AddIdentity ?
	castNode(Constraint, command->def) : NULL;
	char		identity = generated ? intVal(generated->arg) :
	constraint ? constraint->generated_when : '\0';

	if (number <= 0 || identity == '\0')
		return;
	sv_contract_tell_identity(relation, number, identity);
	if (identity != ATTRIBUTE_IDENTITY_ALWAYS ||
		!is_written_freely(relation, number))
		return;
	if (generated)
		generated->arg = (Node *) makeInteger(ATTRIBUTE_IDENTITY_BY_DEFAULT);
	else
		constraint->generated_when = ATTRIBUTE_IDENTITY_BY_DEFAULT;
	sv_observe_note(SV_NOTE_EFFECT, relation,
					"generates %s.%s by default; always, when older versions are retired",
					get_rel_name(relation), command->name);
}

static bool
changes_identity(const AlterTableCmd *command)
{
	return command->subtype == AT_AddIdentity ||
		command->subtype == AT_SetIdentity;
}

static PlannedStmt *
turn_identities(PlannedStmt *pstmt)
{
	AlterTableStmt *alter = (AlterTableStmt *) pstmt->utilityStmt;
	Oid			relation = pick_commands(pstmt, changes_identity) ?
	RangeVarGetRelid(alter->relation, NoLock, true) : InvalidOid;
	ListCell   *lc;

	if (!OidIsValid(relation))
		return pstmt;
	pstmt = copyObject(pstmt);
	foreach(lc, ((AlterTableStmt *) pstmt->utilityStmt)->cmds)
		defer_always(lfirst(lc), relation);
	return pstmt;
}

/* a label is about to be renamed: older versions keep the type as it is */
static void
keep_labels(const AlterEnumStmt *statement)
{
	ListCell   *lc;

	foreach(lc, sv_relabel_replace(statement, migration.product,
								   migration.from, migration.releases,
								   used_releases(migration.releases)))
	{
		add_hiding(lfirst_oid(lc));
		sv_expand_freeze(lfirst_oid(lc));
	}
}

/* what is left to run of ALTER TABLE when types have changed, maybe NULL */
static PlannedStmt *
turn_types(PlannedStmt *pstmt, ProcessUtility_hook_type next,
		   const char *query, ParamListInfo params)
{
	AlterTableStmt *alter = (AlterTableStmt *) pstmt->utilityStmt;
	List	   *changes;
	PlannedStmt *before;
	Oid			relation;

	if (!IsA(alter, AlterTableStmt) || alter->objtype != OBJECT_TABLE)
		return pstmt;
	changes = pick_commands(pstmt, changes_type);
	relation = changes ? RangeVarGetRelid(alter->relation, NoLock, true) :
		InvalidOid;
	if (!OidIsValid(relation) || !is_object_needed(relation))
		return pstmt;
	before = with_commands(pstmt, pick_commands(pstmt, goes_before_types));
	if (before)
	{
		next(before, query, false, PROCESS_UTILITY_QUERY_NONATOMIC, params,
			 NULL, None_Receiver, NULL);
		CommandCounterIncrement();
	}
	changes = turn_type_commands(relation, changes);
	changes = list_concat(changes, pick_commands(pstmt, goes_after_types));
	return with_commands(pstmt, changes);
}

/* keep what a statement has replaced, and note it for the end */
static void
keep_replaced(List *watched)
{
	ListCell   *lc;

	foreach(lc, sv_replace_keep(watched, migration.product, migration.from))
	{
		SvPutAway  *kept = lfirst(lc);

		note_put_away(kept->class_id, kept->object, kept->schema, kept->name);
	}
}

/* COPY without a list of columns means those that the script can see */
static PlannedStmt *
list_copied_columns(PlannedStmt *pstmt)
{
	CopyStmt   *copy = (CopyStmt *) pstmt->utilityStmt;
	Mentions	mentions = {NIL, NIL};
	Relation	relation;
	TupleDesc	desc;

	if (copy->relation == NULL || copy->attlist != NIL)
		return pstmt;
	mention(&mentions, copy->relation);
	if (mentions.relations == NIL)
		return pstmt;
	pstmt = copyObject(pstmt);
	copy = (CopyStmt *) pstmt->utilityStmt;
	relation = relation_open(linitial_oid(mentions.relations), NoLock);
	desc = RelationGetDescr(relation);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && !attribute->attgenerated &&
			!sv_is_hidden(NameStr(attribute->attname)))
			copy->attlist = lappend(copy->attlist,
									makeString(pstrdup(NameStr(attribute->attname))));
	}
	relation_close(relation, NoLock);
	return pstmt;
}

/* all of a statement was done in another way */
static void
finish_command(Node *statement, QueryCompletion *completion)
{
	sv_expand_follow_names();
	loosen_twins();
	if (completion)
		SetQueryCompletion(completion, CreateCommandTag(statement), 0);
}

/* who is held to NOT NULL of a column is so under its new name */
static void
follow_rename(const RenameStmt *rename)
{
	Oid			relation = rename->renameType == OBJECT_COLUMN &&
	sv_catalog_is_installed() ?
	RangeVarGetRelid(rename->relation, NoLock, true) : InvalidOid;

	if (OidIsValid(relation))
		sv_hold_rename(relation, rename->subname, rename->newname);
}

/* what older versions had to be excused from is not demanded any more */
static void
forget_required(const AlterTableStmt *statement)
{
	Oid			relation = RangeVarGetRelid(statement->relation, NoLock, true);
	ListCell   *lc;

	foreach(lc, OidIsValid(relation) ? statement->cmds : NIL)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype == AT_DropNotNull &&
			pg_class_ownercheck(relation, GetUserId()))
			sv_require_forget(relation, command->name);
	}
}

/* nor is it of hidden columns that are computed from what may be null now */
static void
ease_hidden(const AlterTableStmt *statement)
{
	Oid			relation = RangeVarGetRelid(statement->relation, NoLock, true);
	ListCell   *lc;

	foreach(lc, OidIsValid(relation) ? statement->cmds : NIL)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype == AT_DropNotNull &&
			get_attnum(relation, command->name) > 0)
			sv_sync_ease(relation, get_attnum(relation, command->name), NULL);
	}
}

/*
 * What takes long
 */

/*
 * A script is one transaction, in which nothing can be done concurrently: what
 * is large is left to a job, all else is done at once.
 */
static PlannedStmt *
without_concurrently(PlannedStmt *pstmt)
{
	pstmt = copyObject(pstmt);
	if (IsA(pstmt->utilityStmt, IndexStmt))
		((IndexStmt *) pstmt->utilityStmt)->concurrent = false;
	else
		((DropStmt *) pstmt->utilityStmt)->concurrent = false;
	return pstmt;
}

static bool
is_concurrent(Node *statement)
{
	return IsA(statement, IndexStmt) ? ((IndexStmt *) statement)->concurrent :
		IsA(statement, DropStmt) && ((DropStmt *) statement)->concurrent;
}

/* leave CREATE INDEX to a job; false if it is to be done at once */
static bool
leave_index(IndexStmt *statement, const char *query)
{
	Oid			relation = RangeVarGetRelid(statement->relation, NoLock, true);

	return OidIsValid(relation) && is_object_needed(relation) &&
		pg_class_ownercheck(relation, GetUserId()) &&
		sv_build_index(statement, relation, query);
}

/*
 * The parts of ALTER TABLE that are done in another way.  Returns what is left
 * to run, NULL if nothing; *build is what is to be left to jobs after that.
 */
static PlannedStmt *
turn_alter(PlannedStmt *pstmt, ProcessUtility_hook_type next,
		   const char *query, ParamListInfo params, SvBuild *build)
{
	forget_required((AlterTableStmt *) pstmt->utilityStmt);
	remember_defaults((AlterTableStmt *) pstmt->utilityStmt);
	pstmt = turn_types(turn_identities(pstmt), next, query, params);
	if (pstmt)
		pstmt = sv_build_split(pstmt, migration.script, query, params);
	if (pstmt)
		pstmt = sv_fill_turn(pstmt, query, params);
	if (pstmt == NULL)
		return NULL;
	sv_build_fill((AlterTableStmt *) pstmt->utilityStmt, migration.product,
				  migration.from, migration.script);
	return sv_build_turn(pstmt, build);
}

/*
 * Names that begin like hidden ones are ours.  Other than columns they may be
 * made by hand, since a restore makes them in a database that has products
 * already.
 */
static void
check_name(const char *kind, const char *name)
{
	if (name && sv_is_hidden(name))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("%s name \"%s\" is reserved", kind, name),
				 errdetail("Names that begin with \"%s\" are those of what a migration has dropped and an older version still needs.",
						   SV_HIDDEN_PREFIX),
				 errhint("Choose another name.")));
}

static void
check_element(Node *element)
{
	ListCell   *lc;

	if (element == NULL)
		return;
	if (IsA(element, ColumnDef))
	{
		check_name("column", ((ColumnDef *) element)->colname);
		foreach(lc, ((ColumnDef *) element)->constraints)
			check_element(lfirst(lc));
	}
	else if (IsA(element, Constraint) && is_expanding())
		check_name("constraint", ((Constraint *) element)->conname);
}

/* what is hidden does not exist for a script */
static void
refuse_hidden(const char *name, const RangeVar *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("\"%s\" of relation \"%s\" does not exist", name,
					relation->relname),
			 errdetail("It was dropped, and is retained for older versions until they are retired.")));
}

static void
check_command(const AlterTableStmt *statement, const AlterTableCmd *command)
{
	if (command->subtype == AT_AddColumn ||
		command->subtype == AT_AddConstraint)
		check_element(command->def);
	else if (is_expanding() && command->name && sv_is_hidden(command->name))
		refuse_hidden(command->name, statement->relation);
}

static void
check_reserved(Node *statement)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			foreach(lc, ((CreateStmt *) statement)->tableElts)
				check_element(lfirst(lc));
			break;
		case T_AlterTableStmt:
			foreach(lc, ((AlterTableStmt *) statement)->cmds)
				check_command((AlterTableStmt *) statement, lfirst(lc));
			break;
		case T_RenameStmt:
			if (is_expanding() && ((RenameStmt *) statement)->subname &&
				sv_is_hidden(((RenameStmt *) statement)->subname))
				refuse_hidden(((RenameStmt *) statement)->subname,
							  ((RenameStmt *) statement)->relation);
			if (is_expanding() ||
				((RenameStmt *) statement)->renameType == OBJECT_COLUMN)
				check_name("column or object",
						   ((RenameStmt *) statement)->newname);
			break;
		case T_IndexStmt:
			if (is_expanding())
				check_name("index", ((IndexStmt *) statement)->idxname);
			break;
		case T_CreateTrigStmt:
			if (is_expanding())
				check_name("trigger", ((CreateTrigStmt *) statement)->trigname);
			break;
		default:
			break;
	}
}

/* the string of a list that is the same as this one, or NULL */
static char *
find_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * Fill a column of a pair from the other one, unless that has to be filled
 * itself first; returns the column's name in "columns", or NULL.
 */
static char *
fill_of_pair(Oid child, const SvSyncPair *pair, List *columns)
{
	char	   *older = find_name(columns, pair->old_column);
	char	   *newer = find_name(columns, pair->new_column);
	char	   *name = older ? older : newer;
	char	   *value = older ? pair->down : pair->up;

	if (name == NULL || (older && newer) || *value == '\0' ||
		sv_contract_is_mark(child, get_attnum(child, name)))
		return NULL;
	if (get_attgenerated(child, get_attnum(child, name)) == '\0')
	{
		sv_fill_column(child, name, value, false);
		sv_observe_note(SV_NOTE_FILL, child, "fill column %s", name);
	}
	return name;
}

/*
 * What the row trigger of the parent would have put into these columns.  A
 * chain of pairs is gone along from what the child has.
 */
static void
fill_heir(Oid parent, Oid child, List *columns)
{
	int			nestlevel = sv_contract_enter();
	List	   *pairs = columns != NIL &&
	get_rel_relkind(child) != RELKIND_FOREIGN_TABLE ?
	sv_sync_pairs(parent) : NIL;
	bool		found = true;
	ListCell   *lc;

	columns = list_copy(columns);
	while (found)
	{
		found = false;
		foreach(lc, pairs)
		{
			char	   *filled = fill_of_pair(child, lfirst(lc), columns);

			if (filled == NULL)
				continue;
			columns = list_delete_ptr(columns, filled);
			found = true;
		}
	}
	sv_contract_leave(nestlevel);
}

/*
 * A child or partition must have the hidden columns of its parent, with what
 * the other versions read there.  True if there was anything to do.
 */
static bool
prepare_heir(Oid parent, Oid child, bool attaches)
{
	List	   *added = sv_retain_prepare_heir(parent, child);

	fill_heir(parent, child, added);
	if (attaches && get_rel_relkind(child) != RELKIND_FOREIGN_TABLE)
		sv_key_mark_partition(parent, child);
	return sv_retain_demand_heir(parent, child) || added != NIL;
}

static void
prepare_heirs(const AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		bool		attaches = command->subtype == AT_AttachPartition;
		RangeVar   *other;
		Oid			parent;
		Oid			child;

		if (!attaches && command->subtype != AT_AddInherit)
			continue;
		other = attaches ? ((PartitionCmd *) command->def)->name :
			(RangeVar *) command->def;
		parent = RangeVarGetRelid(attaches ? statement->relation : other,
								  ShareUpdateExclusiveLock, true);
		child = RangeVarGetRelid(attaches ? other : statement->relation,
								 AccessExclusiveLock, true);
		if (OidIsValid(parent) && OidIsValid(child) &&
			pg_class_ownercheck(parent, GetUserId()) &&
			pg_class_ownercheck(child, GetUserId()) &&
			prepare_heir(parent, child, attaches) && sv_contract_collecting())
			sv_contract_touch(RelationRelationId, child);
	}
}

/* a partition that has been made or attached, InvalidOid if there is none */
static Oid
new_partition(Node *statement)
{
	AlterTableStmt *alter = (AlterTableStmt *) statement;
	AlterTableCmd *command;

	if (IsA(statement, CreateStmt))
		return ((CreateStmt *) statement)->partbound == NULL ? InvalidOid :
			RangeVarGetRelid(((CreateStmt *) statement)->relation, NoLock,
							 true);
	if (!IsA(statement, AlterTableStmt) || list_length(alter->cmds) != 1)
		return InvalidOid;
	command = linitial_node(AlterTableCmd, alter->cmds);
	return command->subtype != AT_AttachPartition ? InvalidOid :
		RangeVarGetRelid(((PartitionCmd *) command->def)->name, NoLock, true);
}

/* a partition that is a table of its own from now on */
static Oid
former_partition(Node *statement)
{
	AlterTableStmt *alter = (AlterTableStmt *) statement;
	AlterTableCmd *command;

	if (!IsA(statement, AlterTableStmt) || list_length(alter->cmds) != 1)
		return InvalidOid;
	command = linitial_node(AlterTableCmd, alter->cmds);
	if (command->subtype != AT_DetachPartition &&
		command->subtype != AT_DetachPartitionFinalize)
		return InvalidOid;
	return RangeVarGetRelid(((PartitionCmd *) command->def)->name, NoLock, true);
}

/*
 * What a partition has got from its whole goes by names like those there; what
 * it had for the sake of that goes.
 */
static void
mind_partition(Node *statement)
{
	Oid			made = new_partition(statement);
	Oid			former = former_partition(statement);

	if ((!OidIsValid(made) && !OidIsValid(former)) || creating_extension ||
		!sv_catalog_is_installed() || sv_catalog_products() == NIL)
		return;
	if (OidIsValid(made))
		sv_tree_name_heir(made);
	if (OidIsValid(former) && !get_rel_relispartition(former) &&
		get_rel_relkind(former) != RELKIND_FOREIGN_TABLE)
		sv_key_leave_whole(former);
}

/*
 * Retained tables that the session finds through a view of its version, if it
 * is the code of that version that runs.
 */
static List *
seen_retained(void)
{
	const char *product;
	const SvVersion *version;
	List	   *seen = NIL;
	ListCell   *ls;
	ListCell   *lv;

	if (!sv_registry_session(&product, &version) || !sv_hold_session(product))
		return NIL;
	foreach(ls, sv_registry_schemas())
	{
		foreach(lv, sv_catalog_objects_of_schema(lfirst_oid(ls),
												 RelationRelationId))
		{
			Oid			base;
			List	   *columns;

			if (sv_contract_read_view(lfirst_oid(lv), &base, &columns) &&
				get_rel_namespace(base) == sv_retain_schema())
				seen = lappend_oid(seen, base);
		}
	}
	return seen;
}

/* retained tables neither hold a TRUNCATE back nor go along unseen */
static void
let_truncate(const TruncateStmt *statement)
{
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, statement->relations)
	{
		Oid			relation = RangeVarGetRelid(lfirst_node(RangeVar, lc),
												NoLock, true);
		Oid			base;
		List	   *columns;

		if (OidIsValid(relation) &&
			sv_contract_describe_view(relation, &base, &columns))
			relation = base;
		if (!OidIsValid(relation) ||
			pg_class_aclcheck(relation, GetUserId(), ACL_TRUNCATE) !=
			ACLCHECK_OK)
			return;
		LockRelationOid(relation, AccessExclusiveLock);
		relations = list_concat_unique_oid(relations,
										   find_all_inheritors(relation,
															   AccessExclusiveLock,
															   NULL));
	}
	if (statement->behavior == DROP_RESTRICT)
		sv_refcheck_truncate(relations);
	sv_retain_let_truncate(relations, seen_retained(),
						   statement->behavior == DROP_CASCADE);
}

/*
 * Is there a product that is in use?  What came with a dump, or by replication,
 * is not: who has replicated tables here gives them hidden columns by hand.
 */
static bool
is_any_awake(void)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_products())
	{
		if (((SvProduct *) lfirst(lc))->awake)
			return true;
	}
	return false;
}

/* what holds in every session, not in a migration's alone */
static void
mind_retained(Node *statement)
{
	if (!IsTransactionState() || creating_extension ||
		!sv_catalog_is_installed() || sv_catalog_products() == NIL)
		return;
	if (is_any_awake())
		check_reserved(statement);
	if (IsA(statement, AlterTableStmt))
		prepare_heirs((AlterTableStmt *) statement);
	else if (IsA(statement, TruncateStmt))
		let_truncate((TruncateStmt *) statement);
	else if (IsA(statement, AlterEnumStmt))
		sv_relabel_add((AlterEnumStmt *) statement);
}

static bool
concerns_retained(const Node *statement)
{
	return IsA(statement, CreateStmt) ||
		IsA(statement, CreateForeignTableStmt) ||
		IsA(statement, AlterTableStmt) || IsA(statement, RenameStmt) ||
		IsA(statement, IndexStmt) || IsA(statement, CreateTrigStmt) ||
		IsA(statement, TruncateStmt) || IsA(statement, AlterEnumStmt);
}

/* a command that is being run */
typedef struct Command
{
	Node	   *said;			/* as the script has it */
	Mentions	mentions;		/* what it must not see of these */
	SvBuild		build;			/* what is to be made of its indexes */
	List	   *watched;		/* what it may replace */
} Command;

/*
 * Turn a command of a migration into what is to be done instead.  NULL if
 * nothing of it is left to do.
 */
static PlannedStmt *
turn_command(Command *command, PlannedStmt *pstmt,
			 ProcessUtility_hook_type next, const char *query,
			 ParamListInfo params)
{
	Node	   *said = command->said;

	if (is_concurrent(said))
		pstmt = without_concurrently(pstmt);
	if (migration.script)
		pstmt = sv_lost_turn(pstmt, migration.from);
	if (pstmt)
		pstmt = turn_drop(pstmt, query, params);
	if (pstmt == NULL)
		return NULL;
	if (IsA(said, CopyStmt))
		pstmt = list_copied_columns(pstmt);
	else if (IsA(said, ViewStmt) || IsA(said, CreateStmt))
		find_in_statement(said, &command->mentions);
	else if (IsA(pstmt->utilityStmt, AlterTableStmt))
		pstmt = turn_alter(pstmt, next, query, params, &command->build);
	else if (IsA(said, IndexStmt) &&
			 leave_index((IndexStmt *) pstmt->utilityStmt, query))
		pstmt = NULL;
	if (pstmt == NULL)
		return NULL;
	if (IsA(said, AlterEnumStmt))
		keep_labels((AlterEnumStmt *) said);
	command->watched = sv_replace_watch(said, migration.releases);
	migration.creating = IsA(said, CreateFunctionStmt);
	return pstmt;
}

/* a statement has been run, in a migration as it was turned: what follows */
static void
follow_command(const Command *command, Node *statement, const char *query)
{
	sv_build_finish(&command->build, query);
	if (command->watched != NIL)
		keep_replaced(command->watched);
	if (IsA(statement, RenameStmt))
		follow_rename((RenameStmt *) statement);
	if (is_expanding() && may_rename(statement))
	{
		sv_expand_follow_names();
		loosen_twins();
	}
	mind_partition(statement);
	if (IsA(statement, AlterTableStmt))
		ease_hidden((AlterTableStmt *) statement);
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool readonly_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *receiver,
				QueryCompletion *completion)
{
	ProcessUtility_hook_type next = next_ProcessUtility ?
	next_ProcessUtility : standard_ProcessUtility;
	Node	   *said = pstmt->utilityStmt;
	Command		command = {.said = said};

	if (is_running())
		check_own_extension(said);
	if (concerns_retained(said))
		mind_retained(said);
	if (is_expanding())
		pstmt = turn_command(&command, pstmt, next, query, params);
	if (pstmt == NULL)
	{
		sv_build_finish(&command.build, query);
		finish_command(said, completion);
		return;
	}
	if (command.mentions.relations != NIL)
		hide(&command.mentions, true, IsA(said, CreateStmt));
	migration.dropping = is_expanding() &&
		dropping_part(pstmt->utilityStmt) != NULL;
	next(pstmt, query, readonly_tree, context, params, environment, receiver,
		 completion);
	migration.dropping = migration.creating = false;
	if (command.mentions.relations != NIL)
		hide(&command.mentions, false, IsA(said, CreateStmt));
	follow_command(&command, pstmt->utilityStmt, query);
}

/* the columns of SELECT * that a new table must not get */
static void
strip_hidden(Query *query)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst(lc);

		if (target->resjunk || target->resname == NULL ||
			!sv_is_hidden(target->resname))
			targets = lappend(targets, target);
		else if (query->setOperations || target->ressortgroupref)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("SELECT * from a table that retains dropped columns, in a function or DO block"),
					 errhint("Name the columns in the SELECT.")));
	}
	foreach(lc, targets)
		((TargetEntry *) lfirst(lc))->resno = foreach_current_index(lc) + 1;
	query->targetList = targets;
}

/* INSERT without a list of columns would write into the wrong ones */
static void
check_insert(const Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst(lc);

		if (target->resname && sv_is_hidden(target->resname))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("INSERT without a list of columns into table \"%s\", which retains dropped columns",
							get_rel_name(rt_fetch(query->resultRelation,
												  query->rtable)->relid)),
					 errhint("Name the columns in the INSERT.")));
	}
}

/*
 * A query in a function or a DO block finds hidden columns in place.
 */
static void
check_query(ParseState *pstate, Query *query, JumbleState *jumble)
{
	if (next_post_parse_analyze)
		next_post_parse_analyze(pstate, query, jumble);
	if (!is_expanding())
		return;
	if (!migration.creating && !sv_fill_is_running())
		sv_require_note_query(query);
	if (query->commandType == CMD_INSERT)
		check_insert(query);
	else if (query->commandType == CMD_UTILITY &&
			 IsA(query->utilityStmt, CreateTableAsStmt))
	{
		Node	   *source = ((CreateTableAsStmt *) query->utilityStmt)->query;

		if (IsA(source, Query) &&
			((Query *) source)->commandType == CMD_SELECT)
			strip_hidden((Query *) source);
	}
}

/*
 * Executing statements of a script
 */

/* as SPI does it: positions are in the statement, not in the client's query */
static void
error_in_statement(void *argument)
{
	const SvStatement *statement = argument;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(statement->text);
	}
	else
		errcontext("SQL statement \"%s\"", statement->text);
}

static void
execute_plan(PlannedStmt *plan, const char *text)
{
	QueryDesc  *query;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (plan->utilityStmt)
		ProcessUtility(plan, text, false, PROCESS_UTILITY_QUERY, NULL, NULL,
					   None_Receiver, NULL);
	else
	{
		query = CreateQueryDesc(plan, text, GetActiveSnapshot(), NULL,
								None_Receiver, NULL, NULL, 0);
		ExecutorStart(query, 0);
		ExecutorRun(query, ForwardScanDirection, 0, true);
		ExecutorFinish(query);
		ExecutorEnd(query);
		FreeQueryDesc(query);
	}
	PopActiveSnapshot();
}

/*
 * Analyze a statement of a script as if hidden columns were dropped, where it
 * may mean all columns of a table.  Returns a list of rewritten queries;
 * errors are in the statement's words.
 */
List *
sv_expand_analyze(const SvStatement *statement)
{
	Mentions	mentions = {NIL, NIL};
	ErrorContextCallback callback;
	Query	   *query;

	if (migration.hiding != NIL)
		find_in_statement(statement->raw->stmt, &mentions);
	callback.callback = error_in_statement;
	callback.arg = unconstify(SvStatement *, statement);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	if (mentions.relations != NIL)
		hide(&mentions, true, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	query = parse_analyze_fixedparams(linitial(raw_parser(statement->text,
														  RAW_PARSE_DEFAULT)),
									  statement->text, NULL, 0, NULL);
	PopActiveSnapshot();
	if (mentions.relations != NIL)
		hide(&mentions, false, false);
	error_context_stack = callback.previous;
	return pg_rewrite_query(query);
}

/*
 * Execute what sv_expand_analyze() has returned.
 */
void
sv_expand_run(const SvStatement *statement, List *queries)
{
	ErrorContextCallback callback;
	ListCell   *lc;

	callback.callback = error_in_statement;
	callback.arg = unconstify(SvStatement *, statement);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	foreach(lc, pg_plan_queries(queries, statement->text,
								CURSOR_OPT_PARALLEL_OK, NULL))
		execute_plan(lfirst_node(PlannedStmt, lc), statement->text);
	error_context_stack = callback.previous;
}

/*
 * Execute a statement of a script that mentions tables with hidden columns
 * and may mean all columns of them: analyzed as if these were dropped.  False
 * if it is none such, and nothing was done.
 */
bool
sv_expand_execute(const SvStatement *statement)
{
	Mentions	mentions = {NIL, NIL};

	if (migration.hiding == NIL || IsA(statement->raw->stmt, ViewStmt) ||
		IsA(statement->raw->stmt, CreateStmt))
		return false;
	find_in_statement(statement->raw->stmt, &mentions);
	if (mentions.relations == NIL)
		return false;
	sv_expand_run(statement, sv_expand_analyze(statement));
	return true;
}

/*
 * The migration
 */

static bool
is_running(void)
{
	return migration.product && !migration.ended;
}

static bool
is_expanding(void)
{
	return is_running() && migration.releases != NIL && !in_trial;
}

/* tables that hide columns have a view in the current version's schema */
static List *
find_hiding(const SvRelease *from)
{
	List	   *tables = NIL;
	ListCell   *ls;
	ListCell   *lv;

	foreach(ls, from->schemas)
	{
		Oid			schema = get_namespace_oid(lfirst(ls), true);

		foreach(lv, OidIsValid(schema) ?
				sv_catalog_objects_of_schema(schema, RelationRelationId) : NIL)
		{
			Oid			base;
			List	   *columns;

			if (sv_contract_read_view(lfirst_oid(lv), &base, &columns))
				tables = list_append_unique_oid(tables, base);
		}
	}
	return tables;
}

/*
 * From here on retain what a script drops and one of these releases needs;
 * columns whose directives ask for it are split.  Without a script another
 * release, "to", becomes the current one.
 * Ends with sv_expand_end() and sv_expand_settle(), or with the
 * subtransaction.
 */
void
sv_expand_begin(const SvProduct *product, const SvRelease *from,
				const SvRelease *to, List *releases, const SvScript *script)
{
	MemoryContext context;
	ListCell   *lc;

	memset(&migration, 0, sizeof(migration));
	migration.context = AllocSetContextCreate(TopTransactionContext,
											  "schemaver expand",
											  ALLOCSET_DEFAULT_SIZES);
	context = MemoryContextSwitchTo(migration.context);
	migration.product = product;
	migration.from = from;
	migration.to = to;
	migration.script = script;
	migration.releases = list_copy(releases);
	migration.hiding = from ? find_hiding(from) : NIL;
	migration.subid = GetCurrentSubTransactionId();
	sv_require_begin();
	sv_lost_begin();
	sv_plain_begin();
	sv_defer_begin(product, from ? script : NULL);
	MemoryContextSwitchTo(context);

	/* the new version needs views that hide their columns as well */
	foreach(lc, migration.hiding)
		sv_contract_touch(RelationRelationId, lfirst_oid(lc));
	foreach(lc, sv_sync_tables())
		sv_expand_freeze(lfirst_oid(lc));
	foreach(lc, script ? sv_directive_split(product, from, script) : NIL)
	{
		add_hiding(lfirst_oid(lc));
		sv_expand_freeze(lfirst_oid(lc));
	}
}

/*
 * Does a trigger's function say the name of a column or table that the script
 * has dropped?  A column of another table counts if that is named as well.
 */
static bool
deals_with_retained(Oid function, Oid relation)
{
	ListCell   *le;
	ListCell   *lc;

	foreach(le, sv_contract_touched_entries(unconstify(SvRelease *,
													   migration.from)))
	{
		SvEntry    *entry = lfirst(le);
		SvEntry    *now = sv_contract_resolve(entry);

		if (now == NULL || !sv_contract_is_relation(entry->kind))
			continue;
		if (entry->physical != relation &&
			!sv_routine_mentions(function, entry->name))
			continue;
		if (strcmp(now->schema, SV_RETAINED_SCHEMA) == 0)
			return true;
		foreach(lc, entry->columns)
		{
			SvPart	   *then = lfirst(lc);
			SvPart	   *column = sv_contract_find_column(entry, then, now);

			if (column && sv_is_hidden(column->name) &&
				sv_routine_mentions(function, then->name))
				return true;
		}
	}
	return false;
}

/* what matters of a trigger in comparing it */
typedef struct Firing
{
	Oid			trigger;
	char	   *name;
	Oid			function;
	bool		is_new;			/* made by this transaction */
	int16		events;
	int16		moment;			/* before or after, each row or statement */
} Firing;

static Firing
read_firing(HeapTuple tuple)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	Firing		firing;

	firing.trigger = form->oid;
	firing.name = pstrdup(NameStr(form->tgname));
	firing.function = form->tgfoid;
	firing.is_new = !form->tgisinternal &&
		!sv_is_hidden(NameStr(form->tgname)) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)) &&
		sv_catalog_entries_with(form->oid) == NIL;
	firing.events = form->tgtype & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_DELETE |
									TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_TRUNCATE);
	firing.moment = form->tgtype & (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE |
									TRIGGER_TYPE_INSTEAD);
	return firing;
}

/*
 * Has the script made another trigger that fires whenever the hidden one does?
 * Then that does the work now, unless the old function deals with what the
 * script has dropped as well, which the new one cannot.  NULL if there is none.
 */
static Firing *
find_successor(const HiddenTrigger *hidden)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Firing		old = {0};
	List	   *others = NIL;
	ListCell   *lc;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(hidden->relation));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Firing	   *firing = palloc(sizeof(Firing));

		*firing = read_firing(tuple);
		if (firing->trigger == hidden->trigger)
			old = *firing;
		else if (firing->is_new &&
				 !sv_is_own_trigger(NameStr(((Form_pg_trigger) GETSTRUCT(tuple))->tgname)))
			others = lappend(others, firing);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(lc, others)
	{
		Firing	   *firing = lfirst(lc);

		if (firing->moment == old.moment &&
			(firing->events & old.events) == old.events)
			return deals_with_retained(old.function, hidden->relation) ?
				NULL : firing;
	}
	return NULL;
}

/* has another trigger taken the name, or the work, of the hidden one? */
static bool
is_replaced(const HiddenTrigger *hidden)
{
	Oid			trigger = get_trigger_oid(hidden->relation, hidden->name, true);
	Firing	   *successor;

	if (OidIsValid(trigger) && trigger != hidden->trigger)
		return true;
	successor = find_successor(hidden);
	if (successor)
		sv_contract_move_trigger(hidden->trigger, successor->trigger,
								 successor->name);
	return successor != NULL;
}

/* a trigger that was made anew has replaced the hidden one */
static void
drop_replaced_triggers(void)
{
	ListCell   *lc;

	foreach(lc, migration.triggers)
	{
		HiddenTrigger *hidden = lfirst(lc);
		ObjectAddress address;

		if (!OidIsValid(hidden->relation) ||
			get_rel_name(hidden->relation) == NULL ||
			!is_replaced(hidden))
			continue;
		ObjectAddressSet(address, TriggerRelationId, hidden->trigger);
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
		CommandCounterIncrement();
		sv_contract_touch(RelationRelationId, hidden->relation);
	}
}

static void
forget_migration(void)
{
	if (migration.context)
	{
		MemoryContextDelete(migration.context);
		sv_defer_end();
	}
	memset(&migration, 0, sizeof(migration));
	in_trial = false;
}

/*
 * The script has run.
 */
void
sv_expand_end(void)
{
	sv_expand_follow_names();
	drop_replaced_triggers();
	sv_settle_put_away(migration.put_away);
	sv_require_end();
	migration.ended = true;
}

/*
 * All is done that may move or rename what columns are computed from, or make
 * triggers.
 */
void
sv_expand_settle(void)
{
	ListCell   *lc;

	sv_expand_follow_names();
	foreach(lc, sv_sync_tables())
		sv_sync_place(lfirst_oid(lc));
	forget_migration();
}

static void
end_transaction(XactEvent event, void *arg)
{
	(void) event;
	(void) arg;
	migration.context = NULL;
	sv_defer_forget();
	sv_lost_begin();
	sv_plain_begin();
	forget_migration();
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId mine,
				   SubTransactionId parent, void *arg)
{
	(void) parent;
	(void) arg;
	if (migration.product && event == SUBXACT_EVENT_ABORT_SUB &&
		mine == migration.subid)
		forget_migration();
}

/*
 * Get in front of commands and of queries.
 */
void
sv_expand_init(void)
{
	next_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	next_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = check_query;
	next_object_access = object_access_hook;
	object_access_hook = see_drop;
	next_emit_log = emit_log_hook;
	emit_log_hook = hear_notice;
	CacheRegisterRelcacheCallback(see_change, (Datum) 0);
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
}
