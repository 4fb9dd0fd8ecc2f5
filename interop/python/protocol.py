"""The loop of a driver: requests from standard input, answers to standard output."""

import json
import logging
import pathlib
import re
import sys

ID, SECRET = "LTAIloop", "SKloop"


class Unsupported(Exception):
    """What the interface of the SDK cannot express."""


def text(path):
    return pathlib.Path(path).read_text()


def host(url):
    return url.removeprefix("http://")


def span(request):
    """The range that is asked for, as (first, last); either can be None."""
    if "range" not in request:
        return None
    first, last = request["range"].split("-")
    return (int(first) if first else None, int(last) if last else None)


def stream(path):
    """The bytes of a file as an iterator, whose length nobody knows."""
    with open(path, "rb") as file:
        while piece := file.read(8192):
            yield piece


def save(path, pieces):
    """Keeps what an SDK gives, even if it fails in the middle."""
    with open(path, "wb") as file:
        for piece in pieces:
            file.write(piece)


def serve(sdk, version, write, read):
    """Answers requests until the end of the input."""
    logging.disable(logging.CRITICAL)
    # Some SDKs print; only answers belong on standard output.
    out, sys.stdout = sys.stdout, sys.stderr

    def say(answer):
        print(json.dumps(answer), file=out, flush=True)

    say({"sdk": sdk, "version": version})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            {"write": write, "read": read}[request["do"]](request)
            say({"ok": True})
        except Unsupported as error:
            say({"unsupported": str(error)})
        except Exception as error:
            words = re.sub(r"\s+", " ", "%s: %s" % (type(error).__name__, error))
            say({"error": words[:300]})
