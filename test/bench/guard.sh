# test/bench/guard.sh: what the guard adds to a DDL command
#
# A product of 1,000 tables with ten live versions, which differ by a column
# each.  The statements change nothing that a version would notice, so that
# what is measured is finding that out.

guard_database()
{
	local version

	sql -d postgres -c 'DROP DATABASE IF EXISTS shop WITH (FORCE)' \
		-c 'CREATE DATABASE shop'
	sql -c 'CREATE EXTENSION schemaver' -c "
		DO \$\$
		BEGIN
			CREATE SCHEMA elsewhere;
			FOR i IN 0..999 LOOP
				EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY,
					a text NOT NULL, b integer DEFAULT 0,
					c timestamptz, CHECK (b >= 0))', i);
				EXECUTE format('CREATE TABLE elsewhere.t%s (id bigint
					PRIMARY KEY, a text)', i);
			END LOOP;
		END
		\$\$" \
		-c "SELECT schemaver.create_product('shop')" \
		-c "SELECT schemaver.baseline('1', 'shop')" >/dev/null
	for version in $(seq 2 10)
	do
		hold 1 "shop/$((version - 1))"
		sql -c "SELECT schemaver.apply(
			'ALTER TABLE t$version ADD COLUMN d$version text',
			'$version', 'shop')" >/dev/null
		release
	done
	sql -c 'VACUUM ANALYZE'
}

# guard_compare WHAT STATEMENT...: in turns without and with the guard
guard_compare()
{
	local what=$1 round off on added=()

	shift
	for round in $(seq "$rounds")
	do
		off=$(PGOPTIONS='-c schemaver.guard=off' \
			"$scratch/client" latency 500 "$@")
		on=$("$scratch/client" latency 500 "$@")
		added+=("$(calculate "$on - $off")")
	done
	report "$what: added to $off ms" "$(median "${added[@]}")" '<= 2' ms
}

bench_guard()
{
	guard_database
	hold 10 shop/1 shop/2 shop/3 shop/4 shop/5 shop/6 shop/7 shop/8 shop/9 \
		shop/10
	guard_compare "ALTER TABLE of no product" \
		"ALTER TABLE elsewhere.t# ADD COLUMN x integer" \
		"ALTER TABLE elsewhere.t# DROP COLUMN x"
	guard_compare "ALTER TABLE in ten contracts" \
		"ALTER TABLE t# ALTER COLUMN a SET STATISTICS 200" \
		"ALTER TABLE t# ALTER COLUMN a SET STATISTICS 100"
	guard_compare "CREATE and DROP TABLE in a base schema" \
		"CREATE TABLE new_# (id integer)" "DROP TABLE new_#"
	release
}
