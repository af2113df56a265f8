/*-------------------------------------------------------------------------
 *
 * assign.c
 *	  Triggers that give a column of each new row its value.
 *
 * Such a trigger fires whoever writes, so versions that leave the column out
 * get by with it.  What a PL/pgSQL function does is told from its text: it
 * must assign NEW.column in a statement that every INSERT comes to.  That is
 * one of the outermost block, or of an IF of it that asks for TG_OP or for
 * whether the column is NULL; before it no RETURN lets the row through, and no
 * EXCEPTION may jump over it.  Whatever else a function does is not taken for
 * an assignment.  That the value is not NULL is not known.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/proclang.h"
#include "commands/trigger.h"
#include "nodes/primnodes.h"
#include "parser/scanner.h"
#include "rewrite/prs2lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* the number of this token is a part of the scanner's interface */
#define TOKEN_IDENTIFIER	258

typedef struct Token
{
	const char *text;			/* at the token, in the source */
	const char *word;			/* identifier or keyword, or NULL */
	bool		quoted;
	const char *literal;		/* a string's value, or NULL */
} Token;

/* does an INSERT come to what stands in a structure? */
typedef enum Course
{
	COURSE_ALWAYS,
	COURSE_MAYBE,
	COURSE_NEVER				/* or the column has a value there */
} Course;

/* one that is open: the outermost block, a branch of IF, ... */
typedef struct Structure
{
	Course		course;
	Course		otherwise;		/* what ELSE is then */
} Structure;

/* a function that is read, statement by statement */
typedef struct Reader
{
	const char *column;
	Token	   *tokens;			/* the last one has an empty text */
	int			next;
	List	   *open;			/* of Structure, the innermost is the last */
	int			cases;			/* CASE expressions that are open */
	bool		assigned;
	bool		escaped;		/* a row gets through without the assignment */
} Reader;

/*
 * Tokens
 */

/* the server's scanner may throw; the result ends with an empty token */
static Token *
scan(const char *source)
{
	/* without keywords whatever could be a name comes as an identifier */
	static const ScanKeywordList no_keywords = {0};
	static const uint16 no_tokens[1] = {0};
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(source, &extra, &no_keywords,
										 no_tokens);
	Token	   *tokens = palloc((strlen(source) + 1) * sizeof(Token));
	core_YYSTYPE value;
	YYLTYPE		location;
	int			token;
	int			n = 0;

	extra.escape_string_warning = false;
	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		Token	   *now = &tokens[n++];

		memset(now, 0, sizeof(Token));
		now->text = source + location;
		if (token == TOKEN_IDENTIFIER)
			now->word = value.str;
		else if (now->text[0] == '\'')
			now->literal = value.str;
		now->quoted = now->text[0] == '"';
	}
	memset(&tokens[n], 0, sizeof(Token));
	tokens[n].text = "";
	scanner_finish(scanner);
	return tokens;
}

static const Token *
token_at(const Reader *reader, int offset)
{
	const Token *token = &reader->tokens[reader->next];

	while (offset-- > 0 && token->text[0] != '\0')
		token++;
	return token;
}

static bool
is_word(const Token *token, const char *word)
{
	return token->word && !token->quoted && strcmp(token->word, word) == 0;
}

static bool
is_name(const Token *token, const char *name)
{
	return token->word && strcmp(token->word, name) == 0;
}

static bool
is_sign(const Token *token, const char *sign)
{
	return token->word == NULL && token->literal == NULL &&
		strncmp(token->text, sign, strlen(sign)) == 0;
}

static bool
is_assignment(const Token *token)
{
	return is_sign(token, ":=") || (is_sign(token, "=") &&
									!is_sign(token, "=>"));
}

/* NEW.column, three tokens from there */
static bool
is_field(const Reader *reader, int offset)
{
	return is_word(token_at(reader, offset), "new") &&
		is_sign(token_at(reader, offset + 1), ".") &&
		is_name(token_at(reader, offset + 2), reader->column);
}

/*
 * Structures
 */

static Structure *
innermost(const Reader *reader)
{
	return llast(reader->open);
}

static void
enter(Reader *reader, Course course, Course otherwise)
{
	Structure  *structure = palloc(sizeof(Structure));

	structure->course = course;
	structure->otherwise = otherwise;
	reader->open = lappend(reader->open, structure);
}

/* does every INSERT come here, some, or none? */
static Course
course_here(const Reader *reader)
{
	Course		course = COURSE_ALWAYS;
	ListCell   *lc;

	foreach(lc, reader->open)
		course = Max(course, ((Structure *) lfirst(lc))->course);
	return course;
}

/* is THEN, behind closing parentheses, the token there? */
static bool
is_then(const Reader *reader, int offset)
{
	while (is_sign(token_at(reader, offset), ")"))
		offset++;
	return is_word(token_at(reader, offset), "then");
}

/* IF or ELSIF: what it asks may be certain for an INSERT without the column */
static void
read_condition(const Reader *reader, Course *course, Course *otherwise)
{
	int			n = 1;

	*course = *otherwise = COURSE_MAYBE;
	while (is_sign(token_at(reader, n), "("))
		n++;
	if (is_word(token_at(reader, n), "tg_op") &&
		is_sign(token_at(reader, n + 1), "=") &&
		token_at(reader, n + 2)->literal && is_then(reader, n + 3))
	{
		bool		inserts = strcmp(token_at(reader, n + 2)->literal,
									 "INSERT") == 0;

		*course = inserts ? COURSE_ALWAYS : COURSE_NEVER;
		*otherwise = inserts ? COURSE_NEVER : COURSE_ALWAYS;
	}
	else if (is_field(reader, n) && is_word(token_at(reader, n + 3), "is") &&
			 is_word(token_at(reader, n + 4), "null") &&
			 is_then(reader, n + 5))
	{
		*course = COURSE_ALWAYS;
		*otherwise = COURSE_NEVER;
	}
}

static void
enter_if(Reader *reader)
{
	Course		course;
	Course		otherwise;

	read_condition(reader, &course, &otherwise);
	enter(reader, course, otherwise);
}

/* another branch of IF or CASE */
static void
enter_else(Reader *reader, bool is_last)
{
	Structure  *structure = innermost(reader);

	if (!is_last && structure->otherwise == COURSE_ALWAYS)
		read_condition(reader, &structure->course, &structure->otherwise);
	else
		structure->course = structure->otherwise;
}

/*
 * Statements
 */

/* a statement begins with the next token */
static void
begin_statement(Reader *reader)
{
	const Token *token = token_at(reader, 0);
	const Token *second = token_at(reader, 1);

	if (is_word(token, "if"))
		enter_if(reader);
	else if (is_word(token, "case") || is_word(token, "begin"))
		enter(reader, COURSE_MAYBE, COURSE_MAYBE);
	else if (is_word(token, "exception"))
	{
		innermost(reader)->course = COURSE_MAYBE;
		if (list_length(reader->open) == 1)
			reader->escaped = true;
	}
	else if (is_word(token, "return"))
	{
		if (is_word(second, "null") || course_here(reader) == COURSE_NEVER)
			return;
		if (!reader->assigned || !is_word(second, "new"))
			reader->escaped = true;
	}
	else if (is_field(reader, 0) && is_assignment(token_at(reader, 3)))
		reader->assigned |= course_here(reader) == COURSE_ALWAYS;
	else if (is_word(token, "new") && is_assignment(second))
		reader->assigned = false;
}

/* END of a structure, IF, LOOP or CASE behind it, or a label */
static void
leave(Reader *reader)
{
	reader->open = list_delete_last(reader->open);
	if (token_at(reader, 1)->word)
		reader->next++;
}

/* one token, in a statement or at its beginning; will one begin behind it? */
static bool
pass(Reader *reader, bool begins)
{
	const Token *token = token_at(reader, 0);

	if (begins && is_sign(token, "<<"))
	{
		/* a label */
		reader->next += 2;
		return true;
	}
	if (begins)
		begin_statement(reader);
	if (is_word(token, "end"))
	{
		if (reader->cases > 0)
			reader->cases--;
		else
			leave(reader);
	}
	else if (is_word(token, "case") && !begins)
		reader->cases++;
	else if (is_word(token, "loop"))
		enter(reader, COURSE_MAYBE, COURSE_MAYBE);
	else if (is_word(token, "into") && is_word(token_at(reader, 1), "new") &&
			 !is_sign(token_at(reader, 2), "."))
		reader->assigned = false;
	if (reader->cases > 0)
		return false;
	if (is_word(token, "else") || is_word(token, "elsif") ||
		is_word(token, "elseif"))
		enter_else(reader, is_word(token, "else"));
	return is_sign(token, ";") || is_word(token, "then") ||
		is_word(token, "else") || is_word(token, "loop") ||
		(begins && is_word(token, "begin"));
}

/* does a function's body assign the column whenever a row is inserted? */
static bool
reads_as_assigning(Token *tokens, const char *column)
{
	Reader		reader = {0};
	bool		begins = true;

	reader.column = column;
	reader.tokens = tokens;
	while (token_at(&reader, 0)->text[0] != '\0' &&
		   !is_word(token_at(&reader, 0), "begin"))
		reader.next++;
	if (token_at(&reader, 0)->text[0] == '\0')
		return false;
	enter(&reader, COURSE_ALWAYS, COURSE_ALWAYS);
	for (reader.next++; reader.open != NIL; reader.next++)
	{
		if (token_at(&reader, 0)->text[0] == '\0')
			return false;
		begins = pass(&reader, begins);
	}
	return reader.assigned && !reader.escaped;
}

/*
 * Functions and triggers
 */

/* a body that was never checked may be no tokens at all */
static Token *
scan_body(const char *source)
{
	MemoryContext context = CurrentMemoryContext;
	Token	   *volatile tokens = NULL;

	PG_TRY();
	{
		tokens = scan(source);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (ERRCODE_TO_CATEGORY(geterrcode()) ==
			ERRCODE_INSUFFICIENT_RESOURCES)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return tokens;
}

static bool
assigns(Oid function, const char *column)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	Token	   *tokens = NULL;
	bool		isnull;
	Datum		source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc,
										 &isnull);

	if (form->prolang == get_language_oid("plpgsql", true) && !isnull)
		tokens = scan_body(TextDatumGetCString(source));
	ReleaseSysCache(tuple);
	return tokens && reads_as_assigning(tokens, column);
}

/* is it called for each row that leaves the column NULL? */
static bool
is_called(const Trigger *trigger, AttrNumber column)
{
	NullTest   *test;

	if (!TRIGGER_FOR_ROW(trigger->tgtype) ||
		!TRIGGER_FOR_BEFORE(trigger->tgtype) ||
		!TRIGGER_FOR_INSERT(trigger->tgtype) ||
		(trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN &&
		 trigger->tgenabled != TRIGGER_FIRES_ALWAYS) ||
		sv_is_hidden(trigger->tgname) || sv_is_own_trigger(trigger->tgname))
		return false;
	if (trigger->tgqual == NULL)
		return true;
	test = stringToNode(trigger->tgqual);
	return IsA(test, NullTest) && test->nulltesttype == IS_NULL &&
		IsA(test->arg, Var) &&
		((Var *) test->arg)->varno == PRS2_NEW_VARNO &&
		((Var *) test->arg)->varattno == column;
}

/*
 * The name of a trigger that gives a column of each new row a value, whoever
 * writes it, or NULL.  In the current memory context.
 */
char *
sv_assign_trigger(Oid relation, AttrNumber column)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;
	char	   *name = get_attname(relation, column, false);
	char	   *result = NULL;

	for (int i = 0; triggers && i < triggers->numtriggers && !result; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (is_called(trigger, column) &&
			(trigger->tgfoid == F_TSVECTOR_UPDATE_TRIGGER ||
			 trigger->tgfoid == F_TSVECTOR_UPDATE_TRIGGER_COLUMN ?
			 trigger->tgnargs > 0 && strcmp(trigger->tgargs[0], name) == 0 :
			 assigns(trigger->tgfoid, name)))
			result = pstrdup(trigger->tgname);
	}
	relation_close(table, NoLock);
	return result;
}
