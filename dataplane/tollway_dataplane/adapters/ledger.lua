-- The ledger: one atomic decision over all limits of one tenant. Redis's clock is the only clock. A <limit> is what
-- `counted_as` in wire.py calls it.
--
-- KEYS  1 spent   hash  "<limit>|<bucket start ms>" -> amount used
--       2 holds   hash  "<hold id>" -> "<limit>=<amount> ...";  "=<limit>" -> sum of all standing holds
--       3 expiry  zset  "<hold id>" -> when it comes back by itself (ms)
-- ARGV  1 operation: hold | settle | extend    2 hold id    3 life of a hold (ms)
--       4 amounts of this request, one per limit
--       5 limits, six words each: name, most allowed, bucket ms (0: calendar), window ms, calendar start and end ms
--
-- Replies {status, now ms, ...}:
--   {"ok", now, used, held, used, held, ...}         after hold and settle: one pair per limit
--   {"denied", now, limit number from 1, used, held, retry after ms}
--   {"clock", now}                                   a calendar window given does not contain now: ask again
local spent, holds, expiry = KEYS[1], KEYS[2], KEYS[3]
local operation, id, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local amounts = {}
for amount in string.gmatch(ARGV[4], '%d+') do amounts[#amounts + 1] = tonumber(amount) end

local limits, longest = {}, 0
for name, most, bucket, window, from, till in
    string.gmatch(ARGV[5], '(%S+) (%d+) (%d+) (%d+) (%d+) (%d+)') do
  local limit = {
    name = name, amount = amounts[#limits + 1], most = tonumber(most), bucket = tonumber(bucket),
    window = tonumber(window), from = tonumber(from), till = tonumber(till),
  }
  if limit.bucket == 0 and (now < limit.from or now >= limit.till) then
    return {'clock', now}
  end
  limits[#limits + 1] = limit
  longest = math.max(longest, limit.window + limit.bucket)
end

-- Integers to text without an exponent, whatever their size.
local function text(number) return string.format('%.0f', number) end

local function free(hold)
  local packed = redis.call('HGET', holds, hold)
  if packed then
    for name, amount in string.gmatch(packed, '(%S+)=(%d+)') do
      if redis.call('HINCRBY', holds, '=' .. name, '-' .. amount) <= 0 then
        redis.call('HDEL', holds, '=' .. name)
      end
    end
    redis.call('HDEL', holds, hold)
  end
  redis.call('ZREM', expiry, hold)
end

-- Holds whose request never came back return here, a bounded number at a time.
for _, hold in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', text(now), 'LIMIT', 0, 256)) do
  free(hold)
end

-- What is used within a limit's window, and the buckets it is in, oldest first.
local function used(limit, fields)
  local sum, buckets = 0, {}
  local prefix = limit.name .. '|'
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, #prefix) == prefix then
      local start, amount = tonumber(string.sub(fields[i], #prefix + 1)), tonumber(fields[i + 1])
      local inside
      if limit.bucket == 0 then inside = start >= limit.from and start < limit.till
      else inside = start + limit.bucket > now - limit.window end
      if inside then
        sum = sum + amount
        buckets[#buckets + 1] = {start = start, amount = amount}
      elseif start + limit.bucket + limit.window < now then
        redis.call('HDEL', spent, fields[i])
      end
    end
  end
  return sum, buckets
end

local function held(limit) return tonumber(redis.call('HGET', holds, '=' .. limit.name) or 0) end

-- When enough of the window has passed for the amount to fit.
local function retry_after(limit, missing, buckets)
  if limit.bucket == 0 then return limit.till - now end
  table.sort(buckets, function(a, b) return a.start < b.start end)
  for _, bucket in ipairs(buckets) do
    missing = missing - bucket.amount
    if missing <= 0 then return math.max(0, bucket.start + limit.bucket + limit.window - now) end
  end
  return limit.window
end

if operation == 'extend' then
  if redis.call('ZSCORE', expiry, id) then
    redis.call('ZADD', expiry, text(now + life), id)
    redis.call('PEXPIRE', holds, life * 2)
    redis.call('PEXPIRE', expiry, life * 2)
  end
  return {'ok', now}
end

if operation == 'settle' then
  free(id)
  for _, limit in ipairs(limits) do
    if limit.amount > 0 then
      local start = limit.from
      if limit.bucket > 0 then start = now - now % limit.bucket end
      redis.call('HINCRBY', spent, limit.name .. '|' .. text(start), text(limit.amount))
    end
  end
end

local fields = redis.call('HGETALL', spent)
local reply = {'ok', now}
for i, limit in ipairs(limits) do
  local sum, buckets = used(limit, fields)
  local standing = held(limit)
  -- Asking for nothing always fits: a free model answers although the limit is used up.
  if operation == 'hold' and limit.amount > 0 and sum + standing + limit.amount > limit.most then
    local missing = sum + limit.amount - limit.most
    local wait = 1000  -- only other requests' holds are in the way, and they last seconds
    if missing > 0 then wait = retry_after(limit, missing, buckets) end
    return {'denied', now, i, text(sum), text(standing), wait}
  end
  reply[#reply + 1] = text(sum)
  reply[#reply + 1] = text(standing)
end

if operation == 'hold' then
  free(id)  -- the same id again replaces its hold instead of adding to it
  local packed = {}
  for _, limit in ipairs(limits) do
    if limit.amount > 0 then
      packed[#packed + 1] = limit.name .. '=' .. text(limit.amount)
      redis.call('HINCRBY', holds, '=' .. limit.name, text(limit.amount))
    end
  end
  redis.call('HSET', holds, id, table.concat(packed, ' '))
  redis.call('ZADD', expiry, text(now + life), id)
  redis.call('PEXPIRE', holds, life * 2)
  redis.call('PEXPIRE', expiry, life * 2)
end
-- Kept a day longer than the longest window, so that a limit can be edited without forgetting.
redis.call('PEXPIRE', spent, text(longest + 86400000))
return reply
