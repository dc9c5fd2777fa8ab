"""What all clients need: statements, requests, comparing."""

import time
import urllib.request

TOKEN = str(time.time_ns())


def sql(url, text, database="public"):
    request = urllib.request.Request(f"{url}/api/v1/sql?db={database}", data=text.encode(), method="POST")
    with urllib.request.urlopen(request) as reply:
        return reply.read().decode().splitlines()[1:]


def post(url, path, body, headers=None):
    request = urllib.request.Request(url + path, data=body.encode(), headers=headers or {}, method="POST")
    with urllib.request.urlopen(request) as reply:
        return reply.status, reply.read().decode()


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")
