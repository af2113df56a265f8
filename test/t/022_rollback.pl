# Rollback under load, and on bad days: no transaction of either version may
# fail, and what ends in the middle leaves nothing.

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
restart_after_crash = on
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE person (
		id		integer PRIMARY KEY,
		name	text NOT NULL DEFAULT 'n',
		old		text DEFAULT 'o',
		visits	integer NOT NULL DEFAULT 0);
	CREATE TABLE log (
		id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		person	integer REFERENCES person);
	INSERT INTO person (id) SELECT generate_series(1, 200);
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
});

my $two = q{
	ALTER TABLE person RENAME name TO title;
	ALTER TABLE person DROP COLUMN old;
	ALTER TABLE person ADD COLUMN new text DEFAULT 'w';
	DROP TABLE log;
	CREATE TABLE journal (
		id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		person	integer);
};
my $path = $node->basedir;

append_to_file("$path/1.sql", q{\set id random(1, 200)
BEGIN;
UPDATE person SET name = 'n1', old = 'o1', visits = visits + 1 WHERE id = :id;
INSERT INTO log (person) VALUES (:id) RETURNING id;
SELECT * FROM person WHERE id = :id;
END;
});
append_to_file("$path/2.sql", q{\set id random(1, 200)
BEGIN;
UPDATE person SET title = 'n2', new = 'w2', visits = visits + 1 WHERE id = :id;
INSERT INTO journal (person) VALUES (:id) RETURNING id;
SELECT * FROM person WHERE id = :id;
END;
});

sub start_clients
{
	my ($version, $seconds) = @_;
	my %run = (version => $version, out => '', err => '');

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version.0.0";
	$run{handle} = IPC::Run::start(
		[
			'pgbench', '-n', '-c', '8', '-j', '2', '-M', 'prepared',
			'-T', $seconds, '-f', "$path/$version.sql",
			'-h', $node->host, '-p', $node->port, 'shop'
		],
		'>', \$run{out}, '2>', \$run{err});
	return \%run;
}

sub end_clients
{
	my ($run) = @_;

	IPC::Run::finish($run->{handle});
	unlike($run->{err}, qr/ERROR|aborted|FATAL/,
		"no client of $run->{version}.0.0 met an error");
	like($run->{out}, qr/number of failed transactions: 0 /,
		"no transaction of $run->{version}.0.0 failed");
	my ($count) = $run->{out} =~
	  /number of transactions actually processed: (\d+)/;
	return $count // 0;
}

sub apply
{
	return $node->safe_psql('shop', "SELECT schemaver.apply(\$\$$two\$\$, '2.0.0')");
}

# Back and forth under clients of both versions
apply();
my @clients = map { start_clients($_, 15) } (1, 2);
my $end = time + 12;
my $rounds = 0;
while (time < $end)
{
	$node->safe_psql('shop', q{SELECT schemaver.rollback('1.0.0')});
	apply();
	$rounds++;
}
cmp_ok($rounds, '>', 2, "rolled back and went forward $rounds times");
my $done = 0;
$done += end_clients($_) foreach @clients;
is( $node->safe_psql('shop', 'SELECT sum(visits) FROM person'),
	$done, 'every visit was counted');
is( $node->safe_psql('shop', q{
		SELECT (SELECT count(*) FROM journal)
			+ (SELECT count(*) FROM shop_1_0_0.log)}),
	$done, 'and logged');

# Rolled back and retired under the clients of the older version
my $old = start_clients(1, 6);
$node->safe_psql('shop', q{SELECT schemaver.rollback('1.0.0')});
$node->poll_query_until('shop',
	q{SELECT coalesce(sum(instances), 0) = 8 FROM schemaver.versions});
is($node->safe_psql('shop', q{SELECT schemaver.retire('2.0.0')}),
	'1', 'the version that was rolled back is retired');
end_clients($old);
is( $node->safe_psql('shop', q{
		SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'person'::regclass AND attnum > 0
			AND NOT attisdropped}),
	'id name old visits', 'nothing is left of it');

# What ends in the middle of a rollback leaves nothing
my $three = $two . q{-- schemaver: rollback
SELECT pg_sleep(180);
};
$node->safe_psql('shop',
	"SELECT schemaver.apply(\$\$$three\$\$, '3.0.0'); SELECT schemaver.register('3.0.0')");
my $state = q{
	SELECT version, status FROM schemaver.versions;
	SELECT count(*) FROM schemaver.history;
	SELECT relnamespace::regnamespace, relname, relkind, attname
	FROM pg_class c LEFT JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace::regnamespace::text ~ '^(public|shop|schemaver_ret)'
	ORDER BY 1, 2, attnum;
};
my $before = $node->safe_psql('shop', $state);
foreach my $how ('kill -9', 'immediate stop')
{
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[
			'psql', '-X', '-d', $node->connstr('shop'), '-c',
			q{SELECT schemaver.rollback('1.0.0')}
		],
		'>', \$out, '2>', \$err);
	my $query = q{SELECT pid FROM pg_stat_activity
		WHERE query LIKE 'SELECT schemaver.rollback%'
			AND wait_event = 'PgSleep'};

	$node->poll_query_until('shop', "SELECT EXISTS ($query)")
	  or die 'the rollback does not get to its section';
	if ($how eq 'kill -9')
	{
		my $log_end = -s $node->logfile;

		kill 'KILL', $node->safe_psql('shop', $query);
		$node->wait_for_log(qr/ready to accept connections/, $log_end);
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	IPC::Run::finish($run);
	is($node->safe_psql('shop', $state), $before, "$how: nothing is done");
}

# A database that was rolled back survives a dump, and goes forward there
$node->safe_psql('shop', q{
	SELECT schemaver.register('3.0.0');
	INSERT INTO person (id, title, new) VALUES (900, 'nine', 'hundred');
	INSERT INTO journal (person) VALUES (900);
});
my $four = q{ALTER TABLE person DROP COLUMN new;
ALTER TABLE person RENAME title TO label; DROP TABLE journal};
$node->safe_psql('shop', "SELECT schemaver.apply('$four', '4.0.0')");
$node->safe_psql('shop', q{SELECT schemaver.register('4.0.0')});
$node->safe_psql('shop', q{SELECT schemaver.rollback('3.0.0')});
$node->safe_psql('postgres', 'CREATE DATABASE copy');
$node->command_ok(
	[ 'pg_dump', '-f', "$path/dump.sql", $node->connstr('shop') ], 'dump');
$node->command_ok(
	[
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d',
		$node->connstr('copy'), '-f', "$path/dump.sql"
	],
	'restore');
is( $node->safe_psql('copy', "SELECT schemaver.apply('$four', '4.0.0')"),
	'4.0.0', 'forward again in the copy');
foreach my $version (qw(1.0.0 3.0.0 4.0.0))
{
	my %columns = (
		'1.0.0' => '900|nine|o|0',
		'3.0.0' => '900|nine|0|hundred',
		'4.0.0' => '900|nine|0');

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
	is($node->safe_psql('copy', 'SELECT * FROM person WHERE id = 900'),
		$columns{$version}, "$version in the copy");
}
is($node->safe_psql('copy', q{SELECT schemaver.rollback('3.0.0')}),
	'3.0.0', 'and back there');
is( $node->safe_psql('copy', 'SELECT person FROM journal WHERE person = 900'),
	'900', 'with what was put away');

$node->stop;
done_testing();
