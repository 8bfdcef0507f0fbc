"""The documentation is correct: its examples run, its pages are in the site, and what it cites exists."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import pymailbox
from docs.house import DRAWING, draw
from pymailbox import AuthenticationError, Mailbox, MailboxOptions
from pymailbox.diagnosis.quirks import MEANINGS
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.samples import SAMPLES
from tests import ROOT
from tests.timing import GENEROUS

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

#: Pages whose examples run here, with a test server as `server`; other pages have their own tests.
PAGES = [
    "guide.md",
    "session.md",
    "new-mail.md",
    "archive.md",
    "async.md",
    "errors.md",
    "notebook.md",
    "protocol.md",
    "testing.md",
]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the sample mailbox."""
    with Server(SAMPLES, user="robin", password="secret", lock_wait=GENEROUS) as running:
        yield running


def examples(page: Path) -> str:
    """Return the interactive examples of a page as one text."""
    return "\n".join(re.findall(r"```pycon\n(.*?)```", page.read_text(), re.S))


@pytest.mark.parametrize("name", PAGES)
def test_examples_of_a_page_run(name: str, server: Server, tmp_path: Path) -> None:
    """Each page's examples print what the page shows."""
    with Server(SAMPLES, user="robin", password="secret", lock_wait=GENEROUS) as other:
        names: dict[str, Any] = {"server": server, "other": other, "directory": tmp_path}
        test = doctest.DocTestParser().get_doctest(examples(ROOT / "docs" / name), names, name, name, 0)
        assert test.examples, "the page has no examples"
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        output: list[str] = []
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, category, *_: print(f"{category.__name__}: {message}")
            runner.run(test, out=output.append)
        assert runner.failures == 0, "".join(output)


def test_a_page_says_what_its_examples_run_against() -> None:
    """A page whose examples use `server`, `other` or `directory` shows how to make them, in a block that runs."""
    snippet = (ROOT / "docs" / "examples.txt").read_text("utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", textwrap.dedent(snippet.partition("\n")[2]), re.S)
    names: dict[str, Any] = {}
    exec(block, names)
    with closing(names["server"]), closing(names["other"]):
        names["directory"].rmdir()
        for running in (names["server"], names["other"]):
            with Mailbox(running.host, "robin", "secret", port=running.port, security="none") as inbox:
                assert len(inbox) == len(SAMPLES)
    used = re.compile(r"\b(server|other)\.(?:url|host)|\(?\b(directory) /|\((directory)\)")
    for page in (ROOT / "docs").glob("*.md"):
        text = examples(page)
        needed = {next(filter(None, groups)) for groups in used.findall(text)}
        made = {name for name in needed if re.search(rf"\bas {name}\b", text)}
        if needed - made:
            assert '--8<-- "docs/examples.txt"' in page.read_text("utf-8"), f"{page.name}: {needed - made}"


def modules() -> list[str]:
    """Return the names of all modules of the package."""
    found = pkgutil.walk_packages(pymailbox.__path__, "pymailbox.")
    return ["pymailbox", *(module.name for module in found if not module.name.endswith("__main__"))]


def test_examples_in_docstrings_run() -> None:
    """Examples in docstrings print what the docstring shows."""
    tried = 0
    for name in modules():
        results = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
        assert results.failed == 0, name
        tried += results.attempted
    assert tried > 80


def test_every_public_name_exists_and_is_documented() -> None:
    """Every name in `__all__` exists and has a docstring."""
    for package in ("pymailbox", "pymailbox.pop3", "pymailbox.testing", "pymailbox.content", "pymailbox.errors"):
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            assert value.__doc__, f"{package}.{name}"
        assert set(module.__all__) <= set(dir(module))


def test_public_classes_have_a_runnable_example() -> None:
    """The docstring of every public class has an example."""
    for package in ("pymailbox", "pymailbox.pop3", "pymailbox.testing"):
        module = importlib.import_module(package)
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and not issubclass(value, BaseException):
                assert ">>>" in (value.__doc__ or ""), f"{package}.{name} has no example"


def test_every_page_is_in_the_navigation() -> None:
    """Once; `docs.links` checks every link of the built site."""
    nav = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert nav.count(f" {page.relative_to(ROOT / 'docs').as_posix()}\n") == 1, f"{page} is not in mkdocs.yml, once"


def test_every_link_of_the_readme_has_a_target() -> None:
    """Every relative link and picture of the README, which is not in the site, is a file that exists."""
    targets = re.findall(r"(?:\]\(|src=\"|srcset=\")([^)#\s\"]+)", (ROOT / "README.md").read_text())
    local = [target for target in targets if "://" not in target]
    assert len(local) > 15
    for target in local:
        assert (ROOT / target).exists(), f"README.md links to {target}"


def test_the_drawing_of_the_house_is_up_to_date() -> None:
    """The drawing in docs/design.md shows the packages and imports of this version, and loads nothing."""
    assert DRAWING.read_text("utf-8") == draw(), "run python -m docs.house"
    assert "http" not in draw().replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_blocks_with_prompts_say_so() -> None:
    """A block with `>>>` is `pycon`: its prompts and its output are not copied."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for kind, block in re.findall(
            r"^```(\w+)[^\n]*\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        ):
            assert (kind == "pycon") == (">>> " in block), f"{page.name}: {block}"


def test_the_readme_and_the_start_page_have_the_same_example() -> None:
    """README and start page show the same code, and README has the commands for the demo and the tests."""
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"```python\n.*?```", readme, re.S)
    assert block is not None
    assert block[0] in (ROOT / "docs" / "index.md").read_text()
    assert "python -m pip install '.[cli]' && python -m pymailbox demo" in readme
    assert "python -m pip install '.[test]' && python -m pytest" in readme


@pytest.mark.parametrize("library", ["rich", "tqdm"])
def test_the_progress_bars_of_the_guide_run(library: str) -> None:
    """Each adapter has at most 15 lines, shows all bytes at the end, and downloads every message."""
    pytest.importorskip(library, reason=f"{library} is not installed; pip install 'pymailbox[test]'")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(), re.S)
    (block,) = [block for block in blocks if re.search(rf"^(import|from) {library}", block, re.M)]
    assert len([line for line in block.splitlines() if line]) <= 15
    names: dict[str, Any] = {}
    exec(block, names)
    with Server(SAMPLES) as server, Mailbox.from_url(server.url, "secret") as inbox:
        shown: list[tuple[Any, Any]] = []
        if library == "tqdm":

            class Bar(names["tqdm"]):  # type: ignore[misc] # of that library
                def close(self) -> None:
                    shown.append((self.n, self.total))
                    super().close()

            names["tqdm"] = Bar
        else:
            update = names["rich"].progress.Progress.update

            def record(bar: Any, task: Any, **changes: Any) -> None:
                shown.append((changes["completed"], changes["total"]))
                update(bar, task, **changes)

            names["rich"].progress.Progress.update = record
        try:
            names["download"](inbox)
        finally:
            if library == "rich":
                names["rich"].progress.Progress.update = update
        assert shown[-1] == (inbox.size, inbox.size)
    assert len([line for line in server.log if line.startswith("RETR")]) == len(SAMPLES)


def test_the_retrying_of_the_errors_page(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What may pass is tried again, after `retry_after` if there is one; whatever else is raised passes through."""
    stamina = pytest.importorskip("stamina", reason="stamina is not installed; pip install 'pymailbox[test]'")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "errors.md").read_text(), re.S)
    (block,) = [block for block in blocks if "import stamina" in block]
    mailbox = 'Mailbox("pop.example.com", "me@example.com", "app-password")'
    assert mailbox in block
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    stamina.instrumentation.set_on_retry_hooks([])
    faults = [
        Fault.refuse("AUTH", text="[IN-USE] locked", session=1),
        Fault.refuse("AUTH", text="[LOGIN-DELAY] wait 30 seconds", session=2),
    ]
    try:
        with Server(SAMPLES[:1], faults=faults) as server:
            ours = f'Mailbox("{server.host}", "me", "secret", port={server.port}, security="none")'
            exec(block.replace(mailbox, ours), {})
            assert len(server.sessions) == 3
        assert capsys.readouterr().out.startswith("['")
        assert len(waits) == 2
        assert waits[0] <= 3
        assert waits[1] == 30
        with Server(SAMPLES[:1], password="changed") as server:
            refused = f'Mailbox("{server.host}", "me", "secret", port={server.port}, security="none")'
            for source, error in ((refused, AuthenticationError), ("memoryview(1 / 0)", ZeroDivisionError)):
                with pytest.raises(error):
                    exec(block.replace(mailbox, source), {})
            assert len(server.sessions) == 1
        assert len(waits) == 2
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)


def test_the_reference_describes_every_option_with_its_default() -> None:
    """The comment of each option in `MailboxOptions`, which the reference shows, states the constructor's default."""
    source = inspect.getsource(MailboxOptions)
    described = {
        name: re.sub(r"\s*#: ?", " ", comment)
        for comment, name in re.findall(r"((?:    #:[^\n]*\n)+)    (\w+):", source)
    }
    parameters = inspect.signature(Mailbox).parameters
    for name, parameter in parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            assert f"`{name}`" in (Mailbox.__doc__ or ""), name
            continue
        default = f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)
        assert re.search(rf'Default "?{re.escape(default)}\b', described[name]), name


# --- the numbered lists -----------------------------------------------------------------------------------------

#: The page of each list, and the prefix of its anchors there.
LISTS = {"Q": ("servers.md", "q"), "threat": ("threats.md", "threat-"), "decision": ("decisions.md", "decision-")}

#: A cited number: "Q27-Q29", "threat 88", `threat(88)`, "decisions 1, 2 and 5", also across a line break.
CITED = re.compile(
    r"\bQ(?P<Q>\d+)\b|\bthreats?(?:\(|[\s#]+)(?P<threat>\d+)|\bdecisions?[\s#]+(?P<decision>\d+(?:(?:,|[\s#]+and)[\s#]+\d+)*)",
    re.IGNORECASE,
)
#: Lists that do not belong to the project.
ELSEWHERE = re.compile(r"\b(DESIGN\.md|QUIRKS|THREATS)\b")


def cited(text: str) -> Iterator[tuple[str, int]]:
    """Yield the list and the number of each citation in a text."""
    for found in CITED.finditer(text):
        name = found.lastgroup
        assert name is not None
        yield from ((name, int(number)) for number in re.findall(r"\d+", found[name]))


def entries(name: str) -> list[int]:
    """Return the numbers of the entries on the page of a list, in order."""
    page, anchor = LISTS[name]
    return list(map(int, re.findall(rf'<a id="{anchor}(\d+)"></a>', (ROOT / "docs" / page).read_text("utf-8"))))


def test_an_entry_is_one_line_and_its_definition() -> None:
    """In a definition list, each line above the first colon would be a separate term."""
    for page in ("servers.md", "threats.md", "guarantees.md"):
        for entry in re.findall(r"^<a id=.*\n.*", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE):
            assert "\n:   " in entry, entry


def texts() -> Iterator[Path]:
    """Yield every file that may cite a number, except this one, which cites numbers that do not exist."""
    for directory in ("pymailbox", "tests", "examples", "docs"):
        for path in sorted((ROOT / directory).rglob("*")):
            if path.suffix in (".py", ".md", ".toml") and path != Path(__file__):
                yield path


def test_every_form_of_citation_is_recognized() -> None:
    """Citations are found in every form that the project uses, and nothing else is."""
    for text, found in [
        ("(Q27-Q29)", [("Q", 27), ("Q", 29)]),
        ("Q31, Q32", [("Q", 31), ("Q", 32)]),
        ("@pytest.mark.threat(113)", [("threat", 113)]),
        ("threat 88", [("threat", 88)]),
        ("decisions 1, 2 and 5", [("decision", 1), ("decision", 2), ("decision", 5)]),
        ("# (decisions 6\n    # and 7)", [("decision", 6), ("decision", 7)]),
        ("Decision 8: the", [("decision", 8)]),
        ("=?utf-8?Q?a?= RQ1 the decision of 1999, three threats", []),
    ]:
        assert list(cited(text)) == found, text


def test_every_cited_number_is_on_its_page() -> None:
    """Each list is numbered without gaps, contains every cited number, and no file cites any other list."""
    for name in LISTS:
        assert entries(name) == list(range(1, len(entries(name)) + 1)), name
        assert entries(name), name
    for path in texts():
        text = path.read_text("utf-8")
        assert [(name, number) for name, number in cited(text) if number not in entries(name)] == [], path
        assert ELSEWHERE.search(text) is None, path


def test_a_page_that_cites_a_number_links_to_it() -> None:
    """A number cited on another page is a link to its entry, and each such link has a target."""
    link = re.compile(r"\[([^\]]*)\]\(([a-z]+\.md)?#((?:q|threat-|decision-|promise-)\d+)\)")
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text("utf-8")
        for words, target, anchor in link.findall(text):
            assert f'<a id="{anchor}"></a>' in (ROOT / "docs" / (target or page.name)).read_text("utf-8"), words
            for name, number in cited(words):
                assert (target or page.name, anchor) == (LISTS[name][0], f"{LISTS[name][1]}{number}"), words
        bare = link.sub("", text)
        assert [found for found in cited(bare) if LISTS[found[0]][0] != page.name] == [], page.name


def marked_tests() -> dict[str, set[int]]:
    """Return the threats that each test is marked with, by its id."""
    found: dict[str, set[int]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = " ".join(map(ast.unparse, node.decorator_list))
                name = f"{path.relative_to(ROOT).as_posix()}::{node.name}"
                found[name] = set(map(int, re.findall(r"\bmark\.threat\((\d+)\)", marks)))
    return found


def test_every_named_proof_exists() -> None:
    """Each test that the pages name exists, and for a threat is marked with its number.

    A guarantee names a test and a way to check it; a threat with marked tests names one.
    """
    tests = marked_tests()
    page = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("guarantees.md", "threats.md"))
    listed = re.split(r'<a id="(promise|threat)-(\d+)"></a>', page)
    for kind, number, entry in zip(listed[1::3], listed[2::3], listed[3::3], strict=True):
        named = re.findall(r"`(tests/[^`]*)`", entry)
        for test in named:
            assert test in tests, f"{kind} {number} names {test}, which does not exist"
            assert kind == "promise" or int(number) in tests[test], f"{test} is not marked with threat({number})"
        if kind == "promise":
            assert named, f"promise {number} has no proof"
            assert "*Check:*" in entry, f"promise {number} cannot be checked"
        elif not named:
            assert [test for test, threats in tests.items() if int(number) in threats] == [], f"threat {number}"


def test_every_quirk_is_on_the_page() -> None:
    """The pages describe every quirk that the server can show or the client notes, and no other."""
    known = set(Quirk.__members__) | set(MEANINGS)
    pages = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("servers.md", "threats.md"))
    assert set(re.findall(r"`([A-Z]+[A-Z0-9]*(?:_[A-Z0-9]+)+)`", pages)) == known


def shown_texts(tree: ast.Module, source: str) -> Iterator[str]:
    """Yield what a user can see of a module: all strings except docstrings of private names, and `#:` comments.

    Strings include docstrings, also those of attributes, error messages, help texts and log lines.
    """
    private: set[ast.AST] = set()

    def look(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            hidden = inside
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = child.name
                hidden = inside or (name.startswith("_") and not name.endswith("__"))
                first = child.body[0]
                if hidden and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    private.add(first.value)
                # Names defined inside a function are private.
                look(child, hidden or not isinstance(child, ast.ClassDef))
            else:
                look(child, hidden)

    look(tree, False)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in private:
            yield node.value
    for comment, name in re.findall(r"((?:^ *#:.*\n)+) *(\w+)", source, re.MULTILINE):
        if not name.startswith("_"):
            yield comment


def test_no_text_for_users_cites_a_number() -> None:
    """Public docstrings, `#:` comments, errors, help and logs explain themselves: their readers have no list."""
    for name in ("pymailbox", "examples"):
        for path in sorted((ROOT / name).rglob("*.py")):
            source = path.read_text("utf-8")
            for text in shown_texts(ast.parse(source), source):
                assert list(cited(text)) == [], f"{path}: {text}"


def test_a_number_is_found_wherever_a_user_would_see_it() -> None:
    """The test above finds a number wherever a user would see it, and nowhere else."""
    for source, seen in [
        ('"""Q1."""', True),
        ('class A:\n    """Decision 7."""', True),
        ('class A:\n    def f(self):\n        """Q1."""', True),
        ('class A:\n    x = 1\n    """Threat 3."""', True),
        ("#: See Q1.\nx = 1", True),
        ('def f():\n    raise ValueError(f"no {x} (Q1)")', True),
        ('def _f():\n    raise ValueError("no (Q1)")', True),
        ('def _f():\n    """Q1."""', False),
        ('class _A:\n    def f(self):\n        """Q1."""', False),
        ('def f():\n    def g():\n        """Q1."""', False),
        ("#: See Q1.\n_x = 1\nx = 2  # Q1", False),
    ]:
        texts_of = shown_texts(ast.parse(source), source + "\n")
        assert any(list(cited(text)) for text in texts_of) == seen, source
