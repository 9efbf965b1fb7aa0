"""An interpreter for pickles of tensors and arrays, such as torch.save writes: it calls nothing.

A pickle is a program. Python's unpickler, even with a list of permitted names, can be made to
allocate room for billions of objects, or to hash nested tuples for ever. This interpreter knows
containers, numbers, text, tensors and arrays of NumPy. Whatever else a pickle asks for becomes an
`Object`, which has the name of what would make it and does nothing; no module is ever imported.
"""

import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

ORDERED_DICT = "collections.OrderedDict"
TENSOR = "torch._utils", "_rebuild_tensor_v2"
TENSORS = {".".join(TENSOR), "torch._utils._rebuild_tensor"}  # the second before PyTorch 0.4
PARAMETERS = {"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"}
WITH_ATTRIBUTES = "torch._tensor._rebuild_from_type_v2"
# NumPy 2 has other names than NumPy 1; protocol 5 another way than those before.
ARRAYS = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")}
BUFFERS = {f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")}
ARRAY, DTYPE, ENCODE = "numpy.ndarray", "numpy.dtype", "_codecs.encode"
NUMBERS = re.compile(r"[biuf]\d")  # kinds of numbers that are read, with their bytes
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
DEEPEST = 20  # containers around a tensor; a module in a module takes two
LONGEST_NAME = 200  # characters; what has a longer one is left out
MOST_TEXT = 1 << 24  # characters of all names
MOST_STEPS = 1 << 20  # of a pickle: one of 50 tensors has 2,000
SHOWN = 4  # entries of what is described


class Storage(NamedTuple):
    """A tensor's numbers, by their key in the file."""

    kind: str  # such as FloatStorage
    key: str


class Tensor(NamedTuple):
    """A tensor as the pickle describes it; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(eq=False)
class Dtype:
    """A type of numbers."""

    kind: str  # such as f4
    order: str = "<"


@dataclass(eq=False)
class Array:
    """An array of NumPy as the pickle describes it."""

    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    by_columns: bool = False
    content: bytes | bytearray | str = b""  # of a text every character is a byte

    @property
    def has_numbers(self) -> bool:
        """Whether it holds numbers, and not Python's objects, texts or records."""
        return bool(self.dtype and NUMBERS.fullmatch(self.dtype.kind))


class _Name(NamedTuple):
    """The name of something in a module, which is never imported."""

    dotted: str


@dataclass(eq=False)
class Object:
    """What the pickle would make by calling something, if anybody called it."""

    made_by: str  # such as torch.nn.modules.conv.Conv2d
    attributes: dict[str, Any] = field(default_factory=dict)


def read_pickle(stream: BytesIO) -> tuple[Any, dict[str, Storage]]:
    """Reads one pickle; the stream then stands behind it.

    Returns:
      What it describes, and all storages that it names, by key.

    Raises:
      ValueError: if it is damaged, or has opcodes that torch.save does not need.
    """
    try:
        return _interpret(stream)
    # An opcode that finds the stack too short, or something else on it than it needs.
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"a damaged pickle, {type(error).__name__}: {error}") from error


def to_numpy(array: Array) -> np.ndarray:
    """Returns an array's numbers.

    Raises:
      ValueError: if it holds others than numbers, or not as many as its shape says.
    """
    if not array.dtype or not array.has_numbers:
        raise ValueError("an array of other things than numbers")
    content = array.content
    content = content.encode("latin-1") if isinstance(content, str) else content
    numbers = np.frombuffer(content, np.dtype(array.dtype.order + array.dtype.kind))
    return numbers.reshape(array.shape, order="F" if array.by_columns else "C")


def named_tensors(tree: Any) -> dict[str, Tensor | Array]:
    """Returns all tensors in dictionaries and modules, by the names that a state dict gives them.

    An array of NumPy is one, too.

    A tensor of a dictionary in a dictionary is `outer.inner`. What has a number for a name, such as
    the state of an optimizer, or lies in a list, belongs to no state dict.

    Raises:
      ValueError: if they are too many.
    """
    found: dict[str, Tensor | Array] = {}
    length = 0
    seen: set[int] = set()  # dictionaries may hold one another, or themselves

    def walk(node: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor | Array]]:
        if isinstance(node, Tensor) or (isinstance(node, Array) and node.has_numbers):
            if name:
                yield name, node
        elif isinstance(node, dict | Object) and id(node) not in seen and depth < DEEPEST:
            seen.add(id(node))
            entries = node.attributes if isinstance(node, Object) else node
            if isinstance(node, Object) and "_modules" in entries:  # a torch.nn.Module
                for part in ("_parameters", "_buffers", "_modules"):
                    yield from walk(entries.get(part), name, depth + 1)
                return
            for key, value in entries.items():
                if isinstance(key, str):
                    yield from walk(value, f"{name}.{key}" if name else key, depth + 1)

    for name, tensor in walk(tree, "", 0):
        found[name] = tensor
        length += len(name)
        if length > MOST_TEXT:
            raise ValueError("too many tensors")
    return found


def describe(tree: Any) -> str:
    """Says in a few words what a pickle holds."""
    if isinstance(tree, Object):
        return f"it asks for {tree.made_by!r}"
    if isinstance(tree, dict):
        parts = [f"{key[:40]!r} ({_kind(value)})" for key, value in tree.items()][:SHOWN]
        return f"it holds {', '.join(parts) or 'nothing'}{', ...' if len(tree) > SHOWN else ''}"
    return f"it holds a {_kind(tree)}"


def _kind(value: Any) -> str:
    if isinstance(value, Object):
        return value.made_by
    return "None" if value is None else type(value).__name__.lower()


def _interpret(stream: BytesIO) -> tuple[Any, dict[str, Storage]]:
    storages: dict[str, Storage] = {}
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under the marks
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        nonlocal stack
        above, stack = stack, below.pop()
        return above

    argument: Any
    for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if step > MOST_STEPS:
            raise ValueError(f"its pickle has over {MOST_STEPS:,} steps")
        match opcode.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINSTRING" | "SHORT_BINSTRING":
                stack.append(argument)
            case "BINUNICODE8" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(argument)
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "BINBYTES" | "SHORT_BINBYTES":
                stack.append(argument)
            case "NEWTRUE" | "NEWFALSE" | "NONE":
                stack.append(VALUES[opcode.name])
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "MARK":
                below.append(stack)
                stack = []
            case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                start = len(stack) - TUPLES[opcode.name]
                stack[start:] = [tuple(stack[start:])]
            case "TUPLE":
                items = tuple(pop_to_mark())  # first: it replaces the stack
                stack.append(items)
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND":
                value = stack.pop()
                _append(stack[-1], [value])
            case "APPENDS":
                values = pop_to_mark()
                _append(stack[-1], values)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set(stack[-1], [key, value])
            case "SETITEMS":
                pairs = pop_to_mark()
                _set(stack[-1], pairs)
            case "EMPTY_SET":
                stack.append(Object("set"))
            case "ADDITEMS":
                pop_to_mark()
            case "FROZENSET":
                pop_to_mark()
                stack.append(Object("frozenset"))
            case "GLOBAL":
                stack.append(_Name(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_Name(f"{_text(module)}.{_text(name)}"))
            case "BINPERSID":
                kept = _persistent(*stack.pop())
                if isinstance(kept, Storage):
                    storages[kept.key] = kept
                stack.append(kept)
            case "REDUCE" | "NEWOBJ":
                arguments, name = stack.pop(), stack.pop()
                stack.append(_call(name, arguments))
            case "NEWOBJ_EX":
                _, arguments, name = stack.pop(), stack.pop(), stack.pop()
                stack.append(_call(name, arguments))
            case "BUILD":
                state = stack.pop()
                _set_attributes(stack[-1], state)
            case _:
                raise ValueError(f"its pickle has {opcode.name}, which torch.save does not write")
    (tree,) = stack
    return tree, storages


def _call(name: object, arguments: Any) -> Any:
    """Returns what a call would return, as far as it is needed; nothing is called."""
    if not isinstance(name, _Name):
        raise ValueError("a call of nothing that has a name")
    if name.dotted == ORDERED_DICT:
        return _ordered_dict(*arguments)
    if name.dotted in TENSORS:
        return _tensor(*arguments[:4])
    if name.dotted in PARAMETERS:
        return arguments[0]
    if name.dotted == WITH_ATTRIBUTES:
        function, _, inner, _ = arguments
        # Not itself again: each would wrap one more, and the interpreter would recurse.
        return _tensor(*inner[:4]) if _dotted(function) in TENSORS else Object(name.dotted)
    if name.dotted in ARRAYS and _dotted(arguments[0]) == ARRAY:
        return Array()  # its content follows
    if name.dotted in BUFFERS and len(arguments) == 4:
        content, dtype, shape, order = arguments
        return _fill(Array(), shape, dtype, order == "F", content)
    if name.dotted == DTYPE:
        return Dtype(_text(arguments[0]))
    if name.dotted == ENCODE:
        return arguments[0]  # bytes, spelt as a text: it may be a long one, and is not copied here
    return Object(name.dotted)


def _ordered_dict(pairs: Any = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(pairs, list):  # so Python 2 wrote it
        for key, value in pairs:
            _set(found, [key, value])
        pairs.clear()  # a pickle may name one list a million times
    return found


def _persistent(word: object, *rest: Any) -> Storage | _Name:
    """Returns what torch.save keeps outside of the pickle: storages, and classes' source code."""
    if word == "module" and isinstance(rest[0], _Name):
        return rest[0]
    kind, key, _, _, *view = rest
    if not isinstance(kind, _Name) or not isinstance(key, str) or any(view):
        raise ValueError("a storage without a type or a name")
    return Storage(kind.dotted.rpartition(".")[2], key)


def _tensor(storage: object, offset: object, shape: object, strides: object) -> Tensor:
    if not isinstance(storage, Storage) or type(offset) is not int:
        raise ValueError("a tensor without numbers")
    return Tensor(storage, offset, _sizes(shape), _sizes(strides))


def _fill(array: Array, shape: object, dtype: object, by_columns: object, content: object) -> Array:
    if isinstance(dtype, Dtype) and isinstance(content, bytes | bytearray | str):
        array.shape, array.dtype = _sizes(shape), dtype
        array.by_columns, array.content = bool(by_columns), content
    return array  # else it holds objects, and stays without numbers


def _sizes(found: object) -> tuple[int, ...]:
    if not isinstance(found, tuple) or not all(type(size) is int for size in found):
        raise ValueError("a tensor without sizes")
    return found


def _dotted(name: object) -> str:
    return name.dotted if isinstance(name, _Name) else ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a name that is no text")
    return value


def _append(items: object, values: list[Any]) -> None:
    if isinstance(items, list):  # else an object, which is not filled
        items += values


def _set(entries: object, pairs: list[Any]) -> None:
    """Adds to a dictionary, or to an object that is one, what has a text for a name."""
    entries = entries.attributes if isinstance(entries, Object) else entries
    if not isinstance(entries, dict):
        raise ValueError("entries of something that is no dictionary")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        # Nothing else is hashed: nested tuples may take for ever.
        if isinstance(key, str) and len(key) <= LONGEST_NAME:
            entries[key] = value


def _set_attributes(target: object, state: object) -> None:
    if isinstance(target, Array) and isinstance(state, tuple):
        _, shape, dtype, by_columns, content = state
        _fill(target, shape, dtype, by_columns, content)
    if isinstance(target, Dtype) and isinstance(state, tuple):
        target.order = state[1] if state[1] in ("<", ">") else "<"  # bytes have none
        if any(state[2:5]):
            target.kind = "records"
    # A dictionary's attributes are not needed. None are copied: they may be set a million times.
    if isinstance(target, Object) and isinstance(state, dict) and not target.attributes:
        target.attributes = state
