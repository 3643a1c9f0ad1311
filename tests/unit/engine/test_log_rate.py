from p4alg.engine.log_rate import WINDOW, LogRate


def test_G4_a_source_gets_so_many_lines_in_a_minute_and_is_told_of_the_rest() -> None:
    rate = LogRate(each=2)
    assert [rate.admit("a", 1.0) for _ in range(5)] == [0, 0, None, None, None]
    assert rate.admit("b", 1.0) == 0
    assert rate.admit("a", 1.0 + WINDOW) == 3
    assert rate.admit("a", 1.0 + WINDOW) == 0


def test_G4_all_sources_together_are_bounded_too() -> None:
    rate = LogRate(each=2, total=3)
    assert [rate.admit(n, 1.0) for n in range(5)] == [0, 0, 0, None, None]
    assert rate.admit(4, 1.0 + WINDOW) == 1


def test_G4_only_so_many_sources_are_remembered() -> None:
    rate = LogRate(each=1, total=10**6)
    for n in range(5000):
        rate.admit(n, 1.0)
    assert rate.admit(4999, 1.0) is None
    assert rate.admit(0, 1.0) == 0
