/*-------------------------------------------------------------------------
 *
 * blur.c
 *	  Unique keys over columns that are computed from newer ones.
 *
 * An older version has a key over a column that has changed its meaning since.
 * What the newest version writes there is computed by a directive "down", and
 * that may make the same of two values: 'Two' and 'two' are both 'two'.  The
 * newest version has a key of its own over its own values, and knows nothing of
 * this one, so it must not be held to it.
 *
 * So where an expression is not known to keep different values apart, the keys
 * over what it computes are loosened, see key.c, for the versions that know
 * them.  Casts do keep them apart: what the older type has no room for is an
 * error anyway.  Those of a large table that has jobs to do are still the
 * newest version's as well, and are left alone.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/relation.h"
#include "nodes/primnodes.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/*
 * Expressions
 */

/* labels that have got other names */
static bool
is_relabeling(Oid function)
{
	return sv_catalog_is_own_function(function) &&
		strcmp(get_func_name(function), "relabel") == 0;
}

/* does an expression over a column give different values for such ones? */
static bool
keeps_apart(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			return true;
		case T_RelabelType:
			return keeps_apart((Node *) ((RelabelType *) node)->arg);
		case T_CoerceToDomain:
			return keeps_apart((Node *) ((CoerceToDomain *) node)->arg);
		case T_CoerceViaIO:
			return keeps_apart((Node *) ((CoerceViaIO *) node)->arg);
		case T_ArrayCoerceExpr:
			return keeps_apart((Node *) ((ArrayCoerceExpr *) node)->arg);
		case T_FuncExpr:
			return (call->funcformat != COERCE_EXPLICIT_CALL ||
					is_relabeling(call->funcid)) &&
				keeps_apart(linitial(call->args));
		default:
			return false;
	}
}

/*
 * Keys
 */

/* is a column computed for the newest version so that values may get lost? */
static bool
is_blurred(List *directions, AttrNumber number)
{
	ListCell   *lc;

	foreach(lc, directions)
	{
		SvSyncDirection *direction = lfirst(lc);
		int			input = -1;

		if (direction->target != number ||
			direction->is_up == direction->pair->newest_is_new)
			continue;
		if (!keeps_apart(direction->expression))
			return true;
		while ((input = bms_next_member(direction->inputs, input)) >= 0)
		{
			if (is_blurred(directions, input))
				return true;
		}
	}
	return false;
}

static bool
is_over_blurred(Relation index, List *directions)
{
	ListCell   *lc;

	foreach(lc, sv_contract_index_columns(index))
	{
		if (is_blurred(directions, lfirst_int(lc)))
			return true;
	}
	return false;
}

/* the newest of the releases that know a key, NULL if none does */
static const SvRelease *
last_with(List *releases, Oid relation, Oid key)
{
	const SvRelease *last = NULL;
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (sv_key_is_known(release, relation, key) &&
			(last == NULL || sv_version_compare(release->version,
												last->version) > 0))
			last = release;
	}
	return last;
}

/* the keys of a table to be loosened: ObjectAddress, by their indexes */
static List *
find_keys(Relation table, List *directions)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessShareLock);

		if ((index->rd_index->indisunique || index->rd_index->indisexclusion) &&
			sv_is_hidden(RelationGetRelationName(index)) &&
			sv_contract_index_mark(index) == InvalidAttrNumber &&
			is_over_blurred(index, directions))
			keys = lappend(keys, sv_contract_key_address(lfirst_oid(lc)));
		relation_close(index, NoLock);
	}
	return keys;
}

static bool
loosen_keys_of(const SvProduct *product, List *releases, Oid relation)
{
	Relation	table = relation_open(relation, AccessShareLock);
	List	   *keys = find_keys(table, sv_sync_directions(table,
														   sv_sync_pairs(relation)));
	bool		any = false;
	ListCell   *lc;

	relation_close(table, NoLock);
	foreach(lc, keys)
	{
		ObjectAddress *key = lfirst(lc);
		const SvRelease *last = last_with(releases, relation, key->objectId);

		if (last == NULL)
			continue;
		LockRelationOid(relation, AccessExclusiveLock);
		any |= sv_key_loosen(product, NULL, last, false, key->classId,
							 &key->objectId);
	}
	return any;
}

/*
 * A migration has run, from a release on.  Loosen the keys of older versions,
 * all the supported "releases", over columns for which what the newest version
 * writes may become the same.  Returns whether there were any.  Locks their
 * tables, which the migration has, in AccessExclusiveLock; contracts must be
 * collecting.
 */
bool
sv_blur_loosen_keys(const SvProduct *product, SvRelease *from, List *releases)
{
	bool		any = false;
	ListCell   *lc;

	foreach(lc, from ? sv_contract_touched_entries(from) : NIL)
	{
		SvEntry    *entry = lfirst(lc);

		if (sv_contract_is_table(entry->kind) && OidIsValid(entry->physical) &&
			sv_sync_pairs(entry->physical) != NIL)
			any |= loosen_keys_of(product, releases, entry->physical);
	}
	return any;
}
