EXTENSION = schemaver
MODULE_big = schemaver
DATA = $(wildcard sql/schemaver--*.sql)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC = "schemaver - several versions of an application on one schema"

PG_CONFIG ?= pg_config

# the server's headers as system headers: their warnings are not ours
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -Wall -Wextra $(EXTRA_CFLAGS)

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS knows no header dependencies
$(OBJS) $(OBJS:.o=.bc): src/schemaver.h
