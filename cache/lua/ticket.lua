-- ticket: taken by whoever will read Postgres next and fill the entry with what it read.
-- KEYS[1]  the cache key
-- ARGV[1]  a fresh token
-- ARGV[2]  time to live of a placeholder, ms
-- Replies with the entry, found or just left: a value, or a placeholder with its token. Tokens are shared.
-- A key of another type than string is an error (WRONGTYPE): it is not ours to destroy on a read.
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' or held and parse(held) then
  return held
end
local left = 'tl1 P 0 ' .. ARGV[1] .. '\n'
local stored = redis.pcall('SET', KEYS[1], left, 'PX', ARGV[2])
return stored.err and stored or left
