/*-------------------------------------------------------------------------
 *
 * schemaver.c
 *	  Module magic and _PG_init: the table of contents.
 *
 * Variables, hooks and settings stand in the module that they belong to.
 * Here is only the order: the hook that is installed last runs first, so
 * registry.c, which sees to it that the session's registration is in force
 * before a statement runs, comes after those that go by it.  A session that
 * registers while it connects does so when everything else is in place.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "utils/guc.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	sv_contract_init();
	sv_lost_init();
	sv_newest_init();
	sv_redirect_init();
	sv_sequence_init();
	sv_lock_init();
	sv_guard_init();
	sv_defer_init();
	sv_first_init();
	sv_names_init();
	sv_require_init();
	sv_expand_init();
	sv_work_init();
	sv_jobs_init();
	sv_plan_init();
	sv_registry_init();
	sv_registry_wake_hook = sv_compat_wake;
	sv_registry_ready_hook = sv_jobs_check_ready;
	MarkGUCPrefixReserved(SV_SCHEMA);
	sv_registry_connect();
}
