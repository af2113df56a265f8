/*-------------------------------------------------------------------------
 *
 * plain.c
 *	  Plain indexes that scripts drop.
 *
 * No contract speaks of an index that is not unique, and none is kept when a
 * script drops it: it would go on to cost every write.  What it was is written
 * down, so that a rollback builds it again, and drops it again when it goes
 * forward once more.
 *
 * Columns may be called otherwise by the time it is built: beside the
 * statement stand the names that the columns had, by number.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* what the script that runs has dropped: a list of SvDroppedIndex */
static List *noted = NIL;

/*
 * A script begins to run, or the transaction has ended.
 */
void
sv_plain_begin(void)
{
	noted = NIL;
}

/*
 * Writing down
 */

/* is it an index that a contract does not know, of before the migration? */
static bool
is_plain(Oid index)
{
	Relation	relation = relation_open(index, AccessShareLock);
	bool		result = (relation->rd_rel->relkind == RELKIND_INDEX ||
						  relation->rd_rel->relkind == RELKIND_PARTITIONED_INDEX) &&
		!relation->rd_index->indisunique &&
		relation->rd_index->indisvalid &&
		!relation->rd_rel->relispartition &&
		relation->rd_createSubid == InvalidSubTransactionId &&
		!sv_is_hidden(RelationGetRelationName(relation)) &&
		!OidIsValid(get_index_constraint(index));

	relation_close(relation, NoLock);
	return result;
}

/* what columns are called, by number; "" if they are gone */
static List *
column_names(Oid table)
{
	Relation	relation = relation_open(table, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *names = NIL;

	for (int i = 0; i < desc->natts; i++)
		names = lappend(names, TupleDescAttr(desc, i)->attisdropped ? "" :
						pstrdup(NameStr(TupleDescAttr(desc, i)->attname)));
	relation_close(relation, NoLock);
	return names;
}

static char *
definition_of(Oid index)
{
	int			nestlevel = sv_contract_enter();
	char	   *definition = pg_get_indexdef_string(index);

	sv_contract_leave(nestlevel);
	return definition;
}

/*
 * An index is about to be dropped by a script that leads on from a release.
 */
void
sv_plain_note_drop(const SvProduct *product, const SvRelease *from, Oid index)
{
	MemoryContext context;
	SvDroppedIndex *dropped;
	Oid			table;

	if (from == NULL || (get_rel_relkind(index) != RELKIND_INDEX &&
						 get_rel_relkind(index) != RELKIND_PARTITIONED_INDEX))
		return;
	table = IndexGetRelation(index, true);
	if (!OidIsValid(table) ||
		!sv_catalog_is_base_schema(product,
								   get_namespace_name(get_rel_namespace(table))) ||
		sv_catalog_entry_of(from, table) == NULL || !is_plain(index))
		return;
	context = MemoryContextSwitchTo(TopTransactionContext);
	dropped = palloc0(sizeof(SvDroppedIndex));
	dropped->relation = table;
	dropped->schema = get_namespace_name(get_rel_namespace(index));
	dropped->table = get_rel_name(table);
	dropped->name = get_rel_name(index);
	dropped->definition = definition_of(index);
	dropped->columns = column_names(table);
	noted = lappend(noted, dropped);
	MemoryContextSwitchTo(context);
}

/* is there a supported release on either side of a step to a release? */
static bool
is_between(const SvProduct *product, const SvVersion *version)
{
	bool		has_old = false;
	bool		has_new = false;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(product, true))
	{
		if (sv_version_compare(((SvRelease *) lfirst(lc))->version,
							   version) < 0)
			has_old = true;
		else
			has_new = true;
	}
	return has_old && has_new;
}

/*
 * Forget what was dropped on the way to versions that nobody can go back from
 * or on to any more.  "from" is the release that a new one leads on from, or
 * NULL: what was rolled back cannot be gone on to then.
 */
void
sv_plain_forget(const SvProduct *product, const SvRelease *from)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_dropped_indexes(product))
	{
		SvDroppedIndex *dropped = lfirst(lc);

		if (!is_between(product, dropped->version) ||
			(from && sv_version_compare(dropped->version, from->version) > 0))
			sv_catalog_forget_index(dropped->release_id);
	}
}

/*
 * The script has led on from a release to another: store what it has dropped.
 */
void
sv_plain_store(const SvProduct *product, const SvRelease *from,
			   const SvRelease *to)
{
	ListCell   *lc;

	if (from)
		sv_plain_forget(product, from);
	foreach(lc, noted)
	{
		SvDroppedIndex *dropped = lfirst(lc);

		dropped->release_id = to->id;
		sv_catalog_store_index(dropped);
	}
	noted = NIL;
}

/*
 * Building again
 */

/* what was dropped on the way from one release up to another, or the last */
static List *
dropped_between(const SvProduct *product, const SvRelease *low,
				const SvRelease *high)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dropped_indexes(product))
	{
		SvDroppedIndex *dropped = lfirst(lc);

		if (sv_version_compare(dropped->version, low->version) > 0 &&
			(high == NULL ||
			 sv_version_compare(dropped->version, high->version) <= 0))
			result = lappend(result, dropped);
	}
	return result;
}

/*
 * The table of an index in a release, InvalidOid if it has none.  Numbers are
 * not those of a database that was restored: names must do then.
 */
static Oid
table_in(const SvRelease *release, SvDroppedIndex *dropped)
{
	if (sv_catalog_entry_of(release, dropped->relation))
		return dropped->relation;
	dropped->columns = NIL;
	dropped->relation =
		get_relname_relid(dropped->table,
						  get_namespace_oid(dropped->schema, true));
	return OidIsValid(dropped->relation) &&
		sv_catalog_entry_of(release, dropped->relation) ?
		dropped->relation : InvalidOid;
}

/* what a column is called by now, the same if nobody knows */
static char *
name_now(const SvDroppedIndex *dropped, char *name)
{
	ListCell   *lc;

	foreach(lc, dropped->columns)
	{
		char	   *now = strcmp(lfirst(lc), name) == 0 ?
		get_attname(dropped->relation, foreach_current_index(lc) + 1, true) :
		NULL;

		if (now && !sv_is_hidden(now))
			return now;
	}
	return name;
}

static bool
rename_columns(Node *node, SvDroppedIndex *dropped)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		ColumnRef  *column = (ColumnRef *) node;

		if (list_length(column->fields) == 1 &&
			IsA(linitial(column->fields), String))
			column->fields =
				list_make1(makeString(name_now(dropped,
											   strVal(linitial(column->fields)))));
		return false;
	}
	return raw_expression_tree_walker(node, rename_columns, dropped);
}

static void
rename_elements(List *elements, SvDroppedIndex *dropped)
{
	ListCell   *lc;

	foreach(lc, elements)
	{
		IndexElem  *element = lfirst(lc);

		if (element->name)
			element->name = name_now(dropped, element->name);
		else
			(void) rename_columns(element->expr, dropped);
	}
}

/* run one statement that was made here; every name in it is quoted */
static void
run(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", statement);
}

/* the statement that makes it under a name, in the names of today */
static char *
statement_now(SvDroppedIndex *dropped, char *name)
{
	List	   *raw = raw_parser(dropped->definition, RAW_PARSE_DEFAULT);
	IndexStmt  *statement = (IndexStmt *) linitial_node(RawStmt, raw)->stmt;
	int			nestlevel = sv_contract_enter();
	char	   *text;

	statement->relation->schemaname =
		get_namespace_name(get_rel_namespace(dropped->relation));
	statement->relation->relname = get_rel_name(dropped->relation);
	statement->idxname = name;
	rename_elements(statement->indexParams, dropped);
	rename_elements(statement->indexIncludingParams, dropped);
	(void) rename_columns(statement->whereClause, dropped);
	text = sv_build_index_text(dropped->relation, statement,
							   dropped->definition);
	sv_contract_leave(nestlevel);
	return text;
}

static void
build(void *argument)
{
	SvDroppedIndex *dropped = argument;
	char	   *text = statement_now(dropped, dropped->name);

	if (get_rel_relkind(dropped->relation) == RELKIND_RELATION &&
		!sv_defer_is_inline(dropped->relation))
		sv_defer_add_late(SV_JOB_INDEX, dropped->relation, dropped->name,
						  text);
	else
		run(text);
}

/* is an error about the index, and not about the rollback? */
static bool
is_about_index(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN ||
		error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT ||
		error->sqlerrcode == ERRCODE_UNDEFINED_FUNCTION ||
		error->sqlerrcode == ERRCODE_DATATYPE_MISMATCH ||
		error->sqlerrcode == ERRCODE_DUPLICATE_TABLE;
}

/*
 * Do something about an index in a subtransaction.  Returns what the server
 * has against it, NULL if nothing.
 */
static ErrorData *
attempt(SvTrialWork work, SvDroppedIndex *dropped)
{
	ErrorData  *problem = sv_trial_attempt(work, dropped);

	if (problem && !is_about_index(problem))
		ReThrowError(problem);
	return problem;
}

/* is there none, or one that a job was interrupted at? */
static bool
is_missing(Oid table, const SvDroppedIndex *dropped)
{
	Oid			index = sv_catalog_index_of(table, dropped->name);

	return !OidIsValid(index) || (get_rel_relkind(index) == RELKIND_INDEX &&
								  !get_index_isvalid(index));
}

/* drop an index if it is still what was dropped before */
static void
drop(void *argument)
{
	SvDroppedIndex *dropped = argument;
	Oid			index = sv_catalog_index_of(dropped->relation, dropped->name);
	char	   *is = strstr(definition_of(index), " ON ");
	char	   *was = strstr(statement_now(dropped, NULL), " ON ");

	if (is && was && strcmp(is, was) == 0)
		run(psprintf("DROP INDEX %s", sv_catalog_relation_name(index)));
}

/*
 * A release is current again: build the indexes that were dropped on the way
 * to later ones, or leave that to jobs.  On the way forward, too, those may be
 * missing that are dropped further on, where a job has not come to build them.
 * The version may do without: what is against one is a WARNING.  To be called
 * under SPI, as the tables' owner.
 */
void
sv_plain_build(const SvProduct *product, const SvRelease *to)
{
	ListCell   *lc;

	foreach(lc, dropped_between(product, to, NULL))
	{
		SvDroppedIndex *dropped = lfirst(lc);
		Oid			table = table_in(to, dropped);
		ErrorData  *problem = OidIsValid(table) &&
		is_missing(table, dropped) ? attempt(build, dropped) : NULL;

		if (problem)
			ereport(WARNING,
					(errmsg("index \"%s\" of table %s is not built again: %s",
							dropped->name, sv_catalog_relation_name(table),
							problem->message),
					 errdetail("It was: %s", dropped->definition)));
	}
}

/*
 * It goes forward again: drop them as the scripts did, before anything else is
 * changed.  One that has become another since stays.
 */
void
sv_plain_drop(const SvProduct *product, const SvRelease *from,
			  const SvRelease *to)
{
	ListCell   *lc;

	foreach(lc, dropped_between(product, from, to))
	{
		SvDroppedIndex *dropped = lfirst(lc);
		Oid			table = table_in(from, dropped);
		Oid			index = OidIsValid(table) ? sv_catalog_index_of(table, dropped->name) :
		InvalidOid;

		if (OidIsValid(index) &&
			(is_plain(index) || !get_index_isvalid(index)))
			(void) attempt(drop, dropped);
	}
}

/*
 * The tables that either of these will change: a list of OIDs.
 */
List *
sv_plain_tables(const SvProduct *product, const SvRelease *from,
				const SvRelease *to)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, dropped_between(product, from, to))
	{
		Oid			table = table_in(to, lfirst(lc));

		if (OidIsValid(table))
			tables = list_append_unique_oid(tables, table);
	}
	foreach(lc, dropped_between(product, to, NULL))
	{
		Oid			table = table_in(to, lfirst(lc));

		if (OidIsValid(table) && is_missing(table, lfirst(lc)))
			tables = list_append_unique_oid(tables, table);
	}
	return tables;
}
