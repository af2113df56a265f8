# test/bench/retain.sh: a drop that retains against a rename, and retirement
#
# apply() of a script that drops a column or a table and of one that renames
# it, each in a transaction that is rolled back, in turns, on a table of ten
# rows and on one of BENCH_ROWS (3,000,000, some 300 MB): to put away must take
# no longer than to rename, whatever the size.  Then retire() of a hundred
# versions of which each has fifty views.

# retain_time SCRIPT: milliseconds of apply(), rolled back
retain_time()
{
	sql -c 'BEGIN' -c '\timing on' -c "SELECT schemaver.apply('$1')" \
		-c '\timing off' -c 'ROLLBACK' | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
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

# a hundred versions that nothing has changed for, then one change for all
retain_versions()
{
	local times=() round

	fresh_shop
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
		times+=("$(sql -c 'BEGIN' -c '\timing on' \
			-c "SELECT schemaver.retire('101')" -c '\timing off' -c 'ROLLBACK' |
			sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p')")
	done
	report 'retire() of 100 versions with 50 views each' \
		"$(median "${times[@]}")" '<= 1000' ms
}

bench_retain()
{
	retain_sizes
	retain_versions
}
