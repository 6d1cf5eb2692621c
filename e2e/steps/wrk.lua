-- Spreads wrk's threads over the addresses in its arguments, by default the URL's own. Prints its counts.
local threads = {}

function setup(thread)
   table.insert(threads, thread)
   thread:set("number", #threads)
end

function init(args)
   if #args > 0 then
      wrk.thread.addr = wrk.lookup(args[(number - 1) % #args + 1], "8080")[1]
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format("\n%d %.6f %d %.3f\n", summary.requests, summary.duration / 1e6,
      errors.status + errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(99) / 1000))
end
