/*-------------------------------------------------------------------------
 *
 * announce.c
 *	  Tell the world outside what has been done: the WAL, and who listens.
 *
 * A restore point gives point-in-time recovery a name to aim at.  It is
 * written as late as can be, when all else of the transaction is done: the
 * transaction commits after it, so recovery to it brings back the state
 * before, with all that others had committed meanwhile.  An attempt that
 * fails for its locks has left none.  That matters, since recovery stops at
 * the first of a name; for the same reason the retirement of a version is
 * named otherwise than the migration to it.
 *
 * Notifications are sent with the transaction and arrive if it commits.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "commands/async.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/json.h"

#define RESTORE_POINT_PREFIX	"schemaver "

/*
 * "schemaver shop 1.1.0", or "schemaver shop 1.1.0 retire".  What does not fit
 * is cut off the product, since the rest is what tells one from another.
 */
static char *
restore_point_name(const char *action, const char *product,
				   const char *version)
{
	const char *label = strcmp(action, "apply") == 0 ? version :
	psprintf("%s %s", version, action);
	int			room = MAXFNAMELEN - 1 - (int) strlen(RESTORE_POINT_PREFIX) -
	1 - (int) strlen(label);
	char	   *name;

	name = psprintf(RESTORE_POINT_PREFIX "%.*s %s",
					pg_mbcliplen(product, strlen(product), Max(room, 0)),
					product, label);
	name[pg_mbcliplen(name, strlen(name), MAXFNAMELEN - 1)] = '\0';
	return name;
}

/*
 * Write a restore point for an action, as the history calls it, and set *lsn
 * to its end.  Returns its name.  Where the WAL has no use for one, or the
 * role may not make one, there is none: NULL, and *lsn is where it would have
 * been.
 */
char *
sv_announce_restore_point(const char *action, const char *product,
						  const SvVersion *version, XLogRecPtr *lsn)
{
	char	   *name;

	if (!XLogIsNeeded() ||
		pg_proc_aclcheck(F_PG_CREATE_RESTORE_POINT, GetUserId(),
						 ACL_EXECUTE) != ACLCHECK_OK)
	{
		*lsn = GetXLogInsertRecPtr();
		return NULL;
	}
	name = restore_point_name(action, product, sv_version_text(version));
	*lsn = XLogRestorePoint(name);
	return name;
}

static void
append_version(StringInfo payload, const char *key, const SvVersion *version)
{
	appendStringInfo(payload, ", \"%s\": ", key);
	if (version)
		escape_json(payload, sv_version_text(version));
	else
		appendStringInfoString(payload, "null");
}

/*
 * Notify the channel "schemaver": what happened to which version of which
 * product.  "from" is the version that it was at before, or NULL.
 *
 * Names and versions of 63 bytes, each of them escaped, are far from the
 * 8000 bytes that a payload may have.
 */
void
sv_announce_event(const char *event, const char *product,
				  const SvVersion *version, const SvVersion *from)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"product\": ");
	escape_json(&payload, product);
	append_version(&payload, "version", version);
	appendStringInfoString(&payload, ", \"event\": ");
	escape_json(&payload, event);
	append_version(&payload, "from", from);
	appendStringInfoChar(&payload, '}');
	Async_Notify(SV_SCHEMA, payload.data);
	pfree(payload.data);
}
