"""Circumvention as pure rewrites of a chain.

A tactic knows how to get the same endpoint another way. It must never open a
socket: what it needs from the network is a value in the step specifications.
"""
