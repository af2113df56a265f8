UPDATE appointment SET note = '' WHERE note IS NULL;
ALTER TABLE appointment ALTER COLUMN note SET NOT NULL;
ALTER TABLE person ADD CHECK (born > '1900-01-01');
