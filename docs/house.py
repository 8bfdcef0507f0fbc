"""The order of the modules, and a drawing of the packages as a house, from their imports: `python -m docs.house`.

A room is a package or module, and stands on the lowest floor from which it imports only from floors below. A room names
the rooms that it uses, without those that they use in turn. A test compares the file with the code.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

__all__ = ["DRAWING", "EXCEPTED", "FLOORS", "MODULES", "draw", "imports"]

DRAWING = Path(__file__).with_name("house.svg")
_ROOT = Path(__file__).resolve().parents[1]

#: The modules of the package, and of each package in it, from top to bottom: a module imports only those below it.
#: `docs/design.md` explains what each is for.
FLOORS = {
    "pymailbox": """__main__ cli __init__ diagnosis many watching archive seen mailbox accounts_file poplib pop3 account
        pop_url passwords password_reference database disk lock content notebook progress errors display testing""",
    "pymailbox.cli": """__init__ reading_commands archive_commands watching_commands accounts_commands server_commands
        parser message_list choosing progress_display output_options interruption exit_status account_options demo""",
    "pymailbox.accounts_file": "__init__ tables file",
    "pymailbox.many": "__init__ gathering collecting schedule worker arguments",
    "pymailbox.archive": """__init__ archive verifying rebuilding collecting session run deleting writing identity keep
        failed_runs results ledger maildir stored_form""",
    "pymailbox.seen": "__init__ seen messages renumbering file",
    "pymailbox.watching": "__init__ watch async_watch abstract_watch look arrivals schedule arrival",
    "pymailbox.diagnosis": "__init__ run advice certificate probes findings quirks report",
    "pymailbox.mailbox": """__init__ mailbox async_mailbox abstract_mailbox options message async_message fetching
        showing open_mailbox transaction reading state""",
    "pymailbox.poplib": "__init__ reader lines tls",
    "pymailbox.pop3": """__init__ connection async_connection driver async_driver transport async_transport
        abstract_connection login flows sasl bearer kerberos scram commands listings session dispatcher stream_check
        proof capabilities protocol body_meter violations receive_buffer framing pieces sinks settings proxy limits
        deadlines tls wirelog command refusal""",
    "pymailbox.notebook": "__init__ cards progress",
    "pymailbox.content": """__init__ content body markup tree headers reading_names saving filenames address parameters
        received dates mailboxes links styles words transfer charset codecs identifiers comments""",
    "pymailbox.testing": """__main__ __init__ plugin proxy recorder samples server certificates conversation
        command_table faulty_session listener quirky_lines client_socket delay_line quirky_login authorization
        quirky_mail transaction replayed_session session observer blank_mail redaction recording authenticator fault
        maildrop quirk session_record reply stores stored_mail""",
}

#: The pytest plugin is loaded by pytest, and provides fixtures with modules above it.
EXCEPTED = {"pymailbox.testing.plugin"}

_WIDTH, _HUT, _FLOOR, _ROOF, _EDGE = 720, 150, 52, 84, 12

_STYLE = """
  .paper { fill: #ffffff; } text { font: 600 14px system-ui, sans-serif; fill: #24292f; }
  .quiet { font: 11.5px system-ui, sans-serif; fill: #57606a; }
  .room { fill: #e6f4f1; stroke: #0b7a6b; stroke-width: 1.5; }
  .roof { fill: #c9e7e1; stroke: #0b7a6b; stroke-width: 1.5; }
  .hut { fill: #fff3d6; stroke: #9a6700; stroke-width: 1.5; } .ground { stroke: #57606a; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } text { fill: #e6edf3; } .quiet { fill: #a9b4bf; }
    .room { fill: #10302c; stroke: #3fb9a5; } .roof { fill: #17463f; stroke: #3fb9a5; }
    .hut { fill: #3a2d10; stroke: #d29922; } .ground { stroke: #9da7b1; }
  }
"""


def _name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


#: The path of each module, by its dotted name.
MODULES = {_name_of(path): path for path in sorted((_ROOT / "pymailbox").rglob("*.py"))}


def imports(name: str, source: str) -> Iterator[str]:
    """Yield the modules of the package that this one imports: at the top, in a function, or for typing."""
    path = MODULES[name]
    here = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "pymailbox")
        elif isinstance(node, ast.ImportFrom):
            parts = here.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            if module.split(".")[0] == "pymailbox":
                for alias in node.names:
                    inner = f"{module}.{alias.name}"
                    yield inner if inner in MODULES else module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and str(first.value).split(".")[0] == "pymailbox":
                yield str(first.value)


def draw() -> str:
    """Return the drawing as SVG."""
    uses = _uses()
    storeys: dict[int, list[str]] = {}

    @cache
    def storey(room: str) -> int:
        return 1 + max(map(storey, uses[room]), default=0)

    for room in uses:
        storeys.setdefault(storey(room), []).append(room)
    storeys[1].remove("testing")  # has its own hut, as it shares no code
    (gable,) = storeys.pop(max(storeys))
    height = _ROOF + _FLOOR * len(storeys) + 2 * _EDGE + 6
    parts = [f'<rect class="paper" width="{_WIDTH + _HUT + 3 * _EDGE}" height="{height}" rx="6"/>']
    left, right, eaves, ground = _EDGE, _EDGE + _WIDTH, _EDGE + _ROOF, _EDGE + _ROOF + _FLOOR * len(storeys)
    middle = left + _WIDTH / 2
    parts.append(f'<path class="roof" d="M{left} {eaves} L{middle:g} {_EDGE} L{right} {eaves} Z"/>')
    parts += _label(gable, uses, middle, eaves - 34)
    for row, number in enumerate(sorted(storeys, reverse=True)):
        rooms, top = storeys[number], eaves + row * _FLOOR
        width = _WIDTH / len(rooms)
        for index, room in enumerate(rooms):
            x = left + index * width
            parts.append(f'<rect class="room" x="{x:g}" y="{top}" width="{width:g}" height="{_FLOOR}"/>')
            parts += _label(room, uses, x + width / 2, top + 22)
    x, top = right + _EDGE, ground - _FLOOR
    parts.append(f'<path class="hut" d="M{x} {top} L{x + _HUT / 2:g} {top - 30} L{x + _HUT} {top} V{ground} H{x} Z"/>')
    parts += _label("testing", uses, x + _HUT / 2, top + 22)
    parts.append(f'<line class="ground" x1="0" y1="{ground}" x2="{x + _HUT + _EDGE}" y2="{ground}"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + _HUT + 3 * _EDGE} {height}" role="img"'
    title = "The packages of pymailbox as floors of a house: each uses only rooms below it"
    return "\n".join([f'{head} aria-label="{title}">', f"<style>{_STYLE}</style>", *parts, "</svg>\n"])


def _label(room: str, uses: Mapping[str, set[str]], x: float, y: float) -> Iterator[str]:
    """Yield the name of a room, and below it how large it is and what it uses, if no room that it uses does so too."""

    @cache
    def reached(room: str) -> frozenset[str]:
        return frozenset(uses[room]).union(*map(reached, uses[room]))

    direct = [one for one in uses if one in uses[room] and not any(one in reached(other) for other in uses[room])]
    count = sum(_room(name) == room for name in MODULES)
    size = f'<tspan class="quiet" dx="6">{count} modules</tspan>' if count > 1 else ""
    yield f'<text x="{x:g}" y="{y if direct else y + 9:g}" text-anchor="middle">{room}{size}</text>'
    if direct:
        yield f'<text class="quiet" x="{x:g}" y="{y + 18:g}" text-anchor="middle">uses {", ".join(direct)}</text>'


def _room(module: str) -> str:
    """Return the package or module, directly in pymailbox, that a module belongs to."""
    return [*module.split("."), "__init__"][1]


def _uses() -> dict[str, set[str]]:
    """Return for each room, from top to bottom, the rooms from which it imports."""
    rooms: dict[str, set[str]] = {room: set() for room in FLOORS["pymailbox"].split()}
    for name, path in MODULES.items():
        if name in EXCEPTED:
            continue
        here = _room(name)
        rooms[here] |= {_room(imported) for imported in imports(name, path.read_text("utf-8"))} - {here}
    return rooms


if __name__ == "__main__":
    DRAWING.write_text(draw(), "utf-8")
