/*-------------------------------------------------------------------------
 *
 * refer.c
 *	  Hold older versions to foreign keys that the newest is not held to.
 *
 * A foreign key goes with a column or table that a script drops, on either
 * side, so that the newest version is not held back.  To the versions that
 * have it, it is in force still: what they write fails as before, and what they
 * delete takes along what it did before.  So it is, after a rollback, to the
 * newer version whose foreign key the older one could not live with.
 *
 * Which versions are held follows from the contracts, as with CHECKs: see
 * check.c.  The table with the key gets a trigger for rows that come, the one
 * that it refers to gets one for those that change and one for those that go;
 * a partitioned table's first one is told of what goes as well, since rows move
 * from one partition to another.  All of them call refcheck.c, and only where
 * one of the versions writes.  Those of a deferrable key are constraint
 * triggers: SET CONSTRAINTS ALL sees them.
 *
 * A foreign key that a script drops while the columns on both sides stay is
 * relaxed for all.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "parser/parser.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* a foreign key as it was when a script dropped it */
typedef struct Dropped
{
	NameData	name;
	SvForeignKey key;
} Dropped;

/* those of one transaction, in its memory */
static struct
{
	LocalTransactionId transaction;
	List	   *keys;			/* of Dropped, the last one first */
}			dropped;

/* a foreign key of a version that its table has lost */
typedef struct Lost
{
	const SvRelease *release;
	const SvEntry *entry;
	const char *name;
	SvForeignKey key;
} Lost;

/* a foreign key that versions are held to */
typedef struct Bound
{
	SvForeignKey key;
	List	   *names;			/* of SvKeyName */
	int			number;			/* of those of one name, from 0 */
} Bound;

/* a trigger that a table must have */
typedef struct Wanted
{
	Oid			relation;
	char	   *name;
	const char *events;
	const char *function;
	int16		type;
	bool		deferrable;
	bool		deferred;
	List	   *versions;		/* char * */
	List	   *arguments;		/* char * */
} Wanted;

/*
 * Foreign keys that tables have lost
 */

static void
read_constraint(HeapTuple tuple, SvForeignKey *key)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];
	AttrNumber	set[INDEX_MAX_KEYS];
	int			n;
	int			nset;

	memset(key, 0, sizeof(SvForeignKey));
	DeconstructFkConstraintRow(tuple, &n, columns, referenced, NULL, NULL,
							   NULL, &nset, set);
	key->relation = form->conrelid;
	key->referenced = form->confrelid;
	for (int i = 0; i < n; i++)
	{
		key->columns = lappend_int(key->columns, columns[i]);
		key->referenced_columns = lappend_int(key->referenced_columns,
											  referenced[i]);
	}
	for (int i = 0; i < nset; i++)
		key->set_columns = lappend_int(key->set_columns, set[i]);
	key->match = form->confmatchtype;
	key->on_update = form->confupdtype;
	key->on_delete = form->confdeltype;
	key->deferrable = form->condeferrable;
	key->deferred = form->condeferred;
}

/*
 * A constraint is about to be dropped by a migration or a job: keep what it
 * says, if it is a foreign key.  Its text in the contract may be in the names
 * of a version that is retired by now.
 */
void
sv_refer_note_drop(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	MemoryContext context;
	Dropped    *noted;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == CONSTRAINT_FOREIGN && !OidIsValid(form->conparentid))
	{
		context = MemoryContextSwitchTo(TopTransactionContext);
		if (dropped.transaction != MyProc->lxid)
			dropped.keys = NIL;
		dropped.transaction = MyProc->lxid;
		noted = palloc(sizeof(Dropped));
		noted->name = form->conname;
		read_constraint(tuple, &noted->key);
		dropped.keys = lcons(noted, dropped.keys);
		MemoryContextSwitchTo(context);
	}
	ReleaseSysCache(tuple);
}

static bool
all_in(List *some, List *others)
{
	return list_difference_int(some, others) == NIL;
}

static bool
knows_all(const SvEntry *entry, List *columns)
{
	ListCell   *lc;

	foreach(lc, entry ? columns : NIL)
	{
		if (sv_contract_column_at(entry, lfirst_int(lc)) == NULL)
			return false;
	}
	return entry != NULL;
}

/* has a release these columns, if it has the table? */
static bool
knows_columns(const SvRelease *release, Oid table, List *columns)
{
	const SvEntry *entry = sv_catalog_entry_of(release, table);

	return entry == NULL || knows_all(entry, columns);
}

/*
 * What it said, if this transaction has dropped it.  One that stands in the
 * place of another, over other columns on either side, may have had the name.
 */
static bool
was_dropped(const SvRelease *release, Oid relation, const SvPart *part,
			SvForeignKey *key)
{
	ListCell   *lc;

	foreach(lc, dropped.transaction == MyProc->lxid ? dropped.keys : NIL)
	{
		Dropped    *noted = lfirst(lc);

		if (noted->key.relation == relation &&
			strcmp(NameStr(noted->name), part->physical_name) == 0 &&
			all_in(noted->key.columns, part->columns) &&
			knows_columns(release, noted->key.referenced,
						  noted->key.referenced_columns))
		{
			*key = noted->key;
			return true;
		}
	}
	return false;
}

/* what is bound under that name for a release, if it is there still */
static bool
is_bound(List *bounds, const char *name, const SvRelease *release,
		 SvForeignKey *key)
{
	char	   *version = sv_version_text(release->version);
	ListCell   *lb;
	ListCell   *ln;

	foreach(lb, bounds)
	{
		foreach(ln, ((Bound *) lfirst(lb))->names)
		{
			const SvKeyName *known = lfirst(ln);

			if (strcmp(known->name, name) != 0 ||
				!sv_catalog_has_text(known->versions, version))
				continue;
			*key = ((Bound *) lfirst(lb))->key;
			return sv_refcheck_resolve(release, known, key);
		}
	}
	return false;
}

static bool
is_lost(const SvPart *constraint)
{
	return constraint->flavour == CONSTRAINT_FOREIGN && constraint->type &&
		!OidIsValid(constraint->object);
}

/* NULL if it speaks of what is gone */
static Lost *
read_lost(const SvProduct *product, const SvRelease *release,
		  const SvEntry *entry, const SvPart *part, List *bounds)
{
	Lost	   *lost = palloc0(sizeof(Lost));

	lost->release = release;
	lost->entry = entry;
	lost->name = part->name;
	if (is_bound(bounds, part->name, release, &lost->key) ||
		was_dropped(release, entry->physical, part, &lost->key) ||
		sv_lost_read_key(product, entry, part, &lost->key))
		return get_rel_name(lost->key.referenced) ? lost : NULL;
	return NULL;
}

/* those of all releases, a list of Lost in their order */
static List *
lost_keys(const SvProduct *product, Oid relation, List *releases,
		  List *bounds)
{
	List	   *all = NIL;
	ListCell   *lr;
	ListCell   *lc;

	foreach(lr, releases)
	{
		const SvEntry *entry = sv_catalog_entry_of(lfirst(lr), relation);

		foreach(lc, entry ? entry->constraints : NIL)
		{
			Lost	   *lost = is_lost(lfirst(lc)) ?
			read_lost(product, lfirst(lr), entry, lfirst(lc), bounds) : NULL;

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
same_keys(const SvForeignKey *a, const SvForeignKey *b)
{
	return a->relation == b->relation && a->referenced == b->referenced &&
		equal(a->columns, b->columns) &&
		equal(a->referenced_columns, b->referenced_columns) &&
		equal(a->set_columns, b->set_columns) && a->match == b->match &&
		a->on_update == b->on_update && a->on_delete == b->on_delete &&
		a->deferrable == b->deferrable && a->deferred == b->deferred;
}

static bool
is_among(List *bounds, const SvForeignKey *key)
{
	ListCell   *lc;

	foreach(lc, bounds)
	{
		if (same_keys(&((Bound *) lfirst(lc))->key, key))
			return true;
	}
	return false;
}

static bool
has_lost(List *all, const SvRelease *release, const SvForeignKey *key)
{
	ListCell   *lc;

	foreach(lc, all)
	{
		const Lost *lost = lfirst(lc);

		if (lost->release->id == release->id && same_keys(&lost->key, key))
			return true;
	}
	return false;
}

/* are two columns the same, or kept in step? */
static bool
is_same_column(Oid relation, List *pairs, AttrNumber a, AttrNumber b)
{
	char	   *one = get_attname(relation, a, true);
	char	   *other = get_attname(relation, b, true);
	ListCell   *lc;

	if (a == b || one == NULL || other == NULL)
		return a == b;
	foreach(lc, pairs)
	{
		const SvSyncPair *pair = lfirst(lc);

		if ((strcmp(pair->old_column, one) == 0 &&
			 strcmp(pair->new_column, other) == 0) ||
			(strcmp(pair->old_column, other) == 0 &&
			 strcmp(pair->new_column, one) == 0))
			return true;
	}
	return false;
}

static bool
are_same_columns(Oid relation, List *some, List *others)
{
	List	   *pairs = sv_sync_pairs(relation);
	ListCell   *ls;
	ListCell   *lo;

	if (list_length(some) != list_length(others))
		return false;
	forboth(ls, some, lo, others)
	{
		if (!is_same_column(relation, pairs, lfirst_int(ls), lfirst_int(lo)))
			return false;
	}
	return true;
}

/*
 * Does the table have it, under another name than the version has, or over the
 * columns that are kept in step with its own?
 */
static bool
is_in_force(const SvForeignKey *key)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	SvForeignKey other;
	bool		found = false;

	ScanKeyInit(&scan_key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(key->relation));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &scan_key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_constraint) GETSTRUCT(tuple))->contype !=
			CONSTRAINT_FOREIGN)
			continue;
		read_constraint(tuple, &other);
		found = other.referenced == key->referenced &&
			are_same_columns(key->relation, other.columns, key->columns) &&
			are_same_columns(key->referenced, other.referenced_columns,
							 key->referenced_columns);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* does a release know all that a key is over? */
static bool
knows_key(const SvRelease *release, const Lost *lost)
{
	/* what the version itself does not know is no part of the product */
	return knows_all(sv_catalog_entry_of(release, lost->key.relation),
					 lost->key.columns) &&
		(sv_catalog_entry_of(lost->release, lost->key.referenced) == NULL ||
		 knows_all(sv_catalog_entry_of(release, lost->key.referenced),
				   lost->key.referenced_columns));
}

/*
 * Is a version to be held to a foreign key?  There must be a reason for which
 * the table has lost it, other than that somebody wanted to be rid of it: a
 * newer version has not all of its columns, or the version was rolled back, or
 * it is held, or the one that it comes from.
 */
static bool
is_held(const Lost *lost, List *all, List *releases, const SvRelease *current,
		List *bounds)
{
	bool		has_reason = is_among(bounds, &lost->key) ||
	sv_version_compare(lost->release->version, current->version) > 0;
	ListCell   *lc;

	foreach(lc, releases)
	{
		const SvRelease *other = lfirst(lc);

		if (sv_version_compare(other->version, lost->release->version) <= 0)
			continue;
		if (!knows_key(other, lost))
			has_reason = true;
		else if (!has_lost(all, other, &lost->key))
			return false;
	}
	return has_reason;
}

/* what a release calls a table: schema and name */
static List *
names_of_table(const SvRelease *release, Oid table)
{
	const SvEntry *entry = sv_catalog_entry_of(release, table);

	if (entry)
		return list_make2(entry->schema, entry->name);
	return list_make2(get_namespace_name(get_rel_namespace(table)),
					  get_rel_name(table));
}

static List *
names_of_columns(const SvRelease *release, Oid table, List *numbers)
{
	const SvEntry *entry = sv_catalog_entry_of(release, table);
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, numbers)
	{
		SvPart	   *column = entry ?
		sv_contract_column_at(entry, lfirst_int(lc)) : NULL;

		names = lappend(names, column ? column->name :
						get_attname(table, lfirst_int(lc), false));
	}
	return names;
}

static SvKeyName *
make_name(const Lost *lost)
{
	SvKeyName  *name = palloc0(sizeof(SvKeyName));
	const SvForeignKey *key = &lost->key;

	name->name = pstrdup(lost->name);
	name->table = names_of_table(lost->release, key->relation);
	name->columns = names_of_columns(lost->release, key->relation,
									 key->columns);
	name->set_columns = names_of_columns(lost->release, key->relation,
										 key->set_columns);
	name->referenced = names_of_table(lost->release, key->referenced);
	name->referenced_columns = names_of_columns(lost->release, key->referenced,
												key->referenced_columns);
	return name;
}

static bool
same_names(const SvKeyName *a, const SvKeyName *b)
{
	SvForeignKey none = {0};
	SvKeyName	one = *a;
	SvKeyName	other = *b;

	one.versions = other.versions = NIL;
	return sv_catalog_same_texts(sv_refcheck_arguments("", &none,
													   list_make1(&one)),
								 sv_refcheck_arguments("", &none,
													   list_make1(&other)));
}

/* hold a version to a key in the names that it has */
static void
add_to_bound(Bound *bound, const Lost *lost)
{
	SvKeyName  *name = make_name(lost);
	ListCell   *lc;

	foreach(lc, bound->names)
	{
		if (same_names(lfirst(lc), name))
			break;
	}
	if (lc)
		name = lfirst(lc);
	else
		bound->names = lappend(bound->names, name);
	name->versions = lappend(name->versions,
							 sv_version_text(lost->release->version));
}

static Bound *
find_or_add_bound(List **bounds, const Lost *lost)
{
	Bound	   *bound;
	int			number = 0;
	ListCell   *lc;

	foreach(lc, *bounds)
	{
		bound = lfirst(lc);
		if (same_keys(&bound->key, &lost->key))
			return bound;
		if (strcmp(((SvKeyName *) linitial(bound->names))->name,
				   lost->name) == 0)
			number++;
	}
	bound = palloc0(sizeof(Bound));
	bound->key = lost->key;
	bound->number = number;
	*bounds = lappend(*bounds, bound);
	return bound;
}

/* add what versions are to be held to in a table, given what they are now */
static List *
bind_keys(const SvProduct *product, Oid relation, List *now, List *bounds)
{
	List	   *releases = sv_catalog_releases(product, true);
	SvRelease  *current = sv_catalog_release(product, product->current);
	List	   *all = lost_keys(product, relation, releases, now);
	ListCell   *lc;

	foreach(lc, all)
	{
		const Lost *lost = lfirst(lc);

		if (!is_in_force(&lost->key) &&
			is_held(lost, all, releases, current, now))
			add_to_bound(find_or_add_bound(&bounds, lost), lost);
	}
	return bounds;
}

/*
 * Triggers
 */

static List *
all_versions(const Bound *bound)
{
	List	   *versions = NIL;
	ListCell   *lc;

	foreach(lc, bound->names)
		versions = sv_catalog_add_texts(versions,
										((SvKeyName *) lfirst(lc))->versions);
	return versions;
}

/*
 * The name of a key's triggers on a table, but for its end.  A table of another
 * product may have those of its own keys.
 */
static char *
name_on(const SvProduct *product, const Bound *bound, Oid relation)
{
	char	   *name = ((SvKeyName *) linitial(bound->names))->name;
	char	   *schema = get_namespace_name(get_rel_namespace(relation));

	return sv_catalog_is_base_schema(product, schema) ||
		strcmp(schema, SV_RETAINED_SCHEMA) == 0 ? name :
		psprintf("%s_%s", product->name, name);
}

static Wanted *
make_wanted(const SvProduct *product, const Bound *bound, const char *label,
			Oid relation, int16 type)
{
	const SvForeignKey *key = &bound->key;
	Wanted	   *wanted = palloc0(sizeof(Wanted));
	int			prefix = sizeof(SV_REFER_TRIGGER) - 2;

	wanted->relation = relation;
	wanted->name =
		makeObjectName(pnstrdup(SV_REFER_TRIGGER, prefix),
					   name_on(product, bound, relation),
					   bound->number == 0 ? label :
					   psprintf("%s%d", label, bound->number));
	wanted->type = type | TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER;
	wanted->deferrable = key->deferrable;
	wanted->deferred = key->deferred;
	wanted->versions = all_versions(bound);
	wanted->arguments = sv_refcheck_arguments(product->name, key,
											  bound->names);
	return wanted;
}

/* the one for rows that come */
static Wanted *
wanted_for_child(const SvProduct *product, const Bound *bound)
{
	bool		is_parted = get_rel_relkind(bound->key.relation) ==
	RELKIND_PARTITIONED_TABLE;
	Wanted	   *wanted =
	make_wanted(product, bound, "write", bound->key.relation,
				TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
				(is_parted ? TRIGGER_TYPE_DELETE : 0));

	wanted->events = is_parted ? "INSERT OR UPDATE OR DELETE" :
		"INSERT OR UPDATE";
	wanted->function = "hold_reference";
	return wanted;
}

/* the one for rows that change, or go; only NO ACTION can wait */
static Wanted *
wanted_for_parent(const SvProduct *product, const Bound *bound, bool is_delete)
{
	Wanted	   *wanted =
	make_wanted(product, bound, is_delete ? "delete" : "update",
				bound->key.referenced,
				is_delete ? TRIGGER_TYPE_DELETE : TRIGGER_TYPE_UPDATE);

	wanted->events = is_delete ? "DELETE" : "UPDATE";
	wanted->function = "hold_referenced";
	if ((is_delete ? bound->key.on_delete : bound->key.on_update) !=
		FKCONSTR_ACTION_NOACTION)
		wanted->deferrable = wanted->deferred = false;
	return wanted;
}

static List *
wanted_triggers(const SvProduct *product, List *bounds)
{
	List	   *all = NIL;
	ListCell   *lc;

	foreach(lc, bounds)
	{
		const Bound *bound = lfirst(lc);

		all = lappend(all, wanted_for_child(product, bound));
		if (!sv_hold_is_own_table(bound->key.referenced))
			continue;
		all = lappend(all, wanted_for_parent(product, bound, false));
		all = lappend(all, wanted_for_parent(product, bound, true));
	}
	return all;
}

static char *
trigger_text(const Wanted *wanted, const char *product)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE%s TRIGGER %s AFTER %s ON %s%s%s FOR EACH ROW WHEN (%s.writes_as(%s, %s::%s.version[])) EXECUTE FUNCTION %s.%s(",
					 wanted->deferrable ? " CONSTRAINT" : "",
					 quote_identifier(wanted->name), wanted->events,
					 sv_catalog_relation_name(wanted->relation),
					 wanted->deferrable ? " DEFERRABLE" : "",
					 wanted->deferred ? " INITIALLY DEFERRED" : "",
					 SV_SCHEMA, quote_literal_cstr(product),
					 quote_literal_cstr(sv_hold_versions_text(wanted->versions)),
					 SV_SCHEMA, SV_SCHEMA, wanted->function);
	foreach(lc, wanted->arguments)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoChar(&text, ')');
	return text.data;
}

static void
make_trigger(const Wanted *wanted, const char *product)
{
	char	   *text = trigger_text(wanted, product);
	RawStmt    *raw = linitial(raw_parser(text, RAW_PARSE_DEFAULT));

	(void) CreateTrigger(castNode(CreateTrigStmt, raw->stmt), text,
						 wanted->relation, InvalidOid, InvalidOid, InvalidOid,
						 InvalidOid, InvalidOid, NULL, false, false);
	CommandCounterIncrement();
}

/* is it one of this module's, for keys of that product? */
static bool
is_of_refer(const Trigger *trigger, const SvProduct *product)
{
	return sv_is_refer_trigger(trigger->tgname) &&
		sv_catalog_is_own_function(trigger->tgfoid) &&
		trigger->tgnargs > 0 &&
		strcmp(trigger->tgargs[0], product->name) == 0;
}

/* what a trigger on INSERT says, NULL if it is none of ours */
static Bound *
read_bound(const Trigger *trigger, const SvProduct *product, List *releases)
{
	Bound	   *bound;
	ListCell   *ln;
	ListCell   *lr;

	if (!is_of_refer(trigger, product) || !TRIGGER_FOR_INSERT(trigger->tgtype))
		return NULL;
	bound = palloc0(sizeof(Bound));
	bound->names = sv_refcheck_names(trigger, &bound->key);
	foreach(ln, bound->names)
	{
		const SvKeyName *name = lfirst(ln);

		foreach(lr, releases)
		{
			const SvRelease *release = lfirst(lr);

			if (sv_catalog_has_text(name->versions,
									sv_version_text(release->version)) &&
				sv_refcheck_resolve(release, name, &bound->key))
				return bound;
		}
	}
	return NULL;
}

/* what versions of a product are held to in a table now, a list of Bound */
static List *
read_bounds(const SvProduct *product, Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *releases = sv_catalog_releases(product, true);
	List	   *bounds = NIL;

	for (int i = 0; table->trigdesc && i < table->trigdesc->numtriggers; i++)
	{
		Bound	   *bound = read_bound(&table->trigdesc->triggers[i], product,
									   releases);

		if (bound)
			bounds = lappend(bounds, bound);
	}
	relation_close(table, NoLock);
	return bounds;
}

/* is a trigger just so?  If not "strict" it may be switched off. */
static bool
is_as_wanted(const Trigger *trigger, const Wanted *wanted, bool strict)
{
	return strcmp(trigger->tgname, wanted->name) == 0 &&
		strcmp(get_func_name(trigger->tgfoid), wanted->function) == 0 &&
		trigger->tgtype == wanted->type && trigger->tgnattr == 0 &&
		trigger->tgdeferrable == wanted->deferrable &&
		trigger->tginitdeferred == wanted->deferred &&
		(!strict || trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN) &&
		sv_hold_has_arguments(trigger, wanted->arguments) &&
		sv_hold_has_condition(trigger, linitial(wanted->arguments),
							  wanted->versions);
}

/* those that a table must have, of all */
static List *
wanted_for(Oid relation, List *wanted)
{
	List	   *own = NIL;
	ListCell   *lc;

	foreach(lc, wanted)
	{
		if (((Wanted *) lfirst(lc))->relation == relation)
			own = lappend(own, lfirst(lc));
	}
	return own;
}

/*
 * The triggers for keys of a product that a table has: addresses.  Sets
 * whether it has what it must have and no other.
 */
static List *
compare_triggers(const SvProduct *product, Oid relation, List *wanted,
				 bool strict, bool *is_settled)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;
	List	   *own = NIL;
	int			nfound = 0;
	ListCell   *lc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (!is_of_refer(trigger, product))
			continue;
		own = lappend(own, sv_catalog_address(TriggerRelationId,
											  trigger->tgoid, 0));
		foreach(lc, wanted)
		{
			if (is_as_wanted(trigger, lfirst(lc), strict))
				nfound++;
		}
	}
	*is_settled = nfound == list_length(own) &&
		nfound == list_length(wanted) &&
		!(strict && own != NIL &&
		  sv_check_is_off_in_partition(table, SV_REFER_TRIGGER));
	relation_close(table, NoLock);
	return own;
}

/* is a table as it must be?  With "mend" it is made so if it is not. */
static bool
settle_table(const SvProduct *product, Oid relation, List *wanted, bool strict,
			 bool mend)
{
	bool		is_settled;
	List	   *own = compare_triggers(product, relation, wanted, strict,
										&is_settled);
	ListCell   *lc;

	if (!mend || is_settled)
		return is_settled;
	foreach(lc, own)
	{
		performDeletion(lfirst(lc), DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
		CommandCounterIncrement();
	}
	foreach(lc, wanted)
		make_trigger(lfirst(lc), product->name);
	return is_settled;
}

static List *
tables_with_triggers(void)
{
	return list_concat_unique_oid(sv_contract_triggered_tables("hold_reference"),
								  sv_contract_triggered_tables("hold_referenced"));
}

/* tables that have such triggers, or may need some: OIDs, ascending */
static List *
tables_concerned(const SvProduct *product)
{
	List	   *tables = tables_with_triggers();
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
	list_sort(tables, list_oid_cmp);
	return tables;
}

/* the tables that are not as they must be; these are mended if asked for */
static List *
settle_tables(const SvProduct *product, bool strict, bool mend)
{
	int			nestlevel = sv_contract_enter();
	List	   *tables = product->current ? tables_concerned(product) : NIL;
	List	   *bounds = NIL;
	List	   *astray = NIL;
	List	   *wanted;
	ListCell   *lc;

	foreach(lc, tables)
		bounds = bind_keys(product, lfirst_oid(lc),
						   read_bounds(product, lfirst_oid(lc)), bounds);
	wanted = wanted_triggers(product, bounds);
	foreach(lc, wanted)
		tables = list_append_unique_oid(tables,
										((Wanted *) lfirst(lc))->relation);
	foreach(lc, tables)
	{
		if (!settle_table(product, lfirst_oid(lc),
						  wanted_for(lfirst_oid(lc), wanted), strict, mend))
			astray = lappend_oid(astray, lfirst_oid(lc));
	}
	sv_contract_leave(nestlevel);
	return astray;
}

/*
 * Contracts of a product, or what they are linked to, have changed: hold each
 * of its versions to the CHECKs, see sv_check_settle(), and to the foreign keys
 * that its contract has and its tables have not, and no longer to others.
 * Looks at tables that are touched, and at those that have such triggers; locks
 * those in AccessExclusiveLock that need others, on both sides.  Triggers that
 * are switched off stay so unless "strict".  Contracts must be collecting.
 * Returns how many tables needed it.
 */
int
sv_refer_settle_all(const SvProduct *product, bool strict)
{
	int			changed = sv_check_settle(product, strict);
	SvIdentity	identity;

	sv_catalog_become_owner(&identity);
	changed += list_length(settle_tables(product, strict, true));
	sv_catalog_become_caller(&identity);
	return changed;
}

/*
 * Tables whose triggers are not those that sv_refer_settle_all() would
 * make for foreign keys, or are switched off: OIDs.
 * Contracts must be collecting, with all touched.
 */
List *
sv_refer_astray(const SvProduct *product)
{
	return settle_tables(product, true, false);
}

/*
 * Locks
 */

/* does a trigger hold any of some releases? */
static bool
holds_any(const Trigger *trigger, List *releases)
{
	SvForeignKey key;
	ListCell   *ln;
	ListCell   *lr;

	foreach(ln, sv_refcheck_names(trigger, &key))
	{
		foreach(lr, releases)
		{
			if (sv_catalog_has_text(((SvKeyName *) lfirst(ln))->versions,
									sv_version_text(((SvRelease *) lfirst(lr))->version)))
				return true;
		}
	}
	return false;
}

/*
 * The tables whose triggers are to be changed when some releases of a product
 * are retired: OIDs.
 */
List *
sv_refer_tables(const SvProduct *product, List *releases)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, tables_with_triggers())
	{
		Relation	table = relation_open(lfirst_oid(lc), AccessShareLock);
		TriggerDesc *triggers = table->trigdesc;

		for (int i = 0; triggers && i < triggers->numtriggers; i++)
		{
			if (is_of_refer(&triggers->triggers[i], product) &&
				holds_any(&triggers->triggers[i], releases))
				result = list_append_unique_oid(result, lfirst_oid(lc));
		}
		relation_close(table, AccessShareLock);
	}
	return result;
}

/*
 * The tables that foreign keys of some others, OIDs, refer to in a release,
 * whether they are there or lost: OIDs.
 */
List *
sv_refer_ends(const SvProduct *product, const SvRelease *release,
			  List *relations)
{
	List	   *ends = NIL;
	ListCell   *lr;
	ListCell   *lc;

	foreach(lr, relations)
	{
		const SvEntry *entry = sv_catalog_entry_of(release, lfirst_oid(lr));

		foreach(lc, entry && sv_contract_is_table(entry->kind) ?
				entry->constraints : NIL)
		{
			const SvPart *part = lfirst(lc);
			SvForeignKey key = {0};
			HeapTuple	tuple = part->flavour == CONSTRAINT_FOREIGN &&
			OidIsValid(part->object) ?
			SearchSysCache1(CONSTROID, ObjectIdGetDatum(part->object)) : NULL;

			if (HeapTupleIsValid(tuple))
			{
				key.referenced =
					((Form_pg_constraint) GETSTRUCT(tuple))->confrelid;
				ReleaseSysCache(tuple);
			}
			else
				(void) sv_lost_read_key(product, entry, part, &key);
			if (OidIsValid(key.referenced) && get_rel_name(key.referenced))
				ends = list_append_unique_oid(ends, key.referenced);
		}
	}
	return ends;
}
