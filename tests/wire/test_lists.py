"""Lists of others become valid target lists, lose nothing silently, and name no local place."""

import csv
import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.model.target import Targets
from probe.model.validate import load_targets
from probe.wire.lists import assemble as assembling
from probe.wire.lists.assemble import Assembled, Heading, as_bytes, assemble
from probe.wire.lists.citizenlab import read_citizenlab
from probe.wire.lists.gatus import read_gatus
from probe.wire.lists.ooni_run import read_ooni_run
from probe.wire.lists.places import BadPlaceError, read_place
from probe.wire.lists.read import Format, read_list
from probe.wire.lists.row import MAX_LIST_BYTES, MAX_ROWS, BadListError, MissingYamlError
from probe.wire.lists.words import LEFT_OUT, scrubbed

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = Path(os.environ.get("REACHWATCH_DATA", ROOT.parent / "shared" / "data"))
BUILT_IN = load_targets((ROOT / "targets.json").read_bytes())
HEADING = Heading(name="a list", updated="2030-03-01")
HEADER = "url,category_code,category_description,date_added,source,notes"


def imported(text: str | bytes, form: Format | None = None, *, private: bool = False) -> Assembled:
    data = text if isinstance(text, bytes) else text.encode()
    _, read = read_list(data, form=form, private=private)
    made = assemble(read, BUILT_IN, HEADING)
    if made.targets is not None:
        assert load_targets(as_bytes(made.targets)) == made.targets
    return made


def listed(made: Assembled) -> Targets:
    assert made.targets is not None
    return made.targets


def rows(*urls: str) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([[url, "NEWS", "News Media", "2020-01-02", "me", ""] for url in urls])
    return f"{HEADER}\n{out.getvalue()}"


# -- what every list becomes ----------------------------------------------------------------

URLS = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["http://", "https://", "tcp://", "tls://", "HTTPS://", "javascript:", ""]),
        st.sampled_from(["", "user:hunter2@", "hunter2@"]),
        st.one_of(
            st.sampled_from(
                ["example.org", "EXAMPLE.org.", "bücher.example", "127.0.0.1", "[::1]", "10.1", "a"]
            ),
            st.text(max_size=80),
        ),
        st.sampled_from(["", ":8080", ":0", ":99999", ":x"]),
        st.one_of(
            st.sampled_from(["", "/", "/a", "/a/", "/A?token=hunter2"]), st.text(max_size=20)
        ),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(URLS, min_size=1, max_size=12), st.booleans())
def test_whatever_a_list_says_the_result_is_valid_and_every_row_is_accounted_for(
    urls: list[str],
    private: bool,  # noqa: FBT001 - drawn
) -> None:
    made = imported(rows(*urls), "citizenlab", private=private)

    assert len(made.outcomes) == len(urls)
    by_id = {t.id for t in made.targets.targets} if made.targets else set()
    for outcome in made.outcomes:
        assert set(outcome.target_ids) <= by_id
        assert bool(outcome.target_ids) == (outcome.status != "not_mapped")
        assert bool(outcome.reason) == (outcome.status != "imported")
    stored = as_bytes(made.targets).decode() if made.targets else ""
    kept = json.dumps([[o.row.kept, o.reason] for o in made.outcomes])
    assert "hunter2" not in stored
    assert not any(f"{u}@" in kept for u in ("user:hunter2", "//hunter2"))
    assert "token=hunter2" not in kept


@given(
    st.permutations(
        ["https://a.example/", "http://a.example/x/", "https://a.example/X", "tcp://a.example:25"]
    )
)
def test_ids_do_not_depend_on_the_order_of_rows(urls: list[str]) -> None:
    found = {target.id for target in listed(imported(rows(*urls))).targets}

    assert {"a.example/https", "a.example/tcp-25"} < found
    assert found == {t.id for t in listed(imported(rows(*sorted(urls)))).targets}


@given(st.binary(max_size=300))
def test_bytes_that_are_no_list_are_refused_with_a_reason(data: bytes) -> None:
    with suppress(BadListError, MissingYamlError):
        imported(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=9) | URLS,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "nettests",
                        "test_name",
                        "inputs",
                        "endpoints",
                        "url",
                        "name",
                        "targets",
                        "labels",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from(["ooni-run", "gatus", "file-sd"]),
)
def test_json_of_any_shape_is_read_or_refused(document: Any, form: Format) -> None:
    with suppress(BadListError):
        imported(json.dumps({"endpoints": document, "nettests": document}), form)
    with suppress(BadListError):
        imported(json.dumps([document]), form)


def test_each_host_is_a_service_of_its_own() -> None:
    """Dead sites of one category must not look like one operator's silent networks."""
    found = listed(imported(rows("https://a.example/", "https://b.example/", "http://a.example/")))

    assert [service.id for service in found.services] == ["a.example", "b.example"]
    assert [service.category_code for service in found.services] == ["NEWS", "NEWS"]


def test_what_is_more_than_a_list_may_hold_is_not_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembling, "_max_items", lambda _: 2)
    made = imported(rows(*(f"https://{name}.example/" for name in "abc")))

    assert [o.status for o in made.outcomes] == ["imported", "imported", "not_mapped"]
    assert "full" in made.outcomes[2].reason


# -- places ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f000001/",
        "http://0177.0.0.1/", "http://10.0.0.1:8080/", "http://192.168.1.1/", "http://[::1]/",
        "http://169.254.169.254/latest", "http://100.64.0.1/", "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a00:1]/",
        "http://[2002:c0a8:0101::1]/", "http://224.0.0.1/", "http://0.0.0.0/", "http://router/",
        "http://localhost:631/", "http://printer.local/", "http://nas.lan/", "http://x.home.arpa/",
        "http://db.internal/", "http://\uff11\uff12\uff17.0.0.1/", "http://LOCALHOST./",
    ],
)  # fmt: skip
def test_a_list_names_no_place_of_the_local_network(text: str) -> None:
    with pytest.raises(BadPlaceError):
        read_place(text, private=False)


@pytest.mark.parametrize("text", ["http://127.0.0.1:8080/", "tcp://nas.lan:22", "http://router/"])
def test_local_places_are_taken_on_request(text: str) -> None:
    assert read_place(text, private=True).endpoint.address in text


@pytest.mark.parametrize(
    ("text", "address", "port", "probes", "path"),
    [
        ("https://example.org", "example.org", 443, "dns tcp tls http", "/"),
        (
            "HTTP://Example.ORG.:8080/a b?x=ü#y",
            "example.org",
            8080,
            "dns tcp http",
            "/a%20b?x=%C3%BC",
        ),
        ("https://bücher.example/ä", "xn--bcher-kva.example", 443, "dns tcp tls http", "/%C3%A4"),
        ("https://user:pass@example.org/", "example.org", 443, "dns tcp tls http", "/"),
        ("https://9.9.9.9/dns-query?dns=AAAB", "9.9.9.9", 443, "tcp", "/"),
        ("http://[2620:fe::fe]/", "2620:fe::fe", 80, "tcp http", "/"),
        ("tls://example.org:853", "example.org", 853, "dns tcp tls", "/"),
        ("https://example.org/a?api_key=1", "example.org", 443, "dns tcp tls http", "/a"),
    ],
)
def test_places(text: str, address: str, port: int, probes: str, path: str) -> None:
    found = read_place(text, private=False).endpoint

    assert (found.address, found.port, " ".join(found.probes), found.path) == (
        address,
        port,
        probes,
        path,
    )


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)", "data:text/html,x", "ftp://example.org/", "https://", "https:///x",
        "https://exa mple.org/", "https://example.org\x00.evil.test/", "https://a..b/",
        "https://" + "a" * 3000 + ".org/", "https://example.org/" + "a" * 600, "tcp://example.org",
        "https://[::1/", "https://example.org:0/", "https://${HOST}/", "",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadPlaceError) as error:
        read_place(text, private=True)

    assert len(str(error.value)) < 200


def test_kept_text_holds_no_credentials_and_no_control_characters() -> None:
    text = (
        "u:hunter2@b.example https://hunter2@c.example https://u:hunter2@a.example/?secret=hunter2"
        "&x=1 \x1b[31m tg://proxy?secret=hunter2"
    )

    assert "hunter2" not in scrubbed(text)
    assert "\x1b" not in scrubbed(text)
    assert "&x=1" in scrubbed(text)


# -- Citizen Lab ----------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "least"), [("global", 1700), ("ru", 1000)])
def test_citizen_labs_lists_import_whole(
    name: str, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row is mapped or merged, as far as a target list may be long."""
    path = DATA / "citizenlab" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"no {path.name}: set REACHWATCH_DATA")
    allowed = assembling._max_items("services")
    made = imported(path.read_bytes())

    unmapped = [o for o in made.outcomes if o.status == "not_mapped"]
    assert len(made.outcomes) >= least
    assert all("the list is full" in o.reason for o in unmapped)
    assert not unmapped or len(listed(made).services) == allowed
    assert listed(made).license == "CC-BY-NC-SA-4.0"
    assert {"category_code", "date_added"} <= set(made.outcomes[0].row.kept)
    if unmapped:
        pytest.skip(f"a target list holds {allowed} services, and each of these hosts is one")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding: str) -> None:
    assert listed(imported(rows("https://bücher.example/").encode(encoding))).targets


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" " * (MAX_LIST_BYTES + 1), "maximum"),
        (rows("https://a.example/").encode() + "https://b.example/é".encode("latin-1"), "line 3"),
        (f'{HEADER}\nhttps://a.example/,"never closed\n'.encode() + b"x\n" * 99, "line 2"),
        (f'{HEADER}\n"{"a" * 1_000_000}",,,,,\n'.encode(), "line 2"),
        (b"url,notes\n" + b"x,\n" * (MAX_ROWS + 1), "entries"),
        (b"a,b\n1,2\n", "no column 'url'"),
        (b"\xff\xfea", "UTF-16"),
    ],
)
def test_what_is_no_csv_is_refused_at_its_line(data: bytes, words: str) -> None:
    with pytest.raises(BadListError, match=words):
        imported(data, "citizenlab")


def test_a_bad_row_does_not_cost_the_others() -> None:
    made = imported(f"{rows('https://a.example/')}too,few\njavascript:x,NEWS,,,,note\n")

    assert [o.status for o in made.outcomes] == ["imported", "not_mapped", "not_mapped"]
    assert [o.row.at for o in made.outcomes] == ["line 2", "line 3", "line 4"]
    assert made.outcomes[2].row.kept["notes"] == "note"


# -- OONI Run, gatus, file_sd, links --------------------------------------------------------

DESCRIPTOR = {
    "name": "My links",
    "author": "me@example.org",
    "name_intl": {"ru": "Мои"},
    "date_updated": "2029-02-03T00:00:00Z",
    "nettests": [
        {
            "test_name": "web_connectivity",
            "inputs": ["https://a.example/", "https://a.example/", "http://10.0.0.1/"],
            "inputs_extra": [{"category_code": "HUMR"}, {}, {}],
        },
        {"test_name": "telegram"},
        {"test_name": "signal"},
        {"test_name": "torsf"},
    ],
}


def test_an_ooni_run_descriptor_uses_built_in_services_where_we_have_them() -> None:
    made = imported(json.dumps(DESCRIPTOR))
    found = listed(made)

    assert [s.id for s in found.services] == ["a.example", "telegram", "signal", "signal-web"]
    assert (found.name, found.updated) == ("My links", "2029-02-03")
    assert found.services[0].category_code == "HUMR"
    assert found.services[1] == next(s for s in BUILT_IN.services if s.id == "telegram")
    reasons = {o.row.at: o.reason for o in made.outcomes if o.reason}
    assert set(reasons) == {
        "$.nettests[0].inputs[1]",
        "$.nettests[0].inputs[2]",
        "$.nettests[3]",
    }


def test_a_descriptor_that_has_expired_is_refused() -> None:
    with pytest.raises(BadListError, match="expired"):
        imported(json.dumps(DESCRIPTOR | {"is_expired": True}))


GATUS = """
defaults: &defaults
  group: core
  headers: {Authorization: hunter2}
endpoints:
  - <<: *defaults
    name: site
    url: "https://a.example/health"
    conditions: ["[STATUS] == 200"]
  - {name: mail, url: "tcp://b.example:25"}
  - {name: tls, url: "tls://c.example:853"}
  - {name: off, url: "https://d.example/", enabled: false}
  - {name: dns, url: "8.8.8.8", dns: {query-name: a.example, query-type: A}}
  - {name: ping, url: "icmp://e.example"}
"""


def test_a_gatus_configuration() -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    made = imported(GATUS)

    assert [t.name for t in listed(made).targets] == ["site", "mail", "tls"]
    assert [o.status for o in made.outcomes[3:]] == ["not_mapped"] * 3
    kept = made.outcomes[0].row.kept
    assert kept["group"] == "core"
    assert kept["conditions"] == ["[STATUS] == 200"]
    assert kept["keys_not_copied"] == ["headers"]
    assert "hunter2" not in repr(made)


GROUPS = [
    {"targets": ["a.example:9100"], "labels": {"job": "node"}},
    {
        "targets": ["b.example:443"],
        "labels": {"__scheme__": "https", "__metrics_path__": "/m", "__param_module": "x"},
    },
    {"targets": ["https://c.example/", "10.0.0.1:80", 5], "labels": {}},
]


def test_file_sd_groups() -> None:
    made = imported(json.dumps(GROUPS))

    assert [(t.id, t.endpoints[0].path) for t in listed(made).targets] == [
        ("a.example/tcp-9100", "/"),
        (listed(made).targets[1].id, "/m?module=x"),
        ("c.example/https", "/"),
    ]
    assert made.outcomes[0].row.kept == {"labels": {"job": "node"}}
    assert [o.status for o in made.outcomes[3:]] == ["not_mapped"] * 2


def test_file_sd_in_yaml() -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    made = imported("- targets: ['a.example:22', \"b.example:443\"]\n  labels: {job: ssh}\n")

    assert len(listed(made).targets) == 2


def test_links_to_proxies_are_told_and_nothing_of_them_is_kept() -> None:
    made = imported(
        "# mine\ntg://proxy?server=p.example&port=443&secret=00112233445566778899aabbccddeeff\n"
        "socks5://u:hunter2@q.example:1080\nvless://hunter2@r.example:443\nhttps://a.example/\n"
    )

    assert [o.status for o in made.outcomes] == ["not_mapped"] * 3 + ["imported"]
    assert "reachwatch proxies" in made.outcomes[0].reason
    assert all(not o.row.kept for o in made.outcomes[:3])
    assert [t.id for t in listed(made).targets] == ["a.example/https"]


# -- YAML that means harm -------------------------------------------------------------------


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"endpoints: *a{levels - 1}"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(12), "unfolds"),
        ("endpoints: &a [*a]", "alias"),
        ("endpoints: " + "[" * 5000, "nest"),
        ("endpoints: " + "[" * 40 + "]" * 40, "nested"),
        ("endpoints: [1, 2", "line"),
        ("endpoints:\n  ? [a]\n  : b", "key"),
        ("endpoints: !!python/name:os.system x", "no list of endpoints"),
    ],
)
def test_hostile_yaml_is_refused(text: str, words: str) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    with pytest.raises(BadListError, match=words):
        imported(text, "gatus")


def test_without_pyyaml_yaml_is_named_and_json_still_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(MissingYamlError):
        imported(GATUS)
    assert listed(imported('{"endpoints": [{"url": "https://a.example"}]}')).targets


@pytest.mark.parametrize("day", ["2024-13-45", "9999-99-99", "20/01/2024", "", "2024-01-020"])
def test_a_date_that_is_none_costs_no_list(day: str) -> None:
    """One row's typing mistake made the whole list one that cannot be used."""
    text = f"url,date_added\nhttps://a.example.org/,{day}\nhttps://b.example.org/,2023-04-05\n"
    assert read_citizenlab(text, private=False).updated == "2023-04-05"
    document = {"nettests": [], "date_updated": day, "date_created": "2023-04-05T06:07:08Z"}
    assert read_ooni_run(document, private=False).updated == "2023-04-05"


@pytest.mark.parametrize("name", ["jsessionid", "PHPSESSID", "session_id", "access_token"])
def test_a_secret_within_a_path_is_left_out(name: str) -> None:
    endpoint, notes = read_place(f"https://a.example.org/p;{name}=hunter/q;v=1", private=False)
    assert endpoint.path == "/p/q;v=1"
    assert any("left out" in note for note in notes)


def test_a_condition_that_holds_a_secret_is_not_kept() -> None:
    document = {
        "endpoints": [
            {
                "url": "https://a.example.org",
                "conditions": ["[STATUS] == 200", "[BODY].token == hunter"],
            }
        ]
    }
    (row,) = read_gatus(document, private=False).rows
    assert row.kept["conditions"] == ["[STATUS] == 200", LEFT_OUT]
