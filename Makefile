EXTENSION = schemaver
MODULE_big = schemaver
DATA = $(wildcard sql/schemaver--*.sql)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC = "schemaver - several versions of an application on one schema"

# Debian's PostgreSQL 15 if it is there, else whatever the PATH leads to
PG_CONFIG ?= $(or $(wildcard /usr/lib/postgresql/15/bin/pg_config),pg_config)

# the server's headers as system headers: their warnings are not ours
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -Wall -Wextra $(EXTRA_CFLAGS)

# A test is its file: nothing to register.  Every kind starts a server of its
# own with the library that is installed, hence not as root.  One encoding and
# no locale, so that output is the same everywhere.
names = $(sort $(basename $(notdir $(wildcard $(1)))))
ENCODING = UTF8
NO_LOCALE = 1
REGRESS = $(call names,test/sql/*.sql)
REGRESS_OPTS = --inputdir=test --temp-instance=tmp_check \
	--temp-config=test/schemaver.conf
ISOLATION = $(call names,test/specs/*.spec)
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=schemaver \
	--temp-instance=tmp_check_iso --temp-config=test/schemaver.conf
PROVE_TESTS = $(sort $(wildcard test/t/*.pl))
TAP_TESTS = $(if $(PROVE_TESTS),1)

all:

# These install what is missing, a server to build against included, so they
# must be reachable without one; hence before PGXS, and scripts of their own.
.PHONY: check-all demo bench history
check-all:
	@PG_CONFIG='$(PG_CONFIG)' test/lib/check_all
demo:
	@PG_CONFIG='$(PG_CONFIG)' test/demo/demo
# BENCH picks some: make bench BENCH='view guard'
bench:
	@PG_CONFIG='$(PG_CONFIG)' test/bench/bench $(BENCH)
# HISTORY_SCRIPTS names migrations to take one by one: see test/history/history
HISTORY_SCRIPTS ?= test/history/sample
export HISTORY_SCRIPTS HISTORY_KEEP HISTORY_STEPS HISTORY_FROM HISTORY_MISSING
history:
	@PG_CONFIG='$(PG_CONFIG)' test/history/history

ifeq ($(filter check-all demo bench history,$(MAKECMDGOALS)),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(wildcard $(PGXS)),)
$(error no PGXS: install postgresql-server-dev-15, or name another server \
	with PG_CONFIG=/path/to/pg_config)
endif
include $(PGXS)

# PGXS knows no header dependencies
$(OBJS) $(OBJS:.o=.bc): src/schemaver.h
endif
