/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  Tables that publications send changes of: their replica identity.
 *
 * The server refuses to update or delete rows of a published table that has
 * no replica identity.  Where a script drops the key that this is, it is the
 * author's business to find another for the newest version; but older versions
 * go on writing, and so do the migration's own UPDATEs while a key is made
 * anew over another column.  So the table gets another one when the key is put
 * away: its primary key if it has one, else all columns (FULL).  What it had
 * is noted.  When the key comes back by a rollback, or another primary key was
 * made, it is that again.  Without either a published table stays FULL when the
 * last that knew the key is gone: no write of any version is to fail for that.
 *
 * An index that was chosen as the identity loses that in any case, since its
 * columns could not be NULL otherwise, nor the newest version be let off it.
 *
 * What a script or somebody by hand says of the replica identity is theirs,
 * and ends what is known here.
 *
 * Locks: the caller of what changes a table holds it in ACCESS EXCLUSIVE mode,
 * or gets it here.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_publication_rel.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/* set a replica identity; "index" is one of the table's, by name, or NULL */
static void
set_identity(Oid relation, char identity, const char *index)
{
	ReplicaIdentityStmt *statement = makeNode(ReplicaIdentityStmt);
	AlterTableCmd *command = makeNode(AlterTableCmd);

	if (index == NULL && sv_catalog_replica_identity(relation) == identity)
		return;
	statement->identity_type = identity;
	statement->name = index ? pstrdup(index) : NULL;
	command->subtype = AT_ReplicaIdentity;
	command->def = (Node *) statement;
	AlterTableInternal(relation, list_make1(command), false);
	CommandCounterIncrement();
}

/* what publications send of a table, and whether its identity is enough */
static void
read_publications(Oid relation, PublicationDesc *desc)
{
	Relation	table = relation_open(relation, AccessShareLock);

	RelationBuildPublicationDesc(table, desc);
	relation_close(table, NoLock);
}

/* does it send updates or deletions of rows, which need an identity? */
static bool
is_published(Oid relation)
{
	PublicationDesc desc;

	read_publications(relation, &desc);
	return desc.pubactions.pubupdate || desc.pubactions.pubdelete;
}

/* has it an identity that is enough for all its publications? */
static bool
is_enough(Oid relation)
{
	PublicationDesc desc;

	read_publications(relation, &desc);
	return (!desc.pubactions.pubupdate ||
			(desc.rf_valid_for_update && desc.cols_valid_for_update)) &&
		(!desc.pubactions.pubdelete ||
		 (desc.rf_valid_for_delete && desc.cols_valid_for_delete));
}

/* has a table a key that was put away, which somebody may still need? */
static bool
has_hidden_key(Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessShareLock);

		found |= index->rd_index->indisunique &&
			sv_is_hidden(RelationGetRelationName(index));
		relation_close(index, NoLock);
	}
	relation_close(table, NoLock);
	return found;
}

/* could the server take an index, if there is one, as an identity? */
static bool
can_identify(Oid oid)
{
	Relation	index = OidIsValid(oid) ? relation_open(oid, AccessShareLock) :
	NULL;
	Form_pg_index form = index ? index->rd_index : NULL;
	bool		result = index && form->indisunique && form->indimmediate &&
	form->indisvalid && RelationGetIndexExpressions(index) == NIL &&
	RelationGetIndexPredicate(index) == NIL;

	for (int i = 0; result && i < form->indnkeyatts; i++)
		result = sv_catalog_is_not_null(form->indrelid,
										form->indkey.values[i]);
	if (index)
		relation_close(index, NoLock);
	return result;
}

/*
 * An index is about to be put away, or to be no primary key any more.  If it
 * is the replica identity of its table, that gets another one; "name" is what
 * the index is called when it comes back.  The caller holds the table in
 * ACCESS EXCLUSIVE mode.
 */
void
sv_publish_lose_key(Oid index, const char *name)
{
	Relation	key = relation_open(index, AccessShareLock);
	SvIdentityNote note = {.relation = key->rd_index->indrelid,.index = name};
	const SvIdentityNote *before;
	bool		published = is_published(note.relation);
	bool		by_default = key->rd_index->indisprimary && published &&
	sv_catalog_replica_identity(note.relation) == REPLICA_IDENTITY_DEFAULT;

	note.lost = by_default ? REPLICA_IDENTITY_DEFAULT : REPLICA_IDENTITY_INDEX;
	note.given = published ? REPLICA_IDENTITY_FULL : REPLICA_IDENTITY_DEFAULT;
	if (by_default || key->rd_index->indisreplident)
	{
		/* the default was not what it had first, but what it was given */
		before = sv_catalog_identity_note(note.relation);
		if (by_default && before && before->given == REPLICA_IDENTITY_DEFAULT)
		{
			note.index = before->index;
			note.lost = before->lost;
		}
		set_identity(note.relation, note.given, NULL);
		sv_catalog_note_identity(&note);
	}
	relation_close(key, NoLock);
}

/*
 * Do subscribers find the rows of a table by one of its columns?  Then it must
 * not be without a value in between.
 */
bool
sv_publish_finds_by(Oid relation, AttrNumber number)
{
	Relation	table = relation_open(relation, AccessShareLock);
	Oid			oid = RelationGetReplicaIndex(table);
	Relation	index = OidIsValid(oid) && is_published(relation) ?
	relation_open(oid, AccessShareLock) : NULL;
	bool		found = false;

	for (int i = 0; index && i < index->rd_index->indnkeyatts; i++)
		found |= index->rd_index->indkey.values[i] == number;
	if (index)
		relation_close(index, NoLock);
	relation_close(table, NoLock);
	return found;
}

/*
 * Give a table without its key the best that there is.  Nobody's writes fail
 * for that: not the newest version's either, when the older ones are retired.
 */
static char
give_identity(Oid relation)
{
	bool		has_key = sv_catalog_has_primary_key(relation);

	if (has_key || !is_published(relation))
		set_identity(relation, REPLICA_IDENTITY_DEFAULT, NULL);
	if (is_published(relation) && (!has_key || !is_enough(relation)))
		set_identity(relation, REPLICA_IDENTITY_FULL, NULL);
	return sv_catalog_replica_identity(relation);
}

/* tell of one that has FULL now, or of what even that does not help with */
static void
tell(const SvIdentityNote *note, bool refuse)
{
	char	   *table = sv_catalog_relation_name(note->relation);
	bool		enough = is_enough(note->relation);

	if (enough && refuse && !get_rel_relispartition(note->relation))
		ereport(WARNING,
				(errmsg("the replica identity of table %s is all of its columns from now on",
						table),
				 errdetail("It was the key \"%s\", and the table is published.",
						   note->index),
				 errhint("ALTER TABLE %s REPLICA IDENTITY USING INDEX sets another one.",
						 table)));
	else if (!enough)
		ereport(refuse ? ERROR : WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has no replica identity without the key \"%s\", and publishes updates",
						table, note->index),
				 errdetail("A publication lists columns, so that all columns of the table are none."),
				 errhint("Add a primary key in the same script, or have it published without a list of columns before.")));
}

static void
settle(SvIdentityNote *note, bool refuse)
{
	Oid			index = sv_catalog_index_of(note->relation, note->index);
	char		before = note->given;
	bool		wanted = OidIsValid(index) || has_hidden_key(note->relation);

	if (sv_catalog_replica_identity(note->relation) != note->given)
	{
		sv_catalog_forget_identity(note->relation);
		return;
	}
	if (note->lost == REPLICA_IDENTITY_INDEX && can_identify(index))
	{
		set_identity(note->relation, REPLICA_IDENTITY_INDEX, note->index);
		sv_catalog_forget_identity(note->relation);
		return;
	}
	note->given = give_identity(note->relation);
	if (note->given == REPLICA_IDENTITY_FULL &&
		(note->fresh || note->given != before))
		tell(note, refuse);
	if (!wanted || (note->given == REPLICA_IDENTITY_DEFAULT &&
					note->lost == REPLICA_IDENTITY_DEFAULT))
		sv_catalog_forget_identity(note->relation);
	else
		sv_catalog_note_identity(note);
}

/*
 * Keys have been made, have come back or are gone: tables that have lost their
 * replica identity get it back, or what is left for them.  With "refuse" it is
 * an error if that is none.  To be called last: others may hold views of these
 * tables.
 */
void
sv_publish_settle(bool refuse)
{
	ListCell   *lc;

	foreach(lc, sv_catalog_identity_notes())
		settle(lfirst(lc), refuse);
}

/*
 * What subscribers have to know
 */

/* does one of some publications have all columns of a table sent? */
static bool
sends_all(Oid relation, List *publications)
{
	ListCell   *lc;

	foreach(lc, publications)
	{
		HeapTuple	tuple = SearchSysCache2(PUBLICATIONRELMAP,
											ObjectIdGetDatum(relation),
											ObjectIdGetDatum(lfirst_oid(lc)));
		bool		all = !HeapTupleIsValid(tuple) ||
		heap_attisnull(tuple, Anum_pg_publication_rel_prattrs, NULL);

		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		if (all)
			return true;
	}
	return false;
}

/* is a table, or one that it is a partition of, sent with all its columns? */
static bool
is_sent(Oid relation)
{
	List	   *family = get_rel_relispartition(relation) ?
	get_partition_ancestors(relation) : NIL;
	ListCell   *lc;

	if (get_rel_persistence(relation) != RELPERSISTENCE_PERMANENT)
		return false;
	foreach(lc, lappend_oid(family, relation))
	{
		Oid			schema = get_rel_namespace(lfirst_oid(lc));

		if (GetAllTablesPublications() != NIL ||
			GetSchemaPublications(schema) != NIL ||
			sends_all(lfirst_oid(lc), GetRelationPublications(lfirst_oid(lc))))
			return true;
	}
	return false;
}

/* has this transaction written a row of a catalog? */
static bool
is_news(HeapTuple tuple)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

/* the hidden columns that a table has since now, as ALTER TABLE adds them */
static char *
new_columns(Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 1; i <= RelationGetNumberOfAttributes(table); i++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation),
											Int16GetDatum(i));
		Form_pg_attribute column = (Form_pg_attribute) GETSTRUCT(tuple);
		int32		typmod = column->atttypmod;
		Oid			base = getBaseTypeAndTypmod(column->atttypid, &typmod);

		/* where it is added there may be no such domain */
		if (!column->attisdropped && column->attgenerated == '\0' &&
			sv_is_hidden(NameStr(column->attname)) && is_news(tuple))
			appendStringInfo(&list, "%s ADD IF NOT EXISTS %s %s",
							 list.len ? "," : "",
							 quote_identifier(NameStr(column->attname)),
							 format_type_with_typemod(base, typmod));
		ReleaseSysCache(tuple);
	}
	relation_close(table, NoLock);
	return list.data;
}

static bool
is_moved(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		moved = ((Form_pg_class) GETSTRUCT(tuple))->relnamespace ==
	get_namespace_oid(SV_RETAINED_SCHEMA, false) && is_news(tuple);

	ReleaseSysCache(tuple);
	return moved;
}

/* the columns that a job has yet to fill, as ALTER TABLE eases them */
static char *
unfilled_columns(Oid relation)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, sv_catalog_jobs())
	{
		const SvJob *job = lfirst(lc);

		if (job->relid == relation && strcmp(job->kind, SV_JOB_NOTNULL) == 0)
			appendStringInfo(&list, "%s ALTER %s DROP NOT NULL",
							 list.len ? "," : "", quote_identifier(job->name));
	}
	return list.data;
}

static void
report_table(Oid relation)
{
	char	   *table = sv_catalog_relation_name(relation);
	char	   *columns = new_columns(relation);
	char	   *unfilled = unfilled_columns(relation);

	if (is_moved(relation))
		ereport(WARNING,
				(errmsg("subscribers are sent what older versions write to table %s",
						table),
				 errhint("Move the table there as well, or take it out of the publication.")));
	else if (columns[0])
		ereport(WARNING,
				(errmsg("subscribers are sent hidden columns of table %s",
						table),
				 errhint("Where it is subscribed to, run: ALTER TABLE %s%s%s%s;",
						 table, columns, unfilled[0] ? "," : "", unfilled)));
}

/*
 * Tell whoever sees to subscribers, who know nothing of migrations, what to do
 * there: changes of a table are sent with its hidden columns, and changes of
 * one that was put away under the name that it has now.
 */
void
sv_publish_report(void)
{
	ListCell   *lc;

	foreach(lc, XLogLogicalInfoActive() ? sv_contract_touched_relations() : NIL)
	{
		if (sv_contract_is_table(get_rel_relkind(lfirst_oid(lc))) &&
			is_sent(lfirst_oid(lc)))
			report_table(lfirst_oid(lc));
	}
}

/*
 * The extension gets its first rows.  Publications of all tables send its own
 * as well, and the server knows no exceptions.
 */
void
sv_publish_report_own(void)
{
	Oid			schema = get_namespace_oid(SV_SCHEMA, false);

	if (XLogLogicalInfoActive() && (GetAllTablesPublications() != NIL ||
									GetSchemaPublications(schema) != NIL))
		ereport(WARNING,
				(errmsg("a publication of all tables sends those of schemaver as well"),
				 errdetail("Replication stops where they are not there."),
				 errhint("Run CREATE EXTENSION schemaver in the databases of all subscribers before this transaction commits.")));
}
