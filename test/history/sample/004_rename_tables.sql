ALTER TABLE visit RENAME TO appointment;
ALTER TABLE visit_id_seq RENAME TO appointment_id_seq;
