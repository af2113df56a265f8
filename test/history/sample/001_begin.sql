CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE person (
	id			serial PRIMARY KEY,
	first_name	text NOT NULL,
	last_name	text NOT NULL,
	email		varchar(100) UNIQUE,
	mood		mood NOT NULL DEFAULT 'ok',
	nickname	text
);
CREATE TABLE visit (
	id			bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	person_id	integer NOT NULL REFERENCES person ON DELETE CASCADE,
	visited_on	date NOT NULL DEFAULT '2020-01-01',
	note		varchar(20),
	UNIQUE (person_id, visited_on)
);
CREATE TABLE setting (
	key			text PRIMARY KEY,
	value		jsonb NOT NULL DEFAULT '{}'
);
CREATE VIEW visitor AS
	SELECT p.id, p.last_name, count(*) AS visits
	FROM person AS p JOIN visit ON person_id = p.id
	GROUP BY p.id, p.last_name;
CREATE FUNCTION visits_of(person_id integer) RETURNS bigint
LANGUAGE sql STABLE
	RETURN (SELECT count(*) FROM visit AS v WHERE v.person_id = $1);
