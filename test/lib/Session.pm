# A psql that stays: statements in, what comes of them out.

package Session;

use strict;
use warnings;

use IPC::Open2;

# Session->new(argument...): the arguments of psql, by which it connects
sub new
{
	my ($class, @arguments) = @_;
	my ($in, $out);
	my $quoted = join ' ', map { "'$_'" } @arguments;
	my $pid = open2($out, $in, "exec psql -X -q -A -t $quoted 2>&1");
	my $self = bless { pid => $pid, in => $in, out => $out, asked => 0 },
	  $class;

	$in->autoflush(1);
	$self->ask('\set VERBOSITY verbose');
	$self->ask('SET client_min_messages = error');
	return $self;
}

# ask(text): all that psql says to it, errors included
sub ask
{
	my ($self, $text) = @_;
	my $end = 'asked ' . ++$self->{asked};
	my $answer = '';

	print { $self->{in} } "$text\n;\n\\echo $end\n";
	while (1)
	{
		my $line = readline $self->{out};

		return $answer . "ERROR:  57P01: the connection is lost\n"
		  if !defined $line;
		return $answer if $line eq "$end\n";
		$answer .= $line;
	}
}

# the SQLSTATE of the first error in an answer, or ''
sub state_of
{
	my ($answer) = @_;

	return $answer =~ /^(?:ERROR|FATAL|PANIC):  (\w{5}): /m ? $1 : '';
}

# demand(text): the same where nothing may go wrong
sub demand
{
	my ($self, $text) = @_;
	my $answer = $self->ask($text);

	die "$text:\n$answer" if state_of($answer);
	chomp $answer;
	return $answer;
}

sub quit
{
	my ($self) = @_;

	close $self->{in};
	close $self->{out};
	waitpid $self->{pid}, 0;
	return;
}

1;
