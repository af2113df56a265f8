# pg_upgrade: versions, views and the guard come through; here to a new
# cluster of the same server version, which takes the same way.

use strict;
use warnings;

use Cwd qw(getcwd);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
my $new = PostgreSQL::Test::Cluster->new('new');
foreach my $node ($old, $new)
{
	$node->init;
	$node->append_conf('postgresql.conf',
		"session_preload_libraries = 'schemaver'");
}
$old->start;
$old->safe_psql('postgres', 'CREATE DATABASE shop');
$old->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE ROLE app LOGIN;
	CREATE TABLE person (
		gone		text,
		id			bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		last_name	text DEFAULT 'Doe' CONSTRAINT person_name UNIQUE);
	ALTER TABLE person DROP COLUMN gone;
	GRANT ALL ON person TO app;
	INSERT INTO person (last_name) VALUES ('Ann');
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
	SELECT schemaver.apply('
		ALTER TABLE person RENAME COLUMN last_name TO surname;
		ALTER TABLE person RENAME CONSTRAINT person_name TO person_key',
		'1.1.0');
	SELECT schemaver.register('1.1.0');
	ALTER DATABASE shop SET schemaver.app = 'shop/1.0.0';
});
my $facts = q{
	SELECT version, status, schemas, registered IS NOT NULL, full_schema
	FROM schemaver.versions ORDER BY version;
	SELECT * FROM schemaver.history ORDER BY id;
};
my $before = $old->safe_psql('shop', $facts);
$old->stop;

my $directory = getcwd();
chdir $new->basedir;
command_ok(
	[
		'pg_upgrade', '--no-sync',
		'-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $old->config_data('--bindir'),
		'-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port ],
	'pg_upgrade')
  or diag(map { slurp_file($_) }
	  glob($new->data_dir . '/pg_upgrade_output.d/*/log/*'));
chdir $directory;
$new->start;

is( $new->safe_psql('shop', q{
		INSERT INTO person (last_name) VALUES ('Ann')
		ON CONFLICT ON CONSTRAINT person_name DO UPDATE SET last_name = 'Bob'
		RETURNING id, last_name;
		INSERT INTO person DEFAULT VALUES RETURNING last_name;}),
	"1|Bob\nDoe", 'the old version, on connect');
is($new->safe_psql('shop', $facts), $before, 'versions and history');
is($new->safe_psql('shop', 'SELECT schemaver.reconcile()'),
	'0', 'nothing to reconcile');
my $session = $new->background_psql('shop');
$new->safe_psql('shop', 'ALTER DATABASE shop RESET schemaver.app');
my ($rc, $out, $err) =
  $new->psql('shop', 'BEGIN; SELECT schemaver.register($$1.1.0$$);
	ALTER TABLE person DROP COLUMN surname');
like($err, qr/would break version/, 'the guard');
is( $new->safe_psql('shop', q{
		SELECT schemaver.apply('ALTER TABLE person RENAME TO human');
		SELECT surname FROM human ORDER BY id}),
	"1.2.0\nBob\nDoe", 'the next migration');
is($session->query_safe('SELECT last_name FROM person ORDER BY id'),
	"Bob\nDoe", 'the old version does not notice');
$session->quit;
is($new->safe_psql('shop', q{
		DROP EXTENSION schemaver;
		SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'shop%'}),
	'0', 'DROP EXTENSION takes the version schemas along');

$new->stop;
done_testing();
