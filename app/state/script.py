"""One exchange between a gateway and Redis, as a script that runs there in one step. Knows Redis; knows no gateway.

All that a gateway says is absolute ("so much have I used in that span"), so that saying it twice changes nothing, and a
server that has lost everything knows it again after the next full exchange. Times are the server's.
"""

ALIVE_S = 5
"""A gateway that has said nothing for so long has nothing in flight: it was killed, or cannot reach the server."""

EXCHANGE = """
local base, me, stale = KEYS[1], ARGV[1], tonumber(ARGV[2])
local ttl, entries, windows, words = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6

redis.call('HSET', base .. ':alive', me, string.format('%.3f', now))
redis.call('EXPIRE', base .. ':alive', 3600)
local alive, known, last = {}, {}, redis.call('HGETALL', base .. ':alive')
for i = 1, #last, 2 do
    local silent = math.abs(now - tonumber(last[i + 1])) -- the clock may have been set back since
    known[last[i]] = true
    if silent < stale then
        alive[last[i]] = true
    elseif silent > 60 then
        redis.call('HDEL', base .. ':alive', last[i])
    end
end

if entries ~= '' then
    local oldest = string.format('%.0f', (now - ttl) * 1000)
    redis.call('XADD', base .. ':sessions', 'MINID', '~', oldest, '*', 'g', me, 's', entries)
    redis.call('EXPIRE', base .. ':sessions', math.ceil(ttl))
end

local function others(key)
    local total, used = 0, redis.call('HGETALL', key)
    for i = 1, #used, 2 do
        if used[i] ~= me then total = total + tonumber(used[i + 1]) end
    end
    return total
end

local answer, at = {string.format('%.6f', now)}, 7
for _ = 1, windows do
    local name, length, span = base .. ':' .. ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    for back = 0, 1 do
        local mine = ARGV[at + 3 + back]
        if span > 0 and tonumber(mine) > 0 then
            local key = name .. ':' .. string.format('%.0f', span - back)
            redis.call('HSET', key, me, mine)
            redis.call('EXPIRE', key, math.ceil(2 * length) + 60)
        end
    end
    local current = math.floor(now / length)
    answer[#answer + 1] = string.format('%.0f', current)
    answer[#answer + 1] = string.format('%.6f', now - current * length)
    answer[#answer + 1] = string.format('%.17g', others(name .. ':' .. string.format('%.0f', current)))
    answer[#answer + 1] = string.format('%.17g', others(name .. ':' .. string.format('%.0f', current - 1)))
    at = at + 5
end
for _ = 1, words do
    local key, told = base .. ':' .. ARGV[at], {}
    redis.call('HSET', key, me, ARGV[at + 1])
    redis.call('EXPIRE', key, 3600)
    local all = redis.call('HGETALL', key)
    for i = 1, #all, 2 do
        if all[i] == me then
        elseif alive[all[i]] then
            told[#told + 1] = all[i]
            told[#told + 1] = all[i + 1]
        elseif not known[all[i]] then
            redis.call('HDEL', key, all[i])
        end
    end
    answer[#answer + 1] = told
    at = at + 2
end
while at <= #ARGV do
    local key = base .. ':' .. ARGV[at]
    if tonumber(ARGV[at + 1]) > 0 then
        redis.call('HSET', key, me, ARGV[at + 1])
        redis.call('EXPIRE', key, 3600)
    else
        redis.call('HDEL', key, me)
    end
    local elsewhere, flights = 0, redis.call('HGETALL', key)
    for i = 1, #flights, 2 do
        if flights[i] ~= me and alive[flights[i]] then elsewhere = elsewhere + tonumber(flights[i + 1]) end
    end
    answer[#answer + 1] = string.format('%.0f', elsewhere)
    at = at + 2
end
return answer
"""
