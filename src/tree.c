/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  Partitioned tables and their indexes, as jobs build them.
 *
 * The server has no CREATE INDEX CONCURRENTLY for a partitioned table, and no
 * ADD CONSTRAINT ... USING INDEX.  So a job makes the index of the whole by
 * itself, which is not valid then, builds that of each partition, and attaches
 * it.  Partitions that are made or attached from the beginning on get theirs
 * from the server.  When all are there the whole is valid; the server finds
 * out only when the last one is attached, and not when the last one without
 * is dropped.  A constraint is made of it in the way in which the server does
 * it for each of the tables.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include <ctype.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * Is a table the relation itself, or a part of it?  One that is dropped, or
 * about to be detached, is none.  Takes no lock.
 */
bool
sv_tree_has(Oid relation, Oid table)
{
	if (table == relation)
		return get_rel_name(table) != NULL;
	if (get_rel_relispartition(table))
		return list_member_oid(get_partition_ancestors(table), relation);
	return list_member_oid(find_all_inheritors(relation, NoLock, NULL),
						   table);
}

/*
 * What a row of the relation gets in a column that it leaves out, as SQL.
 */
char *
sv_tree_default(Oid relation, const char *column)
{
	Relation	table = relation_open(relation, AccessShareLock);
	AttrNumber	number = get_attnum(relation, column);
	Node	   *value = number == InvalidAttrNumber ? NULL :
	build_column_default(table, number);

	relation_close(table, NoLock);
	return value ? sv_contract_expression_text(value, relation) : "NULL";
}

/*
 * Indexes of partitioned tables
 */

/* of the indexes attached to one, that of a partition, or InvalidOid */
static Oid
index_of_partition(List *attached, Oid partition)
{
	ListCell   *lc;

	foreach(lc, attached)
	{
		if (IndexGetRelation(lfirst_oid(lc), true) == partition)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}

/*
 * The partitions of an index's table that have none attached to it: OIDs.
 */
List *
sv_tree_lacking(Oid index)
{
	Oid			table = IndexGetRelation(index, false);
	List	   *attached = find_inheritance_children(index, NoLock);
	List	   *lacking = NIL;
	ListCell   *lc;

	foreach(lc, find_inheritance_children(table, NoLock))
	{
		if (sv_tree_has(table, lfirst_oid(lc)) &&
			!OidIsValid(index_of_partition(attached, lfirst_oid(lc))))
			lacking = lappend_oid(lacking, lfirst_oid(lc));
	}
	return lacking;
}

static bool
is_valid(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		result = HeapTupleIsValid(tuple) &&
	((Form_pg_index) GETSTRUCT(tuple))->indisvalid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

/* some may be there that no job has built */
static void
check_attached(Oid index)
{
	ListCell   *lc;

	foreach(lc, find_inheritance_children(index, NoLock))
	{
		if (!is_valid(lfirst_oid(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index \"%s\" of a partition is not valid",
							get_rel_name(lfirst_oid(lc)))));
	}
}

static void
mark_valid(Oid index)
{
	Relation	catalog = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID,
											ObjectIdGetDatum(index));

	((Form_pg_index) GETSTRUCT(tuple))->indisvalid = true;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(IndexGetRelation(index, false));
	CommandCounterIncrement();
}

/*
 * Let the index of a partitioned table be valid if all partitions have one:
 * false if some have not.  Locks the table against attaching and detaching.
 */
bool
sv_tree_complete(Oid index)
{
	LockRelationOid(IndexGetRelation(index, false), ShareUpdateExclusiveLock);
	if (sv_tree_lacking(index) != NIL)
		return false;
	check_attached(index);
	if (!is_valid(index))
		mark_valid(index);
	return true;
}

/*
 * "a_b" of an index over a and b, as long as a name may be.  With the mark of a
 * loosened key the server names it so, but then nobody is told of that.
 */
static char *
column_names(Relation index, bool with_mark)
{
	int			mark = sv_contract_mark_column(index) && !with_mark ?
	index->rd_index->indnkeyatts - 1 : -1;
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < RelationGetNumberOfAttributes(index) &&
		 names.len < NAMEDATALEN; i++)
	{
		if (i != mark)
			appendStringInfo(&names, "%s%s", i ? "_" : "",
							 NameStr(TupleDescAttr(RelationGetDescr(index),
												   i)->attname));
	}
	return names.data;
}

/* the name that the server would choose for an index, or the key of it */
static char *
choose_name(Oid oid, const Constraint *key)
{
	Relation	index = relation_open(oid, AccessShareLock);
	Oid			table = IndexGetRelation(oid, false);
	char	   *name;

	if (key && key->contype == CONSTR_PRIMARY)
		name = ChooseRelationName(get_rel_name(table), NULL, "pkey",
								  get_rel_namespace(table), true);
	else
		name = ChooseRelationName(get_rel_name(table), column_names(index, false),
								  key ? "key" : "idx",
								  get_rel_namespace(table), key != NULL);
	relation_close(index, NoLock);
	return name;
}

/*
 * The name that the server would choose for an index.
 */
char *
sv_tree_index_name(Oid index)
{
	return choose_name(index, NULL);
}

/*
 * The name for an index, or the key of it, that the server tries first, or
 * with a number behind it when that was taken.
 */
static char *
numbered_name(Oid oid, bool is_primary, const char *number, bool with_mark)
{
	Relation	index = relation_open(oid, AccessShareLock);
	char	   *table = get_rel_name(index->rd_index->indrelid);
	bool		is_key = OidIsValid(get_index_constraint(oid));
	char	   *name;

	if (is_primary)
		name = makeObjectName(table, NULL, psprintf("pkey%s", number));
	else
		name = makeObjectName(table, column_names(index, with_mark),
							  psprintf("%s%s", is_key ? "key" : "idx",
									   number));
	relation_close(index, NoLock);
	return name;
}

/* has the server chosen the name of an index with a number? */
static bool
is_numbered(Oid index, bool is_primary)
{
	char	   *name = get_rel_name(index);
	char	   *number = name + strlen(name);

	while (number > name && isdigit((unsigned char) number[-1]))
		number--;
	return *number != '\0' &&
		(strcmp(name, numbered_name(index, is_primary, number, false)) == 0 ||
		 strcmp(name, numbered_name(index, is_primary, number, true)) == 0);
}

static bool
is_primary(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		result = ((Form_pg_index) GETSTRUCT(tuple))->indisprimary;

	ReleaseSysCache(tuple);
	return result;
}

static void
rename_index(Oid index, const char *name)
{
	RenameRelationInternal(index, name, true, true);
	CommandCounterIncrement();
}

/* give an index, and those attached to it, the first name if it is free now */
static void
name_first(Oid index)
{
	bool		primary = is_primary(index);
	char	   *first = numbered_name(index, primary, "", false);

	if (is_numbered(index, primary) &&
		!OidIsValid(get_relname_relid(first, get_rel_namespace(index))))
		rename_index(index, first);
	sv_tree_name_children(index);
}

/*
 * The indexes of partitions that are attached to one take on the names that
 * the server would have given them, had those of the index before not been
 * there.  Locks these in ACCESS EXCLUSIVE mode.
 */
void
sv_tree_name_children(Oid index)
{
	ListCell   *lc;

	foreach(lc, find_inheritance_children(index, AccessExclusiveLock))
		name_first(lfirst_oid(lc));
}

/* the index of the whole that one of a partition is attached to, or invalid */
static Oid
parent_of(Oid index)
{
	return get_rel_relispartition(index) ?
		get_partition_parent(index, false) : InvalidOid;
}

/* is one at the root of a tree of indexes that of a version's primary key? */
static bool
is_primary_to_any(Oid index)
{
	Oid			constraint;
	ListCell   *le;
	ListCell   *lc;

	while (OidIsValid(parent_of(index)))
		index = parent_of(index);
	constraint = get_index_constraint(index);
	foreach(le, OidIsValid(constraint) ? sv_catalog_entries_with(constraint) :
			NIL)
	{
		foreach(lc, sv_catalog_entry(lfirst_int(le))->constraints)
		{
			SvPart	   *part = lfirst(lc);

			if (part->object == constraint &&
				part->flavour == CONSTRAINT_PRIMARY)
				return true;
		}
	}
	return false;
}

static List *
indexes_of(Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *indexes = list_copy(RelationGetIndexList(table));

	relation_close(table, NoLock);
	return indexes;
}

/*
 * Hide an index that the server has just made for a partition, and those of
 * its own partitions.  They come back under the names that they would have had
 * in the version that has the whole.
 */
static void
hide_new(Oid index, bool primary)
{
	char	   *name = get_rel_name(index);
	ListCell   *lc;

	if (is_numbered(index, false) ||
		strcmp(name, numbered_name(index, false, "", true)) == 0)
		name = numbered_name(index, primary, "", false);
	if (!sv_is_hidden(name))
		sv_retain_hide_child(index, name);
	foreach(lc, find_inheritance_children(index, AccessExclusiveLock))
		hide_new(lfirst_oid(lc), primary);
}

/* leave a mark out of the names of an index and of those attached to it */
static void
name_unmarked(Oid index)
{
	bool		primary = is_primary(index);
	ListCell   *lc;

	if (strcmp(get_rel_name(index),
			   numbered_name(index, primary, "", true)) == 0 &&
		strcmp(get_rel_name(index),
			   numbered_name(index, primary, "", false)) != 0)
		rename_index(index, choose_name(index,
										OidIsValid(get_index_constraint(index)) ?
										makeNode(Constraint) : NULL));
	foreach(lc, find_inheritance_children(index, AccessExclusiveLock))
		name_unmarked(lfirst_oid(lc));
}

/*
 * A partition has come, and has got its indexes from the server: those of
 * hidden ones are hidden as well, the others have the names that they would
 * have without these, and without marks.  Its partitions follow.
 */
void
sv_tree_name_heir(Oid partition)
{
	List	   *indexes = indexes_of(partition);
	bool		any = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Oid			parent = parent_of(lfirst_oid(lc));

		if (!OidIsValid(parent) || !sv_is_hidden(get_rel_name(parent)) ||
			sv_is_hidden(get_rel_name(lfirst_oid(lc))))
			continue;
		hide_new(lfirst_oid(lc), is_primary_to_any(parent));
		any = true;
	}
	foreach(lc, any ? indexes : NIL)
	{
		Oid			parent = parent_of(lfirst_oid(lc));

		if (OidIsValid(parent) && !sv_is_hidden(get_rel_name(parent)))
			name_first(lfirst_oid(lc));
	}
	foreach(lc, indexes)
	{
		Oid			parent = parent_of(lfirst_oid(lc));

		if (OidIsValid(parent) && !sv_is_hidden(get_rel_name(parent)))
			name_unmarked(lfirst_oid(lc));
	}
}

/*
 * Keys
 */

static void
check_not_null(Relation table, Relation index)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	number = index->rd_index->indkey.values[i];
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table),
												 number - 1);

		if (!column->attnotnull)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of a primary key of table \"%s\" is not NOT NULL",
							NameStr(column->attname),
							RelationGetRelationName(table))));
	}
}

static bits16
flags_of(const Constraint *key)
{
	return INDEX_CONSTR_CREATE_UPDATE_INDEX |
		INDEX_CONSTR_CREATE_REMOVE_OLD_DEPS |
		(key->contype == CONSTR_PRIMARY ?
		 INDEX_CONSTR_CREATE_MARK_AS_PRIMARY : 0) |
		(key->deferrable ? INDEX_CONSTR_CREATE_DEFERRABLE : 0) |
		(key->initdeferred ? INDEX_CONSTR_CREATE_INIT_DEFERRED : 0);
}

/* the constraint of one table, then those of its partitions */
static void
make_key(Oid oid, Oid parent, const Constraint *key)
{
	Relation	index = index_open(oid, AccessExclusiveLock);
	Relation	table = relation_open(index->rd_index->indrelid, NoLock);
	bool		primary = key->contype == CONSTR_PRIMARY;
	ObjectAddress made;
	ListCell   *lc;

	if (primary)
		check_not_null(table, index);
	made = index_constraint_create(table, oid, parent, BuildIndexInfo(index),
								   RelationGetRelationName(index),
								   primary ? CONSTRAINT_PRIMARY :
								   CONSTRAINT_UNIQUE,
								   flags_of(key), false, false);
	CacheInvalidateRelcache(table);
	relation_close(table, NoLock);
	index_close(index, NoLock);
	CommandCounterIncrement();
	foreach(lc, find_inheritance_children(oid, AccessExclusiveLock))
	{
		rename_index(lfirst_oid(lc), choose_name(lfirst_oid(lc), key));
		make_key(lfirst_oid(lc), made.objectId, key);
	}
}

/*
 * Make the constraint that "key" says of a unique index of a partitioned
 * table, under the index's name.  The caller has locked the table and its
 * partitions in ACCESS EXCLUSIVE mode.  Throws if the index is not valid.
 */
void
sv_tree_make_key(Oid index, const Constraint *key)
{
	if (!sv_tree_complete(index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not valid", get_rel_name(index)),
				 errdetail("Partition \"%s\" has none that is attached to it.",
						   get_rel_name(linitial_oid(sv_tree_lacking(index))))));
	make_key(index, InvalidOid, key);
}
