"""The only room that touches sockets: streams, datagrams, TLS, TCP_INFO.

It knows how to move bytes and when they moved. It must never know why (targets,
verdicts) nor turn an error into a judgement; it raises what the system raised.
"""
