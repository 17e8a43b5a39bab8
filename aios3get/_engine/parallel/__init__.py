"""Reads of one object with many requests.

=============================  ==================================================================
``methods``                    the methods of ``S3Client``
``object_read``                one call, and its first response, which determines the version
``part_requests``              requests for ranges of that version, each with its own retries
``part_stream``                the bytes of one range, resumed after a lost connection
``hedged_stream`` ``hedging``  the same, requested again on another connection while they are slow
``part_reader``                opens these streams
``parts`` ``part_sizes``       choose which bytes a request reads
``concurrency``                measures latency and rate; adapts the number of requests
``scheduler``                  runs the requests of a transfer
``transfer``                   reads parts in any order to a sink
``memory`` ``ranges``          sinks in memory: ``read_into``, ``get_ranges``
``download`` ``file_sink``     a sink on disk: ``part_file``, and the ``journal`` to resume it by
``limits``                     chooses how far to read ahead
``read_ahead``                 reads parts ahead of a consumer
``ordered``                    a consumer: ``stream_object``
``reader`` ``sync_reader``     a consumer: ``open_object``
``stored_checksum``            fetches the checksum of the whole object
``verification`` ``digests``   compares it with the digests of the parts
``objects``                    reads many small objects, each with one request
=============================  ==================================================================
"""
