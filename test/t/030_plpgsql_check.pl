# Functions that a rename leaves behind, where plpgsql_check is installed: it
# decides what can only be guessed without.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

if ($node->safe_psql('postgres', q{
	SELECT count(*) FROM pg_available_extensions WHERE name = 'plpgsql_check'})
	eq '0')
{
	$node->stop;
	plan skip_all => 'plpgsql_check is not installed';
}

# a schema that must be quoted, and that no search_path leads to
$node->safe_psql('postgres', q{
	CREATE SCHEMA "Check it";
	CREATE EXTENSION plpgsql_check SCHEMA "Check it";
	CREATE EXTENSION schemaver;
	CREATE ROLE author;
	CREATE ROLE deployer;
	GRANT CREATE, USAGE ON SCHEMA public TO author, deployer;
	GRANT USAGE ON SCHEMA schemaver, "Check it" TO author, deployer;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA schemaver TO deployer;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.apply($$
		CREATE TABLE person (id int, last_name text);
		CREATE TABLE pet (id int, last_name text);
		ALTER TABLE person OWNER TO deployer;
	$$);
});

my $rename = 'ALTER TABLE person RENAME last_name TO surname';

# Try a rename with these functions, and undo it all: (exit code, errors).
sub try_with
{
	my ($functions, $script) = @_;
	my $err;

	my $rc = $node->psql('postgres', qq{
		BEGIN;
		SET LOCAL client_min_messages = warning;
		$functions
		SELECT schemaver.apply(\$script\$ } . ($script // $rename)
		  . q{ $script$);
		ROLLBACK;
	}, stderr => \$err, on_error_stop => 1);
	return ($rc, $err);
}

sub accepted
{
	my ($name, @arguments) = @_;
	my ($rc, $err) = try_with(@arguments);

	is($rc, 0, "$name: accepted");
	is($err, '', "$name: without a warning");
}

sub refused
{
	my ($name, $detail, @arguments) = @_;
	my ($rc, $err) = try_with(@arguments);

	isnt($rc, 0, "$name: refused");
	like($err, qr/\QERROR:  \E.* would fail, since the script renames/,
		"$name: error");
	like($err, $detail, "$name: detail");
}

sub warned
{
	my ($name, $detail, @arguments) = @_;
	my ($rc, $err) = try_with(@arguments);

	is($rc, 0, "$name: accepted");
	like($err, qr/WARNING:  functions mention names/, "$name: warning");
	like($err, $detail, "$name: detail");
}

accepted('column of another table', q{
	CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS
		'DECLARE last_name text; BEGIN RETURN (SELECT max(pet.last_name) FROM pet); END';
});
refused('column of the table',
	qr/function public\.f\(\): column p\.last_name does not exist\./, q{
	CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS
		'BEGIN RETURN (SELECT max(p.last_name) FROM person p); END';
});
refused('field of its row', qr/function public\.f\(public\.person\): .*last_name/, q{
	CREATE FUNCTION f(p person) RETURNS text LANGUAGE plpgsql AS
		'BEGIN RETURN p.last_name; END';
});
refused('relation', qr/function public\.f\(\): relation "person" does not/, q{
	CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS
		'BEGIN RETURN (SELECT count(*) FROM person); END';
}, 'ALTER TABLE person RENAME TO people');
accepted('relation found in a search_path of its own', q{
	CREATE SCHEMA own;
	CREATE TABLE own.person (last_name text);
	CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql SET search_path = own AS
		'BEGIN RETURN (SELECT max(last_name) FROM person); END';
});
accepted('what was invalid for another reason', q{
	SET LOCAL check_function_bodies = off;
	CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS
		'DECLARE last_name text; BEGIN RETURN (SELECT x FROM not_yet); END';
});

# trigger functions
my $trigger = q{
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM last_name FROM %s;
		RETURN NULL;
	END $$;
	CREATE TRIGGER t AFTER INSERT ON pet REFERENCING NEW TABLE AS added
	FOR EACH STATEMENT EXECUTE FUNCTION f();
};
accepted('transition table', sprintf($trigger, 'added'));
refused('table read by a trigger function',
	qr/function public\.f\(\): column "last_name" does not exist/,
	sprintf($trigger, 'person'));
warned('trigger function without a trigger',
	qr/function public\.f\(\): last_name$/m, q{
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM last_name FROM pet; RETURN NULL; END';
});

# a branch for each table is sound, but plpgsql_check sees both for each
my $branches = q{
	CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF TG_TABLE_NAME = 'pet' THEN NEW.last_name := ''; END IF;
		RETURN NEW;
	END $$;
	CREATE TRIGGER t BEFORE INSERT ON pet
		FOR EACH ROW EXECUTE FUNCTION f();
	CREATE TRIGGER t BEFORE INSERT ON person
		FOR EACH ROW EXECUTE FUNCTION f();
};
warned('shared trigger function',
	qr/function public\.f\(\): last_name \(called by trigger t on public\.person/,
	$branches);

# The planner evaluates an immutable function: as the owner of the function
# that is planned, not as the caller of apply().
$node->safe_psql('postgres', q{
	CREATE FUNCTION spy() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'planned by %', current_user;
		RETURN 1;
	END $$;
	CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS
		'BEGIN RETURN (SELECT max(last_name) FROM pet WHERE spy() = 1); END';
	ALTER FUNCTION f() OWNER TO author;
	GRANT SELECT ON pet TO author;
});
my $offset = -s $node->logfile;
warned('caller who could not become the owner',
	qr/function public\.f\(\): last_name$/m, 'SET LOCAL ROLE deployer;');
unlike(slurp_file($node->logfile, $offset), qr/planned by/,
	'nothing runs for such a caller');
$offset = -s $node->logfile;
accepted('caller who could', '');
my $log = slurp_file($node->logfile, $offset);
unlike($log, qr/planned by (?!author)/, 'nothing runs as the caller');
like($log, qr/planned by author/, 'what runs does so as the owner');

$node->stop;
done_testing();
