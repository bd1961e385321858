-- canary: tells which server this is, and leaves a canary there if it is the one expected. In one step, so that no canary that
-- speaks of one server's data ever comes to stand among another's.
-- KEYS[1]  the canary's key
-- ARGV[1]  the server that the canary speaks of: its run id and replication id with a space between, or '' to leave none
-- ARGV[2]  the canary: a history, an xid, and perhaps more
-- ARGV[3]  a strange canary that may be replaced, or ''
-- Replies with run id, replication id, the canary that was there ('' for none), and 1 if the new one was left.
-- A canary of another history, or of a later xid, stays until whoever asks has looked into it: it may be all that tells
-- of a database that was in this one's place.
-- A replica replies with an error: what it says of itself is of no use.
local info = redis.call('INFO', 'replication')
if not string.find(info, 'role:master', 1, true) then
  return redis.error_reply('READONLY this server is a replica')
end
local repl = string.match(info, 'master_replid:(%w+)')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local found = redis.pcall('GET', KEYS[1])
if type(found) ~= 'string' then
  found = ''
end

local function older(a, b)
  return #a < #b or (#a == #b and a < b)
end
local function strange()
  local history, xid = string.match(found, '^(%S+) (%d+)')
  local ours, latest = string.match(ARGV[2], '^(%S+) (%d+)')
  return history and found ~= ARGV[3] and (history ~= ours or older(latest, xid))
end

local left = 0
if ARGV[1] == run .. ' ' .. repl and not strange() then
  -- Without memory for it the older canary stays, which is true too.
  local r = redis.pcall('SET', KEYS[1], ARGV[2])
  if not r.err then
    left = 1
  end
end
return {run, repl, found, left}
