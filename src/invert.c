/*-------------------------------------------------------------------------
 *
 * invert.c
 *	  Find the way back of an expression that computes one column from
 *	  another, by trying it.
 *
 * USING may say more than a cast: a CASE over some values, a function of a
 * truth value.  Where the values that it can begin with are few, all of a type
 * that has no others, or the constants that the expression itself compares
 * with, it is computed for each of them, and the table of what comes out, read
 * backwards, is the way back.  Of several values that lead to the same one the
 * first is taken.  For what none leads to there must be something to say: the
 * default that the old column has for the older versions, or null if they
 * may read one.
 *
 * Of some functions of the server it is known which one leads back.
 *
 * The table also takes the place of the expression, where it knows all values:
 * then what the script drops of functions is not missed.
 *
 * The expression runs as the caller, as it will when the rows are filled.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* more values are not tried */
#define MAX_VALUES	1000

/* a search for constants */
typedef struct Search
{
	Oid			type;
	List	   *constants;		/* of Const, each once */
} Search;

/* the column in an expression, replaced by a constant */
typedef struct Replacement
{
	AttrNumber	number;
	Const	   *value;
	bool		failed;			/* another column is in it */
} Replacement;

/*
 * The values to try
 */

static int
compare_members(const void *a, const void *b)
{
	float4		first = ((Form_pg_enum) GETSTRUCT(*(const HeapTuple *) a))->enumsortorder;
	float4		second = ((Form_pg_enum) GETSTRUCT(*(const HeapTuple *) b))->enumsortorder;

	return first < second ? -1 : first > second;
}

/* the labels of an enum, in their order */
static List *
enum_values(Oid type)
{
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME,
										   ObjectIdGetDatum(type));
	HeapTuple  *members = palloc(sizeof(HeapTuple) * list->n_members);
	List	   *values = NIL;

	for (int i = 0; i < list->n_members; i++)
		members[i] = &list->members[i]->tuple;
	qsort(members, list->n_members, sizeof(HeapTuple), compare_members);
	for (int i = 0; i < list->n_members; i++)
		values = lappend(values,
						 makeConst(type, -1, InvalidOid, sizeof(Oid),
								   ObjectIdGetDatum(((Form_pg_enum) GETSTRUCT(members[i]))->oid),
								   false, true));
	ReleaseSysCacheList(list);
	return values;
}

/* all values of a type that has few, NIL of others */
static List *
values_of_type(Oid type)
{
	if (type == BOOLOID)
		return list_make2(makeBoolConst(true, false),
						  makeBoolConst(false, false));
	return type_is_enum(type) ? enum_values(type) : NIL;
}

/* take a constant up as one of the type, if it is as good as one */
static void
add_constant(Node *node, Search *search)
{
	Node	   *value;

	if (!IsA(node, Const) || ((Const *) node)->constisnull)
		return;
	value = coerce_to_target_type(NULL, copyObject(node), exprType(node),
								  search->type, -1, COERCION_ASSIGNMENT,
								  COERCE_IMPLICIT_CAST, -1);
	value = value ? eval_const_expressions(NULL, value) : NULL;
	if (value && IsA(value, Const))
		search->constants = list_append_unique(search->constants, value);
}

static bool
find_constants(Node *node, Search *search)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	foreach(lc, IsA(node, OpExpr) ? ((OpExpr *) node)->args : NIL)
		add_constant(lfirst(lc), search);
	return expression_tree_walker(node, find_constants, search);
}

/* the constants that an expression compares with, as values of a type */
static List *
values_in(Node *expression, Oid type)
{
	Search		search = {type, NIL};

	(void) find_constants(eval_const_expressions(NULL, copyObject(expression)),
						  &search);
	return search.constants;
}

/*
 * Trying
 */

static Node *
replace_column(Node *node, Replacement *replacement)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		replacement->failed |= ((Var *) node)->varattno != replacement->number;
		return (Node *) copyObject(replacement->value);
	}
	return expression_tree_mutator(node, replace_column, replacement);
}

/* what comes of a value; NULL if other columns count as well */
static Const *
try_value(Node *expression, AttrNumber number, Const *value)
{
	Replacement replacement = {number, value, false};
	Node	   *node = replace_column(expression, &replacement);
	Oid			type = exprType(expression);
	EState	   *estate;
	ExprState  *state;
	Datum		result;
	bool		isnull;
	int16		length;
	bool		by_value;

	if (replacement.failed)
		return NULL;
	get_typlenbyval(type, &length, &by_value);
	estate = CreateExecutorState();
	state = ExecPrepareExpr((Expr *) node, estate);
	result = ExecEvalExprSwitchContext(state, GetPerTupleExprContext(estate),
									   &isnull);
	if (!isnull)
		result = datumCopy(result, by_value, length);
	FreeExecutorState(estate);
	return makeConst(type, exprTypmod(expression), exprCollation(expression),
					 length, isnull ? (Datum) 0 : result, isnull, by_value);
}

/*
 * Tables
 */

/* CASE WHEN column = key THEN value ... ELSE otherwise END */
static Node *
make_table(Var *column, List *keys, List *values, Node *otherwise,
		   Oid type)
{
	CaseExpr   *table = makeNode(CaseExpr);
	Oid			equal = lookup_type_cache(column->vartype,
										  TYPECACHE_EQ_OPR)->eq_opr;
	ListCell   *lk;
	ListCell   *lv;

	table->casetype = type;
	table->casecollid = get_typcollation(type);
	table->defresult = (Expr *) (otherwise ? otherwise :
								 (Node *) makeNullConst(type, -1,
														table->casecollid));
	table->location = -1;
	forboth(lk, keys, lv, values)
	{
		CaseWhen   *when = makeNode(CaseWhen);

		when->expr = make_opclause(equal, BOOLOID, false,
								   copyObject((Expr *) column), lfirst(lk),
								   InvalidOid, column->varcollid);
		when->result = lfirst(lv);
		when->location = -1;
		table->args = lappend(table->args, when);
	}
	return (Node *) table;
}

static bool
is_among(Const *value, List *values)
{
	ListCell   *lc;

	foreach(lc, values)
	{
		Const	   *other = lfirst(lc);

		if (datumIsEqual(value->constvalue, other->constvalue,
						 value->constbyval, value->constlen))
			return true;
	}
	return false;
}

/* does the table say what comes of every value of the type? */
static bool
knows_all(Oid type, List *keys)
{
	List	   *all = values_of_type(type);
	ListCell   *lc;

	foreach(lc, all)
	{
		if (!is_among(lfirst(lc), keys))
			return false;
	}
	return all != NIL;
}

static bool
has_equality(Oid type)
{
	return OidIsValid(lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr);
}

/*
 * Find the way back of "*up", an expression over column "number" of a row, to
 * that column: an expression over "target", a column of the type that "*up"
 * gives.  "otherwise" is the value of what no old value leads to, NULL if there
 * is none.  Returns NULL if there is no way back that is known to be one.
 * Changes "*up" to a table of all values, where these are known.
 */
Node *
sv_invert_expression(Node **up, AttrNumber number, Oid old_type, Var *target,
					 Node *otherwise)
{
	List	   *finite = values_of_type(old_type);
	List	   *values = finite ? finite : values_in(*up, old_type);
	List	   *keys = NIL;
	List	   *images = NIL;
	List	   *sources = NIL;
	Var		   *source = makeVar(1, number, old_type, -1,
								 get_typcollation(old_type), 0);
	ListCell   *lc;

	if (values == NIL || list_length(values) > MAX_VALUES ||
		!has_equality(old_type) || !has_equality(target->vartype) ||
		contain_volatile_functions(*up))
		return NULL;
	foreach(lc, values)
	{
		Const	   *image = try_value(*up, number, lfirst(lc));

		if (image == NULL)
			return NULL;
		images = lappend(images, image);
		if (image->constisnull || is_among(image, keys))
			continue;
		keys = lappend(keys, image);
		sources = lappend(sources, lfirst(lc));
	}
	if (keys == NIL ||
		(otherwise == NULL && !knows_all(target->vartype, keys)))
		return NULL;
	if (finite)
		*up = make_table(source, values, images,
						 (Node *) try_value(*up, number,
											makeNullConst(old_type, -1,
														  get_typcollation(old_type))),
						 exprType(*up));
	return make_table(target, keys, sources, otherwise, old_type);
}

/*
 * Known inverses
 */

/* functions that undo each other, where all other arguments are the same */
static const Oid inverses[][2] = {
	{F_STRING_TO_ARRAY_TEXT_TEXT, F_ARRAY_TO_STRING_ANYARRAY_TEXT},
	{F_STRING_TO_ARRAY_TEXT_TEXT_TEXT, F_ARRAY_TO_STRING_ANYARRAY_TEXT_TEXT},
	{F_DECODE, F_ENCODE},
	{F_TIMEZONE_TEXT_TIMESTAMP, F_TIMEZONE_TEXT_TIMESTAMPTZ},
	{F_TIMEZONE_INTERVAL_TIMESTAMP, F_TIMEZONE_INTERVAL_TIMESTAMPTZ},
	{F_TO_TIMESTAMP_FLOAT8, F_EXTRACT_TEXT_TIMESTAMPTZ}
};

/* the function that leads back from what another gives, if one is known */
static Oid
inverse_of(Oid function)
{
	for (size_t i = 0; i < lengthof(inverses); i++)
	{
		if (function == inverses[i][0])
			return inverses[i][1];

		/* EXTRACT may be of other parts than the epoch */
		if (function == inverses[i][1] &&
			function != F_EXTRACT_TEXT_TIMESTAMPTZ)
			return inverses[i][0];
	}
	return InvalidOid;
}

/* what is left of an expression without the casts around it */
static Node *
strip_casts(Node *node)
{
	for (;;)
	{
		if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr))
			node = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else if (IsA(node, FuncExpr) &&
				 list_length(((FuncExpr *) node)->args) == 1 &&
				 (((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST ||
				  ((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CAST))
			node = linitial(((FuncExpr *) node)->args);
		else
			return node;
	}
}

/* the arguments with "target" for the column; NIL if others are no constants */
static List *
inverse_arguments(const FuncExpr *call, AttrNumber number, Var *target)
{
	List	   *arguments = NIL;
	ListCell   *lc;

	if (call->funcid == F_TO_TIMESTAMP_FLOAT8)
		arguments = list_make1(makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
										 CStringGetTextDatum("epoch"), false,
										 false));
	foreach(lc, call->args)
	{
		Node	   *node = strip_casts(lfirst(lc));

		if (IsA(node, Var) && ((Var *) node)->varattno == number)
			arguments = lappend(arguments, target);
		else if (IsA(node, Const) && !((Const *) node)->constisnull)
			arguments = lappend(arguments, lfirst(lc));
		else
			return NIL;
	}
	return list_member_ptr(arguments, target) ? arguments : NIL;
}

/*
 * Find the way back of "up", a call over column "number" of a row, by what is
 * known of the function: a call over "target", a column of the type that "up"
 * gives, for a column of the old type.  NULL if nothing is known.
 */
Node *
sv_invert_call(Node *up, AttrNumber number, Oid old_type, Var *target)
{
	FuncExpr   *call = (FuncExpr *) strip_casts(up);
	Oid			function = IsA(call, FuncExpr) ? inverse_of(call->funcid) :
	InvalidOid;
	List	   *arguments = OidIsValid(function) ?
	inverse_arguments(call, number, target) : NIL;
	Oid			given[FUNC_MAX_ARGS];
	Oid		   *wanted;
	Oid			type;
	int			n;
	ListCell   *lc;

	if (arguments == NIL)
		return NULL;
	type = get_func_signature(function, &wanted, &n);
	foreach(lc, arguments)
		given[foreach_current_index(lc)] = exprType(lfirst(lc));
	if (!can_coerce_type(n, given, wanted, COERCION_IMPLICIT) ||
		!can_coerce_type(1, &type, &old_type, COERCION_ASSIGNMENT))
		return NULL;
	return (Node *) makeFuncExpr(function, type, arguments, InvalidOid,
								 DEFAULT_COLLATION_OID, COERCE_EXPLICIT_CALL);
}
