"""Tidy tables in, matplotlib Figures out: a timeline of states, a matrix of layers.

This room knows how to show states, counts and dates honestly on paper. It must
never read a file, save one, judge a fact, or know where a table came from.
"""
