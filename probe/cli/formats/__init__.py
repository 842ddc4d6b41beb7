"""What a run is written as, besides the terminal's picture: one module a format.

A format turns a `Report` into text. Reports hold what may be passed on: CI logs and
artefacts are mostly public.
"""
