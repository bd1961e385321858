-- each: has a script work on several keys in one call, one after the other. It stands in front of the script, for which KEYS and ARGV are those of
-- the key at hand.
-- KEYS     the keys
-- ARGV     the arguments of the first key, of the second, and so on: as many for each, and perhaps one more for all
-- Replies  as the work on the one key does, or with an array of such replies. With no memory left it fails as a whole: the server asks itself but once a
--          script whether there is any, and after the first write not at all.
local keys, args = KEYS, ARGV
local KEYS, ARGV = KEYS, ARGV

local function each(work)
  if #keys == 1 then
    return work()
  end
  local probe = redis.pcall('SETRANGE', keys[1], 0, '') -- changes nothing, and makes nothing
  if type(probe) == 'table' and string.find(probe.err, 'OOM', 1, true) then
    return probe
  end
  local many, replies = math.floor(#args / #keys), {}
  KEYS, ARGV = {}, {}
  for i = 1, #keys do
    KEYS[1] = keys[i]
    for j = 1, many do
      ARGV[j] = args[(i - 1) * many + j]
    end
    replies[i] = work()
  end
  return replies
end

