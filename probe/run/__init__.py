"""Carry out a plan: nurseries, limits, pacing, follow-ups, progress events.

It knows what is promised and when to stop. It must never print, and it may open
nothing that the plan does not name.
"""
