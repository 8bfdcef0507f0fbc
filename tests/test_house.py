"""Imports in the package only point down, every module has its place, and heavy imports happen when needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

import pymailbox
from docs.house import EXCEPTED, FLOORS, MODULES, imports
from tests import ROOT
from tests.timing import GENEROUS

#: Names of earlier modules that only their author understood.
PRIVATE = "desk entry alive doubts impostors manners ordered odd wire draft trust outgoing endpoint patience"


def place(package: str, name: str) -> int:
    """Return the position of a module, or of the package that contains it, in a package from the top."""
    inner = name.removeprefix(package).strip(".").split(".")[0] or "__init__"
    floors = FLOORS[package].split()
    assert inner in floors, f"{inner} has no place in {package}"
    return floors.index(inner)


def upward(name: str, source: str) -> list[str]:
    """Return the imports of a module that are not below it in the innermost package that contains both."""
    found = []
    for imported in imports(name, source):
        package = "pymailbox"
        while imported != name:
            mine, its = place(package, name), place(package, imported)
            if mine != its:
                if mine > its:
                    found.append(imported)
                break
            package += "." + FLOORS[package].split()[mine]
    return found


def test_imports_point_down() -> None:
    """A module imports only modules below it, so that there are no circular imports."""
    wrong = {name: up for name, path in MODULES.items() if (up := upward(name, path.read_text("utf-8")))}
    assert {name: up for name, up in wrong.items() if name not in EXCEPTED} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from pymailbox.mailbox.mailbox import Mailbox",
        "def f():\n    import pymailbox.cli",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pymailbox.pop3.connection import Connection",
        "from . import login",
        "import importlib\nimportlib.import_module('pymailbox.cli')",
        "from importlib import import_module\ndef f():\n    import_module('pymailbox.mailbox.mailbox').Mailbox",
        "__import__('pymailbox.cli')",
    ],
    ids=["plain", "in a function", "for typing", "relative", "by importlib", "by its function", "by the builtin"],
)
def test_an_upward_import_is_found(source: str) -> None:
    """It is found anywhere in the module and in every form."""
    assert len(upward("pymailbox.pop3.protocol", source)) == 1
    assert (
        upward("pymailbox.pop3.protocol", "from pymailbox.errors import MailboxError\nimport pymailbox.account") == []
    )


def test_every_module_has_its_place() -> None:
    """The order contains exactly the modules that exist."""
    for package, floors in FLOORS.items():
        directory = ROOT / package.replace(".", "/")
        there = {path.stem for path in directory.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
        assert sorted(floors.split()) == sorted(there), package


def test_only_the_command_line_imports_the_test_server() -> None:
    """Client and server share no code, so that they cannot share a bug, but `serve` and `demo` run the server."""
    for name, path in MODULES.items():
        if not name.startswith(("pymailbox.testing", "pymailbox.cli")):
            tree = ast.parse(path.read_text("utf-8"))
            imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
            assert not any(one and one.startswith("pymailbox.testing") for one in imported), name


def test_module_names_have_a_meaning() -> None:
    """No module has an empty name such as `utils`, or one that only its author understands."""
    for name in MODULES:
        words = name.rpartition(".")[2].split("_")
        assert not words[0].startswith(("util", "helper", "base", "common", "misc")), name
        assert not set(words) & set(PRIVATE.split()), name


def private_names(tree: ast.AST) -> set[str]:
    """Return the private names that a module defines, for itself or its objects, and those that its classes inherit."""
    names: set[str] = set()
    homes: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            homes |= {alias.name: node.module or "" for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            names.add(node.attr)
    for node in ast.walk(tree):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            home = homes.get(ast.unparse(base).partition("[")[0], "")
            if home in MODULES:
                names |= private_names(ast.parse(MODULES[home].read_text("utf-8")))
    return names


def private_names_of_others(source: str) -> Iterator[str]:
    """Yield each `other._name` with a name that the module does not define."""
    tree = ast.parse(source)
    own = private_names(tree)
    for node in ast.walk(tree):
        private = isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__")
        if private and node.attr not in own:
            yield ast.unparse(node)


def test_no_module_uses_the_private_names_of_another() -> None:
    """`other._name` occurs only in a module that defines that name."""
    for name, path in MODULES.items():
        assert list(private_names_of_others(path.read_text("utf-8"))) == [], name
    assert list(private_names_of_others("def f(mailbox):\n    return mailbox._opened")) == ["mailbox._opened"]


def test_the_protocol_is_pure() -> None:
    """The modules of the protocol import no driver, socket, ssl, asyncio or clock."""
    drivers = {"connection", "async_connection", "driver", "async_driver", "transport", "async_transport"}
    pure = (
        "protocol receive_buffer framing body_meter session dispatcher stream_check proof flows command commands listings capabilities deadlines"
        " refusal violations"
    )
    for name in pure.split():
        for node in ast.walk(ast.parse(MODULES[f"pymailbox.pop3.{name}"].read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for imported in names:
                assert imported.split(".")[0] not in ("socket", "ssl", "asyncio", "select", "time"), name
                assert imported.rpartition(".")[2] not in drivers, name


def test_the_test_server_imports_no_other_package() -> None:
    """It shares no code with the client, so that they cannot share a bug."""
    for name, path in MODULES.items():
        if name.startswith("pymailbox.testing") and name not in EXCEPTED:
            assert all(other.startswith("pymailbox.testing") for other in imports(name, path.read_text("utf-8"))), name


def test_import_is_cheap() -> None:
    """Heavy modules are not imported before they are needed."""
    script = (
        "import sys; import pymailbox.mailbox; a = set(sys.modules); from pymailbox import Mailbox; b = set(sys.modules);"
        "print([m for m in ('ssl', 'email', 'asyncio', 'sqlite3', 'attrs', 'socket') if m in a], [m for m in"
        "('ssl', 'email.message', 'email.parser', 'asyncio', 'sqlite3', 'html.parser', 'scramp') if m in b])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=GENEROUS
    )
    assert done.stdout.strip() == "[] []"


def test_the_public_names_exist() -> None:
    """Every listed name can be imported and is in `dir`; other names are AttributeError."""
    assert sorted(pymailbox._HOMES) == pymailbox.__all__
    for name in pymailbox.__all__:
        assert getattr(pymailbox, name).__name__ == name
        assert name in dir(pymailbox)
    with pytest.raises(AttributeError, match="no attribute 'Postbox'"):
        _ = pymailbox.Postbox
