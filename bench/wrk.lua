-- Arguments of wrk after `--`: METHOD CONTENT_TYPE BODY_FILE. Prints the result as one JSON line, latencies in microseconds.
function init(arguments)
   local file = assert(io.open(arguments[3], "rb"))
   local body = file:read("*a")
   file:close()
   wrk.method = arguments[1]
   if #body > 0 then
      wrk.body = body
      wrk.headers["content-type"] = arguments[2]
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   local percentiles = {}
   for _, p in ipairs({50, 75, 90, 95, 99, 99.9, 99.99}) do
      percentiles[#percentiles + 1] = string.format('"%s": %d', p, latency:percentile(p))
   end
   percentiles[#percentiles + 1] = string.format('"100": %d', latency.max)
   io.write(string.format(
      '\n{"responses": %d, "seconds": %.6f, "not_ok": %d, "socket_errors": %d, "percentiles_us": {%s}}\n',
      summary.requests, summary.duration / 1e6, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout, table.concat(percentiles, ", ")))
end
