# Everything that README.md and doc/*.md show in SQL is run as it is shown, and
# gives what is shown.
#
# Blocks marked as sql run one after the other.  One that begins with CREATE
# TABLE or CREATE EXTENSION begins anew: in an empty database "shop", with the
# extension but where it creates that itself.  In a block
#
#	-- session 2: ...	the following is what another session says
#	-- => 1 | Ada		what the statement before has returned: columns are
#						separated by " | ", rows by " / "
#	-- ERROR:  ...		the statement before fails, and so; also NOTICE, WARNING,
#						DETAIL, HINT.  A statement that fails without that is wrong.
#
# A block marked as text behind one holds lines of what comes, in their order;
# a line that ends in ... is the beginning of one.  What differs from run to
# run is not compared: times, durations, process numbers, addresses.
#
# <!-- not run: why --> before a block leaves it out; those are counted.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

$ENV{PGAPPNAME} = 'psql';
my $top = "$FindBin::RealBin/../..";
my @files = ("$top/README.md", sort glob "$top/doc/*.md");
my $node = PostgreSQL::Test::Cluster->new('main');
my %sessions;
my %count = (statement => 0, result => 0, message => 0, shown => 0, left => 0);

$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
timezone = 'UTC'
lc_messages = 'C'
max_worker_processes = 20
wal_level = logical
log_statement = 'none'
schemaver.plan_lock_limit = 0
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE shop; CREATE ROLE monitor');

# The blocks of a file: where, heading, text, what is shown behind it
sub blocks_of
{
	my ($file) = @_;
	my (@blocks, $fence, $skip, $heading);
	my $name = $file =~ s{^\Q$top\E/}{}r;
	my $number = 0;

	open my $in, '<', $file or die "$file: $!";
	while (my $line = <$in>)
	{
		$number++;
		if (defined $fence)
		{
			if ($line =~ /^```\s*$/) { undef $fence; }
			elsif ($fence eq 'sql') { $blocks[-1]{text} .= $line; }
			elsif ($fence eq 'text') { $blocks[-1]{shown} .= $line; }
		}
		elsif ($line =~ /^```(\w*)/)
		{
			$fence = $1;
			push @blocks, { where => "$name:$number", text => '', shown => '',
				heading => $heading, skip => $skip, line => $number }
			  if $fence eq 'sql';
			die "$name:$number: shows the output of nothing"
			  if $fence eq 'text' && !@blocks;
			undef $skip;
		}
		elsif ($line =~ /^#+ (.*)/) { $heading = $1; }
		elsif ($line =~ /^<!-- not run: (.*) -->/) { $skip = $1; }
	}
	die "$name: a block has no end" if defined $fence;
	return @blocks;
}

# A block's statements: each a text, a session, and what it is to give
sub statements_of
{
	my ($block) = @_;
	my ($text, $session) = ($block->{text}, 1);
	my (@statements, $statement);
	my $begin = sub {
		$statement = { text => '', session => $session, results => undef,
			messages => [] };
	};

	$begin->();
	while ($text =~ /\G(
		  --[^\n]* | \/\*.*?\*\/ | '(?:[^']|'')*' | "(?:[^"]|"")*"
		| \$(\w*)\$.*?\$\2\$ | ; | \\[^\n]*\n | [^-\/'"\$;\\]+ | . )/gsx)
	{
		my $token = $1;
		my $last = $statement->{text} =~ /^\s*$/ ? $statements[-1] : $statement;

		if ($token =~ /^-- session (\d+)/)
		{
			$session = $1;
			$begin->();
		}
		elsif ($token =~ /^-- => ?(.*)/)
		{
			$last->{results} .= ($last->{results} ? ' / ' : '') . $1;
		}
		elsif ($token =~ /^-- ((?:ERROR|NOTICE|WARNING|DETAIL|HINT): .*)/)
		{
			push @{ $last->{messages} }, $1;
		}
		elsif ($token =~ /^--/) { }
		elsif ($token eq ';' ||
			$token =~ /^\\/ && $statement->{text} =~ /^\s*$/)
		{
			$statement->{text} .= $token;
			push @statements, $statement;
			$begin->();
		}
		else { $statement->{text} .= $token; }
	}
	die "$block->{where}: a statement has no end: $statement->{text}"
	  if $statement->{text} =~ /\S/;
	return @statements;
}

# What cannot be the same twice, made the same
sub normal
{
	my ($text) = @_;

	for ($text)
	{
		s/^psql:<stdin>:\d+: //mg;
		s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00/TIME/g;
		s/\b\d+(\.\d+)? (ms|s)\b/DURATION/g;
		s/process(es)? \d+/process PID/g;
		s/from [\w.]+ \(/from ADDRESS (/g;
		s/\bby (dba|postgres)\b/by WHO/gi;
		s/TIME \w+:/TIME WHO:/g;
		s/[+-]*-\+-[+-]*|-\[ RECORD (\d+) \][-+]*/'RULE' . ($1 || '')/ge;
		s/ *\+?\n +\| ?/ /g if /RULE\d/;
		s/","/", "/g;
		s/ +/ /g;
		s/^ +| +$//mg;
	}
	return $text;
}

sub session
{
	my ($number) = @_;

	$sessions{$number} //= $node->background_psql('shop', on_error_stop => 0);
	return $sessions{$number};
}

sub begin_anew
{
	my ($has_extension) = @_;

	$_->quit foreach values %sessions;
	%sessions = ();
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS shop (FORCE)');
	$node->safe_psql('postgres', 'CREATE DATABASE shop');
	$node->safe_psql('shop', 'CREATE EXTENSION schemaver') if $has_extension;
	return;
}

# Run one statement; what it has returned, and what it was told
sub run
{
	my ($statement, $format) = @_;
	my $psql = session($statement->{session});

	$psql->query("$format\n");
	$psql->{stderr} = '';
	my $out = $psql->query("$statement->{text}\n");
	my $err = $psql->{stderr};
	$psql->{stderr} = '';
	return ($out, $err);
}

# psql's settings: rows to compare, or the table that is shown
sub format_for
{
	my ($block, $statement) = @_;
	my $records = $block->{shown} =~ /^-\[ RECORD/m ? 'on' : 'off';

	return q{\pset format unaligned \pset tuples_only on}
	  . q{ \pset fieldsep ' | ' \pset recordsep ' / ' \x off}
	  if !$block->{shown} || defined $statement->{results};
	return q{\pset format aligned \pset tuples_only off \pset footer off }
	  . "\\x $records";
}

sub check_statement
{
	my ($block, $statement) = @_;
	my ($out, $err) = run($statement, format_for($block, $statement));
	my $short = substr $statement->{text} =~ s/\s+/ /gr, 0, 60;
	my $where = "$block->{where}: $short";
	my $fails = grep { /^ERROR/ } @{ $statement->{messages} };
	my $shows_error = $block->{shown} =~ /^ERROR: /m;

	$count{statement}++;
	if ($err =~ /ERROR: |FATAL: |PANIC: /)
	{
		ok($fails || $shows_error, "$where: fails as it says")
		  or diag($err);
	}
	elsif ($fails)
	{
		fail("$where: must fail");
	}
	if (defined $statement->{results})
	{
		$count{result}++;
		is(normal($out), normal($statement->{results}), $where);
	}
	foreach my $message (@{ $statement->{messages} })
	{
		my $expected = normal($message) =~ s/ ?\.\.\.$//r;

		$count{message}++;
		ok(index(normal($err), $expected) >= 0, "$where: $message")
		  or diag($err);
	}
	return "$out\n$err";
}

# Are these lines among what came, in this order?
sub check_shown
{
	my ($block, $came) = @_;
	my @lines = split /\n/, normal($came);

	foreach my $line (grep { /\S/ } split /\n/, normal($block->{shown}))
	{
		my $begins = $line =~ s/ ?\.\.\.$//;

		$count{shown}++;
		while (@lines && ($begins ? index($lines[0], $line) != 0
			: $lines[0] ne $line))
		{
			shift @lines;
		}
		if (!@lines)
		{
			fail("$block->{where}: shows \"$line\"");
			diag("what came:\n" . normal($came));
			return;
		}
		shift @lines;
	}
	pass("$block->{where}: gives what is shown");
	return;
}

foreach my $block (map { blocks_of($_) } @files)
{
	my $came = '';

	if ($block->{skip})
	{
		$count{left}++;
		note("$block->{where}: not run: $block->{skip}");
		next;
	}
	begin_anew($block->{text} !~ /\bCREATE EXTENSION schemaver\b/)
	  if $block->{text} =~ /^(--[^\n]*\n)*CREATE (TABLE|EXTENSION)\b/;
	$came .= check_statement($block, $_) foreach statements_of($block);
	check_shown($block, $came) if $block->{shown};
}

note(join ', ', map { "$_: $count{$_}" } sort keys %count);
cmp_ok($count{statement}, '>=', 220, 'statements are run');
cmp_ok($count{result} + $count{message} + $count{shown},
	'>=', 120, 'and what they give is compared');
cmp_ok($count{left}, '<=', 3, 'few blocks are left out');

# Every link leads to a heading or a file that is there
my %anchors;
foreach my $file (@files)
{
	my $text = slurp_file($file);

	while ($text =~ /^#+ (.*)$/mg)
	{
		my $anchor = lc $1;

		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ s/ /-/g;
		$anchors{$file}{$anchor} = 1;
	}
}
foreach my $file (@files)
{
	my $text = slurp_file($file) =~ s/^```.*?^```//gmsr;
	my $folder = $file =~ s{/[^/]*$}{}r;

	while ($text =~ /\]\(([^)#\s]*)(?:#([^)\s]*))?\)/g)
	{
		my ($path, $anchor) = ($1, $2);
		my $target = $path eq '' ? $file : "$folder/$path";

		next if $path =~ /^https?:/;
		$target =~ s{/doc/\.\./}{/};
		ok(-e $target && (!defined $anchor || $anchors{$target}{$anchor}),
			"$file leads to $path" . (defined $anchor ? "#$anchor" : ''));
	}
}

# The reference speaks of everything that the extension has
$node->safe_psql('postgres', 'CREATE EXTENSION schemaver');
my $all = join '', map { slurp_file($_) } @files;
foreach my $name (split /\n/, $node->safe_psql('postgres', q{
	SELECT proname || '(' FROM pg_proc
	WHERE pronamespace = 'schemaver'::regnamespace
		AND has_function_privilege('pg_monitor', oid, 'EXECUTE') IS NOT NULL
		AND obj_description(oid, 'pg_proc') IS NOT NULL AND prokind <> 'a'
	UNION ALL
	SELECT format('| `%s` |', relname) FROM pg_class
	WHERE relnamespace = 'schemaver'::regnamespace AND relkind = 'v'
	UNION ALL
	SELECT format('| `%s` |', name) FROM pg_settings
	WHERE name LIKE 'schemaver.%'
	UNION ALL
	SELECT format('`%s', attname) FROM pg_attribute
		JOIN pg_class ON pg_class.oid = attrelid
	WHERE relnamespace = 'schemaver'::regnamespace
		AND (relkind = 'v' OR relname IN ('step', 'finding'))
		AND attnum > 0}))
{
	ok(index($all, $name) >= 0, "$name is documented");
}

$_->quit foreach values %sessions;
$node->stop;
done_testing();
