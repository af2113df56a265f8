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
 * an assignment, and whatever may write all of NEW, or NULL into the column,
 * takes the value away again, in a trigger that fires later too.  That the
 * value is not NULL is not known.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
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
	bool		is_plain_name;	/* quoted, or where no keyword can be */
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
	bool		takes;			/* a value may be taken away */
} Reader;

/* what a function does with the column whenever a row is inserted */
typedef enum Deed
{
	DEED_NONE,
	DEED_ASSIGNS,
	DEED_TAKES					/* it may be NULL after it */
} Deed;

/*
 * Tokens
 */

/* behind a dot, or AS, even a keyword is a name: NEW.end */
static bool
is_behind_dot(const Token *tokens, int n)
{
	const Token *before = n > 0 ? &tokens[n - 1] : NULL;

	return before && !before->literal &&
		(before->word ? !before->is_plain_name &&
		 strcmp(before->word, "as") == 0 :
		 before->text[0] == '.' && before->text[1] != '.' &&
		 !isdigit((unsigned char) before->text[1]));
}

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
		Token	   *now = &tokens[n];

		memset(now, 0, sizeof(Token));
		now->text = source + location;
		if (token == TOKEN_IDENTIFIER)
			now->word = value.str;
		else if (now->text[0] == '\'')
			now->literal = value.str;
		now->is_plain_name = now->text[0] == '"' || is_behind_dot(tokens, n);
		n++;
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
	return token->word && !token->is_plain_name &&
		strcmp(token->word, word) == 0;
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
	return is_name(token_at(reader, offset), "new") &&
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
	else if (is_field(reader, n) && !reader->assigned &&
			 is_word(token_at(reader, n + 3), "is") &&
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

/* what the column has got may be lost */
static void
take_away(Reader *reader)
{
	reader->assigned = false;
	reader->takes = true;
}

/*
 * NEW or NEW.column, behind the name of a block or not, from a token on that
 * something is to be put into; *behind is the offset of what follows.
 */
static bool
is_target(const Reader *reader, int offset, int *behind)
{
	bool		found;

	if (is_sign(token_at(reader, offset + 1), ".") &&
		is_name(token_at(reader, offset + 2), "new"))
		offset += 2;
	found = is_name(token_at(reader, offset), "new") &&
		(!is_sign(token_at(reader, offset + 1), ".") ||
		 is_field(reader, offset));
	for (offset++; is_sign(token_at(reader, offset), "."); offset += 2)
		;
	*behind = offset;
	return found;
}

/* what INTO or FOR put values into, with commas between; none may be there */
static void
read_targets(Reader *reader)
{
	int			offset = is_word(token_at(reader, 1), "strict") ? 2 : 1;

	while (token_at(reader, offset)->word)
	{
		if (is_target(reader, offset, &offset))
			take_away(reader);
		if (!is_sign(token_at(reader, offset), ","))
			break;
		offset++;
	}
}

/* does what stands from a token to the end of its statement mention NEW? */
static bool
mentions_new(const Reader *reader, int offset, bool only_column)
{
	for (; !is_sign(token_at(reader, offset), ";") &&
		 token_at(reader, offset)->text[0] != '\0'; offset++)
	{
		if (only_column ? is_field(reader, offset) :
			is_name(token_at(reader, offset), "new"))
			return true;
	}
	return false;
}

/* what is made of the column itself is NULL where that is, but for COALESCE */
static void
read_assignment(Reader *reader, int behind)
{
	int			value = behind + 1;

	while (is_sign(token_at(reader, value), "("))
		value++;
	if (!is_field(reader, 0) || is_word(token_at(reader, value), "null"))
		take_away(reader);
	else if (course_here(reader) == COURSE_ALWAYS &&
			 (!mentions_new(reader, value, true) ||
			  is_word(token_at(reader, value), "coalesce")))
		reader->assigned = true;
}

/* CALL may put something into what it is given */
static void
read_call(Reader *reader)
{
	if (mentions_new(reader, 1, false))
		take_away(reader);
}

static void
read_return(Reader *reader)
{
	const Token *what = token_at(reader, 1);
	bool		is_all = is_sign(token_at(reader, 2), ";");

	if ((is_word(what, "null") && is_all) ||
		course_here(reader) == COURSE_NEVER)
		return;
	if (!reader->assigned || !is_name(what, "new") || !is_all)
		reader->escaped = true;
	if (!is_all || !(is_name(what, "new") || is_name(what, "old")))
		reader->takes |= !is_word(what, "coalesce");
}

/* a statement begins with the next token */
static void
begin_statement(Reader *reader)
{
	const Token *token = token_at(reader, 0);
	int			behind;

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
		read_return(reader);
	else if (is_word(token, "call"))
		read_call(reader);
	else if (is_word(token, "for") || is_word(token, "foreach"))
		read_targets(reader);
	else if (is_target(reader, 0, &behind) &&
			 is_assignment(token_at(reader, behind)))
		read_assignment(reader, behind);
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
	else if (is_word(token, "into"))
		read_targets(reader);
	if (reader->cases > 0)
		return false;
	if (is_word(token, "else") || is_word(token, "elsif") ||
		is_word(token, "elseif"))
		enter_else(reader, is_word(token, "else"));
	return is_sign(token, ";") || is_word(token, "then") ||
		is_word(token, "else") || is_word(token, "loop") ||
		(begins && is_word(token, "begin"));
}

/* may NEW or TG_OP be other names than the server's, or have others? */
static bool
is_renamed(const Token *tokens)
{
	const Token *before = tokens;

	for (const Token *token = tokens; token->text[0] != '\0'; token++)
	{
		bool		is_operation = is_name(token, "tg_op");

		if ((is_operation || is_name(token, "new")) &&
			(is_word(before, "declare") || is_word(before, "for") ||
			 (is_word(before, "into") && is_operation) ||
			 (is_sign(before, ";") && (token[1].word || is_operation))))
			return true;
		before = token;
	}
	return false;
}

/* read a function's body */
static Deed
read_body(Token *tokens, const char *column)
{
	Reader		reader = {0};
	bool		begins = true;

	reader.column = column;
	reader.tokens = tokens;
	while (token_at(&reader, 0)->text[0] != '\0' &&
		   !is_word(token_at(&reader, 0), "begin"))
		reader.next++;
	if (token_at(&reader, 0)->text[0] == '\0')
		return DEED_NONE;
	enter(&reader, COURSE_ALWAYS, COURSE_ALWAYS);
	for (reader.next++; reader.open != NIL; reader.next++)
	{
		if (token_at(&reader, 0)->text[0] == '\0')
			return DEED_NONE;
		begins = pass(&reader, begins);
	}
	if (is_renamed(tokens))
		return DEED_TAKES;
	if (reader.assigned && !reader.escaped)
		return DEED_ASSIGNS;
	return reader.takes ? DEED_TAKES : DEED_NONE;
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

static Deed
deed_of_function(Oid function, const char *column)
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
	return tokens ? read_body(tokens, column) : DEED_NONE;
}

/* is it called for rows before they are inserted? */
static bool
is_called(const Trigger *trigger)
{
	return TRIGGER_FOR_ROW(trigger->tgtype) &&
		TRIGGER_FOR_BEFORE(trigger->tgtype) &&
		TRIGGER_FOR_INSERT(trigger->tgtype) &&
		(trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN ||
		 trigger->tgenabled == TRIGGER_FIRES_ALWAYS) &&
		!sv_is_hidden(trigger->tgname) && !sv_is_own_trigger(trigger->tgname);
}

/* even for each one that leaves the column NULL? */
static bool
is_called_always(const Trigger *trigger, AttrNumber column)
{
	NullTest   *test;

	if (trigger->tgqual == NULL)
		return true;
	test = stringToNode(trigger->tgqual);
	return IsA(test, NullTest) && test->nulltesttype == IS_NULL &&
		IsA(test->arg, Var) &&
		((Var *) test->arg)->varno == PRS2_NEW_VARNO &&
		((Var *) test->arg)->varattno == column;
}

static Deed
deed_of_trigger(const Trigger *trigger, AttrNumber column, const char *name)
{
	Deed		deed;

	if (!is_called(trigger))
		return DEED_NONE;
	if (trigger->tgfoid != F_TSVECTOR_UPDATE_TRIGGER &&
		trigger->tgfoid != F_TSVECTOR_UPDATE_TRIGGER_COLUMN)
		deed = deed_of_function(trigger->tgfoid, name);
	else if (trigger->tgnargs > 0 && strcmp(trigger->tgargs[0], name) == 0)
		deed = DEED_ASSIGNS;
	else
		deed = DEED_NONE;
	return deed == DEED_ASSIGNS && !is_called_always(trigger, column) ?
		DEED_NONE : deed;
}

/* the trigger that gives it a value in this very table */
static char *
trigger_of_table(Oid relation, const char *name)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TriggerDesc *triggers = table->trigdesc;
	AttrNumber	column = get_attnum(relation, name);
	char	   *result = NULL;

	/* they fire in this order */
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		Deed		deed = deed_of_trigger(trigger, column, name);

		if (deed == DEED_ASSIGNS)
			result = pstrdup(trigger->tgname);
		else if (deed == DEED_TAKES)
			result = NULL;
	}
	relation_close(table, NoLock);
	return result;
}

/*
 * The name of a trigger that gives a column of each new row a value, whoever
 * writes it, which none that fires later takes away, or NULL.  Of a partitioned
 * table each partition must have one: it can be disabled there, and there may
 * be others.  In the current memory context.
 */
char *
sv_assign_trigger(Oid relation, AttrNumber column)
{
	char	   *name = get_attname(relation, column, false);
	char	   *result = trigger_of_table(relation, name);
	ListCell   *lc;

	if (result == NULL ||
		get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE)
		return result;
	foreach(lc, find_all_inheritors(relation, AccessShareLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
			trigger_of_table(lfirst_oid(lc), name) == NULL)
			return NULL;
	}
	return result;
}
