"""Check the finished HTML: it loads nothing from elsewhere, and every link within it arrives."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

_LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "background"}
_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?\s*([^"')\s;]+)""", re.IGNORECASE)


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
        if tag == "script":
            self.external.append("a <script>")
        for name, value in attrs:
            value = (value or "").strip()
            if name == "id":
                self.ids.append(value)
            elif name == "style":
                self._check_css(value)
            elif name in _LOADING and value.startswith("#"):
                self.links.append(unquote(value[1:]))
            elif name in _LOADING and not _harmless(tag, value):
                self.external.append(f'<{tag} {name}="{value[:80]}"> leads out of the file')

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self._check_css(data)

    def _check_css(self, css: str) -> None:
        for address in _URL.findall(css):
            if not address.startswith(("data:", "#")):
                self.external.append(f"style loads '{address[:80]}'")


def _harmless(tag: str, address: str) -> bool:
    link = tag == "a" and re.match(r"(https?://|mailto:)", address)
    return bool(link) or address.startswith("data:")
