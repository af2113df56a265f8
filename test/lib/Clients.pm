# Clients of the versions of an application: pgbench under load, and what must
# be true of it.
#
# A transaction is a text for pgbench, with a "?" before each expression that
# must hold: "? (count(*) = 1)" divides by zero where it does not, so that a
# wrong answer is a transaction that failed.

package Clients;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

# Clients->new(node, database, product)
sub new
{
	my ($class, $node, $database, $product) = @_;

	return bless {
		node => $node,
		database => $database,
		product => $product,
		log => -s $node->logfile,
		running => [],
		live => {},
		files => 0 }, $class;
}

# files(text...): the arguments that have pgbench run these transactions
sub files
{
	my ($self, @texts) = @_;
	my @arguments;

	foreach my $text (@texts)
	{
		my $file =
		  $self->{node}->basedir . '/transaction_' . ++$self->{files} . '.sql';

		$text =~ s/^\s+//mg;
		$text =~ s/\?\s*(\((?:[^()]++|(?1))*\))/1 \/ CASE WHEN $1 THEN 1 ELSE 0 END/g;
		append_to_file($file, $text);
		push @arguments, '-f', $file;
	}
	return @arguments;
}

# start(version, {protocol => clients}, text...): returns when all are connected
sub start
{
	my ($self, $version, $clients, @texts) = @_;
	my @files = $self->files(@texts);
	my $count = 0;

	local $ENV{PGOPTIONS} = "-c schemaver.app=$self->{product}/$version";
	local $ENV{PGAPPNAME} = "client of $version";
	local $ENV{PGHOST} = $self->{node}->host;
	local $ENV{PGPORT} = $self->{node}->port;
	foreach my $protocol (sort keys %$clients)
	{
		my %run = (
			what => "$version, $protocol",
			version => $version,
			out => '',
			err => '');

		$run{handle} = IPC::Run::start(
			[
				'pgbench', '-n', '-M', $protocol, '-c', $clients->{$protocol},
				'-T', 3600, @files, $self->{database} ],
			'>', \$run{out}, '2>', \$run{err});
		push @{ $self->{running} }, \%run;
		$count += $clients->{$protocol};
	}
	delete local $ENV{PGOPTIONS};
	$self->{node}->poll_query_until($self->{database},
		"SELECT instances >= $count FROM schemaver.versions
		WHERE version::text = '$version'")
	  or BAIL_OUT("the clients of $version do not get live");
	return;
}

# finish([version]): has the clients come to their ends, those of all versions
# if none is named.  None of them may have met an error.
sub finish
{
	my ($self, $version) = @_;
	my @staying;

	# as when their time is over
	foreach my $run (@{ $self->{running} })
	{
		$run->{handle}->signal('ALRM')
		  if !defined $version || $run->{version} eq $version;
	}

	foreach my $run (@{ $self->{running} })
	{
		if (defined $version && $run->{version} ne $version)
		{
			push @staying, $run;
			next;
		}
		ok(IPC::Run::finish($run->{handle}), "$run->{what}: pgbench ends well");
		my ($done) = $run->{out} =~ /transactions actually processed: (\d+)/;
		my ($failed) = $run->{out} =~ /number of failed transactions: (\d+)/;
		unlike($run->{err}, qr/error|aborted/i, "$run->{what}: no error");
		cmp_ok($done // 0, '>', 20, "$run->{what}: enough transactions");
		is($failed, '0', "$run->{what}: none failed");
	}
	$self->{running} = \@staying;
	return;
}

# quiet(): the server has heard no complaint from any client either
sub quiet
{
	my ($self) = @_;
	my $log = slurp_file($self->{node}->logfile, $self->{log});
	my @complaints = grep { /client of/ && /(ERROR|FATAL|PANIC|WARNING):/ }
	  split /\n/, $log;

	is(join("\n", @complaints), '', 'the server has heard no complaint');
	$self->{log} = -s $self->{node}->logfile;
	return;
}

# what pg_dump -s says of the schema public, a line each, apart from the order
# of columns
sub dump_of
{
	my ($self, $database) = @_;
	my ($out, $err);

	IPC::Run::run(
		[
			'pg_dump', '-s', '-n', 'public', '-d',
			$self->{node}->connstr($database) ],
		'>', \$out, '2>', \$err)
	  or die $err;
	$out =~ s/,$//mg;
	return grep { !/^(--.*|\\.*|)$/ } split /\n/, $out;
}

# same_schema(database, other): tells where they differ
sub same_schema
{
	my ($self, $database, $other) = @_;
	my %count;
	my @differing;

	$count{$_}++ foreach $self->dump_of($database);
	$count{$_}-- foreach $self->dump_of($other);
	@differing = map { ($count{$_} > 0 ? '+' : '-') . $_ }
	  grep { $count{$_} } sort keys %count;
	return is(join("\n", @differing), '',
		"the schema of $database is that of $other");
}

1;
