"""Every class of punted packets has its rates, and nobody has those of others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from p4alg import p4constants as p4
from p4alg.driver.gauges import Meter, Rate, meters
from p4alg.engine.settings import Limits
from p4alg.p4constants import Punt
from tests.unit.engine.harness import settings


def of(array: str, **more: object) -> dict[int, Rate]:
    found = [meter for meter in meters([settings(**more)]) if meter.array == array]
    assert len({meter.index for meter in found}) == len(found)
    return {meter.index: meter.rate for meter in found}


def test_each_side_and_class_has_a_rate() -> None:
    rates = of("punt_meter")
    assert set(rates) == {side * p4.PUNT_CLASSES + punt for side in (0, 1) for punt in Punt if punt}
    assert all(rate.packets > 0 and rate.burst > 0 for rate in rates.values())


def test_one_port_has_half_of_what_its_side_has_of_a_class() -> None:
    whole, ports = of("punt_meter"), of("port_meter")
    classes = Counter(index % p4.PUNT_CLASSES for index in ports)
    assert {Punt(n) for n in classes} == {
        *(Punt.SUBSCRIBER, Punt.NEW_FLOW, Punt.OVERFLOW, Punt.ESP, Punt.FRAGMENT, Punt.ARP),
        Punt.SYN,
    }
    for index, rate in ports.items():
        port, punt = divmod(index, p4.PUNT_CLASSES)
        side = 0 if port in (1, 2) else 1
        assert rate.packets == whole[side * p4.PUNT_CLASSES + punt].packets // 2
    assert {index // p4.PUNT_CLASSES for index in ports} == {1, 2, 3, 4}


def test_sources_and_subscribers_have_the_rates_that_are_configured() -> None:
    limits = replace(Limits(), punts_per_source=77, flows_per_second=33)
    sources = of("source_meter", limits=limits)
    cells = 1 << p4.SOURCE_METER_BITS
    assert set(sources) == set(range(2 * cells))
    # The second half is for packets of ALG sessions.
    assert sources[0] == Rate(77, 77)
    assert sources[cells].packets > sources[cells - 1].packets
    claims = of("claim_meter", limits=limits)
    assert claims == dict.fromkeys(range(1 << p4.CLAIM_METER_BITS), Rate(33, 33))


def test_a_meter_names_its_array_index_and_rate() -> None:
    assert Meter("punt_meter", 1, Rate(4000, 4000)) in meters([settings()])
