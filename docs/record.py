"""Records a put that is interrupted and goes on, as an animated SVG.

usage: record.py ENVELOPE LOOPBACK_BUCKET OUTPUT.svg

The commands run in a terminal of 80 columns, against a slow store on 127.0.0.1; what the terminal
shows is what is drawn.
"""

import html
import os
import pathlib
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl

import pyte

ENVELOPE, SERVER, OUTPUT = sys.argv[1:]
COLUMNS, LINES, PAUSE = 80, 14, 1.2
put = "envelope put film.mkv oss://bucket/ --key keys/private_key.pem"
screen = pyte.Screen(COLUMNS, LINES)
stream = pyte.ByteStream(screen)
frames = []


def snapshot(now):
    shown = tuple(line.rstrip() for line in screen.display)
    if not frames or frames[-1][1] != shown:
        frames.append((now, shown))


def play(line, folder, variables, begun, interrupt_after=None):
    """Types a line, runs it, and records what appears."""
    stream.feed(b"$ ")
    for letter in line:
        stream.feed(letter.encode())
    snapshot(time.monotonic() - begun)
    time.sleep(PAUSE)
    stream.feed(b"\r\n")
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    started = time.monotonic()
    process = subprocess.Popen(
        line.split(), cwd=folder, env=variables, stdin=follower, stdout=follower, stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    while True:
        if interrupt_after and time.monotonic() - started > interrupt_after:
            stream.feed(b"^C")
            process.send_signal(signal.SIGINT)
            interrupt_after = None
        ready, _, _ = select.select([leader], [], [], 0.2)
        if ready:
            try:
                data = os.read(leader, 65536)
            except OSError:
                break
            if not data:
                break
            stream.feed(data)
        elif process.poll() is not None:
            break
        snapshot(time.monotonic() - begun)
    os.close(leader)
    process.wait()
    snapshot(time.monotonic() - begun)
    time.sleep(PAUSE)
    return process.returncode


def record():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "bin").mkdir()
        (folder / "bin/envelope").symlink_to(pathlib.Path(ENVELOPE).resolve())
        (folder / "film.mkv").write_bytes(os.urandom(96 << 20))
        subprocess.run([ENVELOPE, "keygen", "rsa", "--out", folder / "keys"], check=True)
        server = subprocess.Popen([SERVER, "--latency", "700"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        variables = {
            "PATH": f"{folder}/bin",
            "HOME": name,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "OSS_ENDPOINT": server.stdout.readline().strip(),
            "OSS_REGION": "cn-hangzhou",
            "OSS_ACCESS_KEY_ID": "LTAIloop",
            "OSS_ACCESS_KEY_SECRET": "SKloop",
        }
        os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
        begun = time.monotonic()
        status = play(put, folder, variables, begun, interrupt_after=3.4)
        assert status == 130, (status, frames[-1])
        assert play(put, folder, variables, begun) == 0
        assert play("envelope ls -l oss://bucket/", folder, variables, begun) == 0
        server.stdin.close()
        server.wait()
        return time.monotonic() - begun + 2


def draw(seconds):
    """Each frame is shown for its time, and then it starts again."""
    width, height = COLUMNS * 8.4 + 24, LINES * 18 + 24
    style = ["text{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#dde;white-space:pre}"]
    shapes = []
    ends = [start for start, _ in frames[1:]] + [seconds]
    for number, ((start, lines), end) in enumerate(zip(frames, ends)):
        first, last = 100 * start / seconds, 100 * end / seconds
        hidden = f"0%,{max(first - 0.001, 0):.3f}%{{visibility:hidden}}" if first else ""
        after = f"{last:.3f}%,100%{{visibility:hidden}}" if last < 100 else ""
        style.append(
            f"@keyframes f{number}{{{hidden}{first:.3f}%,{last - 0.001:.3f}%"
            f"{{visibility:visible}}{after}}}"
            f"#f{number}{{visibility:hidden;animation:f{number} {seconds:.1f}s step-end infinite}}"
        )
        texts = "".join(
            f'<text x="12" y="{28 + 18 * row}" xml:space="preserve">{html.escape(line)}</text>'
            for row, line in enumerate(lines)
            if line
        )
        shapes.append(f'<g id="f{number}">{texts}</g>')
    still = f"@media(prefers-reduced-motion:reduce){{g{{animation:none!important}}"
    still += f"#f{len(frames) - 1}{{visibility:visible!important}}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">'
        "<title>envelope put, interrupted, goes on where it was</title>"
        f"<style>{''.join(style)}{still}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#1b1f2a"/>{"".join(shapes)}</svg>\n'
    )


if __name__ == "__main__":
    pathlib.Path(OUTPUT).write_text(draw(record()))
    print(f"{OUTPUT}: {len(frames)} frames")
