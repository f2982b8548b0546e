"""The harness works; how fast things are is for a quiet machine to say."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="runs are measured in their sandbox")
def test_a_quick_benchmark_measures_every_case(tmp_path: Path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(figures)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(figures.read_text())["results"]
    cases = [result["case"] for result in results]
    assert len(cases) == len(set(cases)) >= 25
    assert all(case in done.stdout for case in cases)
    assert all(result["measured"] for result in results if result["unit"] == "x")
    assert [path for path in tmp_path.iterdir() if path.name.startswith("callboard-bench")] == []
