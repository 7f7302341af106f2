-- What each data plane says of itself, in a hash by its id: "<milliseconds by this clock> <figures>".
-- KEYS: the hash. ARGV: for how many milliseconds a word counts; the id of who says something, and what.
-- Returns what all say by now, and forgets who has fallen silent.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[2], string.format('%.0f ', now) .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
local said = {}
local all = redis.call('HGETALL', KEYS[1])
for place = 1, #all, 2 do
  local told, figures = string.match(all[place + 1], '^(%d+) (.*)$')
  if told and now - told < tonumber(ARGV[1]) then
    said[#said + 1] = figures
  else
    redis.call('HDEL', KEYS[1], all[place])
  end
end
return said
