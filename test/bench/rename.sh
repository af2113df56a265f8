# test/bench/rename.sh: an application works through renames
#
# Eight pgbench clients of version 1 read and write while person.last_name is
# renamed to surname and back, thirty times, in each of pgbench's protocols.
# Then once more, prepared, while a session that has read the table sits in
# its transaction for four seconds: how long do the application's transactions
# take from the moment that apply() is called until it returns?

rename_script()
{
	if [ $(($1 % 2)) = 0 ]
	then
		echo "ALTER TABLE person RENAME COLUMN last_name TO surname"
	else
		echo "ALTER TABLE person RENAME COLUMN surname TO last_name"
	fi
}

rename_application()
{
	cat >"$scratch/read.sql" <<-'SQL'
		\set id random(1, 100000)
		SELECT first_name, last_name FROM person WHERE id = :id;
	SQL
	cat >"$scratch/update.sql" <<-'SQL'
		\set id random(1, 100000)
		UPDATE person SET last_name = 'Name ' || :id WHERE id = :id;
	SQL
	cat >"$scratch/insert.sql" <<-'SQL'
		INSERT INTO person (first_name, last_name) VALUES ('Ada', 'Lovelace');
	SQL
}

# rename_clients PROTOCOL SECONDS [OPTION...]
rename_clients()
{
	local protocol=$1 duration=$2

	shift 2
	PGOPTIONS='-c schemaver.app=shop/1' pgbench -n -M "$protocol" -c 8 -j 2 \
		-T "$duration" -f "$scratch/read.sql@6" -f "$scratch/update.sql@3" \
		-f "$scratch/insert.sql@1" "$@" >"$scratch/pgbench.out" 2>&1
}

rename_processed()
{
	sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' \
		"$scratch/pgbench.out" | grep . || echo 0
}

# what failed by pgbench's count, and clients that gave up
rename_failed()
{
	awk '/^number of failed transactions:/ { n += $5 }
		/client [0-9]+ (script [0-9]+ )?aborted/ { n++; print >"/dev/stderr" }
		END { print n + 0 }' "$scratch/pgbench.out"
}

rename_through()
{
	local protocol=$1 clients version

	fresh_shop
	rename_clients "$protocol" 30 &
	clients=$!
	sleep 1
	for version in $(seq 2 31)
	do
		sql -c "SELECT schemaver.apply(
			'$(rename_script "$version")', '$version', 'shop')" >/dev/null
		sleep 0.3
	done
	kill -0 "$clients" || die "the clients did not last through the renames"
	wait "$clients" || true
	report "$protocol: transactions through 30 renames" \
		"$(rename_processed)" '>= 30000'
	report "$protocol: of which failed" "$(rename_failed)" '== 0'
}

# p99.9 in ms of the transactions that ran, wholly or partly, between two
# moments in seconds; pgbench logs the end of each and how many us it took
rename_percentile()
{
	cat "$scratch"/log.* | awk -v from="$1" -v to="$2" '
		{ end = $5 + $6 / 1e6; start = end - $3 / 1e6 }
		end >= from && start <= to { print $3 / 1000 }' | sort -g |
		awk '{ v[NR] = $1 } END { print v[int(NR * 0.999) + 1] }'
}

rename_beside_reader()
{
	local version round reader clients from to percentiles=() waits=()

	fresh_shop
	for round in $(seq "$rounds")
	do
		version=$((round + 1))
		rm -f "$scratch"/log.*
		rename_clients prepared 8 --log --log-prefix="$scratch/log" &
		clients=$!
		sleep 1
		sql -c 'BEGIN' -c 'SELECT count(*) FROM person' \
			-c 'SELECT pg_sleep(4)' -c 'COMMIT' >/dev/null &
		reader=$!
		sleep 0.5
		from=$(date +%s.%N)
		sql -c "SELECT schemaver.apply(
			'$(rename_script "$version")', '$version', 'shop')" >/dev/null
		to=$(date +%s.%N)
		wait "$reader" "$clients" || die "$(cat "$scratch/pgbench.out")"
		percentiles+=("$(rename_percentile "$from" "$to")")
		waits+=("$(calculate "$to - $from")")
	done
	report "p99.9 during apply() beside a 4 s reader" \
		"$(median "${percentiles[@]}")" '< 100' ms
	report "apply() itself waits for the reader" \
		"$(median "${waits[@]}")" '>= 3' s
}

bench_rename()
{
	local protocol

	rename_application
	for protocol in simple extended prepared
	do
		rename_through "$protocol"
	done
	rename_beside_reader
}
