"""Write report/api.md: the library's public names, each with its arguments and first sentence."""

import inspect
from importlib import import_module
from pathlib import Path

from fewlabels import paths

LIBRARY = Path(__file__).parents[1]
HEAD = """<!-- written by `make sync` -->

# Public names

What a package lists in `__all__`. All else may change from one version to the next.
"""


def write() -> None:
    """Write the page into the checkout."""
    (paths.project_root() / "report" / "api.md").write_text(page())


def page() -> str:
    """Return the page: a section a package, a line a name."""
    parts = [HEAD]
    for name in ("", *sorted(file.parent.name for file in LIBRARY.glob("*/__init__.py"))):
        package = import_module(f"fewlabels.{name}".rstrip("."))
        if names := getattr(package, "__all__", ()):
            parts.append(f"## {package.__name__}\n\n{_sentence(package)}\n")
            parts += [*(_line(public, getattr(package, public)) for public in names), ""]
    return "\n".join(parts)


def _line(name: str, value: object) -> str:
    """Return a line on a function or class; of a constant what it is, or which names it holds."""
    if not callable(value):
        held = value if isinstance(value, int) else ", ".join(map(str, value))
        return f"- `{name}`: {held}"
    if inspect.isclass(value) and not hasattr(value, "__dataclass_fields__"):
        return f"- `{name}`: {_sentence(value)}"
    found = inspect.signature(value)  # without the types, which the code has
    bare = [one.replace(annotation=one.empty) for one in found.parameters.values()]
    shown = found.replace(parameters=bare, return_annotation=found.empty)
    return f"- `{name}{shown}`: {_sentence(value)}"


def _sentence(value: object) -> str:
    text = " ".join(inspect.getdoc(value).split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "."
