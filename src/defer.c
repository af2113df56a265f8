/*-------------------------------------------------------------------------
 *
 * defer.c
 *	  What a migration leaves to jobs.
 *
 * Work that reads or writes all rows of a table must not be done under the
 * lock that a migration holds, unless the table is small.  What makes that
 * work says here what is left to be done; apply() stores it as jobs when it
 * knows for which version.
 *
 * Jobs run in the order of their kinds, below: rows are filled before they
 * are checked, keys are there before what refers to them.  Of two jobs of one
 * kind that say something of one name, the first stays: it was written down
 * when all names were those of the script.  Only a backfill gives way to a
 * later one, which knows better what the column is to hold.
 *
 * A script goes on as if the work were done.  Where a later statement of it
 * needs that it is, the table's work is done at once however large it is: see
 * sv_defer_conflicts().  A migration that comes while jobs of an earlier one
 * are still to be done is refused for the same reasons.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static int	inline_pages = 1000;

/* the order in which jobs are to be done */
static const char *const kinds[] = {
	SV_JOB_BACKFILL, SV_JOB_NOTNULL, SV_JOB_INDEX, SV_JOB_ATTACH,
	SV_JOB_RELAX, SV_JOB_REPLACE, SV_JOB_LOOSEN, SV_JOB_TIGHTEN,
	SV_JOB_VALIDATE, SV_JOB_REFRESH
};

/* the migration that runs, NULL product if none */
static struct
{
	const SvProduct *product;
	const SvScript *script;
	int			number;			/* of the statement that runs */
	bool		at_once;		/* is nothing to be left for now? */
	List	   *jobs;			/* of SvJob */
	List	   *checks;			/* of SvDeferredCheck */
	MemoryContext context;
}			deferring;

static bool is_to_be_not_null(Oid relation, AttrNumber column);

/*
 * Called once from _PG_init: the setting, and what contract.c asks.
 */
void
sv_defer_init(void)
{
	DefineCustomIntVariable("schemaver.inline_pages",
							"How large a table may be for its jobs to be done within the migration.",
							"Its partitions included, without indexes.",
							&inline_pages, 1000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_BLOCKS, NULL, NULL, NULL);
	sv_contract_pending_hook = is_to_be_not_null;
}

/*
 * The migration
 */

/*
 * A migration begins: what it leaves is kept until sv_defer_end().  Without a
 * script, as when another version becomes the current one, nothing is left.
 */
void
sv_defer_begin(const SvProduct *product, const SvScript *script)
{
	memset(&deferring, 0, sizeof(deferring));
	deferring.product = product;
	deferring.script = script;
	deferring.context = AllocSetContextCreate(TopTransactionContext,
											  "schemaver deferred work",
											  ALLOCSET_SMALL_SIZES);
}

/*
 * A statement of the script is about to run.
 */
void
sv_defer_at(const SvStatement *statement)
{
	deferring.number = statement->number;
}

/*
 * Until told otherwise, are tables' rows seen to at once, however large these
 * are?  Returns what was so before.
 */
bool
sv_defer_set_at_once(bool at_once)
{
	bool		before = deferring.at_once;

	deferring.at_once = at_once;
	return before;
}

/*
 * What was left is stored, or the migration has failed.
 */
void
sv_defer_end(void)
{
	if (deferring.context)
		MemoryContextDelete(deferring.context);
	memset(&deferring, 0, sizeof(deferring));
}

/*
 * The transaction has ended, and with it what was kept.
 */
void
sv_defer_forget(void)
{
	memset(&deferring, 0, sizeof(deferring));
}

/*
 * Tables
 */

/*
 * Is a relation, its partitions included, small enough to do the work of a
 * job within the migration?
 */
bool
sv_defer_is_inline(Oid relation)
{
	uint64		bytes = 0;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		Relation	part = try_relation_open(lfirst_oid(lc), AccessShareLock);

		if (part == NULL)
			continue;
		if (RELKIND_HAS_STORAGE(part->rd_rel->relkind))
			bytes += (uint64) RelationGetNumberOfBlocks(part) * BLCKSZ;
		relation_close(part, NoLock);
	}
	return bytes <= (uint64) inline_pages * BLCKSZ;
}

/* are all partitions tables that whoever owns the whole can write to? */
static bool
has_plain_partitions(Relation table)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(RelationGetRelid(table), NoLock, NULL))
	{
		Relation	part = try_relation_open(lfirst_oid(lc), AccessShareLock);
		bool		result;

		if (part == NULL)
			continue;
		result = (part->rd_rel->relkind == RELKIND_RELATION ||
				  part->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) &&
			part->rd_rel->relowner == table->rd_rel->relowner;
		relation_close(part, NoLock);
		if (!result)
			return false;
	}
	return true;
}

/* is it of a kind that jobs can work on while others use it? */
static bool
is_deferrable(Oid relation)
{
	Relation	table = try_relation_open(relation, AccessShareLock);
	bool		result;

	if (table == NULL)
		return false;
	result = !table->rd_rel->relispartition &&
		(table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
		 has_plain_partitions(table) :
		 table->rd_rel->relkind == RELKIND_RELATION &&
		 !table->rd_rel->relhassubclass) &&
		table->rd_rel->relpersistence != RELPERSISTENCE_TEMP &&
		table->rd_createSubid == InvalidSubTransactionId &&
		sv_catalog_is_base_schema(deferring.product,
								  get_namespace_name(RelationGetNamespace(table)));
	relation_close(table, AccessShareLock);
	return result;
}

static bool
is_range_of(const RangeVar *range, Oid relation)
{
	return range && RangeVarGetRelid(range, NoLock, true) == relation;
}

/* the table, or a partition of it, which its keys hold for as well */
static bool
is_part_of(const RangeVar *range, Oid relation)
{
	Oid			part = range ? RangeVarGetRelid(range, NoLock, true) :
	InvalidOid;

	return OidIsValid(part) &&
		(part == relation || (get_rel_relispartition(part) &&
							  list_member_oid(get_partition_ancestors(part),
											  relation)));
}

/* does a statement drop that column of the table, or change its type? */
static bool
changes_column(Node *statement, Oid relation, const char *column)
{
	ListCell   *lc;

	if (column == NULL || !IsA(statement, AlterTableStmt) ||
		!is_range_of(((AlterTableStmt *) statement)->relation, relation))
		return false;
	foreach(lc, ((AlterTableStmt *) statement)->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if ((command->subtype == AT_AlterColumnType ||
			 command->subtype == AT_DropColumn) &&
			strcmp(command->name, column) == 0)
			return true;
	}
	return false;
}

/* does a later statement of the script need that the work is done? */
static bool
is_built_upon(Oid relation, const char *column)
{
	ListCell   *lc;

	foreach(lc, deferring.script->statements)
	{
		SvStatement *statement = lfirst(lc);

		if (statement->number > deferring.number &&
			(sv_defer_conflicts(statement->raw->stmt, relation, false) ||
			 changes_column(statement->raw->stmt, relation, column)))
			return true;
	}
	return false;
}

/*
 * Is a table one whose rows jobs see to?  That are large tables of the
 * product's base schemas that were there before the migration and are no part
 * of an inheritance tree, but a partitioned one's root.
 */
bool
sv_defer_is_left(Oid relation)
{
	return deferring.script && !deferring.at_once && is_deferrable(relation) &&
		!sv_defer_is_inline(relation);
}

/*
 * Is work on all rows of a table to be done within the migration, since it is
 * small or none whose rows jobs see to?
 */
bool
sv_defer_is_done_now(Oid relation)
{
	return sv_defer_is_inline(relation) || deferring.at_once ||
		!is_deferrable(relation);
}

/*
 * Is work on all rows of a table to be left to jobs?  It is for such a one
 * that nothing later in the script builds upon; "column" is the one whose
 * values are to change, or NULL.
 */
bool
sv_defer_can(Oid relation, const char *column)
{
	return sv_defer_is_left(relation) && !is_built_upon(relation, column);
}

/*
 * Statements that need what a job has yet to do
 */

/* is it the name of an index of the table? */
static bool
is_index_of(const RangeVar *range, Oid relation)
{
	Oid			index = RangeVarGetRelid(range, NoLock, true);
	char		relkind = OidIsValid(index) ? get_rel_relkind(index) : '\0';

	return (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX) &&
		IndexGetRelation(index, true) == relation;
}

/* may words of a script mean what has that name in the schema? */
static bool
may_mean(const RangeVar *range, const char *schema, const char *name)
{
	return range && strcmp(range->relname, name) == 0 &&
		(range->schemaname == NULL || strcmp(range->schemaname, schema) == 0);
}

/* the same of how DROP and COMMENT name it */
static bool
may_mean_names(List *names, const char *schema, const char *name)
{
	return may_mean(makeRangeVarFromNameList(names), schema, name);
}

static bool
alter_names_index(const AlterTableStmt *statement, const char *schema,
				  const char *name)
{
	ListCell   *lc;

	if (may_mean(statement->relation, schema, name))
		return true;
	foreach(lc, statement->cmds)
	{
		Node	   *def = ((AlterTableCmd *) lfirst(lc))->def;

		if (def && IsA(def, Constraint) && ((Constraint *) def)->indexname &&
			strcmp(((Constraint *) def)->indexname, name) == 0)
			return true;
		if (def && IsA(def, PartitionCmd) &&
			may_mean(((PartitionCmd *) def)->name, schema, name))
			return true;
	}
	return false;
}

/* does a statement need an index of that name in the schema? */
static bool
names_index(Node *statement, const char *schema, const char *name)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_DropStmt:
			foreach(lc, ((DropStmt *) statement)->removeType == OBJECT_INDEX ?
					((DropStmt *) statement)->objects : NIL)
			{
				if (may_mean_names(lfirst(lc), schema, name))
					return true;
			}
			return false;
		case T_CommentStmt:
			return ((CommentStmt *) statement)->objtype == OBJECT_INDEX &&
				may_mean_names(castNode(List,
										((CommentStmt *) statement)->object),
							   schema, name);
		case T_RenameStmt:
			return may_mean(((RenameStmt *) statement)->relation, schema,
							name);
		case T_AlterObjectDependsStmt:
			return may_mean(((AlterObjectDependsStmt *) statement)->relation,
							schema, name);
		case T_ReindexStmt:
			return may_mean(((ReindexStmt *) statement)->relation, schema,
							name);
		case T_AlterTableStmt:
			return alter_names_index((AlterTableStmt *) statement, schema,
									 name);
		default:
			return false;
	}
}

/*
 * Does a later statement of the script need an index of a table, by its name,
 * that is about to be made?  It is not to be left to a job then.
 */
bool
sv_defer_needs_index(Oid relation, const char *name)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));
	ListCell   *lc;

	foreach(lc, deferring.script ? deferring.script->statements : NIL)
	{
		SvStatement *statement = lfirst(lc);

		if (statement->number > deferring.number &&
			names_index(statement->raw->stmt, schema, name))
			return true;
	}
	return false;
}

/* does a column or constraint that is defined refer to the table? */
static bool
refers_to(Node *element, Oid relation)
{
	ListCell   *lc;

	if (element == NULL)
		return false;
	if (IsA(element, Constraint))
		return ((Constraint *) element)->contype == CONSTR_FOREIGN &&
			is_part_of(((Constraint *) element)->pktable, relation);
	if (!IsA(element, ColumnDef))
		return false;
	foreach(lc, ((ColumnDef *) element)->constraints)
	{
		if (refers_to(lfirst(lc), relation))
			return true;
	}
	return false;
}

/* one command of an ALTER TABLE of the table itself */
static bool
command_conflicts(const AlterTableCmd *command, bool pending)
{
	switch (command->subtype)
	{
		case AT_DropConstraint:
		case AT_DropNotNull:
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
		case AT_ClusterOn:
		case AT_ReplicaIdentity:
		case AT_AddInherit:
			return true;
		case AT_AlterColumnType:
		case AT_DropColumn:
			return pending;
		default:
			return false;
	}
}

static bool
alter_conflicts(const AlterTableStmt *statement, Oid relation, bool pending)
{
	bool		is_own = is_range_of(statement->relation, relation);
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if ((is_own && command_conflicts(command, pending)) ||
			(command->subtype == AT_AddConstraint &&
			 refers_to(command->def, relation)) ||
			(command->subtype == AT_AddColumn &&
			 refers_to(command->def, relation)))
			return true;
	}
	return false;
}

static bool
drop_conflicts(const DropStmt *statement, Oid relation)
{
	ListCell   *lc;

	if (statement->removeType != OBJECT_TABLE &&
		statement->removeType != OBJECT_INDEX)
		return false;
	foreach(lc, statement->objects)
	{
		RangeVar   *range = makeRangeVarFromNameList(lfirst(lc));

		if (is_range_of(range, relation) || is_index_of(range, relation))
			return true;
	}
	return false;
}

/*
 * Would a statement of a script fail, or do something else, as long as jobs
 * of the table are not done?  With "pending" they are those of an earlier
 * migration, whose columns must neither go nor change their type once more.
 */
bool
sv_defer_conflicts(Node *statement, Oid relation, bool pending)
{
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			return alter_conflicts((AlterTableStmt *) statement, relation,
								   pending);
		case T_RenameStmt:
			return ((RenameStmt *) statement)->relation &&
				(is_range_of(((RenameStmt *) statement)->relation, relation) ||
				 is_index_of(((RenameStmt *) statement)->relation, relation));
		case T_AlterObjectSchemaStmt:
			return is_range_of(((AlterObjectSchemaStmt *) statement)->relation,
							   relation);
		case T_DropStmt:
			return drop_conflicts((DropStmt *) statement, relation);
		case T_InsertStmt:
			return ((InsertStmt *) statement)->onConflictClause &&
				is_part_of(((InsertStmt *) statement)->relation, relation);
		case T_CreateStmt:
			foreach(lc, ((CreateStmt *) statement)->tableElts)
			{
				if (refers_to(lfirst(lc), relation))
					return true;
			}
			return false;
		default:
			return false;
	}
}

/*
 * The jobs
 */

static SvJob *
find_job(const char *kind, Oid relation, const char *name)
{
	ListCell   *lc;

	foreach(lc, deferring.jobs)
	{
		SvJob	   *job = lfirst(lc);

		if (job->relid == relation && strcmp(job->kind, kind) == 0 &&
			strcmp(job->name, name) == 0)
			return job;
	}
	return NULL;
}

static char *
copy_text(const char *text)
{
	return text ? MemoryContextStrdup(deferring.context, text) : NULL;
}

/*
 * Leave a job to be done after the migration; what the texts are schemaver.h
 * says at SvJob.  A job of that kind and name that was left before stays as
 * it is, but a backfill, which takes these texts.
 */
void
sv_defer_add(const char *kind, Oid relation, const char *name,
			 const char *text, const char *condition)
{
	SvJob	   *job = find_job(kind, relation, name);
	MemoryContext context;

	if (job && strcmp(kind, SV_JOB_BACKFILL) != 0)
		return;
	if (job == NULL)
	{
		context = MemoryContextSwitchTo(deferring.context);
		job = palloc0(sizeof(SvJob));
		job->kind = kind;
		job->relid = relation;
		job->name = pstrdup(name);
		deferring.jobs = lappend(deferring.jobs, job);
		MemoryContextSwitchTo(context);
		sv_observe_note(SV_NOTE_JOB, relation, "job: %s %s", kind, name);
	}
	job->text = copy_text(text);
	job->condition = copy_text(condition);
}

/*
 * Leave a job that nobody has to wait for, unless there is one of that kind
 * and name already.
 */
void
sv_defer_add_late(const char *kind, Oid relation, const char *name,
				  const char *text)
{
	if (find_job(kind, relation, name))
		return;
	sv_defer_add(kind, relation, name, text, NULL);
	find_job(kind, relation, name)->late = true;
}

/*
 * Is there such a job already?
 */
bool
sv_defer_has(const char *kind, Oid relation, const char *name)
{
	return find_job(kind, relation, name) != NULL;
}

/*
 * The condition by which a backfill knows rows that are still to be filled
 * with a value; "column" is quoted.
 */
char *
sv_defer_unfilled(const char *column, const char *value)
{
	return psprintf("%s IS NOT DISTINCT FROM NULL AND (%s) IS DISTINCT FROM NULL",
					column, value);
}

/* a column that a job of this migration will make NOT NULL is that already */
static bool
is_to_be_not_null(Oid relation, AttrNumber column)
{
	char	   *name = deferring.jobs ? get_attname(relation, column, true) :
	NULL;

	return name && sv_defer_has(SV_JOB_NOTNULL, relation, name);
}

/* does the version before know a column that an index is over? */
static bool
is_over_known(Oid relation, List *elements)
{
	const SvRelease *before = sv_catalog_release(deferring.product,
												 deferring.product->current);
	const SvEntry *entry = sv_catalog_entry_of(before, relation);
	ListCell   *lc;

	foreach(lc, entry ? elements : NIL)
	{
		IndexElem  *element = lfirst(lc);

		if (element->name == NULL ||
			sv_contract_column_at(entry, get_attnum(relation, element->name)))
			return true;
	}
	return false;
}

/* the columns of a key, and its expressions, for people */
static char *
list_elements(List *elements)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, elements)
	{
		IndexElem  *element = lfirst(lc);

		appendStringInfo(&list, "%s%s", list.len ? ", " : "",
						 element->name ? element->name : "(expression)");
	}
	return list.data;
}

/*
 * What "change" tells of will be there when a job has made it, a unique index
 * over these elements: what older versions write is checked from then on, if
 * they know one of the columns.
 */
void
sv_defer_note_check(Oid relation, List *elements, const char *change)
{
	MemoryContext context;
	SvDeferredCheck *check;

	if (!is_over_known(relation, elements))
		return;
	context = MemoryContextSwitchTo(deferring.context);
	check = palloc(sizeof(SvDeferredCheck));
	check->relation = relation;
	check->change = pstrdup(change);
	check->columns = list_elements(elements);
	deferring.checks = lappend(deferring.checks, check);
	MemoryContextSwitchTo(context);
}

/*
 * What older versions write will be checked for by jobs: a list of
 * SvDeferredCheck, which lives as long as the migration.
 */
List *
sv_defer_checks(void)
{
	return deferring.checks;
}

/*
 * What a job was to see to is not wanted any more.  Returns its text, NULL if
 * there is none or no such job.
 */
const char *
sv_defer_remove(const char *kind, Oid relation, const char *name)
{
	SvJob	   *job = find_job(kind, relation, name);

	if (job == NULL)
		return NULL;
	deferring.jobs = list_delete_ptr(deferring.jobs, job);
	return job->text;
}

/*
 * Has the script itself dropped what the job was to make a successor of, or
 * the column that it was to fill?
 */
static bool
is_obsolete(const SvJob *job)
{
	static const char *const mark = SV_HIDDEN_PREFIX "job_%u";
	const char *built = strcmp(job->kind, SV_JOB_ATTACH) == 0 ?
	job->condition : job->name;
	Oid			index;
	char	   *name;

	if (get_rel_name(job->relid) == NULL)
		return true;
	if (strcmp(job->kind, SV_JOB_REPLACE) == 0)
		return !OidIsValid(get_relation_constraint_oid(job->relid, job->name,
													   true));
	if (strcmp(job->kind, SV_JOB_INDEX) == 0 ||
		strcmp(job->kind, SV_JOB_ATTACH) == 0)
	{
		if (sscanf(built, mark, &index) != 1)
			return false;
		name = get_rel_name(index);
		return name == NULL || sv_is_hidden(name);
	}
	if (strcmp(job->kind, SV_JOB_LOOSEN) == 0 ||
		strcmp(job->kind, SV_JOB_TIGHTEN) == 0)
		return !OidIsValid(get_relname_relid(job->name,
											 get_rel_namespace(job->relid)));
	return strcmp(job->kind, SV_JOB_VALIDATE) != 0 &&
		strcmp(job->kind, SV_JOB_REFRESH) != 0 &&
		get_attnum(job->relid, job->name) == InvalidAttrNumber;
}

/*
 * The script may have given other names to what a backfill computes from: the
 * row trigger of the table has followed them.
 */
static void
follow_names(SvJob *job)
{
	ListCell   *lc;

	foreach(lc, strcmp(job->kind, SV_JOB_BACKFILL) == 0 && job->text ?
			sv_sync_pairs(job->relid) : NIL)
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->new_column, job->name) != 0 || pair->up[0] == '\0')
			continue;
		job->text = copy_text(pair->up);
		job->condition = copy_text(sv_defer_unfilled(quote_identifier(job->name),
													 job->text));
	}
}

/*
 * What the migration leaves, in the order in which it is to be done: a list
 * of SvJob, for the caller to say for which release, and to store.  To be
 * called when the script has run and all names are what they will be.
 */
List *
sv_defer_jobs(void)
{
	List	   *sorted = NIL;

	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		ListCell   *lc;

		foreach(lc, deferring.jobs)
		{
			if (strcmp(((SvJob *) lfirst(lc))->kind, kinds[i]) != 0 ||
				is_obsolete(lfirst(lc)))
				continue;
			follow_names(lfirst(lc));
			sorted = lappend(sorted, lfirst(lc));
		}
	}
	return sorted;
}

/*
 * The column of this relation that a job speaks of by that name, as the
 * version has it that left the job; InvalidAttrNumber if that is not known.
 */
AttrNumber
sv_defer_column_of(const SvJob *job, Oid relation, const char *name)
{
	SvProduct  *product = sv_catalog_product_by_id(job->product_id);
	SvRelease  *release = product ?
	sv_catalog_release(product, job->release_id) : NULL;
	SvEntry    *entry = release ?
	sv_catalog_entry_of(release, relation) : NULL;
	ListCell   *lc;

	foreach(lc, entry ? entry->columns : NIL)
	{
		SvPart	   *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column->number;
	}
	return InvalidAttrNumber;
}
