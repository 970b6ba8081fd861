"""Options of a model as text: `depth=5,width=64,se` is {depth: 5, width: 64, se: True}.

Items are divided by commas; an item is `key=value`, or the key alone where the option is a switch
(a switch that is not named is off). The keys, their types and their defaults are the keyword
arguments of the model's function; order is free, a key stands once.
"""

import inspect
from collections.abc import Callable, Mapping

from fewlabels.types import FewLabelsError, unknown


class OptionError(FewLabelsError, ValueError):
    """An option with a value that its model cannot have."""


def options(
    model: str, text: str, given: Mapping[str, object], function: Callable
) -> dict[str, object]:
    """Join the options in `text` and those `given` as arguments, checked against `function`'s own.

    Raises:
        UnknownName: a key that `function` does not have.
        OptionError: a key twice, or a value of another type.
    """
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    items = [item.partition("=") for item in text.split(",")] if text else []
    for key in (*(key for key, _, _ in items), *given):
        if key not in defaults:
            raise unknown(f"{model} option", key, defaults)
    found = dict(given)
    for key, equals, value in items:
        if key in found:
            raise OptionError(
                f"{model} option '{key}' is given twice in '{text}' and {dict(given)}"
            )
        found[key] = _read(model, key, value if equals else None, defaults[key])
    for key, value in found.items():
        kind = type(defaults[key])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise OptionError(
                f"{model} option '{key}' must be of type {kind.__name__}, found {value!r}"
            )
    return found


def at_least(model: str, least: int, **values: int) -> None:
    """Raise OptionError for the first of `values` that is no int or below `least`."""
    for key, value in values.items():
        if type(value) is not int or value < least:
            raise OptionError(
                f"{model}: '{key}' must be an int of at least {least}, found {value!r}"
            )


def shares(model: str, **values: float) -> None:
    """Raise OptionError for the first of `values` that is not in [0, 1)."""
    for key, value in values.items():
        if not 0 <= value < 1:
            raise OptionError(f"{model}: '{key}' must be in [0, 1), found {value!r}")


def chosen(model: str, key: str, value: str, table: Mapping[str, object]) -> object:
    """Look up the entry of `table` that an option names; raise UnknownName where there is none."""
    if value not in table:
        raise unknown(f"{model} option {key}", value, table)
    return table[value]


def _read(model: str, key: str, value: str | None, default: object) -> object:
    kind = type(default)
    if kind is bool and value is not None:
        raise OptionError(
            f"{model} option '{key}' is a switch: write '{key}', found '{key}={value}'"
        )
    if kind is bool:
        return True
    if not value:
        raise OptionError(f"{model} option '{key}' needs a value, as in '{key}={default}'")
    try:
        return kind(value)
    except ValueError as error:
        raise OptionError(
            f"{model} option '{key}' must be of type {kind.__name__}, found '{value}'"
        ) from error
