# retire() of a version that could leave NULL in a large table: who reads and
# writes it is not held up, a crash in the middle does not matter, and a row
# without a value that has slipped in is told by its key.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
schemaver.inline_pages = 0
schemaver.on_missing_value = nullable
restart_after_crash = on
max_worker_processes = 16
});
$node->start;

# a database with a table in which version 1.0.0 leaves NULL
sub create_shop
{
	my ($name, $rows) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, qq{
		CREATE EXTENSION schemaver;
		CREATE TABLE person (id int PRIMARY KEY, nick text, note text);
		INSERT INTO person SELECT g, 'n' || g, repeat('x', 200)
		FROM generate_series(1, $rows) AS g;
		SELECT schemaver.create_product('shop');
		SELECT schemaver.baseline('1.0.0');
		SELECT schemaver.register('1.0.0');
		SET schemaver.inline_pages = '1GB';
		SELECT schemaver.apply('ALTER TABLE person ALTER nick SET NOT NULL',
			'1.1.0')});
	return;
}

my $shape = q{SELECT attnotnull, (SELECT count(*) FROM pg_constraint
	WHERE conname LIKE 'schemaver%') FROM pg_attribute
	WHERE attrelid = 'person'::regclass AND attname = 'nick'};
my $wait = q{SELECT schemaver.wait_until_ready('1.1.0', timeout => '60 s')};

# Somebody who reads for long keeps retire() from its lock, and then the job;
# others read and write meanwhile
create_shop('long', 1000);
my $reader = $node->background_psql('long');
$reader->query_safe('BEGIN; SELECT count(*) FROM person');
my $retiring = $node->background_psql('long');
$retiring->query_until(qr/begun/, "\\echo begun
SELECT schemaver.retire('1.0.0');\n");
my $slowest = 0;

# as version 1.1.0, for a while; returns what has failed
sub read_and_write
{
	my ($seconds) = @_;
	my $session = $node->background_psql('long', on_error_stop => 0);
	my $end = time() + $seconds;

	$session->query_safe(q{SELECT schemaver.register('1.1.0')});
	while (time() < $end)
	{
		my $before = time();

		$session->query_safe('UPDATE person SET note = id::text WHERE id = 7;
			SELECT count(*) FROM person');
		my $took = time() - $before;
		$slowest = $took if $took > $slowest;
	}
	$session->quit;
	return;
}

read_and_write(1.5);
is($node->safe_psql('long', q{SELECT status FROM schemaver.versions
	WHERE version::text = '1.0.0'}),
	'supported', 'retire() waits for the reader');
$reader->query_safe('COMMIT');
$node->poll_query_until('long', q{SELECT status = 'retired'
	FROM schemaver.versions WHERE version::text = '1.0.0'})
  or die 'retire() does not end';

# the job may have got in before the next reader, who begins anew then
$retiring->quit;
$node->safe_psql('long', $wait);
is($node->safe_psql('long', $shape), 't|0', 'NOT NULL in the end');
cmp_ok($slowest, '<', 1, 'nobody was held up for long');

# kill -9 of the worker that has validated, and cannot set NOT NULL yet
create_shop('killed', 1000);
$node->safe_psql('postgres',
	'ALTER DATABASE killed SET schemaver.job_workers = 0');
$node->safe_psql('killed', q{SELECT schemaver.retire('1.0.0')});
is($node->safe_psql('killed', $shape), 'f|1', 'left to a job');
is($node->safe_psql('killed',
		q{SELECT string_agg(ready::text, ',') FROM schemaver.versions}),
	'true,true', 'the version is ready without it');
$node->safe_psql('postgres',
	'ALTER DATABASE killed RESET schemaver.job_workers');
$reader = $node->background_psql('killed', on_error_stop => 0);
$reader->query_safe('BEGIN; SELECT count(*) FROM person');
$node->safe_psql('killed', 'SELECT count(*) FROM schemaver.status()');
$node->poll_query_until('killed', q{SELECT convalidated FROM pg_constraint
	WHERE conname LIKE 'schemaver%'}) or die 'the CHECK is not validated';
my $before = time();
$node->safe_psql('killed', q{UPDATE person SET note = '' WHERE id = 1;
	SELECT count(*) FROM person});
cmp_ok(time() - $before, '<', 1, 'nobody queues behind the job');
my $log_end = -s $node->logfile;
kill 'KILL', $node->safe_psql('killed', 'SELECT pid FROM schemaver.jobs');
$node->wait_for_log(qr/ready to accept connections/, $log_end);
$reader->{run}->kill_kill;
is($node->safe_psql('killed', $shape), 'f|1', 'kill -9: not done yet');
$node->safe_psql('killed', 'SELECT count(*) FROM schemaver.status()');
$node->safe_psql('killed', $wait);
is($node->safe_psql('killed', $shape), 't|0', 'kill -9: done');
is($node->safe_psql('killed', 'SELECT state, attempts FROM schemaver.jobs'),
	'done|2', 'kill -9: taken up again');

# retire() cannot see a row that was written after its snapshot
create_shop('missed', 10);
$retiring = $node->background_psql('missed');
$retiring->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ;
	SELECT count(*) FROM person');
$node->safe_psql('missed', q{SELECT schemaver.register('1.0.0');
	INSERT INTO person VALUES (11, NULL), (12, 'n12')});
$retiring->query_safe(q{SELECT schemaver.retire('1.0.0'); COMMIT});
$retiring->quit;
my ($result, $out, $err) = $node->psql('missed', $wait);
like($err, qr/not all jobs of version 1\.1\.0 .* can be done/,
	'a row without a value: an error');
like($err, qr/row with \(id\)=\(11\): column "nick" of relation "person" contains null values/,
	'a row without a value: its key');
is($node->safe_psql('missed', q{SELECT schemaver.register('1.1.0')}),
	'1.1.0', 'a row without a value: keeps nobody away');
is($node->safe_psql('missed',
		q{SELECT severity, finding FROM schemaver.verify()}),
	'error|job failed', 'a row without a value: verify() tells');
$node->safe_psql('missed', q{UPDATE person SET nick = '' WHERE id = 11;
	SELECT schemaver.retry(job) FROM schemaver.jobs});
$node->safe_psql('missed', $wait);
is($node->safe_psql('missed', $shape), 't|0', 'a row without a value: mended');

$node->stop;
done_testing();
