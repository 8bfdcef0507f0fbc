"""Run the notebook in `examples`, and make its pictures: `python -m docs.notebooks`.

The notebook is the source of its cells: edit them there, and run this. Ports and the speed of the download are
replaced, so that outputs change only when pymailbox does. Pictures are made by chromium of the page that nbconvert
makes of the notebook, in the light and the dark theme of JupyterLab.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "mailbox.ipynb"
PICTURES = Path(__file__).with_name("pictures")

#: The cells in the pictures.
SHOWN = ("inbox", "inbox[1]")
#: Where they end.
END = "document.querySelector('.jp-Cell:last-of-type').getBoundingClientRect().bottom"
#: Where the frame is, which is drawn by another process and later than the page.
FRAME = (
    "(r => [r.x + 1, r.y + 1, r.width - 2, r.height - 2])(document.querySelector('.pm-frame').getBoundingClientRect())"
)
BLANK = 3000  # bytes of a picture with nothing in it
#: Scripts that the page would load from elsewhere.
ELSEWHERE = ("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url", "jupyter_widgets_base_url")


def executed(notebook: Any) -> Any:
    """Run every cell in a new kernel, and return the notebook with the outputs; an error in a cell is raised."""
    os.environ |= {"TZ": "UTC", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False, coalesce_streams=True).execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1110", nbformat.writes(notebook))
    text = re.sub(r"\[\d\d:\d\d<[^,\]]+, [^,\]]+, ([^\]]+)\] *", r"[00:00<00:00, 1.00MB/s, \1]", text)
    return nbformat.reads(text, as_version=4)


def exported(notebook: Any, theme: str = "light") -> str:
    """Return a notebook as a page."""
    page, _ = HTMLExporter(theme=theme, **dict.fromkeys(ELSEWHERE, "")).from_notebook_node(notebook)
    return str(page)


def draw(notebook: Any) -> None:
    """Draw the pictures of a notebook that was run."""
    from tests.browser import browsing, serving
    from tests.timing import eventually

    notebook.cells = [cell for cell in notebook.cells if cell.source in SHOWN]
    pages = {theme: exported(notebook, theme).encode() for theme in ("light", "dark")}
    with (
        tempfile.TemporaryDirectory() as directory,
        serving(**pages) as web,
        browsing(["chromium"], Path(directory)) as browser,
    ):
        for theme in pages:
            tab = browser.open(f"http://127.0.0.1:{web.port}/{theme}", width=1000, height=900)
            eventually(lambda tab=tab: len(tab.picture(*tab.evaluate(FRAME))) > BLANK)
            (PICTURES / f"notebook-{theme}.png").write_bytes(tab.picture(0, 0, 1000, tab.evaluate(END) + 16))


def main(source: Path = NOTEBOOK, to: Path = NOTEBOOK) -> None:
    """Run a notebook, and write it there; draw the pictures of the one in `examples`."""
    done = executed(nbformat.read(source, as_version=4))
    nbformat.write(done, to)
    if to == NOTEBOOK:
        draw(done)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
