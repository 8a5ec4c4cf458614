"""Every limit of the house, with its unit and where the number comes from."""

# Handshakes ---------------------------------------------------------------------------------------------------------

DETECT_BYTES = 8
"""Bytes that `protocol = "auto"` looks at before it decides; the longest HTTP method prefix that tells is 8 bytes."""

HANDSHAKE_BUFFER_BYTES = 65_536
"""Unread handshake bytes held for one client. nginx's large_client_header_buffers hold 4 x 8 KiB; HAProxy one 16 KiB
buffer; 64 KiB leaves room for a pipelined body behind a full head."""

HANDSHAKE_READ_BYTES = 16_384
"""Read at once while a conversation runs: nearly every head and every SOCKS message fits, and a bytes object of this
size costs no system call."""

LINGER_NS = 2_000_000_000
"""How long we read on after our last words, so that no reset overtakes them; nginx's lingering_timeout is 5 s."""

# HTTP ---------------------------------------------------------------------------------------------------------------

HTTP_REQUEST_LINE_BYTES = 8_192
"""Longest request line, 414 beyond it. RFC 9112 section 3 recommends at least 8000; Apache's LimitRequestLine is
8190."""

HTTP_HEAD_BYTES = 32_768
"""Longest head, 431 beyond it. nginx takes 32 KiB (4 x 8 KiB), HAProxy 16 KiB less its reserve."""

HTTP_HEADERS = 128
"""Header lines in one head, 431 beyond it. Apache's LimitRequestFields is 100, HAProxy's tune.http.maxhdr 101."""

HTTP_CHUNK_LINE_BYTES = 256
"""Longest chunk-size line with its extensions. llhttp has no bound, h11 takes 16 digits; nobody uses extensions."""

HTTP_TRAILER_BYTES = 8_192
"""Trailers of one chunked body together. As Go's net/http, which bounds trailers by its header buffer."""

# SOCKS --------------------------------------------------------------------------------------------------------------

SOCKS4_FIELD_BYTES = 255
"""User id and domain in SOCKS4/4a, which state no bound; SOCKS5 gives each one length byte (RFC 1928, 1929)."""

UDP_ROUNDS = 64
"""Datagrams carried for one association before others get their turn; QUIC stacks read about as many in one go."""

UDP_NAMES_WAITING = 16
"""Datagrams of one association held while their destination's name is looked up; as many as a client's first burst."""

BIND_NS = 120_000_000_000
"""How long a BIND waits for its connection; an FTP server connects at once, a person takes a while."""

UDP_TARGETS = 1_024
"""Remote addresses that one UDP association may hear from; beyond it the one written to longest ago is forgotten."""

EXCHANGE_READ_BYTES = 65_536
"""Read at once of an answer that must be looked at; long bodies go through the relay's buffer instead."""

# PROXY protocol -----------------------------------------------------------------------------------------------------

PROXY_V1_BYTES = 107
"""Longest line of version 1, CRLF included; the specification's section 2.1 counts its worst case."""

PROXY_V2_BYTES = 4_096
"""Longest header of version 2, of the 65,551 that its length field could say. nginx reads 4,096 bytes
(NGX_PROXY_PROTOCOL_MAX_HEADER), the specification hopes for one segment of 536."""

PROXY_UNIQUE_ID_BYTES = 128
"""Longest unique id in a header of version 2; the specification's section 2.2.5."""

PROXY_AUTHORITY_BYTES = 255
"""Longest host name in a header of version 2, as HAProxy's HA_PP2_AUTHORITY_MAX; a DNS name has 253."""

# TLS ----------------------------------------------------------------------------------------------------------------

CLIENT_HELLO_BYTES = 16_384
"""Longest ClientHello with its four bytes of head. nginx's preread_buffer_size is 16 KiB, as is HAProxy's buffer; a
hello with a post-quantum key share has about 1,800 bytes, and OpenSSL would take 131,396."""

# Relay --------------------------------------------------------------------------------------------------------------

RELAY_BUFFER_BYTES = 262_144
"""One receive buffer, shared by all connections of a worker; 256 KiB measured best of 16 KiB to 1 MiB."""

RELAY_ROUNDS = 4
"""Buffers moved for one connection before others get their turn: at most 1 MiB, about 300 us of a core."""

BULK_BYTES = 4_194_304
"""A flow that has moved this much by the time of a look at it is bulk: a page and its pictures are less."""

PIPE_BYTES = 1_048_576
"""Room in one pipe: the most that a process without privileges may ask for (/proc/sys/fs/pipe-max-size)."""

PIPES = 64
"""Pipes of one worker: 64 MiB, what a user without privileges gets in all (/proc/sys/fs/pipe-user-pages-soft)."""

# Dialing ------------------------------------------------------------------------------------------------------------

HAPPY_EYEBALLS_NS = 250_000_000
"""Connection Attempt Delay; RFC 8305 section 5 recommends 250 ms."""

DIAL_TARGETS = 8
"""Targets tried for one connection before it fails; HAProxy's default is 3 retries and a redispatch."""

DIAL_ADDRESSES = 16
"""Addresses of one name that are tried; curl and glibc put no bound, c-ares returns what fits a response."""

RESOLVER_THREADS = 16
"""Lookups under way at once in a worker; threads are started only when needed."""

RESOLVER_QUEUE = 4_096
"""Distinct names waiting for a resolver thread; beyond it a dial fails at once as unresolved."""

RESOLVER_ENTRIES = 16_384
"""Names in the DNS cache of one worker; the oldest leave first."""

HANDLER_THREADS = 16
"""Handlers under way at once in a worker; threads are started only when needed. As many as the resolver has."""

HANDLER_QUEUE = 1_024
"""Decisions of one worker that wait or are under way; beyond it connections are refused at once."""

HANDLER_FIELDS = 128
"""Fields of a request that a handler is told; more are left out. Envoy and Apache refuse more than 100."""

# HTTP pool ----------------------------------------------------------------------------------------------------------

POOL_PER_DESTINATION = 64
"""Idle target connections kept for one destination in one worker; nginx's keepalive 32 is per upstream and worker."""

POOL_CONNECTIONS = 1_024
"""Idle target connections kept in one worker over all destinations."""

# Processes ----------------------------------------------------------------------------------------------------------

LISTEN_BACKLOG = 4_096
"""Linux's own default for net.core.somaxconn since 5.4."""

LINE_HIGH = 511
"""Clients that wait for a worker before strangers are left outside; the whole line of nginx (its backlog)."""

LINE_WARY = 128
"""The same for a while after that; Linux had no longer line for anybody before 5.4 (SOMAXCONN)."""

LINE_LOW = 32
"""Clients that wait when strangers are heard again: some milliseconds of work, so that a worker is not left idle."""

LINE_REFUSED = 256
"""Clients that a listener sends away within a second or two before a long line is taken for a flood: a rush of clients
who all may come in, such as after a restart, is none. Half of LINE_HIGH."""

ACCEPT_BATCH = 64
"""Connections accepted before others get their turn; HAProxy's maxaccept is 64 per thread group."""

ACCEPT_NS = 250_000
"""How long a worker accepts before others get their turn: about as long as it takes to carry ten small requests. Under
a flood, a batch of 64 took 3 to 16 ms, and a request that was under way waited for two of them."""

LEDGER_ROWS = 131_072
"""Rows in one worker's ledger: 100,000 open connections, and two seconds of ended ones behind them."""

DESCRIPTOR_RESERVE = 64
"""Descriptors kept free for logs, resolver and admin doors when the accept path pauses."""

WORKERS = 256
"""Worker processes of one node; HAProxy's MAX_THREADS is 256."""

LISTENERS = 1_024
"""Listeners of one node: each costs a descriptor in every worker."""

ROUTES = 16_384
"""Routes of one node. A decision costs the same for ten as for ten thousand (`policy.routes`); the ledger has 65,535
numbers."""

TRACKER_BYTES = 1 << 30
"""Memory of all full trackers; 1,024 of them with an hour of seconds and a day of minutes take 84 MB."""

TARGETS = 65_535
"""Targets of one node: a ledger word gives 16 bits to the target's id."""

REWRITES_REMEMBERED = 8
"""Blocks of fields of one client that are remembered as rewritten; a browser sends a handful of them."""

REWRITE_BYTES = 1_024
"""Longest of them; longer ones are made afresh, so that a client makes us remember 16 KiB a route and no more."""

REPEATS_REMEMBERED = 4
"""Heads of one client that its connection knows the exchange for; who polls asks for one or two things."""

REPEATS_BYTES = 1_024
"""Longest of them, as of other heads that are remembered: a client makes us remember some 10 KiB so, and no more."""

PROXY_OPTIONAL_WAIT_NS = 250_000_000
"""Time for a PROXY header that may come or not; a proxy sends it with its first packet, and a client that waits for its
server to speak waits so much longer."""

REAP_EVERY_NS = 10_000_000_000
"""How often connections that are dead and do not know it are looked for."""

REAP_BATCH = 100
"""Of them, those that are looked at before others get their turn: a tenth of a millisecond."""

# Logins -------------------------------------------------------------------------------------------------------------

LOGIN_BYTES = 255
"""User name and password each; RFC 1929 section 2 gives their lengths one byte."""

LOGINS_REMEMBERED = 1_024
"""Right logins that a worker remembers, 200 KB of them; nginx's auth caches are given a few hundred."""

LOGINS_REMEMBERED_NS = 300_000_000_000
"""For how long; Squid's credentialsttl is two hours. A change of the file ends it at once."""

LOGINS_WAITING = 1_024
"""Logins that wait to be verified, in a worker and in the supervisor. At 20 ms for each they take 5 s of four cores,
less than a handshake may."""

# Limits -------------------------------------------------------------------------------------------------------------

RATE_COUNT = 4_000_000
"""Highest count of a rate: 22 bits of a word hold it (dataplane/limit_table.py). HAProxy's counters have 32 bits."""

RATE_SHORTEST_NS = 1_000_000_000
RATE_LONGEST_NS = 86_400_000_000_000
"""Time of a rate: nginx knows seconds and minutes, HAProxy's stick tables periods up to 24 days."""

RATE_FILL_NS = 365 * 86_400_000_000_000
"""Until the burst of a rate is whole again: a word of nanoseconds holds 146 years of either side of now. Envoy's token
bucket has no bound but that of its 32 bits."""

BANDWIDTH_LEAST = 1_024
BANDWIDTH_MOST = 1 << 40
"""Bytes a second: a segment each second and a half, and more than the fastest Ethernet port. nginx's limit_rate and
HAProxy's bwlim-out have no bounds."""

BURST_PART = 4
BURST_BYTES = 65_536
"""Least and usual burst of a bandwidth: what a quarter of a second brings, and no less than so many bytes. Timers are
up to 67 ms late, so a smaller one would be lost while it waits. Envoy's bandwidth limit fills its own each 50 ms."""

LIMIT_SLOTS = 65_536
"""Clients, routes and users whose limits are counted at once. HAProxy's stick tables are given 100 thousand to a
million entries by hand; a client leaves its slot after ten seconds or two windows of silence."""

LIMIT_TABLE_BYTES = 67_108_864
"""Largest table of them: with very many workers, whose columns take room in each slot, there are fewer slots."""
