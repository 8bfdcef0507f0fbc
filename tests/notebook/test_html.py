"""What `_repr_html_` returns: escaped, bounded, from what is known; and records for DataFrames."""

import asyncio
import io
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox import (
    Account,
    Archive,
    AsyncMailbox,
    Content,
    Limits,
    Mailbox,
    Progress,
    Uncommitted,
    diagnose,
    notebook,
)
from pymailbox.archive.results import Collected
from pymailbox.display import EDGE
from pymailbox.notebook import Card, facts, listing, mail, progress_bar
from pymailbox.testing import Fault, Server
from pymailbox.testing.samples import SAMPLES
from tests.notebook.hostile import hostile_mail, hostile_text
from tests.timing import assert_linear

GIF = b"GIF89a"


class Page(HTMLParser):
    """The elements of a page, the text outside of styles, and the pages in its frames."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] != "style":
            self.text += data

    def frames(self) -> list["Page"]:
        """Return the pages in its frames."""
        return [Page(attributes["srcdoc"] or "") for tag, attributes in self.elements if tag == "iframe"]


def server_of(*mails: bytes, **options: Any) -> Server:
    """Return a server with this mail."""
    return Server(mails, **options)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server with the sample mailbox."""
    with Server(SAMPLES) as running:
        yield running


@pytest.fixture
def inbox(server: Server) -> Iterator[Mailbox]:
    """Its mailbox, open."""
    with Mailbox.from_url(server.url, "secret") as opened:
        yield opened


# --- a mailbox ------------------------------------------------------------------------------------------------


def test_the_table_asks_nothing(server: Server, inbox: Mailbox) -> None:
    """A mailbox of which nothing was read has rows with numbers, and says how to fill them; nothing is sent."""
    before = server.log
    page = Page(inbox._repr_html_())
    assert server.log == before
    assert "10 messages, 3.9 KB" in page.text
    assert "not read yet" in page.text
    assert "Lunch" not in page.text


def test_the_table_has_what_was_read(inbox: Mailbox) -> None:
    """Date, sender and subject of what was read are there, though no message is referenced any more; deleted ones are marked."""
    inbox.to_records()
    inbox[2].delete()
    page = Page(inbox._repr_html_())
    for value in ("Lunch on Thursday?", "Ada Archer <ada@example.org>", "2026-06-01", "781 B", "deleted", "1 marked"):
        assert value in page.text
    assert "not read yet" not in page.text


@pytest.mark.parametrize("read", ["subject", "text", "fetch", "into"])
def test_every_way_to_read_fills_the_table(inbox: Mailbox, read: str) -> None:
    """By header, by body, in a pipeline, or into files."""
    if read == "fetch":
        list(inbox.fetch())
    elif read == "into":
        list(inbox.fetch(into=lambda _: io.BytesIO()))
    else:
        for message in inbox:
            getattr(message, read)
    assert "A flowed letter" in inbox._repr_html_()


def test_a_long_mailbox_shows_its_ends() -> None:
    """The first and the last rows, and how many are between them; the headers of those are not kept."""
    mails = [f"Subject: subject-{number}\r\n\r\n".encode() for number in range(1, 3001)]
    with server_of(*mails) as server, Mailbox.from_url(server.url, "secret") as inbox:
        inbox.to_records()
        html = inbox._repr_html_()
        shown = [int(number) for number in re.findall(r">subject-(\d+)<", html)]
        assert shown == [*range(1, EDGE + 1), *range(3001 - EDGE, 3001)]
        assert "2,980 more" in html
        assert len(html) < 20_000
        assert len(inbox._opened.state.outline) == 2 * EDGE  # type: ignore[union-attr]


def test_a_mailbox_that_is_not_open_and_one_that_died(server: Server) -> None:
    """Both are shown, and say so."""
    inbox = Mailbox.from_url(server.url, "secret")
    assert "not open" in inbox._repr_html_()
    inbox.open()
    _ = inbox[0].subject
    server.close()
    with pytest.raises(Exception, match="closed"):
        inbox.keep_alive()
    page = Page(inbox._repr_html_())
    assert "The session has ended" in page.text
    assert "Lunch on Thursday?" in page.text
    inbox.close()
    assert "not open" in inbox._repr_html_()
    assert repr(inbox).endswith("not open>")


# --- a message ------------------------------------------------------------------------------------------------


def test_a_card_has_everything(inbox: Mailbox) -> None:
    """Header, text, attachments with sizes; HTML in a frame, with its inline image, and as text."""
    plain = Page(inbox[2]._repr_html_())
    for value in (
        "Message 3",
        "books@example.com",
        "robin@example.org",
        "Invoice 2026-117",
        "2026-06-03",
        "figures attached",
    ):
        assert value in plain.text
    for value in ("figures €.csv", "text/csv", "36 B", "invoice.pdf"):
        assert value in plain.text
    page = Page(inbox[1]._repr_html_())
    (outer,) = page.frames()
    (inner,) = outer.frames()
    assert "Gazpacho" in inner.text
    assert "Gazpacho" in page.text
    (image,) = [attributes["src"] for tag, attributes in inner.elements if tag == "img"]
    assert image is not None
    assert image.startswith("data:image/gif;base64,R0lG")


def test_showing_a_message_costs_one_listing_and_one_body(server: Server, inbox: Mailbox) -> None:
    """LIST and RETR the first time, RETR the second, nothing for a message that was read."""
    message = inbox[1]
    message._repr_html_()
    message._repr_html_()
    inbox[2].show()
    assert [line.split()[0] for line in server.log][-3:] == ["LIST", "RETR", "RETR"]


def test_a_card_never_raises(server: Server) -> None:
    """Of a message marked as deleted, one the server refuses, one too large, and of a dead session, it shows what is known, and why."""
    mails = [b"Subject: subject-%d\r\n\r\n%s\r\n" % (number, b"x" * 5000) for number in range(1, 5)]
    faults = [Fault.refuse("RETR", text="not <b>today</b>", session=2)]
    with server_of(*mails, faults=faults) as server:
        inbox = Mailbox.from_url(server.url, "secret", limits=Limits(window=4000)).open()
        assert "more than Limits.window" in inbox[2]._repr_html_()
        assert "subject-3" in inbox[2]._repr_html_()
        assert "xxxxx" in inbox[2].content.show().html
        inbox.rollback()
        inbox = Mailbox.from_url(server.url, "secret").open()
        assert "not &lt;b&gt;today&lt;/b&gt;" in inbox[1]._repr_html_()
        messages = list(inbox)
        _ = messages[0].subject, messages[3].raw
        messages[0].delete()
        assert "marked as deleted" in messages[0]._repr_html_()
        del messages[0]
        assert "subject-1" in inbox[0]._repr_html_()  # not referenced meanwhile, so its headers were dropped
        messages.insert(0, inbox[0])
        server.close()
        for message, seen in zip(messages, ("subject-1", "Message 2", "Message 3", "xxxxx"), strict=True):
            html = message._repr_html_()
            assert seen in html
            assert ("The text is missing" in html) is (message is not messages[3])
        with pytest.warns(Uncommitted):
            inbox.close()
        assert "The text is missing" in messages[2].show().html


def test_asyncio_shows_what_is_known(server: Server) -> None:
    """An AsyncMailbox and an AsyncMessage are shown without asking; `await message.show()` reads the message."""

    async def main() -> None:
        async with AsyncMailbox.from_url(server.url, "secret") as inbox:
            message = inbox[1]
            before = server.log
            assert "10 messages" in inbox._repr_html_()
            assert "await message.show()" in message._repr_html_()
            assert server.log == before
            assert "Gazpacho" in (await message.show()).html
            assert "Gazpacho" in message._repr_html_()
            records = await inbox.to_records()
            assert [record["number"] for record in records] == list(range(1, 11))
            assert await inbox.to_records(inbox[3]) == records[3:4]
            assert "A flowed letter" in inbox._repr_html_()

    asyncio.run(main())


def test_show_checks_its_argument(inbox: Mailbox) -> None:
    """`remote` is True or False."""
    with pytest.raises(TypeError, match="remote must be True or False"):
        inbox[0].show(remote="yes")  # type: ignore[arg-type]
    card = inbox[0].show(remote=True)
    assert isinstance(card, Card)
    assert card._repr_html_() == card.html
    assert repr(card) == f"<Card of {inbox[0]!r}>"


# --- the frames -----------------------------------------------------------------------------------------------


@pytest.mark.threat(115)
@pytest.mark.threat(116)
@pytest.mark.parametrize("remote", [False, True])
def test_both_frames_allow_nothing_and_the_policy_comes_first(remote: bool) -> None:
    """The sandbox has no exceptions, and no byte of the mail comes before the policy; sources are there only if asked."""
    page = Page(Content.from_bytes(hostile_mail("x")).show(remote=remote).html)
    assert len(page.frames()) == 2
    for outer in page.frames():
        (inner,) = outer.frames()
        for one, frames in ((page, 2), (outer, 1)):
            found = [attributes for tag, attributes in one.elements if tag == "iframe"]
            assert len(found) == frames
            assert all(attributes["sandbox"] == "" for attributes in found)
        for one in (outer, inner):
            tag, attributes = one.elements[0]
            assert (tag, attributes["http-equiv"]) == ("meta", "Content-Security-Policy")
            policy = attributes["content"] or ""
            assert policy.startswith("default-src 'none'; img-src data:")
            assert ("http:" in policy) is remote
            assert "script" not in policy
        assert not {"iframe", "frame", "object", "embed"} & {tag for tag, _ in inner.elements}
        assert sum(tag in ("meta", "base") for tag, _ in inner.elements) == 4  # ours
        mine = [attributes["href"] for _, attributes in inner.elements if "href" in attributes]
        assert mine == ["about:invalid"]


@pytest.mark.threat(116)
@given(st.text(st.sampled_from("<>\"'&;=/ ai\x00#x3quotegmplfr-!")) | st.text())
def test_a_frame_contains_exactly_the_page(page: str) -> None:
    """Whatever the HTML, one frame comes out, and its text is that of the mail: nothing ends it early."""
    html = mail([], None, [f"<p>{page}"], [], {})
    outside = Page(html)
    assert [tag for tag, _ in outside.elements] == ["div", "style", "div", "iframe"]
    (outer,) = outside.frames()
    assert [tag for tag, _ in outer.elements][-1] == "iframe"
    source = dict(outer.elements[-1][1])["srcdoc"]
    assert source is not None
    shown = re.sub("[\x00\ud800-\udfff]", "\ufffd", page)
    shown = re.sub(r"(?i)href(?=\s*=)", "x-href", re.sub(r"(?i)<(?=(meta|base|i?frame|object|embed)\b)", "<x-", shown))
    assert source.endswith(f"</style><p>{shown}")


@pytest.mark.threat(115)
@given(st.text(), st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Po", "Sm"])))
def test_every_value_is_escaped(one: str, other: str) -> None:
    """Whatever a value is: no element, no control character, no override of the direction, nothing that cannot be saved."""
    text = f"{one}<b>{other}"
    row = (1, text, text, text, 5, True)
    pages = (
        listing(text, [row], 1, [text]),
        facts(text, [(text, [(text, text), ("", text)])], [text]),
        mail([(text, text)], text, [], [(text, text, 5)], {}, title=text, notes=[text]),
        Collected(notes=(text,))._repr_html_(),
    )
    for page in pages:
        assert "<b>" not in page
        page.encode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
        allowed = {"div", "style", "table", "thead", "tbody", "tr", "th", "td", "p"}
        assert {tag for tag, _ in Page(page).elements} <= allowed


@pytest.mark.threat(115)
def test_a_hostile_server_is_escaped() -> None:
    """Greeting, capabilities and refusals in a diagnosis; subjects and senders in a mailbox and an archive."""
    line = hostile_text("x").replace("\x00", "").replace("\x1b", "")
    with server_of(hostile_mail("x"), greeting=line, capabilities=["TOP", f"X{line}"]) as server:
        inbox = Mailbox.from_url(server.url, "secret").open()
        inbox.to_records()
        shown = [inbox._repr_html_()]
        inbox.rollback()
        shown.append(diagnose(server.url, "secret")._repr_html_())
    for page in shown:
        assert "script&gt;" in page
        assert not {"script", "img", "b"} & {tag for tag, _ in Page(page).elements}


def test_formulas_are_not_set() -> None:
    """Notebooks set `$...$` as formulas, but not in elements with these classes."""
    assert {"tex2jax_ignore", "mathjax_ignore"} <= set(Page(facts("$x$", [])).elements[0][1]["class"].split())  # type: ignore[union-attr]


# --- bounds ---------------------------------------------------------------------------------------------------


def test_output_is_bounded() -> None:
    """A text of 50 MB, HTML of 50 MB and 10,000 attachments are cut, and the card says so and how to get all."""
    text = mail([], "x" * 50_000_000, [], [], {})
    assert len(text) < 200_000
    assert "49,900,000 more characters; the property body has all of them" in text
    assert len(mail([], None, ['"&<' * 17_000_000], [], {})) < 10_000_000
    assert "the property html has all of it" in mail([], None, ["x" * 600_000, "y"], [], {})
    many = mail([], None, ["x"] * 1000, [("a", "b", 1)] * 10_000, {})
    assert many.count("<iframe") == 10
    assert many.count("<tr>") < 200
    assert "Only 10 of 1,000 HTML parts" in many
    assert "Only 100 of 10,000 attachments" in many


def test_inline_images_are_bounded_and_of_known_types() -> None:
    """Each reference counts; beyond the bound none is shown, and the card says so. SVG is not shown."""
    big = b"x" * 1_500_000
    page = '<img src="cid:big"><img src=\'cid:big\'><img src=cid:small%20one><div style="background:url(cid:small)">'
    images = {"big": ("image/png", big), "small": ("image/gif", GIF), "small one": ("image/jpeg", GIF)}
    html = mail([], None, [page], [], images)
    assert html.count("data:image/png") == 1
    assert "more than 2.0 MB together are not shown" in html
    small = mail([], None, [page], [], {**images, "big": ("image/svg+xml", b"<svg/>")})
    assert "svg" not in small
    assert "data:image/gif" in small
    assert "data:image/jpeg" in small
    assert "cid:big in the text" in mail([], None, ["<p>cid:big in the text"], [], images)


@pytest.mark.parametrize(
    "piece", ["=  ", "= ' cid:", "<link rel ", "href ", "<", "&", "url( ", "<link href=x rel=stylesheet", "\x00"]
)
def test_time_is_linear(piece: str) -> None:
    """Whatever the HTML repeats."""

    def prepare(n: int) -> Callable[[], object]:
        page = piece * (n // len(piece))
        return lambda: mail([], None, [page], [], {"x": ("image/png", GIF)}, remote=True)

    assert_linear(prepare, 20_000)


# --- records --------------------------------------------------------------------------------------------------


def test_records_are_plain_and_aware(inbox: Mailbox) -> None:
    """Each message is a dictionary with the same keys; dates are in UTC, what is missing is None."""
    records = inbox.to_records()
    assert records[1] == {
        "number": 2,
        "uid": inbox[1].uid,
        "size": 781,
        "deleted": False,
        "date": datetime(2026, 6, 2, 6, 30, tzinfo=UTC),
        "from": "Café Lumière <news@cafe.example>",
        "to": ["Robin Reader <robin@example.org>"],
        "subject": "The summer menu ☀",
        "message_id": "<sample-1@example.org>",
        "error": None,
    }
    assert {tuple(record) for record in records} == {tuple(records[0])}
    assert (records[9]["date"], records[9]["from"], records[9]["to"], records[9]["subject"]) == (None, None, [], "")
    assert inbox.to_records(inbox[4:6]) == records[4:6]
    assert inbox.to_records(inbox[7]) == records[7:8]
    assert inbox.to_records([]) == []


def test_records_cost_one_top_for_each_message(server: Server, inbox: Mailbox) -> None:
    """One UIDL, one LIST, and TOPs in a pipeline; no body."""
    inbox.to_records()
    inbox.to_records(inbox[:0])
    sent = [line.split()[0] for line in server.log]
    assert (sent.count("UIDL"), sent.count("TOP"), sent.count("RETR")) == (1, 10, 0)


def test_a_record_of_a_refused_or_deleted_message_has_an_error() -> None:
    """The others are read all the same."""
    faults = [Fault.refuse("TOP", nth=2, text="it is gone")]
    with server_of(*SAMPLES, faults=faults, uidl=False) as server, Mailbox.from_url(server.url, "secret") as inbox:
        inbox[4].delete()
        records = inbox.to_records()
        assert "it is gone" in records[1]["error"]
        assert "marked as deleted" in records[4]["error"]
        assert records[4]["deleted"]
        assert [record["subject"] for record in records].count(None) == 2
        assert {record["uid"] for record in records} == {None}
        inbox.undelete()


def test_data_frames(inbox: Mailbox) -> None:
    """pandas makes one column of times of dates in several zones, some of them missing; of no records it makes no rows."""
    frame = pandas.DataFrame(inbox.to_records())
    assert len(frame) == 10
    assert str(frame["date"].dtype) in ("datetime64[us, UTC]", "datetime64[ns, UTC]")
    assert frame["date"].isna().sum() == 1
    assert frame["date"].max() - frame["date"].min() == timedelta(days=8, hours=8)
    assert frame["size"].sum() == inbox.size
    assert len(pandas.DataFrame(inbox.to_records([]))) == 0
    with server_of() as server, Mailbox.from_url(server.url, "secret") as empty:
        assert len(pandas.DataFrame(empty.to_records())) == 0
        assert "0 messages" in empty._repr_html_()


@pytest.mark.parametrize("date", ["Mon, 1 Jan 0001 00:00:00 +1400", "Fri, 31 Dec 9999 23:59:59 -1200"])
def test_dates_at_the_ends_of_time(date: str) -> None:
    """A date that has no UTC keeps its zone; the table shows it, too."""
    with server_of(f"Date: {date}\r\n\r\n".encode()) as server, Mailbox.from_url(server.url, "secret") as inbox:
        (record,) = inbox.to_records()
        assert record["date"] == inbox[0].date
        assert "1 message" in inbox._repr_html_()


# --- archives, reports ----------------------------------------------------------------------------------------


def test_an_archive(server: Server, tmp_path: Path) -> None:
    """A table of its first and last messages, and records; a file that is gone is no error, and a damaged ledger is shown."""
    archive = Archive(tmp_path / "mail")
    assert "0 messages" in archive._repr_html_()
    assert archive.to_records() == []
    done = archive.collect(Account.from_url(server.url, "secret"))
    page = Page(archive._repr_html_())
    for value in ("10 messages", "Lunch on Thursday?", "Ada Archer", "781 B", "2026-06-01"):
        assert value in page.text
    collected = Page(done._repr_html_())
    assert "10, 3.9 KB" in collected.text
    records = archive.to_records()
    assert [record["subject"] for record in records] == [record.content.subject for record in archive]
    assert records[0]["account"] == "me@127.0.0.1"
    assert len(pandas.DataFrame(records)) == 10
    next(iter(archive)).path.unlink()
    assert "its file is gone" in archive._repr_html_()
    assert archive.to_records()[0]["subject"] is None
    archive.close()
    (tmp_path / "mail/.pymailbox/ledger.db").write_bytes(b"x" * 5000)
    assert "Archive.rebuild" in archive._repr_html_()


def test_a_diagnosis(server: Server) -> None:
    """It has the sections of the text."""
    report = diagnose(server.url, "secret")
    page = Page(report._repr_html_())
    for line in str(report).splitlines():
        if line and not line.startswith(" ") and "//" not in line:
            assert line in page.text
    failed = Page(diagnose("pop://me@127.0.0.1:1", "secret")._repr_html_())
    assert "cannot be opened: connecting to the server failed" in failed.text


# --- progress -------------------------------------------------------------------------------------------------


def test_a_bar_shows_all_and_closes(inbox: Mailbox) -> None:
    """It reaches the end, closes by itself, and can be used again."""
    shown = io.StringIO()
    bar = progress_bar(desc="mail", file=shown)
    list(inbox.fetch(progress=bar))
    assert "mail: 100%" in shown.getvalue()
    assert "10/10 messages" in shown.getvalue()
    assert shown.getvalue().endswith("\n")
    assert bar._bar is None
    inbox[2].write_to(io.BytesIO(), progress=bar)
    assert "1/1 messages" in shown.getvalue()
    list(inbox.fetch([], progress=bar))
    assert bar._bar is None


def test_a_bar_of_an_archive_and_one_that_is_left(server: Server, tmp_path: Path) -> None:
    """Of an archive it closes when all is safe; in a `with` block, also after an error."""
    shown = io.StringIO()
    bar = progress_bar(file=shown)
    Archive(tmp_path / "mail").collect(Account.from_url(server.url, "secret"), progress=bar)
    assert "10/10 messages" in shown.getvalue()
    assert bar._bar is None
    with pytest.raises(RuntimeError), progress_bar(file=shown) as bar:
        bar(Progress(5, None, 0, None))
        assert bar._bar is not None
        raise RuntimeError
    assert bar._bar is None


def test_without_tqdm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """tqdm is in the extra `notebook`."""
    for name in ("tqdm", "tqdm.std", "tqdm.auto"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'pymailbox\[notebook\]'"):
        progress_bar()


def test_the_package_imports_it_only_when_it_is_needed() -> None:
    """A program that shows nothing does not load it."""
    import subprocess

    script = "import sys, pymailbox; pymailbox.Mailbox, pymailbox.Content; print('pymailbox.notebook' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "False"
    assert notebook.__all__ == sorted(notebook.__all__, key=lambda name: (name[0].islower(), name))
