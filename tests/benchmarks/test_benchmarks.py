"""The benchmarks measure right answers: every client reads the octets the mailbags hold. Nothing here is timed."""

import contextlib
import importlib
import mailbox
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import case
from tests.benchmarks import floor
from tests.benchmarks.mailbags import fill
from tests.benchmarks.report import chart, table
from tests.benchmarks.rounds import CLIENTS, PROGRAMS, WORKS, Stage, Work, run_rounds
from tests.benchmarks.service import Service
from tests.timing import GENEROUS


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(quick=True) as stage:
        yield stage


def results(client: str, case: str, service: Service) -> list[object]:
    """Run a case to its end: None when it is logged in, then what it read."""
    module, prefix = CLIENTS[client]
    first, *rest = getattr(importlib.import_module(f"tests.benchmarks.{module}"), prefix + case)(service)
    assert first is None
    return rest


def everything(work: Work) -> list[bytes]:
    mailbag = fill(work.mailbag, quick=True)
    return [mailbag.raw(number) for number in range(1, len(mailbag) + 1)]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_read_is_right(stage: Stage, tmp_path: Path, client: str) -> None:
    """Bodies arrive to the octet and in order, in memory and in a file; the fields are those of the mail."""
    for number, work in enumerate(WORKS):
        with case(work.title, "by", client):
            sink = tmp_path / str(number)
            service = stage.service(work)._replace(sink_path=str(sink))
            found = results(client, work.case, service)
            if work.case == "headers":
                (triples,) = found
                fields = [(str(subject), getattr(sender, "email", sender), date) for subject, sender, date in triples]
                assert [fields] == results("poplib", "headers", service)
                continue
            raws = everything(work)
            if client == "AsyncMailbox":  # adds up what it reads
                assert found == [sum(map(len, raws))]
            else:
                assert found == (raws if work.case == "bodies" else list(map(len, raws)))
            if work.case == "stream":
                assert sink.read_bytes() == b"".join(raws)


@pytest.mark.parametrize("link", ["plain", "tls"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_read_every_message(
    stage: Stage, tmp_path: Path, installed: Callable[[str], list[str]], program: str, link: str
) -> None:
    """curl's files and mpop's mbox, which has other line ends, hold the mail."""
    (work,) = (work for work in WORKS if (work.case, work.mailbag, work.link) == ("bodies", "small", link))
    target = tmp_path / ("#1" if program == "curl" else "mbox")  # curl puts the number there
    service = stage.service(work)._replace(sink_path=str(target))
    subprocess.run([*installed(program), *PROGRAMS[program](service, tmp_path)[1:]], check=True, timeout=GENEROUS)
    raws = everything(work)
    if program == "curl":
        assert [(tmp_path / str(number)).read_bytes() for number in service.numbers] == raws
    else:
        with contextlib.closing(mailbox.mbox(target)) as mbox:
            assert [mbox.get_bytes(key) for key in mbox.keys()] == [raw.replace(b"\r\n", b"\n") for raw in raws]  # noqa: SIM118


@pytest.mark.parametrize("size", [67, 1009, 4096])
def test_floor_does_not_depend_on_its_buffer(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """However a reply is cut, the floor reads the same octets: in memory and streamed."""
    monkeypatch.setattr(floor, "BUFFER", size)
    work = Work("", "bodies", "small", "plain")
    target = tmp_path / "stream"
    service = stage.service(work)._replace(sink_path=str(target))
    expected = everything(work)
    assert results("floor", "bodies", service) == expected
    assert results("floor", "stream", service) == [len(raw) for raw in expected]
    assert target.read_bytes() == b"".join(expected)


def test_a_round_of_every_client_fills_the_table_and_the_chart(stage: Stage) -> None:
    """Each client that is installed runs in its own process, reads what the floor reads, and stands in both."""
    works = [next(work for work in WORKS if work.link == link) for link in ("plain", "tls", "far")]
    found = run_rounds(stage, works, 1, print)
    cells = [line.split("|")[1:-1] for line in table(found, works).splitlines()[2:]]
    drawn = chart(found, works)
    assert [row[0].strip() for row in cells] == [work.title for work in works]
    for work, row in zip(works, cells, strict=True):
        assert work.title in drawn
        assert "–" not in "".join(row[1:5]) + row[-1]
