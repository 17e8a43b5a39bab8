"""A Ceph gateway with one monitor and one object store in memory, without root or installation.

For tests marked ``deep``. Its verifier of signatures is written in C++; it has SSE-C and tags, and
accepts AWS host names as Swift does. Unlike S3, its error messages are empty, it ignores region and
service of the scope, part numbers and checksums, and refuses
``STREAMING-UNSIGNED-PAYLOAD-TRAILER`` uploads (Ceph 16).
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.process import (
    ACCESS_KEY_ID,
    OTHER_ACCESS_KEY_ID,
    OTHER_SECRET_ACCESS_KEY,
    SECRET_ACCESS_KEY,
    RealServer,
    running,
    wait_until,
)
from tests.servers.tls import AWS_DOMAINS, Authority

__all__ = ["Ceph", "find_ceph", "radosgw_server"]

_programs = (
    "radosgw",
    "radosgw-admin",
    "ceph-mon",
    "ceph-osd",
    "ceph-authtool",
    "monmaptool",
    "osdmaptool",
)

_conf = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon_port}]
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
# without cephx there is no secure mode, which radosgw insists on and waits 300 s for
ms_mon_client_mode = crc
ms_bind_ipv6 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
run_dir = {folder}
admin_socket = {folder}/$name.$pid.asok
log_file = {folder}/$name.log
keyring = {folder}/keyring
mon_data = {folder}/mon
osd_data = {folder}/osd
rgw_data = {folder}/rgw
crash_dir = {folder}/crash
{plugins}
osd_objectstore = memstore
memstore_device_bytes = 1073741824
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
# a monitor stops on a full disk, and this one keeps next to nothing
mon_data_avail_warn = 1
mon_data_avail_crit = 0
# propose at once: the default waits about a second before each of the many first map changes
paxos_propose_interval = 0.01
paxos_min_wait = 0.01
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_enable_gc_threads = false
rgw_rados_pool_pg_num_min = 1
rgw_crypt_require_ssl = false
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} \
ssl_certificate={chain} ssl_private_key={key}
"""


@dataclass(frozen=True, slots=True)
class Ceph:
    """Ceph's programs, and the environment and configuration that they need."""

    bin: Path
    env: Mapping[str, str]
    plugins: str = ""

    def command(self, program: str, *arguments: object) -> list[str]:
        return [str(self.bin / program), *map(str, arguments)]


def find_ceph() -> Ceph | str:
    """Ceph as installed, or unpacked below ``RADOSGW_ROOT``; or the reason why there is none."""
    root = os.environ.get("RADOSGW_ROOT")
    where = None if root is None else str(Path(root) / "usr" / "bin")
    found = {program: shutil.which(program, path=where) for program in _programs}
    missing = [program for program, path in found.items() if path is None]
    if missing:
        place = f"below RADOSGW_ROOT={root}" if root else "on PATH, and RADOSGW_ROOT is not set"
        return f"a Ceph gateway needs {', '.join(missing)}: not {place}; see docs/contributing.md"
    folder = Path(found["radosgw"] or "").parent
    return Ceph(folder, os.environ) if root is None else _unpacked(Path(root), folder)


def _unpacked(root: Path, folder: Path) -> Ceph:
    multiarch = f"{platform.machine()}-linux-gnu"
    libraries = [root / "usr/lib" / multiarch, root / "lib" / multiarch]
    ceph = libraries[0] / "ceph"
    path = ":".join(map(str, [*libraries, ceph]))
    plugins = (
        f"osd_class_dir = {libraries[0]}/rados-classes\n"
        f"erasure_code_dir = {ceph}/erasure-code\n"
        f"plugin_dir = {ceph}\n"
    )
    return Ceph(folder, {**os.environ, "LD_LIBRARY_PATH": path}, plugins)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def radosgw_server(folder: Path, authority: Authority, ceph: Ceph) -> Iterator[RealServer]:
    """Run monitor, object store and gateway, with data in memory and below ``folder``."""
    cluster = _Cluster(folder, ceph)
    mon_port, port, tls_port = _free_ports(3)
    chain, key = authority.server_files("radosgw")
    cluster.configure(
        mon_port=mon_port, port=port, tls_port=tls_port, chain=str(chain), key=str(key)
    )
    cluster.make_monitor(mon_port)
    with cluster.daemon("ceph-mon", "-i", "a"):
        cluster.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid.uuid4())
        with cluster.daemon("ceph-osd", "-i", "0"):
            cluster.make_users()
            cluster.name_hosts()
            with cluster.daemon("radosgw", "-n", "client.rgw") as process:
                wait_until(lambda: _listens(tls_port), process, cluster.log)
                urls = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
                yield RealServer("radosgw", *urls, authority.ca_file, cluster.log)


def _listens(port: int) -> bool | None:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return None
    return True


class _Cluster:
    def __init__(self, folder: Path, ceph: Ceph) -> None:
        self.folder = folder
        self.ceph = ceph
        self.fsid = str(uuid.uuid4())
        self.log = folder / "ceph.log"
        self.env = {**ceph.env, "CEPH_CONF": str(folder / "ceph.conf")}
        for name in ("mon", "osd", "rgw", "crash"):
            (folder / name).mkdir()

    def configure(self, **values: str | int) -> None:
        text = _conf.format(folder=self.folder, fsid=self.fsid, plugins=self.ceph.plugins, **values)
        (self.folder / "ceph.conf").write_text(text)

    def run(self, program: str, *arguments: object, stdin: str | None = None) -> str:
        with self.log.open("ab") as log:
            done = subprocess.run(
                self.ceph.command(program, *arguments),
                env=self.env,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=True,
                timeout=60,
            )
        return done.stdout

    def daemon(self, program: str, *arguments: object) -> Any:
        return running(self.ceph.command(program, "-f", *arguments), self.log, self.env)

    def make_monitor(self, port: int) -> None:
        """Create a monitor whose first map has the object store, which saves the ``ceph`` tool."""
        keyring, monmap, osdmap = (self.folder / n for n in ("keyring", "monmap", "osdmap"))
        self.run(
            "ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.",
            "--cap", "mon", "allow *",
        )  # fmt: skip
        address = f"[v2:127.0.0.1:{port}]"
        self.run("monmaptool", "--create", "--addv", "a", address, "--fsid", self.fsid, monmap)
        self.run("osdmaptool", "--createsimple", "1", osdmap, "--with-default-pool")
        self.run(
            "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--osdmap", osdmap,
            "--keyring", keyring,
        )  # fmt: skip

    def admin(self, *arguments: str, stdin: str | None = None) -> str:
        quiet = (f"--log-file={self.folder / 'admin.log'}", "--admin-socket=")
        return self.run("radosgw-admin", "-n", "client.rgw", *quiet, *arguments, stdin=stdin)

    def make_users(self) -> None:
        users = {
            "tester": (ACCESS_KEY_ID, SECRET_ACCESS_KEY),
            "other": (OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY),
        }
        for name, (access_key, secret) in users.items():
            self.admin(
                "user", "create", f"--uid={name}", f"--display-name={name}",
                f"--access-key={access_key}", f"--secret-key={secret}",
            )  # fmt: skip

    def name_hosts(self) -> None:
        """Set the endpoint's names: other hosts than these and addresses name buckets."""
        group = json.loads(self.admin("zonegroup", "get"))
        group["hostnames"] = ["localhost", *AWS_DOMAINS]
        group["api_name"] = "us-east-1"
        self.admin("zonegroup", "set", stdin=json.dumps(group))
