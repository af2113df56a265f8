/*-------------------------------------------------------------------------
 *
 * refcheck.c
 *	  What a writer's version is held to by a foreign key that its tables have
 *	  lost.
 *
 * The triggers that refer.c makes call what is here, on both sides of the key.
 * A row that comes must find its parent, and a parent that goes must leave no
 * row behind, or take it along, just as the server does it for a foreign key
 * that is there: the rows that are found are locked FOR KEY SHARE, and an
 * action is done as the owner of the table.  Errors are those of the version,
 * in its names.  What the newest version has left without a parent is not in
 * the way of who does not change it.
 *
 * A row is looked for by the extension's owner, since the owner of a table need
 * not reach the schema of what is retained.  Nothing but an operator for which
 * there is an operator class can be called by that.  An action goes through
 * the version's view, if it has one of the table.
 *
 * All there is to know stands in the triggers' arguments, in the names that
 * versions have for tables and columns, so that it is dumped and restored with
 * them: the product, the words of the key, and then, for each way in which it
 * is called, that and the versions.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(schemaver_hold_reference);
PG_FUNCTION_INFO_V1(schemaver_hold_referenced);

/* the arguments of a trigger before the names, and those of each name */
#define FIXED_ARGUMENTS		4
#define NAME_ARGUMENTS		7

/* what is looked for, or done */
typedef enum PlanKind
{
	PLAN_PARENT,				/* is there a row that is referred to? */
	PLAN_CHILD,					/* is there one that refers? */
	PLAN_UPDATE,				/* what becomes of those if it changes */
	PLAN_DELETE					/* or goes */
} PlanKind;

#define NPLANS		(PLAN_DELETE + 1)
#define is_action(kind) ((kind) == PLAN_UPDATE || (kind) == PLAN_DELETE)

/* which trigger, and for whom */
typedef struct KnownKey
{
	Oid			trigger;
	int32		release_id;
	int			argument;		/* where the name of the key begins */
} KnownKey;

/*
 * A key as a version knows it, for the table or partition of a trigger, in a
 * context of its own.  Code that runs in a statement of its may come back to
 * it, and find that something has changed: it is kept for who uses it, while
 * another one takes its place.
 */
typedef struct Known
{
	KnownKey	id;
	int			users;
	bool		is_replaced;
	bool		is_valid;		/* nothing has changed since it was read */
	bool		is_read;		/* reading it has ended, and not in an error */
	bool		is_usable;		/* nothing of it is gone */
	MemoryContext context;
	Oid			table;			/* of the trigger, and its root */
	Oid			root;
	SvForeignKey key;
	const SvKeyName *name;
	bool		is_parent;		/* the trigger's table is what is referred to */
	char	   *action_table;	/* where an action is done, quoted */
	int			n;
	AttrNumber	own[INDEX_MAX_KEYS];	/* columns of the trigger's table */
	Oid			types[INDEX_MAX_KEYS];
	SPIPlanPtr	plans[NPLANS];
} Known;

typedef struct KnownEntry
{
	KnownKey	id;
	Known	   *known;
} KnownEntry;

static HTAB *all_known = NULL;

/* the extension's owner, in one transaction */
static struct
{
	LocalTransactionId transaction;
	Oid			role;
}			owner;

/*
 * Arguments
 */

static char *
array_text(List *strings)
{
	Datum	   *values = palloc(sizeof(Datum) * (list_length(strings) + 1));
	ListCell   *lc;

	foreach(lc, strings)
		values[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return OidOutputFunctionCall(F_ARRAY_OUT,
								 PointerGetDatum(construct_array(values,
																 list_length(strings),
																 TEXTOID, -1, false,
																 TYPALIGN_INT)));
}

/*
 * What the triggers of a key have as arguments, given a list of SvKeyName: a
 * list of char *.
 */
List *
sv_refcheck_arguments(const char *product, const SvForeignKey *key,
					  List *names)
{
	List	   *arguments = list_make4(pstrdup(product),
									   psprintf("%c", key->match),
									   psprintf("%c", key->on_update),
									   psprintf("%c", key->on_delete));
	ListCell   *lc;

	foreach(lc, names)
	{
		const SvKeyName *name = lfirst(lc);

		arguments = lappend(arguments, name->name);
		arguments = lappend(arguments, sv_hold_versions_text(name->versions));
		arguments = lappend(arguments, array_text(name->table));
		arguments = lappend(arguments, array_text(name->columns));
		arguments = lappend(arguments, array_text(name->referenced));
		arguments = lappend(arguments, array_text(name->referenced_columns));
		arguments = lappend(arguments, array_text(name->set_columns));
	}
	return arguments;
}

static SvKeyName *
read_name(char **arguments)
{
	SvKeyName  *name = palloc(sizeof(SvKeyName));

	name->name = pstrdup(arguments[0]);
	name->versions = sv_hold_versions(arguments[1]);
	name->table = sv_hold_versions(arguments[2]);
	name->columns = sv_hold_versions(arguments[3]);
	name->referenced = sv_hold_versions(arguments[4]);
	name->referenced_columns = sv_hold_versions(arguments[5]);
	name->set_columns = sv_hold_versions(arguments[6]);
	return name;
}

/* the words of the key that a trigger is for */
static void
read_words(const Trigger *trigger, SvForeignKey *key)
{
	memset(key, 0, sizeof(SvForeignKey));
	key->match = trigger->tgargs[1][0];
	key->on_update = trigger->tgargs[2][0];
	key->on_delete = trigger->tgargs[3][0];
	key->deferrable = trigger->tgdeferrable;
	key->deferred = trigger->tginitdeferred;
}

/*
 * What a trigger's arguments say: a list of SvKeyName, and the words of the
 * key, for sv_refcheck_resolve() to find its columns.
 */
List *
sv_refcheck_names(const Trigger *trigger, SvForeignKey *key)
{
	List	   *names = NIL;

	if (trigger->tgnargs < FIXED_ARGUMENTS)
		return NIL;
	read_words(trigger, key);
	for (int i = FIXED_ARGUMENTS; i + NAME_ARGUMENTS <= trigger->tgnargs;
		 i += NAME_ARGUMENTS)
		names = lappend(names, read_name(trigger->tgargs + i));
	return names;
}

/*
 * Where a key is now
 */

static const SvEntry *
find_entry(const SvRelease *release, List *name)
{
	for (int i = 0; i < release->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry_alone(release->entries[i]);

		if (sv_contract_is_table(entry->kind) &&
			strcmp(entry->schema, linitial(name)) == 0 &&
			strcmp(entry->name, lsecond(name)) == 0)
			return sv_catalog_entry(entry->id);
	}
	return NULL;
}

/* a table that a release calls so, or that it does not know; or InvalidOid */
static Oid
find_table(const SvRelease *release, List *name, const SvEntry **entry)
{
	Oid			schema;

	if (list_length(name) != 2)
		return InvalidOid;
	*entry = find_entry(release, name);
	if (*entry)
		return get_rel_name((*entry)->physical) ? (*entry)->physical :
			InvalidOid;
	schema = get_namespace_oid(linitial(name), true);
	return OidIsValid(schema) ? get_relname_relid(lsecond(name), schema) :
		InvalidOid;
}

/* the numbers of columns that a release calls so; false if one is gone */
static bool
find_columns(const SvEntry *entry, Oid table, List *names, List **numbers)
{
	ListCell   *ln;
	ListCell   *lc;

	*numbers = NIL;
	foreach(ln, names)
	{
		AttrNumber	number = entry ? 0 : get_attnum(table, lfirst(ln));

		foreach(lc, entry ? entry->columns : NIL)
		{
			if (strcmp(((SvPart *) lfirst(lc))->name, lfirst(ln)) == 0)
				number = ((SvPart *) lfirst(lc))->number;
		}
		if (number <= 0 || get_attname(table, number, true) == NULL)
			return false;
		*numbers = lappend_int(*numbers, number);
	}
	return true;
}

/*
 * Find the tables and columns of a key that a release calls so.  False if
 * anything of it is gone.
 */
bool
sv_refcheck_resolve(const SvRelease *release, const SvKeyName *name,
					SvForeignKey *key)
{
	const SvEntry *entry;
	const SvEntry *other;

	key->relation = find_table(release, name->table, &entry);
	key->referenced = find_table(release, name->referenced, &other);
	return OidIsValid(key->relation) && OidIsValid(key->referenced) &&
		find_columns(entry, key->relation, name->columns, &key->columns) &&
		find_columns(entry, key->relation, name->set_columns,
					 &key->set_columns) &&
		find_columns(other, key->referenced, name->referenced_columns,
					 &key->referenced_columns) &&
		list_length(key->columns) == list_length(key->referenced_columns) &&
		list_length(key->columns) <= INDEX_MAX_KEYS;
}

/*
 * What is known of a key
 */

/* some table has changed: what is known of its keys is not to be relied on */
static void
forget_table(Datum arg pg_attribute_unused(), Oid relation)
{
	HASH_SEQ_STATUS status;
	KnownEntry *entry;

	hash_seq_init(&status, all_known);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		Known	   *known = entry->known;

		if (known == NULL)
			continue;
		if (!OidIsValid(relation) || relation == known->table ||
			relation == known->root || relation == known->key.relation ||
			relation == known->key.referenced)
			known->is_valid = false;
	}
}

static void
forget_plan(Known *known, PlanKind kind)
{
	if (known->plans[kind])
		SPI_freeplan(known->plans[kind]);
	known->plans[kind] = NULL;
}

static void
forget_known(Known *known)
{
	for (PlanKind kind = 0; kind < NPLANS; kind++)
		forget_plan(known, kind);
	MemoryContextDelete(known->context);
}

/* the triggers of what has changed may be gone, and never come back to it */
static void
forget_changed(void)
{
	HASH_SEQ_STATUS status;
	KnownEntry *entry;

	hash_seq_init(&status, all_known);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (entry->known == NULL || entry->known->is_valid ||
			entry->known->users > 0)
			continue;
		forget_known(entry->known);
		hash_search(all_known, &entry->id, HASH_REMOVE, NULL);
	}
}

static KnownEntry *
enter_known(KnownKey id)
{
	KnownEntry *entry;
	bool		found;

	if (all_known == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(KnownKey);
		control.entrysize = sizeof(KnownEntry);
		control.hcxt = CacheMemoryContext;
		all_known = hash_create("schemaver references", 16, &control,
								HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		CacheRegisterRelcacheCallback(forget_table, (Datum) 0);
	}
	entry = hash_search(all_known, &id, HASH_ENTER, &found);
	if (!found)
	{
		entry->known = NULL;
		forget_changed();
	}
	return entry;
}

/* put an empty one in the place of what is known, if anything is */
static Known *
replace_known(KnownEntry *entry)
{
	MemoryContext context = AllocSetContextCreate(CacheMemoryContext,
												  "schemaver reference",
												  ALLOCSET_SMALL_SIZES);
	Known	   *known = MemoryContextAllocZero(context, sizeof(Known));
	Known	   *former = entry->known;

	known->id = entry->id;
	known->context = context;
	entry->known = known;
	if (former && former->users > 0)
		former->is_replaced = true;
	else if (former)
		forget_known(former);
	return known;
}

/* the words for all rows of a table, and only its own */
static char *
only_rows_of(Oid table)
{
	return psprintf("%s%s",
					get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE ?
					"" : "ONLY ", sv_catalog_relation_name(table));
}

/* the table under which the version itself would write to it, quoted */
static char *
name_for_action(const SvProduct *product, const SvRelease *release,
				const Known *known)
{
	const SvEntry *entry = sv_catalog_entry_of(release, known->key.relation);
	ListCell   *lb;
	ListCell   *lv;

	forboth(lb, product->schemas, lv, release->schemas)
	{
		Oid			schema = entry && strcmp(lfirst(lb), entry->schema) == 0 ?
		get_namespace_oid(lfirst(lv), true) : InvalidOid;

		if (OidIsValid(schema) &&
			OidIsValid(get_relname_relid(entry->name, schema)))
			return quote_qualified_identifier(lfirst(lv), entry->name);
	}
	return only_rows_of(known->key.relation);
}

/* find the columns of the trigger's own table that a row is looked up by */
static bool
find_own_columns(Known *known, List *columns)
{
	ListCell   *lc;

	known->n = 0;
	foreach(lc, columns)
	{
		char	   *column = get_attname(known->root, lfirst_int(lc), true);
		AttrNumber	number = column ? get_attnum(known->table, column) : 0;

		if (number <= 0)
			return false;
		known->types[known->n] = getBaseType(get_atttype(known->table, number));
		known->own[known->n++] = number;
	}
	return true;
}

static void
fill_known(Known *known, const SvRelease *release, Relation relation,
		   const Trigger *trigger)
{
	bool		is_parent = known->is_parent;
	MemoryContext context = MemoryContextSwitchTo(known->context);

	known->table = RelationGetRelid(relation);
	known->root = sv_hold_table(relation);
	read_words(trigger, &known->key);
	known->name = read_name(trigger->tgargs + known->id.argument);
	known->is_usable =
		sv_catalog_has_text(known->name->versions,
							sv_version_text(release->version)) &&
		sv_refcheck_resolve(release, known->name, &known->key) &&
		known->root == (is_parent ? known->key.referenced :
						known->key.relation) &&
		find_own_columns(known, is_parent ? known->key.referenced_columns :
						 known->key.columns);
	if (known->is_usable && is_parent)
		known->action_table =
			name_for_action(sv_catalog_product(trigger->tgargs[0], false),
							release, known);
	MemoryContextSwitchTo(context);
}

/*
 * The key that a trigger is for, in the names that its argument of that number
 * begins, for the version that has written; NULL if that has not got it under
 * these, or not any more.
 */
static Known *
look_up_key(const TriggerData *trigdata, int32 release_id, int argument,
			bool is_parent)
{
	KnownEntry *entry = enter_known((KnownKey)
									{trigdata->tg_trigger->tgoid, release_id,
									argument});
	Known	   *known = entry->known;
	SvProduct  *product;
	SvRelease  *release;

	if (known && known->is_valid && known->is_read)
		return known->is_usable ? known : NULL;
	known = replace_known(entry);

	/* before anything is read, so that what changes meanwhile is noticed */
	known->is_valid = true;
	known->is_parent = is_parent;
	product = sv_catalog_product(trigdata->tg_trigger->tgargs[0], true);
	release = product ? sv_catalog_release(product, release_id) : NULL;
	if (release)
		fill_known(known, release, trigdata->tg_relation,
				   trigdata->tg_trigger);
	known->is_read = true;
	return known->is_usable ? known : NULL;
}

/*
 * Statements
 */

/*
 * Append that a column of the parent and one of the child are equal, by the
 * operator that a foreign key would have.
 */
static void
append_equal(StringInfo text, Oid parent_type, const char *parent,
			 Oid child_type, const char *child)
{
	TypeCacheEntry *cached = lookup_type_cache(parent_type,
											   TYPECACHE_BTREE_OPFAMILY |
											   TYPECACHE_EQ_OPR);
	Oid			operator = OidIsValid(cached->btree_opf) ?
	get_opfamily_member(cached->btree_opf, cached->btree_opintype, child_type,
						BTEqualStrategyNumber) : InvalidOid;
	HeapTuple	tuple;
	Form_pg_operator form;
	bool		casts = !OidIsValid(operator);

	tuple = SearchSysCache1(OPEROID,
							ObjectIdGetDatum(casts ? cached->eq_opr : operator));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "type %u has no equality operator", parent_type);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(text, "%s OPERATOR(%s.%s) %s", parent,
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname), child);
	if (casts)
		appendStringInfo(text, "::%s",
						 format_type_extended(parent_type, -1,
							  FORMAT_TYPE_TYPEMOD_GIVEN |
							  FORMAT_TYPE_FORCE_QUALIFY));
	ReleaseSysCache(tuple);
}

/* the WHERE of what finds the rows of one side by values of the other */
static void
append_condition(StringInfo text, const Known *known, bool of_parent,
				 List *names)
{
	const SvForeignKey *key = &known->key;
	ListCell   *lc;
	ListCell   *lp;

	forboth(lc, key->columns, lp, key->referenced_columns)
	{
		int			i = foreach_current_index(lc);
		Oid			child_type = getBaseType(get_atttype(key->relation,
														 lfirst_int(lc)));
		Oid			parent_type = getBaseType(get_atttype(key->referenced,
														  lfirst_int(lp)));
		char	   *value = psprintf("$%d", i + 1);
		char	   *column = psprintf("x.%s",
									  quote_identifier(names ?
													   list_nth(names, i) :
													   get_attname(of_parent ? key->referenced : key->relation,
																   of_parent ? lfirst_int(lp) : lfirst_int(lc),
																   false)));

		/* a parent may look for its like */
		if (of_parent && known->is_parent)
			child_type = parent_type;
		appendStringInfoString(text, i ? " AND " : " WHERE ");
		append_equal(text, parent_type, of_parent ? column : value,
					 child_type, of_parent ? value : column);
	}
}

/* what becomes of rows that refer to one that goes or changes */
static void
append_action(StringInfo text, const Known *known, PlanKind kind)
{
	const SvKeyName *name = known->name;
	char		action = kind == PLAN_DELETE ? known->key.on_delete :
	known->key.on_update;
	List	   *columns = kind == PLAN_DELETE && name->set_columns != NIL ?
	name->set_columns : name->columns;
	ListCell   *lc;

	if (action == FKCONSTR_ACTION_CASCADE && kind == PLAN_DELETE)
	{
		appendStringInfo(text, "DELETE FROM %s AS x", known->action_table);
		return;
	}
	appendStringInfo(text, "UPDATE %s AS x SET", known->action_table);
	foreach(lc, columns)
	{
		int			i = foreach_current_index(lc);

		appendStringInfo(text, "%s %s = ", i ? "," : "",
						 quote_identifier(lfirst(lc)));
		if (action == FKCONSTR_ACTION_CASCADE)
			appendStringInfo(text, "$%d", known->n + i + 1);
		else
			appendStringInfoString(text, action == FKCONSTR_ACTION_SETNULL ?
								   "NULL" : "DEFAULT");
	}
}

static char *
plan_text(const Known *known, PlanKind kind)
{
	const SvForeignKey *key = &known->key;
	StringInfoData text;

	initStringInfo(&text);
	if (is_action(kind))
		append_action(&text, known, kind);
	else
		appendStringInfo(&text, "SELECT 1 FROM %s AS x",
						 only_rows_of(kind == PLAN_PARENT ?
									  key->referenced : key->relation));
	append_condition(&text, known, kind == PLAN_PARENT,
					 is_action(kind) ? known->name->columns : NIL);
	if (!is_action(kind))
		appendStringInfoString(&text, " FOR KEY SHARE OF x");
	return text.data;
}

/* the plan of a statement, which takes the row before and the one after */
static SPIPlanPtr
plan_for(Known *known, PlanKind kind)
{
	Oid			types[INDEX_MAX_KEYS * 2];

	if (known->plans[kind] &&
		(known->users > 1 || SPI_plan_is_valid(known->plans[kind])))
		return known->plans[kind];
	forget_plan(known, kind);
	for (int i = 0; i < known->n; i++)
		types[i] = types[known->n + i] = known->types[i];
	known->plans[kind] = SPI_prepare(plan_text(known, kind), known->n * 2, types);
	if (known->plans[kind] == NULL || SPI_keepplan(known->plans[kind]) != 0)
		elog(ERROR, "could not prepare the lookup of a foreign key: %s",
			 SPI_result_code_string(SPI_result));
	return known->plans[kind];
}

static Oid
extension_owner(void)
{
	if (owner.transaction != MyProc->lxid)
		owner.role = sv_catalog_owner();
	owner.transaction = MyProc->lxid;
	return owner.role;
}

/* the values of the key in two rows, the second one of which may be NULL */
static void
read_values(const Known *known, TupleTableSlot *before, TupleTableSlot *after,
			Datum *values, char *nulls)
{
	bool		isnull;

	for (int i = 0; i < known->n * 2; i++)
	{
		TupleTableSlot *row = i < known->n || after == NULL ? before : after;

		values[i] = slot_getattr(row, known->own[i % known->n], &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
}

/*
 * Look for a row, or do what is to be done with those that refer to one.
 * Returns whether there was any.  Rows that a transaction's snapshot does not
 * show are found as well where they refer to what goes, and are an error then,
 * as with the server's own keys.
 */
static bool
run_plan(Known *known, PlanKind kind, TupleTableSlot *before,
		 TupleTableSlot *after)
{
	Datum		values[INDEX_MAX_KEYS * 2];
	char		nulls[INDEX_MAX_KEYS * 2];
	Snapshot	test = InvalidSnapshot;
	Snapshot	crosscheck = InvalidSnapshot;
	SPIPlanPtr	plan;
	SvIdentity	identity;
	bool		found;
	int			result;

	read_values(known, before, after, values, nulls);
	GetUserIdAndSecContext(&identity.user, &identity.context);
	SetUserIdAndSecContext(is_action(kind) ?
						   sv_catalog_relation_owner(known->key.relation) :
						   extension_owner(),
						   identity.context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	SPI_connect();
	plan = plan_for(known, kind);
	if (IsolationUsesXactSnapshot() && kind != PLAN_PARENT)
	{
		CommandCounterIncrement();
		test = GetLatestSnapshot();
		crosscheck = GetTransactionSnapshot();
	}
	result = SPI_execute_snapshot(plan, values, nulls, test, crosscheck,
								  false, false, is_action(kind) ? 0 : 1);
	if (result < 0)
		elog(ERROR, "could not look up a foreign key: %s",
			 SPI_result_code_string(result));
	found = SPI_processed > 0;
	SPI_finish();
	sv_catalog_become_caller(&identity);
	return found;
}

/*
 * Errors
 */

/* may the caller see the key of the row that he has written? */
static bool
may_see_key(const Known *known, Relation relation)
{
	Oid			table = RelationGetRelid(relation);

	if (check_enable_rls(table, InvalidOid, true) == RLS_ENABLED)
		return false;
	if (pg_class_aclcheck(table, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < known->n; i++)
	{
		if (pg_attribute_aclcheck(table, known->own[i], GetUserId(),
								  ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

/* "(a, b)=(1, 2)", in the names that the version has */
static char *
key_text(const Known *known, TupleTableSlot *row)
{
	List	   *names = known->is_parent ? known->name->referenced_columns :
	known->name->columns;
	StringInfoData shown;
	StringInfoData values;
	ListCell   *lc;

	initStringInfo(&shown);
	initStringInfo(&values);
	foreach(lc, names)
	{
		int			i = foreach_current_index(lc);
		bool		isnull;
		Datum		value = slot_getattr(row, known->own[i], &isnull);
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(known->types[i], &output, &varlena);
		appendStringInfo(&shown, "%s%s", i ? ", " : "", (char *) lfirst(lc));
		appendStringInfo(&values, "%s%s", i ? ", " : "", isnull ? "null" :
						 OidOutputFunctionCall(output, value));
	}
	return psprintf("(%s)=(%s)", shown.data, values.data);
}

/* the names that the error has as fields */
static int
errkey(const Known *known, const char *table)
{
	err_generic_string(PG_DIAG_SCHEMA_NAME, linitial(known->name->table));
	err_generic_string(PG_DIAG_TABLE_NAME, table);
	return err_generic_string(PG_DIAG_CONSTRAINT_NAME, known->name->name);
}

/* of a partition it is the partition that errors name */
static const char *
shown_name(Relation relation, List *name)
{
	return relation->rd_rel->relispartition ?
		RelationGetRelationName(relation) : lsecond(name);
}

static void
refuse_child(const Known *known, Relation relation, TupleTableSlot *row,
			 bool is_mixed)
{
	const char *table = shown_name(relation, known->name->table);
	const char *parent = lsecond(known->name->referenced);

	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("insert or update on table \"%s\" violates foreign key constraint \"%s\"",
					table, known->name->name),
			 is_mixed ?
			 errdetail("MATCH FULL does not allow mixing of null and nonnull key values.") :
			 may_see_key(known, relation) ?
			 errdetail("Key %s is not present in table \"%s\".",
					   key_text(known, row), parent) :
			 errdetail("Key is not present in table \"%s\".", parent),
			 errkey(known, table)));
}

static void
refuse_parent(const Known *known, Relation relation, TupleTableSlot *row)
{
	const char *child = lsecond(known->name->table);

	ereport(ERROR,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg("update or delete on table \"%s\" violates foreign key constraint \"%s\" on table \"%s\"",
					shown_name(relation, known->name->referenced),
					known->name->name, child),
			 may_see_key(known, relation) ?
			 errdetail("Key %s is still referenced from table \"%s\".",
					   key_text(known, row), child) :
			 errdetail("Key is still referenced from table \"%s\".", child),
			 errkey(known, child)));
}

/*
 * A row that refers
 */

static int
count_nulls(const Known *known, TupleTableSlot *row)
{
	int			nulls = 0;

	for (int i = 0; i < known->n; i++)
		nulls += slot_attisnull(row, known->own[i]) ? 1 : 0;
	return nulls;
}

/* is one value of the key the same in both rows? */
static bool
is_same_value(const Known *known, int i, TupleTableSlot *before,
			  TupleTableSlot *after)
{
	Form_pg_attribute attribute =
	TupleDescAttr(before->tts_tupleDescriptor, known->own[i] - 1);
	TypeCacheEntry *cached;
	bool		old_null;
	bool		new_null;
	Datum		old = slot_getattr(before, known->own[i], &old_null);
	Datum		new = slot_getattr(after, known->own[i], &new_null);

	if (old_null || new_null)
		return old_null && new_null;
	if (datum_image_eq(old, new, attribute->attbyval, attribute->attlen))
		return true;

	/* who refers to a parent may do so by what looks otherwise */
	if (known->is_parent)
		return false;
	cached = lookup_type_cache(known->types[i], TYPECACHE_EQ_OPR_FINFO);
	return OidIsValid(cached->eq_opr_finfo.fn_oid) &&
		DatumGetBool(FunctionCall2Coll(&cached->eq_opr_finfo,
									   attribute->attcollation, old, new));
}

static bool
is_same_key(const Known *known, TupleTableSlot *before, TupleTableSlot *after)
{
	for (int i = 0; i < known->n; i++)
	{
		if (!is_same_value(known, i, before, after))
			return false;
	}
	return true;
}

/* the key of a row that goes from one partition to another, as a short name */
static char *
moving_key(const Known *known, TupleTableSlot *row)
{
	uint32		hash = 0;

	for (int i = 0; i < known->n; i++)
	{
		Form_pg_attribute attribute =
		TupleDescAttr(row->tts_tupleDescriptor, known->own[i] - 1);
		bool		isnull;
		Datum		value = slot_getattr(row, known->own[i], &isnull);

		if (!isnull)
			hash = hash_combine(hash, datum_image_hash(value,
													   attribute->attbyval,
													   attribute->attlen));
		else
			hash = hash_combine(hash, 1);
	}
	return psprintf("%08x %.40s", hash, known->name->name);
}

/*
 * Has this transaction made a row itself, so that a deferred check may not have
 * looked at its key?
 */
static bool
may_be_unchecked(const TriggerData *trigdata)
{
	bool		isnull;

	return trigdata->tg_trigger->tgdeferrable &&
		TransactionIdIsCurrentTransactionId(DatumGetTransactionId(slot_getsysattr(trigdata->tg_trigslot,
																				  MinTransactionIdAttributeNumber,
																				  &isnull)));
}

/* has the row a key that it had before, and that has been looked at? */
static bool
keeps_key(const Known *known, const TriggerData *trigdata)
{
	TupleTableSlot *row = trigdata->tg_trigslot;

	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		return trigdata->tg_relation->rd_rel->relispartition &&
			sv_hold_was_taken_out(known->root, moving_key(known, row));
	return !may_be_unchecked(trigdata) &&
		is_same_key(known, row, trigdata->tg_newslot);
}

/* has the row of a DELETE gone to another partition? */
static bool
is_moved_row(const TriggerData *trigdata)
{
	return HeapTupleHeaderIndicatesMovedPartitions(trigdata->tg_trigtuple->t_data);
}

static void
check_child(Known *known, const TriggerData *trigdata)
{
	Relation	relation = trigdata->tg_relation;
	TupleTableSlot *row = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
	trigdata->tg_newslot : trigdata->tg_trigslot;
	int			nulls = count_nulls(known, row);

	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
	{
		if (is_moved_row(trigdata) && !may_be_unchecked(trigdata))
			sv_hold_note_taken_out(known->root, moving_key(known, row));
		return;
	}
	if (keeps_key(known, trigdata) || nulls == known->n ||
		(nulls > 0 && known->key.match != FKCONSTR_MATCH_FULL))
		return;

	/* a deferred check may come when the row is no more */
	if (!table_tuple_satisfies_snapshot(relation, row, SnapshotSelf))
		return;
	if (nulls > 0 || !run_plan(known, PLAN_PARENT, row, NULL))
		refuse_child(known, relation, row, nulls > 0);
}

/*
 * A row that is referred to
 */

/*
 * It has gone, or has another key.  One that has gone to another partition has
 * but changed; which key it has got there nobody says, so that no row can
 * follow it.
 */
static void
check_parent(Known *known, const TriggerData *trigdata)
{
	bool		is_delete = TRIGGER_FIRED_BY_DELETE(trigdata->tg_event);
	bool		is_moved = is_delete && is_moved_row(trigdata);
	TupleTableSlot *row = trigdata->tg_trigslot;
	TupleTableSlot *after = is_delete ? NULL : trigdata->tg_newslot;
	char		action = is_delete && !is_moved ? known->key.on_delete :
	known->key.on_update;

	if (is_moved && action == FKCONSTR_ACTION_CASCADE)
		action = FKCONSTR_ACTION_RESTRICT;
	if (count_nulls(known, row) > 0 ||
		(after && is_same_key(known, row, after)))
		return;

	/* it may be the same in another partition, or there may be another one */
	if ((is_delete || action == FKCONSTR_ACTION_NOACTION) &&
		run_plan(known, PLAN_PARENT, row, NULL))
		return;
	if (action != FKCONSTR_ACTION_NOACTION &&
		action != FKCONSTR_ACTION_RESTRICT)
		(void) run_plan(known, is_moved || !is_delete ? PLAN_UPDATE :
						PLAN_DELETE, row, after);

	/* the default may be what has gone */
	if ((action == FKCONSTR_ACTION_NOACTION ||
		 action == FKCONSTR_ACTION_RESTRICT ||
		 action == FKCONSTR_ACTION_SETDEFAULT) &&
		run_plan(known, PLAN_CHILD, row, NULL))
		refuse_parent(known, trigdata->tg_relation, row);
}

/*
 * Triggers
 */

static void
leave_known(Known *known)
{
	if (--known->users == 0 && known->is_replaced)
		forget_known(known);
}

/* what is known may be replaced while a row is looked at, but not go */
static void
check_key(Known *known, const TriggerData *trigdata)
{
	known->users++;
	PG_TRY();
	{
		if (known->is_parent)
			check_parent(known, trigdata);
		else
			check_child(known, trigdata);
	}
	PG_CATCH();
	{
		leave_known(known);
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave_known(known);
}

/* the command of this transaction that has written a row, or taken it away */
static CommandId
command_of(const TriggerData *trigdata, bool is_parent)
{
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);

	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ||
		(is_parent && is_update))
		return HeapTupleHeaderGetCmax(trigdata->tg_trigtuple->t_data);
	return HeapTupleHeaderGetCmin(is_update ?
								  trigdata->tg_newtuple->t_data :
								  trigdata->tg_trigtuple->t_data);
}

/*
 * The id of the release of the key's product under which a row was written; or
 * 0.  A check that was deferred may come when the session is not registered
 * any more, or under another version; what it was then is what counts.
 */
static int32
writer_of(const TriggerData *trigdata, bool is_parent)
{
	const char *key_product = trigdata->tg_trigger->tgargs[0];
	const char *product;
	const SvVersion *version;
	int32		id;

	if (!trigdata->tg_trigger->tgdeferrable || !sv_registry_has_changed())
		return sv_hold_session(key_product);
	id = sv_registry_session_at(command_of(trigdata, is_parent), &product);
	if (id == 0 || strcmp(product, key_product) != 0)
		return 0;
	return id == sv_registry_session(&product, &version) ?
		sv_hold_session(key_product) : id;
}

/* see to the key of a trigger in each name that the writer's version has */
static void
check_row(const TriggerData *trigdata, bool is_parent)
{
	const Trigger *trigger = trigdata->tg_trigger;
	int32		release_id = writer_of(trigdata, is_parent);

	for (int i = FIXED_ARGUMENTS;
		 release_id && i + NAME_ARGUMENTS <= trigger->tgnargs;
		 i += NAME_ARGUMENTS)
	{
		Known	   *known = look_up_key(trigdata, release_id, i, is_parent);

		if (known)
			check_key(known, trigdata);
	}
}

/* refuse to truncate a table that another one refers to by a trigger's key */
static void
check_truncate(Relation relation, const Trigger *trigger, List *truncated)
{
	SvRelease  *release = sv_registry_session_release();
	SvForeignKey key;
	ListCell   *lc;

	foreach(lc, sv_refcheck_names(trigger, &key))
	{
		SvKeyName  *name = lfirst(lc);

		if (!sv_catalog_has_text(name->versions,
								 sv_version_text(release->version)) ||
			!sv_refcheck_resolve(release, name, &key) ||
			key.referenced != sv_hold_table(relation) ||
			list_member_oid(truncated, key.relation))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot truncate a table referenced in a foreign key constraint"),
				 errdetail("Table \"%s\" references \"%s\".",
						   (char *) lsecond(name->table),
						   shown_name(relation, name->referenced)),
				 errhint("Truncate table \"%s\" at the same time.",
						 (char *) lsecond(name->table))));
	}
}

/*
 * This session is about to truncate tables, partitions included, which the
 * caller has locked: an error as the server's own if one is referred to by a
 * key that its version is held to, from a table that is not among them.
 */
void
sv_refcheck_truncate(List *relations)
{
	ListCell   *lc;

	foreach(lc, relations)
	{
		Relation	relation = relation_open(lfirst_oid(lc), NoLock);
		TriggerDesc *triggers = relation->trigdesc;

		for (int i = 0; triggers && i < triggers->numtriggers; i++)
		{
			const Trigger *trigger = &triggers->triggers[i];

			if (sv_is_refer_trigger(trigger->tgname) &&
				TRIGGER_FOR_DELETE(trigger->tgtype) &&
				!TRIGGER_FOR_INSERT(trigger->tgtype) &&
				trigger->tgnargs >= FIXED_ARGUMENTS &&
				sv_hold_session(trigger->tgargs[0]))
				check_truncate(relation, trigger, relations);
		}
		relation_close(relation, NoLock);
	}
}

/*
 * schemaver.hold_reference() returns trigger
 *
 * For AFTER INSERT OR UPDATE [OR DELETE] ... FOR EACH ROW, of the table that
 * has the foreign key.
 */
Datum
schemaver_hold_reference(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("schemaver.hold_reference() must be called by a trigger after insert, update or delete for each row")));
	check_row(trigdata, false);
	return PointerGetDatum(NULL);
}

/*
 * schemaver.hold_referenced() returns trigger
 *
 * For AFTER UPDATE and AFTER DELETE ... FOR EACH ROW, of the table that the
 * foreign key refers to.
 */
Datum
schemaver_hold_referenced(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("schemaver.hold_referenced() must be called by a trigger after update or delete for each row")));
	check_row(trigdata, true);
	return PointerGetDatum(NULL);
}
