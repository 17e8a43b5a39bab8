"""Temporary credentials: directory-bucket sessions and IBM's bearer tokens."""

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from aios3get.testing.credentials import ServerCredentials
from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import Response, iso_time

__all__ = ["bearer_token_response", "session_response"]


def session_response(session: ServerCredentials, expires_at: datetime) -> Response:
    """Return the response to CreateSession.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html
    """
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>'
        f"<SessionToken>{session.session_token}</SessionToken>"
        f"<SecretAccessKey>{session.secret_access_key}</SecretAccessKey>"
        f"<AccessKeyId>{session.access_key_id}</AccessKeyId>"
        f"<Expiration>{iso_time(expires_at)}</Expiration>"
        "</Credentials></CreateSessionResult>"
    )
    return Response(200, (("Content-Type", "application/xml"),), document.encode())


def bearer_token_response(
    request: RecordedRequest,
    api_keys: set[str],
    tokens: dict[str, datetime],
    lifetime: timedelta,
    now: datetime,
) -> Response:
    """Return the response of IBM's ``/identity/token``; a new token is added to ``tokens``.

    https://cloud.ibm.com/apidocs/iam-identity-token-api
    """
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    grant = "urn:ibm:params:oauth:grant-type:apikey"
    if form.get("grant_type") != grant or form.get("apikey") not in api_keys:
        error = {
            "errorCode": "BXNIM0415E",
            "errorMessage": "Provided API key could not be found.",
        }
        return _json(400, error)
    token = secrets.token_urlsafe(60)
    tokens[token] = expires_at = now + lifetime
    return _json(
        200,
        {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": int(lifetime.total_seconds()),
            "expiration": int(expires_at.timestamp()),
            "scope": "ibm openid",
        },
    )


def _json(status: int, document: Mapping[str, object]) -> Response:
    body = json.dumps(document).encode()
    return Response(status, (("Content-Type", "application/json"),), body)
