"""The notebooks run from the first cell to the last at their small size, and keep their outputs."""

import json
import os

import pytest

from tests.docs.blocks import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages


def test_there_are_three():
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_kept_and_no_error_is_among_them(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert len(outputs) >= 4
    assert all(output["output_type"] != "error" and output.get("name") != "stderr" for output in outputs)
    assert "git+" in "".join(cells[0]["source"]), "the first cell installs from the repository"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch):
    pytest.importorskip("nbclient", reason="notebooks run with the extra `notebooks`", exc_type=ImportError)
    pytest.importorskip("ipykernel", reason="notebooks run with the extra `notebooks`", exc_type=ImportError)
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("ROOKERY_NOTEBOOK_SIZE", "small")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert len(printed) >= 4
