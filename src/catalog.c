/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The only place that reads and writes schemaver's own tables.
 *
 * Reads use the latest snapshot, not the statement's: whoever waited for a
 * product's or a version's lock must see what its former holder committed,
 * in REPEATABLE READ too.  Writes go straight to the heap, the way the server
 * writes its catalogs: no right of the caller is needed, none is gained, and
 * nothing of a script's text is ever parsed here.  Every write makes itself
 * visible with CommandCounterIncrement().
 *
 * The tables are found by name at each call, since an extension can be
 * dropped and created again within a session.  All results are allocated in
 * the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* columns of the tables, as the install script lays them out */
enum product_columns
{
	Product_id = 1, Product_name, Product_schemas, Product_exact,
	Product_complete, Product_current, Product_incarnation, Product_system,
	Product_created_on, Product_created_by,
	Product_columns = Product_created_by
};

enum release_columns
{
	Release_id = 1, Release_product, Release_version, Release_description,
	Release_update_on, Release_update_by, Release_schemas,
	Release_retired_on, Release_contract,
	Release_columns = Release_contract
};

enum registration_columns
{
	Registration_release = 1, Registration_on, Registration_by,
	Registration_columns = Registration_by
};

enum history_columns
{
	History_id = 1, History_product, History_product_name, History_action,
	History_from, History_version, History_update_on, History_update_by,
	History_description, History_reason, History_script, History_checksum,
	History_statements, History_duration, History_outcome, History_lsn,
	History_restore_point,
	History_columns = History_restore_point
};

enum entry_columns
{
	Entry_id = 1, Entry_product, Entry_kind, Entry_schema, Entry_name,
	Entry_args, Entry_physical_schema, Entry_physical_name, Entry_physical,
	Entry_rowsecurity, Entry_definition,
	Entry_columns = Entry_definition
};

enum part_columns
{
	Part_entry = 1, Part_kind, Part_position, Part_name, Part_physical_name,
	Part_number, Part_object, Part_type, Part_notnull, Part_flavour,
	Part_identity, Part_generated, Part_expression, Part_attnums,
	Part_columns = Part_attnums
};

enum job_columns
{
	Job_id = 1, Job_product, Job_release, Job_kind, Job_state, Job_schema,
	Job_relation, Job_relation_id, Job_name, Job_definition, Job_condition,
	Job_late, Job_leaf, Job_filenode, Job_position, Job_blocks_done, Job_blocks,
	Job_rows, Job_busy, Job_attempts, Job_error, Job_created_on,
	Job_started_on, Job_finished_on,
	Job_columns = Job_finished_on
};

enum sync_columns
{
	Sync_relation = 1, Sync_arguments,
	Sync_columns = Sync_arguments
};

enum former_columns
{
	Former_schema = 1, Former_name, Former_former,
	Former_columns = Former_former
};

enum dropped_columns
{
	Dropped_release = 1, Dropped_relation, Dropped_schema, Dropped_table,
	Dropped_name, Dropped_definition, Dropped_names,
	Dropped_columns = Dropped_names
};

enum identity_columns
{
	Identity_relation = 1, Identity_schema, Identity_table, Identity_index,
	Identity_lost, Identity_given,
	Identity_columns = Identity_given
};

/* a scan of one of the tables through one of its indexes */
typedef struct TableScan
{
	Relation	table;
	Snapshot	snapshot;
	SysScanDesc scan;
} TableScan;

/*
 * The extension's OID.  If it is not there: an error, or InvalidOid.
 */
Oid
sv_catalog_extension(bool missing_ok)
{
	Oid			extension = get_extension_oid(SV_SCHEMA, true);

	if (!OidIsValid(extension) && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"schemaver\" is not installed in database \"%s\"",
						get_database_name(MyDatabaseId)),
				 errhint("Run CREATE EXTENSION schemaver in that database.")));
	return extension;
}

/*
 * Have DROP EXTENSION take an object along.
 */
void
sv_catalog_depend_on_extension(Oid class_id, Oid object)
{
	ObjectAddress depender;
	ObjectAddress extension;
	Oid			extension_id = sv_catalog_extension(false);

	if (list_member_oid(getAutoExtensionsOfObject(class_id, object),
						extension_id))
		return;
	ObjectAddressSet(depender, class_id, object);
	ObjectAddressSet(extension, ExtensionRelationId, extension_id);
	recordDependencyOn(&depender, &extension, DEPENDENCY_AUTO_EXTENSION);
}

/*
 * Is the extension there?  Cheaper than sv_catalog_extension().
 */
bool
sv_catalog_is_installed(void)
{
	Oid			schema = get_namespace_oid(SV_SCHEMA, true);

	return OidIsValid(schema) &&
		OidIsValid(get_relname_relid("db_product", schema));
}

/*
 * The role that owns the extension, and with it the version schemas.
 */
Oid
sv_catalog_owner(void)
{
	Oid			extension = sv_catalog_extension(false);
	Relation	table = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(table, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for extension %u", extension);
	owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return owner;
}

/*
 * Become the extension's owner, until sv_catalog_become_caller().  An error
 * in between undoes it with its (sub)transaction.
 */
void
sv_catalog_become_owner(SvIdentity *identity)
{
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(sv_catalog_owner(),
						   identity->context | SECURITY_LOCAL_USERID_CHANGE);
}

void
sv_catalog_become_caller(const SvIdentity *identity)
{
	SetUserIdAndSecContext(identity->user, identity->context);
}

/* find one of our relations by name */
static Oid
relation_oid(const char *name)
{
	Oid			schema = get_namespace_oid(SV_SCHEMA, true);
	Oid			relation = InvalidOid;

	if (OidIsValid(schema))
		relation = get_relname_relid(name, schema);
	if (!OidIsValid(relation))
	{
		(void) sv_catalog_extension(false);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" of the extension is missing",
						SV_SCHEMA, name)));
	}
	return relation;
}

/*
 * An address of its own, for lists of them.
 */
ObjectAddress *
sv_catalog_address(Oid class_id, Oid object, int32 sub_object)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSubSet(*address, class_id, object, sub_object);
	return address;
}

/*
 * Is a function one of the extension's?  Its name is for the caller to look at.
 */
bool
sv_catalog_is_own_function(Oid function)
{
	return get_func_namespace(function) == get_namespace_oid(SV_SCHEMA, true);
}

/* copies of the rows of pg_depend that some keys find by an index */
static List *
read_dependencies(Oid index, int nkeys, ScanKey keys)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, index, true, NULL, nkeys,
										  keys);
	HeapTuple	tuple;
	List	   *found = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = palloc(sizeof(FormData_pg_depend));

		*form = *(Form_pg_depend) GETSTRUCT(tuple);
		found = lappend(found, form);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/*
 * What an object and its parts depend on, as pg_depend has it now: a list of
 * Form_pg_depend in the order of the index on the dependent object, copied
 * into the caller's memory context, so that the caller may well change the
 * catalogs as it goes along.  Locks pg_depend in AccessShareLock meanwhile.
 */
List *
sv_catalog_references(Oid class_id, Oid object)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(class_id));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(object));
	return read_dependencies(DependDependerIndexId, 2, keys);
}

/*
 * What depends on an object: on one part of it such as a column, on the
 * whole alone if sub_object is 0, on the whole or any part if it is -1.  A
 * list like that of sv_catalog_references(), in the order of the index on the
 * referenced object; locks likewise.
 */
List *
sv_catalog_dependents(Oid class_id, Oid object, int32 sub_object)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(class_id));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(object));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber,
				F_INT4EQ, Int32GetDatum(sub_object));
	return read_dependencies(DependReferenceIndexId, sub_object < 0 ? 2 : 3,
							 keys);
}

/*
 * The table that a foreign key refers to, InvalidOid if there is none.
 */
Oid
sv_catalog_referenced_table(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Oid			table;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	table = ((Form_pg_constraint) GETSTRUCT(tuple))->confrelid;
	ReleaseSysCache(tuple);
	return table;
}

/*
 * The OIDs of the objects of one catalog that stand in a schema, whatever
 * that is a schema of.
 */
List *
sv_catalog_objects_of_schema(Oid schema, Oid class_id)
{
	List	   *objects = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_dependents(NamespaceRelationId, schema, -1))
	{
		Form_pg_depend form = lfirst(lc);

		if (form->classid == class_id)
			objects = lappend_oid(objects, form->objid);
	}
	list_sort(objects, list_oid_cmp);
	return objects;
}

/* begin a scan: keys are on heap columns, index NULL reads all of the table */
static void
scan_begin(TableScan *scan, const char *table, LOCKMODE mode,
		   const char *index, int nkeys, ScanKey keys)
{
	scan->table = table_open(relation_oid(table), mode);
	scan->snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan->scan = systable_beginscan(scan->table,
									index ? relation_oid(index) : InvalidOid,
									index != NULL, scan->snapshot,
									nkeys, keys);
}

static void
scan_end(TableScan *scan)
{
	systable_endscan(scan->scan);
	UnregisterSnapshot(scan->snapshot);
	table_close(scan->table, NoLock);
}

static void
key_int4(ScanKey key, AttrNumber column, int32 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(value));
}

static void
key_oid(ScanKey key, AttrNumber column, Oid value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(value));
}

/* one column of a row; by reference types point into the row */
static Datum
get_datum(HeapTuple tuple, TableScan *scan, int column, bool *isnull)
{
	return heap_getattr(tuple, column, RelationGetDescr(scan->table), isnull);
}

/* a column as text, NULL if it is null; copied */
static char *
get_text(HeapTuple tuple, TableScan *scan, int column)
{
	bool		isnull;
	Datum		value = get_datum(tuple, scan, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* a column passed by value; zero if it is null */
static Datum
get_value(HeapTuple tuple, TableScan *scan, int column)
{
	bool		isnull;
	Datum		value = get_datum(tuple, scan, column, &isnull);

	return isnull ? (Datum) 0 : value;
}

/* a column of type version, NULL if it is null; copied */
static SvVersion *
get_version(HeapTuple tuple, TableScan *scan, int column)
{
	bool		isnull;
	Datum		value = get_datum(tuple, scan, column, &isnull);

	return isnull ? NULL :
		(SvVersion *) DatumGetPointer(PG_DETOAST_DATUM_COPY(value));
}

/* insert a row and make it visible */
static void
insert_row(const char *name, Datum *values, bool *nulls)
{
	Relation	table = table_open(relation_oid(name), RowExclusiveLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(table), values,
										nulls);

	CatalogTupleInsert(table, tuple);
	heap_freetuple(tuple);
	table_close(table, NoLock);
}

/* set one column of the row that a scan stands on */
static void
update_column(TableScan *scan, HeapTuple tuple, int column, Datum value)
{
	TupleDesc	desc = RelationGetDescr(scan->table);
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc0(desc->natts * sizeof(bool));
	bool	   *replace = palloc0(desc->natts * sizeof(bool));
	HeapTuple	changed;

	values[column - 1] = value;
	replace[column - 1] = true;
	changed = heap_modify_tuple(tuple, desc, values, nulls, replace);
	CatalogTupleUpdate(scan->table, &tuple->t_self, changed);
}

static int32
next_id(const char *sequence)
{
	return (int32) nextval_internal(relation_oid(sequence), false);
}

/* put a text into a row under construction, or a null */
static void
set_text(Datum *values, bool *nulls, int column, const char *text)
{
	if (text)
		values[column - 1] = CStringGetTextDatum(text);
	else
		nulls[column - 1] = true;
}

static char *
user_name(void)
{
	return GetUserNameFromId(GetUserId(), false);
}

/* a list of strings as text[] */
static ArrayType *
text_array(List *strings)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(strings), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, strings)
		elements[n++] = CStringGetTextDatum((char *) lfirst(lc));
	return construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/*
 * The elements of a text[] as a list of strings, nulls left out.
 */
List *
sv_catalog_text_list(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	List	   *strings = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			strings = lappend(strings, TextDatumGetCString(elements[i]));
	}
	return strings;
}

/*
 * Is a text among those of a list?
 */
bool
sv_catalog_has_text(List *strings, const char *string)
{
	ListCell   *lc;

	foreach(lc, strings)
	{
		if (strcmp(lfirst(lc), string) == 0)
			return true;
	}
	return false;
}

/*
 * A list of texts with those of another that it has not, which are not copied.
 */
List *
sv_catalog_add_texts(List *strings, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
	{
		if (!sv_catalog_has_text(strings, lfirst(lc)))
			strings = lappend(strings, lfirst(lc));
	}
	return strings;
}

/*
 * Are they the same texts, in the same order?
 */
bool
sv_catalog_same_texts(List *a, List *b)
{
	ListCell   *la;
	ListCell   *lb;

	if (list_length(a) != list_length(b))
		return false;
	forboth(la, a, lb, b)
	{
		if (strcmp(lfirst(la), lfirst(lb)) != 0)
			return false;
	}
	return true;
}

static List *
get_text_list(HeapTuple tuple, TableScan *scan, int column)
{
	return sv_catalog_text_list(DatumGetArrayTypeP(get_value(tuple, scan,
															 column)));
}

/*
 * Products
 */

static SvProduct *
read_product(HeapTuple tuple, TableScan *scan)
{
	SvProduct  *product = palloc0(sizeof(SvProduct));

	product->id = DatumGetInt32(get_value(tuple, scan, Product_id));
	product->name = get_text(tuple, scan, Product_name);
	product->schemas = get_text_list(tuple, scan, Product_schemas);
	product->exact = DatumGetBool(get_value(tuple, scan, Product_exact));
	product->complete = DatumGetBool(get_value(tuple, scan,
											   Product_complete));
	product->current = DatumGetInt32(get_value(tuple, scan, Product_current));
	product->awake = DatumGetObjectId(get_value(tuple, scan,
												Product_incarnation)) ==
		RelationGetRelid(scan->table) &&
		DatumGetInt64(get_value(tuple, scan, Product_system)) ==
		(int64) GetSystemIdentifier();
	return product;
}

/*
 * All products, a list of SvProduct.
 */
List *
sv_catalog_products(void)
{
	TableScan	scan;
	HeapTuple	tuple;
	List	   *products = NIL;

	scan_begin(&scan, "db_product", AccessShareLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		products = lappend(products, read_product(tuple, &scan));
	scan_end(&scan);
	return products;
}

/* "shop", "crm" */
static char *
product_names(List *products)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, products)
		appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "",
						 ((SvProduct *) lfirst(lc))->name);
	return names.data;
}

/*
 * The product of that name; with name NULL the only one that there is.
 *
 * If there is none: NULL if missing_ok, else an error.  Several and no name
 * is always an error.
 */
SvProduct *
sv_catalog_product(const char *name, bool missing_ok)
{
	List	   *products = sv_catalog_products();
	ListCell   *lc;

	if (name == NULL && list_length(products) == 1)
		return linitial(products);
	if (name == NULL && products != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
				 errmsg("this database has several products"),
				 errdetail("The products are %s.", product_names(products)),
				 errhint("Name one of them in the argument \"product\".")));
	foreach(lc, products)
	{
		SvProduct  *product = lfirst(lc);

		if (name && strcmp(product->name, name) == 0)
			return product;
	}
	if (missing_ok)
		return NULL;
	if (products == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 name ? errmsg("product \"%s\" does not exist", name) :
				 errmsg("this database has no product yet"),
				 errhint("Create one with schemaver.create_product(), schemaver.baseline() or the first schemaver.apply().")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("product \"%s\" does not exist", name),
			 errhint("The products of this database are %s.",
					 product_names(products))));
}

/*
 * The product of that id, which must exist.
 */
SvProduct *
sv_catalog_product_by_id(int32 id)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_products())
	{
		SvProduct  *product = lfirst(lc);

		if (product->id == id)
			return product;
	}
	elog(ERROR, "product with id %d does not exist", id);
}

/*
 * Make a product without a version.  A name that is taken is an error of the
 * unique index; callers look first.
 */
SvProduct *
sv_catalog_create_product(const char *name, List *schemas,
						  bool exact, bool complete)
{
	Datum		values[Product_columns] = {0};
	bool		nulls[Product_columns] = {0};
	int32		id = next_id("db_product_id_seq");

	values[Product_id - 1] = Int32GetDatum(id);
	set_text(values, nulls, Product_name, name);
	values[Product_schemas - 1] =
		PointerGetDatum(text_array(schemas));
	values[Product_exact - 1] = BoolGetDatum(exact);
	values[Product_complete - 1] = BoolGetDatum(complete);
	nulls[Product_current - 1] = true;
	values[Product_incarnation - 1] =
		ObjectIdGetDatum(relation_oid("db_product"));
	values[Product_system - 1] = Int64GetDatum((int64) GetSystemIdentifier());
	values[Product_created_on - 1] =
		TimestampTzGetDatum(GetCurrentTimestamp());
	set_text(values, nulls, Product_created_by, user_name());
	insert_row("db_product", values, nulls);
	CommandCounterIncrement();
	return sv_catalog_product_by_id(id);
}

/*
 * Is the schema one of the product's base schemas?
 */
bool
sv_catalog_is_base_schema(const SvProduct *product, const char *schema)
{
	ListCell   *lc;

	foreach(lc, product->schemas)
	{
		if (strcmp(lfirst(lc), schema) == 0)
			return true;
	}
	return false;
}

static void
update_product(SvProduct *product, int column, Datum value)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_int4(&key, Product_id, product->id);
	scan_begin(&scan, "db_product", RowExclusiveLock, "db_product_pkey",
			   1, &key);
	tuple = systable_getnext(scan.scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "product \"%s\" has vanished", product->name);
	update_column(&scan, tuple, column, value);
	scan_end(&scan);
	CommandCounterIncrement();
}

/*
 * Make a release the current one.  The caller holds the product's lock.
 */
void
sv_catalog_set_current(SvProduct *product, int32 release_id)
{
	update_product(product, Product_current, Int32GetDatum(release_id));
	product->current = release_id;
}

/*
 * Relations have other OIDs than when the jobs of a product were stored, and
 * their rows stand elsewhere: go by names, and begin again.
 */
static void
forget_job_links(const SvProduct *product)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_jobs())
	{
		SvJob	   *job = lfirst(lc);

		if (job->product_id != product->id)
			continue;
		job->relid = InvalidOid;
		job->filenode = InvalidOid;
		sv_catalog_update_job(job);
	}
}

/*
 * Say that the contracts' links are those of this database.  The caller
 * holds the product's lock.
 */
void
sv_catalog_wake(SvProduct *product)
{
	forget_job_links(product);
	update_product(product, Product_incarnation,
				   ObjectIdGetDatum(relation_oid("db_product")));
	update_product(product, Product_system,
				   Int64GetDatum((int64) GetSystemIdentifier()));
	product->awake = true;
}

/*
 * Releases: the rows of db_schema_version
 */

static bool
has_registration(int32 release_id)
{
	TableScan	scan;
	ScanKeyData key;
	bool		found;

	key_int4(&key, Registration_release, release_id);
	scan_begin(&scan, "db_registration", AccessShareLock,
			   "db_registration_version", 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan.scan));
	scan_end(&scan);
	return found;
}

static SvRelease *
read_release(HeapTuple tuple, TableScan *scan)
{
	SvRelease  *release = palloc0(sizeof(SvRelease));
	ArrayType  *contract;

	release->id = DatumGetInt32(get_value(tuple, scan, Release_id));
	release->product_id = DatumGetInt32(get_value(tuple, scan,
												  Release_product));
	release->version = get_version(tuple, scan, Release_version);
	release->label = sv_version_text(release->version);
	release->schemas = get_text_list(tuple, scan, Release_schemas);
	release->made = DatumGetTimestampTz(get_value(tuple, scan,
												  Release_update_on));
	release->retired = !heap_attisnull(tuple, Release_retired_on,
									   RelationGetDescr(scan->table));

	/* nobody asks what a retired version expected, but for full_schema() */
	if (release->retired)
		return release;
	contract = DatumGetArrayTypePCopy(get_value(tuple, scan,
												Release_contract));
	release->nentries = ArrayGetNItems(ARR_NDIM(contract), ARR_DIMS(contract));
	release->entries = (int32 *) ARR_DATA_PTR(contract);
	return release;
}

static int
compare_releases(const ListCell *a, const ListCell *b)
{
	return sv_version_compare(((SvRelease *) lfirst(a))->version,
							  ((SvRelease *) lfirst(b))->version);
}

/*
 * The releases of a product in ascending order of version, a list of
 * SvRelease; with supported_only those that are not retired, the current
 * one included.  A retired one has no contract in memory.
 */
List *
sv_catalog_releases(const SvProduct *product, bool supported_only)
{
	TableScan	scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;
	List	   *releases = NIL;
	ListCell   *lc;

	key_int4(&keys[0], Release_product, product->id);
	ScanKeyEntryInitialize(&keys[1], SK_ISNULL | SK_SEARCHNULL,
						   Release_retired_on, InvalidStrategy, InvalidOid,
						   InvalidOid, InvalidOid, (Datum) 0);
	scan_begin(&scan, "db_schema_version", AccessShareLock,
			   supported_only ? "db_schema_version_supported" :
			   "db_schema_version_product_id_version_key",
			   supported_only ? 2 : 1, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		releases = lappend(releases, read_release(tuple, &scan));
	scan_end(&scan);
	if (supported_only)
		list_sort(releases, compare_releases);
	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (!release->retired)
			release->registered = has_registration(release->id);
	}
	return releases;
}

/*
 * The version schemas of some releases that are there: OIDs.
 */
List *
sv_catalog_schemas_of(List *releases)
{
	List	   *schemas = NIL;
	ListCell   *lr;
	ListCell   *ls;

	foreach(lr, releases)
	{
		foreach(ls, ((SvRelease *) lfirst(lr))->schemas)
		{
			Oid			schema = get_namespace_oid(lfirst(ls), true);

			if (OidIsValid(schema))
				schemas = lappend_oid(schemas, schema);
		}
	}
	return schemas;
}

/*
 * Is that the name of a version schema of one of the products, of a version
 * that is not retired?
 */
bool
sv_catalog_is_version_schema(List *products, const char *name)
{
	ListCell   *lp;
	ListCell   *lr;
	ListCell   *ls;

	foreach(lp, products)
	{
		foreach(lr, sv_catalog_releases(lfirst(lp), true))
		{
			foreach(ls, ((SvRelease *) lfirst(lr))->schemas)
			{
				if (strcmp(lfirst(ls), name) == 0)
					return true;
			}
		}
	}
	return false;
}

/*
 * The release of that id, NULL if there is none (id 0).
 */
SvRelease *
sv_catalog_release(const SvProduct *product, int32 id)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	SvRelease  *release = NULL;

	key_int4(&key, Release_id, id);
	scan_begin(&scan, "db_schema_version", AccessShareLock,
			   "db_schema_version_pkey", 1, &key);
	tuple = systable_getnext(scan.scan);
	if (HeapTupleIsValid(tuple))
		release = read_release(tuple, &scan);
	scan_end(&scan);
	if (release && release->product_id != product->id)
		return NULL;
	if (release)
		release->registered = has_registration(release->id);
	return release;
}

/*
 * The release of exactly that version, of whatever spelling, retired or not;
 * NULL if there is none.
 */
SvRelease *
sv_catalog_release_at(const SvProduct *product, const SvVersion *version)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	SvRelease  *release = NULL;

	key_int4(&key, Release_product, product->id);
	scan_begin(&scan, "db_schema_version", AccessShareLock,
			   "db_schema_version_supported", 1, &key);
	while (release == NULL &&
		   HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		if (sv_version_compare(get_version(tuple, &scan, Release_version),
							   version) == 0)
			release = read_release(tuple, &scan);
	}
	scan_end(&scan);
	if (release)
		release->registered = has_registration(release->id);
	return release;
}

/*
 * The release of exactly that version, of whatever spelling; an error if
 * there is none.
 */
SvRelease *
sv_catalog_release_of(const SvProduct *product, const SvVersion *version)
{
	SvRelease  *release = sv_catalog_release_at(product, version);

	if (release == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("version %s of product \"%s\" does not exist",
						sv_version_text(version), product->name),
				 errhint("SELECT version, status FROM schemaver.versions tells which there are.")));
	return release;
}

/* ids of entries as an array */
static Datum
id_array(int n, const int32 *entries)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		ids[i] = Int32GetDatum(entries[i]);
	return PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32),
										   true, TYPALIGN_INT));
}

/*
 * Add a release.  entries are the ids of its contract's entries, ascending.
 * The caller holds the product's lock.
 */
SvRelease *
sv_catalog_create_release(const SvProduct *product, SvVersion *version,
						  const char *description, List *schemas,
						  int nentries, int32 *entries)
{
	Datum		values[Release_columns] = {0};
	bool		nulls[Release_columns] = {0};
	int32		id = next_id("db_schema_version_id_seq");

	values[Release_id - 1] = Int32GetDatum(id);
	values[Release_product - 1] = Int32GetDatum(product->id);
	values[Release_version - 1] = SvVersionGetDatum(version);
	set_text(values, nulls, Release_description, description);
	values[Release_update_on - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	set_text(values, nulls, Release_update_by, user_name());
	values[Release_schemas - 1] =
		PointerGetDatum(text_array(schemas));
	nulls[Release_retired_on - 1] = true;
	values[Release_contract - 1] = id_array(nentries, entries);
	insert_row("db_schema_version", values, nulls);
	CommandCounterIncrement();
	return sv_catalog_release(product, id);
}

static void cancel_jobs_of(const SvRelease *release);

/* set one column of a release's row */
static void
update_release(const SvRelease *release, int column, Datum value)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_int4(&key, Release_id, release->id);
	scan_begin(&scan, "db_schema_version", RowExclusiveLock,
			   "db_schema_version_pkey", 1, &key);
	tuple = systable_getnext(scan.scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "version %s has vanished", release->label);
	update_column(&scan, tuple, column, value);
	scan_end(&scan);
	CommandCounterIncrement();
}

/*
 * Store that the contract of a release has another entry in the place of one
 * that it has; its ids stay ascending.
 */
void
sv_catalog_replace_entry(SvRelease *release, int32 old_id, int32 new_id)
{
	int32	   *entries = palloc(sizeof(int32) * Max(release->nentries, 1));
	int			n = 0;

	for (int i = 0; i < release->nentries; i++)
	{
		if (release->entries[i] != old_id)
			entries[n++] = release->entries[i];
	}

	/* a new entry's id is above all others */
	entries[n++] = new_id;
	release->entries = entries;
	release->nentries = n;
	update_release(release, Release_contract, id_array(n, entries));
}

/*
 * Mark a release as retired, and notify of it.  Jobs that only it needed are
 * cancelled.  The caller holds its lock exclusively, and the product's.
 */
void
sv_catalog_retire(SvRelease *release)
{
	update_release(release, Release_retired_on,
				   TimestampTzGetDatum(GetCurrentTimestamp()));
	release->retired = true;
	cancel_jobs_of(release);
	sv_announce_event("retired",
					  sv_catalog_product_by_id(release->product_id)->name,
					  release->version, NULL);
}

/*
 * Note that an instance has registered under the release, the first time.
 * Appends a row, so it waits for nobody; on a standby it does nothing.
 */
void
sv_catalog_mark_registered(SvRelease *release)
{
	Datum		values[Registration_columns] = {0};
	bool		nulls[Registration_columns] = {0};

	if (release->registered || RecoveryInProgress())
		return;
	values[Registration_release - 1] = Int32GetDatum(release->id);
	values[Registration_on - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	set_text(values, nulls, Registration_by, user_name());
	insert_row("db_registration", values, nulls);
	CommandCounterIncrement();
	release->registered = true;
}

/*
 * Has an instance ever registered under the release, as of now?
 */
bool
sv_catalog_was_registered(const SvRelease *release)
{
	return has_registration(release->id);
}

/*
 * Is the entry part of the release's contract?
 */
bool
sv_catalog_has_entry(const SvRelease *release, int32 entry_id)
{
	int			low = 0;
	int			high = release->nentries;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (release->entries[middle] == entry_id)
			return true;
		if (release->entries[middle] < entry_id)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/*
 * Is the entry part of the contract of any of the releases?
 */
bool
sv_catalog_any_has_entry(List *releases, int32 entry_id)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (sv_catalog_has_entry(lfirst(lc), entry_id))
			return true;
	}
	return false;
}

/*
 * Contract entries and their parts
 */

static SvPart *
read_part(HeapTuple tuple, TableScan *scan)
{
	SvPart	   *part = palloc0(sizeof(SvPart));
	bool		isnull;
	Datum		attnums;

	part->kind = DatumGetChar(get_value(tuple, scan, Part_kind));
	part->position = DatumGetInt32(get_value(tuple, scan, Part_position));
	part->name = get_text(tuple, scan, Part_name);
	part->physical_name = get_text(tuple, scan, Part_physical_name);
	part->number = DatumGetInt16(get_value(tuple, scan, Part_number));
	part->object = DatumGetObjectId(get_value(tuple, scan, Part_object));
	part->type = get_text(tuple, scan, Part_type);
	part->notnull = DatumGetBool(get_value(tuple, scan, Part_notnull));
	part->flavour = DatumGetChar(get_value(tuple, scan, Part_flavour));
	part->identity = DatumGetChar(get_value(tuple, scan, Part_identity));
	part->generated = DatumGetChar(get_value(tuple, scan, Part_generated));
	part->expression = get_text(tuple, scan, Part_expression);
	attnums = get_datum(tuple, scan, Part_attnums, &isnull);
	if (!isnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(attnums);
		int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

		for (int i = 0; i < n; i++)
			part->columns = lappend_int(part->columns,
										((int16 *) ARR_DATA_PTR(array))[i]);
	}
	return part;
}

/* the list of an entry that a part of that kind belongs to */
static List **
parts_of_kind(SvEntry *entry, char kind)
{
	switch (kind)
	{
		case SV_PART_COLUMN:
			return &entry->columns;
		case SV_PART_CONSTRAINT:
			return &entry->constraints;
		case SV_PART_TRIGGER:
			return &entry->triggers;
		case SV_PART_LABEL:
			return &entry->labels;
	}
	elog(ERROR, "unknown kind of contract part: \"%c\"", kind);
}

/* the parts come in the index's order: by kind, then by position */
static void
read_parts(SvEntry *entry)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_int4(&key, Part_entry, entry->id);
	scan_begin(&scan, "db_contract_part", AccessShareLock,
			   "db_contract_part_pkey", 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		SvPart	   *part = read_part(tuple, &scan);
		List	  **parts = parts_of_kind(entry, part->kind);

		*parts = lappend(*parts, part);
	}
	scan_end(&scan);
}

/*
 * The entry of that id without its parts, which must exist.
 */
SvEntry *
sv_catalog_entry_alone(int32 id)
{
	SvEntry    *entry = palloc0(sizeof(SvEntry));
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_int4(&key, Entry_id, id);
	scan_begin(&scan, "db_contract_entry", AccessShareLock,
			   "db_contract_entry_pkey", 1, &key);
	tuple = systable_getnext(scan.scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "contract entry %d does not exist", id);
	entry->id = id;
	entry->kind = DatumGetChar(get_value(tuple, &scan, Entry_kind));
	entry->schema = get_text(tuple, &scan, Entry_schema);
	entry->name = get_text(tuple, &scan, Entry_name);
	entry->args = get_text(tuple, &scan, Entry_args);
	entry->physical_schema = get_text(tuple, &scan, Entry_physical_schema);
	entry->physical_name = get_text(tuple, &scan, Entry_physical_name);
	entry->physical = DatumGetObjectId(get_value(tuple, &scan,
												 Entry_physical));
	entry->rowsecurity = DatumGetBool(get_value(tuple, &scan,
												Entry_rowsecurity));
	entry->definition = get_text(tuple, &scan, Entry_definition);
	scan_end(&scan);
	return entry;
}

/*
 * The entry of that id with its parts, which must exist.
 */
SvEntry *
sv_catalog_entry(int32 id)
{
	SvEntry    *entry = sv_catalog_entry_alone(id);

	read_parts(entry);
	return entry;
}

/* ids of entries that an index of one of the two tables finds by an OID */
static List *
entry_ids(const char *table, const char *index, int oid_column, Oid value,
		  int id_column)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *ids = NIL;

	key_oid(&key, oid_column, value);
	scan_begin(&scan, table, AccessShareLock, index, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		ids = list_append_unique_int(ids,
									 DatumGetInt32(get_value(tuple, &scan,
															 id_column)));
	scan_end(&scan);
	return ids;
}

/*
 * Ids of the entries, of whatever versions, whose data that object holds.
 */
List *
sv_catalog_entries_on(Oid physical)
{
	return entry_ids("db_contract_entry", "db_contract_entry_physical",
					 Entry_physical, physical, Entry_id);
}

/*
 * The entry that a release has on an object, with its parts; NULL if it has
 * none, or if there is no release.
 */
SvEntry *
sv_catalog_entry_of(const SvRelease *release, Oid physical)
{
	ListCell   *lc;

	foreach(lc, release ? sv_catalog_entries_on(physical) : NIL)
	{
		if (sv_catalog_has_entry(release, lfirst_int(lc)))
			return sv_catalog_entry(lfirst_int(lc));
	}
	return NULL;
}

/*
 * Ids of the entries that have a part which is that object: a default, a
 * constraint, an index or a trigger.
 */
List *
sv_catalog_entries_with(Oid object)
{
	return entry_ids("db_contract_part", "db_contract_part_object",
					 Part_object, object, Part_entry);
}

/* put a list of column numbers into a row of a part under construction */
static void
set_attnums(Datum *values, List *columns)
{
	Datum	   *attnums = palloc(sizeof(Datum) * list_length(columns));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, columns)
		attnums[n++] = Int16GetDatum(lfirst_int(lc));
	values[Part_attnums - 1] =
		PointerGetDatum(construct_array(attnums, n, INT2OID, sizeof(int16),
										true, TYPALIGN_SHORT));
}

static void
store_part(Relation table, CatalogIndexState indexes, int32 entry_id,
		   const SvPart *part)
{
	Datum		values[Part_columns] = {0};
	bool		nulls[Part_columns] = {0};

	values[Part_entry - 1] = Int32GetDatum(entry_id);
	values[Part_kind - 1] = CharGetDatum(part->kind);
	values[Part_position - 1] = Int32GetDatum(part->position);
	set_text(values, nulls, Part_name, part->name);
	set_text(values, nulls, Part_physical_name, part->physical_name);
	values[Part_number - 1] = Int16GetDatum(part->number);
	values[Part_object - 1] = ObjectIdGetDatum(part->object);
	set_text(values, nulls, Part_type, part->type);
	values[Part_notnull - 1] = BoolGetDatum(part->notnull);
	values[Part_flavour - 1] = CharGetDatum(part->flavour);
	values[Part_identity - 1] = CharGetDatum(part->identity);
	values[Part_generated - 1] = CharGetDatum(part->generated);
	set_text(values, nulls, Part_expression, part->expression);
	nulls[Part_attnums - 1] = part->columns == NIL;
	if (part->columns)
		set_attnums(values, part->columns);
	CatalogTupleInsertWithInfo(table,
							   heap_form_tuple(RelationGetDescr(table),
											   values, nulls), indexes);
}

static void
store_parts(const SvEntry *entry)
{
	List	   *parts[4] = {entry->columns, entry->constraints,
	entry->triggers, entry->labels};
	Relation	table = table_open(relation_oid("db_contract_part"),
								   RowExclusiveLock);
	CatalogIndexState indexes = CatalogOpenIndexes(table);
	ListCell   *lc;

	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		foreach(lc, parts[i])
			store_part(table, indexes, entry->id, lfirst(lc));
	}
	CatalogCloseIndexes(indexes);
	table_close(table, NoLock);
}

/*
 * Store a new entry with its parts and give it its id.
 */
void
sv_catalog_store_entry(const SvProduct *product, SvEntry *entry)
{
	Datum		values[Entry_columns] = {0};
	bool		nulls[Entry_columns] = {0};

	entry->id = next_id("db_contract_entry_id_seq");
	values[Entry_id - 1] = Int32GetDatum(entry->id);
	values[Entry_product - 1] = Int32GetDatum(product->id);
	values[Entry_kind - 1] = CharGetDatum(entry->kind);
	set_text(values, nulls, Entry_schema, entry->schema);
	set_text(values, nulls, Entry_name, entry->name);
	set_text(values, nulls, Entry_args, entry->args);
	set_text(values, nulls, Entry_physical_schema, entry->physical_schema);
	set_text(values, nulls, Entry_physical_name, entry->physical_name);
	values[Entry_physical - 1] = ObjectIdGetDatum(entry->physical);
	values[Entry_rowsecurity - 1] = BoolGetDatum(entry->rowsecurity);
	set_text(values, nulls, Entry_definition, entry->definition);
	insert_row("db_contract_entry", values, nulls);
	store_parts(entry);
	CommandCounterIncrement();
}

static SvPart *
find_part(const SvEntry *entry, char kind, int position)
{
	List	   *parts = *parts_of_kind((SvEntry *) entry, kind);

	return list_nth(parts, position - 1);
}

static void
relink_parts(const SvEntry *entry)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;

	key_int4(&key, Part_entry, entry->id);
	scan_begin(&scan, "db_contract_part", RowExclusiveLock,
			   "db_contract_part_pkey", 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		SvPart	   *old = read_part(tuple, &scan);
		SvPart	   *part = find_part(entry, old->kind, old->position);
		Datum		values[Part_columns] = {0};
		bool		nulls[Part_columns] = {0};
		bool		replace[Part_columns] = {0};

		if (strcmp(old->physical_name, part->physical_name) == 0 &&
			old->number == part->number && old->object == part->object &&
			equal(old->columns, part->columns) &&
			strcmp(old->expression ? old->expression : "",
				   part->expression ? part->expression : "") == 0)
			continue;
		if (!equal(old->columns, part->columns))
		{
			/* after a restore that has closed the gaps of dropped columns */
			set_attnums(values, part->columns);
			replace[Part_attnums - 1] = true;
		}
		set_text(values, nulls, Part_physical_name, part->physical_name);
		values[Part_number - 1] = Int16GetDatum(part->number);
		values[Part_object - 1] = ObjectIdGetDatum(part->object);
		set_text(values, nulls, Part_expression, part->expression);
		replace[Part_physical_name - 1] = replace[Part_number - 1] = true;
		replace[Part_object - 1] = replace[Part_expression - 1] = true;
		CatalogTupleUpdate(scan.table, &tuple->t_self,
						   heap_modify_tuple(tuple,
											 RelationGetDescr(scan.table),
											 values, nulls, replace));
	}
	scan_end(&scan);
}

/*
 * Write an entry's links to the catalogs: physical names, OIDs, numbers and
 * expressions as they are in memory.  Rows that did not change stay.
 */
void
sv_catalog_relink_entry(const SvEntry *entry)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	Datum		values[Entry_columns] = {0};
	bool		nulls[Entry_columns] = {0};
	bool		replace[Entry_columns] = {0};

	key_int4(&key, Entry_id, entry->id);
	scan_begin(&scan, "db_contract_entry", RowExclusiveLock,
			   "db_contract_entry_pkey", 1, &key);
	tuple = systable_getnext(scan.scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "contract entry %d does not exist", entry->id);
	set_text(values, nulls, Entry_physical_schema, entry->physical_schema);
	set_text(values, nulls, Entry_physical_name, entry->physical_name);
	values[Entry_physical - 1] = ObjectIdGetDatum(entry->physical);
	replace[Entry_physical_schema - 1] = true;
	replace[Entry_physical_name - 1] = replace[Entry_physical - 1] = true;
	CatalogTupleUpdate(scan.table, &tuple->t_self,
					   heap_modify_tuple(tuple, RelationGetDescr(scan.table),
										 values, nulls, replace));
	scan_end(&scan);
	relink_parts(entry);
	CommandCounterIncrement();
}

/*
 * History
 */

/* the position in the WAL, and a restore point there if there is to be one */
static void
set_position(Datum *values, bool *nulls, const SvHistory *history)
{
	XLogRecPtr	lsn;
	char	   *restore_point = NULL;

	if (history->restorable)
		restore_point = sv_announce_restore_point(history->action,
												  history->product_name,
												  history->to, &lsn);
	else
		lsn = GetXLogInsertRecPtr();
	values[History_lsn - 1] = LSNGetDatum(lsn);
	set_text(values, nulls, History_restore_point, restore_point);
}

/*
 * Append a line to the history, the last thing that a change does: with it
 * the change is announced, by a restore point and a notification, as far as
 * the line asks for them.
 */
void
sv_catalog_record(const SvHistory *history)
{
	Datum		values[History_columns] = {0};
	bool		nulls[History_columns] = {0};
	TimestampTz now = GetCurrentTimestamp();
	Interval   *duration = palloc0(sizeof(Interval));

	duration->time = now - history->started;
	values[History_id - 1] =
		Int64GetDatum(nextval_internal(relation_oid("db_version_history_id_seq"),
									   false));
	values[History_product - 1] = Int32GetDatum(history->product_id);
	set_text(values, nulls, History_product_name, history->product_name);
	set_text(values, nulls, History_action, history->action);
	values[History_from - 1] = SvVersionGetDatum(history->from);
	nulls[History_from - 1] = history->from == NULL;
	values[History_version - 1] = SvVersionGetDatum(history->to);
	nulls[History_version - 1] = history->to == NULL;
	values[History_update_on - 1] = TimestampTzGetDatum(now);
	set_text(values, nulls, History_update_by, user_name());
	set_text(values, nulls, History_description, history->description);
	set_text(values, nulls, History_reason, history->reason);
	set_text(values, nulls, History_script, history->script);
	set_text(values, nulls, History_checksum, history->checksum);
	values[History_statements - 1] = Int32GetDatum(history->statements);
	values[History_duration - 1] = IntervalPGetDatum(duration);
	set_text(values, nulls, History_outcome, history->outcome);
	set_position(values, nulls, history);
	insert_row("db_version_history", values, nulls);
	CommandCounterIncrement();
	if (history->event)
		sv_announce_event(history->event, history->product_name, history->to,
						  history->from);
}

/*
 * Has the product been changed by hand since its last version?
 */
bool
sv_catalog_drifted(const SvProduct *product)
{
	Relation	table = table_open(relation_oid("db_version_history"),
								   AccessShareLock);
	Relation	index = index_open(relation_oid("db_version_history_product"),
								   AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		drifted = false;

	key_int4(&key, History_product, product->id);
	scan = systable_beginscan_ordered(table, index, snapshot, 1, &key);
	while (!drifted &&
		   HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 BackwardScanDirection)))
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, History_action,
										 RelationGetDescr(table), &isnull);
		char	   *action = TextDatumGetCString(datum);

		if (strcmp(action, "apply") == 0 ||
			strcmp(action, "baseline") == 0 ||
			strcmp(action, "rollback") == 0)
			break;
		drifted = strcmp(action, "ddl") == 0;
	}
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	table_close(table, AccessShareLock);
	return drifted;
}

/* the last line of a product's history that a test accepts */
static HeapTuple
last_line(TableScan *scan, const SvProduct *product, SvVersion *version)
{
	HeapTuple	tuple;
	HeapTuple	last = NULL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan->scan)))
	{
		SvVersion  *found = get_version(tuple, scan, History_version);

		if (found == NULL ||
			DatumGetInt32(get_value(tuple, scan,
									History_product)) != product->id ||
			heap_attisnull(tuple, History_checksum,
						   RelationGetDescr(scan->table)) ||
			(version && sv_version_compare(found, version) != 0))
			continue;
		last = heap_copytuple(tuple);
	}
	return last;
}

/*
 * The checksum of the script that led to that version; NULL if none did.
 */
char *
sv_catalog_checksum_of(const SvProduct *product, SvVersion *version)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	char	   *checksum = NULL;

	key_int4(&key, History_product, product->id);
	scan_begin(&scan, "db_version_history", AccessShareLock,
			   "db_version_history_product", 1, &key);
	tuple = last_line(&scan, product, version);
	if (HeapTupleIsValid(tuple))
		checksum = get_text(tuple, &scan, History_checksum);
	scan_end(&scan);
	return checksum;
}

/*
 * The script that has led to a version; NULL if none has.
 */
char *
sv_catalog_script_of(const SvProduct *product, SvVersion *version)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	char	   *script = NULL;

	key_int4(&key, History_product, product->id);
	scan_begin(&scan, "db_version_history", AccessShareLock,
			   "db_version_history_product", 1, &key);
	tuple = last_line(&scan, product, version);
	if (HeapTupleIsValid(tuple))
		script = get_text(tuple, &scan, History_script);
	scan_end(&scan);
	return script;
}

/*
 * The version to which a script of that checksum has led; NULL if none ran.
 */
SvVersion *
sv_catalog_version_of(const SvProduct *product, const char *checksum)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	SvVersion  *version = NULL;

	ScanKeyInit(&key, History_checksum, BTEqualStrategyNumber, F_TEXTEQ,
				CStringGetTextDatum(checksum));
	key.sk_collation = DEFAULT_COLLATION_OID;
	scan_begin(&scan, "db_version_history", AccessShareLock,
			   "db_version_history_checksum", 1, &key);
	tuple = last_line(&scan, product, NULL);
	if (HeapTupleIsValid(tuple))
		version = get_version(tuple, &scan, History_version);
	scan_end(&scan);
	return version;
}

/*
 * Jobs
 */

static void
key_unfinished(ScanKey key)
{
	ScanKeyEntryInitialize(key, SK_ISNULL | SK_SEARCHNULL, Job_finished_on,
						   InvalidStrategy, InvalidOid, InvalidOid,
						   InvalidOid, (Datum) 0);
}

static SvJob *
read_job(HeapTuple tuple, TableScan *scan)
{
	SvJob	   *job = palloc0(sizeof(SvJob));

	job->id = DatumGetInt32(get_value(tuple, scan, Job_id));
	job->product_id = DatumGetInt32(get_value(tuple, scan, Job_product));
	job->release_id = DatumGetInt32(get_value(tuple, scan, Job_release));
	job->kind = get_text(tuple, scan, Job_kind);
	job->state = get_text(tuple, scan, Job_state);
	job->schema = get_text(tuple, scan, Job_schema);
	job->relation = get_text(tuple, scan, Job_relation);
	job->relid = DatumGetObjectId(get_value(tuple, scan, Job_relation_id));
	job->name = get_text(tuple, scan, Job_name);
	job->text = get_text(tuple, scan, Job_definition);
	job->condition = get_text(tuple, scan, Job_condition);
	job->late = DatumGetBool(get_value(tuple, scan, Job_late));
	job->leaf = get_text(tuple, scan, Job_leaf);
	job->filenode = DatumGetObjectId(get_value(tuple, scan, Job_filenode));
	job->position = DatumGetInt64(get_value(tuple, scan, Job_position));
	job->blocks_done = DatumGetInt64(get_value(tuple, scan,
											   Job_blocks_done));
	job->blocks = DatumGetInt64(get_value(tuple, scan, Job_blocks));
	job->rows = DatumGetInt64(get_value(tuple, scan, Job_rows));
	job->busy = DatumGetInt64(get_value(tuple, scan, Job_busy));
	job->attempts = DatumGetInt32(get_value(tuple, scan, Job_attempts));
	job->error = get_text(tuple, scan, Job_error);
	job->created = DatumGetTimestampTz(get_value(tuple, scan,
												 Job_created_on));
	job->started = DatumGetTimestampTz(get_value(tuple, scan,
												 Job_started_on));
	job->finished = DatumGetTimestampTz(get_value(tuple, scan,
												  Job_finished_on));
	return job;
}

static int
compare_jobs(const ListCell *a, const ListCell *b)
{
	int32		first = ((SvJob *) lfirst(a))->id;
	int32		second = ((SvJob *) lfirst(b))->id;

	return first < second ? -1 : first > second;
}

/*
 * Is there a job that is neither done nor cancelled?  Costs one look into an
 * index.
 */
bool
sv_catalog_has_jobs(void)
{
	TableScan	scan;
	ScanKeyData key;
	bool		found;

	key_unfinished(&key);
	scan_begin(&scan, "db_job", AccessShareLock, "db_job_unfinished", 1,
			   &key);
	found = HeapTupleIsValid(systable_getnext(scan.scan));
	scan_end(&scan);
	return found;
}

/*
 * The jobs that are neither done nor cancelled, the failed ones included: a
 * list of SvJob in the order of their ids.
 */
List *
sv_catalog_jobs(void)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *jobs = NIL;

	key_unfinished(&key);
	scan_begin(&scan, "db_job", AccessShareLock, "db_job_unfinished", 1,
			   &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		jobs = lappend(jobs, read_job(tuple, &scan));
	scan_end(&scan);
	list_sort(jobs, compare_jobs);
	return jobs;
}

/*
 * All jobs there have been, the finished ones included: a list of SvJob in the
 * order of their ids.
 */
List *
sv_catalog_all_jobs(void)
{
	TableScan	scan;
	HeapTuple	tuple;
	List	   *jobs = NIL;

	scan_begin(&scan, "db_job", AccessShareLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
		jobs = lappend(jobs, read_job(tuple, &scan));
	scan_end(&scan);
	list_sort(jobs, compare_jobs);
	return jobs;
}

/*
 * The job of that id, finished or not; NULL if there is none.
 */
SvJob *
sv_catalog_job(int32 id)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	SvJob	   *job = NULL;

	key_int4(&key, Job_id, id);
	scan_begin(&scan, "db_job", AccessShareLock, "db_job_pkey", 1, &key);
	tuple = systable_getnext(scan.scan);
	if (HeapTupleIsValid(tuple))
		job = read_job(tuple, &scan);
	scan_end(&scan);
	return job;
}

/* what of a job changes while it lives */
static void
set_job_progress(const SvJob *job, Datum *values, bool *nulls)
{
	set_text(values, nulls, Job_state, job->state);
	set_text(values, nulls, Job_schema, job->schema);
	set_text(values, nulls, Job_relation, job->relation);
	values[Job_relation_id - 1] = ObjectIdGetDatum(job->relid);
	set_text(values, nulls, Job_leaf, job->leaf);
	values[Job_filenode - 1] = ObjectIdGetDatum(job->filenode);
	values[Job_position - 1] = Int64GetDatum(job->position);
	values[Job_blocks_done - 1] = Int64GetDatum(job->blocks_done);
	values[Job_blocks - 1] = Int64GetDatum(job->blocks);
	values[Job_rows - 1] = Int64GetDatum(job->rows);
	values[Job_busy - 1] = Int64GetDatum(job->busy);
	values[Job_attempts - 1] = Int32GetDatum(job->attempts);
	set_text(values, nulls, Job_error, job->error);
	values[Job_started_on - 1] = TimestampTzGetDatum(job->started);
	nulls[Job_started_on - 1] = job->started == 0;
	values[Job_finished_on - 1] = TimestampTzGetDatum(job->finished);
	nulls[Job_finished_on - 1] = job->finished == 0;
}

/*
 * Store a new job; sets its id.
 */
void
sv_catalog_create_job(SvJob *job)
{
	Datum		values[Job_columns] = {0};
	bool		nulls[Job_columns] = {0};

	job->id = next_id("db_job_id_seq");
	values[Job_id - 1] = Int32GetDatum(job->id);
	values[Job_product - 1] = Int32GetDatum(job->product_id);
	values[Job_release - 1] = Int32GetDatum(job->release_id);
	set_text(values, nulls, Job_kind, job->kind);
	set_text(values, nulls, Job_name, job->name);
	set_text(values, nulls, Job_definition, job->text);
	set_text(values, nulls, Job_condition, job->condition);
	values[Job_late - 1] = BoolGetDatum(job->late);
	job->created = GetCurrentTimestamp();
	values[Job_created_on - 1] = TimestampTzGetDatum(job->created);
	set_job_progress(job, values, nulls);
	insert_row("db_job", values, nulls);
	CommandCounterIncrement();
}

/*
 * Store what has become of a job.  The caller holds its row's lock and has
 * read it under that, or knows that it does not run.
 */
void
sv_catalog_update_job(const SvJob *job)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	Datum		values[Job_columns] = {0};
	bool		nulls[Job_columns] = {0};
	bool		replace[Job_columns];

	key_int4(&key, Job_id, job->id);
	scan_begin(&scan, "db_job", RowExclusiveLock, "db_job_pkey", 1, &key);
	tuple = systable_getnext(scan.scan);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "job %d has vanished", job->id);
	for (int i = 0; i < Job_columns; i++)
		replace[i] = i + 1 != Job_id && i + 1 != Job_product &&
			i + 1 != Job_release && i + 1 != Job_kind && i + 1 != Job_name &&
			i + 1 != Job_definition && i + 1 != Job_condition &&
			i + 1 != Job_late && i + 1 != Job_created_on;
	set_job_progress(job, values, nulls);
	CatalogTupleUpdate(scan.table, &tuple->t_self,
					   heap_modify_tuple(tuple, RelationGetDescr(scan.table),
										 values, nulls, replace));
	scan_end(&scan);
	CommandCounterIncrement();
}

/*
 * What nobody needs any more is not to be done: that is what only a version
 * needed which was rolled back.  What others need whose successors there are,
 * these need as well.
 */
static void
cancel_jobs_of(const SvRelease *release)
{
	SvProduct  *product = sv_catalog_product_by_id(release->product_id);
	SvRelease  *current = sv_catalog_release(product, product->current);
	ListCell   *lc;

	if (current == NULL ||
		sv_version_compare(release->version, current->version) <= 0)
		return;
	foreach(lc, sv_catalog_has_jobs() ? sv_catalog_jobs() : NIL)
	{
		SvJob	   *job = lfirst(lc);

		if (job->release_id != release->id)
			continue;
		job->state = SV_JOB_CANCELLED;
		job->finished = GetCurrentTimestamp();
		sv_catalog_update_job(job);
	}
}

/*
 * What the row triggers of tables were told: the rows of db_sync and db_hold
 */

/*
 * Take out the row of a table, and those of tables that are gone, as far as
 * they were of the same product: nobody else takes these out meanwhile.
 */
static void
forget_arguments(const char *catalog, Oid relation, const char *product)
{
	TableScan	scan;
	HeapTuple	tuple;

	scan_begin(&scan, catalog, RowExclusiveLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		Oid			other = DatumGetObjectId(get_value(tuple, &scan,
													   Sync_relation));
		List	   *arguments =
		sv_catalog_text_list(DatumGetArrayTypeP(get_value(tuple, &scan,
														  Sync_arguments)));

		if (other == relation ||
			(product && sv_catalog_has_text(arguments, product) &&
			 !SearchSysCacheExists1(RELOID, ObjectIdGetDatum(other))))
			CatalogTupleDelete(scan.table, &tuple->t_self);
	}
	scan_end(&scan);
	CommandCounterIncrement();
}

static void
note_arguments(const char *catalog, Oid relation, List *arguments,
			   const char *product)
{
	Datum		values[Sync_columns] = {0};
	bool		nulls[Sync_columns] = {0};

	forget_arguments(catalog, relation, product);
	if (arguments == NIL)
		return;
	values[Sync_relation - 1] = ObjectIdGetDatum(relation);
	values[Sync_arguments - 1] = PointerGetDatum(text_array(arguments));
	insert_row(catalog, values, nulls);
	CommandCounterIncrement();
}

static List *
noted_arguments(const char *catalog, Oid relation)
{
	TableScan	scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *arguments = NIL;

	key_oid(&key, Sync_relation, relation);
	scan_begin(&scan, catalog, AccessShareLock,
			   psprintf("%s_pkey", catalog), 1, &key);
	tuple = systable_getnext(scan.scan);
	if (HeapTupleIsValid(tuple))
		arguments =
			sv_catalog_text_list(DatumGetArrayTypePCopy(get_value(tuple, &scan,
																  Sync_arguments)));
	scan_end(&scan);
	return arguments;
}

static List *
noted_tables(const char *catalog)
{
	TableScan	scan;
	HeapTuple	tuple;
	List	   *tables = NIL;

	scan_begin(&scan, catalog, AccessShareLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		Oid			table = DatumGetObjectId(get_value(tuple, &scan,
													   Sync_relation));

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
			tables = lappend_oid(tables, table);
	}
	scan_end(&scan);
	list_sort(tables, list_oid_cmp);
	return tables;
}

/*
 * Note the arguments, a list of strings, that a product's migration has given
 * to sync.c's trigger of a table; NIL: it has none any more.  The caller holds
 * the product's lock.
 */
void
sv_catalog_note_synced(Oid relation, List *arguments, const char *product)
{
	note_arguments("db_sync", relation, arguments, product);
}

/*
 * The arguments that sync.c's trigger of a table must have, a list of strings;
 * NIL if it needs none.
 */
List *
sv_catalog_synced(Oid relation)
{
	return noted_arguments("db_sync", relation);
}

/*
 * The tables whose trigger of sync.c is noted and that still exist: OIDs,
 * ascending.
 */
List *
sv_catalog_synced_tables(void)
{
	return noted_tables("db_sync");
}

/*
 * The same for hold.c's trigger.  With product NULL rows of tables that are
 * gone stay; then a lock on the table is enough.
 */
void
sv_catalog_note_held(Oid relation, List *arguments, const char *product)
{
	note_arguments("db_hold", relation, arguments, product);
}

/*
 * What they must be.
 */
List *
sv_catalog_held(Oid relation)
{
	return noted_arguments("db_hold", relation);
}

/*
 * The tables that have such a note and still exist: OIDs, ascending.
 */
List *
sv_catalog_held_tables(void)
{
	return noted_tables("db_hold");
}

/*
 * Keys
 */

/* could the index tell rows apart?  Then the numbers of its columns. */
static List *
key_columns(Form_pg_index form, HeapTuple tuple)
{
	List	   *numbers = NIL;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate ||
		!heap_attisnull(tuple, Anum_pg_index_indexprs, NULL) ||
		!heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
		return NIL;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	number = form->indkey.values[i];
		HeapTuple	column = SearchSysCache2(ATTNUM,
											 ObjectIdGetDatum(form->indrelid),
											 Int16GetDatum(number));
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(column);
		bool		fits = attribute->attnotnull &&
		!sv_is_hidden(NameStr(attribute->attname));

		ReleaseSysCache(column);
		if (!fits)
			return NIL;
		numbers = lappend_int(numbers, number);
	}
	return numbers;
}

/*
 * What tells the rows of an open table apart: the numbers of the columns of
 * its primary key, or else of another unique key that has no nulls and is not
 * hidden; NIL if there is none.  A parent's key says nothing about its heirs'
 * rows.
 */
List *
sv_catalog_key(Relation table)
{
	List	   *key = NIL;
	ListCell   *lc;

	if (table->rd_rel->relkind == RELKIND_RELATION &&
		has_subclass(RelationGetRelid(table)))
		return NIL;
	foreach(lc, RelationGetIndexList(table))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID,
											ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
		List	   *columns = key_columns(form, tuple);
		bool		is_primary = form->indisprimary;

		ReleaseSysCache(tuple);
		if (columns != NIL && (key == NIL || is_primary))
			key = columns;
	}
	return key;
}

/*
 * The owner of a relation, which must exist.
 */
Oid
sv_catalog_relation_owner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;

	ReleaseSysCache(tuple);
	return owner;
}

/*
 * What a relation, which must exist, is called in SQL: schema and name, both
 * quoted where they need it.
 */
char *
sv_catalog_relation_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

/*
 * The options of a relation, which must exist, as pg_class has them: a copy,
 * 0 if it has none.
 */
Datum
sv_catalog_relation_options(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		isnull;
	Datum		options = SysCacheGetAttr(RELOID, tuple,
										  Anum_pg_class_reloptions, &isnull);

	options = isnull ? (Datum) 0 :
		PointerGetDatum(PG_DETOAST_DATUM_COPY(options));
	ReleaseSysCache(tuple);
	return options;
}

/*
 * Is a column marked NOT NULL?  One that does not exist is not.
 */
bool
sv_catalog_is_not_null(Oid relation, AttrNumber number)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation),
										Int16GetDatum(number));
	bool		notnull = HeapTupleIsValid(tuple) &&
	((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return notnull;
}

/*
 * Does a table have the column of a parent, which alone can change it?  It
 * has none that does not exist.
 */
bool
sv_catalog_is_inherited(Oid relation, AttrNumber number)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation),
										Int16GetDatum(number));
	bool		inherited = HeapTupleIsValid(tuple) &&
	((Form_pg_attribute) GETSTRUCT(tuple))->attinhcount > 0;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return inherited;
}

/*
 * The index of a table by that name, InvalidOid if there is none.
 */
Oid
sv_catalog_index_of(Oid table, const char *name)
{
	Oid			index = get_relname_relid(name, get_rel_namespace(table));
	char		relkind = OidIsValid(index) ? get_rel_relkind(index) : '\0';

	return (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX) &&
		IndexGetRelation(index, true) == table ? index : InvalidOid;
}

/*
 * Has a table a primary key?  Locks it in AccessShareLock.
 */
bool
sv_catalog_has_primary_key(Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	bool		found;

	(void) RelationGetIndexList(table);
	found = OidIsValid(table->rd_pkindex);
	relation_close(table, NoLock);
	return found;
}

/*
 * What a table has as its replica identity, as pg_class says it; zero if there
 * is no such table.
 */
char
sv_catalog_replica_identity(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	char		identity = '\0';

	if (HeapTupleIsValid(tuple))
	{
		identity = ((Form_pg_class) GETSTRUCT(tuple))->relreplident;
		ReleaseSysCache(tuple);
	}
	return identity;
}

/*
 * Former names
 */

/* does a row say something of an index that is there, and is not this one? */
static bool
is_of_another(HeapTuple tuple, TableScan *scan, const char *schema,
			  const char *name)
{
	char	   *its_schema = get_text(tuple, scan, Former_schema);
	char	   *its_name = get_text(tuple, scan, Former_name);
	Oid			space = get_namespace_oid(its_schema, true);

	return OidIsValid(space) && OidIsValid(get_relname_relid(its_name, space)) &&
		(strcmp(its_schema, schema) != 0 || strcmp(its_name, name) != 0);
}

/*
 * What an index of that name was called before it had to give way; NULL if it
 * always was.
 */
char *
sv_catalog_former_name(const char *schema, const char *name)
{
	TableScan	scan;
	HeapTuple	tuple;
	char	   *former = NULL;

	scan_begin(&scan, "db_former_name", AccessShareLock, NULL, 0, NULL);
	while (former == NULL &&
		   HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		if (strcmp(get_text(tuple, &scan, Former_schema), schema) == 0 &&
			strcmp(get_text(tuple, &scan, Former_name), name) == 0)
			former = get_text(tuple, &scan, Former_former);
	}
	scan_end(&scan);
	return former;
}

/*
 * An index is about to go by another name, or by its own in another schema:
 * remember what it was called first.  What is known of indexes that are gone
 * goes as well.
 */
void
sv_catalog_note_rename(const char *schema, const char *name,
					   const char *new_schema, const char *new_name)
{
	char	   *former = sv_catalog_former_name(schema, name);
	Datum		values[Former_columns] = {0};
	bool		nulls[Former_columns] = {0};
	TableScan	scan;
	HeapTuple	tuple;

	scan_begin(&scan, "db_former_name", RowExclusiveLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		if (!is_of_another(tuple, &scan, schema, name))
			CatalogTupleDelete(scan.table, &tuple->t_self);
	}
	scan_end(&scan);
	if (former == NULL)
		former = pstrdup(name);
	if (strcmp(former, new_name) != 0)
	{
		set_text(values, nulls, Former_schema, new_schema);
		set_text(values, nulls, Former_name, new_name);
		set_text(values, nulls, Former_former, former);
		insert_row("db_former_name", values, nulls);
	}
	CommandCounterIncrement();
}

/*
 * Plain indexes that were dropped: the rows of db_dropped_index
 */

static int
compare_dropped(const ListCell *a, const ListCell *b)
{
	return sv_version_compare(((SvDroppedIndex *) lfirst(a))->version,
							  ((SvDroppedIndex *) lfirst(b))->version);
}

/*
 * Those of a product, by version: a list of SvDroppedIndex.
 */
List *
sv_catalog_dropped_indexes(const SvProduct *product)
{
	List	   *result = NIL;
	TableScan	scan;
	HeapTuple	tuple;
	ListCell   *lc;

	scan_begin(&scan, "db_dropped_index", AccessShareLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		SvDroppedIndex *dropped = palloc0(sizeof(SvDroppedIndex));

		dropped->release_id =
			DatumGetInt32(get_value(tuple, &scan, Dropped_release));
		dropped->relation =
			DatumGetObjectId(get_value(tuple, &scan, Dropped_relation));
		dropped->schema = get_text(tuple, &scan, Dropped_schema);
		dropped->table = get_text(tuple, &scan, Dropped_table);
		dropped->name = get_text(tuple, &scan, Dropped_name);
		dropped->definition = get_text(tuple, &scan, Dropped_definition);
		dropped->columns = get_text_list(tuple, &scan, Dropped_names);
		result = lappend(result, dropped);
	}
	scan_end(&scan);
	foreach(lc, result)
	{
		SvDroppedIndex *dropped = lfirst(lc);
		SvRelease  *release = sv_catalog_release(product, dropped->release_id);

		if (release)
			dropped->version = release->version;
		else
			result = foreach_delete_current(result, lc);
	}
	list_sort(result, compare_dropped);
	return result;
}

/*
 * Store one.
 */
void
sv_catalog_store_index(const SvDroppedIndex *dropped)
{
	Datum		values[Dropped_columns] = {0};
	bool		nulls[Dropped_columns] = {0};

	values[Dropped_release - 1] = Int32GetDatum(dropped->release_id);
	values[Dropped_relation - 1] = ObjectIdGetDatum(dropped->relation);
	set_text(values, nulls, Dropped_schema, dropped->schema);
	set_text(values, nulls, Dropped_table, dropped->table);
	set_text(values, nulls, Dropped_name, dropped->name);
	set_text(values, nulls, Dropped_definition, dropped->definition);
	values[Dropped_names - 1] = PointerGetDatum(text_array(dropped->columns));
	insert_row("db_dropped_index", values, nulls);
	CommandCounterIncrement();
}

/*
 * Forget those that the script of a version has dropped.
 */
void
sv_catalog_forget_index(int32 release_id)
{
	TableScan	scan;
	HeapTuple	tuple;

	scan_begin(&scan, "db_dropped_index", RowExclusiveLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		if (DatumGetInt32(get_value(tuple, &scan, Dropped_release)) ==
			release_id)
			CatalogTupleDelete(scan.table, &tuple->t_self);
	}
	scan_end(&scan);
	CommandCounterIncrement();
}

/*
 * Tables whose replica identity was changed: the rows of
 * db_replica_identity
 */

/*
 * The table that a row is about, InvalidOid if there is none.  Its number is
 * that of before a restore, its name that of before it was renamed.
 */
static Oid
table_of_identity(HeapTuple tuple, TableScan *scan)
{
	Oid			table = DatumGetObjectId(get_value(tuple, scan,
												   Identity_relation));
	Oid			schema = get_namespace_oid(get_text(tuple, scan,
													Identity_schema), true);

	if (sv_catalog_replica_identity(table) ==
		get_text(tuple, scan, Identity_given)[0])
		return table;
	return OidIsValid(schema) ?
		get_relname_relid(get_text(tuple, scan, Identity_table), schema) :
		InvalidOid;
}

/*
 * All of them whose table is there: a list of SvIdentityNote.
 */
List *
sv_catalog_identity_notes(void)
{
	List	   *notes = NIL;
	TableScan	scan;
	HeapTuple	tuple;

	scan_begin(&scan, "db_replica_identity", AccessShareLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		SvIdentityNote *note = palloc0(sizeof(SvIdentityNote));

		note->relation = table_of_identity(tuple, &scan);
		note->index = get_text(tuple, &scan, Identity_index);
		note->lost = get_text(tuple, &scan, Identity_lost)[0];
		note->given = get_text(tuple, &scan, Identity_given)[0];
		note->fresh =
			TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		if (OidIsValid(note->relation))
			notes = lappend(notes, note);
	}
	scan_end(&scan);
	return notes;
}

/*
 * That of one table, or NULL.
 */
SvIdentityNote *
sv_catalog_identity_note(Oid relation)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_identity_notes())
	{
		if (((SvIdentityNote *) lfirst(lc))->relation == relation)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * Forget that of a table, and those of tables that are gone.
 */
void
sv_catalog_forget_identity(Oid relation)
{
	TableScan	scan;
	HeapTuple	tuple;

	scan_begin(&scan, "db_replica_identity", RowExclusiveLock, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan.scan)))
	{
		Oid			table = table_of_identity(tuple, &scan);

		if (table == relation || !OidIsValid(table))
			CatalogTupleDelete(scan.table, &tuple->t_self);
	}
	scan_end(&scan);
	CommandCounterIncrement();
}

/*
 * Note one, instead of what was noted of its table.
 */
void
sv_catalog_note_identity(const SvIdentityNote *note)
{
	Datum		values[Identity_columns] = {0};
	bool		nulls[Identity_columns] = {0};

	sv_catalog_forget_identity(note->relation);
	values[Identity_relation - 1] = ObjectIdGetDatum(note->relation);
	set_text(values, nulls, Identity_schema,
			 get_namespace_name(get_rel_namespace(note->relation)));
	set_text(values, nulls, Identity_table, get_rel_name(note->relation));
	set_text(values, nulls, Identity_index, note->index);
	set_text(values, nulls, Identity_lost, psprintf("%c", note->lost));
	set_text(values, nulls, Identity_given, psprintf("%c", note->given));
	insert_row("db_replica_identity", values, nulls);
	CommandCounterIncrement();
}
