from typing import Any

from aios3get._http.addresses import Addresses

FOUND: list[dict[str, Any]] = [{"host": f"192.0.2.{n}"} for n in (1, 2, 3)]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def order(addresses: Addresses, *, in_turn: bool = False) -> str:
    found = addresses.ordered(FOUND, in_turn=in_turn)
    return "".join(each["host"].rpartition(".")[2] for each in found)


def test_each_connection_begins_with_the_next_one_where_nobody_else_sees_to_that() -> None:
    addresses = Addresses()
    assert [order(addresses, in_turn=True) for _ in range(4)] == ["123", "231", "312", "123"]
    assert [order(addresses) for _ in range(2)] == ["123", "123"]


def test_what_failed_lately_comes_last_and_the_latest_at_the_end() -> None:
    clock = Clock()
    addresses = Addresses(clock)
    addresses.failed("192.0.2.1")
    assert order(addresses) == "231"
    clock.now += 1
    addresses.failed("192.0.2.2")
    assert order(addresses) == "312"
    clock.now += 29.5
    assert order(addresses) == "132"
    clock.now += 1
    assert order(addresses) == "123"


def test_what_is_remembered_is_bounded() -> None:
    addresses = Addresses()
    for number in range(1000):
        addresses.failed(f"198.51.100.{number}")
    assert len(addresses._failed) == 256
