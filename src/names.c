/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Errors of constraints, in the names of the version that writes.
 *
 * The server tells of a violated constraint in the names that the table, the
 * columns and the constraint have now.  An older version knows them under the
 * names of its time, and no version knows what is hidden: the key of a column
 * that has got another one in its place, or the mark of a loosened key.
 * Applications go by these names, so they get those of their own version;
 * who is not registered gets the current one's.
 *
 * An error goes through the context callbacks when it is raised, before
 * anything is undone, and so before anybody catches it: the transaction is as
 * valid as it was to the server, which reads the catalogs for the very same
 * message.  The callback at the bottom of their stack is the last to be asked,
 * when all context is there.  That one is ours.  So nothing is done in a
 * statement without an error, and what fails at COMMIT is heard as well.
 *
 * The stack is emptied after every error that reaches the client, and whoever
 * catches errors puts back the stack that he has found.  So the callback is
 * set where nobody will: when a statement is analyzed, when a transaction has
 * ended, and when an error is reported.
 *
 * What an error says is known by the function of the server that has raised
 * it.  Its text, in whatever language, is made once more in the other names.
 * A text that is not the expected one is left alone.
 *
 * What the newest version's code, such as a trigger function, does in an older
 * version's session is told in the names of that version as well: it is its
 * client that gets to know of it.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include <ctype.h>

#include "access/attmap.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* stand in a text for what is to be found there */
#define UNKNOWN		"\001"
#define UNKNOWN_2	"\002"
#define NUNKNOWN	2

/* a table that an error is about, as the writer's version sees it */
typedef struct Seen
{
	Oid			relation;		/* as the server tells of it */
	Oid			table;			/* of a partition its root */
	const SvEntry *entry;		/* of the current version if that of the writer
								 * does not know it; NULL if none does */
} Seen;

static post_parse_analyze_hook_type next_post_parse_analyze = NULL;
static emit_log_hook_type next_emit_log = NULL;

/*
 * Tables and columns
 */

/* what the current version of its product expects of a table */
static const SvEntry *
current_entry(Oid table)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_products())
	{
		const SvProduct *product = lfirst(lc);
		const SvEntry *entry = product->awake && product->current ?
		sv_catalog_entry_of(sv_catalog_release(product, product->current),
							table) : NULL;

		if (entry)
			return entry;
	}
	return NULL;
}

static void
see_table(Seen *seen, Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	const char *product;
	const SvVersion *version;

	seen->relation = relation;
	seen->table = sv_hold_table(table);
	relation_close(table, NoLock);
	seen->entry = sv_registry_session(&product, &version) ?
		sv_hold_entry(seen->table) : NULL;
	if (seen->entry == NULL)
		seen->entry = current_entry(seen->table);
}

static const char *
shown_schema(const Seen *seen)
{
	return seen->entry && seen->relation == seen->table ?
		seen->entry->schema :
		get_namespace_name(get_rel_namespace(seen->relation));
}

static const char *
shown_table(const Seen *seen)
{
	return seen->entry && seen->relation == seen->table ?
		seen->entry->name : get_rel_name(seen->relation);
}

static const char *
without_prefix(const char *name)
{
	return sv_is_hidden(name) ? name + strlen(SV_HIDDEN_PREFIX) : name;
}

/* the column of the version that is kept in step with a column, or that one */
static const SvPart *
known_column(const Seen *seen, const char *column)
{
	List	   *pairs = sv_sync_pairs(seen->table);
	List	   *reached = list_make1(makeString(pstrdup(column)));
	ListCell   *lr;
	ListCell   *lp;

	foreach(lr, reached)
	{
		const char *name = strVal(lfirst(lr));
		const SvPart *part =
		sv_contract_column_at(seen->entry, get_attnum(seen->table, name));

		if (part)
			return part;
		foreach(lp, pairs)
		{
			const SvSyncPair *pair = lfirst(lp);
			char	   *other = strcmp(pair->old_column, name) == 0 ?
			pair->new_column : strcmp(pair->new_column, name) == 0 ?
			pair->old_column : "";

			if (other[0] != '\0' && !list_member(reached, makeString(other)))
				reached = lappend(reached, makeString(other));
		}
	}
	return NULL;
}

/* the name of a column, by the one that it has in the table */
static const char *
shown_column(const Seen *seen, const char *column)
{
	const SvPart *part = known_column(seen, column);

	return part ? part->name : without_prefix(column);
}

/*
 * Constraints
 */

/* are they over the same columns of the version? */
static bool
is_over(const Seen *seen, const SvPart *part, List *columns)
{
	ListCell   *lc;

	if (list_length(part->columns) != list_length(columns))
		return false;
	foreach(lc, columns)
	{
		char	   *name = get_attname(seen->table, lfirst_int(lc), true);
		const SvPart *column = name ? known_column(seen, name) : NULL;

		if (column == NULL || !list_member_int(part->columns, column->number))
			return false;
	}
	return true;
}

/* keys of whatever kind are the same to who writes */
static char
kind_of(char flavour)
{
	return strchr("pui", flavour) ? 'u' : flavour;
}

/*
 * The name of a constraint or unique index of the table.  Where the version
 * does not have it, of the one that it has over the same columns.  A key of a
 * partition keeps its own.
 */
static const char *
shown_constraint(const Seen *seen, const char *name, Oid object,
				 char flavour, List *columns)
{
	ListCell   *lc;

	foreach(lc, seen->entry ? seen->entry->constraints : NIL)
	{
		const SvPart *part = lfirst(lc);

		if (OidIsValid(object) && part->object == object)
			return part->name;
	}
	if (!sv_is_hidden(name))
		return name;
	foreach(lc, seen->entry && seen->relation == seen->table && columns ?
			seen->entry->constraints : NIL)
	{
		const SvPart *part = lfirst(lc);

		if (kind_of(part->flavour) == kind_of(flavour) &&
			is_over(seen, part, columns))
			return part->name;
	}
	return without_prefix(name);
}

/* column numbers of a constraint, foreign ones if asked for */
static List *
constraint_columns(Oid constraint, bool foreign)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	List	   *columns;

	if (!HeapTupleIsValid(tuple))
		return NIL;
	columns = sv_contract_constraint_columns(tuple, foreign ?
											 Anum_pg_constraint_confkey :
											 Anum_pg_constraint_conkey);
	ReleaseSysCache(tuple);
	return columns;
}

/* a CHECK or foreign key; that of a partition has the name of its parent's */
static const char *
shown_check(const Seen *seen, const char *name, char flavour)
{
	Oid			object =
	get_relation_constraint_oid(seen->table, name, true);

	return shown_constraint(seen, name, object, flavour,
							OidIsValid(object) && flavour != CONSTRAINT_CHECK ?
							constraint_columns(object, false) : NIL);
}

/*
 * Keys
 */

/* the view of the version's on the table, by the columns' numbers there */
static Oid
find_view(const Seen *seen, List **columns)
{
	ListCell   *lc;

	foreach(lc, seen->entry ? sv_registry_schemas() : NIL)
	{
		Oid			view = get_relname_relid(seen->entry->name,
											 lfirst_oid(lc));
		Oid			base;

		if (OidIsValid(view) &&
			sv_contract_read_view(view, &base, columns) &&
			base == seen->table)
			return view;
	}
	return InvalidOid;
}

/* each column of the relation by its number in the view, 0: not there */
static AttrMap *
map_to_view(const Seen *seen, List *columns)
{
	Relation	relation = relation_open(seen->relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	AttrMap    *map = make_attrmap(desc->natts);
	ListCell   *lc;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		AttrNumber	number = column->attisdropped ? InvalidAttrNumber :
		get_attnum(seen->table, NameStr(column->attname));

		foreach(lc, columns)
		{
			if (number != InvalidAttrNumber && lfirst_int(lc) == number)
				map->attnums[i] = foreach_current_index(lc) + 1;
		}
	}
	relation_close(relation, NoLock);
	return map;
}

/* put another name into a text for one that is hidden, which nothing else is */
static char *
replace_hidden(const char *text, const char *hidden, const char *name)
{
	StringInfoData result;
	const char *at;

	initStringInfo(&result);
	while ((at = strstr(text, hidden)) != NULL)
	{
		const char *after = at + strlen(hidden);
		bool		longer = isalnum((unsigned char) *after) || *after == '_';

		appendBinaryStringInfo(&result, text, at - text);
		appendStringInfoString(&result, longer ? hidden : name);
		text = after;
	}
	appendStringInfoString(&result, text);
	return result.data;
}

/* an expression as the server shows it, without what is hidden */
static const char *
without_hidden(const Seen *seen, const char *shown, List *vars)
{
	ListCell   *lc;

	foreach(lc, vars)
	{
		AttrNumber	number = ((Var *) lfirst(lc))->varattno;
		char	   *name = get_attname(seen->relation, number, false);

		if (sv_is_hidden(name))
			shown = replace_hidden(shown, quote_identifier(name),
								   quote_identifier(shown_column(seen, name)));
	}
	return shown;
}

/*
 * An expression of an index as the server shows it, in the names of the
 * version's view, if that has all of it.
 */
static const char *
shown_expression(const Seen *seen, const char *shown, Node *expression)
{
	List	   *columns = NIL;
	Oid			view = find_view(seen, &columns);
	AttrMap    *map = map_to_view(seen, columns);
	List	   *vars = pull_var_clause(expression, 0);
	ListCell   *lc;
	bool		whole_row;
	Datum		remade;

	foreach(lc, vars)
	{
		AttrNumber	number = ((Var *) lfirst(lc))->varattno;

		if (number <= 0)
			return shown;
		if (map->attnums[number - 1] == InvalidAttrNumber)
			return without_hidden(seen, shown, vars);
	}
	if (!OidIsValid(view))
		return shown;
	expression = map_variable_attnos(expression, 1, 0, map, InvalidOid,
									 &whole_row);
	remade = OidFunctionCall3(F_PG_GET_EXPR_PG_NODE_TREE_OID_BOOL,
							  CStringGetTextDatum(nodeToString(expression)),
							  ObjectIdGetDatum(view), BoolGetDatum(true));
	return psprintf(shown[0] == '(' ? "(%s)" : "%s",
					TextDatumGetCString(remade));
}

/* a column of an index, counted from 1, as the version calls it */
static const char *
shown_key_column(const Seen *seen, Relation index, int column,
				 Node *expression)
{
	AttrNumber	number = index->rd_index->indkey.values[column - 1];
	Datum		definition;

	if (number != 0)
		return quote_identifier(shown_column(seen,
											 get_attname(seen->relation,
														 number, false)));
	definition = OidFunctionCall3(F_PG_GET_INDEXDEF_OID_INT4_BOOL,
								  ObjectIdGetDatum(RelationGetRelid(index)),
								  Int32GetDatum(column), BoolGetDatum(true));
	return shown_expression(seen, TextDatumGetCString(definition),
							expression);
}

/*
 * The expressions of an index as somebody has written them: what the relcache
 * has is made ready to be planned, with bodies of functions in place of calls.
 */
static List *
written_expressions(Relation index)
{
	bool		isnull;
	Datum		source = SysCacheGetAttr(INDEXRELID, index->rd_indextuple,
									   Anum_pg_index_indexprs, &isnull);

	return isnull ? NIL : (List *) stringToNode(TextDatumGetCString(source));
}

/* how many columns a key has, without its mark */
static int
count_columns(Relation index)
{
	return index->rd_index->indnkeyatts -
		(sv_contract_mark_column(index) ? 1 : 0);
}

/* what the server shows of the mark of a key, behind its other values */
static const char *
shown_mark(Relation index)
{
	int			last = index->rd_index->indnkeyatts - 1;

	if (count_columns(index) > last)
		return "";
	return index->rd_opcintype[last] == BOOLOID ? ", t" : ", 0";
}

/* what a key is over, without its mark, as the version calls it */
static const char *
shown_key(const Seen *seen, Relation index)
{
	Form_pg_index form = index->rd_index;
	int			nkeys = count_columns(index);
	List	   *expressions = written_expressions(index);
	ListCell   *next = list_head(expressions);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < nkeys; i++)
	{
		bool		computed = form->indkey.values[i] == 0;

		appendStringInfo(&text, "%s%s", i ? ", " : "",
						 shown_key_column(seen, index, i + 1,
										  computed ? lfirst(next) : NULL));
		if (computed)
			next = lnext(expressions, next);
	}
	return text.data;
}

/* the columns of an index, by their numbers in the table that versions know */
static List *
index_columns(const Seen *seen, Relation index)
{
	Form_pg_index form = index->rd_index;
	List	   *columns = NIL;

	for (int i = 0; i < count_columns(index); i++)
	{
		if (form->indkey.values[i] == 0)
			return NIL;
		columns = lappend_int(columns,
							  get_attnum(seen->table,
										 get_attname(seen->relation,
													 form->indkey.values[i],
													 false)));
	}
	return columns;
}

static const char *
shown_index(const Seen *seen, Relation index)
{
	ObjectAddress *key = sv_contract_key_address(RelationGetRelid(index));

	return shown_constraint(seen, RelationGetRelationName(index),
							key->objectId, 'i', index_columns(seen, index));
}

/*
 * Texts
 */

/* a text of the server's in the language that an error is told in */
#define told(error, text)	dgettext((error)->domain, text)

/*
 * What stands in a text where its model has UNKNOWN and UNKNOWN_2; false if
 * it is another text.
 */
static bool
find_unknown(const char *text, const char *model, char **found)
{
	const char *marks = UNKNOWN UNKNOWN_2;
	const char *end;
	size_t		length;
	char		mark;

	length = strcspn(model, marks);
	if (text == NULL || strncmp(text, model, length) != 0)
		return false;
	while (text += length, model += length, (mark = *model) != '\0')
	{
		char	   *next = pnstrdup(model + 1, strcspn(model + 1, marks));

		model++;
		length = strlen(next);
		if (model[length] != '\0')
			end = strstr(text, next);
		else
			end = strlen(text) < length ? NULL : text + strlen(text) - length;
		if (end == NULL || strncmp(end, next, length) != 0)
			return false;
		found[mark - UNKNOWN[0]] = pnstrdup(text, end - text);
		text = end;
	}
	return *text == '\0';
}

/* is it that text, in the language of the error? */
static bool
is_text(const char *text, const char *model)
{
	return text && strcmp(text, model) == 0;
}

static void
set_names(ErrorData *error, const Seen *seen)
{
	error->schema_name = pstrdup(shown_schema(seen));
	error->table_name = pstrdup(shown_table(seen));
}

/*
 * Rows
 */

/* the columns of a table that are shown in a row: strings */
static List *
columns_of(Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(table);
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			columns = lappend(columns,
							  makeString(get_attname(relation, i + 1, false)));
	}
	relation_close(table, NoLock);
	return columns;
}

/* the parts of a list, "(1, two)", as strings; NIL if it is no such list */
static List *
parts_of(const char *list)
{
	size_t		length = strlen(list);
	List	   *parts = NIL;
	char	   *rest;
	char	   *comma;

	if (length < 2 || list[0] != '(' || list[length - 1] != ')')
		return NIL;
	rest = pnstrdup(list + 1, length - 2);
	while ((comma = strstr(rest, ", ")) != NULL)
	{
		*comma = '\0';
		parts = lappend(parts, makeString(rest));
		rest = comma + 2;
	}
	return lappend(parts, makeString(rest));
}

/* where a text stands in a list, -1 if it does not */
static int
place_of(List *texts, const char *text)
{
	ListCell   *lc;

	foreach(lc, texts)
	{
		if (text && strcmp(strVal(lfirst(lc)), text) == 0)
			return foreach_current_index(lc);
	}
	return -1;
}

/* "(id, name) = (1, two)", if these are columns; false if it is no such row */
static bool
read_named_row(const char *row, List *all, List **columns, List **values)
{
	const char *between = strstr(row, ") = (");

	if (between == NULL)
		return false;
	*columns = parts_of(pnstrdup(row, between + 1 - row));
	*values = parts_of(between + strlen(") = "));
	return list_difference(*columns, all) == NIL &&
		list_length(*values) == list_length(*columns);
}

/*
 * The columns and values of a row.  Who may not see all of them is shown the
 * columns as well, which may look like as many values as there are.  False if
 * it cannot be told which they are, as a value may look like two.
 */
static bool
read_row(const Seen *seen, const char *row, List **columns, List **values,
		 bool *named)
{
	List	   *all = columns_of(seen->table);

	if (!equal(all, columns_of(seen->relation)))
		return false;
	*named = read_named_row(row, all, columns, values);
	if (*named)
		return true;
	*columns = all;
	*values = parts_of(row);
	return list_length(*values) == list_length(*columns);
}

/*
 * A row of the table as the version sees it, NULL if that cannot be told.
 */
static char *
shown_row(const Seen *seen, const char *row)
{
	List	   *columns;
	List	   *values;
	bool		named;
	StringInfoData names;
	StringInfoData text;
	ListCell   *lc;

	if (seen->entry == NULL ||
		!read_row(seen, row, &columns, &values, &named))
		return NULL;
	initStringInfo(&names);
	initStringInfo(&text);
	foreach(lc, seen->entry->columns)
	{
		const SvPart *part = lfirst(lc);
		int			place = place_of(columns,
									 get_attname(seen->table, part->number,
												 true));

		if (place < 0)
			continue;
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", part->name);
		appendStringInfo(&text, "%s%s", text.len ? ", " : "",
						 strVal(list_nth(values, place)));
	}
	return named ? psprintf("(%s) = (%s)", names.data, text.data) :
		psprintf("(%s)", text.data);
}

static void
tell_row(ErrorData *error, const Seen *seen)
{
	const char *model = told(error, "Failing row contains %s.");
	char	   *found[NUNKNOWN];
	char	   *row = find_unknown(error->detail, psprintf(model, UNKNOWN),
								   found) ? shown_row(seen, found[0]) : NULL;

	if (row)
		error->detail = psprintf(model, row);
}

/*
 * Errors
 */

/* the index that has the name of the error's constraint, NULL if none has */
static Relation
open_index(const ErrorData *error, const Seen *seen)
{
	Oid			index = get_relname_relid(error->constraint_name,
										  get_rel_namespace(seen->relation));
	char		relkind = get_rel_relkind(index);

	return relkind == RELKIND_INDEX ? relation_open(index, AccessShareLock) :
		NULL;
}

static void
tell_unique(ErrorData *error, const Seen *seen)
{
	const char *model = told(error, "Key %s already exists.");
	Relation	index = open_index(error, seen);
	char	   *key;
	char	   *found[NUNKNOWN];

	if (index == NULL)
		return;
	key = pg_get_indexdef_columns(RelationGetRelid(index), true);
	key = psprintf("(%s)=(" UNKNOWN "%s)", key, shown_mark(index));
	if (find_unknown(error->detail, psprintf(model, key), found))
		error->detail = psprintf(model,
								 psprintf("(%s)=(%s)", shown_key(seen, index),
										  found[0]));
	error->constraint_name = pstrdup(shown_index(seen, index));
	error->message =
		psprintf(told(error, "duplicate key value violates unique constraint \"%s\""),
				 error->constraint_name);
	relation_close(index, NoLock);
}

static void
tell_exclusion(ErrorData *error, const Seen *seen)
{
	const char *model = told(error, "Key %s conflicts with existing key %s.");
	Relation	index = open_index(error, seen);
	const char *key;
	char	   *found[NUNKNOWN];

	if (index == NULL)
		return;
	key = pg_get_indexdef_columns(RelationGetRelid(index), true);
	if (find_unknown(error->detail,
					 psprintf(model, psprintf("(%s)=(" UNKNOWN ")", key),
							  psprintf("(%s)=(" UNKNOWN_2 ")", key)), found))
	{
		key = shown_key(seen, index);
		error->detail = psprintf(model, psprintf("(%s)=(%s)", key, found[0]),
								 psprintf("(%s)=(%s)", key, found[1]));
	}
	error->constraint_name = pstrdup(shown_index(seen, index));
	error->message =
		psprintf(told(error, "conflicting key value violates exclusion constraint \"%s\""),
				 error->constraint_name);
	relation_close(index, NoLock);
}

/* the message names none */
static void
tell_arbiter(ErrorData *error, const Seen *seen)
{
	Relation	index = open_index(error, seen);

	if (index == NULL)
		return;
	error->constraint_name = pstrdup(shown_index(seen, index));
	relation_close(index, NoLock);
}

static void
tell_null(ErrorData *error, const Seen *seen)
{
	error->column_name = pstrdup(shown_column(seen, error->column_name));
	error->message =
		psprintf(told(error, "null value in column \"%s\" of relation \"%s\" violates not-null constraint"),
				 error->column_name, shown_table(seen));
	tell_row(error, seen);
}

/*
 * The column that a hidden CHECK holds to NOT NULL, for all but older versions
 * or until a job has made it that; NULL if it is another CHECK.
 */
static char *
column_of_check(const Seen *seen, const char *check)
{
	Relation	relation = relation_open(seen->relation, AccessShareLock);
	AttrNumber	found = sv_contract_checked_column(relation, check);
	ListCell   *lc;

	foreach(lc, sv_contract_required(relation))
	{
		SvRequired *required = lfirst(lc);

		if (strcmp(required->name, check) == 0)
			found = required->column;
	}
	relation_close(relation, NoLock);
	return found ? get_attname(seen->relation, found, false) : NULL;
}

static void
tell_check(ErrorData *error, const Seen *seen)
{
	char	   *column = column_of_check(seen, error->constraint_name);

	if (column)
	{
		error->sqlerrcode = ERRCODE_NOT_NULL_VIOLATION;
		error->constraint_name = NULL;
		error->column_name = column;
		tell_null(error, seen);
		return;
	}
	error->constraint_name = pstrdup(shown_check(seen, error->constraint_name,
												 CONSTRAINT_CHECK));
	error->message =
		psprintf(told(error, "new row for relation \"%s\" violates check constraint \"%s\""),
				 shown_table(seen), error->constraint_name);
	tell_row(error, seen);
}

/* the columns of a partition key, NULL if it has an expression */
static char *
partition_key(const Seen *seen, bool shown)
{
	Relation	relation = relation_open(seen->relation, AccessShareLock);
	PartitionKey key = RelationGetPartitionKey(relation);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; key && i < key->partnatts && key->partexprs == NIL; i++)
	{
		const char *name = get_attname(seen->relation, key->partattrs[i],
									   false);

		if (shown)
			name = shown_column(seen, name);
		appendStringInfo(&text, "%s%s", i ? ", " : "", quote_identifier(name));
	}
	relation_close(relation, NoLock);
	return text.len ? text.data : NULL;
}

/* a row that fits in no partition */
static void
tell_no_partition(ErrorData *error, const Seen *seen)
{
	const char *model =
	told(error, "Partition key of the failing row contains %s.");
	char	   *key = partition_key(seen, false);
	char	   *found[NUNKNOWN];

	error->message =
		psprintf(told(error, "no partition of relation \"%s\" found for row"),
				 shown_table(seen));
	if (key && find_unknown(error->detail,
							psprintf(model,
									 psprintf("(%s) = (" UNKNOWN ")", key)),
							found))
		error->detail =
			psprintf(model, psprintf("(%s) = (%s)", partition_key(seen, true),
									 found[0]));
}

/* the columns of a foreign key, as such errors have them */
static char *
join_columns(const Seen *seen, List *columns, bool shown)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, columns)
	{
		const char *name = get_attname(seen->relation, lfirst_int(lc), false);

		appendStringInfo(&text, "%s%s", text.len ? ", " : "",
						 shown ? shown_column(seen, name) : name);
	}
	return text.data;
}

/* a row has come that refers to none */
static void
tell_referring(ErrorData *error, const Seen *seen, const Seen *other,
			   List *columns, const char *shown)
{
	const char *text =
	told(error, "insert or update on table \"%s\" violates foreign key constraint \"%s\"");
	const char *all = told(error, "Key (%s)=(%s) is not present in table \"%s\".");
	const char *bare = told(error, "Key is not present in table \"%s\".");
	const char *name = get_rel_name(other->relation);
	char	   *found[NUNKNOWN];

	if (find_unknown(error->detail,
					 psprintf(all, join_columns(seen, columns, false), UNKNOWN,
							  name), found))
		error->detail = psprintf(all, join_columns(seen, columns, true),
								 found[0], shown_table(other));
	else if (is_text(error->detail, psprintf(bare, name)))
		error->detail = psprintf(bare, shown_table(other));
	error->message = psprintf(text, shown_table(seen), shown);
}

/* a row has gone that others refer to, from a table or a partition of it */
static void
tell_referred(ErrorData *error, const Seen *seen, const Seen *other,
			  List *columns, const char *shown)
{
	const char *text =
	told(error, "update or delete on table \"%s\" violates foreign key constraint \"%s\" on table \"%s\"");
	const char *all = told(error, "Key (%s)=(%s) is still referenced from table \"%s\".");
	const char *bare = told(error, "Key is still referenced from table \"%s\".");
	const char *name = get_rel_name(seen->relation);
	char	   *found[NUNKNOWN];

	if (find_unknown(error->detail,
					 psprintf(all, join_columns(other, columns, false), UNKNOWN,
							  name), found))
		error->detail = psprintf(all, join_columns(other, columns, true),
								 found[0], shown_table(seen));
	else if (is_text(error->detail, psprintf(bare, name)))
		error->detail = psprintf(bare, shown_table(seen));
	if (find_unknown(error->message,
					 psprintf(text, UNKNOWN, error->constraint_name, name),
					 found))
		error->message =
			psprintf(text, strcmp(found[0], get_rel_name(other->relation)) == 0 ?
					 shown_table(other) : found[0], shown, shown_table(seen));
}

static void
tell_reference(ErrorData *error, const Seen *seen)
{
	Oid			constraint = get_relation_constraint_oid(seen->relation,
														 error->constraint_name,
														 true);
	const char *text =
	told(error, "insert or update on table \"%s\" violates foreign key constraint \"%s\"");
	const char *shown = shown_check(seen, error->constraint_name,
									CONSTRAINT_FOREIGN);
	Seen		other;

	if (!OidIsValid(constraint))
		return;
	see_table(&other, sv_catalog_referenced_table(constraint));
	if (is_text(error->message,
				psprintf(text, get_rel_name(seen->relation),
						 error->constraint_name)))
		tell_referring(error, seen, &other,
					   constraint_columns(constraint, false), shown);
	else
		tell_referred(error, seen, &other,
					  constraint_columns(constraint, true), shown);
	error->constraint_name = pstrdup(shown);
}

/* what the server tells of constraints, and where */
static const struct
{
	const char *function;
	int			code;
	void		(*tell) (ErrorData *error, const Seen *seen);
}			tellers[] =
{
	{"_bt_check_unique", ERRCODE_UNIQUE_VIOLATION, tell_unique},
	{"check_exclusion_or_unique_constraint", ERRCODE_EXCLUSION_VIOLATION,
	tell_exclusion},
	{"ExecCheckIndexConstraints", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	tell_arbiter},
	{"ExecConstraints", ERRCODE_NOT_NULL_VIOLATION, tell_null},
	{"ExecConstraints", ERRCODE_CHECK_VIOLATION, tell_check},
	{"ExecFindPartition", ERRCODE_CHECK_VIOLATION, tell_no_partition},
	{"ExecPartitionCheckEmitError", ERRCODE_CHECK_VIOLATION, tell_row},
	{"ri_ReportViolation", ERRCODE_FOREIGN_KEY_VIOLATION, tell_reference},
	{"RI_FKey_check", ERRCODE_FOREIGN_KEY_VIOLATION, tell_reference},
};

/* tell it anew; false if it is none of these */
static bool
tell(ErrorData *error)
{
	Oid			schema = error->schema_name ?
	get_namespace_oid(error->schema_name, true) : InvalidOid;
	Oid			relation = OidIsValid(schema) && error->table_name ?
	get_relname_relid(error->table_name, schema) : InvalidOid;
	Seen		seen;

	for (int i = 0; OidIsValid(relation) && i < (int) lengthof(tellers); i++)
	{
		if (error->sqlerrcode != tellers[i].code || error->funcname == NULL ||
			strcmp(error->funcname, tellers[i].function) != 0)
			continue;
		see_table(&seen, relation);
		tellers[i].tell(error, &seen);
		set_names(error, &seen);
		return true;
	}
	return false;
}

/*
 * The callback
 */

/*
 * May the catalogs be read?  Who holds a lock that no error may be raised
 * under has interrupts held; a migration's script is nobody's version.
 */
static bool
can_look(void)
{
	return IsTransactionState() && InterruptHoldoffCount == 0 &&
		CritSectionCount == 0 && !sv_contract_collecting() &&
		sv_catalog_is_installed();
}

/*
 * An error, or a message, is raised.  All context has been added to it, so it
 * may be thrown from here, as the server is about to do.
 */
static void
hear_error(void *arg)
{
	MemoryContext context;
	ErrorData  *error;

	(void) arg;
	if ((ERRCODE_TO_CATEGORY(geterrcode()) !=
		 ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		 geterrcode() != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE) ||
		!can_look())
		return;
	context = MemoryContextSwitchTo(CurTransactionContext);
	error = CopyErrorData();
	if (error->elevel == ERROR && tell(error))
	{
		FlushErrorState();
		ReThrowError(error);
	}
	FreeErrorData(error);
	MemoryContextSwitchTo(context);
}

/* stand at the bottom of the stack, if it is empty */
static void
stand_by(void)
{
	static ErrorContextCallback callback = {NULL, hear_error, NULL};

	if (error_context_stack == NULL)
		error_context_stack = &callback;
}

static void
analyze_query(ParseState *pstate, Query *query, JumbleState *jstate)
{
	stand_by();
	if (next_post_parse_analyze)
		next_post_parse_analyze(pstate, query, jstate);
}

static void
report_error(ErrorData *error)
{
	if (error->elevel == ERROR)
		stand_by();
	if (next_emit_log)
		next_emit_log(error);
}

static void
end_transaction(XactEvent event, void *arg)
{
	(void) event;
	(void) arg;
	stand_by();
}

/*
 * Hear of errors.
 */
void
sv_names_init(void)
{
	next_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = analyze_query;
	next_emit_log = emit_log_hook;
	emit_log_hook = report_error;
	RegisterXactCallback(end_transaction, NULL);
	if (!process_shared_preload_libraries_in_progress)
		stand_by();
}
