"""The JSON Schema by which editors complete a claim file."""

import pytest

from muse.claims.entries import json_schema
from muse.probes import PROBES


@pytest.mark.parametrize("unit", ["GiB", "GB", "percent", "count"])
def test_the_schema_lists_the_units(unit):
    """An editor offers every unit."""
    assert unit in json_schema(PROBES)["$defs"]["ClaimEntry"]["properties"]["unit"]["enum"]
