# Columns in step, under logical replication and after a restore.
#
# Both databases have had the same migration.  What the publisher has computed
# the subscriber takes as it comes: it does not compute it a second time.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf',
	"session_preload_libraries = 'schemaver'");
$node->start;

my $script = q{-- schemaver: up item.price = price * 100
-- schemaver: down item.price = price / 100
UPDATE item SET price = price * 100;
ALTER TABLE item ALTER name TYPE text, ALTER id TYPE bigint;};

# as($database, $version, $sql): what a session of a version is told
sub as
{
	my ($database, $version, $sql) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
	return $node->safe_psql($database, $sql);
}

foreach my $database (qw(publisher subscriber))
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql(
		$database, qq{
		CREATE EXTENSION schemaver;
		CREATE TABLE item (id int PRIMARY KEY, price int, name varchar(10),
			told text DEFAULT '');
		CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS '
		BEGIN
			NEW.told := NEW.told || NEW.price || '';'';
			RETURN NEW;
		END';
		CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON item
			FOR EACH ROW EXECUTE FUNCTION tell();
		SELECT schemaver.create_product('shop');
		SELECT schemaver.baseline('1.0.0');
		SELECT schemaver.register('1.0.0');
		SELECT schemaver.apply(\$\$$script\$\$, '1.1.0');});
}

$node->safe_psql(
	'publisher', q{
	CREATE PUBLICATION all_of_it FOR ALL TABLES;
	SELECT pg_create_logical_replication_slot('sub', 'pgoutput');});
$node->safe_psql('subscriber', sprintf(q{
	CREATE SUBSCRIPTION sub CONNECTION '%s' PUBLICATION all_of_it
		WITH (create_slot = false, copy_data = false)},
		$node->connstr('publisher') =~ s/'/''/gr));

as('publisher', '1.0.0', q{
	INSERT INTO item (id, price, name) VALUES (1, 10, 'one'), (2, 20, 'two');
	UPDATE item SET price = 11 WHERE id = 1;});
as('publisher', '1.1.0', q{
	INSERT INTO item (id, price, name) VALUES (3, 333, 'three');
	UPDATE item SET price = 2055 WHERE id = 2;
	DELETE FROM item WHERE id = 1;});
$node->wait_for_catchup('sub');

my $rows = 'SELECT id, price, name, told FROM item ORDER BY id';
my $old_rows = "2|20|two|2000;2055;\n3|3|three|333;";
my $new_rows = "2|2055|two|2000;2055;\n3|333|three|333;";
foreach my $database (qw(publisher subscriber))
{
	is(as($database, '1.0.0', $rows),
		$old_rows, "$database, as the older version sees it");
	is(as($database, '1.1.0', $rows),
		$new_rows, "$database, as the newest version sees it");
}

# a restore takes the rows as they are, too, and goes on keeping them in step
my $dump = $PostgreSQL::Test::Utils::tmp_check . '/publisher.sql';
$node->command_ok([ 'pg_dump', '--no-publications', '-f', $dump, 'publisher' ],
	'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'restored' ],
	'restore');
is(as('restored', '1.0.0', $rows), $old_rows, 'restored: the older version');
is(as('restored', '1.1.0', $rows), $new_rows, 'restored: the newest version');
as('restored', '1.0.0', 'UPDATE item SET price = 5 WHERE id = 2');
is(as('restored', '1.1.0', 'SELECT price, told FROM item WHERE id = 2'),
	'500|2000;2055;500;', 'an update after the restore is computed');
is($node->safe_psql('restored',
		'SELECT object, finding FROM schemaver.verify()'),
	'', 'verify() finds nothing');

$node->stop;
done_testing();
