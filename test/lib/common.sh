# test/lib/common.sh: what check_all, demo and bench share
#
# To be sourced by a bash script.  begin() brings the machine to where tests
# can run: packages, build, install, and a scratch directory that is gone when
# the script ends, however it ends, and with it every server that runs in it.
#
# PostgreSQL refuses to run as root: as_owner runs a command as postgres when
# the script runs as root, else as whoever runs it.

set -euo pipefail

# The caller's surroundings must not lead a test to another server, a cd to
# another directory, a make below to other targets, nor psql to other words
# than English: LANGUAGE goes before LC_ALL.
unset CDPATH LANGUAGE MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
for variable in $(compgen -e | grep '^PG' | grep -vx 'PG_CONFIG' || true)
do
	unset "$variable"
done
export LC_ALL=C.UTF-8 LANG=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=
owner=

die()
{
	echo "$*" >&2
	exit 1
}

as_owner()
{
	if [ "$(id -u)" = 0 ]
	then
		runuser -u "$owner" -- "$@"
	else
		"$@"
	fi
}

#
# Packages
#

# want PACKAGE COMMAND...: PACKAGE is missing unless COMMAND succeeds
missing=()
want()
{
	local package=$1

	shift
	"$@" >/dev/null 2>&1 || missing+=("$package")
}

# where the server lives, by pg_config, or by Debian's habit before it is there
locate()
{
	command -v "${PG_CONFIG:-}" >/dev/null 2>&1 ||
		PG_CONFIG=/usr/lib/postgresql/15/bin/pg_config
	if [ -x "$(command -v "$PG_CONFIG")" ]
	then
		major=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
		bindir=$("$PG_CONFIG" --bindir)
		sharedir=$("$PG_CONFIG" --sharedir)
		pkglibdir=$("$PG_CONFIG" --pkglibdir)
		pgxs=$("$PG_CONFIG" --pgxs)
		headers=$("$PG_CONFIG" --includedir-server)
	else
		major=15
		bindir=/usr/lib/postgresql/15/bin
		sharedir=/usr/share/postgresql/15
		pkglibdir=/usr/lib/postgresql/15/lib
		pgxs=$pkglibdir/pgxs/src/makefiles/pgxs.mk
		headers=/usr/include/postgresql/15/server
	fi
}

find_missing()
{
	locate
	missing=()
	want build-essential command -v gcc
	want make command -v make
	want perl command -v prove
	want "postgresql-$major" test -x "$bindir/initdb"
	# Debian's server package alone has pgxs.mk, but no headers
	want "postgresql-server-dev-$major" \
		test -e "$pgxs" -a -e "$headers/postgres.h"
	want libpq-dev test -e "$("$PG_CONFIG" --includedir 2>/dev/null)/libpq-fe.h"
	want libipc-run-perl perl -MIPC::Run -e 1
	want pgbouncer test -x /usr/sbin/pgbouncer -o -x /usr/bin/pgbouncer
	want "postgresql-$major-pgtap" test -e "$sharedir/extension/pgtap.control"

	# tests that need these are skipped without, so only where it can help
	[ "$bindir" != "/usr/lib/postgresql/$major/bin" ] ||
		want "postgresql-$major-plpgsql-check" \
			test -e "$sharedir/extension/plpgsql_check.control"
}

apt_install()
{
	DEBIAN_FRONTEND=noninteractive apt-get -y -q \
		-o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

# The lists of packages are fetched only when installing fails without: they
# may be there and new enough.
install_packages()
{
	local log=$scratch/apt.log

	find_missing
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]
	then
		die "missing: ${missing[*]} (install them, or run this as root)"
	fi
	command -v apt-get >/dev/null || die "missing: ${missing[*]}"

	echo "Installing ${missing[*]}"
	apt_install "${missing[@]}" >"$log" 2>&1 ||
		{ apt-get -q update && apt_install "${missing[@]}"; } >"$log" 2>&1 ||
		{ tail -n 40 "$log" >&2; die "could not install ${missing[*]}"; }
	find_missing
	[ ${#missing[@]} = 0 ] ||
		die "still missing for $PG_CONFIG: ${missing[*]}"
}

#
# Build
#

# Without the right to install, what is installed must be what was built.
build()
{
	local log=$scratch/build.log

	make --no-print-directory -C "$root" PG_CONFIG="$PG_CONFIG" all \
		>"$log" 2>&1 || { cat "$log" >&2; die "the build failed"; }
	if [ -w "$pkglibdir" ]
	then
		make --no-print-directory -C "$root" PG_CONFIG="$PG_CONFIG" install \
			>"$log" 2>&1 || { cat "$log" >&2; die "could not install"; }
	else
		{
			cmp "$root/schemaver.so" "$pkglibdir/schemaver.so" &&
			for file in "$root"/schemaver.control "$root"/sql/schemaver--*.sql
			do
				cmp "$file" "$sharedir/extension/${file##*/}" || break
			done
		} >&2 || die "not what is installed: run 'make install' as root first"
	fi
}

# copy_tree DIRECTORY: the sources, without what a build or a test left
copy_tree()
{
	mkdir -p "$1"
	tar -C "$root" --exclude=./.git --exclude='*.o' --exclude='*.bc' \
		--exclude='*.so' --exclude=./results --exclude=./log \
		--exclude='./tmp_check*' --exclude=./output_iso \
		--exclude='./regression.*' -cf - . | tar -C "$1" --no-same-owner -xf -
}

#
# Beginning and end
#

begin_without_build()
{
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM

	# not in TMPDIR: the path of a socket may have 107 bytes only
	scratch=$(mktemp -d /tmp/schemaver.XXXXXX)
	install_packages

	owner=$(id -un)
	if [ "$owner" = root ]
	then
		owner=postgres
	fi
	id "$owner" >/dev/null || die "no user $owner to run a server"
	chown "$owner" "$scratch"
	export HOME=$scratch TMPDIR=$scratch
	cd "$scratch"
}

begin()
{
	begin_without_build
	build
}

# A postmaster's working directory is its data directory: a pid in a file that
# a crash left behind may be somebody else's by now.
stop_servers()
{
	local file pid

	find "$scratch" -name postmaster.pid 2>/dev/null | while read -r file
	do
		pid=$(head -n 1 "$file" 2>/dev/null) || continue
		[ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ] || continue
		kill -QUIT "$pid" 2>/dev/null || continue
		while [ -e "/proc/$pid" ]
		do
			sleep 0.05
		done
	done
}

finish()
{
	local status=$? job

	trap - EXIT
	trap '' HUP INT TERM
	for job in $(jobs -p)
	do
		kill "$job" 2>/dev/null || true
	done
	if [ -n "$scratch" ]
	then
		stop_servers || true
		cd /
		rm -rf "$scratch"
	fi
	exit "$status"
}

#
# A server
#

# start_server NAME [SETTING...]: listens on a socket in the scratch directory
# only; PGHOST and the like lead to it
start_server()
{
	local data=$scratch/$1 setting

	shift
	as_owner "$bindir/initdb" -D "$data" -U postgres -A trust -N \
		-E UTF8 --no-locale >"$scratch/initdb.log" 2>&1 ||
		{ cat "$scratch/initdb.log" >&2; die "initdb failed"; }
	{
		cat "$root/test/schemaver.conf"
		echo "listen_addresses = ''"
		echo "unix_socket_directories = '$scratch'"
		for setting
		do
			echo "$setting"
		done
	} >>"$data/postgresql.conf"
	as_owner "$bindir/pg_ctl" -D "$data" -l "$data.log" -s -w start ||
		{ tail -n 40 "$data.log" >&2; die "the server did not start"; }
	export PGHOST=$scratch PGUSER=postgres PGDATABASE=postgres
	export PATH=$bindir:$PATH
}

# restart_server NAME: for settings that need it
restart_server()
{
	as_owner "$bindir/pg_ctl" -D "$scratch/$1" -l "$scratch/$1.log" -s -w \
		-m fast restart ||
		{ tail -n 40 "$scratch/$1.log" >&2; die "the server did not restart"; }
}

# stop_server NAME
stop_server()
{
	as_owner "$bindir/pg_ctl" -D "$scratch/$1" -s -m fast stop
}
