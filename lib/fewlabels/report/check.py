"""What the finished HTML must satisfy: it loads nothing, and every link within it arrives."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

_LOADING = {"src", "href", "xlink:href", "srcset", "poster", "data", "action", "background"}
_URL = re.compile(r"""(?:url\(\s*|@import\s+)["']?\s*([^"')\s;]+)""", re.IGNORECASE)


def complaints(html: str) -> list[str]:
    """What is wrong with a page that has to stand alone; an empty list if nothing is.

    Links of `<a>` to other sites load nothing and are fine.
    """
    page = _Page()
    page.feed(html)
    page.close()
    lost = [f"link to '#{name}', which is nowhere" for name in page.links if name not in page.ids]
    twice = [f"label '{name}' stands twice" for name in sorted(page.twice)]
    return page.external + lost + twice


class _Page(HTMLParser):
    """Collects ids, links within the page and whatever would be loaded from elsewhere."""

    def __init__(self):
        super().__init__()
        self.ids: set[str] = set()
        self.twice: set[str] = set()
        self.links: list[str] = []
        self.external: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        if tag == "script":
            self.external.append("a <script>")
        for name, value in attrs:
            value = (value or "").strip()
            if name == "id":
                (self.twice if value in self.ids else self.ids).add(value)
            elif name == "style":
                self._check_css(value)
            elif name in _LOADING:
                self._check_address(tag, name, value)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._check_css(data)

    def _check_address(self, tag: str, name: str, value: str) -> None:
        if value.startswith("#"):
            self.links.append(unquote(value[1:]))
        elif tag == "a" and re.match(r"(https?://|mailto:)", value):
            return
        elif not value.startswith("data:"):
            self.external.append(f'<{tag} {name}="{value[:80]}"> leads out of the file')

    def _check_css(self, css: str) -> None:
        for address in _URL.findall(css):
            if not address.startswith(("data:", "#")):
                self.external.append(f"style loads '{address[:80]}'")
