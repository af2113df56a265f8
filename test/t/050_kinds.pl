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
use Test::More;
use Time::HiRes qw(time);

my $first = 2;    # the oldest with clients
my $newest = 7;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
autovacuum_naptime = 1
});
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop plain);

# What is there from the beginning.  Things with a number go with the version
# of that number; those without are made anew each time.
sub base
{
	my $sql = q{
		CREATE TYPE mood AS ENUM ('ok', 'sad');
		CREATE TABLE item (
			id		serial PRIMARY KEY,
			n		integer NOT NULL DEFAULT 0,
			mood	mood NOT NULL DEFAULT 'ok',
			size	integer NOT NULL DEFAULT 1 CHECK (size > 0),
			code	integer CONSTRAINT item_code UNIQUE,
			other	text DEFAULT 'version 1');
		CREATE INDEX item_n ON item (n);
		CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			item integer REFERENCES item, what_1 text NOT NULL);
		CREATE VIEW overview AS SELECT id, 1 AS generation FROM item;
		CREATE MATERIALIZED VIEW total AS SELECT 1 AS generation;
		CREATE SEQUENCE ticket MAXVALUE 1000000;
		CREATE FUNCTION generation(integer) RETURNS integer LANGUAGE sql
			AS 'SELECT $1 + 1';
	};
	foreach my $m (2 .. $newest)
	{
		$sql .= qq{
			CREATE TYPE type_$m AS ENUM ('a', 'b');
			ALTER TABLE item ADD column_$m text NOT NULL DEFAULT 'c',
				ADD key_$m integer CONSTRAINT item_key_$m UNIQUE,
				ADD index_$m integer, ADD stamp_$m integer,
				ADD typed_$m type_$m;
			CREATE UNIQUE INDEX item_index_$m ON item (index_$m);
			CREATE INDEX item_plain_$m ON item (column_$m);
			CREATE TABLE gone_$m (id serial PRIMARY KEY,
				item integer NOT NULL REFERENCES item ON DELETE CASCADE);
			CREATE VIEW view_$m AS SELECT id, column_$m FROM item;
			CREATE MATERIALIZED VIEW mat_$m AS SELECT $m AS m;
			CREATE SEQUENCE sequence_$m;
			CREATE FUNCTION function_$m(integer) RETURNS integer
				LANGUAGE sql AS 'SELECT \$1 * $m';
			CREATE FUNCTION trigger_$m() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN NEW.stamp_$m := $m; RETURN NEW; END';
			CREATE TRIGGER trigger_$m BEFORE UPDATE ON item
				FOR EACH ROW EXECUTE FUNCTION trigger_$m();};
	}
	return $sql . q{INSERT INTO item (code) SELECT generate_series(1, 500)};
}

# the migration to version $m
sub script
{
	my ($m) = @_;
	my $type = $m % 2 ? 'bigint' : 'numeric';
	my $labels = join ', ', map { "'m$_'" } (2 .. $m);

	return qq{
		BEGIN;
		DROP TRIGGER trigger_$m ON item;
		DROP FUNCTION trigger_$m(), function_$m(integer);
		DROP VIEW view_$m;
		DROP MATERIALIZED VIEW mat_$m;
		DROP SEQUENCE sequence_$m;
		DROP TABLE gone_$m;
		DROP INDEX item_index_$m, item_plain_$m;
		ALTER TABLE item DROP CONSTRAINT item_key_$m, DROP COLUMN column_$m,
			DROP COLUMN typed_$m;
		DROP TYPE type_$m;

		CREATE TYPE mood_new AS ENUM ('ok', 'sad', $labels);
		ALTER TABLE item ALTER mood DROP DEFAULT;
		ALTER TABLE item ALTER mood TYPE mood_new USING mood::text::mood_new;
		ALTER TYPE mood RENAME TO mood_old;
		ALTER TYPE mood_new RENAME TO mood;
		DROP TYPE mood_old;
		ALTER TABLE item ALTER mood SET DEFAULT 'ok';

		ALTER TABLE item ALTER size TYPE $type;
		ALTER TABLE item DROP COLUMN other;
		ALTER TABLE item ADD COLUMN other text DEFAULT 'version $m';
		ALTER TABLE item DROP CONSTRAINT item_code;
		ALTER TABLE item ADD CONSTRAINT item_code UNIQUE (code, index_$m);
		DROP INDEX item_n;
		CREATE INDEX item_n ON item (n, id) WHERE n > $m;
		DROP TABLE log;
		CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			item integer REFERENCES item, what_$m text NOT NULL);
		DROP VIEW overview;
		CREATE VIEW overview AS SELECT $m AS generation, id FROM item;
		DROP MATERIALIZED VIEW total;
		CREATE MATERIALIZED VIEW total AS SELECT $m AS generation;
		DROP SEQUENCE ticket;
		CREATE SEQUENCE ticket START $m MAXVALUE 1000000;
		CREATE OR REPLACE FUNCTION generation(integer) RETURNS integer
			LANGUAGE sql AS 'SELECT \$1 + $m';
		COMMIT;};
}

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
			mood = CASE :size % 2 WHEN 0 THEN 'ok' ELSE 'sad' END::mood,
			other = 'version $v' WHERE id = :id;
		SELECT * FROM item WHERE id = :id;
		SELECT ? (size = :size AND other = 'version $v'
			AND mood = CASE :size % 2 WHEN 0 THEN 'ok' ELSE 'sad' END::mood)
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
			AND other = 'version $v' AND mood = 'ok');};
}

my $clients = Clients->new($node, 'shop', 'shop');

sub start_clients
{
	my ($v, $seconds) = @_;

	$clients->start("$v.0.0", $seconds,
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

	call('schemaver.apply($script$' . script($m) . "\$script\$, '$m.0.0')");
	call("schemaver.register('$m.0.0')");
	return;
}

my $base = base();
$node->safe_psql('shop', "CREATE EXTENSION schemaver; $base;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0'); SELECT schemaver.register('1.0.0')");

my $seconds = 20;
my $end = time + $seconds;
foreach my $m (2 .. 4)
{
	apply($m);
	start_clients($m, int($end - time) + 1);
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
$node->safe_psql('plain', script($_)) foreach (2 .. $newest);
$clients->same_schema('shop', 'plain');
is( $node->safe_psql('shop', q{SELECT count(*) FROM pg_class
		WHERE relnamespace = 'schemaver_retained'::regnamespace}),
	'0', 'nothing is retained');
is($node->safe_psql('shop', q{SELECT * FROM schemaver.verify()}),
	'', 'and verify() finds nothing');

$node->stop;
done_testing();
