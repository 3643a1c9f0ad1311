"""The section `switch`: addresses of both kinds, and files for TLS."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from p4alg.config.errors import ConfigError
from p4alg.config.source import parse
from p4alg.config.switch import Switch, Tls, is_address, read_switch
from tests.certificates import authority, signed
from tests.unit.config.reading import at_line


def read(text: str, folder: Path = Path("/etc/p4alg")) -> Switch:
    return read_switch(parse(text, f"{folder}/c.yaml"))


def refusal(text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, folder)
    return at_line(caught.value).removeprefix(f"{folder}/")


def test_by_default_the_switch_is_reached_by_a_unix_socket() -> None:
    assert read_switch(None) == Switch("unix:/run/p4alg/p4runtime.sock", 1, "standard", None)


@pytest.mark.parametrize("address", ["unix:/a", "h:1", "[::1]:65535", "unix:/" + "x" * 106])
def test_an_address_is_a_path_or_host_and_port(address: str) -> None:
    assert is_address(address)
    assert read(f'grpc: "{address}"').grpc == address


@pytest.mark.parametrize("address", ["unix:", "unix:a", "unix:/" + "x" * 107, "h:0", ":1", "h"])
def test_other_addresses_are_refused(address: str) -> None:
    assert not is_address(address)
    assert refusal(f'device_id: 1\ngrpc: "{address}"', Path("/x")) == (
        f"c.yaml:2: '{address}' is not HOST:PORT or unix:/PATH"
    )


def test_TLS_is_not_for_a_unix_socket() -> None:
    assert refusal("grpc: unix:/a\ntls: {ca: x}", Path("/x")) == (
        "c.yaml:2: TLS is for HOST:PORT, and switch.grpc is unix:/a"
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl on PATH")
def test_files_of_TLS_are_beside_the_configuration_and_are_checked(tmp_path: Path) -> None:
    ca = authority(tmp_path, "ca")
    ours = signed(tmp_path, "ours", ca)
    head = "grpc: h:1\ntls: "
    full = read(f"{head}{{ca: ca.pem, cert: ours.pem, key: ours.key, name: s1}}", tmp_path)
    assert full.tls == Tls(ca.cert, ours.cert, ours.key, "s1")
    assert read(f"{head}{{ca: ca.pem}}", tmp_path).tls == Tls(ca.cert)
    for keys, reason in (
        ("cert: ours.pem, key: ours.key", "'ca' is missing"),
        ("ca: ca.pem, cert: ours.pem", "give cert and key together"),
        ("ca: none.pem", f"cannot read {tmp_path}/none.pem: No such file or directory"),
        ("ca: ca.key", f"{tmp_path}/ca.key holds no certificates (PEM)"),
        (
            "ca: ca.pem, cert: ours.pem, key: ca.key",
            f"{tmp_path}/ours.pem and {tmp_path}/ca.key are no certificate and its key (PEM)",
        ),
    ):
        assert refusal(f"{head}{{{keys}}}", tmp_path) == f"c.yaml:2: {reason}"
