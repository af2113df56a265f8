# test/bench/sync.sh: keeping two columns in step against not doing so
#
# One INSERT and one UPDATE of BENCH_ROWS rows, a million if not set, by a
# session of the older version, which writes an integer that the newer one has
# as a bigint: without a trigger, with the trigger of sync.c, and with the
# pair of PL/pgSQL triggers that tools outside the server make: one for each
# direction, which tells the writer's version by its search_path, declares
# every column of the row as a variable, and assigns the expression.  A round
# is one of each, in turns, on a new table; who goes first changes.

sync_rows=${BENCH_ROWS:-1000000}

# sync_function NAME CONDITION COLUMN EXPRESSION: one trigger of the pair
sync_function()
{
	sql -c "CREATE FUNCTION $1() RETURNS trigger LANGUAGE plpgsql AS \$\$
		DECLARE
			id person.id%TYPE := NEW.id;
			name person.name%TYPE := NEW.name;
			email person.email%TYPE := NEW.email;
			born person.born%TYPE := NEW.born;
			points person.points%TYPE := NEW.points;
			points_new person.points_new%TYPE := NEW.points_new;
			path text;
		BEGIN
			SELECT current_setting INTO path
				FROM current_setting('search_path');
			IF path $2 'shop_2' THEN
				NEW.$3 = $4;
			END IF;
			RETURN NEW;
		END \$\$"
}

# sync_table KIND: a new table, of which the trigger is of a kind
sync_table()
{
	sql -c 'DROP TABLE IF EXISTS person CASCADE' -c 'CREATE TABLE person (
		id bigint PRIMARY KEY, name text NOT NULL, email text NOT NULL,
		born date, points integer, points_new bigint)
		WITH (autovacuum_enabled = off)'
	case $1 in
	c)
		sql -c "CREATE TRIGGER \"~schemaver_sync\"
			BEFORE INSERT OR UPDATE ON person FOR EACH ROW
			EXECUTE FUNCTION schemaver.sync('points', 'points_new',
				'points::bigint', 'points_new::integer', 'shop', '1', 'new')"
		;;
	plpgsql)
		sql -c 'DROP FUNCTION IF EXISTS person_up, person_down'
		sync_function person_up '<>' points_new 'points::bigint'
		sync_function person_down '=' points 'points_new::integer'
		for name in person_down person_up
		do
			sql -c "CREATE TRIGGER $name BEFORE INSERT OR UPDATE ON person
				FOR EACH ROW EXECUTE FUNCTION $name()"
		done
		;;
	esac
}

# sync_time STATEMENT: milliseconds that it takes version 1
sync_time()
{
	PGOPTIONS='-c schemaver.app=shop/1' psql -X -q -At -v ON_ERROR_STOP=1 \
		-c '\timing on' -c "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
}

# sync_measure KIND: one INSERT and one UPDATE, to inserts[KIND], updates[KIND]
sync_measure()
{
	sync_table "$1"
	sql -c CHECKPOINT
	inserts[$1]=$(sync_time "INSERT INTO person (id, name, email, born, points)
		SELECT i, 'Name ' || i, 'name' || i || '@example.com',
			date '1970-01-01' + i % 10000, i
		FROM generate_series(1, $sync_rows) AS i")
	sql -c 'VACUUM ANALYZE person' -c CHECKPOINT
	updates[$1]=$(sync_time 'UPDATE person SET points = points + 1')
	[ "$1" = plain ] ||
		[ "$(sql -c 'SELECT count(*) FROM person
			WHERE points_new IS DISTINCT FROM points')" = 0 ] ||
		die "the columns are not in step"
}

bench_sync()
{
	local -A inserts updates
	local insert_c=() insert_plpgsql=() update_c=() update_plpgsql=()
	local round kind kinds=(plain c plpgsql)

	fresh_shop
	# the product has nothing of its own but the version
	sql -c 'DROP TABLE person'
	for round in $(seq "$rounds")
	do
		for kind in "${kinds[@]}"
		do
			sync_measure "$kind"
		done
		kinds=("${kinds[@]:1}" "${kinds[0]}")
		insert_c+=("$(calculate "${inserts[c]} / ${inserts[plain]}")")
		update_c+=("$(calculate "${updates[c]} / ${updates[plain]}")")
		insert_plpgsql+=("$(calculate "${inserts[plpgsql]} / ${inserts[plain]}")")
		update_plpgsql+=("$(calculate "${updates[plpgsql]} / ${updates[plain]}")")
	done
	report "UPDATE of $sync_rows rows in step to one without" \
		"$(median "${update_c[@]}")" '<= 1.4'
	report "INSERT of $sync_rows rows in step to one without" \
		"$(median "${insert_c[@]}")" '<= 1.5'
	report "UPDATE by a pair of PL/pgSQL triggers, for comparison" \
		"$(median "${update_plpgsql[@]}")" '>= 0'
	report "INSERT by a pair of PL/pgSQL triggers, for comparison" \
		"$(median "${insert_plpgsql[@]}")" '>= 0'
}
