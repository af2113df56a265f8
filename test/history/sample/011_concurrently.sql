-- runs in no transaction, so without one where it runs plainly
CREATE INDEX CONCURRENTLY appointment_visited_on ON appointment (visited_on);
