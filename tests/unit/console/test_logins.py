"""What a cookie stands for, and for how long."""

from __future__ import annotations

from p4alg.console.logins import IDLE_SECONDS, LONGEST_SECONDS, MAX_LOGINS, MAX_OF_A_USER, Logins
from p4alg.console.users import User

ADA = User("admin", "00", "00")


def test_a_cookie_finds_its_login_and_no_other_does() -> None:
    logins = Logins()
    cookie, login = logins.begin("ada", ADA, 0.0)
    assert logins.find(cookie, 1.0) is login
    for wrong in ("", cookie[:-1], cookie + "x", login.key, login.csrf, "é\ud800"):
        assert logins.find(wrong, 1.0) is None


def test_cookies_and_tokens_are_never_the_same() -> None:
    logins = Logins()
    made = [logins.begin("ada", ADA, 0.0) for _ in range(50)]
    assert len({cookie for cookie, _ in made} | {login.csrf for _, login in made}) == 100


def test_only_its_own_token_may_send() -> None:
    logins = Logins()
    _, one = logins.begin("ada", ADA, 0.0)
    _, two = logins.begin("ada", ADA, 0.0)
    assert one.may_send(one.csrf)
    for wrong in ("", two.csrf, one.csrf + "x", "é\ud800"):
        assert not one.may_send(wrong)


def test_a_login_is_over_when_it_was_not_used_for_so_long() -> None:
    logins = Logins()
    cookie, login = logins.begin("ada", ADA, 0.0)
    assert logins.lives(login, IDLE_SECONDS)
    assert not logins.lives(login, IDLE_SECONDS + 1)
    assert logins.find(cookie, IDLE_SECONDS + 1) is None


def test_a_login_is_over_after_so_long_however_much_it_is_used() -> None:
    logins = Logins()
    cookie, _ = logins.begin("ada", ADA, 0.0)
    now = 0.0
    while now < LONGEST_SECONDS:
        assert logins.find(cookie, now) is not None
        now += IDLE_SECONDS / 2
    assert logins.find(cookie, now + 1) is None


def test_a_login_that_was_ended_is_over() -> None:
    logins = Logins()
    cookie, login = logins.begin("ada", ADA, 0.0)
    logins.end(login)
    logins.end(login)
    assert logins.find(cookie, 0.0) is None
    assert not logins.lives(login, 0.0)


def test_of_too_many_the_one_used_longest_ago_ends() -> None:
    logins = Logins()
    mine = [logins.begin("ada", ADA, float(n))[0] for n in range(MAX_OF_A_USER)]
    logins.find(mine[0], 20.0)
    logins.begin("ada", ADA, 21.0)
    assert logins.find(mine[0], 22.0) is not None
    assert logins.find(mine[1], 22.0) is None
    for n in range(MAX_LOGINS):
        logins.begin(f"user{n}", ADA, 30.0)
    assert len(logins._logins) == MAX_LOGINS
