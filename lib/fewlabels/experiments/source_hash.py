"""Hash Python source by what it does: the same on every Python, whatever its prose says.

Only the standard library is used, so any interpreter can load this file alone and compare.
"""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

UNSTABLE = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})
"""Fields of a syntax tree that say nothing of their own or that not every Python has."""


def sha256(files: Iterable[Path]) -> str:
    """Hash the syntax trees of `files`, in their order, as 64 hex digits."""
    total = hashlib.sha256()
    for file in files:
        total.update(canonical(file.read_text(encoding="utf-8")).encode())
    return total.hexdigest()


def canonical(source: str) -> str:
    """Write the syntax tree of a module as text, without comments, docstrings and layout.

    Empty fields are dropped and the parts of an f-string are joined, since Python versions differ
    in both. `ast.unparse` and `ast.dump` are not used: their text differs between versions.

    Raises:
        SyntaxError: it is no Python.
    """
    return _text(ast.parse(source))


def _text(node: object) -> str:
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!r}"
    if isinstance(node, ast.JoinedStr):
        return f"JoinedStr({_text(_joined(node.values))})"
    if isinstance(node, ast.AST):
        kept = {n: v for n, v in ast.iter_fields(node) if n not in UNSTABLE and v not in (None, [])}
        return f"{type(node).__name__}({','.join(f'{n}={_text(v)}' for n, v in kept.items())})"
    if isinstance(node, list):
        return f"[{','.join(_text(item) for item in node if not _is_prose(item))}]"
    return repr(node)


def _joined(parts: Iterable[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, neighbouring texts as one and empty ones dropped."""
    found: list[ast.expr] = []
    for part in parts:
        if not _is_text(part):
            found.append(part)
        elif found and _is_text(found[-1]):
            found[-1] = ast.Constant(found[-1].value + part.value)
        elif part.value:
            found.append(part)
    return found


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_prose(node: object) -> bool:
    """Whether a statement is a string alone: a docstring."""
    return isinstance(node, ast.Expr) and _is_text(node.value)
