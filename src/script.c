/*-------------------------------------------------------------------------
 *
 * script.c
 *	  A migration script's text to directives and statements.
 *
 * Rules:
 *
 * Pure: nothing here looks at a catalog or runs anything, so whatever is
 * refused is refused before any of the script has run.
 *
 * The server's scanner and grammar decide what is a literal, a comment and a
 * statement.  Directives are line comments that stand alone on their line,
 * between two tokens: what looks like one inside of a literal (or between
 * the parts of one that goes on in another line), a dollar quote, a quoted
 * identifier or a block comment is none.
 *
 * Every error tells the line in the script.  Positions that the scanner or
 * the grammar report are relative to the script, which the client has only
 * sent as an argument: they become positions in the internal query.
 *
 * Time is linear in the length of the script: it is scanned once and parsed
 * once, and lines are counted as the scan moves on.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "parser/scansup.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"

#define BYTE_ORDER_MARK		"\xEF\xBB\xBF"
#define PREFIX				"schemaver:"

/* an error shows the script up to its line, or only that line, or neither */
#define MAX_QUOTED_SCRIPT	1024
#define MAX_QUOTED_LINE		8192

/* of the scanner's messages, some of which quote all that follows */
#define MAX_MESSAGE			256

/* what our scanner returns for every keyword */
#define TOKEN_KEYWORD		30000

/* where errors of a part of the script are: argument of place_error() */
typedef struct Place
{
	const char *text;			/* the whole script */
	int			offset;			/* where the part begins in it */
	int			line;			/* for errors without a position, or 0 */
	bool		in_rollback;
	ErrorContextCallback callback;
} Place;

/* the server's scanner at work */
typedef struct Lexer
{
	core_yy_extra_type extra;
	core_yyscan_t yyscanner;
	int			token;			/* 0 at the end */
	core_YYSTYPE value;
	int			start;
	int			end;
} Lexer;

/* a comment that is a directive */
typedef struct Comment
{
	int			line;
	char	   *keyword;
	char	   *argument;		/* without blanks around it */
	int			offset;			/* of the argument in the script */
	bool		in_rollback;
} Comment;

/*
 * What stands between two semicolons, from its first to its last token.  A
 * statement is one or several of them: a function's body may hold semicolons.
 */
typedef struct Chunk
{
	int			start;
	int			end;
	int			line;
} Chunk;

/* an SvDirective with what makes it a duplicate of another */
typedef struct ColumnDirective
{
	SvDirective directive;		/* must be first */
	char	   *key;
} ColumnDirective;

/* number of kinds of directives */
#define NUM_DIRECTIVES		6

/* work in progress */
typedef struct ScriptScan
{
	const char *text;			/* the script, a byte order mark blanked */
	int			length;
	SvScript   *script;

	int			position;		/* lines are counted up to here */
	int			line;

	List	   *comments;		/* of Comment */
	Chunk	   *chunks;
	int			nchunks;
	int			maxchunks;
	bool		open;			/* the last chunk may still grow */
	int			depth;			/* of parentheses in it */
	bool		copy;			/* it begins with COPY */
	bool		from;			/* its last token is FROM */
	int			next_chunk;		/* first that is in no statement yet */

	int			main_end;		/* where statements end */
	int			rollback_start; /* 0 if there is no such section */
	int			rollback_end;
	bool		copy_stdin;		/* stopped after a COPY FROM STDIN */

	int			lines[NUM_DIRECTIVES];	/* where each stood first, or 0 */
} ScriptScan;

/* one kind of directive */
typedef struct DirectiveKind
{
	const char *keyword;
	const char *usage;
	bool		repeatable;
	void		(*read) (ScriptScan *scan, Comment *comment);
} DirectiveKind;

static void read_product(ScriptScan *scan, Comment *comment);
static void read_version(ScriptScan *scan, Comment *comment);
static void read_description(ScriptScan *scan, Comment *comment);
static void read_column(ScriptScan *scan, Comment *comment);

static const DirectiveKind directive_kinds[NUM_DIRECTIVES] = {
	{"product", "product shop", false, read_product},
	{"version", "version 1.0.3 -> 1.1.0", false, read_version},
	{"description", "description split the name", false, read_description},
	{"up", "up person.full_name = first_name || ' ' || last_name",
	true, read_column},
	{"down", "down person.last_name = split_part(full_name, ' ', 2)",
	true, read_column},
	{"rollback", "rollback", false, NULL}
};

/*-------------------------------------------------------------------------
 * Lines and errors
 *-------------------------------------------------------------------------
 */

/* Ends of lines in a stretch of text: LF, CR LF or CR. */
static int
count_lines(const char *text, int from, int to)
{
	int			lines = 0;

	for (int i = from; i < to; i++)
	{
		if (text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n'))
			lines++;
	}
	return lines;
}

/* The line of an offset; offsets must not decrease from call to call. */
static int
line_at(ScriptScan *scan, int offset)
{
	scan->line += count_lines(scan->text, scan->position, offset);
	scan->position = offset;
	return scan->line;
}

static int
end_of_line(const char *text, int offset)
{
	return offset + strcspn(text + offset, "\r\n");
}

/*
 * Error context callback: position in a part of the script to line of the
 * script.
 */
static void
place_error(void *arg)
{
	Place	   *place = (Place *) arg;
	int			line = place->line;
	int			position = geterrposition();

	if (position > 0 && place->text != NULL)
	{
		const char *text = place->text;
		int			offset = place->offset;
		int			start = 0;
		int			end;

		/* positions count characters from 1 */
		while (--position > 0 && text[offset] != '\0')
			offset += pg_mblen(text + offset);
		line = 1 + count_lines(text, 0, offset);

		/* from the script's start, LINE shows the same number as we do */
		end = end_of_line(text, offset);
		if (end > MAX_QUOTED_SCRIPT)
		{
			for (start = offset; start > 0; start--)
			{
				if (text[start - 1] == '\n' || text[start - 1] == '\r')
					break;
			}
		}
		errposition(0);
		if (end - start <= MAX_QUOTED_LINE)
		{
			internalerrposition(1 + pg_mbstrlen_with_len(text + start,
														 offset - start));
			internalerrquery(pnstrdup(text + start, end - start));
		}
	}
	if (line > 0)
		errcontext("line %d of the script", line);
	if (place->in_rollback)
		errcontext("rollback section of the script");
}

static void
enter_place(Place *place, const char *text, int offset, int line,
			bool in_rollback)
{
	place->text = text;
	place->offset = offset;
	place->line = line;
	place->in_rollback = in_rollback;
	place->callback.callback = place_error;
	place->callback.arg = place;
	place->callback.previous = error_context_stack;
	error_context_stack = &place->callback;
}

static void
leave_place(Place *place)
{
	error_context_stack = place->callback.previous;
}

/* Parse a part of the script; locations are relative to its start. */
static List *
parse_part(ScriptScan *scan, int start, int end, RawParseMode mode,
		   bool in_rollback)
{
	char	   *part = pnstrdup(scan->text + start, end - start);
	Place		place;
	List	   *result;

	enter_place(&place, scan->text, start, 0, in_rollback);
	result = raw_parser(part, mode);
	leave_place(&place);
	pfree(part);
	return result;
}

/*-------------------------------------------------------------------------
 * Tokens
 *-------------------------------------------------------------------------
 */
static void
start_lexer(Lexer *lexer, const char *text)
{
	uint16	   *tokens = palloc(ScanKeywords.num_keywords * sizeof(uint16));

	/* the grammar's numbers of keywords differ between server versions */
	for (int i = 0; i < ScanKeywords.num_keywords; i++)
		tokens[i] = TOKEN_KEYWORD;
	lexer->yyscanner = scanner_init(text, &lexer->extra, &ScanKeywords,
									tokens);
	lexer->extra.escape_string_warning = false;
}

/* Throw the scanner's error on, without the script's rest in its message. */
static void
rethrow_shortened(MemoryContext context)
{
	ErrorData  *error;
	int			length;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	length = strlen(error->message);
	if (length > MAX_MESSAGE)
	{
		length = pg_mbcliplen(error->message, length, MAX_MESSAGE);
		error->message = psprintf("%.*s...", length, error->message);
	}
	ReThrowError(error);
}

/*
 * Move to the next token; false at the end.  What there is to warn of, the
 * grammar's scan warns of too: here it is kept from the client.
 */
static bool
next_token(Lexer *lexer)
{
	MemoryContext context = CurrentMemoryContext;
	int			saved = client_min_messages;

	PG_TRY();
	{
		client_min_messages = ERROR;
		lexer->token = core_yylex(&lexer->value, &lexer->start,
								  lexer->yyscanner);
		client_min_messages = saved;
	}
	PG_CATCH();
	{
		client_min_messages = saved;
		rethrow_shortened(context);
	}
	PG_END_TRY();

	if (lexer->token == 0)
		return false;

	/* the scanner keeps a zero behind the current token */
	lexer->end = lexer->start + strlen(lexer->extra.scanbuf + lexer->start);
	return true;
}

static bool
is_keyword(Lexer *lexer, const char *keyword)
{
	return lexer->token == TOKEN_KEYWORD &&
		strcmp(lexer->value.keyword, keyword) == 0;
}

static void
end_lexer(Lexer *lexer)
{
	scanner_finish(lexer->yyscanner);
	pfree(unconstify(uint16 *, lexer->extra.keyword_tokens));
}

/*-------------------------------------------------------------------------
 * Scanning: comments and chunks
 *-------------------------------------------------------------------------
 */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\f' || c == '\v';
}

static int
skip_blanks(const char *text, int offset)
{
	while (is_blank(text[offset]))
		offset++;
	return offset;
}

static void
open_chunk(ScriptScan *scan, int start)
{
	Chunk	   *chunk;

	if (scan->nchunks == scan->maxchunks)
	{
		scan->maxchunks *= 2;
		scan->chunks = repalloc(scan->chunks,
								scan->maxchunks * sizeof(Chunk));
	}
	chunk = &scan->chunks[scan->nchunks++];
	chunk->start = start;
	chunk->line = line_at(scan, start);
	scan->open = true;
}

/* Note a line comment if it is a directive. */
static void
note_comment(ScriptScan *scan, int start, int end)
{
	const char *text = scan->text;
	int			offset = skip_blanks(text, start + strlen("--"));
	int			word;			/* its start, or the argument's end */
	Comment    *comment;

	if (pg_strncasecmp(text + offset, PREFIX, strlen(PREFIX)) != 0)
		return;

	comment = palloc0(sizeof(Comment));
	comment->line = line_at(scan, start);
	comment->in_rollback = scan->rollback_start > 0;

	word = offset = skip_blanks(text, offset + strlen(PREFIX));
	while (offset < end && !is_blank(text[offset]))
		offset++;
	comment->keyword = pnstrdup(text + word, offset - word);

	offset = skip_blanks(text, offset);
	word = end;
	while (word > offset && is_blank(text[word - 1]))
		word--;
	comment->argument = pnstrdup(text + offset, word - offset);
	comment->offset = offset;
	scan->comments = lappend(scan->comments, comment);

	/* no statement reaches from one section into the other */
	if (pg_strcasecmp(comment->keyword, "rollback") == 0 &&
		scan->rollback_start == 0)
	{
		scan->open = false;
		scan->main_end = start;
		scan->rollback_start = end;
	}
}

/* The end of a block comment; they nest. */
static int
skip_block_comment(const char *text, int start, int end)
{
	int			depth = 0;
	int			i = start;

	while (i < end)
	{
		if (text[i] == '/' && text[i + 1] == '*')
		{
			depth++;
			i += 2;
		}
		else if (text[i] == '*' && text[i + 1] == '/')
		{
			i += 2;
			if (--depth == 0)
				break;
		}
		else
			i++;
	}
	return i;
}

/* Look for directives in what stands between two tokens. */
static void
scan_gap(ScriptScan *scan, int start, int end)
{
	const char *text = scan->text;
	bool		first = (start == 0);	/* only white space on this line */
	int			i = start;

	while (i < end)
	{
		CHECK_FOR_INTERRUPTS();

		if (text[i] == '-' && text[i + 1] == '-')
		{
			int			eol = end_of_line(text, i);

			if (first)
				note_comment(scan, i, eol);
			i = eol;
		}
		else if (text[i] == '/' && text[i + 1] == '*')
		{
			i = skip_block_comment(text, i, end);
			first = false;
		}
		else
		{
			if (text[i] == '\n' || text[i] == '\r')
				first = true;
			i++;
		}
	}
}

static void
refuse_backslash(ScriptScan *scan, int offset)
{
	const char *command = scan->text + offset;
	int			length = 1 + strcspn(command + 1, "\\; \t\r\n\f\v");

	length = pg_mbcliplen(command, length, NAMEDATALEN - 1);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("backslash command \"%s\" in line %d cannot be applied",
					pnstrdup(command, length), line_at(scan, offset)),
			 errdetail("Backslash commands are carried out by psql; they are not SQL."),
			 errhint("Take it out of the script, or write SQL that does the same.")));
}


/* A token that is no semicolon: it begins a chunk or belongs to the last. */
static void
scan_token(ScriptScan *scan, Lexer *lexer)
{
	if (lexer->token == '\\')
		refuse_backslash(scan, lexer->start);

	if (!scan->open)
	{
		open_chunk(scan, lexer->start);
		scan->depth = 0;
		scan->copy = is_keyword(lexer, "copy");
		scan->from = false;
	}
	scan->chunks[scan->nchunks - 1].end = lexer->end;

	if (lexer->token == '(')
		scan->depth++;
	else if (lexer->token == ')')
		scan->depth--;
	else if (scan->copy && scan->from && scan->depth == 0 &&
			 is_keyword(lexer, "stdin"))
		scan->copy_stdin = true;
	scan->from = is_keyword(lexer, "from");
}

/*
 * ScriptScan the whole script for directives and chunks.
 *
 * The scan ends behind a COPY FROM STDIN, as if the script did: the data that
 * follow it are no SQL, and it is the statement that must be refused.
 */
static void
scan_script(ScriptScan *scan)
{
	Lexer		lexer;
	Place		place;
	int			end = 0;

	enter_place(&place, scan->text, 0, 0, false);
	start_lexer(&lexer, scan->text);
	for (;;)
	{
		bool		more = next_token(&lexer);

		CHECK_FOR_INTERRUPTS();
		scan_gap(scan, end, more ? lexer.start : scan->length);
		end = more ? lexer.end : scan->length;
		if (!more)
			break;
		if (lexer.token != ';')
			scan_token(scan, &lexer);
		else
		{
			scan->open = false;
			if (scan->copy_stdin)
				break;
		}
	}
	end_lexer(&lexer);
	leave_place(&place);

	if (scan->rollback_start > 0)
		scan->rollback_end = end;
	else
		scan->main_end = end;
}

/*-------------------------------------------------------------------------
 * Directives
 *-------------------------------------------------------------------------
 */
static void
refuse_unknown_directive(const Comment *comment)
{
	StringInfoData known;

	initStringInfo(&known);
	for (int i = 0; i < NUM_DIRECTIVES; i++)
		appendStringInfo(&known, "%s%s", i == 0 ? "" :
						 i == NUM_DIRECTIVES - 1 ? " and " : ", ",
						 directive_kinds[i].keyword);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown directive \"%s\" in line %d",
					comment->keyword, comment->line),
			 errhint("Known directives are %s.", known.data)));
}

static int
directive_kind(const Comment *comment)
{
	for (int i = 0; i < NUM_DIRECTIVES; i++)
	{
		if (pg_strcasecmp(comment->keyword, directive_kinds[i].keyword) == 0)
			return i;
	}
	refuse_unknown_directive(comment);
	return -1;					/* keep compiler quiet */
}

static void
refuse_malformed_directive(const Comment *comment)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 comment->argument[0] == '\0' ?
			 errmsg("directive \"%s\" in line %d has no argument",
					comment->keyword, comment->line) :
			 errmsg("argument of directive \"%s\" in line %d is malformed: %s",
					comment->keyword, comment->line, comment->argument),
			 errhint("Write it like this: -- schemaver: %s",
					 directive_kinds[directive_kind(comment)].usage)));
}

static void
refuse_duplicate_directive(const char *directive, int line, int first_line)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("duplicate directive \"%s\" in line %d",
					directive, line),
			 errdetail("The first one stands in line %d.", first_line),
			 errhint("Remove one of them.")));
}

/* All directives, in their order in the script. */
static void
read_directives(ScriptScan *scan)
{
	ListCell   *lc;

	foreach(lc, scan->comments)
	{
		Comment    *comment = (Comment *) lfirst(lc);
		int			i = directive_kind(comment);
		const DirectiveKind *kind = &directive_kinds[i];

		CHECK_FOR_INTERRUPTS();
		if (!kind->repeatable && scan->lines[i] > 0)
			refuse_duplicate_directive(kind->keyword, comment->line,
									   scan->lines[i]);
		if (comment->in_rollback)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("directive \"%s\" in line %d stands in the rollback section",
							kind->keyword, comment->line),
					 errhint("Move it before the directive \"rollback\".")));
		scan->lines[i] = comment->line;

		if (kind->read != NULL)
		{
			if (comment->argument[0] == '\0')
				refuse_malformed_directive(comment);
			kind->read(scan, comment);
		}
		else if (comment->argument[0] != '\0')
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("directive \"%s\" in line %d takes no argument",
							kind->keyword, comment->line),
					 errhint("Write the SQL from the next line on.")));
	}
}

/*
 * The identifier that *cursor points at, as SQL understands it, or NULL if
 * there is none; *cursor moves behind it.
 */
static char *
read_identifier(const char **cursor)
{
	const char *start = *cursor;
	const char *p = start;
	StringInfoData name;

	if (*p != '"')
	{
		if (!isalpha((unsigned char) *p) && *p != '_' && !IS_HIGHBIT_SET(*p))
			return NULL;
		while (isalnum((unsigned char) *p) || *p == '_' || *p == '$' ||
			   IS_HIGHBIT_SET(*p))
			p++;
		*cursor = p;
		return downcase_truncate_identifier(start, p - start, false);
	}

	initStringInfo(&name);
	for (p++; *p != '"' || p[1] == '"'; p++)
	{
		if (*p == '\0')
			return NULL;
		appendStringInfoChar(&name, *p);
		if (*p == '"')
			p++;
	}
	*cursor = p + 1;
	if (name.len == 0)
		return NULL;
	truncate_identifier(name.data, name.len, false);
	return name.data;
}

/* A product may be called anything: quotes are only needed to begin with one. */
static void
read_product(ScriptScan *scan, Comment *comment)
{
	const char *cursor = comment->argument;

	if (*cursor != '"')
	{
		scan->script->product = comment->argument;
		return;
	}
	scan->script->product = read_identifier(&cursor);
	if (scan->script->product == NULL || *cursor != '\0')
		refuse_malformed_directive(comment);
}

/* A version of the script, between blanks. */
static SvVersion *
read_one_version(const Comment *comment, const char *start, const char *end)
{
	Place		place;
	SvVersion  *version;

	while (start < end && is_blank(*start))
		start++;
	while (end > start && is_blank(end[-1]))
		end--;
	if (start == end)
		refuse_malformed_directive(comment);

	enter_place(&place, NULL, 0, comment->line, false);
	version = sv_version_parse(pnstrdup(start, end - start));
	leave_place(&place);
	return version;
}

static void
read_version(ScriptScan *scan, Comment *comment)
{
	const char *start = comment->argument;
	const char *end = start + strlen(start);
	const char *arrow = strstr(start, "->");

	if (arrow != NULL)
	{
		scan->script->from = read_one_version(comment, start, arrow);
		start = arrow + strlen("->");
	}
	scan->script->to = read_one_version(comment, start, end);
}

static void
read_description(ScriptScan *scan, Comment *comment)
{
	scan->script->description = comment->argument;
}

/*
 * The grammar's mode for expressions takes whatever may follow SELECT: insist
 * on one expression and nothing else.
 */
static bool
is_expression(List *parsetree)
{
	SelectStmt *select = castNode(SelectStmt,
								  linitial_node(RawStmt, parsetree)->stmt);

	return list_length(select->targetList) == 1 &&
		linitial_node(ResTarget, select->targetList)->name == NULL &&
		select->distinctClause == NIL && select->fromClause == NIL &&
		select->whereClause == NULL && select->groupClause == NIL &&
		select->havingClause == NULL && select->windowClause == NIL &&
		select->sortClause == NIL && select->limitOffset == NULL &&
		select->limitCount == NULL && select->lockingClause == NIL;
}

/* An expression, from its first to its last token: no comment behind it. */
static char *
read_expression(ScriptScan *scan, const Comment *comment, int start)
{
	int			end = comment->offset + strlen(comment->argument);
	char	   *expression = pnstrdup(scan->text + start, end - start);
	int			length = 0;
	Lexer		lexer;

	if (!is_expression(parse_part(scan, start, end, RAW_PARSE_PLPGSQL_EXPR,
								  false)))
		refuse_malformed_directive(comment);

	start_lexer(&lexer, expression);
	while (next_token(&lexer))
		length = lexer.end;
	end_lexer(&lexer);
	expression[length] = '\0';
	return expression;
}

/*
 * "up" and "down": relation.column = expression.  The relation stays as it
 * was written, the column becomes a name.
 */
static void
read_column(ScriptScan *scan, Comment *comment)
{
	ColumnDirective *column = palloc0(sizeof(ColumnDirective));
	SvDirective *directive = &column->directive;
	const char *cursor = comment->argument;
	const char *end;			/* of all but the last name */
	const char *name_end = NULL;
	StringInfoData key;
	int			nnames = 0;

	initStringInfo(&key);
	for (;;)
	{
		end = name_end;
		directive->column = read_identifier(&cursor);
		if (directive->column == NULL)
			refuse_malformed_directive(comment);
		name_end = cursor;
		appendStringInfo(&key, ".%s", quote_identifier(directive->column));
		nnames++;
		cursor += skip_blanks(cursor, 0);
		if (*cursor != '.')
			break;
		cursor++;
		cursor += skip_blanks(cursor, 0);
	}
	if (nnames < 2 || nnames > 3 || *cursor != '=')
		refuse_malformed_directive(comment);
	cursor++;
	cursor += skip_blanks(cursor, 0);
	if (*cursor == '\0')
		refuse_malformed_directive(comment);

	directive->line = comment->line;
	directive->relation = pnstrdup(comment->argument, end - comment->argument);
	directive->expression =
		read_expression(scan, comment,
						comment->offset + (cursor - comment->argument));
	column->key = key.data + 1;
	if (pg_strcasecmp(comment->keyword, "up") == 0)
		scan->script->up = lappend(scan->script->up, column);
	else
		scan->script->down = lappend(scan->script->down, column);
}

static int
compare_columns(const ListCell *a, const ListCell *b)
{
	const ColumnDirective *left = lfirst(a);
	const ColumnDirective *right = lfirst(b);
	int			result = strcmp(left->key, right->key);

	return result != 0 ? result : left->directive.line - right->directive.line;
}

/* Refuse a second directive for the same column. */
static void
check_columns(const char *keyword, List *directives)
{
	List	   *sorted = list_copy(directives);
	ColumnDirective *previous = NULL;
	ListCell   *lc;

	list_sort(sorted, compare_columns);
	foreach(lc, sorted)
	{
		ColumnDirective *column = (ColumnDirective *) lfirst(lc);

		if (previous != NULL && strcmp(previous->key, column->key) == 0)
			refuse_duplicate_directive(psprintf("%s %s", keyword, column->key),
									   column->directive.line,
									   previous->directive.line);
		previous = column;
	}
	list_free(sorted);
}

/*-------------------------------------------------------------------------
 * Statements that cannot be applied
 *-------------------------------------------------------------------------
 */
#define HINT_ALONE \
	"Take it out of the script, and run it by itself before or after the migration."

static void
refuse(const SvStatement *at, const char *name, int sqlstate,
	   const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("%s in statement %d, line %d, cannot be applied",
					name, at->number, at->line),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/* for what the server does not run inside of a transaction */
static void
refuse_in_transaction(const SvStatement *at, const char *name,
					  const char *hint)
{
	refuse(at, name, ERRCODE_ACTIVE_SQL_TRANSACTION,
		   "It cannot run inside a transaction, and a migration is one.",
		   hint);
}

/* Is an option given, and with this value? */
static bool
has_option(const SvStatement *at, List *options, const char *name, bool value)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
		{
			Place		place;
			bool		given;

			enter_place(&place, NULL, 0, at->line, false);
			given = defGetBoolean(option);
			leave_place(&place);
			if (given == value)
				return true;
		}
	}
	return false;
}

/* an isolation level by its name */
static int
level_named(const char *name)
{
	if (strcmp(name, "serializable") == 0)
		return XACT_SERIALIZABLE;
	if (strcmp(name, "repeatable read") == 0)
		return XACT_REPEATABLE_READ;
	return XACT_READ_COMMITTED;
}

static const char *
words_of_level(int level)
{
	switch (level)
	{
		case XACT_SERIALIZABLE:
			return "ISOLATION LEVEL SERIALIZABLE";
		case XACT_REPEATABLE_READ:
			return "ISOLATION LEVEL REPEATABLE READ";
		default:
			return "ISOLATION LEVEL READ COMMITTED";
	}
}

/* what a statement that sets transaction modes is called */
static const char *
name_of_setting(const SvStatement *at)
{
	return IsA(at->raw->stmt, TransactionStmt) ? at->tag : "SET TRANSACTION";
}

/*
 * READ COMMITTED and READ WRITE are what a migration has anyway, DEFERRABLE
 * means nothing but with READ ONLY.  Whether the level is stronger than the
 * caller's is asked when the script is applied; rollback() promises none.
 */
static void
take_transaction_modes(SvScript *script, const SvStatement *at,
					   List *options, bool in_rollback)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		A_Const    *value = castNode(A_Const, option->arg);
		const char *mode = NULL;

		if (strcmp(option->defname, "transaction_isolation") == 0)
		{
			int			level = level_named(strVal(&value->val));

			if (in_rollback && level > XACT_READ_COMMITTED)
				mode = words_of_level(level);
			else if (level > Max(script->isolation, XACT_READ_COMMITTED))
			{
				script->isolation = level;
				script->isolating = at;
			}
		}
		else if (strcmp(option->defname, "transaction_read_only") == 0)
			mode = intVal(&value->val) ? "READ ONLY" : NULL;
		if (mode != NULL)
			refuse(at, psprintf("%s %s", name_of_setting(at), mode),
				   ERRCODE_FEATURE_NOT_SUPPORTED,
				   in_rollback ?
				   "The section runs in the transaction that calls rollback(), under its options." :
				   "The script runs in the transaction that calls apply(), under its options.",
				   psprintf("Take %s out of the script.", mode));
	}
}

/*
 * Refuse a script that asks for a stronger isolation level than the calling
 * transaction has: 0A000, by statement and line.
 */
void
sv_script_check_level(const SvScript *script)
{
	const char *words = words_of_level(script->isolation);

	if (script->isolation > Max(XactIsoLevel, XACT_READ_COMMITTED))
		refuse(script->isolating,
			   psprintf("%s %s", name_of_setting(script->isolating), words),
			   ERRCODE_FEATURE_NOT_SUPPORTED,
			   psprintf("The script runs in the transaction that calls apply(), and that has %s.",
						words_of_level(XactIsoLevel)),
			   psprintf("Call it in a transaction that begins with BEGIN %s, or take that out of the script if it may see what others commit meanwhile.",
						words));
}

/* Transaction control other than BEGIN and COMMIT. */
static void
refuse_transaction_control(const SvStatement *at, TransactionStmt *stmt)
{
	const char *name = NULL;

	switch (stmt->kind)
	{
		case TRANS_STMT_SAVEPOINT:
			name = "SAVEPOINT";
			break;
		case TRANS_STMT_RELEASE:
			name = "RELEASE SAVEPOINT";
			break;
		case TRANS_STMT_ROLLBACK_TO:
			name = "ROLLBACK TO SAVEPOINT";
			break;
		case TRANS_STMT_PREPARE:
			name = "PREPARE TRANSACTION";
			break;
		case TRANS_STMT_COMMIT_PREPARED:
			refuse_in_transaction(at, "COMMIT PREPARED", HINT_ALONE);
			break;
		case TRANS_STMT_ROLLBACK_PREPARED:
			refuse_in_transaction(at, "ROLLBACK PREPARED", HINT_ALONE);
			break;
		case TRANS_STMT_COMMIT:
			name = "COMMIT AND CHAIN";
			break;
		default:
			name = stmt->chain ? "ROLLBACK AND CHAIN" : "ROLLBACK";
			break;
	}
	refuse(at, name, ERRCODE_FEATURE_NOT_SUPPORTED,
		   "A script is applied in one transaction, all of it or none of it.",
		   "Take it out of the script; of transaction control only BEGIN and COMMIT around statements may stay.");
}

static void
check_copy(const SvStatement *at, CopyStmt *stmt)
{
	if (stmt->filename != NULL || stmt->is_program)
		return;
	if (stmt->is_from)
		refuse(at, "COPY FROM STDIN", ERRCODE_FEATURE_NOT_SUPPORTED,
			   "A script has no standard input: the data would have to follow the call of apply().",
			   "Use INSERT, or COPY from a file or a program on the server.");
	refuse(at, "COPY TO STDOUT", ERRCODE_FEATURE_NOT_SUPPORTED,
		   "A script has no standard output: the client waits for the result of apply().",
		   "Use COPY to a file or a program on the server, or take it out of the script.");
}

static void
check_reindex(const SvStatement *at, ReindexStmt *stmt)
{
	const char *hint = "Write REINDEX TABLE for each of the tables.";

	if (stmt->kind == REINDEX_OBJECT_SCHEMA)
		refuse_in_transaction(at, "REINDEX SCHEMA", hint);
	if (stmt->kind == REINDEX_OBJECT_DATABASE)
		refuse_in_transaction(at, "REINDEX DATABASE", hint);
	if (stmt->kind == REINDEX_OBJECT_SYSTEM)
		refuse_in_transaction(at, "REINDEX SYSTEM", HINT_ALONE);
	if (has_option(at, stmt->params, "concurrently", true))
		refuse_in_transaction(at, "REINDEX CONCURRENTLY",
							  "Write REINDEX without CONCURRENTLY, or run it by itself after the migration.");
}

static void
check_alter_table(const SvStatement *at, AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_DetachPartition &&
			castNode(PartitionCmd, cmd->def)->concurrent)
			refuse_in_transaction(at,
								  "ALTER TABLE ... DETACH PARTITION CONCURRENTLY",
								  "Write DETACH PARTITION without CONCURRENTLY.");
	}
}

static void
check_alter_subscription(const SvStatement *at, AlterSubscriptionStmt *stmt)
{
	switch (stmt->kind)
	{
		case ALTER_SUBSCRIPTION_REFRESH:
			refuse_in_transaction(at,
								  "ALTER SUBSCRIPTION ... REFRESH PUBLICATION",
								  HINT_ALONE);
			break;
		case ALTER_SUBSCRIPTION_SET_PUBLICATION:
		case ALTER_SUBSCRIPTION_ADD_PUBLICATION:
		case ALTER_SUBSCRIPTION_DROP_PUBLICATION:
			if (!has_option(at, stmt->options, "refresh", false))
				refuse_in_transaction(at,
									  "ALTER SUBSCRIPTION with refresh",
									  "Write WITH (refresh = false), and refresh after the migration.");
			break;
		default:
			break;
	}
}

/* What acts on the cluster, or on the session as a whole. */
static void
check_global(const SvStatement *at, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterSystemStmt:
			refuse_in_transaction(at, "ALTER SYSTEM", HINT_ALONE);
			break;
		case T_CreatedbStmt:
			refuse_in_transaction(at, "CREATE DATABASE", HINT_ALONE);
			break;
		case T_DropdbStmt:
			refuse_in_transaction(at, "DROP DATABASE", HINT_ALONE);
			break;
		case T_AlterDatabaseStmt:
			{
				ListCell   *lc;

				foreach(lc, ((AlterDatabaseStmt *) stmt)->options)
				{
					if (strcmp(lfirst_node(DefElem, lc)->defname,
							   "tablespace") == 0)
						refuse_in_transaction(at,
											  "ALTER DATABASE ... SET TABLESPACE",
											  HINT_ALONE);
				}
				break;
			}
		case T_CreateTableSpaceStmt:
			refuse_in_transaction(at, "CREATE TABLESPACE", HINT_ALONE);
			break;
		case T_DropTableSpaceStmt:
			refuse_in_transaction(at, "DROP TABLESPACE", HINT_ALONE);
			break;
		case T_DiscardStmt:
			if (((DiscardStmt *) stmt)->target == DISCARD_ALL)
				refuse_in_transaction(at, "DISCARD ALL",
									  "Take it out of the script.");
			break;
		case T_ListenStmt:
		case T_UnlistenStmt:
			refuse(at, IsA(stmt, ListenStmt) ? "LISTEN" : "UNLISTEN",
				   ERRCODE_FEATURE_NOT_SUPPORTED,
				   "It would concern the session that calls apply(), not the schema.",
				   "Take it out of the script; NOTIFY may stay.");
			break;
		default:
			break;
	}
}

/*
 * Refuse what could not run, by its name.  What only the catalogs know, as
 * that CLUSTER names a partitioned table, is left to the server.
 */
static void
check_statement(const SvStatement *at, Node *stmt)
{
	ListCell   *lc;

	switch (nodeTag(stmt))
	{
		case T_TransactionStmt:
			refuse_transaction_control(at, (TransactionStmt *) stmt);
			break;
		case T_VacuumStmt:
			if (((VacuumStmt *) stmt)->is_vacuumcmd)
				refuse_in_transaction(at, "VACUUM",
									  "Take it out of the script, and run it after the migration; ANALYZE may stay.");
			break;
		case T_ReindexStmt:
			check_reindex(at, (ReindexStmt *) stmt);
			break;
		case T_ClusterStmt:
			if (((ClusterStmt *) stmt)->relation == NULL)
				refuse_in_transaction(at, "CLUSTER without a table",
									  "Write CLUSTER for each of the tables.");
			break;
		case T_AlterTableStmt:
			check_alter_table(at, (AlterTableStmt *) stmt);
			break;
		case T_CreateSchemaStmt:
			foreach(lc, ((CreateSchemaStmt *) stmt)->schemaElts)
				check_statement(at, (Node *) lfirst(lc));
			break;
		case T_CreateSubscriptionStmt:
			{
				List	   *options = ((CreateSubscriptionStmt *) stmt)->options;

				if (!has_option(at, options, "connect", false) &&
					!has_option(at, options, "create_slot", false))
					refuse_in_transaction(at, "CREATE SUBSCRIPTION",
										  "Write WITH (create_slot = false), and create the slot on the publisher by hand.");
				break;
			}
		case T_DropSubscriptionStmt:
			refuse_in_transaction(at, "DROP SUBSCRIPTION", HINT_ALONE);
			break;
		case T_AlterSubscriptionStmt:
			check_alter_subscription(at, (AlterSubscriptionStmt *) stmt);
			break;
		case T_CopyStmt:
			check_copy(at, (CopyStmt *) stmt);
			break;
		default:
			check_global(at, stmt);
			break;
	}
}

/*-------------------------------------------------------------------------
 * Statements
 *-------------------------------------------------------------------------
 */

/*
 * BEGIN and COMMIT say what is true anyway and are dropped, if each BEGIN has
 * its COMMIT.  *begin_line is that of a BEGIN still open, or 0.  False if it
 * is other transaction control.
 */
static bool
take_begin_or_commit(SvScript *script, const SvStatement *at, int *begin_line,
					 bool in_rollback)
{
	TransactionStmt *stmt = (TransactionStmt *) at->raw->stmt;
	const char *hint = "Write both BEGIN and COMMIT, or neither: a script is applied in one transaction.";

	switch (stmt->kind)
	{
		case TRANS_STMT_BEGIN:
		case TRANS_STMT_START:
			if (*begin_line > 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						 errmsg("%s in line %d follows BEGIN in line %d without COMMIT between them",
								at->tag, at->line, *begin_line),
						 errhint("%s", hint)));
			take_transaction_modes(script, at, stmt->options, in_rollback);
			*begin_line = at->line;
			return true;

		case TRANS_STMT_COMMIT:
			if (stmt->chain)
				return false;
			if (*begin_line == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						 errmsg("COMMIT in line %d has no BEGIN", at->line),
						 errhint("%s", hint)));
			*begin_line = 0;
			return true;

		default:
			return false;
	}
}

/* SET TRANSACTION is as well; false if it is another SET */
static bool
take_set_transaction(SvScript *script, const SvStatement *at, bool in_rollback)
{
	VariableSetStmt *stmt = (VariableSetStmt *) at->raw->stmt;

	if (stmt->kind != VAR_SET_MULTI)
		return false;
	if (strcmp(stmt->name, "TRANSACTION SNAPSHOT") == 0)
		refuse(at, "SET TRANSACTION SNAPSHOT", ERRCODE_FEATURE_NOT_SUPPORTED,
			   "The script runs in the transaction that calls apply(), with its snapshot.",
			   "Take it out of the script.");
	if (strcmp(stmt->name, "TRANSACTION") != 0)
		return false;
	take_transaction_modes(script, at, stmt->args, in_rollback);
	return true;
}

/*
 * Fit a statement that the grammar found to the chunks it consists of, which
 * know its first and last token.  Its location becomes exact, in the script.
 */
static void
locate_statement(ScriptScan *scan, SvStatement *statement, int base, int end)
{
	RawStmt    *raw = statement->raw;
	int			start = base + raw->stmt_location;
	Chunk	   *chunk;

	if (raw->stmt_len > 0)
		end = start + raw->stmt_len;
	while (scan->next_chunk < scan->nchunks &&
		   scan->chunks[scan->next_chunk].start < start)
		scan->next_chunk++;
	if (scan->next_chunk >= scan->nchunks)
		elog(ERROR, "statement at %d has no token", start);

	chunk = &scan->chunks[scan->next_chunk++];
	statement->line = chunk->line;
	start = chunk->start;
	while (scan->next_chunk < scan->nchunks &&
		   scan->chunks[scan->next_chunk].end <= end)
		chunk = &scan->chunks[scan->next_chunk++];

	raw->stmt_location = start;
	raw->stmt_len = chunk->end - start;
	statement->text = pnstrdup(scan->text + start, raw->stmt_len);
}

/*
 * The statements of a section of the script, checked; for the rollback
 * section that is all that is done with them.
 */
static List *
read_statements(ScriptScan *scan, int start, int end, bool in_rollback)
{
	List	   *statements = NIL;
	List	   *parsed = parse_part(scan, start, end, RAW_PARSE_DEFAULT,
									in_rollback);
	int			begin_line = 0;
	ListCell   *lc;
	Place		place;

	enter_place(&place, scan->text, 0, 0, in_rollback);
	foreach(lc, parsed)
	{
		SvStatement *statement = palloc0(sizeof(SvStatement));
		Node	   *stmt;

		CHECK_FOR_INTERRUPTS();
		statement->raw = lfirst_node(RawStmt, lc);
		statement->number = list_length(statements) + 1;
		stmt = statement->raw->stmt;
		statement->tag = GetCommandTagName(CreateCommandTag(stmt));
		locate_statement(scan, statement, start, end);

		if (IsA(stmt, TransactionStmt) &&
			take_begin_or_commit(scan->script, statement, &begin_line,
								 in_rollback))
			continue;
		if (IsA(stmt, VariableSetStmt) &&
			take_set_transaction(scan->script, statement, in_rollback))
			continue;
		check_statement(statement, stmt);
		statements = lappend(statements, statement);
	}
	if (begin_line > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("BEGIN in line %d has no COMMIT", begin_line),
				 errhint("Write both BEGIN and COMMIT, or neither: a script is applied in one transaction.")));
	leave_place(&place);
	return statements;
}

static void
read_rollback(ScriptScan *scan)
{
	int			start = scan->rollback_start;

	if (read_statements(scan, start, scan->rollback_end, true) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rollback section of the script holds no statement"),
				 errhint("Write its SQL behind the directive \"rollback\", or remove the directive.")));

	/* begin with the line below the directive */
	if (scan->text[start] == '\r')
		start++;
	if (scan->text[start] == '\n')
		start++;
	scan->script->rollback = pstrdup(scan->text + start);
}

/*-------------------------------------------------------------------------
 * The whole
 *-------------------------------------------------------------------------
 */

/*
 * Checksum of what matters: neither how lines end, nor a byte order mark, nor
 * white space at the very end, all of which editors and version control
 * change by themselves.
 */
static void
compute_checksum(const char *text, char *checksum)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	const char *end = text + strlen(text);
	bool		ok;

	if (strncmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		text += strlen(BYTE_ORDER_MARK);
	while (end > text && strchr(" \t\r\n\f\v", end[-1]) != NULL)
		end--;

	if (context == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	ok = pg_cryptohash_init(context) >= 0;
	while (ok && text < end)
	{
		const char *next = memchr(text, '\r', end - text);
		size_t		length;

		next = (next == NULL) ? end : next + 1;
		length = next - text;
		if (next < end && next[0] == '\n')
			length--;			/* leave out the CR before it */
		ok = pg_cryptohash_update(context, (const uint8 *) text, length) >= 0;
		text = next;
	}
	ok = ok && pg_cryptohash_final(context, digest, sizeof(digest)) >= 0;
	if (!ok)
		elog(ERROR, "could not compute checksum: %s",
			 pg_cryptohash_error(context));
	pg_cryptohash_free(context);

	checksum[hex_encode((char *) digest, sizeof(digest), checksum)] = '\0';
}

/*
 * Parse a migration script.
 *
 * Returns it in the current memory context, sharing nothing with the text
 * that was passed.  Takes no lock.  Throws on whatever could not be applied
 * whatever the catalogs say: bad directives (22023, 22P02 for a version),
 * syntax errors (42601), statements that cannot run as a part of a migration
 * (0A000, 25001), BEGIN without COMMIT or the other way round (2D000), and a
 * script without statements (22023).
 */
SvScript *
sv_script_parse(const char *text)
{
	SvScript   *script = palloc0(sizeof(SvScript));
	char	   *copy = pstrdup(text);
	ScriptScan		scan = {0};

	/* to the scanner a byte order mark would be an identifier */
	if (strncmp(copy, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		memset(copy, ' ', strlen(BYTE_ORDER_MARK));

	script->text = pstrdup(text);
	compute_checksum(text, script->checksum);

	scan.text = copy;
	scan.length = strlen(copy);
	scan.script = script;
	scan.line = 1;
	scan.maxchunks = 64;
	scan.chunks = palloc(scan.maxchunks * sizeof(Chunk));
	scan_script(&scan);

	read_directives(&scan);
	check_columns("up", script->up);
	check_columns("down", script->down);
	script->statements = read_statements(&scan, 0, scan.main_end, false);
	if (scan.rollback_start > 0)
		read_rollback(&scan);

	/* checking the statements has refused it; what follows was not read */
	if (scan.copy_stdin)
		elog(ERROR, "COPY FROM STDIN has not been refused");
	if (script->statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("script holds no statement"),
				 errhint("Write the SQL of the migration into the script.")));

	list_free_deep(scan.comments);
	pfree(scan.chunks);
	pfree(copy);
	return script;
}
