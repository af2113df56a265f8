/*-------------------------------------------------------------------------
 *
 * version.c
 *	  The type schemaver.version.
 *
 * What a version may look like:
 *
 *		version		= [ "v" ] ( date | numbers [ "-" pre-release ] )
 *		numbers		= number { "." number }			1.0.2, 3, 20230404095503
 *		pre-release = identifier { "." identifier }	rc.1
 *		identifier	= one or more of [0-9A-Za-z-]
 *		date		= YYYY-MM-DD, a day that exists	2023-06-04
 *
 * with at most MAX_COMPONENTS numbers of at most MAX_DIGITS digits, and at
 * most MAX_LENGTH bytes after the "v".  A single number, "-" and a digit
 * begin a date and nothing else, so that a mistyped date is no pre-release.
 *
 * How versions compare: numbers first, one by one, a missing one counting as
 * zero; a date is its year, month and day, so 2023-06-04 equals 2023.6.4.
 * Then a pre-release stands below its release, and two of them compare as
 * Semantic Versioning 2.0 says: identifiers one by one, digits as numbers,
 * numbers below words, words in ASCII order, fewer below more.  Leading
 * zeros never count.  The order neither depends on collations nor changes.
 *
 * parse_version() and what it calls are pure: no allocation, no ereport, no
 * state, no server symbol; any bytes may be given to them.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#define MAX_LENGTH		63
#define MAX_COMPONENTS	8
#define MAX_DIGITS		18		/* what int64 surely holds */

#define DATE_LENGTH		10		/* YYYY-MM-DD */
#define STAMP_DIGITS	14		/* YYYYMMDDhhmmss */

/* a version taken apart; components behind the last are zero */
typedef struct VersionParts
{
	bool		date;
	int			ncomponents;
	int64		components[MAX_COMPONENTS];
	int			release_length; /* of the text before the pre-release's "-" */
	const char *prerelease;		/* within the text, or NULL */
	int			prerelease_length;	/* 0 if there is none */
} VersionParts;

/* why a text is no version */
typedef struct VersionFault
{
	int			position;		/* 1-based, in characters */
	const char *what;			/* ends the sentence "At character n, ..." */
} VersionFault;

/* an identifier of a pre-release, within its text */
typedef struct Identifier
{
	const char *text;
	int			length;
	bool		numeric;		/* then leading zeros are left out */
} Identifier;

PG_FUNCTION_INFO_V1(schemaver_version_in);
PG_FUNCTION_INFO_V1(schemaver_version_out);
PG_FUNCTION_INFO_V1(schemaver_version_recv);
PG_FUNCTION_INFO_V1(schemaver_version_send);
PG_FUNCTION_INFO_V1(schemaver_version_lt);
PG_FUNCTION_INFO_V1(schemaver_version_le);
PG_FUNCTION_INFO_V1(schemaver_version_eq);
PG_FUNCTION_INFO_V1(schemaver_version_ne);
PG_FUNCTION_INFO_V1(schemaver_version_ge);
PG_FUNCTION_INFO_V1(schemaver_version_gt);
PG_FUNCTION_INFO_V1(schemaver_version_cmp);
PG_FUNCTION_INFO_V1(schemaver_version_hash);
PG_FUNCTION_INFO_V1(schemaver_version_hash_extended);
PG_FUNCTION_INFO_V1(schemaver_version_larger);
PG_FUNCTION_INFO_V1(schemaver_version_smaller);
PG_FUNCTION_INFO_V1(schemaver_version_next);

/*-------------------------------------------------------------------------
 * The parser: pure
 *-------------------------------------------------------------------------
 */

/* isdigit() and its like would ask the locale */
static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_identifier(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '-';
}

/*
 * Fills the fault and returns false.  A character that no version has is a
 * better reason than what the grammar would have liked to see instead.
 *
 * Everything before offset "at" has been found to be ASCII, therefore bytes
 * are characters.
 */
static bool
fail(const char *text, int length, int at, const char *what,
	 VersionFault *fault)
{
	char		c = at < length ? text[at] : '.';

	fault->position = at + 1;
	if (c == ' ' || (c >= '\t' && c <= '\r'))
		fault->what = "there is white space";
	else if (c == '+')
		fault->what = "build metadata begins, which cannot be ordered";
	else if (!is_identifier(c) && c != '.')
		fault->what = "there is something else than a letter, a digit, "
			"\".\" or \"-\"";
	else
		fault->what = what;
	return false;
}

/* Reads a number at *at and appends it to the components. */
static bool
parse_number(const char *text, int length, int *at, VersionParts *parts,
			 VersionFault *fault)
{
	int			start = *at;
	int64		value = 0;

	if (parts->ncomponents == MAX_COMPONENTS)
		return fail(text, length, start,
					"there is a component more than the "
					CppAsString2(MAX_COMPONENTS) " allowed", fault);
	for (; *at < length && is_digit(text[*at]); (*at)++)
	{
		if (*at - start == MAX_DIGITS)
			return fail(text, length, *at,
						"a number becomes longer than "
						CppAsString2(MAX_DIGITS) " digits", fault);
		value = value * 10 + (text[*at] - '0');
	}
	if (*at == start)
		return fail(text, length, start, "a digit is missing", fault);
	parts->components[parts->ncomponents++] = value;
	return true;
}

static int
days_in_month(int64 year, int64 month)
{
	static const int8 days[] =
	{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool		leap;

	leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/*
 * Reads a date whose year stands in the components already; at is the
 * offset behind it.
 */
static bool
parse_date(const char *text, int length, int at, VersionParts *parts,
		   VersionFault *fault)
{
	int			i;
	int64	   *ymd = parts->components;

	if (at != 4)
		return fail(text, length, at + 1,
					"there is a digit, which after a single number and "
					"\"-\" can only belong to a date (YYYY-MM-DD)", fault);
	for (i = at; i < DATE_LENGTH; i++)
	{
		if (i >= length ||
			(i == 4 || i == 7 ? text[i] != '-' : !is_digit(text[i])))
			return fail(text, length, i, "a date stops being YYYY-MM-DD",
						fault);
	}
	if (length > DATE_LENGTH)
		return fail(text, length, DATE_LENGTH,
					"there is more, though a date is complete", fault);

	ymd[1] = (text[5] - '0') * 10 + (text[6] - '0');
	ymd[2] = (text[8] - '0') * 10 + (text[9] - '0');
	parts->ncomponents = 3;
	parts->date = true;
	if (ymd[0] < 1)
		return fail(text, length, 0, "there is a year that does not exist",
					fault);
	if (ymd[1] < 1 || ymd[1] > 12)
		return fail(text, length, 5, "there is a month that does not exist",
					fault);
	if (ymd[2] < 1 || ymd[2] > days_in_month(ymd[0], ymd[1]))
		return fail(text, length, 8, "there is a day that does not exist",
					fault);
	return true;
}

/* Reads a pre-release, from behind its "-" to the end. */
static bool
parse_prerelease(const char *text, int length, int at, VersionParts *parts,
				 VersionFault *fault)
{
	parts->prerelease = text + at;
	parts->prerelease_length = length - at;
	for (;; at++)
	{
		int			start = at;

		while (at < length && is_identifier(text[at]))
			at++;
		if (at == start)
			return fail(text, length, at,
						"an identifier of the pre-release is missing", fault);
		if (at == length)
			return true;
		if (text[at] != '.')	/* then it is nothing that a version has */
			return fail(text, length, at, NULL, fault);
	}
}

/* parse_version() without the limit of length */
static bool
parse_grammar(const char *text, int length, VersionParts *parts,
			  VersionFault *fault)
{
	int			at = 0;

	memset(parts, 0, sizeof(VersionParts));
	if (!parse_number(text, length, &at, parts, fault))
		return false;
	if (at + 1 < length && text[at] == '-' && is_digit(text[at + 1]))
		return parse_date(text, length, at, parts, fault);
	while (at < length && text[at] == '.')
	{
		at++;
		if (!parse_number(text, length, &at, parts, fault))
			return false;
	}
	parts->release_length = at;
	if (at < length && text[at] == '-')
		return parse_prerelease(text, length, at + 1, parts, fault);
	if (at < length)
		return fail(text, length, at,
					"there is a letter, though a number goes on with a "
					"digit, \".\" or \"-\"", fault);
	return true;
}

/*
 * Takes a text, without a leading "v", apart.  Returns false and fills the
 * fault if it is no version; parts are then undefined.  parts point into
 * the text.
 */
static bool
parse_version(const char *text, int length, VersionParts *parts,
			  VersionFault *fault)
{
	/* what is wrong in the part that counts is more telling than its length */
	if (!parse_grammar(text, length, parts, fault) &&
		(length <= MAX_LENGTH || fault->position <= MAX_LENGTH))
		return false;
	if (length > MAX_LENGTH)
		return fail(text, length, MAX_LENGTH,
					"the version becomes longer than "
					CppAsString2(MAX_LENGTH) " bytes", fault);
	return true;
}

/*-------------------------------------------------------------------------
 * Order: pure too
 *-------------------------------------------------------------------------
 */

/* Takes the next identifier off the front of a pre-release. */
static Identifier
next_identifier(const char **prerelease, int *length)
{
	Identifier	result = {*prerelease, 0, true};

	while (result.length < *length && result.text[result.length] != '.')
	{
		if (!is_digit(result.text[result.length]))
			result.numeric = false;
		result.length++;
	}
	*prerelease += Min(result.length + 1, *length);
	*length -= Min(result.length + 1, *length);
	while (result.numeric && result.length > 1 && result.text[0] == '0')
	{
		result.text++;
		result.length--;
	}
	return result;
}

static int
compare_identifiers(const Identifier *a, const Identifier *b)
{
	int			order;

	if (a->numeric != b->numeric)
		return a->numeric ? -1 : 1;
	if (a->numeric && a->length != b->length)
		return a->length < b->length ? -1 : 1;
	order = memcmp(a->text, b->text, Min(a->length, b->length));
	if (order != 0)
		return order < 0 ? -1 : 1;
	return (a->length > b->length) - (a->length < b->length);
}

static int
compare_parts(const VersionParts *a, const VersionParts *b)
{
	const char *atext = a->prerelease;
	const char *btext = b->prerelease;
	int			aleft = a->prerelease_length;
	int			bleft = b->prerelease_length;
	int			i;

	for (i = 0; i < MAX_COMPONENTS; i++)
	{
		if (a->components[i] != b->components[i])
			return a->components[i] < b->components[i] ? -1 : 1;
	}
	if (aleft == 0 || bleft == 0)
		return (aleft == 0) - (bleft == 0);
	while (aleft > 0 && bleft > 0)
	{
		Identifier	aid = next_identifier(&atext, &aleft);
		Identifier	bid = next_identifier(&btext, &bleft);
		int			order = compare_identifiers(&aid, &bid);

		if (order != 0)
			return order;
	}
	return (aleft > 0) - (bleft > 0);
}

/*
 * Writes the text that all equal versions share, and only they, and returns
 * its length.  It is never longer than any of their own texts.
 */
static int
write_canonical(const VersionParts *parts, char result[MAX_LENGTH + 1])
{
	const char *rest = parts->prerelease;
	int			left = parts->prerelease_length;
	int			n = parts->ncomponents;
	int			used = 0;
	int			i;
	char		separator = '-';

	while (n > 1 && parts->components[n - 1] == 0)
		n--;
	for (i = 0; i < n; i++)
		used += snprintf(result + used, MAX_LENGTH + 1 - used,
						 "%s" INT64_FORMAT, i > 0 ? "." : "",
						 parts->components[i]);
	while (left > 0)
	{
		Identifier	id = next_identifier(&rest, &left);

		Assert(used + 1 + id.length <= MAX_LENGTH);
		result[used++] = separator;
		memcpy(result + used, id.text, id.length);
		used += id.length;
		separator = '.';
	}
	return used;
}

/*-------------------------------------------------------------------------
 * Values
 *-------------------------------------------------------------------------
 */

/* Makes a version of any bytes, or throws 22P02. */
static SvVersion *
make_version(const char *text, int length)
{
	VersionParts parts;
	VersionFault fault;
	int			skip = length > 0 && (text[0] == 'v' || text[0] == 'V');

	if (!parse_version(text + skip, length - skip, &parts, &fault))
	{
		/* the input may be megabytes, the message need not */
		int			shown = pg_mbcliplen(text, length, MAX_LENGTH + 1);

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%.*s%s\"",
						"schemaver.version", shown, text,
						shown < length ? "..." : ""),
				 errdetail("At character %d, %s.",
						   fault.position + skip, fault.what),
				 errhint("Write a version like 1.0.2, 3, 2023-06-04, "
						 "20230404095503 or 1.2.0-rc.1.")));
	}
	return (SvVersion *) cstring_to_text_with_len(text + skip, length - skip);
}

/* Takes a value apart.  parts point into the value. */
static void
get_parts(const SvVersion *version, VersionParts *parts)
{
	VersionFault fault;

	if (!parse_version(VARDATA_ANY(version), VARSIZE_ANY_EXHDR(version),
					   parts, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg_internal("stored version is corrupt"),
				 errdetail_internal("At character %d, %s.",
									fault.position, fault.what)));
}

/*
 * A version from its text, which may begin with "v"; in the current memory
 * context.  Throws 22P02 with what is wrong and where.
 */
SvVersion *
sv_version_parse(const char *text)
{
	return make_version(text, strlen(text));
}

/*
 * A version's text as it was typed, without a leading "v"; in the current
 * memory context.  Only letters, digits, "." and "-" occur in it, at most 63.
 */
char *
sv_version_text(const SvVersion *version)
{
	return pnstrdup(VARDATA_ANY(version), VARSIZE_ANY_EXHDR(version));
}

/*
 * Less than, equal to or greater than zero: the order of the type's operator
 * class.  Versions that are spelled differently may be equal.
 */
int
sv_version_compare(const SvVersion *a, const SvVersion *b)
{
	VersionParts aparts;
	VersionParts bparts;

	get_parts(a, &aparts);
	get_parts(b, &bparts);
	return compare_parts(&aparts, &bparts);
}

/*
 * What the numbers of two versions promise of the step between them.
 * SV_STEP_NONE if one of them is a date or a single number, or if the first
 * is a pre-release: what comes after it may still be anything.
 */
SvStep
sv_version_step(const SvVersion *from, const SvVersion *to)
{
	VersionParts a;
	VersionParts b;

	get_parts(from, &a);
	get_parts(to, &b);
	if (a.date || b.date || a.ncomponents < 2 || b.ncomponents < 2 ||
		a.prerelease_length > 0)
		return SV_STEP_NONE;
	if (a.components[0] != b.components[0])
		return SV_STEP_MAJOR;
	if (a.components[1] != b.components[1])
		return SV_STEP_MINOR;
	return SV_STEP_REVISION;
}

/*-------------------------------------------------------------------------
 * The next version
 *-------------------------------------------------------------------------
 */

/* The start of the transaction, in UTC: next() is stable, as now() is. */
static void
get_utc(struct pg_tm *tm)
{
	fsec_t		fsec;

	if (timestamp2tm(GetCurrentTransactionStartTimestamp(), NULL, tm, &fsec,
					 NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
}

/* Today, or the day after the date if it is not past. */
static void
next_date(const VersionParts *parts, StringInfo result)
{
	struct pg_tm tm;
	int			day;

	get_utc(&tm);
	day = date2j(parts->components[0], parts->components[1],
				 parts->components[2]) + 1;
	day = Max(day, date2j(tm.tm_year, tm.tm_mon, tm.tm_mday));
	j2date(day, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	appendStringInfo(result, "%04d-%02d-%02d",
					 tm.tm_year, tm.tm_mon, tm.tm_mday);
}

/* Reads YYYYMMDDhhmmss; false if there is no such point in time. */
static bool
read_stamp(int64 stamp, struct pg_tm *tm)
{
	tm->tm_sec = stamp % 100;
	tm->tm_min = stamp / 100 % 100;
	tm->tm_hour = stamp / 10000 % 100;
	tm->tm_mday = stamp / 1000000 % 100;
	tm->tm_mon = stamp / 100000000 % 100;
	tm->tm_year = stamp / INT64CONST(10000000000);
	return tm->tm_year >= 1 && tm->tm_mon >= 1 && tm->tm_mon <= 12 &&
		tm->tm_mday >= 1 &&
		tm->tm_mday <= days_in_month(tm->tm_year, tm->tm_mon) &&
		tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

static int64
make_stamp(const struct pg_tm *tm)
{
	int64		date = tm->tm_year * 10000 + tm->tm_mon * 100 + tm->tm_mday;

	return date * 1000000 +
		tm->tm_hour * 10000 + tm->tm_min * 100 + tm->tm_sec;
}

/* One second on, with carry: 60 seconds would look like a plain number. */
static void
advance_second(struct pg_tm *tm)
{
	int			second;

	second = (tm->tm_hour * 60 + tm->tm_min) * 60 + tm->tm_sec + 1;
	if (second == SECS_PER_DAY)
	{
		second = 0;
		j2date(date2j(tm->tm_year, tm->tm_mon, tm->tm_mday) + 1,
			   &tm->tm_year, &tm->tm_mon, &tm->tm_mday);
	}
	tm->tm_hour = second / 3600;
	tm->tm_min = second / 60 % 60;
	tm->tm_sec = second % 60;
}

/*
 * The number plus one, as wide as it was typed; what looks like a point in
 * time is followed by the present, or the second after if it is not past.
 */
static void
next_number(const VersionParts *parts, StringInfo result)
{
	struct pg_tm tm;
	struct pg_tm now;
	int64		value = parts->components[0] + 1;

	if (parts->release_length == STAMP_DIGITS &&
		read_stamp(parts->components[0], &tm))
	{
		advance_second(&tm);
		get_utc(&now);
		value = Max(make_stamp(&tm), make_stamp(&now));
	}
	appendStringInfo(result, "%0*lld", parts->release_length,
					 (long long) value);
}

/* One number up, those behind it to zero; three numbers at least. */
static void
next_dotted(const VersionParts *parts, SvStep step, StringInfo result)
{
	int			raised;
	int			i;

	raised = step == SV_STEP_MAJOR ? 0 : step == SV_STEP_MINOR ? 1 : 2;
	for (i = 0; i < Max(parts->ncomponents, 3); i++)
	{
		int64		value = parts->components[i];

		if (i == raised)
			value++;
		else if (i > raised)
			value = 0;
		appendStringInfo(result, "%s" INT64_FORMAT, i > 0 ? "." : "", value);
	}
}

/*
 * The version after a version, always a greater one; in the current memory
 * context.  Of dotted numbers the one that the step says is raised
 * (SV_STEP_NONE as SV_STEP_REVISION), and a pre-release's revision is its
 * release; a date or a single number does not heed the step.  Throws 22003
 * if what comes next is no version any more.
 */
SvVersion *
sv_version_next(const SvVersion *version, SvStep step)
{
	VersionParts parts;
	VersionFault fault;
	StringInfoData next;

	get_parts(version, &parts);
	initStringInfo(&next);
	if (parts.date)
		next_date(&parts, &next);
	else if (parts.prerelease_length > 0 &&
			 (parts.ncomponents < 2 || step <= SV_STEP_REVISION))
		appendBinaryStringInfo(&next, VARDATA_ANY(version),
							   parts.release_length);
	else if (parts.ncomponents < 2)
		next_number(&parts, &next);
	else
		next_dotted(&parts, step, &next);

	if (!parse_version(next.data, next.len, &parts, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("there is no version after \"%s\"",
						sv_version_text(version)),
				 errdetail("It would be \"%s\", but at character %d, %s.",
						   next.data, fault.position, fault.what),
				 errhint("Name the next version yourself.")));
	return make_version(next.data, next.len);
}

/*-------------------------------------------------------------------------
 * SQL functions
 *-------------------------------------------------------------------------
 */

Datum
schemaver_version_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(sv_version_parse(PG_GETARG_CSTRING(0)));
}

Datum
schemaver_version_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(sv_version_text(PG_GETARG_SVVERSION(0)));
}

/* The binary form is the text, so that a client may send what it would type. */
Datum
schemaver_version_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	char	   *text;
	int			length;

	text = pq_getmsgtext(buf, buf->len - buf->cursor, &length);
	PG_RETURN_POINTER(make_version(text, length));
}

Datum
schemaver_version_send(PG_FUNCTION_ARGS)
{
	SvVersion  *version = PG_GETARG_SVVERSION(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	pq_sendtext(&buf, VARDATA_ANY(version), VARSIZE_ANY_EXHDR(version));
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* Compares two arguments; an index build must not collect detoasted copies. */
static int
compare_arguments(FunctionCallInfo fcinfo)
{
	SvVersion  *a = PG_GETARG_SVVERSION(0);
	SvVersion  *b = PG_GETARG_SVVERSION(1);
	int			order = sv_version_compare(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return order;
}

Datum
schemaver_version_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) < 0);
}

Datum
schemaver_version_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) <= 0);
}

Datum
schemaver_version_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) == 0);
}

Datum
schemaver_version_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) != 0);
}

Datum
schemaver_version_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) >= 0);
}

Datum
schemaver_version_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_arguments(fcinfo) > 0);
}

Datum
schemaver_version_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_arguments(fcinfo));
}

Datum
schemaver_version_larger(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(compare_arguments(fcinfo) >= 0 ? 0 : 1));
}

Datum
schemaver_version_smaller(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(compare_arguments(fcinfo) <= 0 ? 0 : 1));
}

/* Canonical text of the first argument; see write_canonical(). */
static int
canonicalize_argument(FunctionCallInfo fcinfo, char result[MAX_LENGTH + 1])
{
	SvVersion  *version = PG_GETARG_SVVERSION(0);
	VersionParts parts;
	int			length;

	get_parts(version, &parts);
	length = write_canonical(&parts, result);
	PG_FREE_IF_COPY(version, 0);
	return length;
}

Datum
schemaver_version_hash(PG_FUNCTION_ARGS)
{
	char		text[MAX_LENGTH + 1];
	int			length = canonicalize_argument(fcinfo, text);

	return hash_any((unsigned char *) text, length);
}

Datum
schemaver_version_hash_extended(PG_FUNCTION_ARGS)
{
	char		text[MAX_LENGTH + 1];
	int			length = canonicalize_argument(fcinfo, text);

	return hash_any_extended((unsigned char *) text, length,
							 PG_GETARG_INT64(1));
}

Datum
schemaver_version_next(PG_FUNCTION_ARGS)
{
	SvVersion  *version = PG_GETARG_SVVERSION(0);
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(1));
	SvStep		step;

	if (strcmp(kind, "revision") == 0)
		step = SV_STEP_REVISION;
	else if (strcmp(kind, "minor") == 0)
		step = SV_STEP_MINOR;
	else if (strcmp(kind, "major") == 0)
		step = SV_STEP_MAJOR;
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized kind of next version: \"%s\"", kind),
				 errhint("Known kinds are revision, minor and major.")));
	PG_RETURN_POINTER(sv_version_next(version, step));
}
