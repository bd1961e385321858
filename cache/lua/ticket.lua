-- ticket: taken by whoever will read Postgres next and fill the entry with what it read.
-- KEYS[1]  the cache key
-- ARGV[1]  a fresh token
-- ARGV[2]  time to live of a placeholder, ms
-- ARGV[3]  index of the last byte wanted of the entry: -1 for all of it
-- Replies with the entry, found or just left: a value, or a placeholder with its token. Tokens are shared.
-- A key of another type than string is an error (WRONGTYPE): it is not ours to destroy on a read.
return each(function()
  local held = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[3])
  if type(held) == 'table' or parse(held) then
    return held
  end
  local left = 'tl1 P 0 ' .. ARGV[1] .. '\n'
  local stored = redis.pcall('SET', KEYS[1], left, 'PX', ARGV[2])
  return stored.err and stored or left
end)
