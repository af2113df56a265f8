# What a rollback leaves to jobs: constraints of large tables are validated and
# plain indexes built again, while the version is ready all the same.

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
});
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE good (id integer PRIMARY KEY, price integer
		CONSTRAINT good_price CHECK (price > 0), name text);
	CREATE TABLE bad (id integer PRIMARY KEY, price integer
		CONSTRAINT bad_price CHECK (price > 0));
	CREATE INDEX good_name ON good (lower(name));
	INSERT INTO good SELECT i, i, i FROM generate_series(1, 5000) AS i;
	INSERT INTO bad SELECT i, i FROM generate_series(1, 5000) AS i;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
});
my $two = q{
	-- schemaver: down bad.price = -1
	ALTER TABLE good DROP price;
	ALTER TABLE good RENAME name TO title;
	DROP INDEX good_name;
	ALTER TABLE bad DROP price;
};
my $small = 'SET schemaver.inline_pages = 1;';
my $jobs = q{SELECT kind, target, state FROM schemaver.jobs
	WHERE version::text = '1.0.0'
		AND job > coalesce(current_setting('test.since', true), '0')::integer
	ORDER BY kind, target};

$node->safe_psql('shop', qq{
	SELECT schemaver.apply(\$\$$two\$\$, '2.0.0');
	SELECT schemaver.register('2.0.0');
});

# nobody works on them: they rest where they are, and hold nobody up
$node->safe_psql('shop', "$small SELECT schemaver.rollback('1.0.0')");
is($node->safe_psql('shop', $jobs),
	"index|good_name|queued\nvalidate|bad_price|queued\n"
	. "validate|good_price|queued",
	'what is left to do');
foreach my $version (qw(1.0.0 2.0.0))
{
	is($node->safe_psql('shop', "SELECT schemaver.register('$version')"),
		$version, "$version is ready");
}
# forward again, nobody needs them
$node->safe_psql('shop', "SELECT schemaver.apply(\$\$$two\$\$, '2.0.0')");
is($node->safe_psql('shop', $jobs),
	"index|good_name|cancelled\nvalidate|bad_price|cancelled\n"
	. "validate|good_price|cancelled",
	'forward again they are cancelled');

# back once more, with rows that one of the constraints does not allow
$node->append_conf('postgresql.conf', 'schemaver.job_workers = 2');
$node->reload;
my $since = $node->safe_psql('shop', 'SELECT max(job) FROM schemaver.jobs');
$node->safe_psql('shop', q{
	SELECT schemaver.register('2.0.0');
	INSERT INTO bad VALUES (0)});
$node->safe_psql('shop', "$small SELECT schemaver.rollback('1.0.0')");
$jobs = "SET test.since = $since; $jobs";
$node->poll_query_until('shop', qq{SELECT count(*) = 3 FROM schemaver.jobs
	WHERE job > $since AND state IN ('done', 'failed')}) or die 'timed out';
is($node->safe_psql('shop', $jobs),
	"index|good_name|done\nvalidate|bad_price|failed\n"
	. "validate|good_price|done",
	'jobs are done, but for the one that cannot be');
is($node->safe_psql('shop', q{
	SELECT conname, convalidated FROM pg_constraint
	WHERE contype = 'c' AND conname LIKE '%price' ORDER BY 1}),
	"bad_price|f\ngood_price|t", 'constraints');
is($node->safe_psql('shop', q{
	SELECT pg_get_indexdef('good_name'::regclass), indisvalid
	FROM pg_index WHERE indexrelid = 'good_name'::regclass}),
	'CREATE INDEX good_name ON public.good USING btree (lower(name))|t',
	'index');
is($node->safe_psql('shop', 'SELECT finding FROM schemaver.verify()'),
	'job failed', 'verify() tells');
is($node->safe_psql('shop', "SELECT schemaver.register('1.0.0')"),
	'1.0.0', 'the version is ready all the same');

# nor does it hold up what a later migration leaves to jobs
$node->safe_psql('shop', qq{
	DELETE FROM bad WHERE price < 0;
	$small SELECT schemaver.apply('ALTER TABLE bad ADD CHECK (id >= 0)',
		'3.0.0');
	SELECT schemaver.wait_until_ready('3.0.0');
});
is($node->safe_psql('shop',
		q{SELECT convalidated FROM pg_constraint WHERE conname = 'bad_id_check'}),
	't', 'a later job of that table is done');
$node->safe_psql('shop', "SELECT schemaver.retry($since + id)
	FROM generate_series(1, 3) AS id WHERE EXISTS (SELECT FROM schemaver.jobs
		WHERE job = $since + id AND state = 'failed')");
ok($node->poll_query_until('shop', q{SELECT convalidated FROM pg_constraint
	WHERE conname = 'bad_price'}), 'the failed one can be tried again');

# Nobody has worked on them when it goes on to a version that has them, too
$node->append_conf('postgresql.conf', 'schemaver.job_workers = 0');
$node->reload;
$node->safe_psql('postgres', 'CREATE DATABASE steps');
$node->safe_psql('steps', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE good (id integer PRIMARY KEY, price integer
		CONSTRAINT good_price CHECK (price > 0), name text);
	CREATE INDEX good_name ON good (lower(name));
	INSERT INTO good SELECT i, i, i FROM generate_series(1, 5000) AS i;
	SELECT schemaver.create_product('steps');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
	SELECT schemaver.apply('ALTER TABLE good RENAME name TO title', '2.0.0');
	SELECT schemaver.register('2.0.0');
	SELECT schemaver.apply('ALTER TABLE good RENAME title TO label', '3.0.0');
	SELECT schemaver.register('3.0.0');
	SELECT schemaver.apply('ALTER TABLE good DROP price; DROP INDEX good_name',
		'4.0.0');
	SELECT schemaver.register('4.0.0');
});
$jobs = q{SELECT version, kind, target FROM schemaver.jobs
	WHERE state = 'queued' ORDER BY version, kind};
$node->safe_psql('steps', "$small SELECT schemaver.rollback('2.0.0')");
is($node->safe_psql('steps', $jobs),
	"2.0.0|index|good_name\n2.0.0|validate|good_price", 'two back');
$node->safe_psql('steps', "$small SELECT schemaver.rollback('1.0.0')");
is($node->safe_psql('steps', $jobs),
	"1.0.0|index|good_name\n1.0.0|validate|good_price", 'three back');
$node->safe_psql('steps', "$small SELECT schemaver.apply(
	'ALTER TABLE good RENAME name TO title', '2.0.0')");
is($node->safe_psql('steps', $jobs),
	"2.0.0|index|good_name\n2.0.0|validate|good_price", 'one forward');
is($node->safe_psql('steps', "SELECT schemaver.register('2.0.0')"),
	'2.0.0', 'which is ready');
$node->safe_psql('steps', 'CALL schemaver.run_jobs()');
is($node->safe_psql('steps', q{
	SELECT pg_get_indexdef('good_name'::regclass), convalidated
	FROM pg_constraint WHERE conname = 'good_price'}),
	'CREATE INDEX good_name ON public.good USING btree (lower(title))|t',
	'they are done under the names of that version');

$node->stop;
done_testing();
