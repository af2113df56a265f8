# Random migrations, applied, taken back, applied again and retired, against
# databases that schemaver has never been in.
#
# For each version there is one in which plain psql has run the scripts that
# lead to it.  After each step the tables are the current version's, every
# supported version sees the relations and rows that it has there, and writes
# that are tried in both come to the same.  When the other versions are retired
# nothing is left that is not there as well.
#
# SCHEMAVER_WALKS says for how many seconds, and SCHEMAVER_SEED makes other
# walks of it; each walk tells its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use Walk;

my $seconds = $ENV{SCHEMAVER_WALKS} || 20;
my $seed = $ENV{SCHEMAVER_SEED} || 1;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'schemaver.job_workers = 0');
$node->start;

sub connect_to
{
	my ($database) = @_;

	return ('-h', $node->host, '-p', $node->port, '-d', $database);
}

my %count;
my $began = time;
while (time < $began + $seconds)
{
	my $walk = Walk->new(\&connect_to, "walk_$seed");

	srand($seed);
	$walk->go(12);
	is($walk->faults, '', "walk $seed");
	diag($walk->log) if $walk->faults;
	$count{$_} += $walk->{count}{$_} foreach keys %{ $walk->{count} };
	$walk->stop;
	$seed++;
}
note(join ', ', map { "$count{$_} $_" } sort keys %count);
cmp_ok($count{applied}, '>', 5, 'there were migrations');
cmp_ok($count{compared}, '>', 200, 'and much to compare');

$node->stop;
done_testing();
