/*-------------------------------------------------------------------------
 *
 * compat.c
 *	  Reconcile: make the version schemas hold what they must, and nothing
 *	  else.
 *
 * A version schema holds a view for exactly those relations where the base
 * does not fulfil the version's contract.  Each view stands directly on the
 * base relation, never on another version's view.  Reconcile compares what is
 * there with what must be and touches only what differs, so it can be run
 * again at any time and then changes nothing.
 *
 * A view is made as good as the table it stands for: it carries the
 * contract's defaults, the primary key and unique constraints under the
 * contract's names, pg_constraint rows whose conindid is the base's index,
 * and the owner and privileges of its base.  It checks privileges as its
 * invoker, so that row security, foreign user mappings and triggers see who
 * really asks; where columns have privileges of their own it checks as its
 * owner instead, since an invoker's view reads all of its columns.
 *
 * Everything is done as the extension's owner, by direct calls: event
 * triggers do not fire.  Whenever a view appears or goes, the relation under
 * it is invalidated, or prepared statements would keep their old plan.
 *
 * Schemas and views depend on the extension, so DROP EXTENSION takes them
 * along; they are no members of it, so pg_dump keeps them.  A view depends on
 * its base the way an index does: it never stands in the way of a DROP, which
 * is for the guard and for apply() to judge.
 *
 * What reconcile would do can also be told without doing it, for verify(): by
 * the same comparisons, so that both always agree.
 *
 * Locks: the caller holds the product's lock, and ACCESS EXCLUSIVE locks on
 * the existing views of relations that changed, taken before those of the
 * relations.
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
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/tablecmds.h"
#include "commands/view.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteSupport.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* a view that must be: everything reconcile needs to make it */
typedef struct Wanted
{
	const SvEntry *entry;		/* the version's idea of the relation */
	SvEntry    *now;			/* what stands behind it */
	List	   *columns;		/* per contract column its SvPart of now */
	Oid			schema;			/* the version schema */
	Oid			base;
	bool		as_owner;		/* privileges are checked as the owner */
	const SvRelease *release;
	List	  **mismatches;		/* where to tell instead of doing, or NULL */
} Wanted;

/*
 * Version schemas
 */

/* a part of a schema's name from a version's text: dots turn to underscores */
static char *
version_suffix(const SvVersion *version)
{
	char	   *text = sv_version_text(version);

	for (char *p = text; *p; p++)
	{
		if (!isalnum((unsigned char) *p))
			*p = '_';
	}
	return text;
}

/* product_suffix, the product shortened and marked by a hash if too long */
static char *
schema_name(const char *product, const char *suffix)
{
	int			room = NAMEDATALEN - 1 - 1 - (int) strlen(suffix);
	int			length = (int) strlen(product);

	if (length <= room)
		return psprintf("%s_%s", product, suffix);
	room -= 9;
	if (room < 1)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("version schema of product \"%s\" would have too long a name",
						product),
				 errdetail("Its name ends in \"_%s\", and names have at most %d bytes.",
						   suffix, NAMEDATALEN - 1),
				 errhint("Choose a shorter version number or shorter names of schemas.")));
	length = pg_mbcliplen(product, length, room);
	return psprintf("%.*s_%08x_%s", length, product,
					hash_bytes((const unsigned char *) product,
							   (int) strlen(product)), suffix);
}

/*
 * The names of a new version's schemas, one for each base schema: the first
 * is <product>_<version>, the others have the base schema's name behind.
 */
List *
sv_compat_schema_names(const SvProduct *product, const SvVersion *version)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, product->schemas)
	{
		char	   *suffix = version_suffix(version);

		if (foreach_current_index(lc) > 0)
			suffix = psprintf("%s_%s", suffix, (char *) lfirst(lc));
		names = lappend(names, schema_name(product->name, suffix));
	}
	return names;
}

/*
 * Replace an ACL column of a catalog row, and its dependencies on roles.  A
 * column depends on them as a part of its relation, not as a row of its own.
 */
static void
store_acl(Oid catalog_id, HeapTuple tuple, int column, Acl *acl,
		  Oid object, int sub_object, Oid owner)
{
	Relation	catalog = table_open(catalog_id, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc0(desc->natts * sizeof(bool));
	bool	   *replace = palloc0(desc->natts * sizeof(bool));
	Oid		   *old_members = NULL;
	Oid		   *new_members = NULL;
	int			old_count = 0;
	int			new_count = 0;
	bool		isnull;
	Datum		old = heap_getattr(tuple, column, desc, &isnull);

	if (!isnull)
		old_count = aclmembers(DatumGetAclPCopy(old), &old_members);
	if (acl)
		new_count = aclmembers(acl, &new_members);
	values[column - 1] = PointerGetDatum(acl);
	nulls[column - 1] = acl == NULL;
	replace[column - 1] = true;
	tuple = heap_modify_tuple(tuple, desc, values, nulls, replace);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	updateAclDependencies(sub_object ? RelationRelationId : catalog_id,
						  object, sub_object, owner,
						  old_count, old_members, new_count, new_members);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

static bool
same_acl(Datum a, bool a_null, Datum b, bool b_null)
{
	if (a_null || b_null)
		return a_null && b_null;
	return aclequal(DatumGetAclP(a), DatumGetAclP(b));
}

static void
grant_usage(Acl **acl, Oid grantee, Oid owner)
{
	AclItem		item;

	item.ai_grantee = grantee;
	item.ai_grantor = owner;
	ACLITEM_SET_PRIVS_GOPTIONS(item, ACL_USAGE, ACL_NO_RIGHTS);
	*acl = aclupdate(*acl, &item, ACL_MODECHG_ADD, owner, DROP_RESTRICT);
}

/*
 * Whoever may use the base schema may use its version schema; nobody but the
 * owner may create anything there.  True if it was not so; "look" leaves it.
 */
static bool
sync_schema_rights(Oid schema, Oid base_schema, bool look)
{
	HeapTuple	base = SearchSysCache1(NAMESPACEOID,
									   ObjectIdGetDatum(base_schema));
	HeapTuple	tuple = SearchSysCacheCopy1(NAMESPACEOID,
											ObjectIdGetDatum(schema));
	Oid			owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	Acl		   *acl = acldefault(OBJECT_SCHEMA, owner);
	bool		changed;
	bool		isnull;
	Datum		datum;

	grant_usage(&acl, ((Form_pg_namespace) GETSTRUCT(base))->nspowner, owner);
	datum = SysCacheGetAttr(NAMESPACEOID, base, Anum_pg_namespace_nspacl,
							&isnull);
	if (!isnull)
	{
		Acl		   *base_acl = DatumGetAclP(datum);

		for (int i = 0; i < ACL_NUM(base_acl); i++)
		{
			AclItem    *item = &ACL_DAT(base_acl)[i];

			if (ACLITEM_GET_PRIVS(*item) & ACL_USAGE)
				grant_usage(&acl, item->ai_grantee, owner);
		}
	}
	datum = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl,
							&isnull);
	changed = !same_acl(datum, isnull, PointerGetDatum(acl), false);
	if (changed && !look)
		store_acl(NamespaceRelationId, tuple, Anum_pg_namespace_nspacl, acl,
				  schema, 0, owner);
	ReleaseSysCache(base);
	return changed;
}

/*
 * Create the version schemas of a new release.  A name that is taken is an
 * error.
 */
void
sv_compat_create_schemas(const SvProduct *product, const SvRelease *release)
{
	SvIdentity	identity;
	ListCell   *lc;

	sv_catalog_become_owner(&identity);
	foreach(lc, release->schemas)
	{
		char	   *name = lfirst(lc);
		char	   *base = list_nth(product->schemas,
									foreach_current_index(lc));
		Oid			schema;

		if (OidIsValid(get_namespace_oid(name, true)))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_SCHEMA),
					 errmsg("schema \"%s\" already exists", name),
					 errdetail("Version %s of product \"%s\" needs a schema of that name.",
							   release->label, product->name),
					 errhint("Rename the existing schema, or choose another version number.")));
		schema = NamespaceCreate(name, GetUserId(), false);
		CommandCounterIncrement();
		sv_catalog_depend_on_extension(NamespaceRelationId, schema);
		(void) sync_schema_rights(schema, get_namespace_oid(base, false),
								  false);
	}
	sv_catalog_become_caller(&identity);
}

/* the relation that a compatibility view stands on, InvalidOid if unclear */
static Oid
base_of_view(Oid view)
{
	Oid			base;
	List	   *columns;

	return sv_contract_read_view(view, &base, &columns) ? base :
		InvalidOid;
}

static void
invalidate_base(Oid base)
{
	if (OidIsValid(base))
		CacheInvalidateRelcacheByRelid(base);
}

/*
 * What somebody has made in a version schema with the guard off may hold data
 * and is not ours to drop.
 */
static void
check_is_view(Oid relation)
{
	if (get_rel_relkind(relation) != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" does not belong in the version schema \"%s\"",
						get_rel_name(relation),
						get_namespace_name(get_rel_namespace(relation))),
				 errhint("Move it to another schema with ALTER TABLE %s SET SCHEMA, or drop it with schemaver.guard off.",
						 sv_catalog_relation_name(relation))));
}

static void
drop_view(Oid view)
{
	ObjectAddress address;
	Oid			base = base_of_view(view);

	check_is_view(view);
	ObjectAddressSet(address, RelationRelationId, view);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	invalidate_base(base);
}


/*
 * Views
 */

/*
 * The version schema of a release that stands in front of a base schema,
 * InvalidOid if there is none.
 */
Oid
sv_compat_schema_for(const SvProduct *product, const SvRelease *release,
					 const char *base_schema)
{
	ListCell   *lb;
	ListCell   *lv;

	forboth(lb, product->schemas, lv, release->schemas)
	{
		if (strcmp(lfirst(lb), base_schema) == 0)
			return get_namespace_oid(lfirst(lv), true);
	}
	return InvalidOid;
}

/* the version schema in which an entry's view would stand */
static Oid
schema_of_entry(const SvProduct *product, const SvRelease *release,
				const SvEntry *entry)
{
	return sv_compat_schema_for(product, release, entry->schema);
}

/* is it for a view to show an entry, or for a stand-in of its own kind? */
static bool
is_shown_by_view(const SvEntry *entry)
{
	return sv_contract_is_relation(entry->kind);
}

/* does it stand in a version schema itself when it was put away? */
static bool
is_housed(const SvEntry *entry)
{
	return !is_shown_by_view(entry) || entry->kind == RELKIND_SEQUENCE;
}

/* tell of a view, or of a whole version schema, instead of mending it */
static void
tell(List **mismatches, const SvRelease *release, const SvEntry *entry,
	 char *object, const char *finding, const char *detail, bool mendable)
{
	SvMismatch *mismatch = palloc(sizeof(SvMismatch));

	mismatch->release = release;
	mismatch->entry = entry;
	mismatch->object = object;
	mismatch->finding = finding;
	mismatch->detail = detail;
	mismatch->mendable = mendable;
	*mismatches = lappend(*mismatches, mismatch);
}

static void
tell_of_view(const Wanted *wanted, const char *finding, const char *detail,
			 bool mendable)
{
	tell(wanted->mismatches, wanted->release, wanted->entry,
		 quote_qualified_identifier(get_namespace_name(wanted->schema),
									wanted->entry->name),
		 finding, detail, mendable);
}

/* has any column of the relation privileges of its own? */
static bool
has_column_grants(Oid relation)
{
	Relation	catalog = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTGreaterStrategyNumber,
				F_INT2GT, Int16GetDatum(0));
	scan = systable_beginscan(catalog, AttributeRelidNumIndexId, true, NULL,
							  2, keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = !((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped &&
			!heap_attisnull(tuple, Anum_pg_attribute_attacl,
							RelationGetDescr(catalog));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* what a view for the entry must be; false if none can be made */
static bool
plan_view(const SvProduct *product, Wanted *wanted)
{
	const SvEntry *entry = wanted->entry;
	ListCell   *lc;

	wanted->now = sv_contract_resolve(entry);
	wanted->columns = NIL;
	if (wanted->now == NULL || !OidIsValid(wanted->schema))
		return false;
	wanted->base = wanted->now->physical;
	foreach(lc, entry->columns)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *now = sv_contract_find_column(entry, then, wanted->now);

		if (now == NULL)
			return false;
		wanted->columns = lappend(wanted->columns, now);
	}
	wanted->as_owner = has_column_grants(wanted->base);
	if (!wanted->as_owner || !wanted->now->rowsecurity)
		return true;
	if (wanted->mismatches == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("no view can stand in for table %s in version %s of product \"%s\"",
						quote_qualified_identifier(entry->schema, entry->name),
						wanted->release->label, product->name),
				 errdetail("It has both row security and privileges on columns."),
				 errhint("Grant privileges on the whole table, or disable row security, then apply the migration.")));
	tell_of_view(wanted, "view missing",
				 "No view can stand in for a table with both row security and privileges on columns.",
				 false);
	return false;
}

/* does a view show all rows of one relation, and nothing else? */
static bool
is_plain(Relation view)
{
	Query	   *query = get_view_query(view);
	Node	   *from = linitial(query->jointree->fromlist);

	return list_length(query->jointree->fromlist) == 1 &&
		IsA(from, RangeTblRef) && query->jointree->quals == NULL &&
		rt_fetch(((RangeTblRef *) from)->rtindex, query->rtable)->inh &&
		!query->hasAggs && !query->hasTargetSRFs && !query->hasSubLinks &&
		query->cteList == NIL && query->groupClause == NIL &&
		query->groupingSets == NIL && query->havingQual == NULL &&
		query->windowClause == NIL && query->distinctClause == NIL &&
		query->sortClause == NIL && query->limitOffset == NULL &&
		query->limitCount == NULL && query->setOperations == NULL &&
		!RelationIsSecurityView(view) && !RelationHasCheckOption(view);
}

/* does a view select exactly these columns of the base under their names? */
static bool
has_columns(Relation view, const Wanted *wanted)
{
	Oid			base;
	List	   *numbers;
	TupleDesc	desc = RelationGetDescr(view);
	ListCell   *lc;
	ListCell   *ln;
	int			i = 0;

	if (!sv_contract_read_view(RelationGetRelid(view), &base, &numbers) ||
		base != wanted->base || !is_plain(view) ||
		list_length(numbers) != list_length(wanted->columns))
		return false;
	forboth(lc, wanted->columns, ln, numbers)
	{
		SvPart	   *then = list_nth(wanted->entry->columns, i);

		if (((SvPart *) lfirst(lc))->number != lfirst_int(ln) ||
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), then->name) != 0)
			return false;
		i++;
	}
	return RelationHasSecurityInvoker(view) == !wanted->as_owner;
}

/* the statement that makes a view; every name in it is quoted */
static char *
view_statement(const Wanted *wanted)
{
	StringInfoData text;
	ListCell   *lc;
	ListCell   *le;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE OR REPLACE VIEW %s%s AS SELECT ",
					 quote_qualified_identifier(get_namespace_name(wanted->schema),
												wanted->entry->name),
					 wanted->as_owner ? "" : " WITH (security_invoker)");
	forboth(lc, wanted->columns, le, wanted->entry->columns)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(&text, ", ");
		appendStringInfoString(&text,
							   quote_identifier(((SvPart *) lfirst(lc))->name));
		appendStringInfo(&text, " AS %s",
						 quote_identifier(((SvPart *) lfirst(le))->name));
	}
	appendStringInfo(&text, " FROM %s",
					 quote_qualified_identifier(wanted->now->schema,
												wanted->now->name));
	return text.data;
}

/* run CREATE OR REPLACE VIEW; returns the view's OID */
static Oid
define_view(char *text)
{
	RawStmt    *raw = linitial_node(RawStmt,
									raw_parser(text, RAW_PARSE_DEFAULT));
	ObjectAddress address;

	/* the command that an event trigger stands for is not this one */
	EventTriggerInhibitCommandCollection();
	PG_TRY();
	{
		address = DefineView(castNode(ViewStmt, raw->stmt), text,
							 raw->stmt_location, raw->stmt_len);
	}
	PG_FINALLY();
	{
		EventTriggerUndoInhibitCommandCollection();
	}
	PG_END_TRY();
	CommandCounterIncrement();
	return address.objectId;
}

/* create or replace the view; returns its OID */
static Oid
make_view(const Wanted *wanted)
{
	Oid			view = define_view(view_statement(wanted));

	invalidate_base(wanted->base);
	return view;
}

/*
 * Let the view go along with what it stands on instead of standing in the
 * way: its rule depends on the base automatically, and so does it itself.
 */
static void
soften_dependencies(Oid view, const Wanted *wanted)
{
	Relation	catalog = table_open(DependRelationId, RowExclusiveLock);
	Oid			rule = get_rewrite_oid(view, "_RETURN", false);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	ObjectAddress depender;
	ObjectAddress *columns;
	ListCell   *lc;
	bool		hard = false;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(RewriteRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(rule));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL,
							  2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->refobjid != wanted->base ||
			form->deptype != DEPENDENCY_NORMAL)
			continue;
		tuple = heap_copytuple(tuple);
		((Form_pg_depend) GETSTRUCT(tuple))->deptype = DEPENDENCY_AUTO;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		hard = true;
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	if (!hard)
		return;
	deleteDependencyRecordsForSpecific(RelationRelationId, view,
									   DEPENDENCY_AUTO, RelationRelationId,
									   wanted->base);
	ObjectAddressSet(depender, RelationRelationId, view);
	columns = palloc(sizeof(ObjectAddress) * list_length(wanted->columns));
	foreach(lc, wanted->columns)
		ObjectAddressSubSet(columns[foreach_current_index(lc)],
							RelationRelationId, wanted->base,
							((SvPart *) lfirst(lc))->number);
	recordMultipleDependencies(&depender, columns,
							   list_length(wanted->columns),
							   DEPENDENCY_AUTO);
	CommandCounterIncrement();
}

/* what shape a view must have to be replaced in place */
static bool
is_replaceable(Oid view, const Wanted *wanted)
{
	Relation	relation = relation_open(view, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	bool		fits = relation->rd_rel->relkind == RELKIND_VIEW &&
		desc->natts == list_length(wanted->columns);

	for (int i = 0; fits && i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		SvPart	   *then = list_nth(wanted->entry->columns, i);
		SvPart	   *now = list_nth(wanted->columns, i);

		fits = strcmp(NameStr(attribute->attname), then->name) == 0 &&
			strcmp(sv_contract_type_text(attribute->atttypid,
										 attribute->atttypmod,
										 attribute->attcollation),
				   now->type) == 0;
	}
	relation_close(relation, NoLock);
	return fits;
}

/* the default of a view's column as text, NULL if it has none */
static char *
view_default(Relation view, AttrNumber number)
{
	if (!TupleDescAttr(RelationGetDescr(view), number - 1)->atthasdef)
		return NULL;
	return sv_contract_default_text(GetAttrDefaultOid(RelationGetRelid(view),
													  number));
}

/*
 * Parse a default that the catalogs have told.  To parse may be to execute:
 * the input of a literal whose type holds a domain runs the domain's checks,
 * which are its owner's code.  So it is done as the base's owner, under whom
 * the default has always been, and not as the extension's.
 */
static Node *
cook_default(const char *text, Form_pg_attribute attribute, Oid base)
{
	List	   *list = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt,
								  linitial_node(RawStmt, list)->stmt);
	ResTarget  *target = linitial_node(ResTarget, select->targetList);
	ParseState *pstate = make_parsestate(NULL);
	int			nestlevel = NewGUCNestLevel();
	SvIdentity	identity;
	Node	   *cooked;

	pstate->p_sourcetext = text;
	GetUserIdAndSecContext(&identity.user, &identity.context);
	SetUserIdAndSecContext(sv_catalog_relation_owner(base),
						   identity.context | SECURITY_RESTRICTED_OPERATION);
	cooked = cookDefault(pstate, target->val, attribute->atttypid,
						 attribute->atttypmod, NameStr(attribute->attname), 0);
	AtEOXact_GUC(false, nestlevel);
	sv_catalog_become_caller(&identity);
	return cooked;
}

/* a view's default, which stands in the way of no DROP either */
static void
store_node(Relation view, AttrNumber number, Node *node)
{
	ObjectAddress address;

	ObjectAddressSet(address, AttrDefaultRelationId,
					 StoreAttrDefault(view, number, node, true, false));
	CommandCounterIncrement();
	sv_retain_soften(list_make1(&address));
}

/* the defaults of a view's columns that no base has any more, by name */
typedef struct SavedDefault
{
	char	   *column;
	Node	   *expression;
} SavedDefault;

/*
 * Save the defaults of a view that is to be made anew: they know what they
 * mean by OID, where the text in the contract may have fallen behind.
 */
static List *
save_defaults(Oid view)
{
	Relation	relation = relation_open(view, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *saved = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		SavedDefault *item;

		if (!TupleDescAttr(desc, i)->atthasdef)
			continue;
		item = palloc(sizeof(SavedDefault));
		item->column = pstrdup(NameStr(TupleDescAttr(desc, i)->attname));
		item->expression = build_column_default(relation, i + 1);
		saved = lappend(saved, item);
	}
	relation_close(relation, NoLock);
	return saved;
}

static void
restore_defaults(Oid view, const Wanted *wanted, List *saved)
{
	Relation	relation = relation_open(view, AccessShareLock);
	ListCell   *lc;

	foreach(lc, saved)
	{
		SavedDefault *item = lfirst(lc);
		AttrNumber	number = get_attnum(view, item->column);
		SvPart	   *then = number > 0 ?
		list_nth(wanted->entry->columns, number - 1) : NULL;

		if (then && then->expression && !OidIsValid(then->object))
			store_node(relation, number, item->expression);
	}
	relation_close(relation, NoLock);
}

/* must a NULL keep the base's default from showing through? */
static bool
wants_null(const SvPart *then, const SvPart *now)
{
	return then->expression == NULL && then->generated == ' ' &&
		then->identity == ' ' &&
		(OidIsValid(now->object) || now->identity != ' ') &&
		now->generated == ' ';
}

/* is the default of a view's column a NULL that we have put there? */
static bool
is_null_default(Relation view, AttrNumber number)
{
	Node	   *node = build_column_default(view, number);

	return node && IsA(node, Const) && ((Const *) node)->constisnull;
}

/*
 * The sequence that a release knows by which a column of a table was an
 * identity, or one that it is kept in step with, but for those seen already.
 */
static Oid
find_numbering(Oid base, AttrNumber number, const SvRelease *release,
			   List **seen)
{
	Oid			sequence = sv_contract_kept_identity(base, number, release);
	ListCell   *lc;

	*seen = lappend_int(*seen, number);
	foreach(lc, OidIsValid(sequence) ? NIL : sv_sync_pairs(base))
	{
		SvSyncPair *pair = lfirst(lc);
		AttrNumber	old_number = get_attnum(base, pair->old_column);
		AttrNumber	new_number = get_attnum(base, pair->new_column);
		AttrNumber	other = old_number == number ? new_number :
		new_number == number ? old_number : InvalidAttrNumber;

		if (other == InvalidAttrNumber || list_member_int(*seen, other))
			continue;
		sequence = find_numbering(base, other, release, seen);
		if (OidIsValid(sequence))
			break;
	}
	return sequence;
}

/*
 * The sequence that numbers rows for a version whose identity column is none
 * any more and has no default either; InvalidOid if there is none.  What the
 * version writes may be another column now, which it is kept in step with.
 */
static Oid
numbering_sequence(const Wanted *wanted, const SvPart *then,
				   const SvPart *now)
{
	List	   *seen = NIL;

	if (then->identity == ' ' || now->identity != ' ' ||
		OidIsValid(now->object))
		return InvalidOid;
	return find_numbering(wanted->base, now->number, wanted->release, &seen);
}

/* is the default of a view's column the next value of the sequence? */
static bool
is_next_value(Relation view, AttrNumber number, Oid sequence)
{
	Node	   *node = build_column_default(view, number);

	return node && IsA(node, NextValueExpr) &&
		((NextValueExpr *) node)->seqid == sequence;
}

/* asks for no privilege on the sequence, as an identity does */
static Node *
make_next_value(Oid sequence, Form_pg_attribute attribute)
{
	NextValueExpr *next = makeNode(NextValueExpr);

	next->seqid = sequence;
	next->typeId = attribute->atttypid;
	return (Node *) next;
}

/* the expression for the default that a view's column must have, or NULL */
static Node *
make_default(const char *want, bool null, Oid sequence,
			 Form_pg_attribute attribute, Oid base)
{
	if (OidIsValid(sequence))
		return make_next_value(sequence, attribute);
	if (null)
		return (Node *) makeNullConst(attribute->atttypid,
									  attribute->atttypmod,
									  attribute->attcollation);
	return want ? cook_default(want, attribute, base) : NULL;
}

/* give the view's columns the contract's defaults; true if one differs */
static bool
sync_defaults(Oid view, const Wanted *wanted)
{
	Relation	relation = relation_open(view, AccessShareLock);
	bool		changed = false;

	for (int i = 0; i < list_length(wanted->columns); i++)
	{
		SvPart	   *then = list_nth(wanted->entry->columns, i);
		SvPart	   *now = list_nth(wanted->columns, i);
		char	   *want = then->generated == ' ' ? then->expression : NULL;
		char	   *have = view_default(relation, i + 1);
		bool		null = wants_null(then, now);
		Oid			sequence = numbering_sequence(wanted, then, now);
		Node	   *node;

		if (OidIsValid(sequence) ?
			is_next_value(relation, i + 1, sequence) :
			null ? have && is_null_default(relation, i + 1) :
			strcmp(want ? want : "", have ? have : "") == 0)
			continue;

		/* one that the base has given up follows names by itself */
		if (want && have && !OidIsValid(then->object))
			continue;
		changed = true;
		if (wanted->mismatches)
			break;
		if (have)
		{
			RemoveAttrDefault(view, i + 1, DROP_RESTRICT, true, true);
			CommandCounterIncrement();
		}
		node = make_default(want, null, sequence,
							TupleDescAttr(RelationGetDescr(relation), i),
							wanted->base);
		if (node)
			store_node(relation, i + 1, node);
	}
	relation_close(relation, NoLock);
	if (changed)
		CommandCounterIncrement();
	return changed;
}

/* the constraint that a view's mirror of that name stands for, or InvalidOid */
static Oid
mirrored_index(Oid view, const char *name)
{
	Oid			constraint = get_relation_constraint_oid(view, name, true);

	return OidIsValid(constraint) ? get_constraint_index(constraint) :
		InvalidOid;
}

/* positions in the view of the columns that a constraint is over; 0 stays */
static int
mirrored_columns(const Wanted *wanted, const SvPart *constraint, int16 *keys)
{
	int			n = 0;
	ListCell   *lc;
	ListCell   *lk;

	foreach(lk, constraint->columns)
	{
		if (lfirst_int(lk) == 0)
			keys[n++] = 0;
		foreach(lc, lfirst_int(lk) == 0 ? NIL : wanted->columns)
		{
			if (((SvPart *) lfirst(lc))->number == lfirst_int(lk))
				keys[n++] = foreach_current_index(lc) + 1;
		}
	}
	return n == list_length(constraint->columns) ? n : 0;
}

/*
 * What an index has beyond the columns of its constraint the server takes for
 * columns of the constraint's relation, when it prints that.  Where a view has
 * no such ones, the last one stands for them as well.
 */
static int
pad_columns(Oid view, Oid index, int16 *keys, int nkeys)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	bool		fits = true;

	for (int i = nkeys; i < form->indnatts; i++)
		fits &= get_attname(view, form->indkey.values[i], true) != NULL;
	for (int i = nkeys; nkeys > 0 && !fits && i < form->indnatts; i++)
		keys[i] = keys[nkeys - 1];
	if (nkeys > 0 && !fits)
		nkeys = form->indnatts;
	ReleaseSysCache(tuple);
	return nkeys;
}

/* the operators of an exclusion constraint, NULL of another one */
static Oid *
excluding_operators(HeapTuple constraint)
{
	bool		isnull;
	Datum		operators = SysCacheGetAttr(CONSTROID, constraint,
											Anum_pg_constraint_conexclop,
											&isnull);

	return isnull ? NULL : (Oid *) ARR_DATA_PTR(DatumGetArrayTypeP(operators));
}

/* make a pg_constraint row of the view that names the base's index */
static void
mirror_constraint(Oid view, const Wanted *wanted, const SvPart *then,
				  const SvPart *now)
{
	int16		keys[INDEX_MAX_KEYS];
	int			nkeys = mirrored_columns(wanted, now, keys);
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(now->object));
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	ObjectAddress mirror;
	ObjectAddress base;
	Oid			constraint = InvalidOid;

	if (form->contype != CONSTRAINT_EXCLUSION)
		nkeys = pad_columns(view, form->conindid, keys, nkeys);
	if (nkeys > 0)
		constraint = CreateConstraintEntry(then->name, wanted->schema,
										   then->flavour,
										   form->condeferrable,
										   form->condeferred, true,
										   InvalidOid, view, keys, nkeys,
										   nkeys, InvalidOid, form->conindid,
										   InvalidOid, NULL, NULL, NULL, NULL,
										   0, ' ', ' ', NULL, 0, ' ',
										   excluding_operators(tuple),
										   NULL, NULL, true, 0, true, true);
	ReleaseSysCache(tuple);
	if (!OidIsValid(constraint))
		return;
	ObjectAddressSet(mirror, ConstraintRelationId, constraint);
	ObjectAddressSet(base, ConstraintRelationId, now->object);
	recordDependencyOn(&mirror, &base, DEPENDENCY_AUTO);
	CommandCounterIncrement();
	CacheInvalidateRelcacheByRelid(view);
}

/* the constraint of now that a contract's stands for; linked by its OID */
static SvPart *
constraint_of(const Wanted *wanted, const SvPart *then)
{
	ListCell   *lc;

	foreach(lc, wanted->now->constraints)
	{
		SvPart	   *now = lfirst(lc);

		if (now->object == then->object && strchr("pux", now->flavour))
			return now;
	}
	return NULL;
}

/* primary key, unique and exclusion constraints by the contract's names */
static bool
sync_constraints(Oid view, const Wanted *wanted)
{
	bool		changed = false;
	ListCell   *lc;

	foreach(lc, wanted->entry->constraints)
	{
		SvPart	   *then = lfirst(lc);
		SvPart	   *now = constraint_of(wanted, then);
		Oid			index = mirrored_index(view, then->name);

		if (now == NULL || index == get_constraint_index(now->object))
			continue;
		changed = true;
		if (wanted->mismatches)
			break;
		if (OidIsValid(index))
		{
			ObjectAddress stale;

			ObjectAddressSet(stale, ConstraintRelationId,
							 get_relation_constraint_oid(view, then->name,
														 false));
			performDeletion(&stale, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
			CommandCounterIncrement();
		}
		mirror_constraint(view, wanted, then, now);
	}
	return changed;
}

/* the privileges of one column of the base, on the view's column */
static bool
sync_column_rights(Oid view, AttrNumber number, Oid base,
				   AttrNumber base_number, Oid owner, bool look)
{
	HeapTuple	from = SearchSysCache2(ATTNUM, ObjectIdGetDatum(base),
									   Int16GetDatum(base_number));
	HeapTuple	to = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(view),
										 Int16GetDatum(number));
	bool		from_null;
	bool		to_null;
	Datum		from_acl = SysCacheGetAttr(ATTNUM, from,
										   Anum_pg_attribute_attacl,
										   &from_null);
	Datum		to_acl = SysCacheGetAttr(ATTNUM, to, Anum_pg_attribute_attacl,
										 &to_null);
	bool		changed = !same_acl(from_acl, from_null, to_acl, to_null);

	if (changed && !look)
		store_acl(AttributeRelationId, to, Anum_pg_attribute_attacl,
				  from_null ? NULL : DatumGetAclPCopy(from_acl),
				  view, number, owner);
	ReleaseSysCache(from);
	return changed;
}

static void
set_invoker(Oid view, bool as_owner)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = AT_ReplaceRelOptions;
	if (!as_owner)
		command->def = (Node *)
			list_make1(makeDefElem("security_invoker",
								   (Node *) makeString("true"), -1));
	EventTriggerInhibitCommandCollection();
	PG_TRY();
	{
		AlterTableInternal(view, list_make1(command), false);
	}
	PG_FINALLY();
	{
		EventTriggerUndoInhibitCommandCollection();
	}
	PG_END_TRY();
	CommandCounterIncrement();
}

/*
 * Have a view check privileges as its owner or as its invoker; true if it did
 * otherwise.  Row security wins over privileges on columns: better a view
 * that somebody cannot use than one that shows him all rows.
 */
static bool
sync_invoker(Oid view, Oid base, bool rowsecurity, bool look)
{
	Relation	relation = relation_open(view, AccessShareLock);
	bool		is_invoker = RelationHasSecurityInvoker(relation);
	bool		as_owner = has_column_grants(base) && !rowsecurity;

	relation_close(relation, NoLock);
	if (is_invoker == !as_owner)
		return false;
	if (!look)
		set_invoker(view, as_owner);
	return true;
}

/*
 * Owner and privileges of the view are those of its base, and are checked in
 * the way that these ask for; true if something was not so.  "look" leaves it.
 */
static bool
sync_rights(Oid view, bool look)
{
	Oid			base;
	List	   *numbers;
	HeapTuple	from;
	HeapTuple	to;
	Oid			owner;
	Datum		from_acl;
	Datum		to_acl;
	bool		from_null;
	bool		to_null;
	bool		changed = false;
	ListCell   *lc;

	if (!sv_contract_read_view(view, &base, &numbers))
		return false;
	from = SearchSysCache1(RELOID, ObjectIdGetDatum(base));
	owner = ((Form_pg_class) GETSTRUCT(from))->relowner;
	to = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(view));
	if (((Form_pg_class) GETSTRUCT(to))->relowner != owner)
		changed = true;
	if (changed && !look)
	{
		ATExecChangeOwner(view, owner, true, AccessExclusiveLock);
		CommandCounterIncrement();
		to = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(view));
	}
	from_acl = SysCacheGetAttr(RELOID, from, Anum_pg_class_relacl, &from_null);
	to_acl = SysCacheGetAttr(RELOID, to, Anum_pg_class_relacl, &to_null);
	if (!same_acl(from_acl, from_null, to_acl, to_null))
	{
		changed = true;
		if (!look)
			store_acl(RelationRelationId, to, Anum_pg_class_relacl,
					  from_null ? NULL : DatumGetAclPCopy(from_acl),
					  view, 0, owner);
	}
	changed |= sync_invoker(view, base,
							((Form_pg_class) GETSTRUCT(from))->relrowsecurity,
							look);
	ReleaseSysCache(from);
	if (!has_column_grants(base) && !has_column_grants(view))
		return changed;
	foreach(lc, numbers)
		changed |= sync_column_rights(view, foreach_current_index(lc) + 1,
									  base, lfirst_int(lc), owner, look);
	return changed;
}

/* tell what one view is not that it must be; true if there is anything */
static bool
look_at_view(const Wanted *wanted, Oid view)
{
	int			before = list_length(*wanted->mismatches);
	Relation	relation;
	bool		fits;

	if (!OidIsValid(view))
		tell_of_view(wanted, "view missing", NULL, true);
	else if (get_rel_relkind(view) != RELKIND_VIEW)
		tell_of_view(wanted, "view missing",
					 "Something else that is no view has its name.", false);
	if (list_length(*wanted->mismatches) > before)
		return true;
	relation = relation_open(view, AccessShareLock);
	fits = has_columns(relation, wanted);
	relation_close(relation, NoLock);
	if (!fits)
		tell_of_view(wanted, "view altered",
					 "It does not select what the version expects.", true);
	else if (sync_defaults(view, wanted))
		tell_of_view(wanted, "view altered",
					 "Its defaults are not those that the version expects.",
					 true);
	if (fits && sync_constraints(view, wanted))
		tell_of_view(wanted, "constraint of view missing",
					 "It has no mirror of a key of its table, which ON CONFLICT and GROUP BY may rely on.",
					 true);
	if (fits && sync_rights(view, true))
		tell_of_view(wanted, "view altered",
					 "Its owner or privileges are not those of its table.",
					 true);
	return list_length(*wanted->mismatches) > before;
}

/* make one view what it must be; true if it was not */
static bool
sync_view(const Wanted *wanted)
{
	Oid			view = get_relname_relid(wanted->entry->name, wanted->schema);
	List	   *saved = NIL;
	bool		changed = false;

	if (wanted->mismatches)
		return look_at_view(wanted, view);
	if (OidIsValid(view))
	{
		Relation	relation = relation_open(view, AccessShareLock);

		changed = !has_columns(relation, wanted);
		relation_close(relation, NoLock);
	}
	if (OidIsValid(view) && changed && !is_replaceable(view, wanted))
	{
		saved = save_defaults(view);
		drop_view(view);
		view = InvalidOid;
	}
	if (changed || !OidIsValid(view))
	{
		view = make_view(wanted);
		restore_defaults(view, wanted, saved);
		changed = true;
	}
	sv_catalog_depend_on_extension(RelationRelationId, view);
	soften_dependencies(view, wanted);
	changed |= sync_defaults(view, wanted);
	changed |= sync_constraints(view, wanted);
	changed |= sync_rights(view, false);
	return changed;
}

/*
 * Does the release see the entry through a view, or have a stand-in for it?
 */
bool
sv_compat_has_view(const SvProduct *product, const SvRelease *release,
				   const SvEntry *entry)
{
	Oid			schema = schema_of_entry(product, release, entry);

	if (!OidIsValid(schema))
		return false;
	if (!is_shown_by_view(entry))
		return OidIsValid(sv_standin_find(entry, sv_contract_resolve(entry),
										  schema));
	return get_rel_relkind(get_relname_relid(entry->name, schema)) ==
		RELKIND_VIEW ||
		(is_housed(entry) && OidIsValid(get_relname_relid(entry->name, schema)));
}

/*
 * Tell of a function or type that does not stand where the version looks for
 * it.  It is made, since to compare it is to make it: the caller rolls that
 * back.
 */
static bool
look_at_standin(const Wanted *wanted)
{
	const SvEntry *entry = wanted->entry;
	SvEntry    *now = sv_contract_resolve(entry);
	bool		differs = now && OidIsValid(wanted->schema) && !XactReadOnly &&
	sv_standin_sync(entry, now, wanted->schema);

	if (differs)
		tell_of_view(wanted, "stand-in missing",
					 psprintf("The version does not find %s under the name that it knows, or not as it knows it.",
							  sv_contract_shown_name(entry)), true);
	return differs;
}

/* is a dependent a part of what it depends on, as another dependency tells? */
static bool
is_internal(List *dependents, Form_pg_depend dependent)
{
	ListCell   *lc;

	foreach(lc, dependents)
	{
		Form_pg_depend form = lfirst(lc);

		if (form->deptype == DEPENDENCY_INTERNAL &&
			form->classid == dependent->classid &&
			form->objid == dependent->objid)
			return true;
	}
	return false;
}

/* does anything depend on an object but what is a part of it? */
static bool
is_stood_on(Oid class_id, Oid object)
{
	List	   *dependents = sv_catalog_dependents(class_id, object, -1);
	ListCell   *lc;

	foreach(lc, dependents)
	{
		Form_pg_depend form = lfirst(lc);

		if (!is_internal(dependents, form) &&
			sv_contract_owning_relation(form->classid, form->objid) != object)
			return true;
	}
	return false;
}

/* is there a view, and does anything depend on it, or on its row type? */
static bool
is_view_stood_on(Oid view)
{
	Oid			row_type;

	if (get_rel_relkind(view) != RELKIND_VIEW)
		return false;
	row_type = get_rel_type_id(view);
	return is_stood_on(RelationRelationId, view) ||
		is_stood_on(TypeRelationId, row_type) ||
		is_stood_on(TypeRelationId, get_array_type(row_type));
}

/*
 * Reconcile one entry of one release, or with mismatches tell what would be
 * done; true if there was something.  A view on which somebody else's object
 * stands stays, needed or not.
 */
static bool
reconcile_entry(const SvProduct *product, const SvRelease *release,
				const SvEntry *entry, List **mismatches)
{
	Wanted		wanted = {0};
	Oid			view;

	wanted.release = release;
	wanted.entry = entry;
	wanted.mismatches = mismatches;
	wanted.schema = schema_of_entry(product, release, entry);
	if (!is_shown_by_view(entry))
		return mismatches ? look_at_standin(&wanted) :
			sv_standin_sync(entry, sv_contract_resolve(entry), wanted.schema);
	view = OidIsValid(wanted.schema) ?
		get_relname_relid(entry->name, wanted.schema) : InvalidOid;
	if (OidIsValid(view) && view == entry->physical)
		return false;
	if ((sv_contract_needs_view(product, entry) || is_view_stood_on(view)) &&
		plan_view(product, &wanted))
		return sync_view(&wanted);
	if (!OidIsValid(view))
		return false;
	if (mismatches)
		tell_of_view(&wanted, "view not needed",
					 "What it stands for is as the version expects it.",
					 get_rel_relkind(view) == RELKIND_VIEW);
	else
		drop_view(view);
	return true;
}

/*
 * Make the version schemas of some releases fit what was touched.  Returns
 * how many views had to be created, changed or dropped.
 */
int
sv_compat_reconcile(const SvProduct *product, List *releases)
{
	SvIdentity	identity;
	int			changed = 0;
	ListCell   *lr;
	ListCell   *le;

	sv_catalog_become_owner(&identity);
	foreach(lr, releases)
	{
		SvRelease  *release = lfirst(lr);

		foreach(le, sv_contract_touched_entries(release))
			changed += reconcile_entry(product, release, lfirst(le), NULL) ?
				1 : 0;
	}
	sv_catalog_become_caller(&identity);
	return changed;
}

/*
 * The compatibility views of some releases that stand on a relation, a list
 * of their OIDs.
 */
List *
sv_compat_views_on(const SvProduct *product, List *releases, Oid base)
{
	List	   *views = NIL;
	ListCell   *le;
	ListCell   *lr;

	foreach(le, sv_catalog_entries_on(base))
	{
		foreach(lr, releases)
		{
			SvEntry    *entry;
			Oid			schema;
			Oid			view;

			if (!sv_catalog_has_entry(lfirst(lr), lfirst_int(le)))
				continue;
			entry = sv_catalog_entry_alone(lfirst_int(le));
			schema = schema_of_entry(product, lfirst(lr), entry);
			view = OidIsValid(schema) ?
				get_relname_relid(entry->name, schema) : InvalidOid;
			if (OidIsValid(view))
				views = lappend_oid(views, view);
		}
	}
	return views;
}

/*
 * Lock the views of the staying releases on what will go, and on tables that
 * will change, then these themselves, as sessions do.  *needed tells which
 * locks these are.
 */
static void
lock_unused(const SvProduct *product, List *releases, List *objects,
			List *tables, List **needed)
{
	List	   *relations = list_copy(tables);
	List	   *views = NIL;
	ListCell   *lc;
	ListCell   *lv;

	foreach(lc, objects)
		relations = list_append_unique_oid(relations,
										   sv_retain_relation_of(lfirst(lc)));
	foreach(lc, relations)
	{
		foreach(lv, sv_compat_views_on(product, releases, lfirst_oid(lc)))
			views = list_append_unique_oid(views, lfirst_oid(lv));
	}
	*needed = NIL;
	foreach(lc, views)
		*needed = sv_lock_need(*needed, lfirst_oid(lc), AccessExclusiveLock);
	foreach(lc, relations)
		*needed = sv_lock_need(*needed, lfirst_oid(lc), AccessExclusiveLock);
	sv_lock_take(views, *needed);
}

/*
 * Columns that are gone need not be kept in step any more.  In tables that
 * sv_require_free() is still to see, something else may be computed from them;
 * it does both.
 */
static void
forget_pairs(List *dropped, List *excused)
{
	ListCell   *lc;
	ListCell   *lp;

	foreach(lc, dropped)
	{
		ObjectAddress *object = lfirst(lc);
		List	   *pairs = NIL;
		List	   *left = NIL;

		if (object->objectSubId == 0 ||
			list_member_oid(excused, object->objectId))
			continue;
		pairs = sv_sync_pairs(object->objectId);
		foreach(lp, pairs)
		{
			if (sv_sync_is_whole(object->objectId, lfirst(lp)))
				left = lappend(left, lfirst(lp));
		}
		if (list_length(left) < list_length(pairs))
			sv_sync_set(object->objectId, left);
	}
}

/* the newest of some releases that has one of these entries, or NULL */
static SvRelease *
newest_with(List *releases, List *entry_ids, int32 *entry_id)
{
	SvRelease  *newest = NULL;
	ListCell   *lr;
	ListCell   *le;

	foreach(lr, releases)
	{
		SvRelease  *release = lfirst(lr);

		foreach(le, entry_ids)
		{
			if (!sv_catalog_has_entry(release, lfirst_int(le)) ||
				(newest && sv_version_compare(release->version,
											  newest->version) < 0))
				continue;
			newest = release;
			*entry_id = lfirst_int(le);
		}
	}
	return newest;
}

/* drop the view of that name, if there is one */
static void
drop_named_view(const char *name, Oid schema)
{
	Oid			view = get_relname_relid(name, schema);

	if (OidIsValid(view))
		drop_view(view);
}

/* an object in a schema that goes moves to the newest that needs it still */
static void
rehouse_object(const SvProduct *product, List *staying, Oid class_id,
			   Oid object)
{
	int32		entry_id;
	SvRelease  *release = newest_with(staying, sv_catalog_entries_on(object),
									  &entry_id);
	SvEntry    *entry;
	SvEntry    *now;
	Oid			home;

	if (release == NULL)
		return;
	entry = sv_catalog_entry(entry_id);
	now = sv_contract_resolve(entry);
	home = schema_of_entry(product, release, entry);
	if (!is_housed(entry) || now == NULL || now->physical != object ||
		!OidIsValid(home))
		return;
	if (is_shown_by_view(entry))
		drop_named_view(entry->name, home);
	else
		sv_standin_drop(entry, now, home);
	sv_retain_home(class_id, object, home);
}

/* what stands in a schema that goes, and what staying releases need */
static void
rehouse(const SvProduct *product, List *staying, Oid schema)
{
	static const Oid classes[] = {RelationRelationId, TypeRelationId,
	ProcedureRelationId};
	ListCell   *lc;

	for (int i = 0; i < (int) lengthof(classes); i++)
	{
		foreach(lc, sv_catalog_objects_of_schema(schema, classes[i]))
			rehouse_object(product, staying, classes[i], lfirst_oid(lc));
	}
}

/* add objects of one catalog to what is to be dropped */
static void
add_objects(ObjectAddresses *objects, Oid class_id, List *oids)
{
	ObjectAddress address;
	ListCell   *lc;

	foreach(lc, oids)
	{
		ObjectAddressSet(address, class_id, lfirst_oid(lc));
		add_exact_object_address(&address, objects);
	}
}

/*
 * Add all that stands in a version schema, which goes as well, to what is to
 * be dropped; but the views, locked, to *views.
 */
static void
add_contents(ObjectAddresses *objects, List **views, Oid schema)
{
	static const Oid classes[] = {ProcedureRelationId, TypeRelationId,
	OperatorRelationId};
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_objects_of_schema(schema, RelationRelationId))
	{
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_SEQUENCE)
			others = lappend_oid(others, lfirst_oid(lc));
		else
		{
			check_is_view(lfirst_oid(lc));
			*views = lappend_oid(*views, lfirst_oid(lc));
		}
	}
	add_objects(objects, RelationRelationId, others);
	for (int i = 0; i < (int) lengthof(classes); i++)
		add_objects(objects, classes[i],
					sv_catalog_objects_of_schema(schema, classes[i]));
	add_objects(objects, NamespaceRelationId, list_make1_oid(schema));
}

/*
 * Drop the views of a release, and add the rest that stands in its schemas to
 * what is to be dropped.  One deletion of everything would take time that
 * grows with the square of its number.
 */
static void
drop_views_of(const SvProduct *product, const SvRelease *release,
			  ObjectAddresses *objects, List *supported)
{
	List	   *views = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_schemas_of(list_make1((void *) release)))
	{
		rehouse(product, supported, lfirst_oid(lc));
		add_contents(objects, &views, lfirst_oid(lc));
	}
	add_objects(objects, RelationRelationId, sv_drop_lone_views(views));
}

/* drop what is left of retired releases; the server's words fit no statement */
static void
drop_rest(ObjectAddresses *objects)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		performMultipleDeletions(objects, DROP_RESTRICT,
								 PERFORM_DELETION_INTERNAL);
	}
	PG_CATCH();
	{
		ErrorData  *problem;

		MemoryContextSwitchTo(context);
		problem = CopyErrorData();
		FlushErrorState();
		if (problem->sqlerrcode == ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
		{
			problem->message = pstrdup("cannot retire what other objects depend on");
			problem->hint = pstrdup("Drop these objects, then try again.");
		}
		ReThrowError(problem);
	}
	PG_END_TRY();
}

/*
 * Retire releases: their version schemas go with all that stands there, and
 * so does what was retained for nobody but them: views on which nothing stands
 * first, the rest in one deletion, since its parts may depend on each other;
 * objects of others that depend on any are an error.  Contracts must be
 * collecting: what this touches is for the caller to reconcile.  He holds the
 * releases' locks and the product's.  "gaps" is what sv_require_gaps() has told
 * of and sv_require_look() has seen to.  With an archive, tables go there
 * instead; without, NULL.  *needed tells which relations are locked for it, a
 * list of SvNeededLock.
 */
void
sv_compat_retire(const SvProduct *product, List *retiring, List *staying,
				 List *gaps, SvArchive *archive, List **needed)
{
	ObjectAddresses *objects = new_object_addresses();
	List	   *unused;
	List	   *supported;
	List	   *excused;
	SvIdentity	identity;
	ListCell   *lr;
	ListCell   *lc;

	sv_catalog_become_owner(&identity);
	foreach(lr, retiring)
		sv_catalog_retire(lfirst(lr));
	CommandCounterIncrement();
	supported = sv_catalog_releases(product, true);
	unused = sv_retain_unused(product, retiring);
	excused = sv_require_unneeded(product);
	lock_unused(product, staying, unused,
				list_concat_unique_oid(list_copy(excused),
									   sv_refer_tables(product, retiring)),
				needed);
	if (archive)
		unused = sv_archive_tables(product, retiring, unused, archive);
	sv_retain_add_unused(unused, objects);
	foreach(lr, retiring)
		drop_views_of(product, lfirst(lr), objects, supported);
	drop_rest(objects);
	free_object_addresses(objects);
	CommandCounterIncrement();
	forget_pairs(unused, excused);
	sv_catalog_become_caller(&identity);
	CommandCounterIncrement();
	foreach(lc, excused)
		sv_require_free(product, lfirst_oid(lc), gaps);
	sv_hold_settle(product);
}

/* the relations that stand in the version schemas of some releases */
static List *
housed_relations(List *releases)
{
	List	   *relations = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_schemas_of(releases))
		relations = list_concat(relations,
								sv_catalog_objects_of_schema(lfirst_oid(lc),
															 RelationRelationId));
	return relations;
}

/* all compatibility views, or those on one relation; ascending */
static List *
all_views_on(Oid base)
{
	List	   *views = NIL;
	ListCell   *lp;

	foreach(lp, sv_catalog_products())
	{
		SvProduct  *product = lfirst(lp);
		List	   *releases = sv_catalog_releases(product, true);

		views = list_concat(views, OidIsValid(base) ?
							sv_compat_views_on(product, releases, base) :
							housed_relations(releases));
	}
	list_sort(views, list_oid_cmp);
	return views;
}

/*
 * Lock the compatibility views on a relation, or with InvalidOid all of them,
 * for a command that will drop them along with what they stand on: sessions
 * lock the view first, so must we.  Views of relations that are not the
 * caller's are left alone.
 */
void
sv_compat_lock_views(Oid base)
{
	ListCell   *lc;

	foreach(lc, all_views_on(base))
	{
		if (pg_class_ownercheck(lfirst_oid(lc), GetUserId()))
			LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	}
}

/*
 * Drop all compatibility views on a relation, whose owner is the caller, for
 * a command that the server refuses beside any view.  Reconcile makes them
 * again.
 */
void
sv_compat_drop_views_on(Oid base)
{
	SvIdentity	identity;
	ListCell   *lc;

	if (!pg_class_ownercheck(base, GetUserId()))
		return;
	sv_catalog_become_owner(&identity);
	foreach(lc, all_views_on(base))
		drop_view(lfirst_oid(lc));
	sv_catalog_become_caller(&identity);
}

/* let a view show nothing, by columns of the same names and types */
static void
park_view(Oid view)
{
	Oid			base = base_of_view(view);
	Relation	relation = relation_open(view, AccessExclusiveLock);
	TupleDesc	desc = RelationGetDescr(relation);
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE OR REPLACE VIEW %s AS SELECT ",
					 sv_catalog_relation_name(view));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		appendStringInfo(&text, "%sCAST(NULL AS %s)", i > 0 ? ", " : "",
						 format_type_extended(column->atttypid,
											  column->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN |
											  FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(column->attcollation))
			appendStringInfo(&text, " COLLATE %s",
							 generate_collation_name(column->attcollation));
		appendStringInfo(&text, " AS %s",
						 quote_identifier(NameStr(column->attname)));
	}
	relation_close(relation, NoLock);
	(void) define_view(text.data);
	if (OidIsValid(base))
		deleteDependencyRecordsForSpecific(RelationRelationId, view,
										   DEPENDENCY_AUTO,
										   RelationRelationId, base);
	CommandCounterIncrement();
}

/*
 * Let the views of a product's supported versions on which something stands
 * that somebody has made by hand show nothing, so that they depend on no table
 * any more: what is dropped of a table takes its views along, but a version
 * that needs them gets them again, and so nobody else's objects are to go with
 * them nor to be in the way.  Returns whether there are any.  The caller rolls
 * that back.  Locks such views in ACCESS EXCLUSIVE mode.
 */
bool
sv_compat_park_views(const SvProduct *product)
{
	bool		any = false;
	SvIdentity	identity;
	ListCell   *lc;

	sv_catalog_become_owner(&identity);
	foreach(lc, housed_relations(sv_catalog_releases(product, true)))
	{
		if (!is_view_stood_on(lfirst_oid(lc)))
			continue;
		park_view(lfirst_oid(lc));
		any = true;
	}
	sv_catalog_become_caller(&identity);
	return any;
}

static void
sync_all_schema_rights(void)
{
	ListCell   *lp;
	ListCell   *lr;
	ListCell   *lv;
	ListCell   *lb;

	foreach(lp, sv_catalog_products())
	{
		SvProduct  *product = lfirst(lp);

		foreach(lr, sv_catalog_releases(product, true))
		{
			forboth(lv, ((SvRelease *) lfirst(lr))->schemas,
					lb, product->schemas)
			{
				Oid			schema = get_namespace_oid(lfirst(lv), true);
				Oid			base = get_namespace_oid(lfirst(lb), true);

				if (OidIsValid(schema) && OidIsValid(base))
					(void) sync_schema_rights(schema, base, false);
			}
		}
	}
}

/*
 * Owner or privileges of a relation have changed by hand: so do those of the
 * views that stand on it; with InvalidOid, of all compatibility views.
 */
void
sv_compat_sync_rights(Oid base)
{
	SvIdentity	identity;
	ListCell   *lc;

	sv_catalog_become_owner(&identity);
	if (!OidIsValid(base))
		sync_all_schema_rights();
	foreach(lc, all_views_on(base))
		(void) sync_rights(lfirst_oid(lc), false);
	sv_catalog_become_caller(&identity);
}

/* what a restore forgets of the version schemas themselves */
static void
mend_schemas(const SvProduct *product, const SvRelease *release)
{
	ListCell   *lb;
	ListCell   *lv;

	forboth(lb, product->schemas, lv, release->schemas)
	{
		Oid			base = get_namespace_oid(lfirst(lb), true);
		Oid			schema = get_namespace_oid(lfirst(lv), true);

		if (!OidIsValid(schema))
		{
			schema = NamespaceCreate(lfirst(lv), GetUserId(), false);
			CommandCounterIncrement();
		}
		sv_catalog_depend_on_extension(NamespaceRelationId, schema);
		if (OidIsValid(base))
			(void) sync_schema_rights(schema, base, false);
	}
}

/* tell what mend_schemas() would do */
static void
look_at_schemas(const SvProduct *product, const SvRelease *release,
				List **mismatches)
{
	ListCell   *lb;
	ListCell   *lv;

	forboth(lb, product->schemas, lv, release->schemas)
	{
		Oid			base = get_namespace_oid(lfirst(lb), true);
		Oid			schema = get_namespace_oid(lfirst(lv), true);
		char	   *name = pstrdup(quote_identifier(lfirst(lv)));

		if (!OidIsValid(schema))
			tell(mismatches, release, NULL, name, "version schema missing",
				 "Without it the version's sessions find only the newest names.",
				 true);
		else if (OidIsValid(base) && sync_schema_rights(schema, base, true))
			tell(mismatches, release, NULL, name, "version schema altered",
				 "Its privileges are not those of its base schema.", true);
	}
}

/*
 * What sv_compat_reconcile() and schemaver.reconcile() would do about some
 * releases, everything being touched: a list of SvMismatch.  Takes ACCESS
 * SHARE locks on the views and changes nothing.
 */
List *
sv_compat_compare(const SvProduct *product, List *releases)
{
	SvIdentity	identity;
	List	   *mismatches = NIL;
	ListCell   *lr;
	ListCell   *le;

	sv_catalog_become_owner(&identity);
	foreach(lr, releases)
	{
		SvRelease  *release = lfirst(lr);

		look_at_schemas(product, release, &mismatches);
		foreach(le, sv_contract_touched_entries(release))
			(void) reconcile_entry(product, release, lfirst(le), &mismatches);
	}
	sv_catalog_become_caller(&identity);
	return mismatches;
}

/*
 * Reconcile all of a product, whose lock the caller holds; links found by name
 * if it is asleep.  With "strict" triggers are switched on again that were
 * switched off.  Returns how much it has changed.
 */
int
sv_compat_reconcile_all(SvProduct *product, bool strict)
{
	List	   *releases = sv_catalog_releases(product, true);
	SvIdentity	identity;
	int			nestlevel;
	int			changed;
	ListCell   *lc;

	nestlevel = sv_contract_enter();
	sv_contract_collect_begin();
	sv_contract_touch_all();
	sv_catalog_become_owner(&identity);
	foreach(lc, releases)
		mend_schemas(product, lfirst(lc));
	sv_catalog_become_caller(&identity);
	sv_contract_relink(releases, !product->awake);
	if (!product->awake)
	{
		sv_catalog_wake(product);
		sv_sync_note_all(product);
		sv_hold_note_all(product);
	}
	changed = sv_refer_settle_all(product, strict) +
		sv_compat_reconcile(product, releases);
	sv_contract_collect_end();
	sv_contract_leave(nestlevel);
	return changed;
}

/*
 * Mend a product whose contracts come from another database, by pg_dump or
 * pg_upgrade: find everything again by its name, and make what dumps leave
 * out; or one that was changed by hand.  Takes the product's lock.  Does
 * nothing if somebody was faster.
 */
void
sv_compat_wake(SvProduct *product)
{
	sv_registry_lock_product(product->id);
	*product = *sv_catalog_product_by_id(product->id);
	if (!product->awake || sv_catalog_drifted(product))
		(void) sv_compat_reconcile_all(product, false);
}

/*
 * The product of a call: locked until the transaction ends, read again under
 * the lock, and awake.  With name NULL the only one; none is an error.
 */
SvProduct *
sv_compat_open_product(const char *name)
{
	SvProduct  *product = sv_catalog_product(name, false);

	sv_registry_lock_product(product->id);
	product = sv_catalog_product_by_id(product->id);
	if (!product->awake)
		sv_compat_wake(product);
	return product;
}
