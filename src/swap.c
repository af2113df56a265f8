/*-------------------------------------------------------------------------
 *
 * swap.c
 *	  Two columns that are kept in step change places when another version
 *	  becomes the current one: what is to follow.
 *
 * Indexes, keys and checks are a column's own: each of the two has those that
 * its version gave it, hidden or not.  A foreign key is there once, and points
 * from and to what is visible, so that its actions are those of the versions
 * that write.  It is noted before the columns change places, and made again
 * after, with the columns' partners in their place: within the transaction
 * that holds the locks of all, so that it is never missed.  Extended statistics
 * follow in the same way.
 *
 * While jobs are still to build on the newer column what the older one has,
 * the older one keeps it: it is put aside with all that a job will replace, in
 * force and under its name, as when the migration ran first.
 *
 * Locks: the caller holds the tables in ACCESS EXCLUSIVE mode, and those whose
 * foreign keys are to be made again, see sv_swap_referring().
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_statistic_ext.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* a foreign key that may have to be made again */
typedef struct ForeignKey
{
	Oid			oid;
	Oid			relation;
	Oid			referenced;
	AlterTableStmt *statement;	/* that makes it, under the names of then */
	List	   *columns;		/* attnums, as integers */
	List	   *referenced_columns;
	List	   *set_columns;	/* of ON DELETE SET ... */
	bool		is_valid;		/* as the version that comes has it */
	char	   *comment;
} ForeignKey;

/* statistics that may have to be made again */
typedef struct Statistics
{
	Oid			oid;
	Oid			relation;
	CreateStatsStmt *statement; /* that makes them */
	List	   *names;			/* of char **: where it names columns */
	List	   *columns;		/* these columns: attnums, as integers */
	char	   *comment;
} Statistics;

static void
note_name(Statistics *statistics, char **name)
{
	statistics->names = lappend(statistics->names, name);
	statistics->columns = lappend_int(statistics->columns,
									  get_attnum(statistics->relation, *name));
}

/*
 * What is left to jobs
 */

/*
 * The jobs that a release waits for: a list of SvJob, with the relations'
 * OIDs of this database.
 */
List *
sv_swap_pending(const SvProduct *product, const SvRelease *release)
{
	List	   *pending = sv_catalog_has_jobs() ?
	sv_work_pending(product, release) : NIL;
	ListCell   *lc;

	foreach(lc, pending)
		(void) sv_work_find_relation(lfirst(lc));
	return pending;
}

/*
 * Is something of a relation left to one of these jobs, by its kind and name?
 * Without a name anything.
 */
bool
sv_swap_is_left(List *pending, Oid relation, const char *kind,
				const char *name)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		SvJob	   *job = lfirst(lc);

		if (job->relid == relation &&
			(name == NULL || (strcmp(job->kind, kind) == 0 &&
							  strcmp(job->name, name) == 0)))
			return true;
	}
	return false;
}

/*
 * Foreign keys
 */

/* the columns that a list of names means in a relation */
static List *
numbers_of(Oid relation, List *names)
{
	List	   *numbers = NIL;
	ListCell   *lc;

	foreach(lc, names)
		numbers = lappend_int(numbers,
							  get_attnum(relation, strVal(lfirst(lc))));
	return numbers;
}

/* what a release knows of a constraint, NULL if nothing */
static SvPart *
part_of(const SvRelease *release, Oid relation, Oid constraint)
{
	SvEntry    *entry = sv_catalog_entry_of(release, relation);
	ListCell   *lc;

	foreach(lc, entry ? entry->constraints : NIL)
	{
		if (((SvPart *) lfirst(lc))->object == constraint)
			return lfirst(lc);
	}
	return NULL;
}

static ForeignKey *
note_key(Form_pg_constraint form, const SvPart *part)
{
	ForeignKey *key = palloc0(sizeof(ForeignKey));
	Constraint *constraint;

	key->oid = form->oid;
	key->relation = form->conrelid;
	key->referenced = form->confrelid;
	key->statement =
		castNode(AlterTableStmt,
				 linitial_node(RawStmt,
							   raw_parser(pg_get_constraintdef_command(form->oid),
										  RAW_PARSE_DEFAULT))->stmt);
	constraint = castNode(Constraint,
						  linitial_node(AlterTableCmd,
										key->statement->cmds)->def);
	constraint->conname = pstrdup(part->name);
	key->columns = numbers_of(key->relation, constraint->fk_attrs);
	key->referenced_columns = numbers_of(key->referenced,
										 constraint->pk_attrs);
	key->set_columns = numbers_of(key->relation, constraint->fk_del_set_cols);
	key->is_valid = part->type == NULL || !sv_contract_is_not_valid(part->type);
	key->comment = GetComment(form->oid, ConstraintRelationId, 0);
	return key;
}

/* foreign keys from or to some relations, copies of rows */
static List *
keys_around(List *relations)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0,
										  NULL);
	HeapTuple	tuple;
	List	   *keys = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype == CONSTRAINT_FOREIGN &&
			!OidIsValid(form->conparentid) && form->coninhcount == 0 &&
			(list_member_oid(relations, form->conrelid) ||
			 list_member_oid(relations, form->confrelid)))
			keys = lappend(keys, heap_copytuple(tuple));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return keys;
}

/* those of some relations that have columns which are kept in step */
static List *
relations_in_step(List *relations)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, relations)
	{
		if (sv_sync_pairs(lfirst_oid(lc)) != NIL)
			result = lappend_oid(result, lfirst_oid(lc));
	}
	return result;
}

/*
 * The tables whose foreign keys refer to some relations with columns that are
 * kept in step: OIDs.
 */
List *
sv_swap_referring(List *relations)
{
	List	   *in_step = relations_in_step(relations);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, in_step == NIL ? NIL : keys_around(in_step))
		result = list_append_unique_oid(result,
										((Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc)))->conrelid);
	return result;
}

/*
 * Note the foreign keys around some relations, OIDs, that a release which is
 * to become the current one has: for sv_swap_return_keys().
 */
List *
sv_swap_note_keys(const SvRelease *to, List *relations)
{
	List	   *in_step = relations_in_step(relations);
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, in_step == NIL ? NIL : keys_around(in_step))
	{
		Form_pg_constraint form =
			(Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc));
		SvPart	   *part = part_of(to, form->conrelid, form->oid);

		if (part)
			keys = lappend(keys, note_key(form, part));
	}
	return keys;
}

/*
 * The names of columns, or of the visible ones that hidden ones are kept in
 * step with; *hidden is set if there are any.  NIL if one has none.
 */
static List *
visible_names(Oid relation, List *numbers, bool *hidden)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, numbers)
	{
		char	   *name = get_attname(relation, lfirst_int(lc), true);

		if (name && sv_is_hidden(name))
		{
			*hidden = true;
			name = sv_sync_visible(relation, name);
		}
		if (name == NULL)
			return NIL;
		names = lappend(names, makeString(name));
	}
	return names;
}

/* run a statement that makes something on a table, as its owner */
static void
run_as_owner(Oid relation, Node *statement)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);
	SvIdentity	identity;

	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt = statement;
	GetUserIdAndSecContext(&identity.user, &identity.context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(relation),
						   identity.context | SECURITY_RESTRICTED_OPERATION);
	standard_ProcessUtility(wrapper, "", false, PROCESS_UTILITY_SUBCOMMAND,
							NULL, NULL, None_Receiver, NULL);
	sv_catalog_become_caller(&identity);
	CommandCounterIncrement();
	sv_contract_touch(RelationRelationId, relation);
}

static void
drop_key(const ForeignKey *key)
{
	ObjectAddress address;

	ObjectAddressSet(address, ConstraintRelationId, key->oid);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	sv_contract_touch(RelationRelationId, key->relation);
}

static bool
is_retained(Oid relation)
{
	return get_rel_name(relation) == NULL ||
		get_rel_namespace(relation) == sv_retain_schema();
}

/*
 * Is it to be compared with the rows that are there at once?  Going forward,
 * as when the script ran first: a large table's by a job.  A version that is
 * gone back to does not wait for jobs, and its key is NOT VALID.
 */
static bool
is_to_validate(const ForeignKey *key, bool forward)
{
	if (get_rel_relkind(key->relation) == RELKIND_PARTITIONED_TABLE)
		return true;
	return forward && key->is_valid && sv_defer_is_inline(key->relation);
}

/* point a foreign key from and to what is visible now */
static void
return_key(ForeignKey *key, List *pending, bool forward)
{
	Constraint *constraint =
		castNode(Constraint, linitial_node(AlterTableCmd,
										   key->statement->cmds)->def);
	bool		exists = SearchSysCacheExists1(CONSTROID,
											   ObjectIdGetDatum(key->oid));
	bool		hidden = false;
	Oid			made;

	if (is_retained(key->relation) || is_retained(key->referenced))
		return;
	constraint->fk_attrs = visible_names(key->relation, key->columns,
										 &hidden);
	constraint->pk_attrs = visible_names(key->referenced,
										 key->referenced_columns, &hidden);
	constraint->fk_del_set_cols = visible_names(key->relation,
												key->set_columns, &hidden);
	if ((exists && !hidden) || constraint->fk_attrs == NIL ||
		constraint->pk_attrs == NIL ||
		(exists && sv_swap_is_left(pending, key->relation, SV_JOB_REPLACE,
								   constraint->conname)))
		return;
	if (exists)
		drop_key(key);
	if (OidIsValid(get_relation_constraint_oid(key->relation,
											   constraint->conname, true)))
		return;
	key->statement->relation =
		makeRangeVar(get_namespace_name(get_rel_namespace(key->relation)),
					 get_rel_name(key->relation), -1);
	constraint->pktable =
		makeRangeVar(get_namespace_name(get_rel_namespace(key->referenced)),
					 get_rel_name(key->referenced), -1);
	constraint->initially_valid = is_to_validate(key, forward);
	constraint->skip_validation = !constraint->initially_valid;
	run_as_owner(key->relation, (Node *) key->statement);
	if (forward && key->is_valid && !constraint->initially_valid)
		sv_defer_add(SV_JOB_VALIDATE, key->relation, constraint->conname,
					 NULL, NULL);
	made = get_relation_constraint_oid(key->relation, constraint->conname,
									   false);
	if (key->comment)
		CreateComments(made, ConstraintRelationId, 0, key->comment);
}

/*
 * The columns have their names now: foreign keys that were lost, or that refer
 * to a hidden column, are made again on what is visible, but for those that
 * one of these jobs is to replace.  "forward": to a newer version.
 */
void
sv_swap_return_keys(List *keys, List *pending, bool forward)
{
	ListCell   *lc;

	foreach(lc, keys)
		return_key(lfirst(lc), pending, forward);
}

/*
 * Statistics
 */

/* note the columns that an expression as parsed mentions, and where */
static bool
find_column_refs(Node *node, Statistics *statistics)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef) &&
		list_length(((ColumnRef *) node)->fields) == 1 &&
		IsA(linitial(((ColumnRef *) node)->fields), String))
		note_name(statistics, &strVal(linitial(((ColumnRef *) node)->fields)));
	return raw_expression_tree_walker(node, find_column_refs, statistics);
}

static Statistics *
note_one_statistics(Oid relation, Oid oid)
{
	Statistics *statistics = palloc0(sizeof(Statistics));
	ListCell   *lc;

	statistics->oid = oid;
	statistics->relation = relation;
	statistics->statement =
		castNode(CreateStatsStmt,
				 linitial_node(RawStmt,
							   raw_parser(pg_get_statisticsobjdef_string(oid),
										  RAW_PARSE_DEFAULT))->stmt);
	statistics->comment = GetComment(oid, StatisticExtRelationId, 0);
	foreach(lc, statistics->statement->exprs)
	{
		StatsElem  *element = lfirst_node(StatsElem, lc);

		if (element->name)
			note_name(statistics, &element->name);
		else
			(void) find_column_refs(element->expr, statistics);
	}
	return statistics;
}

/*
 * Note the extended statistics of some relations, OIDs, that have columns
 * which are kept in step: for sv_swap_return_statistics().
 */
List *
sv_swap_note_statistics(List *relations)
{
	List	   *noted = NIL;
	ListCell   *lr;
	ListCell   *ls;

	foreach(lr, relations_in_step(relations))
	{
		Relation	table = relation_open(lfirst_oid(lr), AccessShareLock);

		foreach(ls, RelationGetStatExtList(table))
			noted = lappend(noted, note_one_statistics(lfirst_oid(lr),
													   lfirst_oid(ls)));
		relation_close(table, NoLock);
	}
	return noted;
}

/* let the statement say the names of what is visible; false if it cannot */
static bool
turn_names(Statistics *statistics, bool *hidden)
{
	ListCell   *ln;
	ListCell   *lc;

	forboth(ln, statistics->names, lc, statistics->columns)
	{
		List	   *names = visible_names(statistics->relation,
										  list_make1_int(lfirst_int(lc)),
										  hidden);

		if (names == NIL)
			return false;
		*(char **) lfirst(ln) = strVal(linitial(names));
	}
	return true;
}

static void
return_one_statistics(Statistics *statistics)
{
	bool		exists = SearchSysCacheExists1(STATEXTOID,
											   ObjectIdGetDatum(statistics->oid));
	bool		hidden = false;
	ObjectAddress address;

	if (is_retained(statistics->relation) ||
		!turn_names(statistics, &hidden) || (exists && !hidden))
		return;
	ObjectAddressSet(address, StatisticExtRelationId, statistics->oid);
	if (exists)
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();

	/* those on a column with both directives have come back already */
	if (OidIsValid(get_statistics_object_oid(statistics->statement->defnames,
											 true)))
		return;
	statistics->statement->relations =
		list_make1(makeRangeVar(get_namespace_name(get_rel_namespace(statistics->relation)),
								get_rel_name(statistics->relation), -1));
	run_as_owner(statistics->relation, (Node *) statistics->statement);
	address.objectId =
		get_statistics_object_oid(statistics->statement->defnames, false);
	if (statistics->comment)
		CreateComments(address.objectId, StatisticExtRelationId, 0,
					   statistics->comment);
}

/*
 * Make statistics again that were lost with a column, or that are over a
 * hidden one, on what is visible.
 */
void
sv_swap_return_statistics(List *noted)
{
	ListCell   *lc;

	foreach(lc, noted)
		return_one_statistics(lfirst(lc));
}

/*
 * Columns that jobs have yet to find a successor for
 */

/* does an object depend on a column, be it softly? */
static bool
depends_on(Oid class_id, Oid object, Oid relation, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_references(class_id, object))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refclassid == RelationRelationId &&
			form->refobjid == relation && form->refobjsubid == number)
			return true;
	}
	return false;
}

/*
 * Put a key or another index of a table away under a hidden name, with no
 * other object that depends on it.
 */
void
sv_swap_hide_index(Oid class_id, Oid object)
{
	sv_retain_unique(class_id, object);
	sv_retain_soften(list_make1(sv_catalog_address(class_id, object, 0)));
}

/* indexes of a column without a constraint, but those left to jobs */
static void
hide_indexes(Oid relation, AttrNumber number, List *pending)
{
	Relation	table = relation_open(relation, AccessExclusiveLock);
	List	   *indexes = list_copy(RelationGetIndexList(table));
	ListCell   *lc;

	relation_close(table, NoLock);
	foreach(lc, indexes)
	{
		Oid			index = lfirst_oid(lc);

		if (!OidIsValid(get_index_constraint(index)) &&
			depends_on(RelationRelationId, index, relation, number) &&
			!sv_swap_is_left(pending, relation, SV_JOB_ATTACH,
							 get_rel_name(index)))
			sv_swap_hide_index(RelationRelationId, index);
	}
}

/* CHECKs over a column, but those left to jobs */
static void
drop_checks(Oid relation, AttrNumber number, List *pending)
{
	Relation	table = relation_open(relation, AccessExclusiveLock);
	TupleConstr *constr = RelationGetDescr(table)->constr;
	List	   *names = NIL;
	ListCell   *lc;

	for (int i = 0; constr && i < constr->num_check; i++)
		names = lappend(names, pstrdup(constr->check[i].ccname));
	relation_close(table, NoLock);
	foreach(lc, names)
	{
		Oid			check = get_relation_constraint_oid(relation, lfirst(lc),
														false);

		if (!depends_on(ConstraintRelationId, check, relation, number) ||
			sv_swap_is_left(pending, relation, SV_JOB_REPLACE, lfirst(lc)))
			continue;
		sv_retain_drop_constraint(check);
	}
}

/*
 * Hide a column whose successor, which is to have that name, comes back before
 * jobs have made all that it needs.  What they are to replace stays on it.
 */
void
sv_swap_put_aside(Oid relation, AttrNumber number, const char *successor,
				  const SvRelease *to, List *pending)
{
	Oid			attrdef = GetAttrDefaultOid(relation, number);
	List	   *objects = list_make1(sv_catalog_address(RelationRelationId,
														  relation, number));

	drop_checks(relation, number, pending);
	hide_indexes(relation, number, pending);
	if (!sv_swap_is_left(pending, relation, SV_JOB_RELAX, successor))
		sv_sync_relax(relation, number, to->version);
	sv_retain_hide_column(relation, number);
	if (OidIsValid(attrdef))
		objects = lappend(objects,
						  sv_catalog_address(AttrDefaultRelationId, attrdef,
											 0));
	sv_retain_soften(objects);
	sv_contract_touch(RelationRelationId, relation);
}
