/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Check that the database is what the supported versions expect.
 *
 * What apply() and the guard look at when something changes is looked at as a
 * whole: contracts against the catalogs, version schemas against what
 * reconcile would make of them, retained data against who needs them, and
 * what the guard itself rests on.  A row of the result is a finding.
 *
 * Each product is looked at in a subtransaction that is always rolled back.
 * So it can be locked against migrations and have its links to the catalogs
 * renewed, as reconcile does before it compares, and nothing stays of it: no
 * lock and no change.  On a standby, and in a transaction that is read only,
 * the links are taken as they are.
 *
 * Keys of rows and errors of jobs are told to who may read the table.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(schemaver_verify);

/* how many rows without a value a finding names */
#define KEYS_SHOWN		5

/* columns of the type schemaver.finding */
enum finding_columns
{
	Finding_product = 1, Finding_version, Finding_severity, Finding_object,
	Finding_finding, Finding_detail, Finding_hint,
	Finding_columns = Finding_hint
};

/* one row of the result */
typedef struct Finding
{
	char	   *product;		/* NULL: of the whole database */
	SvVersion  *version;		/* NULL: of no version alone */
	bool		is_error;
	char	   *object;
	char	   *finding;
	char	   *detail;
	char	   *hint;
} Finding;

/* one call of verify() */
typedef struct Verification
{
	MemoryContext context;		/* outlives the subtransactions */
	List	   *findings;
	bool		deep;			/* all rows are to be read */
	SvProduct  *product;		/* being looked at, or NULL */
	List	   *releases;
	SvRelease  *current;
} Verification;

static char *
copy_text(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

/* add a finding; all that it is made of is copied */
static void
add(Verification *verification, const SvRelease *release, bool is_error,
	const char *object, const char *finding, const char *detail,
	const char *hint)
{
	MemoryContext context = MemoryContextSwitchTo(verification->context);
	Finding    *row = palloc(sizeof(Finding));

	row->product = verification->product ?
		pstrdup(verification->product->name) : NULL;
	row->version = release ? (SvVersion *)
		DatumGetPointer(PG_DETOAST_DATUM_COPY(SvVersionGetDatum(release->version))) :
		NULL;
	row->is_error = is_error;
	row->object = copy_text(object);
	row->finding = copy_text(finding);
	row->detail = copy_text(detail);
	row->hint = copy_text(hint);
	verification->findings = lappend(verification->findings, row);
	MemoryContextSwitchTo(context);
}

/* the call that retires a version, for a hint */
static char *
retire_call(const Verification *verification, const SvRelease *release)
{
	return psprintf("SELECT schemaver.retire(%s, %s)",
					quote_literal_cstr(release->label),
					quote_literal_cstr(verification->product->name));
}

/* the call of reconcile(), for a hint */
static char *
reconcile_hint(const Verification *verification)
{
	return psprintf("SELECT schemaver.reconcile(%s) mends that.",
					quote_literal_cstr(verification->product->name));
}

/*
 * Contracts
 */

static void
add_unfulfilled(Verification *verification, const SvRelease *release,
				const SvEntry *entry, const char *detail, bool is_error)
{
	bool		is_current = release->id == verification->product->current;

	add(verification, release, is_error, sv_contract_shown_name(entry),
		"contract not fulfilled", detail, is_current ?
		"Undo the change; or apply the next migration, which takes the schema as it stands." :
		psprintf("Undo the change; or, when nobody needs the version any more, %s.",
				 retire_call(verification, release)));
}

/*
 * What is otherwise than a version expects, and no view can help.  Migrations
 * may make what older versions write be checked; what checks the current one
 * was made by hand.
 */
static void
check_contracts(Verification *verification, List *findings)
{
	ListCell   *lc;

	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->severity == SV_FATAL ||
			(finding->severity == SV_CHECKED &&
			 finding->release->id == verification->product->current))
			add_unfulfilled(verification, finding->release, finding->entry,
							psprintf("%s: %s", finding->change,
									 finding->reason),
							finding->severity == SV_FATAL);
	}
}

/*
 * What was dropped by hand has lost its link when that was done, and is judged
 * no more, since it holds up nobody; but it is missing all the same.
 */
static void
check_lost(Verification *verification, const SvRelease *release,
		   const SvEntry *entry)
{
	ListCell   *lc;

	if (!OidIsValid(entry->physical))
	{
		if (sv_contract_resolve(entry) == NULL)
			add_unfulfilled(verification, release, entry,
							"It was dropped by hand.", true);
		return;
	}
	foreach(lc, sv_contract_is_relation(entry->kind) ? entry->columns : NIL)
	{
		SvPart	   *column = lfirst(lc);

		if (column->number == 0)
			add_unfulfilled(verification, release, entry,
							psprintf("Column %s was dropped by hand.",
									 quote_identifier(column->name)), true);
	}
	foreach(lc, entry->constraints)
	{
		SvPart	   *constraint = lfirst(lc);

		if (strchr("pui", constraint->flavour) &&
			!OidIsValid(constraint->object))
			add_unfulfilled(verification, release, entry,
							psprintf("The unique %s %s was dropped by hand.",
									 constraint->flavour == 'i' ? "index" :
									 "constraint",
									 quote_identifier(constraint->name)),
							true);
	}
	foreach(lc, entry->triggers)
	{
		SvPart	   *trigger = lfirst(lc);

		if (!OidIsValid(trigger->object))
			add_unfulfilled(verification, release, entry,
							psprintf("The trigger %s was dropped by hand.",
									 quote_identifier(trigger->name)), true);
	}
}

/*
 * Constraints that the current version has and that are not in force
 */

/* the same constraint, or one that has been made anew under its name */
static SvPart *
constraint_of(List *constraints, const SvPart *then)
{
	ListCell   *lc;

	foreach(lc, constraints)
	{
		SvPart	   *now = lfirst(lc);

		if (now->object == then->object ||
			strcmp(now->name, then->name) == 0)
			return now;
	}
	return NULL;
}

/* the oldest version that is newer than the current one, or NULL */
static SvRelease *
rolled_back(const Verification *verification)
{
	ListCell   *lc;

	foreach(lc, verification->releases)
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version,
							   verification->current->version) > 0)
			return release;
	}
	return NULL;
}

static void
add_relaxed(Verification *verification, const SvEntry *entry,
			const char *detail, const char *by_hand)
{
	SvRelease  *newer = rolled_back(verification);

	add(verification, verification->current, false, sv_contract_shown_name(entry),
		"constraint relaxed", detail, newer == NULL ? by_hand :
		psprintf("If that is for the sake of version %s, which was rolled back: %s restores it. If not: %s",
				 newer->label, retire_call(verification, newer), by_hand));
}

/* is there a job that will do it? */
static bool
is_pending(const char *kind, Oid relation, const char *name)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (strcmp(job->kind, kind) == 0 && strcmp(job->name, name) == 0 &&
			sv_work_find_relation(job) == relation)
			return true;
	}
	return false;
}

/* will a job make a column of a key NOT NULL, and with it the key primary? */
static bool
is_key_pending(const SvPart *key, const SvEntry *now)
{
	ListCell   *lc;

	foreach(lc, key->columns)
	{
		const SvPart *column = sv_contract_column_at(now, lfirst_int(lc));

		if (column &&
			is_pending(SV_JOB_NOTNULL, now->physical, column->name))
			return true;
	}
	return false;
}

/*
 * Does a unique key of the current version not hold for all?  What older ones
 * are exempt from matters once they have made use of it.
 */
static bool
is_loosened(const Verification *verification, const SvPart *key)
{
	Oid			class_id = sv_contract_key_class(key);
	bool		is_newer;

	return sv_contract_is_key(key) &&
		sv_key_is_loose(class_id, key->object) &&
		(!sv_key_exempts(class_id, key->object, verification->releases,
						 &is_newer) || !is_newer ||
		 sv_key_has_duplicates(class_id, key->object));
}

/* how a CHECK or foreign key comes back that the current version has not */
static char *
hint_for_lost(const Verification *verification, const SvEntry *entry,
			  const SvPart *constraint, const char *table)
{
	ListCell   *lt;
	ListCell   *lc;

	foreach(lt, sv_contract_marked_tables())
	{
		const SvEntry *other = sv_catalog_entry_of(verification->current,
												   lfirst_oid(lt));

		foreach(lc, other ? other->constraints : NIL)
		{
			SvPart	   *key = lfirst(lc);

			if (is_loosened(verification, key) &&
				sv_lost_awaits(verification->product, entry, constraint,
							   sv_key_index(sv_contract_key_class(key),
											key->object)))
				return psprintf("Delete duplicates from %s, then call schemaver.reconcile(%s).",
								sv_catalog_relation_name(lfirst_oid(lt)),
								quote_literal_cstr(verification->product->name));
		}
	}
	return psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s.", table,
					quote_identifier(constraint->name), constraint->type);
}

static void
check_relaxed(Verification *verification, const SvEntry *entry)
{
	SvEntry    *now = sv_contract_resolve(entry);
	char	   *table;
	ListCell   *lc;

	if (now == NULL || strchr("rpf", entry->kind) == NULL)
		return;
	table = quote_qualified_identifier(now->schema, now->name);
	foreach(lc, entry->columns)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *column = sv_contract_column_at(now, then->number);

		if (column && then->notnull && !column->notnull &&
			!is_pending(SV_JOB_NOTNULL, now->physical, column->name))
			add_relaxed(verification, entry,
						psprintf("Column %s may be null.",
								 quote_identifier(column->name)),
						psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL, when no row is without a value.",
								 table, quote_identifier(column->name)));
	}
	foreach(lc, entry->constraints)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *constraint = constraint_of(now->constraints, then);

		if (is_pending(SV_JOB_ATTACH, now->physical, then->name) ||
			is_pending(SV_JOB_REPLACE, now->physical, then->name))
			continue;
		if (constraint == NULL && strchr("cf", then->flavour))
			add_relaxed(verification, entry,
						psprintf("The constraint %s is not there: %s.",
								 quote_identifier(then->name), then->type),
						hint_for_lost(verification, entry, then, table));
		else if (constraint && then->flavour == CONSTRAINT_PRIMARY &&
				 constraint->flavour == CONSTRAINT_UNIQUE &&
				 !sv_key_is_loose(ConstraintRelationId, constraint->object) &&
				 !is_key_pending(constraint, now))
			add_relaxed(verification, entry,
						psprintf("The primary key %s is only a unique constraint, whose columns may be null.",
								 quote_identifier(then->name)),
						"Make its columns NOT NULL.");
		if (constraint && is_loosened(verification, constraint) &&
			!is_pending(SV_JOB_TIGHTEN, now->physical, then->name))
			add_relaxed(verification, entry,
						psprintf(then->flavour == CONSTRAINT_EXCLUSION ?
								 "The exclusion constraint %s holds for some versions alone: others may have written what it excludes." :
								 "The unique key %s holds for some versions alone: others may have written duplicates.",
								 quote_identifier(then->name)),
						psprintf("Delete %s, then call schemaver.reconcile(%s).",
								 then->flavour == CONSTRAINT_EXCLUSION ?
								 "what it excludes" : "duplicates",
								 quote_literal_cstr(verification->product->name)));
	}
}

/*
 * Version schemas
 */

/* why a view must be, in the words of what a version would notice */
static char *
reasons_for(List *findings, const SvMismatch *mismatch)
{
	StringInfoData reasons;
	ListCell   *lc;

	initStringInfo(&reasons);
	foreach(lc, findings)
	{
		SvFinding  *finding = lfirst(lc);

		if (finding->release->id == mismatch->release->id &&
			finding->entry->id == mismatch->entry->id &&
			finding->severity < SV_CHECKED)
			appendStringInfo(&reasons, "%s%s: %s", reasons.len ? " " : "",
							 finding->change, finding->reason);
	}
	return reasons.len ? reasons.data :
		pstrdup("The product's version schemas hold a view of every relation.");
}

static void
check_version_schemas(Verification *verification, List *findings)
{
	ListCell   *lc;

	foreach(lc, sv_compat_compare(verification->product,
								  verification->releases))
	{
		SvMismatch *mismatch = lfirst(lc);

		add(verification, mismatch->release,
			strcmp(mismatch->finding, "view not needed") != 0,
			mismatch->object, mismatch->finding, mismatch->detail ?
			mismatch->detail : reasons_for(findings, mismatch),
			mismatch->mendable ? reconcile_hint(verification) :
			"Remove what stands in the way, with schemaver.guard off, then call schemaver.reconcile().");
	}
}

/* is the object what a version calls a relation of its base schema? */
static bool
is_view_of(const SvRelease *release, const char *base_schema, Oid relation)
{
	char	   *name = get_rel_name(relation);
	ListCell   *lc;

	foreach(lc, sv_contract_touched_entries((SvRelease *) release))
	{
		SvEntry    *entry = lfirst(lc);

		if (sv_contract_is_relation(entry->kind) &&
			strcmp(entry->name, name) == 0 &&
			strcmp(entry->schema, base_schema) == 0)
			return true;
	}
	return false;
}

/*
 * Functions and types that schemaver makes go along with the extension; a
 * multirange and functions were put away with their range.
 */
static bool
is_stand_in(Oid class_id, Oid object)
{
	Oid			type = class_id == ProcedureRelationId ?
	sv_retain_type_of(object) : object;
	Oid			range = OidIsValid(type) ? get_multirange_range(type) :
	InvalidOid;

	if ((OidIsValid(range) && sv_catalog_entries_on(range) != NIL) ||
		(OidIsValid(type) && sv_catalog_entries_on(type) != NIL))
		return true;
	return list_member_oid(getAutoExtensionsOfObject(class_id, object),
						   sv_catalog_extension(false));
}

static char *
describe(Oid class_id, Oid object)
{
	ObjectAddress address;

	ObjectAddressSet(address, class_id, object);
	return getObjectDescription(&address, false);
}

/* what stands in a version schema and no contract knows */
static void
check_strangers(Verification *verification, const SvRelease *release)
{
	static const Oid classes[] = {RelationRelationId, ProcedureRelationId,
	TypeRelationId};
	ListCell   *lb;
	ListCell   *lv;
	ListCell   *lc;

	forboth(lb, verification->product->schemas, lv, release->schemas)
	{
		Oid			schema = get_namespace_oid(lfirst(lv), true);

		for (int i = 0; OidIsValid(schema) && i < (int) lengthof(classes); i++)
		{
			foreach(lc, sv_catalog_objects_of_schema(schema, classes[i]))
			{
				if (sv_catalog_entries_on(lfirst_oid(lc)) != NIL ||
					(classes[i] == RelationRelationId ?
					 is_view_of(release, lfirst(lb), lfirst_oid(lc)) :
					 is_stand_in(classes[i], lfirst_oid(lc))))
					continue;
				add(verification, release, false,
					describe(classes[i], lfirst_oid(lc)),
					"object in version schema",
					"No contract speaks of it, and the version's sessions find it first.",
					"Move it to another schema or drop it, with schemaver.guard off.");
			}
		}
	}
}

/*
 * What is retained
 */

static void
check_unused(Verification *verification)
{
	ListCell   *lc;

	foreach(lc, sv_retain_unused(verification->product, NIL))
	{
		ObjectAddress *object = lfirst(lc);

		add(verification, NULL, false, getObjectDescription(object, false),
			"retained for nobody",
			"No supported version needs it.",
			"The next schemaver.retire() of the product drops it.");
	}
}

/* in the schema of retained relations, but in nobody's contract */
static void
check_unknown(Verification *verification)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_objects_of_schema(sv_retain_schema(),
											 RelationRelationId))
	{
		Oid			relation = lfirst_oid(lc);
		Oid			table;
		int32		column;

		/* partitions and the sequences of columns are in their table's */
		if (get_rel_relispartition(relation) ||
			sv_catalog_entries_on(relation) != NIL ||
			(get_rel_relkind(relation) == RELKIND_SEQUENCE &&
			 (sequenceIsOwned(relation, DEPENDENCY_AUTO, &table, &column) ||
			  sequenceIsOwned(relation, DEPENDENCY_INTERNAL, &table,
							  &column))))
			continue;
		add(verification, NULL, false,
			describe(RelationRelationId, relation), "retained for nobody",
			"No contract has ever spoken of it.",
			"Move it to another schema or drop it, with schemaver.guard off.");
	}
}

/*
 * What the catalogs and the history tell
 */

/* run a query, $1 the product, $2 its schemas; the number of its rows */
static uint64
query(const Verification *verification, const char *sql)
{
	Oid			types[2] = {TEXTOID, TEXTARRAYOID};
	Datum		values[2] = {0};
	char		nulls[2] = {'n', 'n'};
	SvProduct  *product = verification->product;

	if (product)
	{
		Datum	   *schemas = palloc(sizeof(Datum) *
									 list_length(product->schemas));
		ListCell   *lc;

		foreach(lc, product->schemas)
			schemas[foreach_current_index(lc)] =
				CStringGetTextDatum(lfirst(lc));
		values[0] = CStringGetTextDatum(product->name);
		values[1] =
			PointerGetDatum(construct_array(schemas,
											list_length(product->schemas),
											TEXTOID, -1, false,
											TYPALIGN_INT));
		nulls[0] = nulls[1] = ' ';
	}
	if (SPI_execute_with_args(sql, 2, types, values, nulls, true,
							  0) != SPI_OK_SELECT)
		elog(ERROR, "could not query the catalogs");
	return SPI_processed;
}

static char *
cell(uint64 row, const char *column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						SPI_fnumber(SPI_tuptable->tupdesc, column));
}

static void
check_indexes(Verification *verification)
{
	uint64		rows = query(verification,
							 "SELECT format('%I.%I', n.nspname, i.relname)"
							 "    AS index,"
							 "  format('%I.%I', m.nspname, t.relname) AS table,"
							 "  i.relkind = 'I' AS partitioned "
							 "FROM pg_index AS x"
							 "  JOIN pg_class AS i ON i.oid = x.indexrelid"
							 "  JOIN pg_namespace AS n"
							 "    ON n.oid = i.relnamespace"
							 "  JOIN pg_class AS t ON t.oid = x.indrelid"
							 "  JOIN pg_namespace AS m"
							 "    ON m.oid = t.relnamespace "
							 "WHERE NOT x.indisvalid"
							 "  AND m.nspname = ANY ($2)"
							 "  AND NOT EXISTS (SELECT FROM schemaver.jobs AS j"
							 "    WHERE j.kind IN ('index', 'loosen', 'tighten')"
							 "      AND j.state IN ('queued', 'running')"
							 "      AND j.relation = format('%I.%I', m.nspname,"
							 "        (SELECT relname FROM pg_class WHERE oid ="
							 "          coalesce(pg_partition_root(t.oid),"
							 "            t.oid)))) "
							 "ORDER BY 1");

	for (uint64 row = 0; row < rows; row++)
		add(verification, NULL, false, cell(row, "index"), "index invalid",
			psprintf("It is on table %s, is kept up to date, and is of no use to queries.",
					 cell(row, "table")),
			strcmp(cell(row, "partitioned"), "t") == 0 ?
			"Attach an index of each partition that has none, with ALTER INDEX ... ATTACH PARTITION." :
			psprintf("REINDEX INDEX CONCURRENTLY %s, or drop it.",
					 cell(row, "index")));
}

static void
check_validity(Verification *verification)
{
	uint64		rows = query(verification,
							 "SELECT format('%I.%I', n.nspname, t.relname)"
							 "    AS table, quote_ident(c.conname) AS name,"
							 "  t.oid, c.conname "
							 "FROM pg_constraint AS c"
							 "  JOIN pg_class AS t ON t.oid = c.conrelid"
							 "  JOIN pg_namespace AS n"
							 "    ON n.oid = t.relnamespace "
							 "WHERE NOT c.convalidated"
							 "  AND c.conparentid = 0"
							 "  AND NOT (t.relispartition"
							 "    AND c.coninhcount > 0)"
							 "  AND n.nspname = ANY ($2)"
							 "  AND NOT starts_with(c.conname, '"
							 SV_HIDDEN_PREFIX "') "
							 "ORDER BY 1, 2");

	for (uint64 row = 0; row < rows; row++)
	{
		if (is_pending(SV_JOB_VALIDATE, atooid(cell(row, "oid")),
					   cell(row, "conname")))
			continue;
		add(verification, NULL, false, cell(row, "table"),
			"constraint not validated",
			psprintf("The constraint %s holds for what is written; rows that were there before may violate it.",
					 cell(row, "name")),
			psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s.",
					 cell(row, "table"), cell(row, "name")));
	}
}

/* one value of one row, of a query run as the table's owner; NULL for null */
static char *
ask_as_owner(Oid relation, const char *sql)
{
	SvIdentity	identity;
	char	   *answer;

	GetUserIdAndSecContext(&identity.user, &identity.context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(relation),
						   identity.context | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not read the rows of relation %u", relation);
	answer = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	sv_catalog_become_caller(&identity);
	return answer;
}

/*
 * " The first with (id)=(1), (2), (3)."; "" for who may not know, and where
 * nothing tells rows apart.
 */
static char *
first_keys(Oid relation, const char *table, const char *condition)
{
	Relation	opened = table_open(relation, AccessShareLock);
	List	   *key = sv_catalog_key(opened);
	StringInfoData names;
	char	   *keys;
	ListCell   *lc;

	table_close(opened, AccessShareLock);
	if (key == NIL || !sv_hold_may_read(relation))
		return "";
	initStringInfo(&names);
	foreach(lc, key)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "",
						 quote_identifier(get_attname(relation,
													  lfirst_int(lc), false)));
	keys = ask_as_owner(relation,
						psprintf("SELECT string_agg(key, ', ') FROM"
								 " (SELECT '(' || concat_ws(', ', %s) || ')'"
								 "  FROM %s WHERE %s ORDER BY %s LIMIT %d)"
								 " AS k (key)",
								 names.data, table, condition, names.data,
								 KEYS_SHOWN));
	return keys ? psprintf(" The first with (%s)=%s.", names.data, keys) : "";
}

static void
add_missing(Verification *verification, Oid relation, const char *table,
			const char *column, bool is_generated)
{
	char	   *condition = psprintf("%s IS NULL", column);
	char	   *count = ask_as_owner(relation,
									 psprintf("SELECT count(*) FROM %s WHERE %s",
											  table, condition));

	if (strcmp(count, "0") == 0)
		return;
	add(verification, verification->current, false, table, "value missing",
		psprintf("Rows without a value in column %s, which the version requires and others leave out: %s.%s",
				 column, count, verification->deep ?
				 first_keys(relation, table, condition) : ""),
		is_generated ?
		psprintf("It is generated from other columns: UPDATE %s SET ... WHERE %s.",
				 table, condition) :
		psprintf("UPDATE %s SET %s = ... WHERE %s.", table, column,
				 condition));
}

/*
 * Rows that older versions have left without a value in a column that the
 * newest requires: such a column is told by the hidden constraint that
 * excuses them.
 */
static void
check_missing(Verification *verification)
{
	uint64		rows = query(verification,
							 "SELECT t.oid::bigint::text AS relation,"
							 "  format('%I.%I', n.nspname, t.relname)"
							 "    AS table, quote_ident(a.attname) AS name,"
							 "  a.attgenerated <> '' AS generated "
							 "FROM pg_constraint AS c"
							 "  JOIN pg_class AS t ON t.oid = c.conrelid"
							 "  JOIN pg_namespace AS n"
							 "    ON n.oid = t.relnamespace"
							 "  JOIN pg_attribute AS a"
							 "    ON a.attrelid = t.oid"
							 "    AND a.attnum = c.conkey[1] "
							 "WHERE c.contype = 'c' AND c.coninhcount = 0"
							 "  AND cardinality(c.conkey) = 1"
							 "  AND n.nspname = ANY ($2)"
							 "  AND starts_with(c.conname, '"
							 SV_HIDDEN_PREFIX "required_') "
							 "ORDER BY 2, 3");
	SPITupleTable *table = SPI_tuptable;

	for (uint64 row = 0; row < rows; row++)
		add_missing(verification,
					atooid(SPI_getvalue(table->vals[row], table->tupdesc, 1)),
					SPI_getvalue(table->vals[row], table->tupdesc, 2),
					SPI_getvalue(table->vals[row], table->tupdesc, 3),
					strcmp(SPI_getvalue(table->vals[row], table->tupdesc, 4),
						   "t") == 0);
}

/*
 * Jobs that ended before they were done, for versions that are supported:
 * what a job is for is needed by its version and by all later ones.  One that
 * was cancelled is told of for as long as its own version is supported: with a
 * version that is rolled back and retired its jobs are cancelled.
 */
static void
check_jobs(Verification *verification)
{
	uint64		rows = query(verification,
							 "SELECT j.job, j.state, j.relation, j.error,"
							 "  j.version::text AS version "
							 "FROM schemaver.jobs AS j "
							 "WHERE j.product = $1"
							 "  AND j.state IN ('failed', 'cancelled')"
							 "  AND (j.state = 'failed'"
							 "    OR to_regclass(j.relation) IS NOT NULL)"
							 "  AND EXISTS (SELECT FROM schemaver.versions AS v"
							 "    WHERE v.product = $1"
							 "      AND v.status <> 'retired'"
							 "      AND (v.version OPERATOR(schemaver.=)"
							 "          j.version"
							 "        OR j.state = 'failed'"
							 "          AND v.version OPERATOR(schemaver.>)"
							 "            j.version)) "
							 "ORDER BY j.job");

	for (uint64 row = 0; row < rows; row++)
	{
		bool		failed = strcmp(cell(row, "state"), "failed") == 0;
		char	   *job = cell(row, "job");
		char	   *error = cell(row, "error");

		/* another version became the current one, or somebody wanted it so */
		if (!failed && sv_work_restores(sv_catalog_job(pg_strtoint32(job))))
			continue;
		add(verification,
			sv_catalog_release_at(verification->product,
								  sv_version_parse(cell(row, "version"))),
			failed, cell(row, "relation"),
			failed ? "job failed" : "job cancelled",
			psprintf("Job %s, %s%s%s", job,
					 sv_work_describe(sv_catalog_job(pg_strtoint32(job))),
					 failed && error ? ": " : ".", failed && error ? error : ""),
			failed ?
			psprintf("Mend the cause, then SELECT schemaver.retry(%s); or SELECT schemaver.cancel(%s), and the version does without.",
					 job, job) :
			psprintf("SELECT schemaver.retry(%s), unless the version can do without.",
					 job));
	}
}

/* the lines of DDL by hand since the last migration, as far as one may see */
static void
check_history(Verification *verification)
{
	uint64		rows;

	if (!sv_catalog_drifted(verification->product))
		return;
	rows = query(verification,
				 "SELECT id, update_by, description,"
				 "  left(regexp_replace(script, '\\s+', ' ', 'g'), 200)"
				 "    AS script "
				 "FROM schemaver.history "
				 "WHERE product = $1 AND action = 'ddl' AND id >"
				 "    (SELECT coalesce(max(id), 0) FROM schemaver.history"
				 "     WHERE product = $1"
				 "       AND action IN ('baseline', 'apply', 'rollback')) "
				 "ORDER BY id");
	for (uint64 row = 0; row < rows; row++)
		add(verification, NULL, false, cell(row, "description"),
			"changed by hand",
			psprintf("By %s, line %s of schemaver.history%s%s",
					 cell(row, "update_by"), cell(row, "id"),
					 cell(row, "script") ? ": " : ".",
					 cell(row, "script") ? cell(row, "script") : ""),
			"Put it into a script for the other databases; the next schemaver.apply() takes the schema as it stands.");
}

/* without them nobody sees what DDL does */
static void
check_triggers(Verification *verification)
{
	uint64		rows = query(verification,
							 "SELECT name, event, function, evtname IS NULL"
							 "    AS missing "
							 "FROM (VALUES ('schemaver_guard_ddl',"
							 "      'ddl_command_end', 'guard_ddl'),"
							 "    ('schemaver_guard_drop', 'sql_drop',"
							 "      'guard_drop')) AS v (name, event, function)"
							 "  LEFT JOIN pg_event_trigger"
							 "    ON evtname = name "
							 "WHERE evtenabled IS DISTINCT FROM 'A' "
							 "ORDER BY name");

	for (uint64 row = 0; row < rows; row++)
	{
		bool		missing = strcmp(cell(row, "missing"), "t") == 0;
		char	   *enable = psprintf("ALTER EVENT TRIGGER %s ENABLE ALWAYS",
									  cell(row, "name"));

		add(verification, NULL, true, cell(row, "name"),
			missing ? "event trigger missing" : "event trigger not always on",
			"DDL that breaks a live version may pass without a trace.",
			missing ?
			psprintf("CREATE EVENT TRIGGER %s ON %s EXECUTE FUNCTION schemaver.%s(); %s.",
					 cell(row, "name"), cell(row, "event"),
					 cell(row, "function"), enable) :
			psprintf("%s.", enable));
	}
}

/*
 * Columns that are kept in step
 */

static SvRelease *
release_of(const Verification *verification, const char *label)
{
	return sv_catalog_release_at(verification->product,
								 sv_version_parse(label));
}

/* the trigger is not as a migration has left it */
static void
add_trigger(Verification *verification, Oid table, SvTriggerState state)
{
	static const char *const findings[] = {NULL, "sync trigger missing",
	"sync trigger disabled", "sync trigger altered"};

	add(verification, NULL, true, sv_catalog_relation_name(table),
		findings[state],
		"What one version writes does not reach the columns of others.",
		psprintf("%s What was written meanwhile is told by schemaver.verify(deep => true).",
				 reconcile_hint(verification)));
}

/* each row is right for either the older or the newer versions, or for none */
static void
add_stray(Verification *verification, Oid table, const SvStray *stray)
{
	char	   *name = sv_catalog_relation_name(table);
	char	   *columns = psprintf("Columns %s, for versions up to %s, and %s, for later ones",
								   stray->old_column, stray->label,
								   stray->new_column);

	if (stray->why_not)
		add(verification, release_of(verification, stray->label), false, name,
			"columns not compared",
			psprintf("%s: %s", columns, stray->why_not), NULL);
	else if (stray->rows > 0)
		add(verification, release_of(verification, stray->label), true, name,
			"columns out of step",
			psprintf("%s: " UINT64_FORMAT " row%s where neither is what is computed from the other; the first%s%s.",
					 columns, stray->rows, stray->rows == 1 ? "" : "s",
					 sv_hold_may_read(table) ? " " : " is not shown",
					 sv_hold_may_read(table) ? stray->key : ""),
			psprintf("With session_replication_role = replica: UPDATE %s SET %s = %s if older versions are right, SET %s = %s if newer ones are.",
					 name, stray->new_column, stray->up, stray->old_column,
					 stray->down));
}

/* something that is to be done on a table */
typedef struct TableCheck
{
	Verification *verification;
	Oid			table;
	void		(*check) (Verification *verification, Oid table);
} TableCheck;

static void
run_table_check(void *argument)
{
	TableCheck *job = argument;

	job->check(job->verification, job->table);
}

/*
 * Run something on a table in a subtransaction of which nothing stays.  If it
 * fails by what users wrote, returns why; all other errors go on.
 */
static char *
attempt(Verification *verification, Oid table,
		void (*check) (Verification *verification, Oid table))
{
	TableCheck	job = {verification, table, check};
	ErrorData  *problem = sv_trial_undo(run_table_check, &job);

	if (problem == NULL)
		return NULL;
	switch (ERRCODE_TO_CATEGORY(problem->sqlerrcode))
	{
		case ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION):
		case ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES):
		case ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR):
		case ERRCODE_TO_CATEGORY(ERRCODE_INTERNAL_ERROR):
		case ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK):
		case ERRCODE_TO_CATEGORY(ERRCODE_LOCK_NOT_AVAILABLE):
			ReThrowError(problem);
	}
	return problem->message;
}

/* would every write fail? */
static void
try_directions(Verification *verification, Oid table)
{
	Relation	opened = table_open(table, AccessShareLock);

	(void) verification;
	(void) sv_sync_directions(opened, sv_sync_noted_pairs(table));
	table_close(opened, AccessShareLock);
}

static void
compare_columns(Verification *verification, Oid table)
{
	ListCell   *lc;

	foreach(lc, sv_compare_rows(table))
		add_stray(verification, table, lfirst(lc));
}

/* what holds older versions to NOT NULL is not as a migration has left it */
static void
check_held(Verification *verification)
{
	static const char *const findings[] = {NULL, "hold trigger missing",
	"hold trigger disabled", "hold trigger altered"};
	ListCell   *lc;

	foreach(lc, sv_hold_tables(verification->product))
	{
		Oid			culprit;
		SvTriggerState state = sv_hold_state(lfirst_oid(lc), &culprit);

		if (state != SV_TRIGGER_SET)
			add(verification, NULL, true, sv_catalog_relation_name(culprit),
				findings[state],
				"Older versions may write NULL where they could not.",
				reconcile_hint(verification));
	}
}

/* nor is what holds them to CHECKs and foreign keys; all must be touched */
static void
check_held_constraints(Verification *verification)
{
	ListCell   *lc;

	foreach(lc, sv_check_astray(verification->product))
		add(verification, NULL, true,
			sv_catalog_relation_name(lfirst_oid(lc)), "hold trigger altered",
			"Older versions may write what their CHECKs do not allow.",
			reconcile_hint(verification));
	foreach(lc, sv_refer_astray(verification->product))
		add(verification, NULL, true,
			sv_catalog_relation_name(lfirst_oid(lc)), "hold trigger altered",
			"Older versions may write, or delete, what their foreign keys do not allow.",
			reconcile_hint(verification));
}

static void
check_synced(Verification *verification, Oid table)
{
	Oid			culprit;
	SvTriggerState state = sv_sync_state(table, &culprit);
	char	   *problem;

	if (state != SV_TRIGGER_SET)
		add_trigger(verification, culprit, state);
	problem = attempt(verification, table, try_directions);
	if (problem)
		add(verification, NULL, true, sv_catalog_relation_name(table),
			"sync trigger fails",
			psprintf("Whoever writes to the table gets an error: %s", problem),
			"Give columns and functions that it names their names back, or retire the versions that it is for.");
	else if (verification->deep)
	{
		problem = attempt(verification, table, compare_columns);
		if (problem)
			add(verification, NULL, false, sv_catalog_relation_name(table),
				"columns not compared", problem, NULL);
	}
}

static void
check_sync(Verification *verification)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_synced_tables())
	{
		List	   *pairs = sv_sync_noted_pairs(lfirst_oid(lc));

		if (pairs != NIL &&
			strcmp(((SvSyncPair *) linitial(pairs))->product,
				   verification->product->name) == 0)
			check_synced(verification, lfirst_oid(lc));
	}
}

/*
 * Putting it together
 */

static void
check_releases(Verification *verification)
{
	int			nestlevel = sv_contract_enter();
	List	   *findings;
	ListCell   *lr;
	ListCell   *le;

	sv_contract_collect_begin();
	sv_contract_touch_all();
	findings = sv_contract_judge(verification->releases);
	check_contracts(verification, findings);
	foreach(lr, verification->releases)
	{
		foreach(le, sv_contract_touched_entries(lfirst(lr)))
			check_lost(verification, lfirst(lr), lfirst(le));
	}
	foreach(le, sv_contract_touched_entries(verification->current))
		check_relaxed(verification, lfirst(le));
	if (!XactReadOnly)
		sv_contract_relink(verification->releases, false);
	check_version_schemas(verification, findings);
	foreach(lr, verification->releases)
		check_strangers(verification, lfirst(lr));
	check_unused(verification);
	check_held_constraints(verification);
	sv_contract_collect_end();
	SPI_connect();
	check_indexes(verification);
	check_validity(verification);
	check_missing(verification);
	check_jobs(verification);
	check_history(verification);
	SPI_finish();
	check_sync(verification);
	check_held(verification);
	sv_contract_leave(nestlevel);
}

static void
check_product(Verification *verification)
{
	SvProduct  *product = verification->product;

	sv_registry_lock_product(product->id);
	product = sv_catalog_product_by_id(product->id);
	verification->product = product;
	if (!product->awake)
	{
		add(verification, NULL, true, quote_identifier(product->name),
			"product asleep",
			"It was restored from a dump, and the guard lets all DDL pass.",
			reconcile_hint(verification));
		return;
	}
	verification->releases = sv_catalog_releases(product, true);
	verification->current = sv_catalog_release(product, product->current);
	if (verification->current)
		check_releases(verification);
}

static void
check_database(Verification *verification)
{
	int			nestlevel = sv_contract_enter();

	check_unknown(verification);
	SPI_connect();
	check_triggers(verification);
	SPI_finish();
	sv_contract_leave(nestlevel);
}

/* something that is to be looked at */
typedef struct Look
{
	Verification *verification;
	void		(*check) (Verification *verification);
} Look;

static void
run_look(void *argument)
{
	Look	   *look = argument;

	look->check(look->verification);
}

/* look at something in a subtransaction of which nothing stays */
static void
look(Verification *verification, void (*check) (Verification *verification))
{
	Look		argument = {verification, check};
	ErrorData  *problem = sv_trial_undo(run_look, &argument);

	if (problem)
		ReThrowError(problem);
}

static void
put_finding(ReturnSetInfo *result, const Finding *finding)
{
	Datum		values[Finding_columns] = {0};
	bool		nulls[Finding_columns] = {0};
	const char *texts[Finding_columns] = {0};

	texts[Finding_product - 1] = finding->product;
	texts[Finding_severity - 1] = finding->is_error ? "error" : "warning";
	texts[Finding_object - 1] = finding->object;
	texts[Finding_finding - 1] = finding->finding;
	texts[Finding_detail - 1] = finding->detail;
	texts[Finding_hint - 1] = finding->hint;
	for (int i = 0; i < Finding_columns; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (texts[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	values[Finding_version - 1] = SvVersionGetDatum(finding->version);
	nulls[Finding_version - 1] = finding->version == NULL;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* errors before warnings, else in the order in which they were found */
static void
put_findings(ReturnSetInfo *result, List *findings)
{
	ListCell   *lc;

	for (int warnings = 0; warnings < 2; warnings++)
	{
		foreach(lc, findings)
		{
			if (((Finding *) lfirst(lc))->is_error == !warnings)
				put_finding(result, lfirst(lc));
		}
	}
}

/*
 * schemaver.verify(product, deep) returns setof schemaver.finding
 */
Datum
schemaver_verify(PG_FUNCTION_ARGS)
{
	Verification verification = {0};
	List	   *products = PG_ARGISNULL(0) ? sv_catalog_products() :
	list_make1(sv_catalog_product(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  false));
	ListCell   *lc;

	if (sv_contract_collecting())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("verify() cannot be called by a migration's script")));
	InitMaterializedSRF(fcinfo, 0);
	verification.context = CurrentMemoryContext;
	verification.deep = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	look(&verification, check_database);
	foreach(lc, products)
	{
		verification.product = lfirst(lc);
		look(&verification, check_product);
	}
	put_findings((ReturnSetInfo *) fcinfo->resultinfo, verification.findings);
	return (Datum) 0;
}
