"""The notebook in `examples` runs, and its saved outputs are those of a run."""

import subprocess
import sys
from pathlib import Path

import nbformat

from docs.notebooks import NOTEBOOK
from tests import ROOT
from tests.timing import GENEROUS


def test_the_notebook_runs_and_has_these_outputs(tmp_path: Path) -> None:
    """Run again, every cell has the output that is saved, and no cell has an error or a warning."""
    again = tmp_path / "again.ipynb"
    command = [sys.executable, "-m", "docs.notebooks", str(NOTEBOOK), str(again)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=2 * GENEROUS, capture_output=True)
    saved, made = (nbformat.read(path, as_version=4) for path in (NOTEBOOK, again))
    assert [cell.source for cell in made.cells] == [cell.source for cell in saved.cells]
    assert sum(len(cell.get("outputs", ())) for cell in made.cells) > 6
    for one, other in zip(made.cells, saved.cells, strict=True):
        for output in one.get("outputs", ()):
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
        assert one.get("outputs") == other.get("outputs")
