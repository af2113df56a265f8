# wait_for_drain(): what ends the wait and what does not, and that nobody who
# registers waits for the waiter.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Nobody is to be woken by a look for deadlocks
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
deadlock_timeout = '10min'
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE person (id integer PRIMARY KEY, last_name text);
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
});
foreach my $column ('a', 'b')
{
	$node->safe_psql('shop', q{SELECT schemaver.register(
		(SELECT current_version FROM schemaver.products))});
	$node->safe_psql('shop',
		"SELECT schemaver.apply('ALTER TABLE person ADD $column int')");
}
is( $node->safe_psql('shop',
		'SELECT version, status FROM schemaver.versions ORDER BY version'),
	"1.0.0|supported\n1.0.1|supported\n1.0.2|current", 'three versions');

# A session that waits; its process and what came of it
sub start_waiter
{
	my ($arguments, $settings) = @_;
	my %run = (pid => '');

	local $ENV{PGOPTIONS} = $settings // '';
	$run{handle} = IPC::Run::start(
		[
			'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-v',
			'VERBOSITY=verbose', '-d', $node->connstr('shop'), '-c',
			'SELECT pg_backend_pid()', '-c',
			"SELECT schemaver.wait_for_drain($arguments)", '-c',
			q{SELECT 'drained at ' || extract(epoch FROM clock_timestamp())}
		],
		'>', \$run{out}, '2>', \$run{err});
	while ($run{out} !~ /^(\d+)$/m)
	{
		$run{handle}->pump;
	}
	($run{pid}) = $run{out} =~ /^(\d+)$/m;
	return \%run;
}

# until it stands in line for a lock; then its wait has begun
sub await_line
{
	my ($run) = @_;

	return $node->poll_query_until('shop', qq{
		SELECT wait_event_type = 'Lock' FROM pg_stat_activity
		WHERE pid = $run->{pid}});
}

sub finish_waiter
{
	my ($run) = @_;

	$run->{handle}->finish;
	return $run->{out} . $run->{err};
}

sub is_waiting
{
	my ($run) = @_;

	return $node->safe_psql('shop', qq{
		SELECT count(*) FROM pg_stat_activity WHERE pid = $run->{pid}
			AND state = 'active' AND query ~ 'wait_for_drain'});
}

# A session of a version, by its connection or by a call; fails if it takes
# as long as a second
my $slow = 0;

sub start_instance
{
	my ($version, $by_call) = @_;
	my $begin = time();
	my $session;

	{
		local $ENV{PGOPTIONS} =
		  $by_call ? '' : "-c schemaver.app=shop/$version";
		$session = $node->background_psql('shop', on_error_stop => 0);
	}
	$session->query_safe("SELECT schemaver.register('$version')");
	$slow++ if time() - $begin >= 1;
	return $session;
}

# Any number of sessions may register while somebody waits, in the same
# second as the one that is waited for and later
my @instances = (start_instance('1.0.0'));
my $current = start_instance('1.0.2');
my $waiter = start_waiter(q{'1.0.1'});
ok(await_line($waiter), 'waits for an older version than it was told');
push @instances, start_instance('1.0.' . $_ % 2, $_ % 3) foreach 1 .. 20;
is($slow, 0, 'nobody waited to register');
is( $node->safe_psql('shop', q{
		SELECT string_agg(version || ':' || instances, ' ' ORDER BY version)
		FROM schemaver.versions}),
	'1.0.0:11 1.0.1:10 1.0.2:1', 'all are live');

# whatever way they end, it waits for the last one
$node->safe_psql('shop', qq{
	SELECT pg_terminate_backend(pid) FROM schemaver.instances
	WHERE pid = $_}) foreach shift(@instances)->query_safe(
	'SELECT pg_backend_pid()');
(shift @instances)->query_safe('SELECT schemaver.unregister()');
(shift @instances)->query_safe(q{SELECT schemaver.register('1.0.2')});
$_->quit foreach splice(@instances, 0, 17);
is(is_waiting($waiter), 1, 'one is left');
my $last = time();
(shift @instances)->quit;
like(finish_waiter($waiter), qr/^drained at [\d.]+$/m, 'then it is over');
my ($drained) = $waiter->{out} =~ /drained at ([\d.]+)/;
cmp_ok($drained - $last, '<', 1, 'at once');

# A session that discards all and registers again has not gone, and does not
# stand behind the waiter, not even where that one does not move
my $pooled = start_instance('1.0.0');
$waiter = start_waiter(q{'1.0.0'});
ok(await_line($waiter), 'waits for a pooled session');
my $start = time();
$pooled->query_safe('DISCARD ALL') foreach 1 .. 300;
cmp_ok(time() - $start, '<', 30, 'which can discard all');
is(is_waiting($waiter), 1, 'and is live all the time');
ok(await_line($waiter), 'and waited for again');
kill 'STOP', $waiter->{pid};
$start = time();
$pooled->query_safe('DISCARD ALL');
(start_instance('1.0.0'))->quit;
cmp_ok(time() - $start, '<', 5, 'while the waiter stands still, too');
kill 'CONT', $waiter->{pid};
is(is_waiting($waiter), 1, 'which waits on');
$pooled->quit;
like(finish_waiter($waiter), qr/drained at/, 'until the session ends');

# nor can its version be retired while it discards
sub start_pgbench
{
	my ($name, $script, $options) = @_;
	my $file = $node->basedir . "/$name.sql";
	my %run;

	append_to_file($file, $script);
	$run{handle} = IPC::Run::start(
		[
			'pgbench', '-n', '-T', '120', '-f', $file,
			$node->connstr('shop') . " options='$options'"
		],
		'>', \$run{out}, '2>', \$run{err});
	return \%run;
}
my $discards = start_pgbench('discard', 'DISCARD ALL',
	'-c schemaver.app=shop/1.0.1');
ok( $node->poll_query_until('shop', q{
		SELECT count(*) > 0 FROM schemaver.instances
		WHERE version::text = '1.0.1'}),
	'a session discards all the time');
my $retired = 0;
$retired += $node->psql('shop', q{SELECT schemaver.retire('1.0.1')}) == 0
  foreach 1 .. 20;
is($retired, 0, 'its version is never retired');
# as when its time is over
$discards->{handle}->signal('ALRM');
$discards->{handle}->finish;
like($discards->{out}, qr/actually processed: [1-9]/, 'it went on');
unlike($discards->{err}, qr/FATAL|ERROR|aborted/, 'without an error');

# What ends the wait before its time
my $instance = start_instance('1.0.0', 1);
my $pid = $instance->query_safe('SELECT pg_backend_pid()');
$waiter = start_waiter(q{'1.0.1'});
ok(await_line($waiter), 'waits for one that registered by a call');
is( $node->safe_psql('shop', "SELECT pg_blocking_pids($waiter->{pid})"),
	"{$pid}", 'pg_blocking_pids() tells for whom');
$node->safe_psql('shop', "SELECT pg_cancel_backend($waiter->{pid})");
like(finish_waiter($waiter), qr/57014: canceling statement due to user/,
	'it can be cancelled');

# lock_timeout is about other locks
$start = time();
$waiter = start_waiter(q{'1.0.1', timeout => '700 ms'},
	'-c lock_timeout=100ms');
my $result = finish_waiter($waiter);
like($result, qr/55P03: version 1\.0\.1 of product "shop" has not drained after 00:00:00\.7/,
	'a timeout');
like($result, qr/DETAIL:  Still live: version 1\.0\.0 \(process $pid\)\./,
	'and who is live');
like($result, qr/HINT:  Stop these instances/, 'and what to do');
cmp_ok(time() - $start, '>', 0.7, 'not before its time');
my $other = start_instance('1.0.1');
my $other_pid = $other->query_safe('SELECT pg_backend_pid()');
$result = finish_waiter(start_waiter(q{'1.0.1', 'shop', '0'}));
like($result, qr/Still live: version 1\.0\.0 \(process $pid\), version 1\.0\.1 \(process $other_pid\)\./,
	'a timeout of nothing only looks');
like( finish_waiter(start_waiter(q{'1.0.1'},
			'-c statement_timeout=300ms -c lock_timeout=100ms')),
	qr/57014: canceling statement due to statement timeout/,
	'statement_timeout is about this, too');
$waiter = start_waiter(q{'1.0.1', timeout => '1 hour'});
ok(await_line($waiter), 'a timeout that is long');
$_->quit foreach $other, $instance;
like(finish_waiter($waiter), qr/drained at/, 'is not waited for');

# What comes in after all has gone can be waited for, with many at once
@instances = (start_instance('1.0.0'), start_instance('1.0.0'));
my @waiters = map { start_waiter(q{'1.0.0'}) } 1 .. 3;
await_line($_) foreach @waiters;
push @instances, start_instance('1.0.0');
$_->quit foreach @instances;
like(finish_waiter($_), qr/drained at/, 'one of three waiters')
  foreach @waiters;

# One that waits for what the waiter holds is found out as any deadlock
$instance = start_instance('1.0.0');
$instance->query_safe("SET deadlock_timeout = '100ms'");
$waiter = start_waiter(q{'1.0.0'}
	  . q{) FROM (SELECT pg_advisory_lock(1) OFFSET 0) AS lock WHERE (true});
ok(await_line($waiter), 'waits with another lock held');
$instance->query('SELECT pg_advisory_lock(1)');
like($instance->{stderr}, qr/deadlock detected/, 'a deadlock is found');
$instance->{stderr} = '';
$instance->quit;
like(finish_waiter($waiter), qr/drained at/, 'and it goes on');

$current->quit;
$node->stop;
done_testing();
