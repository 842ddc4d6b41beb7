"""Scenarios: what is arranged, and what is true about it.

A scenario is data. This room turns it into rules, programs and a targets list;
it must never know what a prober makes of them.
"""
