-- test/history/history.sql: what the application of a version may say
--
-- Functions for the session that looks at the plain database; they go with
-- it.  search_path must be "public, pg_temp": then names of the application's
-- objects come out as it would write them, without a schema, and none of the
-- names here is in their way.

--
-- Values
--

-- The k-th value of a type, as an expression of that type
CREATE FUNCTION pg_temp.value(type oid, typmod integer, k integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t pg_type;
	name text := format_type(type, NULL);
	labels text[];
	length integer := typmod - 4;
	literal text;
BEGIN
	SELECT * INTO t FROM pg_type WHERE pg_type.oid = type;
	IF t.typtype = 'd' THEN
		RETURN format('%s::%s',
			pg_temp.value(t.typbasetype, t.typtypmod, k), name);
	END IF;
	SELECT array_agg(enumlabel ORDER BY enumsortorder) INTO labels
	FROM pg_enum WHERE enumtypid = type;
	literal := CASE
		WHEN t.typtype = 'e' THEN labels[1 + k % cardinality(labels)]
		WHEN t.typcategory = 'A' THEN '{}'
		WHEN t.typcategory = 'R' THEN 'empty'
		-- above what sequences give
		WHEN t.typname = 'int2' THEN (30000 + k)::text
		WHEN t.typcategory = 'N' THEN (1000000 + k)::text
		WHEN t.typcategory = 'B' THEN (k % 2 = 0)::text
		WHEN t.typcategory = 'S' AND length BETWEEN 1 AND 6
			THEN right(repeat('0', length) || k, length)
		WHEN t.typcategory = 'S' THEN 'text ' || k
		WHEN t.typcategory = 'T' THEN k || ' days'
		WHEN t.typname IN ('date', 'timestamp', 'timestamptz')
			THEN ('2020-01-01'::date + k)::text
		WHEN t.typname IN ('time', 'timetz') THEN '12:00:' || 10 + k % 50
		WHEN t.typname = 'uuid' THEN md5(k::text)
		WHEN t.typname IN ('json', 'jsonb') THEN format('{"k": %s}', k)
		WHEN t.typname = 'bytea' THEN '\x' || to_hex(4096 + k)
		WHEN t.typname IN ('inet', 'cidr') THEN '10.0.0.' || k % 256
		WHEN t.typname = 'ltree' THEN '0.' || k
	END;
	RETURN coalesce(quote_literal(literal), 'NULL') || '::' || name;
END $$;

-- The value of a column that refers to another table: of some row there,
-- the k-th but for wrapping round; NULL if the column does not refer to one,
-- 'NULL' if no row is there.
CREATE FUNCTION pg_temp.reference(relation oid, number smallint, k integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	parent oid;
	target smallint;
	result text;
BEGIN
	SELECT confrelid, confkey[array_position(conkey, number)]
	INTO parent, target
	FROM pg_constraint
	WHERE conrelid = relation AND contype = 'f' AND number = ANY (conkey)
	ORDER BY cardinality(conkey) DESC, conname LIMIT 1;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	EXECUTE format(
		'SELECT format(''%%L::%%s'', %1$I, pg_typeof(%1$I)) FROM %2$s '
		'ORDER BY tableoid, ctid '
		'OFFSET (SELECT %3$s %% greatest(count(*), 1) FROM %2$s) LIMIT 1',
		(SELECT attname FROM pg_attribute
		 WHERE attrelid = parent AND attnum = target), parent::regclass, k)
	INTO result;
	RETURN coalesce(result, 'NULL');
END $$;

--
-- Statements
--

-- An INSERT of the k-th row.  style: "all" columns, "given" without those that
-- have a default, "needed" only those that have none and are NOT NULL.
-- attempt: 0 all references to the k-th row, 1 each to another, 2 none where
-- they may be null, 3 and above only one of those.
CREATE FUNCTION pg_temp.insertion(relation oid, style text, attempt integer,
								  k integer)
RETURNS text LANGUAGE sql AS $$
	WITH columns AS (
		SELECT a.*, atthasdef OR attidentity <> '' AS defaulted,
			pg_temp.reference(relation, attnum,
				CASE attempt WHEN 1 THEN k + attnum ELSE k END) AS reference,

			-- what an application gives as text may have to be one of a few
			(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
			 WHERE adrelid = relation AND adnum = attnum
				AND atttypid IN ('text'::regtype, 'varchar'::regtype)
				AND pg_get_expr(adbin, adrelid) LIKE '''%') AS default_value
		FROM pg_attribute AS a
		WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
			AND attgenerated = '' AND attidentity <> 'a'),
	numbered AS (
		SELECT *, row_number() OVER (
			PARTITION BY reference IS NOT NULL AND NOT attnotnull
			ORDER BY attnum) AS optional,
			count(*) FILTER (WHERE reference IS NOT NULL AND NOT attnotnull)
				OVER () AS options
		FROM columns),
	given AS (
		SELECT attnum, quote_ident(attname) AS name,
			CASE WHEN reference IS NOT NULL AND NOT attnotnull
					AND attempt >= 2 AND optional <> attempt - 2
				THEN 'NULL::' || format_type(atttypid, NULL)
				ELSE coalesce(reference, default_value,
					pg_temp.value(atttypid, atttypmod, k)) END AS value
		FROM numbered
		WHERE (attempt < 3 OR attempt - 2 <= options)
			AND CASE style WHEN 'all' THEN true
				WHEN 'given' THEN NOT defaulted
				ELSE NOT defaulted AND attnotnull END)
	SELECT CASE WHEN count(*) > 0
		THEN format('INSERT INTO %s (%s) VALUES (%s)', relation::regclass,
			string_agg(name, ', ' ORDER BY attnum),
			string_agg(value, ', ' ORDER BY attnum))
		WHEN attempt < 3
		THEN format('INSERT INTO %s DEFAULT VALUES', relation::regclass) END
	FROM given
$$;

-- Does that work?  Whatever it does is undone.
CREATE FUNCTION pg_temp.works(statement text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION USING ERRCODE = 'XX999';
EXCEPTION
	WHEN SQLSTATE 'XX999' THEN
		RETURN true;
	WHEN OTHERS THEN
		RETURN false;
END $$;

-- The first INSERT that works of those that differ in what they refer to
CREATE FUNCTION pg_temp.working_insertion(relation oid, style text,
										  k integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	statement text;
BEGIN
	FOR attempt IN 0..8 LOOP
		statement := pg_temp.insertion(relation, style, attempt, k);
		EXIT WHEN statement IS NULL;
		IF pg_temp.works(statement) THEN
			RETURN statement;
		END IF;
	END LOOP;
	RETURN NULL;
END $$;

-- UPDATEs of every column, to what it is and to its default: of as many as go
-- together in one statement, since each may fire triggers that take long
CREATE FUNCTION pg_temp.updates(relation oid)
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	assignments text[];
	target text := format('UPDATE %s SET ', relation::regclass);
BEGIN
	FOR assignments IN
		SELECT array_agg(assignment ORDER BY attnum)
		FROM pg_attribute AS a,
			LATERAL (VALUES (format('%1$I = %1$I', attname), false),
				(format('%I = DEFAULT', attname), true))
				AS v (assignment, changes),
			LATERAL (SELECT changes AND EXISTS (
				SELECT FROM pg_constraint
				WHERE conrelid = relation AND attnum = ANY (conkey)
					AND contype <> 'c')) AS k (key)
		WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
			AND pg_column_is_updatable(relation, attnum, true)
			AND attgenerated = '' AND attidentity <> 'a'
			AND (atthasdef OR NOT attnotnull OR NOT changes)
		GROUP BY changes, CASE WHEN key THEN attnum END
	LOOP
		IF cardinality(assignments) = 1 OR
			pg_temp.works(target || array_to_string(assignments, ', '))
		THEN
			RETURN NEXT target || array_to_string(assignments, ', ');
		ELSE
			RETURN QUERY SELECT target || a FROM unnest(assignments) AS a;
		END IF;
	END LOOP;
END $$;

-- The relations of the schema, as far as they are part of a contract
CREATE VIEW pg_temp.relation AS
	SELECT c.*, quote_ident(relname) AS name,
		CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
			WHEN 'S' THEN 'sequence' ELSE 'table' END AS class,
		pg_relation_is_updatable(c.oid, true) AS writable
	FROM pg_class AS c
	WHERE relnamespace = 'public'::regnamespace
		AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
		AND NOT relispartition
		AND NOT EXISTS (SELECT FROM pg_depend
			WHERE classid = 'pg_class'::regclass AND objid = c.oid
				AND deptype = 'e');

-- The keys that ON CONFLICT can name
CREATE VIEW pg_temp.key AS
	SELECT i.indrelid AS relation, i.indexrelid, indisprimary,
		c.relname AS index,
		(SELECT string_agg(CASE WHEN i.indkey[n] = 0
				THEN format('(%s)', pg_get_indexdef(i.indexrelid, n + 1, false))
				ELSE pg_get_indexdef(i.indexrelid, n + 1, false) END, ', '
			ORDER BY n)
		 FROM generate_series(0, i.indnkeyatts - 1) AS n) AS columns,
		pg_get_expr(i.indpred, i.indrelid) AS predicate,
		k.conname AS constraint
	FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		LEFT JOIN pg_constraint AS k
			ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u')
	WHERE indisunique AND indimmediate AND indisvalid
		AND c.relnamespace = 'public'::regnamespace;

-- Functions but those of triggers, called with nulls
CREATE VIEW pg_temp.call AS
	SELECT quote_ident(proname) AS name,
		format(CASE WHEN prokind = 'p' THEN 'CALL %s(%s)'
				WHEN proretset THEN 'SELECT * FROM %s(%s)'
				ELSE 'SELECT %s(%s)' END, quote_ident(proname),
			(SELECT string_agg('NULL::' || format_type(t, NULL), ', '
				ORDER BY n)
			 FROM unnest(coalesce(CASE WHEN prokind = 'p'
				THEN proallargtypes END, proargtypes::oid[]))
				WITH ORDINALITY AS u (t, n))) AS text
	FROM pg_proc AS p
	WHERE pronamespace = 'public'::regnamespace AND prokind <> 'w'
		AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
		AND NOT EXISTS (SELECT FROM pg_depend
			WHERE classid = 'pg_proc'::regclass AND objid = p.oid
				AND deptype = 'e');

-- Types that somebody made by hand, with what a value of them looks like
CREATE VIEW pg_temp.type AS
	SELECT t.oid, quote_ident(typname) AS name, typtype,
		CASE typtype WHEN 'd' THEN format_type(typbasetype, typtypmod)
			WHEN 'e' THEN (SELECT string_agg(quote_literal(enumlabel), ', '
				ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)
			WHEN 'c' THEN (SELECT string_agg(format('%I %s', attname,
					format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
				FROM pg_attribute
				WHERE attrelid = typrelid AND NOT attisdropped) END AS definition
	FROM pg_type AS t
	WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e', 'c')
		AND (typrelid = 0 OR (SELECT relkind = 'c' FROM pg_class AS c
			WHERE c.oid = typrelid))
		AND NOT EXISTS (SELECT FROM pg_depend
			WHERE classid = 'pg_type'::regclass AND objid = t.oid
				AND deptype = 'e');

-- What a relation's statements depend on, in a text that differs if it does
CREATE FUNCTION pg_temp.fingerprint(relation oid)
RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(xmin || ' ' || part, ',' ORDER BY part))
	FROM (SELECT xmin, 'relation' FROM pg_class WHERE oid = relation
		UNION ALL SELECT xmin, 'c' || attnum FROM pg_attribute
			WHERE attrelid = relation
		UNION ALL SELECT xmin, 'd' || adnum FROM pg_attrdef
			WHERE adrelid = relation
		UNION ALL SELECT xmin, 'k' || oid FROM pg_constraint
			WHERE conrelid = relation
		UNION ALL SELECT xmin, 'i' || indexrelid FROM pg_index
			WHERE indrelid = relation
		UNION ALL SELECT xmin, 't' || oid FROM pg_type
			WHERE typnamespace = 'public'::regnamespace
				AND typtype IN ('d', 'e')) AS u (xmin, part)
$$;

-- To find out what works takes long, so it is kept for as long as the relation
-- stays as it is, and until a script writes to it or to what it refers to.
CREATE TEMP TABLE cache (relation oid, fingerprint text, kind text, text text);

-- written: OIDs with commas between and around, or "*" for all relations
CREATE FUNCTION pg_temp.forget(written text)
RETURNS void LANGUAGE sql AS $$
	DELETE FROM cache AS c
	WHERE written = '*' OR relation::text = ANY (string_to_array(written, ','))
		OR EXISTS (SELECT FROM pg_constraint
			WHERE conrelid = relation AND contype = 'f'
				AND confrelid::text = ANY (string_to_array(written, ',')))
$$;

CREATE FUNCTION pg_temp.refresh_cache()
RETURNS void LANGUAGE sql AS $$
	DELETE FROM cache
	WHERE fingerprint IS DISTINCT FROM pg_temp.fingerprint(relation);
	WITH missing AS (
		SELECT * FROM pg_temp.relation
		WHERE oid NOT IN (SELECT relation FROM cache))
	INSERT INTO cache
	SELECT m.oid, pg_temp.fingerprint(m.oid), s.*
	FROM missing AS m,
		LATERAL (SELECT 'update', pg_temp.updates(oid) WHERE writable & 4 <> 0
			UNION ALL
			SELECT style, pg_temp.working_insertion(oid, style, 9)
			FROM unnest('{all,given,needed}'::text[]) AS style
			WHERE writable & 8 <> 0) AS s
$$;

-- All of it: object that it is about, its OID if it is a relation, kind, text.
-- The kind of a SELECT is the class of the relation, and "*" if it says so.
CREATE FUNCTION pg_temp.statements()
RETURNS TABLE (object text, relation oid, kind text, text text)
LANGUAGE sql AS $$
	WITH columns AS (
		SELECT attrelid, attnum, quote_ident(attname) AS name, attnotnull,
			pg_column_is_updatable(attrelid, attnum, true)
				AND attgenerated = '' AND attidentity <> 'a' AS writable
		FROM pg_attribute
		WHERE attrelid IN (SELECT oid FROM pg_temp.relation)
			AND attnum > 0 AND NOT attisdropped),
	readable AS (
		SELECT r.name, r.oid, class,
			string_agg(c.name, ', ' ORDER BY attnum) AS names
		FROM pg_temp.relation AS r LEFT JOIN columns AS c ON attrelid = r.oid
		WHERE relkind <> 'S' GROUP BY 1, 2, 3),
	insertions AS (
		SELECT name, relation AS oid, kind, cache.text
		FROM cache JOIN pg_temp.relation AS r ON r.oid = relation
		WHERE kind <> 'update'),
	conflicts AS (
		SELECT i.name, i.oid, format('%s ON CONFLICT %s DO %s',
			coalesce(i.text, pg_temp.insertion(i.oid, 'all', 0, 9)), target,
			action) AS text
		FROM insertions AS i JOIN pg_temp.key AS k ON relation = i.oid,
			LATERAL (SELECT name FROM columns
				WHERE attrelid = i.oid AND writable
				ORDER BY attnum LIMIT 1) AS c,
			LATERAL (SELECT format('(%s)', k.columns)
					|| coalesce(' WHERE ' || predicate, '')
				UNION ALL SELECT format('ON CONSTRAINT %I', k.constraint)
				WHERE k.constraint IS NOT NULL) AS t (target),
			LATERAL (VALUES ('NOTHING'),
				(format('UPDATE SET %1$s = EXCLUDED.%1$s', c.name)))
				AS a (action)
		WHERE kind = 'all'
			AND (action = 'NOTHING' OR target NOT LIKE 'ON%' AND indisprimary))
	SELECT name, oid, class || ' *', format('SELECT * FROM %s', name)
	FROM readable
	UNION ALL
	SELECT name, oid, class, format('SELECT %s FROM %s', names, name)
	FROM readable
	UNION ALL
	SELECT name, oid, 'count', format('SELECT count(*) FROM %s', name)
	FROM readable
	UNION ALL
	SELECT name, relation, 'update', cache.text
	FROM cache JOIN pg_temp.relation AS r ON r.oid = relation
	WHERE kind = 'update'
	UNION
	SELECT name, oid, 'insert', text FROM insertions WHERE text IS NOT NULL
	UNION ALL
	SELECT name, oid, 'insert', text FROM conflicts
	UNION ALL
	SELECT name, oid, 'delete', format('DELETE FROM %s', name)
	FROM pg_temp.relation WHERE writable & 16 <> 0
	UNION ALL
	SELECT name, oid, 'sequence', format(text, name)
	FROM pg_temp.relation, unnest(ARRAY[
		'SELECT nextval(%1$L), currval(%1$L)',
		'SELECT is_called FROM %1$s']) AS text
	WHERE relkind = 'S'
	UNION ALL
	SELECT name, 0, 'function', text FROM pg_temp.call
	UNION ALL
	SELECT name, 0, 'type', format('SELECT %s', coalesce(
		(SELECT string_agg(format('%L::%s', enumlabel, name), ', ')
		 FROM pg_enum WHERE enumtypid = t.oid), 'NULL::' || name))
	FROM pg_temp.type AS t
	ORDER BY 1, 3, 4
$$;

--
-- Data
--

-- Is there a constraint or unique index of that name, or a column "table.name"
-- that is NOT NULL?
CREATE FUNCTION pg_temp.demands(violated text)
RETURNS boolean LANGUAGE sql AS $$
	SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = violated)
		OR EXISTS (SELECT FROM pg_temp.key WHERE index = violated)
		OR EXISTS (SELECT FROM pg_attribute JOIN pg_temp.relation AS r
				ON r.oid = attrelid
			WHERE attnotnull AND format('%s.%s', relname, attname) = violated)
$$;

-- Statements that delete the rows that were made here, and what triggers made
-- of them: by values that only these have
CREATE FUNCTION pg_temp.deletions()
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('DELETE FROM %s WHERE %s', name, string_agg(
		CASE typcategory WHEN 'S' THEN format('%I::text LIKE ''text %%''', attname)
			ELSE format('%I >= %s', attname,
				CASE typname WHEN 'int2' THEN 30000 ELSE 1000000 END) END,
		' OR '))
	FROM pg_temp.relation AS r JOIN pg_attribute ON attrelid = r.oid
		JOIN pg_type AS t ON t.oid = atttypid
	WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped
		AND (typcategory = 'S' OR typname IN ('int2', 'int4', 'int8'))
	GROUP BY r.oid, name
$$;

-- Statements that delete the rows that refer to none
CREATE FUNCTION pg_temp.orphan_deletions()
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('DELETE FROM %s AS child WHERE %s AND NOT EXISTS '
		'(SELECT FROM %s AS parent WHERE %s)', conrelid::regclass,
		string_agg(format('child.%I IS NOT NULL', a.attname), ' AND '),
		confrelid::regclass,
		string_agg(format('parent.%I = child.%I', b.attname, a.attname),
			' AND '))
	FROM pg_constraint, LATERAL unnest(conkey, confkey) AS u (child, parent)
		JOIN pg_attribute AS a ON a.attnum = child
		JOIN pg_attribute AS b ON b.attnum = parent
	WHERE contype = 'f' AND a.attrelid = conrelid AND b.attrelid = confrelid
	GROUP BY pg_constraint.oid, conrelid, confrelid
$$;

-- Statements that bring the sequences of another database to where these are
CREATE FUNCTION pg_temp.sequence_positions()
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	statement text;
BEGIN
	FOR r IN SELECT name FROM pg_temp.relation WHERE relkind = 'S' LOOP
		EXECUTE format('SELECT format(''SELECT setval(%%L, %%s, %%L)'', %L, '
			'last_value, is_called) FROM %s', r.name, r.name) INTO statement;
		RETURN NEXT statement;
	END LOOP;
END $$;

-- Up to three rows for each table, those that are referred to first.  Returns
-- the statements that it took, in their order.
CREATE FUNCTION pg_temp.populate()
RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	have integer;
	again boolean := true;
	statement text;
BEGIN
	WHILE again LOOP
		again := false;
		FOR r IN SELECT oid, name FROM pg_temp.relation
			WHERE relkind IN ('r', 'p') ORDER BY oid
		LOOP
			EXECUTE format('SELECT count(*) FROM (SELECT FROM %s LIMIT 3) AS t',
				r.name) INTO have;
			CONTINUE WHEN have >= 3;
			statement := NULL;
			FOR k IN have .. 2 LOOP
				statement := coalesce(statement,
					pg_temp.working_insertion(r.oid, 'all', k));
			END LOOP;

			-- ids from a sequence: the one there must give the same
			IF statement IS NULL THEN
				statement :=
					pg_temp.working_insertion(r.oid, 'given', have);
				CONTINUE WHEN statement IS NULL;
				RETURN QUERY SELECT * FROM pg_temp.sequence_positions();
			END IF;
			EXECUTE statement;
			again := true;
			RETURN NEXT statement;
		END LOOP;
	END LOOP;
END $$;

--
-- Causes
--

-- What a version has.  id: what stays through a rename; relation: whose part
-- it is; detail: what it is.
CREATE TEMP VIEW inventory AS
	WITH parts AS MATERIALIZED (
		SELECT 'column' AS class, attrelid AS relation, attnum::text AS id,
			attname AS name, format_type(atttypid, atttypmod) AS detail
		FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
		UNION ALL
		SELECT 'NOT NULL', attrelid, attnum::text, attname, NULL
		FROM pg_attribute WHERE attnum > 0 AND attnotnull
		UNION ALL
		SELECT 'default', adrelid, adnum::text, attname,
			pg_get_expr(adbin, adrelid)
		FROM pg_attrdef JOIN pg_attribute
			ON attrelid = adrelid AND attnum = adnum
		UNION ALL
		SELECT 'identity', attrelid, attnum::text, attname, attidentity::text
		FROM pg_attribute WHERE attnum > 0 AND attidentity <> ''
		UNION ALL
		SELECT CASE contype WHEN 'p' THEN 'primary key'
				WHEN 'u' THEN 'unique key' WHEN 'f' THEN 'foreign key'
				ELSE 'check' END,
			conrelid, oid::text, conname, pg_get_constraintdef(oid)
		FROM pg_constraint WHERE contype IN ('p', 'u', 'f', 'c', 'x')
		UNION ALL
		SELECT 'unique index', relation, indexrelid::text, index,
			columns || coalesce(predicate, '')
		FROM pg_temp.key WHERE key.constraint IS NULL
		UNION ALL
		SELECT 'trigger', tgrelid, oid::text, tgname, pg_get_triggerdef(oid)
		FROM pg_trigger WHERE NOT tgisinternal)
	SELECT class, oid::text AS id, 0 AS relation, name AS object, name,
		CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid)
			WHEN relkind <> 'S' THEN oid::text END AS detail
	FROM pg_temp.relation
	UNION ALL
	SELECT p.class, format('%s.%s', relation, p.id), relation, r.name, p.name,
		detail
	FROM pg_temp.relation AS r JOIN parts AS p ON relation = oid
	WHERE r.class = 'table'
	UNION ALL
	SELECT 'function', oid::text, 0, quote_ident(proname),
		oid::regprocedure::text,
		CASE WHEN prokind IN ('f', 'p') THEN pg_get_functiondef(oid) END
	FROM pg_proc AS p
	WHERE pronamespace = 'public'::regnamespace
		AND NOT EXISTS (SELECT FROM pg_depend
			WHERE classid = 'pg_proc'::regclass AND objid = p.oid
				AND deptype = 'e')
	UNION ALL
	SELECT 'type', oid::text, 0, name, name, format('%s %s', typtype, definition)
	FROM pg_temp.type;

CREATE TEMP TABLE before AS SELECT * FROM pg_temp.inventory;

-- SQLSTATEs of statements that a difference can make fail, 'shape' for a
-- result that looks otherwise
CREATE FUNCTION pg_temp.sqlstates(class text, difference text)
RETURNS text LANGUAGE sql AS $$
	SELECT CASE
		WHEN class = 'column' AND difference = 'new' THEN 'shape 0A000'
		WHEN class = 'column' AND difference = 'changed type of'
			THEN 'shape 0A000 42804 42883 22001 22003'
		WHEN class = 'column' THEN 'shape 42703 0A000'
		WHEN class IN ('NOT NULL', 'default') THEN '23502'
		WHEN class = 'identity' THEN '428C9 23502'
		WHEN class = 'check' THEN '23514 23P01'
		WHEN class = 'foreign key' THEN '23503'
		WHEN class = 'function' THEN '42883 shape 0A000'
		WHEN class = 'type' THEN '42704 shape 0A000 42804'
		WHEN class = 'sequence' THEN '42P01'
		WHEN class IN ('table', 'view', 'materialized view')
			THEN '42P01 42703 shape 0A000 42809 55000'
		WHEN class = 'trigger' THEN ''
		WHEN difference = 'new' THEN '23505 23502'
		ELSE '42P10 42704' END
$$;

-- How what is there differs from what was there before, as far as a statement
-- that knew it could notice.  What was made anew as it was is no difference;
-- the parts of a relation that is gone are not told.
CREATE FUNCTION pg_temp.differences()
RETURNS TABLE (object text, difference text, name text, sqlstates text)
LANGUAGE sql AS $$
	WITH after AS MATERIALIZED (SELECT * FROM pg_temp.inventory),
	changed AS (
		SELECT b.object, b.class, b.relation <> 0 AS is_part, b.name,
			CASE WHEN a.id IS NULL AND n.id IS NULL THEN 'dropped'
				WHEN a.id IS NULL THEN
					CASE WHEN n.detail IS DISTINCT FROM b.detail
						THEN 'replaced' END
				WHEN a.name <> b.name THEN 'renamed'
				WHEN a.detail IS NOT DISTINCT FROM b.detail THEN NULL
				WHEN a.class = 'column' THEN 'changed type of'
				ELSE 'replaced' END AS difference
		FROM before AS b LEFT JOIN after AS a USING (class, id)
			LEFT JOIN after AS n ON a.id IS NULL AND n.class = b.class
				AND n.object = b.object AND n.name = b.name
		WHERE (b.relation = 0
				OR b.relation::text IN (SELECT id FROM after
					WHERE class = 'table'))
			AND NOT (b.class IN ('NOT NULL', 'identity') AND a.id IS NULL)
			AND (b.class <> 'default' OR b.id IN (SELECT id FROM after
				WHERE class = 'column'))),
	added AS (
		SELECT o.object, a.class, true, a.name, 'new' AS difference
		FROM after AS a JOIN before AS o ON o.class = 'table'
			AND o.id = a.relation::text
		WHERE NOT EXISTS (SELECT FROM before AS b
				WHERE b.class = a.class AND b.id = a.id)
			AND NOT EXISTS (SELECT FROM before AS b
				WHERE b.class = a.class AND b.object = o.object
					AND b.name = a.name
					AND b.detail IS NOT DISTINCT FROM a.detail))
	SELECT object, difference || ' ' || class,
		CASE WHEN is_part THEN object || '.' ELSE '' END || name,
		pg_temp.sqlstates(class, difference)
	FROM (SELECT * FROM changed UNION ALL SELECT * FROM added) AS d
	WHERE difference IS NOT NULL
		AND NOT (class IN ('NOT NULL', 'check', 'foreign key')
			AND difference IN ('dropped', 'renamed'))
		AND NOT (class = 'default' AND difference IN ('new', 'renamed'))
	ORDER BY difference = 'new', class, object, name
$$;
