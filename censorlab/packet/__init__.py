"""What a censor and a line do to packets: bytes and a time in, bytes and times out.

This room knows packet formats and connection state. It must never know where a
packet comes from (TUN, a file, a test), read a clock, or share a parser with
the prober.
"""
