# Sessions that register while they connect: by connection option, role and
# database settings, with the library preloaded by the session and by the
# postmaster; what they survive, what ends them, and what ends with them.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
max_prepared_transactions = 5
restart_after_crash = on
});
$node->start;

# Versions made by hand: 1.0.0 is retired, 1.1.0 is the current one.
my $versions = q{
	CREATE EXTENSION schemaver;
	INSERT INTO schemaver.db_product
		(name, schemas, exact, complete, incarnation, created_on, created_by)
	SELECT 'shop', '{public}', true, false,
		'schemaver.db_product'::regclass, now(), 'test';
	INSERT INTO schemaver.db_schema_version
		(product_id, version, update_on, update_by, schemas, retired_on,
		 contract)
	SELECT p.id, v::schemaver.version, now(), 'test',
		ARRAY['shop_' || translate(v, '.', '_')],
		CASE WHEN v = '1.0.0' THEN now() END, '{}'
	FROM schemaver.db_product p, unnest('{1.0.0,1.0.2,1.1.0}'::text[]) v;
	UPDATE schemaver.db_product SET current =
		(SELECT max(id) FROM schemaver.db_schema_version);
};
my $held = q{
	SELECT string_agg(v.version::text, ' ')
	FROM pg_locks l JOIN schemaver.db_schema_version v ON v.id = l.classid
	WHERE l.locktype = 'userlock' AND l.objsubid = 21334 AND l.objid = 0
		AND l.database = (SELECT oid FROM pg_database
						  WHERE datname = current_database())};
my $mine = "$held AND l.pid = pg_backend_pid();";
my $path_1_0_2 = 'shop_1_0_2, public, "$user"';

$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop bare);
$node->safe_psql('shop', $versions);
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');

# Run SQL in a connection with these options: (exit code, output, errors).
sub run_with
{
	my ($options, $sql, %more) = @_;
	my ($out, $err);
	my $db = delete $more{dbname} // 'shop';

	local $ENV{PGOPTIONS} = $options;
	my $rc = $node->psql($db, $sql, stdout => \$out, stderr => \$err, %more);
	return ($rc, $out, $err);
}

sub output_is
{
	my ($options, $sql, $expected, $name, %more) = @_;
	my ($rc, $out, $err) = run_with($options, $sql, %more);

	is("$out|$err", "$expected|", $name);
}

# The connection must end with a FATAL error, which must say how to get in.
sub refused
{
	my ($options, $expected, $name, %more) = @_;
	my ($rc, $out, $err) = run_with($options, 'SELECT 1', %more);

	is($rc, 2, "$name: no connection");
	like($err, qr/FATAL:  $expected/, "$name: why");
	like($err, qr/HINT:.*PGOPTIONS="-c schemaver\.app="/s, "$name: way in");
}

sub on_connect
{
	my ($how) = @_;

	# the ways to ask
	output_is('-c schemaver.app=shop/1.0.2', "SHOW search_path; $mine",
		"$path_1_0_2\n1.0.2", "$how: connection option");
	output_is('-c schemaver.app=shop/1.0.7', $mine, '1.0.2',
		"$how: version between two");
	output_is('-c schemaver.app=1.1', $mine, '1.1.0',
		"$how: the only product");
	output_is('', "SHOW search_path; $mine", "\"\$user\", public\n",
		"$how: no version asked for");
	$node->safe_psql('postgres',
		"ALTER ROLE app IN DATABASE shop SET schemaver.app = 'shop/1.0.2'");
	output_is('', $mine, '1.0.2', "$how: ALTER ROLE",
		extra_params => [ '-U', 'app' ]);
	output_is('', 'SHOW search_path', '"$user", public',
		"$how: ALTER ROLE, another database",
		extra_params => [ '-U', 'app' ], dbname => 'bare');
	output_is('-c schemaver.app=shop/1.1.0', $mine, '1.1.0',
		"$how: the connection option comes before ALTER ROLE",
		extra_params => [ '-U', 'app' ]);
	output_is('-c schemaver.app=', $mine, '',
		"$how: an empty connection option registers nothing",
		extra_params => [ '-U', 'app' ]);
	$node->safe_psql('postgres',
		"ALTER DATABASE shop SET schemaver.app = 'shop/1.1.0'");
	output_is('', $mine, '1.1.0', "$how: ALTER DATABASE");
	output_is('', $mine, '1.0.2', "$how: ALTER ROLE comes before it",
		extra_params => [ '-U', 'app' ]);
	$node->safe_psql('postgres', 'ALTER DATABASE shop RESET schemaver.app');
	$node->safe_psql('postgres', 'ALTER ROLE app IN DATABASE shop RESET ALL');

	# with the session's other settings
	output_is(
		'-c schemaver.app=1.0.2 -c search_path=shop_1_0_0,mine,public',
		'SHOW search_path', 'shop_1_0_2, public, mine', "$how: search_path");
	output_is(
		'-c schemaver.app=1.0.2 -c default_transaction_read_only=on '
		  . '-c default_transaction_isolation=serializable',
		$mine, '1.0.2', "$how: read only and serializable");
	output_is('-c schemaver.app=1.0.2 -c force_parallel_mode=on',
		'SELECT count(*) FROM pg_class WHERE relname = $$pg_class$$; '
		. $mine, "1\n1.0.2", "$how: parallel workers");

	# what it survives
	foreach my $sql (
		'RESET ALL', 'RESET search_path',
		'DISCARD ALL', 'SELECT FROM pg_advisory_unlock_all()',
		'BEGIN; SELECT FROM pg_advisory_unlock_all(); ROLLBACK',
		'SELECT FROM schemaver.unregister(); DISCARD ALL',
		"SELECT FROM schemaver.register('1.1.0'); DISCARD ALL",
		"SELECT FROM schemaver.register('1.1.0'); "
		  . 'SELECT FROM pg_advisory_unlock_all()',
		"BEGIN; SELECT FROM schemaver.register('1.1.0'); "
		  . 'SELECT FROM pg_advisory_unlock_all(); COMMIT',
		"BEGIN; SELECT FROM schemaver.register('1.1.0'); "
		  . 'SELECT FROM pg_advisory_unlock_all(); SELECT; COMMIT',
		"BEGIN; SELECT FROM schemaver.register('1.1.0'); "
		  . 'SELECT FROM pg_advisory_unlock_all(); SELECT; ROLLBACK',
		'BEGIN; SAVEPOINT a; SELECT FROM schemaver.unregister(); '
		  . 'ROLLBACK TO a; COMMIT')
	{
		output_is('-c schemaver.app=shop/1.0.2',
			"$sql; $mine SHOW search_path; $mine",
			"1.0.2\n$path_1_0_2\n1.0.2", "$how: survives $sql");
	}

	# until it is given up
	output_is('-c schemaver.app=shop/1.0.2',
		"SELECT schemaver.unregister(); $mine SHOW search_path",
		"t\n\n\"\$user\", public", "$how: unregister()");

	# a version that is retired while the session has let go of its lock
	foreach my $sql ('DISCARD ALL',
		'SELECT pg_advisory_unlock_all(); SELECT 1')
	{
		my ($rc, $out, $err) = run_with('-c schemaver.app=shop/1.0.2', qq{
			UPDATE schemaver.db_schema_version SET retired_on = now()
			WHERE version::text = '1.0.2';
			$sql});
		is($rc, 2, "$how: retired in the meantime, $sql: ends the session");
		like(
			$err,
			qr/FATAL:  version 1.0.2 of product "shop" is retired/,
			"$how: retired in the meantime, $sql: why");
		$node->safe_psql('shop',
			q{UPDATE schemaver.db_schema_version SET retired_on = NULL
			  WHERE version::text = '1.0.2'});
	}

	# what cannot be honoured
	refused('-c schemaver.app=shop/1.0.0',
		'version 1.0.0 of product "shop" is retired', "$how: retired");
	refused('-c schemaver.app=shop/1.2.0',
		'version 1.2.0 of product "shop" is above the current version 1.1.0',
		"$how: above the current version");
	refused('-c schemaver.app=shop/0.1',
		'version 0.1 of product "shop" does not exist', "$how: unknown");
	refused('-c schemaver.app=crm/1.0.2', 'product "crm" does not exist',
		"$how: unknown product");
	refused('-c schemaver.app=shop/',
		'invalid value for parameter "schemaver.app": "shop/"',
		"$how: malformed value");
	refused('-c schemaver.app=shop/one',
		'invalid input syntax for type schemaver.version: "one"',
		"$how: malformed version");
	refused('-c schemaver.app=1.0.2',
		'extension "schemaver" is not installed in database "bare"',
		"$how: no extension", dbname => 'bare');
	output_is('-c schemaver.app=', 'SELECT 1', '1',
		"$how: the way in without the extension", dbname => 'bare');

	# what is no application
	my ($rc) = run_with('-c schemaver.app=shop/1.0.0', 'IDENTIFY_SYSTEM',
		replication => 'database');
	is($rc, 0, "$how: replication does not register");
	return;
}

# Not preloaded: the session runs unregistered, and is told when it is known
{
	my ($rc, $out, $err) =
	  run_with('-c schemaver.app=shop/1.0.2', "SHOW search_path; $mine");
	is($out, "\"\$user\", public\n", 'not preloaded: not registered');
	($rc, $out, $err) = run_with('-c schemaver.app=shop/1.0.2',
		"SELECT schemaver.unregister(); SELECT schemaver.unregister();");
	is($out, "f\nf", 'not preloaded: unregister()');
	is(scalar(() = $err =~ /WARNING/g), 1, 'not preloaded: one warning');
	like($err,
		qr/session is not registered, although schemaver.app is "shop\/1.0.2"/,
		'not preloaded: what it says');
	like($err, qr/HINT:.*ALTER DATABASE shop SET session_preload_libraries/,
		'not preloaded: what to do');
}

$node->safe_psql('postgres', 'ALTER DATABASE '
	  . "$_ SET session_preload_libraries = 'schemaver'")
  foreach qw(shop bare);
on_connect('session preload');

$node->safe_psql('postgres',
	"ALTER DATABASE $_ RESET session_preload_libraries")
  foreach qw(shop bare);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'schemaver'");
$node->restart;
on_connect('shared preload');

# Two databases: the same ids, but nothing to do with each other
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', $versions);
{
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.2';
	my $session = $node->background_psql('shop');

	# sessions registered in a database, as one sees it that is not
	local $ENV{PGOPTIONS} = '-c schemaver.app=';
	is($node->safe_psql('shop', $held), '1.0.2', 'live in one database');
	is($node->safe_psql('second', $held), '', 'and not in the other');
	$session->quit;
	ok($node->poll_query_until('shop', "SELECT ($held) IS NULL"),
		'gone with the session');
}

# PREPARE TRANSACTION
output_is(
	'-c schemaver.app=shop/1.0.2', qq{
	CREATE TABLE t (id int);
	BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'a';
	$mine
	BEGIN; SELECT schemaver.register('1.1.0'); PREPARE TRANSACTION 'b';
	$mine
	ROLLBACK PREPARED 'b';
	$mine
	BEGIN; SELECT schemaver.unregister(); PREPARE TRANSACTION 'c';
	$mine
	COMMIT PREPARED 'a'; COMMIT PREPARED 'c';
	SELECT id FROM t;},
	"1.0.2\n1.1.0\n1.1.0\n1.1.0\nt\n\n1", 'PREPARE TRANSACTION');

# What ends the process ends the registration
foreach my $how ('kill', 'immediate', 'fast')
{
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.1.0';
	my $session = $node->background_psql('shop');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	local $ENV{PGOPTIONS} = '-c schemaver.app=';
	is($node->safe_psql('shop', $held), '1.1.0', "$how: registered");
	if ($how eq 'kill')
	{
		my $log_end = -s $node->logfile;

		kill 'KILL', $pid;
		$node->wait_for_log(qr/ready to accept connections/, $log_end);
	}
	else
	{
		$node->stop($how);
		$node->start;
	}
	is($node->safe_psql('shop', $held), '', "$how: gone");
	$session->{run}->kill_kill;
	output_is('-c schemaver.app=shop/1.1.0', $mine, '1.1.0',
		"$how: taken anew");
}

# Hot standby: registered there as on the primary, and nothing is written
$node->safe_psql('shop', 'DELETE FROM schemaver.db_registration');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
{
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.7';
	is($standby->safe_psql('shop', "SHOW search_path; $mine"),
		"$path_1_0_2\n1.0.2", 'standby: on connect');
	is( $standby->safe_psql('shop',
			"SELECT schemaver.register('1.1.0'); DISCARD ALL; $mine"),
		"1.1.0\n1.0.2", 'standby: by a call');
	$standby->promote;
	is($standby->safe_psql('shop', $mine), '1.0.2', 'standby: promoted');
	local $ENV{PGOPTIONS} = '-c schemaver.app=';
	is( $standby->safe_psql('shop',
			'SELECT count(*) FROM schemaver.db_registration'),
		'1', 'standby: remembered once it can be');
}
$standby->stop;
$node->stop;

done_testing();
