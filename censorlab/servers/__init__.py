"""Real servers from Debian as data: what to write, what to run, what will listen.

A server that nobody here wrote keeps the path from being our client against
our server. ``install.sh`` beside this file installs them.
"""
