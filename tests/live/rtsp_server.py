"""A small RTSP server whose faults a test commands.

Real servers fail at moments of their own. This one does what a *script* says, a function of one argument, the `Viewer`
who has just asked to play::

    def script(viewer):
        viewer.send(range(20))         # pictures of the film, as RTP packets
        viewer.report()                # an RTCP sender report
        viewer.until(half_read)        # an event that the test sets
        viewer.reset()                 # breaks the connection off

    with RtspServer(script) as server:
        frames = open_source(server.url)

When a script returns, the server is silent and the connection stays open. With several scripts the first viewer has the
first, and so on; the last one serves all who follow. Nothing depends on how fast anybody is: packets are sent as fast
as the viewer takes them, time is what the packets say, and where a fault must come after something else, the script
waits for an event.

The messages are those of RFC 2326 (RTSP 1.0), packets over TCP are interleaved with them (section 10.12), RTP and RTCP
are RFC 3550, H.264 in RTP is RFC 6184. The server binds to 127.0.0.1.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from tests.live.film import Film, film
from tests.live.rtp import PAYLOAD_TYPE, TICKS_PER_S, Sender

_REALM, _NONCE = "camera", "1f2e3d"
_WAIT_S = 60.0  # a test that has failed sets no event

Script = Callable[["Viewer"], object]


class RtspServer:
    """Serves one camera at `url`, whose viewers see what the `scripts` say.

    - `password`: a user and a password, asked for as `scheme` says, "Basic" or "Digest".
    - `over`: the transports that the camera offers, of "tcp" and "udp"; others are refused with status 461.
    - `redirect_to`: DESCRIBE is answered with status 302 and this address.
    - `describe`: bytes that answer DESCRIBE instead, followed by `endless`, which is sent again and again, `pause_s`
      apart, until the viewer goes.
    - `status`: the status of DESCRIBE, 200 if all is well.
    - `sound`: the camera offers sound too, of which nothing is sent.

    `viewers` counts those who came, and `requests` holds the first lines of what they asked.
    """

    def __init__(
        self,
        *scripts: Script,
        reel: Film | None = None,
        password: tuple[str, str] | None = None,
        scheme: str = "Digest",
        over: tuple[str, ...] = ("tcp", "udp"),
        redirect_to: str | None = None,
        describe: bytes | None = None,
        endless: bytes = b"",
        pause_s: float = 0,
        status: str = "200 OK",
        sound: bool = False,
    ) -> None:
        self.reel = film() if reel is None else reel
        self.password, self.scheme, self.over, self.redirect_to = password, scheme, over, redirect_to
        self.describe, self.endless, self.pause_s, self.status, self.sound = describe, endless, pause_s, status, sound
        self.requests: list[str] = []
        self.viewers: list[Viewer] = []
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"rtsp://{self.address}/live"

    def __enter__(self) -> RtspServer:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A listener that is only closed goes on listening while a thread waits in it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for viewer in self.viewers:
            viewer.end()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                viewer = Viewer(self, connection, self._scripts)
                self.viewers.append(viewer)
                viewer.begin()


class Viewer(Sender):
    """A client of the server; scripts command what it is sent, over the `channel` "tcp" or "udp"."""

    def __init__(self, server: RtspServer, connection: socket.socket, scripts: tuple[Script, ...]) -> None:
        super().__init__(server.reel)
        self.left = threading.Event()  # set when the viewer has gone, or is to go
        self._server, self._connection, self._scripts = server, connection, scripts
        self._file = connection.makefile("rb")
        self._sending = threading.Lock()
        self._vanished = False
        self.channel = "tcp"
        self._ports: tuple[socket.socket, socket.socket] | None = None
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._script: threading.Thread | None = None

    def until(self, event: threading.Event) -> None:
        """Wait for the test to set `event`; ends the script when the viewer goes first."""
        for _ in range(round(_WAIT_S / 0.01)):
            if event.wait(0.01):
                return
            if self.left.is_set():
                break
        raise ConnectionError("nobody waits for this script any more")

    def finish(self) -> None:
        """Say that nothing more will be sent, and go on to listen."""
        self._connection.shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """Answer nothing any more, as a camera without power: to the other side the connection is open."""
        self._vanished = True

    def close(self) -> None:
        """End the connection in an orderly way."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break the connection off: the other side meets an error, and no end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A thread is reading, and keeps the connection open: `_serve` closes it when nothing more can be read.
        self._connection.shutdown(socket.SHUT_RD)

    def begin(self) -> None:
        """Answer requests; called by the server."""
        self._serving.start()

    def end(self) -> None:
        """Let go of the viewer, and wait until its script has ended; called by the server."""
        self.left.set()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._serving.join()

    def _serve(self) -> None:
        with suppress(OSError, ValueError):
            while request := self._read_request():
                if not self._vanished:
                    self._answer(*request)
        self.left.set()
        if self._script is not None:
            self._script.join()
        for port in self._ports or ():
            port.close()
        self._file.close()
        self._connection.close()

    def _read_request(self) -> tuple[str, str, dict[str, str]] | None:
        """Return the method, URL and fields of the next request, None at the end; skip the packets of the viewer."""
        while (first := self._file.read(1)) == b"$":
            self._file.read(struct.unpack(">xH", self._file.read(3))[0])
        line = (first + self._file.readline()).decode()
        if not line.strip():
            return None
        self._server.requests.append(line.strip())
        fields = {}
        while field := self._file.readline().decode().strip():
            name, _, value = field.partition(":")
            fields[name.lower()] = value.strip()
        method, url, _ = line.split()
        return method, url, fields

    def _answer(self, method: str, url: str, fields: dict[str, str]) -> None:
        server = self._server
        reply, body = ["RTSP/1.0 200 OK"], b""
        if server.password and method != "OPTIONS" and not self._is_allowed(method, fields.get("authorization", "")):
            nonce = f', nonce="{_NONCE}"' if server.scheme == "Digest" else ""
            reply = ["RTSP/1.0 401 Unauthorized", f'WWW-Authenticate: {server.scheme} realm="{_REALM}"{nonce}']
        elif method == "OPTIONS":
            reply.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN")
        elif method == "DESCRIBE" and server.describe is not None:
            self._send(server.describe)
            while server.endless:
                self._send(server.endless)
                self.left.wait(server.pause_s)
            return
        elif method == "DESCRIBE":
            reply, body = self._description()
        elif method == "SETUP":
            reply = self._set_up(fields["transport"])
        reply += [f"CSeq: {fields['cseq']}", "Session: 1", f"Content-Length: {len(body)}"]
        self._send("\r\n".join([*reply, "", ""]).encode() + body)
        if method == "PLAY" and self._script is None:
            self._play()

    def _description(self) -> tuple[list[str], bytes]:
        server = self._server
        if server.redirect_to is not None:
            return ["RTSP/1.0 302 Found", f"Location: {server.redirect_to}"], b""
        sets = ",".join(base64.b64encode(each).decode() for each in (self.reel.sps, self.reel.pps))
        lines = [
            *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 127.0.0.1", "t=0 0"),
            *(f"m=video 0 RTP/AVP {PAYLOAD_TYPE}", f"a=rtpmap:{PAYLOAD_TYPE} H264/{TICKS_PER_S}"),
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sets}",
            *(f"a=framerate:{float(self.reel.rate):g}", "a=control:trackID=0"),
        ]
        lines += ["m=audio 0 RTP/AVP 0", "a=control:trackID=1"] if server.sound else []
        kind = [] if server.status != "200 OK" else ["Content-Type: application/sdp"]
        return [f"RTSP/1.0 {server.status}", *kind], "\r\n".join([*lines, ""]).encode() if kind else b""

    def _set_up(self, transport: str) -> list[str]:
        self.channel = "tcp" if "interleaved" in transport else "udp"
        if self.channel not in self._server.over:
            return ["RTSP/1.0 461 Unsupported Transport"]
        if found := re.search(r"client_port=(\d+)-(\d+)", transport):
            self._ports = (_connected(int(found[1])), _connected(int(found[2])))
            ports = "-".join(str(port.getsockname()[1]) for port in self._ports)
            transport += f";server_port={ports}"
        return ["RTSP/1.0 200 OK", f"Transport: {transport}"]

    def _is_allowed(self, method: str, given: str) -> bool:
        """Return whether the viewer has proven to know the password (RFC 7617; RFC 2617, section 3.2.2)."""
        assert self._server.password is not None
        user, password = self._server.password
        if self._server.scheme == "Basic":
            return given == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        values = dict(re.findall(r'(\w+)="([^"]*)"', given))
        secret, asked = _md5(f"{user}:{_REALM}:{password}"), _md5(f"{method}:{values.get('uri')}")
        return values.get("response") == _md5(f"{secret}:{_NONCE}:{asked}")

    def _play(self) -> None:
        played = sum(viewer._script is not None for viewer in self._server.viewers)
        script = self._scripts[min(played, len(self._scripts) - 1)]
        self._script = threading.Thread(target=self._perform, args=(script,), daemon=True)
        self._script.start()

    def _perform(self, script: Script) -> None:
        with suppress(OSError):  # the viewer went
            script(self)

    def transmit(self, channel: int, packet: bytes) -> None:
        """Send `packet` as the viewer has asked for it."""
        if self._ports is not None:
            self._ports[channel].send(packet)
        else:
            self._send(struct.pack(">cBH", b"$", channel, len(packet)) + packet)

    def _send(self, content: bytes) -> None:
        if self.left.is_set():
            raise ConnectionError("the viewer has gone")
        with self._sending:
            self._connection.sendall(content)


def _connected(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", 0))
    found.connect(("127.0.0.1", port))
    return found


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
