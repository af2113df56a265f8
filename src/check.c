/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Hold older versions to CHECKs that the newest is not held to.
 *
 * A CHECK over a column that a script drops, or gives another type, goes, so
 * that the newest version is not held back.  To the versions that have it it
 * is in force still: what they write fails as before, with the same SQLSTATE
 * and in the names that they know.  So it is, after a rollback, to the newer
 * version whose CHECK the older one could not live with.
 *
 * What a version is held to follows from the contracts: they keep the text of
 * a constraint that the table has lost, in the version's own names.  For each
 * such CHECK the table gets a trigger on INSERT and one on UPDATE, and a
 * partitioned one on DELETE as well, since rows that go from one partition to
 * another are told by what is deleted.  The conditions have the CHECK itself,
 * so that the server looks after what it mentions:
 *
 *		WHEN (schemaver.writes_as(product, versions) AND check IS FALSE)
 *
 * An UPDATE of a row that the newest version has left like that is not in the
 * way: it fails only if the row was right before.  Whoever is in no such
 * version has no more to do than to find that out.
 *
 * A script that drops a CHECK and leaves its columns relaxes it for all.
 *
 * The triggers are made, and dropped, by whatever changes contracts, at its
 * end.  As their condition says nothing of names, the arguments do: the
 * product, then for each name that the CHECK has the versions that call it so.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_func.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteManip.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(schemaver_hold_check);

/* a CHECK as it was when a script dropped it */
typedef struct Dropped
{
	Oid			relation;
	NameData	name;
	Node	   *expression;
} Dropped;

/* those of one transaction, in its memory */
static struct
{
	LocalTransactionId transaction;
	List	   *checks;			/* of Dropped, the last one first */
}			dropped;

/* a CHECK of a version that its table has lost */
typedef struct Lost
{
	const SvRelease *release;
	const SvEntry *entry;
	const SvPart *check;
	Relation	table;
	Node	   *expression;		/* over the table's row, as varno 1; or NULL */
} Lost;

/* a CHECK that versions are held to: for each name these */
typedef struct Bound
{
	Node	   *expression;
	List	   *names;			/* char * */
	List	   *versions;		/* lists of char * */
	int			number;			/* of those of one name, from 0 */
} Bound;

/* a trigger that a table must have */
typedef struct Wanted
{
	char	   *name;
	const char *event;
	List	   *arguments;		/* char * */
	Node	   *condition;
} Wanted;

/*
 * CHECKs that tables have lost
 */

static Oid
hold_check_function(void)
{
	return LookupFuncName(list_make2(makeString(SV_SCHEMA),
									 makeString("hold_check")),
						  0, NULL, false);
}

/*
 * A constraint is about to be dropped by a migration or a job: keep what it
 * says, if it is a CHECK.  Its function may have another name in its version.
 */
void
sv_check_note_drop(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	MemoryContext context;
	Dropped    *check;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == CONSTRAINT_CHECK && OidIsValid(form->conrelid))
	{
		context = MemoryContextSwitchTo(TopTransactionContext);
		if (dropped.transaction != MyProc->lxid)
			dropped.checks = NIL;
		dropped.transaction = MyProc->lxid;
		check = palloc(sizeof(Dropped));
		check->relation = form->conrelid;
		check->name = form->conname;
		check->expression =
			stringToNode(TextDatumGetCString(SysCacheGetAttr(CONSTROID, tuple,
															 Anum_pg_constraint_conbin,
															 &isnull)));
		dropped.checks = lcons(check, dropped.checks);
		MemoryContextSwitchTo(context);
	}
	ReleaseSysCache(tuple);
}

/* what it said, if this transaction has dropped it; NULL if not */
static Node *
dropped_expression(Oid relation, const SvPart *check)
{
	ListCell   *lc;

	foreach(lc, dropped.transaction == MyProc->lxid ? dropped.checks : NIL)
	{
		Dropped    *noted = lfirst(lc);

		if (noted->relation == relation &&
			strcmp(NameStr(noted->name), check->physical_name) == 0)
			return copyObject(noted->expression);
	}
	return NULL;
}

/* read a CHECK's text in the names that its version has for the columns */
static void
read_expression(void *argument)
{
	Lost	   *lost = argument;
	List	   *raw = raw_parser(psprintf("ALTER TABLE t ADD CONSTRAINT c %s",
										  lost->check->type),
								 RAW_PARSE_DEFAULT);
	AlterTableStmt *statement = (AlterTableStmt *)
	linitial_node(RawStmt, raw)->stmt;
	Constraint *check = (Constraint *)
	linitial_node(AlterTableCmd, statement->cmds)->def;
	ParseState *pstate = make_parsestate(NULL);
	Node	   *node;

	addNSItemToQuery(pstate,
					 addRangeTableEntryForRelation(pstate, lost->table,
												   AccessShareLock,
												   sv_contract_alias(lost->entry,
																	 lost->table),
												   false, true),
					 true, true, true);
	node = transformExpr(pstate, check->raw_expr, EXPR_KIND_CHECK_CONSTRAINT);
	node = coerce_to_boolean(pstate, node, "CHECK");
	assign_expr_collations(pstate, node);
	free_parsestate(pstate);
	lost->expression = node;
}

/* the numbers of the columns that an expression mentions; 0: the whole row */
static Bitmapset *
columns_of(Node *expression)
{
	Bitmapset  *numbers = NULL;
	ListCell   *lc;

	foreach(lc, pull_var_clause(expression, 0))
	{
		AttrNumber	number = lfirst_node(Var, lc)->varattno;

		if (number >= 0)
			numbers = bms_add_member(numbers, number);
	}
	return numbers;
}

/* are all these columns in an entry? */
static bool
knows_all(const SvEntry *entry, Bitmapset *columns)
{
	int			number = -1;

	while ((number = bms_next_member(columns, number)) >= 0)
	{
		if (sv_contract_column_at(entry, number) == NULL)
			return false;
	}
	return true;
}

/* what is bound under that name for a version, NULL if nothing is */
static const Bound *
find_bound(List *bounds, const char *name, const char *version)
{
	ListCell   *lb;
	ListCell   *ln;
	ListCell   *lv;

	foreach(lb, bounds)
	{
		const Bound *bound = lfirst(lb);

		forboth(ln, bound->names, lv, bound->versions)
		{
			if (strcmp(lfirst(ln), name) == 0 &&
				sv_catalog_has_text(lfirst(lv), version))
				return bound;
		}
	}
	return NULL;
}

static bool
is_lost(const SvPart *constraint)
{
	return constraint->flavour == CONSTRAINT_CHECK && constraint->type &&
		!OidIsValid(constraint->object);
}

/*
 * One that is bound already, or that was just dropped, is as it was then: what
 * it calls may have got another name.  But a CHECK that was dropped may have
 * been over another column that had its place by then.  What cannot be read
 * speaks of what is gone.
 */
static Lost *
read_lost(Relation table, const SvRelease *release, const SvEntry *entry,
		  const SvPart *check, List *bounds)
{
	Lost	   *lost = palloc0(sizeof(Lost));
	const Bound *bound = find_bound(bounds, check->name,
									sv_version_text(release->version));

	lost->release = release;
	lost->entry = entry;
	lost->check = check;
	lost->table = table;
	lost->expression = bound ? bound->expression :
		dropped_expression(RelationGetRelid(table), check);
	if ((lost->expression == NULL ||
		 !knows_all(entry, columns_of(lost->expression))) &&
		sv_trial_attempt(read_expression, lost) != NULL)
		lost->expression = NULL;
	if (lost->expression &&
		!bms_is_member(0, columns_of(lost->expression)))
		return lost;
	return NULL;
}

/* those of all releases, a list of Lost in their order */
static List *
lost_checks(Relation table, List *releases, List *bounds)
{
	List	   *all = NIL;
	ListCell   *lr;
	ListCell   *lc;

	foreach(lr, releases)
	{
		const SvEntry *entry = sv_catalog_entry_of(lfirst(lr),
												   RelationGetRelid(table));

		foreach(lc, entry ? entry->constraints : NIL)
		{
			Lost	   *lost = is_lost(lfirst(lc)) ?
			read_lost(table, lfirst(lr), entry, lfirst(lc), bounds) : NULL;

			if (lost)
				all = lappend(all, lost);
		}
	}
	return all;
}

/*
 * Which of them hold
 */

static bool
is_among(List *bounds, Node *expression)
{
	ListCell   *lc;

	foreach(lc, bounds)
	{
		if (equal(((Bound *) lfirst(lc))->expression, expression))
			return true;
	}
	return false;
}

static bool
has_lost(List *all, const SvRelease *release, Node *expression)
{
	ListCell   *lc;

	foreach(lc, all)
	{
		const Lost *lost = lfirst(lc);

		if (lost->release->id == release->id &&
			equal(lost->expression, expression))
			return true;
	}
	return false;
}

/* does the table have it, under another name than the version has? */
static bool
is_in_force(Relation table, Node *expression)
{
	TupleConstr *constr = RelationGetDescr(table)->constr;

	for (int i = 0; constr && i < constr->num_check; i++)
	{
		if (equal(stringToNode(constr->check[i].ccbin), expression))
			return true;
	}
	return false;
}

/*
 * Is a version to be held to a CHECK?  There must be a reason for which the
 * table has lost it, other than that somebody wanted to be rid of it: a newer
 * version has not all of its columns, or the version was rolled back, or it is
 * held, or the one that it comes from.
 */
static bool
is_held(const Lost *lost, List *all, List *releases, const SvRelease *current,
		List *bounds)
{
	Bitmapset  *columns = columns_of(lost->expression);
	bool		has_reason = is_among(bounds, lost->expression) ||
	sv_version_compare(lost->release->version, current->version) > 0;
	ListCell   *lc;

	foreach(lc, releases)
	{
		const SvRelease *other = lfirst(lc);
		const SvEntry *entry =
		sv_version_compare(other->version, lost->release->version) > 0 ?
		sv_catalog_entry_of(other, lost->entry->physical) : NULL;

		if (entry == NULL)
			continue;
		if (!knows_all(entry, columns))
			has_reason = true;
		else if (!has_lost(all, other, lost->expression))
			return false;
	}
	return has_reason;
}

static Bound *
make_bound(List *bounds, const Lost *lost)
{
	Bound	   *bound = palloc0(sizeof(Bound));
	ListCell   *lc;

	foreach(lc, bounds)
	{
		if (strcmp(linitial(((Bound *) lfirst(lc))->names),
				   lost->check->name) == 0)
			bound->number++;
	}
	bound->expression = lost->expression;
	return bound;
}

/* hold a version to what it calls by a name */
static void
add_to_bound(Bound *bound, const Lost *lost)
{
	char	   *version = sv_version_text(lost->release->version);
	ListCell   *ln;
	ListCell   *lv;

	forboth(ln, bound->names, lv, bound->versions)
	{
		if (strcmp(lfirst(ln), lost->check->name) == 0)
		{
			lfirst(lv) = lappend(lfirst(lv), version);
			return;
		}
	}
	bound->names = lappend(bound->names, lost->check->name);
	bound->versions = lappend(bound->versions, list_make1(version));
}

/* what versions are to be held to in a table, a list of Bound */
static List *
bind_checks(const SvProduct *product, Relation table, List *now)
{
	List	   *releases = sv_catalog_releases(product, true);
	SvRelease  *current = sv_catalog_release(product, product->current);
	List	   *all = lost_checks(table, releases, now);
	List	   *bounds = NIL;
	ListCell   *ll;
	ListCell   *lb;

	foreach(ll, all)
	{
		const Lost *lost = lfirst(ll);

		if (is_in_force(table, lost->expression) ||
			!is_held(lost, all, releases, current, now))
			continue;
		foreach(lb, bounds)
		{
			if (equal(((Bound *) lfirst(lb))->expression, lost->expression))
				break;
		}
		if (lb == NULL)
			bounds = lappend(bounds, make_bound(bounds, lost));
		add_to_bound(lb ? lfirst(lb) : llast(bounds), lost);
	}
	return bounds;
}

/*
 * Triggers
 */

static BooleanTest *
make_test(Node *expression, int varno, BoolTestType type)
{
	BooleanTest *test = makeNode(BooleanTest);

	test->arg = copyObject((Expr *) expression);
	test->booltesttype = type;
	test->location = -1;
	ChangeVarNodes((Node *) test, 1, varno, 0);
	return test;
}

/* a call of schemaver.writes_as(), and what is to be false or not */
static Node *
make_condition(Relation table, const char *product, const Bound *bound,
			   const char *event)
{
	List	   *versions = NIL;
	List	   *tests;
	ListCell   *lv;
	bool		is_delete = strcmp(event, "DELETE") == 0;

	foreach(lv, bound->versions)
		versions = list_concat(versions, lfirst(lv));
	tests = list_make2(sv_sync_expression(table,
										  psprintf("%s.writes_as(%s::pg_catalog.text, %s::%s.version[])",
												   SV_SCHEMA,
												   quote_literal_cstr(product),
												   quote_literal_cstr(sv_hold_versions_text(versions)),
												   SV_SCHEMA), BOOLOID, -1),
					   make_test(bound->expression,
								 is_delete ? PRS2_OLD_VARNO : PRS2_NEW_VARNO,
								 IS_FALSE));
	if (strcmp(event, "UPDATE") == 0)
		tests = lappend(tests, make_test(bound->expression, PRS2_OLD_VARNO,
										 IS_NOT_FALSE));
	return (Node *) makeBoolExpr(AND_EXPR, tests, -1);
}

static List *
arguments_of(const char *product, const Bound *bound)
{
	List	   *arguments = list_make1(pstrdup(product));
	ListCell   *ln;
	ListCell   *lv;

	forboth(ln, bound->names, lv, bound->versions)
		arguments = lappend(lappend(arguments, lfirst(ln)),
							sv_hold_versions_text(lfirst(lv)));
	return arguments;
}

/* the triggers that hold versions so in a table, a list of Wanted */
static List *
wanted_triggers(Relation table, const char *product, List *bounds)
{
	static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};
	static const char *const labels[] = {"insert", "update", "delete"};
	int			nevents =
	table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? 3 : 2;
	List	   *all = NIL;
	ListCell   *lc;

	foreach(lc, bounds)
	{
		const Bound *bound = lfirst(lc);

		for (int i = 0; i < nevents; i++)
		{
			Wanted	   *wanted = palloc(sizeof(Wanted));
			const char *label = bound->number == 0 ? labels[i] :
			psprintf("%s%d", labels[i], bound->number);

			wanted->name = makeObjectName(SV_HOLD_TRIGGER,
										  linitial(bound->names), label);
			wanted->event = events[i];
			wanted->arguments = arguments_of(product, bound);
			wanted->condition = make_condition(table, product, bound,
											   events[i]);
			all = lappend(all, wanted);
		}
	}
	return all;
}

/* what a trigger on INSERT says, NULL if it is none of ours */
static Bound *
read_bound(const Trigger *trigger, Oid function)
{
	Bound	   *bound;
	BoolExpr   *both;
	BooleanTest *test;

	if (!sv_is_check_trigger(trigger->tgname) || trigger->tgfoid != function ||
		!TRIGGER_FOR_INSERT(trigger->tgtype) || trigger->tgqual == NULL)
		return NULL;
	both = stringToNode(trigger->tgqual);
	test = IsA(both, BoolExpr) ? lsecond(both->args) : NULL;
	if (test == NULL || !IsA(test, BooleanTest))
		return NULL;
	bound = palloc0(sizeof(Bound));
	bound->expression = (Node *) test->arg;
	ChangeVarNodes(bound->expression, PRS2_NEW_VARNO, 1, 0);
	for (int i = 1; i + 1 < trigger->tgnargs; i += 2)
	{
		bound->names = lappend(bound->names, pstrdup(trigger->tgargs[i]));
		bound->versions =
			lappend(bound->versions,
					sv_hold_versions(trigger->tgargs[i + 1]));
	}
	return bound;
}

/* what versions of a product are held to in a table now, a list of Bound */
static List *
read_bounds(Relation table, const char *product)
{
	TriggerDesc *triggers = table->trigdesc;
	Oid			function = hold_check_function();
	List	   *bounds = NIL;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Bound	   *bound = read_bound(&triggers->triggers[i], function);

		if (bound && strcmp(triggers->triggers[i].tgargs[0], product) == 0)
			bounds = lappend(bounds, bound);
	}
	return bounds;
}

static int16
type_of(const Wanted *wanted)
{
	return TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER |
		(wanted->event[0] == 'I' ? TRIGGER_TYPE_INSERT :
		 wanted->event[0] == 'U' ? TRIGGER_TYPE_UPDATE : TRIGGER_TYPE_DELETE);
}

/* is a trigger just so?  If not "strict" it may be switched off. */
static bool
is_as_wanted(const Trigger *trigger, const Wanted *wanted, Oid function,
			 bool strict)
{
	return strcmp(trigger->tgname, wanted->name) == 0 &&
		trigger->tgfoid == function && trigger->tgtype == type_of(wanted) &&
		(!strict || trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN) &&
		sv_hold_has_arguments(trigger, wanted->arguments) &&
		trigger->tgqual != NULL &&
		equal(stringToNode(trigger->tgqual), wanted->condition);
}

/*
 * Is a trigger whose name begins so switched off in a partition of a table?
 */
bool
sv_check_is_off_in_partition(Relation table, const char *prefix)
{
	List	   *partitions =
	table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ?
	find_all_inheritors(RelationGetRelid(table), AccessShareLock, NULL) : NIL;
	bool		is_off = false;
	ListCell   *lc;

	foreach(lc, partitions)
	{
		Relation	partition = relation_open(lfirst_oid(lc), NoLock);
		TriggerDesc *triggers = partition->trigdesc;

		for (int i = 0; triggers && i < triggers->numtriggers; i++)
			is_off |= strncmp(triggers->triggers[i].tgname, prefix,
							  strlen(prefix)) == 0 &&
				triggers->triggers[i].tgenabled != TRIGGER_FIRES_ON_ORIGIN;
		relation_close(partition, NoLock);
	}
	return is_off;
}

/*
 * The triggers of this module that a table has: addresses.  Sets whether it
 * has what it must have and no other.
 */
static List *
compare_triggers(Relation table, List *wanted, bool strict,
				 bool *is_settled)
{
	TriggerDesc *triggers = table->trigdesc;
	Oid			function = hold_check_function();
	List	   *own = NIL;
	int			nfound = 0;
	ListCell   *lc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (!sv_is_check_trigger(trigger->tgname))
			continue;
		own = lappend(own, sv_catalog_address(TriggerRelationId,
											  trigger->tgoid, 0));
		foreach(lc, wanted)
		{
			if (is_as_wanted(trigger, lfirst(lc), function, strict))
				nfound++;
		}
	}
	*is_settled = nfound == list_length(own) &&
		nfound == list_length(wanted) &&
		!(strict && own != NIL &&
		  sv_check_is_off_in_partition(table, SV_CHECK_TRIGGER));
	return own;
}

static char *
trigger_text(Relation table, const Wanted *wanted)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW EXECUTE FUNCTION %s.hold_check(",
					 quote_identifier(wanted->name), wanted->event,
					 sv_catalog_relation_name(RelationGetRelid(table)),
					 SV_SCHEMA);
	foreach(lc, wanted->arguments)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/*
 * The condition is given as a tree, so it is us who say what it depends on:
 * softly, nothing of it stands in the way of anybody.
 */
static void
make_trigger(Relation table, const Wanted *wanted)
{
	char	   *text = trigger_text(table, wanted);
	RawStmt    *raw = linitial(raw_parser(text, RAW_PARSE_DEFAULT));
	ObjectAddress trigger;
	Node	   *condition = copyObject(wanted->condition);

	trigger = CreateTrigger(castNode(CreateTrigStmt, raw->stmt), text,
							RelationGetRelid(table), InvalidOid, InvalidOid,
							InvalidOid, InvalidOid, InvalidOid,
							copyObject(condition), false, false);
	ChangeVarNodes(condition, PRS2_NEW_VARNO, 1, 0);
	recordDependencyOnSingleRelExpr(&trigger, condition,
									RelationGetRelid(table), DEPENDENCY_AUTO,
									DEPENDENCY_AUTO, false);
	CommandCounterIncrement();
}

/* is a table as it must be?  With "mend" it is made so if it is not. */
static bool
settle_table(const SvProduct *product, Oid relation, bool strict, bool mend)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *wanted =
	wanted_triggers(table, product->name,
					bind_checks(product, table,
								read_bounds(table, product->name)));
	bool		is_settled;
	List	   *own = compare_triggers(table, wanted, strict, &is_settled);
	ListCell   *lc;

	if (mend && !is_settled)
	{
		foreach(lc, own)
		{
			performDeletion(lfirst(lc), DROP_RESTRICT,
							PERFORM_DELETION_INTERNAL);
			CommandCounterIncrement();
		}
		foreach(lc, wanted)
			make_trigger(table, lfirst(lc));
	}
	else if (mend && own)
		sv_retain_soften(own);	/* in a dump it is hard */
	relation_close(table, NoLock);
	return is_settled;
}

/* tables that have such triggers, or may need some: OIDs */
static List *
tables_concerned(const SvProduct *product)
{
	List	   *tables = sv_contract_triggered_tables("hold_check");
	ListCell   *lr;
	ListCell   *le;
	ListCell   *lc;

	foreach(lr, sv_catalog_releases(product, true))
	{
		foreach(le, sv_contract_touched_entries(lfirst(lr)))
		{
			SvEntry    *entry = lfirst(le);

			foreach(lc, sv_contract_is_table(entry->kind) ?
					entry->constraints : NIL)
			{
				if (is_lost(lfirst(lc)) &&
					sv_hold_is_own_table(entry->physical))
					tables = list_append_unique_oid(tables, entry->physical);
			}
		}
	}
	return tables;
}

/* is the table one of the product's? */
static bool
is_of_product(const SvProduct *product, Oid relation)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));

	return sv_catalog_is_base_schema(product, schema) ||
		strcmp(schema, SV_RETAINED_SCHEMA) == 0;
}

/* the tables that are not as they must be; these are mended if asked for */
static List *
settle_tables(const SvProduct *product, bool strict, bool mend)
{
	List	   *astray = NIL;
	int			nestlevel = sv_contract_enter();
	ListCell   *lc;

	foreach(lc, product->current ? tables_concerned(product) : NIL)
	{
		if (is_of_product(product, lfirst_oid(lc)) &&
			!settle_table(product, lfirst_oid(lc), strict, mend))
			astray = lappend_oid(astray, lfirst_oid(lc));
	}
	sv_contract_leave(nestlevel);
	return astray;
}

/*
 * Contracts of a product, or what they are linked to, have changed: hold each
 * of its versions to the CHECKs that its contract has and its tables have not,
 * and no longer to others.  Looks at tables that are touched, and at those
 * that have such triggers; locks those in AccessExclusiveLock that need
 * others.  Triggers that are switched off stay so unless "strict".  Contracts
 * must be collecting.  Returns how many tables needed it.
 */
int
sv_check_settle(const SvProduct *product, bool strict)
{
	SvIdentity	identity;
	List	   *mended;

	sv_catalog_become_owner(&identity);
	mended = settle_tables(product, strict, true);
	sv_catalog_become_caller(&identity);
	return list_length(mended);
}

/*
 * Tables whose triggers are not those that sv_check_settle() would make, or are
 * switched off: OIDs.
 * Contracts must be collecting, with all touched.
 */
List *
sv_check_astray(const SvProduct *product)
{
	return settle_tables(product, true, false);
}

/*
 * When a row is written
 */

/* does a version know a CHECK by that name? */
static bool
has_check(const SvEntry *entry, const char *name)
{
	ListCell   *lc;

	foreach(lc, entry->constraints)
	{
		const SvPart *part = lfirst(lc);

		if (part->flavour == CONSTRAINT_CHECK && strcmp(part->name, name) == 0)
			return true;
	}
	return false;
}

/* the error that the version has got before */
static void
refuse_row(Relation relation, const char *name, TupleTableSlot *row)
{
	const SvEntry *entry = sv_hold_entry(sv_hold_table(relation));
	const char *shown;
	char	   *shown_row;

	if (entry == NULL || !has_check(entry, name))
		return;
	shown = sv_hold_shown_name(relation, entry);
	slot_getallattrs(row);
	shown_row = sv_hold_row(relation, row->tts_values, row->tts_isnull, entry);
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new row for relation \"%s\" violates check constraint \"%s\"",
					shown, name),
			 shown_row ? errdetail("Failing row contains %s.", shown_row) : 0,
			 err_generic_string(PG_DIAG_SCHEMA_NAME, entry->schema),
			 err_generic_string(PG_DIAG_TABLE_NAME, shown),
			 err_generic_string(PG_DIAG_CONSTRAINT_NAME, name)));
}

/*
 * schemaver.hold_check() returns trigger
 *
 * For AFTER INSERT, UPDATE or DELETE ... FOR EACH ROW, where a condition has
 * found that the row is not as a CHECK demands.
 */
Datum
schemaver_hold_check(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	relation;
	char	  **arguments;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("schemaver.hold_check() must be called by a trigger after insert, update or delete for each row")));
	relation = trigdata->tg_relation;
	arguments = trigdata->tg_trigger->tgargs;
	for (int i = 1; i + 1 < trigdata->tg_trigger->tgnargs; i += 2)
	{
		if (!sv_hold_concerns(arguments[0], arguments[i + 1]))
			continue;
		if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
			sv_hold_note_taken_out(sv_hold_table(relation), arguments[i]);
		else if (!TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ||
				 !relation->rd_rel->relispartition ||
				 !sv_hold_was_taken_out(sv_hold_table(relation),
										arguments[i]))
			refuse_row(relation, arguments[i],
					   TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
					   trigdata->tg_newslot : trigdata->tg_trigslot);
	}
	return PointerGetDatum(NULL);
}
