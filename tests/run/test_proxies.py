"""Many proxies at once: how often each is tried, in what order they come out, how soon."""

import errno
import hmac
import re
import traceback
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import pytest
import trio

from censorlab.servers.data_centre import Session
from censorlab.servers.data_centre_answers import Centre
from censorlab.servers.data_centre_framing import Framed
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, play
from probe.net.api import TcpInfo
from probe.run.limits import SAME_NAME_GAP_S
from probe.run.proxies import (
    AT_ONCE,
    Candidate,
    ProxyChecked,
    ProxyResult,
    check_proxies,
    new_candidate,
)
from probe.run.proxy_tries import GIVE_UP_AFTER
from probe.steps.proxy_try import Terms, Try
from probe.wire.faketls import OLD_BYTES
from probe.wire.proxy_links import ProxyLink

TRIES = 3
NOW = FakeNetwork().wall_clock().timestamp()


def terms(timeout_s: float = 8.0) -> Terms:
    # Every draw is another: nonces tell tries apart.
    draws = iter(range(1, 10_000_000))
    return Terms(("192.0.2.2", 443), 2, timeout_s, lambda n: _drawn(next(draws), n))


def _drawn(number: int, count: int) -> bytes:
    return (number.to_bytes(8, "big") * (count // 8 + 1))[:count]


def socks(host: str) -> ProxyLink:
    return ProxyLink("socks5", host, 1080)


def works(host: str, delay_s: float = 0.1) -> Row:
    """A SOCKS proxy, and the lab's data centre behind it."""
    answer = Arrival(
        delay_s, lambda sent: Session().receive(sent.partition(b":443")[2], NOW, b"s" * 16)
    )
    return Row(host, delay_s, arrivals=(Arrival(delay_s, b"ok"), answer))


def run(
    links: Sequence[ProxyLink],
    network: FakeNetwork,
    *,
    tries: int = TRIES,
    events: list[ProxyChecked] | None = None,
) -> tuple[tuple[ProxyResult, ...], float]:
    """Return the results and how long they took, in time that costs none."""
    candidates = [new_candidate(link, f"line {n}", b"key") for n, link in enumerate(links, 1)]

    async def scene() -> tuple[tuple[ProxyResult, ...], float]:
        began = trio.current_time()
        said = [] if events is None else events
        results = await check_proxies(candidates, terms(), tries, network, said.append)
        return results, trio.current_time() - began

    return play(scene)


def positions(results: Sequence[ProxyResult]) -> list[str]:
    return [result.candidate.position for result in results]


def test_a_hundred_links_of_which_twenty_work_are_ranked_in_twenty_seconds() -> None:
    """The others are as slow as they can be: each of their tries ends at its deadline."""
    good = [works(f"198.51.{n}.1", 0.05 + n / 100) for n in range(20)]
    silent = [Row(f"203.0.{n}.1", outcome=None) for n in range(40)]
    mute = [Row(f"203.1.{n}.1") for n in range(40)]
    rows = [*silent, *reversed(good), *mute]
    events: list[ProxyChecked] = []
    results, took_s = run([socks(row.address) for row in rows], FakeNetwork(rows), events=events)

    assert took_s < 20
    assert [each.candidate.link.host for each in results[:20]] == [row.address for row in good]
    assert [each.successes for each in results] == [TRIES] * 20 + [0] * 80
    assert [event.done for event in events] == list(range(1, 101))
    assert {event.total for event in events} == {100}


HEARD = TcpInfo(0.01, 0, 0, 0, 1800, 0)
"""The kernel's counters once a peer has everything and says nothing."""


def ee(host: str) -> ProxyLink:
    return ProxyLink("mtproxy_ee", host, 443, secret=b"s" * 16, domain="www.example.org")


def mix(tcp_info: TcpInfo | None) -> dict[str, list[tuple[Row, ProxyLink]]]:
    """A list of which all is in two networks, and every fake TLS names one server."""
    hosts = (f"198.51.100.{n}" for n in range(1, 255))
    rows = {
        "silent ee": [Row(next(hosts), tcp_info=tcp_info) for _ in range(20)],
        "silent SOCKS": [Row(next(hosts)) for _ in range(20)],
        "closed": [Row(next(hosts), outcome=errno.ECONNREFUSED) for _ in range(20)],
        "black hole ee": [Row(f"203.0.113.{n}", outcome=None) for n in range(20)],
        "good": [works(next(hosts)) for _ in range(20)],
    }
    return {
        kind: [(row, (ee if "ee" in kind else socks)(row.address)) for row in of_kind]
        for kind, of_kind in rows.items()
    }


@pytest.mark.parametrize(("tcp_info", "limit_s"), [(HEARD, 15.0), (None, 20.0)])
def test_networks_and_names_that_are_shared_do_not_hold_up_a_list(
    tcp_info: TcpInfo | None, limit_s: float
) -> None:
    """Nor does the absence of the kernel's counters; and nothing is tried more than needed."""
    kinds = mix(tcp_info)
    rows = [row for of_kind in zip(*kinds.values(), strict=True) for row in of_kind]
    network = FakeNetwork([row for row, _ in rows])
    results, took_s = run([link for _, link in rows], network)
    made = Counter(each.row.address for each in network.opened)

    assert took_s < limit_s
    assert {link.host for _, link in kinds.pop("good")} == {
        each.candidate.link.host for each in results if each.successes == TRIES
    }
    for name, of_kind in kinds.items():
        assert {made[row.address] for row, _ in of_kind} == {GIVE_UP_AFTER}, name


def test_hellos_of_one_name_keep_their_distance() -> None:
    """Of each form, whatever they are in a hurry for."""
    rows = [Row(f"198.51.100.{n}", tcp_info=HEARD) for n in range(20)]
    network = FakeNetwork(rows)
    run([ee(row.address) for row in rows], network)
    for form in (True, False):
        sent = sorted(
            each.sent_at for each in network.opened if (len(each.sent) == OLD_BYTES) == form
        )
        gaps = [later - one for one, later in pairwise(sent)]
        assert len(sent) == 20
        assert min(gaps) >= SAME_NAME_GAP_S - 1e-6


def test_the_form_that_comes_farther_is_told() -> None:
    """A proxy of before 2025 behind which everything is dropped: its secret is right."""

    def answer(sent: bytes) -> bytes:
        return flight(sent) if len(sent) == OLD_BYTES else b"\x15\x03\x03\x00\x02\x02\x28"

    row = Row("192.0.2.1", arrivals=(Arrival(0.1, answer),))
    (result,), _ = run([ee(row.address)], FakeNetwork([row]))

    assert result.form == "old"
    assert result.failed_try is not None
    assert result.failed_try[:2] == ("mtproto", "generic_timeout_error")


def flight(hello: bytes) -> bytes:
    """Answer a hello as a proxy with the secret ``s…`` does."""
    random_at = slice(11, 43)
    answer = bytearray(b"\x16\x03\x03\x00\x7a\x02" + bytes(121))
    answer += b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x10" + bytes(16)
    answer[random_at] = hmac.digest(b"s" * 16, hello[random_at] + answer, "sha256")
    return bytes(answer)


def test_an_old_answer_is_known_whichever_proxy_repeats_it() -> None:
    """The question was another proxy's, and was not answered yet."""
    asked: list[bytes] = []

    def first(sent: bytes) -> bytes:
        asked.append(plain_answer(sent.partition(b":443")[2]))
        return Session().receive(sent.partition(b":443")[2], NOW, b"s" * 16)

    def second(sent: bytes) -> bytes:
        session = Framed(Centre())
        session.receive(sent.partition(b":443")[2][:64], NOW, b"s" * 16)
        assert session._sending is not None
        return session._sending.update(asked[0])

    opened = Arrival(0.1, b"ok")
    rows = [
        Row("192.0.2.1", arrivals=(opened, Arrival(0.1, first), Arrival(99.0, b""))),
        Row("192.0.3.1", arrivals=(opened, Arrival(0.2, second))),
    ]
    results, _ = run([socks(row.address) for row in rows], FakeNetwork(rows), tries=1)

    assert {each.candidate.link.host: each.tries[0].failure for each in results} == {
        "192.0.2.1": None,
        "192.0.3.1": "unknown_failure: mtproto_replayed_answer",
    }


class Counting(FakeNetwork):
    """Knows how many sockets were open at most, and to how many hosts."""

    most = most_hosts = 0

    def open_tcp(self, address: str, port: int) -> FakeTcpConnection:
        opened = super().open_tcp(address, port)
        hosts = [each.row.address for each in self.opened if not each.is_closed]
        self.most = max(self.most, len(hosts))
        self.most_hosts = max(self.most_hosts, len(set(hosts)))
        return opened


def test_no_more_than_so_many_are_tried_at_once() -> None:
    rows = [Row(f"203.{n // 250}.{n % 250}.1", outcome=None) for n in range(AT_ONCE + 50)]
    network = Counting(rows)
    run([socks(row.address) for row in rows], network)

    assert network.most_hosts == AT_ONCE
    assert network.most <= AT_ONCE * GIVE_UP_AFTER
    assert all(each.is_closed for each in network.opened)


def test_a_dead_proxy_is_not_tried_to_the_end() -> None:
    """But one that worked once is."""
    dead, flaky = Row("192.0.2.1", outcome=None), works("192.0.3.1")

    class Flaky(FakeNetwork):
        def row_of(self, address: str) -> Row:
            made = sum(each.row.address == address for each in self.opened)
            if address == flaky.address and made % 2:
                return Row(address, refusal="reply_2")
            return super().row_of(address)

    results, _ = run([socks(dead.address), socks(flaky.address)], Flaky([dead, flaky]), tries=5)
    first, second = results

    assert positions(results) == ["line 2", "line 1"]
    assert [each.failure is None for each in first.tries] == [True, False, True, False, True]
    assert first.loss == pytest.approx(0.4)
    assert first.failed_try is not None
    assert first.failed_try.phase == "proxy"
    assert len(second.tries) == GIVE_UP_AFTER
    assert (second.loss, second.median_s) == (1.0, None)


def test_what_works_without_loss_comes_first_and_the_fast_before_the_slow() -> None:
    """Of those that do not work, the ones that came farther are first."""
    rows = [
        Row("192.0.2.1", outcome=None),
        Row("192.0.3.1", refusal="reply_2"),
        works("192.0.4.1", 0.5),
        Row("192.0.5.1", refusal="reply_5"),
        works("192.0.6.1", 0.1),
    ]
    results, _ = run([socks(row.address) for row in rows], FakeNetwork(rows))

    assert positions(results) == ["line 5", "line 3", "line 4", "line 2", "line 1"]
    assert results[0].median_s == pytest.approx(0.3)


def test_names_are_looked_up_once_each_in_either_family() -> None:
    names = {
        ("four.example", 4): (0.1, ("192.0.2.1",)),
        ("six.example", 4): (0.1, "EAI_NODATA"),
        ("six.example", 6): (0.1, ("2001:db8::1",)),
        ("none.example", 4): (0.1, "EAI_NONAME"),
        ("none.example", 6): (0.1, "EAI_NONAME"),
        ("slow.example", 4): (99.0, ()),
    }
    hosts = ("four.example", "six.example", "none.example", "slow.example")
    network = FakeNetwork([works("192.0.2.1"), works("2001:db8::1")], names)
    results, _ = run([socks(host) for host in hosts], network)
    found = {each.candidate.link.host: each for each in results}

    assert found["four.example"].successes == found["six.example"].successes == TRIES
    assert found["none.example"].tries == (Try("name", "dns_nxdomain_error"),)
    assert found["slow.example"].tries == (Try("name", "generic_timeout_error"),)


def test_a_proxy_that_refuses_the_current_hello_gets_the_old_one() -> None:
    """Only if that is where it ended."""
    alert = Arrival(0.1, b"\x15\x03\x03\x00\x02\x02\x28")
    rows = [Row("192.0.2.1", arrivals=(alert,)), Row("192.0.3.1", outcome=111)]
    links = [
        ProxyLink("mtproxy_ee", row.address, 443, secret=b"s" * 16, domain="a.example")
        for row in rows
    ]
    network = FakeNetwork(rows)
    results, _ = run(links, network)
    sizes = [len(each.sent) for each in network.opened if each.row is rows[0]]

    assert len(sizes) == GIVE_UP_AFTER
    assert sizes.count(517) == 1
    assert sum(each.row is rows[1] for each in network.opened) == GIVE_UP_AFTER
    assert {each.form for each in results} == {"current"}


def test_an_answer_that_was_given_before_is_known() -> None:
    """By a proxy that repeats what it once got from a data centre."""
    kept: list[bytes] = []

    def repeat(sent: bytes) -> bytes:
        # Recorded in plain, for the stream's keys are others each time.
        kept.append(sent)
        session = Framed(Centre())
        asked = sent.partition(b":443")[2]
        if len(kept) == 1:
            return session.receive(asked, NOW, b"s" * 16)
        session.receive(asked[:64], NOW, b"s" * 16)
        assert session._sending is not None
        return session._sending.update(plain_answer(kept[0].partition(b":443")[2]))

    row = Row("192.0.2.1", arrivals=(Arrival(0.1, b"ok"), Arrival(0.1, repeat)))
    results, _ = run([socks(row.address)], FakeNetwork([row]), tries=2)

    assert [each.failure for each in results[0].tries] == [
        None,
        "unknown_failure: mtproto_replayed_answer",
    ]


def plain_answer(asked: bytes) -> bytes:
    """Return what a data centre says to an obfuscated question, without obfuscation."""
    session = Framed(Centre())
    session.receive(asked[:64], NOW, b"s" * 16)
    session._sending = None
    return session.receive(asked[64:], NOW, b"s" * 16)


def test_ids_mean_nothing_beyond_the_run() -> None:
    """The same link has another under another key, and one in one form only."""
    link = socks("192.0.2.1")
    make = partial(new_candidate, link, "line 1")
    assert re.fullmatch(r"[0-9a-f]{8}", make(b"a").proxy_id)
    assert make(b"a") == make(b"a")
    assert make(b"a").proxy_id != make(b"b").proxy_id


def test_results_show_no_proxy_when_they_are_printed() -> None:
    """As in an exception or a log that somebody adds."""
    link = ProxyLink("mtproxy_ee", "198.51.100.77", 443, secret=b"S" * 16, domain="a.example")
    result = ProxyResult(Candidate("00000000", "line 1", link), (Try("tcp", "eof_error"),))
    for shown in (repr(result), str(ValueError(result)), repr(ProxyChecked(result, 1, 1))):
        assert "198.51.100.77" not in shown
        assert "SSSS" not in shown
        assert "a.example" not in shown


def test_not_even_a_bug_tells_a_proxy() -> None:
    """Its traceback has lines of code in it, and no values."""

    class Broken(FakeNetwork):
        def open_tcp(self, address: str, port: int) -> FakeTcpConnection:
            raise ZeroDivisionError

    link = ProxyLink("mtproxy_ee", "198.51.100.77", 443, secret=b"S" * 16, domain="a.example")
    with pytest.raises(ExceptionGroup) as caught:
        run([link], Broken())
    told = "".join(traceback.format_exception(caught.value))
    assert "ZeroDivisionError" in told
    for part in ("198.51.100.77", "SSSS", "5353", "a.example"):
        assert part not in told
