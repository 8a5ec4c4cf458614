-- A request line with the whole URL and a path that no other request has. Arguments: the URL, the Host.
-- The origin answers each with a field of its own, so no head is ever seen twice.
local base
local count = 0

function init(args)
  base = args[1] .. "varied/"
  wrk.headers["Host"] = args[2]
end

function request()
  count = count + 1
  return wrk.format("GET", base .. count)
end
