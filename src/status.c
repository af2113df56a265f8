/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What people and monitors are told: status() and full_schema().
 *
 * status() first gathers facts from schemaver's views, then prints them,
 * either as lines of text indented the way EXPLAIN indents its own, or as
 * one JSON document with the same facts.  It runs as the caller, so it shows
 * of other roles' sessions what pg_stat_activity would show the caller.  All
 * its queries see the catalogs as the calling statement does; who is live is
 * read once for each product, so that shares and sums agree.
 *
 * full_schema() writes a version's contract as SQL text.  What the schema
 * looks like now makes no difference, but for one thing: contracts do not say
 * which sequences are those of identity columns.
 *
 * Nothing here keeps state, takes a lock that outlives the call, or writes.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

/* a text line names so many of what it sums up, then counts the rest */
#define TALLY_SHOWN		5
#define RETAINED_SHOWN	10
#define HISTORY_SHOWN	"5"

/* how many instances have something in common */
typedef struct Tally
{
	char	   *label;			/* NULL: the caller may not see it */
	int			count;
} Tally;

/* one version schema */
typedef struct VersionSchema
{
	char	   *name;
	int			views;
} VersionSchema;

typedef struct VersionFacts
{
	char	   *version;
	char	   *status;
	bool		rolled_back;	/* supported, and newer than the current */
	bool		ready;			/* no job keeps instances away */
	char	   *description;
	TimestampTz registered;		/* the first time ever, DT_NOBEGIN if never */
	bool		predecessor;	/* the one before the current */
	List	   *schemas;		/* of VersionSchema */
	int			nviews;			/* in all of them */
	int			instances;
	int			percent;		/* of the product's instances */
	TimestampTz oldest;			/* registration of a live instance */
	List	   *addresses;		/* of Tally, largest first */
	List	   *applications;
} VersionFacts;

typedef struct HistoryFacts
{
	TimestampTz when;
	char	   *who;
	char	   *action;
	char	   *from;
	char	   *to;
	char	   *description;
	char	   *reason;
	double		milliseconds;
	char	   *outcome;
} HistoryFacts;

/* one thing that is retained */
typedef struct RetainedFacts
{
	char	   *kind;
	char	   *object;
	char	   *physical;
	List	   *needed_by;		/* of char * */
	int64		bytes;			/* -1: nobody knows */
	bool		estimated;
	char	   *freed_by;		/* NULL if no version needs it */
} RetainedFacts;

/* one job that is not done */
typedef struct JobFacts
{
	int			job;
	char	   *version;
	char	   *kind;
	char	   *state;
	char	   *relation;
	char	   *target;
	int64		blocks_done;
	int64		blocks;			/* 0: it has none to go through */
	int64		rows;
	char	   *rows_per_second;	/* NULL: not known */
	TimestampTz estimated_end;	/* DT_NOBEGIN: not known */
	char	   *error;
	int			pid;			/* of who does it; 0: nobody now */
	char	   *next;			/* the call that makes it go on, or NULL */
} JobFacts;

/* two columns that are kept in step, or one that is filled in */
typedef struct SyncFacts
{
	char	   *table;
	char	   *old_column;		/* NULL: what is filled in has only one */
	char	   *new_column;
	char	   *version;		/* the last one that has the old column */
	const char *trigger;		/* set, missing, disabled, altered */
} SyncFacts;

typedef struct ProductFacts
{
	char	   *name;
	char	   *current;		/* NULL if it has no version yet */
	List	   *schemas;		/* of char * */
	bool		exact;
	bool		complete;
	bool		awake;			/* the guard watches over it */
	List	   *versions;		/* of VersionFacts, newest first */
	List	   *jobs;			/* of JobFacts */
	List	   *synced;			/* of SyncFacts, by table */
	List	   *retained;		/* of RetainedFacts, those freed alike together */
	List	   *history;		/* of HistoryFacts, newest first */
	int			instances;
} ProductFacts;

typedef struct TriggerFacts
{
	char	   *name;
	char	   *state;			/* always, origin, replica, disabled, missing */
} TriggerFacts;

typedef struct StatusFacts
{
	const char *guard;			/* the mode */
	List	   *triggers;		/* of TriggerFacts */
	bool		on_connect;		/* registration on connect can happen */
	List	   *products;		/* of ProductFacts */
} StatusFacts;

/* where the rows of status() go */
typedef struct Output
{
	Tuplestorestate *store;
	TupleDesc	desc;
} Output;

/* a JSON document being written */
typedef struct Json
{
	StringInfoData text;
	int			depth;
	bool		first;			/* nothing written yet at this depth */
} Json;

/* where full_schema() puts what, in order of need */
typedef enum SchemaRank
{
	RANK_TYPE,
	RANK_SEQUENCE,
	RANK_TABLE,
	RANK_VIEW,
	RANK_FUNCTION
} SchemaRank;

PG_FUNCTION_INFO_V1(schemaver_status);
PG_FUNCTION_INFO_V1(schemaver_full_schema);

/*
 * Gathering: queries and their columns
 */

/* run a query on schemaver's views, $1 the product; the number of its rows */
static uint64
query(const char *sql, const char *product)
{
	Oid			type = TEXTOID;
	Datum		value = product ? CStringGetTextDatum(product) : (Datum) 0;
	int			result;

	result = SPI_execute_with_args(sql, 1, &type, &value,
								   product ? " " : "n", true, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));
	return SPI_processed;
}

static Datum
get_datum(uint64 row, const char *column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 SPI_fnumber(SPI_tuptable->tupdesc, column), isnull);
}

/* a column as text, NULL if it is null */
static char *
get_text(uint64 row, const char *column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						SPI_fnumber(SPI_tuptable->tupdesc, column));
}

static bool
get_bool(uint64 row, const char *column)
{
	bool		isnull;
	Datum		value = get_datum(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

static int
get_int(uint64 row, const char *column)
{
	bool		isnull;
	Datum		value = get_datum(row, column, &isnull);

	return isnull ? 0 : DatumGetInt32(value);
}

static TimestampTz
get_time(uint64 row, const char *column)
{
	bool		isnull;
	Datum		value = get_datum(row, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

/* a column of type text[] as a list of strings */
static List *
get_list(uint64 row, const char *column)
{
	bool		isnull;
	Datum		value = get_datum(row, column, &isnull);

	return isnull ? NIL : sv_catalog_text_list(DatumGetArrayTypeP(value));
}

/*
 * Gathering: facts
 */

/* a version's schemas and how many views stand in each */
static void
gather_schemas(uint64 row, VersionFacts *version)
{
	List	   *names = get_list(row, "schemas");
	List	   *views = get_list(row, "views");
	ListCell   *name;
	ListCell   *count;

	forboth(name, names, count, views)
	{
		VersionSchema *schema = palloc(sizeof(VersionSchema));

		schema->name = lfirst(name);
		schema->views = pg_strtoint32(lfirst(count));
		version->schemas = lappend(version->schemas, schema);
		version->nviews += schema->views;
	}
}

/*
 * All versions that the product has.  Newest first, so that the predecessor
 * is the one that follows the current, whatever has been rolled back.
 */
static void
gather_versions(ProductFacts *product)
{
	uint64		rows = query("SELECT version, status, rolled_back, ready,"
							 "  description, registered,"
							 "  schemas,"
							 "  ARRAY(SELECT (SELECT count(*)::text"
							 "      FROM pg_class c JOIN pg_namespace n"
							 "        ON n.oid = c.relnamespace"
							 "      WHERE n.nspname = s.name"
							 "        AND c.relkind = 'v')"
							 "    FROM unnest(schemas)"
							 "      WITH ORDINALITY AS s (name, nr)"
							 "    ORDER BY s.nr) AS views "
							 "FROM schemaver.versions "
							 "WHERE product = $1 "
							 "ORDER BY versions.version DESC",
							 product->name);
	bool		after_current = false;

	for (uint64 row = 0; row < rows; row++)
	{
		VersionFacts *version = palloc0(sizeof(VersionFacts));

		version->version = get_text(row, "version");
		version->status = get_text(row, "status");
		version->rolled_back = get_bool(row, "rolled_back");
		version->ready = get_bool(row, "ready");
		version->description = get_text(row, "description");
		version->registered = get_time(row, "registered");
		version->predecessor = after_current;
		gather_schemas(row, version);
		version->oldest = DT_NOBEGIN;
		after_current = strcmp(version->status, "current") == 0;
		product->versions = lappend(product->versions, version);
	}
}

static VersionFacts *
find_version(ProductFacts *product, const char *label)
{
	ListCell   *cell;

	foreach(cell, product->versions)
	{
		VersionFacts *version = lfirst(cell);

		if (strcmp(version->version, label) == 0)
			return version;
	}
	return NULL;
}

/* who is live, in one look: each version's instances, addresses, names */
static void
gather_instances(ProductFacts *product)
{
	uint64		rows = query("SELECT version, address, application,"
							 "  count(*)::integer AS instances,"
							 "  min(registered_on) AS oldest,"
							 "  grouping(address) = 0 AS by_address,"
							 "  grouping(application) = 0 AS by_application "
							 "FROM (SELECT version, registered_on,"
							 "    application_name AS application,"
							 "    CASE WHEN client_addr IS NOT NULL"
							 "      THEN host(client_addr)"
							 "      WHEN backend_start IS NOT NULL"
							 "      THEN 'local' END AS address"
							 "  FROM schemaver.instances"
							 "  WHERE product = $1) AS i "
							 "GROUP BY GROUPING SETS ((version),"
							 "  (version, address), (version, application)) "
							 "ORDER BY instances DESC, address, application",
							 product->name);

	for (uint64 row = 0; row < rows; row++)
	{
		VersionFacts *version = find_version(product, get_text(row, "version"));
		Tally	   *tally = palloc(sizeof(Tally));

		if (version == NULL)
			continue;
		tally->count = get_int(row, "instances");
		if (get_bool(row, "by_address"))
		{
			tally->label = get_text(row, "address");
			version->addresses = lappend(version->addresses, tally);
		}
		else if (get_bool(row, "by_application"))
		{
			tally->label = get_text(row, "application");
			version->applications = lappend(version->applications, tally);
		}
		else
		{
			version->instances = tally->count;
			version->oldest = get_time(row, "oldest");
			product->instances += tally->count;
		}
	}
}

/*
 * Round the versions' shares so that they sum to 100: all down first, then
 * what is missing goes to those that lost most.
 */
static void
share_out(ProductFacts *product)
{
	int			missing = 100;
	ListCell   *cell;

	if (product->instances == 0)
		return;
	foreach(cell, product->versions)
	{
		VersionFacts *version = lfirst(cell);

		version->percent = version->instances * INT64CONST(100) /
			product->instances;
		missing -= version->percent;
	}
	while (missing-- > 0)
	{
		VersionFacts *most = NULL;
		int64		most_lost = 0;

		foreach(cell, product->versions)
		{
			VersionFacts *version = lfirst(cell);
			int64		lost = version->instances * INT64CONST(100) -
				(int64) version->percent * product->instances;

			if (lost > most_lost)
			{
				most = version;
				most_lost = lost;
			}
		}
		most->percent++;
	}
}

/* what makes a job go on that nobody does, in SQL */
static char *
next_call(const ProductFacts *product, const JobFacts *job)
{
	if (strcmp(job->state, SV_JOB_FAILED) == 0)
		return psprintf("SELECT schemaver.retry(%d); without it: SELECT schemaver.cancel(%d)",
						job->job, job->job);
	if (strcmp(job->state, SV_JOB_CANCELLED) == 0)
		return psprintf("SELECT schemaver.retry(%d)", job->job);
	return job->pid ? NULL : psprintf("CALL schemaver.run_jobs(%s)",
									  quote_literal_cstr(product->name));
}

/* jobs that are not done and that a version may still need */
static void
gather_jobs(ProductFacts *product)
{
	uint64		rows = query("SELECT job, j.version, kind, state, relation,"
							 "  target, blocks_done,"
							 "  blocks, rows, rows_per_second, estimated_end,"
							 "  error, pid "
							 "FROM schemaver.jobs AS j "
							 "WHERE product = $1 AND state <> 'done'"
							 "  AND (state <> 'cancelled'"
							 "    OR to_regclass(relation) IS NOT NULL)"
							 "  AND EXISTS (SELECT FROM schemaver.versions AS v"
							 "    WHERE v.product = $1"
							 "      AND v.status <> 'retired'"
							 "      AND v.version OPERATOR(schemaver.>=)"
							 "        j.version) "
							 "ORDER BY job",
							 product->name);

	for (uint64 row = 0; row < rows; row++)
	{
		JobFacts   *job = palloc(sizeof(JobFacts));
		bool		isnull;

		job->job = get_int(row, "job");
		job->version = get_text(row, "version");
		job->kind = get_text(row, "kind");
		job->state = get_text(row, "state");
		job->relation = get_text(row, "relation");
		job->target = get_text(row, "target");
		job->blocks_done = DatumGetInt64(get_datum(row, "blocks_done",
												   &isnull));
		job->blocks = DatumGetInt64(get_datum(row, "blocks", &isnull));
		job->rows = DatumGetInt64(get_datum(row, "rows", &isnull));
		job->rows_per_second = get_text(row, "rows_per_second");
		job->estimated_end = get_time(row, "estimated_end");
		job->error = get_text(row, "error");
		job->pid = get_int(row, "pid");
		job->next = next_call(product, job);
		product->jobs = lappend(product->jobs, job);
	}
}

static void
gather_synced_table(ProductFacts *product, Oid table)
{
	static const char *const states[] = {"set", "missing", "disabled",
	"altered"};
	List	   *pairs = sv_sync_noted_pairs(table);
	Oid			culprit;
	SvTriggerState state;
	ListCell   *lc;

	if (pairs == NIL || strcmp(((SvSyncPair *) linitial(pairs))->product,
							   product->name) != 0)
		return;
	state = sv_sync_state(table, &culprit);
	foreach(lc, pairs)
	{
		SvSyncPair *pair = lfirst(lc);
		SyncFacts  *synced = palloc(sizeof(SyncFacts));

		/* the mark of a key has no other column beside it */
		if (sv_contract_is_mark(table, get_attnum(table, pair->old_column)) ||
			sv_contract_is_mark(table, get_attnum(table, pair->new_column)))
			continue;
		synced->table = sv_catalog_relation_name(table);
		synced->old_column = pair->old_column[0] == '\0' ? NULL :
			pstrdup(quote_identifier(pair->old_column));
		synced->new_column = pstrdup(quote_identifier(pair->new_column));
		synced->version = sv_sync_label(pair);
		synced->trigger = states[state];
		product->synced = lappend(product->synced, synced);
	}
}

static void
gather_synced(ProductFacts *product)
{
	ListCell   *cell;

	foreach(cell, sv_catalog_synced_tables())
		gather_synced_table(product, lfirst_oid(cell));
}

static void
gather_retained(ProductFacts *product)
{
	uint64		rows = query("SELECT kind, object, physical,"
							 "  needed_by::text[] AS needed_by, bytes,"
							 "  estimated, freed_by "
							 "FROM schemaver.retained "
							 "WHERE product = $1 "
							 "ORDER BY schemaver.min(retained.needed_by"
							 "    [cardinality(retained.needed_by)])"
							 "    OVER (PARTITION BY freed_by), freed_by,"
							 "  kind = 'table' DESC, kind, object, physical",
							 product->name);

	for (uint64 row = 0; row < rows; row++)
	{
		RetainedFacts *retained = palloc(sizeof(RetainedFacts));
		bool		isnull;
		Datum		bytes = get_datum(row, "bytes", &isnull);

		retained->kind = get_text(row, "kind");
		retained->object = get_text(row, "object");
		retained->physical = get_text(row, "physical");
		retained->needed_by = get_list(row, "needed_by");
		retained->bytes = isnull ? -1 : DatumGetInt64(bytes);
		retained->estimated = get_bool(row, "estimated");
		retained->freed_by = get_text(row, "freed_by");
		product->retained = lappend(product->retained, retained);
	}
}

static void
gather_history(ProductFacts *product)
{
	uint64		rows = query("SELECT update_on, update_by, action,"
							 "  from_version, version, description, reason,"
							 "  (extract(epoch FROM duration) * 1000)::float8"
							 "    AS milliseconds, outcome "
							 "FROM schemaver.history "
							 "WHERE product = $1 "
							 "ORDER BY id DESC LIMIT " HISTORY_SHOWN,
							 product->name);

	for (uint64 row = 0; row < rows; row++)
	{
		HistoryFacts *line = palloc(sizeof(HistoryFacts));
		bool		isnull;

		line->when = get_time(row, "update_on");
		line->who = get_text(row, "update_by");
		line->action = get_text(row, "action");
		line->from = get_text(row, "from_version");
		line->to = get_text(row, "version");
		line->description = get_text(row, "description");
		line->reason = get_text(row, "reason");
		line->milliseconds = DatumGetFloat8(get_datum(row, "milliseconds",
													  &isnull));
		line->outcome = get_text(row, "outcome");
		product->history = lappend(product->history, line);
	}
}

/* the products, or the one that is asked for */
static List *
gather_products(const char *name)
{
	List	   *result = NIL;
	ListCell   *cell;
	uint64		rows = query("SELECT product, current_version, schemas, exact,"
							 "  complete "
							 "FROM schemaver.products "
							 "WHERE product = $1 OR $1 IS NULL "
							 "ORDER BY product",
							 name);

	for (uint64 row = 0; row < rows; row++)
	{
		ProductFacts *product = palloc0(sizeof(ProductFacts));

		product->name = get_text(row, "product");
		product->current = get_text(row, "current_version");
		product->exact = get_bool(row, "exact");
		product->complete = get_bool(row, "complete");
		product->awake = sv_catalog_product(product->name, false)->awake;
		product->schemas = get_list(row, "schemas");
		result = lappend(result, product);
	}
	foreach(cell, result)
	{
		ProductFacts *product = lfirst(cell);

		gather_versions(product);
		gather_instances(product);
		share_out(product);
		gather_jobs(product);
		gather_synced(product);
		gather_retained(product);
		gather_history(product);
	}
	return result;
}

/* is this library in a list of libraries, by whatever path? */
static bool
lists_us(const char *setting)
{
	List	   *libraries = NIL;
	ListCell   *cell;

	if (!SplitDirectoriesString(pstrdup(setting), ',', &libraries))
		return false;
	foreach(cell, libraries)
	{
		const char *path = lfirst(cell);
		const char *slash = last_dir_separator(path);
		const char *name = slash ? slash + 1 : path;

		if (strcmp(name, "schemaver") == 0 ||
			strcmp(name, "schemaver" DLSUFFIX) == 0)
			return true;
	}
	return false;
}

static List *
gather_triggers(void)
{
	List	   *result = NIL;
	uint64		rows = query("SELECT name, CASE evtenabled"
							 "    WHEN 'A' THEN 'always' WHEN 'O' THEN 'origin'"
							 "    WHEN 'R' THEN 'replica'"
							 "    WHEN 'D' THEN 'disabled' ELSE 'missing'"
							 "  END AS state "
							 "FROM unnest(ARRAY['schemaver_guard_ddl',"
							 "    'schemaver_guard_drop']) AS name"
							 "  LEFT JOIN pg_event_trigger ON evtname = name "
							 "ORDER BY name",
							 NULL);

	for (uint64 row = 0; row < rows; row++)
	{
		TriggerFacts *trigger = palloc(sizeof(TriggerFacts));

		trigger->name = get_text(row, "name");
		trigger->state = get_text(row, "state");
		result = lappend(result, trigger);
	}
	return result;
}

/*
 * Text
 */

static void put_line(Output *out, int depth, const char *format,...)
			pg_attribute_printf(3, 4);

/* one row of the result */
static void
put_text(Output *out, const char *text)
{
	Datum		value = CStringGetTextDatum(text);
	bool		isnull = false;

	tuplestore_putvalues(out->store, out->desc, &value, &isnull);
}

static void
put_line(Output *out, int depth, const char *format,...)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfoSpaces(&line, depth * 2);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&line, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&line, needed);
	}
	put_text(out, line.data);
	pfree(line.data);
}

/* a point in time to the second, in the session's time zone */
static char *
time_text(TimestampTz when)
{
	return pstrdup(timestamptz_to_str(when - when % USECS_PER_SEC));
}

static const char *
plural(int count)
{
	return count == 1 ? "" : "s";
}

/* "10.0.0.1 (2), local (1), 3 others (4)"; NULL if there is nothing to tell */
static char *
tally_text(List *tallies, const char *unnamed)
{
	StringInfoData text;
	ListCell   *cell;
	int			rest = 0;
	bool		named = false;

	initStringInfo(&text);
	foreach(cell, tallies)
	{
		Tally	   *tally = lfirst(cell);
		bool		has_name = tally->label && tally->label[0];

		named |= has_name;
		if (foreach_current_index(cell) >= TALLY_SHOWN)
		{
			rest += tally->count;
			continue;
		}
		appendStringInfo(&text, "%s%s (%d)", text.len > 0 ? ", " : "",
						 has_name ? tally->label : unnamed, tally->count);
	}
	if (rest > 0)
		appendStringInfo(&text, ", %d other%s (%d)",
						 list_length(tallies) - TALLY_SHOWN,
						 plural(list_length(tallies) - TALLY_SHOWN), rest);
	return named ? text.data : NULL;
}

/* "1.0.0: 3 instances (75%), 1.1.0: 1 (25%)", oldest first */
static char *
live_text(ProductFacts *product)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = list_length(product->versions) - 1; i >= 0; i--)
	{
		VersionFacts *version = list_nth(product->versions, i);

		if (version->instances == 0)
			continue;
		appendStringInfo(&text, "%s%s: %d", text.len > 0 ? ", " : "",
						 version->version, version->instances);
		if (strchr(text.data, '(') == NULL)
			appendStringInfo(&text, " instance%s", plural(version->instances));
		appendStringInfo(&text, " (%d%%)", version->percent);
	}
	return text.len > 0 ? text.data : pstrdup("nobody");
}

static bool
is_supported(VersionFacts *version)
{
	return strcmp(version->status, "supported") == 0;
}

static const char *
status_text(VersionFacts *version)
{
	return version->rolled_back ? "supported, newer than the current one" :
		version->status;
}

/* what keeps a supported version from being retired, in words */
static List *
keepers(VersionFacts *version)
{
	List	   *result = NIL;

	if (version->instances > 0)
		result = lappend(result, psprintf("%d live instance%s",
										  version->instances,
										  plural(version->instances)));
	if (version->predecessor)
		result = lappend(result,
						 pstrdup("being the version before the current one"));
	return result;
}

static char *
join_text(List *words)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, words)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 (char *) lfirst(cell));
	return text.data;
}

static void
put_schemas(Output *out, List *schemas)
{
	List	   *words = NIL;
	ListCell   *cell;

	foreach(cell, schemas)
	{
		VersionSchema *schema = lfirst(cell);

		words = lappend(words, psprintf("%s (%d view%s)",
										quote_identifier(schema->name),
										schema->views,
										plural(schema->views)));
	}
	put_line(out, 2, "Version schema%s: %s", plural(list_length(words)),
			 join_text(words));
}

static void
put_version(Output *out, const char *product, VersionFacts *version)
{
	char	   *addresses = tally_text(version->addresses, "not shown");
	char	   *applications = tally_text(version->applications, "unnamed");

	if (version->instances > 0)
		put_line(out, 1, "%s (%s): %d instance%s (%d%%), since %s",
				 version->version, status_text(version), version->instances,
				 plural(version->instances), version->percent,
				 time_text(version->oldest));
	else if (TIMESTAMP_IS_NOBEGIN(version->registered))
		put_line(out, 1, "%s (%s): no instances, nobody registered yet",
				 version->version, status_text(version));
	else
		put_line(out, 1, "%s (%s): no instances, first registered %s",
				 version->version, status_text(version),
				 time_text(version->registered));
	if (!version->ready && strcmp(version->status, "retired") != 0)
		put_line(out, 2, "Not ready: nobody can register until the jobs are done that it needs");
	if (addresses)
		put_line(out, 2, "Clients: from %s", addresses);
	if (applications)
		put_line(out, 2, "Applications: %s", applications);
	if (is_supported(version) || version->nviews > 0)
		put_schemas(out, version->schemas);
	if (is_supported(version))
	{
		List	   *kept_by = keepers(version);

		put_line(out, 2, "Kept from retirement by: %s",
				 kept_by ? join_text(kept_by) :
				 psprintf("nothing (schemaver.retire(%s, %s) takes it away%s)",
						  quote_literal_cstr(version->version),
						  quote_literal_cstr(product),
						  version->rolled_back ? " with all newer ones" : ""));
	}
}

/* "backfill of public.person.full_name, running, 40 of 100 pages, 800 rows" */
static char *
job_text(const JobFacts *job)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, sv_work_describe(sv_catalog_job(job->job)));
	appendStringInfo(&text, ", %s", job->state);
	if (job->blocks > 0)
		appendStringInfo(&text, ", " INT64_FORMAT " of " INT64_FORMAT
						 " pages, " INT64_FORMAT " rows", job->blocks_done,
						 job->blocks, job->rows);
	if (job->rows_per_second && job->pid)
		appendStringInfo(&text, ", %s rows/s", job->rows_per_second);
	if (!TIMESTAMP_IS_NOBEGIN(job->estimated_end))
		appendStringInfo(&text, ", until about %s",
						 time_text(job->estimated_end));
	if (job->pid)
		appendStringInfo(&text, ", by process %d", job->pid);
	if (job->error)
		appendStringInfo(&text, ": %s", job->error);
	return text.data;
}

/* the jobs, and behind those that the same call makes go on, that call */
static void
put_jobs(Output *out, ProductFacts *product)
{
	for (int i = 0; i < list_length(product->jobs); i++)
	{
		JobFacts   *job = list_nth(product->jobs, i);
		JobFacts   *next = i + 1 < list_length(product->jobs) ?
		list_nth(product->jobs, i + 1) : NULL;

		put_line(out, 1, "Job %d (for %s): %s", job->job, job->version,
				 job_text(job));
		if (job->next && !(next && next->next &&
						   strcmp(next->next, job->next) == 0))
			put_line(out, 2, "Goes on by: %s", job->next);
	}
}

/* what is kept in step, a line for each table */
static void
put_synced(Output *out, ProductFacts *product)
{
	List	   *words = NIL;

	for (int i = 0; i < list_length(product->synced); i++)
	{
		SyncFacts  *synced = list_nth(product->synced, i);
		SyncFacts  *next = i + 1 < list_length(product->synced) ?
		list_nth(product->synced, i + 1) : NULL;

		words = lappend(words, synced->old_column ?
						psprintf("%s with %s (for %s and older)",
								 synced->new_column, synced->old_column,
								 synced->version) :
						psprintf("%s filled in (for %s and older)",
								 synced->new_column, synced->version));
		if (next && strcmp(next->table, synced->table) == 0)
			continue;
		put_line(out, 1, "In step: table %s: %s", synced->table,
				 join_text(words));
		if (strcmp(synced->trigger, "set") != 0)
			put_line(out, 2, "Warning: its trigger is %s, so that they are not: run SELECT schemaver.reconcile(%s)",
					 synced->trigger, quote_literal_cstr(product->name));
		words = NIL;
	}
}

static char *
size_text(int64 bytes)
{
	return TextDatumGetCString(DirectFunctionCall1(pg_size_pretty,
												   Int64GetDatum(bytes)));
}

/* "table pet (for 1.0.0, 1.1.0; 16 kB)" */
static char *
retained_text(RetainedFacts *retained)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s %s", retained->kind, retained->object);
	if (retained->needed_by)
		appendStringInfo(&text, " (for %s", join_text(retained->needed_by));
	else
		appendStringInfoString(&text, " (for no version");
	if (retained->bytes >= 0)
		appendStringInfo(&text, "; %s%s", retained->estimated ? "about " : "",
						 size_text(retained->bytes));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* what is retained, a line for what the same call frees */
static void
put_retained(Output *out, ProductFacts *product)
{
	List	   *words = NIL;
	int			rest = 0;

	for (int i = 0; i < list_length(product->retained); i++)
	{
		RetainedFacts *retained = list_nth(product->retained, i);
		RetainedFacts *next = i + 1 < list_length(product->retained) ?
		list_nth(product->retained, i + 1) : NULL;

		if (list_length(words) < RETAINED_SHOWN)
			words = lappend(words, retained_text(retained));
		else
			rest++;
		if (next && strcmp(next->freed_by ? next->freed_by : "",
						   retained->freed_by ? retained->freed_by : "") == 0)
			continue;
		if (rest > 0)
			words = lappend(words, psprintf("%d other%s", rest, plural(rest)));
		put_line(out, 1, "Retained: %s", join_text(words));
		put_line(out, 2, "Freed by: %s", retained->freed_by ?
				 retained->freed_by :
				 "the next schemaver.retire(); SELECT * FROM schemaver.verify() tells more");
		words = NIL;
		rest = 0;
	}
}

/* the versions newest first; those retired as a number */
static void
put_versions(Output *out, ProductFacts *product)
{
	int			retired = 0;
	VersionFacts *newest = NULL;
	ListCell   *cell;

	foreach(cell, product->versions)
	{
		VersionFacts *version = lfirst(cell);

		if (version->instances > 0 || strcmp(version->status, "retired") != 0)
			put_version(out, product->name, version);
		else if (retired++ == 0)
			newest = version;
	}
	if (retired == 1)
		put_line(out, 1, "Retired: %s", newest->version);
	else if (retired > 1)
		put_line(out, 1, "Retired: %d versions, %s the newest of them",
				 retired, newest->version);
}

static char *
duration_text(double milliseconds)
{
	return milliseconds < 10000 ? psprintf("%.0f ms", milliseconds) :
		psprintf("%.1f s", milliseconds / 1000);
}

static void
put_history_line(Output *out, HistoryFacts *line)
{
	StringInfoData text;
	char	   *why = line->reason ? line->reason : line->description;

	initStringInfo(&text);
	appendStringInfo(&text, "%s %s: %s", time_text(line->when), line->who,
					 line->action);
	if (line->from && !(line->to && strcmp(line->from, line->to) == 0))
		appendStringInfo(&text, " %s ->", line->from);
	if (line->to)
		appendStringInfo(&text, " %s", line->to);
	appendStringInfo(&text, ", %s, %s", duration_text(line->milliseconds),
					 line->outcome);
	if (why)
		appendStringInfo(&text, ": %.*s", (int) strcspn(why, "\r\n"), why);
	put_line(out, 2, "%s", text.data);
}

static void
put_product(Output *out, StatusFacts *status, ProductFacts *product)
{
	List	   *schemas = NIL;
	ListCell   *cell;

	foreach(cell, product->schemas)
		schemas = lappend(schemas, unconstify(char *,
											  quote_identifier(lfirst(cell))));
	put_line(out, 0, "Product \"%s\": %s%s, base schema%s %s, guard %s",
			 product->name,
			 product->current ? "current version " : "no version yet",
			 product->current ? product->current : "",
			 plural(list_length(schemas)), join_text(schemas), status->guard);
	if (product->current)
		put_line(out, 1, "Live: %s", live_text(product));
	else
		put_line(out, 1, "Next: schemaver.baseline() takes the schema as it stands, schemaver.apply() runs the first script");
	if (!product->awake)
		put_line(out, 1, "Asleep since it was restored from a dump: the guard lets all DDL pass until a session registers, or schemaver.reconcile() is called");
	put_versions(out, product);
	put_jobs(out, product);
	put_synced(out, product);
	put_retained(out, product);
	if (product->history)
		put_line(out, 1, "History, newest first:");
	foreach(cell, product->history)
		put_history_line(out, lfirst(cell));
}

/* what hampers the whole database */
static void
put_warnings(Output *out, StatusFacts *status)
{
	ListCell   *cell;

	if (!status->on_connect)
		put_line(out, 0, "Registration on connect: off (session_preload_libraries lacks schemaver)");
	foreach(cell, status->triggers)
	{
		TriggerFacts *trigger = lfirst(cell);

		if (strcmp(trigger->state, "missing") == 0)
			put_line(out, 0, "Warning: event trigger %s is missing, the guard does not work: create the extension again",
					 trigger->name);
		else if (strcmp(trigger->state, "always") != 0)
			put_line(out, 0, "Warning: event trigger %s is %s, the guard does not work%s: run ALTER EVENT TRIGGER %s ENABLE ALWAYS",
					 trigger->name,
					 strcmp(trigger->state, "disabled") == 0 ? "disabled" :
					 psprintf("enabled for \"%s\" alone", trigger->state),
					 strcmp(trigger->state, "disabled") == 0 ? "" :
					 " in every session",
					 trigger->name);
	}
}

static void
put_status_text(Output *out, StatusFacts *status)
{
	ListCell   *cell;

	if (status->products == NIL)
		put_line(out, 0, "No product yet: create one with schemaver.create_product(), take the schema as it stands with schemaver.baseline(), or run a first script with schemaver.apply()");
	foreach(cell, status->products)
		put_product(out, status, lfirst(cell));
	put_warnings(out, status);
}

/*
 * JSON: a writer, then the same facts
 */

/* begin a member of an object, or with key NULL an element of an array */
static void
json_item(Json *json, const char *key)
{
	if (!json->first)
		appendStringInfoChar(&json->text, ',');
	json->first = false;
	if (json->depth > 0)
		appendStringInfoChar(&json->text, '\n');
	appendStringInfoSpaces(&json->text, json->depth * 2);
	if (key)
	{
		escape_json(&json->text, key);
		appendStringInfoString(&json->text, ": ");
	}
}

static void
json_open(Json *json, const char *key, char bracket)
{
	json_item(json, key);
	appendStringInfoChar(&json->text, bracket);
	json->depth++;
	json->first = true;
}

static void
json_close(Json *json, char bracket)
{
	json->depth--;
	if (!json->first)
	{
		appendStringInfoChar(&json->text, '\n');
		appendStringInfoSpaces(&json->text, json->depth * 2);
	}
	appendStringInfoChar(&json->text, bracket);
	json->first = false;
}

static void
json_string(Json *json, const char *key, const char *value)
{
	json_item(json, key);
	if (value)
		escape_json(&json->text, value);
	else
		appendStringInfoString(&json->text, "null");
}

static void
json_int(Json *json, const char *key, int value)
{
	json_item(json, key);
	appendStringInfo(&json->text, "%d", value);
}

static void
json_bool(Json *json, const char *key, bool value)
{
	json_item(json, key);
	appendStringInfoString(&json->text, value ? "true" : "false");
}

static void
json_time(Json *json, const char *key, TimestampTz value)
{
	json_string(json, key, TIMESTAMP_IS_NOBEGIN(value) ? NULL :
				JsonEncodeDateTime(NULL, TimestampTzGetDatum(value),
								   TIMESTAMPTZOID, NULL));
}

static void
json_strings(Json *json, const char *key, List *values)
{
	ListCell   *cell;

	json_open(json, key, '[');
	foreach(cell, values)
		json_string(json, NULL, lfirst(cell));
	json_close(json, ']');
}

static void
json_tallies(Json *json, const char *key, const char *label, List *tallies)
{
	ListCell   *cell;

	json_open(json, key, '[');
	foreach(cell, tallies)
	{
		Tally	   *tally = lfirst(cell);

		json_open(json, NULL, '{');
		json_string(json, label, tally->label);
		json_int(json, "instances", tally->count);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void
json_version(Json *json, VersionFacts *version)
{
	ListCell   *cell;

	json_open(json, NULL, '{');
	json_string(json, "version", version->version);
	json_string(json, "status", version->status);
	json_bool(json, "rolled_back", version->rolled_back);
	json_bool(json, "ready", version->ready);
	json_string(json, "description", version->description);
	json_int(json, "instances", version->instances);
	json_int(json, "percent", version->percent);
	json_time(json, "oldest_registration", version->oldest);
	json_time(json, "first_registration", version->registered);
	json_tallies(json, "clients", "address", version->addresses);
	json_tallies(json, "applications", "name", version->applications);
	json_open(json, "schemas", '[');
	foreach(cell, version->schemas)
	{
		VersionSchema *schema = lfirst(cell);

		json_open(json, NULL, '{');
		json_string(json, "schema", schema->name);
		json_int(json, "views", schema->views);
		json_close(json, '}');
	}
	json_close(json, ']');
	if (is_supported(version))
		json_strings(json, "kept_by", keepers(version));
	json_close(json, '}');
}

static void
json_int64(Json *json, const char *key, int64 value)
{
	json_item(json, key);
	appendStringInfo(&json->text, INT64_FORMAT, value);
}

static void
json_job(Json *json, JobFacts *job)
{
	json_open(json, NULL, '{');
	json_int(json, "job", job->job);
	json_string(json, "version", job->version);
	json_string(json, "kind", job->kind);
	json_string(json, "state", job->state);
	json_string(json, "relation", job->relation);
	json_string(json, "target", job->target);
	json_int64(json, "blocks_done", job->blocks_done);
	json_int64(json, "blocks", job->blocks);
	json_int64(json, "rows", job->rows);
	json_item(json, "rows_per_second");
	appendStringInfoString(&json->text, job->rows_per_second ?
						   job->rows_per_second : "null");
	json_time(json, "estimated_end", job->estimated_end);
	json_string(json, "error", job->error);
	json_item(json, "pid");
	if (job->pid)
		appendStringInfo(&json->text, "%d", job->pid);
	else
		appendStringInfoString(&json->text, "null");
	json_string(json, "goes_on_by", job->next);
	json_close(json, '}');
}

static void
json_synced(Json *json, SyncFacts *synced)
{
	json_open(json, NULL, '{');
	json_string(json, "table", synced->table);
	json_string(json, "old_column", synced->old_column);
	json_string(json, "new_column", synced->new_column);
	json_string(json, "version", synced->version);
	json_string(json, "trigger", synced->trigger);
	json_close(json, '}');
}

static void
json_retained(Json *json, RetainedFacts *retained)
{
	json_open(json, NULL, '{');
	json_string(json, "kind", retained->kind);
	json_string(json, "object", retained->object);
	json_string(json, "physical", retained->physical);
	json_strings(json, "needed_by", retained->needed_by);
	if (retained->bytes >= 0)
		json_int64(json, "bytes", retained->bytes);
	else
		json_string(json, "bytes", NULL);
	json_bool(json, "estimated", retained->estimated);
	json_string(json, "freed_by", retained->freed_by);
	json_close(json, '}');
}

static void
json_history(Json *json, HistoryFacts *line)
{
	json_open(json, NULL, '{');
	json_time(json, "when", line->when);
	json_string(json, "who", line->who);
	json_string(json, "action", line->action);
	json_string(json, "from", line->from);
	json_string(json, "to", line->to);
	json_item(json, "milliseconds");
	appendStringInfo(&json->text, "%.3f", line->milliseconds);
	json_string(json, "outcome", line->outcome);
	json_string(json, "description", line->description);
	json_string(json, "reason", line->reason);
	json_close(json, '}');
}

static void
json_product(Json *json, ProductFacts *product)
{
	ListCell   *cell;

	json_open(json, NULL, '{');
	json_string(json, "product", product->name);
	json_string(json, "current_version", product->current);
	json_strings(json, "schemas", product->schemas);
	json_bool(json, "exact", product->exact);
	json_bool(json, "complete", product->complete);
	json_bool(json, "awake", product->awake);
	json_int(json, "instances", product->instances);
	json_open(json, "versions", '[');
	foreach(cell, product->versions)
		json_version(json, lfirst(cell));
	json_close(json, ']');
	json_open(json, "jobs", '[');
	foreach(cell, product->jobs)
		json_job(json, lfirst(cell));
	json_close(json, ']');
	json_open(json, "in_step", '[');
	foreach(cell, product->synced)
		json_synced(json, lfirst(cell));
	json_close(json, ']');
	json_open(json, "retained", '[');
	foreach(cell, product->retained)
		json_retained(json, lfirst(cell));
	json_close(json, ']');
	json_open(json, "history", '[');
	foreach(cell, product->history)
		json_history(json, lfirst(cell));
	json_close(json, ']');
	json_close(json, '}');
}

static void
put_status_json(Output *out, StatusFacts *status)
{
	Json		json = {.depth = 0, .first = true};
	ListCell   *cell;

	initStringInfo(&json.text);
	json_open(&json, NULL, '{');
	json_open(&json, "products", '[');
	foreach(cell, status->products)
		json_product(&json, lfirst(cell));
	json_close(&json, ']');
	json_string(&json, "guard", status->guard);
	json_open(&json, "guard_triggers", '{');
	foreach(cell, status->triggers)
	{
		TriggerFacts *trigger = lfirst(cell);

		json_string(&json, trigger->name, trigger->state);
	}
	json_close(&json, '}');
	json_bool(&json, "registration_on_connect", status->on_connect);
	json_close(&json, '}');
	put_text(out, json.text.data);
}

/*
 * status(product text, format text) returns setof text
 */
Datum
schemaver_status(PG_FUNCTION_ARGS)
{
	char	   *name = PG_ARGISNULL(0) ? NULL :
		text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *format = PG_ARGISNULL(1) ? "text" :
		text_to_cstring(PG_GETARG_TEXT_PP(1));
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		json = pg_strcasecmp(format, "json") == 0;
	StatusFacts status;
	Output		out;

	if (!json && pg_strcasecmp(format, "text") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown status format \"%s\"", format),
				 errhint("Known formats are \"text\" and \"json\".")));
	if (name)
		(void) sv_catalog_product(name, false);
	sv_jobs_resume();

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	out.store = result->setResult;
	out.desc = result->setDesc;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	status.guard = GetConfigOption("schemaver.guard", false, false);
	/* the setting of this session: other roles may have another */
	status.on_connect = lists_us(session_preload_libraries_string) ||
		lists_us(shared_preload_libraries_string);
	status.triggers = gather_triggers();
	status.products = gather_products(name);
	if (json)
		put_status_json(&out, &status);
	else
		put_status_text(&out, &status);
	SPI_finish();
	return (Datum) 0;
}

/*
 * full_schema
 */

static SchemaRank
entry_rank(const SvEntry *entry)
{
	switch (entry->kind)
	{
		case SV_ENTRY_TYPE:
			return RANK_TYPE;
		case RELKIND_SEQUENCE:
			return RANK_SEQUENCE;
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
			return RANK_VIEW;
		case SV_ENTRY_FUNCTION:
			return RANK_FUNCTION;
		default:
			return RANK_TABLE;
	}
}

static int
compare_entries(const ListCell *a, const ListCell *b)
{
	const SvEntry *x = lfirst(a);
	const SvEntry *y = lfirst(b);
	int			result = (int) entry_rank(x) - (int) entry_rank(y);

	if (result == 0)
		result = strcmp(x->schema, y->schema);
	if (result == 0)
		result = strcmp(x->name, y->name);
	if (result == 0)
		result = strcmp(x->args, y->args);
	return result;
}

/* append a statement that is stored whole, with exactly one semicolon */
static void
append_statement(StringInfo sql, const char *text)
{
	int			length = strlen(text);

	while (length > 0 && (isspace((unsigned char) text[length - 1]) ||
						  text[length - 1] == ';'))
		length--;
	appendBinaryStringInfo(sql, text, length);
	appendStringInfoString(sql, ";\n\n");
}

static void
append_column(StringInfo sql, const SvPart *column)
{
	appendStringInfo(sql, "\n    %s %s", quote_identifier(column->name),
					 column->type);
	if (column->generated == 's')
		appendStringInfo(sql, " GENERATED ALWAYS AS (%s) STORED",
						 column->expression);
	else if (column->identity == 'a')
		appendStringInfoString(sql, " GENERATED ALWAYS AS IDENTITY");
	else if (column->identity == 'd')
		appendStringInfoString(sql, " GENERATED BY DEFAULT AS IDENTITY");
	else if (column->expression)
		appendStringInfo(sql, " DEFAULT %s", column->expression);
	if (column->notnull)
		appendStringInfoString(sql, " NOT NULL");
}

/*
 * Does a constraint stand in CREATE TABLE?  Foreign keys come after all
 * tables, for they may point at any; unique indexes are statements.
 */
static bool
is_inline(const SvPart *constraint)
{
	return constraint->flavour != CONSTRAINT_FOREIGN &&
		constraint->flavour != 'i';
}

static void
append_table(StringInfo sql, const SvEntry *entry, const char *relation)
{
	const char *separator = "";
	ListCell   *cell;

	/* what serves the rows is no part of the contract */
	if (entry->kind == RELKIND_PARTITIONED_TABLE)
		appendStringInfoString(sql, "-- partitioned\n");
	else if (entry->kind == RELKIND_FOREIGN_TABLE)
		appendStringInfoString(sql, "-- foreign\n");
	appendStringInfo(sql, "CREATE TABLE %s (", relation);
	foreach(cell, entry->columns)
	{
		appendStringInfoString(sql, separator);
		append_column(sql, lfirst(cell));
		separator = ",";
	}
	foreach(cell, entry->constraints)
	{
		SvPart	   *constraint = lfirst(cell);

		if (!is_inline(constraint))
			continue;
		appendStringInfo(sql, "%s\n    CONSTRAINT %s %s", separator,
						 quote_identifier(constraint->name),
						 constraint->type);
		separator = ",";
	}
	appendStringInfoString(sql, "\n);\n\n");
	if (entry->rowsecurity)
		appendStringInfo(sql, "ALTER TABLE %s ENABLE ROW LEVEL SECURITY;\n\n",
						 relation);
}

static void
append_view(StringInfo sql, const SvEntry *entry, const char *relation)
{
	const char *separator = " (";
	ListCell   *cell;

	appendStringInfo(sql, "CREATE %sVIEW %s",
					 entry->kind == RELKIND_MATVIEW ? "MATERIALIZED " : "",
					 relation);
	foreach(cell, entry->columns)
	{
		SvPart	   *column = lfirst(cell);

		appendStringInfo(sql, "%s%s", separator,
						 quote_identifier(column->name));
		separator = ", ";
	}
	appendStringInfo(sql, "%s AS\n", entry->columns ? ")" : "");
	append_statement(sql, entry->definition);
}

/* ranges and aggregates, of which a contract knows no more than this */
static void
append_undescribed(StringInfo sql, const SvEntry *entry)
{
	const char *name = quote_qualified_identifier(entry->schema, entry->name);

	if (entry->kind == SV_ENTRY_TYPE)
		appendStringInfo(sql, "-- type %s\n\n", name);
	else
		appendStringInfo(sql, "-- function %s(%s)\n\n", name, entry->args);
}

static void
append_entry(StringInfo sql, const SvEntry *entry)
{
	const char *relation = quote_qualified_identifier(entry->schema,
													  entry->name);

	switch (entry_rank(entry))
	{
		case RANK_TYPE:
		case RANK_FUNCTION:
			if (entry->definition)
				append_statement(sql, entry->definition);
			else
				append_undescribed(sql, entry);
			break;
		case RANK_SEQUENCE:
			appendStringInfo(sql, "CREATE SEQUENCE %s %s;\n\n", relation,
							 entry->definition);
			break;
		case RANK_TABLE:
			append_table(sql, entry, relation);
			break;
		case RANK_VIEW:
			append_view(sql, entry, relation);
			break;
	}
}

/* what comes when everything is there: foreign keys, indexes, triggers */
static void
append_outside(StringInfo sql, const SvEntry *entry)
{
	ListCell   *cell;

	foreach(cell, entry->constraints)
	{
		SvPart	   *constraint = lfirst(cell);

		if (constraint->flavour == CONSTRAINT_FOREIGN)
			appendStringInfo(sql, "ALTER TABLE %s ADD CONSTRAINT %s %s;\n\n",
							 quote_qualified_identifier(entry->schema,
														entry->name),
							 quote_identifier(constraint->name),
							 constraint->type);
		else if (!is_inline(constraint))
			append_statement(sql, constraint->type);
	}
	foreach(cell, entry->triggers)
		append_statement(sql, ((SvPart *) lfirst(cell))->type);
}

/* an identity column brings its sequence along */
static bool
is_implied(const SvProduct *product, const SvEntry *entry)
{
	Oid			table;
	int32		column;

	return entry->kind == RELKIND_SEQUENCE && product->awake &&
		sequenceIsOwned(entry->physical, DEPENDENCY_INTERNAL, &table, &column);
}

static SvRelease *
find_release(const SvProduct *product, const SvVersion *version)
{
	ListCell   *cell;

	foreach(cell, sv_catalog_releases(product, false))
	{
		SvRelease  *release = lfirst(cell);

		if (sv_version_compare(release->version, version) == 0)
			return release;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("product \"%s\" has no version %s", product->name,
					sv_version_text(version)),
			 errhint("SELECT version FROM schemaver.versions lists those that it has.")));
}

/*
 * full_schema(version schemaver.version, product text) returns text
 */
Datum
schemaver_full_schema(PG_FUNCTION_ARGS)
{
	SvProduct  *product;
	SvRelease  *release;
	List	   *entries = NIL;
	StringInfoData sql;
	ListCell   *cell;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	product = sv_catalog_product(PG_ARGISNULL(1) ? NULL :
								 text_to_cstring(PG_GETARG_TEXT_PP(1)), false);
	release = find_release(product, PG_GETARG_SVVERSION(0));
	for (int i = 0; i < release->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry(release->entries[i]);

		if (!is_implied(product, entry))
			entries = lappend(entries, entry);
	}
	list_sort(entries, compare_entries);

	initStringInfo(&sql);
	foreach(cell, entries)
		append_entry(&sql, lfirst(cell));
	foreach(cell, entries)
		append_outside(&sql, lfirst(cell));
	while (sql.len > 0 && sql.data[sql.len - 1] == '\n')
		sql.data[--sql.len] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text_with_len(sql.data, sql.len));
}
