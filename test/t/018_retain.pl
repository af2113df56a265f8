# What is dropped stays for those who need it, and goes when nobody does.
#
# Clients of three versions at work through three migrations that drop what
# they use, and through the retirement of the oldest: no transaction may fail.
# In the end the schema is what plain psql makes of the same scripts.  Then
# what a crash, a lock and a dump do to it.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
restart_after_crash = on
});
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop plain);

my $base = q{
	CREATE TABLE account (
		id		serial PRIMARY KEY,
		owner	text NOT NULL,
		kind	text NOT NULL DEFAULT 'private',
		balance	bigint NOT NULL DEFAULT 0 CHECK (balance > -1000000000),
		changes	integer NOT NULL DEFAULT 0);
	CREATE TABLE movement (
		id			bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		account_id	integer NOT NULL REFERENCES account ON DELETE CASCADE,
		delta		integer NOT NULL);
	CREATE TABLE mailing (email text UNIQUE, n integer DEFAULT 1);
	CREATE TABLE visit (
		account_id	integer CONSTRAINT visit_once PRIMARY KEY,
		visits		integer NOT NULL DEFAULT 1);
	CREATE VIEW rich AS SELECT id, owner, kind FROM account WHERE balance > 100;
	CREATE MATERIALIZED VIEW totals AS SELECT sum(balance) AS total FROM account;
	CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		NEW.changes := OLD.changes + 1;
		RETURN NEW;
	END $$;
	CREATE TRIGGER count_change BEFORE UPDATE ON account
		FOR EACH ROW EXECUTE FUNCTION count_change();
	CREATE INDEX account_owner ON account (owner);
	CREATE STATISTICS account_stats ON owner, kind FROM account;
	CREATE TABLE reading (at date, kind text, value int, raw int)
		PARTITION BY RANGE (at);
	CREATE TABLE reading_old PARTITION OF reading
		FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
	CREATE TABLE guarded (id int PRIMARY KEY, who text);
	ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
	CREATE POLICY mine ON guarded USING (who = current_user);
	INSERT INTO account (owner) SELECT 'Owner ' || i
	FROM generate_series(1, 500) AS i;
	INSERT INTO mailing SELECT 'mail' || i FROM generate_series(1, 500, 2) AS i;
};
my @scripts = (
	q{
	DROP VIEW rich;
	DROP TRIGGER count_change ON account;
	DROP FUNCTION count_change();
	ALTER TABLE account DROP COLUMN kind, ADD COLUMN since date DEFAULT '2020-01-01';
	ALTER TABLE reading DROP COLUMN raw;
	CREATE TABLE reading_new (value int, kind text, at date);
	ALTER TABLE reading ATTACH PARTITION reading_new
		FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)},
	q{
	DROP TABLE movement;
	ALTER TABLE mailing DROP CONSTRAINT mailing_email_key;
	ALTER TABLE account DROP COLUMN owner, ADD COLUMN owner int;
	ALTER TABLE guarded DROP COLUMN who CASCADE;
	CREATE TABLE movement (id serial PRIMARY KEY, account int REFERENCES account)},
	q{
	DROP TABLE visit;
	DROP MATERIALIZED VIEW totals;
	DROP TABLE reading;
	CREATE VIEW rich AS SELECT * FROM account;
	CREATE TABLE account_copy (LIKE account INCLUDING ALL)});

$node->safe_psql('shop', "CREATE EXTENSION schemaver; $base;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0')");

# What the application does, by version: what is dropped after it, and what
# has come before it
my %work = (
	look => [ 1, 3, q{
		\set id random(1, 500)
		SELECT * FROM account WHERE id = :id;
		UPDATE account SET balance = balance + 1 WHERE id = :id RETURNING *;} ],
	kind => [ 1, 1, q{
		\set id random(1, 500)
		UPDATE account SET kind = 'k' || :id WHERE id = :id RETURNING changes;
		SELECT * FROM rich WHERE id = :id;
		SELECT a.*, count(*) FROM account a WHERE a.id = :id GROUP BY a.id;} ],
	owner => [ 1, 2, q{
		\set id random(1, 500)
		BEGIN;
		UPDATE account SET owner = 'Owner of ' || :id WHERE id = :id;
		INSERT INTO movement (account_id, delta) VALUES (:id, 1) RETURNING id;
		END;
		INSERT INTO account (owner) VALUES ('New') RETURNING id;
		SELECT a.owner, count(m.delta) FROM account a
			LEFT JOIN movement m ON m.account_id = a.id
		WHERE a.id = :id GROUP BY a.id;
		INSERT INTO mailing VALUES ('mail' || :id)
			ON CONFLICT (email) DO UPDATE SET n = mailing.n + 1;} ],
	number => [ 3, 3, q{
		\set id random(1, 500)
		UPDATE account SET owner = :id WHERE id = :id RETURNING *;
		INSERT INTO movement (account) VALUES (:id) RETURNING id;
		INSERT INTO account (balance, owner) VALUES (1, :id) RETURNING *;
		INSERT INTO mailing VALUES (NULL);} ],
	visit => [ 1, 3, q{
		\set id random(1, 500)
		INSERT INTO visit (account_id) VALUES (:id)
			ON CONFLICT ON CONSTRAINT visit_once
			DO UPDATE SET visits = visit.visits + 1 RETURNING *;
		SELECT * FROM totals;} ]);

my $path = $node->basedir;
my @running;

sub start_clients
{
	my ($version, $seconds) = @_;
	my @files;
	my %clients = (simple => 2, extended => 2, prepared => 4);

	foreach my $part (sort keys %work)
	{
		my ($first, $last, $script) = @{ $work{$part} };
		my $file = "$path/$version-$part.sql";

		next if $version < $first || $version > $last;
		$script =~ s/^\t+//mg;
		$script =~ s/\n(?![\\A-Z])/ /g;
		append_to_file($file, $script);
		push @files, '-f', $file;
	}
	foreach my $protocol (sort keys %clients)
	{
		local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version.0.0";
		local $ENV{PGAPPNAME} = "client of $version";
		local $ENV{PGHOST} = $node->host;
		local $ENV{PGPORT} = $node->port;
		my %run = (what => "$version.0.0, $protocol", version => $version);

		$run{handle} = IPC::Run::start(
			[
				'pgbench', '-n', '-M', $protocol, '-c', $clients{$protocol},
				'-T', $seconds, @files, 'shop' ],
			'>', \$run{out}, '2>', \$run{err});
		push @running, \%run;
	}
	$node->poll_query_until('shop', "SELECT instances = 8
		FROM schemaver.versions WHERE version::text = '$version.0.0'")
	  or BAIL_OUT("the clients of $version.0.0 do not get live");
	return;
}

sub finish_clients
{
	my ($version) = @_;

	foreach my $run (grep { $_->{version} == $version } @running)
	{
		my ($done, $failed);

		ok(IPC::Run::finish($run->{handle}), "$run->{what}: pgbench ends well");
		($done) = $run->{out} =~ /transactions actually processed: (\d+)/;
		($failed) = $run->{out} =~ /number of failed transactions: (\d+)/;
		unlike($run->{err}, qr/error|aborted/i, "$run->{what}: no error");
		cmp_ok($done, '>', 20, "$run->{what}: enough transactions");
		is($failed, '0', "$run->{what}: none failed");
	}
	return;
}

sub apply
{
	my ($db, $number, $script) = @_;

	$script =~ s/'/''/g;
	return $node->safe_psql($db, "SET client_min_messages = error;
		SELECT schemaver.apply('$script', '$number.0.0')");
}

start_clients(1, 8);
apply('shop', 2, $scripts[0]);
start_clients(2, 12);
apply('shop', 3, $scripts[1]);
start_clients(3, 12);
sleep 1;
apply('shop', 4, $scripts[2]);
my ($code, $out, $err) =
  $node->psql('shop', q{SELECT schemaver.retire('1.0.0')});
like($err, qr/instances of it are live.*processes \d+(, \d+){7}/s,
	'nobody is retired who is live, and all are named');
finish_clients(1);
ok( $node->poll_query_until('shop', q{SELECT instances = 0
		FROM schemaver.versions WHERE version::text = '1.0.0'}),
	'the oldest have gone');
$node->safe_psql('shop', q{SELECT schemaver.retire('1.0.0')});
is( $node->safe_psql('shop', q{SELECT sum(instances) FROM schemaver.versions}),
	'16', 'the others are there when it is retired');
finish_clients($_) foreach 2, 3;

my @complaints =
  grep { /client of/ && /(ERROR|FATAL|PANIC|WARNING):/ }
  split /\n/, slurp_file($node->logfile);
is(join("\n", @complaints), '', 'the server has heard no complaint either');

# Nothing is left but what the scripts say
sub dump_of
{
	my ($db) = @_;
	my ($out, $err);

	IPC::Run::run([ 'pg_dump', '-s', '-n', 'public', '-d', $node->connstr($db) ],
		'>', \$out, '2>', \$err)
	  or die $err;

	# apart from the order of columns
	$out =~ s/,$//mg;
	return join "\n", sort grep { !/^(--.*|\\.*|)$/ } split /\n/, $out;
}

$node->safe_psql('plain', $base);
$node->safe_psql('plain', $_) foreach @scripts;
$node->safe_psql('shop', q{SELECT schemaver.retire('3.0.0')});
is(dump_of('shop'), dump_of('plain'),
	'the schema is what plain psql makes of the scripts');
is( $node->safe_psql('shop', q{SELECT count(*) FROM pg_class
		WHERE relnamespace = 'schemaver_retained'::regnamespace}),
	'0', 'nothing is retained');
is($node->safe_psql('shop', q{SELECT schemaver.reconcile()}),
	'0', 'nothing is left to reconcile');

# A crash in the middle leaves nothing
my $state = q{
	SELECT version, status FROM schemaver.versions;
	SELECT count(*) FROM schemaver.history;
	SELECT relnamespace::regnamespace, relname, attname, attnotnull
	FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
	WHERE relnamespace::regnamespace::text ~ '^(public|schemaver_retained|shop)'
	ORDER BY 1, 2, attnum;
	SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
	FROM pg_constraint WHERE conrelid > 16384 ORDER BY 1, 2;
	SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE NOT tgisinternal
	ORDER BY 1, 2;
};

sub start_psql
{
	my ($sql) = @_;
	my %run;

	$run{handle} = IPC::Run::start(
		[ 'psql', '-X', '-At', '-d', $node->connstr('shop'), '-c', $sql ],
		'>', \$run{out}, '2>', \$run{err});
	return \%run;
}

# kill a call once it waits as told; the database must be as it was
sub crash
{
	my ($what, $sql, $event) = @_;
	my $before = $node->safe_psql('shop', $state);
	my $query = q{SELECT min(pid) FROM pg_stat_activity
		WHERE query LIKE '%schemaver.%' AND pid <> pg_backend_pid()
			AND wait_event = '} . $event . q{'};
	my $run = start_psql($sql);
	my $log_end = -s $node->logfile;

	my ($pid, $until) = ('', time + 60);

	# it may not be there for long
	while (($pid = $node->safe_psql('shop', $query)) eq '')
	{
		die "the call does not get to $event" if time > $until;
	}
	kill 'KILL', $pid;
	IPC::Run::finish($run->{handle});
	$node->wait_for_log(qr/ready to accept connections/, $log_end);
	is($node->safe_psql('shop', $state), $before,
		"kill -9 in $what leaves nothing");
	return;
}

my $drops = 'DROP VIEW rich; DROP TABLE movement; DROP TABLE account_copy;
	ALTER TABLE account DROP COLUMN owner, DROP CONSTRAINT account_pkey';
$node->safe_psql('shop', q{SELECT schemaver.register('4.0.0')});
crash('apply', "SELECT schemaver.apply('$drops; SELECT pg_sleep(180)', '5.0.0')",
	'PgSleep');
$node->safe_psql('shop',
	"SET client_min_messages = error; SELECT schemaver.apply('$drops', '5.0.0')");
my $reader = $node->background_psql('shop', on_error_stop => 0);
my $pid = $reader->query_safe('SELECT pg_backend_pid()');
$reader->query_safe('BEGIN; SELECT count(*) FROM schemaver_retained.movement');
crash('retire', q{SELECT schemaver.retire('4.0.0')}, 'Extension');
$reader->{run}->kill_kill;

# Who holds a lock is named, and nobody waits behind
$reader = $node->background_psql('shop', on_error_stop => 0);
$pid = $reader->query_safe('SELECT pg_backend_pid()');
$reader->query_safe('BEGIN; SELECT count(*) FROM schemaver_retained.movement');
my $start = time;
($code, $out, $err) = $node->psql('shop', q{
	SET schemaver.lock_retry_for = '500ms'; SELECT schemaver.retire('4.0.0')});
cmp_ok(time - $start, '<', 10, 'retire() gives up in time');
like($err, qr/could not get its locks/, 'retire() could not get its locks');
like($err, qr/process $pid holds a lock on "movement"/,
	'and says who has them');
$reader->query_safe('COMMIT');
$reader->quit;
my $old;
{
	local $ENV{PGOPTIONS} = '-c schemaver.app=shop/4.0.0';
	$old = $node->background_psql('shop', on_error_stop => 0);
}
$pid = $old->query_safe('BEGIN; SELECT pg_backend_pid()');
like($pid, qr/(\d+)/, 'a session of the version in a transaction');
$pid =~ s/\D//g;
$start = time;
($code, $out, $err) =
  $node->psql('shop', q{SELECT schemaver.retire('4.0.0')});
cmp_ok(time - $start, '<', 10, 'retire() does not wait for it');
like($err, qr/sessions of the processes $pid/, 'and names it');
$old->quit;

# A dump carries what is retained
$node->safe_psql('shop', q{
	SET client_min_messages = error;
	CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN NEW.what := NEW.what || ''!''; RETURN NEW; END';
	SELECT schemaver.apply('CREATE TABLE said (id serial PRIMARY KEY, what text,
		loud text UNIQUE); CREATE TRIGGER shout BEFORE INSERT ON said
		FOR EACH ROW EXECUTE FUNCTION shout();
		CREATE TABLE noted (id int, note text NOT NULL);
		CREATE SEQUENCE counter; CREATE TABLE counted (id int PRIMARY KEY DEFAULT nextval(''counter''))',
		'5.1.0');
	SELECT schemaver.register('5.1.0');
	INSERT INTO said (what, loud) VALUES ('a', 'A');
	SELECT schemaver.unregister();
	SELECT schemaver.apply('DROP TRIGGER shout ON said; DROP FUNCTION shout();
		ALTER TABLE said DROP COLUMN loud; ALTER TABLE noted DROP COLUMN note;
		DROP TABLE counted; DROP SEQUENCE counter',
		'6.0.0')});
$node->safe_psql('postgres', 'CREATE DATABASE restored');
IPC::Run::run([ 'pg_dump', '-d', $node->connstr('shop') ], '|',
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d',
		$node->connstr('restored') ],
	'>', \$out, '2>', \$err);
is($err, '', 'a dump with what is retained can be restored');
foreach my $db ('shop', 'restored')
{
	my %query = (
		'4.0.0' => q{SELECT count(owner) > 0 FROM account;
			SELECT count(*) > 0 FROM movement; SELECT count(*) FROM rich;
			INSERT INTO account (id, owner) VALUES (1, 7)
			ON CONFLICT (id) DO UPDATE SET owner = excluded.owner
			RETURNING owner},
		'5.1.0' => q{INSERT INTO said (what, loud) VALUES ('b', 'B') RETURNING *;
			INSERT INTO said (what, loud) VALUES ('a', 'A') ON CONFLICT (loud)
				DO UPDATE SET what = 'again' RETURNING *;
			INSERT INTO counted VALUES (DEFAULT) RETURNING id;
			SELECT nextval('counter')},
		'6.0.0' => q{INSERT INTO said VALUES (DEFAULT, 'c') RETURNING what});
	my %answer = (
		'4.0.0' => qr/^t\nt\n\d+\n7$/,
		'5.1.0' => qr/^2\|b!\|B\n1\|again\|A\n1\n2$/,
		'6.0.0' => qr/^c$/);

	# the first call mends what dumps leave out
	$node->safe_psql($db, q{SELECT schemaver.reconcile()});
	foreach my $version (sort keys %query)
	{
		local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
		like($node->safe_psql($db, $query{$version}),
			$answer{$version}, "$db: what $version sees");
	}
	my %row = ('5.1.0' => '(1, NULL)', '6.0.0' => '(1)');
	foreach my $version (sort keys %row)
	{
		local $ENV{PGOPTIONS} = "-c schemaver.app=shop/$version";
		my (undef, undef, $error) =
		  $node->psql($db, "INSERT INTO noted VALUES $row{$version}");
		like($error, $version eq '6.0.0' ? qr/^$/ :
			qr/null value in column "note" of relation "noted" violates/,
			"$db: what $version may leave NULL");
	}
	$node->safe_psql($db, q{SELECT schemaver.retire('5.1.0')});
}
is(dump_of('restored'), dump_of('shop'), 'and retired in the copy as well');

$node->stop;
done_testing();
