# test/bench/apply.sh: real migrations through apply() and plainly
#
# BENCH_SCRIPTS names a directory of <name>/up.sql, to be run in the order of
# their names, as Diesel keeps them (LemmyNet/lemmy's "migrations", say).  Each
# side gets an empty database and one connection; nobody is registered.  They
# are run up to the first that does not run plainly.

# apply_run SIDE FILE...: "how-many milliseconds"
apply_run()
{
	local side=$1

	shift
	sql -d postgres -c 'DROP DATABASE IF EXISTS shop WITH (FORCE)' \
		-c 'CREATE DATABASE shop'
	[ "$side" = plain ] || sql -c 'CREATE EXTENSION schemaver'
	sql -c 'CHECKPOINT'
	"$scratch/client" scripts "$side" "$@"
}

bench_apply()
{
	local files round count plain applied ratios=()

	if [ -z "${BENCH_SCRIPTS:-}" ]
	then
		echo "BENCH_SCRIPTS names no directory of migrations: left out"
		return
	fi
	readarray -t files < <(printf '%s\n' "$BENCH_SCRIPTS"/*/up.sql | LC_ALL=C sort)
	[ -e "${files[0]}" ] || die "no */up.sql in $BENCH_SCRIPTS"
	read -r count plain < <(apply_run plain "${files[@]}" 2>/dev/null)
	files=("${files[@]:0:count}")

	for round in $(seq "$rounds")
	do
		read -r count plain < <(apply_run plain "${files[@]}")
		read -r count applied < <(apply_run apply "${files[@]}")
		[ "$count" = ${#files[@]} ] ||
			die "apply() took $count of ${#files[@]} scripts"
		ratios+=("$(calculate "$applied / $plain")")
	done
	report "apply() to plain, $count scripts, plain $plain ms" \
		"$(median "${ratios[@]}")" '<= 1.5'
}
