"""Arguments of models, checked and answered, and what a broken fit leaves of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from math import inf
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# numpy and torch take larger ones, scikit-learn does not.
LARGEST_SEED = 2**32 - 1

# Where a user may look for an argument, in the order in which the methods are called.
METHODS = ("__init__", "fit", "sample", "predict")


def explain_arguments(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method say, of an unknown keyword, which method takes it or which names are near.

    A ``seed`` is checked as well. Signature, types and documentation stay those of the method.

    Examples
    --------
    >>> class Model:
    ...     @explain_arguments
    ...     def __init__(self, n_steps: int = 10) -> None:
    ...         self.n_steps = n_steps
    ...     @explain_arguments
    ...     def fit(self, cells: object, device: str = "auto") -> None: ...
    >>> Model(n_step=3)
    Traceback (most recent call last):
        ...
    TypeError: Model takes no n_step; did you mean n_steps?
    >>> Model(device="cpu")
    Traceback (most recent call last):
        ...
    TypeError: Model takes no device; it is an argument of Model.fit
    """
    parameters = signature(method)
    known = frozenset(parameters.parameters)

    @wraps(method)
    def answered(*args: P.args, **named: P.kwargs) -> R:
        unknown = [name for name in named if name not in known]
        if unknown:
            raise TypeError(_answer(type(args[0]), method.__name__, unknown[0], known))
        if "seed" in known:
            given = parameters.bind_partial(*args, **named).arguments
            check_whole({"seed": given.get("seed", 0)}, "seed", least=0, most=LARGEST_SEED)
        return method(*args, **named)

    return answered


def _answer(model: type, method: str, name: str, known: Iterable[str]) -> str:
    """What to say of the unknown argument of a method."""
    taker = model.__name__ if method == "__init__" else f"{model.__name__}.{method}"
    for other in METHODS:
        function = getattr(model, other, None)
        if function is None or other == method or name not in signature(function).parameters:
            continue
        place = model.__name__ if other == "__init__" else f"{model.__name__}.{other}"
        return f"{taker} takes no {name}; it is an argument of {place}"
    names = [each for each in known if each != "self"]
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"{taker} takes no {name}; did you mean {' or '.join(near)}?"
    return f"{taker} takes no {name}; its arguments are {', '.join(sorted(names))}"


def all_or_nothing(fit: Callable[P, R]) -> Callable[P, R]:
    """Let ``fit`` start from nothing learned, and leave nothing learned if it is broken off.

    Whether an error or an interrupt ends it, the model is then not fitted, even if it was before:
    parts of two fits never mix. What is learned stands in attributes that end with an underscore.

    Examples
    --------
    >>> class Model:
    ...     @all_or_nothing
    ...     def fit(self, values: list[float]) -> None:
    ...         self.n_ = len(values)
    ...         self.mean_ = sum(values) / self.n_
    >>> model = Model()
    >>> model.fit([1.0, 2.0])
    >>> vars(model)
    {'n_': 2, 'mean_': 1.5}
    >>> model.fit([])
    Traceback (most recent call last):
        ...
    ZeroDivisionError: division by zero
    >>> vars(model)
    {}
    """

    @wraps(fit)
    def whole(*args: P.args, **named: P.kwargs) -> R:
        _forget(args[0])
        try:
            return fit(*args, **named)
        except BaseException:
            _forget(args[0])
            raise

    return whole


def _forget(model: object) -> None:
    """Delete what a model learned: its attributes whose names end with an underscore."""
    for name in [each for each in vars(model) if each.endswith("_")]:
        delattr(model, name)


def layer_widths(name: str, given: Sequence[int]) -> tuple[int, ...]:
    """Return the widths of hidden layers, or refuse what is no list of whole numbers.

    Raises
    ------
    ValueError
        Naming the setting and what was given.

    Examples
    --------
    >>> layer_widths("drift_hidden", [64, 64])
    (64, 64)
    >>> layer_widths("drift_hidden", "32,32")
    Traceback (most recent call last):
        ...
    ValueError: drift_hidden must be a list of whole numbers such as [64, 64], not '32,32'.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        widths = list(given)
        if all(isinstance(w, Integral) and not isinstance(w, bool) and w > 0 for w in widths):
            return tuple(map(int, widths))
    raise ValueError(f"{name} must be a list of whole numbers such as [64, 64], not {given!r}.")


def check_choices(settings: Mapping[str, Any], choices: Mapping[str, Iterable[str]]) -> None:
    """Refuse a setting that is not one of its choices.

    Raises
    ------
    ValueError
        Naming the setting, its choices and what was given.
    """
    for name, allowed in choices.items():
        if settings[name] not in tuple(allowed):
            raise ValueError(f"{name} must be one of {tuple(allowed)}, not {settings[name]!r}.")


def check_positive(settings: Mapping[str, Any], *names: str) -> None:
    """Refuse settings that are not positive numbers.

    Raises
    ------
    ValueError
        Naming the first of ``names`` that is not.
    """
    for name in names:
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < inf:
            raise ValueError(f"{name} must be a positive number, not {value!r}.")


def check_not_negative(settings: Mapping[str, Any], *names: str) -> None:
    """Refuse settings that are not numbers from 0 on.

    Raises
    ------
    ValueError
        Naming the first of ``names`` that is not.
    """
    for name in names:
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < inf:
            raise ValueError(f"{name} must be a number that is not negative, not {value!r}.")


def check_whole(
    settings: Mapping[str, Any], *names: str, least: int = 1, most: int | None = None
) -> None:
    """Refuse settings that are not whole numbers from ``least`` on, up to ``most`` if given.

    Raises
    ------
    ValueError
        Naming the first of ``names`` that is not.

    Examples
    --------
    >>> check_whole({"batch_size": 8.5}, "batch_size")
    Traceback (most recent call last):
        ...
    ValueError: batch_size must be a whole number, at least 1, not 8.5.
    """
    for name in names:
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}.")
        if most is not None and int(value) > most:
            raise ValueError(f"{name} must be a whole number, at most {most}, not {value!r}.")
