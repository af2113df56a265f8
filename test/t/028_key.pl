# Unique keys of a large table go while the application works: ON CONFLICT of
# the older version goes on, and the newest one may write duplicates as soon as
# it is ready.  Through crashes in the middle of the job, a rollback, and
# pg_dump and restore.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Jobs;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 200000;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
restart_after_crash = on
max_worker_processes = 16
schemaver.inline_pages = 0
deadlock_timeout = 200ms
log_lock_waits = on
});
$node->start;

my $table = q{CREATE TABLE reply (id bigint GENERATED ALWAYS AS IDENTITY
	PRIMARY KEY, recipient int NOT NULL, comment int NOT NULL,
	n int NOT NULL DEFAULT 0, CONSTRAINT reply_key UNIQUE (recipient, comment));
	CREATE UNIQUE INDEX reply_both ON reply ((recipient + comment), n)
		WHERE n > 1000};
my $script = q{ALTER TABLE reply DROP CONSTRAINT reply_key;
	DROP INDEX reply_both};

sub fresh
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, "CREATE EXTENSION schemaver; $table;
		INSERT INTO reply (recipient, comment)
			SELECT i % 1000, i / 1000 FROM generate_series(1, $rows) AS i;
		SELECT schemaver.create_product('shop');
		SELECT schemaver.baseline('1.0.0');
		SELECT schemaver.register('1.0.0')");
	return;
}

sub migrate
{
	my ($database) = @_;

	return $node->safe_psql($database,
		"SELECT schemaver.apply(\$\$$script\$\$, '2.0.0')");
}

sub ready
{
	my ($database) = @_;

	return $node->safe_psql($database,
		q{SELECT schemaver.wait_until_ready('2.0.0', timeout => '120 s')});
}

sub shape
{
	my ($database) = @_;

	return $node->safe_psql($database, q{
		SELECT attname, format_type(atttypid, atttypmod), attnotnull
		FROM pg_attribute WHERE attrelid = 'reply'::regclass AND attnum > 0
			AND NOT attisdropped ORDER BY attnum;
		SELECT indexdef FROM pg_indexes WHERE tablename = 'reply' ORDER BY 1;
		SELECT conname FROM pg_constraint WHERE conrelid = 'reply'::regclass
		ORDER BY 1;
		SELECT tgname FROM pg_trigger WHERE NOT tgisinternal});
}

# what an older version sees of its keys: marked rows are unique among them
sub check
{
	my ($database, $what) = @_;

	is( $node->safe_psql($database, q{
			SELECT recipient, comment FROM reply
			WHERE schemaver_retained_reply_key
			GROUP BY 1, 2 HAVING count(*) > 1;
			SELECT recipient, comment FROM reply GROUP BY 1, 2
			HAVING count(schemaver_retained_reply_key) = 0
				AND count(*) > 1 LIMIT 1}),
		'', "$what: the first rows are marked, and no others");
	is($node->safe_psql($database, 'SELECT schemaver.verify(deep => true)'),
		'', "$what: nothing is found");
	return;
}

$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->safe_psql('plain', "$table; $script");

append_to_file($node->basedir . '/old.sql', q{
\set a random(0, 999)
\set b random(0, 300)
INSERT INTO reply (recipient, comment) VALUES (:a, :b)
	ON CONFLICT (recipient, comment) DO UPDATE SET n = reply.n + 1;
INSERT INTO reply (recipient, comment) VALUES (:b, :a)
	ON CONFLICT ON CONSTRAINT reply_key DO NOTHING;
SELECT n FROM reply WHERE recipient = :a AND comment = :b;
INSERT INTO reply (recipient, comment, n) VALUES (:a, :b, 1000000 + :client_id)
	ON CONFLICT (recipient, comment) DO UPDATE SET n = 0;
});
append_to_file($node->basedir . '/new.sql', q{
\set a random(0, 999)
\set b random(0, 300)
INSERT INTO reply (recipient, comment) VALUES (:a, :b), (:a, :b);
UPDATE reply SET n = n + 1 WHERE recipient = :a AND comment = :b;
});

sub start_clients
{
	my ($version, $file, $seconds, $out, $database) = @_;

	local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
	return IPC::Run::start(
		[
			'pgbench', '-n', '-M', 'prepared', '-c', '4', '-T', $seconds,
			'--max-tries=100', '-f', $node->basedir . "/$file.sql",
			'-h', $node->host, '-p', $node->port, $database // 'busy'
		],
		'>', $out, '2>&1');
}

# clients of one version that meet in a deadlock try again, as ever
fresh('busy');
my ($old_out, $new_out) = ('', '');
my $old = start_clients('1.0.0', 'old', 12, \$old_out);
sleep 2;
my $log_position = -s $node->logfile;
migrate('busy');
ready('busy');
my $new = start_clients('2.0.0', 'new', 4, \$new_out);
$new->finish;
$old->finish;
clients_are_fine($old_out, 'older version');
clients_are_fine($new_out, 'newest version');
nobody_waits($node, $log_position);
check('busy', 'busy');
$node->safe_psql('busy', q{SELECT schemaver.retire('1.0.0')});
is(shape('busy'), shape('plain'), 'as plain psql makes it');

# Crashes while the jobs are at work
fresh('crash');
migrate('crash');
interrupt_jobs($node, 'crash', 4, 100000);
ready('crash');
cmp_ok($node->safe_psql('crash', 'SELECT max(attempts) FROM schemaver.jobs'),
	'>', 1, 'crashes: jobs were interrupted');
check('crash', 'crashes');

# Dump and restore
sub writes
{
	my ($database, $version, $statement) = @_;

	my ($status, $out, $err) = $node->psql($database,
		"SET client_min_messages = error;
		DO \$\$BEGIN PERFORM schemaver.register('$version'); END\$\$; $statement");
	$err =~ s/.*ERROR:  (duplicate key|there is no unique).*/$1/s;
	return $out . $err;
}

# what is said of jobs that fail
sub run_jobs
{
	my ($database) = @_;
	my ($status, $out, $err) =
	  $node->psql($database, "SET client_min_messages = error; CALL schemaver.run_jobs()");

	return $err;
}

my $upsert = 'INSERT INTO reply (recipient, comment) VALUES (7, 7)
	ON CONFLICT (recipient, comment) DO UPDATE SET n = 42
	RETURNING recipient, n';
my $insert = 'INSERT INTO reply (recipient, comment) VALUES (7, 7)
	RETURNING recipient';
my $file = $node->basedir . '/dump';

$node->safe_psql('crash', "SELECT schemaver.register('2.0.0'); $insert");
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, $node->connstr('crash') ],
	'dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $file ],
	'restore');
is(writes('restored', '1.0.0', $upsert), '7|42', 'restored: ON CONFLICT');
is(writes('restored', '1.0.0', $insert), 'duplicate key',
	'restored: a duplicate of the older version');
is(writes('restored', '2.0.0', $insert), '7',
	'restored: a duplicate of the newest version');
check('restored', 'restored');

# Back while the job has yet to begin, and forward again
fresh('back');
$node->safe_psql('postgres', 'ALTER DATABASE back SET schemaver.job_workers = 0');
migrate('back');
is(writes('back', '1.0.0', $upsert), '7|42', 'not ready: ON CONFLICT');
is($node->safe_psql('back', 'SELECT schemaver.verify(deep => true)'),
	'', 'not ready: nothing is found');
$node->safe_psql('back', q{SELECT schemaver.rollback('1.0.0')});
is(writes('back', '1.0.0', $upsert), '7|42', 'back: ON CONFLICT');
is(writes('back', '1.0.0', $insert), 'duplicate key', 'back: a duplicate');
migrate('back');
$node->safe_psql('back', 'CALL schemaver.run_jobs()');
ready('back');
is(writes('back', '2.0.0', $insert), '7', 'forward: a duplicate');
is(writes('back', '1.0.0', $upsert), '7|42', 'forward: ON CONFLICT');
check('back', 'forward');

# What nobody needs loosened any more a job makes unique again; duplicates that
# are there it tells of
$node->safe_psql('back', q{SELECT schemaver.rollback('1.0.0')});
like($node->safe_psql('back', 'SELECT schemaver.verify()'),
	qr/reply_key holds for some versions alone/, 'back again: it is told');
is(writes('back', '1.0.0', $upsert), '7|42', 'back again: ON CONFLICT');
$node->safe_psql('back', q{SELECT schemaver.retire('2.0.0')});
like(run_jobs('back'), qr/Key \(recipient, comment\)=\(7, 7\) is duplicated/,
	'retired: a job tells of the duplicates');
like($node->safe_psql('back', 'SELECT schemaver.verify()'),
	qr/"job failed".*tighten reply_key/, 'retired: it is still told');
$node->safe_psql('back', q{
	DELETE FROM reply WHERE recipient = 7 AND comment = 7;
	SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'failed'});
is(run_jobs('back'), '', 'retired: without them it is done');
is($node->safe_psql('back', 'SELECT schemaver.verify(deep => true)'),
	'', 'retired: nothing is found');
is($node->safe_psql('back', q{SELECT count(*) FROM pg_attribute
	WHERE attrelid = 'reply'::regclass AND attname ~ 'schemaver'}), 0,
	'retired: nothing is left');

# A key that only a newer version has does not hold those who went back
fresh('added');
$node->safe_psql('added', q{
	SELECT schemaver.apply('ALTER TABLE reply ADD CONSTRAINT reply_id UNIQUE (recipient, id);
		ALTER TABLE reply ADD code int UNIQUE; CREATE UNIQUE INDEX reply_n ON reply (n) WHERE n <> 0',
		'2.0.0')});
run_jobs('added');
ready('added');
my $same = q{INSERT INTO reply (recipient, comment, n) VALUES (1, -1, 5)};
is(writes('added', '2.0.0', "$same RETURNING 'written'"),
	'written', 'added: the newest version writes a value');
is(writes('added', '1.0.0', q{INSERT INTO reply (recipient, comment) VALUES (1, -2)
	RETURNING 'written'}), 'written', 'added: the older one another');
like(writes('added', '1.0.0', $same =~ s/-1/-3/r), qr/duplicate key/,
	'added: both are held to the key');
$node->safe_psql('added', q{SELECT schemaver.rollback('1.0.0')});
is(run_jobs('added'), '', 'added, back: jobs');
is(writes('added', '1.0.0', ($same =~ s/-1/-4/r) . q{ RETURNING 'written'}),
	'written', 'added, back: the older version is not held to it');
like(writes('added', '2.0.0', $same =~ s/-1/-5/r), qr/duplicate key/,
	'added, back: the newer one is');
$node->safe_psql('added', q{SELECT schemaver.apply(script, version)
	FROM schemaver.history WHERE version::text = '2.0.0' AND action = 'apply'});
like(run_jobs('added'), qr/is duplicated/, 'added, forward: a job tells of it');
$node->safe_psql('added', q{
	DELETE FROM reply WHERE comment = -4;
	SELECT schemaver.retry(job) FROM schemaver.jobs WHERE state = 'failed'});
is(run_jobs('added'), '', 'added, forward: jobs');
like(writes('added', '1.0.0', $same =~ s/-1/-6/r), qr/duplicate key/,
	'added, forward: both are held to it');
is($node->safe_psql('added', 'SELECT schemaver.verify(deep => true)'),
	'', 'added, forward: nothing is found');

# Clients of both versions that write the same values at the same moment: the
# newest ones are not told of what they are not held to, and of the rows with
# the same values one is marked.  What does not conflict is marked as well.
$node->safe_psql('postgres', 'CREATE DATABASE race');
$node->safe_psql('race', q{CREATE EXTENSION schemaver;
	SET schemaver.inline_pages = 1000;
	CREATE TABLE reply (at bigint CONSTRAINT reply_key UNIQUE);
	CREATE TABLE stay (at int8range, CONSTRAINT stay_key EXCLUDE USING gist (at WITH &&));
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
	SELECT schemaver.unregister();
	SELECT schemaver.apply('ALTER TABLE reply DROP CONSTRAINT reply_key;
		ALTER TABLE stay DROP CONSTRAINT stay_key', '2.0.0')});
my $moment = q{FROM (SELECT (extract(epoch FROM clock_timestamp()) * 10000)::bigint) AS now (t)};
append_to_file($node->basedir . '/race_new.sql',
	"INSERT INTO reply SELECT t $moment;
	INSERT INTO stay SELECT int8range(t, t + 2) $moment;");
append_to_file($node->basedir . '/race_old.sql',
	"INSERT INTO reply SELECT t $moment ON CONFLICT (at) DO NOTHING;
	INSERT INTO stay SELECT int8range(t, t + 2) $moment ON CONFLICT DO NOTHING;");
my ($race_old_out, $race_new_out) = ('', '');
my $race_old = start_clients('1.0.0', 'race_old', 8, \$race_old_out, 'race');
my $race_new = start_clients('2.0.0', 'race_new', 8, \$race_new_out, 'race');
$_->finish for $race_old, $race_new;
clients_are_fine($race_old_out, 'race, older version');
clients_are_fine($race_new_out, 'race, newest version');
is( $node->safe_psql('race', q{
		SELECT count(*) > count(DISTINCT at),
			count(DISTINCT at) - count(schemaver_retained_reply_key) FROM reply;
		SELECT count(*) FROM stay AS a WHERE schemaver_retained_stay_key IS NULL
			AND NOT EXISTS (SELECT FROM stay AS b WHERE a.at && b.at
				AND a.ctid <> b.ctid)}),
	"t|0\n0", 'race: one of each is marked');
is($node->safe_psql('race', q{SELECT count(*) FROM pg_locks
	WHERE locktype = 'userlock'}), 0, 'race: nothing is claimed any more');

# Keys on partitions, exclusion constraints and those that take nulls for equal,
# through crashes in the middle of their jobs
my $kinds = q{CREATE TABLE event (id int, at int, CONSTRAINT event_key UNIQUE (at, id))
		PARTITION BY RANGE (at);
	CREATE TABLE event_0 PARTITION OF event FOR VALUES FROM (0) TO (500);
	CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (500) TO (1000);
	CREATE TABLE stay (at int4range, CONSTRAINT stay_key EXCLUDE USING gist (at WITH &&));
	CREATE TABLE word (a int, b int, CONSTRAINT word_key UNIQUE NULLS NOT DISTINCT (a, b))};
$node->safe_psql('postgres', 'CREATE DATABASE kinds');
$node->safe_psql('kinds', "CREATE EXTENSION schemaver; $kinds;
	INSERT INTO event SELECT i, i % 1000 FROM generate_series(1, 60000) AS i;
	INSERT INTO stay SELECT int4range(i, i + 1) FROM generate_series(1, 20000) AS i;
	INSERT INTO word SELECT i, NULL FROM generate_series(1, 60000) AS i;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0');
	SELECT schemaver.unregister();
	SELECT schemaver.apply('ALTER TABLE event DROP CONSTRAINT event_key;
		ALTER TABLE stay DROP CONSTRAINT stay_key;
		ALTER TABLE word DROP CONSTRAINT word_key', '2.0.0')");
interrupt_jobs($node, 'kinds', 6, 300000);
ready('kinds');
my $twice = q{INSERT INTO event VALUES (1, 1), (600, 600);
	INSERT INTO stay VALUES ('[1,9)'), ('[1,9)');
	INSERT INTO word VALUES (1, NULL), (NULL, NULL), (NULL, NULL)};
is(writes('kinds', '2.0.0', "$twice; SELECT 'written'"),
	'written', 'kinds: the newest version is not held to them');
for my $statement (split /;\s*/, $twice)
{
	like(writes('kinds', '1.0.0', $statement),
		qr/duplicate key|conflicting key/, "kinds: the older one is: $statement");
}
is($node->safe_psql('kinds', 'SELECT schemaver.verify(deep => true)'),
	'', 'kinds: nothing is found');
$node->command_ok(
	[ 'pg_dump', '-Fc', '-f', $node->basedir . '/kinds', $node->connstr('kinds') ],
	'kinds: dump');
$node->safe_psql('postgres', 'CREATE DATABASE kinds_restored');
$node->command_ok(
	[ 'pg_restore', '-d', $node->connstr('kinds_restored'),
		$node->basedir . '/kinds' ],
	'kinds: restore');
is(writes('kinds_restored', '2.0.0', "$twice; SELECT 'written'"),
	'written', 'kinds, restored: the newest version is not held to them');
like(writes('kinds_restored', '1.0.0', q{INSERT INTO stay VALUES ('[1,9)')}),
	qr/conflicting key/, 'kinds, restored: the older one is');

# Who waits for the version may have begun before the job: its statement has a
# snapshot that the index is not valid for, so the job waits for its end
fresh('waiter');
my ($out, $err) = ('', '');
my $waiter = IPC::Run::start(
	[
		'psql', '-XAtq', '-d', $node->connstr('waiter'), '-c',
		q{SELECT pg_sleep(6),
			schemaver.wait_until_ready('2.0.0', timeout => '60 s')} ],
	'>', \$out, '2>', \$err);
$node->poll_query_until('waiter',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
migrate('waiter');
ok($node->poll_query_until('waiter', q{
		SELECT count(*) > 0 FROM pg_locks AS l
			JOIN pg_stat_activity AS a USING (pid)
		WHERE l.locktype = 'virtualxid' AND NOT l.granted
			AND a.backend_type = 'schemaver jobs'}),
	'the job waits for who will wait for it');
ok(IPC::Run::finish($waiter), 'and still both come to an end');
is($err, '', 'without a deadlock');

$node->stop;
done_testing();
