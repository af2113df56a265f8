# An application at work while its schema moves: no transaction may fail.
#
# Clients of version 1.0.0, with every protocol, read and write all the while.
# Columns and tables are renamed back and forth, columns are added, a table
# changes its schema; then clients of the version reached by then join them,
# and it goes on.  What was moved must add up in the end, and both versions
# must see the same.

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
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE SCHEMA ledger;
	CREATE TABLE account (
		id		integer PRIMARY KEY,
		owner	text NOT NULL,
		balance	bigint NOT NULL DEFAULT 0);
	CREATE TABLE movement (
		id			bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		account_id	integer NOT NULL REFERENCES account,
		delta		integer NOT NULL);
	CREATE TABLE visit (
		account_id	integer CONSTRAINT visit_once PRIMARY KEY,
		visits		integer NOT NULL DEFAULT 1);
	INSERT INTO account (id, owner) SELECT i, 'Owner ' || i
	FROM generate_series(1, 500) AS i;
	SELECT schemaver.create_product('shop', '{public,ledger}');
	SELECT schemaver.baseline('1.0.0');
});

# What the application does, under the names of a version
my $path = $node->basedir;

sub application
{
	my ($version, %name) = @_;
	my %script = (
		move => qq{
			\\set id random(1, 500)
			\\set delta random(-100, 100)
			BEGIN;
			UPDATE $name{account} SET $name{balance} = $name{balance} + :delta
			WHERE id = :id;
			INSERT INTO movement (account_id, delta) VALUES (:id, :delta)
			RETURNING id;
			END;},
		look => qq{
			\\set id random(1, 500)
			SELECT * FROM $name{account} WHERE id = :id;
			SELECT a.owner, a.$name{balance}, count(m.delta)
			FROM $name{account} a LEFT JOIN movement m
				ON m.account_id = a.id
			WHERE a.id = :id GROUP BY a.id;},
		visit => qq{
			\\set id random(1, 500)
			INSERT INTO visit (account_id) VALUES (:id)
			ON CONFLICT ON CONSTRAINT $name{visit}
				DO UPDATE SET visits = visit.visits + 1;});
	my @files;

	foreach my $part (sort keys %script)
	{
		my $file = "$path/$version-$part.sql";

		$script{$part} =~ s/^\t+//mg;
		$script{$part} =~ s/\n(?![\\A-Z])/ /g;
		append_to_file($file, $script{$part});
		push @files, '-f', $file;
	}
	return @files;
}

my @running;

# Start clients: a pgbench for each protocol
sub start_clients
{
	my ($version, $seconds, $clients, @files) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
	local $ENV{PGAPPNAME} = "client of $version";
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	foreach my $protocol (sort keys %$clients)
	{
		my %run = (what => "$version, $protocol");

		$run{handle} = IPC::Run::start(
			[
				'pgbench', '-n', '-M', $protocol, '-c', $clients->{$protocol},
				'-T', $seconds, @files, 'shop' ],
			'>', \$run{out}, '2>', \$run{err});
		push @running, \%run;
	}
	return;
}

my $version = '1.0.0';

sub apply
{
	my ($script) = @_;

	$version = $node->safe_psql('shop',
		"SET client_min_messages = error; SELECT schemaver.apply('$script')");
	return;
}

start_clients('1.0.0', 25,
	{ simple => 2, extended => 3, prepared => 3 },
	application('1.0.0', account => 'account', balance => 'balance',
		visit => 'visit_once'));
ok( $node->poll_query_until(
		'shop', q{SELECT instances = 8 FROM schemaver.versions}),
	'8 instances are live');

my $tables = 'ALTER TABLE account RENAME COLUMN balance TO amount;
	ALTER TABLE account RENAME TO wallet';
my $back = 'ALTER TABLE wallet RENAME TO account;
	ALTER TABLE account RENAME COLUMN amount TO balance';

apply($_) foreach (
	'ALTER TABLE movement SET SCHEMA ledger',
	'ALTER TABLE account ADD COLUMN note text,
		ADD COLUMN since date DEFAULT current_date',
	'ALTER TABLE visit RENAME CONSTRAINT visit_once TO visit_pkey');
apply("$tables; -- $_"), apply("$back; -- $_") foreach (1 .. 5);
apply($tables);

# the second version joins
my $new = $version;
my $live = "SELECT instances FROM schemaver.versions WHERE version::text = '$new'";
start_clients($new, 8, { simple => 1, extended => 1, prepared => 2 },
	application($new, account => 'wallet', balance => 'amount',
		visit => 'visit_pkey'));
ok($node->poll_query_until('shop', $live, '4'), '4 instances of the new one');
apply("$back; -- $_"), apply("$tables; -- $_") foreach (6 .. 10);
apply('ALTER TABLE ledger.movement RENAME COLUMN delta TO difference');
apply('ALTER TABLE visit ALTER COLUMN visits SET DEFAULT 7');
is($node->safe_psql('shop', 'SELECT sum(instances) FROM schemaver.versions'),
	'12', 'all are live through to the last migration');

note($node->safe_psql('shop', q{SELECT count(*) || ' migrations, longest '
	|| max(duration) || ', in all ' || sum(duration)
	FROM schemaver.history WHERE action = 'apply'}));

foreach my $run (@running)
{
	my ($done, $failed);

	ok(IPC::Run::finish($run->{handle}), "$run->{what}: pgbench ends well");
	($done) = $run->{out} =~ /transactions actually processed: (\d+)/;
	($failed) = $run->{out} =~ /number of failed transactions: (\d+)/;
	unlike($run->{err}, qr/error|aborted/i, "$run->{what}: no error");
	cmp_ok($done, '>', 500, "$run->{what}: enough transactions");
	is($failed, '0', "$run->{what}: none failed");
}

my @complaints =
  grep { /client of/ && /(ERROR|FATAL|PANIC|WARNING):/ }
  split /\n/, slurp_file($node->logfile);
is(join("\n", @complaints), '', 'the server has heard no complaint either');

# What both did adds up, and is the same for both
sub seen_by
{
	my ($as, $sql) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$as";
	return $node->safe_psql('shop', $sql);
}

my $sums = q{SELECT sum(balance), md5(string_agg(a::text, ' ' ORDER BY id)),
	(SELECT sum(delta) FROM movement),
	(SELECT md5(string_agg(m::text, ' ' ORDER BY id)) FROM movement m),
	(SELECT sum(visits) FROM visit)
	FROM account a};
my $old_sums = seen_by('1.0.0', $sums);
my $new_sums = $sums =~ s/balance/amount/r =~ s/FROM account a/FROM
	(SELECT id, owner, amount FROM wallet) a/r;
is(seen_by($new, $new_sums), $old_sums, 'both versions see the same');
my @sum = split /\|/, $old_sums;
is($sum[0], $sum[2], 'balances are the sums of what was moved');
is($node->safe_psql('shop', q{SELECT schemaver.reconcile()}),
	'0', 'nothing is left to reconcile');

$node->stop;
done_testing();
