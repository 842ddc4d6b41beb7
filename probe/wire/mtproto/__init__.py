"""Telegram's own handshake as far as the proof of a key: no account is needed for it.

`framing` puts packets into a stream and finds them there, `obfuscation` makes a
stream look random, `carrier`, `over_http` and `over_websocket` carry packets by them;
`messages` are what the packets hold, `res_pq` is the first question and its answer,
`key_exchange` goes on to prove that the peer holds a key. `conversation` joins them.
Source: core.telegram.org/mtproto (description, auth_key, transports).
"""
