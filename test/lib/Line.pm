# A line of versions that is walked up and down: which are supported, which one
# is current, and what can be done next.
#
# How deep a version is in the line says what it is like; its number is another
# thing, since one that was rolled back and retired is never used again.

package Line;

use strict;
use warnings;

use Test::More;

# Line->new(script, call, live, [deepest]): script(depth) is the step to that
# depth, call(function, arguments) calls a function of schemaver; so many
# versions, the oldest, have clients and are not to be retired by step().
sub new
{
	my ($class, $script, $call, $live, $deepest) = @_;

	return bless {
		script => $script,
		call => $call,
		live => $live,
		deepest => $deepest // 1000,
		numbers => [],
		next => 1,
		retired => 0,
		current => 1 }, $class;
}

sub depth
{
	my ($self) = @_;

	return $self->{retired} + @{ $self->{numbers} };
}

sub current
{
	my ($self) = @_;

	return $self->{current};
}

sub oldest
{
	my ($self) = @_;

	return $self->{retired} + 1;
}

sub version
{
	my ($self, $depth) = @_;

	return "$self->{numbers}[ $depth - $self->{retired} - 1 ].0.0";
}

# make a call on the version of that depth
sub call
{
	my ($self, $name, $depth) = @_;

	return $self->{call}->($name, "'" . $self->version($depth) . "'");
}

# the first version, in use by somebody
sub begin
{
	my ($self) = @_;

	push @{ $self->{numbers} }, $self->{next}++;
	$self->call('baseline', 1);
	$self->call('register', 1);
	return;
}

# one version on: to a new one, in use by somebody, if there is none
sub forward
{
	my ($self) = @_;
	my $depth = $self->{current} + 1;
	my $is_new = $depth > $self->depth;

	push @{ $self->{numbers} }, $self->{next}++ if $is_new;
	$self->{call}->('apply', '$script$' . $self->{script}->($depth)
		  . "\$script\$, '" . $self->version($depth) . "'");
	$self->call('register', $depth) if $is_new;
	$self->{current} = $depth;
	return;
}

sub back
{
	my ($self, $depth) = @_;

	$self->call('rollback', $depth);
	$self->{current} = $depth;
	return;
}

# take away what was rolled back, from one depth on
sub forget
{
	my ($self, $depth) = @_;
	my $count = $self->depth - $depth + 1;

	is($self->call('retire', $depth), $count,
		'what was rolled back is retired');
	splice @{ $self->{numbers} }, -$count;
	return;
}

sub retire_oldest
{
	my ($self) = @_;

	is($self->call('retire', $self->oldest), '1', 'the oldest is retired');
	shift @{ $self->{numbers} };
	$self->{retired}++;
	return;
}

# Something that can be done where we are, at random.  There are never more
# than two versions beside those that have clients.
sub step
{
	my ($self) = @_;
	my $live = $self->{retired} + $self->{live};
	my $current = $self->{current};
	my @can;

	push @can, 'forward', 'forward'
	  if $current < $live + 2 && $current < $self->{deepest};
	push @can, 'back' if $current > $self->oldest;
	push @can, 'forget' if $self->depth > $live && $self->depth > $current;
	push @can, 'retire_oldest'
	  if $self->{live} < 2 && $current > $self->oldest + 1;
	my $do = $can[ int rand @can ];

	return $self->back($self->oldest + int rand($current - $self->oldest))
	  if $do eq 'back';
	return $self->forget(($current > $live ? $current : $live) + 1)
	  if $do eq 'forget';
	return $self->$do();
}

1;
