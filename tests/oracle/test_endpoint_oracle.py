import random
from collections import Counter
from dataclasses import fields, replace
from itertools import product
from math import prod
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError, InvalidRegionError
from botocore.handlers import VALID_BUCKET, VALID_S3_ARN
from botocore.utils import is_s3_accelerate_url, validate_region_name

from aios3get._protocol.endpoints.resolver import (
    AddressingStyle,
    Endpoint,
    EndpointSettings,
    resolve_endpoint,
    resolve_session_endpoint,
)
from aios3get.errors import ConfigurationError

REGIONS = (
    *("us-east-1", "us-west-2", "eu-central-1", "ap-southeast-7", "mx-central-1"),
    *("aws-global", "s3-external-1", "us-gov-west-1", "aws-us-gov-global"),
    *("cn-north-1", "aws-cn-global", "eusc-de-east-1", "us-iso-east-1", "us-isob-east-1"),
    *("eu-isoe-west-1", "us-isof-south-1", "xx-nowhere-9", "auto", "us_east_1", "a.b", "-a"),
)
OUTPOST = "01ac5d28a6a232904"
OUTPOST_REST = "e8xz5w8ijx1qzlbp3i3k"
NAMES = (
    *("amzn-s3-demo-bucket", "examplebucket", "3bucket", "a" * 63, "ab", "abc"),
    *("my.dotted.bucket", "My_Legacy.Bucket", "UPPER", "under_score", "192.168.5.4", "a..b"),
    *("-lead", "trail-", "a" * 64, "a.-b", "tenant:bucket", "s3alias"),
    "my-access-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
    "my-olap-aabbccddeeff00112233445566778899--ol-s3",
)
DIRECTORIES = (
    *("demo--usw2-az1--x-s3", "demo--usgw1-az1--x-s3", "demo--usw2-lax1-az1--x-s3"),
    *("demo--apne1-tpe1-az1--x-s3", "demo--use1-test-zone-az12--x-s3", "demo--az1--x-s3"),
    *("demo--usw2-az1--xa-s3", "demo--usw2-lax1-az1--xa-s3", "demo--az1--xa-s3"),
    *(
        "UP--usw2-az1--x-s3",
        "my.demo--usw2-az1--x-s3",
        "demo--xa-s3--x-s3",
        "--x-s3",
        "usw2-az1--x-s3",
    ),
)
ALIASES = (
    f"my-access-po-o{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-access-po-e{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-access-po-o{OUTPOST}{OUTPOST_REST}beta0--op-s3",
    f"my-access-po-e{OUTPOST}{OUTPOST_REST}beta0--op-s3",
    f"my-access-po-x{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-access-po-o-{OUTPOST[1:]}{OUTPOST_REST}use10--op-s3",
    f"My-access-po-o{OUTPOST}{OUTPOST_REST}use10--op-s3",
    f"my-long-access-point-o{OUTPOST}{OUTPOST_REST}use10--op-s3",
    "short--op-s3",
)
ARNS = (
    "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap",
    "arn:aws:s3:us-east-1:123456789012:accesspoint:my-ap",
    "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/my-ap",
    "arn:aws-us-gov:s3:us-gov-west-1:123456789012:accesspoint/my-ap",
    "arn:aws-iso:s3:us-iso-east-1:123456789012:accesspoint/my-ap",
    "arn:aws:s3:us-west-2::accesspoint/my-ap",
    "arn:aws:s3:us-west-2:123456789012:accesspoint",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/my_ap",
    "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap/object",
    "arn:aws:s3:us_west_2:123456789012:accesspoint/my-ap",
    "arn:aws:sqs:us-west-2:123456789012:accesspoint/my-ap",
    "arn:aws:s3:::amzn-s3-demo-bucket",
    "arn:aws:s3:::",
    "arn:aws:s3:us-west-2",
    "arn::s3:us-west-2:123456789012:accesspoint/my-ap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap",
    "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint:my-olap",
    "arn:aws:s3-object-lambda::123456789012:accesspoint/my-olap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:bucket/my-olap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap/more",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}/accesspoint/my-ap",
    f"arn:aws:s3-outposts:us-east-1:123456789012:outpost:op-{OUTPOST}:accesspoint:my-ap",
    f"arn:aws-us-gov:s3-outposts:us-gov-west-1:123456789012:outpost/op-{OUTPOST}/accesspoint/ap",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}/bucket/my-bucket",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}",
    f"arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-{OUTPOST}/accesspoint/my-ap/more",
    "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op_1/accesspoint/my-ap",
    "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap",
    "arn:aws-cn:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3::123456789012:accesspoint/my_mrap",
)
BUCKETS = NAMES + DIRECTORIES + ALIASES + ARNS
ENDPOINTS = (
    *(
        "https://s3.example.com",
        "http://localhost:9000",
        "http://localhost:80/",
        "HTTPS://Host:443",
    ),
    *("https://proxy.example.com/base/path/", "http://proxy.example.com:8080/base"),
    *("http://127.0.0.1:9000", "https://10.0.0.7", "http://127.0.0.1:9000/base"),
    *("http://[::1]:9000", "https://[2001:db8::1]/base", "https://s3.us-west-2.amazonaws.com"),
    *("https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",),
    *("https://s3-accelerate.amazonaws.com", "https://s3-external-1.amazonaws.com"),
)
STYLES = ("auto", "path", "virtual")
BOTH = (False, True)

_session = botocore.session.Session()
_session.set_credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
_loader = _session.get_component("data_loader")
_rules = EndpointProvider(
    _loader.load_service_model("s3", "endpoint-rule-set-1"), _loader.load_data("partitions")
).ruleset


class Found(NamedTuple):
    url: str
    schemes: tuple[tuple[str, str, str], ...]


def _without_usual_port(url: str) -> str:
    # botocore's rules put a bucket before an IPv6 address too, which urlsplit may refuse.
    scheme, _, rest = url.partition("://")
    netloc, slash, path = rest.partition("/")
    usual = ":443" if scheme == "https" else ":80"
    return f"{scheme}://{netloc.lower().removesuffix(usual)}{(slash + path).removesuffix('/')}"


def _forces_path(bucket: str, settings: EndpointSettings) -> bool:
    """What botocore's client makes of ``addressing_style`` before it asks the rules."""
    if settings.addressing_style != "auto" or settings.use_accelerate:
        return settings.addressing_style == "path"
    custom = settings.endpoint_url
    return not (custom is None or is_s3_accelerate_url(custom) or bucket.startswith("arn:"))


def theirs(bucket: str, settings: EndpointSettings, *, session: bool = False) -> Found | None:
    """botocore's answer, None for a refusal of its client or of the rules."""
    named_at_custom = settings.endpoint_url is not None and not bucket.startswith("arn:")
    if not (named_at_custom or VALID_BUCKET.search(bucket) or VALID_S3_ARN.search(bucket)):
        # botocore holds everybody to AWS's names; Ceph's "tenant:bucket" is none of them.
        return None
    given: dict[str, Any] = {
        "Bucket": bucket,
        "Region": settings.region,
        "Endpoint": settings.endpoint_url,
        "ForcePathStyle": _forces_path(bucket, settings),
        "UseFIPS": settings.use_fips,
        "UseDualStack": settings.use_dualstack,
        "Accelerate": settings.use_accelerate,
        "UseGlobalEndpoint": settings.use_global_endpoint,
        "UseArnRegion": settings.use_arn_region,
        "DisableAccessPoints": settings.disable_access_points,
        "DisableMultiRegionAccessPoints": settings.disable_multi_region_access_points,
        "DisableS3ExpressSessionAuth": session or settings.disable_s3_express_session_auth,
    }
    try:
        validate_region_name(settings.region)
        found = _rules.evaluate({name: value for name, value in given.items() if value is not None})
    except (EndpointProviderError, InvalidRegionError):
        return None
    schemes = tuple(
        (
            scheme["name"],
            scheme["signingName"],
            scheme.get("signingRegion") or ",".join(scheme["signingRegionSet"]),
        )
        for scheme in found.properties["authSchemes"]
    )
    return Found(_without_usual_port(found.url), schemes)


def ours(bucket: str, settings: EndpointSettings, *, session: bool = False) -> Endpoint | None:
    resolve = resolve_session_endpoint if session else resolve_endpoint
    try:
        return resolve(bucket, settings)
    except ConfigurationError:
        return None


def stricter(bucket: str, settings: EndpointSettings) -> bool:
    """Where the rules answer and we refuse: they would drop a setting, or name no possible host."""
    custom = settings.endpoint_url
    variant = settings.use_fips or settings.use_dualstack or settings.use_accelerate
    if bucket in ALIASES:
        return variant or custom is not None
    if not bucket.startswith("arn:") or custom is None:
        return False
    return "::123456789012:accesspoint" in bucket or _is_address(custom)


def _is_address(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return ":" in host or host.replace(".", "").isdigit()


def compare(bucket: str, settings: EndpointSettings, *, session: bool = False) -> str:
    expected, found = (
        theirs(bucket, settings, session=session),
        ours(bucket, settings, session=session),
    )
    told = f"{bucket!r}, {settings}: {expected} but {found}"
    if found is None:
        assert expected is None or stricter(bucket, settings), told
        return "both refuse" if expected is None else "stricter"
    assert expected is not None, told
    if _is_address(settings.endpoint_url or "") and "." in bucket and found.kind == "bucket":
        # The rules put a dotted name before an address when "virtual" is asked for over http.
        assert found.host == urlsplit(settings.endpoint_url or "").netloc, told
        return "path at address"
    assert found.url == expected.url, told
    # For Outposts the rules offer SigV4A first, then SigV4: ours is the one that needs no extra.
    plainest = expected.schemes[-1]
    assert (found.auth, found.signing_name, found.signing_region) == plainest, told
    if len(expected.schemes) > 1:
        assert found.kind == "outposts", told
        assert expected.schemes[0] == ("sigv4a", "s3-outposts", "*"), told
    return "same"


Switches = dict[str, tuple[Any, ...]]

EVERYTHING: Switches = {
    "region": REGIONS,
    "endpoint_url": (None, *ENDPOINTS),
    "addressing_style": STYLES,
    **{field.name: BOTH for field in fields(EndpointSettings) if field.type is bool},
}
VARIANTS: Switches = dict.fromkeys(("use_fips", "use_dualstack", "use_accelerate"), BOTH)
FAMILIES: dict[str, tuple[tuple[str, ...], Switches]] = {
    "names": (NAMES, {"addressing_style": STYLES, **VARIANTS, "use_global_endpoint": BOTH}),
    "directories": (
        DIRECTORIES,
        {
            "addressing_style": ("auto", "path"),
            **VARIANTS,
            "disable_s3_express_session_auth": BOTH,
        },
    ),
    "aliases": (ALIASES, {"addressing_style": ("auto", "path"), **VARIANTS}),
    "arns": (
        ARNS,
        {
            **VARIANTS,
            "use_arn_region": BOTH,
            "disable_access_points": BOTH,
        },
    ),
    "arns in other ways": (
        ARNS,
        {
            "addressing_style": STYLES,
            "use_arn_region": BOTH,
            "disable_multi_region_access_points": BOTH,
        },
    ),
}
SAMPLES = 8_000


def settings_of(switches: Switches, **fixed: Any) -> list[EndpointSettings]:
    return [
        EndpointSettings(**dict(zip(switches, values, strict=True)), **fixed)
        for values in product(*switches.values())
    ]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_switch_of_every_door_leads_where_the_rules_lead(family: str, region: str) -> None:
    buckets, switches = FAMILIES[family]
    for bucket, settings in product(buckets, settings_of(switches, region=region)):
        compare(bucket, settings)


@pytest.mark.parametrize("endpoint_url", ENDPOINTS)
def test_every_custom_endpoint_leads_where_the_rules_lead(endpoint_url: str) -> None:
    switches: Switches = {
        "region": ("us-east-1", "us-west-2", "aws-global"),
        "addressing_style": STYLES,
        "disable_s3_express_session_auth": BOTH,
    }
    for bucket, settings in product(BUCKETS, settings_of(switches, endpoint_url=endpoint_url)):
        compare(bucket, settings)


@pytest.mark.parametrize("seed", range(4))
def test_switches_of_all_doors_at_once_lead_where_the_rules_lead(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(SAMPLES // 4):
        values = {name: draw.choice(values) for name, values in EVERYTHING.items()}
        compare(draw.choice(BUCKETS), EndpointSettings(**values))


@pytest.mark.parametrize("endpoint_url", [None, *ENDPOINTS])
def test_sessions_are_created_where_the_rules_lead(endpoint_url: str | None) -> None:
    variants = VARIANTS if endpoint_url is None else {}
    switches: Switches = {"region": REGIONS[:9], "addressing_style": STYLES, **variants}
    outcomes: Counter[str] = Counter()
    for bucket, settings in product(DIRECTORIES, settings_of(switches)):
        there = replace(settings, endpoint_url=endpoint_url)
        outcomes[compare(bucket, there, session=True)] += 1
    assert outcomes["same"] > 0
    assert outcomes.keys() <= {"same", "both refuse"}


class SentToError(Exception):
    pass


def _sent_by_botocore(bucket: str, settings: EndpointSettings) -> str:
    """The URL of botocore's whole client, stopped where it would open a connection."""

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        raise SentToError(request.url)

    client = _session.create_client(
        "s3",
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        config=Config(s3={"addressing_style": settings.addressing_style}),
    )
    client.meta.events.register("before-send.s3", stop)
    with pytest.raises(SentToError) as sent:
        client.get_object(Bucket=bucket, Key="k")
    return str(sent.value)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("endpoint_url", [None, *ENDPOINTS[:4], ENDPOINTS[6], ENDPOINTS[-2]])
def test_addressing_styles_mean_what_they_mean_to_the_whole_of_botocore(
    endpoint_url: str | None, style: AddressingStyle
) -> None:
    settings = EndpointSettings("us-west-2", endpoint_url, style)
    for bucket in ("amzn-s3-demo-bucket", "UPPER", ARNS[0]):
        found = ours(bucket, settings)
        if found is None:
            # botocore drops "path" for an ARN without a word.
            assert bucket in ARNS
            assert style == "path" or _is_address(endpoint_url or "")
        else:
            assert f"{found.url}/k" == _without_usual_port(_sent_by_botocore(bucket, settings))


def test_at_least_50_000_combinations_are_compared_and_each_door_opens_many_times() -> None:
    sizes = {
        family: len(REGIONS) * len(buckets) * prod(map(len, switches.values()))
        for family, (buckets, switches) in FAMILIES.items()
    }
    assert sum(sizes.values()) >= 50_000
    for family, (buckets, switches) in FAMILIES.items():
        outcomes = Counter(
            compare(bucket, settings)
            for bucket, settings in product(buckets, settings_of(switches, region="us-west-2"))
        )
        assert outcomes["same"] >= 10, (family, outcomes)
