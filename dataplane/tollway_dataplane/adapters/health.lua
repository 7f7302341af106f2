-- What data planes have found of models that are not well. Times are by this server's clock, since theirs differ.
-- A field is `<model>` for its circuit breaker and `<model>:cooldown`; its value `<state> <opened> <told at> <until>`,
-- in milliseconds.
--
-- KEYS[1] the hash
-- ARGV    <milliseconds that things are kept after they are over>, then for each that is told: <field> <state> <opened> <milliseconds left>
--
-- Returns <now>, then each field and its value. What is long over is deleted.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = tonumber(ARGV[1])
for place = 2, #ARGV, 4 do
    local value = ARGV[place + 1] .. ' ' .. ARGV[place + 2] .. ' ' .. string.format('%.0f', now) .. ' '
        .. string.format('%.0f', now + tonumber(ARGV[place + 3]))
    redis.call('HSET', KEYS[1], ARGV[place], value)
end
local said, found = { string.format('%.0f', now) }, redis.call('HGETALL', KEYS[1])
for place = 1, #found, 2 do
    local till = tonumber(string.match(found[place + 1], ' (%d+)$'))
    if not till or till + kept < now then
        redis.call('HDEL', KEYS[1], found[place])
    else
        said[#said + 1], said[#said + 2] = found[place], found[place + 1]
    end
end
return said
