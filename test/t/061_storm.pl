# Migrations, rollbacks and retirements in a loop under clients of three
# versions that do not agree on what a row looks like.
#
# Every other version has one name where the others have two, and counts cents
# where they count euros; each has an enum, a column and a table of its own.
# No transaction may fail, each client reads back what it has written, and at
# any moment all versions see the same people: in one snapshot, the checksums
# of what each version sees must agree once it is put in the same words.  What
# was written last stands just as it was written for the version that did it,
# whoever has written other columns of the row since and however often the
# tables have changed.
#
# SCHEMAVER_STORM says for how many seconds, 60 being the whole of it, and
# SCHEMAVER_SEED makes another walk of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;
use Line;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scripts;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{SCHEMAVER_STORM} || 18;
my $phases = int($seconds / 9) || 1;
my $seed = $ENV{SCHEMAVER_SEED} || 4;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf',
	"session_preload_libraries = 'schemaver'");
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop plain);

my $base = people();

# What a version does, by its number and how deep in the line it is.
sub transactions
{
	my ($version, $depth) = @_;
	my $one = $depth % 2 == 0;
	my $columns = $one ? 'full_name' : 'first_name, last_name';
	my $values = $one ? q{'F' || :a || ' L' || :b} : q{'F' || :a, 'L' || :b};
	my $set = $one ? "full_name = $values"
	  : q{first_name = 'F' || :a, last_name = 'L' || :b};
	my $excluded = join ', ', map { "$_ = excluded.$_" } split /, /, $columns;
	my $mood = q{(CASE :a % 2 WHEN 0 THEN 'ok' ELSE 'sad' END)};
	my $draw = q{
		\set id random(1, 300)
		\set a random(1, 1000000)
		\set b random(1, 1000000)
	};
	my $journal = qq{
		SELECT ? (($columns, price, mood) = ($values, :b, $mood\::mood))
			FROM person WHERE id = :id;
		INSERT INTO journal VALUES (:id, :n, '$version',
			'F' || :a || ' L' || :b, :b, $mood);
		END;};

	return (qq{$draw
		BEGIN;
		UPDATE person SET $set, price = :b, mood = $mood\::mood, n = n + 1
			WHERE id = :id RETURNING n \\gset
		$journal},
		qq{$draw
		BEGIN;
		INSERT INTO person (id, $columns, price, mood)
			VALUES (:id, $values, :b, $mood\::mood)
			ON CONFLICT (id) DO UPDATE SET $excluded, n = person.n + 1,
			price = excluded.price, mood = excluded.mood RETURNING n \\gset
		$journal},
		qq{$draw
		BEGIN;
		INSERT INTO person ($columns, price, mood)
			VALUES ($values, :b, $mood\::mood) RETURNING id, n \\gset
		$journal},
		qq{$draw
		UPDATE person SET visits = visits + 1, note_$depth = 'n' || :a
			WHERE id = :id RETURNING ? (note_$depth = 'n' || :a);
		SELECT * FROM person WHERE id = :id;
		BEGIN;
		INSERT INTO extra_$depth (person) VALUES (:id) RETURNING id;
		SELECT ? (count(*) > 0) FROM extra_$depth WHERE person = :id;
		END;
		SELECT p.*, count(e.id) FROM person p
			LEFT JOIN extra_$depth e ON e.person = p.id
			WHERE p.id = :id GROUP BY p.id;});
}

my $clients = Clients->new($node, 'shop', 'shop');
my %calls;

sub call
{
	my ($name, $arguments) = @_;

	# in a long run the table grows beyond what apply() does at once
	$node->safe_psql('shop', "SELECT schemaver.wait_until_ready($arguments)")
	  if $name eq 'register';
	$node->safe_psql('shop', q{SELECT schemaver.wait_until_ready(version)
		FROM schemaver.versions WHERE status = 'current'})
	  if $name eq 'apply';
	my $result = $node->safe_psql('shop', "SET client_min_messages = error;
		SELECT schemaver.$name($arguments)");

	note("$name " . join ' ', $arguments =~ /'(\d+\.0\.0)'/);
	$calls{$name}++;
	return $result;
}

my $line = Line->new(\&people_script, \&call, 3);

sub as_version
{
	my ($depth, $sql) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/" . $line->version($depth);
	return $node->safe_psql('shop', $sql);
}

# All versions see the same, and who wrote last sees just that
my $checked = 0;
my $watcher;

sub check
{
	my $snapshot = $watcher->query_safe(
		'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_export_snapshot()');
	my (%seen, @wrong);

	foreach my $depth ($line->oldest .. $line->depth)
	{
		my $version = $line->version($depth);
		my ($name, $euros) =
		  $depth % 2 == 0
		  ? ('full_name', 'price / 100')
		  : (q{first_name || ' ' || last_name}, 'price');
		my ($sum, $lost) = split /\n/, as_version($depth, qq{
			BEGIN ISOLATION LEVEL REPEATABLE READ;
			SET TRANSACTION SNAPSHOT '$snapshot';
			SELECT count(*) || ' ' || md5(string_agg(concat_ws('|', id,
				$name, $euros, mood, n, visits), ' ' ORDER BY id)) FROM person;
			SELECT coalesce(string_agg(concat_ws('|', p.id, j.*, p.*), ' '), '')
			FROM person p, LATERAL (SELECT * FROM journal WHERE person = p.id
				ORDER BY n DESC LIMIT 1) AS j
			WHERE j.version = '$version' AND (p.n, $name, p.price, p.mood::text)
				IS DISTINCT FROM (j.n, j.name, j.price, j.mood);
			COMMIT;});

		push @{ $seen{$sum} }, $version;
		push @wrong, "$version lost $lost" if defined $lost && $lost ne '';
	}
	$watcher->query_safe('COMMIT');
	$checked++;
	return if keys %seen == 1 && !@wrong;
	push @wrong, map { join(', ', @{ $seen{$_} }) . " saw $_" } sort keys %seen;
	fail('all see the same after step ' . $calls{steps});
	diag($_) foreach @wrong;
	return;
}

$node->safe_psql('shop', "CREATE EXTENSION schemaver; $base;
	SELECT schemaver.create_product('shop');");
$line->begin;
$line->forward;
$line->forward;
$watcher = $node->background_psql('shop');

# one protocol more often than the others, another one in each version
my @protocols = (
	{ simple => 1, extended => 2, prepared => 2 },
	{ simple => 2, extended => 1, prepared => 2 },
	{ simple => 2, extended => 2, prepared => 2 });
my $length = $seconds / $phases;

sub start_clients
{
	my ($depth) = @_;

	$clients->start($line->version($depth), $protocols[ $depth % 3 ],
		transactions($line->version($depth), $depth));
	return;
}

note("seed $seed");
srand($seed);
my $began = time;
start_clients($_) foreach (1 .. 3);
foreach my $phase (1 .. $phases)
{
	while (time < $began + $length * $phase)
	{
		$line->step;
		check() if ++$calls{steps} % 2 == 0;
	}
	last if $phase == $phases;

	# the oldest goes, a new one joins
	my $oldest = $line->version($line->oldest);
	$line->forward while $line->current < $line->oldest + 3;
	$clients->finish($oldest);
	$node->poll_query_until('shop', "SELECT instances = 0
		FROM schemaver.versions WHERE version::text = '$oldest'");
	$line->retire_oldest;
	check();
	start_clients($line->oldest + 2);
}
# those who came last have hardly begun
sleep 2;
$clients->finish;
$clients->quiet;
check();
$watcher->quit;
note(join ', ', map { "$calls{$_} $_" } sort keys %calls);
cmp_ok($checked, '>', 2, "compared what all see $checked times");
is($node->safe_psql('shop', q{SELECT * FROM schemaver.verify()
		WHERE severity = 'error'}), '', 'verify() finds no error');
is($node->safe_psql('shop', q{SELECT schemaver.reconcile()}),
	'0', 'nothing is left to reconcile');

# And then there was one
$line->forward while $line->current < $line->depth;
call('retire', "'" . $line->version($line->depth - 1) . "'");
$node->safe_psql('plain', $base);
$node->safe_psql('plain', people_script($_)) foreach 2 .. $line->depth;
$clients->same_schema('shop', 'plain');

$node->stop;
done_testing();
