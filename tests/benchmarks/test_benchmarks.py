"""Every client of the benchmarks reads exactly the bytes of the mailbags. Nothing here is timed."""

import contextlib
import importlib
import mailbox
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ROOT, case
from tests.benchmarks import accounts, archive, floor, goals, kills, ours, scale, standard
from tests.benchmarks.case import Service
from tests.benchmarks.mailbags import fill
from tests.benchmarks.report import chart, table
from tests.benchmarks.rounds import CLIENTS, PROGRAMS, WORKS, Stage, Work, package_of, run_case, run_rounds, staged
from tests.servers import RealServer
from tests.timing import GENEROUS


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged([*WORKS, *goals.GOALS, *scale.WORKS[:2]], quick=True) as stage:
        yield stage


@pytest.fixture(scope="module")
def before() -> Iterator[Path]:
    """The package of the last commit."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git")
    with package_of("HEAD") as root:
        yield root


def read(client: str, case: str, service: Service) -> list[object]:
    """Run a case to its end; return what it read."""
    module, prefix = CLIENTS[client]
    first, *rest = getattr(importlib.import_module(f"tests.benchmarks.{module}"), prefix + case)(service)
    assert first is None
    return rest


def prove(client: str, stage: Stage, work: Work, sink: Path) -> None:
    """Check that a client reads the exact bytes or fields of the mailbag, in order."""
    service = stage.service(work)._replace(sink_path=str(sink))
    found = read(client, work.case, service)
    if work.case == "headers":
        (triples,) = found
        fields = [(str(subject), getattr(sender, "email", sender), date) for subject, sender, date in triples]
        assert [fields] == read("poplib", "headers", service)
        return
    raws = fill(work.mailbag, quick=True).messages()
    if client == "AsyncMailbox":  # adds up what it reads
        assert found == [sum(map(len, raws))]
    else:
        assert found == (raws if work.case == "bodies" else list(map(len, raws)))
    if work.case == "stream":
        assert sink.read_bytes() == b"".join(raws)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_reads_the_right_bytes(stage: Stage, tmp_path: Path, client: str) -> None:
    """Bodies arrive in memory and in a file, on every port of the server."""
    for number, work in enumerate(WORKS):
        with case(work.title, "by", client):
            prove(client, stage, work, tmp_path / str(number))


def test_pymailbox_finds_no_quirks_in_the_server(stage: Stage) -> None:
    """A reply that it does not trust would stop the pipelining that the benchmark measures."""
    with ours.mailbox(stage.service(WORKS[1])) as inbox:
        assert len(list(inbox.fetch())) == len(inbox)
        assert not inbox.connection.quirks


def test_floor_does_not_depend_on_its_buffer(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a reply is split, the floor reads the same."""
    for size in (67, 1009, 4096):
        monkeypatch.setattr(floor, "BUFFER", size)
        for reading in ("bodies", "stream"):
            with case(reading, "through a buffer of", size):
                prove("floor", stage, Work("", reading, "small", "plain"), tmp_path / str(size))


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_read_every_message(
    stage: Stage, tmp_path: Path, installed: Callable[[str], list[str]], program: str
) -> None:
    """curl's files, and mpop's mbox with its different line ends, contain all messages."""
    raws = fill("small", quick=True).messages()
    for link in ("plain", "tls"):
        target = tmp_path / link / ("#1" if program == "curl" else "mbox")  # curl puts the number there
        target.parent.mkdir()
        service = stage.service(Work("", "bodies", "small", link))._replace(sink_path=str(target))
        command = [*installed(program), *PROGRAMS[program](service, tmp_path)[1:]]
        subprocess.run(command, check=True, timeout=GENEROUS)
        if program == "curl":
            assert [target.with_name(str(number)).read_bytes() for number in service.numbers] == raws
        else:
            with contextlib.closing(mailbox.mbox(target)) as mbox:
                assert [mbox.get_bytes(key) for key in mbox.keys()] == [raw.replace(b"\r\n", b"\n") for raw in raws]  # noqa: SIM118


def test_a_round_of_every_client_fills_the_table_and_the_chart(stage: Stage) -> None:
    """Each installed client runs in its own process, reads what the floor reads, and is in both table and chart."""
    works = [next(work for work in WORKS if work.link == link) for link in ("plain", "tls", "far")]
    found = run_rounds(stage, works, 1)
    drawn = chart(found, works)
    for work, line in zip(works, table(found, works).splitlines()[2:], strict=True):
        title, *cells = line.split("|")[1:-1]
        assert title.strip() == work.title in drawn
        assert "–" not in "".join(cells[:4]) + cells[-1]


def test_yardsticks_read_the_same(stage: Stage) -> None:
    """The listings and the fields of poplib with the modern policy are those of Mailbox, and so are the new messages."""
    service = stage.service(scale.WORKS[0])
    with ours.mailbox(service) as inbox:
        assert list(standard.listings(service))[1:] == [
            dict(enumerate(inbox.sizes, 1)),
            dict(enumerate(inbox.uids, 1)),
        ]
        (found,) = list(ours.mailbox_new(service))[1:]
        assert found is not None
        assert [message.uid for message in found] == list(inbox.uids[ours.known(service) :])
    service = stage.service(Work("", "", "small", "plain"))
    _, found = standard.modern_headers(service)
    assert found is not None
    fields = [(str(subject), sender.addresses[0].addr_spec, date.datetime) for subject, sender, date in found]
    assert [None, fields] == list(standard.headers(service))


def test_an_earlier_package_runs_the_cases_of_today(stage: Stage, before: Path) -> None:
    """It is imported instead of the present one; a case that it does not know fails and says so."""
    command = [sys.executable, "-c", "import pymailbox, tests; print(pymailbox.__file__, tests.ROOT)"]
    printed = subprocess.run(command, check=True, cwd=before, stdout=subprocess.PIPE, text=True).stdout
    assert printed == f"{before / 'pymailbox' / '__init__.py'} {ROOT}\n"
    with pytest.raises(ValueError, match=f"ours.nothing failed with the package in {re.escape(str(before))}"):
        run_case("ours.nothing", stage.service(WORKS[0]), before)


def test_goals_are_in_the_table(stage: Stage, before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every yardstick has a row with both ratios, and says whether the goal is met."""
    monkeypatch.setattr(goals, "REPEATS", {})
    taken = goals.run_rounds(stage, before, 1)
    header, _, *lines = goals.table(taken).splitlines()
    assert [line.count("|") for line in lines] == [header.count("|")] * sum(map(len, goals.GOALS.values()))
    assert not any("–" in line for line in lines)
    assert len(re.findall("at most .*: (?:met|missed)", "\n".join(lines))) == 9
    assert goals.goal(goals.Yardstick("", None, 0.5), 0.5) == "CPU at most 0.50: met"
    assert goals.goal(goals.Yardstick("", None, 1 / 30, "seconds"), 0.04) == "time at most 0.033: missed"


def test_growth_is_in_the_table(stage: Stage, before: Path) -> None:
    """Each step works on what those before it have stored, and finds what is new."""
    taken = scale.run_rounds(stage, before, 1, scale.WORKS[:2])
    new = stage.service(scale.WORKS[1]).count // 10
    for step in scale.STEPS[2:]:
        if step.title not in (
            "`Seen.new` and `Seen.add` of the known",
            "`Archive.collect` of the known",
            "`pymailbox ls --new`",
        ):
            expected = 0 if step.title.endswith("nothing new") else new
            assert taken[step.title, "100,000", "now"][0].tally == expected
    header, _, *lines = scale.table(taken).splitlines()
    assert [line.count("|") for line in lines] == [header.count("|")] * 2 * len(scale.STEPS)


def test_archives_are_measured_with_their_rivals(
    dovecot: RealServer, installed: Callable[[str], list[str]], before: Path
) -> None:
    """Each program archives every message, once; the second run and `verify` are in the tables, too."""
    installed("mpop")
    taken, disk = archive.run_rounds(1, before, quick=True)
    assert re.fullmatch(r"\S+, fsync of 4 KB in [0-9.]+ ms", disk)
    runs, verified, bound = archive.table(taken).split("\n\n")
    for text, rows in ((runs, 6), (verified, 3)):
        header, _, *lines = text.splitlines()
        assert [line.count("|") for line in lines] == [header.count("|")] * rows
        assert "–" not in text
    assert re.match(r"100,000 × 1 KB, first run: [\d,]+ messages a second\. Of ", bound)
    for (_, run, _), rounds in taken.items():
        assert all(one.seconds > 0 and one.cpu > 0 for one in rounds)
        assert run == "verify" or all(one.memory > 1_000_000 for one in rounds)


def test_many_accounts_are_measured() -> None:
    """Each account ends as it should, or `run` raises; hosts are not asked for more sessions, and a row has all cells."""
    found = accounts.run(20, 2, iter(["threads"]))
    header, _, line = accounts.table(found).splitlines()
    assert line.count("|") == header.count("|")
    first, second, digest, disk = found["threads"]
    assert (first.messages, second.messages, len(digest)) == (42, 0, 64)
    assert disk > 42 * accounts.SIZE
    assert first.memory > 10_000_000
    assert max(first.peaks) > 0


def test_a_killed_archive_misses_nothing_and_stores_nothing_twice(
    dovecot: RealServer, installed: Callable[[str], list[str]]
) -> None:
    """However often the download is killed; mpop is measured beside it."""
    installed("mpop")
    found = kills.run(3, 100)
    assert found["Archive"].kills > 0
    assert found["Archive"][1:] == (0, 0)
    assert "mpop" in kills.table(found)
