# Every kind of drop and replacement under clients of three versions.
#
# Each migration drops a thing of each kind and makes others anew under their
# names.  Clients that were there before go on through three of these, back to
# where they began and forward again, and through the retirement of a version
# older than theirs: no transaction may fail, and each must see what its own
# version is.  In the end the schema is what plain psql makes of the scripts.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scripts;
use Test::More;
use Time::HiRes qw(time);

my $first = 2;    # the oldest with clients
my $newest = 7;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
# no table may outgrow what retire() makes hold again at once
schemaver.inline_pages = 100000
autovacuum_naptime = 1
# 24 clients leave little of a small machine to what waits for their locks
schemaver.lock_retry_for = '3min'
});
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop plain);

# What clients of version $v do: with what goes in version $m, and with what
# is made anew each time
sub uses
{
	my ($v, $m) = @_;

	return qq{
		\\set id random(1, 500)
		BEGIN;
		UPDATE item SET column_$m = 'c' || :id, n = n + 1,
			typed_$m = CASE :id % 2 WHEN 0 THEN 'a' ELSE 'b' END::type_$m
			WHERE id = :id RETURNING ? (stamp_$m = $m);
		INSERT INTO gone_$m (item) VALUES (:id) RETURNING ? (item = :id);
		SELECT ? (count(*) > 0) FROM gone_$m WHERE item = :id;
		SELECT ? (column_$m = 'c' || :id) FROM view_$m WHERE id = :id;
		SELECT ? (typed_$m = CASE :id % 2 WHEN 0 THEN 'a'
			ELSE 'b' END::type_$m) FROM item WHERE id = :id;
		END;
		INSERT INTO item (key_$m) VALUES (1000 + :id)
			ON CONFLICT (key_$m) DO UPDATE SET n = item.n + 1
			RETURNING ? (key_$m = 1000 + :id);
		INSERT INTO item (index_$m) VALUES (1000 + :id)
			ON CONFLICT (index_$m) DO UPDATE SET n = item.n + 1
			RETURNING ? (index_$m = 1000 + :id);
		SELECT ? (m = $m) FROM mat_$m;
		SELECT ? (nextval('sequence_$m') > 0);
		SELECT ? (function_$m(:id) = :id * $m);};
}

sub common
{
	my ($v) = @_;

	return qq{
		\\set id random(1, 500)
		\\set size random(1, 1000000)
		BEGIN;
		UPDATE item SET size = :size, n = n + 1,
			feeling = CASE :size % 2 WHEN 0 THEN 'ok' ELSE 'sad' END::feeling,
			other = 'version $v' WHERE id = :id;
		SELECT * FROM item WHERE id = :id;
		SELECT ? (size = :size AND other = 'version $v'
			AND feeling = CASE :size % 2 WHEN 0 THEN 'ok' ELSE 'sad' END::feeling)
			FROM item WHERE id = :id;
		INSERT INTO log (item, what_$v) VALUES (:id, 'w')
			RETURNING ? (what_$v = 'w');
		END;
		SELECT i.*, count(l.what_$v) FROM item i LEFT JOIN log l ON l.item = i.id
			WHERE i.id = :id GROUP BY i.id;
		SELECT ? (generation = $v) FROM overview WHERE id = :id;
		SELECT ? (generation = $v) FROM total;
		SELECT ? (nextval('ticket') > 0);
		SELECT ? (generation(:id) = :id + $v);
		INSERT INTO item (size) VALUES (:size) RETURNING ? (size = :size
			AND other = 'version $v' AND feeling = 'ok');};
}

my $clients = Clients->new($node, 'shop', 'shop');

sub start_clients
{
	my ($v) = @_;

	$clients->start("$v.0.0",
		{ simple => 2, extended => 2, prepared => 4 },
		(map { common($v) } (1 .. $newest - $v)),
		(map { uses($v, $_) } ($v + 1 .. $newest)));
	return;
}

sub call
{
	my ($sql) = @_;
	my $began = time;
	my $result =
	  $node->safe_psql('shop', "SET client_min_messages = error; SELECT $sql");

	note(sprintf '%.1f s for %s', time - $began, substr $sql, 0, 60);
	return $result;
}

sub apply
{
	my ($m) = @_;

	call('schemaver.apply($script$' . kinds_script($m) . "\$script\$, '$m.0.0')");
	call("schemaver.register('$m.0.0')");
	return;
}

my $base = kinds($newest);
$node->safe_psql('shop', "CREATE EXTENSION schemaver; $base;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0'); SELECT schemaver.register('1.0.0')");

foreach my $m (2 .. 4)
{
	apply($m);
	start_clients($m);
}
apply($_) foreach (5 .. $newest);
call(q{schemaver.rollback('6.0.0')});
call(q{schemaver.rollback('4.0.0')});
apply($_) foreach (5 .. $newest);
is(call(q{schemaver.retire('1.0.0')}), '1', 'an older version is retired');
is($node->safe_psql('shop', 'SELECT sum(instances) FROM schemaver.versions'),
	'24', 'all clients are there through all of it');
$clients->finish;
$clients->quiet;
is($node->safe_psql('shop', q{SELECT * FROM schemaver.verify()
		WHERE finding <> 'constraint relaxed'}), '', 'verify() finds nothing');

# Nothing is left but what the scripts say
call(q{schemaver.retire('6.0.0')});
$node->safe_psql('plain', $base);
$node->safe_psql('plain', kinds_script($_)) foreach (2 .. $newest);
$clients->same_schema('shop', 'plain');
is( $node->safe_psql('shop', q{SELECT count(*) FROM pg_class
		WHERE relnamespace = 'schemaver_retained'::regnamespace}),
	'0', 'nothing is retained');
is($node->safe_psql('shop', q{SELECT * FROM schemaver.verify()}),
	'', 'and verify() finds nothing');

$node->stop;
done_testing();
