"""The JSON objects in which services, tools and cache files store credentials."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from aios3get._protocol.identity import Credentials
from aios3get.errors import ConfigurationError, CredentialsError

__all__ = ["Document"]

_is_visible = re.compile(r"[!-~]+").fullmatch


class Document:
    """A JSON object with secrets: errors name its members and its origin, but never a value.

    Args:
        members: the object's members.
        origin: its name in errors, such as ``"the response from 169.254.169.254"``.
    """

    __slots__ = ("members", "origin")

    def __init__(self, members: Mapping[str, object], origin: str) -> None:
        self.members = members
        self.origin = origin

    @classmethod
    def parse(cls, data: bytes, origin: str) -> "Document":
        """Parse UTF-8 JSON text.

        Raises:
            CredentialsError: the text is not a JSON object.
        """
        try:
            members: object = json.loads(data)
        except (ValueError, RecursionError):
            # Their texts quote the document.
            members = None
        if not isinstance(members, dict):
            # Error reporters send the locals of a frame that raises.
            del data, members
            raise CredentialsError(f"{origin} is not a JSON object")
        return cls(cast("dict[str, object]", members), origin)

    def text(self, name: str) -> str:
        """Return a mandatory member.

        Raises:
            CredentialsError: it is missing, empty or not a string.
        """
        value = self.optional_text(name)
        if value is None:
            raise CredentialsError(f"{self.origin} has no {name}")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a member, or None if it is missing, null or empty.

        Raises:
            CredentialsError: it is not a string.
        """
        value = self.members.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            del value
            raise CredentialsError(f"{self.origin} has a {name} that is not a string")
        return value

    def header_text(self, name: str) -> str:
        """Return a mandatory member that can be sent in a header.

        Raises:
            CredentialsError: it is missing, or not printable ASCII without spaces.
        """
        value = self.text(name)
        if not _is_visible(value):
            del value
            raise CredentialsError(f"{self.origin} has a {name} that cannot be sent in a header")
        return value

    def timestamp(self, name: str) -> datetime:
        """Parse a member in ISO 8601 format with a time zone, such as ``2030-01-31T12:00:00Z``.

        Raises:
            CredentialsError: it is missing, malformed or without a time zone.
        """
        # Some versions of the AWS CLI wrote "UTC" for "Z".
        text = re.sub("UTC$", "Z", self.text(name))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise CredentialsError(
                f"{self.origin} has an {name} that is not a time like 2030-01-31T12:00:00Z"
            )
        return moment

    def moment(self, name: str, since: datetime, unit: timedelta) -> datetime:
        """Return ``since`` plus the number of units in a member.

        Args:
            name: the member, a number.
            since: the start of the count.
            unit: the unit of the number.

        Raises:
            CredentialsError: the member is missing, or not a number, or too large.
        """
        value = self.members.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CredentialsError(f"{self.origin} has no number {name}")
        try:
            return since + value * unit
        except (OverflowError, ValueError):
            raise CredentialsError(f"{self.origin} has an {name} out of range") from None

    def object(self, name: str) -> "Document":
        """Return a member that must be an object.

        Raises:
            CredentialsError: it is missing or not an object.
        """
        value = self.members.get(name)
        if not isinstance(value, dict):
            del value
            raise CredentialsError(f"{self.origin} has no object {name}")
        return Document(cast("dict[str, object]", value), self.origin)

    def credentials(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None,
        expires_at: datetime | None,
    ) -> Credentials:
        """Return credentials from two members of this object.

        Args:
            access_key_id: the name of the member with the access key's id.
            secret_access_key: the name of the member with the secret.
            session_token: the session token itself.
            expires_at: when the credentials expire.

        Raises:
            CredentialsError: a member is missing, or a value is invalid.
        """
        keys = self.text(access_key_id), self.text(secret_access_key)
        try:
            return Credentials(*keys, session_token, expires_at)
        except ConfigurationError as error:
            raise CredentialsError(f"{self.origin} has invalid credentials: {error}") from None
