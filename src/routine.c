/*-------------------------------------------------------------------------
 *
 * routine.c
 *	  Functions and triggers that a migration's renames leave behind.
 *
 * Views, defaults, constraints, policies, triggers' conditions and functions
 * with an SQL-standard body follow a rename by themselves.  A function whose
 * body is a string does not: it breaks, for every version, when it next runs.
 * Once the script has run, and may have replaced such functions itself, they
 * are judged, in the order of how much can be known:
 *
 * A trigger function that still says NEW.old or OLD.old makes every write
 * fail: the migration is refused.
 *
 * An SQL function is validated as CREATE FUNCTION would do it.  If that fails
 * because of a name that was renamed, the migration is refused.
 *
 * Of other functions there is only the source text, and a name in it may mean
 * something else: one WARNING lists them all.  Where the extension
 * plpgsql_check is installed it decides for PL/pgSQL functions instead.
 *
 * A function is looked at as its owner, who may use what it uses, in a
 * security-restricted operation, and in a subtransaction that is always
 * rolled back, its locks with it.  To validate it runs nothing.  plpgsql_check
 * plans its queries, and the planner evaluates immutable functions, which may
 * be what the caller has put into the search_path: so it is asked only if the
 * caller could become the owner anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "schemaver.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "commands/proclang.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/scanner.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

/* the number of this token is a part of the scanner's interface */
#define TOKEN_IDENTIFIER	258

/* a name that something had before the script */
typedef struct OldName
{
	const char *name;
	const char *new_name;
	bool		is_column;
	bool		moved;			/* relation: the schema is new, not the name */
	bool		in_path;		/* ... and found without being qualified */
	bool		taken;			/* something else has the old name now */
	const SvEntry *entry;		/* the relation as it was */
	const SvEntry *now;			/* and as it is */
} OldName;

/* a trigger */
typedef struct TriggerUse
{
	Oid			function;
	Oid			relation;		/* the renamed one, or an heir of it */
	Oid			root;			/* the renamed one */
	char	   *name;
	bool		enabled;
	List	   *arguments;		/* of char * */
	char	   *old_table;		/* transition tables, or NULL */
	char	   *new_table;
} TriggerUse;

/* a function, and what its source says */
typedef struct Routine
{
	Oid			oid;
	Oid			owner;
	Oid			language;
	bool		is_trigger;
	bool		is_polymorphic;
	bool		is_new;			/* written by this transaction */
	char	   *signature;
	char	   *source;
	char	   *path;			/* its own search_path, or NULL */
	List	   *argnames;		/* of what goes in */
	List	   *types;			/* OIDs, of all arguments and the result */
	List	   *mentions;		/* of OldName, each once */
	List	   *fields;			/* those a trigger function says as NEW.name */
	bool		says_new_name;
} Routine;

/* one call of sv_routine_check() */
typedef struct Check
{
	const SvProduct *product;
	List	   *names;			/* of OldName */
	List	   *uses;			/* of TriggerUse */
	Oid			plpgsql;		/* the language, InvalidOid if there is none */
	char	   *checker;		/* plpgsql_check's function, NULL if none */
	char	   *path;			/* search_path to look at functions with */
	int			nrefused;
	char	   *first;			/* what was refused first */
	StringInfoData refused;		/* a line each */
	StringInfoData guesses;
} Check;

/* what plpgsql_check says of a function */
typedef enum Verdict
{
	UNDECIDED,
	SOUND,
	BROKEN
} Verdict;

/* a look at a function: argument of look_as_owner() */
typedef struct Look
{
	void		(*action) (struct Look *look);
	Check	   *check;
	Routine    *routine;
	TriggerUse *use;			/* trigger function: as this one's */
	MemoryContext context;		/* of the result */
	char	   *problem;		/* the result: what breaks it, or NULL */
} Look;

static void
set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*-------------------------------------------------------------------------
 * What was renamed
 *-------------------------------------------------------------------------
 */

/* how messages name a relation */
static char *
shown_relation(const SvEntry *entry)
{
	return quote_qualified_identifier(entry->schema, entry->name);
}

static bool
relation_exists(const char *schema, const char *name)
{
	Oid			namespace = get_namespace_oid(schema, true);

	return OidIsValid(namespace) &&
		OidIsValid(get_relname_relid(name, namespace));
}

static OldName *
add_name(Check *check, const SvEntry *entry, const SvEntry *now,
		 const char *name, const char *new_name)
{
	OldName    *old = palloc0(sizeof(OldName));

	old->name = name;
	old->new_name = new_name;
	old->entry = entry;
	old->now = now;
	check->names = lappend(check->names, old);
	return old;
}

static void
find_renamed_columns(Check *check, const SvEntry *entry, const SvEntry *now)
{
	ListCell   *lt;
	ListCell   *ln;

	foreach(lt, entry->columns)
	{
		SvPart	   *then = lfirst(lt);

		foreach(ln, now->columns)
		{
			SvPart	   *column = lfirst(ln);
			OldName    *old;

			if (column->number != then->number ||
				strcmp(column->name, then->name) == 0)
				continue;
			old = add_name(check, entry, now, then->name, column->name);
			old->is_column = true;
			old->taken = get_attnum(now->physical, then->name) !=
				InvalidAttrNumber;
		}
	}
}

/* all old names of relations and of their columns */
static void
find_renames(Check *check, SvRelease *from)
{
	ListCell   *lc;

	foreach(lc, sv_contract_touched_entries(from))
	{
		SvEntry    *entry = lfirst(lc);
		SvEntry    *now;
		bool		renamed;

		if (strchr("rpvmf", entry->kind) == NULL)
			continue;
		now = sv_contract_resolve(entry);
		if (now == NULL)
			continue;
		renamed = strcmp(entry->name, now->name) != 0;
		if (renamed || strcmp(entry->schema, now->schema) != 0)
		{
			OldName    *old = add_name(check, entry, now, entry->name,
									   now->name);

			old->moved = !renamed;
			old->in_path = !renamed &&
				sv_catalog_is_base_schema(check->product, now->schema);
			old->taken = relation_exists(entry->schema, entry->name);
		}
		if (entry->physical == now->physical)
			find_renamed_columns(check, entry, now);
	}
}

/*-------------------------------------------------------------------------
 * Triggers
 *-------------------------------------------------------------------------
 */

/*
 * Does a trigger go on with the names of the versions that alone have it?  Not
 * if its function is in C, to which names are arguments.
 */
static bool
is_recast(const Trigger *trigger)
{
	HeapTuple	tuple;
	Oid			language;

	if (!sv_is_hidden(trigger->tgname))
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(trigger->tgfoid));
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language != INTERNALlanguageId && language != ClanguageId;
}

/* the triggers of one relation; those of a partition's parent are clones */
static void
find_triggers_of(Check *check, Oid root, Oid relid)
{
	Relation	relation = relation_open(relid, AccessShareLock);
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		TriggerUse *use;

		if (trigger->tgisinternal || trigger->tgisclone ||
			is_recast(trigger))
			continue;
		use = palloc0(sizeof(TriggerUse));
		use->function = trigger->tgfoid;
		use->relation = relid;
		use->root = root;
		use->name = pstrdup(trigger->tgname);
		use->enabled = trigger->tgenabled != TRIGGER_DISABLED;
		for (int j = 0; j < trigger->tgnargs; j++)
			use->arguments = lappend(use->arguments,
									 pstrdup(trigger->tgargs[j]));
		check->uses = lappend(check->uses, use);
	}
	relation_close(relation, NoLock);
}

/* triggers of relations with a renamed column, and of their heirs */
static void
find_triggers(Check *check)
{
	List	   *seen = NIL;
	ListCell   *lc;
	ListCell   *lr;

	foreach(lc, check->names)
	{
		OldName    *old = lfirst(lc);
		Oid			root = old->now->physical;

		if (!old->is_column || list_member_oid(seen, root))
			continue;
		seen = lappend_oid(seen, root);
		foreach(lr, find_all_inheritors(root, AccessShareLock, NULL))
			find_triggers_of(check, root, lfirst_oid(lr));
	}
}

static char *
name_or_null(HeapTuple tuple, AttrNumber column, TupleDesc desc)
{
	bool		isnull;
	Datum		name = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : pstrdup(NameStr(*DatumGetName(name)));
}

/* all triggers that call a function */
static List *
triggers_calling(Oid function)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(catalog);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *uses = NIL;

	ScanKeyInit(&key, Anum_pg_trigger_tgfoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(function));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		TriggerUse *use;

		if (form->tgisinternal || OidIsValid(form->tgparentid))
			continue;
		use = palloc0(sizeof(TriggerUse));
		use->function = function;
		use->relation = form->tgrelid;
		use->name = pstrdup(NameStr(form->tgname));
		use->old_table = name_or_null(tuple, Anum_pg_trigger_tgoldtable, desc);
		use->new_table = name_or_null(tuple, Anum_pg_trigger_tgnewtable, desc);
		uses = lappend(uses, use);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return uses;
}

/* does a trigger call the function on a relation that has such a column? */
static bool
is_shared(Oid function, const char *column)
{
	ListCell   *lc;

	foreach(lc, triggers_calling(function))
	{
		TriggerUse *use = lfirst(lc);

		if (get_attnum(use->relation, column) != InvalidAttrNumber)
			return true;
	}
	return false;
}

/*-------------------------------------------------------------------------
 * Functions and their source
 *-------------------------------------------------------------------------
 */

/* the value of search_path in pg_proc.proconfig, or NULL */
static char *
own_path(HeapTuple tuple)
{
	static const char setting[] = "search_path=";
	bool		isnull;
	Datum		config = SysCacheGetAttr(PROCOID, tuple,
										 Anum_pg_proc_proconfig, &isnull);
	ListCell   *lc;

	foreach(lc, isnull ? NIL :
			sv_catalog_text_list(DatumGetArrayTypeP(config)))
	{
		char	   *text = lfirst(lc);

		if (strncmp(text, setting, strlen(setting)) == 0)
			return text + strlen(setting);
	}
	return NULL;
}

static void
read_arguments(Routine *routine, HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			n = get_func_arg_info(tuple, &types, &names, &modes);

	routine->types = list_make1_oid(form->prorettype);
	routine->is_polymorphic = IsPolymorphicType(form->prorettype);
	for (int i = 0; i < n; i++)
	{
		routine->types = lappend_oid(routine->types, types[i]);
		routine->is_polymorphic |= IsPolymorphicType(types[i]);
		if (names && names[i][0] != '\0' &&
			(modes == NULL || (modes[i] != PROARGMODE_TABLE &&
							   modes[i] != PROARGMODE_OUT)))
			routine->argnames = lappend(routine->argnames, names[i]);
	}
}

/* a function whose body is source text that follows no rename, or NULL */
static Routine *
read_routine(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	Form_pg_proc form;
	Routine    *routine = NULL;
	bool		parsed;
	bool		isnull;
	Datum		source;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	(void) SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosqlbody, &isnull);
	parsed = !isnull;
	source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);
	if (!parsed && !isnull && form->prolang != INTERNALlanguageId &&
		form->prolang != ClanguageId)
	{
		routine = palloc0(sizeof(Routine));
		routine->oid = oid;
		routine->owner = form->proowner;
		routine->language = form->prolang;
		routine->is_trigger = form->prorettype == TRIGGEROID;
		routine->is_new = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		routine->signature = psprintf("%s %s", form->prokind == PROKIND_PROCEDURE ?
									  "procedure" : "function",
									  format_procedure(oid));
		routine->source = TextDatumGetCString(source);
		routine->path = own_path(tuple);
		read_arguments(routine, tuple);
	}
	ReleaseSysCache(tuple);
	return routine;
}

/* the functions of the base schemas, but for members of extensions */
static List *
functions_of_schema(Oid schema)
{
	List	   *functions = NIL;
	ListCell   *lc;

	foreach(lc, sv_catalog_objects_of_schema(schema, ProcedureRelationId))
	{
		if (!OidIsValid(getExtensionOfObject(ProcedureRelationId,
											 lfirst_oid(lc))))
			functions = lappend_oid(functions, lfirst_oid(lc));
	}
	return functions;
}

/* all functions that are to be judged, in the order of their making */
static List *
find_functions(Check *check)
{
	List	   *functions = NIL;
	ListCell   *lc;

	foreach(lc, check->product->schemas)
	{
		Oid			schema = get_namespace_oid(lfirst(lc), true);

		if (OidIsValid(schema))
			functions = list_concat(functions, functions_of_schema(schema));
	}
	foreach(lc, check->uses)
		functions = lappend_oid(functions,
								((TriggerUse *) lfirst(lc))->function);
	list_sort(functions, list_oid_cmp);
	list_deduplicate_oid(functions);
	return functions;
}

/*-------------------------------------------------------------------------
 * What a source text says
 *-------------------------------------------------------------------------
 */

/* a search_path of the function's own may not lead to the new schema */
static bool
leads_to(const Routine *routine, const OldName *old, const char *qualifier)
{
	return old->in_path && qualifier == NULL && routine->path == NULL &&
		routine->language != SQLlanguageId;
}

/* an identifier, and the one before it if only a dot is between them */
static void
note_word(Check *check, Routine *routine, const char *qualifier,
		  const char *word)
{
	bool		is_field = routine->is_trigger && qualifier &&
	(strcmp(qualifier, "new") == 0 || strcmp(qualifier, "old") == 0);
	ListCell   *lc;

	foreach(lc, check->names)
	{
		OldName    *old = lfirst(lc);

		if (strcmp(old->new_name, word) == 0)
			routine->says_new_name = true;
		if (strcmp(old->name, word) != 0)
			continue;
		if (old->is_column && is_field)
			routine->fields = list_append_unique_ptr(routine->fields, old);
		else if (old->is_column || qualifier == NULL ||
				 strcmp(qualifier, old->entry->schema) == 0)
		{
			if (!leads_to(routine, old, qualifier))
				routine->mentions = list_append_unique_ptr(routine->mentions,
														   old);
		}
	}
}

/* read a source with the server's scanner; it may throw */
static void
scan_tokens(Check *check, Routine *routine)
{
	/* without keywords whatever could be a name comes as an identifier */
	static const ScanKeywordList no_keywords = {0};
	static const uint16 no_tokens[1] = {0};
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(routine->source, &extra,
										 &no_keywords, no_tokens);
	core_YYSTYPE value;
	YYLTYPE		location;
	const char *last = NULL;	/* identifier that the dot follows */
	bool		dot = false;
	int			token;

	extra.escape_string_warning = false;
	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (token == TOKEN_IDENTIFIER)
		{
			note_word(check, routine, dot ? last : NULL, value.str);
			last = value.str;
			dot = false;
		}
		else if (token == '.' && last && !dot)
			dot = true;
		else
		{
			last = NULL;
			dot = false;
		}
	}
	scanner_finish(scanner);
}

/*
 * Does a word stand in a text?  What is not ASCII counts as a boundary:
 * messages in some languages have quotation marks of their own.
 */
static bool
has_word(const char *text, const char *word)
{
	static const char letters[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$";
	size_t		length = strlen(word);

	for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
	{
		if ((p == text || strchr(letters, p[-1]) == NULL) &&
			(p[length] == '\0' || strchr(letters, p[length]) == NULL))
			return true;
	}
	return false;
}

/* another language has SQL in its literals, if anywhere */
static void
search_words(Check *check, Routine *routine)
{
	ListCell   *lc;

	foreach(lc, check->names)
	{
		OldName    *old = lfirst(lc);

		if (has_word(routine->source, old->name))
			note_word(check, routine, NULL, old->name);
	}
}

/* errors that are not the function's */
static bool
is_alien(const ErrorData *problem)
{
	int			class = ERRCODE_TO_CATEGORY(problem->sqlerrcode);

	return problem->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_T_R_DEADLOCK_DETECTED) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR);
}

/* note what the source of a function says */
static void
read_source(Check *check, Routine *routine)
{
	MemoryContext context = CurrentMemoryContext;

	if (routine->language != SQLlanguageId &&
		routine->language != check->plpgsql)
	{
		search_words(check, routine);
		return;
	}

	/* a body that was never checked may be no tokens at all */
	PG_TRY();
	{
		scan_tokens(check, routine);
	}
	PG_CATCH();
	{
		ErrorData  *problem;

		MemoryContextSwitchTo(context);
		problem = CopyErrorData();
		if (is_alien(problem))
			PG_RE_THROW();
		FlushErrorState();
		search_words(check, routine);
	}
	PG_END_TRY();
}

/*-------------------------------------------------------------------------
 * Findings
 *-------------------------------------------------------------------------
 */
static void
refuse(Check *check, const char *who, const char *why)
{
	if (check->nrefused++ == 0)
		check->first = MemoryContextStrdup(GetMemoryChunkContext(check->path),
										   who);
	appendStringInfo(&check->refused, "%s%s: %s",
					 check->refused.len ? "\n" : "", who, why);
}

static void
add_guess(Check *check, const char *who, const char *names,
		  const char *reason)
{
	appendStringInfo(&check->guesses, "%s%s: %s",
					 check->guesses.len ? "\n" : "", who, names);
	if (reason)
		appendStringInfo(&check->guesses, " (%s)", reason);
}

/* old names that nothing else has taken over */
static List *
without_taken(List *names)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (!((OldName *) lfirst(lc))->taken)
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* names for a line of the WARNING, each once */
static char *
list_names(List *names)
{
	StringInfoData text;
	List	   *seen = NIL;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, names)
	{
		const char *name = ((OldName *) lfirst(lc))->name;

		if (list_member(seen, makeString(unconstify(char *, name))))
			continue;
		seen = lappend(seen, makeString(unconstify(char *, name)));
		appendStringInfo(&text, "%s%s", text.len ? ", " : "",
						 quote_identifier(name));
	}
	return text.data;
}

static bool
has_type(const Routine *routine, Oid relation)
{
	Oid			rowtype = get_rel_type_id(relation);
	ListCell   *lc;

	foreach(lc, routine->types)
	{
		Oid			element = get_element_type(lfirst_oid(lc));

		if (OidIsValid(rowtype) &&
			(lfirst_oid(lc) == rowtype || element == rowtype))
			return true;
	}
	return false;
}

/* why a mention of names is likely to mean the renamed ones, or NULL */
static const char *
likely_reason(const Routine *routine, List *names)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		OldName    *old = lfirst(lc);

		if (!old->is_column && routine->path)
			return "it has a search_path of its own";
		if (old->is_column && has_type(routine, old->now->physical))
			return psprintf("it takes or returns rows of %s",
							shown_relation(old->now));
	}
	return NULL;
}

/* does an error message speak of a name that was renamed? */
static bool
is_about_renames(const Check *check, const char *message, bool or_new)
{
	ListCell   *lc;

	foreach(lc, check->names)
	{
		OldName    *old = lfirst(lc);

		if (has_word(message, old->name) ||
			(or_new && has_word(message, old->new_name)))
			return true;
	}
	return false;
}

/*-------------------------------------------------------------------------
 * Looking at a function as its owner
 *-------------------------------------------------------------------------
 */

static void
run_look(void *argument)
{
	Look	   *look = argument;
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	set_local("search_path", look->routine->path ? look->routine->path :
			  look->check->path);
	set_local("check_function_bodies", "on");
	SetUserIdAndSecContext(look->routine->owner,
						   security | SECURITY_RESTRICTED_OPERATION);
	look->action(look);
}

/*
 * Do something as the function's owner, with the search_path that it is
 * expected to run with, and undo it: who the user is as well.  Returns the
 * error if there was one that is the function's fault; others are thrown.
 */
static ErrorData *
look_as_owner(Look *look)
{
	ErrorData  *problem;

	look->context = CurrentMemoryContext;
	problem = sv_trial_undo(run_look, look);
	if (problem && is_alien(problem))
		ReThrowError(problem);
	return problem;
}

static void
validate(Look *look)
{
	OidFunctionCall1(F_FMGR_SQL_VALIDATOR, ObjectIdGetDatum(look->routine->oid));
}

/* the schema of an extension, qualified with it the name; NULL if none */
static char *
find_checker(void)
{
	Oid			extension = get_extension_oid("plpgsql_check", true);
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *schema = NULL;

	if (!OidIsValid(extension))
		return NULL;
	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL,
							  1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		schema = get_namespace_name(((Form_pg_extension) GETSTRUCT(tuple))->extnamespace);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return schema ? quote_qualified_identifier(schema,
											   "plpgsql_check_function_tb") :
		NULL;
}

/* an undefined name that was renamed: a row of plpgsql_check's result */
static bool
is_broken_row(const Look *look, HeapTuple row, TupleDesc desc)
{
	char	   *level = SPI_getvalue(row, desc, 1);
	char	   *sqlstate = SPI_getvalue(row, desc, 2);
	char	   *message = SPI_getvalue(row, desc, 3);

	return level && sqlstate && message && strcmp(level, "error") == 0 &&
		(strcmp(sqlstate, "42703") == 0 || strcmp(sqlstate, "42P01") == 0) &&
		is_about_renames(look->check, message, false);
}

static void
run_checker(Look *look)
{
	Oid			types[4] = {REGPROCEDUREOID, REGCLASSOID, NAMEOID, NAMEOID};
	Datum		values[4] = {0};
	char		nulls[5] = "    ";
	TriggerUse *use = look->use;

	values[0] = ObjectIdGetDatum(look->routine->oid);
	values[1] = ObjectIdGetDatum(use ? use->relation : InvalidOid);
	if (use && use->old_table)
		values[2] = CStringGetDatum(use->old_table);
	else
		nulls[2] = 'n';
	if (use && use->new_table)
		values[3] = CStringGetDatum(use->new_table);
	else
		nulls[3] = 'n';
	SPI_connect();
	if (SPI_execute_with_args(psprintf("SELECT level, sqlstate, message FROM %s"
									   "($1, relid => $2, fatal_errors => false,"
									   " oldtable => $3, newtable => $4)",
									   look->check->checker),
							  4, types, values, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run plpgsql_check");
	for (uint64 i = 0; i < SPI_processed && look->problem == NULL; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;

		if (is_broken_row(look, row, desc))
			look->problem = MemoryContextStrdup(look->context,
												SPI_getvalue(row, desc, 3));
	}
	SPI_finish();
}

/*
 * Ask plpgsql_check, for a trigger function as each trigger would call it:
 * what breaks for some of them only may be in a branch for the others, and
 * decides nothing.
 */
static Verdict
consult_checker(Check *check, Routine *routine, char **problem)
{
	List	   *uses = routine->is_trigger ? triggers_calling(routine->oid) :
	list_make1(NULL);
	int			nbroken = 0;
	ListCell   *lc;

	if (check->checker == NULL || routine->language != check->plpgsql ||
		!has_privs_of_role(GetUserId(), routine->owner))
		return UNDECIDED;
	foreach(lc, uses)
	{
		Look		look = {run_checker, check, routine, lfirst(lc), NULL, NULL};

		if (look_as_owner(&look) != NULL)
			return UNDECIDED;
		if (look.problem == NULL)
			continue;
		*problem = look.problem;
		nbroken++;
	}
	if (nbroken == 0)
		return uses ? SOUND : UNDECIDED;
	return nbroken == list_length(uses) ? BROKEN : UNDECIDED;
}

/*-------------------------------------------------------------------------
 * Judging
 *-------------------------------------------------------------------------
 */

/* an argument of the name of a renamed column now stands for that name */
static List *
hidden_by_arguments(const Routine *routine)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *la;

	foreach(lc, without_taken(routine->mentions))
	{
		OldName    *old = lfirst(lc);

		foreach(la, routine->argnames)
		{
			if (old->is_column && strcmp(old->name, lfirst(la)) == 0)
				result = list_append_unique_ptr(result, old);
		}
	}
	return result;
}

static bool
is_broken_by_renames(const Check *check, const ErrorData *problem)
{
	switch (problem->sqlerrcode)
	{
		case ERRCODE_UNDEFINED_COLUMN:
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_INVALID_COLUMN_REFERENCE:
		case ERRCODE_AMBIGUOUS_COLUMN:
		case ERRCODE_AMBIGUOUS_ALIAS:
		case ERRCODE_AMBIGUOUS_FUNCTION:
			return is_about_renames(check, problem->message, true);
		default:
			return false;
	}
}

static void
judge_sql(Check *check, Routine *routine)
{
	Look		look = {validate, check, routine, NULL, NULL, NULL};
	List	   *names = without_taken(routine->mentions);
	ErrorData  *problem;

	if (routine->mentions == NIL && !routine->says_new_name)
		return;
	if (routine->is_polymorphic)
	{
		if (names)
			add_guess(check, routine->signature, list_names(names),
					  "its arguments are polymorphic");
		return;
	}
	problem = look_as_owner(&look);
	if (problem && is_broken_by_renames(check, problem))
		refuse(check, routine->signature,
			   psprintf("%s.", problem->message));
	else if (problem && routine->mentions)
		add_guess(check, routine->signature, list_names(routine->mentions),
				  psprintf("it is invalid for another reason: %s",
						   problem->message));
	else if (problem == NULL && !routine->is_new)
	{
		names = hidden_by_arguments(routine);
		if (names)
			add_guess(check, routine->signature, list_names(names),
					  "also the name of an argument");
	}
}

/* does a trigger call a function in vain for a column of an old name? */
static bool
is_left_behind(const TriggerUse *use, const OldName *old)
{
	return old->is_column && old->now->physical == use->root &&
		get_attnum(use->relation, old->name) == InvalidAttrNumber;
}

/*
 * Judge what a trigger function says as NEW.name and OLD.name.  Returns what
 * may be wrong with it, as OldNames and the reason; refuses it if that is
 * certain.
 */
static List *
judge_fields(Check *check, Routine *routine, const char **reason)
{
	List	   *guessed = NIL;
	ListCell   *lu;
	ListCell   *lc;

	foreach(lu, check->uses)
	{
		TriggerUse *use = lfirst(lu);

		foreach(lc, use->function == routine->oid ? routine->fields : NIL)
		{
			OldName    *old = lfirst(lc);
			bool		shared;

			if (!is_left_behind(use, old))
				continue;
			shared = is_shared(routine->oid, old->name);
			if (use->enabled && !shared)
			{
				refuse(check, routine->signature,
					   psprintf("column %s of %s is %s now, so what fires trigger %s would fail.",
								quote_identifier(old->name),
								sv_catalog_relation_name(use->relation),
								quote_identifier(old->new_name),
								quote_identifier(use->name)));
				return NIL;
			}
			guessed = lappend(guessed, old);
			*reason = psprintf(shared ?
							   "called by trigger %s on %s, and for tables that have the column" :
							   "called by trigger %s on %s, which is disabled",
							   quote_identifier(use->name),
							   sv_catalog_relation_name(use->relation));
		}
	}
	return guessed;
}

/* is it called by nothing but hidden triggers, as it was before? */
static bool
is_for_older(const Routine *routine)
{
	List	   *uses = routine->is_trigger ? triggers_calling(routine->oid) : NIL;
	ListCell   *lc;

	foreach(lc, uses)
	{
		if (!sv_is_hidden(((TriggerUse *) lfirst(lc))->name))
			return false;
	}
	return uses != NIL;
}

/* a function of which only the source text is known */
static void
judge_source(Check *check, Routine *routine)
{
	int			nrefused = check->nrefused;
	const char *reason = NULL;
	List	   *fields = judge_fields(check, routine, &reason);
	List	   *names = list_concat_copy(fields,
										 without_taken(routine->mentions));
	char	   *problem = NULL;
	Verdict		verdict;

	if (check->nrefused > nrefused || names == NIL || is_for_older(routine))
		return;
	verdict = consult_checker(check, routine, &problem);
	if (verdict == SOUND)
		return;
	if (verdict == BROKEN && fields == NIL)
	{
		refuse(check, routine->signature, psprintf("%s.", problem));
		return;
	}
	if (reason == NULL)
		reason = problem ? problem : likely_reason(routine, names);
	add_guess(check, routine->signature, list_names(names), reason);
}

static void
judge_routine(Check *check, Oid oid)
{
	Routine    *routine = read_routine(oid);

	if (routine == NULL)
		return;
	read_source(check, routine);
	if (routine->language == SQLlanguageId)
		judge_sql(check, routine);
	else
		judge_source(check, routine);
}

/* the server's own trigger functions that take columns by name */
static bool
takes_columns(Oid function)
{
	return function == F_TSVECTOR_UPDATE_TRIGGER ||
		function == F_TSVECTOR_UPDATE_TRIGGER_COLUMN;
}

/* arguments of triggers, which are literals, may be names of columns */
static void
judge_arguments(Check *check, const TriggerUse *use)
{
	ListCell   *lc;
	ListCell   *la;

	if (sv_is_own_trigger(use->name))
		return;
	foreach(lc, check->names)
	{
		OldName    *old = lfirst(lc);
		char	   *who;

		if (!is_left_behind(use, old))
			continue;
		who = psprintf("trigger %s on %s", quote_identifier(use->name),
					   sv_catalog_relation_name(use->relation));
		foreach(la, use->arguments)
		{
			if (strcmp(lfirst(la), old->name) != 0)
				continue;
			if (use->enabled && takes_columns(use->function))
				refuse(check, who,
					   psprintf("its argument %s is no column now, so what fires it would fail.",
								quote_literal_cstr(old->name)));
			else
				add_guess(check, who, list_names(list_make1(old)),
						  "an argument of it");
			break;
		}
	}
}

/*-------------------------------------------------------------------------
 * The whole
 *-------------------------------------------------------------------------
 */

/*
 * Does the source of a function say a name?
 */
bool
sv_routine_mentions(Oid function, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		isnull;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = has_word(TextDatumGetCString(SysCacheGetAttr(PROCOID, tuple,
														  Anum_pg_proc_prosrc,
														  &isnull)), name);
	ReleaseSysCache(tuple);
	return result;
}

/* the search_path of an application of the product, temporary tables last */
static char *
application_path(const SvProduct *product)
{
	StringInfoData path;
	ListCell   *lc;

	initStringInfo(&path);
	foreach(lc, product->schemas)
		appendStringInfo(&path, "%s, ", quote_identifier(lfirst(lc)));
	appendStringInfoString(&path, "public, pg_temp");
	return path.data;
}

/* judge all functions, each in a memory context that goes with it */
static void
judge_all(Check *check)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(context, "schemaver routine",
												  ALLOCSET_DEFAULT_SIZES);
	ListCell   *lc;

	foreach(lc, find_functions(check))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(scratch);
		judge_routine(check, lfirst_oid(lc));
		MemoryContextSwitchTo(context);
		MemoryContextReset(scratch);
	}
	MemoryContextDelete(scratch);
	foreach(lc, check->uses)
		judge_arguments(check, lfirst(lc));
}

static void
report(const Check *check)
{
	if (check->nrefused)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 check->nrefused == 1 ?
				 errmsg("%s would fail, since the script renames what it uses",
						check->first) :
				 errmsg("%s and %d more would fail, since the script renames what they use",
						check->first, check->nrefused - 1),
				 errdetail("%s", check->refused.data),
				 errhint("Replace what still uses an old name in the same script, functions with CREATE OR REPLACE FUNCTION.")));
	if (check->guesses.len)
		ereport(WARNING,
				(errmsg("functions mention names that this migration has changed"),
				 errdetail("%s", check->guesses.data),
				 errhint("Look whether they mean what was renamed, and replace those that do.")));
}

/*
 * Judge the functions and triggers that the renames of a migration leave
 * behind, at the end of its script.  "from" is the version before, NULL if
 * this is the first.
 *
 * Throws 2BP01 if one of them is certain to break, and raises a WARNING for
 * what may break.  Takes AccessShareLock on relations with renamed columns
 * and their heirs.  Must run between sv_contract_enter() and
 * sv_contract_leave(), before contracts are linked anew.
 */
void
sv_routine_check(const SvProduct *product, SvRelease *from)
{
	Check		check = {0};
	int			nestlevel;

	if (from == NULL)
		return;
	check.product = product;
	find_renames(&check, from);
	if (check.names == NIL)
		return;

	/* neither the scanner nor the validator has anything to tell the client */
	nestlevel = NewGUCNestLevel();
	set_local("client_min_messages", "error");
	initStringInfo(&check.refused);
	initStringInfo(&check.guesses);
	check.plpgsql = get_language_oid("plpgsql", true);
	check.checker = find_checker();
	check.path = application_path(product);
	find_triggers(&check);
	judge_all(&check);
	AtEOXact_GUC(true, nestlevel);
	report(&check);
}
