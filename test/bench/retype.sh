# test/bench/retype.sh: the primary key of a large table becomes a bigint,
# with a foreign key that points at it, while two versions work
#
# Eight pgbench clients of version 1 read, update, insert and delete in both
# tables before, while and after the migration runs and its jobs are done;
# eight of version 2 as soon as that is ready.  Whoever waits for a lock for
# 100 ms is told of by the server's log.

retype_rows=${BENCH_ROWS:-5000000}

retype_tables()
{
	sql -c "
		CREATE TABLE parent (id integer PRIMARY KEY, note text NOT NULL,
			visits integer NOT NULL DEFAULT 0);
		CREATE TABLE child (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
			parent_id integer NOT NULL REFERENCES parent ON DELETE CASCADE);
		CREATE SEQUENCE number START 100000000;
		INSERT INTO parent SELECT i, 'note ' || i
			FROM generate_series(1, $retype_rows) AS i;
		INSERT INTO child (parent_id) SELECT 1 + i % $retype_rows
			FROM generate_series(1, $retype_rows / 5) AS i;
		CREATE INDEX ON child (parent_id)" \
		-c 'VACUUM ANALYZE' -c 'CHECKPOINT'
	sql -c "SELECT schemaver.apply('SELECT 1', '1.1', 'shop')" >/dev/null
}

retype_application()
{
	cat >"$scratch/read.sql" <<-SQL
		\\set id random(1, $retype_rows)
		SELECT p.note, count(c.id) FROM parent AS p
			LEFT JOIN child AS c ON c.parent_id = p.id
			WHERE p.id = :id GROUP BY p.id, p.note;
	SQL
	cat >"$scratch/update.sql" <<-SQL
		\\set id random(1, $retype_rows)
		UPDATE parent SET visits = visits + 1 WHERE id = :id;
	SQL
	cat >"$scratch/family.sql" <<-'SQL'
		BEGIN;
		SELECT nextval('number') AS id \gset
		INSERT INTO parent (id, note) VALUES (:id, 'new');
		INSERT INTO child (parent_id) VALUES (:id);
		END;
		DELETE FROM parent WHERE id = :id;
	SQL
}

# retype_clients VERSION: until there is a file "stop", at a rate that leaves
# the jobs a core
retype_clients()
{
	while [ ! -e "$scratch/stop" ]
	do
		PGOPTIONS="-c schemaver.app=shop/$1" pgbench -n -M prepared -c 8 \
			-R "${BENCH_RATE:-200}" -T 20 --log \
			--log-prefix="$scratch/retype_$1" -f "$scratch/read.sql@6" \
			-f "$scratch/update.sql@3" -f "$scratch/family.sql@1" \
			>>"$scratch/retype_$1.out" 2>&1
	done
}

# what failed by pgbench's count, and clients that gave up
retype_failed()
{
	awk '/^number of failed transactions:/ { n += $5 }
		/aborted/ { n++; print >"/dev/stderr" }
		END { print n + 0 }' "$scratch"/retype_*.out
}

# how often a client waited for a lock for 100 ms
retype_held_up()
{
	grep -c ' pgbench .* still waiting for ' "$scratch/server.log" || true
}

retype_longest()
{
	cat "$scratch"/retype_*.[0-9]* | awk '{ v = $3 / 1000 - $6 / 1000 }
		v > most { most = v } END { printf "%.0f\n", most }'
}

bench_retype()
{
	local begin applied ready old new waits

	sql -d postgres -c "ALTER SYSTEM SET deadlock_timeout = '100ms'" \
		-c 'ALTER SYSTEM SET log_lock_waits = on' \
		-c "ALTER SYSTEM SET log_line_prefix = '%m [%p] %a '" \
		-c 'SELECT pg_reload_conf()' >/dev/null
	rm -f "$scratch"/retype_* "$scratch/stop"
	fresh_shop
	retype_tables
	retype_application
	waits=$(retype_held_up)
	retype_clients 1.1 &
	old=$!
	sleep 3
	begin=$EPOCHREALTIME
	sql -c "SELECT schemaver.apply(
		'ALTER TABLE parent ALTER id TYPE bigint', '2', 'shop')" >/dev/null
	applied=$(calculate "($EPOCHREALTIME - $begin) * 1000" %.0f)
	sql -c "SELECT schemaver.wait_until_ready('2')" >/dev/null
	ready=$(calculate "$EPOCHREALTIME - $begin" %.0f)
	retype_clients 2 &
	new=$!
	sleep "$seconds"
	touch "$scratch/stop"
	wait "$old" "$new" || true
	report "int to bigint of $retype_rows keys: apply() took" "$applied" \
		'< 1000' ms
	report "and the jobs" "$ready" '> 0' s
	report 'transactions of both versions meanwhile' \
		"$(cat "$scratch"/retype_*.[0-9]* | wc -l)" '> 0'
	report 'of which failed' "$(retype_failed)" '== 0'
	report 'waits for a lock of 100 ms or more' \
		"$(($(retype_held_up) - waits))" '== 0'
	report 'longest transaction (with all else the machine does)' \
		"$(retype_longest)" '> 0' ms
	report 'rows that the versions see differently' "$(sql -c "
		SELECT count(*) FROM parent
		WHERE id IS DISTINCT FROM schemaver_retained_id")" '== 0'
	sql -d postgres -c 'ALTER SYSTEM RESET ALL' \
		-c 'SELECT pg_reload_conf()' >/dev/null
}
