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

-- A comma would be part of a name, and no Host would ever match.
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

-- HAProxy would take fewer connections than it is told to, and those of the public could keep Prometheus and the health check
-- out. Each has two descriptors, one to the client and one to the server; the operator's listener has 100 (operator.cfg), and
-- HAProxy itself keeps some: 3.0 and 3.2 say `Maxconn: 9984` with 20000 descriptors and one thread, 9980 with four, 9962 with 16. (A
-- connection over HTTP/2 may have more to servers, one for each of its requests.)
local of_its_own = 29 + 3 * threads
local needed = 2 * (connections_max + 100) + of_its_own
for line in io.lines("/proc/self/limits") do
    local limit = tonumber(line:match("^Max open files%s+%S+%s+(%d+)"))
    if limit and limit < needed then
        refuse("HAPROXY_CONNECTIONS_MAX", connections_max,
            string.format("at most %d, for no more file descriptors (nofile) are allowed than %d", (limit - of_its_own) // 2 - 100, limit))
    end
end
