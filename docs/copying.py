"""Mark for `extra.css` the output in interactive examples, which is not copied, and options, which are not wrapped.

This is a hook of mkdocs, which `mkdocs.yml` names. In a block with prompts, every line without one is output; Pygments
marks most of it, but not all of a traceback.
"""

import re
from typing import Any

__all__ = ["on_page_content"]

_OPTION = re.compile(r"<code>(?=--?\w[^<]{0,30}</code>)")
_BLOCK = re.compile(r'(<pre><span></span><code>)((?:(?!</code>)[\s\S])*class="gp"(?:(?!</code>)[\s\S])*)(?=</code>)')


def on_page_content(html: str, **_: Any) -> str:
    """Return the page, with each line of output in a span `output` and each option in code of class `option`."""
    html = _OPTION.sub('<code class="option">', html)
    return _BLOCK.sub(lambda found: found[1] + "".join(map(_marked, found[2].splitlines(keepends=True))), html)


def _marked(line: str) -> str:
    return line if line.startswith('<span class="gp">') else f'<span class="output">{line}</span>'
