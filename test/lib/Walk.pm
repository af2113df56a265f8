# A random walk of migrations, rollbacks and retirements, and at every step
# what each version must see, as a database of its own says that schemaver has
# never been in.

package Walk;

use strict;
use warnings;

use Grammar;
use List::Util qw(first);
use Session;

# what apply() may say no with, as the reference tells
my %refusals = map { $_ => 1 } qw(2BP01 0A000 55000);

# Walk->new(connect, name): connect(database) are psql's arguments; databases
# have names that begin so
sub new
{
	my ($class, $connect, $name) = @_;
	my $self = bless {
		connect => $connect,
		name => $name,
		versions => [],
		next => 1,
		log => [],
		faults => [],
		count => {} }, $class;

	$self->{master} = Session->new($connect->('postgres'));
	return $self;
}

# all that was done, as SQL that does it again
sub log
{
	my ($self) = @_;

	return join "\n", @{ $self->{log} };
}

# what was wrong, as text
sub faults
{
	my ($self) = @_;

	return join "\n", @{ $self->{faults} };
}

# a walk of so many steps, which ends at the first fault
sub go
{
	my ($self, $steps) = @_;

	$self->begin;
	foreach my $step (1 .. $steps)
	{
		$self->step if !@{ $self->{faults} };
	}
	$self->end if !@{ $self->{faults} };
	return;
}

sub fault
{
	my ($self, $text) = @_;

	push @{ $self->{faults} }, $text;
	push @{ $self->{log} }, map { "-- FAULT: $_" } split /\n/, $text;
	return;
}

# do something in the database of all versions, and put it down
sub act
{
	my ($self, $sql) = @_;
	my $answer;

	push @{ $self->{log} }, "$sql;";
	$answer = $self->{shop}->ask($sql);
	push @{ $self->{log} }, "-- $1" if $answer =~ /^((?:ERROR|FATAL): .*)/m;
	return $answer;
}

sub create_database
{
	my ($self, $name, @template) = @_;

	$self->{master}->demand("CREATE DATABASE $name"
		  . (@template ? " TEMPLATE $template[0]" : ''));
	return Session->new($self->{connect}->($name));
}

sub begin
{
	my ($self) = @_;
	my $version = $self->new_version;

	$self->{shop} = $self->create_database("$self->{name}_shop");
	$self->act('CREATE EXTENSION schemaver');
	$self->act('SET schemaver.job_workers = 0');
	$version->{session} = $self->create_database($version->{database});
	foreach my $sql (split /;\n/, first_schema())
	{
		$self->act($sql);
		$version->{session}->demand($sql);
	}
	$version->{schema} = schema_of($version->{session});
	$self->act("SELECT schemaver.create_product('shop')");
	$self->act("SELECT schemaver.baseline('1.0.0')");
	$self->{versions} = [$version];
	$self->{current} = $version;
	$self->{next} = 2;
	return $self->look;
}

sub new_version
{
	my ($self) = @_;

	return {
		number => $self->{next},
		version => "$self->{next}.0.0",
		database => "$self->{name}_$self->{next}",
		seen => {} };
}

# one statement more in the migration to a version, if plain PostgreSQL runs it
sub say
{
	my ($self, $version, $sql) = @_;
	my $plain = $version->{session};

	$plain->demand('SAVEPOINT before');
	if (Session::state_of($plain->ask($sql =~ s/^--.*\n//mgr)))
	{
		$plain->demand('ROLLBACK TO before');
		return;
	}
	push @{ $version->{said} }, $sql;
	return;
}

# a migration from the current version, as text; the version's own database is
# left as that makes it
sub write_script
{
	my ($self, $version, @said) = @_;
	my $plain = $version->{session};
	my $count = 1 + int rand 5;

	$version->{said} = [];
	$plain->demand('BEGIN');
	$self->say($version, $_) foreach @said;
	foreach my $try (1 .. @said ? 0 : 40)
	{
		my $sql = random_statement(schema_of($plain));

		last if @{ $version->{said} } == $count;
		# a directive speaks of what the script has not changed yet
		next if defined $sql && $sql =~ /^--/ && @{ $version->{said} };
		$self->say($version, $sql) if defined $sql;
	}
	$plain->demand('COMMIT');
	return if !@{ $version->{said} };
	return join '', map { "$_;\n" } @{ $version->{said} };
}

# one version on from the current one, to one that nobody has seen
sub step_new
{
	my ($self, @said) = @_;
	my $version = $self->new_version;
	my $current = $self->{current};

	$current->{session}->quit;
	$version->{session} =
	  $self->create_database($version->{database}, $current->{database});
	$current->{session} =
	  Session->new($self->{connect}->($current->{database}));
	$version->{script} = $self->write_script($version, @said);
	if (!defined $version->{script} || !$self->apply($version))
	{
		$self->drop($version);
		return;
	}
	$version->{schema} = schema_of($version->{session});
	$version->{parent} = $current->{number};
	$self->{next}++;
	push @{ $self->{versions} }, $version;
	$self->{current} = $version;
	return;
}

sub apply
{
	my ($self, $version) = @_;
	my $answer =
	  $self->act("SELECT schemaver.apply(\$script\$\n$version->{script}"
		  . "\$script\$, '$version->{version}')");
	my $state = Session::state_of($answer);

	$self->{count}{applied}++ if !$state;
	return 1 if !$state;
	$self->{count}{"refused $state"}++;
	$self->fault("apply() fails: $answer")
	  if !$refusals{$state} && !($self->{row} && $state =~ /^23/);
	return 0;
}

# the version that a script led to from the current one
sub forward_of
{
	my ($self) = @_;

	return first { defined $_->{parent}
		  && $_->{parent} == $self->{current}{number} } @{ $self->{versions} };
}

sub step_forward
{
	my ($self) = @_;
	my $next = $self->forward_of;

	return 0 if !$self->apply($next);
	$self->{current} = $next;
	return 1;
}

sub step_back
{
	my ($self, $to) = @_;

	$to //= pick(grep { $_->{number} < $self->{current}{number} }
		  @{ $self->{versions} });
	$self->{hold_all}++ if ($self->{pages} // '') eq '0';
	my $answer = $self->act("SELECT schemaver.rollback('$to->{version}')");
	my $state = Session::state_of($answer);

	$self->{count}{ $state ? "rollback $state" : 'rolled back' }++;
	$self->fault("rollback() fails: $answer") if $state && $state ne '0A000';
	return if $state;
	$self->{current} = $to;
	$self->{was_back} = 1;
	return;
}

# retire all up to one below the current, or from one above it
sub retire
{
	my ($self, $at) = @_;
	my $older = $at->{number} < $self->{current}{number};

	foreach my $version (@{ $self->{versions} })
	{
		next if $version == $self->{current};
		next if ($older ? $version->{number} > $at->{number}
			: $version->{number} < $at->{number});
		$self->leave($version);
	}
	my $answer = $self->act("SELECT schemaver.retire('$at->{version}')");
	my $state = Session::state_of($answer);

	$self->{count}{ $state ? "retire $state" : 'retired' }++;
	$self->fault("retire() fails: $answer") if $state && $state ne '55000';
	return;
}

sub step_retire
{
	my ($self) = @_;

	$self->retire(pick(grep { $_ != $self->{current} } @{ $self->{versions} }));
	return;
}

# the application of a version ends
sub leave
{
	my ($self, $version) = @_;

	return if !$version->{client};
	$version->{client}->ask('SELECT schemaver.unregister()');
	$version->{client}->quit;
	delete $version->{client};
	delete $_->{asked} foreach values %{ $version->{seen} };
	return;
}

sub drop
{
	my ($self, $version) = @_;

	$self->leave($version);
	$version->{session}->quit;
	$self->{master}->demand("DROP DATABASE $version->{database}");
	return;
}

sub set_pages
{
	my ($self, $pages) = @_;

	$self->{pages} = $pages;
	$self->act("SET schemaver.inline_pages = $pages");
	return;
}

sub run_jobs
{
	my ($self) = @_;
	my $answer = $self->act('CALL schemaver.run_jobs()');

	return if !Session::state_of($answer);
	$self->fault("run_jobs() fails: $answer")
	  if !$self->{row} || $answer !~ /violate/;
	$self->{again} = 1;
	return;
}

# which versions there still are, and have their applications run
sub look
{
	my ($self) = @_;
	my $is = $self->{shop}->demand(
		"SELECT coalesce(string_agg(version::text, ' '), '')
		FROM schemaver.versions WHERE status <> 'retired'");
	my %is = map { $_ => 1 } split / /, $is;
	my @versions;

	foreach my $version (@{ $self->{versions} })
	{
		if (!$is{ $version->{version} })
		{
			$self->drop($version);
			next;
		}
		push @versions, $version;
		$self->join_in($version) if !$version->{client};
	}
	$self->{versions} = \@versions;
	$self->{jobs} = $self->{shop}->demand("SELECT count(*) FROM schemaver.jobs
		WHERE state IN ('queued', 'running', 'failed')");
	return;
}

sub join_in
{
	my ($self, $version) = @_;
	my $client = Session->new($self->{connect}->("$self->{name}_shop"));
	my $register = "SELECT schemaver.register('$version->{version}')";
	my $answer = $client->ask($register);
	my $state = Session::state_of($answer);

	if ($state)
	{
		$client->quit;
		$self->fault("register() fails: $answer")
		  if $state ne '55000' || $answer !~ /not ready/;
		return;
	}
	push @{ $self->{log} }, "$register, schemaver.unregister();";
	$version->{client} = $client;
	return;
}

# the same in another order, and what comes from sequences made alike
sub sorted
{
	my ($answer) = @_;

	$answer =~ s/\b\d{4,}\b/N/g;
	$answer =~ s/\bshop_\d+_0_0\.//g;
	$answer =~ s/\|(mood|"Kind of")$/|enum/mg;
	return join "\n", sort split /\n/, $answer;
}

# what the client of a version and its plain database say to the same
sub same
{
	my ($self, $version, $what, $sql, $ours) = @_;
	my $is = $version->{client}->ask($ours // $sql);
	my $plain = $version->{session}->ask($sql);

	$self->{count}{compared}++;
	return if sorted($is) eq sorted($plain);
	return if $self->excused($version, $is, $plain);
	$self->fault("$version->{version} with $self->{current}{version} current: "
		  . "$what\n$sql\nis:\n$is" . "plain:\n$plain");
	return;
}

# the definition of the constraint that an error speaks of, in some version
sub constraint
{
	my ($version, $error) = @_;
	my ($table) = $error =~ /^TABLE NAME:  (.*)/m;
	my ($name) = $error =~ /^CONSTRAINT NAME:  (.*)/m;
	my $all = $version->{schema}{tables};

	foreach my $at (grep { !defined $table || /^"?\Q$table\E"?$/ } keys %$all)
	{
		foreach my $constraint (@{ $all->{$at}{constraints} },
			@{ $all->{$at}{indexes} })
		{
			return $constraint->{definition} // 'an index'
			  if defined $name && $constraint->{name} =~ /^"?\Q$name\E"?$/;
		}
	}
	return '';
}

# the same but for nulls that a later version has a value in place of
sub is_filled
{
	my ($is, $plain) = @_;
	my @left = split /\n/, sorted($is);

	foreach my $line (split /\n/, sorted($plain))
	{
		my $pattern = join '\|', map { $_ eq '' ? '[^|]*' : quotemeta }
		  split /\|/, $line, -1;
		my $at = first { $left[$_] =~ /^$pattern$/ } 0 .. $#left;

		return 0 if !defined $at;
		splice @left, $at, 1;
	}
	return !@left;
}

# does a version know the column of an error as NOT NULL
sub demands
{
	my ($version, $error) = @_;
	my ($table) = $error =~ /^TABLE NAME:  (.*)/m;
	my ($name) = $error =~ /^COLUMN NAME:  (.*)/m;
	my $all = $version->{schema}{tables};

	foreach my $at (grep { /^"?\Q$table\E"?$/ } keys %$all)
	{
		foreach my $column (@{ $all->{$at}{columns} })
		{
			return $column->{notnull} && !$column->{identity}
			  if $column->{name} =~ /^"?\Q$name\E"?$/;
		}
	}
	return 0;
}

# may a statement fail here that does not there, or the other way round?
sub excused
{
	my ($self, $version, $is, $plain) = @_;
	my ($is_state, $plain_state) = map { Session::state_of($_) } $is, $plain;

	return is_filled($is, $plain) if !$is_state && !$plain_state;
	return 1 if $is_state =~ /^23/ && $plain_state =~ /^23/;

	# GENERATED ALWAYS is BY DEFAULT for the sake of older versions
	return 1 if $plain_state eq '428C9';
	return $is_state eq $plain_state if $is_state && $plain_state;
	if ($plain_state =~ /^23(503|514)$/)
	{
		# a check or foreign key that some version can do without
		my $definition = constraint($version, $plain);

		return grep { constraint($_, $plain) ne $definition }
		  @{ $self->{versions} };
	}
	# so do the keys of newer versions over large tables, for older ones
	return 1
	  if $is_state eq '23505' && $self->{hold_all}
	  && constraint($version, $is) eq '';
	if ($plain_state eq '23502')
	{
		return grep { !demands($_, $plain) } @{ $self->{versions} };
	}
	if ($is_state =~ /^23/ && $version != $self->{current})
	{
		# the table has the name that this version knows
		return constraint($self->{current}, $is =~ s/^TABLE NAME:.*\n//mr) ne '';
	}
	return 0;
}

# all that a version knows is as it knows it
sub check_version
{
	my ($self, $version) = @_;
	my $schema = $version->{schema};

	foreach my $name (sort keys %{ $schema->{tables} })
	{
		my $table = $schema->{tables}{$name};
		my $list = join ', ', map { $_->{name} } @{ $table->{columns} || [] };
		my $shape = $version->{client}->ask("SELECT * FROM $name \\gdesc") =~
		  s/\|(shop_\d+_0_0\.)?(mood|"Kind of")$/|enum/mgr;
		my $seen = $version->{seen}{$name} //= {
			shape => $shape,
			prepared => 'see_' . keys %{ $version->{seen} } };

		$self->same($version, "columns of $name",
			"SELECT * FROM $name \\gdesc");
		$self->same($version, "rows of $name", "SELECT $list FROM $name")
		  if $table->{kind} ne 'm';
		$self->fault("$version->{version}: SELECT * FROM $name\n"
			  . "was:\n$seen->{shape}is:\n$shape")
		  if $seen->{shape} ne $shape;
		if ($seen->{asked}++)
		{
			my $was = $version->{client}->ask("EXECUTE $seen->{prepared}");
			my $is = $version->{client}->ask("SELECT * FROM $name");

			$self->fault("$version->{version}: prepared SELECT * FROM $name\n"
				  . "prepared:\n$was" . "is:\n$is")
			  if sorted($was) ne sorted($is);
		}
		else
		{
			$version->{client}->ask(
				"PREPARE $seen->{prepared} AS SELECT * FROM $name");
		}
	}
	$self->same($version, 'a function', "SELECT $_(1)")
	  foreach @{ $schema->{functions} };
	foreach my $type (sort keys %{ $schema->{enums} })
	{
		$self->same($version, "labels of $type", 'SELECT '
			  . join(', ', map { "'$_'::$type" } @{ $schema->{enums}{$type} }));
	}
	$self->same($version, 'a sequence', "SELECT nextval('$_') > 0")
	  foreach @{ $schema->{sequences} };
	my @tables = grep { $schema->{tables}{$_}{kind} eq 'r' }
	  sort keys %{ $schema->{tables} };
	foreach my $name (@tables)
	{
		$self->try_writes($version, $name) foreach 1 .. 2;
	}
	return;
}

sub insert
{
	my ($schema, $name, $columns) = @_;

	return "INSERT INTO $name DEFAULT VALUES" if !@$columns;
	return "INSERT INTO $name (" . join(', ', map { $_->{name} } @$columns)
	  . ') VALUES (' . join(', ', map { value_for($schema, $_) } @$columns)
	  . ')';
}

# statements that write a table, as its version knows it
sub random_write
{
	my ($schema, $name, $is_current) = @_;
	my $table = $schema->{tables}{$name};
	my @all = grep { !$_->{generated} } @{ $table->{columns} };
	my @some =
	  grep { $_->{notnull} && !defined $_->{default} && !$_->{identity}
		  || rand() < 0.5 } @all;
	my $column = pick(@all);
	my $set = "$column->{name} = "
	  . pick($column->{identity} ? () : 'DEFAULT',
		'NULL', (value_for($schema, $column)) x 4);
	my $where = " WHERE $column->{name} = " . value_for($schema, $column);
	my $key = pick(grep { $_->{type} =~ /[pu]/ } @{ $table->{constraints} });
	my $kind = int rand 9;

	return insert($schema, $name, \@some) if $kind <= 2;
	return insert($schema, $name, [ grep { rand() < 0.6 } @all ])
	  if $kind == 3;
	return "UPDATE $name SET $set"
	  . ' WHERE ' . pick(@all)->{name} . "::text = '" . int(1 + rand 12) . "'"
	  if $kind == 4;
	return "UPDATE $name SET $set$where" if $kind == 5;
	return "DELETE FROM $name WHERE "
	  . pick(@all)->{name} . "::text = '" . int(1 + rand 12) . "'"
	  if $kind == 6;
	return insert($schema, $name, \@all) . ' ON CONFLICT DO NOTHING'
	  if $is_current && (!$key || $kind == 7);
	return insert($schema, $name, \@all) if !$key;
	return insert($schema, $name, \@all)
	  . ' ON CONFLICT (' . join(', ', @{ $key->{columns} }) . ') DO '
	  . pick('NOTHING', "UPDATE SET $set");
}

sub try_writes
{
	my ($self, $version, $name) = @_;
	my $schema = $version->{schema};
	my $list = join ', ',
	  map { $_->{name} } @{ $schema->{tables}{$name}{columns} };
	my $is_current = $version == $self->{current};
	my @writes =
	  map { random_write($schema, $name, $is_current) . " RETURNING $list" }
	  0 .. int rand 2;

	return if grep { !defined $_ } @writes;
	$self->same($version, "writes to $name", join ";\n", 'BEGIN', @writes,
		"SELECT $list FROM $name", 'ROLLBACK');
	return;
}

# a row of some version that the next step must keep, or nothing
sub leave_row
{
	my ($self) = @_;
	my $version = pick(grep { $_->{client} } @{ $self->{versions} });
	my $schema = $version ? $version->{schema} : return;
	my $name = pick(grep { $schema->{tables}{$_}{kind} eq 'r' }
		  sort keys %{ $schema->{tables} });

	return if !defined $name;
	my @columns = @{ $schema->{tables}{$name}{columns} };
	my $list = join ', ', map { "$_->{name}::text" } @columns;
	my $sql = insert($schema, $name, [ grep { !$_->{generated} } @columns ]);
	my $answer =
	  $version->{client}->ask("$sql RETURNING json_build_array($list)");

	return if Session::state_of($answer);
	push @{ $self->{log} }, "-- as $version->{version}: $sql;";
	my @values = @{ JSON::PP::decode_json($answer) };
	my $where = join ' AND ',
	  map { "$columns[$_]{name}::text IS NOT DISTINCT FROM "
		  . (defined $values[$_] ? "'$values[$_]'" : 'NULL') } 0 .. $#values;
	return { version => $version, name => $name, where => $where };
}

sub find_row
{
	my ($self, $row) = @_;
	my $version = $row->{version};

	if (!$version->{client})
	{
		$self->fault("internal: row left by a retired version");
		return;
	}
	my $found = $version->{client}->ask(
		"SELECT count(*) FROM $row->{name} WHERE $row->{where}");
	$self->fault("$version->{version} does not find its row again: "
		  . "$row->{name} where $row->{where}: $found"
		  . $version->{client}->ask("SELECT * FROM $row->{name}"))
	  if $found ne "1\n";
	my $sql = "DELETE FROM $row->{name} WHERE $row->{where}";
	my $gone = $version->{client}->ask($sql);
	push @{ $self->{log} }, "-- as $version->{version}: $sql;";
	$self->fault("$version->{version} cannot delete its row: $sql $gone")
	  if Session::state_of($gone);
	return;
}

# one line for each fact that the catalogs have of the schema public
my $facts = q{
	SELECT 'column ' || c.relname || '.' || attname || ' '
		|| format_type(atttypid, atttypmod)
		|| coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
		|| attgenerated::text
		|| CASE WHEN attidentity = '' THEN '' ELSE ' identity' END
	FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid
	LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
	WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
	AND attnum > 0 AND NOT attisdropped AND attname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT 'notnull ' || c.relname || '.' || attname
	FROM pg_class AS c JOIN pg_attribute AS a ON attrelid = c.oid
	WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
	AND attnum > 0 AND attnotnull AND attname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' '
		|| pg_get_constraintdef(oid)
	FROM pg_constraint WHERE connamespace = 'public'::regnamespace
	AND conrelid <> 0 AND conname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT CASE WHEN indisunique THEN 'unique ' ELSE 'index ' END
		|| pg_get_indexdef(indexrelid)
		|| CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
	FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
	WHERE relnamespace = 'public'::regnamespace
	AND relname NOT LIKE 'schemaver%'
	UNION ALL
	SELECT 'trigger ' || tgrelid::regclass || ' ' || tgname FROM pg_trigger
	WHERE NOT tgisinternal
	UNION ALL
	SELECT 'enum ' || typname || ' ' || (SELECT string_agg(enumlabel, ','
		ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
	FROM pg_type AS t WHERE typnamespace = 'public'::regnamespace
	AND typtype = 'e'
	UNION ALL
	SELECT 'view ' || c.relname || ' ' || regexp_replace(
		pg_get_viewdef(c.oid), '\s+', ' ', 'g')
	FROM pg_class AS c
	WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
	UNION ALL
	SELECT 'function ' || proname || ' ' || prosrc FROM pg_proc
	WHERE pronamespace = 'public'::regnamespace
	UNION ALL
	SELECT 'sequence ' || c.oid::regclass || ' '
		|| format_type(seqtypid, NULL) || ' ' || seqstart
	FROM pg_class AS c JOIN pg_sequence ON seqrelid = c.oid
	WHERE relnamespace = 'public'::regnamespace
	AND relname NOT LIKE 'schemaver%'};

# The base schema is that of the current version, entirely if it is alone
sub check_base
{
	my ($self) = @_;
	my @versions = @{ $self->{versions} };
	my $current = $self->{current};
	my $alone = @versions == 1 && !$self->{jobs};
	my %count;

	my $ours = $self->{shop}->demand($facts);

	my $plain = $current->{session}->demand($facts);

	# a key that holds for some versions alone has a mark, and is not primary
	if (!$alone)
	{
		$ours =~ s/, "?schemaver_retained_[^)]*\)/)/g if !$self->{jobs};
		s/PRIMARY KEY/UNIQUE/g foreach $ours, $plain;
	}
	$count{$_}++ foreach split /\n/, $ours;
	$count{$_}-- foreach split /\n/, $plain;
	my @wrong;
	foreach my $fact (sort keys %count)
	{
		my $more = $count{$fact} > 0;

		next if !$count{$fact};
		# what a script that was taken back has made stays
		next if $fact =~ /^(index|enum) / && $self->{was_back};
		next if !$alone && $self->is_excused_fact($fact, $more);
		push @wrong, ($more ? '+ ' : '- ') . $fact;
	}
	$self->fault("schema of $current->{version}"
		  . ($alone ? ', alone' : '') . ":\n" . join "\n", @wrong)
	  if @wrong;
	return;
}

# may a fact be more or missing while other versions are supported?
sub is_excused_fact
{
	my ($self, $fact, $more) = @_;
	my $waits = $self->{was_back} || $self->{jobs};

	return 1 if $fact =~ /^(enum|view) /;
	return 1 if $more && $fact =~ /^trigger .*schemaver/;
	return 1
	  if $more && $fact =~ /[(" ]schemaver_retained/ && $self->{jobs};

	# what waits for a job, or until what was rolled back is retired
	return $waits && $fact =~ / NOT VALID$/ if $more;
	return $waits && $fact =~ /^(notnull|constraint|index|unique)/;
}

sub check
{
	my ($self) = @_;
	my $changed = $self->{shop}->ask('SELECT schemaver.reconcile()');

	# what reads a whole large table is left to it
	$changed = $self->{shop}->ask('SELECT schemaver.reconcile()')
	  if ($self->{pages} // '') eq '0';
	$self->fault("reconcile() has to do: $changed")
	  if $changed ne "0\n";
	my $deep = $self->{jobs} ? 'false' : 'true';
	my $findings = $self->{shop}->ask("SELECT version, object, finding, detail
		FROM schemaver.verify(deep => $deep) WHERE severity = 'error'");
	$self->fault("verify() finds: $findings") if $findings ne '';
	$self->check_base;
	foreach my $version (@{ $self->{versions} })
	{
		$self->check_version($version) if $version->{client};
	}
	return;
}

# one step on the way, at random, and what is true after it
sub step
{
	my ($self) = @_;
	my $current = $self->{current};
	my @versions = @{ $self->{versions} };
	my @can;
	my $row = $self->{row} = rand() < 0.7 ? $self->leave_row : undef;

	push @can, ('step_new') x ($current == $versions[-1] ? 5 : 1)
	  if @versions < 5;
	push @can, ('step_forward') x 4 if $self->forward_of;
	push @can, ('step_back') x 3
	  if $current != $versions[0];
	push @can, 'step_retire' if @versions > 2 && !$row;
	my $do = pick(@can) // 'step_retire';

	$self->set_pages(pick('0', 'DEFAULT')) if rand() < 0.4;
	$self->$do();
	$self->run_jobs if rand() < 0.7;
	$self->look;
	$self->find_row($row) if $row;
	if (delete $self->{again})
	{
		$self->{row} = undef;
		$self->act("SELECT schemaver.retry(job) FROM schemaver.jobs
			WHERE state = 'failed'");
		$self->run_jobs;
		$self->look;
	}
	$self->check;
	return;
}

# all the way up, and nothing left but the newest
sub end
{
	my ($self) = @_;

	1 while $self->forward_of && $self->step_forward;
	$self->run_jobs;
	$self->look;

	# the nearest ones take the others along
	my $at = $self->{current}{number};
	my ($newer) = grep { $_->{number} > $at } @{ $self->{versions} };
	my ($older) = grep { $_->{number} < $at } reverse @{ $self->{versions} };
	$self->retire($_) foreach grep { defined } $newer, $older;
	$self->run_jobs;
	$self->look;
	$self->check;
	return;
}

sub stop
{
	my ($self) = @_;

	$self->drop($_) foreach @{ $self->{versions} };
	$self->{shop}->quit;
	$self->{master}->demand("DROP DATABASE $self->{name}_shop");
	$self->{master}->quit;
	return;
}

1;
