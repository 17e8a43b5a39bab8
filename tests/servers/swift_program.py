"""The process behind ``swift_server``, after eventlet has patched the standard library.

Proxy, account, container and object server are green threads of this one process: one replica, no
memcached, no background daemons. The kernel chooses the ports; they are written to a file once all
of them listen.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import eventlet

from tests.servers.process import (
    ACCESS_KEY_ID,
    OTHER_ACCESS_KEY_ID,
    OTHER_SECRET_ACCESS_KEY,
    SECRET_ACCESS_KEY,
)

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

STORAGE = ("account", "container", "object")

STORAGE_CONF = """
[DEFAULT]
swift_dir = {folder}/etc
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
auto_create_account_prefix = .
"""

PROXY_CONF = """
[DEFAULT]
swift_dir = {folder}/etc
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck s3api users tempauth bulk copy slo dlo \
versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = {region}
storage_domain = {domains}
s3_acl = false
check_bucket_owner = false
[filter:users]
paste.filter_factory = tests.servers.swift_program:users
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
user_test_other = {other_secret}
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
"""
PLAIN_FILTERS = (
    "catch_errors",
    "gatekeeper",
    "healthcheck",
    "bulk",
    "copy",
    "slo",
    "dlo",
    "symlink",
)


def users(_: dict[str, str], **__: str) -> Callable[[App], App]:
    """A filter between s3api and tempauth, whose access keys can only read ``account:user``."""
    names = {ACCESS_KEY_ID: "test:tester", OTHER_ACCESS_KEY_ID: "test:other"}

    def around(app: App) -> App:
        def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            signed = environ.get("s3api.auth_details")
            name = names.get(signed["access_key"]) if signed else None
            if signed and name:
                path = environ["PATH_INFO"].replace(signed["access_key"], name, 1)
                environ["PATH_INFO"] = path
                signed["access_key"] = name
            return app(environ, start_response)

        # s3api walks down the pipeline through this attribute
        call.app = app  # type: ignore[attr-defined]
        return call

    return around


def write_configuration(folder: Path, region: str, domains: Iterable[str]) -> None:
    etc = folder / "etc"
    etc.mkdir()
    (etc / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = test\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    for name in STORAGE:
        (etc / f"{name}.conf").write_text(STORAGE_CONF.format(folder=folder, name=name))
    proxy = PROXY_CONF.format(
        folder=folder,
        region=region,
        domains=", ".join(domains),
        secret=SECRET_ACCESS_KEY,
        other_secret=OTHER_SECRET_ACCESS_KEY,
    )
    filters = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN_FILTERS)
    (etc / "proxy.conf").write_text(proxy + filters)


def listen() -> Any:
    return eventlet.listen(("127.0.0.1", 0))


def port_of(listener: Any) -> int:
    port: int = listener.getsockname()[1]
    return port


def write_ring(folder: Path, name: str, port: int) -> None:
    """One partition on one device, which the storage server on that port holds."""
    from swift.common.ring import RingData

    address = {"ip": "127.0.0.1", "port": port}
    replication = {f"replication_{field}": value for field, value in address.items()}
    place = {"id": 0, "region": 1, "zone": 0, "weight": 1.0, "device": "disk", "meta": ""}
    # 30 = 32 bits of hash less the 2 that tell four partitions apart
    ring = RingData([[0, 0, 0, 0]], [place | address | replication], 30)
    ring.save(str(folder / "etc" / f"{name}.ring.gz"))


def serve(settings: dict[str, Any]) -> None:
    from eventlet import wsgi
    from swift.common.http_protocol import SwiftHttpProtocol
    from swift.common.utils import set_swift_dir
    from swift.common.wsgi import loadapp

    folder = Path(settings["folder"])
    write_configuration(folder, settings["region"], settings["domains"])
    (folder / "devices" / "disk").mkdir(parents=True)
    set_swift_dir(str(folder / "etc"))

    def start(listener: Any, app: object) -> object:
        # keys of 1,024 bytes are three times as long on the wire
        return eventlet.spawn(
            wsgi.server,
            listener,
            app,
            protocol=SwiftHttpProtocol,
            capitalize_response_headers=False,
            log=logging.getLogger("wsgi"),
            url_length_limit=65536,
        )

    for name in STORAGE:
        listener = listen()
        write_ring(folder, name, port_of(listener))
        start(listener, loadapp(str(folder / "etc" / f"{name}.conf")))
    proxy = loadapp(str(folder / "etc" / "proxy.conf"))
    plain, secure = listen(), listen()
    ports = {"http": port_of(plain), "https": port_of(secure)}
    chain, key = settings["certificate"]
    wrapped = eventlet.wrap_ssl(secure, certfile=chain, keyfile=key, server_side=True)
    running = [start(plain, proxy), start(wrapped, proxy)]
    announce(Path(settings["ready"]), ports)
    for server in running:
        server.wait()  # type: ignore[attr-defined]


def announce(file: Path, ports: dict[str, int]) -> None:
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(ports))
    os.replace(unfinished, file)


def main() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    serve(json.loads(sys.argv[1]))
