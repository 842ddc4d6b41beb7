"""The independent form: rules in the words of nftables, iptables, iproute2 and tc.

No line of the packet engine has a part in it, so that where the two forms show a
client the same, neither is believed on its own word.
"""
