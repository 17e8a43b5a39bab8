"""AWS's partitions, which determine the DNS suffix of a region's hosts.

The data is that of ``partitions.json`` in AWS's SDKs. S3's endpoint rules use one suffix for
single-stack and dual-stack hosts.
"""

import re
from functools import lru_cache
from typing import NamedTuple

__all__ = ["PARTITIONS", "Partition", "partition_of"]


class Partition(NamedTuple):
    """One AWS partition.

    Attributes:
        name: the second field of an ARN.
        dns_suffix: the end of S3's host names.
        regions: a regular expression for the names of its regions, including future ones.
    """

    name: str
    dns_suffix: str
    regions: str

    def matches(self, region: str) -> bool:
        """Whether the region's name matches the partition."""
        return re.fullmatch(self.regions, region) is not None


PARTITIONS = (
    Partition("aws", "amazonaws.com", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+|aws-global"),
    Partition("aws-cn", "amazonaws.com.cn", r"cn-\w+-\d+|aws-cn-global"),
    Partition("aws-eusc", "amazonaws.eu", r"eusc-de-\w+-\d+"),
    Partition("aws-iso", "c2s.ic.gov", r"us-iso-\w+-\d+|aws-iso-global"),
    Partition("aws-iso-b", "sc2s.sgov.gov", r"us-isob-\w+-\d+|aws-iso-b-global"),
    Partition("aws-iso-e", "cloud.adc-e.uk", r"eu-isoe-\w+-\d+|aws-iso-e-global"),
    Partition("aws-iso-f", "csp.hci.ic.gov", r"us-isof-\w+-\d+|aws-iso-f-global"),
    Partition("aws-us-gov", "amazonaws.com", r"us-gov-\w+-\d+|aws-us-gov-global"),
)


@lru_cache(maxsize=256)
def partition_of(region: str) -> Partition:
    """Return the region's partition; ``aws`` for a region that matches none."""
    for partition in PARTITIONS:
        if partition.matches(region):
            return partition
    return PARTITIONS[0]
