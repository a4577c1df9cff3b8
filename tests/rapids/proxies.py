"""Objects that stand before others: they refuse what RAPIDS lacks or would refuse, and record every call.

A proxy knows its value's name in RAPIDS ("cudf.DataFrame") and hands out further proxies; results that RAPIDS gives to
Python as plain values (numbers, text, Arrow tables) come out plain.
"""

import operator
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.rapids.world import World


def bare(value: Any) -> Any:
    """What a proxy stands before, in whatever it lies."""
    if isinstance(value, (Proxy, Function)):
        return value._value
    if isinstance(value, slice):
        return slice(bare(value.start), bare(value.stop), bare(value.step))
    if isinstance(value, (tuple, list)):
        return type(value)(bare(item) for item in value)
    if isinstance(value, dict):
        return {bare(key): bare(item) for key, item in value.items()}
    return value


def refuse_host_arrays(name: str, *values: Any) -> None:
    """CuPy takes no array of host memory but where it is to be copied."""
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{name}: an array in host memory; CuPy refuses it, use cupy.asarray")
        if isinstance(value, (tuple, list)):
            refuse_host_arrays(name, *value)


TAKES_HOST_ARRAYS = {"cupy.asarray", "cupy.array", "cupy.asanyarray", "cupy.ascontiguousarray", "cupy.ndarray.set"}


def _called(world: World, name: str, value: Callable[..., Any], args: Any, keywords: Any, *, method: bool) -> Any:
    world.record(name, len(args) - method, keywords)
    on_device = name.startswith("cupy.")
    if on_device and name not in TAKES_HOST_ARRAYS:
        refuse_host_arrays(name, *args, *keywords.values())
    found = value(*map(bare, args), **{key: bare(item) for key, item in keywords.items()})
    return world.wrap(found, on_device=on_device)


class Function:
    """A function, class or method of RAPIDS."""

    def __init__(self, world: World, name: str, value: Any) -> None:
        self._world, self._name, self._value = world, name, value

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return _called(self._world, self._name, self._value, args, keywords, method=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _attribute(self._world, self._name, self._value, name)


class Module:
    """A module of RAPIDS."""

    def __init__(self, world: World, name: str, value: Any) -> None:
        self._world, self._name, self._value = world, name, value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _attribute(self._world, self._name, self._value, name)


def _attribute(world: World, owner: str, value: Any, name: str) -> Any:
    """An attribute of a module or class."""
    world.refuse_unknown(owner, name)
    full = f"{owner}.{name}"
    found = world.replaced[full] if full in world.replaced else getattr(value, name)
    if isinstance(found, (types.ModuleType, types.SimpleNamespace)):
        return Module(world, full, found)
    plain = isinstance(found, type) and issubclass(found, (np.generic, BaseException))
    return Function(world, full, found) if callable(found) and not plain else found


class Proxy:
    """A value of RAPIDS."""

    # NumPy's scalars and arrays then leave operators to the proxy.
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, world: World, name: str, value: Any) -> None:
        self.__dict__.update(_world=world, _name=name, _value=value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        world, owner, value = self._world, self._name, self._value
        world.refuse_unknown(owner, name)
        full = f"{owner}.{name}"
        found = world.replaced.get(full)
        if isinstance(found, property):
            return world.wrap(found.fget(value), on_device=False)
        if found is None:
            found = getattr(value, name)
            if not callable(found):
                # Numbers that describe an array (its size) are plain, also in CuPy.
                return world.wrap(found, on_device=False)
            return Function(world, full, found)
        return lambda *args, **keywords: _called(world, full, found, (self, *args), keywords, method=True)

    def __setattr__(self, name: str, value: Any) -> None:
        self._world.refuse_unknown(self._name, name)
        setattr(self._value, name, bare(value))

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"{self._name}: implicit conversion to a NumPy array is not allowed")

    def __getitem__(self, key: Any) -> Any:
        self._refuse(key)
        return self._wrap(self._value[bare(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._refuse(key, value)
        self._value[bare(key)] = bare(value)

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Any:
        if self._name != "cupy.ndarray":
            raise TypeError(f"{self._name} is not iterable; use to_arrow, to_pandas or values_host")
        return (self._wrap(item) for item in self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __int__(self) -> int:
        return int(self._value)

    def __index__(self) -> int:
        return operator.index(self._value)

    def __float__(self) -> float:
        return float(self._value)

    def __repr__(self) -> str:
        return f"<{self._name}: {self._value!r}>"

    def _refuse(self, *values: Any) -> None:
        if self._name == "cupy.ndarray":
            refuse_host_arrays(f"an operator of {self._name}", *values)

    def _wrap(self, value: Any) -> Any:
        return self._world.wrap(value, on_device=self._name == "cupy.ndarray")


def _operators() -> None:
    two = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift", "matmul"]
    for name in two:
        function = getattr(operator, name)
        plain = name.rstrip("_")
        setattr(Proxy, f"__{plain}__", _binary(function))
        setattr(Proxy, f"__r{plain}__", _binary(lambda left, right, function=function: function(right, left)))
        setattr(Proxy, f"__i{plain}__", _in_place(getattr(operator, f"i{plain}")))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Proxy, f"__{name}__", _binary(getattr(operator, name)))
    for name in ("neg", "invert", "abs"):
        setattr(Proxy, f"__{name}__", _unary(getattr(operator, name)))


def _unary(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda self: self._wrap(function(self._value))


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operate(self: Proxy, other: Any) -> Any:
        self._refuse(other)
        return self._wrap(function(self._value, bare(other)))

    return operate


def _in_place(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operate(self: Proxy, other: Any) -> Any:
        self._refuse(other)
        found = function(self._value, bare(other))
        # An array keeps its identity, as other names may hold it.
        if found is not self._value:
            self.__dict__["_value"] = found
        return self

    return operate


_operators()
