"""An RTSP server and player made of GStreamer, run as a program by the system's Python.

    rtsp_gst.py serve PORT RECORDING    serves rtsp://*:PORT/test, takes what is sent to /record
    rtsp_gst.py play URL udp|tcp SECONDS [CLIENT_PORT]

The server plays a ball and a tone, without end. What is sent to /record (JPEG) it
writes to the file RECORDING. The player prints, as JSON, how many RTP packets of
each medium came, and ends after SECONDS. It knows nothing of p4alg.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found, unused-ignore] # noqa: E402

_SOURCE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=160,"
    "height=120,framerate=25/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26"
    " audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc"
    " ! rtppcmupay name=pay1 pt=0 )"
)


def serve(port: str, recording: str) -> None:
    """Serve until killed."""
    server = GstRtspServer.RTSPServer(service=port)
    play = GstRtspServer.RTSPMediaFactory()
    play.set_launch(_SOURCE)
    play.set_shared(True)
    record = GstRtspServer.RTSPMediaFactory()
    record.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    record.set_launch(f"( rtpjpegdepay name=depay0 ! filesink sync=false location={recording} )")
    for path, factory in (("/test", play), ("/record", record)):
        server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {port}")
    GLib.MainLoop().run()


def play(url: str, transport: str, seconds: str, client_port: str = "") -> None:
    """Play for so many seconds, and print what came."""
    loop, came = GLib.MainLoop(), Counter[str]()
    pipeline = Gst.Pipeline.new()
    source = Gst.ElementFactory.make("rtspsrc")
    source.set_property("location", url)
    source.set_property("latency", 0)
    # No change to TCP where no UDP comes: that is what is to be seen.
    source.set_property("timeout", 0)
    Gst.util_set_object_arg(source, "protocols", transport)
    if client_port:
        source.set_property("port-range", f"{client_port}-{int(client_port) + 3}")
    pipeline.add(source)

    def count(_pad: Any, _info: Any, kind: str) -> Any:
        came[kind] += 1
        return Gst.PadProbeReturn.OK

    def added(_source: Any, pad: Any) -> None:
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("sync", False)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.add_probe(Gst.PadProbeType.BUFFER, count, kind)
        pad.link(sink.get_static_pad("sink"))

    def failed(_bus: Any, message: Any) -> None:
        print(message.parse_error().gerror.message, file=sys.stderr)
        loop.quit()

    source.connect("pad-added", added)
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", failed)
    pipeline.set_state(Gst.State.PLAYING)
    GLib.timeout_add(int(float(seconds) * 1000), loop.quit)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    print(json.dumps(came))


if __name__ == "__main__":
    Gst.init(None)
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        play(*sys.argv[2:])
