/*-------------------------------------------------------------------------
 *
 * directive.c
 *	  The directives "up" and "down": how one version's columns are computed
 *	  from another's.
 *
 * "up" computes a column that the script leaves behind from what older
 * versions write, in their names.  "down" computes a column that the version
 * before has, in its name, from what the newest one writes.  Together, or one
 * of them alone, they become pairs of the row trigger (sync.c): a column that
 * has changed its type has one already, and gets other expressions; others
 * are paired by what they are computed from.
 *
 * A column that both have and that means something else from now on, say
 * another unit, is split before the script runs: the newest version gets a
 * column of its own, with the old values, for the script to change.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* one directive, looked up */
typedef struct Told
{
	const SvDirective *directive;
	bool		is_up;
	Oid			relation;
	AttrNumber	number;			/* the column that it computes */
	bool		is_new;			/* up: the version before has it not */
	char	   *text;			/* in today's names */
	List	   *inputs;			/* attnums, as integers */
	bool		used;
} Told;

static const char *
word_of(bool is_up)
{
	return is_up ? "up" : "down";
}

static const SvPart *
column_named(const SvEntry *entry, const char *name)
{
	ListCell   *lc;

	foreach(lc, entry ? entry->columns : NIL)
	{
		if (strcmp(((SvPart *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * Looking up
 */

/* the table that a directive names; it may have got another name */
static Oid
find_relation(const SvProduct *product, const SvRelease *from,
			  const SvDirective *directive)
{
	List	   *names = stringToQualifiedNameList(directive->relation);
	char	   *name = strVal(llast(names));
	Oid			relation = InvalidOid;
	ListCell   *lc;

	if (list_length(names) > 1)
		return RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	foreach(lc, product->schemas)
	{
		Oid			schema = get_namespace_oid(lfirst(lc), true);

		if (!OidIsValid(relation) && OidIsValid(schema))
			relation = get_relname_relid(name, schema);
	}
	for (int i = 0; from && !OidIsValid(relation) && i < from->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry_alone(from->entries[i]);

		if (entry->kind == RELKIND_RELATION && strcmp(entry->name, name) == 0)
			relation = entry->physical;
	}
	return relation;
}

static Told *
look_up(const SvProduct *product, const SvRelease *from,
		const SvDirective *directive, bool is_up)
{
	Told	   *told = palloc0(sizeof(Told));
	const SvEntry *entry;
	const SvPart *part;

	told->directive = directive;
	told->is_up = is_up;
	told->relation = find_relation(product, from, directive);
	if (!OidIsValid(told->relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("directive \"%s\" in line %d: table \"%s\" does not exist",
						word_of(is_up), directive->line,
						directive->relation)));
	entry = sv_catalog_entry_of(from, told->relation);
	part = column_named(entry, directive->column);
	told->number = is_up ? get_attnum(told->relation, directive->column) :
		part ? part->number : InvalidAttrNumber;
	if (told->number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("directive \"%s\" in line %d: table \"%s\" has no column \"%s\"%s",
						word_of(is_up), directive->line, directive->relation,
						directive->column, is_up ? " when the script has run" :
						" in the version before"),
				 errhint("\"up\" computes a column of the new version, \"down\" one of the version before.")));
	told->is_new = is_up && sv_contract_column_at(entry, told->number) == NULL;
	return told;
}

/*
 * Expressions
 */

static void
error_in_directive(void *argument)
{
	const Told *told = argument;

	if (geterrposition() > 0)
	{
		internalerrposition(geterrposition());
		internalerrquery(told->directive->expression);
		errposition(0);
	}
	errcontext("directive \"%s\" in line %d for column \"%s\" of table \"%s\"",
			   word_of(told->is_up), told->directive->line,
			   told->directive->column, told->directive->relation);
}

static bool
add_inputs(Node *node, List **inputs)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		*inputs = list_append_unique_int(*inputs, ((Var *) node)->varattno);
	return expression_tree_walker(node, add_inputs, inputs);
}

/* parse the expression, and keep it as text in today's names */
static void
parse_told(Told *told, const SvEntry *entry)
{
	ParseState *pstate = make_parsestate(NULL);
	Relation	table = relation_open(told->relation, AccessShareLock);
	ErrorContextCallback callback;
	Node	   *node;
	Oid			type;
	int32		typmod;
	Oid			collation;

	callback.callback = error_in_directive;
	callback.arg = told;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	pstate->p_sourcetext = told->directive->expression;
	addNSItemToQuery(pstate,
					 addRangeTableEntryForRelation(pstate, table,
												   AccessShareLock,
												   sv_contract_alias(told->is_up ?
																	 entry : NULL,
																	 table),
												   false, true),
					 true, true, true);
	node = transformExpr(pstate, sv_sync_parse(told->directive->expression),
						 EXPR_KIND_ALTER_COL_TRANSFORM);
	get_atttypetypmodcoll(told->relation, told->number, &type, &typmod,
						  &collation);
	node = coerce_to_target_type(pstate, node, exprType(node), type, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST,
								 -1);
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("\"%s\" is no value of type %s",
						told->directive->expression, format_type_be(type)),
				 errhint("Add a cast.")));
	assign_expr_collations(pstate, node);
	(void) add_inputs(node, &told->inputs);
	told->text =
		sv_sync_check(told->relation,
					  sv_contract_expression_text(node, told->relation),
					  type, typmod, told->directive->expression);
	error_context_stack = callback.previous;
	relation_close(table, NoLock);
	free_parsestate(pstate);
}

/*
 * Pairs
 */

/*
 * The pair that a column is one side of, NULL if there is none.  A column may
 * be the old one of other versions' pairs as well, of which some may have been
 * rolled back; "down" is for the pair of this migration alone, since it tells
 * what the newest version's writes are to those before.
 */
static SvSyncPair *
pair_with(List *pairs, const SvRelease *from, const Told *told)
{
	char	   *name = get_attname(told->relation, told->number, false);
	ListCell   *lc;

	foreach(lc, pairs)
	{
		SvSyncPair *pair = lfirst(lc);

		if (!pair->newest_is_new)
			continue;
		if (told->is_up ? strcmp(pair->new_column, name) == 0 :
			strcmp(pair->old_column, name) == 0 &&
			strcmp(pair->label, from->label) == 0)
			return pair;
	}
	return NULL;
}

/*
 * Does "up" say but the value for NULLs of a column that an earlier version has
 * given its type, and that the script makes NOT NULL?  What that version and
 * those before write stays what the pair of then says.
 */
static bool
is_for_null(const SvSyncPair *pair, const SvRelease *from, const Told *told)
{
	const SvEntry *entry = sv_catalog_entry_of(from, told->relation);
	const SvPart *column = entry ?
	sv_contract_column_at(entry, told->number) : NULL;

	return pair->old_column[0] != '\0' && told->is_up &&
		strcmp(pair->label, from->label) != 0 && column && !column->notnull &&
		(sv_catalog_is_not_null(told->relation, told->number) ||
		 sv_defer_has(SV_JOB_NOTNULL, told->relation,
					  get_attname(told->relation, told->number, false)));
}

/* the directive of the other kind that goes with one, NULL if there is none */
static Told *
partner_of(List *all, const Told *told)
{
	Told	   *found = NULL;
	ListCell   *lc;

	foreach(lc, all)
	{
		Told	   *other = lfirst(lc);

		if (other->is_up == told->is_up || other->used ||
			other->relation != told->relation)
			continue;
		if (list_member_int(other->inputs, told->number) ||
			list_member_int(told->inputs, other->number))
			return other;
		found = found ? found : other;
	}
	return found;
}

/* a column that the expression reads, to be the other side of its pair */
static char *
read_column(const Told *told)
{
	ListCell   *lc;

	foreach(lc, told->inputs)
	{
		if (lfirst_int(lc) > 0 && lfirst_int(lc) != told->number)
			return get_attname(told->relation, lfirst_int(lc), false);
	}
	return "";
}

static SvSyncPair *
make_pair(const SvProduct *product, const SvRelease *from, const Told *up,
		  const Told *down)
{
	SvSyncPair *pair = palloc0(sizeof(SvSyncPair));

	pair->old_column = down ? get_attname(down->relation, down->number, false) :
		read_column(up);
	pair->new_column = up ? get_attname(up->relation, up->number, false) :
		read_column(down);
	pair->up = up ? up->text : "";
	pair->down = down ? down->text : "";
	pair->product = product->name;
	pair->label = from->label;
	pair->newest_is_new = true;
	return pair;
}

/*
 * Give the rows that are there what "up" says, all of them or those that have
 * no value, at once or by a job; triggers are not to notice.  A twin was made
 * for the job to fill, or was filled with what it is no more.
 */
static void
fill_rows(Told *told, bool all)
{
	char	   *name = get_attname(told->relation, told->number, false);
	ErrorContextCallback callback;

	if (sv_defer_has(SV_JOB_BACKFILL, told->relation, name) ||
		(!all && sv_defer_can(told->relation, name)))
	{
		sv_defer_add(SV_JOB_BACKFILL, told->relation, name, told->text,
					 sv_defer_unfilled(quote_identifier(name), told->text));
		return;
	}
	callback.callback = error_in_directive;
	callback.arg = told;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	sv_fill_column(told->relation, name, told->text, !all);
	error_context_stack = callback.previous;
	sv_observe_note(SV_NOTE_FILL, told->relation, "fill column %s", name);
}

/* tell what a directive has come to */
static void
note_told(const Told *told)
{
	sv_observe_note(SV_NOTE_INFERRED, told->relation,
					"%s %s.%s = %s, from the directive in line %d",
					word_of(told->is_up), told->directive->relation,
					told->directive->column, told->text,
					told->directive->line);
}

static void
settle_up(const SvProduct *product, const SvRelease *from, List *all,
		  Told *told)
{
	List	   *pairs = sv_sync_pairs(told->relation);
	SvSyncPair *pair = pair_with(pairs, from, told);
	Told	   *partner = partner_of(all, told);

	told->used = true;
	note_told(told);
	if (pair)
	{
		bool		is_same = strcmp(pair->up, told->text) == 0;

		pair->up = told->text;
		sv_sync_set(told->relation, pairs);
		if (!is_same &&
			(sv_defer_has(SV_JOB_BACKFILL, told->relation,
						  pair->new_column) ||
			 !sv_require_is_updated(told->relation, told->number)))
			fill_rows(told, true);
		return;
	}
	if (partner)
	{
		partner->used = true;
		note_told(partner);
	}
	sv_sync_set(told->relation,
				lappend(pairs, make_pair(product, from, told, partner)));
	if (told->is_new)
		fill_rows(told, false);
}

/*
 * NOT NULL had to go from the old column while nothing filled it; now that is
 * as good as before, unless the script has left it without a value.
 */
static void
keep_not_null(const Told *told, const SvRelease *from)
{
	SvPart	   *column =
	sv_contract_column_at(sv_catalog_entry_of(from, told->relation),
						  told->number);

	if (column && column->notnull &&
		sv_sync_fills(told->relation, told->number, NULL))
		(void) sv_require_demand(told->relation, told->number);
}

static void
settle_down(const SvProduct *product, const SvRelease *from, Told *told)
{
	List	   *pairs = sv_sync_pairs(told->relation);
	SvSyncPair *pair = pair_with(pairs, from, told);

	told->used = true;
	note_told(told);
	if (pair)
		pair->down = told->text;
	else
		pairs = lappend(pairs, make_pair(product, from, NULL, told));
	sv_sync_set(told->relation, pairs);
	keep_not_null(told, from);
}

/*
 * Is it only the value for a column that requires one, and that older versions
 * may write as well?  See require.c.
 */
static bool
is_for_required(const SvRelease *from, const Told *told)
{
	SvSyncPair *pair = pair_with(sv_sync_pairs(told->relation), from, told);
	HeapTuple	tuple;
	bool		notnull;

	if (pair)
		return is_for_null(pair, from, told);
	if (!told->is_new)
		return true;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(told->relation),
							Int16GetDatum(told->number));
	notnull = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return notnull;
}

/*
 * The script has run: have the row trigger compute what its directives say,
 * and fill the rows that are there.  Takes the directives out of the script
 * but for those that require.c is to see.  Errors name directive and line.
 */
void
sv_directive_settle(const SvProduct *product, const SvRelease *from,
					SvScript *script)
{
	List	   *all = NIL;
	List	   *required = NIL;
	ListCell   *lc;

	if (from == NULL || (script->up == NIL && script->down == NIL))
		return;
	foreach(lc, script->up)
		all = lappend(all, look_up(product, from, lfirst(lc), true));
	foreach(lc, script->down)
		all = lappend(all, look_up(product, from, lfirst(lc), false));
	foreach(lc, all)
	{
		Told	   *told = lfirst(lc);
		const SvEntry *entry = sv_catalog_entry_of(from, told->relation);

		if (entry)
			parse_told(told, entry);
		else
			told->used = true;
	}
	foreach(lc, all)
	{
		Told	   *told = lfirst(lc);

		if (told->used || !told->is_up)
			continue;
		if (is_for_required(from, told) && partner_of(all, told) == NULL)
			required = lappend(required,
							   unconstify(SvDirective *, told->directive));
		else
			settle_up(product, from, all, told);
	}
	foreach(lc, all)
	{
		if (!((Told *) lfirst(lc))->used && !((Told *) lfirst(lc))->is_up)
			settle_down(product, from, lfirst(lc));
	}
	script->up = required;
	script->down = NIL;
}

/*
 * Does a directive "down" tell how the version before is to see a column?
 */
bool
sv_directive_has_down(const SvProduct *product, const SvRelease *from,
					  const SvScript *script, Oid relation, const char *column)
{
	ListCell   *lc;

	foreach(lc, script ? script->down : NIL)
	{
		const SvDirective *directive = lfirst(lc);

		if (strcmp(directive->column, column) == 0 &&
			find_relation(product, from, directive) == relation)
			return true;
	}
	return false;
}

/*
 * Does a directive mean a table of that name?
 */
bool
sv_directive_names(const SvDirective *directive, const char *table)
{
	return strcmp(strVal(llast(stringToQualifiedNameList(directive->relation))),
				  table) == 0;
}

/*
 * The value that a directive "up" says a column of a table is to have, as text
 * in today's names, NULL if none does.  Errors are those of the directive.
 */
char *
sv_directive_value(const SvProduct *product, const SvRelease *from,
				   const SvScript *script, Oid relation, const char *column)
{
	const SvEntry *entry = sv_catalog_entry_of(from, relation);
	ListCell   *lc;

	foreach(lc, entry ? script->up : NIL)
	{
		const SvDirective *directive = lfirst(lc);
		Told	   *told;
		SvSyncPair *pair;

		if (strcmp(directive->column, column) != 0 ||
			find_relation(product, from, directive) != relation)
			continue;
		told = look_up(product, from, directive, true);
		pair = pair_with(sv_sync_pairs(relation), from, told);
		if (pair && (pair->old_column[0] == '\0' ||
					 strcmp(pair->label, from->label) == 0))
			return NULL;
		parse_told(told, entry);
		return told->text;
	}
	return NULL;
}

/*
 * Splitting columns
 */

/* may a statement mean the table?  A name may be one that it gets by then. */
static bool
may_mean(const RangeVar *name, Oid relation)
{
	Oid			meant = RangeVarGetRelid(name, NoLock, true);

	return !OidIsValid(meant) || meant == relation;
}

/* does the script itself drop or rename the column, or change its type? */
static bool
is_changed_by(const SvScript *script, Oid relation, const char *column)
{
	ListCell   *ls;
	ListCell   *lc;

	foreach(ls, script->statements)
	{
		Node	   *node = ((SvStatement *) lfirst(ls))->raw->stmt;

		if (IsA(node, RenameStmt) && ((RenameStmt *) node)->subname &&
			((RenameStmt *) node)->relation &&
			strcmp(((RenameStmt *) node)->subname, column) == 0 &&
			may_mean(((RenameStmt *) node)->relation, relation))
			return true;
		if (!IsA(node, AlterTableStmt) ||
			!may_mean(((AlterTableStmt *) node)->relation, relation))
			continue;
		foreach(lc, ((AlterTableStmt *) node)->cmds)
		{
			AlterTableCmd *command = lfirst(lc);

			if ((command->subtype == AT_AlterColumnType ||
				 command->subtype == AT_DropColumn) &&
				strcmp(command->name, column) == 0)
				return true;
		}
	}
	return false;
}

/*
 * The columns that both directives compute and the script leaves as they are:
 * each gets a twin for the newest version before the script runs.  Returns a
 * list of their tables.
 */
List *
sv_directive_split(const SvProduct *product, const SvRelease *from,
				   const SvScript *script)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, from ? script->up : NIL)
	{
		const SvDirective *directive = lfirst(lc);
		Oid			relation = find_relation(product, from, directive);
		AttrNumber	number = OidIsValid(relation) ?
		get_attnum(relation, directive->column) : InvalidAttrNumber;
		SvStanding *standing;

		if (number <= 0 ||
			is_changed_by(script, relation, directive->column) ||
			sv_contract_column_at(sv_catalog_entry_of(from, relation),
								  number) == NULL ||
			!sv_directive_has_down(product, from, script, relation,
								   directive->column))
			continue;
		standing = sv_split_read(relation, number);
		sv_split_check(standing);
		sv_retype_split(product, from, relation, directive->column);
		sv_split_remake(standing);
		tables = list_append_unique_oid(tables, relation);
	}
	return tables;
}
