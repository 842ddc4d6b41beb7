"""What the first bytes that a client says show to a censor, as they come in.

Shared by both engines; knows neither packets nor sockets, and no parser of the
prober's, whose mistakes it would share. Every reader takes bytes in pieces of
any size, in time linear in their number.
"""
