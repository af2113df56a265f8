# test/bench/backfill.sh: a backfill by batches against one single UPDATE, and
# what an application beside it notices
#
# The table is made anew for each, so that both find it packed alike.  The
# application reads and updates random rows, first at a rate that leaves it
# room, so that its latency counts from when a transaction was due, then as
# fast as it can.

backfill_rows=${BENCH_ROWS:-5000000}
backfill_rate=${BENCH_RATE:-200}

backfill_table()
{
	sql -c 'DROP TABLE IF EXISTS big' -c "
		CREATE TABLE big (id bigint PRIMARY KEY, a integer, b bigint, t text)" \
		-c "INSERT INTO big
			SELECT i, i, NULL, repeat('x', 50)
			FROM generate_series(1, $backfill_rows) AS i" \
		-c 'VACUUM ANALYZE big' -c 'CHECKPOINT'
}

# leave the job; a worker begins at once
backfill_start()
{
	sql -c "INSERT INTO schemaver.db_job (product_id, version_id, kind,
			schema, relation, name, definition)
		SELECT product_id, id, 'backfill', 'public', 'big', 'b', 'a::bigint'
		FROM schemaver.db_schema_version WHERE version::text = '1'" \
		-c 'SELECT count(*) FROM schemaver.status()' >/dev/null
}

# seconds that a worker needs for all of it
backfill_time()
{
	local begin=$EPOCHREALTIME

	backfill_start
	sql -c "SELECT schemaver.wait_until_ready('1')" >/dev/null
	calculate "$EPOCHREALTIME - $begin"
}

update_time()
{
	local begin=$EPOCHREALTIME

	sql -c 'UPDATE big SET b = a::bigint'
	calculate "$EPOCHREALTIME - $begin"
}

# p99 in ms of transactions of an application; how pgbench is to run them
backfill_p99()
{
	rm -f "$scratch"/latency.*
	cat >"$scratch/backfill.sql" <<-SQL
		\\set one random(1, $backfill_rows)
		\\set other random(1, $backfill_rows)
		SELECT t FROM big WHERE id = :one;
		UPDATE big SET t = t WHERE id = :other;
	SQL
	pgbench -n -c 4 -M prepared "$@" -T $((2 * seconds)) \
		-l --log-prefix="$scratch/latency" -f "$scratch/backfill.sql" \
		shop >/dev/null 2>"$scratch/pgbench.log" ||
		die "$(cat "$scratch/pgbench.log")"
	cat "$scratch"/latency.* | awk '{ print $3 / 1000 }' | sort -g |
		awk '{ v[NR] = $1 } END { print v[int(NR * 0.99) + 1] }'
}

bench_backfill()
{
	local round single batches paced full speed=() tail=() full_tail=()

	fresh_shop
	for round in $(seq "$rounds")
	do
		backfill_table
		single=$(update_time)
		backfill_table
		batches=$(backfill_time)
		speed+=("$(calculate "$single / $batches")")

		backfill_table
		paced=$(backfill_p99 -R "$backfill_rate")
		full=$(backfill_p99)
		backfill_start
		tail+=("$(calculate \
			"$(backfill_p99 -R "$backfill_rate") / $paced")")
		full_tail+=("$(calculate "$(backfill_p99) / $full")")
		[ "$(sql -c "SELECT count(*) FROM schemaver.jobs
			WHERE state = 'running'")" = 1 ] ||
			die "the backfill was too short: set BENCH_ROWS higher"
		sql -c "SELECT schemaver.wait_until_ready('1')" >/dev/null
	done
	report "backfill of $backfill_rows rows: speed of one UPDATE" \
		"$(median "${speed[@]}")" '>= 0.9'
	report "p99 at $backfill_rate a second beside it, alone $paced ms" \
		"$(median "${tail[@]}")" '<= 1.5'
	report "p99 at full speed beside it, alone $full ms" \
		"$(median "${full_tail[@]}")" '<= 1.5'
}
