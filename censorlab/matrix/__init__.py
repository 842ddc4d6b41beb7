"""Which verdict a prober gives where the truth is known: cells, outcomes, confusion.

The prober is a command; this room starts it and reads what it prints.
"""
