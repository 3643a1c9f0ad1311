"""Real RTSP in a lab: GStreamer's server, played from by ffmpeg and GStreamer, sent to by ffmpeg.

Players count what they could decode (ffmpeg: frames) or what came (GStreamer: packets).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from p4alg.config.errors import UserError
from p4alg.lab import plan, runner, state

PORT = 554
CLIENTS = ("ffmpeg", "gstreamer")
TRANSPORTS = ("udp", "tcp")
RATE = 25
"""Frames a second that are played and sent; each fits into a packet."""
_PYTHON = "/usr/bin/python3"
"""Debian's own, which has the bindings of GStreamer."""
_GSTREAMER = Path(__file__).with_name("rtsp_gst.py")
_START_SECONDS = 20.0
_SLACK_SECONDS = 10.0
"""What a player may take longer than it plays, to begin and to end."""
_START_OF_IMAGE = b"\xff\xd8\xff"
_FRAMES = re.compile(r"frame= *([0-9]+)")
_NEEDED = "gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer, Gst"
_ELEMENTS = "Gst.init(None); assert Gst.ElementFactory.find('rtpjpegpay')"


@dataclass(frozen=True, slots=True)
class Played:
    """What a player got: `frames` of video (packets of GStreamer's), and its last words."""

    frames: int
    audio: int
    said: str


@dataclass(frozen=True, slots=True)
class Server:
    """A server in a host of the lab; `recording` is what was sent to it last."""

    host: str
    recording: Path

    def recorded(self) -> int:
        """Pictures in the recording."""
        data = self.recording.read_bytes() if self.recording.exists() else b""
        return data.count(_START_OF_IMAGE)


def missing() -> list[str]:
    """The Debian packages that would have to be installed."""
    found = [] if shutil.which("ffmpeg") else ["ffmpeg"]
    command = [_PYTHON, "-c", f"import gi; {_NEEDED}; {_ELEMENTS}"]
    if not Path(_PYTHON).exists() or subprocess.run(command, capture_output=True).returncode:
        found += ["gir1.2-gst-rtsp-server-1.0", "python3-gi", "gstreamer1.0-plugins-good"]
    return found


def serve(host: str) -> Server:
    """Start a server in a host: rtsp://HOST/test plays, /record takes what is sent."""
    server = Server(host, state.directory() / f"rtsp-{host}.jpeg")
    command = [_PYTHON, str(_GSTREAMER), "serve", str(PORT), str(server.recording)]
    process = runner.start(f"rtsp-{host}", host, command)
    until = time.monotonic() + _START_SECONDS
    while not runner.listens(process.pid, PORT):
        if not process.alive() or time.monotonic() > until:
            raise UserError(f"the RTSP server does not start in {host}: see 'p4alg lab logs'")
        time.sleep(0.05)
    return server


class Player:
    """One of `CLIENTS` that plays in a host, until it is asked for what it `got`.

    `port` is where the first of its ports is to be, if it matters.
    """

    def __init__(
        self,
        client: str,
        host: str,
        addr: str,
        transport: str,
        seconds: float,
        port: int | None = None,
    ) -> None:
        url = f"rtsp://{addr}:{PORT}/test"
        if client == "ffmpeg":
            own = [] if port is None else ["-min_port", str(port), "-max_port", str(port + 3)]
            source = ["-rtsp_transport", transport, *own, "-i", url]
            command = [*_FFMPEG, "-stats", *source, "-t", str(seconds), "-f", "null", "-"]
        else:
            more = [] if port is None else [str(port)]
            command = [_PYTHON, str(_GSTREAMER), "play", url, transport, str(seconds), *more]
        self._limit = seconds + _SLACK_SECONDS
        self._process = _start(host, command)

    def kill(self) -> None:
        """End it at once, so that it tells nobody."""
        self._process.kill()
        _finish(self._process, self._limit)

    def got(self) -> Played:
        """Wait for its end, and tell what came."""
        out, said = _finish(self._process, self._limit)
        last = (said.strip().splitlines() or [""])[-1]
        try:
            came = json.loads(out) if out else {}
        except ValueError:
            came = {}
        frames = [int(number) for number in _FRAMES.findall(said)]
        return Played(came.get("video", max(frames, default=0)), came.get("audio", 0), last)


def play(client: str, host: str, addr: str, transport: str, seconds: float) -> Played:
    """Play for so many seconds."""
    return Player(client, host, addr, transport, seconds).got()


def send(host: str, addr: str, transport: str, seconds: float) -> str:
    """Send video with ffmpeg (ANNOUNCE, RECORD); what it complained about."""
    picture = f"testsrc=size=160x120:rate={RATE}:duration={seconds}"
    # The one form of JPEG that RTP has (RFC 2435).
    coded = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-huffman", "default"]
    tables = ["-force_duplicated_matrix", "1"]
    target = ["-f", "rtsp", "-rtsp_transport", transport, f"rtsp://{addr}:{PORT}/record"]
    command = [*_FFMPEG, "-re", "-f", "lavfi", "-i", picture, *coded, *tables, *target]
    return _finish(_start(host, command), seconds + _SLACK_SECONDS)[1]


_FFMPEG = ("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error")


def _start(host: str, command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        plan.inside(runner.current().hosts[host], *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str], limit: float) -> tuple[str, str]:
    try:
        return process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()
