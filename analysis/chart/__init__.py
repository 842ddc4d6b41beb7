"""Tidy tables in, matplotlib figures out.

This room knows colour, type and layout, and how to say a chart in words. It must
never read a file, save one, or draw a share without its n.
"""
