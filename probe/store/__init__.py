"""Records on disk: nothing finished is lost, nothing readable hidden, all scrubbed.

It knows files and lines. It must never judge, and never see a socket.
"""
