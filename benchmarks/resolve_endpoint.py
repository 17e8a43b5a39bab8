"""What finding a bucket's endpoint costs: remembered, anew, and by botocore's rules.

python benchmarks/resolve_endpoint.py [seconds a figure]
"""

import sys
import timeit
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median

from aios3get._protocol.endpoints.resolver import (
    EndpointResolver,
    EndpointSettings,
    resolve_endpoint,
)

SETTINGS = EndpointSettings("eu-west-1")
BUCKETS = {
    "bucket": "amzn-s3-demo-bucket",
    "directory bucket": "amzn-s3-demo-bucket--euw1-az1--x-s3",
    "access point ARN": "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-ap",
    "multi-region ARN": "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
}


def microseconds(action: Callable[[], object], seconds: float) -> float:
    timer = timeit.Timer(action)
    timer.timeit(1)
    count = max(1, int(seconds / 7 / timer.timeit(1)))
    return median(timer.repeat(7, count)) / count * 1e6


def botocore_rules(bucket: str) -> Callable[[], object]:
    import botocore.session
    from botocore.endpoint_provider import EndpointProvider

    loader = botocore.session.Session().get_component("data_loader")
    provider = EndpointProvider(
        loader.load_service_model("s3", "endpoint-rule-set-1"), loader.load_data("partitions")
    )

    def evaluate() -> object:
        return provider.ruleset.evaluate({"Bucket": bucket, "Region": SETTINGS.region})

    return evaluate


def main(seconds: float) -> None:
    has_botocore = find_spec("botocore") is not None
    print(f"{'µs a call':24} {'remembered':>16} {'anew':>8}  botocore anew")
    for name, bucket in BUCKETS.items():
        resolver = EndpointResolver(SETTINGS)
        hit = microseconds(partial(resolver.resolve, bucket), seconds)
        anew = microseconds(partial(resolve_endpoint, bucket, SETTINGS), seconds)
        theirs = microseconds(botocore_rules(bucket), seconds) if has_botocore else float("nan")
        print(f"{name:24} {hit:16.3f} {anew:8.2f} {theirs:14.0f}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
