# What a migration leaves behind that ends in the middle: nothing.
#
# It is ended in every way that there is, once while its script runs and once
# while it tries to get a lock.  The database must look as it did before, and
# the next migration must work.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
restart_after_crash = on
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE person (id integer PRIMARY KEY, last_name text);
	INSERT INTO person VALUES (1, 'Doe');
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
});

# all that a migration could leave
my $state = q{
	SELECT version, status, registered IS NOT NULL, retired_on
	FROM schemaver.versions;
	SELECT count(*) FROM schemaver.history;
	SELECT count(*), max(id) FROM schemaver.db_contract_entry;
	SELECT nspname FROM pg_namespace WHERE nspname LIKE 'shop%' ORDER BY 1;
	SELECT relnamespace::regnamespace, relname, attname
	FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace = 'public'::regnamespace
		OR relnamespace::regnamespace::text LIKE 'shop%'
	ORDER BY 1, 2, attnum;
};
my $locks = q{SELECT count(*) FROM pg_locks
	WHERE pid <> pg_backend_pid() AND (locktype = 'userlock' OR
		relation IN (SELECT oid FROM pg_class WHERE relname = 'person'))};

my $change = 'ALTER TABLE person RENAME COLUMN last_name TO surname;
	ALTER TABLE person ADD COLUMN more text; CREATE TABLE extra (id int)';

sub start_psql
{
	my ($sql) = @_;
	my %run;

	$run{handle} = IPC::Run::start(
		[ 'psql', '-X', '-At', '-d', $node->connstr('shop'), '-c', $sql ],
		'>', \$run{out}, '2>', \$run{err});
	return \%run;
}

sub end_psql
{
	my ($run) = @_;

	IPC::Run::finish($run->{handle});
	return $run->{err};
}

# the migration's process once it is where it shall be
sub migration
{
	my ($event) = @_;
	my $query = q{SELECT min(pid) FROM pg_stat_activity
		WHERE query LIKE 'SELECT schemaver.apply%'};

	$node->poll_query_until('shop',
		"SELECT EXISTS ($query AND wait_event = '$event' HAVING count(*) > 0)")
	  or die "the migration does not get to $event";
	return $node->safe_psql('shop', $query);
}

my %how = (
	'Ctrl-C' => sub {
		$node->safe_psql('shop', "SELECT pg_cancel_backend($_[0])");
	},
	'pg_terminate_backend()' => sub {
		$node->safe_psql('shop', "SELECT pg_terminate_backend($_[0])");
	},
	'kill -9' => sub {
		my $log_end = -s $node->logfile;

		kill 'KILL', $_[0];
		$node->wait_for_log(qr/ready to accept connections/, $log_end);
	},
	'immediate shutdown' => sub { $node->stop('immediate'); $node->start; },
	'fast shutdown' => sub { $node->stop('fast'); $node->start; });
my %message = (
	'Ctrl-C' => qr/ERROR:  canceling statement due to user request/,
	'pg_terminate_backend()' => qr/FATAL:  terminating connection/,
	'fast shutdown' => qr/FATAL:  terminating connection/);

my $before = $node->safe_psql('shop', $state);
foreach my $how (sort keys %how)
{
	my $restarts = $how =~ /kill|shutdown/;

	# a client of the old version that stays
	my $client = start_psql('SELECT 1');
	end_psql($client);
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.0';
	my $old = $node->background_psql('shop', on_error_stop => 0);
	delete $ENV{PGOPTIONS};
	my $others = $node->safe_psql('shop', $locks);

	# within the script
	my $run = start_psql(
		"SELECT schemaver.apply('$change; SELECT pg_sleep(180)', '1.1.0')");
	my $pid = migration('PgSleep');
	cmp_ok($node->safe_psql('shop', $locks), '>', $others,
		"$how: the migration holds locks");
	$how{$how}->($pid);
	my $error = end_psql($run);
	isnt($error, '', "$how: ends the migration");
	like($error, $message{$how}, "$how: says so") if $message{$how};
	is($node->safe_psql('shop', $state), $before,
		"$how: the script leaves nothing");
	ok($node->poll_query_until('shop', "$locks", $restarts ? 0 : $others),
		"$how: no lock");
	if ($restarts)
	{
		$old->{run}->kill_kill;
		local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.0';
		$old = $node->background_psql('shop', on_error_stop => 0);
		is( $old->query_safe(
				'SELECT sum(instances) FROM schemaver.versions'),
			'1', "$how: registrations are gone and taken anew");
	}

	# while it tries to get a lock
	my $holder = $node->background_psql('shop', on_error_stop => 0);
	$holder->query_safe('BEGIN; SELECT last_name FROM person');
	$run = start_psql("SELECT schemaver.apply('$change', '1.1.0')");
	$pid = migration('Extension');
	is( $old->query_safe('SELECT last_name FROM person'), 'Doe',
		"$how: the application does not queue behind the migration");
	$how{$how}->($pid);
	$error = end_psql($run);
	isnt($error, '', "$how: ends the wait for a lock");
	like($error, $message{$how}, "$how: says so") if $message{$how};
	is($node->safe_psql('shop', $state), $before,
		"$how: the wait leaves nothing");
	if ($restarts)
	{
		$_->{run}->kill_kill foreach $holder, $old;
		is($node->safe_psql('shop', $locks), '0', "$how: no lock after it");
		local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.0';
		$old = $node->background_psql('shop', on_error_stop => 0);
	}
	else
	{
		is($holder->query_safe('SELECT last_name FROM person; COMMIT'),
			'Doe', "$how: who holds the lock goes on");
		$holder->quit;
	}

	# the next one, taken back so that the next round starts here as well
	is( $node->safe_psql('shop',
			"BEGIN; SELECT schemaver.apply('$change', '1.1.0');"
			  . 'SELECT surname FROM person; SELECT last_name '
			  . 'FROM shop_1_0_0.person; ROLLBACK'),
		"1.1.0\nDoe\nDoe",
		"$how: the next migration works");
	is($node->safe_psql('shop', $state), $before,
		"$how: and can be taken back");
	is($old->query_safe('SELECT last_name FROM person'), 'Doe',
		"$how: the client is still there");
	$old->quit;
	ok( $node->poll_query_until('shop',
			'SELECT sum(instances) = 0 FROM schemaver.versions'),
		"$how: nobody is live in the end");
}

# What is committed is there after a crash
$node->safe_psql('shop', "SELECT schemaver.apply('$change', '1.1.0')");
my $after = $node->safe_psql('shop', $state);
isnt($after, $before, 'the migration has been run');
$node->stop('immediate');
$node->start;
is($node->safe_psql('shop', $state), $after, 'and survives a crash');
{
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/1.0.0';
	is($node->safe_psql('shop', 'SELECT last_name FROM person'),
		'Doe', 'with what the old version sees');
}

# Two who wait for one product: the death of the first is the other's turn
my $first = start_psql(
	q{SELECT schemaver.apply('SELECT pg_sleep(180)', '1.1.1')});
my $pid = migration('PgSleep');
my $second = start_psql(q{SELECT schemaver.apply('SELECT 1', '1.1.2')});
migration('userlock');
$node->safe_psql('shop', "SELECT pg_terminate_backend($pid)");
end_psql($first);
is(end_psql($second), '', 'the second migration runs');
is($second->{out}, "1.1.2\n", 'in place of the first');

$node->stop;
done_testing();
