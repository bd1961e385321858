-- apply: brings one change to one entry.
-- KEYS[1]  the cache key
-- ARGV[1]  version of the change, decimal
-- ARGV[2]  the entry to store, or '' when the value is not known (invalidate)
-- ARGV[3]  time to live of the entry, ms
-- ARGV[4]  W: a write; C: a write that wants its value allocated where the cache holds none; F: a fill by a loader
-- ARGV[5]  the token held, or ''
-- ARGV[6]  a fresh token for a placeholder left here
-- ARGV[7]  time to live of a placeholder, ms
-- ARGV[8]  '1' to be told which server this is, once for all keys
-- Replies  applied, superseded, settled, check <token>, refused,
--          dropped (no memory: the entry was deleted), rejected (the key held another type: it was deleted);
--          with ARGV[8], followed by ' @' and the server's run id: the first of several replies that is not an error
local function drop(reply)
  redis.call('UNLINK', KEYS[1])
  return reply
end

-- What cannot be stored must not leave an older value behind.
local function store(bytes, ttl, reply)
  local r = redis.pcall('SET', KEYS[1], bytes, 'PX', ttl)
  if not r.err then
    return reply
  end
  if string.find(r.err, 'OOM', 1, true) then
    return drop('dropped')
  end
  return r
end

local function placeholder(bound, token, reply)
  return store('tl1 P ' .. bound .. ' ' .. token .. '\n', ARGV[7], reply)
end

local function apply()
  local version, entry, who, ticket = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
  local held = redis.pcall('GETRANGE', KEYS[1], 0, 63)
  if type(held) == 'table' then
    if not string.find(held.err, 'WRONGTYPE', 1, true) then
      return held
    end
    if who == 'F' then
      return 'refused'
    end
    return drop('rejected')
  end
  local kind, bound, token = parse(held)

  if not kind then
    -- Nothing, or bytes that are not ours and so say nothing of versions: only a ticket can tell what is the latest.
    if who == 'F' then
      return 'refused'
    end
    if who == 'C' and entry ~= '' then
      return placeholder(version, ARGV[6], 'check ' .. ARGV[6])
    end
    -- To nothing this changes nothing, but a replica refuses it: what it lacks, its primary may hold.
    return drop('settled')
  end

  if kind ~= 'P' then
    if not older(bound, version) then
      return 'superseded'
    end
    if entry == '' then
      return placeholder(version, ARGV[6], 'settled')
    end
    return store(entry, ARGV[3], 'applied')
  end

  if entry ~= '' and ticket ~= '' and ticket == token and not older(version, bound) then
    return store(entry, ARGV[3], 'applied')
  end
  if who == 'F' then
    return 'refused'
  end
  local reply = 'settled'
  if who == 'C' and entry ~= '' and not older(version, bound) then
    reply = 'check ' .. token
  end
  if older(bound, version) then
    return placeholder(version, token, reply)
  end
  return reply
end

local function named(reply)
  -- A server that may not be asked (its ACL forbids INFO) does its work all the same.
  local info = redis.pcall('INFO', 'server')
  local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
  return run and reply .. ' @' .. run or reply
end

local reply = each(apply)
if args[7 * #keys + 1] ~= '1' then
  return reply
end
if type(reply) == 'string' then
  return named(reply)
end
for i = 1, #reply do
  if type(reply[i]) == 'string' then
    reply[i] = named(reply[i])
    break
  end
end
return reply
