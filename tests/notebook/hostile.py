"""Mail, and a server, that try everything to run a script or to be told that they are looked at.

Every address contains a mark, so a browser's requests and its log show which page asked.
"""

import base64

__all__ = ["ASKS", "CELLS", "LINKS", "RUNS", "hostile_html", "hostile_mail", "hostile_text"]

#: What the HTML makes a browser ask for without any click, if nothing prevents it.
ASKS = [
    "img",
    "srcset",
    "background",
    "style",
    "import",
    "font",
    "link",
    "linkafter",
    "icon",
    "preload",
    "prefetch",
    "poster",
    "video",
    "audio",
    "object",
    "embed",
    "frame",
    "input",
    "svgimage",
    "refresh",
    "scriptsource",
    "module",
]
#: Which of its scripts run, if nothing prevents it.
RUNS = ("script", "onerror", "onload", "svgonload", "svgscript", "autofocus", "srcdoc", "details")
#: How far down its links are, in pixels.
LINKS = (30, 90, 150)

#: What shows it in a notebook, in each way that there is.
CELLS = (
    """
import tempfile
from pymailbox import Account, Archive, AsyncMailbox, Mailbox, diagnose
from pymailbox.archive.results import Collected
from pymailbox.testing import Fault, Server
from tests.notebook.hostile import hostile_mail, hostile_text

MARK = "quiet"
text = hostile_text(MARK)
line = text.replace("\\x00", "").replace("\\x1b", "")
faults = [Fault.refuse("RETR", nth=2, text=line, session=1)]
server = Server([hostile_mail(MARK)] * 3, greeting=line, capabilities=["TOP", "UIDL", "X" + line], faults=faults).open()
inbox = Mailbox.from_url(server.url, "secret").open()
message = inbox[0]
records = inbox.to_records()
""",
    "inbox",
    "message",
    "inbox[0].content",
    "inbox[2]",
    "inbox.rollback()\ndiagnose(server.url, 'secret')",
    """
async def read():
    async with AsyncMailbox.from_url(server.url, "secret") as inbox:
        message = inbox[0]
        await message.raw()
        return message

await read()
""",
    """
archive = Archive(tempfile.mkdtemp())
archive.collect(Account.from_url(server.url, "secret"))
archive
""",
    "Collected(notes=(text,) * 2)",
)


def hostile_text(mark: str) -> str:
    """Return text for a header, a name or a reply that is HTML, and ends attributes, frames and documents."""
    run = f"document.title='ran';new Image().src='//text.{mark}.example/ran'"
    return (
        f'$x$ \'"></textarea></style></iframe></script><script>{run}</script><img src=x onerror="{run}">'
        f"&lt;script&gt;&#60;script&#62; <b onmouseover={run}>\u202egnp.exe\u202c\x00\x1b[2J"
    )


def hostile_html(mark: str) -> str:
    """Return a page that tries everything."""

    def at(name: str, scheme: str = "http") -> str:
        return f"{scheme}://{name}.{mark}.example/{name}-{mark}"

    def run(name: str) -> str:
        return f"document.title='ran';new Image().src='{at(name)}'"

    parts = [
        '<meta http-equiv="Content-Security-Policy" content="default-src * \'unsafe-inline\'">',
        '<meta http-equiv="x-dns-prefetch-control" content="on"><meta name="referrer" content="unsafe-url">',
        f'<base href="http://base.{mark}.example/" target="_self">',
        f"<style>@import url({at('import')});@font-face{{font-family:f;src:url({at('font')})}}"
        f"p{{font-family:f}}div{{background:url({at('style')})}}</style>",
        f'<link rel="stylesheet" href="{at("link")}"><LINK href={at("linkafter")} rel=StyleSheet>',
        f'<LINK rel="icon" href="{at("icon")}"><p>the page is shown</p>',
        f'<link rel="preload" as="image" href="{at("preload")}"><link rel="prefetch" href="{at("prefetch")}">',
        f'<link\nrel="preconnect" href="{at("preconnect")}"><link/rel="dns-prefetch" href="{at("dnsprefetch")}">',
        f'<a href="{at("click")}" ping="{at("ping")}" attributionsrc="{at("attribution")}" target="_self"'
        ' style="position:fixed;left:0;top:0;width:300px;height:60px;z-index:9;background:#cfc">click</a>',
        f'<a href="{at("clickbase")}" style="position:fixed;left:0;top:60px;width:300px;height:60px;z-index:9">more</a>',
        f'<a href="javascript:{run("jsclick")}"'
        ' style="position:fixed;left:0;top:120px;width:300px;height:60px;z-index:9">more</a>',
        f"<p>text</p><div>text</div><script>{run('script')}</script>",
        f'<script src="{at("scriptsource")}"></script><script type="module" src="{at("module")}"></script>',
        f'<img src="{at("img")}" attributionsrc="{at("attribution")}"><img srcset="{at("srcset")} 1x">',
        f'<img src="relative-{mark}"><img src="/absolute-{mark}"><img src="//scheme.{mark}.example/">',
        f'<img src="data:x" onerror="{run("onerror")}">',
        f'<table background="{at("background")}"><tr><td>cell</table>',
        f'<video poster="{at("poster")}" src="{at("video")}" autoplay></video>',
        f'<audio src="{at("audio")}" autoplay></audio>',
        f'<object data="{at("object")}"></object><embed src="{at("embed")}">',
        f'<iframe src="{at("frame")}"></iframe><iframe srcdoc="<script>{run("srcdoc")}</script>"></iframe>',
        f'<iframe src="javascript:{run("jsframe")}"></iframe>',
        f'<form action="{at("form")}"><input type="image" src="{at("input")}">'
        f'<input autofocus onfocus="{run("autofocus")}"></form>',
        f'<svg onload="{run("svgonload")}" width="9" height="9"><image href="{at("svgimage")}" width="9" height="9"/>'
        f'<use href="{at("svguse")}#a"/><script>{run("svgscript")}</script></svg>',
        f'<details open ontoggle="{run("details")}"><summary>s</summary></details>',
        f'<math><mtext><a href="{at("math")}">m</a></mtext></math>',
        f'<img src="/onload-{mark}.svg" onload="{run("imgonload")}">',
        f'<body onload="{run("onload")}">',
        f'<meta http-equiv="refresh" content="0;url={at("refresh")}">',
        f'<!-- --><noscript><img src="{at("noscript")}"></noscript>',
        hostile_text(mark),
    ]
    return "\n".join(parts)


def hostile_mail(mark: str) -> bytes:
    """Return a message with such a page, twice, and such text in every place that a card shows."""
    text = hostile_text(mark).replace("\x00", "").replace("\x1b", "")
    word = f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="
    page = base64.encodebytes(hostile_html(mark).encode())
    name = base64.b64encode(text.encode()).decode()
    lines = [
        f"From: {word} <a@{mark}.example>",
        f"To: {word} <b@{mark}.example>",
        f"Cc: {word} <c@{mark}.example>",
        f"Reply-To: {word} <d@{mark}.example>",
        f"Subject: {word}",
        f"Date: {text.splitlines()[0]}",
        "MIME-Version: 1.0",
        'Content-Type: multipart/mixed; boundary="b"',
        "",
        *("--b", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", text),
    ]
    data = "\r\n".join(lines).encode() + b"\r\n"
    for _ in range(2):
        data += b"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + page
    data += f'--b\r\nContent-Type: image/svg+xml; name="=?utf-8?b?{name}?="\r\nContent-ID: <x>\r\n\r\n'.encode()
    return data + b"<svg onload=alert(1)></svg>\r\n--b--\r\n"
