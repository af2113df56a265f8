# kill -9 at any moment, and Ctrl-C: of the server, and of the backend, in the
# middle of apply(), rollback() and retire(), or of the jobs that they leave.
#
# Two databases go the same way, and one of them is undisturbed.  What the
# other has after that must be what it had before the call, or what the
# undisturbed one has after it, to the last object and value; and if the call
# has come to nothing, it works when it is made again.
#
# SCHEMAVER_KILLS says for how many seconds, SCHEMAVER_SEED makes another walk.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Line;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scripts;
use Test::More;
use Time::HiRes qw(time sleep);

my $seconds = $ENV{SCHEMAVER_KILLS} || 25;
my $deepest = 12;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;

# jobs are left of tables of any size, and crashes lose what was not flushed
$node->append_conf('postgresql.conf', q{
session_preload_libraries = 'schemaver'
restart_after_crash = on
schemaver.inline_pages = 0
log_statement = none
});
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(shop twin);

my $base = people() . ';' . kinds($deepest);

foreach my $database (qw(shop twin))
{
	$node->safe_psql($database, "CREATE EXTENSION schemaver; $base;
		SELECT schemaver.create_product('shop')");
}

sub script
{
	my ($depth) = @_;

	# a transaction for both, and more than one line of directives
	return people_script($depth)
	  . kinds_script($depth) =~ s/^\s*(BEGIN|COMMIT);$//mgr;
}

# All that there is: what is in the catalogs, and what every version sees.
# Passing names of what jobs have left are not compared.
my $state = q{
	SELECT version, status, rolled_back, registered IS NOT NULL
	FROM schemaver.versions;
	SELECT action, from_version, version, statements, outcome
	FROM schemaver.history ORDER BY id;
	SELECT c.oid::regclass, relkind, relacl, attname, attnotnull,
		format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid)
	FROM pg_class c
	LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0
	LEFT JOIN pg_attrdef ON adrelid = a.attrelid AND adnum = attnum
	WHERE relnamespace::regnamespace::text ~ '^(public|shop|schemaver_ret)'
	ORDER BY c.oid::regclass::text, attnum;
	SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
	FROM pg_constraint
	WHERE connamespace::regnamespace::text ~ '^(public|shop|schemaver_ret)'
	ORDER BY 1, 2;
	SELECT pg_get_indexdef(indexrelid), indisvalid FROM pg_index
	WHERE indexrelid > 16384 AND indexrelid NOT IN (SELECT oid FROM pg_class
		WHERE relnamespace = 'pg_toast'::regnamespace) ORDER BY 1;
	SELECT c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class c
	WHERE relkind IN ('v', 'm')
		AND relnamespace::regnamespace::text ~ '^(public|shop|schemaver_ret)'
	ORDER BY c.oid::regclass::text;
	SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
	ORDER BY 1;
	SELECT oid::regprocedure, prosrc FROM pg_proc
	WHERE pronamespace::regnamespace::text ~ '^(public|shop|schemaver_ret)'
	ORDER BY oid::regprocedure::text;
	SELECT c.oid::regclass, seqincrement FROM pg_sequence
	JOIN pg_class c ON c.oid = seqrelid ORDER BY c.oid::regclass::text;
	SELECT t.oid::regtype, enumlabel FROM pg_type t
	LEFT JOIN pg_enum ON enumtypid = t.oid
	WHERE typtype IN ('e', 'd') AND t.oid > 16384
	ORDER BY t.oid::regtype::text, enumsortorder;
	SELECT md5(string_agg(p::text, ' ' ORDER BY id)) FROM public.person p;
	SELECT md5(string_agg(i::text, ' ' ORDER BY id)) FROM public.item i;
	SELECT * FROM schemaver.verify() WHERE severity = 'error';
};

# when the jobs are done, too, those as well that nobody has to wait for
sub state_of
{
	my ($database) = @_;
	my $out;

	$node->safe_psql($database, q{
		SELECT schemaver.wait_until_ready(current_version, timeout => '60 s')
		FROM schemaver.products WHERE current_version IS NOT NULL});
	$node->poll_query_until($database, q{
		SELECT (SELECT count(*) FROM schemaver.status()) > 0 AND NOT EXISTS
			(SELECT FROM schemaver.jobs AS j JOIN schemaver.products AS p
				ON j.version OPERATOR(schemaver.<=) p.current_version
			WHERE state IN ('queued', 'running'))})
	  or BAIL_OUT('jobs are not done');
	return $node->safe_psql($database, $state);
}

# start a psql that makes a call; returns when that has begun
sub begin_call
{
	my ($sql) = @_;
	my %run = (out => '', err => '');

	$run{handle} = IPC::Run::start(
		[
			'psql', '-X', '-At', '-d', $node->connstr('shop'), '-c',
			'SELECT pg_backend_pid()', '-c', $sql ],
		'>', \$run{out}, '2>', \$run{err});
	$run{handle}->pump until $run{out} =~ /\n/;
	($run{pid}) = $run{out} =~ /(\d+)/;
	return \%run;
}

# the processes of a server whose postmaster is gone go when they notice
sub wait_for_end
{
	my ($postmaster) = @_;
	my $directory = $node->data_dir;
	my $until = time + 60;

	while (kill(0, $postmaster)
		|| grep { (readlink "$_/cwd" // '') eq $directory } glob '/proc/[0-9]*')
	{
		BAIL_OUT('the server does not come to its end') if time > $until;
		sleep 0.05;
	}
	return;
}

# a differing line each
sub is_state
{
	my ($have, $want, $name) = @_;
	my %count;

	$count{$_}++ foreach split /\n/, $have;
	$count{$_}-- foreach split /\n/, $want;
	return is(
		join("\n",
			map { ($count{$_} > 0 ? '+' : '-') . $_ }
			grep { $count{$_} } sort keys %count),
		'', $name);
}

my %ends = (
	'kill -9 of the backend' => sub {
		my $log_end = -s $node->logfile;

		kill('KILL', $_[0]) or return;

		# it may have come to its own end just before
		sleep 0.05 while kill(0, $_[0]);
		sleep 0.5;
		$node->wait_for_log(qr/ready to accept connections/, $log_end)
		  if slurp_file($node->logfile, $log_end) =~ /signal 9/;
	},
	'kill -9 of the server' => sub {
		my ($postmaster) =
		  slurp_file($node->data_dir . '/postmaster.pid') =~ /(\d+)/;

		$node->kill9;
		wait_for_end($postmaster);
		$node->start;
	},
	'immediate stop' => sub {
		$node->stop('immediate');
		$node->start;
	},
	'Ctrl-C' => sub {
		$node->safe_psql('shop', "SELECT pg_cancel_backend($_[0])");
	});

my (%count, $killing);

sub call
{
	my ($name, $arguments) = @_;
	my $sql = "SET client_min_messages = error;
		SELECT schemaver.$name($arguments)";

	if (!$killing || $name eq 'register')
	{
		return (map { $node->safe_psql($_, $sql) } qw(twin shop))[0];
	}
	my $before = state_of('shop');
	my $began = time;
	my $result = $node->safe_psql('twin', $sql);
	my $took = time - $began;
	my $after = state_of('twin');
	my $who = (sort keys %ends)[ int rand keys %ends ];
	my $run = begin_call("SELECT schemaver.$name($arguments)");

	sleep rand($took * 1.3);
	$ends{$who}->($run->{pid});
	IPC::Run::finish($run->{handle});
	my $now = state_of('shop');
	my $outcome = $now eq $before ? 'before' : 'after';
	my $what = "$name, $who";

	$count{"$name: $outcome"}++;
	if ($outcome eq 'before')
	{
		is($node->safe_psql('shop', $sql), $result, "$what: works again");
		$now = state_of('shop');
	}
	is_state($now, $after, "$what: $outcome");
	return $result;
}

my $seed = $ENV{SCHEMAVER_SEED} || 8;
note("seed $seed");
srand($seed);

my $line = Line->new(\&script, \&call, 1, $deepest);
my $end = time + $seconds;
$line->begin;
$killing = 1;
$line->step while time < $end;
note(join ', ', map { "$count{$_} $_" } sort keys %count);

# what the last calls have left to jobs
state_of($_) foreach qw(twin shop);

# keys of large tables that are to hold for all again wait for somebody to say so
my $mended = $node->safe_psql('twin', q{SELECT schemaver.reconcile()});
is($node->safe_psql('shop', q{SELECT schemaver.reconcile()}),
	$mended, 'no more is left to reconcile');
is($node->safe_psql('shop', q{SELECT schemaver.reconcile()}),
	'0', 'nothing is left to reconcile');

$node->stop;
done_testing();
