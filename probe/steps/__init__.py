"""One module per step kind: ``async (context, spec, …) -> Observation``.

A step is straight-line code in the order things happen on the wire. It records
what happened and never judges: interference is data, bugs raise, and
`trio.Cancelled` is never caught; a deadline is a scope that the step opened.
"""
