/*-------------------------------------------------------------------------
 *
 * sequence.c
 *	  nextval(), currval() and setval() reach the sequence behind a view.
 *
 * Where a migration has renamed, moved or dropped a sequence, an older version
 * finds a compatibility view under the old name, as for any relation.  A view
 * is no sequence to the server's functions.  So in a registered session the
 * sequence itself is put in its place: in a query as soon as it is analyzed
 * where the name is a literal, in the call where it is computed.  There is one
 * sequence for all versions, which hands out each value once.
 *
 * A function in SQL must not be inlined into such a query, since nobody can
 * look at its body then.
 *
 * Rights are those on the sequence, which the server checks.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(schemaver_sequence);

static post_parse_analyze_hook_type next_post_parse_analyze = NULL;
static needs_fmgr_hook_type next_needs_hook = NULL;

/* the sequence that a compatibility view stands for, or the same relation */
static Oid
sequence_behind(Oid relation)
{
	Oid			base;
	List	   *columns;

	if (get_rel_relkind(relation) == RELKIND_VIEW &&
		sv_contract_describe_view(relation, &base, &columns) &&
		get_rel_relkind(base) == RELKIND_SEQUENCE)
		return base;
	return relation;
}

/*
 * schemaver.sequence(name regclass) returns regclass
 */
Datum
schemaver_sequence(PG_FUNCTION_ARGS)
{
	PG_RETURN_OID(sequence_behind(PG_GETARG_OID(0)));
}

/* is it a function whose first argument is a sequence? */
static bool
takes_sequence(Oid function)
{
	return function == F_NEXTVAL || function == F_CURRVAL ||
		function == F_SETVAL_REGCLASS_INT8 ||
		function == F_SETVAL_REGCLASS_INT8_BOOL ||
		function == F_PG_SEQUENCE_LAST_VALUE;
}

/* a name that is computed is looked at when it is known */
static Node *
call_sequence(Node *name)
{
	oidvector  *types = buildoidvector((Oid[]) {REGCLASSOID}, 1);
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
										   CStringGetDatum("sequence"),
										   PointerGetDatum(types),
										   ObjectIdGetDatum(get_namespace_oid(SV_SCHEMA, true)));

	if (!OidIsValid(function))
		return name;
	return (Node *) makeFuncExpr(function, REGCLASSOID, list_make1(name),
								 InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

static void
point_at_sequence(FuncExpr *call)
{
	Node	   *name = linitial(call->args);
	Const	   *literal = (Const *) name;

	if (!IsA(name, Const))
		linitial(call->args) = call_sequence(name);
	else if (!literal->constisnull)
		literal->constvalue =
			ObjectIdGetDatum(sequence_behind(DatumGetObjectId(literal->constvalue)));
}

/* the queries and expressions that a utility statement has had analyzed */
static Node *
analyzed_part(Node *statement)
{
	if (statement == NULL)
		return NULL;
	switch (nodeTag(statement))
	{
		case T_ExplainStmt:
			return ((ExplainStmt *) statement)->query;
		case T_CreateTableAsStmt:
			return ((CreateTableAsStmt *) statement)->query;
		case T_DeclareCursorStmt:
			return ((DeclareCursorStmt *) statement)->query;
		case T_CallStmt:
			return (Node *) ((CallStmt *) statement)->funcexpr;
		default:
			return NULL;
	}
}

static bool
find_calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && takes_sequence(((FuncExpr *) node)->funcid))
		point_at_sequence((FuncExpr *) node);
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->commandType == CMD_UTILITY)
			return find_calls(analyzed_part(query->utilityStmt), context);
		return query_tree_walker(query, find_calls, context, 0);
	}
	return expression_tree_walker(node, find_calls, context);
}

/* is this session registered, under whatever version? */
static bool
is_registered(void)
{
	const char *product;
	const SvVersion *version;

	return sv_registry_session(&product, &version) != 0;
}

static void
look_at_query(ParseState *pstate, Query *query, JumbleState *jumble)
{
	if (is_registered())
		(void) find_calls((Node *) query, NULL);
	if (next_post_parse_analyze)
		next_post_parse_analyze(pstate, query, jumble);
}

/* does the text of a function in SQL speak of sequences? */
static bool
speaks_of_sequences(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		result = false;

	if (!HeapTupleIsValid(tuple))
		return false;
	if (((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId)
	{
		bool		isnull;
		Datum		body = SysCacheGetAttr(PROCOID, tuple,
										   Anum_pg_proc_prosrc, &isnull);
		char	   *source = isnull ? pstrdup("") : TextDatumGetCString(body);

		for (char *letter = source; *letter; letter++)
			*letter = pg_ascii_tolower(*letter);
		result = strstr(source, "nextval") || strstr(source, "currval") ||
			strstr(source, "setval");
		pfree(source);
	}
	ReleaseSysCache(tuple);
	return result;
}

/* a function that is called through a hook is never inlined */
static bool
needs_hook(Oid function)
{
	if (next_needs_hook && next_needs_hook(function))
		return true;
	return function >= FirstNormalObjectId && is_registered() &&
		speaks_of_sequences(function);
}

/*
 * Look at what registered sessions ask.
 */
void
sv_sequence_init(void)
{
	next_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = look_at_query;
	next_needs_hook = needs_fmgr_hook;
	needs_fmgr_hook = needs_hook;
}
