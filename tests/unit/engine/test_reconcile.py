"""Reconciling writes what differs, and nothing else."""

from p4alg.engine.reconcile import reconcile
from p4alg.engine.tables import Local, Op, Route, Update


def test_equal_sets_need_no_write() -> None:
    assert reconcile([Local(1), Route(0, 0, 1)], [Route(0, 0, 1), Local(1)]) == []


def test_deletes_come_before_changes_and_inserts() -> None:
    updates = reconcile([Route(0, 0, 2), Local(9)], [Local(1), Route(0, 0, 1)])
    assert updates == [
        Update(Op.DELETE, Local(1)),
        Update(Op.MODIFY, Route(0, 0, 2)),
        Update(Op.INSERT, Local(9)),
    ]
