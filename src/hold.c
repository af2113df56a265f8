/*-------------------------------------------------------------------------
 *
 * hold.c
 *	  Hold older versions to the NOT NULL of columns that the newest leaves
 *	  out.
 *
 * A column that the newest version has dropped, or that it has another one in
 * the place of, may be NULL in what that writes.  To the versions that have
 * the column as NOT NULL it is that still: what they write fails as before,
 * with the same SQLSTATE and in the names that they know.  A CHECK could not
 * tell their own NULL from one that the newest version has left in a row that
 * they update.  So it is a trigger, and one AFTER the row's other triggers,
 * whose row is the final one.  Its condition keeps it from everybody else:
 *
 *		WHEN (schemaver.writes_as(product, versions))
 *
 * All there is to know stands in its arguments, so that it is dumped and
 * restored with the table: the product, then for each column its name and the
 * versions that are held.  Columns are hidden and come back by retain.c, which
 * says so here.
 *
 * Contracts do not know the trigger.  What the arguments say is believed only
 * where the contract of the writer's version says so as well, and where it is
 * that version's code that writes: trigger functions are the newest's, whoever
 * makes them fire, and leave out what it does not know.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(schemaver_hold);

/* as much of a value as the server shows in errors */
#define SHOWN_LENGTH	64

/* a column, and the versions that must not leave it NULL */
typedef struct Held
{
	char	   *column;
	List	   *versions;		/* char * */
} Held;

/* rows of a table that a command has taken out of partitions */
typedef struct TakenOut
{
	Oid			root;
	char		what[NAMEDATALEN];	/* what they do not keep to */
	int			rows;
} TakenOut;

/* those of one command, in the transaction's memory */
static struct
{
	LocalTransactionId transaction;
	CommandId	command;
	List	   *rows;			/* of TakenOut */
}			taken_out;

/*
 * The trigger and its arguments
 */

static Trigger *
find_trigger(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (strcmp(trigger->tgname, SV_HOLD_TRIGGER) == 0 &&
			sv_catalog_is_own_function(trigger->tgfoid))
			return trigger;
	}
	return NULL;
}

/*
 * The versions of an argument, the text of an array: a list of char *.
 */
List *
sv_hold_versions(const char *text)
{
	Datum		array = OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(text),
										 ObjectIdGetDatum(TEXTOID),
										 Int32GetDatum(-1));

	return sv_catalog_text_list(DatumGetArrayTypeP(array));
}

/*
 * Versions, a list of char *, as the text of an array; they need no escapes.
 */
char *
sv_hold_versions_text(List *versions)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, versions)
		appendStringInfo(&text, "%c\"%s\"", text.len ? ',' : '{',
						 (char *) lfirst(lc));
	appendStringInfoChar(&text, '}');
	return text.data;
}

/* what arguments say: a list of Held; the product if asked for */
static List *
held_of(List *arguments, char **product)
{
	List	   *held = NIL;

	for (int i = 1; i + 1 < list_length(arguments); i += 2)
	{
		Held	   *column = palloc(sizeof(Held));

		column->column = list_nth(arguments, i);
		column->versions = sv_hold_versions(list_nth(arguments, i + 1));
		held = lappend(held, column);
	}
	if (product)
		*product = arguments != NIL ? linitial(arguments) : NULL;
	return held;
}

/* what a table's trigger must hold, whatever has become of it since */
static List *
read_held(Oid relation, char **product)
{
	return held_of(sv_catalog_held(relation), product);
}

static List *
arguments_of(const char *product, List *held)
{
	List	   *arguments = list_make1(pstrdup(product));
	ListCell   *lc;

	foreach(lc, held)
	{
		Held	   *column = lfirst(lc);

		arguments = lappend(arguments, column->column);
		arguments = lappend(arguments,
							sv_hold_versions_text(column->versions));
	}
	return arguments;
}

/* all versions that are held to anything: char * */
static List *
all_versions(List *held)
{
	List	   *versions = NIL;
	ListCell   *lc;

	foreach(lc, held)
		versions = sv_catalog_add_texts(versions,
										((Held *) lfirst(lc))->versions);
	return versions;
}

static void
drop_trigger(Oid relation)
{
	ObjectAddress address;
	Oid			trigger = get_trigger_oid(relation, SV_HOLD_TRIGGER, true);

	if (!OidIsValid(trigger))
		return;
	ObjectAddressSet(address, TriggerRelationId, trigger);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/*
 * The statement that makes it.  Rows that go from one partition to another are
 * told by what is deleted.
 */
static char *
trigger_text(Oid relation, const char *product, List *held)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE OR REPLACE TRIGGER %s AFTER INSERT OR UPDATE%s ON %s FOR EACH ROW WHEN (%s.writes_as(%s, %s::%s.version[])) EXECUTE FUNCTION %s.hold(",
					 quote_identifier(SV_HOLD_TRIGGER),
					 get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE ?
					 " OR DELETE" : "",
					 sv_catalog_relation_name(relation), SV_SCHEMA,
					 quote_literal_cstr(product),
					 quote_literal_cstr(sv_hold_versions_text(all_versions(held))),
					 SV_SCHEMA, SV_SCHEMA);
	foreach(lc, arguments_of(product, held))
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* make the trigger what it must be */
static void
make_trigger(Oid relation, const char *product, List *held)
{
	char	   *text = trigger_text(relation, product, held);
	RawStmt    *raw = linitial(raw_parser(text, RAW_PARSE_DEFAULT));

	(void) CreateTrigger(castNode(CreateTrigStmt, raw->stmt), text, relation,
						 InvalidOid, InvalidOid, InvalidOid, InvalidOid,
						 InvalidOid, NULL, false, false);
	CommandCounterIncrement();
}

/* and note what that is */
static void
put_trigger(Oid relation, const char *product, List *held)
{
	SvIdentity	identity;

	sv_catalog_become_owner(&identity);
	if (held == NIL)
		drop_trigger(relation);
	else
		make_trigger(relation, product, held);
	sv_catalog_note_held(relation, held ? arguments_of(product, held) : NIL,
						 NULL);
	sv_catalog_become_caller(&identity);
	if (sv_contract_collecting())
		sv_contract_touch(RelationRelationId, relation);
}

/*
 * Can a relation have such a trigger itself?  A partition gets that of its
 * parent.
 */
bool
sv_hold_is_own_table(Oid relation)
{
	char		relkind = get_rel_relkind(relation);

	return (relkind == RELKIND_RELATION ||
			relkind == RELKIND_PARTITIONED_TABLE) &&
		!get_rel_relispartition(relation);
}

/*
 * Holding
 */

/* the supported versions that have a column as NOT NULL: char * */
static List *
versions_demanding(Oid relation, AttrNumber number, char **product)
{
	List	   *versions = NIL;
	ListCell   *lp;
	ListCell   *lr;

	foreach(lp, sv_catalog_products())
	{
		foreach(lr, sv_catalog_releases(lfirst(lp), true))
		{
			const SvRelease *release = lfirst(lr);
			const SvEntry *entry = sv_catalog_entry_of(release, relation);
			const SvPart *part = entry ?
			sv_contract_column_at(entry, number) : NULL;

			if (part == NULL || !part->notnull)
				continue;
			*product = ((SvProduct *) lfirst(lp))->name;
			versions = lappend(versions, sv_version_text(release->version));
		}
	}
	return versions;
}

static void
hold_in_table(Oid relation, const char *product, Held *column)
{
	List	   *held = NIL;
	ListCell   *lc;

	foreach(lc, read_held(relation, NULL))
	{
		if (strcmp(((Held *) lfirst(lc))->column, column->column) != 0)
			held = lappend(held, lfirst(lc));
	}
	put_trigger(relation, product, lappend(held, column));
}

/*
 * A column of a table, and of its heirs, is not NOT NULL any more.  To those
 * supported versions that have it as that it is still.  The caller has locked
 * the tables in ACCESS EXCLUSIVE mode.
 */
void
sv_hold_column(Oid relation, AttrNumber number)
{
	Held		column = {get_attname(relation, number, false), NIL};
	char	   *product = NULL;
	ListCell   *lc;

	column.versions = versions_demanding(relation, number, &product);
	foreach(lc, column.versions != NIL ?
			find_all_inheritors(relation, NoLock, NULL) : NIL)
	{
		if (sv_hold_is_own_table(lfirst_oid(lc)))
			hold_in_table(lfirst_oid(lc), product, &column);
	}
}

static void
rename_in_table(Oid relation, const char *from, char *to)
{
	char	   *product;
	List	   *held = read_held(relation, &product);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, held)
	{
		Held	   *column = lfirst(lc);

		if (strcmp(column->column, from) != 0)
			continue;
		column->column = to;
		found = true;
	}
	if (found)
		put_trigger(relation, product, held);
}

/*
 * A column of a table, and of its heirs, has got another name.
 */
void
sv_hold_rename(Oid relation, const char *from, const char *to)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		if (sv_hold_is_own_table(lfirst_oid(lc)))
			rename_in_table(lfirst_oid(lc), from, pstrdup(to));
	}
}

/*
 * Letting go
 */

/*
 * Those of a column's versions that are supported, and those that have come
 * since and have it as NOT NULL; NIL if it is gone, or NOT NULL for all, by a
 * CHECK until a job is done.
 */
static List *
versions_left(Oid relation, const Held *column, List *supported)
{
	AttrNumber	number = get_attnum(relation, column->column);
	char	   *product;
	List	   *left = NIL;
	ListCell   *lc;

	if (number <= 0 || sv_catalog_is_not_null(relation, number) ||
		sv_contract_pending_check(relation, number))
		return NIL;
	foreach(lc, column->versions)
	{
		if (sv_catalog_has_text(supported, lfirst(lc)))
			left = lappend(left, lfirst(lc));
	}
	return sv_catalog_add_texts(left, versions_demanding(relation, number,
														 &product));
}

static void
settle_table(Oid relation, const char *product, List *supported)
{
	char	   *of;
	List	   *left = NIL;
	bool		changed = false;
	ListCell   *lc;
	List	   *held = read_held(relation, &of);

	if (of == NULL || strcmp(of, product) != 0)
		return;
	foreach(lc, held)
	{
		Held	   *column = lfirst(lc);
		List	   *versions = versions_left(relation, column, supported);

		changed |= !sv_catalog_same_texts(versions, column->versions);
		column->versions = versions;
		if (versions != NIL)
			left = lappend(left, column);
	}
	if (changed)
		put_trigger(relation, product, left);
}

/*
 * Versions of a product have come or been retired, or others are current:
 * nobody is held any more to what is NOT NULL for all again, or gone.
 */
void
sv_hold_settle(const SvProduct *product)
{
	List	   *supported = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(product, true))
		supported = lappend(supported,
							sv_version_text(((SvRelease *) lfirst(lc))->version));
	sv_catalog_note_held(InvalidOid, NIL, product->name);
	foreach(lc, sv_catalog_held_tables())
		settle_table(lfirst_oid(lc), product->name, supported);
}

/*
 * What somebody else has done to it
 */

/* what the trigger of a table itself says, a list of strings */
static List *
arguments_there(const Trigger *trigger)
{
	List	   *arguments = NIL;

	for (int i = 0; i < trigger->tgnargs; i++)
		arguments = lappend(arguments, pstrdup(trigger->tgargs[i]));
	return arguments;
}

/*
 * Does a trigger say just that, a list of strings?
 */
bool
sv_hold_has_arguments(const Trigger *trigger, List *arguments)
{
	return sv_catalog_same_texts(arguments_there(trigger), arguments);
}

/*
 * Note the triggers of a product's tables as they are there: a dump has
 * brought them, without the notes.
 */
void
sv_hold_note_all(const SvProduct *product)
{
	ListCell   *lc;

	foreach(lc, sv_contract_triggered_tables("hold"))
	{
		Relation	table = relation_open(lfirst_oid(lc), AccessShareLock);
		Trigger    *trigger = find_trigger(table);

		if (trigger && trigger->tgnargs > 0 &&
			strcmp(trigger->tgargs[0], product->name) == 0)
			sv_catalog_note_held(lfirst_oid(lc), arguments_there(trigger),
								 product->name);
		relation_close(table, AccessShareLock);
	}
}

/*
 * The tables of a product that must have the trigger: OIDs.
 */
List *
sv_hold_tables(const SvProduct *product)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_held_tables())
	{
		List	   *arguments = sv_catalog_held(lfirst_oid(lc));

		if (arguments != NIL &&
			strcmp(linitial(arguments), product->name) == 0)
			tables = lappend_oid(tables, lfirst_oid(lc));
	}
	return tables;
}

/*
 * Is a trigger's condition a call of writes_as() for these?
 */
bool
sv_hold_has_condition(const Trigger *trigger, const char *product,
					  List *versions)
{
	FuncExpr   *call = trigger->tgqual ? stringToNode(trigger->tgqual) : NULL;
	char	   *name = call && IsA(call, FuncExpr) ?
	get_func_name(call->funcid) : NULL;
	Const	   *first;
	Const	   *second;

	if (name == NULL || strcmp(name, "writes_as") != 0 ||
		list_length(call->args) != 2)
		return false;
	first = linitial(call->args);
	second = lsecond(call->args);
	return IsA(first, Const) && IsA(second, Const) &&
		strcmp(TextDatumGetCString(first->constvalue), product) == 0 &&
		sv_catalog_same_texts(sv_hold_versions(OidOutputFunctionCall(F_ARRAY_OUT,
														  second->constvalue)),
				   versions);
}

static SvTriggerState
state_of_trigger(const Trigger *trigger, List *arguments)
{
	int16		type = TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER |
		TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE;

	if (trigger == NULL)
		return SV_TRIGGER_MISSING;
	if (trigger->tgenabled == TRIGGER_DISABLED)
		return SV_TRIGGER_DISABLED;
	if (trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN ||
		(trigger->tgtype & ~TRIGGER_TYPE_DELETE) != type ||
		trigger->tgnattr > 0 ||
		!sv_hold_has_arguments(trigger, arguments) ||
		!sv_hold_has_condition(trigger, linitial(arguments),
							   all_versions(held_of(arguments, NULL))))
		return SV_TRIGGER_ALTERED;
	return SV_TRIGGER_SET;
}

/*
 * Is the trigger of a table that must have one what a migration has left, in
 * every partition?  If not, *culprit is the first table whose own is not.
 * Locks each in AccessShareLock meanwhile.
 */
SvTriggerState
sv_hold_state(Oid relation, Oid *culprit)
{
	List	   *arguments = sv_catalog_held(relation);
	List	   *tables = get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE ?
	find_all_inheritors(relation, NoLock, NULL) :
	list_make1_oid(relation);
	SvTriggerState state = SV_TRIGGER_SET;
	ListCell   *lc;

	foreach(lc, arguments != NIL ? tables : NIL)
	{
		Relation	table = try_relation_open(lfirst_oid(lc), AccessShareLock);

		if (table == NULL)
			continue;
		*culprit = lfirst_oid(lc);
		if (table->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
			state = state_of_trigger(find_trigger(table), arguments);
		relation_close(table, AccessShareLock);
		if (state != SV_TRIGGER_SET)
			break;
	}
	return state;
}

/*
 * Make the trigger of a table anew that is not what a migration has left.
 * Locks the table in AccessExclusiveLock.
 */
void
sv_hold_restore(Oid relation)
{
	char	   *product;
	List	   *held = read_held(relation, &product);
	SvIdentity	identity;

	sv_catalog_become_owner(&identity);
	drop_trigger(relation);
	make_trigger(relation, product, held);
	sv_catalog_become_caller(&identity);
}

/*
 * When a row is written
 */

/*
 * Is it the code of the session's version that runs?  In a trigger function of
 * the newest version its schemas are not in the path, see newest.c.
 */
static bool
is_code_of_version(void)
{
	List	   *schemas = sv_registry_schemas();
	ListCell   *lc;

	foreach(lc, fetch_search_path(false))
	{
		if (list_member_oid(schemas, lfirst_oid(lc)))
			return true;
	}
	return false;
}

/*
 * The id of the release of a product that this session is registered under, if
 * it is the code of that version that runs; or else 0.
 */
int32
sv_hold_session(const char *product)
{
	const char *name;
	const SvVersion *version;
	int32		id = sv_registry_session(&name, &version);

	return id && strcmp(name, product) == 0 && is_code_of_version() ? id : 0;
}

/*
 * Is this session registered under one of the versions, the text of an array,
 * and is it the code of that version that runs?
 */
bool
sv_hold_concerns(const char *product, const char *versions)
{
	const char *name;
	const SvVersion *version;
	ListCell   *lc;

	if (!sv_hold_session(product))
		return false;
	(void) sv_registry_session(&name, &version);
	foreach(lc, sv_hold_versions(versions))
	{
		if (sv_version_compare(sv_version_parse(lfirst(lc)), version) == 0)
			return true;
	}
	return false;
}

/*
 * The table that versions know: of a partition its root.
 */
Oid
sv_hold_table(Relation relation)
{
	return relation->rd_rel->relispartition ?
		llast_oid(get_partition_ancestors(RelationGetRelid(relation))) :
		RelationGetRelid(relation);
}

/*
 * What the version of this session expects of a table.  NULL if it does not
 * know it, or the session is not registered.
 */
const SvEntry *
sv_hold_entry(Oid table)
{
	SvRelease  *release = sv_registry_session_release();

	return release ? sv_catalog_entry_of(release, table) : NULL;
}

/*
 * What it expects of a column: *entry is what it does of the table.
 */
const SvPart *
sv_hold_known(Oid table, const char *column, const SvEntry **entry)
{
	*entry = sv_hold_entry(table);
	return *entry ?
		sv_contract_column_at(*entry, get_attnum(table, column)) : NULL;
}

/*
 * What such errors call the table: of a partition it is the partition.
 */
const char *
sv_hold_shown_name(Relation relation, const SvEntry *entry)
{
	return relation->rd_rel->relispartition ?
		RelationGetRelationName(relation) : entry->name;
}

/* a value as such errors show it, which is no more than its beginning */
static void
append_value(StringInfo text, Oid type, Datum value)
{
	Oid			output;
	bool		is_varlena;
	char	   *shown;
	int			length;

	getTypeOutputInfo(type, &output, &is_varlena);
	shown = OidOutputFunctionCall(output, value);
	length = strlen(shown);
	if (length <= SHOWN_LENGTH)
		appendStringInfoString(text, shown);
	else
		appendStringInfo(text, "%.*s...",
						 pg_mbcliplen(shown, length, SHOWN_LENGTH), shown);
}

/* a column of a table, or of a partition of it, by what versions know of it */
static AttrNumber
number_of(Relation relation, const SvPart *part)
{
	char	   *name = part->number > 0 ?
	get_attname(sv_hold_table(relation), part->number, true) : NULL;

	return name ? get_attnum(RelationGetRelid(relation), name) :
		InvalidAttrNumber;
}

/* the columns that a version has, or who knows none but hidden ones */
static List *
shown_columns(Relation relation, const SvEntry *entry)
{
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *numbers = NIL;
	ListCell   *lc;

	foreach(lc, entry ? entry->columns : NIL)
	{
		AttrNumber	number = number_of(relation, lfirst(lc));

		if (number > 0)
			numbers = lappend_int(numbers, number);
	}
	for (int i = 0; entry == NULL && i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped &&
			!sv_is_hidden(NameStr(TupleDescAttr(desc, i)->attname)))
			numbers = lappend_int(numbers, i + 1);
	}
	return numbers;
}

/*
 * May the user read all of a table, so that its rows are no secret to him?
 */
bool
sv_hold_may_read(Oid relation)
{
	return pg_class_aclcheck(relation, GetUserId(),
							 ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED;
}

/*
 * The row that such errors show, as a version sees it, or who is in none where
 * "entry" is NULL.  NULL if the user may not read all of the table.
 */
char *
sv_hold_row(Relation relation, const Datum *values, const bool *isnull,
			const SvEntry *entry)
{
	StringInfoData text;
	ListCell   *lc;

	if (!sv_hold_may_read(RelationGetRelid(relation)))
		return NULL;
	initStringInfo(&text);
	foreach(lc, shown_columns(relation, entry))
	{
		int			i = lfirst_int(lc) - 1;

		appendStringInfoString(&text, text.len ? ", " : "(");
		if (isnull[i])
			appendStringInfoString(&text, "null");
		else
			append_value(&text,
						 TupleDescAttr(RelationGetDescr(relation), i)->atttypid,
						 values[i]);
	}
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* the error that the version has got before, if it has the column as NOT NULL */
static void
refuse_null(Relation relation, const char *column, TupleTableSlot *row)
{
	const SvEntry *entry;
	const SvPart *part = sv_hold_known(sv_hold_table(relation), column, &entry);
	const char *shown;
	char	   *shown_row;

	if (part == NULL || !part->notnull)
		return;
	shown = sv_hold_shown_name(relation, entry);
	slot_getallattrs(row);
	shown_row = sv_hold_row(relation, row->tts_values, row->tts_isnull, entry);
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
					part->name, shown),
			 shown_row ? errdetail("Failing row contains %s.", shown_row) : 0,
			 err_generic_string(PG_DIAG_SCHEMA_NAME, entry->schema),
			 err_generic_string(PG_DIAG_TABLE_NAME, shown),
			 err_generic_string(PG_DIAG_COLUMN_NAME, part->name)));
}

/* what is noted of this command, NULL if nothing is */
static TakenOut *
find_taken_out(Oid root, const char *what)
{
	ListCell   *lc;

	if (taken_out.transaction != MyProc->lxid)
		taken_out.rows = NIL;
	else if (taken_out.command != GetCurrentCommandId(false))
	{
		list_free_deep(taken_out.rows);
		taken_out.rows = NIL;
	}
	taken_out.transaction = MyProc->lxid;
	taken_out.command = GetCurrentCommandId(false);
	foreach(lc, taken_out.rows)
	{
		TakenOut   *noted = lfirst(lc);

		if (noted->root == root && strcmp(noted->what, what) == 0)
			return noted;
	}
	return NULL;
}

/*
 * Note that a row of a table goes that does not keep to something, a name;
 * maybe it comes in another partition.
 */
void
sv_hold_note_taken_out(Oid root, const char *what)
{
	TakenOut   *noted = find_taken_out(root, what);

	if (noted == NULL)
	{
		MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);

		noted = palloc0(sizeof(TakenOut));
		noted->root = root;
		strlcpy(noted->what, what, NAMEDATALEN);
		taken_out.rows = lappend(taken_out.rows, noted);
		MemoryContextSwitchTo(context);
	}
	noted->rows++;
}

/*
 * Is it such a row that comes?  Each is found once.
 */
bool
sv_hold_was_taken_out(Oid root, const char *what)
{
	TakenOut   *noted = find_taken_out(root, what);

	if (noted == NULL || noted->rows == 0)
		return false;

	/* rows come one by one, so that there are never many that are not found */
	if (--noted->rows == 0)
	{
		taken_out.rows = list_delete_ptr(taken_out.rows, noted);
		pfree(noted);
	}
	return true;
}

/* look at one column of the row */
static void
hold_row(const TriggerData *trigdata, const char *column,
		 const char *versions)
{
	Relation	relation = trigdata->tg_relation;
	const char *product = trigdata->tg_trigger->tgargs[0];
	TupleTableSlot *row = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
	trigdata->tg_newslot : trigdata->tg_trigslot;
	int			number = SPI_fnumber(RelationGetDescr(relation), column);

	/* a NULL that was there before is somebody else's */
	if (number <= 0 || !slot_attisnull(row, number) ||
		(TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
		 slot_attisnull(trigdata->tg_trigslot, number)) ||
		!sv_hold_concerns(product, versions))
		return;
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		sv_hold_note_taken_out(sv_hold_table(relation), column);
	else if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
			 !relation->rd_rel->relispartition ||
			 !sv_hold_was_taken_out(sv_hold_table(relation), column))
		refuse_null(relation, column, row);
}

/*
 * schemaver.hold() returns trigger
 *
 * For AFTER INSERT OR UPDATE [OR DELETE] ... FOR EACH ROW.
 */
Datum
schemaver_hold(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Trigger    *trigger;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("schemaver.hold() must be called by a trigger after insert or update for each row")));
	trigger = trigdata->tg_trigger;
	for (int i = 1; i + 1 < trigger->tgnargs; i += 2)
		hold_row(trigdata, trigger->tgargs[i], trigger->tgargs[i + 1]);
	return PointerGetDatum(NULL);
}
