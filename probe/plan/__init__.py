"""Targets and options in, a `Plan` out: pure and seeded.

The plan is a promise: it knows every resolver, host, port and name a run may
touch. It must never look at the network to decide.
"""
