/*-------------------------------------------------------------------------
 *
 * client.c
 *	  What the benchmarks need of a client and psql and pgbench do not do.
 *
 * client sessions COUNT APP...
 *		opens COUNT sessions registered as one APP after the other, prints how
 *		many there are, and holds them until standard input ends
 * client latency COUNT STATEMENT...
 *		runs COUNT statements over one connection, one STATEMENT after the
 *		other, each "#" in one replaced by 0 to 999 in turn; prints the median
 *		in milliseconds
 * client scripts plain|apply FILE...
 *		runs each file over one connection: as one simple query between BEGIN
 *		and COMMIT, or handed as it is to schemaver.apply(); prints how many
 *		ran before the first that failed, and the milliseconds that took
 *
 * Where to connect is in libpq's environment variables.  Time counts from
 * sending to the complete answer.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "libpq-fe.h"

static void
ignore_notice(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

static void *
allocate(size_t size)
{
	void	   *result = malloc(size);

	if (result == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return result;
}

static double
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000.0 + now.tv_nsec / 1000000.0;
}

/* exits unless the connection stands */
static PGconn *
connect_as(const char *app)
{
	char		info[1024] = "";
	PGconn	   *conn;

	if (app)
		snprintf(info, sizeof(info), "options='-c schemaver.app=%s'", app);
	conn = PQconnectdb(info);
	if (PQstatus(conn) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(conn));
		exit(1);
	}
	PQsetNoticeProcessor(conn, ignore_notice, NULL);
	return conn;
}

/* takes the result; says whether it was a success, on stderr if not */
static int
succeeded(PGconn *conn, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	int			ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		fprintf(stderr, "%s", PQerrorMessage(conn));
	PQclear(result);
	return ok;
}

static int
sessions(int count, int napps, char **apps)
{
	struct rlimit limit;
	PGconn	  **conns = allocate(count * sizeof(PGconn *));

	/* a session is a file descriptor */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (int i = 0; i < count; i++)
		conns[i] = connect_as(apps[i % napps]);
	printf("%d\n", count);
	fflush(stdout);
	while (getchar() != EOF)
		;
	for (int i = 0; i < count; i++)
		PQfinish(conns[i]);
	return 0;
}

static int
compare_doubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

/* the statement with each "#" replaced */
static void
fill_in(char *buffer, size_t size, const char *statement, int number)
{
	size_t		used = 0;

	for (; *statement && used + 8 < size; statement++)
	{
		if (*statement == '#')
			used += snprintf(buffer + used, size - used, "%d", number);
		else
			buffer[used++] = *statement;
	}
	buffer[used] = '\0';
}

static int
latency(int count, int nstatements, char **statements)
{
	PGconn	   *conn = connect_as(NULL);
	double	   *times = allocate(count * sizeof(double));

	for (int i = 0; i < count; i++)
	{
		char		statement[8192];
		double		start;

		fill_in(statement, sizeof(statement), statements[i % nstatements],
				i / nstatements % 1000);
		start = milliseconds();
		if (!succeeded(conn, PQexec(conn, statement)))
			return 1;
		times[i] = milliseconds() - start;
	}
	qsort(times, count, sizeof(double), compare_doubles);
	printf("%.4f\n", times[count / 2]);
	PQfinish(conn);
	return 0;
}

static char *
read_file(const char *path)
{
	FILE	   *file = fopen(path, "rb");
	long		size;
	char	   *text;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 ||
		(size = ftell(file)) < 0)
	{
		perror(path);
		exit(1);
	}
	rewind(file);
	text = allocate(size + 1);
	if (fread(text, 1, size, file) != (size_t) size)
	{
		perror(path);
		exit(1);
	}
	text[size] = '\0';
	fclose(file);
	return text;
}

static int
run_plainly(PGconn *conn, const char *script)
{
	static const char *const frame = "BEGIN;\n%s\n;COMMIT";
	size_t		size = strlen(script) + strlen(frame);
	char	   *query = allocate(size);
	int			ok;

	snprintf(query, size, frame, script);
	ok = succeeded(conn, PQexec(conn, query));
	free(query);
	return ok;
}

static int
run_applied(PGconn *conn, const char *script, int number)
{
	char		version[16];
	const char *values[2] = {script, version};

	snprintf(version, sizeof(version), "%d", number);
	return succeeded(conn,
					 PQexecParams(conn, "SELECT schemaver.apply($1, $2)",
								  2, NULL, values, NULL, NULL, 0));
}

static int
scripts(int applied, int nfiles, char **files)
{
	PGconn	   *conn = connect_as(NULL);
	double		total = 0;
	int			done;

	for (done = 0; done < nfiles; done++)
	{
		char	   *script = read_file(files[done]);
		double		start = milliseconds();
		int			ok;

		ok = applied ? run_applied(conn, script, done + 1) :
			run_plainly(conn, script);
		total += milliseconds() - start;
		free(script);
		if (!ok)
		{
			fprintf(stderr, "in script %d, %s\n", done + 1, files[done]);
			break;
		}
	}
	printf("%d %.1f\n", done, total);
	PQfinish(conn);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc >= 4 && strcmp(argv[1], "sessions") == 0)
		return sessions(atoi(argv[2]), argc - 3, argv + 3);
	if (argc >= 4 && strcmp(argv[1], "latency") == 0)
		return latency(atoi(argv[2]), argc - 3, argv + 3);
	if (argc >= 4 && strcmp(argv[1], "scripts") == 0)
		return scripts(strcmp(argv[2], "apply") == 0, argc - 3, argv + 3);
	fprintf(stderr, "usage: %s sessions|latency|scripts ...\n", argv[0]);
	return 2;
}
