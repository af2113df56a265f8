-- runs in no transaction, so without one where it runs plainly
CREATE INDEX CONCURRENTLY visit_visited_on ON visit (visited_on);
