# Indexes and constraints of partitions whose whole has columns of another type,
# dropped ones, or other keys: when the other versions are retired, pg_dump
# tells no difference from what plain psql makes, names included.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
schemaver.job_workers = 0
max_locks_per_transaction = 256
});
$node->start;

# the third with partitions of its own; one whose index the user has named; one
# with a name that leaves no room
my $long = 'm_' . 'x' x 60;
my $tables = qq{
	CREATE TABLE m (id int, at date, v int CHECK (v > 0), w int,
		PRIMARY KEY (id, at), UNIQUE (v, at)) PARTITION BY RANGE (at);
	CREATE INDEX ON m (v);
	CREATE INDEX m_expression ON m ((v + 1), w) WHERE v > 5;
	CREATE TABLE m_1 PARTITION OF m
		FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
	CREATE TABLE m_2 PARTITION OF m
		FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')
		PARTITION BY RANGE (at);
	CREATE TABLE m_2_a PARTITION OF m_2
		FOR VALUES FROM ('2024-02-01') TO ('2024-02-15');
	CREATE TABLE $long PARTITION OF m_2 DEFAULT;
};
my $rows = q{
	INSERT INTO m SELECT g, date '2024-01-01' + g % 50, g, g
	FROM generate_series(1, 500) AS g;
};
my $partition = q{
	CREATE TABLE m_3 PARTITION OF %s
		FOR VALUES FROM ('2024-03-01') TO ('2024-04-01')
		PARTITION BY RANGE (at);
	CREATE TABLE m_3_a PARTITION OF m_3 DEFAULT;
};

sub fresh
{
	my ($database) = @_;

	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	return;
}

# pg_dump's lines, but for the order of columns
sub shape
{
	my ($database) = @_;
	my ($out, $error) = run_command(
		[
			'pg_dump', '-s', '-n', 'public', '-h', $node->host,
			'-p', $node->port, $database
		]);

	die $error if $error;
	return join "\n", sort map { s/,$//r } grep { !/^--|^$|^\\/ }
	  split /\n/, $out;
}

# the lines that two of them do not share
sub difference
{
	my ($got, $expected) = @_;
	my %count;

	$count{$_}++ foreach split /\n/, $got;
	$count{$_}-- foreach split /\n/, $expected;
	return join '',
	  map { ($count{$_} > 0 ? '+' : '-') . "$_\n" }
	  grep { $count{$_} } sort keys %count;
}

sub plain
{
	my ($sql) = @_;

	fresh('plain');
	$node->safe_psql('plain', $sql);
	return shape('plain');
}

# the whole by the name that it has, the newest
sub whole
{
	return $node->safe_psql('shop', q{
		SELECT relname FROM pg_class WHERE relkind = 'p'
			AND NOT relispartition AND relnamespace = 'public'::regnamespace});
}

sub run_jobs
{
	$node->safe_psql('shop', 'CALL schemaver.run_jobs()');
	return;
}

# a way through versions: a letter is what is done next, p makes a partition by
# hand
sub walk
{
	my ($script, $steps) = @_;
	my %do = (
		a => "SELECT schemaver.apply(\$_\$$script\$_\$, '1.1.0')",
		b => q{SELECT schemaver.rollback('1.0.0')},
		r => q{SELECT schemaver.retire('1.0.0')},
		R => q{SELECT schemaver.retire('1.1.0')},
		j => 'CALL schemaver.run_jobs()');

	fresh('shop');
	$node->safe_psql('shop', "$tables $rows CREATE EXTENSION schemaver;
		SELECT schemaver.create_product('shop');
		SELECT schemaver.baseline('1.0.0');
		SELECT schemaver.register('1.0.0')");
	foreach my $step (split //, $steps)
	{
		$node->safe_psql('shop',
			$step eq 'p' ? sprintf($partition, whole()) : $do{$step});
	}
	return;
}

my %scripts = (
	'another name, then other types' =>
	  'ALTER TABLE m RENAME v TO x; ALTER TABLE m ALTER x TYPE bigint;
	   ALTER TABLE m RENAME TO n',
	'other types' => 'ALTER TABLE m ALTER v TYPE bigint;
	   ALTER TABLE m ALTER w TYPE bigint, ALTER id TYPE bigint',
	'a column dropped' => 'ALTER TABLE m DROP v',
);

foreach my $pages (1000, 0)
{
	$node->append_conf('postgresql.conf', "schemaver.inline_pages = $pages");
	$node->reload;
	foreach my $name (sort keys %scripts)
	{
		my $script = $scripts{$name};
		my $how = $pages ? 'at once' : 'by jobs';

		# the partition comes before, or at any time after: always in the name
		# that the whole has
		my $renamed = $script =~ /RENAME TO n/ ? 'n' : 'm';
		my $new = plain("$tables $script");
		my $new_late = plain("$tables $script;" . sprintf $partition, $renamed);
		my $new_early = plain("$tables;" . sprintf($partition, 'm') . $script);
		my $old = plain($tables);
		my $old_late = plain($tables . sprintf $partition, 'm');
		my %ways = (
			ajr => [$new], abR => [$old], ajbabajr => [$new],
			apjr => [$new_late], ajpbR => [$old_late],
			ajbpajr => [$new_late, $new_early]);

		foreach my $steps (sort keys %ways)
		{
			walk($script, $steps);
			run_jobs();
			my $shape = shape('shop');
			my ($least) = sort { length $a <=> length $b }
			  map { difference($shape, $_) } @{ $ways{$steps} };
			is($least, '', "$name, $how: $steps");
		}
	}
}

$node->stop;
done_testing();
