-- A request line with the whole URL, as a forward proxy is asked. Arguments: the URL, the Host.
-- The request is built once: without a `request` function wrk sends the same bytes and runs no Lua per request.
function init(args)
  wrk.path = args[1]
  wrk.headers["Host"] = args[2]
end
