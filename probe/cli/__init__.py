"""The command ``reachwatch``: the only room that prints.

stdout is data, stderr is progress and prompts. Heavy rooms are imported when a
command needs them, so that ``--help`` costs next to nothing.
"""
