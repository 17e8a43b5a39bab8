"""A read-only file system for fsspec, on which pandas, Dask, pyarrow, zarr and others read.

::

    import pandas as pd

    frame = pd.read_parquet("aios3get://amzn-s3-demo-bucket/sales.parquet")

``register()`` makes ``s3://`` use it, too. It needs the extra ``fsspec``.
"""

from aios3get.fsspec.file_system import S3FileSystem, register

__all__ = ["S3FileSystem", "register"]
