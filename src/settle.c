/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  What a script drops and makes again just as it was.
 *
 * Scripts drop and make again whole trees of views to change one table.  At
 * the end of the script what was put away is compared with what has its name
 * now: if nobody can tell one from the other, the new one serves the older
 * versions as well, and the old one goes.  So nothing is kept twice, and the
 * version's number need not promise a change where there is none.
 *
 * Only what leaves nothing behind may go: what something else stands on that
 * stays, or what itself stands on something that was put away and stays, is
 * not the same as its namesake, whatever it looks like.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "nodes/nodes.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* something that was put away, and what has its name now */
typedef struct Pair
{
	const SvPutAway *old;
	Oid			twin;
	char	   *text;			/* views: what the twin is */
	bool		same;
} Pair;

static Form_pg_class
class_form(Oid relation)
{
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID,
											ObjectIdGetDatum(relation));

	return HeapTupleIsValid(tuple) ? (Form_pg_class) GETSTRUCT(tuple) : NULL;
}

/* the relation of that kind that has the name of one put away */
static Oid
find_twin_relation(const SvPutAway *old)
{
	Oid			twin = get_relname_relid(old->name, old->schema);
	Form_pg_class then = class_form(old->object);
	Form_pg_class now = OidIsValid(twin) ? class_form(twin) : NULL;

	if (then == NULL || now == NULL ||
		then->relnamespace != sv_retain_schema() ||
		then->relkind != now->relkind || then->relowner != now->relowner ||
		(then->relkind != RELKIND_VIEW && then->relkind != RELKIND_MATVIEW))
		return InvalidOid;
	return twin;
}

static Oid
find_twin_function(const SvPutAway *old)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID,
										ObjectIdGetDatum(old->object));
	Oid			twin = InvalidOid;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	if (((Form_pg_proc) GETSTRUCT(tuple))->pronamespace != old->schema)
		twin = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							   CStringGetDatum(old->name),
							   SysCacheGetAttr(PROCOID, tuple,
											   Anum_pg_proc_proargtypes,
											   &isnull),
							   ObjectIdGetDatum(old->schema));
	ReleaseSysCache(tuple);
	return twin;
}

/* what a function of ruleutils tells of an object */
static char *
tell(PGFunction function, Oid object)
{
	return TextDatumGetCString(DirectFunctionCall1(function,
												   ObjectIdGetDatum(object)));
}

static int
compare_texts(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static void
append_sorted(StringInfo text, List *lines)
{
	ListCell   *lc;

	list_sort(lines, compare_texts);
	foreach(lc, lines)
		appendStringInfo(text, "%s\n", (char *) lfirst(lc));
}

/* unique indexes, whatever their names are */
static List *
tell_indexes(Relation relation)
{
	List	   *lines = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		char	   *line = tell(pg_get_indexdef, lfirst_oid(lc));

		if (strncmp(line, "CREATE UNIQUE", 13) == 0)
			lines = lappend(lines, strstr(line, " ON "));
	}
	return lines;
}

static List *
tell_triggers(Relation relation)
{
	List	   *lines = NIL;

	for (int i = 0; relation->trigdesc &&
		 i < relation->trigdesc->numtriggers; i++)
		lines = lappend(lines, tell(pg_get_triggerdef,
									relation->trigdesc->triggers[i].tgoid));
	return lines;
}

/* rules that the relation's definition does not tell */
static List *
tell_rules(Relation relation)
{
	RuleLock   *rules = relation->rd_rules;
	List	   *lines = NIL;

	for (int i = 0; rules && i < rules->numLocks; i++)
	{
		if (rules->rules[i]->event != CMD_SELECT)
			lines = lappend(lines, tell(pg_get_ruledef,
										rules->rules[i]->ruleId));
	}
	return lines;
}

static void
tell_columns(StringInfo text, Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		appendStringInfo(text, "%s %s", NameStr(attribute->attname),
						 sv_contract_type_text(attribute->atttypid,
											   attribute->atttypmod,
											   attribute->attcollation));
		if (attribute->atthasdef)
			appendStringInfo(text, " DEFAULT %s",
							 sv_contract_default_text(GetAttrDefaultOid(RelationGetRelid(relation),
																		attribute->attnum)));
		appendStringInfoChar(text, '\n');
	}
}

/* the privileges on a relation and on its columns */
static void
tell_rights(StringInfo text, Relation relation)
{
	Oid			output;
	bool		is_varlena;

	getTypeOutputInfo(ACLITEMARRAYOID, &output, &is_varlena);
	for (int i = 0; i <= RelationGetDescr(relation)->natts; i++)
	{
		HeapTuple	tuple = i == 0 ?
		SearchSysCache1(RELOID,
						ObjectIdGetDatum(RelationGetRelid(relation))) :
		SearchSysCache2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(relation)),
						Int16GetDatum(i));
		bool		isnull;
		Datum		acl = SysCacheGetAttr(i == 0 ? RELOID : ATTNUM, tuple,
										  i == 0 ? Anum_pg_class_relacl :
										  Anum_pg_attribute_attacl, &isnull);

		if (!isnull)
			appendStringInfo(text, "%d %s\n", i,
							 OidOutputFunctionCall(output, acl));
		ReleaseSysCache(tuple);
	}
}

/* all that makes a view what its users know, in words */
static char *
tell_relation(Oid view)
{
	Relation	relation = relation_open(view, AccessShareLock);
	Datum		options = sv_catalog_relation_options(view);
	StringInfoData text;

	initStringInfo(&text);
	tell_columns(&text, relation);
	appendStringInfo(&text, "%s\n", tell(pg_get_viewdef, view));
	if (options)
		appendStringInfo(&text, "%s\n",
						 nodeToString(untransformRelOptions(options)));
	append_sorted(&text, tell_indexes(relation));
	append_sorted(&text, tell_triggers(relation));
	append_sorted(&text, tell_rules(relation));
	tell_rights(&text, relation);
	relation_close(relation, NoLock);
	return text.data;
}

/* what was put away and has a namesake of its kind again, of Pair */
static List *
find_pairs(List *put_away)
{
	List	   *pairs = NIL;
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, put_away)
	{
		SvPutAway  *old = lfirst(lc);
		Oid			twin = InvalidOid;
		Pair	   *pair;

		if (old->class_id == RelationRelationId)
			twin = find_twin_relation(old);
		else if (old->class_id == ProcedureRelationId)
			twin = find_twin_function(old);
		if (!OidIsValid(twin) || twin == old->object ||
			list_member_oid(seen, old->object) ||
			sv_catalog_entries_on(twin) != NIL)
			continue;
		seen = lappend_oid(seen, old->object);
		pair = palloc0(sizeof(Pair));
		pair->old = old;
		pair->twin = twin;
		pairs = lappend(pairs, pair);
	}
	return pairs;
}

/* give an object another name and schema, in its row of a catalog alone */
static void
set_name(Oid class_id, Oid object, const char *name, Oid schema)
{
	Relation	catalog = table_open(class_id, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(class_id == RelationRelationId ?
											RELOID : PROCOID,
											ObjectIdGetDatum(object));

	if (class_id == RelationRelationId)
	{
		namestrcpy(&((Form_pg_class) GETSTRUCT(tuple))->relname, name);
		((Form_pg_class) GETSTRUCT(tuple))->relnamespace = schema;
	}
	else
	{
		namestrcpy(&((Form_pg_proc) GETSTRUCT(tuple))->proname, name);
		((Form_pg_proc) GETSTRUCT(tuple))->pronamespace = schema;
	}
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* what was put away gets the name of its twin, and the twin the other one */
static void
swap_names(const Pair *pair)
{
	Oid			class_id = pair->old->class_id;
	Oid			object = pair->old->object;
	bool		is_relation = class_id == RelationRelationId;
	char	   *name = is_relation ? get_rel_name(object) :
	get_func_name(object);
	Oid			schema = is_relation ? get_rel_namespace(object) :
	get_func_namespace(object);

	set_name(class_id, object, "schemaver swap", InvalidOid);
	set_name(class_id, pair->twin, name, schema);
	set_name(class_id, object, pair->old->name, pair->old->schema);
}

/* as compare_views(), under the names that they had */
static void
compare_swapped(void *argument)
{
	List	   *pairs = argument;
	ListCell   *lc;

	foreach(lc, pairs)
		swap_names(lfirst(lc));
	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);

		if (pair->text)
			pair->same = strcmp(pair->text,
								tell_relation(pair->old->object)) == 0;
	}
}

/*
 * Compare all views that were put away with their twins.  What they are made
 * of may have been put away and made again itself: so for the time of the
 * comparison all are called again what they were called before.
 */
static void
compare_views(List *pairs)
{
	ErrorData  *problem;
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);

		if (pair->old->class_id == RelationRelationId)
			pair->text = tell_relation(pair->twin);
	}
	problem = sv_trial_undo(compare_swapped, pairs);
	if (problem)
		ReThrowError(problem);
}

static Pair *
find_pair(List *pairs, Oid class_id, Oid object)
{
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);

		if (pair->old->object == object && pair->old->class_id == class_id)
			return pair;
	}
	return NULL;
}

/* may an object that depends on what was put away go with it? */
static bool
goes_along(List *pairs, const Pair *pair, Form_pg_depend form)
{
	ObjectAddress dependent;
	Pair	   *other;
	Oid			relation;

	ObjectAddressSet(dependent, form->classid, form->objid);
	if (form->deptype == DEPENDENCY_INTERNAL)
		return true;

	/* what takes the place of a single function is called by these as well */
	if (pairs == NIL && form->classid == TriggerRelationId &&
		sv_retain_is_hidden_trigger(form->objid))
		return true;
	relation = sv_retain_relation_of(&dependent);
	if (!OidIsValid(relation))
		other = find_pair(pairs, form->classid, form->objid);
	else if (relation == pair->old->object ||
			 get_rel_relkind(relation) == RELKIND_TOASTVALUE ||
			 sv_contract_is_version_schema(get_rel_namespace(relation)))
		return true;
	else
		other = find_pair(pairs, RelationRelationId, relation);
	return other && other->same;
}

/* does anything that stays depend on an object? */
static bool
is_in_use(List *pairs, const Pair *pair, Oid class_id, Oid object)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(class_id, object, -1))
	{
		Form_pg_depend form = lfirst(lc);

		if (!goes_along(pairs, pair, form) ||
			(form->deptype == DEPENDENCY_INTERNAL &&
			 is_in_use(pairs, pair, form->classid, form->objid)))
			return true;
	}
	return false;
}

/* is an object among what was put away and stays so? */
static bool
is_kept(List *pairs, List *put_away, Oid class_id, Oid object)
{
	ListCell   *lc;

	foreach(lc, put_away)
	{
		SvPutAway  *old = lfirst(lc);

		if (old->object == object && old->class_id == class_id)
		{
			Pair	   *pair = find_pair(pairs, class_id, object);

			return pair == NULL || !pair->same;
		}
	}
	return false;
}

/* does a view stand on what was put away and stays so? */
static bool
stands_on_kept(List *pairs, List *put_away, Oid view)
{
	Oid			rule = get_rewrite_oid(view, ViewSelectRuleName, false);
	ListCell   *lc;

	foreach(lc, sv_catalog_references(RewriteRelationId, rule))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->refobjid != view &&
			is_kept(pairs, put_away, form->refclassid, form->refobjid))
			return true;
	}
	return false;
}

/* only what leaves nothing behind may go */
static void
narrow_pairs(List *pairs, List *put_away)
{
	bool		news;
	ListCell   *lc;

	do
	{
		news = false;
		foreach(lc, pairs)
		{
			Pair	   *pair = lfirst(lc);

			if (!pair->same)
				continue;
			if (is_in_use(pairs, pair, pair->old->class_id,
						  pair->old->object) ||
				(pair->text && stands_on_kept(pairs, put_away,
											  pair->old->object)))
			{
				pair->same = false;
				news = true;
			}
		}
	} while (news);
}

static void
drop_pairs(List *pairs)
{
	ObjectAddresses *addresses = new_object_addresses();
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);
		ObjectAddress address;

		if (!pair->same)
			continue;
		sv_contract_move(pair->old->class_id, pair->old->object, pair->twin);
		ObjectAddressSet(address, pair->old->class_id, pair->old->object);
		add_exact_object_address(&address, addresses);
	}
	performMultipleDeletions(addresses, DROP_RESTRICT,
							 PERFORM_DELETION_INTERNAL |
							 PERFORM_DELETION_QUIETLY);
	free_object_addresses(addresses);
	CommandCounterIncrement();
}

/*
 * Unique keys
 */

static bool
is_plain_unique(Form_pg_index form, HeapTuple tuple)
{
	return form->indisunique && form->indisvalid &&
		heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL);
}

/* the key columns of an index that is plainly unique, NIL for others */
static List *
unique_columns(Oid index, bool *immediate)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	List	   *columns = NIL;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	form = (Form_pg_index) GETSTRUCT(tuple);
	*immediate = form->indimmediate;
	for (int i = 0; is_plain_unique(form, tuple) && i < form->indnkeyatts; i++)
	{
		if (!sv_contract_is_mark(form->indrelid, form->indkey.values[i]))
			columns = lappend_int(columns, form->indkey.values[i]);
	}
	ReleaseSysCache(tuple);
	list_sort(columns, list_int_cmp);
	return columns;
}

/* is there another index, in plain sight, that is unique in the same way? */
static bool
is_made_again(Oid index)
{
	Relation	table = relation_open(IndexGetRelation(index, false),
									  AccessShareLock);
	bool		immediate;
	bool		other_immediate;
	List	   *columns = unique_columns(index, &immediate);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, columns ? RelationGetIndexList(table) : NIL)
	{
		Oid			other = lfirst_oid(lc);

		found |= other != index && !sv_is_hidden(get_rel_name(other)) &&
			equal(columns, unique_columns(other, &other_immediate)) &&
			immediate == other_immediate;
	}
	relation_close(table, NoLock);
	return found;
}

/* drop a unique key that was put away if there is such a one again */
static void
settle_unique(const SvPutAway *old)
{
	Oid			index = sv_key_index(old->class_id, old->object);
	Pair		pair = {old, InvalidOid, NULL, false};
	SvPutAway	whole = *old;
	Oid			table;

	if (!OidIsValid(index) || get_rel_name(index) == NULL ||
		!sv_is_hidden(get_rel_name(index)) || !is_made_again(index))
		return;
	table = IndexGetRelation(index, false);
	whole.object = table;
	pair.old = &whole;
	if (is_in_use(NIL, &pair, RelationRelationId, index) ||
		is_in_use(NIL, &pair, old->class_id, old->object))
		return;
	sv_contract_touch(RelationRelationId, table);
	sv_key_drop(old->class_id, old->object);
	sv_contract_touch_dropped(old->class_id, old->object);
}

static bool
is_unique_key(const SvPutAway *old)
{
	char		relkind;

	if (old->class_id != RelationRelationId)
		return old->class_id == ConstraintRelationId;
	relkind = get_rel_relkind(old->object);
	return relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX;
}

static bool
same_function(Oid a, Oid b)
{
	return sv_standin_same_function(sv_standin_read_function(a),
									sv_standin_read_function(b));
}

/*
 * The script has run: drop what was put away and stands there again just as
 * it was, and link the contracts to that.  "put_away" is a list of SvPutAway,
 * some of which may have been undone.
 */
void
sv_settle_put_away(List *put_away)
{
	int			nestlevel;
	List	   *pairs;
	ListCell   *lc;

	if (put_away == NIL)
		return;
	nestlevel = sv_contract_enter();
	pairs = find_pairs(put_away);
	if (pairs != NIL)
		compare_views(pairs);
	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);

		if (pair->old->class_id == ProcedureRelationId)
			pair->same = same_function(pair->old->object, pair->twin);
	}
	narrow_pairs(pairs, put_away);
	drop_pairs(pairs);
	foreach(lc, put_away)
	{
		if (is_unique_key(lfirst(lc)))
			settle_unique(lfirst(lc));
	}
	sv_contract_leave(nestlevel);
}

/*
 * Does anything depend on what was put away, but for compatibility views?
 */
bool
sv_settle_is_in_use(Oid class_id, Oid object)
{
	SvPutAway	old = {class_id, object, InvalidOid, ""};
	Pair		pair = {&old, InvalidOid, NULL, false};

	return is_in_use(NIL, &pair, class_id, object);
}
