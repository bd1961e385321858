-- Empties a part (its number stands for PART), if nobody uses it at the moment, or a moment later, and it has no row. Those who have written to it have ended by the
-- time that it is ours, so the look after that sees all that they have left; an older snapshot would not, and this refuses to run in one. All of it is one call, for a
-- client that held the lock might pause. TRUNCATE locks what belongs to the part as well, so it waits a little. The commit need not wait for other servers; to the
-- disk it goes all the same, and what was written before it with it.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '5ms';
SET LOCAL synchronous_commit = off;
DO $$
DECLARE
    ours boolean := false;
BEGIN
    FOR i IN 1..5 LOOP
        BEGIN
            LOCK TABLE tidelock.outbox_PART IN ACCESS EXCLUSIVE MODE NOWAIT;
            ours := true;
            IF NOT EXISTS (SELECT 1 FROM tidelock.outbox_PART) THEN
                TRUNCATE tidelock.outbox_PART;
            END IF;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            EXIT WHEN ours; -- a vacuum is at what belongs to it
            PERFORM pg_sleep(random() * 0.02);
        END;
    END LOOP;
END $$;
COMMIT
