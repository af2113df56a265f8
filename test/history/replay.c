/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Take a history of migrations step by step, and see what becomes of an
 *	  application of the version before.
 *
 * replay FUNCTIONS KEEP FROM FILE...
 *
 * Two databases go through the same files in step: "plain", where each is run
 * as it is, and "versions", where schemaver.apply() gets it.  FUNCTIONS is
 * history.sql, KEEP how many older versions stay beside the newest one, FROM
 * the number of the first file that anybody looks on at.
 *
 * Before each step, a session of the version of then prepares and runs all
 * that history.sql finds to say about it, in both databases.  It stays
 * connected through the step, and then runs it again, both what it prepared
 * and anew.  What worked before and fails now, or gives columns of other
 * names or types, is broken; so it is in "versions" where it gives other rows
 * although the script wrote none.  All this is rolled back.  What writes a
 * value that the script itself would have stumbled over, had it been there, is
 * nothing that an application of that version says, so it is not broken.
 *
 * A step that apply() refuses is done by hand there, when the sessions of
 * older versions have gone, so that the next can be tried.
 *
 * Where to connect is in libpq's environment variables.  Exit status: 0, or 1
 * if something was broken, 2 if the history could not be taken to its end.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE				/* vasprintf, strcasestr */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libpq-fe.h"

#define PRODUCT		"history"
#define MAX_KEEP	8
#define CHUNK		64			/* statements under way at a time */
#define SHOWN		5			/* broken statements that a step shows */
#define SLOW		10			/* ms that writing may take on an average */
#define MAX_COLUMNS	1600
#define CLOCK_TRIES	40			/* times half a second for a clock to move */

/* when a statement was run, and in which form */
enum
{
	BEFORE,
	AFTER
};
enum
{
	DIRECT,
	PREPARED
};

typedef struct Outcome
{
	char		sqlstate[6];	/* empty: success */
	char	   *message;
	char	   *violated;		/* constraint, or column that is NOT NULL */
	uint64_t	shape;			/* hash of the columns' names and types */
	uint64_t	names;			/* hash of their names, in any order */
	uint64_t	rows;			/* hash of the rows, in any order */
	int			nrows;
	int			ncolumns;
	uint64_t   *columns;		/* hashes of each column's values, likewise */
} Outcome;

typedef struct Statement
{
	char	   *object;			/* name of what it is about */
	char	   *relation;		/* its OID in "plain", or "0" */
	char	   *kind;
	char	   *text;
	bool		usable;			/* has worked so far */
	bool		writes;
	bool		planned;		/* only explain it */
	char		unfit[6];		/* SQLSTATE of the script if run after it */
	double		duration;		/* in milliseconds, when first run before or
								 * after */
	Outcome		outcomes[2][2]; /* by when and form */
} Statement;

/* a session of the application, with what it says */
typedef struct Session
{
	PGconn	   *conn;
	int			version;		/* -1 in "plain" */
	int			count;
	Statement  *statements;
} Session;

/* a difference between two versions */
typedef struct Difference
{
	char	   *object;
	char	   *what;			/* "dropped column" */
	char	   *name;
	char	   *sqlstates;		/* what can come of it */
	bool		noticed;		/* it has */
} Difference;

/* what became of a step, or of steps of a kind, under apply() */
typedef enum Fate
{
	KEPT,
	REFUSED,
	BROKEN,
	NFATES
} Fate;

/* what a step does to the version before when run plainly */
typedef enum Harm
{
	HARM_TAKES,					/* drops, renames or replaces */
	HARM_DEMANDS,				/* other types or constraints, or unexplained */
	HARM_ADDS,					/* only SELECT * looks otherwise */
	HARM_NONE,
	NHARMS
} Harm;

static const char *const harm_names[NHARMS] = {
	"by what it drops, renames or replaces",
	"by another type or a constraint",
	"SELECT * only, by what is added",
	"not at all"
};

typedef struct Tally
{
	char	   *name;
	int			counts[NFATES];
} Tally;

typedef struct Tallies
{
	int			count;
	Tally	   *items;
} Tallies;

/* an object that it takes long to write to */
typedef struct Slow
{
	struct Slow *next;
	char	   *object;
} Slow;

typedef struct Replay
{
	int			keep;
	PGconn	   *observer;		/* of "plain", with history.sql's functions */
	Session		plain;
	Session		sessions[MAX_KEEP]; /* of "versions", newest first */
	int			nsessions;
	int			version;		/* current version of "versions" */
	int			oldest;			/* oldest one that is supported */
	const char *script;			/* that of the step */
	char	   *written;		/* "," OIDs of relations it wrote to, each with
								 * "," behind; "*" if nobody knows */
	Slow	   *slow;
	int			nnot_run;
	int			nstatements;
	int			nheld_back;
	int			nunkept;		/* values that an older version cannot have */
	int			nheld_back_now; /* of the version of the step */
	int			harms[NHARMS][NFATES];
	Tallies		causes;
	Tallies		unnoticed;
	Tallies		refusals;
} Replay;

/*
 * Small things
 */

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format,...)
{
	va_list		args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static void *
resize(void *pointer, size_t size)
{
	pointer = realloc(pointer, size ? size : 1);
	if (pointer == NULL)
		die("out of memory");
	return pointer;
}

static char *
copy(const char *text)
{
	return strcpy(resize(NULL, strlen(text) + 1), text);
}

static char *__attribute__((format(printf, 1, 2)))
print(const char *format,...)
{
	va_list		args;
	char	   *result;

	va_start(args, format);
	if (vasprintf(&result, format, args) < 0)
		die("out of memory");
	va_end(args);
	return result;
}

static bool
starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static char *
read_file(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	char	   *text = NULL;
	size_t		size = 0;
	size_t		got;

	if (file == NULL)
		die("could not open %s", path);
	do
	{
		text = resize(text, size + 65536 + 1);
		got = fread(text + size, 1, 65536, file);
		size += got;
	} while (got > 0);
	text[size] = '\0';
	fclose(file);
	return text;
}

static double
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000.0 + now.tv_nsec / 1000000.0;
}

/* FNV-1a; the terminating zero is part of it */
static uint64_t
hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char) *text) * UINT64_C(1099511628211);
	while (*text++);
	return hash;
}

/*
 * Connections
 */

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

static PGconn *
connect_to(const char *database)
{
	const char *const keywords[] = {"dbname", "options", NULL};
	const char *const values[] = {database, "-c statement_timeout=60s -c log_min_error_statement=panic", NULL};
	PGconn	   *conn = PQconnectdbParams(keywords, values, 0);

	if (PQstatus(conn) != CONNECTION_OK)
		die("%s", PQerrorMessage(conn));
	PQsetNoticeProcessor(conn, ignore_notice, NULL);
	return conn;
}

static bool
succeeded(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* a query that has to work */
static PGresult *
query(PGconn *conn, const char *text)
{
	PGresult   *result = PQexec(conn, text);

	if (!succeeded(result))
		die("%sin: %.500s", PQerrorMessage(conn), text);
	return result;
}

static void
execute(PGconn *conn, const char *text)
{
	PQclear(query(conn, text));
}

/* "42P01: relation "x" does not exist" of a result, or NULL if it is one */
static char *
error_of(PGconn *conn, PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	if (succeeded(result))
		return NULL;
	if (PQstatus(conn) != CONNECTION_OK || sqlstate == NULL)
		die("the server is gone: %s", PQerrorMessage(conn));
	return print("%s: %s", sqlstate, message ? message : "");
}

/* run a query; what went wrong, or NULL */
static char *
try_query(PGconn *conn, const char *text)
{
	PGresult   *result = PQexec(conn, text);
	char	   *error = error_of(conn, result);

	PQclear(result);
	return error;
}

/*
 * Running what an application says
 */

static void
forget(Outcome *outcome)
{
	free(outcome->message);
	free(outcome->violated);
	free(outcome->columns);
	memset(outcome, 0, sizeof(*outcome));
}

/* what an error says was violated, or NULL */
static char *
violated_by(const PGresult *result)
{
	const char *constraint = PQresultErrorField(result,
												PG_DIAG_CONSTRAINT_NAME);
	const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
	const char *column = PQresultErrorField(result, PG_DIAG_COLUMN_NAME);

	if (constraint)
		return copy(constraint);
	return table && column ? print("%s.%s", table, column) : NULL;
}

/* add a result to an outcome */
static void
describe(const PGresult *result, Outcome *outcome)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (sqlstate)
	{
		snprintf(outcome->sqlstate, sizeof(outcome->sqlstate), "%s", sqlstate);
		outcome->message =
			copy(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
		outcome->violated = violated_by(result);
	}
	outcome->nrows = PQntuples(result);
	if (PQnfields(result) == 0)
		return;
	free(outcome->columns);
	outcome->ncolumns = PQnfields(result);
	outcome->columns = calloc(outcome->ncolumns, sizeof(uint64_t));
	if (outcome->columns == NULL)
		die("out of memory");
	for (int c = 0; c < PQnfields(result); c++)
	{
		outcome->names += hash_text(0, PQfname(result, c));
		outcome->shape = hash_text(outcome->shape + PQftype(result, c) + 1,
								   PQfname(result, c));
	}
	for (int r = 0; r < PQntuples(result); r++)
	{
		uint64_t	row = 0;

		for (int c = 0; c < PQnfields(result); c++)
		{
			uint64_t	start = PQgetisnull(result, r, c) + 1;

			row = hash_text(row + start, PQgetvalue(result, r, c));
			outcome->columns[c] += hash_text(start,
											 PQgetvalue(result, r, c));
		}
		outcome->rows += row;
	}
}

/* take the result of one statement, up to the end of its pipeline segment */
static void
take_outcome(PGconn *conn, Outcome *outcome, int nresults)
{
	PGresult   *result;

	forget(outcome);
	while (nresults-- > 0)
	{
		result = PQgetResult(conn);
		if (PQstatus(conn) != CONNECTION_OK)
			die("the server is gone: %s", PQerrorMessage(conn));
		describe(result, outcome);
		PQclear(result);
		if ((result = PQgetResult(conn)) != NULL)
			die("more results than statements");
	}
	result = PQgetResult(conn);
	if (PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		die("no end of the statement: %s", PQerrorMessage(conn));
	PQclear(result);
}

static char *
statement_name(int number)
{
	static char name[16];

	snprintf(name, sizeof(name), "s%d", number);
	return name;
}

/*
 * Each form of a statement has to be run before and after, but not every form
 * of it: what works as it is will work when prepared, and what fails as it is
 * will fail when prepared.  So "plain" sees it as it is before, and what was
 * prepared after; "versions" what was prepared before, and both after.  What
 * is read is run in both forms before, to see whether it gives the same rows,
 * and what writes but takes long is not run in the second form after.
 */
static bool
is_wanted(const Session *session, const Statement *statement, int when,
		  int form)
{
	if (!statement->usable)
		return false;
	if (session->version < 0)
		return (when == BEFORE) == (form == DIRECT) || !statement->writes;
	return form == PREPARED || !statement->writes ||
		(when == AFTER && statement->duration < SLOW);
}

static void
send_statement(Session *session, int number, int form)
{
	PGconn	   *conn = session->conn;
	const char *text = session->statements[number].text;

	if (!PQsendQueryParams(conn, "ROLLBACK AND CHAIN", 0, NULL, NULL, NULL,
						   NULL, 0) ||
		!(form == PREPARED ?
		  PQsendQueryPrepared(conn, statement_name(number), 0, NULL, NULL,
							  NULL, 0) :
		  PQsendQueryParams(conn, text, 0, NULL, NULL, NULL, NULL, 0)) ||
		!PQpipelineSync(conn))
		die("%s", PQerrorMessage(conn));
}

/* send a chunk of what is wanted */
static void
send_chunk(Session *session, int start, int when, int form)
{
	for (int i = start; i < session->count && i < start + CHUNK; i++)
	{
		if (is_wanted(session, &session->statements[i], when, form))
			send_statement(session, i, form);
	}
}

static void
take_chunk(Session *session, int start, int when, int form)
{
	double		last = milliseconds();

	for (int i = start; i < session->count && i < start + CHUNK; i++)
	{
		Statement  *statement = &session->statements[i];

		if (!is_wanted(session, statement, when, form))
			continue;
		take_outcome(session->conn, &statement->outcomes[when][form], 2);
		if ((when == AFTER) == (form == PREPARED))
			statement->duration = milliseconds() - last;
		last = milliseconds();
	}
}

/* run what is wanted of several sessions, side by side, and undo it */
static void
run_all(Session **sessions, int n, int when, int form)
{
	int			count = 0;

	for (int s = 0; s < n; s++)
	{
		execute(sessions[s]->conn, "BEGIN");
		PQenterPipelineMode(sessions[s]->conn);
		if (sessions[s]->count > count)
			count = sessions[s]->count;
	}
	for (int start = 0; start < count; start += CHUNK)
	{
		for (int s = 0; s < n; s++)
			send_chunk(sessions[s], start, when, form);
		for (int s = 0; s < n; s++)
			take_chunk(sessions[s], start, when, form);
	}
	for (int s = 0; s < n; s++)
	{
		PQexitPipelineMode(sessions[s]->conn);
		execute(sessions[s]->conn, "ROLLBACK");
	}
}

/* prepare what is usable */
static void
prepare_all(Session *session)
{
	PGconn	   *conn = session->conn;

	PQenterPipelineMode(conn);
	for (int start = 0; start < session->count; start += CHUNK)
	{
		for (int i = start; i < session->count && i < start + CHUNK; i++)
		{
			if (session->statements[i].usable &&
				(!PQsendPrepare(conn, statement_name(i),
								session->statements[i].text, 0, NULL) ||
				 !PQpipelineSync(conn)))
				die("%s", PQerrorMessage(conn));
		}
		for (int i = start; i < session->count && i < start + CHUNK; i++)
		{
			Outcome		outcome = {0};

			if (!session->statements[i].usable)
				continue;
			take_outcome(conn, &outcome, 1);
			forget(&outcome);
		}
	}
	PQexitPipelineMode(conn);
}

/* what failed in that form before the step does not count after it */
static void
drop_failed(Session *session, int form)
{
	for (int i = 0; i < session->count; i++)
	{
		if (session->statements[i].outcomes[BEFORE][form].sqlstate[0])
			session->statements[i].usable = false;
	}
}

/* does a form of a statement not do what it did?  SQLSTATE, or "shape" */
static const char *
breakage_of(const Statement *statement, int form)
{
	const Outcome *before = &statement->outcomes[BEFORE][form];
	const Outcome *after = &statement->outcomes[AFTER][form];

	if (!statement->usable)
		return NULL;
	if (after->sqlstate[0])
		return after->sqlstate;
	return statement->writes || before->shape == after->shape ? NULL : "shape";
}

/* does one of its forms?  With the message that comes of it. */
static const char *
breakage(const Statement *statement, const char **message)
{
	for (int form = DIRECT; form <= PREPARED; form++)
	{
		const char *sqlstate = breakage_of(statement, form);

		*message = statement->outcomes[AFTER][form].message;
		if (*message == NULL)
			*message = "the columns have other names or types";
		if (sqlstate)
			return sqlstate;
	}
	return NULL;
}

/* what one of its forms violates now, or NULL */
static const char *
violated_in(const Statement *statement)
{
	for (int form = DIRECT; form <= PREPARED; form++)
	{
		if (statement->outcomes[AFTER][form].violated)
			return statement->outcomes[AFTER][form].violated;
	}
	return NULL;
}

static void
free_statements(Session *session)
{
	for (int i = 0; i < session->count; i++)
	{
		Statement  *statement = &session->statements[i];

		for (int when = BEFORE; when <= AFTER; when++)
			for (int form = DIRECT; form <= PREPARED; form++)
				forget(&statement->outcomes[when][form]);
		free(statement->object);
		free(statement->relation);
		free(statement->kind);
		free(statement->text);
	}
	free(session->statements);
	session->statements = NULL;
	session->count = 0;
}

/*
 * Counting
 */

static void
count(Tallies *tallies, const char *name, Fate fate)
{
	int			i = 0;

	while (i < tallies->count && strcmp(tallies->items[i].name, name) != 0)
		i++;
	if (i == tallies->count)
	{
		tallies->items = resize(tallies->items, (i + 1) * sizeof(Tally));
		memset(&tallies->items[i], 0, sizeof(Tally));
		tallies->items[i].name = copy(name);
		tallies->count++;
	}
	tallies->items[i].counts[fate]++;
}

static int
sum(const int *counts)
{
	int			total = 0;

	for (int fate = 0; fate < NFATES; fate++)
		total += counts[fate];
	return total;
}

static int
compare_tallies(const void *a, const void *b)
{
	const Tally *x = a;
	const Tally *y = b;
	int			difference = sum(y->counts) - sum(x->counts);

	return difference ? difference : strcmp(x->name, y->name);
}

static void
show_counts(const char *name, const int *counts)
{
	printf("%-50s %6d %6d %8d %7d\n", name, sum(counts), counts[KEPT],
		   counts[REFUSED], counts[BROKEN]);
}

static void
show_tallies(const char *heading, Tallies *tallies)
{
	if (tallies->count == 0)
		return;
	qsort(tallies->items, tallies->count, sizeof(Tally), compare_tallies);
	printf("\n%-50s  steps   kept  refused  broken\n", heading);
	for (int i = 0; i < tallies->count; i++)
		show_counts(tallies->items[i].name, tallies->items[i].counts);
}

/*
 * Before a step
 */

static Slow **
find_slow(Replay *replay, const char *object)
{
	Slow	  **slow = &replay->slow;

	while (*slow && strcmp((*slow)->object, object) != 0)
		slow = &(*slow)->next;
	return slow;
}

/* where the statements about the object of one of them end */
static int
end_of_object(const Session *session, int start)
{
	int			end = start;

	while (end < session->count &&
		   strcmp(session->statements[end].object,
				  session->statements[start].object) == 0)
		end++;
	return end;
}

/*
 * Writing to something can take long because of its triggers.  Then one of
 * the statements that do is run, another at each step, or none; the
 * others are planned only.
 */
static void
spare_slow(Replay *replay, Session *session)
{
	int			nobjects = 0;

	for (int i = 0, end; i < session->count; i = end)
	{
		int			nwrites = 0;
		int			n = 0;

		end = end_of_object(session, i);
		if (*find_slow(replay, session->statements[i].object) == NULL)
			continue;
		for (int j = i; j < end; j++)
			nwrites += session->statements[j].writes;
		nobjects++;
		for (int j = i; j < end; j++)
		{
			Statement  *statement = &session->statements[j];
			char	   *text = statement->text;

			if (!statement->writes || statement->planned)
				continue;
			if (n++ == replay->version % nwrites &&
				(nobjects + replay->version) % 4 == 0)
				continue;
			statement->text = print("EXPLAIN %s", text);
			statement->planned = true;
			free(text);
		}
	}
}

/* remember what was slow, and what has ceased to be */
static void
note_slow(Replay *replay, const Session *session)
{
	for (int i = 0, end; i < session->count; i = end)
	{
		const char *object = session->statements[i].object;
		Slow	  **slow = find_slow(replay, object);
		double		duration = 0;
		int			n = 0;

		end = end_of_object(session, i);
		for (int j = i; j < end; j++)
		{
			const Statement *statement = &session->statements[j];

			if (!statement->writes || statement->planned ||
				!statement->usable)
				continue;
			duration += statement->duration;
			n++;
		}
		if (n > 0 && duration > n * SLOW && *slow == NULL)
		{
			*slow = resize(NULL, sizeof(Slow));
			(*slow)->object = copy(object);
			(*slow)->next = NULL;
		}
		else if (n > 0 && duration <= n * SLOW && *slow)
		{
			Slow	   *next = (*slow)->next;

			free((*slow)->object);
			free(*slow);
			*slow = next;
		}
	}
}

/* what there is to say, all of it to be tried */
static void
read_statements(Replay *replay, Session *session)
{
	PGresult   *result = query(replay->observer,
							   "SELECT pg_temp.refresh_cache();"
							   "SELECT * FROM pg_temp.statements()");

	session->count = PQntuples(result);
	session->statements = resize(NULL, session->count * sizeof(Statement));
	memset(session->statements, 0, session->count * sizeof(Statement));
	for (int i = 0; i < session->count; i++)
	{
		Statement  *statement = &session->statements[i];

		statement->object = copy(PQgetvalue(result, i, 0));
		statement->relation = copy(PQgetvalue(result, i, 1));
		statement->kind = copy(PQgetvalue(result, i, 2));
		statement->text = copy(PQgetvalue(result, i, 3));
		statement->writes = strcmp(statement->kind, "insert") == 0 ||
			strcmp(statement->kind, "update") == 0 ||
			strcmp(statement->kind, "delete") == 0;
		statement->usable = true;
	}
	PQclear(result);
	spare_slow(replay, session);
}

/* what works in "plain", to be said in "versions" */
static void
copy_statements(const Session *from, Session *to)
{
	to->statements = resize(NULL, from->count * sizeof(Statement));
	to->count = 0;
	for (int i = 0; i < from->count; i++)
	{
		Statement  *statement = &to->statements[to->count];

		if (!from->statements[i].usable)
			continue;
		memset(statement, 0, sizeof(*statement));
		statement->object = copy(from->statements[i].object);
		statement->relation = copy(from->statements[i].relation);
		statement->kind = copy(from->statements[i].kind);
		statement->text = copy(from->statements[i].text);
		statement->writes = from->statements[i].writes;
		statement->planned = from->statements[i].planned;
		statement->usable = true;
		to->count++;
	}
}

static const Statement *
find_statement(const Session *session, const char *text)
{
	for (int i = 0; i < session->count; i++)
	{
		if (strcmp(session->statements[i].text, text) == 0)
			return &session->statements[i];
	}
	return NULL;
}

/* does "plain" have a constraint, or a column that is NOT NULL, of that name? */
static bool
is_demanded(const Replay *replay, const char *violated)
{
	const char *values[] = {violated};
	PGresult   *result = PQexecParams(replay->observer,
									  "SELECT pg_temp.demands($1)",
									  1, NULL, values, NULL, NULL, 0);
	bool		demanded = PQntuples(result) == 1 &&
	*PQgetvalue(result, 0, 0) == 't';

	PQclear(result);
	return demanded;
}

/* is it about a value that an older version cannot have? */
static bool
is_of_unkept_value(const char *error)
{
	return strstr(error, " cannot be kept for version ") != NULL;
}

/*
 * The newest version cannot do what it can in "plain".  That is no fault if it
 * violates what is there in "plain" as well: scripts that rely on the clock,
 * on chance or on the order of rows leave other data in each database.  Nor is
 * it one that a value which an older version's type does not have is refused,
 * in words that say so: the script has no directive for it.
 */
static void
held_back(Replay *replay, const char *text, const char *why,
		  const char *violated)
{
	bool		is_unkept = is_of_unkept_value(why);

	if (violated && is_demanded(replay, violated))
		return;
	if (is_unkept)
		replay->nunkept++;
	else
		replay->nheld_back++;
	if (replay->nheld_back_now++ < SHOWN)
		printf("    version %d, being the newest, %s: %s\n        %.300s\n",
			   replay->version, is_unkept ?
			   "has a value that an older one cannot have" : "is held back",
			   why, text);
}

/* what the newest version says works as if there were no other versions */
static void
check_newest(Replay *replay, const Session *session)
{
	replay->nheld_back_now = 0;
	for (int i = 0; i < session->count; i++)
	{
		const Statement *statement = &session->statements[i];
		const Statement *plain = find_statement(&replay->plain,
												statement->text);
		const Outcome *outcome = &statement->outcomes[BEFORE][PREPARED];

		if (outcome->sqlstate[0])
			held_back(replay, statement->text, outcome->message,
					  outcome->violated);
		else if (!statement->writes &&
				 outcome->names != plain->outcomes[BEFORE][PREPARED].names)
			held_back(replay, statement->text,
					  "the columns are not those of the plain database", NULL);
	}
}

/* run a query in "versions" that has worked in "plain" */
static void
repeat(Replay *replay, PGconn *conn, const char *text)
{
	PGresult   *result = PQexec(conn, text);
	char	   *error = error_of(conn, result);
	char	   *violated = violated_by(result);

	if (error)
		held_back(replay, text, error, violated);
	free(error);
	free(violated);
	PQclear(result);
}

/* let the session of the oldest version go; returns that version */
static int
leave_oldest(Replay *replay)
{
	Session    *oldest = &replay->sessions[--replay->nsessions];
	int			version = oldest->version;

	/* a connection that was closed may be live for a moment yet */
	execute(oldest->conn, "SELECT schemaver.unregister()");
	free_statements(oldest);
	PQfinish(oldest->conn);
	return version;
}

static void
retire(PGconn *conn, int version)
{
	char	   *text = print("SELECT schemaver.retire('%d', '" PRODUCT "')",
							 version);

	execute(conn, text);
	free(text);
}

static void
retire_oldest(Replay *replay)
{
	PGconn	   *conn = connect_to("versions");

	retire(conn, leave_oldest(replay));
	PQfinish(conn);
}

/* another session of "versions", registered under the newest version */
static void
open_session(Replay *replay)
{
	Session    *session = &replay->sessions[0];
	char	   *text;

	memmove(session + 1, session, replay->nsessions * sizeof(Session));
	replay->nsessions++;
	memset(session, 0, sizeof(*session));
	session->version = replay->version;
	session->conn = connect_to("versions");
	text = print("SELECT schemaver.register('%d', '" PRODUCT "')",
				 session->version);
	execute(session->conn, text);
	free(text);
	copy_statements(&replay->plain, session);
	prepare_all(session);
}

/* what did not come through a step is not tried at the next */
static void
drop_broken(Session *session)
{
	for (int i = 0; i < session->count; i++)
	{
		const char *message;

		if (breakage(&session->statements[i], &message))
			session->statements[i].usable = false;
	}
}

/*
 * Let the sessions that stay say what they have to say: "plain" beside the
 * newest of "versions", and then the others, since two in the same database
 * would wait for each other's rows.
 */
static void
run_sessions(Replay *replay, bool versions, int when)
{
	Session    *both[] = {&replay->plain, &replay->sessions[0]};

	/* what was prepared goes first: nothing else has seen the schema yet */
	for (int form = PREPARED; form >= DIRECT; form--)
	{
		if (when == BEFORE && form == DIRECT)
			run_all(both + 1, 1, when, form);
		else
			run_all(both, versions ? 2 : 1, when, form);
		for (int i = 1; versions && i < replay->nsessions && i < replay->keep;
			 i++)
		{
			Session    *session = &replay->sessions[i];

			run_all(&session, 1, when, form);
		}
	}
}

/* the sequences of "versions" go to where those of "plain" are */
static void
align_sequences(Replay *replay)
{
	PGresult   *result = query(replay->observer,
							   "SELECT * FROM pg_temp.sequence_positions()");
	PGconn	   *conn = connect_to("versions");

	for (int i = 0; i < PQntuples(result); i++)
		repeat(replay, conn, PQgetvalue(result, i, 0));
	PQfinish(conn);
	PQclear(result);
}

static void
prepare_step(Replay *replay)
{
	Session    *plain = &replay->plain;

	align_sequences(replay);
	execute(replay->observer,
			"TRUNCATE before; "
			"INSERT INTO before SELECT * FROM pg_temp.inventory");
	read_statements(replay, plain);
	run_all(&plain, 1, BEFORE, DIRECT);
	drop_failed(plain, DIRECT);
	note_slow(replay, plain);
	spare_slow(replay, plain);
	prepare_all(plain);
	for (int i = 0; i < replay->nsessions; i++)
		drop_broken(&replay->sessions[i]);
	open_session(replay);
	run_sessions(replay, true, BEFORE);
	check_newest(replay, &replay->sessions[0]);
	for (int i = 0; i < replay->nsessions; i++)
		drop_failed(&replay->sessions[i], PREPARED);
	while (replay->nsessions > replay->keep)
		retire_oldest(replay);
}

/*
 * The step
 */

/* what the open transaction has written to */
static char *
written_by(PGconn *conn)
{
	PGresult   *result;
	char	   *list;

	if (PQtransactionStatus(conn) != PQTRANS_INTRANS)
		return copy("*");
	result = query(conn, "SELECT coalesce(',' || string_agg(relid || ',', ''), '')"
				   " FROM pg_stat_xact_user_tables"
				   " WHERE n_tup_ins + n_tup_upd + n_tup_del > 0");
	list = copy(PQgetvalue(result, 0, 0));
	PQclear(result);
	return list;
}

/*
 * Run a script as one transaction; what went wrong, or NULL.  One that cannot
 * run in a transaction, CREATE INDEX CONCURRENTLY say, runs without, and then
 * is a single statement, which writes no rows.
 */
static char *
run_script(PGconn *conn, const char *script, char **written)
{
	char	   *error;

	execute(conn, "BEGIN");
	error = try_query(conn, script);
	if (error == NULL)
	{
		*written = written_by(conn);
		error = try_query(conn, "COMMIT");
	}
	if (PQtransactionStatus(conn) != PQTRANS_IDLE)
		execute(conn, "ROLLBACK");
	if (error && *written == NULL && starts_with(error, "25001: "))
	{
		free(error);
		error = try_query(conn, script);
		if (error == NULL)
			*written = copy("");
	}
	return error;
}

/* in "plain": what went wrong, or NULL */
static char *
run_plainly(Replay *replay, const char *script)
{
	PGconn	   *conn = connect_to("plain");
	char	   *error;

	free(replay->written);
	replay->written = NULL;
	replay->script = script;
	error = run_script(conn, script, &replay->written);
	PQfinish(conn);
	return error;
}

/* after the script, in the same transaction: does that fail? */
static bool
is_suspect(PGconn *conn, const Statement *statement)
{
	char	   *error;

	if (!statement->usable || !statement->writes || statement->planned)
		return false;
	execute(conn, "SAVEPOINT suspect");
	error = try_query(conn, statement->text);
	execute(conn, "ROLLBACK TO suspect");
	free(error);
	return error != NULL;
}

/*
 * Would the script fail for what that has written?  Sets its SQLSTATE.  Where
 * nothing or something twice is what was written, schemaver has to know how
 * to go on: that never counts.
 */
static void
find_spoiled(PGconn *conn, Statement *statement, const char *script)
{
	char	   *error;

	execute(conn, "BEGIN");
	execute(conn, statement->text);
	error = try_query(conn, script);
	if (error && !starts_with(error, "23502") && !starts_with(error, "23505"))
		snprintf(statement->unfit, sizeof(statement->unfit), "%s", error);
	execute(conn, "ROLLBACK");
	free(error);
}

/*
 * Mark what an application of the version before cannot have said, or else the
 * script would not have run.  Not for a script that ends the transaction.
 */
static void
find_unfit(Replay *replay, const char *script)
{
	Session    *plain = &replay->plain;
	PGconn	   *conn = connect_to("plain");
	bool	   *suspects;
	char	   *error;

	if (strcasestr(script, "COMMIT"))
	{
		PQfinish(conn);
		return;
	}
	suspects = resize(NULL, plain->count * sizeof(bool));
	execute(conn, "BEGIN");
	error = try_query(conn, script);
	for (int i = 0; i < plain->count; i++)
		suspects[i] = !error && is_suspect(conn, &plain->statements[i]);
	execute(conn, "ROLLBACK");
	for (int i = 0; i < plain->count; i++)
	{
		if (suspects[i])
			find_spoiled(conn, &plain->statements[i], script);
	}
	free(suspects);
	free(error);
	PQfinish(conn);

	/* what was undone has left the sequences where it brought them */
	align_sequences(replay);
}

/* in "versions": what went wrong, or NULL */
static char *
apply(PGconn *conn, const char *script, int version)
{
	char	   *number = print("%d", version);
	const char *values[] = {script, number, PRODUCT};
	PGresult   *result = PQexecParams(conn,
									  "SELECT schemaver.apply($1, $2, $3)",
									  3, NULL, values, NULL, NULL, 0);
	char	   *error = error_of(conn, result);

	PQclear(result);
	free(number);
	return error;
}

/*
 * Apply a script while no session is registered, nor ever was: then the
 * versions before give way.  If even that does not do, then by hand, and a
 * version is made of what is there.
 */
static void
apply_alone(PGconn *conn, const char *script, int number)
{
	char	   *error = apply(conn, script, number);

	if (error)
	{
		char	   *written = NULL;
		char	   *text = print("SELECT 'step %d, by hand'", number);

		printf("    done by hand, since nobody was live and yet: %s\n", error);
		free(error);
		execute(conn, "SET schemaver.guard = off");
		error = run_script(conn, script, &written);
		if (error)
			die("by hand, without the guard: %s", error);
		free(written);
		execute(conn, "RESET ALL");
		error = apply(conn, text, number);
		if (error)
			die("after what was done by hand: %s", error);
		free(text);
	}
}

/* do what was refused as if nobody had ever registered */
static void
force(Replay *replay, PGconn *conn, const char *script, int number)
{
	while (replay->nsessions > 1)
		retire_oldest(replay);
	leave_oldest(replay);
	execute(conn, "DELETE FROM schemaver.db_registration");
	apply_alone(conn, script, number);
	retire(conn, replay->version);
}

/*
 * What became of it
 */

static void
free_differences(Difference *differences)
{
	for (Difference *d = differences; d->what; d++)
	{
		free(d->object);
		free(d->what);
		free(d->name);
		free(d->sqlstates);
	}
	free(differences);
}

/*
 * How "plain" differs from before the step.  There is one more, without
 * "object", for what none of them explains, and then one without "what".
 */
static Difference *
read_differences(Replay *replay)
{
	PGresult   *result = query(replay->observer,
							   "SELECT * FROM pg_temp.differences()");
	int			n = PQntuples(result);
	Difference *differences = resize(NULL, (n + 2) * sizeof(Difference));

	memset(differences, 0, (n + 2) * sizeof(Difference));
	differences[n].what = copy("unexplained");
	for (int i = 0; i < n; i++)
	{
		differences[i].object = copy(PQgetvalue(result, i, 0));
		differences[i].what = copy(PQgetvalue(result, i, 1));
		differences[i].name = copy(PQgetvalue(result, i, 2));
		differences[i].sqlstates = copy(PQgetvalue(result, i, 3));
	}
	PQclear(result);
	return differences;
}

/*
 * Mark the differences that can have broken a statement: those of what it is
 * about, else of what it mentions, else any that can have that effect.
 */
static bool
explain(Difference *differences, const Statement *statement,
		const char *sqlstate)
{
	bool		found = false;

	for (int pass = 0; pass < 3 && !found; pass++)
	{
		for (Difference *d = differences; d->object; d++)
		{
			if (strstr(d->sqlstates, sqlstate) &&
				(pass == 0 ? strcmp(d->object, statement->object) == 0 :
				 pass == 2 || strstr(statement->text, d->object) != NULL))
				d->noticed = found = true;
		}
	}
	return found;
}

static bool
takes_away(const Difference *d)
{
	return starts_with(d->what, "dropped ") ||
		starts_with(d->what, "renamed ") || starts_with(d->what, "replaced ");
}

/* did it fail because of rows that the script has changed? */
static bool
is_about_data(const Replay *replay, const char *sqlstate)
{
	return starts_with(sqlstate, "23") && replay->written[0] != '\0';
}

/* is it a SELECT *? */
static bool
says_star(const Statement *statement)
{
	size_t		length = strlen(statement->kind);

	return length > 0 && statement->kind[length - 1] == '*';
}

/* the last one stands for what none of the others explains */
static Difference *
differences_end(Difference *differences)
{
	while (differences->object)
		differences++;
	return differences;
}

/* find out what the step does plainly, and why; says so */
static Harm
judge_plain(Replay *replay, Difference *differences)
{
	Harm		harm = HARM_NONE;
	int			broken = 0;
	int			unexplained = 0;

	for (int i = 0; i < replay->plain.count; i++)
	{
		Statement  *statement = &replay->plain.statements[i];
		const char *message;
		const char *sqlstate = breakage(statement, &message);
		bool		explained = sqlstate &&
		explain(differences, statement, sqlstate);

		if (sqlstate == NULL ||
			(!explained && is_about_data(replay, sqlstate)))
			continue;
		broken++;
		if (!says_star(statement))
			harm = HARM_DEMANDS;
		else if (harm == HARM_NONE)
			harm = HARM_ADDS;
		if (!explained && unexplained++ < SHOWN)
			printf("    unexplained: %.300s\n        %s: %s\n",
				   statement->text, sqlstate, message);
	}
	for (Difference *d = differences; d->what; d++)
	{
		if (harm == HARM_DEMANDS && d->noticed && takes_away(d))
			harm = HARM_TAKES;
	}
	differences_end(differences)->noticed = unexplained > 0;
	if (broken)
		printf("    plainly: %d of %d statements of the version before break\n",
			   broken, replay->plain.count);
	return harm;
}

/* is it the first of its class that was noticed, or that was not? */
static bool
is_first(const Difference *differences, const Difference *d)
{
	for (const Difference *e = differences; e != d; e++)
	{
		if (e->noticed == d->noticed && strcmp(e->what, d->what) == 0)
			return false;
	}
	return true;
}

/* the differences that something was broken by, a line for each class */
static void
show_causes(const Difference *differences)
{
	for (const Difference *d = differences; d->object; d++)
	{
		if (!d->noticed || !is_first(differences, d))
			continue;
		printf("    %s:", d->what);
		for (const Difference *e = d; e->object; e++)
		{
			if (e->noticed && strcmp(e->what, d->what) == 0)
				printf(" %s", e->name);
		}
		printf("\n");
	}
}

/* does the script write to that table and drop it?  No statistics tell. */
static bool
wrote_dropped(const Replay *replay, const Statement *statement,
			  const Statement *plain)
{
	static const char *const verbs[] = {"INSERT INTO", "UPDATE", "DELETE FROM"};
	bool		found = false;

	if (plain == NULL ||
		strcmp(plain->outcomes[AFTER][DIRECT].sqlstate, "42P01") != 0)
		return false;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]) && !found; i++)
	{
		char	   *text = print("%s %s ", verbs[i], statement->object);

		found = strcasestr(replay->script, text) != NULL;
		free(text);
	}
	return found;
}

/* other rows though the script wrote none?  Only what gives them twice. */
static bool
rows_changed(const Replay *replay, const Statement *statement)
{
	const Outcome (*o)[2] = statement->outcomes;
	const Statement *plain = find_statement(&replay->plain, statement->text);
	char	   *relation = print(",%s,", statement->relation);
	bool		written;

	/* what a view shows comes from who knows where */
	if (strcmp(statement->kind, "table") == 0)
		written = strstr(replay->written, relation) != NULL ||
			replay->written[0] == '*' ||
			wrote_dropped(replay, statement, plain);
	else
		written = replay->written[0] != '\0' ||
			(strcmp(statement->kind, "view") != 0 &&
			 strcmp(statement->kind, "materialized view") != 0);
	free(relation);
	if (written || o[BEFORE][DIRECT].rows != o[BEFORE][PREPARED].rows ||
		o[BEFORE][DIRECT].rows == o[AFTER][DIRECT].rows)
		return false;
	return plain == NULL || plain->outcomes[AFTER][DIRECT].sqlstate[0] ||
		plain->outcomes[AFTER][DIRECT].rows ==
		plain->outcomes[BEFORE][DIRECT].rows;
}

/*
 * In which column do the rows differ from those of before?  NULL if only in
 * such as change by themselves, since they tell how long ago something was.
 */
static char *
column_changed(const Session *session, const Statement *statement)
{
	const Outcome *before = &statement->outcomes[BEFORE][DIRECT];
	const Outcome *after = &statement->outcomes[AFTER][DIRECT];
	bool		moved[MAX_COLUMNS] = {false};
	char	   *changed = NULL;

	if (before->nrows != after->nrows)
		return print("%d instead of %d rows", after->nrows, before->nrows);
	if (before->ncolumns != after->ncolumns || after->ncolumns > MAX_COLUMNS)
		return print("%d instead of %d columns", after->ncolumns,
					 before->ncolumns);
	for (int i = 0; i < CLOCK_TRIES && (i == 0 || changed); i++)
	{
		PGresult   *result;
		Outcome		now = {0};

		usleep(500000);
		result = query(session->conn, statement->text);
		describe(result, &now);
		free(changed);
		changed = NULL;
		for (int c = 0; c < after->ncolumns; c++)
		{
			moved[c] |= now.ncolumns == after->ncolumns &&
				now.columns[c] != after->columns[c];
			if (!moved[c] && before->columns[c] != after->columns[c] &&
				changed == NULL)
				changed = print("other values in column %d, %s", c + 1,
								now.ncolumns ? PQfname(result, c) : "gone");
		}
		PQclear(result);
		forget(&now);
	}
	return changed;
}

/*
 * Does it fail in the same way in "plain"?  Where an older version alone says
 * it, "plain" cannot be asked; but if it has the constraint that is violated,
 * it is the script's rows that are, since they are the same in both.
 */
static bool
fails_plainly(const Replay *replay, const Statement *statement,
			  const char *sqlstate, const char *violated)
{
	const Statement *plain = find_statement(&replay->plain, statement->text);
	const char *message;
	const char *there = plain ? breakage(plain, &message) : NULL;

	if (plain == NULL && violated)
		return is_demanded(replay, violated);
	return there && strcmp(there, sqlstate) == 0;
}

/* does it break as the script would have, had it been said before? */
static bool
is_unfit(const Replay *replay, const Statement *statement,
		 const char *sqlstate)
{
	const Statement *plain = find_statement(&replay->plain, statement->text);

	return plain && strcmp(plain->unfit, sqlstate) == 0;
}

/* the statements of a session that broke; shows some, and counts them */
static int
judge_session(const Replay *replay, const Session *session)
{
	int			broken = 0;
	int			unfit = 0;

	for (int i = 0; i < session->count; i++)
	{
		const Statement *statement = &session->statements[i];
		const char *message;
		const char *sqlstate = breakage(statement, &message);
		char	   *changed = NULL;

		if (sqlstate && is_about_data(replay, sqlstate) &&
			fails_plainly(replay, statement, sqlstate,
						  violated_in(statement)))
			continue;
		if (sqlstate && is_unfit(replay, statement, sqlstate))
		{
			unfit++;
			continue;
		}
		if (sqlstate == NULL && statement->usable &&
			rows_changed(replay, statement) &&
			(changed = column_changed(session, statement)) != NULL)
		{
			sqlstate = "rows";
			message = changed;
		}
		if (sqlstate == NULL)
			continue;
		if (broken++ < SHOWN)
			printf("    version %d: BROKEN: %.300s\n        %s: %s\n",
				   session->version, statement->text, sqlstate, message);
		free(changed);
	}
	if (unfit)
		printf("    version %d: %d statements fail as the script would after them\n",
			   session->version, unfit);
	if (broken)
		printf("    version %d: %d of %d statements are BROKEN\n",
			   session->version, broken, session->count);
	return broken;
}

/* is that how the extension says no, rather than how something goes wrong? */
static bool
is_refusal(const char *error)
{
	return starts_with(error, "2BP01: ") || starts_with(error, "0A000: ") ||
		starts_with(error, "25001: ") || starts_with(error, "2D000: ") ||
		starts_with(error, "55000: ") || is_of_unkept_value(error);
}

/* "2BP01: DROP COLUMN" of "2BP01: DROP COLUMN a.b would break ..." */
static char *
kind_of_refusal(const char *error)
{
	const char *words = error + strlen("2BP01: ");
	size_t		length = strspn(words, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ");
	char	   *kind;

	while (length > 0 && words[length - 1] != ' ')
		length--;
	if (length == 0)
		return print("%.70s", error);
	kind = copy(error);
	kind[words - error + length - 1] = '\0';
	return kind;
}

/* what apply() made of the step */
static Fate
judge_versions(Replay *replay, const char *error)
{
	int			broken = 0;

	if (error)
	{
		char	   *kind = kind_of_refusal(error);
		Fate		fate = is_refusal(error) ? REFUSED : BROKEN;

		printf("    %s: %s\n", fate == REFUSED ? "refused" : "BROKEN, apply()",
			   error);
		count(&replay->refusals, kind, fate);
		free(kind);
		return fate;
	}
	for (int i = 0; i < replay->nsessions; i++)
		broken += judge_session(replay, &replay->sessions[i]);
	return broken ? BROKEN : KEPT;
}

/* in the tallies, once for each class of what was done */
static void
count_step(Replay *replay, Difference *differences, Harm harm, Fate fate)
{
	replay->harms[harm][fate]++;
	for (Difference *d = differences; d->what; d++)
	{
		if (is_first(differences, d) && (d->noticed || takes_away(d)))
			count(d->noticed ? &replay->causes : &replay->unnoticed, d->what,
				  fate);
	}
}

/*
 * One step after the other
 */

/* rows for tables that have few, the same in both databases */
static void
populate(Replay *replay)
{
	PGresult   *result = query(replay->observer,
							   "SELECT * FROM pg_temp.populate()");
	PGconn	   *conn = connect_to("versions");

	for (int i = 0; i < PQntuples(result); i++)
		repeat(replay, conn, PQgetvalue(result, i, 0));
	PQfinish(conn);
	PQclear(result);
}

/* the script has run in "plain": do it in "versions", and judge it */
static void
take_step(Replay *replay, const char *script, int number)
{
	PGconn	   *conn = connect_to("versions");
	char	   *error = apply(conn, script, number);
	Difference *differences = read_differences(replay);
	Harm		harm;
	Fate		fate;

	run_sessions(replay, error == NULL, AFTER);
	note_slow(replay, &replay->plain);
	harm = judge_plain(replay, differences);
	show_causes(differences);
	fate = judge_versions(replay, error);
	if (harm != HARM_NONE && fate == KEPT)
		printf("    kept working\n");
	count_step(replay, differences, harm, fate);
	if (error)
		force(replay, conn, script, number);
	free(error);
	free_differences(differences);
	PQfinish(conn);
	replay->version = number;
	replay->nstatements += replay->plain.count;
}

/* what works has to be found out again where rows have changed */
static void
forget_written(Replay *replay)
{
	char	   *text = print("SELECT pg_temp.forget('%s')", replay->written);

	execute(replay->observer, text);
	free(text);
}

/* the sessions that were there for a step have no further part in it */
static void
leave_plain(Replay *replay)
{
	free_statements(&replay->plain);
	execute(replay->plain.conn, "DEALLOCATE ALL");
}

static void
abandon_step(Replay *replay)
{
	Session    *newest = &replay->sessions[0];

	leave_plain(replay);
	free_statements(newest);
	PQfinish(newest->conn);
	memmove(newest, newest + 1, --replay->nsessions * sizeof(Session));
}

/* execute the statements of a result; how many rows they have changed */
static long
execute_all(PGconn *conn, const PGresult *statements)
{
	long		changed = 0;

	for (int i = 0; i < PQntuples(statements); i++)
	{
		PGresult   *result = query(conn, PQgetvalue(statements, i, 0));

		changed += atol(PQcmdTuples(result));
		PQclear(result);
	}
	return changed;
}

/* take the rows away that were made here, in both databases */
static void
unpopulate(Replay *replay)
{
	PGresult   *result = query(replay->observer,
							   "SELECT * FROM pg_temp.deletions()");
	PGresult   *orphans = query(replay->observer,
								"SELECT * FROM pg_temp.orphan_deletions()");
	PGconn	   *conns[] = {connect_to("plain"), connect_to("versions")};

	for (int i = 0; i < 2; i++)
	{
		execute(conns[i], "SET session_replication_role = replica");
		(void) execute_all(conns[i], result);

		/* no foreign key has watched, and who goes may leave others behind */
		while (execute_all(conns[i], orphans) > 0)
			;
		PQfinish(conns[i]);
	}
	PQclear(result);
	PQclear(orphans);
	execute(replay->observer, "SELECT pg_temp.forget('*')");
}

/* run the script plainly; if it cannot take our rows, without them */
static char *
try_plainly(Replay *replay, const char *script)
{
	char	   *error;

	prepare_step(replay);
	find_unfit(replay, script);
	error = run_plainly(replay, script);
	if (error == NULL)
		return NULL;
	printf("    without rows, since plainly: %s\n", error);
	free(error);
	abandon_step(replay);
	unpopulate(replay);
	prepare_step(replay);
	find_unfit(replay, script);
	return run_plainly(replay, script);
}

static void
replay_step(Replay *replay, const char *path, int number)
{
	char	   *script = read_file(path);
	char	   *error;

	printf("%d. %s\n", number, path);
	fflush(stdout);
	error = try_plainly(replay, script);
	if (error)
	{
		printf("    not run, it fails plainly: %s\n", error);
		replay->nnot_run++;
		abandon_step(replay);
	}
	else
	{
		take_step(replay, script, number);
		forget_written(replay);
		leave_plain(replay);
	}
	populate(replay);
	free(error);
	free(script);
}

/* a step that nobody looks on at */
static void
pass_step(Replay *replay, const char *path, int number)
{
	char	   *script = read_file(path);
	char	   *error = run_plainly(replay, script);
	PGconn	   *conn = connect_to("versions");

	if (error)
		printf("%d. %s\n    not run, it fails plainly: %s\n", number, path,
			   error);
	else
	{
		apply_alone(conn, script, number);
		replay->version = number;
	}
	PQfinish(conn);
	free(error);
	free(script);
}

static void
begin(Replay *replay, const char *functions)
{
	char	   *text = read_file(functions);
	PGconn	   *conn = connect_to("versions");

	replay->plain.conn = connect_to("plain");
	replay->plain.version = -1;
	replay->observer = connect_to("plain");
	execute(replay->observer, "SET search_path = public, pg_temp");
	execute(replay->observer, text);
	execute(conn, "SELECT schemaver.create_product('" PRODUCT "');"
			"SELECT schemaver.baseline('0')");
	PQfinish(conn);
	free(text);
}

/* every older version is retired, so that the schema can be looked at */
static void
end(Replay *replay)
{
	while (replay->nsessions > 0)
		retire_oldest(replay);
	PQfinish(replay->observer);
	PQfinish(replay->plain.conn);
}

static void
show_summary(Replay *replay, int nfiles)
{
	int			total[NFATES] = {0};
	int			breaking[NFATES] = {0};

	for (int harm = 0; harm < NHARMS; harm++)
	{
		for (int fate = 0; fate < NFATES; fate++)
		{
			total[fate] += replay->harms[harm][fate];
			if (harm == HARM_TAKES || harm == HARM_DEMANDS)
				breaking[fate] += replay->harms[harm][fate];
		}
	}
	printf("\n%-50s  steps   kept  refused  broken\n",
		   "the version before would break when run plainly");
	for (int harm = 0; harm < NHARMS; harm++)
		show_counts(harm_names[harm], replay->harms[harm]);
	show_counts("all", total);
	show_tallies("because of", &replay->causes);
	show_tallies("taken away, and no statement fails", &replay->unnoticed);
	show_tallies("refused with", &replay->refusals);
	printf("\n%d scripts, %d not run, %d statements tried before and after\n",
		   nfiles, replay->nnot_run, replay->nstatements);
	printf("%d break the version before when run plainly; with schemaver: %d kept working, %d refused, %d broken\n",
		   sum(breaking), breaking[KEPT], breaking[REFUSED], breaking[BROKEN]);
	printf("%d broken in all, %d times the newest version was held back\n",
		   total[BROKEN], replay->nheld_back);
	printf("%d times it was told of a value that an older version cannot have\n",
		   replay->nunkept);
}

int
main(int argc, char **argv)
{
	Replay		replay = {0};
	int			broken = 0;
	int			from;

	if (argc < 5 || (replay.keep = atoi(argv[2])) < 1 ||
		replay.keep >= MAX_KEEP || (from = atoi(argv[3])) < 1)
		die("usage: replay FUNCTIONS KEEP FROM FILE...");
	begin(&replay, argv[1]);
	for (int number = 1; number <= argc - 4; number++)
	{
		if (number < from)
			pass_step(&replay, argv[number + 3], number);
		else
			replay_step(&replay, argv[number + 3], number);
		if (number == from - 1)
			populate(&replay);
	}
	end(&replay);
	show_summary(&replay, argc - 4);
	for (int harm = 0; harm < NHARMS; harm++)
		broken += replay.harms[harm][BROKEN];
	return broken || replay.nheld_back ? 1 : 0;
}
