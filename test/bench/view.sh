# test/bench/view.sh: an older version's view against the table itself
#
# Point SELECT and UPDATE by primary key, prepared, two clients; the table by
# sessions of the newest version, the view by those of the one before, in
# turns.

# view_run VERSION FILE: transactions per second
view_run()
{
	PGOPTIONS="-c schemaver.app=shop/$1" pgbench -n -M prepared -c 2 -j 1 \
		-T "$seconds" -f "$2" | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# view_compare WHAT STATEMENT: COLUMN in it is the column
view_compare()
{
	local ratios=() table view round

	for name in last_name surname
	do
		printf '\\set id random(1, 100000)\n%s\n' "${2//COLUMN/$name}" \
			>"$scratch/$name.sql"
	done
	for round in $(seq "$rounds")
	do
		sql -c 'VACUUM person'
		table=$(view_run 2 "$scratch/surname.sql")
		sql -c 'VACUUM person'
		view=$(view_run 1 "$scratch/last_name.sql")
		ratios+=("$(calculate "$view / $table")")
	done
	report "$1: transactions through the view to the table" \
		"$(median "${ratios[@]}")" '>= 0.95'
}

bench_view()
{
	local holder

	# version 1 has to have been registered before, or it gives way
	fresh_shop
	hold 1 shop/1
	sql -c "SELECT schemaver.apply(
		'ALTER TABLE person RENAME COLUMN last_name TO surname',
		'2', 'shop')" >/dev/null
	release
	view_compare "point SELECT" \
		"SELECT first_name, COLUMN FROM person WHERE id = :id;"
	view_compare "point UPDATE" \
		"UPDATE person SET COLUMN = 'Name ' || :id WHERE id = :id;"
}
