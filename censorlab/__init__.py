"""Simulated networks with a censor in them: on loopback without root, or in namespaces.

This room knows what a censor does to bytes and packets, and the peers it stands
between. It must never know how the prober works: it shares no parser, socket
loop or rule with it, and starts it as a command.
"""
