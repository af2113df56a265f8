# Two versions through one pgbouncer: a role for each, whose schemaver.app
# its server connections start with.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" }
  (split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin');
plan skip_all => 'pgbouncer is not installed' unless $pgbouncer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'log_connections = on');
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', q{
	CREATE EXTENSION schemaver;
	ALTER DATABASE shop SET session_preload_libraries = 'schemaver';
	CREATE TABLE person (id integer PRIMARY KEY, last_name text,
		visits integer NOT NULL DEFAULT 0);
	INSERT INTO person SELECT i, 'Name ' || i FROM generate_series(1, 100) i;
	CREATE ROLE old LOGIN;
	CREATE ROLE new LOGIN;
	GRANT ALL ON person TO old, new;
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	ALTER ROLE old IN DATABASE shop SET schemaver.app = 'shop/1.0.0';
});

# One pgbouncer; its pool is smaller than the number of its clients
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $dir = $node->basedir;
my $pid;

sub start_pooler
{
	my ($mode) = @_;
	my $address = $node->host;
	my $server_port = $node->port;

	unlink "$dir/pgbouncer.ini", "$dir/users.txt";
	append_to_file("$dir/users.txt",
		join('', map { qq{"$_" ""\n} } qw(old new postgres)));
	append_to_file("$dir/pgbouncer.ini", qq{
[databases]
shop = host=$address port=$server_port dbname=shop pool_size=2

[pgbouncer]
listen_addr =
unix_socket_dir = $address
listen_port = $port
auth_type = trust
auth_file = $dir/users.txt
admin_users = postgres
logfile = $dir/pgbouncer-$mode.log
pidfile = $dir/pgbouncer.pid
pool_mode = $mode
server_reset_query = DISCARD ALL
max_client_conn = 50
});
	system_or_bail($pgbouncer, '-q', '-d', "$dir/pgbouncer.ini");
	foreach my $i (1 .. 1800)
	{
		last if -s "$dir/pgbouncer.pid" && -S "$address/.s.PGSQL.$port";
		select(undef, undef, undef, 0.1);
	}
	chomp($pid = slurp_file("$dir/pgbouncer.pid"));
	return;
}

sub stop_pooler
{
	kill 'INT', $pid if $pid;
	foreach my $i (1 .. 1800)
	{
		last unless $pid && kill(0, $pid);
		select(undef, undef, undef, 0.1);
	}
	$pid = undef;
	return;
}

END
{
	my $status = $?;

	stop_pooler();
	$? = $status;
}

# Through the pooler as a role: output, with what went wrong behind
sub pooled
{
	my ($role, $sql) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[
			'psql', '-XAtq', '-h', $node->host, '-p', $port,
			'-U', $role, '-d', 'shop', '-v', 'ON_ERROR_STOP=1', '-f', '-' ],
		'<', \$sql, '>', \$out, '2>', \$err);
	chomp $out;
	return $out . $err;
}

my @running;

sub start_clients
{
	my ($role, $column, $protocol) = @_;
	my %run = (what => "$role, $protocol");
	my $file = "$dir/$role.sql";

	unlink $file;
	append_to_file($file, join "\n", '\set id random(1, 100)',
		"SELECT $column FROM person WHERE id = :id;", 'BEGIN;',
		"UPDATE person SET $column = 'Name ' || :id, visits = visits + 1 "
		  . 'WHERE id = :id;',
		"SELECT $column FROM person WHERE id = :id;", 'END;');
	$run{handle} = IPC::Run::start(
		[
			'pgbench', '-n', '-M', $protocol, '-c', '4', '-T', '4',
			'-f', $file, '-h', $node->host, '-p', $port, '-U', $role,
			'shop' ],
		'>', \$run{out}, '2>', \$run{err});
	push @running, \%run;
	return;
}

my $column = 'last_name';
my $visits = 0;

sub rename_column
{
	my $to = $column eq 'last_name' ? 'surname' : 'last_name';

	my $version = $node->safe_psql('shop',
		"SELECT schemaver.apply('ALTER TABLE person RENAME COLUMN "
		  . "$column TO $to', schemaver.next((SELECT current_version "
		  . "FROM schemaver.products), 'minor'))");
	$column = $to;
	return $version;
}

my $version = rename_column();
$node->safe_psql('postgres',
	"ALTER ROLE new IN DATABASE shop SET schemaver.app = 'shop/$version'");

foreach my $mode (qw(session transaction))
{
	my $log_start = -s $node->logfile;

	start_pooler($mode);
	is(pooled('old', 'SHOW search_path; SELECT last_name FROM person '
			  . 'WHERE id = 1'),
		"shop_1_0_0, public, \"\$user\"\nName 1", "$mode: the old version");
	is(pooled('new', 'SELECT surname FROM person WHERE id = 1'),
		'Name 1', "$mode: the new version");

	# a client that leaves its session changed
	foreach my $sql ('DISCARD ALL', 'RESET ALL', 'RESET search_path',
		'SELECT FROM pg_advisory_unlock_all()',
		"BEGIN; SET LOCAL search_path = nowhere; COMMIT")
	{
		is( pooled('old', "$sql; SELECT last_name FROM person WHERE id = 2"),
			'Name 2',
			"$mode: $sql");
	}
	pooled('old', 'SET search_path = nowhere') if $mode eq 'session';
	is(pooled('old', 'SELECT last_name FROM person WHERE id = 3'),
		'Name 3', "$mode: the next client");

	# both at once, while columns are renamed
	@running = ();
	start_clients('old', 'last_name', 'simple');
	start_clients('new', 'surname', 'extended');
	ok( $node->poll_query_until('shop', q{
			SELECT count(*) = 2 FROM schemaver.versions
			WHERE instances > 0}),
		"$mode: both are live");
	rename_column() foreach 1 .. 6;
	is($node->safe_psql('shop', q{
			SELECT count(*) FROM schemaver.versions WHERE instances > 0}),
		'2', "$mode: both still are");
	like( ($node->psql('shop', "ALTER TABLE person DROP COLUMN $column"))[2],
		qr/would break version/, "$mode: the guard sees them");
	foreach my $run (@running)
	{
		my ($done, $failed);

		ok(IPC::Run::finish($run->{handle}), "$mode: $run->{what}: ends well");
		($done) = $run->{out} =~ /transactions actually processed: (\d+)/;
		($failed) = $run->{out} =~ /number of failed transactions: (\d+)/;
		cmp_ok($done, '>', 100, "$mode: $run->{what}: transactions");
		is($failed, '0', "$mode: $run->{what}: none failed");
		unlike($run->{err}, qr/error|aborted/i, "$mode: $run->{what}: no error");
		$visits += $done;
	}
	is($node->safe_psql('shop', 'SELECT sum(visits) FROM person'),
		$visits, "$mode: nothing is lost");

	# the registrations are those of the pooled connections
	cmp_ok( $node->safe_psql('shop',
			'SELECT sum(instances) FROM schemaver.versions'),
		'>=', 2, "$mode: registrations stay with the server connections");
	my $log = substr(slurp_file($node->logfile), $log_start);
	unlike($log, qr/(ERROR|FATAL):(?!.*would break version)/,
		"$mode: no error in the server's log");
	stop_pooler();
	ok( $node->poll_query_until('shop',
			'SELECT sum(instances) = 0 FROM schemaver.versions'),
		"$mode: and go with them");
}

$node->stop;
done_testing();
