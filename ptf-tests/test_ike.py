"""IKE from hosts that all keep port 500 outside: told apart by the initiator's SPI."""

from base import (
    CLIENT_IP,
    HOST,
    INSIDE,
    IP,
    OUTSIDE,
    POOL_IP,
    ROUTER,
    SERVER_IP,
    UDP,
    Drop,
    Ether,
    FilterMode,
    GatewayTest,
    fresh,
    inward,
    inward_translated,
    outward_translated,
)

OTHER_IP = "10.0.0.3"
IKE = 500


def message(spi):
    """An IKE header with this initiator SPI, and a little more."""
    return UDP(sport=IKE, dport=IKE) / (spi.to_bytes(8, "big") + bytes(20))


class _SharedPort(GatewayTest):
    def keep(self, addr, spi):
        """Let a host use port 500 outside, for the exchange of this SPI."""
        inside = {"inside_addr": addr, "inside_id": IKE}
        self.add("map_out", {"proto": 17, **inside}, "set_outside", outside_addr=POOL_IP,
                 outside_id=IKE, managed=1)  # fmt: skip
        self.add("ike_in", {"outside_addr": POOL_IP, "initiator_spi": spi}, "set_inside",
                 inside_addr=addr, inside_id=IKE,
                 filter_mode=FilterMode.ADDRESS_AND_PORT, managed=1)  # fmt: skip
        key = {"proto": 17, **inside, "remote_addr": SERVER_IP, "remote_id": IKE}
        self.add("session", key, "allow", alg_id=0, flags=0, watch_below=0)


class TwoHostsKeepTheSamePort(_SharedPort):
    def runTest(self):
        for addr, spi in ((CLIENT_IP, 0x1111222233334444), (OTHER_IP, 0x5555666677778888)):
            self.keep(addr, spi)
            sent = IP(src=addr, dst=SERVER_IP) / message(spi)
            self.send(INSIDE, fresh(Ether(src=HOST, dst=ROUTER) / sent))
            self.expect(OUTSIDE, outward_translated(message(spi)))
            self.send(OUTSIDE, inward(message(spi)))
            expected = inward_translated(message(spi))
            expected[IP].dst = addr
            del expected[IP].chksum
            del expected[UDP].chksum
            self.expect(INSIDE, fresh(expected))


class AnUnknownSpiIsNotOurs(_SharedPort):
    def runTest(self):
        self.keep(CLIENT_IP, 0x1111222233334444)
        self.expect_drop(Drop.NO_MAPPING, OUTSIDE, inward(message(0x1111222233334445)))


class AHostWithAMappingOfItsOwnIsReachedAsEver(_SharedPort):
    def runTest(self):
        self.keep(CLIENT_IP, 0x1111222233334444)
        self.add_mapping(17, 4711, 4500)
        self.add_session(17, 4711, IKE)
        self.send(OUTSIDE, inward(UDP(sport=IKE, dport=4500) / bytes(28)))
        self.expect(INSIDE, inward_translated(UDP(sport=IKE, dport=4711) / bytes(28)))


class TooShortForAHeaderIsDropped(GatewayTest):
    def runTest(self):
        self.expect_drop(Drop.PARSE, OUTSIDE, inward(UDP(sport=IKE, dport=IKE) / bytes(7)))
