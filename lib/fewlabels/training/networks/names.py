"""A model's options as text and back: `depth=5,width=64,se` is {depth: 5, width: 64, se: True}.

The grammar: items are divided by commas; an item is `key=value`, or the key alone where the option
is a switch (a switch that is not named is off). The keys, their types and what holds where nothing
is said are the keyword arguments of the model's function; order is free, a key stands once.
"""

import inspect
from collections.abc import Callable, Mapping

from fewlabels.types import FewLabelsError, unknown


class OptionError(FewLabelsError, ValueError):
    """An option with a value that its model cannot have."""


def options(
    model: str, text: str, given: Mapping[str, object], function: Callable
) -> dict[str, object]:
    """The options in `text` and those `given` as arguments, checked against `function`'s own.

    Raises:
        UnknownName: a key that `function` does not have.
        OptionError: a key twice, or a value of another type.
    """
    defaults = keywords(function)
    found = dict(given)
    for item in text.split(",") if text else ():
        key, equals, value = item.partition("=")
        if key not in defaults:
            raise unknown(f"{model} option", key, defaults)
        if key in found:
            raise OptionError(
                f"{model} option '{key}' is given twice in '{text}' and {dict(given)}"
            )
        found[key] = _read(model, key, value if equals else None, defaults[key])
    for key, value in found.items():
        if key not in defaults:
            raise unknown(f"{model} option", key, defaults)
        _check_type(model, key, value, defaults[key])
    return found


def keywords(function: Callable) -> dict[str, object]:
    """Keyword-only arguments of `function` with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def at_least(model: str, least: int, **values: int) -> None:
    """Raises OptionError for the first of `values` that is no int or below `least`."""
    for key, value in values.items():
        if type(value) is not int or value < least:
            raise OptionError(
                f"{model}: '{key}' must be an int of at least {least}, found {value!r}"
            )


def shares(model: str, **values: float) -> None:
    """Raises OptionError for the first of `values` that is not in [0, 1)."""
    for key, value in values.items():
        if not 0 <= value < 1:
            raise OptionError(f"{model}: '{key}' must be in [0, 1), found {value!r}")


def chosen(model: str, key: str, value: str, table: Mapping[str, object]) -> object:
    """The entry of `table` that an option names.

    Raises:
        UnknownName: there is none; lists those there are.
    """
    if value not in table:
        raise unknown(f"{model} option {key}", value, table)
    return table[value]


def _read(model: str, key: str, value: str | None, default: object) -> object:
    if isinstance(default, bool):
        if value is not None:
            raise OptionError(
                f"{model} option '{key}' is a switch: write '{key}', found '{key}={value}'"
            )
        return True
    kind = type(default)
    if not value:
        raise OptionError(f"{model} option '{key}' needs a value, as in '{key}={default}'")
    try:
        return kind(value)
    except ValueError as error:
        raise OptionError(
            f"{model} option '{key}' must be of type {kind.__name__}, found '{value}'"
        ) from error


def _check_type(model: str, key: str, value: object, default: object) -> None:
    kind = type(default)
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise OptionError(
            f"{model} option '{key}' must be of type {kind.__name__}, found {value!r}"
        )
