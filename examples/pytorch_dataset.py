"""Read objects in the worker processes of a PyTorch DataLoader.

python examples/pytorch_dataset.py [fork or spawn]
"""

import asyncio
import sys
from collections.abc import Iterator

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from aios3get import S3Client

BUCKET = "amzn-s3-demo-bucket"
BATCH = 256


class S3Objects(IterableDataset[bytes]):  # type: ignore[misc]
    """The contents of objects, in no order, divided among the workers."""

    def __init__(self, client: S3Client, bucket: str, keys: list[str]) -> None:
        # It travels to the workers, whether they are forked or spawned; each connects by itself.
        self.client = client
        self.bucket = bucket
        self.keys = keys

    def __iter__(self) -> Iterator[bytes]:
        worker = get_worker_info()
        keys = self.keys if worker is None else self.keys[worker.id :: worker.num_workers]
        with asyncio.Runner() as runner:  # one event loop, so that connections are kept
            for at in range(0, len(keys), BATCH):
                yield from runner.run(self._read(keys[at : at + BATCH]))

    async def _read(self, keys: list[str]) -> list[bytes]:
        contents = list[bytes]()
        async for result in self.client.get_objects([(self.bucket, key) for key in keys]):
            if result.error is not None:
                raise result.error
            contents.append(result.body)
        return contents


def main(start_method: str) -> None:
    keys = ["hello.txt", "logs/2026/11/20.jsonl", *["empty"] * 1000]
    dataset = S3Objects(S3Client(), BUCKET, keys)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=2, multiprocessing_context=start_method
    )
    sizes = [len(content) for content in loader]
    print(f"{len(sizes)} objects, {sum(sizes):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "spawn")
