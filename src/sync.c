/*-------------------------------------------------------------------------
 *
 * sync.c
 *	  The row trigger that keeps pairs of columns in step while versions of
 *	  an application with different types write either.
 *
 * A pair is an old column, a new one, and two expressions over the row: "up"
 * computes the new column, "down" the old one.  A session registered under
 * the pair's version or an older one writes the old side, one under a newer
 * version the new side, and everybody else the side that the pair says.  The
 * trigger computes the side that the writer does not write.
 *
 * Rules kept here:
 *
 * - All there is to know stands in the arguments of the table's one trigger,
 *	 seven for each pair, so that it is dumped and restored with the table.
 *	 What backends keep of it is a cache.
 * - An expression runs at INSERT, and at UPDATE only if a column that it
 *	 mentions is not what it was.  So an update of something else never rounds,
 *	 resets or overwrites what another version sees.  A row that an UPDATE
 *	 moves to another partition is not inserted in this sense.
 * - Pairs in which one's new column is the next one's old column make a
 *	 chain: they are computed away from the column that the writer writes, and
 *	 each sees what was computed before.
 * - Expressions run as whoever writes, like a CHECK, under his settings.  But
 *	 their text means the same for all: every name in it that is not in
 *	 pg_catalog is qualified, see sv_sync_check().
 * - A trigger on a partitioned table has a clone in each partition, where
 *	 columns may have other numbers: names are looked up in the table that the
 *	 row goes to.
 * - The trigger is the last BEFORE trigger of the table, by its name, since
 *	 others may change what it computes from.  These are the newest version's
 *	 code, whoever writes.  So a table that has any gets this trigger a second
 *	 time, as the first one: it computes what they are to see, and the last
 *	 one takes what they change for an update by the newest version.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "access/tupdesc.h"
#include "catalog/dependency.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#define ARGS_PER_PAIR	7

/* how much of a value an error shows, in bytes */
#define SHOWN_BYTES		100

/* one way to compute one column of a pair */
typedef struct Direction
{
	bool		is_up;
	AttrNumber	source;			/* the pair's other column, 0 if none */
	AttrNumber	target;			/* the column to compute */
	bool		is_demanded;	/* that must not be null */
	bool		is_mark;		/* it marks a loosened key: see first.c */
	bool		is_number;		/* with 0, else with true */
	bool		may_fail;		/* for others than are held to that */
	char	   *text;			/* NULL: nothing is computed */
	CachedExpression *expression;
	int			ninputs;		/* columns that it mentions */
	AttrNumber *inputs;
} Direction;

typedef struct Pair
{
	char	   *product;
	char	   *label;
	List	   *turns;			/* of SvVersion: see turns_of() */
	bool		newest_is_new;
	Direction	up;
	Direction	down;
} Pair;

/* whose idea of a table's trigger: expressions are planned for one role */
typedef struct PlanKey
{
	Oid			trigger;
	Oid			user;
} PlanKey;

/* what a backend keeps of a trigger; lasts while it is valid or in use */
typedef struct SyncPlan
{
	MemoryContext context;		/* holds all of this */
	Oid			relation;
	bool		is_first;		/* it runs before the user's triggers */
	Oid			root;			/* of a partition: the topmost ancestor */
	bool		valid;
	int			users;			/* queries that run by it */
	char	   *table;			/* name for messages, the root's */
	TupleDesc	desc;
	int			npairs;
	Pair	   *pairs;
	AttrNumber	last_input;		/* the highest number of an input */
	int			nkeys;			/* of a partition: the columns it is by */
	AttrNumber *keys;
} SyncPlan;

typedef struct PlanEntry
{
	PlanKey		key;			/* must be first */
	SyncPlan   *plan;
} PlanEntry;

/* one thing to compute for this writer */
typedef struct Step
{
	const Pair *pair;
	const Direction *forward;
	const Direction *backward;	/* NULL: there is no way back */
	ExprState  *forward_state;
	ExprState  *backward_state;
	bool		left_out;		/* of this row the writer wrote nothing */
	bool		is_across;		/* of this row somebody wrote the other side */
	bool		is_judged;		/* is the next one known? */
	bool		is_alien;		/* the writer's version has no such column */
	bool		is_held;		/* a mark of a key that the writer is held to */
	MemoryContext renewed;		/* of what was made anew after it failed */
} Step;

/* a query's use of a plan; hangs on the FmgrInfo, lives as long */
typedef struct Run
{
	SyncPlan   *plan;
	MemoryContext context;
	MemoryContextCallback callback;
	int32		release;		/* under which the writer is registered, or 0 */
	bool		newest_code;	/* but what he runs is the newest's */
	bool		as_newest;		/* steps are those of the newest version */
	bool		is_moved;		/* the row comes from another partition */
	int			nsteps;
	Step	   *steps;			/* in the order of computing */
	ExprContext *econtext;
	TupleTableSlot *row;		/* the row with what was computed */
	TupleTableSlot *shown;		/* what the user's triggers were shown of it */
	const Step *failing;		/* being computed now */
	const Direction *direction;
} Run;

/*
 * The inputs of a row as the first trigger has left them to the user's.  Lasts
 * as long as the server is busy with the row; nested statements have theirs.
 */
typedef struct Shown
{
	MemoryContextCallback callback;
	struct Shown *outer;
	const TriggerData *event;	/* one for all BEFORE triggers of the row */
	Oid			relation;
	int			ncolumns;
	Datum	   *values;
	bool	   *isnull;
} Shown;

/* the last row that an UPDATE of this transaction may move elsewhere */
typedef struct Moved
{
	MemoryContextCallback callback;
	Oid			root;
	Oid			from;
	TupleDesc	desc;
	HeapTuple	tuple;
} Moved;

/* called for a marked row that is about to be deleted, or NULL */
SvGoneHook	sv_sync_gone_hook = NULL;

static HTAB *plans = NULL;
static Shown *innermost = NULL;
static Moved *moved = NULL;

/* what is being computed */
static SvSyncComputing computing;

PG_FUNCTION_INFO_V1(schemaver_sync);

/*
 * Texts and trees
 */

/*
 * Settings under which a text means the same for everybody.  Returns the
 * level to give to leave_pinned().
 */
static int
enter_pinned(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"quote_all_identifiers", "off"},
		{"transform_null_equals", "off"},
		{"standard_conforming_strings", "on"}
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
	return nestlevel;
}

static void
leave_pinned(int nestlevel)
{
	AtEOXact_GUC(true, nestlevel);
}

/* what an error in a text is about */
typedef struct ParseWhere
{
	const char *expression;
	const char *what;			/* or NULL */
} ParseWhere;

static void
parse_context(void *arg)
{
	ParseWhere *where = arg;
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(where->expression);
	}
	if (where->what)
		errcontext("%s", where->what);
}

/*
 * The one expression that a text consists of, not yet analyzed; an error if
 * it is more or something else.  In the current memory context.
 */
Node *
sv_sync_parse(const char *text)
{
	List	   *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt,
								  linitial_node(RawStmt, statements)->stmt);
	SelectStmt *bare = makeNode(SelectStmt);
	ResTarget  *target;

	bare->targetList = select->targetList;
	target = list_length(select->targetList) == 1 ?
		linitial_node(ResTarget, select->targetList) : NULL;
	if (target == NULL || target->name || target->indirection ||
		!equal(select, bare))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("not a single expression: %s", text),
				 errhint("Write one expression over the columns of the row.")));
	return target->val;
}

/* what stands for more or for something else than the row's own columns */
static bool
has_strange_var(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varattno <= 0)
		return true;
	return expression_tree_walker(node, has_strange_var, context);
}

/*
 * Parse an expression over a relation's row, for a column of a type.  The
 * relation is locked; names resolve along the search_path of the moment.  The
 * tree is in the current memory context, with Vars of varno 1.  Throws what
 * does not parse or fit.
 */
Node *
sv_sync_expression(Relation relation, const char *text, Oid type,
				   int32 typmod)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *node;
	Node	   *coerced;

	pstate->p_sourcetext = text;
	item = addRangeTableEntryForRelation(pstate, relation, AccessShareLock,
										 NULL, false, true);
	addNSItemToQuery(pstate, item, true, true, true);
	node = transformExpr(pstate, sv_sync_parse(text),
						 EXPR_KIND_ALTER_COL_TRANSFORM);
	if (has_strange_var(node, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use a system column or the whole row in transform expression"),
				 errhint("Name the columns that it needs.")));
	coerced = coerce_to_target_type(pstate, node, exprType(node), type,
									typmod, COERCION_ASSIGNMENT,
									COERCE_IMPLICIT_CAST, -1);
	if (coerced == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column is of type %s but expression is of type %s",
						format_type_be(type), format_type_be(exprType(node))),
				 errhint("Cast the expression to the column's type."),
				 parser_errposition(pstate, exprLocation(node))));
	assign_expr_collations(pstate, coerced);
	free_parsestate(pstate);
	return coerced;
}

/* what an expression gives before it is cast to the column's type */
static Node *
without_casts(Node *node)
{
	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceToDomain))
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else if (IsA(node, FuncExpr) &&
				 ((FuncExpr *) node)->funcformat != COERCE_EXPLICIT_CALL &&
				 ((FuncExpr *) node)->args != NIL)
			node = linitial(((FuncExpr *) node)->args);
		else
			return node;
	}
}

/*
 * coalesce(column, value) as require.c makes it for the column that it
 * computes: there is a value from then on, and it is not computed again
 */
static bool
fills_only(Node *node)
{
	node = without_casts(node);
	return IsA(node, CoalesceExpr) &&
		IsA(without_casts(linitial(((CoalesceExpr *) node)->args)), Var);
}

static void
plan_expression(void *argument)
{
	Node	  **node = argument;

	*node = (Node *) expression_planner((Expr *) *node);
}

/*
 * Does it give another value each time?  Judged as CREATE INDEX does, by what
 * is left of it once the bodies of SQL functions stand in place of the calls:
 * a key may be over a function that nobody has declared to be immutable.  A
 * body may not be understood here, where names are found along another path.
 */
static bool
is_volatile(Node *node)
{
	return contain_volatile_functions(node) &&
		(sv_trial_attempt(plan_expression, &node) != NULL ||
		 contain_volatile_functions(node));
}

/* sv_sync_expression() with errors that say what they are about */
static Node *
parse_with_context(Relation relation, const char *text, Oid type,
				   int32 typmod, const char *what)
{
	ParseWhere	where = {text, what};
	ErrorContextCallback callback;
	Node	   *node;

	callback.callback = parse_context;
	callback.arg = &where;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	node = sv_sync_expression(relation, text, type, typmod);
	if (!fills_only(node) && is_volatile(node))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("cannot use a volatile function in transform expression"),
				 errdetail("It would give another value each time that the same row is computed."),
				 errhint("Use functions that are STABLE or IMMUTABLE.")));
	error_context_stack = callback.previous;
	return node;
}

/*
 * Parse an expression over a relation's row, for a column of a type.  Errors
 * are raised for what does not parse or does not fit the type, for volatile
 * functions, subqueries, aggregates, window and set-returning functions, for
 * system columns and the whole row; they have "what", if it is not NULL, as
 * their context.  Names resolve along search_path.
 *
 * Returns the text that an SvSyncPair wants: the same expression, with every
 * name qualified that is not in pg_catalog, in the caller's memory context.
 * Locks the relation in AccessShareLock until the transaction ends.
 */
char *
sv_sync_check(Oid relation, const char *expression, Oid type, int32 typmod,
			  const char *what)
{
	Relation	table = relation_open(relation, AccessShareLock);
	Node	   *node = parse_with_context(table, expression, type, typmod,
										  what);
	int			nestlevel = enter_pinned();
	char	   *text = sv_contract_expression_text(node, relation);

	leave_pinned(nestlevel);
	relation_close(table, NoLock);
	return text;
}

/* an operator of the server on numbers, texts or times gives a value */
static bool
is_plain_operator(OpExpr *expression)
{
	ListCell   *lc;

	set_opfuncid(expression);
	if (expression->opfuncid >= FirstUnpinnedObjectId ||
		!func_strict(expression->opfuncid))
		return false;
	foreach(lc, expression->args)
	{
		char		category;
		bool		preferred;

		get_type_category_preferred(exprType(lfirst(lc)), &category,
									&preferred);
		if (category != TYPCATEGORY_NUMERIC &&
			category != TYPCATEGORY_STRING &&
			category != TYPCATEGORY_DATETIME &&
			category != TYPCATEGORY_TIMESPAN)
			return false;
	}
	return true;
}

/* could a tree be NULL though no column is?  No strict function tells. */
static bool
may_give_null(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_Var:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
			break;
		case T_Const:
			if (((Const *) node)->constisnull)
				return true;
			break;
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcid >= FirstUnpinnedObjectId ||
				(((FuncExpr *) node)->funcformat != COERCE_EXPLICIT_CAST &&
				 ((FuncExpr *) node)->funcformat != COERCE_IMPLICIT_CAST))
				return true;
			break;
		case T_OpExpr:
			if (!is_plain_operator((OpExpr *) node))
				return true;
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, may_give_null, context);
}

/*
 * Does an expression of a pair, for a column of a relation, surely give a value
 * while no column that it mentions is NULL?  *inputs are these, as integers.
 */
bool
sv_sync_gives_value(Oid relation, const char *expression, const char *column,
					List **inputs)
{
	int			nestlevel = enter_pinned();
	Relation	table = relation_open(relation, AccessShareLock);
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(table),
					  get_attnum(relation, column) - 1);
	Node	   *node = sv_sync_expression(table, expression,
										  attribute->atttypid,
										  attribute->atttypmod);
	ListCell   *lc;

	*inputs = NIL;
	foreach(lc, pull_var_clause(node, 0))
		*inputs = list_append_unique_int(*inputs,
										 ((Var *) lfirst(lc))->varattno);
	relation_close(table, NoLock);
	leave_pinned(nestlevel);
	return !may_give_null(node, NULL);
}

/*
 * From arguments to pairs
 */

static void
arguments_malformed(Relation relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("malformed arguments of schemaver.sync() on table \"%s\"",
					RelationGetRelationName(relation)),
			 errdetail("They are seven for each pair of columns: old column, new column, up, down, product, version, and \"new\" or \"old\".")));
}

/* a list of SvSyncPair from a trigger's arguments */
static List *
pairs_of_arguments(Relation relation, int nargs, char **args)
{
	List	   *pairs = NIL;

	if (nargs == 0 || nargs % ARGS_PER_PAIR != 0)
		arguments_malformed(relation);
	for (int i = 0; i < nargs; i += ARGS_PER_PAIR)
	{
		SvSyncPair *pair = palloc(sizeof(SvSyncPair));

		pair->old_column = pstrdup(args[i]);
		pair->new_column = pstrdup(args[i + 1]);
		pair->up = pstrdup(args[i + 2]);
		pair->down = pstrdup(args[i + 3]);
		pair->product = pstrdup(args[i + 4]);
		pair->label = pstrdup(args[i + 5]);
		pair->newest_is_new = strcmp(args[i + 6], "new") == 0;
		if (!pair->newest_is_new && strcmp(args[i + 6], "old") != 0)
			arguments_malformed(relation);
		pairs = lappend(pairs, pair);
	}
	return pairs;
}

/*
 * Sides
 *
 * A pair says by a text of versions who writes which column: the last one that
 * writes the old column, and perhaps, each after a space, later ones from
 * which on it is the other column than before.  These are made where versions
 * were rolled back, and another one comes after them that does without.
 */

/* the versions of that text: a list of SvVersion */
static List *
turns_of(const SvSyncPair *pair)
{
	char	   *text = pstrdup(pair->label);
	char	   *rest = text;
	List	   *turns = NIL;
	char	   *word;

	while ((word = strsep(&rest, " ")) != NULL)
		turns = lappend(turns, sv_version_parse(word));
	return turns;
}

static bool
is_old_among(List *turns, const SvVersion *version)
{
	bool		is_old = sv_version_compare(version, linitial(turns)) <= 0;
	ListCell   *lc;

	for_each_from(lc, turns, 1)
	{
		if (sv_version_compare(version, lfirst(lc)) >= 0)
			is_old = !is_old;
	}
	return is_old;
}

/*
 * Does a version write the old column of a pair?
 */
bool
sv_sync_is_old(const SvSyncPair *pair, const SvVersion *version)
{
	return is_old_among(turns_of(pair), version);
}

/*
 * The last version, without later ones, that writes the old column of a pair;
 * in the caller's memory context.
 */
char *
sv_sync_label(const SvSyncPair *pair)
{
	return pnstrdup(pair->label, strcspn(pair->label, " "));
}

static int
compare_releases(const ListCell *a, const ListCell *b)
{
	return sv_version_compare(((SvRelease *) lfirst(a))->version,
							  ((SvRelease *) lfirst(b))->version);
}

/*
 * Is a release to write the old column of a pair?  The newest does what whoever
 * is not registered does; a pair that it has made is news to all others.
 */
static bool
is_to_be_old(const SvSyncPair *pair, const SvRelease *release,
			 const SvRelease *from, const SvRelease *newest)
{
	if (release->id == newest->id)
		return !pair->newest_is_new;
	return sv_sync_is_old(pair, release->version) ||
		(pair->newest_is_new && strcmp(pair->label, from->label) == 0);
}

/* the text that says the same; NULL if the pair's own one does */
static char *
text_of_sides(const SvSyncPair *pair, List *releases, const SvRelease *from,
			  const SvRelease *newest)
{
	StringInfoData text;
	char	   *last = sv_sync_label(pair);
	bool		was_old = true;
	bool		differs = false;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);
		bool		is_old = is_to_be_old(pair, release, from, newest);

		differs |= is_old != sv_sync_is_old(pair, release->version);
		if (is_old && text.len == 0)
			last = release->label;
		else if (text.len == 0)
			appendStringInfoString(&text, last);
		else if (is_old != was_old)
			appendStringInfo(&text, " %s", release->label);
		was_old = is_old;
	}
	if (!differs)
		return NULL;
	return text.len ? text.data : last;
}

/*
 * Put a new version on its sides of all pairs, and others on theirs: where some
 * were rolled back, the order of versions does not tell any more.  "releases"
 * are the supported ones, the new one included.  Tables whose triggers change
 * are locked in ShareRowExclusiveLock.
 */
void
sv_sync_take_sides(const SvProduct *product, List *releases,
				   const SvRelease *from, const SvRelease *newest)
{
	ListCell   *lt;
	ListCell   *lc;

	releases = list_copy(releases);
	list_sort(releases, compare_releases);
	foreach(lt, sv_sync_tables())
	{
		List	   *pairs = sv_sync_pairs(lfirst_oid(lt));
		bool		changed = false;

		foreach(lc, pairs)
		{
			SvSyncPair *pair = lfirst(lc);
			char	   *text;

			if (strcmp(pair->product, product->name) != 0)
				continue;
			text = text_of_sides(pair, releases, from, newest);
			if (text == NULL)
				continue;
			pair->label = text;
			changed = true;
		}
		if (changed)
			sv_sync_set(lfirst_oid(lt), pairs);
	}
}

/* the arguments that say these pairs: a list of String */
static List *
arguments_of_pairs(List *pairs)
{
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, pairs)
	{
		SvSyncPair *pair = lfirst(lc);

		args = lappend(args, makeString(pair->old_column));
		args = lappend(args, makeString(pair->new_column));
		args = lappend(args, makeString(pair->up));
		args = lappend(args, makeString(pair->down));
		args = lappend(args, makeString(pair->product));
		args = lappend(args, makeString(pair->label));
		args = lappend(args, makeString(pair->newest_is_new ? "new" : "old"));
	}
	return args;
}

/* the number of a pair's column; 0 where the pair has none on that side */
static AttrNumber
find_column(Relation relation, const char *name)
{
	AttrNumber	number;

	if (name[0] == '\0')
		return InvalidAttrNumber;
	number = get_attnum(RelationGetRelid(relation), name);
	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\", which is kept in step with another one, does not exist",
						name, RelationGetRelationName(relation)),
				 errhint("Give the column its name back, or rename columns in a migration.")));
	return number;
}

/* tableoid, which a hidden generated column mentions, is known here */
static Node *
with_tableoid(Node *node, Relation relation)
{
	if (node && IsA(node, Var) &&
		((Var *) node)->varattno == TableOidAttributeNumber)
		return (Node *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
								  ObjectIdGetDatum(RelationGetRelid(relation)),
								  false, true);
	return expression_tree_mutator(node, with_tableoid, relation);
}

/* put the generation expressions in the place of generated columns */
static Node *
expand_generated(Relation relation, Node *node)
{
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *vars = pull_var_clause(node, 0);
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, vars)
	{
		AttrNumber	number = ((Var *) lfirst(lc))->varattno;

		Node	   *value;

		if (TupleDescAttr(desc, number - 1)->attgenerated == '\0')
			continue;
		value = with_tableoid(build_column_default(relation, number),
							  relation);
		targets = lappend(targets, makeTargetEntry((Expr *) value, number,
												   NULL, false));
	}
	if (targets == NIL)
		return node;
	return ReplaceVarsFromTargetList(node, 1, 0, NULL, targets,
									 REPLACEVARS_CHANGE_VARNO, 1, NULL);
}

/* the columns that a tree mentions, each once */
static void
set_inputs(Direction *direction, Node *node)
{
	Bitmapset  *numbers = NULL;
	int			number = -1;

	pull_varattnos(node, 1, &numbers);
	direction->inputs = palloc(sizeof(AttrNumber) *
							   (bms_num_members(numbers) + 1));
	while ((number = bms_next_member(numbers, number)) >= 0)
		direction->inputs[direction->ninputs++] =
			number + FirstLowInvalidHeapAttributeNumber;
	bms_free(numbers);
}

/* its expression, parsed under pinned settings */
static Node *
parse_direction(Relation relation, const char *text, AttrNumber target,
				const SvSyncPair *pair, bool is_up)
{
	Form_pg_attribute column;
	char	   *what = psprintf("\"%s\" expression of columns \"%s\" and \"%s\" of table \"%s\"",
								is_up ? "up" : "down", pair->old_column,
								pair->new_column,
								RelationGetRelationName(relation));

	if (target == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s has no column to compute", what)));
	column = TupleDescAttr(RelationGetDescr(relation), target - 1);
	return parse_with_context(relation, text, column->atttypid,
							  column->atttypmod, what);
}

/* is it an error to leave a column null, by NOT NULL or what waits for it? */
static bool
is_demanded(Relation relation, AttrNumber number)
{
	TupleDesc	desc = RelationGetDescr(relation);
	bool		demanded = number > 0 &&
	TupleDescAttr(desc, number - 1)->attnotnull;

	for (int i = 0; !demanded && desc->constr && i < desc->constr->num_check;
		 i++)
	{
		const ConstrCheck *check = &desc->constr->check[i];
		Bitmapset  *columns = NULL;

		if (strncmp(check->ccname, SV_REQUIRED_NAME,
					strlen(SV_REQUIRED_NAME)) != 0 &&
			strncmp(check->ccname, SV_PENDING_NAME,
					strlen(SV_PENDING_NAME)) != 0)
			continue;
		pull_varattnos(stringToNode(check->ccbin), 1, &columns);
		demanded = bms_is_member(number - FirstLowInvalidHeapAttributeNumber,
								 columns);
	}
	return demanded;
}

/* fill in one direction of a pair; text and arrays in the current context */
static void
make_direction(Direction *direction, Relation relation,
			   const SvSyncPair *pair, bool is_up)
{
	const char *text = is_up ? pair->up : pair->down;
	AttrNumber	old_column = find_column(relation, pair->old_column);
	AttrNumber	new_column = find_column(relation, pair->new_column);
	Node	   *node;
	int			nestlevel;

	memset(direction, 0, sizeof(Direction));
	direction->is_up = is_up;
	direction->source = is_up ? old_column : new_column;
	direction->target = is_up ? new_column : old_column;
	direction->is_demanded = is_demanded(relation, direction->target);
	direction->is_mark = direction->target > 0 &&
		sv_contract_is_mark(RelationGetRelid(relation), direction->target);
	direction->is_number = direction->is_mark &&
		sv_contract_mark_is_number(RelationGetRelid(relation),
								   direction->target);
	if (text[0] == '\0')
		return;
	nestlevel = enter_pinned();
	node = parse_direction(relation, text, direction->target, pair, is_up);
	node = expand_generated(relation, node);
	leave_pinned(nestlevel);
	direction->text = pstrdup(text);
	direction->may_fail = direction->is_mark && sv_tolerate_may_fail(node);
	set_inputs(direction, node);

	/* planning may inline functions, whose names are the writer's to find */
	direction->expression = GetCachedExpression(node);
}

/*
 * Plans
 */

static void
invalidate(Datum arg, Oid relation)
{
	HASH_SEQ_STATUS status;
	PlanEntry  *entry;

	(void) arg;
	hash_seq_init(&status, plans);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relation) || entry->plan->relation == relation)
			entry->plan->valid = false;
	}
}

static void
free_plan(SyncPlan *plan)
{
	for (int i = 0; i < plan->npairs; i++)
	{
		if (plan->pairs[i].up.expression)
			FreeCachedExpression(plan->pairs[i].up.expression);
		if (plan->pairs[i].down.expression)
			FreeCachedExpression(plan->pairs[i].down.expression);
	}
	MemoryContextDelete(plan->context);
}

/* forget what is not valid any more; a query that still runs by it frees it */
static void
sweep_plans(void)
{
	HASH_SEQ_STATUS status;
	PlanEntry  *entry;

	hash_seq_init(&status, plans);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		SyncPlan   *plan = entry->plan;

		if (plan->valid)
			continue;
		(void) hash_search(plans, &entry->key, HASH_REMOVE, NULL);
		if (plan->users == 0)
			free_plan(plan);
		else
			plan->relation = InvalidOid;	/* in no table any more */
	}
}

static void
make_plan_table(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(PlanKey);
	control.entrysize = sizeof(PlanEntry);
	control.hcxt = CacheMemoryContext;
	plans = hash_create("schemaver sync", 16, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
}

/* what a partition is by, and what it is a partition of */
static void
fill_partition(SyncPlan *plan, Relation relation)
{
	Bitmapset  *numbers = NULL;
	int			number = -1;

	plan->root = llast_oid(get_partition_ancestors(plan->relation));
	plan->table = get_rel_name(plan->root);
	pull_varattnos((Node *) RelationGetPartitionQual(relation), 1, &numbers);
	plan->keys = palloc(sizeof(AttrNumber) * (bms_num_members(numbers) + 1));
	while ((number = bms_next_member(numbers, number)) >= 0)
		plan->keys[plan->nkeys++] =
			number + FirstLowInvalidHeapAttributeNumber;
}

static void
note_last_input(SyncPlan *plan, const Direction *direction)
{
	plan->last_input = Max(plan->last_input, direction->target);
	for (int i = 0; i < direction->ninputs; i++)
		plan->last_input = Max(plan->last_input, direction->inputs[i]);
}

/* in the plan's context */
static void
fill_plan(SyncPlan *plan, Relation relation, Trigger *trigger)
{
	List	   *pairs = pairs_of_arguments(relation, trigger->tgnargs,
										   trigger->tgargs);
	ListCell   *lc;

	plan->is_first = strcmp(trigger->tgname, SV_SYNC_FIRST_TRIGGER) == 0;
	plan->table = pstrdup(RelationGetRelationName(relation));
	plan->desc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	plan->pairs = palloc0(sizeof(Pair) * list_length(pairs));
	foreach(lc, pairs)
	{
		SvSyncPair *from = lfirst(lc);
		Pair	   *pair = &plan->pairs[plan->npairs++];

		pair->product = from->product;
		pair->label = sv_sync_label(from);
		pair->turns = turns_of(from);
		pair->newest_is_new = from->newest_is_new;
		make_direction(&pair->up, relation, from, true);
		make_direction(&pair->down, relation, from, false);
		note_last_input(plan, &pair->up);
		note_last_input(plan, &pair->down);
	}
	if (relation->rd_rel->relispartition)
		fill_partition(plan, relation);
}

/*
 * Make a plan of a trigger and enter it.  Until it is complete it stands
 * there as one that is not valid: whatever fails, the next sweep frees it.
 */
static SyncPlan *
make_plan(const PlanKey *key, Relation relation, Trigger *trigger)
{
	MemoryContext context;
	MemoryContext oldcontext;
	PlanEntry  *entry;
	SyncPlan   *plan;

	sweep_plans();
	context = AllocSetContextCreate(CacheMemoryContext, "schemaver sync",
									ALLOCSET_SMALL_SIZES);
	plan = MemoryContextAllocZero(context, sizeof(SyncPlan));
	plan->context = context;
	plan->relation = RelationGetRelid(relation);
	entry = hash_search(plans, key, HASH_ENTER, NULL);
	entry->plan = plan;
	oldcontext = MemoryContextSwitchTo(context);
	fill_plan(plan, relation, trigger);
	MemoryContextSwitchTo(oldcontext);
	plan->valid = true;
	return plan;
}

/* planned expressions go out of date with the functions that they call */
static bool
is_up_to_date(SyncPlan *plan)
{
	for (int i = 0; plan->valid && i < plan->npairs; i++)
	{
		Pair	   *pair = &plan->pairs[i];

		if ((pair->up.expression && !pair->up.expression->is_valid) ||
			(pair->down.expression && !pair->down.expression->is_valid))
			plan->valid = false;
	}
	return plan->valid;
}

static SyncPlan *
find_plan(Relation relation, Trigger *trigger)
{
	PlanKey		key = {trigger->tgoid, GetUserId()};
	PlanEntry  *entry;

	if (plans == NULL)
		make_plan_table();
	entry = hash_search(plans, &key, HASH_FIND, NULL);
	if (entry && is_up_to_date(entry->plan))
		return entry->plan;
	return make_plan(&key, relation, trigger);
}

/*
 * A query's use of a plan
 */

static void
end_run(void *arg)
{
	SyncPlan   *plan = ((Run *) arg)->plan;

	/* one that was forgotten meanwhile has been waiting for this */
	if (--plan->users == 0 && !OidIsValid(plan->relation))
		free_plan(plan);
}

static bool
is_of_mark(const Pair *pair)
{
	return pair->up.text ? pair->up.is_mark : pair->down.is_mark;
}

/*
 * Does a session write the pair's old side?  The newest version's code writes
 * that version's, if the other one can be computed; else what other versions
 * leave out is filled in for it as for them.  What a trigger makes of a row is
 * held to the keys of the version that writes it.
 */
static bool
writes_old(const Run *run, const Pair *pair, const char *product,
		   const SvVersion *version)
{
	if (product == NULL || strcmp(product, pair->product) != 0 ||
		(run->as_newest && !is_of_mark(pair)) ||
		(run->newest_code && pair->up.text && pair->down.text))
		return !pair->newest_is_new;
	return is_old_among(pair->turns, version);
}

static void
add_step(Run *run, const Pair *pair, const Direction *forward,
		 const Direction *backward)
{
	Step	   *step;

	if (forward->text == NULL)
		return;
	step = &run->steps[run->nsteps++];
	memset(step, 0, sizeof(Step));
	step->pair = pair;
	step->forward = forward;
	step->forward_state = ExecInitExpr((Expr *) forward->expression->expr,
									   NULL);
	if (backward->text == NULL)
		return;
	step->backward = backward;
	step->backward_state = ExecInitExpr((Expr *) backward->expression->expr,
										NULL);
}

/* a mark is set by who is held to its key as well */
static void
add_held_step(Run *run, const Pair *pair)
{
	if (!is_of_mark(pair))
		return;
	if (pair->up.text)
		add_step(run, pair, &pair->up, &pair->down);
	else
		add_step(run, pair, &pair->down, &pair->up);
	run->steps[run->nsteps - 1].is_held = true;
}

/* does a step compute from what another one computes? */
static bool
follows(const Step *step, const Step *other)
{
	const Direction *direction = step->forward;

	if (direction->source != 0)
		return direction->source == other->forward->target;
	for (int i = 0; i < direction->ninputs; i++)
	{
		if (direction->inputs[i] == other->forward->target)
			return true;
	}
	return false;
}

/*
 * Put behind each other what is computed from each other: where versions came
 * after ones that were rolled back, pairs branch off the same column.
 */
static void
order_steps(Run *run)
{
	for (int done = 0; done < run->nsteps; done++)
	{
		for (int i = done; i < run->nsteps; i++)
		{
			Step		step = run->steps[i];
			int			other = done;

			while (other < run->nsteps &&
				   (other == i || !follows(&step, &run->steps[other])))
				other++;
			if (other < run->nsteps)
				continue;
			memmove(&run->steps[done + 1], &run->steps[done],
					sizeof(Step) * (i - done));
			run->steps[done] = step;
			break;
		}
	}
}

/*
 * What is to be computed for this writer, away from what he writes: the pairs
 * whose old side he writes in ascending order, the others in descending.  Or
 * for the newest version, whoever writes, but for marks of keys.
 */
static void
set_steps(Run *run, bool as_newest)
{
	const char *product;
	const SvVersion *version;
	MemoryContext oldcontext = MemoryContextSwitchTo(run->context);
	SyncPlan   *plan = run->plan;

	run->release = sv_registry_session(&product, &version);
	run->newest_code = sv_registry_is_newest_code();
	run->as_newest = as_newest;
	run->nsteps = 0;
	for (int i = 0; i < plan->npairs; i++)
	{
		Pair	   *pair = &plan->pairs[i];

		if (!writes_old(run, pair, product, version))
			continue;
		add_step(run, pair, &pair->up, &pair->down);
		if (pair->up.text == NULL)
			add_held_step(run, pair);
	}
	for (int i = plan->npairs - 1; i >= 0; i--)
	{
		Pair	   *pair = &plan->pairs[i];

		if (writes_old(run, pair, product, version))
			continue;
		add_step(run, pair, &pair->down, &pair->up);
		if (pair->down.text == NULL)
			add_held_step(run, pair);
	}
	order_steps(run);
	MemoryContextSwitchTo(oldcontext);
}

static Run *
begin_run(FmgrInfo *flinfo, TriggerData *trigdata)
{
	SyncPlan   *plan = find_plan(trigdata->tg_relation, trigdata->tg_trigger);
	MemoryContext oldcontext = MemoryContextSwitchTo(flinfo->fn_mcxt);
	Run		   *run = palloc0(sizeof(Run));

	run->plan = plan;
	run->context = flinfo->fn_mcxt;
	run->callback.func = end_run;
	run->callback.arg = run;
	plan->users++;
	MemoryContextRegisterResetCallback(flinfo->fn_mcxt, &run->callback);
	run->steps = palloc(sizeof(Step) * plan->npairs);
	run->econtext = CreateStandaloneExprContext();
	run->row = MakeSingleTupleTableSlot(plan->desc, &TTSOpsVirtual);
	run->shown = MakeSingleTupleTableSlot(plan->desc, &TTSOpsVirtual);
	run->econtext->ecxt_scantuple = run->row;
	set_steps(run, false);
	flinfo->fn_extra = run;
	MemoryContextSwitchTo(oldcontext);
	return run;
}

/*
 * Did a column change?
 */

/* datum_image_eq() that does not fetch what is stored out of line twice */
static bool
is_same(Form_pg_attribute column, Datum a, Datum b)
{
	if (column->attbyval)
		return datum_image_eq(a, b, true, column->attlen);
	if (a == b)
		return true;
	if (column->attlen == -1)
	{
		struct varlena *left = (struct varlena *) DatumGetPointer(a);
		struct varlena *right = (struct varlena *) DatumGetPointer(b);

		if (VARATT_IS_EXTERNAL_ONDISK(left) &&
			VARATT_IS_EXTERNAL_ONDISK(right) &&
			memcmp(left, right, VARSIZE_EXTERNAL(left)) == 0)
			return true;
	}
	return datum_image_eq(a, b, false, column->attlen);
}

/* is one of these columns not what it was? */
static bool
differs(const SyncPlan *plan, int ncolumns, const AttrNumber *columns,
		TupleTableSlot *before, TupleTableSlot *after)
{
	for (int i = 0; i < ncolumns; i++)
	{
		int			n = columns[i] - 1;

		if (before->tts_isnull[n] != after->tts_isnull[n])
			return true;
		if (!before->tts_isnull[n] &&
			!is_same(TupleDescAttr(plan->desc, n), before->tts_values[n],
					 after->tts_values[n]))
			return true;
	}
	return false;
}

/*
 * Computing
 */

/* take a copy of the row that can be written to */
static void
copy_row(Run *run, TupleTableSlot *from)
{
	TupleTableSlot *row = run->row;
	int			natts = run->plan->desc->natts;

	ResetExprContext(run->econtext);
	slot_getallattrs(from);
	ExecClearTuple(row);
	memcpy(row->tts_values, from->tts_values, sizeof(Datum) * natts);
	memcpy(row->tts_isnull, from->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(row);
}

static bool
is_null(const Run *run, AttrNumber number)
{
	return run->row->tts_isnull[number - 1];
}

/* one evaluation */
typedef struct Evaluation
{
	Run		   *run;
	ExprState  *state;
	Datum		value;
	bool		isnull;
} Evaluation;

static void
evaluate(void *argument)
{
	Evaluation *evaluation = argument;

	evaluation->value = ExecEvalExprSwitchContext(evaluation->state,
												  evaluation->run->econtext,
												  &evaluation->isnull);
}

/* what an expression has kept of functions that failed is not to be used */
static void
renew(Run *run, Step *step)
{
	MemoryContext oldcontext;

	if (step->renewed == NULL)
		step->renewed = AllocSetContextCreate(run->context, "schemaver mark",
											  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(step->renewed);
	oldcontext = MemoryContextSwitchTo(step->renewed);
	step->forward_state =
		ExecInitExpr((Expr *) step->forward->expression->expr, NULL);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Who is not held to a key may write what its expressions fail for: the row is
 * not marked, and the key is not over it.
 */
static Datum
evaluate_mark(Run *run, Step *step, ExprState *state, bool *isnull)
{
	Evaluation	evaluation = {run, state, (Datum) 0, true};
	ErrorData  *problem = sv_trial_attempt(evaluate, &evaluation);

	if (problem && !sv_tolerate_is_about_value(problem->sqlerrcode))
		ReThrowError(problem);
	if (problem)
		renew(run, step);
	*isnull = problem || evaluation.isnull;
	return evaluation.value;
}

/* is the row as it stands marked as the first one with its values? */
static bool
is_marked(const Run *run, const Direction *mark)
{
	return !is_null(run, mark->target) &&
		(!mark->is_number ||
		 DatumGetInt64(run->row->tts_values[mark->target - 1]) == 0);
}

/* compute a column; a NULL may be told to leave what stands there */
static void
compute(Run *run, Step *step, const Direction *direction,
		ExprState *state, bool keeps)
{
	int			n = direction->target - 1;
	Datum		value;
	bool		isnull;

	run->failing = step;
	run->direction = direction;
	computing.column = direction->target;

	/* a duplicate of others stays one where it is carried along with the first */
	computing.held = step->is_held && is_marked(run, direction);
	value = direction->may_fail && !step->is_held ?
		evaluate_mark(run, step, state, &isnull) :
		ExecEvalExprSwitchContext(state, run->econtext, &isnull);
	if (isnull && keeps)
		return;
	run->row->tts_values[n] = isnull ? (Datum) 0 :
		MakeExpandedObjectReadOnly(value, isnull,
								   TupleDescAttr(run->plan->desc, n)->attlen);
	run->row->tts_isnull[n] = isnull;
}

/* does an earlier step compute the source of a step from what is there? */
static bool
is_fed(const Run *run, const Step *step)
{
	for (const Step *other = run->steps; other < step; other++)
	{
		if (other->forward->target == step->forward->source &&
			(other->forward->source == InvalidAttrNumber ||
			 !is_null(run, other->forward->source) || is_fed(run, other)))
			return true;
	}
	return false;
}

/*
 * Did the writer leave out his side, and the other has a default that it needs?
 * A NULL in spite of a default of his own is one that he has written, and where
 * the other may be null as well he is not told what he did not say.  Where the
 * other has no default, he has written that one, by the table's own name.
 */
static bool
is_left_out(const Run *run, const Step *step)
{
	const Direction *forward = step->forward;

	return forward->source != InvalidAttrNumber &&
		(forward->is_demanded || step->backward == NULL ||
		 !TupleDescAttr(run->row->tts_tupleDescriptor,
						forward->target - 1)->atthasdef) &&
		is_null(run, forward->source) && !is_null(run, forward->target) &&
		!TupleDescAttr(run->row->tts_tupleDescriptor,
					   forward->source - 1)->atthasdef &&
		!is_fed(run, step);
}

/* where a row has moved, other rows are the first ones */
static void
compute_marks(Run *run)
{
	for (int i = 0; i < run->nsteps; i++)
	{
		Step	   *step = &run->steps[i];

		if (step->forward->is_mark)
			compute(run, step, step->forward, step->forward_state, false);
	}
}

/*
 * A new row.  Where the writer's own column is NULL and the other one is not,
 * a default has filled that, and the writer's is computed from it.  Where
 * that cannot be, the default stays unless there is something better.
 */
static void
compute_insert(Run *run)
{
	if (run->is_moved)
	{
		compute_marks(run);
		return;
	}
	for (int i = run->nsteps - 1; i >= 0; i--)
	{
		Step	   *step = &run->steps[i];

		step->left_out = is_left_out(run, step);
		if (step->left_out && step->backward)
			compute(run, step, step->backward, step->backward_state, false);
	}
	for (int i = 0; i < run->nsteps; i++)
	{
		Step	   *step = &run->steps[i];

		if (!step->left_out || step->backward == NULL)
			compute(run, step, step->forward, step->forward_state,
					step->left_out);
	}
}

/* is what a step computes a column that the writer's version does not know? */
static bool
is_alien(const Run *run, const Step *step)
{
	const SyncPlan *plan = run->plan;
	Oid			table = OidIsValid(plan->root) ? plan->root : plan->relation;
	AttrNumber	target = step->forward->target;
	const char *name = NameStr(TupleDescAttr(plan->desc, target - 1)->attname);
	SvProduct  *product = sv_catalog_product(step->pair->product, true);
	SvRelease  *release;
	SvEntry    *entry;

	if (product == NULL)
		return false;
	release = sv_catalog_release(product, run->as_newest || run->newest_code ||
								 !run->release ? product->current :
								 run->release);
	entry = release ? sv_catalog_entry_of(release, table) : NULL;
	return entry &&
		sv_contract_column_at(entry, get_attnum(table, name)) == NULL;
}

/*
 * Was a column written that the writer's version does not know, and the one
 * that it has in its place was not?  A foreign key has carried on a change, or
 * a view of another version.
 */
static bool
is_across(const Run *run, Step *step, TupleTableSlot *before,
		  TupleTableSlot *after)
{
	if (step->backward == NULL ||
		!differs(run->plan, 1, &step->forward->target, before, after) ||
		differs(run->plan, 1, &step->backward->target, before, after))
		return false;
	if (!step->is_judged)
		step->is_alien = is_alien(run, step);
	step->is_judged = true;
	return step->is_alien;
}

/*
 * A changed row, from the first step on that has something to compute.  What
 * was written across, if anything, is computed backward before that.
 */
static void
compute_update(Run *run, TupleTableSlot *before, int first, bool across)
{
	for (int i = run->nsteps - 1; i >= 0; i--)
	{
		Step	   *step = &run->steps[i];

		step->is_across = across && is_across(run, step, before, run->row);
		if (step->is_across)
			compute(run, step, step->backward, step->backward_state, false);
	}
	for (int i = first; i < run->nsteps; i++)
	{
		Step	   *step = &run->steps[i];

		if (step->is_across)
			continue;
		if ((i == first && !across) ||
			differs(run->plan, step->forward->ninputs, step->forward->inputs,
					before, run->row))
			compute(run, step, step->forward, step->forward_state, false);
	}
}

/*
 * Errors in expressions
 */

/* is a name that of another column of the table? */
static bool
has_column(const SyncPlan *plan, const char *name)
{
	for (int i = 0; i < plan->desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(plan->desc, i);

		if (!column->attisdropped &&
			strcmp(NameStr(column->attname), name) == 0)
			return true;
	}
	return false;
}

/* is a column kept in step with the one of that name? */
static bool
has_partner(const SyncPlan *plan, AttrNumber number, const char *name)
{
	for (int i = 0; i < plan->npairs; i++)
	{
		AttrNumber	old_column = plan->pairs[i].up.source;
		AttrNumber	new_column = plan->pairs[i].up.target;
		AttrNumber	other = old_column == number ? new_column :
		new_column == number ? old_column : InvalidAttrNumber;

		if (other != InvalidAttrNumber &&
			strcmp(NameStr(TupleDescAttr(plan->desc, other - 1)->attname),
				   name) == 0)
			return true;
	}
	return false;
}

/*
 * What a user calls a column that may be hidden.  A number stands behind the
 * hidden name if another column had it without when it was hidden.
 */
static const char *
visible_name(const SyncPlan *plan, AttrNumber number)
{
	char	   *name = pstrdup(NameStr(TupleDescAttr(plan->desc,
													 number - 1)->attname));
	char	   *behind = strrchr(name, '_');
	char	   *visible = name + strlen(SV_HIDDEN_PREFIX);

	if (!sv_is_hidden(name))
		return name;
	if (behind > visible && behind[1] != '\0' &&
		strspn(behind + 1, "0123456789") == strlen(behind + 1))
	{
		*behind = '\0';
		if (!has_column(plan, name) && !has_partner(plan, number, visible))
			*behind = '_';
	}
	return visible;
}

/*
 * Is an error in an expression about data, so that it helps to know which?
 */
bool
sv_sync_is_about_data(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_DATA_EXCEPTION ||
		category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		category == ERRCODE_CARDINALITY_VIOLATION ||
		category == ERRCODE_SQL_ROUTINE_EXCEPTION ||
		category == ERRCODE_EXTERNAL_ROUTINE_EXCEPTION ||
		category == ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION ||
		category == ERRCODE_PLPGSQL_ERROR;
}

/* the input to show: the pair's own column, or else the first */
static AttrNumber
input_to_show(const Direction *direction)
{
	for (int i = 0; i < direction->ninputs; i++)
	{
		if (direction->inputs[i] == direction->source)
			return direction->source;
	}
	return direction->ninputs > 0 ? direction->inputs[0] : direction->target;
}

/* may the writer see it?  What he wrote himself is no secret to him. */
static bool
may_see(Run *run, AttrNumber number, TupleTableSlot *before)
{
	Oid			relation = run->plan->relation;

	if (before == NULL || differs(run->plan, 1, &number, before, run->row))
		return true;
	if (check_enable_rls(relation, InvalidOid, true) == RLS_ENABLED)
		return false;
	return pg_class_aclcheck(relation, GetUserId(),
							 ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(relation, number, GetUserId(),
							  ACL_SELECT) == ACLCHECK_OK;
}

static char *
shown_value(Run *run, AttrNumber number, TupleTableSlot *before)
{
	Oid			output;
	bool		is_varlena;
	char	   *text;
	int			length;

	if (!may_see(run, number, before))
		return "a value";
	if (is_null(run, number))
		return "value null";
	getTypeOutputInfo(TupleDescAttr(run->plan->desc, number - 1)->atttypid,
					  &output, &is_varlena);
	text = OidOutputFunctionCall(output, run->row->tts_values[number - 1]);
	length = strlen(text);
	if (length > SHOWN_BYTES)
		return psprintf("value %.*s...",
						pg_mbcliplen(text, length, SHOWN_BYTES), text);
	return psprintf("value %s", text);
}

/* what the writer calls a column, and with "table" its table */
static const char *
writers_name(const SyncPlan *plan, AttrNumber number, const char **table)
{
	const char *column = NameStr(TupleDescAttr(plan->desc,
											   number - 1)->attname);
	const SvEntry *entry;
	const SvPart *known = sv_hold_known(OidIsValid(plan->root) ? plan->root :
										plan->relation, column, &entry);

	if (table)
		*table = known ? entry->name : plan->table;
	return known ? known->name : visible_name(plan, number);
}

/* an expression over columns that are hidden, in the writer's names */
static char *
writers_expression(const SyncPlan *plan, const Direction *direction)
{
	char	   *text = pstrdup(direction->text);

	for (int i = 0; i < direction->ninputs; i++)
	{
		AttrNumber	number = direction->inputs[i];
		const char *hidden =
		quote_identifier(NameStr(TupleDescAttr(plan->desc,
											   number - 1)->attname));
		size_t		length = strlen(hidden);
		char	   *from = text;
		StringInfoData result;

		if (!sv_is_hidden(hidden[0] == '"' ? hidden + 1 : hidden))
			continue;
		initStringInfo(&result);
		for (char *at; (at = strstr(from, hidden)) != NULL; from = at + length)
		{
			bool		is_whole = !(isalnum((unsigned char) at[length]) ||
									 at[length] == '_' || at[length] == '$');

			appendBinaryStringInfo(&result, from, at - from);
			appendStringInfoString(&result, is_whole ?
								   quote_identifier(writers_name(plan, number,
																 NULL)) :
								   hidden);
		}
		appendStringInfoString(&result, from);
		text = result.data;
	}
	return text;
}

/*
 * Say of an error in an expression which value of which column it is about,
 * and what to do.  "before" is NULL for a new row.
 */
static void
explain_error(Run *run, ErrorData *error, TupleTableSlot *before)
{
	const Direction *direction = run->direction;
	const SyncPlan *plan = run->plan;
	AttrNumber	input = input_to_show(direction);
	const char *table;
	const char *column = writers_name(plan, input, &table);

	error->message = psprintf("%s of column \"%s\" of table \"%s\" cannot be kept for %s %s: %s",
							  shown_value(run, input, before),
							  column, table,
							  direction->is_up ? "versions after" : "version",
							  run->failing->pair->label, error->message);
	error->detail = psprintf("The expression is: %s%s%s",
							 writers_expression(plan, direction),
							 error->detail ? "\n" : "",
							 error->detail ? error->detail : "");
	error->hint = psprintf("Write a directive \"-- schemaver: %s %s.%s = ...\" in %s.",
						   direction->is_up ? "up" : "down",
						   quote_identifier(plan->table),
						   quote_identifier(visible_name(plan,
														 direction->target)),
						   sv_registry_is_set_aside() ? "this migration" :
						   "a new migration");
}

/*
 * For functions in an expression of a pair: what is being computed, NULL if
 * nothing is.
 */
const SvSyncComputing *
sv_sync_computing(void)
{
	return OidIsValid(computing.relation) ? &computing : NULL;
}

/*
 * Compute what is to be computed in the row that was copied.  "before" is
 * NULL for a new row, the rest is for compute_update().
 */
static void
compute_row(Run *run, TupleTableSlot *before, int first, bool across)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	SvSyncComputing outer = computing;

	computing.relation = run->plan->relation;
	ItemPointerSetInvalid(&computing.row);
	if (before)
		computing.row = before->tts_tid;
	PG_TRY();
	{
		if (before)
			compute_update(run, before, first, across);
		else
			compute_insert(run);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		computing = outer;
		MemoryContextSwitchTo(oldcontext);
		error = CopyErrorData();
		if (!sv_sync_is_about_data(error->sqlerrcode) ||
			run->direction->is_mark)
			PG_RE_THROW();
		FlushErrorState();
		explain_error(run, error, before);
		ReThrowError(error);
	}
	PG_END_TRY();
	computing = outer;
}

/* the computed row as a tuple in the caller's memory context */
static HeapTuple
form_row(const Run *run, HeapTuple original)
{
	HeapTuple	tuple = heap_form_tuple(run->plan->desc, run->row->tts_values,
										run->row->tts_isnull);

	tuple->t_data->t_ctid = original->t_data->t_ctid;
	tuple->t_self = original->t_self;
	tuple->t_tableOid = original->t_tableOid;
	return tuple;
}

static bool
is_missing(const Run *run, Relation relation, AttrNumber number)
{
	return is_null(run, number) &&
		TupleDescAttr(RelationGetDescr(relation), number - 1)->attnotnull;
}

/*
 * Where both columns of a pair are NOT NULL and NULL, the server would tell of
 * the one that comes first, which may be hidden.  So the error is given here,
 * in the name that the writer knows, once nothing else can fill them.
 */
static void
check_missing(const Run *run, Relation relation)
{
	if (run->plan->is_first)
		return;
	for (int i = 0; i < run->nsteps; i++)
	{
		const Direction *forward = run->steps[i].forward;
		const char *table;
		const char *column;
		char	   *row;

		if (forward->source == InvalidAttrNumber ||
			!is_missing(run, relation, forward->source) ||
			!is_missing(run, relation, forward->target))
			continue;
		column = writers_name(run->plan, forward->source, &table);
		row = sv_hold_row(relation, run->row->tts_values, run->row->tts_isnull,
						  sv_hold_entry(sv_hold_table(relation)));
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
						column, table),
				 row ? errdetail("Failing row contains %s.", row) : 0,
				 err_generic_string(PG_DIAG_SCHEMA_NAME,
									get_namespace_name(RelationGetNamespace(relation))),
				 err_generic_string(PG_DIAG_TABLE_NAME, table),
				 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
	}
}

/*
 * Rows that move between partitions
 *
 * To move a row is an UPDATE where it was and an INSERT where it goes, and
 * both fire this trigger.  What the one has made must not be computed again
 * by the other.  They are known by the row, which is all the same: whoever
 * else inserts one like it has nothing to compute either.
 */

static void
forget_moved(void *arg)
{
	(void) arg;
	moved = NULL;
}

/* remember a row that may be about to leave its partition */
static void
note_moved(const SyncPlan *plan, HeapTuple tuple)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(TopTransactionContext);

	if (moved == NULL)
	{
		Moved	   *new_moved = palloc0(sizeof(Moved));

		new_moved->callback.func = forget_moved;
		MemoryContextRegisterResetCallback(TopTransactionContext,
										   &new_moved->callback);
		moved = new_moved;
	}
	if (moved->tuple)
		heap_freetuple(moved->tuple);
	moved->tuple = NULL;
	if (moved->desc == NULL || !equalTupleDescs(moved->desc, plan->desc))
	{
		if (moved->desc)
			FreeTupleDesc(moved->desc);
		moved->desc = NULL;
		moved->desc = CreateTupleDescCopyConstr(plan->desc);
	}
	moved->root = plan->root;
	moved->from = plan->relation;
	moved->tuple = heap_copytuple(tuple);
	MemoryContextSwitchTo(oldcontext);
}

/* the number in the row's former partition of a column */
static int
number_there(const char *name, int likely_number)
{
	for (int i = 0; i < moved->desc->natts; i++)
	{
		int			n = (likely_number + i) % moved->desc->natts;
		Form_pg_attribute column = TupleDescAttr(moved->desc, n);

		if (!column->attisdropped &&
			strcmp(NameStr(column->attname), name) == 0)
			return n + 1;
	}
	return 0;
}

/* is this the row that has left another partition of the same table? */
static bool
is_moved(const SyncPlan *plan, TupleTableSlot *row)
{
	if (moved == NULL || moved->tuple == NULL || moved->root != plan->root ||
		moved->from == plan->relation)
		return false;
	slot_getallattrs(row);
	for (int i = 0; i < plan->desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(plan->desc, i);
		int			number;
		Datum		value;
		bool		isnull;

		/* generated columns are computed later */
		if (column->attisdropped || column->attgenerated != '\0')
			continue;
		number = number_there(NameStr(column->attname), i);
		if (number == 0)
			return false;
		value = heap_getattr(moved->tuple, number, moved->desc, &isnull);
		if (isnull != row->tts_isnull[i] ||
			(!isnull && !is_same(column, value, row->tts_values[i])))
			return false;
	}
	return true;
}

/*
 * Between the first trigger and the last
 */

static void
forget_shown(void *arg)
{
	Shown	  **link;

	for (link = &innermost; *link; link = &(*link)->outer)
	{
		if (*link == arg)
		{
			*link = (*link)->outer;
			return;
		}
	}
}

static void
show_input(const Run *run, Shown *shown, AttrNumber number,
		   TupleTableSlot *row)
{
	int			n = number - 1;
	Form_pg_attribute column = TupleDescAttr(run->plan->desc, n);

	if (!shown->isnull[n] || row->tts_isnull[n])
		return;
	shown->values[n] = datumCopy(row->tts_values[n], column->attbyval,
								 column->attlen);
	shown->isnull[n] = false;
}

/*
 * Remember what the user's triggers are going to see of a row.  In the current
 * memory context, which is the row's: if one of them drops the row, what is
 * remembered goes with it.
 */
static void
remember_shown(const Run *run, const TriggerData *trigdata,
			   TupleTableSlot *row)
{
	const SyncPlan *plan = run->plan;
	Shown	   *shown = palloc0(sizeof(Shown));

	shown->event = trigdata;
	shown->relation = plan->relation;
	shown->ncolumns = plan->last_input;
	shown->values = palloc(sizeof(Datum) * (plan->last_input + 1));
	shown->isnull = palloc(sizeof(bool) * (plan->last_input + 1));
	memset(shown->isnull, true, plan->last_input);
	slot_getsomeattrs(row, plan->last_input);
	for (int i = 0; i < plan->npairs; i++)
	{
		const Pair *pair = &plan->pairs[i];

		for (int j = 0; j < pair->up.ninputs; j++)
			show_input(run, shown, pair->up.inputs[j], row);
		for (int j = 0; j < pair->down.ninputs; j++)
			show_input(run, shown, pair->down.inputs[j], row);
	}
	shown->callback.func = forget_shown;
	shown->callback.arg = shown;
	MemoryContextRegisterResetCallback(CurrentMemoryContext,
									   &shown->callback);
	shown->outer = innermost;
	innermost = shown;
}

/* what the user's triggers have seen of this row; NULL: there was no first */
static TupleTableSlot *
recall_shown(Run *run, const TriggerData *trigdata)
{
	const SyncPlan *plan = run->plan;
	Shown	   *shown = innermost;

	while (shown && shown->event != trigdata)
		shown = shown->outer;
	if (shown == NULL || shown->relation != plan->relation ||
		shown->ncolumns != plan->last_input)
		return NULL;
	ExecClearTuple(run->shown);
	memcpy(run->shown->tts_values, shown->values,
		   sizeof(Datum) * shown->ncolumns);
	memcpy(run->shown->tts_isnull, shown->isnull,
		   sizeof(bool) * shown->ncolumns);
	for (int i = shown->ncolumns; i < plan->desc->natts; i++)
		run->shown->tts_isnull[i] = true;
	ExecStoreVirtualTuple(run->shown);
	return run->shown;
}

/*
 * The trigger
 */

static bool
has_marks(const Run *run)
{
	for (int i = 0; i < run->nsteps; i++)
	{
		if (run->steps[i].forward->is_mark)
			return true;
	}
	return false;
}

static HeapTuple
sync_insert(Run *run, TriggerData *trigdata)
{
	if (run->nsteps == 0)
		return trigdata->tg_trigtuple;
	run->is_moved = is_moved(run->plan, trigdata->tg_trigslot);
	if (run->is_moved && !has_marks(run))
		return trigdata->tg_trigtuple;
	copy_row(run, trigdata->tg_trigslot);
	compute_row(run, NULL, 0, false);
	check_missing(run, trigdata->tg_relation);
	return form_row(run, trigdata->tg_trigtuple);
}

/* the first step that has something to compute, or the number of steps */
static int
first_to_compute(const Run *run, TupleTableSlot *before,
				 TupleTableSlot *after)
{
	int			i;

	for (i = 0; i < run->nsteps; i++)
	{
		const Direction *forward = run->steps[i].forward;

		if (differs(run->plan, forward->ninputs, forward->inputs, before,
					after))
			break;
	}
	return i;
}

/* compute what has changed between two states of a row */
static HeapTuple
sync_change(Run *run, Relation relation, TupleTableSlot *before,
			TupleTableSlot *after, HeapTuple tuple)
{
	bool		across = false;
	int			first;

	slot_getsomeattrs(before, run->plan->last_input);
	slot_getsomeattrs(after, run->plan->last_input);
	first = first_to_compute(run, before, after);
	for (int i = 0; i < run->nsteps && !across; i++)
		across = is_across(run, &run->steps[i], before, after);
	if (first == run->nsteps && !across)
		return tuple;
	copy_row(run, after);
	compute_row(run, before, across ? 0 : first, across);
	check_missing(run, relation);
	return form_row(run, tuple);
}

/* remember the row if it goes to another partition */
static void
note_if_moved(const Run *run, const TriggerData *trigdata, HeapTuple tuple)
{
	const SyncPlan *plan = run->plan;
	TupleTableSlot *after = tuple == trigdata->tg_newtuple ?
		trigdata->tg_newslot : run->row;

	slot_getallattrs(trigdata->tg_trigslot);
	slot_getallattrs(after);
	if (differs(plan, plan->nkeys, plan->keys, trigdata->tg_trigslot, after))
		note_moved(plan, tuple);
}

static HeapTuple
sync_row(Run *run, TriggerData *trigdata)
{
	bool		is_insert = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event);
	TupleTableSlot *after = is_insert ? trigdata->tg_trigslot :
		trigdata->tg_newslot;
	HeapTuple	tuple = is_insert ? trigdata->tg_trigtuple :
		trigdata->tg_newtuple;
	TupleTableSlot *shown = innermost && !run->plan->is_first ?
		recall_shown(run, trigdata) : NULL;
	HeapTuple	result;

	if (run->as_newest != (shown != NULL))
		set_steps(run, shown != NULL);
	if (shown)
		result = sync_change(run, trigdata->tg_relation, shown, after, tuple);
	else if (is_insert)
		result = sync_insert(run, trigdata);
	else
		result = sync_change(run, trigdata->tg_relation,
							 trigdata->tg_trigslot, after, tuple);
	if (run->plan->is_first)
		remember_shown(run, trigdata, result == tuple ? after : run->row);
	else if (!is_insert && run->plan->nkeys > 0)
		note_if_moved(run, trigdata, result);
	return result;
}

/* a row goes: another one may be the first with its values then */
static void
tell_gone(const SyncPlan *plan, const TriggerData *trigdata)
{
	for (int i = 0; i < plan->npairs && sv_sync_gone_hook; i++)
	{
		const Pair *pair = &plan->pairs[i];
		const Direction *direction = pair->up.text ? &pair->up : &pair->down;

		if (is_of_mark(pair) &&
			!slot_attisnull(trigdata->tg_trigslot, direction->target))
			sv_sync_gone_hook(plan->relation, direction->target,
							  &trigdata->tg_trigtuple->t_self);
	}
}

/*
 * schemaver.sync(old column, new column, up, down, product, version, newest
 * side, ...) returns trigger
 *
 * For BEFORE INSERT OR UPDATE ... FOR EACH ROW, and where there are marks of
 * loosened keys OR DELETE.
 */
Datum
schemaver_sync(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	FmgrInfo   *flinfo = fcinfo->flinfo;
	Run		   *run = flinfo->fn_extra;
	const char *product;
	const SvVersion *version;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("schemaver.sync() must be called by a trigger before insert, update or delete for each row")));
	if (run == NULL)
		run = begin_run(flinfo, trigdata);
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
	{
		tell_gone(run->plan, trigdata);
		return PointerGetDatum(trigdata->tg_trigtuple);
	}
	if (run->release != sv_registry_session(&product, &version) ||
		run->newest_code != sv_registry_is_newest_code())
		set_steps(run, run->as_newest);
	return PointerGetDatum(sync_row(run, trigdata));
}

/*
 * Reading and setting the trigger
 */

/*
 * A table's first or last trigger of this module, or NULL; its name alone
 * does not make it ours.
 */
static Trigger *
find_trigger(Relation relation, bool first)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (sv_sync_is_trigger(trigger->tgname) &&
			(strcmp(trigger->tgname, SV_SYNC_FIRST_TRIGGER) == 0) == first &&
			sv_catalog_is_own_function(trigger->tgfoid))
			return trigger;
	}
	return NULL;
}

/*
 * The tables that keep columns in step, but for partitions, which do as their
 * parent says: OIDs.
 */
List *
sv_sync_tables(void)
{
	return sv_contract_triggered_tables("sync");
}

static List *
read_pairs(Relation relation)
{
	Trigger    *trigger = find_trigger(relation, false);

	return trigger ? pairs_of_arguments(relation, trigger->tgnargs,
										trigger->tgargs) : NIL;
}

/*
 * Are the columns of a pair of a table both there, as far as it has two?
 */
bool
sv_sync_is_whole(Oid relation, const SvSyncPair *pair)
{
	return (pair->old_column[0] == '\0' ||
			get_attnum(relation, pair->old_column) > 0) &&
		(pair->new_column[0] == '\0' ||
		 get_attnum(relation, pair->new_column) > 0);
}

/*
 * The pairs of a table, as its trigger says: a list of SvSyncPair in the
 * order in which they were made, NIL if it has none or does not exist.  In the
 * caller's memory context; locks the table in AccessShareLock meanwhile.
 */
List *
sv_sync_pairs(Oid relation)
{
	Relation	table = try_relation_open(relation, AccessShareLock);
	List	   *pairs;

	if (table == NULL)
		return NIL;
	pairs = read_pairs(table);
	relation_close(table, AccessShareLock);
	return pairs;
}

/*
 * Is a column of a table computed in what this session writes?
 */
bool
sv_sync_is_computed(Oid relation, const char *column)
{
	const char *product;
	const SvVersion *version;
	ListCell   *lc;

	(void) sv_registry_session(&product, &version);
	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);
		bool		is_other = product == NULL ||
			strcmp(product, pair->product) != 0;
		bool		as_old = is_other ? !pair->newest_is_new :
			sv_sync_is_old(pair, version);

		if (strcmp(as_old ? pair->new_column : pair->old_column,
				   column) == 0 && (as_old ? pair->up : pair->down)[0])
			return true;
	}
	return false;
}

/* the column on the other side of a pair, NULL if it is none of the pair */
static char *
other_side(const SvSyncPair *pair, const char *column)
{
	if (strcmp(pair->new_column, column) == 0 && pair->old_column[0] != '\0')
		return pair->old_column;
	return strcmp(pair->old_column, column) == 0 ? pair->new_column : NULL;
}

/*
 * The visible column that a hidden one of a table is kept in step with, maybe
 * by way of others; NULL if there is none.
 */
char *
sv_sync_visible(Oid relation, const char *column)
{
	List	   *pairs = sv_sync_pairs(relation);
	List	   *reached = list_make1(makeString(pstrdup(column)));
	ListCell   *lr;
	ListCell   *lp;

	foreach(lr, reached)
	{
		foreach(lp, pairs)
		{
			char	   *other = other_side(lfirst(lp), strVal(lfirst(lr)));

			if (other && !sv_is_hidden(other))
				return other;
			if (other && !list_member(reached, makeString(other)))
				reached = lappend(reached, makeString(other));
		}
	}
	return NULL;
}

static bool
is_same_pair(const SvSyncPair *a, const SvSyncPair *b)
{
	return strcmp(a->old_column, b->old_column) == 0 &&
		strcmp(a->new_column, b->new_column) == 0 &&
		strcmp(a->up, b->up) == 0 &&
		strcmp(a->down, b->down) == 0 &&
		strcmp(a->product, b->product) == 0 &&
		strcmp(a->label, b->label) == 0 &&
		a->newest_is_new == b->newest_is_new;
}

static bool
are_same_pairs(List *a, List *b)
{
	ListCell   *la;
	ListCell   *lb;

	if (list_length(a) != list_length(b))
		return false;
	forboth(la, a, lb, b)
	{
		if (!is_same_pair(lfirst(la), lfirst(lb)))
			return false;
	}
	return true;
}

/* raise now what the trigger would raise at every write */
static void
check_pairs(Relation relation, List *pairs)
{
	int			nestlevel = enter_pinned();
	ListCell   *lc;

	foreach(lc, pairs)
	{
		SvSyncPair *pair = lfirst(lc);
		AttrNumber	old_column = find_column(relation, pair->old_column);
		AttrNumber	new_column = find_column(relation, pair->new_column);

		(void) turns_of(pair);
		if (pair->up[0] != '\0')
			(void) parse_direction(relation, pair->up, new_column, pair,
								   true);
		if (pair->down[0] != '\0')
			(void) parse_direction(relation, pair->down, old_column, pair,
								   false);
	}
	leave_pinned(nestlevel);
}

/* the column that a pair computes, if it is one of a mark */
static const char *
marked_column(const SvSyncPair *pair)
{
	return pair->up[0] ? pair->new_column : pair->old_column;
}

/* is a pair one that computes the mark of a table's key? */
static bool
marks_key(Oid relation, const SvSyncPair *pair)
{
	return sv_contract_is_mark(relation, get_attnum(relation,
													marked_column(pair)));
}

/* what fires a trigger: the last one is told of marked rows that are deleted */
static int16
events_of(Oid relation, const char *name, List *pairs)
{
	int16		events = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE;
	ListCell   *lc;

	foreach(lc, strcmp(name, SV_SYNC_FIRST_TRIGGER) != 0 ? pairs : NIL)
	{
		if (marks_key(relation, lfirst(lc)))
			events |= TRIGGER_TYPE_DELETE;
	}
	return events;
}

static void
create_trigger(Oid relation, char *name, List *pairs)
{
	CreateTrigStmt *statement = makeNode(CreateTrigStmt);
	SvIdentity	identity;

	statement->replace = true;
	statement->trigname = name;
	statement->relation =
		makeRangeVar(get_namespace_name(get_rel_namespace(relation)),
					 get_rel_name(relation), -1);
	statement->funcname = list_make2(makeString(SV_SCHEMA),
									 makeString("sync"));
	statement->args = arguments_of_pairs(pairs);
	statement->row = true;
	statement->timing = TRIGGER_TYPE_BEFORE;
	statement->events = events_of(relation, name, pairs);
	sv_catalog_become_owner(&identity);
	(void) CreateTrigger(statement, NULL, relation, InvalidOid, InvalidOid,
						 InvalidOid, InvalidOid, InvalidOid, NULL, false,
						 false);
	sv_catalog_become_caller(&identity);
	CommandCounterIncrement();
}

/* a list of strings from one of String */
static List *
strings_of(List *values)
{
	List	   *strings = NIL;
	ListCell   *lc;

	foreach(lc, values)
		strings = lappend(strings, strVal(lfirst(lc)));
	return strings;
}

/* note what a table's trigger is, so that verify() misses it */
static void
note_pairs(Oid relation, List *pairs)
{
	SvSyncPair *first = pairs != NIL ? linitial(pairs) : NULL;

	sv_catalog_note_synced(relation, strings_of(arguments_of_pairs(pairs)),
						   first ? first->product : NULL);
}

static void
drop_trigger(Oid trigger)
{
	ObjectAddress address;

	ObjectAddressSet(address, TriggerRelationId, trigger);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/* the greatest name of a table's other triggers that may change a new row */
static char *
last_of_others(Oid relation, char *last)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) &&
			TRIGGER_FOR_BEFORE(trigger->tgtype) &&
			(TRIGGER_FOR_INSERT(trigger->tgtype) ||
			 TRIGGER_FOR_UPDATE(trigger->tgtype)) &&
			!sv_sync_is_trigger(trigger->tgname) &&
			(last == NULL || strcmp(last, trigger->tgname) < 0))
			last = pstrdup(trigger->tgname);
	}
	relation_close(table, NoLock);
	return last;
}

/* as well in partitions, which get the triggers of their parent */
static char *
last_trigger(Oid relation)
{
	char	   *last = last_of_others(relation, NULL);
	ListCell   *lc;

	if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return last;
	foreach(lc, find_all_inheritors(relation, AccessShareLock, NULL))
		last = last_of_others(lfirst_oid(lc), last);
	return last;
}

/* a name behind that of another trigger */
static char *
name_behind(Oid relation, const char *other)
{
	int			room = NAMEDATALEN - 1 - (int) strlen(SV_SYNC_TRIGGER);
	char	   *name;

	if (other == NULL || strcmp(other, SV_SYNC_TRIGGER) < 0)
		return SV_SYNC_TRIGGER;
	name = psprintf("%.*s%s", pg_mbcliplen(other, strlen(other), room), other,
					SV_SYNC_TRIGGER);
	if (strcmp(other, name) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger \"%s\" on table \"%s\" would fire after columns are kept in step",
						other, get_rel_name(relation)),
				 errhint("Give it a shorter name, or one that begins with a letter from a to z.")));
	return name;
}

/* make a trigger as it must be; "name" is NULL if there is to be none */
static bool
put_trigger(Oid relation, bool first, char *name, List *pairs, bool changes)
{
	Relation	table = relation_open(relation, ShareRowExclusiveLock);
	Trigger    *trigger = find_trigger(table, first);
	Oid			oid = trigger ? trigger->tgoid : InvalidOid;
	bool		is_named = trigger && name &&
	strcmp(trigger->tgname, name) == 0;

	relation_close(table, NoLock);
	if (is_named && !changes)
		return false;
	if (OidIsValid(oid) && !is_named)
		drop_trigger(oid);
	if (name)
		create_trigger(relation, name, pairs);
	return OidIsValid(oid) || name;
}

/*
 * "own" are pairs besides those that are set.  Where columns have been renamed
 * these may yet say the former names, until they are thawed themselves.
 */
static void
set_one(Oid relation, List *pairs, List *own)
{
	Relation	table = relation_open(relation, ShareRowExclusiveLock);
	Trigger    *trigger = find_trigger(table, false);
	bool		is_clone = trigger && trigger->tgisclone;
	bool		changes;
	char	   *other;

	if (!are_same_pairs(pairs, read_pairs(table)) && pairs != NIL)
		check_pairs(table, pairs);
	pairs = list_concat(list_copy(pairs), own);
	changes = !are_same_pairs(pairs, read_pairs(table));
	relation_close(table, NoLock);
	if (is_clone)
		return;
	other = pairs != NIL ? last_trigger(relation) : NULL;
	changes = put_trigger(relation, false, pairs == NIL ? NULL :
						  name_behind(relation, other), pairs, changes);
	changes |= put_trigger(relation, true, other ? SV_SYNC_FIRST_TRIGGER :
						   NULL, pairs, changes);
	if (!changes)
		return;
	note_pairs(relation, pairs);
	CommandCounterIncrement();
	if (sv_contract_collecting())
		sv_contract_touch(RelationRelationId, relation);
}

/* those of a table's pairs that it has not from a parent: marks of its keys */
static List *
own_pairs(Oid relation, Oid parent)
{
	List	   *own = NIL;
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (marks_key(relation, pair) &&
			get_attnum(parent, marked_column(pair)) == InvalidAttrNumber)
			own = lappend(own, pair);
	}
	return own;
}

/*
 * Give a table the trigger that keeps these pairs, a list of SvSyncPair, in
 * step; NIL takes it away.  Does nothing if that is so already.  The table's
 * partitions and heirs get it with it.  Columns must exist, and expressions
 * be as sv_sync_check() returns them, or an error is raised.
 *
 * Locks in ShareRowExclusiveLock what gets a trigger, in AccessExclusiveLock
 * what loses it, until the transaction ends.  Event triggers do not see it:
 * contract.c is told, if it collects.
 */
void
sv_sync_set(Oid relation, List *pairs)
{
	ListCell   *lc;

	if (get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE)
	{
		set_one(relation, pairs, NIL);
		return;
	}
	foreach(lc, find_all_inheritors(relation, ShareRowExclusiveLock, NULL))
		set_one(lfirst_oid(lc), pairs, lfirst_oid(lc) == relation ? NIL :
				own_pairs(lfirst_oid(lc), relation));
}

/*
 * What was set, and what is there
 */

/*
 * The pairs that a table's trigger must keep in step, as the last migration
 * has left them: a list of SvSyncPair, NIL if it needs no trigger.  In the
 * caller's memory context; locks the table in AccessShareLock meanwhile.
 */
List *
sv_sync_noted_pairs(Oid relation)
{
	List	   *noted = sv_catalog_synced(relation);
	Relation	table = noted != NIL ?
	try_relation_open(relation, AccessShareLock) : NULL;
	char	  **args;
	List	   *pairs;
	ListCell   *lc;

	if (table == NULL)
		return NIL;
	args = palloc(sizeof(char *) * list_length(noted));
	foreach(lc, noted)
		args[foreach_current_index(lc)] = lfirst(lc);
	pairs = pairs_of_arguments(table, list_length(noted), args);
	relation_close(table, AccessShareLock);
	return pairs;
}

static SvTriggerState
state_of_trigger(Relation table, const Trigger *trigger)
{
	if (trigger->tgenabled == TRIGGER_DISABLED ||
		trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA)
		return SV_TRIGGER_DISABLED;
	if (trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN ||
		trigger->tgtype != (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE |
							events_of(RelationGetRelid(table), trigger->tgname,
									  read_pairs(table))) ||
		trigger->tgnattr > 0 || trigger->tgqual)
		return SV_TRIGGER_ALTERED;
	return SV_TRIGGER_SET;
}

/* the state of one table's own triggers, the last one and the first */
static SvTriggerState
state_of_one(Oid relation, List *noted)
{
	Relation	table = try_relation_open(relation, AccessShareLock);
	Trigger    *last = table ? find_trigger(table, false) : NULL;
	Trigger    *first = table ? find_trigger(table, true) : NULL;
	SvTriggerState state = SV_TRIGGER_SET;

	if (table == NULL)
		return state;
	if (last == NULL || (first == NULL && last_trigger(relation) != NULL))
		state = SV_TRIGGER_MISSING;
	else
		state = state_of_trigger(table, last);
	if (state == SV_TRIGGER_SET && first)
		state = state_of_trigger(table, first);
	if (state == SV_TRIGGER_SET && !are_same_pairs(noted, read_pairs(table)))
		state = SV_TRIGGER_ALTERED;
	relation_close(table, AccessShareLock);
	return state;
}

/*
 * Is the trigger of a table that must have one what a migration has left, in
 * every partition?  If not, *culprit is the first table whose own is not.
 * Locks each in AccessShareLock meanwhile.
 */
SvTriggerState
sv_sync_state(Oid relation, Oid *culprit)
{
	List	   *noted = sv_sync_noted_pairs(relation);
	List	   *tables = get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE ?
	find_all_inheritors(relation, NoLock, NULL) :
	list_make1_oid(relation);
	ListCell   *lc;

	foreach(lc, noted != NIL ? tables : NIL)
	{
		SvTriggerState state = state_of_one(lfirst_oid(lc), noted);

		*culprit = lfirst_oid(lc);
		if (state != SV_TRIGGER_SET)
			return state;
	}
	return SV_TRIGGER_SET;
}

/*
 * Make the trigger of a table anew that is not what a migration has left.
 * Errors are raised for columns and functions that it needs and that are
 * gone.  Locks as sv_sync_set() does when it takes a trigger away.
 */
void
sv_sync_restore(Oid relation)
{
	List	   *pairs = sv_sync_noted_pairs(relation);

	sv_sync_set(relation, NIL);
	sv_sync_set(relation, pairs);
}

/*
 * Note the triggers of a product's tables as they are there: a dump has
 * brought them, without the notes.
 */
void
sv_sync_note_all(const SvProduct *product)
{
	ListCell   *lc;

	foreach(lc, sv_sync_tables())
	{
		List	   *pairs = sv_sync_pairs(lfirst_oid(lc));
		SvSyncPair *first = pairs != NIL ? linitial(pairs) : NULL;

		if (first && strcmp(first->product, product->name) == 0)
			note_pairs(lfirst_oid(lc), pairs);
	}
}

static SvSyncDirection *
make_sync_direction(Relation relation, SvSyncPair *pair, bool is_up)
{
	const char *text = is_up ? pair->up : pair->down;
	SvSyncDirection *direction = palloc0(sizeof(SvSyncDirection));
	Bitmapset  *numbers = NULL;
	int			number = -1;

	direction->pair = pair;
	direction->is_up = is_up;
	direction->target = find_column(relation, is_up ? pair->new_column :
									pair->old_column);
	direction->expression =
		expand_generated(relation,
						 parse_direction(relation, text, direction->target,
										 pair, is_up));
	pull_varattnos(direction->expression, 1, &numbers);
	while ((number = bms_next_member(numbers, number)) >= 0)
		direction->inputs =
			bms_add_member(direction->inputs,
						   number + FirstLowInvalidHeapAttributeNumber);
	return direction;
}

/*
 * What the pairs of a table compute, over the row of an open table, which is
 * that one or a partition of it: a list of SvSyncDirection, in an order that
 * is the same for all of these.  In the caller's memory context.  Errors are
 * those that every write would raise.
 */
List *
sv_sync_directions(Relation relation, List *pairs)
{
	int			nestlevel = enter_pinned();
	List	   *directions = NIL;
	ListCell   *lc;

	foreach(lc, pairs)
	{
		SvSyncPair *pair = lfirst(lc);

		if (pair->up[0] != '\0')
			directions = lappend(directions,
								 make_sync_direction(relation, pair, true));
		if (pair->down[0] != '\0')
			directions = lappend(directions,
								 make_sync_direction(relation, pair, false));
	}
	leave_pinned(nestlevel);
	return directions;
}

/*
 * Other triggers of a table may have come, gone or got other names: see to it
 * that ours still are where they belong.  Does nothing to a table without any.
 * Locks as sv_sync_set() does.
 */
void
sv_sync_place(Oid relation)
{
	Relation	table;
	Trigger    *last;
	char	   *other;
	bool		is_placed;

	if (get_rel_relispartition(relation))
		relation = llast_oid(get_partition_ancestors(relation));
	table = relation_open(relation, AccessShareLock);
	last = find_trigger(table, false);
	if (last)
	{
		other = last_trigger(relation);
		is_placed = strcmp(name_behind(relation, other), last->tgname) == 0 &&
			(find_trigger(table, true) != NULL) == (other != NULL);
	}
	relation_close(table, NoLock);
	if (last && !is_placed)
		sv_sync_set(relation, sv_sync_pairs(relation));
}

/*
 * Columns that are never null
 */

static bool
is_not_null(Relation relation, AttrNumber number)
{
	return number > 0 &&
		TupleDescAttr(RelationGetDescr(relation), number - 1)->attnotnull;
}

/* a cast that the server brings along, and that gives null for null alone */
static bool
is_strict_cast(const FuncExpr *call)
{
	char		category;
	bool		preferred;

	if (call->funcformat == COERCE_EXPLICIT_CALL ||
		call->funcid >= FirstNormalObjectId)
		return false;
	get_type_category_preferred(exprType(linitial(call->args)), &category,
								&preferred);
	return category != TYPCATEGORY_USER && func_strict(call->funcid);
}

/* is it certain that an expression over a row never gives null? */
static bool
is_never_null(Node *node, Relation relation)
{
	ListCell   *lc;

	switch (nodeTag(node))
	{
		case T_Var:
			return is_not_null(relation, ((Var *) node)->varattno);
		case T_Const:
			return !((Const *) node)->constisnull;
		case T_RelabelType:
			return is_never_null((Node *) ((RelabelType *) node)->arg,
								 relation);
		case T_CoerceViaIO:
			return is_never_null((Node *) ((CoerceViaIO *) node)->arg,
								 relation);
		case T_ArrayCoerceExpr:
			return is_never_null((Node *) ((ArrayCoerceExpr *) node)->arg,
								 relation);
		case T_CoerceToDomain:
			return is_never_null((Node *) ((CoerceToDomain *) node)->arg,
								 relation);
		case T_FuncExpr:
			return is_strict_cast((FuncExpr *) node) &&
				is_never_null(linitial(((FuncExpr *) node)->args), relation);
		case T_CoalesceExpr:
			foreach(lc, ((CoalesceExpr *) node)->args)
			{
				if (is_never_null(lfirst(lc), relation))
					return true;
			}
			return false;
		default:
			return false;
	}
}

/* does a version, or with NULL the newest, write the pair's new column? */
static bool
writes_new(const SvSyncPair *pair, const SvVersion *version)
{
	return version ? !sv_sync_is_old(pair, version) : pair->newest_is_new;
}

/* the column that a pair computes for what a version writes; "" for none */
static char *
computed_column(const SvSyncPair *pair, const SvVersion *version,
				char **expression)
{
	bool		is_new = writes_new(pair, version);

	*expression = is_new ? pair->down : pair->up;
	if ((*expression)[0] == '\0')
		return "";
	return is_new ? pair->old_column : pair->new_column;
}

/*
 * Does a column of a table get a value that is never null in each row that a
 * version writes which does not know it?  With NULL the one that is current.
 */
bool
sv_sync_fills(Oid relation, AttrNumber number, const SvVersion *version)
{
	Relation	table = relation_open(relation, AccessShareLock);
	int			nestlevel = enter_pinned();
	bool		found = false;
	ListCell   *lc;

	foreach(lc, read_pairs(table))
	{
		Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(table), number - 1);
		char	   *expression;
		char	   *column = computed_column(lfirst(lc), version, &expression);

		if (strcmp(column, NameStr(attribute->attname)) == 0)
			found |= is_never_null(sv_sync_expression(table, expression,
													attribute->atttypid,
													attribute->atttypmod),
								   table);
	}
	leave_pinned(nestlevel);
	relation_close(table, NoLock);
	return found;
}

/* does a pair compute a column for what a version writes? */
static bool
is_computed(Oid relation, AttrNumber number, const SvVersion *version)
{
	char	   *name = get_attname(relation, number, false);
	char	   *expression;
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		if (strcmp(computed_column(lfirst(lc), version, &expression),
				   name) == 0)
			return true;
	}
	return false;
}

/*
 * Let rows of a version, or with NULL of the current one, leave a column out
 * that it does not know.  NOT NULL stays if the pairs of the table fill it,
 * else it goes from what is computed from it as well.  Needs the table in
 * ACCESS EXCLUSIVE mode.
 */
void
sv_sync_relax(Oid relation, AttrNumber number, const SvVersion *version)
{
	bool		filled = sv_sync_fills(relation, number, version);

	sv_retain_relax_column(relation, number, filled,
						   is_computed(relation, number, version));
	if (!filled)
		sv_sync_ease(relation, number, version);
}

/* a hidden column that is NOT NULL, and that only its pair can fill */
static bool
depends_on_pair(Relation table, AttrNumber number)
{
	return is_not_null(table, number) &&
		sv_is_hidden(NameStr(TupleDescAttr(RelationGetDescr(table),
										   number - 1)->attname)) &&
		!sv_retain_is_filled(RelationGetRelid(table), number);
}

/* does an expression over the row, for that column, mention another one? */
static bool
mentions(Relation table, const char *expression, AttrNumber target,
		 AttrNumber number)
{
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(table), target - 1);
	int			nestlevel = enter_pinned();
	Node	   *node = sv_sync_expression(table, expression, attribute->atttypid,
										attribute->atttypmod);
	Bitmapset  *columns = NULL;

	leave_pinned(nestlevel);
	pull_varattnos(expand_generated(table, node), 1, &columns);
	return bms_is_member(number - FirstLowInvalidHeapAttributeNumber,
						 columns);
}

/*
 * A column of a table may be null now: so may those hidden ones be that are
 * computed from it for what a version, or with NULL the current one, writes.
 */
void
sv_sync_ease(Oid relation, AttrNumber number, const SvVersion *version)
{
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		char	   *expression;
		char	   *column = computed_column(lfirst(lc), version, &expression);
		AttrNumber	target = get_attnum(relation, column);
		Relation	table = relation_open(relation, AccessShareLock);
		bool		is_eased = target > 0 && target != number &&
		depends_on_pair(table, target) &&
		mentions(table, expression, target, number);

		relation_close(table, NoLock);
		if (!is_eased || sv_sync_fills(relation, target, version))
			continue;
		sv_retain_relax_column(relation, target, false, true);
		sv_sync_ease(relation, target, version);
	}
}

/*
 * Following renames
 */

typedef struct FrozenPair
{
	SvSyncPair *pair;
	AttrNumber	old_column;
	AttrNumber	new_column;
	Node	   *up;				/* NULL where the text is empty */
	Node	   *down;
	char	   *up_text;		/* what the trees said when they were frozen */
	char	   *down_text;
} FrozenPair;

struct SvSyncFrozen
{
	Oid			relation;
	List	   *pairs;			/* of FrozenPair */
	bool		is_plain;		/* only its columns may get other names */
};

/* a constant is shown as the name of something that may get another one */
static bool
is_name(const Const *constant)
{
	switch (constant->consttype)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCOLLATIONOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

/* does a tree name more than columns and what the server brings along? */
static bool
names_others(Node *node, void *context)
{
	if (node == NULL || IsA(node, Var))
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_CaseWhen:
			return expression_tree_walker(node, names_others, context);
		case T_Const:
			if (is_name((Const *) node))
				return true;
			break;
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcid >= FirstUnpinnedObjectId)
				return true;
			break;
		case T_OpExpr:
			if (((OpExpr *) node)->opno >= FirstUnpinnedObjectId)
				return true;
			break;
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_BoolExpr:
		case T_NullTest:
		case T_CaseExpr:
		case T_CoalesceExpr:
			break;
		default:
			return true;
	}
	return exprType(node) >= FirstUnpinnedObjectId ||
		expression_tree_walker(node, names_others, context);
}

static FrozenPair *
freeze_pair(Relation relation, SvSyncPair *pair)
{
	FrozenPair *frozen = palloc0(sizeof(FrozenPair));

	frozen->pair = pair;
	frozen->old_column = find_column(relation, pair->old_column);
	frozen->new_column = find_column(relation, pair->new_column);
	if (pair->up[0] != '\0')
	{
		frozen->up = parse_direction(relation, pair->up, frozen->new_column,
									 pair, true);
		frozen->up_text =
			sv_contract_expression_text(frozen->up,
										RelationGetRelid(relation));
	}
	if (pair->down[0] != '\0')
	{
		frozen->down = parse_direction(relation, pair->down,
									   frozen->old_column, pair, false);
		frozen->down_text =
			sv_contract_expression_text(frozen->down,
										RelationGetRelid(relation));
	}
	return frozen;
}

/*
 * The pairs of a table by column numbers and with expressions as trees,
 * before something is renamed; NULL if it has none.  In the caller's memory
 * context.  Locks the table in AccessShareLock until the transaction ends.
 */
SvSyncFrozen *
sv_sync_freeze(Oid relation)
{
	Relation	table = try_relation_open(relation, AccessShareLock);
	SvSyncFrozen *frozen = palloc0(sizeof(SvSyncFrozen));
	int			nestlevel;
	ListCell   *lc;

	if (table == NULL)
		return NULL;
	nestlevel = enter_pinned();
	frozen->relation = relation;
	frozen->is_plain = true;
	foreach(lc, read_pairs(table))
	{
		FrozenPair *pair = freeze_pair(table, lfirst(lc));

		frozen->pairs = lappend(frozen->pairs, pair);
		if (names_others(pair->up, NULL) || names_others(pair->down, NULL))
			frozen->is_plain = false;
	}
	leave_pinned(nestlevel);
	relation_close(table, NoLock);
	return frozen->pairs != NIL ? frozen : NULL;
}

/*
 * Does nothing but a change of the table itself give frozen pairs another
 * text?  Else functions or types are in them as well, which may be renamed.
 */
bool
sv_sync_is_plain(const SvSyncFrozen *frozen)
{
	return frozen->is_plain;
}

/* the name of a column, NULL if it is gone; "" for none */
static char *
thaw_name(Oid relation, AttrNumber number)
{
	HeapTuple	tuple;
	char	   *name;

	if (number == InvalidAttrNumber)
		return "";
	tuple = SearchSysCacheAttNum(relation, number);
	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

/* is a column that the tree mentions gone? */
static bool
mentions_dropped(Oid relation, Node *node)
{
	ListCell   *lc;

	foreach(lc, pull_var_clause(node, 0))
	{
		if (thaw_name(relation, ((Var *) lfirst(lc))->varattno) == NULL)
			return true;
	}
	return false;
}

/* the text of a frozen expression as things are called now */
static char *
thaw_text(Oid relation, Node *node, const char *frozen_text, char *text)
{
	char	   *now;

	if (node == NULL)
		return text;
	if (mentions_dropped(relation, node))
		return "";
	now = sv_contract_expression_text(node, relation);
	return strcmp(now, frozen_text) == 0 ? text : now;
}

/* the pair as things are called now, NULL if a column of it is gone */
static SvSyncPair *
thaw_pair(Oid relation, const FrozenPair *frozen)
{
	SvSyncPair *pair = palloc(sizeof(SvSyncPair));

	*pair = *frozen->pair;
	pair->old_column = thaw_name(relation, frozen->old_column);
	pair->new_column = thaw_name(relation, frozen->new_column);
	if (pair->old_column == NULL || pair->new_column == NULL)
		return NULL;
	pair->up = thaw_text(relation, frozen->up, frozen->up_text, pair->up);
	pair->down = thaw_text(relation, frozen->down, frozen->down_text,
						   pair->down);
	return pair;
}

/* the frozen pair that a trigger's pair was, NULL if it is a later one */
static const FrozenPair *
find_frozen(const SvSyncFrozen *frozen, const SvSyncPair *pair)
{
	ListCell   *lc;

	foreach(lc, frozen->pairs)
	{
		if (is_same_pair(((FrozenPair *) lfirst(lc))->pair, pair))
			return lfirst(lc);
	}
	return NULL;
}

/*
 * After columns, functions or types were renamed or moved: write the frozen
 * pairs anew into the trigger, if that changes anything.  Pairs that it was
 * given since stay as they are, those that it has lost stay away; a pair with
 * a column that is gone goes, and an expression over one becomes empty.
 * "frozen" may be NULL.  Locks as sv_sync_set() does.
 */
void
sv_sync_thaw(SvSyncFrozen *frozen)
{
	List	   *pairs = NIL;
	int			nestlevel;
	ListCell   *lc;

	if (frozen == NULL ||
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(frozen->relation)))
		return;
	nestlevel = enter_pinned();
	foreach(lc, sv_sync_pairs(frozen->relation))
	{
		SvSyncPair *pair = lfirst(lc);
		const FrozenPair *before = find_frozen(frozen, pair);

		if (before)
			pair = thaw_pair(frozen->relation, before);
		if (pair)
			pairs = lappend(pairs, pair);
	}
	leave_pinned(nestlevel);
	sv_sync_set(frozen->relation, pairs);
}
