-- Refuses to start with a variable that makes no sense: HAProxy would name the line that it is used in, not the variable, or
-- take HAPROXY_TLS=yes for off without a word.

local function refuse(name, value, wanted)
    error(string.format("%s is %s: it has to be %s", name, value, wanted), 0)
end

local function one_of(name, first, second)
    local value = os.getenv(name)
    if value ~= first and value ~= second then
        refuse(name, value, string.format("%s or %s", first, second))
    end
end

-- number(NAME, LEAST, MOST [, WORD]): returns it, or nil where it may also be, and is, that word.
local function number(name, least, most, word)
    local value = os.getenv(name)
    if value == word then
        return nil
    end
    -- No leading zeros: the files compare texts.
    local given = (value == "0" or value:match("^[1-9]%d*$")) and tonumber(value)
    if not given or given < least or given > most then
        refuse(name, value, string.format("%sa number from %d to %d", word and word .. " or " or "", least, most))
    end
    return given
end

one_of("HAPROXY_TLS", "off", "on")
one_of("HAPROXY_NEXT", "off", "on")
one_of("HAPROXY_LOG", "errors", "all")
number("HAPROXY_REPLICAS", 1, 8)
number("HAPROXY_THREADS", 1, 64)
number("HAPROXY_NEXT_PERCENT", 0, 100)
number("HAPROXY_HTTPS_PORT", 1, 65535)
number("HAPROXY_BODY_MAX", 1, 1 << 40)
number("HAPROXY_RATE_LIMIT", 1, 1 << 30, "off")
local connections_max = number("HAPROXY_CONNECTIONS_MAX", 1, 1 << 20)

-- HAProxy would take fewer connections than it is told to, and those of the public could keep Prometheus and the health check
-- out. Each has two descriptors, one to the client and one to the server; the operator's listener has 100 (operator.cfg), and
-- HAProxy itself keeps some 31, for what it listens on, checks and logs to.
local needed = 2 * (connections_max + 100) + 32
for line in io.lines("/proc/self/limits") do
    local limit = tonumber(line:match("^Max open files%s+%S+%s+(%d+)"))
    if limit and limit < needed then
        refuse("HAPROXY_CONNECTIONS_MAX", connections_max,
            string.format("at most %d, for no more file descriptors (nofile) are allowed than %d", (limit - 32) // 2 - 100, limit))
    end
end
