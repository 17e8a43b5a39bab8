"""What to catch, and how patient a client is before it raises.

python examples/error_handling.py
"""

import asyncio
import logging

from aios3get import RetryPolicy, S3Client, Timeouts, errors

BUCKET = "amzn-s3-demo-bucket"
log = logging.getLogger("example")


async def load(s3: S3Client, key: str) -> bytes | None:
    try:
        async with s3.get_object(BUCKET, key, deadline=30) as obj:
            return await obj.read()
    except errors.NoSuchKey as error:
        log.info("no %s%s", error.key, ", it was deleted" if error.delete_marker else "")
        return None
    except errors.InvalidObjectState as error:
        log.warning("%s is archived in %s; restore it first", error.key, error.storage_class)
        return None
    except errors.IntegrityError as error:
        log.error("not the bytes asked for: %s", error)
        raise
    except errors.S3Error as error:
        # The text tells attempts, seconds, bytes and request ids, and no secret.
        log.error("%s: %s", "try later" if error.retryable else "give up", error)
        raise


async def main() -> None:
    patient = RetryPolicy(attempts=8, wait_initial=0.2, wait_max=20)
    async with S3Client(retry=patient, timeouts=Timeouts(connect=5, idle=15)) as s3:
        for key in ("hello.txt", "missing.txt"):
            body = await load(s3, key)
            log.info("%s: %r", key, body)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(main())
