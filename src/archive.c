/*-------------------------------------------------------------------------
 *
 * archive.c
 *	  Keep what retiring versions would lose, in the schema of archives.
 *
 * A column that was hidden in its table is copied: into a table of its own,
 * with the key of the table that it stood in, and a row for each value.  The
 * copy is made before anything is locked, from a snapshot, so nobody waits
 * for it: the versions that could still write the column are locked, and not
 * live.  A retained table moves as it is, which takes no longer than to
 * rename it.
 *
 * Nobody gains a right: an archive belongs to the owner of the table that its
 * data come from, who also does the copying, and all that others were granted
 * is revoked.  Archives are data at rest and hold nobody back: foreign keys
 * and triggers go.  What an archive is made of and would go with a version
 * schema, such as the type of a column, moves along.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "commands/typecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* a hidden column that goes, as the version that had it last calls it */
typedef struct Column
{
	Oid			relation;
	AttrNumber	number;
	const SvRelease *release;
	char	   *table;
	char	   *name;
} Column;

/* one column of an archive's table */
typedef struct Field
{
	char	   *from;			/* its name in the table, quoted */
	char	   *to;
	char	   *type;
} Field;

static void
run(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "could not execute \"%s\"", statement);
}

static Oid
archive_schema(void)
{
	return get_namespace_oid(SV_ARCHIVE_SCHEMA, false);
}

/* how the archive is called in SQL */
static char *
archive_name(Oid relation)
{
	return quote_qualified_identifier(SV_ARCHIVE_SCHEMA,
									  get_rel_name(relation));
}

/* be the owner of a table, whose row security does not hold for himself */
static void
become_owner_of(Oid relation, SvIdentity *identity)
{
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(relation),
						   identity->context |
						   SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
}

/*
 * Names
 */

/* the version as a part of a name: dots turn to underscores */
static char *
version_label(const SvRelease *release)
{
	char	   *label = pstrdup(release->label);

	for (char *p = label; *p; p++)
	{
		if (!isalnum((unsigned char) *p))
			*p = '_';
	}
	return label;
}

/* <table>_<column>_<version>, with a number behind if that is taken */
static char *
free_archive_name(const char *table, const char *column,
				  const SvRelease *release)
{
	char	   *label = version_label(release);
	char	   *name = makeObjectName(table, column, label);

	for (int i = 1; !sv_retain_is_free_name(name, archive_schema()); i++)
		name = makeObjectName(table, column, psprintf("%s_%d", label, i));
	return name;
}

/* the newest of the releases that has an entry on a relation; its entry */
static const SvRelease *
newest_with(Oid relation, AttrNumber number, List *releases,
			SvEntry **entry, SvPart **column)
{
	const SvRelease *newest = NULL;
	ListCell   *lr;
	ListCell   *le;
	ListCell   *lp;

	foreach(lr, releases)
	{
		foreach(le, sv_catalog_entries_on(relation))
		{
			SvEntry    *found;

			if (!sv_catalog_has_entry(lfirst(lr), lfirst_int(le)))
				continue;
			found = sv_catalog_entry(lfirst_int(le));
			foreach(lp, number ? found->columns : NIL)
			{
				if (((SvPart *) lfirst(lp))->number == number)
					break;
			}
			if (number && lp == NULL)
				continue;
			newest = lfirst(lr);
			*entry = found;
			*column = number ? lfirst(lp) : NULL;
		}
	}
	return newest;
}

/*
 * Columns
 */

static Field *
make_field(Form_pg_attribute attribute, const char *name)
{
	Field	   *field = palloc(sizeof(Field));

	field->from = pstrdup(quote_identifier(NameStr(attribute->attname)));
	field->to = pstrdup(quote_identifier(name));
	field->type = sv_contract_type_text(attribute->atttypid,
										attribute->atttypmod,
										attribute->attcollation);
	return field;
}

/* the archived column's name, another one if the key has one of that name */
static char *
free_field_name(List *fields, const char *name)
{
	char	   *result = pstrdup(name);
	ListCell   *lc;

	for (int i = 1;; i++)
	{
		foreach(lc, fields)
		{
			if (strcmp(((Field *) lfirst(lc))->to,
					   quote_identifier(result)) == 0)
				break;
		}
		if (lc == NULL)
			return result;
		result = makeObjectName(name, NULL, psprintf("%d", i));
	}
}

/*
 * The columns of a column's archive: the key, or without one all that are not
 * hidden, then the column itself.  Sets *key to the key's part of a CREATE
 * TABLE, "" if there is none.
 */
static List *
archive_fields(const Column *column, char **key)
{
	Relation	table = relation_open(column->relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(table);
	List	   *numbers = sv_catalog_key(table);
	List	   *fields = NIL;
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, numbers)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, lfirst_int(lc) - 1);

		fields = lappend(fields,
						 make_field(attribute, NameStr(attribute->attname)));
		appendStringInfo(&text, "%s%s",
						 text.len ? ", " : ", PRIMARY KEY (",
						 quote_identifier(NameStr(attribute->attname)));
	}
	if (text.len)
		appendStringInfoChar(&text, ')');
	for (int i = 0; numbers == NIL && i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped &&
			!sv_is_hidden(NameStr(attribute->attname)))
			fields = lappend(fields,
							 make_field(attribute,
										NameStr(attribute->attname)));
	}
	fields = lappend(fields,
					 make_field(TupleDescAttr(desc, column->number - 1),
								free_field_name(fields, column->name)));
	relation_close(table, NoLock);
	*key = text.data;
	return fields;
}

/* a list of the fields for SQL, with what "what" picks of each */
static char *
field_list(List *fields, bool to, bool type)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, fields)
	{
		Field	   *field = lfirst(lc);

		appendStringInfo(&text, "%s%s", text.len ? ", " : "",
						 to ? field->to : field->from);
		if (type)
			appendStringInfo(&text, " %s", field->type);
	}
	return text.data;
}

/* say where an archive comes from, for who finds it in a year */
static void
comment_on(Oid archive, const SvProduct *product, const SvRelease *release,
		   const char *what)
{
	SvIdentity	identity;

	become_owner_of(archive, &identity);
	run(psprintf("COMMENT ON TABLE %s IS %s", archive_name(archive),
				 quote_literal_cstr(psprintf("%s of version %s of product \"%s\", kept when it was retired",
											 what, release->label,
											 product->name))));
	sv_catalog_become_caller(&identity);
}

/* whoever was granted anything on an archive but its owner has it no more */
static void
revoke_grants(Oid archive)
{
	SvIdentity	identity;
	SPITupleTable *grantees;

	run(psprintf("SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC'"
				 " ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END"
				 " FROM (SELECT relacl AS acl, relowner AS owner"
				 " FROM pg_catalog.pg_class WHERE oid = %u"
				 " UNION ALL SELECT attacl, %u FROM pg_catalog.pg_attribute"
				 " WHERE attrelid = %u AND NOT attisdropped) AS c,"
				 " pg_catalog.aclexplode(c.acl) AS a"
				 " WHERE a.grantee <> c.owner",
				 archive, sv_catalog_relation_owner(archive), archive));
	grantees = SPI_tuptable;
	become_owner_of(archive, &identity);
	for (uint64 i = 0; i < grantees->numvals; i++)
		run(psprintf("REVOKE ALL ON TABLE %s FROM %s CASCADE",
					 archive_name(archive),
					 SPI_getvalue(grantees->vals[i], grantees->tupdesc, 1)));
	sv_catalog_become_caller(&identity);
}

/* copy the values of a column, as the table's owner; the number of them */
static uint64
copy_values(const Column *column, Oid archive, List *fields)
{
	SvIdentity	identity;
	SPIPlanPtr	plan;
	uint64		count;
	int			result;

	become_owner_of(column->relation, &identity);
	plan = SPI_prepare(psprintf("INSERT INTO %s SELECT %s FROM %s WHERE %s IS DISTINCT FROM NULL",
								archive_name(archive),
								field_list(fields, false, false),
								sv_catalog_relation_name(column->relation),
								((Field *) llast(fields))->from),
					   0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not plan the copying of a column");

	/* in REPEATABLE READ too, what others have committed since must be in it */
	result = SPI_execute_snapshot(plan, NULL, NULL, GetLatestSnapshot(),
								  InvalidSnapshot, false, true, 0);
	if (result != SPI_OK_INSERT)
		elog(ERROR, "SPI_execute_snapshot failed: %s",
			 SPI_result_code_string(result));
	count = SPI_processed;
	sv_catalog_become_caller(&identity);
	return count;
}

/* make the archive of one column; InvalidOid if there is nothing to keep */
static Oid
archive_column(const SvProduct *product, const Column *column,
			   uint64 *count)
{
	SvIdentity	identity;
	char	   *key;
	List	   *fields = archive_fields(column, &key);
	char	   *name = free_archive_name(column->table, column->name,
										 column->release);
	Oid			archive;

	sv_catalog_become_owner(&identity);
	run(psprintf("CREATE TABLE %s (%s%s)",
				 quote_qualified_identifier(SV_ARCHIVE_SCHEMA, name),
				 field_list(fields, true, true), key));
	archive = get_relname_relid(name, archive_schema());
	comment_on(archive, product, column->release,
			   psprintf("column %s.%s", quote_identifier(column->table),
						quote_identifier(column->name)));
	ATExecChangeOwner(archive, sv_catalog_relation_owner(column->relation),
					  true, AccessExclusiveLock);
	CommandCounterIncrement();
	sv_catalog_become_caller(&identity);
	revoke_grants(archive);
	*count = copy_values(column, archive, fields);
	if (*count == 0)
	{
		ObjectAddress address;

		ObjectAddressSet(address, RelationRelationId, archive);
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
		CommandCounterIncrement();
		return InvalidOid;
	}
	return archive;
}

/* by table and column, so that reports do not depend on where catalogs put it */
static int
compare_columns(const ListCell *a, const ListCell *b)
{
	const Column *x = lfirst(a);
	const Column *y = lfirst(b);
	int			result = strcmp(x->table, y->table);

	return result ? result : strcmp(x->name, y->name);
}

/* the hidden columns that go with the releases, in tables with data here */
static List *
columns_of(const SvProduct *product, List *retiring)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, sv_retain_unused(product, retiring))
	{
		ObjectAddress *object = lfirst(lc);
		Column	   *column;
		SvEntry    *entry;
		SvPart	   *part;

		if (object->objectSubId == 0 ||
			get_rel_relkind(object->objectId) == RELKIND_FOREIGN_TABLE)
			continue;
		column = palloc0(sizeof(Column));
		column->relation = object->objectId;
		column->number = object->objectSubId;
		column->release = newest_with(column->relation, column->number,
									  retiring, &entry, &part);
		if (column->release == NULL)
			continue;
		column->table = entry->name;
		column->name = part->name;
		columns = lappend(columns, column);
	}
	list_sort(columns, compare_columns);
	return columns;
}

/*
 * Keep the values of columns that nobody but these releases needs, each in a
 * table of its own.  Takes ACCESS SHARE locks on the tables and reads all of
 * them.  The caller holds the releases' locks, so nobody writes what is read.
 */
void
sv_archive_columns(const SvProduct *product, List *retiring,
				   SvArchive *archive)
{
	int			nestlevel = sv_contract_enter();
	ListCell   *lc;

	sv_contract_collect_begin();
	foreach(lc, columns_of(product, retiring))
	{
		uint64		count;
		Oid			relation;

		SPI_connect();
		relation = archive_column(product, lfirst(lc), &count);
		SPI_finish();
		if (!OidIsValid(relation))
			continue;
		archive->relations = lappend_oid(archive->relations, relation);
		appendStringInfo(&archive->report, "%s%s (" UINT64_FORMAT " row%s)",
						 archive->report.len ? ", " : "",
						 archive_name(relation), count,
						 count == 1 ? "" : "s");
	}
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
}

/*
 * Tables
 */

/* drop all constraints of a table that one column of the catalog finds */
static void
add_foreign_keys(ObjectAddresses *objects, AttrNumber column, Oid relation)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, column == Anum_pg_constraint_conrelid ?
							  ConstraintRelidTypidNameIndexId : InvalidOid,
							  column == Anum_pg_constraint_conrelid, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		ObjectAddress address;

		if (form->contype != CONSTRAINT_FOREIGN ||
			OidIsValid(form->conparentid))
			continue;
		ObjectAddressSet(address, ConstraintRelationId, form->oid);
		if (!object_address_present(&address, objects))
			add_exact_object_address(&address, objects);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_triggers(ObjectAddresses *objects, Oid relation)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		ObjectAddress address;

		if (form->tgisinternal || OidIsValid(form->tgparentid))
			continue;
		ObjectAddressSet(address, TriggerRelationId, form->oid);
		add_exact_object_address(&address, objects);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* data at rest: nothing happens to them, and nothing for their sake */
static void
put_to_rest(Oid relation)
{
	ObjectAddresses *objects = new_object_addresses();

	add_foreign_keys(objects, Anum_pg_constraint_conrelid, relation);
	add_foreign_keys(objects, Anum_pg_constraint_confrelid, relation);
	add_triggers(objects, relation);
	performMultipleDeletions(objects, DROP_RESTRICT,
							 PERFORM_DELETION_INTERNAL);
	free_object_addresses(objects);
	CommandCounterIncrement();
}

/* columns that were hidden in it before it went get their names back */
static void
show_columns(Oid relation)
{
	SvIdentity	identity;
	ListCell   *le;
	ListCell   *lp;

	become_owner_of(relation, &identity);
	foreach(le, sv_catalog_entries_on(relation))
	{
		foreach(lp, sv_catalog_entry(lfirst_int(le))->columns)
		{
			SvPart	   *part = lfirst(lp);
			char	   *name = part->number ?
			get_attname(relation, part->number, true) : NULL;

			if (name && sv_is_hidden(name) &&
				get_attnum(relation, part->name) == InvalidAttrNumber)
				sv_retain_return_column(relation, part->number, part->name);
		}
	}
	sv_catalog_become_caller(&identity);
}

/* a table and the heirs of it that are retained as well */
static List *
retained_family(Oid relation)
{
	List	   *family = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relation, AccessExclusiveLock, NULL))
	{
		if (get_rel_namespace(lfirst_oid(lc)) == sv_retain_schema())
			family = lappend_oid(family, lfirst_oid(lc));
	}
	return family;
}

/* move a table; its partitions may have gone along with it */
static void
move_table(const SvProduct *product, Oid relation, const SvRelease *release,
		   const char *table)
{
	char	   *name = free_archive_name(table, NULL, release);

	put_to_rest(relation);
	if (get_rel_namespace(relation) == sv_retain_schema())
		sv_retain_return_relation(relation, archive_schema(), name);
	else
	{
		RenameRelationInternal(relation, name, true, false);
		CommandCounterIncrement();
	}
	SPI_connect();
	revoke_grants(relation);
	comment_on(relation, product, release,
			   psprintf("table %s", quote_identifier(table)));
	SPI_finish();
}

/* move a table with its heirs; returns the OIDs of them all */
static List *
move_tables(const SvProduct *product, Oid relation, const SvRelease *release,
			const SvEntry *entry)
{
	List	   *family = retained_family(relation);
	ListCell   *lc;

	foreach(lc, family)
		move_table(product, lfirst_oid(lc), release,
				   lfirst_oid(lc) == relation ? entry->name :
				   get_rel_name(lfirst_oid(lc)));
	show_columns(relation);
	return family;
}

/* does the sequence belong to a column of one of the tables? */
static bool
is_owned_by(const ObjectAddress *object, List *tables)
{
	Oid			table;
	int32		column;

	return object->classId == RelationRelationId &&
		get_rel_relkind(object->objectId) == RELKIND_SEQUENCE &&
		(sequenceIsOwned(object->objectId, DEPENDENCY_AUTO, &table,
						 &column) ||
		 sequenceIsOwned(object->objectId, DEPENDENCY_INTERNAL, &table,
						 &column)) &&
		list_member_oid(tables, table);
}

/* is it a table as a whole that has its data here? */
static bool
is_table(const ObjectAddress *object)
{
	char		relkind;

	if (object->classId != RelationRelationId || object->objectSubId)
		return false;
	relkind = get_rel_relkind(object->objectId);
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE;
}

/*
 * What archives are made of
 */

/* the schema that a type, function or sequence stands in */
static Oid
schema_of(Oid class_id, Oid object)
{
	if (class_id == TypeRelationId)
		return GetSysCacheOid1(TYPEOID, Anum_pg_type_typnamespace,
							   ObjectIdGetDatum(object));
	if (class_id == ProcedureRelationId)
		return get_func_namespace(object);
	return class_id == RelationRelationId ? get_rel_namespace(object) :
		InvalidOid;
}

/* move one of them to the archive, under another name if its own is taken */
static void
keep_object(Oid class_id, Oid object, const char *label)
{
	char	   *name = class_id == TypeRelationId ?
	NameStr(((Form_pg_type) GETSTRUCT(SearchSysCacheCopy1(TYPEOID, ObjectIdGetDatum(object))))->typname) :
	class_id == RelationRelationId ? get_rel_name(object) : NULL;
	char	   *free_name = name;

	for (int i = 1; name &&
		 !sv_retain_is_free_name(free_name, archive_schema()); i++)
		free_name = makeObjectName(name, NULL, i == 1 ? label :
								   psprintf("%s_%d", label, i - 1));
	if (free_name != name && class_id == TypeRelationId)
		RenameTypeInternal(object, free_name, schema_of(class_id, object));
	else if (free_name != name)
		RenameRelationInternal(object, free_name, true, false);
	CommandCounterIncrement();
	sv_retain_return_home(class_id, object, archive_schema(), NULL);
}

/* what an object refers to in some schemas; appended to a list of addresses */
static List *
add_references(List *found, const ObjectAddress *object, List *schemas)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_references(object->classId, object->objectId))
	{
		Form_pg_depend form = lfirst(lc);
		Oid			referenced = form->refobjid;

		if (form->refclassid == TypeRelationId &&
			OidIsValid(get_element_type(referenced)))
			referenced = get_element_type(referenced);
		if (!list_member_oid(schemas, schema_of(form->refclassid, referenced)))
			continue;
		found = lappend(found, sv_catalog_address(form->refclassid,
												  referenced, 0));
	}
	return found;
}

/*
 * Types, functions and sequences that archives need and that would go with
 * the version schemas of the releases move to the archive.
 */
static void
keep_references(List *archives, List *retiring)
{
	List	   *schemas = sv_catalog_schemas_of(retiring);
	List	   *todo = NIL;
	ListCell   *lc;

	foreach(lc, archives)
		todo = lappend(todo, sv_catalog_address(RelationRelationId,
												lfirst_oid(lc), 0));
	/* the list grows while it is gone through */
	for (int i = 0; schemas && i < list_length(todo); i++)
	{
		ObjectAddress *object = list_nth(todo, i);
		List	   *references = add_references(NIL, object, schemas);

		foreach(lc, sv_retain_parts_of(object))
		{
			ObjectAddress *part = lfirst(lc);

			/* of a type only the constraints of a domain are */
			if (object->classId == RelationRelationId ||
				part->classId == ConstraintRelationId)
				references = add_references(references, part, schemas);
		}
		foreach(lc, references)
		{
			ObjectAddress *reference = lfirst(lc);

			if (!list_member_oid(schemas, schema_of(reference->classId,
													reference->objectId)))
				continue;
			keep_object(reference->classId, reference->objectId,
						version_label(llast(retiring)));
			todo = lappend(todo, reference);
		}
	}
}

/*
 * Move the tables among what sv_retain_unused() has told to the archive
 * instead of dropping them, with their indexes and the sequences that they
 * own; and all that archives need of what goes with the version schemas.
 * Returns what is still to be dropped.  Takes ACCESS EXCLUSIVE locks on the
 * tables; the caller is the extension's owner and collects.
 */
List *
sv_archive_tables(const SvProduct *product, List *retiring, List *unused,
				  SvArchive *archive)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, unused)
	{
		ObjectAddress *object = lfirst(lc);
		const SvRelease *release;
		SvEntry    *entry;
		SvPart	   *column;

		if (!is_table(object) ||
			list_member_oid(archive->relations, object->objectId))
			continue;
		release = newest_with(object->objectId, 0, retiring, &entry, &column);
		if (release == NULL)
			continue;
		archive->relations = list_concat(archive->relations,
										 move_tables(product, object->objectId,
													 release, entry));
		appendStringInfo(&archive->report, "%s%s",
						 archive->report.len ? ", " : "",
						 archive_name(object->objectId));
	}
	foreach(lc, unused)
	{
		ObjectAddress *object = lfirst(lc);

		if (!list_member_oid(archive->relations,
							 sv_retain_relation_of(object)) &&
			!is_owned_by(object, archive->relations))
			rest = lappend(rest, object);
	}
	keep_references(archive->relations, retiring);
	return rest;
}
