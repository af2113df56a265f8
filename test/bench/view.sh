# test/bench/view.sh: an older version's view against the table itself
#
# Point SELECT and UPDATE by primary key, prepared, two clients; the table by
# sessions of the newest version, the view by those of the one before.  A
# round is BENCH_SECONDS of each in slices of one second, in turns, and who
# goes first changes: a machine that gets slower or faster meanwhile favours
# neither.

# view_slice VERSION FILE: transactions per second
view_slice()
{
	PGOPTIONS="-c schemaver.app=shop/$1" pgbench -n -M prepared -c 2 -j 1 \
		-T 1 -f "$2" | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# view_round: the ratio, by the scripts that view_compare has written
view_round()
{
	local table=0 view=0 slice turn

	sql -c 'VACUUM person'
	for slice in $(seq "$seconds")
	do
		for turn in 0 1
		do
			if [ $(((slice + turn) % 2)) = 0 ]
			then
				table="$table + $(view_slice 2 "$scratch/surname.sql")"
			else
				view="$view + $(view_slice 1 "$scratch/last_name.sql")"
			fi
		done
	done
	calculate "($view) / ($table)"
}

# view_compare WHAT STATEMENT: COLUMN in it is the column
view_compare()
{
	local ratios=() round name

	for name in last_name surname
	do
		printf '\\set id random(1, 100000)\n%s\n' "${2//COLUMN/$name}" \
			>"$scratch/$name.sql"
	done
	view_round >/dev/null
	for round in $(seq "$rounds")
	do
		ratios+=("$(view_round)")
	done
	report "$1: transactions through the view to the table" \
		"$(median "${ratios[@]}")" '>= 0.95'
}

bench_view()
{
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
