# Who may do what, and that nobody gains a right: neither by what schemaver
# does for a role, nor by what a role puts in its way.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf',
	"session_preload_libraries = 'schemaver'");
$node->start;
# the superuser has this name, whoever runs the test
$node->safe_psql('postgres', q{
	SELECT 'CREATE ROLE postgres SUPERUSER LOGIN'
	WHERE current_user <> 'postgres' \gexec});
$ENV{PGUSER} = 'postgres';
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE ROLE deployer LOGIN;
	CREATE ROLE app LOGIN;
	CREATE ROLE reader LOGIN;
	CREATE ROLE nobody LOGIN;
	CREATE SCHEMA store AUTHORIZATION deployer;
	GRANT EXECUTE ON FUNCTION
		schemaver.apply(text, schemaver.version, text, text, text)
	TO deployer;
	GRANT CREATE ON DATABASE shop TO nobody;
	GRANT ALL ON SCHEMA public TO PUBLIC;
	SELECT schemaver.create_product('shop', '{store}');
});

# Run SQL as a role; output, with what went wrong behind
sub run_as
{
	my ($role, $sql, $options) = @_;
	my ($out, $err);

	local $ENV{PGOPTIONS} = $options // '';
	$node->psql(
		'shop', $sql,
		stdout => \$out,
		stderr => \$err,
		extra_params => [ '-U', $role ]);
	return "$out$err";
}

# A deployer needs no more than apply() and what is his
is( run_as('deployer', q{
		SELECT schemaver.apply('
			CREATE TABLE person (id integer PRIMARY KEY, last_name text,
				secret text);
			GRANT SELECT, INSERT ON person TO app;
			GRANT USAGE ON SCHEMA store TO app, reader;
			INSERT INTO person VALUES (1, ''Doe'', ''x'')', '1.0.0')}),
	'1.0.0', 'a deployer creates the first version');
run_as('app', q{SELECT schemaver.register('1.0.0')});
is( run_as('deployer', q{
		SELECT schemaver.apply(
			'ALTER TABLE person RENAME COLUMN last_name TO surname')}),
	'1.1.0', 'a deployer renames');
is( $node->safe_psql('shop', q{
		SELECT DISTINCT update_by FROM schemaver.history;
		SELECT relowner::regrole FROM pg_class
		WHERE oid = 'shop_1_0_0.person'::regclass;
		SELECT nspowner::regrole FROM pg_namespace
		WHERE nspname = 'shop_1_0_0'}),
	"deployer\ndeployer\npostgres",
	'his name is in the history, the views are his, their schemas are not');
like(run_as('app', q{SELECT secret FROM person},
		'-c schemaver.app=shop/1.0.0'),
	qr/^x$/, 'the application reads');

# but not what is somebody else's
$node->safe_psql('shop', q{
	CREATE TABLE public.alien (id integer);
	INSERT INTO public.alien VALUES (1);
	REVOKE ALL ON public.alien FROM PUBLIC});
foreach my $script ('ALTER TABLE alien RENAME TO mine', 'DROP TABLE alien',
	'SELECT * FROM alien', 'CREATE ROLE x SUPERUSER',
	'DROP SCHEMA shop_1_0_0 CASCADE',
	'CREATE TABLE shop_1_0_0.extra (id integer)',
	'DELETE FROM schemaver.db_version_history',
	'RESET SESSION AUTHORIZATION; SELECT * FROM alien',
	'RESET ROLE; SELECT * FROM alien',
	'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres',
	'SET schemaver.guard = off',
	'CREATE FUNCTION f() RETURNS int LANGUAGE c AS $$schemaver$$, $$x$$')
{
	like(
		run_as('deployer', "SELECT schemaver.apply('$script')"),
		qr/ERROR:  (permission denied|must be (owner|superuser))/,
		"a script gains no right: $script");
}
like(
	run_as('deployer',
		q{SELECT schemaver.apply('DROP VIEW shop_1_0_0.person')}),
	qr/must not change the version schema/,
	'nor may it touch views that are his');
like(
	run_as('deployer', "SELECT schemaver.$_"),
	qr/permission denied for function/,
	"a deployer may not call $_"
) foreach ("create_product('x', '{x}')", "baseline('2')", 'reconcile()',
	"retire('1.0.0')");

# Everybody else may look and register
foreach my $call ("create_product('x', '{public}')", "baseline('2')",
	'reconcile()', "retire('1.0.0')", "apply('SELECT 1')")
{
	like(run_as('nobody', "SELECT schemaver.$call"),
		qr/permission denied for function/, "nobody may call $call");
}
is(run_as('nobody', $_->[0]), $_->[1], "anybody may $_->[0]")
  foreach (
	[ q{SELECT schemaver.register('1.1.0')}, '1.1.0' ],
	[ q{SELECT schemaver.register('1.0.0'); SELECT schemaver.unregister()},
		"1.0.0\nt" ],
	[ q{SELECT count(*) FROM schemaver.products}, '1' ],
	[ q{SELECT count(*) FROM schemaver.versions}, '2' ],
	[ q{SELECT count(*), count(script) FROM schemaver.history}, '2|0' ],
	[ q{SELECT count(*) FROM schemaver.instances}, '0' ],
	[ q{SELECT count(*) > 0 FROM schemaver.status()}, 't' ]);
foreach my $sql (
	'CREATE TABLE shop_1_0_0.x (id integer)',
	'CREATE VIEW shop_1_0_0.x AS SELECT 1',
	'CREATE FUNCTION shop_1_0_0.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
	'SELECT * FROM shop_1_0_0.person',
	'CREATE TABLE schemaver.x (id integer)',
	'INSERT INTO schemaver.db_registration VALUES (1, now(), current_user)',
	q{UPDATE schemaver.db_product SET current = NULL},
	q{SELECT nextval('schemaver.db_product_id_seq')},
	'SELECT script FROM schemaver.db_version_history',
	'DROP SCHEMA shop_1_0_0 CASCADE', 'DROP EXTENSION schemaver',
	'ALTER EVENT TRIGGER schemaver_guard_ddl DISABLE',
	'SET schemaver.guard = off')
{
	like(run_as('nobody', $sql),
		qr/ERROR:  (permission denied|must be owner)/, "nobody may $sql");
}
foreach my $sql ('CREATE TABLE shop_1_0_0.x (id integer)',
	'CREATE FUNCTION shop_1_0_0.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$')
{
	like(run_as('deployer', $sql),
		qr/ERROR:  permission denied for schema/, "nor may a deployer $sql");
}

# A view gives the rights that its table gives
my $old = '-c schemaver.app=shop/1.0.0';
my $ok = qr/\A\d+\z/;
my $denied = qr/ERROR:  permission denied/;

sub rights_are
{
	my ($role, $name, %can) = @_;
	my %try = (
		SELECT => 'SELECT count(last_name) FROM person',
		INSERT => 'WITH i AS (INSERT INTO person (id, last_name) '
		  . 'VALUES (nextval($$pg_temp.n$$), $$x$$)) SELECT 1',
		UPDATE => 'WITH u AS (UPDATE person SET last_name = $$y$$) SELECT 1',
		DELETE => 'WITH d AS (DELETE FROM person) SELECT 1');

	foreach my $what (sort keys %try)
	{
		foreach my $version ('1.0.0', '1.1.0')
		{
			my $sql = $try{$what};

			$sql =~ s/last_name/surname/g if $version eq '1.1.0';
			like(
				run_as($role,
					'CREATE TEMP SEQUENCE n START 1000; BEGIN; '
					  . "$sql; ROLLBACK",
					"-c schemaver.app=shop/$version"),
				$can{$what} ? $ok : $denied,
				"$name: $role, $version: "
				  . ($can{$what} ? 'may ' : 'may not ') . $what);
		}
	}
	return;
}
rights_are('app', 'as granted', SELECT => 1, INSERT => 1);
rights_are('reader', 'not granted');
run_as('deployer', 'GRANT SELECT, UPDATE, DELETE ON store.person TO reader;
	REVOKE INSERT ON store.person FROM app');
rights_are('app', 'revoked by hand', SELECT => 1);
rights_are('reader', 'granted by hand',
	SELECT => 1, UPDATE => 1, DELETE => 1);
run_as('deployer',
	q{SELECT schemaver.apply('REVOKE UPDATE, DELETE ON person FROM reader')});
rights_are('reader', 'revoked by a script', SELECT => 1);

# Columns
run_as('deployer', 'REVOKE ALL ON store.person FROM reader, app;
	GRANT SELECT (id, surname), UPDATE (surname) ON store.person TO reader');
foreach (
	[ '1.0.0', 'SELECT last_name FROM person', qr/^Doe$/ ],
	[ '1.1.0', 'SELECT surname FROM person', qr/^Doe$/ ],
	[ '1.0.0', 'SELECT secret FROM person', $denied ],
	[ '1.1.0', 'SELECT secret FROM person', $denied ],
	[ '1.0.0', 'SELECT * FROM person', $denied ],
	[ '1.0.0', 'UPDATE person SET last_name = last_name', qr/\A\z/ ],
	[ '1.0.0', 'UPDATE person SET secret = id', $denied ],
	[ '1.0.0', 'DELETE FROM person', $denied ])
{
	like(run_as('reader', $_->[1], "-c schemaver.app=shop/$_->[0]"),
		$_->[2], "a column's privileges: $_->[0]: $_->[1]");
}
run_as('deployer', 'REVOKE ALL (id, surname) ON store.person FROM reader;
	GRANT SELECT ON store.person TO reader');
like(run_as('reader', 'SELECT secret FROM person', $old),
	qr/^x$/, "a column's privileges revoked again");

# A new owner
$node->safe_psql('shop', q{
	ALTER TABLE store.person OWNER TO postgres;
	REVOKE ALL ON store.person FROM reader});
rights_are('reader', 'another owner');
like(run_as('deployer', 'SELECT last_name FROM person', $old),
	$denied, 'the former owner has lost the view too');
$node->safe_psql('shop', 'ALTER TABLE store.person OWNER TO deployer');

# Traps: whatever a role puts into search_path or anywhere else is never
# called with more than its own rights
$node->safe_psql('shop', q{
	CREATE TABLE public.caught (who text, what text);
	GRANT INSERT ON public.caught TO PUBLIC});
my $traps = '';
foreach my $trap (
	[ 'count("any")', 'bigint', '0' ],
	[ 'lower(text)', 'text', q{''} ],
	[ 'now()', 'timestamptz', q{'2000-01-01'} ],
	[ 'version()', 'text', q{''} ],
	[ 'nextval(regclass)', 'bigint', '1' ],
	[ 'array_length(anyarray, integer)', 'integer', '1' ],
	[ 'pg_get_viewdef(oid)', 'text', q{''} ],
	[ 'pg_event_trigger_ddl_commands()', 'integer', '1' ],
	[ 'pg_event_trigger_dropped_objects()', 'integer', '1' ],
	[ 'current_version()', 'text', q{''} ],
	[ 'text(schemaver.version)', 'text', q{''} ],
	[ 'eq_name(name, text)', 'boolean', 'true' ],
	[ 'eq_text(text, text)', 'boolean', 'true' ],
	[ 'eq_oid(oid, oid)', 'boolean', 'true' ],
	[ 'eq_int(integer, integer)', 'boolean', 'true' ],
	[ 'eq_bool(boolean, boolean)', 'boolean', 'true' ],
	[ 'eq_version(schemaver.version, schemaver.version)', 'boolean', 'true' ],
	[ 'cat(text, text)', 'text', q{''} ])
{
	my ($signature, $type, $value) = @$trap;

	next if $signature =~ /"any"/;
	$traps .= qq{
		CREATE FUNCTION evil.$signature RETURNS $type LANGUAGE plpgsql AS \$f\$
		BEGIN
			INSERT INTO public.caught VALUES (current_user, '$signature');
			RETURN $value;
		END \$f\$;};
	$traps .= "CREATE OPERATOR evil.= (FUNCTION = evil.$1, LEFTARG = $2,
		RIGHTARG = $3);" if $signature =~ /^(eq_\w+)\((\S+), (\S+)\)/;
}
$traps .= 'CREATE OPERATOR evil.|| (FUNCTION = evil.cat, LEFTARG = text,
	RIGHTARG = text);';
my $views = join '',
  map { "CREATE VIEW evil.$_ AS SELECT 1 AS oid, 'x' AS name, 'x' AS nspname;" }
  qw(pg_class pg_namespace pg_extension pg_locks pg_stat_activity
  db_product db_schema_version);
my $trap = 'SET search_path = evil, pg_catalog, store, schemaver;';

is( run_as('nobody',
		"CREATE SCHEMA evil; GRANT ALL ON SCHEMA evil TO PUBLIC;"
		  . "$traps$views"),
	'', 'traps are set');
my $caught = q{SELECT who, what FROM caught
	WHERE who NOT IN ('nobody') ORDER BY 1, 2};

# the trap works at all
is( run_as('nobody', "$trap SELECT 'a'::text = 'b'::text"),
	't', 'a trap that is called');
is($node->safe_psql('shop', 'SELECT count(*) FROM caught'),
	'1', 'is noticed');

# others who run into them: a superuser and a deployer with this path
foreach my $role ('postgres', 'deployer')
{
	unlike(
		run_as($role, "$trap
			SELECT schemaver.apply('ALTER TABLE store.person RENAME COLUMN '
				OPERATOR(pg_catalog.||)
				(SELECT pg_catalog.string_agg(attname, '' ORDER BY attname)
				 FROM pg_catalog.pg_attribute
				 WHERE attrelid OPERATOR(pg_catalog.=)
					'store.person'::pg_catalog.regclass
				 AND attnum OPERATOR(pg_catalog.=) 2::pg_catalog.int2)
				OPERATOR(pg_catalog.||) ' TO name_of_$role');
			SELECT schemaver.register('1.0.0');
			SELECT last_name FROM person;
			SELECT schemaver.unregister();
			SELECT FROM schemaver.status();
			SELECT FROM schemaver.status(format => 'json');
			SELECT FROM schemaver.full_schema('1.0.0');
			SELECT * FROM schemaver.versions;
			SELECT * FROM schemaver.instances;
			SELECT * FROM schemaver.products;
			SELECT * FROM schemaver.history;
			CREATE TABLE store.extra_$role (id integer);
			ALTER TABLE store.extra_$role ADD COLUMN x text;
			DROP TABLE store.extra_$role"),
		qr/ERROR/,
		"$role runs everything under such a path");
}
like(run_as('postgres', "$trap SELECT schemaver.reconcile()"),
	qr/^0$/, 'reconcile() as well');
is($node->safe_psql('shop', $caught), '', 'and into no trap');
is(run_as('nobody', q{SELECT schemaver.register('1.0.0');
		SELECT count(*) FROM schemaver.versions},
		'-c search_path=evil,public -c schemaver.app=shop/1.0.0') =~ /ERROR/,
	'', 'nor is registering disturbed');

# temporary objects are first in any path that does not say otherwise
is( run_as('deployer', q{
		CREATE TEMP TABLE db_product AS SELECT 'evil' AS name;
		CREATE TEMP TABLE pg_class (oid integer);
		CREATE TEMP TABLE person (id integer, wrong integer);
		CREATE TYPE pg_temp.text AS (x integer);
		SELECT schemaver.register('1.0.0');
		SELECT version FROM schemaver.versions
		WHERE version::pg_catalog.text = '1.0.0';
		SELECT count(*) > 3 FROM schemaver.status();
		SELECT schemaver.apply('CREATE TABLE later (id integer)') IS NULL}),
	"1.0.0\n1.0.0\nt\nf",
	'temporary objects disturb nothing');

# what a role's own default says runs with that role's rights only
$node->safe_psql('shop', 'TRUNCATE caught');
run_as('deployer', q{
	CREATE FUNCTION store.whoami() RETURNS text LANGUAGE plpgsql AS $f$
	BEGIN
		INSERT INTO public.caught VALUES (current_user, 'default');
		RETURN current_user;
	END $f$;
	CREATE DOMAIN store.checked AS text
		CHECK (store.whoami() IS NOT NULL OR VALUE = '');
	SELECT schemaver.apply('
		CREATE TABLE trap (id integer PRIMARY KEY,
			who text DEFAULT whoami(), c checked DEFAULT ''z'',
			CHECK (whoami() IS NOT NULL));
		CREATE INDEX ON trap (id) WHERE id > 0');
	SELECT schemaver.register((SELECT current_version
		FROM schemaver.products));
	SELECT schemaver.apply('ALTER TABLE trap RENAME COLUMN who TO author')});
is($node->safe_psql('shop', "SELECT count(*) FROM pg_class
		WHERE relname = 'trap' AND relkind = 'v'"), '1',
	'a view with a default that calls a function');
$node->safe_psql('shop', 'SELECT schemaver.reconcile()');
is($node->safe_psql('shop',
		"SELECT who FROM caught WHERE who <> 'deployer'"),
	'', 'which the owner of the extension never called');

$node->stop;
done_testing();
