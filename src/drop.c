/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  Drop many compatibility views on which nothing stands.
 *
 * The server's deletion looks for what depends on each object and on each of
 * its parts, in catalogs that it opens anew for each of them, and makes each
 * step visible before the next.  For thousands of views that takes longer than
 * a retirement should.  Of compatibility views it is known what they consist
 * of: the view, its types, its rules, and mirrors of keys and checks.  So all
 * rows that the catalogs have of some views are found and deleted together, a
 * range of OIDs at a time, since what was made together has OIDs that lie
 * together.  Whatever has other parts, or has something standing on it, is left
 * to the server.  Event triggers do not see these deletions, as they see none
 * that the server does on its own account; object access hooks do.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_description.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_shdepend.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* OIDs that are no further apart are looked for in one scan */
#define SV_DROP_GAP 64

/* what a view consists of: the view itself, or one of its parts */
typedef struct Part
{
	Oid			class_id;		/* with the next, the key */
	Oid			object;
	int			view;			/* which of them, by its number */
} Part;

/* some views, and what they consist of */
typedef struct Batch
{
	HTAB	   *parts;			/* of Part */
	bool	   *kept;			/* by number: is it left to the server? */
} Batch;

/* how a catalog tells of objects, by an index */
typedef struct Source
{
	Oid			catalog;
	Oid			index;
	AttrNumber	object;			/* the column with the object's OID */
	AttrNumber	class_id;		/* with its catalog's, 0 if that is one */
	AttrNumber	identity;		/* with the OID of the row itself, or 0 */
	AttrNumber	database;		/* or 0 */
	bool		object_first;	/* in the index, before its catalog? */
} Source;

/* a row that tells of a part */
typedef struct Row
{
	Batch	   *batch;
	const Source *source;
	Relation	catalog;
	HeapTuple	tuple;
	int			view;			/* whose part it is */
} Row;

typedef void (*Visit) (const Row *row);

/* what are parts of a view, by its OID */
static const Source owned[] = {
	{.catalog = RewriteRelationId,.index = RewriteRelRulenameIndexId,
		.object = Anum_pg_rewrite_ev_class,.identity = Anum_pg_rewrite_oid},
	{.catalog = ConstraintRelationId,.index = ConstraintRelidTypidNameIndexId,
		.object = Anum_pg_constraint_conrelid,
	.identity = Anum_pg_constraint_oid}
};

/* what tells of any object: what it depends on first */
static const Source described[] = {
	{.catalog = DependRelationId,.index = DependDependerIndexId,
	.object = Anum_pg_depend_objid,.class_id = Anum_pg_depend_classid},
	{.catalog = SharedDependRelationId,.index = SharedDependDependerIndexId,
		.object = Anum_pg_shdepend_objid,.class_id = Anum_pg_shdepend_classid,
	.database = Anum_pg_shdepend_dbid},
	{.catalog = DescriptionRelationId,.index = DescriptionObjIndexId,
		.object = Anum_pg_description_objoid,
	.class_id = Anum_pg_description_classoid,.object_first = true},
	{.catalog = SecLabelRelationId,.index = SecLabelObjectIndexId,
		.object = Anum_pg_seclabel_objoid,
	.class_id = Anum_pg_seclabel_classoid,.object_first = true}
};

static const Source dependents = {
	.catalog = DependRelationId,.index = DependReferenceIndexId,
	.object = Anum_pg_depend_refobjid,.class_id = Anum_pg_depend_refclassid
};

static const Source types = {
	.catalog = TypeRelationId,.index = TypeOidIndexId,
	.object = Anum_pg_type_oid
};

/* what an object is a part of, or NULL */
static Part *
part_of(const Batch *batch, Oid class_id, Oid object)
{
	Part		key = {class_id, object, 0};

	return hash_search(batch->parts, &key, HASH_FIND, NULL);
}

static void
add_part(Batch *batch, Oid class_id, Oid object, int view)
{
	Part		key = {class_id, object, 0};
	Part	   *part = hash_search(batch->parts, &key, HASH_ENTER, NULL);

	part->view = view;
}

/* the OIDs of parts in one catalog of the views that go, ascending */
static List *
oids_of(const Batch *batch, Oid class_id)
{
	List	   *oids = NIL;
	HASH_SEQ_STATUS status;
	Part	   *part;

	hash_seq_init(&status, batch->parts);
	while ((part = hash_seq_search(&status)) != NULL)
	{
		if (part->class_id == class_id && !batch->kept[part->view])
			oids = lappend_oid(oids, part->object);
	}
	list_sort(oids, list_oid_cmp);
	return oids;
}

/* begin a scan of the rows on objects of one catalog, between two OIDs */
static SysScanDesc
begin_scan(const Source *source, Relation catalog, Oid class_id, Oid first,
		   Oid last)
{
	ScanKeyData keys[4];
	ScanKey		key = keys;

	if (source->database)
		ScanKeyInit(key++, source->database, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(MyDatabaseId));
	if (source->class_id && !source->object_first)
		ScanKeyInit(key++, source->class_id, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(class_id));
	ScanKeyInit(key++, source->object, BTGreaterEqualStrategyNumber, F_OIDGE,
				ObjectIdGetDatum(first));
	ScanKeyInit(key++, source->object, BTLessEqualStrategyNumber, F_OIDLE,
				ObjectIdGetDatum(last));
	if (source->class_id && source->object_first)
		ScanKeyInit(key++, source->class_id, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(class_id));
	return systable_beginscan(catalog, source->index, true, NULL, key - keys,
							  keys);
}

static Oid
oid_at(Relation catalog, HeapTuple tuple, AttrNumber column)
{
	bool		isnull;

	return DatumGetObjectId(heap_getattr(tuple, column,
										 RelationGetDescr(catalog), &isnull));
}

/* visit the rows that a source has on parts that are of one catalog */
static void
visit_rows(Batch *batch, const Source *source, Oid class_id, Visit visit)
{
	List	   *oids = oids_of(batch, class_id);
	Relation	catalog = table_open(source->catalog, RowExclusiveLock);
	Row			row = {batch, source, catalog, NULL, 0};
	int			next;

	for (int first = 0; first < list_length(oids); first = next)
	{
		SysScanDesc scan;
		HeapTuple	tuple;

		for (next = first + 1; next < list_length(oids) &&
			 list_nth_oid(oids, next) - list_nth_oid(oids, next - 1) <=
			 SV_DROP_GAP; next++)
			;
		scan = begin_scan(source, catalog, class_id, list_nth_oid(oids, first),
						  list_nth_oid(oids, next - 1));
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Part	   *part = part_of(batch, class_id,
									   oid_at(catalog, tuple, source->object));

			if (part && !batch->kept[part->view])
			{
				row.tuple = tuple;
				row.view = part->view;
				visit(&row);
			}
		}
		systable_endscan(scan);
	}
	table_close(catalog, RowExclusiveLock);
	list_free(oids);
}

static void
note_owned(const Row *row)
{
	add_part(row->batch, row->source->catalog,
			 oid_at(row->catalog, row->tuple, row->source->identity),
			 row->view);
}

static void
note_array_type(const Row *row)
{
	Form_pg_type form = (Form_pg_type) GETSTRUCT(row->tuple);

	if (OidIsValid(form->typarray))
		add_part(row->batch, TypeRelationId, form->typarray, row->view);
}

/* what something depends on that is not a part of the same view stays */
static void
keep_stood_on(const Row *row)
{
	Form_pg_depend form = (Form_pg_depend) GETSTRUCT(row->tuple);
	Part	   *part = part_of(row->batch, form->classid, form->objid);

	if (part == NULL || part->view != row->view)
		row->batch->kept[row->view] = true;
}

/* what was made in an extension's script is the extension's */
static void
keep_of_extension(const Row *row)
{
	Form_pg_depend form = (Form_pg_depend) GETSTRUCT(row->tuple);

	if (form->deptype == DEPENDENCY_EXTENSION)
		row->batch->kept[row->view] = true;
}

static void
delete_row(const Row *row)
{
	CatalogTupleDelete(row->catalog, &row->tuple->t_self);
}

/* find what the views consist of, and which of them can go alone */
static void
look(Batch *batch, List *views)
{
	ListCell   *lc;

	foreach(lc, views)
	{
		int			number = foreach_current_index(lc);

		add_part(batch, RelationRelationId, lfirst_oid(lc), number);
		add_part(batch, TypeRelationId, get_rel_type_id(lfirst_oid(lc)),
				 number);
	}
	visit_rows(batch, &types, TypeRelationId, note_array_type);
	for (int i = 0; i < (int) lengthof(owned); i++)
		visit_rows(batch, &owned[i], RelationRelationId, note_owned);
	visit_rows(batch, &dependents, RelationRelationId, keep_stood_on);
	visit_rows(batch, &dependents, TypeRelationId, keep_stood_on);
	visit_rows(batch, &described[0], RelationRelationId, keep_of_extension);
}

static void
tell_hooks(Batch *batch)
{
	HASH_SEQ_STATUS status;
	Part	   *part;

	hash_seq_init(&status, batch->parts);
	while ((part = hash_seq_search(&status)) != NULL)
	{
		if (!batch->kept[part->view])
			InvokeObjectDropHookArg(part->class_id, part->object, 0,
									PERFORM_DELETION_INTERNAL);
	}
}

/* delete what the catalogs have of the views that go, but for these alone */
static void
drop_parts(Batch *batch)
{
	static const Oid classes[] = {RelationRelationId, TypeRelationId,
	RewriteRelationId, ConstraintRelationId};

	for (int i = 0; i < (int) lengthof(classes); i++)
	{
		for (int j = 0; j < (int) lengthof(described); j++)
			visit_rows(batch, &described[j], classes[i], delete_row);
	}
	for (int i = 0; i < (int) lengthof(owned); i++)
		visit_rows(batch, &owned[i], RelationRelationId, delete_row);
	visit_rows(batch, &types, TypeRelationId, delete_row);
}

/*
 * Drop those of some views, OIDs, that can go alone, and return the others.
 * The caller has locked them in ACCESS EXCLUSIVE mode, so that none gets
 * anything that stands on it, and is allowed to drop them.  Visible when it
 * returns.
 */
List *
sv_drop_lone_views(List *views)
{
	Batch		batch;
	HASHCTL		control = {0};
	List	   *left = NIL;
	ListCell   *lc;

	control.keysize = offsetof(Part, view);
	control.entrysize = sizeof(Part);
	control.hcxt = CurrentMemoryContext;
	batch.parts = hash_create("parts of views", 8 * list_length(views) + 8,
							  &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	batch.kept = palloc0((list_length(views) + 1) * sizeof(bool));
	look(&batch, views);
	tell_hooks(&batch);
	drop_parts(&batch);
	CommandCounterIncrement();
	foreach(lc, views)
	{
		if (batch.kept[foreach_current_index(lc)])
			left = lappend_oid(left, lfirst_oid(lc));
		else
			heap_drop_with_catalog(lfirst_oid(lc));
	}
	CommandCounterIncrement();
	hash_destroy(batch.parts);
	return left;
}
