"""A simulated network with a censor in it, on loopback, without root.

This room knows what a censor does to bytes, and the peers it stands between.
It must never know how the prober works: it shares no parser, socket loop or
rule with it, and runs in a process of its own.
"""
