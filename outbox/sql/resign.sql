-- Gives the office up. $1 who.
UPDATE tidelock.guardian SET until = '-infinity' WHERE holder = $1
