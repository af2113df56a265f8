--
-- The type schemaver.version
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS schemaver;
RESET client_min_messages;
SET search_path = public, schemaver;

-- what is accepted: the text stays as it was typed, but for the "v"
SELECT t AS typed, t::version AS version
FROM unnest(ARRAY['1.0.2', 'v1.10', 'V2', '3', '2023-06-04', 'v2023-06-04',
	'20230404095503', '1.2.0-rc.1', '0', '0.0', '007', '1.02', '2023.06.04',
	'2024-02-29', '2000-02-29', '0001-01-01', '9999-12-31', '3-beta',
	'1.0-0.a-b.--', '1.0-1', '1.2.3.4.5.6.7.8', '999999999999999999.0',
	'1.0-99999999999999999999999999', repeat('1.', 7) || '2-' ||
	repeat('x', 47)]) AS t;
SELECT '1.10'::text::version, '1.10'::version::text, '1.10'::varchar::version;

-- what is refused, and why
CREATE FUNCTION pg_temp.refusal(typed text, OUT state text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	state := 'accepted';
	PERFORM typed::version;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
		detail = PG_EXCEPTION_DETAIL;
END $$;
SELECT quote_literal(t) AS typed, r.*
FROM unnest(ARRAY['', 'v', 'vv1', 'w1', '1.', '.1', '1..2', '1.0.', '1.0a',
	'1.a', '1.0-', '1.0-rc.', '1.0-rc..1', '1.0-.rc', '-1', '1.-1',
	' 1', '1 ', '1. 0', E'1\n', E'1.0-r\tc', '1_0', '1/0', '1.0-r_c',
	'1.0;DROP', '1.0''', '1.0"', '1.0%s', '1.0\', '1.0+x', '1.0-rc+x', '1+',
	'1.2.3.4.5.6.7.8.9', '1000000000000000000', '1.0000000000000000001',
	'2023-02-30', '2023-02-29', '1900-02-29', '2023-13-01', '2023-00-01',
	'2023-01-00', '2023-04-31', '0000-01-01', '2023-6-4', '2023-06',
	'2023-06-4', '2023-06-04-1', '2023-06-04.1', '2023-06-04-rc.1',
	'2023-06-04x', '2023-06-04 ', '12023-06-04', '23-06-04', '1-1', 'v1-1',
	'1e5', '0x10', '1,0', 'latest']) AS t,
	pg_temp.refusal(t) AS r;
-- a letter of two bytes
SELECT * FROM pg_temp.refusal(E'1.\xC3\xA9');
-- the 64th byte is one too many, the "v" not counted
SELECT length(t) AS length, r.*
FROM unnest(ARRAY['1.0-' || repeat('x', 59), 'v1.0-' || repeat('x', 59),
	'1.0-' || repeat('x', 60), 'v1.0-' || repeat('x', 60),
	'1.0-' || repeat('x', 58) || '.x', '1.0-' || repeat('x', 58) || ' x',
	'1.0-' || repeat('x', 59) || '+', '1.0-' || repeat('x', 70) || ' ',
	'1.' || repeat('x', 1000000)]) AS t,
	pg_temp.refusal(t) AS r;
-- as people see it
SELECT 'v1..2'::version;
SELECT ('1.' || repeat('x', 1000000))::version;

-- order
SELECT t AS version
FROM unnest(ARRAY['2', '1.10', '1.9', '1.0.1', '1.0.0', '20230404095503',
	'2023-06-04', '2023-06-03', '2023-10-01', '2022.12', '1.0.0-rc.1',
	'1.0.0-beta.11', '1.0.0-beta.2', '1.0.0-beta', '1.0.0-alpha.beta',
	'1.0.0-alpha.1', '1.0.0-alpha', '1.0.0-Beta', '1.0.0-99999999999999999999',
	'1.0.0-100000000000000000000', '1.0.0-0', '1.0.0--', '1.0.0--1',
	'0.99999', '0', '999999999999999999']::version[]) AS t
ORDER BY t;

SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne,
	a >= b AS ge, a > b AS gt, version_cmp(a, b) AS cmp,
	version_hash(a) = version_hash(b) AS hash,
	version_hash_extended(a, 42) = version_hash_extended(b, 42) AS hash42
FROM (VALUES
	('1.10'::version, '1.9'::version), ('1.0', '1.0.0'), ('v1', '1.0.0.0.0'),
	('1.2.0-rc.1', '1.2.0'), ('1.2.0-rc.1', '1.2-rc.01'), ('1.0-0', '1.0-00'),
	('1.0-a.0', '1.0-a'), ('2023-06-04', '2023.6.4'),
	('2023-06-04', '2023.6.4-rc'), ('2023-06-04', '2023'), ('007', '7.0'),
	('0', '0.0.0'), ('1.0-rc', '1.0-RC'), ('10.1', '1.01')) AS x(a, b);
-- the hash that partitions are chosen by agrees with the plain one
SELECT version_hash_extended('1.0', 0) & 4294967295 =
	version_hash('1.0')::bigint & 4294967295 AS agrees,
	version_hash_extended('1.0', 0) <> version_hash_extended('1.0', 1) AS seeded;

-- operator classes, indexes, joins, aggregates
SELECT am.amname, c.opcdefault, amvalidate(c.oid)
FROM pg_opclass c JOIN pg_am am ON am.oid = c.opcmethod
WHERE c.opcname = 'version_ops' ORDER BY 1;

CREATE TABLE release (v version PRIMARY KEY);
INSERT INTO release
	SELECT (a || '.' || b)::version
	FROM generate_series(1, 30) a, generate_series(0, 30) b;
INSERT INTO release VALUES ('v3.0.0');
INSERT INTO release VALUES ('3.0-rc.1') RETURNING v;
CREATE INDEX release_hash ON release USING hash (v);
ANALYZE release;
SET enable_seqscan = off;
SELECT v FROM release WHERE v > '2.29' AND v < '3.2' ORDER BY v;
SELECT max(v), min(v) FROM release;
SELECT v FROM release WHERE v = '17.05.0';
DROP INDEX release_hash;
RESET enable_seqscan;
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;
SELECT max(v), min(v) FROM release;
SELECT max(v), min(v) FROM release WHERE false;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT count(*) FROM release a JOIN release b
	ON a.v = (b.v::text || '.0')::version WHERE b.v <> '3.0-rc.1';
SET enable_hashjoin = on;
SET enable_mergejoin = off;
SELECT count(*) FROM release a JOIN release b
	ON a.v = (b.v::text || '.0')::version WHERE b.v <> '3.0-rc.1';
RESET enable_hashjoin;
RESET enable_nestloop;
RESET enable_mergejoin;
RESET enable_indexscan;
RESET enable_indexonlyscan;
RESET enable_bitmapscan;
SELECT count(DISTINCT v), count(*) FROM
	(SELECT v FROM release UNION ALL
	 SELECT (v::text || '.0')::version FROM release WHERE v <> '3.0-rc.1') x;
CREATE TABLE parted (v version) PARTITION BY HASH (v);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT v FROM release;
SELECT v FROM parted WHERE v = '4.07.0';
DROP TABLE release, parted;

-- next
SELECT v, next(v), next(v, 'revision') AS revision, next(v, 'minor') AS minor,
	next(v, 'major') AS major
FROM unnest(ARRAY['1.0', '1.0.0', '1.2.3', '1.9.9', '0.0', '1.2.0-rc.1',
	'1.2-rc.1', '1.2.3.4', '2023.06.01', '7', '007', '99', '3-beta', '0',
	'20990230000000', '9023-06-04', '9023-12-31', '9024-02-28',
	'90230404095503', '90230404095959', '90231231235959',
	'90240228235959', '99991231235959']::version[]) AS v;
-- dates and what looks like a point in time go on with the present, in UTC
BEGIN;
SET LOCAL TimeZone = 'Pacific/Kiritimati';
SELECT next('2023-06-04')::text = to_char(now() AT TIME ZONE 'UTC',
	'YYYY-MM-DD') AS today,
	next('20230404095503', 'major')::text = to_char(now() AT TIME ZONE 'UTC',
	'YYYYMMDDHH24MISS') AS present,
	next(next('20230404095503'))::text = to_char(now() AT TIME ZONE 'UTC' +
	interval '1 second', 'YYYYMMDDHH24MISS') AS one_second_on,
	next(next('2023-06-04'))::text = to_char(now() AT TIME ZONE 'UTC' +
	interval '1 day', 'YYYY-MM-DD') AS tomorrow;
COMMIT;
SELECT next(NULL), next('1.0', NULL);
SELECT next('1.0', 'patch');
SELECT next('1.0', '');
SELECT next('1.0', 'Minor');
SELECT next('999999999999999999');
SELECT next('1.999999999999999999', 'minor');
SELECT next('9999-12-31');

-- binary: what send gives, receive takes; any bytes are a version or an error
CREATE TEMP TABLE received (v version);
CREATE FUNCTION pg_temp.receive(payload bytea) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0) ||
		int2send(1::int2) || int4send(length(payload)) || payload ||
		int2send((-1)::int2);
	octal text;
	result text;
BEGIN
	SELECT string_agg('\0' || b / 64 || b / 8 % 8 || b % 8, '' ORDER BY i)
	INTO octal
	FROM (SELECT i, get_byte(file, i) AS b
		  FROM generate_series(0, length(file) - 1) AS i) AS x;
	EXECUTE format('COPY received FROM PROGRAM %L BINARY',
		'printf %b ''' || octal || '''');
	DELETE FROM received RETURNING v INTO result;
	RETURN result;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT v, version_send(v), pg_temp.receive(version_send(v))
FROM unnest(ARRAY['1.0.2', '1.10', '2023-06-04', '1.2.0-rc.1']::version[]) v;
SELECT p, pg_temp.receive(p)
FROM unnest(ARRAY['', 'v1.0', '1.', '1.0 ', '1.0-' || repeat('x', 60),
	'\x00', '\x312e3000', '\x0000000000000001']::bytea[]) AS p;

-- bytes that came past the input functions are found, not believed
BEGIN;
CREATE CAST (bytea AS version) WITHOUT FUNCTION;
CREATE FUNCTION pg_temp.order_of(b bytea, OUT state text, OUT detail text)
LANGUAGE plpgsql AS $$
BEGIN
	state := version_cmp(b::version, '1.0');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
		detail = PG_EXCEPTION_DETAIL;
END $$;
SELECT length(b), r.*
FROM unnest(ARRAY['', '\x00', '1.', ' ', '\xff', '1.0', 'v1.0',
	'1.' || repeat('1', 5000)]::bytea[]) AS b, pg_temp.order_of(b) AS r;
ROLLBACK;

--
-- Random input
--
SELECT setseed(0.42);

-- the grammar once more, written differently
CREATE FUNCTION pg_temp.is_version(typed text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	t text := regexp_replace(typed, '^[vV]', '');
BEGIN
	IF t ~ '^[0-9]+-[0-9]' THEN
		IF t !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN
			RETURN false;
		END IF;
		PERFORM t::date;
		RETURN true;
	END IF;
	RETURN octet_length(t) <= 63 AND
		t ~ ('^[0-9]{1,18}(\.[0-9]{1,18}){0,7}' ||
			 '(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$');
EXCEPTION WHEN datetime_field_overflow THEN
	RETURN false;
END $$;

CREATE TEMP TABLE fuzzed (v version);
DO $$
DECLARE
	-- E'\xC3\xA9' is one letter in UTF-8 and two bytes elsewhere
	alphabet text[] := ARRAY['0', '1', '1', '9', '10', '.', '.', '.', '-', '-',
		'rc', 'a', 'Z', '+', ' ', '_', 'v', E'\t', E'\x7f', E'\xC3\xA9', '''',
		'2023-06-04', '2023', '-02-30', '-02', '.0', '-0', '1.0', '000000000',
		'123456789012345678', '1.2.3.4.5.6', 'abcdefghijklmnopqrstuvwxyz'];
	pieces int;
	typed text;
	made text;
	why text;
	detail text;
	accepted int := 0;
BEGIN
	FOR i IN 1 .. 50000 LOOP
		-- harmless pieces more often than not, else too little is accepted
		pieces := CASE WHEN random() < 0.8 THEN 13
			ELSE array_length(alphabet, 1) END;
		SELECT string_agg(alphabet[1 + floor(random() * pieces)::int], '')
			INTO typed
			FROM generate_series(0, floor(random() * 9)::int);
		made := NULL;
		BEGIN
			made := typed::version::text;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS why = RETURNED_SQLSTATE,
				detail = PG_EXCEPTION_DETAIL;
		END;
		IF pg_temp.is_version(typed) <> (made IS NOT NULL) THEN
			RAISE 'the parser is wrong about %', quote_literal(typed);
		ELSIF made IS NULL AND (why <> '22P02' OR
				coalesce(substring(detail, '^At character (\d+), .+\.$')::int
					NOT BETWEEN 1 AND length(typed) + 1, true)) THEN
			RAISE '% gave % with detail %', quote_literal(typed), why, detail;
		ELSIF made <> regexp_replace(typed, '^[vV]', '') OR
				made::version::text <> made THEN
			RAISE '% became %', quote_literal(typed), quote_literal(made);
		ELSIF made IS NOT NULL THEN
			accepted := accepted + 1;
			IF accepted <= 200 THEN
				INSERT INTO fuzzed VALUES (made::version);
			END IF;
		END IF;
	END LOOP;
	IF accepted NOT BETWEEN 3000 AND 47000 THEN
		RAISE 'only one way was taken: % accepted', accepted;
	END IF;
END $$;

-- short ones from few pieces, so that many are equal
INSERT INTO fuzzed
SELECT ((ARRAY['0', '1', '01', '9', '10', '2023'])[1 + floor(random() * 6)::int] ||
	(ARRAY['.0', '.00', '.1', '.6.4', '.0.0', '.1.0'])[1 + floor(random() * 6)::int] ||
	(ARRAY['', '', '-1', '-01', '-a', '-a.0', '-a.00', '-A', '-1a', '--', '-0.10',
		'-0.9'])[1 + floor(random() * 12)::int])::version
FROM generate_series(1, 250);
INSERT INTO fuzzed VALUES ('2023-06-04'), ('2023-06-03'), ('2023-06-05');

-- all operators agree, for every pair, with the places in one sorted list:
-- so the order is total, antisymmetric and transitive
CREATE TEMP TABLE ranked AS
	SELECT v, dense_rank() OVER (ORDER BY v) AS place FROM fuzzed;
SELECT count(*) > 100000 AS enough,
	count(*) FILTER (WHERE a.place = b.place AND a.v::text <> b.v::text) > 1000
		AS many_equal,
	count(*) FILTER (WHERE
		(a.v < b.v) <> (a.place < b.place) OR
		(a.v <= b.v) <> (a.place <= b.place) OR
		(a.v = b.v) <> (a.place = b.place) OR
		(a.v <> b.v) <> (a.place <> b.place) OR
		(a.v >= b.v) <> (a.place >= b.place) OR
		(a.v > b.v) <> (a.place > b.place) OR
		version_cmp(a.v, b.v) <> sign(a.place - b.place) OR
		version_cmp(a.v, b.v) <> -version_cmp(b.v, a.v) OR
		version_larger(a.v, b.v) < a.v OR
		version_smaller(a.v, b.v) > b.v) AS wrong_order,
	count(*) FILTER (WHERE
		(a.v = b.v) <> (version_hash_extended(a.v, 7) =
						version_hash_extended(b.v, 7)) OR
		a.v = b.v AND version_hash(a.v) <> version_hash(b.v)) AS wrong_hash
FROM ranked a, ranked b;

-- what comes next is greater, and greater by what was asked for
SELECT count(*) > 500 AS enough,
	count(*) FILTER (WHERE n <= v) AS not_greater,
	count(*) FILTER (WHERE dotted AND CASE kind
		WHEN 'revision' THEN NOT (same_major AND same_minor)
		WHEN 'minor' THEN NOT same_major OR same_minor
		ELSE same_major END) AS not_as_asked
FROM fuzzed, unnest(ARRAY['revision', 'minor', 'major']) AS kind,
	next(v, kind) AS n,
	LATERAL (SELECT v::text ~ '^\d+\.\d' AS dotted,
		substring(v::text, '^\d+')::numeric =
		substring(n::text, '^\d+')::numeric AS same_major,
		substring(v::text, '^\d+\.(\d+)')::numeric =
		substring(n::text, '^\d+\.(\d+)')::numeric AS same_minor) AS x;

-- received bytes
DO $$
DECLARE
	payload bytea;
	result text;
	accepted int := 0;
BEGIN
	FOR i IN 1 .. 200 LOOP
		IF i % 2 = 0 THEN
			SELECT version_send(v) INTO payload
				FROM fuzzed OFFSET floor(random() * 200)::int LIMIT 1;
			payload := set_byte(payload,
				floor(random() * length(payload))::int,
				floor(random() * 256)::int);
		ELSE
			SELECT string_agg(set_byte('\x00', 0, floor(random() * 256)::int), '')
				INTO payload
				FROM generate_series(0, floor(random() * 100)::int);
		END IF;
		result := pg_temp.receive(payload);
		-- 22021: bytes that are no text in this encoding
		IF result IN ('22P02', '22021') THEN
			CONTINUE;
		ELSIF result IS NULL OR convert_to(result, 'SQL_ASCII') <>
				substring(payload FROM 1 +
					(get_byte(payload, 0) IN (ascii('v'), ascii('V')))::int) THEN
			RAISE '% received as %', payload, result;
		END IF;
		accepted := accepted + 1;
	END LOOP;
	IF accepted < 5 THEN
		RAISE 'only one way was taken: % accepted', accepted;
	END IF;
END $$;
