-- entry: how an entry's bytes are read. It stands in front of both scripts and says the same as decode in entry.go.

-- Decimals without leading zeros, compared as text: a Lua number is exact only up to 2^53.
local function older(a, b)
  return #a < #b or (#a == #b and a < b)
end

-- FORMATS is the newest format that this build knows. Returns kind, version and token ('' unless a placeholder), or nil when the bytes are not ours.
local function parse(bytes)
  local kind, version, rest = string.match(string.sub(bytes, 1, 64), '^tl[1-FORMATS] ([VAP]) (%d+)([^\n]*)\n')
  if not kind or string.find(version, '^0.') or older('9223372036854775807', version) then
    return nil
  end
  local token = ''
  if kind == 'P' then
    token, rest = string.match(rest, '^ (%w+)$'), ''
  end
  if not token or rest ~= '' then
    return nil
  end
  return kind, version, token
end

