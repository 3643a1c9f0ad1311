"""`p4alg config`: show, change, commit and take back the configuration of a running controller."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from p4alg.cli.connection import add_controller, client
from p4alg.cli.show import config_lines
from p4alg.cli.table import render
from p4alg.config.errors import UsageError, UserError
from p4alg.config.schema import schema
from p4alg.config.source import load_text
from p4alg.daemon.configuration import RESTART_WORD
from p4alg.printable import printable

_COLUMNS = {"revision": "REVISION", "when": "WHEN", "who": "WHO", "why": "WHY"}


def register(commands: Any) -> None:
    """Add the command and its own commands to the parser."""
    config = commands.add_parser(
        "config",
        help="change the configuration of the running controller",
        description="Changes go into a candidate. 'diff' shows what they do, 'commit' makes all "
        "of them take effect at once, and 'rollback' goes back to an earlier revision.",
    )
    actions = config.add_subparsers(metavar="ACTION", required=True)
    _add(actions, "show", "the configuration that holds", _show).add_argument(
        "--text", action="store_true", help="only the text"
    )
    actions.add_parser(
        "schema", help="the JSON Schema of the configuration; needs no controller"
    ).set_defaults(handler=_schema)
    change = _add(actions, "set", "set a value in the candidate", _set)
    change.add_argument("path", metavar="PATH", help="such as algs.ftp.enabled, or policy.+")
    change.add_argument("value", metavar="VALUE", help="in YAML, such as false or [21, 2121]")
    unset = _add(actions, "unset", "take a value out of the candidate", _set)
    unset.add_argument("path", metavar="PATH", help="such as algs.ftp, or policy.0")
    for action in (change, unset):
        action.add_argument(
            "--organisation", metavar="NAME", help="PATH is within this organisation"
        )
    edit = _add(actions, "edit", "edit the candidate, or take it from a file", _edit)
    edit.add_argument("file", nargs="?", metavar="FILE", help="instead of $EDITOR; - is stdin")
    diff = _add(actions, "diff", "what a commit would change, or what one has", _diff)
    diff.add_argument("start", nargs="?", type=int, metavar="FROM", help="a revision")
    diff.add_argument("end", nargs="?", type=int, metavar="TO", help="another one")
    check = _add(actions, "check", "what is wrong with the candidate, or with a file", _check)
    check.add_argument("file", nargs="?", metavar="FILE", help="instead; - is stdin")
    commit = _add(actions, "commit", "make the candidate take effect", _commit)
    commit.add_argument(
        "--base", type=int, metavar="N", help="refuse if another revision than N holds"
    )
    discard = _add(actions, "discard", "forget the candidate", _discard)
    discard.add_argument("--force", action="store_true", help="also that of somebody else")
    back = _add(actions, "rollback", "go back to an earlier revision", _rollback)
    back.add_argument("revision", type=int, metavar="N", help="see 'p4alg config history'")
    history = _add(actions, "history", "all revisions: who, when, why", _history)
    history.add_argument("--changes", action="store_true", help="with what each has changed")
    reload = _add(actions, "reload", "read the file again and apply what differs", _reload)
    for action in (commit, back, reload):
        action.add_argument("-m", "--why", metavar="TEXT", help="the reason, for the history")
        action.add_argument(
            RESTART_WORD,
            action="store_true",
            help="also if it cannot be applied now: all of it waits for the next start",
        )


def _add(actions: Any, name: str, text: str, handler: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text)
    parser.set_defaults(handler=handler, action=name)
    parser.add_argument("--json", action="store_true", dest="as_json", help="as JSON")
    add_controller(parser)
    return parser


def _call(args: argparse.Namespace, **arguments: Any) -> Any:
    """The result of an action; with --json it is printed, and None is returned."""
    given = {name: value for name, value in arguments.items() if value is not None}
    result = client(args).call("config", action=args.action, **given)
    if args.as_json:
        print(json.dumps(result, indent=2))
        return None
    return result


def _show(args: argparse.Namespace) -> int:
    found = _call(args)
    if found is None:
        return 0
    lines = found["text"].splitlines() if args.text else config_lines(found)
    for line in lines:
        print(line)
    return 0


def _schema(_args: argparse.Namespace) -> int:
    print(json.dumps(schema(), indent=2))
    return 0


def _set(args: argparse.Namespace) -> int:
    arguments = {"path": args.path, "organisation": args.organisation}
    if args.action == "set":
        try:
            arguments["value"] = yaml.safe_load(args.value)
        except yaml.YAMLError:
            raise UsageError(f"'{args.value}' is no YAML: quote it") from None
    _tell_lines(_call(args, **arguments), "diff")
    return 0


def _edit(args: argparse.Namespace) -> int:
    if args.file is not None:
        text = _text(args.file)
    else:
        candidate = client(args).call("config", action="candidate")
        text = _edited(candidate["text"])
    _tell_lines(_call(args, text=text), "diff")
    return 0


def _edited(text: str) -> str:
    """A text after somebody has edited it."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "editor"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p4alg.yaml"
        path.write_text(text, encoding="utf-8")
        status = subprocess.call(["sh", "-c", f'{editor} "$1"', "sh", str(path)])
        if status:
            raise UserError(f"'{editor}' failed: set EDITOR, or give a file")
        return load_text(path)


def _text(file: str) -> str:
    if file == "-":
        try:
            return sys.stdin.read()
        except UnicodeDecodeError:
            raise UsageError("standard input is not UTF-8 text") from None
    return load_text(Path(file))


def _diff(args: argparse.Namespace) -> int:
    found = _call(args, **{"from": args.start, "to": args.end})
    _tell_lines(found, "diff")
    _tell_effects(found)
    problems = [] if found is None else found.get("problems", [])
    return _tell_problems("revision" if args.end else "candidate", problems)


def _check(args: argparse.Namespace) -> int:
    text = None if args.file is None else _text(args.file)
    problems = client(args).call(
        "config", action="check", **({} if text is None else {"text": text})
    )
    problems = problems["problems"]
    if args.as_json:
        print(json.dumps({"problems": problems}, indent=2))
        return 2 if problems else 0
    name = args.file or "candidate"
    if problems:
        return _tell_problems(name, problems)
    print(f"{name}: ok")
    return 0


def _tell_problems(name: str, problems: list[dict[str, Any]]) -> int:
    """Say what is wrong with a text; returns the exit status."""
    for p in problems:
        line = f"p4alg: {name}:{p['line']}:{p['column']}: {p['text']}"
        print(printable(line), file=sys.stderr)
    return 2 if problems else 0


def _commit(args: argparse.Namespace) -> int:
    _tell_commit(_call(args, base=args.base, **_reason(args)))
    return 0


def _discard(args: argparse.Namespace) -> int:
    found = _call(args, force=args.force)
    if found is not None:
        print("discarded" if found["discarded"] else "there was nothing to discard")
    return 0


def _rollback(args: argparse.Namespace) -> int:
    _tell_commit(_call(args, revision=args.revision, **_reason(args)))
    return 0


def _history(args: argparse.Namespace) -> int:
    found = _call(args)
    if found is None:
        return 0
    if not args.changes:
        for line in render(found, _COLUMNS) if found else ["no revisions are kept"]:
            print(line)
        return 0
    for row in found:
        print(printable(f"{row['revision']}  {row['when']}  {row['who']}  {row['why']}"))
        for change in row["changes"]:
            print(printable(f"    {change}"))
    return 0


def _reload(args: argparse.Namespace) -> int:
    _tell_commit(_call(args, **_reason(args)))
    return 0


def _reason(args: argparse.Namespace) -> dict[str, Any]:
    return {"why": args.why, "at_restart": args.at_restart or None}


def _tell_lines(found: dict[str, Any] | None, key: str) -> None:
    if found is not None:
        for line in found[key] or ["no changes"]:
            print(printable(line))


def _tell_effects(found: dict[str, Any] | None) -> None:
    for line in [] if found is None else found["effects"]:
        print(printable(f"* {line}"))


def _tell_commit(found: dict[str, Any] | None) -> None:
    if found is None:
        return
    waits = ", and waits for a restart of the controller" if found.get("needs_restart") else ""
    print(f"revision {found['revision']} holds{waits}")
    _tell_effects(found)
