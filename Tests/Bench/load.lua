-- What wrk sends, and how it reports: one line of JSON that starts with "RESULT ".
--
-- wrk ... -s load.lua URL -- METHOD BODY HEADERS PRODUCERS PATH [PATH ...]
--
-- BODY is a number of bytes, or @FILE. HEADERS are lines "Name: value" of every request, and may be empty; with the
-- content type application/json a number of bytes is one string.
--
-- With PRODUCERS other than 0, each thread has that many idempotent producers, at least one for each connection, each
-- with a stream of its own choice and one request in flight at a time. wrk does not say on which connection an answer
-- came: each producer has an epoch of its own, which answers repeat. The header Producer-Id is what all names begin with.
--
-- The requests of each thread go round the paths; in a single path, `*` stands for something else in each, `{N}` for a
-- random number from 1 to N, and `{N+}` for N, N + 1 and so on, in each thread. The answers to GET are counted as errors
-- from 400 on; of all other methods each status is counted, which makes wrk copy the answer's body and so suits small
-- ones.

local threads = {}

function setup(thread)
  -- Threads start at different paths, so that they don't walk in step.
  thread:set("first", #threads * 37)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(arguments)
  local method, size, producers = arguments[1], tonumber(arguments[2]), tonumber(arguments[4])
  local headers, body = {}, nil
  if not size then
    local file = assert(io.open(arguments[2]:sub(2), "rb"))
    body = file:read("*a")
    file:close()
  elseif size > 0 then
    headers["Content-Type"] = "application/octet-stream"
    body = string.rep("0123456789abcdef", math.ceil(size / 16)):sub(1, size)
  end

  for name, value in arguments[3]:gmatch("([^:\n]+): ([^\n]+)") do
    headers[name] = value
  end
  if size and body and headers["Content-Type"] == "application/json" then
    body = '"' .. body:sub(1, size - 2) .. '"'
  end

  local paths, requests = {(table.unpack or unpack)(arguments, 5)}, {}
  for _, path in ipairs(paths) do
    table.insert(requests, wrk.format(method, path, headers, body))
  end
  local count, upwards = paths[1]:match("{(%d+)(%+?)}")
  if producers > 0 then
    produce(method, paths, headers, body, producers)
  elseif #requests == 1 and count then
    -- The path changes nothing but itself in a request.
    local before, after = requests[1]:match("^(.-){%d+%+?}(.*)$")
    local highest, last = tonumber(count), tonumber(count) - 1
    math.randomseed(os.time() * 2 + number)
    request = function()
      if upwards == "" then
        return before .. math.random(highest) .. after
      end
      last = last + 1
      return before .. last .. after
    end
  elseif #requests == 1 and paths[1]:find("*", 1, true) then
    local before, after = paths[1]:match("^(.*)%*(.*)$")
    local sent = 0
    request = function()
      sent = sent + 1
      return wrk.format(method, before .. number .. "-" .. sent .. after, headers, body)
    end
  elseif #requests == 1 then
    -- wrk sends a constant request without asking Lua for each.
    wrk.method, wrk.path, wrk.headers, wrk.body = method, paths[1], headers, body
  else
    local count, last = #requests, first
    request = function()
      last = last + 1
      return requests[last % count + 1]
    end
  end

  statuses = {}
  if method ~= "GET" then
    response = function(status, answer)
      local key = tostring(status)
      statuses[key] = (statuses[key] or 0) + 1
      if answered then
        answered(answer)
      end
    end
  end
end

-- Requests of producers, of which the one that has waited longest is next.
function produce(method, paths, headers, body, count)
  local name = headers["Producer-Id"]
  local all, idle, oldest, newest = {}, {}, 1, count
  for index = 1, count do
    headers["Producer-Id"] = name .. "-" .. number .. "-" .. index
    headers["Producer-Epoch"] = tostring(index)
    headers["Producer-Seq"] = "@seq@"
    local text = wrk.format(method, paths[(first + index) % #paths + 1], headers, body)
    local before, after = text:match("^(.-)@seq@(.*)$")
    all[index] = {before = before, after = after, sequence = -1}
    idle[index] = all[index]
  end
  request = function()
    local producer = idle[oldest]
    idle[oldest] = nil
    oldest = oldest + 1
    producer.sequence = producer.sequence + 1
    return producer.before .. producer.sequence .. producer.after
  end
  answered = function(answer)
    newest = newest + 1
    idle[newest] = all[tonumber(answer["Producer-Epoch"])]
  end
end

function done(summary)
  local statuses = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      statuses[status] = (statuses[status] or 0) + count
    end
  end
  if next(statuses) == nil and summary.errors.status > 0 then
    statuses["400 to 599"] = summary.errors.status
  end
  local parts = {}
  for status, count in pairs(statuses) do
    table.insert(parts, string.format('"%s":%d', status, count))
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"bytes":%d,"socket_errors":%d,"statuses":{%s}}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout,
    table.concat(parts, ",")))
end
