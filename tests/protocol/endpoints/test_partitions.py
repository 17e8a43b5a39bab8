import re

import botocore.session
import pytest

from aios3get._protocol.endpoints.partitions import PARTITIONS, partition_of

_botocore = botocore.session.Session().get_component("data_loader").load_data("partitions")
LISTED = [
    (region, partition["id"], partition["outputs"]["dnsSuffix"])
    for partition in _botocore["partitions"]
    for region in partition["regions"]
]
UNLISTED = [
    *("us-north-7", "eu-south-99", "ap-x1-2", "af-west-1", "mx-south-2", "il-east-3"),
    *("cn-south-9", "us-gov-north-1", "us-iso-north-2", "us-isob-south-3", "eu-isoe-east-4"),
    *(
        "us-isof-north-5",
        "eusc-de-west-6",
        "eusc-fr-west-6",
        "auto",
        "default",
        "us-east",
        "east-1",
    ),
    *("us-isog-east-1", "aws-nowhere-global", "fake-region-1", "us-east-1a", "xus-east-1"),
]


@pytest.mark.parametrize(("region", "name", "suffix"), LISTED)
def test_partition_of_every_listed_region(region: str, name: str, suffix: str) -> None:
    partition = partition_of(region)
    assert (partition.name, partition.dns_suffix) == (name, suffix)


@pytest.mark.parametrize("region", UNLISTED)
def test_partition_of_an_unlisted_region_follows_its_form(region: str) -> None:
    matching = [
        partition["id"]
        for partition in _botocore["partitions"]
        if re.match(partition["regionRegex"], region)
    ]
    assert [partition_of(region).name] == (matching or ["aws"])


def test_partitions_are_those_of_botocore() -> None:
    assert {partition.name for partition in PARTITIONS} == {
        partition["id"] for partition in _botocore["partitions"]
    }


def test_region_matches_a_single_partition() -> None:
    for region, *_ in LISTED:
        assert sum(partition.matches(region) for partition in PARTITIONS) == 1
