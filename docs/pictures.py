"""Draw the pictures of the command line in `docs/pictures`: `python -m docs.pictures`.

Each command runs in a pseudo-terminal of 60, 80 and 120 columns, and what it shows is drawn as SVG by rich, for a light
and a dark page. Addresses, ports and speeds that differ from run to run are replaced, so that pictures change only when
the command does.
"""

import fcntl
import html
import io
import itertools
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from pymailbox.display import cells
from pymailbox.testing import Server
from pymailbox.testing.samples import SAMPLES

HERE = Path(__file__).with_name("pictures")
COLUMNS = (60, 80, 120)
#: The width of a character in the pictures of rich.
CELL = 12.2
#: For a light and a dark page: the background, the text, and the sixteen colours, as terminals usually have them.
COLOURS = {
    "light": "ffffff 24292f  24292f cf222e 116329 4d2d00 0969da 8250df 1b7c83 6e7781"
    " 8c959f a40e26 1a7f37 633c01 218bff a475f9 3192aa 8c959f",
    "dark": "0d1117 e6edf3  484f58 ff7b72 3fb950 d29922 58a6ff bc8cff 39c5cf b1bac4"
    " 6e7681 ffa198 56d364 e3b341 79c0ff d2a8ff 56d4dd f0f6fc",
}
#: Shows a moment of a run, with the code that the command uses, and numbers that do not change.
MOMENT = """
import argparse, time
from pymailbox import Progress
from pymailbox.cli.progress_display import shown
with shown("new", argparse.Namespace(), heading="me  pop.example.com") as report:
    report(Progress(1_000_000, 3_112_004, 40, 128, 0, (4839, 1_210_000_000)))
    time.sleep(0.01)
    report(Progress(2_212_004, 3_112_004, 91, 128, 64, (4839, 1_210_000_000)))
"""


def theme(name: str) -> TerminalTheme:
    """Return the colours of a page for rich."""
    background, text, *sixteen = (tuple(bytes.fromhex(colour)) for colour in COLOURS[name].split())
    return TerminalTheme(background, text, sixteen[:8], sixteen[8:])


def shown(arguments: list[str], columns: int, directory: Path) -> str:
    """Return all that a command shows in a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    without = {"COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR"}
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment |= {"TERM": "xterm", "TZ": "UTC", "PYMAILBOX_PASSWORD": "secret", "LC_ALL": "C.UTF-8"}
    environment["PYTHONPATH"] = str(Path.cwd())
    process = subprocess.Popen(  # noqa: S603 - this project
        [sys.executable, *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=directory, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    parts = []
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    process.wait()
    return b"".join(parts).decode().replace("\r\n", "\n")


def in_progress(text: str) -> str:
    """Return the screen as it was before the progress was removed, with a rate that does not change."""
    heading, *frames = re.split(r"\r?\x1b\[2K(?:\x1b\[1A\x1b\[2K)*", re.sub(r"\x1b\[\?25[lh]", "", text))
    frame = next(frame for frame in frames if "safe: 64" in frame)
    frame = re.sub(r"[\d.]+ [KMG]B/s", "1.4 MB/s", re.sub(r"\d:\d\d:\d\d left", "0:00:01 left", frame))
    return re.sub(r" +\x1b\[0m", "\x1b[0m", f"{heading.strip()}\n{frame}")  # what is blank depends on the rate


def scenes(server: Server, directory: Path, columns: int) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each picture, what is typed, and what is shown."""

    def run(name: str, typed: str) -> tuple[str, str, str]:
        words = [server.url if word == "pop://me@localhost:1110" else word for word in typed.split()]
        text = shown(["-m", "pymailbox", *words], columns, directory)
        text = re.sub(r"\x1b\[\?25[lh]|\r?\x1b\[2K|\x1b\[1A", "\r", text).split("\r")[-1].lstrip("\n")
        text = text.replace(f"{server.host}:{server.port}", "localhost:1110").replace(server.host, "localhost")
        text = text.replace(str(directory), "/home/me")
        text = re.sub(r"new/\d+\S*", "new/1795744800.pmb1Q4U3f9c6c1f2ab04d17Fl.host,S=357", text)
        return name, typed, re.sub(r"\d+\.\d ms", "0.1 ms", text)

    yield run("ls", "ls pop://me@localhost:1110")
    run("", "archive pop://me@localhost:1110 --to mail/me")
    yield (
        "archive",
        "archive pops://me@pop.example.com --to mail/me",
        in_progress(shown(["-c", MOMENT], columns, directory)),
    )
    damaged = sorted((directory / "mail/me/new").iterdir())[3]
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    yield run("verify", "verify mail/me")
    yield run("clean", "clean pop://me@localhost:1110 --to mail/me --keep-latest 6 --dry-run")
    yield run("doctor", "doctor pop://me@localhost:1110")
    yield run("help", "--help")


def aligned(match: re.Match[str]) -> str:
    """Return a text of rich's SVG in pieces that are as wide as in a terminal: rich counts wide characters as one."""
    before, left, middle, end, escaped = match.groups()
    x, pieces = float(left), []
    for _, run in itertools.groupby(html.unescape(escaped), lambda character: cells(character) > 1):
        piece = "".join(run)
        width = round(CELL * cells(piece), 1)
        shown = html.escape(piece).replace("\xa0", "&#160;")
        pieces.append(f"{before}{x:g}{middle}{width:g}{end}{shown}</text>")
        x += width
    return match[0] if len(pieces) < 2 else "".join(pieces)


def draw(name: str, typed: str, text: str, columns: int, where: Path) -> None:
    """Write the picture for both pages."""
    for page in COLOURS:
        console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(Text(f"$ pymailbox {typed}", style="bold"))
        console.print(Text.from_ansi(text.rstrip("\n")))
        drawn = console.export_svg(title="pymailbox", theme=theme(page), unique_id=f"{name}{columns}{page}")
        drawn = re.sub(
            r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL
        )  # a page must not load fonts from elsewhere
        drawn = re.sub(r"font-family: (Fira Code|arial)[^;]*;", "font-family: monospace;", drawn)
        drawn = re.sub(r'(<text [^>]*x=")([\d.]+)("[^>]*textLength=")[\d.]+("[^>]*>)([^<]+)</text>', aligned, drawn)
        lines = (line.rstrip() for line in drawn.splitlines())
        (where / f"{name}-{columns}-{page}.svg").write_text("\n".join(lines) + "\n", "utf-8")


def main(where: Path = HERE) -> None:
    """Draw all pictures."""
    where.mkdir(exist_ok=True)
    for columns in COLUMNS:
        with tempfile.TemporaryDirectory() as directory, Server(SAMPLES, lock_wait=10.0) as server:
            for scene in scenes(server, Path(directory), columns):
                draw(*scene, columns, where)


if __name__ == "__main__":
    main()
