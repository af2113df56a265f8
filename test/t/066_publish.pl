# Tables that are published when a migration comes: old and new clients write on
# while the key that is the replica identity goes, changes its type, comes back
# and goes again, and a subscriber gets it all when it has done what the
# warnings say.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 4000;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
max_worker_processes = 16
max_connections = 60
schemaver.inline_pages = 40
wal_retrieve_retry_interval = 200ms
});
$node->start;

my $tables = q{
	CREATE TABLE person (id int PRIMARY KEY, code text NOT NULL UNIQUE,
		note text);
	CREATE TABLE item (id int PRIMARY KEY, price int NOT NULL);
	CREATE TABLE unit (id int PRIMARY KEY, n int);
	CREATE TABLE tag (name text NOT NULL CONSTRAINT tag_name UNIQUE, n int);
	ALTER TABLE tag REPLICA IDENTITY USING INDEX tag_name;
	CREATE TABLE mail (id int PRIMARY KEY, address text, seen int);
};
my $script = q{
	ALTER TABLE person DROP CONSTRAINT person_pkey;
	ALTER TABLE item ALTER price TYPE bigint;
	ALTER TABLE unit ALTER id TYPE bigint;
	ALTER TABLE tag DROP CONSTRAINT tag_name;
	ALTER TABLE mail DROP address};
my %work = (
	'1' => qq{
		\\set id random(1, $rows)
		UPDATE person SET note = 'old' || :id WHERE id = :id;
		UPDATE item SET price = price + 1 WHERE id = :id;
		UPDATE unit SET n = :id WHERE id = :id;
		UPDATE tag SET n = n + 1 WHERE name = 'tag' || :id;
		UPDATE mail SET address = :id WHERE id = :id;
		DELETE FROM mail WHERE id = :id + $rows;
		INSERT INTO tag VALUES ('tag' || :id, 1)
			ON CONFLICT (name) DO UPDATE SET n = tag.n + 1;},
	'2' => qq{
		\\set id random(1, $rows)
		UPDATE person SET note = 'new' || :id WHERE id = :id;
		UPDATE item SET price = price - 1 WHERE id = :id;
		UPDATE unit SET n = 0 - :id WHERE id = :id;
		UPDATE tag SET n = n - 1 WHERE name = 'tag' || :id;
		UPDATE mail SET seen = :id WHERE id = :id;
		DELETE FROM person WHERE id = :id + $rows;});

sub make
{
	my ($publisher, $publication) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $publisher");
	$node->safe_psql($publisher, qq{
		$tables
		INSERT INTO person SELECT i, 'code' || i FROM generate_series(1, 2 * $rows) AS i;
		INSERT INTO item SELECT i, 0 FROM generate_series(1, 5 * $rows) AS i;
		INSERT INTO unit SELECT i, 0 FROM generate_series(0, 200) AS i;
		INSERT INTO tag SELECT 'tag' || i, 0 FROM generate_series(1, $rows) AS i;
		INSERT INTO mail SELECT i FROM generate_series(1, 2 * $rows) AS i;
		CREATE PUBLICATION pub FOR $publication;
		SELECT pg_create_logical_replication_slot('$publisher', 'pgoutput')});
	return;
}

sub subscribe
{
	my ($publisher, $subscriber) = @_;

	$node->safe_psql($subscriber, sprintf(q{
		CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION pub
			WITH (create_slot = false)}, $publisher,
			$node->connstr($publisher) =~ s/'/''/gr));
	$node->wait_for_subscription_sync($node, $publisher, $subscriber)
	  if $node->can('wait_for_subscription_sync');
	$node->poll_query_until($subscriber, q{
		SELECT count(*) = 0 FROM pg_subscription_rel
		WHERE srsubstate NOT IN ('r', 's')}) or BAIL_OUT('no copy');
	return;
}

# what is said of a statement, which is taken back
sub warnings_of
{
	my ($database, $statement) = @_;
	my ($code, $out, $err) =
	  $node->psql($database, "BEGIN; $statement; ROLLBACK;");

	is($code, 0, "$statement: tried") or diag($err);
	return $err;
}

# do on the subscriber what it says
sub follow_hints
{
	my ($subscriber, $warnings) = @_;
	my @commands = $warnings =~ /HINT:  Where it is subscribed to, run: (.*;)$/mg;

	$node->safe_psql($subscriber, join("\n", @commands)) if @commands;
	return scalar @commands;
}

my @running;

sub start_clients
{
	my ($database, $version, $seconds) = @_;
	my $file = $node->basedir . "/$database-$version.sql";
	my %run = (what => "clients of $version");

	append_to_file($file, $work{ substr($version, 0, 1) } =~ s/^\t+//mgr
		=~ s/\n(?=ON)/ /gr) unless -e $file;
	{
		local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
		local $ENV{PGHOST} = $node->host;
		local $ENV{PGPORT} = $node->port;
		$run{handle} = IPC::Run::start(
			[
				'pgbench', '-n', '-M', 'prepared', '-c', '4', '-T', $seconds,
				'-f', $file, $database ],
			'>', \$run{out}, '2>', \$run{err});
	}
	push @running, \%run;
	$node->poll_query_until($database, "SELECT instances = 4
		FROM schemaver.versions WHERE version::text = '$version'")
	  or BAIL_OUT("the clients of $version do not get live");
	return;
}

sub finish_clients
{
	foreach my $run (splice @running)
	{
		ok(IPC::Run::finish($run->{handle}), "$run->{what} end well");
		my ($done) = $run->{out} =~ /actually processed: (\d+)/;
		my ($failed) = $run->{out} =~ /failed transactions: (\d+)/;
		cmp_ok($done // 0, '>', 0, "$run->{what}: $done transactions");
		is($failed, '0', "$run->{what}: no failed transaction")
		  or diag($run->{err});
	}
	return;
}

# what the newest version sees, or what an older one does
sub same
{
	my ($publisher, $subscriber, $query, $what) = @_;

	is($node->safe_psql($subscriber, "SELECT md5(string_agg(x::text, ',' ORDER BY x::text))
			FROM ($query) AS x"),
		$node->safe_psql($publisher, "SELECT md5(string_agg(x::text, ',' ORDER BY x::text))
			FROM ($query) AS x"),
		"$what: $query");
	return;
}

sub ready
{
	my ($publisher) = @_;

	$node->safe_psql($publisher,
		"SELECT schemaver.wait_until_ready('2', timeout => '60 s')");
	return;
}

sub caught_up
{
	my ($publisher) = @_;

	$node->wait_for_catchup($publisher);
	pass("$publisher: the subscriber has caught up");
	return;
}

# Publish some tables, for a database that has no schemaver

make('source', 'TABLE person, item, unit, tag, mail');
$node->safe_psql('postgres', 'CREATE DATABASE sink');
$node->safe_psql('sink', $tables);
subscribe('source', 'sink');
$node->safe_psql('source', q{CREATE EXTENSION schemaver});
unlike(warnings_of('source', q{SELECT schemaver.create_product('shop')}),
	qr/a publication of all tables/, 'some tables: own ones are not sent');
$node->safe_psql('source', q{
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1');
	SELECT schemaver.register('1')});
start_clients('source', '1', 25);

my ($code, $out, $err) = $node->psql('source',
	q{SELECT schemaver.apply('ALTER TABLE item ALTER id TYPE bigint', '2')});
like($err, qr/type of column "id" of table public.item cannot be changed beside/,
	'what subscribers find rows by is not left to jobs');
my $warnings = warnings_of('source', "SELECT schemaver.apply(\$\$$script\$\$, '2')");
like($warnings, qr/replica identity of table public\.person is all/,
	'it is said that person has another replica identity');
unlike($warnings, qr/identity of table public\.item is all/,
	'but item has its key');
is(follow_hints('sink', $warnings), 5, 'each table gets hidden columns');
$node->safe_psql('source', "SELECT schemaver.apply(\$\$$script\$\$, '2')");
ready('source');
start_clients('source', '2', 14);
$warnings = warnings_of('source', "SELECT schemaver.rollback('1')");
follow_hints('sink', $warnings);
$node->safe_psql('source', "SELECT schemaver.rollback('1')");
sleep 1;
$warnings = warnings_of('source', "SELECT schemaver.apply(\$\$$script\$\$, '2')");
follow_hints('sink', $warnings);
$node->safe_psql('source', "SELECT schemaver.apply(\$\$$script\$\$, '2')");
ready('source');
finish_clients();
caught_up('source');
my @seen = ('SELECT id, code, note FROM person', 'SELECT id, price FROM item',
	'SELECT id, n FROM unit',	'SELECT name, n FROM tag', 'SELECT id, seen FROM mail');
same('source', 'sink', $_, 'all written') foreach @seen;

# nothing of the older version is left, and its end stops nobody
start_clients('source', '2', 3);
is($node->safe_psql('source', "SELECT schemaver.retire('1')"), '1', 'retired');
sleep 1;
finish_clients();
caught_up('source');
same('source', 'sink', $_, 'retired') foreach @seen;
is($node->safe_psql('source', q{
		SELECT relname, relreplident FROM pg_class
		WHERE relname IN ('person', 'item', 'unit', 'tag', 'mail')
		ORDER BY relname}),
	"item|d\nmail|d\nperson|f\ntag|f\nunit|d", 'replica identities in the end');

# Publish all tables: those of the extension are sent as well

make('everything', 'ALL TABLES');
$node->safe_psql('postgres', 'CREATE DATABASE mirror');
$node->safe_psql('mirror', $tables);
subscribe('everything', 'mirror');
$node->safe_psql('everything', q{CREATE EXTENSION schemaver});
like(warnings_of('everything', q{SELECT schemaver.create_product('shop')}),
	qr/a publication of all tables.*HINT:  Run CREATE EXTENSION schemaver/s,
	'all tables: it is said what to do');
$node->safe_psql('mirror', 'CREATE EXTENSION schemaver');
$node->safe_psql('everything', q{
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1');
	SELECT schemaver.register('1')});
follow_hints('mirror', warnings_of('everything',
		"SELECT schemaver.apply(\$\$$script\$\$, '2')"));
$node->safe_psql('everything', "SELECT schemaver.apply(\$\$$script\$\$, '2')");
start_clients('everything', '1', 8);
ready('everything');
start_clients('everything', '2', 4);
finish_clients();
caught_up('everything');
same('everything', 'mirror', $_, 'all tables') foreach @seen;
is($node->safe_psql('mirror', 'SELECT count(*) FROM schemaver.db_product'), '0',
	'what is not subscribed to does not arrive');

# a subscriber that comes later gets the rows of the extension as well
$node->safe_psql('mirror', 'ALTER SUBSCRIPTION everything REFRESH PUBLICATION');
$node->poll_query_until('mirror', q{
	SELECT count(*) = 0 FROM pg_subscription_rel
	WHERE srsubstate NOT IN ('r', 's')}) or BAIL_OUT('no copy of the rest');
is($node->safe_psql('mirror', 'SELECT count(*) FROM schemaver.db_product'), '1',
	'the product has come');
my $more = q{ALTER TABLE mail DROP seen; ALTER TABLE person DROP note;
	DROP TABLE unit};
$warnings = warnings_of('everything', "SELECT schemaver.apply('$more', '3')");
like($warnings, qr/older versions write to table schemaver_retained\.unit/,
	'it is said of a table that is dropped');
is(follow_hints('mirror', $warnings), 2, 'columns can be added there');
$node->safe_psql('everything', "SELECT schemaver.apply('$more', '3')");
caught_up('everything');
$node->safe_psql('mirror', 'ALTER TABLE unit SET SCHEMA schemaver_retained');
start_clients('everything', '1', 5);
start_clients('everything', '2', 3);
finish_clients();
caught_up('everything');
same('everything', 'mirror', $_, 'later')
  foreach ('SELECT id, code FROM person', 'SELECT id FROM mail',
	'SELECT id, n FROM schemaver_retained.unit');

$node->stop;
done_testing();
