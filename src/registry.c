/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  Who is live: sessions registered under versions.
 *
 * A session is registered under a version for as long as it holds that
 * version's lock in ShareLock at session level; schemaver.h lays down the
 * tags and who takes them how.  The rules:
 *
 * - Whether a version may be registered under is decided under its lock,
 *   from the latest snapshot.  Whoever retires or breaks it holds the lock
 *   exclusively until the end of the transaction, so there is no moment
 *   between the check and the lock.
 *
 * - Registering and unregistering are transactional.  Locks are taken at
 *   once; an abort gives back those that were taken since, a commit those of
 *   the registrations that have been replaced.  Until then each registration
 *   counts its own reference, so that one version can be held by two.
 *
 * - search_path is set along with it and follows the same transaction, being
 *   a setting.
 *
 * - DISCARD ALL and pg_advisory_unlock_all() release the locks behind our
 *   back.  That is noticed at the next statement, in the case of DISCARD ALL
 *   at once: the session then returns to what its connection was registered
 *   under, if anything.  To others it was live all the time of a DISCARD ALL.
 *
 * - The registration that came with the connection is never forgotten while
 *   the session lasts, only given up and taken again.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "replication/walsender.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

#define MOMENT_MS		10

/* what a session is registered under */
typedef struct Registration
{
	MemoryContext context;		/* holds all of this */
	int32		product_id;
	int32		release_id;
	char	   *product;		/* for messages */
	char	   *label;
	SvVersion  *version;
	List	   *schemas;		/* version schemas, of char * */
	char	   *path;			/* the search_path that it has set */
	char	   *path_before;	/* the one before any registration */
	int			nlocks;			/* how many of these it has a reference to */
	LOCKTAG		locks[2];		/* the version's and the instance's */
} Registration;

/* one step from registration to registration within a transaction */
typedef struct Change
{
	SubTransactionId subid;		/* of whose fate it shares */
	CommandId	command;		/* the first one that comes after it */
	Registration *before;		/* NULL: was not registered */
	Registration *after;		/* NULL: is not registered any more */
	struct Change *previous;
} Change;

/* the session's registration, NULL if it has none */
static Registration *session = NULL;
static bool is_set_aside = false;	/* it does not count for now */
static bool is_newest_code = false; /* what runs now is the newest's */

/* what came with the connection, whether or not it is in force now */
static Registration *connection = NULL;

/* newest first; in TopTransactionContext */
static Change *changes = NULL;

/* has this process still to look whether its connection asks for one? */
static bool connect_pending = false;

static char *app_setting = NULL;

SvWakeHook	sv_registry_wake_hook = NULL;
SvReadyHook sv_registry_ready_hook = NULL;

static ExecutorStart_hook_type next_ExecutorStart = NULL;
static ProcessUtility_hook_type next_ProcessUtility = NULL;

PG_FUNCTION_INFO_V1(schemaver_register);
PG_FUNCTION_INFO_V1(schemaver_unregister);
PG_FUNCTION_INFO_V1(schemaver_writes_as);

/*
 * Locks
 */

static void
set_tag(LOCKTAG *tag, int32 id, uint32 seconds, uint16 kind)
{
	tag->locktag_field1 = MyDatabaseId;
	tag->locktag_field2 = (uint32) id;
	tag->locktag_field3 = seconds;
	tag->locktag_field4 = kind;
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

/* a release's lock that stands in for another one during DISCARD ALL */
static void
set_bridge_tag(LOCKTAG *tag, int32 release_id)
{
	set_tag(tag, release_id, 0, SV_LOCK_VERSION);
	tag->locktag_lockmethodid = DEFAULT_LOCKMETHOD;
}

/*
 * Take a release's locks in ExclusiveLock until the transaction ends, without
 * waiting.  False if an instance is live, this session's own included, which
 * the lock itself would let pass.
 */
bool
sv_registry_lock_release(const SvRelease *release)
{
	LOCKTAG		tag;
	LOCKTAG		bridge;

	set_tag(&tag, release->id, 0, SV_LOCK_VERSION);
	set_bridge_tag(&bridge, release->id);
	if (sv_lock_held(&tag, ShareLock) ||
		LockAcquire(&bridge, ExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL)
		return false;
	if (LockAcquire(&tag, ExclusiveLock, false, true) !=
		LOCKACQUIRE_NOT_AVAIL)
		return true;
	LockRelease(&bridge, ExclusiveLock, false);
	return false;
}

/*
 * Take a product's lock in ExclusiveLock until the transaction ends; waits
 * for a migration that holds it.
 */
void
sv_registry_lock_product(int32 product_id)
{
	LOCKTAG		tag;

	set_tag(&tag, product_id, 0, SV_LOCK_PRODUCT);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* is it held by a session that is live under a version of this database? */
static bool
is_live(const LockInstanceData *lock)
{
	return lock->locktag.locktag_type == LOCKTAG_USERLOCK &&
		lock->locktag.locktag_field1 == MyDatabaseId &&
		lock->locktag.locktag_field4 == SV_LOCK_VERSION &&
		(lock->holdMask & LOCKBIT_ON(ShareLock)) != 0;
}

/*
 * The processes of the sessions registered under a release, this one
 * included: a list of their numbers.
 */
List *
sv_registry_processes(const SvRelease *release)
{
	LockData   *data = GetLockStatusData();
	List	   *processes = NIL;

	for (int i = 0; i < data->nelements; i++)
	{
		LockInstanceData *lock = &data->locks[i];

		if (is_live(lock) && lock->locktag.locktag_field3 == 0 &&
			lock->locktag.locktag_field2 == (uint32) release->id)
			processes = list_append_unique_int(processes, lock->pid);
	}
	return processes;
}

/*
 * The number of sessions registered under a release, this one included.
 */
int
sv_registry_count(const SvRelease *release)
{
	return list_length(sv_registry_processes(release));
}

/*
 * Does this session itself keep the release live?
 */
bool
sv_registry_is_mine(const SvRelease *release)
{
	LOCKTAG		tag;

	set_tag(&tag, release->id, 0, SV_LOCK_VERSION);
	return sv_lock_held(&tag, ShareLock);
}

static bool
is_of(const LOCKTAG *tag, List *releases)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		if (tag->locktag_field2 == (uint32) ((SvRelease *) lfirst(lc))->id)
			return true;
	}
	return false;
}

/*
 * Is anybody live under one of the releases?  If so *instance is a lock to
 * give to sv_registry_wait_for().
 */
bool
sv_registry_find_live(List *releases, LOCKTAG *instance)
{
	LockData   *data = GetLockStatusData();
	bool		live = false;

	set_tag(instance, 0, 0, SV_LOCK_VERSION);
	for (int i = 0; i < data->nelements; i++)
	{
		LOCKTAG    *tag = &data->locks[i].locktag;

		if (!is_live(&data->locks[i]) || !is_of(tag, releases))
			continue;
		if (tag->locktag_field3 == 0)
			live = true;
		else
			*instance = *tag;
	}
	pfree(data->locks);
	pfree(data);
	return live;
}

/*
 * Wait until an instance has ended, and perhaps others of its version that
 * have registered within the same second.
 *
 * A session that comes, goes or discards all has for a moment a version's
 * lock alone, of which nobody may wait in line: then let the moment pass.
 */
void
sv_registry_wait_for(const LOCKTAG *instance)
{
	if (instance->locktag_field3 != 0)
	{
		(void) LockAcquire(instance, ExclusiveLock, false, false);
		LockRelease(instance, ExclusiveLock, false);
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 MOMENT_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* does this session still hold what the registration stands on? */
static bool
is_held(const Registration *reg)
{
	return reg->nlocks > 0 && sv_lock_held(&reg->locks[0], ShareLock);
}

static void
note_if_lost(Registration *reg)
{
	if (reg && !is_held(reg))
		reg->nlocks = 0;
}

/*
 * Take the locks of a registration.  Waits while the version is being broken
 * or retired, but never for who waits for an instance to end.
 *
 * Locks are lost all together, and a reference taken now would hide that
 * from other registrations under the same version: so note it before.
 */
static void
take_locks(Registration *reg)
{
	note_if_lost(session);
	note_if_lost(connection);
	for (Change *change = changes; change; change = change->previous)
	{
		note_if_lost(change->before);
		note_if_lost(change->after);
	}
	if (reg->nlocks == 0)
	{
		(void) LockAcquire(&reg->locks[0], ShareLock, true, false);
		reg->nlocks++;
	}
	if (reg->nlocks == 1)
	{
		while (LockAcquire(&reg->locks[1], ShareLock, true, true) ==
			   LOCKACQUIRE_NOT_AVAIL)
			reg->locks[1].locktag_field3++;
		reg->nlocks++;
	}
}

/* give back the locks of a registration; never fails */
static void
drop_locks(Registration *reg)
{
	while (reg->nlocks > 0)
	{
		LOCKTAG    *tag = &reg->locks[--reg->nlocks];

		if (sv_lock_held(tag, ShareLock))
			LockRelease(tag, ShareLock, true);
	}
}

/*
 * Registrations and the transactions that make them
 */

/* a copy of a list of strings in the current memory context */
static List *
copy_strings(List *strings)
{
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, strings)
		copy = lappend(copy, pstrdup((char *) lfirst(lc)));
	return copy;
}

/* a registration that holds nothing yet and lasts until it is ended */
static Registration *
make_registration(const SvProduct *product, const SvRelease *release)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "schemaver registration",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Registration *reg = palloc0(sizeof(Registration));
	TimestampTz seconds = GetCurrentTimestamp() / USECS_PER_SEC;

	reg->context = context;
	reg->product_id = product->id;
	reg->release_id = release->id;
	reg->product = pstrdup(product->name);
	reg->label = pstrdup(release->label);
	reg->version = sv_version_parse(release->label);
	reg->schemas = copy_strings(release->schemas);
	set_tag(&reg->locks[0], release->id, 0, SV_LOCK_VERSION);
	set_tag(&reg->locks[1], release->id, (uint32) Max(seconds, 1),
			SV_LOCK_VERSION);
	MemoryContextSwitchTo(oldcontext);
	return reg;
}

/* a registration is over, or for the connection's own: not in force */
static void
end_registration(Registration *reg)
{
	if (reg == NULL)
		return;
	drop_locks(reg);
	if (reg != connection)
		MemoryContextDelete(reg->context);
}

/*
 * Announce that the session goes from its registration to another one: from
 * now on an abort ends that one and puts the old one back.
 */
static void
push_change(Registration *after)
{
	Change	   *change = MemoryContextAlloc(TopTransactionContext,
											sizeof(Change));

	change->subid = GetCurrentSubTransactionId();
	change->command = GetCurrentCommandId(false);
	change->before = session;
	change->after = after;
	change->previous = changes;
	changes = change;
}

static void
undo_change(void)
{
	Change	   *change = changes;

	changes = change->previous;
	session = change->before;
	end_registration(change->after);
}

/*
 * The transaction's changes are final: end what has been replaced.  The
 * connection's registration may stand among it and yet be in force again.
 */
static void
settle_changes(void)
{
	while (changes)
	{
		Change	   *change = changes;

		changes = change->previous;
		if (change->before != session)
			end_registration(change->before);
	}
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId subid,
				   SubTransactionId parent, void *arg)
{
	(void) arg;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (changes && changes->subid == subid)
			undo_change();
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (Change *change = changes;
			 change && change->subid == subid;
			 change = change->previous)
			change->subid = parent;
	}
}

/*
 * search_path
 */

/* is search_path what the session's registration has set? */
static bool
path_is_ours(void)
{
	return session && strcmp(namespace_search_path, session->path) == 0;
}

/*
 * Would a SET outlast the statement?  Not within a function that has a SET
 * clause of its own: such a function is one more level of settings than
 * there are levels of transactions.
 */
static bool
settings_stay(void)
{
	int			level = NewGUCNestLevel();

	AtEOXact_GUC(false, level);
	return level == GetCurrentTransactionNestLevel() + 1;
}

/*
 * The session's own search_path: what registrations have put there undone.
 * Under a function's SET clause it cannot be seen: then the one before the
 * registration, or else the one that the session started with.
 */
static const char *
own_path(void)
{
	if (!path_is_ours() && settings_stay())
		return namespace_search_path;
	return session ? session->path_before :
		GetConfigOptionResetString("search_path");
}

/* version schemas, base schemas, and what of a path is neither */
static char *
compose_path(const SvProduct *product, const SvRelease *release,
			 List *releases, const char *own)
{
	List	   *names = list_concat_copy(release->schemas, product->schemas);
	List	   *rest;
	StringInfoData path;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(own), ',', &rest))
		rest = NIL;				/* the setting's own check lets none pass */
	foreach(lc, rest)
	{
		char	   *name = lfirst(lc);
		bool		ours = sv_catalog_has_text(names, name);
		ListCell   *lc2;

		foreach(lc2, releases)
			ours |= sv_catalog_has_text(((SvRelease *) lfirst(lc2))->schemas,
										name);
		if (!ours)
			names = lappend(names, name);
	}
	initStringInfo(&path);
	foreach(lc, names)
		appendStringInfo(&path, "%s%s", path.len > 0 ? ", " : "",
						 quote_identifier(lfirst(lc)));
	return path.data;
}

/* from the connection: the value that RESET and DISCARD ALL come back to */
static void
set_path(const char *path, GucSource source)
{
	(void) set_config_option("search_path", path, PGC_USERSET, source,
							 GUC_ACTION_SET, true, 0, false);
}

/*
 * Registering
 */

/* the product to register under; one that a restore put to sleep wakes up */
static SvProduct *
find_product(const char *name)
{
	SvProduct  *product = sv_catalog_product(name, false);

	if (!product->awake && !RecoveryInProgress() && sv_registry_wake_hook)
	{
		sv_registry_wake_hook(product);
		product = sv_catalog_product_by_id(product->id);
	}
	return product;
}

/* the oldest release that is not retired; the list ascends */
static const char *
oldest_supported(List *releases)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (!release->retired)
			return release->label;
	}
	elog(ERROR, "no version is supported");
}

static const char *
current_label(const SvProduct *product, List *releases)
{
	ListCell   *lc;

	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (release->id == product->current)
			return release->label;
	}
	return ((SvRelease *) llast(releases))->label;
}

/* nobody can register under a retired version; say what to start instead */
static void
refuse_retired(const SvProduct *product, const SvRelease *found,
			   const SvVersion *asked, List *releases)
{
	bool		is_older = true;
	ListCell   *lc;

	/* one above the current version was rolled back */
	foreach(lc, releases)
	{
		if (((SvRelease *) lfirst(lc))->id == product->current)
			is_older = sv_version_compare(found->version,
										  ((SvRelease *) lfirst(lc))->version) < 0;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("version %s of product \"%s\" is retired",
					found->label, product->name),
			 sv_version_compare(found->version, asked) == 0 ? 0 :
			 errdetail("Version %s stands for it.",
					   sv_version_text(asked)),
			 is_older ?
			 errhint("Start a newer version of the application: the oldest supported version is %s.",
					 oldest_supported(releases)) :
			 errhint("Start an older version of the application: it was rolled back, and the current version is %s.",
					 current_label(product, releases))));
}

/*
 * The release that an application's version stands for: the newest one not
 * above it, which must be supported.
 */
static SvRelease *
find_release(const SvProduct *product, const SvVersion *asked,
			 List *releases)
{
	SvRelease  *found = NULL;
	ListCell   *lc;

	if (releases == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("product \"%s\" has no version yet", product->name),
				 errhint("Make its first version with schemaver.baseline() or schemaver.apply().")));
	foreach(lc, releases)
	{
		SvRelease  *release = lfirst(lc);

		if (sv_version_compare(release->version, asked) <= 0)
			found = release;
	}
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("version %s of product \"%s\" does not exist",
						sv_version_text(asked), product->name),
				 errhint("The oldest supported version is %s.",
						 oldest_supported(releases))));
	if (found == llast(releases) &&
		sv_version_compare(found->version, asked) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %s of product \"%s\" is above the current version %s",
						sv_version_text(asked), product->name,
						current_label(product, releases)),
				 errhint("The migration that it needs has not been applied: call schemaver.apply().")));
	if (found->retired)
		refuse_retired(product, found, asked, releases);
	return found;
}

/* is the session as registering under the release would leave it? */
static bool
stands_at(const SvRelease *release)
{
	return session && session->release_id == release->id &&
		is_held(session) && path_is_ours();
}

/* under the release's lock: is it still the answer? */
static bool
still_stands(const SvProduct *product, SvRelease **release)
{
	if (sv_catalog_product_by_id(product->id)->current != product->current)
		return false;
	*release = sv_catalog_release(product, (*release)->id);
	return *release && !(*release)->retired;
}

/*
 * DDL by hand is mended at once only for versions that somebody uses.  Who is
 * the first under a version gets what was left undone.
 */
static void
mend_unused(SvProduct *product, const SvRelease *release)
{
	if (!release->registered && !RecoveryInProgress() &&
		sv_registry_wake_hook && sv_catalog_drifted(product))
		sv_registry_wake_hook(product);
}

/*
 * Register the session.  Waits while the version is being broken or retired;
 * the wait may end with another version that the asked one stands for by
 * then, or with the error that there is none.
 */
static SvRelease *
register_session(const char *product_name, const SvVersion *asked,
				 GucSource source)
{
	SvProduct  *product;
	List	   *releases;
	SvRelease  *release;
	Registration *reg;

	for (;;)
	{
		product = find_product(product_name);
		releases = sv_catalog_releases(product, false);
		release = find_release(product, asked, releases);
		if (stands_at(release))
			return release;
		reg = make_registration(product, release);
		push_change(reg);
		take_locks(reg);
		if (still_stands(product, &release))
			break;
		undo_change();
	}
	if (sv_registry_ready_hook)
		sv_registry_ready_hook(product, release);
	mend_unused(product, release);
	sv_catalog_mark_registered(release);
	reg->path_before = MemoryContextStrdup(reg->context, own_path());
	reg->path = MemoryContextStrdup(reg->context,
									compose_path(product, release, releases,
												 reg->path_before));
	set_path(reg->path, source);
	session = reg;
	return release;
}

/*
 * schemaver.register(version, product) returns the schema version that the
 * session is registered under from now on.
 */
Datum
schemaver_register(PG_FUNCTION_ARGS)
{
	char	   *product = NULL;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("version must not be null"),
				 errhint("Say which version of the application this is: schemaver.register('1.0.2').")));
	if (sv_contract_collecting())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a migration's script cannot register the session"),
				 errhint("Register before or after schemaver.apply().")));
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot register within a security-restricted operation")));
	if (!PG_ARGISNULL(1))
		product = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PG_RETURN_POINTER(register_session(product, PG_GETARG_SVVERSION(0),
									   PGC_S_SESSION)->version);
}

/*
 * schemaver.unregister() returns whether the session was registered.  Puts
 * search_path back, unless the session has changed it since.
 */
Datum
schemaver_unregister(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	if (session == NULL)
		PG_RETURN_BOOL(false);
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot unregister within a security-restricted operation")));
	push_change(NULL);
	if (path_is_ours() || !settings_stay())
		set_path(session->path_before, PGC_S_SESSION);
	session = NULL;
	PG_RETURN_BOOL(true);
}

/*
 * The OIDs of the version schemas of this session's registration, as far as
 * they exist; NIL if it has none.  In the caller's memory context.
 */
List *
sv_registry_schemas(void)
{
	List	   *oids = NIL;
	ListCell   *lc;

	if (session == NULL)
		return NIL;
	foreach(lc, session->schemas)
	{
		Oid			oid = get_namespace_oid(lfirst(lc), true);

		if (OidIsValid(oid))
			oids = lappend_oid(oids, oid);
	}
	return oids;
}

/*
 * What this session is registered under: the id of the release, its product
 * and version; 0 and NULLs if nothing, or while sv_registry_set_aside() says
 * so.  They last as long as the registration.
 */
int32
sv_registry_session(const char **product, const SvVersion **version)
{
	bool		counts = session && !is_set_aside;

	*product = counts ? session->product : NULL;
	*version = counts ? session->version : NULL;
	return counts ? session->release_id : 0;
}

/*
 * Has this transaction registered the session, or ended its registration?
 */
bool
sv_registry_has_changed(void)
{
	return changes != NULL;
}

/*
 * What the session was registered under when this transaction ran a command:
 * the id of the release and its product, 0 and NULL if nothing.  For what is
 * looked at when the transaction ends; a registration lasts until then, and so
 * does its lock.
 */
int32
sv_registry_session_at(CommandId command, const char **product)
{
	Registration *then = session;

	for (Change *change = changes; change && change->command > command;
		 change = change->previous)
		then = change->before;
	*product = then ? then->product : NULL;
	return then ? then->release_id : 0;
}

/*
 * The release that sv_registry_session() tells of, read anew; NULL if there is
 * none.
 */
SvRelease *
sv_registry_session_release(void)
{
	const char *name;
	const SvVersion *version;
	int32		id = sv_registry_session(&name, &version);
	SvProduct  *product = id ? sv_catalog_product(name, true) : NULL;

	return product ? sv_catalog_release(product, id) : NULL;
}

/*
 * Should this session's registration count for what it writes?  A migration's
 * script is nobody's old version, whoever runs it.  Returns what was said
 * before, for the caller to say again, after an error too.
 */
bool
sv_registry_set_aside(bool aside)
{
	bool		before = is_set_aside;

	is_set_aside = aside;
	return before;
}

/* is it a migration's script that writes? */
bool
sv_registry_is_set_aside(void)
{
	return is_set_aside;
}

/*
 * Is the code that runs, such as a trigger's function, that of the newest
 * version, though the session is registered under another one?  What it writes
 * it writes into the newest version's columns.  Returns what was said before,
 * for the caller to say again, after an error too.
 */
bool
sv_registry_set_newest_code(bool newest)
{
	bool		before = is_newest_code;

	is_newest_code = newest;
	return before;
}

/*
 * What was said last.
 */
bool
sv_registry_is_newest_code(void)
{
	return is_newest_code;
}

/*
 * Locks that were released behind our back
 */

/* is the connection's version still there and supported?  If not: FATAL */
static void
check_connection(void)
{
	SvProduct  *product = NULL;
	SvRelease  *release = NULL;

	if (OidIsValid(sv_catalog_extension(true)))
		product = sv_catalog_product(connection->product, true);
	if (product)
		release = sv_catalog_release(product, connection->release_id);
	if (release && !release->retired)
		return;
	ereport(FATAL,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 release ?
			 errmsg("version %s of product \"%s\" is retired",
					connection->label, connection->product) :
			 errmsg("version %s of product \"%s\" does not exist any more",
					connection->label, connection->product),
			 errdetail("The session had released its registration, which came with the connection, and cannot take it again."),
			 errhint("Start a newer version of the application.")));
}

/*
 * Take the connection's registration again, or end the session, whose client
 * goes by it.  After an error it is not in force, and the next statement
 * tries again.
 */
static void
retake_connection(void)
{
	PG_TRY();
	{
		take_locks(connection);
		check_connection();
	}
	PG_CATCH();
	{
		drop_locks(connection);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Return to what the connection was registered under, or to nothing.
 */
static void
return_to_connection(void)
{
	if (session == connection)
	{
		/* was so before this transaction and stays so if it aborts */
		if (connection)
			retake_connection();
		return;
	}
	push_change(connection);
	if (connection)
		retake_connection();
	if (path_is_ours())
		set_path(connection ? connection->path : session->path_before,
				 PGC_S_SESSION);
	session = connection;
}

/*
 * The check at the next statement: has the session lost its locks?
 *
 * The usual answer costs a look into a local hash table.  A registration
 * made by a call ends only where its search_path can end with it, otherwise
 * at a later statement.
 */
static inline void
check_locks(void)
{
	if (likely(session == NULL || is_held(session)))
		return;
	if (IsInParallelMode() || !IsTransactionState() ||
		(session != connection && !settings_stay()))
		return;
	return_to_connection();
}

/*
 * The connection's registration is about to be released and taken again:
 * hold it by another lock until the transaction ends.
 */
static void
bridge_discard(void)
{
	LOCKTAG		tag;

	if (connection == NULL || !is_held(connection))
		return;
	set_bridge_tag(&tag, connection->release_id);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

static void
start_executor(QueryDesc *queryDesc, int eflags)
{
	check_locks();
	if (next_ExecutorStart)
		next_ExecutorStart(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

static void
process_utility(PlannedStmt *pstmt, const char *queryString,
				bool readOnlyTree, ProcessUtilityContext context,
				ParamListInfo params, QueryEnvironment *queryEnv,
				DestReceiver *dest, QueryCompletion *qc)
{
	bool		discards = IsA(pstmt->utilityStmt, DiscardStmt) &&
		((DiscardStmt *) pstmt->utilityStmt)->target == DISCARD_ALL;

	/* what must run before any snapshot is taken has none to check with */
	if (discards)
		bridge_discard();
	else if (PlannedStmtRequiresSnapshot(pstmt))
		check_locks();
	if (next_ProcessUtility)
		next_ProcessUtility(pstmt, queryString, readOnlyTree, context,
							params, queryEnv, dest, qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context,
								params, queryEnv, dest, qc);
	if (discards)
		return_to_connection();
}

/*
 * Registering while connecting
 */

static void
app_malformed(const char *app)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"schemaver.app\": \"%s\"",
					app),
			 errdetail("It must be a product and a version, such as \"shop/1.0.2\", or a version alone where the database has one product.")));
}

/* split at the last slash, since the name of a product may hold one */
static SvVersion *
parse_app(const char *app, char **product)
{
	const char *slash = strrchr(app, '/');

	*product = NULL;
	if (slash == app || (slash && slash[1] == '\0'))
		app_malformed(app);
	if (slash)
		*product = pnstrdup(app, slash - app);
	return sv_version_parse(slash ? slash + 1 : app);
}

/*
 * A running session cannot change schemaver.app: it would do nothing, and
 * under a connection pooler stay for the next client.  A default for later
 * connections is looked at here rather than when they fail.
 */
static bool
check_app(char **newval, void **extra, GucSource source)
{
	char	   *product;

	(void) extra;
	if (source == PGC_S_SESSION || source == PGC_S_INTERACTIVE)
	{
		GUC_check_errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM);
		GUC_check_errmsg("parameter \"%s\" cannot be set within a session",
						 "schemaver.app");
		GUC_check_errdetail("It is read when the connection starts.");
		GUC_check_errhint("Call schemaver.register() in a running session.");
		return false;
	}
	if (source == PGC_S_TEST && **newval != '\0')
		(void) parse_app(*newval, &product);
	return true;
}

/*
 * Register as schemaver.app says.  Whatever fails ends the connection, and
 * every such end tells how to come in all the same.
 */
static void
register_connection(void)
{
	MemoryContext oldcontext = CurrentMemoryContext;

	PushActiveSnapshot(GetTransactionSnapshot());
	PG_TRY();
	{
		char	   *product;
		SvVersion  *version = parse_app(app_setting, &product);

		(void) sv_catalog_extension(false);
		(void) register_session(product, version, PGC_S_CLIENT);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(oldcontext);
		error = CopyErrorData();
		FlushErrorState();
		error->elevel = FATAL;
		error->hint = psprintf("%s%sA DBA connects without registering with PGOPTIONS=\"-c schemaver.app=\".",
							   error->hint ? error->hint : "",
							   error->hint ? "\n" : "");
		if (error->context == NULL)
			error->context = psprintf("registration of the connection, schemaver.app = \"%s\"",
									  app_setting);
		ThrowErrorData(error);
	}
	PG_END_TRY();
	PopActiveSnapshot();
	connection = session;
}

/*
 * Does this process's connection ask for a registration?  Applications
 * connect; workers and replication do not, nor does pg_upgrade, which must
 * get in before there is anything to register under.
 */
static bool
connection_asks(void)
{
	return MyProcPort != NULL && OidIsValid(MyDatabaseId) && !am_walsender &&
		!IsParallelWorker() && !IsBinaryUpgrade && app_setting[0] != '\0';
}

/*
 * Register a session whose connection asks for it.  Called at the end of
 * _PG_init: in the postmaster this can only be noted for the processes to
 * come; within a connection's startup it is done at once; and once the
 * session runs it is too late.
 */
void
sv_registry_connect(void)
{
	if (process_shared_preload_libraries_in_progress)
		connect_pending = true;
	else if (!connection_asks())
		return;
	else if (IsInitProcessingMode())
		register_connection();
	else
		ereport(WARNING,
				(errmsg("this session is not registered, although schemaver.app is \"%s\"",
						app_setting),
				 errdetail("The library was not loaded when the connection started."),
				 errhint("Run ALTER DATABASE %s SET session_preload_libraries = 'schemaver' and connect again.",
						 quote_identifier(get_database_name(MyDatabaseId)))));
}

static void
end_transaction(XactEvent event, void *arg)
{
	(void) arg;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			/* preloaded by the postmaster: the connection's startup ends */
			if (connect_pending)
			{
				connect_pending = false;
				if (IsInitProcessingMode() && connection_asks())
					register_connection();
			}
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			settle_changes();
			break;
		case XACT_EVENT_ABORT:
			while (changes)
				undo_change();
			break;
		default:
			break;
	}
}

/*
 * Called once from _PG_init: the setting, the hooks, the callbacks.
 */
void
sv_registry_init(void)
{
	DefineCustomStringVariable("schemaver.app",
							   "The product and version of the application that connects.",
							   "Read when the connection starts: \"product/version\", or a version alone where the database has one product.",
							   &app_setting,
							   "",
							   PGC_USERSET,
							   GUC_NOT_IN_SAMPLE,
							   check_app, NULL, NULL);

	next_ExecutorStart = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	next_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
}

/*
 * schemaver.writes_as(product, versions) returns boolean
 *
 * Is the session registered under one of these versions of the product?  The
 * condition of triggers that only some versions have, and the exception of
 * what the newest one requires.  Whoever fills in columns for the rows that
 * are there, or replicates them, writes what somebody else has written: the
 * rows of these versions must not be in the way.
 */
Datum
schemaver_writes_as(PG_FUNCTION_ARGS)
{
	text	   *product = PG_GETARG_TEXT_PP(0);
	ArrayIterator iterator;
	Datum		version;
	bool		isnull;

	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		PG_RETURN_BOOL(true);
	if (session == NULL || is_set_aside ||
		strlen(session->product) != VARSIZE_ANY_EXHDR(product) ||
		memcmp(session->product, VARDATA_ANY(product),
			   VARSIZE_ANY_EXHDR(product)) != 0)
		PG_RETURN_BOOL(false);
	iterator = array_create_iterator(PG_GETARG_ARRAYTYPE_P(1), 0, NULL);
	while (array_iterate(iterator, &version, &isnull))
	{
		if (!isnull && sv_version_compare(session->version,
										  DatumGetSvVersion(version)) == 0)
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}
