/*-------------------------------------------------------------------------
 *
 * split.c
 *	  What stands on a column that gets another one in its place.
 *
 * A column with both directives is split before the script runs: the newest
 * version gets one of its own under the name, the older ones keep theirs.  A
 * script that changes nothing but rows is not refused by the server because
 * there are views, triggers, policies or generated columns on the column.  So
 * these follow the name: they are taken down as text before, by the server,
 * and made again after, in place, so that they stay the objects that they are.
 *
 * Views and functions that an older version can see are kept for it as they
 * were, over the old column.  Generated columns have an old and a new one
 * themselves, see retype.c.  A trigger for an UPDATE OF the column fires for
 * an update of either.
 *
 * Callers hold an ACCESS EXCLUSIVE lock on the table.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* something that stands on the column */
typedef struct Standing
{
	Oid			class_id;
	Oid			object;
	Oid			function;		/* trigger: what it calls */
	List	   *commands;		/* that make it again in place: char * */
} Standing;

struct SvStanding
{
	Oid			relation;
	List	   *functions;		/* of Standing, in the order to make them */
	List	   *views;			/* the lowest first */
	List	   *others;
	List	   *statistics;		/* retype.c makes them for a split */
};

static char *
text_of(PGFunction deparse, Oid object)
{
	return TextDatumGetCString(DirectFunctionCall1(deparse,
												   ObjectIdGetDatum(object)));
}

static Standing *
stand(Oid class_id, Oid object)
{
	Standing   *standing = palloc(sizeof(Standing));

	standing->class_id = class_id;
	standing->object = object;
	standing->function = InvalidOid;
	standing->commands = NIL;
	return standing;
}

static void
command(Standing *standing, char *text)
{
	standing->commands = lappend(standing->commands, text);
}

static bool
is_among(List *standings, Oid class_id, Oid object)
{
	ListCell   *lc;

	foreach(lc, standings)
	{
		Standing   *standing = lfirst(lc);

		if (standing->object == object && standing->class_id == class_id)
			return true;
	}
	return false;
}

/*
 * Reading
 */

static char *
view_options(HeapTuple tuple)
{
	bool		isnull;
	Datum		options = SysCacheGetAttr(RELOID, tuple,
										  Anum_pg_class_reloptions, &isnull);
	StringInfoData text;
	ListCell   *lc;

	if (isnull)
		return "";
	initStringInfo(&text);
	foreach(lc, untransformRelOptions(options))
	{
		DefElem    *option = lfirst(lc);

		appendStringInfo(&text, "%s%s = %s", text.len ? ", " : " WITH (",
						 quote_identifier(option->defname),
						 quote_literal_cstr(defGetString(option)));
	}
	appendStringInfoChar(&text, ')');
	return text.data;
}

static void read_column(SvStanding *all, Oid relation, AttrNumber number);

/* a view, and behind it those that stand on it */
static void
read_view(SvStanding *all, Oid view)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
	Standing   *standing = stand(RelationRelationId, view);

	/* a materialized view cannot be replaced: see sv_split_check() */
	if (((Form_pg_class) GETSTRUCT(tuple))->relkind != RELKIND_MATVIEW)
		command(standing, psprintf("CREATE OR REPLACE VIEW %s%s AS %s",
								   sv_catalog_relation_name(view),
								   view_options(tuple),
								   text_of(pg_get_viewdef, view)));
	ReleaseSysCache(tuple);
	all->views = lappend(all->views, standing);
	read_column(all, view, InvalidAttrNumber);
}

static void
read_rule(SvStanding *all, Oid rule)
{
	static const char start[] = "CREATE";
	Oid			relation = sv_contract_owning_relation(RewriteRelationId,
													   rule);
	Standing   *standing;

	if (get_rewrite_oid(relation, ViewSelectRuleName, true) == rule)
	{
		/* a view that stands on two of them comes behind both */
		for (int i = 0; i < list_length(all->views); i++)
		{
			if (((Standing *) list_nth(all->views, i))->object == relation)
			{
				all->views = list_delete_nth_cell(all->views, i);
				break;
			}
		}
		read_view(all, relation);
		return;
	}
	standing = stand(RewriteRelationId, rule);
	command(standing, psprintf("CREATE OR REPLACE%s",
							   text_of(pg_get_ruledef, rule) +
							   sizeof(start) - 1));
	all->others = lappend(all->others, standing);
}

/* the command that sets what a trigger fires for, NULL for the usual */
static char *
enabling(Oid relation, const Trigger *trigger)
{
	const char *word;

	switch (trigger->tgenabled)
	{
		case TRIGGER_DISABLED:
			word = "DISABLE";
			break;
		case TRIGGER_FIRES_ON_REPLICA:
			word = "ENABLE REPLICA";
			break;
		case TRIGGER_FIRES_ALWAYS:
			word = "ENABLE ALWAYS";
			break;
		default:
			return NULL;
	}
	return psprintf("ALTER TABLE %s %s TRIGGER %s",
					sv_catalog_relation_name(relation), word,
					quote_identifier(trigger->tgname));
}

/* those of partitions that came from their parent follow it */
static void
read_trigger(SvStanding *all, Oid oid)
{
	Oid			relation = sv_contract_owning_relation(TriggerRelationId, oid);
	Relation	table = table_open(relation, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		Standing   *standing;
		char	   *enable;

		if (trigger->tgoid != oid || trigger->tgisclone)
			continue;
		standing = stand(TriggerRelationId, oid);
		standing->function = trigger->tgfoid;
		command(standing, text_of(pg_get_triggerdef, oid));
		enable = enabling(relation, trigger);
		if (enable)
			command(standing, enable);
		all->others = lappend(all->others, standing);
	}
	table_close(table, NoLock);
}

/* the text of a tree in a catalog's row, NULL if there is none */
static char *
tree_text(HeapTuple tuple, AttrNumber attribute, TupleDesc desc, Oid relation)
{
	bool		isnull;
	Datum		tree = heap_getattr(tuple, attribute, desc, &isnull);

	if (isnull)
		return NULL;
	return TextDatumGetCString(DirectFunctionCall2(pg_get_expr, tree,
												   ObjectIdGetDatum(relation)));
}

/* a row of a catalog by its OID */
static HeapTuple
row_of(Relation catalog, Oid index, AttrNumber oid_column, Oid object)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, index, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	tuple = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	systable_endscan(scan);
	return tuple;
}

static void
read_policy(SvStanding *all, Oid policy)
{
	Relation	catalog = table_open(PolicyRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	HeapTuple	tuple = row_of(catalog, PolicyOidIndexId, Anum_pg_policy_oid,
							   policy);
	Form_pg_policy form = (Form_pg_policy) GETSTRUCT(tuple);
	Standing   *standing = stand(PolicyRelationId, policy);
	char	   *using = tree_text(tuple, Anum_pg_policy_polqual, desc,
								  form->polrelid);
	char	   *check = tree_text(tuple, Anum_pg_policy_polwithcheck, desc,
								  form->polrelid);

	command(standing,
			psprintf("ALTER POLICY %s ON %s%s%s",
					 quote_identifier(NameStr(form->polname)),
					 sv_catalog_relation_name(form->polrelid),
					 using ? psprintf(" USING (%s)", using) : "",
					 check ? psprintf(" WITH CHECK (%s)", check) : ""));
	table_close(catalog, AccessShareLock);
	all->others = lappend(all->others, standing);
}

/* the columns that a publication lists, in parentheses; "" if it lists none */
static char *
published_columns(HeapTuple tuple, TupleDesc desc, Oid relation)
{
	bool		isnull;
	Datum		list = heap_getattr(tuple, Anum_pg_publication_rel_prattrs,
									desc, &isnull);
	StringInfoData names;
	int2vector *numbers;

	if (isnull)
		return "";
	numbers = (int2vector *) PG_DETOAST_DATUM(list);
	initStringInfo(&names);
	for (int i = 0; i < numbers->dim1; i++)
		appendStringInfo(&names, "%s%s", names.len ? ", " : " (",
						 quote_identifier(get_attname(relation,
													  numbers->values[i],
													  false)));
	appendStringInfoChar(&names, ')');
	return names.data;
}

/* a table in a publication */
static void
read_published(SvStanding *all, Oid published)
{
	Relation	catalog = table_open(PublicationRelRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	HeapTuple	tuple = row_of(catalog, PublicationRelObjectIndexId,
							   Anum_pg_publication_rel_oid, published);
	Form_pg_publication_rel form =
	(Form_pg_publication_rel) GETSTRUCT(tuple);
	Standing   *standing = stand(PublicationRelRelationId, published);
	char	   *name = get_publication_name(form->prpubid, false);
	char	   *table = sv_catalog_relation_name(form->prrelid);
	char	   *condition = tree_text(tuple, Anum_pg_publication_rel_prqual,
									  desc, form->prrelid);

	command(standing, psprintf("ALTER PUBLICATION %s DROP TABLE ONLY %s",
							   quote_identifier(name), table));
	command(standing,
			psprintf("ALTER PUBLICATION %s ADD TABLE ONLY %s%s%s",
					 quote_identifier(name), table,
					 published_columns(tuple, desc, form->prrelid),
					 condition ? psprintf(" WHERE (%s)", condition) : ""));
	table_close(catalog, AccessShareLock);
	all->others = lappend(all->others, standing);
}

static void
read_statistics(SvStanding *all, Oid statistics)
{
	Standing   *standing = stand(StatisticExtRelationId, statistics);
	HeapTuple	tuple = SearchSysCache1(STATEXTOID,
										ObjectIdGetDatum(statistics));
	Form_pg_statistic_ext form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	char	   *name =
	quote_qualified_identifier(get_namespace_name(form->stxnamespace),
							   NameStr(form->stxname));
	char	   *comment = GetComment(statistics, StatisticExtRelationId, 0);

	ReleaseSysCache(tuple);
	command(standing, psprintf("DROP STATISTICS %s", name));
	command(standing, pg_get_statisticsobjdef_string(statistics));
	if (comment)
		command(standing, psprintf("COMMENT ON STATISTICS %s IS %s", name,
								   quote_literal_cstr(comment)));
	all->statistics = lappend(all->statistics, standing);
}

static void
read_function(SvStanding *all, Oid function)
{
	Standing   *standing = stand(ProcedureRelationId, function);

	command(standing, text_of(pg_get_functiondef, function));
	all->functions = lappend(all->functions, standing);
}

/* what depends on the column of a table, or on a view */
static void
read_dependent(SvStanding *all, Oid relation, AttrNumber number,
			   const ObjectAddress *object)
{
	ObjectAddress column;

	if (is_among(all->others, object->classId, object->objectId) ||
		is_among(all->functions, object->classId, object->objectId) ||
		is_among(all->statistics, object->classId, object->objectId))
		return;
	switch (object->classId)
	{
		case RewriteRelationId:
			if (sv_contract_owning_relation(RewriteRelationId,
											object->objectId) != relation ||
				number != InvalidAttrNumber)
				read_rule(all, object->objectId);
			break;
		case ProcedureRelationId:
			if (number != InvalidAttrNumber)
				read_function(all, object->objectId);
			break;
		case TriggerRelationId:
			if (number != InvalidAttrNumber)
				read_trigger(all, object->objectId);
			break;
		case PolicyRelationId:
			if (number != InvalidAttrNumber)
				read_policy(all, object->objectId);
			break;
		case PublicationRelRelationId:
			if (number != InvalidAttrNumber)
				read_published(all, object->objectId);
			break;
		case StatisticExtRelationId:
			if (number != InvalidAttrNumber)
				read_statistics(all, object->objectId);
			break;
		case AttrDefaultRelationId:
			column = GetAttrDefaultColumnAddress(object->objectId);
			if (column.objectId == relation && column.objectSubId != number &&
				number != InvalidAttrNumber)
				read_column(all, relation, column.objectSubId);
			break;
		default:
			break;
	}
}

/* what is ours, or retained, depends automatically, and stays where it is */
static void
read_column(SvStanding *all, Oid relation, AttrNumber number)
{
	ListCell   *lc;

	/* a view is taken with all of its columns */
	foreach(lc, sv_catalog_dependents(RelationRelationId, relation,
									  number == InvalidAttrNumber ? -1 :
									  number))
	{
		Form_pg_depend form = lfirst(lc);
		ObjectAddress object;

		ObjectAddressSet(object, form->classid, form->objid);
		if (form->deptype == DEPENDENCY_NORMAL ||
			form->classid == AttrDefaultRelationId ||
			form->classid == StatisticExtRelationId)
			read_dependent(all, relation, number, &object);
	}
}

/*
 * Take down what stands on a column that is about to be split, in the current
 * memory context; for sv_split_remake().
 */
SvStanding *
sv_split_read(Oid relation, AttrNumber number)
{
	SvStanding *all = palloc0(sizeof(SvStanding));
	char	   *column = get_attname(relation, number, false);
	int			nestlevel = sv_contract_enter();
	ListCell   *lc;

	all->relation = relation;
	foreach(lc, find_all_inheritors(relation, AccessShareLock, NULL))
		read_column(all, lfirst_oid(lc),
					get_attnum(lfirst_oid(lc), column));
	sv_contract_leave(nestlevel);
	return all;
}

/*
 * The views that stand on a relation, whatever its columns: as
 * sv_split_views().
 */
List *
sv_split_views_on(Oid relation)
{
	SvStanding *all = palloc0(sizeof(SvStanding));
	int			nestlevel = sv_contract_enter();

	read_column(all, relation, InvalidAttrNumber);
	sv_contract_leave(nestlevel);
	return sv_split_views(all);
}

/*
 * The views that were taken down, materialized ones too: OIDs, the lowest
 * first.
 */
List *
sv_split_views(const SvStanding *all)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, all->views)
		views = lappend_oid(views, ((Standing *) lfirst(lc))->object);
	return views;
}

/*
 * Refuse to split a column that cannot be split because of what was taken down
 * of it: the server has no way to put another query into a materialized view.
 */
void
sv_split_check(const SvStanding *all)
{
	ListCell   *lc;

	foreach(lc, sv_split_views(all))
	{
		Oid			view = lfirst_oid(lc);

		if (get_rel_relkind(view) == RELKIND_MATVIEW)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot give a column two meanings while materialized view \"%s\" is made of it",
							get_rel_name(view)),
					 errhint("Drop it in a migration before, and make it again in this one.")));
	}
}

/*
 * Making again
 */

static void
run(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", statement);
}

static void
remake(const Standing *standing)
{
	ListCell   *lc;

	foreach(lc, standing->commands)
		run(lfirst(lc));
}

static bool
is_named(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			return true;
	}
	return false;
}

/*
 * The columns of an UPDATE OF, and behind them the hidden ones that other
 * versions write in their place.
 */
static List *
with_hidden(Oid relation, List *columns)
{
	List	   *pairs = sv_sync_pairs(relation);
	List	   *names = NIL;
	int			before;
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (!sv_is_hidden(strVal(lfirst(lc))))
			names = lappend(names, lfirst(lc));
	}
	do
	{
		before = list_length(names);
		foreach(lc, pairs)
		{
			SvSyncPair *pair = lfirst(lc);
			bool		has_old = is_named(names, pair->old_column);
			bool		has_new = is_named(names, pair->new_column);

			if (has_new && !has_old && sv_is_hidden(pair->old_column))
				names = lappend(names, makeString(pair->old_column));
			if (has_old && !has_new && sv_is_hidden(pair->new_column))
				names = lappend(names, makeString(pair->new_column));
		}
	} while (list_length(names) > before);
	return names;
}

/* what a trigger is called by now, NULL if it is gone or put away */
static char *
shown_name(Oid relation, Oid oid)
{
	Relation	table = OidIsValid(relation) ?
	table_open(relation, AccessShareLock) : NULL;
	TriggerDesc *triggers = table ? table->trigdesc : NULL;
	char	   *name = NULL;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		if (triggers->triggers[i].tgoid == oid &&
			!sv_is_hidden(triggers->triggers[i].tgname))
			name = pstrdup(triggers->triggers[i].tgname);
	}
	if (table)
		table_close(table, NoLock);
	return name;
}

/*
 * The server does not replace a constraint trigger: another one takes its
 * place, which contracts know from now on.
 */
static void
exchange_trigger(Standing *standing, CreateTrigStmt *statement,
				 const char *text, Oid relation)
{
	char	   *comment = GetComment(standing->object, TriggerRelationId, 0);
	ObjectAddress address;

	ObjectAddressSet(address, TriggerRelationId, standing->object);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	address = CreateTrigger(statement, text, relation, InvalidOid, InvalidOid,
							InvalidOid, standing->function, InvalidOid, NULL,
							false, false);
	CommandCounterIncrement();
	if (comment)
		CreateComments(address.objectId, TriggerRelationId, 0, comment);
	sv_contract_move_trigger(standing->object, address.objectId,
							 statement->trigname);
	standing->object = address.objectId;
}

/* in place; for an update of the old column as well, which others write */
static void
remake_trigger(Standing *standing)
{
	Oid			relation = sv_contract_owning_relation(TriggerRelationId,
													   standing->object);
	char	   *text = linitial(standing->commands);
	RawStmt    *raw = linitial_node(RawStmt,
									raw_parser(text, RAW_PARSE_DEFAULT));
	CreateTrigStmt *statement = castNode(CreateTrigStmt, raw->stmt);
	SvIdentity	identity;

	statement->trigname = shown_name(relation, standing->object);
	if (statement->trigname == NULL)
		return;
	statement->columns = with_hidden(relation, statement->columns);
	statement->replace = !statement->isconstraint;
	sv_catalog_become_owner(&identity);
	if (statement->isconstraint)
		exchange_trigger(standing, statement, text, relation);
	else
		(void) CreateTrigger(statement, text, relation, InvalidOid,
							 InvalidOid, InvalidOid, standing->function,
							 InvalidOid, NULL, false, false);
	sv_catalog_become_caller(&identity);
	CommandCounterIncrement();
	for (int i = 1; i < list_length(standing->commands); i++)
		run(list_nth(standing->commands, i));
}

static void
remake_others(const SvStanding *all)
{
	ListCell   *lc;

	foreach(lc, all->others)
	{
		Standing   *standing = lfirst(lc);

		if (standing->class_id == TriggerRelationId)
			remake_trigger(standing);
		else
			remake(standing);
	}
}

/*
 * The column has been split: make again what was taken down before, for the
 * new one.  Views and functions are kept as they were for the versions that
 * have them in their contracts.  Runs as the user, who must own them.
 */
void
sv_split_remake(SvStanding *all)
{
	ListCell   *lc;

	sv_replace_keep_views(sv_split_views(all));
	SPI_connect();
	foreach(lc, all->functions)
		remake(lfirst(lc));
	foreach(lc, all->views)
		remake(lfirst(lc));
	remake_others(all);
	SPI_finish();
}

/*
 * Another version is to be the current one, and its column to have the name:
 * what was taken down must not go along with the one that has it now, until
 * sv_split_return().  Views and functions are left to shift.c.
 */
void
sv_split_loosen(const SvStanding *all)
{
	ListCell   *lc;

	foreach(lc, list_concat_copy(all->others, all->statistics))
	{
		Standing   *standing = lfirst(lc);

		sv_retain_loosen(standing->class_id, standing->object, all->relation,
						 0);
	}
}

/*
 * The other column has the name by now: make again for it what was loosened.
 * Runs as the user, in a connection of SPI.
 */
void
sv_split_return(SvStanding *all)
{
	ListCell   *lc;

	remake_others(all);
	foreach(lc, all->statistics)
		remake(lfirst(lc));
}
