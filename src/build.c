/*-------------------------------------------------------------------------
 *
 * build.c
 *	  Indexes, keys, NOT NULL and validated constraints: what a script asks
 *	  for that needs to look at all rows of a table.
 *
 * Of a large table such work is left to jobs, see defer.c.  What can hold for
 * new rows at once does: CHECKs and foreign keys are NOT VALID until they are
 * validated, NOT NULL is a hidden CHECK NOT VALID until then, unless rows are
 * still to be filled.  Indexes and keys are built concurrently, and are not
 * there until they are.
 *
 * An index that is left to a job is first made without being built, in a
 * subtransaction that is rolled back: so the server finds what is wrong with
 * the statement, chooses the name, and says in text that means the same for
 * everybody what is to be built.
 *
 * A column that is to be NOT NULL and for which a directive "up" says a value
 * gets it where it has none, before the server looks.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_utilcmd.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* what the trial of an index has shown */
typedef struct Model
{
	Oid			relation;
	IndexStmt  *statement;
	const char *query;
	char	   *name;			/* the server's choice */
	char	   *definition;		/* the statement, fully qualified */
} Model;

/*
 * Trying
 */

/* errors are thrown */
static void
try_and_undo(SvTrialWork work, void *argument)
{
	ErrorData  *problem = sv_trial_undo(work, argument);

	if (problem)
		ReThrowError(problem);
}

/* those of partitions are of no interest */
static Oid
define_index(Oid relation, IndexStmt *statement, const char *query)
{
	ObjectAddress index;

	statement = transformIndexStmt(relation, copyObject(statement), query);
	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
		statement->relation->inh = false;
	index = DefineIndex(relation, statement, InvalidOid, InvalidOid,
						InvalidOid, false, true, true, true, true);
	CommandCounterIncrement();
	return index.objectId;
}

static void
make_model(void *argument)
{
	Model	   *model = argument;
	Oid			index = define_index(model->relation, model->statement,
									 model->query);
	int			nestlevel = sv_contract_enter();

	model->name = get_rel_name(index);
	model->definition = pg_get_indexdef_string(index);
	sv_contract_leave(nestlevel);
}

/*
 * Make an index without building it, take it down in words, and roll back.
 * Throws what the server has against it.
 */
static Model
try_index(Oid relation, IndexStmt *statement, const char *query)
{
	Model		model = {relation, statement, query, NULL, NULL};

	try_and_undo(make_model, &model);
	return model;
}

/*
 * The words of a job for an index, in the names of today.  Throws what the
 * server has against it.
 */
char *
sv_build_index_text(Oid relation, IndexStmt *statement, const char *query)
{
	return try_index(relation, statement, query).definition;
}

/* in the words of a job, under the path that jobs have */
static void
rehearse_index(const SvJob *job)
{
	IndexStmt  *statement =
	castNode(IndexStmt,
			 linitial_node(RawStmt, raw_parser(job->text,
											   RAW_PARSE_DEFAULT))->stmt);

	statement->idxname = NULL;
	statement->concurrent = false;
	statement->relation =
		makeRangeVar(get_namespace_name(get_rel_namespace(job->relid)),
					 get_rel_name(job->relid), -1);
	(void) define_index(job->relid, statement, job->text);
}

static void
rehearse_constraint(const SvJob *job)
{
	const char *name = quote_identifier(job->name);

	sv_retain_run(psprintf("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %s %s",
						   sv_catalog_relation_name(job->relid), name, name,
						   job->text));
}

/* a foreign key may need one of the indexes: all of it in one go */
static void
rehearse_jobs(void *argument)
{
	int			nestlevel = sv_contract_enter();
	ListCell   *lc;

	foreach(lc, (List *) argument)
	{
		SvJob	   *job = lfirst(lc);

		if (strcmp(job->kind, SV_JOB_INDEX) == 0)
			rehearse_index(job);
		else if (strcmp(job->kind, SV_JOB_REPLACE) == 0)
			rehearse_constraint(job);
	}
	sv_contract_leave(nestlevel);
}

/*
 * Try what a migration leaves to jobs, a list of SvJob, as far as it can be
 * done without a look at the rows: so a script fails that cannot be carried
 * out, and not its jobs.  Throws what the server has against it.
 */
void
sv_build_rehearse(List *jobs)
{
	if (jobs != NIL)
		try_and_undo(rehearse_jobs, jobs);
}

/* ONLY of a partitioned table: takes no time */
static bool
is_only(Oid relation, const RangeVar *range)
{
	return !range->inh &&
		get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE;
}

/*
 * Leave a CREATE INDEX to a job.  False if it is to be done at once: the
 * table is small, there is such an index already, or the script needs it.
 */
bool
sv_build_index(IndexStmt *statement, Oid relation, const char *query)
{
	Model		model;

	if (!sv_defer_can(relation, NULL) ||
		is_only(relation, statement->relation) ||
		(statement->if_not_exists && statement->idxname &&
		 OidIsValid(get_relname_relid(statement->idxname,
									  get_rel_namespace(relation)))))
		return false;
	statement = copyObject(statement);
	statement->concurrent = false;
	model = try_index(relation, statement, query);
	if (sv_defer_needs_index(relation, model.name))
		return false;
	sv_defer_add(SV_JOB_INDEX, relation, model.name, model.definition, NULL);
	if (statement->unique)
		sv_defer_note_check(relation, statement->indexParams,
							model.definition);
	return true;
}

/*
 * Keys
 */

static IndexElem *
make_element(const char *column)
{
	IndexElem  *element = makeNode(IndexElem);

	element->name = pstrdup(column);
	element->ordering = SORTBY_DEFAULT;
	element->nulls_ordering = SORTBY_NULLS_DEFAULT;
	return element;
}

static List *
make_elements(List *columns)
{
	List	   *elements = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		elements = lappend(elements, make_element(strVal(lfirst(lc))));
	return elements;
}

/* the index of a key; its NOT NULL is seen to elsewhere */
static IndexStmt *
index_of_key(Oid relation, const Constraint *key)
{
	IndexStmt  *statement = makeNode(IndexStmt);
	char	   *table = get_rel_name(relation);
	Oid			schema = get_rel_namespace(relation);

	statement->relation = makeRangeVar(get_namespace_name(schema), table, -1);
	statement->idxname = key->conname;
	if (key->conname == NULL && key->contype == CONSTR_PRIMARY)
		statement->idxname = ChooseRelationName(table, NULL, "pkey", schema,
												true);
	statement->accessMethod = pstrdup(DEFAULT_INDEX_TYPE);
	statement->tableSpace = key->indexspace;
	statement->indexParams = make_elements(key->keys);
	statement->indexIncludingParams = make_elements(key->including);
	statement->options = key->options;
	statement->unique = true;
	statement->isconstraint = true;
	statement->nulls_not_distinct = key->nulls_not_distinct;
	statement->deferrable = key->deferrable;
	statement->initdeferred = key->initdeferred;
	return statement;
}

static void
check_primary_key(Oid relation)
{
	if (sv_catalog_has_primary_key(relation))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("multiple primary keys for table \"%s\" are not allowed",
						get_rel_name(relation))));
}

/* a name for the CHECK that nothing in the table has */
static char *
pending_name(Oid relation, const char *column)
{
	char	   *name = makeObjectName(SV_PENDING_NAME, column, NULL);

	for (int i = 1; OidIsValid(get_relation_constraint_oid(relation, name, true)); i++)
		name = makeObjectName(SV_PENDING_NAME, column, psprintf("%d", i));
	return name;
}

/*
 * Leave it to a job to make a column NOT NULL.  New rows are held to it at
 * once, unless there are rows yet to be filled, which could not be updated.
 */
static void
leave_not_null(Oid relation, const char *column)
{
	char	   *check;

	if (sv_catalog_is_not_null(relation, get_attnum(relation, column)) ||
		sv_defer_has(SV_JOB_NOTNULL, relation, column))
		return;
	if (sv_defer_has(SV_JOB_BACKFILL, relation, column))
	{
		sv_defer_add(SV_JOB_NOTNULL, relation, column, NULL, NULL);
		return;
	}
	check = pending_name(relation, column);
	sv_retain_run(psprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID",
						   sv_catalog_relation_name(relation),
						   quote_identifier(check),
						   quote_identifier(column)));
	sv_defer_add(SV_JOB_NOTNULL, relation, column, check, NULL);
}

/* the columns that a key is over must be NOT NULL, where it is the primary */
static void
leave_key(Oid relation, const Constraint *key, const char *query)
{
	Model		model;
	char	   *index;
	ListCell   *lc;

	if (key->contype == CONSTR_PRIMARY)
		check_primary_key(relation);
	model = try_index(relation, index_of_key(relation, key), query);
	foreach(lc, key->contype == CONSTR_PRIMARY ? key->keys : NIL)
		leave_not_null(relation, strVal(lfirst(lc)));
	index = makeObjectName(SV_HIDDEN_PREFIX "new", model.name, NULL);
	sv_defer_add(SV_JOB_INDEX, relation, index, model.definition, model.name);
	sv_defer_add(SV_JOB_ATTACH, relation, model.name,
				 psprintf("%s USING INDEX %s%s%s",
						  key->contype == CONSTR_PRIMARY ? "PRIMARY KEY" :
						  "UNIQUE", quote_identifier(index),
						  key->deferrable ? " DEFERRABLE" : "",
						  key->initdeferred ? " INITIALLY DEFERRED" : ""),
				 index);
	sv_defer_note_check(relation, make_elements(key->keys),
						psprintf("ADD CONSTRAINT %s.%s %s",
								 get_rel_name(relation), model.name,
								 key->contype == CONSTR_PRIMARY ?
								 "PRIMARY KEY" : "UNIQUE"));
}

/*
 * ALTER TABLE
 */

static bool
is_key(const Constraint *constraint)
{
	return (constraint->contype == CONSTR_UNIQUE ||
			constraint->contype == CONSTR_PRIMARY) &&
		constraint->indexname == NULL;
}

/* the server has no foreign key NOT VALID of a partitioned table */
static bool
is_validated(Oid relation, const AlterTableCmd *command)
{
	Constraint *constraint = (Constraint *) command->def;

	return command->subtype == AT_AddConstraint && constraint &&
		IsA(constraint, Constraint) && !constraint->skip_validation &&
		(constraint->contype == CONSTR_CHECK ||
		 (constraint->contype == CONSTR_FOREIGN &&
		  get_rel_relkind(relation) == RELKIND_RELATION));
}

/*
 * Take keys out of the definition of a column that is added.  What stands
 * behind one and says when it is checked is left to the server, with the key.
 */
static void
take_column_keys(SvBuild *build, ColumnDef *column)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		if (((Constraint *) lfirst(lc))->contype >= CONSTR_ATTR_DEFERRABLE)
			return;
	}
	foreach(lc, column->constraints)
	{
		Constraint *constraint = lfirst(lc);

		if (!is_key(constraint))
		{
			rest = lappend(rest, constraint);
			continue;
		}
		constraint->keys = list_make1(makeString(pstrdup(column->colname)));
		build->keys = lappend(build->keys, constraint);
	}
	column->constraints = rest;
}

/* take out of a command what is left to a job; false if all of it is */
static bool
take_command(SvBuild *build, AlterTableCmd *command)
{
	if (command->subtype == AT_SetNotNull)
	{
		build->required = lappend(build->required, command->name);
		return false;
	}
	if (command->subtype == AT_AddConstraint && command->def &&
		IsA(command->def, Constraint) && is_key((Constraint *) command->def))
	{
		build->keys = lappend(build->keys, command->def);
		return false;
	}
	if (command->subtype == AT_AddColumn)
		take_column_keys(build, (ColumnDef *) command->def);
	else if (is_validated(build->relation, command))
	{
		((Constraint *) command->def)->skip_validation = true;
		((Constraint *) command->def)->initially_valid = false;
		build->validates = true;
	}
	return true;
}

static bool
takes_long(Oid relation, const AlterTableStmt *alter)
{
	ListCell   *lc;
	ListCell   *lk;

	foreach(lc, alter->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if (command->subtype == AT_SetNotNull ||
			is_validated(relation, command) ||
			(command->subtype == AT_AddConstraint && command->def &&
			 IsA(command->def, Constraint) &&
			 is_key((Constraint *) command->def)))
			return true;
		foreach(lk, command->subtype == AT_AddColumn ?
				((ColumnDef *) command->def)->constraints : NIL)
		{
			if (is_key(lfirst(lk)))
				return true;
		}
	}
	return false;
}

/*
 * Take out of an ALTER TABLE what is to be left to jobs, and note it in
 * *build for sv_build_finish().  Returns what is to be run now, NULL if
 * nothing.
 */
PlannedStmt *
sv_build_turn(PlannedStmt *pstmt, SvBuild *build)
{
	AlterTableStmt *alter = (AlterTableStmt *) pstmt->utilityStmt;
	List	   *commands = NIL;
	Oid			relation;
	ListCell   *lc;

	memset(build, 0, sizeof(SvBuild));
	if (alter->objtype != OBJECT_TABLE)
		return pstmt;
	relation = RangeVarGetRelid(alter->relation, NoLock, true);
	if (!OidIsValid(relation) || !takes_long(relation, alter) ||
		is_only(relation, alter->relation) ||
		!pg_class_ownercheck(relation, GetUserId()) ||
		!sv_defer_can(relation, NULL))
		return pstmt;
	build->relation = relation;
	pstmt = copyObject(pstmt);
	alter = (AlterTableStmt *) pstmt->utilityStmt;
	foreach(lc, alter->cmds)
	{
		if (take_command(build, lfirst(lc)))
			commands = lappend(commands, lfirst(lc));
	}
	alter->cmds = commands;
	return commands ? pstmt : NULL;
}

/* have the constraints that were just made looked at later */
static void
leave_validation(Oid relation)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (!form->convalidated && !sv_is_hidden(NameStr(form->conname)) &&
			TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)))
			sv_defer_add(SV_JOB_VALIDATE, relation, NameStr(form->conname),
						 NULL, NULL);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* as the server says it, whose turn does not come */
static void
check_column(Oid relation, const char *column)
{
	if (get_attnum(relation, column) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist",
						column, get_rel_name(relation))));
}

/*
 * What was to be run of an ALTER TABLE has run: leave the rest to jobs.
 */
void
sv_build_finish(const SvBuild *build, const char *query)
{
	ListCell   *lc;

	if (!OidIsValid(build->relation))
		return;
	CommandCounterIncrement();
	foreach(lc, build->required)
	{
		check_column(build->relation, lfirst(lc));
		leave_not_null(build->relation, lfirst(lc));
	}
	foreach(lc, build->keys)
		leave_key(build->relation, lfirst(lc), query);
	if (build->validates)
		leave_validation(build->relation);
	sv_contract_touch(RelationRelationId, build->relation);
}

/*
 * Values for what is to be NOT NULL
 */

/*
 * Give rows without a value in the columns that a statement makes NOT NULL
 * the one that a directive "up" says, at once or by a job.
 */
void
sv_build_fill(const AlterTableStmt *alter, const SvProduct *product,
			  const SvRelease *from, const SvScript *script)
{
	Oid			relation = alter->objtype == OBJECT_TABLE && script &&
	script->up ? RangeVarGetRelid(alter->relation, NoLock, true) : InvalidOid;
	ListCell   *lc;

	foreach(lc, OidIsValid(relation) &&
			pg_class_ownercheck(relation, GetUserId()) ? alter->cmds : NIL)
	{
		AlterTableCmd *command = lfirst(lc);
		char	   *value = command->subtype == AT_SetNotNull &&
		get_attnum(relation, command->name) > 0 ?
		sv_directive_value(product, from, script, relation, command->name) :
		NULL;
		const char *column = value ? quote_identifier(command->name) : NULL;

		if (value == NULL)
			continue;
		if (sv_defer_can(relation, command->name))
			sv_defer_add(SV_JOB_BACKFILL, relation, command->name, value,
						 sv_defer_unfilled(column, value));
		else
			sv_fill_rows(relation, !alter->relation->inh,
						 psprintf("%s = %s WHERE %s IS NOT DISTINCT FROM NULL",
								  column, value, column));
	}
}

/* is a column added NOT NULL, with nothing but a directive to fill it? */
static bool
is_filled_by_directive(const AlterTableCmd *command, const char *table,
					   const SvScript *script)
{
	ColumnDef  *column = (ColumnDef *) command->def;
	bool		required = false;
	ListCell   *lc;

	if (command->subtype != AT_AddColumn)
		return false;
	foreach(lc, column->constraints)
	{
		ConstrType	type = ((Constraint *) lfirst(lc))->contype;

		required |= type == CONSTR_NOTNULL;
		if (type == CONSTR_DEFAULT || type == CONSTR_IDENTITY ||
			type == CONSTR_GENERATED)
			return false;
	}
	foreach(lc, required ? script->up : NIL)
	{
		const SvDirective *directive = lfirst(lc);

		if (strcmp(directive->column, column->colname) == 0 &&
			sv_directive_names(directive, table))
			return true;
	}
	return false;
}

static void
strip_not_null(ColumnDef *column)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		if (((Constraint *) lfirst(lc))->contype != CONSTR_NOTNULL)
			rest = lappend(rest, lfirst(lc));
	}
	column->constraints = rest;
}

/*
 * ADD COLUMN ... NOT NULL, where a directive says the value for the rows that
 * are there: the column is added bare, and made NOT NULL by a statement of
 * its own.  Returns what is left to run; it is the same if there is none.
 */
PlannedStmt *
sv_build_split(PlannedStmt *pstmt, const SvScript *script, const char *query,
			   ParamListInfo params)
{
	AlterTableStmt *alter = (AlterTableStmt *) pstmt->utilityStmt;
	List	   *required = NIL;
	ListCell   *lc;

	if (alter->objtype != OBJECT_TABLE || script == NULL || script->up == NIL)
		return pstmt;
	pstmt = copyObject(pstmt);
	alter = (AlterTableStmt *) pstmt->utilityStmt;
	foreach(lc, alter->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		AlterTableCmd *demand;

		if (!is_filled_by_directive(command, alter->relation->relname,
									script))
			continue;
		strip_not_null((ColumnDef *) command->def);
		demand = makeNode(AlterTableCmd);
		demand->subtype = AT_SetNotNull;
		demand->name = ((ColumnDef *) command->def)->colname;
		demand->behavior = DROP_RESTRICT;
		required = lappend(required, demand);
	}
	if (required == NIL)
		return pstmt;
	ProcessUtility(copyObject(pstmt), query, false, PROCESS_UTILITY_QUERY,
				   params, NULL, None_Receiver, NULL);
	CommandCounterIncrement();
	alter->cmds = required;
	return pstmt;
}
