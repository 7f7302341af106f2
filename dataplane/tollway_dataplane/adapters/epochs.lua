-- What was purged when (tollway_api/epochs.py), in one step. Redis's clock is the only clock.
--
-- KEYS  1 epochs  hash    "<scope>" -> epoch (ms);  "version" -> the greatest of them
--       2 news    stream
-- ARGV  1 operation: purge | keep
--       purge: 2 scope, 3 how long the news may be          replies the epoch
--       keep:  2 "1": where nothing stands, everything is purged; then pairs of scope and epoch that are to stand
--
-- The scope " " is everything: its epoch is made where there is none.
local epochs, news = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local version = tonumber(redis.call('HGET', epochs, 'version') or 0)

local function set(scope, epoch)
  redis.call('HSET', epochs, scope, string.format('%d', epoch))
  version = math.max(version, epoch)
end

local function later() return math.max(now, version + 1) end

local replies
if ARGV[1] == 'purge' then
  replies = later()
  set(ARGV[2], replies)
  redis.call('XADD', news, 'MAXLEN', ARGV[3], '*', 'purged', ARGV[2])
else
  local is_new = version == 0 and ARGV[2] == '1'
  for i = 3, #ARGV, 2 do
    local epoch = tonumber(ARGV[i + 1])
    if tonumber(redis.call('HGET', epochs, ARGV[i]) or 0) < epoch then set(ARGV[i], epoch) end
  end
  if is_new then set(' ', later()) end
end
if redis.call('HEXISTS', epochs, ' ') == 0 then set(' ', replies or later()) end
redis.call('HSET', epochs, 'version', string.format('%d', version))
return replies
