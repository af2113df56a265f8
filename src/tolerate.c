/*-------------------------------------------------------------------------
 *
 * tolerate.c
 *	  Let a generated column that is hidden fail for those only who know it.
 *
 * The server computes it whoever writes, and what the writer's version has
 * to say in the columns that it is made of may be more than its expression
 * takes: code::int, where the version that has dropped it writes 'x' as code.
 * So while the column is hidden its expression is
 *
 *		schemaver.tolerate(expression, tableoid, 'hidden name')
 *
 * which is the expression's value, or NULL where it fails, unless the version
 * that writes has the column itself: then the error is as it was.  Only an
 * expression that is not sure to give a value is put in there, since it costs
 * a subtransaction for each row.
 *
 * A function's arguments are computed before it is called.  So where the
 * expression is planned, a support function changes the call: the expression
 * is put where the executor never comes to, the columns that it mentions
 * become further arguments, and the function computes it by itself.
 *
 * In the catalogs it is an expression like any other: what it depends on is
 * known, renames are followed, and it is dumped and restored.  Contracts are
 * told what is in it.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/attmap.h"
#include "access/genam.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* arguments as the function is declared; in a planned call more follow */
#define DECLARED_ARGS	3

/* what one place in a query needs to compute the expression by itself */
typedef struct Attempt
{
	MemoryContext context;		/* holds all of this */
	ExprState  *state;
	ExprContext *econtext;
	ParamListInfo inputs;		/* the columns that it mentions */
	bool		isnull;
	Datum		value;			/* in the memory context of the econtext */
} Attempt;

PG_FUNCTION_INFO_V1(schemaver_tolerate);
PG_FUNCTION_INFO_V1(schemaver_tolerate_support);

/*
 * The planned call
 */

/* what only a query has, so that it cannot be computed away from there */
static bool
is_of_query(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Param:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_PlaceHolderVar:
			return true;
		default:
			return expression_tree_walker(node, is_of_query, context);
	}
}

/* the columns that an expression mentions, each once: a list of Var */
static List *
inputs_of(Node *expression)
{
	List	   *inputs = NIL;
	ListCell   *lc;

	foreach(lc, pull_var_clause(expression, 0))
		inputs = list_append_unique(inputs, lfirst(lc));
	return inputs;
}

static Expr *
null_test(Node *arg, NullTestType type)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) arg;
	test->nulltesttype = type;
	test->location = -1;
	return (Expr *) test;
}

/*
 * The expression in a place where the executor never comes to, since an input
 * is not both null and not null.  If the condition was false the planner would
 * take it away when it comes by once more, as it does for the arguments of an
 * SQL function that it has put in the place of a call.
 */
static Node *
never_computed(Node *expression, Node *input)
{
	CaseExpr   *node = makeNode(CaseExpr);
	CaseWhen   *when = makeNode(CaseWhen);

	when->expr = makeBoolExpr(AND_EXPR,
							  list_make2(null_test(input, IS_NULL),
										 null_test(input, IS_NOT_NULL)), -1);
	when->result = (Expr *) expression;
	when->location = -1;
	node->casetype = exprType(expression);
	node->casecollid = exprCollation(expression);
	node->args = list_make1(when);
	node->defresult = (Expr *) makeNullConst(exprType(expression),
											 exprTypmod(expression),
											 exprCollation(expression));
	node->location = -1;
	return (Node *) node;
}

/* what never_computed() was given, NULL if it is something else */
static Node *
never_computed_in(Node *node)
{
	return node && IsA(node, CaseExpr) && ((CaseExpr *) node)->args != NIL ?
		(Node *) linitial_node(CaseWhen, ((CaseExpr *) node)->args)->result :
		NULL;
}

/*
 * schemaver.tolerate_support(internal) returns internal
 */
Datum
schemaver_tolerate_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request =
	(SupportRequestSimplify *) PG_GETARG_POINTER(0);
	FuncExpr   *call;
	Node	   *expression;
	List	   *inputs;

	if (!IsA(request, SupportRequestSimplify) ||
		list_length(request->fcall->args) != DECLARED_ARGS)
		PG_RETURN_POINTER(NULL);
	expression = linitial(request->fcall->args);
	if (is_of_query(expression, NULL))
		PG_RETURN_POINTER(NULL);
	inputs = inputs_of(expression);
	if (inputs == NIL || list_length(inputs) > FUNC_MAX_ARGS - DECLARED_ARGS)
		PG_RETURN_POINTER(NULL);
	call = makeNode(FuncExpr);
	*call = *request->fcall;
	call->args = list_concat(lcons(never_computed(expression,
												  linitial(inputs)),
								   list_copy_tail(call->args, 1)), inputs);
	PG_RETURN_POINTER(call);
}

/*
 * Computing
 */

/* put parameters in the place of columns */
static Node *
with_params(Node *node, List *inputs)
{
	Param	   *param;
	Var		   *var;
	int			n = 0;

	if (node == NULL || !IsA(node, Var))
		return expression_tree_mutator(node, with_params, inputs);
	while (!equal(list_nth(inputs, n), node))
		n++;
	var = (Var *) node;
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = n + 1;
	param->paramtype = var->vartype;
	param->paramtypmod = var->vartypmod;
	param->paramcollid = var->varcollid;
	param->location = -1;
	return (Node *) param;
}

static Attempt *
begin_attempt(FunctionCallInfo fcinfo)
{
	FuncExpr   *call = (FuncExpr *) fcinfo->flinfo->fn_expr;
	Node	   *expression = call && IsA(call, FuncExpr) ?
	never_computed_in(linitial(call->args)) : NULL;
	List	   *inputs = inputs_of(expression);
	MemoryContext context;
	MemoryContext oldcontext;
	Attempt    *attempt;
	ListCell   *lc;

	if (expression == NULL ||
		list_length(inputs) != PG_NARGS() - DECLARED_ARGS)
		elog(ERROR, "call of schemaver.tolerate() has lost its expression");
	context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt,
									"schemaver tolerate",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	attempt = palloc0(sizeof(Attempt));
	attempt->context = context;
	attempt->inputs = makeParamList(list_length(inputs));
	foreach(lc, inputs)
		attempt->inputs->params[foreach_current_index(lc)].ptype =
			lfirst_node(Var, lc)->vartype;
	attempt->state = ExecInitExpr((Expr *) with_params(expression, inputs),
								  NULL);
	attempt->econtext = CreateStandaloneExprContext();
	attempt->econtext->ecxt_param_list_info = attempt->inputs;
	MemoryContextSwitchTo(oldcontext);
	fcinfo->flinfo->fn_extra = attempt;
	return attempt;
}

static void
compute(void *argument)
{
	Attempt    *attempt = argument;

	attempt->value = ExecEvalExprSwitchContext(attempt->state,
											   attempt->econtext,
											   &attempt->isnull);
}

/*
 * Is it the data or the function that is to blame for an error, and not the
 * server?
 */
bool
sv_tolerate_is_about_value(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return false;
		default:
			return true;
	}
}

/* is it the code of a version that writes which has the column? */
static bool
knows_column(Oid relation, const char *column)
{
	const char *product;
	const SvVersion *version;
	const SvEntry *entry;

	if (!sv_registry_session(&product, &version) || !sv_hold_session(product))
		return false;
	if (get_rel_relispartition(relation))
		relation = llast_oid(get_partition_ancestors(relation));
	return sv_hold_known(relation, column, &entry) != NULL;
}

/*
 * schemaver.tolerate(anyelement, oid, text) returns anyelement
 *
 * Not strict: the expression may be of a row without values.
 */
Datum
schemaver_tolerate(PG_FUNCTION_ARGS)
{
	Attempt    *attempt = fcinfo->flinfo->fn_extra;
	ErrorData  *problem;
	int16		length;
	bool		by_value;

	if (attempt == NULL && PG_NARGS() > DECLARED_ARGS)
		attempt = begin_attempt(fcinfo);
	if (attempt == NULL && PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (attempt == NULL)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	ResetExprContext(attempt->econtext);
	for (int i = 0; i < attempt->inputs->numParams; i++)
	{
		attempt->inputs->params[i].isnull = PG_ARGISNULL(DECLARED_ARGS + i);
		attempt->inputs->params[i].value = PG_GETARG_DATUM(DECLARED_ARGS + i);
	}
	problem = sv_trial_attempt(compute, attempt);
	if (problem)
	{
		/* what it kept of the functions that it has called is not to be used */
		fcinfo->flinfo->fn_extra = NULL;
		if (!sv_tolerate_is_about_value(problem->sqlerrcode) || PG_ARGISNULL(2) ||
			knows_column(PG_GETARG_OID(1),
						 text_to_cstring(PG_GETARG_TEXT_PP(2))))
			ReThrowError(problem);
		FreeExprContext(attempt->econtext, false);
		MemoryContextDelete(attempt->context);
		PG_RETURN_NULL();
	}
	if (attempt->isnull)
		PG_RETURN_NULL();
	get_typlenbyval(get_fn_expr_rettype(fcinfo->flinfo), &length, &by_value);
	PG_RETURN_DATUM(datumCopy(attempt->value, by_value, length));
}

/*
 * Is an expression sure to give a value, or NULL?
 */

/* functions of the server that take whatever they are given */
static bool
is_safe_function(Oid function)
{
	switch (function)
	{
		case F_TEXTCAT:
		case F_LOWER_TEXT:
		case F_UPPER_TEXT:
		case F_INT4_INT2:
		case F_INT8_INT2:
		case F_INT8_INT4:
		case F_NUMERIC_INT2:
		case F_NUMERIC_INT4:
		case F_NUMERIC_INT8:
		case F_FLOAT8_INT2:
		case F_FLOAT8_INT4:
		case F_FLOAT8_INT8:
		case F_FLOAT8_FLOAT4:
			return true;
		default:
			return false;
	}
}

/* a comparison of the server's own, by which it sorts numbers, texts, times */
static bool
is_comparison(Oid operator)
{
	return operator < FirstUnpinnedObjectId &&
		get_op_btree_interpretation(operator) != NIL;
}

/* those for the marks of keys do not compute with what they are given */
static bool
is_own_function(Oid function)
{
	return function >= FirstNormalObjectId &&
		sv_catalog_is_own_function(function);
}

static bool
may_fail(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_Var:
		case T_Const:
		case T_RelabelType:
		case T_BoolExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
			break;
		case T_FuncExpr:
			if (!is_safe_function(((FuncExpr *) node)->funcid) &&
				!is_own_function(((FuncExpr *) node)->funcid))
				return true;
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			if (!is_comparison(((OpExpr *) node)->opno) &&
				!is_safe_function(get_opcode(((OpExpr *) node)->opno)))
				return true;
			break;
		default:
			return true;
	}
	return expression_tree_walker(node, may_fail, context);
}

/*
 * May an expression fail for what a row has?
 */
bool
sv_tolerate_may_fail(Node *expression)
{
	return may_fail(expression, NULL);
}

/*
 * The catalogs
 */

static Oid
tolerate_function(void)
{
	Oid			types[] = {ANYELEMENTOID, OIDOID, TEXTOID};

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum("tolerate"),
						   PointerGetDatum(buildoidvector(types,
														  lengthof(types))),
						   ObjectIdGetDatum(get_namespace_oid(SV_SCHEMA,
															  false)));
}

/*
 * Is it tolerate()?  To drop that takes hidden columns along, which is not to
 * go unsaid.
 */
bool
sv_tolerate_is_function(Oid function)
{
	return function == tolerate_function();
}

static Node *
tolerated(Node *expression, const char *column)
{
	List	   *args;

	args = list_make3(sv_contract_assign(expression, true),
					  makeVar(1, TableOidAttributeNumber, OIDOID, -1,
							  InvalidOid, 0),
					  makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								CStringGetTextDatum(column), false, false));
	return (Node *) makeFuncExpr(tolerate_function(), exprType(expression),
								 args, exprCollation(expression),
								 exprCollation(expression),
								 COERCE_EXPLICIT_CALL);
}

/* put another expression in the place of the one that is stored */
static void
store_expression(Oid attrdef, Oid relation, Node *expression)
{
	Relation	catalog = table_open(AttrDefaultRelationId, RowExclusiveLock);
	Datum		values[Natts_pg_attrdef] = {0};
	bool		nulls[Natts_pg_attrdef] = {0};
	bool		replaces[Natts_pg_attrdef] = {0};
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_attrdef_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(attrdef));
	scan = systable_beginscan(catalog, AttrDefaultOidIndexId, true, NULL,
							  1, &key);
	tuple = systable_getnext(scan);
	values[Anum_pg_attrdef_adbin - 1] =
		CStringGetTextDatum(nodeToString(expression));
	replaces[Anum_pg_attrdef_adbin - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls,
							  replaces);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relation);
	CommandCounterIncrement();
}

/* the expression that a column is generated by, NULL if it is not */
static Node *
read_generation(Oid relation, AttrNumber number)
{
	Relation	table;
	Node	   *expression;

	if (number <= 0 || get_attgenerated(relation, number) == '\0')
		return NULL;
	table = relation_open(relation, NoLock);
	expression = build_column_default(table, number);
	relation_close(table, NoLock);
	return expression;
}

static void
tolerate_one(Oid relation, AttrNumber number)
{
	Node	   *expression = read_generation(relation, number);
	ObjectAddress self;
	ObjectAddress function;

	if (expression == NULL || !may_fail(expression, NULL) ||
		sv_contract_generation(expression) != expression)
		return;
	ObjectAddressSet(self, AttrDefaultRelationId,
					 GetAttrDefaultOid(relation, number));
	ObjectAddressSet(function, ProcedureRelationId, tolerate_function());
	store_expression(self.objectId, relation,
					 tolerated(expression, get_attname(relation, number,
													   false)));
	recordDependencyOn(&self, &function, DEPENDENCY_NORMAL);
}

/*
 * A column of a table has just been hidden, under its name of now, and those
 * of all heirs: if it is generated, its expression fails from now on for none
 * but the versions that have the column.  Needs the table in ACCESS EXCLUSIVE
 * mode.
 */
void
sv_tolerate_column(Oid relation, const char *column)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
		tolerate_one(lfirst_oid(lc), get_attnum(lfirst_oid(lc), column));
}

/*
 * A table that is to be a child or partition of another has been given a
 * hidden column of that, from the text of its expression: the server wants it
 * to be the very same expression.  Both are locked.
 */
void
sv_tolerate_like(Oid parent, Oid child, const char *column)
{
	Node	   *expression = read_generation(parent,
											 get_attnum(parent, column));
	Relation	table;
	AttrMap    *map;
	bool		has_whole_row;

	if (expression == NULL || sv_contract_generation(expression) == expression)
		return;
	table = relation_open(parent, NoLock);
	map = make_attrmap(RelationGetNumberOfAttributes(table));
	relation_close(table, NoLock);
	for (AttrNumber i = 1; i <= map->maplen; i++)
	{
		char	   *name = get_attname(parent, i, true);

		map->attnums[i - 1] = name ? get_attnum(child, name) : 0;
	}
	expression = map_variable_attnos(expression, 1, 0, map, InvalidOid,
									 &has_whole_row);
	store_expression(GetAttrDefaultOid(child, get_attnum(child, column)),
					 child, expression);
}

static void
forget_function(Oid class_id, Oid object)
{
	Oid			function = tolerate_function();

	(void) deleteDependencyRecordsForSpecific(class_id, object,
											  DEPENDENCY_NORMAL,
											  ProcedureRelationId, function);
	(void) deleteDependencyRecordsForSpecific(class_id, object,
											  DEPENDENCY_AUTO,
											  ProcedureRelationId, function);
}

/*
 * A column of a table has come back, and those of all heirs: what it is
 * generated by is the expression alone again.  Locks as sv_tolerate_column().
 */
void
sv_tolerate_no_more(Oid relation, const char *column)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		Oid			heir = lfirst_oid(lc);
		AttrNumber	number = get_attnum(heir, column);
		Node	   *stored = read_generation(heir, number);
		Node	   *expression = stored ? sv_contract_generation(stored) : NULL;
		Oid			attrdef;

		if (expression == stored)
			continue;
		attrdef = GetAttrDefaultOid(heir, number);
		store_expression(attrdef, heir, expression);
		forget_function(AttrDefaultRelationId, attrdef);
		CommandCounterIncrement();
	}
}
