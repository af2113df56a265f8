/*-------------------------------------------------------------------------
 *
 * lost.c
 *	  Constraints that a contract has and the table has lost for the time being.
 *
 * After a rollback, CHECKs and foreign keys that a version demands and another
 * supported one does not know are away until that one is retired; a foreign
 * key for longer, if duplicates keep the key that it refers to loosened.  A
 * migration that comes meanwhile hands them on: the new version's contract has
 * them as well, unless the script drops them, or a column that they are over.
 * There is nothing in the catalogs for the server to let follow what a script
 * renames, so it is done here, in the constraint's text.
 *
 * A text is in the names of the versions that have the entry; what it speaks
 * of is found by these, and is written under the names that it has now.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
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
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* what a script has done to a constraint that is not there */
typedef struct Told
{
	Oid			relation;
	char	   *name;			/* as the version before knows it */
	char	   *new_name;		/* NULL: it is dropped */
} Told;

/* a column that another one has replaced when its type was changed */
typedef struct Moved
{
	Oid			relation;
	AttrNumber	from;
	AttrNumber	to;
} Moved;

/* of the script that runs, or ran last in this transaction */
static List *told = NIL;
static List *moved = NIL;

static List *hand_on(const SvProduct *product, const SvEntry *then,
					 const SvEntry *now);

/*
 * Called once from _PG_init.
 */
void
sv_lost_init(void)
{
	sv_contract_lost_hook = hand_on;
	sv_contract_same_hook = sv_lost_is_same;
}

/*
 * A script begins to run, or the transaction has ended: what was noted of
 * another is forgotten.
 */
void
sv_lost_begin(void)
{
	told = NIL;
	moved = NIL;
}

/*
 * What a script says of them
 */

/*
 * A column has changed its type: another one has taken its place.
 */
void
sv_lost_move(Oid relation, AttrNumber from, AttrNumber to)
{
	MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);
	Moved	   *move = palloc(sizeof(Moved));

	move->relation = relation;
	move->from = from;
	move->to = to;
	moved = lappend(moved, move);
	MemoryContextSwitchTo(context);
}

static Told *
find_told(Oid relation, const char *name)
{
	ListCell   *lc;

	foreach(lc, told)
	{
		Told	   *known = lfirst(lc);

		if (known->relation == relation && strcmp(known->name, name) == 0)
			return known;
	}
	return NULL;
}

static bool
is_lost(const SvPart *constraint)
{
	return !OidIsValid(constraint->object) && constraint->type &&
		strchr("cf", constraint->flavour) != NULL;
}

/* the lost constraint of a table that a script may call by that name */
static const SvPart *
find_lost(const SvRelease *from, Oid relation, const char *name)
{
	const SvEntry *entry = from ? sv_catalog_entry_of(from, relation) : NULL;
	ListCell   *lc;

	foreach(lc, entry ? entry->constraints : NIL)
	{
		SvPart	   *constraint = lfirst(lc);
		Told	   *known = is_lost(constraint) ?
		find_told(relation, constraint->name) : NULL;

		if (is_lost(constraint) && (known == NULL || known->new_name) &&
			strcmp(known ? known->new_name : constraint->name, name) == 0)
			return constraint;
	}
	return NULL;
}

static void
tell(Oid relation, const SvPart *constraint, const char *new_name)
{
	MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);
	Told	   *known = find_told(relation, constraint->name);

	if (known == NULL)
	{
		known = palloc(sizeof(Told));
		known->relation = relation;
		known->name = pstrdup(constraint->name);
		told = lappend(told, known);
	}
	known->new_name = new_name ? pstrdup(new_name) : NULL;
	MemoryContextSwitchTo(context);
	sv_contract_touch(RelationRelationId, relation);
}

/*
 * A constraint is about to be dropped, by a script that leads on from a
 * release: if it is not made again, it is not lost but gone.
 */
void
sv_lost_note_drop(const SvProduct *product, const SvRelease *from,
				  Oid constraint)
{
	HeapTuple	tuple = from ? SearchSysCache1(CONSTROID,
											   ObjectIdGetDatum(constraint)) :
	NULL;
	Form_pg_constraint form;
	Oid			relation;
	const SvEntry *entry;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	relation = sv_is_hidden(NameStr(form->conname)) ? InvalidOid :
		form->conrelid;
	ReleaseSysCache(tuple);
	entry = OidIsValid(relation) &&
		sv_catalog_is_base_schema(product,
								  get_namespace_name(get_rel_namespace(relation))) ?
		sv_catalog_entry_of(from, relation) : NULL;
	foreach(lc, entry ? entry->constraints : NIL)
	{
		if (((SvPart *) lfirst(lc))->object == constraint)
			tell(relation, lfirst(lc), NULL);
	}
}

/* the constraint that a statement means, NULL if it is there or never was */
static const SvPart *
means_lost(const SvRelease *from, const RangeVar *range, const char *name,
		   Oid *relation)
{
	*relation = range && name ? RangeVarGetRelid(range, NoLock, true) :
		InvalidOid;
	if (!OidIsValid(*relation) ||
		!pg_class_ownercheck(*relation, GetUserId()) ||
		OidIsValid(get_relation_constraint_oid(*relation, name, true)))
		return NULL;
	return find_lost(from, *relation, name);
}

/* ALTER TABLE without what it does to constraints that are not there */
static PlannedStmt *
turn_alter(PlannedStmt *pstmt, const SvRelease *from)
{
	AlterTableStmt *statement = (AlterTableStmt *) pstmt->utilityStmt;
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst(lc);
		Oid			relation;
		const SvPart *lost = command->subtype == AT_DropConstraint ||
		command->subtype == AT_ValidateConstraint ?
		means_lost(from, statement->relation, command->name, &relation) :
		NULL;

		if (lost == NULL)
			commands = lappend(commands, command);
		else if (command->subtype == AT_DropConstraint)
			tell(relation, lost, NULL);
	}
	if (list_length(commands) == list_length(statement->cmds))
		return pstmt;
	if (commands == NIL)
		return NULL;
	pstmt = copyObject(pstmt);
	((AlterTableStmt *) pstmt->utilityStmt)->cmds = copyObject(commands);
	return pstmt;
}

/*
 * A statement of a script that leads on from a release may drop, rename or
 * validate a constraint that it has lost.  Returns what is left to run, NULL
 * if nothing.
 */
PlannedStmt *
sv_lost_turn(PlannedStmt *pstmt, const SvRelease *from)
{
	RenameStmt *rename = (RenameStmt *) pstmt->utilityStmt;
	const SvPart *lost;
	Oid			relation;

	if (IsA(pstmt->utilityStmt, AlterTableStmt))
		return turn_alter(pstmt, from);
	if (!IsA(rename, RenameStmt) || rename->renameType != OBJECT_TABCONSTRAINT)
		return pstmt;
	lost = means_lost(from, rename->relation, rename->subname, &relation);
	if (lost == NULL)
		return pstmt;
	tell(relation, lost, rename->newname);
	return NULL;
}

/*
 * Their texts in the names of today
 */

/* the number of the column that stands for one by now */
static AttrNumber
number_now(Oid relation, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, moved)
	{
		Moved	   *move = lfirst(lc);

		if (move->relation == relation && move->from == number)
			number = move->to;
	}
	return number;
}

/* what a column of an entry is called now, NULL if it is gone */
static char *
name_now(const SvEntry *entry, const char *name)
{
	char	   *now = NULL;
	ListCell   *lc;

	foreach(lc, entry->columns)
	{
		SvPart	   *column = lfirst(lc);
		AttrNumber	number = number_now(entry->physical, column->number);

		if (strcmp(column->name, name) == 0 && number > 0)
			now = get_attname(entry->physical, number, true);
	}
	return now && !sv_is_hidden(now) ? now : NULL;
}

/* columns by the names that an entry has for them: false if one is gone */
static bool
append_names(StringInfo text, const SvEntry *entry, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = strVal(lfirst(lc));
		char	   *now = entry ? name_now(entry, name) : name;

		if (now == NULL)
			return false;
		appendStringInfo(text, "%s%s", foreach_current_index(lc) ? ", " : "(",
						 quote_identifier(now));
	}
	if (names != NIL)
		appendStringInfoChar(text, ')');
	return true;
}

/*
 * What a column is called now that a foreign key refers to: it may have changed
 * its type since the text was written, and has its name still.  NULL if it is
 * gone.
 */
static char *
referenced_name(const SvEntry *entry, char *name)
{
	char	   *now = entry ? name_now(entry, name) : name;

	if (now == NULL && get_attnum(entry->physical, name) > 0)
		return name;
	return now;
}

/* the same of the columns that a foreign key refers to */
static bool
append_referenced(StringInfo text, const SvEntry *entry, List *names)
{
	List	   *now = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		char	   *name = referenced_name(entry, strVal(lfirst(lc)));

		if (name == NULL)
			return false;
		now = lappend(now, makeString(name));
	}
	return append_names(text, NULL, now);
}

/* the oldest supported release that has an entry: in its names the texts are */
static const SvRelease *
writer_of(const SvProduct *product, const SvEntry *entry)
{
	const SvRelease *oldest = NULL;
	ListCell   *lc;

	foreach(lc, sv_catalog_releases(product, true))
	{
		const SvRelease *release = lfirst(lc);

		if (sv_catalog_has_entry(release, entry->id) &&
			(oldest == NULL || release->id < oldest->id))
			oldest = release;
	}
	return oldest;
}

/* the entry of the table that a foreign key refers to, NULL: no version's */
static const SvEntry *
referenced_entry(const SvRelease *writer, const RangeVar *range)
{
	for (int i = 0; writer && i < writer->nentries; i++)
	{
		SvEntry    *entry = sv_catalog_entry(writer->entries[i]);

		if (sv_contract_is_table(entry->kind) &&
			strcmp(entry->name, range->relname) == 0 &&
			strcmp(entry->schema, range->schemaname) == 0)
			return entry;
	}
	return NULL;
}

static const char *
action_text(char action)
{
	switch (action)
	{
		case FKCONSTR_ACTION_RESTRICT:
			return "RESTRICT";
		case FKCONSTR_ACTION_CASCADE:
			return "CASCADE";
		case FKCONSTR_ACTION_SETNULL:
			return "SET NULL";
		case FKCONSTR_ACTION_SETDEFAULT:
			return "SET DEFAULT";
		default:
			return "NO ACTION";
	}
}

/* the words of a foreign key behind its columns; false if one is gone */
static bool
append_options(StringInfo text, const SvEntry *entry, const Constraint *key)
{
	if (key->fk_matchtype == FKCONSTR_MATCH_FULL)
		appendStringInfoString(text, " MATCH FULL");
	if (key->fk_upd_action != FKCONSTR_ACTION_NOACTION)
		appendStringInfo(text, " ON UPDATE %s",
						 action_text(key->fk_upd_action));
	if (key->fk_del_action != FKCONSTR_ACTION_NOACTION)
		appendStringInfo(text, " ON DELETE %s%s",
						 action_text(key->fk_del_action),
						 key->fk_del_set_cols ? " " : "");
	if (!append_names(text, entry, key->fk_del_set_cols))
		return false;
	if (key->deferrable)
		appendStringInfoString(text, " DEFERRABLE");
	if (key->initdeferred)
		appendStringInfoString(text, " INITIALLY DEFERRED");
	return true;
}

/* the table that a foreign key refers to; *other is its entry, or NULL */
static Oid
referenced_table(const SvProduct *product, const SvEntry *entry,
				 const Constraint *key, const SvEntry **other)
{
	const SvRelease *writer = key->pktable->schemaname ?
	writer_of(product, entry) : NULL;

	*other = referenced_entry(writer, key->pktable);
	return *other ? (*other)->physical :
		RangeVarGetRelid(key->pktable, NoLock, true);
}

static char *
foreign_key_text(const SvProduct *product, const SvEntry *entry,
				 const Constraint *key)
{
	const SvEntry *other;
	Oid			relation = referenced_table(product, entry, key, &other);
	StringInfoData text;

	/* what was put away is gone for this version */
	if (!OidIsValid(relation) || get_rel_name(relation) == NULL ||
		get_rel_namespace(relation) == sv_retain_schema())
		return NULL;
	initStringInfo(&text);
	appendStringInfoString(&text, "FOREIGN KEY ");
	if (!append_names(&text, entry, key->fk_attrs))
		return NULL;
	appendStringInfo(&text, " REFERENCES %s",
					 sv_catalog_relation_name(relation));
	if (!append_referenced(&text, other, key->pk_attrs) ||
		!append_options(&text, entry, key))
		return NULL;
	return text.data;
}

/* names by which the text of an entry's CHECK finds the columns of today */
static Alias *
alias_of(const SvEntry *entry, Relation table)
{
	TupleDesc	desc = RelationGetDescr(table);
	List	   *names = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		char	   *name = "";
		ListCell   *lc;

		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		foreach(lc, entry->columns)
		{
			SvPart	   *column = lfirst(lc);

			if (number_now(entry->physical, column->number) == i + 1)
				name = column->name;
		}
		names = lappend(names, makeString(name));
	}
	return makeAlias(entry->name, names);
}

/* is there a column that the newest version does not have? */
static bool
has_hidden(Node *expression, Oid relation)
{
	ListCell   *lc;

	foreach(lc, pull_var_clause(expression, 0))
	{
		char	   *name = get_attname(relation,
									   lfirst_node(Var, lc)->varattno, true);

		if (name && sv_is_hidden(name))
			return true;
	}
	return false;
}

static char *
check_text(const SvEntry *entry, const Constraint *check)
{
	Relation	table = relation_open(entry->physical, AccessShareLock);
	ParseState *pstate = make_parsestate(NULL);
	char	   *text = NULL;
	Node	   *node;

	addNSItemToQuery(pstate,
					 addRangeTableEntryForRelation(pstate, table,
												   AccessShareLock,
												   alias_of(entry, table),
												   false, true),
					 true, true, true);
	node = transformExpr(pstate, check->raw_expr, EXPR_KIND_CHECK_CONSTRAINT);
	node = coerce_to_boolean(pstate, node, "CHECK");
	assign_expr_collations(pstate, node);
	if (!has_hidden(node, entry->physical))
		text = psprintf("CHECK (%s)%s",
						sv_contract_expression_text(node, entry->physical),
						check->is_no_inherit ? " NO INHERIT" : "");
	free_parsestate(pstate);
	relation_close(table, NoLock);
	return text;
}

static Constraint *
parse_constraint(const SvPart *constraint)
{
	List	   *raw = raw_parser(psprintf("ALTER TABLE t ADD CONSTRAINT c %s",
										  constraint->type), RAW_PARSE_DEFAULT);
	AlterTableStmt *statement = (AlterTableStmt *)
	linitial_node(RawStmt, raw)->stmt;

	return (Constraint *) linitial_node(AlterTableCmd, statement->cmds)->def;
}

/*
 * The table that a foreign key refers to which an entry has and its table has
 * lost; *columns becomes the numbers of the columns there, in their order.
 * InvalidOid if it is no such constraint, or any of them is gone.
 */
static Oid
find_referenced(const SvProduct *product, const SvEntry *entry,
				const SvPart *constraint, List **columns)
{
	const SvEntry *other;
	Constraint *key;
	Oid			relation;
	ListCell   *lc;

	*columns = NIL;
	if (!is_lost(constraint) || constraint->flavour != CONSTRAINT_FOREIGN)
		return InvalidOid;
	key = parse_constraint(constraint);
	relation = referenced_table(product, entry, key, &other);
	foreach(lc, OidIsValid(relation) ? key->pk_attrs : NIL)
	{
		char	   *name = referenced_name(other, strVal(lfirst(lc)));
		AttrNumber	number = name ? get_attnum(relation, name) : 0;

		if (number <= 0)
			return InvalidOid;
		*columns = lappend_int(*columns, number);
	}
	list_sort(*columns, list_int_cmp);
	return *columns ? relation : InvalidOid;
}

/* numbers of columns by the names that an entry has for them; NIL: one is gone */
static List *
numbers_of(const SvEntry *entry, Oid relation, List *names)
{
	List	   *numbers = NIL;
	ListCell   *ln;
	ListCell   *lc;

	foreach(ln, names)
	{
		char	   *name = strVal(lfirst(ln));
		AttrNumber	number = entry ? 0 : get_attnum(relation, name);

		foreach(lc, entry ? entry->columns : NIL)
		{
			if (strcmp(((SvPart *) lfirst(lc))->name, name) == 0)
				number = ((SvPart *) lfirst(lc))->number;
		}
		if (number <= 0)
			return NIL;
		numbers = lappend_int(numbers, number);
	}
	return numbers;
}

/*
 * What a foreign key says that an entry has and its table has lost, in the
 * columns of the versions that have the entry, hidden ones too.  False if it is
 * no such constraint, or any column is gone.
 */
bool
sv_lost_read_key(const SvProduct *product, const SvEntry *entry,
				 const SvPart *constraint, SvForeignKey *key)
{
	const SvEntry *other;
	Constraint *parsed;

	if (!is_lost(constraint) || constraint->flavour != CONSTRAINT_FOREIGN)
		return false;
	parsed = parse_constraint(constraint);
	memset(key, 0, sizeof(SvForeignKey));
	key->relation = entry->physical;
	key->columns = numbers_of(entry, entry->physical, parsed->fk_attrs);
	key->referenced = referenced_table(product, entry, parsed, &other);
	key->referenced_columns = OidIsValid(key->referenced) ?
		numbers_of(other, key->referenced, parsed->pk_attrs) : NIL;
	key->set_columns = numbers_of(entry, entry->physical,
								  parsed->fk_del_set_cols);
	key->match = parsed->fk_matchtype;
	key->on_update = parsed->fk_upd_action;
	key->on_delete = parsed->fk_del_action;
	key->deferrable = parsed->deferrable;
	key->deferred = parsed->initdeferred;
	return key->columns != NIL &&
		list_length(key->columns) == list_length(key->referenced_columns);
}

/*
 * Has a table lost a foreign key, which the entry has, to the columns of a
 * unique index?
 */
bool
sv_lost_awaits(const SvProduct *product, const SvEntry *entry,
			   const SvPart *constraint, Oid index)
{
	List	   *columns;
	Oid			relation = find_referenced(product, entry, constraint,
										   &columns);

	return OidIsValid(relation) &&
		IndexGetRelation(index, true) == relation &&
		equal(columns, sv_key_columns(index));
}

/*
 * The text of a constraint that an entry has and its table has lost, in the
 * names of today: what follows ADD CONSTRAINT and its name.  NULL if a column
 * or a table that it speaks of is gone for the newest version.
 */
char *
sv_lost_text(const SvProduct *product, const SvEntry *entry,
			 const SvPart *constraint)
{
	Constraint *parsed = parse_constraint(constraint);
	char	   *text = parsed->contype == CONSTR_FOREIGN ?
	foreign_key_text(product, entry, parsed) : check_text(entry, parsed);

	return text && sv_contract_is_not_valid(constraint->type) ?
		psprintf("%s NOT VALID", text) : text;
}

/*
 * Do they say the same?
 */

/* do two columns hold the same values, but for their type? */
static bool
is_plain(const SvSyncPair *pair)
{
	return strcmp(pair->up, quote_identifier(pair->old_column)) == 0 &&
		strcmp(pair->down, quote_identifier(pair->new_column)) == 0;
}

/* the first column of a table that holds the same values as one of them */
static AttrNumber
first_alike(Oid relation, AttrNumber number)
{
	List	   *pairs = sv_sync_pairs(relation);
	List	   *alike = list_make1_int(number);
	ListCell   *lc;

	for (int i = 0; i < list_length(alike); i++)
	{
		foreach(lc, pairs)
		{
			SvSyncPair *pair = lfirst(lc);
			AttrNumber	old = get_attnum(relation, pair->old_column);
			AttrNumber	new = get_attnum(relation, pair->new_column);

			if (!is_plain(pair) || old <= 0 || new <= 0)
				continue;
			if (old == list_nth_int(alike, i))
				alike = list_append_unique_int(alike, new);
			else if (new == list_nth_int(alike, i))
				alike = list_append_unique_int(alike, old);
		}
	}
	list_sort(alike, list_int_cmp);
	return linitial_int(alike);
}

/* whose names a constraint's text is in, while they give way to numbers */
typedef struct Namer
{
	const SvEntry *entry;		/* NULL: they are the names of today */
	Oid			relation;
	bool		fails;			/* there is none such */
} Namer;

/* let a name become the number of the first column that is like it */
static void
number_name(Node *name, Namer *namer)
{
	List	   *numbers = IsA(name, String) ?
	numbers_of(namer->entry, namer->relation, list_make1(name)) : NIL;

	if (numbers == NIL)
		namer->fails = true;
	else
		strVal(name) = psprintf("%d", first_alike(namer->relation,
												  linitial_int(numbers)));
}

static void
number_names(List *names, const SvEntry *entry, Oid relation, Namer *namer)
{
	ListCell   *lc;

	namer->entry = entry;
	namer->relation = relation;
	foreach(lc, names)
		number_name(lfirst(lc), namer);
}

/* the same of an expression as parsed */
static bool
number_columns(Node *node, Namer *namer)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		if (list_length(((ColumnRef *) node)->fields) == 1)
			number_name(linitial(((ColumnRef *) node)->fields), namer);
		else
			namer->fails = true;
		return false;
	}
	return raw_expression_tree_walker(node, number_columns, namer);
}

/* a constraint with numbers in place of names; NULL if something is gone */
static Constraint *
number_constraint(const SvProduct *product, const SvEntry *entry,
				  const SvPart *constraint)
{
	Constraint *parsed = parse_constraint(constraint);
	Namer		namer = {entry, entry->physical, false};
	const SvEntry *other;
	Oid			relation;

	parsed->skip_validation = false;
	parsed->initially_valid = true;
	(void) number_columns(parsed->raw_expr, &namer);
	if (parsed->contype != CONSTR_FOREIGN)
		return namer.fails ? NULL : parsed;
	relation = referenced_table(product, entry, parsed, &other);
	if (!OidIsValid(relation) || get_rel_name(relation) == NULL)
		return NULL;
	number_names(parsed->fk_attrs, entry, entry->physical, &namer);
	number_names(parsed->fk_del_set_cols, entry, entry->physical, &namer);
	number_names(parsed->pk_attrs, other, relation, &namer);
	parsed->pktable = makeRangeVar(NULL, psprintf("%u", relation), -1);
	return namer.fails ? NULL : parsed;
}

/* the product of an entry, NULL if it is no version's */
static SvProduct *
product_of(const SvEntry *entry)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_products())
	{
		if (sv_catalog_any_has_entry(sv_catalog_releases(lfirst(lc), true),
									 entry->id))
			return lfirst(lc);
	}
	return NULL;
}

/*
 * Do the CHECKs or foreign keys of two entries on a table say the same, each
 * in its own names, of columns that are the same or hold the same values?  An
 * entry that is not stored is in the names of today.  The product, that of the
 * first entry, may be left out.
 */
bool
sv_lost_is_same(const SvProduct *product, const SvEntry *entry,
				const SvPart *constraint, const SvEntry *other_entry,
				const SvPart *other)
{
	Constraint *some;

	if (constraint->flavour != other->flavour || constraint->type == NULL ||
		other->type == NULL ||
		list_length(constraint->columns) != list_length(other->columns) ||
		get_rel_name(entry->physical) == NULL)
		return false;
	if (product == NULL)
		product = product_of(entry);
	if (product == NULL)
		return false;
	some = number_constraint(product, entry, constraint);
	return some && equal(some, number_constraint(product, other_entry, other));
}

/*
 * Handing them on
 */

/* is the key that a foreign key refers to there, but loosened? */
static bool
awaits_loosened(const SvProduct *product, const SvEntry *entry,
				const SvPart *constraint)
{
	List	   *columns;
	Oid			relation = find_referenced(product, entry, constraint,
										   &columns);
	bool		found = false;
	Relation	table;
	ListCell   *lc;

	if (!OidIsValid(relation) ||
		!list_member_oid(sv_contract_marked_tables(), relation))
		return false;
	table = relation_open(relation, AccessShareLock);
	foreach(lc, RelationGetIndexList(table))
	{
		found |= !sv_is_hidden(get_rel_name(lfirst_oid(lc))) &&
			sv_key_is_loose(RelationRelationId, lfirst_oid(lc)) &&
			equal(columns, sv_key_columns(lfirst_oid(lc)));
	}
	relation_close(table, AccessShareLock);
	return found;
}

/*
 * Is there a supported version for whose sake the constraint is away, or a
 * loosened key that a foreign key waits for?
 */
static bool
has_reason(const SvProduct *product, const SvEntry *then,
		   const SvPart *constraint)
{
	ListCell   *lr;
	ListCell   *lc;

	foreach(lr, sv_catalog_releases(product, true))
	{
		const SvEntry *entry = sv_catalog_entry_of(lfirst(lr), then->physical);
		bool		found = entry == NULL;

		foreach(lc, entry ? entry->constraints : NIL)
		{
			SvPart	   *other = lfirst(lc);

			found |= other->flavour == constraint->flavour &&
				strcmp(other->type ? other->type : "", constraint->type) == 0;
		}
		if (!found)
			return true;
	}
	return awaits_loosened(product, then, constraint);
}

/* a copy of a lost constraint for a new entry, NULL if it ends here */
static SvPart *
successor_of(const SvProduct *product, const SvEntry *then,
			 const SvEntry *now, const SvPart *constraint)
{
	Told	   *known = find_told(then->physical, constraint->name);
	char	   *name = known ? known->new_name : constraint->name;
	SvPart	   *successor;
	char	   *text;
	ListCell   *lc;

	if (name == NULL || !has_reason(product, then, constraint))
		return NULL;
	foreach(lc, now->constraints)
	{
		if (strcmp(((SvPart *) lfirst(lc))->name, name) == 0)
			return NULL;
	}
	text = sv_lost_text(product, then, constraint);
	if (text == NULL)
		return NULL;
	successor = memcpy(palloc(sizeof(SvPart)), constraint, sizeof(SvPart));
	successor->name = successor->physical_name = name;
	successor->type = successor->expression = text;
	successor->columns = NIL;
	foreach(lc, constraint->columns)
		successor->columns = lappend_int(successor->columns,
										 number_now(then->physical,
													lfirst_int(lc)));
	return successor;
}

/*
 * The constraints of a table that a new version's contract takes over from
 * the one before though they are not there: a list of SvPart.
 */
static List *
hand_on(const SvProduct *product, const SvEntry *then, const SvEntry *now)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (then->physical != now->physical || !sv_contract_is_table(now->kind))
		return NIL;
	foreach(lc, then->constraints)
	{
		SvPart	   *successor = is_lost(lfirst(lc)) ?
		successor_of(product, then, now, lfirst(lc)) : NULL;

		if (successor)
			result = lappend(result, successor);
	}
	return result;
}
