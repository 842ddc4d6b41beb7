"""OONI's facts become ours, one to one, and nothing that they do not say."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ooni_measurements as ooni
from model.mutation import REPLACEMENTS, deleted, doubled, paths, replaced
from probe.model import failure as failures
from probe.model.codec import decode_line, encode_line
from probe.model.observation import Observation
from probe.store.from_ooni.convert import HELPER, NOT_ASKED, SAME_MEASUREMENT, Imported, convert
from probe.store.from_ooni.facts import OTHER, failure_of
from probe.store.from_ooni.measurement import BadRecordError, SkippedTestError, parse
