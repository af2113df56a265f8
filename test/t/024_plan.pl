# What plan() says is what apply() does, over every script of the suite: the
# files of test/sql run once more, with an apply() that first asks plan() and
# then compares.  What they print is not looked at, that is what they do by
# themselves; here it counts that plan() has known
#
# - whether the script is refused, and with which error,
# - the version that it leads to,
# - which tables, views and so on it locks, and how strongly,
# - which tables get another file, and
# - the jobs that are left.
#
# Where plan() says that it does not know, nothing is compared; those are
# counted, so that they stay few.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %count =
  (compared => 0, refused => 0, unknown => 0, locks => 0, foretold => 0);
my $sql = "$FindBin::RealBin/../sql";
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', slurp_file("$sql/../schemaver.conf"));
$node->append_conf('postgresql.conf', <<'CONF');
max_worker_processes = 20
schemaver.plan_lock_limit = 0
lc_messages = 'C'
log_line_prefix = 'LINE '
log_statement = 'none'
CONF
$node->start;

# Whoever creates the extension gets that apply(), under the same rights
my $tool = <<'SQL';
CREATE SCHEMA plan_check;
GRANT USAGE ON SCHEMA plan_check TO PUBLIC;

-- what this transaction holds, also on what it has dropped
CREATE FUNCTION plan_check.locks() RETURNS jsonb LANGUAGE sql
SET search_path = pg_catalog AS $$
	SELECT coalesce(jsonb_object_agg(relation, modes), '{}')
	FROM (SELECT relation, jsonb_agg(DISTINCT mode) AS modes
		FROM pg_locks
		WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
			AND database = (SELECT oid FROM pg_database
				WHERE datname = current_database())
			AND mode IN ('ShareUpdateExclusiveLock', 'ShareLock',
				'ShareRowExclusiveLock', 'ExclusiveLock',
				'AccessExclusiveLock')
		GROUP BY relation) AS held
$$;

-- the relations that are there, under the names that plan() gives them
CREATE FUNCTION plan_check.relations() RETURNS jsonb LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog AS $$
	SELECT coalesce(jsonb_object_agg(c.oid, jsonb_build_object(
			'name', format('%I.%I', n.nspname, c.relname),
			'file', pg_relation_filenode(c.oid),
			'filled', pg_relation_filenode(c.oid) IS NOT NULL
				AND pg_relation_size(c.oid) > 0)), '{}')
	FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
	WHERE c.oid >= 16384 AND c.relkind IN ('r', 'm', 'p', 'v', 'f')
		AND n.nspname NOT IN ('schemaver', 'plan_check')
		AND n.nspname NOT IN (SELECT unnest(schemas)
			FROM schemaver.db_schema_version WHERE retired_on IS NULL)
$$;

-- what plan() said, and what apply() has done, as one line of the server's log
CREATE FUNCTION plan_check.tell(script text, planned jsonb, refused text,
	applied text, error text, relations jsonb, held jsonb, jobs bigint)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
DECLARE
	after jsonb := plan_check.relations();
	locked jsonb := plan_check.locks();
BEGIN
	RAISE LOG 'plan_check %', jsonb_build_object('script', script,
		'plan', planned, 'refused', refused, 'applied', applied,
		'error', error,
		'locks', (SELECT jsonb_agg(r.value ->> 'name' || ' ' || m)
			FROM jsonb_each(locked) AS l,
				jsonb_array_elements_text(l.value) AS m,
				jsonb_each(relations) AS r
			WHERE r.key = l.key AND NOT coalesce(held -> l.key, '[]') ? m),
		'held', (SELECT jsonb_agg(r.value ->> 'name' || ' ' || m)
			FROM jsonb_each(locked) AS l,
				jsonb_array_elements_text(l.value) AS m,
				jsonb_each(relations) AS r
			WHERE r.key = l.key),
		'names', (SELECT jsonb_object_agg(r.value ->> 'name', true)
			FROM jsonb_each(relations) AS r),
		'rewritten', (SELECT jsonb_agg(b.value ->> 'name')
			FROM jsonb_each(relations) AS b JOIN jsonb_each(after) AS a
				USING (key)
			WHERE a.value -> 'file' <> b.value -> 'file'
				AND (a.value -> 'filled')::boolean),
		'jobs', (SELECT count(*) FROM schemaver.db_job) - jobs);
END $$;

CREATE FUNCTION plan_check.count_jobs() RETURNS bigint LANGUAGE sql
SECURITY DEFINER AS 'SELECT count(*) FROM schemaver.db_job';

CREATE FUNCTION plan_check.install() RETURNS event_trigger LANGUAGE plpgsql
AS $install$
BEGIN
	IF to_regproc('schemaver.apply') IS NULL
		OR to_regproc('schemaver.really_apply') IS NOT NULL THEN
		RETURN;
	END IF;
	PERFORM set_config('schemaver.guard', 'off', true);
	ALTER FUNCTION schemaver.apply(text, schemaver.version, text, text, text)
		RENAME TO really_apply;
	GRANT EXECUTE ON FUNCTION schemaver.really_apply(text, schemaver.version,
		text, text, text), schemaver.plan(text, schemaver.version, text)
		TO PUBLIC;
	CREATE FUNCTION schemaver.apply(script text,
		version schemaver.version DEFAULT NULL, product text DEFAULT NULL,
		description text DEFAULT NULL, reason text DEFAULT NULL)
	RETURNS schemaver.version LANGUAGE plpgsql AS $body$
	DECLARE
		planned jsonb;
		refused text;
		result schemaver.version;
		code text;
		message text;
		detail text;
		hint text;
		relations jsonb := plan_check.relations();
		held jsonb := plan_check.locks();
		jobs bigint := plan_check.count_jobs();
	BEGIN
		BEGIN
			planned := (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(p))
				FROM schemaver.plan(script, version, product) AS p);
		EXCEPTION WHEN OTHERS THEN
			refused := SQLERRM;
		END;
		BEGIN
			result := schemaver.really_apply(script, version, product,
				description, reason);
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE,
				message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
				hint = PG_EXCEPTION_HINT;
		END;
		PERFORM plan_check.tell(script, planned, refused, result::text,
			message, relations, held, jobs);
		IF code IS NOT NULL THEN
			RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message,
				DETAIL = detail, HINT = hint;
		END IF;
		RETURN result;
	END $body$;
	REVOKE ALL ON FUNCTION schemaver.apply(text, schemaver.version, text, text,
		text) FROM PUBLIC;
	ALTER EXTENSION schemaver ADD FUNCTION schemaver.apply(text,
		schemaver.version, text, text, text);
	PERFORM set_config('schemaver.guard', 'mixed', true);
END $install$;
CREATE EVENT TRIGGER plan_check ON ddl_command_end
	WHEN TAG IN ('CREATE EXTENSION')
	EXECUTE FUNCTION plan_check.install();
SQL
$tool =~ s/^CREATE SCHEMA plan_check;/SET check_function_bodies = off;\n$&/;
$node->safe_psql('template1', $tool);

# What is wrong with what plan() has said, in words; nothing if it is right
sub faults_of
{
	my ($seen) = @_;
	my @rows = @{ $seen->{plan} // [] };
	my @effects = map { $_->{effect} } @rows;
	my ($refusal) = grep { /^refused: / } @effects;
	my @faults;

	# each says of itself that it cannot be called there
	$seen->{refused} =~ s/\bplan\(\)/apply()/g if defined $seen->{refused};
	if (defined $seen->{refused})
	{
		return "plan() fails with \"$seen->{refused}\", apply() with "
		  . ($seen->{error} // 'nothing')
		  if ($seen->{error} // '') ne $seen->{refused};
		return;
	}
	if (defined $seen->{error})
	{
		return "plan() foretells no error, apply() fails with $seen->{error}"
		  if !defined $refusal;
		return "plan() foretells \"$refusal\", apply() fails with $seen->{error}"
		  if index($refusal, "refused: $seen->{error}") != 0;
		return;
	}
	return "plan() foretells \"$refusal\", apply() does not fail"
	  if defined $refusal;
	push @faults, 'plan() foretells version '
	  . ($rows[0]{version} // 'unknown') . ", apply() returns $seen->{applied}"
	  if ($rows[0]{version} // '') ne $seen->{applied};

	# what comes back with a version that was rolled back, it does not tell
	return @faults if grep { /^goes forward again/ } @effects;

	# a weaker lock than one that is held need not be told of
	my @foretold = map { @{ $_->{locks} // [] } } @rows;
	my @held = @{ $seen->{held} // [] };

	foreach my $lock (@{ $seen->{locks} // [] })
	{
		push @faults, "lock not foretold: $lock"
		  if !grep { covers($_, $lock) } @foretold;
	}
	foreach my $lock (@foretold)
	{
		my ($name) = $lock =~ /^(.*) \w+$/;

		$count{foretold}++;
		push @faults, "lock foretold, and not taken: $lock"
		  if $seen->{names}{$name} && !grep { covers($_, $lock) } @held;
	}

	my $rewrites = grep { ($_->{access} // '') eq 'rewrite' } @rows;

	push @faults, "rewritten, and not foretold: @{$seen->{rewritten}}"
	  if @{ $seen->{rewritten} // [] } && !$rewrites;
	push @faults, "jobs left, and not foretold: $seen->{jobs}"
	  if $seen->{jobs} && !grep { /job: / } map { @{ $_->{jobs} // [] } } @rows;
	return @faults;
}

# Is it a lock on the same relation, and as strong?
sub covers
{
	my ($strong, $weak) = @_;
	my %strength;
	my @modes = qw(ShareUpdateExclusive Share ShareRowExclusive Exclusive
	  AccessExclusive);
	my ($relation, $mode) = $strong =~ /^(.*) (\w+)Lock$/;
	my ($other, $wanted) = $weak =~ /^(.*) (\w+)Lock$/;

	@strength{@modes} = 0 .. $#modes;
	return $relation eq $other && $strength{$mode} >= $strength{$wanted};
}

my @files = sort glob "$sql/*.sql";
foreach my $file (@files)
{
	my $name = $file =~ s{.*/}{}r;
	my $from = -s $node->logfile;

	local $ENV{PG_ABS_SRCDIR} = "$sql/..";
	$node->safe_psql('postgres', 'CREATE DATABASE regression');
	IPC::Run::run(
		[ 'psql', '-X', '-q', '-v', 'HIDE_TABLEAM=on', '-f', $file,
			'-d', $node->connstr('regression') ],
		'>', \my $out, '2>', \my $err);
	$node->safe_psql('postgres', 'DROP DATABASE regression (FORCE)');

	my $log = slurp_file($node->logfile, $from);
	my $before = $count{compared};
	my @faults;
	while ($log =~ /^LINE LOG:  plan_check (.*)$/mg)
	{
		my $seen = decode_json($1);

		if (grep { $_->{effect} =~ /^not (tried|foretold)|is not run by plan/ }
			@{ $seen->{plan} // [] })
		{
			$count{unknown}++;
			next;
		}
		$count{compared}++;
		$count{refused}++ if defined $seen->{error};
		$count{locks} += @{ $seen->{locks} // [] };
		push @faults, substr($seen->{script} =~ s/\s+/ /gr, 0, 100) . "\n    $_"
		  foreach faults_of($seen);
	}
	$count{$name} = $count{compared} - $before;
	is(scalar @faults, 0, "$name: what plan() says is what apply() does")
	  or diag(join "\n", @faults);
}

note(join ', ', map { "$_: $count{$_}" } sort keys %count);
cmp_ok($count{compared}, '>=', 700, 'scripts are compared');
cmp_ok($count{refused}, '>=', 200, 'of which some are refused');
cmp_ok($count{locks}, '>=', 500, 'locks that were taken are looked for');
cmp_ok($count{foretold}, '>=', 500, 'and such that were foretold');
cmp_ok($count{unknown}, '<=', 10, 'few are not foretold');
$node->stop;
done_testing();
