/*-------------------------------------------------------------------------
 *
 * retype.c
 *	  A column changes its type: the newest version gets a column of its own.
 *
 * To change the type in place would rewrite the table under an ACCESS
 * EXCLUSIVE lock, show no rows at all to transactions with an older snapshot,
 * and give the older versions what they do not expect.  So the column is put
 * away (retain.c) and another one is made under its name, with everything
 * that hung on the old one: indexes and constraints, foreign keys from and to
 * it, default, identity or sequence, privileges, comments, statistics.  The
 * row trigger (sync.c) keeps both in step from then on, and the rows that are
 * there get their values by an UPDATE.
 *
 * "up" is what the script says in USING, or the server's cast.  "down" is the
 * cast back where "up" is nothing but casts; otherwise it has to be told by a
 * directive.
 *
 * Definitions are taken down as text before, by the server, and run again
 * after: they name the column, which is the new one then.
 *
 * Of a large table the migration makes the bare column and the trigger only.
 * Indexes and constraints stay on the old column, as they are and in force,
 * while jobs fill the new one and build the same on it beside the traffic;
 * then each gives its name to its successor within one short transaction, see
 * work.c.  The default of an identity is lent to the new column until the
 * identity itself can be handed over, which needs NOT NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* something that hangs on the column, to be made again on the new one */
typedef struct Attached
{
	Oid			class_id;
	Oid			object;
	Oid			relation;		/* its table */
	char		flavour;		/* contype, 'i' index, 's' statistics */
	char	   *name;
	char	   *definition;		/* the command that makes it */
	char	   *clause;			/* constraint: what follows its name there */
	Oid			index;			/* of a key, or the index itself */
	char	   *index_definition;	/* the command that makes that */
	char	   *comment;
	bool		is_clustered;	/* index: CLUSTER goes by it */
	bool		is_identity;	/* index: of rows for replication */
} Attached;

/* one change */
typedef struct Retype
{
	Oid			relation;
	AttrNumber	old_number;
	char	   *name;
	Oid			old_type;
	int32		old_typmod;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		notnull;
	char		identity;
	Node	   *up;				/* over the relation, Vars of varno 1 */
	Node	   *default_value;	/* for the new column, or NULL */
	bool		only_casts;		/* "up" is nothing but casts of the column */
	bool		is_using;		/* "up" is what the script says in USING */
	bool		deferred;		/* what takes long is left to jobs */
	bool		is_split;		/* what stands on it is seen to by split.c */
	char	   *generation;		/* of a generated column: its expression */
	List	   *generated;		/* of Retype: those over a split column */
	char	   *comment;
	List	   *attached;		/* of Attached, in the order to make them */
} Retype;

/* run a statement made here, or by the server's own deparser */
static void
run(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", statement);
}

/* deparse an expression over the relation, as its columns are called now */
static char *
expression_text(Node *expression, Oid relation)
{
	int			nestlevel = sv_contract_enter();
	char	   *text = sv_contract_expression_text(expression, relation);

	sv_contract_leave(nestlevel);
	return text;
}

/*
 * What the script asks for
 */

/* is the expression the column itself, and nothing but casts around it? */
static bool
is_cast_of(Node *node, AttrNumber number)
{
	for (;;)
	{
		if (IsA(node, Var))
			return ((Var *) node)->varattno == number;
		else if (IsA(node, RelabelType))
			node = (Node *) ((RelabelType *) node)->arg;
		else if (IsA(node, CoerceViaIO))
			node = (Node *) ((CoerceViaIO *) node)->arg;
		else if (IsA(node, ArrayCoerceExpr))
			node = (Node *) ((ArrayCoerceExpr *) node)->arg;
		else if (IsA(node, CoerceToDomain))
			node = (Node *) ((CoerceToDomain *) node)->arg;
		else if (IsA(node, FuncExpr) &&
				 (((FuncExpr *) node)->funcformat == COERCE_EXPLICIT_CAST ||
				  ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST))
			node = linitial(((FuncExpr *) node)->args);
		else
			return false;
	}
}

/* "up" as the server would compute the new value in place */
static Node *
make_up(const Retype *retype, Relation relation, Node *raw_using)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item =
	addRangeTableEntryForRelation(pstate, relation, AccessShareLock, NULL,
								  false, true);
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(relation), retype->old_number - 1);
	Node	   *node;

	addNSItemToQuery(pstate, item, true, true, true);
	if (raw_using)
		node = transformExpr(pstate, copyObject(raw_using),
							 EXPR_KIND_ALTER_COL_TRANSFORM);
	else
		node = (Node *) makeVar(1, attribute->attnum, attribute->atttypid,
								attribute->atttypmod, attribute->attcollation,
								0);
	node = coerce_to_target_type(pstate, node, exprType(node), retype->type,
								 retype->typmod, COERCION_ASSIGNMENT,
								 COERCE_IMPLICIT_CAST, -1);
	if (node == NULL && raw_using)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("result of USING clause for column \"%s\" cannot be cast automatically to type %s",
						retype->name, format_type_be(retype->type)),
				 errhint("You might need to add an explicit cast.")));
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" cannot be cast automatically to type %s",
						retype->name, format_type_be(retype->type)),
				 errhint("You might need to specify \"USING %s::%s\".",
						 quote_identifier(retype->name),
						 format_type_with_typemod(retype->type,
												  retype->typmod))));
	assign_expr_collations(pstate, node);
	return node;
}

/* the default as it must be for the new type, as the server does it */
static Node *
make_default(const Retype *retype, Relation relation)
{
	Node	   *node;

	if (!TupleDescAttr(RelationGetDescr(relation),
					   retype->old_number - 1)->atthasdef)
		return NULL;
	node = strip_implicit_coercions(build_column_default(relation,
														 retype->old_number));
	node = coerce_to_target_type(NULL, node, exprType(node), retype->type,
								 retype->typmod, COERCION_ASSIGNMENT,
								 COERCE_IMPLICIT_CAST, -1);
	if (node == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("default for column \"%s\" cannot be cast automatically to type %s",
						retype->name, format_type_be(retype->type))));
	return node;
}

static void
check_partition_key(Oid oid, const char *name)
{
	Relation	relation = relation_open(oid, NoLock);
	int			column = get_attnum(oid, name) -
	FirstLowInvalidHeapAttributeNumber;
	bool		is_expression;

	if (has_partition_attrs(relation, bms_make_singleton(column),
							&is_expression))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("cannot alter column \"%s\" because it is part of the partition key of relation \"%s\"",
						name, RelationGetRelationName(relation))));
	relation_close(relation, NoLock);
}

/* what the server refuses, in its words */
static void
check_column(Relation relation, Form_pg_attribute attribute)
{
	ListCell   *lc;

	if (relation->rd_rel->reloftype)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot alter column type of typed table")));
	if (attribute->attinhcount > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("cannot alter inherited column \"%s\"",
						NameStr(attribute->attname))));
	foreach(lc, find_all_inheritors(RelationGetRelid(relation),
									AccessExclusiveLock, NULL))
		check_partition_key(lfirst_oid(lc), NameStr(attribute->attname));
}

/* a column that is to be split, or a generated one over it */
static Retype *
read_column(Relation relation, const char *name)
{
	AttrNumber	number = get_attnum(RelationGetRelid(relation), name);
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(relation), number - 1);
	Retype	   *retype = palloc0(sizeof(Retype));

	retype->relation = RelationGetRelid(relation);
	retype->old_number = number;
	retype->name = pstrdup(name);
	retype->old_type = retype->type = attribute->atttypid;
	retype->old_typmod = retype->typmod = attribute->atttypmod;
	retype->collation = attribute->attcollation;
	retype->notnull = attribute->attnotnull;
	retype->identity = attribute->attidentity;
	retype->comment = GetComment(retype->relation, RelationRelationId, number);
	retype->is_split = true;
	check_column(relation, attribute);
	if (attribute->attgenerated)
		retype->generation =
			expression_text(build_column_default(relation, number),
							retype->relation);
	else
	{
		retype->up = make_up(retype, relation, NULL);
		retype->only_casts = true;
		retype->default_value = make_default(retype, relation);
	}
	return retype;
}

static Retype *
read_change(Relation relation, const AlterTableCmd *command)
{
	ColumnDef  *def = castNode(ColumnDef, command->def);
	AttrNumber	number = get_attnum(RelationGetRelid(relation), command->name);
	Form_pg_attribute attribute;
	Retype	   *retype;

	if (number <= 0)
		return NULL;
	attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
	if (attribute->attgenerated)
		return NULL;
	retype = palloc0(sizeof(Retype));
	retype->relation = RelationGetRelid(relation);
	retype->old_number = number;
	retype->name = pstrdup(command->name);
	retype->old_type = attribute->atttypid;
	retype->old_typmod = attribute->atttypmod;
	retype->notnull = attribute->attnotnull;
	retype->identity = attribute->attidentity;
	typenameTypeIdAndMod(NULL, def->typeName, &retype->type, &retype->typmod);
	retype->collation = GetColumnDefCollation(NULL, def, retype->type);
	retype->up = make_up(retype, relation, def->raw_default);
	retype->is_using = def->raw_default != NULL;
	retype->only_casts = is_cast_of(retype->up, number);
	retype->default_value = make_default(retype, relation);
	retype->comment = GetComment(retype->relation, RelationRelationId, number);
	check_column(relation, attribute);
	return retype;
}

/* would the server leave the rows as they are, and the type in its family? */
static bool
is_in_place(const Retype *retype)
{
	Node	   *node = (Node *) expression_planner((Expr *) copyObject(retype->up));
	char		old_category;
	char		category;
	bool		preferred;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var) || ((Var *) node)->varattno != retype->old_number)
		return false;
	get_type_category_preferred(retype->old_type, &old_category, &preferred);
	get_type_category_preferred(retype->type, &category, &preferred);
	return category == old_category &&
		get_typlen(retype->type) == get_typlen(retype->old_type);
}

/*
 * What hangs on the column
 */

static void
refuse_dependent(const char *what, const ObjectAddress *object,
				 const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot alter type of a column used %s", what),
			 errdetail("%s depends on column \"%s\"",
					   getObjectDescription(object, false), column)));
}

/* what a job builds in the place of an index, until it has its name */
static char *
job_index_name(Oid index)
{
	return psprintf(SV_JOB_NAME "_%u", index);
}

/* "CHECK ((age > 0))", "FOREIGN KEY (owner) REFERENCES ..." */
static char *
constraint_clause(Oid constraint)
{
	Datum		clause = DirectFunctionCall1(pg_get_constraintdef,
											 ObjectIdGetDatum(constraint));

	return TextDatumGetCString(clause);
}

static Attached *
attach(Retype *retype, Oid class_id, Oid object)
{
	Attached   *attached = palloc0(sizeof(Attached));

	attached->class_id = class_id;
	attached->object = object;
	attached->relation = retype->relation;
	attached->comment = GetComment(object, class_id, 0);
	retype->attached = lappend(retype->attached, attached);
	return attached;
}

/* the words behind USING INDEX by which a key is made of an index again */
static char *
key_clause(Form_pg_constraint form)
{
	return psprintf("%s USING INDEX %s%s%s",
					form->contype == CONSTRAINT_PRIMARY ? "PRIMARY KEY" :
					"UNIQUE", job_index_name(form->conindid),
					form->condeferrable ? " DEFERRABLE" : "",
					form->condeferred ? " INITIALLY DEFERRED" : "");
}

/* what marks an index among those of its table */
static void
note_marks(Attached *attached, Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_index) GETSTRUCT(tuple);
	attached->is_clustered = form->indisclustered;
	attached->is_identity = form->indisreplident;
	ReleaseSysCache(tuple);
}

static void
attach_constraint(Retype *retype, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	Attached   *attached;

	if (!OidIsValid(form->conparentid) && form->coninhcount == 0 &&
		!sv_is_hidden(NameStr(form->conname)))
	{
		attached = attach(retype, ConstraintRelationId, constraint);
		attached->relation = form->conrelid;
		attached->flavour = form->contype;
		attached->name = pstrdup(NameStr(form->conname));
		attached->definition = pg_get_constraintdef_command(constraint);
		if (strchr("pu", form->contype))
		{
			attached->index = form->conindid;
			attached->index_definition = pg_get_indexdef_string(form->conindid);
			attached->clause = key_clause(form);
		}
		else
			attached->clause = constraint_clause(constraint);
		if (strchr("pux", form->contype))
			note_marks(attached, form->conindid);
	}
	ReleaseSysCache(tuple);
}

static void
attach_index(Retype *retype, Oid index)
{
	Oid			constraint = get_index_constraint(index);
	Attached   *attached;

	if (OidIsValid(constraint))
	{
		attach_constraint(retype, constraint);
		return;
	}
	if (get_rel_relispartition(index) || sv_is_hidden(get_rel_name(index)))
		return;
	attached = attach(retype, RelationRelationId, index);
	attached->flavour = 'i';
	attached->name = get_rel_name(index);
	attached->definition = pg_get_indexdef_string(index);
	attached->index = index;
	attached->index_definition = attached->definition;
	note_marks(attached, index);
}

static void
attach_statistics(Retype *retype, Oid statistics)
{
	Attached   *attached = attach(retype, StatisticExtRelationId, statistics);
	HeapTuple	tuple = SearchSysCache1(STATEXTOID,
										ObjectIdGetDatum(statistics));
	Form_pg_statistic_ext form = (Form_pg_statistic_ext) GETSTRUCT(tuple);

	attached->flavour = 's';
	attached->name =
		quote_qualified_identifier(get_namespace_name(form->stxnamespace),
								   NameStr(form->stxname));
	attached->definition = pg_get_statisticsobjdef_string(statistics);
	ReleaseSysCache(tuple);
}

static bool
is_attached(const Retype *retype, Oid object)
{
	ListCell   *lc;

	foreach(lc, retype->attached)
	{
		if (((Attached *) lfirst(lc))->object == object)
			return true;
	}
	return false;
}

/* what the server refuses; what is ours, or retained, follows the old column */
static void
refuse_standing(const Retype *retype, const ObjectAddress *object,
				char deptype)
{
	const char *what = NULL;

	switch (object->classId)
	{
		case RewriteRelationId:
			what = "by a view or rule";
			break;
		case ProcedureRelationId:
			what = "by a function or procedure";
			break;
		case TriggerRelationId:
			what = "in a trigger definition";
			break;
		case PolicyRelationId:
			what = "in a policy definition";
			break;
		case PublicationRelRelationId:
			what = "by a publication WHERE clause";
			break;
		default:
			break;
	}
	if (what && deptype != DEPENDENCY_AUTO)
		refuse_dependent(what, object, retype->name);
}

/* its own default, or a generated column over it */
static void
note_default(Retype *retype, Oid attrdef)
{
	ObjectAddress column = GetAttrDefaultColumnAddress(attrdef);
	const char *name;
	Relation	relation;

	if (column.objectSubId == retype->old_number)
		return;
	name = get_attname(column.objectId, column.objectSubId, false);
	if (sv_is_hidden(name))
		return;
	if (!retype->is_split)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot alter type of a column used by a generated column"),
				 errdetail("Column \"%s\" is used by generated column \"%s\".",
						   retype->name, name)));
	relation = relation_open(retype->relation, NoLock);
	retype->generated = lappend(retype->generated,
								read_column(relation, name));
	relation_close(relation, NoLock);
}

/* a table that was put away goes on referring to the old column */
static bool
is_of_retained(Oid constraint)
{
	Oid			relation = sv_contract_owning_relation(ConstraintRelationId,
													   constraint);
	char	   *schema = OidIsValid(relation) ?
	get_namespace_name(get_rel_namespace(relation)) : NULL;

	return schema && strcmp(schema, SV_RETAINED_SCHEMA) == 0;
}

/* one thing that depends on the column */
static void
note_dependent(Retype *retype, const ObjectAddress *object, char deptype)
{
	if (is_attached(retype, object->objectId))
		return;
	switch (object->classId)
	{
		case RelationRelationId:
			if (get_rel_relkind(object->objectId) == RELKIND_INDEX ||
				get_rel_relkind(object->objectId) == RELKIND_PARTITIONED_INDEX)
				attach_index(retype, object->objectId);
			break;
		case ConstraintRelationId:
			if (!is_of_retained(object->objectId))
				attach_constraint(retype, object->objectId);
			break;
		case AttrDefaultRelationId:
			note_default(retype, object->objectId);
			break;
		case StatisticExtRelationId:
			attach_statistics(retype, object->objectId);
			break;
		default:
			if (!retype->is_split)
				refuse_standing(retype, object, deptype);
			break;
	}
}

/* unique ones before the foreign keys that may refer to them */
static int
compare_attached(const ListCell *a, const ListCell *b)
{
	static const char order[] = "puixcsf";
	const Attached *first = lfirst(a);
	const Attached *second = lfirst(b);
	int			ranks = (int) (strchr(order, first->flavour) -
							   strchr(order, second->flavour));

	if (ranks)
		return ranks;
	return first->object < second->object ? -1 : first->object > second->object;
}

static void
find_dependents(Retype *retype)
{
	int			nestlevel = sv_contract_enter();
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(RelationRelationId, retype->relation,
									  retype->old_number))
	{
		Form_pg_depend form = lfirst(lc);
		ObjectAddress object;

		ObjectAddressSubSet(object, form->classid, form->objid,
							form->objsubid);
		note_dependent(retype, &object, form->deptype);
	}
	sv_contract_leave(nestlevel);
	list_sort(retype->attached, compare_attached);
}

/*
 * Leaving work to jobs
 */

/* a plain table, which a constraint can be validated on by a job */
static bool
is_plain_table(Oid relation)
{
	return get_rel_relkind(relation) == RELKIND_RELATION &&
		!get_rel_relispartition(relation) && !has_subclass(relation);
}

/* can jobs make all that hangs on the column? */
static bool
can_defer(const Retype *retype)
{
	ListCell   *lc;

	foreach(lc, retype->attached)
	{
		Attached   *attached = lfirst(lc);

		if (attached->flavour == CONSTRAINT_EXCLUSION ||
			attached->is_clustered || attached->is_identity ||
			(attached->flavour == CONSTRAINT_FOREIGN &&
			 (!is_plain_table(attached->relation) ||
			  !is_plain_table(sv_catalog_referenced_table(attached->object)))))
			return false;
	}
	return sv_defer_can(retype->relation, retype->name);
}

static void
leave_constraint(const Attached *attached)
{
	bool		is_valid = !sv_contract_is_not_valid(attached->clause);

	sv_defer_add(SV_JOB_REPLACE, attached->relation, attached->name,
				 is_valid ? psprintf("%s NOT VALID", attached->clause) :
				 attached->clause, NULL);
	if (is_valid)
		sv_defer_add(SV_JOB_VALIDATE, attached->relation, attached->name,
					 NULL, NULL);
}

static void
leave_index(const Attached *attached)
{
	char	   *name = job_index_name(attached->index);

	sv_defer_add(SV_JOB_INDEX, attached->relation, name,
				 attached->index_definition, attached->name);
	sv_defer_add(SV_JOB_ATTACH, attached->relation, attached->name,
				 attached->clause, name);
}

/* the rows, and what can be made only when they are filled */
static void
leave_jobs(const Retype *retype, const char *up)
{
	const char *column = quote_identifier(retype->name);
	ListCell   *lc;

	sv_defer_add(SV_JOB_BACKFILL, retype->relation, retype->name, up,
				 psprintf("%s IS NOT DISTINCT FROM NULL AND (%s) IS DISTINCT FROM NULL",
						  column, up));
	if (retype->notnull)
		sv_defer_add(SV_JOB_NOTNULL, retype->relation, retype->name, NULL,
					 NULL);
	foreach(lc, retype->attached)
	{
		Attached   *attached = lfirst(lc);

		if (OidIsValid(attached->index))
			leave_index(attached);
		else if (attached->class_id == ConstraintRelationId)
			leave_constraint(attached);
	}
	sv_defer_add(SV_JOB_RELAX, retype->relation, retype->name, NULL, NULL);
}

/*
 * Taking the old column out of the way
 */

static void
drop_attached(const Attached *attached)
{
	ObjectAddress address;

	ObjectAddressSet(address, attached->class_id, attached->object);
	if (attached->class_id == ConstraintRelationId)
		sv_retain_drop_constraint(attached->object);
	else
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	sv_contract_touch(RelationRelationId, attached->relation);
}

/*
 * Was it made by this very migration, when another column of it changed its
 * type?  Then no older version knows it.
 */
static bool
is_made_now(const Attached *attached)
{
	HeapTuple	tuple = attached->class_id == ConstraintRelationId ?
	SearchSysCache1(CONSTROID, ObjectIdGetDatum(attached->object)) :
	SearchSysCache1(INDEXRELID, ObjectIdGetDatum(attached->object));
	bool		result = HeapTupleIsValid(tuple) &&
	TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result && sv_catalog_entries_with(attached->object) == NIL;
}

/* what was put away must not keep its type and functions from being dropped */
static void
soften(const Retype *retype)
{
	Oid			attrdef = GetAttrDefaultOid(retype->relation,
											retype->old_number);
	ObjectAddress addresses[2];
	List	   *objects = list_make1(&addresses[0]);
	ListCell   *lc;

	ObjectAddressSubSet(addresses[0], RelationRelationId, retype->relation,
						retype->old_number);
	ObjectAddressSet(addresses[1], AttrDefaultRelationId, attrdef);
	if (OidIsValid(attrdef))
		objects = lappend(objects, &addresses[1]);
	foreach(lc, retype->attached)
	{
		Attached   *attached = lfirst(lc);

		if (attached->class_id == StatisticExtRelationId ||
			(!retype->deferred && (strchr("puxi", attached->flavour) == NULL ||
								   is_made_now(attached))))
			continue;
		objects = lappend(objects, sv_catalog_address(attached->class_id,
													  attached->object, 0));
	}
	sv_retain_soften(objects);
}

/* keys go on serving the old column under hidden names, the rest goes */
static void
put_away_attached(const Retype *retype)
{
	ListCell   *lc;

	foreach(lc, retype->attached)
	{
		Attached   *attached = lfirst(lc);

		if (attached->flavour == CONSTRAINT_FOREIGN)
			drop_attached(attached);
	}
	foreach(lc, retype->attached)
	{
		Attached   *attached = lfirst(lc);

		if (attached->flavour == CONSTRAINT_FOREIGN)
			continue;
		if (strchr("puxi", attached->flavour) && !is_made_now(attached))
			sv_retain_unique(attached->class_id, attached->object);
		else
			drop_attached(attached);
	}
}

/* what tells of the distribution of values costs nothing to make anew */
static void
drop_statistics(const Retype *retype)
{
	ListCell   *lc;

	foreach(lc, retype->attached)
	{
		if (((Attached *) lfirst(lc))->class_id == StatisticExtRelationId)
			drop_attached(lfirst(lc));
	}
}

/* the old column goes on serving those who know it */
static void
put_away(const Retype *retype)
{
	if (retype->deferred)
	{
		drop_statistics(retype);
		sv_retain_hide_column(retype->relation, retype->old_number);
	}
	else
	{
		put_away_attached(retype);
		sv_retain_hide_column(retype->relation, retype->old_number);
	}
	soften(retype);
}

/*
 * Making the new column
 */

static void
add_column(const Retype *retype)
{
	char	   *collation = "";

	if (OidIsValid(retype->collation) &&
		retype->collation != get_typcollation(retype->type))
		collation = psprintf(" COLLATE %s",
							 generate_collation_name(retype->collation));
	run(psprintf("ALTER TABLE %s ADD COLUMN %s %s%s",
				 sv_catalog_relation_name(retype->relation),
				 quote_identifier(retype->name),
				 format_type_extended(retype->type, retype->typmod,
									  FORMAT_TYPE_TYPEMOD_GIVEN |
									  FORMAT_TYPE_FORCE_QUALIFY),
				 collation));
}

/* options such as n_distinct; the server keeps marks of its own among them */
static void
copy_options(const Retype *retype, HeapTuple from)
{
	bool		isnull;
	Datum		options = SysCacheGetAttr(ATTNUM, from,
										  Anum_pg_attribute_attoptions,
										  &isnull);
	ListCell   *lc;

	foreach(lc, isnull ? NIL : untransformRelOptions(options))
	{
		DefElem    *option = lfirst(lc);

		if (strcmp(option->defname, "n_distinct") == 0 ||
			strcmp(option->defname, "n_distinct_inherited") == 0)
			run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET (%s = %s)",
						 sv_catalog_relation_name(retype->relation),
						 quote_identifier(retype->name), option->defname,
						 strVal(option->arg)));
	}
}

/* how values are stored, which another type would have its own ways of */
static void
copy_storage(const Retype *retype, Form_pg_attribute from)
{
	const char *storage = from->attstorage == TYPSTORAGE_PLAIN ? "PLAIN" :
		from->attstorage == TYPSTORAGE_EXTERNAL ? "EXTERNAL" :
		from->attstorage == TYPSTORAGE_MAIN ? "MAIN" : "EXTENDED";
	char	   *column = psprintf("ALTER TABLE %s ALTER COLUMN %s SET",
								  sv_catalog_relation_name(retype->relation),
								  quote_identifier(retype->name));

	if (get_typstorage(retype->type) != from->attstorage)
		run(psprintf("%s STORAGE %s", column, storage));
	if (CompressionMethodIsValid(from->attcompression))
		run(psprintf("%s COMPRESSION %s", column,
					 GetCompressionMethodName(from->attcompression)));
}

/* privileges, options and statistics target as the old column has them */
static void
copy_properties(const Retype *retype, AttrNumber number)
{
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	from = SearchSysCache2(ATTNUM,
									   ObjectIdGetDatum(retype->relation),
									   Int16GetDatum(retype->old_number));
	HeapTuple	to = SearchSysCacheCopy2(ATTNUM,
										 ObjectIdGetDatum(retype->relation),
										 Int16GetDatum(number));
	Datum		values[Natts_pg_attribute] = {0};
	bool		nulls[Natts_pg_attribute] = {0};
	bool		replace[Natts_pg_attribute] = {0};
	Datum		acl = SysCacheGetAttr(ATTNUM, from, Anum_pg_attribute_attacl,
									  &nulls[Anum_pg_attribute_attacl - 1]);

	values[Anum_pg_attribute_attacl - 1] = acl;
	replace[Anum_pg_attribute_attacl - 1] = true;
	to = heap_modify_tuple(to, RelationGetDescr(catalog), values, nulls,
						   replace);
	((Form_pg_attribute) GETSTRUCT(to))->attstattarget =
		((Form_pg_attribute) GETSTRUCT(from))->attstattarget;
	CatalogTupleUpdate(catalog, &to->t_self, to);
	if (!nulls[Anum_pg_attribute_attacl - 1])
	{
		Oid		   *members;
		int			n = aclmembers(DatumGetAclP(acl), &members);

		updateAclDependencies(RelationRelationId, retype->relation, number,
							  InvalidOid, 0, NULL, n, members);
	}
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
	copy_options(retype, from);
	if (retype->is_split)
		copy_storage(retype, (Form_pg_attribute) GETSTRUCT(from));
	ReleaseSysCache(from);
}

/* the column that a sequence belongs to is another one now */
static void
move_sequence(Oid sequence, Oid table, AttrNumber from, AttrNumber to)
{
	Relation	catalog = table_open(DependRelationId, RowExclusiveLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(sequence));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL,
							  2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refclassid != RelationRelationId ||
			form->refobjid != table || form->refobjsubid != from)
			continue;
		tuple = heap_copytuple(tuple);
		((Form_pg_depend) GETSTRUCT(tuple))->refobjsubid = to;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* sequences that a column owns, identity included: OIDs */
static List *
owned_sequences(Oid relation, AttrNumber number)
{
	List	   *owned = NIL;
	ListCell   *lc;

	foreach(lc, getOwnedSequences(relation))
	{
		Oid			table;
		int32		column;

		if ((sequenceIsOwned(lfirst_oid(lc), DEPENDENCY_AUTO, &table,
							 &column) ||
			 sequenceIsOwned(lfirst_oid(lc), DEPENDENCY_INTERNAL, &table,
							 &column)) &&
			column == number)
			owned = lappend_oid(owned, lfirst_oid(lc));
	}
	return owned;
}

/* is it the sequence of an identity, not one that the column merely owns? */
static bool
is_of_identity(Oid sequence)
{
	Oid			table;
	int32		column;

	return sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, &table, &column);
}

/* identity, sequences and default */
static void
move_default(const Retype *retype, AttrNumber number, List *sequences)
{
	ListCell   *lc;

	foreach(lc, sequences)
	{
		bool		internal = is_of_identity(lfirst_oid(lc));

		if (internal)
			run(psprintf("ALTER SEQUENCE %s AS %s",
						 sv_catalog_relation_name(lfirst_oid(lc)),
						 format_type_be_qualified(retype->type)));
		if (internal && retype->deferred)
			run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT pg_catalog.nextval(%s::pg_catalog.regclass)",
						 sv_catalog_relation_name(retype->relation),
						 quote_identifier(retype->name),
						 quote_literal_cstr(sv_catalog_relation_name(lfirst_oid(lc)))));
		else
			move_sequence(lfirst_oid(lc), retype->relation,
						  retype->old_number, number);
	}
	if (retype->identity && !retype->deferred)
	{
		sv_retain_set_identity(retype->relation, retype->old_number, '\0');
		sv_retain_set_identity(retype->relation, number, retype->identity);
	}
	if (retype->default_value)
		run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
					 sv_catalog_relation_name(retype->relation),
					 quote_identifier(retype->name),
					 expression_text(retype->default_value,
									 retype->relation)));
}

/* does the value that an identity's sequence has reached fit a type? */
static bool
fits(Oid sequence, Oid type)
{
	int64		most = type == INT2OID ? PG_INT16_MAX :
	type == INT4OID ? PG_INT32_MAX : PG_INT64_MAX;
	bool		isnull;

	run(psprintf("SELECT last_value <= %lld FROM %s", (long long) most,
				 sv_catalog_relation_name(sequence)));
	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, 1, &isnull));
}

/* an identity's sequence is of its column's type, unless it has gone too far */
static void
fit_sequence(Oid sequence, Oid type)
{
	SvIdentity	identity;

	if ((type != INT2OID && type != INT4OID && type != INT8OID) ||
		!fits(sequence, type))
		return;
	GetUserIdAndSecContext(&identity.user, &identity.context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(sequence),
						   identity.context | SECURITY_RESTRICTED_OPERATION);
	run(psprintf("ALTER SEQUENCE %s AS %s",
				 sv_catalog_relation_name(sequence),
				 format_type_be_qualified(type)));
	sv_catalog_become_caller(&identity);
}

/*
 * Let the sequences of an identity column of a table be of another column's
 * type, which is to be shown in its place.  Needs an SPI connection.
 */
void
sv_retype_fit_sequences(Oid relation, AttrNumber from, AttrNumber to)
{
	ListCell   *lc;

	foreach(lc, owned_sequences(relation, from))
	{
		if (is_of_identity(lfirst_oid(lc)))
			fit_sequence(lfirst_oid(lc), get_atttype(relation, to));
	}
}

/*
 * Let a column of a table have the sequences of another one, which it is kept
 * in step with, and be an identity column if "identity" says so: that it is
 * NOT NULL then is the caller's business.
 */
void
sv_retype_move_sequences(Oid relation, AttrNumber from, AttrNumber to,
						 char identity)
{
	ListCell   *lc;

	foreach(lc, owned_sequences(relation, from))
	{
		/* the identity itself stays where it is until a job hands it over */
		if (identity != ' ' || !is_of_identity(lfirst_oid(lc)))
			move_sequence(lfirst_oid(lc), relation, from, to);
	}
	if (identity == ' ')
		return;
	sv_retain_set_identity(relation, from, '\0');
	sv_retain_set_identity(relation, to, identity);
}

/*
 * An index is built now: a foreign key may refer to it, or the table be
 * clustered by it.
 */
static void
make_index(const Attached *attached)
{
	bool		before = sv_defer_set_at_once(true);

	PG_TRY();
	{
		run(attached->definition);
	}
	PG_FINALLY();
	{
		(void) sv_defer_set_at_once(before);
	}
	PG_END_TRY();
}

/* a large table's rows are compared with the other table by a job */
static void
make_one(const Attached *attached)
{
	if (attached->flavour == CONSTRAINT_FOREIGN &&
		!sv_contract_is_not_valid(attached->clause) &&
		sv_defer_can(attached->relation, NULL))
	{
		run(psprintf("%s NOT VALID", attached->definition));
		sv_defer_add(SV_JOB_VALIDATE, attached->relation, attached->name,
					 NULL, NULL);
	}
	else if (OidIsValid(attached->index))
		make_index(attached);
	else
		run(attached->definition);
}

/* the comment and the marks of what was made again */
static void
restore_marks(const Attached *attached)
{
	char	   *table = sv_catalog_relation_name(attached->relation);
	char	   *schema = get_namespace_name(get_rel_namespace(attached->relation));
	char	   *what;

	if (attached->is_clustered)
		run(psprintf("ALTER TABLE %s CLUSTER ON %s", table,
					 quote_identifier(attached->name)));
	if (attached->is_identity)
		run(psprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", table,
					 quote_identifier(attached->name)));
	if (attached->comment == NULL)
		return;
	if (attached->class_id == ConstraintRelationId)
		what = psprintf("CONSTRAINT %s ON %s",
						quote_identifier(attached->name), table);
	else if (attached->class_id == RelationRelationId)
		what = psprintf("INDEX %s",
						quote_qualified_identifier(schema, attached->name));
	else
		what = psprintf("STATISTICS %s", attached->name);
	run(psprintf("COMMENT ON %s IS %s", what,
				 quote_literal_cstr(attached->comment)));
}

static void
make_attached(const Retype *retype)
{
	ListCell   *lc;

	foreach(lc, retype->attached)
	{
		Attached   *attached = lfirst(lc);

		if (retype->deferred &&
			attached->class_id != StatisticExtRelationId)
			continue;
		make_one(attached);
		restore_marks(attached);
	}
	if (retype->comment)
		run(psprintf("COMMENT ON COLUMN %s.%s IS %s",
					 sv_catalog_relation_name(retype->relation),
					 quote_identifier(retype->name),
					 quote_literal_cstr(retype->comment)));
}

/*
 * The cast back: the server's for assignments, which rejects what does not
 * fit; or one that has to be asked for; or by way of text.
 */
static char *
cast_back(const Retype *retype, AttrNumber number)
{
	Oid			types[1] = {retype->type};
	Oid			targets[1] = {retype->old_type};
	Node	   *node = (Node *) makeVar(1, number, retype->type,
										retype->typmod, retype->collation, 0);
	Node	   *cast;

	if (can_coerce_type(1, types, targets, COERCION_ASSIGNMENT))
		return expression_text(node, retype->relation);
	cast = coerce_to_target_type(NULL, node, retype->type, retype->old_type,
								 retype->old_typmod, COERCION_EXPLICIT,
								 COERCE_EXPLICIT_CAST, -1);
	if (cast)
		return expression_text(cast, retype->relation);
	return psprintf("%s::text::%s", quote_identifier(retype->name),
					format_type_extended(retype->old_type, retype->old_typmod,
										 FORMAT_TYPE_TYPEMOD_GIVEN |
										 FORMAT_TYPE_FORCE_QUALIFY));
}

/* have the row trigger keep both columns in step */
static void
keep_in_step(const Retype *retype, const SvProduct *product,
			 const SvRelease *from, const char *up, const char *down)
{
	SvSyncPair *pair = palloc0(sizeof(SvSyncPair));

	pair->old_column = get_attname(retype->relation, retype->old_number,
								   false);
	pair->new_column = retype->name;
	pair->up = pstrdup(up);
	pair->down = pstrdup(down);
	pair->product = product->name;
	pair->label = from->label;
	pair->newest_is_new = true;
	sv_sync_set(retype->relation,
				lappend(sv_sync_pairs(retype->relation), pair));
}

/* the default that a version expects of the column, NULL if none is known */
static Node *
old_default(const Retype *retype, const SvPart *column)
{
	ParseState *pstate = make_parsestate(NULL);
	List	   *raw;
	Node	   *node;

	if (column->expression == NULL)
		return NULL;
	raw = raw_parser(column->expression, RAW_PARSE_PLPGSQL_EXPR);
	node = transformExpr(pstate,
						 linitial_node(ResTarget,
									   castNode(SelectStmt,
												linitial_node(RawStmt, raw)->stmt)->targetList)->val,
						 EXPR_KIND_COLUMN_DEFAULT);
	node = coerce_to_target_type(pstate, node, exprType(node),
								 retype->old_type, retype->old_typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST,
								 -1);
	return node && !contain_volatile_functions(node) ? node : NULL;
}

/*
 * The way back of what USING says, NULL if none is known.  What no old value
 * leads to older versions read as their default, or else as null.
 */
static char *
way_back(Retype *retype, const SvRelease *from)
{
	Var		   *target = makeVar(1, retype->old_number, retype->type,
								 retype->typmod, retype->collation, 0);
	Node	   *otherwise = NULL;
	Node	   *back;
	ListCell   *lc;

	/* the new column will have the name that the old one has yet */
	back = sv_invert_call(retype->up, retype->old_number, retype->old_type,
						  target);
	if (back == NULL)
		back = sv_invert_expression(&retype->up, retype->old_number,
									retype->old_type, target, NULL);
	foreach(lc, back ? NIL : sv_catalog_entries_on(retype->relation))
	{
		SvEntry    *entry = sv_catalog_has_entry(from, lfirst_int(lc)) ?
		sv_catalog_entry(lfirst_int(lc)) : NULL;
		const SvPart *column = entry ?
		sv_contract_column_at(entry, retype->old_number) : NULL;

		if (column == NULL)
			continue;
		otherwise = old_default(retype, column);
		if (otherwise == NULL && !column->notnull)
			otherwise = (Node *) makeNullConst(retype->old_type, -1,
											   get_typcollation(retype->old_type));
	}

	if (back == NULL && otherwise)
		back = sv_invert_expression(&retype->up, retype->old_number,
									retype->old_type, target, otherwise);
	return back ? expression_text(back, retype->relation) : NULL;
}

static void
refuse_without_down(const Retype *retype, const SvRelease *from)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of table \"%s\" cannot change its type without a directive \"down\"",
					retype->name, get_rel_name(retype->relation)),
			 errdetail("Version %s goes on reading it as %s, and USING does more than cast it.",
					   from->label,
					   format_type_with_typemod(retype->old_type,
												retype->old_typmod)),
			 errhint("Add a line \"-- schemaver: down %s.%s = ...\" that computes the old value from the new one.",
					 quote_identifier(get_rel_name(retype->relation)),
					 quote_identifier(retype->name))));
}

/* tell how either column is computed; what a directive says is told there */
static void
note_inferred(const Retype *retype, const char *up, const char *down,
			  bool is_told, bool is_inverse)
{
	const char *table = get_rel_name(retype->relation);

	sv_observe_note(SV_NOTE_INFERRED, retype->relation,
					"up %s.%s = %s, from %s", table, retype->name, up,
					retype->is_using ? "USING" : "the server's cast");
	if (!is_told)
		sv_observe_note(SV_NOTE_INFERRED, retype->relation,
						"down %s.%s = %s, from %s", table, retype->name, down,
						is_inverse ? "USING" : "the cast back");
}

/* give the rows that are there their values */
static void
fill_rows(const Retype *retype, const char *up)
{
	sv_fill_column(retype->relation, retype->name, up, false);
	sv_observe_note(SV_NOTE_FILL, retype->relation, "fill column %s",
					retype->name);
}

/*
 * Generated columns
 */

/* a column of a table, filled by now, is generated from here on */
static void
make_generated(Oid relation, const char *name, const char *expression)
{
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopyAttName(relation, name);
	Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);
	RawColumnDefault generation = {0};
	Relation	table;

	form->attgenerated = ATTRIBUTE_GENERATED_STORED;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
	table = relation_open(relation, NoLock);
	generation.attnum = form->attnum;
	generation.raw_default = sv_sync_parse(expression);
	generation.generated = ATTRIBUTE_GENERATED_STORED;
	(void) AddRelationNewConstraints(table, list_make1(&generation), NIL,
									 false, true, true, expression);
	relation_close(table, NoLock);
	CommandCounterIncrement();
}

/*
 * A generated column over a split one: the old one is made of the old column,
 * the new one of the new column.  To let the server add it would rewrite the
 * table.
 */
static void
split_generated(Retype *retype)
{
	ListCell   *lc;

	find_dependents(retype);
	put_away(retype);
	sv_retain_relax_column(retype->relation, retype->old_number, false, true);
	add_column(retype);
	copy_properties(retype, get_attnum(retype->relation, retype->name));
	sv_fill_column(retype->relation, retype->name, retype->generation, false);
	foreach(lc, find_all_inheritors(retype->relation, NoLock, NULL))
		make_generated(lfirst_oid(lc), retype->name, retype->generation);
	if (retype->notnull)
		run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
					 sv_catalog_relation_name(retype->relation),
					 quote_identifier(retype->name)));
	make_attached(retype);
}

/*
 * Let the newest version leave the old column out.  NOT NULL stays on it where
 * it is filled, so that a rollback need not look at the rows, but not if this
 * very script has set it.
 */
static void
relax(const Retype *retype, const SvRelease *from)
{
	SvPart	   *column =
	sv_contract_column_at(sv_catalog_entry_of(from, retype->relation),
						  retype->old_number);

	if (column && !column->notnull)
		sv_retain_relax_column(retype->relation, retype->old_number, false,
							   true);
	else if (!retype->deferred)
		sv_sync_relax(retype->relation, retype->old_number, NULL);
}

/*
 * A subscriber that finds rows by the column would not find those that no job
 * has filled.  To lock a large table for as long as that takes is not what
 * anybody expects.
 */
static void
check_published(const Retype *retype)
{
	if (!sv_defer_is_left(retype->relation) ||
		!sv_publish_finds_by(retype->relation, retype->old_number))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("type of column \"%s\" of table %s cannot be changed beside its replication",
					retype->name, sv_catalog_relation_name(retype->relation)),
			 errdetail("Subscribers find rows by the column, and jobs are to fill another one row by row."),
			 errhint("Take the table out of the publication until the version is ready, or SET schemaver.inline_pages to what it has, which locks it while it is filled.")));
}

/*
 * The whole of it; "down" is NULL if no directive says it, "back" if it is the
 * cast back then.
 */
static void
change_type(Retype *retype, const SvProduct *product, const SvRelease *from,
			const char *up, const char *down, const char *back)
{
	List	   *sequences;
	SvSyncFrozen *frozen = sv_sync_freeze(retype->relation);
	bool		is_inverse = back != NULL;
	AttrNumber	number;
	ListCell   *lc;

	check_published(retype);
	find_dependents(retype);
	retype->deferred = retype->generated == NIL && can_defer(retype);
	sequences = owned_sequences(retype->relation, retype->old_number);
	put_away(retype);
	if (frozen)
		sv_sync_thaw(frozen);
	if (up == NULL)
		up = expression_text(retype->up, retype->relation);
	SPI_connect();
	add_column(retype);
	number = get_attnum(retype->relation, retype->name);
	copy_properties(retype, number);
	if (retype->deferred)
		leave_jobs(retype, up);
	else
		fill_rows(retype, up);
	move_default(retype, number, sequences);
	if (retype->notnull && !retype->deferred)
		run(psprintf("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
					 sv_catalog_relation_name(retype->relation),
					 quote_identifier(retype->name)));
	make_attached(retype);
	sv_require_move(product, retype->relation, retype->old_number, number);
	sv_lost_move(retype->relation, retype->old_number, number);
	foreach(lc, retype->generated)
		split_generated(lfirst(lc));
	SPI_finish();
	if (back == NULL)
		back = down ? down : cast_back(retype, number);
	keep_in_step(retype, product, from, up, back);
	relax(retype, from);
	sv_contract_touch(RelationRelationId, retype->relation);
	sv_observe_note(SV_NOTE_EFFECT, retype->relation,
					"makes a new column %s.%s; the old one stays as %s, and both are kept in step",
					get_rel_name(retype->relation), retype->name,
					get_attname(retype->relation, retype->old_number, false));
	note_inferred(retype, up, back, down != NULL, is_inverse);
}

/*
 * Do what ALTER COLUMN TYPE asks for with a column of the newest version's
 * own.  False if it is to be done in place, as the server does it: nothing is
 * rewritten then, the type stays in its family, and nobody can have prepared
 * a statement that expects the old one.  The directives for the
 * column are "up" and "down", NULL where there is none.  If nobody has ever
 * used a version that would notice, what cannot be done is left to the server.
 * Runs as the user, who must own the table; locks it in ACCESS EXCLUSIVE mode.
 */
bool
sv_retype_column(const SvProduct *product, const SvRelease *from,
				 Oid table, const AlterTableCmd *command, const char *up,
				 const char *down, bool in_use)
{
	Relation	relation = relation_open(table, AccessExclusiveLock);
	Retype	   *retype;
	char	   *back = NULL;

	if (!pg_class_ownercheck(table, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
					   RelationGetRelationName(relation));
	CheckTableNotInUse(relation, "ALTER TABLE");
	retype = read_change(relation, command);
	relation_close(relation, NoLock);
	if (retype == NULL || (is_in_place(retype) && !in_use && !up && !down))
		return false;
	if (down == NULL && !retype->only_casts)
	{
		back = way_back(retype, from);
		if (back == NULL)
		{
			if (in_use)
				refuse_without_down(retype, from);
			return false;
		}
	}
	change_type(retype, product, from, up, down, back);
	return true;
}

/*
 * Give the newest version a column of its own of the same type, for what has
 * both directives.  What stands on the column but constraints, indexes and
 * generated columns is left to split.c.  Runs as the user, who must own the
 * table; locks it in ACCESS EXCLUSIVE mode.
 */
void
sv_retype_split(const SvProduct *product, const SvRelease *from, Oid table,
				const char *column)
{
	Relation	relation = relation_open(table, AccessExclusiveLock);
	Retype	   *retype;

	if (!pg_class_ownercheck(table, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE,
					   RelationGetRelationName(relation));
	CheckTableNotInUse(relation, "ALTER TABLE");
	retype = read_column(relation, column);
	relation_close(relation, NoLock);
	change_type(retype, product, from, NULL, "", NULL);
}
