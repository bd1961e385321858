-- Makes records due now. $1: their versions.
UPDATE tidelock.outbox SET due_at = now() WHERE version = ANY ($1) AND due_at > now() AND aside IS NULL
