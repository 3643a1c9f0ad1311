"""Changes one value in the text of a YAML file, and leaves every other character as it is.

Comments, order and layout are the operator's. So the text is not written anew from what was read:
the place of the value is looked up in the parsed document, and only that span is replaced. What
comes out is read again and compared with what was meant, so that a layout which this module does
not know is refused and never damaged.

A path is a list of keys from the top, or one text with dots between them. In a list, a key is the
number of an entry from 0 on; `+` is one more at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from p4alg.config.errors import UsageError
from p4alg.config.source import MAX_BYTES

MORE = "+"
"""The key of an entry that a list does not have yet."""
MAX_DEPTH = 16
"""The most keys of a path."""
_INDENT = 2

Keys = Sequence[str]


def keys_of(path: object) -> list[str]:
    """The keys of a path; `UsageError` for something that is none."""
    keys = path.split(".") if isinstance(path, str) else path
    if not isinstance(keys, list) or not keys or len(keys) > MAX_DEPTH:
        raise UsageError("give a path such as algs.ftp.enabled")
    if not all(isinstance(key, str | int) and str(key) for key in keys):
        raise UsageError(f"'{path}' is no path: give one such as algs.ftp.enabled")
    return [str(key) for key in keys]


def get_value(text: str, path: object) -> Any:
    """The value at a path, as YAML has it; None if there is none."""
    found: Any = _data(text)
    for key in keys_of(path):
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and _is_place(key, found):
            found = found[int(key)]
        else:
            return None
    return found


def set_value(text: str, path: object, value: object) -> str:
    """The text with `value` (of JSON's types) at a path; what leads there is made if need be."""
    if value is None:
        raise UsageError("a value is missing: 'p4alg config unset' takes one away")
    keys = keys_of(path)
    root, shown = _compose(text), ".".join(keys)
    node, at, missing = _walk(root, keys)
    if not missing:
        changed = _replace(text, at, node, value)
    else:
        changed = _insert(text, node, at, missing, value, shown, is_top=node is root)
    return _checked(text, changed, keys, value, shown)


def unset(text: str, path: object) -> str:
    """The text without what is at a path. A section that would be left empty goes with it."""
    keys = keys_of(path)
    shown = ".".join(keys)
    chain = _chain(_compose(text), keys)
    if chain is None:
        raise UsageError(f"there is no {shown} to unset")
    while len(chain) > 1 and len(chain[-1][0].value) == 1:
        chain.pop()
    parent, place = chain[-1]
    return _checked(text, _remove(text, parent, place), keys[: len(chain)], None, shown)


def _data(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"no YAML: {str(error).splitlines()[0]}") from None


def _compose(text: str) -> yaml.Node:
    _data(text)
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    if not isinstance(root, yaml.MappingNode):
        raise UsageError("the configuration is no mapping (key: value)")
    return root


# Places in the document: the node of a value, and where it is in its parent

_Place = tuple[yaml.Node | None, yaml.Node]
"""The node of a key (None in a list), and that of its value."""


def _children(node: yaml.Node) -> list[_Place]:
    if isinstance(node, yaml.MappingNode):
        return [(key, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(None, value) for value in node.value]
    return []


def _is_place(key: str, items: Sequence[object]) -> bool:
    return key.isdecimal() and key.isascii() and int(key) < len(items)


def _find(node: yaml.Node, key: str) -> int | None:
    """The number of the child of a node that a key names."""
    if isinstance(node, yaml.SequenceNode):
        return int(key) if _is_place(key, node.value) else None
    places = _children(node)
    return next((n for n, (name, _) in enumerate(places) if name and name.value == key), None)


def _walk(root: yaml.Node, keys: Keys) -> tuple[yaml.Node, _Place | None, list[str]]:
    """How far a path leads: the last node, its place, and the keys that are missing."""
    node, at = root, None
    for depth, key in enumerate(keys):
        found = _find(node, key)
        if found is None:
            return node, at, list(keys[depth:])
        at = _children(node)[found]
        node = at[1]
    return node, at, []


def _chain(root: yaml.Node, keys: Keys) -> list[tuple[yaml.Node, int]] | None:
    """The parents on the way of a path, each with the number of the child; None if it ends."""
    node, chain = root, []
    for key in keys:
        found = _find(node, key)
        if found is None:
            return None
        chain.append((node, found))
        node = _children(node)[found][1]
    return chain


def _is_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _end(node: yaml.Node) -> int:
    """Where the text of a node ends. The parser counts what follows to a block."""
    children = _children(node)
    if children and not _is_flow(node):
        return _end(children[-1][1])
    return int(node.end_mark.index)


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    """Where the line that holds the character before `at` ends, its line feed included."""
    found = text.find("\n", max(at - 1, 0))
    return len(text) if found < 0 else found + 1


# What is written


def _flow(value: object) -> str:
    """A value on one line, as it can stand anywhere."""
    in_list = yaml.safe_dump(
        [value], default_flow_style=True, width=float("inf"), sort_keys=False, allow_unicode=True
    )
    return in_list.strip()[1:-1]


def _block(key: str, value: object, indent: int) -> str:
    """The lines of an entry of a block: what a mapping or list holds has a line for each."""
    pad, deeper = " " * indent, " " * (indent + _INDENT)
    lines = [f"{pad}{_flow(key)}: {_flow(value)}"]
    if isinstance(value, dict) and value:
        lines = [
            f"{pad}{_flow(key)}:",
            *(f"{deeper}{_flow(k)}: {_flow(v)}" for k, v in value.items()),
        ]
    elif isinstance(value, list) and value and not all(isinstance(v, int | str) for v in value):
        lines = [f"{pad}{_flow(key)}:", *(f"{deeper}- {_flow(v)}" for v in value)]
    return "".join(f"{line}\n" for line in lines)


def _nested(keys: Keys, value: object, shown: str) -> Any:
    """A value below keys that are made for it."""
    for key in reversed(keys):
        if key.isdecimal():
            raise UsageError(f"there is no {shown}: append to a list by '{MORE}'")
        value = [value] if key == MORE else {key: value}
    return value


def _replace(text: str, at: _Place | None, node: yaml.Node, value: object) -> str:
    assert at is not None, "a path has a key"
    start, end = node.start_mark.index, _end(node)
    key = at[0]
    is_inline = _is_flow(node)
    is_inline |= isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and start != end
    if key is not None and not is_inline:
        # A block begins on a line of its own; the value moves behind the colon of its key.
        start = text.index(":", key.end_mark.index) + 1
        tail = "\n" if text[end - 1 : end] == "\n" else ""
        return f"{text[:start]} {_flow(value)}{tail}{text[end:]}"
    return f"{text[:start]}{_flow(value)}{text[end:]}"


def _insert(
    text: str,
    node: yaml.Node,
    at: _Place | None,
    missing: Keys,
    value: object,
    shown: str,
    *,
    is_top: bool,
) -> str:
    key, rest = missing[0], missing[1:]
    if isinstance(node, yaml.ScalarNode):
        if node.value not in ("", "~", "null"):
            raise UsageError(f"{shown}: '{node.value}' has no keys")
        return _replace(text, at, node, _nested(missing, value, shown))
    in_list = isinstance(node, yaml.SequenceNode)
    if in_list != (key == MORE):
        what = f"has no entry '{key}'; append by '{MORE}'" if in_list else "is no list"
        raise UsageError(f"{shown}: its parent {what}")
    whole = _nested(rest, value, shown)
    children = _children(node)
    if _is_flow(node) or not children:
        entry = _flow(whole) if in_list else f"{_flow(key)}: {_flow(whole)}"
        if not children:
            return f"{text[: node.end_mark.index - 1]}{entry}{text[node.end_mark.index - 1 :]}"
        end = _end(children[-1][1])
        return f"{text[:end]}, {entry}{text[end:]}"
    indent = int(node.start_mark.column)
    end = _line_end(text, _end(node))
    if in_list:
        lines = f"{' ' * indent}- {_flow(whole)}\n"
    elif is_top:
        lines = _block(key, whole, indent)
    else:
        lines = f"{' ' * indent}{_flow(key)}: {_flow(whole)}\n"
    before = text[:end] if text[:end].endswith("\n") else f"{text[:end]}\n"
    return f"{before}{lines}{text[end:]}"


def _remove(text: str, parent: yaml.Node, place: int) -> str:
    children = _children(parent)
    key, value = children[place]
    start, end = (key or value).start_mark.index, _end(value)
    follower = children[place + 1] if place + 1 < len(children) else None
    if _is_flow(parent):
        if place:
            start = _end(children[place - 1][1])
        elif follower:
            end = (follower[0] or follower[1]).start_mark.index
        return text[:start] + text[end:]
    line = _line_start(text, start)
    before = text[line:start].strip()
    if before in ("", "-" if key is None else ""):
        return text[:line] + text[_line_end(text, end) :]
    if follower and follower[0]:
        # The first key of a mapping that begins behind the dash of a list.
        return text[:start] + text[follower[0].start_mark.index :]
    return text[:start] + text[end:]


# What comes out


def _checked(before: str, after: str, keys: Keys, value: object, shown: str) -> str:
    """The changed text, if it says what was meant and nothing else."""
    wanted = _data(before)
    if not _apply(wanted, keys, value):
        raise UsageError(f"{shown} is inside something that is no mapping and no list")
    if len(after.encode()) > MAX_BYTES:
        raise UsageError(f"the configuration would be larger than {MAX_BYTES} bytes")
    try:
        found = yaml.safe_load(after)
    except (yaml.YAMLError, ValueError, RecursionError):
        found = None
    if found != wanted:
        raise UsageError(f"{shown} cannot be changed in place: use 'p4alg config edit FILE'")
    return after


def _apply(data: Any, keys: Keys, value: object) -> bool:
    """Set a value in parsed data; None removes it. False if it cannot be where the keys lead."""
    for number, key in enumerate(keys[:-1]):
        place: Any = int(key) if isinstance(data, list) and key != MORE else key
        if isinstance(data, list) and key == MORE:
            data.append(None)
            place = len(data) - 1
        elif isinstance(data, dict) and data.get(key) is None:
            data[key] = None
        if data[place] is None:
            data[place] = [] if keys[number + 1] == MORE else {}
        data = data[place]
        if not isinstance(data, dict | list):
            return False
    last = keys[-1]
    if value is None:
        del data[int(last) if isinstance(data, list) else last]
    elif isinstance(data, list):
        data[int(last) if last != MORE else len(data) :] = (
            [value] if last == MORE else [value, *data[int(last) + 1 :]]
        )
    else:
        data[last] = value
    return True
