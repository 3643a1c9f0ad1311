"""Which ALGs are on is one line, with organisations only where somebody has configured them."""

from p4alg.alg.registry import algs
from p4alg.daemon.algs import alg_names, describe_algs
from p4alg.engine.settings import AlgSettings


def test_the_default_organisation_is_not_named() -> None:
    assert describe_algs({"default": ["ftp", "sip"]}) == "ALGs on: ftp, sip"
    assert describe_algs({"default": []}) == "ALGs on: none"


def test_others_are_named_with_theirs() -> None:
    told = describe_algs({"red": ["ftp"], "blue": []})
    assert told == "2 organisations, ALGs on: red: ftp; blue: none"


def test_only_those_that_are_on_are_named() -> None:
    known = [AlgSettings(algs()[name], name == "sip", (name,)) for name in ("ftp", "sip")]
    assert alg_names(known) == ["sip"]
