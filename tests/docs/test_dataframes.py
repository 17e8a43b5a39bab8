"""``examples/dataframes.py``, which needs polars and pyarrow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aios3get.cli import demo
from aios3get.testing import S3Server

_reason = "the group frameworks is not installed: uv run --group frameworks pytest tests/docs"
pytest.importorskip("polars", reason=_reason)
pytest.importorskip("pyarrow", reason=_reason)

_example = Path(__file__).parents[2] / "examples" / "dataframes.py"


def test_tables_are_read_through_fsspec_and_without(server: S3Server) -> None:
    demo.fill(server)
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(_example)],
        env=os.environ | server.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    shapes = [line for line in done.stdout.splitlines() if line.startswith("shape")]
    assert shapes == ["shape: (1_000, 2)", "shape: (10, 2)", "shape: (3_000, 2)"]
