"""The house: imports point down only, modules stay small, and what is heavy is imported when it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

from tests.timing import GENEROUS

ROOT = ROOT / "pymailbox"

#: From the top of the house to its cellar; a module may import what stands below it.
FLOORS = [
    "__main__",
    "cli",
    "demo",
    "terminal",
    "diagnosis",
    "aio",
    "aio_message",
    "mailbox",
    "sequence",
    "message",
    "draft",
    "desk",
    "transaction",
    "reading",
    "snapshot",
    "content",
    "poplib",
    "pop3",
    "account",
    "secrets",
    "errors",
]

#: The same inside pop3.
STAIRS = [
    "__init__",
    "aio",
    "connection",
    "transport",
    "login",
    "flows",
    "session",
    "protocol",
    "commands",
    "command",
    "errors",
]


def modules() -> list[Path]:
    """Return every module of the package."""
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Return the modules of the package that this one imports, those for typing only excepted."""
    tree = ast.parse(path.read_text())
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            hidden.update(child for statement in node.body for child in ast.walk(statement))
    found = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT.parent / inner.replace(".", "/")).with_suffix(".py").exists() or (
                    ROOT.parent / inner.replace(".", "/")
                ).is_dir()
                found.add(inner if is_module else node.module)
    return {name for name in found if name == "pymailbox" or name.startswith("pymailbox.")}


def floor(name: str) -> str:
    """Return the room of the house that a module belongs to."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_imports_point_down() -> None:
    """A module imports from its own room or from below it, never from above."""
    for path in modules():
        room = floor(name_of(path))
        if room in ("", "testing"):
            continue
        for imported in imports(path):
            target = floor(imported)
            if target in ("", room):
                continue
            if target == "testing":
                assert room in ("cli", "demo"), f"{name_of(path)} imports {imported}"
                continue
            assert room in FLOORS, f"{room} has no place in the house"
            assert target in FLOORS, f"{target} has no place in the house"
            assert FLOORS.index(target) > FLOORS.index(room), f"{name_of(path)} imports upwards: {imported}"


def test_the_protocol_is_pure() -> None:
    """Nothing of the protocol imports a driver, and none of its pure pieces a socket, ssl or asyncio."""
    pure = ("protocol", "session", "flows", "command", "commands", "listings", "capabilities", "deadlines", "refusal")
    drivers = ("connection", "driver", "transport", "aio", "aio_driver", "aio_transport")
    for name in pure:
        source = (ROOT / "pop3" / f"{name}.py").read_text()
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for imported in names:
                assert imported.split(".")[0] not in ("socket", "ssl", "asyncio", "select", "time"), name
                assert imported.rpartition(".")[2] not in drivers, name


def test_testing_imports_nothing_of_the_rest() -> None:
    """The embedded server shares no code with the client: both could be wrong alike."""
    for path in (ROOT / "testing").rglob("*.py"):
        assert all(name.startswith("pymailbox.testing") for name in imports(path)), path.name


def test_no_import_circle() -> None:
    """No two modules import each other, directly or around."""
    graph = {name_of(path): imports(path) for path in modules()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for imported in graph.get(name, ()):
            if imported != name and imported != "pymailbox":
                visit(imported, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_modules_stay_small() -> None:
    """No module passes some 400 lines, and none has a name that says nothing."""
    assert modules()
    for path in modules():
        assert len(path.read_text().splitlines()) <= 460, name_of(path)
        assert not path.stem.startswith(("util", "helper", "base", "common", "misc")), name_of(path)


def test_import_is_cheap() -> None:
    """Nothing heavy is imported before it is needed."""
    script = (
        "import sys; import pymailbox; a = set(sys.modules); from pymailbox import Mailbox; b = set(sys.modules);"
        "print([m for m in ('ssl', 'email', 'asyncio', 'sqlite3', 'attrs', 'socket') if m in a],"
        "[m for m in ('ssl', 'email.message', 'email.parser', 'asyncio', 'sqlite3', 'html.parser', 'scramp') if m in b])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=GENEROUS
    )
    assert done.stdout.strip() == "[] []"
