# A hot standby: old versions read there while the primary migrates, and its
# promotion goes on where the primary ended.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf',
	"session_preload_libraries = 'schemaver'");
$primary->start;
$primary->safe_psql('postgres', 'CREATE DATABASE shop');
$primary->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE person (id integer PRIMARY KEY, last_name text);
	INSERT INTO person VALUES (1, 'Doe');
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'hot_standby_feedback = on');
$standby->start;

sub migrate
{
	my ($script) = @_;

	$primary->safe_psql('shop', "SELECT schemaver.apply('$script')");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	return;
}

# Three ways to be version 1.0.0 on the standby
sub session_of
{
	my ($version) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
	return $standby->background_psql('shop', on_error_stop => 1);
}
my $connected = session_of('1.0.0');
my $called = $standby->background_psql('shop');
is( $called->query_safe(q{SELECT schemaver.register('1.0.0')}),
	'1.0.0', 'registered by a call');
my @old = ([ $connected, 'on connect' ], [ $called, 'by a call' ]);
my $prepare = q{
	PREPARE one AS SELECT last_name FROM person WHERE id = $1;
	PREPARE everything AS SELECT * FROM person;
	PREPARE counted AS SELECT p.last_name, count(*) FROM person p
		GROUP BY p.id;
	SET plan_cache_mode = force_generic_plan;
};
my $execute = 'EXECUTE one(1); EXECUTE everything; EXECUTE counted';
my $expected = "Doe\n1|Doe\nDoe|1";

$_->[0]->query_safe($prepare) foreach @old;
is($_->[0]->query_safe($execute), $expected, "before, $_->[1]")
  foreach @old;
is( $standby->safe_psql('shop',
		q{SELECT version, instances FROM schemaver.versions}),
	'1.0.0|2', 'the standby counts its own instances');

# A rename, an addition, back again: what it replays does not disturb them
my $repeatable = $standby->background_psql('shop');
$repeatable->query_safe(q{SELECT schemaver.register('1.0.0');
	BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1});
foreach my $script (
	'ALTER TABLE person RENAME COLUMN last_name TO surname',
	'ALTER TABLE person ADD COLUMN born date',
	'ALTER TABLE person RENAME TO human',
	'ALTER TABLE human RENAME TO person;'
	  . 'ALTER TABLE person RENAME COLUMN surname TO last_name',
	'ALTER TABLE person RENAME COLUMN last_name TO surname; -- again')
{
	migrate($script);
	is($_->[0]->query_safe($execute), $expected, "$script, $_->[1]")
	  foreach @old;
}
is($repeatable->query_safe('SELECT last_name FROM person; COMMIT'),
	'Doe', 'a transaction that began before all of it');
$repeatable->quit;

my $new = session_of('1.4.0');
is($new->query_safe('SELECT surname FROM person'), 'Doe', 'the new version');
my ($rc, $out, $err) = $standby->psql('shop',
	q{SELECT schemaver.apply('ALTER TABLE person ADD COLUMN x int')});
like($err, qr/cannot execute schemaver.apply\(\) in a read-only/,
	'no migration on a standby');
($rc, $out, $err) =
  $standby->psql('shop', q{SELECT schemaver.reconcile()});
like($err, qr/cannot execute schemaver.reconcile\(\) in a read-only/,
	'nor reconcile()');
($rc, $out, $err) =
  $standby->psql('shop', q{SELECT schemaver.create_product('b', '{x}')});
like($err, qr/cannot execute schemaver.create_product\(\) in a read-only/,
	'nor create_product()');
($rc, $out, $err) =
  $standby->psql('shop', q{SELECT schemaver.register('2.0.0')});
like($err, qr/is above the current version/, 'nor a version that is not');
like(join("\n", $standby->safe_psql('shop', 'SELECT schemaver.status()')),
	qr/1\.0\.0/, 'but status()');
($rc, $out, $err) = $standby->psql('shop',
	q{SELECT schemaver.wait_for_drain('1.0.0', timeout => '50 ms')});
like($err, qr/has not drained after .*Still live: version 1\.0\.0/s,
	'and a wait for the sessions of the standby');

# All rows are compared there as on the primary, and that can be cancelled
my $compare = q{SELECT object, finding, substring(detail FROM '[^;]*$')
	FROM schemaver.verify(deep => true)};
$primary->safe_psql('postgres', 'CREATE DATABASE large');
$primary->safe_psql('large', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE large AS SELECT i AS id, i AS n
		FROM generate_series(1, 500000) AS i;
	ALTER TABLE large ADD PRIMARY KEY (id);
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
	SET schemaver.inline_pages = '1GB';
	SELECT schemaver.apply('ALTER TABLE large ALTER n TYPE bigint');
});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($standby->safe_psql('large', $compare), '', 'all columns are in step');
$primary->safe_psql('large', q{SET session_replication_role = replica;
	UPDATE large SET n = 0 WHERE id % 100000 = 7});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is( $standby->safe_psql('large', $compare),
	'public.large|columns out of step| the first with (id)=(7).',
	'a row that is not is found on the standby');
($rc, $out, $err) = $standby->psql('large', qq{
	BEGIN;
	SAVEPOINT before;
	SET LOCAL statement_timeout = '60ms';
	$compare;
	ROLLBACK TO before;
	SELECT count(*) FROM pg_locks WHERE relation = 'large'::regclass;
	SELECT count(*) FROM schemaver.verify();
}, on_error_stop => 0);
like($err, qr/canceling statement due to statement timeout/,
	'to compare all rows can be cancelled');
is($out, "0\n0", 'and leaves nothing behind');

# Promotion: its sessions are the live ones now
$standby->promote;
is($_->[0]->query_safe($execute), $expected, "promoted, $_->[1]")
  foreach @old;
($rc, $out, $err) =
  $standby->psql('shop', 'ALTER TABLE person DROP COLUMN surname');
like($err, qr/would break version 1\.0\.0/, 'the guard knows of them');
is( $standby->safe_psql('shop',
		q{SELECT schemaver.apply('ALTER TABLE person RENAME TO people')}),
	'1.5.0', 'a migration of the promoted standby');
is($_->[0]->query_safe($execute), $expected, "migrated, $_->[1]")
  foreach @old;
is($new->query_safe('SELECT surname FROM person'), 'Doe',
	'migrated, the new version');
is( $called->query_safe(
		q{INSERT INTO person VALUES (2, 'Roe') RETURNING last_name}),
	'Roe', 'and writes work');
$_->quit foreach $connected, $called, $new;

$_->stop foreach $standby, $primary;
done_testing();
