# Jobs and what ends them: kill -9 of the worker and a crash of the server in
# every kind, cancelling, full disks, standbys that fall behind.  Whatever it
# was, the job is done in the end, and done from where it was.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
restart_after_crash = on
max_worker_processes = 16
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	SELECT schemaver.create_product('shop');
	CREATE TABLE person (id integer PRIMARY KEY, a integer, b bigint);
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
});
$node->safe_psql('shop',
	q{SELECT schemaver.apply('ALTER TABLE person ADD c int', '1.1.0')});
$node->safe_psql('shop', q{
	-- does not get over a certain row while somebody keeps the gate shut
	CREATE FUNCTION gate(integer) RETURNS integer LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 = 1500 THEN
			PERFORM pg_catalog.pg_advisory_xact_lock_shared(42);
		END IF;
		RETURN $1;
	END $$;
	CREATE FUNCTION full_disk(integer) RETURNS integer LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 = 900 AND pg_catalog.current_setting('application_name')
			<> 'space' THEN
			RAISE 'could not extend file' USING ERRCODE = 'disk_full';
		END IF;
		RETURN $1;
	END $$;
	CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_catalog.pg_sleep(0.003);
		RETURN $1;
	END $$;
	-- what jobs refer to, as it is before any of them
	CREATE PROCEDURE fresh() LANGUAGE plpgsql AS $$
	BEGIN
		DELETE FROM schemaver.db_job;
		DROP TABLE person;
		CREATE TABLE person (id integer PRIMARY KEY, a integer, b bigint)
			WITH (fillfactor = 20);
		INSERT INTO person SELECT i, i, NULL FROM generate_series(1, 3000) i;
	END $$;
});

my $product = $node->safe_psql('shop',
	q{SELECT product_id, id FROM schemaver.db_schema_version
	  WHERE version::text = '1.1.0'});
my ($product_id, $version_id) = split /\|/, $product;

# leave a job; returns its number
sub leave
{
	my ($kind, $name, $definition, $on) = @_;

	return ($on // $node)->safe_psql('shop',
		'INSERT INTO schemaver.db_job (product_id, version_id, kind, schema,'
		  . "relation, name, definition) VALUES ($product_id, $version_id,"
		  . "'$kind', 'public', 'person', '$name', "
		  . (defined $definition ? "'$definition'" : 'NULL')
		  . ') RETURNING id');
}

# any call of a function resumes what nobody does
sub resume
{
	return $node->safe_psql('shop',
		q{SELECT count(*) > 0 FROM schemaver.status()});
}

sub job
{
	my ($job, $what) = @_;

	return $node->safe_psql('shop',
		"SELECT $what FROM schemaver.jobs WHERE job = $job");
}

sub ready
{
	return $node->safe_psql('shop',
		q{SELECT schemaver.wait_until_ready('1.1.0', timeout => '60 s')});
}

# Somebody who reads the table and does not come to an end, at the gate
my $reader;

sub start_reader
{
	$reader = $node->background_psql('shop', on_error_stop => 0);
	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ;
		SELECT pg_advisory_lock(42); SELECT count(*) FROM person');
	return;
}

sub end_reader
{
	my ($crashed) = @_;

	if ($crashed)
	{
		$reader->{run}->kill_kill;
	}
	else
	{
		$reader->query_safe('COMMIT; SELECT pg_advisory_unlock_all()');
		$reader->quit;
	}
	return;
}

# In each kind: how to get it into the middle, and what is to be in the end
my $backfilled = q{SELECT count(*) FROM person WHERE b = a};
my %kinds = (
	backfill => {
		name => 'b',
		definition => 'public.gate(a)',
		middle => 'blocks_done > 30',
		result => $backfilled,
		expected => 3000
	},
	validate => {
		before => q{ALTER TABLE person ADD CONSTRAINT a_check
			CHECK (public.gate(a) > 0) NOT VALID},
		name => 'a_check',
		middle => 'pid IS NOT NULL',
		result => q{SELECT convalidated FROM pg_constraint
			WHERE conname = 'a_check'},
		expected => 't'
	},
	index => {
		name => 'person_a',
		definition => 'CREATE UNIQUE INDEX x ON person (a)',
		middle => q{EXISTS (SELECT FROM pg_class WHERE relname = 'person_a')},
		result => q{SELECT indisvalid FROM pg_index
			WHERE indexrelid = 'person_a'::regclass},
		expected => 't'
	},
	attach => {
		before => 'CREATE UNIQUE INDEX person_a ON person (a)',
		name => 'person_a',
		definition => 'UNIQUE USING INDEX person_a',
		middle => 'pid IS NOT NULL',
		result => q{SELECT contype FROM pg_constraint
			WHERE conname = 'person_a'},
		expected => 'u'
	},
	notnull => {
		name => 'a',
		middle => 'pid IS NOT NULL',
		result => q{SELECT attnotnull, (SELECT count(*) FROM pg_constraint
			WHERE conname LIKE 'schemaver%') FROM pg_attribute
			WHERE attrelid = 'person'::regclass AND attname = 'a'},
		expected => 't|0'
	});

my %ends = (
	'kill -9 of the worker' => sub {
		my $log_end = -s $node->logfile;

		kill 'KILL', $_[0];
		$node->wait_for_log(qr/ready to accept connections/, $log_end);
		return 1;
	},
	'crash of the server' => sub {
		$node->stop('immediate');
		$node->start;
		return 1;
	},
	'pg_terminate_backend()' => sub {
		$node->safe_psql('shop', "SELECT pg_terminate_backend($_[0], 30000)");
		return 0;
	});

foreach my $kind (sort keys %kinds)
{
	my $how = $kinds{$kind};

	foreach my $end (sort keys %ends)
	{
		$node->safe_psql('shop', 'CALL fresh()');
		$node->safe_psql('shop', $how->{before}) if $how->{before};
		start_reader();
		my $job = leave($kind, $how->{name}, $how->{definition});
		resume();
		$node->poll_query_until('shop', "SELECT $how->{middle}
			FROM schemaver.jobs WHERE job = $job")
		  or die "$kind does not get to its middle";
		my $before = time();
		$node->safe_psql('shop', 'SELECT count(*) FROM person');
		cmp_ok(time() - $before, '<', 5,
			"$kind, $end: nobody queues behind it");
		my $crashed = $ends{$end}->(job($job, 'pid'));
		is(job($job, q{state || coalesce(pid::text, '')}),
			'running', "$kind, $end: interrupted");
		end_reader($crashed);
		resume();
		ready();
		is(job($job, 'state, attempts'), 'done|2', "$kind, $end: done");
		is($node->safe_psql('shop', $how->{result}),
			$how->{expected}, "$kind, $end: as it must be");
		cmp_ok(job($job, 'rows'), '<', 3400, "$kind, $end: from where it was")
		  if $kind eq 'backfill';
	}
}

# cancel(), by one who takes his time to commit
$node->safe_psql('shop', 'CALL fresh()');
start_reader();
my $job = leave('backfill', 'b', 'public.gate(a)');
resume();
$node->poll_query_until('shop',
	"SELECT blocks_done > 0 FROM schemaver.jobs WHERE job = $job");
my $session = $node->background_psql('shop');
$session->query_safe("BEGIN; SELECT schemaver.cancel($job)");
ok($node->poll_query_until('shop',
		q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'schemaver jobs' AND wait_event = 'userlock'}),
	'cancel(): the worker waits for what becomes of it');
$session->query_safe('COMMIT');
ok($node->poll_query_until('shop',
		"SELECT pid IS NULL FROM schemaver.jobs WHERE job = $job"),
	'cancel(): and then stops');
is(job($job, 'state, blocks_done < blocks'), 'cancelled|t',
	'cancel(): before the end');
ready();
end_reader(0);
$node->safe_psql('shop', "SELECT schemaver.retry($job)");
ready();
is($node->safe_psql('shop', $backfilled), 3000, 'cancel(): retry() ends it');
cmp_ok(job($job, 'rows'), '<', 3400, 'cancel(): from where it was');

# cancel() of a job that waits for somebody
start_reader();
$job = leave('index', 'person_a', 'CREATE UNIQUE INDEX x ON person (a)');
resume();
$node->poll_query_until('shop',
	q{SELECT count(*) > 0 FROM pg_class WHERE relname = 'person_a'});
$session->query_safe("SELECT schemaver.cancel($job)");
ok($node->poll_query_until('shop',
		"SELECT pid IS NULL FROM schemaver.jobs WHERE job = $job"),
	'cancel(): an index that is being built');
is(job($job, 'state'), 'cancelled', 'cancel(): it is cancelled');
end_reader(0);

# Ctrl-C in the session that runs the jobs
$node->safe_psql('shop', 'CALL fresh()');
start_reader();
$job = leave('backfill', 'b', 'public.gate(a)');
my ($out, $err);
my $run = IPC::Run::start(
	[ 'psql', '-X', '-d', $node->connstr('shop'), '-c',
		'CALL schemaver.run_jobs()' ],
	'>', \$out, '2>', \$err);
$node->poll_query_until('shop',
	"SELECT blocks_done > 30 FROM schemaver.jobs WHERE job = $job");
# once more if the server took it for the end of lock_timeout, which came with it
while ($run->pumpable)
{
	my $pid = job($job, 'pid');

	$node->safe_psql('shop', "SELECT pg_cancel_backend($pid)") if $pid;
	$run->pump_nb;
	usleep(200000);
}
IPC::Run::finish($run);
like($err, qr/ERROR:  canceling statement due to user request/,
	'Ctrl-C: says so');
is(job($job, q{state || coalesce(pid::text, '')}), 'queued',
	'Ctrl-C: leaves the job queued');
end_reader(0);
($out, $err) = ('', '');
$node->psql('shop', 'CALL schemaver.run_jobs()', stderr => \$err);
is(job($job, 'state, attempts'), 'done|2', 'Ctrl-C: another call does it');
cmp_ok(job($job, 'rows'), '<', 3400, 'Ctrl-C: from where it was');

# run_jobs() waits for what a worker does
$node->safe_psql('shop', 'CALL fresh()');
start_reader();
$job = leave('backfill', 'b', 'public.gate(a)');
my $behind = leave('index', 'person_b', 'CREATE UNIQUE INDEX x ON person (b)');
resume();
$node->poll_query_until('shop',
	"SELECT pid IS NOT NULL FROM schemaver.jobs WHERE job = $job");
($out, $err) = ('', '');
$run = IPC::Run::start(
	[ 'psql', '-X', '-d', $node->connstr('shop'), '-c',
		'CALL schemaver.run_jobs()' ],
	'>', \$out, '2>', \$err);
$run->pump while $err !~ /waiting/;
end_reader(0);
IPC::Run::finish($run);
unlike($err, qr/ERROR/, 'run_jobs() waits without a limit');
like($err, qr/NOTICE:  waiting for a worker that does job $job/,
	'run_jobs() waits for a worker');
is(job($behind, 'state'), 'done', 'and for what is behind it');

# A full disk is not a row's fault; events tell of both
$session->query_safe('LISTEN schemaver');
$node->safe_psql('shop', 'CALL fresh()');
$job = leave('backfill', 'b', 'public.full_disk(a)');
resume();
$node->poll_query_until('shop',
	"SELECT state = 'failed' FROM schemaver.jobs WHERE job = $job");
is(job($job, 'error'), 'could not extend file', 'a full disk: no row');
like(scalar $session->query('SELECT 1'),
	qr/"version": "1\.1\.0", "event": "failed"/, 'a full disk: an event');
$node->psql('shop', "SELECT schemaver.register('1.1.0')", stderr => \$err);
like($err, qr/has failed: could not extend file/, 'a full disk: not ready');
$node->safe_psql('shop', q{SET schemaver.job_workers = 0;
	SELECT schemaver.retry(} . $job . ')');
$node->safe_psql('shop', q{SET application_name = 'space';
	CALL schemaver.run_jobs()});
is($node->safe_psql('shop', $backfilled), 3000, 'a full disk: retry()');
like(scalar $session->query('SELECT 1'),
	qr/"version": "1\.1\.0", "event": "ready"/, 'and an event');
is($node->safe_psql('shop', "SELECT schemaver.register('1.1.0')"),
	'1.1.0', 'the version is ready');

# Rows that somebody else has locked are waited for in short turns
$node->safe_psql('shop', 'CALL fresh()');
my $locker = $node->background_psql('shop');
$locker->query_safe('BEGIN; UPDATE person SET a = a WHERE id = 2000');
$job = leave('backfill', 'b', 'a');
resume();
ok($node->poll_query_until('shop',
		"SELECT blocks_done > 0 FROM schemaver.jobs WHERE job = $job"),
	'a locked row: what is before it is done');
$session->query_safe('UPDATE person SET a = a WHERE id < 100');
is(job($job, 'state'), 'running', 'a locked row: waited for');
$locker->query_safe('COMMIT');
ready();
is($node->safe_psql('shop', $backfilled), 3000, 'a locked row: done');
$locker->quit;

# A row that moves to where the backfill has been is found in the end; one
# for which there is no value is not looked for again
$node->safe_psql('shop', 'CALL fresh()');
$node->safe_psql('shop', 'DELETE FROM person WHERE id <= 50; VACUUM person;
	UPDATE person SET a = NULL WHERE id BETWEEN 60 AND 70');
start_reader();
$job = leave('backfill', 'b', 'public.gate(a)');
$node->safe_psql('shop', "UPDATE schemaver.db_job SET condition = 'b IS NULL'");
resume();
$node->poll_query_until('shop',
	"SELECT blocks_done > 30 FROM schemaver.jobs WHERE job = $job");
$node->safe_psql('shop', 'VACUUM person;
	UPDATE person SET id = -id WHERE id > 1500');
end_reader(0);
ready();
is($node->safe_psql('shop',
		'SELECT count(*), max(ctid)::text <> min(ctid)::text FROM person
		WHERE b IS DISTINCT FROM a'),
	'0|', 'a moved row: found');
is(job($job, 'state, rows < 3400'), 'done|t', 'a moved row: and no other');

# What was packed anew has no positions any more
$node->safe_psql('shop', 'CALL fresh()');
start_reader();
$job = leave('backfill', 'b', 'public.gate(a)');
resume();
$node->poll_query_until('shop',
	"SELECT blocks_done > 30 FROM schemaver.jobs WHERE job = $job");
$node->safe_psql('shop', 'SELECT pg_terminate_backend(' . job($job, 'pid')
	  . ', 30000)');
end_reader(0);
$node->safe_psql('shop', 'ALTER TABLE person SET (fillfactor = 100)');
$node->safe_psql('shop', 'VACUUM FULL person');
resume();
ready();
is($node->safe_psql('shop', $backfilled), 3000, 'VACUUM FULL: begins again');

# pg_dump in the middle, and restore
$node->safe_psql('shop', 'CALL fresh()');
$job = leave('backfill', 'b', 'a');
$node->safe_psql('shop', "UPDATE schemaver.db_job SET state = 'running',
	position = 100, leaf = 'public.person', relation_id = 'person'::regclass,
	filenode = pg_relation_filenode('person') WHERE id = $job");
my $dump = $node->backup_dir . '/shop.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('shop') ],
	'dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $dump ],
	'restore');
$node->safe_psql('copy', q{SELECT schemaver.register('1.0.0')});
$node->safe_psql('copy',
	q{SELECT schemaver.wait_until_ready('1.1.0', timeout => '60 s')});
is($node->safe_psql('copy', $backfilled), 3000,
	'a restored job begins at the beginning');

# Who waits for a row of a batch does not wait for the whole of it
$node->safe_psql('shop', 'CALL fresh()');
$node->safe_psql('postgres', 'ALTER DATABASE shop SET schemaver.batch_time = 60000');
$job = leave('backfill', 'b', 'public.slow(a)');
resume();
$node->poll_query_until('shop', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'schemaver jobs' AND wait_event = 'PgSleep'
	AND backend_xid IS NOT NULL});
my $asked = time;
$node->safe_psql('shop', 'UPDATE person SET a = -1 WHERE id = 1');
cmp_ok(time - $asked, '<', 3, 'a batch ends for who waits for its rows');
is(job($job, 'state'), 'running', 'long before it would have ended');
ready();
is($node->safe_psql('shop',
		'SELECT count(*) FROM person WHERE b = a OR (id = 1 AND b = 1)'),
	3000, 'and the others go on behind it');
$node->safe_psql('postgres', 'ALTER DATABASE shop RESET schemaver.batch_time');

# While somebody writes, it rests, for so many times as long as it works, and
# goes through a block by parts
sub beside_writer
{
	my ($work) = @_;
	my $writer = $node->background_psql('shop');

	$node->safe_psql('shop', 'CALL fresh()');
	$writer->query_until(qr/writes/, q{
		\echo writes
		DO $$ BEGIN
			LOOP
				PERFORM pg_current_xact_id();
				COMMIT;
				PERFORM pg_sleep(0.001);
			END LOOP;
		END $$;
	});
	$work->();
	$node->safe_psql('shop', q{SELECT pg_terminate_backend(pid)
		FROM pg_stat_activity WHERE query LIKE 'DO %'});
	$writer->{run}->kill_kill;
	return;
}

sub time_beside_writer
{
	my ($rest) = @_;
	my $job;

	$node->safe_psql('postgres',
		"ALTER DATABASE shop SET schemaver.batch_rest = $rest");
	beside_writer(sub {
		$job = leave('backfill', 'b', 'a');
		resume();
		ready();
	});
	$node->safe_psql('postgres',
		'ALTER DATABASE shop RESET schemaver.batch_rest');
	is($node->safe_psql('shop', $backfilled), 3000, "every row, resting $rest");
	return $node->safe_psql('shop', qq{
		SELECT extract(epoch FROM finished_on - started_on) FROM schemaver.db_job
		WHERE id = $job});
}

my $resting = time_beside_writer(100);
cmp_ok($resting, '>', 3 * time_beside_writer(0),
	'a backfill rests while others write');

# which can be changed while it is at work
beside_writer(sub {
	$node->safe_psql('postgres', 'ALTER SYSTEM SET schemaver.batch_rest = 100');
	$node->reload;
	$job = leave('backfill', 'b', 'a');
	resume();
	$node->poll_query_until('shop',
		"SELECT rows > 0 FROM schemaver.jobs WHERE job = $job");
	$node->safe_psql('postgres', 'ALTER SYSTEM SET schemaver.batch_rest = 0');
	$node->reload;
	ready();
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET schemaver.batch_rest');
	$node->reload;
});
cmp_ok($node->safe_psql('shop', qq{
		SELECT extract(epoch FROM finished_on - started_on) FROM schemaver.db_job
		WHERE id = $job}),
	'<', $resting / 2, 'until it is told otherwise');

beside_writer(sub {
	$job = leave('backfill', 'b', 'a / (a - 1700) * 0 + a');
	resume();
	$node->poll_query_until('shop',
		"SELECT state = 'failed' FROM schemaver.jobs WHERE job = $job");
	is(job($job, 'error'), 'row with (id)=(1700): division by zero',
		'beside a writer: the row that fails');
	$node->safe_psql('shop', qq{
		DELETE FROM person WHERE id = 1700;
		INSERT INTO person VALUES (3001, 3001, NULL);
		SELECT schemaver.retry($job)});
	ready();
});
is($node->safe_psql('shop', $backfilled), 3000, 'and all others');

# A standby that does not keep up
$node->safe_psql('shop', 'CALL fresh()');
$node->append_conf('postgresql.conf', q{
schemaver.max_lag = 0
schemaver.batch_time = 1
wal_level = replica
max_wal_senders = 5
});
$session->quit;
$node->restart;
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$job = leave('backfill', 'b', 'public.gate(a)');
resume();
$node->poll_query_until('shop', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'schemaver jobs' AND wait_event = 'Extension'});
my $there = job($job, 'blocks_done');
$node->safe_psql('shop', 'SELECT pg_sleep(1)');
is(job($job, 'blocks_done'), $there, 'waits for a standby');
isnt(job($job, 'state'), 'done', 'as long as it takes');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
ready();
is($node->safe_psql('shop', $backfilled), 3000, 'and then goes on');

# What a standby says, and its promotion
$job = leave('backfill', 'b', 'a + 1');
$node->safe_psql('shop', 'SELECT 1');
$node->wait_for_catchup($standby);
$standby->psql('shop', q{SELECT schemaver.register('1.1.0')},
	stderr => \$err);
like($err, qr/is not ready/, 'a standby knows what is not ready');
$standby->append_conf('postgresql.conf',
	q{shared_preload_libraries = 'schemaver'});
$standby->restart;
$node->stop;
$standby->promote;
ok($standby->poll_query_until('shop',
		"SELECT state = 'done' FROM schemaver.jobs WHERE job = $job"),
	'preloaded: jobs resume by themselves');
$standby->safe_psql('shop', 'CALL fresh()');
my $keeper = $standby->background_psql('shop', on_error_stop => 0);
$keeper->query_safe('SELECT pg_advisory_lock(42)');
$job = leave('backfill', 'b', 'public.gate(a)', $standby);
$standby->safe_psql('shop', 'SELECT * FROM schemaver.status()');
$standby->poll_query_until('shop',
	"SELECT blocks_done > 0 FROM schemaver.jobs WHERE job = $job");
$standby->stop('immediate');
$keeper->{run}->kill_kill;
$standby->start;
ok($standby->poll_query_until('shop',
		"SELECT state = 'done' FROM schemaver.jobs WHERE job = $job"),
	'preloaded: after a crash too');
is($standby->safe_psql('shop', $backfilled), 3000, 'every row');

$standby->stop;
done_testing();
