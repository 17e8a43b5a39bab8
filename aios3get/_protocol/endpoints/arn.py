"""Amazon Resource Names: the long form of an access point's name."""

import re
from dataclasses import dataclass

from aios3get.errors import ConfigurationError

__all__ = ["Arn", "parse_arn"]

_separators = re.compile("[:/]")


@dataclass(frozen=True, slots=True)
class Arn:
    """``arn:partition:service:region:account:resource``, taken apart.

    Attributes:
        text: the ARN as it was written.
        partition: such as ``aws`` or ``aws-cn``.
        service: such as ``s3`` or ``s3-outposts``.
        region: empty for what belongs to no region.
        account: the owner's account id; may be empty.
        resource: the resource, split at ``:`` and ``/``: the type, then its names.
    """

    text: str
    partition: str
    service: str
    region: str
    account: str
    resource: tuple[str, ...]


def parse_arn(text: str) -> Arn:
    """The parts of an ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html

    Raises:
        ConfigurationError: a field that every ARN has is missing or empty.
    """
    fields = text.split(":", 5)
    if len(fields) < 6 or not all((fields[0] == "arn", fields[1], fields[2], fields[5])):
        raise ConfigurationError(
            f"bucket={text!r} is not an ARN; one has six fields, "
            "'arn:partition:service:region:account:resource', and only region and account "
            "may be empty"
        )
    _, partition, service, region, account, resource = fields
    return Arn(text, partition, service, region, account, tuple(_separators.split(resource)))
