/*-------------------------------------------------------------------------
 *
 * fill.c
 *	  ADD COLUMN with a default that every row gets another value of, without
 *	  a rewrite of the table.
 *
 * The server rewrites the table for a volatile default, serial and identity.
 * Transactions with an older snapshot then find no rows in it, without an
 * error.  So a migration adds the column bare, gives it its default, and lets
 * an UPDATE fill it in; what demands that it is filled, NOT NULL and keys,
 * comes after that.  Triggers and row level security do not notice.  The rows
 * of a large table are left to a job.
 *
 * A stored generated column is left to the server: there is no other way.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* an ALTER TABLE in the order in which it is to be done */
typedef struct Stages
{
	Oid			relation;
	bool		only;
	List	   *add;			/* commands: columns, bare */
	List	   *defaults;		/* commands that give them their defaults */
	List	   *columns;		/* names of those to fill in */
	List	   *rest;			/* commands: all else */
} Stages;

/*
 * Rows
 */

/* is sv_fill_rows() at work? */
static bool filling = false;

/*
 * Is the UPDATE that runs one of ours, and not one of the script?
 */
bool
sv_fill_is_running(void)
{
	return filling;
}

/*
 * Set columns of all rows of a table, "assignments" as in UPDATE.  Triggers
 * do not fire, row level security hides nothing from the table's owner.
 */
void
sv_fill_rows(Oid relation, bool only, const char *assignments)
{
	int			nestlevel = NewGUCNestLevel();
	Oid			user;
	int			context;
	char	   *statement;

	statement = psprintf("UPDATE %s%s SET %s", only ? "ONLY " : "",
						 sv_catalog_relation_name(relation),
						 assignments);
	(void) set_config_option("session_replication_role", "replica",
							 PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_NOFORCE_RLS);
	SPI_connect();
	filling = true;
	PG_TRY();
	{
		if (SPI_execute(statement, false, 0) < 0)
			elog(ERROR, "could not execute \"%s\"", statement);
	}
	PG_FINALLY();
	{
		filling = false;
	}
	PG_END_TRY();
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, nestlevel);
}

typedef struct Filling
{
	Oid			relation;
	char	   *assignment;
} Filling;

static void
fill_column(void *argument)
{
	Filling    *filling = argument;

	sv_fill_rows(filling->relation, false, filling->assignment);
}

/*
 * Set a column of all rows of a table, or of those in which it is NULL, to an
 * expression over the row, as sv_fill_rows() does.  An error says which row it
 * is about.
 */
void
sv_fill_column(Oid relation, const char *column, const char *expression,
			   bool only_nulls)
{
	const char *quoted = quote_identifier(column);
	Filling		filling = {
		relation, psprintf("%s = %s", quoted, expression)
	};
	ErrorData  *problem;

	if (only_nulls)
		filling.assignment = psprintf("%s WHERE %s IS NOT DISTINCT FROM NULL",
									  filling.assignment, quoted);
	problem = sv_trial_attempt(fill_column, &filling);
	if (problem)
		sv_blame_row(relation, column, expression, problem);
}

/*
 * Columns
 */

static Constraint *
find_constraint(const ColumnDef *column, ConstrType type)
{
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		if (lfirst_node(Constraint, lc)->contype == type)
			return lfirst(lc);
	}
	return NULL;
}

/* the type that a pseudo-type such as serial stands for, or InvalidOid */
static Oid
serial_type(const ColumnDef *column)
{
	static const struct
	{
		const char *name;
		Oid			type;
	}			types[] = {
		{"smallserial", INT2OID}, {"serial2", INT2OID},
		{"serial", INT4OID}, {"serial4", INT4OID},
		{"bigserial", INT8OID}, {"serial8", INT8OID}
	};

	if (column->typeName == NULL || list_length(column->typeName->names) != 1 ||
		column->typeName->pct_type || column->typeName->arrayBounds != NIL)
		return InvalidOid;
	for (int i = 0; i < (int) lengthof(types); i++)
	{
		if (strcmp(strVal(linitial(column->typeName->names)),
				   types[i].name) == 0)
			return types[i].type;
	}
	return InvalidOid;
}

static bool
is_volatile(Node *raw)
{
	ParseState *pstate = make_parsestate(NULL);
	Node	   *expression = transformExpr(pstate, copyObject(raw),
										   EXPR_KIND_COLUMN_DEFAULT);

	free_parsestate(pstate);
	return contain_volatile_functions(expression);
}

/* does every row get another value? */
static bool
is_to_fill(const Stages *stages, const AlterTableCmd *command)
{
	ColumnDef  *column = (ColumnDef *) command->def;
	Constraint *given;

	if (command->subtype != AT_AddColumn ||
		get_attnum(stages->relation, column->colname) != InvalidAttrNumber ||
		find_constraint(column, CONSTR_GENERATED))
		return false;
	if (OidIsValid(serial_type(column)) ||
		find_constraint(column, CONSTR_IDENTITY))
		return true;
	given = find_constraint(column, CONSTR_DEFAULT);
	return given && is_volatile(given->raw_expr);
}

static AlterTableCmd *
make_command(AlterTableType subtype, char *column, Node *def)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = subtype;
	command->name = column;
	command->def = def;
	command->behavior = DROP_RESTRICT;
	return command;
}

/* DEFERRABLE and its like stand behind the constraint that they are about */
static void
add_attribute(List *commands, const Constraint *attribute)
{
	AlterTableCmd *last = commands ? llast(commands) : NULL;
	Constraint *constraint = last && last->subtype == AT_AddConstraint ?
	(Constraint *) last->def : NULL;

	if (constraint == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("misplaced DEFERRABLE or INITIALLY clause")));
	switch (attribute->contype)
	{
		case CONSTR_ATTR_DEFERRABLE:
			constraint->deferrable = true;
			break;
		case CONSTR_ATTR_NOT_DEFERRABLE:
			constraint->deferrable = false;
			break;
		case CONSTR_ATTR_DEFERRED:
			constraint->deferrable = true;
			constraint->initdeferred = true;
			break;
		default:
			constraint->initdeferred = false;
			break;
	}
}

/* a constraint of a column as a command of its own */
static void
add_constraint(Stages *stages, char *column, Constraint *constraint)
{
	switch (constraint->contype)
	{
		case CONSTR_NULL:
		case CONSTR_DEFAULT:
		case CONSTR_IDENTITY:
			return;
		case CONSTR_NOTNULL:
			stages->rest = lappend(stages->rest,
								   make_command(AT_SetNotNull, column, NULL));
			return;
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			if (constraint->keys == NIL)
				constraint->keys = list_make1(makeString(column));
			break;
		case CONSTR_FOREIGN:
			constraint->fk_attrs = list_make1(makeString(column));
			break;
		case CONSTR_CHECK:
			break;
		default:
			add_attribute(stages->rest, constraint);
			return;
	}
	stages->rest = lappend(stages->rest,
						   make_command(AT_AddConstraint, NULL,
										(Node *) constraint));
}

/*
 * Sequences
 */

static void
run(const char *statement)
{
	SPI_connect();
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", statement);
	SPI_finish();
}

/* the sequence of a serial column, of the table's owner; its name in SQL */
static char *
make_sequence(Oid relation, const char *column, Oid type)
{
	Relation	table = relation_open(relation, NoLock);
	Oid			schema = RelationGetNamespace(table);
	Oid			owner = table->rd_rel->relowner;
	char	   *name = ChooseRelationName(RelationGetRelationName(table),
										  column, "seq", schema, false);

	relation_close(table, NoLock);
	name = quote_qualified_identifier(get_namespace_name(schema), name);
	run(psprintf("CREATE SEQUENCE %s AS %s", name, format_type_be(type)));
	if (owner != GetUserId())
		run(psprintf("ALTER SEQUENCE %s OWNER TO %s", name,
					 quote_identifier(GetUserNameFromId(owner, false))));
	return name;
}

static Node *
parse_default(const char *text)
{
	List	   *raw = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, raw)->stmt;

	return linitial_node(ResTarget, select->targetList)->val;
}

/* a serial column gets a sequence, which it owns as soon as it is there */
static void
add_serial(Stages *stages, ColumnDef *column, Oid type, List **owned)
{
	char	   *sequence = make_sequence(stages->relation, column->colname,
										 type);

	if (find_constraint(column, CONSTR_DEFAULT))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("multiple default values specified for column \"%s\" of table \"%s\"",
						column->colname, get_rel_name(stages->relation))));
	column->typeName = makeTypeNameFromOid(type, -1);
	stages->defaults =
		lappend(stages->defaults,
				make_command(AT_ColumnDefault, column->colname,
							 parse_default(psprintf("pg_catalog.nextval(%s::pg_catalog.regclass)",
													quote_literal_cstr(sequence)))));
	stages->rest = lappend(stages->rest,
						   make_command(AT_SetNotNull, column->colname, NULL));
	*owned = lappend(*owned,
					 psprintf("ALTER SEQUENCE %s OWNED BY %s.%s", sequence,
							  sv_catalog_relation_name(stages->relation),
							  quote_identifier(column->colname)));
}

/* an identity has to be NOT NULL from the start: zero costs nothing */
static void
add_identity(Stages *stages, ColumnDef *column, Constraint *identity)
{
	Constraint *zero = makeNode(Constraint);
	Constraint *notnull = makeNode(Constraint);
	AlterTableCmd *command = make_command(AT_AddIdentity, column->colname,
										  (Node *) identity);

	zero->contype = CONSTR_DEFAULT;
	zero->location = -1;
	zero->raw_expr = parse_default("0");
	notnull->contype = CONSTR_NOTNULL;
	notnull->location = -1;
	column->constraints = list_make2(zero, notnull);
	stages->defaults = lappend(stages->defaults,
							   make_command(AT_ColumnDefault,
											column->colname, NULL));
	stages->defaults = lappend(stages->defaults, command);
}

/* take a column apart */
static void
add_column(Stages *stages, AlterTableCmd *command, List **owned)
{
	ColumnDef  *column = (ColumnDef *) command->def;
	List	   *constraints = column->constraints;
	Oid			serial = serial_type(column);
	Constraint *identity = find_constraint(column, CONSTR_IDENTITY);
	Constraint *given = find_constraint(column, CONSTR_DEFAULT);
	ListCell   *lc;

	if (OidIsValid(serial))
		add_serial(stages, column, serial, owned);
	else if (identity == NULL)
		stages->defaults = lappend(stages->defaults,
								   make_command(AT_ColumnDefault,
												column->colname,
												given->raw_expr));
	column->constraints = NIL;
	if (identity)
		add_identity(stages, column, identity);
	stages->add = lappend(stages->add, command);
	stages->columns = lappend(stages->columns, column->colname);
	foreach(lc, constraints)
		add_constraint(stages, column->colname, lfirst(lc));
}

/*
 * Statements
 */

/* what the server does before it adds columns, and adding them */
static bool
goes_first(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddColumn:
		case AT_DropColumn:
		case AT_DropConstraint:
		case AT_DropNotNull:
		case AT_DropIdentity:
		case AT_DropExpression:
		case AT_AlterColumnType:
			return true;
		case AT_ColumnDefault:
			return command->def == NULL;
		default:
			return false;
	}
}

/* run some commands of an ALTER TABLE, as if the script had said them */
static void
run_commands(const PlannedStmt *pstmt, List *commands, const char *query,
			 ParamListInfo params)
{
	PlannedStmt *part = copyObject(unconstify(PlannedStmt *, pstmt));

	((AlterTableStmt *) part->utilityStmt)->cmds = commands;
	ProcessUtility(part, query, false, PROCESS_UTILITY_QUERY, params, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

/* an identity's rows are zero until they are filled */
static void
leave_columns(const Stages *stages)
{
	ListCell   *lc;

	foreach(lc, stages->columns)
	{
		char	   *name = lfirst(lc);
		const char *column = quote_identifier(name);
		AttrNumber	number = get_attnum(stages->relation, name);
		bool		is_identity =
		!OidIsValid(GetAttrDefaultOid(stages->relation, number));

		sv_defer_add(SV_JOB_BACKFILL, stages->relation, name, NULL,
					 is_identity ? psprintf("%s = 0", column) :
					 psprintf("%s IS NOT DISTINCT FROM NULL", column));
	}
}

static void
fill_columns(const Stages *stages)
{
	StringInfoData assignments;
	ListCell   *lc;

	if (sv_defer_can(stages->relation, NULL))
	{
		leave_columns(stages);
		return;
	}

	initStringInfo(&assignments);
	foreach(lc, stages->columns)
		appendStringInfo(&assignments, "%s%s = DEFAULT",
						 assignments.len ? ", " : "",
						 quote_identifier(lfirst(lc)));
	sv_fill_rows(stages->relation, stages->only, assignments.data);
}

/* the table that columns are added to, if it had rows before */
static Oid
find_table(const AlterTableStmt *alter)
{
	Oid			oid = RangeVarGetRelid(alter->relation, NoLock, true);
	Relation	relation;
	bool		found;

	if (alter->objtype != OBJECT_TABLE || !OidIsValid(oid) ||
		!pg_class_ownercheck(oid, GetUserId()))
		return InvalidOid;
	relation = relation_open(oid, AccessExclusiveLock);
	found = (relation->rd_rel->relkind == RELKIND_RELATION ||
			 relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) &&
		relation->rd_createSubid == InvalidSubTransactionId;
	relation_close(relation, NoLock);
	return found ? oid : InvalidOid;
}

static bool
adds_column(const AlterTableStmt *alter)
{
	ListCell   *lc;

	foreach(lc, alter->cmds)
	{
		if (((AlterTableCmd *) lfirst(lc))->subtype == AT_AddColumn)
			return true;
	}
	return false;
}

/*
 * Do the part of an ALTER TABLE that would rewrite the table in another way.
 * Returns what is left of it to run, NULL if nothing.
 */
PlannedStmt *
sv_fill_turn(PlannedStmt *pstmt, const char *query, ParamListInfo params)
{
	AlterTableStmt *alter = (AlterTableStmt *) pstmt->utilityStmt;
	Stages		stages = {0};
	List	   *owned = NIL;
	ListCell   *lc;

	if (!IsA(alter, AlterTableStmt) || !adds_column(alter))
		return pstmt;
	stages.relation = find_table(alter);
	stages.only = !alter->relation->inh;
	if (!OidIsValid(stages.relation))
		return pstmt;
	foreach(lc, alter->cmds)
	{
		if (is_to_fill(&stages, lfirst(lc)))
			break;
	}
	if (lc == NULL)
		return pstmt;
	alter = copyObject(alter);
	foreach(lc, alter->cmds)
	{
		AlterTableCmd *command = lfirst(lc);

		if (is_to_fill(&stages, command))
			add_column(&stages, command, &owned);
		else if (goes_first(command))
			stages.add = lappend(stages.add, command);
		else
			stages.rest = lappend(stages.rest, command);
	}
	run_commands(pstmt, stages.add, query, params);
	run_commands(pstmt, stages.defaults, query, params);
	foreach(lc, owned)
		run(lfirst(lc));
	fill_columns(&stages);
	if (stages.rest == NIL)
		return NULL;
	pstmt = copyObject(pstmt);
	((AlterTableStmt *) pstmt->utilityStmt)->cmds = stages.rest;
	return pstmt;
}
