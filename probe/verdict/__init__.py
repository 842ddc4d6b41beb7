"""Pure, versioned rules: observations in, verdicts out.

It knows what facts imply and which rivals they leave standing. It must never
know where facts come from, and nothing here depends on time, order or chance:
judging stored facts again gives the same verdicts.
"""

RULES_VERSION = 4
"""Counts up with every change that can alter a verdict."""
