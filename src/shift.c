/*-------------------------------------------------------------------------
 *
 * shift.c
 *	  Make another supported version the one that the base schemas are at.
 *
 * A rollback is a migration that nobody has to write: what the version to go
 * to does not have is dropped, what it calls otherwise is renamed, and what
 * was put away for it comes back.  Drops and renames are said in SQL while
 * expand.c listens, so that everything the version to leave needs is put away
 * for it in turn; it stays supported and its sessions go on.  Going forward
 * again is the same in the other direction.
 *
 * Only entries that the two contracts do not share are looked at.  The order
 * is that of freeing names before taking them: drop, rename, bring back, then
 * defaults and constraints.
 *
 * Constraints that the version to leave does not know would reject what its
 * sessions write: they are restored when it is retired, see
 * sv_shift_restore().  Until then NOT NULL holds for all others, by a CHECK of
 * require.c; the rest is but in the contract, see lost.c, and holds for those
 * that have it, see check.c and refer.c.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* what is to be done */
typedef struct Shift
{
	const SvProduct *product;
	const SvRelease *from;
	const SvRelease *to;
	List	   *going;			/* SvEntry that only "from" has */
	List	   *coming;			/* SvEntry that only "to" has */
	List	   *defaults;		/* of ShownDefault */
	List	   *pending;		/* SvJob that "to" waits for */
	List	   *gaps;			/* SvGap: what has been looked at before */
} Shift;

/*
 * A default that only the view of "to" still has: it knows what it means by
 * OID, where the text in the contract does not follow what is moved.
 */
typedef struct ShownDefault
{
	Oid			relation;
	char	   *column;
	Node	   *expression;
} ShownDefault;

/* one entry of "to" with what it is to be made of */
typedef struct Pair
{
	const SvEntry *coming;
	const SvEntry *going;		/* on the same object, or NULL */
	SvEntry    *now;
	char	   *table;			/* the object's name in SQL */
} Pair;

/* run one statement that was made here; every name in it is quoted */
static void
run(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", statement);
}

/*
 * Differences
 */

static List *
entries_without(const SvRelease *some, const SvRelease *others)
{
	List	   *entries = NIL;

	for (int i = 0; i < some->nentries; i++)
	{
		if (!sv_catalog_has_entry(others, some->entries[i]))
			entries = lappend(entries, sv_catalog_entry(some->entries[i]));
	}
	return entries;
}

/* the entry of a list that stands on an object */
static const SvEntry *
entry_on(List *entries, Oid physical)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		if (((SvEntry *) lfirst(lc))->physical == physical)
			return lfirst(lc);
	}
	return NULL;
}

/* the entry of a list that goes by the same name */
static const SvEntry *
entry_named(List *entries, const SvEntry *like)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		SvEntry    *entry = lfirst(lc);

		if (entry->kind == like->kind &&
			strcmp(entry->schema, like->schema) == 0 &&
			strcmp(entry->name, like->name) == 0 &&
			strcmp(entry->args, like->args) == 0)
			return entry;
	}
	return NULL;
}

static SvPart *
part_on(List *parts, Oid object)
{
	ListCell   *lc;

	foreach(lc, parts)
	{
		if (((SvPart *) lfirst(lc))->object == object && OidIsValid(object))
			return lfirst(lc);
	}
	return NULL;
}

static char *
sql_name(const SvEntry *now)
{
	return quote_qualified_identifier(now->schema, now->name);
}

/* a sequence that a column owns moves along with its table */
static bool
is_owned_sequence(const SvEntry *entry)
{
	Oid			table;
	int32		column;

	return entry->kind == RELKIND_SEQUENCE &&
		(sequenceIsOwned(entry->physical, DEPENDENCY_AUTO, &table, &column) ||
		 sequenceIsOwned(entry->physical, DEPENDENCY_INTERNAL, &table,
						 &column));
}

static Oid
class_of(const SvEntry *entry)
{
	if (entry->kind == SV_ENTRY_FUNCTION)
		return ProcedureRelationId;
	return entry->kind == SV_ENTRY_TYPE ? TypeRelationId : RelationRelationId;
}

/* the arguments of a function as they are called now, in parentheses */
static char *
arguments_of(const SvEntry *entry)
{
	Datum		result;

	if (entry->kind != SV_ENTRY_FUNCTION)
		return "";
	result = DirectFunctionCall1(pg_get_function_identity_arguments,
							   ObjectIdGetDatum(entry->physical));
	return psprintf("(%s)", TextDatumGetCString(result));
}

/* was one replaced by the other in place, so that it can be so again? */
static bool
is_replaced(const Shift *shift, const SvEntry *coming, const SvEntry *going)
{
	SvEntry    *then = coming ? sv_contract_resolve(coming) : NULL;
	SvEntry    *now = going ? sv_contract_resolve(going) : NULL;

	return then && now && then->physical != now->physical &&
		coming->physical == then->physical &&
		!sv_catalog_is_base_schema(shift->product, then->schema) &&
		sv_catalog_is_base_schema(shift->product, now->schema) &&
		sv_replace_can_become(class_of(coming), now->physical,
							  then->physical) &&
		!sv_settle_is_in_use(class_of(coming), then->physical);
}

/*
 * Does something go along with what it belongs to?  A sequence does with an
 * identity column, and with any that goes; a function with a range.
 */
static bool
goes_along(const Shift *shift, const SvEntry *entry)
{
	const SvEntry *going;
	const SvEntry *coming;
	Oid			table;
	int32		column;

	if (entry->kind == SV_ENTRY_FUNCTION)
		return OidIsValid(sv_retain_type_of(entry->physical));
	if (entry->kind != RELKIND_SEQUENCE ||
		!sequenceIsOwned(entry->physical, DEPENDENCY_AUTO, &table, &column))
		return is_owned_sequence(entry);
	going = entry_on(shift->going, table);
	coming = entry_on(shift->coming, table);
	return going && !(coming && sv_contract_column_at(coming, column));
}

/* a column that comes from a parent follows it by itself */
static bool
is_inherited(const SvEntry *table, AttrNumber number)
{
	return sv_catalog_is_inherited(table->physical, number);
}

/* and so does a constraint */
static bool
is_inherited_constraint(const SvPart *constraint)
{
	HeapTuple	tuple;
	bool		result;

	if (constraint->flavour == 'i')
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint->object));
	result = HeapTupleIsValid(tuple) &&
		((Form_pg_constraint) GETSTRUCT(tuple))->coninhcount > 0;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/*
 * Dropping what "to" does not have
 */

static const char *
drop_keyword(const SvEntry *entry)
{
	switch (entry->kind)
	{
		case RELKIND_VIEW:
			return "VIEW";
		case RELKIND_MATVIEW:
			return "MATERIALIZED VIEW";
		case RELKIND_SEQUENCE:
			return "SEQUENCE";
		case RELKIND_FOREIGN_TABLE:
			return "FOREIGN TABLE";
		case SV_ENTRY_FUNCTION:
			return "ROUTINE";
		case SV_ENTRY_TYPE:
			return "TYPE";
	}
	return "TABLE";
}

static void
drop_objects(const Shift *shift)
{
	ListCell   *lc;

	foreach(lc, shift->going)
	{
		SvEntry    *going = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(going);

		if (now == NULL || entry_on(shift->coming, going->physical) ||
			!sv_catalog_is_base_schema(shift->product, now->schema) ||
			sv_is_hidden(now->name) || goes_along(shift, going) ||
			is_replaced(shift, entry_named(shift->coming, going), going))
			continue;
		run(psprintf("DROP %s %s%s CASCADE", drop_keyword(going),
					 sql_name(now), arguments_of(going)));
	}
}

/* an identity that a job has not handed over yet may stay where it is */
static void
move_sequences(Oid relation, AttrNumber from, AttrNumber to, char identity)
{
	sv_retype_move_sequences(relation, from, to, identity);
	sv_retype_fit_sequences(relation, from, to);
	sv_retype_fit_sequences(relation, to, to);
}

/* is it by the column's default that the sequence of an identity is used? */
static bool
is_lent(Oid sequence, const SvPart *column)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(RelationRelationId, sequence, -1))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->classid == AttrDefaultRelationId &&
			form->objid == column->object)
			return true;
	}
	return false;
}

/* a column is an identity that the one to take its place never was */
static void
end_other_identity(const Pair *pair, const SvPart *coming, AttrNumber number)
{
	Oid			relation = pair->now->physical;
	Oid			sequence = getIdentitySequence(relation, number, true);
	char	   *name = get_attname(relation, number, false);

	if (coming->identity != ' ' || !OidIsValid(sequence) ||
		sv_is_hidden(name) || is_lent(sequence, coming) ||
		is_inherited(pair->now, number))
		return;
	run(psprintf("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY", pair->table,
				 quote_identifier(name)));
}

/*
 * Move to a column that will be visible the sequences of all that it is kept
 * in step with, directly or through others, and that will not be visible.
 */
static void
gather_sequences(const Pair *pair, const SvPart *coming, AttrNumber number,
				 List **seen)
{
	Oid			relation = pair->now->physical;
	ListCell   *lp;

	*seen = lappend_int(*seen, number);
	foreach(lp, sv_sync_pairs(relation))
	{
		SvSyncPair *columns = lfirst(lp);
		AttrNumber	old_number = get_attnum(relation, columns->old_column);
		AttrNumber	new_number = get_attnum(relation, columns->new_column);
		AttrNumber	other = old_number == number ? new_number :
		new_number == number ? old_number : InvalidAttrNumber;

		if (other == InvalidAttrNumber || list_member_int(*seen, other) ||
			sv_contract_column_at(pair->coming, other))
			continue;
		end_other_identity(pair, coming, other);
		move_sequences(relation, other, coming->number, coming->identity);
		gather_sequences(pair, coming, other, seen);
	}
}

/* what generates a column's values belongs to the one that will be visible */
static void
return_sequences(const Pair *pair)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *coming = lfirst(lc);

		if (coming->number > 0 && !list_member_int(seen, coming->number))
			gather_sequences(pair, coming, coming->number, &seen);
	}
}

static void
refuse_lost(const Shift *shift, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %s of product \"%s\" cannot be restored: %s is gone",
					shift->to->label, shift->product->name, what),
			 errdetail("It was dropped by hand.")));
}

/* nor say what becomes of what was moved out of the product by hand */
static void
refuse_moved(const Shift *shift, const SvEntry *now, const char *name)
{
	Oid			schema = get_namespace_oid(now->schema, false);

	if (sv_catalog_is_base_schema(shift->product, now->schema) ||
		schema == sv_retain_schema() || sv_contract_is_version_schema(schema))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %s of product \"%s\" cannot be restored: %s is in schema \"%s\"",
					shift->to->label, shift->product->name, name,
					now->schema),
			 errdetail("It was moved there by hand."),
			 errhint("Move it back into a schema of the product.")));
}

/* nobody can bring back what was dropped by hand */
static void
check_lost(const Shift *shift)
{
	ListCell   *lc;
	ListCell   *lp;

	for (int i = 0; i < shift->to->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry_alone(shift->to->entries[i]);

		if (!OidIsValid(entry->physical))
			refuse_lost(shift, quote_qualified_identifier(entry->schema,
														  entry->name));
	}
	foreach(lc, shift->coming)
	{
		SvEntry    *coming = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(coming);
		char	   *name = quote_qualified_identifier(coming->schema,
													  coming->name);

		if (now == NULL || now->physical != coming->physical)
			refuse_lost(shift, name);
		refuse_moved(shift, now, name);
		foreach(lp, sv_contract_is_relation(coming->kind) ?
				coming->columns : NIL)
		{
			SvPart	   *column = lfirst(lp);

			if (sv_contract_column_at(now, column->number) == NULL)
				refuse_lost(shift, psprintf("column %s.%s", name,
											quote_identifier(column->name)));
		}
	}
}

/* is the column computed from what a version writes, as before a rollback? */
static bool
is_computed_for(const SvRelease *release, Oid relation, AttrNumber number)
{
	char	   *name = get_attname(relation, number, false);
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lc);

		if (strcmp(pair->new_column, name) == 0 && pair->up[0] != '\0' &&
			sv_sync_is_old(pair, release->version))
			return true;
	}
	return false;
}

/*
 * Is a column that a newer version does not know computed from what it never
 * leaves NULL, and not NULL therefore?
 */
static bool
is_computed_back(const SvRelease *release, const SvEntry *entry,
				 Oid relation, AttrNumber number)
{
	char	   *name = get_attname(relation, number, false);
	ListCell   *lp;
	ListCell   *lc;

	foreach(lp, sv_sync_pairs(relation))
	{
		SvSyncPair *pair = lfirst(lp);
		List	   *inputs;

		if (strcmp(pair->old_column, name) != 0 || pair->down[0] == '\0' ||
			sv_sync_is_old(pair, release->version) ||
			!sv_sync_gives_value(relation, pair->down, name, &inputs))
			continue;
		foreach(lc, inputs)
		{
			SvPart	   *input = sv_contract_column_at(entry, lfirst_int(lc));

			if (input ? !input->notnull :
				!is_computed_back(release, entry, relation, lfirst_int(lc)))
				break;
		}
		return lc == NULL;
	}
	return false;
}

/*
 * Does every other supported version demand the same of the column, or not
 * know it while its default fills it, or what it is computed from?
 */
static bool
others_demand_not_null(Oid relation, AttrNumber number, List *others)
{
	bool		is_filled = sv_retain_is_filled(relation, number);
	ListCell   *lr;
	ListCell   *le;

	foreach(lr, others)
	{
		foreach(le, sv_catalog_entries_on(relation))
		{
			SvEntry    *entry;
			SvPart	   *column;

			if (!sv_catalog_has_entry(lfirst(lr), lfirst_int(le)))
				continue;
			entry = sv_catalog_entry(lfirst_int(le));
			column = sv_contract_column_at(entry, number);
			if (column ? !column->notnull : !is_filled &&
				!is_computed_for(lfirst(lr), relation, number) &&
				!is_computed_back(lfirst(lr), entry, relation, number))
				return false;
		}
	}
	return true;
}

static List *
others_than(const SvRelease *release, List *releases)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (((SvRelease *) lfirst(lc))->id != release->id)
			others = lappend(others, lfirst(lc));
	}
	return others;
}

/* what does not fill a column any more is not to demand a value of all */
static void
relax_identity(const Shift *shift, const Pair *pair, const SvPart *column)
{
	List	   *releases = sv_catalog_releases(shift->product, true);
	ListCell   *lc;

	if (others_demand_not_null(pair->now->physical, column->number,
							   others_than(shift->to, releases)))
		return;
	foreach(lc, pair->now->constraints)
	{
		SvPart	   *key = lfirst(lc);

		if (key->flavour == CONSTRAINT_PRIMARY &&
			list_member_int(key->columns, column->number))
			(void) sv_retain_change_key(key->object, false);
	}
	run(psprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", pair->table,
				 quote_identifier(column->name)));
}

/* the sequence by which a column is to be an identity again, or InvalidOid */
static Oid
kept_identity(const Shift *shift, const Pair *pair, const SvPart *column)
{
	return column->identity == ' ' ? InvalidOid :
		sv_contract_kept_identity(pair->now->physical, column->number,
								  shift->to);
}

/* columns that are none, or others, for the version to go to */
static void
end_identities(const Shift *shift, const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);
		SvPart	   *going = sv_contract_column_at(pair->going,
												  column->number);

		if (now == NULL || going == NULL || now->identity == ' ' ||
			going->identity == ' ' || is_inherited(pair->now, now->number) ||
			(column->identity != ' ' &&
			 !OidIsValid(kept_identity(shift, pair, column))))
			continue;
		run(psprintf("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY",
					 pair->table, quote_identifier(now->name)));
		if (column->identity == ' ')
			relax_identity(shift, pair, now);
	}
}

/*
 * Columns that were identities are so again: BY DEFAULT, since the version to
 * leave writes values of its own.
 */
static void
return_identities(const Shift *shift, const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);
		Oid			sequence = now ? kept_identity(shift, pair, column) :
		InvalidOid;

		if (!OidIsValid(sequence))
			continue;
		if (OidIsValid(now->object))
			run(psprintf("ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT",
						 pair->table, quote_identifier(now->name)));
		sv_retain_return_identity(pair->now->physical, column->number,
								  sequence, ATTRIBUTE_IDENTITY_BY_DEFAULT);
	}
}

/* the column of "to" that one of "from" has given way to, NULL if none has */
static SvPart *
successor_of(const Pair *pair, const SvPart *column)
{
	ListCell   *lc;

	foreach(lc, sv_sync_pairs(pair->now->physical))
	{
		SvSyncPair *columns = lfirst(lc);

		if (strcmp(columns->old_column, column->name) == 0)
			return sv_contract_column_at(pair->coming,
										 get_attnum(pair->now->physical,
													columns->new_column));
	}
	return NULL;
}

static void
drop_triggers(const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->going->triggers)
	{
		SvPart	   *trigger = part_on(pair->now->triggers,
									  ((SvPart *) lfirst(lc))->object);

		if (trigger && !sv_is_hidden(trigger->name) &&
			!part_on(pair->coming->triggers, trigger->object))
			run(psprintf("DROP TRIGGER %s ON %s",
						 quote_identifier(trigger->name), pair->table));
	}
}

/*
 * Is a constraint over a column that gives way to another one left where it is
 * until a job has made its like on that?
 */
static bool
waits_for_successor(const Shift *shift, const Pair *pair,
					const SvPart *constraint)
{
	ListCell   *lc;

	if (!sv_swap_is_left(shift->pending, pair->now->physical, SV_JOB_ATTACH,
						 constraint->name) &&
		!sv_swap_is_left(shift->pending, pair->now->physical, SV_JOB_REPLACE,
						 constraint->name))
		return false;
	foreach(lc, constraint->columns)
	{
		if (lfirst_int(lc) != 0 &&
			sv_contract_column_at(pair->coming, lfirst_int(lc)) == NULL)
			return true;
	}
	return false;
}

/* a key that stays, but gives way to another primary key */
static void
demote_key(const SvPart *now, const SvPart *coming)
{
	if (now->flavour == CONSTRAINT_PRIMARY &&
		coming->flavour == CONSTRAINT_UNIQUE)
		(void) sv_retain_change_key(now->object, false);
}

/*
 * Keys are put away without what refers to them: the foreign keys that both
 * versions have follow.  Others may have gone with a column of another table.
 */
static void
drop_constraints(const Shift *shift, const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->going->constraints)
	{
		SvPart	   *constraint = part_on(pair->now->constraints,
										 ((SvPart *) lfirst(lc))->object);
		SvPart	   *coming;

		if (constraint == NULL || sv_is_hidden(constraint->name) ||
			is_inherited_constraint(constraint))
			continue;
		coming = part_on(pair->coming->constraints, constraint->object);
		if (coming)
			demote_key(constraint, coming);
		if (coming || waits_for_successor(shift, pair, constraint))
			continue;
		if (strchr("puxi", constraint->flavour))
			sv_swap_hide_index(constraint->flavour == 'i' ?
							   RelationRelationId : ConstraintRelationId,
							   constraint->object);
		else if (SearchSysCacheExists1(CONSTROID,
									   ObjectIdGetDatum(constraint->object)))
			run(psprintf("ALTER TABLE %s DROP CONSTRAINT %s CASCADE",
						 pair->table, quote_identifier(constraint->name)));
	}
}

/* generated ones before those that they are made of, which take them along */
static void
drop_columns(const Shift *shift, const Pair *pair, bool generated)
{
	bool		is_pending = sv_swap_is_left(shift->pending,
											 pair->now->physical, NULL, NULL);
	ListCell   *lc;

	foreach(lc, pair->now->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *successor;

		if (sv_is_hidden(column->name) ||
			(column->generated != ' ') != generated ||
			is_inherited(pair->now, column->number) ||
			sv_contract_column_at(pair->coming, column->number))
			continue;
		successor = is_pending ? successor_of(pair, column) : NULL;
		if (successor == NULL)
			run(psprintf("ALTER TABLE %s DROP COLUMN %s CASCADE",
						 pair->table, quote_identifier(column->name)));
		else
		{
			sv_swap_put_aside(pair->now->physical, column->number,
							  successor->name, shift->to, shift->pending);
			sv_expand_follow_names();
		}
	}
}

/* columns, triggers and constraints of a table that both versions have */
static void
drop_parts(const Shift *shift, const Pair *pair)
{
	drop_triggers(pair);
	drop_constraints(shift, pair);
	drop_columns(shift, pair, true);
	drop_columns(shift, pair, false);
}

/*
 * Renaming
 */

static void
rename_column(const Pair *pair, const char *from, const char *to)
{
	run(psprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", pair->table,
				 quote_identifier(from), quote_identifier(to)));
	sv_hold_rename(pair->now->physical, from, to);
}

/* two columns may have swapped their names: all give theirs up first */
static void
rename_columns(const Pair *pair)
{
	List	   *renamed = NIL;
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);

		if (now && !sv_is_hidden(now->name) &&
			!is_inherited(pair->now, column->number) &&
			strcmp(now->name, column->name) != 0)
			renamed = lappend(renamed, column);
	}
	if (list_length(renamed) == 1)
	{
		SvPart	   *column = linitial(renamed);

		rename_column(pair,
					  sv_contract_column_at(pair->now, column->number)->name,
					  column->name);
		return;
	}
	foreach(lc, renamed)
		rename_column(pair,
					  sv_contract_column_at(pair->now,
											((SvPart *) lfirst(lc))->number)->name,
					  psprintf("schemaver shift %d",
							   foreach_current_index(lc)));
	foreach(lc, renamed)
		rename_column(pair, psprintf("schemaver shift %d",
									 foreach_current_index(lc)),
					  ((SvPart *) lfirst(lc))->name);
}

/* rename one constraint, index, trigger or label, as flavour and kind say */
static void
rename_part(const Pair *pair, const SvPart *part, const char *from,
			const char *to)
{
	if (part->kind == SV_PART_TRIGGER)
		run(psprintf("ALTER TRIGGER %s ON %s RENAME TO %s",
					 quote_identifier(from), pair->table,
					 quote_identifier(to)));
	else if (part->kind == SV_PART_LABEL)
		run(psprintf("ALTER TYPE %s RENAME VALUE %s TO %s", pair->table,
					 quote_literal_cstr(from), quote_literal_cstr(to)));
	else if (part->flavour == 'i')
		run(psprintf("ALTER INDEX %s RENAME TO %s",
					 quote_qualified_identifier(pair->now->schema, from),
					 quote_identifier(to)));
	else
		run(psprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s",
					 pair->table, quote_identifier(from),
					 quote_identifier(to)));
}

/*
 * Constraints, triggers and labels that have another name give theirs up
 * first, since two may have swapped them, in different tables too; with
 * "finish" they take on the names of "to".
 */
static void
rename_parts(const Pair *pair, List *coming, List *nows, bool finish)
{
	ListCell   *lc;

	foreach(lc, coming)
	{
		SvPart	   *part = lfirst(lc);
		SvPart	   *now = part_on(nows, part->object);

		if (now == NULL || sv_is_hidden(now->name) ||
			strcmp(now->name, part->name) == 0 ||
			(part->kind == SV_PART_CONSTRAINT &&
			 is_inherited_constraint(now)))
			continue;
		rename_part(pair, part, now->name, finish ? part->name :
					sv_retain_passing_name(part->object));
	}
}

static void
rename_all_parts(List *pairs, bool finish)
{
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);

		rename_parts(pair, pair->coming->constraints, pair->now->constraints,
					 finish);
		rename_parts(pair, pair->coming->triggers, pair->now->triggers,
					 finish);
		rename_parts(pair, pair->coming->labels, pair->now->labels, finish);
	}
}

/* the words that name an object in ALTER */
static char *
alter_target(const SvEntry *entry, const char *schema, const char *name)
{
	return psprintf("%s %s%s", drop_keyword(entry),
					quote_qualified_identifier(schema, name),
					arguments_of(entry));
}

/*
 * Objects in the base schemas take on the names of "to", by way of a name
 * that nothing has, since two may have swapped theirs.
 */
static void
rename_objects(const Shift *shift)
{
	List	   *renamed = NIL;
	ListCell   *lc;

	foreach(lc, shift->coming)
	{
		SvEntry    *coming = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(coming);
		char	   *passing;
		char	   *schema;

		if (now == NULL || now->physical != coming->physical ||
			!sv_catalog_is_base_schema(shift->product, now->schema))
			continue;
		schema = now->schema;
		if (strcmp(schema, coming->schema) != 0 && !is_owned_sequence(coming))
		{
			run(psprintf("ALTER %s SET SCHEMA %s",
						 alter_target(coming, schema, now->name),
						 quote_identifier(coming->schema)));
			schema = coming->schema;
		}
		if (strcmp(now->name, coming->name) == 0 || sv_is_hidden(now->name))
			continue;
		passing = sv_retain_passing_name(coming->physical);
		run(psprintf("ALTER %s RENAME TO %s",
					 alter_target(coming, schema, now->name),
					 quote_identifier(passing)));
		renamed = lappend(renamed, coming);
	}
	foreach(lc, renamed)
	{
		SvEntry    *coming = lfirst(lc);

		run(psprintf("ALTER %s RENAME TO %s",
					 alter_target(coming, coming->schema,
								  sv_retain_passing_name(coming->physical)),
					 quote_identifier(coming->name)));
	}
}

/*
 * Bringing back
 */

/* what was replaced in place is put in place of its successor */
static void
become(const Shift *shift, const SvEntry *coming)
{
	const SvEntry *going = entry_named(shift->going, coming);

	sv_replace_become(class_of(coming),
					  sv_contract_resolve(going)->physical, coming->physical,
					  shift->product, shift->from);
}

/* what has replaced it in the base schemas under the same name goes first */
static void
replace_named(const Shift *shift, const SvEntry *coming)
{
	const SvEntry *going = entry_named(shift->going, coming);
	SvEntry    *now = going ? sv_contract_resolve(going) : NULL;

	if (now == NULL || going->physical == coming->physical ||
		!sv_catalog_is_base_schema(shift->product, now->schema))
		return;
	run(psprintf("DROP %s CASCADE",
				 alter_target(going, now->schema, now->name)));
}

/*
 * A sequence comes back with the column that owns it, by a name that was free
 * where it has been.  Its own may be what another one is called until then.
 */
static void
return_sequence_names(const Shift *shift)
{
	List	   *renamed = NIL;
	ListCell   *lc;

	foreach(lc, shift->coming)
	{
		SvEntry    *coming = lfirst(lc);
		SvEntry    *now = coming->kind == RELKIND_SEQUENCE ?
		sv_contract_resolve(coming) : NULL;

		if (now == NULL ||
			!sv_catalog_is_base_schema(shift->product, now->schema) ||
			strcmp(now->name, coming->name) == 0)
			continue;
		sv_retain_return_sequence(coming->physical,
								  sv_retain_passing_name(coming->physical));
		renamed = lappend(renamed, coming);
	}
	foreach(lc, renamed)
		sv_retain_return_sequence(((SvEntry *) lfirst(lc))->physical,
								  ((SvEntry *) lfirst(lc))->name);
}

static void
return_objects(const Shift *shift)
{
	ListCell   *lc;

	foreach(lc, shift->coming)
	{
		SvEntry    *coming = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(coming);
		Oid			schema = get_namespace_oid(coming->schema, false);

		if (sv_catalog_is_base_schema(shift->product, now->schema))
			continue;
		if (is_replaced(shift, coming, entry_named(shift->going, coming)))
		{
			become(shift, coming);
			continue;
		}
		replace_named(shift, coming);
		if (sv_contract_is_relation(coming->kind) &&
			coming->kind != RELKIND_SEQUENCE)
			sv_retain_return_relation(coming->physical, schema, coming->name);
		else if (coming->kind != RELKIND_SEQUENCE ||
				 strcmp(now->schema, SV_RETAINED_SCHEMA) != 0)
			sv_retain_return_home(class_of(coming), coming->physical, schema,
								  coming->name);
	}
	return_sequence_names(shift);
}

/*
 * A key that is about to come back finds its name taken by one that the
 * version does not know, and that was left where it is for a job to replace.
 */
static void
make_way(const Pair *pair, const SvPart *key)
{
	Oid			relation = pair->now->physical;
	Oid			index = get_relname_relid(key->name,
										  get_rel_namespace(relation));
	ObjectAddress *found = OidIsValid(index) ? sv_contract_key_address(index) :
	NULL;

	if (found == NULL || found->objectId == key->object ||
		get_rel_relkind(index) != RELKIND_INDEX ||
		IndexGetRelation(index, false) != relation ||
		part_on(pair->coming->constraints, found->objectId))
		return;
	sv_swap_hide_index(found->classId, found->objectId);
}

/* what is hidden in a table comes back under its name */
static void
return_parts(const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);

		if (now && sv_is_hidden(now->name) &&
			!is_inherited(pair->now, column->number))
			sv_retain_return_column(pair->now->physical, column->number,
									column->name);
	}
	foreach(lc, pair->coming->constraints)
	{
		SvPart	   *constraint = lfirst(lc);
		SvPart	   *now = part_on(pair->now->constraints,
								  constraint->object);

		if (now && strchr("puxi", constraint->flavour) &&
			(strcmp(now->name, constraint->name) != 0 ||
			 now->flavour != constraint->flavour))
		{
			make_way(pair, constraint);
			sv_retain_return_unique(pair->now->physical, constraint);
		}
	}
	foreach(lc, pair->coming->triggers)
	{
		SvPart	   *trigger = lfirst(lc);
		SvPart	   *now = part_on(pair->now->triggers, trigger->object);

		if (now && sv_is_hidden(now->name))
			sv_retain_return_trigger(trigger->object, trigger->name);
	}
}

/* is it waited for by a foreign key of the release that is not there? */
static bool
is_awaited(const Shift *shift, const SvPart *key)
{
	Oid			index = sv_key_index(sv_contract_key_class(key), key->object);

	for (int i = 0; i < shift->to->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry(shift->to->entries[i]);
		ListCell   *lc;

		foreach(lc, sv_contract_is_table(entry->kind) ? entry->constraints : NIL)
		{
			if (sv_lost_awaits(shift->product, entry, lfirst(lc), index))
				return true;
		}
	}
	return false;
}

/*
 * A key of a large table is to hold for all again.  It stays loosened until
 * reconcile() where more than itself is to be restored then, and where the
 * server can only do it under the table's lock.
 */
static void
leave_key(const Shift *shift, const SvPart *key)
{
	if (key->flavour != CONSTRAINT_EXCLUSION && !is_awaited(shift, key))
		sv_key_leave(sv_contract_key_class(key), key->object);
}

/*
 * A unique key that only newer versions know is back under its name, and holds
 * for older ones as when the script added it.  Where rows have been written
 * that it does not allow, that is an error, as it was in the script, or the job
 * fails that is to build it.
 */
static bool
tighten_keys(const Shift *shift, const Pair *pair)
{
	List	   *from = list_make1(unconstify(SvRelease *, shift->from));
	bool		any = false;
	ListCell   *lc;

	foreach(lc, pair->coming->constraints)
	{
		SvPart	   *key = lfirst(lc);
		Oid			object = key->object;
		bool		is_newer;

		if (!sv_contract_is_key(key) ||
			part_on(pair->now->constraints, object) == NULL ||
			!sv_key_exempts(sv_contract_key_class(key), object, from, &is_newer) ||
			!is_newer || sv_require_is_nullable())
			continue;
		if (!sv_defer_is_inline(pair->now->physical))
		{
			leave_key(shift, key);
			continue;
		}
		key->object = sv_key_tighten(sv_contract_key_class(key), object, true);
		any |= key->object != object;
	}
	return any;
}

/* one that was put away does not hold back the version that has none such */
static bool
loosen_keys(const Shift *shift, const Pair *pair, bool forward)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, pair->going ? pair->going->constraints : NIL)
	{
		SvPart	   *key = lfirst(lc);
		SvPart	   *now = part_on(pair->now->constraints, key->object);

		if (now == NULL || !sv_is_hidden(now->name) ||
			!sv_contract_is_key(now) ||
			part_on(pair->coming->constraints, key->object))
			continue;
		any |= sv_key_loosen(shift->product, shift->to,
							 forward ? shift->from :
							 sv_key_last_without(shift->product, shift->from,
												 shift->to,
												 pair->now->physical,
												 key->object),
							 !forward, sv_contract_key_class(now),
							 &key->object);
	}
	return any;
}

/* keys of tables whose columns all have the names that they are to have */
static void
settle_keys(const Shift *shift, List *pairs, bool forward)
{
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);
		bool		tightened;

		if (!sv_contract_is_table(pair->now->kind))
			continue;
		tightened = forward && tighten_keys(shift, pair);
		if (loosen_keys(shift, pair, forward) || tightened)
			sv_expand_freeze(pair->now->physical);
	}
}

/* columns have got other names, by which the row trigger knows them */
static void
follow_pairs(List *pairs)
{
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Pair	   *pair = lfirst(lc);

		if (!sv_contract_is_table(pair->now->kind))
			continue;
		sv_expand_follow_names();
		sv_retain_return_indexes(pair->now->physical);
	}
}

/*
 * Defaults and constraints
 */

static void
note_defaults(Shift *shift, const SvEntry *coming, Oid view)
{
	Relation	relation = relation_open(view, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		ShownDefault *shown;

		if (!TupleDescAttr(desc, i)->atthasdef)
			continue;
		shown = palloc(sizeof(ShownDefault));
		shown->relation = coming->physical;
		shown->column = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));
		shown->expression = build_column_default(relation, i + 1);
		shift->defaults = lappend(shift->defaults, shown);
	}
	relation_close(relation, NoLock);
}

/* what the views of "to" give as defaults, before anything is moved */
static void
read_defaults(Shift *shift)
{
	ListCell   *lc;
	ListCell   *ls;

	foreach(lc, shift->coming)
	{
		SvEntry    *coming = lfirst(lc);

		foreach(ls, shift->to->schemas)
		{
			Oid			schema = get_namespace_oid(lfirst(ls), true);
			Oid			view = OidIsValid(schema) ?
			get_relname_relid(coming->name, schema) : InvalidOid;
			Oid			base;
			List	   *columns;

			if (OidIsValid(view) &&
				sv_contract_read_view(view, &base, &columns) &&
				base == coming->physical)
				note_defaults(shift, coming, view);
		}
	}
}

/* the text of a column's default, NULL if it has none */
static char *
wanted_default(const Shift *shift, Oid relation, const SvPart *column)
{
	ListCell   *lc;

	foreach(lc, column->expression ? shift->defaults : NIL)
	{
		ShownDefault *shown = lfirst(lc);

		if (shown->relation == relation &&
			strcmp(shown->column, column->name) == 0)
			return sv_contract_expression_text(shown->expression, relation);
	}
	return column->expression;
}

static void
set_defaults(const Shift *shift, const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);
		char	   *text;
		char	   *want;

		if (now == NULL || column->generated != ' ' ||
			now->identity != ' ' ||
			(OidIsValid(now->object) && now->object == column->object))
			continue;
		text = OidIsValid(now->object) ?
			sv_contract_default_text(now->object) : NULL;
		want = wanted_default(shift, pair->now->physical, column);
		if (strcmp(text ? text : "", want ? want : "") == 0)
			continue;
		run(psprintf("ALTER %s ALTER COLUMN %s %s%s",
					 alter_target(pair->now, pair->now->schema,
								  pair->now->name),
					 quote_identifier(now->name),
					 want ? "SET DEFAULT " : "DROP DEFAULT",
					 want ? want : ""));
	}
}

/* is there a row without a value? */
static bool
has_nulls(const char *table, const char *column)
{
	bool		result;

	run(psprintf("SELECT 1 FROM %s WHERE %s IS NULL LIMIT 1", table,
				 quote_identifier(column)));
	result = SPI_processed > 0;
	return result;
}

/*
 * What "to" may leave empty must not be demanded of it any more, nor be about
 * to be demanded.
 */
static void
drop_not_null(const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);
		char	   *check;

		if (now == NULL || !now->notnull || column->notnull ||
			is_inherited(pair->now, column->number))
			continue;
		check = sv_contract_pending_check(pair->now->physical, now->number);
		if (check)
			sv_retain_run(psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
								   pair->table, quote_identifier(check)));
		run(psprintf("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL",
					 pair->table, quote_identifier(now->name)));
	}
}

/* the columns of a table that are to be NOT NULL again: SvPart, as now */
static List *
lacking_not_null(const Shift *shift, const Pair *pair)
{
	List	   *lacking = NIL;
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);

		if (now && !now->notnull && column->notnull &&
			!is_inherited(pair->now, column->number) &&
			!sv_swap_is_left(shift->pending, pair->now->physical,
							 SV_JOB_NOTNULL, column->name) &&
			!(shift->from &&
			  sv_require_is_left(pair->now->physical, column)))
			lacking = lappend(lacking, now);
	}
	return lacking;
}

/* NOT NULL, for all but those that leave rows without a value */
static void
restore_not_null_of(const Shift *shift, const Pair *pair, const SvPart *now,
					bool for_all)
{
	Oid			relation = pair->now->physical;
	const char *column = quote_identifier(now->name);
	const SvGap *gap = sv_require_find_gap(shift->gaps, relation, now->number);
	char	   *check;

	if (for_all && !(gap ? gap->has_nulls : has_nulls(pair->table, now->name)))
	{
		if (gap)
			sv_require_leave(relation, now->name);
		else
			run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
						 pair->table, column));
		return;
	}
	check = sv_require_hold(shift->product, relation, now->number,
							for_all);
	if (for_all)
		ereport(WARNING,
				(errmsg("column \"%s\" of table %s is not NOT NULL again, there are rows without a value",
						now->name, pair->table),
				 errdetail("New rows are checked by constraint \"%s\".",
						   check),
				 errhint("Fill these rows, then run ALTER TABLE %s ALTER COLUMN %s SET NOT NULL, DROP CONSTRAINT %s.",
						 pair->table, column, quote_identifier(check))));
}

static void
restore_not_null(const Shift *shift, const Pair *pair, List *others)
{
	ListCell   *lc;

	foreach(lc, lacking_not_null(shift, pair))
	{
		SvPart	   *now = lfirst(lc);

		restore_not_null_of(shift, pair, now,
							others_demand_not_null(pair->now->physical,
												   now->number, others));
	}
}

/* an identity that only what was rolled back had */
static void
drop_identities(const Pair *pair, List *others)
{
	ListCell   *lc;
	ListCell   *le;
	ListCell   *lr;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);
		bool		needed = now == NULL || now->identity == ' ' ||
		column->identity != ' ' || is_inherited(pair->now, column->number);

		foreach(le, needed ? NIL : sv_catalog_entries_on(pair->now->physical))
		{
			SvPart	   *other =
			sv_contract_column_at(sv_catalog_entry(lfirst_int(le)),
								  column->number);

			foreach(lr, others)
				needed |= other && other->identity != ' ' &&
				sv_catalog_has_entry(lfirst(lr), lfirst_int(le));
		}
		if (!needed)
			run(psprintf("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY",
						 pair->table, quote_identifier(now->name)));
	}
}

/* may an identity be generated ALWAYS, for all that others write? */
static bool
others_generate(Oid relation, AttrNumber number, List *others)
{
	ListCell   *lr;
	ListCell   *le;

	foreach(lr, others)
	{
		foreach(le, sv_catalog_entries_on(relation))
		{
			SvPart	   *column = sv_catalog_has_entry(lfirst(lr),
													  lfirst_int(le)) ?
			sv_contract_column_at(sv_catalog_entry(lfirst_int(le)), number) :
			NULL;

			if (column && column->identity != 'a')
				return false;
		}
	}
	return true;
}

/* an identity that others wrote values of their own into, until they went */
static void
restore_always(const Pair *pair, List *others)
{
	ListCell   *lc;

	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);

		if (now && now->identity == 'd' && column->identity == 'a' &&
			!is_inherited(pair->now, column->number) &&
			others_generate(pair->now->physical, column->number, others))
			run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET GENERATED ALWAYS",
						 pair->table, quote_identifier(now->name)));
	}
}

/*
 * Is it the same constraint that another entry on the table has, though the
 * texts differ?  That of one that the table has lost stays in the names of
 * then, which a migration may have changed since: those of today tell, or what
 * the columns are kept in step with.
 */
static bool
is_same_constraint(const SvProduct *product, const SvEntry *entry,
				   const SvPart *other, const SvEntry *coming,
				   const SvPart *constraint)
{
	char	   *text;
	char	   *other_text;

	if (strchr("cf", constraint->flavour) == NULL ||
		other->flavour != constraint->flavour || other->type == NULL ||
		constraint->type == NULL)
		return false;
	if (sv_lost_is_same(product, coming, constraint, entry, other))
		return true;
	if (constraint->flavour == CONSTRAINT_CHECK)
		return false;
	text = sv_lost_text(product, coming, constraint);
	other_text = sv_lost_text(product, entry, other);
	return text && other_text && strcmp(text, other_text) == 0;
}

static bool
has_same_text(const SvPart *other, const SvPart *constraint)
{
	return other->flavour == constraint->flavour && other->expression &&
		constraint->expression &&
		strcmp(other->expression, constraint->expression) == 0;
}

/* does an entry have a constraint like that, or none of its columns? */
static bool
can_live_with(const SvProduct *product, const SvEntry *entry,
			  const SvEntry *coming, const SvPart *constraint)
{
	bool		knows_any = constraint->columns == NIL;
	ListCell   *lc;

	foreach(lc, entry->constraints)
	{
		if (has_same_text(lfirst(lc), constraint))
			return true;
	}
	foreach(lc, constraint->columns)
		knows_any |= sv_contract_column_at(entry, lfirst_int(lc)) != NULL;
	if (!knows_any)
		return true;
	foreach(lc, entry->constraints)
	{
		if (is_same_constraint(product, entry, lfirst(lc), coming, constraint))
			return true;
	}
	return false;
}

/* can every other supported version live with the constraint? */
static bool
others_allow(const SvProduct *product, const Pair *pair,
			 const SvPart *constraint, List *others)
{
	ListCell   *lr;
	ListCell   *le;

	foreach(lr, others)
	{
		foreach(le, sv_catalog_entries_on(pair->now->physical))
		{
			if (sv_catalog_has_entry(lfirst(lr), lfirst_int(le)) &&
				!can_live_with(product, sv_catalog_entry(lfirst_int(le)),
							   pair->coming, constraint))
				return false;
		}
	}
	return true;
}

/* is there a version that does not know a column of a constraint? */
static bool
is_left_out(Oid relation, const SvPart *constraint, List *others)
{
	ListCell   *lr;
	ListCell   *lc;

	foreach(lr, others)
	{
		SvEntry    *entry = sv_catalog_entry_of(lfirst(lr), relation);

		foreach(lc, entry ? constraint->columns : NIL)
		{
			if (sv_contract_column_at(entry, lfirst_int(lc)) == NULL)
				return true;
		}
	}
	return false;
}

/*
 * Would a row that leaves out the columns of a CHECK be rejected?  That is
 * what the versions that do not know them write.
 */
static bool
rejects_defaults(const Pair *pair, const SvPart *check)
{
	StringInfoData query;
	ListCell   *lc;

	initStringInfo(&query);
	foreach(lc, pair->coming->columns)
	{
		SvPart	   *column = lfirst(lc);
		SvPart	   *now = sv_contract_column_at(pair->now, column->number);
		char	   *text = now && OidIsValid(now->object) ?
		sv_contract_default_text(now->object) : NULL;

		if (now == NULL)
			continue;
		if (list_member_int(check->columns, now->number) &&
			(now->generated != ' ' || now->identity != ' '))
			return false;
		if (now->generated != ' ')
			text = NULL;
		appendStringInfo(&query, "%s CAST(%s AS %s) AS %s",
						 query.len ? "," : "SELECT 1 FROM (SELECT",
						 text ? text : "NULL", now->type,
						 quote_identifier(column->name));
	}
	if (query.len == 0)
		return false;
	appendStringInfo(&query, ") AS t WHERE NOT %.*s",
					 (int) (strrchr(check->type, ')') + 1 - check->type) -
					 (int) strlen("CHECK "), check->type + strlen("CHECK "));
	run(query.data);
	return SPI_processed > 0;
}

/*
 * A foreign key that was relaxed when its table was put away gives way to the
 * one it was.  False if anything else has the constraint's name.
 */
static bool
make_room(const Pair *pair, const SvPart *constraint)
{
	ListCell   *lc;

	foreach(lc, pair->now->constraints)
	{
		SvPart	   *now = lfirst(lc);

		if (strcmp(now->name, constraint->name) != 0)
			continue;
		if (now->flavour != CONSTRAINT_FOREIGN ||
			constraint->flavour != CONSTRAINT_FOREIGN ||
			pair->going != NULL || is_inherited_constraint(now))
			return false;
		run(psprintf("ALTER TABLE %s DROP CONSTRAINT %s", pair->table,
					 quote_identifier(now->name)));
	}
	return true;
}

static void
run_work(void *argument)
{
	run(argument);
}

/*
 * Run a statement unless there are rows that it does not allow, or the key that
 * a foreign key is to refer to holds for some versions alone: then that is
 * returned.
 */
static ErrorData *
run_if_allowed(char *statement)
{
	ErrorData  *error = sv_trial_attempt(run_work, statement);

	if (error && error->sqlerrcode != ERRCODE_CHECK_VIOLATION &&
		error->sqlerrcode != ERRCODE_FOREIGN_KEY_VIOLATION &&
		error->sqlerrcode != ERRCODE_INVALID_FOREIGN_KEY)
		ReThrowError(error);
	return error;
}

/* is a constraint of that name there, but not validated? */
static bool
is_not_validated(Oid relation, const char *name)
{
	Oid			constraint = get_relation_constraint_oid(relation, name, true);
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = !((Form_pg_constraint) GETSTRUCT(tuple))->convalidated;
	ReleaseSysCache(tuple);
	return result;
}

/* a constraint comes back, and rows are against it */
static void
warn_of_rows(const Pair *pair, const SvPart *constraint,
			 const ErrorData *problem)
{
	ereport(WARNING,
			(errcode(problem->sqlerrcode),
			 errmsg("constraint %s of table %s does not hold for all rows",
					quote_identifier(constraint->name), pair->table),
			 problem->detail ? errdetail("%s", problem->detail) :
			 errdetail("%s.", problem->message),
			 errhint("Mend these rows, then do what schemaver.verify() says.")));
}

/*
 * What is restored is compared with the rows that are there: a large table's
 * by a job that nobody waits for.  If rows are against it, it stays as it is,
 * which is a warning if that is asked for.
 */
static void
validate_constraints(const Pair *pair, bool warns)
{
	ListCell   *lc;

	foreach(lc, pair->coming->constraints)
	{
		SvPart	   *constraint = lfirst(lc);
		ErrorData  *problem = NULL;

		if (strchr("cf", constraint->flavour) == NULL ||
			constraint->type == NULL ||
			sv_contract_is_not_valid(constraint->type) ||
			!is_not_validated(pair->now->physical, constraint->name))
			continue;
		if (!sv_defer_is_inline(pair->now->physical))
			sv_defer_add_late(SV_JOB_VALIDATE, pair->now->physical,
							  constraint->name, NULL);
		else
			problem = run_if_allowed(psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s",
											  pair->table,
											  quote_identifier(constraint->name)));
		if (problem && warns)
			warn_of_rows(pair, constraint, problem);
	}
}

/*
 * Are the rows of a foreign key out of sight of the version to leave?  What it
 * has done to those that they refer to it could not know to be wrong, and
 * nobody who uses it could mend it.
 */
static bool
is_out_of_sight(const Pair *pair, const SvPart *constraint)
{
	ListCell   *lc;

	if (constraint->flavour != CONSTRAINT_FOREIGN)
		return false;
	foreach(lc, pair->going ? constraint->columns : NIL)
	{
		if (sv_contract_column_at(pair->going, lfirst_int(lc)) == NULL)
			return true;
	}
	return pair->going == NULL;
}

/* to a newer version, and not what a retired one has left? */
static bool
is_forward(const Shift *shift)
{
	return shift->from && sv_version_compare(shift->to->version,
											 shift->from->version) > 0;
}

/* add one in the names of today; at once, or if the rows allow it */
static void
add_constraint(const Shift *shift, const Pair *pair, const SvPart *constraint,
			   char *text, bool at_once)
{
	ErrorData  *problem;

	if (!sv_contract_is_not_valid(text) &&
		pair->now->kind != RELKIND_PARTITIONED_TABLE &&
		(!at_once || !sv_defer_is_inline(pair->now->physical)))
	{
		text = psprintf("%s NOT VALID", text);
		if (at_once)
			sv_defer_add(SV_JOB_VALIDATE, pair->now->physical,
						 constraint->name, NULL, NULL);
	}
	text = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", pair->table,
					quote_identifier(constraint->name), text);
	if (at_once)
	{
		run(text);
		return;
	}
	problem = run_if_allowed(text);
	if (problem && is_forward(shift))
		warn_of_rows(pair, constraint, problem);
}

/*
 * With "validate" they are compared with the rows that are there: a large
 * table's by a job.
 */
static void
restore_constraints(const Shift *shift, const Pair *pair, List *others,
					bool validate)
{
	ListCell   *lc;

	foreach(lc, pair->coming->constraints)
	{
		SvPart	   *constraint = lfirst(lc);
		char	   *text;

		if (strchr("cf", constraint->flavour) == NULL ||
			constraint->type == NULL ||
			part_on(pair->now->constraints, constraint->object) ||
			!others_allow(shift->product, pair, constraint, others) ||
			(constraint->flavour == CONSTRAINT_CHECK &&
			 is_left_out(pair->now->physical, constraint, others) &&
			 rejects_defaults(pair, constraint)))
			continue;
		text = sv_lost_text(shift->product, pair->coming, constraint);
		if (text == NULL || !make_room(pair, constraint))
			continue;
		add_constraint(shift, pair, constraint, text,
					   validate && !is_out_of_sight(pair, constraint));
	}
}

/* keys that are no primary keys for want of NOT NULL */
static void
restore_keys(const Pair *pair)
{
	ListCell   *lc;

	foreach(lc, pair->coming->constraints)
	{
		SvPart	   *constraint = lfirst(lc);
		SvPart	   *now = part_on(pair->now->constraints,
								  constraint->object);

		if (now && constraint->flavour == CONSTRAINT_PRIMARY &&
			now->flavour == CONSTRAINT_UNIQUE)
			sv_retain_return_unique(pair->now->physical, constraint);
	}
}

/* tables of "to" that both versions have, or that came back just now */
static List *
make_pairs(const Shift *shift, List *entries)
{
	List	   *pairs = NIL;
	ListCell   *lc;

	foreach(lc, entries)
	{
		SvEntry    *coming = lfirst(lc);
		SvEntry    *now = sv_contract_resolve(coming);
		Pair	   *pair;

		if (now == NULL || now->physical != coming->physical ||
			!sv_catalog_is_base_schema(shift->product, now->schema))
			continue;
		pair = palloc(sizeof(Pair));
		pair->coming = coming;
		pair->going = entry_on(shift->going, coming->physical);
		pair->now = now;
		pair->table = sql_name(now);
		pairs = lappend(pairs, pair);
	}
	return pairs;
}

/*
 * Constraints that the version to go to has and that every other supported
 * version can live with.
 */
static void
restore_all(const Shift *shift, List *supported)
{
	List	   *others = others_than(shift->to, supported);
	ListCell   *lc;

	foreach(lc, make_pairs(shift, shift->coming))
	{
		Pair	   *pair = lfirst(lc);

		if (!sv_contract_is_table(pair->now->kind))
			continue;
		drop_not_null(pair);
		restore_not_null(shift, pair, others);
		restore_constraints(shift, pair, others, is_forward(shift));
		validate_constraints(pair, is_forward(shift));
		restore_keys(pair);
	}
}

static void
check_owner(const Shift *shift)
{
	ListCell   *lc;

	foreach(lc, shift->coming)
	{
		SvEntry    *entry = lfirst(lc);

		if (sv_contract_is_relation(entry->kind) &&
			get_rel_name(entry->physical) &&
			!pg_class_ownercheck(entry->physical, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
						   get_rel_name(entry->physical));
		if (entry->kind == SV_ENTRY_FUNCTION &&
			!pg_proc_ownercheck(entry->physical, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, entry->name);
		if (entry->kind == SV_ENTRY_TYPE &&
			!pg_type_ownercheck(entry->physical, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TYPE, entry->name);
	}
}

/* the relations whose shape differs between two releases: OIDs */
static List *
shifted_relations(const SvRelease *from, const SvRelease *to)
{
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, list_concat(entries_without(to, from),
							entries_without(from, to)))
	{
		SvEntry    *entry = lfirst(lc);

		if (sv_contract_is_relation(entry->kind) &&
			get_rel_name(entry->physical))
			relations = list_append_unique_oid(relations, entry->physical);
	}
	return relations;
}

/*
 * Foreign keys of tables that are the same in both versions, but refer to a
 * column that has changed places, were made anew as well.
 */
static void
validate_referring(const Shift *shift)
{
	List	   *entries = NIL;
	ListCell   *lc;

	foreach(lc, sv_swap_referring(shifted_relations(shift->from, shift->to)))
	{
		SvEntry    *entry = sv_catalog_entry_of(shift->to, lfirst_oid(lc));

		if (entry && sv_catalog_has_entry(shift->from, entry->id))
			entries = lappend(entries, entry);
	}
	foreach(lc, make_pairs(shift, entries))
	{
		Pair	   *pair = lfirst(lc);

		if (sv_contract_is_table(pair->now->kind))
			validate_constraints(pair, false);
	}
}

/* defaults, and what the version to go to demands whatever the others do */
static void
set_demands(const Shift *shift, bool forward)
{
	ListCell   *lc;

	foreach(lc, make_pairs(shift, shift->coming))
	{
		Pair	   *pair = lfirst(lc);

		if (sv_contract_is_table(pair->now->kind) ||
			pair->now->kind == RELKIND_VIEW)
			set_defaults(shift, pair);
		if (!sv_contract_is_table(pair->now->kind))
			continue;
		sv_require_shift(shift->product, shift->from, shift->to,
						 pair->now->physical);

		/* as when the script ran first, what older versions write is checked */
		if (forward)
			restore_constraints(shift, pair, NIL, true);
	}
}

/*
 * Columns that another one of the same name is to replace: what stands on the
 * name but keys and views, a list of SvStanding.  It stays where it is.
 */
static List *
loosen_standing(List *pairs)
{
	List	   *standing = NIL;
	ListCell   *lp;
	ListCell   *lc;

	foreach(lp, pairs)
	{
		Pair	   *pair = lfirst(lp);

		foreach(lc, pair->going && sv_contract_is_table(pair->now->kind) ?
				pair->coming->columns : NIL)
		{
			SvPart	   *column = lfirst(lc);
			AttrNumber	number = get_attnum(pair->now->physical, column->name);
			SvStanding *all;

			if (number <= 0 || number == column->number ||
				sv_contract_column_at(pair->coming, number))
				continue;
			all = sv_split_read(pair->now->physical, number);
			sv_split_loosen(all);
			standing = lappend(standing, all);
		}
	}
	return standing;
}

/* what a table that both versions have is to be without */
static void
leave_parts(const Shift *shift, const Pair *pair)
{
	if (pair->going == NULL || !sv_contract_is_table(pair->now->kind))
		return;
	return_sequences(pair);
	end_identities(shift, pair);
	drop_parts(shift, pair);
	return_identities(shift, pair);
}

/* the pairs as they are now, of some relations only unless that is NIL */
static List *
pairs_of(const Shift *shift, List *relations)
{
	List	   *pairs = NIL;
	ListCell   *lc;

	foreach(lc, make_pairs(shift, shift->coming))
	{
		if (relations == NIL ||
			list_member_oid(relations, ((Pair *) lfirst(lc))->now->physical))
			pairs = lappend(pairs, lfirst(lc));
	}
	return pairs;
}

/* what is in relations, or in all if they are NIL, takes on the names of "to" */
static void
rename_within(const Shift *shift, List *relations)
{
	ListCell   *lc;

	foreach(lc, pairs_of(shift, relations))
	{
		Pair	   *pair = lfirst(lc);

		if (sv_contract_is_relation(pair->now->kind) &&
			pair->now->kind != RELKIND_SEQUENCE)
			rename_columns(pair);
	}
	rename_all_parts(pairs_of(shift, relations), false);
	rename_all_parts(pairs_of(shift, relations), true);
}

/* the newest supported version, but for "to", that has an object: its entry */
static const SvEntry *
last_entry_on(const Shift *shift, Oid physical)
{
	const SvEntry *last = NULL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(shift->product, true))
	{
		SvRelease  *release = lfirst(lc);
		SvEntry    *entry = release->id == shift->to->id ? NULL :
		sv_catalog_entry_of(release, physical);

		if (entry)
			last = entry;
	}
	return last;
}

/*
 * Views made by hand
 */

/* the column of "to" that is kept in step with one of "from", 0 if none is */
static AttrNumber
successor_at(const Pair *pair, AttrNumber number)
{
	Oid			relation = pair->now->physical;
	List	   *pairs = sv_sync_pairs(relation);
	List	   *seen = list_make1_int(number);
	ListCell   *lc;

	for (int i = 0; i < list_length(seen); i++)
	{
		AttrNumber	at = list_nth_int(seen, i);

		if (sv_contract_column_at(pair->coming, at))
			return at;
		foreach(lc, pairs)
		{
			SvSyncPair *columns = lfirst(lc);
			AttrNumber	old = get_attnum(relation, columns->old_column);
			AttrNumber	new = get_attnum(relation, columns->new_column);

			if (old == at && new != InvalidAttrNumber)
				seen = list_append_unique_int(seen, new);
			if (new == at && old != InvalidAttrNumber)
				seen = list_append_unique_int(seen, old);
		}
	}
	return InvalidAttrNumber;
}

/* what takes the place of a column, in the table and in its heirs */
static List *
add_successions(List *successions, const Pair *pair, const SvPart *column)
{
	Oid			relation = pair->now->physical;
	AttrNumber	to = successor_at(pair, column->number);
	char	   *name = to == InvalidAttrNumber ? NULL :
	get_attname(relation, to, false);
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, NoLock, NULL))
	{
		SvSuccession *succession = palloc(sizeof(SvSuccession));

		succession->relation = lfirst_oid(lc);
		succession->from = get_attnum(lfirst_oid(lc), column->name);
		succession->to = name ? get_attnum(lfirst_oid(lc), name) :
			InvalidAttrNumber;
		successions = lappend(successions, succession);
	}
	return successions;
}

/* the columns that are to go, and what takes their places: of SvSuccession */
static List *
find_successions(const Shift *shift)
{
	List	   *successions = NIL;
	ListCell   *lp;
	ListCell   *lc;

	foreach(lp, make_pairs(shift, shift->coming))
	{
		Pair	   *pair = lfirst(lp);

		foreach(lc, pair->going && sv_contract_is_table(pair->now->kind) ?
				pair->now->columns : NIL)
		{
			SvPart	   *column = lfirst(lc);

			if (!sv_is_hidden(column->name) &&
				!is_inherited(pair->now, column->number) &&
				sv_contract_column_at(pair->coming, column->number) == NULL)
				successions = add_successions(successions, pair, column);
		}
	}
	return successions;
}

/* the views of "more" come behind all others: they may stand on these */
static List *
add_views(List *views, List *more)
{
	return list_concat(list_difference_oid(views, more), more);
}

/* all that stand on what "to" does not have, the lowest first */
static List *
views_to_go(const Shift *shift, List *successions)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, shift->going)
	{
		SvEntry    *going = lfirst(lc);
		SvEntry    *now = sv_contract_is_relation(going->kind) ?
		sv_contract_resolve(going) : NULL;

		if (now && !entry_on(shift->coming, going->physical) &&
			sv_catalog_is_base_schema(shift->product, now->schema) &&
			!is_replaced(shift, entry_named(shift->coming, going), going))
			views = add_views(views, sv_split_views_on(going->physical));
	}
	foreach(lc, successions)
	{
		SvSuccession *succession = lfirst(lc);

		views = add_views(views,
						  sv_split_views(sv_split_read(succession->relation,
													   succession->from)));
	}
	return views;
}

/*
 * Those that no version has would go along.  A materialized view has rows that
 * somebody keeps by hand.
 */
static List *
views_by_hand(const Shift *shift, List *successions)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, views_to_go(shift, successions))
	{
		Oid			view = lfirst_oid(lc);

		if (last_entry_on(shift, view) ||
			sv_catalog_entry_of(shift->to, view))
			continue;
		if (get_rel_relkind(view) == RELKIND_MATVIEW)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("version %s of product \"%s\" cannot be made current: materialized view %s would be dropped",
							shift->to->label, shift->product->name,
							sv_catalog_relation_name(view)),
					 errdetail("It was made by hand, of what that version does not have."),
					 errhint("Drop it, and make it again afterwards.")));
		views = lappend_oid(views, view);
	}
	return views;
}

/* take them down, for sv_follow_make() */
static SvFollowing *
take_views(const Shift *shift)
{
	List	   *successions = find_successions(shift);

	return sv_follow_take(views_by_hand(shift, successions), successions,
						  psprintf("version %s of product \"%s\" cannot be made current",
								   shift->to->label, shift->product->name));
}

/*
 * A table that has come back is as the last version that had it has left it,
 * which need not be "to".
 */
static void
fit_returned(const Shift *shift)
{
	List	   *returned = NIL;
	ListCell   *lc;

	foreach(lc, make_pairs(shift, shift->coming))
	{
		Pair	   *pair = lfirst(lc);

		if (pair->going != NULL)
			continue;
		pair->going = last_entry_on(shift, pair->coming->physical);
		leave_parts(shift, pair);
		returned = lappend_oid(returned, pair->coming->physical);
	}
	if (returned != NIL)
		rename_within(shift, returned);
}

/*
 * Change the base schemas from one supported release to another.  Runs as the
 * caller, who must own what is changed, while contracts collect and expand.c
 * puts away: between sv_shift_begin() and sv_shift_end().
 */
void
sv_shift_to(const SvProduct *product, const SvRelease *from,
			const SvRelease *to)
{
	int			nestlevel = sv_contract_enter();
	Shift		shift = {product, from, to, entries_without(from, to),
	entries_without(to, from), NIL, sv_swap_pending(product, to), NIL};
	bool		forward = sv_version_compare(to->version, from->version) > 0;
	List	   *keys = sv_swap_note_keys(to, shifted_relations(from, to));
	List	   *statistics =
	sv_swap_note_statistics(shifted_relations(from, to));
	List	   *standing;
	SvFollowing *following;
	ListCell   *lc;

	check_lost(&shift);
	check_owner(&shift);
	read_defaults(&shift);
	following = take_views(&shift);
	standing = loosen_standing(make_pairs(&shift, shift.coming));
	SPI_connect();
	if (forward)
		sv_plain_drop(product, from, to);
	drop_objects(&shift);
	foreach(lc, make_pairs(&shift, shift.coming))
		leave_parts(&shift, lfirst(lc));
	rename_objects(&shift);
	rename_within(&shift, NIL);
	return_objects(&shift);
	fit_returned(&shift);
	foreach(lc, make_pairs(&shift, shift.coming))
	{
		Pair	   *pair = lfirst(lc);

		if (sv_contract_is_table(pair->now->kind))
			return_parts(pair);
	}
	follow_pairs(make_pairs(&shift, shift.coming));
	settle_keys(&shift, make_pairs(&shift, shift.coming), forward);
	foreach(lc, standing)
		sv_split_return(lfirst(lc));
	sv_swap_return_keys(keys, shift.pending, forward);
	sv_swap_return_statistics(statistics);
	set_demands(&shift, forward);
	restore_all(&shift, sv_catalog_releases(product, true));
	if (!forward)
		validate_referring(&shift);
	sv_follow_make(following);
	sv_plain_build(product, to);
	SPI_finish();
	sv_contract_leave(nestlevel);
}

/* views first, as sessions do */
static void
lock_relations(const SvProduct *product, List *releases, List *relations,
			   List **needed)
{
	List	   *views = NIL;
	ListCell   *lr;
	ListCell   *lv;

	*needed = NIL;
	foreach(lr, relations)
	{
		*needed = sv_lock_need(*needed, lfirst_oid(lr), AccessExclusiveLock);
		foreach(lv, sv_compat_views_on(product, releases, lfirst_oid(lr)))
			views = list_append_unique_oid(views, lfirst_oid(lv));
	}
	sv_lock_take(views, *needed);
}

/* what was to be validated is so still, if the release has it as well */
static void
validate_forgotten(List *jobs, const SvRelease *to)
{
	ListCell   *lj;
	ListCell   *lc;

	foreach(lj, jobs)
	{
		SvJob	   *job = lfirst(lj);
		SvEntry    *entry = strcmp(job->kind, SV_JOB_VALIDATE) == 0 ?
		sv_catalog_entry_of(to, job->relid) : NULL;

		foreach(lc, entry ? entry->constraints : NIL)
		{
			SvPart	   *constraint = lfirst(lc);

			if (strchr("cf", constraint->flavour) &&
				strcmp(constraint->name, job->name) == 0 &&
				constraint->type &&
				!sv_contract_is_not_valid(constraint->type))
				sv_defer_add_late(SV_JOB_VALIDATE, job->relid, job->name,
								  NULL);
		}
	}
}

/*
 * Begin to change the base schemas from one release to another: contracts
 * collect, expand.c puts away, the relations that differ are locked.  Keeps in
 * *needed what is to be locked, for sv_lock_retry().
 */
void
sv_shift_begin(SvProduct *product, SvRelease *from, SvRelease *to,
			   List **needed)
{
	List	   *releases = sv_catalog_releases(product, true);
	List	   *relations =
	list_concat_unique_oid(shifted_relations(from, to),
						   sv_plain_tables(product, from, to));
	List	   *forgotten = sv_jobs_forget_restoring(product);

	relations = list_concat_unique_oid(relations,
									   sv_refer_ends(product, from,
													 relations));
	relations = list_concat_unique_oid(relations,
									   sv_refer_ends(product, to, relations));
	sv_contract_collect_begin();
	if (sv_catalog_drifted(product))
		sv_contract_touch_all();
	lock_relations(product, releases,
				   list_concat_unique_oid(relations,
										  sv_swap_referring(relations)),
				   needed);
	sv_expand_begin(product, from, to, releases, NULL);
	validate_forgotten(forgotten, to);
}

/* unregistered sessions write what the current version does */
static void
turn_pairs(List *relations, const SvRelease *current)
{
	ListCell   *lr;
	ListCell   *lp;

	foreach(lr, relations)
	{
		List	   *pairs = get_rel_name(lfirst_oid(lr)) ?
		sv_sync_pairs(lfirst_oid(lr)) : NIL;

		foreach(lp, pairs)
		{
			SvSyncPair *pair = lfirst(lp);

			pair->newest_is_new = !sv_sync_is_old(pair, current->version);
		}
		if (pairs != NIL)
			sv_sync_set(lfirst_oid(lr), pairs);
	}
}

/*
 * Does a finding keep a release from being the current one?  What is filled in
 * for newer versions may stay NOT NULL.  A constraint of a domain that only
 * newer versions know goes on holding, as it has while they were current.
 */
static bool
is_in_the_way(const SvFinding *finding, const SvRelease *to)
{
	if (finding->severity == SV_FATAL)
		return true;
	if (finding->release->id != to->id || finding->required ||
		(finding->entry->kind == SV_ENTRY_TYPE && OidIsValid(finding->object)))
		return false;
	return finding->severity == SV_BREAKS || finding->severity == SV_KEPT;
}

/* a version that would not work any more must not be live */
static void
check_result(const SvProduct *product, const SvRelease *to, List *releases)
{
	ListCell   *lc;

	foreach(lc, sv_contract_judge(releases))
	{
		SvFinding  *finding = lfirst(lc);

		if (!is_in_the_way(finding, to))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("version %s of product \"%s\" cannot be made current: %s would break version %s",
						to->label, product->name, finding->change,
						finding->release->label),
				 errdetail("%s", finding->reason),
				 errhint("schemaver.verify() tells what was changed by hand.")));
	}
}

/*
 * The base schemas have been changed from one release to another: that is the
 * current one now, all others get the views that they need.
 */
void
sv_shift_end(SvProduct *product, SvRelease *from, SvRelease *to)
{
	int			nestlevel;
	List	   *releases;

	sv_expand_end();
	turn_pairs(shifted_relations(from, to), to);
	nestlevel = sv_contract_enter();
	releases = sv_catalog_releases(product, true);
	check_result(product, to, releases);
	sv_contract_relink(releases, false);
	sv_catalog_set_current(product, to->id);
	sv_hold_settle(product);
	sv_jobs_add_deferred(product, to,
						 sv_version_compare(to->version, from->version) < 0);
	(void) sv_refer_settle_all(product, false);
	(void) sv_compat_reconcile(product, releases);
	sv_publish_settle(false);
	sv_publish_report();
	sv_expand_settle();
	if (sv_contract_touched_rights())
		sv_compat_sync_rights(InvalidOid);
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
}

/* the entries of the current release that a retired one did not have */
static List *
entries_of_current(const SvRelease *current, List *retired)
{
	List	   *entries = NIL;
	ListCell   *lc;

	for (int i = 0; i < current->nentries; i++)
	{
		foreach(lc, retired)
		{
			if (!sv_catalog_has_entry(lfirst(lc), current->entries[i]))
				break;
		}
		if (lc != NULL)
			entries = lappend(entries, sv_catalog_entry(current->entries[i]));
	}
	return entries;
}

/*
 * The columns of large tables that will be NOT NULL again when these releases
 * are retired and those stay: a list of SvGap, for sv_require_look().
 */
List *
sv_shift_gaps(const SvProduct *product, const SvRelease *current,
			  List *retired, List *staying)
{
	int			nestlevel = sv_contract_enter();
	Shift		shift = {product, NULL, current, NIL, NIL, NIL,
	sv_swap_pending(product, current), NIL};
	List	   *others = others_than(current, staying);
	List	   *gaps = NIL;
	ListCell   *lp;
	ListCell   *lc;

	foreach(lp, make_pairs(&shift, entries_of_current(current, retired)))
	{
		Pair	   *pair = lfirst(lp);

		if (!sv_contract_is_table(pair->now->kind) ||
			sv_defer_is_inline(pair->now->physical))
			continue;
		foreach(lc, lacking_not_null(&shift, pair))
		{
			AttrNumber	column = ((SvPart *) lfirst(lc))->number;
			SvGap	   *gap;

			if (!others_demand_not_null(pair->now->physical, column, others))
				continue;
			gap = palloc0(sizeof(SvGap));
			gap->relation = pair->now->physical;
			gap->column = column;
			gaps = lappend(gaps, gap);
		}
	}
	sv_contract_leave(nestlevel);
	return gaps;
}

static void
become_owner_of(const Pair *pair, SvIdentity *identity)
{
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(pair->now->physical),
						   identity->context | SECURITY_RESTRICTED_OPERATION);
}

/* what the current version demands of columns, primary keys included */
static void
restore_columns(const Shift *shift, List *others)
{
	ListCell   *lc;

	foreach(lc, make_pairs(shift, shift->coming))
	{
		Pair	   *pair = lfirst(lc);
		SvIdentity	identity;

		if (!sv_contract_is_table(pair->now->kind))
			continue;
		become_owner_of(pair, &identity);
		drop_identities(pair, others);
		restore_always(pair, others);
		restore_not_null(shift, pair, others);
		sv_catalog_become_caller(&identity);
		restore_keys(pair);
	}
}

/*
 * Restore what retired releases could not live with of what the current one
 * expects, unless another of those that stay could not either.  The tables are
 * changed as their owners.  What takes long, and what "gaps" tells of, is left to jobs
 * of the work that runs.
 */
void
sv_shift_restore(const SvProduct *product, const SvRelease *current,
				 List *retired, List *staying, List *gaps)
{
	Shift		shift = {product, NULL, current, NIL, NIL, NIL,
	sv_swap_pending(product, current), gaps};
	List	   *others = others_than(current, staying);
	List	   *left = NIL;
	ListCell   *lc;

	shift.coming = entries_of_current(current, retired);
	SPI_connect();
	restore_columns(&shift, others);

	/* before the foreign keys that refer to them */
	(void) sv_key_tighten_all(current, others, false, &left);
	foreach(lc, left)
		leave_key(&shift, lfirst(lc));
	foreach(lc, make_pairs(&shift, shift.coming))
	{
		Pair	   *pair = lfirst(lc);
		SvIdentity	identity;

		if (!sv_contract_is_table(pair->now->kind))
			continue;
		become_owner_of(pair, &identity);
		restore_constraints(&shift, pair, others, false);
		validate_constraints(pair, false);
		sv_catalog_become_caller(&identity);
	}
	SPI_finish();
}

/* a table's entry with nothing but the foreign keys that waited for these */
static SvEntry *
with_awaiting(const SvProduct *product, const SvEntry *entry, List *indexes)
{
	SvEntry    *result = memcpy(palloc(sizeof(SvEntry)), entry,
								sizeof(SvEntry));
	ListCell   *lc;
	ListCell   *li;

	result->constraints = NIL;
	foreach(lc, sv_contract_is_table(entry->kind) ? entry->constraints : NIL)
	{
		foreach(li, indexes)
		{
			if (sv_lost_awaits(product, entry, lfirst(lc), lfirst_oid(li)))
				result->constraints =
					list_append_unique_ptr(result->constraints, lfirst(lc));
		}
	}
	return result;
}

/* as the owner of the table; how many of them are there then */
static int
restore_references(const Shift *shift, const Pair *pair, List *others)
{
	int			restored = 0;
	SvIdentity	identity;
	ListCell   *lc;

	become_owner_of(pair, &identity);
	restore_constraints(shift, pair, others, false);
	validate_constraints(pair, false);
	sv_catalog_become_caller(&identity);
	foreach(lc, pair->coming->constraints)
	{
		const SvPart *key = lfirst(lc);

		if (OidIsValid(get_relation_constraint_oid(pair->now->physical,
												   key->name, true)))
			restored++;
	}
	return restored;
}

/*
 * Unique indexes hold for all again: restore the foreign keys to their columns
 * that the current release has, unless another supported one could not live
 * with them.  The tables are changed as their owners; rows of large ones are
 * compared by jobs of the oldest supported release.  Returns how many there
 * were.  Locks the tables on both sides in ShareRowExclusiveLock; the caller
 * holds the product's lock, and contracts are collecting.
 */
int
sv_shift_restore_references(const SvProduct *product,
							const SvRelease *current, List *indexes)
{
	List	   *supported = sv_catalog_releases(product, true);
	Shift		shift = {product, NULL, current, NIL, NIL, NIL, NIL, NIL};
	const SvRelease *oldest = current;
	int			nestlevel = sv_contract_enter();
	int			restored = 0;
	ListCell   *lc;

	for (int i = 0; i < current->nentries; i++)
	{
		SvEntry    *entry =
		with_awaiting(product, sv_catalog_entry(current->entries[i]), indexes);

		if (entry->constraints != NIL)
			shift.coming = lappend(shift.coming, entry);
	}
	foreach(lc, supported)
	{
		if (sv_version_compare(((SvRelease *) lfirst(lc))->version,
							   oldest->version) < 0)
			oldest = lfirst(lc);
	}
	sv_defer_begin(product, NULL);
	SPI_connect();
	foreach(lc, make_pairs(&shift, shift.coming))
		restored += restore_references(&shift, lfirst(lc),
									   others_than(current, supported));
	SPI_finish();
	sv_jobs_add_deferred(product, oldest, true);
	sv_defer_end();
	sv_contract_leave(nestlevel);
	return restored;
}
