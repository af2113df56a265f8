/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Run a migration: lock the product, check from, to and checksum, run the
 *	  script, let the older versions keep what they expect, record it.
 *
 * One migration of a product at a time; all of it or none of it: everything
 * from the first lock to the history is one subtransaction, which lock.c tries
 * again for as long as it meets locks.  The locks that the script's statements
 * say they need are taken first and together, views before tables, the way
 * sessions take them.
 *
 * The script runs as the caller, statement by statement, with the base
 * schemas in front of the search_path whatever the session is registered
 * under.  What it did is judged by its result, against the contracts of the
 * supported versions.  If it fails, it is run once more without what is done
 * for versions that nobody has ever used: these give way.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "commands/dbcommands.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(schemaver_create_product);
PG_FUNCTION_INFO_V1(schemaver_baseline);
PG_FUNCTION_INFO_V1(schemaver_apply);

/* one call of apply() */
typedef struct Migration
{
	SvScript   *script;
	SvScript	heeded;			/* without directives that are for nobody */
	SvScript	settled;		/* with the directives not yet seen to */
	SvProduct  *product;
	SvVersion  *version;		/* asked for, or NULL: to be derived */
	char	   *description;
	char	   *reason;
	TimestampTz started;
	bool		drifted;		/* somebody changed the schema by hand */
	List	   *before;			/* findings that were there before the script */
	List	   *needed;			/* of SvNeededLock, of the last attempt */
	SvRelease  *from;			/* the current release, or NULL */
	List	   *releases;		/* the supported ones, from included */
	bool		nullable;		/* older ones may leave NULL and duplicates */
	SvStatement *statement;		/* the one that runs, for error messages */
	const char *undone;			/* version whose rollback section it is of */
	ErrorData  *obstacle;		/* what unused versions give way to, or NULL */
	List	   *yielding;		/* these versions */
	bool		forward;		/* to a version that was rolled back */
	const SvRehearsal *rehearsal;	/* NULL if it is in earnest */
	SvVersion  *reached;		/* the result */
} Migration;

static char *
text_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static const char *
label_of(const SvVersion *version)
{
	return version ? sv_version_text(version) : "an empty database";
}

/*
 * Products
 */

/* base schemas must exist, be the user's, and belong to one product only */
static void
check_base_schema(const char *schema)
{
	Oid			oid = get_namespace_oid(schema, false);
	ListCell   *lp;
	ListCell   *ls;

	if (strcmp(schema, SV_SCHEMA) == 0 ||
		strcmp(schema, SV_RETAINED_SCHEMA) == 0 ||
		strcmp(schema, SV_ARCHIVE_SCHEMA) == 0 || IsCatalogNamespace(oid) ||
		isAnyTempNamespace(oid) || IsToastNamespace(oid) ||
		strcmp(schema, "information_schema") == 0 ||
		sv_contract_is_version_schema(oid))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema \"%s\" cannot be a base schema", schema),
				 errhint("Name the schemas that hold the application's own tables.")));
	foreach(lp, sv_catalog_products())
	{
		SvProduct  *product = lfirst(lp);

		foreach(ls, product->schemas)
		{
			if (strcmp(lfirst(ls), schema) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_OBJECT),
						 errmsg("schema \"%s\" belongs to product \"%s\" already",
								schema, product->name),
						 errhint("Every base schema has one product. Create a schema of its own for each.")));
		}
	}
}

/* check what a product is to be, and make it */
static SvProduct *
create_product(const char *name, List *schemas, bool exact, bool complete)
{
	List	   *seen = NIL;
	ListCell   *lc;

	if (name[0] == '\0' || strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(name[0] ? ERRCODE_NAME_TOO_LONG : ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a product", name),
				 errdetail("It must have 1 to %d bytes.", NAMEDATALEN - 1)));
	if (sv_catalog_products() != NIL && sv_catalog_product(name, true))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("product \"%s\" already exists", name)));
	if (schemas == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("product \"%s\" needs a base schema", name),
				 errhint("Name the schemas that hold the application's tables, such as ARRAY['public'].")));
	foreach(lc, schemas)
	{
		check_base_schema(lfirst(lc));
		if (list_member(seen, makeString(lfirst(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("schema \"%s\" is named twice",
							(char *) lfirst(lc))));
		seen = lappend(seen, makeString(lfirst(lc)));
	}
	sv_publish_report_own();
	return sv_catalog_create_product(name, schemas, exact, complete);
}

/*
 * schemaver.create_product(product, schemas, exact, complete)
 */
Datum
schemaver_create_product(PG_FUNCTION_ARGS)
{
	char	   *name = text_argument(fcinfo, 0);

	PreventCommandIfReadOnly("schemaver.create_product()");
	if (name == NULL || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("no argument of create_product() may be null")));
	create_product(name, sv_catalog_text_list(PG_GETARG_ARRAYTYPE_P(1)),
				   PG_GETARG_BOOL(2), PG_GETARG_BOOL(3));
	PG_RETURN_VOID();
}

/*
 * The product of a call, made if the database has none yet; locked, awake,
 * and read again under the lock.
 */
static SvProduct *
open_product(const char *name)
{
	if (sv_catalog_products() == NIL)
	{
		if (name == NULL)
			name = get_database_name(MyDatabaseId);
		(void) create_product(name, list_make1("public"), true, false);
	}
	return sv_compat_open_product(name);
}

/*
 * Recording a version
 */

static SvRelease *
create_release(SvProduct *product, const SvRelease *from, SvVersion *version,
			   const char *description)
{
	int			nentries;
	int32	   *entries = sv_contract_advance(product, from, &nentries);
	SvRelease  *release;

	release = sv_catalog_create_release(product, version, description,
										sv_compat_schema_names(product, version),
										nentries, entries);
	sv_compat_create_schemas(product, release);
	sv_catalog_set_current(product, release->id);
	return release;
}

/*
 * schemaver.baseline(version, product) returns version
 */
Datum
schemaver_baseline(PG_FUNCTION_ARGS)
{
	SvHistory	history = {0};
	SvProduct  *product;
	SvRelease  *release;
	int			nestlevel;

	PreventCommandIfReadOnly("schemaver.baseline()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("baseline() needs a version")));
	history.started = GetCurrentTimestamp();
	history.to = PG_GETARG_SVVERSION(0);
	product = open_product(text_argument(fcinfo, 1));
	if (product->current)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("product \"%s\" has versions already", product->name),
				 errdetail("Its current version is %s.",
						   sv_catalog_release(product, product->current)->label),
				 errhint("Go on from there with schemaver.apply().")));
	nestlevel = sv_contract_enter();
	sv_contract_collect_begin();
	sv_contract_touch_all();
	release = create_release(product, NULL, history.to, NULL);
	sv_compat_reconcile(product, list_make1(release));
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
	history.product_id = product->id;
	history.product_name = product->name;
	history.action = "baseline";
	history.outcome = "taken as it stands";
	history.event = "baselined";
	sv_catalog_record(&history);
	PG_RETURN_DATUM(SvVersionGetDatum(history.to));
}

static List *judge_result(Migration *migration);

/*
 * Locks
 */

/* a relation by name, with its heirs */
static void
need_range(Migration *migration, RangeVar *range, LOCKMODE mode)
{
	Oid			relation = range ? RangeVarGetRelid(range, NoLock, true) :
	InvalidOid;
	ListCell   *lc;

	if (!OidIsValid(relation))
		return;
	migration->needed = sv_lock_need(migration->needed, relation, mode);
	if (has_subclass(relation))
	{
		foreach(lc, find_all_inheritors(relation, NoLock, NULL))
			migration->needed = sv_lock_need(migration->needed,
											 lfirst_oid(lc), mode);
	}
}

/* the table at the other end of a foreign key, InvalidOid if it is none */
static Oid
other_end(Oid constraint, Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	Oid			other = InvalidOid;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == CONSTRAINT_FOREIGN)
		other = form->conrelid == relation ? form->confrelid : form->conrelid;
	ReleaseSysCache(tuple);
	return other;
}

/*
 * The tables at the other ends of the foreign keys from and to a column, -1
 * for any: when that goes, or gets another type, they lose triggers.
 */
static void
need_other_ends(Migration *migration, Oid relation, int column)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(RelationRelationId, relation, column))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->classid == ConstraintRelationId)
			migration->needed = sv_lock_need(migration->needed,
											 other_end(form->objid, relation),
											 AccessExclusiveLock);
	}
}

/* the tables that new foreign keys, in a list of constraints, refer to */
static void
need_referenced(Migration *migration, List *constraints)
{
	ListCell   *lc;

	foreach(lc, constraints)
	{
		Constraint *constraint = lfirst(lc);

		if (IsA(constraint, ColumnDef))
			need_referenced(migration, ((ColumnDef *) constraint)->constraints);
		else if (IsA(constraint, Constraint) &&
				 constraint->contype == CONSTR_FOREIGN)
			need_range(migration, constraint->pktable, ShareRowExclusiveLock);
	}
}

/* what an ALTER TABLE locks beside its own table */
static void
need_around(Migration *migration, const AlterTableStmt *statement)
{
	Oid			relation = RangeVarGetRelid(statement->relation, NoLock, true);
	ListCell   *lc;

	foreach(lc, OidIsValid(relation) ? statement->cmds : NIL)
	{
		AlterTableCmd *command = lfirst(lc);
		AttrNumber	column;
		Oid			other;

		switch (command->subtype)
		{
			case AT_AddColumn:
			case AT_AddConstraint:
				need_referenced(migration, list_make1(command->def));
				break;
			case AT_DropColumn:
			case AT_AlterColumnType:
				column = get_attnum(relation, command->name);
				if (column > 0)
					need_other_ends(migration, relation, column);
				break;
			case AT_DropConstraint:
				other = get_relation_constraint_oid(relation, command->name,
													true);
				other = other_end(other, relation);
				migration->needed = sv_lock_need(migration->needed, other,
												 AccessExclusiveLock);
				break;
			default:
				break;
		}
	}
}

/* a table, or what looks like one, goes */
static void
need_dropped(Migration *migration, RangeVar *range)
{
	Oid			relation = RangeVarGetRelid(range, NoLock, true);

	need_range(migration, range, AccessExclusiveLock);
	if (OidIsValid(relation))
		need_other_ends(migration, relation, -1);
}

/* an index of a large table is left to a job, which locks nobody out */
static LOCKMODE
lock_of_index(const IndexStmt *statement)
{
	Oid			relation = RangeVarGetRelid(statement->relation, NoLock, true);

	return OidIsValid(relation) && !sv_defer_is_inline(relation) ?
		ShareUpdateExclusiveLock : ShareLock;
}

/* the locks that a statement will take, as far as its text tells */
static void
need_locks_of(Migration *migration, Node *node)
{
	ListCell   *lc;

	switch (nodeTag(node))
	{
		case T_AlterTableStmt:
			need_range(migration, ((AlterTableStmt *) node)->relation,
					   AlterTableGetLockLevel(((AlterTableStmt *) node)->cmds));
			need_around(migration, (AlterTableStmt *) node);
			break;
		case T_CreateStmt:
			need_referenced(migration, ((CreateStmt *) node)->tableElts);
			break;
		case T_RenameStmt:
			need_range(migration, ((RenameStmt *) node)->relation,
					   AccessExclusiveLock);
			break;
		case T_AlterObjectSchemaStmt:
			need_range(migration, ((AlterObjectSchemaStmt *) node)->relation,
					   AccessExclusiveLock);
			break;
		case T_TruncateStmt:
			foreach(lc, ((TruncateStmt *) node)->relations)
				need_range(migration, lfirst(lc), AccessExclusiveLock);
			break;
		case T_DropStmt:
			if (((DropStmt *) node)->removeType != OBJECT_TABLE &&
				((DropStmt *) node)->removeType != OBJECT_VIEW &&
				((DropStmt *) node)->removeType != OBJECT_MATVIEW)
				break;
			foreach(lc, ((DropStmt *) node)->objects)
				need_dropped(migration, makeRangeVarFromNameList(lfirst(lc)));
			break;
		case T_ViewStmt:
			if (((ViewStmt *) node)->replace)
				need_range(migration, ((ViewStmt *) node)->view,
						   AccessExclusiveLock);
			break;
		case T_CreateTrigStmt:
			need_range(migration, ((CreateTrigStmt *) node)->relation,
					   ShareRowExclusiveLock);
			break;
		case T_IndexStmt:
			need_range(migration, ((IndexStmt *) node)->relation,
					   lock_of_index((IndexStmt *) node));
			break;
		case T_RuleStmt:
			need_range(migration, ((RuleStmt *) node)->relation,
					   AccessExclusiveLock);
			break;
		case T_AlterEnumStmt:
			foreach(lc, sv_relabel_tables((AlterEnumStmt *) node))
				migration->needed = sv_lock_need(migration->needed,
												 lfirst_oid(lc),
												 AccessExclusiveLock);
			break;
		default:
			break;
	}
}

/* tell of each statement what locks can be foreseen, before any is taken */
static void
foretell_locks(Migration *migration)
{
	ListCell   *lc;

	foreach(lc, migration->script->statements)
	{
		SvStatement *statement = lfirst(lc);

		migration->needed = NIL;
		need_locks_of(migration, statement->raw->stmt);
		migration->rehearsal->foresee(migration->rehearsal->state, statement,
									  migration->needed);
	}
	migration->rehearsal->begin(migration->rehearsal->state);
}

/* who writes which column may change if versions were rolled back */
static void
need_locks_of_sides(Migration *migration)
{
	bool		needed = false;
	ListCell   *lc;

	foreach(lc, migration->releases)
		needed |= sv_version_compare(((SvRelease *) lfirst(lc))->version,
									 migration->from->version) > 0;
	foreach(lc, needed ? sv_sync_tables() : NIL)
		migration->needed = sv_lock_need(migration->needed, lfirst_oid(lc),
										 ShareRowExclusiveLock);
}

/*
 * Take all locks that can be foreseen.  Sessions lock a view before the
 * table under it, so views go first, each group in the order of its OIDs.
 */
static void
lock_relations(Migration *migration)
{
	List	   *views = NIL;
	ListCell   *lc;
	ListCell   *lv;

	if (migration->rehearsal)
		foretell_locks(migration);
	migration->needed = NIL;
	foreach(lc, migration->script->statements)
	{
		migration->statement = lfirst(lc);
		need_locks_of(migration, migration->statement->raw->stmt);
	}
	migration->statement = NULL;
	need_locks_of_sides(migration);
	foreach(lc, migration->needed)
	{
		SvNeededLock *needed = lfirst(lc);

		/* what lets the table be read changes no view: let them be read */
		if (needed->mode < AccessExclusiveLock)
			continue;
		foreach(lv, sv_compat_views_on(migration->product,
									   migration->releases,
									   needed->relation))
			views = list_append_unique_oid(views, lfirst_oid(lv));
	}
	sv_lock_take(views, migration->needed);
}

/*
 * Running the script
 */

static void
statement_context(void *argument)
{
	Migration  *migration = argument;

	if (migration->statement && migration->undone)
		errcontext("statement %d in line %d of the script of version %s of product \"%s\", in its rollback section",
				   migration->statement->number, migration->statement->line,
				   migration->undone, migration->product->name);
	else if (migration->statement)
		errcontext("statement %d in line %d of the migration of product \"%s\" from %s%s%s",
				   migration->statement->number, migration->statement->line,
				   migration->product->name,
				   migration->from ? migration->from->label : "nothing",
				   migration->version ? " to " : "",
				   migration->version ? sv_version_text(migration->version) :
				   "");
}

/* does the session find the base schemas before all but version schemas? */
static bool
is_base_in_front(const SvProduct *product)
{
	List	   *path = NIL;
	ListCell   *lc;
	ListCell   *ls;

	foreach(lc, fetch_search_path(false))
	{
		if (!sv_contract_is_version_schema(lfirst_oid(lc)))
			path = lappend_oid(path, lfirst_oid(lc));
	}
	if (list_length(path) < list_length(product->schemas))
		return false;
	forboth(ls, product->schemas, lc, path)
	{
		if (lfirst_oid(lc) != get_namespace_oid(lfirst(ls), true))
			return false;
	}
	return true;
}

/*
 * Base schemas first, then what the session has, without version schemas.  If
 * that is what it has anyway, in its words: a script may read them, and keep
 * them as a setting of a function.  pg_catalog before base schemas is left out,
 * since it is in front of all then, and of none of them behind them.
 */
static char *
script_path(const SvProduct *product)
{
	bool		in_front = is_base_in_front(product);
	bool		is_first = true;	/* no base schema came yet */
	List	   *names = NIL;
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, in_front ? NIL : product->schemas)
		appendStringInfo(&path, "%s%s", path.len ? ", " : "",
						 quote_identifier(lfirst(lc)));
	if (!SplitIdentifierString(pstrdup(namespace_search_path), ',', &names))
		return path.data;
	foreach(lc, names)
	{
		Oid			schema = get_namespace_oid(lfirst(lc), true);

		if (OidIsValid(schema) && sv_contract_is_version_schema(schema))
			continue;
		if (!in_front && sv_catalog_has_text(product->schemas, lfirst(lc)))
		{
			is_first = false;
			continue;
		}
		if (!in_front && is_first && schema == PG_CATALOG_NAMESPACE)
			continue;
		appendStringInfo(&path, "%s%s", path.len ? ", " : "",
						 quote_identifier(lfirst(lc)));
	}
	return path.data;
}

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static void
run_statement(const SvStatement *statement)
{
	int			result;

	if (sv_expand_execute(statement))
		return;
	result = SPI_execute(statement->text, false, 0);
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be part of a migration", statement->tag),
				 errdetail("%s", SPI_result_code_string(result))));
	SPI_freetuptable(SPI_tuptable);
}

/* in a rehearsal: what it makes of a statement, and what that has changed */
static void
rehearse_statement(Migration *migration)
{
	const SvRehearsal *rehearsal = migration->rehearsal;
	int			nestlevel;

	if (!rehearsal->run(rehearsal->state, migration->statement))
		run_statement(migration->statement);
	nestlevel = sv_contract_enter();
	rehearsal->ran(rehearsal->state, migration->statement,
				   judge_result(migration));
	sv_contract_leave(nestlevel);
	sv_contract_look_again();
}

static void
run_each(Migration *migration)
{
	ListCell   *lc;

	foreach(lc, migration->script->statements)
	{
		CHECK_FOR_INTERRUPTS();
		migration->statement = lfirst(lc);
		sv_defer_at(migration->statement);
		if (migration->rehearsal)
			rehearse_statement(migration);
		else
			run_statement(migration->statement);
	}
	migration->statement = NULL;
}

/*
 * Run the statements as the caller, but not as the version that his session
 * may be registered under; settings they make end with them.
 */
static void
run_statements(Migration *migration)
{
	bool		aside = sv_registry_set_aside(true);

	SPI_connect();
	PG_TRY();
	{
		run_each(migration);
	}
	PG_FINALLY();
	{
		(void) sv_registry_set_aside(aside);
	}
	PG_END_TRY();
	SPI_finish();
}

/* as in run_statements(), with the path and the context of a script */
static void
run_script(Migration *migration)
{
	int			nestlevel = NewGUCNestLevel();
	ErrorContextCallback callback;

	set_local("search_path", script_path(migration->product));
	callback.callback = statement_context;
	callback.arg = migration;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	run_statements(migration);
	error_context_stack = callback.previous;

	/* as in an abort: what the script has set must not outlive it */
	AtEOXact_GUC(false, nestlevel);
}

/* a section's lines are counted from the beginning of its script */
static void
shift_lines(SvScript *section, const char *script)
{
	const char *end = script + strlen(script) - strlen(section->text);
	int			lines = 0;
	ListCell   *lc;

	for (const char *p = script; p < end; p++)
		lines += *p == '\n';
	foreach(lc, section->statements)
		((SvStatement *) lfirst(lc))->line += lines;
}

/*
 * Run the rollback section of the script that has led to a release, as the
 * caller, with the base schemas of a product in front of the search_path.
 */
void
sv_apply_undo(SvProduct *product, const SvRelease *release,
			  const SvScript *script)
{
	Migration	migration = {0};

	migration.product = product;
	migration.undone = release->label;
	migration.script = sv_script_parse(script->rollback);
	shift_lines(migration.script, script->text);
	run_script(&migration);
}

/*
 * The script that has led to a release, parsed, if it has a rollback section;
 * else NULL.
 */
SvScript *
sv_apply_undoable(const SvProduct *product, const SvRelease *release)
{
	char	   *text = sv_catalog_script_of(product, release->version);
	SvScript   *script = text ? sv_script_parse(text) : NULL;

	return script && script->rollback ? script : NULL;
}

/*
 * Judging the result
 */

static bool
is_known(List *findings, const SvFinding *finding)
{
	ListCell   *lc;

	foreach(lc, findings)
	{
		SvFinding  *known = lfirst(lc);

		/* what something has made good may be so no more */
		if (known->release->id == finding->release->id &&
			strcmp(known->change, finding->change) == 0 &&
			(known->severity == SV_FATAL || finding->severity < SV_FATAL))
			return true;
	}
	return false;
}

/* how the script's result differs from the contracts */
static List *
judge_result(Migration *migration)
{
	List	   *findings = NIL;
	ListCell   *lc;

	foreach(lc, sv_contract_judge(migration->releases))
	{
		if (!is_known(migration->before, lfirst(lc)))
			findings = lappend(findings, lfirst(lc));
	}
	return findings;
}

/*
 * The script must leave the product its schemas, and other products alone:
 * their versions are not its business to break, and their history would not
 * tell.
 */
static void
check_borders(const Migration *migration)
{
	ListCell   *lc;

	foreach(lc, migration->product->schemas)
	{
		if (!OidIsValid(get_namespace_oid(lfirst(lc), true)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the script leaves product \"%s\" without its base schema \"%s\"",
							migration->product->name, (char *) lfirst(lc)),
					 errhint("Keep the schema, and move or drop what is in it.")));
	}
	foreach(lc, sv_catalog_products())
	{
		SvProduct  *other = lfirst(lc);
		SvRelease  *current = other->id != migration->product->id &&
		other->awake ? sv_catalog_release(other, other->current) : NULL;
		List	   *findings = current ?
		sv_contract_judge_named(list_make1(current)) : NIL;

		if (findings != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("a migration of product \"%s\" must not change product \"%s\": %s",
							migration->product->name, other->name,
							((SvFinding *) linitial(findings))->change),
					 errdetail("Its current version is %s.", current->label),
					 errhint("Put the change into a migration of product \"%s\".",
							 other->name)));
	}
}

/*
 * The first change that would break a release if it stood alone, or NULL; a
 * sequence's only if there is no other, since it may have gone along with its
 * table.
 */
static SvFinding *
first_finding(List *findings, const SvRelease *release, SvSeverity severity)
{
	SvFinding  *found = NULL;
	ListCell   *lc;

	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->release->id != release->id ||
			finding->severity < severity)
			continue;
		if (found == NULL || found->entry->kind == RELKIND_SEQUENCE)
			found = finding;
	}
	return found;
}

/* the next number that no version has had, a rolled back one neither */
static SvVersion *
free_version(const Migration *migration, SvStep step)
{
	SvVersion  *version = migration->from->version;

	do
	{
		version = sv_version_next(version, step);
	} while (sv_catalog_release_at(migration->product, version));
	return version;
}

/* the number of the new version; a number must not promise too much */
static SvVersion *
choose_version(Migration *migration, List *findings)
{
	SvFinding  *breaking;
	const char *change;

	if (migration->from == NULL)
		return migration->version ? migration->version :
			sv_version_parse("1.0.0");
	breaking = first_finding(findings, migration->from, SV_BREAKS);
	if (breaking)
		change = breaking->change;
	else
		change = sv_defer_checks() == NIL ? NULL :
			((SvDeferredCheck *) linitial(sv_defer_checks()))->change;
	if (migration->version == NULL)
		return free_version(migration,
							change ? SV_STEP_MINOR : SV_STEP_REVISION);
	if (change && sv_version_step(migration->from->version,
									migration->version) == SV_STEP_REVISION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s -> %s promises a compatible change, but %s is not",
						migration->from->label,
						sv_version_text(migration->version), change),
				 errdetail("It would break version %s if it stood alone: %s",
						   migration->from->label, breaking ?
						   breaking->reason : "What it writes may violate that."),
				 errhint("Number it %s.",
						 sv_version_text(sv_version_next(migration->from->version,
														 SV_STEP_MINOR)))));
	return migration->version;
}

/* all changes that no view can mend for a release, a line each */
static char *
list_changes(List *findings, const SvRelease *release)
{
	StringInfoData changes;
	ListCell   *lc;

	initStringInfo(&changes);
	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->release->id == release->id &&
			finding->severity == SV_FATAL)
			appendStringInfo(&changes, "%s%s: %s", changes.len ? "\n" : "",
							 finding->change, finding->reason);
	}
	return changes.data;
}

/* asked under the release's lock: somebody may have come and gone before */
static bool
was_registered(const SvRelease *release)
{
	return release->registered || sv_catalog_was_registered(release);
}

/* what to do instead of a change that would break a release */
static char *
way_out(List *findings, const SvFinding *finding)
{
	Oid			relation = finding->entry->physical;
	char	   *column = finding->required ?
	get_attname(relation, finding->required, true) : NULL;
	StringInfoData labels;
	ListCell   *lc;

	if (column == NULL)
		return "Replace the change by one that older versions can live with, such as a rename or an addition";
	initStringInfo(&labels);
	foreach(lc, findings)
	{
		SvFinding  *other = lfirst(lc);

		if (other->entry->physical == relation &&
			other->required == finding->required)
			appendStringInfo(&labels, "%s%s", labels.len ? ", " : "",
							 other->release->label);
	}
	return psprintf("Say which value it gets with a directive \"-- schemaver: up %s.%s = ...\", give the column a default, set schemaver.on_missing_value to \"nullable\" so that older versions may leave it NULL, or make the change in a later migration, when these are retired: %s",
					quote_identifier(get_rel_name(relation)),
					quote_identifier(column), labels.data);
}

/* a release that the script breaks for good: refuse, or let it give way */
static void
refuse_or_retire(Migration *migration, SvRelease *release, List *findings)
{
	SvFinding  *finding = first_finding(findings, release, SV_FATAL);
	bool		yields = list_member_ptr(migration->yielding, release);
	bool		live;

	if (finding == NULL && !yields)
		return;
	live = !sv_registry_lock_release(release);
	if (live || was_registered(release))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("%s would break version %s of product \"%s\"",
						finding->change, release->label,
						migration->product->name),
				 errdetail("%s", list_changes(findings, release)),
				 errhint("The version is supported since %s. %s%s.",
						 live ? psprintf("it is live (instances: %d)",
										 sv_registry_count(release)) :
						 "instances have registered under it",
						 way_out(findings, finding),
						 release->id == migration->from->id ||
						 finding->required ? "" :
						 psprintf(", or call schemaver.retire(%s, %s) when nobody needs it any more",
								  quote_literal_cstr(release->label),
								  quote_literal_cstr(migration->product->name)))));
	if (!yields)
		ereport(NOTICE,
				(errmsg("version %s of product \"%s\" gives way to %s",
						release->label, migration->product->name,
						finding->change),
				 errdetail("No instance has ever registered under it.")));
	sv_compat_retire(migration->product, list_make1(release), NIL, NIL, NULL,
					 &migration->needed);
}

/* tell of versions that have given way since the script failed with them */
static void
report_yielding(const Migration *migration, List *findings)
{
	ListCell   *lc;

	foreach(lc, migration->yielding)
	{
		SvRelease  *release = lfirst(lc);
		SvFinding  *finding = first_finding(findings, release, SV_FATAL);

		if (finding == NULL)
			finding = first_finding(findings, release, SV_NOTICED);
		ereport(NOTICE,
				(errmsg("version %s of product \"%s\" gives way to %s",
						release->label, migration->product->name,
						finding ? finding->change : "the script"),
				 errdetail("No instance has ever registered under it. For its sake the script would fail: %s",
						   migration->obstacle->message)));
	}
}

/*
 * That a script deletes duplicates before it adds a key says that versions
 * which are in use write such: an error, unless they may leave behind what the
 * newest one does not allow.
 */
static void
refuse_duplicates(const Migration *migration, const SvRelease *release,
				  Oid relation, const char *change, const char *columns)
{
	if (migration->nullable || !sv_require_is_deduplicated(relation))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s would break version %s of product \"%s\"", change,
					release->label, migration->product->name),
			 errdetail("It writes rows of table \"%s\" with the same values of %s: the script itself deletes such.",
					   get_rel_name(relation), columns),
			 errhint("Set schemaver.on_missing_value to \"nullable\" so that the key does not hold for older versions, delete the duplicates in a migration of their own when nobody writes them any more, or add the key when these versions are retired.")));
}

/* the same for a key that is there; of other objects nothing is known */
static void
refuse_duplicates_of(const Migration *migration, const SvFinding *finding)
{
	bool		is_index = get_rel_relkind(finding->object) == RELKIND_INDEX;
	Oid			index = is_index ? finding->object :
	get_constraint_index(finding->object);
	int			nestlevel;
	char	   *columns;

	if (!OidIsValid(index))
		return;
	nestlevel = sv_contract_enter();
	columns = pg_get_indexdef_columns_extended(index,
											   RULE_INDEXDEF_KEYS_ONLY);
	sv_contract_leave(nestlevel);
	refuse_duplicates(migration, finding->release,
					  IndexGetRelation(index, false), finding->change,
					  columns);
}

/* what is new and checks the writes of older versions, told once for all */
static void
report_checked(const Migration *migration, List *findings)
{
	List	   *told = NIL;
	ListCell   *lc;
	ListCell   *lo;

	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);
		StringInfoData labels;
		bool		used = false;

		if (finding->severity != SV_CHECKED || !OidIsValid(finding->object) ||
			finding->release->retired ||
			list_member_oid(told, finding->object))
			continue;
		told = lappend_oid(told, finding->object);
		initStringInfo(&labels);
		foreach(lo, findings)
		{
			SvFinding  *other = lfirst(lo);

			if (other->object != finding->object || other->release->retired)
				continue;
			appendStringInfo(&labels, "%s%s", labels.len ? ", " : "",
							 other->release->label);
			used |= was_registered(other->release);
		}
		if (used)
			refuse_duplicates_of(migration, finding);
		ereport(used ? WARNING : NOTICE,
				(errmsg("what older versions of product \"%s\" write is checked from now on: %s",
						migration->product->name, finding->change),
				 errdetail("Versions: %s", labels.data)));
	}
}

/* the same of what jobs have yet to make; the first is told */
static void
report_deferred(const Migration *migration)
{
	bool		used = migration->from && was_registered(migration->from);
	ListCell   *lc;

	foreach(lc, migration->from ? sv_defer_checks() : NIL)
	{
		SvDeferredCheck *check = lfirst(lc);

		if (used)
			refuse_duplicates(migration, migration->from, check->relation,
							  check->change, check->columns);
		if (foreach_current_index(lc) == 0)
			ereport(used ? WARNING : NOTICE,
					(errmsg("what older versions of product \"%s\" write is checked as soon as a job has made it: %s",
							migration->product->name, check->change)));
	}
}

/*
 * What a version that was rolled back could not live with comes back with its
 * end, before the script says what it does of it.
 */
static void
restore_for(const Migration *migration, List *forgotten, List *supported)
{
	int			nestlevel;

	if (migration->from == NULL)
		return;
	nestlevel = sv_contract_enter();
	sv_shift_restore(migration->product, migration->from, forgotten,
					 supported, NIL);
	sv_contract_leave(nestlevel);
}

/* retire what nobody ever registered under, but for the current version */
static void
retire_forgotten(Migration *migration)
{
	List	   *supported = NIL;
	List	   *forgotten = NIL;
	ListCell   *lc;

	foreach(lc, migration->releases)
	{
		SvRelease  *release = lfirst(lc);

		if (release->id != migration->product->current &&
			!release->registered &&
			sv_jobs_needing(migration->product, release) == NULL &&
			sv_registry_lock_release(release) && !was_registered(release))
			forgotten = lappend(forgotten, release);
		else
			supported = lappend(supported, release);
	}
	migration->releases = supported;
	if (forgotten == NIL)
		return;
	sv_compat_retire(migration->product, forgotten, supported, NIL, NULL,
					 &migration->needed);
	restore_for(migration, forgotten, supported);
}

/*
 * The releases whose needs the script is to see to.  Where it has failed with
 * all of them, those that nobody ever registered under are left out: they are
 * retired when it has run.
 */
static List *
choose_served(Migration *migration)
{
	List	   *served = NIL;
	ListCell   *lc;

	migration->yielding = NIL;
	foreach(lc, migration->releases)
	{
		SvRelease  *release = lfirst(lc);

		if (migration->obstacle && !release->registered &&
			sv_registry_lock_release(release) && !was_registered(release))
			migration->yielding = lappend(migration->yielding, release);
		else
			served = lappend(served, release);
	}
	migration->heeded = *migration->script;
	if (served == NIL)
		migration->heeded.down = NIL;
	migration->settled = migration->heeded;
	return served;
}

static void
record(Migration *migration)
{
	SvHistory	history = {0};

	history.product_id = migration->product->id;
	history.product_name = migration->product->name;
	history.action = "apply";
	history.from = migration->from ? migration->from->version : NULL;
	history.to = migration->reached;
	history.description = migration->description;
	history.reason = migration->reason;
	history.script = migration->script->text;
	history.checksum = migration->script->checksum;
	history.statements = list_length(migration->script->statements);
	history.started = migration->started;
	history.outcome = migration->forward ? "applied again" : "applied";
	history.restorable = true;
	history.event = "applied";
	sv_catalog_record(&history);
}

/* has the migration made a materialized view, or given it its rows? */
static bool
is_populated_now(Oid view)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(view));
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	bool		result = form->relkind == RELKIND_MATVIEW &&
	form->relispopulated &&
	TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));

	ReleaseSysCache(tuple);
	return result;
}

/*
 * Rows that a job has yet to fill were read into materialized views as NULL:
 * they are read once more when all is filled.
 */
static void
leave_refreshes(List *jobs)
{
	ListCell   *lj;
	ListCell   *lv;

	foreach(lj, jobs)
	{
		SvJob	   *job = lfirst(lj);
		AttrNumber	column = strcmp(job->kind, SV_JOB_BACKFILL) == 0 ?
		get_attnum(job->relid, job->name) : InvalidAttrNumber;

		foreach(lv, column == InvalidAttrNumber ? NIL :
				sv_split_views(sv_split_read(job->relid, column)))
		{
			Oid			view = lfirst_oid(lv);

			if (is_populated_now(view))
				sv_defer_add(SV_JOB_REFRESH, view, get_rel_name(view), NULL,
							 NULL);
		}
	}
}

/* what takes long is done after the migration, for the new version */
static void
leave_jobs(const Migration *migration, const SvRelease *release)
{
	leave_refreshes(sv_defer_jobs());
	sv_build_rehearse(sv_defer_jobs());
	sv_jobs_add_deferred(migration->product, release, false);
}

/* an added key does not hold for older versions, if it is one that can be so */
static bool
loosen_added(const Migration *migration, Oid object)
{
	char		relkind = get_rel_relkind(object);
	bool		is_index = relkind == RELKIND_INDEX ||
	relkind == RELKIND_PARTITIONED_INDEX;
	Oid			class_id = is_index ? RelationRelationId :
	ConstraintRelationId;
	bool		was_primary;
	bool		loosened;

	if (!is_index && !OidIsValid(get_constraint_index(object)))
		return false;
	was_primary = !is_index && sv_retain_change_key(object, false);
	loosened = sv_key_loosen(migration->product, NULL, migration->from, true,
							 class_id, &object);
	if (was_primary && !loosened)
		(void) sv_retain_change_key(object, true);
	return loosened;
}

/*
 * Keys that the script has added do not hold back older versions that may
 * leave NULL as well; the findings that are left.
 */
static List *
loosen_all_added(const Migration *migration, List *findings)
{
	List	   *loosened = NIL;
	List	   *left = NIL;
	ListCell   *lc;

	foreach(lc, migration->nullable ? findings : NIL)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->severity == SV_CHECKED && OidIsValid(finding->object) &&
			!finding->release->retired && was_registered(finding->release) &&
			!list_member_oid(loosened, finding->object) &&
			loosen_added(migration, finding->object))
			loosened = lappend_oid(loosened, finding->object);
	}
	if (loosened != NIL)
		sv_contract_look_again();
	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->severity != SV_CHECKED ||
			!list_member_oid(loosened, finding->object))
			left = lappend(left, finding);
	}
	return left;
}

/* the script has run: judge it, record the version, reconcile the others */
static void
finish(Migration *migration)
{
	int			nestlevel = sv_contract_enter();
	List	   *findings = judge_result(migration);
	List	   *supported = NIL;
	SvRelease  *release;
	ListCell   *lc;

	check_borders(migration);
	sv_routine_check(migration->product, migration->from);
	sv_require_settle(migration->product, migration->from,
					  &migration->settled, findings);
	if (migration->rehearsal)
		migration->rehearsal->judged(migration->rehearsal->state, findings);
	migration->reached = choose_version(migration, findings);
	foreach(lc, migration->releases)
		refuse_or_retire(migration, lfirst(lc), findings);
	foreach(lc, migration->releases)
	{
		if (!((SvRelease *) lfirst(lc))->retired)
			supported = lappend(supported, lfirst(lc));
	}
	sv_contract_relink(supported, false);
	release = create_release(migration->product, migration->from,
							 migration->reached, migration->description);
	sv_plain_store(migration->product, migration->from, release);
	if (migration->from)
		sv_sync_take_sides(migration->product,
						   lappend(list_copy(supported), release),
						   migration->from, release);
	sv_require_relax(migration->product);
	report_checked(migration, loosen_all_added(migration, findings));
	if (sv_blur_loosen_keys(migration->product, migration->from, supported))
		sv_contract_look_again();
	report_deferred(migration);

	/* versions that have given way may have been the last to need that */
	if (sv_key_tighten_all(release, supported, false, NULL) != NIL)
		sv_contract_look_again();
	leave_jobs(migration, release);

	/* the base schemas fulfil the new contract, but for what they retain */
	if (migration->product->complete)
		sv_contract_touch_all();
	if (migration->product->complete || sv_contract_touched_hidden())
		supported = lappend(supported, release);
	sv_hold_settle(migration->product);
	(void) sv_refer_settle_all(migration->product, false);
	sv_compat_reconcile(migration->product, supported);
	sv_publish_settle(true);
	sv_publish_report();
	sv_expand_settle();
	if (sv_contract_touched_rights())
		sv_compat_sync_rights(InvalidOid);

	/* a restore point would stay in the WAL */
	if (migration->rehearsal == NULL)
		record(migration);
	report_yielding(migration, findings);
	sv_contract_leave(nestlevel);
}

/* do the guard's event triggers tell what is touched? */
static bool
is_guarded(const char *trigger)
{
	HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME,
										CStringGetDatum(trigger));
	bool		enabled;

	if (!HeapTupleIsValid(tuple))
		return false;
	enabled = ((Form_pg_event_trigger) GETSTRUCT(tuple))->evtenabled ==
		TRIGGER_FIRES_ALWAYS;
	ReleaseSysCache(tuple);
	return enabled;
}

/* what a job of an earlier migration has yet to make is not to be built upon */
static void
refuse_pending(const SvStatement *statement, const SvJob *job,
			   const SvProduct *product)
{
	SvRelease  *release = sv_catalog_release(product, job->release_id);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg(job->late ?
					"statement %d in line %d cannot be applied before the jobs of version %s are done" :
					"statement %d in line %d cannot be applied before version %s is ready",
					statement->number, statement->line,
					release ? release->label : "before"),
			 errdetail("Job %d, %s, is not done.", job->id,
					   sv_work_describe(job)),
			 release ?
			 errhint("Wait with SELECT schemaver.wait_until_ready(%s, %s), then apply the script.",
					 quote_literal_cstr(release->label),
					 quote_literal_cstr(product->name)) : 0));
}

/* is a job one of a version before that, which does not rest there? */
static bool
is_before(const SvProduct *product, const SvJob *job, const SvRelease *to)
{
	SvRelease  *release = sv_catalog_release(product, job->release_id);

	return release && !sv_work_restores(job) &&
		sv_version_compare(release->version, to->version) < 0;
}

/*
 * Refuse what a script would do that is in the way of jobs of this product;
 * of those of versions before "to", if there is one.
 */
static void
check_jobs(const SvProduct *product, const SvScript *script,
		   const SvRelease *to)
{
	List	   *seen = NIL;
	ListCell   *lj;
	ListCell   *ls;

	foreach(lj, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lj);
		Oid			relation = sv_work_find_relation(job);

		if (job->product_id != product->id ||
			strcmp(job->kind, SV_JOB_VALIDATE) == 0 ||
			strcmp(job->kind, SV_JOB_REFRESH) == 0 ||
			(to && !is_before(product, job, to)) ||
			list_member_oid(seen, relation))
			continue;
		seen = lappend_oid(seen, relation);
		foreach(ls, script->statements)
		{
			if (sv_defer_conflicts(((SvStatement *) lfirst(ls))->raw->stmt,
								   relation, true))
				refuse_pending(lfirst(ls), job, product);
		}
	}
}

/* one try at all of it, in a subtransaction of its own */
static void
attempt(void *argument)
{
	Migration  *migration = argument;
	int			nestlevel = NewGUCNestLevel();
	ErrorContextCallback callback;
	List	   *served;

	/* a try before may have got further than the database has */
	migration->product->current = migration->from ? migration->from->id : 0;
	migration->releases = sv_catalog_releases(migration->product, true);
	sv_contract_collect_begin();
	if (migration->drifted || !is_guarded("schemaver_guard_ddl") ||
		!is_guarded("schemaver_guard_drop"))
		sv_contract_touch_all();
	set_local("search_path", script_path(migration->product));
	retire_forgotten(migration);
	served = choose_served(migration);
	check_jobs(migration->product, migration->script, NULL);
	callback.callback = statement_context;
	callback.arg = migration;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	lock_relations(migration);
	sv_expand_begin(migration->product, migration->from, NULL, served,
					&migration->heeded);
	run_statements(migration);
	sv_directive_settle(migration->product, migration->from,
						&migration->settled);
	sv_expand_end();
	migration->nullable = sv_require_is_nullable();
	error_context_stack = callback.previous;

	/* as in an abort: what the script has set must not outlive it */
	AtEOXact_GUC(false, nestlevel);
	finish(migration);
	sv_contract_collect_end();
}

/*
 * Checks before anything runs
 */

/* a version that is asked for twice must be the same */
static SvVersion *
asked_version(SvVersion *argument, const SvScript *script)
{
	if (argument && script->to && sv_version_compare(argument, script->to))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %s was asked for, but the script says it leads to %s",
						sv_version_text(argument),
						sv_version_text(script->to)),
				 errhint("Leave out the argument \"version\", or correct the directive.")));
	return argument ? argument : script->to;
}

static char *
asked_product(char *argument, const SvScript *script)
{
	if (argument && script->product && strcmp(argument, script->product) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("product \"%s\" was asked for, but the script says it is for \"%s\"",
						argument, script->product),
				 errhint("Leave out the argument \"product\", or correct the directive.")));
	return argument ? argument : script->product;
}

/* was this script applied before?  Then the version that it led to. */
static SvVersion *
applied_before(const Migration *migration)
{
	char	   *checksum;

	if (migration->version == NULL)
		return sv_catalog_version_of(migration->product,
									 migration->script->checksum);

	/* nothing has led above the current version, but for a rollback */
	if (migration->from == NULL ||
		(sv_version_compare(migration->version,
							migration->from->version) > 0 &&
		 sv_catalog_release_at(migration->product,
							   migration->version) == NULL))
		return NULL;
	checksum = sv_catalog_checksum_of(migration->product, migration->version);
	if (checksum == NULL)
		return NULL;
	if (strcmp(checksum, migration->script->checksum) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("version %s of product \"%s\" was made by another script",
						sv_version_text(migration->version),
						migration->product->name),
				 errdetail("Its checksum was %s, this script's is %s.",
						   checksum, migration->script->checksum),
				 errhint("Restore the script as it was, and put the change into a script of its own with a new version.")));
	return migration->version;
}

/* the script must start where the database is, and lead forward */
static void
check_from_and_to(const Migration *migration)
{
	const SvVersion *current = migration->from ? migration->from->version :
	NULL;

	if (migration->script->from &&
		(current == NULL ||
		 sv_version_compare(migration->script->from, current) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the script starts from version %s, but product \"%s\" is at %s",
						sv_version_text(migration->script->from),
						migration->product->name, label_of(current)),
				 errhint("Apply the scripts between the two first.")));
	if (migration->version && current &&
		sv_version_compare(migration->version, current) <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("version %s is not above %s, the current version of product \"%s\"",
						sv_version_text(migration->version),
						label_of(current), migration->product->name),
				 errhint("Number it %s or higher.",
						 sv_version_text(sv_version_next(current,
														 SV_STEP_REVISION)))));
}

/* findings against a schema that was changed by hand before the script */
static void
judge_before(Migration *migration)
{
	int			nestlevel;

	migration->drifted = sv_catalog_drifted(migration->product);
	if (!migration->drifted)
		return;
	nestlevel = sv_contract_enter();
	sv_contract_collect_begin();
	sv_contract_touch_all();
	migration->before =
		sv_contract_judge(sv_catalog_releases(migration->product, true));
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
}

/* a statement that only changes data */
static bool
changes_data(const SvStatement *statement)
{
	switch (nodeTag(statement->raw->stmt))
	{
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			return true;
		default:
			return false;
	}
}

/* what a rollback has undone of a script's changes of data is done again */
static void
repeat_data(Migration *migration, SvScript *script)
{
	Migration	repeated = *migration;
	ListCell   *lc;

	repeated.script = palloc(sizeof(SvScript));
	*repeated.script = *script;
	repeated.script->statements = NIL;
	foreach(lc, script->statements)
	{
		if (changes_data(lfirst(lc)))
			repeated.script->statements =
				lappend(repeated.script->statements, lfirst(lc));
	}
	run_script(&repeated);
}

/* what leads to a release must not be in the way of jobs, nor when it returns */
static void
check_return(const SvProduct *product, const SvRelease *to)
{
	char	   *text = sv_catalog_has_jobs() ?
	sv_catalog_script_of(product, to->version) : NULL;
	int			nestlevel = NewGUCNestLevel();

	set_local("search_path", script_path(product));
	if (text)
		check_jobs(product, sv_script_parse(text), to);
	AtEOXact_GUC(false, nestlevel);
}

/* is a release between where the product is and where it goes, or that? */
static bool
is_on_way(const Migration *migration, const SvRelease *release,
		  const SvRelease *to)
{
	return release->id > migration->from->id && release->id <= to->id &&
		sv_version_compare(release->version, migration->from->version) > 0 &&
		sv_version_compare(release->version, to->version) <= 0;
}

/* go to a release, then repeat what scripts have done to the data there */
static void
step_forward(Migration *migration, SvRelease *from, SvRelease *to,
			 List *scripts)
{
	ListCell   *lc;

	sv_shift_begin(migration->product, from, to, &migration->needed);
	sv_shift_to(migration->product, from, to);
	foreach(lc, scripts)
		repeat_data(migration, lfirst(lc));
	sv_shift_end(migration->product, from, to);
}

/*
 * One try at going forward again, in a subtransaction of its own.  What is
 * between here and there is stopped at only where data are to be changed.
 */
static void
attempt_forward(void *argument)
{
	Migration  *migration = argument;
	SvRelease  *to = sv_catalog_release_at(migration->product,
										   migration->reached);
	SvRelease  *current = migration->from;
	List	   *scripts = NIL;
	ListCell   *lc;

	migration->product->current = current->id;
	foreach(lc, sv_catalog_releases(migration->product, false))
	{
		SvRelease  *release = lfirst(lc);
		SvScript   *script;

		if (!is_on_way(migration, release, to))
			continue;
		script = sv_apply_undoable(migration->product, release);
		if (script)
			scripts = lappend(scripts, script);
		if (release->id != to->id && (script == NULL || release->retired))
			continue;
		step_forward(migration, current, release, scripts);
		scripts = NIL;
		current = release;
	}
	record(migration);
}

/* the script has led to a version that was rolled back: can it be again? */
static void
check_forward(const Migration *migration)
{
	SvRelease  *to = sv_catalog_release_at(migration->product,
										   migration->reached);
	ListCell   *lc;

	if (to->retired)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" was rolled back and retired",
						to->label, migration->product->name),
				 errhint("Apply the script under a higher version number.")));
	if (to->id < migration->from->id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" was rolled back, and version %s was made since",
						to->label, migration->product->name,
						migration->from->label),
				 errdetail("To go forward to it would put away what %s has brought.",
						   migration->from->label),
				 errhint("Apply the script under a higher version number, or roll back to the version before it first.")));
	foreach(lc, sv_catalog_releases(migration->product, false))
	{
		if (is_on_way(migration, lfirst(lc), to))
			check_return(migration->product, lfirst(lc));
	}
}

/* go there again */
static void
go_forward(Migration *migration)
{
	check_forward(migration);
	sv_jobs_look_again();
	migration->forward = true;
	sv_lock_retry(psprintf("migration of product \"%s\"",
						   migration->product->name),
				  attempt_forward, migration, &migration->needed);
}

/* does the script lead to a version that was rolled back? */
static bool
leads_forward(const Migration *migration)
{
	return migration->reached && migration->from &&
		sv_version_compare(migration->reached, migration->from->version) > 0;
}

/* find the product and where it stands, and whether there is nothing to do */
static void
prepare(Migration *migration, SvScript *script, SvVersion *version,
		char *product)
{
	migration->script = script;
	migration->version = asked_version(version, script);
	migration->product = open_product(asked_product(product, script));
	migration->from = sv_catalog_release(migration->product,
										 migration->product->current);
	migration->reached = applied_before(migration);
	if (migration->reached == NULL || leads_forward(migration))
		sv_script_check_level(script);
}

/* what plan() says of a script that leads to a version that was rolled back */
static const char *
foretell_forward(const Migration *migration)
{
	char	   *key =
	sv_key_violated(sv_catalog_release_at(migration->product,
										  migration->reached));

	if (key)
		return psprintf("not foretold: it goes forward again to the version that was rolled back, if no row stands against key %s, which other versions did not keep to",
						quote_identifier(key));
	return "goes forward again to the version that was rolled back: what was put away comes back, and statements that only change data run again";
}

/* how far the script has come, 0 if it does not run */
static int
number_reached(const Migration *migration)
{
	return migration->statement ? migration->statement->number : 0;
}

/* an error that says nothing of the script: a cancel, a lock, no more memory */
static bool
is_passing(const ErrorData *problem)
{
	switch (ERRCODE_TO_CATEGORY(problem->sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
			return true;
		default:
			return problem->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	}
}

/*
 * May an error come of what is done for a version?  Outside of the script's
 * statements, where directives and the result are judged, only if it is about
 * values, or about what is not supported.
 */
static bool
may_be_for_version(const Migration *migration, const ErrorData *problem)
{
	bool		in_script = number_reached(migration) > 0;

	if (is_passing(problem))
		return false;
	switch (ERRCODE_TO_CATEGORY(problem->sqlerrcode))
	{
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			return true;
		case ERRCODE_DATA_EXCEPTION:
			return in_script ||
				problem->sqlerrcode != ERRCODE_INVALID_PARAMETER_VALUE;
		default:
			return in_script;
	}
}

/* is one of the versions one that nobody ever registered under? */
static bool
is_any_unused(List *releases)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (!was_registered(lfirst(lc)))
			return true;
	}
	return false;
}

/*
 * Try all of it; where that fails, once more without what is done for versions
 * that nobody ever registered under.  If that fails too, the first error is
 * what there is to say, unless the script has come further without them, or
 * might come to its end another time.
 */
static void
migrate(Migration *migration, ErrorData *(*try) (Migration *migration))
{
	const SvRehearsal *rehearsal = migration->rehearsal;
	ErrorData  *problem = try(migration);
	ErrorData  *again;
	int			reached = number_reached(migration);

	if (problem == NULL)
		return;
	if (!may_be_for_version(migration, problem) ||
		!is_any_unused(migration->releases))
		ReThrowError(problem);
	migration->obstacle = problem;
	migration->statement = NULL;
	if (rehearsal)
		rehearsal->again(rehearsal->state);
	again = try(migration);
	if (again == NULL)
		return;
	if ((reached > 0 && number_reached(migration) > reached) ||
		is_passing(again))
		ReThrowError(again);
	if (rehearsal)
		rehearsal->restore(rehearsal->state);
	ReThrowError(problem);
}

/* do it once, in a subtransaction */
static ErrorData *
try_once(Migration *migration)
{
	return sv_trial_attempt(attempt, migration);
}

/* do it as soon as its locks are to be had */
static ErrorData *
try_in_earnest(Migration *migration)
{
	return sv_lock_attempt(psprintf("migration of product \"%s\"",
									migration->product->name),
						   attempt, migration, &migration->needed);
}

/*
 * Do all that apply() does, but for waiting, in the caller's subtransaction,
 * which he must roll back whatever comes of it.  Returns the version that it
 * leads to; *before tells that the script was applied before, and nothing was
 * done.  Throws what apply() would throw, and 55P03 where it would wait and try
 * again.
 */
SvVersion *
sv_apply_rehearse(SvScript *script, SvVersion *version, char *product,
				  const SvRehearsal *rehearsal, const char **before)
{
	Migration	migration = {0};

	prepare(&migration, script, version, product);
	migration.rehearsal = rehearsal;
	*before = NULL;
	if (leads_forward(&migration))
	{
		check_forward(&migration);
		*before = foretell_forward(&migration);
	}
	else if (migration.reached)
		*before = "none: the script was applied before";
	if (migration.reached)
		return migration.reached;
	check_from_and_to(&migration);
	judge_before(&migration);
	migrate(&migration, try_once);
	return migration.reached;
}

/*
 * schemaver.apply(script, version, product, description, reason)
 * returns version
 */
Datum
schemaver_apply(PG_FUNCTION_ARGS)
{
	Migration	migration = {0};

	PreventCommandIfReadOnly("schemaver.apply()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("apply() needs a script")));
	if (sv_contract_collecting())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("apply() cannot be called by a migration's script"),
				 errhint("Apply the scripts one after the other.")));
	sv_jobs_resume();
	migration.started = GetCurrentTimestamp();
	prepare(&migration, sv_script_parse(text_argument(fcinfo, 0)),
			PG_ARGISNULL(1) ? NULL : PG_GETARG_SVVERSION(1),
			text_argument(fcinfo, 2));
	migration.description = text_argument(fcinfo, 3);
	if (migration.description == NULL)
		migration.description = migration.script->description;
	migration.reason = text_argument(fcinfo, 4);
	if (leads_forward(&migration))
	{
		go_forward(&migration);
		PG_RETURN_DATUM(SvVersionGetDatum(migration.reached));
	}
	if (migration.reached)
	{
		ereport(NOTICE,
				(errmsg("version %s of product \"%s\" was applied before, skipping",
						sv_version_text(migration.reached),
						migration.product->name)));
		PG_RETURN_DATUM(SvVersionGetDatum(migration.reached));
	}
	check_from_and_to(&migration);
	judge_before(&migration);
	migrate(&migration, try_in_earnest);
	PG_RETURN_DATUM(SvVersionGetDatum(migration.reached));
}
