"""Telegram's own handshake as far as ``resPQ``: no account and no key is needed for it.

`framing` puts packets into a stream and finds them there, `obfuscation` makes a
stream look random, `res_pq` builds the request and verifies the answer, `exchange`
joins them over TCP, `over_http` in a POST. Source: core.telegram.org/mtproto
(description, auth_key, transports).
"""
