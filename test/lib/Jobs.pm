# Jobs that are interrupted, and clients that must not notice them.

package Jobs;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(interrupt_jobs clients_are_fine nobody_waits);

# the worker's pid, as soon as there is one; undef if none comes
sub find_worker
{
	my ($node, $database) = @_;

	for (1 .. 200)
	{
		my $pid = $node->safe_psql($database, q{
			SELECT count(*) FROM schemaver.status();
			SELECT min(pid) FROM pg_stat_activity
			WHERE backend_type = 'schemaver jobs'
				AND datname = current_database()});

		$pid =~ s/^\d+\n//;
		return $pid if $pid;
		usleep(10000);
	}
	return;
}

# The server answers again; whoever asks while it goes down may find the pipe
# to psql broken.
sub wait_until_up
{
	my ($node) = @_;

	for (1 .. 1800)
	{
		return if eval { $node->safe_psql('postgres', 'SELECT true') };
		usleep(100000);
	}
	BAIL_OUT('the server does not come up again');
}

# While there is work to do, kill the worker or stop the server at once, in
# turns, each time after some random moment of so many microseconds.
sub interrupt_jobs
{
	my ($node, $database, $rounds, $longest) = @_;

	srand(42);
	for my $round (1 .. $rounds)
	{
		my $pid = find_worker($node, $database) or last;

		usleep(int(rand($longest)));
		if ($round % 2)
		{
			kill 'KILL', $pid;
			wait_until_up($node);
		}
		else
		{
			$node->stop('immediate');
			$node->start;
		}
	}
	return;
}

# what pgbench says when no transaction has failed
sub clients_are_fine
{
	my ($out, $who) = @_;

	like($out, qr/failed transactions: 0 /, "$who: none failed");
	unlike($out, qr/ERROR|abort/, "$who: no error");
	return;
}

# the log from there on: rows may be waited for, tables not
sub nobody_waits
{
	my ($node, $log_position) = @_;

	unlike(
		substr(slurp_file($node->logfile), $log_position),
		qr/pgbench.*still waiting for (?!ShareLock on transaction)/,
		'nobody waits for a table');
	return;
}

1;
