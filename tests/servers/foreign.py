"""Requests signed by botocore and sent by ``http.client``.

The URL is sent exactly as signed; botocore's own HTTP layer may rewrite a path.
"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from tests.servers.process import RealServer

__all__ = ["Response", "botocore_client", "ensure_bucket", "fetch", "put_object", "send_signed"]


@dataclass(frozen=True, slots=True)
class Response:
    """A response with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def botocore_client(server: RealServer, **options: Any) -> Any:
    """botocore's S3 client for the server."""
    config = Config(
        # rclone and Ceph refuse botocore's checksum trailers over TLS.
        request_checksum_calculation="when_required",
        s3={"addressing_style": "path"},
        signature_version="s3v4",
        retries={"max_attempts": 0},
        **options,
    )
    return botocore.session.Session().create_client(
        "s3",
        region_name=server.region,
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        config=config,
    )


def send_signed(
    server: RealServer,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Sign and send a request for an encoded path."""
    url = server.endpoint_url + path
    request = AWSRequest(method=method, url=url, data=body, headers=dict(headers or {}))
    keys = Credentials(server.access_key_id, server.secret_access_key)
    S3SigV4Auth(keys, "s3", server.region).add_auth(request)
    return fetch(url, method, body, dict(request.headers.items()))


def fetch(
    url: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Response:
    """Send a request as it is."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(
            method, url.removeprefix(f"{parts.scheme}://{parts.netloc}"), body, dict(headers or {})
        )
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, fields, response.read())
    finally:
        connection.close()


def ensure_bucket(server: RealServer, bucket: str) -> None:
    """Create the bucket unless it exists."""
    client = botocore_client(server)
    if bucket not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=bucket)
    client.close()


def put_object(server: RealServer, bucket: str, key: str, body: bytes, **headers: str) -> Response:
    """Put an object under exactly this key; ``headers`` are spelled with underscores.

    Raises:
        ValueError: the server refused it.
    """
    path = f"/{bucket}/{quote(key, safe='/~')}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = send_signed(server, "PUT", path, body, sent)
    if response.status != 200:
        reason = f"{response.status} {response.body[:500]!r}"
        raise ValueError(f"{server.name} refused {key!r}: {reason}")
    return response
