EXTENSION = schemaver
MODULE_big = schemaver
DATA = $(wildcard sql/schemaver--*.sql)
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
PGFILEDESC = "schemaver - several versions of an application on one schema"

PG_CPPFLAGS = -Isrc
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare $(EXTRA_CFLAGS)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS knows no header dependencies
$(OBJS) $(OBJS:.o=.bc): src/schemaver.h
