"""Bytes <-> values, without awaits, sockets or clocks.

Parsers return a value, ``None`` for "need more", or raise the one error their
docstring names. This room must never know where bytes come from.
"""
