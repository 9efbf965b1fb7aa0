"""An interpreter for the pickle of a PyTorch state dict that cannot call anything.

A pickle is a program. Python's unpickler, even with a list of permitted names, can be made to
allocate room for billions of objects, or to hash nested tuples for ever. This interpreter knows
only the opcodes with which torch.save writes named tensors, and refuses all others.
"""

import pickletools
from typing import Any, NamedTuple

from jaxmnist.errors import UserError

ORDERED_DICT = "collections", "OrderedDict"
TENSOR = "torch._utils", "_rebuild_tensor_v2"
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Storage(NamedTuple):
    """A tensor's numbers: the archive's member `data/KEY`."""

    kind: str  # such as FloatStorage
    key: str


class Tensor(NamedTuple):
    """A tensor as the pickle describes it; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Name(NamedTuple):
    """The name of something in a module, which is never imported."""

    module: str
    name: str


def read_entries(pickled: bytes) -> dict[str, Tensor] | None:
    """Returns the named tensors that a pickle describes, None if it describes anything else.

    Raises:
      UserError: if it names anything that a state dict does not need.
      ValueError: if it is damaged.
    """
    try:
        return _interpret(pickled)
    # An opcode that finds the stack too short, or something else on it than it needs.
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"a damaged pickle, {type(error).__name__}: {error}") from error


def _interpret(pickled: bytes) -> dict[str, Tensor] | None:
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under the marks
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        nonlocal stack
        above, stack = stack, below.pop()
        return above

    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        match opcode.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1":
                stack.append(argument)
            case "NEWTRUE" | "NEWFALSE" | "NONE":
                stack.append(opcode.name == "NEWTRUE")
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
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set(stack[-1], [key, value])
            case "SETITEMS":
                pairs = pop_to_mark()
                _set(stack[-1], pairs)
            case "GLOBAL":
                stack.append(_named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_named(module, name))
            case "BINPERSID":
                stack.append(_storage(*stack.pop()))
            case "REDUCE":
                arguments, name = stack.pop(), stack.pop()
                stack.append(_call(name, arguments))
            case "BUILD":
                stack.pop()  # attributes of the dictionary, which are not needed
            case _:
                return None
    (entries,) = stack
    if isinstance(entries, dict) and all(isinstance(one, Tensor) for one in entries.values()):
        return entries
    return None


def _named(module: str, name: str) -> _Name:
    if (module, name) not in (ORDERED_DICT, TENSOR) and module != "torch":
        raise UserError(
            f"it asks for {f'{module}.{name}'!r}: use a file of nothing but a state dict."
        )
    return _Name(module, name)


def _call(name: object, arguments: Any) -> dict[str, Any] | Tensor:
    """Returns what one of the two known callables would return; it is never called."""
    if name == ORDERED_DICT:
        return {}
    if name == TENSOR:
        return _tensor(*arguments[:4])
    raise ValueError("a call of something else")


def _storage(word: object, kind: object, key: object, device: object, count: object) -> Storage:
    if not isinstance(kind, _Name) or not isinstance(key, str):
        raise ValueError("a storage without a type or a name")
    return Storage(kind.name, key)


def _tensor(storage: object, offset: object, shape: object, strides: object) -> Tensor:
    if not isinstance(storage, Storage) or type(offset) is not int:
        raise ValueError("a tensor without numbers")
    return Tensor(storage, offset, _sizes(shape), _sizes(strides))


def _sizes(found: object) -> tuple[int, ...]:
    if not isinstance(found, tuple) or not all(type(size) is int for size in found):
        raise ValueError("a tensor without sizes")
    return found


def _set(entries: object, pairs: list[Any]) -> None:
    """Adds to a dictionary."""
    # Only strings are hashed: nested tuples may take for ever.
    if not isinstance(entries, dict) or not all(isinstance(key, str) for key in pairs[::2]):
        raise ValueError("a dictionary without names")
    entries.update(zip(pairs[::2], pairs[1::2], strict=True))
