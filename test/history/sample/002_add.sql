ALTER TABLE person ADD COLUMN born date;
ALTER TABLE visit ADD COLUMN minutes integer NOT NULL DEFAULT 0;
CREATE INDEX visit_on ON visit (visited_on);
