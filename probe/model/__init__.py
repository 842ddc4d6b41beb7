"""Nouns without I/O: target, vantage, step, observation, failure, verdict, codec.

This room knows what the words mean and how they are stored. It must never know
how a fact is obtained (sockets, clocks, event loops) or what it implies.
"""
