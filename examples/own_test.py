"""Test your own code against an S3 that runs in the test and fails on demand.

    python examples/own_test.py

With pytest the fixture ``s3_server``, which comes with aios3get, does the first half of this.
"""

# ruff: noqa: PT009, PT027 - a unittest, for those who have no pytest

import unittest

from aios3get import Credentials, RetryPolicy, S3Client, errors
from aios3get.testing import S3Server, faults

BUCKET = "amzn-s3-demo-bucket"


async def count_lines(s3: S3Client, key: str) -> int:
    """The code under test."""
    count = 0
    async with s3.get_object(BUCKET, key) as obj:
        async for _ in obj.iter_lines():
            count += 1
    return count


class CountLines(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.server = await self.enterAsyncContext(S3Server())
        keys = self.server.credentials
        client = S3Client(
            endpoint_url=self.server.endpoint_url,
            region=self.server.region,
            credentials=Credentials(keys.access_key_id, keys.secret_access_key),
            retry=RetryPolicy(attempts=2, wait_initial=0.01),
        )
        self.s3 = await self.enterAsyncContext(client)
        self.server.put_object(BUCKET, "notes.txt", b"line\n" * 1_000)

    async def test_counts(self) -> None:
        self.assertEqual(await count_lines(self.s3, "notes.txt"), 1_000)

    async def test_survives_a_lost_connection(self) -> None:
        self.server.faults.add(faults.reset_after(1_234))
        self.assertEqual(await count_lines(self.s3, "notes.txt"), 1_000)
        self.assertEqual(self.server.requests[-1].headers["Range"], "bytes=1234-4999")

    async def test_never_mixes_two_versions(self) -> None:
        def replace() -> None:
            self.server.put_object(BUCKET, "notes.txt", b"other\n" * 1_000)

        self.server.faults.add(faults.replace_object(replace, after=1_234))
        with self.assertRaises(errors.ObjectChanged):
            await count_lines(self.s3, "notes.txt")

    async def test_tells_a_missing_object(self) -> None:
        with self.assertRaises(errors.NoSuchKey):
            await count_lines(self.s3, "missing.txt")


if __name__ == "__main__":
    unittest.main()
