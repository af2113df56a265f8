/*-------------------------------------------------------------------------
 *
 * require.c
 *	  Columns that the newest version requires and older versions leave NULL.
 *
 * Whether a script requires a value is told by its result: a column that is
 * NOT NULL at its end, and that a supported version leaves out or may write
 * NULL into.  The statement may have been any, in a DO block as well.  What is
 * watched while the script runs is only where a value may be known from:
 * defaults that it drops, and its own UPDATEs of the column.
 *
 * Where a value is known, older versions get it filled in by the trigger of
 * sync.c, before the server looks at NOT NULL.  Where none is, but a trigger of
 * the table assigns one, whoever writes, it is left to that.  Else
 * schemaver.on_missing_value decides: the script is refused, or older
 * versions may leave NULL until they are retired.  NOT NULL is then replaced
 * by a hidden CHECK that holds for all others, NOT VALID so that the rows of
 * older versions do not matter:
 *
 *		CHECK (c IS NOT NULL OR schemaver.writes_as(product, versions))
 *
 * After a rollback it is newer versions that may leave NULL what the current
 * one requires; "IS NOT NULL" behind the call makes the CHECK a mere record
 * then, since hold.c sees to what the older versions write.  The CHECK is the
 * record as well: when none of these versions is supported any more, it gives
 * way to NOT NULL.  A primary key over such a column is a unique constraint
 * until then.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/readfuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

typedef enum MissingValue
{
	MISSING_REFUSE,
	MISSING_NULLABLE
} MissingValue;

static const struct config_enum_entry missing_values[] = {
	{"refuse", MISSING_REFUSE, false},
	{"nullable", MISSING_NULLABLE, false},
	{NULL, 0, false}
};

static int	on_missing_value = MISSING_REFUSE;

/* a default that the script has dropped */
typedef struct NotedDefault
{
	Oid			relation;
	AttrNumber	column;
	char	   *expression;		/* a node tree */
} NotedDefault;

/* one column that an UPDATE of the script has set */
typedef struct NotedUpdate
{
	Oid			relation;
	AttrNumber	column;
	Node	   *expression;		/* Vars of the relation have varno 1 */
	Node	   *condition;		/* its WHERE, or NULL */
} NotedUpdate;

/* a column whose NOT NULL is to hold for all but some versions */
typedef struct Relaxed
{
	Oid			relation;
	AttrNumber	column;
	char	   *versions;		/* an array's text */
	bool		noted;			/* the CHECK is but a record */
} Relaxed;

/* a column with all findings on it */
typedef struct Missing
{
	Oid			relation;
	AttrNumber	column;
	List	   *findings;
} Missing;

/* what is known of the script that runs, or ran last in this transaction */
static struct
{
	MemoryContext context;
	List	   *defaults;		/* of NotedDefault */
	List	   *updates;		/* of NotedUpdate */
	List	   *deduplicated;	/* OIDs of tables */
	List	   *relaxed;		/* of Relaxed */
	int			missing;		/* schemaver.on_missing_value at its end */
}			script_state;

/*
 * Called once from _PG_init.
 */
void
sv_require_init(void)
{
	DefineCustomEnumVariable("schemaver.on_missing_value",
							 "What happens if a column becomes NOT NULL and no value is known for older versions.",
							 "refuse; nullable lets older versions leave NULL until they are retired.",
							 &on_missing_value, MISSING_REFUSE,
							 missing_values, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	sv_contract_filled_hook = sv_require_is_filled;
}

/*
 * Watching the script
 */

/*
 * A script begins to run: what was noted of another is forgotten.
 */
void
sv_require_begin(void)
{
	memset(&script_state, 0, sizeof(script_state));
	script_state.context = AllocSetContextCreate(TopTransactionContext,
												 "schemaver required values",
												 ALLOCSET_SMALL_SIZES);
}

/*
 * The script has run; what it has set ends with it.
 */
void
sv_require_end(void)
{
	script_state.missing = on_missing_value;
}

/*
 * A default is about to be dropped.
 */
void
sv_require_note_default(Oid attrdef)
{
	Relation	catalog = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_attrdef_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(attrdef));
	scan = systable_beginscan(catalog, AttrDefaultOidIndexId, true, NULL,
							  1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		MemoryContext context = MemoryContextSwitchTo(script_state.context);
		Form_pg_attrdef form = (Form_pg_attrdef) GETSTRUCT(tuple);
		NotedDefault *noted = palloc(sizeof(NotedDefault));
		bool		isnull;

		noted->relation = form->adrelid;
		noted->column = form->adnum;
		noted->expression =
			TextDatumGetCString(heap_getattr(tuple, Anum_pg_attrdef_adbin,
											 RelationGetDescr(catalog),
											 &isnull));
		script_state.defaults = lcons(noted, script_state.defaults);
		MemoryContextSwitchTo(context);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* anything that cannot be computed from a single row's columns */
static bool
leaves_row(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno <= 0 ||
			((Var *) node)->varlevelsup != 0;
	if (IsA(node, Param) || IsA(node, SubLink) || IsA(node, Aggref) ||
		IsA(node, WindowFunc) || IsA(node, GroupingFunc) ||
		IsA(node, SetToDefault) || IsA(node, CurrentOfExpr))
		return true;
	return expression_tree_walker(node, leaves_row, context);
}

static bool
is_of_row(Node *expression)
{
	return !leaves_row(expression, NULL) &&
		!expression_returns_set(expression) &&
		!contain_volatile_functions(expression);
}

static void
note_target(const RangeTblEntry *table, const TargetEntry *target,
			Node *condition)
{
	MemoryContext context;
	NotedUpdate *noted;

	if (target->resjunk || !is_of_row((Node *) target->expr))
		return;
	context = MemoryContextSwitchTo(script_state.context);
	noted = palloc(sizeof(NotedUpdate));
	noted->relation = table->relid;
	noted->column = target->resno;
	noted->expression = copyObject((Node *) target->expr);
	noted->condition = copyObject(condition);
	script_state.updates = lappend(script_state.updates, noted);
	MemoryContextSwitchTo(context);
}

/* An UPDATE of one table from its own rows tells what the columns are to hold */
static void
note_update(const Query *query)
{
	RangeTblEntry *table;
	ListCell   *lc;

	if (query->resultRelation != 1 || list_length(query->rtable) != 1 ||
		query->cteList != NIL)
		return;
	table = linitial(query->rtable);
	if (table->relkind != RELKIND_RELATION &&
		table->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(lc, query->targetList)
		note_target(table, lfirst(lc), query->jointree->quals);
}

/* how often a query names a table */
typedef struct Mentions
{
	Oid			relation;
	int			count;
} Mentions;

static bool
count_mentions(Node *node, Mentions *mentions)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		mentions->count += ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
			((RangeTblEntry *) node)->relid == mentions->relation;
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, count_mentions, mentions,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, count_mentions, mentions);
}

/* rows that go for the sake of others of their table are duplicates of these */
static void
note_delete(Query *query)
{
	Mentions	mentions = {
		rt_fetch(query->resultRelation, query->rtable)->relid, 0
	};
	MemoryContext context;

	(void) count_mentions((Node *) query, &mentions);
	if (mentions.count < 2)
		return;
	context = MemoryContextSwitchTo(script_state.context);
	script_state.deduplicated =
		list_append_unique_oid(script_state.deduplicated, mentions.relation);
	MemoryContextSwitchTo(context);
}

/*
 * A query of the script was analyzed: what does it tell of the rows that older
 * versions write?
 */
void
sv_require_note_query(Query *query)
{
	if (sv_fill_is_running())
		return;
	if (query->commandType == CMD_UPDATE)
		note_update(query);
	else if (query->commandType == CMD_DELETE)
		note_delete(query);
}

/*
 * Has the script deleted duplicates from a table?
 */
bool
sv_require_is_deduplicated(Oid relation)
{
	return list_member_oid(script_state.deduplicated, relation);
}

/*
 * Has the script updated that column of the table's rows itself?
 */
bool
sv_require_is_updated(Oid relation, AttrNumber column)
{
	ListCell   *lc;

	foreach(lc, script_state.updates)
	{
		NotedUpdate *noted = lfirst(lc);

		if (noted->relation == relation && noted->column == column)
			return true;
	}
	return false;
}

/*
 * Where a value is known from
 */

typedef struct Substitution
{
	AttrNumber	column;
	Node	   *value;
} Substitution;

static Node *
substitute(Node *node, Substitution *substitution)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varattno == substitution->column)
		return copyObject(substitution->value);
	return expression_tree_mutator(node, substitute, substitution);
}

/* are the columns that an expression needs still what they were? */
static bool
has_lost_column(Node *node, Oid *relation)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (node == NULL)
		return false;
	if (!IsA(node, Var))
		return expression_tree_walker(node, has_lost_column, relation);
	if (get_attname(*relation, ((Var *) node)->varattno, true) == NULL)
		return true;
	get_atttypetypmodcoll(*relation, ((Var *) node)->varattno, &type, &typmod,
						  &collation);
	return type != ((Var *) node)->vartype;
}

/* the value after one more UPDATE, given the one before it */
static Node *
update_value(const NotedUpdate *update, Node *before, bool always)
{
	Substitution substitution = {update->column, before};
	Node	   *after = substitute(update->expression, &substitution);
	CaseExpr   *either;
	CaseWhen   *when;

	if (update->condition == NULL || always)
		return after;
	when = makeNode(CaseWhen);
	when->expr = (Expr *) substitute(update->condition, &substitution);
	when->result = (Expr *) after;
	when->location = -1;
	either = makeNode(CaseExpr);
	either->casetype = exprType(after);
	either->casecollid = exprCollation(after);
	either->args = list_make1(when);
	either->defresult = (Expr *) copyObject(before);
	either->location = -1;
	return (Node *) either;
}

/* an expression that is tried first, and one for where it gives NULL */
static Node *
either_value(Node *first, Node *second)
{
	CoalesceExpr *either = makeNode(CoalesceExpr);

	either->coalescetype = exprType(second);
	either->coalescecollid = exprCollation(second);
	either->args = list_make2(first, second);
	either->location = -1;
	return (Node *) either;
}

/*
 * What the script's UPDATEs would make of a NULL in the column, one after
 * another; where none of their conditions holds, what the last one sets.
 * NULL if there was none.
 */
static Node *
value_of_updates(Oid relation, AttrNumber column)
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	Node	   *nothing;
	Node	   *value;
	NotedUpdate *last = NULL;
	ListCell   *lc;

	get_atttypetypmodcoll(relation, column, &type, &typmod, &collation);
	nothing = (Node *) makeNullConst(type, typmod, collation);
	value = nothing;
	foreach(lc, script_state.updates)
	{
		NotedUpdate *update = lfirst(lc);

		if (update->relation != relation || update->column != column ||
			exprType(update->expression) != type ||
			has_lost_column(update->expression, &relation) ||
			has_lost_column(update->condition, &relation))
			continue;
		last = update;
		value = update_value(update, value, false);
	}
	if (last == NULL)
		return NULL;
	value = eval_const_expressions(NULL, value);
	if (last->condition)
	{
		Node	   *otherwise = eval_const_expressions(NULL,
													   update_value(last, nothing,
																	true));

		if (!equal(value, otherwise))
			value = either_value(value, otherwise);
	}
	if (IsA(value, Const) && ((Const *) value)->constisnull)
		return NULL;
	return value;
}

/* does a foreign key lead from one column to the other? */
static bool
refers_to(Relation relation, AttrNumber column, Oid parent, AttrNumber target)
{
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(relation))
	{
		ForeignKeyCacheInfo *key = lfirst(lc);

		for (int i = 0; i < key->nkeys; i++)
		{
			if (key->conkey[i] == column && key->confrelid == parent &&
				key->confkey[i] == target)
				return true;
		}
	}
	return false;
}

/*
 * Is there surely a row of "parent" with that value in the column "target"?
 * So it is for what a column of the row refers to there, for the row's own
 * key, and taken to be for what the script itself names.
 */
static bool
is_reference(Node *value, Relation relation, Oid parent, AttrNumber target)
{
	List	   *parts;
	ListCell   *lc;

	if (IsA(value, RelabelType))
		return is_reference((Node *) ((RelabelType *) value)->arg, relation,
							parent, target);
	if (IsA(value, FuncExpr) &&
		(((FuncExpr *) value)->funcformat == COERCE_EXPLICIT_CAST ||
		 ((FuncExpr *) value)->funcformat == COERCE_IMPLICIT_CAST))
		return is_reference(linitial(((FuncExpr *) value)->args), relation,
							parent, target);
	if (IsA(value, Var))
	{
		AttrNumber	column = ((Var *) value)->varattno;

		return refers_to(relation, column, parent, target) ||
			(RelationGetRelid(relation) == parent && column == target);
	}
	if (IsA(value, CoalesceExpr))
		parts = ((CoalesceExpr *) value)->args;
	else if (IsA(value, CaseExpr))
	{
		parts = list_make1(((CaseExpr *) value)->defresult);
		foreach(lc, ((CaseExpr *) value)->args)
			parts = lappend(parts, lfirst_node(CaseWhen, lc)->result);
	}
	else
		return IsA(value, Const);
	foreach(lc, parts)
	{
		if (lfirst(lc) && !is_reference(lfirst(lc), relation, parent, target))
			return false;
	}
	return true;
}

/*
 * May the value refer to nothing?  The script has seen to the rows that are
 * there, and has made parents for them; for those to come nobody does.
 */
static bool
may_dangle(Node *value, Oid relid, AttrNumber column)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	bool		result = false;
	ListCell   *lc;

	foreach(lc, copyObject(RelationGetFKeyList(relation)))
	{
		ForeignKeyCacheInfo *key = lfirst(lc);

		for (int i = 0; i < key->nkeys; i++)
			result |= key->conkey[i] == column &&
				!is_reference(value, relation, key->confrelid,
							  key->confkey[i]);
	}
	relation_close(relation, NoLock);
	return result;
}

/* a default that the column has, or has had while the script ran */
static Node *
value_of_default(Oid relation, AttrNumber column)
{
	Oid			attrdef = GetAttrDefaultOid(relation, column);
	ListCell   *lc;

	if (OidIsValid(attrdef))
		sv_require_note_default(attrdef);
	foreach(lc, script_state.defaults)
	{
		NotedDefault *noted = lfirst(lc);
		Node	   *value;

		if (noted->relation != relation || noted->column != column)
			continue;
		value = stringToNode(noted->expression);
		if (exprType(value) == get_atttype(relation, column) &&
			!(IsA(value, Const) && ((Const *) value)->constisnull))
			return value;
	}
	return NULL;
}

/* may an expression give NULL, as far as can be told? */
static bool
may_be_null(Node *node, Oid *relation)
{
	if (node == NULL)
		return true;
	switch (nodeTag(node))
	{
		case T_Const:
			return ((Const *) node)->constisnull;
		case T_CoalesceExpr:
			return may_be_null(llast(((CoalesceExpr *) node)->args), relation);
		case T_Var:
			return !sv_catalog_is_not_null(*relation, ((Var *) node)->varattno);
		case T_CaseExpr:
			return may_be_null((Node *) ((CaseExpr *) node)->defresult,
							   relation) ||
				expression_tree_walker((Node *) ((CaseExpr *) node)->args,
									   may_be_null, relation);
		case T_CaseWhen:
			return may_be_null((Node *) ((CaseWhen *) node)->result, relation);
		case T_NullTest:
		case T_BooleanTest:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_SQLValueFunction:
			return false;
		default:
			return expression_tree_walker(node, may_be_null, relation);
	}
}

/*
 * "up" directives
 */

/* the table of a directive */
static Oid
relation_of(const SvProduct *product, const SvDirective *directive)
{
	List	   *names = stringToQualifiedNameList(directive->relation);
	Oid			relation = InvalidOid;
	ListCell   *lc;

	if (list_length(names) > 1)
		relation = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock,
									true);
	else
	{
		foreach(lc, product->schemas)
		{
			relation = get_relname_relid(strVal(linitial(names)),
										 get_namespace_oid(lfirst(lc), true));
			if (OidIsValid(relation))
				break;
		}
	}
	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("directive \"up\" in line %d: table \"%s\" does not exist when the script has run",
						directive->line, directive->relation)));
	return relation;
}

static AttrNumber
number_of(Oid relation, const SvDirective *directive)
{
	AttrNumber	number = get_attnum(relation, directive->column);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("directive \"up\" in line %d: table \"%s\" has no column \"%s\" when the script has run",
						directive->line, directive->relation,
						directive->column)));
	return number;
}

static void
error_in_directive(void *argument)
{
	const SvDirective *directive = argument;

	if (geterrposition() > 0)
	{
		internalerrposition(geterrposition());
		internalerrquery(directive->expression);
		errposition(0);
	}
	errcontext("directive \"up\" in line %d for column \"%s\" of table \"%s\"",
			   directive->line, directive->column, directive->relation);
}

/* the expression of a directive, in the names that a version knows */
static Node *
parse_directive(const SvDirective *directive, const SvEntry *entry,
				Oid relation, AttrNumber column)
{
	ParseState *pstate = make_parsestate(NULL);
	Relation	table = relation_open(relation, AccessShareLock);
	ErrorContextCallback callback;
	List	   *raw;
	Node	   *node;
	Oid			type;
	int32		typmod;
	Oid			collation;

	callback.callback = error_in_directive;
	callback.arg = unconstify(SvDirective *, directive);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	pstate->p_sourcetext = directive->expression;
	addNSItemToQuery(pstate,
					 addRangeTableEntryForRelation(pstate, table,
												   AccessShareLock,
												   sv_contract_alias(entry, table),
												   false, true),
					 true, true, true);
	raw = raw_parser(directive->expression, RAW_PARSE_PLPGSQL_EXPR);
	node = ((ResTarget *) linitial(((SelectStmt *)
									linitial_node(RawStmt, raw)->stmt)->targetList))->val;
	node = transformExpr(pstate, node, EXPR_KIND_ALTER_COL_TRANSFORM);
	get_atttypetypmodcoll(relation, column, &type, &typmod, &collation);
	node = coerce_to_target_type(pstate, node, exprType(node), type, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST,
								 -1);
	if (node == NULL || leaves_row(node, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("\"%s\" is no value of a single row of type %s",
						directive->expression, format_type_be(type)),
				 errhint("Write one expression over the columns of the row, with a cast if needed.")));
	assign_expr_collations(pstate, node);
	if (contain_volatile_functions(node))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("\"%s\" is volatile", directive->expression),
				 errhint("Use functions that are STABLE or IMMUTABLE.")));
	error_context_stack = callback.previous;
	relation_close(table, NoLock);
	free_parsestate(pstate);
	return node;
}

/* the directive for a column, NULL if there is none */
static const SvDirective *
find_directive(const SvProduct *product, const SvScript *script,
			   Oid relation, AttrNumber column)
{
	ListCell   *lc;

	foreach(lc, script->up)
	{
		const SvDirective *directive = lfirst(lc);

		if (relation_of(product, directive) == relation &&
			number_of(relation, directive) == column)
			return directive;
	}
	return NULL;
}

/*
 * Filling in
 */

/* a tree over the columns of a table as text that means the same for all */
static char *
text_of(Node *node, Oid relation, AttrNumber column)
{
	char	   *text = sv_contract_expression_text(node, relation);
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relation, column, &type, &typmod, &collation);
	return sv_sync_check(relation, text, type, typmod, NULL);
}

/* the newest of the releases that findings are about */
static const SvRelease *
newest_of(List *findings)
{
	const SvRelease *newest = NULL;
	ListCell   *lc;

	foreach(lc, findings)
	{
		const SvRelease *release = ((SvFinding *) lfirst(lc))->release;

		if (newest == NULL ||
			sv_version_compare(release->version, newest->version) > 0)
			newest = release;
	}
	return newest;
}

/* is it a pair that only fills the column in? */
static bool
fills(const SvSyncPair *pair, const char *column)
{
	return pair->old_column[0] == '\0' && pair->down[0] == '\0' &&
		strcmp(pair->new_column, column) == 0;
}

/*
 * Let versions up to that of a release get a column filled in.  What an
 * older version knows it may also write: then only a NULL is replaced.  So it
 * is with a value that is another one each time.
 */
static void
fill_in(const SvProduct *product, const Missing *missing, Node *value,
		bool keeps)
{
	char	   *name = get_attname(missing->relation, missing->column, false);
	SvSyncPair *pair = palloc(sizeof(SvSyncPair));
	List	   *pairs = NIL;
	ListCell   *lc;

	if (keeps || contain_volatile_functions(value))
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(missing->relation, missing->column, &type,
							  &typmod, &collation);
		value = either_value((Node *) makeVar(1, missing->column, type,
											  typmod, collation, 0), value);
	}
	foreach(lc, sv_sync_pairs(missing->relation))
	{
		if (!fills(lfirst(lc), name))
			pairs = lappend(pairs, lfirst(lc));
	}
	pair->old_column = "";
	pair->new_column = name;
	pair->up = text_of(value, missing->relation, missing->column);
	pair->down = "";
	pair->product = product->name;
	pair->label = newest_of(missing->findings)->label;
	pair->newest_is_new = true;
	sv_sync_set(missing->relation, lappend(pairs, pair));
}

/* does a CHECK hold a column to NOT NULL for all but some versions? */
static bool
is_checked(Oid relation, AttrNumber column)
{
	Relation	table = relation_open(relation, AccessShareLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, sv_contract_required(table))
		found |= ((SvRequired *) lfirst(lc))->column == column;
	relation_close(table, AccessShareLock);
	return found;
}

/*
 * Is a column filled in for versions that leave it NULL, or that do not even
 * know it, or may it be NULL for them?  Newer ones than those that know it have
 * it computed.
 */
static bool
is_provided(Oid relation, AttrNumber column, bool known)
{
	char	   *name = get_attname(relation, column, true);
	ListCell   *lc;

	if (name == NULL)
		return false;
	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		/* what another column gives is for those that write that one */
		if ((strcmp(pair->new_column, name) == 0 && pair->up[0] != '\0' &&
			 (!known || pair->old_column[0] == '\0')) ||
			(!known && strcmp(pair->old_column, name) == 0 &&
			 pair->down[0] != '\0'))
			return true;

		/* after a rollback it is the newer versions that leave it out */
		if (strcmp(pair->old_column, name) == 0 && pair->down[0] != '\0' &&
			!pair->newest_is_new)
			return true;
	}
	return is_checked(relation, column) &&
		!sv_catalog_is_not_null(relation, column);
}

/*
 * The trigger that gives a column a value, or the newer one that it is computed
 * from: its function speaks of that.  NULL if there is none.
 */
static char *
trigger_of(Oid relation, AttrNumber column)
{
	char	   *name = get_attname(relation, column, true);
	char	   *trigger = name ? sv_assign_trigger(relation, column) : NULL;
	ListCell   *lc;

	foreach(lc, name && trigger == NULL ? sv_sync_pairs(relation) : NIL)
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->old_column, name) == 0 && pair->down[0] != '\0' &&
			pair->new_column[0] != '\0' && trigger == NULL)
			trigger = sv_assign_trigger(relation,
										get_attnum(relation,
												   pair->new_column));
	}
	return trigger;
}

/*
 * Do versions that leave a column of a table NULL, or that do not even know
 * it, get by with that?  They do if something here sees to it, or a trigger
 * gives it a value, whoever writes.
 */
bool
sv_require_is_filled(Oid relation, AttrNumber column, bool known)
{
	return is_provided(relation, column, known) ||
		trigger_of(relation, column) != NULL;
}

/*
 * Letting older versions leave NULL
 */

/* run a statement that was made here, as the table's owner */
static void
run_as_owner(Oid relation, const char *text)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	Oid			user;
	int			context;

	ReleaseSysCache(tuple);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_RESTRICTED_OPERATION);
	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt =
		linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT))->stmt;
	standard_ProcessUtility(wrapper, text, false, PROCESS_UTILITY_SUBCOMMAND,
							NULL, NULL, None_Receiver, NULL);
	SetUserIdAndSecContext(user, context);
	CommandCounterIncrement();
	sv_contract_touch(RelationRelationId, relation);
}

/* a name for a hidden CHECK that nothing in the table or its heirs has */
static char *
check_name(Oid relation, const char *prefix, const char *column)
{
	char	   *name = makeObjectName(prefix, column, NULL);

	for (int i = 1; OidIsValid(get_relation_constraint_oid(relation, name, true)); i++)
		name = makeObjectName(prefix, column, psprintf("%d", i));
	return name;
}

/* primary keys over a column turn into unique constraints */
static void
demote_keys(Oid relation, AttrNumber column)
{
	Oid			key;
	Bitmapset  *columns = get_primary_key_attnos(relation, true, &key);

	if (bms_is_member(column - FirstLowInvalidHeapAttributeNumber, columns))
		(void) sv_retain_change_key(key, false);
}

/* drop the CHECKs that hold a column to NOT NULL */
static void
drop_checks(Oid relation, AttrNumber column)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *required = sv_contract_required(table);
	ListCell   *lc;

	relation_close(table, AccessShareLock);
	foreach(lc, required)
	{
		SvRequired *check = lfirst(lc);

		if (check->column == column)
			run_as_owner(relation,
						 psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
								  sv_catalog_relation_name(relation),
								  quote_identifier(check->name)));
	}
}

/* what a job was to make NOT NULL later is not to be that for all */
static void
drop_pending(Oid relation, const char *column)
{
	const char *check = sv_defer_remove(SV_JOB_NOTNULL, relation, column);

	if (check)
		run_as_owner(relation,
					 psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
							  sv_catalog_relation_name(relation),
							  quote_identifier(check)));
}

/* NOT NULL gives way to a CHECK that holds for all but some versions */
static void
relax(const SvProduct *product, const Relaxed *relaxed)
{
	Oid			relation = relaxed->relation;
	char	   *column = get_attname(relation, relaxed->column, false);
	const char *quoted = quote_identifier(column);

	demote_keys(relation, relaxed->column);
	drop_pending(relation, column);
	drop_checks(relation, relaxed->column);
	run_as_owner(relation,
				 psprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL, ADD CONSTRAINT %s CHECK (%s IS NOT NULL OR %s.writes_as(%s, %s::%s.version[])%s) NOT VALID",
						  sv_catalog_relation_name(relation), quoted,
						  quote_identifier(check_name(relation,
													  SV_REQUIRED_NAME,
													  column)),
						  quoted, SV_SCHEMA,
						  quote_literal_cstr(product->name),
						  quote_literal_cstr(relaxed->versions), SV_SCHEMA,
						  relaxed->noted ? " IS NOT NULL" : ""));
}

/* the versions of findings as an array's text */
static char *
versions_of(List *findings)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, findings)
		appendStringInfo(&text, "%c\"%s\"",
						 text.len ? ',' : '{',
						 sv_version_text(((SvFinding *) lfirst(lc))->release->version));
	appendStringInfoChar(&text, '}');
	return text.data;
}

static void
note_relaxed(const Missing *missing)
{
	MemoryContext context = MemoryContextSwitchTo(script_state.context);
	Relaxed    *relaxed = palloc0(sizeof(Relaxed));

	relaxed->relation = missing->relation;
	relaxed->column = missing->column;
	relaxed->versions = versions_of(missing->findings);
	script_state.relaxed = lappend(script_state.relaxed, relaxed);
	MemoryContextSwitchTo(context);
}

/*
 * After the script
 */

/* has the script made a column required that is left to a trigger? */
static bool
is_left_to_trigger(const SvFinding *finding, const SvRelease *from)
{
	Oid			relation = finding->entry->physical;
	SvEntry    *before = from ? sv_catalog_entry_of(from, relation) : NULL;
	SvPart	   *column = before ?
	sv_contract_column_at(before, finding->required) : NULL;

	return finding->severity == SV_KEPT && (column == NULL ||
											!column->notnull) &&
		!is_provided(relation, finding->required,
					 sv_contract_column_at(finding->entry,
										   finding->required) != NULL);
}

/* findings on columns that require a value, by column: a list of Missing */
static List *
group_findings(List *findings, const SvRelease *from)
{
	List	   *groups = NIL;
	ListCell   *lc;
	ListCell   *lg;

	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);
		Missing    *missing = NULL;

		if (finding->required == 0 || (finding->severity != SV_FATAL &&
									   !is_left_to_trigger(finding, from)))
			continue;
		foreach(lg, groups)
		{
			missing = lfirst(lg);
			if (missing->relation == finding->entry->physical &&
				missing->column == finding->required)
				break;
		}
		if (lg == NULL)
		{
			missing = palloc0(sizeof(Missing));
			missing->relation = finding->entry->physical;
			missing->column = finding->required;
			groups = lappend(groups, missing);
		}
		missing->findings = lappend(missing->findings, finding);
	}
	return groups;
}

/* does any of these versions know the column? */
static bool
is_known(const Missing *missing)
{
	ListCell   *lc;

	foreach(lc, missing->findings)
	{
		if (sv_contract_column_at(((SvFinding *) lfirst(lc))->entry,
								  missing->column))
			return true;
	}
	return false;
}

/* has anybody ever registered under one of these versions? */
static bool
is_used(const Missing *missing)
{
	ListCell   *lc;

	foreach(lc, missing->findings)
	{
		if (((SvFinding *) lfirst(lc))->release->registered)
			return true;
	}
	return false;
}

static void
mend(const Missing *missing)
{
	ListCell   *lc;

	foreach(lc, missing->findings)
		((SvFinding *) lfirst(lc))->severity = SV_KEPT;
}

/* a value was found, but it may be NULL for what older versions write */
static void
warn_of_null(const Missing *missing)
{
	ereport(WARNING,
			(errmsg("what the script sets column \"%s\" of table \"%s\" to may be null for rows that version %s writes",
					get_attname(missing->relation, missing->column, false),
					get_rel_name(missing->relation),
					newest_of(missing->findings)->label),
			 errdetail("Such rows are refused, since the column is NOT NULL."),
			 errhint("Say with a directive \"-- schemaver: up %s.%s = ...\" which value they get, or set schemaver.on_missing_value to \"nullable\".",
					 quote_identifier(get_rel_name(missing->relation)),
					 quote_identifier(get_attname(missing->relation,
												  missing->column, false)))));
}

/* a trigger gives the column a value, as far as its function's text tells */
static void
warn_of_trigger(const Missing *missing, const char *trigger)
{
	char	   *column = get_attname(missing->relation, missing->column, false);

	ereport(WARNING,
			(errmsg("column \"%s\" of table \"%s\" is left to trigger \"%s\" for rows that version %s writes",
					column, get_rel_name(missing->relation), trigger,
					newest_of(missing->findings)->label),
			 is_known(missing) ?
			 errdetail("Rows in which it or an update sets the column to NULL are refused, since that is NOT NULL.") :
			 errdetail("Rows in which it sets the column to NULL are refused, since that is NOT NULL."),
			 errhint("To be sure, say with a directive \"-- schemaver: up %s.%s = ...\" which value they get.",
					 quote_identifier(get_rel_name(missing->relation)),
					 quote_identifier(column))));
}

/* tell what older versions' rows get */
static void
note_value(const Missing *missing, const char *value, const char *source)
{
	sv_observe_note(SV_NOTE_INFERRED, missing->relation,
					"value for what versions up to %s write into %s.%s: %s, from %s",
					newest_of(missing->findings)->label,
					get_rel_name(missing->relation),
					get_attname(missing->relation, missing->column, false),
					value, source);
}

/* what a trigger gives the column, whoever writes, is all that there is */
static void
leave_to_trigger(const Missing *missing)
{
	char	   *trigger = trigger_of(missing->relation, missing->column);

	if (trigger == NULL)
		return;
	note_value(missing, psprintf("what trigger %s assigns",
								 quote_identifier(trigger)),
			   "its function");
	mend(missing);
	if (is_used(missing))
		warn_of_trigger(missing, trigger);
}

/* fill the column in if a value is known for it, else let it be NULL */
static void
settle_column(const SvProduct *product, const SvRelease *from,
			  const SvScript *script, const Missing *missing)
{
	Oid			relation = missing->relation;
	const SvDirective *directive = find_directive(product, script, relation,
												  missing->column);
	const SvEntry *entry = directive ?
	sv_catalog_entry_of(from, relation) : NULL;
	Node	   *value = NULL;
	bool		keeps = true;
	bool		certain = true;
	const char *source = NULL;

	if (entry)
	{
		value = parse_directive(directive, entry, relation, missing->column);
		certain = !may_be_null(value, &relation);
		keeps = is_known(missing);
		source = psprintf("the directive in line %d", directive->line);
	}
	if (value == NULL)
	{
		value = value_of_default(relation, missing->column);
		source = "the default";
	}
	if (value == NULL)
	{
		value = value_of_updates(relation, missing->column);
		if (value && may_dangle(value, relation, missing->column))
			value = NULL;
		certain = value && !may_be_null(value, &relation);
		source = "the script's UPDATE";
	}
	if (value)
	{
		note_value(missing, contain_volatile_functions(value) ?
				   sv_contract_expression_text(value, relation) :
				   text_of(value, relation, missing->column), source);
		drop_checks(relation, missing->column);
		fill_in(product, missing, value, keeps);
		mend(missing);
		if (!certain && script_state.missing == MISSING_REFUSE &&
			directive == NULL && is_used(missing))
			warn_of_null(missing);
	}
	else if (script_state.missing == MISSING_REFUSE)
		leave_to_trigger(missing);
	if (!certain && script_state.missing == MISSING_NULLABLE)
	{
		note_relaxed(missing);
		note_value(missing, "NULL is allowed",
				   "schemaver.on_missing_value");
		mend(missing);
	}
}

/*
 * May older versions leave behind what the newest one does not allow?
 */
bool
sv_require_is_nullable(void)
{
	return on_missing_value == MISSING_NULLABLE;
}

/*
 * The script has run, and these are the findings about its result.  Those
 * about columns that require a value are not fatal any more where there is
 * one for the older versions, or where they may do without: the latter is for
 * sv_require_relax() to see to when the new contract is taken.
 */
void
sv_require_settle(const SvProduct *product, const SvRelease *from,
				  const SvScript *script, List *findings)
{
	ListCell   *lc;

	foreach(lc, group_findings(findings, from))
		settle_column(product, from, script, lfirst(lc));
}

/*
 * Let older versions leave NULL in the columns that sv_require_settle() has
 * found no value for.
 */
void
sv_require_relax(const SvProduct *product)
{
	ListCell   *lc;

	foreach(lc, script_state.relaxed)
		relax(product, lfirst(lc));
	script_state.relaxed = NIL;
}

/*
 * A column is NOT NULL no more for the newest version either.
 */
void
sv_require_forget(Oid relation, const char *column)
{
	AttrNumber	number = get_attnum(relation, column);

	if (number > 0)
		drop_checks(relation, number);
}

/*
 * Another column takes the place of one: what the newest version requires of
 * the one it requires of the other, with the same exceptions, and no more of
 * the one.  The caller has locked the table in ACCESS EXCLUSIVE mode.
 */
void
sv_require_move(const SvProduct *product, Oid relation, AttrNumber from,
				AttrNumber to)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *required = sv_contract_required(table);
	ListCell   *lc;

	relation_close(table, AccessShareLock);
	foreach(lc, required)
	{
		SvRequired *check = lfirst(lc);
		Relaxed		relaxed = {relation, to, NULL, check->noted};

		if (check->column != from)
			continue;
		relaxed.versions =
			OidOutputFunctionCall(F_ARRAY_OUT,
								  PointerGetDatum(check->versions));
		drop_checks(relation, from);
		relax(product, &relaxed);
		return;
	}
}

/*
 * When older versions are retired
 */

static bool
is_supported(List *releases, const SvVersion *version)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (sv_version_compare(((SvRelease *) lfirst(lc))->version,
							   version) == 0)
			return true;
	}
	return false;
}

/* may a supported version still leave the column NULL? */
static bool
is_check_needed(const SvProduct *product, List *releases,
				const SvRequired *required)
{
	ArrayIterator iterator;
	Datum		version;
	bool		isnull;

	if (strcmp(required->product, product->name) != 0)
		return true;
	iterator = array_create_iterator(required->versions, 0, NULL);
	while (array_iterate(iterator, &version, &isnull))
	{
		if (!isnull && is_supported(releases, DatumGetSvVersion(version)))
			return true;
	}
	return false;
}

/*
 * Are there supported versions on both sides of a pair?  What is computed for
 * versions that are retired is computed for nobody.
 */
static bool
is_pair_needed(const SvProduct *product, List *releases,
			   const SvSyncPair *pair)
{
	bool		has_old = false;
	bool		has_new = false;
	ListCell   *lc;

	if (strcmp(pair->product, product->name) != 0)
		return true;

	/* those that demand it may all have been rolled back and retired */
	foreach(lc, releases)
	{
		if (sv_sync_is_old(pair, ((SvRelease *) lfirst(lc))->version))
			has_old = true;
		else
			has_new = true;
	}
	return has_old && has_new;
}

static List *
needed_pairs(const SvProduct *product, List *releases, Oid relation)
{
	List	   *pairs = NIL;
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		if (is_pair_needed(product, releases, lfirst(lc)))
			pairs = lappend(pairs, lfirst(lc));
	}
	return pairs;
}

/* the CHECKs of a table that nobody needs any more: a list of SvRequired */
static List *
unneeded_checks(const SvProduct *product, List *releases, Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *unneeded = NIL;
	ListCell   *lc;

	foreach(lc, sv_contract_required(table))
	{
		if (!is_check_needed(product, releases, lfirst(lc)))
			unneeded = lappend(unneeded, lfirst(lc));
	}
	relation_close(table, AccessShareLock);
	return unneeded;
}

/* the tables in a product's base schemas: a list of OIDs */
static List *
tables_of(const SvProduct *product)
{
	List	   *tables = NIL;
	ListCell   *ls;
	ListCell   *lr;

	foreach(ls, product->schemas)
	{
		Oid			schema = get_namespace_oid(lfirst(ls), true);

		foreach(lr, OidIsValid(schema) ?
				sv_catalog_objects_of_schema(schema, RelationRelationId) : NIL)
		{
			char		relkind = get_rel_relkind(lfirst_oid(lr));

			if (relkind == RELKIND_RELATION ||
				relkind == RELKIND_PARTITIONED_TABLE)
				tables = lappend_oid(tables, lfirst_oid(lr));
		}
	}
	return tables;
}

/*
 * The tables of a product in which something is kept here for versions that
 * are not supported any more: a list of OIDs.
 */
List *
sv_require_unneeded(const SvProduct *product)
{
	List	   *releases = sv_catalog_releases(product, true);
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, tables_of(product))
	{
		Oid			relation = lfirst_oid(lc);

		if (unneeded_checks(product, releases, relation) != NIL ||
			list_length(needed_pairs(product, releases, relation)) <
			list_length(sv_sync_pairs(relation)))
			relations = lappend_oid(relations, relation);
	}
	return relations;
}

/* is there a row without a value?  Row level security must not hide it. */
static bool
has_nulls(Oid relation, const char *column)
{
	Oid			user;
	int			context;
	bool		result;
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;

	ReleaseSysCache(tuple);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner, context | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
	SPI_connect();
	if (SPI_execute(psprintf("SELECT 1 FROM %s WHERE %s IS NULL",
							 sv_catalog_relation_name(relation),
							 quote_identifier(column)),
					false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for nulls in \"%s\"", column);
	result = SPI_processed > 0;
	SPI_finish();
	SetUserIdAndSecContext(user, context);
	return result;
}

/*
 * The columns of a product's large tables that will be NOT NULL for all when
 * only these releases are supported: a list of SvGap.  To look through such a
 * table takes too long for the lock under which that is set.
 */
List *
sv_require_gaps(const SvProduct *product, List *staying)
{
	List	   *gaps = NIL;
	ListCell   *lr;
	ListCell   *lc;

	foreach(lr, tables_of(product))
	{
		Oid			relation = lfirst_oid(lr);

		if (sv_defer_is_inline(relation))
			continue;
		foreach(lc, unneeded_checks(product, staying, relation))
		{
			SvGap	   *gap = palloc0(sizeof(SvGap));

			gap->relation = relation;
			gap->column = ((SvRequired *) lfirst(lc))->column;
			gaps = lappend(gaps, gap);
		}
	}
	return gaps;
}

/*
 * Look for rows without a value, before anything is locked.
 */
void
sv_require_look(List *gaps)
{
	ListCell   *lc;

	foreach(lc, gaps)
	{
		SvGap	   *gap = lfirst(lc);

		gap->has_nulls = has_nulls(gap->relation,
								   get_attname(gap->relation, gap->column,
											   false));
	}
}

/*
 * What is known of a column, NULL if it is none of the gaps.
 */
const SvGap *
sv_require_find_gap(List *gaps, Oid relation, AttrNumber column)
{
	ListCell   *lc;

	foreach(lc, gaps)
	{
		const SvGap *gap = lfirst(lc);

		if (gap->relation == relation && gap->column == column)
			return gap;
	}
	return NULL;
}

/*
 * Leave it to a job of the work that runs to make a column NOT NULL; new rows
 * are held to it at once.  Needs the table in ACCESS EXCLUSIVE mode.
 */
void
sv_require_leave(Oid relation, const char *column)
{
	char	   *check = check_name(relation, SV_PENDING_NAME, column);

	run_as_owner(relation,
				 psprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID",
						  sv_catalog_relation_name(relation),
						  quote_identifier(check), quote_identifier(column)));
	sv_defer_add(SV_JOB_NOTNULL, relation, column, check, NULL);
}

/*
 * Keys that the current contract calls primary keys are such again, if their
 * columns are NOT NULL.  The caller has locked the table in ACCESS EXCLUSIVE
 * mode.
 */
void
sv_require_promote_keys(const SvProduct *product, Oid relation)
{
	const SvRelease *current = sv_catalog_release(product, product->current);
	const SvEntry *entry = sv_catalog_entry_of(current, relation);
	ListCell   *lc;

	foreach(lc, entry ? entry->constraints : NIL)
	{
		SvPart	   *part = lfirst(lc);

		if (part->flavour == CONSTRAINT_PRIMARY)
			sv_retain_return_unique(relation, part);
	}
}

/* a CHECK that was but a record holds new rows to NOT NULL from now on */
static void
enforce(Oid relation, const char *column, const SvRequired *required)
{
	const char *name = quote_identifier(required->name);

	run_as_owner(relation,
				 psprintf("ALTER TABLE %s DROP CONSTRAINT %s, ADD CONSTRAINT %s CHECK (%s IS NOT NULL OR %s.writes_as(%s, '{}'::%s.version[])) NOT VALID",
						  sv_catalog_relation_name(relation), name, name,
						  quote_identifier(column), SV_SCHEMA,
						  quote_literal_cstr(required->product), SV_SCHEMA));
}

/*
 * A CHECK gives way to NOT NULL, unless there are rows without a value.  Where
 * somebody has looked for these already, a job will look again.
 */
static void
set_not_null(Oid relation, const SvRequired *required, List *gaps)
{
	char	   *column = get_attname(relation, required->column, false);
	const SvGap *gap = sv_require_find_gap(gaps, relation,
											   required->column);

	if (gap ? gap->has_nulls : has_nulls(relation, column))
	{
		if (required->noted)
			enforce(relation, column, required);
		ereport(WARNING,
				(errmsg("column \"%s\" of table \"%s\" cannot be NOT NULL yet, other versions have left rows without a value",
						column, get_rel_name(relation)),
				 errdetail("New rows are checked by constraint \"%s\".",
						   required->name),
				 errhint("Fill these rows, then run ALTER TABLE %s ALTER COLUMN %s SET NOT NULL, DROP CONSTRAINT %s.",
						 sv_catalog_relation_name(relation),
						 quote_identifier(column),
						 quote_identifier(required->name))));
		return;
	}
	if (gap)
	{
		run_as_owner(relation,
					 psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
							  sv_catalog_relation_name(relation),
							  quote_identifier(required->name)));
		sv_require_leave(relation, column);
	}
	else
		run_as_owner(relation,
					 psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL, DROP CONSTRAINT %s",
							  sv_catalog_relation_name(relation),
							  quote_identifier(column),
							  quote_identifier(required->name)));
}

/* what was NOT NULL only for versions that are gone may be NULL again */
static void
drop_undemanded(const SvProduct *product, Oid relation, const char *column)
{
	AttrNumber	number = get_attnum(relation, column);
	const SvRelease *current = sv_catalog_release(product, product->current);
	const SvEntry *entry = sv_catalog_entry_of(current, relation);
	const SvPart *part = sv_contract_column_at(entry, number);

	if (part && !part->notnull && sv_catalog_is_not_null(relation, number))
		run_as_owner(relation,
					 psprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL",
							  sv_catalog_relation_name(relation),
							  quote_identifier(column)));
}

/*
 * Take away from a table what is kept here for versions that are not
 * supported any more: columns are NOT NULL for all, those of "gaps" by a job
 * of the work that runs; columns that are gone are kept in step no more.  The
 * caller has locked the compatibility views on it.
 */
void
sv_require_free(const SvProduct *product, Oid relation, List *gaps)
{
	List	   *releases = sv_catalog_releases(product, true);
	List	   *unneeded;
	List	   *pairs = NIL;
	ListCell   *lc;

	LockRelationOid(relation, AccessExclusiveLock);
	unneeded = unneeded_checks(product, releases, relation);
	foreach(lc, unneeded)
		set_not_null(relation, lfirst(lc), gaps);
	if (unneeded != NIL)
		sv_require_promote_keys(product, relation);
	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (!sv_sync_is_whole(relation, pair))
			continue;
		if (is_pair_needed(product, releases, pair))
			pairs = lappend(pairs, pair);
		else
			drop_undemanded(product, relation, pair->new_column);
	}
	sv_sync_set(relation, pairs);
}

/*
 * When another version becomes the current one
 */

/* the versions of releases that may leave a column NULL: an array's text */
static char *
versions_without(List *releases, Oid relation, AttrNumber column)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);
		const SvEntry *entry = sv_catalog_entry_of(release, relation);
		const SvPart *part = sv_contract_column_at(entry, column);

		if (entry && (part == NULL || !part->notnull))
			appendStringInfo(&text, "%s\"%s\"", text.len > 1 ? "," : "",
							 sv_version_text(release->version));
	}
	appendStringInfoChar(&text, '}');
	return text.data;
}

/* CHECKs on columns that a version may leave NULL go */
static void
drop_undemanded_checks(const SvRelease *release, Oid relation)
{
	const SvEntry *entry = sv_catalog_entry_of(release, relation);
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *required = sv_contract_required(table);
	ListCell   *lc;

	relation_close(table, AccessShareLock);
	foreach(lc, required)
	{
		AttrNumber	column = ((SvRequired *) lfirst(lc))->column;
		const SvPart *part = sv_contract_column_at(entry, column);

		if (part == NULL || !part->notnull)
			drop_checks(relation, column);
	}
}

/*
 * Is it left to a job to fill a column of a contract, or to make it NOT NULL?
 * So it is where somebody has decided that the version can do without the job.
 */
bool
sv_require_is_left(Oid relation, const SvPart *column)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_all_jobs())
	{
		SvJob	   *job = lfirst(lc);
		bool		is_left = strcmp(job->state, SV_JOB_CANCELLED) == 0 ?
		job->relid == relation &&
		sv_defer_column_of(job, relation, job->name) == column->number :
		job->finished == 0 &&
		strcmp(job->relation, get_rel_name(relation)) == 0 &&
		get_namespace_oid(job->schema, true) == get_rel_namespace(relation);

		if (is_left && strcmp(job->name, column->name) == 0 &&
			(strcmp(job->kind, SV_JOB_NOTNULL) == 0 ||
			 strcmp(job->kind, SV_JOB_BACKFILL) == 0))
			return true;
	}
	return false;
}

/* is a column computed for versions that do not know it? */
static bool
is_computed(Oid relation, AttrNumber column)
{
	char	   *name = get_attname(relation, column, false);
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->new_column, name) == 0 && pair->up[0] != '\0')
			return true;
	}
	return false;
}

/*
 * Make a column NOT NULL, unless there are rows without a value: then false.
 * Reads the table through, which the caller has locked; as its owner.
 */
bool
sv_require_demand(Oid relation, AttrNumber number)
{
	char	   *column = get_attname(relation, number, false);

	if (has_nulls(relation, column))
		return false;
	run_as_owner(relation,
				 psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
						  sv_catalog_relation_name(relation),
						  quote_identifier(column)));
	return true;
}

/*
 * A column that is filled in for the older versions is NOT NULL for all, as
 * when the script ran first: false if there are rows without a value.  A large
 * table is looked through by a job.
 */
static bool
demand_computed(Oid relation, AttrNumber number)
{
	if (sv_defer_is_inline(relation))
		return sv_require_demand(relation, number);
	sv_require_leave(relation, get_attname(relation, number, false));
	return true;
}

/*
 * Supported versions leave a column NULL that the current one demands, or
 * there are rows without a value: a hidden CHECK says for which versions NOT
 * NULL waits.  Returns its name.  Unless it is "strict" it is true of every
 * row: the current version must be able to update rows that others have left
 * without a value, and hold.c sees to what it writes itself.  The caller has
 * locked the table in ACCESS EXCLUSIVE mode; it is altered as its owner.
 */
char *
sv_require_hold(const SvProduct *product, Oid relation, AttrNumber column,
				bool strict)
{
	Relaxed		relaxed = {relation, column, NULL, !strict};
	Relation	table;
	ListCell   *lc;
	char	   *name = NULL;

	relaxed.versions = versions_without(sv_catalog_releases(product, true),
										relation, column);
	relax(product, &relaxed);
	table = relation_open(relation, AccessShareLock);
	foreach(lc, sv_contract_required(table))
	{
		SvRequired *check = lfirst(lc);

		if (check->column == column)
			name = check->name;
	}
	relation_close(table, AccessShareLock);
	return name;
}

/*
 * A table's columns are to be NOT NULL as a release says that becomes the
 * current one.  Back to an older one, what only newer ones demand is not
 * demanded any more, but goes on to be filled in for them.  Forward again,
 * what is filled in for older ones is NOT NULL, and what they may leave NULL
 * is checked for all others.
 */
void
sv_require_shift(const SvProduct *product, const SvRelease *from,
				 const SvRelease *to, Oid relation)
{
	List	   *releases = sv_catalog_releases(product, true);
	const SvEntry *entry = sv_catalog_entry_of(to, relation);
	ListCell   *lc;

	drop_undemanded_checks(to, relation);
	if (entry == NULL || sv_version_compare(to->version, from->version) < 0)
		return;
	foreach(lc, entry->columns)
	{
		SvPart	   *column = lfirst(lc);
		Relaxed		relaxed = {relation, column->number, NULL, false};

		if (!column->notnull || column->number == 0 ||
			sv_catalog_is_not_null(relation, column->number) ||
			is_checked(relation, column->number) ||
			sv_require_is_left(relation, column) ||
			(is_computed(relation, column->number) &&
			 demand_computed(relation, column->number)))
			continue;
		if (is_provided(relation, column->number, true) &&
			sv_require_demand(relation, column->number))
			continue;
		relaxed.versions = versions_without(releases, relation,
											column->number);
		relax(product, &relaxed);
	}
}
