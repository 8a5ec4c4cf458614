"""`penstock demo`: all proxies, a local origin, and traffic whose every byte is counted at both ends."""
