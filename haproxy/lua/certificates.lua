-- /haproxy/certificates: expiry of the certificates that HAProxy has loaded, for Prometheus. HAProxy's exporter lacks it. It comes
-- from the runtime socket, so it is what clients see, not what is on the disk.

local months = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

local function run(command)
    local socket = core.tcp()
    socket:settimeout(2)
    assert(socket:connect("unix@" .. os.getenv("HAPROXY_SOCKET")), "cannot connect to the runtime socket")
    socket:send(command .. "\n")
    local response = socket:receive("*a")
    socket:close()
    return response or ""
end

-- Seconds since 1970 of "Dec  3 13:45:54 2026 GMT", whatever the time zone of this process.
local function seconds(text)
    local month, day, hour, min, sec, year = text:match("(%a+) +(%d+) (%d+):(%d+):(%d+) (%d+) GMT")
    local zone = os.time() - os.time(os.date("!*t"))
    return os.time({ year = year, month = months[month], day = day, hour = hour, min = min, sec = sec }) + zone
end

core.register_service("certificates", "http", function(applet)
    local lines = { "# TYPE haproxy_certificate_not_after_seconds gauge" }
    for file in run("show ssl cert"):gmatch("[^\n]+") do
        local not_after = run("show ssl cert " .. file):match("notAfter: ([^\n]+)")
        if not_after then
            lines[#lines + 1] = ('haproxy_certificate_not_after_seconds{file="%s"} %d'):format(file, seconds(not_after))
        end
    end
    local body = table.concat(lines, "\n") .. "\n"
    applet:set_status(200)
    applet:add_header("content-type", "text/plain; version=0.0.4")
    applet:add_header("content-length", #body)
    applet:start_response()
    applet:send(body)
end)
