# DDL by hand beside an application whose version sees the table through a
# view: what is refused, and what is let pass, may make its transactions wait
# but not fail.  A session locks the view before the table, so must the DDL.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
deadlock_timeout = 10ms
});
$node->start;
# the superuser has this name, whoever runs the test
$node->safe_psql('postgres', q{
	SELECT 'CREATE ROLE postgres SUPERUSER LOGIN'
	WHERE current_user <> 'postgres' \gexec});
$ENV{PGUSER} = 'postgres';
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE SCHEMA store;
	CREATE ROLE other;
	GRANT ALL ON SCHEMA store TO other;
	CREATE TYPE mood AS ENUM ('sad', 'ok');
	CREATE TABLE store.person (id integer PRIMARY KEY, last_name text,
		mood mood, visits integer NOT NULL DEFAULT 0);
	INSERT INTO store.person SELECT i, 'Name ' || i
	FROM generate_series(1, 100) i;
	GRANT ALL ON store.person TO PUBLIC;
	GRANT USAGE ON SCHEMA store TO PUBLIC;
	SELECT schemaver.create_product('shop', '{store}');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
	SELECT schemaver.apply(
		'ALTER TABLE person RENAME COLUMN last_name TO surname', '1.1.0');
});
my $dir = $node->basedir;
append_to_file("$dir/app.sql", join "\n", '\set id random(1, 100)', 'BEGIN;',
	'SELECT last_name FROM person WHERE id = :id;',
	"UPDATE person SET last_name = 'Name ' || :id, visits = visits + 1 "
	  . 'WHERE id = :id;',
	'SELECT last_name FROM person WHERE id = :id;', 'END;');

# one client of the new version, so that two are live
my $new;
my ($out, $err) = ('', '');
my $clients;
{
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.1.0';
	$new = $node->background_psql('shop');
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.0';
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	$clients = IPC::Run::start(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', '6', '-T', '25',
			'-f', "$dir/app.sql", 'shop' ],
		'>', \$out, '2>', \$err);
}
ok( $node->poll_query_until('shop', q{
		SELECT instances = 6 FROM schemaver.versions
		WHERE version::text = '1.0.0'}),
	'the application is live');

my $count = 6;
foreach my $sql (
	'ALTER TABLE store.person DROP COLUMN surname',
	'ALTER TABLE store.person DROP COLUMN surname CASCADE',
	'ALTER TABLE store.person ALTER COLUMN surname TYPE integer USING 1',
	'ALTER TABLE store.person ADD COLUMN x int',
	'ALTER TABLE store.person RENAME COLUMN surname TO name',
	'ALTER TABLE store.person ENABLE ROW LEVEL SECURITY',
	'DROP TABLE store.person',
	'DROP TABLE store.person CASCADE',
	'DROP SCHEMA store CASCADE',
	'DROP TYPE store.mood CASCADE',
	q{DO 'BEGIN DROP TABLE store.person; END'})
{
	my $refused = 0;

	foreach (1 .. $count)
	{
		my ($rc, $stdout, $stderr) = $node->psql('shop', $sql);

		$refused++ if $rc != 0 && $stderr !~ /deadlock/;
	}
	is($refused, $count, "refused: $sql");
}
foreach my $sql (
	'ALTER TABLE store.person OWNER TO other;
	 ALTER TABLE store.person OWNER TO postgres',
	'CREATE INDEX i ON store.person (surname); DROP INDEX store.i',
	q{ALTER TABLE store.person ALTER surname SET DEFAULT 'x';
	  ALTER TABLE store.person ALTER surname DROP DEFAULT},
	'GRANT SELECT (id) ON store.person TO other;
	 REVOKE SELECT (id) ON store.person FROM other',
	'SELECT schemaver.reconcile()')
{
	my $passed = 0;

	foreach (1 .. $count)
	{
		my ($rc, $stdout, $stderr) = $node->psql('shop', $sql);

		$passed++ if $rc == 0;
		note($stderr) if $stderr;
	}
	is($passed, $count, "passed: $sql");
}
ok($clients->pumpable, 'the application is at work to the end');
ok(IPC::Run::finish($clients), 'the application ends well');
unlike($err, qr/error|aborted/i, 'without an error');
like($out, qr/failed transactions: 0 /, 'and without a failed transaction');
$new->quit;
my @complaints = grep { /pgbench/ && /(ERROR|FATAL|PANIC|WARNING):/ }
  split /\n/, slurp_file($node->logfile);
is(join("\n", @complaints), '', 'nor one in the log');

$node->stop;
done_testing();
