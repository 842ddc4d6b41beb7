"""JUnit XML: a test case for each target.

Of the dialect that Ant's schema (root ``testsuites``, with ``id`` and ``package``), Jenkins'
and GitLab's readers have in common: no attribute or element that one of them refuses.
"""

from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from probe.cli.formats.plain import plain
from probe.verdict.words import summarise

if TYPE_CHECKING:
    from probe.cli.formats.report import Graded, Report

_HOST: Final = "localhost"
"""What the schema asks for where the host's name is not known; it is nobody's business."""


def as_junit(report: "Report") -> str:
    """Return the run as one suite."""
    grades = [one.grade for one in report.direct]
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "id": "0",
            "package": "reachwatch",
            "name": "check",
            "timestamp": report.run.measurement_start_time.rstrip("Z"),
            "hostname": _HOST,
            "tests": str(len(grades)),
            "failures": str(grades.count("failed")),
            "errors": "0",
            "skipped": str(grades.count("skipped")),
            "time": _seconds(report.seconds),
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report):
        ET.SubElement(properties, "property", {"name": name, "value": plain(value)})
    for one in report.direct:
        _add_case(suite, one)
    lines = [plain(answer) for answer in report.answers]
    ET.SubElement(suite, "system-out").text = "\n".join(lines)
    ET.SubElement(suite, "system-err")
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _properties(report: "Report") -> list[tuple[str, str]]:
    run = report.run
    rules = {str(one.verdict.rules_version) for one in report.direct}
    return [
        ("run_id", run.run_id),
        ("software_version", run.software_version),
        ("rules_version", ",".join(sorted(rules))),
        ("schema_version", run.schema_version),
        ("targets_sha256", run.targets_sha256),
        ("probe_cc", run.probe_cc),
        ("probe_asn", str(run.probe_asn)),
        ("network_type", run.network_type),
        ("platform", run.platform),
        ("lab", str(run.lab).lower()),
        ("is_usable", str(report.is_usable).lower()),
    ]


def _add_case(suite: ET.Element, one: "Graded") -> None:
    verdict = one.verdict
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "name": plain(verdict.target_id),
            "classname": f"reachwatch.{plain(verdict.service_id)}",
            "time": _seconds(one.seconds),
        },
    )
    if one.grade == "failed":
        kind = {"type": verdict.mechanism or verdict.state, "message": plain(one.said)}
        ET.SubElement(case, "failure", kind).text = _details(one)
    elif one.grade == "skipped":
        ET.SubElement(case, "skipped", {"message": plain(one.said)})


def _details(one: "Graded") -> str:
    verdict = one.verdict
    lines = [
        f"{verdict.target_id} ({one.name}): {summarise(verdict)}",
        f"state {verdict.state}, mechanism {verdict.mechanism or '-'}, rule {verdict.rule_id}",
        f"{verdict.n_ok} of {verdict.n_total} members work",
        f"{verdict.controls_ok} of {verdict.controls_total} controls answered",
    ]
    if verdict.failed_members:
        lines.append(f"failing: {', '.join(verdict.failed_members)}")
    return "\n".join(map(plain, lines))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
