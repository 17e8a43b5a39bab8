"""AWS's partitions, which decide the DNS suffix of a region's hosts.

The facts are those of ``partitions.json`` in AWS's SDKs. S3's endpoint rules use one suffix for
single-stack and dual-stack hosts.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["PARTITIONS", "Partition", "partition_of"]


@dataclass(frozen=True, slots=True)
class Partition:
    """One AWS partition.

    Attributes:
        name: the second field of an ARN.
        dns_suffix: the end of S3's host names.
        matches: whether a region's name has the partition's form, so that regions which open after
            this release are recognized.
    """

    name: str
    dns_suffix: str
    matches: Callable[[str], object]


def _partition(name: str, dns_suffix: str, regions: str) -> Partition:
    return Partition(name, dns_suffix, re.compile(regions).fullmatch)


PARTITIONS = (
    _partition("aws", "amazonaws.com", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+|aws-global"),
    _partition("aws-cn", "amazonaws.com.cn", r"cn-\w+-\d+|aws-cn-global"),
    _partition("aws-eusc", "amazonaws.eu", r"eusc-de-\w+-\d+"),
    _partition("aws-iso", "c2s.ic.gov", r"us-iso-\w+-\d+|aws-iso-global"),
    _partition("aws-iso-b", "sc2s.sgov.gov", r"us-isob-\w+-\d+|aws-iso-b-global"),
    _partition("aws-iso-e", "cloud.adc-e.uk", r"eu-isoe-\w+-\d+|aws-iso-e-global"),
    _partition("aws-iso-f", "csp.hci.ic.gov", r"us-isof-\w+-\d+|aws-iso-f-global"),
    _partition("aws-us-gov", "amazonaws.com", r"us-gov-\w+-\d+|aws-us-gov-global"),
)


def partition_of(region: str) -> Partition:
    """The region's partition; ``aws`` for a region that matches none."""
    for partition in PARTITIONS:
        if partition.matches(region):
            return partition
    return PARTITIONS[0]
