# A disk that is full, and work that is broken off, between a migration and
# the jobs that it leaves.
#
# The table is in a tablespace of its own on a small file system, which is
# there as long as the server that was started with it.  It takes a namespace
# that not every kernel lets everybody make; without one all that needs a full
# disk is skipped.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
my $small = PostgreSQL::Test::Utils::tempdir_short();

# A postgres does not run as root, not even as the root of a namespace: the
# one that mounts is left for another one.
my @namespace = (
	'unshare', '-Urm', 'sh', '-c',
	"mount -t tmpfs -o size=24m,mode=700 tmpfs '$small' || exit 1;
	 user=\$1; group=\$2; shift 2
	 exec unshare -U --map-user=\$user --map-group=\$group \"\$@\"",
	'sh', $<, (split ' ', $()[0]);
my $can_fill = IPC::Run::run([ @namespace, 'touch', "$small/file" ],
	'>', \my $out, '2>', \my $err);

$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
restart_after_crash = on
schemaver.inline_pages = 0
allow_in_place_tablespaces = on
autovacuum = off
});

if ($can_fill)
{
	my $bin = $node->basedir . '/bin';
	my $command = join ' ', map { "'" . s/'/'\\''/gr . "'" } @namespace;
	my ($pg_ctl) = grep { -x $_ } map { "$_/pg_ctl" } split /:/, $ENV{PATH};

	mkdir $bin or die "$bin: $!";
	append_to_file("$bin/pg_ctl", "#!/bin/sh\nexec $command $pg_ctl \"\$@\"\n");
	chmod 0755, "$bin/pg_ctl" or die "$bin/pg_ctl: $!";
	local $ENV{PATH} = "$bin:$ENV{PATH}";
	$node->start;
}
else
{
	$node->start;
}
my $where = $can_fill ? $small : '';
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', "CREATE TABLESPACE small LOCATION '$where'");
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE reading (id integer PRIMARY KEY, value integer NOT NULL,
		what text) TABLESPACE small;
	CREATE SCHEMA other;
	CREATE TABLE other.filler (what text) TABLESPACE small;
	ALTER TABLE other.filler ALTER what SET STORAGE EXTERNAL;
	INSERT INTO reading SELECT i, i % 1000, repeat('x', 200)
	FROM generate_series(1, 25000) AS i;
	-- passes nobody who comes by while the gate is shut
	CREATE FUNCTION gate(integer) RETURNS bigint STABLE LANGUAGE plpgsql AS $$
	BEGIN
		IF $1 = 500 THEN
			PERFORM pg_catalog.pg_advisory_xact_lock_shared(42);
		END IF;
		RETURN $1;
	END $$;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0')});

my $sums = 'SELECT count(*), sum(value), pg_typeof(min(value)) FROM reading';

sub as_version
{
	my ($version, $sql) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
	return $node->safe_psql('shop', $sql);
}

sub is_undone
{
	my ($what) = @_;

	is($node->safe_psql('shop', q{SELECT current_version, (SELECT count(*)
			FROM pg_attribute WHERE attrelid = 'reading'::regclass
				AND attnum > 0 AND NOT attisdropped)
			FROM schemaver.products}),
		'1.0.0|3', "$what: nothing is left");
	return;
}

my $change = 'ALTER TABLE reading ALTER value TYPE bigint';

SKIP:
{
	skip "no file system of one's own: $err", 7 unless $can_fill;

	# within the migration
	$node->safe_psql('shop', q{INSERT INTO other.filler
		SELECT repeat('x', 1000000) FROM generate_series(1, 14)});
	my ($code, undef, $error) = $node->psql('shop',
		"SET schemaver.inline_pages = '1GB';
		SELECT schemaver.apply('$change', '2.0.0')");
	like($error, qr/ERROR:  could not extend file.*No space left on device/,
		'full disk in a migration: says so');
	is_undone('full disk in a migration');

	# in a job
	$node->safe_psql('shop', "SELECT schemaver.apply('$change', '2.0.0')");
	ok($node->poll_query_until('shop',
			q{SELECT count(*) = 1 FROM schemaver.jobs WHERE state = 'failed'}),
		'full disk in a job: it fails');
	like($node->safe_psql('shop', q{SELECT kind || ': ' || error
			FROM schemaver.jobs WHERE state = 'failed'}),
		qr/^backfill: could not extend file/, 'full disk in a job: says why');
	is(as_version('1.0.0', $sums), '25000|12487500|integer',
		'full disk in a job: the older version goes on');
	($code, undef, $error) =
	  $node->psql('shop', q{SELECT schemaver.register('2.0.0')});
	like($error, qr/is not ready/, 'full disk in a job: the newer one must wait');
	$node->safe_psql('shop', 'DROP TABLE other.filler');
	$node->safe_psql('shop', q{SELECT schemaver.retry(job)
		FROM schemaver.jobs WHERE state = 'failed'});
	$node->safe_psql('shop',
		q{SELECT schemaver.wait_until_ready('2.0.0', timeout => '90 s')});
	is(as_version('2.0.0', $sums), '25000|12487500|bigint',
		'full disk in a job: done when there is room');
	$node->safe_psql('shop', q{SELECT schemaver.rollback('1.0.0');
		SELECT schemaver.retire('2.0.0');
		ALTER TABLE reading SET TABLESPACE pg_default});
	$node->safe_psql('shop', 'DROP TABLESPACE small');
}


# Ctrl-C and kill -9 of the worker, kill of the server, a rollback: in the
# middle of the backfill that a script has left
my %ends = (
	'Ctrl-C' => sub {
		$node->safe_psql('shop', "SELECT pg_cancel_backend($_[0])");
	},
	'kill -9' => sub {
		my $log_end = -s $node->logfile;

		kill 'KILL', $_[0];
		$node->wait_for_log(qr/ready to accept connections/, $log_end);
	},
	'immediate stop' => sub {
		$node->stop('immediate');
		$node->start;
	},
	'rollback' => undef);
my $number = 10;

foreach my $how (sort keys %ends)
{
	my $version = $number++ . '.0.0';
	my $gate = $node->background_psql('shop', on_error_stop => 0);

	$gate->query_safe('SELECT pg_advisory_lock(42)');
	$node->safe_psql('shop', qq{SELECT schemaver.apply('
		-- schemaver: up reading.value = gate(value)
		-- schemaver: down reading.value = value::integer
		ALTER TABLE reading ALTER value TYPE bigint USING gate(value)',
		'$version')});
	my $job = q{FROM schemaver.jobs WHERE kind = 'backfill'
		AND version::text = '} . $version . q{'};
	ok($node->poll_query_until('shop', "SELECT pid IS NOT NULL AND EXISTS
			(SELECT FROM pg_locks l WHERE l.pid = jobs.pid AND NOT granted) $job"),
		"$how: in the middle of the backfill");
	is(as_version('1.0.0', 'UPDATE reading SET value = value + 1 WHERE id = 400
			RETURNING value'),
		'401', "$how: the older version writes meanwhile");
	if ($ends{$how})
	{
		$ends{$how}->($node->safe_psql('shop', "SELECT pid $job"));
		$gate->{run}->kill_kill;
		$node->safe_psql('shop', q{SELECT schemaver.retry(job)
			FROM schemaver.jobs WHERE state = 'failed'});
		$node->safe_psql('shop',
			"SELECT schemaver.wait_until_ready('$version', timeout => '90 s')");
		is(as_version($version, $sums), '25000|12487501|bigint',
			"$how: the newer one sees all in the end");
		$node->safe_psql('shop', q{SELECT schemaver.rollback('1.0.0')});
	}
	else
	{
		$node->safe_psql('shop', q{SET schemaver.lock_retry_for = '20s';
			SELECT schemaver.rollback('1.0.0')});
		$gate->{run}->kill_kill;
	}
	is(as_version('1.0.0', $sums), '25000|12487501|integer',
		"$how: the older one sees all after a rollback");
	$node->safe_psql('shop', "SELECT schemaver.retire('$version')")
	  if $node->safe_psql('shop', "SELECT status <> 'retired'
		FROM schemaver.versions WHERE version::text = '$version'") eq 't';
	is_undone($how);
	$node->safe_psql('shop', 'UPDATE reading SET value = 400 WHERE id = 400');
	$node->safe_psql('shop', 'VACUUM FULL reading');
}
is($node->safe_psql('shop', q{SELECT * FROM schemaver.verify()}),
	'', 'verify() finds nothing');

$node->stop;
done_testing();
