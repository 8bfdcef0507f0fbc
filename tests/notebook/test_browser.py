"""In a real browser, what a notebook shows of hostile mail runs nothing, and asks nobody for anything."""

import nbformat
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook, new_output

#: Where a page asks this server to, itself.
CDN = {"mathjax_url": "", "require_js_url": "", "jquery_url": "", "mermaid_js_url": "", "jupyter_widgets_base_url": ""}


def exported(*outputs: str) -> bytes:
    """Return outputs as a notebook that was saved, read again, and exported to HTML."""
    cells = [new_code_cell("x", outputs=[new_output("display_data", {"text/html": one})]) for one in outputs]
    saved = nbformat.writes(new_notebook(cells=cells))
    page, _ = HTMLExporter(**CDN).from_notebook_node(nbformat.reads(saved, as_version=4))
    return str(page).encode()
