-- Validates the variables at start. HAProxy itself would report a line instead of the variable, or silently take HAPROXY_TLS=yes
-- for off.

local function refuse(name, value, wanted)
    error(string.format("%s is %s: it has to be %s", name, value, wanted), 0)
end

local function one_of(name, first, second)
    local value = os.getenv(name)
    if value ~= first and value ~= second then
        refuse(name, value, string.format("%s or %s", first, second))
    end
end

-- number(NAME, LEAST, MOST [, WORD]): the value, or nil if it is WORD.
local function number(name, least, most, word)
    local value = os.getenv(name)
    if value == word then
        return nil
    end
    -- No leading zeros, because the .cfg files compare strings.
    local given = (value == "0" or value:match("^[1-9]%d*$")) and tonumber(value)
    if not given or given < least or given > most then
        refuse(name, value, string.format("%sa number from %d to %d", word and word .. " or " or "", least, most))
    end
    return given
end

-- A comma would become part of a name that matches no Host.
local hosts = os.getenv("HAPROXY_OPERATOR_HOSTS")
if not hosts:match("%S") or hosts:match("[^%w._ -]") then
    refuse("HAPROXY_OPERATOR_HOSTS", hosts, "host names without ports, with spaces between them")
end

one_of("HAPROXY_TLS", "off", "on")
one_of("HAPROXY_NEXT", "off", "on")
one_of("HAPROXY_LOG", "errors", "all")
number("HAPROXY_REPLICAS", 1, 8)
local threads = number("HAPROXY_THREADS", 1, 64)
number("HAPROXY_NEXT_PERCENT", 0, 100)
number("HAPROXY_HTTPS_PORT", 1, 65535)
number("HAPROXY_BODY_MAX", 1, 1 << 40)
number("HAPROXY_RATE_LIMIT", 1, 1 << 30, "off")
local connections_max = number("HAPROXY_CONNECTIONS_MAX", 1, 1 << 20)

-- With too few file descriptors, HAProxy would accept fewer connections, and clients could lock out Prometheus and the health
-- check. A connection uses two, one to the client and one to the server (over HTTP/2 one per request). The operator listener has 1,000
-- connections (operator.cfg). HAProxy keeps some itself: 3.0 and 3.2 report `Maxconn: 9984` with 20000 descriptors and one thread,
-- 9980 with four, 9962 with 16.
local operator_max = 1000
local reserved = 29 + 3 * threads
local needed = 2 * (connections_max + operator_max) + reserved
for line in io.lines("/proc/self/limits") do
    local limit = tonumber(line:match("^Max open files%s+%S+%s+(%d+)"))
    if limit and limit < needed then
        refuse("HAPROXY_CONNECTIONS_MAX", connections_max,
            string.format("at most %d with %d file descriptors (nofile)", (limit - reserved) // 2 - operator_max, limit))
    end
end
