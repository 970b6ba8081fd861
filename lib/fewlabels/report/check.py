"""Check the finished HTML: it loads and runs nothing, and every link within it arrives."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

_TAGS = """
    a abbr annotation b blockquote body br caption code col colgroup dd del details div dl dt em
    figcaption figure h1 h2 h3 h4 h5 h6 head header hr html i img kbd li main math meta mfrac mi mn
    mo mover mpadded mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext
    mtr munder munderover nav ol p pre section semantics small span strong style sub summary sup
    table tbody td tfoot th thead title tr u ul"""
_ATTRIBUTES = """
    accent accentunder align alt aria-hidden aria-label aria-labelledby charset class
    columnalign colspan content data-cites data-number depth display displaystyle encoding fence
    form height href id lang linethickness lspace mathvariant maxsize minsize name open role
    rowspan rspace scriptlevel separator src start stretchy style tabindex title type voffset width
    xmlns"""
TAGS, ATTRIBUTES = (frozenset(words.split()) for words in (_TAGS, _ATTRIBUTES))
"""What pandoc and the template make, and no more: whatever else stands on a page came from outside,
and may load or run something."""
_URL = re.compile(r"""(?:url\(\s*|@import\s+|image-set\(\s*)["']?\s*([^"')\s;]+)""", re.IGNORECASE)
_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml)[;,]")


def complaints(html: str) -> list[str]:
    """List what is wrong with a page that has to stand alone.

    Links of `<a>` to other sites load nothing and are fine.
    """
    page = _Page()
    page.feed(html)
    page.close()
    lost = [f"link to '#{name}', which is nowhere" for name in page.links if name not in page.ids]
    twice = {name for name in page.ids if page.ids.count(name) > 1}
    return page.external + lost + [f"label '{name}' stands twice" for name in sorted(twice)]


class _Page(HTMLParser):
    """Collects ids, links within the page and whatever would be loaded from elsewhere."""

    def __init__(self):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.external: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.external.append(f"a <{tag}>")
        for name, value in attrs:
            value = (value or "").strip()
            if name == "id":
                self.ids.append(value)
            elif name == "style":
                self._check_css(value)
                if "\\" in value:
                    self.external.append(f"<{tag} style> hides '{value[:80]}'")
            elif name == "href" and value.startswith("#"):
                self.links.append(unquote(value[1:]))
            elif name in ("href", "src") and not _harmless(tag, name, value):
                self.external.append(f'<{tag} {name}="{value[:80]}"> leads out of the file')
            elif name not in ATTRIBUTES:
                self.external.append(f"<{tag} {name}>, which no page of ours has")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self._check_css(data)

    def _check_css(self, css: str) -> None:
        for address in _URL.findall(css):
            if not address.startswith(("data:image/", "#")):
                self.external.append(f"style loads '{address[:80]}'")


def _harmless(tag: str, name: str, address: str) -> bool:
    """Tell a link that is only followed by a click, or a picture in the file, from all others."""
    allowed = {("a", "href"): _LINK, ("img", "src"): _PICTURE}.get((tag, name))
    return bool(allowed and allowed.match(address))
