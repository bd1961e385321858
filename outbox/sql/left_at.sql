-- The lowest version in doubt of a server that was last marked in the history $1, null for none: where the database left
-- that history or a later one. A history that is not on the list says nothing, so all versions are in doubt; without a
-- mark ($1 is empty) any history that the database has left may have been the server's last.
SELECT CASE
    WHEN $1 <> '' AND NOT EXISTS (SELECT 1 FROM tidelock.histories WHERE history = $1) THEN 0
    ELSE (SELECT min(safe_version) FROM tidelock.histories
          WHERE $1 = '' OR n >= (SELECT min(n) FROM tidelock.histories WHERE history = $1))
END
