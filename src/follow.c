/*-------------------------------------------------------------------------
 *
 * follow.c
 *	  Views made by hand follow a column of two types when another version
 *	  becomes the current one.
 *
 * No version knows such a view, so that nothing is kept of it: it would go
 * along with the column that it is made of.  It is read as the server has it,
 * by OIDs and column numbers, and dropped before anything else changes.  When
 * all has the names of the version to go to, the successors of its columns
 * are put into its query, the server says that as text, and the view is made
 * of it, with its owner, rights, options, comments, defaults and triggers.
 * What the server does not take over the other types is an error that names
 * the view.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "access/reloptions.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/comment.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "commands/view.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* a trigger of a view */
typedef struct ViewTrigger
{
	char	   *definition;
	Oid			function;
	char	   *comment;		/* or NULL */
} ViewTrigger;

/* a view that has been dropped */
typedef struct Follower
{
	Oid			was;			/* its OIDs before and after */
	Oid			is;
	char	   *schema;
	char	   *name;
	Query	   *query;
	TupleDesc	columns;		/* with defaults */
	Datum		options;
	HeapTuple	class_row;		/* its rights and its owner */
	List	   *column_rows;	/* HeapTuple by number: their rights */
	List	   *comments;		/* its own, then those of columns; or NULL */
	List	   *triggers;		/* of ViewTrigger */
} Follower;

/* what walks a query */
typedef struct Turning
{
	const SvFollowing *following;
	List	   *tables;			/* range tables, the innermost first */
} Turning;

/* what is done in a subtransaction */
typedef struct Making
{
	SvFollowing *following;
	Follower   *follower;
} Making;

struct SvFollowing
{
	List	   *followers;		/* of Follower, the lowest first */
	List	   *successions;	/* of SvSuccession */
	const char *refusal;		/* "version ... cannot be made current" */
};

/*
 * Why a view cannot follow; "detail" is a sentence.
 */
static void
refuse(const SvFollowing *following, const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s: view %s would be dropped", following->refusal, name),
			 errdetail("It was made by hand, of what that version does not have. %s",
					   detail),
			 errhint("Drop it, and make it again afterwards.")));
}

static char *
sentence(const ErrorData *error)
{
	char	   *text = psprintf("%s.", error->message);

	text[0] = pg_toupper((unsigned char) text[0]);
	return text;
}

static char *
name_of(const Follower *follower)
{
	return quote_qualified_identifier(follower->schema, follower->name);
}

/*
 * Reading
 */

static List *
read_triggers(Relation view)
{
	TriggerDesc *triggers = view->trigdesc;
	List	   *result = NIL;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		ViewTrigger *trigger = palloc(sizeof(ViewTrigger));
		Oid			oid = triggers->triggers[i].tgoid;

		trigger->definition =
			TextDatumGetCString(DirectFunctionCall1(pg_get_triggerdef,
													ObjectIdGetDatum(oid)));
		trigger->function = triggers->triggers[i].tgfoid;
		trigger->comment = GetComment(oid, TriggerRelationId, 0);
		result = lappend(result, trigger);
	}
	return result;
}

static Follower *
read_follower(const SvFollowing *following, Oid view)
{
	Follower   *follower = palloc0(sizeof(Follower));
	Relation	relation = relation_open(view, AccessExclusiveLock);

	follower->was = view;
	follower->schema = get_namespace_name(RelationGetNamespace(relation));
	follower->name = pstrdup(RelationGetRelationName(relation));
	if (relation->rd_rules->numLocks != 1)
		refuse(following, name_of(follower), "It has rules of its own.");
	follower->query = copyObject(get_view_query(relation));
	follower->columns =
		CreateTupleDescCopyConstr(RelationGetDescr(relation));
	follower->options = sv_catalog_relation_options(view);
	follower->class_row = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(view));
	for (int i = 0; i <= follower->columns->natts; i++)
	{
		follower->comments = lappend(follower->comments,
									 GetComment(view, RelationRelationId, i));
		if (i > 0)
			follower->column_rows =
				lappend(follower->column_rows,
						SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(view),
											Int16GetDatum(i)));
	}
	follower->triggers = read_triggers(relation);
	relation_close(relation, NoLock);
	return follower;
}

static void
drop_views(void *argument)
{
	SvFollowing *following = argument;
	ObjectAddresses *addresses = new_object_addresses();
	ListCell   *lc;

	foreach(lc, following->followers)
	{
		ObjectAddress address;

		ObjectAddressSet(address, RelationRelationId,
						 ((Follower *) lfirst(lc))->was);
		add_exact_object_address(&address, addresses);
	}
	performMultipleDeletions(addresses, DROP_RESTRICT,
							 PERFORM_DELETION_INTERNAL);
	free_object_addresses(addresses);
	CommandCounterIncrement();
}

/*
 * Take down views, OIDs with the lowest first, that stand on columns which
 * successors are to replace, SvSuccession; drops them.  Returns what
 * sv_follow_make() takes, in the current memory context.  "refusal" says what
 * cannot be done if one of them is in the way.  Locks them in ACCESS EXCLUSIVE
 * mode.
 */
SvFollowing *
sv_follow_take(List *views, List *successions, const char *refusal)
{
	SvFollowing *following = palloc0(sizeof(SvFollowing));
	int			nestlevel;
	ErrorData  *error;
	ListCell   *lc;

	following->successions = successions;
	following->refusal = refusal;
	if (views == NIL)
		return following;
	nestlevel = sv_contract_enter();
	foreach(lc, views)
		following->followers =
			lappend(following->followers,
					read_follower(following, lfirst_oid(lc)));
	sv_contract_leave(nestlevel);
	error = sv_trial_attempt(drop_views, following);
	if (error && error->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
		ReThrowError(error);
	if (error)
		refuse(following, name_of(linitial(following->followers)),
			   error->detail ? error->detail : sentence(error));
	return following;
}

/*
 * Turning queries
 */

static AttrNumber
successor_of(const SvFollowing *following, Oid relation, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, following->successions)
	{
		SvSuccession *succession = lfirst(lc);

		if (succession->relation == relation && succession->from == number)
			return succession->to == InvalidAttrNumber ? number :
				succession->to;
	}
	return number;
}

/* the number of a column of what has an index in a range table */
static AttrNumber
turn_number(const Turning *turning, List *table, Index index,
			AttrNumber number)
{
	RangeTblEntry *entry;

	if (index == 0 || (int) index > list_length(table) || number <= 0)
		return number;
	entry = rt_fetch(index, table);
	return entry->rtekind != RTE_RELATION ? number :
		successor_of(turning->following, entry->relid, number);
}

/* a side of a join, and the columns of it that the join shows */
static void
turn_side(const Turning *turning, Node *side, List *numbers)
{
	Index		index = IsA(side, RangeTblRef) ?
	((RangeTblRef *) side)->rtindex : ((JoinExpr *) side)->rtindex;
	ListCell   *lc;

	foreach(lc, numbers)
		lfirst_int(lc) = turn_number(turning, linitial(turning->tables),
									 index, lfirst_int(lc));
}

static void
turn_join(const Turning *turning, JoinExpr *join)
{
	RangeTblEntry *entry = join->rtindex == 0 ? NULL :
	rt_fetch(join->rtindex, (List *) linitial(turning->tables));

	if (entry == NULL)
		return;
	turn_side(turning, join->larg, entry->joinleftcols);
	turn_side(turning, join->rarg, entry->joinrightcols);
}

/* what a range table names: a view that has another OID now, or the rule's */
static void
turn_entry(const Turning *turning, RangeTblEntry *entry)
{
	ListCell   *lc;

	foreach(lc, entry->rtekind == RTE_RELATION ?
			turning->following->followers : NIL)
	{
		Follower   *follower = lfirst(lc);

		/* OLD and NEW of a view that is to come are named nowhere */
		if (follower->was == entry->relid)
			entry->relid = OidIsValid(follower->is) ? follower->is :
				RelationRelationId;
	}
}

static bool
turn(Node *node, Turning *turning)
{
	bool		result;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		List	   *table = list_nth(turning->tables, var->varlevelsup);

		var->varattno = turn_number(turning, table, var->varno,
									var->varattno);
		var->varattnosyn = turn_number(turning, table, var->varnosyn,
									   var->varattnosyn);
		return false;
	}
	if (IsA(node, JoinExpr))
		turn_join(turning, (JoinExpr *) node);
	if (!IsA(node, Query))
		return expression_tree_walker(node, turn, turning);
	turning->tables = lcons(((Query *) node)->rtable, turning->tables);
	result = query_tree_walker((Query *) node, turn, turning, 0);
	turning->tables = list_delete_first(turning->tables);
	return result;
}

/* views and tables have their OIDs only when the columns have been turned */
static bool
turn_entries(Node *node, Turning *turning)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		turn_entry(turning, (RangeTblEntry *) node);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, turn_entries, turning,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, turn_entries, turning);
}

/* does a query name a column, or a table, that is hidden now? */
static bool
is_over_hidden(Node *node, Turning *turning)
{
	bool		result;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
			get_rel_namespace(((RangeTblEntry *) node)->relid) ==
			sv_retain_schema();
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		RangeTblEntry *entry =
		rt_fetch(var->varno,
				 (List *) list_nth(turning->tables, var->varlevelsup));

		if (entry->rtekind == RTE_JOIN && var->varattno > 0)
		{
			Turning		outer = {turning->following,
			list_copy_tail(turning->tables, var->varlevelsup)};

			return is_over_hidden(list_nth(entry->joinaliasvars,
										   var->varattno - 1), &outer);
		}
		return entry->rtekind == RTE_RELATION && var->varattno > 0 &&
			sv_is_hidden(get_attname(entry->relid, var->varattno, false));
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, is_over_hidden, turning);
	turning->tables = lcons(((Query *) node)->rtable, turning->tables);
	result = query_tree_walker((Query *) node, is_over_hidden, turning,
							   QTW_EXAMINE_RTES_BEFORE |
							   QTW_IGNORE_JOINALIASES);
	turning->tables = list_delete_first(turning->tables);
	return result;
}

/*
 * Making again
 */

static List *
names_of(TupleDesc columns)
{
	List	   *names = NIL;

	for (int i = 0; i < columns->natts; i++)
		names = lappend(names,
						makeString(pstrdup(NameStr(TupleDescAttr(columns,
																 i)->attname))));
	return names;
}

static void
make_view(Follower *follower, char *text)
{
	ViewStmt   *statement = makeNode(ViewStmt);
	Form_pg_class form = (Form_pg_class) GETSTRUCT(follower->class_row);

	statement->view = makeRangeVar(follower->schema, follower->name, -1);
	statement->view->relpersistence = form->relpersistence;
	statement->aliases = names_of(follower->columns);
	statement->query = linitial_node(RawStmt,
									 raw_parser(text, RAW_PARSE_DEFAULT))->stmt;
	statement->options = untransformRelOptions(follower->options);
	follower->is = DefineView(statement, text, -1, -1).objectId;
	CommandCounterIncrement();
}

static void
give_defaults(const Follower *follower)
{
	TupleConstr *constraints = follower->columns->constr;

	for (int i = 0; constraints && i < constraints->num_defval; i++)
	{
		AttrDefault *value = &constraints->defval[i];
		Node	   *expression = stringToNode(value->adbin);

		sv_retain_run(psprintf("ALTER VIEW %s ALTER COLUMN %s SET DEFAULT %s",
							   name_of(follower),
							   quote_identifier(get_attname(follower->is,
															value->adnum,
															false)),
							   sv_contract_expression_text(expression,
														   follower->is)));
	}
}

static void
give_triggers(const Follower *follower)
{
	ListCell   *lc;

	foreach(lc, follower->triggers)
	{
		ViewTrigger *trigger = lfirst(lc);
		RawStmt    *raw = linitial_node(RawStmt,
										raw_parser(trigger->definition,
												   RAW_PARSE_DEFAULT));
		ObjectAddress address =
		CreateTrigger(castNode(CreateTrigStmt, raw->stmt),
					  trigger->definition, follower->is, InvalidOid,
					  InvalidOid, InvalidOid, trigger->function, InvalidOid,
					  NULL, false, false);

		CommandCounterIncrement();
		if (trigger->comment)
			CreateComments(address.objectId, TriggerRelationId, 0,
						   trigger->comment);
	}
}

static void
give_rights(const Follower *follower)
{
	Oid			owner =
	((Form_pg_class) GETSTRUCT(follower->class_row))->relowner;
	ObjectAddress address;

	ATExecChangeOwner(follower->is, owner, true, AccessExclusiveLock);
	CommandCounterIncrement();
	ObjectAddressSet(address, RelationRelationId, follower->is);
	sv_standin_copy_acl(RelationRelationId, follower->class_row,
						SearchSysCacheCopy1(RELOID,
											ObjectIdGetDatum(follower->is)),
						Anum_pg_class_relacl, &address, owner);
	for (int i = 1; i <= follower->columns->natts; i++)
	{
		address.objectSubId = i;
		sv_standin_copy_acl(AttributeRelationId,
							list_nth(follower->column_rows, i - 1),
							SearchSysCacheCopy2(ATTNUM,
												ObjectIdGetDatum(follower->is),
												Int16GetDatum(i)),
							Anum_pg_attribute_attacl, &address, owner);
	}
}

static void
give_comments(const Follower *follower)
{
	for (int i = 0; i <= follower->columns->natts; i++)
	{
		char	   *comment = list_nth(follower->comments, i);

		if (comment)
			CreateComments(follower->is, RelationRelationId, i, comment);
	}
}

/* all of one; nothing of its text is run by that, only understood */
static void
make_follower(void *argument)
{
	Making	   *making = argument;
	Follower   *follower = making->follower;
	Turning		turning = {making->following, NIL};
	SvIdentity	identity;

	(void) turn((Node *) follower->query, &turning);
	(void) turn_entries((Node *) follower->query, &turning);
	if (is_over_hidden((Node *) follower->query, &turning))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("nothing takes the place of a column or table")));
	sv_catalog_become_owner(&identity);
	make_view(follower, pg_get_querydef(follower->query, false));
	give_defaults(follower);
	give_triggers(follower);
	give_rights(follower);
	sv_catalog_become_caller(&identity);
	give_comments(follower);
}

/*
 * Everything has the names and columns of the version to go to: make the views
 * again that sv_follow_take() has dropped.  Throws if one cannot be made.
 */
void
sv_follow_make(SvFollowing *following)
{
	int			nestlevel;
	ListCell   *lc;

	if (following->followers == NIL)
		return;
	nestlevel = sv_contract_enter();
	foreach(lc, following->followers)
	{
		Making		making = {following, lfirst(lc)};
		ErrorData  *error = sv_trial_attempt(make_follower, &making);

		if (error)
			refuse(following, name_of(making.follower), sentence(error));
	}
	sv_contract_leave(nestlevel);
}
