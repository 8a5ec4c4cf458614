"""Hands of a worker: sockets, timers, bytes. Holds no decision worth a unit test."""
