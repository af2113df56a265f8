# A client that speaks the server's protocol itself: prepared statements, and
# all fields of an error.

package Wire;

use strict;
use warnings;

use IO::Socket::UNIX;

# Wire->new(socket, database, user): a connection that asks for no password
sub new
{
	my ($class, $path, $database, $user) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $path)
	  or die "could not connect to $path: $!";
	my $self = bless { socket => $socket }, $class;
	my $start = pack 'N(Z*)*x', 196608, 'user', $user, 'database', $database;

	print {$socket} pack('N', 4 + length $start), $start;
	$self->until_ready;
	return $self;
}

sub send
{
	my ($self, $type, $body) = @_;

	$self->{socket}->print($type, pack('N', 4 + length $body), $body);
	return;
}

sub receive
{
	my ($self) = @_;
	my ($head, $body) = ('', '');

	read($self->{socket}, $head, 5) == 5 or die 'the connection is lost';
	my ($type, $length) = unpack 'aN', $head;
	read $self->{socket}, $body, $length - 4;
	return ($type, $body);
}

# the first error until the server is ready again, its fields by their letters
sub until_ready
{
	my ($self) = @_;
	my $error;

	$self->{socket}->flush;
	while (1)
	{
		my ($type, $body) = $self->receive;

		return $error if $type eq 'Z';
		$error //= { map { substr($_, 0, 1) => substr $_, 1 }
			split /\0/, $body }
		  if $type eq 'E';
	}
}

# ask(text): in the simple protocol; the first error
sub ask
{
	my ($self, $text) = @_;

	$self->send('Q', "$text\0");
	return $self->until_ready;
}

# prepare(name, text)
sub prepare
{
	my ($self, $name, $text) = @_;

	$self->send('P', pack 'Z*Z*n', $name, $text, 0);
	$self->send('S', '');
	return $self->until_ready;
}

# execute(name, value...): what was prepared; the first error
sub execute
{
	my ($self, $name, @values) = @_;

	$self->send('B', pack('xZ*nn', $name, 0, scalar @values)
		  . join('', map { pack 'N/a*', $_ } @values) . pack 'n', 0);
	$self->send('E', pack 'xN', 0);
	$self->send('S', '');
	return $self->until_ready;
}

sub quit
{
	my ($self) = @_;

	$self->send('X', '');
	close $self->{socket};
	return;
}

1;
