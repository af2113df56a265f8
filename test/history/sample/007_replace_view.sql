DROP VIEW visitor;
DROP FUNCTION visits_of(integer);
CREATE VIEW visitor AS
	SELECT p.id AS person_id, p.surname, max(visited_on) AS last_visit
	FROM person AS p LEFT JOIN appointment ON person_id = p.id
	GROUP BY p.id, p.surname;
