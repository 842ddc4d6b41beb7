"""Lists of others (Citizen Lab, OONI Run, gatus, Prometheus, plain links) as targets.

One module per format turns text into rows; `assemble` makes one target list of them.
Pure: bytes and values, no files, no names asked of the network.
"""
