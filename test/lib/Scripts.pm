# Schemas and migrations that more than one test takes.

package Scripts;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(kinds kinds_script people people_script);

# Things of every kind: those with a number up to the newest go with the
# version of that number, those without are made anew each time.
sub kinds
{
	my ($newest) = @_;
	my $sql = q{
		CREATE TYPE feeling AS ENUM ('ok', 'sad');
		CREATE TABLE item (
			id		serial PRIMARY KEY,
			n		integer NOT NULL DEFAULT 0,
			feeling	feeling NOT NULL DEFAULT 'ok',
			size	integer NOT NULL DEFAULT 1 CHECK (size > 0),
			code	integer CONSTRAINT item_code UNIQUE,
			other	text DEFAULT 'version 1');
		CREATE INDEX item_n ON item (n);
		CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			item integer REFERENCES item, what_1 text NOT NULL);
		CREATE INDEX log_item ON log (item);
		CREATE VIEW overview AS SELECT id, 1 AS generation FROM item;
		CREATE MATERIALIZED VIEW total AS SELECT 1 AS generation;
		CREATE SEQUENCE ticket MAXVALUE 1000000;
		CREATE FUNCTION generation(integer) RETURNS integer LANGUAGE sql
			AS 'SELECT $1 + 1';
	};
	foreach my $m (2 .. $newest)
	{
		$sql .= qq{
			CREATE TYPE type_$m AS ENUM ('a', 'b');
			ALTER TABLE item ADD column_$m text NOT NULL DEFAULT 'c',
				ADD key_$m integer CONSTRAINT item_key_$m UNIQUE,
				ADD index_$m integer, ADD stamp_$m integer,
				ADD typed_$m type_$m;
			CREATE UNIQUE INDEX item_index_$m ON item (index_$m);
			CREATE INDEX item_plain_$m ON item (column_$m);
			CREATE TABLE gone_$m (id serial PRIMARY KEY,
				item integer NOT NULL REFERENCES item ON DELETE CASCADE);
			CREATE VIEW view_$m AS SELECT id, column_$m FROM item;
			CREATE MATERIALIZED VIEW mat_$m AS SELECT $m AS m;
			CREATE SEQUENCE sequence_$m;
			CREATE FUNCTION function_$m(integer) RETURNS integer
				LANGUAGE sql AS 'SELECT \$1 * $m';
			CREATE FUNCTION trigger_$m() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN NEW.stamp_$m := $m; RETURN NEW; END';
			CREATE TRIGGER trigger_$m BEFORE UPDATE ON item
				FOR EACH ROW EXECUTE FUNCTION trigger_$m();};
	}
	return $sql . q{INSERT INTO item (code) SELECT generate_series(1, 500)};
}

# the step of that to version $m
sub kinds_script
{
	my ($m) = @_;
	my $type = $m % 2 ? 'bigint' : 'numeric';
	my $labels = join ', ', map { "'m$_'" } (2 .. $m);

	return qq{
		BEGIN;
		DROP TRIGGER trigger_$m ON item;
		DROP FUNCTION trigger_$m(), function_$m(integer);
		DROP VIEW view_$m;
		DROP MATERIALIZED VIEW mat_$m;
		DROP SEQUENCE sequence_$m;
		DROP TABLE gone_$m;
		DROP INDEX item_index_$m;
		DROP INDEX IF EXISTS item_plain_$m;
		ALTER TABLE item DROP CONSTRAINT item_key_$m, DROP COLUMN column_$m,
			DROP COLUMN typed_$m;
		DROP TYPE type_$m;

		CREATE TYPE feeling_new AS ENUM ('ok', 'sad', $labels);
		ALTER TABLE item ALTER feeling DROP DEFAULT;
		ALTER TABLE item ALTER feeling TYPE feeling_new USING feeling::text::feeling_new;
		ALTER TYPE feeling RENAME TO feeling_old;
		ALTER TYPE feeling_new RENAME TO feeling;
		DROP TYPE feeling_old;
		ALTER TABLE item ALTER feeling SET DEFAULT 'ok';

		ALTER TABLE item ALTER size TYPE $type;
		ALTER TABLE item DROP COLUMN other;
		ALTER TABLE item ADD COLUMN other text DEFAULT 'version $m';
		ALTER TABLE item DROP CONSTRAINT item_code;
		ALTER TABLE item ADD CONSTRAINT item_code UNIQUE (code, index_$m);
		DROP INDEX item_n;
		CREATE INDEX item_n ON item (n, id) WHERE n > $m;
		DROP TABLE log;
		CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			item integer REFERENCES item, what_$m text NOT NULL);
		CREATE INDEX log_item ON log (item, what_$m);
		DROP VIEW overview;
		CREATE VIEW overview AS SELECT $m AS generation, id FROM item;
		DROP MATERIALIZED VIEW total;
		CREATE MATERIALIZED VIEW total AS SELECT $m AS generation;
		DROP SEQUENCE ticket;
		CREATE SEQUENCE ticket START $m MAXVALUE 1000000;
		CREATE OR REPLACE FUNCTION generation(integer) RETURNS integer
			LANGUAGE sql AS 'SELECT \$1 + $m';
		COMMIT;};
}

# People who are called and counted in one way by every other version, and in
# another way by the others.
sub people
{
	return q{
	CREATE TYPE mood AS ENUM ('ok', 'sad');
	CREATE TABLE person (
		id			serial PRIMARY KEY,
		first_name	text NOT NULL,
		last_name	text NOT NULL,
		price		integer NOT NULL CHECK (price >= 0),
		mood		mood NOT NULL DEFAULT 'ok',
		n			integer NOT NULL DEFAULT 1,
		visits		integer NOT NULL DEFAULT 0,
		note_1		text NOT NULL DEFAULT 'note 1');
	CREATE INDEX ON person (price);
	CREATE TABLE extra_1 (
		id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		person integer REFERENCES person ON DELETE CASCADE);
	CREATE TABLE journal (
		person	integer NOT NULL REFERENCES person,
		n		integer NOT NULL,
		version	text NOT NULL,
		name	text NOT NULL,
		price	bigint NOT NULL,
		mood	text NOT NULL,
		PRIMARY KEY (person, n));
	INSERT INTO person (first_name, last_name, price)
	SELECT 'F' || i, 'L' || i, i FROM generate_series(1, 300) AS i;
	};
}

# the step of that to what is so deep in the line of versions
sub people_script
{
	my ($depth) = @_;
	my $before = $depth - 1;
	my $labels = join ', ', map { "'mood $_'" } (2 .. $depth);
	my $names = $depth % 2 == 0 ? q{
		-- schemaver: up person.full_name = first_name || ' ' || last_name
		-- schemaver: down person.first_name = split_part(full_name, ' ', 1)
		-- schemaver: down person.last_name = split_part(full_name, ' ', 2)
		-- schemaver: up person.price = price * 100::bigint
		-- schemaver: down person.price = (price / 100)::integer
		ALTER TABLE person ADD full_name text;
		UPDATE person SET full_name = first_name || ' ' || last_name;
		ALTER TABLE person ALTER full_name SET NOT NULL,
			DROP first_name, DROP last_name,
			ALTER price TYPE bigint USING price * 100::bigint;
	} : q{
		-- schemaver: up person.first_name = split_part(full_name, ' ', 1)
		-- schemaver: up person.last_name = split_part(full_name, ' ', 2)
		-- schemaver: down person.full_name = first_name || ' ' || last_name
		-- schemaver: up person.price = (price / 100)::integer
		-- schemaver: down person.price = price * 100::bigint
		ALTER TABLE person ADD first_name text, ADD last_name text;
		UPDATE person SET first_name = split_part(full_name, ' ', 1),
			last_name = split_part(full_name, ' ', 2);
		ALTER TABLE person ALTER first_name SET NOT NULL,
			ALTER last_name SET NOT NULL, DROP full_name,
			ALTER price TYPE integer USING (price / 100)::integer;
	};

	return $names . qq{
		CREATE TYPE mood_new AS ENUM ('ok', 'sad', $labels);
		ALTER TABLE person ALTER mood DROP DEFAULT,
			ALTER mood TYPE mood_new USING mood::text::mood_new;
		ALTER TYPE mood RENAME TO mood_old;
		ALTER TYPE mood_new RENAME TO mood;
		DROP TYPE mood_old;
		ALTER TABLE person ALTER mood SET DEFAULT 'ok';
		ALTER TABLE person DROP note_$before,
			ADD note_$depth text NOT NULL DEFAULT 'note $depth';
		DROP TABLE extra_$before;
		CREATE TABLE extra_$depth (
			id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			person integer REFERENCES person ON DELETE CASCADE);
	};
}

1;
