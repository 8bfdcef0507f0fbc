"""Run the blocks of the tutorial and of every how-to page of the built site, as a reader would who copies them.

    mkdocs build --site-dir SITE && python -m tests.site_blocks SITE [PAGE...]

The blocks come from the HTML, in order. All pages share a fresh virtual environment, which has the pymailbox of this
checkout without extras; what else a page needs, it installs. Each page has its own empty directory, which is also its
home, and its own shell environment. A block is, by its language:

- `sh`: run by bash, which stops at the first error. Exports and `cd` last until the end of the page. If its last line is
  `pymailbox serve ...`, that runs until the end of the page, as in a terminal of its own.
- `text` directly after `sh`: what that block prints; `...` stands for anything, and seconds are not compared.
- `console`: commands after `$`, each followed by what it prints. A status other than 0 is accepted if it shows an error.
- with a title, in any language: the file of that name. A file of Python must compile.
- `python` without a title: a program of its own, which is run. With the host pop.example.com, which stands for the
  reader's, it must only compile.
- `bash`: commands for which an account or a service is needed. They are not run, but must be valid.
- any other language in `SHOWN`: not run.

The ports 1110 and 1111 of the pages are replaced by free ones.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from html.parser import HTMLParser
from pathlib import Path

from attrs import define, field, frozen

from tests import ROOT

__all__ = ["Block", "BlockFailed", "blocks", "run_page", "run_site"]

SHOWN = {"crontab", "dockerfile", "ini", "json", "text", "toml"}
PATIENCE = 120  # seconds for one block; the longest installs pandas
_PORTS = ("1110", "1111")


class BlockFailed(Exception):
    """A block did not do what the page says."""


@frozen
class Block:
    """One block of a page."""

    language: str
    title: str
    text: str


class _Blocks(HTMLParser):
    """Collects what `pymdownx.highlight` makes of code blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Block] = []
        self._language, self._title, self._text = "", "", ""
        self._into: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        classes = (dict(attributes).get("class") or "").split()
        if tag == "div" and "highlight" in classes:
            self._language = next((name[9:] for name in classes if name.startswith("language-")), "")
            self._title = self._text = ""
        elif tag == "span" and "filename" in classes:
            self._into = "title"
        elif tag == "code" and self._language:
            self._into = "text"

    def handle_endtag(self, tag: str) -> None:
        if tag == "span" and self._into == "title":
            self._into = None
        elif tag == "code" and self._into == "text":
            self.found.append(Block(self._language, self._title.strip(), self._text))
            self._into, self._language = None, ""

    def handle_data(self, data: str) -> None:
        if self._into == "title":
            self._title += data
        elif self._into == "text":
            self._text += data


def blocks(html: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    parser = _Blocks()
    parser.feed(html)
    return parser.found


# --- running them -------------------------------------------------------------------------------------------------


@define
class Page:
    """A page that is being read: its directory, the environment of its shell, and the servers it has started."""

    directory: Path
    environment: dict[str, str]
    ports: dict[str, str]
    servers: list["subprocess.Popen[bytes]"] = field(factory=list)
    _runs: int = 0

    def here(self, text: str) -> str:
        """Return a text with the ports of this run."""
        return re.sub(r"\b(1110|1111)\b", lambda found: self.ports[found[0]], text)

    def shell(self, script: str) -> tuple[int, str]:
        """Run a script, keep what it exports and where it goes, and return its status and what it printed."""
        self._runs += 1
        state, source = self.directory / ".state", self.directory / ".script"
        state.touch()
        keep = f"export -p > {shlex.quote(str(state))}; printf 'cd %q\\n' \"$PWD\" >> {shlex.quote(str(state))}"
        source.write_text(f"set -euo pipefail\nsource {shlex.quote(str(state))}\n{script}\n{keep}\n")
        with tempfile.TemporaryFile() as output:  # a pipe would wait for servers that inherit it
            done = subprocess.run(
                ["bash", str(source)],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            )
            output.seek(0)
            return done.returncode, output.read().decode("utf-8", "replace")

    def serve(self, line: str) -> str:
        """Start a server in a terminal of its own, wait until it answers, and return what it printed."""
        log = self.directory / f".server{len(self.servers)}"
        state = shlex.quote(str(self.directory / ".state"))
        with log.open("wb") as output:
            server = subprocess.Popen(
                ["bash", "-c", f"touch {state}; source {state}; exec {line}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.servers.append(server)
        until = time.monotonic() + PATIENCE
        while not re.search(r"^export .*\n", printed := log.read_text("utf-8", "replace"), re.MULTILINE):
            if server.poll() is not None or time.monotonic() > until:
                raise BlockFailed(f"the server does not start: {printed}")
            time.sleep(0.02)
        return printed

    def close(self) -> None:
        """Stop the servers."""
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
        for server in self.servers:
            server.wait(PATIENCE)


def _differs(expected: str, printed: str) -> bool:
    """Whether a command printed something else than the page says."""
    wanted, found = ("\n".join(line.rstrip() for line in text.strip().splitlines()) for text in (expected, printed))
    wanted = re.sub(r"\b\d+\.\d+s\b", "...s", wanted)  # how long it took
    pattern = "".join(".*?" if part == "..." else re.escape(part) for part in re.split(r"(\.\.\.)", wanted))
    return re.fullmatch(pattern, found, re.DOTALL) is None


def _check_output(page: Page, expected: str, printed: str) -> None:
    printed = printed.replace(f"{page.directory}/", "")
    if _differs(page.here(expected), printed):
        raise BlockFailed(f"expected:\n{expected}\nprinted:\n{printed}")


def _run_sh(page: Page, text: str) -> str:
    *lines, last = page.here(text).rstrip("\n").split("\n")
    serves = last.startswith("pymailbox serve ")
    status, printed = page.shell("\n".join(lines if serves else [*lines, last]))
    if status:
        raise BlockFailed(f"status {status}:\n{printed}")
    if serves:
        page.serve(last)
    return printed


def _run_console(page: Page, text: str) -> None:
    first, *sessions = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if first.strip() or not sessions:
        raise BlockFailed(f"a console block must begin with a command:\n{text}")
    for session in sessions:
        command, _, expected = session.partition("\n")
        command = page.here(command)
        status, printed = (0, page.serve(command)) if command.startswith("pymailbox serve ") else page.shell(command)
        if status and not re.search(r"^(Traceback|\w*Error:|pymailbox: |usage: )", expected, re.MULTILINE):
            raise BlockFailed(f"{command}: status {status}:\n{printed}")
        if expected.strip():
            _check_output(page, expected, printed)


def run_page(found: list[Block], page: Page) -> int:
    """Run the blocks of a page, and return how many were run. BlockFailed says which one failed, and why."""
    count, printed = 0, None
    for number, block in enumerate(found, 1):
        before, printed = printed, None
        try:
            if block.title:
                path = page.directory / block.title
                path.write_text(page.here(block.text), "utf-8")
                if path.suffix == ".py":
                    compile(block.text, block.title, "exec")
            elif block.language == "sh":
                printed = _run_sh(page, block.text)
                count += 1
            elif block.language == "console":
                _run_console(page, block.text)
                count += 1
            elif block.language == "python" and "pop.example.com" in block.text:
                compile(block.text, f"block {number}", "exec")
            elif block.language == "python":
                path = page.directory / f"block{number}.py"
                path.write_text(page.here(block.text), "utf-8")
                _run_sh(page, f"python {shlex.quote(str(path))}")
                count += 1
            elif block.language == "bash":
                subprocess.run(["bash", "-n"], input=block.text.encode(), check=True, capture_output=True)
            elif block.language == "text" and before is not None:
                _check_output(page, block.text, before)
            elif block.language not in SHOWN:
                raise BlockFailed(f"no rule for the language {block.language!r}")
        except (BlockFailed, SyntaxError, subprocess.SubprocessError) as error:
            raise BlockFailed(f"block {number} ({block.title or block.language}):\n{block.text}\n{error}") from error
    return count


@contextmanager
def free_ports() -> Iterator[dict[str, str]]:
    """Yield a free port for each port that the pages name."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in _PORTS]
        ports = {name: str(bound.getsockname()[1]) for name, bound in zip(_PORTS, sockets, strict=True)}
    yield ports


def reader(work: Path) -> dict[str, str]:
    """Make a virtual environment with pymailbox and no extra, and return the environment of a reader's shell."""
    venv = work / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "-q", ROOT], check=True)
    lost = ("PYMAILBOX_", "PYTHON", "COLUMNS", "VIRTUAL_ENV", "COVERAGE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(lost)}
    return inherited | {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "1",  # half the time of installing pandas
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
    }


def run_site(site: Path, names: list[str]) -> bool:
    """Run the pages with these names, or all; print a line for each, and return whether all succeeded."""
    pages = [site / "tutorial" / "index.html", *sorted(site.glob("how-to/*/index.html"))]
    pages = [path for path in pages if path.exists() and (not names or path.parent.name in names)]
    succeeded = bool(pages)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory).resolve()
        environment = reader(work)
        for path in pages:
            begun = time.monotonic()
            place = work / path.parent.name
            place.mkdir(mode=0o700)
            with free_ports() as ports:
                page = Page(place, environment | {"HOME": str(place)}, ports)
            try:
                found = blocks(path.read_text("utf-8"))
                if not found:
                    raise BlockFailed("no block: the page has none, or its HTML is not understood")
                told = f"{run_page(found, page)} of {len(found)} blocks run"
            except BlockFailed as error:
                succeeded, told = False, f"FAILED in {error}"
            finally:
                page.close()
            print(f"{path.parent.name}: {told} ({time.monotonic() - begun:.1f} s)", flush=True)
    return succeeded


if __name__ == "__main__":
    sys.exit(not run_site(Path(sys.argv[1]), sys.argv[2:]))
