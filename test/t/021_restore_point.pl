# Point-in-time recovery to a restore point of apply() and retire(), and to
# the position that the history tells: the state before, complete.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(has_archiving => 1, allows_streaming => 1);
$node->append_conf('postgresql.conf',
	"session_preload_libraries = 'schemaver'");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE person (id integer PRIMARY KEY, last_name text);
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
});
$node->backup('base');

# Each step in the middle of its transaction: what others commit before it is
# part of the state to come back to, what they commit after it is not
sub step
{
	my ($call, $id) = @_;
	my $session = $node->background_psql('shop');

	$session->query_safe('BEGIN; SELECT 1');
	$node->safe_psql('shop', "INSERT INTO person VALUES ($id, 'before')");
	$session->query_safe("SELECT $call");
	$session->query_safe('COMMIT');
	$session->quit;
	$node->safe_psql('shop', "INSERT INTO person VALUES ($id + 1, 'after')");
	return;
}
step(q{schemaver.apply('ALTER TABLE person RENAME last_name TO surname',
	'1.1.0')}, 1);
$node->safe_psql('shop', q{SELECT schemaver.register('1.1.0')});
step(q{schemaver.apply('ALTER TABLE person RENAME surname TO family_name',
	'1.2.0')}, 3);
step(q{schemaver.retire('1.1.0')}, 5);
is( $node->safe_psql('shop', q{
		SELECT restore_point FROM schemaver.history
		WHERE restore_point IS NOT NULL ORDER BY id}),
	"schemaver shop 1.1.0\nschemaver shop 1.2.0\nschemaver shop 1.1.0 retire",
	'the history has their names');
my $lsn = $node->safe_psql('shop', q{SELECT lsn FROM schemaver.history
	WHERE version::text = '1.2.0' AND action = 'apply'});
$node->safe_psql('shop', 'SELECT pg_switch_wal()');
$node->stop;

# What a cluster has that was recovered up to a target
my $state = q{
	SELECT string_agg(version || ' ' || status, ', ' ORDER BY version)
	FROM schemaver.versions;
	SELECT column_name FROM information_schema.columns
	WHERE table_name = 'person' AND table_schema = 'public'
	ORDER BY ordinal_position DESC LIMIT 1;
	SELECT max(id) FROM person;
	SELECT count(*) FROM information_schema.views
	WHERE table_schema LIKE 'shop%'
};
my $number = 0;

sub recover
{
	my ($target) = @_;
	my $recovered = PostgreSQL::Test::Cluster->new('recovered' . $number++);

	$recovered->init_from_backup($node, 'base', has_restoring => 1,
		standby => 0);
	$recovered->append_conf('postgresql.conf', qq{
$target
recovery_target_action = promote
archive_mode = off
});
	$recovered->start;
	$recovered->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
	my $result = $recovered->safe_psql('shop', $state);
	my $version = $recovered->safe_psql('shop',
		q{SELECT schemaver.apply('ALTER TABLE person ADD COLUMN x int')});
	is($version, $recovered->safe_psql('shop',
			'SELECT current_version FROM schemaver.products'),
		"$target: a migration goes on from there");
	$recovered->stop;
	return $result;
}

is( recover(q{recovery_target_name = 'schemaver shop 1.1.0'}),
	"1.0.0 current\nlast_name\n1\n0", 'before a migration, by name');
is( recover("recovery_target_lsn = '$lsn'"),
	"1.0.0 supported, 1.1.0 current\nsurname\n3\n1",
	'before a migration, by position');
is( recover(q{recovery_target_name = 'schemaver shop 1.1.0 retire'}),
	"1.0.0 supported, 1.1.0 supported, 1.2.0 current\nfamily_name\n5\n2",
	'before a retirement');

# No restore point where the WAL has no use for one
$node->append_conf('postgresql.conf', q{
wal_level = minimal
archive_mode = off
max_wal_senders = 0
});
$node->start;
$node->safe_psql('shop',
	q{SELECT schemaver.apply('CREATE TABLE place (id integer)')});
is( $node->safe_psql('shop', q{
		SELECT version, lsn IS NOT NULL, restore_point IS NULL
		FROM schemaver.history ORDER BY id DESC LIMIT 1}),
	'1.2.1|t|t', 'with wal_level = minimal the position alone');
$node->stop;

done_testing();
