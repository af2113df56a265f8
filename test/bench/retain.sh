# test/bench/retain.sh: a drop that retains against a rename, and retirement
#
# apply() of a script that drops a column or a table and of one that renames
# it, each in a transaction that is rolled back, in turns, on a table of ten
# rows and on one of BENCH_ROWS (3,000,000, some 300 MB): to put away must take
# no longer than to rename, whatever the size.  Then retire() of a hundred
# versions of which each has fifty views, in turns with DROP SCHEMA of a
# hundred schemas with as many views that nobody but the server knows of.

# time_undone DATABASE STATEMENT: its milliseconds, rolled back
time_undone()
{
	sql -d "$1" -c 'BEGIN' -c '\timing on' -c "$2" -c '\timing off' \
		-c 'ROLLBACK' | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

# retain_time SCRIPT: milliseconds of apply(), rolled back
retain_time()
{
	time_undone shop "SELECT schemaver.apply('$1')"
}

# retain_compare WHAT DROP RENAME
retain_compare()
{
	local ratios=() round dropped renamed

	retain_time "$2" >/dev/null
	retain_time "$3" >/dev/null
	for round in $(seq "$rounds")
	do
		dropped=$(retain_time "$2")
		renamed=$(retain_time "$3")
		ratios+=("$(calculate "$dropped / $renamed")")
	done
	report "$1: DROP, retained, to RENAME" "$(median "${ratios[@]}")" '<= 2'
}

retain_sizes()
{
	local table

	fresh_shop
	sql -c 'CREATE TABLE small (id int PRIMARY KEY, a text NOT NULL, b int)' \
		-c 'CREATE TABLE large (id int PRIMARY KEY, a text NOT NULL, b int)' \
		-c "INSERT INTO small SELECT i, repeat('x', 60), i
			FROM generate_series(1, 10) AS i" \
		-c "INSERT INTO large SELECT i, repeat('x', 60), i
			FROM generate_series(1, ${BENCH_ROWS:-3000000}) AS i" \
		-c "SELECT schemaver.apply('SELECT 1', '2')" \
		-c "SELECT schemaver.register('2')" >/dev/null
	for table in small large
	do
		retain_compare "column of a $table table" \
			"ALTER TABLE $table DROP COLUMN a" \
			"ALTER TABLE $table RENAME COLUMN a TO c"
		retain_compare "$table table" "DROP TABLE $table" \
			"ALTER TABLE $table RENAME TO other"
	done
}

# in a database of their own, a hundred schemas of fifty views each
plain_versions()
{
	sql -d postgres -c 'DROP DATABASE IF EXISTS plain WITH (FORCE)' \
		-c 'CREATE DATABASE plain'
	sql -d plain -c 'ALTER DATABASE plain SET client_min_messages = warning'
	sql -d plain <<'SQL'
CREATE FUNCTION make_versions() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 50 LOOP
		EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, a int, b int)', i);
	END LOOP;
	FOR v IN 1 .. 100 LOOP
		EXECUTE format('CREATE SCHEMA shop_%s', v);
		FOR i IN 1 .. 50 LOOP
			EXECUTE format('CREATE VIEW shop_%s.t%s AS SELECT id, a, b FROM t%2$s',
				v, i);
		END LOOP;
	END LOOP;
END $$;
CREATE FUNCTION drop_versions() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR v IN 1 .. 100 LOOP
		EXECUTE format('DROP SCHEMA shop_%s CASCADE', v);
	END LOOP;
END $$;
SELECT make_versions();
SQL
}

# a hundred versions that nothing has changed for, then one change for all
retain_versions()
{
	local times=() ratios=() retired dropped round

	fresh_shop
	plain_versions
	sql >/dev/null <<'SQL'
SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, a int, b int)', i)
FROM generate_series(1, 50) AS i \gexec
DO $$
BEGIN
	FOR i IN 2 .. 101 LOOP
		PERFORM schemaver.apply('SELECT ' || i, i::text::schemaver.version);
		PERFORM schemaver.register(i::text::schemaver.version);
		PERFORM schemaver.unregister();
	END LOOP;
END $$;
SELECT schemaver.apply(string_agg(format('ALTER TABLE t%s DROP COLUMN b', i),
	';'), '102')
FROM generate_series(1, 50) AS i;
SQL
	[ "$(sql -c "SELECT count(*) >= 5000 FROM pg_class WHERE relkind = 'v'
		AND relnamespace::regnamespace::text LIKE 'shop%'")" = t ] ||
		die 'there should be 5,000 views'
	for round in $(seq "$rounds")
	do
		retired=$(time_undone shop "SELECT schemaver.retire('101')")
		dropped=$(time_undone plain 'SELECT drop_versions()')
		times+=("$retired")
		ratios+=("$(calculate "$retired / $dropped")")
	done
	report 'retire() of 100 versions with 50 views each' \
		"$(median "${times[@]}")" '<= 1000' ms
	report 'the same to DROP SCHEMA of 100 schemas with 50 views each' \
		"$(median "${ratios[@]}")" '<= 2'
}

bench_retain()
{
	retain_sizes
	retain_versions
}
