-- drop: deletes an entry of ours whose version is above a bound, and any placeholder: its ticket may be held by a load of long ago.
-- KEYS[1]  the cache key
-- ARGV[1]  the bound, decimal, or '' for none: any version
-- Replies 1 if the entry was deleted.
local held = redis.pcall('GETRANGE', KEYS[1], 0, 63)
if type(held) == 'table' then
  return 0
end
local kind, version = parse(held)
if kind and (kind == 'P' or ARGV[1] == '' or older(ARGV[1], version)) then
  redis.call('UNLINK', KEYS[1])
  return 1
end
return 0
