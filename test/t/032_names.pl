# Errors of constraints as drivers get them, in the names of the version that
# writes: by prepared statements, of deferred constraints at COMMIT and without
# a transaction, after whatever errors before, and where the library is loaded
# only when the session is at work.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Wire;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 1");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION schemaver;
	CREATE TABLE person (id int PRIMARY KEY, email varchar(9) NOT NULL,
		CONSTRAINT person_email UNIQUE (email));
	CREATE TABLE seat (guest int CONSTRAINT seat_guest UNIQUE
		DEFERRABLE INITIALLY DEFERRED, CONSTRAINT seat_person FOREIGN KEY (guest)
		REFERENCES person DEFERRABLE INITIALLY DEFERRED);
	INSERT INTO person VALUES (1, '1');
	INSERT INTO seat VALUES (1);
	SELECT schemaver.create_product('shop');
	SELECT schemaver.baseline('1.0.0');
	SELECT schemaver.register('1.0.0')});

my @statements = (
	late => 'INSERT INTO seat VALUES ($1)',
	begin => 'BEGIN',
	commit => 'COMMIT',
	rollback => 'ROLLBACK',
	two_phase => q{PREPARE TRANSACTION 'names'});

# what applications go by
my %email = (C => '23505',
	M => 'duplicate key value violates unique constraint "person_email"',
	D => 'Key (email)=(1) already exists.',
	s => 'public', t => 'person', n => 'person_email');
my %guest = (C => '23505',
	M => 'duplicate key value violates unique constraint "seat_guest"',
	D => 'Key (guest)=(1) already exists.',
	s => 'public', t => 'seat', n => 'seat_guest');
my %unknown = (C => '23503',
	M => 'insert or update on table "seat" violates foreign key constraint "seat_person"',
	D => 'Key (guest)=(9) is not present in table "person".',
	s => 'public', t => 'seat', n => 'seat_person');

sub connect_as
{
	my ($version) = @_;
	my $path = $node->host . '/.s.PGSQL.' . $node->port;
	my $user = getpwuid $<;
	my $client = Wire->new($path, 'postgres', $user);

	for (my $i = 0; $i < @statements; $i += 2)
	{
		$client->prepare($statements[$i], $statements[ $i + 1 ]);
	}
	$client->ask("SELECT schemaver.register('$version')");
	$client->prepare('now', 'INSERT INTO person VALUES ($1, $2)');
	return $client;
}

sub error_is
{
	my ($error, $expected, $what) = @_;
	my %got = map { $_ => $error->{$_} } keys %$expected;

	is_deeply(\%got, $expected, $what);
	return;
}

sub write_all
{
	my ($client, $what) = @_;

	error_is($client->execute('now', 5, '1'), \%email, "$what: at once");
	error_is($client->execute('late', 1), \%guest, "$what: deferred key");
	error_is($client->execute('late', 9), \%unknown,
		"$what: deferred foreign key");
	foreach my $end ('commit', 'two_phase')
	{
		$client->execute('begin');
		$client->execute('late', 9);
		error_is($client->execute($end), \%unknown, "$what: at $end");
	}
	$client->execute('begin');
	error_is($client->execute('now', 5, '1'), \%email, "$what: in a transaction");
	is($client->execute('now', 5, '1')->{C}, '25P02', "$what: it has failed");
	$client->execute('rollback');
	error_is($client->execute('late', 1), \%guest,
		"$what: deferred key after two errors");
	return;
}

my $client = connect_as('1.0.0');
write_all($client, 'before');
$node->safe_psql('postgres', q{SELECT schemaver.apply($$
	ALTER TABLE person RENAME TO people;
	ALTER TABLE people ALTER email TYPE int USING email::int;
	ALTER TABLE seat RENAME guest TO who;
	ALTER TABLE seat RENAME CONSTRAINT seat_guest TO seat_who;
	ALTER TABLE seat RENAME CONSTRAINT seat_person TO seat_people;
$$, '2.0.0')});
write_all($client, 'through the migration');
$client->quit;
$client = connect_as('1.0.0');
write_all($client, 'library loaded late');
$client->quit;

# the newest version's names
$client = connect_as('2.0.0');
$email{t} = 'people';
error_is($client->ask(q{INSERT INTO people (id, email) VALUES (5, 1)}),
	\%email, 'the newest version');
$client->quit;

$node->stop;
done_testing();
