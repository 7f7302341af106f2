-- The ledger: one atomic decision over all limits that count a tenant's request, in its own account and in those of
-- budgets that it shares. Redis's clock is the only clock. A <limit> is what `counted_as` in wire.py calls it, an
-- <account> what `account_of` does. Whatever is asked twice for one id changes nothing the second time, so a caller who
-- has not heard the reply may ask again.
--
-- Holds of all accounts are in one place, so that those whose process is gone come back to every account they were in
-- by whatever is asked next, of whichever tenant.
--
-- A lease is a hold by which a pod sets something aside; its id says so. What is leased of an account in which somebody
-- has no room is recalled: pods look whether theirs is, and give it back. It is not taken from them here, since who
-- cannot be told of it might spend it all the same.
--
-- KEYS  1 holds     hash  "<id>" -> "<account>:<limit>=<amount> ...";  "=<account>:<limit>" -> sum of standing holds;
--                         "~<account>:<limit>" -> of that sum what is leased
--       2 expiry    zset  "<id>" -> when its hold comes back by itself (ms)
--       3 recalled  zset  "<account>" -> when somebody had no room in it for what is leased (ms), for seconds
--       4 refused   zset  "<account>:<limit>" -> when somebody needed more than is not used of it (ms), for ten minutes
--       5 finished  zset  "<id>" -> when it was settled or released (ms), for a while; the tenant's. Long pauses between
--                         two of them are left out of these times: "=" -> how long all such were (ms)
--       6 …  spent  hash  "<limit>|<bucket start ms>" -> amount used; one per account
-- ARGV  1 operation: hold | extend | resize | settle | release | read    2 id    3 life of a hold (ms)
--       4 amounts, one per limit: held in all, used in all; nothing where it is released or read
--       5 limits, eight words each: which of the accounts from 1, its name, the limit's name, most allowed, bucket ms
--         (0: calendar), window ms, calendar start and end ms
--       6 room that must be there for a hold, one per limit; nothing: as much as it asks for
--
-- hold and extend are one thing: the id holds these amounts from now on, or as much as before where a limit has no
-- room; of an id that is finished it holds nothing. An extension that asks for less than is held gives nothing back;
-- resize is one that does.
--
-- Replies {status, now ms, ...}:
--   {"ok", now, used, held, used, held, ...}         one pair per limit
--   {"denied", now, limit number from 1, retry after ms, what is leased of it, used, held, used, held, ...}
--   {"clock", now}                                   a calendar window given does not contain now: ask again
local holds, expiry, recalled, refused, finished = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local operation, id, life = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What is finished is known for this long, and the latest of them for longer. Of a pause no more than a minute counts as
-- time: nothing is finished during an outage, and those who ask again after it have as long as without one.
local REMEMBERED_MS, REMEMBERED, PAUSE_MS, DAY_MS = 300000, 100, 60000, 86400000
local EXPIRED_AT_ONCE, FORGOTTEN_AT_ONCE = 256, 16
local RECALLED_MS, REFUSED_MS = 5000, 600000

local function numbers(words)
  local found = {}
  for number in string.gmatch(words, '%d+') do found[#found + 1] = tonumber(number) end
  return found
end

local amounts, rooms = numbers(ARGV[4]), numbers(ARGV[6])

local limits, longest = {}, {}
for number, account, name, most, bucket, window, from, till in
    string.gmatch(ARGV[5], '(%d+) (%S+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+)') do
  local limit = {
    spent = KEYS[5 + number], account = account, name = name, full = account .. ':' .. name,
    amount = amounts[#limits + 1] or 0, most = tonumber(most), bucket = tonumber(bucket), window = tonumber(window),
    from = tonumber(from), till = tonumber(till),
  }
  if limit.bucket == 0 and (now < limit.from or now >= limit.till) then
    return {'clock', now}
  end
  limits[#limits + 1] = limit
  longest[limit.spent] = math.max(longest[limit.spent] or 0, limit.window + limit.bucket)
end

-- Integers to text without an exponent, whatever their size.
local function text(number) return string.format('%.0f', number) end

-- What an id holds, by account and limit. Nothing of a limit is left out: to free it would be to add -0, which Redis does
-- not take for an integer, and every call frees what is over.
local function holding(of)
  local found = {}
  for name, amount in string.gmatch(redis.call('HGET', holds, of) or '', '(%S+)=(%d+)') do
    if tonumber(amount) > 0 then found[name] = tonumber(amount) end
  end
  return found
end

local function is_lease(of) return string.find(of, '/lease.', 1, true) ~= nil end

local function add(of, name, amount)
  if redis.call('HINCRBY', holds, '=' .. name, text(amount)) <= 0 then
    redis.call('HDEL', holds, '=' .. name, '~' .. name)
  elseif is_lease(of) and redis.call('HINCRBY', holds, '~' .. name, text(amount)) <= 0 then
    redis.call('HDEL', holds, '~' .. name)
  end
end

local function free(of)
  for name, amount in pairs(holding(of)) do add(of, name, -amount) end
  redis.call('HDEL', holds, of)
  redis.call('ZREM', expiry, of)
end

-- Holds whose request never came back return here, whosever they are, a bounded number at a time.
for _, of in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', text(now), 'LIMIT', 0, EXPIRED_AT_ONCE)) do
  free(of)
end

local recorded = {}  -- by account; read once what is settled now is in it

-- What is used within a limit's window, and the buckets it is in.
local function used(limit)
  local sum, buckets = 0, {}
  local prefix = limit.name .. '|'
  local fields = recorded[limit.spent] or redis.call('HGETALL', limit.spent)
  recorded[limit.spent] = fields
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
        redis.call('HDEL', limit.spent, fields[i])
      end
    end
  end
  return sum, buckets
end

local function held(limit) return tonumber(redis.call('HGET', holds, '=' .. limit.full) or 0) end

local function leased(limit) return tonumber(redis.call('HGET', holds, '~' .. limit.full) or 0) end

local function note(where, what, lasts)
  redis.call('ZREMRANGEBYSCORE', where, '-inf', text(now - lasts))
  redis.call('ZADD', where, text(now), what)
  redis.call('PEXPIRE', where, lasts)
end

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

local is_finished = redis.call('ZSCORE', finished, id)

local function remember(of)
  local pauses = tonumber(redis.call('ZSCORE', finished, '=') or 0)
  local latest = tonumber(redis.call('ZREVRANGE', finished, 0, 0, 'WITHSCORES')[2] or now)
  local pause = now - pauses - latest - PAUSE_MS
  if pause > 0 then
    pauses = pauses + pause
    redis.call('ZADD', finished, text(pauses), '=')
  end
  local at = now - pauses
  redis.call('ZADD', finished, text(at), of)
  local over = math.min(redis.call('ZCARD', finished) - REMEMBERED, FORGOTTEN_AT_ONCE)
  if over > 0 then
    local old = redis.call(
      'ZRANGEBYSCORE', finished, '(' .. text(pauses), text(at - REMEMBERED_MS), 'LIMIT', 0, over)
    if #old > 0 then redis.call('ZREM', finished, unpack(old)) end
  end
  redis.call('PEXPIRE', finished, DAY_MS)
end

if (operation == 'settle' or operation == 'release') and not is_finished then
  free(id)
  for _, limit in ipairs(limits) do
    if limit.amount > 0 then
      local start = limit.from
      if limit.bucket > 0 then start = now - now % limit.bucket end
      redis.call('HINCRBY', limit.spent, limit.name .. '|' .. text(start), text(limit.amount))
    end
  end
  remember(id)
end

local is_resized = operation == 'resize'
local standing, is_asked = {}, (operation == 'hold' or operation == 'extend' or is_resized) and not is_finished
if is_asked then standing = holding(id) end
local taken, missing, denied = {}, {}, nil
for i, limit in ipairs(limits) do
  local sum, buckets = used(limit)
  local all = held(limit)
  if is_asked then
    local more = limit.amount - (standing[limit.full] or 0)
    -- Asking for nothing more always fits: a free model answers although the limit is used up. Not so what is resized
    -- with room to spare: what has been used of it counts by now, so as much as before is more.
    local is_more = more > 0 or (is_resized and (rooms[i] or 0) > 0)
    if not denied and is_more and sum + all + math.max(more, rooms[i] or 0) > limit.most then
      local wait = 1000  -- only other requests' holds are in the way, and they last seconds
      if sum + limit.amount > limit.most then
        wait = retry_after(limit, sum + limit.amount - limit.most, buckets)
        -- Who asks for room to spare asks for less then.
        if (rooms[i] or 0) <= more and not is_lease(id) then note(refused, limit.full, REFUSED_MS) end
      elseif leased(limit) > 0 and sum + all + more > limit.most and not is_lease(id) then
        note(recalled, limit.account, RECALLED_MS)
      end
      denied = {'denied', now, i, wait, text(leased(limit))}
    end
    missing[i] = is_resized and more or math.max(more, 0)
  end
  taken[i] = {sum, all}
end

local reply = denied or {'ok', now}
for i, each in ipairs(taken) do
  reply[#reply + 1] = text(each[1])
  reply[#reply + 1] = text(each[2] + (denied and 0 or missing[i] or 0))
end
if denied then return reply end

if is_asked then
  for i, limit in ipairs(limits) do
    if missing[i] ~= 0 then
      standing[limit.full] = limit.amount > 0 and limit.amount or nil
      add(id, limit.full, missing[i])
    end
  end
  local packed = {}
  for name, amount in pairs(standing) do packed[#packed + 1] = name .. '=' .. text(amount) end
  redis.call('HSET', holds, id, table.concat(packed, ' '))
  redis.call('ZADD', expiry, text(now + life), id)
  redis.call('PEXPIRE', holds, life + DAY_MS)
  redis.call('PEXPIRE', expiry, life + DAY_MS)
end
-- Kept a day longer than the longest window, so that a limit can be edited without forgetting.
for spent, window in pairs(longest) do redis.call('PEXPIRE', spent, text(window + DAY_MS)) end
return reply
