"""Results in, tables, charts and reports out.

This room knows stored lines, time and how to show shares honestly. It must never
measure, and never change a stored fact; it sees `probe.model` and `probe.verdict`
only, so that a chart cannot depend on how a fact was obtained.
"""
