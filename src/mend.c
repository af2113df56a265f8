/*-------------------------------------------------------------------------
 *
 * mend.c
 *	  schemaver.reconcile(): make again what a product must have.
 *
 * Version schemas are seen to by compat.c, which also does so by itself.  What
 * is here is done only for who asks for it: unique keys that hold for some
 * versions alone hold for all again, where the rows allow it by now, with the
 * foreign keys that could not do without them; and row triggers come back that
 * were taken away by hand.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(schemaver_reconcile);

/*
 * Give the product's tables back the row triggers that were taken away or
 * changed by hand.  Returns how many.  Only who asks for it gets this: who
 * loads data with the triggers off is not to find them on again.
 */
static int
mend_triggers(const SvProduct *product)
{
	int			mended = 0;
	Oid			culprit;
	ListCell   *lc;

	foreach(lc, sv_catalog_synced_tables())
	{
		List	   *pairs = sv_sync_noted_pairs(lfirst_oid(lc));

		if (pairs == NIL ||
			strcmp(((SvSyncPair *) linitial(pairs))->product,
				   product->name) != 0 ||
			sv_sync_state(lfirst_oid(lc), &culprit) == SV_TRIGGER_SET)
			continue;
		sv_sync_restore(lfirst_oid(lc));
		mended++;
	}
	foreach(lc, sv_hold_tables(product))
	{
		if (sv_hold_state(lfirst_oid(lc), &culprit) == SV_TRIGGER_SET)
			continue;
		sv_hold_restore(lfirst_oid(lc));
		mended++;
	}
	return mended;
}

/*
 * Unique keys hold for all rows again, where they can, and with them the
 * foreign keys that refer to them.
 */
static int
mend_keys(const SvProduct *product)
{
	SvRelease  *current;
	List	   *indexes;
	int			mended;

	if (product->current == 0)
		return 0;
	sv_contract_collect_begin();
	current = sv_catalog_release(product, product->current);
	indexes = sv_key_tighten_all(current, sv_catalog_releases(product, true),
								 true, NULL);
	mended = list_length(indexes);
	if (indexes != NIL)
		mended += sv_shift_restore_references(product, current, indexes);
	sv_contract_collect_end();
	return mended;
}

/*
 * schemaver.reconcile(product) returns integer
 */
Datum
schemaver_reconcile(PG_FUNCTION_ARGS)
{
	SvProduct  *product;
	int			changed;

	PreventCommandIfReadOnly("schemaver.reconcile()");
	product = sv_catalog_product(PG_ARGISNULL(0) ? NULL :
								 text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	sv_registry_lock_product(product->id);
	product = sv_catalog_product_by_id(product->id);
	changed = mend_keys(product);
	changed += sv_compat_reconcile_all(product, true);
	PG_RETURN_INT32(changed + mend_triggers(product));
}
