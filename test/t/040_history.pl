# A history of migrations step by step, with an application of the version
# before that looks on: test/history, on a small history of its own.

use strict;
use warnings;

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $history = dirname(__FILE__) . '/../history';
my @scripts = sort glob("$history/sample/*.sql");

# with one older version beside the newest, and with two
foreach my $keep (1, 2)
{
	my $node = PostgreSQL::Test::Cluster->new("keep_$keep");
	my ($out, $err);

	$node->init;
	$node->start;
	$ENV{PGHOST} = $node->host;
	$ENV{PGPORT} = $node->port;
	my $ok = IPC::Run::run(
		[ "$history/run", $node->basedir, $keep, @scripts ],
		'>', \$out, '2>', \$err);

	note($out);
	ok($ok, "$keep older: nothing breaks");
	is($err, '', "$keep older: no complaint");
	like($out, qr/^\Q${\ scalar @scripts}\E scripts, 1 not run/m,
		"$keep older: to the end");
	my ($breaking, $kept, $refused, $broken) = $out =~
	  /^(\d+) break .* plainly; .* (\d+) kept working, (\d+) refused, (\d+) broken$/m;
	is($breaking, 8, "$keep older: steps that break the version before");
	is($kept + $refused, 8, "$keep older: each is kept working or refused");
	like($out, qr/^    version \d+: \d+ statements fail as the script would after/m,
		"$keep older: what refers to nothing is not what it says");
	cmp_ok($kept, '>=', 2, "$keep older: those that rename are kept working");
	is($broken, 0, "$keep older: none breaks it with schemaver");
	like($out, qr/^the schemas are the same in the end$/m,
		"$keep older: the schemas are the same in the end");
	$node->stop;
}

done_testing();
