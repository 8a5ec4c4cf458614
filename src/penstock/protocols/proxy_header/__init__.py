"""The PROXY protocol, versions 1 and 2: who the client of the proxy before us is (haproxy.org, proxy-protocol.txt)."""
