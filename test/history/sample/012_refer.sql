ALTER TABLE appointment ADD FOREIGN KEY (seen_by) REFERENCES person;
