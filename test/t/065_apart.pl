# What was put away stands in nobody's way: two migrations in a row, of which
# the first drops something and the second what that was made of, as plain
# PostgreSQL lets them.  Forward, back to the first version, forward again, and
# without the older versions at last, when all is as plain psql makes it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Clients;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'fsync = off');
$node->start;

my $base = q{
	CREATE TABLE t (id int PRIMARY KEY, a int, b text, c numeric);
	CREATE TYPE mood AS ENUM ('x', 'y');
	CREATE TYPE comp AS (p int, q text);
	CREATE DOMAIN dom AS int CHECK (VALUE > 0);
	CREATE SEQUENCE sq;
	CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
	CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
	INSERT INTO t VALUES (1, 1, 'x', 1);
};

# what there is, the script that drops it, and those that may come next
my @cases = (
	[ 'CREATE VIEW v AS SELECT id, f(a) AS fa, b FROM t', 'DROP VIEW v',
		'ALTER TABLE t DROP a', 'ALTER TABLE t DROP b', 'DROP TABLE t',
		'DROP FUNCTION f(int)', 'ALTER TABLE t ALTER b TYPE varchar(10)',
		'ALTER TABLE t ALTER a TYPE bigint' ],
	[ 'CREATE VIEW v AS SELECT id, b, count(*) FROM t GROUP BY id',
		'DROP VIEW v', 'ALTER TABLE t DROP CONSTRAINT t_pkey',
		'ALTER TABLE t DROP id' ],
	[ 'CREATE MATERIALIZED VIEW v AS SELECT id, f(a) AS fa FROM t',
		'DROP MATERIALIZED VIEW v', 'ALTER TABLE t DROP a', 'DROP TABLE t',
		'DROP FUNCTION f(int)', 'ALTER TABLE t ALTER a TYPE bigint' ],
	[ 'CREATE VIEW v0 AS SELECT id, a FROM t; CREATE VIEW v AS SELECT * FROM v0',
		'DROP VIEW v', 'DROP VIEW v0',
		'CREATE OR REPLACE VIEW v0 AS SELECT id, a, b FROM t',
		'ALTER TABLE t RENAME a TO aa' ],
	[ 'CREATE FUNCTION g() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM t WHERE a > f(1); END',
		'DROP FUNCTION g()', 'ALTER TABLE t DROP a', 'DROP TABLE t',
		'DROP FUNCTION f(int)', 'ALTER TABLE t ALTER a TYPE bigint' ],
	[ 'CREATE PROCEDURE pr() BEGIN ATOMIC INSERT INTO t (id, a) VALUES (f(9), 1); END',
		'DROP PROCEDURE pr()', 'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a',
		'DROP TABLE t' ],
	[ q{CREATE FUNCTION g(t) RETURNS int LANGUAGE sql AS 'SELECT 1'},
		'DROP FUNCTION g(t)', 'DROP TABLE t' ],
	[ q{CREATE FUNCTION g(mood) RETURNS int LANGUAGE sql AS 'SELECT 1'},
		'DROP FUNCTION g(mood)', 'DROP TYPE mood' ],
	[ 'CREATE TRIGGER bt BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr()',
		'DROP TRIGGER bt ON t', 'DROP FUNCTION tr()', 'DROP TABLE t' ],
	[ 'CREATE TRIGGER bt BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (NEW.b IS NOT NULL) EXECUTE FUNCTION tr()',
		'DROP TRIGGER bt ON t', 'ALTER TABLE t DROP a', 'ALTER TABLE t DROP b',
		'ALTER TABLE t ALTER b TYPE varchar(20)' ],
	[ 'ALTER TABLE t ADD d int DEFAULT f(2)', 'ALTER TABLE t DROP d',
		'DROP FUNCTION f(int)' ],
	[ q{ALTER TABLE t ADD d int DEFAULT nextval('sq')}, 'ALTER TABLE t DROP d',
		'DROP SEQUENCE sq' ],
	[ 'ALTER TABLE t ADD d int GENERATED ALWAYS AS (f(a)) STORED',
		'ALTER TABLE t DROP d', 'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a',
		'ALTER TABLE t ALTER a TYPE bigint' ],
	[ 'ALTER TABLE t ADD d int, ADD CONSTRAINT ck CHECK (d > f(a))',
		'ALTER TABLE t DROP d', 'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a' ],
	[ 'ALTER TABLE t ADD CONSTRAINT ck CHECK (a > f(0) - 5)',
		'ALTER TABLE t DROP CONSTRAINT ck', 'DROP FUNCTION f(int)',
		'ALTER TABLE t DROP a', 'ALTER TABLE t ALTER a TYPE bigint' ],
	[ 'CREATE UNIQUE INDEX ix ON t (f(a))', 'DROP INDEX ix',
		'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a' ],
	[ 'CREATE INDEX ix ON t (b) WHERE f(a) > 1', 'DROP INDEX ix',
		'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a' ],
	[ 'ALTER TABLE t ADD CONSTRAINT ex EXCLUDE (a WITH =) WHERE (f(a) > 1)',
		'ALTER TABLE t DROP CONSTRAINT ex', 'DROP FUNCTION f(int)',
		'ALTER TABLE t DROP a', 'DROP TABLE t' ],
	[ 'ALTER TABLE t ADD d dom', 'ALTER TABLE t DROP d', 'DROP DOMAIN dom' ],
	[ q{ALTER TABLE t ADD d mood DEFAULT 'x'}, 'ALTER TABLE t DROP d',
		'DROP TYPE mood', q{ALTER TYPE mood RENAME VALUE 'x' TO 'z'},
		'ALTER TYPE mood RENAME TO mood2' ],
	[ q{CREATE TABLE u (id int, d mood DEFAULT 'x', e mood[])}, 'DROP TABLE u',
		'DROP TYPE mood', q{ALTER TYPE mood RENAME VALUE 'x' TO 'z'} ],
	[ q{CREATE TABLE u (id int, d mood) PARTITION BY LIST (d);
		CREATE TABLE u1 PARTITION OF u FOR VALUES IN ('x')}, 'DROP TABLE u',
		'DROP TYPE mood' ],
	[ 'ALTER TABLE t ADD d comp', 'ALTER TABLE t DROP d', 'DROP TYPE comp' ],
	[ 'CREATE TABLE u OF comp', 'DROP TABLE u', 'DROP TYPE comp' ],
	[ 'CREATE TABLE u (z int) INHERITS (t)', 'DROP TABLE u', 'DROP TABLE t',
		'ALTER TABLE t DROP a', 'ALTER TABLE t ALTER a TYPE bigint',
		'ALTER TABLE t RENAME a TO aa' ],
	[ 'ALTER TABLE t ADD p int REFERENCES t', 'ALTER TABLE t DROP p',
		'ALTER TABLE t DROP CONSTRAINT t_pkey', 'ALTER TABLE t DROP id',
		'ALTER TABLE t ALTER id TYPE bigint', 'DROP TABLE t' ],
	[ 'CREATE TABLE u (id int, p int REFERENCES t ON DELETE CASCADE)',
		'ALTER TABLE u DROP p', 'ALTER TABLE t DROP CONSTRAINT t_pkey',
		'ALTER TABLE t DROP id', 'ALTER TABLE t ALTER id TYPE bigint',
		'DROP TABLE t' ],
	[ 'CREATE TABLE u (id int, p int REFERENCES t ON DELETE CASCADE)',
		'DROP TABLE u', 'ALTER TABLE t DROP CONSTRAINT t_pkey',
		'ALTER TABLE t DROP id', 'ALTER TABLE t ALTER id TYPE bigint',
		'DROP TABLE t' ],
	[ 'CREATE TABLE u (id int, p int REFERENCES t)', 'DROP TABLE u',
		'ALTER TABLE t DROP CONSTRAINT t_pkey', 'DROP TABLE t' ],
	[ 'ALTER TABLE t ADD d int; CREATE POLICY po ON t USING (f(a) > 0)',
		'DROP POLICY po ON t', 'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a' ],
	[ 'CREATE RULE ru AS ON DELETE TO t WHERE f(OLD.a) > 100 DO INSTEAD NOTHING',
		'DROP RULE ru ON t', 'DROP FUNCTION f(int)', 'ALTER TABLE t DROP a' ],
	[ 'CREATE STATISTICS st ON a, b FROM t', 'DROP STATISTICS st',
		'ALTER TABLE t DROP a', 'ALTER TABLE t ALTER a TYPE bigint' ],
	[ q{CREATE FUNCTION sf(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 + $2';
		CREATE AGGREGATE ag(int) (sfunc = sf, stype = int)}, 'DROP AGGREGATE ag(int)',
		'DROP FUNCTION sf(int, int)' ],
	[ 'CREATE DOMAIN d2 AS dom', 'DROP DOMAIN d2', 'DROP DOMAIN dom' ],
	[ 'CREATE DOMAIN d3 AS int CHECK (f(VALUE) > 0)', 'DROP DOMAIN d3',
		'DROP FUNCTION f(int)' ],
	[ 'CREATE SEQUENCE so OWNED BY t.a', 'DROP SEQUENCE so',
		'ALTER TABLE t DROP a', 'DROP TABLE t' ],
	[ 'ALTER TABLE t ADD d int GENERATED ALWAYS AS IDENTITY',
		'ALTER TABLE t DROP d', 'DROP TABLE t', 'ALTER TABLE t DROP a' ],
);

sub fresh
{
	my ($database, $setup) = @_;

	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database WITH (FORCE)");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "$base; $setup");
	return;
}

# what of these goes wrong, and what is found after them
sub complaints
{
	my @statements = @_;
	my $found = q{SELECT (v).detail FROM schemaver.verify() AS v WHERE (v).severity = 'error'};
	my ($status, $out, $err) = $node->psql('apart',
		join(";\n", 'SET client_min_messages = error',
			map { ("DO \$do\$BEGIN PERFORM $_; END\$do\$", $found) } @statements));

	return $out . $err;
}

sub apply
{
	my ($script, $version) = @_;

	return "schemaver.apply(\$q\$$script\$q\$, '$version')";
}

my $clients = Clients->new($node, 'apart', 'apart');

foreach my $case (@cases)
{
	my ($setup, $drop, @next) = @$case;

	foreach my $script (@next)
	{
		my @forward = (apply($drop, '2.0.0'), apply($script, '3.0.0'));

		fresh('plain', "$setup; $drop; $script");
		fresh('apart', "$setup; CREATE EXTENSION schemaver");
		is( complaints(
				q{schemaver.baseline('1.0.0')}, q{schemaver.register('1.0.0')},
				q{schemaver.unregister()}, $forward[0],
				q{schemaver.register('2.0.0')}, q{schemaver.unregister()},
				$forward[1], q{schemaver.rollback('1.0.0')}, @forward),
			'', "$drop, $script");
		is(complaints(q{schemaver.retire('2.0.0')}), '', 'retired');
		$clients->same_schema('apart', 'plain');
	}
}

$node->stop;
done_testing();
