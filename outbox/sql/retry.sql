-- Puts records that were set aside back in line. $1: their versions, null for all.
UPDATE tidelock.outbox SET aside = NULL, due_at = now(), attempts = 0
WHERE aside IS NOT NULL AND ($1::bigint[] IS NULL OR version = ANY ($1))
