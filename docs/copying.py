"""Mark the output in interactive examples, so that `extra.css` can keep it from being selected and copied.

This is a hook of mkdocs, which `mkdocs.yml` names. In a block with prompts, every line without one is output; Pygments
marks most of it, but not all of a traceback.
"""

import re
from typing import Any

__all__ = ["on_page_content"]

_BLOCK = re.compile(r'(<pre><span></span><code>)((?:(?!</code>)[\s\S])*class="gp"(?:(?!</code>)[\s\S])*)(?=</code>)')


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with each line of output in a `<span class="output">`."""
    return _BLOCK.sub(lambda found: found[1] + "".join(map(_marked, found[2].splitlines(keepends=True))), html)


def _marked(line: str) -> str:
    return line if line.startswith('<span class="gp">') else f'<span class="output">{line}</span>'
