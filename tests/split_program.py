"""The program for v1model, changed to what the one for TNA asks of a controller.

VLAN and MAC addresses of next hops are in a table of egress, `neighbour`, and a table `clock` has
the time. Packets that leave without either are dropped. It is compiled from the sources with these
changes, so that a switch can run it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

from p4alg.driver.artifacts import Artifacts

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS = 64
"""The size of `neighbour`: smaller than that of `next_hop`, so that a half can be refused."""

_TABLES = f"""
    @id(0x01000049)
    action set_frame(@id(2) bit<12> vlan_id, @id(3) @format(MAC_ADDRESS) mac_t src_mac,
                     @id(4) @format(MAC_ADDRESS) mac_t dst_mac) {{
        meta.egress_vlan = vlan_id;
        meta.src_mac = src_mac;
        meta.dst_mac = dst_mac;
    }}
    @id(0x0100004a) action no_frame() {{ mark_to_drop(std); }}
    @id(0x0200001a)
    table neighbour {{
        key = {{ meta.next_hop : exact @id(1) @name("next_hop"); }}
        actions = {{ set_frame; @defaultonly no_frame; }}
        const default_action = no_frame;
        size = {NEIGHBOURS};
    }}
    @id(0x01000048)
    action set_clock(@id(1) tick_t now, @id(2) tick_t rested) {{
        if (now == 0 || rested == 0) {{ mark_to_drop(std); }}
    }}
    @id(0x0200001b)
    table clock {{
        actions = {{ set_clock; }}
        default_action = set_clock(0, 0);
        size = 1;
    }}
    apply {{
        clock.apply();
        neighbour.apply();
"""
_CHANGES = {
    "route.p4": (
        (
            r"action leave\(@id\(1\) bit<9> port,.*?@id\(5\) bit<16> mtu\) \{",
            "action leave(@id(1) bit<9> port, @id(5) bit<16> mtu) {",
        ),
        (r" *meta\.(egress_vlan|src_mac|dst_mac) = \w+;\n", ""),
    ),
    "leave.p4": (
        (
            r"control Leave\(inout headers_t hdr, in metadata_t meta\) \{\n    apply \{\n",
            "control Leave(inout headers_t hdr, inout metadata_t meta,\n"
            "              inout standard_metadata_t std) {" + _TABLES,
        ),
    ),
    "egress.p4": ((r"leave\.apply\(hdr, meta\)", "leave.apply(hdr, meta, std)"),),
}


def build(folder: Path) -> Artifacts:
    """Compile it into a folder; needs p4c-bm2-ss on PATH."""
    sources = folder / "p4src"
    for part in ("shared", "v1model"):
        shutil.copytree(ROOT / "p4src" / part, sources / part)
    for name, changes in _CHANGES.items():
        path = sources / "v1model" / name
        text = path.read_text()
        for before, after in changes:
            text, number = re.subn(before, after, text, flags=re.S)
            assert number, f"{name}: {before}"
        path.write_text(text)
    made = folder / "v1model"
    made.mkdir()
    program, p4info = made / "p4alg.json", made / "p4alg.p4info.txtpb"
    words = [
        "--arch",
        "v1model",
        "--Wdisable",
        "--p4runtime-files",
        str(p4info),
        "-o",
        str(program),
    ]
    compiled = subprocess.run(
        ["p4c-bm2-ss", *words, "v1model/main.p4"], cwd=sources, capture_output=True, text=True
    )
    assert compiled.returncode == 0, compiled.stderr
    total = hashlib.sha256()
    for path in (program, p4info):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    manifest = {"artifacts_sha256": total.hexdigest()}
    (made / "manifest.json").write_text(json.dumps(manifest))
    return Artifacts(program, p4info)
