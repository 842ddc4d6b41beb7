"""The lab's server for encrypted hellos, against the prober's hello and its own reading."""

import os
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from censorlab.servers.ech_hello import BadHelloError, EchKey, answer, inner_of, read_message
from probe.wire.ech import build_ech_hello, is_accepted, read_server_hello, usable_configs

KEY = EchKey(os.urandom(32), "front.lab.test")
(CONFIG,) = usable_configs(KEY.published)


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("front.lab.test").configure_cert(made)
    return made


def test_it_proves_that_it_read_the_name(context: ssl.SSLContext) -> None:
    hello = build_ech_hello("web.messenger.test", CONFIG, os.urandom)
    message = read_message(hello.record)
    assert message is not None
    inner = inner_of(message, KEY)
    assert inner is not None
    assert b"web.messenger.test" in inner
    assert b"web.messenger.test" not in message
    server_hello = read_server_hello(answer(message, KEY, context))
    assert server_hello is not None
    assert is_accepted(hello, server_hello)


def test_with_another_key_the_outer_hello_is_answered(context: ssl.SSLContext) -> None:
    """Without the proof, as a server does that has changed its key."""
    hello = build_ech_hello("web.messenger.test", CONFIG, os.urandom)
    message = read_message(hello.record)
    assert message is not None
    other = EchKey(os.urandom(32), KEY.public_name)
    server_hello = read_server_hello(answer(message, other, context))
    assert server_hello is not None
    assert not is_accepted(hello, server_hello)


@given(st.integers(0, 400))
def test_a_hello_that_is_not_whole_is_waited_for(count: int) -> None:
    hello = build_ech_hello("web.messenger.test", CONFIG, os.urandom)
    assert read_message(hello.record[: min(count, len(hello.record) - 1)]) is None


@given(st.binary(min_size=1, max_size=300))
def test_other_bytes_are_refused_or_waited_for(context: ssl.SSLContext, data: bytes) -> None:
    try:
        message = read_message(data)
        if message is not None:
            answer(message, KEY, context)
    except BadHelloError:
        pass
