"""The honest ends of the simulated network: web, DNS, SOCKS and silent servers.

This room knows its protocols. It must never know what the censor forbids; the
one exception is the UDP resolver, which plays the injector beside it as well.
"""
