"""Two network namespaces with real kernels and the middlebox between them (Linux).

This room knows namespaces, TUN devices and processes. It must never know what a
rule does to a packet (``censorlab.packet`` does), nor touch the host's own
devices, routes or rules.
"""
